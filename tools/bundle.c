/*
 * bundle.c -- `mstore-dump bundle`: cuts one trace, or what a query selects in a window of time,
 * into a segment of its own.
 *
 * The segment is of generation 1 and one tenant: every command opens it by itself, and as the only
 * file of a new data directory's `segments`, under the name of its generation, mstored does.
 */
#include "dump.h"

#include "base/fs.h"
#include "base/hex.h"
#include "base/jsonout.h"
#include "base/limits.h"
#include "query/trace/trace_logs.h"
#include "query/trace/visit_spans.h"
#include "store/segment/seg.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUNDLE_ARENA_BYTES_MAX (UINT64_C(4) << 30) // holds the entries
enum { BUNDLE_GENERATION = 1, BUNDLE_LEVEL = 9, PATH_BYTES = 4096 };
enum { BUNDLE_TRACE_LOGS_MAX = 1000000 }; // of one trace; more is told

struct cut_entry {
    struct slice labels; // the arena's, as the rest; equal ones of a selection are one
    struct slice line, metadata;
    int64_t time_ns;
    uint64_t order, position; // of equal times
};

struct cut_trace {
    uint8_t id[TRACE_ID_BYTES];
    uint64_t start_ns;
};

struct bundle {
    const char *path, *out, *trace, *query, *tenant;
    int64_t from_ns, to_ns;
    bool json;
    struct query_context context;
    struct view *view;
    struct query *parsed;
    struct cut_entry *entries;
    size_t entries_count, entries_room;
    struct cut_trace *traces;
    size_t traces_count, traces_room;
    uint64_t spans_count;
    struct view_damage damage;
};

static int parse_arguments(int argc, char **argv, struct bundle *b)
{
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-') {
            if (b->path != NULL)
                return dump_fail(EXIT_USAGE, "bundle: unexpected argument `%s`", argv[i]);
            b->path = argv[i];
            continue;
        }
        if (strcmp(argv[i], "--json") == 0) {
            b->json = true;
            continue;
        }
        if (i + 1 == argc)
            return dump_fail(EXIT_USAGE, "bundle: `%s` is not an option, or needs a value",
                             argv[i]);
        const char *flag = argv[i], *value = argv[++i];
        bool good = true;
        if (strcmp(flag, "--out") == 0)
            b->out = value;
        else if (strcmp(flag, "--trace") == 0)
            b->trace = value;
        else if (strcmp(flag, "--query") == 0)
            b->query = value;
        else if (strcmp(flag, "--tenant") == 0)
            b->tenant = value;
        else if (strcmp(flag, "--from") == 0)
            good = dump_time(value, &b->from_ns);
        else if (strcmp(flag, "--to") == 0)
            good = dump_time(value, &b->to_ns);
        else
            return dump_fail(EXIT_USAGE, "bundle: unknown option `%s`", flag);
        if (!good)
            return dump_fail(EXIT_USAGE, "bundle: %s: cannot read `%s`", flag, value);
    }
    if (b->path == NULL)
        return dump_fail(EXIT_USAGE, "bundle: of which directory or file?");
    if (b->out == NULL || !dump_ends(b->out, ".seg"))
        return dump_fail(EXIT_USAGE, "bundle: --out FILE.seg is needed");
    if ((b->trace == NULL) == (b->query == NULL))
        return dump_fail(EXIT_USAGE, "bundle: either --trace ID or --query QUERY is needed");
    return EXIT_GOOD;
}

// --- gathering
// --------------------------------------------------------------------------------------

static bool add_trace(struct bundle *b, const uint8_t id[TRACE_ID_BYTES], struct err *err)
{
    size_t n = b->traces_count;
    if (n > 0 && memcmp(b->traces[n - 1].id, id, TRACE_ID_BYTES) == 0)
        return true;
    if (!arena_grow(b->context.arena, (void **)&b->traces, sizeof *b->traces, n, &b->traces_room))
        return arena_ok(b->context.arena, "bundle", err);
    memcpy(b->traces[b->traces_count++].id, id, TRACE_ID_BYTES);
    return true;
}

static bool add_entry(struct bundle *b, const struct cut_entry *e, struct err *err)
{
    struct arena *a = b->context.arena;
    uint8_t id[TRACE_ID_BYTES];
    if (!arena_grow(a, (void **)&b->entries, sizeof *b->entries, b->entries_count,
                    &b->entries_room))
        return arena_ok(a, "bundle", err);
    struct cut_entry *to = &b->entries[b->entries_count++];
    *to = *e;
    to->line = arena_copy(a, e->line);
    to->metadata = arena_copy(a, e->metadata);
    return arena_ok(a, "bundle", err) &&
           (!trace_id_of_entry(e->metadata, id) || add_trace(b, id, err));
}

