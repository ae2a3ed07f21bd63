/*
 * logs.c -- see logs.h.
 *
 * Runs are visited from the asked end of time; a heap of each scan keeps its best `limit` entries, and the
 * first run that cannot hold a better one than a full heap ends the search: the newest 100 lines touch the
 * newest blocks.
 *
 * Order (loki-http.md 5.5): time in the asked direction; then streams by their labels, ascending; then
 * ingestion order, backward reversed. Entries that two generations both hold are equal neighbours in this
 * order and are answered once; where that leaves too few, the search is repeated with a larger limit.
 */
#include "query/logs.h"

#include "base/clock.h"
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

struct top { // of one scan
    struct scan *scan;
    bool forward;
    struct hit *heap; // the worst first
    uint32_t count, limit;
    const struct view_run *run; // being visited
    struct slice stream; // its labels
    bool stream_kept;    // they are in the arena: they outlive the view
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

// Copies what has to outlive the loaded run. Lines that are pushed out again are garbage in the arena.
static void keep(struct top *t, struct hit *h, struct scan_hit *found)
{
    const struct line *l = &found->line;
    struct arena *a = &t->scan->arena;
    struct hash128 text = hash_128(found->text), metadata = hash_128(l->metadata);
    h->stored = (struct hash128){text.hi ^ metadata.lo, text.lo + metadata.hi * UINT64_C(0x9e3779b97f4a7c15)};
    if (!t->stream_kept)
        t->stream = arena_copy(a, t->stream);
    t->stream_kept = true;
    h->stream = t->stream;
    h->text = arena_copy(a, l->text);
    h->visible = l->opened ? line_stream(l, a) : h->stream;
    h->metadata = line_metadata(l, a);
    h->parsed = line_parsed(l, a);
}

static bool offer(void *ctx, struct scan_hit *found)
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
        return !t->scan->arena.overflowed;
    }
    t->truncated = true;
    if (compare(&h, &t->heap[0], t->forward) >= 0)
        return h.time_ns == t->heap[0].time_ns; // the rest of this run is only worse
    keep(t, &h, found);
    t->heap[0] = h;
    sift_down(t, 0);
    return !t->scan->arena.overflowed;
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

struct search {
    struct scan_team *team;
    const struct pipeline *pipeline;
    struct view_selection sel;
    const struct view_run **runs; // in the order of the search
    bool forward;
    int64_t from_ns, to_ns;
    struct top *tops; // one a scan
    // The worst time in a full heap: what is worse than it cannot be in the result. Only gets better.
    _Atomic int64_t bound_ns;
    atomic_bool bounded;
    int64_t sample_until_mono_ns; // 0: not a sample
    atomic_bool late;             // its time is over
};

static void note_bound(struct search *s, const struct top *t)
{
    if (t->count < t->limit)
        return;
    int64_t mine = t->heap[0].time_ns, theirs = atomic_load(&s->bound_ns);
    while ((s->forward ? mine < theirs : mine > theirs) &&
           !atomic_compare_exchange_weak(&s->bound_ns, &theirs, mine))
        continue;
    atomic_store(&s->bounded, true);
}

// Whether no entry of the run, nor of any behind it, can be in the result.
static bool is_done(struct search *s, const struct view_run *run)
{
    if (!atomic_load(&s->bounded))
        return false;
    int64_t bound = atomic_load(&s->bound_ns);
    bool same = s->sample_until_mono_ns != 0; // of one time, those that are there are as good as any
    return s->forward ? run->min_ns + same > bound : run->max_ns - same < bound;
}

static bool is_late(struct search *s)
{
    if (s->sample_until_mono_ns == 0 || clock_mono_ns() < s->sample_until_mono_ns)
        return false;
    atomic_store(&s->late, true);
    return true;
}

static bool search_run(void *ctx, struct scan *scan, uint32_t number)
{
    struct search *s = ctx;
    struct top *t = &s->tops[scan - scan->team->scans];
    const struct view_run *run = s->runs[number];
    struct run_entries e;
    bool left_out;
    uint32_t first, end;
    if (is_done(s, run)) {
        t->truncated = true;
        return false;
    }
    if (is_late(s))
        return false;
    if (!scan_load(scan, NULL, run, VIEW_TIMES | VIEW_LINES | VIEW_METADATA, &e, &left_out))
        return false;
    if (left_out)
        return true;
    t->run = run;
    t->stream_kept = false;
    if (!scan_labels(scan, &s->sel.streams[run->stream], &t->stream))
        return false;
    scan_bounds(&e, s->from_ns, s->to_ns, &first, &end);
    (void)scan_run(scan, s->pipeline, t->stream, &e, first, end, t->forward, offer, t);
    note_bound(s, t);
    return !scan->arena.overflowed || scan_fail_memory(scan);
}

