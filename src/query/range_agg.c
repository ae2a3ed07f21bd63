/*
 * range_agg.c -- range aggregations over log entries; logql.md 14.2, 15 to 17.
 *
 * Counts and bytes are sums: what an entry is worth is added as a difference at the first step whose window
 * holds it and taken back behind the last, so the cost depends on the entries, not on how windows overlap.
 * The other functions need a window's samples: they are kept by series.
 *
 * The runs are cut into tasks of whole clusters (merge.h). Each scan of the team gathers what its tasks give; see
 * range_values.c for what becomes of it.
 */
#include "query/range.h"

#include "base/limits.h"
#include "query/crew.h"
#include "query/logql/unit.h"
#include "query/merge.h"

// --- one entry --------------------------------------------------------------------------------------

// The labels of a sample: logql.md 15. A preserved error escapes the function's own grouping, not that of the
// sum around it.
static struct slice sample_labels(struct gatherer *p, const struct line *l)
{
    const struct range_agg *r = p->r;
    struct arena *a = &p->scan->scratch;
    const struct ast_grouping *g = r->by;
    if (r->grouped && r->plan->around == NULL && l->preserve_error)
        return line_labels(l, a);
    bool without = !r->grouped || (g != NULL && g->without);
    size_t count = g != NULL ? g->names_count : 0;
    struct slice *names = arena_array(a, count + 1, sizeof *names);
    if (names == NULL)
        return (struct slice){0};
    if (count > 0)
        memcpy(names, g->names, count * sizeof *names);
    if (without && r->range->unwrap != NULL)
        names[count++] = r->range->unwrap->name;
    return without && count == 0 ? line_labels(l, a) : line_grouped(l, names, count, without, a);
}

static bool add_series(struct gatherer *p, size_t number)
{
    const struct range_agg *r = p->r;
    struct arena *a = &p->scan->arena;
    struct gathered g = {.first_task = p->task};
    size_t bytes = (r->ev->steps.count + 1) * sizeof(uint64_t);
    if (r->sums)
        g.entries = arena_zalloc(a, bytes);
    if (r->sums && r->bytes)
        g.bytes = arena_zalloc(a, bytes);
    if (!arena_grow(a, (void **)&p->gathered, sizeof *p->gathered, number, &p->gathered_room) || a->overflowed)
        return scan_fail_memory(p->scan);
    p->gathered[number] = g;
    return true;
}

static uint64_t first_and_last(struct slice value)
{
    uint64_t first = 0, last = 0;
    uint32_t first4, last4;
    if (value.len >= sizeof first) {
        memcpy(&first, value.ptr, sizeof first);
        memcpy(&last, value.ptr + value.len - sizeof last, sizeof last);
    } else if (value.len >= sizeof first4) {
        memcpy(&first4, value.ptr, sizeof first4);
        memcpy(&last4, value.ptr + value.len - sizeof last4, sizeof last4);
        first = first4, last = last4;
    } else if (value.len > 0) {
        first = value.ptr[0], last = (uint64_t)value.ptr[value.len / 2] << 8 | value.ptr[value.len - 1];
    }
    return (first ^ last * UINT64_C(0xC2B2AE3D27D4EB4F)) + value.len;
}

// The values of an entry by which its series is told, and their place among the recent ones; NULL: its series does
// not depend on few and short values alone.
static struct recent *recent_of(struct gatherer *p, const struct line *l, struct recent_key *key)
{
    const struct ast_grouping *g = p->r->by;
    if (g == NULL || g->without || g->names_count == 0 || g->names_count > RECENT_NAMES || l->error.len > 0 ||
        l->error_details.len > 0 || l->preserve_error)
        return NULL;
    uint64_t hash = 0;
    key->count = g->names_count;
    for (uint32_t i = 0; i < g->names_count; i++) {
        key->values[i] = line_label(l, g->names[i], &key->found[i]);
        if (key->values[i].len > RECENT_BYTES)
            return NULL;
        hash = (hash ^ first_and_last(key->values[i])) * UINT64_C(0x9E3779B97F4A7C15);
    }
    return &p->recent[hash >> 32 & (RECENT_SERIES - 1)];
}

