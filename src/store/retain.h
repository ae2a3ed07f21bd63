/* retain.h -- when segments expire; for siblings and the plan that people are shown. */
#pragma once

#include "store/manifest.h"
#include "store/retention.h"
#include "store/store.h"

// Over the streams of a segment.
struct lifetime {
    uint64_t gen;
    int64_t begins_ns; // its first entry expires after it; INT64_MAX: none does
    int64_t ends_ns;   // its last entry expires after it; INT64_MAX: it does not
    const struct retention_rule *begins_by, *ends_by; // NULL: the default, or spans
};

// Reads the segment's stream table if there are rules.
MUST_CHECK bool lifetime_of(const struct retention *r, const struct manifest_segment *s, struct lifetime *out,
                            struct err *err);
// NULL while nothing in it can have expired. Valid until the next call. The keeper's thread.
const struct lifetime *retain_lifetime(struct store *st, const struct manifest_segment *s, int64_t now_ns);
// Segments that are no more.
void retain_forget(struct store *st, const uint64_t *gens, size_t count);
// Removes what may be left of logs of sealed generations, durably. The keeper's thread.
MUST_CHECK bool retain_unlink_logs(struct store *st, const uint64_t *gens, size_t count, struct err *err);

// What counts against the cap, and the segment that goes first when there is too much.
uint64_t retain_disk_bytes(const struct manifest *m, uint64_t log_bytes);
const struct manifest_segment *retain_oldest(const struct manifest *m);
