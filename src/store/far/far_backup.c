/* far_backup.c -- see far_backup.h. */
#include "store/far/far_backup.h"

#include "base/hash.h"
#include "base/hex.h"
#include "base/limits.h"

#include <inttypes.h>
#include <stdio.h>

#define MAGIC "mstore backup 1\n"

void far_log_key(const struct far_item *log, char out[FAR_KEY_BYTES])
{
    (void)snprintf(out, FAR_KEY_BYTES, "wal/%016" PRIx64 "-%016" PRIx64 ".wal", log->gen, log->check);
}

void far_deletions_key(const struct far_item *deletions, char out[FAR_KEY_BYTES])
{
    (void)snprintf(out, FAR_KEY_BYTES, "deletions-%016" PRIx64, deletions->check);
}

uint64_t far_tag(const char *etag)
{
    struct slice s = slice_cstr(etag);
    if (s.len >= 2 && s.ptr[0] == '"' && s.ptr[s.len - 1] == '"')
        s = slice_of(s.ptr + 1, s.len - 2);
    uint64_t tag = hash64(s);
    return s.len == 0 ? 0 : tag != 0 ? tag : 1;
}

// --- printing ---------------------------------------------------------------------------------------

// From the length on.
static void print_rest(const struct far_item *item, struct buf *out)
{
    buf_printf(out, " %" PRIu64 " %016" PRIx64, item->bytes, item->check);
    if (item->tag != 0)
        buf_printf(out, " %016" PRIx64, item->tag);
    buf_put_byte(out, '\n');
}

static void print_items(const char *kind, const struct far_items *items, struct buf *out)
{
    for (size_t i = 0; i < items->count; i++) {
        buf_printf(out, "%s %016" PRIx64, kind, items->items[i].gen);
        print_rest(&items->items[i], out);
    }
}

void far_backup_print(const struct far_live *backup, struct buf *out)
{
    size_t begin = out->len;
    buf_put_cstr(out, backup->incomplete ? MAGIC "incomplete\n" : MAGIC);
    if (backup->deletions.bytes > 0) {
        buf_put_cstr(out, "deletions");
        print_rest(&backup->deletions, out);
    }
    print_items("log", &backup->logs, out);
    print_items("segment", &backup->segments, out);
    if (!out->bad)
        buf_printf(out, "end %016" PRIx64 "\n", hash64(slice_from(buf_slice(out), begin)));
}

// --- parsing ----------------------------------------------------------------------------------------
// Each takes what it is named for off `s`; false: that is not there.

static bool take(struct slice *s, struct slice what)
{
    if (!slice_starts(*s, what))
        return false;
    *s = slice_from(*s, what.len);
    return true;
}

static bool take_hex(struct slice *s, uint64_t *out)
{
    uint8_t bytes[8];
    *out = 0;
    if (s->len < 16 || !hex_decode(slice_of(s->ptr, 16), bytes, sizeof bytes))
        return false;
    for (size_t i = 0; i < 16; i++)
        if (s->ptr[i] >= 'A' && s->ptr[i] <= 'F')
            return false;
    for (size_t i = 0; i < sizeof bytes; i++)
        *out = *out << 8 | bytes[i];
    *s = slice_from(*s, 16);
    return true;
}

// As it is printed: without sign and leading zeros.
static bool take_decimal(struct slice *s, uint64_t *out)
{
    size_t len = 0;
    *out = 0;
    for (; len < s->len && isdigit(s->ptr[len]); len++)
        if (__builtin_mul_overflow(*out, 10, out) || __builtin_add_overflow(*out, s->ptr[len] - '0', out))
            return false;
    bool good = len > 0 && (len == 1 || s->ptr[0] != '0');
    *s = slice_from(*s, len);
    return good;
}

static bool take_rest(struct slice *s, struct far_item *item)
{
    return take(s, SLICE(" ")) && take_decimal(s, &item->bytes) && take(s, SLICE(" ")) && take_hex(s, &item->check) &&
           (!take(s, SLICE(" ")) || (take_hex(s, &item->tag) && item->tag != 0)) && take(s, SLICE("\n"));
}

