/*
 * split_write.c -- lines to templates and columns; see split.h.
 *
 * Lines are cut into gaps and what lies between them (split_cut.h). Lines with equal bytes between their gaps form a group;
 * a group that is large enough becomes a template. Its gaps become lists, which are split again where that may help, each
 * time cut finer. Lines without a group are a list of their own, one deeper.
 *
 * X1  Any cutting is right, for a template has the bytes between gaps, which are compared, and lists have the rest.
 * X2  Memory is bounded by the text: a gap takes at least one byte of it. None is allocated per line.
 */
#include "store/segment/split.h"

#include "base/codec.h"
#include "store/segment/split_cut.h"
#include "store/segment/split_format.h"

#include <assert.h>
#include <stdlib.h>

enum {
    GROUP_MIN = 8, // lines of a template: fewer do not pay for its columns
    VALUE_SLOTS = 1024,
    COLUMN_LEVEL = 1, // of zstd for digits, codes and lengths: matches in them are chance, and cost time to follow
};
static_assert(VALUE_SLOTS > 2 * SPLIT_CODES_MAX, "a table of values stays half empty");

struct group {
    uint64_t hash;
    uint32_t first; // the text that it began with
    uint32_t count;
    uint32_t number; // of its template
};

// What splitting a list takes; one for each depth, since lists lie in lists.
struct level {
    uint32_t room;        // texts that all below has room for
    uint32_t *gap_of;     // owned; of each text its first gap; one more at the end
    uint32_t *number;     // owned; of each text its group, then its template
    uint32_t *order;      // owned; texts by template
    struct split_span *column;  // owned; one gap of a template's texts
    struct group *groups; // owned
    uint32_t groups_count;
    uint32_t *slots; // owned; place in `groups` + 1, or 0
    uint32_t slots_room;
    struct split_span *gaps; // owned; of all texts
    size_t gaps_count, gaps_room;
    struct buf literal; // what the template has since its last list
};

struct split_writer {
    const uint8_t *text; // borrowed while writing
    struct buf parts[SPLIT_PARTS];
    struct level levels[SPLIT_DEPTH_MAX];
    struct split_span *lines; // owned
    uint32_t lines_room;
    uint32_t templates_count, slots_count, values_count;
    struct buf packed;
};

struct split_writer *split_writer_new(void)
{
    struct split_writer *w = calloc(1, sizeof *w);
    assert(w != NULL);
    return w;
}

void split_writer_free(struct split_writer *w)
{
    if (w == NULL)
        return;
    for (int i = 0; i < SPLIT_PARTS; i++)
        buf_done(&w->parts[i]);
    for (int i = 0; i < SPLIT_DEPTH_MAX; i++) {
        struct level *l = &w->levels[i];
        free(l->gap_of);
        free(l->number);
        free(l->order);
        free(l->column);
        free(l->groups);
        free(l->slots);
        free(l->gaps);
        buf_done(&l->literal);
    }
    free(w->lines);
    buf_done(&w->packed);
    free(w);
}

// --- groups --------------------------------------------------------------------------------------

static void level_reserve(struct level *l, uint32_t count)
{
    if (count <= l->room)
        return;
    l->room = count;
    l->slots_room = 16;
    while (l->slots_room < 2 * count)
        l->slots_room *= 2;
    l->gap_of = realloc(l->gap_of, ((size_t)count + 1) * sizeof *l->gap_of);
    l->number = realloc(l->number, count * sizeof *l->number);
    l->order = realloc(l->order, count * sizeof *l->order);
    l->column = realloc(l->column, count * sizeof *l->column);
    l->groups = realloc(l->groups, count * sizeof *l->groups);
    l->slots = realloc(l->slots, l->slots_room * sizeof *l->slots);
    assert(l->gap_of && l->number && l->order && l->column && l->groups && l->slots);
}

