/*
 * backup_bucket.c -- backups in a bucket: what is taken of a directory is sent there.
 *
 * A bucket is slow, a server under load is not: so all that may have to be sent is got hold of first, by the rules of backup.c
 * (K1..K4), with logs copied and segments open, whose descriptors pin them whatever becomes of their names. Each is then one of three:
 *
 *     kept      the list has it with a tag, and the object has that tag and its length: it was read before (B3)
 *     to read   an object of that length is there, and nobody has read it as it is: a run cut short left it, or it was put anew
 *     to send   there is none, or of another length; or it was read, and is damaged
 *
 * What is to be read is read, then the rest is sent and read back. Last the object `backup` names all of it (B1, B2), and what it
 * does not name is deleted. So a run costs two lists of the bucket, and what has changed.
 */
#include "backup.h"

#include "bucket.h"

#include "base/fs.h"
#include "base/hash.h"
#include "base/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum pin_kind { PIN_SEGMENT, PIN_LOG, PIN_DELETIONS };
enum pin_state { PIN_KEPT, PIN_TO_READ, PIN_TO_SEND };

struct pin {
    enum pin_kind kind;
    enum pin_state state;
    struct far_item item; // its tag: of the object as it was listed, or put
    int fd;               // -1: kept
};

struct object {
    char key[FAR_KEY_BYTES];
    uint64_t bytes, tag;
};

struct backup_pins {
    struct blob_store *bs;
    struct far_live before; // the backup that is there; empty: none
    struct object *objects; // owned; as they were listed, by key
    size_t objects_count, objects_room;
    struct pin *items; // owned
    size_t count, room;
};

static void pins_done(struct backup_pins *p)
{
    for (size_t i = 0; i < p->count; i++)
        fs_close(p->items[i].fd);
    free(p->items);
    free(p->objects);
    far_live_done(&p->before);
    blob_close(p->bs);
}

static void key_of(const struct pin *pin, char out[FAR_KEY_BYTES])
{
    if (pin->kind == PIN_SEGMENT)
        seg_object_key(pin->item.gen, out);
    else if (pin->kind == PIN_LOG)
        far_log_key(&pin->item, out);
    else
        far_deletions_key(&pin->item, out);
}

// --- pinning ----------------------------------------------------------------------------------------

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct object *)a)->key, ((const struct object *)b)->key);
}

static const struct object *find_object(const struct backup_pins *p, const struct pin *pin)
{
    struct object wanted;
    key_of(pin, wanted.key);
    return p->objects_count == 0 ? NULL : bsearch(&wanted, p->objects, p->objects_count, sizeof wanted, by_key);
}

// What the list says of it; NULL: nothing of the same length and checksum.
static const struct far_item *find_named(const struct backup_pins *p, const struct pin *pin)
{
    const struct far_item *named = pin->kind == PIN_SEGMENT ? far_items_find(&p->before.segments, pin->item.gen)
                                   : pin->kind == PIN_LOG   ? far_items_find(&p->before.logs, pin->item.gen)
                                                            : &p->before.deletions;
    return named != NULL && named->bytes == pin->item.bytes && named->check == pin->item.check ? named : NULL;
}

static enum pin_state judge(const struct backup_pins *p, struct pin *pin, bool deep)
{
    const struct far_item *named = find_named(p, pin);
    const struct object *object = find_object(p, pin);
    if (object == NULL || object->bytes != pin->item.bytes)
        return PIN_TO_SEND;
    pin->item.tag = object->tag;
    return deep || named == NULL || named->tag == 0 || named->tag != object->tag ? PIN_TO_READ : PIN_KEPT;
}

void backup_unpin(struct backup *b)
{
    struct backup_pins *p = b->pins;
    for (size_t i = 0; i < p->count; i++)
        fs_close(p->items[i].fd);
    p->count = 0;
    b->entries = b->spans = 0;
}

