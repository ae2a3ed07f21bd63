/*
 * metric.h -- what the process counts about itself: counters, gauges, histograms, as /metrics shows them.
 *
 * All series are in one table here, so there is no registration. Any thread; relaxed atomics.
 * pushed = stored + rejected + deduplicated holds for entries and for spans whenever no push is running.
 */
#pragma once

#include "base/buf.h"

#include <stdint.h>

// id, name, labels ("" or `a="b"`), help (the same for all series of a name)
#define METRIC_COUNTERS(X)                                                                         \
    X(PUSH_REQUESTS, "mstore_push_requests_total", "", "Push requests, whatever the answer.")      \
    X(PUSH_BODY_BYTES, "mstore_push_body_bytes_total", "", "Bytes of push bodies as received.")    \
    X(PUSH_LINE_BYTES, "mstore_push_line_bytes_total", "", "Bytes of lines in decoded pushes.")    \
    X(ENTRIES_PUSHED, "mstore_entries_pushed_total", "", "Entries in decoded pushes.")             \
    X(ENTRIES_STORED, "mstore_entries_stored_total", "", "Entries made durable and visible.")      \
    X(ENTRIES_DEDUPLICATED, "mstore_entries_deduplicated_total", "",                               \
      "Entries already present in the open generation.")                                           \
    X(REJECTED_INVALID_LABELS, "mstore_entries_rejected_total", "reason=\"invalid_labels\"",       \
      "Entries refused, by reason.")                                                               \
    X(REJECTED_TOO_OLD, "mstore_entries_rejected_total", "reason=\"too_old\"",                     \
      "Entries refused, by reason.")                                                               \
    X(REJECTED_TOO_NEW, "mstore_entries_rejected_total", "reason=\"too_new\"",                     \
      "Entries refused, by reason.")                                                               \
    X(REJECTED_LINE_TOO_LONG, "mstore_entries_rejected_total", "reason=\"line_too_long\"",         \
      "Entries refused, by reason.")                                                               \
    X(REJECTED_METADATA, "mstore_entries_rejected_total", "reason=\"structured_metadata\"",        \
      "Entries refused, by reason.")                                                               \
    X(REJECTED_STORE, "mstore_entries_rejected_total", "reason=\"store\"",                         \
      "Entries refused, by reason.")                                                               \
    X(SPANS_PUSHED, "mstore_spans_pushed_total", "", "Spans in decoded pushes.")                   \
    X(SPANS_STORED, "mstore_spans_stored_total", "", "Spans made durable and visible.")            \
    X(SPANS_DEDUPLICATED, "mstore_spans_deduplicated_total", "",                                   \
      "Spans already present in the open generation.")                                             \
    X(SPANS_REJECTED_INVALID, "mstore_spans_rejected_total", "reason=\"invalid\"",                 \
      "Spans refused, by reason.")                                                                 \
    X(SPANS_REJECTED_TOO_OLD, "mstore_spans_rejected_total", "reason=\"too_old\"",                 \
      "Spans refused, by reason.")                                                                 \
    X(SPANS_REJECTED_TOO_LARGE, "mstore_spans_rejected_total", "reason=\"too_large\"",             \
      "Spans refused, by reason.")                                                                 \
    X(SPANS_REJECTED_STORE, "mstore_spans_rejected_total", "reason=\"store\"",                     \
      "Spans refused, by reason.")                                                                 \
    X(PUSH_INVALID, "mstore_push_invalid_total", "", "Push requests that could not be decoded.")   \
    X(WAL_BYTES, "mstore_wal_bytes_total", "", "Bytes appended to write-ahead logs.")              \
    X(WAL_RECORDS, "mstore_wal_records_total", "", "Records appended to write-ahead logs.")        \
    X(WAL_SYNCS, "mstore_wal_syncs_total", "", "fdatasync calls on write-ahead logs.")             \
    X(WAL_FAILURES, "mstore_wal_failures_total", "", "Failed appends or syncs.")                   \
    X(WAL_TORN_BYTES, "mstore_wal_torn_bytes_total", "",                                           \
      "Bytes of unacknowledged tails dropped at recovery.")                                        \
    X(SEALS, "mstore_seals_total", "", "Generations published as segments.")                       \
    X(SEAL_FAILURES, "mstore_seal_failures_total", "", "Attempts to seal that failed.")            \
    X(SEAL_LINE_BYTES, "mstore_seal_line_bytes_total", "", "Bytes of lines in sealed segments.")   \
    X(SEAL_FILE_BYTES, "mstore_seal_file_bytes_total", "", "Bytes of sealed segment files.")       \
    X(EXPIRED_SEGMENTS, "mstore_dropped_segments_total", "reason=\"expired\"", "Segments taken away whole, by reason.") \
    X(EVICTED_SEGMENTS, "mstore_dropped_segments_total", "reason=\"max_bytes\"", "Segments taken away whole, by reason.") \
    X(EXPIRED_ENTRIES, "mstore_dropped_entries_total", "reason=\"expired\"", "Entries taken away, by reason.") \
    X(EVICTED_ENTRIES, "mstore_dropped_entries_total", "reason=\"max_bytes\"", "Entries taken away, by reason.") \
    X(DELETED_ENTRIES, "mstore_dropped_entries_total", "reason=\"deleted\"", "Entries taken away, by reason.") \
    X(DUPLICATE_ENTRIES, "mstore_dropped_entries_total", "reason=\"duplicate\"", "Entries taken away, by reason.") \
    X(DELETE_REQUESTS, "mstore_delete_requests_total", "", "Requests to delete that were accepted.") \
    X(SWEPT_STREAMS, "mstore_swept_streams_total", "", "Streams taken out of the index: no segment names them.") \
    X(COMPACTIONS, "mstore_compactions_total", "", "Rewrites of segments that were published.") \
    X(COMPACTION_FAILURES, "mstore_compaction_failures_total", "", "Rewrites of segments that failed.") \
    X(COMPACTION_SEGMENTS, "mstore_compaction_segments_total", "", "Segments that rewrites replaced.") \
    X(COMPACTION_LINE_BYTES, "mstore_compaction_line_bytes_total", "", "Bytes of lines read by rewrites.") \
    X(COMPACTION_READ_BYTES, "mstore_compaction_read_bytes_total", "", "Bytes of segment files that rewrites replaced.") \
    X(COMPACTION_WRITTEN_BYTES, "mstore_compaction_written_bytes_total", "", "Bytes of segment files that rewrites made.") \
    X(DUPLICATE_SPANS, "mstore_dropped_spans_total", "reason=\"duplicate\"", "Spans taken away, by reason.") \
    X(EXPIRED_SPANS, "mstore_dropped_spans_total", "reason=\"expired\"", "Spans taken away, by reason.") \
    X(DELETED_SPANS, "mstore_dropped_spans_total", "reason=\"deleted\"", "Spans taken away, by reason.") \
    X(QUERIES, "mstore_queries_total", "", "Queries run.")                                         \
    X(QUERY_FAILURES, "mstore_query_failures_total", "", "Queries answered with an error.")        \
    X(QUERY_LINES, "mstore_query_lines_total", "", "Lines scanned by queries.")                    \
    X(QUERY_BYTES, "mstore_query_bytes_total", "", "Bytes of lines scanned by queries.")           \
    X(BLOCKS_DECODED, "mstore_blocks_decoded_total", "", "Segment blocks decoded by queries.")     \
    X(CORRUPT_READS, "mstore_corrupt_reads_total", "", "Reads that met damaged data.")             \
    X(S3_REQUESTS, "mstore_s3_requests_total", "", "Requests sent to the object store.")           \
    X(S3_RETRIES, "mstore_s3_retries_total", "", "Requests to the object store that were repeated.") \
    X(S3_FAILURES, "mstore_s3_failures_total", "", "Calls to the object store given up.")          \
    X(S3_PUT_BYTES, "mstore_s3_put_bytes_total", "", "Bytes stored in the object store.")          \
    X(S3_GOT_BYTES, "mstore_s3_got_bytes_total", "", "Bytes read from the object store.")          \
    X(S3_UPLOADS, "mstore_s3_uploads_total", "", "Segments put into the bucket.")                  \
    X(S3_COPIES_DROPPED, "mstore_s3_copies_dropped_total", "",                                     \
      "Local copies of segments dropped because the cache was full.")                              \
    X(HTTP_REFUSED, "mstore_http_refused_total", "", "Requests refused because a queue was full.") \
    X(TAIL_DROPPED, "mstore_tail_entries_dropped_total", "", "Entries not given to tails that do not read.") \
    X(TAIL_MISSED, "mstore_tail_entries_missed_total", "", "Entries that tails were too slow to look at.")

