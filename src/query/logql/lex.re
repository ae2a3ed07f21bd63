/*
 * lex.re -- text of a query to tokens (logql.md section 2).
 *
 * The text ends in NUL; a NUL before the limit is an error, as is a byte that is not UTF-8. Both are
 * told where the reference tells them: when the token in front of them has been read.
 *
 * Words that are functions are so only in front of `(`, `by (` or `without (`; elsewhere they are
 * identifiers. Durations and byte sizes begin as numbers and take the letters that follow, if the
 * whole makes sense; `-` does the same, so that `-5m` is one token.
 */
#include "query/logql/token.h"

#include "base/utf8.h"
#include "query/logql/unit.h"
#include "query/quoted.h"

#include <assert.h>

const char *token_name(enum token_kind kind)
{
    static const char *const names[] = {
#define X(kind, name) name,
        TOKENS(X)
#undef X
    };
    return names[kind];
}

void lexer_init(struct lexer *lx, struct slice text, struct arena *a)
{
    assert(text.ptr[text.len] == 0);
    size_t valid = utf8_valid_prefix(text);
    const uint8_t *nul = memchr(text.ptr, 0, valid);
    *lx = (struct lexer){
        .cursor = text.ptr,
        .limit = text.ptr + text.len,
        .bad = nul != NULL ? nul : text.ptr + valid,
        .arena = a,
        .counted = text.ptr,
        .line = 1,
        .col = 1,
    };
    if (slice_starts(text, SLICE("\xEF\xBB\xBF")))
        lx->cursor += 3;
}

// Moves the counted position forward to `to`.
static void count_to(struct lexer *lx, const uint8_t *to)
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

static struct token failed(struct token t, const char *message)
{
    t.kind = TOK_ERROR;
    t.str = slice_cstr(message);
    return t;
}

// --- numbers, durations, sizes --------------------------------------------------------------------------

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

// The extent of a Go number literal at p; NULL or what is wrong with it.
static const char *scan_number(const uint8_t *p, const uint8_t **end_out)
{
    unsigned base = 10;
    bool prefix = false, digit_last = false, misplaced = false, digits = false, invalid = false;
    if (p[0] == '0' && strchr("xob", p[1] | 32) != NULL) {
        base = (p[1] | 32) == 'x' ? 16 : (p[1] | 32) == 'o' ? 8 : 2;
        p += 2;
        prefix = digit_last = true;
    }
    bool octal = base == 10 && p[0] == '0';
    bool point = false;
    for (;; p++) {
        uint8_t c = *p;
        if (c == '_') {
            misplaced |= !digit_last;
            digit_last = false;
        } else if (is_digit(c) || (base == 16 && (c | 32) >= 'a' && (c | 32) <= 'f')) {
            invalid |= base < 10 && c >= '0' + base;
            digits = digit_last = true;
        } else if (c == '.' && !point) {
            misplaced |= p[-1] == '_';
            point = true;
            digit_last = false;
        } else {
            break;
        }
    }
    misplaced |= p[-1] == '_';
    const char *problem = NULL;
    if (point && prefix && base != 16)
        problem = base == 8 ? "invalid radix point in octal literal"
                            : "invalid radix point in binary literal";
    else if (!digits)
        problem = base == 16  ? "hexadecimal literal has no digits"
                  : base == 8 ? "octal literal has no digits"
                              : "binary literal has no digits";
    bool exponent = (*p | 32) == 'e' ? base != 16 : (*p | 32) == 'p';
    if (exponent) {
        bool decimal = (*p | 32) == 'e';
        if (problem == NULL && decimal && prefix)
            problem = "'e' exponent requires decimal mantissa";
        else if (problem == NULL && !decimal && base != 16)
            problem = "'p' exponent requires hexadecimal mantissa";
        p++;
        if (*p == '+' || *p == '-')
            p++;
        const uint8_t *first = p;
        while (is_digit(*p) || *p == '_')
            p++;
        if (p == first && problem == NULL)
            problem = "exponent has no digits";
    } else if (base == 16 && point && problem == NULL) {
        problem = "hexadecimal mantissa requires a 'p' exponent";
    }
    if (problem == NULL && invalid)
        problem = base == 8 ? "invalid digit in octal literal" : "invalid digit in binary literal";
    if (problem == NULL && misplaced)
        problem = "'_' must separate successive digits";
    if (problem == NULL && octal && !point && !exponent)
        for (const uint8_t *q = p - 1; is_digit(*q) || *q == '_'; q--)
            if (*q == '8' || *q == '9') {
                problem = "invalid digit in octal literal";
                break;
            }
    *end_out = p;
    return problem;
}

