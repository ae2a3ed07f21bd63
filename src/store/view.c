/*
 * view.c -- a query's hold on the store: one manifest, one index transaction of the same number (S3).
 *
 * V1  A view sees each generation exactly once: as a head or as a segment, never both, never neither.
 * V2  Nothing that view_select() returns needs the index read: it stays valid after view_settle().
 *
 * Threads: a view belongs to one thread; loaders of one view may run on many, for they touch only the
 * manifest's immutable objects.
 */
#include "store/store.h"

#include "base/clock.h"
#include "base/limits.h"
#include "store/state.h"
#include "store/tenants.h"
#include "store/view.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

struct slice view_tenant(const struct view *v)
{
    return v->tenants.items[0].name;
}

bool view_has_one_tenant(const struct view *v, struct err *err)
{
    return !tenants_many(&v->tenants) || err_set(err, ERR_INPUT, "spans are asked of one org ID at a time");
}

// The manifest that belongs to an index commit; NULL when it was replaced meanwhile.
static struct manifest *manifest_numbered(struct store *st, uint64_t number)
{
    struct manifest *m = NULL;
    pthread_mutex_lock(&st->manifest_lock);
    if (st->manifest->number == number)
        m = manifest_ref(st->manifest);
    else if (st->manifest_next != NULL && st->manifest_next->number == number)
        m = manifest_ref(st->manifest_next);
    pthread_mutex_unlock(&st->manifest_lock);
    return m;
}

// The numbers of the tenants that the index has.
static bool know_tenants(struct view *v, struct err *err)
{
    for (uint32_t i = 0; i < v->tenants.count; i++) {
        struct tenant *t = &v->tenants.items[i];
        struct err why = {0};
        t->known = index_namespace(&v->read, t->name, &t->ns, &why);
        if (!t->known && why.code != ERR_NONE) {
            *err = why;
            return false;
        }
    }
    return true;
}

// Until view_end() the index keeps the labels of streams that the view's segments name; until its manifest is chosen, all.
static void enlist(struct view *v, struct store *st)
{
    pthread_mutex_lock(&st->manifest_lock);
    v->store = st;
    v->next = st->views;
    if (v->next != NULL)
        v->next->previous = v;
    st->views = v;
    pthread_mutex_unlock(&st->manifest_lock);
}

static void number_view(struct view *v)
{
    pthread_mutex_lock(&v->store->manifest_lock);
    v->number = v->manifest->number;
    pthread_mutex_unlock(&v->store->manifest_lock);
}

static void delist(struct view *v)
{
    if (v->store == NULL)
        return;
    pthread_mutex_lock(&v->store->manifest_lock);
    if (v->previous != NULL)
        v->previous->next = v->next;
    else
        v->store->views = v->next;
    if (v->next != NULL)
        v->next->previous = v->previous;
    pthread_mutex_unlock(&v->store->manifest_lock);
}

uint64_t view_oldest_manifest(struct store *st)
{
    uint64_t oldest = UINT64_MAX;
    pthread_mutex_lock(&st->manifest_lock);
    for (const struct view *v = st->views; v != NULL; v = v->next)
        oldest = v->number < oldest ? v->number : oldest;
    pthread_mutex_unlock(&st->manifest_lock);
    return oldest;
}

bool view_begin(struct store *st, struct slice tenants, struct view **view_out, struct err *err)
{
    AUTO(view_endp) struct view *v = calloc(1, sizeof *v);
    assert(v != NULL);
    v->settled = true;
    pthread_mutex_init(&v->read_lock, NULL);
    v->retention = &st->options.retention;
    v->now_ns = clock_wall_ns();
    // Before the manifest: a request is done when no later manifest has anything of it.
    v->deletions = deletions_active(st->deletions);
    if (!tenants_read(tenants, &v->tenants, err))
        return false;
    enlist(v, st);
    // Ends: a commit takes far longer than a turn, and each turn misses only by a commit.
    while (v->manifest == NULL) {
        index_close(v->index);
        v->index = store_index(st);
        if (!index_read_begin(v->index, &v->read, err))
            return false;
        v->manifest = manifest_numbered(st, v->read.manifest);
        if (v->manifest == NULL)
            index_read_end(&v->read);
    }
    v->settled = false;
    number_view(v);
    if (!know_tenants(v, err))
        return false;
    *view_out = MOVE(v);
    return true;
}

