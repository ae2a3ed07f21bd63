/* export.c -- `mstore-dump export`: entries and spans to NDJSON, CSV or SQLite; streaming, without
 * a cap. */
#include "export.h"

#include "dump.h"
#include "query/trace/visit_spans.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT_ARENA_BYTES_MAX (UINT64_C(4) << 30)
enum { PROGRESS_EVERY = 1 << 16 };

struct export
{
    const char *path, *out, *query, *tenant, *format;
    int64_t from_ns, to_ns;
    bool entries, spans;
    struct export_writer *writer;
    uint64_t entries_count, spans_count;
    bool progress, json;
};

static bool parse_what(const char *text, struct export *e)
{
    e->entries = strcmp(text, "entries") == 0 || strcmp(text, "all") == 0;
    e->spans = strcmp(text, "spans") == 0 || strcmp(text, "all") == 0;
    return e->entries || e->spans;
}

static bool parse_option(const char *flag, const char *value, struct export *e, bool *known_out)
{
    *known_out = true;
    if (strcmp(flag, "--query") == 0)
        return e->query = value, true;
    if (strcmp(flag, "--tenant") == 0)
        return e->tenant = value, true;
    if (strcmp(flag, "--out") == 0)
        return e->out = value, true;
    if (strcmp(flag, "--from") == 0)
        return dump_time(value, &e->from_ns);
    if (strcmp(flag, "--to") == 0)
        return dump_time(value, &e->to_ns);
    if (strcmp(flag, "--what") == 0)
        return parse_what(value, e);
    if (strcmp(flag, "--format") == 0) {
        e->format = value;
        return strcmp(value, "ndjson") == 0 || strcmp(value, "csv") == 0 ||
               strcmp(value, "sqlite") == 0;
    }
    *known_out = false;
    return false;
}

static int parse_arguments(int argc, char **argv, struct export *e)
{
    for (int i = 1; i < argc; i++) {
        bool known;
        if (argv[i][0] != '-') {
            if (e->path != NULL)
                return dump_fail(EXIT_USAGE, "export: unexpected argument `%s`", argv[i]);
            e->path = argv[i];
        } else if (strcmp(argv[i], "--json") == 0) {
            e->json = true;
        } else if (i + 1 == argc) {
            return dump_fail(EXIT_USAGE, "export: `%s` is not an option, or needs a value",
                             argv[i]);
        } else if (!parse_option(argv[i], argv[i + 1], e, &known)) {
            return known
                       ? dump_fail(EXIT_USAGE, "export: %s: cannot read `%s`", argv[i], argv[i + 1])
                       : dump_fail(EXIT_USAGE, "export: unknown option `%s`", argv[i]);
        } else {
            i++;
        }
    }
    if (e->json && e->out == NULL)
        return dump_fail(EXIT_USAGE, "export: --json tells what --out FILE got");
    return e->path == NULL ? dump_fail(EXIT_USAGE, "export: which directory or file?") : EXIT_GOOD;
}

// Without --format the suffix of --out tells it.
static const char *format_of(const struct export *e)
{
    if (e->format != NULL)
        return e->format;
    if (e->out != NULL && (dump_ends(e->out, ".db") || dump_ends(e->out, ".sqlite")))
        return "sqlite";
    return e->out != NULL && dump_ends(e->out, ".csv") ? "csv" : "ndjson";
}

static bool open_writer(struct export *e, struct err *err)
{
    const char *format = format_of(e);
    if (strcmp(format, "sqlite") == 0)
        return e->out != NULL ? export_sqlite_open(e->out, &e->writer, err)
                              : err_set(err, ERR_INPUT, "export: SQLite needs --out FILE");
    if (strcmp(format, "ndjson") == 0)
        return export_ndjson_open(e->out, &e->writer, err);
    if (e->out == NULL && e->entries && e->spans)
        return err_set(err, ERR_INPUT,
                       "export: CSV on standard output is of --what entries or --what spans");
    return export_csv_open(e->out, e->spans, &e->writer, err);
}

