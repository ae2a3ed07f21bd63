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
 * C4  A segment that cannot be read whole is never an input; it stays, and is told of.
 *
 * Threads: the keeper's. Seals go first, see keeper_yield().
 */
#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/metric.h"
#include "store/retain.h"
#include "store/seg_merge.h"
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
    uint64_t gens[COMPACT_INPUTS_MAX];
    uint32_t count;
    uint64_t file_bytes;
    uint64_t gen; // of the output
    uint32_t damaged; // input that cannot be read; `count`: none is known
    int64_t since_ns; // when the last rest ended
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
        };
    }
    bool found = tiers_pick(segments, m->segments_count, first_out, count_out);
    free(segments);
    return found;
}

static bool pick(struct compaction *c)
{
    size_t first, count;
    if (!pick_join(c, &first, &count) && !pick_rewrite(c, &first, &count)) // joining takes out the same
        return false;
    uint64_t rewrites = 0;
    for (size_t i = 0; i < count; i++) {
        const struct manifest_segment *s = &c->manifest->segments[first + i];
        c->inputs[i] = s->seg;
        c->gens[i] = s->row.gen;
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
                                      .now_ns = clock_wall_ns(), .pace = pace, .ctx = c};
    struct seg_writer_options write = {.dir = st->segments_dir, .path = path, .gen = c->gen, .inputs = c->gens,
                                       .inputs_count = c->count, .level = COMPACT_LEVEL, .block_bytes = COMPACT_BLOCK_LINE_BYTES};
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
    metric_add(COUNTER_EXPIRED_ENTRIES, stats->expired);
    metric_add(COUNTER_DUPLICATE_SPANS, stats->spans_duplicate);
    metric_add(COUNTER_EXPIRED_SPANS, stats->spans_expired);
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
        publish_unlink(c->st, c->gens, c->count);
        retain_forget(c->st, c->gens, c->count);
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
    struct compaction c = {.st = st};
    pthread_mutex_lock(&st->manifest_lock);
    c.manifest = manifest_ref(st->manifest);
    pthread_mutex_unlock(&st->manifest_lock);
    bool done = pick(&c) && run(&c);
    manifest_unref(c.manifest);
    return done;
}
