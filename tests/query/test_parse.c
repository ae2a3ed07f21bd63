/* test_parse.c -- parse.cases: a query, then its canonical print or its error. */
#include "cases.h"
#include "tap.h"

#include "base/limits.h"
#include "query/logql/ast.h"

static void run(struct slice input, struct buf *out)
{
    struct arena a;
    struct ast *ast;
    struct ast_regex *regexes = NULL;
    struct err err;
    arena_init(&a, 64 * MIB);
    if (slice_eq(input, SLICE("(empty)")))
        input = SLICE("");
    if (ast_parse(input, &a, &regexes, &ast, &err))
        ast_print(out, ast);
    else
        buf_put_cstr(out, err.text);
    ast_regexes_free(regexes);
    arena_done(&a);
}

int main(int argc, char **argv)
{
    (void)argc;
    ok(cases_run(argv[1], run) > 30, "the table was read");
    return tap_done();
}
