/* plan.c -- what upkeep would take away, for people: see store.h. The rules are those of retain.c and compact.c. */
#include "base/clock.h"
#include "base/limits.h"
#include "store/retain.h"
#include "store/state.h"

#include <assert.h>
#include <stdlib.h>

static int by_last(const void *a, const void *b)
{
    int64_t x = index_segment_last_ns(&(*(const struct manifest_segment *const *)a)->row);
    int64_t y = index_segment_last_ns(&(*(const struct manifest_segment *const *)b)->row);
    return (x > y) - (x < y);
}

// From when on something that has to be done after `due_ns` is done.
static int64_t not_before(int64_t due_ns, int64_t now_ns)
{
    return due_ns < now_ns ? INT64_MIN : due_ns;
}

static bool plan_segment(const struct store *st, const struct manifest_segment *s, int64_t now_ns, struct store_plan *out,
                         struct err *err)
{
    struct lifetime l;
    if (!lifetime_of(&st->options.retention, s, &l, err))
        return false;
    *out = (struct store_plan){.generation = s->row.gen,
                               .entries = s->row.entries,
                               .spans = s->row.spans,
                               .file_bytes = s->row.file_bytes,
                               .first_ns = index_segment_first_ns(&s->row),
                               .last_ns = index_segment_last_ns(&s->row)};
    int64_t rewritten_ns = l.begins_ns > INT64_MAX - COMPACT_SLACK_NS ? INT64_MAX : l.begins_ns + COMPACT_SLACK_NS;
    bool first = l.ends_ns == INT64_MAX || l.ends_ns - rewritten_ns > COMPACT_SLACK_NS; // else it goes whole by then
    if (rewritten_ns != INT64_MAX && first && l.ends_ns >= now_ns) {
        out->fate = FATE_REWRITTEN;
        out->at_ns = not_before(rewritten_ns, now_ns);
        out->rule = l.begins_by;
    } else if (l.ends_ns != INT64_MAX) {
        out->fate = FATE_DROPPED;
        out->at_ns = not_before(l.ends_ns, now_ns);
        out->rule = l.ends_by;
    }
    return true;
}

// The oldest go until what is left fits; the last one stays.
static void plan_evictions(const struct store *st, struct store_plan *plans, uint32_t count)
{
    uint64_t bytes = 0;
    uint32_t left = 0;
    for (uint32_t i = 0; i < count; i++) {
        bool stays = plans[i].fate != FATE_DROPPED || plans[i].at_ns != INT64_MIN;
        bytes += stays ? plans[i].file_bytes : 0;
        left += stays;
    }
    for (uint32_t i = 0; i < count && st->options.disk_bytes_max > 0 && bytes > st->options.disk_bytes_max && left > 1; i++) {
        if (plans[i].fate == FATE_DROPPED && plans[i].at_ns == INT64_MIN)
            continue;
        plans[i].fate = FATE_EVICTED;
        plans[i].at_ns = INT64_MIN;
        bytes -= plans[i].file_bytes;
        left--;
    }
}

bool store_plan(struct store *st, bool (*visit)(void *ctx, const struct store_plan *plan, struct err *err), void *ctx,
                struct err *err)
{
    struct manifest *m = store_manifest(st);
    const struct manifest_segment **order = calloc(m->segments_count + 1, sizeof(struct manifest_segment *));
    struct store_plan *plans = calloc(m->segments_count + 1, sizeof *plans);
    assert(order != NULL && plans != NULL);
    for (uint32_t i = 0; i < m->segments_count; i++)
        order[i] = &m->segments[i];
    qsort(order, m->segments_count, sizeof(struct manifest_segment *), by_last);
    bool good = true;
    int64_t now_ns = clock_wall_ns();
    for (uint32_t i = 0; i < m->segments_count && good; i++)
        good = plan_segment(st, order[i], now_ns, &plans[i], err);
    if (good)
        plan_evictions(st, plans, m->segments_count);
    for (uint32_t i = 0; i < m->segments_count && good; i++)
        good = visit(ctx, &plans[i], err);
    free(order);
    free(plans);
    manifest_unref(m);
    return good;
}
