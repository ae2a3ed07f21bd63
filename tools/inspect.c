/* inspect.c -- `mstore-dump inspect`: what a segment or a write-ahead log holds. */
#include "bucket.h"
#include "dump.h"

#include "base/clock.h"
#include "base/jsonout.h"
#include "base/labels.h"
#include "ingest/ingest.h"
#include "store/segment/seg.h"
#include "store/wal.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *const column_names[COLUMNS_COUNT] = {"times", "lengths", "lines", "metadata"};
static const char *const encoding_names[] = {"raw", "zstd", "split"}; // enum block_encoding

static const char *encoding_name(uint8_t encoding)
{
    return encoding < COUNT_OF(encoding_names) ? encoding_names[encoding] : "unknown";
}

// --- segments ---------------------------------------------------------------------------------------

struct column_sum {
    uint64_t stored, raw;
};

static void sum_columns(struct seg *seg, struct column_sum sums[COLUMNS_COUNT])
{
    for (uint32_t n = 0; n < seg_blocks_count(seg); n++)
        for (int c = 0; c < COLUMNS_COUNT; c++) {
            sums[c].stored += seg_block_place(seg, n)->columns[c].stored_bytes;
            sums[c].raw += seg_block_place(seg, n)->columns[c].raw_bytes;
        }
}

static const char *rfc3339(int64_t time_ns, char out[CLOCK_RFC3339_BYTES])
{
    clock_rfc3339(time_ns, out);
    return out;
}

static double ratio(uint64_t raw, uint64_t stored)
{
    return stored > 0 ? (double)raw / (double)stored : 0;
}

struct span_sum {
    uint64_t blocks, bytes, traced_entries;
};

static struct span_sum sum_spans(const struct seg *seg)
{
    const struct seg_span_table *table = seg_span_table(seg);
    struct span_sum sum = {0};
    for (uint32_t i = 0; i < table->tenants_count; i++) {
        const struct seg_span_tenant *t = &table->tenants[i];
        sum.blocks += t->blocks_count;
        sum.traced_entries += t->entries.refs_count;
        for (uint32_t n = 0; n < t->blocks_count; n++)
            sum.bytes += t->blocks[n].total_bytes;
    }
    return sum;
}

static void print_spans(const struct seg *seg, bool details)
{
    const struct index_segment *t = &seg_footer(seg)->totals;
    const struct seg_span_table *table = seg_span_table(seg);
    struct span_sum sum = sum_spans(seg);
    char from[CLOCK_RFC3339_BYTES], to[CLOCK_RFC3339_BYTES];
    if (sum.traced_entries > 0)
        printf("  %" PRIu64 " references from traces to blocks of entries\n", sum.traced_entries);
    if (t->spans == 0)
        return;
    printf("  %" PRIu64 " spans in %" PRIu64 " blocks, %s to %s: %" PRIu64 " bytes, %.1f each\n", t->spans, sum.blocks,
           rfc3339(t->spans_min_ns, from), rfc3339(t->spans_max_ns, to), sum.bytes, ratio(sum.bytes, t->spans));
    for (uint32_t i = 0; details && i < table->tenants_count; i++)
        for (uint32_t n = 0; n < table->tenants[i].blocks_count; n++) {
            const struct span_block_place *p = &table->tenants[i].blocks[n];
            printf("  span block %.*s %u at %" PRIu64 ": %u spans of %u traces, %s to %s, %u bytes\n",
                   SLICE_FMT(table->tenants[i].tenant), n, p->pos, p->stats.spans_count, p->stats.traces_count,
                   rfc3339(p->stats.start_min_ns, from), rfc3339(p->stats.end_max_ns, to), p->total_bytes);
        }
}

// What the lines of split blocks come to, and those of the others.
static void print_split(const struct seg *seg)
{
    struct column_sum split = {0}, others = {0};
    uint32_t blocks = 0, count = seg_blocks_count(seg);
    for (uint32_t n = 0; n < count; n++) {
        const struct column_place *lines = &seg_block_place(seg, n)->columns[COLUMN_LINES];
        struct column_sum *sum = lines->encoding == ENCODING_SPLIT ? &split : &others;
        blocks += lines->encoding == ENCODING_SPLIT;
        sum->stored += lines->stored_bytes;
        sum->raw += lines->raw_bytes;
    }
    if (blocks > 0)
        printf("  lines of %u blocks are split: %.2f to 1, those of the other %u are not: %.2f to 1\n", blocks,
               ratio(split.raw, split.stored), count - blocks, ratio(others.raw, others.stored));
}

