/*
 * far_live.h -- what is live in a bucket, for those who read it offline: mstore-dump, and recovery into a scratch index.
 *
 * The first of these that is there says it:
 *     index/current    a store's published index: its segments, as far as they were in the bucket then
 *     backup           a backup (mstore-dump backup): this object names every segment and log, and nothing else belongs to it
 *     segments/        else every object there
 *
 * B1  What `backup` names is there, whole, before it is put, and is never replaced by other bytes; what it does not name is put
 *     before it and deleted after it. So it is a backup at any time. The first one begins with a `backup` that says `incomplete`,
 *     which nobody takes for one.
 * B2  It is put on condition that it is the one that was read before: of two backups at once the second one fails, and what the
 *     first one deleted is named by nobody.
 */
#pragma once

#include "store/blob/blob.h"

enum far_kind { FAR_BACKUP, FAR_PUBLISHED, FAR_OBJECTS };

struct far_item {
    uint64_t gen;
    uint64_t bytes;
    uint64_t check; // of a log: XXH3-64; of a backup's segment: its footer's checksum, as its trailer says; else 0
    uint64_t tag;   // of a backup: far_tag() of the object that was read whole (far_backup.h: B3); 0: none was
};

struct far_items {
    struct far_item *items; // owned; ascending by generation
    size_t count, room;
};

struct far_live {
    enum far_kind kind;
    struct far_items segments;
    struct far_items logs;     // of a backup
    struct far_item deletions; // of a backup: without generation; 0 bytes: none
    bool incomplete;           // a first backup that is under way, or was cut short: it names nothing
    size_t unsent;             // FAR_PUBLISHED: further segments, which were not in the bucket yet
    char version[BLOB_ETAG_BYTES]; // of what said it; another one: it has changed
    // FAR_PUBLISHED: a copy of the index that says it, in the scratch directory; else "".
    char index_dir[512];
};
void far_live_done(struct far_live *live); // a zeroed one is fine
void far_items_add(struct far_items *items, const struct far_item *item);
// NULL: none of that generation.
const struct far_item *far_items_find(const struct far_items *items, uint64_t gen);

MUST_CHECK bool far_kind(struct blob_store *bs, enum far_kind *kind_out, struct err *err);
// `scratch`: an existing directory, for a copy of a published index. ERR_NOT_FOUND: what was named a moment ago is gone, look
// again; ERR_INPUT: there is no store, or a backup that is incomplete; ERR_CORRUPT.
MUST_CHECK bool far_live(struct blob_store *bs, const char *scratch, struct far_live *out, struct err *err);

// Makes dir/wal and dir/deletions what the bucket has of them, checked. ERR_NOT_FOUND as far_live().
MUST_CHECK bool far_fetch_rest(struct blob_store *bs, const struct far_live *live, const char *dir, struct err *err);
