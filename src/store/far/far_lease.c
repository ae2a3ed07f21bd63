/*
 * far_lease.c -- one writer per prefix.
 *
 * The object `lease` names the store, its writer and until when it writes. It is taken by a conditional put, and renewed
 * every third of its time by another; who is refused is not the writer (any more). A lease that has run out, with LEASE_SKEW_NS
 * for clocks that differ, is free for a directory that took over what was there when it last was renewed or given back, in
 * which all is contained that its holder ever put: that is the one whose own it is, and one that was empty and listed the bucket, as
 * long as nobody renewed it since (met_etag). Any other directory is behind: it was superseded, writes no more, and takes no pushes.
 *
 * The holder goes by its monotonic clock, which runs on while the process is stopped, from before the put; others by the wall clock that
 * the lease tells, so that it ends for the holder first.
 *
 * Servers that ignore conditions are found out by one that must fail. There the check is weaker: read, write, wait, read
 * again. Two that start within that wait at the same moment, both with clocks that are right, may both believe.
 */
#include "base/clock.h"
#include "base/limits.h"
#include "store/far/far.h"
#include "store/state.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { LEASE_BYTES_MAX = 4096, HOST_BYTES = 256 };

struct lease {
    char store_id[FAR_ID_BYTES];
    char writer_id[FAR_ID_BYTES];
    char host[HOST_BYTES];
    int64_t until_ns; // wall clock; 0: given back
    char etag[BLOB_ETAG_BYTES];
    bool there;
};

static bool parse(const char *text, struct lease *out)
{
    struct lease l = {.there = true};
    if (sscanf(text, "mstore lease 1\nstore %32[0-9a-f]\nwriter %32[0-9a-f]\nhost %255[^\n]\nuntil %" SCNd64 "\n", l.store_id,
               l.writer_id, l.host, &l.until_ns) != 4)
        return false;
    *out = l;
    return true;
}

static bool read_lease(struct far *far, struct lease *out, struct err *err)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, 0);
    struct blob_info info;
    if (!blob_get_whole(far->bs, "lease", LEASE_BYTES_MAX, &b, &info, err)) {
        *out = (struct lease){0};
        return err->code == ERR_NOT_FOUND;
    }
    buf_put_byte(&b, '\0');
    if (!parse((const char *)b.ptr, out))
        return err_set(err, ERR_CORRUPT, "%slease is no lease of this version", blob_name(far->bs));
    (void)snprintf(out->etag, sizeof out->etag, "%s", info.etag);
    return true;
}

// Whether somebody else writes now.
static bool is_taken(const struct far *far, const struct lease *l)
{
    return l->there && strcmp(l->writer_id, far->writer_id) != 0 && l->until_ns != 0 &&
           l->until_ns + LEASE_SKEW_NS > clock_wall_ns();
}

static bool set_taken(const struct far *far, const struct lease *l, struct err *err)
{
    char until[CLOCK_RFC3339_BYTES];
    clock_rfc3339(l->until_ns + LEASE_SKEW_NS, until);
    return err_set(err, ERR_BUSY, "%s has another writer, on %s, whose lease ends at %s unless it is renewed",
                   blob_name(far->bs), l->host, until);
}

bool lease_look(struct far *far, bool *there_out, char store_id_out[FAR_ID_BYTES], struct err *err)
{
    struct lease l;
    if (!read_lease(far, &l, err))
        return false;
    if (is_taken(far, &l))
        return set_taken(far, &l, err);
    memcpy(far->met_etag, l.etag, sizeof far->met_etag);
    *there_out = l.there;
    memcpy(store_id_out, l.store_id, FAR_ID_BYTES);
    return true;
}

// Whether everything that its holder put is known here.
static bool is_current(const struct far *far, const struct lease *l)
{
    return !l->there || strcmp(l->writer_id, far->writer_id) == 0 ||
           (l->etag[0] != '\0' && strcmp(l->etag, far->met_etag) == 0);
}

// Somebody else has it, or had it. Always false.
static bool lose(struct far *far, const struct lease *l, struct err *err)
{
    atomic_store(&far->lease_until_ns, 0);
    atomic_store(&far->superseded, true);
    if (is_taken(far, l))
        return set_taken(far, l, err);
    return err_set(err, ERR_BUSY, "%s was written to by another directory, on %s, since this one did: what is there is newer. "
                   "Start on an empty directory; what was not sent from here is here still", blob_name(far->bs), l->host);
}

// --- taking it --------------------------------------------------------------------------------------

static size_t lease_text(const struct far *far, int64_t until_ns, char text[LEASE_BYTES_MAX])
{
    char host[HOST_BYTES] = "unknown";
    (void)gethostname(host, sizeof host - 1);
    return (size_t)snprintf(text, LEASE_BYTES_MAX, "mstore lease 1\nstore %s\nwriter %s\nhost %s\nuntil %" PRId64 "\n",
                            far->store_id, far->writer_id, host, until_ns);
}

