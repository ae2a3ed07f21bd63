/*
 * compact.c -- rewrites segments: neighbours into one, and single ones to get rid of what has expired in them.
 *
 *     inputs -> seg_merge -> output (tmp, sync, rename) -> ONE index commit: rows of the inputs go, rows of the output come
 *            -> swap manifest -> unlink the inputs
 *
 * C1  The output names its inputs: until the commit it is garbage while they are there, and after it they are, while it is
 *     live (S5). Either way a crash leaves every entry once.
 * C2  Before the commit nothing is left of the inputs' logs, durably: one that survived its segment would bring it back.
 * C3  Inputs are neighbours by age, and no head is older than the youngest of them: ages order what was pushed before what.
 * C4  Requests to delete are carried out when their delay is over, on every input that they are about. Until then the
 *     segments that one is about are not joined with later ones: age is what tells them apart.
 * C5  A segment that cannot be read whole is never an input; it stays, and is told of.
 *
 * Threads: the keeper's. Seals go first, see keeper_yield().
 */
#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/metric.h"
#include "store/retain.h"
#include "store/segment/seg_merge.h"
#include "store/state.h"
#include "store/tiers.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

// Higher than when sealing: decoding costs the same (bench/README.md).
enum { COMPACT_LEVEL = 5 };
#define COMPACT_PAUSE_NS (60 * NS_PER_S) // after a failure

struct compaction {
    struct store *st;
    struct manifest *manifest; // one reference
    struct seg *inputs[COMPACT_INPUTS_MAX];
    uint64_t gens[COMPACT_INPUTS_MAX], ages[COMPACT_INPUTS_MAX];
    uint32_t count;
    uint64_t file_bytes;
    uint64_t gen; // of the output
    uint32_t damaged; // input that cannot be read; `count`: none is known
    int64_t since_ns; // when the last rest ended
    struct deletion_set *requests; // one reference
    struct deletion **due;         // owned; those whose delay is over
    struct deletion_count *removed; // owned; by place in `due`
    size_t due_count;
};

// --- choosing ---------------------------------------------------------------------------------------

static bool is_damaged(const struct store *st, uint64_t gen)
{
    for (size_t i = 0; i < st->damaged_count; i++)
        if (st->damaged[i] == gen)
            return true;
    return false;
}

static void note_damaged(struct store *st, uint64_t gen)
{
    st->damaged = realloc(st->damaged, (st->damaged_count + 1) * sizeof *st->damaged);
    assert(st->damaged != NULL);
    st->damaged[st->damaged_count++] = gen;
}

// A segment is rewritten alone at most once in a while: what it is believed to be rid of may be more than it was.
static bool is_rested(const struct store *st, uint64_t gen, int64_t now_ns)
{
    for (size_t i = 0; i < st->rewritten_count; i++)
        if (st->rewritten[i].gen == gen)
            return now_ns >= st->rewritten[i].at_ns + COMPACT_SLACK_NS;
    return true;
}

static void note_rewritten(struct store *st, uint64_t gone, uint64_t gen)
{
    size_t i = 0;
    while (i < st->rewritten_count && st->rewritten[i].gen != gone)
        i++;
    if (i == st->rewritten_count) {
        st->rewritten = realloc(st->rewritten, (st->rewritten_count + 1) * sizeof *st->rewritten);
        assert(st->rewritten != NULL);
        st->rewritten_count++;
    }
    st->rewritten[i] = (struct rewritten){gen, clock_wall_ns()};
}

static bool has_expired_part(struct store *st, const struct manifest_segment *s, int64_t now_ns)
{
    if (!is_rested(st, s->row.gen, now_ns))
        return false;
    const struct lifetime *l = retain_lifetime(st, s, now_ns - COMPACT_SLACK_NS);
    return l != NULL && l->begins_ns < now_ns - COMPACT_SLACK_NS && l->ends_ns > now_ns + COMPACT_SLACK_NS;
}

// A segment that holds what has to go, by itself. One that goes whole soon is left to.
static bool pick_rewrite(struct compaction *c, size_t *first_out, size_t *count_out)
{
    int64_t now_ns = clock_wall_ns();
    for (uint32_t i = 0; i < c->manifest->segments_count; i++) {
        const struct manifest_segment *s = &c->manifest->segments[i];
        if (is_damaged(c->st, s->row.gen) || !has_expired_part(c->st, s, now_ns))
            continue;
        *first_out = i;
        *count_out = 1;
        return true;
    }
    return false;
}

