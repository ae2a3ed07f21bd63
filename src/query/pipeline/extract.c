/* extract.c -- see extract.h: dispatch, logfmt, regexp, pattern, and what parsers share. */
#include "query/pipeline/extract.h"

#include "base/utf8.h"
#include "query/pipeline/bytes.h"

#include <ctype.h>
#include <stdio.h>

struct pattern_node {
    struct slice literal; // ptr NULL: a capture
    struct slice name;    // empty: `<_>`
};

struct extractor {
    const struct ast_stage *ast;
    struct json_path **paths;  // json with expressions
    const struct regex *regex; // regexp
    size_t groups;
    struct slice *group_names; // sanitised; empty: unnamed
    struct pattern_node *nodes;
    size_t nodes_count;
};

enum { FOUND_BITS = 64 };

bool wanted(const struct wanted_labels *w, struct slice name, uint64_t *found)
{
    for (size_t i = 0; i < w->count; i++)
        if (slice_eq(w->names[i], name)) {
            *found |= i < FOUND_BITS ? UINT64_C(1) << i : 0;
            return true;
        }
    return !w->limited;
}

bool wanted_all(const struct wanted_labels *w, uint64_t found)
{
    return w->limited && w->count < FOUND_BITS && found == (UINT64_C(1) << w->count) - 1;
}

// What a label name may be made of.
static const bool in_names[256] = {['0' ... '9'] = true, ['A' ... 'Z'] = true, ['_'] = true, ['a' ... 'z'] = true};

