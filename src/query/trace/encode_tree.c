/* encode_tree.c -- see encode_tree.h. */
#include "query/trace/encode_tree.h"

#include "base/clock.h"
#include "base/jsonout.h"
#include "base/utf8.h"
#include "query/trace/encode_value.h"
#include "query/logql/unit.h"

#include <inttypes.h>

enum { INDENT_MAX = 24 }; // of deeper spans too, so that lines stay readable

static const char *kind_name(int32_t kind)
{
    static const char *const names[] = {"unspecified", "internal", "server", "client", "producer", "consumer"};
    return kind >= 0 && (uint32_t)kind < COUNT_OF(names) ? names[kind] : "unspecified";
}

static const char *status_name(int32_t status)
{
    return status == STATUS_ERROR ? "error" : status == STATUS_OK ? "ok" : "unset";
}

static void put_hex(struct buf *b, const uint8_t *id, size_t len)
{
    for (size_t i = 0; i < len; i++)
        buf_printf(b, "%02x", id[i]);
}

static bool is_root(const struct span *s)
{
    static const uint8_t none[SPAN_ID_BYTES];
    return memcmp(s->parent_id, none, sizeof none) == 0;
}

// Whether a pair is the first of its key.
static bool is_first(const struct span_attributes *attributes, uint32_t i)
{
    return span_attributes_find(attributes, attributes->items[i].key) == &attributes->items[i].value;
}

// --- JSON ---------------------------------------------------------------------------------------------

static void put_attributes(struct buf *b, const struct span_attributes *attributes)
{
    bool more = false;
    buf_put_cstr(b, "\"attributes\":{");
    for (uint32_t i = 0; i < attributes->count; i++) {
        if (!is_first(attributes, i))
            continue;
        if (more)
            buf_put_byte(b, ',');
        more = true;
        jsonout_string(b, attributes->items[i].key);
        buf_put_byte(b, ':');
        encode_value_text(b, &attributes->items[i].value);
    }
    buf_put_byte(b, '}');
}

static void put_logs(struct buf *b, const struct trace_log *const *logs, uint32_t count)
{
    buf_put_cstr(b, "\"logs\":[");
    for (uint32_t i = 0; i < count; i++) {
        buf_printf(b, "%s{\"timeUnixNano\":\"%" PRId64 "\",\"line\":", i > 0 ? "," : "", logs[i]->time_ns);
        jsonout_string(b, logs[i]->line);
        buf_put_cstr(b, ",\"labels\":");
        jsonout_labels(b, logs[i]->labels);
        buf_put_cstr(b, ",\"metadata\":");
        jsonout_labels(b, logs[i]->metadata);
        buf_put_byte(b, '}');
    }
    buf_put_byte(b, ']');
}

static void put_events(struct buf *b, struct slice events, struct arena *scratch)
{
    struct arena_mark start = arena_mark(scratch);
    struct span_event e;
    bool more = false;
    buf_put_cstr(b, "\"events\":[");
    for (struct pb walk = pb_of(events); span_event_next(&walk, scratch, &e); arena_rewind(scratch, start)) {
        buf_printf(b, "%s{\"timeUnixNano\":\"%" PRIu64 "\",\"name\":", more ? "," : "", e.time_ns);
        more = true;
        jsonout_string(b, e.name);
        buf_put_byte(b, ',');
        put_attributes(b, &e.attributes);
        buf_put_byte(b, '}');
    }
    buf_put_byte(b, ']');
}

static void put_span(struct buf *b, const struct tree_span *t, struct arena *scratch)
{
    const struct span *s = t->span;
    buf_put_cstr(b, "{\"spanID\":\"");
    put_hex(b, s->span_id, SPAN_ID_BYTES);
    buf_put_cstr(b, "\",\"parentSpanID\":\"");
    if (!is_root(s))
        put_hex(b, s->parent_id, SPAN_ID_BYTES);
    buf_printf(b, "\",\"depth\":%" PRIu32 ",\"name\":", t->depth);
    jsonout_string(b, s->name);
    buf_printf(b, ",\"kind\":\"%s\",\"startTimeUnixNano\":\"%" PRIu64 "\",\"durationNanos\":\"%" PRIu64 "\",\"status\":\"%s\",\"statusMessage\":",
               kind_name(s->kind), s->start_ns, span_duration(s), status_name(s->status));
    jsonout_string(b, s->status_message);
    buf_put_byte(b, ',');
    put_attributes(b, &s->attributes);
    buf_put_byte(b, ',');
    put_events(b, s->events, scratch);
    buf_put_byte(b, ',');
    put_logs(b, t->logs, t->logs_count);
    buf_put_byte(b, '}');
}

