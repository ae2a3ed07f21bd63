/*
 * seg_format.c -- the bytes of a segment's header, tables and footer.
 *
 *     header    u32 "MSEG"  u16 version  u16 n inputs  u64 features incompatible  u64 compatible
 *               u64 generation  i64 created ns  n * u64 input generation  u64 XXH3-64 of all before
 *     blocks    columns back to back, group by group
 *     tables    zstd frames
 *     footer    varints: totals, section table
 *     trailer   u64 footer pos  u64 XXH3-64 of the footer  u32 version  u32 "SEND"
 *
 * What a writer asserts, the reader checks: the disk is input. Unknown incompatible features refuse the
 * file; unknown compatible ones and unknown sections are skipped.
 */
#include "store/segment/seg_format.h"

#include "base/codec.h"
#include "base/hash.h"
#include "base/labels.h"
#include "base/limits.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

// Of a block in its page; of a group, at least.
enum { PLACE_STORED_BYTES_MAX = VARINT_BYTES_MAX + 16 + COLUMNS_COUNT * (9 + 2 * VARINT_BYTES_MAX), GROUP_STORED_BYTES_MIN = 12 };

// --- header -----------------------------------------------------------------------------------------

void seg_put_header(struct buf *b, const struct seg_footer *f)
{
    assert(b->len == 0);
    put_u32(b, SEG_MAGIC);
    put_u16(b, SEG_VERSION);
    put_u16(b, (uint16_t)f->inputs_count);
    put_u64(b, f->features_incompatible);
    put_u64(b, f->features_compatible);
    put_u64(b, f->gen);
    put_i64(b, f->created_ns);
    assert(b->len == SEG_HEADER_FIXED_BYTES);
    for (uint32_t i = 0; i < f->inputs_count; i++)
        put_u64(b, f->inputs[i]);
    put_u64(b, hash64(buf_slice(b)));
}

bool seg_get_header(struct slice bytes, struct seg_footer *f, size_t *header_bytes_out,
                    struct err *err)
{
    struct rd r = rd_of(bytes);
    uint32_t magic = rd_u32(&r);
    uint16_t version = rd_u16(&r);
    f->inputs_count = rd_u16(&r);
    f->features_incompatible = rd_u64(&r);
    f->features_compatible = rd_u64(&r);
    f->gen = rd_u64(&r);
    f->created_ns = rd_i64(&r);
    if (r.bad || magic != SEG_MAGIC)
        return err_set(err, ERR_CORRUPT, "not a segment");
    if (version != SEG_VERSION)
        return err_set(err, ERR_CORRUPT, "segment version %u, this program reads %d", version,
                       SEG_VERSION);
    if (f->inputs_count > COUNT_OF(f->inputs))
        return err_set(err, ERR_CORRUPT, "header names %u inputs", f->inputs_count);
    for (uint32_t i = 0; i < f->inputs_count; i++)
        f->inputs[i] = rd_u64(&r);
    struct slice checked = slice_of(bytes.ptr, (size_t)(r.pos - bytes.ptr));
    uint64_t check = rd_u64(&r);
    if (r.bad || check != hash64(checked))
        return err_set(err, ERR_CORRUPT, "header: checksum does not match");
    if ((f->features_incompatible & ~SEG_FEATURES_KNOWN) != 0)
        return err_set(err, ERR_CORRUPT, "needs features 0x%" PRIx64 " that this program lacks",
                       f->features_incompatible & ~SEG_FEATURES_KNOWN);
    *header_bytes_out = checked.len + 8;
    return true;
}

// --- footer -----------------------------------------------------------------------------------------

void seg_put_footer(struct buf *b, uint64_t pos, struct seg_footer *f)
{
    size_t from = b->len;
    const struct index_segment *t = &f->totals;
    put_u64(b, f->gen);
    put_i64(b, t->min_ns);
    put_i64(b, t->max_ns);
    put_varint(b, t->entries);
    put_varint(b, t->line_bytes);
    put_varint(b, t->blocks);
    put_varint(b, t->streams);
    put_varint(b, f->sections_count);
    for (uint32_t i = 0; i < f->sections_count; i++) {
        const struct seg_section_place *s = &f->sections[i];
        put_varint(b, s->kind);
        put_u8(b, s->encoding);
        put_varint(b, s->pos);
        put_varint(b, s->stored_bytes);
        put_varint(b, s->raw_bytes);
        put_u64(b, s->check);
    }
    uint64_t check = hash64(slice_of(b->ptr + from, b->len - from));
    put_u64(b, pos);
    put_u64(b, check);
    put_u32(b, SEG_VERSION);
    put_u32(b, SEG_END_MAGIC);
    f->totals.file_bytes = pos + (b->len - from);
}

