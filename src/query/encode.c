/* encode.c -- see encode.h. */
#include "query/encode.h"

#include "base/clock.h"
#include "base/jsonout.h"
#include "base/labels.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

// --- results ----------------------------------------------------------------------------------------

void encode_categories(struct buf *b, struct slice metadata, struct slice parsed)
{
    bool has_metadata = metadata.len > 1, has_parsed = parsed.len > 1;
    buf_put_byte(b, '{');
    if (has_metadata) {
        buf_put_cstr(b, "\"structuredMetadata\":");
        jsonout_labels(b, metadata);
    }
    if (has_parsed) {
        buf_put_cstr(b, has_metadata ? ",\"parsed\":" : "\"parsed\":");
        jsonout_labels(b, parsed);
    }
    buf_put_byte(b, '}');
}

static void encode_entry(struct buf *b, const struct result_entry *e, bool categorize)
{
    buf_printf(b, "[\"%" PRId64 "\",", e->time_ns);
    jsonout_string(b, e->line);
    if (categorize) {
        buf_put_byte(b, ',');
        encode_categories(b, e->metadata, e->parsed);
    }
    buf_put_byte(b, ']');
}

static void encode_streams(struct buf *b, const struct query_result *r, bool categorize)
{
    for (uint32_t i = 0; i < r->streams_count; i++) {
        const struct result_stream *s = &r->streams[i];
        buf_put_cstr(b, i > 0 ? ",{\"stream\":" : "{\"stream\":");
        jsonout_labels(b, s->labels);
        buf_put_cstr(b, ",\"values\":[");
        for (uint32_t n = 0; n < s->entries_count; n++) {
            if (n > 0)
                buf_put_byte(b, ',');
            encode_entry(b, &s->entries[n], categorize);
        }
        buf_put_cstr(b, "]}");
    }
}

static void encode_sample(struct buf *b, const struct result_sample *s)
{
    int64_t ms = s->time_ns / NS_PER_MS;
    buf_printf(b, "[%s%" PRId64, ms < 0 && ms > -1000 ? "-" : "", ms / 1000);
    if (ms % 1000 != 0) {
        char fraction[8];
        (void)snprintf(fraction, sizeof fraction, ".%03d", abs((int)(ms % 1000)));
        size_t len = strlen(fraction);
        while (fraction[len - 1] == '0')
            len--;
        buf_put(b, fraction, len);
    }
    buf_put_cstr(b, ",\"");
    jsonout_number(b, s->value);
    buf_put_cstr(b, "\"]");
}

static void encode_series(struct buf *b, const struct query_result *r)
{
    for (uint32_t i = 0; i < r->series_count; i++) {
        const struct result_series *s = &r->series[i];
        buf_put_cstr(b, i > 0 ? ",{\"metric\":" : "{\"metric\":");
        jsonout_labels(b, s->labels);
        if (r->type == RESULT_VECTOR) {
            buf_put_cstr(b, ",\"value\":");
            encode_sample(b, &s->samples[0]);
        } else {
            buf_put_cstr(b, ",\"values\":[");
            for (uint32_t n = 0; n < s->samples_count; n++) {
                if (n > 0)
                    buf_put_byte(b, ',');
                encode_sample(b, &s->samples[n]);
            }
            buf_put_byte(b, ']');
        }
        buf_put_byte(b, '}');
    }
}

