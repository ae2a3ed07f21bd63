/*
 * fuzz_span.c -- spans as messages and as blocks.
 *
 * First byte even: the rest is a message. If it is a valid span, it comes back from being put and from a block. Odd: the
 * image of a block: u32 bytes of its head, the head as it is before compression, the parts. Their checks are set right,
 * so that what is behind them is reached.
 */
#include "fuzz.h"

#include "base/codec.h"
#include "base/hash.h"
#include "base/limits.h"
#include "store/span_block.h"
#include "store/span/span_format.h"

#include <assert.h>
#include <stdlib.h>

static struct err err;

static bool read_slice(void *ctx, uint64_t pos, size_t bytes, struct arena *a, struct slice *out, struct err *error)
{
    (void)a;
    const struct slice *all = ctx;
    if (pos > all->len || bytes > all->len - pos)
        return err_set(error, ERR_CORRUPT, "bytes behind the end of a block");
    *out = slice_of(all->ptr + pos, bytes);
    return true;
}

static void must(bool good)
{
    if (!good)
        abort();
}

// --- messages -----------------------------------------------------------------------------------------

static void walk_value(const struct span_value *v, unsigned depth)
{
    struct pb walk = pb_of(v->kind == VALUE_ARRAY || v->kind == VALUE_MAP ? v->bytes : SLICE(""));
    struct span_value inner;
    struct span_attribute pair;
    if (depth > SPAN_VALUE_DEPTH_MAX)
        return;
    if (v->kind == VALUE_ARRAY)
        while (span_array_next(&walk, &inner))
            walk_value(&inner, depth + 1);
    if (v->kind == VALUE_MAP)
        while (span_map_next(&walk, &pair))
            walk_value(&pair.value, depth + 1);
}

// Everything of a span is looked at; events and links put again.
static void walk_span(const struct span *span, struct arena *a, struct buf *events, struct buf *links)
{
    struct span_event event;
    struct span_link link;
    for (uint32_t i = 0; i < span->attributes.count; i++)
        walk_value(&span->attributes.items[i].value, 0);
    for (struct pb walk = pb_of(span->events); span_event_next(&walk, a, &event);)
        span_event_put(events, &event);
    for (struct pb walk = pb_of(span->links); span_link_next(&walk, a, &link);)
        span_link_put(links, &link);
}

static void check_block(const struct span *span, int level, struct slice want, struct arena *a)
{
    struct span_block_writer *w = span_block_writer_new(level);
    struct zbuf *z = zbuf_new();
    struct span_block_place place;
    struct span_block block;
    struct span again;
    struct buf bytes = {0}, got = {0};
    span_block_add(w, span);
    span_block_add(w, span);
    must(span_block_flush(w, &bytes, &place, &err));
    struct slice all = buf_slice(&bytes);
    must(span_block_open(&place, read_slice, &all, z, a, &block, &err));
    for (uint32_t row = 0; row < 2; row++) {
        must(span_block_span(&block, row, &again, &err));
        buf_reset(&got);
        span_put(&got, &again);
        must(slice_eq(buf_slice(&got), want));
    }
    span_block_writer_free(w);
    zbuf_free(z);
    buf_done(&bytes);
    buf_done(&got);
}

static void fuzz_message(struct slice message, struct arena *a)
{
    struct span_resource resource;
    struct span_scope scope;
    struct span span;
    struct buf first = {0}, second = {0}, events = {0}, links = {0};
    bool valid = span_resource_valid(message, &err);
    must(span_resource_parse(message, a, &resource, &err) || !valid);
    valid = span_scope_valid(message, &err);
    must(span_scope_parse(message, a, &scope, &err) || !valid);
    valid = span_valid(message, &err);
    must(valid || err.code == ERR_INPUT || err.code == ERR_LIMIT);
    bool parsed = span_parse(message, a, &span, &err);
    must(parsed || !valid);
    if (parsed)
        walk_span(&span, a, &events, &links);
    if (valid) {
        span_put(&first, &span);
        must(span_valid(buf_slice(&first), &err) && span_parse(buf_slice(&first), a, &span, &err));
        span_put(&second, &span);
        must(slice_eq(buf_slice(&first), buf_slice(&second)));
        must(span_resource_parse(SLICE(""), a, &resource, &err) && span_scope_parse(SLICE(""), a, &scope, &err));
        span.resource = &resource;
        span.scope = &scope;
        check_block(&span, 0, buf_slice(&first), a);
        check_block(&span, 1, buf_slice(&first), a);
        span.events = buf_slice(&events); // what was walked is valid as well
        span.links = buf_slice(&links);
        buf_reset(&second);
        span_put(&second, &span);
        must(span_valid(buf_slice(&second), &err));
    }
    buf_done(&first);
    buf_done(&second);
    buf_done(&events);
    buf_done(&links);
}

