/*
 * transport.c -- see transport.h.
 */
#include "store/blob/transport.h"

#include "base/clock.h"
#include "base/limits.h"

#include <assert.h>
#include <ctype.h>
#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

struct transport {
    // Set by transport_new().
    struct transport_options options;
    atomic_bool stopped;
    pthread_mutex_t lock;
    pthread_cond_t stop;               // monotonic clock
    CURL *idle[BLOB_IDLE_HANDLES_MAX]; // lock; owned
    uint32_t idle_count;               // lock
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void start_curl(void)
{
    CURLcode rc = curl_global_init(CURL_GLOBAL_DEFAULT);
    assert(rc == CURLE_OK);
}

struct transport *transport_new(const struct transport_options *options)
{
    (void)pthread_once(&curl_once, start_curl);
    struct transport *t = calloc(1, sizeof *t);
    assert(t != NULL);
    t->options = *options;
    atomic_init(&t->stopped, false);
    pthread_mutex_init(&t->lock, NULL);
    pthread_condattr_t mono;
    pthread_condattr_init(&mono);
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_cond_init(&t->stop, &mono);
    pthread_condattr_destroy(&mono);
    return t;
}

void transport_free(struct transport *t)
{
    if (t == NULL)
        return;
    for (uint32_t i = 0; i < t->idle_count; i++)
        curl_easy_cleanup(t->idle[i]);
    pthread_mutex_destroy(&t->lock);
    pthread_cond_destroy(&t->stop);
    free(t);
}

void transport_stop(struct transport *t)
{
    pthread_mutex_lock(&t->lock);
    atomic_store(&t->stopped, true);
    pthread_cond_broadcast(&t->stop);
    pthread_mutex_unlock(&t->lock);
}

bool transport_stopped(const struct transport *t)
{
    return atomic_load(&t->stopped);
}

bool transport_pause(struct transport *t, int64_t pause_ns, struct err *err)
{
    int64_t until_ns = clock_mono_ns() + pause_ns;
    struct timespec until = {.tv_sec = until_ns / NS_PER_S, .tv_nsec = until_ns % NS_PER_S};
    pthread_mutex_lock(&t->lock);
    bool in_time = true;
    while (in_time && !atomic_load(&t->stopped))
        in_time = pthread_cond_timedwait(&t->stop, &t->lock, &until) == 0;
    pthread_mutex_unlock(&t->lock);
    return !transport_stopped(t) || err_set(err, ERR_CANCELLED, "the object store is being closed");
}

void url_encode(struct buf *b, const char *text, const char *kept)
{
    for (const char *p = text; *p != '\0'; p++)
        if (isalnum((unsigned char)*p) || strchr("-_.~", *p) != NULL || strchr(kept, *p) != NULL)
            buf_put_byte(b, (uint8_t)*p);
        else
            buf_printf(b, "%%%02X", (unsigned char)*p);
}

// --- handles
// ----------------------------------------------------------------------------------------

static CURL *take_handle(struct transport *t)
{
    pthread_mutex_lock(&t->lock);
    CURL *curl = t->idle_count > 0 ? t->idle[--t->idle_count] : NULL;
    pthread_mutex_unlock(&t->lock);
    if (curl == NULL)
        curl = curl_easy_init();
    assert(curl != NULL);
    return curl;
}

static void give_handle(struct transport *t, CURL *curl)
{
    curl_easy_reset(curl); // options; the connections stay
    pthread_mutex_lock(&t->lock);
    bool room = t->idle_count < BLOB_IDLE_HANDLES_MAX;
    if (room)
        t->idle[t->idle_count++] = curl;
    pthread_mutex_unlock(&t->lock);
    if (!room)
        curl_easy_cleanup(curl);
}

// --- the answer
// -------------------------------------------------------------------------------------

struct exchange {
    struct transport *t;
    const struct transport_request *request;
    struct transport_answer *answer;
    CURL *curl;
    bool over; // the body is larger than its bound
};

void transport_answer_init(struct transport_answer *a)
{
    *a = (struct transport_answer){.length = UINT64_MAX};
    buf_init(&a->body, BLOB_ANSWER_BYTES_MAX + KIB);
}

void transport_answer_done(struct transport_answer *a)
{
    buf_done(&a->body);
}

// For the next attempt: keeps the memory.
static void reset_answer(struct transport_answer *a)
{
    struct buf body = a->body;
    buf_reset(&body);
    *a = (struct transport_answer){.length = UINT64_MAX, .body = body};
}

static bool header_is(struct slice line, const char *name, struct slice *value_out)
{
    size_t len = strlen(name);
    if (line.len <= len || line.ptr[len] != ':' ||
        strncasecmp((const char *)line.ptr, name, len) != 0)
        return false;
    struct slice v = slice_from(line, len + 1);
    while (v.len > 0 && (v.ptr[0] == ' ' || v.ptr[0] == '\t'))
        v = slice_from(v, 1);
    while (v.len > 0 && v.ptr[v.len - 1] <= ' ')
        v.len--;
    *value_out = v;
    return true;
}

static size_t on_header(char *ptr, size_t size, size_t count, void *arg)
{
    struct exchange *x = arg;
    struct transport_answer *a = x->answer;
    struct slice line = slice_of(ptr, size * count), value;
    const struct {
        const char *name;
        char *to;
    } texts[] = {{"etag", a->etag},
                 {"content-range", a->range},
                 {"date", a->date},
                 {"retry-after", a->retry_after},
                 {"x-amz-bucket-region", a->region},
                 {"x-amz-request-id", a->request_id}};
    if (slice_starts(line, SLICE("HTTP/"))) // also after an interim answer
        reset_answer(a);
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        if (header_is(line, texts[i].name, &value))
            (void)snprintf(texts[i].to, TRANSPORT_TEXT_BYTES, "%.*s", SLICE_FMT(value));
    if (header_is(line, "x-amz-server-side-encryption", &value) &&
        !slice_eq(value, SLICE("AES256")))
        a->encrypted = true;
    if (header_is(line, "x-amz-server-side-encryption-customer-algorithm", &value))
        a->encrypted = true;
    return size * count;
}

static size_t on_body(char *ptr, size_t size, size_t count, void *arg)
{
    struct exchange *x = arg;
    const struct transport_request *q = x->request;
    struct transport_answer *a = x->answer;
    size_t len = size * count;
    long status = 0;
    (void)curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status);
    bool good = status >= 200 && status < 300;
    if (good && q->to != NULL) {
        x->over = len > q->to_bytes - a->got_bytes;
        if (x->over)
            return 0;
        memcpy((uint8_t *)q->to + a->got_bytes, ptr, len);
        a->got_bytes += len;
        return len;
    }
    size_t room = (good ? q->body_bytes_max : BLOB_ANSWER_BYTES_MAX) - a->body.len;
    x->over = good && len > room;
    if (x->over)
        return 0;
    buf_put(&a->body, ptr, len < room ? len : room); // of an error's text the beginning is enough
    return len;
}

