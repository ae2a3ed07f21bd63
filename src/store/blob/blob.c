/* blob.c -- see blob.h: options, and each operation as a request. */
#include "store/blob/blob.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/metric.h"
#include "store/blob/s3.h"
#include "store/blob/s3_xml.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { LIST_PAGE_KEYS = 1000 };

// --- life
// -------------------------------------------------------------------------------------------

static char *copy(const char *text)
{
    char *s = text != NULL ? strdup(text) : NULL;
    assert(text == NULL || s != NULL);
    return s;
}

static bool check_bucket(const char *bucket, struct err *err)
{
    size_t len = strlen(bucket);
    if (len < 3 || len > 63 ||
        strspn(bucket, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") < len)
        return err_set(err, ERR_INPUT, "`%s` is no name of a bucket", bucket);
    return true;
}

static bool check_url(const char *url, struct err *err)
{
    size_t scheme = strncmp(url, "http://", 7) == 0 ? 7 : strncmp(url, "https://", 8) == 0 ? 8 : 0;
    if (scheme == 0 || url[scheme] == '\0' || url[scheme] == '/' ||
        strpbrk(url, "?# \t\r\n@") != NULL || strlen(url) > 1024)
        return err_set(
            err, ERR_INPUT,
            "`%s` is no URL of an object store (try https://s3.eu-central-1.amazonaws.com)", url);
    return true;
}

static bool check_prefix(const char *prefix, struct err *err)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!-_.*'()/";
    if (strspn(prefix, allowed) < strlen(prefix) || prefix[0] == '/' ||
        strstr(prefix, "//") != NULL || strlen(prefix) > BLOB_KEY_BYTES_MAX / 2)
        return err_set(err, ERR_INPUT,
                       "prefix `%s`: letters, digits and !-_.*'()/ only, no slash in front",
                       prefix);
    return true;
}

static char *slashed(const char *prefix)
{
    size_t len = strlen(prefix);
    char *s = calloc(1, len + 2);
    assert(s != NULL);
    memcpy(s, prefix, len);
    if (len > 0 && prefix[len - 1] != '/')
        s[len] = '/';
    return s;
}

static char *unslashed(const char *url)
{
    char *s = copy(url);
    for (size_t len = strlen(s); len > 0 && s[len - 1] == '/'; len--)
        s[len - 1] = '\0';
    return s;
}

// "https://s3.eu-central-1.amazonaws.com" tells the region.
static char *region_of(const struct blob_options *o)
{
    if (o->region != NULL)
        return copy(o->region);
    static const char *const names[] = {"AWS_REGION", "AWS_DEFAULT_REGION"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const char *v = getenv(names[i]);
        if (v != NULL && *v != '\0')
            return copy(v);
    }
    const char *host = strstr(o->url, "://s3."), *end = strstr(o->url, ".amazonaws.com");
    if (host != NULL && end != NULL && end > host + strlen("://s3."))
        return strndup(host + strlen("://s3."), (size_t)(end - host) - strlen("://s3."));
    return copy("us-east-1");
}

static bool use_host_style(const struct blob_options *o)
{
    if (o->style != BLOB_STYLE_AUTO)
        return o->style == BLOB_STYLE_HOST;
    return strstr(o->url, ".amazonaws.com") != NULL &&
           strpbrk(o->bucket, "._ABCDEFGHIJKLMNOPQRSTUVWXYZ") == NULL;
}

bool blob_open(const struct blob_options *options, struct blob_store **bs_out, struct err *err)
{
    if (!check_url(options->url, err) || !check_bucket(options->bucket, err) ||
        !check_prefix(options->prefix, err))
        return false;
    struct blob_store *bs = calloc(1, sizeof *bs);
    assert(bs != NULL);
    bs->options = *options;
    struct blob_options *o = &bs->options;
    o->url = unslashed(options->url);
    o->bucket = copy(options->bucket);
    o->prefix = slashed(options->prefix);
    o->region = region_of(options);
    o->credentials_file = copy(options->credentials_file);
    o->connect_ns = o->connect_ns > 0 ? o->connect_ns : BLOB_CONNECT_NS;
    o->stall_ns = o->stall_ns > 0 ? o->stall_ns : BLOB_STALL_NS;
    o->deadline_ns = o->deadline_ns > 0 ? o->deadline_ns : BLOB_DEADLINE_NS;
    o->attempts_max = o->attempts_max > 0 ? o->attempts_max : BLOB_ATTEMPTS_MAX;
    bs->host_style = use_host_style(options);
    int rc = asprintf(&bs->name, "s3://%s/%s", o->bucket, o->prefix);
    assert(rc > 0);
    bs->transport = transport_new(&(struct transport_options){
        .connect_ns = o->connect_ns, .stall_ns = o->stall_ns, .send_bytes_per_s = o->send_bytes_per_s});
    bs->keyring = keyring_new(bs->transport, o->credentials_file, o->region);
    *bs_out = bs;
    return true;
}

void blob_close(struct blob_store *bs)
{
    if (bs == NULL)
        return;
    keyring_free(bs->keyring);
    transport_free(bs->transport);
    free(bs->name);
    free((char *)bs->options.url);
    free((char *)bs->options.bucket);
    free((char *)bs->options.prefix);
    free((char *)bs->options.region);
    free((char *)bs->options.credentials_file);
    free(bs);
}

void blob_stop(struct blob_store *bs)
{
    transport_stop(bs->transport);
}

const char *blob_name(const struct blob_store *bs)
{
    return bs->name;
}

// --- putting
// ----------------------------------------------------------------------------------------

static void fill_info(const struct transport_answer *a, uint64_t bytes, struct blob_info *out)
{
    *out = (struct blob_info){.bytes = bytes};
    (void)snprintf(out->etag, sizeof out->etag, "%s", a->etag);
}

bool s3_condition(const char *want, char header[S3_CONDITION_BYTES])
{
    if (want == BLOB_ANYTHING)
        return false;
    if (want[0] == '\0')
        (void)snprintf(header, S3_CONDITION_BYTES, "If-None-Match: *");
    else
        (void)snprintf(header, S3_CONDITION_BYTES, "If-Match: %s", want);
    return true;
}

// An object that was to be replaced and is gone is not what it was.
static bool is_refused(const char *want, struct err *err)
{
    if (want != BLOB_ANYTHING && want[0] != '\0' && err->code == ERR_NOT_FOUND)
        err->code = ERR_BUSY;
    return false;
}

bool blob_put(struct blob_store *bs, const char *key, struct slice bytes, const char *want,
              struct err *err)
{
    assert(bytes.len <= BLOB_PART_BYTES);
    AUTO(s3_answer_donep) struct transport_answer answer;
    transport_answer_init(&answer);
    char condition[S3_CONDITION_BYTES];
    struct s3_call call = {.what = "put", .key = key, .headers = {condition}};
    call.headers_count = s3_condition(want, condition);
    return s3_put_bytes(bs, &call, bytes, &answer, err) || is_refused(want, err);
}

bool blob_put_if(struct blob_store *bs, const char *key, struct slice bytes, const char *etag,
                 bool *put_out, struct blob_info *info_out, struct err *err)
{
    assert(bytes.len <= BLOB_PART_BYTES);
    AUTO(s3_answer_donep) struct transport_answer answer;
    transport_answer_init(&answer);
    char condition[S3_CONDITION_BYTES];
    struct s3_call call = {
        .what = "put", .key = key, .headers = {condition}, .unguarded = true, .status_fine = 412};
    call.headers_count = s3_condition(etag != NULL ? etag : BLOB_NOTHING, condition);
    if (!s3_put_bytes(bs, &call, bytes, &answer, err)) {
        if (etag == NULL || err->code != ERR_NOT_FOUND)
            return false;
        answer.status = 412; // what the condition is about is gone
    }
    *put_out = answer.status != 412;
    if (*put_out)
        fill_info(&answer, bytes.len, info_out);
    return true;
}

static bool put_small_file(struct blob_store *bs, const char *key, int fd, const char *path,
                           size_t bytes, const char *want, struct err *err)
{
    AUTO(buf_done) struct buf all;
    buf_init(&all, 0);
    uint8_t *memory = buf_reserve(&all, bytes + 1);
    if (memory == NULL)
        return err_set(err, ERR_LIMIT, "no memory for %s", path);
    return fs_read_at(fd, path, 0, memory, bytes, err) &&
           blob_put(bs, key, slice_of(memory, bytes), want, err);
}

bool blob_put_file(struct blob_store *bs, const char *key, int fd, const char *path, uint64_t bytes,
                   const char *want, struct blob_info *info_out, struct err *err)
{
    struct blob_info info;
    if (bytes <= BLOB_PART_BYTES ? !put_small_file(bs, key, fd, path, (size_t)bytes, want, err)
                                 : !multipart_put_file(bs, key, fd, path, bytes, want, err))
        return is_refused(want, err);
    if (!blob_head(bs, key, &info, err))
        return false;
    if (info.bytes != bytes)
        return err_set(err, ERR_IO, "the server has %" PRIu64 " bytes of %" PRIu64, info.bytes, bytes) ||
               s3_wrap(bs, "put", key, err);
    if (info_out != NULL)
        *info_out = info;
    return true;
}

// --- getting
// ----------------------------------------------------------------------------------------

bool blob_get(struct blob_store *bs, const char *key, uint64_t pos, void *to, size_t bytes,
              struct err *err)
{
    if (bytes == 0)
        return true;
    AUTO(s3_answer_donep) struct transport_answer answer;
    transport_answer_init(&answer);
    struct s3_call call = {.what = "get",
                           .method = "GET",
                           .key = key,
                           .ranged = true,
                           .range_pos = pos,
                           .to = to,
                           .to_bytes = bytes,
                           .body_bytes_max = BLOB_ANSWER_BYTES_MAX};
    if (!s3_do(bs, &call, &answer, err))
        return false;
    metric_add(COUNTER_S3_GOT_BYTES, bytes);
    return true;
}

bool blob_get_file(struct blob_store *bs, const char *key, uint64_t bytes, const char *path,
                   uint64_t *check_out, struct err *err)
{
    AUTO(fs_closep) int fd = -1;
    AUTO(buf_done) struct buf b;
    buf_init(&b, 0);
    uint8_t *piece = buf_reserve(&b, BLOB_PIECE_BYTES);
    assert(piece != NULL);
    if (!fs_create(path, true, &fd, err))
        return false;
    struct hash_stream *h = hash_stream_new();
    bool good = true;
    for (uint64_t pos = 0; good && pos < bytes; pos += BLOB_PIECE_BYTES) {
        size_t len = bytes - pos < BLOB_PIECE_BYTES ? (size_t)(bytes - pos) : BLOB_PIECE_BYTES;
        good = blob_get(bs, key, pos, piece, len, err) &&
               fs_write_at(fd, path, pos, slice_of(piece, len), err);
        if (good)
            hash_stream_add(h, slice_of(piece, len));
    }
    *check_out = hash_stream_value(h);
    hash_stream_free(h);
    return good && fs_sync(fd, path, err);
}

bool blob_get_whole(struct blob_store *bs, const char *key, size_t bytes_max, struct buf *to,
                    struct blob_info *info_out, struct err *err)
{
    AUTO(s3_answer_donep) struct transport_answer answer;
    transport_answer_init(&answer);
    struct s3_call call = {
        .what = "get",
        .method = "GET",
        .key = key,
        .body_bytes_max = bytes_max < BLOB_ANSWER_BYTES_MAX ? bytes_max : BLOB_ANSWER_BYTES_MAX};
    if (!s3_do(bs, &call, &answer, err))
        return false;
    metric_add(COUNTER_S3_GOT_BYTES, answer.body.len);
    buf_put_slice(to, buf_slice(&answer.body));
    fill_info(&answer, answer.body.len, info_out);
    return !to->bad || err_set(err, ERR_LIMIT, "%s: no memory for %zu bytes", key, answer.body.len);
}

bool blob_head(struct blob_store *bs, const char *key, struct blob_info *info_out, struct err *err)
{
    AUTO(s3_answer_donep) struct transport_answer answer;
    transport_answer_init(&answer);
    struct s3_call call = {.what = "look up", .method = "HEAD", .key = key};
    if (!s3_do(bs, &call, &answer, err))
        return false;
    if (answer.length == UINT64_MAX)
        return err_set(err, ERR_IO, "the server does not tell its size") ||
               s3_wrap(bs, call.what, key, err);
    fill_info(&answer, answer.length, info_out);
    return true;
}

bool blob_delete(struct blob_store *bs, const char *key, struct err *err)
{
    AUTO(s3_answer_donep) struct transport_answer answer;
    transport_answer_init(&answer);
    struct s3_call call = {
        .what = "delete", .method = "DELETE", .key = key, .body_bytes_max = BLOB_ANSWER_BYTES_MAX};
    return s3_do(bs, &call, &answer, err) || err->code == ERR_NOT_FOUND;
}

// --- listing
// ----------------------------------------------------------------------------------------

struct listing {
    struct blob_store *bs;
    const char *under;
    bool (*visit)(void *ctx, const struct blob_item *item, struct err *err);
    void *ctx;
    char last[S3_KEY_BYTES]; // of the previous item
    char token[2048];        // where the next page begins; "" at first
    bool more;
};

// Reads one <Contents>. Keys ascend, so that a list has an end whatever the server says.
static bool list_item(struct listing *l, struct slice contents, struct err *err)
{
    char key[S3_KEY_BYTES], size[32], modified[64], etag[BLOB_ETAG_BYTES];
    struct blob_item item = {0};
    size_t prefix_len = strlen(l->bs->options.prefix);
    if (!xml_text(contents, "Key", key, sizeof key) ||
        !xml_text(contents, "Size", size, sizeof size) ||
        strncmp(key, l->bs->options.prefix, prefix_len) != 0)
        return err_set(err, ERR_IO, "an item without key and size, or of another prefix: `%s`",
                       key);
    if (strcmp(key, l->last) <= 0)
        return err_set(err, ERR_IO, "key `%s` comes after `%s`", key, l->last);
    (void)snprintf(l->last, sizeof l->last, "%s", key);
    (void)xml_text(contents, "LastModified", modified, sizeof modified);
    (void)clock_parse_rfc3339(slice_cstr(modified), &item.modified_ns);
    (void)xml_text(contents, "ETag", etag, sizeof etag);
    item.key = key + prefix_len;
    item.etag = etag;
    item.bytes = strtoull(size, NULL, 10);
    return l->visit(l->ctx, &item, err);
}

static bool list_page(struct listing *l, struct err *err)
{
    AUTO(buf_done) struct buf query;
    buf_init(&query, 0);
    if (l->token[0] != '\0') {
        buf_put_cstr(&query, "continuation-token=");
        url_encode(&query, l->token, "");
        buf_put_byte(&query, '&');
    }
    buf_printf(&query, "list-type=2&max-keys=%d&prefix=", LIST_PAGE_KEYS);
    url_encode(&query, l->bs->options.prefix, "");
    url_encode(&query, l->under, "");
    buf_put_byte(&query, '\0');
    AUTO(s3_answer_donep) struct transport_answer answer;
    transport_answer_init(&answer);
    struct s3_call call = {.what = "list",
                           .method = "GET",
                           .query = (const char *)query.ptr,
                           .body_bytes_max = BLOB_ANSWER_BYTES_MAX};
    if (!s3_do(l->bs, &call, &answer, err))
        return false;
    struct slice rest = buf_slice(&answer.body), contents;
    char truncated[8];
    (void)xml_text(rest, "IsTruncated", truncated, sizeof truncated);
    l->more = strcmp(truncated, "true") == 0;
    if (l->more && (!xml_text(rest, "NextContinuationToken", l->token, sizeof l->token) ||
                    l->token[0] == '\0'))
        return err_set(err, ERR_IO, "the list is cut without a token") ||
               s3_wrap(l->bs, "list", NULL, err);
    bool any = false;
    while (xml_next(&rest, "Contents", &contents)) {
        any = true;
        if (!list_item(l, contents, err))
            return false;
    }
    return any || !l->more || err_set(err, ERR_IO, "a page of the list is empty") ||
           s3_wrap(l->bs, "list", NULL, err);
}

bool blob_list(struct blob_store *bs, const char *under,
               bool (*visit)(void *ctx, const struct blob_item *item, struct err *err), void *ctx,
               struct err *err)
{
    struct listing l = {.bs = bs, .under = under, .visit = visit, .ctx = ctx};
    do {
        if (!list_page(&l, err))
            return false;
    } while (l.more);
    return true;
}
