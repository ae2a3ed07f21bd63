/*
 * head.c -- the in-memory generation.
 *
 *     streams   one per (tenant, labels), with the numbers of its entries in arrival order
 *     entries   all entries in arrival order, in pages that never move
 *     sets      distinct metadata sets; most entries share a few
 *     known     hash table of entries: the same stream, time, line and metadata is the same entry
 *     text      pages of line, label and metadata bytes that never move
 *
 * H1  What a reader was given (line, label and metadata pointers) stays until the head is freed.
 * H2  An entry is in `known` iff it is in `entries`; no two entries are equal.
 * H3  Entries of a stream are numbered in arrival order; its first n never change.
 *
 * Threads: apply takes the lock for one batch, readers share it. Text, entries and tables are mapped
 * rather than malloc'ed: a sealed generation's memory goes back to the system at once.
 */
#include "store/head.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/limits.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

enum {
    TEXT_PAGE_BYTES = 1024 * 1024,
    ENTRY_PAGE_SHIFT = 14,
    ENTRY_PAGE = 1 << ENTRY_PAGE_SHIFT,
    TABLE_ROOM_MIN = 512,
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

// Open addressing. A slot holds a hash in its high half and number + 1 in its low; 0 is empty.
struct table {
    uint64_t *slots; // mapped
    size_t room;     // a power of two
    size_t count;
};

// Distinct byte strings, numbered.
struct names {
    struct slice *items; // owned; text
    uint32_t count, room;
    struct table known;
};

struct text_page {
    struct text_page *next;
    size_t bytes;
};

struct head {
    uint64_t gen;
    atomic_uint refs;
    pthread_rwlock_t lock; // all below
    struct names tenants;
    struct names sets;
    struct stream *streams; // owned
    uint32_t streams_count, streams_room;
    struct table streams_known;
    struct entry **pages; // owned; mapped pages of ENTRY_PAGE entries
    uint32_t pages_count, pages_room;
    uint32_t entries_count;
    struct table known;
    struct text_page *text; // mapped
    uint8_t *text_pos, *text_end;
    uint64_t bytes;
    uint64_t line_bytes;
    int64_t applied_mono_ns;
};

// --- memory -----------------------------------------------------------------------------------------

static void *map(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert(p != MAP_FAILED); // as malloc elsewhere: heads are capped, so this is not a user's limit
    return p;
}

static void *grown(void *items, uint32_t *room, size_t item_bytes)
{
    *room = *room == 0 ? 16 : *room * 2;
    items = realloc(items, *room * item_bytes);
    assert(items != NULL);
    return items;
}

static uint8_t *text_room(struct head *h, size_t bytes)
{
    if ((size_t)(h->text_end - h->text_pos) < bytes) {
        size_t page_bytes = sizeof(struct text_page) + bytes;
        if (page_bytes < TEXT_PAGE_BYTES)
            page_bytes = TEXT_PAGE_BYTES;
        struct text_page *page = map(page_bytes);
        page->next = h->text;
        page->bytes = page_bytes;
        h->text = page;
        h->text_pos = (uint8_t *)(page + 1);
        h->text_end = (uint8_t *)page + page_bytes;
    }
    uint8_t *at = h->text_pos;
    h->text_pos += bytes;
    h->bytes += bytes;
    return at;
}

static struct slice text_copy(struct head *h, struct slice s)
{
    uint8_t *at = text_room(h, s.len);
    if (s.len > 0)
        memcpy(at, s.ptr, s.len);
    return slice_of(at, s.len);
}

// --- tables -----------------------------------------------------------------------------------------

static void table_put(struct table *t, uint32_t hash, uint32_t number)
{
    size_t at = hash & (t->room - 1);
    while (t->slots[at] != 0)
        at = (at + 1) & (t->room - 1);
    t->slots[at] = (uint64_t)hash << 32 | (number + 1);
    t->count++;
}

// Keeps the table at most half full for one more.
static void table_room(struct head *h, struct table *t)
{
    if ((t->count + 1) * 2 <= t->room)
        return;
    struct table larger = {.room = t->room == 0 ? TABLE_ROOM_MIN : t->room * 2};
    larger.slots = map(larger.room * sizeof *larger.slots);
    for (size_t i = 0; i < t->room; i++)
        if (t->slots[i] != 0)
            table_put(&larger, (uint32_t)(t->slots[i] >> 32), (uint32_t)t->slots[i] - 1);
    if (t->room > 0)
        munmap(t->slots, t->room * sizeof *t->slots);
    h->bytes += (larger.room - t->room) * sizeof *t->slots;
    *t = larger;
}

// Next candidate with this hash from *at on, or UINT32_MAX.
static uint32_t table_next(const struct table *t, uint32_t hash, size_t *at)
{
    for (; t->room > 0 && t->slots[*at] != 0; *at = (*at + 1) & (t->room - 1)) {
        uint64_t slot = t->slots[*at];
        if (slot >> 32 != hash)
            continue;
        *at = (*at + 1) & (t->room - 1);
        return (uint32_t)slot - 1;
    }
    return UINT32_MAX;
}

static size_t table_start(const struct table *t, uint32_t hash)
{
    return t->room == 0 ? 0 : hash & (t->room - 1);
}

static uint32_t names_find(const struct names *names, struct slice s, uint32_t hash)
{
    uint32_t number;
    for (size_t at = table_start(&names->known, hash);
         (number = table_next(&names->known, hash, &at)) != UINT32_MAX;)
        if (slice_eq(names->items[number], s))
            break;
    return number;
}

static uint32_t names_add(struct head *h, struct names *names, struct slice s)
{
    uint32_t hash = (uint32_t)hash64(s);
    uint32_t number = names_find(names, s, hash);
    if (number != UINT32_MAX)
        return number;
    if (names->count == names->room)
        names->items = grown(names->items, &names->room, sizeof *names->items);
    table_room(h, &names->known);
    names->items[names->count] = text_copy(h, s);
    h->bytes += sizeof *names->items;
    table_put(&names->known, hash, names->count);
    return names->count++;
}

static void names_done(struct names *names)
{
    free(names->items);
    if (names->known.room > 0)
        munmap(names->known.slots, names->known.room * sizeof *names->known.slots);
}

// --- life -------------------------------------------------------------------------------------------

struct head *head_new(uint64_t gen)
{
    struct head *h = calloc(1, sizeof *h);
    assert(h != NULL);
    h->gen = gen;
    atomic_init(&h->refs, 1);
    pthread_rwlock_init(&h->lock, NULL);
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
    names_done(&h->tenants);
    names_done(&h->sets);
    for (uint32_t i = 0; i < h->streams_count; i++)
        free(h->streams[i].numbers);
    free(h->streams);
    if (h->streams_known.room > 0)
        munmap(h->streams_known.slots, h->streams_known.room * sizeof *h->streams_known.slots);
    for (uint32_t i = 0; i < h->pages_count; i++)
        munmap(h->pages[i], ENTRY_PAGE * sizeof **h->pages);
    free(h->pages);
    if (h->known.room > 0)
        munmap(h->known.slots, h->known.room * sizeof *h->known.slots);
    while (h->text != NULL) {
        struct text_page *page = h->text;
        h->text = page->next;
        munmap(page, page->bytes);
    }
    pthread_rwlock_destroy(&h->lock);
    free(h);
}

uint64_t head_gen(const struct head *h)
{
    return h->gen;
}

void head_stats(struct head *h, struct head_stats *stats_out)
{
    pthread_rwlock_rdlock(&h->lock);
    *stats_out = (struct head_stats){
        .bytes = h->bytes,
        .entries = h->entries_count,
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
    for (size_t at = table_start(&h->streams_known, hash);
         (number = table_next(&h->streams_known, hash, &at)) != UINT32_MAX;)
        if (h->streams[number].tenant == tenant &&
            hash128_eq(h->streams[number].fingerprint, s->fingerprint))
            return number;
    if (h->streams_count == h->streams_room)
        h->streams = grown(h->streams, &h->streams_room, sizeof *h->streams);
    table_room(h, &h->streams_known);
    number = h->streams_count++;
    h->streams[number] = (struct stream){.labels = text_copy(h, s->labels),
                                         .fingerprint = s->fingerprint,
                                         .tenant = tenant,
                                         .min_ns = INT64_MAX,
                                         .max_ns = INT64_MIN};
    h->bytes += sizeof *h->streams;
    table_put(&h->streams_known, hash, number);
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
    for (size_t at = table_start(&h->known, hash);
         (number = table_next(&h->known, hash, &at)) != UINT32_MAX;) {
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
            h->pages = grown(h->pages, &h->pages_room, sizeof *h->pages);
        h->pages[h->pages_count++] = map(ENTRY_PAGE * sizeof **h->pages);
    }
    h->bytes += sizeof **h->pages;
    return entry_at(h, h->entries_count++);
}

static void add_entry(struct head *h, uint32_t stream, uint32_t hash, uint32_t set,
                      const struct batch_entry *e)
{
    uint32_t number = h->entries_count;
    table_room(h, &h->known);
    *new_entry(h) = (struct entry){
        .time_ns = e->time_ns,
        .line = text_copy(h, e->line).ptr,
        .line_bytes = (uint32_t)e->line.len,
        .set = set,
        .stream = stream,
    };
    table_put(&h->known, hash, number);

    struct stream *s = &h->streams[stream];
    if (s->count == s->room) {
        uint32_t room = s->room;
        s->numbers = grown(s->numbers, &s->room, sizeof *s->numbers);
        h->bytes += (s->room - room) * sizeof *s->numbers;
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
            last_set = names_add(h, &h->sets, last);
        }
        add_entry(h, stream, hashes[n], last_set, e);
        added++;
    }
    return added;
}

uint32_t head_apply(struct head *h, const struct batch *batch)
{
    uint32_t *hashes = entry_hashes(batch);
    uint32_t added = 0;
    pthread_rwlock_wrlock(&h->lock);
    uint32_t tenant = names_add(h, &h->tenants, batch->tenant);
    for (uint32_t i = 0; i < batch->streams_count; i++)
        if (batch->streams[i].entries_count > 0)
            added += apply_stream(h, tenant, batch, &batch->streams[i], hashes);
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
    uint32_t number = names_find(&h->tenants, tenant, (uint32_t)hash64(tenant));
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
    for (; count < room && first + count < h->entries_count; count++) {
        const struct entry *e = entry_at(h, first + count);
        const struct stream *s = &h->streams[e->stream];
        out[count] = (struct store_arrival){.tenant = h->tenants.items[s->tenant],
                                            .labels = s->labels,
                                            .time_ns = e->time_ns,
                                            .line = slice_of(e->line, e->line_bytes),
                                            .metadata = h->sets.items[e->set]};
    }
    pthread_rwlock_unlock(&h->lock);
    return count;
}

bool head_tenants(struct head *h, bool (*visit)(void *ctx, struct slice tenant, struct err *err),
                  void *ctx, struct err *err)
{
    bool good = true;
    pthread_rwlock_rdlock(&h->lock);
    for (uint32_t i = 0; i < h->tenants.count && good; i++)
        good = visit(ctx, h->tenants.items[i], err);
    pthread_rwlock_unlock(&h->lock);
    return good;
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
    return good;
}
