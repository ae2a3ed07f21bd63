/*
 * err.h -- one error, said once, acted on at the edge.
 *
 * A fallible function returns bool and takes `struct err *err` last. On false it has set a code (for
 * the program) and a text (for the operator). Callers add context with err_wrap() or handle it.
 */
#pragma once

#include "base/attr.h"

#include <stdbool.h>

// code, name in diag messages
#define ERR_CODES(X)                                                                               \
    X(ERR_NONE, "none")                                                                            \
    X(ERR_INPUT, "bad input")             /* the request is wrong; the same again stays wrong */   \
    X(ERR_EMPTY, "empty push")            /* a push without any stream */                          \
    X(ERR_UNAUTHORIZED, "no tenant")      /* a tenant is required and missing */                   \
    X(ERR_NOT_FOUND, "not found")                                                                  \
    X(ERR_TOO_LARGE, "too large")         /* a body over its limit */                              \
    X(ERR_MEDIA_TYPE, "unsupported media type")                                                    \
    X(ERR_LIMIT, "limit exceeded")        /* a named limit of a query or of memory */              \
    X(ERR_BUSY, "busy")                   /* try again: backlog or queue full */                   \
    X(ERR_FULL, "disk full")              /* try again when space returned */                      \
    X(ERR_IO, "input/output error")                                                                \
    X(ERR_CORRUPT, "corrupt data")        /* bytes on disk are not what was written */             \
    X(ERR_VERSION, "another version")     /* made by another version of the program */             \
    X(ERR_TIMEOUT, "deadline exceeded")                                                            \
    X(ERR_CANCELLED, "cancelled")         /* the client left, or the server stops */               \
    X(ERR_EVAL, "evaluation error")       /* a query that parses but cannot be evaluated */

enum err_code {
#define X(code, name) code,
    ERR_CODES(X)
#undef X
};

enum { ERR_TEXT_BYTES = 1024 };

struct err {
    enum err_code code;
    char text[ERR_TEXT_BYTES]; // NUL-terminated, cut if longer
};

#ifdef __cplusplus
extern "C" {
#endif

// Both always return false, so that `return err_set(...)` reads well. err may be NULL.
bool err_set(struct err *err, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);
// Prepends "context: " and keeps the code.
bool err_wrap(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
// As err_set with ": strerror(errno_value)" appended. ENOSPC, EDQUOT and EFBIG are ERR_FULL, all
// other values ERR_IO (ENOENT: ERR_NOT_FOUND).
bool err_errno(struct err *err, int errno_value, const char *fmt, ...) PRINTF_LIKE(3, 4);
const char *err_name(enum err_code code);

#ifdef __cplusplus
}
#endif
