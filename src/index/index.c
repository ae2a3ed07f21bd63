/*
 * index.c -- writing: one segment's rows in one commit; and the plain lookups.
 *
 * I1  A commit holds all rows of a segment and the manifest number, or none of it.
 * I2  A stream id is given once and never reused; ids grow, so postings are appended to.
 * I3  Rows of runs are keyed namespace, generation, stream: a new segment appends to its namespace's
 *     range instead of touching one page per stream (bench/README.md, "index keys").
 */
#include "index/index.h"

#include "base/codec.h"
#include "index/keys.h"
#include "index/places.h"
#include "index/state.h"
#include "index/traces.h"

#include <assert.h>
#include <stdlib.h>

enum { INDEX_VERSION = 2 };

static const struct slice META_VERSION = {(const uint8_t *)"version", 7};
static const struct slice META_MANIFEST = {(const uint8_t *)"manifest", 8};
static const struct slice META_NEXT_NAMESPACE = {(const uint8_t *)"next_namespace", 14};
static const struct slice META_NEXT_STREAM = {(const uint8_t *)"next_stream", 11};

static uint64_t meta_get(struct kv_txn *txn, struct slice name, uint64_t otherwise)
{
    struct slice v;
    return kv_get(txn, KV_META, name, &v) && v.len == 8 ? be_u64(v.ptr) : otherwise;
}

static void meta_put(struct kv_txn *txn, struct slice name, uint64_t value)
{
    uint8_t b[8];
    be_put_u64(b, value);
    kv_put(txn, KV_META, name, slice_of(b, sizeof b));
}

uint32_t index_day(int64_t time_ns)
{
    const int64_t day_ns = INT64_C(86400) * 1000000000;
    int64_t day = time_ns / day_ns - (time_ns % day_ns < 0);
    return (uint32_t)(day + INDEX_DAY_BIAS);
}

static bool check_version(struct kv *kv, bool write, struct err *err)
{
    struct kv_txn txn;
    if (!kv_begin(kv, false, &txn, err))
        return false;
    uint64_t version = meta_get(&txn, META_VERSION, 0);
    bool fresh = write && version == 0 && kv_entries(&txn, KV_SEGMENTS) == 0;
    bool good = kv_ok(&txn, err);
    kv_abort(&txn);
    if (!good || fresh || version == INDEX_VERSION)
        return good;
    if (version == 0)
        return err_set(err, ERR_VERSION, "index: it was not completed");
    return err_set(err, ERR_VERSION, "index: version %llu, this program reads %d", (unsigned long long)version, INDEX_VERSION);
}

bool index_complete(struct index *index, struct err *err)
{
    struct kv_txn txn;
    if (!kv_begin(index->kv, false, &txn, err))
        return false;
    bool known = meta_get(&txn, META_VERSION, 0) == INDEX_VERSION;
    kv_abort(&txn);
    if (known)
        return true;
    if (!kv_begin(index->kv, true, &txn, err))
        return false;
    meta_put(&txn, META_VERSION, INDEX_VERSION);
    return kv_commit(&txn, err);
}

bool index_open(const char *dir, enum kv_mode mode, struct index **index_out, struct err *err)
{
    struct kv *kv;
    if (!kv_open(dir, mode, &kv, err))
        return false;
    if (!check_version(kv, mode != KV_READ, err)) {
        kv_close(kv);
        return err_wrap(err, "%s", dir);
    }
    struct index *index = calloc(1, sizeof *index);
    assert(index != NULL);
    index->kv = kv;
    atomic_init(&index->refs, 1);
    *index_out = index;
    return true;
}

struct index *index_ref(struct index *index)
{
    atomic_fetch_add_explicit(&index->refs, 1, memory_order_relaxed);
    return index;
}

void index_close(struct index *index)
{
    if (index == NULL || atomic_fetch_sub_explicit(&index->refs, 1, memory_order_acq_rel) > 1)
        return;
    kv_close(index->kv);
    free(index);
}

// --- rows -------------------------------------------------------------------------------------------

