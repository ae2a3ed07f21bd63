/* test_spans.c -- spans through head, seal, reopening and rebuilding; traces by ID; log entries that carry one. */
#include "batches.h"
#include "tap.h"

#include "base/fs.h"
#include "index/index.h"

#include <stdio.h>
#include <stdlib.h>

static char dir[512];

static void new_dir(const char *name)
{
    (void)snprintf(dir, sizeof dir, "%s/%s", tap_dir(), name);
}

static struct store *open_store(bool rebuild)
{
    struct err err;
    struct store *st;
    struct store_options options = {.dir = dir, .decode = test_decode, .rebuild_index = rebuild};
    must(store_open(&options, &st, &err), &err);
    return st;
}

static void is_trace(struct store *st, const char *tenant, uint64_t trace, const char *want, const char *name)
{
    AUTO(buf_done) struct buf out;
    buf_init(&out, 0);
    test_dump_trace(st, tenant, trace, &out);
    is_text(buf_slice(&out), want, name);
}

static void is_dump(struct store *st, const char *tenant, int64_t from_ns, int64_t to_ns, const char *want,
                    const char *name)
{
    AUTO(buf_done) struct buf out;
    buf_init(&out, 0);
    test_dump_spans(st, tenant, from_ns, to_ns, &out);
    is_text(buf_slice(&out), want, name);
}

static uint32_t push(struct store *st, const char *tenant, const struct test_span *spans, uint32_t count)
{
    struct err err;
    struct test_batch b;
    struct wal_payload payload;
    struct store_added added;
    test_batch_init(&b, tenant);
    for (uint32_t i = 0; i < count; i++)
        test_batch_add_span(&b, &spans[i]);
    payload = (struct wal_payload){SLICE("T"), buf_slice(&b.payload)};
    must(store_append(st, &b.batch, &payload, &added, &err), &err);
    test_batch_done(&b);
    return added.spans;
}

static const struct span_attribute SOME_ATTRIBUTES[] = {
    {{(const uint8_t *)"code", 4}, {.kind = VALUE_INT, .integer = 200}},
    {{(const uint8_t *)"path", 4}, {.kind = VALUE_STRING, .bytes = {(const uint8_t *)"/x", 2}}},
};
static const struct test_span SOME[] = {
    {1, 10, 0, "web", "GET /x", 1000, 500, KIND_SERVER, STATUS_UNSET, SOME_ATTRIBUTES, 2},
    {1, 11, 10, "cart", "load", 1100, 300, KIND_SERVER, STATUS_ERROR, NULL, 0},
    {2, 20, 0, "web", "GET /y", 5000, 10, KIND_SERVER, STATUS_OK, SOME_ATTRIBUTES, 1},
};
static const char *const TRACE_1 = "web GET /x a 0 1000 500 2 0 {code=200 path=/x}\n"
                                   "cart load b a 1100 300 2 2 {}\n";
static const char *const TRACE_2 = "web GET /y 14 0 5000 10 2 1 {code=200}\n";
static const char *const ALL = "cart load b a 1100 300 2 2 {}\n"
                               "web GET /x a 0 1000 500 2 0 {code=200 path=/x}\n"
                               "web GET /y 14 0 5000 10 2 1 {code=200}\n";

static void is_some(struct store *st, const char *when)
{
    is_trace(st, "t", 1, TRACE_1, when);
    is_trace(st, "t", 2, TRACE_2, when);
    is_trace(st, "t", 3, "", when);
    is_trace(st, "other", 1, "", when);
    is_dump(st, "t", INT64_MIN, INT64_MAX, ALL, when);
    is_dump(st, "t", 1001, 5000, "cart load b a 1100 300 2 2 {}\n", when);
    is_dump(st, "t", 6000, INT64_MAX, "", when);
    is_dump(st, "other", INT64_MIN, INT64_MAX, "", when);
}

