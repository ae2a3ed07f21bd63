/*
 * head_spans.c -- see head_spans.h.
 *
 * H4  A span is in `known` iff it is in the pages; no two have one tenant, trace ID, span ID and kind.
 * H5  A trace's spans are linked in the order of arrival; a tenant's are numbered in it.
 */
#include "store/head/head_spans.h"

#include "base/hash.h"
#include "base/limits.h"
#include "store/head/head_mem.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

enum { SPAN_PAGE_SHIFT = 12, SPAN_PAGE = 1 << SPAN_PAGE_SHIFT, CHUNK_LEVEL = 1 };

struct row {
    uint8_t trace_id[TRACE_ID_BYTES];
    uint8_t span_id[SPAN_ID_BYTES];
    uint64_t start_ns;
    const uint8_t *message; // text
    uint32_t message_bytes;
    int32_t kind;
    uint32_t tenant;
    uint32_t resource, scope; // numbers
    uint32_t trace;           // number
    uint32_t next;            // of the same trace, later arrived; UINT32_MAX: the last
};

struct trace_rows {
    uint32_t tenant;
    uint32_t first, last;
    uint64_t start_ns; // the least
    uint64_t hash;     // hash64 of the ID
};

struct chunk {
    uint32_t first; // in the tenant's numbers
    uint64_t message_bytes;
    struct span_block_stats stats; // of the spans so far
    struct buf block;              // once it is whole and was asked for; empty before
    struct span_block_place place;
};

struct tenant_rows {
    uint32_t *numbers; // owned
    uint32_t count, room;
    struct chunk *chunks; // owned
    uint32_t chunks_count, chunks_room;
};

struct head_spans {
    pthread_rwlock_t lock; // all below
    struct head_text text;
    struct head_names names; // tenants
    struct row **pages;      // owned; mapped
    uint32_t pages_count, pages_room;
    uint32_t count;
    uint64_t message_bytes;
    struct head_table known; // by tenant, trace, span, kind
    struct trace_rows *traces; // owned
    uint32_t traces_count, traces_room;
    struct head_table traces_known;
    struct head_names resources, scopes;
    struct tenant_rows *tenants; // owned; by number
    uint32_t tenants_room;
};

static struct row *row_at(const struct head_spans *s, uint32_t number)
{
    return &s->pages[number >> SPAN_PAGE_SHIFT][number & (SPAN_PAGE - 1)];
}

// --- life -------------------------------------------------------------------------------------------

struct head_spans *head_spans_new(void)
{
    struct head_spans *s = calloc(1, sizeof *s);
    assert(s != NULL);
    pthread_rwlock_init(&s->lock, NULL);
    return s;
}

void head_spans_free(struct head_spans *s)
{
    for (uint32_t i = 0; i < s->pages_count; i++)
        head_unmap(s->pages[i], SPAN_PAGE * sizeof **s->pages);
    free(s->pages);
    head_table_done(&s->known);
    free(s->traces);
    head_table_done(&s->traces_known);
    head_names_done(&s->resources);
    head_names_done(&s->scopes);
    for (uint32_t i = 0; i < s->tenants_room; i++) {
        for (uint32_t c = 0; c < s->tenants[i].chunks_count; c++)
            buf_done(&s->tenants[i].chunks[c].block);
        free(s->tenants[i].chunks);
        free(s->tenants[i].numbers);
    }
    free(s->tenants);
    head_names_done(&s->names);
    head_text_done(&s->text);
    pthread_rwlock_destroy(&s->lock);
    free(s);
}

void head_spans_stats(struct head_spans *s, struct head_spans_stats *stats_out)
{
    pthread_rwlock_rdlock(&s->lock);
    *stats_out = (struct head_spans_stats){s->text.bytes, s->count, s->message_bytes};
    pthread_rwlock_unlock(&s->lock);
}

// --- apply ------------------------------------------------------------------------------------------

static uint32_t span_hash(uint32_t tenant, uint64_t trace_hash, const struct batch_span *b)
{
    uint64_t seed = trace_hash + tenant * UINT64_C(0x9e3779b97f4a7c15) + (uint32_t)b->kind;
    uint64_t hash = hash64_seed(slice_of(b->span_id, SPAN_ID_BYTES), seed);
    return (uint32_t)(hash ^ hash >> 32);
}

