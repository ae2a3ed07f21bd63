/*
 * template_parse.c -- the grammar of templates.
 *
 *     list    = { text | action }
 *     action  = pipe | "if" pipe list { "else" "if" pipe list } [ "else" list ] "end"
 *             | ( "with" | "range" ) pipe list [ "else" list ] "end" | "break" | "continue"
 *             | "template" string [ pipe ] | "block" string pipe list "end"
 *     define  = "define" string list "end", between the actions of the outermost list
 *     pipe    = [ var [ "," var ] ( ":=" | "=" ) ] command { "|" command }
 *     command = operand { operand }
 *     operand = ( literal | function | "." | var | "(" pipe ")" ) { "." field }  |  "." field { "." field }
 */
#include "query/pipeline/template_node.h"

#include "base/utf8.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { DEPTH_MAX = 64, VARS_MAX = 64 };

struct parse {
    struct arena *a;
    const char *name;
    struct slice text;
    size_t pos;
    struct err *err;
    int depth, range_depth;
    const char *context; // what an unexpected word is unexpected in
    struct template *t;
    struct slice vars[VARS_MAX];
    size_t vars_count;
    bool trim_next;
};

static bool fail(struct parse *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
static bool fail(struct parse *p, const char *fmt, ...)
{
    char text[400];
    int line = 1;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    for (size_t i = 0; i < p->pos && i < p->text.len; i++)
        line += p->text.ptr[i] == '\n';
    return err_set(p->err, ERR_INPUT, "template: %s:%d: %s", p->name, line, text);
}

static struct node *new_node(struct parse *p, enum node_kind kind)
{
    struct node *n = arena_zalloc(p->a, sizeof *n);
    if (n == NULL)
        (void)err_set(p->err, ERR_LIMIT, "template: more than %zu bytes of memory", p->a->bytes_max);
    else
        *n = (struct node){.kind = kind, .pos = p->pos, .where = p->pos};
    return n;
}

static bool at(const struct parse *p, const char *text)
{
    return slice_starts(slice_from(p->text, p->pos), slice_cstr(text));
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_blanks(struct parse *p)
{
    while (p->pos < p->text.len && is_blank(p->text.ptr[p->pos]))
        p->pos++;
}

// Whether the action ends here: `}}` or ` -}}`.
static bool at_close(struct parse *p)
{
    skip_blanks(p);
    return at(p, "}}") || (is_blank(p->text.ptr[p->pos - 1]) && at(p, "-}}"));
}

static bool close_action(struct parse *p)
{
    if (!at_close(p))
        return p->pos >= p->text.len ? fail(p, "unclosed action")
                                     : fail(p, "unexpected \"%c\" in operand", p->text.ptr[p->pos]);
    p->trim_next = at(p, "-}}");
    p->pos += p->trim_next ? 3 : 2;
    return true;
}

static bool is_name(uint8_t c)
{
    return isalnum(c) || c == '_' || c >= 0x80;
}

static struct slice take_name(struct parse *p)
{
    size_t from = p->pos;
    while (p->pos < p->text.len && is_name(p->text.ptr[p->pos]))
        p->pos++;
    return slice_of(p->text.ptr + from, p->pos - from);
}

static bool take_fields(struct parse *p, struct node *n)
{
    size_t room = 0;
    while (p->pos + 1 < p->text.len && p->text.ptr[p->pos] == '.' && is_name(p->text.ptr[p->pos + 1]) ) {
        if (n->fields_count == (n->kind == ARG_FIELD))
            n->where = p->pos;
        p->pos++;
        struct slice name = take_name(p);
        if (!arena_grow(p->a, (void **)&n->fields, sizeof *n->fields, n->fields_count, &room))
            return arena_ok(p->a, "template", p->err);
        n->fields[n->fields_count++] = name;
    }
    return true;
}

// A Go string or character with escapes, from its quote.
static bool take_quoted(struct parse *p, struct slice *out)
{
    uint8_t quote = p->text.ptr[p->pos++];
    uint8_t *to = arena_alloc(p->a, p->text.len - p->pos + 4);
    size_t len = 0;
    for (; to != NULL && p->pos < p->text.len && p->text.ptr[p->pos] != quote; p->pos++) {
        uint8_t c = p->text.ptr[p->pos];
        if (c == '\n')
            break;
        if (c != '\\') {
            to[len++] = c;
            continue;
        }
        static const char names[] = "abfnrtv\\'\"", values[] = "\a\b\f\n\r\t\v\\'\"";
        if (++p->pos == p->text.len)
            break;
        c = p->text.ptr[p->pos];
        const char *name = memchr(names, c, sizeof names - 1);
        char digits[9] = {0};
        size_t want = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : c >= '0' && c <= '7' ? 3 : 0;
        if (name != NULL) {
            to[len++] = (uint8_t)values[name - names];
        } else if (want > 0 && p->text.len - p->pos > want) {
            size_t from = p->pos + (want != 3);
            memcpy(digits, p->text.ptr + from, want);
            uint32_t rune = (uint32_t)strtoul(digits, NULL, want == 3 ? 8 : 16);
            if (want <= 3)
                to[len++] = (uint8_t)rune;
            else
                len += utf8_encode(rune > 0x10FFFF || (rune >= 0xD800 && rune < 0xE000) ? UTF8_INVALID : rune,
                                   to + len);
            p->pos = from + want - 1;
        } else {
            return fail(p, "invalid syntax");
        }
    }
    if (to == NULL)
        return arena_ok(p->a, "template", p->err);
    if (p->pos >= p->text.len || p->text.ptr[p->pos] != quote)
        return fail(p, quote == '"' ? "unterminated quoted string" : "unterminated character constant");
    p->pos++;
    *out = slice_of(to, len);
    return true;
}

static bool parse_pipe(struct parse *p, struct node **out);

static bool parse_number(struct parse *p, struct node *n)
{
    size_t from = p->pos;
    while (p->pos < p->text.len && (isalnum(p->text.ptr[p->pos]) || strchr("._+-", p->text.ptr[p->pos]) != NULL))
        p->pos++;
    char text[64], *end;
    size_t len = p->pos - from;
    if (len >= sizeof text)
        return fail(p, "bad number syntax");
    memcpy(text, p->text.ptr + from, len);
    text[len] = '\0';
    n->kind = ARG_LITERAL;
    n->value = (struct tval){.kind = T_INT, .i = strtoll(text, &end, 0)};
    if (*end == '\0')
        return true;
    n->value = (struct tval){.kind = T_FLOAT, .f = strtod(text, &end)};
    return *end == '\0' || fail(p, "bad number syntax: \"%s\"", text);
}

static bool parse_word(struct parse *p, struct node *n)
{
    struct slice name = take_name(p);
    if (slice_eq(name, SLICE("true")) || slice_eq(name, SLICE("false"))) {
        n->kind = ARG_LITERAL;
        n->value = (struct tval){.kind = T_BOOL, .i = name.ptr[0] == 't'};
        return true;
    }
    if (slice_eq(name, SLICE("nil"))) {
        n->kind = ARG_NIL;
        return true;
    }
    static const char *const keywords[] = {"block", "break", "continue", "define", "else", "end",
                                           "if",    "range", "template", "with"};
    for (size_t i = 0; i < COUNT_OF(keywords); i++)
        if (slice_eq(name, slice_cstr(keywords[i])))
            return fail(p, "unexpected <%s> in %s", keywords[i], p->context);
    n->kind = ARG_FUNCTION;
    n->text = name;
    n->function = tfunction_find(name);
    return n->function != NULL || fail(p, "function \"%.*s\" not defined", SLICE_FMT(name));
}

static bool known_variable(const struct parse *p, struct slice name)
{
    for (size_t i = 0; i < p->vars_count; i++)
        if (slice_eq(p->vars[i], name))
            return true;
    return name.len == 0;
}

static bool parse_operand(struct parse *p, struct node **out)
{
    struct node *n = new_node(p, ARG_DOT);
    if (n == NULL)
        return false;
    *out = n;
    uint8_t c = p->text.ptr[p->pos], next = p->pos + 1 < p->text.len ? p->text.ptr[p->pos + 1] : 0;
    bool good = true;
    if (c == '.' && is_name(next) && !isdigit(next)) {
        n->kind = ARG_FIELD;
    } else if (c == '.' && !isdigit(next)) {
        p->pos++;
    } else if (c == '$') {
        p->pos++;
        n->kind = ARG_VAR;
        n->text = take_name(p);
        if (!known_variable(p, n->text))
            return fail(p, "undefined variable \"$%.*s\"", SLICE_FMT(n->text));
    } else if (c == '"') {
        n->kind = ARG_LITERAL;
        n->value.kind = T_STRING;
        good = take_quoted(p, &n->value.s);
    } else if (c == '`') {
        const uint8_t *close = memchr(p->text.ptr + p->pos + 1, '`', p->text.len - p->pos - 1);
        if (close == NULL)
            return fail(p, "unterminated raw quoted string");
        n->kind = ARG_LITERAL;
        n->value = (struct tval){.kind = T_STRING, .s = slice_of(p->text.ptr + p->pos + 1, (size_t)(close - p->text.ptr) - p->pos - 1)};
        p->pos = (size_t)(close - p->text.ptr) + 1;
    } else if (c == '\'') {
        struct slice text;
        good = take_quoted(p, &text);
        n->kind = ARG_LITERAL;
        n->value = (struct tval){.kind = T_INT, .i = good && text.len > 0 ? text.ptr[0] : 0};
    } else if (c == '(') {
        p->pos++;
        n->kind = ARG_PIPE;
        if (++p->depth > DEPTH_MAX)
            return fail(p, "max expression depth exceeded");
        p->context = "parenthesized pipeline";
        if (!parse_pipe(p, &n->pipe))
            return false;
        p->depth--;
        skip_blanks(p);
        if (p->pos >= p->text.len || p->text.ptr[p->pos] != ')')
            return fail(p, "unclosed left paren");
        p->pos++;
    } else if (isdigit(c) || ((c == '-' || c == '+' || c == '.') && (isdigit(next) || next == '.'))) {
        good = parse_number(p, n);
    } else if (is_name(c)) {
        good = parse_word(p, n);
    } else {
        return fail(p, "unexpected \"%c\" in operand", c);
    }
    if (good)
        good = take_fields(p, n);
    n->end = p->pos;
    return good;
}

static bool parse_command(struct parse *p, struct command **out)
{
    struct command *c = arena_zalloc(p->a, sizeof *c);
    if (c == NULL)
        return arena_ok(p->a, "template", p->err);
    *out = c;
    struct node **last = &c->args;
    for (;;) {
        if (at_close(p) || p->pos >= p->text.len || p->text.ptr[p->pos] == '|' || p->text.ptr[p->pos] == ')')
            break;
        if (c->args == NULL)
            c->pos = p->pos;
        if (!parse_operand(p, last))
            return false;
        p->context = "operand";
        c->end = (*last)->end;
        last = &(*last)->next;
    }
    if (c->args == NULL)
        return p->pos >= p->text.len ? fail(p, "unclosed action") : fail(p, "missing value for %s", p->context);
    return true;
}

static bool parse_declaration(struct parse *p, struct node *pipe)
{
    size_t from = p->pos;
    struct slice vars[2];
    size_t count = 0;
    for (;;) {
        skip_blanks(p);
        if (p->pos >= p->text.len || p->text.ptr[p->pos] != '$')
            break;
        p->pos++;
        vars[count++] = take_name(p);
        skip_blanks(p);
        if (count == 2 || p->pos >= p->text.len || p->text.ptr[p->pos] != ',')
            break;
        p->pos++;
    }
    bool declares = count > 0 && at(p, ":=");
    if (!declares && !(count > 0 && at(p, "="))) {
        p->pos = from;
        return true;
    }
    p->pos += declares ? 2 : 1;
    pipe->vars_count = count;
    pipe->assigns = !declares;
    for (size_t i = 0; i < count; i++) {
        pipe->vars[i] = vars[i];
        if (declares && p->vars_count < VARS_MAX)
            p->vars[p->vars_count++] = vars[i];
        else if (declares || !known_variable(p, vars[i]))
            return fail(p, "undefined variable \"$%.*s\"", SLICE_FMT(vars[i]));
    }
    return true;
}

static bool parse_pipe(struct parse *p, struct node **out)
{
    skip_blanks(p);
    struct node *n = new_node(p, NODE_PIPE);
    if (n == NULL)
        return false;
    *out = n;
    if (!parse_declaration(p, n))
        return false;
    struct command **last = &n->commands;
    const char *context = p->context;
    for (;;) {
        skip_blanks(p);
        p->context = context;
        if (!parse_command(p, last))
            return false;
        last = &(*last)->next;
        skip_blanks(p);
        if (p->pos >= p->text.len || p->text.ptr[p->pos] != '|')
            break;
        p->pos++;
    }
    n->end = p->pos;
    return true;
}

enum list_end { LIST_EOF, LIST_END, LIST_ELSE };

static bool parse_list(struct parse *p, struct node **out, enum list_end *end_out);

static bool word_here(struct parse *p, const char *word)
{
    size_t len = strlen(word);
    return at(p, word) && (p->pos + len >= p->text.len || !is_name(p->text.ptr[p->pos + len]));
}

static bool parse_branch(struct parse *p, struct node *n)
{
    size_t vars = p->vars_count;
    enum list_end end;
    if (++p->depth > DEPTH_MAX)
        return fail(p, "max nesting depth exceeded");
    p->context = n->kind == NODE_IF ? "if" : n->kind == NODE_WITH ? "with" : "range";
    p->range_depth += n->kind == NODE_RANGE;
    bool good = parse_pipe(p, &n->pipe) && close_action(p) && parse_list(p, &n->list, &end);
    p->range_depth -= n->kind == NODE_RANGE;
    if (!good)
        return false;
    if (end == LIST_ELSE) {
        skip_blanks(p);
        if (n->kind == NODE_IF && word_here(p, "if")) {
            n->otherwise = new_node(p, NODE_IF);
            p->pos += 2;
            p->vars_count = vars;
            p->depth--;
            return n->otherwise != NULL && parse_branch(p, n->otherwise);
        }
        if (!close_action(p) || !parse_list(p, &n->otherwise, &end))
            return false;
        if (end == LIST_ELSE)
            return fail(p, "expected end; found {{else}}");
    }
    if (end == LIST_EOF)
        return fail(p, "unexpected EOF");
    p->vars_count = vars;
    p->depth--;
    return true;
}

// The unexpected thing here, as the reference shows it.
static bool fail_unexpected(struct parse *p, const char *context)
{
    size_t from = p->pos;
    if (p->pos >= p->text.len)
        return fail(p, "unclosed action");
    if (at(p, "}}"))
        return fail(p, "unexpected \"}}\" in %s", context);
    p->pos += !is_name(p->text.ptr[from]); // a dot, a `$`
    (void)take_name(p);
    struct slice name = slice_of(p->text.ptr + from, p->pos - from);
    p->pos = from;
    return name.len > 10 ? fail(p, "unexpected \"%.10s\"... in %s", (const char *)name.ptr, context)
                         : fail(p, "unexpected \"%.*s\" in %s", SLICE_FMT(name), context);
}

static bool take_template_name(struct parse *p, const char *context, struct slice *out)
{
    skip_blanks(p);
    uint8_t quote = p->pos < p->text.len ? p->text.ptr[p->pos] : 0;
    if (quote == '"')
        return take_quoted(p, out);
    const uint8_t *from = p->text.ptr + p->pos + 1;
    const uint8_t *close = quote == '`' ? memchr(from, '`', p->text.len - p->pos - 1) : NULL;
    if (close == NULL)
        return quote == '`' ? fail(p, "unterminated raw quoted string") : fail_unexpected(p, context);
    *out = slice_of(from, (size_t)(close - from));
    p->pos = (size_t)(close - p->text.ptr) + 1;
    return true;
}

// Nothing but white space and definitions.
static bool is_empty(const struct node *list)
{
    for (const struct node *n = list; n != NULL; n = n->next) {
        if (n->kind != NODE_TEXT)
            return false;
        for (size_t i = 0; i < n->text.len; i++)
            if (!isspace(n->text.ptr[i]))
                return false;
    }
    return true;
}

// A second definition is an error, unless one of the two is empty: that one does not count.
static bool add_definition(struct parse *p, struct slice name, struct node *list)
{
    struct definition *d = p->t->definitions;
    while (d != NULL && !slice_eq(d->name, name))
        d = d->next;
    if (d != NULL && !is_empty(d->list) && !is_empty(list)) {
        AUTO(buf_done) struct buf quoted;
        buf_init(&quoted, ERR_TEXT_BYTES);
        labels_quote(&quoted, name);
        return fail(p, "template: multiple definition of template %.*s", SLICE_FMT(buf_slice(&quoted)));
    }
    if (d == NULL) {
        d = arena_zalloc(p->a, sizeof *d);
        if (d == NULL)
            return arena_ok(p->a, "template", p->err);
        *d = (struct definition){.name = name, .next = p->t->definitions};
        p->t->definitions = d;
    }
    if (d->list == NULL || is_empty(d->list))
        d->list = list;
    return true;
}

// A list of its own: it knows no variables, and no range is around it.
static bool parse_body(struct parse *p, struct slice name, const char *context)
{
    struct node *list = NULL;
    enum list_end end;
    size_t vars_count = p->vars_count;
    int range_depth = p->range_depth;
    struct slice vars = arena_copy(p->a, slice_of(p->vars, sizeof p->vars));
    if (vars.ptr == NULL)
        return arena_ok(p->a, "template", p->err);
    p->vars_count = 0;
    p->range_depth = 0;
    if (++p->depth > DEPTH_MAX)
        return fail(p, "max nesting depth exceeded");
    if (!close_action(p) || !parse_list(p, &list, &end))
        return false;
    if (end != LIST_END)
        return end == LIST_EOF ? fail(p, "unexpected EOF") : fail(p, "unexpected {{else}} in %s", context);
    p->depth--;
    p->vars_count = vars_count;
    p->range_depth = range_depth;
    memcpy(p->vars, vars.ptr, sizeof p->vars);
    return add_definition(p, name, list);
}

static bool parse_template(struct parse *p, struct node *n, bool block)
{
    const char *context = block ? "block clause" : "template clause";
    skip_blanks(p);
    n->pos = p->pos;
    if (!take_template_name(p, context, &n->text))
        return false;
    p->context = context;
    if (block)
        return parse_pipe(p, &n->pipe) && parse_body(p, n->text, context);
    return (at_close(p) || parse_pipe(p, &n->pipe)) && close_action(p);
}

static bool parse_action(struct parse *p, struct node **out, enum list_end *end_out)
{
    static const struct {
        const char *word;
        enum node_kind kind;
    } words[] = {{"if", NODE_IF},       {"with", NODE_WITH},         {"range", NODE_RANGE},      {"break", NODE_BREAK},
                 {"continue", NODE_CONTINUE}, {"template", NODE_TEMPLATE}, {"block", NODE_TEMPLATE}};
    *end_out = LIST_EOF;
    skip_blanks(p);
    if (word_here(p, "end")) {
        p->pos += 3;
        *end_out = LIST_END;
        return close_action(p);
    }
    if (word_here(p, "else")) {
        p->pos += 4;
        *end_out = LIST_ELSE;
        return true;
    }
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (!word_here(p, words[i].word))
            continue;
        *out = new_node(p, words[i].kind);
        p->pos += strlen(words[i].word);
        if (*out == NULL)
            return false;
        switch (words[i].kind) {
        case NODE_BREAK:
        case NODE_CONTINUE:
            return p->range_depth > 0 ? close_action(p) : fail(p, "{{%s}} outside {{range}}", words[i].word);
        case NODE_TEMPLATE:
            return parse_template(p, *out, words[i].word[0] == 'b');
        default:
            return parse_branch(p, *out);
        }
    }
    p->context = "command";
    return parse_pipe(p, out) && close_action(p);
}

static bool parse_list(struct parse *p, struct node **out, enum list_end *end_out)
{
    struct node **last = out;
    *end_out = LIST_EOF;
    while (p->pos < p->text.len) {
        size_t open = slice_find(slice_from(p->text, p->pos), SLICE("{{"));
        size_t from = p->pos, end = open == SIZE_MAX ? p->text.len : p->pos + open;
        bool trim = open != SIZE_MAX && end + 3 < p->text.len && p->text.ptr[end + 2] == '-' && is_blank(p->text.ptr[end + 3]);
        size_t text_end = end;
        while (p->trim_next && from < text_end && is_blank(p->text.ptr[from]))
            from++;
        while (trim && text_end > from && is_blank(p->text.ptr[text_end - 1]))
            text_end--;
        p->trim_next = false;
        if (text_end > from) {
            if ((*last = new_node(p, NODE_TEXT)) == NULL)
                return false;
            (*last)->text = slice_of(p->text.ptr + from, text_end - from);
            last = &(*last)->next;
        }
        p->pos = end;
        if (open == SIZE_MAX)
            break;
        p->pos += trim ? 3 : 2;
        size_t comment = p->pos;
        while (trim && comment < p->text.len && is_blank(p->text.ptr[comment]))
            comment++;
        if (slice_starts(slice_from(p->text, comment), SLICE("/*"))) {
            size_t close = slice_find(slice_from(p->text, comment), SLICE("*/"));
            if (close == SIZE_MAX)
                return fail(p, "unclosed comment");
            p->pos = comment + close + 2;
            if (!close_action(p))
                return false;
            continue;
        }
        skip_blanks(p);
        if (p->depth == 0 && word_here(p, "define")) {
            struct slice name;
            p->pos += strlen("define");
            if (!take_template_name(p, "define clause", &name) || !parse_body(p, name, "define clause"))
                return false;
            continue;
        }
        if (!parse_action(p, last, end_out))
            return false;
        if (*end_out != LIST_EOF)
            return true;
        last = &(*last)->next;
    }
    return true;
}

const struct definition *template_find(const struct template *t, struct slice name)
{
    const struct definition *d = t->definitions;
    while (d != NULL && !slice_eq(d->name, name))
        d = d->next;
    return d;
}

bool template_parse(struct slice text, const char *name, struct arena *a, struct template **out,
                    struct err *err)
{
    struct template *t = arena_zalloc(a, sizeof *t);
    struct parse p = {.a = a, .name = name, .text = text, .err = err};
    enum list_end end;
    if (t == NULL)
        return arena_ok(a, "template", err);
    t->name = name;
    t->text = text;
    p.t = t;
    if (!parse_list(&p, &t->list, &end))
        return false;
    if (end != LIST_EOF)
        return fail(&p, "unexpected {{%s}}", end == LIST_END ? "end" : "else");
    if (!add_definition(&p, slice_cstr(name), t->list)) // the whole is a template like those in it
        return false;
    t->list = template_find(t, slice_cstr(name))->list;
    *out = t;
    return true;
}
