/*
 * s3.c -- signs and sends one request, judges the answer, and asks again where that helps.
 *
 * An attempt is one exchange on one connection. A call ends with the first answer that
 * retry_judge() does not send back, after attempts_max attempts, or when the next one would begin
 * past its deadline. Expired credentials are fetched anew once per call.
 */
#include "store/blob/s3.h"

#include "base/base64.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/limits.h"
#include "base/metric.h"
#include "store/blob/retry.h"
#include "store/blob/s3_xml.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>

enum { SKEW_TOLD_S = 300 }; // servers refuse 900 s

bool s3_wrap(const struct blob_store *bs, const char *what, const char *key, struct err *err)
{
    if (key == NULL)
        return err_wrap(err, "%s %s at %s", what, bs->name, bs->options.url);
    return err_wrap(err, "%s `%s` in %s at %s", what, key, bs->name, bs->options.url);
}

// --- the request
// ------------------------------------------------------------------------------------

static void put_url(const struct blob_store *bs, const struct s3_call *call, struct buf *b)
{
    const char *url = bs->options.url;
    const char *host = strstr(url, "://") + 3;
    if (bs->host_style)
        buf_printf(b, "%.*s%s.%s/", (int)(host - url), url, bs->options.bucket, host);
    else
        buf_printf(b, "%s/%s", url, bs->options.bucket);
    if (call->key != NULL) {
        if (!bs->host_style)
            buf_put_byte(b, '/');
        url_encode(b, bs->options.prefix, "/");
        url_encode(b, call->key, "/");
    }
    if (call->query != NULL)
        buf_printf(b, "?%s", call->query);
    buf_put_byte(b, '\0');
}

// Headers of a request, and the texts that they are.
struct headers {
    struct transport_request *q;
    char sha256[96];
    char range[80];
    char token[sizeof((struct credentials *)0)->token + 32];
};

static void add_header(struct headers *h, const char *line)
{
    assert(h->q->headers_count < TRANSPORT_HEADERS_MAX);
    h->q->headers[h->q->headers_count++] = line;
}

static void add_headers(struct headers *h, const struct s3_call *call,
                        const struct credentials *credentials)
{
    uint8_t digest[DIGEST_SHA256_BYTES];
    int len = snprintf(h->sha256, sizeof h->sha256, "X-Amz-Content-Sha256: ");
    digest_sha256(call->body, digest);
    digest_hex(digest, sizeof digest, h->sha256 + len);
    add_header(h, h->sha256);
    if (call->ranged) {
        (void)snprintf(h->range, sizeof h->range, "Range: bytes=%" PRIu64 "-%" PRIu64,
                       call->range_pos, call->range_pos + call->to_bytes - 1);
        add_header(h, h->range);
    }
    if (credentials->token[0] != '\0') {
        (void)snprintf(h->token, sizeof h->token, "X-Amz-Security-Token: %s", credentials->token);
        add_header(h, h->token);
    }
    if (strcmp(call->method, "PUT") == 0 || strcmp(call->method, "POST") == 0)
        add_header(h, "Content-Type: application/octet-stream");
    for (uint32_t i = 0; i < call->headers_count; i++)
        add_header(h, call->headers[i]);
}

// --- the answer
// -------------------------------------------------------------------------------------

static int64_t server_time_s(const struct transport_answer *a)
{
    struct tm tm = {0};
    return strptime(a->date, "%a, %d %b %Y %H:%M:%S GMT", &tm) != NULL ? timegm(&tm) : 0;
}

