/* test_index.c -- segments in and out, postings by matchers, long pairs, days. */
#include "tap.h"

#include "base/labels.h"
#include "base/limits.h"
#include "index/index.h"

#include <stdio.h>
#include <stdlib.h>

static struct arena arena;
static char long_value[2000];

static struct slice encode(const char *name, const char *value, const char *more)
{
    struct label pairs[2] = {{slice_cstr(name), slice_cstr(value)}, {SLICE("zone"), slice_cstr(more)}};
    struct labels l = {pairs, 2};
    uint8_t *to = arena_alloc(&arena, labels_encoded_bytes(&l));
    labels_encode_at(to, &l);
    return slice_of(to, labels_encoded_bytes(&l));
}

static struct index_stream stream(const char *tenant, struct slice labels, int64_t time_ns)
{
    struct index_run *run = arena_zalloc(&arena, sizeof *run);
    uint32_t *day = arena_zalloc(&arena, sizeof *day);
    *run = (struct index_run){.entries_count = 3, .min_ns = time_ns, .max_ns = time_ns + 10, .line_bytes = 30};
    *day = index_day(time_ns);
    return (struct index_stream){slice_cstr(tenant), labels, hash_128(labels), run, 1, day, 1};
}

static void add(struct index *index, uint64_t gen, struct index_stream *streams, size_t count)
{
    struct err err;
    struct index_segment row = {.gen = gen, .min_ns = 0, .max_ns = 10, .entries = 3 * count, .streams = count};
    struct index_swap swap = {.segment = &row, .streams = streams, .streams_count = count, .manifest = gen};
    must(index_swap(index, &swap, &err), &err);
}

static size_t selected(struct index *index, const char *tenant, const struct label_matcher *m, size_t count)
{
    struct err err = {0};
    struct index_read read;
    struct stream_ids ids = {0};
    uint32_t ns;
    must(index_read_begin(index, &read, &err), &err);
    if (index_namespace(&read, slice_cstr(tenant), &ns, &err))
        must(index_select(&read, ns, m, count, &arena, &ids, &err), &err);
    index_read_end(&read);
    return ids.count;
}

static bool starts_with_v(const void *regex, struct slice value)
{
    (void)regex;
    return value.len > 0 && value.ptr[0] == 'v';
}

static void test_select(struct index *index)
{
    struct label_matcher eq = {SLICE("app"), MATCH_EQ, SLICE("v1"), NULL, NULL};
    struct label_matcher zone = {SLICE("zone"), MATCH_EQ, SLICE("z"), NULL, NULL};
    struct label_matcher ne = {SLICE("app"), MATCH_NE, SLICE("v1"), NULL, NULL};
    struct label_matcher re = {SLICE("app"), MATCH_RE, SLICE("v.*"), starts_with_v, NULL};
    struct label_matcher nre = {SLICE("app"), MATCH_NRE, SLICE("v.*"), starts_with_v, NULL};
    struct label_matcher absent = {SLICE("none"), MATCH_EQ, SLICE(""), NULL, NULL};
    struct label_matcher lengthy = {SLICE("app"), MATCH_EQ, slice_cstr(long_value), NULL, NULL};
    is_int(selected(index, "t", NULL, 0), 4, "no matcher: every stream of the tenant");
    is_int(selected(index, "t", &eq, 1), 1, "equality");
    is_int(selected(index, "t", &zone, 1), 3, "equality with several streams");
    is_int(selected(index, "t", &re, 1), 3, "a regex, over short and long values");
    is_int(selected(index, "t", &lengthy, 1), 1, "a value too long for a key");
    is_int(selected(index, "t", (struct label_matcher[]){zone, ne}, 2), 2, "equality and inequality");
    is_int(selected(index, "t", (struct label_matcher[]){nre, zone}, 2), 1, "a negated regex");
    is_int(selected(index, "t", (struct label_matcher[]){absent, eq}, 2), 1, "an absent label is empty");
    is_int(selected(index, "u", NULL, 0), 1, "another tenant sees its own");
    is_int(selected(index, "nobody", NULL, 0), 0, "an unknown one nothing");
}

