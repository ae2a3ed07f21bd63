/* test_span_block.c -- spans to blocks and back: what comes back, what is read for it, what damage is told as. */
#include "tap.h"

#include "base/codec.h"
#include "base/limits.h"
#include "spans.h"
#include "store/span_block.h"
#include "store/span/span_numbers.h"

#include <stdio.h>
#include <stdlib.h>

static struct err err;
static struct zbuf *z;

struct made {
    struct buf bytes;
    struct slice slice; // of the bytes, for spans_read()
    struct span_block_place place;
};

static void write_block(struct span_block_writer *w, const struct span *spans, uint32_t count, struct made *out)
{
    *out = (struct made){.place = {.pos = 0}};
    for (uint32_t i = 0; i < count; i++)
        span_block_add(w, &spans[i]);
    must(span_block_flush(w, &out->bytes, &out->place, &err), &err);
    out->slice = buf_slice(&out->bytes);
}

static void open_block(struct made *m, struct arena *a, struct span_block *out)
{
    must(span_block_open(&m->place, spans_read, &m->slice, z, a, out, &err), &err);
}

// --- numbers ------------------------------------------------------------------------------------------

// Any part of the numbers is what it is in the whole.
static bool stretches_again(struct slice bytes, const uint64_t *values, uint32_t count, bool narrow)
{
    bool good = true;
    for (uint32_t first = 0; good && first <= count;
         first += first < 18 || first + 18 >= count ? 1 : 37)
        for (uint32_t length = 0; good && length <= count - first;
             length += length < 18 ? 1 : 301) {
            uint64_t *wide = malloc(length * sizeof *wide + 1);
            uint32_t *less = malloc(length * sizeof *less + 1);
            struct stretch which = {count, first, length};
            struct rd r = rd_of(bytes);
            good = numbers_take64(&r, which, wide) && rd_left(&r) == 0;
            r = rd_of(bytes);
            good = good && (!narrow || (numbers_take32(&r, which, less) && rd_left(&r) == 0));
            for (uint32_t i = 0; good && i < length; i++)
                good = wide[i] == values[first + i] && (!narrow || less[i] == values[first + i]);
            free(wide);
            free(less);
        }
    return good;
}

static size_t numbers_again(const uint64_t *values, uint32_t count, bool narrow)
{
    struct pieces p = {.cuts_count = 0};
    numbers_put(&p, values, count);
    size_t bytes = p.bytes.len;
    uint8_t *exact = malloc(bytes);
    memcpy(exact, p.bytes.ptr, bytes);
    uint64_t *wide = malloc((count + (size_t)1) * sizeof *wide);
    uint32_t *less = malloc((count + (size_t)1) * sizeof *less);
    struct rd r = rd_of(slice_of(exact, bytes));
    bool good = numbers_take64(&r, stretch_all(count), wide) && rd_left(&r) == 0;
    for (uint32_t i = 0; good && i < count; i++)
        good = wide[i] == values[i];
    r = rd_of(slice_of(exact, bytes));
    if (narrow)
        good = good && numbers_take32(&r, stretch_all(count), less) && rd_left(&r) == 0;
    for (uint32_t i = 0; narrow && good && i < count; i++)
        good = less[i] == values[i];
    good = good && stretches_again(slice_of(exact, bytes), values, count, narrow);
    for (size_t cut = 0; good && cut < bytes && bytes < 3000; cut++) {
        uint8_t *part = malloc(cut + 1);
        memcpy(part, exact, cut);
        r = rd_of(slice_of(part, cut));
        good = !numbers_take64(&r, stretch_all(count), wide) || count == 0;
        free(part);
    }
    free(exact);
    free(wide);
    free(less);
    pieces_done(&p);
    return good ? bytes : SIZE_MAX;
}

