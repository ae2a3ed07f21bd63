/*
 * retain.c -- takes whole segments away: those in which everything has expired, and the oldest above the cap.
 *
 * S4  Publication backwards: rows, commit, manifest swap, unlink. A crash between commit and unlink leaves a file
 *     without a row, which recovery adopts (S5); the next pass takes it away again.
 * P7  Nothing goes early: a segment goes when its youngest entry of every stream has expired, by the stream's own period.
 *
 * When a segment will have expired is worked out once, from its stream table where rules make streams differ, and kept.
 *
 * Threads: the keeper's.
 */
#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/metric.h"
#include "store/retain.h"
#include "store/state.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { DROP_SEGMENTS_MAX = 64 }; // of one commit

// --- lifetimes --------------------------------------------------------------------------------------

static int64_t add_ns(int64_t time_ns, int64_t period_ns)
{
    int64_t sum_ns;
    return period_ns == 0 || __builtin_add_overflow(time_ns, period_ns, &sum_ns) ? INT64_MAX : sum_ns;
}

static void widen(struct lifetime *l, int64_t min_ns, int64_t max_ns, int64_t period_ns, const struct retention_rule *rule)
{
    int64_t begins_ns = add_ns(min_ns, period_ns), ends_ns = add_ns(max_ns, period_ns);
    if (begins_ns < l->begins_ns) {
        l->begins_ns = begins_ns;
        l->begins_by = rule;
    }
    if (ends_ns > l->ends_ns) {
        l->ends_ns = ends_ns;
        l->ends_by = rule;
    }
}

// The last time that counts of a segment's spans: clients say what they like, so none is after the segment was made.
static bool last_span_ns(const struct manifest_segment *s, int64_t *last_ns_out, struct err *err)
{
    *last_ns_out = s->row.spans_max_ns;
    if (s->row.spans_max_ns <= clock_wall_ns())
        return true;
    if (!seg_load(s->seg, err))
        return false;
    int64_t created_ns = seg_footer(s->seg)->created_ns;
    *last_ns_out = created_ns < s->row.spans_max_ns ? created_ns : s->row.spans_max_ns;
    return true;
}

// Spans are of the stream {service_name="..."}; a segment is not read for them: what any of a tenant's may be kept for counts.
static bool widen_by_spans(const struct retention *r, const struct manifest_segment *s, struct lifetime *l, struct err *err)
{
    int64_t last_ns;
    if (s->row.spans == 0)
        return true;
    if (!last_span_ns(s, &last_ns, err) || !seg_load_spans(s->seg, err))
        return false;
    const struct seg_span_table *table = seg_span_table(s->seg);
    for (uint32_t i = 0; i < table->tenants_count; i++) {
        struct retention_bounds b = retention_bounds(r, table->tenants[i].tenant);
        widen(l, s->row.spans_min_ns, last_ns, b.shortest_ns, NULL);
        widen(l, s->row.spans_min_ns, last_ns, b.longest_ns, NULL);
    }
    return true;
}

bool lifetime_of(const struct retention *r, const struct manifest_segment *s, struct lifetime *out, struct err *err)
{
    struct retention_bounds b = retention_bounds(r, (struct slice){0});
    struct lifetime l = {.gen = s->row.gen, .begins_ns = INT64_MAX, .ends_ns = INT64_MIN};
    if (r->rules_count == 0) {
        int64_t last_ns = INT64_MIN;
        if (s->row.spans > 0 && !last_span_ns(s, &last_ns, err))
            return false;
        if (s->row.entries > 0)
            widen(&l, s->row.min_ns, s->row.max_ns, b.shortest_ns, NULL);
        if (s->row.spans > 0)
            widen(&l, s->row.spans_min_ns, last_ns, b.shortest_ns, NULL);
        *out = l;
        return true;
    }
    AUTO(seg_directory_done) struct seg_directory d = {0};
    if (!seg_read_directory(s->seg, &d, err))
        return false;
    for (size_t i = 0; i < d.streams_count; i++) {
        const struct index_stream *stream = &d.streams[i];
        const struct retention_rule *rule;
        int64_t period_ns = retention_period(r, stream->tenant, stream->labels, &rule);
        widen(&l, stream->runs[0].min_ns, stream->runs[stream->runs_count - 1].max_ns, period_ns, rule);
    }
    if (!widen_by_spans(r, s, &l, err))
        return false;
    *out = l;
    return true;
}

