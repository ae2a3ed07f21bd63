/*
 * extract_json.c -- json, json with expressions, unpack; logql.md 9.1, 9.2, 9.7.
 *
 * Lenient as the reference: labels found before an error stay, text behind the object is ignored. A nested
 * object is looked into only when its end was found.
 */
#include "query/pipeline/extract.h"

#include "base/utf8.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif
#include <string.h>

#define OBJECT_OPEN "Value looks like object, but can't find closing '}' symbol"
#define ARRAY_OPEN "Value is array, but can't find closing ']' symbol"
#define STRING_OPEN "Value is string, but can't find closing '\"' symbol"
#define MALFORMED "Malformed JSON error"
#define UNKNOWN_TYPE "Unknown value type"
#define BAD_ESCAPE "Encountered an invalid escape sequence in a string"

enum { NAME_BYTES_MAX = 4096, JSON_DEPTH_MAX = 128 };

struct walk {
    const uint8_t *pos, *end;
    struct line *l;
    const struct wanted_labels *wanted;
    uint64_t found; // of wanted ones, by place
    char name[NAME_BYTES_MAX];
    const char *error; // NULL while good
    extract_visit *visit; // instead of setting labels; NULL: set them
    void *ctx;
    struct slice path[JSON_DEPTH_MAX + 1]; // keys down to the value in hand; only with `visit`
};

static void skip_blanks(struct walk *w)
{
    while (w->pos < w->end && (*w->pos == ' ' || *w->pos == '\n' || *w->pos == '\t' || *w->pos == '\r'))
        w->pos++;
}

// The next quote or backslash, or the end.
static const uint8_t *special(const uint8_t *at, const uint8_t *end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
    for (; end - at >= 16; at += 16) {
        __m128i text = _mm_loadu_si128((const __m128i *)at);
        int hits = _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(text, quote), _mm_cmpeq_epi8(text, backslash)));
        if (hits != 0)
            return at + __builtin_ctz((unsigned)hits);
    }
#endif
    while (at < end && *at != '"' && *at != '\\')
        at++;
    return at;
}