bool seg_get_trailer(struct slice trailer, uint64_t file_bytes, uint64_t *footer_pos_out,
                     uint64_t *footer_check_out, struct err *err)
{
    struct rd r = rd_of(trailer);
    uint64_t pos = rd_u64(&r);
    uint64_t check = rd_u64(&r);
    uint32_t version = rd_u32(&r);
    uint32_t magic = rd_u32(&r);
    if (r.bad || magic != SEG_END_MAGIC || version != SEG_VERSION ||
        pos > file_bytes - SEG_TRAILER_BYTES || file_bytes - pos > 64 * KIB)
        return err_set(err, ERR_CORRUPT, "no footer at the end of %" PRIu64 " bytes", file_bytes);
    *footer_pos_out = pos;
    *footer_check_out = check;
    return true;
}

bool seg_get_footer(struct slice bytes, struct seg_footer *f, struct err *err)
{
    struct rd r = rd_of(bytes);
    struct index_segment *t = &f->totals;
    t->gen = rd_u64(&r);
    t->min_ns = rd_i64(&r);
    t->max_ns = rd_i64(&r);
    t->entries = rd_varint(&r);
    t->line_bytes = rd_varint(&r);
    t->blocks = rd_varint_max(&r, UINT32_MAX);
    t->streams = rd_varint(&r);
    f->sections_count = (uint32_t)rd_varint_max(&r, SEG_SECTIONS_MAX);
    for (uint32_t i = 0; i < f->sections_count; i++) {
        struct seg_section_place *s = &f->sections[i];
        s->kind = (uint32_t)rd_varint_max(&r, UINT32_MAX);
        s->encoding = rd_u8(&r);
        s->pos = rd_varint(&r);
        s->stored_bytes = rd_varint(&r);
        s->raw_bytes = rd_varint(&r);
        s->check = rd_u64(&r);
    }
    bool spans = false; // a segment of spans alone has an empty range of entries
    for (uint32_t i = 0; i < f->sections_count; i++)
        spans = spans || f->sections[i].kind == SECTION_SPAN_TABLE;
    if (r.bad || rd_left(&r) != 0 || t->gen != f->gen || (t->entries == 0) != (t->min_ns > t->max_ns) ||
        (t->entries == 0 && !spans))
        return err_set(err, ERR_CORRUPT, "footer: contents do not add up");
    return true;
}

// --- block table ------------------------------------------------------------------------------------

void seg_put_group(struct buf *b, const struct seg_group *g)
{
    put_varint(b, g->blocks_count);
    put_varint(b, g->bytes);
    put_varint(b, g->page_bytes);
    put_varint(b, g->page_raw_bytes);
    put_u64(b, g->page_check);
}

bool seg_get_groups(struct slice bytes, const struct seg_footer *f, const struct seg_section_place *blocks,
                    const struct seg_section_place *pages, struct seg_group **groups_out, uint32_t *count_out, struct err *err)
{
    struct rd r = rd_of(bytes);
    uint32_t count = (uint32_t)rd_varint_max(&r, bytes.len / GROUP_STORED_BYTES_MIN);
    struct seg_group *groups = calloc((size_t)count + 1, sizeof *groups);
    assert(groups != NULL);
    uint64_t block = 0, pos = blocks->pos, end = pos + blocks->stored_bytes, page_pos = pages->pos, pages_end = page_pos + pages->stored_bytes;
    for (uint32_t i = 0; i < count && !r.bad; i++) {
        struct seg_group *g = &groups[i];
        g->first_block = (uint32_t)block;
        g->blocks_count = (uint32_t)rd_varint_max(&r, GROUP_BLOCKS_MAX < f->totals.blocks - block ? GROUP_BLOCKS_MAX : f->totals.blocks - block);
        g->pos = pos;
        g->bytes = rd_varint_max(&r, end - pos);
        g->page_pos = page_pos;
        g->page_bytes = (uint32_t)rd_varint_max(&r, pages_end - page_pos < UINT32_MAX ? pages_end - page_pos : UINT32_MAX);
        g->page_raw_bytes = (uint32_t)rd_varint_max(&r, (uint64_t)GROUP_BLOCKS_MAX * PLACE_STORED_BYTES_MAX);
        g->page_check = rd_u64(&r);
        block += g->blocks_count;
        pos += g->bytes;
        page_pos += g->page_bytes;
        r.bad = r.bad || g->blocks_count == 0;
    }
    if (r.bad || rd_left(&r) != 0 || block != f->totals.blocks || pos != end || page_pos != pages_end) {
        free(groups);
        return err_set(err, ERR_CORRUPT, "groups: %" PRIu64 " of %" PRIu64 " blocks", block, f->totals.blocks);
    }
    *groups_out = groups;
    *count_out = count;
    return true;
}

