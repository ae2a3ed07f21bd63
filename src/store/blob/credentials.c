/* credentials.c -- see credentials.h: the choice of a source, files, and what is remembered. */
#include "store/blob/credentials.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

struct keyring {
    // Set by keyring_new().
    struct transport *transport; // borrowed
    const char *file;            // borrowed
    const char *region;          // borrowed
    pthread_mutex_t lock;   // held while fetching: who comes meanwhile waits for the same answer
    struct credentials now; // lock
    bool known;             // lock
};

static bool set_text(char *to, size_t room, struct slice value, const char *what, struct err *err)
{
    if (value.len >= room)
        return err_set(err, ERR_INPUT, "%s: %zu bytes are too many", what, value.len);
    memcpy(to, value.ptr, value.len);
    to[value.len] = '\0';
    return true;
}

// --- files
// ------------------------------------------------------------------------------------------

static struct slice trim(struct slice s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = slice_from(s, 1);
    while (s.len > 0 && s.ptr[s.len - 1] <= ' ')
        s.len--;
    return s;
}

static struct slice next_line(struct slice *text)
{
    size_t end = slice_find(*text, SLICE("\n"));
    struct slice line = slice_of(text->ptr, end == SIZE_MAX ? text->len : end);
    *text = slice_from(*text, end == SIZE_MAX ? text->len : end + 1);
    return trim(line);
}

static bool set_field(struct credentials *c, struct slice key, struct slice value, struct err *err)
{
    if (slice_eq(key, SLICE("aws_access_key_id")))
        return set_text(c->key_id, sizeof c->key_id, value, "aws_access_key_id", err);
    if (slice_eq(key, SLICE("aws_secret_access_key")))
        return set_text(c->secret, sizeof c->secret, value, "aws_secret_access_key", err);
    if (slice_eq(key, SLICE("aws_session_token")))
        return set_text(c->token, sizeof c->token, value, "aws_session_token", err);
    return true; // region, role_arn and others are for other programs
}

bool credentials_parse_file(struct slice text, const char *profile, struct credentials *out,
                            struct err *err)
{
    struct credentials c = {0};
    bool here = false, found = false;
    while (text.len > 0) {
        struct slice line = next_line(&text);
        if (line.len == 0 || line.ptr[0] == '#' || line.ptr[0] == ';')
            continue;
        if (line.ptr[0] == '[' && line.ptr[line.len - 1] == ']') {
            here = slice_eq(trim(slice_of(line.ptr + 1, line.len - 2)), slice_cstr(profile));
            found = found || here;
            continue;
        }
        size_t equals = slice_find(line, SLICE("="));
        if (!here || equals == SIZE_MAX)
            continue;
        if (!set_field(&c, trim(slice_of(line.ptr, equals)), trim(slice_from(line, equals + 1)),
                       err))
            return false;
    }
    if (!found)
        return err_set(err, ERR_INPUT, "no profile `%s`", profile);
    if (c.key_id[0] == '\0' || c.secret[0] == '\0')
        return err_set(err, ERR_INPUT,
                       "profile `%s` lacks aws_access_key_id or aws_secret_access_key", profile);
    *out = c;
    return true;
}

static bool read_shared_file(const char *path, struct credentials *out, struct err *err)
{
    const char *profile = getenv("AWS_PROFILE");
    char *bytes;
    size_t len;
    if (!fs_read_file(path, CREDENTIALS_FILE_BYTES_MAX, &bytes, &len, err))
        return false;
    bool good = credentials_parse_file(
        slice_of(bytes, len), profile != NULL && *profile != '\0' ? profile : "default", out, err);
    explicit_bzero(bytes, len);
    free(bytes);
    return good || err_wrap(err, "%s", path);
}

// --- the choice
// -------------------------------------------------------------------------------------

static bool env_set(const char *name)
{
    const char *v = getenv(name);
    return v != NULL && *v != '\0';
}