static struct lifetime *find(struct store *st, uint64_t gen)
{
    for (size_t i = 0; i < st->lifetimes_count; i++)
        if (st->lifetimes[i].gen == gen)
            return &st->lifetimes[i];
    return NULL;
}

void retain_forget(struct store *st, const uint64_t *gens, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct lifetime *l = find(st, gens[i]);
        if (l != NULL)
            *l = st->lifetimes[--st->lifetimes_count];
    }
}

const struct lifetime *retain_lifetime(struct store *st, const struct manifest_segment *s, int64_t now_ns)
{
    struct retention_bounds b = retention_bounds(&st->options.retention, (struct slice){0});
    if (add_ns(index_segment_first_ns(&s->row), b.shortest_ns) > now_ns) // nothing can have expired
        return NULL;
    struct lifetime *known = find(st, s->row.gen), l;
    struct err why;
    if (known != NULL)
        return known;
    if (!lifetime_of(&st->options.retention, s, &l, &why)) {
        // Not readable: it goes when the longest period is over, whatever it holds.
        store_report(st, true, why.text);
        l = (struct lifetime){.gen = s->row.gen, .begins_ns = INT64_MAX,
                              .ends_ns = add_ns(index_segment_last_ns(&s->row), b.longest_ns)};
    }
    st->lifetimes = realloc(st->lifetimes, (st->lifetimes_count + 1) * sizeof *st->lifetimes);
    assert(st->lifetimes != NULL);
    st->lifetimes[st->lifetimes_count] = l;
    return &st->lifetimes[st->lifetimes_count++];
}

// --- dropping ---------------------------------------------------------------------------------------

// The log of a generation that is a segment is of no use any more; were it to survive the segment, it would bring the
// entries back.
bool retain_unlink_logs(struct store *st, const uint64_t *gens, size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        char path[STORE_PATH_BYTES];
        store_wal_path(st, gens[i], path);
        if (seg_rewrites(gens[i]) == 0 && !fs_unlink(path, err))
            return false;
    }
    return fs_sync_dir(st->wal_dir, err);
}

static bool drop(struct store *st, const uint64_t *gens, size_t count, struct err *err)
{
    int64_t begun_ns = clock_mono_ns();
    if (!retain_unlink_logs(st, gens, count, err) || !publish_swap(st, gens, count, NULL, NULL, err))
        return false;
    st->dropped_at = st->last_number;
    publish_unlink(st, gens, count);
    retain_forget(st, gens, count);
    metric_observe_ns(HISTOGRAM_RETENTION_SECONDS, (clock_mono_ns() - begun_ns) / (int64_t)count);
    return true;
}

static void tell(struct store *st, const struct manifest_segment *s, const char *why)
{
    char text[ERR_TEXT_BYTES], newest[CLOCK_RFC3339_BYTES];
    clock_rfc3339(index_segment_last_ns(&s->row), newest);
    (void)snprintf(text, sizeof text,
                   "dropped segment %016" PRIx64 ": %" PRIu64 " entries and %" PRIu64 " spans up to %s, %" PRIu64 " bytes: %s",
                   s->row.gen, s->row.entries, s->row.spans, newest, s->row.file_bytes, why);
    store_report(st, false, text);
}

// Drops up to DROP_SEGMENTS_MAX segments that have expired whole. True when it dropped any.
static bool drop_expired(struct store *st)
{
    uint64_t gens[DROP_SEGMENTS_MAX];
    size_t count = 0;
    int64_t now_ns = clock_wall_ns();
    struct manifest *m = store_manifest(st);
    struct err why;
    for (uint32_t i = 0; i < m->segments_count && count < DROP_SEGMENTS_MAX; i++) {
        const struct lifetime *l = retain_lifetime(st, &m->segments[i], now_ns);
        if (l != NULL && l->ends_ns < now_ns)
            gens[count++] = l->gen;
    }
    bool good = count > 0 && drop(st, gens, count, &why);
    if (count > 0 && !good)
        store_report(st, true, why.text);
    for (uint32_t i = 0, n = 0; good && n < count; i++) {
        if (m->segments[i].row.gen != gens[n])
            continue;
        n++;
        metric_add(COUNTER_EXPIRED_SEGMENTS, 1);
        metric_add(COUNTER_EXPIRED_ENTRIES, m->segments[i].row.entries);
        tell(st, &m->segments[i], "expired");
    }
    manifest_unref(m);
    return good;
}

