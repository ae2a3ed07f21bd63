/*
 * deletions.c -- see deletions.h.
 *
 *     deletions   u32 "MDEL"  u32 version  varint count, then per request:
 *                     u64 id  bytes tenant  bytes query  i64 from  i64 to  i64 created  u64 greatest age
 *                     i64 done (0: not)  varint entries  varint bytes of lines
 *                     varint spans  varint bytes of spans (not in version 1)
 *                 u64 XXH3-64 of all before
 *
 * Threads: any; one change at a time.
 */
#include "store/deletions.h"

#include "base/clock.h"
#include "base/codec.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/hex.h"
#include "base/limits.h"
#include "store/segment/seg.h"
#include "store/segment/trace_table.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION = 2, VERSION_WITHOUT_SPANS = 1, PATH_BYTES = 4096 };
#define MAGIC UINT32_C(0x4c45444d) // "MDEL"

struct deletions {
    // Set by deletions_open().
    char dir[PATH_BYTES - 16], path[PATH_BYTES];
    const struct store_filter_ops *ops;
    pthread_mutex_t lock; // all below
    struct deletion **items; // owned, a reference each; by creation
    size_t count, room;
    struct deletion_set *active;
};

// --- objects ----------------------------------------------------------------------------------------

static void deletion_unref(struct deletion *d)
{
    if (atomic_fetch_sub_explicit(&d->refs, 1, memory_order_acq_rel) > 1)
        return;
    if (d->filter != NULL)
        d->ops->free(d->filter);
    free((void *)(uintptr_t)d->tenant.ptr);
    free((void *)(uintptr_t)d->query.ptr);
    free(d);
}

static struct slice copy(struct slice s)
{
    uint8_t *to = malloc(s.len + 1);
    assert(to != NULL);
    if (s.len > 0)
        memcpy(to, s.ptr, s.len);
    return slice_of(to, s.len);
}

struct deletion_set *deletion_set_ref(struct deletion_set *set)
{
    atomic_fetch_add_explicit(&set->refs, 1, memory_order_relaxed);
    return set;
}

