/*
 * loki_json.c -- Loki's JSON push bodies, both shapes; loki-http.md 17.3.
 *
 * Members may come in any order, so a stream's entries are gathered raw and accepted when its object
 * ends. Of equal keys the last one wins. Lenient where nothing is lost: numeric times, metadata values
 * that are no strings.
 */
#include "ingest/format.h"

#include "base/clock.h"
#include "base/utf8.h"
#include "ingest/json.h"

#include <inttypes.h>

struct loki_json {
    struct json j;
    struct accept *ac;
    struct raw_entries raw;
    struct label *labels; // of the stream in hand
    size_t labels_count, labels_room;
    struct err *err; // code ERR_NONE unless something other than the JSON is wrong
    uint64_t stream; // numbers for messages
    uint64_t entry;
};

static bool bad(const struct loki_json *p)
{
    return p->j.what != NULL || p->err->code != ERR_NONE;
}

static void no_memory(struct loki_json *p)
{
    json_fail(&p->j, "too large");
}

// --- entries ----------------------------------------------------------------------------------------

static bool parse_ns(struct slice text, int64_t *out)
{
    bool negative = text.len > 0 && text.ptr[0] == '-';
    size_t i = negative || (text.len > 0 && text.ptr[0] == '+');
    if (i == text.len)
        return false;
    int64_t value = 0;
    for (; i < text.len; i++) {
        uint8_t digit = (uint8_t)(text.ptr[i] - '0');
        if (digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
            (negative ? __builtin_sub_overflow(value, digit, &value)
                      : __builtin_add_overflow(value, digit, &value)))
            return false;
    }
    *out = value;
    return true;
}

// A string, or a number, of decimal nanoseconds.
static int64_t take_ns(struct loki_json *p)
{
    uint8_t c = json_peek(&p->j);
    struct slice text = c == '"' ? json_string(&p->j) : json_raw(&p->j);
    int64_t ns = 0;
    if (p->j.what == NULL && !parse_ns(text, &ns))
        json_fail(&p->j, "expected nanoseconds as a decimal string");
    return ns;
}

// A label or metadata value: a string, or another value's JSON text.
static struct slice take_text(struct loki_json *p)
{
    return json_peek(&p->j) == '"' ? json_string(&p->j) : json_raw(&p->j);
}

static void parse_metadata(struct loki_json *p, struct raw_entry *e)
{
    bool first = true;
    e->pairs_first = (uint32_t)p->raw.pairs_count;
    json_enter(&p->j, '{');
    while (json_more(&p->j, '}', &first)) {
        struct label pair = {.name = json_key(&p->j)};
        pair.value = json_null(&p->j) ? SLICE("") : take_text(p);
        if (!bad(p) && !raw_entries_pair(&p->raw, p->ac->arena, pair))
            no_memory(p);
    }
    e->pairs_count = (uint32_t)(p->raw.pairs_count - e->pairs_first);
}

static void add_entry(struct loki_json *p, const struct raw_entry *e)
{
    if (!bad(p) && !raw_entries_add(&p->raw, p->ac->arena, e))
        no_memory(p);
}

// ["ns", "line", {metadata}, ignored ...]
static void parse_value(struct loki_json *p)
{
    struct raw_entry e = {0};
    bool first = true;
    if (json_null(&p->j))
        return;
    json_enter(&p->j, '[');
    for (int i = 0; json_more(&p->j, ']', &first) && !bad(p); i++) {
        if (i == 0)
            e.time_ns = take_ns(p);
        else if (i == 1)
            e.line = json_string(&p->j);
        else if (i == 2)
            parse_metadata(p, &e);
        else
            (void)json_raw(&p->j);
        if (i == 0 && json_peek(&p->j) == ']')
            json_fail(&p->j, "an entry needs a time and a line");
    }
    if (first)
        json_fail(&p->j, "an entry needs a time and a line");
    add_entry(p, &e);
}

// {"ts": "RFC 3339", "line": "...", "structuredMetadata": {...}}
static void parse_legacy_entry(struct loki_json *p)
{
    struct raw_entry e = {.time_ns = TIME_BEFORE};
    bool first = true;
    if (json_null(&p->j))
        return;
    json_enter(&p->j, '{');
    while (json_more(&p->j, '}', &first)) {
        struct slice key = json_key(&p->j);
        if (slice_eq(key, SLICE("ts"))) {
            struct slice text = json_string(&p->j);
            if (!bad(p) && !clock_parse_rfc3339(text, &e.time_ns))
                json_fail(&p->j, "expected a time as RFC 3339");
        } else if (slice_eq(key, SLICE("line"))) {
            e.line = json_string(&p->j);
        } else if (slice_eq(key, SLICE("structuredMetadata"))) {
            parse_metadata(p, &e);
        } else {
            (void)json_raw(&p->j);
        }
    }
    add_entry(p, &e);
}

static void parse_entries(struct loki_json *p, void (*parse)(struct loki_json *p))
{
    bool first = true;
    raw_entries_reset(&p->raw);
    if (json_null(&p->j))
        return;
    json_enter(&p->j, '[');
    for (p->entry = 1; json_more(&p->j, ']', &first); p->entry++) {
        parse(p);
        if (bad(p))
            return;
    }
    p->entry = 0;
}

// --- streams ----------------------------------------------------------------------------------------

static void put_label(struct loki_json *p, struct label label)
{
    for (size_t i = 0; i < p->labels_count; i++)
        if (slice_eq(p->labels[i].name, label.name)) {
            p->labels[i] = label;
            return;
        }
    if (!arena_grow(p->ac->arena, (void **)&p->labels, sizeof *p->labels, p->labels_count,
                    &p->labels_room)) {
        no_memory(p);
        return;
    }
    p->labels[p->labels_count++] = label;
}

