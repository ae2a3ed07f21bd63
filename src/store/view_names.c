/* view_names.c -- names and values of labels, over the days that a range touches (loki-http.md 9.1), and tenants. */
#include "store/store.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/slice_set.h"
#include "store/state.h"
#include "store/view.h"

#include <assert.h>
#include <stdlib.h>

static bool name_set_add(struct slice_set *set, struct slice name, struct err *err)
{
    return slice_set_add(set, name) != SIZE_MAX || arena_ok(set->arena, "label names", err);
}

static int by_bytes(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

struct naming {
    struct view *view;
    const struct tenant *tenant; // being looked at
    struct slice wanted; // label whose values are asked for; empty: names
    const struct label_matcher *matchers;
    size_t matchers_count;
    int64_t from_ns, to_ns; // whole days
    struct slice_set set;
    // While visiting.
    struct stream_ids ids;
    bool *active; // of each id
    struct head_run *head_runs;
    size_t head_runs_count, head_runs_room;
};

static bool add_labels(struct naming *n, struct slice labels, struct err *err)
{
    struct label label;
    for (struct labels_walk w = labels_walk(labels); labels_next(&w, &label);) {
        struct slice name = tenants_label_name(&n->view->tenants, label.name);
        if (n->wanted.len > 0 && !slice_eq(name, n->wanted))
            continue;
        if (!name_set_add(&n->set, n->wanted.len > 0 ? label.value : name, err))
            return false;
    }
    return true;
}

static bool visit_name(void *ctx, struct slice name, struct err *err)
{
    struct naming *n = ctx;
    return name_set_add(&n->set, n->wanted.len > 0 ? name : tenants_label_name(&n->view->tenants, name), err);
}

static bool visit_activity(void *ctx, size_t at, struct index_row row, struct err *err)
{
    struct naming *n = ctx;
    struct index_run run;
    bool bad = false;
    while (!n->active[at] && index_row_next(&row, &run, &bad))
        n->active[at] = run.max_ns >= n->from_ns && run.min_ns < n->to_ns;
    return !bad || err_set(err, ERR_CORRUPT, "index: broken row");
}

static bool name_matching_segments(struct naming *n, struct err *err)
{
    struct view *v = n->view;
    if (!index_select(&v->read, n->tenant->ns, n->matchers, n->matchers_count, n->set.arena, &n->ids, err))
        return false;
    n->active = arena_zalloc(n->set.arena, n->ids.count + 1);
    if (n->active == NULL)
        return arena_ok(n->set.arena, "streams of a selection", err);
    for (uint32_t i = 0; i < v->manifest->segments_count; i++) {
        const struct index_segment *row = &v->manifest->segments[i].row;
        if (view_segment_overlaps(row, n->from_ns, n->to_ns) &&
            !index_rows(&v->read, n->tenant->ns, row->gen, &n->ids, visit_activity, n, err))
            return false;
    }
    for (size_t i = 0; i < n->ids.count; i++) {
        struct slice labels;
        if (n->active[i] && (!index_labels(&v->read, n->tenant->ns, n->ids.ids[i], &labels, err) ||
                             !add_labels(n, labels, err)))
            return false;
    }
    return true;
}

static bool name_segments(struct naming *n, struct err *err)
{
    struct view *v = n->view;
    if (!n->tenant->known)
        return true;
    if (n->matchers_count > 0)
        return name_matching_segments(n, err);
    uint32_t day_from = index_day(n->from_ns), day_to = index_day(n->to_ns - 1);
    if (n->wanted.len > 0)
        return index_day_values(&v->read, n->tenant->ns, n->wanted, day_from, day_to, visit_name, n, err);
    return index_day_names(&v->read, n->tenant->ns, day_from, day_to, visit_name, n, err);
}

static bool keep_head_run(void *ctx, const struct head_run *run, struct err *err)
{
    struct naming *n = ctx;
    if (!arena_grow(n->set.arena, (void **)&n->head_runs, sizeof *n->head_runs, n->head_runs_count,
                    &n->head_runs_room))
        return arena_ok(n->set.arena, "streams of a head", err);
    n->head_runs[n->head_runs_count++] = *run;
    return true;
}

static bool name_head(struct naming *n, struct head *head, struct err *err)
{
    n->head_runs_count = 0;
    if (!head_select(head, n->tenant->name, n->matchers, n->matchers_count, keep_head_run, n,
                     err))
        return false;
    for (size_t i = 0; i < n->head_runs_count; i++)
        if (head_stream_active(head, n->head_runs[i].stream, n->from_ns, n->to_ns) &&
            !add_labels(n, n->head_runs[i].labels, err))
            return false;
    return true;
}

// The UTC days that a range touches; at the ends of time, what fits.
static void widen_to_days(struct naming *n)
{
    int64_t into_day = n->from_ns % NS_PER_DAY;
    into_day += into_day < 0 ? NS_PER_DAY : 0;
    if (n->from_ns >= INT64_MIN + into_day)
        n->from_ns -= into_day;
    int64_t left = n->to_ns % NS_PER_DAY;
    left = left == 0 ? 0 : left < 0 ? -left : NS_PER_DAY - left;
    n->to_ns = n->to_ns > INT64_MAX - left ? INT64_MAX : n->to_ns + left;
}

// Adds what one tenant has.
static bool name_tenant(struct naming *n, const struct tenant *tenant, struct err *err)
{
    n->tenant = tenant;
    if (tenants_many(&n->view->tenants) && slice_eq(n->wanted, TENANT_LABEL))
        return name_set_add(&n->set, tenant->name, err);
    if (tenants_many(&n->view->tenants) && n->wanted.len == 0 && !name_set_add(&n->set, TENANT_LABEL, err))
        return false;
    if (!name_segments(n, err))
        return false;
    struct manifest *m = n->view->manifest;
    for (uint32_t i = 0; i < m->heads_count; i++)
        if (!name_head(n, m->heads[i], err))
            return false;
    return true;
}

static bool name_all(struct naming *n, struct slice **items_out, size_t *count_out, struct err *err)
{
    assert(!n->view->settled);
    int64_t from_ns = INT64_MAX;
    for (uint32_t i = 0; i < n->view->tenants.count; i++) {
        int64_t alive_ns = view_not_expired(n->view, &n->view->tenants.items[i], n->from_ns);
        from_ns = alive_ns < from_ns ? alive_ns : from_ns;
    }
    n->from_ns = from_ns;
    if (n->from_ns < n->to_ns) {
        widen_to_days(n);
        const struct tenants *all = &n->view->tenants;
        struct tenant_matchers split;
        if (!tenants_split(all, n->matchers, n->matchers_count, n->set.arena, &split, err))
            return false;
        n->matchers = split.others;
        n->matchers_count = split.others_count;
        for (uint32_t i = 0; i < all->count; i++)
            if (tenants_match(all, i, &split) && !name_tenant(n, &all->items[i], err))
                return false;
        if (n->set.count > 0)
            qsort(n->set.items, n->set.count, sizeof *n->set.items, by_bytes);
    }
    *items_out = n->set.items;
    *count_out = n->set.count;
    return true;
}

bool view_label_names(struct view *v, const struct label_matcher *matchers, size_t count,
                      int64_t from_ns, int64_t to_ns, struct arena *a, struct slice **names_out,
                      size_t *names_count_out, struct err *err)
{
    struct naming n = {.view = v, .matchers = matchers, .matchers_count = count,
                       .from_ns = from_ns, .to_ns = to_ns, .set = {.arena = a}};
    return name_all(&n, names_out, names_count_out, err);
}

bool view_label_values(struct view *v, struct slice name, const struct label_matcher *matchers,
                       size_t count, int64_t from_ns, int64_t to_ns, struct arena *a,
                       struct slice **values_out, size_t *values_count_out, struct err *err)
{
    assert(name.len > 0);
    struct naming n = {.view = v, .wanted = name, .matchers = matchers, .matchers_count = count,
                       .from_ns = from_ns, .to_ns = to_ns, .set = {.arena = a}};
    return name_all(&n, values_out, values_count_out, err);
}

bool store_tenants(struct store *st, struct arena *a, struct slice **tenants_out,
                   size_t *tenants_count_out, struct err *err)
{
    AUTO(view_endp) struct view *v = NULL;
    if (!view_begin(st, SLICE(""), &v, err))
        return false;
    struct naming n = {.view = v, .set = {.arena = a}};
    struct slice *indexed;
    size_t indexed_count;
    if (!index_tenants(&v->read, a, &indexed, &indexed_count, err))
        return false;
    for (size_t i = 0; i < indexed_count; i++)
        if (!name_set_add(&n.set, indexed[i], err))
            return false;
    for (uint32_t i = 0; i < v->manifest->heads_count; i++)
        if (!head_tenants(v->manifest->heads[i], visit_name, &n, err))
            return false;
    if (n.set.count > 0)
        qsort(n.set.items, n.set.count, sizeof *n.set.items, by_bytes);
    *tenants_out = n.set.items;
    *tenants_count_out = n.set.count;
    return true;
}
