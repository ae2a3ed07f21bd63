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

void test_batch_add(struct test_batch *b, const char *labels, int64_t time_ns, const char *line,
                    const char *metadata)
{
    struct slice encoded = encode_labels(&b->arena, labels);
    struct slice set = metadata != NULL ? encode_labels(&b->arena, metadata) : LABELS_EMPTY;
    struct slice text = arena_copy(&b->arena, slice_cstr(line));
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
