/*
 * labels_text.c -- label sets as text: PromQL's `{name="value"}` read, Go's quoting written.
 *
 * Grammar and error texts: loki-http.md 17.4. Positions in errors are line:column, 1-based, in bytes.
 *     set  = [ name ] "{" [ pair { "," pair } [ "," ] ] "}" | name | nothing
 *     pair = ( name | string ) "=" string
 */
#include "base/labels.h"

#include "base/utf8.h"

#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <wctype.h>

// --- characters -------------------------------------------------------------------------------------

// As utf8_decode(), where a well-formed U+FFFD is told by its length alone.
static size_t rune_decode(struct slice s, uint32_t *rune_out)
{
    bool valid;
    return utf8_decode(s, rune_out, &valid);
}

// Go's unicode.IsPrint: letters, marks, numbers, punctuation, symbols and the ASCII blank. The C library
// knows what is assigned; blanks, format characters and private use it calls printable are named here.
static bool rune_prints(uint32_t rune)
{
    static const struct {
        uint32_t first, last;
    } hidden[] = {
        {0x00A0, 0x00A0},   {0x00AD, 0x00AD},   {0x0600, 0x0605},   {0x061C, 0x061C},
        {0x06DD, 0x06DD},   {0x070F, 0x070F},   {0x0890, 0x0891},   {0x08E2, 0x08E2},
        {0x1680, 0x1680},   {0x180E, 0x180E},   {0x2000, 0x200F},   {0x2028, 0x202F},
        {0x205F, 0x206F},   {0x3000, 0x3000},   {0xD800, 0xF8FF},   {0xFEFF, 0xFEFF},
        {0xFFF9, 0xFFFB},   {0x110BD, 0x110BD}, {0x110CD, 0x110CD}, {0x13430, 0x1343F},
        {0x1BCA0, 0x1BCA3}, {0x1D173, 0x1D17A}, {0xE0001, 0xE007F}, {0xF0000, 0x10FFFF},
    };
    if (rune < 0x80)
        return rune >= 0x20 && rune != 0x7F;
    for (size_t i = 0; i < COUNT_OF(hidden); i++)
        if (rune >= hidden[i].first && rune <= hidden[i].last)
            return false;
    static _Thread_local locale_t utf8;
    if (utf8 == (locale_t)0)
        utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    return utf8 == (locale_t)0 || iswprint_l((wint_t)rune, utf8);
}

// --- writing ----------------------------------------------------------------------------------------

static void put_escaped(struct buf *b, uint32_t rune)
{
    static const char letters[] = "abtnvfr"; // 0x07..0x0D
    if (rune >= 0x07 && rune <= 0x0D)
        buf_printf(b, "\\%c", letters[rune - 0x07]);
    else if (rune < 0x20 || rune == 0x7F)
        buf_printf(b, "\\x%02x", rune);
    else
        buf_printf(b, rune < 0x10000 ? "\\u%04x" : "\\U%08x", rune);
}

static void put_quoted(struct buf *b, struct slice text, uint8_t quote)
{
    buf_put_byte(b, quote);
    for (size_t i = 0, len; i < text.len; i += len) {
        uint32_t rune;
        len = rune_decode(slice_from(text, i), &rune);
        if (rune == UTF8_INVALID && len == 1)
            buf_printf(b, "\\x%02x", text.ptr[i]);
        else if (rune == quote || rune == '\\')
            buf_printf(b, "\\%c", (char)rune);
        else if (rune_prints(rune))
            buf_put(b, text.ptr + i, len);
        else
            put_escaped(b, rune);
    }
    buf_put_byte(b, quote);
}

void labels_quote(struct buf *b, struct slice text)
{
    put_quoted(b, text, '"');
}

void labels_print(struct buf *b, struct slice encoded)
{
    struct label l;
    bool first = true;
    buf_put_byte(b, '{');
    for (struct labels_walk w = labels_walk(encoded); labels_next(&w, &l); first = false) {
        if (!first)
            buf_put_cstr(b, ", ");
        buf_put_slice(b, l.name);
        buf_put_byte(b, '=');
        labels_quote(b, l.value);
    }
    buf_put_byte(b, '}');
}

// --- lexer ------------------------------------------------------------------------------------------

