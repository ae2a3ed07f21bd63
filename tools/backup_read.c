/*
 * backup_read.c -- reads a backup back: the part that nobody has read yet, or all of it.
 *
 * A segment never changes. One that was read whole and found good is noted in the backup's list with a tag: in a bucket that of its
 * object (backup_bucket.c), in a directory that of its file, which is its inode and when it was written. While length, footer's
 * checksum and tag are the same, the next run does not read it again (far_backup.h: B3), unless it is told to.
 */
#include "backup.h"

#include "base/fs.h"
#include "base/hash.h"
#include "store/segment/seg.h"
#include "store/segment/seg_format.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

// --- reading ----------------------------------------------------------------------------------------

struct progress {
    struct backup *backup;
    struct backup_reading *reading;
    uint64_t gen; // of the segment that is read; 0: something else is
};

void backup_reading_done(struct backup_reading *r)
{
    free(r->bad.items);
    *r = (struct backup_reading){0};
}

static void on_file(void *ctx, const char *path)
{
    struct progress *p = ctx;
    const char *name = strrchr(path, '/');
    p->gen = name != NULL && dump_ends(path, ".seg") ? strtoull(name + 1, NULL, 16) : 0;
    if (p->backup->progress)
        fprintf(stderr, "\r\033[K%s", path);
}

static void on_problem(void *ctx, const char *text)
{
    struct progress *p = ctx;
    struct far_items *bad = &p->reading->bad;
    if (p->gen == 0)
        p->reading->rest_bad = true;
    else if (bad->count == 0 || bad->items[bad->count - 1].gen != p->gen)
        far_items_add(bad, &(struct far_item){.gen = p->gen});
    if (p->reading->repairable)
        fprintf(stderr, "mstore-dump: damaged, and sent again: %s\n", text);
    else
        fprintf(p->backup->json ? stderr : stdout, "problem: %s\n", text);
}

bool backup_read(struct backup *b, const char *path, struct backup_reading *r, struct err *err)
{
    struct progress progress = {.backup = b, .reading = r};
    struct store_verify_stats stats;
    unsigned how = DUMP_VERIFY_NO_INDEX | (b->deep ? DUMP_VERIFY_DEEP : 0);
    bool good = dump_verify_store(path, how, r->part, on_problem, on_file, &progress, &stats, err);
    if (b->progress)
        fputs("\r\033[K", stderr);
    if (!good)
        return false;
    b->segments_read += stats.segments;
    if (r->part == NULL) {
        b->entries = stats.entries;
        b->spans = stats.spans;
    }
    b->problems += r->repairable ? 0 : stats.problems;
    return true;
}

bool backup_check_of_file(int fd, const char *path, uint64_t bytes, uint64_t *check_out, struct err *err)
{
    uint8_t trailer[SEG_TRAILER_BYTES];
    uint64_t footer_pos;
    if (bytes < sizeof trailer)
        return err_set(err, ERR_CORRUPT, "%s: %" PRIu64 " bytes are no segment", path, bytes);
    return (fs_read_at(fd, path, bytes - sizeof trailer, trailer, sizeof trailer, err) &&
            seg_get_trailer(slice_of(trailer, sizeof trailer), bytes, &footer_pos, check_out, err)) ||
           err_wrap(err, "%s", path);
}

// One that cannot be read is told when it is.
void backup_count(struct backup *b, const char *path, uint64_t gen)
{
    struct err why;
    AUTO(seg_unrefp) struct seg *seg = seg_new(path, gen);
    if (!seg_load(seg, &why))
        return;
    b->entries += seg_footer(seg)->totals.entries;
    b->spans += seg_footer(seg)->totals.spans;
}

// --- a directory ------------------------------------------------------------------------------------