static bool cut_run(struct bundle *b, struct run_loader *loader, struct slice labels,
                    const struct view_run *run, struct query_space *space, struct err *err)
{
    struct run_entries loaded;
    if (!run_load(loader, run, VIEW_TIMES | VIEW_LINES | VIEW_METADATA, &loaded, err))
        return false;
    for (uint32_t i = 0; i < loaded.count; i++) {
        struct store_arrival arrival = {.tenant = b->context.tenant,
                                        .labels = labels,
                                        .time_ns = loaded.times_ns[i],
                                        .line = slice_of(loaded.lines[i], loaded.line_bytes[i]),
                                        .metadata = loaded.metadata[i]};
        struct query_entry ignored;
        struct cut_entry e = {.labels = labels,
                              .line = arrival.line,
                              .metadata = arrival.metadata,
                              .time_ns = arrival.time_ns,
                              .order = run->order,
                              .position = run->first + i};
        if (arrival.time_ns >= b->from_ns && arrival.time_ns < b->to_ns &&
            query_match(b->parsed, &arrival, space, &ignored) && !add_entry(b, &e, err))
            return false;
    }
    return true;
}

// What is damaged is left out, and told at the end.
static bool damaged(struct bundle *b, const struct err *why, struct err *err)
{
    if (why->code != ERR_CORRUPT) {
        *err = *why;
        return false;
    }
    b->damage.segments++;
    b->damage.last = *why;
    return true;
}

static bool cut_entries(struct bundle *b, struct err *err)
{
    size_t matchers_count;
    bool stages;
    const struct label_matcher *matchers = query_matchers(b->parsed, &matchers_count, &stages);
    struct view_selection selection;
    if (!view_select(b->view, matchers, matchers_count, b->from_ns, b->to_ns, b->context.arena,
                     &selection, err) ||
        !view_labels_all(b->view, &selection, b->context.arena, err))
        return false;
    AUTO(view_ahead_freep) struct view_ahead *ahead = view_ahead_new(b->view);
    AUTO(run_loader_freep) struct run_loader *loader = run_loader_new(b->view);
    run_loader_join(loader, ahead);
    struct query_space *space = query_space_new();
    bool good = true;
    for (uint32_t i = 0; i < selection.runs_count && good; i++) {
        struct err why;
        const struct view_run *run = &selection.runs[i];
        good = cut_run(b, loader, selection.streams[run->stream].labels, run, space, &why) ||
               damaged(b, &why, err);
    }
    query_space_free(space);
    return good;
}

static bool name_trace(void *ctx, const struct span *span, struct err *err)
{
    struct bundle *b = ctx;
    struct slice service =
        span->resource->service.len > 0 ? span->resource->service : SLICE("unknown_service");
    struct label label = {SLICE("service_name"), service};
    struct arena_mark mark = arena_mark(b->context.arena);
    struct slice labels = labels_encoded(&(struct labels){&label, 1}, b->context.arena);
    bool selected = labels.ptr != NULL && query_selects(b->parsed, labels);
    arena_rewind(b->context.arena, mark);
    return !selected || add_trace(b, span->trace_id, err);
}

static bool cut_query(struct bundle *b, struct err *err)
{
    return query_parse(slice_cstr(b->query), b->context.arena, &b->parsed, err) &&
           (query_kind(b->parsed) == QUERY_LOGS ||
            err_set(err, ERR_INPUT, "bundle: --query is of log lines")) &&
           cut_entries(b, err) &&
           visit_spans(&b->context, b->from_ns, b->to_ns, name_trace, b, &b->damage, err);
}

