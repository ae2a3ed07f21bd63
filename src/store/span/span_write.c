/*
 * span_write.c -- spans to columns, columns to a block; see span_block.h and docs/format.md "Span blocks".
 *
 * Adding a span takes it apart: strings become numbers of dictionaries, attributes go to the column of their key and kind.
 * Which columns those are is guessed from the last span of the same name, and mostly right: then nothing is hashed but
 * values that differ from the last in their column. Memory is kept from block to block.
 */
#include "base/codec.h"
#include "base/hash.h"
#include "base/zbuf.h"
#include "store/span_block.h"
#include "store/span/span_dict.h"
#include "store/span/span_format.h"
#include "store/span/span_numbers.h"

#include <assert.h>
#include <stdlib.h>

enum { KEPT_BYTES_MAX = 32 << 20 }; // of columns between two blocks
enum {
    NUMBERS_ROOM_MIN = 8,
    COLUMNS_ROOM_MIN = 64,
    STAT_OTHERS_BIT = 31,
    HEAD_LEVEL = 1,
    PIECE_GAIN_PART = 16,
    PIECE_GAIN_BYTES = 128
};

struct numbers { // owned, growing
    uint64_t *items;
    uint32_t count, room;
};

struct strings {
    struct dict dict;
    struct numbers ids;
};

struct column { // of one attribute
    struct dict dict;      // of strings, arrays, maps and bytes
    struct numbers values; // numbers of the dictionary; else the values, doubles by their bits
};

struct span_block_writer {
    int level;
    struct zbuf *z; // owned
    uint32_t spans_count;
    size_t bytes; // about the spans' on the wire
    struct span_block_stats stats;
    // One a span.
    struct buf span_ids, parent_ids;
    struct numbers starts; // differences
    struct numbers durations, kinds, statuses;
    struct numbers flags, dropped_attributes, dropped_events, dropped_links;
    struct strings names, messages, states, resources, scopes;
    struct numbers event_bytes, link_bytes;
    struct buf events, links;
    // One a trace.
    struct buf trace_ids;
    struct numbers trace_counts;
    uint64_t block_start_ns, trace_start_ns, last_start_ns;
    // Attributes.
    struct dict column_names; // a byte of kind, then the key
    struct column **columns;  // owned; columns_room, of which column_names.count are in use
    uint32_t columns_room;
    struct strings shapes;         // values: u32 numbers of columns
    struct numbers shape_of_name;  // the last span's of that name
    struct buf shape;              // of the span that is added
    // Of span_block_flush().
    struct pieces pieces;
    struct buf head, body, packed;
    struct numbers scratch;
    uint32_t *slots; // owned, slots_room; rows + 1 by span ID
    uint32_t slots_room;
};

// --- memory -------------------------------------------------------------------------------------------

static void numbers_grow(struct numbers *n)
{
    n->room = n->room == 0 ? NUMBERS_ROOM_MIN : n->room * 2;
    n->items = realloc(n->items, n->room * sizeof *n->items);
    assert(n->items != NULL);
}

static inline void push(struct numbers *n, uint64_t value)
{
    if (UNLIKELY(n->count == n->room))
        numbers_grow(n);
    n->items[n->count++] = value;
}

static void strings_done(struct strings *s)
{
    dict_done(&s->dict);
    free(s->ids.items);
}

static void strings_reset(struct strings *s)
{
    dict_reset(&s->dict);
    s->ids.count = 0;
}

static void column_free(struct column *c)
{
    if (c == NULL)
        return;
    dict_done(&c->dict);
    free(c->values.items);
    free(c);
}

struct span_block_writer *span_block_writer_new(int level)
{
    struct span_block_writer *w = calloc(1, sizeof *w);
    assert(w != NULL);
    w->level = level;
    w->z = zbuf_new();
    return w;
}

