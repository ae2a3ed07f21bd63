/*
 * multipart.c -- puts bytes: in one request, or a large file in parts that become one object at
 * once.
 *
 * A part is in memory whole, so that it can be digested before it is sent, and sent again. Parts of
 * an upload that fails are taken back; those that a crash leaves are invisible, and go
 * by blob_drop_parts().
 */
#include "store/blob/s3.h"

#include "base/base64.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/metric.h"
#include "store/blob/s3_xml.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

// The server may be long in putting the parts of a large object together.
#define COMPLETE_STALL_NS (60 * NS_PER_S)
enum { UPLOAD_ID_BYTES = 1024 };

bool s3_put_bytes(struct blob_store *bs, const struct s3_call *like, struct slice bytes,
                  struct transport_answer *answer, struct err *err)
{
    uint8_t digest[DIGEST_MD5_BYTES];
    char hex[2 * DIGEST_MD5_BYTES + 1];
    AUTO(buf_done) struct buf header;
    buf_init(&header, 0);
    digest_md5(bytes, digest);
    digest_hex(digest, sizeof digest, hex);
    buf_put_cstr(&header, "Content-MD5: ");
    base64_encode(&header, slice_of(digest, sizeof digest));
    buf_put_byte(&header, '\0');
    struct s3_call call = *like;
    assert(call.headers_count < S3_CALL_HEADERS_MAX);
    call.headers[call.headers_count++] = (const char *)header.ptr;
    call.method = "PUT";
    call.body = bytes;
    call.etag_want = hex;
    call.body_bytes_max = BLOB_ANSWER_BYTES_MAX;
    if (!s3_do(bs, &call, answer, err))
        return false;
    metric_add(COUNTER_S3_PUT_BYTES, bytes.len);
    return true;
}

// --- parts
// ------------------------------------------------------------------------------------------

struct upload {
    struct blob_store *bs;
    const char *key;
    char id[UPLOAD_ID_BYTES]; // as the server gave it
    struct buf list;          // the parts so far, as the XML that completes the upload
};

static void upload_done(struct upload *u)
{
    buf_done(&u->list);
}

static bool begin(struct upload *u, struct err *err)
{
    AUTO(s3_answer_donep) struct transport_answer answer;
    transport_answer_init(&answer);
    struct s3_call call = {.what = "begin to put",
                           .method = "POST",
                           .key = u->key,
                           .query = "uploads=",
                           .body_bytes_max = BLOB_ANSWER_BYTES_MAX};
    if (!s3_do(u->bs, &call, &answer, err))
        return false;
    if (!xml_text(buf_slice(&answer.body), "UploadId", u->id, sizeof u->id) || u->id[0] == '\0')
        return err_set(err, ERR_IO, "the answer names no upload") ||
               s3_wrap(u->bs, call.what, u->key, err);
    return true;
}

// "partNumber=1&uploadId=...", without a number when it is 0.
static void put_query(const struct upload *u, uint32_t number, struct buf *b)
{
    if (number > 0)
        buf_printf(b, "partNumber=%u&", number);
    buf_put_cstr(b, "uploadId=");
    url_encode(b, u->id, "");
    buf_put_byte(b, '\0');
}

static bool put_part(struct upload *u, uint32_t number, struct slice bytes, struct err *err)
{
    AUTO(s3_answer_donep) struct transport_answer answer;
    transport_answer_init(&answer);
    AUTO(buf_done) struct buf query;
    buf_init(&query, 0);
    put_query(u, number, &query);
    struct s3_call call = {.what = "put part of", .key = u->key, .query = (const char *)query.ptr};
    if (!s3_put_bytes(u->bs, &call, bytes, &answer, err))
        return false;
    if (answer.etag[0] == '\0' || strpbrk(answer.etag, "<&") != NULL)
        return err_set(err, ERR_IO, "the answer to part %u has no ETag", number) ||
               s3_wrap(u->bs, call.what, u->key, err);
    buf_printf(&u->list, "<Part><PartNumber>%u</PartNumber><ETag>%s</ETag></Part>", number,
               answer.etag);
    return true;
}

