/*
 * regex.h -- the door to RE2: user patterns, in linear time, with Go's error texts (logql.md 2.9).
 *
 * A compiled regex is immutable; any number of threads may match with it.
 */
#pragma once

#include "base/attr.h"
#include "base/err.h"
#include "base/slice.h"

struct regex;

enum regex_flags {
    REGEX_NONE = 0,
    REGEX_WHOLE = 1,       // must match the whole text, not a part of it
    REGEX_DOT_NEWLINE = 2, // `.` matches a line break too
};

#ifdef __cplusplus
extern "C" {
#endif

// ERR_INPUT "error parsing regexp: <kind>: `<fragment>`", or ERR_INPUT when the program would be larger
// than QUERY_REGEX_BYTES_MAX.
MUST_CHECK bool regex_compile(struct slice pattern, unsigned flags, struct regex **regex_out,
                              struct err *err);
void regex_free(struct regex *regex); // NULL is fine

// An invalid UTF-8 byte counts as one U+FFFD.
bool regex_match(const struct regex *regex, struct slice text);
// As regex_match(), in the shape that struct label_matcher wants.
bool regex_match_value(const void *regex, struct slice value);

// The first match at or after `from`: whole match and groups as [begin, end) pairs; groups that took
// no part are SIZE_MAX. `groups` counts the whole match. Positions are bytes of `text`, which must be
// valid UTF-8 for groups to be exact.
bool regex_find(const struct regex *regex, struct slice text, size_t from, size_t (*spans)[2],
                size_t groups);
size_t regex_groups(const struct regex *regex); // without the whole match
// Name of group 1.. ; empty when it has none.
struct slice regex_group_name(const struct regex *regex, size_t group);

#ifdef __cplusplus
}
#endif
