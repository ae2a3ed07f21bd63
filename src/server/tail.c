/*
 * tail.c -- see tail.h.
 *
 *     feed (store.h) -> every tail of the tenant: query_match -> pending, by time -> frames -> socket
 *
 * T1  Entries are released when their time is `delay_for` ago, and never before their time.
 * T2  A tail whose client does not read keeps TAIL_PENDING_BYTES_MAX at most, and all tails together a share of the
 *     memory; what does not fit is dropped and told.
 * T3  The lock is over the list and everything in tails; the thread holds it for a round, never while it waits.
 */
#include "server/tail_state.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/jsonout.h"
#include "base/labels.h"
#include "base/limits.h"
#include "base/metric.h"
#include "query/encode.h"
#include "server/ws.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ROUND_MS = 100,          // between two looks at what arrived
    ARRIVALS_PER_READ = 256,
    ENTRIES_PER_FRAME = 100,
    FRAME_BYTES = 128 * 1024, // an entry that passes it is the frame's last
    OUT_BYTES_MAX = 256 * 1024, // unsent frames; further entries wait as pending
    OUT_KEPT_BYTES = 16 * 1024, // memory of frames that a tail keeps for its next ones
    READ_BYTES = 4096,
    DROPPED_TOLD_MAX = 100,
    TAILS_MEMORY_SHARE = 8, // of --memory: one part for what clients did not read yet
};
static const int64_t FEED_NS = ROUND_MS * NS_PER_MS, // how long sockets wait while there is always more to read
                     PING_NS = NS_PER_S, CLOSE_WAIT_NS = 5 * NS_PER_S;

void tails_wake(struct tails *t)
{
    uint64_t one = 1;
    ssize_t written = write(t->wake, &one, sizeof one);
    (void)written; // a full counter wakes as well
}

// --- one tail ---------------------------------------------------------------------------------------

void tail_free(struct tail *t)
{
    for (struct pending *p = t->first, *next; p != NULL; p = next) {
        next = p->next;
        free(p);
    }
    query_free(t->query);
    arena_done(&t->arena);
    free(t->history);
    buf_done(&t->dropped);
    buf_done(&t->in);
    buf_done(&t->out);
    free(t);
}

// With the lock. The list holds it no more.
static void take_off(struct tails *all, struct tail *t)
{
    struct tail **place = &all->first;
    while (*place != t)
        place = &(*place)->next;
    *place = t->next;
    all->count--;
    all->listening -= t->counted;
    metric_set(GAUGE_TAILS, all->listening);
    all->pending_bytes -= t->pending_bytes;
    t->pending_bytes = 0;
    if (all->first == NULL) {
        store_feed_free(all->feed);
        all->feed = NULL;
    }
}

struct hash128 tail_hash(struct slice labels, int64_t time_ns, struct slice line)
{
    struct hash128 h = hash_128(line), l = hash_128(labels);
    return (struct hash128){h.hi ^ l.lo ^ (uint64_t)time_ns * UINT64_C(0x9e3779b97f4a7c15), h.lo + l.hi};
}

int tail_by_hash(const void *a, const void *b)
{
    const struct hash128 *x = a, *y = b;
    return x->hi != y->hi ? (x->hi < y->hi ? -1 : 1) : (x->lo > y->lo) - (x->lo < y->lo);
}

bool tail_was_given(const struct tail *t, struct hash128 hash)
{
    return t->history_count > 0 && bsearch(&hash, t->history, t->history_count, sizeof hash, tail_by_hash) != NULL;
}

// --- pending entries ----------------------------------------------------------------------------------

static void put_labels(struct buf *b, struct slice labels, bool legacy)
{
    if (!legacy) {
        jsonout_labels(b, labels);
        return;
    }
    struct buf text;
    buf_init(&text, 0);
    labels_print(&text, labels);
    jsonout_string(b, buf_slice(&text));
    buf_done(&text);
}

