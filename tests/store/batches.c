/* batches.c -- see batches.h. */
#include "batches.h"

#include "base/codec.h"
#include "tap.h"

#include <inttypes.h>
#include <stdlib.h>

void test_batch_init(struct test_batch *b, const char *tenant)
{
    *b = (struct test_batch){0};
    arena_init(&b->arena, UINT64_C(1) << 30);
    buf_init(&b->payload, 0);
    b->batch.tenant = slice_cstr(tenant);
    put_prefixed(&b->payload, b->batch.tenant);
}

void test_batch_done(struct test_batch *b)
{
    arena_done(&b->arena);
    buf_done(&b->payload);
}

static struct slice encode_labels(struct arena *a, const char *text)
{
    struct err err;
    struct labels l;
    must(labels_parse(slice_cstr(text), a, &l, &err), &err);
    (void)labels_canon(&l);
    size_t bytes = labels_encoded_bytes(&l);
    uint8_t *at = arena_alloc(a, bytes);
    labels_encode_at(at, &l);
    return slice_of(at, bytes);
}

static void add(struct test_batch *b, struct slice labels, int64_t time_ns, struct slice line,
                struct slice metadata)
{
    struct batch *batch = &b->batch;
    struct batch_stream *last =
        batch->streams_count > 0 ? &b->streams[batch->streams_count - 1] : NULL;
    if (last == NULL || !slice_eq(last->labels, labels)) {
        must(arena_grow(&b->arena, (void **)&b->streams, sizeof *b->streams, batch->streams_count,
                        &b->streams_room), NULL);
        last = &b->streams[batch->streams_count++];
        *last = (struct batch_stream){labels, hash_128(labels), batch->entries_count, 0};
    }
    must(arena_grow(&b->arena, (void **)&b->entries, sizeof *b->entries, batch->entries_count,
                    &b->entries_room), NULL);
    b->entries[batch->entries_count++] = (struct batch_entry){time_ns, line, metadata};
    last->entries_count++;
    batch->streams = b->streams;
    batch->entries = b->entries;
    batch->line_bytes += line.len;
    batch->metadata_bytes += metadata.len;
}

void test_trace_id(uint64_t trace, uint8_t out[TRACE_ID_BYTES])
{
    memset(out, 0, TRACE_ID_BYTES);
    for (int i = 0; i < 8; i++)
        out[TRACE_ID_BYTES - 1 - i] = (uint8_t)(trace >> (8 * i));
}

static void span_id(uint64_t id, uint8_t out[SPAN_ID_BYTES])
{
    for (int i = 0; i < 8; i++)
        out[SPAN_ID_BYTES - 1 - i] = (uint8_t)(id >> (8 * i));
}

static uint32_t add_slice(struct arena *a, struct slice **items, uint32_t *count, size_t *room, struct slice s)
{
    must(arena_grow(a, (void **)items, sizeof **items, *count, room), NULL);
    (*items)[*count] = s;
    return (*count)++;
}

static void add_span(struct test_batch *b, struct slice message, struct slice resource, struct slice scope)
{
    struct batch *batch = &b->batch;
    struct err err;
    struct span span;
    must(span_parse(message, &b->arena, &span, &err), &err);
    must(arena_grow(&b->arena, (void **)&b->spans, sizeof *b->spans, batch->spans_count, &b->spans_room), NULL);
    struct batch_span *to = &b->spans[batch->spans_count++];
    *to = (struct batch_span){.kind = span.kind, .start_ns = span.start_ns, .end_ns = span.end_ns, .message = message};
    memcpy(to->trace_id, span.trace_id, TRACE_ID_BYTES);
    memcpy(to->span_id, span.span_id, SPAN_ID_BYTES);
    to->resource = add_slice(&b->arena, &b->resources, &batch->resources_count, &b->resources_room, resource);
    to->scope = add_slice(&b->arena, &b->scopes, &batch->scopes_count, &b->scopes_room, scope);
    batch->spans = b->spans;
    batch->resources = b->resources;
    batch->scopes = b->scopes;
    batch->span_bytes += message.len;
}

void test_batch_put_span(struct test_batch *b, const struct span *span)
{
    struct buf buf;
    buf_init(&buf, 0);
    span_put(&buf, span);
    struct slice message = arena_copy(&b->arena, buf_slice(&buf));
    buf_done(&buf);
    put_u8(&b->payload, 's');
    put_prefixed(&b->payload, message);
    put_prefixed(&b->payload, span->resource->bytes);
    put_prefixed(&b->payload, span->scope->bytes);
    add_span(b, message, span->resource->bytes, span->scope->bytes);
}

