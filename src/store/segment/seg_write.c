/*
 * seg_write.c -- writes a segment: lines of blocks as they fill, the small columns of a group when it ends, then tables, footer, sync, rename.
 *
 * G1  Nothing refers to the file before its rename; a crash leaves a .tmp that recovery deletes.
 * G2  Streams come in ascending (tenant, labels), entries in ascending time: runs are sorted by nature.
 * G3  A stream's runs lie in ascending blocks; a run never crosses a block.
 */
#include "store/segment/seg.h"

#include "base/clock.h"
#include "base/codec.h"
#include "base/fs.h"
#include "base/limits.h"
#include "store/segment/filter.h"
#include "store/segment/seg_format.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

// Columns gathered before a write(2).
#define WRITE_BYTES (1 * MIB)

struct seg_writer {
    // Set by seg_writer_open().
    char *dir;
    char *path;
    char *tmp_path;
    int fd;
    int level;
    size_t share_bytes; // a stream begins a block of its own when the open one is at least this full
    struct seg_footer footer;
    // The file so far.
    struct buf out; // not yet written
    uint64_t pos;   // file offset of out's first byte
    struct hash_stream *blocks_hash;
    uint64_t blocks_pos;
    // The open block, and the run in it.
    struct block_writer *block;
    struct seg_spans_writer *spans;
    uint64_t spans_pos; // of the first span block; 0: none yet
    // The open group.
    struct seg_group group;
    struct buf small[COLUMNS_COUNT]; // its columns, but lines, which are in `out` already
    struct buf page;                 // places of its blocks
    // Those before it.
    struct buf groups;
    uint32_t groups_count;
    struct buf pages;
    struct zbuf *z;
    struct filter_builder *filter; // owned
    struct buf filters;
    uint32_t blocks_count;
    uint32_t run_first; // entry in the block at which the open stream's run began
    struct index_run run;
    // Growing directory; runs and days of the open stream are gathered, then copied to the arena.
    struct seg_directory directory;
    size_t streams_room;
    struct index_run *runs;
    size_t runs_count, runs_room;
    uint32_t *days;
    size_t days_count, days_room;
    int64_t last_ns;
    bool renamed;
};

static char *join(const char *a, const char *b)
{
    size_t len = strlen(a) + strlen(b) + 1;
    char *s = malloc(len);
    assert(s != NULL);
    (void)snprintf(s, len, "%s%s", a, b);
    return s;
}

static bool write_out(struct seg_writer *w, struct err *err)
{
    if (w->out.bad)
        return err_set(err, ERR_LIMIT, "%s: no memory", w->tmp_path);
    if (!fs_write_at(w->fd, w->tmp_path, w->pos, buf_slice(&w->out), err))
        return false;
    w->pos += w->out.len;
    buf_reset(&w->out);
    return true;
}

static uint64_t out_pos(const struct seg_writer *w)
{
    return w->pos + w->out.len;
}

bool seg_writer_open(const struct seg_writer_options *options, struct seg_writer **w_out,
                     struct err *err)
{
    assert(options->inputs_count <= COUNT_OF(((struct seg_footer *)0)->inputs));
    AUTO(seg_writer_freep) struct seg_writer *w = calloc(1, sizeof *w);
    assert(w != NULL);
    w->fd = -1;
    w->dir = join(options->dir, "");
    w->path = join(options->path, "");
    w->tmp_path = join(options->path, ".tmp");
    w->level = options->level;
    w->share_bytes = options->block_bytes / 2;
    w->block = block_writer_new(options->level, options->block_bytes, options->split_lines);
    w->spans = seg_spans_writer_new(options->level);
    w->filter = filter_builder_new();
    w->z = zbuf_new();
    w->blocks_hash = hash_stream_new();
    hash_stream_reset(w->blocks_hash);
    arena_init(&w->directory.arena, SIZE_MAX);
    w->footer.gen = options->gen;
    w->footer.features_incompatible = SEG_FEATURE_GROUPS;
    w->footer.created_ns = clock_wall_ns();
    w->footer.inputs_count = options->inputs_count;
    for (uint32_t i = 0; i < options->inputs_count; i++)
        w->footer.inputs[i] = options->inputs[i];
    w->footer.totals = (struct index_segment){
        .gen = options->gen, .min_ns = INT64_MAX, .max_ns = INT64_MIN};
    if (!fs_create(w->tmp_path, true, &w->fd, err))
        return false;
    seg_put_header(&w->out, &w->footer);
    w->blocks_pos = out_pos(w);
    *w_out = MOVE(w);
    return true;
}

