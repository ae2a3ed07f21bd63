/* test_groups.c -- groups of blocks: where their columns lie, what of the block table is read, what damage takes. */
#include "tap.h"

#include "base/labels.h"
#include "base/limits.h"
#include "store/segment/block_table.h"
#include "store/segment/seg_format.h"

#include <stdio.h>
#include <stdlib.h>

enum { ALL_COLUMNS = (1u << COLUMNS_COUNT) - 1, STREAMS = 3 };

static char path[4096];
static struct err err;

static uint64_t state = 88172645463325252;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

// One line of a block each, and metadata of so many random bytes.
static void write_segment(uint32_t blocks, size_t metadata_bytes)
{
    struct seg_writer_options options = {.dir = tap_dir(), .path = path, .gen = 1, .level = 1, .block_bytes = 64};
    struct seg_writer *w;
    struct index_segment totals;
    struct seg_directory *d;
    struct arena a;
    char line[100], value[BLOCK_RAW_BYTES_MAX / 16];
    arena_init(&a, 64 * MIB);
    must(seg_writer_open(&options, &w, &err), &err);
    for (uint32_t i = 0; i < blocks; i++) {
        if (i == 0 || (i < STREAMS && blocks > STREAMS)) {
            struct label label = {SLICE("n"), slice_of(&"abc"[i], 1)};
            struct slice labels = labels_encoded(&(struct labels){&label, 1}, &a);
            must(seg_writer_stream(w, SLICE("t"), labels, hash_128(labels), &err), &err);
        }
        int len = snprintf(line, sizeof line, "line %06u of some length that fills a block, for it has over sixty bytes", i);
        for (size_t n = 0; n < metadata_bytes; n++)
            value[n] = (char)('!' + next() % 90);
        struct label label = {SLICE("m"), slice_of(value, metadata_bytes)};
        struct arena_mark mark = arena_mark(&a);
        struct slice metadata = metadata_bytes > 0 ? labels_encoded(&(struct labels){&label, 1}, &a) : SLICE("\0");
        must(seg_writer_entry(w, (int64_t)i * 1000, slice_of(line, (size_t)len), metadata, &err), &err);
        if (metadata_bytes > 0)
            arena_rewind(&a, mark);
    }
    must(seg_writer_finish(w, &totals, &d, &err), &err);
    seg_writer_free(w);
    arena_done(&a);
}

struct opened {
    struct seg_source source;
    struct seg_footer footer;
    struct block_table *table;
};

// What seg_load() does, with the parts in hand.
static void open_parts(struct opened *o)
{
    struct seg *seg = seg_new(path, 1);
    *o = (struct opened){0};
    must(seg_load(seg, &err), &err);
    o->footer = *seg_footer(seg);
    seg_unref(seg);
    must(seg_source_open_file(path, &o->source, &err), &err);
    must(block_table_open(&o->source, &o->footer, &o->table, &err), &err);
}

static void close_parts(struct opened *o)
{
    block_table_free(o->table);
    seg_source_close(&o->source);
}

static uint32_t count_known(const struct opened *o)
{
    uint32_t known = 0;
    for (uint32_t i = 0; i < o->footer.totals.blocks; i++)
        known += block_table_has(o->table, i);
    return known;
}

// Blocks of the group that a block is in.
static uint32_t group_size(struct opened *o, uint32_t block)
{
    struct seg_source *s = &o->source;
    struct opened alone = *o;
    const struct block_place *place;
    must(block_table_open(s, &o->footer, &alone.table, &err), &err);
    must(block_table_get(alone.table, s, block, &place, &err), &err);
    uint32_t known = count_known(&alone);
    block_table_free(alone.table);
    return known;
}

static void test_ends(void)
{
    struct opened o;
    write_segment(GROUP_BLOCKS, 0);
    open_parts(&o);
    is_int(group_size(&o, 0), GROUP_BLOCKS, "as many blocks as a group has are one group");
    close_parts(&o);
    write_segment(GROUP_BLOCKS + 1, 0);
    open_parts(&o);
    is_int(group_size(&o, 0), GROUP_BLOCKS, "one more begins another,");
    is_int(group_size(&o, GROUP_BLOCKS), 1, "alone");
    close_parts(&o);
    // Random text of 90 characters stays above 0.8 of its size; a block has one such value.
    write_segment(12, GROUP_BYTES / 6);
    open_parts(&o);
    uint32_t first = group_size(&o, 0);
    ok(first >= 6 && first < 9, "so does the block after GROUP_BYTES of small columns (%u blocks)", first);
    close_parts(&o);
}