void test_batch_add_span(struct test_batch *b, const struct test_span *t)
{
    AUTO(buf_done) struct buf buf;
    buf_init(&buf, 0);
    struct span span = {.start_ns = (uint64_t)t->start_ns,
                        .end_ns = (uint64_t)(t->start_ns + t->duration_ns),
                        .kind = t->kind,
                        .status = t->status,
                        .name = slice_cstr(t->name),
                        .attributes = {(struct span_attribute *)t->attributes, t->attributes_count}};
    test_trace_id(t->trace, span.trace_id);
    span_id(t->id, span.span_id);
    span_id(t->parent, span.parent_id);
    span_put(&buf, &span);
    struct slice message = arena_copy(&b->arena, buf_slice(&buf));
    struct span_attribute service = {SLICE("service.name"), {.kind = VALUE_STRING, .bytes = slice_cstr(t->service)}};
    buf_reset(&buf);
    span_resource_put(&buf, &(struct span_resource){.attributes = {&service, 1}});
    struct slice resource = arena_copy(&b->arena, buf_slice(&buf));
    buf_reset(&buf);
    span_scope_put(&buf, &(struct span_scope){.name = SLICE("tests")});
    struct slice scope = arena_copy(&b->arena, buf_slice(&buf));
    put_u8(&b->payload, 's');
    put_prefixed(&b->payload, message);
    put_prefixed(&b->payload, resource);
    put_prefixed(&b->payload, scope);
    add_span(b, message, resource, scope);
}

void test_batch_add(struct test_batch *b, const char *labels, int64_t time_ns, const char *line,
                    const char *metadata)
{
    struct slice encoded = encode_labels(&b->arena, labels);
    struct slice set = metadata != NULL ? encode_labels(&b->arena, metadata) : LABELS_EMPTY;
    struct slice text = arena_copy(&b->arena, slice_cstr(line));
    put_u8(&b->payload, 'e');
    put_prefixed(&b->payload, encoded);
    put_i64(&b->payload, time_ns);
    put_prefixed(&b->payload, text);
    put_prefixed(&b->payload, set);
    add(b, encoded, time_ns, text, set);
}

bool test_batch_append(struct store *st, struct test_batch *b, uint32_t *added_out, struct err *err)
{
    struct wal_payload payload = {SLICE("T"), buf_slice(&b->payload)};
    struct store_added added;
    if (!store_append(st, &b->batch, &payload, &added, err))
        return false;
    *added_out = added.entries;
    return true;
}

bool test_decode(void *ctx, struct slice payload, struct arena *a, struct batch *batch_out,
                 struct err *err)
{
    (void)ctx;
    struct rd r = rd_of(payload);
    struct test_batch b = {.arena = *a};
    if (rd_u8(&r) != 'T')
        return err_set(err, ERR_CORRUPT, "not a test payload");
    b.batch.tenant = rd_prefixed(&r);
    while (rd_left(&r) > 0) {
        if (rd_u8(&r) == 's') {
            struct slice message = rd_prefixed(&r), resource = rd_prefixed(&r), scope = rd_prefixed(&r);
            if (r.bad)
                return err_set(err, ERR_CORRUPT, "broken test payload");
            add_span(&b, message, resource, scope);
            continue;
        }
        struct slice labels = rd_prefixed(&r);
        int64_t time_ns = rd_i64(&r);
        struct slice line = rd_prefixed(&r);
        struct slice metadata = rd_prefixed(&r);
        if (r.bad)
            return err_set(err, ERR_CORRUPT, "broken test payload");
        add(&b, labels, time_ns, line, metadata);
    }
    *a = b.arena;
    *batch_out = b.batch;
    return true;
}

bool test_push(struct store *st, const char *tenant, const char *labels, int64_t time_ns,
               const char *line, struct err *err)
{
    struct test_batch b;
    uint32_t added;
    test_batch_init(&b, tenant);
    test_batch_add(&b, labels, time_ns, line, NULL);
    bool good = test_batch_append(st, &b, &added, err);
    test_batch_done(&b);
    return good;
}

bool test_push_both(struct store *st, const char *tenant, const char *labels, int64_t time_ns, const char *line,
                    uint64_t trace, struct err *err)
{
    struct test_batch b;
    uint32_t added;
    test_batch_init(&b, tenant);
    test_batch_add(&b, labels, time_ns, line, NULL);
    test_batch_add_span(&b, &(struct test_span){.trace = trace,
                                                .id = 1,
                                                .service = "s",
                                                .name = line,
                                                .start_ns = time_ns,
                                                .duration_ns = 10,
                                                .kind = KIND_SERVER});
    bool good = test_batch_append(st, &b, &added, err);
    test_batch_done(&b);
    return good;
}

int test_count_trace(struct store *st, const char *tenant, uint64_t trace)
{
    AUTO(buf_done) struct buf out;
    buf_init(&out, 0);
    test_dump_trace(st, tenant, trace, &out);
    int lines = 0;
    for (size_t i = 0; i < out.len; i++)
        lines += out.ptr[i] == '\n';
    return lines;
}

// Streams by printed labels; a stream's runs as they were.
static int by_labels(const void *a, const void *b, void *selection)
{
    const struct view_selection *sel = selection;
    const struct view_run *x = a, *y = b;
    if (x->stream == y->stream)
        return x->min_ns != y->min_ns ? (x->min_ns > y->min_ns) - (x->min_ns < y->min_ns)
                                      : (x->order > y->order) - (x->order < y->order);
    return labels_cmp_printed(sel->streams[x->stream].labels, sel->streams[y->stream].labels);
}