static bool is_recent(const struct recent *recent, const struct recent_key *key)
{
    for (uint32_t i = 0; i < key->count; i++)
        if (recent->key.found[i] != key->found[i] || !slice_eq(recent->key.values[i], key->values[i]))
            return false;
    return recent->key.count > 0;
}

static void set_recent(struct recent *recent, const struct recent_key *key, size_t number)
{
    recent->key = *key;
    recent->number = number;
    for (uint32_t i = 0; i < key->count; i++) {
        if (key->values[i].len > 0)
            memcpy(recent->bytes[i], key->values[i].ptr, key->values[i].len);
        recent->key.values[i].ptr = recent->bytes[i];
    }
}

static bool number_of(struct gatherer *p, const struct line *l, size_t *number_out)
{
    const struct range_agg *r = p->r;
    if (r->plain && p->last_number != SIZE_MAX && l->metadata.ptr == p->last_metadata.ptr &&
        l->metadata.len == p->last_metadata.len) {
        *number_out = p->last_number;
        return true;
    }
    struct recent_key key;
    struct recent *recent = r->plain ? NULL : recent_of(p, l, &key);
    if (recent != NULL && is_recent(recent, &key)) {
        *number_out = recent->number;
        return true;
    }
    size_t before = p->table.count;
    struct slice labels = sample_labels(p, l);
    size_t number = labels.ptr == NULL ? SIZE_MAX : slice_set_add(&p->table, labels);
    if (number == SIZE_MAX)
        return scan_fail_memory(p->scan);
    if (p->table.count > before && !add_series(p, number))
        return false;
    if (recent != NULL)
        set_recent(recent, &key, number);
    p->last_metadata = l->metadata;
    p->last_number = r->plain ? number : SIZE_MAX;
    *number_out = number;
    return true;
}

// logql.md 16.5
static bool pipeline_error(struct gatherer *p, const struct line *l)
{
    struct err err;
    AUTO(buf_done) struct buf text;
    buf_init(&text, ERR_TEXT_BYTES);
    labels_print(&text, line_labels(l, &p->scan->scratch));
    (void)err_set(&err, ERR_INPUT,
                  "pipeline error: '%.*s' for series: '%.*s'.\n"
                  "Use a label filter to intentionally skip this error. (e.g | __error__!=\"%.*s\").\n"
                  "To skip all potential errors you can match empty errors.(e.g __error__=\"\")\n"
                  "The label filter can also be specified after unwrap. (e.g | unwrap latency | "
                  "__error__=\"\" )\n",
                  SLICE_FMT(l->error), SLICE_FMT(buf_slice(&text)), SLICE_FMT(l->error));
    return scan_fail(p->scan, &err);
}

static int64_t clamp(__int128 ns)
{
    return ns > INT64_MAX ? INT64_MAX : ns < INT64_MIN ? INT64_MIN : (int64_t)ns;
}

static int64_t floor_div(__int128 a, int64_t b)
{
    __int128 q = a / b;
    if (a % b != 0 && a < 0)
        q--;
    return clamp(q);
}

// Steps whose window holds an entry: T with time + offset <= T < time + offset + range. Neighbours mostly
// share them, so the last answer is kept with the times that it holds for.
static bool steps_of(struct gatherer *p, int64_t time_ns, uint32_t *first_out, uint32_t *end_out)
{
    if (time_ns < p->span.from_ns || time_ns > p->span.last_ns) {
        const struct range_agg *r = p->r;
        const struct steps *s = &r->ev->steps;
        __int128 shift = (__int128)r->range->offset_ns - s->from_ns, from = time_ns + shift;
        int64_t first = floor_div(from + s->step_ns - 1, s->step_ns);
        int64_t end = clamp((__int128)floor_div(from + r->range->range_ns - 1, s->step_ns) + 1);
        __int128 to_first = (__int128)first * s->step_ns - shift; // the last time with this first step
        __int128 to_end = (__int128)end * s->step_ns - r->range->range_ns - shift;
        p->span = (struct window_span){.from_ns = time_ns, .last_ns = clamp(to_first < to_end ? to_first : to_end)};
        p->span.first = (uint32_t)(first < 0 ? 0 : first > s->count ? s->count : first);
        p->span.end = (uint32_t)(end < 0 ? 0 : end > s->count ? s->count : end);
    }
    *first_out = p->span.first;
    *end_out = p->span.end;
    return p->span.first < p->span.end;
}

