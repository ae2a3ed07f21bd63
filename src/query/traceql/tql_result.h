/*
 * tql_result.h -- what a search says of a trace that it found (traceql.md 12).
 */
#pragma once

#include "query/traceql/tql_sets.h"

// The attributes that a query mentions, as they are shown with its spans.
struct tql_shown;
struct tql_shown *tql_shown_new(const struct traceql *q, struct arena *a); // NULL when the arena is full

// The attributes of the row's span, in the order of the query. `keys`: with scopes, as labels are printed, and none left
// out; else bare names, without those that a span has fields for. What is made lives in `a`.
void tql_shown_attributes(const struct tql_shown *shown, struct tql_eval *ev, bool labels, struct arena *a,
                          struct span_attributes *out);

// What holds of a trace whatever is asked: IDs, times, root.
void tql_result_trace(struct tql_trace *t, struct arena *a, struct found_trace *out);
// Spansets and services too. `sets` were found by the query.
void tql_result_sets(const struct tql_shown *shown, struct tql_trace *t, const struct tql_spansets *sets, uint32_t spans_per_set,
                     struct arena *a, struct found_trace *out);
// Gives every attribute key of a response values of one type (traces-http.md 13.3): text, where numbers and others mix.
void tql_result_even(struct found_trace *traces, uint32_t count, struct arena *a);
