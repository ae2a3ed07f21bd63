/*
 * wal.c -- makes a batch durable before anyone hears "204".
 *
 * One file per generation, wal/<gen>.wal, append only, little-endian:
 *     offset  size  field
 *          0     4  magic     "MWAL"
 *          4     2  version   1
 *          6     2  features  bits a reader must know, or refuse
 *          8     8  gen       equals the number in the file name
 *         16     8  created   ns since the epoch
 *         24     8  check     XXH3-64 of bytes 0..23
 *         32     -  records, back to back:
 *                       0    4  len      payload bytes, 1..WAL_PAYLOAD_BYTES_MAX; WAL_END: the log is complete
 *                       4    8  check    XXH3-64 over gen, file offset of the record, len, XXH3-64 of payload
 *                      12  len  payload  opaque here; none behind WAL_END
 *
 * W1  A record counts iff len is in range, it ends inside the file, and check matches.
 * W2  wal_sync(pos) returns true only after fdatasync covered every byte below pos.
 * W3  Whole records are never rewritten; a failed append is truncated away before the next.
 * W4  Replay stops at the first bad record. In the newest WAL that is an unacknowledged
 *     tail, dropped and counted; an older one must reach its end record or is corrupt.
 *
 * The check covers gen and offset so that stale blocks surfacing after a crash never pass.
 * Threads: any may append (append_lock); one leader syncs for all who wait (sync_lock).
 */
#include "store/wal.h"

#include "base/clock.h"
#include "base/codec.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/metric.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

enum { WAL_VERSION = 1, WAL_HEADER_BYTES = 32, WAL_RECORD_HEADER_BYTES = 12 };
#define WAL_MAGIC UINT32_C(0x4c41574d) // "MWAL"
#define WAL_END UINT32_C(0xffffffff)

static_assert(WAL_PAYLOAD_BYTES_MAX < WAL_END, "WAL_END is no length");

struct wal {
    // Set by wal_create(); no lock.
    int fd;     // owned
    char *path; // owned
    uint64_t gen;
    // Appends.
    pthread_mutex_t append_lock;
    uint64_t end_pos;   // append_lock; read relaxed elsewhere
    bool append_failed; // append_lock: a torn record could not be cut away
    // Syncs; taken without append_lock, or inside it.
    pthread_mutex_t sync_lock;
    pthread_cond_t sync_done;
    uint64_t synced_pos; // sync_lock
    bool syncing;        // sync_lock: a leader is in fdatasync
    struct err sync_err; // sync_lock; code ERR_NONE until a sync failed
};

static uint64_t record_check(uint64_t gen, uint64_t pos, uint32_t len, uint64_t payload_hash)
{
    uint8_t b[28];
    le_put_u64(b, gen);
    le_put_u64(b + 8, pos);
    le_put_u32(b + 16, len);
    le_put_u64(b + 20, payload_hash);
    return hash64(slice_of(b, sizeof b));
}

// XXH3-64 of head and body as one piece.
static uint64_t payload_hash(struct slice head, struct slice body)
{
    struct hash_stream *h = hash_stream_new();
    hash_stream_reset(h);
    hash_stream_add(h, head);
    hash_stream_add(h, body);
    uint64_t value = hash_stream_value(h);
    hash_stream_free(h);
    return value;
}

static void put_header(uint8_t to[WAL_HEADER_BYTES], uint64_t gen)
{
    le_put_u32(to, WAL_MAGIC);
    le_put_u32(to + 4, WAL_VERSION); // version and no features
    le_put_u64(to + 8, gen);
    le_put_u64(to + 16, (uint64_t)clock_wall_ns());
    le_put_u64(to + 24, hash64(slice_of(to, 24)));
}

