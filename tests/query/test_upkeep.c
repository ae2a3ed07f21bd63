/*
 * test_upkeep.c -- retention rules, requests to delete, compaction, restarts and lost indexes, in random order over a clock
 * that is set, against a list of entries: at every moment exactly what the rules keep is answered, and in the end exactly
 * that is on disk.
 */
#include "../store/batches.h"
#include "tap.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/metric.h"
#include "query/query.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { ENTRIES_MAX = 6000, REQUESTS_MAX = 200, STEPS = 260, SEEDS = 4, TRACES = 20 };
#define EPOCH_NS (INT64_C(1700000000) * NS_PER_S)
#define DELAY_NS NS_PER_DAY

struct entry {
    int env, job; // labels
    int64_t time_ns;
    int number; // of its line
    int64_t pushed; // step
};

struct request {
    uint64_t id;
    int env; // -1: any
    int digit; // the line's last; -1: any
    int trace; // whose entries it is about, and nothing else: number % TRACES; 0: it is by the others
    int64_t from_ns, to_ns, created_ns;
    int64_t asked; // step
    bool cancelled;
};

static struct entry entries[ENTRIES_MAX];
static struct request requests[REQUESTS_MAX];
static int entries_count, requests_count;
static int64_t now_ns, step;
static uint64_t seed;
static char dir[512];

static const char *const envs[] = {"dev", "prod", "audit"};
static const int64_t periods[] = {2 * NS_PER_DAY, 6 * NS_PER_DAY, 0};

static unsigned roll(unsigned n)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (unsigned)(seed >> 33) % n;
}

static struct store *open_store(bool rebuild)
{
    static const struct label_matcher dev[] = {{SLICE("env"), MATCH_EQ, SLICE("dev"), NULL, NULL}};
    static const struct label_matcher audit[] = {{SLICE("env"), MATCH_EQ, SLICE("audit"), NULL, NULL}};
    static const struct retention_rule rules[] = {{.matchers = dev, .matchers_count = 1, .period_ns = 2 * NS_PER_DAY},
                                                  {.matchers = audit, .matchers_count = 1, .period_ns = 0}};
    struct err err;
    struct store *st;
    struct store_options options = {.dir = dir,
                                    .decode = test_decode,
                                    .retention = {6 * NS_PER_DAY, rules, 2},
                                    .filter_ops = &query_filter_ops,
                                    .delete_delay_ns = DELAY_NS,
                                    .rebuild_index = rebuild};
    must(store_open(&options, &st, &err), &err);
    return st;
}

// --- the model --------------------------------------------------------------------------------------

static bool lives(const struct entry *e)
{
    int64_t period_ns = periods[e->env];
    if (period_ns != 0 && e->time_ns < now_ns - period_ns)
        return false;
    for (int i = 0; i < requests_count; i++) {
        const struct request *r = &requests[i];
        if (r->trace > 0 && r->trace == e->number % TRACES && !r->cancelled && e->pushed < r->asked)
            return false;
        if (r->trace == 0 && !r->cancelled && e->pushed < r->asked && (r->env < 0 || r->env == e->env) &&
            (r->digit < 0 || r->digit == e->number % 10) && e->time_ns >= r->from_ns && e->time_ns <= r->to_ns)
            return false;
    }
    return true;
}

static int by_entry(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->time_ns != y->time_ns)
        return x->time_ns < y->time_ns ? -1 : 1;
    if (x->env != y->env)
        return x->env - y->env;
    if (x->job != y->job)
        return x->job - y->job;
    return x->number - y->number;
}

// --- what the store says ----------------------------------------------------------------------------

struct got {
    struct entry items[ENTRIES_MAX];
    int count;
};

static bool take(void *ctx, const struct query_entry *e, struct err *err)
{
    (void)err;
    struct got *g = ctx;
    struct entry *to = &g->items[g->count++];
    *to = (struct entry){.time_ns = e->time_ns};
    for (size_t i = 5; i < e->line.len; i++)
        to->number = to->number * 10 + (e->line.ptr[i] - '0');
    struct slice env = labels_find(e->labels, SLICE("env"));
    while (!slice_eq(env, slice_cstr(envs[to->env])))
        to->env++;
    to->job = labels_find(e->labels, SLICE("job")).ptr[0] - '0';
    return g->count < ENTRIES_MAX;
}

