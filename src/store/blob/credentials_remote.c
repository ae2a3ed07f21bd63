/*
 * credentials_remote.c -- credentials from services beside us: the token service, containers,
 * instances.
 *
 * Each is one or two small requests with a second or two of patience: they answer at once or are
 * not there.
 */
#include "store/blob/credentials.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "store/blob/s3_xml.h"

#include <stdio.h>
#include <stdlib.h>

#define NEAR_NS (INT64_C(1) * NS_PER_S)           // the same host
#define TOKEN_SERVICE_NS (INT64_C(10) * NS_PER_S) // the internet
enum { URL_BYTES = 2048, SMALL_BYTES_MAX = 16 * 1024, TOKEN_FILE_BYTES_MAX = 16 * 1024 };

static void answer_donep(struct transport_answer *a)
{
    transport_answer_done(a);
}

static bool small_request(struct transport *t, struct transport_request *q, int64_t total_ns,
                          struct transport_answer *answer, struct err *err)
{
    q->total_ns = total_ns;
    q->body_bytes_max = SMALL_BYTES_MAX;
    if (!transport_do(t, q, answer, err))
        return err_wrap(err, "%.*s", (int)strcspn(q->url, "?"), q->url);
    if (answer->status != 200)
        return err_set(err, ERR_IO, "%.*s: status %d", (int)strcspn(q->url, "?"), q->url,
                       answer->status);
    return true;
}

// --- JSON
// -------------------------------------------------------------------------------------------

// The text of "name": "..." in a flat object. Escapes other than of quotes and slashes do not occur
// in what we look for.
static bool json_text(struct slice doc, const char *name, char *to, size_t room)
{
    char quoted[64];
    int len = snprintf(quoted, sizeof quoted, "\"%s\"", name);
    size_t at = slice_find(doc, slice_of(quoted, (size_t)len));
    if (at == SIZE_MAX)
        return false;
    struct slice s = slice_from(doc, at + (size_t)len);
    while (s.len > 0 && (s.ptr[0] <= ' ' || s.ptr[0] == ':'))
        s = slice_from(s, 1);
    if (s.len == 0 || s.ptr[0] != '"')
        return false;
    size_t used = 0;
    for (s = slice_from(s, 1); s.len > 0 && s.ptr[0] != '"'; s = slice_from(s, 1)) {
        if (s.ptr[0] == '\\' && s.len > 1)
            s = slice_from(s, 1);
        if (used + 1 >= room)
            return false;
        to[used++] = (char)s.ptr[0];
    }
    to[used] = '\0';
    return s.len > 0;
}

static bool set_expiry(struct credentials *c, const char *text, struct err *err)
{
    return text[0] == '\0' || clock_parse_rfc3339(slice_cstr(text), &c->expires_ns) ||
           err_set(err, ERR_IO, "`%s` is no time of expiry", text);
}

bool credentials_parse_json(struct slice text, struct credentials *out, struct err *err)
{
    struct credentials c = {0};
    char expires[64] = "";
    if (!json_text(text, "AccessKeyId", c.key_id, sizeof c.key_id) ||
        !json_text(text, "SecretAccessKey", c.secret, sizeof c.secret))
        return err_set(err, ERR_IO, "the answer holds no AccessKeyId and SecretAccessKey");
    (void)json_text(text, "Token", c.token, sizeof c.token);
    (void)json_text(text, "Expiration", expires, sizeof expires);
    if (!set_expiry(&c, expires, err))
        return false;
    *out = c;
    return true;
}

// --- the token service
// ------------------------------------------------------------------------------

