/* span_strings.c -- texts, and numbers of distinct ones, out of a block's parts; see span_read.h
 * and docs/format.md. */
#include "store/span/span_read.h"

const struct slice *span_block_take_texts(struct rd *r, struct stretch which, struct arena *a)
{
    struct slice *texts = arena_array(a, which.count, sizeof *texts);
    struct arena_mark mark = arena_mark(a);
    uint32_t *lengths = arena_array(a, which.total, sizeof *lengths);
    if (texts == NULL || lengths == NULL || !numbers_take32(r, stretch_all(which.total), lengths))
        return NULL;
    uint64_t sum = 0, before = 0;
    for (uint32_t i = 0; i < which.total; i++)
        sum += lengths[i];
    for (uint32_t i = 0; i < which.first; i++)
        before += lengths[i];
    if (sum != rd_left(r))
        return NULL;
    (void)rd_bytes(r, (size_t)before);
    for (uint32_t i = 0; i < which.count; i++)
        texts[i] = rd_bytes(r, lengths[which.first + i]);
    arena_rewind(a, mark);
    return texts;
}

static bool all_below(const uint32_t *items, uint32_t count, uint32_t limit)
{
    uint32_t largest = 0;
    for (uint32_t i = 0; i < count; i++)
        largest = items[i] > largest ? items[i] : largest;
    return count == 0 || largest < limit;
}

// Numbers of values, all below values_count; NULL: they are not. The recent form is told from the
// first on.
static uint32_t *take_ids(struct slice raw, struct stretch which, uint32_t values_count,
                          struct arena *a)
{
    struct rd r = rd_of(raw);
    uint8_t form = rd_u8(&r);
    uint32_t lead = form == IDS_RECENT ? which.first : 0;
    struct stretch told = {which.total, which.first - lead, which.count + lead};
    uint32_t *ids = arena_array(a, told.count, sizeof *ids);
    if (ids == NULL || !numbers_take32(&r, told, ids) || !rd_consumed(&r) || form > IDS_RECENT)
        return NULL;
    if (form == IDS_RECENT) {
        uint32_t next = 0;
        for (uint32_t i = 0; i < told.count; i++) {
            uint32_t ago = ids[i];
            ids[i] = next - ago; // wraps to what all_below() refuses
            next += ago == 0;
        }
    }
    return all_below(ids + lead, which.count, values_count) ? ids + lead : NULL;
}

// From the lowest value that occurs to the highest, which are then numbered from 0. Values are
// numbered as they appear: those of neighbours are near each other.
static struct stretch only_used(uint32_t *ids, uint32_t count, uint32_t values_count)
{
    uint32_t low = values_count, end = 0;
    for (uint32_t i = 0; i < count; i++) {
        low = ids[i] < low ? ids[i] : low;
        end = ids[i] >= end ? ids[i] + 1 : end;
    }
    for (uint32_t i = 0; i < count; i++)
        ids[i] -= low;
    return (struct stretch){values_count, count > 0 ? low : 0, count > 0 ? end - low : 0};
}

bool span_block_strings(struct span_block *b, const struct part *parts, struct stretch which,
                        bool ids, const char *what, struct span_strings *s, struct err *err)
{
    struct slice raws[2];
    unsigned from = s->values != NULL ? 1 : 0, to = ids ? 2 : 1;
    if (!span_block_load(b, parts + from, to - from, raws + from, what, err))
        return false;
    struct rd r = from == 0 ? rd_of(raws[0]) : (struct rd){0};
    uint32_t count = from == 0 ? (uint32_t)rd_varint_max(&r, which.total) : s->values_count;
    uint32_t *numbers = ids ? take_ids(raws[1], which, count, b->arena) : NULL;
    if (r.bad || count == 0 || (ids && numbers == NULL))
        return span_block_corrupt(b, what, err);
    if (from == 0) {
        struct stretch values = ids && which.count < which.total
                                    ? only_used(numbers, which.count, count)
                                    : stretch_all(count);
        if ((s->values = span_block_take_texts(&r, values, b->arena)) == NULL)
            return span_block_corrupt(b, what, err);
        s->values_count = values.count;
    }
    s->ids = numbers;
    return true;
}
