/*
 * tql_eval.h -- a field expression on one span (traceql.md 9).
 *
 * Where the span's values come from is the caller's: an assembled trace (tql_trace.h) or a row of a block (tql_rows.h). The
 * expression is a lowered one (tql_lower()). Nothing is allocated but events and links that are looked at, in `scratch`,
 * which is rewound.
 */
#pragma once

#include "query/traceql/tql_ast.h"

struct tql_source {
    // Of anything but events and links.
    struct tql_value (*value)(void *ctx, const struct tql_attr *attr);
    struct slice (*events)(void *ctx); // as span.events
    struct slice (*links)(void *ctx);
    uint64_t (*start_ns)(void *ctx);
};

enum { TQL_ID_TEXTS = 4, TQL_ID_TEXT_BYTES = 2 * TRACE_ID_BYTES };

struct tql_eval {
    const struct tql_source *source;
    void *ctx;
    struct arena *scratch;
    const struct span_event *event; // in hand; NULL: any
    const struct span_link *link;
    const char *problem; // why the query ends: a division by zero. The caller starts with NULL
    // IDs as text, of the last few asked for: an operator looks at two.
    uint8_t ids[TQL_ID_TEXTS][TQL_ID_TEXT_BYTES];
    unsigned ids_next;
};

struct tql_value tql_eval(struct tql_eval *ev, const struct tql_expr *e);
// Whether the expression is true.
static inline bool tql_eval_true(struct tql_eval *ev, const struct tql_expr *e)
{
    return tql_true(tql_eval(ev, e));
}
// An attribute's value; of events and links that of the one in hand, or of the first that has it.
struct tql_value tql_eval_attr(struct tql_eval *ev, const struct tql_attr *attr);

// Lower hex in ev->ids; `strip`: without leading zeros.
struct tql_value tql_id_value(struct tql_eval *ev, const uint8_t *id, size_t bytes, bool strip);
// The first event (link) for which `condition` is true (NULL: the first): false when there is none. Lives in ev->scratch.
bool tql_first_event(struct tql_eval *ev, const struct tql_expr *condition, struct span_event *out);
bool tql_first_link(struct tql_eval *ev, const struct tql_expr *condition, struct span_link *out);

// The value of a resource, scope or intrinsic of the instrumentation: what needs no span.
struct tql_value tql_find(const struct span_attributes *attributes, struct slice key);