void span_block_writer_free(struct span_block_writer *w)
{
    if (w == NULL)
        return;
    struct numbers *numbers[] = {&w->starts, &w->durations, &w->kinds, &w->statuses, &w->flags,
                                 &w->dropped_attributes, &w->dropped_events, &w->dropped_links, &w->event_bytes,
                                 &w->link_bytes, &w->trace_counts, &w->shape_of_name, &w->scratch};
    for (size_t i = 0; i < COUNT_OF(numbers); i++)
        free(numbers[i]->items);
    struct buf *bufs[] = {&w->span_ids, &w->parent_ids, &w->events, &w->links, &w->trace_ids, &w->shape, &w->head,
                          &w->body, &w->packed};
    for (size_t i = 0; i < COUNT_OF(bufs); i++)
        buf_done(bufs[i]);
    struct strings *strings[] = {&w->names, &w->messages, &w->states, &w->resources, &w->scopes, &w->shapes};
    for (size_t i = 0; i < COUNT_OF(strings); i++)
        strings_done(strings[i]);
    for (uint32_t i = 0; i < w->columns_room; i++)
        column_free(w->columns[i]);
    free(w->columns);
    dict_done(&w->column_names);
    pieces_done(&w->pieces);
    zbuf_free(w->z);
    free(w->slots);
    free(w);
}

static void writer_reset(struct span_block_writer *w)
{
    struct numbers *numbers[] = {&w->starts, &w->durations, &w->kinds, &w->statuses, &w->flags,
                                 &w->dropped_attributes, &w->dropped_events, &w->dropped_links, &w->event_bytes,
                                 &w->link_bytes, &w->trace_counts, &w->shape_of_name};
    for (size_t i = 0; i < COUNT_OF(numbers); i++)
        numbers[i]->count = 0;
    struct buf *bufs[] = {&w->span_ids, &w->parent_ids, &w->events, &w->links, &w->trace_ids};
    for (size_t i = 0; i < COUNT_OF(bufs); i++)
        buf_reset(bufs[i]);
    struct strings *strings[] = {&w->names, &w->messages, &w->states, &w->resources, &w->scopes, &w->shapes};
    for (size_t i = 0; i < COUNT_OF(strings); i++)
        strings_reset(strings[i]);
    size_t kept_bytes = 0;
    for (uint32_t i = 0; i < w->columns_room; i++) {
        struct column *c = w->columns[i];
        if (c == NULL)
            continue;
        kept_bytes += sizeof *c + c->values.room * sizeof *c->values.items + dict_room_bytes(&c->dict);
        if (kept_bytes > KEPT_BYTES_MAX) {
            column_free(c);
            w->columns[i] = NULL;
        } else {
            dict_reset(&c->dict);
            c->values.count = 0;
        }
    }
    dict_reset(&w->column_names);
    w->spans_count = 0;
    w->bytes = 0;
}

// --- adding -------------------------------------------------------------------------------------------

uint32_t span_block_spans(const struct span_block_writer *w)
{
    return w->spans_count;
}

bool span_block_full(const struct span_block_writer *w)
{
    return w->spans_count >= SPAN_BLOCK_SPANS || w->bytes >= SPAN_BLOCK_BYTES ||
           w->column_names.count >= SPAN_BLOCK_COLUMNS_MAX;
}

bool span_block_nearly_full(const struct span_block_writer *w)
{
    return w->spans_count >= SPAN_BLOCK_SPANS - SPAN_BLOCK_SPANS / 16 || w->bytes >= SPAN_BLOCK_BYTES - SPAN_BLOCK_BYTES / 16;
}

static uint32_t add_string(struct strings *s, struct slice value)
{
    uint32_t last = s->ids.count > 0 ? (uint32_t)s->ids.items[s->ids.count - 1] : 0;
    uint32_t number =
        s->ids.count > 0 && slice_eq(value, dict_value(&s->dict, last)) ? last : dict_number(&s->dict, value);
    push(&s->ids, number);
    return number;
}

static void add_origin(struct span_block_writer *w, struct strings *s, struct slice bytes)
{
    uint32_t before = s->dict.count;
    (void)add_string(s, bytes);
    if (s->dict.count > before)
        w->bytes += bytes.len;
}

