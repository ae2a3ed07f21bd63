/*
 * stats.c -- `mstore-dump stats`: what takes the space in segments, by column, tenant, stream,
 * label and service.
 *
 * Blocks are shared: a stream has of a block's stored bytes the share that it has of the block's
 * lines, a service of a span block the share of its spans. So shares add up to what is stored, but
 * are no promise of what would be freed.
 */
#include "bucket.h"
#include "dump.h"

#include "base/jsonout.h"
#include "base/limits.h"
#include "store/segment/seg.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_BYTES = 4096, TOP_DEFAULT = 20 };

// What one name costs. Of spans, `entries` are spans and `raw` is unknown.
struct cost {
    struct slice tenant, name; // name: labels, "label" or service
    double stored;
    uint64_t raw, entries, streams;
};

struct costs {
    struct cost *items; // in the arena
    size_t count, room;
};

struct stats {
    bool json;
    uint32_t top;
    struct arena arena;
    struct costs tenants, streams, labels, services;
    uint64_t columns_stored[COLUMNS_COUNT], columns_raw[COLUMNS_COUNT];
    uint64_t file_bytes, segments, entries, line_bytes, spans, span_bytes, filters, tables,
        references, blocks, split_blocks, split_stored, split_raw;
    int status;
};

static const char *const column_names[COLUMNS_COUNT] = {"times", "lengths", "lines", "metadata"};

// --- gathering
// --------------------------------------------------------------------------------------

static bool add(struct stats *s, struct costs *c, const struct cost *cost, struct err *err)
{
    if (!arena_grow(&s->arena, (void **)&c->items, sizeof *c->items, c->count, &c->room))
        return arena_ok(&s->arena, "stats", err);
    struct cost *to = &c->items[c->count++];
    *to = *cost;
    to->tenant = arena_copy(&s->arena, cost->tenant);
    to->name = arena_copy(&s->arena, cost->name);
    return arena_ok(&s->arena, "stats", err);
}

static int by_name(const void *a, const void *b)
{
    const struct cost *x = a, *y = b;
    int order = slice_cmp(x->tenant, y->tenant);
    return order != 0 ? order : slice_cmp(x->name, y->name);
}

static int by_stored(const void *a, const void *b)
{
    const struct cost *x = a, *y = b;
    return x->stored != y->stored ? (x->stored < y->stored) - (x->stored > y->stored)
                                  : by_name(a, b);
}

// Equal names become one.
static void sum_up(struct costs *c)
{
    size_t kept = 0;
    if (c->count > 0)
        qsort(c->items, c->count, sizeof *c->items, by_name);
    for (size_t i = 0; i < c->count; i++) {
        struct cost *last = kept > 0 ? &c->items[kept - 1] : NULL;
        if (last == NULL || by_name(last, &c->items[i]) != 0) {
            c->items[kept++] = c->items[i];
            continue;
        }
        last->stored += c->items[i].stored;
        last->raw += c->items[i].raw;
        last->entries += c->items[i].entries;
        last->streams += c->items[i].streams;
    }
    c->count = kept;
}

static void add_sections(struct stats *s, const struct seg_footer *f)
{
    for (uint32_t i = 0; i < f->sections_count; i++) {
        const struct seg_section_place *p = &f->sections[i];
        if (p->kind == SECTION_SPANS)
            s->span_bytes += p->stored_bytes;
        else if (p->kind == SECTION_TRACES)
            s->references += p->stored_bytes;
        else if (p->kind == SECTION_FILTERS)
            s->filters += p->stored_bytes;
        else if (p->kind != SECTION_BLOCKS)
            s->tables += p->stored_bytes;
    }
}

// Stored bytes of a block, and the bytes of its lines.
static double density(struct stats *s, struct seg *seg, uint32_t block, bool count)
{
    const struct block_place *p = seg_block_place(seg, block);
    uint64_t stored = 0;
    for (int c = 0; c < COLUMNS_COUNT; c++) {
        stored += p->columns[c].stored_bytes;
        if (count) {
            s->columns_stored[c] += p->columns[c].stored_bytes;
            s->columns_raw[c] += p->columns[c].raw_bytes;
        }
    }
    const struct column_place *lines = &p->columns[COLUMN_LINES];
    s->blocks += count;
    if (count && lines->encoding == ENCODING_SPLIT) {
        s->split_blocks++;
        s->split_stored += lines->stored_bytes;
        s->split_raw += lines->raw_bytes;
    }
    // One byte more for each line, so that empty lines have a share.
    return (double)stored / (double)(p->columns[COLUMN_LINES].raw_bytes + p->entries_count);
}

