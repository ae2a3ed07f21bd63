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

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
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
