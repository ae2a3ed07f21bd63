/*
 * postings.c -- from matchers to stream ids, from generations to rows, from days to label pairs.
 *
 * A matcher that refuses the empty value is *positive*: its streams are the union of the postings of the
 * values that it accepts. Positive matchers are intersected, cheapest kind first; the others (absence
 * satisfies them) are tested on the labels of what is left.
 */
#include "index/index.h"
#include "index/keys.h"

#include <assert.h>
#include <stdlib.h>

static bool is_positive(const struct label_matcher *m)
{
    return !label_matcher_test(m, (struct slice){0});
}

// --- sets -------------------------------------------------------------------------------------------

struct id_list {
    struct arena *arena;
    uint64_t *ids;
    size_t count;
    size_t room;
};

static bool id_add(struct id_list *l, uint64_t id)
{
    if (l->count == l->room &&
        !arena_grow(l->arena, (void **)&l->ids, sizeof *l->ids, l->count, &l->room))
        return false;
    l->ids[l->count++] = id;
    return true;
}

static bool add_dups(struct id_list *l, struct kv_cursor *c)
{
    struct slice dups;
    for (bool more = kv_dups(c, &dups); more; more = kv_next_dups(c, &dups))
        for (size_t at = 0; at + 8 <= dups.len; at += 8)
            if (!id_add(l, be_u64(dups.ptr + at)))
                return false;
    return true;
}

