/*
 * blob_driver.c -- runs commands against an object store, one a line, each answered by one line:
 * for test_blob.py.
 *
 *     blob_driver URL BUCKET PREFIX [style=path|host] [region=R] [credentials=FILE] [stall=S]
 * [deadline=MS] [attempts=N]
 *
 *     put KEY TEXT              put-file KEY PATH          put-new KEY TEXT         put-match KEY
 * ETAG TEXT get KEY POS BYTES PATH    whole KEY BYTES_MAX PATH   head KEY                 delete
 * KEY list UNDER                many THREADS ROUNDS KEY BYTES                       stop-after MS
 *     drop-parts UNDER          put-new-file KEY PATH    put-match-file KEY ETAG PATH    guard
 * Answers: "ok ...", or "error CODE text".
 */
#include "base/clock.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/metric.h"
#include "store/blob/blob.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { WORDS_MAX = 6, THREADS_MAX = 32, LINE_BYTES = 8192 };

static struct blob_store *bs;
static bool writes = true;

static bool may_write(void *ctx)
{
    (void)ctx;
    return writes;
}

static void answer(bool good, const struct err *err, const char *text)
{
    if (good)
        printf("ok %s\n", text);
    else
        printf("error %s: %s\n", err_name(err->code), err->text);
    (void)fflush(stdout);
}

static bool save(const char *path, struct slice bytes, struct err *err)
{
    AUTO(fs_closep) int fd = -1;
    return fs_create(path, true, &fd, err) && fs_write_at(fd, path, 0, bytes, err);
}

static bool put_file(const char *key, const char *path, const char *want, struct err *err)
{
    AUTO(fs_closep) int fd = -1;
    uint64_t bytes;
    return fs_open_read(path, &fd, err) && fs_bytes(fd, path, &bytes, err) &&
           blob_put_file(bs, key, fd, path, bytes, want, NULL, err);
}

static bool get(const char *key, uint64_t pos, size_t bytes, const char *path, struct err *err)
{
    uint8_t *memory = malloc(bytes + 1);
    assert(memory != NULL);
    bool good =
        blob_get(bs, key, pos, memory, bytes, err) && save(path, slice_of(memory, bytes), err);
    free(memory);
    return good;
}

static bool whole(const char *key, size_t bytes_max, const char *path, struct err *err)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, 0);
    struct blob_info info;
    return blob_get_whole(bs, key, bytes_max, &b, &info, err) && info.bytes == b.len &&
           save(path, buf_slice(&b), err);
}

static bool show_item(void *ctx, const struct blob_item *item, struct err *err)
{
    (void)ctx, (void)err;
    printf("item %s %" PRIu64 " %" PRId64 " %s\n", item->key, item->bytes, item->modified_ns / NS_PER_S, item->etag);
    return true;
}

// --- many threads
// -----------------------------------------------------------------------------------

struct reader {
    pthread_t thread;
    const char *key;
    size_t bytes;
    int rounds;
    uint64_t hash; // of what was read, the same each time
    bool good;
    struct err err;
};

static void *read_often(void *arg)
{
    struct reader *r = arg;
    uint8_t *memory = malloc(r->bytes + 1);
    assert(memory != NULL);
    r->good = true;
    for (int i = 0; i < r->rounds && r->good; i++) {
        r->good = blob_get(bs, r->key, 0, memory, r->bytes, &r->err);
        uint64_t hash = hash64(slice_of(memory, r->bytes));
        assert(!r->good || i == 0 || hash == r->hash);
        r->hash = hash;
    }
    free(memory);
    return NULL;
}

static void many(int threads, int rounds, const char *key, size_t bytes)
{
    static struct reader readers[THREADS_MAX];
    assert(threads <= THREADS_MAX);
    for (int i = 0; i < threads; i++) {
        readers[i] = (struct reader){.key = key, .bytes = bytes, .rounds = rounds};
        int rc = pthread_create(&readers[i].thread, NULL, read_often, &readers[i]);
        assert(rc == 0);
    }
    const struct reader *bad = NULL;
    for (int i = 0; i < threads; i++) {
        pthread_join(readers[i].thread, NULL);
        if (!readers[i].good)
            bad = &readers[i];
        else
            assert(readers[i].hash == readers[0].hash);
    }
    answer(bad == NULL, bad != NULL ? &bad->err : NULL, "");
}

static void *stop_later(void *arg)
{
    struct timespec pause = {.tv_nsec = (long)(strtol(arg, NULL, 10) * NS_PER_MS)};
    nanosleep(&pause, NULL);
    blob_stop(bs);
    free(arg);
    return NULL;
}