static bool pin_file(struct backup *b, const char *path, enum pin_kind kind, uint64_t gen, struct err *err)
{
    struct backup_pins *p = b->pins;
    AUTO(fs_closep) int fd = -1;
    struct pin pin = {.kind = kind, .item = {.gen = gen}, .fd = -1};
    if (!fs_open_read(path, &fd, err) || !fs_bytes(fd, path, &pin.item.bytes, err) ||
        !(kind == PIN_SEGMENT ? backup_check_of_file : hash64_file)(fd, path, pin.item.bytes, &pin.item.check, err))
        return false;
    pin.state = judge(p, &pin, b->deep);
    if (pin.state != PIN_KEPT)
        pin.fd = MOVE_FD(fd);
    if (p->count == p->room) {
        p->room = p->room == 0 ? 64 : 2 * p->room;
        p->items = realloc(p->items, p->room * sizeof *p->items);
        if (p->items == NULL)
            abort();
    }
    p->items[p->count++] = pin;
    return true;
}

bool backup_pin(struct backup *b, const char *name, struct err *err)
{
    char path[BACKUP_PATH_BYTES];
    uint64_t gen = strtoull(name, NULL, 16);
    (void)snprintf(path, sizeof path, "%s/segments/%s", b->from, name);
    if (!pin_file(b, path, PIN_SEGMENT, gen, err))
        return false;
    backup_count(b, path, gen);
    return true;
}

// What was copied into the scratch directory.
static bool pin_rest(struct backup *b, struct err *err)
{
    AUTO(names_done) struct names logs = {0};
    char path[BACKUP_PATH_BYTES];
    bool exists;
    (void)snprintf(path, sizeof path, "%s/deletions", b->to);
    if (!names_list(b->to, "wal", ".wal", &logs, err) || !fs_exists(path, &exists, err) ||
        (exists && !pin_file(b, path, PIN_DELETIONS, 0, err)))
        return false;
    for (size_t i = 0; i < logs.count; i++) {
        (void)snprintf(path, sizeof path, "%s/wal/%s", b->to, logs.items[i]);
        if (!pin_file(b, path, PIN_LOG, strtoull(logs.items[i], NULL, 16), err))
            return false;
    }
    return true;
}

// --- what is there ----------------------------------------------------------------------------------

static bool visit_before(void *ctx, const struct blob_item *item, struct err *err)
{
    struct backup_pins *p = ctx;
    if (strcmp(item->key, "lease") == 0 || strncmp(item->key, "index/", 6) == 0)
        return err_set(err, ERR_INPUT, "%s has a store that mstored writes: take another prefix for the backup",
                       blob_name(p->bs));
    if (strlen(item->key) >= FAR_KEY_BYTES)
        return true; // none of ours
    if (p->objects_count == p->objects_room) {
        p->objects_room = p->objects_room == 0 ? 64 : 2 * p->objects_room;
        p->objects = realloc(p->objects, p->objects_room * sizeof *p->objects);
        if (p->objects == NULL)
            abort();
    }
    struct object *o = &p->objects[p->objects_count++]; // keys ascend
    *o = (struct object){.bytes = item->bytes, .tag = far_tag(item->etag)};
    (void)snprintf(o->key, sizeof o->key, "%s", item->key);
    return true;
}

// What is there. Where there is nothing, a backup begins that is incomplete.
static bool look(struct backup_pins *p, struct err *err)
{
    static const struct far_live first = {.kind = FAR_BACKUP, .incomplete = true};
    struct err ignored; // not every server can list them
    if (!blob_list(p->bs, "", visit_before, p, err))
        return false;
    (void)!blob_drop_parts(p->bs, SEG_KEY_PREFIX, &ignored);
    return far_backup_get(p->bs, &p->before, err) ||
           (err->code == ERR_NOT_FOUND && far_backup_put(p->bs, &first, p->before.version, err));
}