void test_dump(struct store *st, const char *tenant, int64_t from_ns, int64_t to_ns, struct buf *out)
{
    struct err err;
    struct arena a;
    arena_init(&a, UINT64_C(1) << 30);
    struct view *v;
    must(view_begin(st, slice_cstr(tenant), &v, &err), &err);
    struct view_selection sel;
    must(view_select(v, NULL, 0, from_ns, to_ns, &a, &sel, &err), &err);
    view_settle(v);
    must(view_labels_all(v, &sel, &a, &err), &err);
    if (sel.runs_count > 0)
        qsort_r(sel.runs, sel.runs_count, sizeof *sel.runs, by_labels, &sel);
    struct run_loader *loader = run_loader_new(v);
    for (uint32_t i = 0; i < sel.runs_count; i++) {
        struct run_entries e;
        must(run_load(loader, &sel.runs[i], VIEW_TIMES | VIEW_LINES | VIEW_METADATA, &e, &err), &err);
        for (uint32_t n = 0; n < e.count; n++) {
            if (e.times_ns[n] < from_ns || e.times_ns[n] >= to_ns)
                continue;
            labels_print(out, sel.streams[sel.runs[i].stream].labels);
            buf_printf(out, " %" PRId64 " %.*s", e.times_ns[n], (int)e.line_bytes[n], e.lines[n]);
            if (e.metadata[n].len > 1) {
                buf_put_byte(out, ' ');
                labels_print(out, e.metadata[n]);
            }
            buf_put_byte(out, '\n');
        }
    }
    run_loader_free(loader);
    view_end(v);
    arena_done(&a);
}

// --- spans ------------------------------------------------------------------------------------------

static uint64_t id_of(const uint8_t *bytes)
{
    uint64_t id = 0;
    for (int i = 0; i < SPAN_ID_BYTES; i++)
        id = id << 8 | bytes[i];
    return id;
}

static void print_span(struct buf *out, const struct span *s)
{
    buf_printf(out, "%.*s %.*s %" PRIx64 " %" PRIx64 " %" PRIu64 " %" PRIu64 " %d %d {", (int)s->resource->service.len,
               s->resource->service.ptr, (int)s->name.len, s->name.ptr, id_of(s->span_id), id_of(s->parent_id), s->start_ns,
               s->end_ns - s->start_ns, s->kind, s->status);
    for (uint32_t i = 0; i < s->attributes.count; i++) {
        const struct span_attribute *at = &s->attributes.items[i];
        buf_printf(out, "%s%.*s=", i > 0 ? " " : "", (int)at->key.len, at->key.ptr);
        if (at->value.kind == VALUE_INT)
            buf_printf(out, "%" PRId64, at->value.integer);
        else
            buf_printf(out, "%.*s", (int)at->value.bytes.len, at->value.bytes.ptr);
    }
    buf_put_cstr(out, "}\n");
}

void test_dump_trace(struct store *st, const char *tenant, uint64_t trace, struct buf *out)
{
    struct err err;
    AUTO(arena_done) struct arena a;
    arena_init(&a, UINT64_C(1) << 30);
    uint8_t id[TRACE_ID_BYTES];
    test_trace_id(trace, id);
    struct view *v;
    struct view_trace t;
    must(view_begin(st, slice_cstr(tenant), &v, &err), &err);
    must(view_trace(v, id, &a, &t, &err), &err);
    for (uint32_t i = 0; i < t.spans_count; i++)
        print_span(out, &t.spans[i]);
    if (t.damage.segments > 0)
        buf_printf(out, "damaged: %s\n", t.damage.last.text);
    view_end(v);
}

static int by_text(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

void test_dump_spans(struct store *st, const char *tenant, int64_t from_ns, int64_t to_ns, struct buf *out)
{
    struct err err;
    AUTO(arena_done) struct arena a;
    arena_init(&a, UINT64_C(1) << 30);
    struct view *v;
    struct view_span_block *blocks;
    uint32_t blocks_count;
    struct view_damage damage = {0};
    struct slice *lines = NULL;
    size_t count = 0, room = 0;
    must(view_begin(st, slice_cstr(tenant), &v, &err), &err);
    must(view_span_blocks(v, from_ns, to_ns, false, &a, &blocks, &blocks_count, &damage, &err), &err);
    view_settle(v);
    for (uint32_t i = 0; i < blocks_count; i++) {
        struct span_block b;
        must(view_span_block_open(v, &blocks[i], &a, &b, &err), &err);
        for (uint32_t row = 0; row < b.spans_count; row++) {
            struct span span;
            AUTO(buf_done) struct buf line;
            buf_init(&line, 0);
            must(span_block_span(&b, row, &span, &err), &err);
            if (span_time(span.start_ns) < from_ns || span_time(span.start_ns) >= to_ns)
                continue;
            print_span(&line, &span);
            must(arena_grow(&a, (void **)&lines, sizeof *lines, count, &room), NULL);
            lines[count++] = arena_copy(&a, buf_slice(&line));
        }
    }
    if (count > 0)
        qsort(lines, count, sizeof *lines, by_text);
    for (size_t i = 0; i < count; i++)
        buf_put_slice(out, lines[i]);
    view_end(v);
}