void seg_put_block_place(struct buf *b, const struct block_place *place)
{
    put_varint(b, place->entries_count);
    put_i64(b, place->min_ns);
    put_i64(b, place->max_ns);
    for (int c = 0; c < COLUMNS_COUNT; c++) {
        put_u8(b, place->columns[c].encoding);
        put_varint(b, place->columns[c].stored_bytes);
        put_varint(b, place->columns[c].raw_bytes);
        put_u64(b, place->columns[c].check);
    }
}

// All but positions. Returns the stored bytes of its columns.
static uint64_t get_place(struct rd *r, struct block_place *p)
{
    uint64_t bytes = 0;
    p->entries_count = (uint32_t)rd_varint_max(r, BLOCK_ENTRIES_MAX);
    p->min_ns = rd_i64(r);
    p->max_ns = rd_i64(r);
    for (int c = 0; c < COLUMNS_COUNT; c++) {
        struct column_place *column = &p->columns[c];
        column->encoding = rd_u8(r);
        column->stored_bytes = (uint32_t)rd_varint_max(r, BLOCK_RAW_BYTES_MAX);
        column->raw_bytes = (uint32_t)rd_varint_max(r, BLOCK_RAW_BYTES_MAX);
        column->check = rd_u64(r);
        bytes += column->stored_bytes;
    }
    r->bad = r->bad || p->entries_count == 0 || p->min_ns > p->max_ns;
    return bytes;
}

bool seg_get_page(struct slice bytes, const struct seg_group *g, struct block_place *places_out, struct err *err)
{
    static const enum block_column order[COLUMNS_COUNT] = {COLUMN_LINES, COLUMN_TIMES, COLUMN_LENGTHS, COLUMN_METADATA};
    struct rd r = rd_of(bytes);
    uint64_t stored = 0, pos = g->pos;
    for (uint32_t i = 0; i < g->blocks_count && !r.bad; i++)
        stored += get_place(&r, &places_out[i]);
    if (r.bad || rd_left(&r) != 0 || stored != g->bytes)
        return err_set(err, ERR_CORRUPT, "its blocks do not add up");
    for (int c = 0; c < COLUMNS_COUNT; c++)
        for (uint32_t i = 0; i < g->blocks_count; i++) {
            struct column_place *column = &places_out[i].columns[order[c]];
            column->pos = pos;
            pos += column->stored_bytes;
        }
    return true;
}

bool seg_get_block_table(struct slice bytes, uint64_t count, uint64_t from, uint64_t to,
                         struct block_place *places_out, struct err *err)
{
    struct rd r = rd_of(bytes);
    uint64_t pos = from;
    for (uint64_t i = 0; i < count; i++) {
        struct block_place *p = &places_out[i];
        bool follows = rd_varint(&r) == pos;
        if (get_place(&r, p) > to - pos || r.bad || !follows)
            return err_set(err, ERR_CORRUPT, "block table: block %" PRIu64 " does not add up", i);
        for (int c = 0; c < COLUMNS_COUNT; c++) {
            p->columns[c].pos = pos;
            pos += p->columns[c].stored_bytes;
        }
    }
    if (rd_left(&r) != 0 || pos != to)
        return err_set(err, ERR_CORRUPT, "block table: blocks end at %" PRIu64 " of %" PRIu64, pos, to);
    return true;
}

// --- stream table -----------------------------------------------------------------------------------

static void put_stream(struct buf *b, const struct index_stream *s)
{
    put_prefixed(b, s->labels);
    put_varint(b, s->days_count);
    uint32_t day = 0;
    for (uint32_t i = 0; i < s->days_count; i++) {
        put_varint(b, s->days[i] - day);
        day = s->days[i];
    }
    put_varint(b, s->runs_count);
    for (uint32_t i = 0; i < s->runs_count; i++) {
        const struct index_run *run = &s->runs[i];
        put_varint(b, run->block);
        put_varint(b, run->first);
        put_varint(b, run->entries_count);
        put_i64(b, run->min_ns);
        put_varint(b, (uint64_t)run->max_ns - (uint64_t)run->min_ns);
        put_varint(b, run->line_bytes);
    }
}