static void put_runs(struct buf *b, const struct index_stream *s)
{
    for (uint32_t i = 0; i < s->runs_count; i++) {
        const struct index_run *r = &s->runs[i];
        assert(r->min_ns <= r->max_ns && r->entries_count > 0);
        put_varint(b, r->block);
        put_varint(b, r->first);
        put_varint(b, r->entries_count);
        put_i64(b, r->min_ns);
        put_varint(b, (uint64_t)r->max_ns - (uint64_t)r->min_ns);
        put_varint(b, r->line_bytes);
    }
}

bool index_row_next(struct index_row *row, struct index_run *run_out, bool *bad)
{
    if (row->bytes.len == 0)
        return false;
    struct rd r = rd_of(row->bytes);
    struct index_run run;
    run.block = (uint32_t)rd_varint_max(&r, UINT32_MAX);
    run.first = (uint32_t)rd_varint_max(&r, UINT32_MAX);
    run.entries_count = (uint32_t)rd_varint_max(&r, UINT32_MAX);
    run.min_ns = rd_i64(&r);
    uint64_t span = rd_varint(&r);
    run.max_ns = (int64_t)((uint64_t)run.min_ns + span);
    run.line_bytes = rd_varint(&r);
    if (r.bad || run.max_ns < run.min_ns) {
        *bad = true;
        return false;
    }
    row->bytes = slice_of(r.pos, rd_left(&r));
    *run_out = run;
    return true;
}

// Rows of before there were spans end behind the streams.
static void put_segment_row(struct buf *b, const struct index_segment *s)
{
    put_i64(b, s->min_ns);
    put_i64(b, s->max_ns);
    put_varint(b, s->entries);
    put_varint(b, s->line_bytes);
    put_varint(b, s->file_bytes);
    put_varint(b, s->blocks);
    put_varint(b, s->streams);
    put_varint(b, s->spans);
    put_i64(b, s->spans_min_ns);
    put_i64(b, s->spans_max_ns);
}

static bool rd_segment_row(struct slice key, struct slice value, struct index_segment *out)
{
    struct rd r = rd_of(value);
    out->gen = key.len == 8 ? be_u64(key.ptr) : 0;
    out->min_ns = rd_i64(&r);
    out->max_ns = rd_i64(&r);
    out->entries = rd_varint(&r);
    out->line_bytes = rd_varint(&r);
    out->file_bytes = rd_varint(&r);
    out->blocks = rd_varint(&r);
    out->streams = rd_varint(&r);
    bool spans = rd_left(&r) > 0;
    out->spans = spans ? rd_varint(&r) : 0;
    out->spans_min_ns = spans ? rd_i64(&r) : 0;
    out->spans_max_ns = spans ? rd_i64(&r) : 0;
    return !r.bad && key.len == 8;
}

// --- writing ----------------------------------------------------------------------------------------

// Label pairs already noted for a day in this commit: spares LMDB the same look-up once per stream.
struct seen {
    struct hash128 *slots; // owned
    size_t room;           // a power of two
    size_t count;
};

static bool seen_before(struct seen *seen, struct hash128 h)
{
    if (seen->count * 2 >= seen->room) {
        struct seen larger = {.room = seen->room == 0 ? 1024 : seen->room * 2};
        larger.slots = calloc(larger.room, sizeof *larger.slots);
        assert(larger.slots != NULL);
        for (size_t i = 0; i < seen->room; i++)
            if (seen->slots[i].lo != 0)
                (void)seen_before(&larger, seen->slots[i]);
        free(seen->slots);
        *seen = larger;
    }
    h.lo |= 1; // never the empty slot
    size_t at = h.hi & (seen->room - 1);
    for (; seen->slots[at].lo != 0; at = (at + 1) & (seen->room - 1))
        if (hash128_eq(seen->slots[at], h))
            return true;
    seen->slots[at] = h;
    seen->count++;
    return false;
}

static void seen_done(struct seen *seen)
{
    free(seen->slots);
}