static void put_service(struct buf *b, const struct tree_service *s, struct arena *scratch)
{
    buf_put_cstr(b, "{\"name\":");
    jsonout_string(b, s->name);
    buf_printf(b, ",\"errorCount\":%" PRIu32 ",\"spans\":[", s->errors_count);
    for (uint32_t i = 0; i < s->spans_count; i++) {
        if (i > 0)
            buf_put_byte(b, ',');
        put_span(b, &s->spans[i], scratch);
    }
    buf_put_cstr(b, "],");
    put_logs(b, s->logs, s->logs_count);
    buf_put_byte(b, '}');
}

void encode_tree_json(struct buf *b, const struct trace_tree *t, struct arena *scratch)
{
    buf_put_cstr(b, "{\"traceID\":\"");
    put_hex(b, t->trace_id, TRACE_ID_BYTES);
    buf_printf(b, "\",\"startTimeUnixNano\":\"%" PRId64 "\",\"durationNanos\":\"%" PRId64 "\",\"spanCount\":%" PRIu32 ",\"logCount\":%" PRIu32
               ",\"services\":[", t->from_ns, t->duration_ns, t->spans_count, t->logs_count);
    for (uint32_t i = 0; i < t->services_count; i++) {
        if (i > 0)
            buf_put_byte(b, ',');
        put_service(b, &t->services[i], scratch);
    }
    buf_put_byte(b, ']');
    for (uint32_t i = 0; i < t->warnings.count; i++) {
        buf_put_cstr(b, i == 0 ? ",\"warnings\":[" : ",");
        jsonout_string(b, slice_cstr(t->warnings.items[i]));
    }
    buf_put_cstr(b, t->warnings.count > 0 ? "]}\n" : "}\n");
}

// --- text ---------------------------------------------------------------------------------------------

// Without control characters and bytes that are no UTF-8: they are shown as escapes.
static void put_safe(struct buf *b, struct slice text)
{
    while (text.len > 0) {
        uint32_t rune;
        bool valid;
        size_t len = utf8_decode(text, &rune, &valid);
        if (rune == '\n' || rune == '\t' || rune == '\r')
            buf_put_cstr(b, rune == '\n' ? "\\n" : rune == '\t' ? "\\t" : "\\r");
        else if (!valid)
            buf_printf(b, "\\x%02x", text.ptr[0]);
        else if (rune < 0x20 || (rune >= 0x7F && rune < 0xA0))
            buf_printf(b, "\\x%02x", rune);
        else if (rune == 0x061C || (rune >= 0x200E && rune <= 0x200F) || (rune >= 0x2028 && rune <= 0x202E) ||
                 (rune >= 0x2066 && rune <= 0x2069)) // turn the direction of text, or end lines
            buf_printf(b, "\\u%04x", rune);
        else
            buf_put(b, text.ptr, len);
        text = slice_from(text, len);
    }
}

static void put_indent(struct buf *b, uint32_t depth)
{
    for (uint32_t i = 0; i < (depth < INDENT_MAX ? depth : INDENT_MAX) + 1; i++)
        buf_put_cstr(b, "  ");
}

// When, since the trace began.
static void put_offset(struct buf *b, const struct trace_tree *t, int64_t time_ns)
{
    char text[UNIT_DURATION_BYTES];
    int64_t offset_ns;
    if (__builtin_sub_overflow(time_ns, t->from_ns, &offset_ns))
        offset_ns = time_ns < t->from_ns ? INT64_MIN : INT64_MAX;
    unit_print_go_duration(offset_ns / NS_PER_US * NS_PER_US, text);
    buf_printf(b, "%s%s  ", offset_ns < 0 ? "" : "+", text);
}

static void put_pairs(struct buf *b, const struct span_attributes *attributes)
{
    AUTO(buf_done) struct buf value;
    buf_init(&value, 0);
    for (uint32_t i = 0; i < attributes->count; i++) {
        const struct span_attribute *a = &attributes->items[i];
        if (!is_first(attributes, i))
            continue;
        buf_put_byte(b, ' ');
        put_safe(b, a->key);
        buf_put_byte(b, '=');
        buf_reset(&value);
        encode_value_text(&value, &a->value);
        put_safe(b, buf_slice(&value));
    }
}

