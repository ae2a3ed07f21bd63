/*
 * tql_compare.c -- compare(): how often each value of each attribute occurs in a selection and in the rest
 * (traceql.md 13).
 *
 * In a block each attribute is counted by its dictionary numbers, and values are looked up once per block. The root's name
 * and service are of the trace: a block tells them where it holds the root; other traces are assembled.
 */
#include "base/hash.h"
#include "query/traceql/tql_codes.h"
#include "query/traceql/tql_metrics.h"

#include <stdlib.h>

enum { BASELINE, SELECTION, SIDES };

struct counted { // a value of an attribute; NIL: the attribute at all
    struct slice attribute; // printed
    struct tql_value value;
    bool total;
    uint32_t values;        // of a total: how many values are counted
    uint32_t of;            // place of its attribute's total in the tally; once sorted: by name
    uint64_t sums[SIDES];
    uint32_t *counts[SIDES]; // by bucket of the task; NULL: none, and where tasks are put together
};

struct tally { // of one task
    struct arena *arena;
    uint32_t first, buckets; // covered
    bool sums_alone;         // of all tasks
    bool cut;                // an attribute had more values than are counted
    struct counted *items;
    size_t count, room;
    uint32_t *slots; // number + 1
    size_t slots_room;
    struct buf key;
};

struct comparing {
    struct tql_metrics_run *run;
    const struct tql_expr *selection;
    struct tql_need need; // of the selection
    struct tally *tallies; // by task
    uint32_t tasks;
};

// --- tallies ----------------------------------------------------------------------------------------------

static void put_key(struct buf *b, struct slice attribute, struct tql_value value, bool total)
{
    uint64_t len = attribute.len;
    buf_reset(b);
    buf_put(b, &len, sizeof len);
    buf_put_slice(b, attribute);
    buf_put_byte(b, total);
    tql_encode_value(b, value);
}

static uint64_t hash_of(struct tally *t, const struct counted *c)
{
    put_key(&t->key, c->attribute, c->value, c->total);
    return hash64(buf_slice(&t->key));
}

static bool is_same(const struct counted *c, struct slice attribute, struct tql_value value, bool total)
{
    if (c->total != total || c->value.type != value.type || !slice_eq(c->attribute, attribute))
        return false;
    switch (value.type) {
    case TQL_T_NIL:    return true;
    case TQL_T_BOOL:   return c->value.flag == value.flag;
    case TQL_T_FLOAT:  return memcmp(&c->value.number, &value.number, sizeof value.number) == 0;
    case TQL_T_STRING: case TQL_T_ARRAY: return slice_eq(c->value.text, value.text);
    default:           return c->value.integer == value.integer;
    }
}

static bool grow(struct tally *t)
{
    if ((t->count + 1) * 2 <= t->slots_room)
        return true;
    t->slots_room = t->slots_room == 0 ? 256 : t->slots_room * 4;
    t->slots = arena_zalloc(t->arena, t->slots_room * sizeof *t->slots);
    for (size_t i = 0; t->slots != NULL && i < t->count; i++) {
        size_t at = hash_of(t, &t->items[i]) & (t->slots_room - 1);
        while (t->slots[at] != 0)
            at = (at + 1) & (t->slots_room - 1);
        t->slots[at] = (uint32_t)i + 1;
    }
    return t->slots != NULL;
}

// The counts of a value; NULL: there are none.
static struct counted *look_up(struct tally *t, struct slice attribute, struct tql_value value, bool total)
{
    struct counted wanted = {.attribute = attribute, .value = value, .total = total};
    if (t->slots_room == 0)
        return NULL;
    for (size_t at = hash_of(t, &wanted) & (t->slots_room - 1); t->slots[at] != 0; at = (at + 1) & (t->slots_room - 1))
        if (is_same(&t->items[t->slots[at] - 1], attribute, value, total))
            return &t->items[t->slots[at] - 1];
    return NULL;
}

