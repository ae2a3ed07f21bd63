/* export_text.c -- exported entries and spans as NDJSON and as CSV. */
#include "export.h"

#include "base/base64.h"
#include "base/fs.h"
#include "base/jsonout.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OUTPUT_BYTES = 256 * 1024, PATH_BYTES = 4096 };

// --- values
// -----------------------------------------------------------------------------------------

void export_hex(struct buf *b, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_printf(b, "%02x", bytes[i]);
}

const char *export_value_type(const struct span_value *value)
{
    static const char *const names[] = {"empty",  "string", "bool", "int",
                                        "double", "array",  "map",  "bytes"};
    return names[value->kind];
}

const char *export_kind(int32_t kind)
{
    static const char *const names[] = {"unspecified", "internal", "server",
                                        "client",      "producer", "consumer"};
    return kind >= 0 && (size_t)kind < COUNT_OF(names) ? names[kind] : "unknown";
}

const char *export_status(int32_t status)
{
    static const char *const names[] = {"unset", "ok", "error"};
    return status >= 0 && (size_t)status < COUNT_OF(names) ? names[status] : "unknown";
}

void export_value_json(struct buf *b, const struct span_value *value)
{
    struct span_value item;
    struct span_attribute pair;
    struct pb walk;
    bool first = true;
    switch (value->kind) {
    case VALUE_NONE:
        buf_put_cstr(b, "null");
        break;
    case VALUE_STRING:
        jsonout_string(b, value->bytes);
        break;
    case VALUE_BOOL:
        buf_put_cstr(b, value->flag ? "true" : "false");
        break;
    case VALUE_INT:
        buf_printf(b, "%" PRId64, value->integer);
        break;
    case VALUE_DOUBLE:
        if (value->number - value->number == 0) { // finite
            jsonout_number(b, value->number);
        } else {
            buf_put_byte(b, '"');
            jsonout_number(b, value->number);
            buf_put_byte(b, '"');
        }
        break;
    case VALUE_ARRAY:
        buf_put_byte(b, '[');
        for (walk = pb_of(value->bytes); span_array_next(&walk, &item); first = false) {
            buf_put_cstr(b, first ? "" : ",");
            export_value_json(b, &item);
        }
        buf_put_byte(b, ']');
        break;
    case VALUE_MAP:
        buf_put_byte(b, '{');
        for (walk = pb_of(value->bytes); span_map_next(&walk, &pair); first = false) {
            buf_put_cstr(b, first ? "" : ",");
            jsonout_string(b, pair.key);
            buf_put_byte(b, ':');
            export_value_json(b, &pair.value);
        }
        buf_put_byte(b, '}');
        break;
    case VALUE_BYTES:
        buf_put_byte(b, '"');
        base64_encode(b, value->bytes);
        buf_put_byte(b, '"');
        break;
    }
}

void export_value_text(struct buf *b, const struct span_value *value)
{
    if (value->kind == VALUE_STRING)
        buf_put_slice(b, value->bytes);
    else if (value->kind == VALUE_BYTES)
        base64_encode(b, value->bytes);
    else if (value->kind == VALUE_DOUBLE)
        jsonout_number(b, value->number);
    else if (value->kind != VALUE_NONE)
        export_value_json(b, value);
}

void export_attributes_json(struct buf *b, const struct span_attributes *attributes)
{
    buf_put_byte(b, '{');
    for (uint32_t i = 0; i < attributes->count; i++) {
        buf_put_cstr(b, i > 0 ? "," : "");
        jsonout_string(b, attributes->items[i].key);
        buf_put_byte(b, ':');
        export_value_json(b, &attributes->items[i].value);
    }
    buf_put_byte(b, '}');
}

// --- files
// ------------------------------------------------------------------------------------------

struct output {
    char path[PATH_BYTES]; // empty: standard output
    FILE *file;            // NULL: not opened
    struct buf buf;
};

static bool output_open(struct output *o, const char *path, struct err *err)
{
    buf_init(&o->buf, 0);
    o->file = stdout;
    if (path == NULL)
        return true;
    (void)snprintf(o->path, sizeof o->path, "%s", path);
    o->file = fopen(path, "wxe");
    return o->file != NULL || err_errno(err, errno, "%s", path);
}