// The value of the unwrapped label. False: the entry gives no sample.
static bool unwrap(const struct range_agg *r, struct line *l, double *value_out)
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

// What is left of the last piece's room goes to the next one's task.
static bool add_piece(struct gatherer *p, struct gathered *g)
{
    struct arena *a = &p->scan->arena;
    struct piece next = {.task = p->task, .number = (uint32_t)g->pieces_count};
    const struct piece *last = g->pieces_count > 0 ? &g->pieces[g->pieces_count - 1] : NULL;
    if (last != NULL && last->count < last->room) {
        next.room = last->room - last->count;
        next.samples = last->samples + last->count;
    } else {
        next.room = last == NULL ? PIECE_SAMPLES_MIN : last->room * 2;
        next.room = next.room > PIECE_SAMPLES_MAX ? PIECE_SAMPLES_MAX : next.room;
        next.samples = arena_array(a, next.room, sizeof *next.samples);
    }
    if (next.samples == NULL ||
        !arena_grow(a, (void **)&g->pieces, sizeof *g->pieces, g->pieces_count, &g->pieces_room))
        return scan_fail_memory(p->scan);
    g->pieces[g->pieces_count++] = next;
    return true;
}

static bool add_sample(struct gatherer *p, struct gathered *g, struct sample sample)
{
    struct piece *last = g->pieces_count > 0 ? &g->pieces[g->pieces_count - 1] : NULL;
    if (last == NULL || last->task != p->task || last->count == last->room) {
        if (!add_piece(p, g))
            return false;
        last = &g->pieces[g->pieces_count - 1];
    }
    last->samples[last->count++] = sample;
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

static bool add_hit(void *ctx, struct scan_hit *hit)
{
    struct gatherer *p = ctx;
    const struct range_agg *r = p->r;
    struct line *l = &hit->line;
    uint32_t first, end;
    size_t number;
    double value = 1;
    if (!steps_of(p, l->time_ns, &first, &end))
        return true;
    if (r->range->unwrap != NULL && (!unwrap(r, l, &value) || !pipeline_keeps(r->plan->post, l)))
        return true;
    if (l->error.len > 0 && !l->preserve_error)
        return pipeline_error(p, l);
    if (!number_of(p, l, &number))
        return false;
    struct gathered *g = &p->gathered[number];
    if (!r->sums)
        return add_sample(p, g, (struct sample){l->time_ns, value});
    add_totals(g, first, end, 1, l->text.len);
    return true;
}

// --- visiting ---------------------------------------------------------------------------------------

static bool add_entries(void *ctx, const struct run_entries *e, uint32_t first, uint32_t end)
{
    struct gatherer *p = ctx;
    // Decoded blocks are reused: pointers mean nothing from one piece to the next.
    p->last_number = SIZE_MAX;
    (void)scan_run(p->scan, p->r->plan->pipeline, p->stream, e, first, end, true, add_hit, p);
    return !p->scan->failed;
}

// --- streams whose entries all go to one series -------------------------------------------------------

// Grouped by names that the stream has (or by none), and with no stages but line filters, all entries of a stream
// make one series: metadata are not read, without any stages lines neither, and where one set of steps holds a whole
// run not even its times.
static bool is_one_series(const struct gatherer *p)
{
    const struct ast_grouping *by;
    if (!range_may_be_one_series(p->r->plan, &by))
        return false;
    for (uint32_t i = 0; by != NULL && i < by->names_count; i++)
        if (labels_find(p->stream, by->names[i]).len == 0)
            return false;
    return true;
}

static bool uniform_series(struct gatherer *p, struct gathered **out)
{
    struct line l = {.stream = p->stream, .metadata = LABELS_EMPTY};
    size_t number;
    p->last_number = SIZE_MAX;
    if (!number_of(p, &l, &number))
        return false;
    arena_reset(&p->scan->scratch);
    *out = &p->gathered[number];
    return true;
}

// Whether one set of steps holds the whole run.
static bool is_within_steps(struct gatherer *p, const struct view_run *run, uint32_t *first_out, uint32_t *end_out)
{
    uint32_t first, end;
    bool last = steps_of(p, run->max_ns, &first, &end);
    return steps_of(p, run->min_ns, first_out, end_out) == last && first == *first_out && end == *end_out;
}

static bool add_whole_run(void *ctx, const struct view_run *run)
{
    struct gatherer *p = ctx;
    struct gathered *g;
    uint32_t first, end;
    if (!is_within_steps(p, run, &first, &end) || !uniform_series(p, &g))
        return false;
    if (first < end)
        add_totals(g, first, end, run->entries_count, run->line_bytes);
    p->scan->stats.lines_matched += run->entries_count;
    p->scan->stats.runs_from_totals++;
    return true;
}

static bool add_uniform_entries(void *ctx, const struct run_entries *e, uint32_t first, uint32_t end)
{
    struct gatherer *p = ctx;
    struct gathered *g;
    if (!uniform_series(p, &g))
        return false;
    for (uint32_t n = first; n < end; n++) {
        uint32_t from, to;
        if (steps_of(p, e->times_ns[n], &from, &to))
            add_totals(g, from, to, 1, p->r->bytes ? e->line_bytes[n] : 0);
    }
    p->scan->stats.lines_scanned += end - first;
    return true;
}

// --- tasks ------------------------------------------------------------------------------------------

// A task is large against the cost of starting it, and small against the whole of a query.
enum { TASK_LINE_BYTES_MIN = 32 << 10, TASK_LINE_BYTES_MAX = 2 << 20, TASK_RUNS = 512, TASKS_PER_SCAN = 8 };

static uint64_t task_bytes(const struct range_agg *r, unsigned scans)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < r->sel.runs_count; i++)
        bytes += r->sel.runs[i].line_bytes;
    bytes /= (uint64_t)scans * TASKS_PER_SCAN;
    return bytes < TASK_LINE_BYTES_MIN ? TASK_LINE_BYTES_MIN : bytes > TASK_LINE_BYTES_MAX ? TASK_LINE_BYTES_MAX : bytes;
}

