/*
 * uri.h -- request targets as text: path apart from query, escapes undone once, doubled slashes cleaned.
 *
 * loki-http.md 1.1: `{name}` is decoded once, so `%2F` makes another path; `//` is answered 301.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"

struct uri {
    struct slice path;  // still escaped
    struct slice query; // behind the first `?`, still escaped
};

// Splits a request target; the scheme and host of an absolute form are left away.
struct uri uri_split(struct slice target);

// Undoes percent escapes; `plus` also turns `+` into a blank. ERR_INPUT `invalid URL escape "%zz"`.
// Borrows from `text` when there is nothing to undo.
MUST_CHECK bool uri_unescape(struct slice text, bool plus, struct arena *a, struct slice *out,
                             struct err *err);

// The path without doubled slashes and `.`/`..` segments, a trailing slash kept. Borrows when clean.
struct slice uri_clean(struct slice path, struct arena *a);

// Escapes what may not stand in a path (RFC 3986).
struct slice uri_escape_path(struct slice path, struct arena *a);