static bool agrees(struct store *st)
{
    static struct got got, want;
    struct err err;
    AUTO(arena_done) struct arena a;
    arena_init(&a, QUERY_ARENA_BYTES_MAX);
    AUTO(query_freep) struct query *query = NULL;
    struct query_result result;
    struct query_range range = {.from_ns = INT64_MIN, .to_ns = INT64_MAX, .forward = true};
    struct query_context context = {.store = st, .tenant = SLICE("t"), .arena = &a};
    got.count = want.count = 0;
    must(query_parse(SLICE("{env=~\".+\"}"), &a, &query, &err), &err);
    must(query_visit(query, &range, &context, take, &got, &result, &err), &err);
    for (int i = 0; i < entries_count; i++)
        if (lives(&entries[i]))
            want.items[want.count++] = entries[i];
    qsort(got.items, (size_t)got.count, sizeof *got.items, by_entry);
    qsort(want.items, (size_t)want.count, sizeof *want.items, by_entry);
    // Entries that were pushed twice are one, as long as either lives.
    int kept = 0;
    for (int i = 0; i < want.count; i++)
        if (kept == 0 || by_entry(&want.items[kept - 1], &want.items[i]) != 0)
            want.items[kept++] = want.items[i];
    bool same = got.count == kept && result.warnings_count == 0;
    for (int i = 0; i < kept && same; i++)
        same = by_entry(&got.items[i], &want.items[i]) == 0;
    if (!same)
        printf("# step %" PRId64 ": %d entries answered, %d live, %u warnings\n", step, got.count, kept, result.warnings_count);
    for (int i = 0; i < kept && !same; i++)
        if (by_entry(&got.items[i], &want.items[i]) != 0) {
            printf("# got %d of %s/%d at %" PRId64 ", want %d of %s/%d at %" PRId64 "\n", got.items[i].number,
                   envs[got.items[i].env], got.items[i].job, got.items[i].time_ns, want.items[i].number,
                   envs[want.items[i].env], want.items[i].job, want.items[i].time_ns);
            break;
        }
    return same;
}

// A count by the index and by columns agrees with the entries.
static bool counts_agree(struct store *st)
{
    struct err err;
    AUTO(arena_done) struct arena a;
    arena_init(&a, QUERY_ARENA_BYTES_MAX);
    AUTO(query_freep) struct query *query = NULL;
    struct query_result result;
    struct query_range range = {.from_ns = now_ns + NS_PER_DAY, .to_ns = now_ns + NS_PER_DAY};
    struct query_context context = {.store = st, .tenant = SLICE("t"), .arena = &a};
    must(query_parse(SLICE("sum(count_over_time({env=\"prod\"}[30d]))"), &a, &query, &err), &err);
    must(query_run(query, &range, &context, &result, &err), &err);
    static struct entry prod[ENTRIES_MAX];
    int count = 0, want = 0;
    for (int i = 0; i < entries_count; i++)
        if (entries[i].env == 1 && lives(&entries[i]))
            prod[count++] = entries[i];
    qsort(prod, (size_t)count, sizeof *prod, by_entry);
    for (int i = 0; i < count; i++)
        want += i == 0 || by_entry(&prod[i - 1], &prod[i]) != 0;
    double got = result.series_count == 1 ? result.series[0].samples[0].value : 0;
    if ((int)got != want)
        printf("# step %" PRId64 ": counted %g, %d live\n", step, got, want);
    return (int)got == want;
}

// --- steps ------------------------------------------------------------------------------------------

static void push_some(struct store *st)
{
    struct err err;
    struct test_batch b;
    uint32_t added;
    test_batch_init(&b, "t");
    for (unsigned n = 1 + roll(30); n > 0 && entries_count < ENTRIES_MAX; n--) {
        struct entry e = {(int)roll(3), (int)roll(2), 0, entries_count, step};
        e.time_ns = now_ns - (int64_t)roll(2000) * (NS_PER_DAY * 7 / 2000);
        if (entries_count > 0 && roll(5) == 0) { // again
            e = entries[roll((unsigned)entries_count)];
            e.pushed = step;
        }
        char labels[64], line[32], trace[64];
        (void)snprintf(labels, sizeof labels, "{env=\"%s\", job=\"%d\"}", envs[e.env], e.job);
        (void)snprintf(line, sizeof line, "line %d", e.number);
        (void)snprintf(trace, sizeof trace, "{trace_id=\"%x\"}", e.number % TRACES);
        test_batch_add(&b, labels, e.time_ns, line, e.number % TRACES > 0 ? trace : NULL);
        entries[entries_count++] = e;
    }
    if (b.batch.entries_count > 0)
        must(test_batch_append(st, &b, &added, &err), &err);
    test_batch_done(&b);
}

