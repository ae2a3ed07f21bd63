/* retention.c -- see retention.h. */
#include "store/retention.h"

static bool is_for(const struct retention_rule *rule, struct slice tenant)
{
    return rule->tenant.len == 0 || slice_eq(rule->tenant, tenant);
}

int64_t retention_period(const struct retention *r, struct slice tenant, struct slice labels,
                         const struct retention_rule **rule_out)
{
    const struct retention_rule *found = NULL;
    for (size_t i = 0; i < r->rules_count && found == NULL; i++)
        if (is_for(&r->rules[i], tenant) &&
            label_matchers_test(r->rules[i].matchers, r->rules[i].matchers_count, labels))
            found = &r->rules[i];
    if (rule_out != NULL)
        *rule_out = found;
    return found != NULL ? found->period_ns : r->period_ns;
}

struct retention_bounds retention_bounds(const struct retention *r, struct slice tenant)
{
    struct retention_bounds b = {r->period_ns, r->period_ns};
    for (size_t i = 0; i < r->rules_count; i++) {
        int64_t period_ns = r->rules[i].period_ns;
        if (tenant.len > 0 && !is_for(&r->rules[i], tenant))
            continue;
        if (b.longest_ns != 0 && (period_ns == 0 || period_ns > b.longest_ns))
            b.longest_ns = period_ns;
        if (period_ns != 0 && (b.shortest_ns == 0 || period_ns < b.shortest_ns))
            b.shortest_ns = period_ns;
    }
    return b;
}

int64_t retention_horizon(int64_t period_ns, int64_t now_ns)
{
    int64_t horizon_ns;
    if (period_ns <= 0 || __builtin_sub_overflow(now_ns, period_ns, &horizon_ns))
        return INT64_MIN;
    return horizon_ns;
}

int64_t retention_span_horizon(const struct retention *r, struct slice tenant, struct slice service, int64_t now_ns)
{
    struct label label = {SLICE("service_name"), service.len > 0 ? service : SLICE("unknown_service")};
    struct labels labels = {&label, 1};
    AUTO(buf_done) struct buf encoded;
    buf_init(&encoded, 0);
    labels_encode(&encoded, &labels);
    return retention_horizon(retention_period(r, tenant, buf_slice(&encoded), NULL), now_ns);
}