// Likewise, made if need be; the attribute of a value is its total's. NULL: the arena is full.
static struct counted *find(struct tally *t, struct slice attribute, struct tql_value value, bool total)
{
    if (!grow(t))
        return NULL;
    struct counted wanted = {.attribute = attribute, .value = value, .total = total};
    size_t at = hash_of(t, &wanted) & (t->slots_room - 1);
    for (; t->slots[at] != 0; at = (at + 1) & (t->slots_room - 1))
        if (is_same(&t->items[t->slots[at] - 1], attribute, value, total))
            return &t->items[t->slots[at] - 1];
    if (!arena_grow(t->arena, (void **)&t->items, sizeof *t->items, t->count, &t->room))
        return NULL;
    struct counted *c = &t->items[t->count];
    *c = wanted;
    c->attribute = total ? arena_copy(t->arena, attribute) : attribute;
    c->of = (uint32_t)t->count; // of a total
    if (value.type == TQL_T_STRING)
        c->value.text = arena_copy(t->arena, value.text);
    if (t->arena->overflowed)
        return NULL;
    t->slots[at] = (uint32_t)++t->count;
    return c;
}

static bool count(struct tally *t, struct counted *c, int side, uint32_t bucket, uint64_t count)
{
    c->sums[side] += count;
    if (t->sums_alone)
        return true;
    if (c->counts[side] == NULL && (c->counts[side] = arena_zalloc(t->arena, t->buckets * sizeof *c->counts[side])) == NULL)
        return false;
    c->counts[side][bucket - t->first] += (uint32_t)count;
    return true;
}

static struct counted *find_total(struct tally *t, struct slice attribute)
{
    return find(t, attribute, (struct tql_value){.type = TQL_T_NIL}, true);
}

#define LEFT_OUT UINT32_MAX

// The place of a value's counts in the tally. Of an attribute with more values than TRACEQL_COMPARE_VALUES_MAX further ones are
// LEFT_OUT, as they are no more than identities; the answer says so. False: the arena is full.
static bool place_of(struct tally *t, uint32_t of, struct tql_value value, uint32_t *place_out)
{
    struct counted *total = &t->items[of];
    if (value.type == TQL_T_ARRAY) // one value for all of them
        value = (struct tql_value){.type = TQL_T_NIL};
    struct counted *c = look_up(t, total->attribute, value, false);
    *place_out = LEFT_OUT;
    if (c == NULL && total->values == TRACEQL_COMPARE_VALUES_MAX) {
        t->cut = true;
        return true;
    }
    if (c == NULL) {
        total->values++;
        c = find(t, total->attribute, value, false);
        if (c == NULL)
            return false;
        c->of = of;
    }
    *place_out = (uint32_t)(c - t->items);
    return true;
}

// Adds so many spans with a value.
static bool add(struct tally *t, struct slice attribute, struct tql_value value, int side, uint32_t bucket, uint64_t n)
{
    if (value.type == TQL_T_NIL)
        return true;
    struct counted *total = find_total(t, attribute);
    uint32_t place;
    return total != NULL && count(t, total, side, bucket, n) && place_of(t, total->of, value, &place) &&
           (place == LEFT_OUT || count(t, &t->items[place], side, bucket, n));
}

// --- rows -------------------------------------------------------------------------------------------------

// The rows of a block by side and bucket.
struct cells {
    const uint32_t *rows;
    struct cell {
        int side;
        uint32_t bucket;
        uint32_t end; // in rows
    } *items;
    uint32_t count;
};

