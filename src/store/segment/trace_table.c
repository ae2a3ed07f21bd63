/* trace_table.c -- see trace_table.h. */
#include "store/segment/trace_table.h"

#include "base/labels.h"

#include <assert.h>
#include <stdlib.h>

// --- IDs --------------------------------------------------------------------------------------------

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool trace_id_of_entry(struct slice metadata, uint8_t out[TRACE_ID_BYTES])
{
    if (metadata.len <= 1) // the empty set
        return false;
    struct slice text = labels_find(metadata, SLICE("trace_id"));
    if (text.len == 0 || text.len > 2 * TRACE_ID_BYTES)
        return false;
    memset(out, 0, TRACE_ID_BYTES);
    uint8_t any = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = hex_digit(text.ptr[text.len - 1 - i]);
        if (digit < 0)
            return false;
        out[TRACE_ID_BYTES - 1 - i / 2] |= (uint8_t)(digit << (i % 2 * 4));
        any |= (uint8_t)digit;
    }
    return any != 0;
}

// --- building ---------------------------------------------------------------------------------------

void trace_refs_done(struct trace_refs *refs)
{
    free(refs->items);
}

static int compare(const struct trace_ref *x, const struct trace_ref *y)
{
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    if (x->stream != y->stream)
        return x->stream < y->stream ? -1 : 1;
    return (x->block > y->block) - (x->block < y->block);
}

void trace_refs_add(struct trace_refs *refs, const struct trace_ref *ref)
{
    if (refs->count > 0 && compare(&refs->items[refs->count - 1], ref) == 0)
        return;
    if (refs->count == refs->room) {
        refs->room = refs->room == 0 ? 256 : refs->room * 2;
        refs->items = realloc(refs->items, refs->room * sizeof *refs->items);
        assert(refs->items != NULL);
    }
    refs->items[refs->count++] = *ref;
}

static int by_hash(const void *a, const void *b)
{
    return compare(a, b);
}

void trace_refs_sort(struct trace_refs *refs)
{
    if (refs->count == 0)
        return;
    qsort(refs->items, refs->count, sizeof *refs->items, by_hash);
    size_t kept = 1;
    for (size_t i = 1; i < refs->count; i++)
        if (compare(&refs->items[kept - 1], &refs->items[i]) != 0)
            refs->items[kept++] = refs->items[i];
    refs->count = kept;
}

static size_t ref_bytes(enum trace_ref_kind kind)
{
    return kind == TRACE_REF_SPANS ? 12 : 16;
}

static size_t page_refs(enum trace_ref_kind kind)
{
    return TRACE_PAGE_BYTES / ref_bytes(kind);
}

void trace_refs_put(const struct trace_refs *refs, enum trace_ref_kind kind, struct buf *pages, struct buf *table)
{
    put_varint(table, refs->count);
    for (size_t from = 0; from < refs->count; from += page_refs(kind)) {
        size_t start = pages->len, to = from + page_refs(kind);
        for (size_t i = from; i < to && i < refs->count; i++) {
            put_u64(pages, refs->items[i].hash);
            if (kind == TRACE_REF_ENTRIES)
                put_u32(pages, refs->items[i].stream);
            put_u32(pages, refs->items[i].block);
        }
        put_u64(table, refs->items[from].hash);
        put_u64(table, pages->bad ? 0 : hash64(slice_of(pages->ptr + start, pages->len - start)));
    }
}

// --- reading ----------------------------------------------------------------------------------------

