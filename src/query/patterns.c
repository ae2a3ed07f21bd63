/* patterns.c -- see patterns.h. One miner a scan; equal patterns of several are put together at the end. */
#include "query/patterns.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/slice_set.h"
#include "query/crew.h"
#include "query/scan.h"

#include <stdlib.h>

enum {
    WORDS_MAX = 256,        // of one line; the rest of it is variable
    CLUSTERS_MAX = 1000,    // of one miner; lines that fit none are not counted beyond it
    CLUSTERS_PER_SHAPE = 64,
    PATTERNS_MAX = 300,     // told
    LINE_BYTES_MAX = 4096,  // what is behind it is variable
    SIMILAR_PERCENT = 60,   // of the words that are not variable, to be the same pattern
};

struct cluster {
    struct cluster *next; // of the same shape
    uint64_t shape;       // hash of separators, number of words and level
    struct slice line;    // the first one: the separators are in it
    struct slice *words;  // ptr NULL: variable
    uint32_t words_count;
    bool open_end; // there was more behind the last word
    struct slice level;
    uint64_t total;
    uint32_t *counts;
};

struct miner {
    struct scan *scan;
    struct cluster **table; // by shape
    size_t clusters;
};

enum { TABLE_SLOTS = 1024 };

struct patterns {
    struct scan_team *team;
    struct view_selection sel;
    int64_t from_ns, to_ns, step_ns, first_ns, until_mono_ns;
    uint32_t steps, stride;
    struct miner *miners;
    atomic_bool late;
};

// --- words ------------------------------------------------------------------------------------------

static bool is_separator(uint8_t c)
{
    return c <= ' ' || c == '"' || c == '\'' || c == '=' || c == ':' || c == ',' || c == ';' || c == '{' || c == '}' ||
           c == '[' || c == ']' || c == '(' || c == ')' || c == '<' || c == '>' || c == '|' || c == '?' || c == '&' || c == '/';
}

struct words {
    struct slice items[WORDS_MAX]; // ptr NULL: variable
    uint32_t count;
    bool open_end;
    uint64_t shape;
};

static void split(struct slice line, struct slice level, struct words *w)
{
    size_t end = line.len < LINE_BYTES_MAX ? line.len : LINE_BYTES_MAX;
    uint64_t shape = hash64(level);
    w->count = 0;
    for (size_t at = 0; at < end && w->count < WORDS_MAX;) {
        size_t from = at;
        while (at < end && is_separator(line.ptr[at]))
            at++;
        shape = hash64_seed(slice_of(line.ptr + from, at - from), shape);
        from = at;
        bool variable = false;
        while (at < end && !is_separator(line.ptr[at])) {
            variable = variable || (line.ptr[at] >= '0' && line.ptr[at] <= '9');
            at++;
        }
        if (at > from)
            w->items[w->count++] = variable ? (struct slice){0} : slice_of(line.ptr + from, at - from);
        w->open_end = at < line.len;
    }
    w->shape = shape ^ w->count;
}

// --- clusters ---------------------------------------------------------------------------------------

// Whether enough of the words are equal.
static bool is_similar(const struct cluster *c, const struct words *w)
{
    uint32_t fixed = 0, same = 0;
    if (c->shape != w->shape || c->words_count != w->count)
        return false;
    for (uint32_t i = 0; i < w->count; i++) {
        if (c->words[i].ptr == NULL)
            continue;
        fixed++;
        same += w->items[i].ptr != NULL && slice_eq(c->words[i], w->items[i]);
    }
    return same * 100 >= fixed * SIMILAR_PERCENT;
}

static void join(struct cluster *c, const struct words *w)
{
    for (uint32_t i = 0; i < w->count; i++)
        if (c->words[i].ptr != NULL && (w->items[i].ptr == NULL || !slice_eq(c->words[i], w->items[i])))
            c->words[i] = (struct slice){0};
    c->open_end = c->open_end || w->open_end;
}