static bool add_streams(struct stats *s, struct seg *seg, const struct seg_directory *d,
                        struct err *err)
{
    for (uint32_t n = 0; n < seg_blocks_count(seg); n++)
        (void)density(s, seg, n, true);
    for (size_t i = 0; i < d->streams_count; i++) {
        const struct index_stream *stream = &d->streams[i];
        struct cost cost = {.tenant = stream->tenant, .name = stream->labels};
        for (uint32_t n = 0; n < stream->runs_count; n++) {
            const struct index_run *r = &stream->runs[n];
            cost.raw += r->line_bytes;
            cost.entries += r->entries_count;
            cost.stored +=
                density(s, seg, r->block, false) * (double)(r->line_bytes + r->entries_count);
        }
        if (!add(s, &s->streams, &cost, err))
            return false;
    }
    return true;
}

static bool add_services(struct stats *s, struct seg *seg, struct err *err)
{
    const struct seg_span_table *table = seg_span_table(seg);
    for (uint32_t i = 0; i < table->tenants_count; i++)
        for (uint32_t n = 0; n < table->tenants[i].blocks_count; n++) {
            const struct span_block_place *place = &table->tenants[i].blocks[n];
            AUTO(arena_done) struct arena a;
            struct span_block b;
            arena_init(&a, 4 * SPAN_BLOCK_RAW_BYTES_MAX);
            if (!seg_open_span_block(seg, place, &a, &b, err) ||
                !span_block_column(&b, SPAN_RESOURCES, err))
                return false;
            uint64_t *counts = arena_zalloc(&a, b.resources_count * sizeof *counts);
            if (counts == NULL)
                return arena_ok(&a, "stats", err);
            for (uint32_t row = 0; row < b.spans_count; row++)
                counts[b.resource_of[row]]++;
            for (uint32_t r = 0; r < b.resources_count; r++) {
                struct cost cost = {.tenant = table->tenants[i].tenant,
                                    .name = b.resources[r].service,
                                    .entries = counts[r],
                                    .stored = (double)place->total_bytes * (double)counts[r] /
                                              b.spans_count};
                if (!add(s, &s->services, &cost, err))
                    return false;
            }
        }
    return true;
}

static bool add_segment(struct stats *s, struct seg *seg, struct err *err)
{
    AUTO(seg_directory_done) struct seg_directory d = {0};
    if (!seg_load(seg, err) || !seg_read_directory(seg, &d, err) || !seg_load_spans(seg, err))
        return false;
    const struct seg_footer *f = seg_footer(seg);
    s->segments++;
    s->file_bytes += f->totals.file_bytes;
    s->entries += f->totals.entries;
    s->line_bytes += f->totals.line_bytes;
    s->spans += f->totals.spans;
    add_sections(s, f);
    return add_streams(s, seg, &d, err) && add_services(s, seg, err);
}

// Tenants and labels follow from streams and services.
static bool derive(struct stats *s, struct err *err)
{
    sum_up(&s->streams);
    sum_up(&s->services);
    for (size_t i = 0; i < s->streams.count; i++) {
        struct cost of = s->streams.items[i];
        struct slice labels = of.name;
        struct label label;
        of.streams = 1;
        of.name = (struct slice){0};
        if (!add(s, &s->tenants, &of, err))
            return false;
        for (struct labels_walk w = labels_walk(labels); labels_next(&w, &label);) {
            of.name = label.name;
            if (!add(s, &s->labels, &of, err))
                return false;
        }
    }
    for (size_t i = 0; i < s->services.count; i++) {
        struct cost of = {.tenant = s->services.items[i].tenant,
                          .stored = s->services.items[i].stored};
        if (!add(s, &s->tenants, &of, err))
            return false;
    }
    sum_up(&s->tenants);
    sum_up(&s->labels);
    return true;
}

// --- printing
// ---------------------------------------------------------------------------------------

static double ratio(double raw, double stored)
{
    return stored > 0 ? raw / stored : 0;
}

enum print_kind { PRINT_TENANT, PRINT_STREAM, PRINT_LABEL, PRINT_SERVICE };