static bool search_runs(struct search *s, struct err *err)
{
    atomic_store(&s->bounded, false);
    atomic_store(&s->bound_ns, s->forward ? INT64_MAX : INT64_MIN);
    scan_team_order(s->team, NULL, s->runs, s->sel.runs_count, false);
    return scan_team_run(s->team, s->sel.runs_count, search_run, s, err);
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

static bool start_tops(struct search *s, uint32_t limit)
{
    s->tops = arena_zalloc(&s->team->scans[0].arena, s->team->count * sizeof *s->tops);
    for (unsigned i = 0; i < s->team->count && s->tops != NULL; i++) {
        struct scan *scan = &s->team->scans[i];
        s->tops[i] = (struct top){.scan = scan, .forward = s->forward, .limit = limit,
                                  .heap = arena_array(&scan->arena, limit, sizeof(struct hit))};
        if (s->tops[i].heap == NULL)
            return false;
    }
    return s->tops != NULL;
}

// What all scans found, sorted, at most `room`.
static struct hit *join_tops(const struct search *s, uint32_t room, uint32_t *count_out, bool *truncated_out)
{
    struct hit *hits = arena_array(&s->team->scans[0].arena, (size_t)room * s->team->count, sizeof *hits);
    uint32_t count = 0;
    *truncated_out = false;
    for (unsigned i = 0; i < s->team->count && hits != NULL; i++) {
        memcpy(hits + count, s->tops[i].heap, s->tops[i].count * sizeof *hits);
        count += s->tops[i].count;
        *truncated_out = *truncated_out || s->tops[i].truncated;
    }
    if (hits == NULL)
        return NULL;
    sort_forward = s->forward;
    qsort(hits, count, sizeof *hits, by_result_order);
    *truncated_out = *truncated_out || count > room;
    *count_out = count > room ? room : count;
    return hits;
}

// The best `limit` entries of [from_ns, to_ns), sorted. Fewer only when there are no more.
static bool best_hits(struct search *s, uint32_t limit, struct hit **hits_out, uint32_t *count_out,
                      struct err *err)
{
    struct arena *a = &s->team->scans[0].arena;
    for (uint32_t room = limit;; room *= 2) {
        bool truncated;
        uint32_t count = 0;
        if (!start_tops(s, room))
            return arena_ok(a, "log query", err);
        if (!search_runs(s, err))
            return false;
        struct hit *hits = join_tops(s, room, &count, &truncated);
        if (hits == NULL)
            return arena_ok(a, "log query", err);
        uint32_t kept = drop_doubles(hits, count, s->forward);
        if (kept >= limit || !truncated || atomic_load(&s->late)) {
            *hits_out = hits;
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
static bool spaced_hits(struct search *s, const struct query_range *range, struct hit **hits_out,
                        uint32_t *count_out, struct err *err)
{
    struct arena *a = &s->team->scans[0].arena;
    struct hit *out = arena_array(a, range->limit, sizeof *out);
    uint32_t count = 0;
    if (out == NULL)
        return arena_ok(a, "log query", err);
    while (count < range->limit && s->from_ns < s->to_ns) {
        struct hit *page;
        uint32_t page_count;
        if (!best_hits(s, PAGE_ENTRIES, &page, &page_count, err))
            return false;
        for (uint32_t i = 0; i < page_count && count < range->limit; i++)
            if (count == 0 || far_enough(page[i].time_ns, out[count - 1].time_ns, range->interval_ns))
                out[count++] = page[i];
        if (page_count < PAGE_ENTRIES)
            break;
        // Whatever comes next lies that far behind the last one.
        int64_t last_ns = out[count - 1].time_ns;
        if (s->forward && __builtin_add_overflow(last_ns, range->interval_ns, &s->from_ns))
            break;
        if (!s->forward && (__builtin_sub_overflow(last_ns, range->interval_ns, &s->to_ns) ||
                            __builtin_add_overflow(s->to_ns, 1, &s->to_ns)))
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
                                .labels = categorize ? h->visible : query_entry_labels(h->visible, h->metadata, h->parsed, a),
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

static bool find_hits(struct search *s, const struct query_range *range, const struct ast_logs *logs,
                      struct hit **hits_out, uint32_t *count_out, struct err *err)
{
    if (!scan_team_select(s->team, logs, s->from_ns, s->to_ns, &s->sel, err))
        return false;
    scan_team_probe(s->team, s->pipeline, &s->sel);
    view_settle(s->team->view);
    struct arena *a = &s->team->scans[0].arena;
    s->runs = arena_array(a, s->sel.runs_count + 1, sizeof *s->runs);
    if (s->runs == NULL)
        return arena_ok(a, "log query", err);
    for (uint32_t i = 0; i < s->sel.runs_count; i++)
        s->runs[i] = &s->sel.runs[i];
    qsort(s->runs, s->sel.runs_count, sizeof *s->runs, s->forward ? oldest_first : newest_first);
    return range->interval_ns > 0 ? spaced_hits(s, range, hits_out, count_out, err)
                                  : best_hits(s, range->limit, hits_out, count_out, err);
}

bool logs_run(const struct ast_logs *logs, const struct pipeline *pipeline,
              const struct query_range *range, const struct query_context *context,
              struct query_result *result_out, struct err *err)
{
    struct query_result result = {.type = RESULT_STREAMS};
    struct scan_team team;
    struct hit *hits;
    uint32_t count;
    struct search s = {.team = &team, .pipeline = pipeline, .forward = range->forward,
                       .from_ns = range->from_ns, .to_ns = range->to_ns,
                       .sample_until_mono_ns = context->sample_until_mono_ns};
    bool good = scan_team_begin(&team, context, err) && find_hits(&s, range, logs, &hits, &count, err);
    scan_team_end(&team, &result.stats, &result.warnings, &result.warnings_count);
    if (!good || !group(context->arena, hits, count, context->categorize, &result, err))
        return false;
    result.stats.entries_returned = count;
    result.sampled = atomic_load(&s.late);
    *result_out = result;
    return true;
}

// --- all entries ------------------------------------------------------------------------------------

struct visiting {
    struct scan *scan;
    const struct pipeline *pipeline;
    struct slice stream;
    bool (*visit)(void *ctx, const struct query_entry *entry, struct err *err);
    void *ctx;
};

static bool visit_hit(void *ctx, struct scan_hit *hit)
{
    struct visiting *v = ctx;
    const struct line *l = &hit->line;
    struct arena *a = &v->scan->scratch;
    struct err err;
    struct query_entry entry = {.labels = line_stream(l, a),
                                .time_ns = l->time_ns,
                                .line = l->text,
                                .metadata = line_metadata(l, a),
                                .parsed = line_parsed(l, a)};
    return (arena_ok(a, "entry", &err) && v->visit(v->ctx, &entry, &err)) || scan_fail(v->scan, &err);
}

static bool visit_piece(void *ctx, const struct run_entries *e, uint32_t first, uint32_t end)
{
    struct visiting *v = ctx;
    return scan_run(v->scan, v->pipeline, v->stream, e, first, end, true, visit_hit, v);
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

static bool order_streams(struct view *view, struct view_selection *sel, struct arena *a,
                          struct ordered **out, struct err *err)
{
    struct ordered *o = arena_zalloc(a, (sel->streams_count + 1) * sizeof *o);
    if (o == NULL)
        return arena_ok(a, "streams of a selection", err);
    if (!view_labels_all(view, sel, a, err))
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

struct visit_all {
    struct visiting visiting;
    const struct query_range *range;
    struct view_selection sel;
    struct ordered *ordered;
};

static bool visit_stream(void *ctx, struct scan *scan, uint32_t number)
{
    struct visit_all *all = ctx;
    const struct ordered *o = &all->ordered[number];
    const struct view_run *runs = &all->sel.runs[o->first];
    const struct merge_visitor visitor = {.visit = visit_piece, .ctx = &all->visiting};
    all->visiting.scan = scan;
    all->visiting.stream = o->labels;
    for (uint32_t i = 0, end; i < o->count; i = end) {
        end = merge_cluster_end(runs, o->count, i);
        if (!merge_cluster(scan, runs + i, end - i, VIEW_TIMES | VIEW_LINES | VIEW_METADATA,
                           all->range->from_ns, all->range->to_ns, &visitor))
            return false;
    }
    return true;
}

static bool visit_streams(struct visit_all *all, struct scan_team *team, const struct ast_logs *logs,
                          struct err *err)
{
    if (!scan_team_select(team, logs, all->range->from_ns, all->range->to_ns, &all->sel, err) ||
        !order_streams(team->view, &all->sel, &team->scans[0].arena, &all->ordered, err))
        return false;
    scan_team_probe(team, all->visiting.pipeline, &all->sel);
    scan_team_order(team, all->sel.runs, NULL, all->sel.runs_count, true);
    view_settle(team->view);
    return scan_team_run(team, all->sel.streams_count, visit_stream, all, err);
}

bool logs_visit(const struct ast_logs *logs, const struct pipeline *pipeline,
                const struct query_range *range, const struct query_context *context,
                bool (*visit)(void *ctx, const struct query_entry *entry, struct err *err), void *ctx,
                struct query_result *result_out, struct err *err)
{
    struct query_result result = {.type = RESULT_STREAMS};
    struct query_context alone = *context; // entries come in order: one scan
    alone.crew = NULL;
    struct scan_team team;
    struct visit_all all = {.visiting = {.pipeline = pipeline, .visit = visit, .ctx = ctx}, .range = range};
    bool good = scan_team_begin(&team, &alone, err) && visit_streams(&all, &team, logs, err);
    scan_team_end(&team, &result.stats, &result.warnings, &result.warnings_count);
    if (good)
        *result_out = result;
    return good;
}
