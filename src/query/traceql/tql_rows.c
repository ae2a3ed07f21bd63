/* tql_rows.c -- values of rows; see tql_rows.h. */
#include "query/traceql/tql_rows.h"

static const struct tql_value nil = {.type = TQL_T_NIL};

// --- bits -------------------------------------------------------------------------------------------------

void tql_bits_fill(struct tql_bits *b, uint32_t rows)
{
    *b = (struct tql_bits){0};
    memset(b->words, 0xFF, rows / 64 * 8);
    if (rows % 64 != 0)
        b->words[rows / 64] = (UINT64_C(1) << rows % 64) - 1;
}

bool tql_bits_any(const struct tql_bits *b)
{
    uint64_t all = 0;
    for (size_t i = 0; i < TQL_BITS_WORDS; i++)
        all |= b->words[i];
    return all != 0;
}

uint32_t tql_bits_count(const struct tql_bits *b)
{
    uint32_t count = 0;
    for (size_t i = 0; i < TQL_BITS_WORDS; i++)
        count += (uint32_t)__builtin_popcountll(b->words[i]);
    return count;
}

uint32_t tql_bits_next(const struct tql_bits *b, uint32_t row)
{
    if (row >= SPAN_BLOCK_SPANS_MAX)
        return SPAN_BLOCK_SPANS_MAX;
    uint64_t word = b->words[row >> 6] >> (row & 63);
    if (word != 0)
        return row + (uint32_t)__builtin_ctzll(word);
    for (uint32_t w = (row >> 6) + 1; w < TQL_BITS_WORDS; w++)
        if (b->words[w] != 0)
            return w * 64 + (uint32_t)__builtin_ctzll(b->words[w]);
    return SPAN_BLOCK_SPANS_MAX;
}

// --- columns ----------------------------------------------------------------------------------------------

bool tql_rows_column(struct tql_rows *r, enum span_column column)
{
    return span_block_column(r->block, column, r->err) || (r->failed = true, false);
}

bool tql_rows_dictionary(struct tql_rows *r, enum span_column column)
{
    return span_block_dictionary(r->block, column, r->err) || (r->failed = true, false);
}

bool tql_rows_attribute(struct tql_rows *r, uint32_t attribute, bool values_alone)
{
    bool good = values_alone ? span_block_attribute_values(r->block, attribute, r->err) : span_block_attribute(r->block, attribute, r->err);
    return good || (r->failed = true, false);
}

static bool memory(struct tql_rows *r)
{
    return arena_ok(r->arena, "query", r->err) || (r->failed = true, false);
}

uint64_t tql_rows_duration(const struct tql_rows *r, uint32_t row)
{
    uint64_t duration = r->block->duration_ns[row];
    if (duration <= INT64_MAX)
        return duration;
    // Longer than what a time can hold, or reversed: then it leads before time began.
    uint64_t end;
    return __builtin_add_overflow((uint64_t)r->block->start_ns[row], duration, &end) ? 0 : duration;
}

// --- slots ------------------------------------------------------------------------------------------------

// Row i of a column as a value; `distinct`: of its strings.
static struct tql_value column_value(const struct span_attribute_column *c, const struct tql_value *distinct, uint32_t i)
{
    switch (c->kind) {
    case VALUE_BOOL:   return tql_bool(c->integers[i] != 0);
    case VALUE_INT:    return tql_int(c->integers[i]);
    case VALUE_DOUBLE: return (struct tql_value){.type = TQL_T_FLOAT, .number = c->numbers[i]};
    case VALUE_STRING: case VALUE_ARRAY: return distinct[c->strings.ids[i]];
    default:           return nil;
    }
}

// Of a span that has the key twice the first value counts, which the block's spans alone tell.
static bool first_given(struct tql_rows *r, uint32_t row, struct slice key, struct tql_value *out)
{
    struct span span;
    if (!span_block_span(r->block, row, &span, r->err))
        return r->failed = true, false;
    *out = tql_find(&span.attributes, key);
    return true;
}