static bool output_flush(struct output *o, size_t above, struct err *err)
{
    if (o->buf.len <= above)
        return true;
    if (o->buf.bad || fwrite(o->buf.ptr, 1, o->buf.len, o->file) != o->buf.len)
        return err_errno(err, errno, "%s", o->path[0] != '\0' ? o->path : "standard output");
    buf_reset(&o->buf);
    return true;
}

static bool output_finish(struct output *o, struct err *err)
{
    if (o->file == NULL)
        return true;
    if (!output_flush(o, 0, err))
        return false;
    FILE *file = o->file;
    o->file = NULL;
    int rc = file == stdout ? fflush(file) : fclose(file);
    return rc == 0 || err_errno(err, errno, "%s", o->path[0] != '\0' ? o->path : "standard output");
}

static void output_done(struct output *o)
{
    if (o->file != NULL && o->file != stdout) { // not finished
        (void)fclose(o->file);
        (void)unlink(o->path);
    }
    buf_done(&o->buf);
}

// --- NDJSON
// -----------------------------------------------------------------------------------------

struct text_writer {
    struct export_writer writer;
    struct output entries, spans; // NDJSON: entries alone
    struct arena arena;           // of one span's events
};

static struct text_writer *text_of(struct export_writer *w)
{
    return (struct text_writer *)w;
}

static bool text_finish(struct export_writer *w, struct err *err)
{
    return output_finish(&text_of(w)->entries, err) && output_finish(&text_of(w)->spans, err);
}

static void text_free(struct export_writer *w)
{
    output_done(&text_of(w)->entries);
    output_done(&text_of(w)->spans);
    arena_done(&text_of(w)->arena);
    free(w);
}

static bool ndjson_entry(struct export_writer *w, const struct query_entry *e, struct err *err)
{
    struct buf *b = &text_of(w)->entries.buf;
    buf_printf(b, "{\"kind\":\"entry\",\"time\":\"%" PRId64 "\",\"stream\":", e->time_ns);
    jsonout_labels(b, e->labels);
    if (e->metadata.len > 1) {
        buf_put_cstr(b, ",\"metadata\":");
        jsonout_labels(b, e->metadata);
    }
    buf_put_cstr(b, ",\"line\":");
    jsonout_string(b, e->line);
    buf_put_cstr(b, "}\n");
    return output_flush(&text_of(w)->entries, OUTPUT_BYTES, err);
}

static void put_id(struct buf *b, const char *key, const uint8_t *id, size_t bytes)
{
    buf_printf(b, "\"%s\":\"", key);
    export_hex(b, id, bytes);
    buf_put_cstr(b, "\",");
}

static void put_string(struct buf *b, const char *key, struct slice text)
{
    buf_printf(b, "\"%s\":", key);
    jsonout_string(b, text);
    buf_put_byte(b, ',');
}

static bool is_zero(const uint8_t *bytes, size_t count)
{
    uint8_t any = 0;
    for (size_t i = 0; i < count; i++)
        any |= bytes[i];
    return any == 0;
}

// Members that are left out where there is nothing to say.
static void put_count(struct buf *b, const char *key, uint32_t count)
{
    if (count > 0)
        buf_printf(b, ",\"%s\":%" PRIu32, key, count);
}

static void put_text(struct buf *b, const char *key, struct slice text)
{
    if (text.len == 0)
        return;
    buf_printf(b, ",\"%s\":", key);
    jsonout_string(b, text);
}

static void put_events(struct buf *b, struct slice events, struct arena *a)
{
    struct span_event event;
    bool first = true;
    buf_put_cstr(b, ",\"events\":[");
    for (struct pb walk = pb_of(events); span_event_next(&walk, a, &event); first = false) {
        buf_printf(b, "%s{\"time\":\"%" PRIu64 "\",\"name\":", first ? "" : ",", event.time_ns);
        jsonout_string(b, event.name);
        buf_put_cstr(b, ",\"attributes\":");
        export_attributes_json(b, &event.attributes);
        put_count(b, "dropped_attributes", event.dropped_attributes);
        buf_put_byte(b, '}');
    }
    buf_put_byte(b, ']');
}

