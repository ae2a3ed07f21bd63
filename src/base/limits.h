/*
 * limits.h -- every bound, with its unit, its reason and what the caller sees when it is met.
 */
#pragma once

#include <stdint.h>

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

// --- push (loki-http.md 17.5: Loki's defaults; 400 unless said otherwise) ---------------------------
#define INGEST_BODY_BYTES_MAX (100 * MIB)        // 413; as received
#define INGEST_DECODED_BYTES_MAX (256 * MIB)     // 413; after decompression, told before allocating
#define INGEST_LABELS_MAX UINT32_C(15)           // per stream, service_name not counted
#define INGEST_LABEL_NAME_BYTES_MAX UINT64_C(1024)
#define INGEST_LABEL_VALUE_BYTES_MAX UINT64_C(2048)
#define INGEST_LINE_BYTES_MAX (256 * KIB)        // refused, never cut
#define INGEST_METADATA_BYTES_MAX (64 * KIB)     // names and values of one entry
#define INGEST_METADATA_PAIRS_MAX UINT32_C(128)  // of one entry, empty values included
#define INGEST_FUTURE_NS_MAX (INT64_C(10) * 60 * 1000000000)
#define INGEST_JSON_DEPTH_MAX UINT32_C(512)      // nesting of values that are skipped
#define INGEST_ARENA_BYTES_MAX (384 * MIB)       // one request's decoded body and batch; 413
#define INGEST_SPAN_BYTES_MAX (16 * MIB)         // one Span message; a larger one is rejected and counted
#define INGEST_SPAN_SOURCE_BYTES_MAX (4 * MIB)   // a resource, or a scope; its spans are rejected and counted
#define INGEST_SPAN_ATTRIBUTES_MAX UINT32_C(65536) // of one span, not of its events and links; it is rejected and counted
#define INGEST_ATTRIBUTE_KEY_BYTES_MAX (64 * KIB) // of spans, resources, scopes, events, links; the span is rejected
#define TENANT_BYTES_MAX UINT64_C(150)           // loki-http.md 2

