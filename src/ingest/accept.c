/*
 * accept.c -- see accept.h. One pass over the raw entries of a stream; entries that pass are appended to
 * the batch, and share their encoded metadata wherever the sender gave none.
 */
#include "ingest/accept.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "ingest/level.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

bool raw_entries_add(struct raw_entries *raw, struct arena *a, const struct raw_entry *entry)
{
    if (raw->count == raw->room &&
        !arena_grow(a, (void **)&raw->items, sizeof *raw->items, raw->count, &raw->room))
        return false;
    raw->items[raw->count++] = *entry;
    return true;
}

bool raw_entries_pair(struct raw_entries *raw, struct arena *a, struct label pair)
{
    if (raw->pairs_count == raw->pairs_room &&
        !arena_grow(a, (void **)&raw->pairs, sizeof *raw->pairs, raw->pairs_count, &raw->pairs_room))
        return false;
    raw->pairs[raw->pairs_count++] = pair;
    return true;
}

void raw_entries_reset(struct raw_entries *raw)
{
    raw->count = raw->pairs_count = 0;
}

// --- refusals ---------------------------------------------------------------------------------------

// Counts `entries` as refused and notes the text.
static void refuse(struct accept *ac, enum reject_reason reason, uint64_t entries, struct slice text)
{
    ac->rejected[reason] += entries;
    refusals_note(&ac->refusals, ac->arena, text);
}

// --- streams ----------------------------------------------------------------------------------------

void accept_init(struct accept *ac, struct arena *a, struct slice tenant, int64_t oldest_ns,
                 int64_t newest_ns, const struct retention *retention, int64_t now_ns)
{
    *ac = (struct accept){.arena = a, .oldest_ns = oldest_ns, .newest_ns = newest_ns, .retention = retention, .now_ns = now_ns};
    ac->batch.tenant = tenant;
}

static const char *const service_sources[] = {
    "service",   "app",           "application",        "app_name",  "name",     "app_kubernetes_io_name",
    "container", "container_name", "k8s_container_name", "component", "workload", "job",
    "k8s_job_name",
};

bool accept_names_service(struct slice label)
{
    for (size_t i = 0; i < COUNT_OF(service_sources); i++)
        if (slice_eq(label, slice_cstr(service_sources[i])))
            return true;
    return false;
}

static struct slice guess_service(const struct labels *l)
{
    for (size_t i = 0; i < COUNT_OF(service_sources); i++) {
        const struct label *label = labels_get(l, slice_cstr(service_sources[i]));
        if (label != NULL)
            return label->value;
    }
    return SLICE("unknown_service");
}

// Adds service_name to a canonical set that lacks it.
static bool add_service(struct accept *ac, struct labels *l)
{
    if (labels_get(l, SLICE("service_name")) != NULL ||
        labels_get(l, SLICE("__aggregated_metric__")) != NULL ||
        labels_get(l, SLICE("__pattern__")) != NULL)
        return true;
    struct label *items = arena_array(ac->arena, l->count + 1, sizeof *items);
    if (items == NULL)
        return false;
    struct label added = {SLICE("service_name"), guess_service(l)};
    uint32_t at = 0;
    while (at < l->count && slice_cmp(l->items[at].name, added.name) < 0)
        at++;
    if (l->count > 0) {
        memcpy(items, l->items, at * sizeof *items);
        memcpy(items + at + 1, l->items + at, (l->count - at) * sizeof *items);
    }
    items[at] = added;
    *l = (struct labels){items, l->count + 1};
    return true;
}

// With the canonical label string of the stream in hand: "stream '{...}' has ...".
struct stream_text {
    struct accept *ac;
    struct slice encoded;
    int64_t oldest_ns; // of the stream
    struct buf b;
};

static void text_done(struct stream_text *t)
{
    buf_done(&t->b);
}

static void start_text(struct stream_text *t, const char *before)
{
    buf_reset(&t->b);
    buf_put_cstr(&t->b, before);
    labels_print(&t->b, t->encoded);
}

