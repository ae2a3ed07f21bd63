/* traces.c -- see traces.h. Bytes: docs/format.md "Index". */
#include "index/traces.h"

#include "base/codec.h"
#include "index/keys.h"
#include "index/prefix_page.h"

#include <assert.h>
#include <stdlib.h>

// --- rows -------------------------------------------------------------------------------------------

struct component {
    uint32_t id;
    uint64_t entries;
    uint64_t gone; // of them, of generations that went
};

// A namespace's components, by id.
struct component_list {
    struct component *items; // owned
    size_t count;
};

// What a component's entries are of, by number.
struct members {
    struct member {
        uint64_t gen; // 0: it went
        uint64_t entries;
    } *items; // owned
    size_t count;
};

static void component_list_done(struct component_list *l)
{
    free(l->items);
}

static void members_done(struct members *m)
{
    free(m->items);
}

static uint32_t prefix_of(uint64_t hash)
{
    return (uint32_t)(hash >> 32);
}

static struct slice key_of_list(struct key *k, uint32_t ns)
{
    key_start(k);
    key_u32(k, ns);
    return key_slice(k);
}

static struct slice key_of_component(struct key *k, uint32_t ns, uint32_t component)
{
    (void)key_of_list(k, ns);
    key_u32(k, component);
    return key_slice(k);
}

static struct slice key_of_page(struct key *k, uint32_t ns, uint32_t component, uint32_t last, uint32_t page)
{
    (void)key_of_component(k, ns, component);
    key_u32(k, last);
    key_u32(k, page);
    return key_slice(k);
}

static bool rd_component(struct rd *r, struct component *out)
{
    out->id = (uint32_t)rd_varint_max(r, UINT32_MAX);
    out->entries = rd_varint(r);
    out->gone = rd_varint_max(r, out->entries);
    return !r->bad;
}

static struct component_list get_list(struct kv_txn *txn, uint32_t ns)
{
    struct component_list l = {0};
    struct key k;
    struct slice row;
    if (!kv_get(txn, KV_TRACES, key_of_list(&k, ns), &row))
        row = (struct slice){0};
    l.items = calloc(row.len + 1, sizeof *l.items); // a component takes more than a byte
    assert(l.items != NULL);
    struct rd r = rd_of(row);
    while (rd_left(&r) > 0 && rd_component(&r, &l.items[l.count]))
        l.count++;
    if (r.bad)
        kv_broken(txn, "traces");
    return l;
}

static void put_list(struct kv_txn *txn, uint32_t ns, const struct component_list *l)
{
    struct key k;
    AUTO(buf_done) struct buf row;
    buf_init(&row, 0);
    for (size_t i = 0; i < l->count; i++) {
        put_varint(&row, l->items[i].id);
        put_varint(&row, l->items[i].entries);
        put_varint(&row, l->items[i].gone);
    }
    if (l->count > 0)
        kv_put(txn, KV_TRACES, key_of_list(&k, ns), buf_slice(&row));
    else
        kv_del(txn, KV_TRACES, key_of_list(&k, ns));
}

static void list_add(struct component_list *l, const struct component *component)
{
    l->items = realloc(l->items, (l->count + 1) * sizeof *l->items);
    assert(l->items != NULL);
    l->items[l->count++] = *component;
}

static void list_remove(struct component_list *l, size_t at)
{
    memmove(&l->items[at], &l->items[at + 1], (--l->count - at) * sizeof *l->items);
}

static uint32_t next_id(const struct component_list *l)
{
    return l->count == 0 ? 1 : l->items[l->count - 1].id + 1;
}

