/*
 * backup_bucket.c -- backups in a bucket: what is taken of a directory is sent there, and fetched from there.
 *
 * A bucket is slow, a server under load is not: so all that has to be sent is got hold of first, by the rules of backup.c (K1..K4), with
 * logs copied and segments open, whose descriptors pin them whatever becomes of their names. Then it is sent, and the object
 * `backup` names it (B1, B2 of store/far/far_live.h). A segment that is there with the same length and the same footer's checksum is not sent again.
 */
#include "backup.h"

#include "bucket.h"

#include "base/fs.h"
#include "base/hash.h"
#include "base/limits.h"
#include "store/segment/seg_format.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { FETCH_ROUNDS_MAX = 16 };

struct pin {
    struct far_item item;
    int fd; // -1: the bucket has it already
};

struct backup_pins {
    struct blob_store *bs;
    struct far_live before;   // the backup that is there; empty: none
    struct far_items objects; // of segments, as they were listed
    struct pin *items; // owned
    size_t count, room;
};

static void pins_done(struct backup_pins *p)
{
    for (size_t i = 0; i < p->count; i++)
        fs_close(p->items[i].fd);
    free(p->items);
    free(p->objects.items);
    far_live_done(&p->before);
    blob_close(p->bs);
}

// --- what is the same -------------------------------------------------------------------------------

static bool footer_check(struct slice trailer, uint64_t bytes, uint64_t *check_out, struct err *err)
{
    uint64_t pos;
    return seg_get_trailer(trailer, bytes, &pos, check_out, err);
}

static bool check_of_file(int fd, const char *path, uint64_t bytes, uint64_t *check_out, struct err *err)
{
    uint8_t trailer[SEG_TRAILER_BYTES];
    if (bytes < sizeof trailer)
        return err_set(err, ERR_CORRUPT, "%s: %" PRIu64 " bytes are no segment", path, bytes);
    return (fs_read_at(fd, path, bytes - sizeof trailer, trailer, sizeof trailer, err) &&
            footer_check(slice_of(trailer, sizeof trailer), bytes, check_out, err)) ||
           err_wrap(err, "%s", path);
}

static bool check_of_object(struct blob_store *bs, const char *key, uint64_t bytes, uint64_t *check_out, struct err *err)
{
    uint8_t trailer[SEG_TRAILER_BYTES];
    if (bytes < sizeof trailer)
        return err_set(err, ERR_CORRUPT, "%s%s: %" PRIu64 " bytes are no segment", blob_name(bs), key, bytes);
    return blob_get(bs, key, bytes - sizeof trailer, trailer, sizeof trailer, err) &&
           footer_check(slice_of(trailer, sizeof trailer), bytes, check_out, err);
}

// What a killed backup left may be anything.
static bool bucket_has(const struct backup_pins *p, const struct far_item *s, bool *has_out, struct err *err)
{
    const struct far_item *object = far_items_find(&p->objects, s->gen), *named = far_items_find(&p->before.segments, s->gen);
    char key[SEG_KEY_BYTES];
    uint64_t check;
    *has_out = false;
    if (object == NULL || object->bytes != s->bytes)
        return true;
    if (named != NULL && named->bytes == s->bytes && named->check == s->check)
        return *has_out = true;
    seg_object_key(s->gen, key);
    if (!check_of_object(p->bs, key, s->bytes, &check, err))
        return err->code == ERR_CORRUPT || err->code == ERR_NOT_FOUND;
    *has_out = check == s->check;
    return true;
}

// --- pinning ----------------------------------------------------------------------------------------

void backup_unpin(struct backup *b)
{
    struct backup_pins *p = b->pins;
    for (size_t i = 0; i < p->count; i++)
        fs_close(p->items[i].fd);
    p->count = 0;
}

bool backup_pin(struct backup *b, const char *name, struct err *err)
{
    struct backup_pins *p = b->pins;
    char path[BACKUP_PATH_BYTES];
    AUTO(fs_closep) int fd = -1;
    struct far_item item = {.gen = strtoull(name, NULL, 16)};
    bool has;
    (void)snprintf(path, sizeof path, "%s/segments/%s", b->from, name);
    if (!fs_open_read(path, &fd, err) || !fs_bytes(fd, path, &item.bytes, err) ||
        !check_of_file(fd, path, item.bytes, &item.check, err) || !bucket_has(p, &item, &has, err))
        return false;
    if (p->count == p->room) {
        p->room = p->room == 0 ? 64 : 2 * p->room;
        p->items = realloc(p->items, p->room * sizeof *p->items);
        if (p->items == NULL)
            abort();
    }
    p->items[p->count++] = (struct pin){item, has ? -1 : fd};
    fd = has ? fd : -1;
    return true;
}