// loki-http.md 5.6: `summary` whole, and what logcli prints of the rest.
static void encode_stats(struct buf *b, const struct query_stats *s, int64_t queue_ns)
{
    double seconds = (double)s->exec_ns / 1e9;
    uint64_t per_second_bytes = seconds > 0 ? (uint64_t)((double)s->bytes_scanned / seconds) : 0;
    uint64_t per_second_lines = seconds > 0 ? (uint64_t)((double)s->lines_scanned / seconds) : 0;
    buf_printf(b,
               "{\"summary\":{\"bytesProcessedPerSecond\":%" PRIu64 ",\"linesProcessedPerSecond\":%" PRIu64
               ",\"totalBytesProcessed\":%" PRIu64 ",\"totalLinesProcessed\":%" PRIu64
               ",\"execTime\":%.6f,\"queueTime\":%.6f,\"subqueries\":0,\"totalEntriesReturned\":%" PRIu64
               ",\"splits\":0,\"shards\":0,\"totalPostFilterLines\":%" PRIu64
               ",\"totalStructuredMetadataBytesProcessed\":%" PRIu64 "},",
               per_second_bytes, per_second_lines, s->bytes_scanned, s->lines_scanned, seconds,
               (double)queue_ns / 1e9, s->entries_returned, s->lines_matched, s->metadata_bytes);
    buf_printf(b,
               "\"querier\":{\"store\":{\"totalChunksRef\":%" PRIu64 ",\"totalChunksDownloaded\":%" PRIu64
               ",\"chunksDownloadTime\":0,\"chunk\":{\"headChunkBytes\":%" PRIu64
               ",\"headChunkLines\":%" PRIu64 ",\"decompressedBytes\":%" PRIu64
               ",\"decompressedLines\":%" PRIu64 ",\"compressedBytes\":%" PRIu64
               ",\"totalDuplicates\":0,\"postFilterLines\":%" PRIu64 "}}},",
               s->runs_selected, s->runs_loaded, s->head_bytes, s->head_lines, s->decoded_bytes,
               s->lines_scanned - (s->head_lines < s->lines_scanned ? s->head_lines : s->lines_scanned),
               s->compressed_bytes, s->lines_matched);
    buf_printf(b,
               "\"ingester\":{\"totalReached\":0,\"totalChunksMatched\":0,\"totalBatches\":0,"
               "\"totalLinesSent\":0,\"store\":{\"totalChunksRef\":0,\"totalChunksDownloaded\":0,"
               "\"chunksDownloadTime\":0,\"chunk\":{\"headChunkBytes\":0,\"headChunkLines\":0,"
               "\"decompressedBytes\":0,\"decompressedLines\":0,\"compressedBytes\":0,"
               "\"totalDuplicates\":0}}},\"blocks\":{\"streams\":%" PRIu64 ",\"selected\":%" PRIu64
               ",\"pruned\":%" PRIu64 ",\"filtered\":%" PRIu64 ",\"decoded\":%" PRIu64 "}}",
               s->streams_matched, s->runs_selected, s->runs_pruned, s->runs_filtered, s->blocks_decoded);
}

void encode_flags(struct buf *b, struct slice flags)
{
    buf_put_cstr(b, "\"encodingFlags\":[");
    bool first = true;
    for (struct slice flag; slice_next(&flags, ',', &flag); first = false) {
        if (!first)
            buf_put_byte(b, ',');
        jsonout_string(b, flag);
    }
    buf_put_byte(b, ']');
}

void encode_result(struct buf *b, const struct query_result *r, const struct encode_options *options)
{
    static const char *const names[] = {
        [RESULT_STREAMS] = "streams",
        [RESULT_MATRIX] = "matrix",
        [RESULT_VECTOR] = "vector",
        [RESULT_SCALAR] = "scalar",
    };
    buf_printf(b, "{\"status\":\"success\",\"data\":{\"resultType\":\"%s\",", names[r->type]);
    if (r->type == RESULT_STREAMS && options->encoding_flags.len > 0) {
        encode_flags(b, options->encoding_flags);
        buf_put_byte(b, ',');
    }
    buf_put_cstr(b, "\"result\":");
    if (r->type == RESULT_SCALAR) {
        encode_sample(b, &r->series[0].samples[0]);
    } else {
        buf_put_byte(b, '[');
        if (r->type == RESULT_STREAMS)
            encode_streams(b, r, options->categorize);
        else
            encode_series(b, r);
        buf_put_byte(b, ']');
    }
    buf_put_cstr(b, ",\"stats\":");
    if (options->no_stats)
        buf_put_cstr(b, "{}");
    else
        encode_stats(b, &r->stats, options->queue_ns);
    buf_put_byte(b, '}');
    if (r->warnings_count > 0) {
        buf_put_cstr(b, ",\"warnings\":[");
        for (uint32_t i = 0; i < r->warnings_count; i++) {
            if (i > 0)
                buf_put_byte(b, ',');
            jsonout_string(b, slice_cstr(r->warnings[i]));
        }
        buf_put_byte(b, ']');
    }
    buf_put_cstr(b, "}\n");
}

void encode_legacy(struct buf *b, const struct query_result *r)
{
    buf_put_cstr(b, "{\"streams\":[");
    for (uint32_t i = 0; i < r->streams_count; i++) {
        const struct result_stream *s = &r->streams[i];
        struct buf labels;
        buf_init(&labels, 0);
        labels_print(&labels, s->labels);
        buf_put_cstr(b, i > 0 ? ",{\"labels\":" : "{\"labels\":");
        jsonout_string(b, buf_slice(&labels));
        buf_done(&labels);
        buf_put_cstr(b, ",\"entries\":[");
        for (uint32_t n = 0; n < s->entries_count; n++) {
            char at[CLOCK_RFC3339_BYTES];
            clock_rfc3339(s->entries[n].time_ns, at);
            buf_printf(b, "%s{\"ts\":\"%s\",\"line\":", n > 0 ? "," : "", at);
            jsonout_string(b, s->entries[n].line);
            buf_put_byte(b, '}');
        }
        buf_put_cstr(b, "]}");
    }
    buf_put_cstr(b, "],\"stats\":");
    encode_stats(b, &r->stats, 0);
    buf_put_cstr(b, "}\n");
}