static struct members get_members(struct kv_txn *txn, uint32_t ns, uint32_t component)
{
    struct members m = {0};
    struct key k;
    struct slice row;
    if (!kv_get(txn, KV_TRACES, key_of_component(&k, ns, component), &row))
        row = (struct slice){0};
    m.items = calloc(row.len + 1, sizeof *m.items);
    assert(m.items != NULL);
    struct rd r = rd_of(row);
    while (rd_left(&r) > 0 && !r.bad) {
        m.items[m.count] = (struct member){rd_u64(&r), rd_varint(&r)};
        m.count += !r.bad;
    }
    if (r.bad || m.count == 0) // a component without members
        kv_broken(txn, "traces");
    return m;
}

static void put_members(struct kv_txn *txn, uint32_t ns, uint32_t component, const struct members *m)
{
    struct key k;
    AUTO(buf_done) struct buf row;
    buf_init(&row, 0);
    for (size_t i = 0; i < m->count; i++) {
        put_u64(&row, m->items[i].gen);
        put_varint(&row, m->items[i].entries);
    }
    kv_put(txn, KV_TRACES, key_of_component(&k, ns, component), buf_slice(&row));
}

// All rows of a component.
static void del_component(struct kv_txn *txn, uint32_t ns, uint32_t component)
{
    struct key k;
    AUTO(kv_cursor_closep) struct kv_cursor c;
    kv_cursor_open(txn, KV_TRACES, &c);
    (void)key_of_component(&k, ns, component);
    bool there = kv_seek(&c, key_slice(&k));
    while (there && slice_starts(c.key, key_slice(&k))) {
        kv_cursor_del(&c);
        there = kv_seek(&c, key_slice(&k));
    }
}

// --- writing a component ----------------------------------------------------------------------------

struct component_writer {
    struct kv_txn *txn;
    uint32_t ns, component;
    unsigned segment_bits;
    uint32_t pages;
    uint64_t entries;
    struct buf page;
    size_t start, count; // of what is not in a page yet
    struct prefix_entry waiting[2 * PREFIX_PAGE_ENTRIES_MAX];
};

static struct component_writer *component_writer_new(struct kv_txn *txn, uint32_t ns, uint32_t component,
                                                     size_t members_count)
{
    struct component_writer *w = calloc(1, sizeof *w);
    assert(w != NULL && members_count > 0 && members_count <= UINT32_MAX);
    w->txn = txn;
    w->ns = ns;
    w->component = component;
    w->segment_bits = members_count == 1 ? 0 : 32 - (unsigned)__builtin_clz((uint32_t)members_count - 1);
    buf_init(&w->page, 0);
    return w;
}

static void component_writer_free(struct component_writer *w)
{
    buf_done(&w->page);
    free(w);
}

// Writes pages until fewer than `left` wait.
static void write_pages(struct component_writer *w, size_t left)
{
    while (w->count - w->start >= left && w->count > w->start) {
        struct key k;
        buf_reset(&w->page);
        size_t n = prefix_page_put(&w->waiting[w->start], w->count - w->start, w->segment_bits, &w->page);
        w->start += n;
        kv_put(w->txn, KV_TRACES, key_of_page(&k, w->ns, w->component, w->waiting[w->start - 1].prefix, w->pages++),
               buf_slice(&w->page));
    }
    memmove(w->waiting, &w->waiting[w->start], (w->count - w->start) * sizeof *w->waiting);
    w->count -= w->start;
    w->start = 0;
}

static void component_writer_add(struct component_writer *w, uint32_t prefix, uint32_t segment)
{
    if (w->count == COUNT_OF(w->waiting))
        write_pages(w, PREFIX_PAGE_ENTRIES_MAX);
    w->waiting[w->count++] = (struct prefix_entry){prefix, segment};
    w->entries++;
}

// --- merging ----------------------------------------------------------------------------------------

// One of the components that are merged.
struct source {
    uint32_t component;
    struct members members;
    uint32_t *numbers; // owned: of its members in the new component; UINT32_MAX: it went
    uint32_t pages;    // read so far
    uint32_t last;     // prefix of the last of them
    uint32_t at, count;
    struct prefix_entry entries[PREFIX_PAGE_ENTRIES_MAX];
};