static bool is_column(const struct span_block_writer *w, uint32_t column, const struct span_attribute *a)
{
    struct slice name = dict_value(&w->column_names, column);
    return name.len == a->key.len + 1 && name.ptr[0] == a->value.kind &&
           (a->key.len == 0 || memcmp(name.ptr + 1, a->key.ptr, a->key.len) == 0);
}

static uint32_t find_column(struct span_block_writer *w, const struct span_attribute *a)
{
    buf_reset(&w->head); // not in use while spans are added
    put_u8(&w->head, (uint8_t)a->value.kind);
    buf_put_slice(&w->head, a->key);
    uint32_t column = dict_number(&w->column_names, buf_slice(&w->head));
    if (column == w->columns_room) {
        uint32_t room = column == 0 ? COLUMNS_ROOM_MIN : column * 2;
        w->columns = realloc(w->columns, room * sizeof *w->columns);
        assert(w->columns != NULL);
        memset(w->columns + w->columns_room, 0, (room - w->columns_room) * sizeof *w->columns);
        w->columns_room = room;
    }
    if (w->columns[column] == NULL) {
        w->columns[column] = calloc(1, sizeof **w->columns);
        assert(w->columns[column] != NULL);
    }
    return column;
}

static void add_value(struct column *c, const struct span_value *value)
{
    uint64_t bits;
    switch (value->kind) {
    case VALUE_NONE:
        push(&c->values, 0);
        return;
    case VALUE_BOOL:
        push(&c->values, value->flag);
        return;
    case VALUE_INT:
        push(&c->values, (uint64_t)value->integer);
        return;
    case VALUE_DOUBLE:
        memcpy(&bits, &value->number, sizeof bits);
        push(&c->values, bits);
        return;
    default:
        break;
    }
    uint32_t last = c->values.count > 0 ? (uint32_t)c->values.items[c->values.count - 1] : 0;
    bool same = c->values.count > 0 && slice_eq(value->bytes, dict_value(&c->dict, last));
    push(&c->values, same ? last : dict_number(&c->dict, value->bytes));
}

static size_t attribute_bytes(const struct span_attribute *a)
{
    enum { FRAMING_BYTES = 10 }; // and numbers
    return a->key.len + FRAMING_BYTES + (span_kind_parts(a->value.kind) == 2 ? a->value.bytes.len : 0);
}

static void add_attributes(struct span_block_writer *w, const struct span_attributes *all, uint32_t name)
{
    while (w->shape_of_name.count <= name)
        push(&w->shape_of_name, UINT64_MAX);
    uint64_t guess = w->shape_of_name.items[name];
    struct slice guessed = guess == UINT64_MAX ? SLICE("") : dict_value(&w->shapes.dict, (uint32_t)guess);
    const uint32_t *columns = (const uint32_t *)(const void *)guessed.ptr; // whole numbers from a malloced start
    uint32_t columns_count = (uint32_t)(guessed.len / sizeof *columns);
    bool right = guess != UINT64_MAX && columns_count == all->count;

    buf_reset(&w->shape);
    uint32_t *shape = (uint32_t *)(void *)buf_reserve(&w->shape, all->count * sizeof *shape);
    assert(shape != NULL);
    for (uint32_t i = 0; i < all->count; i++) {
        const struct span_attribute *a = &all->items[i];
        if (i < columns_count && is_column(w, columns[i], a)) {
            shape[i] = columns[i];
        } else {
            shape[i] = find_column(w, a);
            right = false;
        }
        add_value(w->columns[shape[i]], &a->value);
        w->bytes += attribute_bytes(a);
    }
    uint64_t number =
        right ? guess : dict_number(&w->shapes.dict, slice_of(shape, all->count * sizeof *shape));
    push(&w->shapes.ids, number);
    w->shape_of_name.items[name] = number;
}