// What was noted there. A list that is none notes nothing.
static bool get_list(const char *path, struct far_live *out, struct err *err)
{
    AUTO(fs_closep) int fd = -1;
    AUTO(buf_done) struct buf text;
    uint64_t bytes;
    bool exists;
    buf_init(&text, 0);
    if (!fs_exists(path, &exists, err))
        return false;
    if (!exists)
        return true;
    if (!fs_open_read(path, &fd, err) || !fs_bytes(fd, path, &bytes, err))
        return false;
    uint8_t *to = buf_reserve(&text, (size_t)bytes + 1);
    if (to == NULL)
        return err_set(err, ERR_LIMIT, "%s: %" PRIu64 " bytes are too many", path, bytes);
    if (!fs_read_at(fd, path, 0, to, (size_t)bytes, err))
        return false;
    (void)!far_backup_parse(slice_of(to, (size_t)bytes), out);
    return true;
}

static bool put_list(const char *dir, const char *path, const struct far_live *list, struct err *err)
{
    AUTO(fs_closep) int fd = -1;
    AUTO(buf_done) struct buf text;
    char tmp[BACKUP_PATH_BYTES + 8];
    buf_init(&text, 0);
    far_backup_print(list, &text);
    (void)snprintf(tmp, sizeof tmp, "%s.tmp", path);
    return fs_create(tmp, true, &fd, err) && fs_write_at(fd, tmp, 0, buf_slice(&text), err) && fs_sync(fd, tmp, err) &&
           fs_rename(tmp, path, err) && fs_sync_dir(dir, err);
}

// What a file is, for the list. One without a footer has no checksum, and will be read.
static bool file_item(const char *path, struct far_item *item, struct err *err)
{
    AUTO(fs_closep) int fd = -1;
    struct stat st;
    struct err why;
    if (!fs_open_read(path, &fd, err) || !fs_bytes(fd, path, &item->bytes, err))
        return false;
    if (!backup_check_of_file(fd, path, item->bytes, &item->check, &why))
        item->check = 0;
    if (fstat(fd, &st) != 0)
        return true; // has no tag
    uint64_t made[] = {st.st_ino, (uint64_t)st.st_mtim.tv_sec, (uint64_t)st.st_mtim.tv_nsec};
    item->tag = hash64(slice_of(made, sizeof made));
    return true;
}

static bool is_known(const struct far_live *list, const struct far_item *item)
{
    const struct far_item *noted = far_items_find(&list->segments, item->gen);
    return noted != NULL && item->tag != 0 && memcmp(noted, item, sizeof *item) == 0;
}

// What is there, and what of that has to be read.
static bool list_files(struct backup *b, const struct far_live *noted, struct far_live *now, struct far_live *part,
                       struct err *err)
{
    AUTO(names_done) struct names names = {0};
    if (!names_list(b->to, "segments", ".seg", &names, err))
        return false;
    for (size_t i = 0; i < names.count; i++) {
        char path[BACKUP_PATH_BYTES];
        struct far_item item = {.gen = strtoull(names.items[i], NULL, 16)};
        (void)snprintf(path, sizeof path, "%s/segments/%s", b->to, names.items[i]);
        if (!file_item(path, &item, err))
            return false;
        backup_count(b, path, item.gen);
        far_items_add(&now->segments, &item);
        if (b->deep || !is_known(noted, &item))
            far_items_add(&part->segments, &item);
    }
    return true;
}

bool backup_read_new(struct backup *b, struct err *err)
{
    AUTO(far_live_done) struct far_live noted = {0};
    AUTO(far_live_done) struct far_live now = {0};
    AUTO(far_live_done) struct far_live part = {0};
    AUTO(backup_reading_done) struct backup_reading reading = {.part = &part};
    char path[BACKUP_PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/" FAR_BACKUP_KEY, b->to);
    if (!get_list(path, &noted, err) || !list_files(b, &noted, &now, &part, err) || !backup_read(b, b->to, &reading, err))
        return false;
    for (size_t i = 0; i < now.segments.count; i++)
        if (far_items_find(&reading.bad, now.segments.items[i].gen) != NULL)
            now.segments.items[i].tag = 0;
    return put_list(b->to, path, &now, err);
}
