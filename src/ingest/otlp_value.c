/* otlp_value.c -- see otlp_value.h. */
#include "ingest/otlp_value.h"

#include "base/base64.h"
#include "base/hex.h"
#include "base/jsonout.h"
#include "base/shortest.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static struct otlp_pair *add(struct otlp_list *list, struct arena *a)
{
    if (list->count == list->room &&
        !arena_grow(a, (void **)&list->items, sizeof *list->items, list->count, &list->room))
        return NULL;
    struct otlp_pair *pair = &list->items[list->count++];
    *pair = (struct otlp_pair){.key = SLICE("")};
    return pair;
}

// --- protobuf ---------------------------------------------------------------------------------------

enum { ANY_STRING = 1, ANY_BOOL = 2, ANY_INT = 3, ANY_DOUBLE = 4, ANY_ARRAY = 5, ANY_MAP = 6, ANY_BYTES = 7 };
enum { PAIR_KEY = 1, PAIR_VALUE = 2, LIST_VALUES = 1 };

static bool pb_value(struct pb *p, struct slice bytes, struct arena *a, unsigned depth, struct otlp_value *out);

static bool pb_pair(struct pb *p, struct slice bytes, struct arena *a, unsigned depth, struct otlp_list *list)
{
    struct pb m = pb_of(bytes);
    struct pb_field f;
    struct otlp_pair *pair = add(list, a);
    if (pair == NULL) {
        p->bad = "too large";
        return false;
    }
    while (pb_next(&m, &f)) {
        if (f.number == PAIR_KEY && pb_is(&m, &f, PB_BYTES))
            pair->key = f.bytes;
        else if (f.number == PAIR_VALUE && pb_is(&m, &f, PB_BYTES) && !pb_value(&m, f.bytes, a, depth, &pair->value))
            break;
    }
    return pb_pass(p, &m);
}

static bool pb_list(struct pb *p, struct slice bytes, struct arena *a, unsigned depth, bool map, struct otlp_value *out)
{
    struct pb m = pb_of(bytes);
    struct pb_field f;
    *out = (struct otlp_value){.kind = map ? OTLP_MAP : OTLP_ARRAY, .list = {0}};
    while (pb_next(&m, &f)) {
        if (f.number != LIST_VALUES || !pb_is(&m, &f, PB_BYTES))
            continue;
        if (map) {
            if (!pb_pair(&m, f.bytes, a, depth + 1, &out->list))
                break;
            continue;
        }
        struct otlp_pair *item = add(&out->list, a);
        if (item == NULL)
            m.bad = "too large";
        else if (!pb_value(&m, f.bytes, a, depth + 1, &item->value))
            break;
    }
    return pb_pass(p, &m);
}

static void pb_scalar(struct pb *m, const struct pb_field *f, struct otlp_value *out)
{
    if (f->number == ANY_STRING && pb_is(m, f, PB_BYTES))
        *out = (struct otlp_value){.kind = OTLP_STRING, .text = f->bytes};
    else if (f->number == ANY_BOOL && pb_is(m, f, PB_VARINT))
        *out = (struct otlp_value){.kind = OTLP_BOOL, .flag = f->value != 0};
    else if (f->number == ANY_INT && pb_is(m, f, PB_VARINT))
        *out = (struct otlp_value){.kind = OTLP_INT, .integer = (int64_t)f->value};
    else if (f->number == ANY_BYTES && pb_is(m, f, PB_BYTES))
        *out = (struct otlp_value){.kind = OTLP_BYTES, .text = f->bytes};
    else if (f->number == ANY_DOUBLE && pb_is(m, f, PB_FIXED64)) {
        *out = (struct otlp_value){.kind = OTLP_DOUBLE};
        memcpy(&out->number, &f->value, sizeof out->number);
    }
}

static bool pb_value(struct pb *p, struct slice bytes, struct arena *a, unsigned depth, struct otlp_value *out)
{
    struct pb m = pb_of(bytes);
    struct pb_field f;
    *out = (struct otlp_value){0};
    if (depth > OTLP_DEPTH_MAX) {
        p->bad = "values nested too deeply";
        return false;
    }
    while (pb_next(&m, &f)) {
        if (f.number != ANY_ARRAY && f.number != ANY_MAP)
            pb_scalar(&m, &f, out);
        else if (!pb_is(&m, &f, PB_BYTES) || !pb_list(&m, f.bytes, a, depth, f.number == ANY_MAP, out))
            break;
    }
    return pb_pass(p, &m);
}