static bool cut_trace(struct bundle *b, struct err *err)
{
    uint8_t id[TRACE_ID_BYTES];
    struct view_trace trace;
    struct trace_logs logs;
    struct slice services[TRACE_TREE_SERVICES_MAX];
    struct trace_logs_options options = {.services = services,
                                         .from_ns = INT64_MAX,
                                         .to_ns = INT64_MIN,
                                         .limit = BUNDLE_TRACE_LOGS_MAX};
    if (!hex_decode(slice_cstr(b->trace), id, sizeof id))
        return err_set(err, ERR_INPUT, "bundle: `%s` is not 1 to 32 hex digits", b->trace);
    if (!view_trace(b->view, id, b->context.arena, &trace, err))
        return false;
    for (uint32_t i = 0; i < trace.spans_count; i++) {
        const struct span *s = &trace.spans[i];
        int64_t from = span_time(s->start_ns), to = span_time(s->end_ns);
        options.from_ns = from < options.from_ns ? from : options.from_ns;
        options.to_ns = to > options.to_ns ? to : options.to_ns;
        bool known = s->resource->service.len == 0 || options.services_count == COUNT_OF(services);
        for (uint32_t n = 0; n < options.services_count && !known; n++)
            known = slice_eq(services[n], s->resource->service);
        if (!known)
            services[options.services_count++] = s->resource->service;
    }
    if ((trace.spans_count > 0 && !add_trace(b, id, err)) ||
        !trace_logs(&b->context, id, &options, &logs, err))
        return false;
    for (uint32_t i = 0; i < logs.warnings.count; i++)
        fprintf(stderr, "mstore-dump: %s\n", logs.warnings.items[i]);
    for (uint32_t i = 0; i < logs.count; i++) {
        const struct trace_log *l = &logs.items[i];
        struct cut_entry e = {.labels = l->labels,
                              .line = l->line,
                              .metadata = l->metadata,
                              .time_ns = l->time_ns,
                              .position = i};
        if (!add_entry(b, &e, err))
            return false;
    }
    b->traces_count = trace.spans_count > 0; // other traces that its lines name are not asked for
    if (logs.warnings.count > 0 || logs.more) {
        b->damage.segments++;
        (void)err_set(&b->damage.last, ERR_CORRUPT, "%s",
                      logs.more ? "the trace has more log entries" : logs.warnings.items[0]);
    }
    return true;
}

// --- sorting
// ----------------------------------------------------------------------------------------

static int by_stream_and_time(const void *a, const void *b)
{
    const struct cut_entry *x = a, *y = b;
    int order = slice_cmp(x->labels, y->labels);
    if (order != 0)
        return order;
    if (x->time_ns != y->time_ns)
        return x->time_ns < y->time_ns ? -1 : 1;
    if (x->order != y->order)
        return x->order < y->order ? -1 : 1;
    return (x->position > y->position) - (x->position < y->position);
}

static int by_id(const void *a, const void *b)
{
    return memcmp(((const struct cut_trace *)a)->id, ((const struct cut_trace *)b)->id,
                  TRACE_ID_BYTES);
}

static int by_start(const void *a, const void *b)
{
    const struct cut_trace *x = a, *y = b;
    return x->start_ns != y->start_ns ? (x->start_ns > y->start_ns) - (x->start_ns < y->start_ns)
                                      : by_id(a, b);
}

// Each trace once, by its first span; those without spans go.
static bool sort_traces(struct bundle *b, struct err *err)
{
    size_t kept = 0;
    if (b->traces_count > 0)
        qsort(b->traces, b->traces_count, sizeof *b->traces, by_id);
    for (size_t i = 0; i < b->traces_count; i++) {
        AUTO(arena_done) struct arena a;
        struct view_trace trace;
        arena_init(&a, BUNDLE_ARENA_BYTES_MAX);
        if (i > 0 && by_id(&b->traces[i], &b->traces[i - 1]) == 0)
            continue;
        if (!view_trace(b->view, b->traces[i].id, &a, &trace, err))
            return false;
        if (trace.spans_count == 0)
            continue;
        struct cut_trace t = b->traces[i];
        t.start_ns = trace.spans[0].start_ns;
        b->traces[i] = t;
        b->traces[kept++] = t;
    }
    b->traces_count = kept;
    if (kept > 0)
        qsort(b->traces, kept, sizeof *b->traces, by_start);
    return true;
}

// --- writing
// ----------------------------------------------------------------------------------------

static bool same_entry(const struct cut_entry *a, const struct cut_entry *b)
{
    return a->time_ns == b->time_ns && slice_eq(a->line, b->line) &&
           slice_eq(a->metadata, b->metadata);
}

// Whether an equal entry was written before: they have one time.
static bool is_repeated(const struct bundle *b, size_t first, size_t i)
{
    for (size_t n = i; n-- > first && b->entries[n].time_ns == b->entries[i].time_ns;)
        if (same_entry(&b->entries[n], &b->entries[i]))
            return true;
    return false;
}

static bool write_entries(struct bundle *b, struct seg_writer *w, uint64_t *written_out,
                          struct err *err)
{
    size_t first = 0;
    *written_out = 0;
    if (b->entries_count > 0)
        qsort(b->entries, b->entries_count, sizeof *b->entries, by_stream_and_time);
    for (size_t i = 0; i < b->entries_count; i++) {
        const struct cut_entry *e = &b->entries[i];
        if (i == 0 || !slice_eq(e->labels, b->entries[i - 1].labels)) {
            first = i;
            if (!seg_writer_stream(w, b->context.tenant, e->labels, hash_128(e->labels), err))
                return false;
        }
        if (is_repeated(b, first, i))
            continue;
        if (!seg_writer_entry(w, e->time_ns, e->line, e->metadata, err))
            return false;
        ++*written_out;
    }
    return true;
}

