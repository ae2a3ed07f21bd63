/* template_number.c -- template functions over numbers, JSON and times; logql.md 12.1, 12.2. */
#include "query/pipeline/template_fn.h"

#include "base/clock.h"
#include "base/utf8.h"
#include "query/logql/unit.h"
#include "query/pipeline/decimal.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { JSON_DEPTH_MAX = 64 };

// --- conversions ------------------------------------------------------------------------------------

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

static bool fold(struct tcall *c, const char *name, const struct tval *args, int count, char op,
                 struct tval *out)
{
    struct decimal d;
    assert(count <= DECIMAL_ARGUMENTS_MAX);
    for (int i = 0; i < count; i++) {
        double x = to_float(&args[i]);
        if (isnan(x) || isinf(x))
            return tcall_fail(c, "error calling %s: Cannot create a Decimal from %s", name, isnan(x) ? "NaN" : x > 0 ? "+Inf" : "-Inf");
        if (i > 0 && op == '/' && x == 0)
            return tcall_fail(c, "error calling %s: decimal division by 0", name);
        if (i == 0)
            decimal_init(&d, x);
        else if (op == '*')
            decimal_multiply(&d, x);
        else if (op == '/')
            decimal_divide(&d, x);
        else
            decimal_add(&d, op == '+' ? x : -x);
    }
    return give_float(out, decimal_value(&d));
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

// --- table ------------------------------------------------------------------------------------------

const struct tfunction template_number_functions[] = {
    {"default", 1, 2, fn_default}, {"fromJson", 1, 1, fn_fromJson}, {"int", 1, 1, fn_int},
    {"float64", 1, 1, fn_float64}, {"add", 0, -1, fn_add}, {"mul", 1, -1, fn_mul},
    {"sub", 2, 2, fn_sub}, {"div", 2, 2, fn_div}, {"mod", 2, 2, fn_mod}, {"max", 1, -1, fn_max},
    {"min", 1, -1, fn_min}, {"addf", 1, -1, fn_addf}, {"subf", 1, -1, fn_subf},
    {"mulf", 1, -1, fn_mulf}, {"divf", 1, -1, fn_divf}, {"maxf", 1, -1, fn_maxf},
    {"minf", 1, -1, fn_minf}, {"ceil", 1, 1, fn_ceil}, {"floor", 1, 1, fn_floor},
    {"round", 2, 3, fn_round}, {"bytes", 1, 1, fn_bytes}, {"duration", 1, 1, fn_duration},
    {"duration_seconds", 1, 1, fn_duration}, {"now", 0, 0, fn_now}, {"date", 2, 2, fn_date},
    {"toDate", 2, 2, fn_toDate}, {"toDateInZone", 3, 3, fn_toDateInZone},
    {"unixEpoch", 1, 1, fn_unixEpoch}, {"unixEpochMillis", 1, 1, fn_unixEpochMillis},
    {"unixEpochNanos", 1, 1, fn_unixEpochNanos}, {"unixToTime", 1, 1, fn_unixToTime},
    {NULL, 0, 0, NULL},
};