static void tell_dropped(struct tail *t, int64_t time_ns, struct slice labels)
{
    if (t->dropped_told == DROPPED_TOLD_MAX)
        return;
    buf_printf(&t->dropped, "%s{\"timestamp\":\"%" PRId64 "\",\"labels\":", t->dropped_told++ > 0 ? "," : "", time_ns);
    jsonout_labels(&t->dropped, labels);
    buf_put_byte(&t->dropped, '}');
}

static void drain(struct tail *t);

// Sockets are served between reads of the feed; where a burst does not wait for that, they are served here.
static bool make_room(struct tail *t, size_t bytes, size_t bytes_max)
{
    struct tails *all = t->tails;
    if (t->pending_bytes + bytes > bytes_max)
        drain(t);
    if (all->pending_bytes + bytes > all->pending_bytes_max && !all->stuck) {
        size_t before = all->pending_bytes;
        for (struct tail *other = all->first; other != NULL; other = other->next)
            drain(other);
        all->stuck = all->pending_bytes == before; // until the next read of the feed
    }
    return t->pending_bytes + bytes <= bytes_max && all->pending_bytes + bytes <= all->pending_bytes_max;
}

void tail_add_pending(struct tail *t, const struct query_entry *e, struct slice labels, size_t bytes_max)
{
    struct buf b;
    buf_init(&b, 0);
    put_labels(&b, t->categorize ? e->labels : labels, t->legacy);
    size_t labels_len = b.len;
    jsonout_string(&b, e->line);
    if (t->categorize) {
        buf_put_byte(&b, ',');
        encode_categories(&b, e->metadata, e->parsed);
    }
    size_t bytes = sizeof(struct pending) + b.len;
    bool room = bytes_max == SIZE_MAX || make_room(t, bytes, bytes_max);
    struct pending *p = !room || b.bad ? NULL : malloc(bytes);
    if (p == NULL) {
        metric_add(COUNTER_TAIL_DROPPED, 1);
        tell_dropped(t, e->time_ns, labels);
        buf_done(&b);
        return;
    }
    *p = (struct pending){.time_ns = e->time_ns, .hash = tail_hash(labels, e->time_ns, e->line), .bytes = bytes,
                           .labels_len = labels_len, .line_len = b.len - labels_len};
    memcpy(p->text, b.ptr, b.len);
    buf_done(&b);
    t->pending_bytes += bytes;
    t->tails->pending_bytes += bytes;
    if (t->last == NULL || t->last->time_ns <= p->time_ns) { // the usual case
        *(t->last != NULL ? &t->last->next : &t->first) = p;
        t->last = p;
        return;
    }
    struct pending **place = &t->first;
    while ((*place)->time_ns <= p->time_ns)
        place = &(*place)->next;
    p->next = *place;
    *place = p;
}

static void offer(struct tails *all, struct tail *t, const struct store_arrival *arrival)
{
    struct query_entry e;
    if (!query_match(t->query, arrival, all->space, &e))
        return;
    struct slice labels = query_entry_labels(e.labels, e.metadata, e.parsed, &all->scratch);
    if (labels.ptr != NULL && !tail_was_given(t, tail_hash(labels, e.time_ns, e.line)))
        tail_add_pending(t, &e, labels, TAIL_PENDING_BYTES_MAX);
    arena_reset(&all->scratch);
}

// --- frames -----------------------------------------------------------------------------------------

static void put_entry(struct buf *b, const struct tail *t, const struct pending *p)
{
    buf_put_cstr(b, t->legacy ? "{\"labels\":" : "{\"stream\":");
    buf_put(b, (const uint8_t *)p->text, p->labels_len);
    if (t->legacy) {
        char at[CLOCK_RFC3339_BYTES];
        clock_rfc3339(p->time_ns, at);
        buf_printf(b, ",\"entries\":[{\"ts\":\"%s\",\"line\":", at);
    } else {
        buf_printf(b, ",\"values\":[[\"%" PRId64 "\",", p->time_ns);
    }
    buf_put(b, (const uint8_t *)p->text + p->labels_len, p->line_len);
    buf_put_cstr(b, t->legacy ? "}]}" : "]]}");
}