static void note_held(struct far *far, int64_t begun_mono_ns)
{
    atomic_store(&far->superseded, false);
    bool held = lease_held(far);
    atomic_store(&far->lease_until_ns, begun_mono_ns + far->st->options.far_lease_ns);
    if (!held)
        far_wake(far);
}

static bool put_lease(struct far *far, const char *etag, bool *put_out, struct err *err)
{
    char text[LEASE_BYTES_MAX];
    size_t len = lease_text(far, clock_wall_ns() + far->st->options.far_lease_ns, text);
    struct blob_info info;
    if (!blob_put_if(far->bs, "lease", slice_of(text, len), etag, put_out, &info, err))
        return false;
    if (*put_out)
        (void)snprintf(far->lease_etag, sizeof far->lease_etag, "%s", info.etag);
    return true;
}

static bool look_again(struct far *far, struct err *err)
{
    struct lease l;
    if (!far_pause(far, LEASE_WEAK_WAIT_NS))
        return err_set(err, ERR_CANCELLED, "the store is being closed");
    if (!read_lease(far, &l, err))
        return false;
    return (l.there && strcmp(l.writer_id, far->writer_id) == 0) || set_taken(far, &l, err);
}

static bool take(struct far *far, struct err *err)
{
    struct lease l;
    bool put = false;
    int64_t begun_ns = clock_mono_ns();
    if (!read_lease(far, &l, err))
        return false;
    if (is_taken(far, &l) || !is_current(far, &l))
        return lose(far, &l, err);
    if (l.there && strcmp(l.store_id, far->store_id) != 0)
        return err_set(err, ERR_INPUT, "%s belongs to another store", blob_name(far->bs));
    if (!put_lease(far, l.there ? l.etag : NULL, &put, err))
        return false;
    if (!put)
        return err_set(err, ERR_BUSY, "%s: another writer was faster", blob_name(far->bs));
    // A condition that must fail: does the server heed them?
    if (!put_lease(far, NULL, &far->lease_weak, err) || (far->lease_weak && !look_again(far, err)))
        return false;
    note_held(far, begun_ns);
    return true;
}

static bool renew(struct far *far, struct err *err)
{
    struct lease l;
    bool put = false;
    int64_t begun_ns = clock_mono_ns();
    if (far->lease_weak) { // nothing would refuse us: look first
        if (!read_lease(far, &l, err))
            return false;
        if (l.there && strcmp(l.writer_id, far->writer_id) != 0)
            return lose(far, &l, err);
    }
    if (!put_lease(far, far->lease_etag, &put, err))
        return false;
    if (!put) { // somebody else's, or ours by a put whose answer was lost
        if (!read_lease(far, &l, err))
            return false;
        if (l.there && strcmp(l.writer_id, far->writer_id) != 0)
            return lose(far, &l, err);
        if (!put_lease(far, l.there ? l.etag : NULL, &put, err))
            return false;
        if (!put)
            return err_set(err, ERR_BUSY, "%s: another writer was faster", blob_name(far->bs));
    }
    note_held(far, begun_ns);
    return true;
}

bool lease_held(const struct far *far)
{
    return clock_mono_ns() < atomic_load(&far->lease_until_ns) - far->st->options.far_lease_ns / LEASE_MARGIN_SHARE;
}

void lease_give_back(struct far *far, const struct blob_options *options)
{
    if (atomic_load(&far->lease_until_ns) == 0)
        return;
    struct blob_options quick = *options;
    quick.attempts_max = 2;
    quick.deadline_ns = LEASE_GIVE_BACK_NS;
    quick.connect_ns = LEASE_GIVE_BACK_NS;
    AUTO(blob_closep) struct blob_store *bs = NULL;
    char text[LEASE_BYTES_MAX];
    size_t len = lease_text(far, 0, text);
    bool put;
    struct blob_info info;
    struct err ignored; // the lease runs out by itself
    if (blob_open(&quick, &bs, &ignored))
        (void)!blob_put_if(bs, "lease", slice_of(text, len), far->lease_etag, &put, &info, &ignored);
}

// --- the thread -------------------------------------------------------------------------------------

void *lease_main(void *arg)
{
    struct far *far = arg;
    int64_t pause_ns = 0;
    while (far_pause(far, pause_ns)) {
        struct err why;
        bool good = atomic_load(&far->lease_until_ns) == 0 ? take(far, &why) : renew(far, &why);
        int64_t third_ns = far->st->options.far_lease_ns / 3;
        pause_ns = good || third_ns < LEASE_PAUSE_NS ? third_ns : LEASE_PAUSE_NS;
        far_tell(far, FAR_LEASE, good ? NULL : &why, "the bucket's lease is ours");
    }
    return NULL;
}