static bool is_known(const struct head_spans *s, uint32_t tenant, uint32_t hash, const struct batch_span *b)
{
    uint32_t number;
    for (size_t at = head_table_start(&s->known, hash);
         (number = head_table_next(&s->known, hash, &at)) != UINT32_MAX;) {
        const struct row *k = row_at(s, number);
        if (k->tenant == tenant && k->kind == b->kind &&
            memcmp(k->trace_id, b->trace_id, TRACE_ID_BYTES) == 0 &&
            memcmp(k->span_id, b->span_id, SPAN_ID_BYTES) == 0)
            return true;
    }
    return false;
}

static uint32_t find_trace(const struct head_spans *s, uint32_t tenant, const uint8_t trace_id[TRACE_ID_BYTES],
                               uint64_t hash)
{
    uint32_t number;
    for (size_t at = head_table_start(&s->traces_known, (uint32_t)hash);
         (number = head_table_next(&s->traces_known, (uint32_t)hash, &at)) != UINT32_MAX;) {
        const struct trace_rows *t = &s->traces[number];
        if (t->tenant == tenant && memcmp(row_at(s, t->first)->trace_id, trace_id, TRACE_ID_BYTES) == 0)
            break;
    }
    return number;
}

static uint32_t new_trace(struct head_spans *s, const struct trace_rows *trace)
{
    if (s->traces_count == s->traces_room)
        s->traces = head_grown(s->traces, &s->traces_room, sizeof *s->traces);
    head_table_room(&s->text, &s->traces_known);
    head_table_put(&s->traces_known, (uint32_t)trace->hash, s->traces_count);
    s->text.bytes += sizeof *s->traces;
    s->traces[s->traces_count] = *trace;
    return s->traces_count++;
}

static struct row *new_row(struct head_spans *s)
{
    if (s->count >> SPAN_PAGE_SHIFT == s->pages_count) {
        if (s->pages_count == s->pages_room)
            s->pages = head_grown(s->pages, &s->pages_room, sizeof *s->pages);
        s->pages[s->pages_count++] = head_map(SPAN_PAGE * sizeof **s->pages);
    }
    s->text.bytes += sizeof **s->pages;
    return row_at(s, s->count++);
}

static struct tenant_rows *tenant_at(struct head_spans *s, uint32_t tenant)
{
    if (tenant >= s->tenants_room) {
        uint32_t room = s->tenants_room;
        while (tenant >= s->tenants_room)
            s->tenants = head_grown(s->tenants, &s->tenants_room, sizeof *s->tenants);
        memset(s->tenants + room, 0, (s->tenants_room - room) * sizeof *s->tenants);
    }
    return &s->tenants[tenant];
}

static uint32_t mask_bit(int32_t value, int32_t known_max)
{
    return value >= 0 && value <= known_max ? 1u << value : 1u << 31;
}

// Whether the span goes into the newest chunk; else it begins another.
static bool fits_chunk(const struct tenant_rows *t, const struct batch_span *b)
{
    const struct chunk *c = &t->chunks[t->chunks_count - 1];
    return c->stats.spans_count < HEAD_CHUNK_SPANS && c->message_bytes + b->message.len <= SPAN_BLOCK_BYTES;
}

static void note_in_chunk(struct tenant_rows *t, const struct batch_span *b, bool new_trace)
{
    if (t->chunks_count == 0 || !fits_chunk(t, b)) {
        if (t->chunks_count == t->chunks_room)
            t->chunks = head_grown(t->chunks, &t->chunks_room, sizeof *t->chunks);
        t->chunks[t->chunks_count++] = (struct chunk){.first = t->count,
                                                      .stats = {.start_min_ns = INT64_MAX,
                                                                     .start_max_ns = INT64_MIN,
                                                                     .end_max_ns = INT64_MIN,
                                                                     .duration_min_ns = UINT64_MAX,
                                                                     .status_mask = UINT32_MAX}};
        buf_init(&t->chunks[t->chunks_count - 1].block, 0);
    }
    struct chunk *c = &t->chunks[t->chunks_count - 1];
    struct span_block_stats *st = &c->stats;
    c->message_bytes += b->message.len;
    int64_t start_ns = span_time(b->start_ns), end_ns = span_time(b->end_ns);
    uint64_t duration_ns = b->end_ns > b->start_ns ? b->end_ns - b->start_ns : 0;
    st->spans_count++;
    st->traces_count += new_trace;
    st->start_min_ns = start_ns < st->start_min_ns ? start_ns : st->start_min_ns;
    st->start_max_ns = start_ns > st->start_max_ns ? start_ns : st->start_max_ns;
    st->end_max_ns = end_ns > st->end_max_ns ? end_ns : st->end_max_ns;
    st->duration_min_ns = duration_ns < st->duration_min_ns ? duration_ns : st->duration_min_ns;
    st->duration_max_ns = duration_ns > st->duration_max_ns ? duration_ns : st->duration_max_ns;
    st->kind_mask |= mask_bit(b->kind, KIND_CONSUMER); // the status is in the message: any
}

