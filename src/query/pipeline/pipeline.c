/* pipeline.c -- see pipeline.h. */
#include "query/pipeline/pipeline.h"

#include "query/pipeline/label_filter.h"
#include "query/pipeline/line_filter.h"

struct stage {
    enum ast_stage_kind kind;
    struct line_filter *line_filter;             // STAGE_LINE_FILTER
    const struct ast_label_filter *label_filter; // STAGE_LABEL_FILTER
};

struct pipeline {
    struct stage *stages;
    size_t count;
};

static bool stage_init(struct stage *s, const struct ast_stage *ast, struct arena *a,
                       struct ast_regex **regexes, struct err *err)
{
    s->kind = ast->kind;
    switch (ast->kind) {
    case STAGE_LINE_FILTER:
        return line_filter_new(&ast->filter, a, regexes, &s->line_filter, err);
    case STAGE_LABEL_FILTER:
        s->label_filter = ast->label_filter;
        return label_filter_check(ast->label_filter, err);
    default:
        return err_set(err, ERR_INPUT, "this version of mstore does not have this stage");
    }
}

bool pipeline_new(const struct ast_stage *stages, struct arena *a, struct ast_regex **regexes,
                  struct pipeline **out, struct err *err)
{
    size_t count = 0;
    for (const struct ast_stage *s = stages; s != NULL; s = s->next)
        count++;
    struct pipeline *p = arena_zalloc(a, sizeof *p);
    struct stage *compiled = arena_zalloc(a, (count + 1) * sizeof *compiled);
    if (p == NULL || compiled == NULL)
        return arena_ok(a, "pipeline", err);
    for (const struct ast_stage *s = stages; s != NULL; s = s->next) {
        if (stage_init(&compiled[p->count++], s, a, regexes, err))
            continue;
        AUTO(buf_done) struct buf shown;
        buf_init(&shown, ERR_TEXT_BYTES);
        ast_print_stage(&shown, s);
        return err_wrap(err, "parse error : stage '%.*s' ", SLICE_FMT(buf_slice(&shown)));
    }
    p->stages = compiled;
    *out = p;
    return true;
}

bool pipeline_keeps(const struct pipeline *p, struct line *l, struct arena *scratch)
{
    for (size_t i = 0; i < p->count; i++) {
        const struct stage *s = &p->stages[i];
        bool kept = s->kind == STAGE_LINE_FILTER ? line_filter_keeps(s->line_filter, l->text)
                                                 : label_filter_keeps(s->label_filter, l, scratch);
        if (!kept)
            return false;
    }
    return true;
}

bool pipeline_is_empty(const struct pipeline *p)
{
    return p->count == 0;
}

static bool has_stage(const struct pipeline *p, enum ast_stage_kind kind)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->stages[i].kind == kind)
            return true;
    return false;
}

bool pipeline_reads_lines(const struct pipeline *p)
{
    return has_stage(p, STAGE_LINE_FILTER);
}

bool pipeline_reads_labels(const struct pipeline *p)
{
    return has_stage(p, STAGE_LABEL_FILTER);
}

struct slice pipeline_needle(const struct pipeline *p)
{
    struct slice best = {0};
    for (size_t i = 0; i < p->count; i++) {
        if (p->stages[i].kind != STAGE_LINE_FILTER)
            continue;
        struct slice needle = line_filter_needle(p->stages[i].line_filter);
        if (needle.len > best.len)
            best = needle;
    }
    return best;
}
