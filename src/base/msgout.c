/* msgout.c -- see msgout.h. */
#include "base/msgout.h"

#include "base/base64.h"
#include "base/codec.h"
#include "base/jsonout.h"
#include "base/pb.h"
#include "base/utf8.h"

#include <math.h>

// --- pieces -----------------------------------------------------------------------------------------

static void put_tag(struct msgout *m, uint32_t field, enum pb_wire wire)
{
    put_varint(m->b, (uint64_t)field << 3 | wire);
}

// JSON: comma and name.
static void put_name(struct msgout *m, const char *name)
{
    if (m->comma)
        buf_put_byte(m->b, ',');
    m->comma = true;
    if (name != NULL) {
        buf_put_byte(m->b, '"');
        buf_put_cstr(m->b, name);
        buf_put_cstr(m->b, "\":");
    }
}

// Puts the length of what was written since `pos` before it.
static void put_length_before(struct buf *b, size_t pos)
{
    if (b->bad)
        return;
    uint64_t len = b->len - pos;
    uint8_t bytes[VARINT_BYTES_MAX];
    size_t count = 0;
    for (; len >= 0x80; len >>= 7)
        bytes[count++] = (uint8_t)(len | 0x80);
    bytes[count++] = (uint8_t)len;
    if (buf_reserve(b, count) == NULL)
        return;
    memmove(b->ptr + pos + count, b->ptr + pos, b->len - pos);
    memcpy(b->ptr + pos, bytes, count);
    b->len += count;
}

// Valid UTF-8.
static void put_text(struct buf *b, struct slice text)
{
    while (text.len > 0) {
        size_t good = utf8_valid_prefix(text);
        buf_put(b, text.ptr, good);
        text = slice_from(text, good);
        if (text.len > 0) {
            buf_put_cstr(b, "\xEF\xBF\xBD");
            text = slice_from(text, 1);
        }
    }
}

// --- structure --------------------------------------------------------------------------------------

struct msgout msgout_begin(struct buf *b, bool json)
{
    if (json)
        buf_put_byte(b, '{');
    return (struct msgout){.b = b, .json = json};
}

void msgout_end(struct msgout *m)
{
    if (m->json)
        buf_put_byte(m->b, '}');
}

static struct msgout_mark begin(struct msgout *m, const char *name, char bracket)
{
    put_name(m, name);
    buf_put_byte(m->b, (uint8_t)bracket);
    m->comma = false;
    return (struct msgout_mark){m->b->len, true};
}

struct msgout_mark msgout_open(struct msgout *m, uint32_t field, const char *name)
{
    if (m->json)
        return begin(m, name, '{');
    put_tag(m, field, PB_BYTES);
    return (struct msgout_mark){m->b->len, false};
}

void msgout_close(struct msgout *m, struct msgout_mark mark)
{
    if (m->json)
        buf_put_byte(m->b, '}');
    else
        put_length_before(m->b, mark.pos);
    m->comma = mark.comma;
}

struct msgout_mark msgout_list(struct msgout *m, const char *name)
{
    return m->json ? begin(m, name, '[') : (struct msgout_mark){0};
}

void msgout_list_end(struct msgout *m, struct msgout_mark mark)
{
    if (m->json)
        buf_put_byte(m->b, ']');
    m->comma = mark.comma;
}

struct msgout_mark msgout_map(struct msgout *m, const char *name)
{
    return m->json ? begin(m, name, '{') : (struct msgout_mark){0};
}

void msgout_map_end(struct msgout *m, struct msgout_mark mark)
{
    if (m->json)
        buf_put_byte(m->b, '}');
    m->comma = mark.comma;
}

struct msgout_entry msgout_entry(struct msgout *m, uint32_t field, struct slice key)
{
    struct msgout_entry e = {0};
    if (m->json) {
        put_name(m, NULL);
        jsonout_string(m->b, key);
        buf_put_cstr(m->b, ":{");
        m->comma = false;
        e.inner.comma = true;
        return e;
    }
    e.outer = msgout_open(m, field, NULL);
    msgout_string(m, 1, NULL, key);
    e.inner = msgout_open(m, 2, NULL);
    return e;
}

void msgout_entry_end(struct msgout *m, struct msgout_entry entry)
{
    msgout_close(m, entry.inner);
    if (!m->json)
        msgout_close(m, entry.outer);
}

// --- fields -----------------------------------------------------------------------------------------