static void add_times(struct span_block_writer *w, const struct span *span)
{
    struct slice last = slice_of(w->trace_ids.ptr, w->trace_ids.len);
    bool first = w->spans_count == 0;
    if (!first && memcmp(last.ptr + last.len - TRACE_ID_BYTES, span->trace_id, TRACE_ID_BYTES) == 0) {
        push(&w->starts, span->start_ns - w->last_start_ns); // differences wrap, and wrap back
        w->trace_counts.items[w->trace_counts.count - 1]++;
    } else {
        if (first)
            w->block_start_ns = w->trace_start_ns = span->start_ns;
        push(&w->starts, span->start_ns - w->trace_start_ns);
        w->trace_start_ns = span->start_ns;
        buf_put(&w->trace_ids, span->trace_id, TRACE_ID_BYTES);
        push(&w->trace_counts, 1);
    }
    w->last_start_ns = span->start_ns;
    push(&w->durations, span->end_ns - span->start_ns);
}

static uint32_t stat_bit(int32_t value, int32_t largest)
{
    return UINT32_C(1) << (value >= 0 && value <= largest ? value : STAT_OTHERS_BIT);
}

static void add_stats(struct span_block_writer *w, const struct span *span)
{
    struct span_block_stats *s = &w->stats;
    int64_t start = span_time(span->start_ns), end = span_time(span->end_ns);
    uint64_t duration = span_duration(span);
    if (w->spans_count == 0)
        *s = (struct span_block_stats){.start_min_ns = start, .start_max_ns = start, .end_max_ns = end,
                                       .duration_min_ns = duration, .duration_max_ns = duration};
    s->start_min_ns = start < s->start_min_ns ? start : s->start_min_ns;
    s->start_max_ns = start > s->start_max_ns ? start : s->start_max_ns;
    s->end_max_ns = end > s->end_max_ns ? end : s->end_max_ns;
    s->duration_min_ns = duration < s->duration_min_ns ? duration : s->duration_min_ns;
    s->duration_max_ns = duration > s->duration_max_ns ? duration : s->duration_max_ns;
    s->status_mask |= stat_bit(span->status, STATUS_ERROR);
    s->kind_mask |= stat_bit(span->kind, KIND_CONSUMER);
}

void span_block_add(struct span_block_writer *w, const struct span *span)
{
    enum { FIXED_BYTES = 64 }; // of a span: IDs, times, numbers
    assert(w->spans_count < SPAN_BLOCK_SPANS_MAX && span->resource != NULL && span->scope != NULL);
    add_stats(w, span);
    add_times(w, span);
    buf_put(&w->span_ids, span->span_id, SPAN_ID_BYTES);
    buf_put(&w->parent_ids, span->parent_id, SPAN_ID_BYTES);
    push(&w->kinds, (uint32_t)span->kind);
    push(&w->statuses, (uint32_t)span->status);
    push(&w->flags, span->flags);
    push(&w->dropped_attributes, span->dropped_attributes);
    push(&w->dropped_events, span->dropped_events);
    push(&w->dropped_links, span->dropped_links);
    uint32_t name = add_string(&w->names, span->name);
    (void)add_string(&w->messages, span->status_message);
    (void)add_string(&w->states, span->trace_state);
    add_origin(w, &w->resources, span->resource->bytes);
    add_origin(w, &w->scopes, span->scope->bytes);
    push(&w->event_bytes, span->events.len);
    buf_put_slice(&w->events, span->events);
    push(&w->link_bytes, span->links.len);
    buf_put_slice(&w->links, span->links);
    w->bytes += FIXED_BYTES + span->name.len + span->status_message.len + span->trace_state.len + span->events.len +
                span->links.len;
    add_attributes(w, &span->attributes, name);
    w->spans_count++;
}

// --- parts --------------------------------------------------------------------------------------------

// One piece: compressed if that is worth what decoding it costs.
static bool put_piece(struct span_block_writer *w, struct slice raw, struct err *err)
{
    buf_reset(&w->packed);
    if (!zbuf_compress(w->z, w->level, raw, &w->packed, err))
        return false;
    bool worth = w->packed.len + raw.len / PIECE_GAIN_PART + PIECE_GAIN_BYTES < raw.len;
    put_varint(&w->body, raw.len << 1 | (worth ? PIECE_ZSTD : 0));
    if (worth)
        put_prefixed(&w->body, buf_slice(&w->packed));
    else
        buf_put_slice(&w->body, raw);
    return true;
}