static bool take_items(struct slice *s, struct slice kind, struct far_items *items)
{
    while (take(s, kind)) {
        struct far_item item = {0};
        if (!take_hex(s, &item.gen) || !take_rest(s, &item) ||
            (items->count > 0 && items->items[items->count - 1].gen >= item.gen))
            return false;
        far_items_add(items, &item);
    }
    return true;
}

static bool take_end(struct slice *s, struct slice text)
{
    size_t len = (size_t)(s->ptr - text.ptr);
    uint64_t check;
    return take(s, SLICE("end ")) && take_hex(s, &check) && slice_eq(*s, SLICE("\n")) && hash64(slice_of(text.ptr, len)) == check;
}

bool far_backup_parse(struct slice text, struct far_live *out)
{
    AUTO(far_live_done) struct far_live b = {.kind = FAR_BACKUP};
    struct slice rest = text;
    if (!take(&rest, SLICE(MAGIC)))
        return false;
    b.incomplete = take(&rest, SLICE("incomplete\n"));
    if (take(&rest, SLICE("deletions")) && (!take_rest(&rest, &b.deletions) || b.deletions.bytes == 0))
        return false;
    if (!take_items(&rest, SLICE("log "), &b.logs) || !take_items(&rest, SLICE("segment "), &b.segments) ||
        !take_end(&rest, text))
        return false;
    *out = b;
    b = (struct far_live){0};
    return true;
}

// --- the object -------------------------------------------------------------------------------------

bool far_backup_get(struct blob_store *bs, struct far_live *out, struct err *err)
{
    struct blob_info info;
    if (!blob_head(bs, FAR_BACKUP_KEY, &info, err))
        return false;
    AUTO(buf_done) struct buf text;
    buf_init(&text, BLOB_PART_BYTES + 1);
    uint8_t *to = info.bytes <= BLOB_PART_BYTES ? buf_reserve(&text, (size_t)info.bytes + 1) : NULL;
    if (to == NULL)
        return err_set(err, ERR_LIMIT, "%s" FAR_BACKUP_KEY ": %" PRIu64 " bytes are too many", blob_name(bs), info.bytes);
    if (!blob_get(bs, FAR_BACKUP_KEY, 0, to, (size_t)info.bytes, err))
        return false;
    if (!far_backup_parse(slice_of(to, (size_t)info.bytes), out))
        return err_set(err, ERR_CORRUPT, "%s" FAR_BACKUP_KEY " is no list of a backup of this version", blob_name(bs));
    (void)snprintf(out->version, sizeof out->version, "%s", info.etag);
    return true;
}

bool far_backup_put(struct blob_store *bs, const struct far_live *backup, char version[BLOB_ETAG_BYTES], struct err *err)
{
    AUTO(buf_done) struct buf text;
    buf_init(&text, BLOB_PART_BYTES);
    far_backup_print(backup, &text);
    if (text.bad)
        return err_set(err, ERR_LIMIT, "%s: %zu segments are too many for a backup", blob_name(bs), backup->segments.count);
    bool put;
    struct blob_info info;
    if (!blob_put_if(bs, FAR_BACKUP_KEY, buf_slice(&text), version[0] != '\0' ? version : NULL, &put, &info, err))
        return false;
    if (put) {
        (void)snprintf(version, BLOB_ETAG_BYTES, "%s", info.etag);
        return true;
    }
    // Somebody else's, or ours by a put whose answer was lost.
    AUTO(far_live_done) struct far_live now = {0};
    AUTO(buf_done) struct buf theirs;
    buf_init(&theirs, BLOB_PART_BYTES);
    if (!far_backup_get(bs, &now, err))
        return false;
    far_backup_print(&now, &theirs);
    (void)snprintf(version, BLOB_ETAG_BYTES, "%s", now.version);
    return slice_eq(buf_slice(&theirs), buf_slice(&text)) ||
           err_set(err, ERR_BUSY, "%s: another backup was made there meanwhile", blob_name(bs));
}
