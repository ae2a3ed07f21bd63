/* base64.c -- see base64.h. */
#include "base/base64.h"

#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct buf *b, struct slice s)
{
    for (size_t i = 0; i < s.len; i += 3) {
        size_t left = s.len - i;
        uint32_t v = (uint32_t)s.ptr[i] << 16 | (left > 1 ? (uint32_t)s.ptr[i + 1] << 8 : 0) |
                     (left > 2 ? s.ptr[i + 2] : 0U);
        buf_put_byte(b, (uint8_t)alphabet[v >> 18]);
        buf_put_byte(b, (uint8_t)alphabet[v >> 12 & 63]);
        buf_put_byte(b, left > 1 ? (uint8_t)alphabet[v >> 6 & 63] : '=');
        buf_put_byte(b, left > 2 ? (uint8_t)alphabet[v & 63] : '=');
    }
}

bool base64_decode(struct buf *b, struct slice s, size_t *bad_at_out)
{
    uint32_t v = 0;
    unsigned n = 0;
    size_t i = 0;
    for (; i < s.len; i++) {
        if (s.ptr[i] == '\n' || s.ptr[i] == '\r')
            continue;
        const char *at = s.ptr[i] != 0 ? strchr(alphabet, s.ptr[i]) : NULL;
        if (at == NULL)
            break;
        v = v << 6 | (uint32_t)(at - alphabet);
        if (++n == 4) {
            uint8_t bytes[3] = {(uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
            buf_put(b, bytes, 3);
            n = 0;
            v = 0;
        }
    }
    size_t padding = 0, at = i;
    while (at < s.len && s.ptr[at] == '=') {
        padding++;
        at++;
    }
    *bad_at_out = i;
    if (at != s.len || !((n == 0 && padding == 0) || (n == 2 && padding == 2) || (n == 3 && padding == 1)))
        return false;
    uint8_t bytes[2] = {(uint8_t)(n == 2 ? v >> 4 : v >> 10), (uint8_t)(v >> 2)};
    buf_put(b, bytes, n == 0 ? 0 : n - 1);
    return true;
}
