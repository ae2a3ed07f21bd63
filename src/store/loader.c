/*
 * loader.c -- decodes the runs of a view: from segment blocks, or copied out of heads.
 *
 * Keeps the last LOADER_BLOCKS decoded blocks, so that small streams which share a block decode it once
 * and a second pass may add columns to what the first decoded.
 *
 * Threads: one per loader; several loaders may work on one view.
 */
#include "store/store.h"

#include "base/limits.h"
#include "base/metric.h"
#include "store/segment/seg_fetch.h"
#include "store/view.h"

#include <assert.h>
#include <stdlib.h>

enum { LOADER_BLOCKS = 8 };

struct cached_block {
    struct block block;
    uint32_t source;
    uint32_t number;
    uint64_t used; // turn of the last use; 0: empty
};

struct run_loader {
    struct manifest *manifest; // borrowed from the view
    struct seg_reader reader;
    struct cached_block blocks[LOADER_BLOCKS];
    uint64_t turn;
    // A head's run, in the form of a decoded one.
    struct head_entry *entries;
    int64_t *times_ns;
    uint32_t *line_bytes;
    const uint8_t **lines;
    struct slice *metadata;
    uint32_t room;
    const struct store_filter_ops *filter_ops; // of `space`
    void *space;                               // owned: for deletions that look at lines; NULL: none was met
    struct run_loader_stats stats;
};

struct run_loader *run_loader_new(struct view *view)
{
    struct run_loader *l = calloc(1, sizeof *l);
    assert(l != NULL);
    l->manifest = view_manifest(view);
    seg_reader_init(&l->reader);
    return l;
}

static void free_head_arrays(struct run_loader *l)
{
    free(l->entries);
    free(l->times_ns);
    free(l->line_bytes);
    free(l->lines);
    free(l->metadata);
}

void run_loader_free(struct run_loader *l)
{
    if (l == NULL)
        return;
    for (int i = 0; i < LOADER_BLOCKS; i++)
        block_done(&l->blocks[i].block);
    seg_reader_done(&l->reader);
    if (l->space != NULL)
        l->filter_ops->space_free(l->space);
    free_head_arrays(l);
    free(l);
}

void run_loader_stats(const struct run_loader *l, struct run_loader_stats *stats_out)
{
    *stats_out = l->stats;
    stats_out->compressed_bytes = l->reader.stored_bytes;
    stats_out->decoded_bytes = l->reader.raw_bytes;
}

// --- heads ------------------------------------------------------------------------------------------

static void head_room(struct run_loader *l, uint32_t count)
{
    if (count <= l->room)
        return;
    free_head_arrays(l);
    l->room = count + count / 4;
    l->entries = malloc(l->room * sizeof *l->entries);
    l->times_ns = malloc(l->room * sizeof *l->times_ns);
    l->line_bytes = malloc(l->room * sizeof *l->line_bytes);
    l->lines = malloc(l->room * sizeof *l->lines);
    l->metadata = malloc(l->room * sizeof *l->metadata);
    assert(l->entries != NULL && l->times_ns != NULL && l->line_bytes != NULL && l->lines != NULL &&
           l->metadata != NULL);
}

static void load_head(struct run_loader *l, struct head *head, const struct view_run *run,
                      unsigned columns, struct run_entries *out)
{
    head_room(l, run->entries_count);
    head_copy(head, run->block, run->entries_count, l->entries);
    for (uint32_t i = 0; i < run->entries_count; i++) {
        l->times_ns[i] = l->entries[i].time_ns;
        l->line_bytes[i] = l->entries[i].line_bytes;
        l->lines[i] = l->entries[i].line;
    }
    if (columns & VIEW_METADATA)
        head_metadata(head, l->entries, run->entries_count, l->metadata);
    if (columns & VIEW_LINES) {
        l->stats.head_lines += run->entries_count;
        l->stats.head_bytes += run->line_bytes;
    }
    *out = (struct run_entries){
        .count = run->entries_count,
        .min_ns = run->min_ns,
        .times_ns = columns & VIEW_TIMES ? l->times_ns : NULL,
        .line_bytes = columns & (VIEW_LENGTHS | VIEW_LINES) ? l->line_bytes : NULL,
        .lines = columns & VIEW_LINES ? l->lines : NULL,
        .metadata = columns & VIEW_METADATA ? l->metadata : NULL,
    };
}

// --- segments ---------------------------------------------------------------------------------------

