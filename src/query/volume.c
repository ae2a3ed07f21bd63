/* volume.c -- see volume.h. */
#include "query/volume.h"

#include "base/clock.h"
#include "base/slice_set.h"

#include <stdlib.h>

// What of a run's total lies in [from_ns, to_ns).
static double share(const struct view_run *run, int64_t from_ns, int64_t to_ns, uint64_t total)
{
    if (run->min_ns >= from_ns && run->max_ns < to_ns)
        return (double)total;
    __int128 low = run->min_ns > from_ns ? run->min_ns : from_ns;
    __int128 high = (__int128)run->max_ns + 1 < to_ns ? (__int128)run->max_ns + 1 : to_ns;
    return high <= low ? 0 : (double)total * (double)(high - low) / (double)((__int128)run->max_ns + 1 - run->min_ns);
}

bool query_index_stats(const struct query_context *context, const struct query_selector *selector, int64_t from_ns,
                       int64_t to_ns, struct query_index_stats *out, struct err *err)
{
    AUTO(view_endp) struct view *view = NULL;
    struct view_selection sel;
    if (!view_begin(context->store, context->tenant, &view, err) ||
        !view_select(view, selector->matchers, selector->matchers_count, from_ns, to_ns, context->arena, &sel, err))
        return false;
    double bytes = 0, entries = 0;
    for (uint32_t i = 0; i < sel.runs_count; i++) {
        bytes += share(&sel.runs[i], from_ns, to_ns, sel.runs[i].line_bytes);
        entries += share(&sel.runs[i], from_ns, to_ns, sel.runs[i].entries_count);
    }
    *out = (struct query_index_stats){sel.streams_count, sel.runs_count, (uint64_t)bytes, (uint64_t)entries};
    return true;
}

// --- volume -----------------------------------------------------------------------------------------

struct volume {
    const struct query_volume_request *request;
    struct arena *a;
    struct slice_set table; // label sets of series
    double **bytes;         // by number, then bucket
    size_t bytes_room;
    uint32_t buckets;
    int64_t first_ns; // beginning of the first bucket
};

// False when the arena is full.
static bool add(struct volume *v, struct slice labels, const struct view_run *runs, uint32_t count)
{
    const struct query_volume_request *rq = v->request;
    size_t before = v->table.count, number = labels.ptr == NULL ? SIZE_MAX : slice_set_add(&v->table, labels);
    if (number == SIZE_MAX)
        return false;
    if (v->table.count > before) {
        if (!arena_grow(v->a, (void **)&v->bytes, sizeof *v->bytes, number, &v->bytes_room))
            return false;
        v->bytes[number] = arena_zalloc(v->a, v->buckets * sizeof **v->bytes);
        if (v->bytes[number] == NULL)
            return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (rq->step_ns == 0) {
            v->bytes[number][0] += share(&runs[i], rq->from_ns, rq->to_ns, runs[i].line_bytes);
            continue;
        }
        int64_t low = runs[i].min_ns > rq->from_ns ? runs[i].min_ns : rq->from_ns;
        for (uint32_t t = (uint32_t)((low - v->first_ns) / rq->step_ns); t < v->buckets; t++) {
            int64_t from_ns = v->first_ns + t * rq->step_ns, to_ns = from_ns + rq->step_ns;
            if (from_ns > runs[i].max_ns)
                break;
            v->bytes[number][t] += share(&runs[i], from_ns > rq->from_ns ? from_ns : rq->from_ns,
                                         to_ns < rq->to_ns ? to_ns : rq->to_ns, runs[i].line_bytes);
        }
    }
    return true;
}

static bool is_named(const struct query_volume_request *rq, struct slice name)
{
    for (size_t i = 0; i < rq->targets_count; i++)
        if (slice_eq(rq->targets[i], name))
            return true;
    for (size_t i = 0; rq->targets_count == 0 && i < rq->selector->matchers_count; i++)
        if (slice_eq(rq->selector->matchers[i].name, name))
            return true;
    return false;
}

static bool add_stream(struct volume *v, struct slice labels, const struct view_run *runs, uint32_t count)
{
    const struct query_volume_request *rq = v->request;
    struct label *pairs = arena_array(v->a, (size_t)labels_walk(labels).left + 1, sizeof *pairs), l;
    uint32_t kept = 0;
    for (size_t i = 0; i < rq->targets_count; i++)
        if (labels_find(labels, rq->targets[i]).len == 0)
            return true;
    if (pairs == NULL)
        return false;
    bool all = rq->targets_count == 0 && (rq->by_name || rq->selector->matchers_count == 0);
    for (struct labels_walk w = labels_walk(labels); labels_next(&w, &l);) {
        if (!all && !is_named(rq, l.name))
            continue;
        if (!rq->by_name) {
            pairs[kept++] = l;
            continue;
        }
        struct label named = {l.name, SLICE("")};
        if (!add(v, labels_encoded(&(struct labels){&named, 1}, v->a), runs, count))
            return false;
    }
    return rq->by_name || add(v, labels_encoded(&(struct labels){pairs, kept}, v->a), runs, count);
}