struct manifest *view_manifest(const struct view *v)
{
    return v->manifest;
}

void view_settle(struct view *v)
{
    if (!v->settled)
        index_read_end(&v->read);
    v->settled = true;
}

void view_end(struct view *v)
{
    if (v == NULL)
        return;
    view_settle(v);
    delist(v);
    index_close(v->index);
    manifest_unref(v->manifest);
    deletion_set_unref(v->deletions);
    pthread_mutex_destroy(&v->read_lock);
    tenants_done(&v->tenants);
    free(v);
}

// --- selecting --------------------------------------------------------------------------------------

struct selecting {
    struct view *view;
    uint32_t tenant; // whose streams are being selected: a number in view->tenants
    struct arena *a;
    int64_t from_ns, to_ns;
    struct view_stream *streams;
    size_t streams_count, streams_room;
    struct view_run *runs;
    size_t runs_count, runs_room;
    uint32_t runs_pruned;
    // The index' ids of matching streams, and where they are in `streams`: NO_STREAM until a run was found.
    struct stream_ids ids;
    uint32_t *id_streams;
    // Streams that only heads have, by fingerprint.
    struct hash128 *fingerprints;
    uint32_t *fingerprint_streams; // parallel
    size_t fingerprints_count, fingerprints_room, fingerprint_streams_room;
    uint32_t *slots; // place in fingerprints + 1; 0 is empty
    size_t slots_room;
    uint64_t gen;    // of the segment or head being visited
    uint32_t source; // its number in the view
    // Which sources may have something of the tenant's deleted traces.
    enum traced { TRACED_UNKNOWN, TRACED_KNOWN, TRACED_ALL } traced;
    const bool *traced_sources; // TRACED_KNOWN; NULL: none
};

#define NO_STREAM UINT32_MAX

static const struct tenant *selected_tenant(const struct selecting *s)
{
    return &s->view->tenants.items[s->tenant];
}

// The number of a new stream; NO_STREAM when the arena is full.
static uint32_t add_stream(struct selecting *s, struct slice labels, uint64_t id)
{
    if (labels.ptr != NULL)
        labels = tenants_labels(&s->view->tenants, s->tenant, labels, s->a);
    if (s->streams_count >= NO_STREAM - 1 ||
        (s->streams_count == s->streams_room &&
         !arena_grow(s->a, (void **)&s->streams, sizeof *s->streams, s->streams_count, &s->streams_room)))
        return NO_STREAM;
    s->streams[s->streams_count] = (struct view_stream){labels, id, s->tenant};
    return (uint32_t)s->streams_count++;
}

static void slot_put(struct selecting *s, size_t place)
{
    size_t at = s->fingerprints[place].lo & (s->slots_room - 1);
    while (s->slots[at] != 0)
        at = (at + 1) & (s->slots_room - 1);
    s->slots[at] = (uint32_t)place + 1;
}

static bool slots_grow(struct selecting *s)
{
    if ((s->fingerprints_count + 1) * 2 <= s->slots_room)
        return true;
    s->slots_room = s->slots_room == 0 ? 64 : s->slots_room * 4;
    s->slots = arena_zalloc(s->a, s->slots_room * sizeof *s->slots);
    for (size_t i = 0; s->slots != NULL && i < s->fingerprints_count; i++)
        slot_put(s, i);
    return s->slots != NULL;
}