// Tenants in ascending order, each with its streams: name, count, streams.
void seg_put_directory(struct buf *b, const struct seg_directory *d)
{
    size_t tenants = 0;
    for (size_t i = 0; i < d->streams_count; i++)
        tenants += i == 0 || !slice_eq(d->streams[i].tenant, d->streams[i - 1].tenant);
    put_varint(b, tenants);
    for (size_t from = 0, to; from < d->streams_count; from = to) {
        for (to = from + 1; to < d->streams_count; to++)
            if (!slice_eq(d->streams[to].tenant, d->streams[from].tenant))
                break;
        put_prefixed(b, d->streams[from].tenant);
        put_varint(b, to - from);
        for (size_t i = from; i < to; i++)
            put_stream(b, &d->streams[i]);
    }
}

static bool run_fits(const struct index_run *run, const struct seg_footer *f,
                     const struct block_place *places)
{
    if (run->block >= f->totals.blocks || run->entries_count == 0 || run->min_ns > run->max_ns)
        return false;
    const struct block_place *p = &places[run->block];
    return run->first <= p->entries_count && run->entries_count <= p->entries_count - run->first &&
           run->min_ns >= p->min_ns && run->max_ns <= p->max_ns;
}

static bool get_stream(struct rd *r, const struct seg_footer *f, const struct block_place *places,
                       struct arena *a, struct index_stream *s)
{
    s->labels = rd_prefixed(r);
    s->fingerprint = hash_128(s->labels);
    s->days_count = (uint32_t)rd_varint_max(r, rd_left(r));
    uint32_t *days = arena_array(a, s->days_count + 1, sizeof *days);
    if (days == NULL || r->bad || !labels_valid(s->labels))
        return false;
    uint64_t day = 0;
    for (uint32_t i = 0; i < s->days_count; i++) {
        day += rd_varint_max(r, UINT32_MAX);
        days[i] = (uint32_t)day;
        if (day > UINT32_MAX || (i > 0 && days[i] <= days[i - 1]))
            return false;
    }
    s->days = days;
    s->runs_count = (uint32_t)rd_varint_max(r, rd_left(r));
    struct index_run *runs = arena_array(a, s->runs_count + 1, sizeof *runs);
    if (runs == NULL || r->bad || s->runs_count == 0)
        return false;
    for (uint32_t i = 0; i < s->runs_count; i++) {
        struct index_run *run = &runs[i];
        run->block = (uint32_t)rd_varint_max(r, UINT32_MAX);
        run->first = (uint32_t)rd_varint_max(r, UINT32_MAX);
        run->entries_count = (uint32_t)rd_varint_max(r, UINT32_MAX);
        run->min_ns = rd_i64(r);
        uint64_t span = rd_varint(r);
        run->max_ns = (int64_t)((uint64_t)run->min_ns + span);
        run->line_bytes = rd_varint(r);
        if (r->bad || !run_fits(run, f, places))
            return false;
    }
    s->runs = runs;
    return true;
}

bool seg_get_directory(struct slice bytes, const struct seg_footer *f,
                       const struct block_place *places, struct seg_directory *d, struct err *err)
{
    struct rd r = rd_of(bytes);
    if (f->totals.streams > bytes.len)
        return err_set(err, ERR_CORRUPT, "stream table: %" PRIu64 " streams in %zu bytes",
                       f->totals.streams, bytes.len);
    d->streams = arena_array(&d->arena, f->totals.streams + 1, sizeof *d->streams);
    if (d->streams == NULL)
        return arena_ok(&d->arena, "stream table", err);
    uint64_t tenants = rd_varint_max(&r, bytes.len);
    for (uint64_t t = 0; t < tenants && !r.bad; t++) {
        struct slice tenant = rd_prefixed(&r);
        uint64_t count = rd_varint_max(&r, f->totals.streams - d->streams_count);
        for (uint64_t i = 0; i < count && !r.bad; i++) {
            struct index_stream *s = &d->streams[d->streams_count];
            *s = (struct index_stream){.tenant = tenant};
            if (!get_stream(&r, f, places, &d->arena, s))
                return err_set(err, ERR_CORRUPT, "stream table: stream %zu does not add up",
                               d->streams_count);
            d->streams_count++;
        }
    }
    if (r.bad || rd_left(&r) != 0 || d->streams_count != f->totals.streams)
        return err_set(err, ERR_CORRUPT, "stream table: %zu of %" PRIu64 " streams",
                       d->streams_count, f->totals.streams);
    return true;
}
