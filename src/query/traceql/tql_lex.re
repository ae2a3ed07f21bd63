/*
 * tql_lex.re -- text of a TraceQL query to tokens (traceql.md 2).
 *
 * The text ends in NUL; a NUL before the limit is an error, as is a byte that is not UTF-8. A number takes the unit letters
 * that follow it, if the whole makes a duration.
 */
#include "query/traceql/tql_token.h"

#include "base/utf8.h"
#include "query/logql/unit.h"
#include "query/quoted.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

const char *tql_token_name(enum tql_token_kind kind)
{
    static const char *const names[] = {
#define X(kind, name) name,
        TQL_TOKENS(X)
#undef X
    };
    return names[kind];
}

void tql_lexer_init(struct tql_lexer *lx, struct slice text, struct arena *a)
{
    assert(text.ptr[text.len] == 0);
    size_t valid = utf8_valid_prefix(text);
    const uint8_t *nul = memchr(text.ptr, 0, valid);
    *lx = (struct tql_lexer){
        .cursor = text.ptr,
        .limit = text.ptr + text.len,
        .bad = nul != NULL ? nul : text.ptr + valid,
        .arena = a,
        .counted = text.ptr,
        .line = 1,
        .col = 1,
    };
}

// Moves the counted position forward to `to`.
static void count_to(struct tql_lexer *lx, const uint8_t *to)
{
    for (; lx->counted < to; lx->counted++) {
        if (*lx->counted == '\n') {
            lx->line++;
            lx->col = 1;
        } else if ((*lx->counted & 0xC0) != 0x80) {
            lx->col++;
        }
    }
}

static struct tql_token failed(struct tql_token t, const char *message)
{
    t.kind = TQL_ERROR;
    t.str = slice_cstr(message);
    return t;
}

// --- numbers ------------------------------------------------------------------------------------------

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

// Extends the number in t to a duration, if it is one with the letters that follow.
static bool try_duration(struct tql_lexer *lx, struct tql_token *t)
{
    const uint8_t *end = lx->cursor;
    for (;; end++) {
        if (end[0] == 0xC2 && end[1] == 0xB5)
            end++; // the micro sign
        else if (*end == 0 || (!is_digit(*end) && *end != '.' && strchr("nsumhdwy", *end) == NULL))
            break;
    }
    struct slice whole = slice_of(t->text.ptr, (size_t)(end - t->text.ptr));
    if (end == lx->cursor || (!unit_prom_duration(whole, &t->integer, NULL) && !unit_go_duration(whole, &t->integer, NULL)))
        return false;
    t->kind = TQL_DURATION;
    t->text = whole;
    lx->cursor = end;
    return true;
}

// The number's digits; anything after `0x` and the like, and `_`, reads as digits that do not make a number.
static struct tql_token scan_number(struct tql_lexer *lx, struct tql_token t, bool decimal)
{
    if (decimal) {
        struct err unused;
        t.kind = TQL_FLOAT;
        if (!unit_float(t.text, &t.number, &unused))
            return failed(t, arena_printf(lx->arena, "strconv.ParseFloat: parsing \"%.*s\": value out of range", SLICE_FMT(t.text)));
        return t;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < t.text.len; i++) {
        if (!is_digit(t.text.ptr[i]))
            return failed(t, arena_printf(lx->arena, "strconv.Atoi: parsing \"%.*s\": invalid syntax", SLICE_FMT(t.text)));
        if (__builtin_mul_overflow(value, UINT64_C(10), &value) || __builtin_add_overflow(value, (uint64_t)(t.text.ptr[i] - '0'), &value) ||
            value > INT64_MAX)
            return failed(t, arena_printf(lx->arena, "strconv.Atoi: parsing \"%.*s\": value out of range", SLICE_FMT(t.text)));
    }
    t.kind = TQL_INTEGER;
    t.integer = (int64_t)value;
    return t;
}

// --- strings ------------------------------------------------------------------------------------------

static struct tql_token scan_string(struct tql_lexer *lx, struct tql_token t, bool raw)
{
    const char *problem = (raw ? quoted_scan_raw : quoted_scan)(&lx->cursor, lx->limit, lx->arena, &t.str);
    if (problem != NULL)
        return failed(t, problem);
    t.kind = TQL_STRING;
    t.text = slice_of(t.text.ptr, (size_t)(lx->cursor - t.text.ptr));
    return t;
}

// --- names of attributes --------------------------------------------------------------------------------

