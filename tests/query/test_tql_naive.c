/*
 * test_tql_naive.c -- generated TraceQL over odd spans in heads and segments: what blocks are asked and decided by column
 * gives what evaluating every assembled trace gives.
 */
#include "batches.h"
#include "tap.h"
#include "tql_fixture.h"

#include "base/limits.h"
#include "query/crew.h"
#include "query/traceql/tql_sets.h"

#include <stdio.h>
#include <stdlib.h>

enum { TRACES = 120, SPANS_MAX = 14, QUERIES = 400 };

static struct store *st;
static struct crew *crew;
static struct arena data;
static uint64_t state = 11;

static uint32_t below(uint32_t limit)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(state >> 33) % limit;
}

#define PICK(list) (list)[below(COUNT_OF(list))]

// --- spans ------------------------------------------------------------------------------------------------

static const char *const keys[] = {"a", "b", "c", "d.e"};
static const char *const words[] = {"x", "y", "zz", ""};
static const char *const services[] = {"web", "cart", "db"};

static struct span_value any_value(void)
{
    struct span_value items[2];
    switch (below(9)) {
    case 0: return (struct span_value){.kind = VALUE_BOOL, .flag = below(2)};
    case 1: case 2: return fixture_int((int64_t)below(5) - 1);
    case 3: return (struct span_value){.kind = VALUE_DOUBLE, .number = (double)below(8) / 2};
    case 4: return (struct span_value){.kind = VALUE_NONE};
    case 5:
        items[0] = below(2) ? fixture_int(below(3)) : fixture_text(PICK(words));
        items[1] = below(4) ? fixture_int(below(3)) : fixture_text(PICK(words));
        return fixture_array(&data, items, below(3));
    case 6: return (struct span_value){.kind = VALUE_BYTES, .bytes = SLICE("raw")};
    default: return fixture_text(PICK(words));
    }
}

static void any_attributes(struct span_attributes *out)
{
    struct span_attribute items[4];
    uint32_t count = below(5);
    for (uint32_t i = 0; i < count; i++) // keys may come twice
        items[i] = FIXTURE_PAIR(PICK(keys), any_value());
    fixture_attributes(&data, out, items, count);
}

static void make_origin(struct span *s)
{
    struct span_resource *resource = arena_zalloc(&data, sizeof *resource);
    struct span_scope *scope = arena_zalloc(&data, sizeof *scope);
    struct span_attribute items[2] = {FIXTURE_PAIR("service.name", fixture_text(PICK(services))), FIXTURE_PAIR(PICK(keys), any_value())};
    fixture_attributes(&data, &resource->attributes, items, 1 + below(2));
    scope->name = slice_cstr(PICK(words));
    if (below(3) == 0)
        any_attributes(&scope->attributes);
    struct buf b;
    buf_init(&b, 0);
    span_resource_put(&b, resource);
    resource->bytes = arena_copy(&data, buf_slice(&b));
    buf_reset(&b);
    span_scope_put(&b, scope);
    scope->bytes = arena_copy(&data, buf_slice(&b));
    buf_done(&b);
    s->resource = resource;
    s->scope = scope;
}

static void make_events(struct span *s)
{
    struct buf events, links;
    buf_init(&events, 0);
    buf_init(&links, 0);
    for (uint32_t n = below(3); n > 0; n--) {
        struct span_event event = {.time_ns = s->start_ns + below(1000), .name = slice_cstr(PICK(words))};
        any_attributes(&event.attributes);
        span_event_put(&events, &event);
    }
    if (below(4) == 0) {
        struct span_link link = {.trace_id = slice_of(s->trace_id, TRACE_ID_BYTES), .span_id = slice_of(s->span_id, SPAN_ID_BYTES)};
        any_attributes(&link.attributes);
        span_link_put(&links, &link);
    }
    s->events = arena_copy(&data, buf_slice(&events));
    s->links = arena_copy(&data, buf_slice(&links));
    buf_done(&events);
    buf_done(&links);
}

static void make_span(struct span *s, uint32_t trace, uint32_t number)
{
    *s = (struct span){.name = slice_cstr(PICK(words)), .kind = (int32_t)below(8), .status = (int32_t)below(4)};
    s->status_message = slice_cstr(PICK(words));
    s->trace_id[TRACE_ID_BYTES - 1] = (uint8_t)(trace + 1);
    s->span_id[SPAN_ID_BYTES - 1] = (uint8_t)(below(8) == 0 ? 1 + below(number + 1) : number + 1); // shared ones, too
    if (number > 0 && below(10) > 0)
        s->parent_id[SPAN_ID_BYTES - 1] = (uint8_t)(below(12) == 0 ? 99 : 1 + below(number + (below(9) == 0)));
    s->start_ns = FIXTURE_T0 + trace * UINT64_C(1000000) + below(3000000);
    s->end_ns = s->start_ns + below(4000) - (below(6) == 0 ? 500 : 0);
    make_origin(s);
    any_attributes(&s->attributes);
    make_events(s);
}

