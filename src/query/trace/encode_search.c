/* encode_search.c -- searches, metrics, names and values of attributes; see encode_trace.h. */
#include "query/trace/encode_trace.h"

#include "query/trace/encode_value.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

enum { HEX_BYTES_MAX = 2 * TRACE_ID_BYTES };

static void put_id(struct msgout *m, uint32_t field, const char *name, const uint8_t *id, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t text[HEX_BYTES_MAX];
    assert(2 * len <= sizeof text);
    for (size_t i = 0; i < len; i++) {
        text[2 * i] = (uint8_t)digits[id[i] >> 4];
        text[2 * i + 1] = (uint8_t)digits[id[i] & 15];
    }
    msgout_string(m, field, name, slice_of(text, 2 * len));
}

static uint32_t clamp_u32(uint64_t value)
{
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

// SearchMetrics. A block that could not be read is a job that was not completed: the strict parsers of these answers know no
// other way to hear that something is missing.
static void put_search_metrics(struct msgout *m, const struct trace_stats *s, uint32_t warnings, bool spans)
{
    struct msgout_mark mark = msgout_open(m, 2, "metrics");
    uint64_t jobs = s->blocks - (s->blocks_pruned < s->blocks ? s->blocks_pruned : s->blocks);
    msgout_u32(m, 1, "inspectedTraces", clamp_u32(s->traces));
    msgout_u64(m, 2, "inspectedBytes", s->bytes);
    msgout_u32(m, 3, "totalBlocks", clamp_u32(s->blocks));
    msgout_u32(m, 4, "completedJobs", clamp_u32(jobs));
    msgout_u32(m, 5, "totalJobs", clamp_u32(jobs + warnings));
    if (spans)
        msgout_u64(m, 7, "inspectedSpans", s->spans);
    msgout_close(m, mark);
}

// MetadataMetrics, with other numbers for the same.
static void put_metadata_metrics(struct msgout *m, const struct trace_stats *s, uint32_t warnings)
{
    struct msgout_mark mark = msgout_open(m, 2, "metrics");
    uint64_t jobs = s->blocks - (s->blocks_pruned < s->blocks ? s->blocks_pruned : s->blocks);
    msgout_u64(m, 1, "inspectedBytes", s->bytes);
    msgout_u32(m, 2, "totalJobs", clamp_u32(jobs + warnings));
    msgout_u32(m, 3, "completedJobs", clamp_u32(jobs));
    msgout_u32(m, 4, "totalBlocks", clamp_u32(s->blocks));
    msgout_close(m, mark);
}

// --- search -------------------------------------------------------------------------------------------

static void put_found_span(struct msgout *m, const struct found_span *s, bool names)
{
    struct msgout_mark mark = msgout_open(m, 1, NULL);
    put_id(m, 1, "spanID", s->span_id, SPAN_ID_BYTES);
    if (names || s->name_asked)
        msgout_string(m, 2, "name", s->name);
    msgout_u64(m, 3, "startTimeUnixNano", s->start_ns);
    msgout_u64(m, 4, "durationNanos", s->duration_ns);
    encode_attributes(m, 5, "attributes", &s->attributes);
    msgout_close(m, mark);
}

static void put_set(struct msgout *m, const struct found_set *set, bool names)
{
    struct msgout_mark mark = msgout_open(m, 7, NULL);
    struct msgout_mark list = msgout_list(m, "spans");
    for (uint32_t i = 0; i < set->spans_count; i++)
        put_found_span(m, &set->spans[i], names);
    msgout_list_end(m, list);
    msgout_u32(m, 2, "matched", set->matched);
    encode_attributes(m, 3, "attributes", &set->attributes);
    msgout_close(m, mark);
}

static void put_services(struct msgout *m, const struct found_trace *t)
{
    if (t->services_count == 0)
        return;
    struct msgout_mark map = msgout_map(m, "serviceStats");
    for (uint32_t i = 0; i < t->services_count; i++) {
        struct msgout_entry entry = msgout_entry(m, 8, t->services[i].name);
        msgout_u32(m, 1, "spanCount", t->services[i].spans);
        msgout_u32(m, 2, "errorCount", t->services[i].errors);
        msgout_entry_end(m, entry);
    }
    msgout_map_end(m, map);
}

static void put_found_trace(struct msgout *m, const struct found_trace *t, bool names)
{
    struct msgout_mark mark = msgout_open(m, 1, NULL);
    put_id(m, 1, "traceID", t->trace_id, TRACE_ID_BYTES);
    msgout_string(m, 2, "rootServiceName", t->root_service);
    msgout_string(m, 3, "rootTraceName", t->root_name);
    msgout_u64(m, 4, "startTimeUnixNano", t->start_ns);
    msgout_u32(m, 5, "durationMs", clamp_u32(t->duration_ns / 1000000));
    if (t->sets_count > 0) {
        struct msgout_mark list = msgout_list(m, "spanSets");
        for (uint32_t i = 0; i < t->sets_count; i++)
            put_set(m, &t->sets[i], names);
        msgout_list_end(m, list);
    }
    put_services(m, t);
    msgout_close(m, mark);
}

void encode_trace_search(struct buf *b, const struct trace_search_result *result, bool names, enum encode_form form)
{
    struct msgout m = msgout_begin(b, form == ENCODE_JSON);
    struct msgout_mark list = msgout_list(&m, "traces");
    for (uint32_t i = 0; i < result->traces_count; i++)
        put_found_trace(&m, &result->traces[i], names);
    msgout_list_end(&m, list);
    put_search_metrics(&m, &result->stats, result->warnings.count, false);
    msgout_end(&m);
}

// --- metrics ------------------------------------------------------------------------------------------

static void put_time_ms(struct msgout *m, uint32_t field, int64_t time_ms)
{
    if (time_ms != 0)
        msgout_one_i64(m, field, "timestampMs", time_ms);
}

static void put_sample(struct msgout *m, const struct trace_sample *s)
{
    struct msgout_mark mark = msgout_open(m, 2, NULL);
    msgout_double(m, 1, "value", s->value);
    put_time_ms(m, 2, s->time_ms);
    msgout_close(m, mark);
}

static void put_exemplar(struct msgout *m, const struct trace_exemplar *e)
{
    struct msgout_mark mark = msgout_open(m, 4, NULL);
    encode_attributes(m, 1, "labels", &e->labels);
    msgout_double(m, 2, "value", e->value);
    put_time_ms(m, 3, e->time_ms);
    msgout_close(m, mark);
}

static void put_series(struct msgout *m, const struct trace_series *s, bool instant)
{
    struct msgout_mark mark = msgout_open(m, 1, NULL);
    encode_attributes(m, 1, "labels", &s->labels);
    if (instant) {
        msgout_double(m, 2, "value", s->samples_count > 0 ? s->samples[0].value : 0);
    } else {
        struct msgout_mark list = msgout_list(m, "samples");
        for (uint32_t i = 0; i < s->samples_count; i++)
            put_sample(m, &s->samples[i]);
        msgout_list_end(m, list);
    }
    if (!instant && s->exemplars_count > 0) {
        struct msgout_mark list = msgout_list(m, "exemplars");
        for (uint32_t i = 0; i < s->exemplars_count; i++)
            put_exemplar(m, &s->exemplars[i]);
        msgout_list_end(m, list);
    }
    msgout_close(m, mark);
}

static void put_partial(struct msgout *m, const struct trace_metrics_result *result, uint32_t series_max)
{
    static const char *const states[] = {"COMPLETE", "PARTIAL"};
    if (!result->partial && result->warnings.count == 0)
        return;
    AUTO(buf_done) struct buf text;
    buf_init(&text, 0);
    if (result->partial)
        buf_printf(&text,
                   "Response exceeds maximum series limit of %" PRIu32 ", a partial response is returned. Warning: the accuracy of "
                   "each individual value is not guaranteed.",
                   series_max);
    for (uint32_t i = 0; i < result->warnings.count; i++) {
        if (text.len > 0)
            buf_put_byte(&text, ' ');
        buf_put_cstr(&text, result->warnings.items[i]);
    }
    msgout_enum(m, 3, "status", 1, states, COUNT_OF(states));
    msgout_string(m, 4, "message", buf_slice(&text));
}

void encode_trace_metrics(struct buf *b, const struct trace_metrics_result *result, const struct trace_metrics_options *options)
{
    struct msgout m = msgout_begin(b, true);
    if (result->series_count > 0) {
        struct msgout_mark list = msgout_list(&m, "series");
        for (uint32_t i = 0; i < result->series_count; i++)
            put_series(&m, &result->series[i], options->instant);
        msgout_list_end(&m, list);
    }
    put_search_metrics(&m, &result->stats, result->warnings.count, !options->instant);
    put_partial(&m, result, options->series_max);
    msgout_end(&m);
}

// --- names and values of attributes -------------------------------------------------------------------

// In this order, which is sorted.
static const char *const intrinsic_names[] = {
    "duration", "event:name", "event:timeSinceStart", "instrumentation:name", "instrumentation:version", "kind", "link:spanID",
    "link:traceID", "name", "rootName", "rootServiceName", "span:duration", "span:id", "span:kind", "span:name",
    "span:parentID", "span:status", "span:statusMessage", "status", "statusMessage", "trace:duration", "trace:id",
    "trace:rootName", "trace:rootService", "traceDuration"};

static void put_texts(struct msgout *m, uint32_t field, const char *name, const struct slice *texts, uint32_t count)
{
    struct msgout_mark list = msgout_list(m, name);
    for (uint32_t i = 0; i < count; i++)
        msgout_one_string(m, field, NULL, texts[i]);
    msgout_list_end(m, list);
}

static void put_scope(struct msgout *m, const char *name, const struct slice *tags, uint32_t count)
{
    if (count == 0)
        return;
    struct msgout_mark mark = msgout_open(m, 1, NULL);
    msgout_string(m, 1, "name", slice_cstr(name));
    put_texts(m, 2, "tags", tags, count);
    msgout_close(m, mark);
}

static void list_intrinsics(struct slice out[COUNT_OF(intrinsic_names)])
{
    for (size_t i = 0; i < COUNT_OF(intrinsic_names); i++)
        out[i] = slice_cstr(intrinsic_names[i]);
}

void encode_trace_tags(struct buf *b, const struct trace_tags *tags, bool intrinsics, enum encode_form form)
{
    static const char *const names[TRACE_SCOPES_COUNT] = {[TRACE_SCOPE_RESOURCE] = "resource",
                                                          [TRACE_SCOPE_SPAN] = "span",
                                                          [TRACE_SCOPE_EVENT] = "event",
                                                          [TRACE_SCOPE_LINK] = "link",
                                                          [TRACE_SCOPE_INSTRUMENTATION] = "instrumentation"};
    struct msgout m = msgout_begin(b, form == ENCODE_JSON);
    struct msgout_mark list = msgout_list(&m, "scopes");
    for (unsigned i = 0; i < TRACE_SCOPES_COUNT; i++)
        put_scope(&m, names[i], tags->names[i], tags->counts[i]);
    if (intrinsics) {
        struct slice all[COUNT_OF(intrinsic_names)];
        list_intrinsics(all);
        put_scope(&m, "intrinsic", all, COUNT_OF(all));
    }
    msgout_list_end(&m, list);
    put_metadata_metrics(&m, &tags->stats, tags->warnings.count);
    msgout_end(&m);
}

static int compare_names(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

bool encode_trace_tags_flat(struct buf *b, const struct trace_tags *tags, bool intrinsics, uint32_t limit,
                            enum encode_form form, struct arena *a, struct err *err)
{
    size_t room = intrinsics ? COUNT_OF(intrinsic_names) : 0;
    for (unsigned i = 0; i < TRACE_SCOPES_COUNT; i++)
        room += tags->counts[i];
    struct slice *all = arena_array(a, room + 1, sizeof *all);
    if (all == NULL)
        return arena_ok(a, "tag names", err);
    uint32_t count = 0;
    for (unsigned i = 0; i < TRACE_SCOPES_COUNT; i++)
        for (uint32_t n = 0; n < tags->counts[i]; n++)
            all[count++] = tags->names[i][n];
    if (intrinsics) {
        list_intrinsics(all + count);
        count += (uint32_t)COUNT_OF(intrinsic_names);
    }
    qsort(all, count, sizeof *all, compare_names);
    uint32_t unique = 0;
    for (uint32_t i = 0; i < count; i++)
        if (unique == 0 || !slice_eq(all[unique - 1], all[i]))
            all[unique++] = all[i];
    if (limit > 0 && unique > limit && !intrinsics)
        unique = limit;
    struct msgout m = msgout_begin(b, form == ENCODE_JSON);
    put_texts(&m, 1, "tagNames", all, unique);
    put_metadata_metrics(&m, &tags->stats, tags->warnings.count);
    msgout_end(&m);
    return true;
}

void encode_trace_values(struct buf *b, const struct trace_tag_values *values, bool typed, enum encode_form form)
{
    struct msgout m = msgout_begin(b, form == ENCODE_JSON);
    struct msgout_mark list = msgout_list(&m, "tagValues");
    for (uint32_t i = 0; i < values->count; i++) {
        const struct trace_tag_value *v = &values->items[i];
        if (!typed) {
            msgout_one_string(&m, 1, NULL, v->text);
            continue;
        }
        struct msgout_mark mark = msgout_open(&m, 1, NULL);
        msgout_string(&m, 1, "type", slice_cstr(v->type));
        msgout_string(&m, 2, "value", v->text);
        msgout_close(&m, mark);
    }
    msgout_list_end(&m, list);
    put_metadata_metrics(&m, &values->stats, values->warnings.count);
    msgout_end(&m);
}
