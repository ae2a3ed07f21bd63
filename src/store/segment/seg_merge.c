/*
 * seg_merge.c -- see seg_merge.h.
 *
 * Every input lists its streams in the order of (tenant, labels), which is also the order of its blocks: one pass over
 * the stream tables side by side decodes each block once. Held are the tables and one block an input.
 *
 * M1  Entries of one stream and time keep their order: by input, which is by age, then as they lie there.
 * M2  Of equal entries (time, line, metadata) the first stays. Within one input there are none.
 * M3  What is not expired, nor deleted, nor equal to another, is written.
 */
#include "store/segment/seg_merge.h"

#include "base/hash.h"
#include "base/limits.h"
#include "store/span/span_merge.h"

#include <assert.h>
#include <stdlib.h>

// One input, and where in it the merge stands.
struct source {
    struct seg *seg; // borrowed
    struct seg_directory directory;
    size_t stream; // next in the directory
    // The stream in hand.
    const struct index_stream *is; // NULL: not here
    uint32_t run;                  // next to load
    uint32_t at, end;              // entries of the loaded run that are left, in `block`
    struct block block;
    uint32_t block_number; // decoded; UINT32_MAX: none
};

struct seg_merge {
    struct seg_merge_options options;
    struct source *sources; // owned
    struct source **here;   // owned; those that have the stream in hand, by age
    uint32_t here_count;
    struct seg_reader reader;
    uint32_t reading; // the input that was read last
    struct seg_writer *w; // borrowed while running
    int64_t horizon_ns;   // of the stream in hand
    size_t *deleting;     // owned; deletions that are about the stream in hand
    size_t deleting_count;
    void *space; // owned, if there are deletions
    // Entries written at the time in hand, by hash: a table of `room` slots, of which `used` lists the taken.
    struct hash128 *slots; // owned; zero: empty
    size_t *used;          // owned
    size_t room, used_count;
    struct seg_merge_stats stats;
};

enum { ALL_COLUMNS = (1u << COLUMNS_COUNT) - 1, SLOTS_MIN = 64 };

bool seg_merge_open(const struct seg_merge_options *options, struct seg_merge **m_out, uint32_t *damaged_out,
                    struct err *err)
{
    assert(options->inputs_count > 0);
    AUTO(seg_merge_freep) struct seg_merge *m = calloc(1, sizeof *m);
    assert(m != NULL);
    m->options = *options;
    m->sources = calloc(options->inputs_count, sizeof *m->sources);
    m->here = calloc(options->inputs_count, sizeof(struct source *));
    m->room = SLOTS_MIN;
    m->slots = calloc(m->room, sizeof *m->slots);
    m->used = calloc(m->room, sizeof *m->used);
    m->deleting = calloc(options->deletions_count + 1, sizeof *m->deleting);
    if (options->deletions_count > 0 && options->deletions[0]->ops != NULL)
        m->space = options->deletions[0]->ops->space_new();
    assert(m->deleting != NULL && m->sources != NULL && m->here != NULL && m->slots != NULL && m->used != NULL);
    seg_reader_init(&m->reader);
    for (uint32_t i = 0; i < options->inputs_count; i++) {
        struct source *s = &m->sources[i];
        s->seg = options->inputs[i];
        s->block_number = UINT32_MAX;
        if (!seg_read_directory(s->seg, &s->directory, err)) {
            *damaged_out = err->code == ERR_CORRUPT ? i : options->inputs_count;
            return false;
        }
    }
    *damaged_out = options->inputs_count;
    *m_out = MOVE(m);
    return true;
}

void seg_merge_free(struct seg_merge *m)
{
    if (m == NULL)
        return;
    for (uint32_t i = 0; i < m->options.inputs_count; i++) {
        seg_directory_done(&m->sources[i].directory);
        block_done(&m->sources[i].block);
    }
    seg_reader_done(&m->reader);
    if (m->space != NULL)
        m->options.deletions[0]->ops->space_free(m->space);
    free(m->deleting);
    free(m->sources);
    free(m->here);
    free(m->slots);
    free(m->used);
    free(m);
}

void seg_merge_stats(const struct seg_merge *m, struct seg_merge_stats *stats_out)
{
    *stats_out = m->stats;
}

// --- entries ----------------------------------------------------------------------------------------

static bool decode(struct seg_merge *m, struct source *s, uint32_t block, struct err *err)
{
    if (s->block_number == block)
        return true;
    s->block_number = UINT32_MAX;
    if (!seg_read_block(s->seg, block, ALL_COLUMNS, true, &m->reader, &s->block, err))
        return false;
    s->block_number = block;
    return m->options.pace == NULL || m->options.pace(m->options.ctx, err);
}

