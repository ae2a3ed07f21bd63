/* labels.c -- the canonical label set; see labels.h. */
#include "base/labels.h"

#include "base/codec.h"

#include <assert.h>
#include <stdlib.h>

// --- canonical form ---------------------------------------------------------------------------------

// Insertion sort: sets are small, mostly sorted, and equal names must keep their order.
static void sort_by_name(struct label *items, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        struct label moved = items[i];
        uint32_t at = i;
        for (; at > 0 && slice_cmp(items[at - 1].name, moved.name) > 0; at--)
            items[at] = items[at - 1];
        items[at] = moved;
    }
}

enum { INSERTION_MAX = 64 };

static int by_name_then_place(const void *a, const void *b)
{
    const struct label *x = a, *y = b;
    int order = slice_cmp(x->name, y->name);
    // Names of one set come from one text: equal ones keep the order in which they stand there.
    return order != 0 ? order : (x->name.ptr > y->name.ptr) - (x->name.ptr < y->name.ptr);
}

struct slice labels_canon(struct labels *l)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < l->count; i++)
        if (l->items[i].value.len > 0)
            l->items[kept++] = l->items[i];
    l->count = kept;
    if (kept <= INSERTION_MAX)
        sort_by_name(l->items, kept);
    else
        qsort(l->items, kept, sizeof *l->items, by_name_then_place);
    for (uint32_t i = 1; i < kept; i++)
        if (slice_eq(l->items[i - 1].name, l->items[i].name))
            return l->items[i].name;
    return (struct slice){0};
}

static uint8_t *put_varint_at(uint8_t *to, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        *to++ = (uint8_t)(v | 0x80);
    *to++ = (uint8_t)v;
    return to;
}

static uint8_t *put_prefixed_at(uint8_t *to, struct slice s)
{
    to = put_varint_at(to, s.len);
    if (s.len > 0)
        memcpy(to, s.ptr, s.len);
    return to + s.len;
}

size_t labels_encoded_bytes(const struct labels *l)
{
    size_t bytes = varint_bytes(l->count);
    for (uint32_t i = 0; i < l->count; i++) {
        const struct label *p = &l->items[i];
        bytes += varint_bytes(p->name.len) + p->name.len + varint_bytes(p->value.len) + p->value.len;
    }
    return bytes;
}

void labels_encode_at(uint8_t *to, const struct labels *l)
{
    to = put_varint_at(to, l->count);
    for (uint32_t i = 0; i < l->count; i++) {
        to = put_prefixed_at(to, l->items[i].name);
        to = put_prefixed_at(to, l->items[i].value);
    }
}

void labels_encode(struct buf *b, const struct labels *l)
{
    size_t bytes = labels_encoded_bytes(l);
    uint8_t *to = buf_reserve(b, bytes);
    if (to == NULL)
        return;
    labels_encode_at(to, l);
    b->len += bytes;
}

// --- reading ----------------------------------------------------------------------------------------

// Next pair of an untrusted set, whose names must ascend; `last` starts with ptr NULL.
static bool next_pair(struct rd *r, struct slice *last, struct label *out)
{
    out->name = rd_prefixed(r);
    out->value = rd_prefixed(r);
    if (r->bad || out->value.len == 0 || (last->ptr != NULL && slice_cmp(*last, out->name) >= 0))
        return false;
    *last = out->name;
    return true;
}

// Each pair takes two bytes at least, so a count beyond that cannot be true.
static uint64_t pairs_count(struct rd *r)
{
    uint64_t count = rd_varint(r);
    if (count > rd_left(r) / 2)
        r->bad = true;
    return r->bad ? 0 : count;
}

bool labels_valid(struct slice encoded)
{
    struct rd r = rd_of(encoded);
    struct slice last = {0};
    struct label pair;
    for (uint64_t left = pairs_count(&r); left > 0; left--)
        if (!next_pair(&r, &last, &pair))
            return false;
    return !r.bad && rd_left(&r) == 0;
}

bool labels_decode(struct slice encoded, struct arena *a, struct labels *out, struct err *err)
{
    if (!labels_valid(encoded))
        return err_set(err, ERR_CORRUPT, "a label set of %zu bytes does not add up", encoded.len);
    struct labels_walk w = labels_walk(encoded);
    struct labels l = {.items = arena_array(a, w.left, sizeof *l.items)};
    if (l.items == NULL)
        return arena_ok(a, "label set", err);
    while (labels_next(&w, &l.items[l.count]))
        if (w.left > 0 || w.pos == w.end)
            l.count++;
    *out = l;
    return true;
}