void tail_take_pending(struct tail *t, struct pending *p)
{
    t->pending_bytes -= p->bytes;
    t->tails->pending_bytes -= p->bytes;
    free(p);
}

bool tail_put_frame(struct tail *t, int64_t until_ns)
{
    if ((t->first == NULL || t->first->time_ns > until_ns) && t->dropped_told == 0)
        return false;
    struct buf b;
    buf_init(&b, 0);
    buf_put_cstr(&b, "{\"streams\":[");
    for (unsigned n = 0; n < ENTRIES_PER_FRAME && b.len < FRAME_BYTES && t->first != NULL && t->first->time_ns <= until_ns; n++) {
        struct pending *p = t->first;
        if (n > 0)
            buf_put_byte(&b, ',');
        put_entry(&b, t, p);
        t->first = p->next;
        if (t->first == NULL)
            t->last = NULL;
        tail_take_pending(t, p);
    }
    buf_put_byte(&b, ']');
    if (t->flags.len > 0 && !t->legacy) {
        buf_put_byte(&b, ',');
        encode_flags(&b, t->flags);
    }
    if (t->dropped_told > 0) {
        buf_put_cstr(&b, ",\"dropped_entries\":[");
        buf_put_slice(&b, buf_slice(&t->dropped));
        buf_put_byte(&b, ']');
        buf_reset(&t->dropped);
        t->dropped_told = 0;
    } else if (t->legacy) {
        buf_put_cstr(&b, ",\"dropped_entries\":null");
    }
    buf_put_byte(&b, '}');
    ws_put_frame(&t->out, WS_TEXT, buf_slice(&b));
    buf_done(&b);
    return true;
}

void tail_start_close(struct tail *t, enum ws_code code, struct slice reason)
{
    if (t->closing_mono_ns != 0)
        return;
    ws_put_close(&t->out, code, reason);
    t->closing_mono_ns = clock_mono_ns();
}

static void send_out(struct tail *t)
{
    while (t->sent < t->out.len) {
        ssize_t n = send(t->fd, t->out.ptr + t->sent, t->out.len - t->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            t->gone = t->gone || (errno != EAGAIN && errno != EWOULDBLOCK);
            return;
        }
        t->sent += (size_t)n;
    }
    if (t->out.len > OUT_KEPT_BYTES)
        buf_done(&t->out);
    buf_reset(&t->out);
    t->sent = 0;
}

// Frames of what is due, as far as the client takes them.
static void drain(struct tail *t)
{
    if (t->fd < 0 || !t->live || t->closing_mono_ns != 0)
        return;
    int64_t until_ns = clock_wall_ns() - t->delay_ns;
    bool more = true;
    while (more && !t->gone && t->out.len - t->sent < OUT_BYTES_MAX) {
        more = tail_put_frame(t, until_ns);
        if (!more || t->out.len - t->sent >= OUT_BYTES_MAX)
            send_out(t);
    }
}

// --- reading the client -------------------------------------------------------------------------------

static void take_frame(struct tail *t, const struct ws_frame *f)
{
    if (f->opcode == WS_PING && t->closing_mono_ns == 0) {
        ws_put_frame(&t->out, WS_PONG, f->payload);
    } else if (f->opcode == WS_CLOSE) {
        tail_start_close(t, WS_NORMAL, SLICE(""));
        send_out(t);
        t->gone = true;
    }
    // Text and pongs mean nothing here.
}

static void take_frames(struct tail *t)
{
    size_t pos = 0, used;
    while (!t->gone && t->closing_mono_ns == 0) {
        struct ws_frame f;
        enum ws_code code;
        enum ws_result result = ws_take(&t->reader, t->in.ptr + pos, t->in.len - pos, &used, &f, &code);
        if (result == WS_BAD)
            tail_start_close(t, code, SLICE("a frame that cannot be taken"));
        if (result != WS_FRAME)
            break;
        take_frame(t, &f);
        pos += used;
    }
    if (pos > 0) {
        memmove(t->in.ptr, t->in.ptr + pos, t->in.len - pos);
        t->in.len -= pos;
    }
}