// From behind the quote to behind the closing one; the text between. NULL ptr: unclosed.
static struct slice take_raw_string(struct walk *w, bool *escaped_out)
{
    const uint8_t *from = w->pos, *at = special(from, w->end);
    *escaped_out = at < w->end && *at == '\\';
    while (at < w->end && *at == '\\')
        at = w->end - at > 2 ? special(at + 2, w->end) : w->end;
    w->pos = at < w->end ? at + 1 : at;
    return at < w->end ? slice_of(from, (size_t)(at - from)) : (struct slice){0};
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

static bool value_fail(struct walk *w, const char *error)
{
    w->error = error;
    return false;
}

static bool take_word(struct walk *w, const char *word, enum value_kind kind, struct value *out)
{
    size_t len = strlen(word);
    if ((size_t)(w->end - w->pos) < len || memcmp(w->pos, word, len) != 0)
        return value_fail(w, UNKNOWN_TYPE);
    *out = (struct value){kind, slice_of(w->pos, len), false};
    w->pos += len;
    return true;
}

static bool take_value(struct walk *w, struct value *out)
{
    skip_blanks(w);
    if (w->pos >= w->end)
        return value_fail(w, MALFORMED);
    const uint8_t *from = w->pos;
    uint8_t c = *w->pos;
    if (c == '"') {
        w->pos++;
        *out = (struct value){.kind = VALUE_STRING};
        out->raw = take_raw_string(w, &out->escaped);
        return out->raw.ptr != NULL || value_fail(w, STRING_OPEN);
    }
    if (c == '{' || c == '[') {
        w->pos = find_close(from, w->end, c, c == '{' ? '}' : ']');
        if (w->pos == NULL) {
            w->pos = from;
            return value_fail(w, c == '{' ? OBJECT_OPEN : ARRAY_OPEN);
        }
        *out = (struct value){c == '{' ? VALUE_OBJECT : VALUE_ARRAY, slice_of(from, (size_t)(w->pos - from)), false};
        return true;
    }
    if (c == '-' || (c >= '0' && c <= '9')) {
        while (w->pos < w->end && strchr(" \t\r\n,}]", *w->pos) == NULL)
            w->pos++;
        *out = (struct value){VALUE_NUMBER, slice_of(from, (size_t)(w->pos - from)), false};
        return true;
    }
    return c == 't'   ? take_word(w, "true", VALUE_BOOL, out)
           : c == 'f' ? take_word(w, "false", VALUE_BOOL, out)
           : c == 'n' ? take_word(w, "null", VALUE_NULL, out)
                      : value_fail(w, UNKNOWN_TYPE);
}

// Between members: false at the end of the object, or on an error.
static bool next_member(struct walk *w, bool first)
{
    skip_blanks(w);
    if (w->pos >= w->end)
        return value_fail(w, first ? MALFORMED : ARRAY_OPEN);
    if (!first) {
        if (*w->pos == '}') {
            w->pos++;
            return false;
        }
        if (*w->pos != ',')
            return value_fail(w, OBJECT_OPEN);
        w->pos++;
        skip_blanks(w);
        if (w->pos >= w->end)
            return value_fail(w, ARRAY_OPEN);
    }
    if (*w->pos == '}') { // an empty object, or a trailing comma
        w->pos++;
        return false;
    }
    return true;
}

static bool take_key(struct walk *w, struct slice *out)
{
    bool escaped;
    if (*w->pos != '"')
        return value_fail(w, OBJECT_OPEN);
    w->pos++;
    struct slice raw = take_raw_string(w, &escaped);
    if (raw.ptr == NULL)
        return value_fail(w, MALFORMED);
    *out = raw;
    if (escaped && !unescape(raw, w->l->scratch, out))
        return value_fail(w, BAD_ESCAPE);
    skip_blanks(w);
    if (w->pos >= w->end || *w->pos != ':')
        return value_fail(w, MALFORMED);
    w->pos++;
    return true;
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

// Appends a sanitised key to the name so far; its new length.
static size_t join_name(struct walk *w, size_t len, struct slice key)
{
    struct slice part = extract_name(key, len == 0, w->l->scratch);
    if (part.len == 0 || len + 1 + part.len > NAME_BYTES_MAX)
        return len;
    if (len > 0)
        w->name[len++] = '_';
    memcpy(w->name + len, part.ptr, part.len);
    return len + part.len;
}

static void put_value(struct walk *w, size_t name_len, const struct value *v, int depth)
{
    struct slice name = slice_of(w->name, name_len);
    if (name_len == 0 || v->kind == VALUE_NULL || v->kind == VALUE_ARRAY)
        return;
    if (w->visit != NULL) {
        w->visit(w->ctx, name, value_text(v, w->l->scratch), w->path, (size_t)depth + 1);
        return;
    }
    if (!wanted(w->wanted, name, &w->found))
        return;
    line_parse_label(w->l, arena_copy(w->l->scratch, name), value_text(v, w->l->scratch), false);
}

// From behind `{`.
static void walk_object(struct walk *w, size_t name_len, int depth)
{
    for (bool first = true; next_member(w, first) && !is_done(w); first = false) {
        struct slice key;
        struct value v;
        if (!take_key(w, &key) || !take_value(w, &v))
            return;
        size_t len = join_name(w, name_len, key);
        if (w->visit != NULL)
            w->path[depth] = key;
        if (v.kind == VALUE_OBJECT && depth < JSON_DEPTH_MAX) {
            const uint8_t *behind = w->pos;
            w->pos = v.raw.ptr + 1;
            walk_object(w, len, depth + 1);
            if (is_done(w))
                return;
            w->pos = behind;
        } else {
            put_value(w, len, &v, depth);
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
    w->pos = l->text.ptr;
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
    skip_blanks(&w);
    if (w.pos >= w.end || *w.pos != '{') {
        fail(l, wanted, OBJECT_OPEN);
        return;
    }
    w.pos++;
    walk_object(&w, 0, 0);
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
    skip_blanks(&w);
    if (w.pos >= w.end || *w.pos++ != '{')
        return false;
    walk_object(&w, 0, 0);
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
        w.pos = l->text.ptr + 1;
        w.error = NULL;
        for (bool first = true; next_member(&w, first); first = false) {
            struct slice key;
            struct value v;
            if (!take_key(&w, &key) || !take_value(&w, &v))
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

// Goes into the value at `pos` by one step. False when there is nothing there, or it is broken (w->error).
static bool step_into(struct walk *w, const struct json_step *step)
{
    skip_blanks(w);
    if (w->pos >= w->end || *w->pos != (step->is_index ? '[' : '{'))
        return false;
    w->pos++;
    struct value v;
    if (step->is_index) {
        for (size_t n = 0;; n++) {
            skip_blanks(w);
            if (w->pos >= w->end || *w->pos == ']')
                return false;
            if (n == step->index)
                return true;
            if (!take_value(w, &v))
                return false;
            skip_blanks(w);
            if (w->pos >= w->end || *w->pos != ',')
                return false;
            w->pos++;
        }
    }
    for (bool first = true; next_member(w, first); first = false) {
        struct slice key;
        if (!take_key(w, &key))
            return false;
        skip_blanks(w);
        if (slice_eq(key, step->field))
            return true;
        if (!take_value(w, &v))
            return false;
    }
    return false;
}

static void run_path(const struct ast_assign *assign, const struct json_path *path, struct line *l)
{
    static const struct wanted_labels all = {0};
    struct walk w;
    walk_init(&w, l, &all);
    struct value v;
    struct slice text = SLICE("");
    bool found = true;
    for (size_t i = 0; i < path->count && found; i++)
        found = step_into(&w, &path->steps[i]);
    w.error = NULL; // broken JSON elsewhere goes unnoticed
    if (found && !take_value(&w, &v)) {
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
