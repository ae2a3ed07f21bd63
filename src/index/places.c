/* places.c -- see places.h. An entry is: u8 where, i64 time at which the segment was taken out (0: it is live). */
#include "index/places.h"

#include "base/clock.h"
#include "base/codec.h"
#include "index/keys.h"
#include "index/state.h"

static void key_of(struct key *k, uint64_t gen)
{
    key_start(k);
    key_u64(k, gen);
}

static bool get(struct kv_txn *txn, uint64_t gen, unsigned *where_out, int64_t *gone_ns_out)
{
    struct key k;
    struct slice v;
    key_of(&k, gen);
    if (!kv_get(txn, KV_PLACES, key_slice(&k), &v))
        return false;
    struct rd r = rd_of(v);
    *where_out = rd_u8(&r);
    *gone_ns_out = rd_i64(&r);
    return !r.bad;
}

static void put(struct kv_txn *txn, uint64_t gen, unsigned where, int64_t gone_ns)
{
    struct key k;
    key_of(&k, gen);
    AUTO(buf_done) struct buf row;
    buf_init(&row, 0);
    put_u8(&row, (uint8_t)where);
    put_i64(&row, gone_ns);
    kv_put(txn, KV_PLACES, key_slice(&k), buf_slice(&row));
}

static void del(struct kv_txn *txn, uint64_t gen)
{
    struct key k;
    key_of(&k, gen);
    kv_del(txn, KV_PLACES, key_slice(&k));
}

void places_put(struct kv_txn *txn, uint64_t gen, unsigned where)
{
    if ((where & (INDEX_IN_BUCKET | INDEX_TO_BUCKET)) != 0)
        put(txn, gen, where, 0);
    else
        del(txn, gen);
}

void places_drop(struct kv_txn *txn, uint64_t gen)
{
    unsigned where;
    int64_t gone_ns;
    if (get(txn, gen, &where, &gone_ns) && gone_ns == 0)
        put(txn, gen, where, clock_wall_ns());
}

void places_fill(struct kv_txn *txn, struct index_segment *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        unsigned where;
        int64_t gone_ns;
        rows[i].where = get(txn, rows[i].gen, &where, &gone_ns) && gone_ns == 0 ? where : INDEX_IN_FILE;
    }
}

bool index_set_where(struct index *index, const uint64_t *gens, const unsigned *wheres, size_t count, struct err *err)
{
    struct kv_txn txn;
    if (!kv_begin(index->kv, true, &txn, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct key k;
        struct slice row;
        key_of(&k, gens[i]);
        if (kv_get(&txn, KV_SEGMENTS, key_slice(&k), &row))
            places_put(&txn, gens[i], wheres[i]);
        else // taken out meanwhile: the object has to go
            put(&txn, gens[i], wheres[i], clock_wall_ns());
    }
    return kv_commit(&txn, err);
}

bool index_add_gone(struct index *index, uint64_t gen, struct err *err)
{
    struct kv_txn txn;
    if (!kv_begin(index->kv, true, &txn, err))
        return false;
    put(&txn, gen, INDEX_IN_BUCKET, clock_wall_ns());
    return kv_commit(&txn, err);
}

bool index_clear_gone(struct index *index, const uint64_t *gens, size_t count, struct err *err)
{
    struct kv_txn txn;
    if (!kv_begin(index->kv, true, &txn, err))
        return false;
    for (size_t i = 0; i < count; i++)
        del(&txn, gens[i]);
    return kv_commit(&txn, err);
}

bool index_gone(struct index_read *read, struct arena *a, struct index_gone **gone_out, size_t *count_out, struct err *err)
{
    AUTO(kv_cursor_closep) struct kv_cursor c;
    kv_cursor_open(&read->txn, KV_PLACES, &c);
    struct index_gone *items = NULL;
    size_t count = 0, room = 0;
    for (bool more = kv_seek(&c, SLICE("\0")); more; more = kv_next(&c)) {
        struct rd r = rd_of(c.value);
        (void)rd_u8(&r);
        int64_t gone_ns = rd_i64(&r);
        if (r.bad || c.key.len != 8)
            return err_set(err, ERR_CORRUPT, "index: the place of a segment cannot be read");
        if (gone_ns == 0)
            continue;
        if (!arena_grow(a, (void **)&items, sizeof *items, count, &room))
            return arena_ok(a, "list of objects to remove", err);
        items[count++] = (struct index_gone){be_u64(c.key.ptr), gone_ns};
    }
    *gone_out = items;
    *count_out = count;
    return kv_ok(&read->txn, err);
}

bool index_copy(struct index *index, const char *path, struct err *err)
{
    return kv_copy(index->kv, path, err);
}