// True when the labels may be stored; else the stream's entries are refused.
static bool check_labels(struct stream_text *t, const struct labels *l, struct slice twice,
                         uint64_t entries)
{
    uint32_t count = l->count - (labels_get(l, SLICE("service_name")) != NULL);
    if (count > INGEST_LABELS_MAX) {
        start_text(t, "entry for stream '");
        buf_printf(&t->b, "' has %u label names; limit %u", count, INGEST_LABELS_MAX);
        refuse(t->ac, REJECT_LABELS, entries, buf_slice(&t->b));
        return false;
    }
    for (uint32_t i = 0; i < l->count; i++) {
        struct label label = l->items[i];
        const char *what = label.name.len > INGEST_LABEL_NAME_BYTES_MAX     ? "label name too long"
                           : label.value.len > INGEST_LABEL_VALUE_BYTES_MAX ? "label value too long"
                           : slice_eq(label.name, twice)                    ? "duplicate label name"
                                                                            : NULL;
        if (what == NULL)
            continue;
        bool value = label.name.len <= INGEST_LABEL_NAME_BYTES_MAX &&
                     label.value.len > INGEST_LABEL_VALUE_BYTES_MAX;
        start_text(t, "stream '");
        buf_printf(&t->b, "' has %s: '%.*s'", what, SLICE_FMT(value ? label.value : label.name));
        refuse(t->ac, REJECT_LABELS, entries, buf_slice(&t->b));
        return false;
    }
    return true;
}

// --- metadata ---------------------------------------------------------------------------------------

static bool is_word(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool name_is_plain(struct slice name)
{
    if (name.len == 0 || (name.ptr[0] >= '0' && name.ptr[0] <= '9'))
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!is_word(name.ptr[i]) &&
            (name.ptr[i] != '_' || (i > 0 && name.ptr[i - 1] == '_')))
            return false;
    return name.len > 1 || name.ptr[0] != '_';
}

bool accept_metadata_name(struct slice name, struct arena *a, struct slice *out, struct err *err)
{
    if (name_is_plain(name)) {
        *out = name;
        return true;
    }
    if (name.len == 0)
        return err_set(err, ERR_INPUT, "label name is empty");
    const bool dunder = name.len > 4 && slice_starts(name, SLICE("__")) &&
                        slice_eq(slice_from(name, name.len - 2), SLICE("__"));
    uint8_t *to = arena_alloc(a, name.len + 4);
    if (to == NULL)
        return arena_ok(a, "structured metadata", err);
    size_t len = 0;
    if (name.ptr[0] >= '0' && name.ptr[0] <= '9') {
        memcpy(to, "key_", 4);
        len = 4;
    }
    for (size_t i = 0; i < name.len; i++) {
        bool kept_underscore = dunder && name.ptr[i] == '_';
        if (is_word(name.ptr[i]) || kept_underscore)
            to[len++] = name.ptr[i];
        else if (len == 0 || to[len - 1] != '_')
            to[len++] = '_';
    }
    bool any = false;
    for (size_t i = 0; i < len; i++)
        any = any || to[i] != '_';
    if (!any)
        return err_set(err, ERR_INPUT, "normalization for label name \"%.*s\" resulted in invalid name \"_\"",
                       SLICE_FMT(name));
    *out = slice_of(to, len);
    return true;
}

// Stable, so that of equal names the last given stays last. Few pairs: insertion.
static void sort_pairs(struct label *pairs, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct label pair = pairs[i];
        size_t at = i;
        for (; at > 0 && slice_cmp(pairs[at - 1].name, pair.name) > 0; at--)
            pairs[at] = pairs[at - 1];
        pairs[at] = pair;
    }
}

static size_t last_of_equal(struct label *pairs, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (kept > 0 && slice_eq(pairs[kept - 1].name, pairs[i].name))
            kept--;
        pairs[kept++] = pairs[i];
    }
    return kept;
}

static bool encode_pairs(struct accept *ac, struct label *pairs, size_t count, struct slice *out)
{
    *out = labels_encoded(&(struct labels){pairs, (uint32_t)count}, ac->arena);
    return out->ptr != NULL;
}

// The set of an entry without metadata of its own: one per level.
static bool level_set(struct accept *ac, enum level level, struct slice *out)
{
    struct slice *set = &ac->level_sets[level];
    if (set->ptr == NULL) {
        struct label pair = {SLICE("detected_level"), level_name(level)};
        if (!encode_pairs(ac, &pair, 1, set))
            return false;
    }
    *out = *set;
    return true;
}

// What stands for a stream in level detection.
struct stream_level {
    enum level level;   // by a stream label
    struct slice value; // its value, kept verbatim when it is no known level; empty: no such label
    struct slice set;   // encoded {detected_level="value"}
};

// The value of detected_level for an entry with normalised pairs.
static struct slice detect_level(const struct stream_level *stream, const struct label *pairs,
                                 size_t count, struct slice line)
{
    if (stream->value.len > 0)
        return stream->value;
    const struct label *named = level_find(pairs, count);
    if (named != NULL) {
        enum level level = level_of_value(named->value);
        return level != LEVEL_NONE ? level_name(level) : named->value;
    }
    for (size_t i = 0; i < count; i++)
        if (slice_eq(pairs[i].name, SLICE("severity_number")))
            return level_name(level_of_severity(pairs[i].value));
    return level_name(level_of_line(line));
}

