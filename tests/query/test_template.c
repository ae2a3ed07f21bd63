/* test_template.c -- templates.cases: a template of line_format; then the line, or why there is none. */
#include "cases.h"
#include "tap.h"

#include "base/limits.h"
#include "query/pipeline/template.h"

static void run(struct slice input, struct buf *out)
{
    struct arena a;
    struct template *t;
    struct err err;
    struct buf stream;
    struct slice text, details;
    struct line_space space = {0};
    arena_init(&a, 64 * MIB);
    buf_init(&stream, 0);
    struct label labels[] = {{SLICE("app"), SLICE("x")}, {SLICE("n"), SLICE("7")}};
    labels_encode(&stream, &(struct labels){labels, 2});
    struct line l = {.text = SLICE("the line"), .stream = buf_slice(&stream), .metadata = LABELS_EMPTY, .space = &space, .scratch = &a};
    if (!template_parse(input, "line", &a, &t, &err))
        buf_put_cstr(out, err.text);
    else if (template_run(t, &l, &text, &details))
        buf_put_slice(out, text);
    else
        buf_put_slice(out, details);
    line_space_done(&space);
    buf_done(&stream);
    arena_done(&a);
}

int main(int argc, char **argv)
{
    (void)argc;
    ok(cases_run(argv[1], run) > 40, "the table was read");
    return tap_done();
}