static void fill(void)
{
    struct err err;
    struct span spans[SPANS_MAX];
    for (uint32_t t = 0; t < TRACES; t++) {
        uint32_t count = 1 + below(SPANS_MAX);
        for (uint32_t i = 0; i < count; i++)
            make_span(&spans[i], t, i);
        for (uint32_t pass = 0; pass < 1 + (below(5) == 0); pass++) { // again, or in parts
            struct test_batch b;
            uint32_t added;
            test_batch_init(&b, "t");
            for (uint32_t i = 0; i < count; i++)
                if (pass == 0 ? below(12) > 0 : below(3) > 0)
                    test_batch_put_span(&b, &spans[i]);
            if (b.batch.spans_count > 0)
                must(test_batch_append(st, &b, &added, &err), &err);
            test_batch_done(&b);
            if (t % 40 == 39 && t < 100)
                must(store_flush(st, &err), &err);
        }
    }
}

// --- queries ----------------------------------------------------------------------------------------------

static const char *const scopes[] = {".", "span.", "resource.", "event.", "link.", "instrumentation."};
static const char *const compares[] = {"=", "!=", "<", "<=", ">", ">="};

static void put_condition(struct buf *b)
{
    static const char *const statics[] = {"`x`", "`zz`", "1", "0", "2.5", "true", "false", "``", "2ns"};
    static const char *const intrinsics[] = {
        "duration > 1us", "duration < 300ns", "2us < duration", "duration = 0s", "name = `x`", "name != `y`", "name =~ `x|zz`", "name !~ `z.`",
        "status = error", "status != ok", "status = unset", "kind = server", "kind != client", "kind = unspecified", "statusMessage = ``",
        "rootName = `x`", "rootServiceName != `web`", "traceDuration > 2ms", "nestedSetParent < 0", "nestedSetParent = -1",
        "nestedSetLeft > 3", "span:childCount > 0", "event:name = `x`", "event:timeSinceStart > 500ns", "link:traceID != nil",
        "instrumentation:name = `x`", "span:parentID = `0000000000000000`", "span:id = `0000000000000003`", "span:id =~ `.*[1-4]`",
        "trace:id = `7`", "true", "resource.service.name = `cart`", "resource.service.name =~ `c.*|web`", "nestedSetParent > 0"};
    const char *scope = PICK(scopes), *key = PICK(keys);
    switch (below(8)) {
    case 0: buf_printf(b, "%s%s %s nil", scope, key, below(2) ? "=" : "!="); break;
    case 1: buf_printf(b, "%s%s =~ `%s`", scope, key, below(2) ? "x|y" : "z*"); break;
    case 2: buf_printf(b, "%s%s", scope, key); break;
    case 3: buf_printf(b, "%s%s + 1 %s 2", scope, key, PICK(compares)); break;
    case 4: buf_printf(b, "%s%s %s %s%s", scope, key, PICK(compares), PICK(scopes), PICK(keys)); break;
    case 5: buf_printf(b, "%s%s %s %s", scope, key, PICK(compares), PICK(statics)); break;
    default: buf_put_cstr(b, PICK(intrinsics)); break;
    }
}

static void put_expression(struct buf *b, int depth)
{
    if (depth == 0 || below(3) == 0) {
        buf_put_cstr(b, below(6) == 0 ? "!(" : "(");
        put_condition(b);
        buf_put_byte(b, ')');
        return;
    }
    buf_put_byte(b, '(');
    put_expression(b, depth - 1);
    buf_put_cstr(b, below(3) ? " && " : " || ");
    put_expression(b, depth - 1);
    buf_put_byte(b, ')');
}

static void put_set(struct buf *b, int depth)
{
    static const char *const ops[] = {"&&", "||", ">", "<", ">>", "<<", "~", "!>", "!<", "!>>", "!<<", "!~", "&>", "&<", "&>>", "&<<", "&~"};
    if (depth == 0 || below(2)) {
        buf_put_cstr(b, "{ ");
        put_expression(b, 2);
        buf_put_cstr(b, " }");
        return;
    }
    buf_put_byte(b, '(');
    put_set(b, depth - 1);
    buf_printf(b, " %s ", PICK(ops));
    put_set(b, depth - 1);
    buf_put_byte(b, ')');
}

