/* fs.c -- the door to the operating system's files; see fs.h. */
#include "base/fs.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>

// --- tests ------------------------------------------------------------------------------------------

static struct {
    atomic_uint_fast64_t calls;
    atomic_uint_fast64_t fail_at; // 0: never
    atomic_int errno_value;
    atomic_bool sticky;
    atomic_bool failed;
} fault;

static void (*watch_fn)(void *ctx, const struct fs_event *event);
static void *watch_ctx;

void fs_fail_at(uint64_t n, int errno_value, bool sticky)
{
    atomic_store(&fault.fail_at, 0); // calls of other threads meanwhile are not counted
    fault.errno_value = errno_value;
    fault.sticky = sticky;
    atomic_store(&fault.calls, 0);
    atomic_store(&fault.failed, false);
    atomic_store(&fault.fail_at, n);
}

int fs_fault(void)
{
    uint64_t call = atomic_fetch_add_explicit(&fault.calls, 1, memory_order_relaxed) + 1;
    uint64_t fail_at = atomic_load_explicit(&fault.fail_at, memory_order_relaxed);
    if (LIKELY(fail_at == 0) || call < fail_at || (call > fail_at && !fault.sticky))
        return 0;
    atomic_store(&fault.failed, true);
    return fault.errno_value;
}

bool fs_failed(void)
{
    return atomic_load(&fault.failed);
}

uint64_t fs_calls(void)
{
    return atomic_load(&fault.calls);
}

void fs_watch(void (*watch)(void *ctx, const struct fs_event *event), void *ctx)
{
    watch_fn = watch;
    watch_ctx = ctx;
}

static void tell(const struct fs_event *event)
{
    if (UNLIKELY(watch_fn != NULL))
        watch_fn(watch_ctx, event);
}

// An injected failure of the call at hand: sets errno.
static bool injected(void)
{
    int errno_value = fs_fault();
    if (LIKELY(errno_value == 0))
        return false;
    errno = errno_value;
    return true;
}

// --- descriptors ------------------------------------------------------------------------------------

static bool open_file(const char *path, int flags, int *fd_out, struct err *err)
{
    int fd = -1;
    if (!injected())
        do
            fd = open(path, flags | O_CLOEXEC, 0644);
        while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return err_errno(err, errno, "%s: open", path);
    *fd_out = fd;
    return true;
}

bool fs_open_read(const char *path, int *fd_out, struct err *err)
{
    return open_file(path, O_RDONLY, fd_out, err);
}

bool fs_open_write(const char *path, int *fd_out, struct err *err)
{
    return open_file(path, O_RDWR, fd_out, err);
}

bool fs_create(const char *path, bool replace, int *fd_out, struct err *err)
{
    if (!open_file(path, O_RDWR | O_CREAT | (replace ? O_TRUNC : O_EXCL), fd_out, err))
        return false;
    tell(&(struct fs_event){.kind = FS_CREATE, .path = path});
    return true;
}

void fs_close(int fd)
{
    if (fd >= 0)
        (void)close(fd); // whatever mattered was synced before
}

bool fs_read_at(int fd, const char *path, uint64_t pos, void *to, size_t len, struct err *err)
{
    if (injected())
        return err_errno(err, errno, "%s: read %zu bytes at %" PRIu64, path, len, pos);
    uint8_t *at = to;
    while (len > 0) {
        ssize_t got = pread(fd, at, len, (off_t)pos);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(err, errno, "%s: read %zu bytes at %" PRIu64, path, len, pos);
        if (got == 0)
            return err_set(err, ERR_CORRUPT, "%s: ends at %" PRIu64 ", %zu bytes missing", path, pos, len);
        at += got;
        pos += (uint64_t)got;
        len -= (size_t)got;
    }
    return true;
}

void fs_will_read(int fd, uint64_t pos, uint64_t len)
{
    (void)posix_fadvise(fd, (off_t)pos, (off_t)len, POSIX_FADV_WILLNEED); // a failure costs the time that was to be saved
}

