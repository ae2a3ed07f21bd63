/* buf.c -- growing bytes, capped; see buf.h. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUF_ROOM_MIN = 256 };

void buf_init(struct buf *b, size_t bytes_max)
{
    *b = (struct buf){.bytes_max = bytes_max};
}

void buf_done(struct buf *b)
{
    free(b->ptr);
    *b = (struct buf){0};
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->bad = false;
}

uint8_t *buf_enlarge(struct buf *b, size_t bytes)
{
    if (b->bad)
        return NULL;
    size_t need, bytes_max = b->bytes_max == 0 ? SIZE_MAX / 4 : b->bytes_max;
    if (__builtin_add_overflow(b->len, bytes, &need) || need > bytes_max) {
        b->bad = true;
        return NULL;
    }
    if (need > b->room || b->ptr == NULL) {
        size_t room = b->room < BUF_ROOM_MIN ? BUF_ROOM_MIN : b->room * 2;
        room = room < need ? need : room;
        room = room > bytes_max ? bytes_max : room;
        uint8_t *moved = realloc(b->ptr, room);
        if (moved == NULL) {
            b->bad = true;
            return NULL;
        }
        b->ptr = moved;
        b->room = room;
    }
    return b->ptr + b->len;
}

void buf_put_slice(struct buf *b, struct slice s)
{
    buf_put(b, s.ptr, s.len);
}

void buf_put_cstr(struct buf *b, const char *text)
{
    buf_put(b, text, strlen(text));
}

void buf_put_unsigned(struct buf *b, uint64_t value)
{
    char digits[20]; // of 2^64 - 1
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    buf_put(b, digits + at, sizeof digits - at);
}

void buf_put_signed(struct buf *b, int64_t value)
{
    if (value < 0)
        buf_put_cstr(b, "-");
    buf_put_unsigned(b, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    uint8_t *to = len < 0 ? NULL : buf_reserve(b, (size_t)len + 1);
    if (to != NULL) {
        (void)vsnprintf((char *)to, (size_t)len + 1, fmt, again);
        b->len += (size_t)len;
    } else {
        b->bad = true;
    }
    va_end(again);
}
