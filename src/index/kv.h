/*
 * kv.h -- the door to LMDB: one environment, named tables, sticky transactions.
 *
 * A transaction carries its first failure: later calls do nothing and kv_commit() becomes an abort, so
 * callers read top to bottom and check once. Absence is not a failure. Pointers into values die with the
 * transaction, and in a write transaction with the next put.
 *
 * Threads: one writer at a time (the caller sees to it), on one thread from begin to commit. Readers: a
 * transaction may move between threads but is used by one at a time (MDB_NOTLS).
 */
#pragma once

#include "base/attr.h"
#include "base/err.h"
#include "base/slice.h"

#include <lmdb.h>

enum kv_table {
    KV_META,       // name -> bytes
    KV_TENANTS,    // tenant name -> namespace
    KV_STREAM_IDS, // namespace, fingerprint -> stream id
    KV_STREAMS,    // namespace, stream id -> labels
    KV_POSTINGS,   // namespace, label pair -> stream ids (fixed-size duplicates)
    KV_LONG_PAIRS, // namespace, hash of label pair -> the pair, where it is too long for a key
    KV_DAYS,       // namespace, UTC day, label pair -> nothing
    KV_RUNS,       // namespace, generation, stream id -> runs
    KV_SEGMENTS,   // generation -> totals
    KV_TRACES,     // namespace, component -> prefixes of trace hashes, in pages (traces.h)
    KV_PLACES,     // generation -> where its bytes are, or since when an object has to go
    KV_TABLES_COUNT,
};

struct kv;

enum kv_mode {
    KV_WRITE,   // created if need be; the only writer
    KV_SCRATCH, // likewise, a throw-away one, never synced
    KV_READ,    // must exist; beside a writer in another process
};
// Opens the environment in directory `path`.
MUST_CHECK bool kv_open(const char *path, enum kv_mode mode, struct kv **kv_out, struct err *err);
void kv_close(struct kv *kv); // no transaction may be open; NULL is fine

// A compact copy of one commit in a new file. Any thread.
MUST_CHECK bool kv_copy(struct kv *kv, const char *path, struct err *err);

struct kv_txn {
    struct kv *kv;
    MDB_txn *handle; // NULL once ended
    int rc;          // first failure, 0 while good
    const char *what; // the call that failed
};

MUST_CHECK bool kv_begin(struct kv *kv, bool write, struct kv_txn *txn_out, struct err *err);
// Commits, or aborts after a failure. The transaction is over either way.
MUST_CHECK bool kv_commit(struct kv_txn *txn, struct err *err);
void kv_abort(struct kv_txn *txn); // ended ones are fine
// False with the first failure's code and text.
MUST_CHECK bool kv_ok(const struct kv_txn *txn, struct err *err);

// The caller cannot read a row of this: the transaction fails, with ERR_CORRUPT.
void kv_broken(struct kv_txn *txn, const char *what);
// A value of a read transaction that lies on pages of its own is about to be read: the disk is asked for them, not waited for.
void kv_will_read(struct slice value);

// False when absent (or the transaction failed).
bool kv_get(struct kv_txn *txn, enum kv_table table, struct slice key, struct slice *value_out);
void kv_put(struct kv_txn *txn, enum kv_table table, struct slice key, struct slice value);
// Does nothing when the key (or, among duplicates, the pair) is there already.
void kv_put_new(struct kv_txn *txn, enum kv_table table, struct slice key, struct slice value);
void kv_del(struct kv_txn *txn, enum kv_table table, struct slice key); // absent is fine
void kv_del_dup(struct kv_txn *txn, enum kv_table table, struct slice key, struct slice value); // one duplicate
uint64_t kv_entries(struct kv_txn *txn, enum kv_table table);

struct kv_cursor {
    struct kv_txn *txn;
    MDB_cursor *handle;
    struct slice key;   // where the cursor stands
    struct slice value;
};

void kv_cursor_open(struct kv_txn *txn, enum kv_table table, struct kv_cursor *c);
void kv_cursor_close(struct kv_cursor *c); // before the transaction ends
static inline void kv_cursor_closep(struct kv_cursor *c)
{
    kv_cursor_close(c);
}
// First key >= `key`. False at the end.
bool kv_seek(struct kv_cursor *c, struct slice key);
// Exactly `key`, at its first duplicate.
bool kv_find(struct kv_cursor *c, struct slice key);
bool kv_last(struct kv_cursor *c);
bool kv_next(struct kv_cursor *c);
bool kv_next_key(struct kv_cursor *c); // past the duplicates
void kv_cursor_del(struct kv_cursor *c); // what it stands on; then kv_next()
// After kv_find(): a page full of fixed-size duplicates, then the following ones.
bool kv_dups(struct kv_cursor *c, struct slice *dups_out);
bool kv_next_dups(struct kv_cursor *c, struct slice *dups_out);
uint64_t kv_dups_count(struct kv_cursor *c);