static bool spread_column(struct tql_rows *r, uint32_t attribute, struct tql_value *by_row, struct tql_bits *given)
{
    if (!tql_rows_attribute(r, attribute, false))
        return false;
    const struct span_attribute_column *c = &r->block->attributes[attribute];
    struct tql_value *distinct = NULL;
    if (c->kind == VALUE_STRING || c->kind == VALUE_ARRAY) {
        distinct = arena_array(r->arena, c->strings.values_count, sizeof *distinct);
        if (distinct == NULL)
            return memory(r);
        for (uint32_t i = 0; i < c->strings.values_count; i++)
            distinct[i] = tql_of_span_value(&(struct span_value){.kind = c->kind, .bytes = c->strings.values[i]});
    }
    for (uint32_t i = 0; i < c->count; i++) {
        uint32_t row = c->rows[i];
        if (i > 0 && c->rows[i - 1] == row)
            continue;
        if (!tql_bit(given, row)) {
            tql_bit_set(given, row);
            by_row[row] = column_value(c, distinct, i);
        } else if (!first_given(r, row, c->key, &by_row[row])) {
            return false;
        }
    }
    return true;
}

static bool span_slot(struct tql_rows *r, const struct tql_attr *attr, struct tql_slot *slot)
{
    uint32_t first, count;
    span_block_find(r->block, attr->name, &first, &count);
    if (count == 0)
        return true;
    struct tql_value *by_row = arena_zalloc(r->arena, r->block->spans_count * sizeof *by_row);
    struct tql_bits *given = arena_zalloc(r->arena, sizeof *given);
    if (by_row == NULL || given == NULL)
        return memory(r);
    for (uint32_t i = first; i < first + count; i++)
        if (!spread_column(r, i, by_row, given))
            return false;
    slot->by_row = by_row;
    return true;
}

bool tql_rows_resources(struct tql_rows *r, struct slice name)
{
    bool services = slice_eq(name, SLICE("service.name"));
    if (!tql_rows_dictionary(r, SPAN_RESOURCES))
        return false;
    for (uint32_t i = 0; i < r->block->resources_count && services; i++)
        services = r->block->resources[i].service.len > 0;
    return services || tql_rows_dictionary(r, SPAN_RESOURCE_ATTRIBUTES);
}

struct tql_value tql_resource_value(const struct span_resource *resource, struct slice name)
{
    if (resource->service.len > 0 && slice_eq(name, SLICE("service.name")))
        return tql_string(resource->service);
    return tql_find(&resource->attributes, name);
}

static bool origin_slot(struct tql_rows *r, const struct tql_attr *attr, struct tql_slot *slot)
{
    bool resources = attr->scope != TQL_SCOPE_INSTRUMENTATION;
    if (!tql_rows_column(r, resources ? SPAN_RESOURCES : SPAN_SCOPES) || (resources && !tql_rows_resources(r, attr->name)))
        return false;
    uint32_t count = resources ? r->block->resources_count : r->block->scopes_count;
    struct tql_value *values = arena_array(r->arena, count, sizeof *values);
    if (values == NULL)
        return memory(r);
    for (uint32_t i = 0; i < count; i++)
        values[i] = resources ? tql_resource_value(&r->block->resources[i], attr->name)
                              : tql_find(&r->block->scopes[i].attributes, attr->name);
    slot->by_origin = values;
    return true;
}