// Number of a stream that the index does not have; NO_STREAM when the arena is full. The labels are the
// head's, which the view pins.
static uint32_t head_stream(struct selecting *s, struct slice labels, struct hash128 fingerprint)
{
    if (!slots_grow(s))
        return NO_STREAM;
    for (size_t at = fingerprint.lo & (s->slots_room - 1); s->slots[at] != 0;
         at = (at + 1) & (s->slots_room - 1))
        if (hash128_eq(s->fingerprints[s->slots[at] - 1], fingerprint))
            return s->fingerprint_streams[s->slots[at] - 1];
    if (!arena_grow(s->a, (void **)&s->fingerprints, sizeof *s->fingerprints, s->fingerprints_count,
                    &s->fingerprints_room) ||
        !arena_grow(s->a, (void **)&s->fingerprint_streams, sizeof *s->fingerprint_streams,
                    s->fingerprints_count, &s->fingerprint_streams_room))
        return NO_STREAM;
    uint32_t stream = add_stream(s, labels, 0);
    s->fingerprints[s->fingerprints_count] = fingerprint;
    s->fingerprint_streams[s->fingerprints_count] = stream;
    slot_put(s, s->fingerprints_count++);
    return stream;
}

static bool add_run(struct selecting *s, uint32_t stream, const struct index_run *run,
                    struct err *err)
{
    if (stream == NO_STREAM ||
        (s->runs_count == s->runs_room &&
         !arena_grow(s->a, (void **)&s->runs, sizeof *s->runs, s->runs_count, &s->runs_room)))
        return arena_ok(s->a, "streams and runs of a selection", err);
    s->runs[s->runs_count++] = (struct view_run){
        .stream = stream,
        .source = s->source,
        .block = run->block,
        .first = run->first,
        .entries_count = run->entries_count,
        .min_ns = run->min_ns,
        .max_ns = run->max_ns,
        .line_bytes = run->line_bytes,
        .order = s->gen << 24 | run->block,
    };
    return true;
}

static bool overlaps(const struct selecting *s, int64_t min_ns, int64_t max_ns)
{
    return max_ns >= s->from_ns && min_ns < s->to_ns;
}

static bool visit_row(void *ctx, size_t at, struct index_row row, struct err *err)
{
    struct selecting *s = ctx;
    struct index_run run;
    bool bad = false;
    while (index_row_next(&row, &run, &bad)) {
        if (!overlaps(s, run.min_ns, run.max_ns)) {
            s->runs_pruned++;
            continue;
        }
        if (s->id_streams[at] == NO_STREAM)
            s->id_streams[at] = add_stream(s, (struct slice){0}, s->ids.ids[at]);
        if (!add_run(s, s->id_streams[at], &run, err))
            return false;
    }
    if (bad)
        return err_set(err, ERR_CORRUPT, "index: broken row of generation %016" PRIx64, s->gen);
    return true;
}

bool view_segment_overlaps(const struct index_segment *row, int64_t from_ns, int64_t to_ns)
{
    return row->max_ns >= from_ns && row->min_ns < to_ns;
}

// Selects ids, where segments or heads of the range may hold them.
static bool select_ids(struct selecting *s, const struct label_matcher *matchers, size_t count,
                       struct err *err)
{
    const struct tenant *t = selected_tenant(s);
    if (!t->known)
        return true;
    if (!index_select(&s->view->read, t->ns, matchers, count, s->a, &s->ids, err))
        return false;
    s->id_streams = arena_array(s->a, s->ids.count + 1, sizeof *s->id_streams);
    if (s->id_streams == NULL)
        return arena_ok(s->a, "streams of a selection", err);
    for (size_t i = 0; i < s->ids.count; i++)
        s->id_streams[i] = NO_STREAM;
    return true;
}

