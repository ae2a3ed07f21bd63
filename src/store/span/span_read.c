/*
 * span_read.c -- a block's bytes to columns; see span_block.h and docs/format.md "Span blocks".
 * span_strings.c has parts of texts, span_fetch.c attributes and whole spans.
 *
 * Nothing that a block says is believed: counts are compared with what they count, numbers with
 * what they are places in, and every part is consumed to its last byte. What is not so is
 * ERR_CORRUPT.
 */
#include "base/codec.h"
#include "base/hash.h"
#include "store/span_block.h"
#include "store/span/span_format.h"
#include "store/span/span_numbers.h"
#include "store/span/span_read.h"

#include <assert.h>

static const char *const column_names[SPAN_COLUMNS_COUNT] = {
    [SPAN_TRACES] = "traces",       [SPAN_IDS] = "ids",         [SPAN_PARENTS] = "parents",   [SPAN_STARTS] = "starts",
    [SPAN_DURATIONS] = "durations", [SPAN_KINDS] = "kinds",     [SPAN_STATUSES] = "statuses", [SPAN_NAMES] = "names",
    [SPAN_MESSAGES] = "messages",   [SPAN_STATES] = "states",   [SPAN_RESOURCES] = "resources",
    [SPAN_RESOURCE_ATTRIBUTES] = "resources",
    [SPAN_SCOPES] = "scopes",       [SPAN_SHAPES] = "shapes",   [SPAN_EVENTS] = "events",     [SPAN_LINKS] = "links",
    [SPAN_REST] = "rest",
};

bool span_block_corrupt(const struct span_block *b, const char *what, struct err *err)
{
    return arena_ok(b->arena, "span block", err) && err_set(err, ERR_CORRUPT, "span block: %s: contents do not add up", what);
}

// --- head ---------------------------------------------------------------------------------------------

static void take_part(struct rd *r, uint64_t *pos, struct part *out)
{
    out->place.encoding = rd_u8(r);
    out->place.stored_bytes = (uint32_t)rd_varint_max(r, SPAN_BLOCK_RAW_BYTES_MAX);
    out->place.raw_bytes = (uint32_t)rd_varint_max(r, SPAN_BLOCK_RAW_BYTES_MAX);
    out->place.check = rd_u64(r);
    out->pos = *pos;
    *pos += out->place.stored_bytes;
}

static bool ascends(const struct span_attribute_column *a, const struct span_attribute_column *b)
{
    int order = slice_cmp(a->key, b->key);
    return order < 0 || (order == 0 && a->kind < b->kind);
}

static bool take_attributes(struct span_block *b, struct rd *r, uint64_t *pos)
{
    b->attributes_count = (uint32_t)rd_varint_max(r, rd_left(r)); // each takes more than a byte
    b->attributes = arena_array(b->arena, b->attributes_count, sizeof *b->attributes);
    b->inside->attributes = arena_array(b->arena, b->attributes_count, sizeof *b->inside->attributes);
    if (r->bad || b->attributes == NULL || b->inside->attributes == NULL)
        return false;
    for (uint32_t i = 0; i < b->attributes_count; i++) {
        struct span_attribute_column *a = &b->attributes[i];
        struct attribute_inside *inside = &b->inside->attributes[i];
        *a = (struct span_attribute_column){.key = rd_prefixed(r), .kind = (enum span_value_kind)rd_u8(r)};
        *inside = (struct attribute_inside){.next = 0};
        a->count = (uint32_t)rd_varint_max(r, SPAN_BLOCK_VALUES_MAX);
        if (r->bad || a->kind > VALUE_BYTES || a->count == 0 || (i > 0 && !ascends(a - 1, a)))
            return false;
        for (unsigned k = 0; k < span_kind_parts(a->kind); k++)
            take_part(r, pos, &inside->parts[k]);
        inside->values = stretch_all(a->count);
    }
    return true;
}

static bool take_head(struct span_block *b, struct slice raw, const struct span_block_place *place)
{
    struct rd r = rd_of(raw);
    uint64_t pos = place->head_bytes;
    b->spans_count = (uint32_t)rd_varint_max(&r, SPAN_BLOCK_SPANS_MAX);
    uint64_t traces = rd_varint_max(&r, b->spans_count);
    if (traces == 0 || b->spans_count != place->stats.spans_count || traces != place->stats.traces_count)
        return false;
    b->inside->rows = stretch_all(b->spans_count);
    b->inside->traces = (uint32_t)traces;
    for (unsigned i = 0; i < PARTS_COUNT; i++)
        take_part(&r, &pos, &b->inside->parts[i]);
    b->inside->end = place->total_bytes;
    return take_attributes(b, &r, &pos) && rd_consumed(&r) && pos == place->total_bytes;
}

