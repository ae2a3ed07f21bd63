/* template_value.c -- see template_value.h; functions of logql.md 12.2. */
#include "query/pipeline/template_value.h"

#include "base/clock.h"
#include "base/labels.h"
#include "base/utf8.h"
#include "query/expand.h"
#include "query/logql/unit.h"
#include "query/regex.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <wctype.h>

enum { JSON_DEPTH_MAX = 64, OUTPUT_BYTES_MAX = 1 << 20 };

bool tcall_fail(struct tcall *c, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    c->error = arena_copy(c->a, slice_cstr(text));
    return false;
}

// --- printing ---------------------------------------------------------------------------------------

static void print_float(struct buf *b, double v)
{
    char text[64];
    if (isnan(v) || isinf(v)) {
        buf_put_cstr(b, isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf");
        return;
    }
    int precision = 0;
    for (; precision < 17; precision++) {
        (void)snprintf(text, sizeof text, "%.*e", precision, v);
        if (strtod(text, NULL) == v)
            break;
    }
    int exponent = atoi(strchr(text, 'e') + 1);
    if (exponent >= -4 && exponent < 6) {
        int decimals = precision - exponent;
        (void)snprintf(text, sizeof text, "%.*f", decimals > 0 ? decimals : 0, v);
    }
    buf_put_cstr(b, text);
}

static void print_time(struct buf *b, int64_t ns)
{
    char text[CLOCK_RFC3339_BYTES];
    clock_rfc3339(ns, text);
    text[10] = ' ';
    text[strlen(text) - 1] = '\0';
    buf_printf(b, "%s +0000 UTC", text);
}

void tval_print(struct buf *b, const struct tval *v)
{
    switch (v->kind) {
    case T_NIL:
        buf_put_cstr(b, "<nil>");
        break;
    case T_BOOL:
        buf_put_cstr(b, v->i ? "true" : "false");
        break;
    case T_INT:
        buf_printf(b, "%" PRId64, v->i);
        break;
    case T_FLOAT:
        print_float(b, v->f);
        break;
    case T_STRING:
        buf_put_slice(b, v->s);
        break;
    case T_TIME:
        print_time(b, v->i);
        break;
    case T_LIST:
    case T_MAP:
        buf_put_cstr(b, v->kind == T_LIST ? "[" : "map[");
        for (size_t i = 0; i < v->count; i++) {
            if (i > 0)
                buf_put_byte(b, ' ');
            if (v->kind == T_MAP) {
                buf_put_slice(b, v->keys[i]);
                buf_put_byte(b, ':');
            }
            tval_print(b, &v->items[i]);
        }
        buf_put_byte(b, ']');
        break;
    }
}

bool tval_is_true(const struct tval *v)
{
    switch (v->kind) {
    case T_NIL:
        return false;
    case T_BOOL:
    case T_INT:
        return v->i != 0;
    case T_FLOAT:
        return v->f != 0;
    case T_STRING:
        return v->s.len > 0;
    case T_TIME:
        return true;
    default:
        return v->count > 0;
    }
}

const char *tval_type(const struct tval *v)
{
    static const char *const names[] = {"nil", "bool", "int", "float64", "string", "[]interface {}",
                                        "map[string]interface {}", "time.Time"};
    return names[v->kind];
}

// --- arguments --------------------------------------------------------------------------------------

static bool want_kind(struct tcall *c, const struct tval *args, int n, enum tkind kind)
{
    static const char *const names[] = {"nil", "bool", "int", "float64", "string", "list", "map", "time"};
    if (args[n].kind == kind || (kind == T_FLOAT && args[n].kind == T_INT))
        return true;
    c->bad_arg = n;
    return tcall_fail(c, "wrong type for value; expected %s; got %s", names[kind], tval_type(&args[n]));
}

#define STRINGS(from, to)                                                                          \
    for (int n_ = (from); n_ < (to); n_++)                                                         \
        if (!want_kind(c, args, n_, T_STRING))                                                     \
            return false;
#define INT(n)                                                                                     \
    if (!want_kind(c, args, (n), T_INT))                                                           \
        return false;

static bool give_string(struct tval *out, struct slice s)
{
    *out = (struct tval){.kind = T_STRING, .s = s};
    return true;
}

static bool give_int(struct tval *out, int64_t i)
{
    *out = (struct tval){.kind = T_INT, .i = i};
    return true;
}

static bool give_float(struct tval *out, double f)
{
    *out = (struct tval){.kind = T_FLOAT, .f = f};
    return true;
}

static bool give_bool(struct tval *out, bool b)
{
    *out = (struct tval){.kind = T_BOOL, .i = b};
    return true;
}

static bool give_buf(struct tcall *c, struct buf *b, struct tval *out)
{
    bool good = !b->bad;
    if (good)
        (void)give_string(out, arena_copy(c->a, buf_slice(b)));
    buf_done(b);
    return good || tcall_fail(c, "result is too long");
}

static struct slice of_string(const struct tval *v)
{
    return v->s.ptr != NULL ? v->s : SLICE("");
}

#define S(n) of_string(&args[n])
#define FN(name)                                                                                   \
    static bool fn_##name(struct tcall *c, const struct tval *args, int count, struct tval *out)
#define UNUSED                                                                                     \
    (void)c;                                                                                       \
    (void)args;                                                                                    \
    (void)count

// logql.md 12.1
static int64_t to_int(const struct tval *v)
{
    if (v->kind == T_INT || v->kind == T_BOOL)
        return v->i;
    if (v->kind == T_FLOAT)
        return (int64_t)v->f;
    if (v->kind != T_STRING || v->s.len == 0 || v->s.len > 64)
        return 0;
    char text[80];
    size_t len = 0;
    bool decimal = true, dot = false;
    for (size_t i = 0; i < v->s.len; i++) {
        uint8_t ch = v->s.ptr[i];
        if (ch == '.' && !dot)
            dot = true;
        else if (!isdigit(ch) && !(i == 0 && (ch == '-' || ch == '+')))
            decimal = false;
    }
    for (size_t i = 0; i < v->s.len; i++) {
        if (decimal && v->s.ptr[i] == '.')
            break;
        if (v->s.ptr[i] != '_')
            text[len++] = (char)v->s.ptr[i];
    }
    text[len] = '\0';
    char *digits = text + (text[0] == '-' || text[0] == '+'), *end;
    int base = 10;
    if (digits[0] == '0' && digits[1] != '\0') {
        char kind = (char)(digits[1] | 32);
        base = kind == 'x' ? 16 : kind == 'b' ? 2 : 8;
        if (kind == 'x' || kind == 'b' || kind == 'o')
            digits += 2;
    }
    if (!isalnum((unsigned char)digits[0]))
        return 0;
    errno = 0;
    long long value = strtoll(digits, &end, base);
    if (*end != '\0' || errno != 0)
        return 0;
    return text[0] == '-' ? -value : value;
}

static double to_float(const struct tval *v)
{
    double f;
    struct err ignored;
    if (v->kind == T_FLOAT)
        return v->f;
    if (v->kind == T_INT || v->kind == T_BOOL)
        return (double)v->i;
    return v->kind == T_STRING && v->s.len > 0 && unit_float(v->s, &f, &ignored) ? f : 0;
}

// --- text -------------------------------------------------------------------------------------------

static bool map_case(struct tcall *c, struct slice s, wint_t (*map)(wint_t), struct tval *out)
{
    struct buf b;
    buf_init(&b, OUTPUT_BYTES_MAX);
    for (size_t i = 0; i < s.len;) {
        uint32_t rune;
        bool valid;
        uint8_t bytes[4];
        i += utf8_decode(slice_from(s, i), &rune, &valid);
        buf_put(&b, bytes, utf8_encode((uint32_t)map((wint_t)rune), bytes));
    }
    return give_buf(c, &b, out);
}

FN(lower) { UNUSED; STRINGS(0, 1) return map_case(c, S(0), towlower, out); }
FN(upper) { UNUSED; STRINGS(0, 1) return map_case(c, S(0), towupper, out); }

FN(title)
{
    UNUSED;
    STRINGS(0, 1)
    struct slice s = S(0);
    uint8_t *to = arena_alloc(c->a, s.len + 1);
    bool start = true;
    for (size_t i = 0; i < s.len && to != NULL; i++) {
        to[i] = start ? (uint8_t)toupper(s.ptr[i]) : s.ptr[i];
        start = s.ptr[i] < 0x80 && !isalnum(s.ptr[i]) && s.ptr[i] != '_';
    }
    return give_string(out, slice_of(to, s.len));
}

FN(trunc)
{
    UNUSED;
    INT(0)
    STRINGS(1, 2)
    int64_t n = args[0].i;
    struct slice s = S(1);
    if (n < 0 && (uint64_t)-n < s.len)
        return give_string(out, slice_from(s, s.len - (size_t)-n));
    if (n >= 0 && (uint64_t)n < s.len)
        s.len = (size_t)n;
    return give_string(out, s);
}

FN(substr)
{
    UNUSED;
    INT(0)
    INT(1)
    STRINGS(2, 3)
    struct slice s = S(2);
    int64_t from = args[0].i < 0 ? 0 : args[0].i, to = args[1].i, len = (int64_t)s.len;
    if (args[0].i >= 0 && (to < 0 || to > len))
        to = len;
    if (to < 0 || to > len)
        return tcall_fail(c, "error calling substr: runtime error: slice bounds out of range [:%" PRId64 "] with length %" PRId64, to, len);
    if (from > to)
        return tcall_fail(c, "error calling substr: runtime error: slice bounds out of range [%" PRId64 ":%" PRId64 "]", from, to);
    return give_string(out, slice_of(s.ptr + from, (size_t)(to - from)));
}

static size_t count_runes(struct slice s)
{
    size_t count = 0;
    for (size_t i = 0; i < s.len; count++) {
        uint32_t rune;
        bool valid;
        i += utf8_decode(slice_from(s, i), &rune, &valid);
    }
    return count;
}

// Behind the first n characters.
static size_t skip_runes(struct slice s, size_t n)
{
    size_t i = 0;
    while (n-- > 0 && i < s.len) {
        uint32_t rune;
        bool valid;
        i += utf8_decode(slice_from(s, i), &rune, &valid);
    }
    return i;
}

static bool align(struct tcall *c, int64_t n, struct slice s, bool left, struct tval *out)
{
    size_t have = count_runes(s);
    if (n < 0)
        return give_string(out, s);
    if ((uint64_t)n < have) {
        size_t cut = skip_runes(s, left ? (size_t)n : have - (size_t)n);
        return give_string(out, left ? slice_of(s.ptr, cut) : slice_from(s, cut));
    }
    struct buf b;
    buf_init(&b, OUTPUT_BYTES_MAX);
    size_t pad = (size_t)n - have;
    if (pad > OUTPUT_BYTES_MAX)
        b.bad = true;
    if (left)
        buf_put_slice(&b, s);
    for (size_t i = 0; i < pad && !b.bad; i++)
        buf_put_byte(&b, ' ');
    if (!left)
        buf_put_slice(&b, s);
    return give_buf(c, &b, out);
}

FN(alignLeft) { UNUSED; INT(0) STRINGS(1, 2) return align(c, args[0].i, S(1), true, out); }
FN(alignRight) { UNUSED; INT(0) STRINGS(1, 2) return align(c, args[0].i, S(1), false, out); }

static bool replace(struct tcall *c, struct slice s, struct slice old, struct slice new, int64_t most,
                    struct tval *out)
{
    struct buf b;
    buf_init(&b, OUTPUT_BYTES_MAX);
    size_t at = 0;
    for (int64_t n = 0; most < 0 || n < most; n++) {
        size_t found = slice_find(slice_from(s, at), old);
        if (found == SIZE_MAX || (old.len == 0 && at >= s.len))
            break;
        buf_put(&b, s.ptr + at, found);
        buf_put_slice(&b, new);
        at += found + old.len;
        if (old.len == 0)
            buf_put_byte(&b, s.ptr[at++]);
    }
    if (old.len == 0 && most < 0)
        buf_put_slice(&b, new);
    buf_put_slice(&b, slice_from(s, at < s.len ? at : s.len));
    return give_buf(c, &b, out);
}

FN(replace) { UNUSED; STRINGS(0, 3) return replace(c, S(2), S(0), S(1), -1, out); }
FN(Replace) { UNUSED; STRINGS(0, 3) INT(3) return replace(c, S(0), S(1), S(2), args[3].i, out); }

static bool in_set(struct slice set, struct slice character)
{
    return slice_find(set, character) != SIZE_MAX;
}

static struct slice trim_set(struct slice s, struct slice set, bool left, bool right)
{
    while (left && s.len > 0) {
        size_t len = skip_runes(s, 1);
        if (!in_set(set, slice_of(s.ptr, len)))
            break;
        s = slice_from(s, len);
    }
    while (right && s.len > 0) {
        size_t from = s.len - 1;
        while (from > 0 && (s.ptr[from] & 0xC0) == 0x80)
            from--;
        if (!in_set(set, slice_from(s, from)))
            break;
        s.len = from;
    }
    return s;
}

#define BLANKS SLICE(" \t\n\v\f\r\xC2\x85\xC2\xA0")
FN(trim) { UNUSED; STRINGS(0, 1) return give_string(out, trim_set(S(0), BLANKS, true, true)); }
FN(trimAll) { UNUSED; STRINGS(0, 2) return give_string(out, trim_set(S(1), S(0), true, true)); }
FN(Trim) { UNUSED; STRINGS(0, 2) return give_string(out, trim_set(S(0), S(1), true, true)); }
FN(TrimLeft) { UNUSED; STRINGS(0, 2) return give_string(out, trim_set(S(0), S(1), true, false)); }
FN(TrimRight) { UNUSED; STRINGS(0, 2) return give_string(out, trim_set(S(0), S(1), false, true)); }

static struct slice cut_prefix(struct slice s, struct slice prefix)
{
    return prefix.len > 0 && slice_starts(s, prefix) ? slice_from(s, prefix.len) : s;
}

static bool ends(struct slice s, struct slice suffix)
{
    return s.len >= suffix.len && slice_eq(slice_from(s, s.len - suffix.len), suffix);
}

static struct slice cut_suffix(struct slice s, struct slice suffix)
{
    return ends(s, suffix) ? slice_of(s.ptr, s.len - suffix.len) : s;
}

FN(trimPrefix) { UNUSED; STRINGS(0, 2) return give_string(out, cut_prefix(S(1), S(0))); }
FN(trimSuffix) { UNUSED; STRINGS(0, 2) return give_string(out, cut_suffix(S(1), S(0))); }
FN(TrimPrefix) { UNUSED; STRINGS(0, 2) return give_string(out, cut_prefix(S(0), S(1))); }
FN(TrimSuffix) { UNUSED; STRINGS(0, 2) return give_string(out, cut_suffix(S(0), S(1))); }
FN(contains) { UNUSED; STRINGS(0, 2) return give_bool(out, slice_find(S(1), S(0)) != SIZE_MAX); }
FN(hasPrefix) { UNUSED; STRINGS(0, 2) return give_bool(out, S(0).len == 0 || slice_starts(S(1), S(0))); }
FN(hasSuffix) { UNUSED; STRINGS(0, 2) return give_bool(out, ends(S(1), S(0))); }

static bool indent(struct tcall *c, int64_t n, struct slice s, bool newline, struct tval *out)
{
    struct buf b;
    if (n < 0)
        return tcall_fail(c, "error calling %sindent: strings: negative Repeat count", newline ? "n" : "");
    buf_init(&b, OUTPUT_BYTES_MAX);
    if (newline)
        buf_put_byte(&b, '\n');
    if (n > OUTPUT_BYTES_MAX)
        b.bad = true;
    for (size_t i = 0; i <= s.len && !b.bad; i++) {
        if (i == 0 || s.ptr[i - 1] == '\n')
            for (int64_t k = 0; k < n; k++)
                buf_put_byte(&b, ' ');
        if (i < s.len)
            buf_put_byte(&b, s.ptr[i]);
    }
    return give_buf(c, &b, out);
}

FN(indent) { UNUSED; INT(0) STRINGS(1, 2) return indent(c, args[0].i, S(1), false, out); }
FN(nindent) { UNUSED; INT(0) STRINGS(1, 2) return indent(c, args[0].i, S(1), true, out); }

FN(repeat)
{
    UNUSED;
    INT(0)
    STRINGS(1, 2)
    struct buf b;
    if (args[0].i < 0)
        return tcall_fail(c, "error calling repeat: strings: negative Repeat count");
    buf_init(&b, OUTPUT_BYTES_MAX);
    for (int64_t i = 0; i < args[0].i && !b.bad && S(1).len > 0; i++)
        buf_put_slice(&b, S(1));
    return give_buf(c, &b, out);
}

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

FN(b64enc)
{
    UNUSED;
    STRINGS(0, 1)
    struct slice s = S(0);
    struct buf b;
    buf_init(&b, OUTPUT_BYTES_MAX);
    for (size_t i = 0; i < s.len; i += 3) {
        size_t left = s.len - i;
        uint32_t v = (uint32_t)s.ptr[i] << 16 | (left > 1 ? (uint32_t)s.ptr[i + 1] << 8 : 0) |
                     (left > 2 ? s.ptr[i + 2] : 0U);
        buf_put_byte(&b, (uint8_t)base64[v >> 18]);
        buf_put_byte(&b, (uint8_t)base64[v >> 12 & 63]);
        buf_put_byte(&b, left > 1 ? (uint8_t)base64[v >> 6 & 63] : '=');
        buf_put_byte(&b, left > 2 ? (uint8_t)base64[v & 63] : '=');
    }
    return give_buf(c, &b, out);
}

FN(b64dec)
{
    UNUSED;
    STRINGS(0, 1)
    struct slice s = S(0);
    struct buf b;
    uint32_t v = 0;
    unsigned n = 0;
    size_t i = 0;
    buf_init(&b, OUTPUT_BYTES_MAX);
    for (; i < s.len; i++) {
        if (s.ptr[i] == '\n' || s.ptr[i] == '\r')
            continue;
        const char *at = s.ptr[i] != 0 ? strchr(base64, s.ptr[i]) : NULL;
        if (at == NULL)
            break;
        v = v << 6 | (uint32_t)(at - base64);
        if (++n == 4) {
            uint8_t bytes[3] = {(uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
            buf_put(&b, bytes, 3);
            n = 0;
            v = 0;
        }
    }
    size_t padding = 0, at = i;
    while (at < s.len && s.ptr[at] == '=') {
        padding++;
        at++;
    }
    if (at == s.len && ((n == 0 && padding == 0) || (n == 2 && padding == 2) || (n == 3 && padding == 1))) {
        uint8_t bytes[2] = {(uint8_t)(n == 2 ? v >> 4 : v >> 10), (uint8_t)(v >> 2)};
        buf_put(&b, bytes, n == 0 ? 0 : n - 1);
        return give_buf(c, &b, out);
    }
    buf_done(&b);
    return give_string(out, slice_cstr(arena_printf(c->a, "illegal base64 data at input byte %zu", i)));
}

FN(urlencode)
{
    UNUSED;
    STRINGS(0, 1)
    struct buf b;
    buf_init(&b, OUTPUT_BYTES_MAX);
    for (size_t i = 0; i < S(0).len; i++) {
        uint8_t ch = S(0).ptr[i];
        if (isalnum(ch) || (ch != 0 && strchr("-_.~", ch) != NULL))
            buf_put_byte(&b, ch);
        else if (ch == ' ')
            buf_put_byte(&b, '+');
        else
            buf_printf(&b, "%%%02X", ch);
    }
    return give_buf(c, &b, out);
}

FN(urldecode)
{
    UNUSED;
    STRINGS(0, 1)
    struct buf b;
    buf_init(&b, OUTPUT_BYTES_MAX);
    for (size_t i = 0; i < S(0).len; i++) {
        uint8_t ch = S(0).ptr[i];
        if (ch == '%') {
            char hex[3] = {0};
            size_t left = S(0).len - i - 1;
            memcpy(hex, S(0).ptr + i + 1, left < 2 ? left : 2);
            if (!isxdigit((unsigned char)hex[0]) || !isxdigit((unsigned char)hex[1])) {
                buf_done(&b);
                return tcall_fail(c, "error calling urldecode: invalid URL escape \"%%%s\"", hex);
            }
            ch = (uint8_t)strtoul(hex, NULL, 16);
            i += 2;
        } else if (ch == '+') {
            ch = ' ';
        }
        buf_put_byte(&b, ch);
    }
    return give_buf(c, &b, out);
}

// --- regexes ----------------------------------------------------------------------------------------

enum { GROUPS_MAX = 32 };

// Compiled for this call; constant ones would be better kept, but patterns are few and short.
static bool with_regex(struct tcall *c, const char *name, struct slice pattern, struct regex **out)
{
    struct err err;
    return regex_compile(pattern, REGEX_NONE, out, &err) ||
           tcall_fail(c, "error calling %s: %s", name, err.text);
}

// All matches from left to right; an empty one right behind another does not count.
static size_t replace_all(const struct regex *regex, struct slice s, struct slice with, bool literal,
                          struct buf *b)
{
    size_t spans[GROUPS_MAX][2], groups = regex_groups(regex) + 1, count = 0, at = 0, last_end = SIZE_MAX;
    groups = groups > GROUPS_MAX ? GROUPS_MAX : groups;
    while (at <= s.len && regex_find(regex, s, at, spans, groups)) {
        size_t from = spans[0][0], end = spans[0][1];
        if (b != NULL)
            buf_put(b, s.ptr + at, from - at);
        if (end > from || from != last_end) {
            count++;
            if (b != NULL && literal)
                buf_put_slice(b, with);
            else if (b != NULL)
                expand(b, with, regex, s, spans, groups);
        }
        last_end = end;
        at = end;
        if (end == from) {
            if (at < s.len && b != NULL)
                buf_put_byte(b, s.ptr[at]);
            at++;
        }
    }
    if (b != NULL && at < s.len)
        buf_put_slice(b, slice_from(s, at));
    return count;
}

static bool regex_replace(struct tcall *c, const char *name, const struct tval *args, bool literal,
                          struct tval *out)
{
    struct regex *regex;
    struct buf b;
    if (!with_regex(c, name, S(0), &regex))
        return false;
    buf_init(&b, OUTPUT_BYTES_MAX);
    (void)replace_all(regex, S(1), S(2), literal, &b);
    regex_free(regex);
    return give_buf(c, &b, out);
}

FN(regexReplaceAll) { UNUSED; STRINGS(0, 3) return regex_replace(c, "regexReplaceAll", args, false, out); }
FN(regexReplaceAllLiteral)
{
    UNUSED;
    STRINGS(0, 3)
    return regex_replace(c, "regexReplaceAllLiteral", args, true, out);
}

FN(count)
{
    UNUSED;
    STRINGS(0, 2)
    struct regex *regex;
    if (!with_regex(c, "count", S(0), &regex))
        return false;
    (void)give_int(out, (int64_t)replace_all(regex, S(1), SLICE(""), true, NULL));
    regex_free(regex);
    return true;
}

// --- numbers ----------------------------------------------------------------------------------------

FN(default)
{
    UNUSED;
    *out = count > 1 && tval_is_true(&args[1]) ? args[1] : args[0];
    return true;
}

FN(int) { UNUSED; return give_int(out, to_int(&args[0])); }
FN(float64) { UNUSED; return give_float(out, to_float(&args[0])); }

FN(add)
{
    UNUSED;
    int64_t sum = 0;
    for (int i = 0; i < count; i++)
        sum = (int64_t)((uint64_t)sum + (uint64_t)to_int(&args[i]));
    return give_int(out, sum);
}

FN(mul)
{
    UNUSED;
    int64_t product = to_int(&args[0]);
    for (int i = 1; i < count; i++)
        product = (int64_t)((uint64_t)product * (uint64_t)to_int(&args[i]));
    return give_int(out, product);
}

FN(sub) { UNUSED; return give_int(out, (int64_t)((uint64_t)to_int(&args[0]) - (uint64_t)to_int(&args[1]))); }

static bool divide(struct tcall *c, const char *name, const struct tval *args, bool rest, struct tval *out)
{
    int64_t a = to_int(&args[0]), b = to_int(&args[1]);
    if (b == 0)
        return tcall_fail(c, "error calling %s: runtime error: integer divide by zero", name);
    if (b == -1)
        return give_int(out, rest ? 0 : (int64_t)(0 - (uint64_t)a));
    return give_int(out, rest ? a % b : a / b);
}

FN(div) { UNUSED; return divide(c, "div", args, false, out); }
FN(mod) { UNUSED; return divide(c, "mod", args, true, out); }

FN(max)
{
    UNUSED;
    int64_t best = to_int(&args[0]);
    for (int i = 1; i < count; i++)
        best = to_int(&args[i]) > best ? to_int(&args[i]) : best;
    return give_int(out, best);
}

FN(min)
{
    UNUSED;
    int64_t best = to_int(&args[0]);
    for (int i = 1; i < count; i++)
        best = to_int(&args[i]) < best ? to_int(&args[i]) : best;
    return give_int(out, best);
}

FN(maxf)
{
    UNUSED;
    double best = to_float(&args[0]);
    for (int i = 1; i < count; i++)
        best = fmax(best, to_float(&args[i]));
    return give_float(out, best);
}

FN(minf)
{
    UNUSED;
    double best = to_float(&args[0]);
    for (int i = 1; i < count; i++)
        best = fmin(best, to_float(&args[i]));
    return give_float(out, best);
}

// The reference computes in decimal: what 15 digits cannot tell apart is the same.
static double decimal(long double v)
{
    char text[64];
    (void)snprintf(text, sizeof text, "%.16Lg", v);
    double shorter = strtod(text, NULL);
    (void)snprintf(text, sizeof text, "%.15Lg", v);
    double shortest = strtod(text, NULL);
    return fabsl((long double)shortest - v) <= fabsl(v) * 1e-16L ? shortest : shorter;
}

static bool fold(struct tcall *c, const char *name, const struct tval *args, int count, char op,
                 struct tval *out)
{
    long double v = (long double)to_float(&args[0]);
    for (int i = 0; i < count; i++) {
        double x = to_float(&args[i]);
        if (isnan(x) || isinf(x))
            return tcall_fail(c, "error calling %s: Cannot create a Decimal from %s", name, isnan(x) ? "NaN" : x > 0 ? "+Inf" : "-Inf");
        if (i == 0)
            continue;
        if (op == '/' && x == 0)
            return tcall_fail(c, "error calling %s: decimal division by 0", name);
        v = op == '+' ? v + (long double)x : op == '-' ? v - (long double)x
            : op == '*' ? v * (long double)x : v / (long double)x;
    }
    return give_float(out, decimal(v));
}

FN(addf) { UNUSED; return fold(c, "addf", args, count, '+', out); }
FN(subf) { UNUSED; return fold(c, "subf", args, count, '-', out); }
FN(mulf) { UNUSED; return fold(c, "mulf", args, count, '*', out); }
FN(divf) { UNUSED; return fold(c, "divf", args, count, '/', out); }
FN(ceil) { UNUSED; return give_float(out, ceil(to_float(&args[0]))); }
FN(floor) { UNUSED; return give_float(out, floor(to_float(&args[0]))); }

FN(round)
{
    UNUSED;
    INT(1)
    double on = count > 2 ? to_float(&args[2]) : 0.5, scale = pow(10, (double)args[1].i);
    double digit = scale * to_float(&args[0]), whole, part = modf(digit, &whole);
    return give_float(out, (part >= on ? ceil(digit) : floor(digit)) / scale);
}

FN(bytes)
{
    UNUSED;
    STRINGS(0, 1)
    uint64_t v;
    struct err err;
    return unit_bytes(S(0), &v, &err) ? give_float(out, (double)v)
                                      : tcall_fail(c, "error calling bytes: %s", err.text);
}

FN(duration)
{
    UNUSED;
    STRINGS(0, 1)
    int64_t ns;
    struct err err;
    return unit_go_duration(S(0), &ns, &err) ? give_float(out, (double)ns / 1e9)
                                             : tcall_fail(c, "error calling duration: %s", err.text);
}

// --- JSON -------------------------------------------------------------------------------------------

struct jread {
    const uint8_t *pos, *end;
    struct arena *a;
};

static void jblanks(struct jread *j)
{
    while (j->pos < j->end && (*j->pos == ' ' || *j->pos == '\n' || *j->pos == '\t' || *j->pos == '\r'))
        j->pos++;
}

static bool jstring(struct jread *j, struct slice *out)
{
    uint8_t *to = arena_alloc(j->a, (size_t)(j->end - j->pos) + 1);
    size_t len = 0;
    for (j->pos++; to != NULL && j->pos < j->end && *j->pos != '"'; j->pos++) {
        if (*j->pos != '\\') {
            to[len++] = *j->pos;
            continue;
        }
        static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
        if (++j->pos == j->end)
            return false;
        const char *name = memchr(names, *j->pos, sizeof names - 1);
        if (name != NULL) {
            to[len++] = (uint8_t)values[name - names];
            continue;
        }
        char hex[5] = {0};
        unsigned rune;
        if (*j->pos != 'u' || j->end - j->pos < 5)
            return false;
        memcpy(hex, j->pos + 1, 4);
        if (sscanf(hex, "%4x", &rune) != 1)
            return false;
        j->pos += 4;
        len += utf8_encode(rune >= 0xD800 && rune < 0xE000 ? UTF8_INVALID : rune, to + len);
    }
    if (to == NULL || j->pos >= j->end)
        return false;
    j->pos++;
    *out = slice_of(to, len);
    return true;
}

static bool jvalue(struct jread *j, int depth, struct tval *out);

static bool jlist(struct jread *j, int depth, struct tval *out)
{
    bool map = *j->pos == '{';
    uint8_t close = map ? '}' : ']';
    size_t room = 0, keys_room = 0;
    *out = (struct tval){.kind = map ? T_MAP : T_LIST};
    j->pos++;
    for (jblanks(j); j->pos < j->end && *j->pos != close;) {
        struct slice key = {0};
        struct tval v;
        if (out->count > 0 && *j->pos++ != ',')
            return false;
        jblanks(j);
        if (map && (j->pos >= j->end || *j->pos != '"' || !jstring(j, &key)))
            return false;
        if (map) {
            jblanks(j);
            if (j->pos >= j->end || *j->pos++ != ':')
                return false;
        }
        if (!jvalue(j, depth + 1, &v) ||
            (out->count == room && !arena_grow(j->a, (void **)&out->items, sizeof v, out->count, &room)) ||
            (map && out->count == keys_room &&
             !arena_grow(j->a, (void **)&out->keys, sizeof key, out->count, &keys_room)))
            return false;
        size_t at = out->count;
        for (; map && at > 0 && slice_cmp(out->keys[at - 1], key) > 0; at--)
            continue;
        if (map && at > 0 && slice_eq(out->keys[at - 1], key)) {
            out->items[at - 1] = v;
        } else {
            memmove(out->items + at + 1, out->items + at, (out->count - at) * sizeof v);
            out->items[at] = v;
            if (map) {
                memmove(out->keys + at + 1, out->keys + at, (out->count - at) * sizeof key);
                out->keys[at] = key;
            }
            out->count++;
        }
        jblanks(j);
    }
    return j->pos++ < j->end;
}

static bool jvalue(struct jread *j, int depth, struct tval *out)
{
    jblanks(j);
    if (j->pos >= j->end || depth > JSON_DEPTH_MAX)
        return false;
    struct slice rest = slice_of(j->pos, (size_t)(j->end - j->pos));
    if (*j->pos == '"') {
        *out = (struct tval){.kind = T_STRING};
        return jstring(j, &out->s);
    }
    if (*j->pos == '{' || *j->pos == '[')
        return jlist(j, depth, out);
    if (slice_starts(rest, SLICE("true")) || slice_starts(rest, SLICE("null"))) {
        *out = (struct tval){.kind = *j->pos == 't' ? T_BOOL : T_NIL, .i = 1};
        j->pos += 4;
        return true;
    }
    if (slice_starts(rest, SLICE("false"))) {
        *out = (struct tval){.kind = T_BOOL};
        j->pos += 5;
        return true;
    }
    char text[64];
    size_t len = 0;
    while (len < rest.len && len < sizeof text - 1 && strchr("+-.0123456789eE", rest.ptr[len]) != NULL)
        len++;
    memcpy(text, rest.ptr, len);
    text[len] = '\0';
    char *end;
    *out = (struct tval){.kind = T_FLOAT, .f = strtod(text, &end)};
    j->pos += len;
    return len > 0 && *end == '\0';
}

FN(fromJson)
{
    UNUSED;
    STRINGS(0, 1)
    struct jread j = {S(0).ptr, S(0).ptr + S(0).len, c->a};
    bool good = jvalue(&j, 0, out);
    jblanks(&j);
    if (!good || j.pos != j.end)
        *out = (struct tval){.kind = T_NIL};
    return true;
}

// --- times ------------------------------------------------------------------------------------------

struct layout_token {
    const char *go, *c; // c: strftime, or a letter of our own behind `!`
};

// Longest first where one begins another.
static const struct layout_token layout_tokens[] = {
    {"January", "%B"}, {"Jan", "%b"},  {"Monday", "%A"}, {"Mon", "%a"},      {"MST", "%Z"},     {"2006", "%Y"},
    {"-07:00", "!z"},  {"-0700", "%z"}, {"Z07:00", "!Z"}, {"002", "%j"},      {"01", "%m"},      {"02", "%d"},
    {"03", "%I"},      {"04", "%M"},   {"05", "%S"},     {"06", "%y"},       {"15", "%H"},      {"PM", "%p"},
    {"pm", "!p"},      {"_2", "%e"},   {"1", "!1"},      {"2", "!2"},        {"3", "!3"},       {"4", "!4"},
    {"5", "!5"},
};

static const struct layout_token *find_token(struct slice layout)
{
    for (size_t i = 0; i < COUNT_OF(layout_tokens); i++)
        if (slice_starts(layout, slice_cstr(layout_tokens[i].go)))
            return &layout_tokens[i];
    return NULL;
}

static void put_token(struct buf *b, const struct layout_token *t, const struct tm *tm)
{
    char text[64] = "";
    if (t->c[0] == '%') {
        (void)strftime(text, sizeof text, strcmp(t->c, "%Z") == 0 ? "UTC" : t->c, tm);
        buf_put_cstr(b, text);
        return;
    }
    switch (t->c[1]) {
    case 'z':
        buf_put_cstr(b, "+00:00");
        break;
    case 'Z':
        buf_put_byte(b, 'Z');
        break;
    case 'p':
        buf_put_cstr(b, tm->tm_hour < 12 ? "am" : "pm");
        break;
    case '1':
        buf_printf(b, "%d", tm->tm_mon + 1);
        break;
    case '2':
        buf_printf(b, "%d", tm->tm_mday);
        break;
    case '3':
        buf_printf(b, "%d", (tm->tm_hour + 11) % 12 + 1);
        break;
    case '4':
        buf_printf(b, "%d", tm->tm_min);
        break;
    default:
        buf_printf(b, "%d", tm->tm_sec);
    }
}

static void put_fraction(struct buf *b, struct slice *layout, int64_t ns)
{
    size_t digits = 1;
    while (digits < layout->len && layout->ptr[digits] == layout->ptr[1])
        digits++;
    char text[16];
    (void)snprintf(text, sizeof text, "%09d", (int)(((ns % NS_PER_S) + NS_PER_S) % NS_PER_S));
    size_t len = digits - 1 < 9 ? digits - 1 : 9;
    while (layout->ptr[1] == '9' && len > 0 && text[len - 1] == '0')
        len--;
    if (len > 0) {
        buf_put_byte(b, '.');
        buf_put(b, text, len);
    }
    *layout = slice_from(*layout, digits);
}

FN(date)
{
    UNUSED;
    STRINGS(0, 1)
    int64_t ns = args[1].kind == T_TIME  ? args[1].i
                 : args[1].kind == T_INT ? args[1].i * NS_PER_S
                                         : clock_wall_ns();
    time_t seconds = (time_t)(ns / NS_PER_S - (ns % NS_PER_S < 0));
    struct tm tm;
    struct buf b;
    buf_init(&b, OUTPUT_BYTES_MAX);
    (void)gmtime_r(&seconds, &tm);
    bool after_seconds = false;
    for (struct slice layout = S(0); layout.len > 0;) {
        const struct layout_token *t = find_token(layout);
        if (t != NULL) {
            put_token(&b, t, &tm);
            after_seconds = strcmp(t->go, "05") == 0 || strcmp(t->go, "5") == 0;
            layout = slice_from(layout, strlen(t->go));
        } else if (after_seconds && layout.len > 1 && layout.ptr[0] == '.' &&
                   (layout.ptr[1] == '0' || layout.ptr[1] == '9')) {
            put_fraction(&b, &layout, ns);
        } else {
            buf_put_byte(&b, layout.ptr[0]);
            layout = slice_from(layout, 1);
            after_seconds = false;
        }
    }
    return give_buf(c, &b, out);
}

// A failed parse gives the zero time, year 1.
#define ZERO_TIME_NS INT64_MIN

static bool parse_date(struct slice layout, struct slice text, struct tval *out)
{
    char format[256] = "", value[256];
    size_t len = 0;
    *out = (struct tval){.kind = T_TIME, .i = ZERO_TIME_NS};
    if (text.len >= sizeof value)
        return true;
    while (layout.len > 0 && len + 8 < sizeof format) {
        const struct layout_token *t = find_token(layout);
        static const char *const own[] = {['1'] = "%m", ['2'] = "%d", ['3'] = "%I", ['4'] = "%M", ['5'] = "%S"};
        const char *c = t == NULL ? NULL : t->c[0] == '%' ? t->c : t->c[1] < 'a' && t->c[1] != 'Z' ? own[(int)t->c[1]] : "%z";
        if (c != NULL)
            len += (size_t)snprintf(format + len, sizeof format - len, "%s", c);
        else
            format[len++] = (char)layout.ptr[0];
        layout = slice_from(layout, t != NULL ? strlen(t->go) : 1);
    }
    format[len] = '\0';
    memcpy(value, text.ptr, text.len);
    value[text.len] = '\0';
    struct tm tm = {.tm_mday = 1, .tm_year = 70};
    char *end = strptime(value, format, &tm);
    if (end != NULL && *end == '\0') {
        long offset = tm.tm_gmtoff;
        out->i = ((int64_t)timegm(&tm) - offset) * NS_PER_S;
    }
    return true;
}

FN(toDate) { UNUSED; STRINGS(0, 2) return parse_date(S(0), S(1), out); }
FN(toDateInZone) { UNUSED; STRINGS(0, 3) return parse_date(S(0), S(2), out); }
FN(now)
{
    UNUSED;
    *out = (struct tval){.kind = T_TIME, .i = clock_wall_ns()};
    return true;
}

static bool epoch(struct tcall *c, const struct tval *args, int64_t unit, struct tval *out)
{
    if (!want_kind(c, args, 0, T_TIME))
        return false;
    int64_t v = args[0].i / unit - (args[0].i % unit < 0);
    return give_string(out, slice_cstr(arena_printf(c->a, "%" PRId64, v)));
}

FN(unixEpoch) { UNUSED; return epoch(c, args, NS_PER_S, out); }
FN(unixEpochMillis) { UNUSED; return epoch(c, args, NS_PER_MS, out); }
FN(unixEpochNanos) { UNUSED; return epoch(c, args, 1, out); }

FN(unixToTime)
{
    UNUSED;
    STRINGS(0, 1)
    static const struct {
        size_t len;
        int64_t unit;
    } units[] = {{5, NS_PER_DAY}, {10, NS_PER_S}, {13, NS_PER_MS}, {16, NS_PER_US}, {19, 1}};
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        if (S(0).len != units[i].len)
            continue;
        int64_t v = 0;
        for (size_t n = 0; n < S(0).len; n++) {
            if (!isdigit(S(0).ptr[n]))
                return tcall_fail(c, "error calling unixToTime: unable to parse time '%.*s'", SLICE_FMT(S(0)));
            v = v * 10 + (S(0).ptr[n] - '0');
        }
        *out = (struct tval){.kind = T_TIME, .i = v * units[i].unit};
        return true;
    }
    return tcall_fail(c, "error calling unixToTime: unable to parse time '%.*s'", SLICE_FMT(S(0)));
}

// --- Go's own ---------------------------------------------------------------------------------------

FN(not) { UNUSED; return give_bool(out, !tval_is_true(&args[0])); }

static bool compare(struct tcall *c, const char *name, const struct tval *a, const struct tval *b,
                    int *order_out)
{
    if (a->kind != b->kind)
        return tcall_fail(c, "error calling %s: incompatible types for comparison", name);
    switch (a->kind) {
    case T_STRING:
        *order_out = slice_cmp(of_string(a), of_string(b));
        return true;
    case T_INT:
    case T_BOOL:
    case T_TIME:
        *order_out = (a->i > b->i) - (a->i < b->i);
        return true;
    case T_FLOAT:
        *order_out = (a->f > b->f) - (a->f < b->f);
        return true;
    default:
        return tcall_fail(c, "error calling %s: invalid type for comparison", name);
    }
}

FN(eq)
{
    UNUSED;
    bool equal = false;
    for (int i = 1; i < count && !equal; i++) {
        int order;
        if (!compare(c, "eq", &args[0], &args[i], &order))
            return false;
        equal = order == 0;
    }
    return give_bool(out, equal);
}

#define COMPARISON(name, test)                                                                     \
    FN(name)                                                                                       \
    {                                                                                              \
        UNUSED;                                                                                    \
        int order;                                                                                 \
        return compare(c, #name, &args[0], &args[1], &order) && give_bool(out, order test 0);       \
    }
COMPARISON(ne, !=)
COMPARISON(lt, <)
COMPARISON(le, <=)
COMPARISON(gt, >)
COMPARISON(ge, >=)

FN(len)
{
    UNUSED;
    if (args[0].kind == T_STRING)
        return give_int(out, (int64_t)args[0].s.len);
    if (args[0].kind == T_LIST || args[0].kind == T_MAP)
        return give_int(out, (int64_t)args[0].count);
    return tcall_fail(c, "error calling len: len of type %s", tval_type(&args[0]));
}

FN(index)
{
    UNUSED;
    struct tval v = args[0];
    for (int i = 1; i < count; i++) {
        if (v.kind == T_MAP) {
            struct tval found = {.kind = T_NIL};
            for (size_t n = 0; n < v.count; n++)
                if (args[i].kind == T_STRING && slice_eq(v.keys[n], S(i)))
                    found = v.items[n];
            v = found;
            continue;
        }
        if (v.kind != T_STRING && v.kind != T_LIST)
            return tcall_fail(c, "error calling index: can't index item of type %s", tval_type(&v));
        size_t len = v.kind == T_STRING ? v.s.len : v.count;
        if (args[i].kind != T_INT)
            return tcall_fail(c, "error calling index: cannot index slice/array with type %s", tval_type(&args[i]));
        if (args[i].i < 0 || (uint64_t)args[i].i >= len)
            return tcall_fail(c, "error calling index: index out of range: %" PRId64, args[i].i);
        v = v.kind == T_LIST ? v.items[args[i].i] : (struct tval){.kind = T_INT, .i = v.s.ptr[args[i].i]};
    }
    *out = v;
    return true;
}

static bool print_all(struct tcall *c, const struct tval *args, int count, bool line, struct tval *out)
{
    struct buf b;
    buf_init(&b, OUTPUT_BYTES_MAX);
    for (int i = 0; i < count; i++) {
        if (i > 0 && (line || (args[i].kind != T_STRING && args[i - 1].kind != T_STRING)))
            buf_put_byte(&b, ' ');
        tval_print(&b, &args[i]);
    }
    if (line)
        buf_put_byte(&b, '\n');
    return give_buf(c, &b, out);
}

FN(print) { UNUSED; return print_all(c, args, count, false, out); }
FN(println) { UNUSED; return print_all(c, args, count, true, out); }

// One verb of printf; flags, width and precision as C has them.
static void print_verb(struct buf *b, const char *flags, char verb, const struct tval *v)
{
    char format[40], text[512];
    struct buf plain;
    buf_init(&plain, OUTPUT_BYTES_MAX);
    if ((verb == 'd' || verb == 'x') && v->kind == T_INT) {
        (void)snprintf(format, sizeof format, "%%%sl%c", flags, verb);
        (void)snprintf(text, sizeof text, format, (long)v->i);
        buf_put_cstr(b, text);
    } else if (strchr("feg", verb) != NULL && v->kind == T_FLOAT) {
        (void)snprintf(format, sizeof format, "%%%s%c", flags, verb);
        (void)snprintf(text, sizeof text, format, v->f);
        buf_put_cstr(b, text);
    } else if (verb == 'v' || (verb == 's' && v->kind == T_STRING) || (verb == 't' && v->kind == T_BOOL) ||
               (verb == 'q' && v->kind == T_STRING)) {
        if (verb == 'q')
            labels_quote(&plain, of_string(v));
        else
            tval_print(&plain, v);
        struct slice s = buf_slice(&plain);
        bool left = strchr(flags, '-') != NULL;
        const char *dot = strchr(flags, '.');
        size_t width = (size_t)strtoul(flags + strspn(flags, "-+ #0"), NULL, 10), have;
        if (dot != NULL && verb == 's')
            s.len = skip_runes(s, (size_t)strtoul(dot + 1, NULL, 10));
        have = count_runes(s);
        for (size_t i = have; !left && i < width && i < OUTPUT_BYTES_MAX; i++)
            buf_put_byte(b, ' ');
        buf_put_slice(b, s);
        for (size_t i = have; left && i < width && i < OUTPUT_BYTES_MAX; i++)
            buf_put_byte(b, ' ');
    } else {
        buf_printf(b, "%%!%c(%s=", verb, tval_type(v));
        tval_print(b, v);
        buf_put_byte(b, ')');
    }
    buf_done(&plain);
}

FN(printf)
{
    UNUSED;
    STRINGS(0, 1)
    struct buf b;
    int next = 1;
    struct slice f = S(0);
    buf_init(&b, OUTPUT_BYTES_MAX);
    for (size_t i = 0; i < f.len; i++) {
        if (f.ptr[i] != '%') {
            buf_put_byte(&b, f.ptr[i]);
            continue;
        }
        char flags[24];
        size_t len = 0;
        for (i++; i < f.len && strchr("-+ #0123456789.", f.ptr[i]) != NULL && len < sizeof flags - 1; i++)
            flags[len++] = (char)f.ptr[i];
        flags[len] = '\0';
        if (i == f.len)
            buf_put_cstr(&b, "%!(NOVERB)");
        else if (f.ptr[i] == '%')
            buf_put_byte(&b, '%');
        else if (next == count)
            buf_printf(&b, "%%!%c(MISSING)", f.ptr[i]);
        else
            print_verb(&b, flags, (char)f.ptr[i], &args[next++]);
    }
    if (next < count) {
        buf_put_cstr(&b, "%!(EXTRA ");
        for (int i = next; i < count; i++) {
            buf_printf(&b, "%s%s=", i > next ? ", " : "", tval_type(&args[i]));
            tval_print(&b, &args[i]);
        }
        buf_put_byte(&b, ')');
    }
    return give_buf(c, &b, out);
}

// --- table ------------------------------------------------------------------------------------------

// `and` and `or` are the language's: they do not evaluate all their arguments.
static bool never(struct tcall *c, const struct tval *args, int count, struct tval *out)
{
    UNUSED;
    *out = args[0];
    return true;
}

static const struct tfunction functions[] = {
    {"__line__", 0, 0, never}, {"__timestamp__", 0, 0, never}, {"and", 1, -1, never}, {"or", 1, -1, never},
    {"ToLower", 1, 1, fn_lower}, {"ToUpper", 1, 1, fn_upper}, {"lower", 1, 1, fn_lower}, {"upper", 1, 1, fn_upper},
    {"title", 1, 1, fn_title}, {"trunc", 2, 2, fn_trunc}, {"substr", 3, 3, fn_substr},
    {"alignLeft", 2, 2, fn_alignLeft}, {"alignRight", 2, 2, fn_alignRight}, {"replace", 3, 3, fn_replace},
    {"Replace", 4, 4, fn_Replace}, {"trim", 1, 1, fn_trim}, {"TrimSpace", 1, 1, fn_trim}, {"trimAll", 2, 2, fn_trimAll},
    {"Trim", 2, 2, fn_Trim}, {"TrimLeft", 2, 2, fn_TrimLeft}, {"TrimRight", 2, 2, fn_TrimRight},
    {"trimPrefix", 2, 2, fn_trimPrefix}, {"trimSuffix", 2, 2, fn_trimSuffix}, {"TrimPrefix", 2, 2, fn_TrimPrefix},
    {"TrimSuffix", 2, 2, fn_TrimSuffix}, {"contains", 2, 2, fn_contains}, {"hasPrefix", 2, 2, fn_hasPrefix},
    {"hasSuffix", 2, 2, fn_hasSuffix}, {"indent", 2, 2, fn_indent}, {"nindent", 2, 2, fn_nindent},
    {"repeat", 2, 2, fn_repeat}, {"b64enc", 1, 1, fn_b64enc}, {"b64dec", 1, 1, fn_b64dec},
    {"urlencode", 1, 1, fn_urlencode}, {"urldecode", 1, 1, fn_urldecode}, {"urlquery", 1, 1, fn_urlencode},
    {"regexReplaceAll", 3, 3, fn_regexReplaceAll}, {"regexReplaceAllLiteral", 3, 3, fn_regexReplaceAllLiteral},
    {"count", 2, 2, fn_count}, {"default", 1, 2, fn_default}, {"fromJson", 1, 1, fn_fromJson}, {"int", 1, 1, fn_int},
    {"float64", 1, 1, fn_float64}, {"add", 0, -1, fn_add}, {"mul", 1, -1, fn_mul}, {"sub", 2, 2, fn_sub},
    {"div", 2, 2, fn_div}, {"mod", 2, 2, fn_mod}, {"max", 1, -1, fn_max}, {"min", 1, -1, fn_min},
    {"addf", 1, -1, fn_addf}, {"subf", 1, -1, fn_subf}, {"mulf", 1, -1, fn_mulf}, {"divf", 1, -1, fn_divf},
    {"maxf", 1, -1, fn_maxf}, {"minf", 1, -1, fn_minf}, {"ceil", 1, 1, fn_ceil}, {"floor", 1, 1, fn_floor},
    {"round", 2, 3, fn_round}, {"bytes", 1, 1, fn_bytes}, {"duration", 1, 1, fn_duration},
    {"duration_seconds", 1, 1, fn_duration}, {"now", 0, 0, fn_now}, {"date", 2, 2, fn_date},
    {"toDate", 2, 2, fn_toDate}, {"toDateInZone", 3, 3, fn_toDateInZone}, {"unixEpoch", 1, 1, fn_unixEpoch},
    {"unixEpochMillis", 1, 1, fn_unixEpochMillis}, {"unixEpochNanos", 1, 1, fn_unixEpochNanos},
    {"unixToTime", 1, 1, fn_unixToTime}, {"not", 1, 1, fn_not}, {"eq", 2, -1, fn_eq}, {"ne", 2, 2, fn_ne},
    {"lt", 2, 2, fn_lt}, {"le", 2, 2, fn_le}, {"gt", 2, 2, fn_gt}, {"ge", 2, 2, fn_ge}, {"len", 1, 1, fn_len},
    {"index", 1, -1, fn_index}, {"print", 0, -1, fn_print}, {"println", 0, -1, fn_println}, {"printf", 1, -1, fn_printf},
};

const struct tfunction *tfunction_find(struct slice name)
{
    for (size_t i = 0; i < COUNT_OF(functions); i++)
        if (slice_eq(slice_cstr(functions[i].name), name))
            return &functions[i];
    return NULL;
}