static bool make_cells(struct comparing *c, const struct tally *t, struct tql_rows *r, const struct tql_bits *bits,
                       const struct tql_bits *selected, struct cells *out)
{
    const struct tql_metrics *m = c->run->query->metrics;
    uint32_t numbers = t->buckets * SIDES, at = 0;
    uint32_t *number_of = arena_array(r->arena, r->block->spans_count, sizeof *number_of);
    uint32_t *rows = arena_array(r->arena, r->block->spans_count, sizeof *rows);
    uint32_t *starts = arena_zalloc(r->arena, (numbers + (size_t)1) * sizeof *starts);
    struct cell *items = arena_array(r->arena, numbers, sizeof *items);
    if (number_of == NULL || rows == NULL || starts == NULL || items == NULL)
        return arena_ok(r->arena, "query", r->err);
    for (uint32_t row = tql_bits_next(bits, 0); row < SPAN_BLOCK_SPANS_MAX; row = tql_bits_next(bits, row + 1)) {
        int64_t start_ns = span_time((uint64_t)r->block->start_ns[row]);
        bool side = tql_bit(selected, row) && (m->arguments_count < 3 || (start_ns > m->start_ns && start_ns <= m->end_ns));
        number_of[row] = (tql_bucket_of(&c->run->buckets, start_ns) - t->first) * SIDES + (side ? SELECTION : BASELINE);
        starts[number_of[row]]++;
    }
    *out = (struct cells){.rows = rows, .items = items};
    for (uint32_t i = 0; i < numbers; i++) {
        uint32_t count = starts[i];
        starts[i] = at;
        at += count;
        if (count > 0)
            items[out->count++] = (struct cell){(int)(i % SIDES), t->first + i / SIDES, at};
    }
    for (uint32_t row = tql_bits_next(bits, 0); row < SPAN_BLOCK_SPANS_MAX; row = tql_bits_next(bits, row + 1))
        rows[starts[number_of[row]]++] = row;
    return true;
}

// Counting an attribute's values in a block: all by code.
struct code_counts {
    const struct tql_codes *codes;
    uint32_t of;      // place of the attribute's total; LEFT_OUT: nothing but nil so far
    uint32_t *places; // and 1; 0: not known
    uint32_t *counts; // in the cell
    uint32_t *met;    // codes in the cell
    uint32_t met_count;
};

// Adds the counts of one cell. A value is looked up once a block, the attribute's total, too.
static bool count_cell(struct tally *t, struct slice attribute, const struct cell *cell, struct code_counts *k)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < k->met_count; i++) {
        uint32_t code = k->met[i], n = k->counts[code], place;
        k->counts[code] = 0;
        if (k->codes->values[code].type == TQL_T_NIL)
            continue;
        if (k->of == LEFT_OUT) {
            const struct counted *total = find_total(t, attribute);
            if (total == NULL)
                return false;
            k->of = total->of;
        }
        if (k->places[code] == 0) {
            if (!place_of(t, k->of, k->codes->values[code], &place))
                return false;
            k->places[code] = place == LEFT_OUT ? LEFT_OUT : place + 1;
        }
        sum += n;
        if (k->places[code] != LEFT_OUT && !count(t, &t->items[k->places[code] - 1], cell->side, cell->bucket, n))
            return false;
    }
    return sum == 0 || count(t, &t->items[k->of], cell->side, cell->bucket, sum);
}

// Adds the counts of one attribute.
static bool count_codes(struct tally *t, struct tql_rows *r, struct slice attribute, const struct tql_codes *codes,
                        const struct cells *cells)
{
    struct code_counts k = {.codes = codes,
                            .of = LEFT_OUT,
                            .places = arena_zalloc(r->arena, (codes->count + (size_t)1) * sizeof *k.places),
                            .counts = arena_zalloc(r->arena, (codes->count + (size_t)1) * sizeof *k.counts),
                            .met = arena_array(r->arena, codes->count + (size_t)1, sizeof *k.met)};
    if (k.places == NULL || k.counts == NULL || k.met == NULL)
        return arena_ok(r->arena, "query", r->err);
    for (uint32_t i = 0, at = 0; i < cells->count; i++) {
        k.met_count = 0;
        for (; at < cells->items[i].end; at++) {
            uint32_t code = codes->of_row[cells->rows[at]];
            if (k.counts[code]++ == 0)
                k.met[k.met_count++] = code;
        }
        if (!count_cell(t, attribute, &cells->items[i], &k))
            return arena_ok(t->arena, "query", r->err);
    }
    return true;
}

static bool count_attribute(struct comparing *c, struct tally *t, struct tql_rows *r, struct tql_attr attr, const struct cells *cells,
                            const struct tql_bits *bits)
{
    struct tql_codes codes;
    attr.number = c->run->query->attrs_count; // the one that rows have to spare
    r->slots[attr.number] = (struct tql_slot){0};
    buf_reset(&t->key);
    tql_print_attr(&t->key, &attr);
    struct slice name = arena_copy(r->arena, buf_slice(&t->key));
    return arena_ok(r->arena, "query", r->err) && tql_codes_of(r, &attr, bits, true, &codes) &&
           count_codes(t, r, name, &codes, cells);
}

