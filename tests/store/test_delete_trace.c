/*
 * test_delete_trace.c -- a deleted trace: its spans and log entries are hidden at once wherever
 * they lie, go for good when the delay is over, and the receipt says what went; nothing else goes,
 * through restarts, lost indexes and failing calls.
 */
#include "batches.h"
#include "tap.h"

#include "base/clock.h"
#include "base/codec.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/metric.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define NOW_NS (INT64_C(1700000000) * NS_PER_S)
#define DELAY_NS NS_PER_HOUR

static char dir[512];

static void new_dir(const char *name, uint64_t n)
{
    (void)snprintf(dir, sizeof dir, "%s/%s-%" PRIu64, tap_dir(), name, n);
}

static struct store *open_store(bool rebuild)
{
    struct err err;
    struct store *st;
    struct store_options options = {
        .dir = dir, .decode = test_decode, .rebuild_index = rebuild, .delete_delay_ns = DELAY_NS};
    must(store_open(&options, &st, &err), &err);
    return st;
}

static struct store *reopen(struct store *st, bool rebuild)
{
    store_close(st);
    return open_store(rebuild);
}

static void seal(struct store *st)
{
    struct err err;
    must(store_flush(st, &err), &err);
}

// Two spans and a log entry of the trace, beside an entry without one. IDs of spans and lines begin
// with `first`.
static void push(struct store *st, const char *tenant, uint64_t trace, uint64_t first)
{
    struct err err;
    struct test_batch b;
    uint32_t added;
    char metadata[64], line[64];
    test_batch_init(&b, tenant);
    (void)snprintf(metadata, sizeof metadata, "{trace_id=\"%032" PRIx64 "\"}", trace);
    (void)snprintf(line, sizeof line, "of %" PRIu64 " %" PRIu64, trace, first);
    test_batch_add(&b, "{app=\"a\"}", NOW_NS + (int64_t)first, line, metadata);
    (void)snprintf(line, sizeof line, "of none %" PRIu64 " %" PRIu64, trace, first);
    test_batch_add(&b, "{app=\"b\"}", NOW_NS + (int64_t)first, line, NULL);
    for (uint64_t i = 0; i < 2; i++)
        test_batch_add_span(&b, &(struct test_span){.trace = trace,
                                                    .id = first + i,
                                                    .service = i == 0 ? "web" : "cart",
                                                    .name = "GET",
                                                    .start_ns = NOW_NS + (int64_t)(first + i),
                                                    .duration_ns = 5,
                                                    .kind = KIND_SERVER});
    must(test_batch_append(st, &b, &added, &err), &err);
    test_batch_done(&b);
}

static uint64_t delete_trace(struct store *st, const char *tenant, uint64_t trace)
{
    struct err err;
    uint64_t id;
    uint8_t trace_id[TRACE_ID_BYTES];
    test_trace_id(trace, trace_id);
    must(store_delete_trace(st, slice_cstr(tenant), trace_id, &id, &err), &err);
    return id;
}

// --- what the store says
// ----------------------------------------------------------------------------

static int count_of(struct slice text, const char *what)
{
    int count = 0;
    for (size_t at; (at = slice_find(text, slice_cstr(what))) != SIZE_MAX; count++)
        text = slice_from(text, at + 1);
    return count;
}

// Entries that log queries answer and whose line begins with it.
static int lines_of(struct store *st, const char *tenant, uint64_t trace)
{
    AUTO(buf_done) struct buf out;
    char what[32];
    buf_init(&out, 0);
    test_dump(st, tenant, INT64_MIN, INT64_MAX, &out);
    (void)snprintf(what, sizeof what, " of %" PRIu64 " ", trace);
    return count_of(buf_slice(&out), what);
}

static int lines_of_none(struct store *st, const char *tenant)
{
    AUTO(buf_done) struct buf out;
    buf_init(&out, 0);
    test_dump(st, tenant, INT64_MIN, INT64_MAX, &out);
    return count_of(buf_slice(&out), " of none ");
}

