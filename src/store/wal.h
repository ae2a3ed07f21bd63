/*
 * wal.h -- the write-ahead log of one generation, for siblings, tests and the dump tools.
 */
#pragma once

#include "base/attr.h"
#include "base/err.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

struct wal;

// Creates an empty log at `path` (which may not exist), header and directory entry synced.
MUST_CHECK bool wal_create(const char *dir, const char *path, uint64_t gen, struct wal **wal_out,
                           struct err *err);
void wal_close(struct wal *wal); // NULL is fine

// Writes one record of two pieces back to back; *end_pos_out is what to hand to wal_sync(). On false
// nothing of it remains (ERR_FULL, ERR_IO), or the log has failed for good. Any thread.
MUST_CHECK bool wal_append(struct wal *wal, struct slice head, struct slice body,
                           uint64_t *end_pos_out, struct err *err);
// Waits until every byte below end_pos is on stable storage. Any thread; one of those who wait syncs for
// all. A failure is final for this log.
MUST_CHECK bool wal_sync(struct wal *wal, uint64_t end_pos, struct err *err);
// Writes the end record and syncs: nothing may be appended afterwards. The caller has excluded appends.
MUST_CHECK bool wal_end(struct wal *wal, struct err *err);
// Whether an append or sync failed in a way that this log cannot recover from.
bool wal_failed(struct wal *wal);
uint64_t wal_bytes(struct wal *wal);

struct wal_replay_stats {
    uint64_t gen;
    int64_t created_ns;
    uint64_t records;
    uint64_t payload_bytes;
    uint64_t valid_bytes; // header and good records; the end record included
    uint64_t torn_bytes;  // behind them
    bool ended;           // reached the end record
};

// Reads a log from its beginning and hands each good payload to visit() (may be NULL), which may stop it
// with an error. Stops quietly at the first bad record: the caller decides by W4 what that means.
// ERR_CORRUPT: no WAL header of generation `gen`. A header cut short is a log without records
// (valid_bytes 0): the crash was in wal_create().
MUST_CHECK bool wal_replay(const char *path, uint64_t gen,
                           bool (*visit)(void *ctx, uint64_t pos, struct slice payload,
                                         struct err *err),
                           void *ctx, struct wal_replay_stats *stats_out, struct err *err);
// Cuts the torn tail off and appends the end record, synced: the log is complete from now on.
MUST_CHECK bool wal_repair(const char *path, const struct wal_replay_stats *stats, struct err *err);