// The run of digits, points and the given letters at p. `micro`: the micro sign is a letter too.
static const uint8_t *unit_run(const uint8_t *p, const char *letters, bool micro)
{
    for (;; p++) {
        if (micro && p[0] == 0xC2 && p[1] == 0xB5)
            p++;
        else if (*p == 0 || (!is_digit(*p) && *p != '.' && strchr(letters, *p) == NULL))
            return p;
    }
}

// Extends the number (or lone minus) in t to a duration, if it is one.
static bool try_duration(struct lexer *lx, struct token *t)
{
    const uint8_t *end = unit_run(lx->cursor, "numshdwy", true);
    struct slice whole = slice_of(t->text.ptr, (size_t)(end - t->text.ptr));
    if (end == lx->cursor || (!unit_prom_duration(whole, &t->duration_ns, NULL) &&
                              !unit_go_duration(whole, &t->duration_ns, NULL)))
        return false;
    t->kind = TOK_DURATION;
    t->line = 0;
    lx->cursor = end;
    return true;
}

static bool try_bytes(struct lexer *lx, struct token *t)
{
    const uint8_t *end = unit_run(lx->cursor, "BikKMGTP", false);
    struct slice whole = slice_of(t->text.ptr, (size_t)(end - t->text.ptr));
    if (end == lx->cursor || !unit_bytes(whole, &t->bytes, NULL))
        return false;
    t->kind = TOK_BYTES;
    t->line = 0;
    lx->cursor = end;
    return true;
}

// --- strings ------------------------------------------------------------------------------------------

// A string from behind its quote to its end.
static struct token scan_string(struct lexer *lx, struct token t, bool raw)
{
    const char *problem = (raw ? quoted_scan_raw : quoted_scan)(&lx->cursor, lx->limit, lx->arena, &t.str);
    if (problem != NULL)
        return failed(t, problem);
    t.kind = TOK_STRING;
    return t;
}

// `'x'` is one character and reads as an identifier; anything else in single quotes is an error.
static struct token scan_char(struct lexer *lx, struct token t)
{
    const uint8_t *p = lx->cursor;
    size_t chars = 0;
    for (; *p != '\''; chars++) {
        if (p >= lx->limit || *p == '\n')
            return failed(t, "literal not terminated");
        uint32_t rune;
        bool valid;
        p += utf8_decode(slice_of(p, (size_t)(lx->limit - p)), &rune, &valid);
    }
    if (chars != 1)
        return failed(t, "invalid char literal");
    lx->cursor = p + 1;
    t.kind = TOK_IDENT;
    t.text.len = (size_t)(lx->cursor - t.text.ptr);
    return t;
}

// --- ranges, flags, functions ---------------------------------------------------------------------------

static struct token scan_range(struct lexer *lx, struct token t)
{
    t.line = 0;
    const uint8_t *end = memchr(lx->cursor, ']', (size_t)(lx->limit - lx->cursor));
    if (end == NULL)
        return failed(t, "missing closing ']' in duration");
    struct err err;
    if (!unit_prom_duration(slice_of(lx->cursor, (size_t)(end - lx->cursor)), &t.duration_ns, &err))
        return failed(t, arena_printf(lx->arena, "%s", err.text));
    t.kind = TOK_RANGE;
    lx->cursor = end + 1;
    return t;
}

static struct token scan_minus(struct lexer *lx, struct token t)
{
    static const char *const flags[] = {"-strict", "-keep-empty"};
    for (size_t i = 0; i < COUNT_OF(flags); i++) {
        struct slice flag = slice_cstr(flags[i]);
        if (!slice_starts(slice_of(lx->cursor, (size_t)(lx->limit - lx->cursor)), flag))
            continue;
        uint8_t next = lx->cursor[flag.len];
        if (next == '-' || ((next | 32) >= 'a' && (next | 32) <= 'z') || next >= 0x80)
            continue;
        lx->cursor += flag.len;
        t.kind = TOK_FLAG;
        t.text.len = (size_t)(lx->cursor - t.text.ptr);
        t.line = 0;
        return t;
    }
    if (!try_duration(lx, &t))
        t.kind = TOK_SUB;
    return t;
}

static const uint8_t *skip_space(const uint8_t *p)
{
    while (*p == ' ' || (*p >= '\t' && *p <= '\r'))
        p++;
    return p;
}

static bool word_at(const uint8_t *p, const char *lower)
{
    for (; *lower != 0; p++, lower++)
        if ((*p | 32) != *lower)
            return false;
    return true;
}

// Whether what follows makes a function of the word before it.
static bool calls(const uint8_t *p)
{
    p = skip_space(p);
    if (word_at(p, "by"))
        p = skip_space(p + 2);
    else if (word_at(p, "without"))
        p = skip_space(p + 7);
    return *p == '(';
}

