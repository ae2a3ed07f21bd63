/*
 * split_read.c -- templates and columns to lines; see split.h.
 *
 * Everything that the lists say is checked when they are read: codes are below the number of values
 * or templates, parts have the bytes that codes, lengths and texts come to. Putting lines together
 * then looks at their lengths only. Lines are put together template by template, so that the
 * processor sees the same steps again and again; a line's end is where the lengths say.
 *
 * Y1  Copies are rounded up to 16 or 32 bytes: sources have SPLIT_PAD_BYTES behind them, and what lies behind a line, which
 *     may be there already, is put back.
 * Y2  Every text of a list takes at least a byte of a part, so work is bounded by the parts, and they by the lines.
 */
#include "base/codec.h"
#include "base/limits.h"
#include "store/segment/split.h"
#include "store/segment/split_format.h"

struct value {
    const uint8_t *ptr;
    uint32_t len;
};

// A literal and the list behind it; the last of a template has none (SPLIT_END).
struct slot {
    const uint8_t *literal;
    uint32_t literal_bytes;
    uint8_t kind; // enum split_kind
    uint8_t length_bytes;
    uint32_t text_bytes;  // of each, where fixed
    const uint8_t *texts; // the next one
    const uint8_t *codes; // the next one, or the next length
    const struct value *values;
    struct slot **templates;
    struct slot *next;
};

struct line_place {
    uint32_t pos, len;
};

struct split_reader {
    struct rd parts[SPLIT_PARTS];
    // What is left of the memory that the column asked for.
    struct slot *slots;
    struct slot **templates;
    struct value *values;
    uint32_t slots_left, templates_left, values_left;
};

// --- lists ---------------------------------------------------------------------------------------

static struct slot *take_template(struct split_reader *r, uint32_t count, unsigned depth);

static bool take_values(struct split_reader *r, struct slot *s, uint32_t count)
{
    struct rd *head = &r->parts[SPLIT_HEAD], *codes = &r->parts[SPLIT_CODES];
    uint32_t values = (uint32_t)rd_varint_max(head, SPLIT_CODES_MAX);
    s->codes = rd_bytes(codes, count).ptr;
    if (head->bad || codes->bad || values > r->values_left)
        return false;
    for (uint32_t i = 0; i < values; i++) {
        struct slice text = rd_prefixed(head);
        r->values[i] = (struct value){text.ptr, (uint32_t)text.len};
    }
    s->values = r->values;
    r->values += values;
    r->values_left -= values;
    uint32_t most = 0;
    for (uint32_t i = 0; i < count; i++)
        most = s->codes[i] > most ? s->codes[i] : most;
    return !head->bad && most < values;
}

static inline uint32_t length_at(const uint8_t *at, unsigned bytes)
{
    return bytes == 1 ? at[0] : bytes == 2 ? (uint32_t)at[0] | (uint32_t)at[1] << 8 : le_u32(at);
}

static bool take_texts(struct split_reader *r, struct slot *s, uint8_t form, uint32_t count)
{
    unsigned class = form >> SPLIT_CLASS_SHIFT & 3, width = form >> SPLIT_WIDTH_SHIFT;
    struct rd *head = &r->parts[SPLIT_HEAD], *lengths = &r->parts[SPLIT_LENGTHS];
    if (class > SPLIT_OTHER - SPLIT_DIGITS || width > 2)
        return false;
    struct rd *texts = &r->parts[SPLIT_DIGITS + class];
    uint64_t sum = 0;
    if (s->kind == SPLIT_FIXED) {
        s->text_bytes = (uint32_t)rd_varint_max(head, BLOCK_RAW_BYTES_MAX);
        sum = (uint64_t)s->text_bytes * count;
        if (s->text_bytes == 0 || width > 0)
            return false;
    } else {
        s->length_bytes = (uint8_t)(1u << width);
        s->codes = rd_bytes(lengths, (size_t)count * s->length_bytes).ptr;
        for (uint32_t i = 0; i < count && !lengths->bad; i++)
            sum += length_at(s->codes + (size_t)i * s->length_bytes, s->length_bytes);
    }
    s->texts = rd_bytes(texts, sum).ptr;
    return !head->bad && !lengths->bad && !texts->bad;
}

static bool take_templates(struct split_reader *r, struct slot *s, uint32_t count, unsigned depth)
{
    uint32_t counts[SPLIT_CODES_MAX] = {0};
    struct rd *head = &r->parts[SPLIT_HEAD], *codes = &r->parts[SPLIT_CODES];
    uint32_t templates = (uint32_t)rd_varint_max(head, SPLIT_CODES_MAX);
    s->codes = rd_bytes(codes, count).ptr;
    if (head->bad || codes->bad || templates > r->templates_left || depth == SPLIT_DEPTH_MAX)
        return false;
    s->templates = r->templates;
    r->templates += templates;
    r->templates_left -= templates;
    for (uint32_t i = 0; i < count; i++)
        counts[s->codes[i]]++;
    for (uint32_t i = templates; i < SPLIT_CODES_MAX; i++)
        if (counts[i] != 0)
            return false;
    for (uint32_t i = 0; i < templates; i++)
        if ((s->templates[i] = take_template(r, counts[i], depth + 1)) == NULL)
            return false;
    return true;
}