bool span_block_open(const struct span_block_place *place, span_block_read_fn read, void *ctx, struct zbuf *z,
                     struct arena *a, struct span_block *out, struct err *err)
{
    struct slice stored, raw;
    *out = (struct span_block){.stats = place->stats, .arena = a, .inside = arena_zalloc(a, sizeof *out->inside)};
    if (out->inside == NULL)
        return arena_ok(a, "span block", err);
    *out->inside = (struct span_block_inside){.read = read, .ctx = ctx, .z = z, .read_bytes = place->head_bytes};
    if (!read(ctx, 0, place->head_bytes, a, &stored, err))
        return false;
    if (stored.len != place->head_bytes || hash64(stored) != place->head_check)
        return err_set(err, ERR_CORRUPT, "span block: head: checksum does not match");
    struct rd r = rd_of(stored);
    size_t raw_bytes = rd_u32(&r);
    if (r.bad || raw_bytes > SPAN_BLOCK_RAW_BYTES_MAX)
        return span_block_corrupt(out, "head", err);
    uint8_t *to = arena_alloc(a, raw_bytes);
    if (to == NULL)
        return arena_ok(a, "span block", err);
    raw = slice_of(to, raw_bytes);
    if (!zbuf_decompress(z, rd_bytes(&r, rd_left(&r)), to, raw_bytes, err))
        return err_wrap(err, "span block: head");
    return take_head(out, raw, place) || span_block_corrupt(out, "head", err);
}

uint64_t span_block_read_bytes(const struct span_block *b)
{
    return b->inside->read_bytes;
}

// --- parts --------------------------------------------------------------------------------------------

static bool decode_pieces(struct zbuf *z, struct slice stored, uint8_t *to, size_t bytes, struct err *err)
{
    struct rd r = rd_of(stored);
    while (rd_left(&r) > 0) {
        uint64_t form = rd_varint(&r), piece = form >> 1;
        if (r.bad || piece > bytes)
            return err_set(err, ERR_CORRUPT, "pieces do not add up");
        if (form & PIECE_ZSTD) {
            struct slice packed = rd_prefixed(&r);
            if (r.bad)
                return err_set(err, ERR_CORRUPT, "pieces do not add up");
            if (!zbuf_decompress(z, packed, to, (size_t)piece, err))
                return false;
        } else {
            struct slice plain = rd_bytes(&r, (size_t)piece);
            if (r.bad)
                return err_set(err, ERR_CORRUPT, "pieces do not add up");
            memcpy(to, plain.ptr, plain.len);
        }
        to += piece;
        bytes -= (size_t)piece;
    }
    return bytes == 0 || err_set(err, ERR_CORRUPT, "pieces do not add up");
}

static bool decode_part(struct span_block *b, const struct part *part, struct slice stored, struct slice *raw,
                        struct err *err)
{
    const struct span_part_place *p = &part->place;
    if (hash64(stored) != p->check)
        return err_set(err, ERR_CORRUPT, "checksum does not match");
    if (p->encoding == PART_RAW && p->raw_bytes == p->stored_bytes) {
        *raw = stored;
        return true;
    }
    if (p->encoding != PART_PIECES)
        return err_set(err, ERR_CORRUPT, "encoding %u is not known here", p->encoding);
    uint8_t *to = arena_alloc(b->arena, p->raw_bytes);
    if (to == NULL)
        return arena_ok(b->arena, "span block", err);
    *raw = slice_of(to, p->raw_bytes);
    return decode_pieces(b->inside->z, stored, to, p->raw_bytes, err);
}

static bool read_stored(struct span_block *b, uint64_t pos, size_t bytes, struct slice *out,
                        const char *what, struct err *err)
{
    struct span_block_inside *in = b->inside;
    if (in->loaded.ptr != NULL) {
        *out = slice_of(in->loaded.ptr + (pos - in->parts[0].pos), bytes);
        return true;
    }
    if (!in->read(in->ctx, pos, bytes, b->arena, out, err))
        return false;
    if (out->len != bytes)
        return err_set(err, ERR_CORRUPT, "span block: %s: %zu bytes instead of %zu", what, out->len,
                       bytes);
    in->read_bytes += bytes;
    return true;
}