void deletion_set_unref(struct deletion_set *set)
{
    if (set == NULL || atomic_fetch_sub_explicit(&set->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < set->count; i++)
        deletion_unref(set->items[i]);
    free(set->items);
    free(set->traces);
    free(set);
}

static int by_trace_id(const void *a, const void *b)
{
    const struct deletion *const *x = a, *const *y = b;
    return memcmp((*x)->trace_id, (*y)->trace_id, TRACE_ID_BYTES);
}

// With the lock: makes the active set anew.
static void renew_active(struct deletions *d)
{
    struct deletion_set *set = calloc(1, sizeof *set);
    assert(set != NULL);
    atomic_init(&set->refs, 1);
    set->items = calloc(d->count + 1, sizeof(struct deletion *));
    set->traces = calloc(d->count + 1, sizeof(struct deletion *));
    assert(set->items != NULL && set->traces != NULL);
    for (size_t i = 0; i < d->count; i++)
        if (d->items[i]->done_ns == 0) {
            atomic_fetch_add_explicit(&d->items[i]->refs, 1, memory_order_relaxed);
            set->items[set->count++] = d->items[i];
            if (d->items[i]->by_trace)
                set->traces[set->traces_count++] = d->items[i];
        }
    if (set->traces_count > 0)
        qsort(set->traces, set->traces_count, sizeof(struct deletion *), by_trace_id);
    deletion_set_unref(d->active);
    d->active = set;
}

static void append(struct deletions *d, struct deletion *item)
{
    if (d->count == d->room) {
        d->room = d->room == 0 ? 16 : d->room * 2;
        d->items = realloc(d->items, d->room * sizeof(struct deletion *));
        assert(d->items != NULL);
    }
    d->items[d->count++] = item;
}

static void remove_at(struct deletions *d, size_t at)
{
    memmove(d->items + at, d->items + at + 1, (--d->count - at) * sizeof(struct deletion *));
}

static const char TRACE_BEGIN[] = "{ trace:id = \"", TRACE_END[] = "\" }";
enum { TRACE_BEGIN_CHARS = sizeof TRACE_BEGIN - 1, TRACE_END_CHARS = sizeof TRACE_END - 1, TRACE_HEX_CHARS = 2 * TRACE_ID_BYTES };

static void put_trace_query(struct buf *b, const uint8_t trace_id[TRACE_ID_BYTES])
{
    buf_put_cstr(b, TRACE_BEGIN);
    for (size_t i = 0; i < TRACE_ID_BYTES; i++)
        buf_printf(b, "%02x", trace_id[i]);
    buf_put_cstr(b, TRACE_END);
}

static bool get_trace_query(struct slice text, uint8_t trace_id_out[TRACE_ID_BYTES])
{
    return text.len == TRACE_BEGIN_CHARS + TRACE_HEX_CHARS + TRACE_END_CHARS && slice_starts(text, SLICE(TRACE_BEGIN)) &&
           slice_eq(slice_from(text, text.len - TRACE_END_CHARS), SLICE(TRACE_END)) &&
           hex_decode(slice_of(text.ptr + TRACE_BEGIN_CHARS, TRACE_HEX_CHARS), trace_id_out, TRACE_ID_BYTES);
}

// What the text of a log query means.
static bool parse(const struct deletions *d, struct deletion *item, struct err *err)
{
    if (d->ops == NULL)
        return err_set(err, ERR_INPUT, "%s: nothing here understands requests to delete", d->path);
    item->ops = d->ops;
    return d->ops->parse(item->query, &item->filter, &item->matchers, &item->matchers_count, &item->by_line, err);
}

// --- the file ---------------------------------------------------------------------------------------

static void put_all(const struct deletions *d, struct buf *b)
{
    put_u32(b, MAGIC);
    put_u32(b, VERSION);
    put_varint(b, d->count);
    for (size_t i = 0; i < d->count; i++) {
        const struct deletion *item = d->items[i];
        put_u64(b, item->id);
        put_prefixed(b, item->tenant);
        put_prefixed(b, item->query);
        put_i64(b, item->from_ns);
        put_i64(b, item->to_ns);
        put_i64(b, item->created_ns);
        put_u64(b, item->age_max);
        put_i64(b, item->done_ns);
        put_varint(b, item->removed.entries);
        put_varint(b, item->removed.line_bytes);
        put_varint(b, item->removed.spans);
        put_varint(b, item->removed.span_bytes);
    }
    put_u64(b, hash64(buf_slice(b)));
}

static bool write_file(const struct deletions *d, struct err *err)
{
    AUTO(buf_done) struct buf b;
    AUTO(fs_closep) int fd = -1;
    char tmp[PATH_BYTES + 8];
    (void)snprintf(tmp, sizeof tmp, "%s.tmp", d->path);
    buf_init(&b, 0);
    put_all(d, &b);
    return fs_create(tmp, true, &fd, err) && fs_write_at(fd, tmp, 0, buf_slice(&b), err) && fs_sync(fd, tmp, err) &&
           fs_rename(tmp, d->path, err) && fs_sync_dir(d->dir, err);
}

static bool get_one(struct deletions *d, struct rd *r, uint32_t version, struct err *err)
{
    struct deletion *item = calloc(1, sizeof *item);
    assert(item != NULL);
    atomic_init(&item->refs, 1);
    item->id = rd_u64(r);
    item->tenant = copy(rd_prefixed(r));
    item->query = copy(rd_prefixed(r));
    item->from_ns = rd_i64(r);
    item->to_ns = rd_i64(r);
    item->created_ns = rd_i64(r);
    item->age_max = rd_u64(r);
    item->done_ns = rd_i64(r);
    item->removed.entries = rd_varint(r);
    item->removed.line_bytes = rd_varint(r);
    if (version != VERSION_WITHOUT_SPANS) {
        item->removed.spans = rd_varint(r);
        item->removed.span_bytes = rd_varint(r);
    }
    append(d, item);
    if (r->bad)
        return err_set(err, ERR_CORRUPT, "%s: contents do not add up", d->path);
    item->ops = d->ops;
    item->by_trace = get_trace_query(item->query, item->trace_id);
    return item->done_ns != 0 || item->by_trace || parse(d, item, err) || err_wrap(err, "%s", d->path);
}

static bool get_all(struct deletions *d, struct slice bytes, struct err *err)
{
    if (bytes.len < 16)
        return err_set(err, ERR_CORRUPT, "%s: %zu bytes", d->path, bytes.len);
    struct rd check = rd_of(slice_from(bytes, bytes.len - 8));
    bytes.len -= 8;
    if (rd_u64(&check) != hash64(bytes))
        return err_set(err, ERR_CORRUPT, "%s: checksum does not match", d->path);
    struct rd r = rd_of(bytes);
    uint32_t magic = rd_u32(&r), version = rd_u32(&r);
    if (magic != MAGIC || version < VERSION_WITHOUT_SPANS || version > VERSION)
        return err_set(err, ERR_CORRUPT, "%s: version %u, this program reads those up to %d", d->path, version, VERSION);
    uint64_t count = rd_varint_max(&r, rd_left(&r));
    for (uint64_t i = 0; i < count; i++)
        if (!get_one(d, &r, version, err))
            return false;
    return (!r.bad && rd_left(&r) == 0) || err_set(err, ERR_CORRUPT, "%s: contents do not add up", d->path);
}

static void deletions_closep(struct deletions **d)
{
    deletions_close(*d);
}

bool deletions_open(const char *dir, const struct store_filter_ops *ops, struct deletions **out, struct err *err)
{
    AUTO(deletions_closep) struct deletions *d = calloc(1, sizeof *d);
    assert(d != NULL);
    pthread_mutex_init(&d->lock, NULL);
    d->ops = ops;
    (void)snprintf(d->dir, sizeof d->dir, "%s", dir);
    (void)snprintf(d->path, sizeof d->path, "%s/deletions", d->dir);
    bool exists;
    if (!fs_exists(d->path, &exists, err))
        return false;
    if (exists) {
        char *bytes;
        size_t len;
        if (!fs_read_file(d->path, DELETIONS_FILE_BYTES_MAX, &bytes, &len, err))
            return false;
        bool good = get_all(d, slice_of(bytes, len), err);
        free(bytes);
        if (!good)
            return false;
    }
    renew_active(d);
    *out = MOVE(d);
    return true;
}

void deletions_close(struct deletions *d)
{
    if (d == NULL)
        return;
    deletion_set_unref(d->active);
    for (size_t i = 0; i < d->count; i++)
        deletion_unref(d->items[i]);
    free(d->items);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

const struct store_filter_ops *deletions_ops(const struct deletions *d)
{
    return d->ops;
}

bool deletions_reload(struct deletions *d, struct err *err)
{
    AUTO(deletions_closep) struct deletions *fresh = NULL;
    if (!deletions_open(d->dir, d->ops, &fresh, err))
        return false;
    pthread_mutex_lock(&d->lock);
    struct deletion **items = d->items;
    struct deletion_set *active = d->active;
    size_t count = d->count, room = d->room;
    d->items = fresh->items;
    d->active = fresh->active;
    d->count = fresh->count;
    d->room = fresh->room;
    pthread_mutex_unlock(&d->lock);
    fresh->items = items; // freed with it
    fresh->active = active;
    fresh->count = count;
    fresh->room = room;
    return true;
}

struct deletion_set *deletions_active(struct deletions *d)
{
    pthread_mutex_lock(&d->lock);
    struct deletion_set *set = deletion_set_ref(d->active);
    pthread_mutex_unlock(&d->lock);
    return set;
}

// --- changes ----------------------------------------------------------------------------------------

// Never 0, and of this store alone: the name under which people see it has 32 bits.
static uint64_t new_id(const struct deletions *d, const struct deletion *item)
{
    uint64_t seed = (uint64_t)item->created_ns ^ d->count;
    for (;; seed++) {
        uint64_t id = hash64_seed(item->query, seed) & UINT32_MAX;
        bool taken = id == 0;
        for (size_t i = 0; i < d->count && !taken; i++)
            taken = d->items[i]->id == id;
        if (!taken)
            return id;
    }
}

// Receipts are kept up to a number; the oldest go.
static void drop_old_receipts(struct deletions *d)
{
    for (size_t i = 0; i < d->count && d->count >= DELETIONS_MAX;)
        if (d->items[i]->done_ns != 0) {
            struct deletion *gone = d->items[i];
            remove_at(d, i);
            deletion_unref(gone);
        } else {
            i++;
        }
}

static bool add_locked(struct deletions *d, struct deletion *item, uint64_t *id_out, struct err *err)
{
    if (d->active->count >= DELETIONS_ACTIVE_MAX)
        return err_set(err, ERR_LIMIT, "%d requests to delete are not processed yet", DELETIONS_ACTIVE_MAX);
    drop_old_receipts(d);
    item->id = new_id(d, item);
    append(d, item);
    if (!write_file(d, err)) {
        d->count--;
        return false;
    }
    atomic_fetch_add_explicit(&item->refs, 1, memory_order_relaxed);
    *id_out = item->id;
    renew_active(d);
    return true;
}

static struct deletion *new_item(const struct store_deletion *request, uint64_t age_max)
{
    struct deletion *item = calloc(1, sizeof *item);
    assert(item != NULL);
    atomic_init(&item->refs, 1);
    item->tenant = copy(request->tenant);
    item->query = copy(request->query);
    item->from_ns = request->from_ns;
    item->to_ns = request->to_ns;
    item->created_ns = clock_wall_ns();
    item->age_max = age_max;
    return item;
}

// Consumes the caller's reference.
static bool add(struct deletions *d, struct deletion *item, uint64_t *id_out, struct err *err)
{
    pthread_mutex_lock(&d->lock);
    bool good = add_locked(d, item, id_out, err);
    pthread_mutex_unlock(&d->lock);
    deletion_unref(item); // the list has its own
    return good;
}

bool deletions_add(struct deletions *d, const struct store_deletion *request, uint64_t age_max, uint64_t *id_out,
                   struct err *err)
{
    struct deletion *item = new_item(request, age_max);
    if (parse(d, item, err))
        return add(d, item, id_out, err);
    deletion_unref(item);
    return false;
}

bool deletions_add_trace(struct deletions *d, struct slice tenant, const uint8_t trace_id[TRACE_ID_BYTES], uint64_t age_max,
                         uint64_t *id_out, struct err *err)
{
    AUTO(buf_done) struct buf query;
    buf_init(&query, 0);
    put_trace_query(&query, trace_id);
    struct store_deletion request = {.tenant = tenant, .query = buf_slice(&query), .from_ns = INT64_MIN, .to_ns = INT64_MAX};
    struct deletion *item = new_item(&request, age_max);
    item->ops = d->ops;
    item->by_trace = true;
    memcpy(item->trace_id, trace_id, TRACE_ID_BYTES);
    return add(d, item, id_out, err);
}

static size_t find(const struct deletions *d, struct slice tenant, uint64_t id)
{
    for (size_t i = 0; i < d->count; i++)
        if (d->items[i]->id == id && slice_eq(d->items[i]->tenant, tenant))
            return i;
    return SIZE_MAX;
}

static bool cancel_locked(struct deletions *d, struct slice tenant, uint64_t id, int64_t since_ns, struct err *err)
{
    size_t at = find(d, tenant, id);
    if (at == SIZE_MAX)
        return err_set(err, ERR_NOT_FOUND, "could not find delete request with given id");
    struct deletion *gone = d->items[at];
    if (gone->done_ns != 0)
        return err_set(err, ERR_INPUT, "deletion of request which is already processed is not allowed");
    if (gone->created_ns < since_ns)
        return err_set(err, ERR_INPUT, "deletion of request past the deadline is not allowed");
    remove_at(d, at);
    if (!write_file(d, err)) {
        append(d, gone); // its place only orders what is listed
        return false;
    }
    renew_active(d);
    deletion_unref(gone);
    return true;
}

bool deletions_cancel(struct deletions *d, struct slice tenant, uint64_t id, int64_t since_ns, struct err *err)
{
    pthread_mutex_lock(&d->lock);
    bool good = cancel_locked(d, tenant, id, since_ns, err);
    pthread_mutex_unlock(&d->lock);
    return good;
}

bool deletions_count(struct deletions *d, const struct deletion_set *set, const struct deletion_count *counts, struct err *err)
{
    bool any = false;
    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < set->count; i++) {
        struct deletion_count *removed = &set->items[i]->removed;
        removed->entries += counts[i].entries;
        removed->line_bytes += counts[i].line_bytes;
        removed->spans += counts[i].spans;
        removed->span_bytes += counts[i].span_bytes;
        any = any || counts[i].entries + counts[i].spans > 0;
    }
    bool good = !any || write_file(d, err);
    pthread_mutex_unlock(&d->lock);
    return good;
}

bool deletions_done(struct deletions *d, const struct deletion *done, int64_t now_ns, struct err *err)
{
    bool good = true;
    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < d->count; i++)
        if (d->items[i] == done) {
            d->items[i]->done_ns = now_ns;
            good = write_file(d, err);
            if (!good)
                d->items[i]->done_ns = 0;
        }
    if (good)
        renew_active(d);
    pthread_mutex_unlock(&d->lock);
    return good;
}