static void print_segment(struct seg *seg, const struct seg_directory *d, bool details)
{
    const struct seg_footer *f = seg_footer(seg);
    const struct index_segment *t = &f->totals;
    struct column_sum sums[COLUMNS_COUNT] = {0};
    char from[CLOCK_RFC3339_BYTES], to[CLOCK_RFC3339_BYTES], created[CLOCK_RFC3339_BYTES];
    sum_columns(seg, sums);
    printf("%s: segment of generation %016" PRIx64 ", made %s\n", seg_path(seg), f->gen,
           rfc3339(f->created_ns, created));
    if (t->entries > 0)
        printf("  %" PRIu64 " entries of %" PRIu64 " streams in %" PRIu64 " blocks, %s to %s\n", t->entries,
               t->streams, t->blocks, rfc3339(t->min_ns, from), rfc3339(t->max_ns, to));
    printf("  %" PRIu64 " bytes of lines in %" PRIu64 " bytes of file: %.2f to 1\n", t->line_bytes,
           t->file_bytes, ratio(t->line_bytes, t->file_bytes));
    for (int c = 0; c < COLUMNS_COUNT; c++)
        printf("  %-9s %12" PRIu64 " bytes from %12" PRIu64 ": %.2f to 1\n", column_names[c], sums[c].stored,
               sums[c].raw, ratio(sums[c].raw, sums[c].stored));
    print_split(seg);
    print_spans(seg, details);
    if (f->inputs_count > 0)
        printf("  rewritten %" PRIu64 " times\n", seg_rewrites(f->gen));
    for (uint32_t i = 0; i < f->inputs_count; i++)
        printf("  made from generation %016" PRIx64 "\n", f->inputs[i]);
    struct buf text;
    buf_init(&text, 0);
    for (size_t i = 0; details && i < d->streams_count; i++) {
        const struct index_stream *s = &d->streams[i];
        uint64_t entries = 0, bytes = 0;
        for (uint32_t n = 0; n < s->runs_count; n++) {
            entries += s->runs[n].entries_count;
            bytes += s->runs[n].line_bytes;
        }
        buf_reset(&text);
        labels_print(&text, s->labels);
        printf("  stream %.*s %.*s: %" PRIu64 " entries, %" PRIu64 " bytes of lines in %u runs\n",
               SLICE_FMT(s->tenant), SLICE_FMT(buf_slice(&text)), entries, bytes, s->runs_count);
    }
    for (uint32_t n = 0; details && n < seg_blocks_count(seg); n++) {
        const struct block_place *p = seg_block_place(seg, n);
        printf("  block %u: %u entries, %s to %s, lines at %" PRIu64 ", %u bytes from %u (%s)\n", n,
               p->entries_count, rfc3339(p->min_ns, from), rfc3339(p->max_ns, to), p->columns[COLUMN_LINES].pos,
               p->columns[COLUMN_LINES].stored_bytes, p->columns[COLUMN_LINES].raw_bytes,
               encoding_name(p->columns[COLUMN_LINES].encoding));
    }
    buf_done(&text);
}

static void json_run(struct buf *b, const struct index_run *r)
{
    buf_printf(b, "{\"block\":%u,\"first\":%u,\"entries\":%u,\"min\":\"%" PRId64 "\",\"max\":\"%" PRId64
               "\",\"line_bytes\":%" PRIu64 "}", r->block, r->first, r->entries_count, r->min_ns, r->max_ns,
               r->line_bytes);
}