static bool web_identity_body(struct buf *b, struct err *err)
{
    const char *path = getenv("AWS_WEB_IDENTITY_TOKEN_FILE"), *role = getenv("AWS_ROLE_ARN");
    const char *session = getenv("AWS_ROLE_SESSION_NAME");
    char *token;
    size_t len;
    if (role == NULL)
        return err_set(err, ERR_INPUT, "AWS_WEB_IDENTITY_TOKEN_FILE is set, AWS_ROLE_ARN is not");
    if (!fs_read_file(path, TOKEN_FILE_BYTES_MAX, &token, &len, err))
        return false;
    token[strcspn(token, "\r\n")] = '\0';
    buf_put_cstr(b, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=");
    url_encode(b, role, "");
    buf_put_cstr(b, "&RoleSessionName=");
    url_encode(b, session != NULL && *session != '\0' ? session : "mstore", "");
    buf_put_cstr(b, "&WebIdentityToken=");
    url_encode(b, token, "");
    free(token);
    return true;
}

bool credentials_web_identity(struct transport *t, const char *region, struct credentials *out,
                              struct err *err)
{
    AUTO(buf_done) struct buf body;
    buf_init(&body, 0);
    AUTO(answer_donep) struct transport_answer answer;
    transport_answer_init(&answer);
    char url[URL_BYTES];
    const char *endpoint = getenv("AWS_ENDPOINT_URL_STS");
    if (endpoint != NULL && *endpoint != '\0')
        (void)snprintf(url, sizeof url, "%s", endpoint);
    else
        (void)snprintf(url, sizeof url, "https://sts.%s.amazonaws.com/", region);
    if (!web_identity_body(&body, err))
        return false;
    struct transport_request q = {.method = "POST",
                                  .url = url,
                                  .headers = {"Content-Type: application/x-www-form-urlencoded"},
                                  .headers_count = 1,
                                  .body = buf_slice(&body)};
    if (!small_request(t, &q, TOKEN_SERVICE_NS, &answer, err))
        return err_wrap(err, "web identity");
    struct credentials c = {0};
    char expires[64];
    struct slice doc = buf_slice(&answer.body);
    if (!xml_text(doc, "AccessKeyId", c.key_id, sizeof c.key_id) ||
        !xml_text(doc, "SecretAccessKey", c.secret, sizeof c.secret) ||
        !xml_text(doc, "SessionToken", c.token, sizeof c.token))
        return err_set(err, ERR_IO, "web identity: %s: the answer holds no credentials", url);
    (void)xml_text(doc, "Expiration", expires, sizeof expires);
    if (!set_expiry(&c, expires, err))
        return err_wrap(err, "web identity");
    *out = c;
    return true;
}

// --- containers
// -------------------------------------------------------------------------------------

// The header that proves who asks, or "".
static bool container_authorization(char *header, size_t room, struct err *err)
{
    const char *path = getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const char *token = getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    header[0] = '\0';
    if (path != NULL && *path != '\0') {
        char *bytes;
        size_t len;
        if (!fs_read_file(path, TOKEN_FILE_BYTES_MAX, &bytes, &len, err))
            return false;
        (void)snprintf(header, room, "Authorization: %.*s", (int)strcspn(bytes, "\r\n"), bytes);
        free(bytes);
    } else if (token != NULL && *token != '\0') {
        (void)snprintf(header, room, "Authorization: %s", token);
    }
    return true;
}

bool credentials_container(struct transport *t, struct credentials *out, struct err *err)
{
    const char *relative = getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    char url[URL_BYTES], header[TOKEN_FILE_BYTES_MAX + 32];
    if (relative != NULL && *relative != '\0')
        (void)snprintf(url, sizeof url, "http://169.254.170.2%s", relative);
    else
        (void)snprintf(url, sizeof url, "%s", getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI"));
    if (!container_authorization(header, sizeof header, err))
        return false;
    AUTO(answer_donep) struct transport_answer answer;
    transport_answer_init(&answer);
    struct transport_request q = {
        .method = "GET", .url = url, .headers = {header}, .headers_count = header[0] != '\0'};
    return (small_request(t, &q, NEAR_NS, &answer, err) &&
            credentials_parse_json(buf_slice(&answer.body), out, err)) ||
           err_wrap(err, "container credentials");
}

// --- instances
// --------------------------------------------------------------------------------------

// A one-line answer.
static void take_line(const struct transport_answer *answer, char *to, size_t room)
{
    struct slice s = buf_slice(&answer->body);
    size_t end = slice_find(s, SLICE("\n"));
    (void)snprintf(to, room, "%.*s", (int)(end == SIZE_MAX ? s.len : end), (const char *)s.ptr);
}

bool credentials_instance(struct transport *t, struct credentials *out, struct err *err)
{
    const char *given = getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    const char *base = given != NULL && *given != '\0' ? given : "http://169.254.169.254";
    static const char under[] = "/latest/meta-data/iam/security-credentials/";
    char url[URL_BYTES], token[512], header[600], role[256];
    AUTO(answer_donep) struct transport_answer answer;
    transport_answer_init(&answer);
    int base_len = (int)strlen(base);
    while (base_len > 0 && base[base_len - 1] == '/')
        base_len--;

    (void)snprintf(url, sizeof url, "%.*s/latest/api/token", base_len, base);
    struct transport_request q = {.method = "PUT",
                                  .url = url,
                                  .headers = {"X-aws-ec2-metadata-token-ttl-seconds: 300"},
                                  .headers_count = 1};
    if (!small_request(t, &q, NEAR_NS, &answer, err))
        return err_wrap(err, "instance metadata");
    take_line(&answer, token, sizeof token);
    (void)snprintf(header, sizeof header, "X-aws-ec2-metadata-token: %s", token);

    (void)snprintf(url, sizeof url, "%.*s%s", base_len, base, under);
    q = (struct transport_request){
        .method = "GET", .url = url, .headers = {header}, .headers_count = 1};
    if (!small_request(t, &q, NEAR_NS, &answer, err))
        return err_wrap(err, "instance metadata");
    take_line(&answer, role, sizeof role);

    (void)snprintf(url, sizeof url, "%.*s%s%s", base_len, base, under, role);
    q = (struct transport_request){
        .method = "GET", .url = url, .headers = {header}, .headers_count = 1};
    return (small_request(t, &q, NEAR_NS, &answer, err) &&
            credentials_parse_json(buf_slice(&answer.body), out, err)) ||
           err_wrap(err, "instance metadata");
}