// --- store ------------------------------------------------------------------------------------------
#define WAL_PAYLOAD_BYTES_MAX (INGEST_BODY_BYTES_MAX + 64 * KIB) // the body as it came, and its header
#define HEAD_BYTES_MAX_DEFAULT (64 * MIB)        // lines, metadata and bookkeeping of one generation
#define HEAD_IDLE_NS_DEFAULT (INT64_C(3600) * 1000000000) // a head without pushes is sealed after it
#define DELETIONS_ACTIVE_MAX 1000                // requests to delete that are not processed: 400; queries test entries by them
#define DELETIONS_MAX UINT32_C(4096)             // with receipts; above it the oldest receipts go
#define DELETIONS_FILE_BYTES_MAX (1 * GIB)       // above is corruption
#define DELETE_DELAY_NS_DEFAULT (INT64_C(24) * 3600 * 1000000000) // in which a request can be taken back
#define RETENTION_RULES_MAX 256                  // rules of one configuration; each entry pushed is tested by them
#define DISK_LOW_BYTES_DEFAULT (256 * MIB)       // free space below which pushes are refused: 503
#define STORE_FROZEN_MAX UINT32_C(2)             // generations the keeper may lag behind; then pushes wait
#define STORE_FEED_HEADS_MAX UINT32_C(2)         // full generations that live tails may lag behind; then entries are missed, and told
#define STORE_WAIT_NS_MAX (INT64_C(10) * 1000000000) // how long a push waits for the keeper; then 503
#define COMPACT_INPUTS_MAX UINT32_C(64)          // segments joined at once: what a header can name
#define COMPACT_INPUTS_MIN UINT32_C(4)           // fewer are not worth a rewrite
#define COMPACT_TIER_BYTES_MIN (1 * MIB)         // size tiers of files: below 1, 4, 16, 64, 256 MiB
#define COMPACT_TIER_BYTES_MAX (256 * MIB)
#define COMPACT_OUTPUT_BYTES_MAX (512 * MIB)     // files joined at once; bounds the room that both need for a while
#define COMPACT_MIXED_BYTES_MAX (32 * MIB)       // more than this at once only where it is of about one day
#define COMPACT_STREAMS_MAX UINT64_C(400000)     // streams of files joined at once: bounds the tables in memory
#define COMPACT_SPANS_MAX UINT64_C(200000)       // spans of files joined at once: they are sorted in memory
#define SPAN_MERGE_BYTES_MAX (512 * MIB)         // which they may take; a segment that needs more is not joined
#define COMPACT_SLACK_NS (INT64_C(24) * 3600 * 1000000000) // expired entries wait so long for their segment to go whole
#define BLOCK_LINE_BYTES (256 * KIB)             // lines of one block; bench/README.md has the trade
#define COMPACT_BLOCK_LINE_BYTES (256 * KIB)     // likewise, of compacted segments
#define BLOCK_ENTRIES_MAX UINT32_C(65536)        // entries of one block: bounds what empty lines cost
#define BLOCK_RAW_BYTES_MAX (64 * MIB)           // any decoded column; above is corruption
#define GROUP_BLOCKS UINT32_C(256)               // blocks whose small columns lie together; a page of the block table
#define GROUP_BLOCKS_MAX UINT32_C(65536)         // of any segment; above is corruption
#define GROUP_BYTES (1 * MIB)                    // of these columns, held while it is written; the next block opens another group
#define BLOCK_TABLE_READ_BYTES_MAX (1 * MIB)     // pages of a block table that are read at once
#define SPLIT_DEPTH_MAX 3                        // lists of templates in lists of templates; above is corruption
#define SPLIT_TEMPLATES_MAX UINT32_C(4096)       // of a block's split lines; what needs more is not split, above is corruption
#define SPLIT_SLOTS_MAX UINT32_C(16384)          // likewise, lists and ends of templates
#define SPLIT_VALUES_MAX UINT32_C(65536)         // likewise
#define SPLIT_PARTS_SLACK (64 * KIB)             // decoded, they have at most the bytes of lines, 4 a line, and this
#define FILTER_BLOCK_BYTES_MIN (4 * KIB)         // stored; a smaller block is read as fast as its filter
#define SPAN_BLOCK_SPANS UINT32_C(2048)          // spans of one block as written; bench/README.md has the trade
#define SPAN_BLOCK_SPANS_MAX UINT32_C(16384)     // spans of any block; above is corruption
#define SPAN_BLOCK_BYTES (8 * MIB)               // wire bytes of one block's spans; the next span opens another
#define SPAN_BLOCK_COLUMNS_MAX UINT32_C(4096)    // attributes by key and kind; the next span opens another
#define SPAN_BLOCK_RAW_BYTES_MAX (128 * MIB)     // any decoded column of a span block; above is corruption
#define SEGMENT_TABLE_BYTES_MAX (1 * GIB)        // any decoded table of a segment; above is corruption
#define INDEX_MAP_BYTES (UINT64_C(1) << 40)      // address space, not memory
#define INDEX_MAP_BYTES_MIN (UINT64_C(1) << 30)  // what we make do with
#define TRACES_COMPONENTS_MERGED 4               // components of one size that the index makes one of
#define TRACES_COMPONENT_ENTRIES_MAX (8 * MIB)   // prefixes of a merged one: bounds what a commit writes, to about 22 MB
#define INDEX_KEY_BYTES_MAX 511                  // LMDB's own; longer label pairs are keyed by hash

