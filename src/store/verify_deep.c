/*
 * verify_deep.c -- derives again, from entries and index, what a segment's tables merely say, and
 * compares both ways.
 *
 * D1  No filter denies the line or a value of the metadata of an entry in its block.
 * D2  References from traces to blocks of entries are those that the entries' metadata makes, no
 * fewer and no more. D3  A stream's days are those of its entries; the footer's totals are their
 * sums. D4  The index has no rows of the segment but its streams', and finds each of these by every
 * label that it has.
 */
#include "store/verify.h"

#include "base/limits.h"
#include "store/segment/filter.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ALL_COLUMNS = (1 << COLUMNS_COUNT) - 1 };

struct deep {
    struct verify *v;
    struct seg *seg;
    const struct seg_directory *d;
    struct seg_reader reader, filter_reader;
    struct block block;
    struct filter_reader filters;
    bool has_filters;
    uint32_t at;     // of the decoded block
    uint32_t number; // of the last stream that was looked for in the span table: they mostly come
                     // in its order
    struct arena scratch;
    struct trace_refs refs; // of a tenant's entries
    size_t refs_at;
    bool refs_differ;
};

// --- D1
// ---------------------------------------------------------------------------------------------

static bool denied(struct deep *p, struct slice text)
{
    struct filter_needle needle;
    arena_reset(&p->scratch);
    return filter_needle_init(&needle, text, &p->scratch) &&
           !filter_may_contain(&p->filters, &needle);
}

static void check_filter(struct deep *p, uint32_t block)
{
    uint64_t wrong = 0;
    for (uint32_t i = 0; i < p->block.entries_count; i++) {
        struct label label;
        bool bad = denied(p, slice_of(p->block.lines[i], p->block.line_bytes[i]));
        for (struct labels_walk w = labels_walk(p->block.metadata[i]); labels_next(&w, &label);)
            bad = bad || denied(p, label.value);
        wrong += bad;
    }
    if (wrong > 0)
        verify_problem(p->v, "%s: block %u: the filter denies %" PRIu64 " of its entries",
                       seg_path(p->seg), block, wrong);
}

static bool check_all_filters(struct deep *p, struct err *err)
{
    struct slice section;
    if (!seg_read_filters(p->seg, &p->filter_reader, &section, err) || section.ptr == NULL)
        return section.ptr == NULL;
    filter_reader_init(&p->filters, section);
    for (uint32_t n = 0; n < seg_blocks_count(p->seg) && filter_reader_next(&p->filters); n++) {
        if (!seg_read_block(p->seg, n, ALL_COLUMNS, true, &p->reader, &p->block, err))
            return false;
        check_filter(p, n);
    }
    return true;
}

// --- D2, D3
// -----------------------------------------------------------------------------------------

static bool find_stream(struct deep *p, const struct seg_span_tenant *t, struct hash128 fingerprint)
{
    for (uint32_t i = 0; t != NULL && i < t->streams_count; i++) {
        uint32_t number = (p->number + i) % t->streams_count;
        if (hash128_eq(t->streams[number], fingerprint)) {
            p->number = number;
            return true;
        }
    }
    return false;
}

// One run: its days are marked, its references noted. *unknown_out: it has traces, but the span
// table does not know the stream.
static bool check_run(struct deep *p, const struct index_stream *s, const struct index_run *run,
                      const struct seg_span_tenant *t, bool *days, bool *unknown_out,
                      struct err *err)
{
    bool fresh = p->at != run->block;
    if (!seg_read_block(p->seg, run->block, ALL_COLUMNS, fresh, &p->reader, &p->block, err))
        return false;
    p->at = run->block;
    for (uint32_t i = run->first; i < run->first + run->entries_count && i < p->block.entries_count;
         i++) {
        uint8_t id[TRACE_ID_BYTES];
        uint32_t day = index_day(p->block.times_ns[i]);
        bool known = false;
        for (uint32_t n = 0; n < s->days_count && !known; n++)
            if ((known = s->days[n] == day))
                days[n] = true;
        if (!known)
            return err_set(err, ERR_CORRUPT,
                           "%s: an entry is of a day that its stream does not have",
                           seg_path(p->seg));
        if (!trace_id_of_entry(p->block.metadata[i], id))
            continue;
        if (find_stream(p, t, s->fingerprint))
            trace_refs_add(&p->refs, &(struct trace_ref){trace_hash(id), p->number, run->block});
        else
            *unknown_out = true;
    }
    return true;
}

static bool check_stream(struct deep *p, const struct index_stream *s,
                         const struct seg_span_tenant *t, bool *unknown_out, struct err *err)
{
    bool *days = calloc(s->days_count + 1, sizeof *days), good = days != NULL;
    for (uint32_t n = 0; n < s->runs_count && good; n++)
        good = check_run(p, s, &s->runs[n], t, days, unknown_out, err);
    for (uint32_t n = 0; n < s->days_count && good; n++)
        if (!days[n])
            good = err_set(err, ERR_CORRUPT, "%s: a stream has a day without entries",
                           seg_path(p->seg));
    free(days);
    return good;
}

static bool compare_ref(void *ctx, const struct trace_ref *ref, struct err *err)
{
    (void)err;
    struct deep *p = ctx;
    const struct trace_ref *want = p->refs_at < p->refs.count ? &p->refs.items[p->refs_at++] : NULL;
    p->refs_differ = p->refs_differ || want == NULL || want->hash != ref->hash ||
                     want->stream != ref->stream || want->block != ref->block;
    return true;
}

