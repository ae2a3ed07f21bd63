/*
 * line.h -- one entry on its way through the stages: its current line, its labels by category.
 *
 * Label model: logql.md 7. A name is looked up as parsed or structured metadata, then as a stream label.
 * Metadata whose name is a stream label too is visible as `name_extracted`. Only entries whose labels a
 * stage changes are opened into a list; the others are read from their encoded sets.
 */
#pragma once

#include "base/arena.h"
#include "base/labels.h"
#include "base/slice.h"

struct line_item {
    struct slice name, value;
    bool parsed;  // else structured metadata; once parsed it stays so: its first value wins
    bool present; // false: dropped
};

// Lists of the line in hand; their memory is kept from line to line.
struct line_space {
    struct line_item *items;
    size_t count, room;
    uint32_t *slots; // by name, number + 1; only where there are many items
    size_t slots_room;
    bool indexed;
    struct slice *dropped; // stream labels that stages removed
    size_t dropped_count, dropped_room;
    // The first items are still those of this metadata, under names of its own: the next line may have it too.
    struct slice metadata; // ptr NULL: they are not
    size_t metadata_count;
};
void line_space_done(struct line_space *space);
// To be called before memory that lines' metadata lay in is used for that of other lines.
void line_space_forget(struct line_space *space);

struct line {
    int64_t time_ns;
    struct slice text;     // the current line
    struct slice stream;   // encoded labels of the stream
    uint64_t stream_names; // line_names() of them, where many lines share it; 0: look them up
    struct slice metadata; // encoded, as stored
    struct slice error;    // __error__; empty: none
    struct slice error_details;
    bool preserve_error; // __preserve_error__
    struct line_space *space; // borrowed; NULL where no stage changes labels
    bool opened;
    struct arena *scratch; // what stages make lives here until the next line
};

// A summary of the names in an encoded set, by which most that are not among them are told.
uint64_t line_names(struct slice stream);
// Value of a label as stages see it; *found_out tells an empty one from an absent one.
struct slice line_label(const struct line *l, struct slice name, bool *found_out);
void line_fail(struct line *l, const char *error, const char *details);

// What a parser found. `again`: replaces what an earlier parser wrote of that name.
void line_parse_label(struct line *l, struct slice name, struct slice value, bool again);
// label_format: whatever was there.
void line_set_label(struct line *l, struct slice name, struct slice value);
void line_drop_label(struct line *l, struct slice name);
// Calls keep() for every visible label and drops those for which it returns false.
void line_keep_labels(struct line *l, bool (*keep)(const void *ctx, struct slice name, struct slice value),
                      const void *ctx);

// What a result shows, encoded in `a`: stream labels that are still visible; structured metadata under
// visible names; what stages set, errors included. An empty slice (ptr NULL) when the arena is full.
struct slice line_stream(const struct line *l, struct arena *a);
struct slice line_metadata(const struct line *l, struct arena *a);
struct slice line_parsed(const struct line *l, struct arena *a);
// The full set: stream, metadata, parsed.
struct slice line_labels(const struct line *l, struct arena *a);
// Only those of `names` that exist (or, `without`, all others).
struct slice line_grouped(const struct line *l, const struct slice *names, size_t count, bool without,
                          struct arena *a);