static bool is_word(uint8_t c)
{
    return in_names[c];
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

struct slice extract_name(struct slice key, bool first, struct arena *a)
{
    size_t words = 0;
    while (words < key.len && is_word(key.ptr[words]))
        words++;
    if (words == key.len && (words == 0 || !first || !is_digit(key.ptr[0])))
        return key; // the common case
    while (key.len > 0 && isspace(key.ptr[0]))
        key = slice_from(key, 1);
    while (key.len > 0 && isspace(key.ptr[key.len - 1]))
        key.len--;
    if (key.len == 0)
        return key;
    uint8_t *to = arena_alloc(a, key.len + 1);
    if (to == NULL)
        return SLICE("");
    size_t len = 0;
    if (first && is_digit(key.ptr[0]))
        to[len++] = '_';
    for (size_t i = 0; i < key.len;) {
        uint32_t rune;
        bool valid;
        size_t bytes = utf8_decode(slice_from(key, i), &rune, &valid);
        to[len++] = bytes == 1 && is_word(key.ptr[i]) ? key.ptr[i] : '_';
        i += bytes;
    }
    return slice_of(to, len);
}

// --- logfmt -----------------------------------------------------------------------------------------

struct logfmt {
    const uint8_t *start, *pos, *end;
    struct arena *a;
    struct slice key, value;
    bool plain; // the key is a label name as it is
    const char *error; // of the last pair; NULL: good
    size_t error_at;   // 1-based
};

// Behind what is broken, to the next blank.
static bool logfmt_fail(struct logfmt *f, const uint8_t *at, const char *error)
{
    f->error = error;
    f->error_at = (size_t)(at - f->start) + 1;
    while (at < f->end && *at > ' ')
        at++;
    f->pos = at;
    return true;
}

static bool logfmt_unescape(struct slice raw, struct arena *a, struct slice *out)
{
    uint8_t *to = arena_alloc(a, raw.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < raw.len && to != NULL; i++) {
        if (raw.ptr[i] != '\\') {
            to[len++] = raw.ptr[i];
            continue;
        }
        static const char names[] = "\"\\/'bfnrt", values[] = "\"\\/'\b\f\n\r\t";
        const char *name = ++i < raw.len ? memchr(names, raw.ptr[i], sizeof names - 1) : NULL;
        if (name != NULL) {
            to[len++] = (uint8_t)values[name - names];
            continue;
        }
        if (i + 4 >= raw.len || raw.ptr[i] != 'u')
            return false;
        char hex[5] = {0};
        unsigned rune;
        memcpy(hex, raw.ptr + i + 1, 4);
        if (sscanf(hex, "%4x", &rune) != 1)
            return false;
        len += utf8_encode(rune >= 0xD800 && rune < 0xE000 ? UTF8_INVALID : rune, to + len);
        i += 4;
    }
    *out = slice_of(to, len);
    return to != NULL;
}

// From behind the quote.
static bool logfmt_quoted(struct logfmt *f, const uint8_t *from)
{
    const uint8_t *at = bytes_quote(from, f->end);
    bool escaped = at < f->end && *at == '\\';
    while (at < f->end && *at == '\\')
        at = bytes_quote(at + 1 < f->end ? at + 2 : at + 1, f->end);
    if (at >= f->end) {
        f->pos = f->end;
        f->error = "unterminated quoted value";
        f->error_at = (size_t)(f->end - f->start) + 1;
        return true;
    }
    f->value = slice_of(from, (size_t)(at - from));
    f->pos = at + 1;
    if (escaped && !logfmt_unescape(f->value, f->a, &f->value)) {
        f->error = "invalid quoted value";
        f->error_at = (size_t)(f->pos - f->start) + 1;
    }
    return true;
}

// The next pair, or error. False at the end.
static bool logfmt_next(struct logfmt *f)
{
    const uint8_t *at = f->pos, *end = f->end;
    f->error = NULL;
    f->value = SLICE("");
    while (at < end && *at <= ' ')
        at++;
    if (at >= end)
        return false;
    const uint8_t *from = at;
    while (at < end && is_word(*at))
        at++;
    bool equals = at < end && *at == '=';
    f->plain = equals && at > from && !is_digit(*from);
    if (!f->plain) {
        at = bytes_word_end(at, end);
        equals = at < end && *at == '=';
    }
    f->key = slice_of(from, (size_t)(at - from));
    if ((equals && f->key.len == 0) || (at < end && *at == '"'))
        return logfmt_fail(f, at, equals ? "unexpected '='" : "unexpected '\"'");
    if (!f->plain && !utf8_is_ascii(f->key) &&
        (utf8_valid_prefix(f->key) != f->key.len || slice_find(f->key, SLICE("\xEF\xBF\xBD")) != SIZE_MAX))
        return logfmt_fail(f, at, "invalid key");
    f->pos = at;
    if (!equals)
        return true;
    from = ++at;
    if (at < end && *at == '"')
        return logfmt_quoted(f, at + 1);
    at = bytes_word_end(at, end);
    if (at < end && *at > ' ')
        return logfmt_fail(f, at, *at == '=' ? "unexpected '='" : "unexpected '\"'");
    f->value = slice_of(from, (size_t)(at - from));
    f->pos = at;
    return true;
}

// Whether the scan goes on behind an error.
static bool logfmt_goes_on(const struct logfmt *f, const struct ast_stage *ast,
                           const struct wanted_labels *w, struct line *l)
{
    if (!ast->strict)
        return true;
    char text[96];
    (void)snprintf(text, sizeof text, "logfmt syntax error at pos %zu : %s", f->error_at, f->error);
    line_fail(l, "LogfmtParserErr", text);
    l->preserve_error = l->preserve_error || w->preserve_errors;
    return false;
}

static void run_logfmt(const struct extractor *x, const struct wanted_labels *w, struct line *l)
{
    struct logfmt f = {.start = l->text.ptr, .pos = l->text.ptr, .end = l->text.ptr + l->text.len, .a = l->scratch};
    uint64_t found = 0;
    while (!wanted_all(w, found) && logfmt_next(&f)) {
        if (f.error != NULL) {
            if (!logfmt_goes_on(&f, x->ast, w, l))
                return;
            continue;
        }
        if (f.value.len == 0 && !x->ast->keep_empty)
            continue;
        struct slice name = f.plain ? f.key : extract_name(f.key, true, l->scratch);
        if (name.len == 0 || !wanted(w, name, &found))
            continue;
        line_parse_label(l, name, utf8_blanked(f.value, l->scratch), false);
    }
}

static void run_logfmt_list(const struct extractor *x, const struct wanted_labels *w, struct line *l)
{
    for (uint32_t i = 0; i < x->ast->assigns_count; i++) {
        bool visible;
        (void)line_label(l, x->ast->assigns[i].name, &visible);
        if (!visible)
            line_parse_label(l, x->ast->assigns[i].name, SLICE(""), true);
    }
    struct logfmt f = {.start = l->text.ptr, .pos = l->text.ptr, .end = l->text.ptr + l->text.len, .a = l->scratch};
    while (logfmt_next(&f)) {
        if (f.error != NULL) {
            if (!logfmt_goes_on(&f, x->ast, w, l))
                return;
            continue;
        }
        struct slice name = extract_name(f.key, true, l->scratch);
        bool valid = utf8_valid_prefix(f.value) == f.value.len;
        for (uint32_t i = 0; i < x->ast->assigns_count; i++)
            if (slice_eq(x->ast->assigns[i].value, name))
                line_parse_label(l, x->ast->assigns[i].name, valid ? f.value : SLICE(""), true);
    }
}

void extract_logfmt_fields(struct slice line, struct arena *a, extract_visit *visit, void *ctx)
{
    struct logfmt f = {.start = line.ptr, .pos = line.ptr, .end = line.ptr + line.len, .a = a};
    while (logfmt_next(&f)) {
        struct slice name = f.error == NULL && f.value.len > 0 ? extract_name(f.key, true, a) : SLICE("");
        if (name.len > 0)
            visit(ctx, name, utf8_blanked(f.value, a), NULL, 0);
    }
}

// --- regexp -----------------------------------------------------------------------------------------

enum { GROUPS_MAX = 128 };

static bool regexp_new(struct extractor *x, struct arena *a, struct ast_regex **regexes, struct err *err)
{
    struct regex *regex;
    if (!ast_regex_add(regexes, x->ast->text, REGEX_NONE, a, &regex, err))
        return err_wrap(err, "parse error : invalid regexp parser");
    x->regex = regex;
    x->groups = regex_groups(regex);
    if (x->groups > GROUPS_MAX - 1)
        return err_set(err, ERR_INPUT, "parse error : invalid regexp parser: more than %d groups", GROUPS_MAX - 1);
    x->group_names = arena_zalloc(a, (x->groups + 1) * sizeof *x->group_names);
    if (x->group_names == NULL)
        return arena_ok(a, "regexp", err);
    bool any = false;
    for (size_t i = 1; i <= x->groups; i++) {
        struct slice name = regex_group_name(regex, i);
        if (name.len == 0)
            continue;
        any = true;
        x->group_names[i] = extract_name(arena_copy(a, name), true, a);
        for (size_t n = 1; n < i; n++)
            if (slice_eq(x->group_names[n], x->group_names[i]))
                return err_set(err, ERR_INPUT, "parse error : invalid regexp parser: duplicate extracted label name '%.*s'",
                               SLICE_FMT(name));
    }
    return any || err_set(err, ERR_INPUT, "parse error : invalid regexp parser: at least one named capture must be supplied");
}

static void run_regexp(const struct extractor *x, struct line *l)
{
    size_t spans[GROUPS_MAX][2];
    if (!regex_find(x->regex, l->text, 0, spans, x->groups + 1))
        return;
    for (size_t i = 1; i <= x->groups; i++) {
        if (x->group_names[i].len == 0)
            continue;
        bool matched = spans[i][0] != SIZE_MAX;
        line_parse_label(l, x->group_names[i],
                         matched ? slice_of(l->text.ptr + spans[i][0], spans[i][1] - spans[i][0]) : SLICE(""),
                         false);
    }
}

// --- pattern ----------------------------------------------------------------------------------------

static size_t capture_length(struct slice s)
{
    if (s.len < 3 || s.ptr[0] != '<' || !(isalpha(s.ptr[1]) || s.ptr[1] == '_'))
        return 0;
    size_t i = 2;
    while (i < s.len && is_word(s.ptr[i]))
        i++;
    return i < s.len && s.ptr[i] == '>' ? i + 1 : 0;
}

static bool add_node(struct extractor *x, size_t *room, struct pattern_node node, struct arena *a)
{
    if (x->nodes_count == *room && !arena_grow(a, (void **)&x->nodes, sizeof *x->nodes, x->nodes_count, room))
        return false;
    x->nodes[x->nodes_count++] = node;
    return true;
}

#define PATTERN_ERROR "parse error : invalid pattern parser: "

static bool pattern_check(const struct extractor *x, struct err *err)
{
    bool named = false;
    for (size_t i = 0; i < x->nodes_count; i++) {
        const struct pattern_node *n = &x->nodes[i];
        if (n->literal.ptr != NULL)
            continue;
        if (i > 0 && x->nodes[i - 1].literal.ptr == NULL)
            return err_set(err, ERR_INPUT, PATTERN_ERROR "found consecutive capture '<%.*s><%.*s>': invalid expression",
                           SLICE_FMT(x->nodes[i - 1].name), SLICE_FMT(n->name));
        if (slice_eq(n->name, SLICE("_")))
            continue;
        named = true;
        for (size_t k = 0; k < i; k++)
            if (x->nodes[k].literal.ptr == NULL && slice_eq(x->nodes[k].name, n->name))
                return err_set(err, ERR_INPUT, PATTERN_ERROR "duplicate capture name (%.*s): invalid expression",
                               SLICE_FMT(n->name));
    }
    return named || err_set(err, ERR_INPUT, PATTERN_ERROR "at least one capture is required");
}

static bool pattern_new(struct extractor *x, struct arena *a, struct err *err)
{
    struct slice text = x->ast->text;
    size_t room = 0, from = 0;
    if (text.len == 0)
        return err_set(err, ERR_INPUT, PATTERN_ERROR "parse error at line 1, col 1: syntax error: unexpected $end, expecting IDENTIFIER or LITERAL");
    for (size_t i = 0; i <= text.len;) {
        size_t len = i < text.len ? capture_length(slice_from(text, i)) : 0;
        if (len == 0 && i < text.len) {
            i++;
            continue;
        }
        bool good = i == from || add_node(x, &room, (struct pattern_node){slice_of(text.ptr + from, i - from), {0}}, a);
        if (good && len > 0)
            good = add_node(x, &room, (struct pattern_node){{0}, slice_of(text.ptr + i + 1, len - 2)}, a);
        if (!good)
            return arena_ok(a, "pattern", err);
        i += len > 0 ? len : 1;
        from = i;
    }
    return pattern_check(x, err);
}

static void run_pattern(const struct extractor *x, const struct wanted_labels *w, struct line *l)
{
    struct slice rest = l->text;
    size_t i = 0;
    uint64_t found = 0;
    if (rest.len == 0)
        return;
    if (x->nodes[0].literal.ptr != NULL) {
        if (!slice_starts(rest, x->nodes[0].literal))
            return;
        rest = slice_from(rest, x->nodes[0].literal.len);
        i = 1;
    }
    for (; i < x->nodes_count; i += 2) {
        const struct pattern_node *capture = &x->nodes[i];
        size_t at = i + 1 < x->nodes_count ? slice_find(rest, x->nodes[i + 1].literal) : SIZE_MAX;
        struct slice value = at == SIZE_MAX ? rest : slice_of(rest.ptr, at);
        if (!slice_eq(capture->name, SLICE("_")) && wanted(w, capture->name, &found))
            line_parse_label(l, capture->name, value, false);
        if (at == SIZE_MAX)
            return;
        rest = slice_from(rest, at + x->nodes[i + 1].literal.len);
    }
}

// --- dispatch ---------------------------------------------------------------------------------------

static bool paths_new(struct extractor *x, struct arena *a, struct err *err)
{
    x->paths = arena_zalloc(a, (x->ast->assigns_count + 1) * sizeof *x->paths);
    if (x->paths == NULL)
        return arena_ok(a, "json expression", err);
    for (uint32_t i = 0; i < x->ast->assigns_count; i++)
        if (!json_path_parse(x->ast->assigns[i].value, a, &x->paths[i], err))
            return false;
    return true;
}

static bool sources_check(const struct ast_stage *ast, struct err *err)
{
    for (uint32_t i = 0; i < ast->assigns_count; i++) {
        struct slice source = ast->assigns[i].value;
        size_t blank = slice_find(source, SLICE(" "));
        if (blank != SIZE_MAX)
            return err_set(err, ERR_INPUT, "cannot parse expression [%.*s]: syntax error: unexpected KEY",
                           SLICE_FMT(source));
    }
    return true;
}

bool extractor_new(const struct ast_stage *ast, struct arena *a, struct ast_regex **regexes,
                   struct extractor **out, bool *stage_error_out, struct err *err)
{
    struct extractor *x = arena_zalloc(a, sizeof *x);
    *stage_error_out = false;
    if (x == NULL)
        return arena_ok(a, "parser stage", err);
    x->ast = ast;
    *out = x;
    switch (ast->kind) {
    case STAGE_JSON:
        *stage_error_out = true;
        return paths_new(x, a, err);
    case STAGE_LOGFMT:
        *stage_error_out = true;
        return sources_check(ast, err);
    case STAGE_REGEXP:
        return regexp_new(x, a, regexes, err);
    case STAGE_PATTERN:
        return pattern_new(x, a, err);
    default: // unpack
        return true;
    }
}

void extractor_run(const struct extractor *x, const struct wanted_labels *w, struct line *l)
{
    if (x->ast->kind == STAGE_REGEXP) {
        run_regexp(x, l);
        return;
    }
    if (x->ast->kind == STAGE_UNPACK) {
        extract_unpack(l);
        return;
    }
    if (w->limited && w->count == 0)
        return;
    if (x->ast->kind == STAGE_JSON && x->ast->assigns_count > 0)
        extract_json_paths(x->ast->assigns, x->paths, x->ast->assigns_count, l);
    else if (x->ast->kind == STAGE_JSON)
        extract_json(w, l);
    else if (x->ast->kind == STAGE_LOGFMT && x->ast->assigns_count > 0)
        run_logfmt_list(x, w, l);
    else if (x->ast->kind == STAGE_LOGFMT)
        run_logfmt(x, w, l);
    else
        run_pattern(x, w, l);
}
