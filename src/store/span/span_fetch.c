/* span_fetch.c -- attributes of a block, and whole spans of it; see span_block.h. */
#include "store/span/span_read.h"

#include <assert.h>

// --- attributes ---------------------------------------------------------------------------------------

static const uint32_t *identity(struct span_block *b)
{
    if (b->inside->identity == NULL) {
        uint32_t *rows = arena_array(b->arena, b->spans_count, sizeof *rows);
        for (uint32_t i = 0; rows != NULL && i < b->spans_count; i++)
            rows[i] = i;
        b->inside->identity = rows;
    }
    return b->inside->identity;
}

// The spans that have a value of the column, as often as they have one.
static bool attribute_rows(struct span_block *b, uint32_t attribute, struct err *err)
{
    struct span_attribute_column *c = &b->attributes[attribute];
    struct span_block_inside *in = b->inside;
    if (!span_block_column(b, SPAN_SHAPES, err))
        return false;
    if (in->rows_known) {
        c->rows = in->attributes[attribute].rows;
        return true;
    }
    struct arena_mark mark = arena_mark(b->arena);
    uint32_t *times = arena_zalloc(b->arena, in->shapes_count * sizeof *times); // by shape
    if (times == NULL)
        return arena_ok(b->arena, "span block", err);
    bool once = true;
    for (uint32_t s = 0; s < in->shapes_count; s++) {
        for (uint32_t i = in->shape_first[s]; i < in->shape_first[s + 1]; i++)
            times[s] += in->shape_column[i] == attribute;
        once = once && times[s] == 1;
    }
    uint64_t count = 0;
    for (uint32_t row = 0; row < b->spans_count; row++)
        count += times[b->shape_of[row]];
    if (count != c->count)
        return span_block_corrupt(b, "attributes", err);
    if (once) {
        arena_rewind(b->arena, mark);
        c->rows = identity(b);
        return c->rows != NULL || arena_ok(b->arena, "span block", err);
    }
    uint32_t *rows = arena_array(b->arena, c->count, sizeof *rows), at = 0;
    if (rows == NULL)
        return arena_ok(b->arena, "span block", err);
    for (uint32_t row = 0; row < b->spans_count; row++)
        for (uint32_t n = times[b->shape_of[row]]; n > 0; n--)
            rows[at++] = row;
    c->rows = rows;
    return true;
}

// How many values of each column the rows [from, to) have.
static uint64_t *count_values(const struct span_block *b, uint32_t from, uint32_t to)
{
    const struct span_block_inside *in = b->inside;
    uint64_t *counts = arena_zalloc(b->arena, (b->attributes_count + (size_t)1) * sizeof *counts);
    uint32_t *times = arena_zalloc(b->arena, in->shapes_count * sizeof *times); // of each shape
    if (counts == NULL || times == NULL)
        return NULL;
    for (uint32_t row = from; row < to; row++)
        times[b->shape_of[row]]++;
    for (uint32_t s = 0; s < in->shapes_count; s++)
        for (uint32_t n = in->shape_first[s]; times[s] > 0 && n < in->shape_first[s + 1]; n++)
            counts[in->shape_column[n]] += times[s];
    return counts;
}

bool span_block_attribute_rows(struct span_block *b, struct err *err)
{
    struct span_block_inside *in = b->inside;
    if (in->rows_known)
        return true;
    if (!span_block_column(b, SPAN_SHAPES, err))
        return false;
    const uint64_t *counts = count_values(b, 0, b->spans_count);
    size_t total = 0;
    for (uint32_t i = 0; counts != NULL && i < b->attributes_count; i++) {
        if (counts[i] != b->attributes[i].count)
            return span_block_corrupt(b, "attributes", err);
        total += b->attributes[i].count;
    }
    uint32_t *rows = arena_array(b->arena, total + 1, sizeof *rows);
    uint32_t **next = arena_array(b->arena, b->attributes_count + (size_t)1, sizeof *next);
    if (counts == NULL || rows == NULL || next == NULL)
        return arena_ok(b->arena, "span block", err);
    for (uint32_t i = 0; i < b->attributes_count; i++) {
        in->attributes[i].rows = next[i] = rows;
        rows += b->attributes[i].count;
    }
    for (uint32_t row = 0; row < b->spans_count; row++)
        for (uint32_t n = in->shape_first[b->shape_of[row]];
             n < in->shape_first[b->shape_of[row] + 1]; n++)
            *next[in->shape_column[n]]++ = row;
    in->rows_known = true;
    return true;
}

