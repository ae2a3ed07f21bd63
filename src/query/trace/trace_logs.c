/* trace_logs.c -- see trace_logs.h. */
#include "query/trace/trace_logs.h"

#include "base/clock.h"
#include "base/hex.h"
#include "base/limits.h"

#include <ctype.h>
#include <stdlib.h>

// --- IDs in lines -------------------------------------------------------------------------------------

static bool is_hex(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static size_t back_over(struct slice line, size_t at, const char *chars)
{
    while (at > 0 && line.ptr[at - 1] != '\0' && strchr(chars, line.ptr[at - 1]) != NULL)
        at--;
    return at;
}

static bool is_key_char(uint8_t c)
{
    return isalnum(c) || c == '_' || c == '-' || c == '.';
}

// Whether the value that starts at `at` belongs to `key`, which is in lower case and without `_`, `-` and `.`: they and the
// case of the line's key do not count. Quotes may be escaped, as in JSON within JSON.
static bool has_key(struct slice line, size_t at, const char *key)
{
    size_t end = back_over(line, back_over(line, at, "\"'\\"), " ");
    if (end == 0 || (line.ptr[end - 1] != ':' && line.ptr[end - 1] != '='))
        return false;
    end = back_over(line, back_over(line, end - 1, " "), "\"'\\");
    size_t left = strlen(key);
    for (; end > 0 && is_key_char(line.ptr[end - 1]); end--) {
        uint8_t c = line.ptr[end - 1];
        if (!isalnum(c))
            continue;
        if (left == 0 || tolower(c) != key[left - 1])
            return false;
        left--;
    }
    return left == 0;
}

// The next run of exactly so many hex digits from *pos on; *pos is behind it.
static bool next_run(struct slice line, size_t *pos, size_t digits, struct slice *out)
{
    for (size_t i = *pos; i < line.len;) {
        size_t from = i;
        while (i < line.len && is_hex(line.ptr[i]))
            i++;
        if (i - from == digits) {
            *pos = i;
            *out = slice_of(line.ptr + from, digits);
            return true;
        }
        i += i == from;
    }
    return false;
}

bool trace_line_says(struct slice line, const uint8_t trace_id[TRACE_ID_BYTES])
{
    uint8_t id[TRACE_ID_BYTES];
    struct slice run;
    for (size_t pos = 0; next_run(line, &pos, 2 * TRACE_ID_BYTES, &run);) {
        size_t at = (size_t)(run.ptr - line.ptr);
        if (!hex_decode(run, id, sizeof id) || memcmp(id, trace_id, sizeof id) != 0)
            continue;
        // W3C's header: version, trace, span, flags.
        bool parent = at >= 3 && line.ptr[at - 1] == '-' && has_key(line, at - 3, "traceparent");
        if (parent || has_key(line, at, "traceid") || has_key(line, at, "oteltraceid"))
            return true;
    }
    return false;
}

bool trace_log_span(const struct trace_log *log, uint8_t span_id_out[SPAN_ID_BYTES])
{
    struct slice run = labels_find(log->metadata, SLICE("span_id"));
    if (run.len > 0)
        return run.len == 2 * SPAN_ID_BYTES && hex_decode(run, span_id_out, SPAN_ID_BYTES);
    for (size_t pos = 0; next_run(log->line, &pos, 2 * SPAN_ID_BYTES, &run);) {
        size_t at = (size_t)(run.ptr - log->line.ptr);
        if (has_key(log->line, at, "spanid") || has_key(log->line, at, "otelspanid"))
            return hex_decode(run, span_id_out, SPAN_ID_BYTES);
    }
    return false;
}

struct slice trace_log_service(const struct trace_log *log)
{
    return labels_find(log->labels, SLICE("service_name"));
}

// --- finding ------------------------------------------------------------------------------------------

struct finding {
    const struct query_context *context;
    const uint8_t *trace_id;
    uint32_t limit; // of entries that are gathered: one more than asked for
    struct trace_log *items;
    size_t count, room;
    const char **warnings;
    size_t warnings_count, warnings_room;
};

static void add(struct finding *f, const struct trace_log *log)
{
    if (arena_grow(f->context->arena, (void **)&f->items, sizeof *f->items, f->count, &f->room))
        f->items[f->count++] = *log;
}

static void warn(struct finding *f, const char *text)
{
    if (arena_grow(f->context->arena, (void **)&f->warnings, sizeof *f->warnings, f->warnings_count, &f->warnings_room))
        f->warnings[f->warnings_count++] = text;
}

// By the index.
static bool find_carriers(struct finding *f, struct err *err)
{
    AUTO(view_endp) struct view *view = NULL;
    struct view_trace_entry *entries;
    uint32_t count;
    if (!view_begin(f->context->store, f->context->tenant, &view, err) ||
        !view_trace_entries(view, f->trace_id, f->context->arena, &entries, &count, err))
        return false;
    for (uint32_t i = 0; i < count && f->count < f->limit; i++) {
        struct arena *a = f->context->arena; // what heads lend ends with the view
        add(f, &(struct trace_log){arena_copy(a, entries[i].labels), entries[i].time_ns, arena_copy(a, entries[i].line),
                                   arena_copy(a, entries[i].metadata)});
    }
    return arena_ok(f->context->arena, "log entries of a trace", err);
}

bool trace_logs_contain(struct view *view, const uint8_t trace_id[TRACE_ID_BYTES], struct slice text, struct arena *scratch,
                        bool *out, struct err *err)
{
    struct arena_mark mark = arena_mark(scratch);
    struct view_trace_entry *entries;
    uint32_t count;
    if (!view_trace_entries(view, trace_id, scratch, &entries, &count, err))
        return false;
    *out = false;
    for (uint32_t i = 0; i < count && !*out; i++)
        *out = slice_find(entries[i].line, text) != SIZE_MAX;
    arena_rewind(scratch, mark);
    return true;
}

// `{service_name="..."} |= "<ID>"`
static struct slice line_query(struct slice service, const uint8_t trace_id[TRACE_ID_BYTES], struct arena *a)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, 0);
    buf_put_cstr(&b, "{service_name=");
    labels_quote(&b, service);
    buf_put_cstr(&b, "} |= \"");
    for (int i = 0; i < TRACE_ID_BYTES; i++)
        buf_printf(&b, "%02x", trace_id[i]);
    buf_put_cstr(&b, "\"");
    return arena_copy(a, buf_slice(&b));
}

