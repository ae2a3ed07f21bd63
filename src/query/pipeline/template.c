/*
 * template.c -- see template.h: the grammar and the walk.
 *
 *     list    = { text | action }
 *     action  = pipe | "if" pipe list { "else" "if" pipe list } [ "else" list ] "end"
 *             | ( "with" | "range" ) pipe list [ "else" list ] "end" | "break" | "continue"
 *     pipe    = [ var [ "," var ] ( ":=" | "=" ) ] command { "|" command }
 *     command = operand { operand }
 *     operand = ( literal | function | "." | var | "(" pipe ")" ) { "." field }  |  "." field { "." field }
 */
#include "query/pipeline/template.h"

#include "base/utf8.h"
#include "query/pipeline/template_value.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { DEPTH_MAX = 64, VARS_MAX = 64, ARGS_MAX = 32, STEPS_MAX = 100000, RESULT_BYTES_MAX = 1 << 20 };

enum node_kind {
    NODE_TEXT, NODE_PIPE, NODE_IF, NODE_WITH, NODE_RANGE, NODE_BREAK, NODE_CONTINUE,
    ARG_DOT, ARG_FIELD, ARG_VAR, ARG_LITERAL, ARG_NIL, ARG_FUNCTION, ARG_PIPE,
};

struct command;

struct node {
    enum node_kind kind;
    struct node *next; // in its list
    size_t pos, end;   // in the text
    struct slice text; // NODE_TEXT; name of a variable
    struct tval value; // ARG_LITERAL
    const struct tfunction *function;
    struct slice *fields; // `.a.b` behind it
    size_t fields_count;
    // pipes
    struct slice vars[2];
    size_t vars_count;
    bool assigns; // `=`
    struct command *commands;
    // if, with, range
    struct node *pipe, *list, *otherwise;
};

struct command {
    struct command *next;
    struct node *args; // list
    size_t pos, end;
};

struct template {
    const char *name;
    struct slice text;
    struct node *list;
};

// --- parsing ----------------------------------------------------------------------------------------

struct parse {
    struct arena *a;
    const char *name;
    struct slice text;
    size_t pos;
    struct err *err;
    int depth;
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
        *n = (struct node){.kind = kind, .pos = p->pos};
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
        c->end = (*last)->end;
        last = &(*last)->next;
    }
    if (c->args == NULL)
        return p->pos >= p->text.len ? fail(p, "unclosed action") : fail(p, "missing value for command");
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
    for (;;) {
        skip_blanks(p);
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
    if (!parse_pipe(p, &n->pipe) || !close_action(p) || !parse_list(p, &n->list, &end))
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

static bool parse_action(struct parse *p, struct node **out, enum list_end *end_out)
{
    static const struct {
        const char *word;
        enum node_kind kind;
    } words[] = {{"if", NODE_IF}, {"with", NODE_WITH}, {"range", NODE_RANGE}, {"break", NODE_BREAK}, {"continue", NODE_CONTINUE}};
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
        return words[i].kind == NODE_BREAK || words[i].kind == NODE_CONTINUE ? close_action(p)
                                                                           : parse_branch(p, *out);
    }
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
        if (!parse_action(p, last, end_out))
            return false;
        if (*end_out != LIST_EOF)
            return true;
        last = &(*last)->next;
    }
    return true;
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
    if (!parse_list(&p, &t->list, &end))
        return false;
    if (end != LIST_EOF)
        return fail(&p, "unexpected {{%s}}", end == LIST_END ? "end" : "else");
    *out = t;
    return true;
}

// --- running ----------------------------------------------------------------------------------------

struct variable {
    struct slice name;
    struct tval value;
};

enum flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE, FLOW_FAILED };

struct run {
    const struct template *t;
    const struct line *l;
    struct arena *a;
    struct buf out;
    struct variable vars[VARS_MAX];
    size_t vars_count;
    struct slice details; // of the failure
    int steps;
};

