/*
 * backup_fetch.c -- what is live in a bucket, fetched into a directory: `mstore-dump backup` and `restore` from there.
 *
 * A segment that is there with the same length and the same footer's checksum is not fetched again.
 */
#include "backup.h"

#include "bucket.h"

#include "base/fs.h"
#include "store/segment/seg_format.h"

#include <inttypes.h>
#include <stdio.h>

enum { FETCH_ROUNDS_MAX = 16 };

static bool check_of_object(struct blob_store *bs, const char *key, uint64_t bytes, uint64_t *check_out, struct err *err)
{
    uint8_t trailer[SEG_TRAILER_BYTES];
    uint64_t footer_pos;
    if (bytes < sizeof trailer)
        return err_set(err, ERR_CORRUPT, "%s%s: %" PRIu64 " bytes are no segment", blob_name(bs), key, bytes);
    return blob_get(bs, key, bytes - sizeof trailer, trailer, sizeof trailer, err) &&
           seg_get_trailer(slice_of(trailer, sizeof trailer), bytes, &footer_pos, check_out, err);
}

// Whether a file is that segment. One that was cut short has no such name.
static bool is_fetched(struct blob_store *bs, const struct far_live *live, const struct far_item *s, const char *key,
                       const char *path, bool *same_out, struct err *err)
{
    AUTO(fs_closep) int fd = -1;
    uint64_t bytes, ours, theirs = s->check;
    struct err why;
    *same_out = false;
    if (!fs_open_read(path, &fd, &why) || !fs_bytes(fd, path, &bytes, &why) || bytes != s->bytes ||
        !backup_check_of_file(fd, path, bytes, &ours, &why))
        return true;
    if (live->kind != FAR_BACKUP && !check_of_object(bs, key, bytes, &theirs, err))
        return false;
    *same_out = ours == theirs;
    return true;
}

static bool fetch_segment(struct backup *b, struct blob_store *bs, const struct far_live *live, const struct far_item *s,
                          struct err *err)
{
    char key[SEG_KEY_BYTES], path[BACKUP_PATH_BYTES], tmp[BACKUP_PATH_BYTES + 8];
    uint64_t ignored; // verified as a whole
    bool same;
    seg_object_key(s->gen, key);
    (void)snprintf(path, sizeof path, "%s/%s", b->to, key);
    (void)snprintf(tmp, sizeof tmp, "%s.tmp", path);
    if (!is_fetched(bs, live, s, key, path, &same, err) || same)
        return same;
    if (b->progress)
        fprintf(stderr, "\r\033[K%s", key);
    if (!blob_get_file(bs, key, s->bytes, tmp, &ignored, err) || !fs_rename(tmp, path, err)) {
        fs_unlink_quietly(tmp);
        return false;
    }
    b->segments_new++;
    b->bytes_new += s->bytes;
    return true;
}

static bool fetch_round(struct backup *b, struct blob_store *bs, const char *scratch, struct names *segments, struct names *logs,
                        struct err *err)
{
    AUTO(far_live_done) struct far_live live = {0};
    char name[BACKUP_NAME_BYTES];
    segments->count = logs->count = 0;
    if (!far_live(bs, scratch, &live, err) || !far_fetch_rest(bs, &live, b->to, err))
        return false;
    for (size_t i = 0; i < live.segments.count; i++) {
        if (!fetch_segment(b, bs, &live, &live.segments.items[i], err))
            return false;
        (void)snprintf(name, sizeof name, "%016" PRIx64 ".seg", live.segments.items[i].gen);
        names_add(segments, name);
    }
    for (size_t i = 0; i < live.logs.count; i++) {
        (void)snprintf(name, sizeof name, "%016" PRIx64 ".wal", live.logs.items[i].gen);
        names_add(logs, name);
    }
    return true;
}

bool backup_fetch(struct backup *b, struct err *err)
{
    AUTO(dump_scratch_done) struct dump_scratch scratch = {0};
    AUTO(blob_closep) struct blob_store *bs = NULL;
    AUTO(names_done) struct names segments = {0};
    AUTO(names_done) struct names logs = {0};
    struct dump_bucket bucket;
    if (!dump_bucket_parse(b->from, &bucket, err))
        return false;
    if (bucket.gen != 0)
        return err_set(err, ERR_INPUT, "%s: expected a store or a backup, s3://BUCKET/PREFIX", b->from);
    if (!blob_open(&bucket.options, &bs, err) || !dump_scratch_make(&scratch, err))
        return false;
    bool good = fetch_round(b, bs, scratch.path, &segments, &logs, err);
    for (int round = 1; !good && err->code == ERR_NOT_FOUND && round < FETCH_ROUNDS_MAX; round++)
        good = fetch_round(b, bs, scratch.path, &segments, &logs, err); // compaction, or a newer backup, took it out meanwhile
    if (b->progress)
        fputs("\r\033[K", stderr);
    b->segments = segments.count;
    b->logs = logs.count;
    return good && backup_remove_halves(b, err) && backup_sync(b, err) &&
           backup_remove_others(b, "segments", ".seg", &segments, err) && backup_remove_others(b, "wal", ".wal", &logs, err) &&
           backup_sync(b, err);
}
