/*
 * fs.h -- the door to the operating system's files, with counted fault injection.
 *
 * Every call that can fail for a reason outside of us passes here, so that a test can fail the 1st, the
 * 2nd, ... of them (fs_fail_at) and a power-cut model can watch what was written and synced (fs_watch).
 * Interrupted calls are restarted, short reads and writes completed. Errors name the path. Any thread;
 * the test hooks are for single-threaded tests.
 */
#pragma once

#include "base/attr.h"
#include "base/err.h"
#include "base/slice.h"

#include <stdint.h>
#include <unistd.h>

MUST_CHECK bool fs_open_read(const char *path, int *fd_out, struct err *err);
// Read and write, must exist.
MUST_CHECK bool fs_open_write(const char *path, int *fd_out, struct err *err);
// Read and write; must not exist (ERR_IO) unless `replace`: then an old file is emptied.
MUST_CHECK bool fs_create(const char *path, bool replace, int *fd_out, struct err *err);
void fs_close(int fd);
static inline void fs_closep(int *fd)
{
    fs_close(*fd); // ignores -1
}

// Exactly len bytes, else ERR_CORRUPT ("ends at ...") at the end of file.
MUST_CHECK bool fs_read_at(int fd, const char *path, uint64_t pos, void *to, size_t len, struct err *err);
// Bytes that are about to be read: the disk is asked for them, not waited for.
void fs_will_read(int fd, uint64_t pos, uint64_t len);
MUST_CHECK bool fs_write_at(int fd, const char *path, uint64_t pos, struct slice bytes, struct err *err);
// Two pieces, one after the other, in one call.
MUST_CHECK bool fs_write2_at(int fd, const char *path, uint64_t pos, struct slice a, struct slice b,
                             struct err *err);
MUST_CHECK bool fs_datasync(int fd, const char *path, struct err *err);
MUST_CHECK bool fs_sync(int fd, const char *path, struct err *err);
MUST_CHECK bool fs_truncate(int fd, const char *path, uint64_t bytes, struct err *err);
MUST_CHECK bool fs_bytes(int fd, const char *path, uint64_t *bytes_out, struct err *err);

MUST_CHECK bool fs_mkdir(const char *path, struct err *err); // existing is fine; parents are made
MUST_CHECK bool fs_sync_dir(const char *path, struct err *err);
MUST_CHECK bool fs_rename(const char *from, const char *to, struct err *err);
// A second name for a file; an existing one stays as it is.
MUST_CHECK bool fs_link(const char *path, const char *other, struct err *err);
// A missing file is fine.
MUST_CHECK bool fs_unlink(const char *path, struct err *err);
// Where a file that stays behind costs nothing but its space.
void fs_unlink_quietly(const char *path);
// An empty directory; where one that stays behind costs nothing.
void fs_rmdir_quietly(const char *path);
MUST_CHECK bool fs_exists(const char *path, bool *exists_out, struct err *err);
// Bytes free for us, and in all, on the file system of `path`.
MUST_CHECK bool fs_space(const char *path, uint64_t *free_out, uint64_t *total_out, struct err *err);
// Reads a whole file of at most bytes_max; *bytes_out is malloc'ed, NUL-terminated, caller frees.
MUST_CHECK bool fs_read_file(const char *path, size_t bytes_max, char **bytes_out, size_t *len_out,
                             struct err *err);

// Calls visit(ctx, name) for each entry but . and .., in no order; visit may stop it with false.
MUST_CHECK bool fs_list(const char *path, bool (*visit)(void *ctx, const char *name, struct err *err),
                        void *ctx, struct err *err);
// Takes an exclusive advisory lock on `path` (created). ERR_BUSY when somebody else has it.
MUST_CHECK bool fs_lock(const char *path, int *fd_out, struct err *err);

// --- tests -----------------------------------------------------------------------------------------

// The n-th call from now (1 = next) fails with errno_value, once, or from then on if `sticky`.
// n = 0 switches it off. A failing write first writes half of its bytes.
void fs_fail_at(uint64_t n, int errno_value, bool sticky);
// For other doors (LMDB): counts as a call; returns the errno to fail with, or 0.
int fs_fault(void);
// Whether an injected failure has happened since fs_fail_at().
bool fs_failed(void);
// Calls made since fs_fail_at().
uint64_t fs_calls(void);

enum fs_event_kind { FS_WRITE, FS_TRUNCATE, FS_SYNC, FS_CREATE, FS_RENAME, FS_UNLINK, FS_SYNC_DIR };

struct fs_event {
    enum fs_event_kind kind;
    const char *path;
    const char *path_to; // FS_RENAME
    uint64_t pos;        // FS_WRITE; new length for FS_TRUNCATE
    struct slice bytes;  // FS_WRITE
};

// Sees every successful change, before the call returns. NULL switches it off.
void fs_watch(void (*watch)(void *ctx, const struct fs_event *event), void *ctx);
