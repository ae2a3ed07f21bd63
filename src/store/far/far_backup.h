/*
 * far_backup.h -- the list of a backup: all that belongs to it, and what of that was read back whole. In a bucket it is the object
 * `backup` (far_live.h has B1 and B2), in a directory the file of that name, which only says what was read. Text: format.md "Copies".
 *
 * B3  An item has a tag only when it was read whole after it had come there, and found good. While what is there has the same size
 *     and the same tag, it need not be read again.
 */
#pragma once

#include "base/buf.h"
#include "store/far/far_live.h"

enum { FAR_KEY_BYTES = 64 };
#define FAR_BACKUP_KEY "backup"
// "wal/0123456789abcdef-<check>.wal", "deletions-<check>": named by what they are, so that none is put over another.
void far_log_key(const struct far_item *log, char out[FAR_KEY_BYTES]);
void far_deletions_key(const struct far_item *deletions, char out[FAR_KEY_BYTES]);
// Of an ETag, which some servers quote in one answer and not in another. 0: there is none, so nothing is known.
uint64_t far_tag(const char *etag);

// The text of a list; what of `live` is of backups.
void far_backup_print(const struct far_live *backup, struct buf *out);
// The list that a text is, all else in it zero. False: it is none, to the last byte: what is read prints as it was.
MUST_CHECK bool far_backup_parse(struct slice text, struct far_live *out);

// The object `backup`. ERR_NOT_FOUND: there is none.
MUST_CHECK bool far_backup_get(struct blob_store *bs, struct far_live *out, struct err *err);
// Puts it if it still is of that version ("": there was none), which then is the new one's. ERR_BUSY: it is not.
MUST_CHECK bool far_backup_put(struct blob_store *bs, const struct far_live *backup, char version[BLOB_ETAG_BYTES],
                               struct err *err);
