/*
 * template.c -- see template.h: the walk over what template_parse.c made.
 */
#include "query/pipeline/template_node.h"

#include "query/pipeline/decimal.h"

#include <stdio.h>

enum { ARGS_MAX = DECIMAL_ARGUMENTS_MAX, STEPS_MAX = 100000, CALLS_MAX = 1000, RESULT_BYTES_MAX = 1 << 20 };

struct variable {
    struct slice name;
    struct tval value;
};

enum flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE, FLOW_FAILED };

struct run {
    const struct template *t;
    const struct line *l;
    struct arena *a;
    struct slice name; // of the definition that is run
    struct buf out;
    struct variable *vars; // in the arena
    size_t vars_count, vars_room;
    size_t vars_first; // of the definition; those before are not seen
    struct tval dollar; // `$`
    struct slice details; // of the failure
    int steps, calls;
};

static void place_of(const struct run *r, size_t pos, int *line_out, size_t *column_out)
{
    *line_out = 1;
    *column_out = pos;
    for (size_t i = 0; i < pos; i++)
        if (r->t->text.ptr[i] == '\n') {
            ++*line_out;
            *column_out = pos - i - 1;
        }
}

static struct slice quoted(struct run *r, struct slice text)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, RESULT_BYTES_MAX);
    labels_quote(&b, text);
    return arena_copy(r->a, buf_slice(&b));
}

// `template: line:1:2: executing "line" at <.foo>: why`
static bool run_fail_at(struct run *r, size_t where, size_t pos, size_t end, struct slice why)
{
    int line;
    size_t column;
    place_of(r, where, &line, &column);
    r->details = slice_cstr(arena_printf(r->a, "template: %s:%d:%zu: executing %.*s at <%.*s>: %.*s", r->t->name,
                                         line, column, SLICE_FMT(quoted(r, r->name)), (int)(end - pos), r->t->text.ptr + pos,
                                         SLICE_FMT(why)));
    return false;
}

static bool run_fail(struct run *r, size_t pos, size_t end, struct slice why)
{
    return run_fail_at(r, pos, pos, end, why);
}

static bool eval_pipe(struct run *r, const struct node *n, const struct tval *dot, struct tval *out);

static struct slice field_text(const struct run *r, struct slice name, bool *found_out)
{
    if (slice_eq(name, SLICE("__error_details__"))) {
        *found_out = r->l->error_details.len > 0;
        return r->l->error_details;
    }
    return line_label(r->l, name, found_out);
}

// The root is the labels: a kind of its own, told by its items being NULL.
static struct tval root(void)
{
    return (struct tval){.kind = T_MAP, .i = 1};
}

// What a definition is given that is called without a value: fields of it are nothing too, not an error.
static struct tval nothing(void)
{
    return (struct tval){.kind = T_NIL, .i = 1};
}

static bool is_nothing(const struct tval *v)
{
    return v->kind == T_NIL && v->i == 1;
}

static bool eval_fields(struct run *r, const struct node *n, struct tval v, struct tval *out)
{
    for (size_t i = 0; i < n->fields_count; i++) {
        struct slice name = n->fields[i];
        if (v.kind == T_MAP && v.i == 1) {
            bool found;
            struct slice text = field_text(r, name, &found);
            v = (struct tval){.kind = T_STRING, .s = found && text.ptr != NULL ? text : SLICE("")};
            continue;
        }
        if (is_nothing(&v))
            break;
        if (v.kind != T_MAP && v.kind != T_NIL)
            return run_fail_at(r, n->where, n->pos, n->end,
                            slice_cstr(arena_printf(r->a, "can't evaluate field %.*s in type %s", SLICE_FMT(name), tval_type(&v))));
        struct tval found = {.kind = T_NIL};
        if (v.kind == T_NIL)
            return run_fail_at(r, n->where, n->pos, n->end,
                            slice_cstr(arena_printf(r->a, "nil pointer evaluating interface {}.%.*s", SLICE_FMT(name))));
        for (size_t k = 0; k < v.count; k++)
            if (slice_eq(v.keys[k], name))
                found = v.items[k];
        v = found;
    }
    *out = v;
    return true;
}

