/* thrift.c -- see thrift.h. */
#include "ingest/thrift.h"

static void fail(struct thrift *t, const char *what)
{
    if (t->bad == NULL)
        t->bad = what;
}

// So many bytes as a number; 0 when they are not there.
static uint64_t take(struct thrift *t, size_t bytes)
{
    uint64_t value = 0;
    if (t->bad != NULL || rd_left(&t->rd) < bytes) {
        fail(t, "unexpected EOF");
        return 0;
    }
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | *t->rd.pos++;
    return value;
}

static struct slice take_bytes(struct thrift *t)
{
    int32_t len = (int32_t)take(t, 4);
    if (len < 0)
        fail(t, "a negative length");
    else if ((size_t)len > rd_left(&t->rd))
        fail(t, "unexpected EOF");
    return t->bad == NULL ? rd_bytes(&t->rd, (size_t)len) : SLICE("");
}

// Elements take a byte at least, so a longer list than what is left is a lie.
static uint32_t take_count(struct thrift *t)
{
    int32_t count = (int32_t)take(t, 4);
    if (count < 0)
        fail(t, "a negative length");
    else if ((size_t)count > rd_left(&t->rd))
        fail(t, "unexpected EOF");
    return t->bad == NULL ? (uint32_t)count : 0;
}

static bool is(struct thrift *t, uint8_t type, enum thrift_type want)
{
    if (type != want)
        fail(t, "a known field of another type");
    return t->bad == NULL;
}

bool thrift_field(struct thrift *t, uint8_t *type_out, int16_t *id_out)
{
    *type_out = (uint8_t)take(t, 1);
    if (t->bad != NULL || *type_out == THRIFT_STOP)
        return false;
    *id_out = (int16_t)take(t, 2);
    return t->bad == NULL;
}

static void skip(struct thrift *t, uint8_t type, unsigned depth);

static void skip_elements(struct thrift *t, unsigned depth)
{
    uint8_t type = (uint8_t)take(t, 1);
    for (uint32_t left = take_count(t); left > 0 && t->bad == NULL; left--)
        skip(t, type, depth);
}

static void skip_map(struct thrift *t, unsigned depth)
{
    uint8_t key = (uint8_t)take(t, 1), value = (uint8_t)take(t, 1);
    for (uint32_t left = take_count(t); left > 0 && t->bad == NULL; left--) {
        skip(t, key, depth);
        skip(t, value, depth);
    }
}

static void skip(struct thrift *t, uint8_t type, unsigned depth)
{
    static const uint8_t fixed[] = {[THRIFT_BOOL] = 1, [THRIFT_I8] = 1,  [THRIFT_DOUBLE] = 8,
                                    [THRIFT_I16] = 2,  [THRIFT_I32] = 4, [THRIFT_I64] = 8};
    int16_t id;
    if (depth > THRIFT_DEPTH_MAX) {
        fail(t, "nested too deeply");
    } else if (type < COUNT_OF(fixed) && fixed[type] != 0) {
        (void)take(t, fixed[type]);
    } else if (type == THRIFT_STRING) {
        (void)take_bytes(t);
    } else if (type == THRIFT_STRUCT) {
        while (thrift_field(t, &type, &id))
            skip(t, type, depth + 1);
    } else if (type == THRIFT_MAP) {
        skip_map(t, depth + 1);
    } else if (type == THRIFT_SET || type == THRIFT_LIST) {
        skip_elements(t, depth + 1);
    } else {
        fail(t, "an unknown type");
    }
}

void thrift_skip(struct thrift *t, uint8_t type)
{
    skip(t, type, 0);
}

bool thrift_bool(struct thrift *t, uint8_t type)
{
    return is(t, type, THRIFT_BOOL) && take(t, 1) != 0;
}

int32_t thrift_i32(struct thrift *t, uint8_t type)
{
    return is(t, type, THRIFT_I32) ? (int32_t)take(t, 4) : 0;
}

int64_t thrift_i64(struct thrift *t, uint8_t type)
{
    return is(t, type, THRIFT_I64) ? (int64_t)take(t, 8) : 0;
}

double thrift_double(struct thrift *t, uint8_t type)
{
    double value = 0;
    if (is(t, type, THRIFT_DOUBLE)) {
        uint64_t bits = take(t, 8);
        memcpy(&value, &bits, sizeof value);
    }
    return value;
}

struct slice thrift_string(struct thrift *t, uint8_t type)
{
    return is(t, type, THRIFT_STRING) ? take_bytes(t) : SLICE("");
}

uint32_t thrift_structs(struct thrift *t, uint8_t type)
{
    if (!is(t, type, THRIFT_LIST))
        return 0;
    uint8_t element = (uint8_t)take(t, 1);
    uint32_t count = take_count(t);
    return count == 0 || is(t, element, THRIFT_STRUCT) ? count : 0;
}

void thrift_struct(struct thrift *t, uint8_t type)
{
    (void)is(t, type, THRIFT_STRUCT);
}