enum token { TOKEN_END, TOKEN_NAME, TOKEN_STRING, TOKEN_OPEN, TOKEN_CLOSE, TOKEN_COMMA, TOKEN_EQ, TOKEN_OP };

struct lexer {
    struct slice text;
    size_t pos;
    bool inside; // the braces
    struct err *err;
    enum token token;
    size_t start;          // of the token
    struct slice token_text;
};

static bool fail_at(struct lexer *x, size_t pos, const char *fmt, ...) PRINTF_LIKE(3, 4);

static bool fail_at(struct lexer *x, size_t pos, const char *fmt, ...)
{
    char why[ERR_TEXT_BYTES / 2];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(why, sizeof why, fmt, args);
    va_end(args);
    size_t line = 1, line_start = 0;
    for (size_t i = 0; i < pos; i++) {
        if (x->text.ptr[i] == '\n') {
            line++;
            line_start = i + 1;
        }
    }
    return err_set(x->err, ERR_INPUT, "%zu:%zu: parse error: %s", line, pos - line_start + 1, why);
}

// Fails with the character at `at` quoted as Go's %q.
static bool fail_char(struct lexer *x, const char *what, size_t at)
{
    struct buf quoted;
    buf_init(&quoted, 0);
    uint32_t rune;
    struct slice rest = slice_from(x->text, at);
    size_t len = rune_decode(rest, &rune);
    bool invalid = rune == UTF8_INVALID && len == 1; // Go prints the replacement character
    put_quoted(&quoted, invalid ? SLICE("\xEF\xBF\xBD") : slice_of(rest.ptr, len), '\'');
    (void)fail_at(x, x->start, "%s: %.*s", what, SLICE_FMT(buf_slice(&quoted)));
    buf_done(&quoted);
    return false;
}

static bool is_alpha(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_alnum(uint8_t c)
{
    return is_alpha(c) || (c >= '0' && c <= '9');
}

static int peek(const struct lexer *x)
{
    return x->pos < x->text.len ? x->text.ptr[x->pos] : -1;
}

static bool take(struct lexer *x, enum token token)
{
    x->token = token;
    x->token_text = slice_of(x->text.ptr + x->start, x->pos - x->start);
    return true;
}

static unsigned digit_value(int c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10) : 16;
}

// Fails about the character in hand as Go's %#U: U+0071 'q'.
static bool fail_escape(struct lexer *x, const char *before, const char *after)
{
    uint32_t rune;
    struct slice rest = slice_from(x->text, x->pos);
    size_t len = rune_decode(rest, &rune);
    char shown[40];
    if (rune_prints(rune))
        (void)snprintf(shown, sizeof shown, "U+%04X '%.*s'", rune, (int)len, (const char *)rest.ptr);
    else
        (void)snprintf(shown, sizeof shown, "U+%04X", rune);
    return fail_at(x, x->start, "%s %s%s", before, shown, after);
}

// Behind a backslash, up to the end of the escape.
static bool lex_escape(struct lexer *x, uint8_t quote)
{
    int c = peek(x);
    unsigned digits = 0, base = 16;
    uint32_t max = 255;
    if (c < 0)
        return fail_at(x, x->start, "escape sequence not terminated");
    if (c == quote || memchr("abfnrtv\\", c, 8) != NULL) {
        x->pos++;
        return true;
    }
    if (c >= '0' && c <= '7') {
        digits = 3;
        base = 8;
    } else if (c == 'x') {
        digits = 2;
    } else if (c == 'u' || c == 'U') {
        digits = c == 'u' ? 4 : 8;
        max = 0x10FFFF;
    } else {
        return fail_escape(x, "unknown escape sequence", "");
    }
    x->pos += base == 16;
    uint32_t value = 0;
    for (; digits > 0; digits--, x->pos++) {
        if (peek(x) < 0)
            return fail_at(x, x->start, "escape sequence not terminated");
        unsigned digit = digit_value(peek(x));
        if (digit >= base)
            return fail_escape(x, "illegal character", " in escape sequence");
        value = value > UINT32_MAX / 16 ? UINT32_MAX : value * base + digit;
    }
    if (value > max || (value >= 0xD800 && value < 0xE000))
        return fail_at(x, x->start, "escape sequence is an invalid Unicode code point");
    return true;
}