static bool select_segments(struct selecting *s, struct err *err)
{
    struct view *v = s->view;
    for (uint32_t i = 0; i < v->manifest->segments_count && s->ids.count > 0; i++) {
        const struct index_segment *row = &v->manifest->segments[i].row;
        if (!view_segment_overlaps(row, s->from_ns, s->to_ns))
            continue;
        s->gen = row->gen;
        s->source = i;
        if (!index_rows(&v->read, selected_tenant(s)->ns, row->gen, &s->ids, visit_row, s, err))
            return false;
    }
    return true;
}

static int by_id(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

// The stream of a head's run: the index' where it has one, so that each stream is in the selection once.
static bool stream_of_head(struct selecting *s, const struct head_run *run, uint32_t *stream_out,
                           struct err *err)
{
    uint64_t id;
    struct err why = {0};
    bool indexed = s->ids.count > 0 &&
                   index_find_stream(&s->view->read, selected_tenant(s)->ns, run->fingerprint, &id, &why);
    if (why.code != ERR_NONE) {
        *err = why;
        return false;
    }
    const uint64_t *found =
        indexed ? bsearch(&id, s->ids.ids, s->ids.count, sizeof id, by_id) : NULL;
    if (found == NULL) {
        *stream_out = head_stream(s, run->labels, run->fingerprint);
        return true;
    }
    uint32_t *number = &s->id_streams[found - s->ids.ids];
    if (*number == NO_STREAM)
        *number = add_stream(s, run->labels, id);
    *stream_out = *number;
    return true;
}

// A head's run: `block` is the stream's number there.
static bool visit_head_run(void *ctx, const struct head_run *run, struct err *err)
{
    struct selecting *s = ctx;
    if (!overlaps(s, run->min_ns, run->max_ns)) {
        s->runs_pruned++;
        return true;
    }
    uint32_t stream;
    return stream_of_head(s, run, &stream, err) &&
           add_run(s, stream,
                   &(struct index_run){.block = run->stream,
                                       .entries_count = run->entries_count,
                                       .min_ns = run->min_ns,
                                       .max_ns = run->max_ns,
                                       .line_bytes = run->line_bytes},
                   err);
}

static bool select_heads(struct selecting *s, const struct label_matcher *matchers, size_t count,
                         struct err *err)
{
    struct manifest *m = s->view->manifest;
    for (uint32_t i = 0; i < m->heads_count; i++) {
        s->gen = head_gen(m->heads[i]);
        s->source = m->segments_count + i;
        if (!head_select(m->heads[i], selected_tenant(s)->name, matchers, count, visit_head_run, s, err))
            return false;
    }
    return true;
}

static int by_stream_and_time(const void *a, const void *b)
{
    const struct view_run *x = a, *y = b;
    if (x->stream != y->stream)
        return x->stream < y->stream ? -1 : 1;
    if (x->min_ns != y->min_ns)
        return x->min_ns < y->min_ns ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

// Nothing of a tenant's before the result can be alive.
int64_t view_not_expired(const struct view *v, const struct tenant *t, int64_t from_ns)
{
    int64_t horizon_ns = retention_horizon(retention_bounds(v->retention, t->name).longest_ns, v->now_ns);
    return horizon_ns > from_ns ? horizon_ns : from_ns;
}

// Adds what one tenant has.
static bool select_tenant(struct selecting *s, uint32_t tenant, int64_t from_ns, const struct label_matcher *matchers,
                          size_t count, struct err *err)
{
    s->tenant = tenant;
    s->from_ns = view_not_expired(s->view, &s->view->tenants.items[tenant], from_ns);
    s->ids = (struct stream_ids){0};
    // Fingerprints are of labels alone.
    s->fingerprints_count = s->slots_room = 0;
    s->slots = NULL;
    return select_ids(s, matchers, count, err) && select_segments(s, err) && select_heads(s, matchers, count, err);
}

// --- masks ------------------------------------------------------------------------------------------

const struct store_filter_ops *view_filter_ops(const struct view *v)
{
    return v->deletions->count > 0 ? v->deletions->items[0]->ops : NULL;
}

bool view_is_deleted(const struct view *v, const struct store_arrival *entry, uint64_t age, void *space)
{
    for (size_t i = 0; i < v->deletions->count; i++) {
        const struct deletion *d = v->deletions->items[i];
        if (deletion_selects_stream(d, entry->tenant, entry->labels) && deletion_selects(d, entry, age, space))
            return true;
    }
    return false;
}

static bool is_about(const struct deletion *d, struct slice tenant, int64_t min_ns, int64_t max_ns)
{
    return min_ns < d->to_ns && max_ns >= d->from_ns && slice_eq(d->tenant, tenant);
}

bool view_mask(const struct view *v, uint32_t tenant, struct slice labels, int64_t min_ns, int64_t max_ns, struct arena *a,
               const struct run_mask **mask_out, struct err *err)
{
    struct slice name = v->tenants.items[tenant].name;
    struct run_mask mask = {.from_ns = retention_horizon(retention_period(v->retention, name, labels, NULL), v->now_ns)};
    size_t room = 0;
    for (size_t i = 0; i < v->deletions->count; i++) {
        const struct deletion *d = v->deletions->items[i];
        if (!is_about(d, name, min_ns, max_ns) || !deletion_selects_stream(d, name, labels))
            continue;
        if (!arena_grow(a, (void **)&mask.deletions, sizeof(struct deletion *), mask.deletions_count, &room))
            return arena_ok(a, "deletions of a stream", err);
        mask.deletions[mask.deletions_count++] = d;
        mask.by_line = mask.by_line || d->by_line;
        mask.by_trace = mask.by_trace || d->by_trace;
    }
    *mask_out = NULL;
    if (mask.from_ns <= min_ns && mask.deletions_count == 0)
        return true;
    mask.labels = labels;
    struct slice bytes = arena_copy(a, slice_of(&mask, sizeof mask));
    *mask_out = (const struct run_mask *)(const void *)bytes.ptr;
    return arena_ok(a, "runs of a selection", err);
}

// Whether a stream with runs in that time may have to be masked, whatever its labels.
static bool may_mask(const struct view *v, struct slice tenant, int64_t earliest_ns, int64_t min_ns, int64_t max_ns)
{
    for (size_t i = 0; i < v->deletions->count; i++)
        if (is_about(v->deletions->items[i], tenant, min_ns, max_ns))
            return true;
    return min_ns < earliest_ns;
}

bool view_hides_all(const struct run_mask *mask, const struct view_run *run)
{
    for (size_t i = 0; i < mask->deletions_count; i++) {
        const struct deletion *d = mask->deletions[i];
        if (!d->by_line && !d->by_trace && run->min_ns >= d->from_ns && run->max_ns < d->to_ns && run->order >> 24 <= d->age_max)
            return true;
    }
    return run->max_ns < mask->from_ns;
}

static uint64_t age_of(const struct manifest *m, uint32_t source)
{
    return source < m->segments_count ? seg_age(m->segments[source].row.gen) : head_gen(m->heads[source - m->segments_count]);
}

struct marking {
    const struct manifest *m;
    uint64_t age_max;
    bool *sources;
};

static bool mark_source(void *ctx, uint64_t gen, struct err *err)
{
    (void)err;
    const struct marking *marking = ctx;
    const struct manifest_segment *s = manifest_find(marking->m, gen);
    if (s != NULL && seg_age(gen) <= marking->age_max)
        marking->sources[s - marking->m->segments] = true;
    return true;
}

bool view_deleted_sources(struct view *v, uint32_t tenant, struct arena *a, const bool **sources_out, struct err *err)
{
    const struct manifest *m = v->manifest;
    const struct tenant *t = &v->tenants.items[tenant];
    struct marking marking = {.m = m};
    for (size_t i = 0; i < v->deletions->traces_count; i++) {
        const struct deletion *d = v->deletions->traces[i];
        if (!slice_eq(d->tenant, t->name))
            continue;
        if (marking.sources == NULL)
            marking.sources = arena_zalloc(a, (m->segments_count + m->heads_count + 1) * sizeof *marking.sources);
        if (marking.sources == NULL)
            return arena_ok(a, "deleted traces", err);
        marking.age_max = d->age_max;
        for (uint32_t n = v->settled ? 0 : m->segments_count; n < m->segments_count + m->heads_count; n++)
            marking.sources[n] |= age_of(m, n) <= d->age_max;
        if (!v->settled && t->known &&
            !index_trace_segments(&v->read, t->ns, trace_hash(d->trace_id), mark_source, &marking, err))
            return false;
    }
    *sources_out = marking.sources;
    return true;
}

// The same, asked of the index once; when that fails, it may.
static bool is_traced(struct selecting *s, uint32_t tenant, uint32_t source)
{
    struct err ignored;
    if (s->traced == TRACED_UNKNOWN)
        s->traced = view_deleted_sources(s->view, tenant, s->a, &s->traced_sources, &ignored) ? TRACED_KNOWN : TRACED_ALL;
    return s->traced == TRACED_ALL || (s->traced_sources != NULL && s->traced_sources[source]);
}

// Whether something of a run is hidden, or may be.
static bool hides_some(struct selecting *s, uint32_t tenant, const struct run_mask *mask, const struct view_run *run)
{
    bool some = run->min_ns < mask->from_ns || (mask->by_trace && is_traced(s, tenant, run->source));
    for (size_t i = 0; i < mask->deletions_count && !some; i++) {
        const struct deletion *d = mask->deletions[i];
        some = !d->by_trace && run->min_ns < d->to_ns && run->max_ns >= d->from_ns && run->order >> 24 <= d->age_max;
    }
    return some;
}

// Masks one stream's runs, [first, end); those of which nothing is left go. They move to *kept.
static bool mask_stream(struct selecting *s, size_t first, size_t end, int64_t earliest_ns, size_t *kept, struct err *err)
{
    struct view *v = s->view;
    struct view_stream *stream = &s->streams[s->runs[first].stream];
    const struct run_mask *mask = NULL;
    struct slice labels = LABELS_EMPTY;
    int64_t min_ns = s->runs[first].min_ns, max_ns = INT64_MIN;
    for (size_t i = first; i < end; i++)
        max_ns = s->runs[i].max_ns > max_ns ? s->runs[i].max_ns : max_ns;
    if (may_mask(v, v->tenants.items[stream->tenant].name, earliest_ns, min_ns, max_ns)) {
        if ((v->retention->rules_count > 0 || v->deletions->count > 0) && !view_labels(v, stream, s->a, &labels, err))
            return false;
        if (!view_mask(v, stream->tenant, labels, min_ns, max_ns, s->a, &mask, err))
            return false;
    }
    for (size_t i = first; i < end; i++) {
        struct view_run run = s->runs[i];
        if (mask != NULL && view_hides_all(mask, &run)) {
            s->runs_pruned++;
            continue;
        }
        run.mask = mask != NULL && hides_some(s, stream->tenant, mask, &run) ? mask : NULL;
        s->runs[(*kept)++] = run;
    }
    return true;
}

// Takes out what is not to be handed out any more, and streams of which nothing is left.
static bool mask_runs(struct selecting *s, struct err *err)
{
    const struct view *v = s->view;
    uint32_t tenant = UINT32_MAX;
    int64_t earliest_ns = INT64_MIN; // of the tenant: no rule of its expires anything later
    size_t kept = 0, streams = 0;
    for (size_t first = 0, end; first < s->runs_count; first = end) {
        uint32_t stream = s->runs[first].stream;
        size_t kept_before = kept;
        for (end = first; end < s->runs_count && s->runs[end].stream == stream; end++)
            continue;
        if (s->streams[stream].tenant != tenant) {
            tenant = s->streams[stream].tenant;
            s->traced = TRACED_UNKNOWN;
            struct slice name = v->tenants.items[tenant].name;
            earliest_ns = retention_horizon(retention_bounds(v->retention, name).shortest_ns, v->now_ns);
        }
        if (!mask_stream(s, first, end, earliest_ns, &kept, err))
            return false;
        if (kept == kept_before)
            continue;
        s->streams[streams] = s->streams[stream];
        for (size_t i = kept_before; i < kept; i++)
            s->runs[i].stream = (uint32_t)streams;
        streams++;
    }
    s->runs_count = kept;
    s->streams_count = streams;
    return true;
}

bool view_select(struct view *v, const struct label_matcher *matchers, size_t count, int64_t from_ns,
                 int64_t to_ns, struct arena *a, struct view_selection *out, struct err *err)
{
    assert(!v->settled);
    struct selecting s = {.view = v, .a = a, .from_ns = from_ns, .to_ns = to_ns};
    struct tenant_matchers split;
    if (!tenants_split(&v->tenants, matchers, count, a, &split, err))
        return false;
    for (uint32_t i = 0; i < v->tenants.count && from_ns < to_ns; i++)
        if (tenants_match(&v->tenants, i, &split) && !select_tenant(&s, i, from_ns, split.others, split.others_count, err))
            return false;
    if (s.runs_count > 0)
        qsort(s.runs, s.runs_count, sizeof *s.runs, by_stream_and_time);
    if (s.runs_count > UINT32_MAX)
        return err_set(err, ERR_LIMIT, "the selection has %zu runs", s.runs_count);
    if (!mask_runs(&s, err))
        return false;
    *out = (struct view_selection){s.streams, (uint32_t)s.streams_count, s.runs,
                                   (uint32_t)s.runs_count, s.runs_pruned};
    return true;
}

// Labels by id never change, so a transaction of their own serves after view_settle().
bool view_labels(struct view *v, struct view_stream *stream, struct arena *a, struct slice *labels_out,
                 struct err *err)
{
    if (stream->labels.ptr == NULL) {
        struct index_read own, *read = &v->read;
        struct slice labels;
        if (v->settled && !index_read_begin(v->index, &own, err))
            return false;
        if (v->settled)
            read = &own;
        bool good = index_labels(read, v->tenants.items[stream->tenant].ns, stream->id, &labels, err);
        if (good && tenants_many(&v->tenants))
            stream->labels = tenants_labels(&v->tenants, stream->tenant, labels, a);
        else if (good)
            stream->labels = arena_copy(a, labels);
        if (v->settled)
            index_read_end(&own);
        if (!good || !arena_ok(a, "labels of a selection", err))
            return false;
    }
    *labels_out = stream->labels;
    return true;
}

bool view_labels_all(struct view *v, struct view_selection *selection, struct arena *a, struct err *err)
{
    struct slice ignored;
    for (uint32_t i = 0; i < selection->streams_count; i++)
        if (!view_labels(v, &selection->streams[i], a, &ignored, err))
            return false;
    return true;
}

// --- expiry by stream -------------------------------------------------------------------------------

int64_t view_entry_horizon(const struct view *v, struct slice labels)
{
    struct slice tenant = v->tenants.items[0].name;
    return retention_horizon(retention_period(v->retention, tenant, labels, NULL), v->now_ns);
}

int64_t view_horizon_ns(const struct view *v)
{
    return view_not_expired(v, &v->tenants.items[0], INT64_MIN);
}

bool view_trace_is_deleted(const struct view *v, uint32_t source, const uint8_t trace_id[TRACE_ID_BYTES])
{
    return deletion_set_has_trace(v->deletions, view_tenant(v), trace_id, age_of(v->manifest, source));
}

bool view_span_horizons_differ(const struct view *v)
{
    return v->retention->rules_count > 0;
}

int64_t view_span_horizon(const struct view *v, const struct span_resource *resource)
{
    return retention_span_horizon(v->retention, v->tenants.items[0].name, resource->service, v->now_ns);
}
