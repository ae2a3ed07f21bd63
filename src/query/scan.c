/*
 * scan.c -- see scan.h.
 *
 * A literal that every kept line must contain, or none may, is searched for over the lines of a run as one piece:
 * where it is not, no entry is looked at.
 */
#include "base/limits.h"
#include "query/scan.h"

#include "base/clock.h"
#include "base/hex.h"
#include "base/finder.h"
#include "query/crew.h"

#include <assert.h>
#include <stdlib.h>

enum { WARNINGS_MAX = 16 };

// --- the team ---------------------------------------------------------------------------------------

bool scan_team_begin(struct scan_team *team, const struct query_context *context, struct err *err)
{
    size_t left = context->arena->bytes_max - context->arena->used_bytes;
    *team = (struct scan_team){.context = context, .budget = {.bytes_max = left}};
    (void)pthread_mutex_init(&team->lock, NULL);
    team->count = crew_workers(context->crew);
    team->scans = calloc(team->count, sizeof *team->scans);
    assert(team->scans != NULL);
    for (unsigned i = 0; i < team->count; i++) {
        team->scans[i].team = team;
        arena_init_shared(&team->scans[i].arena, &team->budget);
        arena_init(&team->scans[i].scratch, QUERY_ARENA_BYTES_MAX);
    }
    if (!view_begin(context->store, context->tenant, &team->view, err))
        return false;
    team->ahead = view_ahead_new(team->view);
    for (unsigned i = 0; i < team->count; i++) {
        team->scans[i].loader = run_loader_new(team->view);
        run_loader_join(team->scans[i].loader, team->ahead);
    }
    return true;
}

void scan_add_loader(struct query_stats *stats, const struct run_loader *loader)
{
    struct run_loader_stats l;
    run_loader_stats(loader, &l);
    stats->blocks_decoded += l.blocks_decoded;
    stats->compressed_bytes += l.compressed_bytes;
    stats->decoded_bytes += l.decoded_bytes;
    stats->head_lines += l.head_lines;
    stats->head_bytes += l.head_bytes;
}

static void add_stats(struct query_stats *to, const struct query_stats *from)
{
    to->lines_scanned += from->lines_scanned;
    to->bytes_scanned += from->bytes_scanned;
    to->lines_matched += from->lines_matched;
    to->streams_matched += from->streams_matched;
    to->runs_selected += from->runs_selected;
    to->runs_pruned += from->runs_pruned;
    to->runs_filtered += from->runs_filtered;
    to->runs_loaded += from->runs_loaded;
    to->runs_from_totals += from->runs_from_totals;
    to->blocks_decoded += from->blocks_decoded;
    to->compressed_bytes += from->compressed_bytes;
    to->decoded_bytes += from->decoded_bytes;
    to->head_lines += from->head_lines;
    to->head_bytes += from->head_bytes;
}

void scan_team_end(struct scan_team *team, struct query_stats *stats, const char ***warnings,
                   uint32_t *warnings_count)
{
    size_t room = *warnings_count;
    for (unsigned i = 0; i < team->count; i++) {
        struct scan *s = &team->scans[i];
        if (s->loader != NULL)
            scan_add_loader(&s->stats, s->loader);
        run_loader_free(s->loader);
        add_stats(stats, &s->stats);
        for (size_t n = 0; n < s->warnings_count && *warnings_count < WARNINGS_MAX; n++)
            if (arena_grow(&s->arena, (void **)warnings, sizeof **warnings, *warnings_count, &room))
                (*warnings)[(*warnings_count)++] = s->warnings[n];
        line_space_done(&s->space);
        arena_adopt(team->context->arena, &s->arena);
        arena_done(&s->scratch);
    }
    view_ahead_free(team->ahead);
    view_probe_free(team->probe);
    view_probe_free(team->unlabelled_probe);
    view_end(team->view);
    free(team->scans);
    (void)pthread_mutex_destroy(&team->lock);
    *team = (struct scan_team){0};
}

// By the index of traces: no entry that the stage keeps lies outside of what is left of [*from, *to).
static bool narrow(struct scan_team *team, const struct ast_stage *stage, int64_t *from_ns, int64_t *to_ns, struct err *err)
{
    struct view_trace_entry *entries;
    uint32_t count;
    if (memchr(team->context->tenant.ptr, '|', team->context->tenant.len) != NULL)
        return true; // the index is asked of one tenant at a time
    uint8_t trace_id[TRACE_ID_BYTES];
    if (!hex_decode(stage->text, trace_id, sizeof trace_id) ||
        !view_trace_entries(team->view, trace_id, &team->scans[0].arena, &entries, &count, err))
        return false;
    if (count == 0) {
        *to_ns = *from_ns;
        return true;
    }
    if (entries[0].time_ns > *from_ns)
        *from_ns = entries[0].time_ns;
    if (entries[count - 1].time_ns < *to_ns)
        *to_ns = entries[count - 1].time_ns + 1;
    return true;
}