// --- the scanner --------------------------------------------------------------------------------------

/*!include:re2c "unicode_categories.re" */

static struct token scan(struct lexer *lx)
{
    const uint8_t *start, *marker;
    struct token t;

    for (;;) {
        start = lx->cursor;
        count_to(lx, start);
        t = (struct token){.line = lx->line, .col = lx->col};
        // An unreadable byte behind white space is told with the position of what was before.
        if (start == lx->bad && start < lx->limit) {
            t.line = 0;
            t.col = lx->last_col;
            return t.kind = TOK_ERROR, t;
        }

#define KIND(k)                                                                                    \
    do {                                                                                           \
        t.kind = (k);                                                                              \
        t.text = slice_of(start, (size_t)(lx->cursor - start));                                    \
        return t;                                                                                  \
    } while (0)
#define PAIR(k)                                                                                    \
    do {                                                                                           \
        t.line = 0;                                                                                \
        KIND(k);                                                                                   \
    } while (0)
#define CALL(k) KIND(calls(lx->cursor) ? (k) : TOK_IDENT)

        /*!re2c
            re2c:define:YYCTYPE  = "uint8_t";
            re2c:define:YYCURSOR = "lx->cursor";
            re2c:define:YYMARKER = "marker";
            re2c:yyfill:enable   = 0;
            re2c:encoding:utf8   = 1;

            letter = L | "_";
            ident  = letter (letter | Nd)*;

            "\x00"                { if (start != lx->limit)
                                        KIND(TOK_ERROR);
                                    lx->cursor = start;
                                    if (lx->line == 1 && lx->col == 1) // empty text has no position
                                        t.line = t.col = 0;
                                    KIND(TOK_END); }
            [ \t\r\n]+            { continue; }
            "#" [^\n\x00]*        { continue; }
            "//" [^\n\x00]*       { continue; }
            "/*"                  { const uint8_t *end = memmem(lx->cursor, (size_t)(lx->limit - lx->cursor),
                                                                "*" "/", 2);
                                    if (end == NULL)
                                        return failed(t, "comment not terminated");
                                    lx->cursor = end + 2;
                                    continue; }

            '"'                   { t.text = slice_of(start, 1); return scan_string(lx, t, false); }
            "`"                   { t.text = slice_of(start, 1); return scan_string(lx, t, true); }
            "'"                   { t.text = slice_of(start, 1); return scan_char(lx, t); }
            "["                   { t.text = slice_of(start, 1); return scan_range(lx, t); }
            "-"                   { t.text = slice_of(start, 1); return scan_minus(lx, t); }
            "."? [0-9]            { const char *problem = scan_number(start, &lx->cursor);
                                    t.text = slice_of(start, (size_t)(lx->cursor - start));
                                    if (problem != NULL)
                                        return failed(t, problem);
                                    if (try_duration(lx, &t) || try_bytes(lx, &t))
                                        PAIR(t.kind);
                                    KIND(TOK_NUMBER); }

            "{"                   { KIND(TOK_OPEN_BRACE); }
            "}"                   { KIND(TOK_CLOSE_BRACE); }
            "]"                   { KIND(TOK_CLOSE_BRACKET); }
            "("                   { KIND(TOK_OPEN_PAREN); }
            ")"                   { KIND(TOK_CLOSE_PAREN); }
            ","                   { KIND(TOK_COMMA); }
            "."                   { KIND(TOK_DOT); }
            "="                   { KIND(TOK_EQ); }
            "=~"                  { PAIR(TOK_RE); }
            "!~"                  { PAIR(TOK_NRE); }
            "!>"                  { PAIR(TOK_NPA); }
            "|~"                  { PAIR(TOK_PIPE_MATCH); }
            "|="                  { PAIR(TOK_PIPE_EXACT); }
            "|>"                  { PAIR(TOK_PIPE_PATTERN); }
            "|"                   { KIND(TOK_PIPE); }
            "=="                  { PAIR(TOK_CMP_EQ); }
            "!="                  { PAIR(TOK_NEQ); }
            "<"                   { KIND(TOK_LT); }
            "<="                  { PAIR(TOK_LTE); }
            ">"                   { KIND(TOK_GT); }
            ">="                  { PAIR(TOK_GTE); }
            "+"                   { KIND(TOK_ADD); }
            "*"                   { KIND(TOK_MUL); }
            "/"                   { KIND(TOK_DIV); }
            "%"                   { KIND(TOK_MOD); }
            "^"                   { KIND(TOK_POW); }

            'by'                  { KIND(TOK_BY); }
            'without'             { KIND(TOK_WITHOUT); }
            'bool'                { KIND(TOK_BOOL); }
            'unwrap'              { KIND(TOK_UNWRAP); }
            'offset'              { KIND(TOK_OFFSET); }
            'on'                  { KIND(TOK_ON); }
            'ignoring'            { KIND(TOK_IGNORING); }
            'group_left'          { KIND(TOK_GROUP_LEFT); }
            'group_right'         { KIND(TOK_GROUP_RIGHT); }
            'or'                  { KIND(TOK_OR); }
            'and'                 { KIND(TOK_AND); }
            'unless'              { KIND(TOK_UNLESS); }
            'json'                { KIND(TOK_JSON); }
            'regexp'              { KIND(TOK_REGEXP); }
            'logfmt'              { KIND(TOK_LOGFMT); }
            'unpack'              { KIND(TOK_UNPACK); }
            'pattern'             { KIND(TOK_PATTERN); }
            'label_format'        { KIND(TOK_LABEL_FORMAT); }
            'line_format'         { KIND(TOK_LINE_FORMAT); }
            'decolorize'          { KIND(TOK_DECOLORIZE); }
            'drop'                { KIND(TOK_DROP); }
            'keep'                { KIND(TOK_KEEP); }
            'variants'            { KIND(TOK_VARIANTS); }
            'of'                  { KIND(TOK_OF); }

            'count_over_time'     { CALL(TOK_COUNT_OVER_TIME); }
            'rate'                { CALL(TOK_RATE); }
            'rate_counter'        { CALL(TOK_RATE_COUNTER); }
            'bytes_over_time'     { CALL(TOK_BYTES_OVER_TIME); }
            'bytes_rate'          { CALL(TOK_BYTES_RATE); }
            'avg_over_time'       { CALL(TOK_AVG_OVER_TIME); }
            'sum_over_time'       { CALL(TOK_SUM_OVER_TIME); }
            'min_over_time'       { CALL(TOK_MIN_OVER_TIME); }
            'max_over_time'       { CALL(TOK_MAX_OVER_TIME); }
            'stdvar_over_time'    { CALL(TOK_STDVAR_OVER_TIME); }
            'stddev_over_time'    { CALL(TOK_STDDEV_OVER_TIME); }
            'quantile_over_time'  { CALL(TOK_QUANTILE_OVER_TIME); }
            'first_over_time'     { CALL(TOK_FIRST_OVER_TIME); }
            'last_over_time'      { CALL(TOK_LAST_OVER_TIME); }
            'absent_over_time'    { CALL(TOK_ABSENT_OVER_TIME); }
            'sum'                 { CALL(TOK_SUM); }
            'avg'                 { CALL(TOK_AVG); }
            'max'                 { CALL(TOK_MAX); }
            'min'                 { CALL(TOK_MIN); }
            'count'               { CALL(TOK_COUNT); }
            'stddev'              { CALL(TOK_STDDEV); }
            'stdvar'              { CALL(TOK_STDVAR); }
            'bottomk'             { CALL(TOK_BOTTOMK); }
            'topk'                { CALL(TOK_TOPK); }
            'approx_topk'         { CALL(TOK_APPROX_TOPK); }
            'sort'                { CALL(TOK_SORT); }
            'sort_desc'           { CALL(TOK_SORT_DESC); }
            'vector'              { CALL(TOK_VECTOR); }
            'label_replace'       { CALL(TOK_LABEL_REPLACE); }
            'bytes'               { CALL(TOK_BYTES_CONV); }
            'duration'            { CALL(TOK_DURATION_CONV); }
            'duration_seconds'    { CALL(TOK_DURATION_SECONDS_CONV); }
            'ip'                  { CALL(TOK_IP); }
            'trace_id'            { CALL(TOK_TRACE_ID); }

            ident                 { KIND(TOK_IDENT); }
            [^]                   { KIND(TOK_IDENT); }
            *                     { KIND(TOK_ERROR); }
        */
#undef CALL
#undef PAIR
#undef KIND
    }
}

struct token lexer_next(struct lexer *lx)
{
    const uint8_t *before = lx->cursor;
    struct token t = scan(lx);
    // A token that touches an unreadable byte has looked at it: that error came first.
    if (lx->bad < lx->limit && (lx->cursor >= lx->bad || t.kind == TOK_ERROR)) {
        bool nul = *lx->bad == 0;
        if (t.kind != TOK_ERROR || t.str.ptr == NULL || lx->cursor >= lx->bad)
            t = failed(t, nul ? "invalid character NUL" : "invalid UTF-8 encoding");
    }
    if (t.kind == TOK_ERROR)
        lx->cursor = before; // stays here
    lx->last_col = t.col;
    return t;
}
