/* template_value.c -- see template_value.h; and Go's own functions. */
#include "query/pipeline/template_fn.h"

#include "base/clock.h"
#include "base/labels.h"
#include "base/shortest.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

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
    char text[SHORTEST_BYTES];
    if (isnan(v) || isinf(v)) {
        buf_put_cstr(b, isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf");
        return;
    }
    int digits = shortest_decimal(v, text), exponent = atoi(strchr(text, 'e') + 1);
    int decimals = digits - 1 - exponent;
    if (exponent >= -4 && exponent < 6)
        buf_printf(b, "%.*f", decimals > 0 ? decimals : 0, v);
    else
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

bool want_kind(struct tcall *c, const struct tval *args, int n, enum tkind kind)
{
    static const char *const names[] = {"nil", "bool", "int", "float64", "string", "list", "map", "time"};
    if (args[n].kind == kind || (kind == T_FLOAT && args[n].kind == T_INT))
        return true;
    c->bad_arg = n;
    return tcall_fail(c, "wrong type for value; expected %s; got %s", names[kind], tval_type(&args[n]));
}

bool give_string(struct tval *out, struct slice s)
{
    *out = (struct tval){.kind = T_STRING, .s = s};
    return true;
}

bool give_int(struct tval *out, int64_t i)
{
    *out = (struct tval){.kind = T_INT, .i = i};
    return true;
}

bool give_float(struct tval *out, double f)
{
    *out = (struct tval){.kind = T_FLOAT, .f = f};
    return true;
}

bool give_bool(struct tval *out, bool b)
{
    *out = (struct tval){.kind = T_BOOL, .i = b};
    return true;
}

bool give_buf(struct tcall *c, struct buf *b, struct tval *out)
{
    bool good = !b->bad;
    if (good)
        (void)give_string(out, arena_copy(c->a, buf_slice(b)));
    buf_done(b);
    return good || tcall_fail(c, "result is too long");
}

struct slice of_string(const struct tval *v)
{
    return v->s.ptr != NULL ? v->s : SLICE("");
}

size_t count_runes(struct slice s)
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
size_t skip_runes(struct slice s, size_t n)
{
    size_t i = 0;
    while (n-- > 0 && i < s.len) {
        uint32_t rune;
        bool valid;
        i += utf8_decode(slice_from(s, i), &rune, &valid);
    }
    return i;
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

FN(slice)
{
    const struct tval *v = &args[0];
    if (v->kind != T_STRING && v->kind != T_LIST)
        return tcall_fail(c, "error calling slice: can't slice item of type %s", tval_type(v));
    int64_t len = (int64_t)(v->kind == T_STRING ? v->s.len : v->count), bounds[2] = {0, len};
    if (v->kind == T_STRING && count == 4)
        return tcall_fail(c, "error calling slice: cannot 3-index slice a string");
    for (int i = 1; i < count; i++) {
        if (args[i].kind != T_INT)
            return tcall_fail(c, "error calling slice: cannot index slice/array with type %s", tval_type(&args[i]));
        if (args[i].i < 0 || args[i].i > len)
            return tcall_fail(c, "error calling slice: index out of range: %" PRId64, args[i].i);
        if (i < 3)
            bounds[i - 1] = args[i].i;
    }
    if (bounds[0] > bounds[1])
        return tcall_fail(c, "error calling slice: invalid slice index: %" PRId64 " > %" PRId64, bounds[0], bounds[1]);
    *out = *v;
    if (v->kind == T_STRING) {
        out->s = slice_of(v->s.ptr + bounds[0], (size_t)(bounds[1] - bounds[0]));
    } else {
        out->items = v->items + bounds[0];
        out->count = (size_t)(bounds[1] - bounds[0]);
    }
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

// `and` and `or` are the language's: they do not evaluate all their arguments. `call` fails by what was written.
static bool never(struct tcall *c, const struct tval *args, int count, struct tval *out)
{
    UNUSED;
    *out = args[0];
    return true;
}

static const struct tfunction own_functions[] = {
    {"__line__", 0, 0, never}, {"__timestamp__", 0, 0, never}, {"and", 1, -1, never}, {"or", 1, -1, never}, {"call", 1, -1, never},
    {"not", 1, 1, fn_not}, {"eq", 2, -1, fn_eq}, {"ne", 2, 2, fn_ne}, {"lt", 2, 2, fn_lt},
    {"le", 2, 2, fn_le}, {"gt", 2, 2, fn_gt}, {"ge", 2, 2, fn_ge}, {"len", 1, 1, fn_len},
    {"index", 1, -1, fn_index}, {"slice", 1, 4, fn_slice}, {"print", 0, -1, fn_print}, {"println", 0, -1, fn_println},
    {"printf", 1, -1, fn_printf},
    {NULL, 0, 0, NULL},
};

const struct tfunction *tfunction_find(struct slice name)
{
    const struct tfunction *const tables[] = {own_functions, template_text_functions,
                                              template_number_functions};
    for (size_t i = 0; i < COUNT_OF(tables); i++)
        for (const struct tfunction *f = tables[i]; f->name != NULL; f++)
            if (slice_eq(slice_cstr(f->name), name))
                return f;
    return NULL;
}