static bool make_tasks(struct range_agg *r, unsigned scans, struct arena *a, struct err *err)
{
    const struct view_run *runs = r->sel.runs;
    uint64_t bytes_max = task_bytes(r, scans);
    for (uint32_t i = 0, end; i < r->sel.runs_count; i = end) {
        uint64_t bytes = 0;
        for (end = i; end < r->sel.runs_count && bytes < bytes_max && end - i < TASK_RUNS;) {
            uint32_t next = merge_cluster_end(runs, r->sel.runs_count, end);
            for (; end < next; end++)
                bytes += runs[end].line_bytes;
        }
        if (!arena_grow(a, (void **)&r->tasks, sizeof *r->tasks, r->tasks_count, &r->tasks_room))
            return arena_ok(a, "metric query", err);
        r->tasks[r->tasks_count++] = (struct task){i, end};
    }
    return true;
}

static bool is_timeless(void *ctx, const struct view_run *run)
{
    struct gatherer *p = ctx;
    uint32_t first, end;
    return p->r->sums && !pipeline_reads_times(p->r->plan->pipeline) && is_within_steps(p, run, &first, &end);
}

static bool run_task(void *ctx, struct scan *s, uint32_t number)
{
    struct range_agg *r = ctx;
    struct gatherer *p = &r->gatherers[s - s->team->scans];
    const struct merge_visitor each = {.visit = add_entries, .timeless = is_timeless, .ctx = p};
    const struct merge_visitor uniform = {.visit = add_uniform_entries, .whole = add_whole_run, .ctx = p};
    unsigned columns = scan_columns(r->plan->pipeline) | (r->bytes ? VIEW_LINES : 0U);
    unsigned uniform_columns = VIEW_TIMES | (r->bytes ? VIEW_LENGTHS : 0U);
    bool one_series = false, one = false;
    p->task = number;
    for (uint32_t i = r->tasks[number].first, end; i < r->tasks[number].end; i = end) {
        uint32_t stream = r->sel.runs[i].stream;
        if (i == r->tasks[number].first || r->sel.runs[i - 1].stream != stream) {
            if (!scan_labels(s, &r->sel.streams[stream], &p->stream))
                return false;
            one_series = is_one_series(p);
            one = one_series && pipeline_is_empty(r->plan->pipeline);
        }
        end = merge_cluster_end(r->sel.runs, r->sel.runs_count, i);
        unsigned needed = one ? uniform_columns : one_series ? columns : columns | VIEW_METADATA;
        if (!merge_cluster(s, &r->sel.runs[i], end - i, needed, r->from_ns, r->to_ns, one ? &uniform : &each))
            return false;
    }
    return true;
}