bool deletions_list(struct deletions *d, struct slice tenant, struct arena *a, struct store_deletion **out, size_t *count_out,
                    struct err *err)
{
    size_t count = 0;
    pthread_mutex_lock(&d->lock);
    struct store_deletion *items = arena_array(a, d->count + 1, sizeof *items);
    for (size_t i = 0; i < d->count && items != NULL; i++) {
        const struct deletion *item = d->items[i];
        if (!slice_eq(item->tenant, tenant))
            continue;
        items[count++] = (struct store_deletion){.id = item->id,
                                                 .tenant = arena_copy(a, item->tenant),
                                                 .query = arena_copy(a, item->query),
                                                 .from_ns = item->from_ns,
                                                 .to_ns = item->to_ns,
                                                 .created_ns = item->created_ns,
                                                 .done_ns = item->done_ns,
                                                 .entries = item->removed.entries,
                                                 .line_bytes = item->removed.line_bytes,
                                                 .spans = item->removed.spans,
                                                 .span_bytes = item->removed.span_bytes};
    }
    pthread_mutex_unlock(&d->lock);
    *out = items;
    *count_out = count;
    return arena_ok(a, "requests to delete", err);
}

// --- selecting --------------------------------------------------------------------------------------

bool deletion_selects_stream(const struct deletion *d, struct slice tenant, struct slice labels)
{
    return slice_eq(d->tenant, tenant) && label_matchers_test(d->matchers, d->matchers_count, labels);
}

bool deletion_selects(const struct deletion *d, const struct store_arrival *entry, uint64_t age, void *space)
{
    uint8_t trace_id[TRACE_ID_BYTES];
    if (d->by_trace)
        return age <= d->age_max && trace_id_of_entry(entry->metadata, trace_id) &&
               memcmp(trace_id, d->trace_id, TRACE_ID_BYTES) == 0;
    return entry->time_ns >= d->from_ns && entry->time_ns < d->to_ns && age <= d->age_max &&
           (!d->by_line || d->ops->match(d->filter, entry, space));
}

bool deletion_set_has_trace(const struct deletion_set *set, struct slice tenant, const uint8_t trace_id[TRACE_ID_BYTES],
                            uint64_t age)
{
    size_t low = 0, high = set->traces_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(set->traces[middle]->trace_id, trace_id, TRACE_ID_BYTES) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < set->traces_count && memcmp(set->traces[low]->trace_id, trace_id, TRACE_ID_BYTES) == 0; low++)
        if (slice_eq(set->traces[low]->tenant, tenant) && age <= set->traces[low]->age_max)
            return true;
    return false;
}