bool span_block_load_all(struct span_block *b, struct err *err)
{
    struct span_block_inside *in = b->inside;
    return in->loaded.ptr != NULL ||
           read_stored(b, in->parts[0].pos, (size_t)(in->end - in->parts[0].pos), &in->loaded,
                       "parts", err);
}

bool span_block_load(struct span_block *b, const struct part *parts, unsigned count, struct slice *raws, const char *what,
                 struct err *err)
{
    size_t bytes = 0;
    struct slice stored;
    for (unsigned i = 0; i < count; i++)
        bytes += parts[i].place.stored_bytes;
    if (!read_stored(b, parts[0].pos, bytes, &stored, what, err))
        return false;
    for (unsigned i = 0; i < count; i++) {
        if (!decode_part(b, &parts[i], slice_of(stored.ptr, parts[i].place.stored_bytes), &raws[i], err))
            return err_wrap(err, "span block: %s", what);
        stored = slice_from(stored, parts[i].place.stored_bytes);
    }
    return true;
}

// --- columns ------------------------------------------------------------------------------------------

// What is only read through is given back: `mark` lies behind what stays.
static bool read_through(struct span_block *b, struct arena_mark mark, bool good, const char *what, struct err *err)
{
    if (!good)
        return span_block_corrupt(b, what, err);
    arena_rewind(b->arena, mark);
    return true;
}

static const uint32_t *numbers32_column(struct span_block *b, enum span_part part, const char *what, struct err *err)
{
    struct slice raw;
    uint32_t *out = arena_array(b->arena, b->spans_count, sizeof *out);
    struct arena_mark mark = arena_mark(b->arena);
    if (!span_block_load(b, &b->inside->parts[part], 1, &raw, what, err))
        return NULL;
    struct rd r = rd_of(raw);
    bool good = out != NULL && numbers_take32(&r, b->inside->rows, out) && rd_consumed(&r);
    return read_through(b, mark, good, what, err) ? out : NULL;
}

const uint64_t *span_block_numbers(struct span_block *b, const struct part *part,
                                   struct stretch which, const char *what, struct err *err)
{
    struct slice raw;
    uint64_t *out = arena_array(b->arena, which.count, sizeof *out);
    struct arena_mark mark = arena_mark(b->arena);
    if (!span_block_load(b, part, 1, &raw, what, err))
        return NULL;
    struct rd r = rd_of(raw);
    bool good = out != NULL && numbers_take64(&r, which, out) && rd_consumed(&r);
    return read_through(b, mark, good, what, err) ? out : NULL;
}

static bool trace_counts(struct span_block *b, struct err *err)
{
    struct slice raw;
    if (b->trace_first != NULL)
        return true;
    uint32_t traces = b->stats.traces_count, sum = 0;
    uint32_t *first = arena_array(b->arena, traces + (size_t)1, sizeof *first);
    if (first == NULL)
        return arena_ok(b->arena, "span block", err);
    if (!span_block_load(b, &b->inside->parts[PART_TRACE_COUNTS], 1, &raw, "traces", err))
        return false;
    struct rd r = rd_of(raw);
    if (!numbers_take32(&r, stretch_all(traces), first) || !rd_consumed(&r)) // the counts
        return span_block_corrupt(b, "traces", err);
    for (uint32_t i = 0; i < traces; i++) {
        uint32_t count = first[i];
        if (count == 0 || count > b->spans_count - sum)
            return span_block_corrupt(b, "traces", err);
        first[i] = sum;
        sum += count;
    }
    first[traces] = sum;
    if (sum != b->spans_count)
        return span_block_corrupt(b, "traces", err);
    b->trace_first = b->inside->trace_first = first;
    return true;
}

static bool traces_column(struct span_block *b, struct err *err)
{
    struct slice raw;
    if (!trace_counts(b, err) || !span_block_load(b, &b->inside->parts[PART_TRACE_IDS], 1, &raw, "traces", err))
        return false;
    if (raw.len != (size_t)b->stats.traces_count * TRACE_ID_BYTES)
        return span_block_corrupt(b, "traces", err);
    b->trace_ids = (const uint8_t(*)[TRACE_ID_BYTES])raw.ptr;
    return true;
}

