/*
 * prefix_page.c -- see prefix_page.h.
 *
 *      0  u32  first prefix
 *      4  u32  span: last - first
 *      8  u16  n, entries
 *     10  u8   l, low bits
 *     11  u8   s, bits of a segment's number
 *     12  uppers: n + (span >> l) bits; entry i of value v = prefix - first sets bit (v >> l) + i
 *         lows: n * l bits; segments: n * s bits
 *
 * Each of the three begins with a byte of its own; bits are counted from the least of the first byte.
 */
#include "index/prefix_page.h"

#include "base/codec.h"

#include <assert.h>

enum { HEAD_BYTES = 12, WORD_BITS = 64 };

static size_t bytes_of_bits(uint64_t bits)
{
    return (size_t)((bits + 7) / 8);
}

static unsigned low_bits_of(uint32_t span, size_t count)
{
    return span / count == 0 ? 0 : 31 - (unsigned)__builtin_clz((uint32_t)(span / count));
}

static size_t page_bytes(uint32_t span, size_t count, unsigned low_bits, unsigned segment_bits)
{
    return HEAD_BYTES + bytes_of_bits(count + (span >> low_bits)) + bytes_of_bits((uint64_t)count * low_bits) +
           bytes_of_bits((uint64_t)count * segment_bits);
}

// --- writing ----------------------------------------------------------------------------------------

static bool fits(const struct prefix_entry *entries, size_t count, unsigned segment_bits)
{
    uint32_t span = entries[count - 1].prefix - entries[0].prefix;
    return page_bytes(span, count, low_bits_of(span, count), segment_bits) <= PREFIX_PAGE_BYTES;
}

static size_t how_many_fit(const struct prefix_entry *entries, size_t count, unsigned segment_bits)
{
    size_t low = 1, high = count < PREFIX_PAGE_ENTRIES_MAX ? count : PREFIX_PAGE_ENTRIES_MAX;
    if (fits(entries, high, segment_bits))
        return high;
    while (high - low > 1) { // `low` fits, `high` does not
        size_t middle = low + (high - low) / 2;
        if (fits(entries, middle, segment_bits))
            low = middle;
        else
            high = middle;
    }
    return low;
}

static void set_bits(uint8_t *to, uint64_t at, unsigned width, uint32_t value)
{
    for (unsigned done = 0; done < width;) {
        unsigned shift = (unsigned)(at + done) % 8;
        to[(at + done) / 8] |= (uint8_t)(value >> done << shift);
        done += 8 - shift;
    }
}

size_t prefix_page_put(const struct prefix_entry *entries, size_t count, unsigned segment_bits, struct buf *out)
{
    assert(count > 0 && segment_bits <= 32);
    size_t n = how_many_fit(entries, count, segment_bits);
    uint32_t first = entries[0].prefix, span = entries[n - 1].prefix - first;
    unsigned low_bits = low_bits_of(span, n);
    put_u32(out, first);
    put_u32(out, span);
    put_u16(out, (uint16_t)n);
    put_u8(out, (uint8_t)low_bits);
    put_u8(out, (uint8_t)segment_bits);
    size_t bytes = page_bytes(span, n, low_bits, segment_bits) - HEAD_BYTES;
    uint8_t *uppers = buf_reserve(out, bytes);
    assert(uppers != NULL);
    memset(uppers, 0, bytes);
    uint8_t *lows = uppers + bytes_of_bits(n + (span >> low_bits));
    uint8_t *segments = lows + bytes_of_bits((uint64_t)n * low_bits);
    for (size_t i = 0; i < n; i++) {
        uint32_t value = entries[i].prefix - first;
        uint64_t upper = (value >> low_bits) + i;
        uppers[upper / 8] |= (uint8_t)(1u << upper % 8);
        set_bits(lows, (uint64_t)i * low_bits, low_bits, value & ((UINT32_C(1) << low_bits) - 1));
        set_bits(segments, (uint64_t)i * segment_bits, segment_bits, entries[i].segment);
    }
    out->len += bytes;
    return n;
}

// --- reading ----------------------------------------------------------------------------------------

