/* seg_fetch.c -- see seg_fetch.h. */
#include "store/segment/seg_fetch.h"

#include "base/limits.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

enum piece_state { PIECE_GROWS, PIECE_WAITS, PIECE_RUNS, PIECE_READY, PIECE_FAILED };

struct piece {
    struct piece *next;
    struct seg *seg; // borrowed from the view
    bool finds;      // a block is to be found, no more
    bool chunk;      // of small columns: counts for nothing
    uint32_t block;
    enum piece_state state;
    uint64_t pos;
    size_t len;
    size_t needed; // of len: without gaps
    size_t taken;
    uint64_t born; // number of takes when it was announced
    uint32_t users; // who wait for it, or copy from it: it stays
    uint8_t *bytes; // owned
};

struct seg_fetcher {
    pthread_mutex_t lock;
    pthread_cond_t work;  // something waits, or stop
    pthread_cond_t done;  // a piece is ready, or failed
    struct piece *first, **last; // lock; in the order in which they were announced
    size_t count;                // lock
    uint64_t ahead_bytes;  // lock; of pieces, as far as they were not taken
    uint64_t taken_bytes;  // lock; that scans asked for, whoever read it
    uint64_t vain_bytes;   // lock
    uint64_t takes;        // lock
    bool full;             // lock; until half of what may lie ahead was taken, so that pieces become large
    bool to_the_end;       // lock
    bool stop;             // lock
    pthread_t threads[AHEAD_FETCHES_MAX];
    unsigned threads_count, idle; // lock
};

struct seg_fetcher *seg_fetcher_new(void)
{
    struct seg_fetcher *f = calloc(1, sizeof *f);
    assert(f != NULL);
    f->last = &f->first;
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->work, NULL);
    pthread_cond_init(&f->done, NULL);
    return f;
}

void seg_fetcher_to_the_end(struct seg_fetcher *f)
{
    pthread_mutex_lock(&f->lock);
    f->to_the_end = true;
    pthread_mutex_unlock(&f->lock);
}

// With the lock held, and no users.
static void drop(struct seg_fetcher *f, struct piece *p)
{
    struct piece **at = &f->first;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    if (f->last == &p->next)
        f->last = at;
    f->count--;
    f->ahead_bytes -= p->chunk ? 0 : p->len - p->taken;
    free(p->bytes);
    free(p);
}

void seg_fetcher_free(struct seg_fetcher *f)
{
    if (f == NULL)
        return;
    pthread_mutex_lock(&f->lock);
    f->stop = true;
    pthread_cond_broadcast(&f->work);
    pthread_mutex_unlock(&f->lock);
    for (unsigned i = 0; i < f->threads_count; i++)
        pthread_join(f->threads[i], NULL);
    while (f->first != NULL)
        drop(f, f->first);
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->work);
    pthread_cond_destroy(&f->done);
    free(f);
}

// --- fetching ---------------------------------------------------------------------------------------

// With the lock held, which it gives up meanwhile. Nobody fetches the piece yet.
static void run(struct seg_fetcher *f, struct piece *p)
{
    p->state = PIECE_RUNS;
    p->users++;
    pthread_mutex_unlock(&f->lock);
    struct err ignored; // A2
    uint8_t *bytes = p->finds ? NULL : malloc(p->len);
    bool good = p->finds ? seg_find_block(p->seg, p->block, &ignored) : bytes != NULL && seg_read_bytes(p->seg, p->pos, bytes, p->len, &ignored);
    pthread_mutex_lock(&f->lock);
    p->bytes = bytes;
    p->state = good ? PIECE_READY : PIECE_FAILED;
    p->users--;
    pthread_cond_broadcast(&f->done);
    if (p->users == 0 && p->finds == good) // what could not be found is not tried again
        drop(f, p);
}

static struct piece *next_waiting(struct seg_fetcher *f)
{
    struct piece *p = f->first;
    while (p != NULL && p->state != PIECE_WAITS)
        p = p->next;
    return p;
}

