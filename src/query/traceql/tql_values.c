/* tql_values.c -- values of an attribute (traces-http.md 14.3, 14.4). */
#include "query/crew.h"
#include "query/traceql/tql_names.h"

#include <stdlib.h>

struct valuing {
    const struct tql_attr *attr;
    struct slice_set *sets; // by worker: the type's letter, then the text
};

static const struct {
    char letter;
    const char *name;
} types[] = {{'s', "string"}, {'i', "int"}, {'f', "float"}, {'b', "bool"}, {'k', "keyword"}};

// --- one value --------------------------------------------------------------------------------------------

static bool add_text(struct slice_set *set, char letter, struct slice text)
{
    struct buf b;
    buf_init(&b, 0);
    buf_put_byte(&b, (uint8_t)letter);
    buf_put_slice(&b, text);
    bool good = slice_set_add(set, buf_slice(&b)) != SIZE_MAX;
    buf_done(&b);
    return good;
}

static bool add_value(struct slice_set *set, struct tql_value v)
{
    if (v.type == TQL_T_STRING)
        return add_text(set, 's', v.text);
    if (v.type == TQL_T_ARRAY) {
        struct span_value element;
        for (struct pb walk = pb_of(v.text); span_array_next(&walk, &element);)
            if (!add_value(set, tql_of_span_value(&element)))
                return false;
        return true;
    }
    char letter = v.type == TQL_T_INT ? 'i' : v.type == TQL_T_FLOAT ? 'f' : v.type == TQL_T_BOOL ? 'b' : 0;
    if (letter == 0)
        return true;
    struct buf b;
    buf_init(&b, 0);
    tql_print_value(&b, v);
    bool good = add_text(set, letter, buf_slice(&b));
    buf_done(&b);
    return good;
}

// --- blocks -----------------------------------------------------------------------------------------------

// Distinct strings that rows use; all of them where rows is NULL.
static bool add_strings(struct slice_set *set, const struct span_strings *s, uint32_t count, const uint32_t *rows_of,
                        enum span_value_kind kind, const struct tql_bits *rows, struct arena *a)
{
    uint8_t *used = arena_zalloc(a, s->values_count);
    if (used == NULL)
        return false;
    for (uint32_t i = 0; i < count && rows != NULL; i++)
        if (tql_bit(rows, rows_of != NULL ? rows_of[i] : i))
            used[s->ids[i]] = 1;
    for (uint32_t i = 0; i < s->values_count; i++)
        if ((rows == NULL || used[i]) && !add_value(set, tql_of_span_value(&(struct span_value){.kind = kind, .bytes = s->values[i]})))
            return false;
    return true;
}

static bool add_numbers(struct slice_set *set, const struct span_attribute_column *c, const struct tql_bits *rows)
{
    for (uint32_t i = 0; i < c->count; i++) {
        if (rows != NULL && !tql_bit(rows, c->rows[i]))
            continue;
        struct span_value v = {.kind = c->kind};
        if (c->kind == VALUE_DOUBLE)
            v.number = c->numbers[i];
        else if (c->kind == VALUE_BOOL)
            v.flag = c->integers[i] != 0;
        else
            v.integer = c->integers[i];
        if (i > 0 && c->kind != VALUE_DOUBLE && c->integers[i] == c->integers[i - 1] && (rows == NULL || tql_bit(rows, c->rows[i - 1])))
            continue; // as the one before
        if (!add_value(set, tql_of_span_value(&v)))
            return false;
    }
    return true;
}

static bool span_values(struct slice_set *set, struct tql_rows *r, struct slice key, const struct tql_bits *rows)
{
    uint32_t first, count;
    span_block_find(r->block, key, &first, &count);
    for (uint32_t i = first; i < first + count; i++) {
        const struct span_attribute_column *c = &r->block->attributes[i];
        bool text = c->kind == VALUE_STRING || c->kind == VALUE_ARRAY;
        if (!text && c->kind != VALUE_BOOL && c->kind != VALUE_INT && c->kind != VALUE_DOUBLE)
            continue;
        if (!tql_rows_attribute(r, i, text && rows == NULL) ||
            !(text ? add_strings(set, &c->strings, c->count, c->rows, c->kind, rows, r->arena) : add_numbers(set, c, rows)))
            return false;
    }
    return true;
}

static bool origin_values(struct slice_set *set, struct tql_rows *r, const struct tql_attr *attr, bool resources, const struct tql_bits *rows)
{
    uint8_t *used;
    if (!tql_origins_used(r, resources, rows, &used) || (resources && !tql_rows_resources(r, attr->name)))
        return false;
    uint32_t count = resources ? r->block->resources_count : r->block->scopes_count;
    for (uint32_t i = 0; i < count; i++) {
        if (!used[i])
            continue;
        struct tql_value v;
        if (attr->scope == TQL_SCOPE_INTRINSIC)
            v = tql_string(attr->intrinsic == TQL_I_INSTRUMENTATION_NAME ? r->block->scopes[i].name : r->block->scopes[i].version);
        else
            v = resources ? tql_resource_value(&r->block->resources[i], attr->name)
                          : tql_find(&r->block->scopes[i].attributes, attr->name);
        if (!add_value(set, v))
            return false;
    }
    return true;
}