// What is in w->pieces, as the next part.
static bool put_part(struct span_block_writer *w, struct err *err)
{
    struct pieces *p = &w->pieces;
    struct slice raw = buf_slice(&p->bytes);
    if (p->bytes.bad || raw.len > SPAN_BLOCK_RAW_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "part of a span block of %zu bytes", raw.len);
    struct span_part_place place = {.encoding = PART_PIECES, .raw_bytes = (uint32_t)raw.len};
    size_t from = w->body.len, at = 0;
    for (unsigned i = 0; i <= p->cuts_count && w->level > 0; i++) {
        size_t to = i < p->cuts_count ? p->cuts[i] : raw.len;
        if (!put_piece(w, slice_of(raw.ptr + at, to - at), err))
            return false;
        at = to;
    }
    if (w->level == 0 || w->body.len - from >= raw.len) { // incompressible, or tiny
        w->body.len = from;
        buf_put_slice(&w->body, raw);
        place.encoding = PART_RAW;
    }
    if (w->body.bad)
        return err_set(err, ERR_LIMIT, "span block: no memory for %zu bytes", w->body.len);
    place.stored_bytes = (uint32_t)(w->body.len - from);
    place.check = hash64(slice_of(w->body.ptr + from, place.stored_bytes));
    put_u8(&w->head, place.encoding);
    put_varint(&w->head, place.stored_bytes);
    put_varint(&w->head, place.raw_bytes);
    put_u64(&w->head, place.check);
    pieces_reset(p);
    return true;
}

static bool put_bytes_part(struct span_block_writer *w, const struct buf *bytes, struct err *err)
{
    buf_put_slice(&w->pieces.bytes, buf_slice(bytes));
    return put_part(w, err);
}

static bool put_numbers_part(struct span_block_writer *w, const struct numbers *n, struct err *err)
{
    numbers_put(&w->pieces, n->items, n->count);
    return put_part(w, err);
}

static bool put_texts_part(struct span_block_writer *w, const struct numbers *lengths, struct slice text,
                           struct err *err)
{
    numbers_put(&w->pieces, lengths->items, lengths->count);
    pieces_cut(&w->pieces, text.len);
    buf_put_slice(&w->pieces.bytes, text);
    return put_part(w, err);
}

static bool put_values_part(struct span_block_writer *w, const struct dict *dict, struct err *err)
{
    w->scratch.count = 0;
    for (uint32_t i = 0; i < dict->count; i++)
        push(&w->scratch, dict_value(dict, i).len);
    put_varint(&w->pieces.bytes, dict->count);
    return put_texts_part(w, &w->scratch, buf_slice(&dict->text), err);
}

static bool put_ids_part(struct span_block_writer *w, const struct numbers *ids, uint32_t values_count,
                         struct err *err)
{
    if (values_count <= NUMBERS_TABLE_MAX) { // a byte each, whatever they are
        put_u8(&w->pieces.bytes, IDS_PLAIN);
        return put_numbers_part(w, ids, err);
    }
    put_u8(&w->pieces.bytes, IDS_RECENT);
    w->scratch.count = 0;
    uint64_t next = 0;
    for (uint32_t i = 0; i < ids->count; i++) {
        push(&w->scratch, ids->items[i] == next ? 0 : next - ids->items[i]);
        next += ids->items[i] == next;
    }
    return put_numbers_part(w, &w->scratch, err);
}

static bool put_strings_parts(struct span_block_writer *w, const struct strings *s, struct err *err)
{
    return put_values_part(w, &s->dict, err) && put_ids_part(w, &s->ids, s->dict.count, err);
}

// --- parents ------------------------------------------------------------------------------------------