bool otlp_pb_value(struct pb *p, struct slice bytes, struct arena *a, struct otlp_value *out)
{
    return pb_value(p, bytes, a, 0, out);
}

bool otlp_pb_pair(struct pb *p, struct slice bytes, struct arena *a, struct otlp_list *list)
{
    return pb_pair(p, bytes, a, 0, list);
}

// --- JSON -------------------------------------------------------------------------------------------

bool otlp_json_is(struct slice key, const char *camel)
{
    size_t i = 0;
    for (; *camel != '\0'; camel++) {
        bool upper = *camel >= 'A' && *camel <= 'Z';
        if (upper && i < key.len && key.ptr[i] == '_' && i + 1 < key.len && key.ptr[i + 1] == (*camel | 32))
            i += 2;
        else if (i < key.len && key.ptr[i] == (uint8_t)*camel)
            i++;
        else
            return false;
    }
    return i == key.len;
}

// A number's text, as such or in a string; copied so that it ends.
static const char *number_text(struct json *j)
{
    struct slice text = json_peek(j) == '"' ? json_string(j) : json_raw(j);
    const char *copy = j->what == NULL ? arena_printf(j->a, "%.*s", SLICE_FMT(text)) : "0";
    if (*copy == '\0')
        json_fail(j, "expected a number");
    return copy;
}

// Digits, with a minus where that is allowed: strtoull() and its like take more.
static bool is_integer(const char *text, bool negative)
{
    text += negative && *text == '-';
    return *text != '\0' && text[strspn(text, "0123456789")] == '\0';
}

uint64_t otlp_json_uint(struct json *j)
{
    const char *text = number_text(j);
    errno = 0;
    uint64_t value = strtoull(text, NULL, 10);
    if (!is_integer(text, false) || errno == ERANGE)
        json_fail(j, "expected a whole number of 64 bits");
    return value;
}

uint32_t otlp_json_uint32(struct json *j)
{
    uint64_t value = otlp_json_uint(j);
    if (value > UINT32_MAX)
        json_fail(j, "expected a whole number of 32 bits");
    return (uint32_t)value;
}

int64_t otlp_json_int(struct json *j)
{
    const char *text = number_text(j);
    errno = 0;
    int64_t value = strtoll(text, NULL, 10);
    if (!is_integer(text, true) || errno == ERANGE)
        json_fail(j, "expected a whole number of 64 bits");
    return value;
}

static double json_double(struct json *j)
{
    const char *text = number_text(j);
    char *end;
    double value = strtod(text, &end); // which takes hexadecimal too, and more names
    bool named = strcmp(text, "NaN") == 0 || strcmp(text, "Infinity") == 0 || strcmp(text, "-Infinity") == 0;
    if (*end != '\0' || (!named && text[strspn(text, "0123456789+-.eE")] != '\0'))
        json_fail(j, "expected a number");
    return value;
}

struct slice otlp_json_id(struct json *j, size_t bytes)
{
    struct slice text = json_string(j);
    if (text.len == 0)
        return SLICE("");
    uint8_t *to = arena_alloc(j->a, bytes);
    if (to == NULL || text.len != 2 * bytes) {
        json_fail(j, "an identifier of another length");
        return SLICE("");
    }
    if (!hex_decode(text, to, bytes)) {
        json_fail(j, "an identifier that is not hexadecimal");
        return SLICE("");
    }
    return slice_of(to, bytes);
}

static bool json_value(struct json *j, unsigned depth, struct otlp_value *out);

static bool json_pairs(struct json *j, unsigned depth, struct otlp_list *list)
{
    bool first = true;
    if (json_null(j))
        return true;
    json_enter(j, '[');
    while (json_more(j, ']', &first)) {
        struct otlp_pair *pair = add(list, j->a);
        bool first_key = true;
        if (pair == NULL) {
            json_fail(j, "too large");
            return false;
        }
        if (json_null(j))
            continue;
        json_enter(j, '{');
        while (json_more(j, '}', &first_key)) {
            struct slice key = json_key(j);
            if (slice_eq(key, SLICE("key")) && json_null(j))
                continue;
            if (slice_eq(key, SLICE("key")))
                pair->key = json_string(j);
            else if (!slice_eq(key, SLICE("value")))
                (void)json_raw(j);
            else if (!json_value(j, depth, &pair->value))
                return false;
        }
    }
    return j->what == NULL;
}

