/* spans.c -- see spans.h. */
#include "spans.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

uint64_t spans_next(struct spans_random *r) // splitmix64
{
    uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static struct slice text(struct spans_random *r, struct arena *a)
{
    switch (spans_below(r, 6)) {
    case 0:
        return SLICE("");
    case 1:
        return SLICE("GET");
    case 2:
        return slice_of("\0\xff\n", spans_below(r, 4));
    case 3:
        return slice_cstr(arena_printf(a, "%016llx", (unsigned long long)spans_next(r)));
    case 4:
        return slice_cstr(arena_printf(a, "/item/%llu", (unsigned long long)spans_below(r, 300)));
    default:
        return slice_cstr(arena_printf(a, "%0*d", (int)spans_below(r, 600), 7));
    }
}

static uint64_t number(struct spans_random *r)
{
    static const uint64_t odd[] = {0, 1, 2, UINT64_MAX, INT64_MAX, UINT64_C(1) << 63, 1000, 1000000, UINT32_MAX, 255, 256};
    return spans_below(r, 2) == 0 ? odd[spans_below(r, sizeof odd / sizeof *odd)] : spans_next(r) >> spans_below(r, 64);
}

static struct span_value value(struct spans_random *r, struct arena *a)
{
    struct span_value v = {.kind = (enum span_value_kind)spans_below(r, VALUE_BYTES + 1)};
    static const double odd[] = {0.0, -0.0, 1.5, NAN, -NAN, INFINITY, -INFINITY};
    struct buf b = {0};
    struct span_value inner = {.kind = VALUE_INT, .integer = (int64_t)number(r)};
    struct span_attribute pairs[2] = {{SLICE(""), {.kind = VALUE_NONE}}, {SLICE("k"), inner}};
    switch (v.kind) {
    case VALUE_NONE:
        break;
    case VALUE_BOOL:
        v.flag = spans_below(r, 2);
        break;
    case VALUE_INT:
        v.integer = (int64_t)number(r);
        break;
    case VALUE_DOUBLE:
        v.number = spans_below(r, 2) == 0 ? odd[spans_below(r, sizeof odd / sizeof *odd)] : (double)spans_next(r);
        break;
    case VALUE_ARRAY: // of empty values
    case VALUE_MAP:
        span_attributes_put(&b, 1, &(struct span_attributes){pairs, (uint32_t)spans_below(r, 3)});
        v.bytes = v.kind == VALUE_MAP ? arena_copy(a, buf_slice(&b)) : slice_of("\x0a\0\x0a\0", 2 * spans_below(r, 3));
        buf_done(&b);
        break;
    default:
        v.bytes = text(r, a);
    }
    return v;
}

static struct span_attributes attributes(struct spans_random *r, struct arena *a)
{
    static const char *const keys[] = {"", "a", "http.method", "url", "k\xff", "dup", "dup", "n", "bytes", "x.y.z"};
    struct span_attributes all = {.count = (uint32_t)spans_below(r, 9)};
    all.items = arena_array(a, all.count, sizeof *all.items);
    for (uint32_t i = 0; i < all.count; i++) {
        all.items[i].key = slice_cstr(keys[spans_below(r, sizeof keys / sizeof *keys)]);
        all.items[i].value = value(r, a);
    }
    return all;
}

static struct slice events(struct spans_random *r, struct arena *a, bool links)
{
    struct buf b = {0};
    for (uint64_t n = spans_below(r, 4) == 0 ? spans_below(r, 4) : 0; n > 0; n--) {
        if (links)
            span_link_put(&b, &(struct span_link){.trace_id = SLICE("0123456789abcdef"), .flags = (uint32_t)number(r),
                                                  .attributes = attributes(r, a)});
        else
            span_event_put(&b, &(struct span_event){.time_ns = number(r), .name = text(r, a), .attributes = attributes(r, a)});
    }
    struct slice all = b.len == 0 ? SLICE("") : arena_copy(a, buf_slice(&b));
    buf_done(&b);
    return all;
}

enum { ORIGINS = 5 };

static void make_origins(struct spans_random *r, struct arena *a, struct span_resource *resources, struct span_scope *scopes)
{
    struct err err;
    for (int i = 0; i < ORIGINS; i++) {
        struct buf b = {0};
        struct span_resource resource = {.attributes = attributes(r, a), .schema_url = text(r, a)};
        span_resource_put(&b, &resource);
        if (!span_resource_parse(arena_copy(a, buf_slice(&b)), a, &resources[i], &err))
            abort();
        buf_reset(&b);
        struct span_scope scope = {.name = text(r, a), .attributes = attributes(r, a)};
        span_scope_put(&b, &scope);
        if (!span_scope_parse(arena_copy(a, buf_slice(&b)), a, &scopes[i], &err))
            abort();
        buf_done(&b);
    }
}

static void make_id(struct spans_random *r, uint8_t *id, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        id[i] = (uint8_t)spans_next(r);
}

static void make_span(struct spans_random *r, struct arena *a, const uint8_t *trace_id, uint64_t start, struct span *out)
{
    *out = (struct span){
        .start_ns = start,
        .end_ns = spans_below(r, 4) == 0 ? number(r) : start + (spans_next(r) >> (20 + spans_below(r, 40))),
        .kind = spans_below(r, 20) == 0 ? (int32_t)number(r) : (int32_t)spans_below(r, 6),
        .status = spans_below(r, 20) == 0 ? (int32_t)number(r) : (int32_t)spans_below(r, 3),
        .flags = spans_below(r, 3) == 0 ? (uint32_t)number(r) : 0x101,
        .dropped_attributes = spans_below(r, 9) == 0 ? (uint32_t)number(r) : 0,
        .dropped_events = spans_below(r, 9) == 0 ? (uint32_t)number(r) : 0,
        .dropped_links = spans_below(r, 9) == 0 ? (uint32_t)number(r) : 0,
        .name = text(r, a),
        .status_message = spans_below(r, 4) == 0 ? text(r, a) : SLICE(""),
        .trace_state = spans_below(r, 4) == 0 ? text(r, a) : SLICE(""),
        .attributes = attributes(r, a),
        .events = events(r, a, false),
        .links = events(r, a, true),
    };
    memcpy(out->trace_id, trace_id, TRACE_ID_BYTES);
    make_id(r, out->span_id, SPAN_ID_BYTES);
}

// None, itself, one before or after, one of another trace, or none that exists.
static void choose_parent(struct spans_random *r, struct span *spans, uint32_t count, uint32_t i)
{
    switch (spans_below(r, 6)) {
    case 0:
        break;
    case 1:
        make_id(r, spans[i].parent_id, SPAN_ID_BYTES);
        break;
    case 2:
        memcpy(spans[i].parent_id, spans[i > 0 ? i - 1 : 0].span_id, SPAN_ID_BYTES);
        break;
    default:
        memcpy(spans[i].parent_id, spans[spans_below(r, count)].span_id, SPAN_ID_BYTES);
    }
}

struct span *spans_make(struct spans_random *r, struct arena *a, uint32_t count)
{
    struct span *spans = arena_array(a, count, sizeof *spans);
    struct span_resource *resources = arena_array(a, ORIGINS, sizeof *resources);
    struct span_scope *scopes = arena_array(a, ORIGINS, sizeof *scopes);
    make_origins(r, a, resources, scopes);
    uint64_t trace_start = spans_below(r, 4) == 0 ? 0 : UINT64_C(1793491204000000000), left = 0, start = 0;
    uint64_t unit = spans_below(r, 2) == 0 ? 1000000 : 1; // some clocks tick in milliseconds
    uint8_t trace_id[TRACE_ID_BYTES];
    for (uint32_t i = 0; i < count; i++) {
        if (left == 0) {
            make_id(r, trace_id, sizeof trace_id);
            left = 1 + spans_below(r, spans_below(r, 8) == 0 ? 1000 : 30);
            trace_start += spans_below(r, 5) * unit;
            if (i > count / 2 && spans_below(r, 1000) == 0)
                trace_start |= UINT64_C(1) << 63; // past int64_t
            start = trace_start;
        }
        left--;
        make_span(r, a, trace_id, start, &spans[i]);
        if (i > 0 && spans_below(r, 20) == 0)
            memcpy(spans[i].span_id, spans[i - 1].span_id, SPAN_ID_BYTES); // a shared span
        spans[i].resource = &resources[spans_below(r, ORIGINS)];
        spans[i].scope = &scopes[spans_below(r, ORIGINS)];
        start += spans_below(r, 50) * unit;
    }
    for (uint32_t i = 0; i < count; i++)
        choose_parent(r, spans, count, i);
    return spans;
}

bool spans_read(void *ctx, uint64_t pos, size_t bytes, struct arena *a, struct slice *out, struct err *err)
{
    (void)a;
    const struct slice *all = ctx;
    if (pos > all->len || bytes > all->len - pos)
        return err_set(err, ERR_CORRUPT, "bytes behind the end of a block");
    *out = slice_of(all->ptr + pos, bytes);
    return true;
}