bool scan_team_select(struct scan_team *team, const struct ast_logs *logs, int64_t from_ns, int64_t to_ns,
                      struct view_selection *out, struct err *err)
{
    struct scan *s = &team->scans[0];
    for (const struct ast_stage *stage = logs->stages; stage != NULL; stage = stage->next)
        if (stage->kind == STAGE_TRACE_ID && !narrow(team, stage, &from_ns, &to_ns, err))
            return false;
    if (!view_select(team->view, logs->matchers, logs->matchers_count, from_ns, to_ns, &s->arena, out, err))
        return false;
    s->stats.streams_matched += out->streams_count;
    s->stats.runs_selected += out->runs_count;
    s->stats.runs_pruned += out->runs_pruned;
    return true;
}

void scan_team_probe(struct scan_team *team, const struct pipeline *p, const struct view_selection *selection)
{
    struct arena *a = &team->scans[0].arena;
    team->probed = selection->streams;
    team->clauses_count = pipeline_clauses(p, a, &team->clauses);
    struct view_clause *clauses = arena_array(a, team->clauses_count + 1, sizeof *clauses);
    uint32_t count = 0;
    if (clauses == NULL)
        return;
    for (uint32_t i = 0; i < team->clauses_count; i++)
        if (team->clauses[i].label.ptr == NULL)
            clauses[count++] = team->clauses[i].clause;
    team->probe = view_probe_new(team->view, clauses, count, a);
    count = 0;
    for (uint32_t i = 0; i < team->clauses_count; i++)
        if (team->clauses[i].label.ptr != NULL)
            clauses[count++] = team->clauses[i].clause;
    team->unlabelled_probe = view_probe_new(team->view, clauses, count, a);
}

void scan_team_order(struct scan_team *team, const struct view_run *runs, const struct view_run **order, uint32_t count, bool to_the_end)
{
    team->ahead_runs = runs;
    team->ahead_order = order;
    team->ahead_count = count;
    team->to_the_end = to_the_end;
    if (team->ahead != NULL && to_the_end)
        view_ahead_to_the_end(team->ahead);
}

struct run_loader *scan_loader_new(struct scan *s)
{
    struct run_loader *loader = run_loader_new(s->team->view);
    run_loader_join(loader, s->team->ahead);
    return loader;
}

struct team_run {
    struct scan_team *team;
    bool (*work)(void *ctx, struct scan *s, uint32_t task);
    void *ctx;
};

static bool work_of(void *ctx, unsigned worker, uint32_t task)
{
    struct team_run *r = ctx;
    if (r->team->ahead_order != NULL)
        r->team->scans[worker].ahead_from = task;
    return r->work(r->ctx, &r->team->scans[worker], task);
}

bool scan_team_run(struct scan_team *team, uint32_t tasks,
                   bool (*work)(void *ctx, struct scan *s, uint32_t task), void *ctx, struct err *err)
{
    struct team_run r = {team, work, ctx};
    crew_run(team->context->crew, tasks, work_of, &r);
    for (unsigned i = 0; i < team->count; i++)
        if (team->scans[i].failed) {
            *err = team->scans[i].err;
            return false;
        }
    return true;
}

// --- one scan ---------------------------------------------------------------------------------------

bool scan_fail(struct scan *s, const struct err *err)
{
    s->err = *err;
    s->failed = true;
    return false;
}

bool scan_fail_memory(struct scan *s)
{
    (void)err_set(&s->err, ERR_LIMIT, "query: more than %zu bytes of memory", s->team->context->arena->bytes_max);
    s->failed = true;
    return false;
}

bool scan_labels(struct scan *s, struct view_stream *stream, struct slice *labels_out)
{
    struct err err;
    (void)pthread_mutex_lock(&s->team->lock);
    bool good = view_labels(s->team->view, stream, &s->arena, labels_out, &err);
    (void)pthread_mutex_unlock(&s->team->lock);
    return good || scan_fail(s, &err);
}

