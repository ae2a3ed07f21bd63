/* queue.c -- a bounded queue of pointers between threads; see queue.h. */
#include "base/queue.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    void **items;  // lock; a ring of `room`
    size_t room;   // constant
    size_t first;  // lock
    size_t count;  // lock
    bool closed;   // lock
};

struct queue *queue_new(size_t items_max)
{
    assert(items_max > 0);
    struct queue *q = calloc(1, sizeof *q);
    assert(q != NULL);
    q->items = calloc(items_max, sizeof *q->items);
    assert(q->items != NULL);
    q->room = items_max;
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->filled, NULL);
    return q;
}

void queue_free(struct queue *q)
{
    if (q == NULL)
        return;
    assert(q->count == 0);
    pthread_cond_destroy(&q->filled);
    pthread_mutex_destroy(&q->lock);
    free(q->items);
    free(q);
}

bool queue_push(struct queue *q, void *item)
{
    assert(item != NULL);
    pthread_mutex_lock(&q->lock);
    bool room = !q->closed && q->count < q->room;
    if (room) {
        q->items[(q->first + q->count++) % q->room] = item;
        pthread_cond_signal(&q->filled);
    }
    pthread_mutex_unlock(&q->lock);
    return room;
}

void *queue_pop(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    while (q->count == 0 && !q->closed)
        pthread_cond_wait(&q->filled, &q->lock);
    void *item = NULL;
    if (q->count > 0) {
        item = q->items[q->first];
        q->first = (q->first + 1) % q->room;
        q->count--;
    }
    pthread_mutex_unlock(&q->lock);
    return item;
}

void queue_close(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->filled);
    pthread_mutex_unlock(&q->lock);
}

size_t queue_count(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    size_t count = q->count;
    pthread_mutex_unlock(&q->lock);
    return count;
}
