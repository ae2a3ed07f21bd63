/*
 * pool.h -- a fixed number of worker threads behind a bounded queue; each owns an arena, emptied between
 * items.
 */
#pragma once

#include "base/arena.h"
#include "base/attr.h"

#include <stdbool.h>

struct pool;

// `name` shows in thread lists (15 characters). Aborts when threads cannot be made.
struct pool *pool_new(const char *name, unsigned threads, size_t items_max, size_t arena_bytes_max,
                      void (*work)(void *item, struct arena *arena));
// False when the queue is full or closed.
MUST_CHECK bool pool_add(struct pool *pool, void *item);
// Lets the threads finish what is queued, then ends them; later items are refused.
void pool_stop(struct pool *pool);
void pool_free(struct pool *pool); // after pool_stop(); NULL is fine
