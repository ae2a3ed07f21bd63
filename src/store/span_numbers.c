/*
 * span_numbers.c -- see span_numbers.h.
 *
 * A number is base + code * 1000^scale, or table[code]; codes have the fewest bytes that hold the largest, and the first
 * bytes of all codes come first, then all second bytes, and so on: what varies little is apart from what varies much.
 */
#include "store/span_numbers.h"

#include "store/span_format.h"

enum { PIECE_BYTES_MIN = 512, CHUNK = 16, TABLE_SLOTS = 1024, TABLE_COUNT_MIN = 64 };

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
    return largest == 0 ? 0 : (unsigned)(71 - __builtin_clzll(largest)) / 8;
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

// False when there are too many for it.
static bool table_fill(struct table *t, const uint64_t *values, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint16_t *slot = i > 0 && values[i] == values[i - 1] ? NULL : table_slot(t, values[i]);
        if (slot == NULL || *slot != 0)
            continue;
        if (t->count == NUMBERS_TABLE_MAX)
            return false;
        t->values[t->count++] = values[i];
        *slot = (uint16_t)t->count;
    }
    return true;
}

static void put_table(struct pieces *to, struct table *t, const uint64_t *values, uint32_t count)
{
    put_u8(&to->bytes, NUMBERS_TABLE | 1);
    put_u8(&to->bytes, (uint8_t)(t->count - 1));
    for (unsigned i = 0; i < t->count; i++)
        put_u64(&to->bytes, t->values[i]);
    pieces_cut(to, count);
    uint8_t *plane = buf_reserve(&to->bytes, count);
    if (plane == NULL)
        return;
    for (uint32_t i = 0; i < count; i++)
        plane[i] = (uint8_t)(*table_slot(t, values[i]) - 1);
    to->bytes.len += count;
}

void numbers_put(struct pieces *to, const uint64_t *values, uint32_t count)
{
    int64_t least = count > 0 ? (int64_t)values[0] : 0, most = least;
    for (uint32_t i = 1; i < count; i++) {
        int64_t v = (int64_t)values[i];
        least = v < least ? v : least;
        most = v > most ? v : most;
    }
    uint64_t base = (uint64_t)least, range = (uint64_t)most - base, factor = 1;
    unsigned scale = range < 1000 ? 0 : scale_of(values, count, base, &factor);
    unsigned width = width_of(range / factor);
    if (width > 1 && count >= TABLE_COUNT_MIN) {
        struct table t = {.count = 0};
        if (table_fill(&t, values, count) && t.count * sizeof(uint64_t) < count / 2) {
            put_table(to, &t, values, count);
            return;
        }
    }
    put_u8(&to->bytes, (uint8_t)(width | scale << NUMBERS_SCALE_SHIFT));
    put_varint(&to->bytes, base);
    for (unsigned byte = 0; byte < width; byte++) {
        if (byte > 0)
            pieces_cut(to, count);
        uint8_t *plane = buf_reserve(&to->bytes, count);
        if (plane == NULL)
            return;
        if (factor == 1)
            for (uint32_t i = 0; i < count; i++)
                plane[i] = (uint8_t)((values[i] - base) >> (8 * byte));
        else
            for (uint32_t i = 0; i < count; i++)
                plane[i] = (uint8_t)((values[i] - base) / factor >> (8 * byte));
        to->bytes.len += count;
    }
}

// --- reading ------------------------------------------------------------------------------------------

struct planes {
    unsigned width;
    uint64_t base, factor;
    const uint8_t *bytes; // width * count
    uint32_t count;
    uint64_t table[NUMBERS_TABLE_MAX];
    unsigned table_count; // 0: none
};

static bool take_planes(struct rd *r, uint32_t count, struct planes *out)
{
    static const uint64_t factors[] = {1, 1000, 1000000, 1000000000};
    uint8_t form = rd_u8(r);
    *out = (struct planes){.width = form & NUMBERS_WIDTH_MASK, .count = count, .factor = 1};
    if (form & ~(NUMBERS_WIDTH_MASK | 3 << NUMBERS_SCALE_SHIFT | NUMBERS_TABLE) || out->width > sizeof(uint64_t))
        return false;
    if (form & NUMBERS_TABLE) {
        if (form != (NUMBERS_TABLE | 1))
            return false;
        out->table_count = rd_u8(r) + 1u;
        for (unsigned i = 0; i < out->table_count; i++)
            out->table[i] = rd_u64(r);
    } else {
        out->factor = factors[form >> NUMBERS_SCALE_SHIFT];
        out->base = rd_varint(r);
    }
    if (r->bad || (uint64_t)out->width * count > rd_left(r))
        return false;
    out->bytes = rd_bytes(r, (size_t)out->width * count).ptr;
    return true;
}

