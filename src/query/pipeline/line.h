/*
 * line.h -- one entry on its way through the stages: its current line, its labels by category.
 *
 * Label model: logql.md 7. A name is looked up as parsed > structured metadata > stream label. Metadata
 * whose name is a stream label too is visible as `name_extracted`.
 */
#pragma once

#include "base/arena.h"
#include "base/labels.h"
#include "base/slice.h"

struct line {
    int64_t time_ns;
    struct slice text;     // the current line
    struct slice stream;   // encoded labels of the stream
    struct slice metadata; // encoded, as stored
    struct slice error;    // __error__; empty: none
    struct slice error_details;
};

// Value of a label as stages see it; *found_out tells an empty one from an absent one.
struct slice line_label(const struct line *l, struct slice name, bool *found_out);

// What a result shows: structured metadata under its visible names, and what stages set (errors included),
// both encoded in `a`. An empty slice (ptr NULL) when the arena is full.
struct slice line_metadata(const struct line *l, struct arena *a);
struct slice line_parsed(const struct line *l, struct arena *a);
// The full set: stream, metadata, parsed.
struct slice line_labels(const struct line *l, struct arena *a);
// Only those of `names` that exist (or, `without`, all others).
struct slice line_grouped(const struct line *l, const struct slice *names, size_t count, bool without,
                          struct arena *a);