static void test_numbers(void)
{
    static const uint64_t bases[] = {0, 1, 1000, UINT64_MAX, UINT64_C(1) << 63, INT64_MAX};
    static const uint32_t counts[] = {0, 1, 2, 15, 16, 17, 63, 64, 100, 1000};
    static uint64_t values[1000];
    bool good = true;
    struct spans_random r = {1};
    for (size_t b = 0; b < sizeof bases / sizeof *bases; b++)
        for (unsigned width = 0; width <= 8; width++)
            for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
                for (unsigned scale = 0; scale < 4; scale++) {
                    static const uint64_t factors[] = {1, 1000, 1000000, 1000000000};
                    for (uint32_t i = 0; i < counts[c]; i++)
                        values[i] = bases[b] + (width == 0 ? 0 : spans_next(&r) >> (64 - 8 * width)) * factors[scale];
                    good = good && numbers_again(values, counts[c], width <= 4 && bases[b] <= 1 && scale == 0 && width < 4) != SIZE_MAX;
                }
    ok(good, "numbers of every width, base, scale and count come back; cut ones are refused");

    for (unsigned distinct = 255; distinct <= 257; distinct++) {
        for (uint32_t i = 0; i < 1000; i++)
            values[i] = (i % distinct) * 12345678901;
        ok(numbers_again(values, 1000, false) != SIZE_MAX, "%u distinct ones", distinct);
    }
    for (uint32_t i = 0; i < 1000; i++)
        values[i] = i % 3 == 0 ? 0x301 : i % 3 == 1 ? 0x101 : UINT32_MAX;
    ok(numbers_again(values, 1000, true) < 1100, "three of four bytes take one byte each");
    for (uint32_t i = 0; i < 1000; i++)
        values[i] = 1793491204000000000 + i * UINT64_C(1000000);
    ok(numbers_again(values, 1000, false) < 2020, "times in milliseconds take two");
    for (uint32_t i = 0; i < 1000; i++)
        values[i] = i * UINT64_C(1000);
    ok(numbers_again(values, 1000, true) < 2020, "so do 32 bit numbers in thousands");
    for (uint32_t i = 0; i < 1000; i++)
        values[i] = (uint64_t)(-(int64_t)(i % 100));
    ok(numbers_again(values, 1000, false) < 1020, "small negative ones take one");
}

// --- whole blocks -------------------------------------------------------------------------------------

static bool same_span(const struct span *got, const struct span *want, struct buf *a, struct buf *b)
{
    buf_reset(a);
    buf_reset(b);
    span_put(a, got);
    span_put(b, want);
    return slice_eq(buf_slice(a), buf_slice(b)) && slice_eq(got->resource->bytes, want->resource->bytes) &&
           slice_eq(got->scope->bytes, want->scope->bytes);
}

// Each trace and some neighbours alone, as if the block had no others.
static bool narrowed_comes_back(struct made *m, const struct span *spans)
{
    struct buf left = {0}, right = {0};
    bool good = true;
    uint32_t traces = m->place.stats.traces_count;
    for (uint32_t t = 0; good && t < traces; t += traces < 100 ? 1 : traces / 37)
        for (uint32_t n = 1; good && n <= traces - t; n += n < 3 ? 1 : traces / 3) {
            struct arena a;
            struct span_block block;
            struct span span;
            arena_init(&a, 4 * GIB);
            open_block(m, &a, &block);
            must(span_block_column(&block, SPAN_TRACES, &err), &err);
            uint32_t first = block.trace_first[t], count = block.trace_first[t + n] - first;
            must(span_block_narrow(&block, t, n, &err), &err);
            good = block.spans_count == count && block.stats.spans_count == count &&
                   block.stats.traces_count == n && block.trace_first[0] == 0 &&
                   block.trace_first[n] == count;
            for (uint32_t i = 0; good && i < count; i++) {
                uint32_t row = t % 2 == 0 ? i : count - 1 - i;
                must(span_block_span(&block, row, &span, &err), &err);
                good = same_span(&span, &spans[first + row], &left, &right) &&
                       memcmp(span.trace_id, spans[first + row].trace_id, TRACE_ID_BYTES) == 0;
            }
            for (uint32_t i = 0; good && i < block.attributes_count; i++)
                must(span_block_attribute(&block, i, &err), &err);
            for (unsigned column = 0; good && column < SPAN_COLUMNS_COUNT; column++)
                must(span_block_column(&block, (enum span_column)column, &err), &err);
            arena_done(&a);
        }
    if (!good)
        printf("# a part of %u traces differs\n", traces);
    buf_done(&left);
    buf_done(&right);
    return good;
}

