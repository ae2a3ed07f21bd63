/*
 * scan.c -- see scan.h.
 *
 * A literal that every kept line must contain is searched for over the lines of a run as one piece: a run
 * without it costs one memmem, and no entry is looked at.
 */
#include "base/limits.h"
#include "query/scan.h"

#include "base/clock.h"
#include "base/metric.h"

#include <assert.h>

enum { WARNINGS_MAX = 16 };

bool scan_begin(struct scan *s, const struct query_context *context, struct query_stats *stats,
                struct err *err)
{
    *s = (struct scan){.context = context, .stats = stats};
    if (!view_begin(context->store, context->tenant, &s->view, err))
        return false;
    s->loader = run_loader_new(s->view);
    return true;
}

void scan_end(struct scan *s)
{
    if (s->loader != NULL) {
        struct run_loader_stats l;
        run_loader_stats(s->loader, &l);
        s->stats->blocks_decoded += l.blocks_decoded;
        s->stats->compressed_bytes += l.compressed_bytes;
        s->stats->decoded_bytes += l.decoded_bytes;
        s->stats->head_lines += l.head_lines;
        s->stats->head_bytes += l.head_bytes;
    }
    line_space_done(&s->space);
    run_loader_free(s->loader);
    view_end(s->view);
    s->loader = NULL;
    s->view = NULL;
}

bool scan_select(struct scan *s, const struct ast_logs *logs, int64_t from_ns, int64_t to_ns,
                 struct view_selection *out, struct err *err)
{
    if (!view_select(s->view, logs->matchers, logs->matchers_count, from_ns, to_ns, s->context->arena,
                     out, err))
        return false;
    s->stats->streams_matched += out->streams_count;
    s->stats->runs_selected += out->runs_count;
    s->stats->runs_pruned += out->runs_pruned;
    return true;
}

bool scan_may_go_on(const struct scan *s, struct err *err)
{
    const struct query_context *c = s->context;
    if (c->cancelled != NULL && atomic_load_explicit(c->cancelled, memory_order_relaxed))
        return err_set(err, ERR_CANCELLED, "the client left");
    if (c->deadline_mono_ns != 0 && clock_mono_ns() > c->deadline_mono_ns)
        return err_set(err, ERR_TIMEOUT, "the query passed its deadline");
    return true;
}

static void warn(struct scan *s, const char *text)
{
    struct arena *a = s->context->arena;
    if (s->warnings_count == WARNINGS_MAX ||
        (s->warnings_count == s->warnings_room &&
         !arena_grow(a, (void **)&s->warnings, sizeof *s->warnings, s->warnings_count,
                     &s->warnings_room)))
        return;
    s->warnings[s->warnings_count++] =
        arena_printf(a, "incomplete result: damaged data was left out: %s", text);
}

bool scan_load(struct scan *s, const struct view_run *run, unsigned columns, struct run_entries *out,
               bool *damaged_out, struct err *err)
{
    struct err why;
    if (!scan_may_go_on(s, err))
        return false;
    s->stats->runs_loaded++;
    *damaged_out = false;
    if (run_load(s->loader, run, columns, out, &why))
        return true;
    *damaged_out = why.code == ERR_CORRUPT;
    if (*damaged_out)
        warn(s, why.text);
    else
        *err = why;
    return *damaged_out;
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
    *first_out = lower_bound(e, from_ns);
    *end_out = lower_bound(e, to_ns);
}

// The entry that a byte of the run's text belongs to.
static uint32_t entry_of(const struct run_entries *e, uint32_t first, uint32_t end, const uint8_t *at)
{
    uint32_t low = first, high = end;
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
static uint32_t next_with(const struct run_entries *e, uint32_t first, uint32_t end, struct slice needle)
{
    const uint8_t *text_end = e->lines[end - 1] + e->line_bytes[end - 1];
    for (const uint8_t *at = e->lines[first]; at < text_end;) {
        const uint8_t *hit = memmem(at, (size_t)(text_end - at), needle.ptr, needle.len);
        if (hit == NULL)
            return end;
        uint32_t entry = entry_of(e, first, end, hit);
        if (hit + needle.len <= e->lines[entry] + e->line_bytes[entry])
            return entry;
        at = hit + 1; // it reaches across the line's end
    }
    return end;
}

struct run_scan {
    struct scan *s;
    const struct pipeline *p;
    const struct run_entries *e;
    struct slice stream_labels;
    struct arena *scratch;
    bool (*visit)(void *ctx, const struct scan_hit *hit);
    void *ctx;
};

static bool scan_entry(struct run_scan *r, uint32_t n)
{
    const struct run_entries *e = r->e;
    struct scan_hit hit = {
        .position = n,
        .line = {
            .time_ns = e->times_ns[n],
            .text = e->lines != NULL ? slice_of(e->lines[n], e->line_bytes[n]) : (struct slice){0},
            .stream = r->stream_labels,
            .metadata = e->metadata != NULL ? e->metadata[n] : LABELS_EMPTY,
            .space = &r->s->space,
            .scratch = r->scratch,
        }};
    hit.text = hit.line.text;
    bool go_on = true;
    if (pipeline_keeps(r->p, &hit.line)) {
        r->s->stats->lines_matched++;
        go_on = r->visit(r->ctx, &hit);
    }
    arena_reset(r->scratch);
    return go_on;
}

static bool scan_with_needle(struct run_scan *r, uint32_t first, uint32_t end, struct slice needle)
{
    for (uint32_t n = next_with(r->e, first, end, needle); n < end;
         n = n + 1 < end ? next_with(r->e, n + 1, end, needle) : end)
        if (!scan_entry(r, n))
            return false;
    return true;
}

bool scan_run(struct scan *s, const struct pipeline *p, struct slice stream_labels,
              const struct run_entries *e, uint32_t first, uint32_t end, bool forward,
              struct arena *scratch, bool (*visit)(void *ctx, const struct scan_hit *hit), void *ctx)
{
    if (first >= end)
        return true;
    struct run_scan r = {s, p, e, stream_labels, scratch, visit, ctx};
    s->stats->lines_scanned += end - first;
    if (e->line_bytes != NULL)
        for (uint32_t n = first; n < end; n++)
            s->stats->bytes_scanned += e->line_bytes[n];
    struct slice needle = pipeline_needle(p);
    if (needle.len > 0 && e->lines_base != NULL) {
        if (forward)
            return scan_with_needle(&r, first, end, needle);
        // Backward one cannot search; but a run without the text is done at once.
        first = next_with(e, first, end, needle);
    }
    for (uint32_t i = 0; i < end - first; i++)
        if (!scan_entry(&r, forward ? first + i : end - 1 - i))
            return false;
    return true;
}