static void read_in(struct tail *t)
{
    uint8_t bytes[READ_BYTES];
    while (!t->gone) {
        ssize_t n = recv(t->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            t->gone = n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
            return;
        }
        if (t->closing_mono_ns == 0)
            buf_put(&t->in, bytes, (size_t)n);
        take_frames(t);
    }
}

// --- the thread -------------------------------------------------------------------------------------

// Entries of one stream mostly come together: which tails it is for is decided once.
static bool choose_tails(struct tails *all, const struct store_arrival *arrival)
{
    bool any = false;
    for (struct tail *t = all->first; t != NULL; t = t->next) {
        t->selects = !t->refused && slice_eq(t->tenant, arrival->tenant) && query_selects(t->query, arrival->labels);
        any = any || t->selects;
    }
    return any;
}

static bool same_stream(const struct store_arrival *a, const struct store_arrival *b)
{
    return a->labels.ptr == b->labels.ptr && a->tenant.ptr == b->tenant.ptr;
}

// Every tail is told; which of the entries were for it is not known.
static void note_missed(struct tails *all, uint64_t missed)
{
    metric_add(COUNTER_TAIL_MISSED, missed);
    for (struct tail *t = all->first; t != NULL; t = t->next)
        if (!t->refused)
            tell_dropped(t, clock_wall_ns(), LABELS_EMPTY);
}

static void read_feed(struct tails *all)
{
    struct store_arrival arrivals[ARRIVALS_PER_READ];
    int64_t until_ns = clock_mono_ns() + FEED_NS;
    all->behind = false;
    while (all->feed != NULL && clock_mono_ns() < until_ns) {
        uint64_t missed;
        size_t count = store_feed_read(all->feed, arrivals, ARRIVALS_PER_READ, &missed);
        if (missed > 0)
            note_missed(all, missed);
        if (count == 0)
            return;
        bool any = false;
        all->stuck = false;
        for (size_t i = 0; i < count; i++) {
            if (i == 0 || !same_stream(&arrivals[i], &arrivals[i - 1]))
                any = choose_tails(all, &arrivals[i]);
            for (struct tail *t = any ? all->first : NULL; t != NULL; t = t->next)
                if (t->selects)
                    offer(all, t, &arrivals[i]);
        }
    }
    all->behind = true;
}

static void serve(struct tail *t, int64_t now_mono_ns)
{
    read_in(t);
    drain(t);
    if (now_mono_ns >= t->ends_mono_ns)
        tail_start_close(t, WS_INTERNAL, SLICE("reached tail max duration limit"));
    // One ping at a time: a client that does not read gets no heap of them.
    if (t->closing_mono_ns == 0 && t->out.len == t->sent && now_mono_ns - t->pinged_mono_ns >= PING_NS) {
        ws_put_frame(&t->out, WS_PING, SLICE(""));
        t->pinged_mono_ns = now_mono_ns;
    }
    send_out(t);
    if (t->closing_mono_ns != 0 && (t->out.len == 0 || now_mono_ns - t->closing_mono_ns > CLOSE_WAIT_NS))
        t->gone = true;
}

// Without the lock: closing is the HTTP library's matter.
static void end_tails(struct tail *t)
{
    for (struct tail *next; t != NULL; t = next) {
        next = t->next;
        (void)shutdown(t->fd, SHUT_WR);
        t->closed(t->closed_ctx);
        tail_free(t);
    }
}

// Returns those that ended, off the list.
static struct tail *run_round(struct tails *all)
{
    struct tail *ended = NULL;
    int64_t now_mono_ns = clock_mono_ns();
    read_feed(all);
    for (struct tail *t = all->first, *next; t != NULL; t = next) {
        next = t->next;
        if (t->fd >= 0)
            serve(t, now_mono_ns);
        if (t->fd >= 0 && t->gone) {
            take_off(all, t);
            t->next = ended;
            ended = t;
        }
    }
    metric_set(GAUGE_TAIL_PENDING_BYTES, (int64_t)all->pending_bytes);
    return ended;
}