// Reads the next page that is behind what was read; false at the end.
static bool next_page(struct kv_txn *txn, uint32_t ns, struct source *s)
{
    struct key k, component;
    struct prefix_page page;
    AUTO(kv_cursor_closep) struct kv_cursor c;
    kv_cursor_open(txn, KV_TRACES, &c);
    (void)key_of_component(&component, ns, s->component);
    s->at = s->count = 0;
    if (!kv_seek(&c, key_of_page(&k, ns, s->component, s->last, s->pages)) || !slice_starts(c.key, key_slice(&component)))
        return false;
    if (!prefix_page_open(c.value, &page) || !prefix_page_all(&page, s->entries)) {
        kv_broken(txn, "traces");
        return false;
    }
    s->count = page.entries_count;
    s->last = page.last;
    s->pages++;
    return true;
}

// Stands on an entry of a member that lives, behind the one before; false at the end.
static bool advance(struct kv_txn *txn, uint32_t ns, struct source *s)
{
    for (;; s->at++) {
        if (s->at == s->count && !next_page(txn, ns, s))
            return false;
        const struct prefix_entry *e = &s->entries[s->at];
        if (e->segment < s->members.count && s->numbers[e->segment] != UINT32_MAX)
            return true;
    }
}

static struct source *source_new(struct kv_txn *txn, uint32_t ns, uint32_t component, struct members *joined)
{
    struct source *s = calloc(1, sizeof *s);
    assert(s != NULL);
    s->component = component;
    s->members = get_members(txn, ns, component);
    s->numbers = calloc(s->members.count + 1, sizeof *s->numbers);
    joined->items = realloc(joined->items, (joined->count + s->members.count + 1) * sizeof *joined->items);
    assert(s->numbers != NULL && joined->items != NULL);
    for (size_t i = 0; i < s->members.count; i++) {
        s->numbers[i] = s->members.items[i].gen == 0 ? UINT32_MAX : (uint32_t)joined->count;
        if (s->members.items[i].gen != 0)
            joined->items[joined->count++] = (struct member){s->members.items[i].gen, 0};
    }
    return s;
}

static void source_free(struct source *s)
{
    members_done(&s->members);
    free(s->numbers);
    free(s);
}

// Sources are in the order of the numbers of their members, so the first of equal prefixes has the least.
static void merge_sources(struct component_writer *w, struct source **sources, size_t count, struct members *joined)
{
    bool more[TRACES_COMPONENTS_MERGED];
    for (size_t i = 0; i < count; i++)
        more[i] = advance(w->txn, w->ns, sources[i]);
    for (;;) {
        size_t least = count;
        for (size_t i = 0; i < count; i++)
            if (more[i] && (least == count || sources[i]->entries[sources[i]->at].prefix <
                                                  sources[least]->entries[sources[least]->at].prefix))
                least = i;
        if (least == count)
            break;
        struct source *s = sources[least];
        uint32_t number = s->numbers[s->entries[s->at].segment];
        component_writer_add(w, s->entries[s->at].prefix, number);
        joined->items[number].entries++;
        s->at++;
        more[least] = advance(w->txn, w->ns, s);
    }
    write_pages(w, 0);
}

// Makes one component of those at `picked`, ascending, without what went.
static void merge(struct kv_txn *txn, uint32_t ns, struct component_list *list, const size_t *picked, size_t count)
{
    AUTO(members_done) struct members joined = {0};
    struct source *sources[TRACES_COMPONENTS_MERGED];
    struct component component = {.id = next_id(list)};
    for (size_t i = 0; i < count; i++)
        sources[i] = source_new(txn, ns, list->items[picked[i]].id, &joined);
    if (joined.count > 0) {
        struct component_writer *w = component_writer_new(txn, ns, component.id, joined.count);
        merge_sources(w, sources, count, &joined);
        component.entries = w->entries;
        component_writer_free(w);
        put_members(txn, ns, component.id, &joined);
    }
    for (size_t i = count; i-- > 0;) {
        del_component(txn, ns, sources[i]->component);
        list_remove(list, picked[i]);
        source_free(sources[i]);
    }
    if (component.entries > 0)
        list_add(list, &component);
}

