/*
 * span_numbers.c -- see span_numbers.h.
 *
 * A number is base + code * 1000^scale, or table[code]. Codes have 1, 2, 4 bits or the fewest bytes that hold the largest;
 * the first bytes of all codes come first, then all second bytes, and so on: what varies little is apart from what varies
 * much.
 */
#include "store/span/span_numbers.h"

#include "store/span/span_format.h"

enum { PIECE_BYTES_MIN = 512, TABLE_SLOTS = 1024, TABLE_COUNT_MIN = 64, TABLE_PACKED_MAX = 16 };

void pieces_done(struct pieces *p)
{
    buf_done(&p->bytes);
    *p = (struct pieces){0};
}

void pieces_reset(struct pieces *p)
{
    buf_reset(&p->bytes);
    p->cuts_count = 0;
}

void pieces_cut(struct pieces *p, size_t bytes)
{
    size_t last = p->cuts_count == 0 ? 0 : p->cuts[p->cuts_count - 1];
    if (bytes >= PIECE_BYTES_MIN && p->bytes.len > last && p->cuts_count < PIECES_MAX)
        p->cuts[p->cuts_count++] = p->bytes.len;
}

// --- writing ------------------------------------------------------------------------------------------

static unsigned width_of(uint64_t largest)
{
    if (largest < 16)
        return largest == 0 ? 0 : largest == 1 ? NUMBERS_BITS_1 : largest < 4 ? NUMBERS_BITS_2 : NUMBERS_BITS_4;
    return (unsigned)(71 - __builtin_clzll(largest)) / 8;
}

// Bits of a code; 0 of whole bytes.
static unsigned bits_of(unsigned width)
{
    return width < NUMBERS_BITS_1 ? 0 : 1u << (width - NUMBERS_BITS_1);
}

// The largest power of 1000 (up to the third) that divides all differences to `base`.
static unsigned scale_of(const uint64_t *values, uint32_t count, uint64_t base, uint64_t *factor_out)
{
    static const uint64_t factors[] = {1, 1000, 1000000, 1000000000};
    unsigned scale = COUNT_OF(factors) - 1;
    for (uint32_t i = 0; i < count && scale > 0; i++)
        while (scale > 0 && (values[i] - base) % factors[scale] != 0)
            scale--;
    *factor_out = factors[scale];
    return scale;
}

struct table {
    uint64_t values[NUMBERS_TABLE_MAX];
    unsigned count;
    uint16_t slots[TABLE_SLOTS]; // place + 1, or 0
};

static uint16_t *table_slot(struct table *t, uint64_t value)
{
    size_t at = (value * UINT64_C(0x9e3779b97f4a7c15)) >> 54; // 10 bits: TABLE_SLOTS
    while (t->slots[at] != 0 && t->values[t->slots[at] - 1] != value)
        at = (at + 1) % TABLE_SLOTS;
    return &t->slots[at];
}

// False when there are more than `most`.
static bool table_fill(struct table *t, const uint64_t *values, uint32_t count, unsigned most)
{
    for (uint32_t i = 0; i < count; i++) {
        uint16_t *slot = i > 0 && values[i] == values[i - 1] ? NULL : table_slot(t, values[i]);
        if (slot == NULL || *slot != 0)
            continue;
        if (t->count == most)
            return false;
        t->values[t->count++] = values[i];
        *slot = (uint16_t)t->count;
    }
    return true;
}

// How codes are made of numbers.
struct coding {
    unsigned width;
    uint64_t base, factor;
    struct table *table; // NULL: base and factor count
};

static inline uint64_t code_of(const struct coding *c, uint64_t value)
{
    if (c->table != NULL)
        return *table_slot(c->table, value) - 1u;
    return c->factor == 1 ? value - c->base : (value - c->base) / c->factor;
}

static void put_packed(struct pieces *to, const struct coding *c, const uint64_t *values, uint32_t count)
{
    unsigned bits = bits_of(c->width);
    size_t bytes = ((size_t)count * bits + 7) / 8;
    uint8_t *packed = buf_reserve(&to->bytes, bytes);
    if (packed == NULL)
        return;
    memset(packed, 0, bytes);
    for (uint32_t i = 0; i < count; i++)
        packed[(size_t)i * bits / 8] |= (uint8_t)(code_of(c, values[i]) << (i * bits % 8));
    to->bytes.len += bytes;
}