#define METRIC_GAUGES(X)                                                                           \
    X(HEAD_BYTES, "mstore_head_bytes", "", "Memory of open and frozen heads.")                     \
    X(HEAD_STREAMS, "mstore_head_streams", "", "Streams in the open head.")                        \
    X(FROZEN_HEADS, "mstore_frozen_heads", "", "Generations waiting to be sealed.")                \
    X(WAL_OPEN_BYTES, "mstore_wal_open_bytes", "", "Size of the open write-ahead log.")            \
    X(SEGMENTS, "mstore_segments", "", "Live segments.")                                           \
    X(SEGMENT_BYTES, "mstore_segment_bytes", "", "Bytes of live segments.")                        \
    X(STREAMS, "mstore_streams", "", "Streams in the index.")                                      \
    X(DISK_FREE_BYTES, "mstore_disk_free_bytes", "", "What the disk of the data directory has left.") \
    X(DISK_LOW, "mstore_disk_low", "", "1 while the disk has less left than the low-water mark: pushes are refused.") \
    X(S3_WRITER, "mstore_s3_writer", "", "1 while the bucket's lease is ours.")                    \
    X(S3_FAILING, "mstore_s3_failing", "", "1 while the bucket takes nothing, or its index cannot be read: /ready says why.") \
    X(S3_UNSENT_SEGMENTS, "mstore_s3_unsent_segments", "", "Segments that are not in the bucket yet.") \
    X(S3_UNSENT_BYTES, "mstore_s3_unsent_bytes", "", "Bytes of them.")                             \
    X(S3_LOCAL_BYTES, "mstore_s3_local_bytes", "", "Bytes of segments that are on the disk.")      \
    X(STORE_WRITABLE, "mstore_store_writable", "", "1 while pushes can be stored.")                \
    X(TAILS, "mstore_tails", "", "Live tails.")                                                    \
    X(TAIL_PENDING_BYTES, "mstore_tail_pending_bytes", "", "Memory of entries that tails' clients did not read yet.") \
    X(CONNECTIONS, "mstore_connections", "", "Open connections.")                                  \
    X(QUERIES_RUNNING, "mstore_queries_running", "", "Queries running now.")

