/* pool.c -- see pool.h. */
#include "server/pool.h"

#include "base/queue.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

struct pool {
    struct queue *queue;
    size_t arena_bytes_max;
    void (*work)(void *item, struct arena *arena);
    unsigned threads_count;
    pthread_t threads[];
};

static void *worker_main(void *arg)
{
    struct pool *pool = arg;
    struct arena arena;
    arena_init(&arena, pool->arena_bytes_max);
    for (void *item = queue_pop(pool->queue); item != NULL; item = queue_pop(pool->queue)) {
        pool->work(item, &arena);
        arena_reset(&arena);
    }
    arena_done(&arena);
    return NULL;
}

struct pool *pool_new(const char *name, unsigned threads, size_t items_max, size_t arena_bytes_max,
                      void (*work)(void *item, struct arena *arena))
{
    struct pool *pool = calloc(1, sizeof *pool + threads * sizeof pool->threads[0]);
    assert(pool != NULL);
    pool->queue = queue_new(items_max);
    pool->arena_bytes_max = arena_bytes_max;
    pool->work = work;
    pool->threads_count = threads;
    for (unsigned i = 0; i < threads; i++) {
        int rc = pthread_create(&pool->threads[i], NULL, worker_main, pool);
        assert(rc == 0);
        (void)pthread_setname_np(pool->threads[i], name);
    }
    return pool;
}

bool pool_add(struct pool *pool, void *item)
{
    return queue_push(pool->queue, item);
}

void pool_stop(struct pool *pool)
{
    queue_close(pool->queue);
    for (unsigned i = 0; i < pool->threads_count; i++)
        (void)pthread_join(pool->threads[i], NULL);
}

void pool_free(struct pool *pool)
{
    if (pool == NULL)
        return;
    queue_free(pool->queue);
    free(pool);
}