static bool attribute_strings(struct span_block *b, uint32_t attribute, bool ids, struct err *err)
{
    const struct attribute_inside *inside = &b->inside->attributes[attribute];
    return span_block_strings(b, inside->parts, inside->values, ids, "attributes",
                              &b->attributes[attribute].strings, err);
}

static bool attribute_numbers(struct span_block *b, uint32_t attribute, struct err *err)
{
    struct span_attribute_column *c = &b->attributes[attribute];
    const struct attribute_inside *inside = &b->inside->attributes[attribute];
    const uint64_t *numbers =
        span_block_numbers(b, inside->parts, inside->values, "attributes", err);
    if (numbers == NULL)
        return false;
    if (c->kind != VALUE_DOUBLE) {
        c->integers = (const int64_t *)numbers;
        return true;
    }
    double *doubles = arena_array(b->arena, c->count, sizeof *doubles);
    if (doubles == NULL)
        return arena_ok(b->arena, "span block", err);
    memcpy(doubles, numbers, c->count * sizeof *doubles); // their bits
    c->numbers = doubles;
    return true;
}

bool span_block_attribute_values(struct span_block *b, uint32_t attribute, struct err *err)
{
    const struct span_attribute_column *c = &b->attributes[attribute];
    return span_kind_parts(c->kind) != 2 || c->strings.values != NULL || attribute_strings(b, attribute, false, err);
}

bool span_block_attribute(struct span_block *b, uint32_t attribute, struct err *err)
{
    struct span_attribute_column *c = &b->attributes[attribute];
    if (c->rows != NULL)
        return true;
    if (!attribute_rows(b, attribute, err))
        return false;
    bool good = true;
    if (span_kind_parts(c->kind) == 1)
        good = attribute_numbers(b, attribute, err);
    else if (span_kind_parts(c->kind) == 2)
        good = attribute_strings(b, attribute, true, err);
    if (!good)
        c->rows = NULL; // none of it is there
    return good;
}

