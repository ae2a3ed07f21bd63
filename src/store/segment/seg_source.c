/* seg_source.c -- see seg_source.h. */
#include "store/segment/seg_source.h"

#include "base/fs.h"
#include "base/limits.h"

#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>

static uint64_t next_id(void)
{
    static atomic_uint_fast64_t last;
    return atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
}

bool seg_source_open_file(const char *path, struct seg_source *out, struct err *err)
{
    struct seg_source s = {.path = path, .fd = -1, .id = next_id()};
    if (!fs_open_read(path, &s.fd, err))
        return false;
    if (!fs_bytes(s.fd, path, &s.bytes, err)) {
        fs_close(s.fd);
        return false;
    }
    // Where the tables are, and the header: asked for together, so that only the first read waits for the disk.
    uint64_t tail = s.bytes < SOURCE_FILE_TAIL_BYTES ? s.bytes : SOURCE_FILE_TAIL_BYTES;
    fs_will_read(s.fd, s.bytes - tail, tail);
    fs_will_read(s.fd, 0, 1);
    *out = s;
    return true;
}

bool seg_source_open_object(struct blob_store *bs, const char *key, const char *name, uint64_t bytes, struct seg_source *out,
                        struct err *err)
{
    struct seg_source s = {.path = name, .fd = -1, .bytes = bytes, .id = next_id(), .bs = bs, .key = key};
    size_t len = bytes < SOURCE_TAIL_BYTES ? (size_t)bytes : SOURCE_TAIL_BYTES;
    buf_init(&s.tail, SOURCE_TAIL_BYTES + 1);
    uint8_t *to = buf_reserve(&s.tail, len + 1);
    if (to == NULL)
        return err_set(err, ERR_LIMIT, "%s: no memory", name);
    if (!blob_get(bs, key, bytes - len, to, len, err)) {
        buf_done(&s.tail);
        return false;
    }
    s.tail.len = len;
    *out = s;
    return true;
}

void seg_source_close(struct seg_source *s)
{
    if (s->path != NULL)
        fs_close(s->fd);
    buf_done(&s->tail);
    *s = (struct seg_source){0};
}

void seg_source_forget_tail(struct seg_source *s)
{
    buf_done(&s->tail);
}

bool seg_source_read(const struct seg_source *s, uint64_t pos, void *to, size_t len, struct err *err)
{
    if (!seg_source_is_far(s))
        return fs_read_at(s->fd, s->path, pos, to, len, err);
    uint64_t tail_pos = s->bytes - s->tail.len;
    if (pos > s->bytes || len > s->bytes - pos)
        return err_set(err, ERR_CORRUPT, "%s: ends at %" PRIu64, s->path, s->bytes);
    if (len > 0 && pos >= tail_pos) {
        memcpy(to, s->tail.ptr + (pos - tail_pos), len);
        return true;
    }
    if (blob_get(s->bs, s->key, pos, to, len, err))
        return true;
    if (err->code == ERR_NOT_FOUND) // S2: a row without its object
        err->code = ERR_CORRUPT;
    return false;
}

// --- read-ahead -------------------------------------------------------------------------------------

void seg_ahead_init(struct seg_ahead *a)
{
    *a = (struct seg_ahead){0};
    buf_init(&a->bytes, 0);
}

void seg_ahead_done(struct seg_ahead *a)
{
    buf_done(&a->bytes);
    *a = (struct seg_ahead){0};
}

static bool held(const struct seg_ahead *a, uint64_t pos, size_t len)
{
    return pos >= a->pos && len <= a->bytes.len && pos - a->pos <= a->bytes.len - len;
}

// Notes a read. +1: it follows the last one, -1: it comes before it, 0: it is elsewhere.
static int note(const struct seg_source *s, struct seg_ahead *a, uint64_t pos, size_t len)
{
    uint64_t end = pos + len;
    int way = 0;
    if (a->of == s->id && pos >= a->last_end && pos - a->last_end <= SOURCE_GAP_BYTES)
        way = 1;
    else if (a->of == s->id && end <= a->last_pos && a->last_pos - end <= SOURCE_GAP_BYTES)
        way = -1;
    a->streak_bytes = way == 0 ? len : a->streak_bytes + len;
    a->last_pos = pos;
    a->last_end = end;
    return way;
}

bool seg_ahead_read(const struct seg_source *s, struct seg_ahead *a, uint64_t from, uint64_t to, uint64_t pos, void *into,
                       size_t len, struct err *err)
{
    if (!seg_source_is_far(s) || pos < from || pos > to || len > to - pos)
        return seg_source_read(s, pos, into, len, err);
    bool same = a->of == s->id;
    int way = note(s, a, pos, len);
    if (!same || !held(a, pos, len)) {
        uint64_t window = a->streak_bytes < SOURCE_AHEAD_BYTES ? a->streak_bytes : SOURCE_AHEAD_BYTES;
        uint64_t begin = pos, end = pos + len;
        if (way > 0 && window > len)
            end = window < to - pos ? pos + window : to;
        if (way < 0 && window > len)
            begin = end - from > window ? end - window : from;
        a->of = 0;
        buf_reset(&a->bytes);
        uint8_t *room = buf_reserve(&a->bytes, (size_t)(end - begin) + 1);
        if (room == NULL)
            return err_set(err, ERR_LIMIT, "%s: no memory to read %zu bytes", s->path, len);
        if (!seg_source_read(s, begin, room, (size_t)(end - begin), err))
            return false;
        a->bytes.len = (size_t)(end - begin);
        a->pos = begin;
        a->of = s->id;
    }
    assert(held(a, pos, len));
    if (len > 0)
        memcpy(into, a->bytes.ptr + (pos - a->pos), len);
    return true;
}