static bool write_spans(struct bundle *b, struct seg_writer *w, struct err *err)
{
    for (size_t i = 0; i < b->traces_count; i++) {
        AUTO(arena_done) struct arena a;
        struct view_trace trace;
        arena_init(&a, BUNDLE_ARENA_BYTES_MAX);
        if (!view_trace(b->view, b->traces[i].id, &a, &trace, err))
            return false;
        if (trace.damage.segments > 0)
            b->damage = trace.damage;
        for (uint32_t n = 0; n < trace.spans_count; n++)
            if (!seg_writer_span(w, b->context.tenant, &trace.spans[n], err))
                return false;
        b->spans_count += trace.spans_count;
    }
    return true;
}

static bool write_segment(struct bundle *b, uint64_t *written_out, struct err *err)
{
    char dir[PATH_BYTES];
    const char *slash = strrchr(b->out, '/');
    (void)snprintf(dir, sizeof dir, "%.*s",
                   slash != NULL && slash > b->out ? (int)(slash - b->out) : 1,
                   slash != NULL ? b->out : ".");
    struct seg_writer_options options = {.dir = dir,
                                         .path = b->out,
                                         .gen = BUNDLE_GENERATION,
                                         .level = BUNDLE_LEVEL,
                                         .block_bytes = COMPACT_BLOCK_LINE_BYTES};
    AUTO(seg_writer_freep) struct seg_writer *w = NULL;
    struct index_segment totals;
    struct seg_directory *directory;
    return seg_writer_open(&options, &w, err) && write_entries(b, w, written_out, err) &&
           write_spans(b, w, err) && seg_writer_finish(w, &totals, &directory, err);
}

static void print_result(const struct bundle *b, uint64_t written)
{
    AUTO(buf_done) struct buf text;
    buf_init(&text, 0);
    if (b->json) {
        buf_put_cstr(&text, "{\"path\":");
        jsonout_string(&text, slice_cstr(b->out));
        buf_printf(&text,
                   ",\"entries\":%" PRIu64 ",\"spans\":%" PRIu64 ",\"traces\":%zu,\"complete\":%s}\n",
                   written, b->spans_count, b->traces_count,
                   b->damage.segments == 0 ? "true" : "false");
    } else {
        buf_printf(&text, "%s: %" PRIu64 " entries, %" PRIu64 " spans of %zu traces\n", b->out,
                   written, b->spans_count, b->traces_count);
    }
    (void)fwrite(text.ptr, 1, text.len, stdout);
}

static bool run(struct bundle *b, struct err *err)
{
    bool exists;
    uint64_t written;
    if (!fs_exists(b->out, &exists, err))
        return false;
    if (exists)
        return err_set(err, ERR_INPUT, "bundle: %s exists", b->out);
    if (!dump_tenant(b->context.store, b->tenant, b->context.arena, &b->context.tenant, err) ||
        !view_begin(b->context.store, b->context.tenant, &b->view, err) ||
        !(b->trace != NULL ? cut_trace(b, err) : cut_query(b, err)) || !sort_traces(b, err))
        return false;
    if (b->entries_count + b->traces_count == 0)
        return err_set(err, ERR_CORRUPT, "%s",
                       b->damage.segments > 0 ? b->damage.last.text
                                              : "bundle: nothing is selected");
    if (!write_segment(b, &written, err))
        return false;
    print_result(b, written);
    return b->damage.segments == 0 ||
           err_set(err, ERR_CORRUPT, "the bundle is incomplete: %s", b->damage.last.text);
}

int dump_bundle(int argc, char **argv)
{
    struct bundle b = {.from_ns = INT64_MIN, .to_ns = INT64_MAX};
    int status = parse_arguments(argc, argv, &b);
    if (status != EXIT_GOOD)
        return status;
    struct dump_store s = {0};
    struct err err;
    if (!dump_open(b.path, &s, &err))
        return dump_fail(dump_status(&err), "%s", err.text);
    struct arena a;
    arena_init(&a, BUNDLE_ARENA_BYTES_MAX);
    b.context = (struct query_context){.store = s.store, .arena = &a};
    if (!run(&b, &err))
        status = dump_fail(err.code == ERR_INPUT     ? EXIT_USAGE
                           : err.code == ERR_CORRUPT ? EXIT_FOUND
                                                     : EXIT_BROKEN,
                           "%s", err.text);
    query_free(b.parsed);
    view_end(b.view);
    arena_done(&a);
    dump_close(&s);
    return status;
}