static bool eval_arg(struct run *r, const struct node *n, const struct tval *dot, struct tval *out);

static bool call(struct run *r, const struct node *n, const struct node *args, const struct command *c,
                 const struct tval *dot, const struct tval *piped, struct tval *out)
{
    const struct tfunction *f = n->function;
    struct tval values[ARGS_MAX];
    const struct node *nodes[ARGS_MAX];
    int given = 0, count = 0;
    for (const struct node *arg = args; arg != NULL; arg = arg->next)
        given++;
    given += piped != NULL;
    if (given < f->args_min || (f->args_max >= 0 && given > f->args_max) || given > ARGS_MAX)
        return run_fail(r, n->pos, n->end,
                        slice_cstr(arena_printf(r->a, "wrong number of args for %s: want %s%d got %d", f->name,
                                                f->args_max < 0 ? "at least " : "", f->args_min, given)));
    if (strcmp(f->name, "__line__") == 0) {
        *out = (struct tval){.kind = T_STRING, .s = r->l->text};
        return true;
    }
    if (strcmp(f->name, "__timestamp__") == 0) {
        *out = (struct tval){.kind = T_TIME, .i = r->l->time_ns};
        return true;
    }
    bool is_and = strcmp(f->name, "and") == 0, is_or = strcmp(f->name, "or") == 0;
    for (const struct node *arg = args; arg != NULL; arg = arg->next) {
        nodes[count] = arg;
        if (!eval_arg(r, arg, dot, &values[count++]))
            return false;
        if ((is_and || is_or) && tval_is_true(&values[count - 1]) == is_or) {
            *out = values[count - 1];
            return true;
        }
    }
    if (piped != NULL) {
        nodes[count] = NULL;
        values[count++] = *piped;
    }
    if (is_and || is_or) {
        *out = values[count - 1];
        return true;
    }
    struct tcall tc = {.a = r->a, .bad_arg = -1};
    if (strcmp(f->name, "call") == 0) { // no value of a template is a function
        struct slice callee = args != NULL ? slice_of(r->t->text.ptr + args->pos, args->end - args->pos) : values[0].s;
        if (values[0].kind == T_NIL)
            (void)tcall_fail(&tc, "error calling call: call of nil");
        else
            (void)tcall_fail(&tc, "error calling call: non-function %.*s of type %s", SLICE_FMT(callee), tval_type(&values[0]));
        return run_fail(r, c != NULL ? c->pos : n->pos, c != NULL ? c->end : n->end, tc.error);
    }
    if (f->run(&tc, values, count, out))
        return true;
    if (tc.bad_arg >= 0 && nodes[tc.bad_arg] != NULL)
        return run_fail(r, nodes[tc.bad_arg]->pos, nodes[tc.bad_arg]->end, tc.error);
    return run_fail(r, c != NULL ? c->pos : n->pos, c != NULL ? c->end : n->end, tc.error);
}

static bool eval_arg(struct run *r, const struct node *n, const struct tval *dot, struct tval *out)
{
    struct tval v = {.kind = T_NIL};
    switch (n->kind) {
    case ARG_DOT:
    case ARG_FIELD:
        v = *dot;
        break;
    case ARG_VAR:
        v = r->dollar;
        for (size_t i = r->vars_count; n->text.len > 0 && i-- > r->vars_first;)
            if (slice_eq(r->vars[i].name, n->text)) {
                v = r->vars[i].value;
                break;
            }
        break;
    case ARG_LITERAL:
        v = n->value;
        break;
    case ARG_PIPE:
        if (!eval_pipe(r, n->pipe, dot, &v))
            return false;
        break;
    case ARG_FUNCTION:
        if (!call(r, n, NULL, NULL, dot, NULL, &v))
            return false;
        break;
    default:
        break;
    }
    return eval_fields(r, n, v, out);
}

static bool eval_command(struct run *r, const struct command *c, const struct tval *dot,
                         const struct tval *piped, struct tval *out)
{
    const struct node *first = c->args;
    if (first->kind == ARG_FUNCTION && first->fields_count == 0)
        return call(r, first, first->next, c, dot, piped, out);
    if (first->next != NULL || piped != NULL)
        return run_fail(r, first->pos, first->end,
                        slice_cstr(arena_printf(r->a, "can't give argument to non-function %.*s",
                                                (int)(first->end - first->pos), r->t->text.ptr + first->pos)));
    if (first->kind == ARG_NIL)
        return run_fail(r, first->pos, first->end, SLICE("nil is not a command"));
    return eval_arg(r, first, dot, out);
}