static bool ids_column(struct span_block *b, struct err *err)
{
    struct slice raw;
    if (!span_block_load(b, &b->inside->parts[PART_SPAN_IDS], 1, &raw, "ids", err))
        return false;
    struct span_block_inside *in = b->inside;
    if (raw.len != (size_t)in->rows.total * SPAN_ID_BYTES)
        return span_block_corrupt(b, "ids", err);
    in->span_ids = (const uint8_t(*)[SPAN_ID_BYTES])raw.ptr;
    b->span_ids = in->span_ids + in->rows.first;
    return true;
}

// `codes`: of all rows as stored.
static bool place_parents(const struct span_block_inside *in, const uint32_t *codes,
                          struct slice far, uint8_t (*out)[SPAN_ID_BYTES])
{
    size_t far_count = 0, at = 0;
    for (uint32_t i = 0; i < in->rows.total; i++)
        far_count += codes[i] == PARENT_FAR;
    for (uint32_t i = 0; i < in->rows.first; i++)
        at += codes[i] == PARENT_FAR;
    if (far.len != far_count * SPAN_ID_BYTES)
        return false;
    for (uint32_t i = 0; i < in->rows.count; i++) {
        uint32_t own = in->rows.first + i;
        if (codes[own] == PARENT_NONE) {
            memset(out[i], 0, SPAN_ID_BYTES);
        } else if (codes[own] == PARENT_FAR) {
            memcpy(out[i], far.ptr + at++ * SPAN_ID_BYTES, SPAN_ID_BYTES);
        } else {
            uint32_t code = codes[own] - PARENT_NEAR,
                     row = own - (code >> 1 ^ -(code & 1)); // wraps to what is refused
            if (row >= in->rows.total)
                return false;
            memcpy(out[i], in->span_ids[row], SPAN_ID_BYTES);
        }
    }
    return true;
}

static bool parents_column(struct span_block *b, struct err *err)
{
    struct slice raws[2];
    if (!span_block_column(b, SPAN_IDS, err))
        return false;
    uint8_t(*ids)[SPAN_ID_BYTES] = arena_array(b->arena, b->spans_count, sizeof *ids);
    struct arena_mark mark = arena_mark(b->arena);
    struct stretch all = stretch_all(b->inside->rows.total);
    uint32_t *codes = arena_array(b->arena, all.count, sizeof *codes);
    if (!span_block_load(b, &b->inside->parts[PART_PARENTS], 2, raws, "parents", err))
        return false;
    struct rd r = rd_of(raws[0]);
    bool good = ids != NULL && codes != NULL && numbers_take32(&r, all, codes) && rd_consumed(&r) &&
                place_parents(b->inside, codes, raws[1], ids);
    if (!read_through(b, mark, good, "parents", err))
        return false;
    b->parent_ids = (const uint8_t(*)[SPAN_ID_BYTES])ids;
    return true;
}

static bool starts_column(struct span_block *b, struct err *err)
{
    struct slice raw;
    if (!trace_counts(b, err))
        return false;
    const struct span_block_inside *in = b->inside;
    struct stretch told = {in->rows.total, 0,
                           in->rows.first + in->rows.count}; // each builds on those before
    uint64_t *starts = arena_array(b->arena, told.count, sizeof *starts);
    struct arena_mark mark = arena_mark(b->arena);
    if (!span_block_load(b, &in->parts[PART_STARTS], 1, &raw, "starts", err))
        return false;
    struct rd r = rd_of(raw);
    uint64_t trace_start = rd_u64(&r);
    bool good = starts != NULL && numbers_take64(&r, told, starts) && rd_consumed(&r);
    if (!read_through(b, mark, good, "starts", err))
        return false;
    for (uint32_t t = 0; in->trace_first[t] < told.count; t++) { // differences to times
        uint64_t at = trace_start += starts[in->trace_first[t]];
        starts[in->trace_first[t]] = at;
        for (uint32_t i = in->trace_first[t] + 1; i < in->trace_first[t + 1]; i++)
            starts[i] = at += starts[i];
    }
    b->start_ns = (const int64_t *)starts + in->rows.first;
    return true;
}

static bool strings_column(struct span_block *b, enum span_part values_part, const char *what, bool ids,
                           struct span_strings *s, struct err *err)
{
    return span_block_strings(b, &b->inside->parts[values_part], b->inside->rows, ids, what, s,
                              err);
}