static void add_speakers(struct finding *f, const struct query_result *result)
{
    for (uint32_t i = 0; i < result->streams_count; i++)
        for (uint32_t n = 0; n < result->streams[i].entries_count; n++) {
            const struct result_entry *e = &result->streams[i].entries[n];
            struct slice carried = labels_find(e->metadata, SLICE("trace_id"));
            uint8_t id[TRACE_ID_BYTES];
            if (hex_decode(carried, id, sizeof id) && memcmp(id, f->trace_id, sizeof id) == 0)
                continue; // the index knew it
            if (trace_line_says(e->line, f->trace_id))
                add(f, &(struct trace_log){result->streams[i].labels, e->time_ns, e->line, e->metadata});
        }
    for (uint32_t i = 0; i < result->warnings_count; i++)
        warn(f, result->warnings[i]);
}

// By lines of one service.
static bool find_speakers(struct finding *f, struct slice service, int64_t from_ns, int64_t to_ns, struct err *err)
{
    AUTO(query_freep) struct query *query = NULL;
    struct query_context context = *f->context;
    struct query_range range = {.from_ns = from_ns, .to_ns = to_ns, .limit = f->limit, .forward = true};
    struct query_result result;
    context.categorize = true;
    if (!query_parse(line_query(service, f->trace_id, context.arena), context.arena, &query, err) ||
        !query_run(query, &range, &context, &result, err))
        return false;
    add_speakers(f, &result);
    return arena_ok(context.arena, "log entries of a trace", err);
}

