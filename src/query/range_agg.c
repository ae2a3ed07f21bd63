/*
 * range_agg.c -- range aggregations over log entries; logql.md 14.2, 15 to 17.
 *
 * Counts and bytes are sums: what an entry is worth is added as a difference at the first step whose window
 * holds it and taken back behind the last, so the cost depends on the entries, not on how windows overlap.
 * The other functions need a window's samples: they are kept by series, sorted once, and each step looks at
 * its own slice of them.
 */
#include "query/matrix.h"

#include "base/limits.h"
#include "query/logql/unit.h"
#include "query/merge.h"
#include "query/pipeline/label_filter.h"
#include "query/scan.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

struct range_plan {
    const struct ast *ast;
    const struct ast *around; // the sum that is applied to the samples; NULL: none
    struct pipeline *pipeline;
    struct pipeline *post; // behind unwrap; NULL: none
    struct wanted_labels wanted;
    size_t wanted_room;
    struct range_plan *next;
};

// --- plans ------------------------------------------------------------------------------------------

bool range_agg_takes_sum(const struct ast *ast, const struct ast *around)
{
    enum token_kind fn = ast->range_agg.fn;
    return around != NULL && around->vector_agg.fn == TOK_SUM && ast->range_agg.grouping == NULL &&
           (fn == TOK_RATE || fn == TOK_COUNT_OVER_TIME || fn == TOK_BYTES_RATE || fn == TOK_BYTES_OVER_TIME ||
            fn == TOK_SUM_OVER_TIME);
}

struct wanting {
    struct range_plan *plan;
    struct arena *a;
};

static void want(void *ctx, struct slice name)
{
    struct wanting *w = ctx;
    struct wanted_labels *labels = &w->plan->wanted;
    uint64_t ignored = 0;
    // Never found, so that parsers go on to the end and see every error.
    if (slice_eq(name, SLICE("__error__")))
        labels->preserve_errors = true;
    if (labels->count > 0 && wanted(labels, name, &ignored))
        return;
    if (labels->count == w->plan->wanted_room &&
        !arena_grow(w->a, (void **)&labels->names, sizeof *labels->names, labels->count, &w->plan->wanted_room))
        return;
    labels->names[labels->count++] = name;
    struct slice suffix = SLICE("_extracted");
    if (name.len > suffix.len && slice_eq(slice_from(name, name.len - suffix.len), suffix))
        want(ctx, slice_of(name.ptr, name.len - suffix.len));
}

static void want_stages(struct wanting *w, const struct ast_stage *stages)
{
    for (const struct ast_stage *s = stages; s != NULL; s = s->next) {
        if (s->kind == STAGE_LABEL_FILTER)
            label_filter_names(s->label_filter, want, w);
        for (uint32_t i = 0; s->kind == STAGE_LABEL_FORMAT && i < s->assigns_count; i++)
            if (s->assigns[i].rename)
                want(w, s->assigns[i].value);
    }
}

// Which labels parsers have to extract (logql.md 14.2): all, unless a grouping names those that show.
static void plan_wanted(struct range_plan *plan, struct arena *a)
{
    const struct ast_log_range *range = &plan->ast->range_agg.range;
    const struct ast_grouping *g = plan->ast->range_agg.grouping;
    bool effective = g != NULL || plan->around != NULL || plan->ast->range_agg.fn == TOK_ABSENT_OVER_TIME;
    if (g == NULL && plan->around != NULL)
        g = plan->around->vector_agg.grouping;
    if (!effective || (g != NULL && g->without))
        return;
    struct wanting w = {plan, a};
    plan->wanted.limited = true;
    want_stages(&w, range->logs.stages);
    pipeline_template_names(plan->pipeline, want, &w);
    if (range->unwrap != NULL) {
        want(&w, range->unwrap->name);
        want_stages(&w, range->unwrap->filters);
    }
    for (uint32_t i = 0; g != NULL && i < g->names_count; i++)
        want(&w, g->names[i]);
}

bool range_plan_new(const struct ast *ast, const struct ast *around, struct arena *a,
                    struct ast_regex **regexes, struct range_plan **list, struct err *err)
{
    const struct ast_log_range *range = &ast->range_agg.range;
    struct range_plan *plan = arena_zalloc(a, sizeof *plan);
    if (plan == NULL)
        return arena_ok(a, "query", err);
    plan->ast = ast;
    plan->around = range_agg_takes_sum(ast, around) ? around : NULL;
    plan->next = *list;
    *list = plan;
    static const struct wanted_labels all = {0};
    if (!pipeline_new(range->logs.stages, &plan->wanted, a, regexes, &plan->pipeline, err) ||
        (range->unwrap != NULL && !pipeline_new(range->unwrap->filters, &all, a, regexes, &plan->post, err)))
        return false;
    plan_wanted(plan, a); // the pipeline refers to it
    return arena_ok(a, "query", err);
}