// --- sending ----------------------------------------------------------------------------------------

static bool visit_before(void *ctx, const struct blob_item *item, struct err *err)
{
    struct backup_pins *p = ctx;
    struct far_item found = {.bytes = item->bytes};
    if (strcmp(item->key, "lease") == 0 || strncmp(item->key, "index/", 6) == 0)
        return err_set(err, ERR_INPUT, "%s has a store that mstored writes: take another prefix for the backup", blob_name(p->bs));
    if (sscanf(item->key, SEG_KEY_PREFIX "%16" SCNx64 ".seg", &found.gen) == 1)
        far_items_add(&p->objects, &found); // keys ascend
    return true;
}

// What is there. Where there is nothing, a backup begins that is incomplete.
static bool look(struct backup_pins *p, struct err *err)
{
    static const struct far_live first = {.kind = FAR_BACKUP, .incomplete = true};
    struct err ignored; // not every server can list them
    if (!blob_list(p->bs, "", visit_before, p, err))
        return false;
    (void)!blob_drop_parts(p->bs, SEG_KEY_PREFIX, &ignored);
    return far_backup_get(p->bs, &p->before, err) ||
           (err->code == ERR_NOT_FOUND && far_backup_put(p->bs, &first, p->before.version, err));
}

// Numbers are a store's own. Some in common, and not one of them the same, are another store's.
static bool is_of_same_store(const struct backup_pins *p, struct err *err)
{
    size_t common = 0, same = 0;
    for (size_t i = 0; i < p->count; i++) {
        const struct far_item *s = &p->items[i].item, *named = far_items_find(&p->before.segments, s->gen);
        common += named != NULL;
        same += named != NULL && named->bytes == s->bytes && named->check == s->check;
    }
    return common == 0 || same > 0 ||
           err_set(err, ERR_INPUT, "%s is the backup of another store: take another prefix", blob_name(p->bs));
}

static bool send_segments(struct backup *b, struct far_live *next, struct err *err)
{
    struct backup_pins *p = b->pins;
    for (size_t i = 0; i < p->count; i++) {
        struct pin *pin = &p->items[i];
        char key[SEG_KEY_BYTES];
        seg_object_key(pin->item.gen, key);
        far_items_add(&next->segments, &pin->item);
        if (pin->fd < 0)
            continue;
        if (b->progress)
            fprintf(stderr, "\r\033[K%s", key);
        if (!blob_put_file(p->bs, key, pin->fd, key, pin->item.bytes, BLOB_ANYTHING, err))
            return false;
        b->segments_new++;
        b->bytes_new += pin->item.bytes;
    }
    return true;
}

// Puts a file by the name of what it is, unless the bucket has it. *item_out: what it is.
static bool send_file(struct blob_store *bs, const char *path, void (*key_of)(const struct far_item *, char[FAR_KEY_BYTES]),
                      struct far_item *item, struct err *err)
{
    char key[FAR_KEY_BYTES];
    struct blob_info info;
    AUTO(fs_closep) int fd = -1;
    if (!fs_open_read(path, &fd, err) || !fs_bytes(fd, path, &item->bytes, err) ||
        !hash64_file(fd, path, item->bytes, &item->check, err))
        return false;
    key_of(item, key);
    if (blob_head(bs, key, &info, err) && info.bytes == item->bytes)
        return true;
    return blob_put_file(bs, key, fd, path, item->bytes, BLOB_ANYTHING, err);
}

// What was copied into the scratch directory.
static bool send_rest(struct backup *b, struct far_live *next, struct err *err)
{
    AUTO(names_done) struct names logs = {0};
    char path[BACKUP_PATH_BYTES];
    bool exists;
    (void)snprintf(path, sizeof path, "%s/deletions", b->to);
    if (!names_list(b->to, "wal", ".wal", &logs, err) || !fs_exists(path, &exists, err) ||
        (exists && !send_file(b->pins->bs, path, far_deletions_key, &next->deletions, err)))
        return false;
    for (size_t i = 0; i < logs.count; i++) {
        struct far_item log = {.gen = strtoull(logs.items[i], NULL, 16)};
        (void)snprintf(path, sizeof path, "%s/wal/%s", b->to, logs.items[i]);
        if (!send_file(b->pins->bs, path, far_log_key, &log, err))
            return false;
        far_items_add(&next->logs, &log);
    }
    return true;
}