static bool write_all(int fd, uint64_t pos, struct iovec *pieces, int count)
{
    while (count > 0) {
        if (pieces->iov_len == 0) {
            pieces++;
            count--;
            continue;
        }
        ssize_t put = pwritev(fd, pieces, count, (off_t)pos);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return false;
        pos += (uint64_t)put;
        for (size_t left = (size_t)put; left > 0;) {
            size_t step = left < pieces->iov_len ? left : pieces->iov_len;
            pieces->iov_base = (uint8_t *)pieces->iov_base + step;
            pieces->iov_len -= step;
            left -= step;
            if (pieces->iov_len == 0) {
                pieces++;
                count--;
            }
        }
    }
    return true;
}

static void tell_write(const char *path, uint64_t pos, struct slice bytes)
{
    if (bytes.len > 0)
        tell(&(struct fs_event){.kind = FS_WRITE, .path = path, .pos = pos, .bytes = bytes});
}

bool fs_write2_at(int fd, const char *path, uint64_t pos, struct slice a, struct slice b,
                  struct err *err)
{
    struct iovec pieces[2] = {{(void *)(uintptr_t)a.ptr, a.len}, {(void *)(uintptr_t)b.ptr, b.len}};
    if (injected()) {
        int why = errno;
        pieces[0].iov_len /= 2; // torn
        (void)write_all(fd, pos, pieces, 1);
        tell_write(path, pos, slice_of(a.ptr, a.len / 2));
        return err_errno(err, why, "%s: write %zu bytes at %" PRIu64, path, a.len + b.len, pos);
    }
    if (!write_all(fd, pos, pieces, 2))
        return err_errno(err, errno, "%s: write %zu bytes at %" PRIu64, path, a.len + b.len, pos);
    tell_write(path, pos, a);
    tell_write(path, pos + a.len, b);
    return true;
}

bool fs_write_at(int fd, const char *path, uint64_t pos, struct slice bytes, struct err *err)
{
    return fs_write2_at(fd, path, pos, bytes, (struct slice){0}, err);
}

bool fs_datasync(int fd, const char *path, struct err *err)
{
    if (injected() || fdatasync(fd) != 0)
        return err_errno(err, errno, "%s: fdatasync", path);
    tell(&(struct fs_event){.kind = FS_SYNC, .path = path});
    return true;
}

bool fs_sync(int fd, const char *path, struct err *err)
{
    if (injected() || fsync(fd) != 0)
        return err_errno(err, errno, "%s: fsync", path);
    tell(&(struct fs_event){.kind = FS_SYNC, .path = path});
    return true;
}

bool fs_truncate(int fd, const char *path, uint64_t bytes, struct err *err)
{
    if (injected() || ftruncate(fd, (off_t)bytes) != 0)
        return err_errno(err, errno, "%s: truncate to %" PRIu64 " bytes", path, bytes);
    tell(&(struct fs_event){.kind = FS_TRUNCATE, .path = path, .pos = bytes});
    return true;
}

bool fs_bytes(int fd, const char *path, uint64_t *bytes_out, struct err *err)
{
    struct stat st;
    if (injected() || fstat(fd, &st) != 0)
        return err_errno(err, errno, "%s: stat", path);
    *bytes_out = (uint64_t)st.st_size;
    return true;
}

// --- names ------------------------------------------------------------------------------------------

static bool make_dir(const char *path)
{
    return mkdir(path, 0755) == 0 || errno == EEXIST;
}

bool fs_mkdir(const char *path, struct err *err)
{
    char *parents = strdup(path);
    assert(parents != NULL);
    bool good = !injected();
    for (char *slash = strchr(parents + 1, '/'); good && slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        good = make_dir(parents);
        *slash = '/';
    }
    good = good && make_dir(parents);
    int why = errno;
    free(parents);
    struct stat st;
    if (good && stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
        good = false;
        why = ENOTDIR;
    }
    return good || err_errno(err, why, "%s: make directory", path);
}

