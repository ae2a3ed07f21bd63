/*
 * head.c -- the in-memory generation.
 *
 *     streams   one per (tenant, labels), with the numbers of its entries in arrival order
 *     entries   all entries in arrival order, in pages that never move
 *     sets      distinct metadata sets; most entries share a few
 *     known     hash table of entries: the same stream, time, line and metadata is the same entry
 *     traced    entries whose metadata carries a trace's ID, by its hash
 *     spans     head_spans.h, with a lock of its own
 *     text      pages of line, label and metadata bytes that never move
 *
 * H1  What a reader was given (line, label and metadata pointers) stays until the head is freed.
 * H2  An entry is in `known` iff it is in `entries`; no two entries are equal.
 * H3  Entries of a stream are numbered in arrival order; its first n never change.
 *
 * Threads: apply takes the lock for one batch, readers share it. Memory: head_mem.h.
 */
#include "store/head/head.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/limits.h"
#include "store/head/head_mem.h"
#include "store/segment/trace_table.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    ENTRY_PAGE_SHIFT = 14,
    ENTRY_PAGE = 1 << ENTRY_PAGE_SHIFT,
    PREFETCH_AHEAD = 8,
};

struct entry {
    int64_t time_ns;
    const uint8_t *line; // text
    uint32_t line_bytes;
    uint32_t set;
    uint32_t stream;
};

struct stream {
    struct slice labels; // text
    struct hash128 fingerprint;
    uint32_t tenant; // number
    uint32_t count;
    uint32_t room;
    uint32_t *numbers; // owned; of its entries
    int64_t min_ns;
    int64_t max_ns;
    uint64_t line_bytes;
};

struct head {
    uint64_t gen;
    atomic_uint refs;
    struct head_spans *spans; // owned; a lock of its own
    pthread_rwlock_t lock;    // all below
    struct head_text text;
    struct head_names tenants;
    struct head_names sets;
    uint32_t *set_traces; // owned, as long as sets.items: hash of the trace ID that a set carries, 0: none
    uint32_t set_traces_room;
    struct head_table traced;
    struct stream *streams; // owned
    uint32_t streams_count, streams_room;
    struct head_table streams_known;
    struct entry **pages; // owned; mapped pages of ENTRY_PAGE entries
    uint32_t pages_count, pages_room;
    uint32_t entries_count;
    struct head_table known;
    uint64_t line_bytes;
    int64_t applied_mono_ns;
};

// --- life -------------------------------------------------------------------------------------------

struct head *head_new(uint64_t gen)
{
    struct head *h = calloc(1, sizeof *h);
    assert(h != NULL);
    h->gen = gen;
    atomic_init(&h->refs, 1);
    pthread_rwlock_init(&h->lock, NULL);
    h->spans = head_spans_new();
    return h;
}

struct head *head_ref(struct head *h)
{
    atomic_fetch_add_explicit(&h->refs, 1, memory_order_relaxed);
    return h;
}

void head_unref(struct head *h)
{
    if (h == NULL || atomic_fetch_sub_explicit(&h->refs, 1, memory_order_acq_rel) > 1)
        return;
    head_spans_free(h->spans);
    head_names_done(&h->tenants);
    head_names_done(&h->sets);
    free(h->set_traces);
    head_table_done(&h->traced);
    for (uint32_t i = 0; i < h->streams_count; i++)
        free(h->streams[i].numbers);
    free(h->streams);
    head_table_done(&h->streams_known);
    for (uint32_t i = 0; i < h->pages_count; i++)
        head_unmap(h->pages[i], ENTRY_PAGE * sizeof **h->pages);
    free(h->pages);
    head_table_done(&h->known);
    head_text_done(&h->text);
    pthread_rwlock_destroy(&h->lock);
    free(h);
}

uint64_t head_gen(const struct head *h)
{
    return h->gen;
}

struct head_spans *head_spans_of(struct head *h)
{
    return h->spans;
}