// --- state ------------------------------------------------------------------------------------------

struct sample {
    int64_t time_ns;
    double value;
};

struct gathered {
    uint64_t *entries; // differences by step, one more than steps
    uint64_t *bytes;   // likewise
    struct sample *samples;
    size_t count, room;
};

struct range_agg {
    struct evaluation *ev;
    const struct range_plan *plan;
    enum token_kind fn;
    const struct ast_log_range *range;
    bool sums;  // counts or bytes: no samples are kept
    bool bytes;
    struct scan *scan;
    struct slice_set table;    // label sets of series
    struct gathered *gathered; // by number in the table
    size_t gathered_room;
    struct arena scratch;
    struct slice stream; // labels of the stream being visited
    // Entries of a stream share few metadata sets: the last one's series.
    struct slice last_metadata;
    size_t last_number;
    struct err *err;
    bool failed;
};

static bool fail(struct range_agg *r)
{
    r->failed = true;
    return false;
}

static bool fail_memory(struct range_agg *r)
{
    (void)err_set(r->err, ERR_LIMIT, "metric query: more than %zu bytes of memory", r->ev->a->bytes_max);
    return fail(r);
}

// --- one entry --------------------------------------------------------------------------------------

// The labels of a sample: logql.md 15.
static struct slice sample_labels(struct range_agg *r, const struct line *l)
{
    const struct ast_grouping *g = r->plan->ast->range_agg.grouping;
    struct slice names[64];
    size_t count = 0;
    bool without = true, grouped = g != NULL || r->plan->around != NULL || r->fn == TOK_ABSENT_OVER_TIME;
    if (g == NULL && r->plan->around != NULL)
        g = r->plan->around->vector_agg.grouping;
    if (grouped && !l->preserve_error)
        without = g != NULL && g->without;
    for (uint32_t i = 0; g != NULL && i < g->names_count && count < COUNT_OF(names) - 1; i++)
        names[count++] = g->names[i];
    if (without && r->range->unwrap != NULL)
        names[count++] = r->range->unwrap->name;
    if (l->preserve_error && grouped && !without)
        without = false;
    if (without && count == 0)
        return line_labels(l, &r->scratch);
    return line_grouped(l, names, count, without, &r->scratch);
}

static bool number_of(struct range_agg *r, const struct line *l, size_t *number_out)
{
    bool plain = !pipeline_sets_labels(r->plan->pipeline) && r->range->unwrap == NULL;
    if (plain && r->last_number != SIZE_MAX && l->metadata.ptr == r->last_metadata.ptr &&
        l->metadata.len == r->last_metadata.len) {
        *number_out = r->last_number;
        return true;
    }
    size_t before = r->table.count;
    struct slice labels = sample_labels(r, l);
    size_t number = labels.ptr == NULL ? SIZE_MAX : slice_set_add(&r->table, labels);
    if (number == SIZE_MAX)
        return fail_memory(r);
    if (r->table.count > before) {
        struct gathered g = {0};
        size_t bytes = (r->ev->steps.count + 1) * sizeof(uint64_t);
        if (r->sums)
            g.entries = arena_zalloc(r->ev->a, bytes);
        if (r->sums && r->bytes)
            g.bytes = arena_zalloc(r->ev->a, bytes);
        if (!arena_grow(r->ev->a, (void **)&r->gathered, sizeof *r->gathered, number, &r->gathered_room) ||
            r->ev->a->overflowed)
            return fail_memory(r);
        r->gathered[number] = g;
    }
    r->last_metadata = l->metadata;
    r->last_number = plain ? number : SIZE_MAX;
    *number_out = number;
    return true;
}

// logql.md 16.5
static bool pipeline_error(struct range_agg *r, const struct line *l)
{
    AUTO(buf_done) struct buf text;
    buf_init(&text, ERR_TEXT_BYTES);
    labels_print(&text, line_labels(l, &r->scratch));
    (void)err_set(r->err, ERR_INPUT,
                  "pipeline error: '%.*s' for series: '%.*s'.\n"
                  "Use a label filter to intentionally skip this error. (e.g | __error__!=\"%.*s\").\n"
                  "To skip all potential errors you can match empty errors.(e.g __error__=\"\")\n"
                  "The label filter can also be specified after unwrap. (e.g | unwrap latency | "
                  "__error__=\"\" )\n",
                  SLICE_FMT(l->error), SLICE_FMT(buf_slice(&text)), SLICE_FMT(l->error));
    return fail(r);
}