void seg_writer_free(struct seg_writer *w)
{
    if (w == NULL)
        return;
    fs_close(w->fd);
    if (!w->renamed && w->fd >= 0)
        fs_unlink_quietly(w->tmp_path); // recovery deletes what stays behind
    block_writer_free(w->block);
    seg_spans_writer_free(w->spans);
    hash_stream_free(w->blocks_hash);
    buf_done(&w->out);
    for (int c = 0; c < COLUMNS_COUNT; c++)
        buf_done(&w->small[c]);
    buf_done(&w->page);
    buf_done(&w->groups);
    buf_done(&w->pages);
    zbuf_free(w->z);
    buf_done(&w->filters);
    filter_builder_free(w->filter);
    seg_directory_done(&w->directory);
    free(w->runs);
    free(w->days);
    free(w->dir);
    free(w->path);
    free(w->tmp_path);
    free(w);
}

// Closes the open stream's run in the open block, if it has entries.
static void end_run(struct seg_writer *w)
{
    uint32_t count = block_entries(w->block) - w->run_first;
    if (count == 0)
        return;
    if (w->runs_count == w->runs_room) {
        w->runs_room = w->runs_room == 0 ? 16 : w->runs_room * 2;
        w->runs = realloc(w->runs, w->runs_room * sizeof *w->runs);
        assert(w->runs != NULL);
    }
    w->run.block = w->blocks_count;
    w->run.first = w->run_first;
    w->run.entries_count = count;
    w->runs[w->runs_count++] = w->run;
    w->run_first = block_entries(w->block);
}

static size_t small_bytes(const struct seg_writer *w)
{
    size_t bytes = 0;
    for (int c = 0; c < COLUMNS_COUNT; c++)
        bytes += w->small[c].len;
    return bytes;
}

// Appends the small columns of the open group, if it has blocks, and ends it.
static bool end_group(struct seg_writer *w, struct err *err)
{
    struct seg_group *g = &w->group;
    if (g->blocks_count == 0)
        return true;
    for (int c = 0; c < COLUMNS_COUNT; c++) {
        hash_stream_add(w->blocks_hash, buf_slice(&w->small[c]));
        buf_put_slice(&w->out, buf_slice(&w->small[c]));
        buf_reset(&w->small[c]);
    }
    size_t from = w->pages.len;
    if (!zbuf_compress(w->z, w->level, buf_slice(&w->page), &w->pages, err))
        return err_wrap(err, "%s", w->tmp_path);
    g->page_raw_bytes = (uint32_t)w->page.len;
    g->page_bytes = (uint32_t)(w->pages.len - from);
    g->page_check = hash64(slice_from(buf_slice(&w->pages), from));
    seg_put_group(&w->groups, g);
    buf_reset(&w->page);
    *g = (struct seg_group){0};
    w->groups_count++;
    return w->out.len < WRITE_BYTES || write_out(w, err);
}

