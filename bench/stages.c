/*
 * stages.c -- what each stage of a pipeline costs: MB of lines a second on one core, decoded lines in cache.
 *
 *     stages [--bytes N] [--query PATTERN]
 *
 * A chunk of lines that fits the cache is run through a query's pipeline again and again, as a loaded run:
 * what is measured is everything behind decoding.
 */
#include "base/clock.h"
#include "base/limits.h"
#include "lines.h"
#include "query/logql/parser.h"
#include "query/pipeline/pipeline.h"
#include "query/scan.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { CHUNK_BYTES = 256 * 1024, LINES_MAX = 8192 };

struct chunk {
    char text[CHUNK_BYTES + 1024];
    const uint8_t *lines[LINES_MAX];
    uint32_t line_bytes[LINES_MAX];
    int64_t times_ns[LINES_MAX];
    struct slice metadata[LINES_MAX];
    uint32_t count;
    uint64_t bytes;
};

typedef int line_maker(uint64_t *seed, char *to, size_t room);

static void fill(struct chunk *c, line_maker *make)
{
    uint64_t seed = 1;
    *c = (struct chunk){0};
    while (c->bytes < CHUNK_BYTES && c->count < LINES_MAX) {
        int len = make(&seed, c->text + c->bytes, 1024);
        c->lines[c->count] = (const uint8_t *)c->text + c->bytes;
        c->line_bytes[c->count] = (uint32_t)len;
        c->times_ns[c->count] = c->count;
        c->metadata[c->count] = LABELS_EMPTY;
        c->bytes += (uint64_t)len;
        c->count++;
    }
}

static const struct {
    line_maker *make;
    const char *query;
    const char *wanted; // the one label that is used; NULL: all
} cases[] = {
    {line_nginx, "{a=\"b\"} |= \"nosuchtext\"", ""},
    {line_json, "{a=\"b\"} |= \"error\"", ""},
    {line_nginx, "{a=\"b\"} |= \"GET\"", ""},
    {line_json, "{a=\"b\"} != \"error\"", ""},
    {line_json, "{a=\"b\"} |= \"cart\" |= \"error\"", ""},
    {line_nginx, "{a=\"b\"} |~ \"/wp-login.php.*id=77\"", ""},
    {line_nginx, "{a=\"b\"} |~ \"(?i)WP-LOGIN\"", ""},
    {line_nginx, "{a=\"b\"} |~ \"id=[0-9]+7 .*curl\"", ""},
    {line_nginx, "{a=\"b\"} |~ \" 50[0-9] \"", ""},
    {line_nginx, "{a=\"b\"} |= ip(\"10.0.0.0/8\")", ""},
    {line_json, "{a=\"b\"} | json", "level"},
    {line_json, "{a=\"b\"} | json", "pod"},
    {line_json, "{a=\"b\"} | json", NULL},
    {line_json, "{a=\"b\"} | json level=\"level\"", "level"},
    {line_json, "{a=\"b\"} | json | level=\"error\"", "level"},
    {line_logfmt, "{a=\"b\"} | logfmt", "level"},
    {line_logfmt, "{a=\"b\"} | logfmt", "latency"},
    {line_logfmt, "{a=\"b\"} | logfmt", NULL},
    {line_nginx, "{a=\"b\"} | pattern `<ip> - - [<_>] \"<method> <path> <_>\" <status> <_>`", NULL},
    {line_nginx, "{a=\"b\"} | regexp `^(?P<ip>\\S+) .* \"(?P<method>\\w+) (?P<path>\\S+)`", NULL},
    {line_json, "{a=\"b\"} | json | line_format \"{{.level}} {{.msg}}\"", NULL},
    {line_json, "{a=\"b\"} | json | duration_ms > 1000", "duration_ms"},
    {line_logfmt, "{a=\"b\"} | logfmt | latency > 300ms", "latency"},
};

static bool count_hit(void *ctx, struct scan_hit *hit)
{
    (void)hit;
    ++*(uint64_t *)ctx;
    return true;
}

static void measure(const struct chunk *c, const char *text, const char *name, uint64_t bytes)
{
    struct arena a;
    struct ast *ast;
    struct ast_regex *regexes = NULL;
    struct pipeline *pipeline;
    struct err err;
    arena_init(&a, QUERY_ARENA_BYTES_MAX);
    struct slice names[] = {slice_cstr(name != NULL ? name : "")};
    struct wanted_labels wanted = {.limited = name != NULL, .names = names, .count = name != NULL && *name != 0};
    if (!ast_parse(slice_cstr(text), &a, &regexes, &ast, &err) ||
        !pipeline_new(ast->logs.stages, &wanted, &a, &regexes, &pipeline, &err)) {
        (void)fprintf(stderr, "%s: %s\n", text, err.text);
        exit(1);
    }
    struct scan scan = {0};
    arena_init(&scan.scratch, QUERY_ARENA_BYTES_MAX);
    struct run_entries e = {.count = c->count, .times_ns = c->times_ns, .line_bytes = c->line_bytes,
                            .lines = c->lines, .lines_base = c->lines[0], .metadata = c->metadata};
    uint64_t hits = 0, rounds = bytes / c->bytes + 1;
    int64_t begun_ns = clock_mono_ns();
    for (uint64_t i = 0; i < rounds; i++)
        (void)scan_run(&scan, pipeline, LABELS_EMPTY, &e, 0, c->count, true, count_hit, &hits);
    double seconds = (double)(clock_mono_ns() - begun_ns) / 1e9;
    (void)printf("| `%s`%s%s | %.0f | %.1f %% |\n", text + sizeof "{a=\"b\"}", name == NULL || *name == 0 ? "" : " using ",
                 name == NULL ? "" : name, (double)(rounds * c->bytes) / 1e6 / seconds,
                 100.0 * (double)hits / (double)(rounds * c->count));
    line_space_done(&scan.space);
    ast_regexes_free(regexes);
    arena_done(&scan.scratch);
    arena_done(&a);
}

int main(int argc, char **argv)
{
    uint64_t bytes = 200 * 1000 * 1000;
    const char *only = "";
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--bytes") == 0)
            bytes = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--query") == 0)
            only = argv[i + 1];
    }
    struct chunk *c = malloc(sizeof *c);
    assert(c != NULL);
    (void)printf("| stage | MB of lines a second | kept |\n|---|---|---|\n");
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (strstr(cases[i].query, only) == NULL)
            continue;
        fill(c, cases[i].make);
        measure(c, cases[i].query, cases[i].wanted, bytes);
    }
    free(c);
    return 0;
}