static int64_t floor_div(__int128 a, int64_t b)
{
    __int128 q = a / b;
    if (a % b != 0 && a < 0)
        q--;
    return q > INT64_MAX ? INT64_MAX : q < INT64_MIN ? INT64_MIN : (int64_t)q;
}

// Steps whose window holds an entry: T with time + offset <= T < time + offset + range.
static bool steps_of(const struct range_agg *r, int64_t time_ns, uint32_t *first_out, uint32_t *end_out)
{
    const struct steps *s = &r->ev->steps;
    __int128 from = (__int128)time_ns + r->range->offset_ns - s->from_ns;
    int64_t first = floor_div(from + s->step_ns - 1, s->step_ns);
    int64_t end = floor_div(from + r->range->range_ns - 1, s->step_ns);
    first = first < 0 ? 0 : first;
    end = end >= s->count ? s->count : end + 1;
    *first_out = (uint32_t)(first > s->count ? s->count : first);
    *end_out = (uint32_t)(end < 0 ? 0 : end);
    return first < end;
}

// The value of the unwrapped label. False: the entry gives no sample.
static bool unwrap(struct range_agg *r, struct line *l, double *value_out)
{
    bool found;
    struct err why;
    int64_t ns;
    uint64_t bytes;
    bool good = false;
    struct slice text = line_label(l, r->range->unwrap->name, &found);
    if (!found || text.len == 0)
        return false;
    *value_out = 0;
    switch (r->range->unwrap->conversion) {
    case UNWRAP_PLAIN:
        good = unit_float(text, value_out, &why);
        break;
    case UNWRAP_BYTES:
        good = unit_bytes(text, &bytes, &why);
        *value_out = good ? (double)bytes : 0;
        break;
    case UNWRAP_DURATION:
    case UNWRAP_DURATION_SECONDS:
        good = unit_go_duration(text, &ns, &why);
        *value_out = good ? (double)ns / 1e9 : 0;
        break;
    }
    if (!good) {
        *value_out = 0;
        line_fail(l, "SampleExtractionErr", why.text);
    }
    return true;
}

static bool add_hit(void *ctx, const struct scan_hit *hit)
{
    struct range_agg *r = ctx;
    struct line l = hit->line;
    uint32_t first, end;
    size_t number;
    double value = 1;
    if (!steps_of(r, l.time_ns, &first, &end))
        return true;
    if (r->range->unwrap != NULL && (!unwrap(r, &l, &value) || !pipeline_keeps(r->plan->post, &l)))
        return true;
    if (l.error.len > 0 && !l.preserve_error)
        return pipeline_error(r, &l);
    if (!number_of(r, &l, &number))
        return false;
    struct gathered *g = &r->gathered[number];
    if (!r->sums) {
        if (g->count == g->room &&
            !arena_grow(r->ev->a, (void **)&g->samples, sizeof *g->samples, g->count, &g->room))
            return fail_memory(r);
        g->samples[g->count++] = (struct sample){l.time_ns, value};
        return true;
    }
    g->entries[first]++;
    g->entries[end]--;
    if (r->bytes) {
        g->bytes[first] += l.text.len;
        g->bytes[end] -= l.text.len;
    }
    return true;
}

// --- visiting ---------------------------------------------------------------------------------------

static bool add_piece(void *ctx, const struct run_entries *e, uint32_t first, uint32_t end,
                      struct err *err)
{
    struct range_agg *r = ctx;
    r->err = err;
    // Decoded blocks are reused: pointers mean nothing from one piece to the next.
    r->last_number = SIZE_MAX;
    (void)scan_run(r->scan, r->plan->pipeline, r->stream, e, first, end, true, &r->scratch, add_hit, r);
    return !r->failed;
}

// --- streams whose entries all go to one series -------------------------------------------------------