static uint32_t namespace_of(struct kv_txn *txn, struct slice tenant)
{
    struct slice v;
    if (kv_get(txn, KV_TENANTS, tenant, &v) && v.len == 4)
        return be_u32(v.ptr);
    uint32_t ns = (uint32_t)meta_get(txn, META_NEXT_NAMESPACE, 1);
    meta_put(txn, META_NEXT_NAMESPACE, (uint64_t)ns + 1);
    struct key k;
    key_start(&k);
    key_u32(&k, ns);
    kv_put(txn, KV_TENANTS, tenant, key_slice(&k));
    return ns;
}

static void put_postings(struct kv_txn *txn, uint32_t ns, const struct slice labels, uint64_t id)
{
    uint8_t id_bytes[8];
    be_put_u64(id_bytes, id);
    struct label l;
    for (struct labels_walk w = labels_walk(labels); labels_next(&w, &l);) {
        struct key k;
        key_start(&k);
        key_u32(&k, ns);
        key_pair(&k, l.name, l.value);
        kv_put_new(txn, KV_POSTINGS, key_slice(&k), slice_of(id_bytes, sizeof id_bytes));
    }
}

static void put_long_pair(struct kv_txn *txn, uint32_t ns, const struct label *l)
{
    struct key k;
    key_start(&k);
    key_u32(&k, ns);
    key_pair(&k, l->name, l->value);
    struct buf row;
    buf_init(&row, 0);
    buf_put_slice(&row, l->name);
    buf_put_byte(&row, 0);
    buf_put_slice(&row, l->value);
    assert(!row.bad);
    kv_put_new(txn, KV_LONG_PAIRS, key_slice(&k), buf_slice(&row));
    buf_done(&row);
}

static void key_fingerprint(struct key *k, uint32_t ns, struct hash128 fingerprint)
{
    key_start(k);
    key_u32(k, ns);
    key_u64(k, fingerprint.hi);
    key_u64(k, fingerprint.lo);
}

static uint64_t stream_id_of(struct kv_txn *txn, uint32_t ns, const struct index_stream *s,
                             uint64_t *next_id)
{
    struct key k;
    key_fingerprint(&k, ns, s->fingerprint);
    struct slice v;
    if (kv_get(txn, KV_STREAM_IDS, key_slice(&k), &v) && v.len == 8)
        return be_u64(v.ptr);

    uint64_t id = (*next_id)++;
    uint8_t id_bytes[8];
    be_put_u64(id_bytes, id);
    kv_put(txn, KV_STREAM_IDS, key_slice(&k), slice_of(id_bytes, sizeof id_bytes));
    key_start(&k);
    key_u32(&k, ns);
    key_u64(&k, id);
    kv_put(txn, KV_STREAMS, key_slice(&k), s->labels);
    put_postings(txn, ns, s->labels, id);
    return id;
}

static void put_days(struct kv_txn *txn, uint32_t ns, const struct index_stream *s,
                     struct seen *seen)
{
    struct label l;
    for (uint32_t d = 0; d < s->days_count; d++) {
        for (struct labels_walk w = labels_walk(s->labels); labels_next(&w, &l);) {
            struct key k;
            key_start(&k);
            key_u32(&k, ns);
            key_u32(&k, s->days[d]);
            key_pair(&k, l.name, l.value);
            if (seen_before(seen, hash_128(key_slice(&k))))
                continue;
            kv_put_new(txn, KV_DAYS, key_slice(&k), (struct slice){0});
            if (pair_is_long(l.name, l.value))
                put_long_pair(txn, ns, &l);
        }
    }
}

static int by_fingerprint(const void *a, const void *b)
{
    const struct index_stream *x = a, *y = b;
    int order = slice_cmp(x->tenant, y->tenant);
    if (order != 0)
        return order;
    if (x->fingerprint.hi != y->fingerprint.hi)
        return x->fingerprint.hi < y->fingerprint.hi ? -1 : 1;
    return (x->fingerprint.lo > y->fingerprint.lo) - (x->fingerprint.lo < y->fingerprint.lo);
}

struct row_place {
    uint32_t ns;
    uint64_t id;
    const struct index_stream *stream;
};