static struct cluster *new_cluster(struct patterns *p, struct miner *m, struct slice line, struct slice level,
                                   const struct words *w)
{
    struct arena *a = &m->scan->arena;
    struct cluster *c = arena_zalloc(a, sizeof *c);
    struct slice copy = arena_copy(a, slice_of(line.ptr, line.len < LINE_BYTES_MAX ? line.len : LINE_BYTES_MAX));
    struct slice *words = arena_array(a, w->count + 1, sizeof *words);
    uint32_t *counts = arena_zalloc(a, p->steps * sizeof *counts);
    struct slice level_copy = arena_copy(a, level);
    if (a->overflowed)
        return NULL;
    for (uint32_t i = 0; i < w->count; i++)
        words[i] = w->items[i].ptr == NULL ? w->items[i] : slice_of(copy.ptr + (w->items[i].ptr - line.ptr), w->items[i].len);
    *c = (struct cluster){.shape = w->shape, .line = copy, .words = words, .words_count = w->count, .open_end = w->open_end,
                          .level = level_copy, .counts = counts};
    m->clusters++;
    return c;
}

static bool add_line(struct patterns *p, struct miner *m, int64_t time_ns, struct slice line, struct slice level)
{
    struct words w;
    unsigned length = 0;
    split(line, level, &w);
    struct cluster **place = &m->table[w.shape % TABLE_SLOTS];
    for (; *place != NULL && !is_similar(*place, &w); place = &(*place)->next)
        length++;
    if (*place == NULL) {
        if (m->clusters == CLUSTERS_MAX || length >= CLUSTERS_PER_SHAPE)
            return true;
        *place = new_cluster(p, m, line, level, &w);
        if (*place == NULL)
            return scan_fail_memory(m->scan);
    }
    join(*place, &w);
    (*place)->total++;
    (*place)->counts[(time_ns - p->first_ns) / p->step_ns]++;
    return true;
}

// --- scanning ---------------------------------------------------------------------------------------

static bool mine_run(void *ctx, struct scan *scan, uint32_t number)
{
    struct patterns *p = ctx;
    struct miner *m = &p->miners[scan - scan->team->scans];
    // A stride that shares no factor with the number of runs visits each of them once.
    const struct view_run *run = &p->sel.runs[(uint64_t)number * p->stride % p->sel.runs_count];
    struct run_entries e;
    bool left_out;
    uint32_t first, end;
    if (clock_mono_ns() > p->until_mono_ns) {
        atomic_store(&p->late, true);
        return false;
    }
    if (!scan_load(scan, NULL, run, VIEW_TIMES | VIEW_LINES | VIEW_METADATA, &e, &left_out))
        return false;
    if (left_out)
        return true;
    scan_bounds(&e, p->from_ns, p->to_ns, &first, &end);
    for (uint32_t n = first; n < end; n++)
        if (!add_line(p, m, e.times_ns[n], slice_of(e.lines[n], e.line_bytes[n]),
                      labels_find(e.metadata[n], SLICE("detected_level"))))
            return false;
    scan->stats.lines_scanned += end - first;
    return true;
}

static uint32_t common_divisor(uint32_t a, uint32_t b)
{
    return b == 0 ? a : common_divisor(b, a % b);
}

// --- putting together ---------------------------------------------------------------------------------

// The pattern as `|>` takes it: `<_>` for what varies, never two without a character between them.
static struct slice print(const struct cluster *c, struct arena *a)
{
    struct buf b;
    buf_init(&b, 0);
    size_t at = 0;
    for (uint32_t i = 0; i < c->words_count; i++) {
        size_t from = at;
        while (at < c->line.len && is_separator(c->line.ptr[at]))
            at++;
        buf_put(&b, c->line.ptr + from, at - from);
        from = at;
        while (at < c->line.len && !is_separator(c->line.ptr[at]))
            at++;
        if (c->words[i].ptr == NULL)
            buf_put_cstr(&b, "<_>");
        else
            buf_put(&b, c->line.ptr + from, at - from);
    }
    if (!c->open_end)
        buf_put(&b, c->line.ptr + at, c->line.len - at);
    else if (b.len < 3 || memcmp(b.ptr + b.len - 3, "<_>", 3) != 0)
        buf_put_cstr(&b, "<_>");
    struct slice text = arena_copy(a, buf_slice(&b));
    buf_done(&b);
    return text;
}