// Without stages, and grouped by names that the stream has (or by none), all entries of a stream make one
// series, whatever their metadata: neither lines nor metadata are read, and where one set of steps holds a
// whole run not even its times.
static bool is_uniform(const struct range_agg *r)
{
    const struct ast_grouping *g = r->plan->ast->range_agg.grouping;
    if (!r->sums || r->range->unwrap != NULL || !pipeline_is_empty(r->plan->pipeline))
        return false;
    if (g == NULL && r->plan->around == NULL)
        return false;
    if (g == NULL)
        g = r->plan->around->vector_agg.grouping;
    if (g != NULL && g->without)
        return false;
    for (uint32_t i = 0; g != NULL && i < g->names_count; i++)
        if (labels_find(r->stream, g->names[i]).len == 0)
            return false;
    return true;
}

static bool uniform_series(struct range_agg *r, struct gathered **out)
{
    struct line l = {.stream = r->stream, .metadata = LABELS_EMPTY};
    size_t number;
    r->last_number = SIZE_MAX;
    if (!number_of(r, &l, &number))
        return false;
    arena_reset(&r->scratch);
    *out = &r->gathered[number];
    return true;
}

static void add_totals(struct gathered *g, uint32_t first, uint32_t end, uint64_t entries, uint64_t bytes)
{
    g->entries[first] += entries;
    g->entries[end] -= entries;
    if (g->bytes != NULL) {
        g->bytes[first] += bytes;
        g->bytes[end] -= bytes;
    }
}

static bool add_whole_run(void *ctx, const struct view_run *run)
{
    struct range_agg *r = ctx;
    struct gathered *g;
    uint32_t first, end, last_first, last_end;
    bool some = steps_of(r, run->min_ns, &first, &end), last = steps_of(r, run->max_ns, &last_first, &last_end);
    if (some != last || first != last_first || end != last_end || !uniform_series(r, &g))
        return false;
    if (some)
        add_totals(g, first, end, run->entries_count, run->line_bytes);
    r->scan->stats->lines_matched += run->entries_count;
    return true;
}

static bool add_uniform_piece(void *ctx, const struct run_entries *e, uint32_t first, uint32_t end,
                              struct err *err)
{
    struct range_agg *r = ctx;
    struct gathered *g;
    r->err = err;
    if (!uniform_series(r, &g))
        return false;
    for (uint32_t n = first; n < end; n++) {
        uint32_t from, to;
        if (steps_of(r, e->times_ns[n], &from, &to))
            add_totals(g, from, to, 1, r->bytes ? e->line_bytes[n] : 0);
    }
    r->scan->stats->lines_scanned += end - first;
    return true;
}

static bool visit_streams(struct range_agg *r, struct view_selection *sel, int64_t from_ns,
                          int64_t to_ns, struct err *err)
{
    const struct merge_visitor each = {.visit = add_piece, .ctx = r};
    const struct merge_visitor uniform = {.visit = add_uniform_piece, .whole = add_whole_run, .ctx = r};
    unsigned columns = scan_columns(r->plan->pipeline) | VIEW_METADATA | (r->bytes ? VIEW_LINES : 0U);
    r->err = err;
    for (uint32_t i = 0, end; i < sel->runs_count; i = end) {
        for (end = i + 1; end < sel->runs_count && sel->runs[end].stream == sel->runs[i].stream; end++)
            continue;
        if (!view_labels(r->scan->view, &sel->streams[sel->runs[i].stream], r->ev->a, &r->stream, err))
            return false;
        bool one = is_uniform(r);
        if (!merge_stream(r->scan, &sel->runs[i], end - i,
                          one ? VIEW_TIMES | (r->bytes ? VIEW_LENGTHS : 0U) : columns, from_ns, to_ns,
                          one ? &uniform : &each, err))
            return false;
    }
    return !r->failed;
}

// --- values of a window -----------------------------------------------------------------------------

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    if (isnan(x) || isnan(y))
        return isnan(y) - isnan(x); // NaN first
    return (x > y) - (x < y);
}

static double quantile(const struct sample *s, size_t n, double phi)
{
    if (phi < 0 || phi > 1)
        return phi < 0 ? -INFINITY : INFINITY;
    double *sorted = malloc(n * sizeof *sorted);
    assert(sorted != NULL);
    for (size_t i = 0; i < n; i++)
        sorted[i] = s[i].value;
    qsort(sorted, n, sizeof *sorted, by_value);
    double p = phi * (double)(n - 1), low = floor(p);
    size_t at = (size_t)low, next = at + 1 < n ? at + 1 : n - 1;
    double w = p - low, value = sorted[at] * (1 - w) + sorted[next] * w;
    free(sorted);
    return value;
}