static bool end_block(struct seg_writer *w, struct err *err)
{
    if (block_entries(w->block) == 0)
        return true;
    struct block_place place;
    size_t from = w->out.len;
    filter_add_text(w->filter, block_lines(w->block));
    filter_add_text(w->filter, block_sets(w->block));
    struct buf *const to[COLUMNS_COUNT] = {
        [COLUMN_TIMES] = &w->small[COLUMN_TIMES],
        [COLUMN_LENGTHS] = &w->small[COLUMN_LENGTHS],
        [COLUMN_LINES] = &w->out,
        [COLUMN_METADATA] = &w->small[COLUMN_METADATA],
    };
    if (!block_flush(w->block, to, &place, err))
        return err_wrap(err, "%s", w->tmp_path);
    hash_stream_add(w->blocks_hash, slice_of(w->out.ptr + from, w->out.len - from));
    const struct column_place *lines = &place.columns[COLUMN_LINES];
    bool is_split = lines->encoding == ENCODING_SPLIT;
    w->footer.features_incompatible |= is_split ? SEG_FEATURE_SPLIT : 0;
    seg_put_block_place(&w->page, &place);
    uint64_t bytes = 0;
    for (int c = 0; c < COLUMNS_COUNT; c++)
        bytes += place.columns[c].stored_bytes;
    // A filter spares reading and decoding: split lines cost what others of twice their size do.
    filter_end_block(w->filter, bytes + (is_split ? lines->stored_bytes : 0), &w->filters);
    w->group.blocks_count++;
    w->group.bytes += bytes;
    w->blocks_count++;
    w->run_first = 0;
    if (w->group.blocks_count == GROUP_BLOCKS || small_bytes(w) >= GROUP_BYTES)
        return end_group(w, err);
    return w->out.len < WRITE_BYTES || write_out(w, err);
}

static void end_stream(struct seg_writer *w)
{
    end_run(w);
    if (w->directory.streams_count == 0)
        return;
    struct index_stream *s = &w->directory.streams[w->directory.streams_count - 1];
    if (w->runs_count == 0) { // a stream without entries leaves no trace
        w->directory.streams_count--;
        return;
    }
    struct arena *a = &w->directory.arena;
    s->runs = (struct index_run *)arena_copy(a, slice_of(w->runs, w->runs_count * sizeof *w->runs)).ptr;
    s->runs_count = (uint32_t)w->runs_count;
    s->days = (uint32_t *)arena_copy(a, slice_of(w->days, w->days_count * sizeof *w->days)).ptr;
    s->days_count = (uint32_t)w->days_count;
    w->runs_count = w->days_count = 0;
}

bool seg_writer_stream(struct seg_writer *w, struct slice tenant, struct slice labels,
                       struct hash128 fingerprint, struct err *err)
{
    end_stream(w);
    if (block_line_bytes(w->block) >= w->share_bytes && !end_block(w, err))
        return false;
    struct seg_directory *d = &w->directory;
    if (d->streams_count > 0) {
        const struct index_stream *last = &d->streams[d->streams_count - 1];
        int order = slice_cmp(last->tenant, tenant);
        assert(order < 0 || (order == 0 && slice_cmp(last->labels, labels) < 0)); // G2
    }
    if (!arena_grow(&d->arena, (void **)&d->streams, sizeof *d->streams, d->streams_count,
                    &w->streams_room))
        return arena_ok(&d->arena, "segment directory", err);
    d->streams[d->streams_count++] =
        (struct index_stream){.tenant = tenant, .labels = labels, .fingerprint = fingerprint};
    w->last_ns = INT64_MIN;
    return true;
}

static void add_day(struct seg_writer *w, int64_t time_ns)
{
    uint32_t day = index_day(time_ns);
    if (w->days_count > 0 && w->days[w->days_count - 1] == day)
        return;
    if (w->days_count == w->days_room) {
        w->days_room = w->days_room == 0 ? 16 : w->days_room * 2;
        w->days = realloc(w->days, w->days_room * sizeof *w->days);
        assert(w->days != NULL);
    }
    w->days[w->days_count++] = day;
}

bool seg_writer_entry(struct seg_writer *w, int64_t time_ns, struct slice line, struct slice metadata,
                      struct err *err)
{
    assert(w->directory.streams_count > 0 && time_ns >= w->last_ns); // G2
    if (block_full(w->block)) {
        end_run(w);
        if (!end_block(w, err))
            return false;
    }
    if (block_entries(w->block) == w->run_first)
        w->run = (struct index_run){.min_ns = time_ns};
    bool same = block_add(w->block, time_ns, line, metadata);
    add_day(w, time_ns);
    w->run.max_ns = w->last_ns = time_ns;
    w->run.line_bytes += line.len;
    const struct index_stream *stream = &w->directory.streams[w->directory.streams_count - 1];
    seg_spans_entry(w->spans, stream->tenant, stream->fingerprint, metadata, same, w->blocks_count);

