/* crew.c -- see crew.h. Runs stand in a ring; a helper takes one task of the first and moves it to the end. */
#include "query/crew.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

struct run {
    uint32_t tasks, next; // next to start
    unsigned busy;        // helpers working on it
    bool (*work)(void *ctx, unsigned worker, uint32_t task);
    void *ctx;
    struct run *after;
    pthread_cond_t idle; // busy became 0
};

struct crew {
    pthread_mutex_t lock; // over everything below and in runs
    pthread_cond_t more;  // a run has tasks, or stop
    struct run *first, *last;
    bool stop;
    unsigned helpers;
    struct helper {
        struct crew *crew;
        unsigned worker;
        pthread_t thread;
    } items[];
};

static void append(struct crew *c, struct run *r)
{
    r->after = NULL;
    if (c->last != NULL)
        c->last->after = r;
    else
        c->first = r;
    c->last = r;
}

static void take_off(struct crew *c, struct run *r)
{
    struct run *before = NULL, *i = c->first;
    for (; i != NULL && i != r; i = i->after)
        before = i;
    if (i == NULL)
        return; // it was taken off when its last task was started
    *(before != NULL ? &before->after : &c->first) = r->after;
    if (c->last == r)
        c->last = before;
}

// The next task of a run; the run leaves the ring with its last one.
static uint32_t start_task(struct crew *c, struct run *r)
{
    uint32_t task = r->next++;
    take_off(c, r);
    if (r->next < r->tasks)
        append(c, r);
    return task;
}

static void stop_run(struct crew *c, struct run *r)
{
    take_off(c, r);
    r->next = r->tasks;
}

static void *helper_main(void *arg)
{
    struct helper *h = arg;
    struct crew *c = h->crew;
    (void)pthread_mutex_lock(&c->lock);
    for (;;) {
        while (c->first == NULL && !c->stop)
            (void)pthread_cond_wait(&c->more, &c->lock);
        if (c->stop)
            break;
        struct run *r = c->first;
        uint32_t task = start_task(c, r);
        r->busy++;
        (void)pthread_mutex_unlock(&c->lock);
        bool go_on = r->work(r->ctx, h->worker, task);
        (void)pthread_mutex_lock(&c->lock);
        if (!go_on)
            stop_run(c, r);
        if (--r->busy == 0)
            (void)pthread_cond_signal(&r->idle);
    }
    (void)pthread_mutex_unlock(&c->lock);
    return NULL;
}

struct crew *crew_new(unsigned helpers)
{
    struct crew *c = calloc(1, sizeof *c + helpers * sizeof c->items[0]);
    assert(c != NULL);
    c->helpers = helpers;
    (void)pthread_mutex_init(&c->lock, NULL);
    (void)pthread_cond_init(&c->more, NULL);
    for (unsigned i = 0; i < helpers; i++) {
        c->items[i] = (struct helper){.crew = c, .worker = i + 1};
        int rc = pthread_create(&c->items[i].thread, NULL, helper_main, &c->items[i]);
        assert(rc == 0);
        (void)pthread_setname_np(c->items[i].thread, "query-crew");
    }
    return c;
}

void crew_free(struct crew *c)
{
    if (c == NULL)
        return;
    (void)pthread_mutex_lock(&c->lock);
    assert(c->first == NULL);
    c->stop = true;
    (void)pthread_cond_broadcast(&c->more);
    (void)pthread_mutex_unlock(&c->lock);
    for (unsigned i = 0; i < c->helpers; i++)
        (void)pthread_join(c->items[i].thread, NULL);
    (void)pthread_cond_destroy(&c->more);
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}

unsigned crew_helpers_default(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 0;
    int count = CPU_COUNT(&set);
    return count > 1 ? (unsigned)count - 1 : 0;
}

unsigned crew_workers(const struct crew *crew)
{
    return crew == NULL ? 1 : crew->helpers + 1;
}

static void run_alone(uint32_t tasks, bool (*work)(void *ctx, unsigned worker, uint32_t task), void *ctx)
{
    for (uint32_t task = 0; task < tasks && work(ctx, 0, task); task++)
        continue;
}

void crew_run(struct crew *c, uint32_t tasks, bool (*work)(void *ctx, unsigned worker, uint32_t task),
              void *ctx)
{
    if (crew_workers(c) == 1 || tasks < 2) {
        run_alone(tasks, work, ctx);
        return;
    }
    struct run r = {.tasks = tasks, .work = work, .ctx = ctx};
    (void)pthread_cond_init(&r.idle, NULL);
    (void)pthread_mutex_lock(&c->lock);
    append(c, &r);
    (void)pthread_cond_broadcast(&c->more);
    while (r.next < r.tasks) {
        uint32_t task = start_task(c, &r);
        (void)pthread_mutex_unlock(&c->lock);
        bool go_on = work(ctx, 0, task);
        (void)pthread_mutex_lock(&c->lock);
        if (!go_on)
            stop_run(c, &r);
    }
    while (r.busy > 0)
        (void)pthread_cond_wait(&r.idle, &c->lock);
    (void)pthread_mutex_unlock(&c->lock);
    (void)pthread_cond_destroy(&r.idle);
}