bool wal_create(const char *dir, const char *path, uint64_t gen, struct wal **wal_out,
                struct err *err)
{
    uint8_t header[WAL_HEADER_BYTES];
    put_header(header, gen);
    AUTO(fs_closep) int fd = -1;
    // An old file of this name holds nothing: generations are never reused once a record was written.
    if (!fs_create(path, true, &fd, err) ||
        !fs_write_at(fd, path, 0, slice_of(header, sizeof header), err) ||
        !fs_datasync(fd, path, err) || !fs_sync_dir(dir, err)) {
        fs_unlink_quietly(path); // what remains has no record: recovery drops it
        return err_wrap(err, "new write-ahead log");
    }
    struct wal *wal = calloc(1, sizeof *wal);
    assert(wal != NULL);
    wal->path = strdup(path);
    assert(wal->path != NULL);
    wal->fd = MOVE_FD(fd);
    wal->gen = gen;
    wal->end_pos = wal->synced_pos = WAL_HEADER_BYTES;
    pthread_mutex_init(&wal->append_lock, NULL);
    pthread_mutex_init(&wal->sync_lock, NULL);
    pthread_cond_init(&wal->sync_done, NULL);
    *wal_out = wal;
    return true;
}

void wal_close(struct wal *wal)
{
    if (wal == NULL)
        return;
    assert(!wal->syncing);
    fs_close(wal->fd);
    pthread_mutex_destroy(&wal->append_lock);
    pthread_mutex_destroy(&wal->sync_lock);
    pthread_cond_destroy(&wal->sync_done);
    free(wal->path);
    free(wal);
}

// With append_lock. `start` and `bytes` are the record; on failure it is truncated away (W3).
static bool write_record(struct wal *wal, struct slice start, struct slice bytes, struct err *err)
{
    if (wal->append_failed)
        return err_set(err, ERR_IO, "%s: an earlier write failed and could not be undone", wal->path);
    if (fs_write2_at(wal->fd, wal->path, wal->end_pos, start, bytes, err)) {
        wal->end_pos += start.len + bytes.len;
        return true;
    }
    metric_add(COUNTER_WAL_FAILURES, 1);
    struct err cut;
    if (!fs_truncate(wal->fd, wal->path, wal->end_pos, &cut))
        wal->append_failed = true;
    return false;
}

bool wal_append(struct wal *wal, struct slice head, struct slice body, uint64_t *end_pos_out,
                struct err *err)
{
    assert(head.len > 0 && head.len <= 64 * KIB);
    if (head.len + body.len > WAL_PAYLOAD_BYTES_MAX)
        return err_set(err, ERR_TOO_LARGE, "a record of %zu bytes exceeds the limit of %llu",
                       head.len + body.len, (unsigned long long)WAL_PAYLOAD_BYTES_MAX);
    uint32_t len = (uint32_t)(head.len + body.len);
    uint64_t hash = payload_hash(head, body); // the long part, outside the lock
    uint8_t start[WAL_RECORD_HEADER_BYTES + 64 * KIB];
    memcpy(start + WAL_RECORD_HEADER_BYTES, head.ptr, head.len);

    pthread_mutex_lock(&wal->append_lock);
    le_put_u32(start, len);
    le_put_u64(start + 4, record_check(wal->gen, wal->end_pos, len, hash));
    bool good = write_record(wal, slice_of(start, WAL_RECORD_HEADER_BYTES + head.len), body, err);
    uint64_t end_pos = wal->end_pos;
    pthread_mutex_unlock(&wal->append_lock);
    if (!good)
        return false;
    metric_add(COUNTER_WAL_RECORDS, 1);
    metric_add(COUNTER_WAL_BYTES, WAL_RECORD_HEADER_BYTES + len);
    *end_pos_out = end_pos;
    return true;
}

