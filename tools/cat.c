/* cat.c -- `mstore-dump cat`: entries by query and time, stream by stream. */
#include "dump.h"

#include "base/jsonout.h"
#include "query/query.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OUTPUT_BYTES = 64 * 1024 };
#define CAT_ARENA_BYTES_MAX (UINT64_C(4) << 30)

struct cat {
    const char *path, *query, *tenant;
    struct query_range range;
    bool ndjson;
    struct buf out;
};

static int parse_arguments(int argc, char **argv, struct cat *c)
{
    for (int i = 1; i < argc; i++) {
        const char *flag = argv[i];
        if (flag[0] != '-') {
            if (c->path != NULL)
                return dump_fail(EXIT_USAGE, "cat: unexpected argument `%s`", flag);
            c->path = flag;
            continue;
        }
        if (strcmp(flag, "--json") == 0) {
            c->ndjson = true;
            continue;
        }
        if (i + 1 == argc)
            return dump_fail(EXIT_USAGE, "cat: `%s` needs a value", flag);
        const char *value = argv[++i];
        bool good = true;
        if (strcmp(flag, "--query") == 0)
            c->query = value;
        else if (strcmp(flag, "--tenant") == 0)
            c->tenant = value;
        else if (strcmp(flag, "--from") == 0)
            good = dump_time(value, &c->range.from_ns);
        else if (strcmp(flag, "--to") == 0)
            good = dump_time(value, &c->range.to_ns);
        else if (strcmp(flag, "--format") == 0)
            good = (c->ndjson = strcmp(value, "ndjson") == 0) || strcmp(value, "lines") == 0;
        else
            return dump_fail(EXIT_USAGE, "cat: unknown option `%s`", flag);
        if (!good)
            return dump_fail(EXIT_USAGE, "cat: %s: cannot read `%s`", flag, value);
    }
    return c->path == NULL ? dump_fail(EXIT_USAGE, "cat: which directory or file?") : EXIT_GOOD;
}

static bool flush(struct cat *c, struct err *err)
{
    if (c->out.len > 0 && fwrite(c->out.ptr, 1, c->out.len, stdout) != c->out.len)
        return err_errno(err, errno, "standard output");
    buf_reset(&c->out);
    return true;
}

static bool print_entry(void *ctx, const struct query_entry *e, struct err *err)
{
    struct cat *c = ctx;
    if (c->ndjson) {
        buf_printf(&c->out, "{\"time\":\"%" PRId64 "\",\"stream\":", e->time_ns);
        jsonout_labels(&c->out, e->labels);
        if (e->metadata.len > 1) {
            buf_put_cstr(&c->out, ",\"metadata\":");
            jsonout_labels(&c->out, e->metadata);
        }
        buf_put_cstr(&c->out, ",\"line\":");
        jsonout_string(&c->out, e->line);
        buf_put_byte(&c->out, '}');
    } else {
        buf_put_slice(&c->out, e->line);
    }
    buf_put_byte(&c->out, '\n');
    return c->out.len < OUTPUT_BYTES || flush(c, err);
}

static bool run(struct cat *c, struct store *store, struct arena *a, struct err *err)
{
    struct query_context context = {.store = store, .arena = a};
    AUTO(query_freep) struct query *query = NULL;
    struct query_result result;
    if (!dump_tenant(store, c->tenant, a, &context.tenant, err) ||
        !query_parse(slice_cstr(c->query), a, &query, err) ||
        !query_visit(query, &c->range, &context, print_entry, c, &result, err))
        return false;
    for (uint32_t i = 0; i < result.warnings_count; i++)
        fprintf(stderr, "mstore-dump: %s\n", result.warnings[i]);
    return flush(c, err) && (fflush(stdout) == 0 || err_errno(err, errno, "standard output")) &&
           (result.warnings_count == 0 || err_set(err, ERR_CORRUPT, "the output is incomplete"));
}

int dump_cat(int argc, char **argv)
{
    // Every stream has one; what is stored without ingest's additions could not be asked for otherwise.
    struct cat c = {.query = "{service_name=~\".+\"}", .range = {.from_ns = INT64_MIN, .to_ns = INT64_MAX}};
    int status = parse_arguments(argc, argv, &c);
    if (status != EXIT_GOOD)
        return status;
    struct dump_store s = {0};
    struct err err;
    if (!dump_open(c.path, &s, &err))
        return dump_fail(dump_status(&err), "%s", err.text);
    struct arena a;
    arena_init(&a, CAT_ARENA_BYTES_MAX);
    buf_init(&c.out, 0);
    if (!run(&c, s.store, &a, &err))
        status = dump_fail(err.code == ERR_INPUT ? EXIT_USAGE : EXIT_FOUND, "%s", err.text);
    buf_done(&c.out);
    arena_done(&a);
    dump_close(&s);
    return status;
}