// --- the cap ----------------------------------------------------------------------------------------

uint64_t retain_disk_bytes(const struct manifest *m, uint64_t log_bytes)
{
    uint64_t bytes = log_bytes;
    for (uint32_t i = 0; i < m->segments_count; i++)
        if ((seg_where(m->segments[i].seg) & INDEX_IN_FILE) != 0)
            bytes += m->segments[i].row.file_bytes;
    return bytes;
}

const struct manifest_segment *retain_oldest(const struct manifest *m)
{
    const struct manifest_segment *oldest = NULL;
    for (uint32_t i = 0; i < m->segments_count; i++)
        if (oldest == NULL || index_segment_last_ns(&m->segments[i].row) < index_segment_last_ns(&oldest->row))
            oldest = &m->segments[i];
    return oldest;
}

static uint64_t log_bytes(struct store *st)
{
    pthread_rwlock_rdlock(&st->gen_lock);
    uint64_t bytes = st->wal != NULL ? wal_bytes(st->wal) : 0;
    pthread_rwlock_unlock(&st->gen_lock);
    return bytes;
}

// Drops the oldest segment when more than the cap is used. The last one stays: it is what was just acknowledged.
static bool evict_oldest(struct store *st)
{
    if (st->options.disk_bytes_max == 0 || st->far != NULL) // far.c drops copies, and data never
        return false;
    struct manifest *m = store_manifest(st);
    bool dropped = false;
    struct err why;
    if (m->segments_count > 1 && retain_disk_bytes(m, log_bytes(st)) > st->options.disk_bytes_max) {
        const struct manifest_segment *s = retain_oldest(m);
        dropped = drop(st, &s->row.gen, 1, &why);
        if (dropped) {
            metric_add(COUNTER_EVICTED_SEGMENTS, 1);
            metric_add(COUNTER_EVICTED_ENTRIES, s->row.entries);
            tell(st, s, "more than --max-bytes");
        } else {
            store_report(st, true, why.text);
        }
    }
    manifest_unref(m);
    return dropped;
}

// --- the index --------------------------------------------------------------------------------------

// The first day that anything is of; what heads hold is not in the index yet.
static uint32_t first_day(struct store *st)
{
    int64_t first_ns = INT64_MAX;
    struct manifest *m = store_manifest(st);
    for (uint32_t i = 0; i < m->segments_count; i++)
        if (m->segments[i].row.entries > 0 && m->segments[i].row.min_ns < first_ns)
            first_ns = m->segments[i].row.min_ns;
    manifest_unref(m);
    return index_day(first_ns);
}

void retain_sweep(struct store *st)
{
    int64_t since_ns = clock_mono_ns();
    struct err why;
    while (st->dropped_at != 0 && view_oldest_manifest(st) >= st->dropped_at) {
        if (st->sweep_for != st->dropped_at) // what was dropped meanwhile may be of streams that were looked at
            st->sweep = (struct index_sweep){0};
        st->sweep_for = st->dropped_at;
        if (!index_sweep(st->index, &st->sweep, first_day(st), &why)) {
            store_report(st, true, why.text);
            return;
        }
        if (st->sweep.done) {
            metric_add(COUNTER_SWEPT_STREAMS, st->sweep.streams_removed);
            st->dropped_at = 0;
        }
        if (!keeper_yield(st, &since_ns, &why))
            return;
    }
}

// --- low water --------------------------------------------------------------------------------------

void retain_look(struct store *st)
{
    uint64_t free_bytes, total_bytes;
    struct err ignored; // a disk that does not tell is not known to be full
    if (!fs_space(st->dir, &free_bytes, &total_bytes, &ignored))
        return;
    bool low = free_bytes < st->options.disk_low_bytes;
    bool was = atomic_exchange(&st->disk_low, low);
    atomic_store(&st->disk_free_bytes, free_bytes);
    if (low == was)
        return;
    char text[ERR_TEXT_BYTES];
    (void)snprintf(text, sizeof text, "the disk has %" PRIu64 " bytes left, %s --low-water %" PRIu64 ": pushes are %s",
                   free_bytes, low ? "below" : "above", st->options.disk_low_bytes, low ? "refused" : "taken again");
    store_report(st, low, text);
}

void retain(struct store *st)
{
    publish_unlink(st, NULL, 0);
    while (drop_expired(st))
        continue;
    while (evict_oldest(st))
        continue;
    retain_look(st);
}