// --- tiers ------------------------------------------------------------------------------------------

static uint64_t living(const struct component *component)
{
    return component->entries - component->gone;
}

// A tier's components are up to TRACES_COMPONENTS_MERGED times as large as each other.
static unsigned tier_of(const struct component *component)
{
    static_assert(TRACES_COMPONENTS_MERGED == 4, "two bits a tier");
    return (64 - (unsigned)__builtin_clzll(living(component) | 1)) / 2;
}

// Components of one tier that are to be merged; 0: none.
static size_t pick_tier(const struct component_list *l, unsigned tier, size_t picked[TRACES_COMPONENTS_MERGED])
{
    size_t count = 0;
    uint64_t entries = 0;
    for (size_t i = 0; i < l->count && count < TRACES_COMPONENTS_MERGED; i++)
        if (tier_of(&l->items[i]) == tier) {
            picked[count++] = i;
            entries += living(&l->items[i]);
        }
    return count == TRACES_COMPONENTS_MERGED && entries <= TRACES_COMPONENT_ENTRIES_MAX ? count : 0;
}

static size_t pick(const struct component_list *l, size_t picked[TRACES_COMPONENTS_MERGED])
{
    for (size_t i = 0; i < l->count; i++)
        if (l->items[i].gone > living(&l->items[i])) {
            picked[0] = i;
            return 1;
        }
    size_t count = 0;
    for (size_t i = 0; i < l->count && count == 0; i++)
        count = pick_tier(l, tier_of(&l->items[i]), picked);
    return count;
}

// Ends: each turn leaves fewer components, or fewer entries that went.
static void settle(struct kv_txn *txn, uint32_t ns, struct component_list *list)
{
    size_t picked[TRACES_COMPONENTS_MERGED], count;
    while (txn->rc == 0 && (count = pick(list, picked)) > 0)
        merge(txn, ns, list, picked, count);
}

// --- segments come and go ---------------------------------------------------------------------------

void traces_put(struct kv_txn *txn, uint32_t ns, uint64_t gen, const struct index_traces *traces)
{
    if (traces->count == 0)
        return;
    AUTO(component_list_done) struct component_list list = get_list(txn, ns);
    struct component component = {.id = next_id(&list)};
    struct component_writer *w = component_writer_new(txn, ns, component.id, 1);
    for (size_t i = 0; i < traces->count; i++)
        if (i == 0 || prefix_of(traces->hashes[i]) != prefix_of(traces->hashes[i - 1]))
            component_writer_add(w, prefix_of(traces->hashes[i]), 0);
    write_pages(w, 0);
    component.entries = w->entries;
    component_writer_free(w);
    put_members(txn, ns, component.id, &(struct members){&(struct member){gen, component.entries}, 1});
    list_add(&list, &component);
    settle(txn, ns, &list);
    put_list(txn, ns, &list);
}

static bool is_among(uint64_t gen, const uint64_t *gens, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (gens[i] == gen)
            return true;
    return false;
}

// Whether any went.
static bool mark_gone(struct kv_txn *txn, uint32_t ns, struct component *component, const uint64_t *gens, size_t count)
{
    AUTO(members_done) struct members members = get_members(txn, ns, component->id);
    uint64_t gone = 0;
    for (size_t i = 0; i < members.count; i++) {
        struct member *m = &members.items[i];
        if (m->gen == 0 || !is_among(m->gen, gens, count))
            continue;
        m->gen = 0;
        gone += m->entries;
    }
    if (gone == 0)
        return false;
    put_members(txn, ns, component->id, &members);
    component->gone += gone;
    return true;
}

