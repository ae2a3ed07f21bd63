/* line_filter.c -- see line_filter.h. */
#include "query/pipeline/line_filter.h"

#include "base/finder.h"

#include "query/pipeline/ip.h"
#include "query/pipeline/literal.h"

#include <ctype.h>

enum term_kind { TERM_TEXT, TERM_REGEX, TERM_IP, TERM_PATTERN };

struct term {
    enum term_kind kind;
    struct slice text;         // TERM_TEXT; TERM_REGEX: every match contains it
    struct finder finder;      // TERM_TEXT, unless it is empty
    const struct regex *regex; // TERM_REGEX
    struct ip_range ip;        // TERM_IP
    struct slice *literals;    // TERM_PATTERN: text between captures
    size_t literals_count;
    bool capture_first, capture_last;
};

struct line_filter {
    bool negative;
    struct term *terms;
    uint32_t terms_count;
};

// --- patterns ---------------------------------------------------------------------------------------

// Length of a capture `<name>` at the start of s, or 0.
static size_t capture_length(struct slice s)
{
    if (s.len < 3 || s.ptr[0] != '<' || !(isalpha(s.ptr[1]) || s.ptr[1] == '_'))
        return 0;
    size_t i = 2;
    while (i < s.len && (isalnum(s.ptr[i]) || s.ptr[i] == '_'))
        i++;
    return i < s.len && s.ptr[i] == '>' ? i + 1 : 0;
}

static bool pattern_init(struct term *t, struct slice text, struct arena *a, struct err *err)
{
    size_t room = 0, literal_from = 0;
    bool after_capture = false;
    for (size_t i = 0; i <= text.len;) {
        size_t len = i < text.len ? capture_length(slice_from(text, i)) : 0;
        if (len == 0 && i < text.len) {
            i++;
            continue;
        }
        struct slice literal = slice_of(text.ptr + literal_from, i - literal_from);
        if (literal.len > 0) {
            if (!arena_grow(a, (void **)&t->literals, sizeof *t->literals, t->literals_count, &room))
                return arena_ok(a, "pattern", err);
            t->literals[t->literals_count++] = literal;
        }
        if (len == 0)
            break;
        struct slice capture = slice_of(text.ptr + i, len);
        if (!slice_eq(capture, SLICE("<_>")))
            return err_set(err, ERR_INPUT, "named captures are not allowed: found '%.*s'",
                           SLICE_FMT(capture));
        if (after_capture && literal.len == 0)
            return err_set(err, ERR_INPUT, "found consecutive capture '<_><_>': invalid expression");
        if (i == 0)
            t->capture_first = true;
        after_capture = true;
        i += len;
        literal_from = i;
        t->capture_last = i == text.len;
    }
    return true;
}

static bool pattern_matches(const struct term *t, struct slice line)
{
    bool empty = t->literals_count == 0 && !t->capture_first;
    if (line.len == 0 || empty)
        return line.len == 0 && empty;
    size_t at = 0;
    for (size_t i = 0; i < t->literals_count; i++) {
        size_t found = slice_find(slice_from(line, at), t->literals[i]);
        if (found == SIZE_MAX || (found == 0 && (i > 0 || t->capture_first)))
            return false;
        at += found + t->literals[i].len;
    }
    return t->capture_last ? at < line.len : at == line.len;
}

// --- terms ------------------------------------------------------------------------------------------

static bool regex_init(struct term *t, struct slice pattern, struct arena *a, struct ast_regex **regexes,
                       struct err *err)
{
    struct regex *regex;
    if (!ast_regex_add(regexes, pattern, REGEX_NONE, a, &regex, err))
        return false;
    t->regex = regex;
    t->text = literal_of_regex(pattern, a);
    return true;
}