static bool string_values(struct slice_set *set, struct tql_rows *r, enum span_column column, const struct tql_bits *rows)
{
    if (!(rows == NULL ? tql_rows_dictionary(r, column) : tql_rows_column(r, column)))
        return false;
    const struct span_strings *s = column == SPAN_NAMES ? &r->block->names : &r->block->messages;
    return add_strings(set, s, r->block->spans_count, NULL, VALUE_STRING, rows, r->arena);
}

// Of the traces of the rows: what their roots in the block are called.
static bool root_values(struct slice_set *set, struct tql_rows *r, bool services, const struct tql_bits *rows)
{
    static const uint8_t none[SPAN_ID_BYTES];
    struct span_block *b = r->block;
    if (!tql_rows_column(r, SPAN_TRACES) || !tql_rows_column(r, SPAN_PARENTS) ||
        !tql_rows_column(r, services ? SPAN_RESOURCES : SPAN_NAMES))
        return false;
    for (uint32_t t = 0; t < b->stats.traces_count; t++) {
        if (rows != NULL && tql_bits_next(rows, b->trace_first[t]) >= b->trace_first[t + 1])
            continue;
        uint32_t row = b->trace_first[t];
        while (row < b->trace_first[t + 1] && memcmp(b->parent_ids[row], none, SPAN_ID_BYTES) != 0)
            row++;
        if (row < b->trace_first[t + 1] &&
            !add_value(set, tql_string(services ? b->resources[b->resource_of[row]].service : b->names.values[b->names.ids[row]])))
            return false;
    }
    return true;
}

static bool event_values(struct slice_set *set, struct tql_worker *w, struct tql_rows *r, const struct tql_attr *attr,
                         const struct tql_bits *rows)
{
    bool events = tql_attr_of_event(attr);
    if (!tql_rows_column(r, events ? SPAN_EVENTS : SPAN_LINKS))
        return false;
    for (uint32_t row = 0; row < r->block->spans_count; row++) {
        struct slice all = events ? r->block->events[row] : r->block->links[row];
        if (all.len == 0 || (rows != NULL && !tql_bit(rows, row)))
            continue;
        struct arena_mark mark = arena_mark(&w->scratch);
        struct span_event event;
        struct span_link link;
        struct pb walk = pb_of(all);
        while (events ? span_event_next(&walk, &w->scratch, &event) : span_link_next(&walk, &w->scratch, &link)) {
            struct tql_value v = attr->scope == TQL_SCOPE_INTRINSIC ? tql_string(event.name)
                                                                    : tql_find(events ? &event.attributes : &link.attributes, attr->name);
            if (!add_value(set, v))
                return false;
        }
        arena_rewind(&w->scratch, mark);
    }
    return true;
}

static bool see_intrinsic(struct slice_set *set, struct tql_worker *w, struct tql_rows *r, const struct tql_attr *attr,
                          const struct tql_bits *rows)
{
    switch (attr->intrinsic) {
    case TQL_I_NAME:           return string_values(set, r, SPAN_NAMES, rows);
    case TQL_I_STATUS_MESSAGE: return string_values(set, r, SPAN_MESSAGES, rows);
    case TQL_I_ROOT_NAME:      return root_values(set, r, false, rows);
    case TQL_I_ROOT_SERVICE:   return root_values(set, r, true, rows);
    case TQL_I_EVENT_NAME:     return event_values(set, w, r, attr, rows);
    case TQL_I_INSTRUMENTATION_NAME: case TQL_I_INSTRUMENTATION_VERSION: return origin_values(set, r, attr, false, rows);
    default:                   return true; // durations and IDs have none worth listing
    }
}

static bool see_values(void *ctx, struct tql_worker *w, struct tql_rows *r, const struct tql_bits *rows)
{
    struct valuing *v = ctx;
    struct slice_set *set = &v->sets[tql_worker_number(w)];
    bool good = true;
    set->arena = &w->arena;
    switch (v->attr->scope) {
    case TQL_SCOPE_INTRINSIC:       good = see_intrinsic(set, w, r, v->attr, rows); break;
    case TQL_SCOPE_SPAN:            good = span_values(set, r, v->attr->name, rows); break;
    case TQL_SCOPE_RESOURCE:        good = origin_values(set, r, v->attr, true, rows); break;
    case TQL_SCOPE_INSTRUMENTATION: good = origin_values(set, r, v->attr, false, rows); break;
    case TQL_SCOPE_ANY:
        good = span_values(set, r, v->attr->name, rows) && origin_values(set, r, v->attr, true, rows);
        break;
    case TQL_SCOPE_EVENT: case TQL_SCOPE_LINK: good = event_values(set, w, r, v->attr, rows); break;
    case TQL_SCOPE_PARENT:          break;
    }
    return good || (!r->failed && arena_ok(&w->arena, "query", r->err));
}

// --- answers ----------------------------------------------------------------------------------------------

