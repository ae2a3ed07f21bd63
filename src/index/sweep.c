/*
 * sweep.c -- takes out of the index what no segment names any more; see index_sweep().
 *
 * A piece is a stretch of stream IDs of one namespace: the rows of every segment in that stretch are walked, and what none of
 * them names goes. IDs are not given again (I2).
 */
#include "index/index.h"
#include "index/keys.h"
#include "index/state.h"

#include <assert.h>
#include <stdlib.h>

enum { SWEEP_STREAMS = 2048, SWEEP_DAYS = 4096 };

struct piece {
    struct kv_txn txn;
    uint32_t ns;
    uint64_t ids[SWEEP_STREAMS];
    bool named[SWEEP_STREAMS];
    size_t count;
};

static struct slice key_of(struct key *k, uint32_t ns, uint64_t id)
{
    key_start(k);
    key_u32(k, ns);
    key_u64(k, id);
    return key_slice(k);
}

// The next stretch of stream IDs at or behind (ns, from).
static void list_streams(struct piece *p, uint32_t ns, uint64_t from)
{
    AUTO(kv_cursor_closep) struct kv_cursor c;
    struct key k;
    kv_cursor_open(&p->txn, KV_STREAMS, &c);
    for (bool more = kv_seek(&c, key_of(&k, ns, from)); more && p->count < SWEEP_STREAMS; more = kv_next(&c)) {
        if (c.key.len != 12 || (p->count > 0 && be_u32(c.key.ptr) != p->ns))
            return;
        p->ns = be_u32(c.key.ptr);
        p->ids[p->count++] = be_u64(c.key.ptr + 4);
    }
}

static void note_named(struct piece *p, uint64_t id)
{
    size_t low = 0, high = p->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (p->ids[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < p->count && p->ids[low] == id)
        p->named[low] = true;
}

// Walks one segment's rows of the stretch.
static void walk_rows(struct piece *p, struct kv_cursor *c, uint64_t gen)
{
    struct key prefix, k;
    (void)key_of(&prefix, p->ns, gen);
    k = prefix;
    key_u64(&k, p->ids[0]);
    for (bool more = kv_seek(c, key_slice(&k)); more && c->key.len == prefix.len + 8 && slice_starts(c->key, key_slice(&prefix));
         more = kv_next(c)) {
        uint64_t id = be_u64(c->key.ptr + prefix.len);
        if (id > p->ids[p->count - 1])
            return;
        note_named(p, id);
    }
}

static void find_named(struct piece *p)
{
    AUTO(kv_cursor_closep) struct kv_cursor segments;
    AUTO(kv_cursor_closep) struct kv_cursor rows;
    kv_cursor_open(&p->txn, KV_SEGMENTS, &segments);
    kv_cursor_open(&p->txn, KV_RUNS, &rows);
    for (bool more = kv_seek(&segments, SLICE("\0")); more; more = kv_next(&segments))
        if (segments.key.len == 8)
            walk_rows(p, &rows, be_u64(segments.key.ptr));
}

static void remove_postings(struct piece *p, struct slice labels, uint64_t id)
{
    uint8_t id_bytes[8];
    struct label l;
    be_put_u64(id_bytes, id);
    for (struct labels_walk w = labels_walk(labels); labels_next(&w, &l);) {
        struct key k;
        struct slice any;
        key_start(&k);
        key_u32(&k, p->ns);
        key_pair(&k, l.name, l.value);
        kv_del_dup(&p->txn, KV_POSTINGS, key_slice(&k), slice_of(id_bytes, sizeof id_bytes));
        if (pair_is_long(l.name, l.value) && !kv_get(&p->txn, KV_POSTINGS, key_slice(&k), &any))
            kv_del(&p->txn, KV_LONG_PAIRS, key_slice(&k));
    }
}

static void remove_stream(struct piece *p, uint64_t id)
{
    struct key k, fingerprint;
    struct slice labels;
    if (!kv_get(&p->txn, KV_STREAMS, key_of(&k, p->ns, id), &labels))
        return;
    // A copy: what a transaction reads is gone with its next change.
    uint8_t *bytes = malloc(labels.len + 1);
    assert(bytes != NULL);
    memcpy(bytes, labels.ptr, labels.len);
    labels.ptr = bytes;
    struct hash128 hash = hash_128(labels);
    key_start(&fingerprint);
    key_u32(&fingerprint, p->ns);
    key_u64(&fingerprint, hash.hi);
    key_u64(&fingerprint, hash.lo);
    kv_del(&p->txn, KV_STREAM_IDS, key_slice(&fingerprint));
    kv_del(&p->txn, KV_STREAMS, key_slice(&k));
    remove_postings(p, labels, id);
    free(bytes);
}

static void sweep_streams(struct piece *p, struct index_sweep *s)
{
    list_streams(p, s->ns, s->stream);
    if (p->count == 0) {
        s->days = true;
        s->ns = 0;
        return;
    }
    find_named(p);
    for (size_t i = 0; i < p->count && p->txn.rc == 0; i++)
        if (!p->named[i]) {
            remove_stream(p, p->ids[i]);
            s->streams_removed++;
        }
    s->ns = p->ns;
    s->stream = p->ids[p->count - 1] + 1;
}

// Rows of days before the first that anything is of, namespace by namespace.
static void sweep_days(struct piece *p, struct index_sweep *s, uint32_t day_first)
{
    AUTO(kv_cursor_closep) struct kv_cursor c;
    struct key k;
    kv_cursor_open(&p->txn, KV_DAYS, &c);
    for (size_t n = 0; n < SWEEP_DAYS; n++) {
        key_start(&k);
        key_u32(&k, s->ns);
        if (!kv_seek(&c, key_slice(&k)) || c.key.len < 8) {
            s->done = true;
            return;
        }
        s->ns = be_u32(c.key.ptr);
        if (be_u32(c.key.ptr + 4) >= day_first) {
            s->ns++;
            continue;
        }
        kv_cursor_del(&c);
        s->days_removed++;
    }
}

bool index_sweep(struct index *index, struct index_sweep *sweep, uint32_t day_first, struct err *err)
{
    struct piece *p = calloc(1, sizeof *p);
    assert(p != NULL);
    struct index_sweep next = *sweep;
    bool good = kv_begin(index->kv, true, &p->txn, err);
    if (good && !next.days)
        sweep_streams(p, &next);
    else if (good)
        sweep_days(p, &next, day_first);
    bool any = next.streams_removed + next.days_removed > sweep->streams_removed + sweep->days_removed;
    if (good && any)
        good = kv_commit(&p->txn, err);
    else if (good) {
        good = kv_ok(&p->txn, err);
        kv_abort(&p->txn);
    }
    free(p);
    if (good)
        *sweep = next;
    return good;
}
