/*
 * request.h -- what a handler is given and what it gives back: no socket, no HTTP library.
 *
 * A handler is a plain function from request to response; it runs on a worker thread and may block.
 * Everything that a request points at lives until its response was sent; what the handler allocates
 * from the arena lives until the handler returns, so a response body is a buffer of its own.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "server/server.h"

#include <stdatomic.h>

enum method { METHOD_GET = 1, METHOD_POST = 2, METHOD_OTHER = 4, METHOD_PUT = 8, METHOD_DELETE = 16, METHOD_HEAD = 32 };

// What all handlers share.
struct app {
    const struct config *config; // borrowed from main
    struct store *store;         // borrowed from main
    struct crew *crew;           // threads of queries
    struct tails *tails;
    struct ingest_options ingest;
    atomic_bool stopping;
};

struct request {
    struct arena *arena; // borrowed from the worker
    enum method method;
    struct slice name;  // `{name}` or `{tag}` of the path, decoded
    struct slice query; // raw, behind `?`
    struct slice body;
    struct slice content_type; // header values; empty when absent
    struct slice content_encoding;
    struct slice accept;
    struct slice user_agent;
    struct slice tenant_header; // the first
    unsigned tenant_headers;    // how many
    struct slice encoding_flags;
    struct slice query_tags;    // `X-Query-Tags`
    struct slice upgrade;       // `Upgrade`
    struct slice websocket_key; // `Sec-WebSocket-Key`; empty unless the version is 13
    struct slice tenant; // checked; empty on routes without; several with `|` between where a route takes many
    int64_t arrival_mono_ns; // when the request was whole
    int64_t start_mono_ns;   // when a worker took it
    const atomic_bool *cancelled; // the client left, or the server stops
};

struct response {
    int status;
    const char *content_type; // static; NULL: none
    bool nosniff;
    bool query; // an answer of the query side: may be compressed, varies with Accept-Encoding
    int retry_after_s;        // 0: no such header
    struct tail *tail;        // owned: the connection becomes a websocket that serves it
    unsigned allow;           // 405: of enum method, what would have been right
    char delete_request_id[16]; // `X-Delete-Request-ID`; empty: none
    const char *warning;      // `X-Mstore-Warning`; printable, borrowed, lives until the response was sent
    const char *location;     // 301; borrowed, lives until the response was sent
    struct buf body;          // owned
};

#define CONTENT_JSON "application/json; charset=UTF-8"
#define CONTENT_JSON_PLAIN "application/json"
#define CONTENT_TEXT "text/plain; charset=utf-8"

// Body empty, memory kept.
void response_reset(struct response *rs);
// Replaces whatever was there by a text of the form of loki-http.md 3.1.
void response_text(struct response *rs, int status, const char *text, bool newline);
// As response_text(), status and text by the error (status table in response.c).
void response_error(struct response *rs, const struct err *err, bool newline);
// The status that an error code is answered with.
int response_status(enum err_code code);
