/*
 * kv.c -- the door to LMDB; see kv.h.
 */
#include "index/kv.h"

#include "base/fs.h"
#include "base/limits.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { KV_READERS_MAX = 1024 }; // transactions open at once; queries in hand are fewer

static const struct {
    const char *name;
    unsigned flags;
} tables[KV_TABLES_COUNT] = {
    [KV_META] = {"meta", 0},
    [KV_TENANTS] = {"tenants", 0},
    [KV_STREAM_IDS] = {"stream_ids", 0},
    [KV_STREAMS] = {"streams", 0},
    [KV_POSTINGS] = {"postings", MDB_DUPSORT | MDB_DUPFIXED},
    [KV_LONG_PAIRS] = {"long_pairs", 0},
    [KV_DAYS] = {"days", 0},
    [KV_RUNS] = {"runs", 0},
    [KV_SEGMENTS] = {"segments", 0},
    [KV_TRACES] = {"traces", 0},
    [KV_PLACES] = {"places", 0},
};

struct kv {
    MDB_env *env;
    MDB_dbi dbis[KV_TABLES_COUNT];
};

static MDB_val val_of(struct slice s)
{
    return (MDB_val){s.len, (void *)(uintptr_t)s.ptr};
}

static struct slice slice_of_val(MDB_val v)
{
    return slice_of(v.mv_data, v.mv_size);
}

// The one place that translates LMDB's codes.
static bool kv_fail(int rc, const char *what, struct err *err)
{
    if (rc == MDB_MAP_FULL)
        return err_set(err, ERR_FULL, "index: %s: the map is full", what);
    if (rc == MDB_CORRUPTED || rc == MDB_PAGE_NOTFOUND || rc == MDB_INVALID ||
        rc == MDB_VERSION_MISMATCH || rc == MDB_INCOMPATIBLE)
        return err_set(err, ERR_CORRUPT, "index: %s: %s", what, mdb_strerror(rc));
    if (rc == MDB_READERS_FULL)
        return err_set(err, ERR_BUSY, "index: %s: more than %d readers", what, KV_READERS_MAX);
    if (rc > 0)
        return err_errno(err, rc, "index: %s", what);
    return err_set(err, ERR_IO, "index: %s: %s", what, mdb_strerror(rc));
}

static bool open_tables(struct kv *kv, bool write, struct err *err)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(kv->env, NULL, write ? 0 : MDB_RDONLY, &txn);
    if (rc != 0)
        return kv_fail(rc, "begin", err);
    for (int t = 0; t < KV_TABLES_COUNT && rc == 0; t++)
        rc = mdb_dbi_open(txn, tables[t].name, (write ? MDB_CREATE : 0U) | tables[t].flags,
                          &kv->dbis[t]);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc == MDB_NOTFOUND ? err_set(err, ERR_CORRUPT, "index: a table is missing")
                                  : kv_fail(rc, "open tables", err);
    }
    rc = mdb_txn_commit(txn);
    return rc == 0 || kv_fail(rc, "create tables", err);
}

static int open_env(const char *path, unsigned flags, size_t map_bytes, MDB_env **env_out)
{
    MDB_env *env;
    int rc = mdb_env_create(&env);
    if (rc != 0)
        return rc;
    rc = mdb_env_set_maxdbs(env, KV_TABLES_COUNT);
    if (rc == 0)
        rc = mdb_env_set_mapsize(env, map_bytes);
    if (rc == 0)
        rc = mdb_env_set_maxreaders(env, KV_READERS_MAX);
    if (rc == 0)
        rc = mdb_env_open(env, path, flags, 0644);
    if (rc == 0)
        *env_out = env;
    else
        mdb_env_close(env);
    return rc;
}

