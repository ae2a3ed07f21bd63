/*
 * backup.h -- what the parts of `mstore-dump backup` and `restore` share: backup.c takes a directory, backup_bucket.c sends what
 * was taken to a bucket, backup_fetch.c fetches from one, backup_read.c reads back what is there.
 */
#pragma once

#include "dump.h"

#include "store/far/far_backup.h"

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
    bool copy, deep, json, progress; // copy: no second names; deep: everything is read again
    uint64_t segments, segments_new, bytes_new, linked;
    uint64_t logs;
    uint64_t segments_read, damaged; // read whole and verified; found damaged in a bucket, and sent again
    uint64_t entries, spans;         // of all segments
    uint64_t problems;               // which remain
    const char *bucket;              // where what is pinned is sent
    struct backup_pins *pins;        // NULL: segments are taken into the directory `to`; else they are pinned (backup_pin())
};

// --- backup.c ---------------------------------------------------------------------------------------

// Makes the directory `to` what the directory `from` is, by K1..K5.
MUST_CHECK bool backup_take(struct backup *b, struct err *err);
MUST_CHECK bool backup_make_folders(const char *dir, struct err *err);
MUST_CHECK bool backup_remove_others(const struct backup *b, const char *folder, const char *suffix, const struct names *keep,
                                     struct err *err);
// What a backup that was cut short left half written.
MUST_CHECK bool backup_remove_halves(const struct backup *b, struct err *err);
MUST_CHECK bool backup_sync(const struct backup *b, struct err *err);

// --- backup_read.c ----------------------------------------------------------------------------------

struct backup_reading {
    const struct far_live *part; // of the backup at `to`: what is to be read; NULL: all
    bool repairable;             // what is damaged will be sent again
    struct far_items bad;        // owned; segments that are damaged: their generations
    bool rest_bad;               // something else is
};
void backup_reading_done(struct backup_reading *r);
// Reads and verifies. Problems are printed; those that are not repairable are counted.
MUST_CHECK bool backup_read(struct backup *b, const char *path, struct backup_reading *r, struct err *err);
// Of the backup in the directory `to`: what it was not known for that it is good, and notes that (far_backup.h: B3).
MUST_CHECK bool backup_read_new(struct backup *b, struct err *err);
// ERR_CORRUPT for a segment that is none.
MUST_CHECK bool backup_check_of_file(int fd, const char *path, uint64_t bytes, uint64_t *check_out, struct err *err);
// Counts entries and spans of a segment's file.
void backup_count(struct backup *b, const char *path, uint64_t gen);

// --- backup_bucket.c --------------------------------------------------------------------------------

// A backup of the directory `from` in the bucket `to`, read back as far as it is not known to be good.
MUST_CHECK bool backup_send(struct backup *b, struct err *err);
// Of backup_take(): opens a segment, unless the bucket has it; forgets those that were pinned so far.
MUST_CHECK bool backup_pin(struct backup *b, const char *name, struct err *err);
void backup_unpin(struct backup *b);

// --- backup_fetch.c ---------------------------------------------------------------------------------

// The directory `to` becomes what is live in the bucket `from`.
MUST_CHECK bool backup_fetch(struct backup *b, struct err *err);