// --- blocks -------------------------------------------------------------------------------------------

static void fix_part(struct rd *r, const uint8_t *head_from, uint8_t *head, struct slice body, uint64_t *pos)
{
    (void)rd_u8(r);
    uint64_t stored = rd_varint(r);
    (void)rd_varint(r);
    size_t at = (size_t)(r->pos - head_from);
    (void)rd_u64(r);
    if (!r->bad && *pos <= body.len && stored <= body.len - *pos)
        le_put_u64(head + at, hash64(slice_of(body.ptr + *pos, (size_t)stored)));
    *pos += stored;
}

// Sets the checks of a head right, as far as it can be read.
static void fix_checks(uint8_t *head, size_t head_bytes, struct slice body, struct span_block_stats *stats)
{
    struct rd r = rd_of(slice_of(head, head_bytes));
    uint64_t pos = 0;
    stats->spans_count = (uint32_t)rd_varint(&r);
    stats->traces_count = (uint32_t)rd_varint(&r);
    for (unsigned i = 0; i < PARTS_COUNT && !r.bad; i++)
        fix_part(&r, head, head, body, &pos);
    for (uint64_t left = rd_varint(&r); left > 0 && !r.bad; left--) {
        (void)rd_prefixed(&r);
        uint8_t kind = rd_u8(&r);
        (void)rd_varint(&r);
        for (unsigned i = 0; i < span_kind_parts((enum span_value_kind)kind) && !r.bad; i++)
            fix_part(&r, head, head, body, &pos);
    }
}

static void read_all(struct span_block *b, struct arena *a)
{
    struct buf bytes = {0};
    struct span span;
    for (unsigned column = 0; column < SPAN_COLUMNS_COUNT; column++)
        must(span_block_column(b, (enum span_column)column, &err) || err.code == ERR_CORRUPT || err.code == ERR_LIMIT);
    for (uint32_t i = 0; i < b->attributes_count; i++) {
        uint32_t first, count;
        must(span_block_attribute_values(b, i, &err) || err.code == ERR_CORRUPT || err.code == ERR_LIMIT);
        must(span_block_attribute(b, i, &err) || err.code == ERR_CORRUPT || err.code == ERR_LIMIT);
        span_block_find(b, b->attributes[i].key, &first, &count);
        must(first <= i && i < first + count);
    }
    for (uint32_t row = 0; row < b->spans_count && span_block_span(b, row, &span, &err); row++) {
        buf_reset(&bytes);
        walk_span(&span, a, &bytes, &bytes);
        span_put(&bytes, &span);
        span_resource_put(&bytes, span.resource);
        span_scope_put(&bytes, span.scope);
    }
    buf_done(&bytes);
}

// Each trace alone.
static void read_narrow(const struct span_block_place *place, struct slice *bytes, struct zbuf *z,
                        struct arena *a)
{
    struct span_block b;
    for (uint32_t t = 0; t < place->stats.traces_count && t < 8; t++)
        if (span_block_open(place, read_slice, bytes, z, a, &b, &err) &&
            span_block_column(&b, SPAN_TRACES, &err) && span_block_narrow(&b, t, 1, &err))
            read_all(&b, a);
}

static void fuzz_block(struct slice image, struct arena *a)
{
    struct rd r = rd_of(image);
    size_t head_bytes = rd_u32(&r) % 65536;
    struct slice head = rd_bytes(&r, head_bytes < rd_left(&r) ? head_bytes : rd_left(&r));
    struct slice body = rd_bytes(&r, rd_left(&r));
    if (r.bad)
        return;
    struct zbuf *z = zbuf_new();
    struct buf block = {0}, fixed = {0};
    struct span_block_place place = {.pos = 0};
    struct span_block b;
    buf_put_slice(&fixed, head);
    fix_checks(fixed.ptr, fixed.len, body, &place.stats);
    put_u32(&block, (uint32_t)fixed.len);
    must(zbuf_compress(z, 1, buf_slice(&fixed), &block, &err));
    place.head_bytes = (uint32_t)block.len;
    place.head_check = hash64(buf_slice(&block));
    buf_put_slice(&block, body);
    place.total_bytes = (uint32_t)block.len;
    struct slice all = buf_slice(&block);
    if (span_block_open(&place, read_slice, &all, z, a, &b, &err))
        read_all(&b, a);
    else
        must(err.code == ERR_CORRUPT || err.code == ERR_LIMIT);
    read_narrow(&place, &all, z, a);
    zbuf_free(z);
    buf_done(&block);
    buf_done(&fixed);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct arena a;
    if (len == 0)
        return 0;
    arena_init(&a, 256 * MIB);
    if (bytes[0] % 2 == 0)
        fuzz_message(slice_of(bytes + 1, len - 1), &a);
    else
        fuzz_block(slice_of(bytes + 1, len - 1), &a);
    arena_done(&a);
    return 0;
}
