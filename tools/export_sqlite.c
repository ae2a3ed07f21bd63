/*
 * export_sqlite.c -- exported entries and spans as an SQLite database; the door to SQLite.
 *
 * Everything is one transaction on a new file without a journal; a failure removes the file.
 * Streams and resources are rows of their own, found again by their hash. Indices are made at the
 * end, over what is there.
 */
#include "export.h"

#include "base/fs.h"
#include "base/hash.h"

#include <assert.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char SCHEMA[] =
    "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN;"
    "CREATE TABLE streams(id INTEGER PRIMARY KEY, labels TEXT);"
    "CREATE TABLE labels(stream_id INTEGER REFERENCES streams, name TEXT, value TEXT);"
    "CREATE TABLE entries(id INTEGER PRIMARY KEY, time_ns INTEGER, stream_id INTEGER REFERENCES "
    "streams, line TEXT);"
    "CREATE TABLE metadata(entry_id INTEGER REFERENCES entries, name TEXT, value TEXT);"
    "CREATE TABLE resources(id INTEGER PRIMARY KEY, service TEXT);"
    "CREATE TABLE spans(id INTEGER PRIMARY KEY, trace_id TEXT, span_id TEXT, parent_id TEXT, "
    "service TEXT, name TEXT,"
    " kind TEXT, status TEXT, status_message TEXT, trace_state TEXT, start_ns INTEGER, end_ns "
    "INTEGER, duration_ns INTEGER,"
    " resource_id INTEGER REFERENCES resources, scope_name TEXT, scope_version TEXT);"
    // owner: span, resource, event or link; owner_id: the id of its row
    "CREATE TABLE attributes(owner TEXT, owner_id INTEGER, key TEXT, type TEXT, value);"
    "CREATE TABLE events(id INTEGER PRIMARY KEY, span INTEGER REFERENCES spans, time_ns INTEGER, "
    "name TEXT);"
    "CREATE TABLE links(id INTEGER PRIMARY KEY, span INTEGER REFERENCES spans, trace_id TEXT, "
    "span_id TEXT);";
static const char INDICES[] = "CREATE INDEX entries_by_time ON entries(time_ns);"
                              "CREATE INDEX labels_by_name ON labels(name, value);"
                              "CREATE INDEX labels_by_stream ON labels(stream_id);"
                              "CREATE INDEX metadata_by_entry ON metadata(entry_id);"
                              "CREATE INDEX metadata_by_name ON metadata(name, value);"
                              "CREATE INDEX spans_by_trace ON spans(trace_id);"
                              "CREATE INDEX spans_by_start ON spans(start_ns);"
                              "CREATE INDEX attributes_by_owner ON attributes(owner, owner_id);"
                              "CREATE INDEX attributes_by_key ON attributes(key, value);"
                              "CREATE INDEX events_by_span ON events(span);"
                              "CREATE INDEX links_by_span ON links(span);"
                              "COMMIT;";

enum statement {
    INSERT_STREAM,
    INSERT_LABEL,
    INSERT_ENTRY,
    INSERT_METADATA,
    INSERT_RESOURCE,
    INSERT_SPAN,
    INSERT_ATTRIBUTE,
    INSERT_EVENT,
    INSERT_LINK,
    STATEMENTS_COUNT,
};

static const char *const STATEMENTS[STATEMENTS_COUNT] = {
    [INSERT_STREAM] = "INSERT INTO streams VALUES(NULL, ?)",
    [INSERT_LABEL] = "INSERT INTO labels VALUES(?, ?, ?)",
    [INSERT_ENTRY] = "INSERT INTO entries VALUES(NULL, ?, ?, ?)",
    [INSERT_METADATA] = "INSERT INTO metadata VALUES(?, ?, ?)",
    [INSERT_RESOURCE] = "INSERT INTO resources VALUES(NULL, ?)",
    [INSERT_SPAN] = "INSERT INTO spans VALUES(NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [INSERT_ATTRIBUTE] = "INSERT INTO attributes VALUES(?, ?, ?, ?, ?)",
    [INSERT_EVENT] = "INSERT INTO events VALUES(NULL, ?, ?, ?)",
    [INSERT_LINK] = "INSERT INTO links VALUES(NULL, ?, ?, ?)",
};

