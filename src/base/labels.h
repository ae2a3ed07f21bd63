/*
 * labels.h -- the canonical label set, its text, and what matches it.
 *
 * A set is sorted by name (bytewise), without empty values and without two pairs of one name. Its
 * encoded form is its identity in memory and on disk, for stream labels and structured metadata alike:
 *     varint count, then per pair: varint name bytes, name, varint value bytes, value
 * The empty set is one zero byte. A stream's fingerprint is XXH3-128 of this encoding.
 */
#pragma once

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/slice.h"

struct label {
    struct slice name;
    struct slice value;
};

struct labels {
    struct label *items; // borrowed, usually from a request arena
    uint32_t count;
};

#define LABELS_EMPTY SLICE("\0")

// Parses `{name="value", ...}` (contract loki-http.md 17.4) in the order given, empty values and equal
// names included; see labels_canon(). Values are unescaped into the arena; those without an escape
// borrow from `text`. On a syntax error: ERR_INPUT, text `1:N: parse error: ...` with N the 1-based byte.
MUST_CHECK bool labels_parse(struct slice text, struct arena *a, struct labels *out, struct err *err);

// Drops empty values and sorts by name, in place. Returns the first name that occurs twice (its pairs
// stay), or an empty slice.
struct slice labels_canon(struct labels *l);

void labels_encode(struct buf *b, const struct labels *l);
size_t labels_encoded_bytes(const struct labels *l);
// Writes labels_encoded_bytes() bytes at `to`.
void labels_encode_at(uint8_t *to, const struct labels *l);
// Encoded in `a`; an empty slice (ptr NULL) when the arena is full.
struct slice labels_encoded(const struct labels *l, struct arena *a);
// Borrows from `encoded`. ERR_CORRUPT when the bytes are not exactly one set.
MUST_CHECK bool labels_decode(struct slice encoded, struct arena *a, struct labels *out,
                              struct err *err);
// Whether the bytes are exactly one canonical set; without an arena.
bool labels_valid(struct slice encoded);
// Trusted, already verified bytes: walks pairs without an arena.
//     for (struct labels_walk w = labels_walk(enc); labels_next(&w, &label);) ...
struct labels_walk {
    const uint8_t *pos;
    const uint8_t *end;
    uint64_t left;
};
struct labels_walk labels_walk(struct slice encoded);
bool labels_next(struct labels_walk *w, struct label *label_out);
// Value of `name` in an encoded set; an empty slice when absent.
struct slice labels_find(struct slice encoded, struct slice name);
const struct label *labels_get(const struct labels *l, struct slice name); // NULL when absent

// Appends `{a="b", c="d"}`: values quoted as Go's %q (loki-http.md 17.5 "canonical label string").
void labels_print(struct buf *b, struct slice encoded);
// Go's strconv.Quote: \a \b \f \n \r \t \v \\ \" , \xHH for invalid bytes and control characters,
// \u/\U for unprintable runes.
void labels_quote(struct buf *b, struct slice text);
// Order of result streams: bytewise order of the printed strings.
int labels_cmp_printed(struct slice encoded_a, struct slice encoded_b);

// --- matchers (logql.md section 6) -------------------------------------------------------------------

enum match_op { MATCH_EQ, MATCH_NE, MATCH_RE, MATCH_NRE };

struct label_matcher {
    struct slice name;
    enum match_op op;
    struct slice value; // text, or the regex source
    // For MATCH_RE and MATCH_NRE: whether the regex matches the whole value. Borrowed; any thread.
    bool (*regex_full_match)(const void *regex, struct slice value);
    const void *regex;
};

// Applies the operator; an absent label is the empty value.
bool label_matcher_test(const struct label_matcher *m, struct slice value);
bool label_matchers_test(const struct label_matcher *m, size_t count, struct slice encoded);
