/* fuzz_query.c -- query text; what parses prints to what parses to the same print. */
#include "fuzz.h"

#include "base/limits.h"
#include "query/logql/ast.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct arena a;
    struct ast *ast, *again;
    struct ast_regex *regexes = NULL;
    struct err err;
    arena_init(&a, 64 * MIB);
    // The lexer wants text that ends in a NUL behind its length.
    if (ast_parse(slice_of(bytes, len), &a, &regexes, &ast, &err)) {
        struct buf one, two;
        buf_init(&one, 0);
        buf_init(&two, 0);
        ast_print(&one, ast);
        if (ast_parse(buf_slice(&one), &a, &regexes, &again, &err)) {
            ast_print(&two, again);
            assert(slice_eq(buf_slice(&one), buf_slice(&two)));
        }
        buf_done(&one);
        buf_done(&two);
    }
    ast_regexes_free(regexes);
    arena_done(&a);
    return 0;
}