static void put_planes(struct pieces *to, const struct coding *c, const uint64_t *values, uint32_t count)
{
    for (unsigned byte = 0; byte < c->width; byte++) {
        if (byte > 0)
            pieces_cut(to, count);
        uint8_t *plane = buf_reserve(&to->bytes, count);
        if (plane == NULL)
            return;
        for (uint32_t i = 0; i < count; i++)
            plane[i] = (uint8_t)(code_of(c, values[i]) >> (8 * byte));
        to->bytes.len += count;
    }
}

static void put_table(struct pieces *to, const struct coding *c)
{
    put_u8(&to->bytes, (uint8_t)(NUMBERS_TABLE | c->width));
    put_u8(&to->bytes, (uint8_t)(c->table->count - 1));
    for (unsigned i = 0; i < c->table->count; i++)
        put_u64(&to->bytes, c->table->values[i]);
}

void numbers_put(struct pieces *to, const uint64_t *values, uint32_t count)
{
    int64_t least = count > 0 ? (int64_t)values[0] : 0, most = least;
    for (uint32_t i = 1; i < count; i++) {
        int64_t v = (int64_t)values[i];
        least = v < least ? v : least;
        most = v > most ? v : most;
    }
    struct coding c = {.base = (uint64_t)least, .factor = 1};
    uint64_t range = (uint64_t)most - c.base;
    unsigned scale = range < 1000 ? 0 : scale_of(values, count, c.base, &c.factor);
    c.width = width_of(range / c.factor);
    struct table t = {.count = 0};
    if (c.width > 0 && bits_of(c.width) == 0 && count >= TABLE_COUNT_MIN &&
        table_fill(&t, values, count, c.width == 1 ? TABLE_PACKED_MAX : NUMBERS_TABLE_MAX) &&
        t.count * sizeof(uint64_t) < count / 2) {
        c.table = &t;
        c.width = width_of(t.count - 1);
    }
    if (c.table != NULL) {
        put_table(to, &c);
    } else {
        put_u8(&to->bytes, (uint8_t)(c.width | scale << NUMBERS_SCALE_SHIFT));
        put_varint(&to->bytes, c.base);
    }
    if (bits_of(c.width) > 0)
        put_packed(to, &c, values, count);
    else
        put_planes(to, &c, values, count);
}

// --- reading ------------------------------------------------------------------------------------------

struct planes {
    unsigned width, bits; // bits 0: whole bytes
    uint64_t base, factor;
    const uint8_t *bytes; // of all codes
    struct stretch which;
    uint64_t table[NUMBERS_TABLE_MAX];
    unsigned table_count; // 0: none
};

static bool take_planes(struct rd *r, struct stretch which, struct planes *out)
{
    static const uint64_t factors[] = {1, 1000, 1000000, 1000000000};
    uint8_t form = rd_u8(r);
    *out = (struct planes){.width = form & NUMBERS_WIDTH_MASK, .which = which, .factor = 1};
    if (form & ~(NUMBERS_WIDTH_MASK | 3 << NUMBERS_SCALE_SHIFT | NUMBERS_TABLE) || out->width > NUMBERS_BITS_4)
        return false;
    out->bits = bits_of(out->width);
    if (form & NUMBERS_TABLE) {
        if (form != (NUMBERS_TABLE | out->width) || (out->width != 1 && out->bits == 0))
            return false;
        out->table_count = rd_u8(r) + 1u;
        for (unsigned i = 0; i < out->table_count; i++)
            out->table[i] = rd_u64(r);
    } else {
        out->factor = factors[form >> NUMBERS_SCALE_SHIFT];
        out->base = rd_varint(r);
    }
    uint64_t bytes = out->bits > 0 ? ((uint64_t)which.total * out->bits + 7) / 8
                                   : (uint64_t)out->width * which.total;
    if (r->bad || bytes > rd_left(r))
        return false;
    out->bytes = rd_bytes(r, (size_t)bytes).ptr;
    return true;
}