static void put_cost(const struct stats *s, struct buf *b, const struct cost *c,
                     enum print_kind kind)
{
    if (s->json) {
        buf_put_cstr(b, "{\"tenant\":");
        jsonout_string(b, c->tenant);
        if (kind == PRINT_STREAM) {
            buf_put_cstr(b, ",\"labels\":");
            jsonout_labels(b, c->name);
        } else if (kind != PRINT_TENANT) {
            buf_put_cstr(b, kind == PRINT_LABEL ? ",\"label\":" : ",\"service\":");
            jsonout_string(b, c->name);
        }
        buf_printf(b, ",\"stored_bytes\":%.0f,\"%s\":%" PRIu64, c->stored,
                   kind == PRINT_SERVICE ? "spans" : "entries", c->entries);
        if (kind != PRINT_SERVICE)
            buf_printf(b, ",\"line_bytes\":%" PRIu64, c->raw);
        if (kind == PRINT_TENANT || kind == PRINT_LABEL)
            buf_printf(b, ",\"streams\":%" PRIu64, c->streams);
        buf_put_byte(b, '}');
        return;
    }
    buf_printf(b, "  %14.0f bytes ", c->stored);
    if (kind == PRINT_SERVICE)
        buf_printf(b, "%12" PRIu64 " spans  %7.1f each", c->entries,
                   ratio(c->stored, (double)c->entries));
    else if (kind == PRINT_TENANT) // with its spans
        buf_printf(b, "%12" PRIu64 " lines ", c->entries);
    else
        buf_printf(b, "%12" PRIu64 " lines  %6.2f to 1", c->entries,
                   ratio((double)c->raw, c->stored));
    if (kind == PRINT_TENANT || kind == PRINT_LABEL)
        buf_printf(b, "  %8" PRIu64 " streams", c->streams);
    buf_put_cstr(b, "  ");
    labels_quote(b, c->tenant);
    buf_put_byte(b, ' ');
    if (kind == PRINT_STREAM)
        labels_print(b, c->name);
    else if (kind != PRINT_TENANT)
        labels_quote(b, c->name);
    buf_put_byte(b, '\n');
}

static void put_costs(const struct stats *s, struct buf *b, struct costs *c, const char *title,
                      enum print_kind kind)
{
    if (c->count > 0)
        qsort(c->items, c->count, sizeof *c->items, by_stored);
    if (s->json)
        buf_printf(b, ",\"%s\":[", title);
    else if (c->count > 0)
        buf_printf(b, "%s%s\n", title, c->count > s->top ? ", the largest" : "");
    for (size_t i = 0; i < c->count && (s->json || i < s->top); i++) {
        if (s->json && i > 0)
            buf_put_byte(b, ',');
        put_cost(s, b, &c->items[i], kind);
    }
    if (s->json)
        buf_put_byte(b, ']');
    else if (c->count > s->top)
        buf_printf(b, "  ... and %zu more\n", c->count - s->top);
}

static void put_part(const struct stats *s, struct buf *b, const char *name, uint64_t stored,
                     uint64_t raw)
{
    if (s->json) {
        buf_printf(b, ",\"%s\":{\"stored_bytes\":%" PRIu64, name, stored);
        if (raw > 0)
            buf_printf(b, ",\"raw_bytes\":%" PRIu64, raw);
        buf_put_byte(b, '}');
        return;
    }
    buf_printf(b, "  %14" PRIu64 " bytes %5.1f %%  %s", stored,
               100 * ratio((double)stored, (double)s->file_bytes), name);
    if (raw > 0)
        buf_printf(b, ", %.2f to 1", ratio((double)raw, (double)stored));
    buf_put_byte(b, '\n');
}