bool tql_ends_name(uint32_t rune)
{
    switch (rune) { // white space as Unicode has it, and what operators begin with
    case 0: case '\t': case '\n': case '\v': case '\f': case '\r': case ' ': case 0x85: case 0xA0: case 0x1680: case 0x2028:
    case 0x2029: case 0x202F: case 0x205F: case 0x3000:
    case '{': case '}': case '(': case ')': case '=': case '~': case '!': case '<': case '>': case '&': case '|': case '^': case ',':
        return true;
    default:
        return rune >= 0x2000 && rune <= 0x200A;
    }
}

// The quoted part at *p, behind its quote, appended to `out`; NULL or what is wrong.
static const char *take_quoted(const uint8_t **p, const uint8_t *limit, uint8_t *out, size_t *len)
{
    for (; *p < limit && **p != '"'; (*p)++) {
        if (**p == '\\') {
            (*p)++;
            if (*p >= limit || (**p != '"' && **p != '\\'))
                return "invalid escape sequence";
        }
        out[(*len)++] = **p;
    }
    if (*p >= limit)
        return "unexpected EOF, expecting \"";
    (*p)++;
    return NULL;
}

static struct tql_token scan_name(struct tql_lexer *lx, struct tql_token t)
{
    const uint8_t *p = lx->cursor;
    uint8_t *out = arena_alloc(lx->arena, (size_t)(lx->limit - p) + 1);
    size_t len = 0;
    bool quoted = false;
    if (out == NULL)
        return failed(t, "out of memory");
    while (p < lx->limit) {
        if (*p == '"') {
            p++;
            quoted = true;
            const char *problem = take_quoted(&p, lx->limit, out, &len);
            if (problem != NULL)
                return failed(t, problem);
            continue;
        }
        uint32_t rune;
        bool valid;
        size_t bytes = utf8_decode(slice_of(p, (size_t)(lx->limit - p)), &rune, &valid);
        if (tql_ends_name(rune))
            break;
        memcpy(out + len, p, bytes);
        len += bytes;
        p += bytes;
    }
    t.text = slice_of(lx->cursor, (size_t)(p - lx->cursor));
    t.str = slice_of(out, len);
    t.kind = len > 0 || quoted ? TQL_IDENT : TQL_END_ATTRIBUTE;
    lx->cursor = p;
    return t;
}

// --- the scanner --------------------------------------------------------------------------------------

/*!include:re2c "unicode_categories.re" */

static struct tql_token scan(struct tql_lexer *lx)
{
    const uint8_t *start, *marker;
    struct tql_token t;