// The block if it is cached, else the least recently used place.
static struct cached_block *find_block(struct run_loader *l, const struct view_run *run)
{
    struct cached_block *oldest = &l->blocks[0];
    for (int i = 0; i < LOADER_BLOCKS; i++) {
        struct cached_block *c = &l->blocks[i];
        if (c->used != 0 && c->source == run->source && c->number == run->block)
            return c;
        if (c->used < oldest->used)
            oldest = c;
    }
    oldest->used = 0;
    return oldest;
}

static unsigned block_columns(unsigned columns)
{
    unsigned mask = 0;
    if (columns & VIEW_TIMES)
        mask |= 1u << COLUMN_TIMES;
    if (columns & (VIEW_LENGTHS | VIEW_LINES))
        mask |= 1u << COLUMN_LENGTHS;
    if (columns & VIEW_LINES)
        mask |= 1u << COLUMN_LINES;
    if (columns & VIEW_METADATA)
        mask |= 1u << COLUMN_METADATA;
    return mask;
}

static bool load_block(struct run_loader *l, struct seg *seg, const struct view_run *run,
                       unsigned columns, struct run_entries *out, struct err *err)
{
    struct cached_block *c = find_block(l, run);
    bool fresh = c->used == 0;
    if (!seg_read_block(seg, run->block, block_columns(columns), fresh, &l->reader, &c->block, err)) {
        c->used = 0;
        return false;
    }
    if (fresh) {
        l->stats.blocks_decoded++;
        metric_add(COUNTER_BLOCKS_DECODED, 1);
    }
    *c = (struct cached_block){c->block, run->source, run->block, ++l->turn};
    const struct block *b = &c->block;
    if (run->first > b->entries_count || run->entries_count > b->entries_count - run->first)
        return err_set(err, ERR_CORRUPT, "%s: the index names entries %u.. of block %u, which has %u",
                       seg_path(seg), run->first, run->block, b->entries_count);
    *out = (struct run_entries){
        .count = run->entries_count,
        .min_ns = run->min_ns,
        .times_ns = columns & VIEW_TIMES ? b->times_ns + run->first : NULL,
        .line_bytes = columns & (VIEW_LENGTHS | VIEW_LINES) ? b->line_bytes + run->first : NULL,
        .lines = columns & VIEW_LINES ? b->lines + run->first : NULL,
        .lines_base = columns & VIEW_LINES && run->entries_count > 0 ? b->lines[run->first] : NULL,
        .metadata = columns & VIEW_METADATA ? b->metadata + run->first : NULL,
    };
    return true;
}

static bool load(struct run_loader *l, const struct view_run *run, unsigned columns, struct run_entries *out,
                 struct err *err)
{
    struct manifest *m = l->manifest;
    if (run->source < m->segments_count)
        return load_block(l, m->segments[run->source].seg, run, columns, out, err);
    assert(run->source - m->segments_count < m->heads_count);
    load_head(l, m->heads[run->source - m->segments_count], run, columns, out);
    return true;
}

// --- masks ------------------------------------------------------------------------------------------

// Takes the first `n` entries off.
static void skip(struct run_entries *e, uint32_t n)
{
    e->count -= n;
    if (e->times_ns != NULL)
        e->times_ns += n;
    if (e->line_bytes != NULL)
        e->line_bytes += n;
    if (e->lines != NULL)
        e->lines += n;
    if (e->lines_base != NULL)
        e->lines_base = e->count > 0 ? e->lines[0] : NULL;
    if (e->metadata != NULL)
        e->metadata += n;
}

static bool is_hidden(struct run_loader *l, const struct view_run *run, struct store_arrival *entry,
                      const struct run_entries *e, uint32_t n)
{
    const struct run_mask *mask = run->mask;
    entry->time_ns = e->times_ns[n];
    if (mask->by_line)
        entry->line = slice_of(e->lines[n], e->line_bytes[n]);
    if (mask->by_line || mask->by_trace)
        entry->metadata = e->metadata[n];
    for (size_t i = 0; i < mask->deletions_count; i++)
        if (deletion_selects(mask->deletions[i], entry, run->order >> 24, l->space))
            return true;
    return false;
}

