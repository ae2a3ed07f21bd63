/*
 * extract_json.c -- json, json with expressions, unpack; logql.md 9.1, 9.2, 9.7.
 *
 * Lenient as the reference: labels found before an error stay, text behind the object is ignored. A nested
 * object is looked into only when its end was found.
 *
 * What takes a piece of the line gets the place where it begins and gives the one behind it, or NULL with the walk's
 * error set (which next_member() leaves alone at the end of an object): so the place stays in a register.
 */
#include "query/pipeline/extract.h"

#include "base/utf8.h"
#include "query/pipeline/bytes.h"

#include <string.h>

#define OBJECT_OPEN "Value looks like object, but can't find closing '}' symbol"
#define ARRAY_OPEN "Value is array, but can't find closing ']' symbol"
#define STRING_OPEN "Value is string, but can't find closing '\"' symbol"
#define MALFORMED "Malformed JSON error"
#define UNKNOWN_TYPE "Unknown value type"
#define BAD_ESCAPE "Encountered an invalid escape sequence in a string"

enum { NAME_BYTES_MAX = 4096, JSON_DEPTH_MAX = 128 };

struct walk {
    const uint8_t *end; // of the line
    struct line *l;
    const struct wanted_labels *wanted;
    uint64_t found; // of wanted ones, by place
    char name[NAME_BYTES_MAX];
    const char *error; // NULL while good
    extract_visit *visit; // instead of setting labels; NULL: set them
    void *ctx;
    struct slice path[JSON_DEPTH_MAX + 1]; // keys down to the value in hand; only with `visit`
};

static inline const uint8_t *skip_blanks(const uint8_t *at, const uint8_t *end)
{
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r'))
        at++;
    return at;
}

// From behind a quote; the text up to the closing one. NULL: unclosed.
static inline const uint8_t *take_raw_string(const uint8_t *from, const uint8_t *end, struct slice *out,
                                             bool *escaped_out)
{
    const uint8_t *at = bytes_quote(from, end);
    *escaped_out = at < end && *at == '\\';
    while (at < end && *at == '\\')
        at = end - at > 2 ? bytes_quote(at + 2, end) : end;
    *out = slice_of(from, (size_t)(at - from));
    return at < end ? at + 1 : NULL;
}