// Makes `at` an entry of the stream in hand that has not expired; at == end when there is none left.
static bool fill(struct seg_merge *m, struct source *s, struct err *err)
{
    while (s->at == s->end && s->run < s->is->runs_count) {
        const struct index_run *run = &s->is->runs[s->run++];
        m->stats.entries_read += run->entries_count;
        m->stats.line_bytes_read += run->line_bytes;
        if (run->max_ns < m->horizon_ns) {
            m->stats.expired += run->entries_count;
            continue;
        }
        m->reading = (uint32_t)(s - m->sources);
        if (!decode(m, s, run->block, err))
            return false;
        if (run->first > s->block.entries_count || run->entries_count > s->block.entries_count - run->first)
            return err_set(err, ERR_CORRUPT, "%s: block %u has %u entries", seg_path(s->seg), run->block,
                           s->block.entries_count);
        s->at = run->first;
        s->end = run->first + run->entries_count;
        for (; s->at < s->end && s->block.times_ns[s->at] < m->horizon_ns; s->at++)
            m->stats.expired++;
    }
    return true;
}

static int64_t time_of(const struct source *s)
{
    return s->block.times_ns[s->at];
}

// Whether a deletion takes the source's entry; counted for the first that does.
static bool is_deleted(struct seg_merge *m, const struct source *s)
{
    const struct block *b = &s->block;
    uint32_t n = s->at;
    struct store_arrival entry = {.tenant = s->is->tenant,
                                  .labels = s->is->labels,
                                  .time_ns = b->times_ns[n],
                                  .line = slice_of(b->lines[n], b->line_bytes[n]),
                                  .metadata = b->metadata[n]};
    for (size_t i = 0; i < m->deleting_count; i++) {
        size_t d = m->deleting[i];
        if (!deletion_selects(m->options.deletions[d], &entry, m->options.ages[s - m->sources], m->space))
            continue;
        m->options.removed[d].entries++;
        m->options.removed[d].line_bytes += entry.line.len;
        m->stats.deleted++;
        return true;
    }
    return false;
}

// Writes the source's entry and steps over it.
static bool write_entry(struct seg_merge *m, struct source *s, struct err *err)
{
    const struct block *b = &s->block;
    uint32_t n = s->at++;
    m->stats.entries_written++;
    return seg_writer_entry(m->w, b->times_ns[n], slice_of(b->lines[n], b->line_bytes[n]), b->metadata[n], err);
}

static struct hash128 entry_hash(const struct block *b, uint32_t n)
{
    struct hash128 line = hash_128(slice_of(b->lines[n], b->line_bytes[n])), set = hash_128(b->metadata[n]);
    return (struct hash128){line.hi ^ set.hi * UINT64_C(0x9e3779b97f4a7c15),
                            (line.lo + set.lo * UINT64_C(0xc2b2ae3d27d4eb4f)) | 1}; // never zero
}

static void slots_grow(struct seg_merge *m)
{
    struct hash128 *old = m->slots;
    size_t *old_used = m->used, count = m->used_count;
    m->room *= 2;
    m->used_count = 0;
    m->slots = calloc(m->room, sizeof *m->slots);
    m->used = calloc(m->room, sizeof *m->used);
    assert(m->slots != NULL && m->used != NULL);
    for (size_t i = 0; i < count; i++) {
        size_t at = old[old_used[i]].hi & (m->room - 1);
        while (m->slots[at].lo != 0)
            at = (at + 1) & (m->room - 1);
        m->slots[at] = old[old_used[i]];
        m->used[m->used_count++] = at;
    }
    free(old);
    free(old_used);
}

// Whether an equal entry was written at the time in hand; notes that one is now.
static bool is_duplicate(struct seg_merge *m, struct hash128 hash)
{
    if ((m->used_count + 1) * 2 > m->room)
        slots_grow(m);
    size_t at = hash.hi & (m->room - 1);
    for (; m->slots[at].lo != 0; at = (at + 1) & (m->room - 1))
        if (hash128_eq(m->slots[at], hash))
            return true;
    m->slots[at] = hash;
    m->used[m->used_count++] = at;
    return false;
}

static void forget_hashes(struct seg_merge *m)
{
    for (size_t i = 0; i < m->used_count; i++)
        m->slots[m->used[i]] = (struct hash128){0};
    m->used_count = 0;
}