    for (;;) {
        start = lx->cursor;
        count_to(lx, start);
        t = (struct tql_token){.line = lx->line, .col = lx->col};

#define KIND(k)                                                                                                        \
    do {                                                                                                               \
        t.kind = (k);                                                                                                  \
        t.text = slice_of(start, (size_t)(lx->cursor - start));                                                        \
        return t;                                                                                                      \
    } while (0)
#define NUMBER(decimal)                                                                                                \
    do {                                                                                                               \
        t.text = slice_of(start, (size_t)(lx->cursor - start));                                                        \
        return try_duration(lx, &t) ? t : scan_number(lx, t, decimal);                                                 \
    } while (0)

        /*!re2c
            re2c:define:YYCTYPE  = "uint8_t";
            re2c:define:YYCURSOR = "lx->cursor";
            re2c:define:YYMARKER = "marker";
            re2c:yyfill:enable   = 0;
            re2c:encoding:utf8   = 1;

            letter   = L | "_";
            ident    = letter (letter | Nd)*;
            digits   = [0-9]+;
            exponent = [eE] [+-]? digits;

            "\x00"                { lx->cursor = start; KIND(start == lx->limit ? TQL_END : TQL_ERROR); }
            [ \t\r\n]+            { continue; }
            "//" [^\n\x00]*       { continue; }
            "/*"                  { const uint8_t *end = memmem(lx->cursor, (size_t)(lx->limit - lx->cursor), "*" "/", 2);
                                    if (end == NULL)
                                        return failed(t, "comment not terminated");
                                    lx->cursor = end + 2;
                                    continue; }

            '"'                   { t.text = slice_of(start, 1); return scan_string(lx, t, false); }
            "`"                   { t.text = slice_of(start, 1); return scan_string(lx, t, true); }

            digits "." [0-9]* exponent?     { NUMBER(true); }
            "." digits exponent?            { NUMBER(true); }
            digits exponent                 { NUMBER(true); }
            digits                          { NUMBER(false); }
            "0" [xXbBoO] [0-9a-fA-F_]+      { NUMBER(false); }
            digits "_" [0-9_]*              { NUMBER(false); }

            "."                   { KIND(TQL_DOT); }
            "span."               { KIND(TQL_SPAN_DOT); }
            "resource."           { KIND(TQL_RESOURCE_DOT); }
            "event."              { KIND(TQL_EVENT_DOT); }
            "link."               { KIND(TQL_LINK_DOT); }
            "instrumentation."    { KIND(TQL_INSTRUMENTATION_DOT); }
            "parent."             { KIND(TQL_PARENT_DOT); }
            "span:"               { KIND(TQL_SPAN_COLON); }
            "trace:"              { KIND(TQL_TRACE_COLON); }
            "event:"              { KIND(TQL_EVENT_COLON); }
            "link:"               { KIND(TQL_LINK_COLON); }
            "instrumentation:"    { KIND(TQL_INSTRUMENTATION_COLON); }

            "{"                   { KIND(TQL_OPEN_BRACE); }
            "}"                   { KIND(TQL_CLOSE_BRACE); }
            "("                   { KIND(TQL_OPEN_PAREN); }
            ")"                   { KIND(TQL_CLOSE_PAREN); }
            ","                   { KIND(TQL_COMMA); }
            "|"                   { KIND(TQL_PIPE); }
            "="                   { KIND(TQL_EQ); }
            "!="                  { KIND(TQL_NEQ); }
            "=~"                  { KIND(TQL_RE); }
            "!~"                  { KIND(TQL_NRE); }
            ">"                   { KIND(TQL_GT); }
            ">="                  { KIND(TQL_GTE); }
            "<"                   { KIND(TQL_LT); }
            "<="                  { KIND(TQL_LTE); }
            "+"                   { KIND(TQL_ADD); }
            "-"                   { KIND(TQL_SUB); }
            "*"                   { KIND(TQL_MUL); }
            "/"                   { KIND(TQL_DIV); }
            "%"                   { KIND(TQL_MOD); }
            "^"                   { KIND(TQL_POW); }
            "!"                   { KIND(TQL_NOT); }
            "&&"                  { KIND(TQL_AND); }
            "||"                  { KIND(TQL_OR); }
            ">>"                  { KIND(TQL_DESC); }
            "<<"                  { KIND(TQL_ANCE); }
            "~"                   { KIND(TQL_TILDE); }
            "!>"                  { KIND(TQL_NOT_CHILD); }
            "!<"                  { KIND(TQL_NOT_PARENT); }
            "!>>"                 { KIND(TQL_NOT_DESC); }
            "!<<"                 { KIND(TQL_NOT_ANCE); }
            "&>"                  { KIND(TQL_UNION_CHILD); }
            "&<"                  { KIND(TQL_UNION_PARENT); }
            "&>>"                 { KIND(TQL_UNION_DESC); }
            "&<<"                 { KIND(TQL_UNION_ANCE); }
            "&~"                  { KIND(TQL_UNION_SIBL); }

            ident                 { KIND(TQL_IDENT); }
            [^\x00]               { KIND(TQL_IDENT); }
            *                     { KIND(TQL_ERROR); }
        */
#undef NUMBER
#undef KIND
    }
}

// Words that the language keeps for itself are those from TQL_TRUE on.
static enum tql_token_kind word_kind(struct slice word)
{
    for (int kind = TQL_TRUE; kind < TQL_TOKENS_COUNT; kind++)
        if (slice_eq(word, slice_cstr(tql_token_name((enum tql_token_kind)kind))))
            return (enum tql_token_kind)kind;
    return TQL_IDENT;
}

// A token that touches an unreadable byte is an error, and the lexer stays there.
static struct tql_token checked(struct tql_lexer *lx, struct tql_token t, const uint8_t *before)
{
    if (lx->bad < lx->limit && (lx->cursor > lx->bad || (t.kind == TQL_ERROR && t.str.ptr == NULL)))
        t = failed(t, *lx->bad == 0 ? "invalid character NUL" : "invalid UTF-8 encoding");
    if (t.kind == TQL_ERROR)
        lx->cursor = before;
    return t;
}

struct tql_token tql_lexer_next(struct tql_lexer *lx)
{
    const uint8_t *before = lx->cursor;
    struct tql_token t = scan(lx);
    if (t.kind == TQL_IDENT)
        t.kind = word_kind(t.text);
    return checked(lx, t, before);
}

struct tql_token tql_lexer_name(struct tql_lexer *lx)
{
    const uint8_t *before = lx->cursor;
    count_to(lx, before);
    return checked(lx, scan_name(lx, (struct tql_token){.line = lx->line, .col = lx->col}), before);
}
