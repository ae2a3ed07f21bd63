/*
 * test_naive.c -- generated queries against an evaluator that is obviously right: every line through the
 * whole pipeline, every window looked at by itself; no index, no needle, no totals, no unused label left
 * out, one thread.
 *
 * Times are unique, so the order within a window is plain. Where a parser reports an error that the query
 * does not handle, what the fast path need not look at makes a lawful difference (logql.md 14.2): such
 * queries are only run, not compared.
 */
#include "batches.h"
#include "generate.h"
#include "tap.h"

#include "base/limits.h"
#include "query/crew.h"
#include "query/logql/parser.h"
#include "query/pipeline/pipeline.h"
#include "query/query.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { ENTRIES = 2500, LOG_QUERIES = 700, METRIC_QUERIES = 700, SERIES_MAX = 2000 };
static const int64_t SPACING_NS = 97000000, STEP_NS = 15000000000;

struct entry {
    struct slice labels, line, metadata;
    int64_t time_ns;
};

static struct entry model[ENTRIES];
static struct arena model_arena;
static struct store *st;
static struct crew *crew;

// --- data -------------------------------------------------------------------------------------------

static void fill(struct generator *g)
{
    struct err err;
    static int order[ENTRIES];
    for (int i = 0; i < ENTRIES; i++)
        order[i] = i;
    for (int i = ENTRIES - 1; i > 0; i--) {
        int other = i - (int)generate_number(g, i < 400 ? (unsigned)i + 1 : 400), moved = order[i];
        order[i] = order[other];
        order[other] = moved;
    }
    for (int i = 0; i < ENTRIES;) {
        struct test_batch b;
        uint32_t added;
        test_batch_init(&b, "t");
        for (unsigned n = generate_number(g, 60) + 1; n > 0 && i < ENTRIES; n--, i++) {
            unsigned stream = generate_number(g, GENERATED_STREAMS);
            const char *metadata = generate_number(g, 4) == 0 ? "{trace=\"t1\", env=\"meta\"}" : NULL;
            struct buf line;
            buf_init(&line, 0);
            generate_line(g, stream, &line);
            buf_put_byte(&line, 0);
            test_batch_add(&b, generate_stream(stream), (order[i] + 1) * SPACING_NS, (const char *)line.ptr, metadata);
            const struct batch_stream *s = &b.streams[b.batch.streams_count - 1];
            const struct batch_entry *e = &b.entries[b.batch.entries_count - 1];
            model[i] = (struct entry){arena_copy(&model_arena, s->labels), arena_copy(&model_arena, e->line),
                                      arena_copy(&model_arena, e->metadata), e->time_ns};
            buf_done(&line);
        }
        must(test_batch_append(st, &b, &added, &err), &err);
        if (generate_number(g, 3) == 0) // once more, into another generation
            must(store_flush(st, &err) && test_batch_append(st, &b, &added, &err), &err);
        test_batch_done(&b);
    }
}

// --- the naive evaluator ----------------------------------------------------------------------------

struct naive {
    struct arena *a;
    struct pipeline *pipeline, *post;
    const struct ast_logs *logs;
    struct line_space space;
    bool errors; // a kept line had one
};

static void naive_init(struct naive *n, const struct ast_logs *logs, const struct ast_unwrap *unwrap,
                       struct ast_regex **regexes, struct arena *a)
{
    static const struct wanted_labels all = {0};
    struct err err;
    *n = (struct naive){.a = a, .logs = logs};
    must(pipeline_new(logs->stages, &all, a, regexes, &n->pipeline, &err), &err);
    if (unwrap != NULL)
        must(pipeline_new(unwrap->filters, &all, a, regexes, &n->post, &err), &err);
}

static bool naive_keeps(struct naive *n, const struct entry *e, struct line *l)
{
    *l = (struct line){.time_ns = e->time_ns, .text = e->line, .stream = e->labels, .metadata = e->metadata,
                       .space = &n->space, .scratch = n->a};
    return label_matchers_test(n->logs->matchers, n->logs->matchers_count, e->labels) && pipeline_keeps(n->pipeline, l);
}

struct naive_sample {
    struct slice labels; // of its series
    int64_t time_ns;
    double value;
};

