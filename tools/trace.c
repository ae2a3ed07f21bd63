/* trace.c -- `mstore-dump trace`: a trace's spans and log entries as one tree. */
#include "dump.h"

#include "base/hex.h"
#include "base/limits.h"
#include "query/trace/encode_tree.h"
#include "query/query.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TRACE_ARENA_BYTES_MAX (UINT64_C(4) << 30)

struct trace_command {
    const char *id, *path, *tenant;
    bool json;
};

static int parse_arguments(int argc, char **argv, struct trace_command *c)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            c->json = true;
        else if (strcmp(argv[i], "--tenant") == 0 && i + 1 < argc)
            c->tenant = argv[++i];
        else if (argv[i][0] == '-')
            return dump_fail(EXIT_USAGE, "trace: `%s` is not an option, or needs a value", argv[i]);
        else if (c->id == NULL)
            c->id = argv[i];
        else if (c->path == NULL)
            c->path = argv[i];
        else
            return dump_fail(EXIT_USAGE, "trace: unexpected argument `%s`", argv[i]);
    }
    return c->path == NULL ? dump_fail(EXIT_USAGE, "trace: which ID, in which directory or file?")
                           : EXIT_GOOD;
}

static bool print(struct buf *b, struct err *err)
{
    return (fwrite(b->ptr, 1, b->len, stdout) == b->len && fflush(stdout) == 0) ||
           err_errno(err, errno, "standard output");
}

static bool run(const struct trace_command *c, const uint8_t id[TRACE_ID_BYTES],
                struct store *store, struct arena *a, struct err *err)
{
    struct query_context context = {.store = store, .arena = a};
    struct trace_tree tree;
    AUTO(buf_done) struct buf text;
    buf_init(&text, 0);
    if (!dump_tenant(store, c->tenant, a, &context.tenant, err) ||
        !trace_tree(&context, id, TRACE_TREE_LOGS_MAX, &tree, err))
        return false;
    for (uint32_t i = 0; i < tree.warnings.count; i++)
        fprintf(stderr, "mstore-dump: %s\n", tree.warnings.items[i]);
    if (tree.spans_count == 0 && tree.logs_count == 0)
        return err_set(err, ERR_NOT_FOUND, "%s: no such trace", c->id);
    if (c->json)
        encode_tree_json(&text, &tree, a);
    else
        encode_tree_text(&text, &tree, a);
    if (c->json)
        buf_put_byte(&text, '\n');
    return arena_ok(a, "trace", err) && print(&text, err) &&
           (tree.warnings.count == 0 || err_set(err, ERR_CORRUPT, "the output is incomplete"));
}

int dump_trace(int argc, char **argv)
{
    struct trace_command c = {0};
    int status = parse_arguments(argc, argv, &c);
    if (status != EXIT_GOOD)
        return status;
    uint8_t id[TRACE_ID_BYTES];
    if (!hex_decode(slice_cstr(c.id), id, sizeof id))
        return dump_fail(EXIT_USAGE, "trace: `%s` is not 1 to 32 hex digits", c.id);
    struct dump_store s = {0};
    struct err err;
    if (!dump_open(c.path, &s, &err))
        return dump_fail(dump_status(&err), "%s", err.text);
    struct arena a;
    arena_init(&a, TRACE_ARENA_BYTES_MAX);
    if (!run(&c, id, s.store, &a, &err))
        status = dump_fail(err.code == ERR_INPUT                                  ? EXIT_USAGE
                           : err.code == ERR_NOT_FOUND || err.code == ERR_CORRUPT ? EXIT_FOUND
                                                                                  : EXIT_BROKEN,
                           "%s", err.text);
    arena_done(&a);
    dump_close(&s);
    return status;
}