// Codes of up to four planes, at places [from, from + CHUNK): loops of fixed length, which compilers turn into vectors.
static void chunk(const struct planes *p, unsigned first, unsigned width, uint32_t from, uint32_t out[restrict CHUNK])
{
    size_t n = p->count;
    const uint8_t *restrict at = p->bytes + first * n + from;
    switch (width) {
    case 1:
        for (size_t i = 0; i < CHUNK; i++)
            out[i] = at[i];
        return;
    case 2:
        for (size_t i = 0; i < CHUNK; i++)
            out[i] = (uint32_t)at[i] | (uint32_t)at[n + i] << 8;
        return;
    case 3:
        for (size_t i = 0; i < CHUNK; i++)
            out[i] = (uint32_t)at[i] | (uint32_t)at[n + i] << 8 | (uint32_t)at[2 * n + i] << 16;
        return;
    default:
        for (size_t i = 0; i < CHUNK; i++)
            out[i] = (uint32_t)at[i] | (uint32_t)at[n + i] << 8 | (uint32_t)at[2 * n + i] << 16 |
                     (uint32_t)at[3 * n + i] << 24;
    }
}

static uint64_t code_at(const struct planes *p, uint32_t i)
{
    uint64_t code = 0;
    for (unsigned byte = 0; byte < p->width; byte++)
        code |= (uint64_t)p->bytes[(size_t)byte * p->count + i] << (8 * byte);
    return code;
}

static bool table_good(const struct planes *p)
{
    uint8_t largest = 0;
    for (uint32_t i = 0; i < p->count; i++)
        largest = p->bytes[i] > largest ? p->bytes[i] : largest;
    return p->count == 0 || largest < p->table_count;
}

bool numbers_take32(struct rd *r, uint32_t count, uint32_t *out)
{
    struct planes p;
    if (!take_planes(r, count, &p) || p.width > sizeof(uint32_t) || p.base > UINT32_MAX)
        return false;
    if (p.table_count > 0) {
        uint32_t table[NUMBERS_TABLE_MAX];
        for (unsigned i = 0; i < p.table_count; i++) {
            if (p.table[i] > UINT32_MAX)
                return false;
            table[i] = (uint32_t)p.table[i];
        }
        if (!table_good(&p))
            return false;
        for (uint32_t i = 0; i < count; i++)
            out[i] = table[p.bytes[i]];
        return true;
    }
    uint32_t i = 0, base = (uint32_t)p.base, factor = (uint32_t)p.factor;
    if (p.width == 0)
        for (; i < count; i++)
            out[i] = base;
    for (; i + CHUNK <= count; i += CHUNK) {
        chunk(&p, 0, p.width, i, out + i);
        for (int k = 0; k < CHUNK; k++)
            out[i + k] = base + out[i + k] * factor;
    }
    for (; i < count; i++)
        out[i] = base + (uint32_t)code_at(&p, i) * factor;
    return true;
}

bool numbers_take64(struct rd *r, uint32_t count, uint64_t *out)
{
    struct planes p;
    if (!take_planes(r, count, &p))
        return false;
    if (p.table_count > 0) {
        if (!table_good(&p))
            return false;
        for (uint32_t i = 0; i < count; i++)
            out[i] = p.table[p.bytes[i]];
        return true;
    }
    uint32_t i = 0;
    if (p.width == 0)
        for (; i < count; i++)
            out[i] = p.base;
    for (; i + CHUNK <= count; i += CHUNK) {
        uint32_t low[CHUNK], high[CHUNK] = {0};
        chunk(&p, 0, p.width < 4 ? p.width : 4, i, low);
        if (p.width > 4)
            chunk(&p, 4, p.width - 4, i, high);
        for (int k = 0; k < CHUNK; k++)
            out[i + k] = (uint64_t)low[k] | (uint64_t)high[k] << 32;
        if (p.factor != 1)
            for (int k = 0; k < CHUNK; k++)
                out[i + k] *= p.factor;
        for (int k = 0; k < CHUNK; k++)
            out[i + k] += p.base;
    }
    for (; i < count; i++)
        out[i] = p.base + code_at(&p, i) * p.factor;
    return true;
}