static int entries_of(struct store *st, const char *tenant, uint64_t trace)
{
    struct err err;
    AUTO(arena_done) struct arena a;
    AUTO(view_endp) struct view *v = NULL;
    struct view_trace_entry *entries;
    uint32_t count;
    uint8_t id[TRACE_ID_BYTES];
    arena_init(&a, 64 * MIB);
    test_trace_id(trace, id);
    must(view_begin(st, slice_cstr(tenant), &v, &err), &err);
    must(view_trace_entries(v, id, &a, &entries, &count, &err), &err);
    return (int)count;
}

// Bytes of the messages of a trace's spans.
static uint64_t bytes_of(struct store *st, const char *tenant, uint64_t trace)
{
    struct err err;
    AUTO(arena_done) struct arena a;
    AUTO(view_endp) struct view *v = NULL;
    AUTO(buf_done) struct buf b;
    struct view_trace t;
    uint8_t id[TRACE_ID_BYTES];
    arena_init(&a, 64 * MIB);
    buf_init(&b, 0);
    test_trace_id(trace, id);
    must(view_begin(st, slice_cstr(tenant), &v, &err), &err);
    must(view_trace(v, id, &a, &t, &err), &err);
    for (uint32_t i = 0; i < t.spans_count; i++)
        span_put(&b, &t.spans[i]);
    return b.len;
}

// `rounds` pushes of the trace are answered, by every way of asking.
static bool shows(struct store *st, const char *tenant, uint64_t trace, int rounds)
{
    int spans = test_count_trace(st, tenant, trace), entries = entries_of(st, tenant, trace),
        lines = lines_of(st, tenant, trace);
    if (spans == 2 * rounds && entries == rounds && lines == rounds)
        return true;
    printf("# %s/%" PRIu64
           ": %d spans, %d entries by trace, %d by log query; %d pushes are to be there\n",
           tenant, trace, spans, entries, lines, rounds);
    return false;
}

static struct store_deletion receipt_of(struct store *st, const char *tenant, uint64_t id)
{
    struct err err;
    AUTO(arena_done) struct arena a;
    struct store_deletion *items, found = {0};
    size_t count;
    arena_init(&a, MIB);
    must(store_deletions(st, slice_cstr(tenant), &a, &items, &count, &err), &err);
    for (size_t i = 0; i < count; i++)
        if (items[i].id == id)
            found = items[i];
    found.tenant = found.query = (struct slice){0}; // the arena's
    return found;
}

// What segments hold, hidden or not.
static uint64_t stored_spans(struct store *st)
{
    struct store_stats stats;
    store_stats(st, &stats);
    return stats.segment_spans;
}

// --- tests
// ------------------------------------------------------------------------------------------

static void is_hidden(struct store *st, int rounds, const char *when)
{
    ok(shows(st, "t", 1, 0), "%s: the trace is hidden", when);
    ok(shows(st, "t", 2, rounds) && shows(st, "u", 1, rounds) &&
           lines_of_none(st, "t") == 2 * rounds,
       "%s: another trace, another tenant's, and other entries are not", when);
}

static void push_all(struct store *st, uint64_t first)
{
    push(st, "t", 1, first);
    push(st, "t", 2, first);
    push(st, "u", 1, first);
}