static void json_segment(struct seg *seg, const struct seg_directory *d, struct buf *b)
{
    const struct seg_footer *f = seg_footer(seg);
    const struct index_segment *t = &f->totals;
    struct span_sum spans = sum_spans(seg);
    buf_put_cstr(b, "{\"path\":");
    jsonout_string(b, slice_cstr(seg_path(seg)));
    buf_printf(b, ",\"kind\":\"segment\",\"generation\":\"%016" PRIx64 "\",\"created\":\"%" PRId64
               "\",\"entries\":%" PRIu64 ",\"streams_count\":%" PRIu64 ",\"blocks_count\":%" PRIu64
               ",\"min\":\"%" PRId64 "\",\"max\":\"%" PRId64 "\",\"line_bytes\":%" PRIu64 ",\"file_bytes\":%" PRIu64
               ",\"spans\":%" PRIu64 ",\"span_blocks_count\":%" PRIu64 ",\"span_bytes\":%" PRIu64 ",\"streams\":[",
               f->gen, f->created_ns, t->entries, t->streams, t->blocks, t->min_ns, t->max_ns, t->line_bytes,
               t->file_bytes, t->spans, spans.blocks, spans.bytes);
    for (size_t i = 0; i < d->streams_count; i++) {
        const struct index_stream *s = &d->streams[i];
        buf_put_cstr(b, i > 0 ? ",{\"tenant\":" : "{\"tenant\":");
        jsonout_string(b, s->tenant);
        buf_put_cstr(b, ",\"labels\":");
        jsonout_labels(b, s->labels);
        buf_put_cstr(b, ",\"runs\":[");
        for (uint32_t n = 0; n < s->runs_count; n++) {
            if (n > 0)
                buf_put_byte(b, ',');
            json_run(b, &s->runs[n]);
        }
        buf_put_cstr(b, "]}");
    }
    buf_put_cstr(b, "],\"blocks\":[");
    for (uint32_t n = 0; n < seg_blocks_count(seg); n++) {
        const struct block_place *p = seg_block_place(seg, n);
        buf_printf(b, "%s{\"entries\":%u,\"min\":\"%" PRId64 "\",\"max\":\"%" PRId64 "\"",
                   n > 0 ? "," : "", p->entries_count, p->min_ns, p->max_ns);
        for (int c = 0; c < COLUMNS_COUNT; c++)
            buf_printf(b, ",\"%s\":{\"encoding\":\"%s\",\"pos\":%" PRIu64 ",\"stored\":%u,\"raw\":%u}", column_names[c],
                       encoding_name(p->columns[c].encoding), p->columns[c].pos, p->columns[c].stored_bytes, p->columns[c].raw_bytes);
        buf_put_byte(b, '}');
    }
    buf_put_cstr(b, "]}\n");
}

static bool inspect_segment(struct seg *seg, bool json, bool details, struct err *err)
{
    AUTO(seg_directory_done) struct seg_directory d = {0};
    if (!seg_load(seg, err) || !seg_read_directory(seg, &d, err))
        return false;
    if (!json) {
        print_segment(seg, &d, details);
        return true;
    }
    struct buf b;
    buf_init(&b, 0);
    json_segment(seg, &d, &b);
    (void)fwrite(b.ptr, 1, b.len, stdout);
    buf_done(&b);
    return true;
}

static bool inspect_segment_file(const char *path, bool json, bool details, struct err *err)
{
    uint64_t gen;
    if (!dump_generation(path, &gen, err))
        return false;
    AUTO(seg_unrefp) struct seg *seg = seg_new(path, gen);
    return inspect_segment(seg, json, details, err);
}

// --- logs -------------------------------------------------------------------------------------------

struct wal_print {
    bool json, details, first;
};

static bool print_record(void *ctx, uint64_t pos, struct slice payload, struct err *err)
{
    struct wal_print *p = ctx;
    struct ingest_payload_info info;
    char arrival[CLOCK_RFC3339_BYTES];
    if (!ingest_payload_info(payload, &info, err))
        return false;
    if (p->json)
        printf("%s{\"pos\":%" PRIu64 ",\"bytes\":%zu,\"format\":\"%s\",\"encoding\":\"%s\",\"arrival\":\"%" PRId64
               "\",\"tenant\":\"%.*s\"}", p->first ? "" : ",", pos, payload.len, info.format, info.encoding,
               info.arrival_ns, SLICE_FMT(info.tenant));
    else if (p->details)
        printf("  record at %" PRIu64 ": %zu bytes, %s (%s) of %.*s, arrived %s\n", pos, payload.len, info.format,
               info.encoding, SLICE_FMT(info.tenant), rfc3339(info.arrival_ns, arrival));
    p->first = false;
    return true;
}