static bool number_of(struct slice text, enum unwrap_conversion conversion, double *out)
{
    char copy[64], *end;
    if (text.len == 0 || text.len >= sizeof copy)
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = 0;
    *out = strtod(copy, &end);
    if (conversion == UNWRAP_PLAIN)
        return *end == 0;
    static const struct {
        const char *unit;
        enum unwrap_conversion conversion;
        double factor;
    } units[] = {{"ms", UNWRAP_DURATION, 1e-3}, {"s", UNWRAP_DURATION, 1}, {"h", UNWRAP_DURATION, 3600},
                 {"KB", UNWRAP_BYTES, 1000}, {"MiB", UNWRAP_BYTES, 1 << 20}};
    if (conversion == UNWRAP_DURATION_SECONDS)
        conversion = UNWRAP_DURATION;
    for (size_t i = 0; i < COUNT_OF(units); i++)
        if (units[i].conversion == conversion && strcmp(units[i].unit, end) == 0) {
            *out *= units[i].factor;
            return true;
        }
    return conversion == UNWRAP_BYTES && *end == 0 && *out >= 0;
}

static struct slice group_labels(const struct ast_grouping *g, struct slice labels, struct slice without_too,
                                 struct arena *a)
{
    struct label pairs[64], l;
    uint32_t count = 0;
    for (struct labels_walk w = labels_walk(labels); labels_next(&w, &l);) {
        bool named = false;
        for (uint32_t i = 0; g != NULL && i < g->names_count; i++)
            named = named || slice_eq(g->names[i], l.name);
        bool without = g == NULL || g->without;
        if (named != without && !(without && slice_eq(l.name, without_too)))
            pairs[count++] = l;
    }
    return labels_encoded(&(struct labels){pairs, count}, a);
}

static int by_time(const void *a, const void *b)
{
    const struct naive_sample *x = a, *y = b;
    return (x->time_ns > y->time_ns) - (x->time_ns < y->time_ns);
}

static size_t naive_samples(struct naive *n, const struct ast *ast, struct naive_sample *out)
{
    size_t count = 0;
    const struct ast_unwrap *u = ast->range_agg.range.unwrap;
    enum token_kind fn = ast->range_agg.fn;
    for (int i = 0; i < ENTRIES; i++) {
        struct line l;
        double value = 1;
        if (!naive_keeps(n, &model[i], &l))
            continue;
        if (fn == TOK_BYTES_OVER_TIME || fn == TOK_BYTES_RATE)
            value = (double)l.text.len;
        if (u != NULL) {
            bool found;
            struct slice text = line_label(&l, u->name, &found);
            if (!found || text.len == 0)
                continue;
            if (!number_of(text, u->conversion, &value))
                line_fail(&l, "SampleExtractionErr", "");
            if (!pipeline_keeps(n->post, &l))
                continue;
        }
        n->errors = n->errors || l.error.len > 0;
        struct slice labels = line_labels(&l, n->a);
        if (ast->range_agg.grouping != NULL || u != NULL)
            labels = group_labels(ast->range_agg.grouping, labels, u != NULL ? u->name : SLICE(""), n->a);
        out[count++] = (struct naive_sample){labels, l.time_ns, value};
    }
    qsort(out, count, sizeof *out, by_time);
    return count;
}

static int by_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double naive_value(const struct ast *ast, const double *v, size_t n)
{
    double sum = 0, seconds = (double)ast->range_agg.range.range_ns / 1e9, squares = 0, sorted[ENTRIES];
    for (size_t i = 0; i < n; i++)
        sum += v[i];
    for (size_t i = 0; i < n; i++)
        squares += (v[i] - sum / (double)n) * (v[i] - sum / (double)n);
    memcpy(sorted, v, n * sizeof *v);
    qsort(sorted, n, sizeof *sorted, by_double);
    switch (ast->range_agg.fn) {
    case TOK_RATE:
    case TOK_BYTES_RATE:
        return sum / seconds;
    case TOK_AVG_OVER_TIME:
        return sum / (double)n;
    case TOK_MIN_OVER_TIME:
        return sorted[0];
    case TOK_MAX_OVER_TIME:
        return sorted[n - 1];
    case TOK_STDVAR_OVER_TIME:
        return squares / (double)n;
    case TOK_STDDEV_OVER_TIME:
        return sqrt(squares / (double)n);
    case TOK_FIRST_OVER_TIME:
        return v[0];
    case TOK_LAST_OVER_TIME:
        return v[n - 1];
    case TOK_QUANTILE_OVER_TIME: {
        double p = ast->range_agg.param * (double)(n - 1);
        size_t low = (size_t)p, high = low + 1 < n ? low + 1 : low;
        return sorted[low] + (sorted[high] - sorted[low]) * (p - (double)low);
    }
    default: // counts and sums
        return sum;
    }
}