static void test_hidden_wherever_it_lies(void)
{
    static const char *const names[] = {"head", "segment", "segments and head"};
    for (int where = 0; where < 3; where++) {
        new_dir("hidden", (uint64_t)where);
        clock_set_wall_ns(NOW_NS);
        struct store *st = open_store(false);
        int rounds = where == 2 ? 3 : 1;
        for (int i = 0; i < rounds; i++) {
            push_all(st, 10 + 10 * (uint64_t)i);
            if (where == 1 || (where == 2 && i < 2))
                seal(st);
        }
        ok(shows(st, "t", 1, rounds), "%s: there at first", names[where]);
        struct err err;
        AUTO(view_endp) struct view *before = NULL;
        must(view_begin(st, SLICE("t"), &before, &err), &err);
        uint64_t id = delete_trace(st, "t", 1);
        is_hidden(st, rounds, names[where]);
        AUTO(arena_done) struct arena a;
        struct view_trace t;
        uint8_t trace_id[TRACE_ID_BYTES];
        arena_init(&a, 16 * MIB);
        test_trace_id(1, trace_id);
        must(view_trace(before, trace_id, &a, &t, &err), &err);
        is_int(t.spans_count, 2 * rounds, "a view begun before still has it");
        view_end(MOVE(before));
        st = reopen(st, false);
        is_hidden(st, rounds, "after a restart");
        seal(st);
        is_hidden(st, rounds, "sealed");
        st = reopen(st, true);
        is_hidden(st, rounds, "with a rebuilt index");
        push(st, "t", 1, 900);
        ok(shows(st, "t", 1, 1), "what comes later is there");
        must(store_delete_cancel(st, SLICE("t"), id, false, &err), &err);
        ok(shows(st, "t", 1, rounds + 1), "taken back, all of it is");
        store_close(st);
    }
    clock_set_wall_ns(0);
}

static void test_gone_for_good(bool joined)
{
    new_dir("gone", joined);
    clock_set_wall_ns(NOW_NS);
    struct store *st = open_store(false);
    uint64_t dropped = metric_value(COUNTER_DELETED_SPANS);
    // Few segments are left alone, each rewritten for itself; many are joined.
    int rounds = joined ? 12 : 2;
    uint64_t line_bytes = 0;
    for (int i = 0; i < rounds; i++) {
        push_all(st, 10 + 10 * (uint64_t)i);
        line_bytes += (uint64_t)snprintf(NULL, 0, "of 1 %d", 10 + 10 * i);
        seal(st);
    }
    uint64_t bytes = bytes_of(st, "t", 1);
    uint64_t id = delete_trace(st, "t", 1);
    push(st, "t", 1, 10); // the same again: that is no duplicate of what is deleted
    push(st, "t", 2, 900);
    seal(st);
    if (!joined) {
        store_upkeep(st);
        is_int((int64_t)receipt_of(st, "t", id).spans, 0, "nothing goes while the delay lasts");
    }
    clock_set_wall_ns(NOW_NS + DELAY_NS);
    store_upkeep(st);
    struct store_deletion receipt = receipt_of(st, "t", id);
    ok(receipt.done_ns == NOW_NS + DELAY_NS, "when the delay is over the request is carried out");
    is_int((int64_t)receipt.spans, 2 * rounds, "the receipt counts spans");
    is_int((int64_t)receipt.span_bytes, (int64_t)bytes, "their bytes");
    is_int((int64_t)receipt.entries, rounds, "and entries");
    is_int((int64_t)receipt.line_bytes, (int64_t)line_bytes, "and theirs");
    is_int((int64_t)(metric_value(COUNTER_DELETED_SPANS) - dropped), 2 * rounds,
           "so does the metric");
    is_int((int64_t)stored_spans(st), 4 * rounds + 4, "segments hold what is left");
    for (int again = 0; again < 2; again++) {
        ok(shows(st, "t", 1, 1) && shows(st, "t", 2, rounds + 1) && shows(st, "u", 1, rounds),
           "what came later, and all others, are there");
        st = reopen(st, true);
    }
    struct store_deletion kept = receipt_of(st, "t", id);
    ok(memcmp(&kept, &receipt, sizeof kept) == 0, "the receipt stays");
    struct err err;
    ok(!store_delete_cancel(st, SLICE("t"), id, true, &err) && err.code == ERR_INPUT,
       "it cannot be taken back");
    store_close(st);
    clock_set_wall_ns(0);
}

// How many runs of a log query are read with a mask, and how many there are.
static int masked_runs(struct store *st, uint32_t *runs_out)
{
    struct err err;
    AUTO(arena_done) struct arena a;
    AUTO(view_endp) struct view *v = NULL;
    struct view_selection sel;
    int masked = 0;
    arena_init(&a, 16 * MIB);
    must(view_begin(st, SLICE("t"), &v, &err), &err);
    must(view_select(v, NULL, 0, INT64_MIN, INT64_MAX, &a, &sel, &err), &err);
    for (uint32_t i = 0; i < sel.runs_count; i++)
        masked += sel.runs[i].mask != NULL;
    *runs_out = sel.runs_count;
    return masked;
}