static int by_id(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void sort_unique(struct id_list *l)
{
    bool sorted = true;
    for (size_t i = 1; i < l->count && sorted; i++)
        sorted = l->ids[i - 1] < l->ids[i];
    if (sorted)
        return;
    qsort(l->ids, l->count, sizeof *l->ids, by_id);
    size_t kept = 0;
    for (size_t i = 0; i < l->count; i++)
        if (i == 0 || l->ids[i] != l->ids[kept - 1])
            l->ids[kept++] = l->ids[i];
    l->count = kept;
}

// First position >= from whose id is not below `id`: doubling steps, then halving.
static size_t gallop(const uint64_t *ids, size_t count, size_t from, uint64_t id)
{
    size_t step = 1, low = from, high = from;
    while (high < count && ids[high] < id) {
        low = high + 1;
        high += step;
        step *= 2;
    }
    if (high > count)
        high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ids[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

// l := l and m; both sorted.
static void intersect(struct id_list *l, const struct id_list *m)
{
    size_t kept = 0, at = 0;
    for (size_t i = 0; i < l->count && at < m->count; i++) {
        at = gallop(m->ids, m->count, at, l->ids[i]);
        if (at < m->count && m->ids[at] == l->ids[i])
            l->ids[kept++] = l->ids[i];
    }
    l->count = kept;
}

// --- postings of one matcher ------------------------------------------------------------------------

static bool add_value(struct index_read *read, uint32_t ns, struct slice name, struct slice value,
                      struct id_list *l)
{
    AUTO(kv_cursor_closep) struct kv_cursor c;
    kv_cursor_open(&read->txn, KV_POSTINGS, &c);
    struct key k;
    key_start(&k);
    key_u32(&k, ns);
    key_pair(&k, name, value);
    return !kv_find(&c, key_slice(&k)) || add_dups(l, &c);
}

// Whether the key `prefix + name NUL` still leads; `name` may be too long for a key.
static bool name_prefix(struct key *k, uint32_t ns, const uint32_t *day, struct slice name)
{
    key_start(k);
    key_u32(k, ns);
    if (day != NULL)
        key_u32(k, *day);
    key_u8(k, PAIR_SHORT);
    key_bytes(k, name);
    key_u8(k, 0);
    return !k->over;
}

static bool add_matching_short(struct index_read *read, uint32_t ns, const struct label_matcher *m,
                               struct id_list *l)
{
    struct key prefix;
    if (!name_prefix(&prefix, ns, NULL, m->name))
        return true;
    AUTO(kv_cursor_closep) struct kv_cursor c;
    kv_cursor_open(&read->txn, KV_POSTINGS, &c);
    for (bool more = kv_seek(&c, key_slice(&prefix));
         more && slice_starts(c.key, key_slice(&prefix)); more = kv_next_key(&c))
        if (label_matcher_test(m, slice_from(c.key, prefix.len)) && !add_dups(l, &c))
            return false;
    return true;
}

// Splits "name NUL value"; false when there is no NUL.
static bool split_pair(struct slice pair, struct label *out)
{
    const uint8_t *nul = pair.len == 0 ? NULL : memchr(pair.ptr, 0, pair.len);
    if (nul == NULL)
        return false;
    size_t name_len = (size_t)(nul - pair.ptr);
    *out = (struct label){slice_of(pair.ptr, name_len), slice_from(pair, name_len + 1)};
    return true;
}

static bool add_matching_long(struct index_read *read, uint32_t ns, const struct label_matcher *m,
                              struct id_list *l)
{
    struct key prefix;
    key_start(&prefix);
    key_u32(&prefix, ns);
    AUTO(kv_cursor_closep) struct kv_cursor c;
    kv_cursor_open(&read->txn, KV_LONG_PAIRS, &c);
    for (bool more = kv_seek(&c, key_slice(&prefix));
         more && slice_starts(c.key, key_slice(&prefix)); more = kv_next(&c)) {
        struct label pair;
        if (split_pair(c.value, &pair) && slice_eq(pair.name, m->name) &&
            label_matcher_test(m, pair.value) && !add_value(read, ns, pair.name, pair.value, l))
            return false;
    }
    return true;
}

static bool add_matcher(struct index_read *read, uint32_t ns, const struct label_matcher *m,
                        struct id_list *l)
{
    if (m->op == MATCH_EQ)
        return add_value(read, ns, m->name, m->value, l);
    return add_matching_short(read, ns, m, l) && add_matching_long(read, ns, m, l);
}

static bool add_all(struct index_read *read, uint32_t ns, struct id_list *l)
{
    struct key prefix;
    key_start(&prefix);
    key_u32(&prefix, ns);
    AUTO(kv_cursor_closep) struct kv_cursor c;
    kv_cursor_open(&read->txn, KV_STREAMS, &c);
    for (bool more = kv_seek(&c, key_slice(&prefix));
         more && slice_starts(c.key, key_slice(&prefix)); more = kv_next(&c))
        if (c.key.len == 12 && !id_add(l, be_u64(c.key.ptr + 4)))
            return false;
    return true;
}

// Narrows l to the streams whose labels satisfy the matchers that are not positive.
static bool test_rest(struct index_read *read, uint32_t ns, const struct label_matcher *matchers,
                      size_t count, struct id_list *l, struct err *err)
{
    size_t rest = 0;
    for (size_t m = 0; m < count; m++)
        rest += !is_positive(&matchers[m]);
    if (rest == 0)
        return true;
    size_t kept = 0;
    for (size_t i = 0; i < l->count; i++) {
        struct slice labels;
        if (!index_labels(read, ns, l->ids[i], &labels, err))
            return false;
        bool pass = true;
        for (size_t m = 0; m < count && pass; m++)
            pass = is_positive(&matchers[m]) ||
                   label_matcher_test(&matchers[m], labels_find(labels, matchers[m].name));
        if (pass)
            l->ids[kept++] = l->ids[i];
    }
    l->count = kept;
    return true;
}

bool index_select(struct index_read *read, uint32_t ns, const struct label_matcher *matchers,
                  size_t count, struct arena *a, struct stream_ids *out, struct err *err)
{
    struct id_list all = {.arena = a};
    bool first = true;
    // Equality first: it reads one list, where a regex reads every value of its name.
    for (int round = 0; round < 2; round++) {
        for (size_t m = 0; m < count; m++) {
            if (!is_positive(&matchers[m]) || (matchers[m].op == MATCH_EQ) != (round == 0))
                continue;
            struct id_list one = {.arena = a};
            struct id_list *to = first ? &all : &one;
            if (!add_matcher(read, ns, &matchers[m], to))
                return arena_ok(a, "streams of a matcher", err);
            sort_unique(to);
            if (!first)
                intersect(&all, &one);
            first = false;
        }
    }
    if (first && !add_all(read, ns, &all))
        return arena_ok(a, "streams of a namespace", err);
    if (!kv_ok(&read->txn, err) || !test_rest(read, ns, matchers, count, &all, err))
        return false;
    *out = (struct stream_ids){all.ids, all.count};
    return true;
}

// --- rows of a generation ---------------------------------------------------------------------------

bool index_rows(struct index_read *read, uint32_t ns, uint64_t gen, const struct stream_ids *ids,
                bool (*visit)(void *ctx, size_t at, struct index_row row, struct err *err), void *ctx,
                struct err *err)
{
    AUTO(kv_cursor_closep) struct kv_cursor c;
    kv_cursor_open(&read->txn, KV_RUNS, &c);
    struct key k;
    key_start(&k);
    key_u32(&k, ns);
    key_u64(&k, gen);
    const size_t prefix_len = k.len;

    size_t at = 0;
    bool on_row = false;
    while (at < ids->count) {
        if (!on_row) {
            k.len = prefix_len;
            key_u64(&k, ids->ids[at]);
            if (!kv_seek(&c, key_slice(&k)))
                break;
        }
        if (c.key.len != prefix_len + 8 || memcmp(c.key.ptr, k.bytes, prefix_len) != 0)
            break;
        uint64_t id = be_u64(c.key.ptr + prefix_len);
        at = gallop(ids->ids, ids->count, at, id);
        if (at == ids->count)
            break;
        on_row = false;
        if (ids->ids[at] != id)
            continue;
        if (!visit(ctx, at, (struct index_row){c.value}, err))
            return false;
        // Dense selections walk on; the next look decides by itself when to seek again.
        if (++at < ids->count && !(on_row = kv_next(&c)))
            break;
    }
    return kv_ok(&read->txn, err);
}

// --- label pairs by day -----------------------------------------------------------------------------

typedef bool (*pair_visit)(void *ctx, const struct label *pair, struct err *err);

// Pairs of a day whose key is a hash.
static bool long_pairs_of_day(struct index_read *read, uint32_t ns, uint32_t day, pair_visit visit,
                              void *ctx, struct err *err)
{
    struct key prefix;
    key_start(&prefix);
    key_u32(&prefix, ns);
    key_u32(&prefix, day);
    key_u8(&prefix, PAIR_LONG);
    AUTO(kv_cursor_closep) struct kv_cursor c;
    kv_cursor_open(&read->txn, KV_DAYS, &c);
    for (bool more = kv_seek(&c, key_slice(&prefix));
         more && slice_starts(c.key, key_slice(&prefix)); more = kv_next(&c)) {
        struct key k;
        key_start(&k);
        key_u32(&k, ns);
        key_bytes(&k, slice_from(c.key, prefix.len - 1));
        struct slice text;
        struct label pair;
        if (kv_get(&read->txn, KV_LONG_PAIRS, key_slice(&k), &text) && split_pair(text, &pair) &&
            !visit(ctx, &pair, err))
            return false;
    }
    return true;
}

struct name_visit {
    bool (*visit)(void *ctx, struct slice name, struct err *err);
    void *ctx;
    struct slice wanted; // for values
};

static bool visit_long_name(void *ctx, const struct label *pair, struct err *err)
{
    const struct name_visit *v = ctx;
    return v->visit(v->ctx, pair->name, err);
}

static bool visit_long_value(void *ctx, const struct label *pair, struct err *err)
{
    const struct name_visit *v = ctx;
    return !slice_eq(pair->name, v->wanted) || v->visit(v->ctx, pair->value, err);
}

// First day >= `day` that has rows, or a larger one than any.
static bool next_day(struct kv_cursor *c, uint32_t ns, uint32_t day, uint32_t *day_out)
{
    struct key k;
    key_start(&k);
    key_u32(&k, ns);
    key_u32(&k, day);
    if (!kv_seek(c, key_slice(&k)) || c->key.len < 8 || be_u32(c->key.ptr) != ns)
        return false;
    *day_out = be_u32(c->key.ptr + 4);
    return true;
}

static bool short_names_of_day(struct kv_cursor *c, uint32_t ns, uint32_t day,
                               const struct name_visit *v, struct err *err)
{
    struct key k;
    key_start(&k);
    key_u32(&k, ns);
    key_u32(&k, day);
    key_u8(&k, PAIR_SHORT);
    const size_t prefix_len = k.len;
    while (kv_seek(c, key_slice(&k)) && c->key.len > prefix_len &&
           memcmp(c->key.ptr, k.bytes, prefix_len) == 0) {
        struct label pair;
        if (!split_pair(slice_from(c->key, prefix_len), &pair))
            return err_set(err, ERR_CORRUPT, "index: a day row holds no label pair");
        if (!v->visit(v->ctx, pair.name, err))
            return false;
        k.len = prefix_len;
        key_bytes(&k, pair.name);
        key_u8(&k, 1); // behind every `name NUL value`
    }
    return true;
}

bool index_day_names(struct index_read *read, uint32_t ns, uint32_t day_from, uint32_t day_to,
                     bool (*visit)(void *ctx, struct slice name, struct err *err), void *ctx,
                     struct err *err)
{
    struct name_visit v = {visit, ctx, {0}};
    AUTO(kv_cursor_closep) struct kv_cursor c;
    kv_cursor_open(&read->txn, KV_DAYS, &c);
    for (uint32_t day = day_from; next_day(&c, ns, day, &day) && day <= day_to; day++)
        if (!short_names_of_day(&c, ns, day, &v, err) ||
            !long_pairs_of_day(read, ns, day, visit_long_name, &v, err))
            return false;
    return kv_ok(&read->txn, err);
}

bool index_day_values(struct index_read *read, uint32_t ns, struct slice name, uint32_t day_from,
                      uint32_t day_to,
                      bool (*visit)(void *ctx, struct slice value, struct err *err), void *ctx,
                      struct err *err)
{
    struct name_visit v = {visit, ctx, name};
    AUTO(kv_cursor_closep) struct kv_cursor c;
    kv_cursor_open(&read->txn, KV_DAYS, &c);
    for (uint32_t day = day_from; next_day(&c, ns, day, &day) && day <= day_to; day++) {
        struct key prefix;
        bool fits = name_prefix(&prefix, ns, &day, name);
        for (bool more = fits && kv_seek(&c, key_slice(&prefix));
             more && slice_starts(c.key, key_slice(&prefix)); more = kv_next(&c))
            if (!visit(ctx, slice_from(c.key, prefix.len), err))
                return false;
        if (!long_pairs_of_day(read, ns, day, visit_long_value, &v, err))
            return false;
    }
    return kv_ok(&read->txn, err);
}