bool prefix_page_open(struct slice bytes, struct prefix_page *out)
{
    struct rd r = rd_of(bytes);
    struct prefix_page p = {.first = rd_u32(&r)};
    uint32_t span = rd_u32(&r);
    p.entries_count = rd_u16(&r);
    p.low_bits = rd_u8(&r);
    p.segment_bits = rd_u8(&r);
    if (r.bad || p.entries_count == 0 || p.entries_count > PREFIX_PAGE_ENTRIES_MAX || span > UINT32_MAX - p.first ||
        p.low_bits != low_bits_of(span, p.entries_count) || p.segment_bits > 32 ||
        bytes.len != page_bytes(span, p.entries_count, p.low_bits, p.segment_bits))
        return false;
    p.last = p.first + span;
    p.upper_bits = p.entries_count + (span >> p.low_bits);
    p.uppers = r.pos;
    p.lows = p.uppers + bytes_of_bits(p.upper_bits);
    p.segments = p.lows + bytes_of_bits((uint64_t)p.entries_count * p.low_bits);
    *out = p;
    return true;
}

static uint32_t bits_at(const uint8_t *from, uint64_t at, unsigned width)
{
    uint64_t value = 0;
    unsigned shift = (unsigned)(at % 8);
    for (unsigned done = 0; done < shift + width; done += 8)
        value |= (uint64_t)from[(at + done) / 8] << done;
    return (uint32_t)(value >> shift & ((UINT64_C(1) << width) - 1));
}

// 64 of the uppers from bit `at` on, which is a multiple of 64. Behind their end are ones.
static uint64_t upper_word(const struct prefix_page *p, uint32_t at)
{
    uint64_t word = 0;
    size_t bytes = bytes_of_bits(p->upper_bits) - at / 8;
    for (size_t i = 0; i < (bytes < 8 ? bytes : 8); i++)
        word |= (uint64_t)p->uppers[at / 8 + i] << 8 * i;
    return p->upper_bits - at < WORD_BITS ? word | UINT64_MAX << (p->upper_bits - at) : word;
}

// The place behind zero number `zero`, from 0; upper_bits when there are not so many.
static uint32_t behind_zero(const struct prefix_page *p, uint32_t zero)
{
    for (uint32_t at = 0; at < p->upper_bits; at += WORD_BITS) {
        uint64_t zeros = ~upper_word(p, at);
        uint32_t count = (uint32_t)__builtin_popcountll(zeros);
        if (zero >= count) {
            zero -= count;
            continue;
        }
        for (; zero > 0; zero--)
            zeros &= zeros - 1;
        return at + (uint32_t)__builtin_ctzll(zeros) + 1;
    }
    return p->upper_bits;
}

static uint32_t low_of(const struct prefix_page *p, uint32_t entry)
{
    return bits_at(p->lows, (uint64_t)entry * p->low_bits, p->low_bits);
}

uint32_t prefix_page_find(const struct prefix_page *p, uint32_t prefix, uint32_t *first_out)
{
    if (prefix < p->first || prefix > p->last)
        return 0;
    uint32_t value = prefix - p->first, upper = value >> p->low_bits, low = value & ((UINT32_C(1) << p->low_bits) - 1);
    uint32_t at = upper == 0 ? 0 : behind_zero(p, upper - 1), count = 0;
    for (; at < p->upper_bits && bits_at(p->uppers, at, 1) == 1 && at - upper < p->entries_count; at++) {
        uint32_t of_entry = low_of(p, at - upper);
        if (of_entry > low)
            break;
        if (of_entry == low && count++ == 0)
            *first_out = at - upper;
    }
    return count;
}

uint32_t prefix_page_segment(const struct prefix_page *p, uint32_t entry)
{
    return bits_at(p->segments, (uint64_t)entry * p->segment_bits, p->segment_bits);
}

bool prefix_page_all(const struct prefix_page *p, struct prefix_entry *out)
{
    uint32_t i = 0;
    for (uint32_t at = 0; at < p->upper_bits; at += WORD_BITS) {
        uint64_t word = upper_word(p, at);
        if (p->upper_bits - at < WORD_BITS)
            word &= ~(UINT64_MAX << (p->upper_bits - at));
        for (; word != 0; word &= word - 1) {
            if (i == p->entries_count)
                return false;
            uint32_t upper = at + (uint32_t)__builtin_ctzll(word) - i;
            out[i] = (struct prefix_entry){p->first + (upper << p->low_bits | low_of(p, i)), prefix_page_segment(p, i)};
            i++;
        }
    }
    return i == p->entries_count && out[0].prefix == p->first && out[i - 1].prefix == p->last;
}