static void add_span(struct head_spans *s, uint32_t tenant, uint64_t trace_hash, uint32_t hash,
                     uint32_t resource, uint32_t scope, const struct batch_span *b)
{
    uint32_t number = s->count;
    uint32_t trace = find_trace(s, tenant, b->trace_id, trace_hash);
    head_table_room(&s->text, &s->known);
    struct row *row = new_row(s);
    *row = (struct row){
        .start_ns = b->start_ns,
        .message = head_text_copy(&s->text, b->message).ptr,
        .message_bytes = (uint32_t)b->message.len,
        .kind = b->kind,
        .tenant = tenant,
        .resource = resource,
        .scope = scope,
        .next = UINT32_MAX,
    };
    memcpy(row->trace_id, b->trace_id, TRACE_ID_BYTES);
    memcpy(row->span_id, b->span_id, SPAN_ID_BYTES);
    head_table_put(&s->known, hash, number);

    bool fresh = trace == UINT32_MAX;
    if (fresh) {
        trace = new_trace(s, &(struct trace_rows){tenant, number, number, b->start_ns, trace_hash});
    } else {
        struct trace_rows *t = &s->traces[trace];
        row_at(s, t->last)->next = number;
        t->last = number;
        t->start_ns = b->start_ns < t->start_ns ? b->start_ns : t->start_ns;
    }
    row->trace = trace;
    struct tenant_rows *t = tenant_at(s, tenant);
    note_in_chunk(t, b, fresh);
    if (t->count == t->room)
        t->numbers = head_grown(t->numbers, &t->room, sizeof *t->numbers);
    t->numbers[t->count++] = number;
    s->text.bytes += sizeof *t->numbers;
    s->message_bytes += b->message.len;
}

uint32_t head_spans_apply(struct head_spans *s, const struct batch *batch)
{
    pthread_rwlock_wrlock(&s->lock);
    uint32_t tenant = head_names_add(&s->text, &s->names, batch->tenant);
    uint32_t before = s->count;
    uint32_t last_resource = UINT32_MAX, last_scope = UINT32_MAX, resource = 0, scope = 0;
    for (uint32_t i = 0; i < batch->spans_count; i++) {
        const struct batch_span *b = &batch->spans[i];
        uint64_t trace_hash = hash64(slice_of(b->trace_id, TRACE_ID_BYTES));
        uint32_t hash = span_hash(tenant, trace_hash, b);
        if (is_known(s, tenant, hash, b))
            continue;
        if (b->resource != last_resource)
            resource = head_names_add(&s->text, &s->resources, batch->resources[last_resource = b->resource]);
        if (b->scope != last_scope)
            scope = head_names_add(&s->text, &s->scopes, batch->scopes[last_scope = b->scope]);
        add_span(s, tenant, trace_hash, hash, resource, scope, b);
    }
    uint32_t added = s->count - before;
    pthread_rwlock_unlock(&s->lock);
    return added;
}

// --- copies -----------------------------------------------------------------------------------------

// A row and what it needs to be parsed without the lock.
struct copy {
    struct row row;
    struct slice resource, scope;
    uint64_t trace_start_ns;
};

static void copy_row(const struct head_spans *s, uint32_t number, struct copy *out)
{
    const struct row *row = row_at(s, number);
    *out = (struct copy){*row, s->resources.items[row->resource], s->scopes.items[row->scope],
                         s->traces[row->trace].start_ns};
}

