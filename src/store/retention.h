/*
 * retention.h -- how long entries are kept: a default, and rules for streams.
 *
 * The first rule that a stream satisfies decides, in the order given; streams of no rule are kept for the
 * default period. An entry has expired when it is older than its stream's period: time < now - period. What has
 * expired is not answered any more; when it leaves the disk is the keeper's business (retain.c, compact.c).
 */
#pragma once

#include "base/labels.h"
#include "base/slice.h"

struct retention_rule {
    struct slice tenant;                  // empty: of every tenant
    const struct label_matcher *matchers; // all must hold; none: every stream of the tenant
    size_t matchers_count;
    int64_t period_ns; // 0: for ever
    const char *text;  // for people
};

// Borrowed by the store for its whole life.
struct retention {
    int64_t period_ns; // of streams without a rule; 0: for ever
    const struct retention_rule *rules;
    size_t rules_count;
};

// The period of a stream; *rule_out (may be NULL) is the rule that decided, NULL: the default.
int64_t retention_period(const struct retention *r, struct slice tenant, struct slice labels,
                         const struct retention_rule **rule_out);

// The least and the greatest period that any stream of the tenant may have (tenant empty: of any tenant).
struct retention_bounds {
    int64_t shortest_ns; // 0: nothing ever expires
    int64_t longest_ns;  // 0: something is kept for ever
};
struct retention_bounds retention_bounds(const struct retention *r, struct slice tenant);

// Entries before the result have expired. INT64_MIN when they never do.
int64_t retention_horizon(int64_t period_ns, int64_t now_ns);
// The same of spans of a service (empty: unknown), by their start: they are of the stream {service_name="..."}.
int64_t retention_span_horizon(const struct retention *r, struct slice tenant, struct slice service, int64_t now_ns);