void msgout_one_string(struct msgout *m, uint32_t field, const char *name, struct slice text)
{
    if (m->json) {
        put_name(m, name);
        jsonout_string(m->b, text);
        return;
    }
    put_tag(m, field, PB_BYTES);
    size_t pos = m->b->len;
    put_text(m->b, text);
    put_length_before(m->b, pos);
}

void msgout_string(struct msgout *m, uint32_t field, const char *name, struct slice text)
{
    if (text.len > 0)
        msgout_one_string(m, field, name, text);
}

void msgout_one_bytes(struct msgout *m, uint32_t field, const char *name, struct slice bytes)
{
    if (m->json) {
        put_name(m, name);
        buf_put_byte(m->b, '"');
        base64_encode(m->b, bytes);
        buf_put_byte(m->b, '"');
    } else {
        put_tag(m, field, PB_BYTES);
        put_prefixed(m->b, bytes);
    }
}

void msgout_bytes(struct msgout *m, uint32_t field, const char *name, struct slice bytes)
{
    if (bytes.len > 0)
        msgout_one_bytes(m, field, name, bytes);
}

void msgout_u32(struct msgout *m, uint32_t field, const char *name, uint32_t value)
{
    if (value == 0)
        return;
    if (m->json) {
        put_name(m, name);
        buf_put_unsigned(m->b, value);
    } else {
        put_tag(m, field, PB_VARINT);
        put_varint(m->b, value);
    }
}

// 64 bits are a string in JSON.
static void put_quoted(struct buf *b, uint64_t value)
{
    buf_put_byte(b, '"');
    buf_put_unsigned(b, value);
    buf_put_byte(b, '"');
}

void msgout_u64(struct msgout *m, uint32_t field, const char *name, uint64_t value)
{
    if (value == 0)
        return;
    if (m->json) {
        put_name(m, name);
        put_quoted(m->b, value);
    } else {
        put_tag(m, field, PB_VARINT);
        put_varint(m->b, value);
    }
}

void msgout_fixed32(struct msgout *m, uint32_t field, const char *name, uint32_t value)
{
    if (value == 0)
        return;
    if (m->json) {
        put_name(m, name);
        buf_put_unsigned(m->b, value);
    } else {
        put_tag(m, field, PB_FIXED32);
        put_u32(m->b, value);
    }
}

void msgout_fixed64(struct msgout *m, uint32_t field, const char *name, uint64_t value)
{
    if (value == 0)
        return;
    if (m->json) {
        put_name(m, name);
        put_quoted(m->b, value);
    } else {
        put_tag(m, field, PB_FIXED64);
        put_u64(m->b, value);
    }
}

void msgout_one_double(struct msgout *m, uint32_t field, const char *name, double value)
{
    if (!m->json) {
        uint64_t bits;
        memcpy(&bits, &value, sizeof bits);
        put_tag(m, field, PB_FIXED64);
        put_u64(m->b, bits);
        return;
    }
    put_name(m, name);
    if (isnan(value) || isinf(value))
        buf_put_cstr(m->b, isnan(value) ? "\"NaN\"" : value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
    else if (value == 0 && signbit(value))
        buf_put_cstr(m->b, "-0");
    else
        jsonout_number(m->b, value);
}

void msgout_double(struct msgout *m, uint32_t field, const char *name, double value)
{
    if (value != 0)
        msgout_one_double(m, field, name, value);
}

void msgout_enum(struct msgout *m, uint32_t field, const char *name, int32_t value, const char *const *names,
                 uint32_t count)
{
    if (value == 0)
        return;
    if (!m->json) {
        put_tag(m, field, PB_VARINT);
        put_varint(m->b, (uint64_t)(int64_t)value);
        return;
    }
    put_name(m, name);
    if (value > 0 && (uint32_t)value < count)
        jsonout_string(m->b, slice_cstr(names[value]));
    else
        buf_put_signed(m->b, value);
}

void msgout_one_bool(struct msgout *m, uint32_t field, const char *name, bool value)
{
    if (m->json) {
        put_name(m, name);
        buf_put_cstr(m->b, value ? "true" : "false");
    } else {
        put_tag(m, field, PB_VARINT);
        put_varint(m->b, value);
    }
}

void msgout_one_i64(struct msgout *m, uint32_t field, const char *name, int64_t value)
{
    if (m->json) {
        put_name(m, name);
        buf_put_byte(m->b, '"');
        buf_put_signed(m->b, value);
        buf_put_byte(m->b, '"');
    } else {
        put_tag(m, field, PB_VARINT);
        put_varint(m->b, (uint64_t)value);
    }
}