static bool comes_back(struct made *m, const struct span *spans, uint32_t count, bool backwards)
{
    struct arena a;
    struct span_block block;
    struct buf left = {0}, right = {0};
    arena_init(&a, 4 * GIB);
    open_block(m, &a, &block);
    bool good = block.spans_count == count && block.stats.spans_count == count;
    for (uint32_t i = 0; good && i < count; i++) {
        uint32_t row = backwards ? count - 1 - i : i;
        struct span span;
        must(span_block_span(&block, row, &span, &err), &err);
        good = same_span(&span, &spans[row], &left, &right);
        if (!good)
            printf("# span %u of %u differs\n", row, count);
    }
    good = good && span_block_read_bytes(&block) == m->bytes.len && m->place.total_bytes == m->bytes.len;
    arena_done(&a);
    buf_done(&left);
    buf_done(&right);
    return good;
}

static void test_round_trip(void)
{
    static const uint32_t counts[] = {1, 2, 15, 16, 17, 63, 64, 100, 1000, 3000};
    struct span_block_writer *writers[] = {span_block_writer_new(0), span_block_writer_new(1), span_block_writer_new(9)};
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        bool good = true, alike = true;
        for (uint64_t seed = 1; seed <= (counts[c] < 100 ? 30 : 3); seed++) {
            struct spans_random r = {seed * 1000 + c};
            struct arena a;
            arena_init(&a, 4 * GIB);
            struct span *spans = spans_make(&r, &a, counts[c]);
            for (size_t i = 0; i < 3; i++) {
                struct made m, again;
                write_block(writers[i], spans, counts[c], &m);
                good = good && comes_back(&m, spans, counts[c], false) &&
                       comes_back(&m, spans, counts[c], true) && narrowed_comes_back(&m, spans);
                write_block(writers[i], spans, counts[c], &again);
                alike = alike && slice_eq(m.slice, again.slice);
                buf_done(&m.bytes);
                buf_done(&again.bytes);
            }
            arena_done(&a);
        }
        ok(good, "%u spans come back", counts[c]);
        ok(alike, "a writer writes them alike again");
    }
    for (size_t i = 0; i < 3; i++)
        span_block_writer_free(writers[i]);
    span_block_writer_free(NULL);
}

// One span with attributes of those keys; the key "n<number>" for each number.
static void add_plain(struct span_block_writer *w, struct arena *a, uint32_t number, uint32_t keys, struct slice name)
{
    static const struct span_resource resource = {.bytes = {(const uint8_t *)"\x0a\0", 2}};
    static const struct span_scope scope = {.bytes = {(const uint8_t *)"\x0a\0", 2}};
    struct span span = {.trace_id = {1}, .span_id = {1}, .name = name, .resource = &resource, .scope = &scope};
    span.attributes = (struct span_attributes){arena_array(a, keys, sizeof *span.attributes.items), keys};
    for (uint32_t i = 0; i < keys; i++)
        span.attributes.items[i] =
            (struct span_attribute){slice_cstr(arena_printf(a, "n%u", number * keys + i)), {.kind = VALUE_NONE}};
    span_block_add(w, &span);
}