struct ranked {
    size_t number;
    double total;
    struct slice labels;
};

static int largest_first(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->total != y->total)
        return x->total > y->total ? -1 : 1;
    return labels_cmp_printed(x->labels, y->labels);
}

// A heap of the best, the worst of them first.
static void sift_down(struct ranked *heap, size_t count, size_t at)
{
    for (;;) {
        size_t worst = at, left = 2 * at + 1, right = left + 1;
        if (left < count && largest_first(&heap[left], &heap[worst]) > 0)
            worst = left;
        if (right < count && largest_first(&heap[right], &heap[worst]) > 0)
            worst = right;
        if (worst == at)
            return;
        struct ranked moved = heap[at];
        heap[at] = heap[worst];
        heap[worst] = moved;
        at = worst;
    }
}

// The first `limit` of them become the largest, in order: cheaper than sorting all by labels where many are equal.
static size_t take_largest(struct ranked *all, size_t count, size_t limit)
{
    size_t kept = count < limit ? count : limit;
    for (size_t i = kept / 2; i-- > 0;)
        sift_down(all, kept, i);
    for (size_t i = kept; i < count && kept > 0; i++)
        if (largest_first(&all[i], &all[0]) < 0) {
            all[0] = all[i];
            sift_down(all, kept, 0);
        }
    qsort(all, kept, sizeof *all, largest_first);
    return kept;
}

// Sample times are the ends of the buckets, a millisecond early; the last one is the end of the range.
static int64_t bucket_time(const struct volume *v, uint32_t bucket)
{
    const struct query_volume_request *rq = v->request;
    int64_t end_ns = v->first_ns + (bucket + 1) * rq->step_ns;
    return rq->step_ns == 0 || end_ns > rq->to_ns ? rq->to_ns : end_ns - NS_PER_MS;
}

static bool make_result(const struct volume *v, struct query_result *out, struct err *err)
{
    struct ranked *ranked = arena_array(v->a, v->table.count + 1, sizeof *ranked);
    out->series = arena_zalloc(v->a, (v->table.count + 1) * sizeof *out->series);
    out->type = RESULT_VECTOR;
    for (size_t i = 0; i < v->table.count && ranked != NULL; i++) {
        ranked[i] = (struct ranked){i, 0, v->table.items[i]};
        for (uint32_t t = 0; t < v->buckets; t++)
            ranked[i].total += (double)(uint64_t)v->bytes[i][t];
    }
    if (!arena_ok(v->a, "volume", err))
        return false;
    size_t kept = take_largest(ranked, v->table.count, v->request->limit);
    for (size_t i = 0; i < kept && ranked[i].total > 0; i++) {
        struct result_series s = {.labels = ranked[i].labels,
                                  .samples = arena_array(v->a, v->buckets, sizeof *s.samples)};
        if (s.samples == NULL)
            return arena_ok(v->a, "volume", err);
        for (uint32_t t = 0; t < v->buckets; t++) {
            uint64_t bytes = (uint64_t)v->bytes[ranked[i].number][t];
            if (bytes > 0)
                s.samples[s.samples_count++] = (struct result_sample){bucket_time(v, t), (double)bytes};
        }
        if (s.samples_count > 1)
            out->type = RESULT_MATRIX;
        out->series[out->series_count++] = s;
    }
    return true;
}

bool query_volume(const struct query_context *context, const struct query_volume_request *rq,
                  struct query_result *result_out, struct err *err)
{
    struct volume v = {.request = rq, .a = context->arena, .table = {.arena = context->arena}, .buckets = 1};
    if (rq->step_ns > 0) {
        int64_t behind = rq->from_ns % rq->step_ns;
        v.first_ns = rq->from_ns - (behind < 0 ? behind + rq->step_ns : behind);
        v.buckets = rq->to_ns > v.first_ns ? (uint32_t)((rq->to_ns - 1 - v.first_ns) / rq->step_ns) + 1 : 1;
    }
    AUTO(view_endp) struct view *view = NULL;
    struct view_selection sel;
    if (!view_begin(context->store, context->tenant, &view, err) ||
        !view_select(view, rq->selector->matchers, rq->selector->matchers_count, rq->from_ns, rq->to_ns, v.a, &sel, err) ||
        !view_labels_all(view, &sel, v.a, err))
        return false;
    for (uint32_t i = 0, end; i < sel.runs_count; i = end) {
        for (end = i + 1; end < sel.runs_count && sel.runs[end].stream == sel.runs[i].stream; end++)
            continue;
        if (!add_stream(&v, sel.streams[sel.runs[i].stream].labels, &sel.runs[i], end - i))
            return arena_ok(v.a, "volume", err);
    }
    struct query_result result = {0};
    if (!make_result(&v, &result, err))
        return false;
    *result_out = result;
    return true;
}