// --- commands
// ---------------------------------------------------------------------------------------

static void run(char *line)
{
    char *w[WORDS_MAX] = {NULL};
    int count = 0;
    for (char *rest = line, *word; count < WORDS_MAX && (word = strsep(&rest, " ")) != NULL;)
        w[count++] = word;
    for (int i = count; i < WORDS_MAX; i++)
        w[i] = "";
    struct err err = {0};
    struct blob_info info = {0};
    char text[256] = "";
    bool good = false, put = false;
    if (strcmp(w[0], "put") == 0) {
        good = blob_put(bs, w[1], slice_cstr(w[2]), BLOB_ANYTHING, &err);
    } else if (strcmp(w[0], "put-file") == 0) {
        good = put_file(w[1], w[2], BLOB_ANYTHING, &err);
    } else if (strcmp(w[0], "put-new-file") == 0) {
        good = put_file(w[1], w[2], BLOB_NOTHING, &err);
    } else if (strcmp(w[0], "put-match-file") == 0) {
        good = put_file(w[1], w[3], w[2], &err);
    } else if (strcmp(w[0], "guard") == 0) { // from now on nothing may be written
        writes = false;
        good = true;
    } else if (strcmp(w[0], "put-new") == 0 || strcmp(w[0], "put-match") == 0) {
        bool match = strcmp(w[0], "put-match") == 0;
        good = blob_put_if(bs, w[1], slice_cstr(w[match ? 3 : 2]), match ? w[2] : NULL, &put, &info,
                           &err);
        (void)snprintf(text, sizeof text, "%s %s", put ? "put" : "refused", info.etag);
    } else if (strcmp(w[0], "get") == 0) {
        good = get(w[1], strtoull(w[2], NULL, 10), strtoull(w[3], NULL, 10), w[4], &err);
    } else if (strcmp(w[0], "whole") == 0) {
        good = whole(w[1], strtoull(w[2], NULL, 10), w[3], &err);
    } else if (strcmp(w[0], "head") == 0) {
        good = blob_head(bs, w[1], &info, &err);
        (void)snprintf(text, sizeof text, "%" PRIu64 " %s", info.bytes, info.etag);
    } else if (strcmp(w[0], "delete") == 0) {
        good = blob_delete(bs, w[1], &err);
    } else if (strcmp(w[0], "list") == 0) {
        good = blob_list(bs, w[1], show_item, NULL, &err);
    } else if (strcmp(w[0], "drop-parts") == 0) {
        good = blob_drop_parts(bs, w[1], &err);
    } else if (strcmp(w[0], "many") == 0) {
        many(atoi(w[1]), atoi(w[2]), w[3], strtoull(w[4], NULL, 10));
        return;
    } else if (strcmp(w[0], "stop-after") == 0) {
        pthread_t thread;
        int rc = pthread_create(&thread, NULL, stop_later, strdup(w[1]));
        assert(rc == 0);
        pthread_detach(thread);
        good = true;
    } else {
        (void)err_set(&err, ERR_INPUT, "no command `%s`", w[0]);
    }
    answer(good, &err, text);
}

static void set_option(struct blob_options *o, const char *word)
{
    const char *value = strchr(word, '=');
    assert(value != NULL);
    value++;
    if (strncmp(word, "style=", 6) == 0)
        o->style = strcmp(value, "host") == 0 ? BLOB_STYLE_HOST : BLOB_STYLE_PATH;
    else if (strncmp(word, "region=", 7) == 0)
        o->region = value;
    else if (strncmp(word, "credentials=", 12) == 0)
        o->credentials_file = value;
    else if (strncmp(word, "stall=", 6) == 0)
        o->stall_ns = strtol(value, NULL, 10) * NS_PER_S;
    else if (strncmp(word, "deadline=", 9) == 0)
        o->deadline_ns = strtol(value, NULL, 10) * NS_PER_MS;
    else if (strncmp(word, "attempts=", 9) == 0)
        o->attempts_max = (uint32_t)strtol(value, NULL, 10);
    else
        assert(false);
}

int main(int argc, char **argv)
{
    assert(argc >= 4);
    struct blob_options options = {
        .url = argv[1], .bucket = argv[2], .prefix = argv[3], .may_write = may_write};
    for (int i = 4; i < argc; i++)
        set_option(&options, argv[i]);
    struct err err;
    if (!blob_open(&options, &bs, &err)) {
        answer(false, &err, "");
        return 1;
    }
    answer(true, NULL, blob_name(bs));
    char line[LINE_BYTES];
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        run(line);
    }
    blob_close(bs);
    return 0;
}