static uint32_t *slot_of(struct span_block_writer *w, uint32_t slots_count, const uint8_t *id)
{
    uint64_t key = le_u64(id);
    uint32_t at = (uint32_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (slots_count - 1);
    while (w->slots[at] != 0 && memcmp(w->span_ids.ptr + (w->slots[at] - 1) * (size_t)SPAN_ID_BYTES, id, SPAN_ID_BYTES) != 0)
        at = (at + 1) & (slots_count - 1);
    return &w->slots[at];
}

// Codes to w->scratch, IDs that are not among the trace's spans to `far`.
static void find_parents(struct span_block_writer *w, uint32_t first, uint32_t count, struct buf *far)
{
    static const uint8_t none[SPAN_ID_BYTES];
    uint32_t slots_count = 4;
    while (slots_count < count * 2)
        slots_count *= 2;
    if (slots_count > w->slots_room) {
        free(w->slots);
        w->slots = malloc(slots_count * sizeof *w->slots);
        assert(w->slots != NULL);
        w->slots_room = slots_count;
    }
    memset(w->slots, 0, slots_count * sizeof *w->slots);
    for (uint32_t row = first; row < first + count; row++) {
        uint32_t *slot = slot_of(w, slots_count, w->span_ids.ptr + (size_t)row * SPAN_ID_BYTES);
        if (*slot == 0)
            *slot = row + 1;
    }
    for (uint32_t row = first; row < first + count; row++) {
        const uint8_t *id = w->parent_ids.ptr + (size_t)row * SPAN_ID_BYTES;
        if (memcmp(id, none, sizeof none) == 0) {
            push(&w->scratch, PARENT_NONE);
            continue;
        }
        uint32_t found = *slot_of(w, slots_count, id);
        if (found == 0) {
            push(&w->scratch, PARENT_FAR);
            buf_put(far, id, SPAN_ID_BYTES);
            continue;
        }
        int64_t back = (int64_t)row - (int64_t)(found - 1);
        push(&w->scratch, PARENT_NEAR + ((uint64_t)back << 1 ^ (uint64_t)(back >> 63)));
    }
}

static bool put_parents(struct span_block_writer *w, struct err *err)
{
    struct buf far AUTO(buf_done);
    buf_init(&far, 0);
    w->scratch.count = 0;
    uint32_t first = 0;
    for (uint32_t i = 0; i < w->trace_counts.count; i++) {
        find_parents(w, first, (uint32_t)w->trace_counts.items[i], &far);
        first += (uint32_t)w->trace_counts.items[i];
    }
    return put_numbers_part(w, &w->scratch, err) && put_bytes_part(w, &far, err);
}

// --- attributes and shapes ----------------------------------------------------------------------------

static int by_key_then_kind(const void *left, const void *right, void *ctx)
{
    const struct span_block_writer *w = ctx;
    struct slice a = dict_value(&w->column_names, *(const uint32_t *)left);
    struct slice b = dict_value(&w->column_names, *(const uint32_t *)right);
    int order = slice_cmp(slice_from(a, 1), slice_from(b, 1));
    return order != 0 ? order : (a.ptr[0] > b.ptr[0]) - (a.ptr[0] < b.ptr[0]);
}

// Shapes name columns by their places in the block: `rank` has those.
static bool put_shapes(struct span_block_writer *w, const uint32_t *rank, struct err *err)
{
    struct buf text AUTO(buf_done);
    buf_init(&text, 0);
    w->scratch.count = 0;
    for (uint32_t i = 0; i < w->shapes.dict.count; i++) {
        struct slice shape = dict_value(&w->shapes.dict, i);
        size_t from = text.len;
        for (size_t at = 0; at < shape.len; at += sizeof(uint32_t)) {
            uint32_t column;
            memcpy(&column, shape.ptr + at, sizeof column);
            put_varint(&text, rank[column]);
        }
        push(&w->scratch, text.len - from);
    }
    put_varint(&w->pieces.bytes, w->shapes.dict.count);
    return put_texts_part(w, &w->scratch, buf_slice(&text), err) &&
           put_ids_part(w, &w->shapes.ids, w->shapes.dict.count, err);
}

static bool put_attributes(struct span_block_writer *w, const uint32_t *order, struct err *err)
{
    put_varint(&w->head, w->column_names.count);
    for (uint32_t i = 0; i < w->column_names.count; i++) {
        struct slice name = dict_value(&w->column_names, order[i]);
        const struct column *c = w->columns[order[i]];
        put_prefixed(&w->head, slice_from(name, 1));
        put_u8(&w->head, name.ptr[0]);
        put_varint(&w->head, c->values.count);
        switch (span_kind_parts((enum span_value_kind)name.ptr[0])) {
        case 0:
            break;
        case 1:
            if (!put_numbers_part(w, &c->values, err))
                return false;
            break;
        default:
            if (!put_values_part(w, &c->dict, err) || !put_ids_part(w, &c->values, c->dict.count, err))
                return false;
        }
    }
    return true;
}

// --- the block ----------------------------------------------------------------------------------------

static bool put_rest(struct span_block_writer *w, struct err *err)
{
    numbers_put(&w->pieces, w->flags.items, w->spans_count);
    numbers_put(&w->pieces, w->dropped_attributes.items, w->spans_count);
    numbers_put(&w->pieces, w->dropped_events.items, w->spans_count);
    numbers_put(&w->pieces, w->dropped_links.items, w->spans_count);
    return put_part(w, err);
}

static bool put_starts(struct span_block_writer *w, struct err *err)
{
    put_u64(&w->pieces.bytes, w->block_start_ns);
    return put_numbers_part(w, &w->starts, err);
}

// The parts in the order of enum span_part, then the attributes'.
static bool put_parts(struct span_block_writer *w, const uint32_t *order, const uint32_t *rank, struct err *err)
{
    put_varint(&w->head, w->spans_count);
    put_varint(&w->head, w->trace_counts.count);
    return put_numbers_part(w, &w->statuses, err) && put_numbers_part(w, &w->durations, err) &&
           put_numbers_part(w, &w->kinds, err) && put_numbers_part(w, &w->trace_counts, err) && put_starts(w, err) &&
           put_strings_parts(w, &w->names, err) && put_strings_parts(w, &w->resources, err) &&
           put_shapes(w, rank, err) && put_bytes_part(w, &w->trace_ids, err) &&
           put_bytes_part(w, &w->span_ids, err) && put_parents(w, err) && put_strings_parts(w, &w->scopes, err) &&
           put_strings_parts(w, &w->messages, err) && put_strings_parts(w, &w->states, err) &&
           put_texts_part(w, &w->event_bytes, buf_slice(&w->events), err) &&
           put_texts_part(w, &w->link_bytes, buf_slice(&w->links), err) && put_rest(w, err) &&
           put_attributes(w, order, err);
}

static void freep(uint32_t **ptr)
{
    free(*ptr);
}

bool span_block_flush(struct span_block_writer *w, struct buf *out, struct span_block_place *place, struct err *err)
{
    assert(w->spans_count > 0);
    uint32_t columns = w->column_names.count;
    uint32_t *order AUTO(freep) = malloc((2 * (size_t)columns + 1) * sizeof *order), *rank = order + columns;
    assert(order != NULL);
    for (uint32_t i = 0; i < columns; i++)
        order[i] = i;
    qsort_r(order, columns, sizeof *order, by_key_then_kind, w);
    for (uint32_t i = 0; i < columns; i++)
        rank[order[i]] = i;

    buf_reset(&w->head);
    buf_reset(&w->body);
    pieces_reset(&w->pieces);
    size_t from = out->len;
    if (!put_parts(w, order, rank, err))
        return false;
    if (w->head.len > SPAN_BLOCK_RAW_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "head of a span block of %zu bytes", w->head.len);
    put_u32(out, (uint32_t)w->head.len);
    if (!zbuf_compress(w->z, HEAD_LEVEL, buf_slice(&w->head), out, err))
        return false;
    *place = (struct span_block_place){.head_bytes = (uint32_t)(out->len - from), .stats = w->stats};
    place->head_check = hash64(slice_of(out->ptr + from, place->head_bytes));
    place->stats.spans_count = w->spans_count;
    place->stats.traces_count = w->trace_counts.count;
    buf_put_slice(out, buf_slice(&w->body));
    if (out->bad || out->len - from > UINT32_MAX)
        return err_set(err, ERR_LIMIT, "span block of %zu bytes", w->body.len);
    place->total_bytes = (uint32_t)(out->len - from);
    writer_reset(w);
    return true;
}