static bool intrinsic_slot(struct tql_rows *r, enum tql_intrinsic intrinsic)
{
    switch (intrinsic) {
    case TQL_I_DURATION:       return tql_rows_column(r, SPAN_DURATIONS) && tql_rows_column(r, SPAN_STARTS);
    case TQL_I_NAME:           return tql_rows_column(r, SPAN_NAMES);
    case TQL_I_STATUS:         return tql_rows_column(r, SPAN_STATUSES);
    case TQL_I_STATUS_MESSAGE: return tql_rows_column(r, SPAN_MESSAGES);
    case TQL_I_KIND:           return tql_rows_column(r, SPAN_KINDS);
    case TQL_I_SPAN_ID:        return tql_rows_column(r, SPAN_IDS);
    case TQL_I_PARENT_ID:      return tql_rows_column(r, SPAN_PARENTS);
    case TQL_I_TRACE_ID:       return tql_rows_column(r, SPAN_TRACES);
    case TQL_I_EVENT_NAME:     return tql_rows_column(r, SPAN_EVENTS);
    case TQL_I_EVENT_SINCE:    return tql_rows_column(r, SPAN_EVENTS) && tql_rows_column(r, SPAN_STARTS);
    case TQL_I_LINK_TRACE_ID: case TQL_I_LINK_SPAN_ID: return tql_rows_column(r, SPAN_LINKS);
    case TQL_I_INSTRUMENTATION_NAME: case TQL_I_INSTRUMENTATION_VERSION: return tql_rows_column(r, SPAN_SCOPES);
    default:                   return true;
    }
}

bool tql_rows_slot(struct tql_rows *r, const struct tql_attr *attr)
{
    struct tql_slot *slot = &r->slots[attr->number];
    if (slot->ready)
        return true;
    bool good = true;
    switch (attr->scope) {
    case TQL_SCOPE_INTRINSIC:       good = intrinsic_slot(r, attr->intrinsic); break;
    case TQL_SCOPE_SPAN:            good = span_slot(r, attr, slot); break;
    case TQL_SCOPE_ANY:             good = span_slot(r, attr, slot) && origin_slot(r, attr, slot); break;
    case TQL_SCOPE_RESOURCE: case TQL_SCOPE_INSTRUMENTATION: good = origin_slot(r, attr, slot); break;
    case TQL_SCOPE_EVENT:           good = tql_rows_column(r, SPAN_EVENTS); break;
    case TQL_SCOPE_LINK:            good = tql_rows_column(r, SPAN_LINKS); break;
    case TQL_SCOPE_PARENT:          break;
    }
    slot->ready = good;
    return good;
}

// --- values -----------------------------------------------------------------------------------------------

