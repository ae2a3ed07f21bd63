/*
 * blob.h -- an object store: named bytes in a bucket, whole or not there at all. Speaks S3.
 *
 * Keys are relative to the prefix of the options. What is put was confirmed: the server checked a
 * digest of the bytes, and its answer (the ETag, where it is an MD5) was checked against ours. What
 * is got has the length that was asked for; that the bytes are right is for the reader to check
 * (segments carry checksums of their own).
 *
 * Each call repeats what may be repeated (retry.c) until it succeeds or its time is up, and blocks
 * meanwhile. Errors name the operation, the bucket and the key: ERR_NOT_FOUND  the key is not there
 * (a missing bucket is ERR_IO) ERR_TIMEOUT    nothing but silence until the time was up ERR_IO
 * refused, unreachable, or the answers stayed unusable ERR_CANCELLED  blob_stop() ERR_BUSY  what is
 * there is not what the caller wants it to be, or may_write() says no
 *
 * Any thread.
 */
#pragma once

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

struct blob_store;

enum blob_style { BLOB_STYLE_AUTO, BLOB_STYLE_PATH, BLOB_STYLE_HOST };

struct blob_options {
    const char *url; // "https://s3.eu-central-1.amazonaws.com", "http://127.0.0.1:9000"
    const char *bucket;
    const char
        *prefix; // "" or "some/where/"; a missing slash is added. Letters, digits and !-_.*'()/
    const char
        *region; // NULL: AWS_REGION, AWS_DEFAULT_REGION, the one in an amazonaws.com URL, us-east-1
    const char *credentials_file; // NULL: as credentials.h looks
    enum blob_style style; // AUTO: virtual host for amazonaws.com and names without dots, else path
    int64_t connect_ns;    // 0: BLOB_CONNECT_NS
    int64_t stall_ns;      // 0: BLOB_STALL_NS; whole seconds
    int64_t deadline_ns;   // 0: BLOB_DEADLINE_NS; no attempt begins later than this after the call
    uint64_t send_bytes_per_s; // of one upload; 0: no bound
    uint32_t attempts_max; // 0: BLOB_ATTEMPTS_MAX
    // Asked before each attempt of what changes the bucket, but for blob_put_if(), which says itself
    // on what condition: false ends it (ERR_BUSY). NULL: always.
    bool (*may_write)(void *ctx);
    void *may_write_ctx;
};

// Does not touch the network: ERR_INPUT for options that make no sense.
MUST_CHECK bool blob_open(const struct blob_options *options, struct blob_store **bs_out,
                          struct err *err);
// No call may be running. NULL is fine.
void blob_close(struct blob_store *bs);
static inline void blob_closep(struct blob_store **bs)
{
    blob_close(*bs);
}
// Calls under way and later ones fail soon (ERR_CANCELLED), so that a process can end.
void blob_stop(struct blob_store *bs);
// "s3://bucket/prefix", for messages.
const char *blob_name(const struct blob_store *bs);

enum { BLOB_ETAG_BYTES = 128, BLOB_KEY_BYTES_MAX = 1024 };

struct blob_info {
    uint64_t bytes;
    char etag[BLOB_ETAG_BYTES]; // as the server writes it, quotes included; "" when it gave none
};

// What has to be there for a put to be done, or an ETag. Some servers ignore it.
#define BLOB_ANYTHING NULL
#define BLOB_NOTHING ""
// Puts bytes [0, bytes) of a file: in one request up to BLOB_PART_BYTES, else in parts that become
// visible together. Asks the server afterwards what it has (*info_out; NULL: only whether all of it). ERR_BUSY: something else is
// there than `want`; when an answer was lost on the way, that may be ours.
MUST_CHECK bool blob_put_file(struct blob_store *bs, const char *key, int fd, const char *path, uint64_t bytes,
                              const char *want, struct blob_info *info_out, struct err *err);
// At most BLOB_PART_BYTES.
MUST_CHECK bool blob_put(struct blob_store *bs, const char *key, struct slice bytes,
                         const char *want, struct err *err);
// Puts if there is no such object (etag NULL), or if it still is the one with that ETag. *put_out
// tells whether; info_out->etag is then the new one. When an answer was lost on the way and the
// call repeated, *put_out may be false though the bytes are ours: the caller looks. Some servers
// ignore the condition.
MUST_CHECK bool blob_put_if(struct blob_store *bs, const char *key, struct slice bytes,
                            const char *etag, bool *put_out, struct blob_info *info_out,
                            struct err *err);
// Exactly `bytes` bytes from `pos`. An object that ends before is ERR_CORRUPT.
MUST_CHECK bool blob_get(struct blob_store *bs, const char *key, uint64_t pos, void *to,
                         size_t bytes, struct err *err);
// An object of that length into a file, which is made anew and synced. *check_out: XXH3-64 of its
// bytes. On false the file may be there.
MUST_CHECK bool blob_get_file(struct blob_store *bs, const char *key, uint64_t bytes,
                              const char *path, uint64_t *check_out, struct err *err);
// A whole object of at most bytes_max, appended to `to`; a larger one is ERR_LIMIT.
MUST_CHECK bool blob_get_whole(struct blob_store *bs, const char *key, size_t bytes_max,
                               struct buf *to, struct blob_info *info_out, struct err *err);
MUST_CHECK bool blob_head(struct blob_store *bs, const char *key, struct blob_info *info_out,
                          struct err *err);
// An absent key is fine.
MUST_CHECK bool blob_delete(struct blob_store *bs, const char *key, struct err *err);

// Takes back the parts of puts under `under` that were begun and neither finished nor given up: nobody sees them, and they cost. No
// put may be under way there. Up to a thousand of them.
MUST_CHECK bool blob_drop_parts(struct blob_store *bs, const char *under, struct err *err);

struct blob_item {
    const char *key; // relative to the store's prefix
    uint64_t bytes;
    int64_t modified_ns; // by the server's clock
    const char *etag;    // "" when the list tells none
};
// Every object whose key begins with `under`, in ascending order of keys. visit() may stop with
// false and an error.
MUST_CHECK bool blob_list(struct blob_store *bs, const char *under,
                          bool (*visit)(void *ctx, const struct blob_item *item, struct err *err),
                          void *ctx, struct err *err);
