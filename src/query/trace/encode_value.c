/* encode_value.c -- see encode_value.h. */
#include "query/trace/encode_value.h"

#include "base/base64.h"
#include "base/jsonout.h"

#include <math.h>

static void put_pair(struct msgout *m, uint32_t field, const struct span_attribute *pair)
{
    struct msgout_mark mark = msgout_open(m, field, NULL);
    msgout_string(m, 1, "key", pair->key);
    struct msgout_mark value = msgout_open(m, 2, "value");
    encode_value(m, &pair->value);
    msgout_close(m, value);
    msgout_close(m, mark);
}

// Nesting ends at SPAN_VALUE_DEPTH_MAX, which ingest checks.
static void put_array(struct msgout *m, struct slice message)
{
    struct msgout_mark mark = msgout_open(m, 5, "arrayValue");
    struct msgout_mark list = msgout_list(m, "values");
    struct span_value element;
    for (struct pb walk = pb_of(message); span_array_next(&walk, &element);) {
        struct msgout_mark one = msgout_open(m, 1, NULL);
        encode_value(m, &element);
        msgout_close(m, one);
    }
    msgout_list_end(m, list);
    msgout_close(m, mark);
}

static void put_map(struct msgout *m, struct slice message)
{
    struct msgout_mark mark = msgout_open(m, 6, "kvlistValue");
    struct msgout_mark list = msgout_list(m, "values");
    struct span_attribute pair;
    for (struct pb walk = pb_of(message); span_map_next(&walk, &pair);)
        put_pair(m, 1, &pair);
    msgout_list_end(m, list);
    msgout_close(m, mark);
}

void encode_value(struct msgout *m, const struct span_value *value)
{
    switch (value->kind) {
    case VALUE_NONE:
        break;
    case VALUE_STRING:
        msgout_one_string(m, 1, "stringValue", value->bytes);
        break;
    case VALUE_BOOL:
        msgout_one_bool(m, 2, "boolValue", value->flag);
        break;
    case VALUE_INT:
        msgout_one_i64(m, 3, "intValue", value->integer);
        break;
    case VALUE_DOUBLE:
        msgout_one_double(m, 4, "doubleValue", value->number);
        break;
    case VALUE_ARRAY:
        put_array(m, value->bytes);
        break;
    case VALUE_MAP:
        put_map(m, value->bytes);
        break;
    case VALUE_BYTES:
        msgout_one_bytes(m, 7, "bytesValue", value->bytes);
        break;
    }
}

void encode_attributes(struct msgout *m, uint32_t field, const char *name, const struct span_attributes *attributes)
{
    if (attributes->count == 0)
        return;
    struct msgout_mark list = msgout_list(m, name);
    for (uint32_t i = 0; i < attributes->count; i++)
        put_pair(m, field, &attributes->items[i]);
    msgout_list_end(m, list);
}

// --- as text ------------------------------------------------------------------------------------------

static void put_double_text(struct buf *b, double number)
{
    if (isnan(number) || isinf(number))
        buf_put_cstr(b, isnan(number) ? "\"NaN\"" : number > 0 ? "\"Infinity\"" : "\"-Infinity\"");
    else
        jsonout_number(b, number);
}

static void put_array_text(struct buf *b, struct slice message)
{
    struct span_value element;
    bool more = false;
    buf_put_byte(b, '[');
    for (struct pb walk = pb_of(message); span_array_next(&walk, &element); more = true) {
        if (more)
            buf_put_byte(b, ',');
        encode_value_text(b, &element);
    }
    buf_put_byte(b, ']');
}

static void put_map_text(struct buf *b, struct slice message)
{
    struct span_attribute pair;
    bool more = false;
    buf_put_byte(b, '{');
    for (struct pb walk = pb_of(message); span_map_next(&walk, &pair); more = true) {
        if (more)
            buf_put_byte(b, ',');
        jsonout_string(b, pair.key);
        buf_put_byte(b, ':');
        encode_value_text(b, &pair.value);
    }
    buf_put_byte(b, '}');
}

void encode_value_text(struct buf *b, const struct span_value *value)
{
    switch (value->kind) {
    case VALUE_NONE:
        buf_put_cstr(b, "null");
        break;
    case VALUE_STRING:
        jsonout_string(b, value->bytes);
        break;
    case VALUE_BOOL:
        buf_put_cstr(b, value->flag ? "true" : "false");
        break;
    case VALUE_INT:
        buf_put_signed(b, value->integer);
        break;
    case VALUE_DOUBLE:
        put_double_text(b, value->number);
        break;
    case VALUE_ARRAY:
        put_array_text(b, value->bytes);
        break;
    case VALUE_MAP:
        put_map_text(b, value->bytes);
        break;
    case VALUE_BYTES:
        buf_put_byte(b, '"');
        base64_encode(b, value->bytes);
        buf_put_byte(b, '"');
        break;
    }
}