static bool lex_string(struct lexer *x, uint8_t quote)
{
    for (;;) {
        int c = peek(x);
        if (c < 0 || (c == '\n' && quote != '`'))
            return fail_at(x, x->start, quote == '`' ? "unterminated raw string" : "unterminated quoted string");
        uint32_t rune;
        x->pos += rune_decode(slice_from(x->text, x->pos), &rune);
        if (rune == UTF8_INVALID)
            return fail_at(x, x->start, "invalid UTF-8 rune");
        if (c == quote)
            return take(x, TOKEN_STRING);
        if (c == '\\' && quote != '`' && !lex_escape(x, quote))
            return false;
    }
}

static void skip_blanks(struct lexer *x)
{
    for (int c; (c = peek(x)) >= 0;) {
        if (c == '#') {
            while (peek(x) >= 0 && peek(x) != '\n')
                x->pos++;
        } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
            x->pos++;
        } else {
            return;
        }
    }
}

static bool lex_name(struct lexer *x)
{
    while (x->pos < x->text.len &&
           (is_alnum(x->text.ptr[x->pos]) || (!x->inside && x->text.ptr[x->pos] == ':')))
        x->pos++;
    return take(x, TOKEN_NAME);
}

static bool lex_inside(struct lexer *x, uint8_t c)
{
    switch (c) {
    case ',':
        return take(x, TOKEN_COMMA);
    case '"':
    case '\'':
    case '`':
        return lex_string(x, c);
    case '=':
        if (peek(x) != '~')
            return take(x, TOKEN_EQ);
        x->pos++;
        return take(x, TOKEN_OP);
    case '!':
        if (peek(x) < 0)
            return fail_at(x, x->start, "unexpected character after '!' inside braces: '\xEF\xBF\xBD'");
        if (peek(x) != '=' && peek(x) != '~')
            return fail_char(x, "unexpected character after '!' inside braces", x->pos);
        x->pos++;
        return take(x, TOKEN_OP);
    case '{':
        return fail_at(x, x->start, "unexpected left brace '{'");
    case '}':
        x->inside = false;
        return take(x, TOKEN_CLOSE);
    default:
        return fail_char(x, "unexpected character inside braces", x->start);
    }
}

// Consumes the token in hand and reads the next.
static bool advance(struct lexer *x)
{
    skip_blanks(x);
    x->start = x->pos;
    int c = peek(x);
    if (c < 0)
        return x->inside ? fail_at(x, x->start, "unexpected end of input inside braces")
                         : take(x, TOKEN_END);
    if (is_alpha((uint8_t)c) || (!x->inside && c == ':'))
        return lex_name(x);
    x->pos++;
    if (x->inside)
        return lex_inside(x, (uint8_t)c);
    if (c == '{') {
        x->inside = true;
        return take(x, TOKEN_OPEN);
    }
    return fail_char(x, "unexpected character", x->start);
}

// --- parser -----------------------------------------------------------------------------------------

static bool unexpected(struct lexer *x, const char *where, const char *expected)
{
    enum { SHOWN_MAX = 10 }; // of anything but names
    struct buf shown;
    buf_init(&shown, 0);
    bool name = x->token == TOKEN_NAME;
    struct slice text = x->token_text;
    bool cut = !name && text.len > SHOWN_MAX;
    if (x->token == TOKEN_END) {
        buf_put_cstr(&shown, "end of input");
    } else if (x->token == TOKEN_OP) {
        buf_printf(&shown, "<op:%.*s>", SLICE_FMT(text));
    } else {
        const char *kind = name && memchr(text.ptr, ':', text.len) != NULL ? "metric identifier "
                           : name                                         ? "identifier "
                           : x->token == TOKEN_STRING                     ? "string "
                                                                          : "";
        buf_put_cstr(&shown, kind);
        labels_quote(&shown, cut ? slice_of(text.ptr, SHOWN_MAX) : text);
        if (cut)
            buf_put_cstr(&shown, "...");
    }
    (void)fail_at(x, x->start, "unexpected %.*s%s%s", SLICE_FMT(buf_slice(&shown)), where, expected);
    buf_done(&shown);
    return false;
}