// Waits for sockets, or for the next round.
static void wait_round(struct tails *all)
{
    struct pollfd *fds = NULL;
    nfds_t count = 1;
    int timeout = -1;
    (void)pthread_mutex_lock(&all->lock);
    fds = malloc((all->count + 1) * sizeof *fds);
    assert(fds != NULL);
    fds[0] = (struct pollfd){.fd = all->wake, .events = POLLIN};
    for (struct tail *t = all->first; t != NULL; t = t->next) {
        timeout = all->behind ? 0 : ROUND_MS;
        if (t->fd >= 0)
            fds[count++] = (struct pollfd){.fd = t->fd, .events = (short)(POLLIN | (t->out.len > t->sent ? POLLOUT : 0))};
    }
    (void)pthread_mutex_unlock(&all->lock);
    int ready = poll(fds, count, timeout);
    if (ready > 0 && (fds[0].revents & POLLIN) != 0) {
        uint64_t value;
        ssize_t n = read(all->wake, &value, sizeof value);
        (void)n;
    }
    free(fds);
}

static void *tails_main(void *arg)
{
    struct tails *all = arg;
    bool stop = false;
    while (!stop) {
        wait_round(all);
        (void)pthread_mutex_lock(&all->lock);
        struct tail *ended = run_round(all);
        stop = all->stop;
        (void)pthread_mutex_unlock(&all->lock);
        end_tails(ended);
    }
    return NULL;
}

struct tails *tails_new(const struct app *app)
{
    struct tails *all = calloc(1, sizeof *all);
    assert(all != NULL);
    all->app = app;
    all->pending_bytes_max = app->config->memory_bytes / TAILS_MEMORY_SHARE;
    all->space = query_space_new();
    arena_init(&all->scratch, QUERY_ARENA_BYTES_MAX);
    all->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert(all->wake >= 0);
    (void)pthread_mutex_init(&all->lock, NULL);
    int rc = pthread_create(&all->thread, NULL, tails_main, all);
    assert(rc == 0);
    (void)pthread_setname_np(all->thread, "tails");
    return all;
}

void tails_stop(struct tails *all)
{
    (void)pthread_mutex_lock(&all->lock);
    all->stop = true;
    (void)pthread_mutex_unlock(&all->lock);
    tails_wake(all);
    (void)pthread_join(all->thread, NULL);
    struct tail *ended = NULL;
    (void)pthread_mutex_lock(&all->lock);
    for (struct tail *t = all->first, *next; t != NULL; t = next) {
        next = t->next;
        if (t->fd < 0)
            continue; // its exchange has it still
        tail_start_close(t, WS_GOING_AWAY, SLICE("the server is stopping"));
        send_out(t);
        take_off(all, t);
        t->next = ended;
        ended = t;
    }
    (void)pthread_mutex_unlock(&all->lock);
    end_tails(ended);
}

void tails_free(struct tails *all)
{
    if (all == NULL)
        return;
    assert(all->stop && all->first == NULL);
    query_space_free(all->space);
    arena_done(&all->scratch);
    (void)close(all->wake);
    (void)pthread_mutex_destroy(&all->lock);
    free(all);
}

// --- sockets --------------------------------------------------------------------------------------------

void tail_connect(struct tail *t, int fd, struct slice early, void (*closed)(void *ctx), void *ctx)
{
    struct tails *all = t->tails;
    (void)pthread_mutex_lock(&all->lock);
    buf_put_slice(&t->in, early);
    t->closed = closed;
    t->closed_ctx = ctx;
    t->pinged_mono_ns = clock_mono_ns();
    t->fd = fd;
    bool stop = all->stop;
    if (stop)
        take_off(all, t);
    t->next = stop ? NULL : t->next;
    (void)pthread_mutex_unlock(&all->lock);
    if (stop)
        end_tails(t);
    else
        tails_wake(all);
}

void tail_abandon(struct tail *t)
{
    struct tails *all = t->tails;
    (void)pthread_mutex_lock(&all->lock);
    take_off(all, t);
    (void)pthread_mutex_unlock(&all->lock);
    tail_free(t);
}
