/* digest.h -- the door to nettle: the digests that protocols ask for (ours are XXH3, hash.h). Any
 * thread. */
#pragma once

#include "base/slice.h"

enum { DIGEST_SHA1_BYTES = 20, DIGEST_SHA256_BYTES = 32, DIGEST_MD5_BYTES = 16 };

void digest_sha1(struct slice s, uint8_t out[DIGEST_SHA1_BYTES]);
void digest_sha256(struct slice s, uint8_t out[DIGEST_SHA256_BYTES]);
void digest_md5(struct slice s, uint8_t out[DIGEST_MD5_BYTES]);
// Lower-case digits and a NUL: `out` has 2 * len + 1 bytes.
void digest_hex(const uint8_t *bytes, size_t len, char *out);