void span_block_find(const struct span_block *b, struct slice key, uint32_t *first_out, uint32_t *count_out)
{
    uint32_t low = 0, high = b->attributes_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (slice_cmp(b->attributes[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *first_out = low;
    while (high < b->attributes_count && slice_eq(b->attributes[high].key, key))
        high++;
    *count_out = high - low;
}

// --- some traces
// --------------------------------------------------------------------------------------

// Tells of each attribute which of its values belong to the rows that stay.
static bool narrow_attributes(struct span_block *b, struct err *err)
{
    struct span_block_inside *in = b->inside;
    uint32_t first = in->rows.first, end = first + in->rows.count;
    const uint64_t *before = count_values(b, 0, first), *within = count_values(b, first, end),
                   *behind = count_values(b, end, in->rows.total);
    if (before == NULL || within == NULL || behind == NULL)
        return arena_ok(b->arena, "span block", err);
    for (uint32_t i = 0; i < b->attributes_count; i++) {
        uint32_t total = in->attributes[i].values.total;
        if (before[i] + within[i] + behind[i] != total)
            return span_block_corrupt(b, "attributes", err);
        in->attributes[i].values =
            (struct stretch){total, (uint32_t)before[i], (uint32_t)within[i]};
        b->attributes[i].count = (uint32_t)within[i];
    }
    return true;
}

bool span_block_narrow(struct span_block *b, uint32_t trace, uint32_t count, struct err *err)
{
    struct span_block_inside *in = b->inside;
    assert(in->loaded.ptr == NULL && b->shape_of == NULL && b->span_ids == NULL &&
           b->start_ns == NULL);
    if (!span_block_column(b, SPAN_TRACES, err) || !span_block_load_all(b, err) ||
        !span_block_column(b, SPAN_SHAPES, err))
        return false;
    assert(count > 0 && count <= in->traces && trace <= in->traces - count);
    uint32_t *firsts = arena_array(b->arena, count + (size_t)1, sizeof *firsts);
    if (firsts == NULL)
        return arena_ok(b->arena, "span block", err);
    in->rows.first = in->trace_first[trace];
    in->rows.count = in->trace_first[trace + count] - in->rows.first;
    if (!narrow_attributes(b, err))
        return false;
    for (uint32_t i = 0; i <= count; i++)
        firsts[i] = in->trace_first[trace + i] - in->rows.first;
    b->trace_first = firsts;
    b->trace_ids += trace;
    b->shape_of += in->rows.first;
    b->stats.traces_count = count;
    b->spans_count = b->stats.spans_count = in->rows.count;
    return true;
}

// --- one span -----------------------------------------------------------------------------------------

// The first value of a row that is said to have one; where the last one was looked up, mostly.
static uint32_t first_value(const struct span_attribute_column *c, uint32_t row, uint32_t guess)
{
    if (guess < c->count && c->rows[guess] == row && (guess == 0 || c->rows[guess - 1] < row))
        return guess;
    uint32_t low = 0, high = c->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (c->rows[middle] < row)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct span_value value_at(const struct span_attribute_column *c, uint32_t i)
{
    switch (c->kind) {
    case VALUE_NONE:
        return (struct span_value){.kind = VALUE_NONE};
    case VALUE_BOOL:
        return (struct span_value){.kind = VALUE_BOOL, .flag = c->integers[i] != 0};
    case VALUE_INT:
        return (struct span_value){.kind = VALUE_INT, .integer = c->integers[i]};
    case VALUE_DOUBLE:
        return (struct span_value){.kind = VALUE_DOUBLE, .number = c->numbers[i]};
    default:
        return (struct span_value){.kind = c->kind, .bytes = c->strings.values[c->strings.ids[i]]};
    }
}

static bool take_span_attributes(struct span_block *b, uint32_t row, struct span_attributes *out, struct err *err)
{
    const struct span_block_inside *in = b->inside;
    uint32_t shape = b->shape_of[row], first = in->shape_first[shape];
    out->count = in->shape_first[shape + 1] - first;
    out->items = arena_array(b->arena, out->count, sizeof *out->items);
    if (out->items == NULL)
        return arena_ok(b->arena, "span block", err);
    for (uint32_t i = 0; i < out->count; i++) {
        uint32_t column = in->shape_column[first + i];
        struct span_attribute_column *c = &b->attributes[column];
        if (!span_block_attribute(b, column, err))
            return false;
        uint32_t *next = &in->attributes[column].next;
        uint32_t at = *next; // within the span: behind the last value of the key
        if (at == 0 || at >= c->count || c->rows[at] != row || c->rows[at - 1] != row)
            at = first_value(c, row, at);
        out->items[i] = (struct span_attribute){.key = c->key, .value = value_at(c, at)};
        *next = at + 1;
    }
    return true;
}

static uint32_t trace_of(struct span_block *b, uint32_t row)
{
    uint32_t t = b->inside->trace;
    if (b->trace_first[t] <= row && row < b->trace_first[t + 1])
        return t;
    uint32_t low = 0, high = b->stats.traces_count; // the last that starts at or before the row
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (b->trace_first[middle] <= row)
            low = middle;
        else
            high = middle;
    }
    return b->inside->trace = low;
}

bool span_block_span(struct span_block *b, uint32_t row, struct span *out, struct err *err)
{
    assert(row < b->spans_count);
    for (unsigned column = 0; column < SPAN_COLUMNS_COUNT; column++)
        if (column != SPAN_RESOURCE_ATTRIBUTES && !span_block_column(b, (enum span_column)column, err))
            return false;
    if (!span_block_parse_resource(b, b->resource_of[row], err) || !span_block_attribute_rows(b, err))
        return false;
    uint64_t start = (uint64_t)b->start_ns[row];
    *out = (struct span){
        .start_ns = start,
        .end_ns = start + b->duration_ns[row],
        .kind = b->kinds[row],
        .status = b->statuses[row],
        .flags = b->flags[row],
        .dropped_attributes = b->dropped_attributes[row],
        .dropped_events = b->dropped_events[row],
        .dropped_links = b->dropped_links[row],
        .name = b->names.values[b->names.ids[row]],
        .status_message = b->messages.values[b->messages.ids[row]],
        .trace_state = b->trace_states.values[b->trace_states.ids[row]],
        .events = b->events[row],
        .links = b->links[row],
        .resource = &b->resources[b->resource_of[row]],
        .scope = &b->scopes[b->scope_of[row]],
    };
    memcpy(out->trace_id, b->trace_ids[trace_of(b, row)], TRACE_ID_BYTES);
    memcpy(out->span_id, b->span_ids[row], SPAN_ID_BYTES);
    memcpy(out->parent_id, b->parent_ids[row], SPAN_ID_BYTES);
    return take_span_attributes(b, row, &out->attributes, err);
}