// The same of blocks of spans.
static int masked_blocks(struct store *st, uint32_t *blocks_out)
{
    struct err err;
    AUTO(arena_done) struct arena a;
    AUTO(view_endp) struct view *v = NULL;
    struct view_span_block *blocks;
    struct view_damage damage = {0};
    int masked = 0;
    arena_init(&a, 16 * MIB);
    must(view_begin(st, SLICE("t"), &v, &err), &err);
    must(view_span_blocks(v, INT64_MIN, INT64_MAX, false, &a, &blocks, blocks_out, &damage, &err),
         &err);
    for (uint32_t i = 0; i < *blocks_out; i++)
        masked += blocks[i].masked;
    return masked;
}

static void test_other_segments_are_read_as_before(void)
{
    uint32_t runs, blocks;
    new_dir("other", 0);
    struct store *st = open_store(false);
    push(st, "t", 1, 10);
    seal(st);
    push(st, "t", 2, 20);
    seal(st);
    push(st, "t", 3, 30);
    uint64_t id = delete_trace(st, "t", 1);
    seal(st);
    ok(masked_runs(st, &runs) == 2 && runs == 6,
       "two streams of the segment that has a deleted trace are masked, four are not");
    delete_trace(st, "t", 3);
    delete_trace(st, "u", 2);
    ok(masked_blocks(st, &blocks) == 2 && blocks == 3, "so are two of three blocks of spans");
    ok(masked_runs(st, &runs) == 4 && shows(st, "t", 2, 1),
       "so with two traces; another tenant's changes nothing");
    struct err err;
    must(store_delete_cancel(st, SLICE("t"), id, false, &err), &err);
    ok(masked_runs(st, &runs) == 2 && shows(st, "t", 1, 1) && shows(st, "t", 3, 0),
       "one taken back masks nothing");
    push(st, "t", 3, 40);
    seal(st);
    ok(masked_runs(st, &runs) == 2 && runs == 8 && shows(st, "t", 3, 1),
       "a segment that is younger than the request is not masked");
    store_close(st);
}

static void test_nothing_is_there(void)
{
    new_dir("nothing", 0);
    clock_set_wall_ns(NOW_NS);
    struct store *st = open_store(false);
    push_all(st, 10);
    uint64_t id = delete_trace(st, "t", 77), other = delete_trace(st, "nobody", 1);
    seal(st);
    uint64_t before = metric_value(COUNTER_COMPACTIONS);
    clock_set_wall_ns(NOW_NS + DELAY_NS);
    store_upkeep(st);
    struct store_deletion receipt = receipt_of(st, "t", id);
    ok(receipt.done_ns != 0 && receipt.entries + receipt.spans == 0,
       "a trace that is not there: a receipt of nothing");
    ok(receipt_of(st, "nobody", other).done_ns != 0, "so for a tenant that is not");
    is_int((int64_t)(metric_value(COUNTER_COMPACTIONS) - before), 0,
           "no segment is rewritten for that");
    ok(shows(st, "t", 1, 1) && shows(st, "u", 1, 1), "and nothing goes");
    store_close(st);
    clock_set_wall_ns(0);
}

// Whatever a trace was all that a segment had.
static void test_a_segment_of_it_alone(void)
{
    struct err err;
    struct test_batch b;
    uint32_t added;
    new_dir("alone", 0);
    clock_set_wall_ns(NOW_NS);
    struct store *st = open_store(false);
    test_batch_init(&b, "t");
    test_batch_add_span(
        &b, &(struct test_span){
                .trace = 1, .id = 1, .service = "web", .name = "GET", .start_ns = NOW_NS});
    must(test_batch_append(st, &b, &added, &err), &err);
    test_batch_done(&b);
    seal(st);
    delete_trace(st, "t", 1);
    clock_set_wall_ns(NOW_NS + DELAY_NS);
    store_upkeep(st);
    struct store_stats stats;
    store_stats(st, &stats);
    ok(stats.segment_spans == 0 && stats.segments_count == 0,
       "a segment of which nothing is left goes");
    store_close(st);
    clock_set_wall_ns(0);
}

