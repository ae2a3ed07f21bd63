/*
 * tql_lenient.c -- see tql_lenient.h.
 *
 * The first filter is cut at its logical operators. A piece that parses stays, one that does not is left out; what stays is
 * put together again as text.
 */
#include "query/traceql/tql_lenient.h"

#include "base/limits.h"
#include "query/traceql/tql_token.h"

enum { GROUPS_MAX = 100 }; // traces-http.md 14.5

struct lenient {
    struct arena *a;
    struct tql_token *tokens; // of the filter, without its braces
    size_t count, room, at;
    unsigned depth;
    bool useless; // the whole filter
};

static bool is_prefix(enum tql_token_kind kind)
{
    return kind >= TQL_DOT && kind <= TQL_PARENT_DOT;
}

// Tokens between the braces of the first filter. False: it is none, or it is not alone.
static bool take_tokens(struct lenient *l, struct slice text)
{
    struct tql_lexer lx;
    tql_lexer_init(&lx, text, l->a);
    struct tql_token t = tql_lexer_next(&lx);
    if (t.kind != TQL_OPEN_BRACE)
        return false;
    for (t = tql_lexer_next(&lx); t.kind != TQL_END && t.kind != TQL_ERROR && t.kind != TQL_CLOSE_BRACE && t.kind != TQL_PIPE;
         t = tql_lexer_next(&lx)) {
        if (is_prefix(t.kind)) { // with its name one token
            struct tql_token name = tql_lexer_name(&lx);
            if (name.kind == TQL_ERROR || name.kind == TQL_END_ATTRIBUTE)
                t.kind = TQL_END_ATTRIBUTE;
            t.text.len += name.kind == TQL_IDENT ? name.text.len : 0;
        }
        if (!arena_grow(l->a, (void **)&l->tokens, sizeof *l->tokens, l->count, &l->room))
            return false;
        l->tokens[l->count++] = t;
    }
    if (t.kind != TQL_CLOSE_BRACE)
        return true;
    t = tql_lexer_next(&lx);
    return t.kind == TQL_END || t.kind == TQL_ERROR || t.kind == TQL_PIPE;
}

static bool is_logic(enum tql_token_kind kind)
{
    return kind == TQL_AND || kind == TQL_OR;
}

// The end of the operand that begins at `at`: an operator or a parenthesis of what is around.
static size_t operand_end(const struct lenient *l, size_t at)
{
    for (size_t open = 0; at < l->count; at++) {
        enum tql_token_kind kind = l->tokens[at].kind;
        if (open == 0 && (is_logic(kind) || kind == TQL_CLOSE_PAREN))
            break;
        open += kind == TQL_OPEN_PAREN;
        open -= kind == TQL_CLOSE_PAREN;
    }
    return at;
}

static bool parses(struct lenient *l, struct slice piece)
{
    struct traceql *query = NULL;
    struct err unused;
    bool syntax;
    const char *text = arena_printf(l->a, "{ %.*s }", SLICE_FMT(piece));
    bool good = traceql_parse(slice_cstr(text), l->a, &query, &syntax, &unused);
    traceql_free(query);
    return good;
}

static const char *chain(struct lenient *l);

// The text of an operand; NULL when it is left out.
static const char *operand(struct lenient *l)
{
    size_t first = l->at, end = operand_end(l, first);
    if (end == first)
        return NULL;
    const uint8_t *from = l->tokens[first].text.ptr;
    struct slice last = l->tokens[end - 1].text, piece = slice_of(from, (size_t)(last.ptr + last.len - from));
    l->at = end;
    if (end - first == 1 && is_prefix(l->tokens[first].kind)) // a value is to come
        return NULL;
    if (parses(l, piece))
        return arena_printf(l->a, "(%.*s)", SLICE_FMT(piece));
    enum tql_token_kind kind = l->tokens[first].kind;
    if (kind == TQL_OPEN_PAREN && l->depth < TRACEQL_DEPTH_MAX) {
        l->at = first + 1;
        l->depth++;
        const char *inner = chain(l);
        l->depth--;
        l->at = end;
        return inner;
    }
    // An attribute that still lacks its value is no hindrance; anything else is not understood.
    l->useless |= !is_prefix(kind);
    return NULL;
}

static const char *chain(struct lenient *l)
{
    const char *all = operand(l);
    while (l->at < l->count && is_logic(l->tokens[l->at].kind)) {
        const char *op = l->tokens[l->at++].kind == TQL_AND ? "&&" : "||";
        const char *next = operand(l);
        if (all != NULL && next != NULL)
            all = arena_printf(l->a, "(%s %s %s)", all, op, next);
        else if (all == NULL)
            all = next;
    }
    return all;
}

// How many conjunctions the filter is a disjunction of; at most a few more than are allowed.
static unsigned groups_of(const struct tql_expr *e)
{
    if (e->kind != TQL_BINARY || (e->op != TQL_OP_AND && e->op != TQL_OP_OR))
        return 1;
    unsigned l = groups_of(e->left), r = groups_of(e->right), all = e->op == TQL_OP_OR ? l + r : l * r;
    return all > GROUPS_MAX + 1 ? GROUPS_MAX + 1 : all;
}

bool tql_lenient(struct slice text, struct arena *a, struct traceql **out, struct err *err)
{
    struct lenient l = {.a = a};
    struct err unused;
    bool syntax;
    *out = NULL;
    if (text.len == 0 || text.len > TRACEQL_TEXT_BYTES_MAX)
        return true;
    const char *copy = arena_printf(a, "%.*s", SLICE_FMT(text));
    const char *kept = take_tokens(&l, slice_cstr(copy)) && l.count > 0 ? chain(&l) : NULL;
    if (!arena_ok(a, "query", err))
        return false;
    if (kept == NULL || l.useless || l.at < l.count)
        return true;
    const char *filter = arena_printf(a, "{ %s }", kept);
    if (!traceql_parse(slice_cstr(filter), a, out, &syntax, &unused))
        return arena_ok(a, "query", err);
    if (groups_of((*out)->pipeline.first->set->filter) > GROUPS_MAX) {
        traceql_free(*out);
        *out = NULL;
        return err_set(err, ERR_INPUT,
                       "maximum condition groups reached (limit: %d). Reduce the number of OR conditions in the query", GROUPS_MAX);
    }
    return true;
}
