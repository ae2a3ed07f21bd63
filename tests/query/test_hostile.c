/*
 * test_hostile.c -- lines that are made to hurt: deep, long, many-keyed, no UTF-8. Exact where something is to be
 * found, and done in no time that grows with the square of anything.
 */
#include "tap.h"

#include "base/limits.h"
#include "query/pipeline/pipeline.h"

#include <stdlib.h>

enum { KEYS = 20000, DEPTH = 100000, LONG = 1 << 20 };

struct outcome {
    bool kept;
    size_t labels;
    struct slice value; // of the label asked for
    struct slice error, text;
};

// Runs stages over a line and hands the outcome to check, while it lives.
static void run(const char *stages, struct slice text, const char *label, void (*check)(const struct outcome *o, const char *name),
                const char *name)
{
    static const struct wanted_labels all = {0};
    struct arena a;
    struct ast *ast;
    struct ast_regex *regexes = NULL;
    struct pipeline *p;
    struct err err;
    struct line_space space = {0};
    struct buf query;
    arena_init(&a, GIB);
    buf_init(&query, 0);
    buf_printf(&query, "{a=\"b\"} %s", stages);
    must(ast_parse(buf_slice(&query), &a, &regexes, &ast, &err), &err);
    must(pipeline_new(ast->logs.stages, &all, &a, &regexes, &p, &err), &err);
    struct line l = {.text = text, .stream = LABELS_EMPTY, .metadata = LABELS_EMPTY, .space = &space, .scratch = &a};
    bool found;
    struct outcome o = {.kept = pipeline_keeps(p, &l), .text = l.text, .error = l.error};
    o.labels = (size_t)labels_walk(line_labels(&l, &a)).left;
    o.value = line_label(&l, slice_cstr(label), &found);
    check(&o, name);
    line_space_done(&space);
    buf_done(&query);
    ast_regexes_free(regexes);
    arena_done(&a);
}

static void has_all_keys(const struct outcome *o, const char *name)
{
    ok(o->kept && o->error.len == 0 && o->labels == KEYS && slice_eq(o->value, SLICE("v19999")), "%s: %zu labels", name, o->labels);
}

static void has_nothing(const struct outcome *o, const char *name)
{
    ok(o->kept && o->error.len > 0, "%s: %.*s", name, SLICE_FMT(o->error));
}

static void is_kept(const struct outcome *o, const char *name)
{
    ok(o->kept, "%s", name);
}

static void is_dropped(const struct outcome *o, const char *name)
{
    ok(!o->kept, "%s", name);
}

static void has_value(const struct outcome *o, const char *name)
{
    ok(o->kept && slice_eq(o->value, SLICE("x")), "%s: %.*s", name, SLICE_FMT(o->value));
}

static void is_short(const struct outcome *o, const char *name)
{
    ok(o->kept && slice_eq(o->text, SLICE("end")), "%s: %zu bytes", name, o->text.len);
}

static void many_keys(void)
{
    struct buf json, logfmt, again;
    struct buf *all[] = {&json, &logfmt, &again};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        buf_init(all[i], 0);
    buf_put_byte(&json, '{');
    buf_put_byte(&again, '{');
    for (int i = 0; i < KEYS; i++) {
        buf_printf(&json, "%s\"k%d\":\"v%d\"", i > 0 ? "," : "", i, i);
        buf_printf(&logfmt, "k%d=v%d ", i, i);
        buf_printf(&again, "%s\"k\":\"%s\"", i > 0 ? "," : "", i == 0 ? "x" : "y");
    }
    buf_put_byte(&json, '}');
    buf_put_byte(&again, '}');
    run("| json", buf_slice(&json), "k19999", has_all_keys, "20,000 keys of JSON");
    run("| logfmt", buf_slice(&logfmt), "k19999", has_all_keys, "20,000 pairs of logfmt");
    run("| json | json", buf_slice(&json), "k19999", has_all_keys, "twice");
    run("| unpack", buf_slice(&json), "k19999", is_kept, "unpack of 20,000 keys");
    run("| json", buf_slice(&again), "k", has_value, "one key 20,000 times: the first counts");
    run("| json | keep k7", buf_slice(&json), "k7", is_kept, "keep one of 20,000");
    for (size_t i = 0; i < COUNT_OF(all); i++)
        buf_done(all[i]);
}

static void deep(void)
{
    struct buf b;
    buf_init(&b, 0);
    for (int i = 0; i < DEPTH; i++)
        buf_put_cstr(&b, "{\"a\":");
    run("| json", buf_slice(&b), "a", has_nothing, "100,000 objects that are not closed");
    buf_put_cstr(&b, "\"x\"");
    for (int i = 0; i < DEPTH; i++)
        buf_put_byte(&b, '}');
    run("| json", buf_slice(&b), "a", is_kept, "100,000 objects in each other");
    run("| json v=\"a.a.a.a\"", buf_slice(&b), "v", is_kept, "a path into them");
    buf_reset(&b);
    buf_put_cstr(&b, "{\"a\":");
    for (int i = 0; i < DEPTH; i++)
        buf_put_byte(&b, '[');
    run("| json", buf_slice(&b), "a", has_nothing, "100,000 arrays that are not closed");
    run("| unpack", buf_slice(&b), "a", has_nothing, "and unpack");
    run("| line_format `{{ __line__ | fromJson }}`", buf_slice(&b), "a", is_kept, "and fromJson");
    buf_done(&b);
}

static void long_lines(void)
{
    char *text = malloc(LONG + 16);
    must(text != NULL, NULL);
    memset(text, 'a', LONG);
    memcpy(text + LONG - 6, "needle", 6);
    struct slice line = slice_of(text, LONG);
    run("|= \"needle\"", line, "", is_kept, "a needle at the end of a megabyte");
    run("|~ \"(a+)+needle$\"", line, "", is_kept, "a regex that others take years for");
    run("|~ \"(a+)+nothing$\"", line, "", is_dropped, "and one that fails");
    run("!~ `a{999}b`", line, "", is_kept, "counted repetition");
    run("| pattern `<x>needle`", line, "x", is_kept, "a pattern over a megabyte");
    run("| logfmt", line, "", is_kept, "logfmt of one word");
    run("| json", line, "", has_nothing, "JSON of it");
    run("| line_format `{{ regexReplaceAll \"a+needle\" __line__ \"end\" }}`", line, "", is_short, "a replacement over it");
    memset(text, 0x1b, LONG);
    run("| decolorize", line, "", is_kept, "a megabyte of escapes");
    memset(text, 0xff, LONG);
    run("|~ \"^.+$\" | logfmt | json", line, "", has_nothing, "a megabyte that is no UTF-8");
    memset(text, '"', LONG);
    run("| json | logfmt", line, "", has_nothing, "a megabyte of quotes");
    memset(text, '\\', LONG);
    memcpy(text, "{\"a\":\"", 6);
    run("| json", line, "", has_nothing, "a megabyte of backslashes");
    memset(text, '=', LONG);
    run("| logfmt --strict", line, "", has_nothing, "a megabyte of equal signs");
    free(text);
}

int main(void)
{
    many_keys();
    deep();
    long_lines();
    return tap_done();
}