// The file of version 1 has no counts of spans.
static void test_an_older_file_is_read(void)
{
    struct err err;
    AUTO(buf_done) struct buf b;
    AUTO(fs_closep) int fd = -1;
    char path[600];
    new_dir("older", 0);
    store_close(open_store(false));
    buf_init(&b, 0);
    put_u32(&b, 0x4c45444d);
    put_u32(&b, 1);
    put_varint(&b, 1);
    put_u64(&b, 7);
    put_prefixed(&b, SLICE("t"));
    put_prefixed(&b, SLICE("{app=\"a\"}"));
    for (int i = 0; i < 3; i++)
        put_i64(&b, i);
    put_u64(&b, 5);
    put_i64(&b, 9);
    put_varint(&b, 3);
    put_varint(&b, 300);
    put_u64(&b, hash64(buf_slice(&b)));
    (void)snprintf(path, sizeof path, "%s/deletions", dir);
    must(fs_create(path, true, &fd, &err) && fs_write_at(fd, path, 0, buf_slice(&b), &err), &err);
    struct store *st = open_store(false);
    struct store_deletion got = receipt_of(st, "t", 7);
    ok(got.done_ns == 9 && got.entries == 3 && got.line_bytes == 300 && got.spans == 0 &&
           got.span_bytes == 0,
       "a receipt of version 1");
    uint64_t id = delete_trace(st, "t", 1);
    st = reopen(st, false);
    ok(receipt_of(st, "t", 7).line_bytes == 300 && receipt_of(st, "t", id).id == id,
       "beside later ones");
    store_close(st);
}

// Fails the 1st, 2nd, ... call while the request is made, or carried out.
static void test_failing_calls(bool sticky, bool carried_out)
{
    struct err err;
    bool good = true, failed = true;
    uint64_t n = 1;
    uint8_t trace_id[TRACE_ID_BYTES];
    test_trace_id(1, trace_id);
    for (; failed && good && n < 500; n++) {
        uint64_t id;
        bool acked = carried_out;
        clock_set_wall_ns(NOW_NS);
        new_dir(carried_out ? (sticky ? "out-all" : "out-one") : (sticky ? "ask-all" : "ask-one"),
                n);
        struct store *st = open_store(false);
        push_all(st, 10);
        if (carried_out) {
            delete_trace(st, "t", 1);
            seal(st);
            clock_set_wall_ns(NOW_NS + DELAY_NS);
        }
        fs_fail_at(n, EIO, sticky);
        if (carried_out)
            store_upkeep(st);
        else
            acked = store_delete_trace(st, SLICE("t"), trace_id, &id, &err);
        failed = fs_failed();
        store_close(st);
        fs_fail_at(0, 0, false);
        st = open_store(n % 2 == 0);
        good = (!acked || shows(st, "t", 1, 0)) && shows(st, "t", 2, 1) && shows(st, "u", 1, 1);
        clock_set_wall_ns(NOW_NS + DELAY_NS);
        seal(st);
        store_upkeep(st);
        good = good && (!acked || (shows(st, "t", 1, 0) && stored_spans(st) == 4)) &&
               shows(st, "t", 2, 1) && shows(st, "u", 1, 1);
        store_close(st);
    }
    ok(good && !failed && n > 3,
       "%s, %s: hidden, gone in the end, and the rest there after each of %" PRIu64 " failures",
       carried_out ? "carrying out" : "asking", sticky ? "all calls from then on" : "one call",
       n - 1);
    clock_set_wall_ns(0);
}

int main(void)
{
    test_hidden_wherever_it_lies();
    test_gone_for_good(false);
    test_gone_for_good(true);
    test_other_segments_are_read_as_before();
    test_nothing_is_there();
    test_a_segment_of_it_alone();
    test_an_older_file_is_read();
    for (int i = 0; i < 4; i++)
        test_failing_calls(i % 2 != 0, i >= 2);
    return tap_done();
}
