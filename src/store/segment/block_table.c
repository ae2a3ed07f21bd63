/* block_table.c -- see block_table.h. */
#include "store/segment/block_table.h"

#include "base/limits.h"
#include "store/segment/seg_format.h"
#include "store/segment/seg_section.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct block_table {
    struct block_place *places; // owned; those of a group are set before its bit in `has`, and not changed then
    struct seg_group *groups;   // owned; none: all places were read when it was opened
    uint32_t groups_count;
    atomic_bool *has; // owned; by group
    pthread_mutex_t lock;
    uint32_t has_count; // lock
};

// --- opening ----------------------------------------------------------------------------------------

static bool open_whole(const struct seg_source *source, const struct seg_footer *f, struct block_table *t, struct err *err)
{
    const struct seg_section_place *blocks = seg_section_find(f, SECTION_BLOCKS);
    AUTO(arena_done) struct arena a;
    arena_init(&a, 2 * SEGMENT_TABLE_BYTES_MAX + MIB);
    struct slice raw;
    if (!seg_section_read(source, f, SECTION_BLOCK_TABLE, &a, &raw, err))
        return false;
    // Each place takes more than 32 bytes, so the count is bounded by what was read.
    if (f->totals.blocks > raw.len / 32)
        return err_set(err, ERR_CORRUPT, "block table: %" PRIu64 " blocks in %zu bytes", f->totals.blocks, raw.len);
    t->places = calloc(f->totals.blocks + 1, sizeof *t->places);
    assert(t->places != NULL);
    return seg_get_block_table(raw, f->totals.blocks, blocks->pos, blocks->pos + blocks->stored_bytes, t->places, err);
}

static bool open_groups(const struct seg_source *source, const struct seg_footer *f, struct block_table *t, struct err *err)
{
    const struct seg_section_place *pages = seg_section_find(f, SECTION_BLOCK_TABLE);
    AUTO(arena_done) struct arena a;
    arena_init(&a, 2 * SEGMENT_TABLE_BYTES_MAX + MIB);
    struct slice raw;
    if (!seg_section_fits(f, pages) || pages->encoding != ENCODING_RAW)
        return err_set(err, ERR_CORRUPT, "footer: section %u is missing or out of bounds", SECTION_BLOCK_TABLE);
    if (!seg_section_read(source, f, SECTION_GROUPS, &a, &raw, err) ||
        !seg_get_groups(raw, f, seg_section_find(f, SECTION_BLOCKS), pages, &t->groups, &t->groups_count, err))
        return false;
    t->places = calloc(f->totals.blocks + 1, sizeof *t->places);
    t->has = calloc(t->groups_count + 1, sizeof *t->has);
    assert(t->places != NULL && t->has != NULL);
    return true;
}

bool block_table_open(const struct seg_source *source, const struct seg_footer *f, struct block_table **table_out, struct err *err)
{
    if (!seg_section_fits(f, seg_section_find(f, SECTION_BLOCKS)))
        return err_set(err, ERR_CORRUPT, "footer: blocks are missing or out of bounds");
    struct block_table *t = calloc(1, sizeof *t);
    assert(t != NULL);
    pthread_mutex_init(&t->lock, NULL);
    bool groups = (f->features_incompatible & SEG_FEATURE_GROUPS) != 0;
    if (!(groups ? open_groups(source, f, t, err) : open_whole(source, f, t, err))) {
        block_table_free(t);
        return false;
    }
    *table_out = t;
    return true;
}

void block_table_free(struct block_table *t)
{
    if (t == NULL)
        return;
    pthread_mutex_destroy(&t->lock);
    free(t->places);
    free(t->groups);
    free(t->has);
    free(t);
}

// --- pages ------------------------------------------------------------------------------------------