// `template: line:1:2: executing "line" at <.foo>: why`
static bool run_fail(struct run *r, size_t pos, size_t end, struct slice why)
{
    int line = 1;
    size_t column = pos;
    for (size_t i = 0; i < pos; i++)
        if (r->t->text.ptr[i] == '\n') {
            line++;
            column = pos - i;
        }
    r->details = slice_cstr(arena_printf(r->a, "template: %s:%d:%zu: executing \"%s\" at <%.*s>: %.*s", r->t->name,
                                         line, column, r->t->name, (int)(end - pos), r->t->text.ptr + pos,
                                         SLICE_FMT(why)));
    return false;
}

static bool eval_pipe(struct run *r, const struct node *n, const struct tval *dot, struct tval *out);

static struct slice field_text(const struct run *r, struct slice name, bool *found_out)
{
    if (slice_eq(name, SLICE("__error_details__"))) {
        *found_out = r->l->error_details.len > 0;
        return r->l->error_details;
    }
    return line_label(r->l, name, found_out);
}

// The root is the labels: a kind of its own, told by its items being NULL.
static struct tval root(void)
{
    return (struct tval){.kind = T_MAP, .i = 1};
}

static bool eval_fields(struct run *r, const struct node *n, struct tval v, struct tval *out)
{
    for (size_t i = 0; i < n->fields_count; i++) {
        struct slice name = n->fields[i];
        if (v.kind == T_MAP && v.i == 1) {
            bool found;
            struct slice text = field_text(r, name, &found);
            v = (struct tval){.kind = T_STRING, .s = found && text.ptr != NULL ? text : SLICE("")};
            continue;
        }
        if (v.kind != T_MAP && v.kind != T_NIL)
            return run_fail(r, n->pos, n->end,
                            slice_cstr(arena_printf(r->a, "can't evaluate field %.*s in type %s", SLICE_FMT(name), tval_type(&v))));
        struct tval found = {.kind = T_NIL};
        if (v.kind == T_NIL)
            return run_fail(r, n->pos, n->end,
                            slice_cstr(arena_printf(r->a, "nil pointer evaluating interface {}.%.*s", SLICE_FMT(name))));
        for (size_t k = 0; k < v.count; k++)
            if (slice_eq(v.keys[k], name))
                found = v.items[k];
        v = found;
    }
    *out = v;
    return true;
}

static bool eval_arg(struct run *r, const struct node *n, const struct tval *dot, struct tval *out);

static bool call(struct run *r, const struct node *n, const struct node *args, const struct command *c,
                 const struct tval *dot, const struct tval *piped, struct tval *out)
{
    const struct tfunction *f = n->function;
    struct tval values[ARGS_MAX];
    const struct node *nodes[ARGS_MAX];
    int given = 0, count = 0;
    for (const struct node *arg = args; arg != NULL; arg = arg->next)
        given++;
    given += piped != NULL;
    if (given < f->args_min || (f->args_max >= 0 && given > f->args_max) || given > ARGS_MAX)
        return run_fail(r, n->pos, n->end,
                        slice_cstr(arena_printf(r->a, "wrong number of args for %s: want %s%d got %d", f->name,
                                                f->args_max < 0 ? "at least " : "", f->args_min, given)));
    if (strcmp(f->name, "__line__") == 0) {
        *out = (struct tval){.kind = T_STRING, .s = r->l->text};
        return true;
    }
    if (strcmp(f->name, "__timestamp__") == 0) {
        *out = (struct tval){.kind = T_TIME, .i = r->l->time_ns};
        return true;
    }
    bool is_and = strcmp(f->name, "and") == 0, is_or = strcmp(f->name, "or") == 0;
    for (const struct node *arg = args; arg != NULL; arg = arg->next) {
        nodes[count] = arg;
        if (!eval_arg(r, arg, dot, &values[count++]))
            return false;
        if ((is_and || is_or) && tval_is_true(&values[count - 1]) == is_or) {
            *out = values[count - 1];
            return true;
        }
    }
    if (piped != NULL) {
        nodes[count] = NULL;
        values[count++] = *piped;
    }
    if (is_and || is_or) {
        *out = values[count - 1];
        return true;
    }
    struct tcall tc = {.a = r->a, .bad_arg = -1};
    if (f->run(&tc, values, count, out))
        return true;
    if (tc.bad_arg >= 0 && nodes[tc.bad_arg] != NULL)
        return run_fail(r, nodes[tc.bad_arg]->pos, nodes[tc.bad_arg]->end, tc.error);
    return run_fail(r, c != NULL ? c->pos : n->pos, c != NULL ? c->end : n->end, tc.error);
}

