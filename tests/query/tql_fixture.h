/*
 * tql_fixture.h -- the traces of traceql.md 17: T1 (A to F), T2 (G), T3 (H, I).
 */
#pragma once

#include "base/arena.h"
#include "query/traces.h"

#define FIXTURE_T0 UINT64_C(1700000000000000000)

enum { FIXTURE_TRACES = 3, FIXTURE_SPANS = 9 };

// In the order of the letters; a trace's spans lie together, by start. Everything lives in `a`.
void fixture_make(struct arena *a, struct span spans[FIXTURE_SPANS]);
extern const uint32_t fixture_first[FIXTURE_TRACES + 1];
// A to I, by span ID.
char fixture_letter(const uint8_t span_id[SPAN_ID_BYTES]);

// Makes values of attributes.
struct span_value fixture_text(const char *text);
struct span_value fixture_int(int64_t integer);
struct span_value fixture_array(struct arena *a, const struct span_value *items, uint32_t count);
void fixture_attributes(struct arena *a, struct span_attributes *out, const struct span_attribute *items, uint32_t count);
#define FIXTURE_PAIR(key, value) ((struct span_attribute){slice_cstr(key), value})
#define FIXTURE_PAIRS(a, out, ...)                                                                                     \
    fixture_attributes((a), (out), (const struct span_attribute[]){__VA_ARGS__},                                       \
                       COUNT_OF(((const struct span_attribute[]){__VA_ARGS__})))

// A found trace as the tables have it: `T1[A B count()=2]`; with `attributes` each span's.
void fixture_print(const struct found_trace *found, bool attributes, struct buf *out);
void fixture_print_attribute(const struct span_attribute *attribute, struct buf *out); // key=value