// Takes out single entries: what is left moves to arrays of the loader's own.
static void leave_out(struct run_loader *l, const struct view_run *run, struct run_entries *e)
{
    struct store_arrival entry = {.labels = run->mask->labels};
    uint32_t kept = 0, first = 0;
    if (run->mask->by_line && l->space == NULL) {
        l->filter_ops = run->mask->deletions[0]->ops;
        l->space = l->filter_ops->space_new();
    }
    while (first < e->count && !is_hidden(l, run, &entry, e, first))
        first++;
    if (first == e->count)
        return;
    struct run_entries from = *e;
    // A head's run is in these arrays already, and is only moved down.
    head_room(l, e->count);
    for (uint32_t i = 0; i < from.count; i++) {
        if (i >= first && is_hidden(l, run, &entry, &from, i))
            continue;
        l->times_ns[kept] = from.times_ns[i];
        if (from.line_bytes != NULL)
            l->line_bytes[kept] = from.line_bytes[i];
        if (from.lines != NULL)
            l->lines[kept] = from.lines[i];
        if (from.metadata != NULL)
            l->metadata[kept] = from.metadata[i];
        kept++;
    }
    *e = (struct run_entries){.count = kept,
                              .min_ns = from.min_ns,
                              .times_ns = l->times_ns,
                              .line_bytes = from.line_bytes != NULL ? l->line_bytes : NULL,
                              .lines = from.lines != NULL ? l->lines : NULL,
                              .metadata = from.metadata != NULL ? l->metadata : NULL};
}

static void apply_mask(struct run_loader *l, const struct view_run *run, struct run_entries *e)
{
    uint32_t low = 0, high = e->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (e->times_ns[middle] < run->mask->from_ns)
            low = middle + 1;
        else
            high = middle;
    }
    skip(e, low);
    if (run->mask->deletions_count > 0)
        leave_out(l, run, e);
}

// Columns that taking out what is masked needs.
static unsigned mask_columns(const struct run_mask *mask)
{
    return mask == NULL ? 0
                        : VIEW_TIMES | (mask->by_line ? VIEW_LINES | VIEW_METADATA : 0U) | (mask->by_trace ? VIEW_METADATA : 0U);
}

bool run_load(struct run_loader *l, const struct view_run *run, unsigned columns,
              struct run_entries *out, struct err *err)
{
    if (run->mask == NULL)
        return load(l, run, columns, out, err);
    if (!load(l, run, columns | mask_columns(run->mask), out, err))
        return false;
    apply_mask(l, run, out);
    if (!(columns & VIEW_TIMES))
        out->times_ns = NULL;
    if (!(columns & VIEW_LINES)) {
        out->lines_base = NULL;
        out->lines = NULL;
    }
    if (!(columns & (VIEW_LINES | VIEW_LENGTHS)))
        out->line_bytes = NULL;
    if (!(columns & VIEW_METADATA))
        out->metadata = NULL;
    return true;
}

bool run_may_hold(struct run_loader *l, struct view_probe *probe, const struct view_run *run)
{
    return view_probe_may_hold(probe, &l->reader, run);
}

// --- read-ahead -------------------------------------------------------------------------------------

struct view_ahead {
    struct manifest *manifest; // borrowed from the view
    struct seg_fetcher *fetcher;
};

struct view_ahead *view_ahead_new(struct view *view)
{
    struct manifest *m = view_manifest(view);
    bool far = false;
    for (uint32_t i = 0; i < m->segments_count && !far; i++)
        far = seg_is_far(m->segments[i].seg);
    if (!far)
        return NULL;
    struct view_ahead *a = calloc(1, sizeof *a);
    assert(a != NULL);
    *a = (struct view_ahead){m, seg_fetcher_new()};
    return a;
}

void view_ahead_free(struct view_ahead *a)
{
    if (a == NULL)
        return;
    seg_fetcher_free(a->fetcher);
    free(a);
}

void view_ahead_to_the_end(struct view_ahead *a)
{
    seg_fetcher_to_the_end(a->fetcher);
}

void run_loader_join(struct run_loader *l, struct view_ahead *a)
{
    l->reader.fetcher = a != NULL ? a->fetcher : NULL;
}

bool view_ahead_find(struct view_ahead *a, const struct view_run *run)
{
    return run->source >= a->manifest->segments_count ||
           seg_fetcher_find(a->fetcher, a->manifest->segments[run->source].seg, run->block);
}

bool view_ahead_want(struct view_ahead *a, const struct view_run *run, unsigned columns)
{
    return run->source >= a->manifest->segments_count ||
           seg_fetcher_want(a->fetcher, a->manifest->segments[run->source].seg, run->block,
                            block_columns(columns | mask_columns(run->mask)));
}

void view_ahead_go(struct view_ahead *a)
{
    seg_fetcher_go(a->fetcher);
}
