/*
 * backup.c -- `mstore-dump backup` and `restore`: the commands, and how a directory is taken.
 *
 * A backup is a data directory without an index: every command opens it, and so does mstored. It is taken beside a running server,
 * without its help:
 *
 * K1  What a request to delete hides stays hidden: `deletions` is copied before any data, and is about what was there then.
 * K2  An entry moves from log to segment to larger segment, and is in the next place before it leaves the last. Logs are taken before
 *     segments, so none is missed between the two; segments are listed again when all are taken, and if any came or went everything
 *     is looked at again, until two lists are equal.
 * K3  Newest logs first: what is taken of one was acknowledged before what is taken of those before it was complete.
 * K4  A log whose generation is in a segment of the last list is left out: it was taken while it grew, the segment is whole.
 * K5  The backup is a backup at any time: new segments are in it, synced, before those that they replace leave it.
 * K6  Until the first copy into a directory is whole, the file `incomplete` is there, and nothing opens it (store_open()).
 *
 * Segments never change, so a backup into the same place takes only those that it does not have, as second names of the same file
 * where the file system can. In a bucket it is objects (backup_bucket.c).
 */
#include "backup.h"

#include "bucket.h"

#include "base/fs.h"
#include "store/segment/seg.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { ROUNDS_MAX = 100, COPY_BYTES = 1 << 20 };

void names_done(struct names *n)
{
    free(n->items);
    *n = (struct names){0};
}

// --- lists
// ------------------------------------------------------------------------------------------

void names_add(struct names *n, const char *name)
{
    if (n->count == n->room) {
        n->room = n->room == 0 ? 64 : 2 * n->room;
        n->items = realloc(n->items, n->room * sizeof *n->items);
        if (n->items == NULL)
            abort();
    }
    (void)snprintf(n->items[n->count++], BACKUP_NAME_BYTES, "%s", name);
}