// Numbers are a store's own. Some in common, and not one of them the same, are another store's.
static bool is_of_same_store(const struct backup_pins *p, struct err *err)
{
    size_t common = 0, same = 0;
    for (size_t i = 0; i < p->count; i++) {
        common += far_items_find(&p->before.segments, p->items[i].item.gen) != NULL;
        same += find_named(p, &p->items[i]) != NULL;
    }
    return common == 0 || same > 0 ||
           err_set(err, ERR_INPUT, "%s is the backup of another store: take another prefix", blob_name(p->bs));
}

// --- reading ----------------------------------------------------------------------------------------

static void add_item(struct far_live *live, const struct pin *pin)
{
    if (pin->kind == PIN_DELETIONS)
        live->deletions = pin->item;
    else
        far_items_add(pin->kind == PIN_SEGMENT ? &live->segments : &live->logs, &pin->item);
}

static bool is_bad(const struct backup_reading *r, const struct pin *pin)
{
    return pin->kind == PIN_SEGMENT ? far_items_find(&r->bad, pin->item.gen) != NULL : r->rest_bad;
}

// Of the pins in that state. Those that are good are kept then, for the others nothing changes but that they have no tag.
static bool read_pins(struct backup *b, enum pin_state state, struct err *err)
{
    struct backup_pins *p = b->pins;
    AUTO(far_live_done) struct far_live part = {.kind = FAR_BACKUP};
    AUTO(backup_reading_done) struct backup_reading reading = {.part = &part, .repairable = state == PIN_TO_READ};
    for (size_t i = 0; i < p->count; i++)
        if (p->items[i].state == state)
            add_item(&part, &p->items[i]);
    if (part.segments.count + part.logs.count + part.deletions.bytes == 0)
        return true;
    if (!backup_read(b, b->bucket, &reading, err))
        return false;
    for (size_t i = 0; i < p->count; i++) {
        struct pin *pin = &p->items[i];
        if (pin->state != state)
            continue;
        if (is_bad(&reading, pin))
            pin->item.tag = 0;
        else
            pin->state = PIN_KEPT;
    }
    return true;
}

// --- sending ----------------------------------------------------------------------------------------

// What the list has a tag of was there, so something befell it.
static void tell_lost(struct backup *b, const struct pin *pin)
{
    const struct far_item *named = find_named(b->pins, pin);
    const struct object *object = find_object(b->pins, pin);
    char key[FAR_KEY_BYTES];
    if (named == NULL || named->tag == 0)
        return;
    key_of(pin, key);
    if (object == NULL)
        fprintf(stderr, "mstore-dump: gone, and sent again: %s%s\n", blob_name(b->pins->bs), key);
    else
        fprintf(stderr, "mstore-dump: damaged, and sent again: %s%s: %" PRIu64 " bytes of %" PRIu64 "\n", blob_name(b->pins->bs),
                key, object->bytes, pin->item.bytes);
    b->damaged++;
}

static bool send_pins(struct backup *b, struct err *err)
{
    struct backup_pins *p = b->pins;
    for (size_t i = 0; i < p->count; i++) {
        struct pin *pin = &p->items[i];
        struct blob_info info;
        char key[FAR_KEY_BYTES];
        key_of(pin, key);
        if (pin->state == PIN_TO_SEND) {
            tell_lost(b, pin);
        } else if (pin->state == PIN_TO_READ) { // it was, and is bad
            pin->state = PIN_TO_SEND;
            b->damaged++;
        } else {
            continue;
        }
        if (b->progress)
            fprintf(stderr, "\r\033[K%s", key);
        if (!blob_put_file(p->bs, key, pin->fd, key, pin->item.bytes, BLOB_ANYTHING, &info, err))
            return false;
        pin->item.tag = far_tag(info.etag);
        b->segments_new += pin->kind == PIN_SEGMENT;
        b->bytes_new += pin->kind == PIN_SEGMENT ? pin->item.bytes : 0;
    }
    return true;
}