static void put_pipeline(struct buf *b)
{
    static const char *const stages[] = {" | count() > 1", " | by(.a)", " | by(resource.service.name) | count() > 1", " | max(duration) > 1us",
                                         " | by(name) | coalesce()", " | select(.a, event.b)", " | sum(.a) > 1", " | { .b = 1 }"};
    put_set(b, (int)below(3));
    for (uint32_t n = below(5); n > 3; n--)
        buf_put_cstr(b, PICK(stages));
    if (below(4) == 0)
        buf_put_cstr(b, PICK(stages));
}

// --- comparing --------------------------------------------------------------------------------------------

struct lines { // of text, sorted before they are compared
    struct buf items[1024];
    uint32_t count;
};

static struct buf *new_line(struct lines *l)
{
    buf_init(&l->items[l->count], 0);
    return &l->items[l->count++];
}

static int compare_lines(const void *left, const void *right)
{
    return slice_cmp(buf_slice(left), buf_slice(right));
}

static bool equal(struct lines *l, struct lines *r)
{
    bool same = l->count == r->count;
    qsort(l->items, l->count, sizeof l->items[0], compare_lines);
    qsort(r->items, r->count, sizeof r->items[0], compare_lines);
    for (uint32_t i = 0; same && i < l->count; i++)
        same = slice_eq(buf_slice(&l->items[i]), buf_slice(&r->items[i]));
    return same;
}

static void clear(struct lines *l)
{
    for (uint32_t i = 0; i < l->count; i++)
        buf_done(&l->items[i]);
    l->count = 0;
}

static struct lines fast, naive;
static const int64_t FROM_NS = (int64_t)FIXTURE_T0 + 20000000, TO_NS = (int64_t)FIXTURE_T0 + 90000000;

static bool search_fast(const struct traceql *q, struct arena *a, struct err *err)
{
    struct query_context context = {.store = st, .crew = crew, .tenant = SLICE("t"), .arena = a};
    struct trace_search_options o = {.from_ns = FROM_NS, .to_ns = TO_NS, .limit = 1000, .spans_per_set = 100};
    struct trace_search_result r;
    if (!trace_search(q, &o, &context, &r, err))
        return false;
    for (uint32_t t = 0; t < r.traces_count; t++) {
        struct buf *line = new_line(&fast);
        buf_printf(line, "%u %llu %llu %.*s", r.traces[t].trace_id[15], (unsigned long long)r.traces[t].start_ns,
                   (unsigned long long)r.traces[t].duration_ns, SLICE_FMT(r.traces[t].root_name));
        for (uint32_t s = 0; s < r.traces[t].sets_count; s++) {
            buf_printf(line, " [");
            for (uint32_t i = 0; i < r.traces[t].sets[s].spans_count; i++)
                buf_printf(line, " %u.%llu", r.traces[t].sets[s].spans[i].span_id[7], (unsigned long long)r.traces[t].sets[s].spans[i].start_ns);
            buf_put_byte(line, ']');
        }
    }
    return true;
}

static bool metrics_fast(const struct traceql *q, struct arena *a, struct err *err)
{
    struct query_context context = {.store = st, .crew = crew, .tenant = SLICE("t"), .arena = a};
    struct trace_metrics_options o = {.from_ns = FROM_NS, .to_ns = TO_NS, .step_ns = 10000000, .exemplars_max = 10};
    struct trace_metrics_result r;
    if (!trace_metrics(q, &o, &context, &r, err))
        return false;
    for (uint32_t s = 0; s < r.series_count; s++)
        for (uint32_t i = 0; i < r.series[s].samples_count; i++) {
            if (r.series[s].samples[i].value == 0)
                continue;
            struct buf *line = new_line(&fast);
            fixture_print_attribute(&r.series[s].labels.items[0], line);
            buf_printf(line, " %lld %g", (long long)r.series[s].samples[i].time_ms, r.series[s].samples[i].value);
        }
    return true;
}

