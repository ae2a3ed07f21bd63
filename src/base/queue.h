/*
 * queue.h -- a bounded queue of pointers between threads.
 *
 * queue_push() refuses when full (the caller answers "busy"); queue_pop() waits. After queue_close()
 * pushes are refused and pops drain what is left, then return NULL. Pointers are never NULL.
 */
#pragma once

#include "base/attr.h"

#include <stdbool.h>
#include <stddef.h>

struct queue;

struct queue *queue_new(size_t items_max); // aborts when out of memory
void queue_free(struct queue *q);          // must be empty and without waiters
MUST_CHECK bool queue_push(struct queue *q, void *item);
void *queue_pop(struct queue *q);
void queue_close(struct queue *q);
size_t queue_count(struct queue *q);