static bool take_list(struct split_reader *r, struct slot *s, uint8_t form, uint32_t count,
                      unsigned depth)
{
    s->kind = form & SPLIT_KIND_MASK;
    if (s->kind == SPLIT_FIXED || s->kind == SPLIT_TEXTS)
        return take_texts(r, s, form, count);
    if (s->kind != form)
        return false;
    if (s->kind == SPLIT_VALUES)
        return take_values(r, s, count);
    if (s->kind == SPLIT_TEMPLATES)
        return take_templates(r, s, count, depth);
    s->codes = rd_bytes(&r->parts[SPLIT_CODES], count).ptr;
    return s->kind == SPLIT_NUMBERS && !r->parts[SPLIT_CODES].bad;
}

// NULL: it does not add up.
static struct slot *take_template(struct split_reader *r, uint32_t count, unsigned depth)
{
    struct rd *head = &r->parts[SPLIT_HEAD];
    struct slot *first = NULL, **last = &first;
    while (r->slots_left > 0) {
        struct slot *s = r->slots++;
        r->slots_left--;
        *last = s;
        last = &s->next;
        struct slice literal = rd_prefixed(head);
        *s = (struct slot){
            .literal = literal.ptr, .literal_bytes = (uint32_t)literal.len, .kind = SPLIT_END};
        uint8_t form = rd_u8(head);
        if (head->bad)
            return NULL;
        if (form == SPLIT_END)
            return first;
        if (!take_list(r, s, form, count, depth))
            return NULL;
    }
    return NULL;
}

// --- lines ---------------------------------------------------------------------------------------

static inline void copy_literal(uint8_t *to, const uint8_t *from, size_t bytes)
{
    memcpy(to, from, 16);
    for (size_t i = 16; UNLIKELY(i < bytes); i += 16)
        memcpy(to + i, from + i, 16);
}

// Texts vary in length: what a branch on it would be told wrong is more than what 16 bytes cost.
static inline void copy_text(uint8_t *to, const uint8_t *from, size_t bytes)
{
    memcpy(to, from, 32);
    for (size_t i = 32; UNLIKELY(i < bytes); i += 16)
        memcpy(to + i, from + i, 16);
}

// 0 to 255 in decimal; writes four bytes. The number's length.
static inline unsigned put_number(uint8_t *to, unsigned v)
{
    unsigned hundreds = v * 41 >> 12, tens = v * 205 >> 11,
             len = 1 + (v > 9) + (v > 99); // exact up to 255
    le_put_u32(to, (0x303030 | hundreds | (tens - 10 * hundreds) << 8 | (v - 10 * tens) << 16) >>
                       (8 * (3 - len)));
    return len;
}

// Puts the next text of a template together, up to `end`. Where it ends; NULL: it would pass the
// end.
static uint8_t *put_text(struct slot *s, uint8_t *to, const uint8_t *end)
{
    for (;; s = s->next) {
        size_t room = (size_t)(end - to), literal = s->literal_bytes, bytes;
        const uint8_t *from;
        if (UNLIKELY(literal > room))
            return NULL;
        copy_literal(to, s->literal, literal);
        to += literal;
        room -= literal;
        switch ((enum split_kind)s->kind) {
        case SPLIT_VALUES: {
            const struct value *v = &s->values[*s->codes++];
            from = v->ptr;
            bytes = v->len;
            break;
        }
        case SPLIT_NUMBERS: {
            unsigned number = *s->codes++;
            bytes = put_number(to, number);
            if (UNLIKELY(bytes > room))
                return NULL;
            to += bytes;
            continue;
        }
        case SPLIT_FIXED:
            from = s->texts;
            bytes = s->text_bytes;
            s->texts += bytes;
            break;
        case SPLIT_TEXTS:
            from = s->texts;
            bytes = s->length_bytes == 1 ? *s->codes : length_at(s->codes, s->length_bytes);
            s->codes += s->length_bytes;
            s->texts += bytes;
            break;
        case SPLIT_TEMPLATES:
            to = put_text(s->templates[*s->codes++], to, end);
            if (UNLIKELY(to == NULL))
                return NULL;
            continue;
        case SPLIT_END:
        default:
            return to;
        }
        if (UNLIKELY(bytes > room))
            return NULL;
        copy_text(to, from, bytes);
        to += bytes;
    }
}

static bool put_line(struct slot *template, uint8_t *to, uint32_t bytes)
{
    uint8_t behind[SPLIT_PAD_BYTES], *end = to + bytes;
    memcpy(behind, end, sizeof behind);
    if (put_text(template, to, end) != end)
        return false;
    memcpy(end, behind, sizeof behind);
    return true;
}

