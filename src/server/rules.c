/* rules.c -- see rules.h. */
#include "server/rules.h"

#include "base/arena.h"
#include "base/limits.h"
#include "query/query.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct rules {
    struct arena arena;
    struct retention_rule items[RETENTION_RULES_MAX];
    struct query_selector selectors[RETENTION_RULES_MAX]; // own the regexes
    size_t count;
};

struct rules *rules_new(void)
{
    struct rules *r = calloc(1, sizeof *r);
    assert(r != NULL);
    arena_init(&r->arena, 64 * MIB);
    return r;
}

void rules_free(struct rules *r)
{
    if (r == NULL)
        return;
    for (size_t i = 0; i < r->count; i++)
        query_selector_done(&r->selectors[i]);
    arena_done(&r->arena);
    free(r);
}

static struct slice trim(struct slice s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = slice_from(s, 1);
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

// Cuts `[TENANT] SELECTOR: DURATION` in three. Braces may stand in values: the selector ends at the last one.
static bool cut(struct slice text, struct slice *tenant, struct slice *selector, struct slice *period)
{
    size_t open = slice_find(text, SLICE("{")), close = text.len;
    while (close > 0 && text.ptr[close - 1] != '}')
        close--;
    if (open == SIZE_MAX || close <= open)
        return false;
    *tenant = trim(slice_of(text.ptr, open));
    *selector = slice_of(text.ptr + open, close - open);
    struct slice rest = trim(slice_from(text, close));
    if (rest.len == 0 || rest.ptr[0] != ':')
        return false;
    *period = trim(slice_from(rest, 1));
    return period->len > 0;
}

bool rules_add(struct rules *r, const char *text, struct err *err)
{
    struct err why;
    struct slice tenant, selector, period, whole = arena_copy(&r->arena, slice_cstr(text));
    struct retention_rule rule = {.text = arena_printf(&r->arena, "%s", text)};
    if (r->count == RETENTION_RULES_MAX)
        return err_set(err, ERR_INPUT, "more than %d rules", RETENTION_RULES_MAX);
    if (!cut(whole, &tenant, &selector, &period))
        return err_set(err, ERR_INPUT, "`%s` is no rule (try `{env=\"dev\"}: 24h`, or `TENANT {}: 90d`)", text);
    if (tenant.len > TENANT_BYTES_MAX)
        return err_set(err, ERR_INPUT, "`%s`: a tenant of %zu bytes", text, tenant.len);
    if (!query_parse_duration(period, &rule.period_ns, &why))
        return err_set(err, ERR_INPUT, "`%s`: `%.*s` is no duration (try 14d or 24h)", text, SLICE_FMT(period));
    if (!query_selector_parse(selector, true, &r->arena, &r->selectors[r->count], &why))
        return err_set(err, ERR_INPUT, "`%s`: %s", text, why.text);
    rule.tenant = tenant;
    rule.matchers = r->selectors[r->count].matchers;
    rule.matchers_count = r->selectors[r->count].matchers_count;
    r->items[r->count++] = rule;
    return arena_ok(&r->arena, "retention rules", err);
}

const struct retention_rule *rules_items(const struct rules *r, size_t *count_out)
{
    *count_out = r->count;
    return r->items;
}