    struct index_segment *t = &w->footer.totals;
    t->entries++;
    t->line_bytes += line.len;
    t->min_ns = time_ns < t->min_ns ? time_ns : t->min_ns;
    t->max_ns = time_ns > t->max_ns ? time_ns : t->max_ns;
    return true;
}

// Appends the last block and group of entries, and notes all of them as a section.
static bool end_blocks(struct seg_writer *w, struct err *err)
{
    if (w->footer.sections_count > 0)
        return true;
    end_stream(w);
    if (!end_block(w, err) || !end_group(w, err))
        return false;
    uint64_t bytes = out_pos(w) - w->blocks_pos;
    w->footer.sections[w->footer.sections_count++] = (struct seg_section_place){
        .kind = SECTION_BLOCKS,
        .encoding = ENCODING_RAW,
        .pos = w->blocks_pos,
        .stored_bytes = bytes,
        .raw_bytes = bytes,
        .check = hash_stream_value(w->blocks_hash),
    };
    return true;
}

// What was appended since `pos` and `from` is a section now.
static bool note_section(struct seg_writer *w, enum seg_section kind, uint8_t encoding, uint64_t pos,
                         size_t from, size_t raw_bytes, struct err *err)
{
    struct slice stored = slice_of(w->out.ptr + from, w->out.len - from);
    w->footer.sections[w->footer.sections_count++] = (struct seg_section_place){.kind = kind,
                                                                                .encoding = encoding,
                                                                                .pos = pos,
                                                                                .stored_bytes = stored.len,
                                                                                .raw_bytes = raw_bytes,
                                                                                .check = hash64(stored)};
    return write_out(w, err);
}

// Compresses a table into the file and notes its place.
static bool put_section(struct seg_writer *w, enum seg_section kind, struct slice raw,
                        struct err *err)
{
    uint64_t pos = out_pos(w);
    size_t from = w->out.len;
    bool good = raw.len <= SEGMENT_TABLE_BYTES_MAX
                    ? zbuf_compress(w->z, w->level, raw, &w->out, err)
                    : err_set(err, ERR_LIMIT, "%s: table of %zu bytes", w->tmp_path, raw.len);
    return good && note_section(w, kind, ENCODING_ZSTD, pos, from, raw.len, err);
}

// Pages are compressed already, and filters as good as random: they are stored as they are.
static bool put_as_is(struct seg_writer *w, enum seg_section kind, const struct buf *bytes, struct err *err)
{
    uint64_t pos = out_pos(w);
    size_t from = w->out.len;
    if (bytes->bad || bytes->len > SEGMENT_TABLE_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "%s: section %u of %zu bytes", w->tmp_path, (unsigned)kind, bytes->len);
    buf_put_slice(&w->out, buf_slice(bytes));
    return note_section(w, kind, ENCODING_RAW, pos, from, bytes->len, err);
}

// --- spans ------------------------------------------------------------------------------------------

static void hash_spans(struct seg_writer *w, size_t from)
{
    hash_stream_add(w->blocks_hash, slice_of(w->out.ptr + from, w->out.len - from));
}

bool seg_writer_span(struct seg_writer *w, struct slice tenant, const struct span *span, struct err *err)
{
    if (w->spans_pos == 0) {
        if (!end_blocks(w, err))
            return false;
        w->spans_pos = out_pos(w);
        hash_stream_reset(w->blocks_hash);
    }
    size_t from = w->out.len;
    if (!seg_spans_add(w->spans, tenant, span, &w->out, out_pos(w), err))
        return err_wrap(err, "%s", w->tmp_path);
    hash_spans(w, from);
    return w->out.len < WRITE_BYTES || write_out(w, err);
}