static void set_variable(struct run *r, struct slice name, struct tval value, bool assigns)
{
    for (size_t i = r->vars_count; assigns && i-- > r->vars_first;)
        if (slice_eq(r->vars[i].name, name)) {
            r->vars[i].value = value;
            return;
        }
    if (arena_grow(r->a, (void **)&r->vars, sizeof *r->vars, r->vars_count, &r->vars_room))
        r->vars[r->vars_count++] = (struct variable){name, value};
}

static bool eval_pipe(struct run *r, const struct node *n, const struct tval *dot, struct tval *out)
{
    struct tval v = {.kind = T_NIL};
    for (const struct command *c = n->commands; c != NULL; c = c->next) {
        struct tval next;
        if (!eval_command(r, c, dot, c == n->commands ? NULL : &v, &next))
            return false;
        v = next;
    }
    if (n->vars_count == 1)
        set_variable(r, n->vars[0], v, n->assigns);
    *out = v;
    return true;
}

static enum flow run_list(struct run *r, const struct node *list, const struct tval *dot);

static enum flow run_range(struct run *r, const struct node *n, const struct tval *dot)
{
    struct tval v;
    size_t vars = r->vars_count;
    struct node pipe = *n->pipe;
    pipe.vars_count = 0; // they are set for each element
    if (!eval_pipe(r, &pipe, dot, &v))
        return FLOW_FAILED;
    size_t count = v.kind == T_INT ? (v.i > 0 ? (size_t)v.i : 0) : v.count;
    if (v.kind != T_LIST && v.kind != T_MAP && v.kind != T_NIL && v.kind != T_INT) {
        struct buf b;
        buf_init(&b, 256);
        tval_print(&b, &v);
        (void)run_fail(r, n->pipe->pos, n->pipe->end,
                       slice_cstr(arena_printf(r->a, "range can't iterate over %.*s", SLICE_FMT(buf_slice(&b)))));
        buf_done(&b);
        return FLOW_FAILED;
    }
    if (count == 0)
        return run_list(r, n->otherwise, dot);
    for (size_t i = 0; i < count; i++) {
        struct tval item = v.kind == T_INT ? (struct tval){.kind = T_INT, .i = (int64_t)i} : v.items[i];
        struct tval key = v.kind == T_MAP ? (struct tval){.kind = T_STRING, .s = v.keys[i]}
                                          : (struct tval){.kind = T_INT, .i = (int64_t)i};
        r->vars_count = vars;
        if (n->pipe->vars_count == 2)
            set_variable(r, n->pipe->vars[0], key, n->pipe->assigns);
        if (n->pipe->vars_count > 0)
            set_variable(r, n->pipe->vars[n->pipe->vars_count - 1], item, n->pipe->assigns);
        enum flow flow = run_list(r, n->list, &item);
        if (flow == FLOW_FAILED)
            return flow;
        if (flow == FLOW_BREAK)
            break;
    }
    r->vars_count = vars;
    return FLOW_ON;
}

// A definition sees the value that it is given, and no variables of who calls it.
static enum flow run_template(struct run *r, const struct node *n, const struct tval *dot)
{
    const struct definition *d = template_find(r->t, n->text);
    struct tval v = nothing();
    // The reference shows the action, not what was written of it.
    struct slice name = quoted(r, n->text), pipe = {0};
    if (n->pipe != NULL)
        pipe = slice_of(r->t->text.ptr + n->pipe->pos, n->pipe->end - n->pipe->pos);
    if (d == NULL || r->calls == CALLS_MAX) {
        int line;
        size_t column;
        place_of(r, n->pos, &line, &column);
        const char *why = d == NULL ? arena_printf(r->a, "template %.*s not defined", SLICE_FMT(name))
                                    : arena_printf(r->a, "exceeded maximum template depth (%d)", CALLS_MAX);
        r->details = slice_cstr(arena_printf(r->a, "template: %s:%d:%zu: executing %.*s at <{{template %.*s%s%.*s}}>: %s",
                                             r->t->name, line, column, SLICE_FMT(quoted(r, r->name)), SLICE_FMT(name),
                                             pipe.len > 0 ? " " : "", SLICE_FMT(pipe), why));
        return FLOW_FAILED;
    }
    if (n->pipe != NULL && !eval_pipe(r, n->pipe, dot, &v))
        return FLOW_FAILED;
    struct slice outer_name = r->name;
    struct tval outer_dollar = r->dollar;
    size_t first = r->vars_first, count = r->vars_count;
    r->name = d->name;
    r->dollar = v;
    r->vars_first = count;
    r->calls++;
    enum flow flow = run_list(r, d->list, &v);
    r->calls--;
    r->name = outer_name;
    r->dollar = outer_dollar;
    r->vars_first = first;
    r->vars_count = count;
    return flow;
}

