/*
 * crew.h -- the threads that queries share: the tasks of one query run on all cores, and where several
 * queries run, their tasks take turns.
 *
 * The calling thread works on its own tasks in any case, so a query goes on whatever the others do.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct crew;

// `helpers` threads beside those that call. crew_free(NULL) is fine; no run may be under way.
struct crew *crew_new(unsigned helpers);
void crew_free(struct crew *crew);
// One helper less than there are processors that this process may use.
unsigned crew_helpers_default(void);
// How many may work on one run, the caller included. NULL: 1.
unsigned crew_workers(const struct crew *crew);

// Runs work(ctx, worker, task) for each task from 0 on, started in this order, with worker <
// crew_workers(); at no moment two with the same worker. When one returns false no further ones are started.
// Returns when all that were started have ended. Any thread.
void crew_run(struct crew *crew, uint32_t tasks, bool (*work)(void *ctx, unsigned worker, uint32_t task),
              void *ctx);