// Says what a status other than 2xx means. Always false.
static bool set_status_error(const struct transport_answer *a, const char *code, struct err *err)
{
    char message[256];
    (void)xml_text(buf_slice(&a->body), "Message", message, sizeof message);
    int64_t theirs_s = server_time_s(a), ours_s = clock_wall_ns() / NS_PER_S;
    const char *hint = "";
    char hint_text[256];
    if (strcmp(code, "RequestTimeTooSkewed") == 0 && theirs_s != 0) {
        (void)snprintf(hint_text, sizeof hint_text,
                       "; our clock is %" PRId64 " s %s the server's (%s)",
                       ours_s < theirs_s ? theirs_s - ours_s : ours_s - theirs_s,
                       ours_s < theirs_s ? "behind" : "ahead of", a->date);
        hint = hint_text;
    } else if (a->region[0] != '\0' && (a->status == 301 || a->status == 307 || a->status == 400)) {
        (void)snprintf(hint_text, sizeof hint_text, "; the bucket is in region %s", a->region);
        hint = hint_text;
    } else if (a->status == 403 && code[0] == '\0') { // as of a HEAD, whose answer has no body
        hint = "access denied";
        if (theirs_s != 0 && (ours_s - theirs_s > SKEW_TOLD_S || theirs_s - ours_s > SKEW_TOLD_S)) {
            (void)snprintf(hint_text, sizeof hint_text,
                           "; access denied: our clock is %" PRId64 " s %s the server's (%s)",
                           ours_s < theirs_s ? theirs_s - ours_s : ours_s - theirs_s,
                           ours_s < theirs_s ? "behind" : "ahead of", a->date);
            hint = hint_text;
        }
    }
    enum err_code kind = ERR_IO;
    if (a->status == 404 && strcmp(code, "NoSuchBucket") != 0)
        kind = ERR_NOT_FOUND;
    else if (a->status == 412)
        kind = ERR_BUSY;
    else if (a->status == 416)
        kind = ERR_CORRUPT;
    const char *gap = code[0] != '\0' ? " " : "", *colon = message[0] != '\0' ? ": " : "";
    if (code[0] == '\0' && hint[0] != '\0')
        gap = " ";
    if (code[0] == '\0' && hint == hint_text)
        hint += strlen("; ");
    return err_set(err, kind, "status %d%s%s%s%s%s%s%s", a->status, gap, code, colon, message, hint,
                   a->request_id[0] != '\0' ? ", request " : "", a->request_id);
}

// "bytes 0-99/1000": the range given and the size of the object, when the server tells it.
static bool range_fits(const struct transport_answer *a, const struct s3_call *call)
{
    uint64_t from, to, all;
    int n = sscanf(a->range, "bytes %" SCNu64 "-%" SCNu64 "/%" SCNu64, &from, &to, &all);
    return n >= 2 && from == call->range_pos && to == call->range_pos + call->to_bytes - 1;
}

static bool object_ends(const struct transport_answer *a, const struct s3_call *call)
{
    uint64_t from, to, all;
    return sscanf(a->range, "bytes %" SCNu64 "-%" SCNu64 "/%" SCNu64, &from, &to, &all) == 3 &&
           all < call->range_pos + call->to_bytes;
}

// Whether an answer of 2xx is what was asked for.
static bool check_range(const struct transport_answer *a, const struct s3_call *call,
                        enum retry_verdict *verdict_out, struct err *err)
{
    bool whole = a->status == 200 && call->range_pos == 0 && a->got_bytes == call->to_bytes;
    if (whole || (a->status == 206 && range_fits(a, call) && a->got_bytes == call->to_bytes))
        return true;
    *verdict_out = RETRY_NEVER;
    if (a->status == 200)
        return err_set(err, ERR_IO,
                       "the server ignores ranges: it sent %zu bytes for %zu from %" PRIu64,
                       a->got_bytes, call->to_bytes, call->range_pos);
    if (object_ends(a, call))
        return err_set(err, ERR_CORRUPT, "the object ends before %" PRIu64 " (%s)",
                       call->range_pos + call->to_bytes, a->range);
    *verdict_out = RETRY_LATER;
    return err_set(err, ERR_IO, "asked for %zu bytes from %" PRIu64 ", got %zu (%s)",
                   call->to_bytes, call->range_pos, a->got_bytes, a->range);
}

// An MD5 in quotes that is not the one wanted.
static bool etag_differs(const char *etag, const char *want)
{
    size_t len = strlen(want);
    return etag[0] == '"' && strspn(etag + 1, "0123456789abcdefABCDEF") == len &&
           etag[1 + len] == '"' && strncasecmp(etag + 1, want, len) != 0;
}

// The answer to a HEAD has no body that says why: with credentials that expire, they may have.
static bool may_be_expired(const struct transport_answer *a, const struct s3_call *call,
                           const struct credentials *credentials)
{
    return strcmp(call->method, "HEAD") == 0 && (a->status == 400 || a->status == 403) &&
           credentials->token[0] != '\0';
}

static enum retry_verdict judge(const struct transport_answer *a, const struct s3_call *call,
                                const struct credentials *credentials, struct err *err)
{
    char code[64];
    enum retry_verdict verdict = RETRY_LATER;
    (void)xml_text(buf_slice(&a->body), "Code", code, sizeof code);
    if (a->status == call->status_fine)
        return RETRY_DONE;
    if (a->status < 200 || a->status >= 300) {
        (void)set_status_error(a, code, err);
        return may_be_expired(a, call, credentials) ? RETRY_CREDENTIALS
                                                    : retry_judge(a->status, slice_cstr(code));
    }
    struct slice doc = buf_slice(&a->body), inner;
    if (strcmp(call->method, "POST") == 0 &&
        xml_next(&doc, "Error", &inner)) { // an error found after the header was sent
        (void)err_set(err, ERR_IO, "status %d, then %s", a->status, code);
        return RETRY_LATER;
    }
    if (call->ranged && !check_range(a, call, &verdict, err))
        return verdict;
    if (call->etag_want != NULL && !a->encrypted && etag_differs(a->etag, call->etag_want)) {
        (void)err_set(err, ERR_IO,
                      "the server stored something else: its ETag is %s, the MD5 of the bytes %s",
                      a->etag, call->etag_want);
        return RETRY_LATER;
    }
    return RETRY_DONE;
}