static void put_text_logs(struct buf *b, const struct trace_tree *t, const struct trace_log *const *logs, uint32_t count,
                          uint32_t depth)
{
    for (uint32_t i = 0; i < count; i++) {
        put_indent(b, depth);
        put_offset(b, t, logs[i]->time_ns);
        buf_put_cstr(b, "| ");
        put_safe(b, logs[i]->line);
        buf_put_byte(b, '\n');
    }
}

static void put_text_events(struct buf *b, const struct trace_tree *t, const struct tree_span *s, struct arena *scratch)
{
    struct arena_mark start = arena_mark(scratch);
    struct span_event e;
    for (struct pb walk = pb_of(s->span->events); span_event_next(&walk, scratch, &e); arena_rewind(scratch, start)) {
        put_indent(b, s->depth + 1);
        put_offset(b, t, span_time(e.time_ns));
        buf_put_cstr(b, "* ");
        put_safe(b, e.name);
        put_pairs(b, &e.attributes);
        buf_put_byte(b, '\n');
    }
}

static void put_text_span(struct buf *b, const struct trace_tree *t, const struct tree_span *s, struct arena *scratch)
{
    char duration[UNIT_DURATION_BYTES];
    uint64_t duration_ns = span_duration(s->span);
    unit_print_go_duration(duration_ns > INT64_MAX ? INT64_MAX : (int64_t)duration_ns, duration);
    put_indent(b, s->depth);
    put_offset(b, t, span_time(s->span->start_ns));
    put_safe(b, s->span->name);
    buf_printf(b, "  %s", duration);
    if (s->span->kind != KIND_UNSPECIFIED)
        buf_printf(b, "  %s", kind_name(s->span->kind));
    if (s->span->status == STATUS_ERROR) {
        buf_put_cstr(b, s->span->status_message.len > 0 ? "  ERROR " : "  ERROR");
        put_safe(b, s->span->status_message);
    }
    if (s->span->attributes.count > 0)
        buf_put_byte(b, ' ');
    put_pairs(b, &s->span->attributes);
    buf_put_byte(b, '\n');
    put_text_events(b, t, s, scratch);
    put_text_logs(b, t, s->logs, s->logs_count, s->depth + 1);
}

static const char *plural(uint32_t count)
{
    return count == 1 ? "" : "s";
}

static void put_text_service(struct buf *b, const struct trace_tree *t, const struct tree_service *s, struct arena *scratch)
{
    buf_put_byte(b, '\n');
    put_safe(b, s->name.len > 0 ? s->name : SLICE("(no service.name)"));
    buf_printf(b, "  %" PRIu32 " span%s", s->spans_count, plural(s->spans_count));
    if (s->errors_count > 0)
        buf_printf(b, ", %" PRIu32 " failed", s->errors_count);
    buf_put_byte(b, '\n');
    for (uint32_t i = 0; i < s->spans_count; i++)
        put_text_span(b, t, &s->spans[i], scratch);
    put_text_logs(b, t, s->logs, s->logs_count, 0);
}

void encode_tree_text(struct buf *b, const struct trace_tree *t, struct arena *scratch)
{
    char at[CLOCK_RFC3339_BYTES], duration[UNIT_DURATION_BYTES];
    clock_rfc3339(t->from_ns, at);
    unit_print_go_duration(t->duration_ns, duration);
    buf_put_cstr(b, "trace ");
    put_hex(b, t->trace_id, TRACE_ID_BYTES);
    buf_printf(b, "  %s  %s  %" PRIu32 " span%s, %" PRIu32 " log entr%s\n", at, duration, t->spans_count, plural(t->spans_count),
               t->logs_count, t->logs_count == 1 ? "y" : "ies");
    for (uint32_t i = 0; i < t->warnings.count; i++) {
        buf_put_cstr(b, "warning: ");
        put_safe(b, slice_cstr(t->warnings.items[i]));
        buf_put_byte(b, '\n');
    }
    for (uint32_t i = 0; i < t->services_count; i++)
        put_text_service(b, t, &t->services[i], scratch);
}