static int by_place(const void *a, const void *b)
{
    const struct row_place *x = a, *y = b;
    if (x->ns != y->ns)
        return x->ns < y->ns ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static void put_rows(struct kv_txn *txn, uint64_t gen, struct row_place *places, size_t count)
{
    qsort(places, count, sizeof *places, by_place); // ascending keys: LMDB fills its pages
    struct buf row;
    buf_init(&row, 0);
    for (size_t i = 0; i < count; i++) {
        struct key k;
        key_start(&k);
        key_u32(&k, places[i].ns);
        key_u64(&k, gen);
        key_u64(&k, places[i].id);
        buf_reset(&row);
        put_runs(&row, places[i].stream);
        assert(!row.bad);
        kv_put(txn, KV_RUNS, key_slice(&k), buf_slice(&row));
    }
    buf_done(&row);
}

static void put_streams(struct kv_txn *txn, uint64_t gen, struct index_stream *streams, size_t count)
{
    if (count == 0) // a segment of spans alone
        return;
    qsort(streams, count, sizeof *streams, by_fingerprint);
    struct row_place *places = calloc(count + 1, sizeof *places);
    assert(places != NULL);
    AUTO(seen_done) struct seen seen = {0};
    uint64_t next_id = meta_get(txn, META_NEXT_STREAM, 1), first_id = next_id;
    uint32_t ns = 0;
    for (size_t i = 0; i < count && txn->rc == 0; i++) {
        const struct index_stream *s = &streams[i];
        if (i == 0 || !slice_eq(s->tenant, streams[i - 1].tenant))
            ns = namespace_of(txn, s->tenant);
        uint64_t id = stream_id_of(txn, ns, s, &next_id);
        places[i] = (struct row_place){ns, id, s};
        put_days(txn, ns, s, &seen);
    }
    if (next_id != first_id)
        meta_put(txn, META_NEXT_STREAM, next_id);
    if (txn->rc == 0)
        put_rows(txn, gen, places, count);
    free(places);
}

// Deletes every row of `gen`, in each namespace, but for its traces.
static void del_rows(struct kv_txn *txn, uint32_t ns_end, uint64_t gen)
{
    AUTO(kv_cursor_closep) struct kv_cursor c;
    kv_cursor_open(txn, KV_RUNS, &c);
    for (uint32_t ns = 1; ns < ns_end; ns++) {
        struct key k;
        key_start(&k);
        key_u32(&k, ns);
        key_u64(&k, gen);
        bool there = kv_seek(&c, key_slice(&k));
        while (there && slice_starts(c.key, key_slice(&k))) {
            kv_cursor_del(&c);
            there = kv_seek(&c, key_slice(&k));
        }
    }
    struct key k;
    key_start(&k);
    key_u64(&k, gen);
    kv_del(txn, KV_SEGMENTS, key_slice(&k));
    places_drop(txn, gen);
}

static void put_segment(struct kv_txn *txn, const struct index_segment *segment)
{
    struct key k;
    key_start(&k);
    key_u64(&k, segment->gen);
    struct buf row;
    buf_init(&row, 0);
    put_segment_row(&row, segment);
    kv_put(txn, KV_SEGMENTS, key_slice(&k), buf_slice(&row));
    buf_done(&row);
}

bool index_swap(struct index *index, const struct index_swap *swap, struct err *err)
{
    struct kv_txn txn;
    if (!kv_begin(index->kv, true, &txn, err))
        return false;
    uint32_t ns_end = (uint32_t)meta_get(&txn, META_NEXT_NAMESPACE, 1);
    for (size_t i = 0; i < swap->gone_count && txn.rc == 0; i++)
        del_rows(&txn, ns_end, swap->gone[i]);
    traces_del(&txn, ns_end, swap->gone, swap->gone_count);
    if (swap->segment != NULL) {
        put_streams(&txn, swap->segment->gen, swap->streams, swap->streams_count);
        for (size_t i = 0; i < swap->traces_count; i++)
            traces_put(&txn, namespace_of(&txn, swap->traces[i].tenant), swap->segment->gen, &swap->traces[i]);
        put_segment(&txn, swap->segment);
        places_put(&txn, swap->segment->gen, swap->segment->where);
    }
    meta_put(&txn, META_MANIFEST, swap->manifest);
    return kv_commit(&txn, err);
}

// --- plain reads ------------------------------------------------------------------------------------

bool index_read_begin(struct index *index, struct index_read *read_out, struct err *err)
{
    struct index_read read = {0};
    if (!kv_begin(index->kv, false, &read.txn, err))
        return false;
    read.manifest = meta_get(&read.txn, META_MANIFEST, 0);
    if (!kv_ok(&read.txn, err)) {
        kv_abort(&read.txn);
        return false;
    }
    *read_out = read;
    return true;
}

void index_read_end(struct index_read *read)
{
    kv_abort(&read->txn);
}

bool index_segments(struct index_read *read, struct arena *a, struct index_segment **segments_out,
                    size_t *count_out, struct err *err)
{
    AUTO(kv_cursor_closep) struct kv_cursor c;
    kv_cursor_open(&read->txn, KV_SEGMENTS, &c);
    struct index_segment *rows = NULL;
    size_t count = 0, room = 0;
    for (bool more = kv_seek(&c, SLICE("\0")); more; more = kv_next(&c)) {
        if (!arena_grow(a, (void **)&rows, sizeof *rows, count, &room))
            return arena_ok(a, "segment list", err);
        if (!rd_segment_row(c.key, c.value, &rows[count++]))
            return err_set(err, ERR_CORRUPT, "index: segment row %zu cannot be read", count - 1);
    }
    places_fill(&read->txn, rows, count);
    *segments_out = rows;
    *count_out = count;
    return kv_ok(&read->txn, err);
}

bool index_tenants(struct index_read *read, struct arena *a, struct slice **tenants_out,
                   size_t *count_out, struct err *err)
{
    AUTO(kv_cursor_closep) struct kv_cursor c;
    kv_cursor_open(&read->txn, KV_TENANTS, &c);
    struct slice *names = NULL;
    size_t count = 0, room = 0;
    for (bool more = kv_seek(&c, SLICE("\0")); more; more = kv_next(&c)) {
        if (!arena_grow(a, (void **)&names, sizeof *names, count, &room))
            break;
        names[count++] = arena_copy(a, c.key);
    }
    *tenants_out = names;
    *count_out = count;
    return arena_ok(a, "tenant list", err) && kv_ok(&read->txn, err);
}

bool index_namespace(struct index_read *read, struct slice tenant, uint32_t *ns_out, struct err *err)
{
    if (tenant.len == 0) { // no key of LMDB's
        *err = (struct err){0};
        return false;
    }
    struct slice v;
    if (!kv_get(&read->txn, KV_TENANTS, tenant, &v)) {
        if (kv_ok(&read->txn, err))
            err->code = ERR_NONE;
        return false;
    }
    if (v.len != 4)
        return err_set(err, ERR_CORRUPT, "index: namespace row of %zu bytes", v.len);
    *ns_out = be_u32(v.ptr);
    return true;
}

uint64_t index_streams_count(struct index_read *read)
{
    return kv_entries(&read->txn, KV_STREAMS);
}

bool index_labels(struct index_read *read, uint32_t ns, uint64_t stream_id, struct slice *labels_out,
                  struct err *err)
{
    struct key k;
    key_start(&k);
    key_u32(&k, ns);
    key_u64(&k, stream_id);
    if (kv_get(&read->txn, KV_STREAMS, key_slice(&k), labels_out))
        return true;
    if (!kv_ok(&read->txn, err))
        return false;
    return err_set(err, ERR_CORRUPT, "index: stream %llu of namespace %u has no labels",
                   (unsigned long long)stream_id, ns);
}

bool index_find_stream(struct index_read *read, uint32_t ns, struct hash128 fingerprint,
                       uint64_t *stream_id_out, struct err *err)
{
    struct key k;
    struct slice v;
    *err = (struct err){0};
    key_fingerprint(&k, ns, fingerprint);
    if (!kv_get(&read->txn, KV_STREAM_IDS, key_slice(&k), &v)) {
        bool absent = kv_ok(&read->txn, err);
        (void)absent; // an error is set, or none
        return false;
    }
    if (v.len != 8)
        return err_set(err, ERR_CORRUPT, "index: stream id of %zu bytes", v.len);
    *stream_id_out = be_u64(v.ptr);
    return true;
}
