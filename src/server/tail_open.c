/* tail_open.c -- from a request to a tail that listens and has its history: see tail.h. */
#include "server/tail_state.h"

#include "base/clock.h"
#include "base/labels.h"
#include "base/limits.h"
#include "base/metric.h"
#include "query/encode.h"
#include "server/params.h"

#include <assert.h>
#include <stdlib.h>

enum { HISTORY_DEFAULT = 100, DELAY_SECONDS_MAX = 5 };

static bool read_delay(const struct params *p, int64_t *delay_ns_out, struct err *err)
{
    struct slice text = params_get(p, "delay_for");
    uint64_t seconds = 0;
    bool digits = text.len <= 9, negative = text.len > 1 && text.ptr[0] == '-';
    for (size_t i = negative; i < text.len && digits; i++) {
        digits = text.ptr[i] >= '0' && text.ptr[i] <= '9';
        seconds = seconds * 10 + (text.ptr[i] - '0');
    }
    if (!digits)
        return err_set(err, ERR_INPUT, "strconv.ParseInt: parsing \"%.*s\": invalid syntax", SLICE_FMT(text));
    if (negative || seconds > DELAY_SECONDS_MAX)
        return err_set(err, ERR_INPUT, "delay_for can't be greater than %d", DELAY_SECONDS_MAX);
    *delay_ns_out = (int64_t)seconds * NS_PER_S;
    return true;
}

// Puts the tail on the list. A refused one hears nothing there; ERR_LIMIT makes it one.
static bool start_listening(struct tails *all, struct tail *t, struct err *err)
{
    (void)pthread_mutex_lock(&all->lock);
    bool room = t->refused || (all->listening < SERVER_TAILS_MAX && !all->stop);
    t->refused = t->refused || !room;
    t->counted = !t->refused;
    if (all->feed == NULL)
        all->feed = store_feed_new(all->app->store);
    t->next = all->first;
    all->first = t;
    all->count++;
    all->listening += t->counted;
    metric_set(GAUGE_TAILS, all->listening);
    (void)pthread_mutex_unlock(&all->lock);
    tails_wake(all);
    return room || err_set(err, ERR_LIMIT, "max concurrent tail requests limit exceeded, count > limit (%u > %u)",
                           (unsigned)SERVER_TAILS_MAX + 1, (unsigned)SERVER_TAILS_MAX);
}

// The newest entries since `start`, oldest first, as pending ones. Up to now at least: what became visible before the tail
// listened is history, also what was pushed after the request came.
static bool read_history(struct tail *t, const struct request *rq, struct query_range *range, struct err *err)
{
    int64_t now_ns = clock_wall_ns();
    range->to_ns = range->to_ns > now_ns ? range->to_ns : now_ns;
    struct query_context context = {.store = t->tails->app->store, .crew = t->tails->app->crew, .tenant = rq->tenant,
                                    .arena = rq->arena, .categorize = true, .cancelled = rq->cancelled,
                                    .deadline_mono_ns = rq->arrival_mono_ns + t->tails->app->config->query_timeout_ns};
    struct query_result r;
    if (!query_run(t->query, range, &context, &r, err))
        return false;
    size_t count = 0;
    for (uint32_t i = 0; i < r.streams_count; i++)
        count += r.streams[i].entries_count;
    struct hash128 *hashes = malloc((count + 1) * sizeof *hashes);
    assert(hashes != NULL);
    (void)pthread_mutex_lock(&t->tails->lock);
    // What arrived since is behind the history; what of it the history holds was given by it.
    struct pending *since = t->first;
    t->first = t->last = NULL;
    count = 0;
    for (uint32_t i = 0; i < r.streams_count; i++)
        for (uint32_t n = r.streams[i].entries_count; n-- > 0;) {
            const struct result_entry *e = &r.streams[i].entries[n];
            struct query_entry entry = {.labels = r.streams[i].labels, .time_ns = e->time_ns, .line = e->line,
                                        .metadata = e->metadata, .parsed = e->parsed};
            struct slice labels = query_entry_labels(entry.labels, e->metadata, e->parsed, rq->arena);
            if (labels.ptr == NULL)
                continue;
            hashes[count++] = tail_hash(labels, e->time_ns, e->line);
            tail_add_pending(t, &entry, labels, SIZE_MAX);
        }
    qsort(hashes, count, sizeof *hashes, tail_by_hash);
    t->history = hashes;
    t->history_count = count;
    while (tail_put_frame(t, INT64_MAX))
        continue;
    t->live = true;
    for (struct pending *p = since, *next; p != NULL; p = next) {
        next = p->next;
        p->next = NULL;
        if (tail_was_given(t, p->hash)) {
            tail_take_pending(t, p);
            continue;
        }
        *(t->last != NULL ? &t->last->next : &t->first) = p;
        t->last = p;
    }
    (void)pthread_mutex_unlock(&t->tails->lock);
    return true;
}

static bool read_request(struct tail *t, const struct request *rq, struct query_range *range, struct err *err)
{
    struct params p;
    struct params_range times;
    range->limit = HISTORY_DEFAULT;
    if (!params_read(rq, &p, err) || !params_range(&p, clock_wall_ns(), &times, err) ||
        !params_count(&p, "limit", &range->limit, err) || !read_delay(&p, &t->delay_ns, err))
        return false;
    struct slice text = arena_copy(&t->arena, params_get(&p, "query"));
    t->tenant = arena_copy(&t->arena, rq->tenant);
    t->flags = rq->encoding_flags.len > 0 ? arena_copy(&t->arena, rq->encoding_flags) : (struct slice){0};
    t->categorize = !t->legacy && slice_lists(t->flags, ',', SLICE("categorize-labels"));
    range->from_ns = times.from_ns;
    range->to_ns = times.to_ns;
    return query_parse(text, &t->arena, &t->query, err);
}

// What is told by a close frame, since browsers show its reason but not the body of a refused handshake.
static bool check_tail(const struct tail *t, const struct query_range *range, struct err *err)
{
    if (range->from_ns > clock_wall_ns())
        return err_set(err, ERR_INPUT, "the start of a tail lies in the future");
    return query_kind(t->query) == QUERY_LOGS || err_set(err, ERR_INPUT, "only log selector is supported");
}

static void refuse(struct tail *t, const struct err *why)
{
    (void)pthread_mutex_lock(&t->tails->lock);
    t->refused = true;
    tail_start_close(t, WS_INTERNAL, slice_cstr(why->text));
    (void)pthread_mutex_unlock(&t->tails->lock);
}

bool tail_open(struct tails *all, const struct request *rq, bool legacy, struct tail **tail_out, struct err *err)
{
    struct tail *t = calloc(1, sizeof *t);
    assert(t != NULL);
    *t = (struct tail){.tails = all, .legacy = legacy, .fd = -1,
                       .ends_mono_ns = clock_mono_ns() + all->app->config->tail_ns};
    arena_init(&t->arena, QUERY_ARENA_BYTES_MAX);
    buf_init(&t->dropped, 0);
    buf_init(&t->in, 0);
    buf_init(&t->out, 0);
    struct query_range range = {0};
    if (!read_request(t, rq, &range, err)) {
        tail_free(t);
        return false;
    }
    t->refused = !check_tail(t, &range, err);
    if (!start_listening(all, t, err) || t->refused || !read_history(t, rq, &range, err))
        refuse(t, err);
    *tail_out = t;
    return true;
}
