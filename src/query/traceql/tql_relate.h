/* tql_relate.h -- structural operators between two sets of spans of a trace (traceql.md 10.2). */
#pragma once

#include "query/traceql/tql_trace.h"

// `left` and `right` hold a byte per span; `right` becomes the result. Linear. False when the arena is full.
MUST_CHECK bool tql_relate(enum tql_op op, const struct tql_structure *s, uint32_t count, const uint8_t *left, uint8_t *right,
                           struct arena *a);
