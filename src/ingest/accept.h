/*
 * accept.h -- from parsed streams to a batch: the checks and additions that every push format shares.
 *
 * Rules and texts: loki-http.md 17.5 (validation), 17.4 (labels), 18 (service_name, detected_level).
 * A refused stream or entry is counted and told; the rest goes into the batch.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/labels.h"
#include "base/slice.h"
#include "ingest/refusals.h"
#include "store/store.h"

// --- what a format's parser makes --------------------------------------------------------------------

// An entry as it came. Times that int64_t cannot hold are TIME_BEFORE and TIME_BEHIND.
struct raw_entry {
    int64_t time_ns;
    struct slice line;
    uint32_t pairs_first; // structured metadata, in raw_entries.pairs
    uint32_t pairs_count;
};
#define TIME_BEFORE INT64_MIN
#define TIME_BEHIND INT64_MAX

// The entries of one stream; reused from stream to stream.
struct raw_entries {
    struct raw_entry *items;
    size_t count, room;
    struct label *pairs;
    size_t pairs_count, pairs_room;
};
// Both false when the arena is full (told by accept_finish()).
MUST_CHECK bool raw_entries_add(struct raw_entries *raw, struct arena *a, const struct raw_entry *entry);
MUST_CHECK bool raw_entries_pair(struct raw_entries *raw, struct arena *a, struct label pair);
void raw_entries_reset(struct raw_entries *raw);

// --- accepting --------------------------------------------------------------------------------------

enum reject_reason {
    REJECT_LABELS,
    REJECT_TOO_OLD,
    REJECT_TOO_NEW,
    REJECT_LINE,
    REJECT_METADATA,
    REJECT_REASONS_COUNT,
};

struct accept {
    struct arena *arena; // borrowed
    int64_t oldest_ns;   // entries before it are refused
    const struct retention *retention; // with rules, a stream's own bound is later; NULL: it is not
    int64_t now_ns;
    int64_t newest_ns;   // entries behind it too
    struct batch batch;
    size_t streams_room, entries_room;
    uint64_t streams_seen; // in the request, whatever became of them
    uint64_t entries_seen;
    uint64_t line_bytes_seen;
    uint64_t rejected[REJECT_REASONS_COUNT];
    struct refusals refusals;
    struct slice level_sets[16];      // encoded {detected_level=...} by enum level
    struct label *scratch;            // pairs of one entry
    size_t scratch_room;
};

// `retention` NULL: at replay, which takes what the push took by the bounds that were in force. What a stream's rule refused then
// and lets in now had expired when it came, and is not answered unless rules were made longer.
void accept_init(struct accept *ac, struct arena *a, struct slice tenant, int64_t oldest_ns,
                 int64_t newest_ns, const struct retention *retention, int64_t now_ns);
// One stream. `labels` in the order given, uncanonical; changed in place. ERR_INPUT where the whole
// request has to be refused.
MUST_CHECK bool accept_stream(struct accept *ac, struct labels *labels, const struct raw_entries *raw,
                              struct err *err);
// ERR_TOO_LARGE when the arena was full; ERR_EMPTY when there was no stream at all.
MUST_CHECK bool accept_finish(struct accept *ac, struct err *err);

// One name by 17.5 "Structured metadata normalisation". Borrows where nothing changes. ERR_INPUT when
// nothing is left of it.
MUST_CHECK bool accept_metadata_name(struct slice name, struct arena *a, struct slice *out,
                                     struct err *err);
// Whether a label of that name may stand for `service_name` (18.1).
bool accept_names_service(struct slice label);