static void put_links(struct buf *b, struct slice links, struct arena *a)
{
    struct span_link link;
    bool first = true;
    buf_put_cstr(b, ",\"links\":[");
    for (struct pb walk = pb_of(links); span_link_next(&walk, a, &link); first = false) {
        buf_put_cstr(b, first ? "{" : ",{");
        put_id(b, "trace_id", link.trace_id.ptr, link.trace_id.len);
        put_id(b, "span_id", link.span_id.ptr, link.span_id.len);
        buf_put_cstr(b, "\"attributes\":");
        export_attributes_json(b, &link.attributes);
        put_text(b, "trace_state", link.trace_state);
        put_count(b, "flags", link.flags);
        put_count(b, "dropped_attributes", link.dropped_attributes);
        buf_put_byte(b, '}');
    }
    buf_put_byte(b, ']');
}

static bool ndjson_span(struct export_writer *w, const struct span *s, struct err *err)
{
    struct text_writer *t = text_of(w);
    struct buf *b = &t->entries.buf;
    buf_put_cstr(b, "{\"kind\":\"span\",");
    put_id(b, "trace_id", s->trace_id, TRACE_ID_BYTES);
    put_id(b, "span_id", s->span_id, SPAN_ID_BYTES);
    if (!is_zero(s->parent_id, SPAN_ID_BYTES))
        put_id(b, "parent_id", s->parent_id, SPAN_ID_BYTES);
    put_string(b, "service", s->resource->service);
    put_string(b, "name", s->name);
    buf_printf(b,
               "\"span_kind\":\"%s\",\"status\":\"%s\",\"start\":\"%" PRIu64 "\",\"end\":\"%" PRIu64
               "\",",
               export_kind(s->kind), export_status(s->status), s->start_ns, s->end_ns);
    if (s->status_message.len > 0)
        put_string(b, "status_message", s->status_message);
    if (s->trace_state.len > 0)
        put_string(b, "trace_state", s->trace_state);
    buf_put_cstr(b, "\"attributes\":");
    export_attributes_json(b, &s->attributes);
    put_count(b, "flags", s->flags);
    put_count(b, "dropped_attributes", s->dropped_attributes);
    put_count(b, "dropped_events", s->dropped_events);
    put_count(b, "dropped_links", s->dropped_links);
    buf_put_cstr(b, ",\"resource\":");
    export_attributes_json(b, &s->resource->attributes);
    put_text(b, "resource_schema_url", s->resource->schema_url);
    buf_put_cstr(b, ",\"scope\":{");
    put_string(b, "name", s->scope->name);
    put_string(b, "version", s->scope->version);
    buf_put_cstr(b, "\"attributes\":");
    export_attributes_json(b, &s->scope->attributes);
    put_text(b, "schema_url", s->scope->schema_url);
    buf_put_byte(b, '}');
    arena_reset(&t->arena);
    if (s->events.len > 0)
        put_events(b, s->events, &t->arena);
    if (s->links.len > 0)
        put_links(b, s->links, &t->arena);
    buf_put_cstr(b, "}\n");
    return output_flush(&t->entries, OUTPUT_BYTES, err);
}

static struct text_writer *text_new(void)
{
    struct text_writer *t = calloc(1, sizeof *t);
    assert(t != NULL);
    t->writer.finish = text_finish;
    t->writer.free = text_free;
    arena_init(&t->arena, SIZE_MAX);
    return t;
}

bool export_ndjson_open(const char *path, struct export_writer **w_out, struct err *err)
{
    struct text_writer *t = text_new();
    t->writer.entry = ndjson_entry;
    t->writer.span = ndjson_span;
    if (!output_open(&t->entries, path, err)) {
        text_free(&t->writer);
        return false;
    }
    *w_out = &t->writer;
    return true;
}