static void tell(const struct export *e, bool last)
{
    if (e->progress && (last || (e->entries_count + e->spans_count) % PROGRESS_EVERY == 0))
        fprintf(stderr, "\rexported %" PRIu64 " entries, %" PRIu64 " spans%s", e->entries_count,
                e->spans_count, last ? "\n" : "");
}

static bool put_entry(void *ctx, const struct query_entry *entry, struct err *err)
{
    struct export *e = ctx;
    e->entries_count++;
    tell(e, false);
    return e->writer->entry(e->writer, entry, err);
}

static bool put_span(void *ctx, const struct span *span, struct err *err)
{
    struct export *e = ctx;
    e->spans_count++;
    tell(e, false);
    return e->writer->span(e->writer, span, err);
}

static bool export_entries(struct export *e, const struct query_context *context, struct err *err)
{
    struct query_range range = {.from_ns = e->from_ns, .to_ns = e->to_ns};
    struct query_result result;
    AUTO(query_freep) struct query *query = NULL;
    if (!query_parse(slice_cstr(e->query), context->arena, &query, err) ||
        !query_visit(query, &range, context, put_entry, e, &result, err))
        return false;
    for (uint32_t i = 0; i < result.warnings_count; i++)
        fprintf(stderr, "mstore-dump: %s\n", result.warnings[i]);
    return result.warnings_count == 0 || err_set(err, ERR_CORRUPT, "the output is incomplete");
}

static bool export_spans(struct export *e, const struct query_context *context, struct err *err)
{
    struct view_damage damage = {0};
    if (!visit_spans(context, e->from_ns, e->to_ns, put_span, e, &damage, err))
        return false;
    return damage.segments == 0 ||
           err_set(err, ERR_CORRUPT, "the output is incomplete: %u places left out, the last: %s",
                   damage.segments, damage.last.text);
}

static bool run(struct export *e, struct store *store, struct arena *a, struct err *err)
{
    struct query_context context = {.store = store, .arena = a};
    if (!dump_tenant(store, e->tenant, a, &context.tenant, err) || !open_writer(e, err))
        return false;
    // What is damaged is left out, and the rest written all the same.
    struct err damage = {0};
    if (e->entries && !export_entries(e, &context, &damage) && damage.code != ERR_CORRUPT)
        return *err = damage, false;
    if (e->spans && !export_spans(e, &context, &damage) && damage.code != ERR_CORRUPT)
        return *err = damage, false;
    if (!e->writer->finish(e->writer, err))
        return false;
    tell(e, true);
    if (e->json)
        printf("{\"entries\":%" PRIu64 ",\"spans\":%" PRIu64 ",\"complete\":%s}\n", e->entries_count,
               e->spans_count, damage.code == ERR_NONE ? "true" : "false");
    return damage.code == ERR_NONE || (*err = damage, false);
}

int dump_export(int argc, char **argv)
{
    // Every stream has one; see cat.c.
    struct export e = {.query = "{service_name=~\".+\"}",
                       .from_ns = INT64_MIN,
                       .to_ns = INT64_MAX,
                       .entries = true,
                       .spans = true,
                       .progress = isatty(STDERR_FILENO) != 0};
    int status = parse_arguments(argc, argv, &e);
    if (status != EXIT_GOOD)
        return status;
    struct dump_store s = {0};
    struct err err;
    if (!dump_open(e.path, &s, &err))
        return dump_fail(dump_status(&err), "%s", err.text);
    struct arena a;
    arena_init(&a, EXPORT_ARENA_BYTES_MAX);
    if (!run(&e, s.store, &a, &err))
        status = dump_fail(err.code == ERR_INPUT     ? EXIT_USAGE
                           : err.code == ERR_CORRUPT ? EXIT_FOUND
                                                     : EXIT_BROKEN,
                           "%s", err.text);
    if (e.writer != NULL)
        e.writer->free(e.writer);
    arena_done(&a);
    dump_close(&s);
    return status;
}