static bool count_name(void *ctx, struct slice name, struct err *err)
{
    (void)name;
    (void)err;
    ++*(int *)ctx;
    return true;
}

static void test_days(struct index *index)
{
    struct err err = {0};
    struct index_read read;
    uint32_t ns = 0;
    int names = 0, values = 0, other = 0;
    must(index_read_begin(index, &read, &err), &err);
    must(index_namespace(&read, SLICE("t"), &ns, &err), &err);
    uint32_t day = index_day(0);
    must(index_day_names(&read, ns, day, day, count_name, &names, &err), &err);
    must(index_day_values(&read, ns, SLICE("app"), day, day, count_name, &values, &err), &err);
    must(index_day_values(&read, ns, SLICE("app"), day + 1, day + 9, count_name, &other, &err), &err);
    index_read_end(&read);
    ok(names >= 2, "names of a day");
    is_int(values, 4, "values of a day, the long one too");
    is_int(other, 0, "another day has none");
    is_int(index_day(-1), INDEX_DAY_BIAS - 1, "days before 1970 come before");
}

static void test_segments_come_and_go(struct index *index)
{
    struct err err;
    struct index_read read;
    struct index_segment *rows;
    size_t count;
    struct index_stream again[] = {stream("t", encode("app", "v1", "z"), 5)};
    add(index, 2, again, 1);
    must(index_read_begin(index, &read, &err), &err);
    ok(read.manifest == 2 && index_streams_count(&read) == 5, "a known stream keeps its id");
    must(index_segments(&read, &arena, &rows, &count, &err), &err);
    ok(count == 2 && rows[0].gen == 1 && rows[1].gen == 2, "segments by generation");
    index_read_end(&read);
    struct index_swap drop = {.gone = (const uint64_t[]){1}, .gone_count = 1, .manifest = 3};
    must(index_swap(index, &drop, &err), &err);
    must(index_read_begin(index, &read, &err), &err);
    must(index_segments(&read, &arena, &rows, &count, &err), &err);
    ok(count == 1 && rows[0].gen == 2 && read.manifest == 3, "a dropped one is gone, in one commit with the number");
    index_read_end(&read);
}

static size_t days_values(struct index *index, int64_t time_ns);

static void test_sweep(struct index *index)
{
    enum { MANY = 5000 };
    struct err err;
    struct index_sweep sweep = {0};
    const struct label_matcher long_one = {SLICE("app"), MATCH_EQ, slice_cstr(long_value), NULL, NULL};
    const struct label_matcher v1 = {SLICE("app"), MATCH_EQ, SLICE("v1"), NULL, NULL};
    const struct label_matcher any = {SLICE("app"), MATCH_RE, SLICE("v.*"), starts_with_v, NULL};
    // More than one piece, of which generation 4 names every third.
    struct index_stream *streams = arena_array(&arena, MANY, sizeof *streams);
    for (int i = 0; i < MANY; i++) {
        char value[16];
        (void)snprintf(value, sizeof value, "v%05d", i);
        struct slice kept = arena_copy(&arena, slice_cstr(value));
        streams[i] = stream("t", encode("app", arena_printf(&arena, "%.*s", SLICE_FMT(kept)), "z"), INT64_C(86400000000000) * 3);
    }
    add(index, 3, streams, MANY);
    size_t named = 0;
    for (int i = 0; i < MANY; i++)
        if (slice_find(streams[i].labels, SLICE("v00")) == SIZE_MAX)
            streams[named++] = streams[i];
    add(index, 4, streams, named);
    struct index_swap drop = {.gone = (const uint64_t[]){3}, .gone_count = 1, .manifest = 5};
    must(index_swap(index, &drop, &err), &err);
    ok(selected(index, "t", &any, 1) == 3 + MANY, "streams of dropped segments are still known");
    int pieces = 0;
    for (; !sweep.done && pieces < 100; pieces++)
        must(index_sweep(index, &sweep, index_day(0) + 3, &err), &err);
    ok(sweep.done && pieces > 3, "a sweep ends after %d pieces", pieces);
    is_int((int64_t)sweep.streams_removed, 4 + MANY - (int64_t)named, "what no segment names is removed");
    is_int((int64_t)selected(index, "t", &any, 1), (int64_t)named + 1, "what one names stays, with its postings");
    is_int((int64_t)selected(index, "t", &v1, 1), 1, "also of the oldest segment");
    is_int((int64_t)selected(index, "u", &v1, 1), 0, "and of no other tenant");
    is_int((int64_t)selected(index, "t", &long_one, 1), 0, "long pairs go too");
    is_int((int64_t)days_values(index, 0), 0, "days before the first are gone");
    ok(days_values(index, INT64_C(86400000000000) * 3) == MANY, "others stay");
    struct index_sweep again = {0};
    while (!again.done)
        must(index_sweep(index, &again, 0, &err), &err);
    is_int((int64_t)(again.streams_removed + again.days_removed), 0, "a second finds nothing");
    struct index_stream back[] = {stream("t", encode("app", "v00001", "z"), 0)};
    add(index, 6, back, 1);
    is_int((int64_t)selected(index, "t", &any, 1), (int64_t)named + 2, "a removed stream may come back");
}