// --- object store ------------------------------------------------------------------------------------
#define BLOB_PART_BYTES (16 * MIB)               // larger files are put in parts of this size; one is in memory
#define BLOB_PIECE_BYTES (4 * MIB)               // one read of an object that is got as a whole
#define BLOB_PARTS_MAX 10000                     // S3's own: a file of at most 160 GB
#define BLOB_CONNECT_NS (INT64_C(5) * 1000000000) // for name, connection and TLS of one attempt
#define BLOB_STALL_NS (INT64_C(10) * 1000000000) // an attempt with less than BLOB_STALL_BYTES a second so long is dropped
#define BLOB_STALL_BYTES 1024
#define BLOB_DEADLINE_NS (INT64_C(30) * 1000000000) // no attempt of a call begins later
#define BLOB_ATTEMPTS_MAX UINT32_C(8)
#define BLOB_ANSWER_BYTES_MAX (4 * MIB)          // lists, errors; a list of 1000 keys has 0.5 MB
#define BLOB_IDLE_HANDLES_MAX 16                 // connections kept for later calls
#define SOURCE_TAIL_BYTES (32 * KIB)             // read with one request when a far segment is opened: footer and small tables
#define SOURCE_FILE_TAIL_BYTES (16 * KIB)        // likewise of a file, which is nearer
#define SOURCE_GAP_BYTES (16 * KIB)              // reads of an object so near to each other are a scan
#define SOURCE_AHEAD_BYTES (4 * MIB)             // window of a scan of all of a table, one a thread
#define AHEAD_FETCHES_MAX 8                      // requests at a time that read ahead for a query
#define AHEAD_PIECE_BYTES_MAX (1 * MIB)          // of one of them
#define AHEAD_CHUNK_BYTES (16 * KIB)             // small columns of neighbours that are fetched together, wanted or not
#define AHEAD_BYTES_MAX (16 * MIB)               // that lie ahead of a query
#define AHEAD_PIECES_MAX 512
#define AHEAD_TAKES_MAX 256                      // a piece that nobody came for while so many were taken goes
#define AHEAD_RUNS_MAX 256                       // runs that are looked at ahead of the one in hand
#define LEASE_NS (INT64_C(60) * 1000000000)      // a writer that is silent for longer has left the bucket
#define LEASE_NS_MIN (INT64_C(3) * 1000000000)
#define LEASE_MARGIN_SHARE 6                      // nothing is begun in this last part of it
#define LEASE_SKEW_NS (INT64_C(10) * 1000000000) // by which clocks may differ
#define LEASE_PAUSE_NS (INT64_C(5) * 1000000000) // between attempts to get it
#define LEASE_WEAK_WAIT_NS (INT64_C(2) * 1000000000) // before a second look, where the server ignores conditions
#define LEASE_GIVE_BACK_NS (INT64_C(2) * 1000000000) // what stopping may wait for it
#define FAR_PAUSE_NS (INT64_C(1) * 1000000000)   // the uploader looks for work; after failures doubled up to
#define FAR_PAUSE_NS_MAX (INT64_C(60) * 1000000000)
#define FAR_TELL_NS (INT64_C(60) * 1000000000)   // a failure that lasts is told again
#define FAR_GRACE_NS (INT64_C(600) * 1000000000) // objects stay so long for readers of older snapshots of the index
#define FAR_SNAPSHOT_NS (INT64_C(60) * 1000000000) // between snapshots
#define FAR_REFRESH_NS (INT64_C(15) * 1000000000) // a read-only server looks for a newer one
#define FAR_CACHE_BYTES (16 * GIB)               // local copies of what is in the bucket
#define FAR_LIST_BYTES_MAX (256 * MIB)           // of the list of objects
#define RETRY_PAUSE_NS (INT64_C(100) * 1000000)  // bound of the first pause, doubled up to
#define RETRY_PAUSE_NS_MAX (INT64_C(5) * 1000000000)
#define RETRY_AFTER_NS_MAX (INT64_C(20) * 1000000000) // a server that asks for longer is asked again all the same
#define CREDENTIALS_FILE_BYTES_MAX (256 * KIB)
#define CREDENTIALS_REFRESH_NS (INT64_C(300) * 1000000000) // so long before they expire