struct naive_point {
    struct slice labels;
    double value;
    size_t count; // of series in it
};

// The points of one step. Returns how many.
static size_t naive_step(const struct ast *ast, const struct naive_sample *samples, size_t count, int64_t at_ns,
                         struct naive_point *points)
{
    const struct ast_log_range *range = &ast->range_agg.range;
    static double values[ENTRIES];
    static bool used[ENTRIES];
    size_t made = 0;
    at_ns -= range->offset_ns;
    memset(used, 0, sizeof used);
    for (size_t i = 0; i < count; i++) {
        if (used[i] || samples[i].time_ns > at_ns || samples[i].time_ns <= at_ns - range->range_ns)
            continue;
        size_t n = 0;
        for (size_t k = i; k < count; k++)
            if (samples[k].time_ns <= at_ns && slice_eq(samples[k].labels, samples[i].labels)) {
                used[k] = true;
                values[n++] = samples[k].value;
            }
        points[made++] = (struct naive_point){samples[i].labels, naive_value(ast, values, n), 1};
    }
    return made;
}

static size_t naive_aggregate(const struct ast *ast, struct naive_point *points, size_t count, struct arena *a)
{
    size_t made = 0;
    for (size_t i = 0; i < count; i++) {
        struct slice labels = ast->vector_agg.grouping == NULL
                                  ? LABELS_EMPTY
                                  : group_labels(ast->vector_agg.grouping, points[i].labels, SLICE(""), a);
        size_t to = 0;
        while (to < made && !slice_eq(points[to].labels, labels))
            to++;
        double v = points[i].value;
        if (to == made) {
            points[made++] = (struct naive_point){labels, v, 1};
            continue;
        }
        struct naive_point *p = &points[to];
        p->count++;
        if (ast->vector_agg.fn == TOK_MIN || ast->vector_agg.fn == TOK_MAX)
            p->value = (ast->vector_agg.fn == TOK_MIN) == (v < p->value) ? v : p->value;
        else
            p->value += v;
    }
    for (size_t i = 0; i < made; i++)
        if (ast->vector_agg.fn == TOK_COUNT)
            points[i].value = (double)points[i].count;
        else if (ast->vector_agg.fn == TOK_AVG)
            points[i].value /= (double)points[i].count;
    return made;
}

// --- comparing --------------------------------------------------------------------------------------

static bool near(double a, double b)
{
    return a == b || fabs(a - b) <= 1e-9 * (fabs(a) + fabs(b)) + 1e-9;
}

static const struct result_sample *sample_at(const struct query_result *r, struct slice labels, int64_t at_ns)
{
    for (uint32_t i = 0; i < r->series_count; i++)
        for (uint32_t n = 0; slice_eq(r->series[i].labels, labels) && n < r->series[i].samples_count; n++)
            if (r->series[i].samples[n].time_ns == at_ns)
                return &r->series[i].samples[n];
    return NULL;
}

static bool metric_agrees(struct naive *n, const struct ast *ast, const struct query_range *range,
                          const struct query_result *r)
{
    static struct naive_sample samples[ENTRIES];
    static struct naive_point points[ENTRIES];
    const struct ast *inner = ast->kind == AST_VECTOR_AGG ? ast->vector_agg.inner : ast;
    size_t count = naive_samples(n, inner, samples), expected = 0, got = 0;
    if (n->errors)
        return true;
    for (int64_t at_ns = range->from_ns; at_ns <= range->to_ns; at_ns += range->step_ns) {
        size_t made = naive_step(inner, samples, count, at_ns, points);
        if (ast->kind == AST_VECTOR_AGG)
            made = naive_aggregate(ast, points, made, n->a);
        expected += made;
        for (size_t i = 0; i < made; i++) {
            const struct result_sample *s = sample_at(r, points[i].labels, at_ns);
            if (s == NULL || !near(s->value, points[i].value)) {
                printf("# at %" PRId64 ": %f expected, %f found\n", at_ns, points[i].value, s == NULL ? NAN : s->value);
                return false;
            }
        }
    }
    for (uint32_t i = 0; i < r->series_count; i++)
        got += r->series[i].samples_count;
    if (got != expected)
        printf("# %zu points expected, %zu found\n", expected, got);
    return got == expected;
}

static bool has_entry(const struct query_result *r, struct slice labels, const struct line *l)
{
    for (uint32_t s = 0; s < r->streams_count; s++)
        for (uint32_t i = 0; slice_eq(r->streams[s].labels, labels) && i < r->streams[s].entries_count; i++)
            if (r->streams[s].entries[i].time_ns == l->time_ns && slice_eq(r->streams[s].entries[i].line, l->text))
                return true;
    return false;
}