// logql.md 17.1, mixed units included.
static double rate_counter(const struct sample *s, size_t n, double range_s)
{
    if (n < 2)
        return 0;
    double delta = s[n - 1].value - s[0].value, previous = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i].value < previous)
            delta += previous;
        previous = s[i].value;
    }
    double span = (double)(s[n - 1].time_ns - s[0].time_ns) / 1000, average = span / (double)(n - 1);
    double to_start = floor(range_s * 1000) / 1000;
    if (delta > 0 && s[0].value >= 0) {
        double zero = span * (s[0].value / delta);
        to_start = zero < to_start ? zero : to_start;
    }
    double limit = average * 1.1, interval = span;
    interval += to_start < limit ? to_start : average / 2;
    interval += 0 < limit ? 0 : average / 2;
    return delta * (interval / span) / range_s;
}

static double variance(const struct sample *s, size_t n)
{
    double mean = 0, aux = 0;
    for (size_t i = 0; i < n; i++) {
        double delta = s[i].value - mean;
        mean += delta / (double)(i + 1);
        aux += delta * (s[i].value - mean);
    }
    return aux / (double)n;
}

static double average(const struct sample *s, size_t n)
{
    double mean = 0;
    for (size_t i = 0; i < n; i++) {
        double v = s[i].value, count = (double)(i + 1);
        if (isinf(mean) && ((isinf(v) && (mean > 0) == (v > 0)) || (!isinf(v) && !isnan(v))))
            continue; // as Prometheus keeps infinities
        mean += v / count - mean / count;
    }
    return mean;
}

static double window_value(const struct range_agg *r, const struct sample *s, size_t n)
{
    double range_s = (double)r->range->range_ns / 1e9, value = s[0].value;
    switch (r->fn) {
    case TOK_RATE:
    case TOK_SUM_OVER_TIME:
        for (size_t i = 1; i < n; i++)
            value += s[i].value;
        return r->fn == TOK_RATE ? value / range_s : value;
    case TOK_AVG_OVER_TIME:
        return average(s, n);
    case TOK_MIN_OVER_TIME:
    case TOK_MAX_OVER_TIME:
        for (size_t i = 1; i < n; i++)
            if (isnan(value) || (r->fn == TOK_MIN_OVER_TIME ? s[i].value < value : s[i].value > value))
                value = s[i].value;
        return value;
    case TOK_STDVAR_OVER_TIME:
        return variance(s, n);
    case TOK_STDDEV_OVER_TIME:
        return sqrt(variance(s, n));
    case TOK_QUANTILE_OVER_TIME:
        return quantile(s, n, r->plan->ast->range_agg.param);
    case TOK_LAST_OVER_TIME:
        return s[n - 1].value;
    case TOK_RATE_COUNTER:
        return rate_counter(s, n, range_s);
    default: // first
        return value;
    }
}

static int by_time(const void *a, const void *b)
{
    const struct sample *x = a, *y = b;
    if (x->time_ns != y->time_ns)
        return x->time_ns < y->time_ns ? -1 : 1;
    return (x > y) - (x < y);
}

static void values_of_samples(const struct range_agg *r, struct gathered *g, struct series *out)
{
    bool sorted = true;
    for (size_t i = 1; i < g->count && sorted; i++)
        sorted = g->samples[i - 1].time_ns <= g->samples[i].time_ns;
    if (!sorted)
        qsort(g->samples, g->count, sizeof *g->samples, by_time);
    size_t low = 0, high = 0;
    for (uint32_t t = 0; t < r->ev->steps.count; t++) {
        __int128 at = (__int128)r->ev->steps.from_ns + (__int128)t * r->ev->steps.step_ns - r->range->offset_ns;
        while (high < g->count && g->samples[high].time_ns <= at)
            high++;
        while (low < high && g->samples[low].time_ns <= at - r->range->range_ns)
            low++;
        out->present[t] = low < high;
        if (low < high)
            out->values[t] = window_value(r, g->samples + low, high - low);
    }
}

static void values_of_sums(const struct range_agg *r, const struct gathered *g, struct series *out)
{
    double range_s = (double)r->range->range_ns / 1e9;
    uint64_t entries = 0, bytes = 0;
    for (uint32_t t = 0; t < r->ev->steps.count; t++) {
        entries += g->entries[t];
        bytes += r->bytes ? g->bytes[t] : 0;
        double value = (double)(r->bytes ? bytes : entries);
        out->present[t] = entries > 0;
        out->values[t] = r->fn == TOK_RATE || r->fn == TOK_BYTES_RATE ? value / range_s : value;
    }
}

