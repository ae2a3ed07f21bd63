/*
 * test_model.c -- random pushes and queries against a plain array that is obviously right.
 *
 * Entries come in any order, some twice, over several generations, seals and restarts; queries ask by
 * label, text and time, in both directions, with limits.
 */
#include "batches.h"
#include "tap.h"

#include "query/crew.h"
#include "query/query.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { STREAMS = 5, WORDS = 6, ROUNDS = 60, PUSHES_PER_ROUND = 6, ENTRIES_MAX = 20000, QUERIES_PER_ROUND = 25 };

struct entry {
    int64_t time_ns;
    int stream;
    char line[48];
};

static struct entry model[ENTRIES_MAX];
static int model_count;
static uint64_t state = 88172645463325252;

static unsigned chance(unsigned n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 11) % n;
}

static const char *const words[WORDS] = {"alpha", "beta", "gamma", "alphabet", "", "x"};

static void labels_of(int stream, char out[64])
{
    (void)snprintf(out, 64, "{app=\"a%d\", env=\"%s\"}", stream, stream % 2 == 0 ? "prod" : "dev");
}

static bool known(const struct entry *e)
{
    for (int i = 0; i < model_count; i++)
        if (model[i].time_ns == e->time_ns && model[i].stream == e->stream &&
            strcmp(model[i].line, e->line) == 0)
            return true;
    return false;
}

static void push_some(struct store *st)
{
    struct err err;
    uint32_t added;
    struct test_batch b;
    test_batch_init(&b, "t");
    for (unsigned n = chance(30) + 1; n > 0; n--) {
        struct entry e = {.time_ns = 1000 + chance(400), .stream = (int)chance(STREAMS)};
        (void)snprintf(e.line, sizeof e.line, "%s %s", words[chance(WORDS)], words[chance(WORDS)]);
        if (model_count > 0 && chance(8) == 0)
            e = model[chance((unsigned)model_count)]; // a repetition
        char labels[64];
        labels_of(e.stream, labels);
        test_batch_add(&b, labels, e.time_ns, e.line, NULL);
        if (!known(&e) && model_count < ENTRIES_MAX)
            model[model_count++] = e;
    }
    must(test_batch_append(st, &b, &added, &err), &err);
    test_batch_done(&b);
}

// --- queries ----------------------------------------------------------------------------------------

struct question {
    char text[128];
    int stream;        // -1: all of env
    const char *env;   // "prod", "dev" or NULL: both
    const char *needle;
    bool negative;
    struct query_range range;
};

static struct question ask(void)
{
    struct question q = {.stream = -1};
    char filter[64] = "";
    switch (chance(3)) {
    case 0:
        q.stream = (int)chance(STREAMS);
        (void)snprintf(q.text, sizeof q.text, "{app=\"a%d\"}", q.stream);
        break;
    case 1:
        q.env = chance(2) == 0 ? "prod" : "dev";
        (void)snprintf(q.text, sizeof q.text, "{app=~\"a.*\", env!=\"%s\"}", strcmp(q.env, "prod") == 0 ? "dev" : "prod");
        break;
    default:
        (void)snprintf(q.text, sizeof q.text, "{app=~\".+\"}");
    }
    if (chance(2) == 0) {
        q.needle = words[chance(WORDS)];
        q.negative = chance(3) == 0;
        const char *op = q.negative ? "!=" : chance(2) == 0 ? "|=" : "|~";
        (void)snprintf(filter, sizeof filter, " %s \"%s\"", op, q.needle);
    }
    strncat(q.text, filter, sizeof q.text - strlen(q.text) - 1);
    q.range.from_ns = 990 + chance(420);
    q.range.to_ns = q.range.from_ns + chance(200);
    q.range.limit = 1 + chance(chance(2) == 0 ? 5 : 500);
    q.range.forward = chance(2) == 0;
    return q;
}

static bool wanted(const struct question *q, const struct entry *e)
{
    if (e->time_ns < q->range.from_ns || e->time_ns >= q->range.to_ns)
        return false;
    if (q->stream >= 0 && e->stream != q->stream)
        return false;
    if (q->env != NULL && (e->stream % 2 == 0) != (strcmp(q->env, "prod") == 0))
        return false;
    return q->needle == NULL || (strstr(e->line, q->needle) != NULL) != q->negative;
}