static bool visit_name(void *ctx, const char *name, struct err *err)
{
    struct names *n = ctx;
    (void)err;
    if (dump_ends(name, n->suffix) && strlen(name) == 16 + strlen(n->suffix))
        names_add(n, name); // else temporary, damaged, somebody else's
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

bool names_list(const char *dir, const char *folder, const char *suffix, struct names *n,
                struct err *err)
{
    char path[BACKUP_PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s", dir, folder);
    n->count = 0;
    n->suffix = suffix;
    if (!fs_list(path, visit_name, n, err))
        return false;
    if (n->count > 0)
        qsort(n->items, n->count, sizeof *n->items, by_name);
    return true;
}

static bool has(const struct names *n, const char *name)
{
    return n->count > 0 && bsearch(name, n->items, n->count, sizeof *n->items, by_name) != NULL;
}

static bool same(const struct names *a, const struct names *b)
{
    bool equal = a->count == b->count;
    for (size_t i = 0; equal && i < a->count; i++)
        equal = strcmp(a->items[i], b->items[i]) == 0;
    return equal;
}

// --- files
// ------------------------------------------------------------------------------------------

// Copies as many bytes as the file has now; the copy is synced and has its name only when it is
// whole.
static bool copy_file(const char *from, const char *to, uint64_t *bytes_out, struct err *err)
{
    char tmp[BACKUP_PATH_BYTES + 8];
    AUTO(fs_closep) int in = -1, out = -1;
    (void)snprintf(tmp, sizeof tmp, "%s.tmp", to);
    if (!fs_open_read(from, &in, err) || !fs_bytes(in, from, bytes_out, err) ||
        !fs_create(tmp, true, &out, err))
        return false;
    uint8_t *piece = malloc(COPY_BYTES);
    if (piece == NULL)
        abort();
    bool good = true;
    for (uint64_t pos = 0; good && pos < *bytes_out; pos += COPY_BYTES) {
        size_t n = *bytes_out - pos < COPY_BYTES ? (size_t)(*bytes_out - pos) : COPY_BYTES;
        good = fs_read_at(in, from, pos, piece, n, err) &&
               fs_write_at(out, tmp, pos, slice_of(piece, n), err);
    }
    free(piece);
    if (good && fs_sync(out, tmp, err) && fs_rename(tmp, to, err))
        return true;
    fs_unlink_quietly(tmp);
    return false;
}

static bool is_there(const char *from, const char *to)
{
    struct stat a, b;
    return stat(from, &a) == 0 && stat(to, &b) == 0 && a.st_size == b.st_size;
}

static bool take_segment(struct backup *b, const char *name, struct err *err)
{
    if (b->pins != NULL)
        return backup_pin(b, name, err);
    char from[BACKUP_PATH_BYTES], to[BACKUP_PATH_BYTES];
    struct err why;
    struct stat st;
    (void)snprintf(from, sizeof from, "%s/segments/%s", b->from, name);
    (void)snprintf(to, sizeof to, "%s/segments/%s", b->to, name);
    if (is_there(from, to))
        return true;
    if (b->progress)
        fprintf(stderr, "\r\033[K%s", name);
    fs_unlink_quietly(to); // of another length: not the same
    bool linked = !b->copy && fs_link(from, to, &why) && stat(to, &st) == 0;
    uint64_t bytes = linked ? (uint64_t)st.st_size : 0;
    if (!linked && !copy_file(from, to, &bytes, err))
        return false;
    b->segments_new++;
    b->bytes_new += bytes;
    b->linked += linked;
    return true;
}

// Whether `path` is gone; what was published or replaced meanwhile is looked for again.
static bool vanished(const char *dir, const char *folder, const char *name)
{
    char path[BACKUP_PATH_BYTES];
    bool exists;
    struct err why;
    (void)snprintf(path, sizeof path, "%s/%s/%s", dir, folder, name);
    return fs_exists(path, &exists, &why) && !exists;
}

static bool take_logs(struct backup *b, const struct names *logs, struct err *err)
{
    for (size_t i = logs->count; i-- > 0;) { // K3
        char from[BACKUP_PATH_BYTES], to[BACKUP_PATH_BYTES];
        uint64_t bytes;
        (void)snprintf(from, sizeof from, "%s/wal/%s", b->from, logs->items[i]);
        (void)snprintf(to, sizeof to, "%s/wal/%s", b->to, logs->items[i]);
        if (!copy_file(from, to, &bytes, err) && !vanished(b->from, "wal", logs->items[i]))
            return false; // else it is a segment now
    }
    return true;
}

static bool take_deletions(struct backup *b, struct err *err)
{
    char from[BACKUP_PATH_BYTES], to[BACKUP_PATH_BYTES];
    bool exists;
    uint64_t bytes;
    (void)snprintf(from, sizeof from, "%s/deletions", b->from);
    (void)snprintf(to, sizeof to, "%s/deletions", b->to);
    if (!fs_exists(from, &exists, err))
        return false;
    return exists ? copy_file(from, to, &bytes, err) : fs_unlink(to, err);
}

bool backup_remove_others(const struct backup *b, const char *folder, const char *suffix,
                          const struct names *keep, struct err *err)
{
    AUTO(names_done) struct names old = {0};
    if (!names_list(b->to, folder, suffix, &old, err))
        return false;
    for (size_t i = 0; i < old.count; i++) {
        char path[BACKUP_PATH_BYTES];
        (void)snprintf(path, sizeof path, "%s/%s/%s", b->to, folder, old.items[i]);
        if (!has(keep, old.items[i]) && !fs_unlink(path, err))
            return false;
    }
    return true;
}

// What a backup that was cut short left half written.
bool backup_remove_halves(const struct backup *b, struct err *err)
{
    const struct names none = {0};
    return backup_remove_others(b, "segments", ".seg.tmp", &none, err) &&
           backup_remove_others(b, "wal", ".wal.tmp", &none, err);
}

bool backup_sync(const struct backup *b, struct err *err)
{
    char segments[BACKUP_PATH_BYTES], logs[BACKUP_PATH_BYTES];
    (void)snprintf(segments, sizeof segments, "%s/segments", b->to);
    (void)snprintf(logs, sizeof logs, "%s/wal", b->to);
    return fs_sync_dir(segments, err) && fs_sync_dir(logs, err) && fs_sync_dir(b->to, err);
}

// One look at everything. *settled_out: nothing came or went meanwhile.
static bool take_round(struct backup *b, struct names *logs, struct names *segments,
                       bool *settled_out, struct err *err)
{
    AUTO(names_done) struct names after = {0};
    *settled_out = false;
    if (b->pins != NULL)
        backup_unpin(b);
    if (!take_deletions(b, err) || !names_list(b->from, "wal", ".wal", logs, err) ||
        !take_logs(b, logs, err) || !names_list(b->from, "segments", ".seg", segments, err))
        return false;
    for (size_t i = 0; i < segments->count; i++)
        if (!take_segment(b, segments->items[i], err))
            return vanished(b->from, "segments", segments->items[i]);
    if (!names_list(b->from, "segments", ".seg", &after, err))
        return false;
    *settled_out = same(segments, &after);
    b->segments = segments->count;
    return true;
}

static uint64_t number_of(const char *name)
{
    return strtoull(name, NULL, 16);
}

// K4. What compaction wrote holds all ages up to its own that are in no other segment.
static void leave_out_sealed(struct names *logs, const struct names *segments)
{
    size_t kept = 0;
    for (size_t i = 0; i < logs->count; i++) {
        uint64_t gen = number_of(logs->items[i]);
        bool sealed = false;
        for (size_t n = 0; n < segments->count && !sealed; n++) {
            uint64_t number = number_of(segments->items[n]);
            sealed = seg_age(number) == gen || (seg_rewrites(number) > 0 && seg_age(number) > gen);
        }
        if (!sealed)
            memmove(logs->items[kept++], logs->items[i], BACKUP_NAME_BYTES);
    }
    logs->count = kept;
}

bool backup_take(struct backup *b, struct err *err)
{
    AUTO(names_done) struct names logs = {0};
    AUTO(names_done) struct names segments = {0};
    bool settled = false;
    for (int round = 0; !settled; round++) {
        if (round == ROUNDS_MAX)
            return err_set(err, ERR_BUSY, "%s: segments come and go faster than they can be taken",
                           b->from);
        if (!take_round(b, &logs, &segments, &settled, err))
            return false;
    }
    leave_out_sealed(&logs, &segments);
    b->logs = logs.count;
    return backup_remove_halves(b, err) && backup_sync(b, err) &&
           backup_remove_others(b, "segments", ".seg", &segments, err) &&
           backup_remove_others(b, "wal", ".wal", &logs, err) && backup_sync(b, err);
}

// --- commands
// ---------------------------------------------------------------------------------------

static void print_result(const struct backup *b, const char *verb)
{
    if (b->json)
        printf("{\"segments\":%" PRIu64 ",\"new_segments\":%" PRIu64 ",\"new_bytes\":%" PRIu64 ",\"linked\":%" PRIu64
               ",\"logs\":%" PRIu64 ",\"entries\":%" PRIu64 ",\"spans\":%" PRIu64 ",\"read_segments\":%" PRIu64
               ",\"damaged\":%" PRIu64 "}\n",
               b->segments, b->segments_new, b->bytes_new, b->linked, b->logs, b->entries, b->spans, b->segments_read, b->damaged);
    else
        printf("%s and verified: %" PRIu64 " segments, %" PRIu64 " of them new with %" PRIu64 " bytes, %" PRIu64
               " as links, %" PRIu64 " read back; %" PRIu64 " logs\n",
               verb, b->segments, b->segments_new, b->bytes_new, b->linked, b->segments_read, b->logs);
}

static int parse_arguments(int argc, char **argv, struct backup *b)
{
    bool deep_too = strcmp(argv[0], "backup") == 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            b->json = true;
        else if (strcmp(argv[i], "--copy") == 0)
            b->copy = true;
        else if (deep_too && strcmp(argv[i], "--deep") == 0)
            b->deep = true;
        else if (argv[i][0] == '-' || b->to != NULL)
            return dump_fail(EXIT_USAGE, "%s: unexpected argument `%s`", argv[0], argv[i]);
        else if (b->from == NULL)
            b->from = argv[i];
        else
            b->to = argv[i];
    }
    b->progress = dump_on_terminal();
    return b->to == NULL ? dump_fail(EXIT_USAGE, "%s: from which directory or bucket to which?", argv[0]) : EXIT_GOOD;
}

bool backup_make_folders(const char *dir, struct err *err)
{
    char segments[BACKUP_PATH_BYTES], logs[BACKUP_PATH_BYTES];
    (void)snprintf(segments, sizeof segments, "%s/segments", dir);
    (void)snprintf(logs, sizeof logs, "%s/wal", dir);
    return fs_mkdir(segments, err) && fs_mkdir(logs, err);
}

static bool has_file(const char *dir, const char *name, bool *has_out, struct err *err)
{
    char path[BACKUP_PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return fs_exists(path, has_out, err);
}

// Whether a directory may be copied: a store's or a backup, with all that belongs to it.
static bool is_data(const char *dir, struct err *err)
{
    AUTO(names_done) struct names any = {0};
    bool far, cut;
    if (!names_list(dir, "segments", ".seg", &any, err) || !names_list(dir, "wal", ".wal", &any, err) ||
        !has_file(dir, "bucket", &far, err) || !has_file(dir, STORE_INCOMPLETE, &cut, err))
        return false;
    if (far)
        return err_set(err, ERR_INPUT,
                       "%s: its segments are kept in a bucket, not all of them here: take them from there, as "
                       "s3://BUCKET/PREFIX", dir);
    return !cut || err_set(err, ERR_INPUT, "%s: what was copied there was cut short: copy it again", dir);
}

static bool any_name(void *ctx, const char *name, struct err *err)
{
    (void)name;
    (void)err;
    *(bool *)ctx = true;
    return true;
}

// Locked as a store is: no server writes to it, no other backup.
static bool lock(const char *dir, int *fd_out, struct err *err)
{
    char path[BACKUP_PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/lock", dir);
    return fs_lock(path, fd_out, err);
}

// K6. A directory that has nothing yet is marked before anything is taken into it.
static bool begin(const char *dir, struct err *err)
{
    AUTO(names_done) struct names segments = {0};
    AUTO(names_done) struct names logs = {0};
    AUTO(fs_closep) int fd = -1;
    char path[BACKUP_PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/" STORE_INCOMPLETE, dir);
    if (!names_list(dir, "segments", ".seg", &segments, err) || !names_list(dir, "wal", ".wal", &logs, err))
        return false;
    return segments.count + logs.count > 0 ||
           (fs_create(path, true, &fd, err) && fs_sync(fd, path, err) && fs_sync_dir(dir, err));
}

static bool end(const char *dir, struct err *err)
{
    char path[BACKUP_PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/" STORE_INCOMPLETE, dir);
    return fs_unlink(path, err) && fs_sync_dir(dir, err);
}

// From a directory or a bucket into a directory.
static bool copy_all(struct backup *b, struct err *err)
{
    AUTO(fs_closep) int held = -1;
    if (!dump_is_bucket(b->from) && !is_data(b->from, err))
        return false;
    return backup_make_folders(b->to, err) && lock(b->to, &held, err) && begin(b->to, err) &&
           (dump_is_bucket(b->from) ? backup_fetch(b, err) : backup_take(b, err)) && end(b->to, err);
}

// Of what was taken, tells how it went.
static int finish(const struct backup *b, bool good, const char *verb, struct err *err)
{
    if (good && b->problems > 0)
        good = err_set(err, ERR_CORRUPT, "%s: %" PRIu64 " problems", b->to, b->problems);
    if (!good)
        return dump_fail(dump_status(err), "%s", err->text);
    print_result(b, verb);
    return EXIT_GOOD;
}

int dump_backup(int argc, char **argv)
{
    struct backup b = {0};
    struct err err;
    int status = parse_arguments(argc, argv, &b);
    if (status != EXIT_GOOD)
        return status;
    if (dump_is_bucket(b.from) && dump_is_bucket(b.to))
        return dump_fail(EXIT_USAGE, "backup: from bucket to bucket the object store copies better: all that is below the prefix");
    bool good = dump_is_bucket(b.to) ? is_data(b.from, &err) && backup_send(&b, &err)
                                     : copy_all(&b, &err) && backup_read_new(&b, &err);
    return finish(&b, good, "backed up", &err);
}

// Empty, not there, or what a restore that was cut short left.
static bool is_free(const char *dir, bool *free_out, struct err *err)
{
    bool exists, any = false, cut = false;
    if (!fs_exists(dir, &exists, err) || (exists && !fs_list(dir, any_name, &any, err)) ||
        (any && !has_file(dir, STORE_INCOMPLETE, &cut, err)))
        return false;
    *free_out = !any || cut;
    return true;
}

// Nothing is restored of a damaged backup; of one in a bucket, what arrived is verified.
static bool is_whole(const struct backup *b, struct err *err)
{
    AUTO(backup_reading_done) struct backup_reading reading = {0};
    struct backup from = *b;
    if (!is_data(b->from, err) || !backup_read(&from, b->from, &reading, err))
        return false;
    return from.problems == 0 || err_set(err, ERR_CORRUPT, "%s: %" PRIu64 " problems", b->from, from.problems);
}

int dump_restore(int argc, char **argv)
{
    AUTO(backup_reading_done) struct backup_reading reading = {0};
    struct backup b = {0};
    struct err err;
    bool room;
    int status = parse_arguments(argc, argv, &b);
    if (status != EXIT_GOOD)
        return status;
    if (dump_is_bucket(b.to))
        return dump_fail(EXIT_USAGE, "restore: into a directory; start mstored on that with --s3 and an empty prefix");
    if (!is_free(b.to, &room, &err))
        return dump_fail(dump_status(&err), "%s", err.text);
    if (!room)
        return dump_fail(EXIT_USAGE, "restore: %s is not empty", b.to);
    bool good = (dump_is_bucket(b.from) || is_whole(&b, &err)) && copy_all(&b, &err) && backup_read(&b, b.to, &reading, &err);
    return finish(&b, good, "restored", &err);
}