// Where the gaps of the next text go.
static struct split_span *room_for_gaps(struct level *l)
{
    if (l->gaps_room - l->gaps_count < SPLIT_GAPS_MAX) {
        l->gaps_room = 2 * l->gaps_room + 4 * SPLIT_GAPS_MAX;
        l->gaps = realloc(l->gaps, l->gaps_room * sizeof *l->gaps);
        assert(l->gaps != NULL);
    }
    return l->gaps + l->gaps_count;
}

// Whether two texts have the same bytes between their gaps (X1).
static bool is_alike(const uint8_t *text, const struct level *l, const struct split_span *texts,
                     uint32_t a, uint32_t b)
{
    uint32_t gaps = l->gap_of[a + 1] - l->gap_of[a];
    if (l->gap_of[b + 1] - l->gap_of[b] != gaps)
        return false;
    const struct split_span *gap_a = l->gaps + l->gap_of[a], *gap_b = l->gaps + l->gap_of[b];
    uint32_t pos_a = texts[a].pos, pos_b = texts[b].pos;
    for (uint32_t i = 0; i < gaps; i++) {
        if (gap_a[i].pos - pos_a != gap_b[i].pos - pos_b ||
            memcmp(text + pos_a, text + pos_b, gap_a[i].pos - pos_a) != 0)
            return false;
        pos_a = gap_a[i].pos + gap_a[i].len;
        pos_b = gap_b[i].pos + gap_b[i].len;
    }
    uint32_t tail = texts[a].pos + texts[a].len - pos_a;
    return texts[b].pos + texts[b].len - pos_b == tail &&
           memcmp(text + pos_a, text + pos_b, tail) == 0;
}

// Cuts all texts and finds the group of each.
static void find_groups(const struct split_writer *w, struct level *l, const struct split_span *texts,
                        uint32_t count, unsigned depth)
{
    uint32_t slots = 16;
    while (slots < 2 * count)
        slots *= 2;
    memset(l->slots, 0, slots * sizeof *l->slots);
    l->gaps_count = l->groups_count = 0;
    l->gap_of[0] = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t gaps;
        uint64_t hash = split_cut(w->text, texts[i], depth, room_for_gaps(l), &gaps);
        l->gaps_count += gaps;
        l->gap_of[i + 1] = (uint32_t)l->gaps_count;
        uint32_t at = (uint32_t)hash & (slots - 1);
        for (; l->slots[at] != 0; at = (at + 1) & (slots - 1)) {
            const struct group *g = &l->groups[l->slots[at] - 1];
            if (g->hash == hash && is_alike(w->text, l, texts, g->first, i))
                break;
        }
        if (l->slots[at] == 0) {
            l->groups[l->groups_count++] = (struct group){.hash = hash, .first = i};
            l->slots[at] = l->groups_count;
        }
        l->number[i] = l->slots[at] - 1;
        l->groups[l->number[i]].count++;
    }
}

// Numbers the groups that become templates, and then texts instead of groups; those of no template
// have the number after the last. How many texts have one.
static uint32_t number_templates(struct level *l, uint32_t count, uint32_t *templates_out)
{
    uint32_t templates = 0, covered = 0;
    for (uint32_t i = 0; i < l->groups_count; i++) {
        struct group *g = &l->groups[i];
        g->number = UINT32_MAX;
        if (g->count < GROUP_MIN || templates == SPLIT_CODES_MAX - 1) // one is left for the rest
            continue;
        g->number = templates++;
        covered += g->count;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number = l->groups[l->number[i]].number;
        l->number[i] = number < templates ? number : templates;
    }
    *templates_out = templates;
    return covered;
}

// --- lists ---------------------------------------------------------------------------------------

struct traits {
    uint64_t bytes;
    uint32_t least, most; // bytes of one
    bool hex, other;      // some have more than digits; more than digits and a to f
    bool numbers;         // all are 0 to 255 in decimal
};

static unsigned number_of(const uint8_t *at, uint32_t len)
{
    unsigned value = 0;
    for (uint32_t i = 0; i < len; i++)
        value = value * 10 + at[i] - '0';
    return value;
}