// --- all together -----------------------------------------------------------------------------------

static bool gather(struct range_agg *r, struct scan_team *team, struct err *err)
{
    const struct steps *steps = &r->ev->steps;
    struct arena *a = &team->scans[0].arena;
    __int128 last = (__int128)steps->from_ns + (__int128)steps->step_ns * (steps->count - 1);
    r->from_ns = clamp((__int128)steps->from_ns - r->range->offset_ns - r->range->range_ns + 1);
    r->to_ns = clamp(last - r->range->offset_ns + 1);
    r->gatherers = arena_zalloc(a, team->count * sizeof *r->gatherers);
    if (r->gatherers == NULL)
        return arena_ok(a, "metric query", err);
    for (unsigned i = 0; i < team->count; i++)
        r->gatherers[i] = (struct gatherer){
            .r = r, .scan = &team->scans[i], .table = {.arena = &team->scans[i].arena},
            .span = {.from_ns = 1, .last_ns = 0}, .last_number = SIZE_MAX};
    if (!scan_team_select(team, &r->range->logs, r->from_ns, r->to_ns, &r->sel, err) || !make_tasks(r, team->count, a, err))
        return false;
    scan_team_probe(team, r->plan->pipeline, &r->sel);
    scan_team_order(team, r->sel.runs, NULL, r->sel.runs_count, true);
    view_settle(team->view);
    return scan_team_run(team, (uint32_t)r->tasks_count, run_task, r, err);
}

bool range_agg_eval(struct evaluation *ev, const struct ast *ast, struct matrix *out, struct err *err)
{
    const struct range_plan *plan = ev->plans;
    while (plan->ast != ast)
        plan = plan->next;
    struct scan_team team;
    struct range_agg r = {
        .ev = ev,
        .plan = plan,
        .fn = ast->range_agg.fn,
        .range = &ast->range_agg.range,
        .bytes = range_counts_bytes(ast),
        .sums = range_is_sum(ast),
        .by = plan->around != NULL ? plan->around->vector_agg.grouping : ast->range_agg.grouping,
        .grouped = plan->around != NULL || ast->range_agg.grouping != NULL || ast->range_agg.fn == TOK_ABSENT_OVER_TIME,
        .plain = !pipeline_sets_labels(plan->pipeline) && ast->range_agg.range.unwrap == NULL,
    };
    unsigned gatherers = crew_workers(ev->context->crew);
    bool good = scan_team_begin(&team, ev->context, err) && gather(&r, &team, err);
    scan_team_end(&team, ev->stats, &ev->warnings, &ev->warnings_count);
    if (!good)
        return false;
    return range_values(&r, gatherers, out, err);
}
