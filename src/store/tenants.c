/* tenants.c -- see tenants.h. */
#include "store/tenants.h"

#include <assert.h>
#include <stdlib.h>

#define ORIGINAL_LABEL SLICE("original___tenant_id__")

// --- names
// ------------------------------------------------------------------------------------------

static bool add_name(struct tenants *t, struct slice name, struct err *err)
{
    uint32_t at = 0;
    while (at < t->count && slice_cmp(t->items[at].name, name) < 0)
        at++;
    if (at < t->count && slice_eq(t->items[at].name, name))
        return true;
    if (t->count == QUERY_TENANTS_MAX)
        return err_set(err, ERR_INPUT, "more than %d org IDs in one query", QUERY_TENANTS_MAX);
    memmove(&t->items[at + 1], &t->items[at], (t->count - at) * sizeof t->items[0]);
    t->items[at] = (struct tenant){.name = name};
    t->count++;
    return true;
}

bool tenants_read(struct slice text, struct tenants *out, struct err *err)
{
    struct tenants t = {.text = malloc(text.len + 1)};
    assert(t.text != NULL);
    if (text.len > 0)
        memcpy(t.text, text.ptr, text.len);
    bool good = true;
    for (struct slice rest = slice_of(t.text, text.len), name; good && slice_next(&rest, '|', &name);)
        good = add_name(&t, name, err);
    if (!good)
        tenants_done(&t);
    *out = t;
    return good;
}

void tenants_done(struct tenants *t)
{
    free(t->text);
    *t = (struct tenants){0};
}

// --- matchers
// ---------------------------------------------------------------------------------------

bool tenants_split(const struct tenants *t, const struct label_matcher *matchers, size_t count,
                   struct arena *a, struct tenant_matchers *out, struct err *err)
{
    *out = (struct tenant_matchers){matchers, matchers, count, count};
    if (!tenants_many(t) || count == 0)
        return true;
    struct label_matcher *others = arena_array(a, count, sizeof *others);
    if (others == NULL)
        return arena_ok(a, "matchers", err);
    out->others = others;
    out->others_count = 0;
    for (size_t i = 0; i < count; i++)
        if (!slice_eq(matchers[i].name, TENANT_LABEL))
            others[out->others_count++] = matchers[i];
    return out->others_count > 0 ||
           err_set(
               err, ERR_INPUT,
               "parse error : queries require at least one matcher besides those of __tenant_id__");
}

bool tenants_match(const struct tenants *t, uint32_t number, const struct tenant_matchers *matchers)
{
    for (size_t i = 0; tenants_many(t) && i < matchers->all_count; i++)
        if (slice_eq(matchers->all[i].name, TENANT_LABEL) &&
            !label_matcher_test(&matchers->all[i], t->items[number].name))
            return false;
    return true;
}

// --- labels
// -----------------------------------------------------------------------------------------

struct slice tenants_label_name(const struct tenants *t, struct slice name)
{
    return tenants_many(t) && slice_eq(name, TENANT_LABEL) ? ORIGINAL_LABEL : name;
}

struct slice tenants_labels(const struct tenants *t, uint32_t number, struct slice encoded,
                            struct arena *a)
{
    if (!tenants_many(t))
        return encoded;
    struct label label;
    struct labels_walk w = labels_walk(encoded);
    struct labels l = {arena_array(a, (size_t)w.left + 1, sizeof *l.items), 0};
    if (l.items == NULL)
        return (struct slice){0};
    while (labels_next(&w, &label))
        if (!slice_eq(label.name, ORIGINAL_LABEL) || labels_find(encoded, TENANT_LABEL).len == 0)
            l.items[l.count++] = (struct label){tenants_label_name(t, label.name), label.value};
    l.items[l.count++] = (struct label){TENANT_LABEL, t->items[number].name};
    struct slice twice = labels_canon(&l);
    assert(twice.len == 0);
    return labels_encoded(&l, a);
}