static struct traits look_at(const uint8_t *text, const struct split_span *v, uint32_t count)
{
    struct traits t = {.least = UINT32_MAX, .numbers = true};
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *at = text + v[i].pos;
        uint32_t len = v[i].len;
        t.bytes += len;
        t.least = len < t.least ? len : t.least;
        t.most = len > t.most ? len : t.most;
        uint8_t all = 0;
        for (uint32_t k = 0; k < len && !t.other; k++) {
            t.other = (split_classes[at[k]] & (CLASS_DIGIT | CLASS_HEX)) == 0;
            all |= split_classes[at[k]];
        }
        t.hex = t.hex || (all & CLASS_HEX) != 0;
        t.numbers = t.numbers && all == CLASS_DIGIT && len <= 3 && (len == 1 || at[0] != '0') &&
                    number_of(at, len) <= UINT8_MAX;
    }
    t.numbers = t.numbers && !t.other;
    return t;
}

struct values {
    struct split_span texts[SPLIT_CODES_MAX];
    uint64_t hashes[SPLIT_CODES_MAX];
    uint16_t slots[VALUE_SLOTS]; // place + 1, or 0; `mask` + 1 of them are in use
    uint32_t mask, count;
    size_t bytes;
};

// The value's number; SPLIT_CODES_MAX: it is one too many.
static uint32_t value_number(struct values *vs, const uint8_t *text, struct split_span v,
                             uint32_t count_max)
{
    const uint8_t *at = text + v.pos;
    uint64_t hash = split_hash(at, v.len);
    uint32_t slot = (uint32_t)hash & vs->mask;
    for (; vs->slots[slot] != 0; slot = (slot + 1) & vs->mask) {
        uint32_t n = vs->slots[slot] - 1u;
        if (vs->hashes[n] == hash && vs->texts[n].len == v.len &&
            memcmp(text + vs->texts[n].pos, at, v.len) == 0)
            return n;
    }
    if (vs->count >= count_max)
        return SPLIT_CODES_MAX;
    vs->texts[vs->count] = v;
    vs->hashes[vs->count] = hash;
    vs->bytes += v.len + 1;
    vs->slots[slot] = (uint16_t)++vs->count;
    return vs->count - 1;
}

// By estimate: codes have the bits that number the values, texts what their class makes of a byte.
// In sixteenths of a byte.
static bool are_values_smaller(const struct values *vs, const struct traits *t, uint32_t count)
{
    unsigned bits = vs->count <= 2 ? 1 : 32 - (unsigned)__builtin_clz(vs->count - 1);
    uint64_t as_values = 11 * (uint64_t)vs->bytes + 2 * (uint64_t)bits * count;
    uint64_t as_texts = (t->other ? 10
                         : t->hex ? 8
                                  : 7) *
                            t->bytes +
                        (t->least != t->most ? 3 * (uint64_t)count : 0);
    return as_values <= as_texts || t->other;
}

// False, and nothing put, where there are too many values.
static bool put_values(struct split_writer *w, const struct traits *t, const struct split_span *v,
                       uint32_t count)
{
    struct values vs;
    vs.count = 0;
    vs.bytes = 0;
    for (vs.mask = 15; vs.mask < count && vs.mask < VALUE_SLOTS - 1;)
        vs.mask = 2 * vs.mask + 1;
    memset(vs.slots, 0, (vs.mask + 1) * sizeof *vs.slots);
    uint8_t *codes = buf_reserve(&w->parts[SPLIT_CODES], count);
    if (codes == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t most = 8 + i / 2; // the sooner seen the better
        most = most < count / 2 ? most : count / 2;
        uint32_t number =
            value_number(&vs, w->text, v[i], most < SPLIT_CODES_MAX ? most : SPLIT_CODES_MAX);
        if (number == SPLIT_CODES_MAX)
            return false;
        codes[i] = (uint8_t)number;
    }
    if (!are_values_smaller(&vs, t, count))
        return false;
    w->parts[SPLIT_CODES].len += count;
    struct buf *head = &w->parts[SPLIT_HEAD];
    put_u8(head, SPLIT_VALUES);
    put_varint(head, vs.count);
    for (uint32_t i = 0; i < vs.count; i++)
        put_prefixed(head, slice_of(w->text + vs.texts[i].pos, vs.texts[i].len));
    w->values_count += vs.count;
    return true;
}

