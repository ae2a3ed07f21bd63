/* digest.c -- see digest.h. */
#include "base/digest.h"

#include <nettle/md5.h>
#include <nettle/sha1.h>
#include <nettle/sha2.h>

void digest_sha1(struct slice s, uint8_t out[DIGEST_SHA1_BYTES])
{
    struct sha1_ctx ctx;
    sha1_init(&ctx);
    sha1_update(&ctx, s.len, s.ptr);
    sha1_digest(&ctx, DIGEST_SHA1_BYTES, out);
}

void digest_sha256(struct slice s, uint8_t out[DIGEST_SHA256_BYTES])
{
    struct sha256_ctx ctx;
    sha256_init(&ctx);
    sha256_update(&ctx, s.len, s.ptr);
    sha256_digest(&ctx, DIGEST_SHA256_BYTES, out);
}

void digest_md5(struct slice s, uint8_t out[DIGEST_MD5_BYTES])
{
    struct md5_ctx ctx;
    md5_init(&ctx);
    md5_update(&ctx, s.len, s.ptr);
    md5_digest(&ctx, DIGEST_MD5_BYTES, out);
}

void digest_hex(const uint8_t *bytes, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * len] = '\0';
}
