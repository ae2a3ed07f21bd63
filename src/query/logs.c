/*
 * logs.c -- see logs.h.
 *
 * Runs are visited from the asked end of time; a heap keeps the best `limit` entries, and the first run
 * that cannot hold a better one ends the search: the newest 100 lines touch the newest blocks.
 *
 * Order (loki-http.md 5.5): time in the asked direction; then streams by their labels, ascending; then
 * ingestion order, backward reversed. Entries that two generations both hold are equal neighbours in this
 * order and are answered once; where that leaves too few, the search is repeated with a larger limit.
 */
#include "query/logs.h"

#include "base/hash.h"
#include "base/limits.h"
#include "query/merge.h"
#include "query/scan.h"

#include <stdlib.h>

enum { PAGE_ENTRIES = 256 }; // of an `interval` query

struct hit {
    int64_t time_ns;
    uint32_t number; // of its stream in the selection
    uint32_t source;
    uint64_t order;
    uint32_t position; // in its run
    struct slice stream;        // encoded labels as stored, for the order
    struct hash128 stored;      // of line and metadata as stored: what makes an entry itself
    struct slice text;          // arena, as all below
    struct slice visible;       // stream labels, less what stages removed
    struct slice metadata, parsed; // encoded, under visible names
};

struct top {
    struct scan *scan;
    struct arena *a;
    bool forward;
    struct hit *heap; // the worst first
    uint32_t count, limit;
    const struct view_run *run; // being visited
    struct slice stream; // its labels
    uint64_t kept_bytes; // copied lines; those that were pushed out again are garbage
    bool truncated;      // something was pushed out or not let in
};

// Negative when a comes before b in the result.
static int compare(const struct hit *a, const struct hit *b, bool forward)
{
    if (a->time_ns != b->time_ns)
        return (a->time_ns < b->time_ns) == forward ? -1 : 1;
    if (a->number != b->number)
        return labels_cmp_printed(a->stream, b->stream);
    if (a->order != b->order)
        return (a->order < b->order) == forward ? -1 : 1;
    if (a->position != b->position)
        return (a->position < b->position) == forward ? -1 : 1;
    return 0;
}

static void sift_down(struct top *t, uint32_t at)
{
    for (;;) {
        uint32_t worst = at, left = 2 * at + 1, right = left + 1;
        if (left < t->count && compare(&t->heap[left], &t->heap[worst], t->forward) > 0)
            worst = left;
        if (right < t->count && compare(&t->heap[right], &t->heap[worst], t->forward) > 0)
            worst = right;
        if (worst == at)
            return;
        struct hit moved = t->heap[at];
        t->heap[at] = t->heap[worst];
        t->heap[worst] = moved;
        at = worst;
    }
}

static void sift_up(struct top *t, uint32_t at)
{
    while (at > 0) {
        uint32_t parent = (at - 1) / 2;
        if (compare(&t->heap[at], &t->heap[parent], t->forward) <= 0)
            return;
        struct hit moved = t->heap[at];
        t->heap[at] = t->heap[parent];
        t->heap[parent] = moved;
        at = parent;
    }
}

// Copies what has to outlive the loaded run.
static void keep(struct top *t, struct hit *h, const struct scan_hit *found)
{
    const struct line *l = &found->line;
    struct hash128 text = hash_128(found->text), metadata = hash_128(l->metadata);
    h->stored = (struct hash128){text.hi ^ metadata.lo, text.lo + metadata.hi * UINT64_C(0x9e3779b97f4a7c15)};
    h->text = arena_copy(t->a, l->text);
    h->visible = l->opened ? line_stream(l, t->a) : h->stream;
    h->metadata = line_metadata(l, t->a);
    h->parsed = line_parsed(l, t->a);
}

static bool offer(void *ctx, const struct scan_hit *found)
{
    struct top *t = ctx;
    struct hit h = {.time_ns = found->line.time_ns,
                    .number = t->run->stream,
                    .source = t->run->source,
                    .order = t->run->order,
                    .position = found->position,
                    .stream = t->stream};
    if (t->count < t->limit) {
        keep(t, &h, found);
        t->heap[t->count] = h;
        sift_up(t, t->count++);
        return !t->a->overflowed;
    }
    t->truncated = true;
    if (compare(&h, &t->heap[0], t->forward) >= 0)
        return h.time_ns == t->heap[0].time_ns; // the rest of this run is only worse
    keep(t, &h, found);
    t->heap[0] = h;
    sift_down(t, 0);
    return !t->a->overflowed;
}