static bool is_label_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        if (!(c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              (i > 0 && c >= '0' && c <= '9')))
            return false;
    }
    return name.len > 0;
}

static bool labels_failed(struct loki_json *p, const struct err *why)
{
    return err_set(p->err, why->code, "couldn't parse labels: %s", why->text);
}

// Names that a label set's text cannot hold fail as that text would: `{name="value"}`.
static bool check_labels(struct loki_json *p)
{
    for (size_t i = 0; i < p->labels_count; i++) {
        struct label label = p->labels[i];
        if (is_label_name(label.name) && utf8_valid_prefix(label.value) == label.value.len)
            continue;
        AUTO(buf_done) struct buf text;
        buf_init(&text, 0);
        buf_put_byte(&text, '{');
        buf_put_slice(&text, label.name);
        buf_put_cstr(&text, "=\"");
        if (utf8_valid_prefix(label.value) != label.value.len)
            buf_put_slice(&text, label.value);
        buf_put_cstr(&text, "\"}");
        struct err why;
        struct labels ignored;
        if (labels_parse(buf_slice(&text), p->ac->arena, &ignored, &why))
            (void)err_set(&why, ERR_INPUT, "1:2: parse error: invalid label name");
        return labels_failed(p, &why);
    }
    return true;
}

static void parse_label_map(struct loki_json *p)
{
    bool first = true;
    p->labels_count = 0;
    json_enter(&p->j, '{');
    while (json_more(&p->j, '}', &first)) {
        struct label label = {.name = json_key(&p->j)};
        label.value = take_text(p);
        if (!bad(p))
            put_label(p, label);
    }
}

static void accept_raw(struct loki_json *p, struct labels *labels)
{
    struct err why;
    if (!accept_stream(p->ac, labels, &p->raw, &why))
        *p->err = why;
}

static void parse_stream(struct loki_json *p)
{
    bool first = true;
    raw_entries_reset(&p->raw);
    p->labels_count = 0;
    json_enter(&p->j, '{');
    while (json_more(&p->j, '}', &first)) {
        struct slice key = json_key(&p->j);
        if (slice_eq(key, SLICE("stream")))
            parse_label_map(p);
        else if (slice_eq(key, SLICE("values")))
            parse_entries(p, parse_value);
        else
            (void)json_raw(&p->j);
        if (bad(p))
            return;
    }
    if (bad(p) || !check_labels(p))
        return;
    accept_raw(p, &(struct labels){p->labels, (uint32_t)p->labels_count});
}

static void parse_legacy_stream(struct loki_json *p)
{
    bool first = true;
    struct slice text = SLICE("");
    raw_entries_reset(&p->raw);
    json_enter(&p->j, '{');
    while (json_more(&p->j, '}', &first)) {
        struct slice key = json_key(&p->j);
        if (slice_eq(key, SLICE("labels")))
            text = json_string(&p->j);
        else if (slice_eq(key, SLICE("entries")))
            parse_entries(p, parse_legacy_entry);
        else
            (void)json_raw(&p->j);
        if (bad(p))
            return;
    }
    struct labels labels;
    struct err why;
    if (bad(p))
        return;
    if (labels_parse(text, p->ac->arena, &labels, &why))
        accept_raw(p, &labels);
    else
        (void)labels_failed(p, &why);
}

static void parse_streams(struct loki_json *p, void (*parse)(struct loki_json *p))
{
    bool first = true;
    if (json_null(&p->j))
        return;
    json_enter(&p->j, '[');
    for (p->stream = 1; json_more(&p->j, ']', &first); p->stream++) {
        if (json_null(&p->j))
            continue;
        parse(p);
        if (bad(p))
            return;
    }
    p->stream = 0;
}

static bool parse_document(struct slice body, struct accept *ac,
                           void (*parse)(struct loki_json *p), struct err *err)
{
    struct err why = {0};
    struct loki_json p = {.j = json_of(body, ac->arena), .ac = ac, .err = &why};
    const struct accept before = *ac;
    bool first = true;
    if (json_peek(&p.j) == 0)
        return err_set(err, ERR_INPUT, "EOF");
    if (json_null(&p.j))
        return true;
    json_enter(&p.j, '{');
    while (json_more(&p.j, '}', &first) && !bad(&p)) {
        struct slice key = json_key(&p.j);
        if (slice_eq(key, SLICE("streams"))) {
            *ac = before; // the last one wins
            parse_streams(&p, parse);
        } else {
            (void)json_raw(&p.j);
        }
    }
    if (why.code != ERR_NONE) {
        *err = why;
        return false;
    }
    if (p.j.what == NULL)
        return true;
    if (!arena_ok(ac->arena, "push", err)) {
        err->code = ERR_TOO_LARGE;
        return false;
    }
    (void)json_error(&p.j, err);
    if (p.stream > 0 && p.entry > 0)
        return err_wrap(err, "stream %" PRIu64 ", entry %" PRIu64, p.stream, p.entry);
    return p.stream > 0 ? err_wrap(err, "stream %" PRIu64, p.stream) : false;
}

bool loki_json_parse(struct slice body, struct accept *ac, struct err *err)
{
    return parse_document(body, ac, parse_stream, err);
}

bool loki_json_parse_legacy(struct slice body, struct accept *ac, struct err *err)
{
    return parse_document(body, ac, parse_legacy_stream, err);
}