void head_stats(struct head *h, struct head_stats *stats_out)
{
    struct head_spans_stats spans;
    head_spans_stats(h->spans, &spans);
    pthread_rwlock_rdlock(&h->lock);
    *stats_out = (struct head_stats){
        .bytes = h->text.bytes + spans.bytes,
        .entries = h->entries_count,
        .spans = spans.spans,
        .line_bytes = h->line_bytes,
        .streams = h->streams_count,
        .applied_mono_ns = h->applied_mono_ns,
    };
    pthread_rwlock_unlock(&h->lock);
}

// --- apply ------------------------------------------------------------------------------------------

static struct entry *entry_at(const struct head *h, uint32_t number)
{
    return &h->pages[number >> ENTRY_PAGE_SHIFT][number & (ENTRY_PAGE - 1)];
}

static uint32_t stream_of(struct head *h, uint32_t tenant, const struct batch_stream *s)
{
    uint32_t hash = (uint32_t)s->fingerprint.lo + tenant * UINT32_C(0x9e3779b1);
    uint32_t number;
    for (size_t at = head_table_start(&h->streams_known, hash);
         (number = head_table_next(&h->streams_known, hash, &at)) != UINT32_MAX;)
        if (h->streams[number].tenant == tenant &&
            hash128_eq(h->streams[number].fingerprint, s->fingerprint))
            return number;
    if (h->streams_count == h->streams_room)
        h->streams = head_grown(h->streams, &h->streams_room, sizeof *h->streams);
    head_table_room(&h->text, &h->streams_known);
    number = h->streams_count++;
    h->streams[number] = (struct stream){.labels = head_text_copy(&h->text, s->labels),
                                         .fingerprint = s->fingerprint,
                                         .tenant = tenant,
                                         .min_ns = INT64_MAX,
                                         .max_ns = INT64_MIN};
    h->text.bytes += sizeof *h->streams;
    head_table_put(&h->streams_known, hash, number);
    return number;
}

// A hash over what makes an entry itself; two equal entries of a batch may carry different pointers.
static uint32_t entry_hash(const struct batch_stream *s, const struct batch_entry *e,
                           uint64_t metadata_hash)
{
    uint64_t seed = s->fingerprint.lo ^ metadata_hash ^
                    (uint64_t)e->time_ns * UINT64_C(0x9e3779b97f4a7c15);
    uint64_t hash = hash64_seed(e->line, seed);
    return (uint32_t)(hash ^ hash >> 32);
}

// Done before the lock is taken.
static uint32_t *entry_hashes(const struct batch *batch)
{
    uint32_t *hashes = malloc((batch->entries_count + 1) * sizeof *hashes);
    assert(hashes != NULL);
    struct slice last = {0};
    uint64_t last_hash = 0;
    for (uint32_t i = 0; i < batch->streams_count; i++) {
        const struct batch_stream *s = &batch->streams[i];
        for (uint32_t n = s->entries_first; n < s->entries_first + s->entries_count; n++) {
            const struct batch_entry *e = &batch->entries[n];
            if (e->metadata.ptr != last.ptr || e->metadata.len != last.len) {
                last = e->metadata;
                last_hash = hash64(last);
            }
            hashes[n] = entry_hash(s, e, last_hash);
        }
    }
    return hashes;
}

static bool is_known(const struct head *h, uint32_t stream, uint32_t hash,
                     const struct batch_entry *e)
{
    uint32_t number;
    for (size_t at = head_table_start(&h->known, hash);
         (number = head_table_next(&h->known, hash, &at)) != UINT32_MAX;) {
        const struct entry *k = entry_at(h, number);
        if (k->stream == stream && k->time_ns == e->time_ns &&
            slice_eq(slice_of(k->line, k->line_bytes), e->line) &&
            slice_eq(h->sets.items[k->set], e->metadata))
            return true;
    }
    return false;
}

static struct entry *new_entry(struct head *h)
{
    assert(h->entries_count < UINT32_MAX - 1);
    if (h->entries_count >> ENTRY_PAGE_SHIFT == h->pages_count) {
        if (h->pages_count == h->pages_room)
            h->pages = head_grown(h->pages, &h->pages_room, sizeof *h->pages);
        h->pages[h->pages_count++] = head_map(ENTRY_PAGE * sizeof **h->pages);
    }
    h->text.bytes += sizeof **h->pages;
    return entry_at(h, h->entries_count++);
}

