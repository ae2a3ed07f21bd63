/* ip.c -- see ip.h. */
#include "query/pipeline/ip.h"

#include <arpa/inet.h>
#include <stdlib.h>

enum { ADDRESS_CHARS_MAX = 45 }; // of a valid one, INET6_ADDRSTRLEN without its NUL

struct address {
    bool v6;
    uint8_t bytes[16];
};

static bool parse_address(struct slice text, struct address *out)
{
    char copy[ADDRESS_CHARS_MAX + 1];
    if (text.len == 0 || text.len > ADDRESS_CHARS_MAX)
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    *out = (struct address){0};
    if (inet_pton(AF_INET, copy, out->bytes + 12) == 1)
        return true;
    out->v6 = true;
    return inet_pton(AF_INET6, copy, out->bytes) == 1;
}

static bool parse_cidr(struct slice address, struct slice bits_text, struct ip_range *out)
{
    struct address a;
    if (!parse_address(address, &a) || bits_text.len == 0 || bits_text.len > 3 ||
        (bits_text.len > 1 && bits_text.ptr[0] == '0'))
        return false;
    unsigned bits = 0;
    for (size_t i = 0; i < bits_text.len; i++) {
        if (bits_text.ptr[i] < '0' || bits_text.ptr[i] > '9')
            return false;
        bits = bits * 10 + (unsigned)(bits_text.ptr[i] - '0');
    }
    if (bits > (a.v6 ? 128U : 32U))
        return false;
    bits += a.v6 ? 0 : 96;
    out->v6 = a.v6;
    for (unsigned i = 0; i < 16; i++) {
        unsigned fixed = bits >= (i + 1) * 8 ? 8 : bits <= i * 8 ? 0 : bits - i * 8;
        uint8_t mask = (uint8_t)(0xFF00U >> fixed);
        out->first[i] = a.bytes[i] & mask;
        out->last[i] = out->first[i] | (uint8_t)~mask;
    }
    return true;
}

bool ip_range_parse(struct slice text, struct ip_range *out)
{
    size_t slash = slice_find(text, SLICE("/")), dash = slice_find(text, SLICE("-"));
    if (slash != SIZE_MAX)
        return parse_cidr(slice_of(text.ptr, slash), slice_from(text, slash + 1), out);
    struct slice from = dash != SIZE_MAX ? slice_of(text.ptr, dash) : text;
    struct slice to = dash != SIZE_MAX ? slice_from(text, dash + 1) : text;
    struct address a, b;
    if (!parse_address(from, &a) || !parse_address(to, &b) || a.v6 != b.v6 ||
        memcmp(a.bytes, b.bytes, 16) > 0)
        return false;
    out->v6 = a.v6;
    memcpy(out->first, a.bytes, 16);
    memcpy(out->last, b.bytes, 16);
    return true;
}

static bool contains(const struct ip_range *r, struct slice text)
{
    struct address a;
    return parse_address(text, &a) && a.v6 == r->v6 && memcmp(a.bytes, r->first, 16) >= 0 &&
           memcmp(a.bytes, r->last, 16) <= 0;
}

// --- scanning ---------------------------------------------------------------------------------------

enum { DIGIT = 1, HEX = 2, DOT = 4, COLON = 8 };

static unsigned kind(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return DIGIT | HEX;
    if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
        return HEX;
    return c == '.' ? DOT : c == ':' ? COLON : 0;
}

static bool starts_v4(struct slice s)
{
    return s.len >= 4 && (kind(s.ptr[0]) & DIGIT) != 0 &&
           (s.ptr[1] == '.' || s.ptr[2] == '.' || s.ptr[3] == '.');
}

// The last bytes of a text count too (logql.md 23, D14).
static bool starts_v6(struct slice s)
{
    if (s.len >= 3 && s.ptr[0] == ':' && s.ptr[1] == ':' && (kind(s.ptr[2]) & HEX) != 0)
        return true;
    for (size_t i = 0; i < 5 && i < s.len; i++) {
        if (s.ptr[i] == ':')
            return i > 0;
        if ((kind(s.ptr[i]) & HEX) == 0)
            return false;
    }
    return false;
}

static size_t run_length(struct slice s, unsigned kinds)
{
    size_t len = 0;
    while (len < s.len && (kind(s.ptr[len]) & kinds) != 0)
        len++;
    return len;
}

bool ip_range_found(const struct ip_range *r, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        struct slice rest = slice_from(text, i);
        if (kind(rest.ptr[0]) == 0)
            continue;
        size_t len = starts_v4(rest)   ? run_length(rest, DIGIT | DOT)
                     : starts_v6(rest) ? run_length(rest, HEX | COLON | DOT)
                                       : 0;
        if (len > 0 && contains(r, slice_of(rest.ptr, len)))
            return true;
        i += len; // a failed candidate is skipped whole plus one byte
    }
    return false;
}

struct slice ip_range_text(const struct ip_range *r, struct arena *a)
{
    char text[INET_ADDRSTRLEN];
    if (r->v6 || memcmp(r->first, r->last, sizeof r->first) != 0 ||
        inet_ntop(AF_INET, r->first + 12, text, sizeof text) == NULL)
        return (struct slice){0};
    return arena_copy(a, slice_cstr(text)); // inet_pton takes no other form of it
}
