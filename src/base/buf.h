/*
 * buf.h -- growing bytes, capped. The first failure sticks in `bad`; later puts do nothing, so an
 * encoder reads top to bottom and checks once.
 */
#pragma once

#include "base/attr.h"
#include "base/slice.h"

struct buf {
    uint8_t *ptr; // owned
    size_t len;
    size_t room;
    size_t bytes_max; // 0: no cap
    bool bad;
};

void buf_init(struct buf *b, size_t bytes_max);
void buf_done(struct buf *b);  // frees; zeroed struct afterwards
void buf_reset(struct buf *b); // empties, keeps the memory and the cap

uint8_t *buf_enlarge(struct buf *b, size_t bytes); // buf_reserve() where there is no room yet

// Makes room for `bytes` more and returns where they go, or NULL (bad). Does not change len.
static inline uint8_t *buf_reserve(struct buf *b, size_t bytes)
{
    return LIKELY(b->ptr != NULL && bytes <= b->room - b->len && !b->bad) ? b->ptr + b->len
                                                                          : buf_enlarge(b, bytes);
}

static inline void buf_put(struct buf *b, const void *ptr, size_t len)
{
    uint8_t *to = buf_reserve(b, len);
    if (to == NULL)
        return;
    if (len > 0)
        memcpy(to, ptr, len);
    b->len += len;
}

void buf_put_slice(struct buf *b, struct slice s);
void buf_put_cstr(struct buf *b, const char *text);
void buf_put_unsigned(struct buf *b, uint64_t value); // in decimal digits, as below
void buf_put_signed(struct buf *b, int64_t value);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

static inline void buf_put_byte(struct buf *b, uint8_t byte)
{
    if (LIKELY(b->len < b->room && !b->bad))
        b->ptr[b->len++] = byte;
    else
        buf_put(b, &byte, 1);
}

static inline struct slice buf_slice(const struct buf *b)
{
    return (struct slice){b->ptr, b->len};
}