static bool inspect_wal(const char *path, bool json, bool details, struct err *err)
{
    const char *name = strrchr(path, '/');
    uint64_t gen = strtoull(name != NULL ? name + 1 : path, NULL, 16);
    struct wal_print p = {json, details, true};
    struct wal_replay_stats s;
    if (json) {
        struct buf b;
        buf_init(&b, 0);
        jsonout_string(&b, slice_cstr(path));
        printf("{\"path\":%.*s,\"kind\":\"log\",\"records\":[", SLICE_FMT(buf_slice(&b)));
        buf_done(&b);
    }
    bool good = wal_replay(path, gen, print_record, &p, &s, err);
    if (json && good)
        printf("],\"generation\":\"%016" PRIx64 "\",\"created\":\"%" PRId64 "\",\"payload_bytes\":%" PRIu64
               ",\"valid_bytes\":%" PRIu64 ",\"torn_bytes\":%" PRIu64 ",\"ended\":%s}\n",
               s.gen, s.created_ns, s.payload_bytes, s.valid_bytes, s.torn_bytes, s.ended ? "true" : "false");
    else if (json)
        printf("]}\n");
    else if (good)
        printf("%s: log of generation %016" PRIx64 ": %" PRIu64 " records, %" PRIu64 " bytes%s, %" PRIu64
               " bytes behind the last good record\n", path, s.gen, s.records, s.valid_bytes,
               s.ended ? ", ended" : "", s.torn_bytes);
    return good;
}

// --- arguments --------------------------------------------------------------------------------------

static int inspect_file(const char *path, bool json, bool details)
{
    struct err err;
    bool good = dump_ends(path, ".wal")   ? inspect_wal(path, json, details, &err)
                : dump_ends(path, ".seg") ? inspect_segment_file(path, json, details, &err)
                                          : err_set(&err, ERR_INPUT, "%s: neither .seg nor .wal", path);
    return good ? EXIT_GOOD : dump_fail(err.code == ERR_INPUT ? EXIT_USAGE : EXIT_BROKEN, "%s", err.text);
}

static int not_hidden(const struct dirent *e)
{
    return dump_ends(e->d_name, ".seg") || dump_ends(e->d_name, ".wal");
}

static int inspect_dir(const char *dir, bool json)
{
    int status = EXIT_GOOD;
    bool any = false;
    for (int f = 0; f < 2; f++) {
        char folder[2048], path[4096];
        struct dirent **names;
        (void)snprintf(folder, sizeof folder, "%s/%s", dir, f == 0 ? "wal" : "segments");
        int count = scandir(folder, &names, not_hidden, alphasort);
        any = any || count >= 0;
        for (int i = 0; i < count; i++) {
            (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
            int one = inspect_file(path, json, false);
            status = one != EXIT_GOOD ? one : status;
            free(names[i]);
        }
        if (count >= 0)
            free(names);
    }
    return any ? status : dump_fail(EXIT_BROKEN, "%s: no data directory", dir);
}

struct bucket_print {
    bool json, details;
    int status;
};

// One that cannot be read does not hide the others.
static bool inspect_object(void *ctx, struct seg *seg, struct err *err)
{
    (void)err;
    struct bucket_print *p = ctx;
    struct err why;
    if (!inspect_segment(seg, p->json, p->details, &why))
        p->status = dump_fail(EXIT_BROKEN, "%s", why.text);
    return true;
}

// A store's segments in short, or one segment.
static int inspect_bucket(const char *path, bool json)
{
    struct bucket_print p = {json, dump_ends(path, ".seg"), EXIT_GOOD};
    struct err err;
    return dump_bucket_visit(path, inspect_object, &p, &err) ? p.status : dump_fail(dump_status(&err), "%s", err.text);
}

int dump_inspect(int argc, char **argv)
{
    bool json = false;
    int status = EXIT_GOOD, paths = 0;
    for (int i = 1; i < argc; i++) {
        struct stat st;
        if (strcmp(argv[i], "--json") == 0) {
            json = true;
            continue;
        }
        if (argv[i][0] == '-')
            return dump_fail(EXIT_USAGE, "inspect: unknown option `%s`", argv[i]);
        paths++;
        int one = dump_is_bucket(argv[i])                          ? inspect_bucket(argv[i], json)
                  : stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode) ? inspect_dir(argv[i], json)
                                                                   : inspect_file(argv[i], json, true);
        status = one != EXIT_GOOD ? one : status;
    }
    return paths > 0 ? status : dump_fail(EXIT_USAGE, "inspect: which file or directory?");
}