// Parses copies; what is shared is parsed once.
struct parser {
    struct arena *a;
    bool independent;     // of the head: spans point to copies in `a`
    struct origin *slots; // by resource and scope number; when it grows the old ones stay in `a`
    size_t room, count;
};

struct origin {
    bool used;
    uint32_t resource_number, scope_number;
    struct span_resource resource;
    struct span_scope scope;
};

// The place of a pair of resource and scope; NULL when the arena is full.
static struct origin *origin_slot(struct parser *p, const struct row *row)
{
    if ((p->count + 1) * 2 > p->room) {
        struct parser larger = {.a = p->a, .room = p->room == 0 ? 64 : p->room * 2};
        larger.slots = arena_zalloc(p->a, larger.room * sizeof *larger.slots);
        if (larger.slots == NULL)
            return NULL;
        for (size_t i = 0; i < p->room; i++)
            if (p->slots[i].used) {
                struct row key = {.resource = p->slots[i].resource_number, .scope = p->slots[i].scope_number};
                *origin_slot(&larger, &key) = p->slots[i];
                larger.count++;
            }
        *p = larger;
    }
    size_t at = (row->resource * UINT32_C(0x9e3779b1) ^ row->scope * UINT32_C(0x85ebca6b)) & (p->room - 1);
    while (p->slots[at].used &&
           (p->slots[at].resource_number != row->resource || p->slots[at].scope_number != row->scope))
        at = (at + 1) & (p->room - 1);
    return &p->slots[at];
}

static struct slice kept(const struct parser *p, struct slice bytes)
{
    return p->independent ? arena_copy(p->a, bytes) : bytes;
}

static bool parse_copy(struct parser *p, const struct copy *copy, struct span *out, struct err *err)
{
    const struct row *row = &copy->row;
    struct origin *o = origin_slot(p, row);
    if (o == NULL)
        return arena_ok(p->a, "resources of spans", err);
    if (!o->used) {
        struct slice resource = kept(p, copy->resource), scope = kept(p, copy->scope);
        if (p->a->overflowed)
            return arena_ok(p->a, "resources of spans", err);
        if (!span_resource_parse(resource, p->a, &o->resource, err) ||
            !span_scope_parse(scope, p->a, &o->scope, err))
            return false;
        o->used = true;
        o->resource_number = row->resource;
        o->scope_number = row->scope;
        p->count++;
    }
    struct slice message = kept(p, slice_of(row->message, row->message_bytes));
    if (p->a->overflowed)
        return arena_ok(p->a, "spans", err);
    if (!span_parse(message, p->a, out, err))
        return false;
    out->resource = &o->resource;
    out->scope = &o->scope;
    return true;
}

static int by_trace_and_time(const void *a, const void *b)
{
    const struct copy *x = a, *y = b;
    if (x->trace_start_ns != y->trace_start_ns)
        return x->trace_start_ns < y->trace_start_ns ? -1 : 1;
    int order = memcmp(x->row.trace_id, y->row.trace_id, TRACE_ID_BYTES);
    if (order != 0)
        return order;
    if (x->row.start_ns != y->row.start_ns)
        return x->row.start_ns < y->row.start_ns ? -1 : 1;
    order = memcmp(x->row.span_id, y->row.span_id, SPAN_ID_BYTES);
    return order != 0 ? order : (x->row.kind > y->row.kind) - (x->row.kind < y->row.kind);
}

static void sort_copies(struct copy *copies, size_t count)
{
    qsort(copies, count, sizeof *copies, by_trace_and_time);
}

// --- chunks -----------------------------------------------------------------------------------------

bool head_spans_chunks(struct head_spans *s, struct slice tenant,
                       bool (*visit)(void *ctx, uint32_t chunk, const struct span_block_stats *stats, struct err *err),
                       void *ctx, struct err *err)
{
    bool good = true;
    pthread_rwlock_rdlock(&s->lock);
    uint32_t number = head_names_find(&s->names, tenant);
    const struct tenant_rows *t = number < s->tenants_room ? &s->tenants[number] : NULL;
    for (uint32_t i = 0; t != NULL && i < t->chunks_count && good; i++)
        good = visit(ctx, i, &t->chunks[i].stats, err);
    pthread_rwlock_unlock(&s->lock);
    return good;
}