struct removal {
    const struct far_live *keep;
    char (*doomed)[FAR_KEY_BYTES]; // owned
    size_t count, room;
};

static void removal_done(struct removal *r)
{
    free(r->doomed);
}

static bool is_named(const struct far_live *live, const char *key, bool *ours_out)
{
    char name[FAR_KEY_BYTES] = "";
    uint64_t gen, check;
    *ours_out = true;
    if (sscanf(key, SEG_KEY_PREFIX "%16" SCNx64 ".seg", &gen) == 1)
        return far_items_find(&live->segments, gen) != NULL;
    if (sscanf(key, "wal/%16" SCNx64 "-", &gen) == 1) {
        const struct far_item *log = far_items_find(&live->logs, gen);
        if (log != NULL)
            far_log_key(log, name);
        return strcmp(name, key) == 0;
    }
    *ours_out = sscanf(key, "deletions-%16" SCNx64, &check) == 1;
    if (live->deletions.bytes > 0)
        far_deletions_key(&live->deletions, name);
    return strcmp(name, key) == 0;
}

static bool visit_after(void *ctx, const struct blob_item *item, struct err *err)
{
    (void)err;
    struct removal *r = ctx;
    bool ours;
    if (is_named(r->keep, item->key, &ours) || !ours || strlen(item->key) >= FAR_KEY_BYTES)
        return true;
    if (r->count == r->room) {
        r->room = r->room == 0 ? 64 : 2 * r->room;
        r->doomed = realloc(r->doomed, r->room * sizeof *r->doomed);
        if (r->doomed == NULL)
            abort();
    }
    (void)snprintf(r->doomed[r->count++], FAR_KEY_BYTES, "%s", item->key);
    return true;
}

static bool remove_unnamed(struct blob_store *bs, const struct far_live *keep, struct err *err)
{
    AUTO(removal_done) struct removal r = {.keep = keep};
    if (!blob_list(bs, "", visit_after, &r, err))
        return false;
    for (size_t i = 0; i < r.count; i++)
        if (!blob_delete(bs, r.doomed[i], err))
            return false;
    return true;
}

// A descriptor for each segment that is new.
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); // a refusal leaves what there was
    }
}

static bool send_all(struct backup *b, struct err *err)
{
    struct backup_pins *p = b->pins;
    AUTO(far_live_done) struct far_live next = {.kind = FAR_BACKUP};
    if (!look(p, err) || !backup_take(b, err) || !is_of_same_store(p, err) || !pin_rest(b, err) ||
        !read_pins(b, PIN_TO_READ, err) || !send_pins(b, err) || !read_pins(b, PIN_TO_SEND, err))
        return false;
    for (size_t i = 0; i < p->count; i++)
        add_item(&next, &p->items[i]);
    return far_backup_put(p->bs, &next, p->before.version, err) && remove_unnamed(p->bs, &next, err);
}

bool backup_send(struct backup *b, struct err *err)
{
    AUTO(dump_scratch_done) struct dump_scratch scratch = {0};
    AUTO(pins_done) struct backup_pins pins = {0};
    struct dump_bucket bucket;
    struct backup local = *b;
    if (!dump_bucket_parse(b->to, &bucket, err))
        return false;
    if (bucket.gen != 0)
        return err_set(err, ERR_INPUT, "%s: a backup is put below a prefix", b->to);
    if (!blob_open(&bucket.options, &pins.bs, err) || !dump_scratch_make(&scratch, err) ||
        !backup_make_folders(scratch.path, err))
        return false;
    raise_descriptors();
    local.to = scratch.path;
    local.bucket = b->to;
    local.pins = &pins;
    bool good = send_all(&local, err);
    if (b->progress)
        fputs("\r\033[K", stderr);
    local.to = b->to;
    local.pins = NULL;
    *b = local;
    return good;
}