static void put_numbers(struct split_writer *w, const struct split_span *v, uint32_t count)
{
    put_u8(&w->parts[SPLIT_HEAD], SPLIT_NUMBERS);
    for (uint32_t i = 0; i < count; i++)
        put_u8(&w->parts[SPLIT_CODES], (uint8_t)number_of(w->text + v[i].pos, v[i].len));
}

static void put_lengths(struct buf *to, unsigned width, const struct split_span *v, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        for (unsigned byte = 0; byte < 1u << width; byte++)
            put_u8(to, (uint8_t)(v[i].len >> (8 * byte)));
}

// memcpy(), quicker for the few bytes that most are.
static inline void copy(uint8_t *to, const uint8_t *from, uint32_t bytes)
{
    if (bytes > 8) {
        memcpy(to, from, bytes);
    } else if (bytes >= 4) {
        uint64_t both = split_load(from, 4) | split_load(from + bytes - 4, 4) << 32;
        memcpy(to, &both, 4);
        memcpy(to + bytes - 4, (uint8_t *)&both + 4, 4);
    } else {
        for (uint32_t i = 0; i < bytes; i++)
            to[i] = from[i];
    }
}

static void put_texts(struct split_writer *w, const struct traits *t, const struct split_span *v,
                      uint32_t count)
{
    enum split_part part = t->other ? SPLIT_OTHER : t->hex ? SPLIT_HEX : SPLIT_DIGITS;
    uint8_t class = (uint8_t)((part - SPLIT_DIGITS) << SPLIT_CLASS_SHIFT);
    struct buf *head = &w->parts[SPLIT_HEAD];
    if (t->least == t->most) {
        put_u8(head, SPLIT_FIXED | class);
        put_varint(head, t->least);
    } else {
        unsigned width = t->most <= UINT8_MAX ? 0 : t->most <= UINT16_MAX ? 1 : 2;
        put_u8(head, (uint8_t)(SPLIT_TEXTS | class | width << SPLIT_WIDTH_SHIFT));
        put_lengths(&w->parts[SPLIT_LENGTHS], width, v, count);
    }
    uint8_t *to = buf_reserve(&w->parts[part], t->bytes);
    if (to == NULL)
        return;
    for (uint32_t i = 0; i < count; i++) {
        copy(to, w->text + v[i].pos, v[i].len);
        to += v[i].len;
    }
    w->parts[part].len += t->bytes;
}

static bool put_templates(struct split_writer *w, const struct split_span *v, uint32_t count,
                          unsigned depth);

static void put_list(struct split_writer *w, const struct split_span *v, uint32_t count, unsigned depth)
{
    struct traits t = look_at(w->text, v, count);
    if (t.numbers)
        put_numbers(w, v, count);
    else if (!put_values(w, &t, v, count) &&
             !(t.other && t.bytes >= 4 * (uint64_t)count && count >= 2 * GROUP_MIN &&
               put_templates(w, v, count, depth)))
        put_texts(w, &t, v, count);
}

// --- templates -----------------------------------------------------------------------------------