// Row numbers by hash of what they are of.
struct known {
    struct {
        struct hash128 hash;
        int64_t id; // 0: empty
    } * slots;      // owned
    size_t room, count;
};

struct sqlite_writer {
    struct export_writer writer;
    char *path; // owned
    bool finished;
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS_COUNT];
    sqlite3_stmt *open; // being bound
    int column;         // bound so far
    int rc;             // first failure; later calls do nothing
    struct known streams, resources;
    struct arena arena; // of one span's events and links
    struct buf text;
};

static struct sqlite_writer *sqlite_of(struct export_writer *w)
{
    return (struct sqlite_writer *)w;
}

static bool good(struct sqlite_writer *w, struct err *err)
{
    return w->rc == SQLITE_OK ||
           err_set(err, w->rc == SQLITE_FULL ? ERR_FULL : ERR_IO, "%s: %s", w->path,
                   w->db != NULL ? sqlite3_errmsg(w->db) : sqlite3_errstr(w->rc));
}

// --- rows: begin, a value for each column, insert
// ---------------------------------------------------------

static void note(struct sqlite_writer *w, int rc)
{
    if (w->rc == SQLITE_OK)
        w->rc = rc;
}

static void begin(struct sqlite_writer *w, enum statement s)
{
    w->open = w->statements[s];
    w->column = 0;
}

static void bind_text(struct sqlite_writer *w, struct slice text)
{
    if (w->rc == SQLITE_OK)
        note(w,
             sqlite3_bind_text64(w->open, ++w->column, text.len > 0 ? (const char *)text.ptr : "",
                                 text.len, SQLITE_STATIC, SQLITE_UTF8));
}

static void bind_int(struct sqlite_writer *w, int64_t value)
{
    if (w->rc == SQLITE_OK)
        note(w, sqlite3_bind_int64(w->open, ++w->column, value));
}

static void bind_null(struct sqlite_writer *w)
{
    if (w->rc == SQLITE_OK)
        note(w, sqlite3_bind_null(w->open, ++w->column));
}