static uint32_t group_of(const struct block_table *t, uint32_t block)
{
    uint32_t low = 0, high = t->groups_count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (t->groups[middle].first_block <= block)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static bool has_group(const struct block_table *t, uint32_t group)
{
    return atomic_load_explicit(&t->has[group], memory_order_acquire);
}

static bool take_page(struct block_table *t, uint32_t group, struct slice stored, struct buf *raw, struct err *err)
{
    const struct seg_group *g = &t->groups[group];
    buf_reset(raw);
    uint8_t *to = buf_reserve(raw, (size_t)g->page_raw_bytes + 1);
    if (to == NULL)
        return err_set(err, ERR_LIMIT, "block table: no memory");
    if (hash64(stored) != g->page_check)
        return err_set(err, ERR_CORRUPT, "block table: page %u: checksum does not match", group);
    if (!zbuf_decompress(zbuf_of_thread(), stored, to, g->page_raw_bytes, err) ||
        !seg_get_page(slice_of(to, g->page_raw_bytes), g, t->places + g->first_block, err))
        return err_wrap(err, "block table: page %u", group);
    t->has_count++;
    atomic_store_explicit(&t->has[group], true, memory_order_release);
    return true;
}

// With the lock held: reads the pages [from, to), of which `asked` has to be good.
static bool read_pages(struct block_table *t, const struct seg_source *source, uint32_t from, uint32_t to, uint32_t asked,
                       struct err *err)
{
    AUTO(buf_done) struct buf stored, raw;
    buf_init(&stored, 0);
    buf_init(&raw, 0);
    uint64_t pos = t->groups[from].page_pos, end = t->groups[to - 1].page_pos + t->groups[to - 1].page_bytes;
    uint8_t *bytes = buf_reserve(&stored, (size_t)(end - pos) + 1);
    if (bytes == NULL)
        return err_set(err, ERR_LIMIT, "block table: no memory for %" PRIu64 " bytes", end - pos);
    if (!seg_source_read(source, pos, bytes, (size_t)(end - pos), err))
        return false;
    bool good = true;
    for (uint32_t i = from; i < to; i++) {
        struct err ignored; // who asks for it is told
        struct slice page = slice_of(bytes + (t->groups[i].page_pos - pos), t->groups[i].page_bytes);
        if (!has_group(t, i) && !take_page(t, i, page, &raw, i == asked ? err : &ignored))
            good = good && i != asked;
    }
    return good;
}

// With the lock held: reads a page and some of those that come next, in the direction in which they are asked for.
static bool read_page(struct block_table *t, const struct seg_source *source, uint32_t group, uint32_t more, struct err *err)
{
    uint32_t from = group, to = group + 1;
    uint64_t bytes = t->groups[group].page_bytes;
    bool back = to < t->groups_count && has_group(t, to);
    while (to - from <= more && (back ? from > 0 : to < t->groups_count)) {
        uint32_t next = back ? from - 1 : to;
        bytes += t->groups[next].page_bytes;
        if (has_group(t, next) || bytes > BLOCK_TABLE_READ_BYTES_MAX)
            break;
        from -= back;
        to += !back;
    }
    return read_pages(t, source, from, to, group, err);
}

bool block_table_has(const struct block_table *t, uint32_t block)
{
    return t->groups_count == 0 || has_group(t, group_of(t, block));
}

bool block_table_get(struct block_table *t, const struct seg_source *source, uint32_t block, const struct block_place **place_out,
                     struct err *err)
{
    if (!block_table_has(t, block)) {
        uint32_t group = group_of(t, block);
        pthread_mutex_lock(&t->lock);
        bool good = has_group(t, group) || read_page(t, source, group, t->has_count, err); // G7
        pthread_mutex_unlock(&t->lock);
        if (!good)
            return false;
    }
    *place_out = &t->places[block];
    return true;
}

bool block_table_get_all(struct block_table *t, const struct seg_source *source, struct err *err)
{
    bool good = true;
    pthread_mutex_lock(&t->lock);
    for (uint32_t i = 0; i < t->groups_count && good; i++)
        good = has_group(t, i) || read_page(t, source, i, t->groups_count, err);
    pthread_mutex_unlock(&t->lock);
    return good;
}

void block_table_neighbours(const struct block_table *t, uint32_t block, enum block_column column, uint64_t *from_out, uint64_t *to_out)
{
    uint32_t first = block, last = block;
    if (t->groups_count > 0 && column != COLUMN_LINES) {
        const struct seg_group *g = &t->groups[group_of(t, block)];
        first = g->first_block;
        last = first + g->blocks_count - 1;
    }
    const struct column_place *end = &t->places[last].columns[column];
    *from_out = t->places[first].columns[column].pos;
    *to_out = end->pos + end->stored_bytes;
}

const struct block_place *block_table_places(const struct block_table *t)
{
    return t->places;
}