static void test_places(void)
{
    enum { BLOCKS = GROUP_BLOCKS * 2 + 7 };
    static const enum block_column order[] = {COLUMN_LINES, COLUMN_TIMES, COLUMN_LENGTHS, COLUMN_METADATA};
    struct opened o;
    write_segment(BLOCKS, 20);
    open_parts(&o);
    must(block_table_get_all(o.table, &o.source, &err), &err);
    const struct block_place *places = block_table_places(o.table);
    uint64_t pos = SEG_HEADER_FIXED_BYTES + 8;
    unsigned gaps = 0;
    for (uint32_t from = 0; from < BLOCKS; from += GROUP_BLOCKS)
        for (size_t c = 0; c < COUNT_OF(order); c++)
            for (uint32_t i = from; i < from + GROUP_BLOCKS && i < BLOCKS; i++) {
                gaps += places[i].columns[order[c]].pos != pos;
                pos += places[i].columns[order[c]].stored_bytes;
            }
    is_int(gaps, 0, "columns of a kind lie side by side in their group");
    uint64_t from, to;
    block_table_neighbours(o.table, GROUP_BLOCKS + 3, COLUMN_TIMES, &from, &to);
    ok(from == places[GROUP_BLOCKS].columns[COLUMN_TIMES].pos && to == places[GROUP_BLOCKS].columns[COLUMN_LENGTHS].pos,
       "which tells where a block's neighbours have theirs");
    block_table_neighbours(o.table, 5, COLUMN_LINES, &from, &to);
    ok(from == places[5].columns[COLUMN_LINES].pos && to == places[6].columns[COLUMN_LINES].pos, "but for lines, which are no small column");
    close_parts(&o);

    struct seg *seg = seg_new(path, 1);
    struct seg_reader reader;
    struct block block = {0};
    seg_reader_init(&reader);
    unsigned wrong = 0;
    for (uint32_t n = 0; n < BLOCKS; n++) {
        uint32_t i = n * 101 % BLOCKS;
        char want[30];
        must(seg_read_block(seg, i, i % 2 == 0 ? ALL_COLUMNS : 1u << COLUMN_TIMES | 1u << COLUMN_METADATA, true, &reader, &block, &err), &err);
        (void)snprintf(want, sizeof want, "line %06u", i);
        wrong += block.entries_count != 1 || block.times_ns[0] != (int64_t)i * 1000 || block.metadata[0].len < 20;
        wrong += i % 2 == 0 && memcmp(block.lines[0], want, strlen(want)) != 0;
    }
    is_int(wrong, 0, "every block is read as it was written, in any order");
    ok(!seg_read_block(seg, BLOCKS, ALL_COLUMNS, true, &reader, &block, &err) && err.code == ERR_CORRUPT, "one more is refused: %s", err.text);
    block_done(&block);
    seg_reader_done(&reader);
    seg_unref(seg);
}

static void test_pages(void)
{
    enum { GROUPS = 20, BLOCKS = GROUPS * GROUP_BLOCKS };
    struct opened o;
    const struct block_place *place;
    write_segment(BLOCKS, 0);
    open_parts(&o);
    is_int(count_known(&o), 0, "an open table has read no page");
    must(block_table_get(o.table, &o.source, 7 * GROUP_BLOCKS + 5, &place, &err), &err);
    is_int(count_known(&o), GROUP_BLOCKS, "the first block that is asked for costs one");
    must(block_table_get(o.table, &o.source, 7 * GROUP_BLOCKS + 6, &place, &err), &err);
    is_int(count_known(&o), GROUP_BLOCKS, "its neighbour none");
    must(block_table_get(o.table, &o.source, 8 * GROUP_BLOCKS, &place, &err), &err);
    ok(count_known(&o) == 3 * GROUP_BLOCKS && block_table_has(o.table, 9 * GROUP_BLOCKS), "the next page comes with one that follows,");
    must(block_table_get(o.table, &o.source, 10 * GROUP_BLOCKS, &place, &err), &err);
    is_int(count_known(&o), 7 * GROUP_BLOCKS, "the one after these with three");
    must(block_table_get(o.table, &o.source, 6 * GROUP_BLOCKS, &place, &err), &err);
    ok(count_known(&o) == 14 * GROUP_BLOCKS && block_table_has(o.table, 0), "and who goes back gets those before it");
    close_parts(&o);
}

