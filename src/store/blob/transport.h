/*
 * transport.h -- the door to libcurl: one HTTP request, one answer, on connections that are kept.
 *
 * A thread takes an idle handle, with its connections, for the time of a request, and gives it
 * back. Redirects are not followed. Any thread.
 */
#pragma once

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

struct transport;

struct transport_options {
    int64_t connect_ns;
    int64_t stall_ns; // whole seconds; also the longest silence
    uint64_t send_bytes_per_s; // 0: no bound
};

struct transport *transport_new(const struct transport_options *options);
void transport_free(struct transport *t); // no request may be running; NULL is fine
// Requests under way and later ones end with ERR_CANCELLED.
void transport_stop(struct transport *t);
bool transport_stopped(const struct transport *t);
// Waits so long, or until transport_stop(): then false with ERR_CANCELLED.
MUST_CHECK bool transport_pause(struct transport *t, int64_t pause_ns, struct err *err);

// AWS Signature Version 4.
struct transport_signature {
    const char *region;
    const char *service; // "s3"
    const char *key_id;
    const char *secret;
};

enum { TRANSPORT_HEADERS_MAX = 12 };

struct transport_request {
    const char *method;                         // GET, HEAD, PUT, POST, DELETE
    const char *url;                            // encoded; query parameters sorted, each with `=`
    const char *headers[TRANSPORT_HEADERS_MAX]; // "Name: value"
    uint32_t headers_count;
    struct slice body;                      // of PUT and POST
    const struct transport_signature *sign; // NULL: unsigned
    void *to; // where the body of a 2xx answer goes, which is to have to_bytes bytes; NULL:
              // answer.body
    size_t to_bytes;
    size_t body_bytes_max; // of answer.body
    int64_t stall_ns;      // 0: the transport's
    int64_t total_ns;      // for the whole request; 0: as long as it makes progress
};

enum { TRANSPORT_TEXT_BYTES = 128 };

struct transport_answer {
    int status;
    struct buf
        body; // owned; of another status than 2xx, or when `to` is NULL; may be cut for the former
    size_t got_bytes; // of `to`
    uint64_t length;  // Content-Length; UINT64_MAX: none was given
    char etag[TRANSPORT_TEXT_BYTES];
    char range[TRANSPORT_TEXT_BYTES]; // Content-Range
    char date[TRANSPORT_TEXT_BYTES];
    char retry_after[TRANSPORT_TEXT_BYTES];
    char region[TRANSPORT_TEXT_BYTES];     // x-amz-bucket-region
    char request_id[TRANSPORT_TEXT_BYTES]; // x-amz-request-id
    bool encrypted; // the server encrypts with keys of its own, so that the ETag is no MD5
};

// Percent-encoding (RFC 3986, 2.3) of all but unreserved characters and those in `kept`.
void url_encode(struct buf *b, const char *text, const char *kept);

void transport_answer_init(struct transport_answer *a);
void transport_answer_done(struct transport_answer *a);

// True when a whole answer came, whatever its status. False: ERR_TIMEOUT (silence), ERR_IO (no
// connection, a cut-off answer), both worth another try; ERR_INPUT (it will never work: the URL,
// the certificate), ERR_LIMIT (a body over its bound), ERR_CANCELLED.
MUST_CHECK bool transport_do(struct transport *t, const struct transport_request *request,
                             struct transport_answer *answer, struct err *err);