// The keys of resources or scopes, each once.
static bool count_origins(struct comparing *c, struct tally *t, struct tql_rows *r, bool resources, const struct cells *cells,
                          const struct tql_bits *bits)
{
    if (!tql_rows_column(r, resources ? SPAN_RESOURCES : SPAN_SCOPES) ||
        (resources && !tql_rows_dictionary(r, SPAN_RESOURCE_ATTRIBUTES)))
        return false;
    const struct span_block *b = r->block;
    uint32_t count = resources ? b->resources_count : b->scopes_count;
    for (uint32_t i = 0; i < count; i++) {
        const struct span_attributes *list = resources ? &b->resources[i].attributes : &b->scopes[i].attributes;
        for (uint32_t n = 0; n < list->count; n++) {
            bool known = span_attributes_find(list, list->items[n].key) != &list->items[n].value;
            for (uint32_t before = 0; before < i && !known; before++)
                known = span_attributes_find(resources ? &b->resources[before].attributes : &b->scopes[before].attributes,
                                             list->items[n].key) != NULL;
            struct tql_attr attr = {.scope = resources ? TQL_SCOPE_RESOURCE : TQL_SCOPE_INSTRUMENTATION, .name = list->items[n].key};
            if (!known && !count_attribute(c, t, r, attr, cells, bits))
                return false;
        }
    }
    return true;
}

// Names and services of roots, by row. Traces without a root here are set aside.
static bool find_roots(struct comparing *c, struct tql_worker *w, uint32_t task, struct tql_rows *r, struct tql_bits *bits,
                       uint32_t **of_row_out, struct tql_value **names_out, struct tql_value **services_out)
{
    const struct span_block *b = r->block;
    static const uint8_t none[SPAN_ID_BYTES];
    if (!tql_rows_column(r, SPAN_TRACES) || !tql_rows_column(r, SPAN_PARENTS) || !tql_rows_column(r, SPAN_NAMES) ||
        !tql_rows_column(r, SPAN_RESOURCES) || !tql_rows_column(r, SPAN_LINKS))
        return false;
    uint32_t traces = b->stats.traces_count;
    *of_row_out = arena_array(r->arena, b->spans_count, sizeof **of_row_out);
    *names_out = arena_array(r->arena, traces, sizeof **names_out);
    *services_out = arena_array(r->arena, traces, sizeof **services_out);
    if (*of_row_out == NULL || *names_out == NULL || *services_out == NULL)
        return arena_ok(r->arena, "query", r->err);
    for (uint32_t t = 0; t < traces; t++) {
        if (tql_bits_next(bits, b->trace_first[t]) >= b->trace_first[t + 1])
            continue;
        uint32_t root = UINT32_MAX;
        for (uint32_t row = b->trace_first[t]; row < b->trace_first[t + 1]; row++) {
            (*of_row_out)[row] = t;
            struct span span = {.links = b->links[row]};
            memcpy(span.trace_id, b->trace_ids[t], TRACE_ID_BYTES);
            memcpy(span.parent_id, b->parent_ids[row], SPAN_ID_BYTES);
            if (root == UINT32_MAX && memcmp(b->parent_ids[row], none, SPAN_ID_BYTES) == 0 && tql_is_root(&span, &w->scratch))
                root = row;
        }
        if (root == UINT32_MAX) {
            for (uint32_t row = b->trace_first[t]; row < b->trace_first[t + 1]; row++)
                bits->words[row >> 6] &= ~(UINT64_C(1) << (row & 63));
            if (!tql_metrics_set_aside(c->run, w, task, b->trace_ids[t]))
                return arena_ok(&w->arena, "query", r->err);
            continue;
        }
        (*names_out)[t] = tql_string(b->names.values[b->names.ids[root]]);
        (*services_out)[t] = tql_string(b->resources[b->resource_of[root]].service);
    }
    return true;
}

