/* utf8.c -- see utf8.h. */
#include "base/utf8.h"

#include "base/arena.h"

struct slice utf8_blanked_long(struct slice s, struct arena *a)
{
    if (utf8_valid_prefix(s) == s.len && slice_find(s, SLICE("\xEF\xBF\xBD")) == SIZE_MAX)
        return s;
    uint8_t *to = arena_alloc(a, s.len);
    size_t len = 0;
    for (size_t i = 0; i < s.len && to != NULL;) {
        uint32_t rune;
        bool valid;
        size_t bytes = utf8_decode(slice_from(s, i), &rune, &valid);
        if (rune == UTF8_INVALID) {
            to[len++] = ' ';
        } else {
            memcpy(to + len, s.ptr + i, bytes);
            len += bytes;
        }
        i += bytes;
    }
    return slice_of(to, len);
}
