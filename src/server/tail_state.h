/*
 * tail_state.h -- what tail.c, which serves tails, and tail_open.c, which makes them, share.
 */
#pragma once

#include "server/tail.h"

#include "base/hash.h"
#include "server/ws.h"

#include <pthread.h>

struct pending {
    struct pending *next; // by time
    int64_t time_ns;
    struct hash128 hash; // of what is given
    size_t bytes; // of this allocation
    size_t labels_len, line_len;
    char text[]; // labels as JSON (with categories behind, in their flag's form), then the line as JSON
};

struct tail {
    struct tail *next;
    struct tails *tails;
    struct arena arena; // of the query
    struct query *query;
    struct slice tenant;
    struct slice flags; // encoding flags of the request
    bool categorize, legacy, live; // live: the history is written
    bool refused;                  // gets a close frame that says why, and nothing else
    bool counted;                  // in tails.listening
    bool selects;                  // the stream of the arrival in hand
    int64_t delay_ns, ends_mono_ns;
    struct hash128 *history; // sorted; what was given already
    size_t history_count;
    struct pending *first, *last;
    size_t pending_bytes;
    struct buf dropped; // members of dropped_entries
    unsigned dropped_told;
    // The socket.
    int fd; // -1: not connected
    void (*closed)(void *ctx);
    void *closed_ctx;
    struct buf in, out;
    size_t sent; // of out
    struct ws_reader reader;
    int64_t pinged_mono_ns, closing_mono_ns; // closing: when the close frame was written; 0: not
    bool gone;
};

struct tails {
    const struct app *app;
    pthread_t thread;
    int wake; // eventfd
    pthread_mutex_t lock;
    struct tail *first;
    unsigned count;       // on the list
    unsigned listening;   // those not refused, against SERVER_TAILS_MAX
    size_t pending_bytes; // of all tails
    size_t pending_bytes_max;
    struct store_feed *feed; // while there are tails
    struct query_space *space; // the thread's
    struct arena scratch;      // likewise; of the entry in hand
    bool stuck;  // no client takes more at the moment
    bool behind; // there was more to read than time
    bool stop;
};

// With the lock, or before the tail is on the list.
void tail_free(struct tail *t); // the list holds it no more
void tails_wake(struct tails *t);
// Identity of what a client is given.
struct hash128 tail_hash(struct slice labels, int64_t time_ns, struct slice line);
int tail_by_hash(const void *a, const void *b); // for qsort()
bool tail_was_given(const struct tail *t, struct hash128 hash);
// Puts an entry among the pending ones, by time; tells it as dropped when they would pass bytes_max, or those of all
// tails their maximum.
void tail_add_pending(struct tail *t, const struct query_entry *e, struct slice labels, size_t bytes_max);
// One frame of what is due. False when nothing is.
bool tail_put_frame(struct tail *t, int64_t until_ns);
// An entry is pending no more.
void tail_take_pending(struct tail *t, struct pending *p);
void tail_start_close(struct tail *t, enum ws_code code, struct slice reason);
