/*
 * far_deletions.c -- requests to delete, in the bucket: for read-only servers, and for a directory that was lost.
 *
 * The object is the file (docs/format.md "Deletions"). It is put before the index that shows what became of them, and got
 * before the segments are answered from.
 */
#include "base/fs.h"
#include "base/hash.h"
#include "base/limits.h"
#include "store/far/far.h"
#include "store/state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char KEY[] = "deletions";

static void file_path(const struct far *far, char path[STORE_PATH_BYTES])
{
    (void)snprintf(path, STORE_PATH_BYTES, "%s/deletions", far->st->dir);
}

bool far_deletions_put(struct far *far, struct err *err)
{
    char path[STORE_PATH_BYTES], *bytes;
    size_t len;
    file_path(far, path);
    if (!fs_read_file(path, DELETIONS_FILE_BYTES_MAX, &bytes, &len, err))
        return err->code == ERR_NOT_FOUND;
    uint64_t check = hash64(slice_of(bytes, len));
    free(bytes);
    if (check == far->deletions_check)
        return true;
    AUTO(fs_closep) int fd = -1;
    uint64_t now_bytes; // another one by now is put again the next time
    struct blob_info info = {0};
    bool there = blob_head(far->bs, KEY, &info, err);
    if (!there && err->code != ERR_NOT_FOUND)
        return false;
    const char *want = !there ? BLOB_NOTHING : info.etag[0] != '\0' ? info.etag : BLOB_ANYTHING;
    if (!fs_open_read(path, &fd, err) || !fs_bytes(fd, path, &now_bytes, err) ||
        !blob_put_file(far->bs, KEY, fd, path, now_bytes, want, NULL, err))
        return false;
    far->deletions_check = check;
    return true;
}

static bool write_file(struct far *far, struct slice bytes, struct err *err)
{
    char path[STORE_PATH_BYTES], tmp[STORE_PATH_BYTES + 8];
    file_path(far, path);
    (void)snprintf(tmp, sizeof tmp, "%s.tmp", path);
    AUTO(fs_closep) int fd = -1;
    return fs_create(tmp, true, &fd, err) && fs_write_at(fd, tmp, 0, bytes, err) && fs_sync(fd, tmp, err) &&
           fs_rename(tmp, path, err) && fs_sync_dir(far->st->dir, err);
}

bool far_deletions_get(struct far *far, bool *changed_out, struct err *err)
{
    struct blob_info info;
    *changed_out = false;
    if (!blob_head(far->bs, KEY, &info, err))
        return err->code == ERR_NOT_FOUND;
    if (info.etag[0] != '\0' && strcmp(info.etag, far->deletions_etag) == 0)
        return true;
    if (info.bytes > DELETIONS_FILE_BYTES_MAX)
        return err_set(err, ERR_CORRUPT, "%s%s: %" PRIu64 " bytes are too many", blob_name(far->bs), KEY, info.bytes);
    AUTO(buf_done) struct buf b;
    buf_init(&b, DELETIONS_FILE_BYTES_MAX + 1);
    uint8_t *to = buf_reserve(&b, (size_t)info.bytes + 1);
    if (to == NULL)
        return err_set(err, ERR_LIMIT, "no memory for %" PRIu64 " bytes of %s", info.bytes, KEY);
    if (!blob_get(far->bs, KEY, 0, to, (size_t)info.bytes, err) ||
        !write_file(far, slice_of(to, (size_t)info.bytes), err))
        return false;
    (void)snprintf(far->deletions_etag, sizeof far->deletions_etag, "%s", info.etag);
    *changed_out = true;
    return true;
}
