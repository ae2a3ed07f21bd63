/* test_filters.c -- filters.cases: a line, a tab, stages; then whether the line is kept, or the error. */
#include "cases.h"
#include "tap.h"

#include "base/limits.h"
#include "query/pipeline/pipeline.h"

static void run(struct slice input, struct buf *out)
{
    struct arena a;
    struct ast *ast;
    struct ast_regex *regexes = NULL;
    struct pipeline *p;
    struct err err;
    arena_init(&a, 64 * MIB);
    size_t tab = slice_find(input, SLICE("\t{"));
    struct slice text = slice_of(input.ptr, tab);
    struct buf metadata;
    buf_init(&metadata, 0);
    struct label pairs[] = {{SLICE("app"), SLICE("meta")}, {SLICE("n"), SLICE("7")}, {SLICE("s"), SLICE("text")}};
    labels_encode(&metadata, &(struct labels){pairs, 3});
    struct buf stream;
    buf_init(&stream, 0);
    struct label labels[] = {{SLICE("app"), SLICE("x")}, {SLICE("ip"), SLICE("10.1.2.3")}};
    labels_encode(&stream, &(struct labels){labels, 2});
    static const struct wanted_labels all = {0};
    struct line_space space = {0};
    struct line l = {.text = text, .stream = buf_slice(&stream), .metadata = buf_slice(&metadata),
                     .space = &space, .scratch = &a};
    if (!ast_parse(slice_from(input, tab + 1), &a, &regexes, &ast, &err) ||
        !pipeline_new(ast->logs.stages, &all, &a, &regexes, &p, &err))
        buf_put_cstr(out, err.text);
    else if (!pipeline_keeps(p, &l))
        buf_put_cstr(out, "dropped");
    else
        buf_printf(out, "kept%s%.*s", l.error.len > 0 ? " " : "", SLICE_FMT(l.error_details));
    line_space_done(&space);
    buf_done(&metadata);
    buf_done(&stream);
    ast_regexes_free(regexes);
    arena_done(&a);
}

int main(int argc, char **argv)
{
    (void)argc;
    ok(cases_run(argv[1], run) > 40, "the table was read");
    return tap_done();
}