static inline uint64_t walk_varint(struct labels_walk *w)
{
    uint64_t value = 0;
    assert(w->pos < w->end);
    if (*w->pos < 0x80)
        return *w->pos++;
    for (unsigned shift = 0;; shift += 7) {
        assert(w->pos < w->end); // trusted: whoever hands it in has validated it
        uint8_t byte = *w->pos++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
}

static inline struct slice walk_slice(struct labels_walk *w)
{
    size_t len = (size_t)walk_varint(w);
    struct slice s = slice_of(w->pos, len);
    assert(len <= (size_t)(w->end - w->pos));
    w->pos += len;
    return s;
}

struct labels_walk labels_walk(struct slice encoded)
{
    struct labels_walk w = {encoded.ptr, encoded.ptr + encoded.len, 0};
    w.left = encoded.len > 0 ? walk_varint(&w) : 0;
    return w;
}

bool labels_next(struct labels_walk *w, struct label *label_out)
{
    if (w->left == 0)
        return false;
    w->left--;
    label_out->name = walk_slice(w);
    label_out->value = walk_slice(w);
    return true;
}

// A length, from a place that moves behind it.
static inline size_t take_length(const uint8_t **at)
{
    size_t value = *(*at)++;
    if (value < 0x80)
        return value;
    value &= 0x7f;
    for (unsigned shift = 7;; shift += 7) {
        uint8_t byte = *(*at)++;
        value |= (size_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
}

struct slice labels_find(struct slice encoded, struct slice name)
{
    // The inner loop of queries: of a name only its length is looked at, until one is that of the name.
    if (encoded.len == 0)
        return (struct slice){0};
    const uint8_t *at = encoded.ptr, *end = at + encoded.len;
    for (size_t left = take_length(&at); left > 0; left--) {
        size_t len = take_length(&at);
        const uint8_t *key = at;
        at += len;
        size_t value_len = take_length(&at);
        assert(at + value_len <= end); // trusted: whoever hands it in has validated it
        if (len == name.len && bytes_eq(key, name.ptr, len))
            return slice_of(at, value_len);
        at += value_len;
    }
    return (struct slice){0};
}

const struct label *labels_get(const struct labels *l, struct slice name)
{
    for (uint32_t i = 0; i < l->count; i++)
        if (slice_eq(l->items[i].name, name))
            return &l->items[i];
    return NULL;
}

struct slice labels_encoded(const struct labels *l, struct arena *a)
{
    size_t bytes = labels_encoded_bytes(l);
    uint8_t *to = arena_alloc(a, bytes);
    if (to == NULL)
        return (struct slice){0};
    labels_encode_at(to, l);
    return slice_of(to, bytes);
}

// --- order of printed sets --------------------------------------------------------------------------

// Order of two texts as they are printed, each followed by a byte that no plain text holds before its end.
// False when one holds what printing escapes: the caller prints then.
static bool cmp_plain(struct slice a, struct slice b, uint8_t end, int *order_out)
{
    size_t i = 0, len = a.len < b.len ? a.len : b.len;
    while (i < len && a.ptr[i] == b.ptr[i])
        i++;
    for (size_t n = 0; n <= i; n++) // what is equal is looked at once
        if ((n < a.len && (a.ptr[n] < 0x20 || a.ptr[n] >= 0x7F || a.ptr[n] == '"' || a.ptr[n] == '\\')) ||
            (n == i && n < b.len &&
             (b.ptr[n] < 0x20 || b.ptr[n] >= 0x7F || b.ptr[n] == '"' || b.ptr[n] == '\\')))
            return false;
    uint8_t x = i < a.len ? a.ptr[i] : end, y = i < b.len ? b.ptr[i] : end;
    *order_out = i == a.len && i == b.len ? 0 : (x > y) - (x < y);
    return true;
}

static int cmp_by_printing(struct slice encoded_a, struct slice encoded_b)
{
    struct buf a, b;
    buf_init(&a, 0);
    buf_init(&b, 0);
    labels_print(&a, encoded_a);
    labels_print(&b, encoded_b);
    int order = slice_cmp(buf_slice(&a), buf_slice(&b));
    buf_done(&a);
    buf_done(&b);
    return order;
}

int labels_cmp_printed(struct slice encoded_a, struct slice encoded_b)
{
    struct labels_walk x = labels_walk(encoded_a), y = labels_walk(encoded_b);
    struct label a, b;
    for (;;) {
        bool more_a = labels_next(&x, &a), more_b = labels_next(&y, &b);
        if (!more_a && !more_b)
            return 0;
        // `, ` sorts before `}`, and a first name before it too unless it begins beyond `}`: no name does.
        if (more_a != more_b)
            return more_a ? -1 : 1;
        int order;
        if (!cmp_plain(a.name, b.name, '=', &order))
            return cmp_by_printing(encoded_a, encoded_b);
        if (order == 0 && !cmp_plain(a.value, b.value, '"', &order))
            return cmp_by_printing(encoded_a, encoded_b);
        if (order != 0)
            return order;
    }
}

// --- matchers ---------------------------------------------------------------------------------------

bool label_matcher_test(const struct label_matcher *m, struct slice value)
{
    switch (m->op) {
    case MATCH_EQ:
        return slice_eq(m->value, value);
    case MATCH_NE:
        return !slice_eq(m->value, value);
    case MATCH_RE:
        return m->regex_full_match(m->regex, value);
    case MATCH_NRE:
        return !m->regex_full_match(m->regex, value);
    }
    assert(false);
    return false;
}

bool label_matchers_test(const struct label_matcher *m, size_t count, struct slice encoded)
{
    for (size_t i = 0; i < count; i++)
        if (!label_matcher_test(&m[i], labels_find(encoded, m[i].name)))
            return false;
    return true;
}