// Whether no entry of the run, nor of any behind it, can be in the result.
static bool is_done(const struct top *t, const struct view_run *run)
{
    if (t->count < t->limit)
        return false;
    return t->forward ? run->min_ns > t->heap[0].time_ns : run->max_ns < t->heap[0].time_ns;
}

static int newest_first(const void *a, const void *b)
{
    const struct view_run *x = *(const struct view_run *const *)a, *y = *(const struct view_run *const *)b;
    return (y->max_ns > x->max_ns) - (y->max_ns < x->max_ns);
}

static int oldest_first(const void *a, const void *b)
{
    const struct view_run *x = *(const struct view_run *const *)a, *y = *(const struct view_run *const *)b;
    return (x->min_ns > y->min_ns) - (x->min_ns < y->min_ns);
}

static bool visit_runs(struct top *t, struct view_selection *sel, const struct pipeline *p,
                       const struct view_run **runs, int64_t from_ns, int64_t to_ns, struct err *err)
{
    AUTO(arena_done) struct arena scratch;
    arena_init(&scratch, QUERY_ARENA_BYTES_MAX);
    for (uint32_t i = 0; i < sel->runs_count && !is_done(t, runs[i]); i++) {
        struct run_entries e;
        bool damaged;
        uint32_t first, end;
        if (!scan_load(t->scan, runs[i], VIEW_TIMES | VIEW_LINES | VIEW_METADATA, &e, &damaged, err))
            return false;
        if (damaged)
            continue;
        t->run = runs[i];
        if (!view_labels(t->scan->view, &sel->streams[runs[i]->stream], t->a, &t->stream, err))
            return false;
        scan_bounds(&e, from_ns, to_ns, &first, &end);
        (void)scan_run(t->scan, p, t->stream, &e, first, end, t->forward, &scratch, offer, t);
        if (!arena_ok(t->a, "log query", err))
            return false;
    }
    return true;
}

// --- results ----------------------------------------------------------------------------------------

static bool same_entry(const struct hit *a, const struct hit *b)
{
    return a->source != b->source && hash128_eq(a->stored, b->stored);
}

// Removes equal entries of different sources from sorted hits, keeping the first ingested.
static uint32_t drop_doubles(struct hit *hits, uint32_t count, bool forward)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        bool twice = false;
        for (uint32_t n = kept; n-- > 0 && !twice;) {
            if (hits[n].time_ns != hits[i].time_ns || hits[n].number != hits[i].number)
                break;
            twice = same_entry(&hits[n], &hits[i]);
            if (twice && !forward) { // the later in this order was ingested first
                memmove(&hits[n], &hits[n + 1], (kept - n - 1) * sizeof *hits);
                hits[kept - 1] = hits[i];
            }
        }
        if (!twice)
            hits[kept++] = hits[i];
    }
    return kept;
}

static _Thread_local bool sort_forward; // qsort has no context argument

static int by_result_order(const void *a, const void *b)
{
    return compare(a, b, sort_forward);
}

struct search {
    struct scan *scan;
    const struct pipeline *pipeline;
    const struct ast_logs *logs;
    struct arena *a;
    bool forward;
};

// The best `limit` entries of [from, to), sorted. Fewer only when there are no more.
static bool best_hits(struct search *s, struct view_selection *sel, int64_t from_ns,
                      int64_t to_ns, uint32_t limit, struct hit **hits_out, uint32_t *count_out,
                      struct err *err)
{
    const struct view_run **runs = arena_array(s->a, sel->runs_count + 1, sizeof *runs);
    if (runs == NULL)
        return arena_ok(s->a, "log query", err);
    for (uint32_t i = 0; i < sel->runs_count; i++)
        runs[i] = &sel->runs[i];
    qsort(runs, sel->runs_count, sizeof *runs, s->forward ? oldest_first : newest_first);
    for (uint32_t room = limit;; room *= 2) {
        struct top t = {.scan = s->scan, .a = s->a, .forward = s->forward, .limit = room};
        t.heap = arena_array(s->a, room, sizeof *t.heap);
        if (t.heap == NULL)
            return arena_ok(s->a, "log query", err);
        if (!visit_runs(&t, sel, s->pipeline, runs, from_ns, to_ns, err))
            return false;
        sort_forward = s->forward;
        qsort(t.heap, t.count, sizeof *t.heap, by_result_order);
        uint32_t kept = drop_doubles(t.heap, t.count, s->forward);
        if (kept >= limit || !t.truncated || t.count < room) {
            *hits_out = t.heap;
            *count_out = kept < limit ? kept : limit;
            return true;
        }
    }
}