static int compare_items(const void *left, const void *right)
{
    const struct trace_tag_value *l = left, *r = right;
    int order = slice_cmp(l->text, r->text);
    return order != 0 ? order : strcmp(l->type, r->type);
}

static const char *type_of(uint8_t letter)
{
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (types[i].letter == (char)letter)
            return types[i].name;
    return "string";
}

static bool put_values(const struct slice_set *all, uint32_t limit, struct arena *a, struct trace_tag_values *out)
{
    out->items = arena_array(a, all->count, sizeof *out->items);
    if (out->items == NULL)
        return false;
    for (size_t i = 0; i < all->count; i++)
        out->items[i] = (struct trace_tag_value){type_of(all->items[i].ptr[0]), slice_from(all->items[i], 1)};
    if (all->count > 0)
        qsort(out->items, all->count, sizeof *out->items, compare_items);
    out->count = limit > 0 && all->count > limit ? limit : (uint32_t)all->count;
    return true;
}

static bool keywords(const char *const *words, size_t count, char letter, uint32_t limit, struct arena *a, struct trace_tag_values *out,
                     struct err *err)
{
    struct slice_set all = {.arena = a};
    for (size_t i = 0; i < count; i++)
        if (!add_text(&all, letter, slice_cstr(words[i])))
            return arena_ok(a, "query", err);
    return put_values(&all, limit, a, out) || arena_ok(a, "query", err);
}

static bool collect(const struct trace_tags_options *options, const struct tql_attr *attr, const struct query_context *context,
                    struct trace_tag_values *out, struct err *err)
{
    struct valuing v = {.attr = attr};
    struct tql_looking l = {.see = see_values, .ctx = &v};
    struct arena *a = context->arena;
    v.sets = arena_zalloc(a, crew_workers(context->crew) * sizeof *v.sets);
    if (v.sets == NULL)
        return arena_ok(a, "query", err);
    bool good = tql_look(&l, options, context, err);
    struct slice_set all = {.arena = a};
    for (unsigned i = 0; good && i < l.team.count; i++)
        for (size_t k = 0; k < v.sets[i].count; k++)
            (void)slice_set_add(&all, v.sets[i].items[k]);
    if (good)
        (void)put_values(&all, options->limit, a, out);
    tql_look_done(&l, &out->stats, &out->warnings);
    return good && arena_ok(a, "query", err);
}

static const char *const statuses[] = {"ok", "error", "unset"};
static const char *const kinds[] = {"client", "server", "producer", "consumer", "internal", "unspecified"};

bool trace_tag_values(const struct trace_tags_options *options, struct slice tag, const struct query_context *context,
                      struct trace_tag_values *out, struct err *err)
{
    struct tql_attr *attr;
    *out = (struct trace_tag_values){0};
    if (!tql_parse_attr(tag, context->arena, &attr, err))
        return false;
    if (attr->scope == TQL_SCOPE_INTRINSIC && attr->intrinsic == TQL_I_STATUS)
        return keywords(statuses, COUNT_OF(statuses), 'k', options->limit, context->arena, out, err);
    if (attr->scope == TQL_SCOPE_INTRINSIC && attr->intrinsic == TQL_I_KIND)
        return keywords(kinds, COUNT_OF(kinds), 'k', options->limit, context->arena, out, err);
    return collect(options, attr, context, out, err);
}

// One entry for each text.
static void drop_types(struct trace_tag_values *values)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < values->count; i++)
        if (kept == 0 || !slice_eq(values->items[kept - 1].text, values->items[i].text))
            values->items[kept++] = (struct trace_tag_value){"string", values->items[i].text};
    values->count = kept;
}

bool trace_tag_values_flat(const struct trace_tags_options *options, struct slice tag, const struct query_context *context,
                           struct trace_tag_values *out, struct err *err)
{
    static const char *const error[] = {"true"};
    struct tql_attr attr = {.scope = TQL_SCOPE_ANY, .name = tag};
    struct trace_tags_options all = *options;
    *out = (struct trace_tag_values){0};
    if (slice_eq(tag, SLICE("status.code")))
        return keywords(statuses, COUNT_OF(statuses), 's', options->limit, context->arena, out, err);
    if (slice_eq(tag, SLICE("error")))
        return keywords(error, COUNT_OF(error), 's', options->limit, context->arena, out, err);
    if (slice_eq(tag, SLICE("name")))
        attr = (struct tql_attr){.scope = TQL_SCOPE_INTRINSIC, .intrinsic = TQL_I_NAME};
    if (slice_eq(tag, SLICE("root.name")))
        attr = (struct tql_attr){.scope = TQL_SCOPE_INTRINSIC, .intrinsic = TQL_I_ROOT_NAME};
    if (slice_eq(tag, SLICE("root.service.name")))
        attr = (struct tql_attr){.scope = TQL_SCOPE_INTRINSIC, .intrinsic = TQL_I_ROOT_SERVICE};
    all.limit = 0;
    if (!collect(&all, &attr, context, out, err))
        return false;
    drop_types(out);
    if (options->limit > 0 && out->count > options->limit)
        out->count = options->limit;
    return true;
}
