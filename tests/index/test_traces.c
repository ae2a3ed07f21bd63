/* test_traces.c -- which segments have a trace: against a list that is obviously right, while segments come and go. */
#include "tap.h"

#include "base/codec.h"
#include "base/limits.h"
#include "index/index.h"
#include "index/state.h"

#include <stdio.h>
#include <stdlib.h>

static uint64_t state = 7;
static uint64_t manifest;

static uint64_t next_random(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return state ^ state >> 29;
}

static struct index *new_index(const char *name)
{
    struct err err;
    struct index *index;
    char dir[400];
    (void)snprintf(dir, sizeof dir, "%s/%s", tap_dir(), name);
    must(index_open(dir, KV_SCRATCH, &index, &err), &err);
    return index;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void swap(struct index *index, const uint64_t *gone, size_t gone_count, uint64_t gen,
                 const struct index_traces *traces, size_t traces_count)
{
    struct err err;
    struct index_segment row = {.gen = gen, .min_ns = 0, .max_ns = 1};
    struct index_swap s = {.gone = gone,
                           .gone_count = gone_count,
                           .segment = gen > 0 ? &row : NULL,
                           .traces = traces,
                           .traces_count = traces_count,
                           .manifest = ++manifest};
    must(index_swap(index, &s, &err), &err);
}

// --- the model --------------------------------------------------------------------------------------

enum { TENANTS = 3, SEGMENTS_MAX = 400, HASHES_MAX = 3000 };

struct live {
    uint64_t gen;
    uint64_t *hashes[TENANTS]; // owned; ascending, unique
    size_t counts[TENANTS];
};

static struct live live[SEGMENTS_MAX];
static size_t live_count;

static const char *tenant_name(size_t tenant)
{
    static const char *const names[TENANTS] = {"a", "b", "c"};
    return names[tenant];
}

// Hashes of few traces, so that many are in several segments; some differ in their low halves alone.
static uint64_t some_hash(void)
{
    uint64_t high = next_random() % 5000 * 858993;
    return high << 32 | next_random() % 2;
}

static void fill(struct live *l, uint64_t gen)
{
    *l = (struct live){.gen = gen};
    for (size_t t = 0; t < TENANTS; t++) {
        size_t count = next_random() % 5 == 0 ? 0 : next_random() % (t == 0 ? HASHES_MAX : 60);
        uint64_t *hashes = calloc(count + 2, sizeof *hashes);
        must(hashes != NULL, NULL);
        for (size_t i = 0; i < count; i++)
            hashes[i] = some_hash();
        hashes[count++] = UINT64_C(1) << 40; // a trace that is everywhere
        qsort(hashes, count, sizeof *hashes, by_value);
        size_t kept = 0;
        for (size_t i = 0; i < count; i++)
            if (kept == 0 || hashes[kept - 1] != hashes[i])
                hashes[kept++] = hashes[i];
        l->hashes[t] = hashes;
        l->counts[t] = kept;
    }
}

static void add(struct index *index, const uint64_t *gone, size_t gone_count, struct live *l)
{
    struct index_traces traces[TENANTS];
    for (size_t t = 0; t < TENANTS; t++)
        traces[t] = (struct index_traces){slice_cstr(tenant_name(t)), l->hashes[t], l->counts[t]};
    swap(index, gone, gone_count, l->gen, traces, TENANTS);
}

static void forget(size_t at)
{
    for (size_t t = 0; t < TENANTS; t++)
        free(live[at].hashes[t]);
    memmove(&live[at], &live[at + 1], (--live_count - at) * sizeof *live);
}

static bool has(const uint64_t *sorted, size_t count, uint32_t prefix)
{
    uint64_t key = (uint64_t)prefix << 32;
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (sorted[middle] < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && sorted[low] >> 32 == prefix;
}

struct visited {
    uint64_t gens[SEGMENTS_MAX];
    size_t count;
};

static bool visit(void *ctx, uint64_t gen, struct err *err)
{
    (void)err;
    struct visited *v = ctx;
    if (v->count < SEGMENTS_MAX)
        v->gens[v->count++] = gen;
    return true;
}

static bool is_found(struct index_read *read, uint32_t ns, size_t tenant, uint64_t hash)
{
    struct err err;
    struct visited got = {.count = 0};
    uint64_t want[SEGMENTS_MAX];
    size_t count = 0;
    must(index_trace_segments(read, ns, hash, visit, &got, &err), &err);
    for (size_t i = 0; i < live_count; i++)
        if (has(live[i].hashes[tenant], live[i].counts[tenant], (uint32_t)(hash >> 32)))
            want[count++] = live[i].gen;
    if (got.count != count)
        return false;
    if (count > 0) {
        qsort(got.gens, count, sizeof *got.gens, by_value);
        qsort(want, count, sizeof *want, by_value);
    }
    return memcmp(got.gens, want, count * sizeof *want) == 0;
}

static size_t wrong_answers(struct index *index, size_t questions)
{
    struct err err;
    struct index_read read;
    size_t wrong = 0;
    must(index_read_begin(index, &read, &err), &err);
    for (size_t t = 0; t < TENANTS; t++) {
        uint32_t ns;
        if (!index_namespace(&read, slice_cstr(tenant_name(t)), &ns, &err))
            continue;
        for (size_t i = 0; i < questions; i++)
            wrong += !is_found(&read, ns, t, some_hash());
        wrong += !is_found(&read, ns, t, UINT64_C(1) << 40);
        wrong += !is_found(&read, ns, t, 0) + !is_found(&read, ns, t, UINT64_MAX);
    }
    index_read_end(&read);
    return wrong;
}

// --- what is there ----------------------------------------------------------------------------------

struct census {
    size_t lists, components, components_max; // of one namespace
    size_t bytes;
    uint64_t entries, gone;
};

static struct census count_rows(struct index *index)
{
    struct err err;
    struct index_read read;
    struct census n = {0};
    must(index_read_begin(index, &read, &err), &err);
    {
        AUTO(kv_cursor_closep) struct kv_cursor c;
        kv_cursor_open(&read.txn, KV_TRACES, &c);
        for (bool more = kv_seek(&c, SLICE("\0")); more; more = kv_next(&c)) {
            n.bytes += c.key.len + c.value.len;
            if (c.key.len != 4)
                continue;
            size_t components = 0;
            for (struct rd r = rd_of(c.value); rd_left(&r) > 0 && !r.bad; components++) {
                (void)rd_varint(&r);
                n.entries += rd_varint(&r);
                n.gone += rd_varint(&r);
            }
            n.lists++;
            n.components += components;
            n.components_max = components > n.components_max ? components : n.components_max;
        }
    }
    index_read_end(&read);
    return n;
}

static void test_segments_come_and_go(void)
{
    struct index *index = new_index("model");
    size_t wrong = 0, components_max = 0;
    bool garbage = false;
    for (uint64_t gen = 1; gen <= 600; gen++) {
        uint64_t gone[8];
        size_t gone_count = 0, some = live_count > 8 && next_random() % 4 == 0 ? next_random() % 8 : 0;
        size_t at = live_count > 0 ? next_random() % 3 == 0 ? 0 : next_random() % live_count : 0;
        for (; gone_count < some && at < live_count; gone_count++) { // as compaction and retention do: neighbours
            gone[gone_count] = live[at].gen;
            forget(at);
        }
        if (live_count == SEGMENTS_MAX)
            break;
        if (gone_count > 0 && next_random() % 3 == 0) {
            swap(index, gone, gone_count, 0, NULL, 0);
        } else {
            fill(&live[live_count], gen % 50 == 0 && gone_count > 0 ? gone[0] : gen); // a generation may come back
            add(index, gone, gone_count, &live[live_count++]);
        }
        struct census n = count_rows(index);
        components_max = n.components_max > components_max ? n.components_max : components_max;
        garbage = garbage || n.gone > n.entries - n.gone;
        if (gen % 20 == 0)
            wrong += wrong_answers(index, 200);
    }
    ok(live_count > 50, "%zu segments are live", live_count);
    is_int(wrong, 0, "each trace is found in the segments that have it, and in no other");
    ok(components_max > 3 && components_max <= 3 * 10, "in few components at any time: %zu", components_max);
    ok(!garbage, "what is gone is never more than what is there");
    while (live_count > 0) {
        uint64_t gen = live[0].gen;
        forget(0);
        swap(index, &gen, 1, 0, NULL, 0);
    }
    struct census n = count_rows(index);
    is_int(n.bytes, 0, "nothing stays of segments that are gone");
    is_int(wrong_answers(index, 50), 0, "and nothing is found");
    index_close(index);
}

static void add_even(struct index *index, uint64_t gen, uint64_t *hashes, size_t count)
{
    uint64_t step = UINT64_MAX / (count + 1);
    for (size_t i = 0; i < count; i++)
        hashes[i] = i * step + gen * 7;
    swap(index, NULL, 0, gen, &(struct index_traces){SLICE("a"), hashes, count}, 1);
}

static void test_many_segments_take_few_pages(void)
{
    enum { SEGMENTS = 1000, TRACES = 4000 };
    struct index *index = new_index("many");
    uint64_t *hashes = calloc(TRACES, sizeof *hashes);
    must(hashes != NULL, NULL);
    for (uint64_t gen = 1; gen <= SEGMENTS; gen++) {
        for (size_t i = 0; i < TRACES; i++)
            hashes[i] = next_random();
        qsort(hashes, TRACES, sizeof *hashes, by_value);
        swap(index, NULL, 0, gen, &(struct index_traces){SLICE("a"), hashes, TRACES}, 1);
    }
    struct census n = count_rows(index);
    ok(n.components <= 15, "%zu components of %d segments", n.components, SEGMENTS);
    ok(n.bytes < (size_t)SEGMENTS * TRACES * 3, "less than three bytes a trace: %zu in all", n.bytes);
    struct err err;
    struct index_read read;
    struct visited v = {.count = 0};
    uint32_t ns;
    must(index_read_begin(index, &read, &err), &err);
    must(index_namespace(&read, SLICE("a"), &ns, &err), &err);
    for (size_t i = 0; i < TRACES; i++)
        must(index_trace_segments(&read, ns, next_random() | 1, visit, &v, &err), &err);
    // 4 million prefixes of 2^32 let one of a thousand others pass.
    ok(v.count <= 40, "%zu of %d unknown traces are taken for known", v.count, TRACES);
    index_read_end(&read);
    index_close(index);
    free(hashes);
}

// Four components of the greatest size are merged, larger ones are not.
static void test_the_greatest_run(void)
{
    size_t quarter = TRACES_COMPONENT_ENTRIES_MAX / TRACES_COMPONENTS_MERGED;
    uint64_t *hashes = calloc(quarter + 1, sizeof *hashes);
    must(hashes != NULL, NULL);
    for (size_t over = 0; over < 2; over++) {
        struct index *index = new_index(over ? "over" : "at");
        for (uint64_t gen = 1; gen <= TRACES_COMPONENTS_MERGED; gen++)
            add_even(index, gen, hashes, quarter + over);
        struct census n = count_rows(index);
        is_int(n.components, over ? TRACES_COMPONENTS_MERGED : 1, over ? "components above the limit" : "up to the limit");
        is_int(n.entries, TRACES_COMPONENTS_MERGED * (quarter + over), "with all entries");
        index_close(index);
    }
    free(hashes);
}

static void put_row(struct index *index, struct slice key, struct slice value)
{
    struct err err;
    struct kv_txn txn;
    must(kv_begin(index->kv, true, &txn, &err), &err);
    kv_put(&txn, KV_TRACES, key, value);
    must(kv_commit(&txn, &err), &err);
}

static void test_broken_rows_are_told(void)
{
    static const struct {
        const char *name;
        struct slice key, value;
    } cases[] = {
        {"a list", SLICE("\0\0\0\1"), SLICE("\1\x80")},
        {"a list with more gone than there", SLICE("\0\0\0\1"), SLICE("\1\5\6")},
        {"members", SLICE("\0\0\0\1\0\0\0\1"), SLICE("\1")},
        {"a component without members", SLICE("\0\0\0\1\0\0\0\1"), SLICE("")},
        {"a page", SLICE("\0\0\0\1\0\0\0\1\0\0\0\5\0\0\0\0"), SLICE("short")},
        {"a page of a member that is not there", SLICE("\0\0\0\1\0\0\0\1\0\0\0\5\0\0\0\0"),
         SLICE("\5\0\0\0\0\0\0\0\1\0\0\2\1\3")},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "broken%zu", i);
        struct index *index = new_index(name);
        uint64_t hash = UINT64_C(5) << 32;
        swap(index, NULL, 0, 1, &(struct index_traces){SLICE("a"), &hash, 1}, 1);
        struct err err = {0};
        struct index_read read;
        struct visited v = {.count = 0};
        must(index_read_begin(index, &read, &err), &err);
        ok(index_trace_segments(&read, 1, hash, visit, &v, &err) && v.count == 1, "%s: before", cases[i].name);
        index_read_end(&read);
        put_row(index, cases[i].key, cases[i].value);
        must(index_read_begin(index, &read, &err), &err);
        ok(!index_trace_segments(&read, 1, hash, visit, &v, &err) && err.code == ERR_CORRUPT, "%s: broken", cases[i].name);
        index_read_end(&read);
        index_close(index);
    }
}

int main(void)
{
    test_segments_come_and_go();
    test_many_segments_take_few_pages();
    test_the_greatest_run();
    test_broken_rows_are_told();
    return tap_done();
}
