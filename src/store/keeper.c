/*
 * keeper.c -- the thread that turns frozen generations into segments.
 *
 *     frozen head N -> blocks -> N.seg (tmp, sync, rename)
 *                   -> ONE index commit: streams, labels, runs, "N is a segment", manifest number
 *                   -> swap manifest -> unlink N.wal
 *
 * Publishing (S2, S3) is publish.c's. When nothing waits to be sealed the thread takes away what has expired (retain.c).
 *
 * A failed attempt leaves the generation frozen, readable and in its WAL, and is repeated after a pause
 * that doubles up to KEEPER_PAUSE_NS_MAX; its reason is parked in the store, where pushes find it.
 */
#include "store/store.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/metric.h"
#include "store/state.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#define KEEPER_TICK_NS NS_PER_S
#define KEEPER_PAUSE_NS_MIN NS_PER_S
#define KEEPER_PAUSE_NS_MAX (30 * NS_PER_S)
// Low when sealing: pushes share the machine with it. Compaction may raise it.
enum { SEAL_LEVEL = 1 };
// Of its time that upkeep works while pushes run.
enum { KEEPER_SHARE_PERCENT = 25 };

void keeper_add_frozen(struct store *st, uint32_t count)
{
    pthread_mutex_lock(&st->keeper_lock);
    st->frozen_count += count;
    metric_set(GAUGE_FROZEN_HEADS, st->frozen_count);
    pthread_cond_signal(&st->keeper_wake);
    pthread_mutex_unlock(&st->keeper_lock);
}

void keeper_ask_settle(struct store *st)
{
    pthread_mutex_lock(&st->keeper_lock);
    st->settle_asked = true;
    pthread_cond_signal(&st->keeper_wake);
    pthread_mutex_unlock(&st->keeper_lock);
}

// --- sealing ----------------------------------------------------------------------------------------

// The oldest head that is not open any more, with a reference; NULL when there is none.
static struct head *oldest_frozen(struct store *st)
{
    pthread_rwlock_rdlock(&st->gen_lock);
    uint64_t open_gen = st->head != NULL ? head_gen(st->head) : UINT64_MAX;
    pthread_rwlock_unlock(&st->gen_lock);
    struct head *head = NULL;
    pthread_mutex_lock(&st->manifest_lock);
    if (st->manifest->heads_count > 0 && head_gen(st->manifest->heads[0]) != open_gen)
        head = head_ref(st->manifest->heads[0]);
    pthread_mutex_unlock(&st->manifest_lock);
    return head;
}

static bool write_segment(struct store *st, struct head *head, struct index_segment *row_out,
                          struct err *err)
{
    char path[STORE_PATH_BYTES];
    store_segment_path(st, head_gen(head), path);
    struct seg_writer_options options = {
        .dir = st->segments_dir, .path = path, .gen = head_gen(head), .level = SEAL_LEVEL,
        .block_bytes = BLOCK_LINE_BYTES};
    AUTO(seg_writer_freep) struct seg_writer *w = NULL;
    struct seg_directory *directory;
    return seg_writer_open(&options, &w, err) && head_write(head, w, err) &&
           seg_writer_finish(w, row_out, &directory, err) &&
           publish_swap(st, NULL, 0, row_out, directory, err);
}

static bool seal(struct store *st, struct head *head, struct err *err)
{
    uint64_t gen = head_gen(head);
    struct head_stats stats;
    head_stats(head, &stats);
    if (stats.entries + stats.spans == 0) {
        store_drop_head(st, gen);
    } else {
        int64_t begun_ns = clock_mono_ns();
        struct index_segment row;
        if (!write_segment(st, head, &row, err))
            return err_wrap(err, "seal generation %016" PRIx64, gen);
        metric_observe_ns(HISTOGRAM_SEAL_SECONDS, clock_mono_ns() - begun_ns);
        metric_add(COUNTER_SEALS, 1);
        metric_add(COUNTER_SEAL_LINE_BYTES, row.line_bytes);
        metric_add(COUNTER_SEAL_FILE_BYTES, row.file_bytes);
    }
    // From here on the segment's row speaks for the generation. A log that stays behind is removed by
    // the next recovery, for its generation has a row (or no record at all).
    char path[STORE_PATH_BYTES];
    store_wal_path(st, gen, path);
    fs_unlink_quietly(path);
    return true;
}

