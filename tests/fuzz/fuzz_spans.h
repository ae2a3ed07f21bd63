/* fuzz_spans.h -- what must hold of spans that any parser accepted. */
#pragma once

#include "base/limits.h"
#include "ingest/format.h"

#include <assert.h>

// Messages are whole, say what the batch says of them, and give the same again; sources can be read.
static inline void check_spans(const struct spans *spans, struct arena *a)
{
    const struct batch *batch = &spans->batch;
    struct err err;
    assert(spans_rejected(spans) + batch->spans_count == spans->seen);
    for (uint32_t i = 0; i < batch->spans_count; i++) {
        const struct batch_span *s = &batch->spans[i];
        struct span span, again;
        struct span_event event;
        struct span_link link;
        AUTO(buf_done) struct buf b;
        buf_init(&b, 0);
        assert(s->message.len <= INGEST_SPAN_BYTES_MAX && span_valid(s->message, &err));
        bool good = span_parse(s->message, a, &span, &err);
        if (a->overflowed)
            return;
        assert(good && memcmp(span.trace_id, s->trace_id, TRACE_ID_BYTES) == 0 &&
               memcmp(span.span_id, s->span_id, SPAN_ID_BYTES) == 0);
        assert(span.kind == s->kind && span.start_ns == s->start_ns && span.end_ns == s->end_ns);
        for (struct pb walk = pb_of(span.events); span_event_next(&walk, a, &event);)
            continue;
        for (struct pb walk = pb_of(span.links); span_link_next(&walk, a, &link);)
            continue;
        span_put(&b, &span);
        good = span_parse(buf_slice(&b), a, &again, &err);
        assert(a->overflowed || (good && again.attributes.count == span.attributes.count && again.events.len == span.events.len));
        assert(s->resource < batch->resources_count && s->scope < batch->scopes_count);
    }
    for (uint32_t i = 0; i < batch->resources_count; i++) {
        struct span_resource resource;
        bool good = span_resource_valid(batch->resources[i], &err) && span_resource_parse(batch->resources[i], a, &resource, &err);
        assert(good || a->overflowed);
    }
    for (uint32_t i = 0; i < batch->scopes_count; i++) {
        struct span_scope scope;
        bool good = span_scope_valid(batch->scopes[i], &err) && span_scope_parse(batch->scopes[i], a, &scope, &err);
        assert(good || a->overflowed);
    }
}

static inline void fuzz_spans(bool (*parse)(struct slice body, struct spans *spans, struct err *err), const uint8_t *bytes,
                              size_t len)
{
    struct arena a;
    struct spans spans;
    struct err err;
    arena_init(&a, 64 * MIB);
    spans_init(&spans, &a, SLICE("t"), INT64_MIN, NULL, 0);
    if (parse(slice_of(bytes, len), &spans, &err) && spans_finish(&spans, &err))
        check_spans(&spans, &a);
    (void)refusals_text(&spans.refusals, &a);
    spans_done(&spans);
    arena_done(&a);
}