static bool count_value(void *ctx, struct slice value, struct err *err)
{
    (void)value, (void)err;
    ++*(size_t *)ctx;
    return true;
}

static size_t days_values(struct index *index, int64_t time_ns)
{
    struct err err;
    struct index_read read;
    size_t count = 0;
    uint32_t ns;
    must(index_read_begin(index, &read, &err), &err);
    must(index_namespace(&read, SLICE("t"), &ns, &err), &err);
    must(index_day_values(&read, ns, SLICE("app"), index_day(time_ns), index_day(time_ns), count_value, &count, &err), &err);
    index_read_end(&read);
    return count;
}

static void test_completion(const char *dir)
{
    struct err err;
    struct index *index;
    struct kv *kv;
    struct kv_txn txn;
    const struct slice version = SLICE("version");
    must(kv_open(dir, KV_WRITE, &kv, &err), &err);
    must(kv_begin(kv, true, &txn, &err), &err);
    kv_put(&txn, KV_META, version, SLICE("\0\0\0\0\0\0\0\1"));
    must(kv_commit(&txn, &err), &err);
    kv_close(kv);
    ok(!index_open(dir, KV_WRITE, &index, &err) && err.code == ERR_VERSION, "an index of another version is none");
    must(kv_open(dir, KV_WRITE, &kv, &err), &err);
    must(kv_begin(kv, true, &txn, &err), &err);
    kv_del(&txn, KV_META, version);
    must(kv_commit(&txn, &err), &err);
    kv_close(kv);
    ok(!index_open(dir, KV_READ, &index, &err) && err.code == ERR_VERSION, "one that was not completed is none");
    ok(!index_open(dir, KV_WRITE, &index, &err) && err.code == ERR_VERSION, "for its writer, too");
}

int main(void)
{
    struct err err;
    struct index *index;
    char dir[400];
    arena_init(&arena, 64 * MIB);
    memset(long_value, 'v', sizeof long_value - 1);
    (void)snprintf(dir, sizeof dir, "%s/index", tap_dir());
    must(index_open(dir, KV_WRITE, &index, &err), &err);
    struct index_stream first[] = {
        stream("t", encode("app", "v1", "z"), 0), stream("t", encode("app", "v2", "z"), 0),
        stream("t", encode("app", long_value, "y"), 0), stream("t", encode("app", "x", "z"), 0),
        stream("u", encode("app", "v1", "z"), 0),
    };
    add(index, 1, first, COUNT_OF(first));
    test_select(index);
    test_days(index);
    test_segments_come_and_go(index);
    test_sweep(index);
    must(index_complete(index, &err), &err);
    must(index_complete(index, &err), &err); // it is already
    index_close(index);
    struct index *reader;
    ok(index_open(dir, KV_READ, &reader, &err), "a reader opens what is there");
    index_close(reader);
    test_completion(dir);
    ok(!index_open(tap_dir(), KV_READ, &reader, &err), "and nothing where nothing is");
    arena_done(&arena);
    return tap_done();
}