static bool json_elements(struct json *j, unsigned depth, struct otlp_list *list)
{
    bool first = true;
    if (json_null(j))
        return true;
    json_enter(j, '[');
    while (json_more(j, ']', &first)) {
        struct otlp_pair *item = add(list, j->a);
        if (item == NULL)
            json_fail(j, "too large");
        else if (!json_value(j, depth, &item->value))
            return false;
    }
    return j->what == NULL;
}

// `{"values": [...]}`
static bool json_list(struct json *j, unsigned depth, bool map, struct otlp_value *out)
{
    bool first = true;
    *out = (struct otlp_value){.kind = map ? OTLP_MAP : OTLP_ARRAY, .list = {0}};
    if (json_null(j))
        return true;
    json_enter(j, '{');
    while (json_more(j, '}', &first)) {
        if (!slice_eq(json_key(j), SLICE("values")))
            (void)json_raw(j);
        else if (!(map ? json_pairs : json_elements)(j, depth + 1, &out->list))
            return false;
    }
    return j->what == NULL;
}

static struct slice json_bytes(struct json *j)
{
    struct slice text = json_string(j);
    AUTO(buf_done) struct buf b;
    size_t bad_at;
    buf_init(&b, 0);
    if (!base64_decode(&b, text, &bad_at))
        json_fail(j, "bytes that are not base64");
    return arena_copy(j->a, buf_slice(&b));
}

static bool json_bool(struct json *j)
{
    struct slice word = json_raw(j);
    bool flag = slice_eq(word, SLICE("true"));
    if (!flag && !slice_eq(word, SLICE("false")))
        json_fail(j, "expected true or false");
    return flag;
}

static bool json_member(struct json *j, unsigned depth, struct otlp_value *out)
{
    struct slice key = json_key(j);
    if (otlp_json_is(key, "stringValue")) // null is an empty one
        *out = (struct otlp_value){.kind = OTLP_STRING, .text = json_null(j) ? SLICE("") : json_string(j)};
    else if (json_null(j))
        return true;
    else if (otlp_json_is(key, "boolValue"))
        *out = (struct otlp_value){.kind = OTLP_BOOL, .flag = json_bool(j)};
    else if (otlp_json_is(key, "intValue"))
        *out = (struct otlp_value){.kind = OTLP_INT, .integer = otlp_json_int(j)};
    else if (otlp_json_is(key, "doubleValue"))
        *out = (struct otlp_value){.kind = OTLP_DOUBLE, .number = json_double(j)};
    else if (otlp_json_is(key, "bytesValue"))
        *out = (struct otlp_value){.kind = OTLP_BYTES, .text = json_bytes(j)};
    else if (otlp_json_is(key, "arrayValue"))
        return json_list(j, depth, false, out);
    else if (otlp_json_is(key, "kvlistValue"))
        return json_list(j, depth, true, out);
    else
        (void)json_raw(j);
    return j->what == NULL;
}

static bool json_value(struct json *j, unsigned depth, struct otlp_value *out)
{
    bool first = true;
    *out = (struct otlp_value){0};
    if (depth > OTLP_DEPTH_MAX) {
        json_fail(j, "values nested too deeply");
        return false;
    }
    if (json_null(j))
        return true;
    json_enter(j, '{');
    while (json_more(j, '}', &first))
        if (!json_member(j, depth, out))
            return false;
    return j->what == NULL;
}

bool otlp_json_value(struct json *j, struct otlp_value *out)
{
    return json_value(j, 0, out);
}

bool otlp_json_pairs(struct json *j, struct otlp_list *list)
{
    list->count = 0;
    return json_pairs(j, 0, list);
}

// --- text -------------------------------------------------------------------------------------------

// As JavaScript and Go's JSON write numbers: an exponent below 1e-6 and from 1e21 on.
static void put_double(struct buf *b, double value)
{
    double size = fabs(value);
    if (!isfinite(value) || size == 0 || (size >= 1e-6 && size < 1e21)) {
        jsonout_number(b, value);
        return;
    }
    char text[SHORTEST_BYTES];
    (void)shortest_decimal(value, text);
    char *exponent = strchr(text, 'e') + 2;
    char *digits = exponent;
    while (*digits == '0' && digits[1] != '\0')
        digits++;
    buf_put(b, (const uint8_t *)text, (size_t)(exponent - text));
    buf_put_cstr(b, digits);
}

