/* fuzz_pipeline.c -- a log query, a line break, then a line that its stages run over. */
#include "fuzz.h"

#include "base/limits.h"
#include "query/pipeline/pipeline.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static const struct wanted_labels all = {0};
    struct slice input = slice_of(bytes, len);
    size_t cut = slice_find(input, SLICE("\n"));
    struct arena a, scratch;
    struct ast *ast;
    struct ast_regex *regexes = NULL;
    struct pipeline *p;
    struct err err;
    if (cut == SIZE_MAX)
        return 0;
    arena_init(&a, 64 * MIB);
    arena_init(&scratch, 64 * MIB);
    if (ast_parse(slice_of(bytes, cut), &a, &regexes, &ast, &err) && ast->kind == AST_LOGS &&
        pipeline_new(ast->logs.stages, &all, &a, &regexes, &p, &err)) {
        struct label labels[] = {{SLICE("app"), SLICE("x")}, {SLICE("env"), SLICE("prod")}};
        struct label pairs[] = {{SLICE("app"), SLICE("y")}, {SLICE("n"), SLICE("7")}};
        struct buf stream, metadata;
        buf_init(&stream, 0);
        buf_init(&metadata, 0);
        labels_encode(&stream, &(struct labels){labels, 2});
        labels_encode(&metadata, &(struct labels){pairs, 2});
        struct line_space space = {0};
        struct line l = {.text = slice_from(input, cut + 1), .stream = buf_slice(&stream),
                         .metadata = buf_slice(&metadata), .space = &space, .scratch = &scratch};
        if (pipeline_keeps(p, &l)) {
            (void)line_labels(&l, &scratch);
            (void)line_stream(&l, &scratch);
            (void)line_metadata(&l, &scratch);
            (void)line_parsed(&l, &scratch);
        }
        line_space_done(&space);
        buf_done(&stream);
        buf_done(&metadata);
    }
    ast_regexes_free(regexes);
    arena_done(&scratch);
    arena_done(&a);
    return 0;
}