void traces_del(struct kv_txn *txn, uint32_t ns_end, const uint64_t *gens, size_t count)
{
    for (uint32_t ns = 1; ns < ns_end && count > 0 && txn->rc == 0; ns++) {
        AUTO(component_list_done) struct component_list list = get_list(txn, ns);
        bool any = false;
        for (size_t i = 0; i < list.count; i++)
            any |= mark_gone(txn, ns, &list.items[i], gens, count);
        if (!any)
            continue;
        settle(txn, ns, &list);
        put_list(txn, ns, &list);
    }
}

// --- looking up -------------------------------------------------------------------------------------

enum { COMPONENTS_AT_ONCE = 64 }; // whose pages are asked of the disk before the first is waited for

struct looking {
    struct index_read *read;
    uint32_t ns, prefix;
    struct kv_cursor c;
    bool (*visit)(void *ctx, uint64_t gen, struct err *err);
    void *ctx;
};

// Where a prefix is in a component, or would be.
struct place {
    uint32_t component;
    uint32_t page;
    struct slice bytes; // empty: behind the component's end
};

// From page number `page` on.
static struct place find_place(struct looking *l, uint32_t component, uint32_t page)
{
    struct key k, prefix;
    struct place p = {.component = component};
    if (kv_seek(&l->c, key_of_page(&k, l->ns, component, l->prefix, page)) && l->c.key.len == k.len &&
        slice_starts(l->c.key, key_of_component(&prefix, l->ns, component))) {
        p.page = be_u32(l->c.key.ptr + prefix.len + 4);
        p.bytes = l->c.value;
    }
    return p;
}

static bool visit_page(struct looking *l, const struct prefix_page *page, const struct members *members, struct err *err)
{
    uint32_t first = 0, count = prefix_page_find(page, l->prefix, &first);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number = prefix_page_segment(page, first + i);
        if (number >= members->count)
            kv_broken(&l->read->txn, "traces");
        else if (members->items[number].gen != 0 && !l->visit(l->ctx, members->items[number].gen, err))
            return false;
    }
    return true;
}

static bool visit_component(struct looking *l, struct place p, struct err *err)
{
    AUTO(members_done) struct members members = {0};
    struct prefix_page page;
    for (uint32_t first; p.bytes.len > 0; p = find_place(l, p.component, p.page + 1)) {
        if (!prefix_page_open(p.bytes, &page)) {
            kv_broken(&l->read->txn, "traces");
            return true;
        }
        if (prefix_page_find(&page, l->prefix, &first) > 0 && members.items == NULL)
            members = get_members(&l->read->txn, l->ns, p.component);
        if (!visit_page(l, &page, &members, err))
            return false;
        if (page.last != l->prefix)
            return true;
    }
    return true;
}

bool index_trace_segments(struct index_read *read, uint32_t ns, uint64_t hash,
                          bool (*visit)(void *ctx, uint64_t gen, struct err *err), void *ctx,
                          struct err *err)
{
    AUTO(component_list_done) struct component_list list = get_list(&read->txn, ns);
    struct looking l = {.read = read, .ns = ns, .prefix = prefix_of(hash), .visit = visit, .ctx = ctx};
    struct place places[COMPONENTS_AT_ONCE];
    bool good = true;
    kv_cursor_open(&read->txn, KV_TRACES, &l.c);
    for (size_t from = 0; from < list.count && good; from += COMPONENTS_AT_ONCE) {
        size_t count = list.count - from < COMPONENTS_AT_ONCE ? list.count - from : COMPONENTS_AT_ONCE;
        for (size_t i = 0; i < count; i++) {
            places[i] = find_place(&l, list.items[from + i].id, 0);
            kv_will_read(places[i].bytes);
        }
        for (size_t i = 0; i < count && good; i++)
            good = visit_component(&l, places[i], err);
    }
    kv_cursor_close(&l.c);
    return good && kv_ok(&read->txn, err);
}