bool kv_open(const char *path, enum kv_mode mode, struct kv **kv_out, struct err *err)
{
    if (mode != KV_READ && !fs_mkdir(path, err))
        return false;
    struct kv *kv = calloc(1, sizeof *kv);
    assert(kv != NULL);
    unsigned flags = MDB_NOTLS | MDB_NORDAHEAD | (mode == KV_SCRATCH ? MDB_NOSYNC | MDB_NOLOCK : 0U) |
                     (mode == KV_READ ? MDB_RDONLY : 0U);
    // Where address space is rationed (ulimit -v, sanitizers) a smaller map does.
    int rc = ENOMEM;
    for (uint64_t bytes = INDEX_MAP_BYTES; rc == ENOMEM && bytes >= INDEX_MAP_BYTES_MIN; bytes /= 2)
        rc = open_env(path, flags, bytes, &kv->env);
    if (rc != 0) {
        kv_close(kv);
        kv_fail(rc, "open", err);
        return err_wrap(err, "%s", path);
    }
    int dead;
    (void)mdb_reader_check(kv->env, &dead); // slots of processes that died; a failure costs nothing
    if (!open_tables(kv, mode != KV_READ, err)) {
        kv_close(kv);
        return err_wrap(err, "%s", path);
    }
    *kv_out = kv;
    return true;
}

void kv_close(struct kv *kv)
{
    if (kv == NULL)
        return;
    if (kv->env != NULL)
        mdb_env_close(kv->env);
    free(kv);
}

bool kv_copy(struct kv *kv, const char *path, struct err *err)
{
    AUTO(fs_closep) int fd = -1;
    if (!fs_create(path, true, &fd, err))
        return false;
    int rc = fs_fault();
    if (rc == 0)
        rc = mdb_env_copyfd2(kv->env, fd, MDB_CP_COMPACT);
    if (rc != 0)
        return kv_fail(rc, "copy", err) || err_wrap(err, "%s", path);
    return fs_sync(fd, path, err);
}

bool kv_begin(struct kv *kv, bool write, struct kv_txn *txn_out, struct err *err)
{
    MDB_txn *handle = NULL;
    int rc = write ? fs_fault() : 0;
    if (rc == 0)
        rc = mdb_txn_begin(kv->env, NULL, write ? 0 : MDB_RDONLY, &handle);
    if (rc != 0)
        return kv_fail(rc, "begin", err);
    *txn_out = (struct kv_txn){.kv = kv, .handle = handle};
    return true;
}

bool kv_commit(struct kv_txn *txn, struct err *err)
{
    if (txn->rc == 0) {
        txn->rc = fs_fault();
        txn->what = "commit";
    }
    if (txn->rc != 0) {
        kv_abort(txn);
        return kv_ok(txn, err);
    }
    MDB_txn *handle = MOVE(txn->handle); // LMDB frees it whatever the outcome
    txn->rc = mdb_txn_commit(handle);
    return kv_ok(txn, err);
}

void kv_abort(struct kv_txn *txn)
{
    if (txn->handle == NULL)
        return;
    MDB_txn *handle = MOVE(txn->handle);
    mdb_txn_abort(handle);
}

bool kv_ok(const struct kv_txn *txn, struct err *err)
{
    return txn->rc == 0 || kv_fail(txn->rc, txn->what, err);
}

void kv_broken(struct kv_txn *txn, const char *what)
{
    if (txn->rc == 0) {
        txn->rc = MDB_CORRUPTED;
        txn->what = what;
    }
}

void kv_will_read(struct slice value)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (value.len <= page / 2) // such a value lies beside its key, which was read
        return;
    uintptr_t from = (uintptr_t)value.ptr & ~(uintptr_t)(page - 1);
    // A failure costs the time that was to be saved.
    (void)madvise((void *)from, (uintptr_t)value.ptr + value.len - from, MADV_WILLNEED);
}

// Remembers a failure; true when the call succeeded.
static bool settle(struct kv_txn *txn, int rc, const char *what)
{
    if (rc == 0)
        return true;
    if (rc != MDB_NOTFOUND && txn->rc == 0) {
        txn->rc = rc;
        txn->what = what;
    }
    return false;
}

bool kv_get(struct kv_txn *txn, enum kv_table table, struct slice key, struct slice *value_out)
{
    if (txn->rc != 0)
        return false;
    MDB_val k = val_of(key), v;
    if (!settle(txn, mdb_get(txn->handle, txn->kv->dbis[table], &k, &v), "get"))
        return false;
    *value_out = slice_of_val(v);
    return true;
}

void kv_put(struct kv_txn *txn, enum kv_table table, struct slice key, struct slice value)
{
    if (txn->rc != 0)
        return;
    MDB_val k = val_of(key), v = val_of(value);
    (void)settle(txn, mdb_put(txn->handle, txn->kv->dbis[table], &k, &v, 0), "put");
}