static bool logs_agree(struct naive *n, const struct query_range *range, const struct query_result *r)
{
    size_t expected = 0, got = 0;
    for (int i = 0; i < ENTRIES; i++) {
        struct line l;
        if (model[i].time_ns < range->from_ns || model[i].time_ns >= range->to_ns || !naive_keeps(n, &model[i], &l))
            continue;
        expected++;
        if (!has_entry(r, line_labels(&l, n->a), &l)) {
            printf("# missing: %.*s\n", SLICE_FMT(l.text));
            return false;
        }
    }
    for (uint32_t s = 0; s < r->streams_count; s++)
        got += r->streams[s].entries_count;
    if (got != expected)
        printf("# %zu entries expected, %zu found\n", expected, got);
    return got == expected;
}

enum outcome { AGREES, DIFFERS, NOT_COMPARED };

static enum outcome compare(struct slice text, bool threads)
{
    struct arena a;
    struct err err;
    struct ast *ast;
    struct ast_regex *regexes = NULL;
    struct naive n = {0};
    arena_init(&a, GIB);
    if (!ast_parse(text, &a, &regexes, &ast, &err))
        printf("# %.*s\n", SLICE_FMT(text));
    must(ast_parse(text, &a, &regexes, &ast, &err), &err);
    bool logs = ast->kind == AST_LOGS;
    const struct ast *inner = ast->kind == AST_VECTOR_AGG ? ast->vector_agg.inner : ast;
    struct query_range range = logs ? (struct query_range){.from_ns = 20 * SPACING_NS, .to_ns = ENTRIES * SPACING_NS, .limit = ENTRIES}
                                    : (struct query_range){.from_ns = STEP_NS, .to_ns = ENTRIES * SPACING_NS, .step_ns = STEP_NS};
    naive_init(&n, logs ? &ast->logs : &inner->range_agg.range.logs, logs ? NULL : inner->range_agg.range.unwrap, &regexes, &a);
    struct query *query;
    struct query_result r;
    struct query_context context = {.store = st, .crew = threads ? crew : NULL, .tenant = SLICE("t"), .arena = &a};
    must(query_parse(text, &a, &query, &err), &err);
    enum outcome outcome;
    if (query_run(query, &range, &context, &r, &err)) {
        outcome = (logs ? logs_agree(&n, &range, &r) : metric_agrees(&n, ast, &range, &r)) ? AGREES : DIFFERS;
        if (n.errors && !logs)
            outcome = NOT_COMPARED;
    } else {
        // A line's error is the query's; too many series are.
        outcome = err.code == ERR_LIMIT || slice_starts(slice_cstr(err.text), SLICE("pipeline error")) ? NOT_COMPARED : DIFFERS;
        if (outcome == DIFFERS)
            printf("# %s\n", err.text);
    }
    query_free(query);
    line_space_done(&n.space);
    ast_regexes_free(regexes);
    arena_done(&a);
    return outcome;
}

static void compare_many(struct generator *g, void (*make)(struct generator *g, struct buf *b), int count, const char *what)
{
    int compared = 0, wrong = 0;
    for (int i = 0; i < count && wrong < 5; i++) {
        struct buf text;
        buf_init(&text, 0);
        make(g, &text);
        enum outcome outcome = compare(buf_slice(&text), i % 2 == 0);
        compared += outcome != NOT_COMPARED;
        wrong += outcome == DIFFERS;
        if (outcome == DIFFERS)
            printf("# %.*s\n", SLICE_FMT(buf_slice(&text)));
        buf_done(&text);
    }
    ok(wrong == 0, "%s: %d generated, %d compared, %d differ", what, count, compared, wrong);
    ok(compared > count / 2, "%s: most could be compared", what);
}

int main(void)
{
    static char dir[512];
    struct err err;
    struct generator g = {1};
    (void)snprintf(dir, sizeof dir, "%s/naive", tap_dir());
    struct store_options options = {.dir = dir, .decode = test_decode};
    must(store_open(&options, &st, &err), &err);
    crew = crew_new(3);
    arena_init(&model_arena, GIB);
    fill(&g);
    compare_many(&g, generate_logs, LOG_QUERIES, "log queries");
    compare_many(&g, generate_aggregation, METRIC_QUERIES, "aggregations");
    crew_free(crew);
    store_close(st);
    arena_done(&model_arena);
    return tap_done();
}