// --- the thread -------------------------------------------------------------------------------------

static void note_success(struct store *st, uint64_t gen)
{
    pthread_mutex_lock(&st->keeper_lock);
    assert(st->frozen_count > 0);
    st->frozen_count--;
    metric_set(GAUGE_FROZEN_HEADS, st->frozen_count);
    if (st->unended_gen == gen)
        st->unended_gen = 0;
    bool recovered = st->keeper_err.code != ERR_NONE;
    st->keeper_err = (struct err){0};
    pthread_cond_broadcast(&st->published);
    pthread_mutex_unlock(&st->keeper_lock);
    if (recovered)
        store_report(st, false, "sealing works again");
}

static void note_failure(struct store *st, const struct err *why)
{
    metric_add(COUNTER_SEAL_FAILURES, 1);
    pthread_mutex_lock(&st->keeper_lock);
    st->attempt_failed = st->attempt;
    st->keeper_err = *why;
    pthread_cond_broadcast(&st->published);
    pthread_mutex_unlock(&st->keeper_lock);
    store_report(st, true, why->text);
}

static bool seal_oldest(struct store *st)
{
    struct head *head = oldest_frozen(st);
    assert(head != NULL); // frozen_count says so
    pthread_mutex_lock(&st->keeper_lock);
    st->attempt++;
    st->hurry = false; // who hurries from now on wants another attempt
    pthread_mutex_unlock(&st->keeper_lock);
    struct err why = {0};
    bool good = seal(st, head, &why);
    if (good)
        note_success(st, head_gen(head));
    else
        note_failure(st, &why);
    head_unref(head);
    return good;
}

// Seals an open generation that nobody has pushed to for long.
static void rotate_idle(struct store *st)
{
    pthread_rwlock_rdlock(&st->gen_lock);
    struct head_stats stats = {0};
    if (st->head != NULL)
        head_stats(st->head, &stats);
    pthread_rwlock_unlock(&st->gen_lock);
    if (stats.entries + stats.spans == 0 || clock_mono_ns() - stats.applied_mono_ns < st->options.head_idle_ns)
        return;
    struct err why;
    if (!store_rotate(st, false, &why) && why.code != ERR_BUSY)
        store_report(st, true, why.text);
}

static struct timespec mono_at(int64_t mono_ns)
{
    return (struct timespec){.tv_sec = mono_ns / NS_PER_S, .tv_nsec = mono_ns % NS_PER_S};
}

enum work { WORK_SEAL, WORK_SETTLE, WORK_UPKEEP };

// Waits for something to seal, which may not be before one time, for notes of the uploader, or until upkeep is due. False to stop.
static bool wait_for_work(struct store *st, int64_t not_before_ns, int64_t upkeep_ns, enum work *work_out)
{
    pthread_mutex_lock(&st->keeper_lock);
    struct timespec until = mono_at(upkeep_ns);
    for (bool in_time = true; in_time && !st->stop;) {
        bool may = st->hurry || clock_mono_ns() >= not_before_ns;
        if ((st->frozen_count > 0 && may) || st->settle_asked || st->upkeep_asked > st->upkeep_done)
            break;
        in_time = pthread_cond_timedwait(&st->keeper_wake, &st->keeper_lock, &until) == 0;
    }
    bool seal = st->frozen_count > 0 && (st->hurry || clock_mono_ns() >= not_before_ns);
    bool due = clock_mono_ns() >= upkeep_ns || st->upkeep_asked > st->upkeep_done;
    *work_out = seal ? WORK_SEAL : due ? WORK_UPKEEP : WORK_SETTLE;
    if (!seal)
        st->settle_asked = false; // upkeep settles too
    if (st->frozen_count == 0)
        st->hurry = false;
    bool go_on = !st->stop;
    pthread_mutex_unlock(&st->keeper_lock);
    return go_on;
}

// --- upkeep -----------------------------------------------------------------------------------------

static bool pushes_run(struct store *st)
{
    struct head_stats stats = {0};
    pthread_rwlock_rdlock(&st->gen_lock);
    if (st->head != NULL)
        head_stats(st->head, &stats);
    pthread_rwlock_unlock(&st->gen_lock);
    return stats.applied_mono_ns != 0 && clock_mono_ns() - stats.applied_mono_ns < NS_PER_S;
}

