/* line.c -- see line.h. */
#include "query/pipeline/line.h"

#include <stdlib.h>

#define EXTRACTED SLICE("_extracted")

static bool has_label(struct slice encoded, struct slice name)
{
    return labels_find(encoded, name).len > 0;
}

static bool find_pair(struct slice encoded, struct slice name, struct slice *value_out)
{
    struct label l;
    for (struct labels_walk w = labels_walk(encoded); labels_next(&w, &l);)
        if (slice_eq(l.name, name)) {
            *value_out = l.value;
            return true;
        }
    return false;
}

struct slice line_label(const struct line *l, struct slice name, bool *found_out)
{
    struct slice value = {0};
    *found_out = true;
    if (slice_eq(name, SLICE("__error__"))) {
        *found_out = l->error.len > 0;
        return l->error;
    }
    if (has_label(l->stream, name))
        return labels_find(l->stream, name);
    if (find_pair(l->metadata, name, &value))
        return value;
    if (name.len > EXTRACTED.len &&
        slice_eq(slice_from(name, name.len - EXTRACTED.len), EXTRACTED)) {
        struct slice plain = slice_of(name.ptr, name.len - EXTRACTED.len);
        if (has_label(l->stream, plain) && find_pair(l->metadata, plain, &value))
            return value;
    }
    *found_out = false;
    return value;
}

// --- sets -------------------------------------------------------------------------------------------

static int by_name(const void *a, const void *b)
{
    return slice_cmp(((const struct label *)a)->name, ((const struct label *)b)->name);
}

static struct slice encode(struct label *pairs, size_t count, struct arena *a)
{
    if (count > 1)
        qsort(pairs, count, sizeof *pairs, by_name);
    struct labels set = {pairs, (uint32_t)count};
    size_t bytes = labels_encoded_bytes(&set);
    uint8_t *to = arena_alloc(a, bytes);
    if (to == NULL)
        return (struct slice){0};
    labels_encode_at(to, &set);
    return slice_of(to, bytes);
}

// Visible metadata pairs, appended at pairs[count]; SIZE_MAX when the arena is full.
static size_t add_metadata(const struct line *l, struct label *pairs, size_t count, struct arena *a)
{
    struct label pair;
    for (struct labels_walk w = labels_walk(l->metadata); labels_next(&w, &pair);) {
        if (has_label(l->stream, pair.name)) {
            const char *renamed = arena_printf(a, "%.*s_extracted", SLICE_FMT(pair.name));
            if (renamed[0] == '\0')
                return SIZE_MAX;
            pair.name = slice_cstr(renamed);
        }
        pairs[count++] = pair;
    }
    return count;
}

static size_t add_parsed(const struct line *l, struct label *pairs, size_t count)
{
    if (l->error.len > 0)
        pairs[count++] = (struct label){SLICE("__error__"), l->error};
    if (l->error_details.len > 0)
        pairs[count++] = (struct label){SLICE("__error_details__"), l->error_details};
    return count;
}

static size_t pairs_max(const struct line *l)
{
    return labels_walk(l->stream).left + labels_walk(l->metadata).left + 2;
}

struct slice line_metadata(const struct line *l, struct arena *a)
{
    struct label *pairs = arena_array(a, pairs_max(l), sizeof *pairs);
    size_t count = pairs == NULL ? SIZE_MAX : add_metadata(l, pairs, 0, a);
    return count == SIZE_MAX ? (struct slice){0} : encode(pairs, count, a);
}

struct slice line_parsed(const struct line *l, struct arena *a)
{
    struct label pairs[2];
    return encode(pairs, add_parsed(l, pairs, 0), a);
}

// Every visible pair, unsorted; NULL when the arena is full.
static struct label *all_pairs(const struct line *l, size_t *count_out, struct arena *a)
{
    struct label *pairs = arena_array(a, pairs_max(l), sizeof *pairs);
    if (pairs == NULL)
        return NULL;
    size_t count = 0;
    for (struct labels_walk w = labels_walk(l->stream); labels_next(&w, &pairs[count]);)
        count++;
    count = add_metadata(l, pairs, count, a);
    if (count == SIZE_MAX)
        return NULL;
    *count_out = add_parsed(l, pairs, count);
    return pairs;
}

struct slice line_labels(const struct line *l, struct arena *a)
{
    size_t count;
    struct label *pairs = all_pairs(l, &count, a);
    return pairs == NULL ? (struct slice){0} : encode(pairs, count, a);
}

struct slice line_grouped(const struct line *l, const struct slice *names, size_t names_count,
                          bool without, struct arena *a)
{
    size_t count, kept = 0;
    struct label *pairs = all_pairs(l, &count, a);
    if (pairs == NULL)
        return (struct slice){0};
    for (size_t i = 0; i < count; i++) {
        bool named = false;
        for (size_t n = 0; n < names_count && !named; n++)
            named = slice_eq(pairs[i].name, names[n]);
        if (named != without)
            pairs[kept++] = pairs[i];
    }
    return encode(pairs, kept, a);
}
