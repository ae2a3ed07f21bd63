/*
 * queries.c -- prints generated queries, a line each: the query, a tab, our parser's error or nothing.
 *
 *     queries COUNT
 */
#include "generate.h"

#include "base/limits.h"
#include "query/logql/ast.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    struct generator g = {11};
    for (int i = argc > 1 ? atoi(argv[1]) : 1000; i > 0; i--) {
        struct buf text;
        struct arena a;
        struct ast *ast;
        struct ast_regex *regexes = NULL;
        struct err err;
        buf_init(&text, 0);
        arena_init(&a, 64 * MIB);
        (i % 3 == 0 ? generate_broken : i % 3 == 1 ? generate_logs : generate_metric)(&g, &text);
        bool good = ast_parse(buf_slice(&text), &a, &regexes, &ast, &err);
        (void)printf("%.*s\t%s\n", SLICE_FMT(buf_slice(&text)), good ? "" : err.text);
        ast_regexes_free(regexes);
        arena_done(&a);
        buf_done(&text);
    }
    return 0;
}