static void test_full(void)
{
    struct arena a;
    arena_init(&a, 4 * GIB);
    struct span_block_writer *w = span_block_writer_new(1);
    struct made m = {.place = {.pos = 0}};
    uint32_t count = 0;
    for (; !span_block_full(w) && count < SPAN_BLOCK_SPANS + 1; count++)
        add_plain(w, &a, 0, 0, SLICE("x"));
    ok(count == SPAN_BLOCK_SPANS && span_block_spans(w) == count, "full of spans");
    must(span_block_flush(w, &m.bytes, &m.place, &err), &err);
    ok(span_block_spans(w) == 0 && !span_block_full(w), "flushed, it is empty");
    printf("# %zu bytes for %u spans without anything\n", m.bytes.len, count);

    static uint8_t name[1 << 20];
    for (count = 0; !span_block_full(w); count++) {
        name[0] = (uint8_t)count;
        add_plain(w, &a, 0, 0, slice_of(name, sizeof name));
    }
    ok(count == SPAN_BLOCK_BYTES / sizeof name, "full of bytes");
    buf_reset(&m.bytes);
    must(span_block_flush(w, &m.bytes, &m.place, &err), &err);

    for (count = 0; !span_block_full(w); count++)
        add_plain(w, &a, count, 1000, SLICE("keys"));
    ok(count == 5, "full of columns");
    buf_reset(&m.bytes);
    must(span_block_flush(w, &m.bytes, &m.place, &err), &err);
    m.slice = buf_slice(&m.bytes);
    struct span_block b;
    struct span span;
    open_block(&m, &a, &b);
    must(span_block_span(&b, 4, &span, &err), &err);
    ok(b.attributes_count == 5000 && span.attributes.count == 1000 && slice_eq(span.attributes.items[999].key, SLICE("n4999")),
       "with all their columns");
    add_plain(w, &a, 0, INGEST_SPAN_ATTRIBUTES_MAX, SLICE("all"));
    for (count = 0; count < 64; count++) { // and what a writer keeps of it does not hurt the next block
        struct made plain;
        if (count > 0)
            add_plain(w, &a, count, 3, SLICE("few"));
        plain = (struct made){.place = {.pos = 0}};
        must(span_block_flush(w, &plain.bytes, &plain.place, &err), &err);
        plain.slice = buf_slice(&plain.bytes);
        struct span_block other;
        open_block(&plain, &a, &other);
        must(span_block_span(&other, 0, &span, &err), &err);
        if (other.attributes_count != (count == 0 ? INGEST_SPAN_ATTRIBUTES_MAX : 3) || span.attributes.count != other.attributes_count)
            break;
        buf_done(&plain.bytes);
    }
    ok(count == 64, "a span of as many attributes as are allowed, then others");
    struct arena small;
    arena_init(&small, 32 * KIB);
    ok(!span_block_open(&m.place, spans_read, &m.slice, z, &small, &b, &err) && err.code == ERR_LIMIT,
       "a full arena is told as such");
    arena_done(&small);
    buf_done(&m.bytes);
    span_block_writer_free(w);
    arena_done(&a);
}

static void test_stats(void)
{
    struct spans_random r = {7};
    struct arena a;
    struct made m;
    arena_init(&a, 4 * GIB);
    struct span *spans = spans_make(&r, &a, 500);
    struct span_block_writer *w = span_block_writer_new(1);
    write_block(w, spans, 500, &m);
    int64_t least = INT64_MAX, most = 0, end = 0;
    uint64_t shortest = UINT64_MAX, longest = 0;
    uint32_t kinds = 0, statuses = 0, traces = 0;
    for (uint32_t i = 0; i < 500; i++) {
        int64_t s = span_time(spans[i].start_ns), e = span_time(spans[i].end_ns);
        uint64_t d = spans[i].end_ns > spans[i].start_ns ? spans[i].end_ns - spans[i].start_ns : 0;
        least = s < least ? s : least;
        most = s > most ? s : most;
        end = e > end ? e : end;
        shortest = d < shortest ? d : shortest;
        longest = d > longest ? d : longest;
        kinds |= UINT32_C(1) << (spans[i].kind < 0 || spans[i].kind > 5 ? 31 : spans[i].kind);
        statuses |= UINT32_C(1) << (spans[i].status < 0 || spans[i].status > 2 ? 31 : spans[i].status);
        traces += i == 0 || memcmp(spans[i].trace_id, spans[i - 1].trace_id, TRACE_ID_BYTES) != 0;
    }
    const struct span_block_stats *s = &m.place.stats;
    ok(s->spans_count == 500 && s->traces_count == traces, "stats count");
    ok(s->start_min_ns == least && s->start_max_ns == most && s->end_max_ns == end, "stats have the times");
    ok(s->duration_min_ns == shortest && s->duration_max_ns == longest, "and durations");
    ok(s->kind_mask == kinds && s->status_mask == statuses, "and kinds and statuses");
    buf_done(&m.bytes);
    write_block(w, spans, 1, &m);
    ok(m.place.stats.spans_count == 1 && m.place.stats.start_min_ns == m.place.stats.start_max_ns, "and start anew with each block");
    buf_done(&m.bytes);
    span_block_writer_free(w);
    arena_done(&a);
}

