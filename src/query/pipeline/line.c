/* line.c -- see line.h. */
#include "query/pipeline/line.h"

#include "base/hash.h"

#include <assert.h>
#include <stdlib.h>

#define EXTRACTED SLICE("_extracted")

void line_space_done(struct line_space *space)
{
    free(space->items);
    free(space->slots);
    free(space->dropped);
    *space = (struct line_space){0};
}

void line_space_forget(struct line_space *space)
{
    space->metadata = (struct slice){0};
}

// One of 64 bits, by what is at hand of a name.
static uint64_t name_bit(struct slice name)
{
    return name.len == 0 ? 1 : UINT64_C(1) << ((name.len * 5 + name.ptr[0] + name.ptr[name.len - 1] * 3U) & 63);
}

uint64_t line_names(struct slice stream)
{
    uint64_t bits = 0;
    struct label pair;
    for (struct labels_walk w = labels_walk(stream); labels_next(&w, &pair);)
        bits |= name_bit(pair.name);
    return bits;
}

// Whether it is a label of the stream.
static bool has_label(const struct line *l, struct slice name)
{
    return (l->stream_names == 0 || (l->stream_names & name_bit(name)) != 0) && labels_find(l->stream, name).len > 0;
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

static struct slice extracted_name(struct slice name, struct arena *a)
{
    uint8_t *to = arena_alloc(a, name.len + EXTRACTED.len);
    if (to == NULL)
        return name;
    memcpy(to, name.ptr, name.len);
    memcpy(to + name.len, EXTRACTED.ptr, EXTRACTED.len);
    return slice_of(to, name.len + EXTRACTED.len);
}

// --- opened lines -----------------------------------------------------------------------------------

static void *grown(void *items, size_t *room, size_t item_bytes)
{
    *room = *room == 0 ? 32 : *room * 2;
    items = realloc(items, *room * item_bytes);
    assert(items != NULL);
    return items;
}

// Lines mostly have few labels, and looking at each is the fastest; a line of thousands must not take their square.
enum { INDEX_FROM = 32 };

static void put_slot(struct line_space *s, size_t number)
{
    size_t at = hash64(s->items[number].name) & (s->slots_room - 1);
    while (s->slots[at] != 0)
        at = (at + 1) & (s->slots_room - 1);
    s->slots[at] = (uint32_t)number + 1;
}

// At most half full.
static void index_items(struct line_space *s)
{
    if (s->slots_room < s->room * 2) {
        free(s->slots);
        s->slots_room = s->room * 2;
        s->slots = malloc(s->slots_room * sizeof *s->slots);
        assert(s->slots != NULL);
    }
    memset(s->slots, 0, s->slots_room * sizeof *s->slots);
    for (size_t i = 0; i < s->count; i++)
        put_slot(s, i);
    s->indexed = true;
}

static struct line_item *find_item(const struct line *l, struct slice name)
{
    const struct line_space *s = l->space;
    if (s->indexed) {
        for (size_t at = hash64(name) & (s->slots_room - 1); s->slots[at] != 0; at = (at + 1) & (s->slots_room - 1))
            if (slice_eq(s->items[s->slots[at] - 1].name, name))
                return &s->items[s->slots[at] - 1];
        return NULL;
    }
    for (size_t i = 0; i < s->count; i++)
        if (slice_eq(s->items[i].name, name))
            return &s->items[i];
    return NULL;
}

static void add_item(struct line *l, struct slice name, struct slice value, bool parsed)
{
    struct line_space *s = l->space;
    bool full = s->count == s->room;
    if (full)
        s->items = grown(s->items, &s->room, sizeof *s->items);
    s->items[s->count++] = (struct line_item){name, value, parsed, true};
    if (s->indexed && !full)
        put_slot(s, s->count - 1);
    else if (s->indexed || s->count == INDEX_FROM)
        index_items(s);
}

static void open_line(struct line *l)
{
    if (l->opened)
        return;
    assert(l->space != NULL);
    struct line_space *s = l->space;
    l->opened = true;
    s->dropped_count = 0;
    s->indexed = false;
    if (s->metadata.ptr != NULL && s->metadata.ptr == l->metadata.ptr && s->metadata.len == l->metadata.len) {
        s->count = s->metadata_count;
        return;
    }
    bool same = true;
    struct label pair;
    s->count = 0;
    for (struct labels_walk w = labels_walk(l->metadata); labels_next(&w, &pair);) {
        bool taken = has_label(l, pair.name);
        same = same && !taken;
        if (slice_eq(pair.name, SLICE("__error__")))
            l->error = pair.value, same = false;
        else if (slice_eq(pair.name, SLICE("__error_details__")))
            l->error_details = pair.value, same = false;
        else
            add_item(l, taken ? extracted_name(pair.name, l->scratch) : pair.name, pair.value, false);
    }
    s->metadata = same && !s->indexed ? l->metadata : (struct slice){0};
    s->metadata_count = s->count;
}

// Writes over an item.
static void set_item(struct line *l, struct line_item *item, struct line_item value)
{
    *item = value;
    if ((size_t)(item - l->space->items) < l->space->metadata_count)
        line_space_forget(l->space);
}

static bool is_dropped(const struct line *l, struct slice name)
{
    for (size_t i = 0; i < l->space->dropped_count; i++)
        if (slice_eq(l->space->dropped[i], name))
            return true;
    return false;
}

static struct slice opened_label(const struct line *l, struct slice name, bool *found_out)
{
    const struct line_item *item = find_item(l, name);
    *found_out = true;
    if (item != NULL && item->present)
        return item->value;
    struct slice value = is_dropped(l, name) ? (struct slice){0} : labels_find(l->stream, name);
    *found_out = value.len > 0;
    return value;
}

struct slice line_label(const struct line *l, struct slice name, bool *found_out)
{
    struct slice value = {0};
    *found_out = true;
    if (slice_eq(name, SLICE("__error__"))) {
        *found_out = l->error.len > 0;
        return l->error;
    }
    if (l->opened)
        return opened_label(l, name, found_out);
    if (has_label(l, name))
        return labels_find(l->stream, name);
    if (find_pair(l->metadata, name, &value))
        return value;
    if (name.len > EXTRACTED.len &&
        slice_eq(slice_from(name, name.len - EXTRACTED.len), EXTRACTED)) {
        struct slice plain = slice_of(name.ptr, name.len - EXTRACTED.len);
        if (has_label(l, plain) && find_pair(l->metadata, plain, &value))
            return value;
    }
    *found_out = false;
    return value;
}

void line_fail(struct line *l, const char *error, const char *details)
{
    l->error = slice_cstr(error);
    l->error_details = arena_copy(l->scratch, slice_cstr(details));
}

void line_parse_label(struct line *l, struct slice name, struct slice value, bool again)
{
    open_line(l);
    struct line_item *item = find_item(l, name);
    if (has_label(l, name) || (item != NULL && !item->parsed && item->present)) {
        name = extracted_name(name, l->scratch);
        item = find_item(l, name);
    }
    if (item == NULL)
        add_item(l, name, value, true);
    else if (!item->parsed || again)
        set_item(l, item, (struct line_item){name, value, true, true});
}

void line_set_label(struct line *l, struct slice name, struct slice value)
{
    open_line(l);
    struct line_item *item = find_item(l, name);
    if (item == NULL)
        add_item(l, name, value, true);
    else
        set_item(l, item, (struct line_item){name, value, true, true});
}

void line_drop_label(struct line *l, struct slice name)
{
    open_line(l);
    struct line_item *item = find_item(l, name);
    if (slice_eq(name, SLICE("__error__")))
        l->error = (struct slice){0};
    if (slice_eq(name, SLICE("__error_details__")))
        l->error_details = (struct slice){0};
    if (item != NULL)
        set_item(l, item, (struct line_item){item->name, item->value, item->parsed, false});
    if (has_label(l, name) && !is_dropped(l, name)) {
        struct line_space *s = l->space;
        if (s->dropped_count == s->dropped_room)
            s->dropped = grown(s->dropped, &s->dropped_room, sizeof *s->dropped);
        s->dropped[s->dropped_count++] = name;
    }
}

void line_keep_labels(struct line *l, bool (*keep)(const void *ctx, struct slice name, struct slice value),
                      const void *ctx)
{
    open_line(l);
    struct label pair;
    for (struct labels_walk w = labels_walk(l->stream); labels_next(&w, &pair);) {
        bool found;
        struct slice value = line_label(l, pair.name, &found);
        if (found && !keep(ctx, pair.name, value))
            line_drop_label(l, pair.name);
    }
    for (size_t i = 0; i < l->space->count; i++) {
        struct line_item *item = &l->space->items[i];
        if (item->present && !keep(ctx, item->name, item->value))
            set_item(l, item, (struct line_item){item->name, item->value, item->parsed, false});
    }
}

// --- sets -------------------------------------------------------------------------------------------

static int by_name(const void *a, const void *b)
{
    return slice_cmp(((const struct label *)a)->name, ((const struct label *)b)->name);
}

static struct slice encode(struct label *pairs, size_t count, struct arena *a)
{
    bool sorted = true;
    for (size_t i = 1; i < count && sorted; i++)
        sorted = slice_cmp(pairs[i - 1].name, pairs[i].name) < 0;
    if (!sorted)
        qsort(pairs, count, sizeof *pairs, by_name);
    struct labels set = {pairs, (uint32_t)count};
    return labels_encoded(&set, a);
}

static size_t add_stream(const struct line *l, struct label *pairs, size_t count)
{
    for (struct labels_walk w = labels_walk(l->stream); labels_next(&w, &pairs[count]);) {
        const struct line_item *item = l->opened ? find_item(l, pairs[count].name) : NULL;
        if ((item == NULL || !item->present) && !(l->opened && is_dropped(l, pairs[count].name)))
            count++;
    }
    return count;
}

static size_t add_items(const struct line *l, struct label *pairs, size_t count, bool parsed)
{
    for (size_t i = 0; i < l->space->count; i++) {
        const struct line_item *item = &l->space->items[i];
        if (item->present && item->parsed == parsed)
            pairs[count++] = (struct label){item->name, item->value};
    }
    return count;
}

static size_t add_metadata(const struct line *l, struct label *pairs, size_t count, struct arena *a)
{
    if (l->opened)
        return add_items(l, pairs, count, false);
    struct label pair;
    for (struct labels_walk w = labels_walk(l->metadata); labels_next(&w, &pair);) {
        if (has_label(l, pair.name))
            pair.name = extracted_name(pair.name, a);
        pairs[count++] = pair;
    }
    return count;
}

static size_t add_parsed(const struct line *l, struct label *pairs, size_t count)
{
    if (l->opened)
        count = add_items(l, pairs, count, true);
    if (l->error.len > 0)
        pairs[count++] = (struct label){SLICE("__error__"), l->error};
    if (l->error_details.len > 0)
        pairs[count++] = (struct label){SLICE("__error_details__"), l->error_details};
    if (l->preserve_error)
        pairs[count++] = (struct label){SLICE("__preserve_error__"), SLICE("true")};
    return count;
}

// Room for every pair there can be.
static struct label *new_pairs(const struct line *l, struct arena *a)
{
    size_t most = labels_walk(l->stream).left + labels_walk(l->metadata).left + 4 +
                  (l->opened ? l->space->count : 0);
    return arena_array(a, most, sizeof(struct label));
}

struct slice line_stream(const struct line *l, struct arena *a)
{
    if (!l->opened)
        return l->stream;
    struct label *pairs = new_pairs(l, a);
    return pairs == NULL ? (struct slice){0} : encode(pairs, add_stream(l, pairs, 0), a);
}

struct slice line_metadata(const struct line *l, struct arena *a)
{
    struct label *pairs = new_pairs(l, a);
    return pairs == NULL ? (struct slice){0} : encode(pairs, add_metadata(l, pairs, 0, a), a);
}

struct slice line_parsed(const struct line *l, struct arena *a)
{
    struct label *pairs = new_pairs(l, a);
    return pairs == NULL ? (struct slice){0} : encode(pairs, add_parsed(l, pairs, 0), a);
}

// Every visible pair, unsorted; NULL when the arena is full.
static struct label *all_pairs(const struct line *l, size_t *count_out, struct arena *a)
{
    struct label *pairs = new_pairs(l, a);
    if (pairs != NULL)
        *count_out = add_parsed(l, pairs, add_metadata(l, pairs, add_stream(l, pairs, 0), a));
    return pairs;
}

struct slice line_labels(const struct line *l, struct arena *a)
{
    size_t count;
    struct label *pairs = all_pairs(l, &count, a);
    return pairs == NULL ? (struct slice){0} : encode(pairs, count, a);
}

// Few of many labels: looked up one by one.
static struct slice line_named(const struct line *l, const struct slice *names, size_t names_count,
                               struct arena *a)
{
    struct label *pairs = arena_array(a, names_count + 1, sizeof *pairs);
    size_t count = 0;
    for (size_t n = 0; n < names_count && pairs != NULL; n++) {
        bool found, twice = false;
        struct slice value = line_label(l, names[n], &found);
        for (size_t i = 0; i < count && !twice; i++)
            twice = slice_eq(pairs[i].name, names[n]);
        if (found && !twice)
            pairs[count++] = (struct label){names[n], value};
    }
    return pairs == NULL ? (struct slice){0} : encode(pairs, count, a);
}

struct slice line_grouped(const struct line *l, const struct slice *names, size_t names_count,
                          bool without, struct arena *a)
{
    size_t count, kept = 0;
    if (!without && l->error.len == 0 && l->error_details.len == 0 && !l->preserve_error)
        return line_named(l, names, names_count, a);
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
