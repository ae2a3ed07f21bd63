/* tql_metrics_parse.c -- what follows the last pipe of a metrics query: traceql.md 3 `metrics`, `secondStage`. */
#include "query/traceql/tql_parser.h"

static bool metric_fn(enum tql_token_kind kind, enum tql_metric_fn *out)
{
    switch (kind) {
    case TQL_RATE:                *out = TQL_M_RATE; return true;
    case TQL_COUNT_OVER_TIME:     *out = TQL_M_COUNT; return true;
    case TQL_MIN_OVER_TIME:       *out = TQL_M_MIN; return true;
    case TQL_MAX_OVER_TIME:       *out = TQL_M_MAX; return true;
    case TQL_AVG_OVER_TIME:       *out = TQL_M_AVG; return true;
    case TQL_SUM_OVER_TIME:       *out = TQL_M_SUM; return true;
    case TQL_QUANTILE_OVER_TIME:  *out = TQL_M_QUANTILE; return true;
    case TQL_HISTOGRAM_OVER_TIME: *out = TQL_M_HISTOGRAM; return true;
    case TQL_COMPARE:             *out = TQL_M_COMPARE; return true;
    default:                      return false;
    }
}

bool tql_at_metrics(const struct tql_parser *p)
{
    enum tql_metric_fn fn;
    return metric_fn(p->tok.kind, &fn);
}

// { "," num }, one at least
static bool quantiles(struct tql_parser *p, struct tql_metrics *m)
{
    size_t count = 0, room = 0;
    do {
        struct tql_value v;
        if (!tql_expect(p, TQL_COMMA))
            return false;
        if (p->tok.kind != TQL_INTEGER && p->tok.kind != TQL_FLOAT)
            return tql_unexpected(p, TQL_INTEGER, TQL_FLOAT);
        if (!arena_grow(p->a, (void **)&m->quantiles, sizeof *m->quantiles, count, &room))
            return tql_memory(p, NULL);
        if (!tql_static(p, &v))
            return false;
        m->quantiles[count++] = tql_number(v);
    } while (p->tok.kind == TQL_COMMA);
    m->quantiles_count = (uint32_t)count;
    return true;
}

static bool integer(struct tql_parser *p, int64_t *out)
{
    bool negative = p->tok.kind == TQL_SUB; // told by validation
    if (negative && !tql_advance(p))
        return false;
    if (p->tok.kind != TQL_INTEGER)
        return tql_unexpected(p, TQL_INTEGER, TQL_END);
    *out = negative ? -p->tok.integer : p->tok.integer;
    return tql_advance(p);
}

// spansetFilter [ "," INT [ "," INT "," INT ] ]
static bool compare(struct tql_parser *p, struct tql_metrics *m)
{
    if (p->tok.kind != TQL_OPEN_BRACE)
        return tql_unexpected(p, TQL_OPEN_BRACE, TQL_END);
    if (!tql_filter(p, &m->selection))
        return false;
    int64_t *const arguments[] = {&m->top, &m->start_ns, &m->end_ns};
    m->top = 10;
    while (m->arguments_count < COUNT_OF(arguments) && (p->tok.kind == TQL_COMMA || m->arguments_count == 2)) {
        if (!tql_expect(p, TQL_COMMA) || !integer(p, arguments[m->arguments_count]))
            return false;
        m->arguments_count++;
    }
    return true;
}

// ( "topk" | "bottomk" ) "(" INT ")", from behind the pipe; or cmp [ "-" ] number
static bool second_stage(struct tql_parser *p, struct tql_stage *stage)
{
    if (tql_comparison(p->tok.kind, &stage->op)) {
        stage->kind = TQL_STAGE_FILTER;
        return tql_advance(p) && tql_signed_number(p, &stage->value);
    }
    if (p->tok.kind != TQL_TOPK && p->tok.kind != TQL_BOTTOMK)
        return tql_unexpected(p, TQL_TOPK, TQL_BOTTOMK);
    stage->kind = p->tok.kind == TQL_TOPK ? TQL_STAGE_TOPK : TQL_STAGE_BOTTOMK;
    return tql_advance(p) && tql_expect(p, TQL_OPEN_PAREN) && integer(p, &stage->limit) && tql_expect(p, TQL_CLOSE_PAREN);
}

static bool second_stages(struct tql_parser *p)
{
    enum tql_op op;
    struct tql_stage **at = &p->query->stages;
    while (p->tok.kind == TQL_PIPE || tql_comparison(p->tok.kind, &op)) {
        struct tql_stage *stage = arena_zalloc(p->a, sizeof *stage);
        if (!tql_memory(p, stage))
            return false;
        if (p->tok.kind == TQL_PIPE) {
            if (!tql_advance(p))
                return false;
            if (tql_comparison(p->tok.kind, &op)) // takes no pipe
                return tql_unexpected(p, TQL_TOPK, TQL_BOTTOMK);
        }
        if (!second_stage(p, stage))
            return false;
        *at = stage;
        at = &stage->next;
    }
    return true;
}

bool tql_metrics_parse(struct tql_parser *p)
{
    struct tql_metrics *m = arena_zalloc(p->a, sizeof *m);
    if (!tql_memory(p, m))
        return false;
    (void)metric_fn(p->tok.kind, &m->fn);
    p->query->metrics = m;
    if (!tql_advance(p) || !tql_expect(p, TQL_OPEN_PAREN))
        return false;
    if (m->fn == TQL_M_COMPARE) {
        if (!compare(p, m))
            return false;
    } else if (m->fn != TQL_M_RATE && m->fn != TQL_M_COUNT) {
        if (!tql_attribute(p, &m->attr) || (m->fn == TQL_M_QUANTILE && !quantiles(p, m)))
            return false;
    }
    if (!tql_expect(p, TQL_CLOSE_PAREN))
        return false;
    if (p->tok.kind == TQL_BY && m->fn != TQL_M_COMPARE && (!tql_advance(p) || !tql_attributes(p, &m->by, &m->by_count)))
        return false;
    return second_stages(p);
}
