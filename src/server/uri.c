/* uri.c -- request targets as text. */
#include "server/uri.h"

#include "base/labels.h"

struct uri uri_split(struct slice target)
{
    if (target.len > 0 && target.ptr[0] != '/') {
        size_t scheme = slice_find(target, SLICE("://"));
        if (scheme != SIZE_MAX) {
            struct slice rest = slice_from(target, scheme + 3);
            size_t slash = slice_find(rest, SLICE("/"));
            target = slash == SIZE_MAX ? SLICE("/") : slice_from(rest, slash);
        }
    }
    const uint8_t *mark = target.len == 0 ? NULL : memchr(target.ptr, '?', target.len);
    if (mark == NULL)
        return (struct uri){target, SLICE("")};
    size_t at = (size_t)(mark - target.ptr);
    return (struct uri){slice_of(target.ptr, at), slice_from(target, at + 1)};
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool bad_escape(struct slice rest, struct err *err)
{
    struct buf quoted;
    buf_init(&quoted, 64);
    labels_quote(&quoted, slice_of(rest.ptr, rest.len < 3 ? rest.len : 3));
    err_set(err, ERR_INPUT, "invalid URL escape %.*s", SLICE_FMT(buf_slice(&quoted)));
    buf_done(&quoted);
    return false;
}

bool uri_unescape(struct slice text, bool plus, struct arena *a, struct slice *out, struct err *err)
{
    size_t first = 0;
    while (first < text.len && text.ptr[first] != '%' && !(plus && text.ptr[first] == '+'))
        first++;
    if (first == text.len) {
        *out = text;
        return true;
    }
    uint8_t *to = arena_alloc(a, text.len);
    if (to == NULL)
        return arena_ok(a, "request target", err);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c == '%') {
            int hi = i + 2 < text.len ? hex_value(text.ptr[i + 1]) : -1;
            int lo = i + 2 < text.len ? hex_value(text.ptr[i + 2]) : -1;
            if (hi < 0 || lo < 0)
                return bad_escape(slice_from(text, i), err);
            c = (uint8_t)(hi << 4 | lo);
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        to[len++] = c;
    }
    *out = slice_of(to, len);
    return true;
}

// Next segment of a path that starts with a slash: what stands between two slashes.
static struct slice next_segment(struct slice path, size_t *pos)
{
    size_t from = *pos + 1;
    size_t to = from;
    while (to < path.len && path.ptr[to] != '/')
        to++;
    *pos = to;
    return slice_of(path.ptr + from, to - from);
}

static bool is_clean(struct slice path)
{
    size_t pos = 0;
    while (pos < path.len) {
        struct slice segment = next_segment(path, &pos);
        bool last = pos >= path.len;
        if ((segment.len == 0 && !last) || slice_eq(segment, SLICE(".")) ||
            slice_eq(segment, SLICE("..")))
            return false;
    }
    return true;
}

struct slice uri_clean(struct slice path, struct arena *a)
{
    if (path.len == 0 || path.ptr[0] != '/' || is_clean(path))
        return path;
    uint8_t *to = arena_alloc(a, path.len + 1);
    if (to == NULL)
        return path;
    size_t len = 0;
    bool slash = false; // whether the path ended as a folder
    for (size_t pos = 0; pos < path.len;) {
        struct slice segment = next_segment(path, &pos);
        slash = segment.len == 0;
        if (slice_eq(segment, SLICE(".."))) {
            while (len > 0 && to[--len] != '/') {
            }
        } else if (segment.len > 0 && !slice_eq(segment, SLICE("."))) {
            to[len++] = '/';
            memcpy(to + len, segment.ptr, segment.len);
            len += segment.len;
        }
    }
    if (slash || len == 0)
        to[len++] = '/';
    return slice_of(to, len);
}

struct slice uri_escape_path(struct slice path, struct arena *a)
{
    static const char plain[] = "/-_.~!$&'()*+,;=:@"
                                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    static const char digits[] = "0123456789ABCDEF";
    uint8_t *to = arena_array(a, path.len, 3);
    if (to == NULL)
        return SLICE("/");
    size_t len = 0;
    for (size_t i = 0; i < path.len; i++) {
        uint8_t c = path.ptr[i];
        if (c != 0 && strchr(plain, c) != NULL) {
            to[len++] = c;
        } else {
            to[len++] = '%';
            to[len++] = (uint8_t)digits[c >> 4];
            to[len++] = (uint8_t)digits[c & 15];
        }
    }
    return slice_of(to, len);
}
