/* tql_series.c -- see tql_series.h. */
#include "query/traceql/tql_series.h"

#include "base/hash.h"

#include <math.h>

enum { SLOTS_MIN = 64 };

void tql_buckets_between(const struct tql_buckets *b, int64_t min_ns, int64_t max_ns, uint32_t *first_out, uint32_t *count_out)
{
    min_ns = min_ns > b->from_ns ? min_ns : b->from_ns + 1;
    max_ns = max_ns < b->to_ns ? max_ns : b->to_ns;
    *first_out = min_ns <= max_ns ? tql_bucket_of(b, min_ns) : 0;
    *count_out = min_ns <= max_ns ? tql_bucket_of(b, max_ns) - *first_out + 1 : 1;
}

void tql_series_init(struct tql_series_set *set, enum tql_metric_fn fn, uint32_t first, uint32_t count, struct arena *a)
{
    *set = (struct tql_series_set){.arena = a, .fn = fn, .first = first, .count = count};
    buf_init(&set->key, 0);
}

void tql_series_done(struct tql_series_set *set)
{
    buf_done(&set->key);
}

// --- groups -----------------------------------------------------------------------------------------------

static void put_slot(struct tql_series_set *set, size_t number)
{
    size_t at = hash64(set->items[number].key) & (set->slots_room - 1);
    while (set->slots[at] != 0)
        at = (at + 1) & (set->slots_room - 1);
    set->slots[at] = (uint32_t)number + 1;
}

static bool grow_slots(struct tql_series_set *set)
{
    if ((set->series_count + 1) * 2 <= set->slots_room)
        return true;
    set->slots_room = set->slots_room == 0 ? SLOTS_MIN : set->slots_room * 4;
    set->slots = arena_zalloc(set->arena, set->slots_room * sizeof *set->slots);
    for (size_t i = 0; set->slots != NULL && i < set->series_count; i++)
        put_slot(set, i);
    return set->slots != NULL;
}

static bool make_cells(struct tql_series_set *set, struct tql_series *s)
{
    if (set->fn == TQL_M_QUANTILE || set->fn == TQL_M_HISTOGRAM) {
        s->powers = arena_zalloc(set->arena, set->count * sizeof(uint64_t *));
        return s->powers != NULL;
    }
    s->values = arena_array(set->arena, set->count, sizeof *s->values);
    if (set->fn == TQL_M_AVG && (s->counts = arena_zalloc(set->arena, set->count * sizeof *s->counts)) == NULL)
        return false;
    for (uint32_t i = 0; s->values != NULL && i < set->count; i++)
        s->values[i] = tql_counts(set->fn) ? 0 : NAN;
    return s->values != NULL;
}

static size_t make_series(struct tql_series_set *set, const struct tql_value *labels, uint32_t labels_count)
{
    if (set->series_count == UINT32_MAX - 1 ||
        !arena_grow(set->arena, (void **)&set->items, sizeof *set->items, set->series_count, &set->room))
        return SIZE_MAX;
    struct tql_series *s = &set->items[set->series_count];
    *s = (struct tql_series){.key = arena_copy(set->arena, buf_slice(&set->key)),
                             .labels = arena_array(set->arena, labels_count, sizeof *s->labels)};
    if (s->labels == NULL || !make_cells(set, s))
        return SIZE_MAX;
    for (uint32_t i = 0; i < labels_count; i++) {
        s->labels[i] = labels[i];
        if (labels[i].type == TQL_T_STRING)
            s->labels[i].text = arena_copy(set->arena, labels[i].text);
    }
    put_slot(set, set->series_count);
    return set->arena->overflowed ? SIZE_MAX : set->series_count++;
}

size_t tql_series_of(struct tql_series_set *set, const struct tql_value *labels, uint32_t labels_count)
{
    buf_reset(&set->key);
    for (uint32_t i = 0; i < labels_count; i++)
        tql_encode_value(&set->key, labels[i]);
    if (!grow_slots(set))
        return SIZE_MAX;
    struct slice key = buf_slice(&set->key);
    for (size_t at = hash64(key) & (set->slots_room - 1); set->slots[at] != 0; at = (at + 1) & (set->slots_room - 1))
        if (slice_eq(set->items[set->slots[at] - 1].key, key))
            return set->slots[at] - 1;
    return make_series(set, labels, labels_count);
}