static enum flow run_node(struct run *r, const struct node *n, const struct tval *dot)
{
    struct tval v;
    size_t vars = r->vars_count;
    enum flow flow = FLOW_ON;
    if (++r->steps > STEPS_MAX || r->out.bad) {
        (void)run_fail(r, n->pos, n->pos, SLICE("the result is too long"));
        return FLOW_FAILED;
    }
    switch (n->kind) {
    case NODE_TEXT:
        buf_put_slice(&r->out, n->text);
        return FLOW_ON;
    case NODE_BREAK:
        return FLOW_BREAK;
    case NODE_CONTINUE:
        return FLOW_CONTINUE;
    case NODE_RANGE:
        return run_range(r, n, dot);
    case NODE_TEMPLATE:
        return run_template(r, n, dot);
    case NODE_IF:
    case NODE_WITH:
        if (!eval_pipe(r, n->pipe, dot, &v))
            return FLOW_FAILED;
        flow = tval_is_true(&v) ? run_list(r, n->list, n->kind == NODE_WITH ? &v : dot)
                                : run_list(r, n->otherwise, dot);
        r->vars_count = vars;
        return flow;
    default:
        if (!eval_pipe(r, n, dot, &v))
            return FLOW_FAILED;
        if (n->vars_count > 0)
            return FLOW_ON;
        if (v.kind == T_NIL)
            buf_put_cstr(&r->out, "<no value>");
        else if (!(v.kind == T_MAP && v.i == 1))
            tval_print(&r->out, &v);
        return FLOW_ON;
    }
}

static enum flow run_list(struct run *r, const struct node *list, const struct tval *dot)
{
    enum flow flow = FLOW_ON;
    for (const struct node *n = list; n != NULL && flow == FLOW_ON; n = n->next)
        flow = run_node(r, n, dot);
    return flow;
}

bool template_run(const struct template *t, const struct line *l, struct slice *out,
                  struct slice *details_out)
{
    struct run r = {.t = t, .l = l, .a = l->scratch, .name = slice_cstr(t->name), .dollar = root()};
    struct tval dot = root();
    buf_init(&r.out, RESULT_BYTES_MAX);
    bool good = run_list(&r, t->list, &dot) != FLOW_FAILED;
    if (good)
        *out = r.out.len > 0 ? arena_copy(l->scratch, buf_slice(&r.out)) : SLICE("");
    else
        *details_out = r.details;
    buf_done(&r.out);
    return good;
}

// --- names ------------------------------------------------------------------------------------------

static void names_of(const struct node *n, void (*visit)(void *ctx, struct slice name), void *ctx)
{
    for (; n != NULL; n = n->next) {
        if ((n->kind == ARG_FIELD || n->kind == ARG_VAR) && n->fields_count > 0)
            visit(ctx, n->fields[0]);
        for (const struct command *c = n->commands; c != NULL; c = c->next)
            names_of(c->args, visit, ctx);
        names_of(n->pipe, visit, ctx);
        names_of(n->list, visit, ctx);
        names_of(n->otherwise, visit, ctx);
    }
}

void template_names(const struct template *t, void (*visit)(void *ctx, struct slice name), void *ctx)
{
    for (const struct definition *d = t->definitions; d != NULL; d = d->next)
        names_of(d->list, visit, ctx);
}