// --- query ------------------------------------------------------------------------------------------
#define QUERY_TEXT_BYTES_MAX UINT64_C(131072)    // 400; logql.md 2.1
#define QUERY_DEPTH_MAX 32                       // 400; parser recursion
#define QUERY_CHAIN_MAX 512                      // 400; operands chained in one expression, stages
#define QUERY_REGEXES_MAX 128                    // 400; regexes of one query
#define QUERY_MATCHERS_MAX 1000                  // 400; loki-http.md 4.3
#define QUERY_ENTRIES_MAX 5000                   // 400; `limit` of a log query
#define QUERY_TENANTS_MAX 64                     // 400; tenants that one query spans
#define QUERY_LENGTH_NS_MAX (INT64_C(721) * 3600 * 1000000000) // 400; end - start
#define QUERY_POINTS_MAX 11000                   // 400; steps of a metric query
#define QUERY_SERIES_MAX 500                     // 400; series of a metric result
#define QUERY_TIMEOUT_NS_DEFAULT (INT64_C(60) * 1000000000) // 504
#define QUERY_SAMPLE_NS INT64_C(1000000000)     // time for patterns and detected fields; then they are of a sample
#define QUERY_ARENA_BYTES_MAX (256 * MIB)        // 400; everything one query holds
#define QUERY_REGEX_BYTES_MAX (8 * MIB)          // 400; compiled size of one regex

#define TRACEQL_TEXT_BYTES_MAX UINT64_C(131072)  // 400; traceql.md 2
#define TRACEQL_COMPARE_VALUES_MAX UINT32_C(1000) // of one attribute in one task; further ones are left out, with a warning
#define TRACEQL_DEPTH_MAX 64                     // 400; parentheses and signs in each other
#define TRACEQL_TREE_MAX 512                     // 400; height of an expression's tree, so operands chained

// --- spans (traces-http.md 18) ------------------------------------------------------------------------
#define TRACE_BYTES_MAX (64 * MIB)               // of one answered trace in protobuf; beyond: partial (v2) or 422 (v1)
#define TRACE_SEARCH_LIMIT_MAX 262144            // 400; `limit` of a search
#define TRACE_SEARCH_SPANS_MAX 100               // 400; `spss`, spans of a set
#define TRACE_METRICS_STEPS_MAX 10000            // 400; buckets of a metrics query
#define TRACE_METRICS_SERIES_MAX 1000            // of a metrics result; then it is partial
#define TRACE_METRICS_EXEMPLARS_MAX 100          // `exemplars` above it is cut
#define TRACE_TREE_SPANS_MAX UINT32_C(10000)     // of a trace with its logs; the rest is counted and said in `warnings`
#define TRACE_TREE_LOGS_MAX 5000                 // 400; `limit` of its log entries
#define TRACE_TREE_SERVICES_MAX 64               // whose lines are looked at for the ID
#define TRACE_TREE_WINDOW_NS_MAX (INT64_C(3600) * 1000000000) // of time, likewise
#define TRACE_TREE_SLACK_NS (INT64_C(5) * 1000000000) // lines are written a little before and after their spans

// --- server -----------------------------------------------------------------------------------------
#define SERVER_REQUESTS_MAX 512                  // 503; requests in hand at once
#define SERVER_CONNECTIONS_MAX 4096              // further ones wait in the kernel's backlog
#define SERVER_HEAD_BYTES_MAX (512 * KIB)        // 431/414; request line and headers of one request, on
#define SERVER_LONG_CONNECTIONS_MAX 32           // that many connections whose first request is a GET;
#define SERVER_SHORT_HEAD_BYTES_MAX (16 * KIB)   // on all others, so that thousands may be idle
#define SERVER_FORM_BYTES_MAX (10 * MIB)         // 400 `http: POST too large`
#define SERVER_IDLE_NS_DEFAULT (INT64_C(180) * 1000000000)              // a silent connection is closed
#define SERVER_GZIP_BYTES_MIN 1400               // smaller answers are sent as they are
#define SERVER_TAILS_MAX 512                     // open at once; 400
#define TAIL_PENDING_BYTES_MAX (1 * MIB)         // of one tail whose client does not read; then entries are dropped
#define TAIL_NS_DEFAULT (INT64_C(3600) * 1000000000) // closed with 1011
