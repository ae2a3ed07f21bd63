/*
 * seg_source.h -- the bytes of a segment, wherever they are: a file, or an object in a bucket.
 *
 * A file's descriptor pins its bytes (S4); an object is there until nobody can ask for it any more (far.h). A source does not
 * change after seg_source_open_*(); any thread.
 */
#pragma once

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "store/blob/blob.h"

struct seg_source {
    const char *path; // borrowed: of the file; or the object's name, for messages
    int fd;           // -1: an object
    uint64_t bytes;
    uint64_t id;           // of this opening; never given twice
    struct blob_store *bs; // borrowed; of an object
    const char *key;       // borrowed
    // The end of an object, where its tables are: filled when it is opened, until seg_source_forget_tail().
    struct buf tail;
};

MUST_CHECK bool seg_source_open_file(const char *path, struct seg_source *out, struct err *err);
// `name` is for messages. Reads the tail.
MUST_CHECK bool seg_source_open_object(struct blob_store *bs, const char *key, const char *name, uint64_t bytes,
                                   struct seg_source *out, struct err *err);
void seg_source_close(struct seg_source *s); // a zeroed one is fine
static inline bool seg_source_is_far(const struct seg_source *s)
{
    return s->bs != NULL;
}
// Exactly `len` bytes from `pos`.
MUST_CHECK bool seg_source_read(const struct seg_source *s, uint64_t pos, void *to, size_t len, struct err *err);
void seg_source_forget_tail(struct seg_source *s);

/*
 * Read-ahead for scans, of one thread. Neighbouring reads of an object grow a window, forwards or backwards: it is never larger
 * than what the scan has used of it so far, so that at most as much again is read in vain.
 */
struct seg_ahead {
    uint64_t of;             // id of the source; 0: nothing is held
    uint64_t pos;            // of bytes.ptr[0] in the source
    struct buf bytes;
    uint64_t last_pos, last_end; // of the last read
    uint64_t streak_bytes;       // of neighbouring reads
};
void seg_ahead_init(struct seg_ahead *a);
void seg_ahead_done(struct seg_ahead *a);
// As seg_source_read(). Reads within [from, to) alone, for it looks ahead no further.
MUST_CHECK bool seg_ahead_read(const struct seg_source *s, struct seg_ahead *a, uint64_t from, uint64_t to, uint64_t pos,
                                  void *into, size_t len, struct err *err);