// The number of a metadata set.
static uint32_t set_of(struct head *h, struct slice metadata)
{
    uint32_t set = head_names_add(&h->text, &h->sets, metadata);
    if (h->sets.count > h->set_traces_room) {
        h->set_traces = head_grown(h->set_traces, &h->set_traces_room, sizeof *h->set_traces);
        h->text.bytes += sizeof *h->set_traces * (h->set_traces_room / 2);
    }
    uint8_t trace_id[TRACE_ID_BYTES];
    if (set + 1 == h->sets.count) // new, or the newest again
        h->set_traces[set] =
            trace_id_of_entry(metadata, trace_id) ? (uint32_t)trace_hash(trace_id) | 1 : 0;
    return set;
}

static void add_entry(struct head *h, uint32_t stream, uint32_t hash, uint32_t set,
                      const struct batch_entry *e)
{
    uint32_t number = h->entries_count;
    head_table_room(&h->text, &h->known);
    *new_entry(h) = (struct entry){
        .time_ns = e->time_ns,
        .line = head_text_copy(&h->text, e->line).ptr,
        .line_bytes = (uint32_t)e->line.len,
        .set = set,
        .stream = stream,
    };
    head_table_put(&h->known, hash, number);
    if (h->set_traces[set] != 0) {
        head_table_room(&h->text, &h->traced);
        head_table_put(&h->traced, h->set_traces[set], number);
    }

    struct stream *s = &h->streams[stream];
    if (s->count == s->room) {
        uint32_t room = s->room;
        s->numbers = head_grown(s->numbers, &s->room, sizeof *s->numbers);
        h->text.bytes += (s->room - room) * sizeof *s->numbers;
    }
    s->numbers[s->count++] = number;
    s->min_ns = e->time_ns < s->min_ns ? e->time_ns : s->min_ns;
    s->max_ns = e->time_ns > s->max_ns ? e->time_ns : s->max_ns;
    s->line_bytes += e->line.len;
    h->line_bytes += e->line.len;
}

static uint32_t apply_stream(struct head *h, uint32_t tenant, const struct batch *batch,
                             const struct batch_stream *s, const uint32_t *hashes)
{
    uint32_t stream = stream_of(h, tenant, s), added = 0;
    struct slice last = {0};
    uint32_t last_set = 0;
    uint32_t end = s->entries_first + s->entries_count;
    for (uint32_t n = s->entries_first; n < end; n++) {
        if (n + PREFETCH_AHEAD < end && h->known.room > 0)
            __builtin_prefetch(&h->known.slots[hashes[n + PREFETCH_AHEAD] & (h->known.room - 1)]);
        const struct batch_entry *e = &batch->entries[n];
        if (is_known(h, stream, hashes[n], e))
            continue;
        if (last.ptr == NULL || e->metadata.ptr != last.ptr || e->metadata.len != last.len) {
            last = e->metadata;
            last_set = set_of(h, last);
        }
        add_entry(h, stream, hashes[n], last_set, e);
        added++;
    }
    return added;
}

static uint32_t apply_entries(struct head *h, const struct batch *batch, const uint32_t *hashes)
{
    uint32_t added = 0, tenant = head_names_add(&h->text, &h->tenants, batch->tenant);
    for (uint32_t i = 0; i < batch->streams_count; i++)
        if (batch->streams[i].entries_count > 0)
            added += apply_stream(h, tenant, batch, &batch->streams[i], hashes);
    return added;
}

struct store_added head_apply(struct head *h, const struct batch *batch)
{
    struct store_added added = {0};
    uint32_t *hashes = batch->entries_count > 0 ? entry_hashes(batch) : NULL;
    if (batch->spans_count > 0)
        added.spans = head_spans_apply(h->spans, batch);
    pthread_rwlock_wrlock(&h->lock);
    if (batch->entries_count > 0)
        added.entries = apply_entries(h, batch, hashes);
    h->applied_mono_ns = clock_mono_ns();
    pthread_rwlock_unlock(&h->lock);
    free(hashes);
    return added;
}

// --- reading ----------------------------------------------------------------------------------------