bool trace_table_get(struct rd *r, enum trace_ref_kind kind, uint64_t *pos, uint64_t end, struct arena *a,
                     struct trace_table *out)
{
    *out = (struct trace_table){.pos = *pos, .refs_count = rd_varint(r)};
    if (r->bad || *pos > end || out->refs_count > (end - *pos) / ref_bytes(kind))
        return false;
    out->pages_count = (uint32_t)((out->refs_count + page_refs(kind) - 1) / page_refs(kind));
    out->pages = arena_array(a, out->pages_count + 1, sizeof *out->pages);
    if (out->pages == NULL)
        return false;
    for (uint32_t i = 0; i < out->pages_count; i++) {
        out->pages[i] = (struct trace_page){rd_u64(r), rd_u64(r)};
        if (i > 0 && out->pages[i].first_hash < out->pages[i - 1].first_hash)
            return false;
    }
    *pos += out->refs_count * ref_bytes(kind);
    return !r->bad;
}

static size_t refs_of_page(const struct trace_table *t, enum trace_ref_kind kind, uint32_t page)
{
    size_t before = (size_t)page * page_refs(kind);
    return t->refs_count - before < page_refs(kind) ? (size_t)(t->refs_count - before) : page_refs(kind);
}

static bool read_page(const struct trace_table *t, enum trace_ref_kind kind, uint32_t page, trace_read_fn read, void *ctx,
                      uint8_t to[TRACE_PAGE_BYTES], struct err *err)
{
    size_t bytes = refs_of_page(t, kind, page) * ref_bytes(kind);
    uint64_t pos = t->pos + (uint64_t)page * page_refs(kind) * ref_bytes(kind);
    if (!read(ctx, pos, to, bytes, err))
        return false;
    return hash64(slice_of(to, bytes)) == t->pages[page].check ||
           err_set(err, ERR_CORRUPT, "trace table: page %u: checksum does not match", page);
}

static struct trace_ref ref_at(const uint8_t *page, enum trace_ref_kind kind, size_t at)
{
    const uint8_t *p = page + at * ref_bytes(kind);
    bool entries = kind == TRACE_REF_ENTRIES;
    return (struct trace_ref){le_u64(p), entries ? le_u32(p + 8) : 0, le_u32(p + (entries ? 12 : 8))};
}

// The first page that may hold the hash.
static uint32_t first_page(const struct trace_table *t, uint64_t hash)
{
    uint32_t low = 0, high = t->pages_count; // pages before `low` begin below the hash
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (t->pages[middle].first_hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? low - 1 : 0;
}

bool trace_table_find(const struct trace_table *t, enum trace_ref_kind kind, uint64_t hash, trace_read_fn read, void *ctx,
                      bool (*visit)(void *visit_ctx, const struct trace_ref *ref, struct err *err), void *visit_ctx,
                      struct err *err)
{
    uint8_t bytes[TRACE_PAGE_BYTES];
    for (uint32_t page = first_page(t, hash); page < t->pages_count && t->pages[page].first_hash <= hash; page++) {
        if (!read_page(t, kind, page, read, ctx, bytes, err))
            return false;
        size_t low = 0, high = refs_of_page(t, kind, page), count = high;
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            if (ref_at(bytes, kind, middle).hash < hash)
                low = middle + 1;
            else
                high = middle;
        }
        for (; low < count; low++) {
            struct trace_ref ref = ref_at(bytes, kind, low);
            if (ref.hash != hash)
                break;
            if (!visit(visit_ctx, &ref, err))
                return false;
        }
    }
    return true;
}

bool trace_table_all(const struct trace_table *t, enum trace_ref_kind kind, trace_read_fn read, void *ctx,
                     bool (*visit)(void *visit_ctx, const struct trace_ref *ref, struct err *err), void *visit_ctx,
                     struct err *err)
{
    uint8_t bytes[TRACE_PAGE_BYTES];
    for (uint32_t page = 0; page < t->pages_count; page++) {
        if (!read_page(t, kind, page, read, ctx, bytes, err))
            return false;
        for (size_t i = 0; i < refs_of_page(t, kind, page); i++) {
            struct trace_ref ref = ref_at(bytes, kind, i);
            if (!visit(visit_ctx, &ref, err))
                return false;
        }
    }
    return true;
}
