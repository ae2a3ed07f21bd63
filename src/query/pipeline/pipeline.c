/* pipeline.c -- see pipeline.h. */
#include "query/pipeline/pipeline.h"

#include "base/hex.h"
#include "query/pipeline/label_filter.h"
#include "query/pipeline/line_filter.h"
#include "query/pipeline/rewrite.h"
#include "query/pipeline/template.h"

struct stage {
    const struct ast_stage *ast;
    struct line_filter *line_filter; // STAGE_LINE_FILTER
    struct extractor *extractor;     // the parsers
    struct template **templates;     // line_format: one; label_format: by assignment, NULL for a rename
    uint8_t trace_id[TRACE_ID_BYTES]; // STAGE_TRACE_ID
};

struct pipeline {
    struct stage *stages;
    size_t count;
    const struct wanted_labels *wanted;
};

static bool line_format_new(struct stage *s, struct arena *a, struct err *err)
{
    s->templates = arena_zalloc(a, sizeof *s->templates);
    return s->templates != NULL
               ? template_parse(s->ast->text, "line", a, &s->templates[0], err) ||
                     err_wrap(err, "invalid line template")
               : arena_ok(a, "template", err);
}

static bool label_format_new(struct stage *s, struct arena *a, struct err *err)
{
    const struct ast_stage *ast = s->ast;
    s->templates = arena_zalloc(a, (ast->assigns_count + 1) * sizeof *s->templates);
    if (s->templates == NULL)
        return arena_ok(a, "template", err);
    for (uint32_t i = 0; i < ast->assigns_count; i++) {
        struct slice name = ast->assigns[i].name;
        if (slice_eq(name, SLICE("__error__")))
            return err_set(err, ERR_INPUT, "__error__ cannot be formatted");
        for (uint32_t n = 0; n < i; n++)
            if (slice_eq(ast->assigns[n].name, name))
                return err_set(err, ERR_INPUT,
                               "multiple label name '%.*s' not allowed in a single format operation",
                               SLICE_FMT(name));
        if (!ast->assigns[i].rename &&
            !template_parse(ast->assigns[i].value, "label", a, &s->templates[i], err))
            return err_wrap(err, "invalid template for label '%.*s'", SLICE_FMT(name));
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
    case STAGE_TRACE_ID:
        return hex_decode(ast->text, s->trace_id, TRACE_ID_BYTES) || err_set(err, ERR_INPUT, "no trace ID");
    case STAGE_LABEL_FORMAT:
        return label_format_new(s, a, err);
    case STAGE_LINE_FORMAT:
        return line_format_new(s, a, err);
    }
    return false;
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

static void template_fail(struct line *l, struct slice details)
{
    l->error = SLICE("TemplateFormatErr");
    l->error_details = details;
}

static void format_line(const struct stage *s, struct line *l)
{
    struct slice text, details;
    if (template_run(s->templates[0], l, &text, &details))
        l->text = text;
    else
        template_fail(l, details);
}

static void rename_label(const struct ast_assign *assign, struct line *l)
{
    bool found;
    struct slice value = line_label(l, assign->value, &found);
    if (!found)
        return;
    if (!slice_eq(assign->name, assign->value))
        line_set_label(l, assign->name, value);
    line_drop_label(l, assign->value);
}

// A copy of the line's labels: templates of one stage all see those before the first of them.
static struct line snapshot(const struct line *l, struct line_space *space)
{
    struct line copy = *l;
    copy.space = space;
    if (l->opened) {
        *space = (struct line_space){
            .items = arena_array(l->scratch, l->space->count + 1, sizeof *space->items),
            .count = l->space->count,
            .dropped = arena_array(l->scratch, l->space->dropped_count + 1, sizeof *space->dropped),
            .dropped_count = l->space->dropped_count};
        if (space->items != NULL && l->space->count > 0)
            memcpy(space->items, l->space->items, l->space->count * sizeof *space->items);
        if (space->dropped != NULL && l->space->dropped_count > 0)
            memcpy(space->dropped, l->space->dropped, l->space->dropped_count * sizeof *space->dropped);
    }
    return copy;
}

static void format_labels(const struct stage *s, struct line *l)
{
    struct line_space space = {0};
    struct line before;
    bool taken = false;
    for (uint32_t i = 0; i < s->ast->assigns_count; i++) {
        struct slice value, details;
        if (s->templates[i] == NULL) {
            rename_label(&s->ast->assigns[i], l);
            continue;
        }
        if (!taken)
            before = snapshot(l, &space);
        taken = true;
        if (template_run(s->templates[i], &before, &value, &details))
            line_set_label(l, s->ast->assigns[i].name, value);
        else
            template_fail(l, details);
    }
}

// As stored, whatever stages before made of the labels: so the index knows which entries those are.
static bool carries_trace(const struct line *l, const uint8_t trace_id[TRACE_ID_BYTES])
{
    uint8_t id[TRACE_ID_BYTES];
    return hex_decode(labels_find(l->metadata, SLICE("trace_id")), id, sizeof id) && memcmp(id, trace_id, sizeof id) == 0;
}

bool pipeline_keeps(const struct pipeline *p, struct line *l)
{
    return pipeline_keeps_from(p, 0, l);
}

bool pipeline_keeps_from(const struct pipeline *p, size_t stage, struct line *l)
{
    for (size_t i = stage; i < p->count; i++) {
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
        case STAGE_TRACE_ID:
            if (!carries_trace(l, s->trace_id))
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
            format_labels(s, l);
            break;
        case STAGE_LINE_FORMAT:
            format_line(s, l);
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
            p->stages[i].ast->kind == STAGE_DECOLORIZE || p->stages[i].templates != NULL)
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

bool pipeline_reads_times(const struct pipeline *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->stages[i].templates != NULL)
            return true;
    return false;
}

bool pipeline_sets_labels(const struct pipeline *p)
{
    return pipeline_reads_labels(p); // a label filter may set an error
}

struct needle pipeline_needle(const struct pipeline *p)
{
    struct needle best = {0};
    for (size_t i = 0; i < p->count; i++) {
        // Behind a stage that rewrites the line a filter says nothing of the stored one.
        if (p->stages[i].ast->kind == STAGE_UNPACK || p->stages[i].ast->kind == STAGE_DECOLORIZE ||
            p->stages[i].ast->kind == STAGE_LINE_FORMAT)
            break;
        if (p->stages[i].line_filter == NULL)
            continue;
        struct slice text = line_filter_needle(p->stages[i].line_filter);
        if (text.len > best.text.len)
            best = (struct needle){.text = text, .stage = i == 0 && line_filter_text(p->stages[i].line_filter).len > 0};
    }
    if (best.text.len == 0 && p->count > 0 && p->stages[0].line_filter != NULL &&
        line_filter_is_negative(p->stages[0].line_filter))
        best = (struct needle){line_filter_text(p->stages[0].line_filter), true, 1};
    return best;
}

void pipeline_template_names(const struct pipeline *p, void (*visit)(void *ctx, struct slice name), void *ctx)
{
    for (size_t i = 0; i < p->count; i++) {
        const struct stage *s = &p->stages[i];
        uint32_t count = s->templates == NULL                    ? 0
                         : s->ast->kind == STAGE_LINE_FORMAT ? 1
                                                             : s->ast->assigns_count;
        for (uint32_t n = 0; n < count; n++)
            if (s->templates[n] != NULL)
                template_names(s->templates[n], visit, ctx);
    }
}

// --- clauses ----------------------------------------------------------------------------------------

struct clauses {
    struct pipeline_clause *items;
    size_t count, room;
    struct arena *a;
};

static void add_clause(struct clauses *c, struct pipeline_clause clause)
{
    if (arena_grow(c->a, (void **)&c->items, sizeof *c->items, c->count, &c->room))
        c->items[c->count++] = clause;
}

// The longest part of a label's value that parsers take as it is from a line, `\u` escapes aside.
static struct slice plain_part(struct slice value)
{
    struct slice best = {0};
    for (size_t from = 0, i = 0; i <= value.len; i++) {
        if (i < value.len && value.ptr[i] > ' ' && value.ptr[i] < 0x7F && strchr("\"'\\/", value.ptr[i]) == NULL)
            continue;
        if (i - from > best.len)
            best = slice_of(value.ptr + from, i - from);
        from = i + 1;
    }
    return best;
}

static void add_equality(void *ctx, const struct label_matcher *m)
{
    struct clauses *c = ctx;
    struct slice part = plain_part(m->value);
    if (part.len == 0 || slice_starts(m->name, SLICE("__"))) // errors are nowhere in the entry
        return;
    struct slice *text = arena_array(c->a, 1, sizeof *text);
    if (text == NULL)
        return;
    *text = part;
    add_clause(c, (struct pipeline_clause){{text, 1, true}, m->name});
}

uint32_t pipeline_clauses(const struct pipeline *p, struct arena *a, struct pipeline_clause **clauses_out)
{
    struct clauses c = {.a = a};
    for (size_t i = 0; i < p->count; i++) {
        const struct stage *s = &p->stages[i];
        enum ast_stage_kind kind = s->ast->kind;
        // From here on lines or values are not what is stored.
        if (kind == STAGE_UNPACK || kind == STAGE_DECOLORIZE || kind == STAGE_LINE_FORMAT || kind == STAGE_LABEL_FORMAT)
            break;
        struct view_clause clause = {0};
        if (kind == STAGE_LABEL_FILTER)
            label_filter_equalities(s->ast->label_filter, add_equality, &c);
        else if (kind == STAGE_LINE_FILTER &&
                 (clause.texts_count = line_filter_texts(s->line_filter, a, &clause.texts)) > 0)
            add_clause(&c, (struct pipeline_clause){clause, {0}});
    }
    *clauses_out = c.items;
    return (uint32_t)c.count;
}
