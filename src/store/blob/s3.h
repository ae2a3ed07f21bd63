/*
 * s3.h -- one S3 request, repeated until it is answered: what blob.c and multipart.c are made of.
 */
#pragma once

#include "store/blob/blob.h"
#include "store/blob/credentials.h"
#include "store/blob/transport.h"

enum { S3_KEY_BYTES = 1100, S3_URL_BYTES = 8192, S3_CALL_HEADERS_MAX = 3 };

struct blob_store {
    // Set by blob_open(); the rest has locks of its own.
    struct blob_options options; // texts owned, defaults filled in
    bool host_style;
    char *name;
    struct transport *transport;
    struct keyring *keyring;
};

struct s3_call {
    const char *what; // for errors: "get"
    const char *method;
    const char *key;   // relative to the prefix; NULL: the bucket itself
    const char *query; // encoded, sorted, each parameter with `=`; NULL: none
    const char *headers[S3_CALL_HEADERS_MAX]; // further ones
    uint32_t headers_count;
    struct slice body;
    const char *etag_want; // the MD5 of the body as hex digits, which the answer's ETag is to be;
                           // NULL: no matter
    bool ranged;           // `to` is to be filled from range_pos
    uint64_t range_pos;
    void *to;
    size_t to_bytes;
    size_t body_bytes_max; // of answer.body
    bool unguarded;        // options.may_write is not asked
    int status_fine;       // an answer that is the caller's to judge, besides 2xx; 0: none
    int64_t stall_ns;      // 0: the store's
};

// On true the answer has a status of 2xx or status_fine, and is whole. The caller owns it either
// way.
MUST_CHECK bool s3_do(struct blob_store *bs, const struct s3_call *call,
                      struct transport_answer *answer, struct err *err);

static inline void s3_answer_donep(struct transport_answer *a)
{
    transport_answer_done(a);
}
// The header that makes a put depend on what is there. False: it does not.
enum { S3_CONDITION_BYTES = BLOB_ETAG_BYTES + 32 };
bool s3_condition(const char *want, char header[S3_CONDITION_BYTES]);
// "operation of `key` in s3://bucket/prefix at URL: " before what `err` says.
bool s3_wrap(const struct blob_store *bs, const char *what, const char *key, struct err *err);

// --- multipart.c
// ------------------------------------------------------------------------------------

MUST_CHECK bool multipart_put_file(struct blob_store *bs, const char *key, int fd, const char *path,
                                   uint64_t bytes, const char *want, struct err *err);
// Puts one body in one request; the answer's ETag is checked and given back.
MUST_CHECK bool s3_put_bytes(struct blob_store *bs, const struct s3_call *like, struct slice bytes,
                             struct transport_answer *answer, struct err *err);