// What texts have in common at both ends, without overlapping in any.
static void common_ends(const uint8_t *text, const struct split_span *v, uint32_t count,
                        uint32_t *front_out, uint32_t *back_out)
{
    const uint8_t *a = text + v[0].pos, *a_end = a + v[0].len;
    uint32_t front = v[0].len, back = v[0].len, least = v[0].len;
    for (uint32_t i = 1; i < count && (front | back) != 0; i++) {
        const uint8_t *b = text + v[i].pos, *b_end = b + v[i].len;
        uint32_t k = 0;
        if (v[i].len == front && front == v[0].len && memcmp(a, b, front) == 0)
            continue; // as the first
        least = v[i].len < least ? v[i].len : least;
        front = front < least ? front : least;
        back = back < least ? back : least;
        while (k < front && a[k] == b[k])
            k++;
        front = k;
        for (k = 0; k < back && *(a_end - 1 - k) == *(b_end - 1 - k);)
            k++;
        back = k;
    }
    *front_out = front;
    *back_out = back < least - front ? back : least - front;
}

// One gap: what all have in common goes to the template's literal, the rest is a list, if there is
// any.
static void put_column(struct split_writer *w, struct level *l, uint32_t count, unsigned depth)
{
    struct split_span *v = l->column, first = v[0];
    uint32_t front, back;
    common_ends(w->text, v, count, &front, &back);
    bool varies = false;
    for (uint32_t i = 0; i < count; i++) {
        v[i] = (struct split_span){v[i].pos + front, v[i].len - front - back};
        varies = varies || v[i].len > 0;
    }
    buf_put(&l->literal, w->text + first.pos, front);
    if (varies) {
        put_prefixed(&w->parts[SPLIT_HEAD], buf_slice(&l->literal));
        buf_reset(&l->literal);
        w->slots_count++;
        put_list(w, v, count, depth + 1);
    }
    buf_put(&l->literal, w->text + first.pos + first.len - back, back);
}

static void end_template(struct split_writer *w, struct level *l)
{
    put_prefixed(&w->parts[SPLIT_HEAD], buf_slice(&l->literal));
    put_u8(&w->parts[SPLIT_HEAD], SPLIT_END);
    buf_reset(&l->literal);
    w->slots_count++;
    w->templates_count++;
}

// The texts `of`, which are alike.
static void put_template(struct split_writer *w, const struct split_span *texts, const uint32_t *of,
                         uint32_t count, unsigned depth)
{
    struct level *l = &w->levels[depth];
    uint32_t first = l->gap_of[of[0]], gaps = l->gap_of[of[0] + 1] - first, pos = texts[of[0]].pos;
    for (uint32_t gap = 0; gap < gaps; gap++) {
        struct split_span shown = l->gaps[first + gap];
        buf_put(&l->literal, w->text + pos, shown.pos - pos);
        pos = shown.pos + shown.len;
        for (uint32_t i = 0; i < count; i++)
            l->column[i] = l->gaps[l->gap_of[of[i]] + gap];
        put_column(w, l, count, depth);
    }
    buf_put(&l->literal, w->text + pos, texts[of[0]].pos + texts[of[0]].len - pos);
    end_template(w, l);
}

// The texts `of`, which have nothing in common: a template that is one gap.
static void put_rest(struct split_writer *w, const struct split_span *texts, const uint32_t *of,
                     uint32_t count, unsigned depth)
{
    struct level *l = &w->levels[depth];
    for (uint32_t i = 0; i < count; i++)
        l->column[i] = texts[of[i]];
    put_column(w, l, count, depth);
    end_template(w, l);
}

// False, and nothing put, where templates say too little of the texts.
static bool put_templates(struct split_writer *w, const struct split_span *texts, uint32_t count,
                          unsigned depth)
{
    if (depth == SPLIT_DEPTH_MAX)
        return false;
    struct level *l = &w->levels[depth];
    level_reserve(l, count);
    find_groups(w, l, texts, count, depth);
    uint32_t templates, covered = number_templates(l, count, &templates);
    if (covered < count / 4 || templates == 0)
        return false;

    uint32_t starts[SPLIT_CODES_MAX + 1] = {0}, ends[SPLIT_CODES_MAX],
                                      all = templates + (covered < count);
    for (uint32_t i = 0; i < count; i++)
        starts[l->number[i] + 1]++;
    for (uint32_t i = 0; i < all; i++)
        starts[i + 1] += starts[i];
    memcpy(ends, starts, sizeof ends);
    put_u8(&w->parts[SPLIT_HEAD], SPLIT_TEMPLATES);
    put_varint(&w->parts[SPLIT_HEAD], all);
    for (uint32_t i = 0; i < count; i++) {
        l->order[ends[l->number[i]]++] = i;
        put_u8(&w->parts[SPLIT_CODES], (uint8_t)l->number[i]);
    }
    for (uint32_t i = 0; i < all; i++) {
        const uint32_t *of = l->order + starts[i];
        if (i < templates)
            put_template(w, texts, of, starts[i + 1] - starts[i], depth);
        else
            put_rest(w, texts, of, starts[i + 1] - starts[i], depth);
    }
    return true;
}