// Copied: `text` is reused for the next.
static void bind_id(struct sqlite_writer *w, const uint8_t *id, size_t bytes)
{
    char hex[2 * TRACE_ID_BYTES + 1] = "";
    for (size_t i = 0; i < bytes && i < TRACE_ID_BYTES; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", id[i]);
    if (w->rc == SQLITE_OK)
        note(w, sqlite3_bind_text(w->open, ++w->column, hex, -1, SQLITE_TRANSIENT));
}

static int64_t insert(struct sqlite_writer *w)
{
    if (w->rc == SQLITE_OK && sqlite3_step(w->open) != SQLITE_DONE)
        note(w, sqlite3_errcode(w->db));
    (void)sqlite3_reset(w->open);
    return sqlite3_last_insert_rowid(w->db);
}

static int64_t *known_find(struct known *k, struct hash128 hash)
{
    if ((k->count + 1) * 2 > k->room) {
        struct known larger = {.room = k->room == 0 ? 1024 : k->room * 2, .count = k->count};
        larger.slots = calloc(larger.room, sizeof *larger.slots);
        assert(larger.slots != NULL);
        for (size_t i = 0; i < k->room; i++)
            if (k->slots[i].id != 0)
                *known_find(&larger, k->slots[i].hash) = k->slots[i].id;
        larger.count = k->count;
        free(k->slots);
        *k = larger;
    }
    size_t at = hash.lo & (k->room - 1);
    while (k->slots[at].id != 0 && !hash128_eq(k->slots[at].hash, hash))
        at = (at + 1) & (k->room - 1);
    if (k->slots[at].id == 0) {
        k->slots[at].hash = hash;
        k->count++;
    }
    return &k->slots[at].id;
}

// --- entries
// ----------------------------------------------------------------------------------------

static int64_t stream_id(struct sqlite_writer *w, struct slice labels)
{
    int64_t *id = known_find(&w->streams, hash_128(labels));
    if (*id != 0)
        return *id;
    buf_reset(&w->text);
    labels_print(&w->text, labels);
    begin(w, INSERT_STREAM);
    bind_text(w, buf_slice(&w->text));
    *id = insert(w);
    struct label label;
    for (struct labels_walk walk = labels_walk(labels); labels_next(&walk, &label);) {
        begin(w, INSERT_LABEL);
        bind_int(w, *id);
        bind_text(w, label.name);
        bind_text(w, label.value);
        (void)insert(w);
    }
    return *id;
}

static bool sqlite_entry(struct export_writer *writer, const struct query_entry *e, struct err *err)
{
    struct sqlite_writer *w = sqlite_of(writer);
    int64_t stream = stream_id(w, e->labels);
    begin(w, INSERT_ENTRY);
    bind_int(w, e->time_ns);
    bind_int(w, stream);
    bind_text(w, e->line);
    int64_t entry = insert(w);
    struct label label;
    for (struct labels_walk walk = labels_walk(e->metadata);
         e->metadata.len > 0 && labels_next(&walk, &label);) {
        begin(w, INSERT_METADATA);
        bind_int(w, entry);
        bind_text(w, label.name);
        bind_text(w, label.value);
        (void)insert(w);
    }
    return good(w, err);
}

// --- spans
// ------------------------------------------------------------------------------------------

static void put_attributes(struct sqlite_writer *w, const char *owner, int64_t owner_id,
                           const struct span_attributes *attributes)
{
    for (uint32_t i = 0; i < attributes->count; i++) {
        const struct span_value *v = &attributes->items[i].value;
        begin(w, INSERT_ATTRIBUTE);
        bind_text(w, slice_cstr(owner));
        bind_int(w, owner_id);
        bind_text(w, attributes->items[i].key);
        bind_text(w, slice_cstr(export_value_type(v)));
        if (v->kind == VALUE_INT || v->kind == VALUE_BOOL) {
            bind_int(w, v->kind == VALUE_INT ? v->integer : v->flag);
        } else if (v->kind == VALUE_DOUBLE) {
            if (w->rc == SQLITE_OK)
                note(w, sqlite3_bind_double(w->open, ++w->column, v->number));
        } else if (v->kind == VALUE_NONE) {
            bind_null(w);
        } else {
            buf_reset(&w->text);
            export_value_text(&w->text, v);
            bind_text(w, buf_slice(&w->text));
        }
        (void)insert(w);
    }
}

static int64_t resource_id(struct sqlite_writer *w, const struct span_resource *r)
{
    int64_t *id = known_find(&w->resources, hash_128(r->bytes));
    if (*id != 0)
        return *id;
    begin(w, INSERT_RESOURCE);
    bind_text(w, r->service);
    *id = insert(w);
    put_attributes(w, "resource", *id, &r->attributes);
    return *id;
}

static void put_events(struct sqlite_writer *w, int64_t span, struct slice events)
{
    struct span_event event;
    for (struct pb walk = pb_of(events); span_event_next(&walk, &w->arena, &event);) {
        begin(w, INSERT_EVENT);
        bind_int(w, span);
        bind_int(w, span_time(event.time_ns));
        bind_text(w, event.name);
        put_attributes(w, "event", insert(w), &event.attributes);
    }
}

static void put_links(struct sqlite_writer *w, int64_t span, struct slice links)
{
    struct span_link link;
    for (struct pb walk = pb_of(links); span_link_next(&walk, &w->arena, &link);) {
        begin(w, INSERT_LINK);
        bind_int(w, span);
        bind_id(w, link.trace_id.ptr, link.trace_id.len);
        bind_id(w, link.span_id.ptr, link.span_id.len);
        put_attributes(w, "link", insert(w), &link.attributes);
    }
}

static bool sqlite_span(struct export_writer *writer, const struct span *s, struct err *err)
{
    static const uint8_t none[SPAN_ID_BYTES];
    struct sqlite_writer *w = sqlite_of(writer);
    int64_t resource = resource_id(w, s->resource);
    begin(w, INSERT_SPAN);
    bind_id(w, s->trace_id, TRACE_ID_BYTES);
    bind_id(w, s->span_id, SPAN_ID_BYTES);
    if (memcmp(s->parent_id, none, SPAN_ID_BYTES) == 0)
        bind_null(w);
    else
        bind_id(w, s->parent_id, SPAN_ID_BYTES);
    bind_text(w, s->resource->service);
    bind_text(w, s->name);
    bind_text(w, slice_cstr(export_kind(s->kind)));
    bind_text(w, slice_cstr(export_status(s->status)));
    bind_text(w, s->status_message);
    bind_text(w, s->trace_state);
    bind_int(w, span_time(s->start_ns));
    bind_int(w, span_time(s->end_ns));
    bind_int(w, span_time(span_duration(s)));
    bind_int(w, resource);
    bind_text(w, s->scope->name);
    bind_text(w, s->scope->version);
    int64_t id = insert(w);
    put_attributes(w, "span", id, &s->attributes);
    arena_reset(&w->arena);
    put_events(w, id, s->events);
    put_links(w, id, s->links);
    return good(w, err);
}

// --- life
// -------------------------------------------------------------------------------------------

static bool sqlite_finish(struct export_writer *writer, struct err *err)
{
    struct sqlite_writer *w = sqlite_of(writer);
    if (w->rc == SQLITE_OK)
        note(w, sqlite3_exec(w->db, INDICES, NULL, NULL, NULL));
    if (!good(w, err))
        return false;
    w->finished = true;
    return true;
}

static void sqlite_free(struct export_writer *writer)
{
    struct sqlite_writer *w = sqlite_of(writer);
    for (int i = 0; i < STATEMENTS_COUNT; i++)
        (void)sqlite3_finalize(w->statements[i]);
    if (w->db != NULL) {
        (void)sqlite3_close(w->db);
        if (!w->finished)
            (void)unlink(w->path);
    }
    free(w->streams.slots);
    free(w->resources.slots);
    free(w->path);
    buf_done(&w->text);
    arena_done(&w->arena);
    free(w);
}

bool export_sqlite_open(const char *path, struct export_writer **w_out, struct err *err)
{
    bool exists;
    if (!fs_exists(path, &exists, err))
        return false;
    if (exists)
        return err_set(err, ERR_INPUT, "%s: exists already", path);
    struct sqlite_writer *w = calloc(1, sizeof *w);
    assert(w != NULL);
    w->writer = (struct export_writer){sqlite_entry, sqlite_span, sqlite_finish, sqlite_free};
    w->path = strdup(path);
    assert(w->path != NULL);
    buf_init(&w->text, 0);
    arena_init(&w->arena, SIZE_MAX);
    note(w, sqlite3_open_v2(path, &w->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL));
    if (w->rc == SQLITE_OK)
        note(w, sqlite3_exec(w->db, SCHEMA, NULL, NULL, NULL));
    for (int i = 0; i < STATEMENTS_COUNT && w->rc == SQLITE_OK; i++)
        note(w, sqlite3_prepare_v2(w->db, STATEMENTS[i], -1, &w->statements[i], NULL));
    if (!good(w, err)) {
        sqlite_free(&w->writer);
        return false;
    }
    *w_out = &w->writer;
    return true;
}