static bool entry_metadata(struct accept *ac, const struct stream_level *stream,
                           const struct raw_entries *raw, const struct raw_entry *e, struct slice *out,
                           struct err *err)
{
    if (e->pairs_count == 0) {
        *out = stream->set;
        return stream->value.len > 0 || level_set(ac, level_of_line(e->line), out) ||
               arena_ok(ac->arena, "batch", err);
    }
    while (ac->scratch_room < e->pairs_count + 1)
        if (!arena_grow(ac->arena, (void **)&ac->scratch, sizeof *ac->scratch, ac->scratch_room,
                        &ac->scratch_room))
            return arena_ok(ac->arena, "batch", err);
    struct label *pairs = ac->scratch;
    size_t count = 0;
    for (uint32_t i = 0; i < e->pairs_count; i++) {
        const struct label *from = &raw->pairs[e->pairs_first + i];
        struct label *to = &pairs[count];
        if (!accept_metadata_name(from->name, ac->arena, &to->name, err))
            return false;
        to->value = utf8_blanked(from->value, ac->arena);
        if (ac->arena->overflowed)
            return arena_ok(ac->arena, "batch", err);
        count++;
    }
    sort_pairs(pairs, count);
    count = last_of_equal(pairs, count);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (pairs[i].value.len > 0)
            pairs[kept++] = pairs[i];
    count = kept;

    struct label *level = NULL;
    for (size_t i = 0; i < count && level == NULL; i++)
        if (slice_eq(pairs[i].name, SLICE("detected_level")))
            level = &pairs[i];
    if (level != NULL) {
        enum level known = level_of_value(level->value);
        level->value = known != LEVEL_NONE ? level_name(known) : level->value;
    } else {
        struct slice value = detect_level(stream, pairs, count, e->line);
        pairs[count++] = (struct label){SLICE("detected_level"), value};
        sort_pairs(pairs, count);
    }
    return encode_pairs(ac, pairs, count, out) || arena_ok(ac->arena, "batch", err);
}

// --- entries ----------------------------------------------------------------------------------------

static void time_text(int64_t time_ns, char out[CLOCK_RFC3339_BYTES])
{
    if (time_ns == TIME_BEFORE) // what a missing protobuf timestamp is
        (void)snprintf(out, CLOCK_RFC3339_BYTES, "0001-01-01T00:00:00Z");
    else
        clock_rfc3339(time_ns - ((time_ns % NS_PER_S) + NS_PER_S) % NS_PER_S, out);
}

static bool check_time(struct stream_text *t, int64_t time_ns)
{
    struct accept *ac = t->ac;
    if (time_ns >= t->oldest_ns && time_ns <= ac->newest_ns && time_ns != TIME_BEFORE &&
        time_ns != TIME_BEHIND)
        return true;
    bool old = time_ns < t->oldest_ns || time_ns == TIME_BEFORE;
    char at[CLOCK_RFC3339_BYTES], oldest[CLOCK_RFC3339_BYTES];
    time_text(time_ns, at);
    start_text(t, "entry for stream '");
    if (old) {
        time_text(t->oldest_ns > INT64_MIN + NS_PER_S ? t->oldest_ns : INT64_MIN + NS_PER_S, oldest);
        buf_printf(&t->b, "' has timestamp too old: %s, oldest acceptable timestamp is: %s", at, oldest);
    } else {
        buf_printf(&t->b, "' has timestamp too new: %s", at);
    }
    refuse(ac, old ? REJECT_TOO_OLD : REJECT_TOO_NEW, 1, buf_slice(&t->b));
    return false;
}

static bool check_line(struct stream_text *t, size_t line_bytes)
{
    if (line_bytes <= INGEST_LINE_BYTES_MAX)
        return true;
    buf_reset(&t->b);
    buf_printf(&t->b, "max entry size '%" PRIu64 "' bytes exceeded for stream '", INGEST_LINE_BYTES_MAX);
    labels_print(&t->b, t->encoded);
    buf_printf(&t->b, "' while adding an entry with length '%zu' bytes", line_bytes);
    refuse(t->ac, REJECT_LINE, 1, buf_slice(&t->b));
    return false;
}

