/*
 * backup.h -- what the parts of `mstore-dump backup` and `restore` share: backup.c takes a directory, backup_bucket.c sends what was
 * taken to a bucket, and fetches from one.
 */
#pragma once

#include "dump.h"

enum { BACKUP_PATH_BYTES = 4096, BACKUP_NAME_BYTES = 32 };

struct names {
    char (*items)[BACKUP_NAME_BYTES]; // owned; ascending
    size_t count, room;
    const char *suffix; // while listing
};
void names_done(struct names *n);
void names_add(struct names *n, const char *name);
// Names of 16 digits with that suffix.
MUST_CHECK bool names_list(const char *dir, const char *folder, const char *suffix, struct names *n, struct err *err);

struct backup_pins; // backup_bucket.c: segments that are open, to be sent

struct backup {
    const char *from, *to;
    bool copy, json, progress; // copy: no second names
    uint64_t segments, segments_new, bytes_new, linked;
    uint64_t logs;
    struct backup_pins *pins; // NULL: segments are taken into the directory `to`; else they are pinned (backup_pin())
};

// --- backup.c ---------------------------------------------------------------------------------------

// Makes the directory `to` what the directory `from` is, by K1..K5.
MUST_CHECK bool backup_take(struct backup *b, struct err *err);
MUST_CHECK bool backup_make_folders(const char *dir, struct err *err);
MUST_CHECK bool backup_remove_others(const struct backup *b, const char *folder, const char *suffix,
                                     const struct names *keep, struct err *err);
// What a backup that was cut short left half written.
MUST_CHECK bool backup_remove_halves(const struct backup *b, struct err *err);
MUST_CHECK bool backup_sync(const struct backup *b, struct err *err);
// ERR_CORRUPT when there are problems, which are printed.
MUST_CHECK bool backup_verify(const char *path, bool progress, struct store_verify_stats *stats, struct err *err);

// --- backup_bucket.c --------------------------------------------------------------------------------

// A backup of the directory `from` in the bucket `to`.
MUST_CHECK bool backup_send(struct backup *b, struct err *err);
// The directory `to` becomes what is live in the bucket `from`.
MUST_CHECK bool backup_fetch(struct backup *b, struct err *err);
// Of backup_take(): opens a segment, unless the bucket has it; forgets those that were pinned so far.
MUST_CHECK bool backup_pin(struct backup *b, const char *name, struct err *err);
void backup_unpin(struct backup *b);