static uint32_t trace_of(const struct span_block *b, uint32_t row)
{
    uint32_t low = 0, high = b->stats.traces_count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (b->trace_first[middle] <= row)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static struct tql_value intrinsic_value(struct tql_rows *r, enum tql_intrinsic intrinsic)
{
    const struct span_block *b = r->block;
    uint32_t row = r->row;
    switch (intrinsic) {
    case TQL_I_DURATION:       return tql_duration(tql_rows_duration(r, row));
    case TQL_I_NAME:           return tql_string(b->names.values[b->names.ids[row]]);
    case TQL_I_STATUS:         return tql_status(b->statuses[row]);
    case TQL_I_STATUS_MESSAGE: return tql_string(b->messages.values[b->messages.ids[row]]);
    case TQL_I_KIND:           return tql_kind(b->kinds[row]);
    case TQL_I_SPAN_ID:        return tql_id_value(&r->eval, b->span_ids[row], SPAN_ID_BYTES, false);
    case TQL_I_PARENT_ID:      return tql_id_value(&r->eval, b->parent_ids[row], SPAN_ID_BYTES, false);
    case TQL_I_TRACE_ID:       return tql_id_value(&r->eval, b->trace_ids[trace_of(b, row)], TRACE_ID_BYTES, true);
    case TQL_I_INSTRUMENTATION_NAME:    return tql_string(b->scopes[b->scope_of[row]].name);
    case TQL_I_INSTRUMENTATION_VERSION: return tql_string(b->scopes[b->scope_of[row]].version);
    default:                   return nil;
    }
}

static struct tql_value rows_value(void *ctx, const struct tql_attr *attr)
{
    struct tql_rows *r = ctx;
    if (r->failed || !tql_rows_slot(r, attr))
        return nil;
    const struct tql_slot *slot = &r->slots[attr->number];
    struct tql_value v = nil;
    switch (attr->scope) {
    case TQL_SCOPE_INTRINSIC:
        return intrinsic_value(r, attr->intrinsic);
    case TQL_SCOPE_SPAN:
        return slot->by_row != NULL ? slot->by_row[r->row] : nil;
    case TQL_SCOPE_ANY:
        v = slot->by_row != NULL ? slot->by_row[r->row] : nil;
        return v.type != TQL_T_NIL ? v : slot->by_origin[r->block->resource_of[r->row]];
    case TQL_SCOPE_RESOURCE:
        return slot->by_origin[r->block->resource_of[r->row]];
    case TQL_SCOPE_INSTRUMENTATION:
        return slot->by_origin[r->block->scope_of[r->row]];
    default:
        return nil;
    }
}

static struct slice rows_events(void *ctx)
{
    struct tql_rows *r = ctx;
    return !r->failed && tql_rows_column(r, SPAN_EVENTS) ? r->block->events[r->row] : (struct slice){0};
}

static struct slice rows_links(void *ctx)
{
    struct tql_rows *r = ctx;
    return !r->failed && tql_rows_column(r, SPAN_LINKS) ? r->block->links[r->row] : (struct slice){0};
}

static uint64_t rows_start(void *ctx)
{
    struct tql_rows *r = ctx;
    return !r->failed && tql_rows_column(r, SPAN_STARTS) ? (uint64_t)r->block->start_ns[r->row] : 0;
}

struct tql_value tql_rows_message(struct tql_rows *r)
{
    if (r->failed || !tql_rows_column(r, SPAN_MESSAGES))
        return nil;
    return tql_string(r->block->messages.values[r->block->messages.ids[r->row]]);
}

bool tql_rows_trace(struct tql_rows *r, uint32_t trace, struct tql_trace *out)
{
    static const enum span_column columns[] = {SPAN_TRACES, SPAN_IDS, SPAN_PARENTS, SPAN_STARTS, SPAN_DURATIONS, SPAN_KINDS,
                                               SPAN_STATUSES, SPAN_NAMES, SPAN_RESOURCES, SPAN_RESOURCE_ATTRIBUTES, SPAN_SCOPES,
                                               SPAN_LINKS};
    const struct span_block *b = r->block;
    for (size_t i = 0; i < COUNT_OF(columns); i++)
        if (!tql_rows_column(r, columns[i]))
            return false;
    uint32_t first = b->trace_first[trace], count = b->trace_first[trace + 1] - first;
    struct span *spans = arena_zalloc(r->arena, count * sizeof *spans);
    if (spans == NULL)
        return memory(r);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = first + i;
        struct span *s = &spans[i];
        memcpy(s->trace_id, b->trace_ids[trace], TRACE_ID_BYTES);
        memcpy(s->span_id, b->span_ids[row], SPAN_ID_BYTES);
        memcpy(s->parent_id, b->parent_ids[row], SPAN_ID_BYTES);
        s->start_ns = (uint64_t)b->start_ns[row];
        s->end_ns = s->start_ns + b->duration_ns[row];
        s->kind = b->kinds[row];
        s->status = b->statuses[row];
        s->name = b->names.values[b->names.ids[row]];
        s->resource = &b->resources[b->resource_of[row]];
        s->scope = &b->scopes[b->scope_of[row]];
        s->links = b->links[row]; // a root's may say that it is none
    }
    tql_trace_begin(out, spans, count, r->arena, r->eval.scratch);
    out->rows = r;
    out->first_row = first;
    return true;
}

struct tql_value tql_rows_value(struct tql_rows *r, const struct tql_attr *attr, uint32_t row)
{
    r->row = row;
    return tql_eval_attr(&r->eval, attr);
}

bool tql_rows_init(struct tql_rows *r, struct span_block *block, uint32_t attrs_count, struct arena *scratch, struct err *err)
{
    static const struct tql_source source = {rows_value, rows_events, rows_links, rows_start};
    *r = (struct tql_rows){.block = block, .arena = block->arena, .err = err};
    r->slots = arena_zalloc(r->arena, (attrs_count + (size_t)1) * sizeof *r->slots);
    r->eval = (struct tql_eval){.source = &source, .ctx = r, .scratch = scratch};
    return memory(r);
}