static int most_frequent_first(const void *a, const void *b)
{
    const struct log_pattern *x = a, *y = b;
    return x->total != y->total ? (x->total > y->total ? -1 : 1) : slice_cmp(x->text, y->text);
}

static bool put_together(const struct patterns *p, unsigned miners, struct arena *a, struct log_patterns *out, struct err *err)
{
    struct slice_set known = {.arena = a};
    size_t room = 0;
    for (unsigned i = 0; i < miners; i++)
        room += p->miners[i].clusters;
    out->items = arena_zalloc(a, (room + 1) * sizeof *out->items);
    for (unsigned i = 0; i < miners && out->items != NULL; i++)
        for (size_t slot = 0; slot < TABLE_SLOTS; slot++)
            for (const struct cluster *c = p->miners[i].table[slot]; c != NULL; c = c->next) {
                struct slice text = print(c, a), key = slice_cstr(arena_printf(a, "%.*s\n%.*s", SLICE_FMT(c->level), SLICE_FMT(text)));
                size_t number = a->overflowed ? SIZE_MAX : slice_set_add(&known, key);
                if (number == SIZE_MAX)
                    return arena_ok(a, "patterns", err);
                struct log_pattern *to = &out->items[number];
                if (to->counts == NULL) {
                    *to = (struct log_pattern){text, c->level, c->total, c->counts};
                    continue;
                }
                to->total += c->total;
                for (uint32_t t = 0; t < p->steps; t++)
                    to->counts[t] += c->counts[t];
            }
    if (!arena_ok(a, "patterns", err))
        return false;
    out->count = known.count;
    qsort(out->items, out->count, sizeof *out->items, most_frequent_first);
    out->count = out->count > PATTERNS_MAX ? PATTERNS_MAX : out->count;
    return true;
}

static bool mine(struct patterns *p, const struct query_selector *selector, struct err *err)
{
    struct scan_team *team = p->team;
    struct arena *a = &team->scans[0].arena;
    if (!view_select(team->view, selector->matchers, selector->matchers_count, p->from_ns, p->to_ns, a, &p->sel, err))
        return false;
    view_settle(team->view);
    p->miners = arena_zalloc(a, team->count * sizeof *p->miners);
    for (unsigned i = 0; i < team->count && p->miners != NULL; i++) {
        p->miners[i].scan = &team->scans[i];
        p->miners[i].table = arena_zalloc(a, TABLE_SLOTS * sizeof *p->miners[i].table);
    }
    if (!arena_ok(a, "patterns", err))
        return false;
    p->stride = (uint32_t)((double)p->sel.runs_count * 0.618) + 1;
    while (p->sel.runs_count > 0 && common_divisor(p->stride, p->sel.runs_count) != 1)
        p->stride++;
    return scan_team_run(team, p->sel.runs_count, mine_run, p, err);
}

bool query_patterns(const struct query_context *context, const struct query_selector *selector, int64_t from_ns,
                    int64_t to_ns, int64_t step_ns, int64_t budget_ns, struct log_patterns *out, struct err *err)
{
    struct scan_team team;
    struct query_stats stats = {0};
    const char **warnings = NULL;
    uint32_t warnings_count = 0;
    int64_t behind = ((from_ns % step_ns) + step_ns) % step_ns;
    struct patterns p = {.team = &team, .from_ns = from_ns, .to_ns = to_ns, .step_ns = step_ns, .first_ns = from_ns - behind,
                         .until_mono_ns = clock_mono_ns() + budget_ns};
    p.steps = to_ns > p.first_ns ? (uint32_t)((to_ns - 1 - p.first_ns) / step_ns) + 1 : 1;
    unsigned miners = crew_workers(context->crew);
    bool good = scan_team_begin(&team, context, err) && mine(&p, selector, err);
    scan_team_end(&team, &stats, &warnings, &warnings_count);
    *out = (struct log_patterns){.steps = p.steps, .first_ns = p.first_ns, .lines = stats.lines_scanned,
                                 .sampled = atomic_load(&p.late)};
    return good && put_together(&p, miners, context->arena, out, err);
}