// Lines by the template that each has: ends[t] is where those of t end in `places`.
static void sort_lines(const struct slot *root, const uint32_t *line_bytes, uint32_t count,
                       struct line_place *places, uint32_t ends[SPLIT_CODES_MAX])
{
    uint32_t counts[SPLIT_CODES_MAX] = {0}, sum = 0, pos = 0;
    for (uint32_t i = 0; i < count; i++)
        counts[root->codes[i]]++;
    for (uint32_t t = 0; t < SPLIT_CODES_MAX; t++) {
        ends[t] = sum;
        sum += counts[t];
    }
    for (uint32_t i = 0; i < count; i++) {
        places[ends[root->codes[i]]++] = (struct line_place){pos, line_bytes[i]};
        pos += line_bytes[i];
    }
}

static bool put_lines(const struct slot *root, const uint32_t *line_bytes, uint32_t count,
                      struct line_place *places, uint8_t *to)
{
    uint32_t ends[SPLIT_CODES_MAX], at = 0;
    sort_lines(root, line_bytes, count, places, ends);
    for (uint32_t t = 0; at < count; t++)
        for (; at < ends[t]; at++)
            if (!put_line(root->templates[t], to + places[at].pos, places[at].len))
                return false;
    return true;
}

// --- the column ----------------------------------------------------------------------------------

struct part_place {
    struct slice stored;
    size_t raw_bytes;
    bool packed;
};

// Where the parts are, and what they come to.
static bool find_parts(struct rd *r, struct part_place parts[SPLIT_PARTS], size_t bytes_max,
                       size_t *bytes_out)
{
    *bytes_out = 0;
    for (int i = 0; i < SPLIT_PARTS; i++) {
        uint64_t form = rd_varint_max(r, bytes_max << 1 | SPLIT_PART_ZSTD);
        parts[i].raw_bytes = form >> 1;
        parts[i].packed = (form & SPLIT_PART_ZSTD) != 0;
        parts[i].stored = parts[i].packed ? rd_prefixed(r) : rd_bytes(r, parts[i].raw_bytes);
        *bytes_out += parts[i].raw_bytes;
    }
    return !r->bad && rd_left(r) == 0 && *bytes_out <= bytes_max;
}

static bool unpack_parts(struct split_reader *r, const struct part_place parts[SPLIT_PARTS],
                         uint8_t *to, struct zbuf *z, struct err *err)
{
    for (int i = 0; i < SPLIT_PARTS; i++) {
        const struct part_place *p = &parts[i];
        if (p->packed && !zbuf_decompress(z, p->stored, to, p->raw_bytes, err))
            return false;
        if (!p->packed && p->raw_bytes > 0)
            memcpy(to, p->stored.ptr, p->raw_bytes);
        r->parts[i] = rd_of(slice_of(to, p->raw_bytes));
        to += p->raw_bytes;
    }
    return true;
}

static bool is_all_read(const struct split_reader *r)
{
    for (int i = 0; i < SPLIT_PARTS; i++)
        if (rd_left(&r->parts[i]) != 0)
            return false;
    return r->slots_left == 0 && r->templates_left == 0 && r->values_left == 0;
}

bool split_read(struct slice stored, const uint32_t *line_bytes, uint32_t count, uint8_t *to,
                size_t raw_bytes, struct zbuf *z, struct buf *scratch, struct err *err)
{
    struct rd r = rd_of(stored);
    struct part_place parts[SPLIT_PARTS];
    struct split_reader d;
    d.templates_left = (uint32_t)rd_varint_max(&r, SPLIT_TEMPLATES_MAX);
    d.slots_left = (uint32_t)rd_varint_max(&r, SPLIT_SLOTS_MAX);
    d.values_left = (uint32_t)rd_varint_max(&r, SPLIT_VALUES_MAX);
    size_t bytes;
    if (!find_parts(&r, parts, split_parts_bytes_max(raw_bytes, count), &bytes))
        return err_set(err, ERR_CORRUPT, "split: parts do not add up");

    // One piece of memory, in the order of alignment.
    size_t slots_bytes = d.slots_left * sizeof *d.slots,
           templates_bytes = d.templates_left * sizeof *d.templates,
           values_bytes = d.values_left * sizeof *d.values,
           places_bytes = count * sizeof(struct line_place);
    buf_reset(scratch);
    uint8_t *memory = buf_reserve(scratch, slots_bytes + templates_bytes + values_bytes +
                                               places_bytes + bytes + SPLIT_PAD_BYTES);
    if (memory == NULL)
        return err_set(err, ERR_LIMIT, "split: no memory for %zu bytes", bytes);
    d.slots = (struct slot *)(void *)memory;
    d.templates = (struct slot **)(void *)(memory += slots_bytes);
    d.values = (struct value *)(void *)(memory += templates_bytes);
    struct line_place *places = (struct line_place *)(void *)(memory += values_bytes);
    memory += places_bytes;

    struct slot root = {.kind = SPLIT_TEMPLATES};
    if (!unpack_parts(&d, parts, memory, z, err))
        return err_wrap(err, "split");
    if (rd_u8(&d.parts[SPLIT_HEAD]) != SPLIT_TEMPLATES || !take_templates(&d, &root, count, 0) ||
        !is_all_read(&d))
        return err_set(err, ERR_CORRUPT, "split: lists do not add up");
    return put_lines(&root, line_bytes, count, places, to) ||
           err_set(err, ERR_CORRUPT, "split: lines do not add up");
}