static bool observe_rows(void *ctx, struct tql_worker *w, uint32_t task, struct tql_rows *r, const struct tql_bits *all)
{
    static const enum tql_intrinsic intrinsics[] = {TQL_I_NAME, TQL_I_STATUS, TQL_I_STATUS_MESSAGE, TQL_I_KIND,
                                                    TQL_I_INSTRUMENTATION_NAME, TQL_I_INSTRUMENTATION_VERSION};
    struct comparing *c = ctx;
    struct tally *t = &c->tallies[task];
    struct tql_bits bits = *all, selected;
    struct cells cells;
    uint32_t *trace_of;
    struct tql_value *roots, *services;
    if (!find_roots(c, w, task, r, &bits, &trace_of, &roots, &services))
        return false;
    selected = bits;
    if (!tql_rows_column(r, SPAN_STARTS) || !tql_rows_filter(r, c->need.rows, &selected) || !make_cells(c, t, r, &bits, &selected, &cells))
        return false;
    for (size_t i = 0; i < COUNT_OF(intrinsics); i++)
        if (!count_attribute(c, t, r, (struct tql_attr){.scope = TQL_SCOPE_INTRINSIC, .intrinsic = intrinsics[i]}, &cells, &bits))
            return false;
    const struct tql_codes names = {trace_of, roots, r->block->stats.traces_count};
    const struct tql_codes root_services = {trace_of, services, r->block->stats.traces_count};
    if (!count_codes(t, r, SLICE("rootName"), &names, &cells) ||
        !count_codes(t, r, SLICE("rootServiceName"), &root_services, &cells))
        return false;
    if (!span_block_attribute_rows(r->block, r->err)) { // all are looked at
        r->failed = true;
        return false;
    }
    for (uint32_t i = 0; i < r->block->attributes_count; i++) {
        struct slice key = r->block->attributes[i].key;
        if ((i == 0 || !slice_eq(r->block->attributes[i - 1].key, key)) &&
            !count_attribute(c, t, r, (struct tql_attr){.scope = TQL_SCOPE_SPAN, .name = key}, &cells, &bits))
            return false;
    }
    return count_origins(c, t, r, true, &cells, &bits) && count_origins(c, t, r, false, &cells, &bits);
}

// --- spans of traces --------------------------------------------------------------------------------------

static bool add_attributes(struct tally *t, enum tql_scope scope, const struct span_attributes *list, int side, uint32_t bucket,
                           struct arena *a)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (span_attributes_find(list, list->items[i].key) != &list->items[i].value)
            continue; // the key's second value
        buf_reset(&t->key);
        tql_print_attr(&t->key, &(struct tql_attr){.scope = scope, .name = list->items[i].key});
        struct slice name = arena_copy(a, buf_slice(&t->key));
        if (a->overflowed || !add(t, name, tql_of_span_value(&list->items[i].value), side, bucket, 1))
            return false;
    }
    return true;
}

static bool observe_span(void *ctx, struct tql_worker *w, uint32_t task, struct tql_trace_row *row)
{
    static const enum tql_intrinsic intrinsics[] = {TQL_I_NAME, TQL_I_STATUS, TQL_I_STATUS_MESSAGE, TQL_I_KIND,
                                                    TQL_I_INSTRUMENTATION_NAME, TQL_I_INSTRUMENTATION_VERSION,
                                                    TQL_I_ROOT_NAME, TQL_I_ROOT_SERVICE};
    struct comparing *c = ctx;
    const struct tql_metrics *m = c->run->query->metrics;
    struct tally *t = &c->tallies[task];
    int64_t start_ns = span_time(row->span->start_ns);
    bool selected = (m->arguments_count < 3 || (start_ns > m->start_ns && start_ns <= m->end_ns)) && tql_eval_true(&row->eval, c->selection);
    int side = selected ? SELECTION : BASELINE;
    uint32_t bucket = tql_bucket_of(&c->run->buckets, start_ns);
    for (size_t i = 0; i < COUNT_OF(intrinsics); i++) {
        struct tql_attr attr = {.scope = TQL_SCOPE_INTRINSIC, .intrinsic = intrinsics[i]};
        if (!add(t, slice_cstr(tql_intrinsic_name(intrinsics[i])), tql_eval_attr(&row->eval, &attr), side, bucket, 1))
            return false;
    }
    return add_attributes(t, TQL_SCOPE_SPAN, &row->span->attributes, side, bucket, &w->block) &&
           add_attributes(t, TQL_SCOPE_RESOURCE, &row->span->resource->attributes, side, bucket, &w->block) &&
           add_attributes(t, TQL_SCOPE_INSTRUMENTATION, &row->span->scope->attributes, side, bucket, &w->block);
}