// Sorted copies as one block of memory.
static bool make_block(struct copy *copies, uint32_t count, struct buf *block_out, struct span_block_place *place_out,
                       struct err *err)
{
    AUTO(arena_done) struct arena a;
    arena_init(&a, QUERY_ARENA_BYTES_MAX);
    struct parser parser = {.a = &a};
    sort_copies(copies, count);
    struct span_block_writer *w = span_block_writer_new(CHUNK_LEVEL);
    bool good = true;
    for (uint32_t i = 0; i < count && good; i++) {
        struct span span;
        good = parse_copy(&parser, &copies[i], &span, err);
        if (good)
            span_block_add(w, &span);
    }
    good = good && span_block_flush(w, block_out, place_out, err);
    place_out->pos = 0;
    span_block_writer_free(w);
    return good;
}

static bool read_memory(void *ctx, uint64_t pos, size_t bytes, struct arena *a, struct slice *out, struct err *err)
{
    (void)a;
    const uint8_t *block = ctx;
    (void)err;
    *out = slice_of(block + pos, bytes);
    return true;
}

// Whether no span will be added to a chunk any more.
static bool is_whole(const struct tenant_rows *t, uint32_t chunk)
{
    return chunk + 1 < t->chunks_count;
}

// Keeps the block of a whole chunk, unless another thread did meanwhile; *block then is the one that is kept.
static void keep_block(struct head_spans *s, uint32_t tenant, uint32_t chunk, struct buf *block,
                       const struct span_block_place *place, const uint8_t **bytes_out)
{
    pthread_rwlock_wrlock(&s->lock);
    struct chunk *c = &s->tenants[tenant].chunks[chunk];
    if (c->block.len == 0) {
        c->block = *block;
        c->place = *place;
        buf_init(block, 0);
        s->text.bytes += c->block.len;
    }
    *bytes_out = c->block.ptr;
    pthread_rwlock_unlock(&s->lock);
}

bool head_spans_open(struct head_spans *s, struct slice tenant, uint32_t chunk, uint32_t spans_count, struct arena *a,
                     struct span_block *out, struct err *err)
{
    pthread_rwlock_rdlock(&s->lock);
    uint32_t number = head_names_find(&s->names, tenant);
    const struct tenant_rows *t = &s->tenants[number];
    const struct chunk *c = &t->chunks[chunk];
    assert(spans_count <= c->stats.spans_count);
    struct span_block_place place = c->place;
    const uint8_t *bytes = c->block.len > 0 ? c->block.ptr : NULL;
    bool keep = is_whole(t, chunk) && spans_count == c->stats.spans_count;
    struct copy *copies = keep && bytes != NULL ? NULL : arena_array(a, spans_count, sizeof *copies);
    for (uint32_t i = 0; copies != NULL && i < spans_count; i++)
        copy_row(s, t->numbers[c->first + i], &copies[i]);
    pthread_rwlock_unlock(&s->lock);
    if (keep && bytes != NULL)
        return span_block_open(&place, read_memory, (void *)bytes, zbuf_of_thread(), a, out, err);
    if (copies == NULL)
        return arena_ok(a, "spans of a head", err);
    AUTO(buf_done) struct buf block;
    buf_init(&block, 0);
    if (!make_block(copies, spans_count, &block, &place, err))
        return false;
    if (keep) {
        keep_block(s, number, chunk, &block, &place, &bytes);
    } else {
        bytes = arena_copy(a, buf_slice(&block)).ptr;
        if (bytes == NULL)
            return arena_ok(a, "spans of a head", err);
    }
    return span_block_open(&place, read_memory, (void *)bytes, zbuf_of_thread(), a, out, err);
}

// --- traces -----------------------------------------------------------------------------------------