// Leads one fdatasync. Called and left with sync_lock held.
static void lead_sync(struct wal *wal)
{
    wal->syncing = true;
    pthread_mutex_unlock(&wal->sync_lock);

    pthread_mutex_lock(&wal->append_lock); // whole records only
    uint64_t end_pos = wal->end_pos;
    pthread_mutex_unlock(&wal->append_lock);
    int64_t begun_ns = clock_mono_ns();
    struct err failure = {0};
    bool good = fs_datasync(wal->fd, wal->path, &failure);
    metric_observe_ns(HISTOGRAM_WAL_SYNC_SECONDS, clock_mono_ns() - begun_ns);
    metric_add(COUNTER_WAL_SYNCS, 1);

    pthread_mutex_lock(&wal->sync_lock);
    wal->syncing = false;
    if (good)
        wal->synced_pos = end_pos;
    else
        wal->sync_err = failure;
    pthread_cond_broadcast(&wal->sync_done);
}

bool wal_sync(struct wal *wal, uint64_t end_pos, struct err *err)
{
    bool good = true;
    pthread_mutex_lock(&wal->sync_lock);
    while (good && wal->synced_pos < end_pos) {
        if (wal->sync_err.code != ERR_NONE)
            good = err_set(err, wal->sync_err.code, "%s", wal->sync_err.text);
        else if (wal->syncing)
            pthread_cond_wait(&wal->sync_done, &wal->sync_lock);
        else
            lead_sync(wal);
    }
    pthread_mutex_unlock(&wal->sync_lock);
    if (!good)
        metric_add(COUNTER_WAL_FAILURES, 1);
    return good;
}

bool wal_end(struct wal *wal, struct err *err)
{
    uint8_t record[WAL_RECORD_HEADER_BYTES];
    pthread_mutex_lock(&wal->append_lock);
    le_put_u32(record, WAL_END);
    le_put_u64(record + 4, record_check(wal->gen, wal->end_pos, WAL_END, 0));
    bool good = write_record(wal, slice_of(record, sizeof record), (struct slice){0}, err);
    uint64_t end_pos = wal->end_pos;
    pthread_mutex_unlock(&wal->append_lock);
    return good && wal_sync(wal, end_pos, err);
}

bool wal_failed(struct wal *wal)
{
    pthread_mutex_lock(&wal->append_lock);
    bool failed = wal->append_failed;
    pthread_mutex_unlock(&wal->append_lock);
    pthread_mutex_lock(&wal->sync_lock);
    failed = failed || wal->sync_err.code != ERR_NONE;
    pthread_mutex_unlock(&wal->sync_lock);
    return failed;
}

uint64_t wal_bytes(struct wal *wal)
{
    pthread_mutex_lock(&wal->append_lock);
    uint64_t bytes = wal->end_pos;
    pthread_mutex_unlock(&wal->append_lock);
    return bytes;
}

// --- replay -----------------------------------------------------------------------------------------

struct replay {
    int fd;
    const char *path;
    uint64_t gen;
    uint64_t file_bytes;
    uint8_t *payload; // owned; grows to the largest record
    size_t payload_room;
};

static void replay_done(struct replay *r)
{
    fs_close(r->fd);
    free(r->payload);
}

static bool read_header(struct replay *r, struct wal_replay_stats *stats, struct err *err)
{
    uint8_t h[WAL_HEADER_BYTES];
    if (r->file_bytes < sizeof h)
        return true; // wal_create() was cut short: no record can have been acknowledged
    if (!fs_read_at(r->fd, r->path, 0, h, sizeof h, err))
        return false;
    if (le_u32(h) != WAL_MAGIC || le_u64(h + 24) != hash64(slice_of(h, 24)))
        return r->file_bytes == sizeof h || // likewise: the length arrived, the bytes did not
               err_set(err, ERR_CORRUPT, "%s: not a write-ahead log", r->path);
    if (le_u32(h + 4) != WAL_VERSION)
        return err_set(err, ERR_CORRUPT, "%s: version or features 0x%" PRIx32 " are not known here",
                       r->path, le_u32(h + 4));
    if (le_u64(h + 8) != r->gen)
        return err_set(err, ERR_CORRUPT, "%s: header says generation %016" PRIx64, r->path,
                       le_u64(h + 8));
    stats->created_ns = (int64_t)le_u64(h + 16);
    stats->valid_bytes = WAL_HEADER_BYTES;
    return true;
}