// --- attempts
// ---------------------------------------------------------------------------------------

static bool changes(const struct s3_call *call)
{
    return strcmp(call->method, "GET") != 0 && strcmp(call->method, "HEAD") != 0;
}

static enum retry_verdict attempt(struct blob_store *bs, const struct s3_call *call,
                                  const char *url, struct credentials *credentials,
                                  struct transport_answer *answer, struct err *err)
{
    if (!call->unguarded && changes(call) && bs->options.may_write != NULL &&
        !bs->options.may_write(bs->options.may_write_ctx)) {
        (void)err_set(err, ERR_BUSY, "we are not its writer any more");
        return RETRY_NEVER;
    }
    if (!keyring_get(bs->keyring, credentials, err))
        return RETRY_NEVER;
    struct transport_signature sign = {.region = bs->options.region,
                                       .service = "s3",
                                       .key_id = credentials->key_id,
                                       .secret = credentials->secret};
    struct transport_request q = {.method = call->method,
                                  .url = url,
                                  .body = call->body,
                                  .sign = &sign,
                                  .to = call->to,
                                  .to_bytes = call->to_bytes,
                                  .body_bytes_max = call->body_bytes_max,
                                  .stall_ns = call->stall_ns};
    struct headers headers = {.q = &q};
    add_headers(&headers, call, credentials);
    metric_add(COUNTER_S3_REQUESTS, 1);
    if (!transport_do(bs->transport, &q, answer, err))
        return err->code == ERR_IO || err->code == ERR_TIMEOUT ? RETRY_LATER : RETRY_NEVER;
    return judge(answer, call, credentials, err);
}

static uint64_t random_number(void)
{
    uint64_t v = 0;
    (void)getrandom(&v, sizeof v, 0); // a pause of no random length is a pause too
    return v;
}

// Waits before the next attempt. False when there is none.
static bool may_repeat(struct blob_store *bs, uint32_t attempts, int64_t deadline_ns,
                       const struct transport_answer *answer, struct err *err)
{
    int64_t now_s = server_time_s(answer) != 0 ? server_time_s(answer) : clock_wall_ns() / NS_PER_S;
    int64_t pause_ns = retry_pause_ns(
        attempts, retry_after_ns(slice_cstr(answer->retry_after), now_s), random_number());
    struct err why;
    if (attempts >= bs->options.attempts_max || clock_mono_ns() + pause_ns > deadline_ns)
        return false;
    metric_add(COUNTER_S3_RETRIES, 1);
    if (transport_pause(bs->transport, pause_ns, &why))
        return true;
    *err = why;
    return false;
}

bool s3_do(struct blob_store *bs, const struct s3_call *call, struct transport_answer *answer,
           struct err *err)
{
    AUTO(buf_done) struct buf url;
    buf_init(&url, S3_URL_BYTES);
    put_url(bs, call, &url);
    if (url.bad)
        return err_set(err, ERR_INPUT, "an URL of more than %d bytes", S3_URL_BYTES) ||
               s3_wrap(bs, call->what, call->key, err);
    int64_t deadline_ns = clock_mono_ns() + bs->options.deadline_ns;
    bool renewed = false;
    uint32_t attempts = 0;
    for (;;) {
        struct credentials credentials;
        enum retry_verdict verdict =
            attempt(bs, call, (const char *)url.ptr, &credentials, answer, err);
        attempts++;
        if (verdict == RETRY_DONE)
            return true;
        if (verdict == RETRY_CREDENTIALS && !renewed) {
            keyring_renew(bs->keyring, &credentials);
            renewed = true;
            continue;
        }
        if (verdict != RETRY_LATER || !may_repeat(bs, attempts, deadline_ns, answer, err))
            break;
    }
    metric_add(COUNTER_S3_FAILURES, err->code != ERR_NOT_FOUND);
    if (attempts > 1)
        (void)err_wrap(err, "%u attempts, the last", attempts);
    return s3_wrap(bs, call->what, call->key, err);
}