static void print(struct stats *s)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, 0);
    if (s->json)
        buf_printf(&b,
                   "{\"segments\":%" PRIu64 ",\"file_bytes\":%" PRIu64 ",\"entries\":%" PRIu64
                   ",\"line_bytes\":%" PRIu64 ",\"spans\":%" PRIu64 ",\"blocks\":%" PRIu64
                   ",\"split\":{\"blocks\":%" PRIu64 ",\"stored_bytes\":%" PRIu64 ",\"raw_bytes\":%" PRIu64
                   "},\"parts\":{\"file\":{\"stored_bytes\":%" PRIu64 "}",
                   s->segments, s->file_bytes, s->entries, s->line_bytes, s->spans, s->blocks, s->split_blocks,
                   s->split_stored, s->split_raw, s->file_bytes);
    else
        buf_printf(&b,
                   "%" PRIu64 " segments with %" PRIu64 " bytes: %" PRIu64 " lines, %" PRIu64
                   " bytes of them; %" PRIu64 " spans\n%" PRIu64 " blocks, lines of %" PRIu64
                   " are split, %.2f to 1\nparts\n",
                   s->segments, s->file_bytes, s->entries, s->line_bytes, s->spans, s->blocks, s->split_blocks,
                   ratio((double)s->split_raw, (double)s->split_stored));
    for (int c = 0; c < COLUMNS_COUNT; c++)
        put_part(s, &b, column_names[c], s->columns_stored[c], s->columns_raw[c]);
    put_part(s, &b, "spans", s->span_bytes, 0);
    put_part(s, &b, "references", s->references, 0);
    put_part(s, &b, "filters", s->filters, 0);
    put_part(s, &b, "tables", s->tables, 0);
    if (s->json)
        buf_put_byte(&b, '}');
    put_costs(s, &b, &s->tenants, "tenants", PRINT_TENANT);
    put_costs(s, &b, &s->labels, "labels", PRINT_LABEL);
    put_costs(s, &b, &s->streams, "streams", PRINT_STREAM);
    put_costs(s, &b, &s->services, "services", PRINT_SERVICE);
    if (s->json)
        buf_put_cstr(&b, "}\n");
    (void)fwrite(b.ptr, 1, b.len, stdout);
}

// --- files
// ------------------------------------------------------------------------------------------

// One that cannot be read does not hide the others.
static bool take_segment(void *ctx, struct seg *seg, struct err *err)
{
    (void)err;
    struct stats *s = ctx;
    struct err why;
    if (!add_segment(s, seg, &why))
        s->status = dump_fail(dump_status(&why), "%s", why.text);
    return true;
}

static void take_file(struct stats *s, const char *path)
{
    uint64_t gen;
    struct err err;
    if (!dump_generation(path, &gen, &err)) {
        s->status = dump_fail(dump_status(&err), "%s", err.text);
        return;
    }
    AUTO(seg_unrefp) struct seg *seg = seg_new(path, gen);
    (void)take_segment(s, seg, &err);
}

static void take_bucket(struct stats *s, const char *path)
{
    struct err err;
    if (!dump_bucket_visit(path, take_segment, s, &err))
        s->status = dump_fail(dump_status(&err), "%s", err.text);
}

static int is_segment(const struct dirent *e)
{
    return dump_ends(e->d_name, ".seg");
}

static void take_dir(struct stats *s, const char *dir)
{
    char folder[PATH_BYTES], path[PATH_BYTES + 300];
    struct dirent **names;
    (void)snprintf(folder, sizeof folder, "%s/segments", dir);
    int count = scandir(folder, &names, is_segment, alphasort);
    if (count < 0)
        s->status = dump_fail(EXIT_BROKEN, "%s: no data directory", dir);
    for (int i = 0; i < count; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
        if (dump_on_terminal())
            fprintf(stderr, "\r\033[K%s", path);
        take_file(s, path);
        free(names[i]);
    }
    if (count >= 0)
        free(names);
    if (dump_on_terminal())
        fputs("\r\033[K", stderr);
}

int dump_stats(int argc, char **argv)
{
    struct stats s = {.top = TOP_DEFAULT};
    struct err err;
    int paths = 0;
    for (int i = 1; i < argc; i++) {
        s.json = s.json || strcmp(argv[i], "--json") == 0;
        if (argv[i][0] == '-' && strcmp(argv[i], "--json") != 0)
            return dump_fail(EXIT_USAGE, "stats: unknown option `%s`", argv[i]);
        paths += argv[i][0] != '-';
    }
    if (paths == 0)
        return dump_fail(EXIT_USAGE, "stats: which directory or file?");
    arena_init(&s.arena, SIZE_MAX);
    for (int i = 1; i < argc; i++) {
        struct stat st;
        if (argv[i][0] == '-')
            continue;
        if (dump_is_bucket(argv[i]))
            take_bucket(&s, argv[i]);
        else if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode))
            take_dir(&s, argv[i]);
        else
            take_file(&s, argv[i]);
    }
    if (!derive(&s, &err))
        s.status = dump_fail(EXIT_BROKEN, "%s", err.text);
    else if (s.segments > 0 || s.status == EXIT_GOOD)
        print(&s);
    arena_done(&s.arena);
    return s.status;
}