static void test_spans_survive_every_way_of_opening(void)
{
    struct err err;
    new_dir("ways");
    struct store *st = open_store(false);
    is_int(push(st, "t", SOME, 3), 3, "spans are added");
    is_int(push(st, "t", SOME, 3), 0, "sent again they are not");
    is_some(st, "in the head");
    store_close(st);
    st = open_store(false);
    is_some(st, "replayed from the log");
    must(store_flush(st, &err), &err);
    is_some(st, "sealed");
    struct store_stats stats;
    store_stats(st, &stats);
    is_int(stats.segment_spans, 3, "the segment counts its spans");
    store_close(st);
    st = open_store(false);
    is_some(st, "opened again");
    store_close(st);
    st = open_store(true);
    is_some(st, "with a rebuilt index");
    store_stats(st, &stats);
    is_int(stats.segment_spans, 3, "the rebuilt row counts them");
    store_close(st);
}

static void test_a_trace_is_joined_from_wherever_it_lies(void)
{
    struct err err;
    new_dir("joined");
    struct store *st = open_store(false);
    push(st, "t", SOME, 1);
    must(store_flush(st, &err), &err);
    push(st, "t", SOME + 2, 1);
    must(store_flush(st, &err), &err);
    push(st, "t", SOME, 2); // one late, one sent again
    is_trace(st, "t", 1, TRACE_1, "from a segment and the head, each span once");
    must(store_flush(st, &err), &err);
    is_trace(st, "t", 1, TRACE_1, "from two segments");
    is_trace(st, "t", 2, TRACE_2, "another trace between them");

    struct arena a;
    arena_init(&a, UINT64_C(1) << 24);
    struct view *v;
    uint64_t *hashes;
    size_t count;
    uint8_t id[TRACE_ID_BYTES];
    must(view_begin(st, SLICE("t"), &v, &err), &err);
    must(view_spread_traces(v, INT64_MIN, INT64_MAX, &a, &hashes, &count, &err), &err);
    test_trace_id(1, id);
    ok(count == 1 && hashes[0] == hash64(slice_of(id, sizeof id)), "the trace in two segments is known as spread");
    view_settle(v);
    struct view_trace t;
    must(view_trace(v, id, &a, &t, &err), &err);
    is_int(t.spans_count, 2, "a settled view finds it, too");
    view_end(v);
    arena_done(&a);
    store_close(st);
}

static void test_the_first_stored_span_stays(void)
{
    struct err err;
    new_dir("first");
    struct store *st = open_store(false);
    struct test_span other = SOME[0];
    other.name = "changed";
    push(st, "t", SOME, 1);
    is_int(push(st, "t", &other, 1), 0, "the same IDs and kind: the same span");
    must(store_flush(st, &err), &err);
    push(st, "t", &other, 1);
    is_trace(st, "t", 1, "web GET /x a 0 1000 500 2 0 {code=200 path=/x}\n", "the older generation's stays");
    other.kind = KIND_CLIENT;
    is_int(push(st, "t", &other, 1), 1, "another kind: another span");
    is_trace(st, "t", 1,
             "web GET /x a 0 1000 500 2 0 {code=200 path=/x}\nweb changed a 0 1000 500 3 0 {code=200 path=/x}\n",
             "both halves of a shared span are there");
    store_close(st);
}