// Labels that the selector's equalities give, where the name has no other matcher (logql.md 17.3).
static struct slice absent_labels(const struct ast_logs *logs, struct arena *a)
{
    struct label *pairs = arena_array(a, logs->matchers_count + 1, sizeof *pairs);
    size_t count = 0;
    for (uint32_t i = 0; i < logs->matchers_count && pairs != NULL; i++) {
        const struct label_matcher *m = &logs->matchers[i];
        bool only = m->op == MATCH_EQ;
        for (uint32_t n = 0; n < logs->matchers_count && only; n++)
            only = n == i || !slice_eq(logs->matchers[n].name, m->name);
        if (only)
            pairs[count++] = (struct label){m->name, m->value};
    }
    if (pairs == NULL)
        return (struct slice){0};
    struct labels set = {pairs, (uint32_t)count};
    (void)labels_canon(&set);
    return labels_encoded(&set, a);
}

static bool make_absent(struct range_agg *r, struct matrix *out, struct err *err)
{
    struct slice labels = absent_labels(&r->range->logs, r->ev->a);
    struct series *s = labels.ptr != NULL ? matrix_add(r->ev, out, labels) : NULL;
    if (s == NULL)
        return matrix_no_memory(r->ev, err);
    for (uint32_t t = 0; t < r->ev->steps.count; t++) {
        s->present[t] = true;
        s->values[t] = 1;
    }
    for (size_t i = 0; i < r->table.count; i++) {
        uint64_t entries = 0;
        for (uint32_t t = 0; t < r->ev->steps.count; t++) {
            entries += r->gathered[i].entries[t];
            s->present[t] = s->present[t] && entries == 0;
        }
    }
    return true;
}

static bool make_series(struct range_agg *r, struct matrix *out, struct err *err)
{
    if (r->fn == TOK_ABSENT_OVER_TIME)
        return make_absent(r, out, err);
    for (size_t i = 0; i < r->table.count; i++) {
        struct series *s = matrix_add(r->ev, out, r->table.items[i]);
        if (s == NULL)
            return matrix_no_memory(r->ev, err);
        if (r->sums)
            values_of_sums(r, &r->gathered[i], s);
        else
            values_of_samples(r, &r->gathered[i], s);
    }
    return true;
}

// --- all together -----------------------------------------------------------------------------------

static int64_t clamp(__int128 ns)
{
    return ns > INT64_MAX ? INT64_MAX : ns < INT64_MIN ? INT64_MIN : (int64_t)ns;
}

static bool run(struct range_agg *r, struct matrix *out, struct err *err)
{
    const struct steps *steps = &r->ev->steps;
    __int128 last = (__int128)steps->from_ns + (__int128)steps->step_ns * (steps->count - 1);
    int64_t from_ns = clamp((__int128)steps->from_ns - r->range->offset_ns - r->range->range_ns + 1);
    int64_t to_ns = clamp(last - r->range->offset_ns + 1);
    struct view_selection sel;
    if (!scan_select(r->scan, &r->range->logs, from_ns, to_ns, &sel, err))
        return false;
    view_settle(r->scan->view);
    return visit_streams(r, &sel, from_ns, to_ns, err) && make_series(r, out, err);
}

bool range_agg_eval(struct evaluation *ev, const struct ast *ast, struct matrix *out, struct err *err)
{
    const struct range_plan *plan = ev->plans;
    while (plan->ast != ast)
        plan = plan->next;
    enum token_kind fn = ast->range_agg.fn;
    struct scan scan;
    struct range_agg r = {
        .ev = ev,
        .plan = plan,
        .fn = fn,
        .range = &ast->range_agg.range,
        .bytes = fn == TOK_BYTES_OVER_TIME || fn == TOK_BYTES_RATE,
        .sums = fn == TOK_BYTES_OVER_TIME || fn == TOK_BYTES_RATE || fn == TOK_COUNT_OVER_TIME ||
                fn == TOK_ABSENT_OVER_TIME || (fn == TOK_RATE && ast->range_agg.range.unwrap == NULL),
        .scan = &scan,
        .table = {.arena = ev->a},
        .last_number = SIZE_MAX,
    };
    if (!scan_begin(&scan, ev->context, ev->stats, err))
        return false;
    arena_init(&r.scratch, QUERY_ARENA_BYTES_MAX);
    bool good = run(&r, out, err);
    arena_done(&r.scratch);
    if (scan.warnings_count > 0) {
        ev->warnings = scan.warnings;
        ev->warnings_count = (uint32_t)scan.warnings_count;
    }
    scan_end(&scan);
    return good;
}
