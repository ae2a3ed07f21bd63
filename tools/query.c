/* query.c -- `mstore-dump query`: LogQL over stored files, by the engine of the server. */
#include "dump.h"

#include "base/clock.h"
#include "base/jsonout.h"
#include "query/crew.h"
#include "query/encode.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUERY_ARENA_BYTES (UINT64_C(4) << 30)
enum { DEFAULT_LIMIT = 100 };
static const int64_t DEFAULT_RANGE_NS = INT64_C(3600) * NS_PER_S;

enum format { FORMAT_LINES, FORMAT_NDJSON, FORMAT_JSON, FORMAT_CSV };

struct command {
    const char *path, *text, *tenant;
    struct query_range range;
    bool has_from, has_to, explain;
    enum format format;
};

// --- arguments --------------------------------------------------------------------------------------

static bool parse_format(const char *text, enum format *out)
{
    static const char *const names[] = {"lines", "ndjson", "json", "csv"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (strcmp(text, names[i]) == 0) {
            *out = (enum format)i;
            return true;
        }
    return false;
}

static bool parse_limit(const char *text, uint32_t *out)
{
    char *end;
    errno = 0;
    unsigned long n = strtoul(text, &end, 10);
    *out = (uint32_t)n;
    return errno == 0 && *end == '\0' && end != text && n > 0 && n <= UINT32_MAX;
}

// Options with a value. False: it cannot be read; *known_out: there is such an option.
static bool parse_option(const char *flag, const char *value, struct command *c, bool *known_out)
{
    struct err err;
    *known_out = true;
    if (strcmp(flag, "--from") == 0)
        return c->has_from = true, dump_time(value, &c->range.from_ns);
    if (strcmp(flag, "--to") == 0)
        return c->has_to = true, dump_time(value, &c->range.to_ns);
    if (strcmp(flag, "--step") == 0)
        return query_parse_duration(slice_cstr(value), &c->range.step_ns, &err) && c->range.step_ns > 0;
    if (strcmp(flag, "--limit") == 0)
        return parse_limit(value, &c->range.limit);
    if (strcmp(flag, "--format") == 0)
        return parse_format(value, &c->format);
    if (strcmp(flag, "--tenant") == 0)
        return c->tenant = value, true;
    *known_out = false;
    return false;
}

static int parse_arguments(int argc, char **argv, struct command *c)
{
    for (int i = 1; i < argc; i++) {
        const char *flag = argv[i];
        bool known;
        if (flag[0] != '-') {
            const char **place = c->path == NULL ? &c->path : &c->text;
            if (*place != NULL)
                return dump_fail(EXIT_USAGE, "query: unexpected argument `%s`", flag);
            *place = flag;
        } else if (strcmp(flag, "--explain") == 0) {
            c->explain = true;
        } else if (strcmp(flag, "--json") == 0) {
            c->format = FORMAT_JSON;
        } else if (strcmp(flag, "--forward") == 0) {
            c->range.forward = true;
        } else if (i + 1 == argc) {
            return dump_fail(EXIT_USAGE, "query: `%s` is not an option, or needs a value", flag);
        } else if (!parse_option(flag, argv[++i], c, &known)) {
            return known ? dump_fail(EXIT_USAGE, "query: %s: cannot read `%s`", flag, argv[i])
                         : dump_fail(EXIT_USAGE, "query: unknown option `%s`", flag);
        }
    }
    return c->text == NULL ? dump_fail(EXIT_USAGE, "query: which directory or file, and which query?") : EXIT_GOOD;
}

// Log queries look at everything that is stored; metric queries at one moment, or at steps up to it.
static void complete_range(struct command *c, enum query_kind kind)
{
    if (!c->has_to)
        c->range.to_ns = kind == QUERY_LOGS ? INT64_MAX : clock_wall_ns();
    if (kind == QUERY_LOGS) {
        c->range.step_ns = 0;
        if (!c->has_from)
            c->range.from_ns = INT64_MIN;
    } else if (c->range.step_ns == 0) {
        c->range.from_ns = c->range.to_ns;
    } else if (!c->has_from) {
        c->range.from_ns = c->range.to_ns - DEFAULT_RANGE_NS;
    }
}

// --- output -----------------------------------------------------------------------------------------

static void put_csv(struct buf *b, struct slice text)
{
    buf_put_byte(b, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"')
            buf_put_byte(b, '"');
        buf_put_byte(b, text.ptr[i]);
    }
    buf_put_byte(b, '"');
}

static void put_labels_csv(struct buf *b, struct slice labels)
{
    struct buf text;
    buf_init(&text, 0);
    labels_print(&text, labels);
    put_csv(b, buf_slice(&text));
    buf_done(&text);
}

static void put_entry(struct buf *b, struct slice labels, const struct result_entry *e, enum format format)
{
    if (format == FORMAT_LINES) {
        buf_put_slice(b, e->line);
    } else if (format == FORMAT_CSV) {
        buf_printf(b, "%" PRId64 ",", e->time_ns);
        put_labels_csv(b, labels);
        buf_put_byte(b, ',');
        put_csv(b, e->line);
    } else {
        buf_printf(b, "{\"time\":\"%" PRId64 "\",\"labels\":", e->time_ns);
        jsonout_labels(b, labels);
        buf_put_cstr(b, ",\"line\":");
        jsonout_string(b, e->line);
        buf_put_byte(b, '}');
    }
    buf_put_byte(b, '\n');
}

static void put_sample(struct buf *b, struct slice labels, const struct result_sample *s, enum format format)
{
    if (format == FORMAT_LINES) {
        labels_print(b, labels);
        buf_put_byte(b, ' ');
        jsonout_number(b, s->value);
        buf_printf(b, " %" PRId64, s->time_ns);
    } else if (format == FORMAT_CSV) {
        buf_printf(b, "%" PRId64 ",", s->time_ns);
        put_labels_csv(b, labels);
        buf_put_byte(b, ',');
        jsonout_number(b, s->value);
    } else {
        buf_printf(b, "{\"time\":\"%" PRId64 "\",\"labels\":", s->time_ns);
        jsonout_labels(b, labels);
        buf_put_cstr(b, ",\"value\":\"");
        jsonout_number(b, s->value);
        buf_put_cstr(b, "\"}");
    }
    buf_put_byte(b, '\n');
}

// The entry of a stream that comes next in the result's direction.
static const struct result_stream *next_stream(const struct query_result *r, const uint32_t *at, bool forward)
{
    const struct result_stream *best = NULL;
    int64_t best_ns = 0;
    for (uint32_t i = 0; i < r->streams_count; i++) {
        const struct result_stream *s = &r->streams[i];
        if (at[i] == s->entries_count)
            continue;
        int64_t time_ns = s->entries[at[i]].time_ns;
        if (best == NULL || (time_ns != best_ns && (time_ns < best_ns) == forward)) {
            best = s;
            best_ns = time_ns;
        }
    }
    return best;
}

static bool put_streams(struct buf *b, const struct query_result *r, const struct command *c, struct arena *a)
{
    uint32_t *at = arena_zalloc(a, (r->streams_count + 1) * sizeof *at);
    if (at == NULL)
        return false;
    for (const struct result_stream *s; (s = next_stream(r, at, c->range.forward)) != NULL;)
        put_entry(b, s->labels, &s->entries[at[s - r->streams]++], c->format);
    return true;
}

static bool put_result(struct buf *b, const struct query_result *r, const struct command *c, struct arena *a)
{
    if (c->format == FORMAT_JSON) {
        encode_result(b, r, &(struct encode_options){0});
        return true;
    }
    if (c->format == FORMAT_CSV)
        buf_put_cstr(b, r->type == RESULT_STREAMS ? "time,labels,line\n" : "time,labels,value\n");
    if (r->type == RESULT_STREAMS)
        return put_streams(b, r, c, a);
    for (uint32_t i = 0; i < r->series_count; i++)
        for (uint32_t n = 0; n < r->series[i].samples_count; n++)
            put_sample(b, r->series[i].labels, &r->series[i].samples[n], c->format);
    return true;
}

// --- all together -----------------------------------------------------------------------------------

static bool run(struct command *c, const struct query_context *context, struct buf *out, struct err *err)
{
    AUTO(query_freep) struct query *query = NULL;
    struct query_result result;
    if (!query_parse(slice_cstr(c->text), context->arena, &query, err))
        return false;
    complete_range(c, query_kind(query));
    if (!query_run(query, &c->range, context, &result, err))
        return false;
    if (c->explain)
        query_explain(query, &result.stats, context->crew, out);
    else if (!put_result(out, &result, c, context->arena))
        return arena_ok(context->arena, "output", err);
    for (uint32_t i = 0; i < result.warnings_count; i++)
        fprintf(stderr, "mstore-dump: %s\n", result.warnings[i]);
    if (fwrite(out->ptr, 1, out->len, stdout) != out->len || fflush(stdout) != 0)
        return err_errno(err, errno, "standard output");
    return result.warnings_count == 0 || err_set(err, ERR_CORRUPT, "the output is incomplete");
}

int dump_query(int argc, char **argv)
{
    struct command c = {.range = {.limit = DEFAULT_LIMIT}};
    int status = parse_arguments(argc, argv, &c);
    if (status != EXIT_GOOD)
        return status;
    struct dump_store s = {0};
    struct err err;
    if (!dump_open(c.path, &s, &err))
        return dump_fail(dump_status(&err), "%s", err.text);
    struct arena a;
    struct buf out;
    arena_init(&a, QUERY_ARENA_BYTES);
    buf_init(&out, 0);
    struct query_context context = {.store = s.store, .crew = crew_new(crew_helpers_default()), .arena = &a};
    if (!dump_tenant(s.store, c.tenant, &a, &context.tenant, &err) || !run(&c, &context, &out, &err))
        status = dump_fail(err.code == ERR_INPUT ? EXIT_USAGE : EXIT_FOUND, "%s", err.text);
    crew_free(context.crew);
    buf_done(&out);
    arena_done(&a);
    dump_close(&s);
    return status;
}