// --- CSV (RFC 4180)
// ---------------------------------------------------------------------------------

static void put_quoted(struct buf *b, struct slice text)
{
    buf_put_byte(b, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"')
            buf_put_byte(b, '"');
        buf_put_byte(b, text.ptr[i]);
    }
    buf_put_byte(b, '"');
}

static void put_quoted_labels(struct buf *b, struct slice labels)
{
    AUTO(buf_done) struct buf text;
    buf_init(&text, 0);
    labels_print(&text, labels);
    put_quoted(b, buf_slice(&text));
}

static void put_quoted_attributes(struct buf *b, const struct span_attributes *attributes)
{
    AUTO(buf_done) struct buf text;
    buf_init(&text, 0);
    export_attributes_json(&text, attributes);
    put_quoted(b, buf_slice(&text));
}

static bool csv_entry(struct export_writer *w, const struct query_entry *e, struct err *err)
{
    struct output *o = &text_of(w)->entries;
    buf_printf(&o->buf, "%" PRId64 ",", e->time_ns);
    put_quoted_labels(&o->buf, e->labels);
    buf_put_byte(&o->buf, ',');
    put_quoted_labels(&o->buf, e->metadata);
    buf_put_byte(&o->buf, ',');
    put_quoted(&o->buf, e->line);
    buf_put_byte(&o->buf, '\n');
    return output_flush(o, OUTPUT_BYTES, err);
}

static bool csv_span(struct export_writer *w, const struct span *s, struct err *err)
{
    struct output *o = &text_of(w)->spans;
    struct buf *b = &o->buf;
    export_hex(b, s->trace_id, TRACE_ID_BYTES);
    buf_put_byte(b, ',');
    export_hex(b, s->span_id, SPAN_ID_BYTES);
    buf_put_byte(b, ',');
    if (!is_zero(s->parent_id, SPAN_ID_BYTES))
        export_hex(b, s->parent_id, SPAN_ID_BYTES);
    buf_put_byte(b, ',');
    put_quoted(b, s->resource->service);
    buf_put_byte(b, ',');
    put_quoted(b, s->name);
    buf_printf(b, ",%s,%s,", export_kind(s->kind), export_status(s->status));
    put_quoted(b, s->status_message);
    buf_printf(b, ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",", s->start_ns, s->end_ns,
               span_duration(s));
    put_quoted_attributes(b, &s->attributes);
    buf_put_byte(b, ',');
    put_quoted_attributes(b, &s->resource->attributes);
    buf_put_byte(b, '\n');
    return output_flush(o, OUTPUT_BYTES, err);
}

// "a/b.csv" -> "a/b.spans.csv"
static void spans_path(const char *path, char out[PATH_BYTES])
{
    const char *dot = strrchr(path, '.'), *slash = strrchr(path, '/');
    size_t stem =
        dot != NULL && (slash == NULL || dot > slash) ? (size_t)(dot - path) : strlen(path);
    (void)snprintf(out, PATH_BYTES, "%.*s.spans%s", (int)stem, path, path + stem);
}

bool export_csv_open(const char *path, bool spans, struct export_writer **w_out, struct err *err)
{
    static const char ENTRIES[] = "time_ns,labels,metadata,line\n";
    static const char SPANS[] =
        "trace_id,span_id,parent_id,service,name,kind,status,status_message,start_ns,end_ns,"
        "duration_ns,attributes,resource\n";
    struct text_writer *t = text_new();
    char name[PATH_BYTES];
    t->writer.entry = csv_entry;
    t->writer.span = csv_span;
    bool good = (path == NULL && spans) || output_open(&t->entries, path, err);
    if (path != NULL)
        spans_path(path, name);
    if (good && spans)
        good = output_open(&t->spans, path != NULL ? name : NULL, err);
    if (!good) {
        text_free(&t->writer);
        return false;
    }
    if (t->entries.file != NULL)
        buf_put_cstr(&t->entries.buf, ENTRIES);
    if (t->spans.file != NULL)
        buf_put_cstr(&t->spans.buf, SPANS);
    *w_out = &t->writer;
    return true;
}