// The text between the quotes of a string token, its escapes undone.
static bool unquote(struct lexer *x, struct arena *a, struct slice *out)
{
    struct slice raw = slice_of(x->token_text.ptr + 1, x->token_text.len - 2);
    *out = raw;
    if (x->token_text.ptr[0] == '`' || raw.len == 0 || memchr(raw.ptr, '\\', raw.len) == NULL)
        return true;
    uint8_t *to = arena_alloc(a, raw.len); // an escape is never shorter than what it means
    if (to == NULL)
        return arena_ok(a, "label value", x->err);
    size_t len = 0;
    for (size_t i = 0; i < raw.len;) {
        uint8_t c = raw.ptr[i++];
        if (c != '\\') {
            to[len++] = c;
            continue;
        }
        c = raw.ptr[i++];
        static const char letters[] = "abfnrtv", values[] = "\a\b\f\n\r\t\v";
        const char *letter = memchr(letters, c, sizeof letters - 1);
        bool octal = c >= '0' && c <= '7';
        size_t digits = octal ? 3 : c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
        if (letter != NULL) {
            to[len++] = (uint8_t)values[letter - letters];
        } else if (digits == 0) {
            to[len++] = c;
        } else {
            uint32_t value = 0;
            for (i -= octal; digits > 0; digits--)
                value = value * (octal ? 8 : 16) + digit_value(raw.ptr[i++]);
            if (c == 'u' || c == 'U')
                len += utf8_encode(value, to + len);
            else
                to[len++] = (uint8_t)value; // a byte, not a character
        }
    }
    *out = slice_of(to, len);
    return true;
}

static bool is_plain_name(struct slice s)
{
    if (s.len == 0 || !is_alpha(s.ptr[0]))
        return false;
    for (size_t i = 1; i < s.len; i++)
        if (!is_alnum(s.ptr[i]))
            return false;
    return true;
}

static bool parse_pair(struct lexer *x, struct arena *a, struct label *out)
{
    if (x->token != TOKEN_NAME && x->token != TOKEN_STRING)
        return unexpected(x, " in label set", ", expected identifier or \"}\"");
    out->name = x->token_text;
    if (x->token == TOKEN_STRING) {
        if (!unquote(x, a, &out->name))
            return false;
        if (!is_plain_name(out->name))
            return fail_at(x, x->start, "label name %.*s is not a plain name", SLICE_FMT(x->token_text));
    }
    if (!advance(x))
        return false;
    if (x->token != TOKEN_EQ)
        return unexpected(x, " in label set", ", expected \"=\"");
    if (!advance(x))
        return false;
    if (x->token != TOKEN_STRING)
        return unexpected(x, " in label set", ", expected string");
    return unquote(x, a, &out->value) && advance(x);
}

static bool add(struct lexer *x, struct arena *a, struct labels *l, size_t *room, struct label pair)
{
    if (!arena_grow(a, (void **)&l->items, sizeof *l->items, l->count, room))
        return arena_ok(a, "label set", x->err);
    l->items[l->count++] = pair;
    return true;
}

static bool parse_braces(struct lexer *x, struct arena *a, struct labels *l, size_t *room)
{
    if (!advance(x))
        return false;
    while (x->token != TOKEN_CLOSE) {
        struct label pair;
        if (!parse_pair(x, a, &pair) || !add(x, a, l, room, pair))
            return false;
        if (x->token != TOKEN_COMMA && x->token != TOKEN_CLOSE)
            return unexpected(x, " in label set", ", expected \",\" or \"}\"");
        if (x->token == TOKEN_COMMA && !advance(x))
            return false;
    }
    return advance(x);
}

bool labels_parse(struct slice text, struct arena *a, struct labels *out, struct err *err)
{
    struct lexer x = {.text = text, .err = err};
    struct labels l = {0};
    size_t room = 0;
    if (text.len == 0) {
        *out = l;
        return true;
    }
    if (!advance(&x))
        return false;
    if (x.token == TOKEN_NAME) {
        struct label pair = {SLICE("__name__"), x.token_text};
        if (!add(&x, a, &l, &room, pair) || !advance(&x))
            return false;
    } else if (x.token != TOKEN_OPEN) {
        return unexpected(&x, "", "");
    }
    if (x.token == TOKEN_OPEN && !parse_braces(&x, a, &l, &room))
        return false;
    if (x.token != TOKEN_END)
        return unexpected(&x, "", "");
    *out = l;
    return true;
}