static bool may_go_on(struct scan *s)
{
    const struct query_context *c = s->team->context;
    struct err err;
    if (c->cancelled != NULL && atomic_load_explicit(c->cancelled, memory_order_relaxed)) {
        (void)err_set(&err, ERR_CANCELLED, "the client left");
        return scan_fail(s, &err);
    }
    if (c->deadline_mono_ns != 0 && clock_mono_ns() > c->deadline_mono_ns) {
        (void)err_set(&err, ERR_TIMEOUT, "the query passed its deadline");
        return scan_fail(s, &err);
    }
    return true;
}

static void warn(struct scan *s, const char *text)
{
    if (s->warnings_count == WARNINGS_MAX ||
        !arena_grow(&s->arena, (void **)&s->warnings, sizeof *s->warnings, s->warnings_count,
                    &s->warnings_room))
        return;
    s->warnings[s->warnings_count++] =
        arena_printf(&s->arena, "incomplete result: damaged data was left out: %s", text);
}

// Whether the stream has a label that a clause needs to be without.
static bool has_clause_label(const struct scan_team *team, struct slice labels)
{
    for (uint32_t i = 0; i < team->clauses_count; i++)
        if (team->clauses[i].label.ptr != NULL && labels_find(labels, team->clauses[i].label).len > 0)
            return true;
    return false;
}

// False: the task failed.
static bool is_denied(struct scan *s, struct run_loader *loader, const struct view_run *run, bool *denied_out)
{
    struct scan_team *team = s->team;
    *denied_out = team->probe != NULL && !run_may_hold(loader, team->probe, run);
    if (*denied_out || team->unlabelled_probe == NULL || run_may_hold(loader, team->unlabelled_probe, run))
        return true;
    struct slice labels;
    if (!scan_labels(s, &team->probed[run->stream], &labels))
        return false;
    *denied_out = !has_clause_label(team, labels);
    return true;
}

// Announces what comes after a run, as far as filters do not deny it.
static void read_ahead(struct scan *s, struct run_loader *loader, const struct view_run *run, unsigned columns)
{
    struct scan_team *team = s->team;
    if (team->ahead == NULL || team->ahead_count == 0)
        return;
    if (team->ahead_order == NULL)
        s->ahead_from = (uint32_t)(run - team->ahead_runs);
    uint32_t from = s->ahead_from + 1, end = team->ahead_count - from < AHEAD_RUNS_MAX ? team->ahead_count : from + AHEAD_RUNS_MAX;
    if (s->ahead_to < from || s->ahead_to > end)
        s->ahead_to = from;
    for (; s->ahead_to < end; s->ahead_to++) {
        const struct view_run *next =
            team->ahead_order != NULL ? team->ahead_order[s->ahead_to] : &team->ahead_runs[s->ahead_to];
        if (!view_ahead_find(team->ahead, next))
            break;
        bool denied = team->probe != NULL && !run_may_hold(loader, team->probe, next);
        if (!denied && !view_ahead_want(team->ahead, next, columns))
            break;
    }
    view_ahead_go(team->ahead);
    for (uint32_t i = s->ahead_to; i < end && team->to_the_end; i++)
        (void)view_ahead_find(team->ahead, team->ahead_order != NULL ? team->ahead_order[i] : &team->ahead_runs[i]);
}

bool scan_load(struct scan *s, struct run_loader *loader, const struct view_run *run, unsigned columns,
               struct run_entries *out, bool *left_out)
{
    struct err err;
    loader = loader != NULL ? loader : s->loader;
    if (!may_go_on(s) || !is_denied(s, loader, run, left_out))
        return false;
    s->stats.runs_filtered += *left_out;
    if (*left_out)
        return true;
    s->stats.runs_loaded++;
    read_ahead(s, loader, run, columns);
    if (run_load(loader, run, columns, out, &err))
        return true;
    *left_out = err.code == ERR_CORRUPT;
    if (!*left_out)
        return scan_fail(s, &err);
    warn(s, err.text);
    return true;
}

unsigned scan_columns(const struct pipeline *p)
{
    return VIEW_TIMES | (pipeline_reads_lines(p) ? VIEW_LINES : 0U) |
           (pipeline_reads_labels(p) ? VIEW_METADATA : 0U);
}