// --- requests to delete -----------------------------------------------------------------------------

static bool is_clean(const struct store *st, uint64_t id, uint64_t gen)
{
    for (size_t i = 0; i < st->clean_count; i++)
        if (st->clean[i].id == id && st->clean[i].gen == gen)
            return true;
    return false;
}

static void note_clean(struct store *st, uint64_t id, uint64_t gen)
{
    st->clean = realloc(st->clean, (st->clean_count + 1) * sizeof *st->clean);
    assert(st->clean != NULL);
    st->clean[st->clean_count++] = (struct clean){id, gen};
}

static bool is_about(const struct deletion *d, const struct index_segment *row)
{
    if (seg_age(row->gen) > d->age_max)
        return false;
    if (d->by_trace)
        return row->entries > 0 || row->spans > 0;
    return row->entries > 0 && row->min_ns < d->to_ns && row->max_ns >= d->from_ns;
}

static bool note_ref(void *ctx, const struct trace_ref *ref, struct err *err)
{
    (void)ref, (void)err;
    *(bool *)ctx = true;
    return true;
}

// By its trace table. What cannot be read may have.
static bool may_hold_trace(const struct deletion *d, struct seg *seg)
{
    struct err ignored;
    bool found = false;
    uint64_t hash = trace_hash(d->trace_id);
    if (!seg_load_spans(seg, &ignored))
        return true;
    const struct seg_span_tenant *t = seg_span_tenant(seg, d->tenant);
    if (t == NULL)
        return false;
    return !seg_find_trace(seg, &t->spans, TRACE_REF_SPANS, hash, note_ref, &found, &ignored) ||
           !seg_find_trace(seg, &t->entries, TRACE_REF_ENTRIES, hash, note_ref, &found, &ignored) || found;
}

// Whether the segment has runs of a stream and a time that the request is about. What cannot be read may have.
static bool may_hold(const struct deletion *d, struct seg *seg)
{
    AUTO(seg_directory_done) struct seg_directory directory = {0};
    struct err ignored;
    if (d->by_trace)
        return may_hold_trace(d, seg);
    if (!seg_read_directory(seg, &directory, &ignored))
        return true;
    for (size_t i = 0; i < directory.streams_count; i++) {
        const struct index_stream *s = &directory.streams[i];
        for (uint32_t n = 0; n < s->runs_count; n++)
            if (s->runs[n].min_ns < d->to_ns && s->runs[n].max_ns >= d->from_ns &&
                deletion_selects_stream(d, s->tenant, s->labels))
                return true;
    }
    return false;
}

static void forget_clean(struct store *st, uint64_t id)
{
    size_t kept = 0;
    for (size_t i = 0; i < st->clean_count; i++)
        if (st->clean[i].id != id)
            st->clean[kept++] = st->clean[i];
    st->clean_count = kept;
}

// The request's next segment to be rewritten. None is left: it is done, unless one that cannot be read may hold something.
static bool pick_for(struct compaction *c, const struct deletion *d, size_t *first_out)
{
    const struct manifest *m = c->manifest;
    bool left = m->heads_count > 0 && head_gen(m->heads[0]) <= d->age_max;
    for (uint32_t i = 0; i < m->segments_count; i++) {
        const struct index_segment *row = &m->segments[i].row;
        if (!is_about(d, row) || is_clean(c->st, d->id, row->gen))
            continue;
        if (!may_hold(d, m->segments[i].seg)) {
            note_clean(c->st, d->id, row->gen);
        } else if (is_damaged(c->st, row->gen)) {
            left = true;
        } else {
            *first_out = i;
            return true;
        }
    }
    struct err why;
    if (left)
        return false;
    if (deletions_done(c->st->deletions, d, clock_wall_ns(), &why))
        forget_clean(c->st, d->id);
    else
        store_report(c->st, true, why.text);
    return false;
}

static bool pick_deletion(struct compaction *c, size_t *first_out, size_t *count_out)
{
    *count_out = 1;
    for (size_t i = 0; i < c->due_count; i++)
        if (pick_for(c, c->due[i], first_out))
            return true;
    return false;
}

static void find_due(struct compaction *c)
{
    int64_t now_ns = clock_wall_ns();
    c->requests = deletions_active(c->st->deletions);
    c->due = calloc(c->requests->count + 1, sizeof(struct deletion *));
    c->removed = calloc(c->requests->count + 1, sizeof *c->removed);
    assert(c->due != NULL && c->removed != NULL);
    for (size_t i = 0; i < c->requests->count; i++)
        if (c->requests->items[i]->created_ns <= now_ns - c->st->options.delete_delay_ns)
            c->due[c->due_count++] = c->requests->items[i];
}

