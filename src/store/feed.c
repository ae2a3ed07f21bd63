/*
 * feed.c -- see store.h "what arrives".
 *
 * The feed keeps a reference to each head that it has not read to its end. A head is complete when a newer one was
 * opened: appends share gen_lock, opening takes it alone.
 */
#include "base/limits.h"
#include "store/state.h"

#include <assert.h>
#include <stdlib.h>

struct store_feed {
    struct store *store;
    uint32_t pos; // in the first head
    pthread_mutex_t lock; // heads: the reader takes them off, whoever opens a generation adds
    struct head **heads;  // owned, with a reference each; oldest first
    size_t count, room;
};

struct store_feed *store_feed_new(struct store *st)
{
    struct store_feed *f = calloc(1, sizeof *f);
    assert(f != NULL);
    f->store = st;
    (void)pthread_mutex_init(&f->lock, NULL);
    pthread_rwlock_wrlock(&st->gen_lock);
    assert(st->feed == NULL);
    st->feed = f;
    if (st->head != NULL) {
        feed_add_head(f, st->head);
        f->pos = head_arrivals_count(st->head);
    }
    pthread_rwlock_unlock(&st->gen_lock);
    return f;
}

void store_feed_free(struct store_feed *f)
{
    if (f == NULL)
        return;
    pthread_rwlock_wrlock(&f->store->gen_lock);
    f->store->feed = NULL;
    pthread_rwlock_unlock(&f->store->gen_lock);
    for (size_t i = 0; i < f->count; i++)
        head_unref(f->heads[i]);
    free(f->heads);
    (void)pthread_mutex_destroy(&f->lock);
    free(f);
}

void feed_add_head(struct store_feed *f, struct head *head)
{
    (void)pthread_mutex_lock(&f->lock);
    if (f->count == f->room) {
        f->room = f->room == 0 ? 4 : f->room * 2;
        f->heads = realloc(f->heads, f->room * sizeof *f->heads);
        assert(f->heads != NULL);
    }
    f->heads[f->count++] = head_ref(head);
    (void)pthread_mutex_unlock(&f->lock);
}

// The head to read from; *complete_out: nothing will be added to it. *lags_out: too much is behind it.
static struct head *first_head(struct store_feed *f, bool *complete_out, bool *lags_out)
{
    (void)pthread_mutex_lock(&f->lock);
    struct head *head = f->count > 0 ? f->heads[0] : NULL;
    *complete_out = f->count > 1;
    uint64_t bytes = 0;
    for (size_t i = 0; i < f->count && *complete_out; i++) {
        struct head_stats stats;
        head_stats(f->heads[i], &stats);
        bytes += stats.bytes;
    }
    *lags_out = bytes > STORE_FEED_HEADS_MAX * f->store->options.head_bytes_max;
    (void)pthread_mutex_unlock(&f->lock);
    return head;
}

static void drop_first(struct store_feed *f)
{
    (void)pthread_mutex_lock(&f->lock);
    struct head *head = f->heads[0];
    memmove(f->heads, f->heads + 1, --f->count * sizeof *f->heads);
    (void)pthread_mutex_unlock(&f->lock);
    head_unref(head);
    f->pos = 0;
}

size_t store_feed_read(struct store_feed *f, struct store_arrival *out, size_t room, uint64_t *missed_out)
{
    *missed_out = 0;
    for (;;) {
        bool complete, lags;
        struct head *head = first_head(f, &complete, &lags);
        if (lags) {
            *missed_out += head_arrivals_count(head) - f->pos;
            drop_first(f);
            continue;
        }
        uint32_t count = head == NULL ? 0 : head_arrivals(head, f->pos, out, room > UINT32_MAX ? UINT32_MAX : (uint32_t)room);
        f->pos += count;
        if (count > 0 || !complete)
            return count;
        drop_first(f);
    }
}