static bool term_init(struct term *t, enum filter_op op, const struct ast_filter_term *ast,
                      struct arena *a, struct ast_regex **regexes, struct err *err)
{
    bool text_op = op == FILTER_CONTAINS || op == FILTER_NOT_CONTAINS;
    *t = (struct term){.text = ast->text};
    if (ast->ip) {
        t->kind = TERM_IP;
        if (!text_op)
            return err_set(err, ERR_INPUT, "ip: invalid operation");
        return ip_range_parse(ast->text, &t->ip) ||
               err_set(err, ERR_INPUT, "ip: invalid pattern: \"%.*s\"", SLICE_FMT(ast->text));
    }
    if (text_op) {
        t->kind = TERM_TEXT;
        if (t->text.len > 0)
            finder_init(&t->finder, t->text);
        return true;
    }
    if (op == FILTER_PATTERN || op == FILTER_NOT_PATTERN) {
        t->kind = TERM_PATTERN;
        return pattern_init(t, ast->text, a, err);
    }
    t->kind = TERM_REGEX;
    return regex_init(t, ast->text, a, regexes, err);
}

bool line_filter_new(const struct ast_line_filter *ast, struct arena *a, struct ast_regex **regexes,
                     struct line_filter **out, struct err *err)
{
    struct line_filter *f = arena_zalloc(a, sizeof *f);
    struct term *terms = arena_array(a, ast->terms_count, sizeof *terms);
    if (f == NULL || terms == NULL)
        return arena_ok(a, "line filter", err);
    f->negative = ast->op == FILTER_NOT_CONTAINS || ast->op == FILTER_NOT_MATCH ||
                  ast->op == FILTER_NOT_PATTERN;
    f->terms = terms;
    f->terms_count = ast->terms_count;
    for (uint32_t i = 0; i < ast->terms_count; i++)
        if (!term_init(&terms[i], ast->op, &ast->terms[i], a, regexes, err))
            return false;
    *out = f;
    return true;
}

static bool term_matches(const struct term *t, struct slice line)
{
    switch (t->kind) {
    case TERM_TEXT:
        return t->text.len == 0 || (line.len > 0 && finder_next(&t->finder, line.ptr, line.ptr + line.len) != NULL);
    case TERM_REGEX:
        return regex_match(t->regex, line);
    case TERM_IP:
        return ip_range_found(&t->ip, line);
    case TERM_PATTERN:
        return pattern_matches(t, line);
    }
    return false;
}

bool line_filter_keeps(const struct line_filter *f, struct slice line)
{
    for (uint32_t i = 0; i < f->terms_count; i++)
        if (term_matches(&f->terms[i], line))
            return !f->negative;
    return f->negative;
}

// Text that every line contains that the term matches; empty when none is known.
static struct slice term_text(const struct term *t)
{
    struct slice longest = {0};
    if (t->kind == TERM_TEXT || t->kind == TERM_REGEX)
        return t->text;
    for (size_t i = 0; t->kind == TERM_PATTERN && i < t->literals_count; i++)
        if (t->literals[i].len > longest.len)
            longest = t->literals[i];
    return longest;
}

struct slice line_filter_needle(const struct line_filter *f)
{
    return f->negative || f->terms_count != 1 ? (struct slice){0} : term_text(&f->terms[0]);
}

uint32_t line_filter_texts(const struct line_filter *f, struct arena *a, const struct slice **texts_out)
{
    struct slice *texts = f->negative ? NULL : arena_array(a, f->terms_count, sizeof *texts);
    for (uint32_t i = 0; i < f->terms_count && texts != NULL; i++) {
        const struct term *t = &f->terms[i];
        texts[i] = t->kind == TERM_IP ? ip_range_text(&t->ip, a) : term_text(t);
        if (texts[i].len == 0)
            return 0;
    }
    *texts_out = texts;
    return texts != NULL ? f->terms_count : 0;
}

struct slice line_filter_text(const struct line_filter *f)
{
    return f->terms_count == 1 && f->terms[0].kind == TERM_TEXT ? f->terms[0].text : (struct slice){0};
}

bool line_filter_is_negative(const struct line_filter *f)
{
    return f->negative;
}