// --- cells ------------------------------------------------------------------------------------------------

static void add_to(enum tql_metric_fn fn, double *cell, double value)
{
    switch (fn) {
    case TQL_M_MIN:
        *cell = isnan(*cell) || value < *cell ? value : *cell;
        break;
    case TQL_M_MAX:
        *cell = isnan(*cell) || value > *cell ? value : *cell;
        break;
    default:
        *cell = isnan(*cell) ? value : *cell + value;
        break;
    }
}

void tql_series_add(struct tql_series_set *set, size_t series, uint32_t bucket, double value)
{
    struct tql_series *s = &set->items[series];
    add_to(set->fn, &s->values[bucket - set->first], value);
    if (s->counts != NULL)
        s->counts[bucket - set->first]++;
}

bool tql_series_add_power(struct tql_series_set *set, size_t series, uint32_t bucket, uint32_t power)
{
    uint64_t **cell = &set->items[series].powers[bucket - set->first];
    if (*cell == NULL && (*cell = arena_zalloc(set->arena, TQL_POWERS * sizeof **cell)) == NULL)
        return false;
    (*cell)[power]++;
    return true;
}

uint32_t tql_power_of(struct tql_value v)
{
    if (v.type == TQL_T_FLOAT) {
        double power = v.number >= 2 && v.number < 0x1p63 ? ceil(log2(v.number)) : 0;
        return (uint32_t)power;
    }
    if (!tql_numeric(v.type) || v.integer < 2)
        return 0;
    return 64 - (uint32_t)__builtin_clzll((uint64_t)v.integer - 1);
}

static bool merge_one(struct tql_series_set *to, size_t number, const struct tql_series_set *from, const struct tql_series *f)
{
    struct tql_series *t = &to->items[number];
    uint32_t shift = from->first - to->first;
    for (uint32_t i = 0; i < from->count; i++) {
        if (f->powers == NULL) {
            if (!isnan(f->values[i]))
                add_to(to->fn, &t->values[i + shift], f->values[i]);
            if (f->counts != NULL)
                t->counts[i + shift] += f->counts[i];
        } else if (f->powers[i] != NULL) {
            uint64_t **cell = &t->powers[i + shift];
            if (*cell == NULL && (*cell = arena_zalloc(to->arena, TQL_POWERS * sizeof **cell)) == NULL)
                return false;
            for (uint32_t p = 0; p < TQL_POWERS; p++)
                (*cell)[p] += f->powers[i][p];
        }
    }
    return true;
}

bool tql_series_merge(struct tql_series_set *to, const struct tql_series_set *from, uint32_t labels_count)
{
    for (size_t i = 0; i < from->series_count; i++) {
        const struct tql_series *f = &from->items[i];
        size_t number = tql_series_of(to, f->labels, labels_count);
        if (number == SIZE_MAX || !merge_one(to, number, from, f))
            return false;
        for (uint32_t n = 0; n < f->exemplars_count; n++)
            if (!tql_exemplar_add(to, number, &f->exemplars[n]))
                return false;
    }
    return true;
}

// --- exemplars --------------------------------------------------------------------------------------------

enum { EXEMPLARS_PER_SLOT = 2 };

bool tql_exemplar_wanted(const struct tql_series *s, const struct tql_exemplars *e, const uint8_t trace_id[TRACE_ID_BYTES], int64_t start_ns)
{
    if (s->exemplars_count >= e->max)
        return false;
    uint32_t in_slot = 0;
    for (uint32_t i = 0; i < s->exemplars_count; i++) {
        if (memcmp(s->exemplars[i].trace_id, trace_id, TRACE_ID_BYTES) == 0)
            return false;
        in_slot += s->exemplars[i].start_ns / e->slot_ns == start_ns / e->slot_ns;
    }
    return in_slot < EXEMPLARS_PER_SLOT;
}

bool tql_exemplar_add(struct tql_series_set *set, size_t series, const struct tql_exemplar *exemplar)
{
    struct tql_series *s = &set->items[series];
    if (!arena_grow(set->arena, (void **)&s->exemplars, sizeof *s->exemplars, s->exemplars_count, &s->exemplars_room))
        return false;
    s->exemplars[s->exemplars_count++] = *exemplar;
    return true;
}