// The streams [first, end) of the directory are one tenant's.
static bool check_tenant(struct deep *p, size_t first, size_t end, struct err *err)
{
    const struct seg_span_tenant *t = seg_span_tenant(p->seg, p->d->streams[first].tenant);
    bool unknown = false, good = true;
    trace_refs_done(&p->refs);
    p->refs = (struct trace_refs){0};
    p->refs_at = 0;
    p->number = 0;
    p->refs_differ = false;
    for (size_t i = first; i < end && good; i++)
        good = check_stream(p, &p->d->streams[i], t, &unknown, err);
    if (!good)
        return false;
    trace_refs_sort(&p->refs);
    if (t != NULL && !seg_all_traces(p->seg, &t->entries, TRACE_REF_ENTRIES, compare_ref, p, err))
        return false;
    // Segments from before spans were stored have no references at all.
    bool early = seg_span_table(p->seg)->tenants_count == 0;
    if (!early && (unknown || p->refs_differ || p->refs_at != p->refs.count))
        verify_problem(p->v, "%s: references do not agree with the entries of tenant %.*s",
                       seg_path(p->seg), SLICE_FMT(p->d->streams[first].tenant));
    return true;
}

static bool check_streams(struct deep *p, struct err *err)
{
    const struct index_segment *t = &seg_footer(p->seg)->totals;
    uint64_t entries = 0, bytes = 0;
    for (size_t first = 0, end; first < p->d->streams_count; first = end) {
        for (end = first; end < p->d->streams_count &&
                          slice_eq(p->d->streams[end].tenant, p->d->streams[first].tenant);
             end++)
            for (uint32_t n = 0; n < p->d->streams[end].runs_count; n++) {
                entries += p->d->streams[end].runs[n].entries_count;
                bytes += p->d->streams[end].runs[n].line_bytes;
            }
        if (!check_tenant(p, first, end, err))
            return false;
    }
    if (t->entries != entries || t->line_bytes != bytes || t->streams != p->d->streams_count)
        verify_problem(p->v, "%s: the footer's totals are not those of its streams",
                       seg_path(p->seg));
    return true;
}

void verify_deep(struct verify *v, struct seg *seg, const struct seg_directory *d)
{
    struct deep p = {.v = v, .seg = seg, .d = d, .at = UINT32_MAX};
    struct err why;
    arena_init(&p.scratch, INGEST_ARENA_BYTES_MAX);
    seg_reader_init(&p.reader);
    seg_reader_init(&p.filter_reader);
    if (!seg_load_spans(seg, &why) || !check_streams(&p, &why) || !check_all_filters(&p, &why))
        verify_problem(v, "%s", why.text);
    trace_refs_done(&p.refs);
    block_done(&p.block);
    seg_reader_done(&p.filter_reader);
    seg_reader_done(&p.reader);
    arena_done(&p.scratch);
}

// --- D4
// ---------------------------------------------------------------------------------------------

static bool count_row(void *ctx, size_t at, struct index_row row, struct err *err)
{
    (void)at;
    (void)row;
    (void)err;
    ++*(uint64_t *)ctx;
    return true;
}

static bool found_by_labels(struct index_read *read, uint32_t ns, const struct index_stream *s,
                            struct arena *a)
{
    struct labels labels;
    struct stream_ids ids;
    struct err why;
    uint64_t id;
    if (!labels_decode(s->labels, a, &labels, &why) ||
        !index_find_stream(read, ns, s->fingerprint, &id, &why))
        return false;
    for (uint32_t i = 0; i < labels.count; i++) {
        struct label_matcher m = {
            .name = labels.items[i].name, .op = MATCH_EQ, .value = labels.items[i].value};
        if (!index_select(read, ns, &m, 1, a, &ids, &why))
            return false;
        bool found = false;
        for (size_t n = 0; n < ids.count && !found; n++)
            found = ids.ids[n] == id;
        if (!found)
            return false;
    }
    return true;
}

static bool check_namespace(struct verify *v, struct index_read *read, struct seg *seg,
                            uint64_t gen, struct slice tenant, const struct seg_directory *d,
                            struct arena *a, struct err *err)
{
    struct stream_ids all;
    uint32_t ns;
    uint64_t rows = 0, streams = 0, lost = 0;
    if (!index_namespace(read, tenant, &ns, err) ||
        !index_select(read, ns, NULL, 0, a, &all, err) ||
        !index_rows(read, ns, gen, &all, count_row, &rows, err))
        return false;
    for (size_t i = 0; i < d->streams_count; i++) {
        if (!slice_eq(d->streams[i].tenant, tenant))
            continue;
        struct arena_mark mark = arena_mark(a);
        streams++;
        lost += !found_by_labels(read, ns, &d->streams[i], a);
        arena_rewind(a, mark);
    }
    if (rows != streams)
        verify_problem(
            v, "%s: the index has rows of %" PRIu64 " streams of tenant %.*s, the segment %" PRIu64,
            seg_path(seg), rows, SLICE_FMT(tenant), streams);
    if (lost > 0)
        verify_problem(v,
                       "%s: %" PRIu64 " streams of tenant %.*s are not found by all their labels",
                       seg_path(seg), lost, SLICE_FMT(tenant));
    return true;
}

void verify_deep_index(struct verify *v, struct index_read *read, struct seg *seg, uint64_t gen,
                       const struct seg_directory *d)
{
    AUTO(arena_done) struct arena a;
    struct slice *tenants;
    size_t count;
    struct err why;
    arena_init(&a, GIB);
    bool good = index_tenants(read, &a, &tenants, &count, &why);
    for (size_t i = 0; i < count && good; i++)
        good = check_namespace(v, read, seg, gen, tenants[i], d, &a, &why);
    if (!good)
        verify_problem(v, "%s: index: %s", seg_path(seg), why.text);
}