// --- the column ----------------------------------------------------------------------------------

static bool put_part(struct split_writer *w, struct zbuf *z, int level, struct slice raw,
                     struct buf *out, struct err *err)
{
    buf_reset(&w->packed);
    if (!zbuf_compress(z, level, raw, &w->packed, err))
        return false;
    bool pays = w->packed.len + raw.len / 32 <
                raw.len; // what is left as it is decodes at the speed of a copy
    put_varint(out, raw.len << 1 | (pays ? SPLIT_PART_ZSTD : 0));
    if (pays)
        put_prefixed(out, buf_slice(&w->packed));
    else
        buf_put_slice(out, raw);
    return true;
}

static void reset(struct split_writer *w, struct slice text, const uint32_t *line_bytes,
                  uint32_t count)
{
    w->text = text.ptr;
    for (int i = 0; i < SPLIT_PARTS; i++)
        buf_reset(&w->parts[i]);
    w->templates_count = w->slots_count = w->values_count = 0;
    if (count > w->lines_room) {
        w->lines_room = count;
        w->lines = realloc(w->lines, count * sizeof *w->lines);
        assert(w->lines != NULL);
    }
    uint32_t pos = 0;
    for (uint32_t i = 0; i < count; i++) {
        w->lines[i] = (struct split_span){pos, line_bytes[i]};
        pos += line_bytes[i];
    }
    assert(pos == text.len);
}

static bool is_within_bounds(const struct split_writer *w, size_t text_bytes, uint32_t count)
{
    size_t bytes = 0;
    for (int i = 0; i < SPLIT_PARTS; i++)
        bytes += w->parts[i].len;
    return bytes <= split_parts_bytes_max(text_bytes, count) &&
           w->templates_count <= SPLIT_TEMPLATES_MAX && w->slots_count <= SPLIT_SLOTS_MAX &&
           w->values_count <= SPLIT_VALUES_MAX;
}

bool split_write(struct split_writer *w, struct zbuf *z, int level, struct slice text,
                 const uint32_t *line_bytes, uint32_t count, struct buf *out, bool *split_out,
                 struct err *err)
{
    assert(text.len <= BLOCK_RAW_BYTES_MAX);
    reset(w, text, line_bytes, count);
    *split_out = false;
    if (text.len == 0 || !put_templates(w, w->lines, count, 0) ||
        !is_within_bounds(w, text.len, count))
        return true;
    bool bad = false;
    for (int i = 0; i < SPLIT_PARTS; i++)
        bad = bad || w->parts[i].bad;
    for (int i = 0; i < SPLIT_DEPTH_MAX; i++)
        bad = bad || w->levels[i].literal.bad;
    if (bad)
        return err_set(err, ERR_LIMIT, "split: no memory for %zu bytes of lines", text.len);
    put_varint(out, w->templates_count);
    put_varint(out, w->slots_count);
    put_varint(out, w->values_count);
    for (int i = 0; i < SPLIT_PARTS; i++) {
        bool searched = i == SPLIT_HEAD || i == SPLIT_OTHER;
        if (!put_part(w, z, searched ? level : COLUMN_LEVEL, buf_slice(&w->parts[i]), out, err))
            return false;
    }
    *split_out = true;
    return true;
}