// Loops of one shape per width, which compilers turn into vectors. `out` has room for the count.
// Packed codes that begin within a byte are taken one by one.
#define TAKE_CODES(name, type)                                                                     \
    static void name(const struct planes *p, type *restrict out)                                   \
    {                                                                                              \
        size_t n = p->which.count, all = p->which.total, first = p->which.first;                   \
        const uint8_t *restrict at = p->bytes + (p->bits > 0 ? first * p->bits / 8 : first);       \
        size_t skew = p->bits > 0 ? first % (8 / p->bits) : 0, even = skew > 0 ? 0 : n;            \
        switch (p->width) {                                                                        \
        case 0:                                                                                    \
            memset(out, 0, n * sizeof *out);                                                       \
            return;                                                                                \
        case 1:                                                                                    \
            for (size_t i = 0; i < n; i++)                                                         \
                out[i] = at[i];                                                                    \
            return;                                                                                \
        case 2:                                                                                    \
            for (size_t i = 0; i < n; i++)                                                         \
                out[i] = (type)at[i] | (type)at[all + i] << 8;                                     \
            return;                                                                                \
        case 3:                                                                                    \
            for (size_t i = 0; i < n; i++)                                                         \
                out[i] = (type)at[i] | (type)at[all + i] << 8 | (type)at[2 * all + i] << 16;       \
            return;                                                                                \
        case NUMBERS_BITS_1:                                                                       \
            for (size_t i = 0; i < even / 8; i++)                                                  \
                for (unsigned k = 0; k < 8; k++)                                                   \
                    out[8 * i + k] = at[i] >> k & 1;                                               \
            for (size_t i = even & ~(size_t)7; i < n; i++)                                         \
                out[i] = at[(skew + i) / 8] >> (skew + i) % 8 & 1;                                 \
            return;                                                                                \
        case NUMBERS_BITS_2:                                                                       \
            for (size_t i = 0; i < even / 4; i++)                                                  \
                for (unsigned k = 0; k < 4; k++)                                                   \
                    out[4 * i + k] = at[i] >> 2 * k & 3;                                           \
            for (size_t i = even & ~(size_t)3; i < n; i++)                                         \
                out[i] = at[(skew + i) / 4] >> 2 * ((skew + i) % 4) & 3;                           \
            return;                                                                                \
        case NUMBERS_BITS_4:                                                                       \
            for (size_t i = 0; i < even / 2; i++) {                                                \
                out[2 * i] = at[i] & 15;                                                           \
                out[2 * i + 1] = at[i] >> 4;                                                       \
            }                                                                                      \
            for (size_t i = even & ~(size_t)1; i < n; i++)                                         \
                out[i] = at[(skew + i) / 2] >> 4 * ((skew + i) % 2) & 15;                          \
            return;                                                                                \
        default:                                                                                   \
            for (size_t i = 0; i < n; i++)                                                         \
                out[i] = (type)at[i] | (type)at[all + i] << 8 | (type)at[2 * all + i] << 16 |      \
                         (type)at[3 * all + i] << 24;                                              \
        }                                                                                          \
    }
TAKE_CODES(take_codes32, uint32_t)
TAKE_CODES(take_codes64, uint64_t)
#undef TAKE_CODES

// Codes to what they are places of.
static bool look_up32(const struct planes *p, uint32_t *out)
{
    uint32_t table[NUMBERS_TABLE_MAX], largest = 0;
    for (unsigned i = 0; i < p->table_count; i++) {
        if (p->table[i] > UINT32_MAX)
            return false;
        table[i] = (uint32_t)p->table[i];
    }
    for (uint32_t i = 0; i < p->which.count; i++)
        largest = out[i] > largest ? out[i] : largest;
    if (largest >= p->table_count)
        return false;
    for (uint32_t i = 0; i < p->which.count; i++)
        out[i] = table[out[i]];
    return true;
}

static bool look_up64(const struct planes *p, uint64_t *out)
{
    for (uint32_t i = 0; i < p->which.count; i++) {
        if (out[i] >= p->table_count)
            return false;
        out[i] = p->table[out[i]];
    }
    return true;
}

bool numbers_take32(struct rd *r, struct stretch which, uint32_t *out)
{
    struct planes p;
    if (!take_planes(r, which, &p) || (p.bits == 0 && p.width > sizeof(uint32_t)) ||
        p.base > UINT32_MAX)
        return false;
    take_codes32(&p, out);
    if (p.table_count > 0)
        return look_up32(&p, out);
    uint32_t base = (uint32_t)p.base, factor = (uint32_t)p.factor;
    for (uint32_t i = 0; (base != 0 || factor != 1) && i < which.count; i++)
        out[i] = base + out[i] * factor;
    return true;
}

bool numbers_take64(struct rd *r, struct stretch which, uint64_t *out)
{
    struct planes p;
    if (!take_planes(r, which, &p))
        return false;
    take_codes64(&p, out);
    for (unsigned byte = 4; p.bits == 0 && byte < p.width; byte++) {
        const uint8_t *restrict plane = p.bytes + (size_t)byte * which.total + which.first;
        for (uint32_t i = 0; i < which.count; i++)
            out[i] |= (uint64_t)plane[i] << (8 * byte);
    }
    if (p.table_count > 0)
        return look_up64(&p, out);
    for (uint32_t i = 0; p.factor != 1 && i < which.count; i++)
        out[i] *= p.factor;
    for (uint32_t i = 0; p.base != 0 && i < which.count; i++)
        out[i] += p.base;
    return true;
}