static bool visit_streams(const struct head *h, uint32_t tenant, const struct label_matcher *matchers,
                          size_t count,
                          bool (*visit)(void *ctx, const struct head_run *run, struct err *err),
                          void *ctx, struct err *err)
{
    for (uint32_t i = 0; i < h->streams_count; i++) {
        const struct stream *s = &h->streams[i];
        if (s->tenant != tenant || s->count == 0 || !label_matchers_test(matchers, count, s->labels))
            continue;
        struct head_run run = {.stream = i,
                               .labels = s->labels,
                               .fingerprint = s->fingerprint,
                               .entries_count = s->count,
                               .min_ns = s->min_ns,
                               .max_ns = s->max_ns,
                               .line_bytes = s->line_bytes};
        if (!visit(ctx, &run, err))
            return false;
    }
    return true;
}

bool head_select(struct head *h, struct slice tenant, const struct label_matcher *matchers,
                 size_t count, bool (*visit)(void *ctx, const struct head_run *run, struct err *err),
                 void *ctx, struct err *err)
{
    pthread_rwlock_rdlock(&h->lock);
    uint32_t number = head_names_find(&h->tenants, tenant);
    bool good = number == UINT32_MAX || visit_streams(h, number, matchers, count, visit, ctx, err);
    pthread_rwlock_unlock(&h->lock);
    return good;
}

bool head_stream_active(struct head *h, uint32_t stream, int64_t from_ns, int64_t to_ns)
{
    pthread_rwlock_rdlock(&h->lock);
    const struct stream *s = &h->streams[stream];
    bool active = false;
    if (s->max_ns >= from_ns && s->min_ns < to_ns) {
        // Usually one bound lies inside and decides; only a range within the stream's span is walked.
        active = s->min_ns >= from_ns || s->max_ns < to_ns;
        for (uint32_t i = 0; i < s->count && !active; i++) {
            int64_t time_ns = entry_at(h, s->numbers[i])->time_ns;
            active = time_ns >= from_ns && time_ns < to_ns;
        }
    }
    pthread_rwlock_unlock(&h->lock);
    return active;
}

// Stable merge sort by time; `spare` has room for count.
static void sort_entries(struct head_entry *e, uint32_t count, struct head_entry *spare)
{
    if (count < 2)
        return;
    uint32_t half = count / 2;
    sort_entries(e, half, spare);
    sort_entries(e + half, count - half, spare);
    if (e[half - 1].time_ns <= e[half].time_ns)
        return;
    memcpy(spare, e, half * sizeof *e);
    uint32_t left = 0, right = half, to = 0;
    while (left < half)
        e[to++] = right < count && e[right].time_ns < spare[left].time_ns ? e[right++] : spare[left++];
}

void head_copy(struct head *h, uint32_t stream, uint32_t count, struct head_entry *entries_out)
{
    bool sorted = true;
    pthread_rwlock_rdlock(&h->lock);
    const struct stream *s = &h->streams[stream];
    assert(count <= s->count);
    for (uint32_t i = 0; i < count; i++) {
        const struct entry *e = entry_at(h, s->numbers[i]);
        entries_out[i] = (struct head_entry){e->time_ns, e->line, e->line_bytes, e->set};
        sorted = sorted && (i == 0 || entries_out[i - 1].time_ns <= e->time_ns);
    }
    pthread_rwlock_unlock(&h->lock);
    if (sorted)
        return;
    struct head_entry *spare = malloc((count / 2 + 1) * sizeof *spare);
    assert(spare != NULL);
    sort_entries(entries_out, count, spare);
    free(spare);
}

void head_metadata(struct head *h, const struct head_entry *entries, uint32_t count,
                   struct slice *sets_out)
{
    pthread_rwlock_rdlock(&h->lock);
    for (uint32_t i = 0; i < count; i++)
        sets_out[i] = h->sets.items[entries[i].set];
    pthread_rwlock_unlock(&h->lock);
}