// Copies of a trace's rows; *count_out 0: unknown, or the arena is full.
static struct copy *copy_trace(struct head_spans *s, struct slice tenant, const uint8_t trace_id[TRACE_ID_BYTES],
                               struct arena *a, uint32_t *count_out)
{
    uint64_t hash = hash64(slice_of(trace_id, TRACE_ID_BYTES));
    uint32_t count = 0, n = 0;
    struct copy *copies = NULL;
    pthread_rwlock_rdlock(&s->lock);
    uint32_t number = head_names_find(&s->names, tenant);
    uint32_t trace = number == UINT32_MAX ? UINT32_MAX : find_trace(s, number, trace_id, hash);
    uint32_t first = trace == UINT32_MAX ? UINT32_MAX : s->traces[trace].first;
    for (uint32_t at = first; at != UINT32_MAX; at = row_at(s, at)->next)
        count++;
    if (count > 0)
        copies = arena_array(a, count, sizeof *copies);
    for (uint32_t at = first; copies != NULL && at != UINT32_MAX; at = row_at(s, at)->next)
        copy_row(s, at, &copies[n++]);
    pthread_rwlock_unlock(&s->lock);
    *count_out = n;
    return copies;
}

bool head_spans_trace(struct head_spans *s, struct slice tenant, const uint8_t trace_id[TRACE_ID_BYTES],
                      struct arena *a, struct span_list *list, struct err *err)
{
    uint32_t count;
    struct copy *copies = copy_trace(s, tenant, trace_id, a, &count);
    struct parser parser = {.a = a, .independent = true};
    for (uint32_t i = 0; i < count; i++) {
        if (!arena_grow(a, (void **)&list->items, sizeof *list->items, list->count, &list->room))
            break;
        if (!parse_copy(&parser, &copies[i], &list->items[list->count++], err))
            return false;
    }
    return arena_ok(a, "spans of a trace", err);
}

bool head_spans_hashes(struct head_spans *s, struct slice tenant, struct arena *a, uint64_t **hashes_out,
                       size_t *count_out, struct err *err)
{
    size_t count = 0;
    pthread_rwlock_rdlock(&s->lock);
    uint32_t number = head_names_find(&s->names, tenant);
    uint64_t *hashes = arena_array(a, s->traces_count + 1, sizeof *hashes);
    for (uint32_t i = 0; hashes != NULL && i < s->traces_count; i++)
        if (s->traces[i].tenant == number)
            hashes[count++] = s->traces[i].hash;
    pthread_rwlock_unlock(&s->lock);
    *hashes_out = hashes;
    *count_out = count;
    return arena_ok(a, "traces of a head", err);
}

bool head_spans_tenants(struct head_spans *s, bool (*visit)(void *ctx, struct slice tenant, struct err *err), void *ctx,
                        struct err *err)
{
    bool good = true;
    pthread_rwlock_rdlock(&s->lock);
    for (uint32_t i = 0; i < s->names.count && good; i++)
        good = visit(ctx, s->names.items[i], err);
    pthread_rwlock_unlock(&s->lock);
    return good;
}

// --- sealing ----------------------------------------------------------------------------------------

static bool write_tenant(struct head_spans *s, uint32_t tenant, struct seg_writer *w, struct err *err)
{
    const struct tenant_rows *t = &s->tenants[tenant];
    struct copy *copies = malloc((t->count + 1) * sizeof *copies);
    assert(copies != NULL);
    for (uint32_t i = 0; i < t->count; i++)
        copy_row(s, t->numbers[i], &copies[i]);
    sort_copies(copies, t->count);
    AUTO(arena_done) struct arena a;
    arena_init(&a, SIZE_MAX);
    struct parser parser = {.a = &a};
    bool good = true;
    for (uint32_t i = 0; i < t->count && good; i++) {
        struct span span;
        good = parse_copy(&parser, &copies[i], &span, err) && seg_writer_span(w, s->names.items[tenant], &span, err);
        if (a.used_bytes > SPAN_BLOCK_BYTES) { // what was parsed so far is written
            arena_reset(&a);
            parser = (struct parser){.a = &a};
        }
    }
    free(copies);
    return good;
}

struct named {
    struct slice name;
    uint32_t number;
};

static int by_name(const void *a, const void *b)
{
    return slice_cmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

bool head_spans_write(struct head_spans *s, struct seg_writer *w, struct err *err)
{
    struct named *order = malloc((s->names.count + 1) * sizeof *order);
    assert(order != NULL);
    for (uint32_t i = 0; i < s->names.count; i++)
        order[i] = (struct named){s->names.items[i], i};
    qsort(order, s->names.count, sizeof *order, by_name);
    bool good = true;
    for (uint32_t i = 0; i < s->names.count && good; i++)
        good = write_tenant(s, order[i].number, w, err);
    free(order);
    return good;
}