static void *fetch_main(void *arg)
{
    struct seg_fetcher *f = arg;
    pthread_mutex_lock(&f->lock);
    while (!f->stop) {
        struct piece *p = next_waiting(f);
        if (p != NULL) {
            run(f, p);
            continue;
        }
        f->idle++;
        pthread_cond_wait(&f->work, &f->lock);
        f->idle--;
    }
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

// With the lock held: a piece is whole.
static void start(struct seg_fetcher *f, struct piece *p)
{
    unsigned waiting = 0;
    p->state = PIECE_WAITS;
    for (const struct piece *other = f->first; other != NULL; other = other->next)
        waiting += other->state == PIECE_WAITS;
    if (waiting > f->idle && f->threads_count < AHEAD_FETCHES_MAX &&
        pthread_create(&f->threads[f->threads_count], NULL, fetch_main, f) == 0)
        (void)pthread_setname_np(f->threads[f->threads_count++], "ahead");
    pthread_cond_signal(&f->work); // without any thread the one who needs it fetches it
}

void seg_fetcher_go(struct seg_fetcher *f)
{
    pthread_mutex_lock(&f->lock);
    for (struct piece *p = f->first; p != NULL; p = p->next)
        if (p->state == PIECE_GROWS)
            start(f, p);
    pthread_mutex_unlock(&f->lock);
}

// --- announcing -------------------------------------------------------------------------------------

static struct piece *find(struct seg_fetcher *f, const struct seg *seg, uint64_t pos, size_t len)
{
    for (struct piece *p = f->first; p != NULL; p = p->next)
        if (p->seg == seg && !p->finds && pos >= p->pos && pos - p->pos <= p->len && len <= p->len - (size_t)(pos - p->pos))
            return p;
    return NULL;
}

// What nobody came for while AHEAD_TAKES_MAX others were taken.
static void drop_stale(struct seg_fetcher *f)
{
    for (struct piece *p = f->first, *next; p != NULL; p = next) {
        next = p->next;
        if (p->state != PIECE_READY || p->users > 0 || f->takes - p->born <= AHEAD_TAKES_MAX)
            continue;
        f->vain_bytes += p->chunk ? 0 : p->len - p->taken;
        drop(f, p);
    }
}

// A1
static bool has_room(const struct seg_fetcher *f, size_t len)
{
    uint64_t ahead = f->ahead_bytes + f->vain_bytes, half = f->taken_bytes / 2;
    if (f->count >= AHEAD_PIECES_MAX || f->ahead_bytes + len > AHEAD_BYTES_MAX)
        return false;
    return f->to_the_end || ahead + len <= half || (ahead == 0 && len <= f->taken_bytes); // the second block
}

static struct piece *add(struct seg_fetcher *f, struct seg *seg, uint64_t pos, size_t len)
{
    struct piece *p = calloc(1, sizeof *p);
    assert(p != NULL);
    *p = (struct piece){.seg = seg, .pos = pos, .len = len, .needed = len, .born = f->takes};
    *f->last = p;
    f->last = &p->next;
    f->count++;
    f->ahead_bytes += len;
    return p;
}

// Whether the bytes can become part of a piece that grows.
static bool grow(struct seg_fetcher *f, struct piece *p, const struct seg *seg, uint64_t pos, size_t len)
{
    if (p->state != PIECE_GROWS || p->seg != seg || p->finds || p->chunk)
        return false;
    bool behind = pos >= p->pos + p->len;
    if (!behind && pos + len > p->pos)
        return false;
    uint64_t gap = behind ? pos - (p->pos + p->len) : p->pos - (pos + len);
    uint64_t gaps = p->len - p->needed + gap;
    if (gap > SOURCE_GAP_BYTES || gaps > (p->needed + len) / 4 || p->len + gap + len > AHEAD_PIECE_BYTES_MAX)
        return false;
    p->pos = behind ? p->pos : pos;
    p->len += (size_t)gap + len;
    p->needed += len;
    f->ahead_bytes += gap + len;
    return true;
}

// As part of a piece that grows, or as one of its own.
static void announce(struct seg_fetcher *f, struct seg *seg, uint64_t pos, size_t len)
{
    for (struct piece *p = f->first; p != NULL; p = p->next)
        if (grow(f, p, seg, pos, len))
            return;
    (void)add(f, seg, pos, len);
}

// Whether it is a small column, whose chunk is then a piece of its own.
static bool announce_chunk(struct seg_fetcher *f, struct seg *seg, const struct seg_range *range)
{
    uint64_t from = range->pos - (range->pos - range->from) % AHEAD_CHUNK_BYTES;
    uint64_t end = range->pos + range->bytes, to = from;
    if (f->to_the_end || range->bytes > AHEAD_CHUNK_BYTES || f->count >= AHEAD_PIECES_MAX)
        return false;
    while (to < end)
        to += AHEAD_CHUNK_BYTES;
    to = to < range->to ? to : range->to;
    if (to - from == range->bytes)
        return false;
    struct piece *p = add(f, seg, from, (size_t)(to - from));
    p->chunk = true;
    f->ahead_bytes -= p->len;
    start(f, p);
    return true;
}

static bool want_bytes(struct seg_fetcher *f, struct seg *seg, const struct seg_range *range)
{
    uint64_t pos = range->pos;
    size_t len = range->bytes;
    if (len == 0 || find(f, seg, pos, len) != NULL || announce_chunk(f, seg, range))
        return true;
    if (f->full && f->ahead_bytes > (f->taken_bytes < 2 * AHEAD_BYTES_MAX ? f->taken_bytes / 4 : AHEAD_BYTES_MAX / 2))
        return false;
    if (!has_room(f, len))
        drop_stale(f);
    f->full = !has_room(f, len);
    if (f->full)
        return false;
    announce(f, seg, pos, len);
    return true;
}

bool seg_fetcher_find(struct seg_fetcher *f, struct seg *seg, uint32_t block)
{
    if (seg_has_found_block(seg, block) || !seg_is_far(seg))
        return true;
    pthread_mutex_lock(&f->lock);
    // A1: that is about what it costs, at most one at a time.
    bool early = !f->to_the_end && f->taken_bytes < SOURCE_TAIL_BYTES;
    unsigned finding = 0;
    for (const struct piece *p = f->first; p != NULL && !early; p = p->next) {
        finding += p->finds && p->state != PIECE_FAILED;
        early = p->finds && p->seg == seg;
    }
    if (!early && finding < (f->to_the_end ? AHEAD_FETCHES_MAX : 1)) {
        struct piece *p = add(f, seg, 0, 0);
        p->finds = true;
        p->block = block;
        start(f, p);
    }
    pthread_mutex_unlock(&f->lock);
    return false;
}

bool seg_fetcher_want(struct seg_fetcher *f, struct seg *seg, uint32_t block, unsigned mask)
{
    struct seg_range ranges[COLUMNS_COUNT];
    bool good = true;
    if (!seg_is_far(seg))
        return true;
    unsigned count = seg_block_ranges(seg, block, mask, ranges);
    pthread_mutex_lock(&f->lock);
    for (unsigned i = 0; i < count && good; i++)
        good = want_bytes(f, seg, &ranges[i]);
    pthread_mutex_unlock(&f->lock);
    return good;
}

void seg_fetcher_need(struct seg_fetcher *f, struct seg *seg, uint32_t block, unsigned mask)
{
    struct seg_range ranges[COLUMNS_COUNT];
    unsigned count = seg_block_ranges(seg, block, mask, ranges);
    if (count < 2)
        return; // who reads it asks for it
    pthread_mutex_lock(&f->lock);
    for (unsigned i = 0; i < count; i++)
        if (ranges[i].bytes > 0 && find(f, seg, ranges[i].pos, ranges[i].bytes) == NULL && !announce_chunk(f, seg, &ranges[i]))
            start(f, add(f, seg, ranges[i].pos, ranges[i].bytes));
    pthread_mutex_unlock(&f->lock);
}

// --- taking -----------------------------------------------------------------------------------------

bool seg_fetcher_take(struct seg_fetcher *f, const struct seg *seg, uint64_t pos, void *into, size_t len)
{
    pthread_mutex_lock(&f->lock);
    f->taken_bytes += len;
    f->takes++;
    struct piece *p = find(f, seg, pos, len);
    if (p == NULL) {
        pthread_mutex_unlock(&f->lock);
        return false;
    }
    p->users++;
    if (p->state == PIECE_GROWS || p->state == PIECE_WAITS)
        run(f, p);
    while (p->state == PIECE_RUNS)
        pthread_cond_wait(&f->done, &f->lock);
    bool good = p->state == PIECE_READY;
    if (good) {
        memcpy(into, p->bytes + (pos - p->pos), len);
        size_t part = len < p->len - p->taken ? len : p->len - p->taken;
        p->taken += part;
        f->ahead_bytes -= p->chunk ? 0 : part;
    }
    p->users--;
    bool over = !good || p->taken >= p->needed;
    if (over && p->users == 0)
        drop(f, p);
    pthread_mutex_unlock(&f->lock);
    return good;
}
