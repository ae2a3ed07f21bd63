/* hex.c -- see hex.h. */
#include "base/hex.h"

static int digit(uint8_t c)
{
    uint8_t lower = c | 32;
    return c >= '0' && c <= '9' ? c - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool hex_decode(struct slice digits, uint8_t *to, size_t bytes)
{
    if (digits.len == 0 || digits.len > 2 * bytes)
        return false;
    memset(to, 0, bytes);
    for (size_t i = 0; i < digits.len; i++) {
        int value = digit(digits.ptr[digits.len - 1 - i]);
        if (value < 0)
            return false;
        to[bytes - 1 - i / 2] |= (uint8_t)(value << (i % 2 * 4));
    }
    return true;
}