static void tally_init(struct tally *t, uint32_t first, uint32_t buckets, struct arena *a)
{
    *t = (struct tally){.arena = a, .first = first, .buckets = buckets};
    buf_init(&t->key, 0);
}

static bool begin_task(void *ctx, struct tql_worker *w, uint32_t task, int64_t min_ns, int64_t max_ns)
{
    struct comparing *c = ctx;
    uint32_t first, count;
    tql_buckets_between(&c->run->buckets, min_ns, max_ns, &first, &count);
    tally_init(&c->tallies[task], first, count, &w->arena);
    return true;
}

// --- answers ----------------------------------------------------------------------------------------------

// By attribute, its total last; its values by how often they occur.
static int most_first(const struct counted *l, const struct counted *r, int side)
{
    int order = (l->of > r->of) - (l->of < r->of);
    if (order == 0)
        order = l->total - r->total;
    if (order == 0)
        order = (l->sums[side] < r->sums[side]) - (l->sums[side] > r->sums[side]);
    if (order == 0)
        order = (l->value.type > r->value.type) - (l->value.type < r->value.type);
    if (order == 0 && l->value.type == TQL_T_STRING)
        return slice_cmp(l->value.text, r->value.text);
    if (order == 0 && tql_numeric(l->value.type))
        order = tql_compare(TQL_OP_GT, l->value, r->value, NULL) - tql_compare(TQL_OP_LT, l->value, r->value, NULL);
    return order;
}

static int by_baseline(const void *left, const void *right)
{
    return most_first(left, right, BASELINE);
}

static int by_selection(const void *left, const void *right)
{
    return most_first(left, right, SELECTION);
}

static int by_name(const void *left, const void *right)
{
    const struct counted *const *l = left, *const *r = right;
    return slice_cmp((*l)->attribute, (*r)->attribute);
}

// Attributes get numbers in the order of their names, so that sorting compares numbers.
static bool number_by_name(struct tally *all)
{
    const struct counted **totals = arena_array(all->arena, all->count + 1, sizeof(struct counted *));
    uint32_t *ranks = arena_array(all->arena, all->count + 1, sizeof *ranks); // by place
    size_t count = 0;
    if (totals == NULL || ranks == NULL)
        return false;
    for (size_t i = 0; i < all->count; i++)
        if (all->items[i].total)
            totals[count++] = &all->items[i];
    if (count > 0)
        qsort(totals, count, sizeof *totals, by_name);
    for (size_t i = 0; i < count; i++)
        ranks[totals[i]->of] = (uint32_t)i;
    for (size_t i = 0; i < all->count; i++)
        all->items[i].of = ranks[all->items[i].of];
    return true;
}

static bool merge(struct comparing *c, uint32_t tasks, struct tally *all)
{
    all->sums_alone = true;
    for (uint32_t i = 0; i < tasks; i++) {
        all->cut |= c->tallies[i].cut;
        uint32_t *totals = arena_array(all->arena, c->tallies[i].count + 1, sizeof *totals); // by place in the task's tally
        for (size_t n = 0; n < c->tallies[i].count; n++) {
            const struct counted *from = &c->tallies[i].items[n];
            struct counted *to = find(all, from->attribute, from->value, from->total);
            if (to == NULL || totals == NULL)
                return false;
            if (from->total)
                totals[n] = to->of;
            to->of = totals[from->of]; // a total comes before its values
            for (int side = 0; side < SIDES; side++)
                to->sums[side] += from->sums[side];
        }
    }
    return number_by_name(all);
}

