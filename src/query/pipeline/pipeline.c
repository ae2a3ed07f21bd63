/* pipeline.c -- see pipeline.h. */
#include "query/pipeline/pipeline.h"

#include "query/pipeline/label_filter.h"
#include "query/pipeline/line_filter.h"
#include "query/pipeline/rewrite.h"

struct stage {
    const struct ast_stage *ast;
    struct line_filter *line_filter; // STAGE_LINE_FILTER
    struct extractor *extractor;     // the parsers
};

struct pipeline {
    struct stage *stages;
    size_t count;
    const struct wanted_labels *wanted;
};

static bool label_format_new(const struct ast_stage *ast, struct err *err)
{
    for (uint32_t i = 0; i < ast->assigns_count; i++) {
        struct slice name = ast->assigns[i].name;
        if (slice_eq(name, SLICE("__error__")))
            return err_set(err, ERR_INPUT, "__error__ cannot be formatted");
        for (uint32_t n = 0; n < i; n++)
            if (slice_eq(ast->assigns[n].name, name))
                return err_set(err, ERR_INPUT,
                               "multiple label name '%.*s' not allowed in a single format operation",
                               SLICE_FMT(name));
        if (!ast->assigns[i].rename)
            return err_set(err, ERR_INPUT, "this version of mstore does not have templates");
    }
    return true;
}

static bool stage_init(struct stage *s, const struct ast_stage *ast, struct arena *a,
                       struct ast_regex **regexes, bool *stage_error_out, struct err *err)
{
    s->ast = ast;
    *stage_error_out = true;
    switch (ast->kind) {
    case STAGE_LINE_FILTER:
        return line_filter_new(&ast->filter, a, regexes, &s->line_filter, err);
    case STAGE_LABEL_FILTER:
        return label_filter_check(ast->label_filter, err);
    case STAGE_JSON:
    case STAGE_LOGFMT:
    case STAGE_REGEXP:
    case STAGE_PATTERN:
    case STAGE_UNPACK:
        return extractor_new(ast, a, regexes, &s->extractor, stage_error_out, err);
    case STAGE_DROP:
    case STAGE_KEEP:
    case STAGE_DECOLORIZE:
        return true;
    case STAGE_LABEL_FORMAT:
        return label_format_new(ast, err);
    case STAGE_LINE_FORMAT:
        break;
    }
    return err_set(err, ERR_INPUT, "this version of mstore does not have templates");
}

bool pipeline_new(const struct ast_stage *stages, const struct wanted_labels *wanted_names,
                  struct arena *a, struct ast_regex **regexes, struct pipeline **out, struct err *err)
{
    size_t count = 0;
    for (const struct ast_stage *s = stages; s != NULL; s = s->next)
        count++;
    struct pipeline *p = arena_zalloc(a, sizeof *p);
    struct stage *compiled = arena_zalloc(a, (count + 1) * sizeof *compiled);
    if (p == NULL || compiled == NULL)
        return arena_ok(a, "pipeline", err);
    p->wanted = wanted_names;
    for (const struct ast_stage *s = stages; s != NULL; s = s->next) {
        bool stage_error;
        if (stage_init(&compiled[p->count++], s, a, regexes, &stage_error, err))
            continue;
        if (!stage_error)
            return false;
        AUTO(buf_done) struct buf shown;
        buf_init(&shown, ERR_TEXT_BYTES);
        ast_print_stage(&shown, s);
        return err_wrap(err, "parse error : stage '%.*s' ", SLICE_FMT(buf_slice(&shown)));
    }
    p->stages = compiled;
    *out = p;
    return true;
}

static void format_labels(const struct ast_stage *ast, struct line *l)
{
    for (uint32_t i = 0; i < ast->assigns_count; i++) {
        bool found;
        struct slice value = line_label(l, ast->assigns[i].value, &found);
        if (!found)
            continue;
        if (!slice_eq(ast->assigns[i].name, ast->assigns[i].value))
            line_set_label(l, ast->assigns[i].name, value);
        line_drop_label(l, ast->assigns[i].value);
    }
}

bool pipeline_keeps(const struct pipeline *p, struct line *l)
{
    for (size_t i = 0; i < p->count; i++) {
        const struct stage *s = &p->stages[i];
        switch (s->ast->kind) {
        case STAGE_LINE_FILTER:
            if (!line_filter_keeps(s->line_filter, l->text))
                return false;
            break;
        case STAGE_LABEL_FILTER:
            if (!label_filter_keeps(s->ast->label_filter, l, l->scratch))
                return false;
            break;
        case STAGE_DROP:
            rewrite_drop(s->ast, l);
            break;
        case STAGE_KEEP:
            rewrite_keep(s->ast, l);
            break;
        case STAGE_DECOLORIZE:
            rewrite_decolorize(l);
            break;
        case STAGE_LABEL_FORMAT:
            format_labels(s->ast, l);
            break;
        default:
            extractor_run(s->extractor, p->wanted, l);
        }
    }
    return true;
}

bool pipeline_is_empty(const struct pipeline *p)
{
    return p->count == 0;
}

bool pipeline_reads_lines(const struct pipeline *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->stages[i].line_filter != NULL || p->stages[i].extractor != NULL ||
            p->stages[i].ast->kind == STAGE_DECOLORIZE)
            return true;
    return false;
}

bool pipeline_reads_labels(const struct pipeline *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->stages[i].line_filter == NULL)
            return true;
    return false;
}

bool pipeline_sets_labels(const struct pipeline *p)
{
    return pipeline_reads_labels(p); // a label filter may set an error
}

struct slice pipeline_needle(const struct pipeline *p)
{
    struct slice best = {0};
    for (size_t i = 0; i < p->count; i++) {
        // Behind a stage that rewrites the line a filter says nothing of the stored one.
        if (p->stages[i].ast->kind == STAGE_UNPACK || p->stages[i].ast->kind == STAGE_DECOLORIZE)
            break;
        if (p->stages[i].line_filter == NULL)
            continue;
        struct slice needle = line_filter_needle(p->stages[i].line_filter);
        if (needle.len > best.len)
            best = needle;
    }
    return best;
}