static bool from_environment(struct credentials *out, struct err *err)
{
    if (!env_set("AWS_SECRET_ACCESS_KEY"))
        return err_set(err, ERR_INPUT, "AWS_ACCESS_KEY_ID is set, AWS_SECRET_ACCESS_KEY is not");
    const char *token = env_set("AWS_SESSION_TOKEN") ? getenv("AWS_SESSION_TOKEN") : "";
    struct credentials c = {0};
    if (!set_text(c.key_id, sizeof c.key_id, slice_cstr(getenv("AWS_ACCESS_KEY_ID")),
                  "AWS_ACCESS_KEY_ID", err) ||
        !set_text(c.secret, sizeof c.secret, slice_cstr(getenv("AWS_SECRET_ACCESS_KEY")),
                  "AWS_SECRET_ACCESS_KEY", err) ||
        !set_text(c.token, sizeof c.token, slice_cstr(token), "AWS_SESSION_TOKEN", err))
        return false;
    *out = c;
    return true;
}

// The shared file, when there is one.
static bool shared_file(char path[4096])
{
    if (env_set("AWS_SHARED_CREDENTIALS_FILE")) {
        (void)snprintf(path, 4096, "%s", getenv("AWS_SHARED_CREDENTIALS_FILE"));
        return true;
    }
    bool exists = false;
    struct err ignored;
    if (!env_set("HOME"))
        return false;
    (void)snprintf(path, 4096, "%s/.aws/credentials", getenv("HOME"));
    return fs_exists(path, &exists, &ignored) && exists;
}

static bool fetch(struct keyring *k, struct credentials *out, struct err *err)
{
    char path[4096];
    if (k->file != NULL)
        return read_shared_file(k->file, out, err);
    if (env_set("AWS_ACCESS_KEY_ID"))
        return from_environment(out, err);
    if (env_set("AWS_WEB_IDENTITY_TOKEN_FILE"))
        return credentials_web_identity(k->transport, k->region, out, err);
    if (shared_file(path))
        return read_shared_file(path, out, err);
    if (env_set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") ||
        env_set("AWS_CONTAINER_CREDENTIALS_FULL_URI"))
        return credentials_container(k->transport, out, err);
    if (!env_set("AWS_EC2_METADATA_DISABLED") ||
        strcasecmp(getenv("AWS_EC2_METADATA_DISABLED"), "true") != 0) {
        if (credentials_instance(k->transport, out, err))
            return true;
        if (err->code == ERR_CANCELLED)
            return false;
        return err_wrap(err, "no credentials in AWS_ACCESS_KEY_ID or a credentials file, and none "
                             "from the instance");
    }
    return err_set(err, ERR_INPUT,
                   "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write "
                   "~/.aws/credentials");
}

// --- what is remembered
// -----------------------------------------------------------------------------

struct keyring *keyring_new(struct transport *t, const char *file, const char *region)
{
    struct keyring *k = calloc(1, sizeof *k);
    assert(k != NULL);
    k->transport = t;
    k->file = file;
    k->region = region;
    pthread_mutex_init(&k->lock, NULL);
    return k;
}

void keyring_free(struct keyring *k)
{
    if (k == NULL)
        return;
    pthread_mutex_destroy(&k->lock);
    explicit_bzero(k, sizeof *k);
    free(k);
}

static bool refresh(struct keyring *k, struct err *err)
{
    int64_t now_ns = clock_wall_ns(), left_ns = k->now.expires_ns - now_ns;
    if (k->known && (k->now.expires_ns == 0 || left_ns > CREDENTIALS_REFRESH_NS))
        return true;
    struct credentials fresh;
    if (!fetch(k, &fresh, err))
        return k->known && left_ns > 0; // the old ones still do; the next call tries again
    k->now = fresh;
    k->known = true;
    return true;
}

bool keyring_get(struct keyring *k, struct credentials *out, struct err *err)
{
    pthread_mutex_lock(&k->lock);
    bool good = refresh(k, err);
    if (good)
        *out = k->now;
    pthread_mutex_unlock(&k->lock);
    return good || err_wrap(err, "credentials");
}

void keyring_renew(struct keyring *k, const struct credentials *stale)
{
    pthread_mutex_lock(&k->lock);
    if (k->known && strcmp(k->now.key_id, stale->key_id) == 0 &&
        strcmp(k->now.token, stale->token) == 0)
        k->known = false;
    pthread_mutex_unlock(&k->lock);
}
