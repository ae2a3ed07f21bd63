/*
 * traces.c -- see traces.h.
 *
 *     filter    n * 64 bytes; a hash's block is (high 32 bits) * n >> 32, its bits in it are the
 * six groups of nine bits from bit 0 on, counted from the least bit of the first byte
 */
#include "index/traces.h"

#include "base/buf.h"
#include "index/keys.h"

#include <assert.h>
#include <string.h>

enum { BLOCK_BYTES = 64, BITS_PER_TRACE = 12, PROBES = 6, PROBE_BITS = 9 };

static uint8_t *block_of(uint8_t *filter, size_t bytes, uint64_t hash)
{
    return filter + ((hash >> 32) * (bytes / BLOCK_BYTES) >> 32) * BLOCK_BYTES;
}

static uint32_t probe(uint64_t hash, int i)
{
    return (uint32_t)(hash >> (i * PROBE_BITS)) & ((1u << PROBE_BITS) - 1);
}

static void key_of(struct key *k, uint32_t ns, uint64_t gen)
{
    key_start(k);
    key_u32(k, ns);
    key_u64(k, gen);
}

void traces_put(struct kv_txn *txn, uint32_t ns, uint64_t gen, const struct index_traces *traces)
{
    if (traces->count == 0)
        return;
    size_t bytes =
        (traces->count * BITS_PER_TRACE + BLOCK_BYTES * 8 - 1) / (BLOCK_BYTES * 8) * BLOCK_BYTES;
    AUTO(buf_done) struct buf filter;
    buf_init(&filter, 0);
    uint8_t *p = buf_reserve(&filter, bytes);
    assert(p != NULL);
    memset(p, 0, bytes);
    for (size_t i = 0; i < traces->count; i++) {
        uint8_t *block = block_of(p, bytes, traces->hashes[i]);
        for (int n = 0; n < PROBES; n++) {
            uint32_t bit = probe(traces->hashes[i], n);
            block[bit / 8] |= (uint8_t)(1u << bit % 8);
        }
    }
    struct key k;
    key_of(&k, ns, gen);
    kv_put(txn, KV_TRACES, key_slice(&k), slice_of(p, bytes));
}

void traces_del(struct kv_txn *txn, uint32_t ns_end, uint64_t gen)
{
    for (uint32_t ns = 1; ns < ns_end; ns++) {
        struct key k;
        key_of(&k, ns, gen);
        kv_del(txn, KV_TRACES, key_slice(&k));
    }
}

static bool may_have(struct slice filter, uint64_t hash)
{
    if (filter.len < BLOCK_BYTES)
        return true; // no filter of ours: ask the segment
    const uint8_t *block = block_of((uint8_t *)filter.ptr, filter.len, hash);
    for (int n = 0; n < PROBES; n++) {
        uint32_t bit = probe(hash, n);
        if ((block[bit / 8] & 1u << bit % 8) == 0)
            return false;
    }
    return true;
}

bool index_trace_segments(struct index_read *read, uint32_t ns, uint64_t hash,
                          bool (*visit)(void *ctx, uint64_t gen, struct err *err), void *ctx,
                          struct err *err)
{
    AUTO(kv_cursor_closep) struct kv_cursor c;
    kv_cursor_open(&read->txn, KV_TRACES, &c);
    struct key k;
    key_start(&k);
    key_u32(&k, ns);
    for (bool more = kv_seek(&c, key_slice(&k)); more && slice_starts(c.key, key_slice(&k));
         more = kv_next(&c))
        if (c.key.len == 12 && may_have(c.value, hash) && !visit(ctx, be_u64(c.key.ptr + 4), err))
            return false;
    return kv_ok(&read->txn, err);
}

bool index_may_have_trace(struct index_read *read, uint32_t ns, uint64_t gen, uint64_t hash)
{
    struct key k;
    struct slice filter;
    key_of(&k, ns, gen);
    return kv_get(&read->txn, KV_TRACES, key_slice(&k), &filter) && may_have(filter, hash);
}
