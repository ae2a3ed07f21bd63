/* slice.h -- borrowed bytes: pointer and length by value. May hold NUL; never owns. */
#pragma once

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const uint8_t *ptr;
    size_t len;
};

#define SLICE(literal) ((struct slice){(const uint8_t *)(literal), sizeof(literal) - 1})
// For printf: "%.*s", SLICE_FMT(s)
#define SLICE_FMT(s) (int)(s).len, (const char *)(s).ptr

static inline struct slice slice_of(const void *ptr, size_t len)
{
    return (struct slice){(const uint8_t *)ptr, len};
}

static inline struct slice slice_cstr(const char *text)
{
    return (struct slice){(const uint8_t *)text, strlen(text)};
}

// Names and values are mostly short: two overlapping loads of each instead of a call.
static inline bool bytes_eq(const uint8_t *a, const uint8_t *b, size_t len)
{
    uint64_t a8[2], b8[2];
    uint32_t a4[2], b4[2];
    if (len > 16)
        return memcmp(a, b, len) == 0;
    if (len >= 8) {
        memcpy(&a8[0], a, 8), memcpy(&a8[1], a + len - 8, 8);
        memcpy(&b8[0], b, 8), memcpy(&b8[1], b + len - 8, 8);
        return ((a8[0] ^ b8[0]) | (a8[1] ^ b8[1])) == 0;
    }
    if (len >= 4) {
        memcpy(&a4[0], a, 4), memcpy(&a4[1], a + len - 4, 4);
        memcpy(&b4[0], b, 4), memcpy(&b4[1], b + len - 4, 4);
        return ((a4[0] ^ b4[0]) | (a4[1] ^ b4[1])) == 0;
    }
    return len == 0 || (a[0] == b[0] && a[len / 2] == b[len / 2] && a[len - 1] == b[len - 1]);
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && bytes_eq(a.ptr, b.ptr, a.len);
}

// Bytewise order; a prefix sorts first.
static inline int slice_cmp(struct slice a, struct slice b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len == 0 ? 0 : memcmp(a.ptr, b.ptr, len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static inline bool slice_starts(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && memcmp(s.ptr, prefix.ptr, prefix.len) == 0;
}

// The part from `from` on; `from` may not exceed the length.
static inline struct slice slice_from(struct slice s, size_t from)
{
    return (struct slice){s.ptr + from, s.len - from};
}

// Position of the first occurrence, or SIZE_MAX. An empty needle is found at 0.
static inline size_t slice_find(struct slice hay, struct slice needle)
{
    if (needle.len == 0)
        return 0;
    if (hay.len == 0)
        return SIZE_MAX;
    const uint8_t *hit = (const uint8_t *)memmem(hay.ptr, hay.len, needle.ptr, needle.len);
    return hit != NULL ? (size_t)(hit - hay.ptr) : SIZE_MAX;
}

static inline struct slice slice_trim(struct slice s)
{
    while (s.len > 0 && isspace(s.ptr[0]))
        s = slice_from(s, 1);
    while (s.len > 0 && isspace(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

// Takes the next item off a list; there is one more item than there are separators.
//     for (struct slice rest = list, item; slice_next(&rest, ',', &item);) ...
static inline bool slice_next(struct slice *rest, char separator, struct slice *item_out)
{
    if (rest->ptr == NULL)
        return false;
    size_t at = slice_find(*rest, (struct slice){(const uint8_t *)&separator, 1});
    *item_out = at == SIZE_MAX ? *rest : slice_of(rest->ptr, at);
    *rest = at == SIZE_MAX ? (struct slice){NULL, 0} : slice_from(*rest, at + 1);
    return true;
}

static inline bool slice_lists(struct slice list, char separator, struct slice wanted)
{
    for (struct slice item; slice_next(&list, separator, &item);)
        if (slice_eq(item, wanted))
            return true;
    return false;
}