// Several sources have entries of this time.
static bool merge_moment(struct seg_merge *m, int64_t time_ns, struct err *err)
{
    forget_hashes(m);
    for (uint32_t i = 0; i < m->here_count; i++) {
        struct source *s = m->here[i];
        while (s->at < s->end && time_of(s) == time_ns) {
            // A deleted one is not what a later one is equal to.
            if (is_deleted(m, s)) {
                s->at++;
            } else if (is_duplicate(m, entry_hash(&s->block, s->at))) {
                m->stats.duplicates++;
                s->at++;
            } else if (!write_entry(m, s, err)) {
                return false;
            }
            if (!fill(m, s, err))
                return false;
        }
    }
    return true;
}

// One source's entries up to, not including, `until_ns`, which is where another's begin; INT64_MAX: all of them.
static bool copy_entries(struct seg_merge *m, struct source *s, int64_t until_ns, bool alone, struct err *err)
{
    while (s->at < s->end && (alone || time_of(s) < until_ns)) {
        while (s->at < s->end && (alone || time_of(s) < until_ns))
            if (is_deleted(m, s))
                s->at++;
            else if (!write_entry(m, s, err))
                return false;
        if (!fill(m, s, err))
            return false;
    }
    return true;
}

// The source whose next entry is the earliest, and when the earliest of the others is. NULL: none is left.
static struct source *earliest(const struct seg_merge *m, int64_t *other_ns_out, bool *alone_out)
{
    struct source *best = NULL;
    *alone_out = true;
    for (uint32_t i = 0; i < m->here_count; i++) {
        struct source *s = m->here[i];
        if (s->at == s->end)
            continue;
        if (best == NULL) {
            best = s;
            continue;
        }
        bool before = time_of(s) < time_of(best);
        int64_t other_ns = before ? time_of(best) : time_of(s);
        if (*alone_out || other_ns < *other_ns_out)
            *other_ns_out = other_ns;
        *alone_out = false;
        best = before ? s : best;
    }
    return best;
}

static void find_deletions(struct seg_merge *m, const struct index_stream *is)
{
    m->deleting_count = 0;
    for (size_t i = 0; i < m->options.deletions_count; i++)
        if (deletion_selects_stream(m->options.deletions[i], is->tenant, is->labels))
            m->deleting[m->deleting_count++] = i;
}

static bool merge_stream(struct seg_merge *m, struct err *err)
{
    const struct index_stream *is = m->here[0]->is;
    find_deletions(m, is);
    int64_t other_ns = 0;
    bool alone;
    m->horizon_ns = retention_horizon(retention_period(m->options.retention, is->tenant, is->labels, NULL), m->options.now_ns);
    if (!seg_writer_stream(m->w, is->tenant, is->labels, is->fingerprint, err))
        return false;
    for (uint32_t i = 0; i < m->here_count; i++)
        if (!fill(m, m->here[i], err))
            return false;
    for (struct source *s; (s = earliest(m, &other_ns, &alone)) != NULL;)
        if (!(alone || time_of(s) < other_ns ? copy_entries(m, s, other_ns, alone, err)
                                             : merge_moment(m, other_ns, err)))
            return false;
    return true;
}

// --- streams ----------------------------------------------------------------------------------------

static int compare_streams(const struct index_stream *a, const struct index_stream *b)
{
    int order = slice_cmp(a->tenant, b->tenant);
    return order != 0 ? order : slice_cmp(a->labels, b->labels);
}

// Takes the next stream in hand, with every source that has it. False when there is none left.
static bool next_stream(struct seg_merge *m)
{
    m->here_count = 0;
    for (uint32_t i = 0; i < m->options.inputs_count; i++) {
        struct source *s = &m->sources[i];
        if (s->stream == s->directory.streams_count)
            continue;
        s->is = &s->directory.streams[s->stream];
        int order = m->here_count == 0 ? 0 : compare_streams(s->is, m->here[0]->is);
        if (order < 0)
            m->here_count = 0;
        if (order <= 0)
            m->here[m->here_count++] = s;
    }
    for (uint32_t i = 0; i < m->here_count; i++) {
        m->here[i]->stream++;
        m->here[i]->run = m->here[i]->at = m->here[i]->end = 0;
    }
    return m->here_count > 0;
}

bool seg_merge_run(struct seg_merge *m, struct seg_writer *w, uint32_t *damaged_out, struct err *err)
{
    m->w = w;
    bool good = true;
    while (good && next_stream(m))
        good = merge_stream(m, err);
    good = good && span_merge(&m->options, w, &m->stats, &m->reading, err);
    // What cannot be held is no better than what cannot be read: it stays as it is.
    *damaged_out = !good && (err->code == ERR_CORRUPT || err->code == ERR_LIMIT) ? m->reading : m->options.inputs_count;
    return good;
}