bool keeper_yield(struct store *st, int64_t *since_ns, struct err *err)
{
    int64_t now_ns = clock_mono_ns(), worked_ns = now_ns - *since_ns;
    int64_t rest_ns = pushes_run(st) ? worked_ns * (100 - KEEPER_SHARE_PERCENT) / KEEPER_SHARE_PERCENT : 0;
    struct timespec until = mono_at(now_ns + rest_ns);
    pthread_mutex_lock(&st->keeper_lock);
    bool seal = false, may_seal = st->keeper_err.code == ERR_NONE || st->hurry;
    for (bool in_time = true; in_time && !st->stop && !seal;) {
        seal = st->frozen_count > 0 && may_seal;
        if (seal || rest_ns == 0 || st->upkeep_asked > st->upkeep_done)
            break;
        in_time = pthread_cond_timedwait(&st->keeper_wake, &st->keeper_lock, &until) == 0;
    }
    bool stop = st->stop;
    pthread_mutex_unlock(&st->keeper_lock);
    if (stop)
        return err_set(err, ERR_CANCELLED, "the store is being closed");
    while (seal && seal_oldest(st)) {
        pthread_mutex_lock(&st->keeper_lock);
        seal = st->frozen_count > 0 && !st->stop;
        pthread_mutex_unlock(&st->keeper_lock);
    }
    *since_ns = clock_mono_ns();
    return true;
}

static bool may_go_on(struct store *st)
{
    pthread_mutex_lock(&st->keeper_lock);
    bool go_on = !st->stop && st->frozen_count == 0;
    pthread_mutex_unlock(&st->keeper_lock);
    return go_on;
}

// What is done between seals. False when one came in between.
static bool upkeep(struct store *st)
{
    pthread_mutex_lock(&st->keeper_lock);
    uint64_t asked = st->upkeep_asked;
    pthread_mutex_unlock(&st->keeper_lock);
    rotate_idle(st);
    far_settle(st);
    retain(st);
    while (compact(st)) {
        far_settle(st);
        if (!may_go_on(st))
            return false; // what is left to do is found again
    }
    retain_sweep(st);
    pthread_mutex_lock(&st->keeper_lock);
    st->upkeep_done = asked;
    pthread_cond_broadcast(&st->published);
    pthread_mutex_unlock(&st->keeper_lock);
    return true;
}

static void *keeper_main(void *arg)
{
    struct store *st = arg;
    int64_t pause_ns = KEEPER_PAUSE_NS_MIN, not_before_ns = 0;
    int64_t upkeep_ns = clock_mono_ns() + KEEPER_TICK_NS; // seals do not put it off
    enum work work;
    while (wait_for_work(st, not_before_ns, upkeep_ns, &work)) {
        if (work == WORK_SETTLE) {
            far_settle(st);
        } else if (work == WORK_UPKEEP) {
            bool finished = upkeep(st);
            upkeep_ns = clock_mono_ns() + (finished ? KEEPER_TICK_NS : 0);
        } else if (seal_oldest(st)) {
            pause_ns = KEEPER_PAUSE_NS_MIN;
            not_before_ns = 0;
        } else {
            not_before_ns = clock_mono_ns() + pause_ns;
            pause_ns = pause_ns * 2 > KEEPER_PAUSE_NS_MAX ? KEEPER_PAUSE_NS_MAX : pause_ns * 2;
        }
    }
    return NULL;
}

void keeper_start(struct store *st)
{
    assert(!st->keeper_runs);
    int rc = pthread_create(&st->keeper, NULL, keeper_main, st);
    assert(rc == 0);
    (void)pthread_setname_np(st->keeper, "keeper");
    st->keeper_runs = true;
}

void keeper_stop(struct store *st)
{
    if (!st->keeper_runs)
        return;
    pthread_mutex_lock(&st->keeper_lock);
    st->stop = true;
    pthread_cond_broadcast(&st->keeper_wake);
    pthread_mutex_unlock(&st->keeper_lock);
    pthread_join(st->keeper, NULL);
    st->keeper_runs = false;
}