// Span blocks and the references of traces, and in *table_out what is said of them; nothing where there are none.
static bool put_spans(struct seg_writer *w, struct buf *table_out, struct err *err)
{
    if (!seg_spans_any(w->spans))
        return true;
    size_t from = w->out.len;
    uint64_t pos = w->spans_pos != 0 ? w->spans_pos : out_pos(w);
    if (w->spans_pos == 0)
        hash_stream_reset(w->blocks_hash);
    if (!seg_spans_end(w->spans, &w->out, out_pos(w), err))
        return err_wrap(err, "%s", w->tmp_path);
    hash_spans(w, from);
    uint64_t bytes = out_pos(w) - pos;
    w->footer.sections[w->footer.sections_count++] = (struct seg_section_place){
        .kind = SECTION_SPANS,
        .encoding = ENCODING_RAW,
        .pos = pos,
        .stored_bytes = bytes,
        .raw_bytes = bytes,
        .check = hash_stream_value(w->blocks_hash),
    };
    if (!write_out(w, err))
        return false;
    pos = out_pos(w);
    seg_spans_put(w->spans, table_out, &w->out);
    if (table_out->bad || w->out.bad)
        return err_set(err, ERR_LIMIT, "%s: no memory for the span table", w->tmp_path);
    seg_spans_totals(w->spans, &w->footer.totals);
    struct seg_directory *d = &w->directory;
    return note_section(w, SECTION_TRACES, ENCODING_RAW, pos, 0, w->out.len, err) &&
           seg_spans_traces(w->spans, &d->arena, &d->traces, &d->traces_count, err);
}

// --- finishing --------------------------------------------------------------------------------------

// What is read whenever a segment is opened comes last, next to the footer.
static bool put_tables(struct seg_writer *w, struct err *err)
{
    AUTO(buf_done) struct buf streams, spans, groups;
    buf_init(&streams, 0);
    buf_init(&spans, 0);
    buf_init(&groups, 0);
    if (!put_spans(w, &spans, err) || !write_out(w, err) || !put_as_is(w, SECTION_BLOCK_TABLE, &w->pages, err) ||
        !put_as_is(w, SECTION_FILTERS, &w->filters, err))
        return false;
    seg_put_directory(&streams, &w->directory);
    put_varint(&groups, w->groups_count);
    buf_put_slice(&groups, buf_slice(&w->groups));
    if (streams.bad || groups.bad || w->groups.bad)
        return err_set(err, ERR_LIMIT, "%s: no memory for its tables", w->tmp_path);
    return put_section(w, SECTION_STREAMS, buf_slice(&streams), err) &&
           (spans.len == 0 || put_section(w, SECTION_SPAN_TABLE, buf_slice(&spans), err)) &&
           put_section(w, SECTION_GROUPS, buf_slice(&groups), err);
}

// The header was written before it was known what a reader must know.
static bool put_features(struct seg_writer *w, struct err *err)
{
    if (w->footer.features_incompatible == SEG_FEATURE_GROUPS)
        return true;
    AUTO(buf_done) struct buf header;
    buf_init(&header, 0);
    seg_put_header(&header, &w->footer);
    return fs_write_at(w->fd, w->tmp_path, 0, buf_slice(&header), err);
}

bool seg_writer_finish(struct seg_writer *w, struct index_segment *totals_out,
                       struct seg_directory **directory_out, struct err *err)
{
    if (!end_blocks(w, err) || !arena_ok(&w->directory.arena, "segment directory", err) ||
        !put_tables(w, err))
        return false;
    struct index_segment *t = &w->footer.totals;
    assert(t->entries + t->spans > 0);
    t->blocks = w->blocks_count;
    t->streams = w->directory.streams_count;
    seg_put_footer(&w->out, out_pos(w), &w->footer);
    if (!write_out(w, err) || !put_features(w, err) || !fs_sync(w->fd, w->tmp_path, err))
        return false;
    t->file_bytes = w->pos;
    if (!fs_rename(w->tmp_path, w->path, err))
        return false;
    w->renamed = true;
    if (!fs_sync_dir(w->dir, err))
        return false;
    *totals_out = *t;
    *directory_out = &w->directory;
    return true;
}
