/*
 * json.h -- a pull reader of JSON (RFC 8259): the caller asks for what it expects.
 *
 * The first failure sticks: later calls do nothing and give nothing, so a parser may check once per
 * object. Strings are lenient: control characters stand for themselves, bytes need not be UTF-8.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"

struct json {
    const uint8_t *start, *pos, *end;
    struct arena *a;  // for strings with escapes; borrowed
    const char *what; // NULL while good; static text of what is wrong at `pos`
};

struct json json_of(struct slice text, struct arena *a);
// The first byte of the next value, `}`, `]`; 0 at the end of the text.
uint8_t json_peek(struct json *j);
void json_fail(struct json *j, const char *what);
// Position and reason of the failure.
bool json_error(const struct json *j, struct err *err);

// Consumes the brace.
void json_enter(struct json *j, uint8_t brace);
// Whether another member follows in an object or array begun with json_enter(); consumes the comma, or
// the closing brace. `first` is true before the first member.
bool json_more(struct json *j, uint8_t closing, bool *first);
// The member's key and colon.
struct slice json_key(struct json *j);
// A string, unescaped.
struct slice json_string(struct json *j);
// Any value as its text, unchanged.
struct slice json_raw(struct json *j);
// Consumes `null` if it comes next.
bool json_null(struct json *j);