struct removal {
    const struct far_live *keep;
    char (*doomed)[FAR_KEY_BYTES]; // owned
    size_t count, room;
};

static void removal_done(struct removal *r)
{
    free(r->doomed);
}

static bool is_named(const struct far_live *live, const char *key, bool *ours_out)
{
    char name[FAR_KEY_BYTES] = "";
    uint64_t gen, check;
    *ours_out = true;
    if (sscanf(key, SEG_KEY_PREFIX "%16" SCNx64 ".seg", &gen) == 1)
        return far_items_find(&live->segments, gen) != NULL;
    if (sscanf(key, "wal/%16" SCNx64 "-", &gen) == 1) {
        const struct far_item *log = far_items_find(&live->logs, gen);
        if (log != NULL)
            far_log_key(log, name);
        return strcmp(name, key) == 0;
    }
    *ours_out = sscanf(key, "deletions-%16" SCNx64, &check) == 1;
    if (live->deletions.bytes > 0)
        far_deletions_key(&live->deletions, name);
    return strcmp(name, key) == 0;
}

static bool visit_after(void *ctx, const struct blob_item *item, struct err *err)
{
    (void)err;
    struct removal *r = ctx;
    bool ours;
    if (is_named(r->keep, item->key, &ours) || !ours || strlen(item->key) >= FAR_KEY_BYTES)
        return true;
    if (r->count == r->room) {
        r->room = r->room == 0 ? 64 : 2 * r->room;
        r->doomed = realloc(r->doomed, r->room * sizeof *r->doomed);
        if (r->doomed == NULL)
            abort();
    }
    (void)snprintf(r->doomed[r->count++], FAR_KEY_BYTES, "%s", item->key);
    return true;
}

static bool remove_unnamed(struct blob_store *bs, const struct far_live *keep, struct err *err)
{
    AUTO(removal_done) struct removal r = {.keep = keep};
    if (!blob_list(bs, "", visit_after, &r, err))
        return false;
    for (size_t i = 0; i < r.count; i++)
        if (!blob_delete(bs, r.doomed[i], err))
            return false;
    return true;
}

// A descriptor for each segment that is new.
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); // a refusal leaves what there was
    }
}

static bool send_all(struct backup *b, struct err *err)
{
    struct backup_pins *p = b->pins;
    AUTO(far_live_done) struct far_live next = {.kind = FAR_BACKUP};
    bool good = look(p, err) && backup_take(b, err) && is_of_same_store(p, err) && send_segments(b, &next, err) &&
                send_rest(b, &next, err) && far_backup_put(p->bs, &next, p->before.version, err) &&
                remove_unnamed(p->bs, &next, err);
    if (b->progress)
        fputs("\r\033[K", stderr);
    return good;
}

bool backup_send(struct backup *b, struct err *err)
{
    AUTO(dump_scratch_done) struct dump_scratch scratch = {0};
    AUTO(pins_done) struct backup_pins pins = {0};
    struct dump_bucket bucket;
    struct backup local = *b;
    if (!dump_bucket_parse(b->to, &bucket, err))
        return false;
    if (bucket.gen != 0)
        return err_set(err, ERR_INPUT, "%s: a backup is put below a prefix", b->to);
    if (!blob_open(&bucket.options, &pins.bs, err) || !dump_scratch_make(&scratch, err) ||
        !backup_make_folders(scratch.path, err))
        return false;
    raise_descriptors();
    local.to = scratch.path;
    local.pins = &pins;
    bool good = send_all(&local, err);
    local.to = b->to;
    local.pins = NULL;
    *b = local;
    return good;
}

// --- fetching ---------------------------------------------------------------------------------------

// Whether a file is that segment. One that was cut short has no such name.
static bool is_fetched(struct blob_store *bs, const struct far_live *live, const struct far_item *s, const char *key,
                       const char *path, bool *same_out, struct err *err)
{
    AUTO(fs_closep) int fd = -1;
    uint64_t bytes, ours, theirs = s->check;
    struct err why;
    *same_out = false;
    if (!fs_open_read(path, &fd, &why) || !fs_bytes(fd, path, &bytes, &why) || bytes != s->bytes ||
        !check_of_file(fd, path, bytes, &ours, &why))
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

static bool fetch_round(struct backup *b, struct blob_store *bs, const char *scratch, struct names *segments,
                        struct names *logs, struct err *err)
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
           backup_remove_others(b, "segments", ".seg", &segments, err) &&
           backup_remove_others(b, "wal", ".wal", &logs, err) && backup_sync(b, err);
}