static void ask(struct store *st)
{
    struct err err;
    if (requests_count == REQUESTS_MAX)
        return;
    struct request *r = &requests[requests_count];
    *r = (struct request){.env = (int)roll(4) - 1, .digit = (int)roll(12) - 2, .created_ns = now_ns, .asked = step};
    r->digit = r->digit < 0 ? -1 : r->digit;
    r->from_ns = now_ns - (int64_t)roll(7000) * (NS_PER_DAY / 1000);
    r->to_ns = r->from_ns + (int64_t)roll(1000) * (NS_PER_DAY / 1000);
    char text[128], digit[32] = "";
    if (r->digit >= 0)
        (void)snprintf(digit, sizeof digit, " |~ \"%d$\"", r->digit);
    (void)snprintf(text, sizeof text, "{env=~\"%s\"}%s", r->env < 0 ? ".+" : envs[r->env], digit);
    struct store_deletion d = {.tenant = SLICE("t"), .query = slice_cstr(text), .from_ns = r->from_ns, .to_ns = r->to_ns + 1};
    must(store_delete(st, &d, &r->id, &err), &err);
    requests_count++;
}

static void ask_for_trace(struct store *st)
{
    struct err err;
    uint8_t id[TRACE_ID_BYTES];
    if (requests_count == REQUESTS_MAX)
        return;
    struct request *r = &requests[requests_count++];
    *r = (struct request){.trace = 1 + (int)roll(TRACES - 1), .created_ns = now_ns, .asked = step};
    test_trace_id((uint64_t)r->trace, id);
    must(store_delete_trace(st, SLICE("t"), id, &r->id, &err), &err);
}

static void take_back(struct store *st)
{
    struct err err;
    if (requests_count == 0)
        return;
    struct request *r = &requests[roll((unsigned)requests_count)];
    bool may = !r->cancelled && r->created_ns >= now_ns - DELAY_NS;
    bool did = store_delete_cancel(st, SLICE("t"), r->id, false, &err);
    if (did != may && !r->cancelled)
        ok(false, "step %" PRId64 ": taking back %s", step, may ? err.text : "too late");
    r->cancelled = r->cancelled || did;
}

static bool all_done(struct store *st, int *receipts_out)
{
    struct err err;
    AUTO(arena_done) struct arena a;
    arena_init(&a, 16 * MIB);
    struct store_deletion *items;
    size_t count;
    must(store_deletions(st, SLICE("t"), &a, &items, &count, &err), &err);
    bool done = true;
    for (size_t i = 0; i < count; i++)
        done = done && items[i].done_ns != 0;
    *receipts_out = (int)count;
    return done;
}

static void run(uint64_t with)
{
    struct err err;
    seed = with;
    entries_count = requests_count = 0;
    now_ns = EPOCH_NS;
    clock_set_wall_ns(now_ns);
    (void)snprintf(dir, sizeof dir, "%s/model-%" PRIu64, tap_dir(), with);
    struct store *st = open_store(false);
    bool good = true;
    for (step = 0; step < STEPS && good; step++) {
        unsigned what = roll(100);
        if (what < 50)
            push_some(st);
        else if (what < 65)
            must(store_flush(st, &err), &err);
        else if (what < 71)
            ask(st);
        else if (what < 73)
            ask_for_trace(st);
        else if (what < 76)
            take_back(st);
        else if (what < 86)
            now_ns += (int64_t)roll(12) * NS_PER_HOUR + roll(2);
        else if (what < 96)
            store_upkeep(st);
        else {
            store_close(st);
            st = open_store(what == 99);
        }
        clock_set_wall_ns(now_ns);
        good = agrees(st) && counts_agree(st);
    }
    ok(good, "seed %" PRIu64 ": %d entries and %d requests: exactly what lives is answered, at every step", with, entries_count,
       requests_count);
    // Two days on, all that is due is done.
    must(store_flush(st, &err), &err);
    now_ns += 2 * COMPACT_SLACK_NS + DELAY_NS + 1;
    clock_set_wall_ns(now_ns);
    store_upkeep(st);
    int receipts, kept = 0;
    for (int i = 0; i < requests_count; i++)
        kept += !requests[i].cancelled;
    ok(all_done(st, &receipts) && receipts == kept, "every request is done, and has its receipt");
    ok(agrees(st), "nothing else went");
    struct store_stats stats;
    store_stats(st, &stats);
    store_close(st);
    st = open_store(true);
    ok(agrees(st), "nor comes anything back with a new index");
    store_close(st);
    clock_set_wall_ns(0);
}