// First entry with time >= time_ns.
static uint32_t lower_bound(const struct run_entries *e, int64_t time_ns)
{
    uint32_t low = 0, high = e->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (e->times_ns[middle] < time_ns)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void scan_bounds(const struct run_entries *e, int64_t from_ns, int64_t to_ns, uint32_t *first_out,
                 uint32_t *end_out)
{
    *first_out = e->times_ns != NULL ? lower_bound(e, from_ns) : 0;
    *end_out = e->times_ns != NULL ? lower_bound(e, to_ns) : e->count;
}

// The entry that a byte of the run's text belongs to; mostly one of the next.
static uint32_t entry_of(const struct run_entries *e, uint32_t first, uint32_t end, const uint8_t *at)
{
    uint32_t low = first, step = 1;
    while (low + step < end && e->lines[low + step] <= at) {
        low += step;
        step *= 2;
    }
    uint32_t high = low + step < end ? low + step : end;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (e->lines[middle] <= at)
            low = middle;
        else
            high = middle;
    }
    return low;
}

// First entry in [first, end) whose line contains the needle, or `end`.
static uint32_t next_with(const struct run_entries *e, uint32_t first, uint32_t end, const struct finder *f)
{
    if (first == end)
        return end;
    const uint8_t *text_end = e->lines[end - 1] + e->line_bytes[end - 1];
    for (const uint8_t *at = e->lines[first]; at < text_end;) {
        const uint8_t *hit = finder_next(f, at, text_end);
        if (hit == NULL)
            return end;
        first = entry_of(e, first, end, hit);
        if (hit + f->needle.len <= e->lines[first] + e->line_bytes[first])
            return first;
        at = hit + 1; // it reaches across the line's end
    }
    return end;
}

struct run_scan {
    struct scan *s;
    const struct pipeline *p;
    const struct run_entries *e;
    bool (*visit)(void *ctx, struct scan_hit *hit);
    void *ctx;
    size_t stage;        // of the pipeline, to begin with
    struct scan_hit hit; // of the entry in hand
};

static bool scan_entry(struct run_scan *r, uint32_t n)
{
    const struct run_entries *e = r->e;
    struct line *l = &r->hit.line;
    r->hit.position = n;
    l->time_ns = e->times_ns != NULL ? e->times_ns[n] : e->min_ns;
    if (e->lines != NULL)
        r->hit.text = l->text = slice_of(e->lines[n], e->line_bytes[n]);
    if (e->metadata != NULL)
        l->metadata = e->metadata[n];
    l->error = l->error_details = (struct slice){0};
    l->preserve_error = l->opened = false;
    bool go_on = true;
    if (pipeline_keeps_from(r->p, r->stage, l)) {
        r->s->stats.lines_matched++;
        go_on = r->visit(r->ctx, &r->hit);
    }
    arena_reset(&r->s->scratch);
    return go_on;
}

static bool scan_entries(struct run_scan *r, uint32_t first, uint32_t end)
{
    for (uint32_t n = first; n < end; n++)
        if (!scan_entry(r, n))
            return false;
    return true;
}

static bool scan_with_needle(struct run_scan *r, uint32_t first, uint32_t end, const struct finder *f, bool absent)
{
    while (first < end) {
        uint32_t with = next_with(r->e, first, end, f);
        bool go_on = absent ? scan_entries(r, first, with) : with == end || scan_entry(r, with);
        if (!go_on)
            return false;
        first = with < end ? with + 1 : end;
    }
    return true;
}

bool scan_run(struct scan *s, const struct pipeline *p, struct slice stream_labels,
              const struct run_entries *e, uint32_t first, uint32_t end, bool forward,
              bool (*visit)(void *ctx, struct scan_hit *hit), void *ctx)
{
    if (first >= end)
        return true;
    struct run_scan r = {
        .s = s, .p = p, .e = e, .visit = visit, .ctx = ctx,
        .hit.line = {.stream = stream_labels, .stream_names = line_names(stream_labels), .metadata = LABELS_EMPTY, .space = &s->space, .scratch = &s->scratch}};
    line_space_forget(&s->space);
    s->stats.lines_scanned += end - first;
    if (e->line_bytes != NULL)
        for (uint32_t n = first; n < end; n++)
            s->stats.bytes_scanned += e->line_bytes[n];
    struct needle needle = pipeline_needle(p);
    if (needle.text.len > 0 && e->lines_base != NULL) {
        struct finder f;
        finder_init(&f, needle.text);
        if (forward) {
            r.stage = needle.stage;
            return scan_with_needle(&r, first, end, &f, needle.absent);
        }
        // Backward one cannot search; but a run without the text is done at once.
        if (!needle.absent)
            first = next_with(e, first, end, &f);
    }
    if (forward)
        return scan_entries(&r, first, end);
    while (end > first)
        if (!scan_entry(&r, --end))
            return false;
    return true;
}