static int by_time(const void *a, const void *b)
{
    const struct trace_log *x = a, *y = b;
    if (x->time_ns != y->time_ns)
        return x->time_ns < y->time_ns ? -1 : 1;
    int order = slice_cmp(x->labels, y->labels);
    return order != 0 ? order : slice_cmp(x->line, y->line);
}

static bool is_known(const struct slice *services, size_t count, struct slice service)
{
    for (size_t i = 0; i < count; i++)
        if (slice_eq(services[i], service))
            return true;
    return false;
}

// The services and the time to look at: those of the spans, and of the entries that the index knew.
struct area {
    struct slice services[TRACE_TREE_SERVICES_MAX];
    size_t services_count;
    bool services_more;
    int64_t from_ns, to_ns;
};

static void add_service(struct area *area, struct slice service)
{
    if (service.len == 0 || is_known(area->services, area->services_count, service))
        return;
    if (area->services_count == TRACE_TREE_SERVICES_MAX)
        area->services_more = true;
    else
        area->services[area->services_count++] = service;
}

static void find_area(const struct finding *f, const struct trace_logs_options *o, struct area *out)
{
    *out = (struct area){.from_ns = o->from_ns, .to_ns = o->to_ns};
    for (uint32_t i = 0; i < o->services_count; i++)
        add_service(out, o->services[i]);
    for (size_t i = 0; i < f->count; i++) {
        add_service(out, trace_log_service(&f->items[i]));
        out->from_ns = f->items[i].time_ns < out->from_ns ? f->items[i].time_ns : out->from_ns;
        out->to_ns = f->items[i].time_ns > out->to_ns ? f->items[i].time_ns : out->to_ns;
    }
}

static bool find_all_speakers(struct finding *f, struct area *area, struct err *err)
{
    if (area->from_ns > area->to_ns)
        return true; // neither spans nor entries
    if (area->services_more)
        warn(f, arena_printf(f->context->arena, "lines of the first %d services alone were looked at", TRACE_TREE_SERVICES_MAX));
    if ((__int128)area->to_ns - area->from_ns > TRACE_TREE_WINDOW_NS_MAX) {
        area->to_ns = area->from_ns + TRACE_TREE_WINDOW_NS_MAX;
        warn(f, "lines of the first hour alone were looked at");
    }
    int64_t from_ns, to_ns;
    if (__builtin_sub_overflow(area->from_ns, TRACE_TREE_SLACK_NS, &from_ns))
        from_ns = INT64_MIN;
    if (__builtin_add_overflow(area->to_ns, TRACE_TREE_SLACK_NS, &to_ns))
        to_ns = INT64_MAX;
    for (size_t i = 0; i < area->services_count; i++)
        if (!find_speakers(f, area->services[i], from_ns, to_ns, err))
            return false;
    return true;
}

bool trace_logs(const struct query_context *context, const uint8_t trace_id[TRACE_ID_BYTES],
                const struct trace_logs_options *o, struct trace_logs *out, struct err *err)
{
    struct finding f = {.context = context, .trace_id = trace_id, .limit = o->limit + 1};
    struct area area;
    if (!find_carriers(&f, err))
        return false;
    find_area(&f, o, &area);
    if (!find_all_speakers(&f, &area, err))
        return false;
    if (f.count > 0)
        qsort(f.items, f.count, sizeof *f.items, by_time);
    *out = (struct trace_logs){.items = f.items,
                               .count = f.count > o->limit ? o->limit : (uint32_t)f.count,
                               .more = f.count > o->limit,
                               .warnings = {f.warnings, (uint32_t)f.warnings_count}};
    return arena_ok(context->arena, "log entries of a trace", err);
}