// --- faults -----------------------------------------------------------------------------------------

static bool answers(struct store *st, const char *line)
{
    struct buf dump;
    buf_init(&dump, 0);
    test_dump(st, "t", INT64_MIN, INT64_MAX, &dump);
    bool found = slice_find(buf_slice(&dump), slice_cstr(line)) != SIZE_MAX;
    buf_done(&dump);
    return found;
}

// Fails the 1st, 2nd, ... call while a request is made, and while it is carried out.
static void test_failing_calls(bool sticky, bool carried_out, const char *name)
{
    struct err err;
    bool kept = true, failed = true;
    uint64_t n = 1;
    clock_set_wall_ns(now_ns = EPOCH_NS);
    for (; failed && kept && n < 500; n++) {
        (void)snprintf(dir, sizeof dir, "%s/%s-%d-%" PRIu64, tap_dir(), name, sticky, n);
        struct store *st = open_store(false);
        must(test_push(st, "t", "{env=\"prod\"}", EPOCH_NS, "secret", &err), &err);
        must(test_push(st, "t", "{env=\"prod\"}", EPOCH_NS, "open", &err), &err);
        struct store_deletion d = {.tenant = SLICE("t"), .query = SLICE("{env=\"prod\"} |= \"secret\""),
                                   .from_ns = EPOCH_NS, .to_ns = EPOCH_NS + 1};
        uint64_t id;
        bool acked = false;
        if (carried_out) {
            must(store_delete(st, &d, &id, &err), &err);
            must(store_flush(st, &err), &err);
            clock_set_wall_ns(EPOCH_NS + DELAY_NS);
            acked = true;
        }
        fs_fail_at(n, EIO, sticky);
        if (carried_out)
            store_upkeep(st);
        else
            acked = store_delete(st, &d, &id, &err);
        failed = fs_failed();
        store_close(st);
        fs_fail_at(0, 0, false);
        st = open_store(n % 2 == 0);
        kept = answers(st, "open") && !(acked && answers(st, "secret"));
        clock_set_wall_ns(EPOCH_NS + DELAY_NS);
        store_upkeep(st);
        kept = kept && answers(st, "open") && !(acked && answers(st, "secret"));
        store_close(st);
        clock_set_wall_ns(EPOCH_NS);
    }
    ok(kept && !failed && n > 3, "%s, %s: what was acknowledged is hidden and the rest is there after each of %" PRIu64 " failures",
       name, sticky ? "all calls from then on" : "one call", n - 1);
    clock_set_wall_ns(0);
}

static void test_requests_have_a_limit(void)
{
    struct err err = {0};
    uint64_t id, first_id = 0;
    (void)snprintf(dir, sizeof dir, "%s/limit", tap_dir());
    struct store *st = open_store(false);
    struct store_deletion d = {.tenant = SLICE("t"), .query = SLICE("{env=\"prod\"}"), .from_ns = 0, .to_ns = 1};
    int count = 0;
    for (; count < DELETIONS_ACTIVE_MAX && store_delete(st, &d, &id, &err); count++)
        first_id = count == 0 ? id : first_id;
    is_int(count, DELETIONS_ACTIVE_MAX, "as many requests may wait as the limit says");
    ok(!store_delete(st, &d, &id, &err) && err.code == ERR_LIMIT, "and no more");
    ok(store_delete_cancel(st, SLICE("t"), first_id, true, &err) && store_delete(st, &d, &id, &err), "one taken back makes room");
    store_close(st);
}

int main(void)
{
    test_requests_have_a_limit();
    test_failing_calls(false, false, "asking");
    test_failing_calls(true, false, "asking");
    test_failing_calls(false, true, "carrying out");
    test_failing_calls(true, true, "carrying out");
    for (uint64_t i = 1; i <= SEEDS; i++)
        run(i);
    ok(metric_value(COUNTER_COMPACTIONS) > 20 && metric_value(COUNTER_DELETED_ENTRIES) > 20 &&
           metric_value(COUNTER_EXPIRED_ENTRIES) > 20,
       "compaction, deletion and expiry took part");
    return tap_done();
}
