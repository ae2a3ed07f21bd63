/*
 * spans.h -- from parsed spans to a batch: the checks that every format of spans shares (traces-http.md 7).
 *
 * A span that cannot be stored is counted and told, the rest goes into the batch. Resources and scopes enter the batch
 * with their first span, and not again while they stay the same.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "ingest/refusals.h"
#include "store/store.h"

enum span_reject {
    SPAN_REJECT_INVALID,   // no usable IDs, or values nested too deeply
    SPAN_REJECT_TOO_OLD,   // it began before what is kept
    SPAN_REJECT_TOO_LARGE, // the span, its resource or scope, or the key of an attribute of these
    SPAN_REJECTS_COUNT,
};

// The resource or scope that spans now belong to.
struct span_source {
    struct slice bytes; // canonical, in the arena
    bool in_batch;      // it is the newest one of the batch
    enum span_reject reason;
    struct slice refusal; // why spans of it are rejected; empty: they are not
};

struct spans {
    struct arena *arena; // borrowed
    int64_t oldest_ns;   // spans that began before it are rejected
    const struct retention *retention; // may demand later starts of some services; NULL: it does not
    int64_t now_ns;            // for these
    int64_t service_oldest_ns; // of the resource at hand
    struct batch batch;
    size_t spans_room, resources_room, scopes_room;
    uint64_t seen; // spans in the request, whatever became of them
    uint64_t rejected[SPAN_REJECTS_COUNT];
    struct refusals refusals;
    struct span_source resource, scope;
    struct buf scratch; // owned
};

// The batch lives in the arena, longer than `s`.
void spans_init(struct spans *s, struct arena *a, struct slice tenant, int64_t oldest_ns,
                const struct retention *retention, int64_t now_ns);
void spans_done(struct spans *s); // fine on a zeroed struct

// The functions below: false when the whole request has to be refused.

// What the following spans belong to; both are needed before the first.
MUST_CHECK bool spans_resource(struct spans *s, const struct span_resource *resource, struct err *err);
MUST_CHECK bool spans_scope(struct spans *s, const struct span_scope *scope, struct err *err);
// The same in protobuf: a ResourceSpans or ScopeSpans message, spans in it are passed over.
MUST_CHECK bool spans_resource_frame(struct spans *s, struct slice frame, struct err *err);
MUST_CHECK bool spans_scope_frame(struct spans *s, struct slice frame, struct err *err);

// A Span message, borrowed. ERR_INPUT when it is none.
MUST_CHECK bool spans_message(struct spans *s, struct slice message, struct err *err);
// A span that a parser made; its resource and scope are not looked at.
MUST_CHECK bool spans_add(struct spans *s, const struct span *span, struct err *err);

uint64_t spans_rejected(const struct spans *s);
// ERR_TOO_LARGE when the arena was full.
MUST_CHECK bool spans_finish(const struct spans *s, struct err *err);
