/* test_literal.c -- literals.cases: a pattern; then the text that every match contains, in quotes. */
#include "cases.h"
#include "tap.h"

#include "base/limits.h"
#include "query/pipeline/literal.h"

static void run(struct slice input, struct buf *out)
{
    struct arena a;
    arena_init(&a, MIB);
    struct slice found = literal_of_regex(input, &a);
    buf_printf(out, "\"%.*s\"", SLICE_FMT(found));
    arena_done(&a);
}

int main(int argc, char **argv)
{
    (void)argc;
    ok(cases_run(argv[1], run) > 20, "the table was read");
    return tap_done();
}