static bool put_series(const struct comparing *c, const struct counted *from, int side, struct arena *a, struct trace_series *out)
{
    static const char *const types[2][SIDES] = {{"baseline", "selection"}, {"baseline_total", "selection_total"}};
    const struct tql_buckets *b = &c->run->buckets;
    *out = (struct trace_series){.labels = {arena_array(a, 2, sizeof *out->labels.items), 2},
                                 .samples = arena_array(a, b->count, sizeof *out->samples),
                                 .samples_count = b->count};
    if (out->labels.items == NULL || out->samples == NULL)
        return false;
    out->labels.items[0] = (struct span_attribute){
        SLICE("__meta_type"), {.kind = VALUE_STRING, .bytes = slice_cstr(types[from->total][side])}};
    out->labels.items[1] = (struct span_attribute){arena_copy(a, from->attribute), tql_to_span_value(from->value, a)};
    for (uint32_t i = 0; i < b->count; i++) {
        int64_t end_ns = i + 1 == b->count ? b->to_ns : b->from_ns + (i + 1) * b->step_ns;
        out->samples[i] = (struct trace_sample){end_ns / 1000000, 0};
    }
    for (uint32_t t = 0; t < c->tasks; t++) {
        const struct counted *part = look_up(&c->tallies[t], from->attribute, from->value, from->total);
        for (uint32_t i = 0; part != NULL && part->counts[side] != NULL && i < c->tallies[t].buckets; i++)
            out->samples[c->tallies[t].first + i].value += part->counts[side][i];
    }
    return true;
}

static bool answer_side(const struct comparing *c, struct tally *all, int side, struct arena *a, struct trace_metrics_result *out,
                        size_t *room)
{
    int64_t top = c->run->query->metrics->top, taken = 0;
    if (all->count > 0)
        qsort(all->items, all->count, sizeof *all->items, side == BASELINE ? by_baseline : by_selection);
    for (size_t i = 0; i < all->count; i++) {
        const struct counted *v = &all->items[i];
        taken = i > 0 && slice_eq(all->items[i - 1].attribute, v->attribute) ? taken + 1 : 0;
        if (v->sums[side] == 0 || (!v->total && taken >= top))
            continue;
        if (!arena_grow(a, (void **)&out->series, sizeof *out->series, out->series_count, room) ||
            !put_series(c, v, side, a, &out->series[out->series_count]))
            return false;
        out->series_count++;
    }
    return true;
}

bool tql_compare_run(struct tql_metrics_run *m, struct trace_metrics_result *out, struct err *err)
{
    struct arena *a = &m->team.workers[0].arena;
    struct comparing c = {.run = m, .selection = m->query->metrics->selection->lowered};
    const struct tql_observer observer = {&c, begin_task, observe_rows, observe_span};
    uint32_t tasks = c.tasks = tql_metrics_tasks_max(m);
    struct tally all;
    size_t room = 0;
    tally_init(&all, 0, m->buckets.count, a);
    c.tallies = arena_zalloc(a, tasks * sizeof *c.tallies);
    if (c.tallies == NULL || !tql_need_of_expr(m->query, c.selection, a, &c.need))
        return arena_ok(a, "query", err);
    // A selection that rows cannot tell is told by whole traces.
    m->need.exact = m->need.exact && c.need.exact && !c.need.roots;
    bool good = tql_metrics_blocks(m, &observer, err) && tql_metrics_traces(m, &observer, err) &&
                ((merge(&c, tasks, &all) && answer_side(&c, &all, BASELINE, a, out, &room) &&
                  answer_side(&c, &all, SELECTION, a, out, &room)) ||
                 arena_ok(a, "query", err));
    for (uint32_t i = 0; i < tasks; i++)
        buf_done(&c.tallies[i].key);
    buf_done(&all.key);
    if (good && all.cut)
        tql_worker_warn(&m->team.workers[0], "compare() left values out of attributes that hardly repeat");
    if (good)
        tql_series_sort(out->series, out->series_count);
    return good && arena_ok(a, "query", err);
}