static void arrival_of(const struct head *h, const struct entry *e, struct store_arrival *out)
{
    const struct stream *s = &h->streams[e->stream];
    *out = (struct store_arrival){.tenant = h->tenants.items[s->tenant],
                                  .labels = s->labels,
                                  .time_ns = e->time_ns,
                                  .line = slice_of(e->line, e->line_bytes),
                                  .metadata = h->sets.items[e->set]};
}

uint32_t head_arrivals_count(struct head *h)
{
    pthread_rwlock_rdlock(&h->lock);
    uint32_t count = h->entries_count;
    pthread_rwlock_unlock(&h->lock);
    return count;
}

uint32_t head_arrivals(struct head *h, uint32_t first, struct store_arrival *out, uint32_t room)
{
    uint32_t count = 0;
    pthread_rwlock_rdlock(&h->lock);
    for (; count < room && first + count < h->entries_count; count++)
        arrival_of(h, entry_at(h, first + count), &out[count]);
    pthread_rwlock_unlock(&h->lock);
    return count;
}

bool head_trace_entries(struct head *h, struct slice tenant, const uint8_t trace_id[TRACE_ID_BYTES],
                        bool (*visit)(void *ctx, const struct store_arrival *entry, struct err *err), void *ctx,
                        struct err *err)
{
    uint32_t hash = (uint32_t)trace_hash(trace_id) | 1, number;
    bool good = true;
    pthread_rwlock_rdlock(&h->lock);
    for (size_t at = head_table_start(&h->traced, hash);
         good && (number = head_table_next(&h->traced, hash, &at)) != UINT32_MAX;) {
        struct store_arrival arrival;
        uint8_t id[TRACE_ID_BYTES];
        arrival_of(h, entry_at(h, number), &arrival);
        if (slice_eq(arrival.tenant, tenant) && trace_id_of_entry(arrival.metadata, id) &&
            memcmp(id, trace_id, TRACE_ID_BYTES) == 0)
            good = visit(ctx, &arrival, err);
    }
    pthread_rwlock_unlock(&h->lock);
    return good;
}

bool head_tenants(struct head *h, bool (*visit)(void *ctx, struct slice tenant, struct err *err),
                  void *ctx, struct err *err)
{
    bool good = true;
    pthread_rwlock_rdlock(&h->lock);
    for (uint32_t i = 0; i < h->tenants.count && good; i++)
        good = visit(ctx, h->tenants.items[i], err);
    pthread_rwlock_unlock(&h->lock);
    return good && head_spans_tenants(h->spans, visit, ctx, err);
}

// --- sealing ----------------------------------------------------------------------------------------

struct stream_place {
    struct slice tenant;
    struct slice labels;
    uint32_t stream;
};

static int by_labels(const void *a, const void *b)
{
    const struct stream_place *x = a, *y = b;
    int order = slice_cmp(x->tenant, y->tenant);
    return order != 0 ? order : slice_cmp(x->labels, y->labels);
}

static bool write_stream(struct head *h, const struct stream_place *place, struct seg_writer *w,
                         struct err *err)
{
    const struct stream *s = &h->streams[place->stream];
    if (!seg_writer_stream(w, place->tenant, s->labels, s->fingerprint, err))
        return false;
    struct head_entry *entries = malloc((s->count + 1) * sizeof *entries);
    assert(entries != NULL);
    head_copy(h, place->stream, s->count, entries);
    bool good = true;
    for (uint32_t i = 0; i < s->count && good; i++)
        good = seg_writer_entry(w, entries[i].time_ns, slice_of(entries[i].line, entries[i].line_bytes),
                                h->sets.items[entries[i].set], err);
    free(entries);
    return good;
}

bool head_write(struct head *h, struct seg_writer *w, struct err *err)
{
    struct stream_place *places = malloc((h->streams_count + 1) * sizeof *places);
    assert(places != NULL);
    for (uint32_t i = 0; i < h->streams_count; i++)
        places[i] = (struct stream_place){h->tenants.items[h->streams[i].tenant],
                                          h->streams[i].labels, i};
    qsort(places, h->streams_count, sizeof *places, by_labels);
    bool good = true;
    for (uint32_t i = 0; i < h->streams_count && good; i++)
        good = write_stream(h, &places[i], w, err);
    free(places);
    return good && head_spans_write(h->spans, w, err);
}