static int by_key(const void *a, const void *b)
{
    const struct otlp_pair *x = *(const struct otlp_pair *const *)a, *y = *(const struct otlp_pair *const *)b;
    int order = slice_cmp(x->key, y->key);
    return order != 0 ? order : (x > y) - (x < y);
}

static void put_json(struct buf *b, const struct otlp_value *v);

// Sorted; of equal keys the last.
static void put_map(struct buf *b, const struct otlp_list *list)
{
    const struct otlp_pair **sorted = malloc((list->count + 1) * sizeof *sorted);
    bool first = true;
    if (sorted == NULL) {
        b->bad = true;
        return;
    }
    for (size_t i = 0; i < list->count; i++)
        sorted[i] = &list->items[i];
    qsort(sorted, list->count, sizeof *sorted, by_key);
    buf_put_byte(b, '{');
    for (size_t i = 0; i < list->count; i++) {
        if (i + 1 < list->count && slice_eq(sorted[i]->key, sorted[i + 1]->key))
            continue;
        if (!first)
            buf_put_byte(b, ',');
        first = false;
        jsonout_string(b, sorted[i]->key);
        buf_put_byte(b, ':');
        put_json(b, &sorted[i]->value);
    }
    buf_put_byte(b, '}');
    free(sorted);
}

static void put_json(struct buf *b, const struct otlp_value *v)
{
    switch (v->kind) {
    case OTLP_NONE:
        buf_put_cstr(b, "null");
        return;
    case OTLP_STRING:
        jsonout_string(b, v->text);
        return;
    case OTLP_BYTES:
        buf_put_byte(b, '"');
        base64_encode(b, v->text);
        buf_put_byte(b, '"');
        return;
    case OTLP_MAP:
        put_map(b, &v->list);
        return;
    case OTLP_ARRAY:
        buf_put_byte(b, '[');
        for (size_t i = 0; i < v->list.count; i++) {
            if (i > 0)
                buf_put_byte(b, ',');
            put_json(b, &v->list.items[i].value);
        }
        buf_put_byte(b, ']');
        return;
    default: // no number of JSON is infinite
        if (v->kind == OTLP_DOUBLE && !isfinite(v->number))
            buf_put_cstr(b, "null");
        else
            otlp_text(b, v);
        return;
    }
}

void otlp_text(struct buf *b, const struct otlp_value *v)
{
    switch (v->kind) {
    case OTLP_NONE:
        return;
    case OTLP_STRING:
        buf_put_slice(b, v->text);
        return;
    case OTLP_BOOL:
        buf_put_cstr(b, v->flag ? "true" : "false");
        return;
    case OTLP_INT:
        buf_printf(b, "%" PRId64, v->integer);
        return;
    case OTLP_DOUBLE:
        put_double(b, v->number);
        return;
    case OTLP_BYTES:
        base64_encode(b, v->text);
        return;
    case OTLP_ARRAY:
    case OTLP_MAP:
        put_json(b, v);
        return;
    }
}

bool otlp_flatten(struct slice name, const struct otlp_value *v, struct arena *a,
                  bool (*visit)(void *ctx, struct slice name, struct slice text), void *ctx)
{
    if (v->kind == OTLP_NONE)
        return true;
    if (v->kind == OTLP_STRING)
        return visit(ctx, name, v->text);
    if (v->kind == OTLP_MAP) {
        for (size_t i = 0; i < v->list.count; i++) {
            const struct otlp_pair *pair = &v->list.items[i];
            struct slice joined = slice_cstr(arena_printf(a, "%.*s_%.*s", SLICE_FMT(name), SLICE_FMT(pair->key)));
            if (a->overflowed || !otlp_flatten(joined, &pair->value, a, visit, ctx))
                return false;
        }
        return true;
    }
    AUTO(buf_done) struct buf b;
    buf_init(&b, 0);
    otlp_text(&b, v);
    struct slice text = arena_copy(a, buf_slice(&b));
    return !b.bad && text.ptr != NULL && visit(ctx, name, text);
}