// Every trace, assembled, through the pipeline.
static bool each_trace(const struct traceql *q, struct arena *a, bool metrics, struct err *err)
{
    AUTO(view_endp) struct view *v = NULL;
    struct arena scratch;
    uint32_t counts[8][4] = {0}; // by bucket and service; the last: none
    must(view_begin(st, SLICE("t"), &v, err), err);
    arena_init(&scratch, MIB);
    bool good = true;
    for (uint32_t n = 0; n < TRACES && good; n++) {
        uint8_t id[TRACE_ID_BYTES] = {0};
        struct view_trace found;
        struct tql_trace t;
        struct tql_spansets sets;
        struct tql_spanset all;
        id[TRACE_ID_BYTES - 1] = (uint8_t)(n + 1);
        must(view_trace(v, id, a, &found, err), err);
        if (found.spans_count == 0)
            continue;
        tql_trace_begin(&t, found.spans, found.spans_count, a, &scratch);
        bool overlaps = (int64_t)t.start_ns < TO_NS && (int64_t)t.end_ns >= FROM_NS;
        if (!metrics && !overlaps)
            continue;
        good = tql_sets_run(&q->pipeline, &t, &sets, err) && tql_sets_union(&t, &sets, &all, err);
        for (uint32_t i = 0; good && metrics && i < all.count; i++) {
            const struct span *s = &t.spans[all.spans[i]];
            uint32_t service = 0;
            while (service < 3 && !slice_eq(s->resource->service, slice_cstr(services[service])))
                service++;
            if ((int64_t)s->start_ns > FROM_NS && (int64_t)s->start_ns <= TO_NS)
                counts[((int64_t)s->start_ns - FROM_NS - 1) / 10000000][service]++;
        }
        if (!good || metrics || sets.count == 0)
            continue;
        struct buf *line = new_line(&naive);
        buf_printf(line, "%u %llu %llu %.*s", n + 1, (unsigned long long)t.start_ns, (unsigned long long)tql_trace_duration(&t),
                   SLICE_FMT(t.root != NULL ? t.root->name : SLICE("")));
        for (size_t s = 0; s < sets.count; s++) {
            buf_printf(line, " [");
            for (uint32_t i = 0; i < sets.items[s].count; i++)
                buf_printf(line, " %u.%llu", t.spans[sets.items[s].spans[i]].span_id[7],
                           (unsigned long long)t.spans[sets.items[s].spans[i]].start_ns);
            buf_put_byte(line, ']');
        }
    }
    for (uint32_t i = 0; good && metrics && i < 7; i++)
        for (uint32_t s = 0; s < 3; s++)
            if (counts[i][s] > 0)
                buf_printf(new_line(&naive), "resource.service.name=%s %lld %g", services[s], (long long)((FROM_NS + (i + 1) * 10000000) / 1000000),
                           (double)counts[i][s]);
    arena_done(&scratch);
    return good;
}

static bool agrees(struct slice text, bool metrics, bool *compared)
{
    struct arena a, b;
    struct traceql *q = NULL;
    struct err err = {0}, other = {0};
    bool syntax, same = true;
    arena_init(&a, 64 * MIB);
    arena_init(&b, 64 * MIB);
    if (traceql_parse(text, &a, &q, &syntax, &err)) { // types may not fit
        bool good = metrics ? metrics_fast(q, &a, &err) : search_fast(q, &a, &err);
        same = each_trace(q, &b, metrics, &other) == good && (!good || equal(&fast, &naive));
        *compared = true;
        if (!same) {
            (void)fprintf(stdout, "# %.*s\n# %s | %s\n", SLICE_FMT(text), err.text, other.text);
            for (uint32_t i = 0; i < fast.count || i < naive.count; i++)
                (void)fprintf(stdout, "#  %.*s\n#   %.*s\n", i < fast.count ? (int)fast.items[i].len : 1, i < fast.count ? (char *)fast.items[i].ptr : "-",
                              i < naive.count ? (int)naive.items[i].len : 1, i < naive.count ? (char *)naive.items[i].ptr : "-");
        }
    }
    clear(&fast);
    clear(&naive);
    traceql_free(q);
    arena_done(&a);
    arena_done(&b);
    return same;
}

int main(void)
{
    struct err err;
    int compared_count = 0, different = 0;
    arena_init(&data, 64 * MIB);
    must(store_open(&(struct store_options){.dir = tap_dir(), .decode = test_decode}, &st, &err), &err);
    crew = crew_new(1);
    fill();
    for (int i = 0; i < QUERIES && different < 5; i++) {
        struct buf text;
        bool compared = false, metrics = i % 2 == 1;
        buf_init(&text, 0);
        put_pipeline(&text);
        if (metrics)
            buf_put_cstr(&text, " | count_over_time() by (resource.service.name)");
        different += !agrees(buf_slice(&text), metrics, &compared);
        compared_count += compared;
        buf_done(&text);
    }
    is_int(different, 0, "blocks and assembled traces agree");
    ok(compared_count > QUERIES / 3, "on %d queries", compared_count);
    crew_free(crew);
    store_close(st);
    arena_done(&data);
    return tap_done();
}