// --- columns ------------------------------------------------------------------------------------------

static bool column_good(const struct span_block *b, enum span_column column, const struct span *spans, uint32_t i)
{
    const struct span *s = &spans[i];
    switch (column) {
    case SPAN_TRACES:
        return true;
    case SPAN_IDS:
        return memcmp(b->span_ids[i], s->span_id, SPAN_ID_BYTES) == 0;
    case SPAN_PARENTS:
        return memcmp(b->parent_ids[i], s->parent_id, SPAN_ID_BYTES) == 0;
    case SPAN_STARTS:
        return (uint64_t)b->start_ns[i] == s->start_ns;
    case SPAN_DURATIONS:
        return b->duration_ns[i] == s->end_ns - s->start_ns;
    case SPAN_KINDS:
        return b->kinds[i] == s->kind;
    case SPAN_STATUSES:
        return b->statuses[i] == s->status;
    case SPAN_NAMES:
        return slice_eq(b->names.values[b->names.ids[i]], s->name);
    case SPAN_MESSAGES:
        return slice_eq(b->messages.values[b->messages.ids[i]], s->status_message);
    case SPAN_STATES:
        return slice_eq(b->trace_states.values[b->trace_states.ids[i]], s->trace_state);
    case SPAN_RESOURCES:
        return slice_eq(b->resources[b->resource_of[i]].bytes, s->resource->bytes) &&
               slice_eq(b->resources[b->resource_of[i]].service, s->resource->service);
    case SPAN_RESOURCE_ATTRIBUTES: // without the numbers: any resource of the block
        for (uint32_t n = 0; n < b->resources_count; n++)
            if (slice_eq(b->resources[n].bytes, s->resource->bytes))
                return b->resources[n].attributes.count == s->resource->attributes.count;
        return false;
    case SPAN_SCOPES:
        return slice_eq(b->scopes[b->scope_of[i]].bytes, s->scope->bytes);
    case SPAN_SHAPES:
        return b->shape_of[i] <= i;
    case SPAN_EVENTS:
        return slice_eq(b->events[i], s->events);
    case SPAN_LINKS:
        return slice_eq(b->links[i], s->links);
    default:
        return b->flags[i] == s->flags && b->dropped_attributes[i] == s->dropped_attributes &&
               b->dropped_events[i] == s->dropped_events && b->dropped_links[i] == s->dropped_links;
    }
}

static void test_columns(struct made *m, const struct span *spans, uint32_t count)
{
    for (unsigned column = 0; column < SPAN_COLUMNS_COUNT; column++) { // each alone
        struct arena a;
        struct span_block b;
        arena_init(&a, 4 * GIB);
        open_block(m, &a, &b);
        uint64_t head = span_block_read_bytes(&b);
        must(span_block_column(&b, (enum span_column)column, &err), &err);
        bool good = true;
        for (uint32_t i = 0; i < count; i++)
            good = good && column_good(&b, (enum span_column)column, spans, i);
        uint64_t once = span_block_read_bytes(&b);
        ok(good && once > head && once < m->bytes.len / 2, "column %u alone is right", column);
        must(span_block_column(&b, (enum span_column)column, &err), &err);
        is_int(span_block_read_bytes(&b), once, "asked again, nothing is read");
        arena_done(&a);
    }
    static const enum span_column with_dictionaries[] = {SPAN_NAMES, SPAN_MESSAGES, SPAN_STATES, SPAN_RESOURCES, SPAN_SCOPES};
    for (size_t d = 0; d < 5; d++) {
        struct arena a;
        struct span_block b;
        arena_init(&a, 4 * GIB);
        open_block(m, &a, &b);
        must(span_block_dictionary(&b, with_dictionaries[d], &err), &err);
        ok(b.names.ids == NULL && b.resource_of == NULL && b.scope_of == NULL, "a dictionary alone has no numbers");
        uint64_t part = span_block_read_bytes(&b);
        must(span_block_column(&b, with_dictionaries[d], &err), &err);
        uint64_t whole = span_block_read_bytes(&b);
        must(span_block_dictionary(&b, with_dictionaries[d], &err), &err);
        bool good = whole > part && span_block_read_bytes(&b) == whole;
        for (uint32_t i = 0; i < count; i++)
            good = good && column_good(&b, with_dictionaries[d], spans, i);
        ok(good, "the numbers are added to it when asked for");
        arena_done(&a);
    }
    struct arena a;
    struct span_block b;
    arena_init(&a, 4 * GIB);
    open_block(m, &a, &b);
    must(span_block_column(&b, SPAN_TRACES, &err), &err);
    bool good = b.trace_first[0] == 0 && b.trace_first[b.stats.traces_count] == count;
    for (uint32_t t = 0; t < b.stats.traces_count; t++)
        for (uint32_t i = b.trace_first[t]; i < b.trace_first[t + 1]; i++)
            good = good && memcmp(spans[i].trace_id, b.trace_ids[t], TRACE_ID_BYTES) == 0;
    ok(good, "spans are in their traces");
    arena_done(&a);
}