static bool eval_arg(struct run *r, const struct node *n, const struct tval *dot, struct tval *out)
{
    struct tval v = {.kind = T_NIL};
    switch (n->kind) {
    case ARG_DOT:
    case ARG_FIELD:
        v = *dot;
        break;
    case ARG_VAR:
        v = root();
        for (size_t i = r->vars_count; n->text.len > 0 && i-- > 0;)
            if (slice_eq(r->vars[i].name, n->text)) {
                v = r->vars[i].value;
                break;
            }
        break;
    case ARG_LITERAL:
        v = n->value;
        break;
    case ARG_PIPE:
        if (!eval_pipe(r, n->pipe, dot, &v))
            return false;
        break;
    case ARG_FUNCTION:
        if (!call(r, n, NULL, NULL, dot, NULL, &v))
            return false;
        break;
    default:
        break;
    }
    return eval_fields(r, n, v, out);
}

static bool eval_command(struct run *r, const struct command *c, const struct tval *dot,
                         const struct tval *piped, struct tval *out)
{
    const struct node *first = c->args;
    if (first->kind == ARG_FUNCTION && first->fields_count == 0)
        return call(r, first, first->next, c, dot, piped, out);
    if (first->next != NULL || piped != NULL)
        return run_fail(r, first->pos, first->end,
                        slice_cstr(arena_printf(r->a, "can't give argument to non-function %.*s",
                                                (int)(first->end - first->pos), r->t->text.ptr + first->pos)));
    if (first->kind == ARG_NIL)
        return run_fail(r, first->pos, first->end, SLICE("nil is not a command"));
    return eval_arg(r, first, dot, out);
}

static void set_variable(struct run *r, struct slice name, struct tval value, bool assigns)
{
    for (size_t i = r->vars_count; assigns && i-- > 0;)
        if (slice_eq(r->vars[i].name, name)) {
            r->vars[i].value = value;
            return;
        }
    if (r->vars_count < VARS_MAX)
        r->vars[r->vars_count++] = (struct variable){name, value};
}

static bool eval_pipe(struct run *r, const struct node *n, const struct tval *dot, struct tval *out)
{
    struct tval v = {.kind = T_NIL};
    for (const struct command *c = n->commands; c != NULL; c = c->next) {
        struct tval next;
        if (!eval_command(r, c, dot, c == n->commands ? NULL : &v, &next))
            return false;
        v = next;
    }
    if (n->vars_count == 1)
        set_variable(r, n->vars[0], v, n->assigns);
    *out = v;
    return true;
}

static enum flow run_list(struct run *r, const struct node *list, const struct tval *dot);

static enum flow run_range(struct run *r, const struct node *n, const struct tval *dot)
{
    struct tval v;
    size_t vars = r->vars_count;
    struct node pipe = *n->pipe;
    pipe.vars_count = 0; // they are set for each element
    if (!eval_pipe(r, &pipe, dot, &v))
        return FLOW_FAILED;
    size_t count = v.kind == T_INT ? (v.i > 0 ? (size_t)v.i : 0) : v.count;
    if (v.kind != T_LIST && v.kind != T_MAP && v.kind != T_NIL && v.kind != T_INT) {
        struct buf b;
        buf_init(&b, 256);
        tval_print(&b, &v);
        (void)run_fail(r, n->pipe->pos, n->pipe->end,
                       slice_cstr(arena_printf(r->a, "range can't iterate over %.*s", SLICE_FMT(buf_slice(&b)))));
        buf_done(&b);
        return FLOW_FAILED;
    }
    if (count == 0)
        return run_list(r, n->otherwise, dot);
    for (size_t i = 0; i < count; i++) {
        struct tval item = v.kind == T_INT ? (struct tval){.kind = T_INT, .i = (int64_t)i} : v.items[i];
        struct tval key = v.kind == T_MAP ? (struct tval){.kind = T_STRING, .s = v.keys[i]}
                                          : (struct tval){.kind = T_INT, .i = (int64_t)i};
        r->vars_count = vars;
        if (n->pipe->vars_count == 2)
            set_variable(r, n->pipe->vars[0], key, n->pipe->assigns);
        if (n->pipe->vars_count > 0)
            set_variable(r, n->pipe->vars[n->pipe->vars_count - 1], item, n->pipe->assigns);
        enum flow flow = run_list(r, n->list, &item);
        if (flow == FLOW_FAILED)
            return flow;
        if (flow == FLOW_BREAK)
            break;
    }
    r->vars_count = vars;
    return FLOW_ON;
}