// Whether a request that still waits tells the segment from the one before it.
static bool is_parted(const struct compaction *c, uint64_t age_before, uint64_t age)
{
    int64_t now_ns = clock_wall_ns();
    for (size_t i = 0; i < c->requests->count; i++) {
        const struct deletion *d = c->requests->items[i];
        if (d->created_ns > now_ns - c->st->options.delete_delay_ns && age_before <= d->age_max && age > d->age_max)
            return true;
    }
    return false;
}

static bool pick_join(struct compaction *c, size_t *first_out, size_t *count_out)
{
    const struct manifest *m = c->manifest;
    uint64_t oldest_head = m->heads_count > 0 ? head_gen(m->heads[0]) : UINT64_MAX;
    struct tier_segment *segments = calloc(m->segments_count + 1, sizeof *segments);
    assert(segments != NULL);
    for (uint32_t i = 0; i < m->segments_count; i++) {
        const struct index_segment *row = &m->segments[i].row;
        segments[i] = (struct tier_segment){
            .file_bytes = row->file_bytes,
            .streams = row->streams,
            .spans = row->spans,
            .max_ns = index_segment_last_ns(row),
            .fixed = is_damaged(c->st, row->gen) || seg_age(row->gen) > oldest_head ||
                     seg_rewrites(row->gen) >= SEG_REWRITES_MAX,
            .parted = i > 0 && is_parted(c, seg_age(m->segments[i - 1].row.gen), seg_age(row->gen)),
        };
    }
    bool found = tiers_pick(segments, m->segments_count, first_out, count_out);
    free(segments);
    return found;
}

static bool pick(struct compaction *c)
{
    size_t first, count;
    // Joining takes out the same.
    if (!pick_join(c, &first, &count) && !pick_deletion(c, &first, &count) && !pick_rewrite(c, &first, &count))
        return false;
    uint64_t rewrites = 0;
    for (size_t i = 0; i < count; i++) {
        const struct manifest_segment *s = &c->manifest->segments[first + i];
        c->inputs[i] = s->seg;
        c->gens[i] = s->row.gen;
        c->ages[i] = seg_age(s->row.gen);
        c->file_bytes += s->row.file_bytes;
        rewrites = seg_rewrites(s->row.gen) > rewrites ? seg_rewrites(s->row.gen) : rewrites;
    }
    c->count = (uint32_t)count;
    c->gen = seg_number(rewrites + 1, seg_age(c->gens[count - 1]));
    return true;
}

// --- writing ----------------------------------------------------------------------------------------

static bool pace(void *ctx, struct err *err)
{
    struct compaction *c = ctx;
    return keeper_yield(c->st, &c->since_ns, err);
}

static bool has_room(struct compaction *c, struct err *err)
{
    uint64_t free_bytes, total_bytes;
    if (!fs_space(c->st->dir, &free_bytes, &total_bytes, err))
        return false;
    return free_bytes >= c->file_bytes && free_bytes - c->file_bytes >= c->st->options.disk_low_bytes ? true
           : err_set(err, ERR_FULL, "the disk has %" PRIu64 " bytes left, too few to rewrite %" PRIu64, free_bytes, c->file_bytes);
}

// The output is written and the only thing live; an output of nothing is no file.
static bool swap(struct compaction *c, struct seg_merge *m, struct seg_writer *w, struct index_segment *row_out,
                 struct err *err)
{
    struct seg_merge_stats stats;
    struct seg_directory *directory = NULL;
    seg_merge_stats(m, &stats);
    bool some = stats.entries_written + stats.spans_written > 0;
    *row_out = (struct index_segment){0};
    return (!some || seg_writer_finish(w, row_out, &directory, err)) &&
           publish_swap(c->st, c->gens, c->count, some ? row_out : NULL, directory, err);
}