// The values of a (key, kind), by walking all spans.
static bool attribute_good(const struct span_attribute_column *c, const struct span *spans, uint32_t count)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < spans[i].attributes.count; k++) {
            const struct span_attribute *a = &spans[i].attributes.items[k];
            if (a->value.kind != c->kind || !slice_eq(a->key, c->key))
                continue;
            if (at == c->count || c->rows[at] != i)
                return false;
            bool same = c->kind == VALUE_NONE     ? true
                        : c->kind == VALUE_BOOL   ? c->integers[at] == a->value.flag
                        : c->kind == VALUE_INT    ? c->integers[at] == a->value.integer
                        : c->kind == VALUE_DOUBLE ? memcmp(&c->numbers[at], &a->value.number, sizeof(double)) == 0
                                                  : slice_eq(c->strings.values[c->strings.ids[at]], a->value.bytes);
            if (!same)
                return false;
            at++;
        }
    }
    return at == c->count;
}

static void test_attributes(struct made *m, const struct span *spans, uint32_t count)
{
    struct arena a;
    struct span_block b;
    arena_init(&a, 4 * GIB);
    open_block(m, &a, &b);
    bool sorted = true, good = true, distinct = true;
    for (uint32_t i = 0; i < b.attributes_count; i++) {
        struct span_attribute_column *c = &b.attributes[i];
        int order = i == 0 ? -1 : slice_cmp(c[-1].key, c->key);
        sorted = sorted && (order < 0 || (order == 0 && c[-1].kind < c->kind));
        must(span_block_attribute_values(&b, i, &err), &err);
        bool strings = c->kind == VALUE_STRING || c->kind >= VALUE_ARRAY;
        good = good && c->rows == NULL && (c->strings.values != NULL) == strings && c->strings.ids == NULL;
        for (uint32_t k = 1; k < c->strings.values_count; k++)
            for (uint32_t j = 0; j < k; j++)
                distinct = distinct && !slice_eq(c->strings.values[k], c->strings.values[j]);
        must(span_block_attribute(&b, i, &err), &err);
        good = good && attribute_good(c, spans, count);
        uint32_t first, found;
        span_block_find(&b, c->key, &first, &found);
        good = good && first <= i && i < first + found && slice_eq(b.attributes[first].key, c->key) &&
               (first == 0 || !slice_eq(b.attributes[first - 1].key, c->key)) &&
               (first + found == b.attributes_count || !slice_eq(b.attributes[first + found].key, c->key));
    }
    ok(sorted, "attributes are by key, then kind");
    ok(good, "they have the spans' values, and are found by their keys");
    ok(distinct, "distinct values are distinct");
    uint32_t first, found;
    span_block_find(&b, SLICE("~"), &first, &found);
    is_int(found, 0, "a key that no span has, behind all");
    span_block_find(&b, SLICE("b"), &first, &found);
    is_int(found, 0, "and between");
    arena_done(&a);
}

