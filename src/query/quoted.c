/* quoted.c -- see quoted.h. */
#include "query/quoted.h"

#include "base/utf8.h"

static int hex_value(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

// Unescapes one sequence at *p (just behind the backslash) to `out`; returns bytes written or 0.
static size_t unescape_one(const uint8_t **p, uint8_t out[4])
{
    static const char plain[] = "a\ab\bf\fn\nr\rt\tv\v\\\\\"\"";
    uint8_t c = *(*p)++;
    for (const char *at = plain; *at != 0; at += 2)
        if (*at == (char)c) {
            out[0] = (uint8_t)at[1];
            return 1;
        }
    unsigned digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 3;
    unsigned base = digits == 3 ? 8 : 16;
    if (digits == 3)
        (*p)--;
    uint64_t value = 0;
    for (unsigned i = 0; i < digits; i++, (*p)++) {
        int digit = hex_value(**p);
        if (digit < 0 || (unsigned)digit >= base)
            return 0;
        value = value * base + (unsigned)digit;
    }
    if (digits <= 3) {
        out[0] = (uint8_t)value;
        return value > 255 ? 0 : 1;
    }
    if (value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
        return 0;
    return utf8_encode((uint32_t)value, out);
}

const char *quoted_scan(const uint8_t **cursor, const uint8_t *limit, struct arena *a, struct slice *out)
{
    const uint8_t *first = *cursor, *p = first;
    while (*p != '"' && *p != '\\' && *p != '\n' && p < limit)
        p++;
    if (*p == '"') {
        *out = slice_of(first, (size_t)(p - first));
        *cursor = p + 1;
        return NULL;
    }
    // An escape never grows, so the text that is left is room enough.
    uint8_t *copy = arena_alloc(a, (size_t)(limit - first) + 4);
    if (copy == NULL)
        return "out of memory";
    size_t len = 0;
    for (p = first; *p != '"';) {
        if (p >= limit || *p == '\n')
            return "literal not terminated";
        if (*p != '\\') {
            copy[len++] = *p++;
            continue;
        }
        p++;
        size_t wrote = p < limit ? unescape_one(&p, copy + len) : 0;
        if (wrote == 0)
            return p >= limit ? "literal not terminated" : "invalid char escape";
        len += wrote;
    }
    *out = slice_of(copy, len);
    *cursor = p + 1;
    return NULL;
}

const char *quoted_scan_raw(const uint8_t **cursor, const uint8_t *limit, struct arena *a, struct slice *out)
{
    const uint8_t *end = memchr(*cursor, '`', (size_t)(limit - *cursor));
    if (end == NULL)
        return "literal not terminated";
    *out = slice_of(*cursor, (size_t)(end - *cursor));
    *cursor = end + 1;
    if (memchr(out->ptr, '\r', out->len) == NULL)
        return NULL;
    uint8_t *copy = arena_alloc(a, out->len);
    if (copy == NULL)
        return "out of memory";
    size_t len = 0;
    for (size_t i = 0; i < out->len; i++)
        if (out->ptr[i] != '\r')
            copy[len++] = out->ptr[i];
    *out = slice_of(copy, len);
    return NULL;
}
