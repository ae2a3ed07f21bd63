/* quoted.h -- Go's string literals, as LogQL and TraceQL have them. */
#pragma once

#include "base/arena.h"
#include "base/slice.h"

// `"..."` from behind its quote; *cursor moves behind the closing one. A text without escapes is borrowed, else it is
// unescaped to `a`. NULL, or what is wrong with it; then *cursor stays. The text ends in a NUL at `limit`.
const char *quoted_scan(const uint8_t **cursor, const uint8_t *limit, struct arena *a, struct slice *out);
// Between back quotes: nothing is an escape; carriage returns are left out.
const char *quoted_scan_raw(const uint8_t **cursor, const uint8_t *limit, struct arena *a, struct slice *out);
