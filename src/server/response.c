/* response.c -- the form of errors, and which error code is answered with which status. */
#include "server/request.h"

#include <assert.h>

// code, status, seconds for Retry-After (0: none)
#define STATUSES(X)                                                                                \
    X(ERR_NONE, 500, 0)                                                                            \
    X(ERR_INPUT, 400, 0)                                                                           \
    X(ERR_EMPTY, 422, 0)                                                                           \
    X(ERR_UNAUTHORIZED, 401, 0)                                                                    \
    X(ERR_NOT_FOUND, 404, 0)                                                                       \
    X(ERR_TOO_LARGE, 413, 0)                                                                       \
    X(ERR_MEDIA_TYPE, 415, 0)                                                                      \
    X(ERR_LIMIT, 400, 0)                                                                           \
    X(ERR_BUSY, 503, 1)                                                                            \
    X(ERR_FULL, 503, 10)                                                                           \
    X(ERR_IO, 500, 0)                                                                              \
    X(ERR_CORRUPT, 500, 0)                                                                         \
    X(ERR_VERSION, 500, 0)                                                                         \
    X(ERR_TIMEOUT, 504, 0)                                                                         \
    X(ERR_CANCELLED, 499, 0)                                                                       \
    X(ERR_EVAL, 500, 0)

static const struct {
    int status;
    int retry_after_s;
} statuses[] = {
#define X(code, status, retry) [code] = {status, retry},
    STATUSES(X)
#undef X
};

#define X(code, name) +1
static_assert(COUNT_OF(statuses) == 0 ERR_CODES(X), "every error code has a status");
#undef X

#define TIMEOUT_TEXT                                                                               \
    "request timed out, decrease the duration of the request or add more label matchers (prefer "  \
    "exact match over regex match) to reduce the amount of data processed"

int response_status(enum err_code code)
{
    assert(code < COUNT_OF(statuses));
    return statuses[code].status;
}

void response_reset(struct response *rs)
{
    struct buf body = rs->body;
    *rs = (struct response){.status = 200, .body = body};
    buf_reset(&rs->body);
}

void response_text(struct response *rs, int status, const char *text, bool newline)
{
    bool query = rs->query;
    response_reset(rs);
    rs->query = query;
    rs->status = status;
    rs->content_type = CONTENT_TEXT;
    rs->nosniff = true;
    buf_put_cstr(&rs->body, text);
    if (newline)
        buf_put_byte(&rs->body, '\n');
}

void response_error(struct response *rs, const struct err *err, bool newline)
{
    const char *text = err->code == ERR_TIMEOUT ? TIMEOUT_TEXT : err->text;
    response_text(rs, response_status(err->code), text, newline);
    rs->retry_after_s = statuses[err->code].retry_after_s;
}