static bool far_enough(int64_t a_ns, int64_t b_ns, int64_t interval_ns)
{
    __int128 apart = (__int128)a_ns - b_ns;
    return (apart < 0 ? -apart : apart) >= interval_ns;
}

// Entries at least `interval` apart (loki-http.md 6.3), page by page.
static bool spaced_hits(struct search *s, struct view_selection *sel,
                        const struct query_range *range, struct hit **hits_out, uint32_t *count_out,
                        struct err *err)
{
    struct hit *out = arena_array(s->a, range->limit, sizeof *out);
    uint32_t count = 0;
    int64_t from_ns = range->from_ns, to_ns = range->to_ns;
    if (out == NULL)
        return arena_ok(s->a, "log query", err);
    while (count < range->limit && from_ns < to_ns) {
        struct hit *page;
        uint32_t page_count;
        if (!best_hits(s, sel, from_ns, to_ns, PAGE_ENTRIES, &page, &page_count, err))
            return false;
        for (uint32_t i = 0; i < page_count && count < range->limit; i++)
            if (count == 0 || far_enough(page[i].time_ns, out[count - 1].time_ns, range->interval_ns))
                out[count++] = page[i];
        if (page_count < PAGE_ENTRIES)
            break;
        // Whatever comes next lies that far behind the last one.
        int64_t last_ns = out[count - 1].time_ns;
        if (s->forward && __builtin_add_overflow(last_ns, range->interval_ns, &from_ns))
            break;
        if (!s->forward && (__builtin_sub_overflow(last_ns, range->interval_ns, &to_ns) ||
                            __builtin_add_overflow(to_ns, 1, &to_ns)))
            break;
    }
    *hits_out = out;
    *count_out = count;
    return true;
}

// --- grouping ---------------------------------------------------------------------------------------

struct grouped {
    struct slice labels; // encoded
    struct slice printed;
    uint32_t number;     // place in result order
    struct result_entry entry;
};

static int by_labels(const void *a, const void *b)
{
    const struct grouped *x = a, *y = b;
    int order = slice_cmp(x->printed, y->printed);
    return order != 0 ? order : (x->number > y->number) - (x->number < y->number);
}

// One set of three that have no name in common.
static struct slice merge_sets(const struct hit *h, struct arena *a)
{
    struct line l = {.stream = h->visible, .metadata = h->metadata};
    struct slice both = line_labels(&l, a);
    l = (struct line){.stream = both.ptr != NULL ? both : LABELS_EMPTY, .metadata = h->parsed};
    return line_labels(&l, a);
}

static bool group(struct arena *a, const struct hit *hits, uint32_t count, bool categorize,
                  struct query_result *out, struct err *err)
{
    struct grouped *g = arena_array(a, count + 1, sizeof *g);
    struct result_entry *entries = arena_array(a, count + 1, sizeof *entries);
    struct result_stream *streams = arena_array(a, count + 1, sizeof *streams);
    AUTO(buf_done) struct buf text;
    buf_init(&text, 0);
    for (uint32_t i = 0; i < count && g != NULL && entries != NULL && streams != NULL; i++) {
        const struct hit *h = &hits[i];
        g[i] = (struct grouped){.number = i,
                                .labels = categorize ? h->visible : merge_sets(h, a),
                                .entry = {h->time_ns, h->text, h->metadata, h->parsed}};
        if (a->overflowed)
            break;
        buf_reset(&text);
        labels_print(&text, g[i].labels);
        g[i].printed = arena_copy(a, buf_slice(&text));
        out->stats.metadata_bytes += h->metadata.len;
    }
    if (!arena_ok(a, "log query", err))
        return false;
    qsort(g, count, sizeof *g, by_labels);
    uint32_t streams_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (i == 0 || !slice_eq(g[i].labels, g[i - 1].labels))
            streams[streams_count++] = (struct result_stream){g[i].labels, &entries[i], 0};
        entries[i] = g[i].entry;
        streams[streams_count - 1].entries_count++;
    }
    out->streams = streams;
    out->streams_count = streams_count;
    return true;
}

static void end_scan(struct scan *s)
{
    scan_end(s);
}