static bool check_metadata(struct stream_text *t, const struct raw_entries *raw,
                           const struct raw_entry *e)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < e->pairs_count; i++) {
        const struct label *pair = &raw->pairs[e->pairs_first + i];
        bytes += pair->name.len + pair->value.len;
    }
    if (bytes > INGEST_METADATA_BYTES_MAX) {
        start_text(t, "stream '");
        buf_printf(&t->b,
                   "' has structured metadata too large: '%" PRIu64 "' bytes, limit: '%" PRIu64
                   "' bytes. Please see `limits_config.max_structured_metadata_size` or contact your "
                   "Loki administrator to increase it",
                   bytes, INGEST_METADATA_BYTES_MAX);
    } else if (e->pairs_count > INGEST_METADATA_PAIRS_MAX) {
        start_text(t, "stream '");
        buf_printf(&t->b,
                   "' has too many structured metadata labels: '%u', limit: '%u'. Please see "
                   "`limits_config.max_structured_metadata_entries_count` or contact your Loki "
                   "administrator to increase it",
                   e->pairs_count, INGEST_METADATA_PAIRS_MAX);
    } else {
        return true;
    }
    refuse(t->ac, REJECT_METADATA, 1, buf_slice(&t->b));
    return false;
}

static struct batch_stream *new_stream(struct accept *ac, struct slice encoded)
{
    struct batch *b = &ac->batch;
    if (b->streams_count == ac->streams_room &&
        !arena_grow(ac->arena, (void **)&b->streams, sizeof *b->streams, b->streams_count,
                    &ac->streams_room))
        return NULL;
    b->streams[b->streams_count] =
        (struct batch_stream){encoded, hash_128(encoded), b->entries_count, 0};
    return &b->streams[b->streams_count++];
}

static bool add_entries(struct stream_text *t, const struct stream_level *level,
                        struct batch_stream *s, const struct raw_entries *raw, struct err *err)
{
    struct accept *ac = t->ac;
    struct batch *b = &ac->batch;
    for (size_t i = 0; i < raw->count; i++) {
        const struct raw_entry *e = &raw->items[i];
        if (!check_time(t, e->time_ns) || !check_line(t, e->line.len) || !check_metadata(t, raw, e))
            continue;
        if (b->entries_count == ac->entries_room &&
            !arena_grow(ac->arena, (void **)&b->entries, sizeof *b->entries, b->entries_count,
                        &ac->entries_room))
            return arena_ok(ac->arena, "batch", err);
        struct slice metadata;
        if (!entry_metadata(ac, level, raw, e, &metadata, err))
            return false;
        b->entries[b->entries_count++] = (struct batch_entry){e->time_ns, e->line, metadata};
        s->entries_count++;
        b->line_bytes += e->line.len;
        b->metadata_bytes += metadata.len;
    }
    return true;
}

static int64_t oldest_of(const struct accept *ac, struct slice labels)
{
    if (ac->retention == NULL || ac->retention->rules_count == 0)
        return ac->oldest_ns;
    int64_t own_ns = retention_horizon(retention_period(ac->retention, ac->batch.tenant, labels, NULL), ac->now_ns);
    return own_ns > ac->oldest_ns ? own_ns : ac->oldest_ns;
}

bool accept_stream(struct accept *ac, struct labels *labels, const struct raw_entries *raw,
                   struct err *err)
{
    ac->streams_seen++;
    ac->entries_seen += raw->count;
    for (size_t i = 0; i < raw->count; i++)
        ac->line_bytes_seen += raw->items[i].line.len;
    if (raw->count == 0)
        return true;
    if (raw->count > UINT32_MAX / 2 - ac->batch.entries_count)
        return err_set(err, ERR_TOO_LARGE, "too many entries in one request");

    struct slice twice = labels_canon(labels);
    struct slice encoded;
    if (!add_service(ac, labels) || !encode_pairs(ac, labels->items, labels->count, &encoded))
        return arena_ok(ac->arena, "batch", err);
    AUTO(text_done) struct stream_text text = {.ac = ac, .encoded = encoded, .oldest_ns = oldest_of(ac, encoded)};
    buf_init(&text.b, 0);
    if (!check_labels(&text, labels, twice, raw->count))
        return true;

    struct stream_level level = {0};
    const struct label *named = level_find(labels->items, labels->count);
    if (named != NULL) {
        level.level = level_of_value(named->value);
        level.value = level.level != LEVEL_NONE ? level_name(level.level) : named->value;
        struct label pair = {SLICE("detected_level"), level.value};
        if (!encode_pairs(ac, &pair, 1, &level.set))
            return arena_ok(ac->arena, "batch", err);
    }
    struct batch_stream *s = new_stream(ac, encoded);
    return s != NULL ? add_entries(&text, &level, s, raw, err) : arena_ok(ac->arena, "batch", err);
}

bool accept_finish(struct accept *ac, struct err *err)
{
    if (ac->streams_seen == 0)
        return err_set(err, ERR_EMPTY, "error at least one valid stream is required for ingestion");
    if (!arena_ok(ac->arena, "request", err)) {
        err->code = ERR_TOO_LARGE;
        return false;
    }
    return true;
}
