/*
 * test_parse.c -- parse.cases: a query, then its canonical print or its error; pretty.cases: its lines. And
 * over generated queries: what is printed parses to the same, whatever the form.
 */
#include "cases.h"
#include "tap.h"

#include "generate.h"

#include "base/limits.h"
#include "query/logql/ast.h"

typedef void printer(struct buf *b, const struct ast *ast);

static bool print(struct slice text, printer *show, struct buf *out)
{
    struct arena a;
    struct ast *ast;
    struct ast_regex *regexes = NULL;
    struct err err;
    arena_init(&a, 64 * MIB);
    bool good = ast_parse(text, &a, &regexes, &ast, &err);
    if (good)
        show(out, ast);
    else
        buf_put_cstr(out, err.text);
    ast_regexes_free(regexes);
    arena_done(&a);
    return good;
}

static void run(struct slice input, struct buf *out)
{
    (void)print(slice_eq(input, SLICE("(empty)")) ? SLICE("") : input, ast_print, out);
}

static void run_pretty(struct slice input, struct buf *out)
{
    (void)print(input, ast_pretty, out);
}

// Canonical text of the text, of its canonical text and of its lines: all the same.
static bool survives(struct slice text)
{
    struct buf once, twice, pretty, pretty_once;
    struct buf *all[] = {&once, &twice, &pretty, &pretty_once};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        buf_init(all[i], 0);
    bool good = print(text, ast_print, &once) && print(buf_slice(&once), ast_print, &twice) &&
                print(text, ast_pretty, &pretty) && print(buf_slice(&pretty), ast_print, &pretty_once) &&
                slice_eq(buf_slice(&once), buf_slice(&twice)) && slice_eq(buf_slice(&once), buf_slice(&pretty_once));
    if (!good)
        tap_text(buf_slice(&pretty_once), "", __FILE__, __LINE__, "reparsed");
    for (size_t i = 0; i < COUNT_OF(all); i++)
        buf_done(all[i]);
    return good;
}

enum { GENERATED = 5000 };

static void print_generated(void)
{
    struct generator g = {7};
    int survived = 0, broken = 0;
    for (int i = 0; i < GENERATED; i++) {
        struct buf text, out;
        buf_init(&text, 0);
        buf_init(&out, 0);
        (i % 2 == 0 ? generate_metric : generate_logs)(&g, &text);
        survived += survives(buf_slice(&text));
        buf_reset(&text);
        generate_broken(&g, &text);
        broken += print(buf_slice(&text), ast_print, &out) || out.len > 0;
        buf_done(&text);
        buf_done(&out);
    }
    is_int(survived, GENERATED, "generated queries survive printing and parsing");
    is_int(broken, GENERATED, "broken ones give a query or an error");
}

int main(int argc, char **argv)
{
    (void)argc;
    ok(cases_run(argv[1], run) > 30, "the table was read");
    ok(cases_run(argv[2], run_pretty) > 5, "the table of lines was read");
    print_generated();
    return tap_done();
}