bool logs_run(const struct ast_logs *logs, const struct pipeline *pipeline,
              const struct query_range *range, const struct query_context *context,
              struct query_result *result_out, struct err *err)
{
    struct query_result result = {.type = RESULT_STREAMS};
    {
        AUTO(end_scan) struct scan scan = {0};
        struct view_selection sel;
        struct hit *hits;
        uint32_t count;
        if (!scan_begin(&scan, context, &result.stats, err) ||
            !scan_select(&scan, logs, range->from_ns, range->to_ns, &sel, err))
            return false;
        view_settle(scan.view);
        struct search s = {&scan, pipeline, logs, context->arena, range->forward};
        bool good = range->interval_ns > 0
                        ? spaced_hits(&s, &sel, range, &hits, &count, err)
                        : best_hits(&s, &sel, range->from_ns, range->to_ns, range->limit, &hits, &count,
                                    err);
        if (!good || !group(context->arena, hits, count, context->categorize, &result, err))
            return false;
        result.stats.entries_returned = count;
        result.warnings = scan.warnings;
        result.warnings_count = (uint32_t)scan.warnings_count;
    }
    *result_out = result;
    return true;
}

// --- all entries ------------------------------------------------------------------------------------

struct visiting {
    struct scan *scan;
    const struct pipeline *pipeline;
    struct slice stream;
    struct arena scratch;
    bool (*visit)(void *ctx, const struct query_entry *entry, struct err *err);
    void *ctx;
    struct err *err;
    bool failed;
};

static void visiting_done(struct visiting *v)
{
    arena_done(&v->scratch);
}

static bool visit_hit(void *ctx, const struct scan_hit *hit)
{
    struct visiting *v = ctx;
    const struct line *l = &hit->line;
    struct query_entry entry = {.labels = line_stream(l, &v->scratch),
                                .time_ns = l->time_ns,
                                .line = l->text,
                                .metadata = line_metadata(l, &v->scratch),
                                .parsed = line_parsed(l, &v->scratch)};
    v->failed = !arena_ok(&v->scratch, "entry", v->err) || !v->visit(v->ctx, &entry, v->err);
    return !v->failed;
}

static bool visit_piece(void *ctx, const struct run_entries *e, uint32_t first, uint32_t end,
                        struct err *err)
{
    struct visiting *v = ctx;
    v->err = err;
    (void)scan_run(v->scan, v->pipeline, v->stream, e, first, end, true, &v->scratch, visit_hit, v);
    return !v->failed;
}

// A selected stream with its runs.
struct ordered {
    struct slice labels;
    uint32_t first, count;
};

static int by_printed_labels(const void *a, const void *b)
{
    return labels_cmp_printed(((const struct ordered *)a)->labels, ((const struct ordered *)b)->labels);
}

static bool order_streams(struct scan *scan, struct view_selection *sel, struct arena *a,
                          struct ordered **out, struct err *err)
{
    struct ordered *o = arena_zalloc(a, (sel->streams_count + 1) * sizeof *o);
    if (o == NULL)
        return arena_ok(a, "streams of a selection", err);
    if (!view_labels_all(scan->view, sel, a, err))
        return false;
    for (uint32_t i = 0; i < sel->streams_count; i++)
        o[i].labels = sel->streams[i].labels;
    for (uint32_t i = sel->runs_count; i-- > 0;) {
        o[sel->runs[i].stream].first = i;
        o[sel->runs[i].stream].count++;
    }
    qsort(o, sel->streams_count, sizeof *o, by_printed_labels);
    *out = o;
    return true;
}

bool logs_visit(const struct ast_logs *logs, const struct pipeline *pipeline,
                const struct query_range *range, const struct query_context *context,
                bool (*visit)(void *ctx, const struct query_entry *entry, struct err *err), void *ctx,
                struct query_result *result_out, struct err *err)
{
    struct query_result result = {.type = RESULT_STREAMS};
    AUTO(end_scan) struct scan scan = {0};
    struct view_selection sel;
    if (!scan_begin(&scan, context, &result.stats, err) ||
        !scan_select(&scan, logs, range->from_ns, range->to_ns, &sel, err))
        return false;
    AUTO(visiting_done) struct visiting v = {
        .scan = &scan, .pipeline = pipeline, .visit = visit, .ctx = ctx};
    arena_init(&v.scratch, QUERY_ARENA_BYTES_MAX);
    const struct merge_visitor visitor = {.visit = visit_piece, .ctx = &v};
    struct ordered *ordered = NULL;
    if (!order_streams(&scan, &sel, context->arena, &ordered, err))
        return false;
    view_settle(scan.view);
    for (uint32_t i = 0; i < sel.streams_count; i++) {
        v.stream = ordered[i].labels;
        if (!merge_stream(&scan, &sel.runs[ordered[i].first], ordered[i].count,
                          VIEW_TIMES | VIEW_LINES | VIEW_METADATA, range->from_ns, range->to_ns, &visitor,
                          err))
            return false;
    }
    result.warnings = scan.warnings;
    result.warnings_count = (uint32_t)scan.warnings_count;
    *result_out = result;
    return true;
}