void kv_put_new(struct kv_txn *txn, enum kv_table table, struct slice key, struct slice value)
{
    if (txn->rc != 0)
        return;
    unsigned flags = tables[table].flags & MDB_DUPSORT ? MDB_NODUPDATA : MDB_NOOVERWRITE;
    MDB_val k = val_of(key), v = val_of(value);
    int rc = mdb_put(txn->handle, txn->kv->dbis[table], &k, &v, flags);
    if (rc != MDB_KEYEXIST)
        (void)settle(txn, rc, "put");
}

void kv_del(struct kv_txn *txn, enum kv_table table, struct slice key)
{
    if (txn->rc != 0)
        return;
    MDB_val k = val_of(key);
    (void)settle(txn, mdb_del(txn->handle, txn->kv->dbis[table], &k, NULL), "delete");
}

void kv_del_dup(struct kv_txn *txn, enum kv_table table, struct slice key, struct slice value)
{
    if (txn->rc != 0)
        return;
    MDB_val k = val_of(key), v = val_of(value);
    (void)settle(txn, mdb_del(txn->handle, txn->kv->dbis[table], &k, &v), "delete");
}

uint64_t kv_entries(struct kv_txn *txn, enum kv_table table)
{
    MDB_stat stat = {0};
    if (txn->rc == 0)
        (void)settle(txn, mdb_stat(txn->handle, txn->kv->dbis[table], &stat), "stat");
    return stat.ms_entries;
}

void kv_cursor_open(struct kv_txn *txn, enum kv_table table, struct kv_cursor *c)
{
    *c = (struct kv_cursor){.txn = txn};
    if (txn->rc == 0)
        (void)settle(txn, mdb_cursor_open(txn->handle, txn->kv->dbis[table], &c->handle), "cursor");
}

void kv_cursor_close(struct kv_cursor *c)
{
    if (c->handle != NULL)
        mdb_cursor_close(MOVE(c->handle));
}

static bool move_to(struct kv_cursor *c, MDB_val k, MDB_cursor_op op)
{
    if (c->txn->rc != 0)
        return false;
    MDB_val v = {0};
    if (!settle(c->txn, mdb_cursor_get(c->handle, &k, &v, op), "read"))
        return false;
    c->key = slice_of_val(k);
    c->value = slice_of_val(v);
    return true;
}

bool kv_seek(struct kv_cursor *c, struct slice key)
{
    return move_to(c, val_of(key), MDB_SET_RANGE);
}

bool kv_find(struct kv_cursor *c, struct slice key)
{
    return move_to(c, val_of(key), MDB_SET_KEY);
}

bool kv_last(struct kv_cursor *c)
{
    return move_to(c, (MDB_val){0}, MDB_LAST);
}

bool kv_next(struct kv_cursor *c)
{
    return move_to(c, (MDB_val){0}, MDB_NEXT);
}

bool kv_next_key(struct kv_cursor *c)
{
    return move_to(c, (MDB_val){0}, MDB_NEXT_NODUP);
}

void kv_cursor_del(struct kv_cursor *c)
{
    if (c->txn->rc == 0)
        (void)settle(c->txn, mdb_cursor_del(c->handle, 0), "delete");
}

static bool dups_at(struct kv_cursor *c, MDB_cursor_op op, struct slice *dups_out)
{
    if (c->txn->rc != 0)
        return false;
    MDB_val k = {0}, v = {0};
    if (!settle(c->txn, mdb_cursor_get(c->handle, &k, &v, op), "read"))
        return false;
    *dups_out = slice_of_val(v);
    return true;
}

bool kv_dups(struct kv_cursor *c, struct slice *dups_out)
{
    struct slice dups;
    if (!dups_at(c, MDB_GET_MULTIPLE, &dups))
        return false;
    // LMDB keeps a single duplicate in the node itself and then gives nothing here.
    *dups_out = dups.len > 0 ? dups : c->value;
    return true;
}

bool kv_next_dups(struct kv_cursor *c, struct slice *dups_out)
{
    return dups_at(c, MDB_NEXT_MULTIPLE, dups_out);
}

uint64_t kv_dups_count(struct kv_cursor *c)
{
    size_t count = 0;
    if (c->txn->rc == 0)
        (void)settle(c->txn, mdb_cursor_count(c->handle, &count), "count");
    return count;
}
