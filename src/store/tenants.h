/*
 * tenants.h -- the tenants that a view spans, and the label that tells them apart:
 * loki-http.md 2.1.
 *
 * With several tenants every stream gets `__tenant_id__`; a label of that name that it had is
 * called `original___tenant_id__`. With one, nothing is added and the name is an ordinary one.
 */
#pragma once

#include "base/labels.h"
#include "base/limits.h"

struct tenant {
    struct slice name; // owned by struct tenants
    bool known;        // the index has it, as `ns`
    uint32_t ns;
};

struct tenants {
    struct tenant items[QUERY_TENANTS_MAX]; // sorted
    uint32_t count;
    char *text; // owned
};

// Names separated by `|`, in any order and with repeats. ERR_INPUT above QUERY_TENANTS_MAX.
MUST_CHECK bool tenants_read(struct slice text, struct tenants *out, struct err *err);
void tenants_done(struct tenants *t);

static inline bool tenants_many(const struct tenants *t)
{
    return t->count > 1;
}

// Matchers of a selector without those of `__tenant_id__`, which are for tenants_match(). In `a`;
// the same ones for a single tenant. ERR_INPUT when nothing else is left.
struct tenant_matchers {
    const struct label_matcher *all, *others;
    size_t all_count, others_count;
};
MUST_CHECK bool tenants_split(const struct tenants *t, const struct label_matcher *matchers,
                              size_t count, struct arena *a, struct tenant_matchers *out,
                              struct err *err);
// Whether the matchers let the tenant in.
bool tenants_match(const struct tenants *t, uint32_t number,
                   const struct tenant_matchers *matchers);

#define TENANT_LABEL SLICE("__tenant_id__")

// Name under which a stream's label shows.
struct slice tenants_label_name(const struct tenants *t, struct slice name);
// Encoded labels of a stream of that tenant, in `a` where they change; ptr NULL when it is full.
struct slice tenants_labels(const struct tenants *t, uint32_t number, struct slice encoded,
                            struct arena *a);