bool fs_sync_dir(const char *path, struct err *err)
{
    AUTO(fs_closep) int fd = -1;
    if (!open_file(path, O_RDONLY | O_DIRECTORY, &fd, err))
        return false;
    if (injected() || fsync(fd) != 0)
        return err_errno(err, errno, "%s: fsync", path);
    tell(&(struct fs_event){.kind = FS_SYNC_DIR, .path = path});
    return true;
}

bool fs_rename(const char *from, const char *to, struct err *err)
{
    if (injected() || rename(from, to) != 0)
        return err_errno(err, errno, "%s: rename to %s", from, to);
    tell(&(struct fs_event){.kind = FS_RENAME, .path = from, .path_to = to});
    return true;
}

bool fs_link(const char *path, const char *other, struct err *err)
{
    if (injected() || (link(path, other) != 0 && errno != EEXIST))
        return err_errno(err, errno, "%s: link to %s", path, other);
    return true;
}

bool fs_unlink(const char *path, struct err *err)
{
    if (injected() || (unlink(path) != 0 && errno != ENOENT))
        return err_errno(err, errno, "%s: unlink", path);
    tell(&(struct fs_event){.kind = FS_UNLINK, .path = path});
    return true;
}

void fs_unlink_quietly(const char *path)
{
    struct err ignored;
    bool good = fs_unlink(path, &ignored);
    (void)good;
}

void fs_rmdir_quietly(const char *path)
{
    (void)rmdir(path);
}

bool fs_exists(const char *path, bool *exists_out, struct err *err)
{
    struct stat st;
    bool failed = injected();
    if (!failed && stat(path, &st) == 0) {
        *exists_out = true;
        return true;
    }
    if (failed || errno != ENOENT)
        return err_errno(err, errno, "%s: stat", path);
    *exists_out = false;
    return true;
}

bool fs_space(const char *path, uint64_t *free_out, uint64_t *total_out, struct err *err)
{
    struct statvfs st;
    if (injected() || statvfs(path, &st) != 0)
        return err_errno(err, errno, "%s: statvfs", path);
    *free_out = (uint64_t)st.f_bavail * st.f_frsize;
    *total_out = (uint64_t)st.f_blocks * st.f_frsize;
    return true;
}

bool fs_read_file(const char *path, size_t bytes_max, char **bytes_out, size_t *len_out,
                  struct err *err)
{
    AUTO(fs_closep) int fd = -1;
    uint64_t bytes;
    if (!fs_open_read(path, &fd, err) || !fs_bytes(fd, path, &bytes, err))
        return false;
    if (bytes > bytes_max)
        return err_set(err, ERR_TOO_LARGE, "%s: %" PRIu64 " bytes exceed the limit of %zu", path, bytes,
                       bytes_max);
    char *text = malloc((size_t)bytes + 1);
    assert(text != NULL);
    if (!fs_read_at(fd, path, 0, text, (size_t)bytes, err)) {
        free(text);
        return false;
    }
    text[bytes] = '\0';
    *bytes_out = text;
    *len_out = (size_t)bytes;
    return true;
}

static void close_dir(DIR **dir)
{
    if (*dir != NULL)
        (void)closedir(*dir);
}

bool fs_list(const char *path, bool (*visit)(void *ctx, const char *name, struct err *err), void *ctx,
             struct err *err)
{
    AUTO(close_dir) DIR *dir = injected() ? NULL : opendir(path);
    if (dir == NULL)
        return err_errno(err, errno, "%s: list", path);
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (entry == NULL)
            return errno == 0 || err_errno(err, errno, "%s: list", path);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            !visit(ctx, entry->d_name, err))
            return false;
    }
}

bool fs_lock(const char *path, int *fd_out, struct err *err)
{
    AUTO(fs_closep) int fd = -1;
    if (!open_file(path, O_RDWR | O_CREAT, &fd, err))
        return false;
    if (injected() || flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            return err_set(err, ERR_BUSY, "%s: locked by another process", path);
        return err_errno(err, errno, "%s: lock", path);
    }
    *fd_out = MOVE_FD(fd);
    return true;
}