static void test_many_spans_of_many_tenants(void)
{
    enum { TENANTS = 3, TRACES = 3000, SPANS = 5 };
    struct err err;
    new_dir("many");
    struct store *st = open_store(false);
    for (int round = 0; round < 2; round++) {
        for (int tenant = 0; tenant < TENANTS; tenant++) {
            struct test_batch b;
            struct store_added added;
            char name[2] = {(char)('a' + tenant), 0};
            test_batch_init(&b, name);
            for (int i = 0; i < TRACES * SPANS; i++) // a trace's spans arrive apart
                test_batch_add_span(&b, &(struct test_span){.trace = (uint64_t)(i % TRACES + 1),
                                                            .id = (uint64_t)(i / TRACES + 1 + round * SPANS),
                                                            .service = i % 2 ? "one" : "two",
                                                            .name = "n",
                                                            .start_ns = (i % TRACES) * 1000 + i / TRACES,
                                                            .duration_ns = 5});
            struct wal_payload payload = {SLICE("T"), buf_slice(&b.payload)};
            must(store_append(st, &b.batch, &payload, &added, &err), &err);
            is_int(added.spans, TRACES * SPANS, "all are new");
            test_batch_done(&b);
        }
        for (int sealed = 0; sealed < 2; sealed++) {
            AUTO(buf_done) struct buf out;
            buf_init(&out, 0);
            test_dump_spans(st, "b", INT64_MIN, INT64_MAX, &out);
            size_t lines = 0;
            for (size_t i = 0; i < out.len; i++)
                lines += out.ptr[i] == '\n';
            is_int(lines, TRACES * SPANS * (round + 1), sealed ? "all in segments" : "all in the head");
            buf_reset(&out);
            test_dump_trace(st, "c", TRACES / 2, &out);
            lines = 0;
            for (size_t i = 0; i < out.len; i++)
                lines += out.ptr[i] == '\n';
            is_int(lines, SPANS * (round + 1), "a trace of them");
            must(store_flush(st, &err), &err);
        }
    }
    struct store_stats stats;
    store_stats(st, &stats);
    is_int(stats.segment_spans, TENANTS * TRACES * SPANS * 2, "and no more");
    store_close(st);
}

static void is_entries(struct store *st, const char *tenant, uint64_t trace, const char *want, const char *name)
{
    struct err err;
    AUTO(arena_done) struct arena a;
    arena_init(&a, UINT64_C(1) << 24);
    AUTO(buf_done) struct buf out;
    buf_init(&out, 0);
    struct view *v;
    struct view_trace_entry *entries;
    uint32_t count;
    uint8_t id[TRACE_ID_BYTES];
    test_trace_id(trace, id);
    must(view_begin(st, slice_cstr(tenant), &v, &err), &err);
    must(view_trace_entries(v, id, &a, &entries, &count, &err), &err);
    for (uint32_t i = 0; i < count; i++) {
        labels_print(&out, entries[i].labels);
        buf_printf(&out, " %lld %.*s\n", (long long)entries[i].time_ns, (int)entries[i].line.len, entries[i].line.ptr);
    }
    is_text(buf_slice(&out), want, name);
    view_end(v);
}

static void test_log_entries_are_found_by_their_trace(void)
{
    struct err err;
    uint32_t added;
    new_dir("entries");
    struct store *st = open_store(false);
    for (int round = 0; round < 2; round++) {
        struct test_batch b;
        test_batch_init(&b, "t");
        test_batch_add(&b, "{app=\"a\"}", 10, "short id", "{trace_id=\"1f\"}");
        test_batch_add(&b, "{app=\"a\"}", 11, "another", "{trace_id=\"20\"}");
        test_batch_add(&b, "{app=\"a\"}", 12, "none", NULL);
        test_batch_add(&b, "{app=\"a\"}", 13, "no hex", "{trace_id=\"xyz\"}");
        test_batch_add(&b, "{app=\"b\"}", 5, "long id, capitals",
                       "{trace_id=\"0000000000000000000000000000001F\", x=\"y\"}");
        test_batch_add(&b, "{app=\"b\"}", 6, "zeros", "{trace_id=\"0000\"}");
        test_batch_add(&b, "{app=\"b\"}", 7, "too long", "{trace_id=\"00000000000000000000000000000001F\"}");
        must(test_batch_append(st, &b, &added, &err), &err);
        test_batch_done(&b);
        const char *want = "{app=\"b\"} 5 long id, capitals\n{app=\"a\"} 10 short id\n";
        is_entries(st, "t", 0x1f, want, round ? "in a segment and the head, each once" : "in the head");
        must(store_flush(st, &err), &err);
        is_entries(st, "t", 0x1f, want, round ? "in two segments" : "in a segment");
        is_entries(st, "t", 0x20, "{app=\"a\"} 11 another\n", "the other");
        is_entries(st, "t", 0, "", "zeros are no ID");
        is_entries(st, "u", 0x1f, "", "not another tenant's");
    }
    store_close(st);
    st = open_store(true);
    is_entries(st, "t", 0x1f, "{app=\"b\"} 5 long id, capitals\n{app=\"a\"} 10 short id\n", "with a rebuilt index");
    store_close(st);
}