static int on_progress(void *arg, curl_off_t down_all, curl_off_t down, curl_off_t up_all,
                       curl_off_t up)
{
    (void)down_all, (void)down, (void)up_all, (void)up;
    const struct exchange *x = arg;
    return transport_stopped(x->t);
}

// --- the request
// ------------------------------------------------------------------------------------

static void set_method(CURL *curl, const struct transport_request *q)
{
    if (strcmp(q->method, "HEAD") == 0) {
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    } else if (strcmp(q->method, "PUT") == 0 || strcmp(q->method, "POST") == 0) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS,
                         q->body.len > 0 ? (const char *)q->body.ptr : "");
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body.len);
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, q->method);
    } else if (strcmp(q->method, "GET") == 0) {
        curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
    } else {
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, q->method);
    }
}

static void set_bounds(CURL *curl, const struct transport *t, const struct transport_request *q)
{
    int64_t stall_ns = q->stall_ns > 0 ? q->stall_ns : t->options.stall_ns;
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)(t->options.connect_ns / NS_PER_MS));
    curl_easy_setopt(curl, CURLOPT_MAX_SEND_SPEED_LARGE, (curl_off_t)t->options.send_bytes_per_s);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(q->total_ns / NS_PER_MS)); // 0: none
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, (long)BLOB_STALL_BYTES);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)(stall_ns / NS_PER_S));
}

static void set_signature(CURL *curl, const struct transport_signature *sign)
{
    char how[128];
    (void)snprintf(how, sizeof how, "aws:amz:%s:%s", sign->region, sign->service);
    curl_easy_setopt(curl, CURLOPT_AWS_SIGV4, how);
    curl_easy_setopt(curl, CURLOPT_USERNAME, sign->key_id);
    curl_easy_setopt(curl, CURLOPT_PASSWORD, sign->secret);
}

static void free_headers(struct curl_slist **list)
{
    curl_slist_free_all(*list);
}

static bool set_error(struct exchange *x, CURLcode rc, const char *detail, struct err *err)
{
    const char *text = detail[0] != '\0' ? detail : curl_easy_strerror(rc);
    if (x->over)
        return err_set(err, ERR_LIMIT, "the answer is longer than asked for");
    switch (rc) {
    case CURLE_ABORTED_BY_CALLBACK:
        return err_set(err, ERR_CANCELLED, "the object store is being closed");
    case CURLE_OPERATION_TIMEDOUT:
        return err_set(err, ERR_TIMEOUT, "%s", text);
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_NOT_BUILT_IN:
        return err_set(err, ERR_INPUT, "%s", text);
    default:
        return err_set(err, ERR_IO, "%s", text);
    }
}

bool transport_do(struct transport *t, const struct transport_request *q,
                  struct transport_answer *answer, struct err *err)
{
    if (transport_stopped(t))
        return err_set(err, ERR_CANCELLED, "the object store is being closed");
    assert(q->headers_count <= TRANSPORT_HEADERS_MAX && q->body_bytes_max <= BLOB_ANSWER_BYTES_MAX);
    CURL *curl = take_handle(t);
    struct exchange x = {.t = t, .request = q, .answer = answer, .curl = curl};
    char detail[CURL_ERROR_SIZE] = "";
    AUTO(free_headers) struct curl_slist *headers = NULL;
    for (uint32_t i = 0; i < q->headers_count; i++) {
        struct curl_slist *longer = curl_slist_append(headers, q->headers[i]);
        assert(longer != NULL);
        headers = longer;
    }
    reset_answer(answer);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &x);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "mstore/" MSTORE_VERSION);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
    curl_easy_setopt(curl, CURLOPT_URL, q->url);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &x);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &x);
    set_bounds(curl, t, q);
    set_method(curl, q);
    if (q->sign != NULL)
        set_signature(curl, q->sign);

    CURLcode rc = curl_easy_perform(curl);
    long status = 0;
    curl_off_t length = -1;
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    give_handle(t, curl);
    answer->status = (int)status;
    answer->length = length < 0 ? UINT64_MAX : (uint64_t)length;
    return rc == CURLE_OK || set_error(&x, rc, detail, err);
}