static bool parse_resources(struct span_block *b, const struct span_strings *s, struct err *err)
{
    struct span_resource *resources = arena_zalloc(b->arena, s->values_count * sizeof *resources);
    b->inside->resources_parsed = arena_zalloc(b->arena, s->values_count * sizeof *b->inside->resources_parsed);
    if (resources == NULL || b->inside->resources_parsed == NULL)
        return arena_ok(b->arena, "span block", err);
    for (uint32_t i = 0; i < s->values_count; i++) {
        resources[i].bytes = s->values[i];
        if (!span_resource_service(s->values[i], &resources[i].service, err))
            return err_wrap(err, "span block");
    }
    b->resources = b->inside->resources = resources;
    b->resources_count = s->values_count;
    return true;
}

bool span_block_parse_resource(struct span_block *b, uint32_t resource, struct err *err)
{
    struct span_resource *r = &b->inside->resources[resource];
    if (b->inside->resources_parsed[resource])
        return true;
    if (!span_resource_parse(r->bytes, b->arena, r, err))
        return err_wrap(err, "span block");
    b->inside->resources_parsed[resource] = true;
    return true;
}

static bool parse_all_resources(struct span_block *b, struct err *err)
{
    for (uint32_t i = 0; i < b->resources_count; i++)
        if (!span_block_parse_resource(b, i, err))
            return false;
    return true;
}

static bool parse_scopes(struct span_block *b, const struct span_strings *s, struct err *err)
{
    struct span_scope *scopes = arena_array(b->arena, s->values_count, sizeof *scopes);
    if (scopes == NULL)
        return arena_ok(b->arena, "span block", err);
    for (uint32_t i = 0; i < s->values_count; i++)
        if (!span_scope_parse(s->values[i], b->arena, &scopes[i], err))
            return err_wrap(err, "span block");
    b->scopes = scopes;
    b->scopes_count = s->values_count;
    return true;
}

// What is there of resources or scopes is told by their arrays.
static bool origins_column(struct span_block *b, enum span_column column, bool ids, struct err *err)
{
    static const struct slice none;
    bool resources = column == SPAN_RESOURCES;
    struct span_strings s = {.values_count = resources ? b->resources_count : b->scopes_count};
    bool parsed = s.values_count > 0;
    if (parsed)
        s.values = &none; // not looked at again
    if (!strings_column(b, resources ? PART_RESOURCE_VALUES : PART_SCOPE_VALUES, column_names[column], ids, &s, err))
        return false;
    if (!parsed && !(resources ? parse_resources(b, &s, err) : parse_scopes(b, &s, err)))
        return false;
    if (resources)
        b->resource_of = s.ids;
    else
        b->scope_of = s.ids;
    return true;
}

static bool shapes_column(struct span_block *b, struct err *err)
{
    struct span_strings s = {0};
    if (!strings_column(b, PART_SHAPE_VALUES, "shapes", true, &s, err))
        return false;
    size_t bytes = 0;
    for (uint32_t i = 0; i < s.values_count; i++)
        bytes += s.values[i].len;
    uint32_t *columns = arena_array(b->arena, bytes, sizeof *columns); // a byte each at least
    uint32_t *first = arena_array(b->arena, s.values_count + (size_t)1, sizeof *first);
    if (columns == NULL || first == NULL)
        return span_block_corrupt(b, "shapes", err);
    uint32_t count = 0;
    for (uint32_t i = 0; i < s.values_count; i++) {
        first[i] = count;
        struct rd r = rd_of(s.values[i]);
        while (rd_left(&r) > 0) {
            uint64_t column = rd_varint(&r);
            if (r.bad || column >= b->attributes_count)
                return span_block_corrupt(b, "shapes", err);
            columns[count++] = (uint32_t)column;
        }
    }
    first[s.values_count] = count;
    b->inside->shape_column = columns;
    b->inside->shape_first = first;
    b->inside->shapes_count = s.values_count;
    b->shape_of = s.ids;
    return true;
}

static bool texts_column(struct span_block *b, enum span_part part, const char *what, const struct slice **out,
                         struct err *err)
{
    struct slice raw;
    if (!span_block_load(b, &b->inside->parts[part], 1, &raw, what, err))
        return false;
    struct rd r = rd_of(raw);
    *out = span_block_take_texts(&r, b->inside->rows, b->arena);
    return *out != NULL || span_block_corrupt(b, what, err);
}