static int compare_times(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

// Which entries stand at the limit's edge is open between streams, but their times are not; and every
// returned entry has to be one that is wanted, no two the same.
static bool agrees(const struct question *q, const struct query_result *r)
{
    static int64_t want[ENTRIES_MAX], got[ENTRIES_MAX];
    int want_count = 0, got_count = 0;
    for (int i = 0; i < model_count; i++)
        if (wanted(q, &model[i]))
            want[want_count++] = model[i].time_ns;
    qsort(want, (size_t)want_count, sizeof *want, compare_times);
    int limit = want_count < (int)q->range.limit ? want_count : (int)q->range.limit;
    const int64_t *expected = q->range.forward ? want : want + want_count - limit;
    for (uint32_t s = 0; s < r->streams_count; s++) {
        struct slice app = labels_find(r->streams[s].labels, SLICE("app"));
        for (uint32_t n = 0; n < r->streams[s].entries_count; n++) {
            const struct result_entry *e = &r->streams[s].entries[n];
            struct entry m = {.time_ns = e->time_ns, .stream = app.ptr[1] - '0'};
            (void)snprintf(m.line, sizeof m.line, "%.*s", SLICE_FMT(e->line));
            if (!wanted(q, &m) || !known(&m))
                return false;
            if (n > 0 && (q->range.forward ? e->time_ns < e[-1].time_ns : e->time_ns > e[-1].time_ns))
                return false;
            for (uint32_t p = n; p-- > 0 && r->streams[s].entries[p].time_ns == e->time_ns;)
                if (slice_eq(r->streams[s].entries[p].line, e->line))
                    return false;
            got[got_count++] = e->time_ns;
        }
    }
    qsort(got, (size_t)got_count, sizeof *got, compare_times);
    return got_count == limit && (limit == 0 || memcmp(got, expected, (size_t)limit * sizeof *got) == 0);
}

static struct crew *crew;

static bool count_agrees(struct store *st, const struct question *q, struct arena *a)
{
    struct err err;
    char text[256];
    struct query *query;
    struct query_result r;
    int64_t range_ns = q->range.to_ns - q->range.from_ns;
    if (range_ns == 0)
        return true;
    // (to - 1 - range, to - 1] is [from, to)
    (void)snprintf(text, sizeof text, "sum(count_over_time(%s[1h]))", q->text);
    must(query_parse(slice_cstr(text), a, &query, &err), &err);
    struct query_context context = {.store = st, .crew = chance(2) == 0 ? crew : NULL, .tenant = SLICE("t"), .arena = a};
    struct query_range at = {.from_ns = q->range.to_ns - 1};
    must(query_run(query, &at, &context, &r, &err), &err);
    query_free(query);
    int64_t count = 0;
    struct question all = *q;
    all.range.from_ns = INT64_MIN;
    for (int i = 0; i < model_count; i++)
        count += wanted(&all, &model[i]);
    return count == 0 ? r.series_count == 0
                      : r.series_count == 1 && r.series[0].samples[0].value == (double)count;
}

static bool answer_agrees(struct store *st, const struct question *q)
{
    struct err err;
    struct arena a;
    struct query *query;
    struct query_result r;
    arena_init(&a, UINT64_C(1) << 28);
    must(query_parse(slice_cstr(q->text), &a, &query, &err), &err);
    struct query_context context = {.store = st, .crew = chance(2) == 0 ? crew : NULL, .tenant = SLICE("t"), .arena = &a};
    must(query_run(query, &q->range, &context, &r, &err), &err);
    bool good = agrees(q, &r) && r.warnings_count == 0 && count_agrees(st, q, &a);
    if (!good)
        printf("# %s from %" PRId64 " to %" PRId64 " limit %u %s\n", q->text, q->range.from_ns, q->range.to_ns,
               q->range.limit, q->range.forward ? "forward" : "backward");
    query_free(query);
    arena_done(&a);
    return good;
}

static struct store *open_store(void)
{
    static char dir[512];
    struct err err;
    struct store *st;
    (void)snprintf(dir, sizeof dir, "%s/model", tap_dir());
    struct store_options options = {.dir = dir, .decode = test_decode};
    must(store_open(&options, &st, &err), &err);
    return st;
}

int main(void)
{
    struct err err;
    struct store *st = open_store();
    crew = crew_new(3);
    int asked = 0, wrong = 0, seals = 0;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < PUSHES_PER_ROUND; i++)
            push_some(st);
        if (chance(2) == 0) {
            must(store_flush(st, &err), &err);
            seals++;
        }
        if (chance(6) == 0) {
            store_close(st);
            st = open_store();
        }
        for (int i = 0; i < QUERIES_PER_ROUND && wrong < 5; i++, asked++) {
            struct question q = ask();
            wrong += !answer_agrees(st, &q);
        }
    }
    struct store_stats stats;
    store_stats(st, &stats);
    store_close(st);
    crew_free(crew);
    ok(wrong == 0, "%d queries over %d entries agree with the model", asked, model_count);
    ok(seals > 10 && stats.segments_count > 0, "%d segments took part, %u after compaction", seals, stats.segments_count);
    return tap_done();
}