static int hex4(const uint8_t *p, const uint8_t *end)
{
    int value = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        uint8_t c = p[i] | 32;
        int digit = p[i] >= '0' && p[i] <= '9' ? p[i] - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

// False on a bad escape.
static bool unescape(struct slice raw, struct arena *a, struct slice *out)
{
    uint8_t *to = arena_alloc(a, raw.len + 1);
    size_t len = 0;
    if (to == NULL)
        return false;
    for (const uint8_t *p = raw.ptr, *end = raw.ptr + raw.len; p < end;) {
        if (*p != '\\') {
            to[len++] = *p++;
            continue;
        }
        if (++p == end)
            return false;
        static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
        const char *name = memchr(names, *p, sizeof names - 1);
        if (name != NULL) {
            to[len++] = (uint8_t)values[name - names];
            p++;
            continue;
        }
        int rune = *p == 'u' ? hex4(p + 1, end) : -1;
        if (rune < 0)
            return false;
        p += 5;
        if (rune >= 0xD800 && rune < 0xDC00) {
            int low = end - p >= 6 && p[0] == '\\' && p[1] == 'u' ? hex4(p + 2, end) : -1;
            if (low < 0xDC00 || low > 0xDFFF)
                return false;
            p += 6;
            rune = 0x10000 + ((rune - 0xD800) << 10) + (low - 0xDC00);
        } else if (rune >= 0xDC00 && rune < 0xE000) {
            rune = UTF8_INVALID;
        }
        len += utf8_encode((uint32_t)rune, to + len);
    }
    *out = slice_of(to, len);
    return true;
}

// Behind the brace that closes the one at `pos`; NULL when there is none.
static const uint8_t *find_close(const uint8_t *pos, const uint8_t *end, uint8_t open, uint8_t close)
{
    int depth = 0;
    for (; pos < end; pos++) {
        if (*pos == '"') {
            for (pos++; pos < end && *pos != '"'; pos++)
                if (*pos == '\\')
                    pos++;
        } else if (*pos == open) {
            depth++;
        } else if (*pos == close && --depth == 0) {
            return pos + 1;
        }
    }
    return NULL;
}

enum value_kind { VALUE_STRING, VALUE_OBJECT, VALUE_ARRAY, VALUE_NUMBER, VALUE_BOOL, VALUE_NULL };

struct value {
    enum value_kind kind;
    struct slice raw; // a string's text between its quotes
    bool escaped;
};

static const uint8_t *walk_fail(struct walk *w, const char *error)
{
    w->error = error;
    return NULL;
}

static const uint8_t *take_word(struct walk *w, const uint8_t *at, const char *word, enum value_kind kind,
                                struct value *out)
{
    size_t len = strlen(word);
    if ((size_t)(w->end - at) < len || memcmp(at, word, len) != 0)
        return walk_fail(w, UNKNOWN_TYPE);
    *out = (struct value){kind, slice_of(at, len), false};
    return at + len;
}

static const bool ends_number[256] = {[0] = true, [' '] = true, ['\t'] = true, ['\r'] = true, ['\n'] = true,
                                      [','] = true, ['}'] = true, [']'] = true};

// What is no string.
static const uint8_t *take_other(struct walk *w, const uint8_t *at, struct value *out)
{
    const uint8_t *from = at;
    uint8_t c = *at;
    if (c == '{' || c == '[') {
        at = find_close(from, w->end, c, c == '{' ? '}' : ']');
        if (at == NULL)
            return walk_fail(w, c == '{' ? OBJECT_OPEN : ARRAY_OPEN);
        *out = (struct value){c == '{' ? VALUE_OBJECT : VALUE_ARRAY, slice_of(from, (size_t)(at - from)), false};
        return at;
    }
    if (c == '-' || (c >= '0' && c <= '9')) {
        while (at < w->end && !ends_number[*at])
            at++;
        *out = (struct value){VALUE_NUMBER, slice_of(from, (size_t)(at - from)), false};
        return at;
    }
    return c == 't'   ? take_word(w, at, "true", VALUE_BOOL, out)
           : c == 'f' ? take_word(w, at, "false", VALUE_BOOL, out)
           : c == 'n' ? take_word(w, at, "null", VALUE_NULL, out)
                      : walk_fail(w, UNKNOWN_TYPE);
}

static inline const uint8_t *take_value(struct walk *w, const uint8_t *at, struct value *out)
{
    at = skip_blanks(at, w->end);
    if (at >= w->end)
        return walk_fail(w, MALFORMED);
    if (*at != '"')
        return take_other(w, at, out);
    out->kind = VALUE_STRING;
    at = take_raw_string(at + 1, w->end, &out->raw, &out->escaped);
    return at != NULL ? at : walk_fail(w, STRING_OPEN);
}

// Between members: NULL at the end of the object, or on an error.
static inline const uint8_t *next_member(struct walk *w, const uint8_t *at, bool first)
{
    at = skip_blanks(at, w->end);
    if (at >= w->end)
        return walk_fail(w, first ? MALFORMED : ARRAY_OPEN);
    if (!first) {
        if (*at == '}')
            return NULL;
        if (*at != ',')
            return walk_fail(w, OBJECT_OPEN);
        at = skip_blanks(at + 1, w->end);
        if (at >= w->end)
            return walk_fail(w, ARRAY_OPEN);
    }
    return *at == '}' ? NULL : at; // an empty object, or a trailing comma
}

static inline const uint8_t *take_key(struct walk *w, const uint8_t *at, struct slice *out)
{
    bool escaped;
    if (*at != '"')
        return walk_fail(w, OBJECT_OPEN);
    at = take_raw_string(at + 1, w->end, out, &escaped);
    if (at == NULL)
        return walk_fail(w, MALFORMED);
    if (escaped && !unescape(*out, w->l->scratch, out))
        return walk_fail(w, BAD_ESCAPE);
    at = skip_blanks(at, w->end);
    if (at >= w->end || *at != ':')
        return walk_fail(w, MALFORMED);
    return at + 1;
}

static struct slice value_text(const struct value *v, struct arena *a)
{
    struct slice text = v->raw;
    if (v->escaped && !unescape(v->raw, a, &text))
        return SLICE("");
    return utf8_blanked(text, a);
}

// --- json -------------------------------------------------------------------------------------------

static bool is_done(const struct walk *w)
{
    return w->error != NULL || wanted_all(w->wanted, w->found);
}

// The name of a member: its sanitised key behind the names of the objects that it is in, which are the first `len`
// bytes of w->name, where there are any.
static struct slice member_name(struct walk *w, size_t len, struct slice key)
{
    struct slice part = extract_name(key, len == 0, w->l->scratch);
    if (part.len == 0 || len + 1 + part.len > NAME_BYTES_MAX)
        return slice_of(w->name, len);
    if (len == 0)
        return part;
    w->name[len++] = '_';
    memcpy(w->name + len, part.ptr, part.len);
    return slice_of(w->name, len + part.len);
}

static void put_value(struct walk *w, struct slice name, const struct value *v, int depth)
{
    if (name.len == 0 || v->kind == VALUE_NULL || v->kind == VALUE_ARRAY)
        return;
    if (w->visit != NULL) {
        w->visit(w->ctx, name, value_text(v, w->l->scratch), w->path, (size_t)depth + 1);
        return;
    }
    if (!wanted(w->wanted, name, &w->found))
        return;
    if ((const char *)name.ptr == w->name)
        name = arena_copy(w->l->scratch, name);
    line_parse_label(w->l, name, value_text(v, w->l->scratch), false);
}

// From behind `{`.
static void walk_object(struct walk *w, const uint8_t *at, size_t name_len, int depth)
{
    for (bool first = true; (at = next_member(w, at, first)) != NULL && !is_done(w); first = false) {
        struct slice key;
        struct value v;
        if ((at = take_key(w, at, &key)) == NULL || (at = take_value(w, at, &v)) == NULL)
            return;
        struct slice name = member_name(w, name_len, key);
        if (w->visit != NULL)
            w->path[depth] = key;
        if (v.kind == VALUE_OBJECT && depth < JSON_DEPTH_MAX) {
            if (name_len == 0 && name.len > 0)
                memcpy(w->name, name.ptr, name.len);
            walk_object(w, v.raw.ptr + 1, name.len, depth + 1);
            if (is_done(w))
                return;
        } else {
            put_value(w, name, &v, depth);
        }
    }
}

static void fail(struct line *l, const struct wanted_labels *w, const char *details)
{
    line_fail(l, "JSONParserErr", details);
    if (w != NULL && w->preserve_errors)
        l->preserve_error = true;
}

// Leaves the large members as they are: they are written before they are read.
static void walk_init(struct walk *w, struct line *l, const struct wanted_labels *wanted)
{
    w->end = l->text.ptr + l->text.len;
    w->l = l;
    w->wanted = wanted;
    w->found = 0;
    w->error = NULL;
    w->visit = NULL;
    w->ctx = NULL;
}

void extract_json(const struct wanted_labels *wanted, struct line *l)
{
    struct walk w;
    walk_init(&w, l, wanted);
    const uint8_t *at = skip_blanks(l->text.ptr, w.end);
    if (at >= w.end || *at != '{') {
        fail(l, wanted, OBJECT_OPEN);
        return;
    }
    walk_object(&w, at + 1, 0, 0);
    if (w.error != NULL)
        fail(l, wanted, w.error);
}

static void ignore(void *ctx, struct slice name, struct slice value, const struct slice *path, size_t path_count)
{
    (void)ctx, (void)name, (void)value, (void)path, (void)path_count;
}

bool extract_json_fields(struct slice line, struct arena *a, extract_visit *visit, void *ctx)
{
    static const struct wanted_labels all = {0};
    struct line l = {.text = line, .scratch = a};
    struct walk w;
    walk_init(&w, &l, &all);
    w.visit = visit != NULL ? visit : ignore;
    w.ctx = ctx;
    const uint8_t *at = skip_blanks(line.ptr, w.end);
    if (at >= w.end || *at != '{')
        return false;
    walk_object(&w, at + 1, 0, 0);
    return w.error == NULL;
}

void extract_unpack(struct line *l)
{
    static const struct wanted_labels all = {0};
    struct walk w;
    walk_init(&w, l, &all);
    if (l->text.len == 0)
        return;
    if (l->text.ptr[0] != '{') {
        fail(l, NULL, "expecting json object(6), but it is not");
        return;
    }
    // First the whole object is read, for only a line with `_entry` is unpacked.
    struct slice entry = {0};
    for (int pass = 0; pass < 2; pass++) {
        const uint8_t *at = l->text.ptr + 1;
        w.error = NULL;
        for (bool first = true; (at = next_member(&w, at, first)) != NULL; first = false) {
            struct slice key;
            struct value v;
            if ((at = take_key(&w, at, &key)) == NULL || (at = take_value(&w, at, &v)) == NULL)
                break;
            if (v.kind != VALUE_STRING)
                continue;
            bool is_entry = slice_eq(key, SLICE("_entry"));
            if (pass == 0 && is_entry && !(v.escaped ? unescape(v.raw, l->scratch, &entry) : (entry = v.raw, true)))
                entry = SLICE("");
            struct slice name = extract_name(key, true, l->scratch);
            if (pass == 1 && !is_entry && name.len > 0)
                line_parse_label(l, name, value_text(&v, l->scratch), true);
        }
        if (w.error != NULL) {
            fail(l, NULL, w.error);
            return;
        }
        if (entry.ptr == NULL)
            return;
    }
    l->text = entry;
}

// --- paths ------------------------------------------------------------------------------------------

struct json_step {
    bool is_index;
    struct slice field;
    size_t index;
};

struct json_path {
    struct json_step *steps;
    size_t count;
};

static bool is_word(uint8_t c, bool first)
{
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (!first && c >= '0' && c <= '9');
}

static bool path_error(struct slice text, const char *why, struct err *err)
{
    return err_set(err, ERR_INPUT, "cannot parse expression [%.*s]: %s", SLICE_FMT(text), why);
}

static bool add_step(struct json_path *p, size_t *room, struct json_step step, struct arena *a)
{
    if (p->count == *room && !arena_grow(a, (void **)&p->steps, sizeof *p->steps, p->count, room))
        return false;
    p->steps[p->count++] = step;
    return true;
}

bool json_path_parse(struct slice text, struct arena *a, struct json_path **out, struct err *err)
{
    struct json_path *p = arena_zalloc(a, sizeof *p);
    size_t room = 0, i = 0;
    if (p == NULL)
        return arena_ok(a, "json expression", err);
    if (text.len == 0)
        return path_error(text, "syntax error: unexpected $end, expecting FIELD or [", err);
    while (i < text.len) {
        struct json_step step = {0};
        if (text.ptr[i] == '[') {
            size_t from = ++i;
            if (i < text.len && text.ptr[i] == '"') {
                from = ++i;
                while (i < text.len && text.ptr[i] != '"' && text.ptr[i] != ']')
                    i++;
                step.field = slice_of(text.ptr + from, i - from);
                i += i < text.len && text.ptr[i] == '"';
            } else {
                step.is_index = true;
                for (; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++)
                    step.index = step.index * 10 + (size_t)(text.ptr[i] - '0');
                if (i == from)
                    return path_error(text, i == text.len ? "syntax error: unexpected $end, expecting STRING or INDEX"
                                                          : "syntax error: unexpected character in brackets", err);
            }
            if (i >= text.len || text.ptr[i++] != ']')
                return path_error(text, "syntax error: unexpected $end, expecting ]", err);
        } else {
            if (text.ptr[i] == '.' && p->count > 0)
                i++;
            size_t from = i;
            if (i >= text.len || !is_word(text.ptr[i], true)) {
                AUTO(buf_done) struct buf why;
                buf_init(&why, 128);
                if (i >= text.len)
                    buf_put_cstr(&why, "syntax error: unexpected $end, expecting FIELD");
                else
                    buf_printf(&why, "unexpected char %c", text.ptr[i]);
                buf_put_byte(&why, '\0');
                return path_error(text, (const char *)why.ptr, err);
            }
            if (p->count > 0 && text.ptr[from - 1] != '.')
                return path_error(text, "syntax error: unexpected FIELD", err);
            while (i < text.len && is_word(text.ptr[i], false))
                i++;
            step.field = slice_of(text.ptr + from, i - from);
            if (i < text.len && (text.ptr[i] == ' ' || text.ptr[i] == '\t')) {
                size_t next = i;
                while (next < text.len && (text.ptr[next] == ' ' || text.ptr[next] == '\t'))
                    next++;
                if (next < text.len && is_word(text.ptr[next], true))
                    return path_error(text, "syntax error: unexpected FIELD", err);
                i = next;
            }
        }
        if (!add_step(p, &room, step, a))
            return arena_ok(a, "json expression", err);
    }
    *out = p;
    return true;
}

static const uint8_t *step_to_index(struct walk *w, const uint8_t *at, size_t index)
{
    struct value v;
    for (size_t n = 0;; n++) {
        at = skip_blanks(at, w->end);
        if (at >= w->end || *at == ']')
            return NULL;
        if (n == index)
            return at;
        if ((at = take_value(w, at, &v)) == NULL)
            return NULL;
        at = skip_blanks(at, w->end);
        if (at >= w->end || *at++ != ',')
            return NULL;
    }
}

static const uint8_t *step_to_field(struct walk *w, const uint8_t *at, struct slice field)
{
    struct slice key;
    struct value v;
    for (bool first = true; (at = next_member(w, at, first)) != NULL; first = false) {
        if ((at = take_key(w, at, &key)) == NULL)
            return NULL;
        at = skip_blanks(at, w->end);
        if (slice_eq(key, field))
            return at;
        if ((at = take_value(w, at, &v)) == NULL)
            return NULL;
    }
    return NULL;
}

// Goes into a value by one step. NULL when there is nothing there, or it is broken (w->error).
static const uint8_t *step_into(struct walk *w, const uint8_t *at, const struct json_step *step)
{
    at = skip_blanks(at, w->end);
    if (at >= w->end || *at != (step->is_index ? '[' : '{'))
        return NULL;
    return step->is_index ? step_to_index(w, at + 1, step->index) : step_to_field(w, at + 1, step->field);
}

static void run_path(const struct ast_assign *assign, const struct json_path *path, struct line *l)
{
    static const struct wanted_labels all = {0};
    struct walk w;
    walk_init(&w, l, &all);
    struct value v;
    struct slice text = SLICE("");
    const uint8_t *at = l->text.ptr;
    for (size_t i = 0; i < path->count && at != NULL; i++)
        at = step_into(&w, at, &path->steps[i]);
    w.error = NULL; // broken JSON elsewhere goes unnoticed
    bool found = at != NULL;
    if (found && take_value(&w, at, &v) == NULL) {
        line_fail(l, "JSONParserErr", w.error);
        found = false;
    } else if (found && v.kind == VALUE_STRING) {
        text = value_text(&v, l->scratch);
    } else if (found && v.kind == VALUE_ARRAY) {
        if (!unescape(v.raw, l->scratch, &text))
            text = v.raw;
    } else if (found && v.kind != VALUE_NULL) {
        text = v.raw;
    }
    bool visible;
    (void)line_label(l, assign->name, &visible);
    if (found || !visible)
        line_parse_label(l, assign->name, text, true);
}

void extract_json_paths(const struct ast_assign *assigns, struct json_path *const *paths, size_t count,
                        struct line *l)
{
    if (l->text.len == 0)
        return;
    if (strchr("{[\"", l->text.ptr[0]) == NULL) {
        line_fail(l, "JSONParserErr", "");
        return;
    }
    for (size_t i = 0; i < count; i++)
        run_path(&assigns[i], paths[i], l);
}