enum next_record { RECORD_GOOD, RECORD_END, RECORD_BAD, RECORD_FAILED };

static enum next_record read_record(struct replay *r, uint64_t pos, struct slice *payload_out,
                                    struct err *err)
{
    uint8_t h[WAL_RECORD_HEADER_BYTES];
    if (r->file_bytes - pos < sizeof h)
        return RECORD_BAD;
    if (!fs_read_at(r->fd, r->path, pos, h, sizeof h, err))
        return RECORD_FAILED;
    uint32_t len = le_u32(h);
    uint64_t check = le_u64(h + 4);
    if (len == WAL_END)
        return check == record_check(r->gen, pos, len, 0) ? RECORD_END : RECORD_BAD;
    if (len == 0 || len > WAL_PAYLOAD_BYTES_MAX || len > r->file_bytes - pos - sizeof h)
        return RECORD_BAD;
    if (len > r->payload_room) {
        free(r->payload);
        r->payload = malloc(len);
        assert(r->payload != NULL);
        r->payload_room = len;
    }
    if (!fs_read_at(r->fd, r->path, pos + sizeof h, r->payload, len, err))
        return RECORD_FAILED;
    *payload_out = slice_of(r->payload, len);
    return check == record_check(r->gen, pos, len, hash64(*payload_out)) ? RECORD_GOOD : RECORD_BAD;
}

static bool replay_records(struct replay *r,
                           bool (*visit)(void *ctx, uint64_t pos, struct slice payload,
                                         struct err *err),
                           void *ctx, struct wal_replay_stats *stats, struct err *err)
{
    for (;;) {
        uint64_t pos = stats->valid_bytes;
        struct slice payload;
        switch (read_record(r, pos, &payload, err)) {
        case RECORD_FAILED:
            return false;
        case RECORD_BAD:
            return true;
        case RECORD_END:
            stats->ended = true;
            stats->valid_bytes += WAL_RECORD_HEADER_BYTES;
            return true;
        case RECORD_GOOD:
            if (visit != NULL && !visit(ctx, pos, payload, err))
                return err_wrap(err, "%s: record at %" PRIu64, r->path, pos);
            stats->records++;
            stats->payload_bytes += payload.len;
            stats->valid_bytes += WAL_RECORD_HEADER_BYTES + payload.len;
        }
    }
}

bool wal_replay(const char *path, uint64_t gen,
                bool (*visit)(void *ctx, uint64_t pos, struct slice payload, struct err *err),
                void *ctx, struct wal_replay_stats *stats_out, struct err *err)
{
    AUTO(replay_done) struct replay r = {.fd = -1, .path = path, .gen = gen};
    struct wal_replay_stats stats = {.gen = gen};
    if (!fs_open_read(path, &r.fd, err) || !fs_bytes(r.fd, path, &r.file_bytes, err) ||
        !read_header(&r, &stats, err))
        return false;
    if (stats.valid_bytes > 0 && !replay_records(&r, visit, ctx, &stats, err))
        return false;
    stats.torn_bytes = r.file_bytes - stats.valid_bytes;
    *stats_out = stats;
    return true;
}

bool wal_repair(const char *path, const struct wal_replay_stats *stats, struct err *err)
{
    assert(stats->valid_bytes >= WAL_HEADER_BYTES);
    AUTO(fs_closep) int fd = -1;
    if (!fs_open_write(path, &fd, err) || !fs_truncate(fd, path, stats->valid_bytes, err))
        return false;
    if (!stats->ended) {
        uint8_t record[WAL_RECORD_HEADER_BYTES];
        le_put_u32(record, WAL_END);
        le_put_u64(record + 4, record_check(stats->gen, stats->valid_bytes, WAL_END, 0));
        if (!fs_write_at(fd, path, stats->valid_bytes, slice_of(record, sizeof record), err))
            return false;
    }
    return fs_datasync(fd, path, err);
}