static void test_parts(void)
{
    struct spans_random r = {99};
    struct arena a;
    struct made m;
    arena_init(&a, 4 * GIB);
    struct span *spans = spans_make(&r, &a, 2000);
    struct span_block_writer *w = span_block_writer_new(1);
    write_block(w, spans, 2000, &m);
    test_columns(&m, spans, 2000);
    test_attributes(&m, spans, 2000);
    buf_done(&m.bytes);
    span_block_writer_free(w);
    arena_done(&a);
}

// --- damage -------------------------------------------------------------------------------------------

static bool read_all(const struct made *m, enum err_code *code_out)
{
    struct arena a;
    struct span_block b;
    struct span span;
    arena_init(&a, 64 * MIB);
    bool good = span_block_open(&m->place, spans_read, (void *)&m->slice, z, &a, &b, &err);
    for (uint32_t i = 0; good && i < b.spans_count; i++)
        good = span_block_span(&b, i, &span, &err);
    for (uint32_t i = 0; good && i < b.attributes_count; i++)
        good = span_block_attribute(&b, i, &err);
    *code_out = good ? ERR_NONE : err.code;
    arena_done(&a);
    return good;
}

// Damage of what one trace alone needs, or of what lies beside it, is told or does not matter;
// nothing else is.
static bool narrow_read(const struct made *m, const struct span *want)
{
    struct arena a;
    struct span_block b;
    struct span span;
    struct buf left = {0}, right = {0};
    arena_init(&a, 64 * MIB);
    bool good = span_block_open(&m->place, spans_read, (void *)&m->slice, z, &a, &b, &err) &&
                span_block_column(&b, SPAN_TRACES, &err),
         same = true;
    uint32_t trace = b.stats.traces_count / 2, first = good ? b.trace_first[trace] : 0;
    good = good && span_block_narrow(&b, trace, 1, &err);
    for (uint32_t i = 0; good && i < b.spans_count; i++) {
        good = span_block_span(&b, i, &span, &err);
        same = same && (!good || same_span(&span, &want[first + i], &left, &right));
    }
    arena_done(&a);
    buf_done(&left);
    buf_done(&right);
    return good ? same : err.code == ERR_CORRUPT;
}

static void test_damage(void)
{
    struct spans_random r = {5};
    struct arena a;
    struct made m;
    enum err_code code;
    arena_init(&a, 4 * GIB);
    struct span *spans = spans_make(&r, &a, 40);
    for (int level = 0; level < 2; level++) {
        struct span_block_writer *w = span_block_writer_new(level);
        write_block(w, spans, 40, &m);
        bool seen = read_all(&m, &code), told = true, alone = narrow_read(&m, spans);
        for (size_t at = 0; at < m.bytes.len; at++) {
            m.bytes.ptr[at] ^= 0x10;
            seen = seen && !read_all(&m, &code);
            told = told && code == ERR_CORRUPT;
            alone = alone && narrow_read(&m, spans);
            m.bytes.ptr[at] ^= 0x10;
        }
        ok(seen && told, "level %d: damage is seen anywhere, and told as such", level);
        ok(alone, "one trace alone is whole, or damage is told");
        struct made other = m;
        other.place.stats.spans_count++;
        ok(!read_all(&other, &code) && code == ERR_CORRUPT, "a place with another number of spans");
        other = m;
        other.place.stats.traces_count--;
        ok(!read_all(&other, &code) && code == ERR_CORRUPT, "or of traces");
        other = m;
        other.place.total_bytes++;
        ok(!read_all(&other, &code) && code == ERR_CORRUPT, "or of bytes is refused");
        other = m;
        other.slice.len--;
        ok(!read_all(&other, &code) && code == ERR_CORRUPT, "a reader's failure is handed on");
        buf_done(&m.bytes);
        span_block_writer_free(w);
    }
    arena_done(&a);
}

int main(void)
{
    z = zbuf_new();
    test_numbers();
    test_round_trip();
    test_full();
    test_stats();
    test_parts();
    test_damage();
    zbuf_free(z);
    return tap_done();
}