static enum flow run_node(struct run *r, const struct node *n, const struct tval *dot)
{
    struct tval v;
    size_t vars = r->vars_count;
    enum flow flow = FLOW_ON;
    if (++r->steps > STEPS_MAX || r->out.bad) {
        (void)run_fail(r, n->pos, n->pos, SLICE("the result is too long"));
        return FLOW_FAILED;
    }
    switch (n->kind) {
    case NODE_TEXT:
        buf_put_slice(&r->out, n->text);
        return FLOW_ON;
    case NODE_BREAK:
        return FLOW_BREAK;
    case NODE_CONTINUE:
        return FLOW_CONTINUE;
    case NODE_RANGE:
        return run_range(r, n, dot);
    case NODE_IF:
    case NODE_WITH:
        if (!eval_pipe(r, n->pipe, dot, &v))
            return FLOW_FAILED;
        flow = tval_is_true(&v) ? run_list(r, n->list, n->kind == NODE_WITH ? &v : dot)
                                : run_list(r, n->otherwise, dot);
        r->vars_count = vars;
        return flow;
    default:
        if (!eval_pipe(r, n, dot, &v))
            return FLOW_FAILED;
        if (n->vars_count > 0)
            return FLOW_ON;
        if (v.kind == T_NIL)
            buf_put_cstr(&r->out, "<no value>");
        else if (!(v.kind == T_MAP && v.i == 1))
            tval_print(&r->out, &v);
        return FLOW_ON;
    }
}

static enum flow run_list(struct run *r, const struct node *list, const struct tval *dot)
{
    enum flow flow = FLOW_ON;
    for (const struct node *n = list; n != NULL && flow == FLOW_ON; n = n->next)
        flow = run_node(r, n, dot);
    return flow;
}

bool template_run(const struct template *t, const struct line *l, struct slice *out,
                  struct slice *details_out)
{
    struct run r = {.t = t, .l = l, .a = l->scratch};
    struct tval dot = root();
    buf_init(&r.out, RESULT_BYTES_MAX);
    bool good = run_list(&r, t->list, &dot) != FLOW_FAILED;
    if (good)
        *out = r.out.len > 0 ? arena_copy(l->scratch, buf_slice(&r.out)) : SLICE("");
    else
        *details_out = r.details;
    buf_done(&r.out);
    return good;
}

// --- names ------------------------------------------------------------------------------------------

static void names_of(const struct node *n, void (*visit)(void *ctx, struct slice name), void *ctx)
{
    for (; n != NULL; n = n->next) {
        if ((n->kind == ARG_FIELD || n->kind == ARG_VAR) && n->fields_count > 0)
            visit(ctx, n->fields[0]);
        for (const struct command *c = n->commands; c != NULL; c = c->next)
            names_of(c->args, visit, ctx);
        names_of(n->pipe, visit, ctx);
        names_of(n->list, visit, ctx);
        names_of(n->otherwise, visit, ctx);
    }
}

void template_names(const struct template *t, void (*visit)(void *ctx, struct slice name), void *ctx)
{
    names_of(t->list, visit, ctx);
}