// Seconds, buckets as in metric.c.
#define METRIC_HISTOGRAMS(X)                                                                       \
    X(PUSH_SECONDS, "mstore_push_duration_seconds", "", "Time from whole body to answer.")         \
    X(QUERY_SECONDS, "mstore_query_duration_seconds", "", "Time a query took, queueing included.") \
    X(WAL_SYNC_SECONDS, "mstore_wal_sync_duration_seconds", "", "Time of one fdatasync.")          \
    X(S3_UPLOAD_SECONDS, "mstore_s3_upload_duration_seconds", "", "Time to put a segment.")        \
    X(SEAL_SECONDS, "mstore_seal_duration_seconds", "", "Time to seal and publish a generation.")   \
    X(COMPACTION_SECONDS, "mstore_compaction_duration_seconds", "", "Time of one rewrite, rests included.") \
    X(RETENTION_SECONDS, "mstore_retention_duration_seconds", "", "Time to drop one segment.")

enum metric_counter {
#define X(id, name, labels, help) COUNTER_##id,
    METRIC_COUNTERS(X)
#undef X
        COUNTERS_COUNT
};

enum metric_gauge {
#define X(id, name, labels, help) GAUGE_##id,
    METRIC_GAUGES(X)
#undef X
        GAUGES_COUNT
};

enum metric_histogram {
#define X(id, name, labels, help) HISTOGRAM_##id,
    METRIC_HISTOGRAMS(X)
#undef X
        HISTOGRAMS_COUNT
};

void metric_add(enum metric_counter id, uint64_t n);
uint64_t metric_value(enum metric_counter id);
void metric_set(enum metric_gauge id, int64_t value);
void metric_gauge_add(enum metric_gauge id, int64_t delta);
int64_t metric_gauge_value(enum metric_gauge id);
void metric_observe_ns(enum metric_histogram id, int64_t duration_ns);
// Prometheus text format 0.0.4, HELP and TYPE once per name.
void metric_print(struct buf *b);
// Zeroes everything; for tests.
void metric_reset(void);