static void flip(uint64_t pos)
{
    FILE *f = fopen(path, "r+b");
    must(f != NULL && fseek(f, (long)pos, SEEK_SET) == 0, &err);
    int byte = fgetc(f);
    (void)fseek(f, (long)pos, SEEK_SET);
    (void)fputc(byte ^ 0x10, f);
    (void)fclose(f);
}

static void test_damage(void)
{
    enum { BLOCKS = GROUP_BLOCKS * 3 };
    struct opened o;
    write_segment(BLOCKS, 0);
    open_parts(&o);
    uint64_t pages = 0, pages_bytes = 0, groups = 0;
    for (uint32_t i = 0; i < o.footer.sections_count; i++) {
        const struct seg_section_place *s = &o.footer.sections[i];
        pages = s->kind == SECTION_BLOCK_TABLE ? s->pos : pages;
        pages_bytes = s->kind == SECTION_BLOCK_TABLE ? s->stored_bytes : pages_bytes;
        groups = s->kind == SECTION_GROUPS ? s->pos : groups;
    }
    close_parts(&o);
    flip(pages + pages_bytes / 2);
    struct seg *seg = seg_new(path, 1);
    ok(seg_find_block(seg, 0, &err) && seg_find_block(seg, BLOCKS - 1, &err), "a page that is damaged takes no others with it");
    ok(!seg_find_block(seg, GROUP_BLOCKS, &err) && err.code == ERR_CORRUPT && strstr(err.text, "page 1") != NULL && strstr(err.text, path) != NULL,
       "its own blocks are refused: %s", err.text);
    struct seg_directory d = {0};
    ok(!seg_read_directory(seg, &d, &err) && err.code == ERR_CORRUPT, "and so is who needs all of them");
    seg_unref(seg);
    flip(pages + pages_bytes / 2);
    flip(groups + 9);
    seg = seg_new(path, 1);
    ok(!seg_load(seg, &err) && err.code == ERR_CORRUPT, "without its groups a segment is not opened: %s", err.text);
    seg_unref(seg);
}

// Groups that do not add up, with sections of 100 bytes from 48 and of 50 behind them.
static void test_refused(void)
{
    static const struct {
        const char *what;
        uint32_t blocks, bytes, pages;
        bool good;
    } cases[] = {
        {"what adds up", 5, 100, 50, true},          {"a block too few", 4, 100, 50, false}, {"a block too many", 6, 100, 50, false},
        {"a byte too few", 5, 99, 50, false},        {"a byte too many", 5, 101, 50, false}, {"a page too short", 5, 100, 49, false},
        {"a page that is too long", 5, 100, 51, false}, {"no blocks", 0, 100, 50, false},
    };
    struct seg_section_place blocks = {.pos = 48, .stored_bytes = 100}, pages = {.pos = 148, .stored_bytes = 50};
    struct seg_footer footer = {.totals = {.blocks = 7}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct seg_group *groups = NULL;
        uint32_t count = 0;
        AUTO(buf_done) struct buf b;
        buf_init(&b, 0);
        buf_put_byte(&b, 2);
        seg_put_group(&b, &(struct seg_group){.blocks_count = 2, .page_raw_bytes = 9});
        seg_put_group(&b, &(struct seg_group){.blocks_count = cases[i].blocks, .bytes = cases[i].bytes, .page_bytes = cases[i].pages});
        bool good = seg_get_groups(buf_slice(&b), &footer, &blocks, &pages, &groups, &count, &err);
        ok(good == cases[i].good, "%s: %s", cases[i].what, good ? "taken" : err.text);
        if (good)
            ok(count == 2 && groups[1].first_block == 2 && groups[1].pos == 48 && groups[1].page_pos == 148, "and is where it should be");
        free(groups);
        for (size_t len = 0; len < b.len && good; len++)
            good = !seg_get_groups(slice_of(b.ptr, len), &footer, &blocks, &pages, &groups, &count, &err);
        ok(good == cases[i].good, "cut short anywhere it is refused");
    }
}

int main(void)
{
    (void)snprintf(path, sizeof path, "%s/0000000000000001.seg", tap_dir());
    test_ends();
    test_places();
    test_pages();
    test_damage();
    test_refused();
    return tap_done();
}