static bool rest_column(struct span_block *b, struct err *err)
{
    struct slice raw;
    if (!span_block_load(b, &b->inside->parts[PART_REST], 1, &raw, "rest", err))
        return false;
    struct rd r = rd_of(raw);
    uint32_t *all[4];
    for (unsigned i = 0; i < COUNT_OF(all); i++) {
        all[i] = arena_array(b->arena, b->spans_count, sizeof *all[i]);
        if (all[i] == NULL || !numbers_take32(&r, b->inside->rows, all[i]))
            return span_block_corrupt(b, "rest", err);
    }
    if (!rd_consumed(&r))
        return span_block_corrupt(b, "rest", err);
    b->flags = all[0];
    b->dropped_attributes = all[1];
    b->dropped_events = all[2];
    b->dropped_links = all[3];
    return true;
}

bool span_block_column(struct span_block *b, enum span_column column, struct err *err)
{
    const char *what = column_names[column];
    switch (column) {
    case SPAN_TRACES:
        return b->trace_ids != NULL || traces_column(b, err);
    case SPAN_IDS:
        return b->span_ids != NULL || ids_column(b, err);
    case SPAN_PARENTS:
        return b->parent_ids != NULL || parents_column(b, err);
    case SPAN_STARTS:
        return b->start_ns != NULL || starts_column(b, err);
    case SPAN_DURATIONS:
        return b->duration_ns != NULL ||
               (b->duration_ns = span_block_numbers(b, &b->inside->parts[PART_DURATIONS],
                                                    b->inside->rows, what, err)) != NULL;
    case SPAN_KINDS:
        return b->kinds != NULL ||
               (b->kinds = (const int32_t *)numbers32_column(b, PART_KINDS, what, err)) != NULL;
    case SPAN_STATUSES:
        return b->statuses != NULL ||
               (b->statuses = (const int32_t *)numbers32_column(b, PART_STATUSES, what, err)) != NULL;
    case SPAN_NAMES:
        return b->names.ids != NULL || strings_column(b, PART_NAME_VALUES, what, true, &b->names, err);
    case SPAN_MESSAGES:
        return b->messages.ids != NULL || strings_column(b, PART_MESSAGE_VALUES, what, true, &b->messages, err);
    case SPAN_STATES:
        return b->trace_states.ids != NULL || strings_column(b, PART_STATE_VALUES, what, true, &b->trace_states, err);
    case SPAN_RESOURCES:
        return b->resource_of != NULL || origins_column(b, column, true, err);
    case SPAN_RESOURCE_ATTRIBUTES:
        return span_block_dictionary(b, column, err);
    case SPAN_SCOPES:
        return b->scope_of != NULL || origins_column(b, column, true, err);
    case SPAN_SHAPES:
        return b->shape_of != NULL || shapes_column(b, err);
    case SPAN_EVENTS:
        return b->events != NULL || texts_column(b, PART_EVENTS, what, &b->events, err);
    case SPAN_LINKS:
        return b->links != NULL || texts_column(b, PART_LINKS, what, &b->links, err);
    case SPAN_REST:
        return b->flags != NULL || rest_column(b, err);
    default:
        assert(false);
        return false;
    }
}

bool span_block_dictionary(struct span_block *b, enum span_column column, struct err *err)
{
    const char *what = column_names[column];
    switch (column) {
    case SPAN_NAMES:
        return b->names.values != NULL || strings_column(b, PART_NAME_VALUES, what, false, &b->names, err);
    case SPAN_MESSAGES:
        return b->messages.values != NULL || strings_column(b, PART_MESSAGE_VALUES, what, false, &b->messages, err);
    case SPAN_STATES:
        return b->trace_states.values != NULL || strings_column(b, PART_STATE_VALUES, what, false, &b->trace_states, err);
    case SPAN_RESOURCES:
        return b->resources != NULL || origins_column(b, column, false, err);
    case SPAN_RESOURCE_ATTRIBUTES:
        return span_block_dictionary(b, SPAN_RESOURCES, err) && parse_all_resources(b, err);
    case SPAN_SCOPES:
        return b->scopes != NULL || origins_column(b, column, false, err);
    default:
        assert(false);
        return false;
    }
}