static void count_problem(void *ctx, const char *text)
{
    printf("# %s\n", text);
    ++*(int *)ctx;
}

static void test_verify_reads_spans_and_sees_a_flipped_bit(void)
{
    struct err err;
    new_dir("verify");
    struct store *st = open_store(false);
    push(st, "t", SOME, 3);
    must(store_flush(st, &err), &err);
    store_close(st);
    struct store_options options = {.dir = dir, .decode = test_decode};
    struct store_verify_stats stats;
    int problems = 0;
    must(store_verify(&options, count_problem, NULL, &problems, &stats, &err), &err);
    ok(problems == 0 && stats.spans == 3 && stats.span_blocks == 1, "a sound store has no problem");

    char path[600];
    (void)snprintf(path, sizeof path, "%s/segments/0000000000000001.seg", dir);
    FILE *f = fopen(path, "r+b");
    must(f != NULL, NULL);
    (void)fseek(f, 0, SEEK_END);
    long bytes = ftell(f);
    int unseen = 0;
    for (long pos = 0; pos < bytes; pos++) {
        (void)fseek(f, pos, SEEK_SET);
        int byte = fgetc(f);
        (void)fseek(f, pos, SEEK_SET);
        (void)fputc(byte ^ 4, f);
        (void)fflush(f);
        problems = 0;
        must(store_verify(&options, count_problem, NULL, &problems, &stats, &err), &err);
        unseen += problems == 0;
        (void)fseek(f, pos, SEEK_SET);
        (void)fputc(byte, f);
        (void)fflush(f);
    }
    (void)fclose(f);
    is_int(unseen, 0, "a flipped bit is seen at every byte of a segment");
}

static void set_version(const char *value)
{
    struct err err;
    struct kv *kv;
    struct kv_txn txn;
    char path[600];
    (void)snprintf(path, sizeof path, "%s/index", dir);
    must(kv_open(path, KV_WRITE, &kv, &err), &err);
    must(kv_begin(kv, true, &txn, &err), &err);
    if (value != NULL)
        kv_put(&txn, KV_META, SLICE("version"), slice_of(value, 8));
    else
        kv_del(&txn, KV_META, SLICE("version"));
    kv_put(&txn, KV_TRACES, SLICE("\0\0\0\1"), SLICE("other bytes"));
    must(kv_commit(&txn, &err), &err);
    kv_close(kv);
}

static void test_an_index_of_another_version_is_made_anew(void)
{
    static const char *const versions[] = {"\0\0\0\0\0\0\0\1", "\0\0\0\0\0\0\0\3", NULL};
    struct err err;
    new_dir("version");
    struct store *st = open_store(false);
    push(st, "t", SOME, 2);
    must(store_flush(st, &err), &err);
    push(st, "t", SOME + 2, 1);
    must(store_flush(st, &err), &err);
    for (size_t i = 0; i < COUNT_OF(versions); i++) {
        push(st, "t", &(struct test_span){.trace = 9, .id = i + 1, .service = "web", .name = "in the log", .start_ns = 5}, 1);
        store_close(st);
        set_version(versions[i]);
        st = open_store(false);
        is_trace(st, "t", 1, TRACE_1, versions[i] == NULL ? "one that was not completed" : "one of another version");
        is_trace(st, "t", 2, TRACE_2, "with all segments");
        store_close(st);
        st = open_store(false);
        is_trace(st, "t", 1, TRACE_1, "and it stays");
    }
    store_close(st);
}

int main(void)
{
    test_an_index_of_another_version_is_made_anew();
    test_spans_survive_every_way_of_opening();
    test_a_trace_is_joined_from_wherever_it_lies();
    test_the_first_stored_span_stays();
    test_many_spans_of_many_tenants();
    test_log_entries_are_found_by_their_trace();
    test_verify_reads_spans_and_sees_a_flipped_bit();
    return tap_done();
}