static bool put_parts(struct upload *u, int fd, const char *path, uint64_t bytes, struct err *err)
{
    AUTO(buf_done) struct buf part;
    buf_init(&part, BLOB_PART_BYTES);
    uint8_t *memory = buf_reserve(&part, BLOB_PART_BYTES);
    if (memory == NULL)
        return err_set(err, ERR_LIMIT, "no memory for a part of %s", path);
    uint32_t number = 1;
    for (uint64_t pos = 0; pos < bytes; pos += BLOB_PART_BYTES, number++) {
        size_t len = bytes - pos < BLOB_PART_BYTES ? (size_t)(bytes - pos) : BLOB_PART_BYTES;
        if (!fs_read_at(fd, path, pos, memory, len, err) ||
            !put_part(u, number, slice_of(memory, len), err))
            return false;
    }
    return true;
}

static bool complete(struct upload *u, const char *want, struct err *err)
{
    AUTO(s3_answer_donep) struct transport_answer answer;
    transport_answer_init(&answer);
    AUTO(buf_done) struct buf query;
    buf_init(&query, 0);
    char condition[S3_CONDITION_BYTES];
    put_query(u, 0, &query);
    buf_put_cstr(&u->list, "</CompleteMultipartUpload>");
    struct s3_call call = {.what = "finish putting",
                           .method = "POST",
                           .key = u->key,
                           .query = (const char *)query.ptr,
                           .headers = {condition},
                           .body = buf_slice(&u->list),
                           .body_bytes_max = BLOB_ANSWER_BYTES_MAX,
                           .stall_ns = COMPLETE_STALL_NS};
    call.headers_count = s3_condition(want, condition);
    return s3_do(u->bs, &call, &answer, err);
}

static void give_up(struct upload *u)
{
    AUTO(s3_answer_donep) struct transport_answer answer;
    transport_answer_init(&answer);
    AUTO(buf_done) struct buf query;
    buf_init(&query, 0);
    put_query(u, 0, &query);
    struct s3_call call = {.what = "take back parts of",
                           .method = "DELETE",
                           .key = u->key,
                           .query = (const char *)query.ptr,
                           .body_bytes_max = BLOB_ANSWER_BYTES_MAX};
    struct err ignored; // the failure that led here is the one to tell
    (void)!s3_do(u->bs, &call, &answer, &ignored);
}

bool blob_drop_parts(struct blob_store *bs, const char *under, struct err *err)
{
    AUTO(s3_answer_donep) struct transport_answer answer;
    transport_answer_init(&answer);
    AUTO(buf_done) struct buf query;
    buf_init(&query, 0);
    buf_put_cstr(&query, "prefix=");
    url_encode(&query, bs->options.prefix, "");
    url_encode(&query, under, "");
    buf_put_cstr(&query, "&uploads=");
    buf_put_byte(&query, '\0');
    struct s3_call call = {.what = "list parts in",
                           .method = "GET",
                           .query = (const char *)query.ptr,
                           .body_bytes_max = BLOB_ANSWER_BYTES_MAX};
    if (!s3_do(bs, &call, &answer, err))
        return false;
    struct slice rest = buf_slice(&answer.body), item;
    size_t prefix_len = strlen(bs->options.prefix);
    while (xml_next(&rest, "Upload", &item)) {
        char key[S3_KEY_BYTES];
        AUTO(upload_done) struct upload u = {.bs = bs, .key = key + prefix_len};
        if (xml_text(item, "Key", key, sizeof key) && xml_text(item, "UploadId", u.id, sizeof u.id) &&
            strncmp(key, bs->options.prefix, prefix_len) == 0)
            give_up(&u);
    }
    return true;
}

bool multipart_put_file(struct blob_store *bs, const char *key, int fd, const char *path,
                        uint64_t bytes, const char *want, struct err *err)
{
    if (bytes > BLOB_PARTS_MAX * BLOB_PART_BYTES)
        return err_set(err, ERR_LIMIT, "%s: %" PRIu64 " bytes are too many for one object", path,
                       bytes);
    AUTO(upload_done) struct upload u = {.bs = bs, .key = key};
    buf_init(&u.list, 0);
    buf_put_cstr(&u.list,
                 "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    if (!begin(&u, err))
        return false;
    if (put_parts(&u, fd, path, bytes, err) && complete(&u, want, err))
        return true;
    give_up(&u);
    return false;
}