static bool rewrite(struct compaction *c, struct seg_merge_stats *stats_out, struct index_segment *row_out, struct err *err)
{
    struct store *st = c->st;
    char path[STORE_PATH_BYTES];
    store_segment_path(st, c->gen, path);
    struct seg_merge_options merge = {.inputs = c->inputs, .inputs_count = c->count, .retention = &st->options.retention,
                                      .now_ns = clock_wall_ns(), .pace = pace, .ctx = c, .ages = c->ages,
                                      .deletions = c->due, .deletions_count = c->due_count, .removed = c->removed};
    struct seg_writer_options write = {.dir = st->segments_dir, .path = path, .gen = c->gen, .inputs = c->gens,
                                       .inputs_count = c->count, .level = COMPACT_LEVEL, .block_bytes = COMPACT_BLOCK_LINE_BYTES,
                                       .split_lines = true};
    AUTO(seg_merge_freep) struct seg_merge *m = NULL; // before the writer, which borrows from it
    AUTO(seg_writer_freep) struct seg_writer *w = NULL;
    c->damaged = c->count;
    bool good = has_room(c, err) && retain_unlink_logs(st, c->gens, c->count, err) &&
                seg_merge_open(&merge, &m, &c->damaged, err) && seg_writer_open(&write, &w, err) &&
                seg_merge_run(m, w, &c->damaged, err) && swap(c, m, w, row_out, err);
    if (!good && c->damaged < c->count)
        note_damaged(st, c->gens[c->damaged]);
    if (good)
        seg_merge_stats(m, stats_out);
    return good;
}

static void count(const struct compaction *c, const struct seg_merge_stats *stats, const struct index_segment *row)
{
    metric_add(COUNTER_COMPACTIONS, 1);
    metric_add(COUNTER_COMPACTION_SEGMENTS, c->count);
    metric_add(COUNTER_COMPACTION_LINE_BYTES, stats->line_bytes_read);
    metric_add(COUNTER_COMPACTION_READ_BYTES, c->file_bytes);
    metric_add(COUNTER_COMPACTION_WRITTEN_BYTES, row->file_bytes);
    metric_add(COUNTER_DUPLICATE_ENTRIES, stats->duplicates);
    metric_add(COUNTER_DELETED_ENTRIES, stats->deleted);
    metric_add(COUNTER_EXPIRED_ENTRIES, stats->expired);
    metric_add(COUNTER_DUPLICATE_SPANS, stats->spans_duplicate);
    metric_add(COUNTER_EXPIRED_SPANS, stats->spans_expired);
    metric_add(COUNTER_DELETED_SPANS, stats->spans_deleted);
}

// Receipts count what the rewrite removed; its output holds nothing of what was due.
static void settle_requests(struct compaction *c, bool some)
{
    struct deletion_set due = {.items = c->due, .count = c->due_count};
    struct err why;
    if (c->due_count > 0 && !deletions_count(c->st->deletions, &due, c->removed, &why))
        store_report(c->st, true, why.text); // counted in memory; written with the next change
    for (size_t i = 0; i < c->due_count && some; i++)
        note_clean(c->st, c->due[i]->id, c->gen);
}

// False: nothing more is to be tried now.
static bool run(struct compaction *c)
{
    struct seg_merge_stats stats;
    struct index_segment row;
    struct err why;
    int64_t begun_ns = clock_mono_ns();
    c->since_ns = begun_ns;
    if (rewrite(c, &stats, &row, &why)) {
        if (stats.expired + stats.deleted > 0)
            c->st->dropped_at = c->st->last_number;
        publish_unlink(c->st, c->gens, c->count);
        retain_forget(c->st, c->gens, c->count);
        settle_requests(c, row.entries + row.spans > 0);
        if (c->count == 1)
            note_rewritten(c->st, c->gens[0], c->gen);
        metric_observe_ns(HISTOGRAM_COMPACTION_SECONDS, clock_mono_ns() - begun_ns);
        count(c, &stats, &row);
        return true;
    }
    publish_unlink(c->st, &c->gen, 1); // were the inputs to go otherwise, nothing would tell that it is garbage
    if (why.code == ERR_CANCELLED)
        return false;
    metric_add(COUNTER_COMPACTION_FAILURES, 1);
    (void)err_wrap(&why, "compaction of %u segments from %016" PRIx64 " on", c->count, c->gens[0]);
    store_report(c->st, true, why.text);
    if (c->damaged < c->count)
        return true; // it goes on without that one
    c->st->compact_not_before_ns = clock_mono_ns() + COMPACT_PAUSE_NS;
    return false;
}

bool compact(struct store *st)
{
    // What a rewrite removes must not come back from a file that could not be removed before.
    if (publish_garbage(st) || clock_mono_ns() < st->compact_not_before_ns)
        return false;
    struct compaction c = {.st = st, .manifest = store_manifest(st)};
    find_due(&c);
    bool done = pick(&c) && run(&c);
    manifest_unref(c.manifest);
    deletion_set_unref(c.requests);
    free(c.due);
    free(c.removed);
    return done;
}
