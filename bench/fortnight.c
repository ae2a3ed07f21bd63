/*
 * fortnight.c -- a store that is kept for two weeks: what it costs, what is left, what queries of it take.
 *
 *     fortnight DIR [--bytes N] [--days N] [--batch ENTRIES] [--flush] [--no-queries] [--keep]
 *
 * The clock is set: days of pushes pass as fast as the store takes them, while it seals, compacts and drops what expired as
 * it does in time. Four classes of streams, each with the period of a rule: 72 of production (14 days), 24 of development
 * (1 day), 4 of audit (for ever), 2000 small ones (14 days). At the end exactly what the rules keep is counted. `--flush`
 * seals after every batch: many tiny segments. `--keep` leaves the store as it is then; else a year passes at last. Prints a
 * Markdown table; 1 when the count is not what it has to be.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/metric.h"
#include "lines.h"
#include "query/crew.h"
#include "query/query.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum class { PROD, DEV, AUDIT, SMALL, CLASSES };
static const char *const class_names[CLASSES] = {"prod", "dev", "audit", "small"};
static const unsigned class_streams[CLASSES] = {72, 24, 4, 2000};
static const unsigned class_entries[CLASSES] = {20, 20, 20, 2}; // of one stream, one after the other
static const char class_turns[] = "ppppppppppppppppppppppppddddaass"; // of groups, in turn
enum { LINE_BYTES_ABOUT = 182, KEPT_DAYS = 14 };
#define NEEDLE "the one line that is looked for: 5d41402abc4b2a76b9719d911017c592"

static uint64_t total_bytes = UINT64_C(20) * 1000 * 1000 * 1000;
static unsigned days = 16, batch_entries = 4000;
static bool flush_each, ask = true, keep;

static int64_t start_ns, batch_ns; // of time
static unsigned batches, batches_a_day;
static uint32_t (*counts)[CLASSES]; // by batch: the model
static uint64_t line_bytes, lines, seed = 1;
static double made_cpu; // of making lines

static double cpu_seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double seconds_since(int64_t mono_ns)
{
    return (double)(clock_mono_ns() - mono_ns) / 1e9;
}

static _Noreturn void fail(const char *what, const struct err *err)
{
    fprintf(stderr, "fortnight: %s: %s\n", what, err->text);
    exit(1);
}

// --- the store --------------------------------------------------------------------------------------

static bool refuse(void *ctx, struct slice payload, struct arena *a, struct batch *batch_out, struct err *err)
{
    (void)ctx, (void)payload, (void)a, (void)batch_out;
    return err_set(err, ERR_CORRUPT, "the benchmark replays nothing");
}

static void report(void *ctx, bool failure, const char *text)
{
    (void)ctx;
    if (failure)
        fprintf(stderr, "%s\n", text);
}

static struct store *open_store(const char *dir)
{
    static const struct label_matcher dev = {SLICE("class"), MATCH_EQ, SLICE("dev"), NULL, NULL};
    static const struct label_matcher audit = {SLICE("class"), MATCH_EQ, SLICE("audit"), NULL, NULL};
    static struct retention_rule rules[2];
    int64_t day_ns = batch_ns * batches_a_day;
    rules[0] = (struct retention_rule){.matchers = &dev, .matchers_count = 1, .period_ns = day_ns, .text = "dev"};
    rules[1] = (struct retention_rule){.matchers = &audit, .matchers_count = 1, .period_ns = 0, .text = "audit"};
    struct store *st;
    struct err err;
    struct store_options options = {.dir = dir, .decode = refuse, .sync_off = true, .report = report,
                                    .retention = {KEPT_DAYS * day_ns, rules, 2}};
    if (!store_open(&options, &st, &err))
        fail("open", &err);
    return st;
}

// --- lines ------------------------------------------------------------------------------------------

static struct slice labels_of(enum class c, unsigned number, struct arena *a)
{
    static const char *const jobs[] = {"nginx", "app", "query"};
    struct label pairs[] = {{SLICE("class"), slice_cstr(class_names[c])},
                            {SLICE("host"), slice_cstr(arena_printf(a, "host-%u", number))},
                            {SLICE("job"), slice_cstr(jobs[number % 3])}};
    return labels_encoded(&(struct labels){pairs, COUNT_OF(pairs)}, a);
}

static enum class next_class(void)
{
    static unsigned turn;
    switch (class_turns[turn++ % (sizeof class_turns - 1)]) {
    case 'p':
        return PROD;
    case 'd':
        return DEV;
    case 'a':
        return AUDIT;
    default:
        return SMALL;
    }
}

static struct slice next_line(unsigned number, struct arena *a)
{
    static int (*const makers[])(uint64_t *, char *, size_t) = {line_nginx, line_json, line_logfmt};
    char line[1024];
    int len = makers[number % 3](&seed, line, sizeof line);
    return arena_copy(a, slice_of(line, (size_t)len));
}

static void make_batch(unsigned at, struct arena *a, struct batch *b)
{
    static unsigned turns[CLASSES];
    double begun = cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
    struct label level = {SLICE("detected_level"), SLICE("info")};
    struct slice metadata = labels_encoded(&(struct labels){&level, 1}, a);
    int64_t time_ns = start_ns + at * batch_ns;
    *b = (struct batch){.tenant = SLICE("fake"),
                        .streams = arena_array(a, batch_entries, sizeof *b->streams),
                        .entries = arena_array(a, batch_entries, sizeof *b->entries)};
    while (b->entries_count < batch_entries) {
        enum class c = next_class();
        unsigned number = turns[c]++ % class_streams[c];
        struct batch_stream *s = &b->streams[b->streams_count++];
        *s = (struct batch_stream){.labels = labels_of(c, number, a), .entries_first = b->entries_count};
        s->fingerprint = hash_128(s->labels);
        for (; s->entries_count < class_entries[c] && b->entries_count < batch_entries; s->entries_count++) {
            bool needle = c == PROD && at == batches_a_day * (days - KEPT_DAYS / 2) && counts[at][c] == 0;
            struct slice line = needle ? SLICE(NEEDLE) : next_line(number, a);
            b->entries[b->entries_count] = (struct batch_entry){time_ns, line, metadata};
            b->entries_count++;
            time_ns += batch_ns / batch_entries;
            b->line_bytes += line.len;
            counts[at][c]++;
        }
    }
    made_cpu += cpu_seconds(CLOCK_THREAD_CPUTIME_ID) - begun;
}

static void fill(struct store *st)
{
    struct err err;
    struct arena a;
    arena_init(&a, 64 * MIB);
    for (unsigned at = 0; at < batches; at++, arena_reset(&a)) {
        struct batch b;
        struct store_added added;
        make_batch(at, &a, &b);
        if (a.overflowed)
            abort();
        clock_set_wall_ns(start_ns + (at + 1) * batch_ns);
        while (!store_append(st, &b, &(struct wal_payload){SLICE("x"), SLICE("y")}, &added, &err))
            if (err.code != ERR_BUSY)
                fail("push", &err);
        line_bytes += b.line_bytes;
        lines += b.entries_count;
        if (flush_each && !store_flush(st, &err))
            fail("flush", &err);
        if (isatty(STDERR_FILENO) && at % batches_a_day == 0)
            fprintf(stderr, "\rday %u of %u", at / batches_a_day + 1, days);
    }
    if (isatty(STDERR_FILENO))
        fputs("\r                    \r", stderr);
    arena_done(&a);
    if (!store_flush(st, &err))
        fail("flush", &err);
}

// --- queries ----------------------------------------------------------------------------------------

struct asked {
    struct arena a;
    struct query *query;
    struct query_result result;
    double seconds;
};

static void run(struct store *st, struct crew *crew, const char *text, struct query_range range, struct asked *out)
{
    struct err err;
    *out = (struct asked){0};
    arena_init(&out->a, QUERY_ARENA_BYTES_MAX);
    struct query_context context = {.store = st, .crew = crew, .tenant = SLICE("fake"), .arena = &out->a};
    int64_t begun_ns = clock_mono_ns();
    if (!query_parse(slice_cstr(text), &out->a, &out->query, &err) ||
        !query_run(out->query, &range, &context, &out->result, &err))
        fail(text, &err);
    out->seconds = seconds_since(begun_ns);
}

static void asked_done(struct asked *q)
{
    query_free(q->query);
    arena_done(&q->a);
}

static uint64_t model_count(enum class c)
{
    uint64_t kept = c == AUDIT ? batches : (uint64_t)batches_a_day * (c == DEV ? 1 : KEPT_DAYS), sum = 0;
    for (unsigned at = kept < batches ? batches - (unsigned)kept : 0; at < batches; at++)
        sum += counts[at][c];
    return sum;
}

static bool count_all(struct store *st, struct crew *crew, uint64_t *kept_out)
{
    struct asked q;
    int64_t now_ns = start_ns + batches * batch_ns;
    bool good = true;
    run(st, crew, "sum by (class) (count_over_time({class=~\".+\"}[400d]))", (struct query_range){now_ns, now_ns, 0, 0, 0, false}, &q);
    *kept_out = 0;
    for (enum class c = 0; c < CLASSES; c++) {
        double found = 0;
        for (uint32_t i = 0; i < q.result.series_count; i++)
            if (slice_eq(labels_find(q.result.series[i].labels, SLICE("class")), slice_cstr(class_names[c])))
                found = q.result.series[i].samples[0].value;
        uint64_t want = model_count(c);
        *kept_out += want;
        if ((uint64_t)found == want)
            continue;
        fprintf(stderr, "fortnight: %s: %.0f lines instead of %" PRIu64 "\n", class_names[c], found, want);
        good = false;
    }
    asked_done(&q);
    return good;
}

static void print_query(struct store *st, struct crew *crew, const char *what, const char *text, struct query_range range)
{
    struct asked first, again;
    run(st, crew, text, range, &first);
    run(st, crew, text, range, &again);
    printf("| %s: `", what);
    for (const char *at = text; *at != '\0'; at++)
        printf(*at == '|' ? "\\|" : "%c", *at);
    printf("` | %.4f s, again %.4f s; %" PRIu64 " blocks decoded for %" PRIu64 " runs |\n", first.seconds, again.seconds,
           again.result.stats.blocks_decoded, again.result.stats.runs_selected);
    asked_done(&first);
    asked_done(&again);
}

static void print_queries(struct store *st, struct crew *crew)
{
    int64_t now_ns = start_ns + batches * batch_ns, day_ns = batch_ns * batches_a_day, step_ns = NS_PER_HOUR;
    struct query_range all = {now_ns - KEPT_DAYS * day_ns, now_ns, step_ns, 0, 100, false};
    struct query_range hour = {now_ns - 5 * day_ns, now_ns - 5 * day_ns + NS_PER_HOUR, NS_PER_MINUTE, 0, 100, false};
    print_query(st, crew, "newest 100", "{class=\"prod\"}", all);
    print_query(st, crew, "two weeks by the hour", "sum by (job) (rate({class=\"prod\"}[1h]))", all);
    print_query(st, crew, "an hour of one job", "sum(count_over_time({class=\"prod\", job=\"nginx\"} |= \" 404 \" [1m]))", hour);
    print_query(st, crew, "one line in two weeks", "{class=\"prod\"} |= \"5d41402abc4b2a76b9719d911017c592\"", all);
}

// --- all together -----------------------------------------------------------------------------------

static void print_disk(const struct store_stats *s, double seconds, double cpu)
{
    uint64_t rewritten = metric_value(COUNTER_COMPACTION_LINE_BYTES);
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    printf("| | |\n|---|---|\n");
    printf("| pushed | %.1f GB of lines, %" PRIu64 " of them, over %u days |\n", (double)line_bytes / 1e9, lines, days);
    printf("| time, CPU (lines made apart) | %.0f s, %.0f s: %.0f MB of lines a CPU-second, compaction and retention included |\n",
           seconds, cpu, (double)line_bytes / 1e6 / cpu);
    printf("| sealed | %" PRIu64 " segments, %.3f GB |\n", metric_value(COUNTER_SEALS), (double)metric_value(COUNTER_SEAL_FILE_BYTES) / 1e9);
    printf("| rewritten | %.2f times the lines; %" PRIu64 " compactions of %" PRIu64 " segments, %.3f GB to %.3f GB |\n",
           (double)rewritten / (double)line_bytes, metric_value(COUNTER_COMPACTIONS), metric_value(COUNTER_COMPACTION_SEGMENTS),
           (double)metric_value(COUNTER_COMPACTION_READ_BYTES) / 1e9, (double)metric_value(COUNTER_COMPACTION_WRITTEN_BYTES) / 1e9);
    printf("| expired | %" PRIu64 " segments whole, %" PRIu64 " lines |\n", metric_value(COUNTER_EXPIRED_SEGMENTS),
           metric_value(COUNTER_EXPIRED_ENTRIES));
    printf("| left | %u segments, %.3f GB, %" PRIu64 " lines |\n", s->segments_count, (double)s->segment_bytes / 1e9, s->segment_entries);
    printf("| peak RSS | %ld MiB |\n", usage.ru_maxrss / 1024);
}

static void read_options(int argc, char **argv)
{
    bool good = argc >= 2 && argv[1][0] != '-';
    for (int i = 2; i < argc && good; i++) {
        uint64_t value = i + 1 < argc ? strtoull(argv[i + 1], NULL, 10) : 0;
        if (strcmp(argv[i], "--flush") == 0)
            flush_each = true;
        else if (strcmp(argv[i], "--no-queries") == 0)
            ask = false;
        else if (strcmp(argv[i], "--keep") == 0)
            keep = true;
        else if (strcmp(argv[i], "--bytes") == 0 && value > 0)
            total_bytes = value, i++;
        else if (strcmp(argv[i], "--days") == 0 && value > KEPT_DAYS)
            days = (unsigned)value, i++;
        else if (strcmp(argv[i], "--batch") == 0 && value > 0)
            batch_entries = (unsigned)value, i++;
        else
            good = false;
    }
    if (!good) {
        fputs("usage: fortnight DIR [--bytes N] [--days N, more than 14] [--batch ENTRIES] [--flush] [--no-queries] [--keep]\n", stderr);
        exit(2);
    }
    batches_a_day = (unsigned)(total_bytes / ((uint64_t)batch_entries * LINE_BYTES_ABOUT) / days) + 1;
    batches = batches_a_day * days;
    batch_ns = NS_PER_DAY / batches_a_day;
    start_ns = clock_wall_ns() - days * NS_PER_DAY;
    counts = calloc(batches, sizeof *counts);
    assert(counts != NULL);
}

static void pass_a_year(struct store *st)
{
    struct store_stats stats;
    uint64_t dropped = metric_value(COUNTER_EXPIRED_SEGMENTS);
    clock_set_wall_ns(start_ns + batches * batch_ns + 365 * NS_PER_DAY);
    int64_t begun_ns = clock_mono_ns();
    store_upkeep(st);
    store_stats(st, &stats);
    printf("| a year later | %" PRIu64 " segments dropped, the rest rewritten, in %.2f s; %u segments, %" PRIu64 " lines left |\n",
           metric_value(COUNTER_EXPIRED_SEGMENTS) - dropped, seconds_since(begun_ns), stats.segments_count, stats.segment_entries);
}

int main(int argc, char **argv)
{
    struct store_stats stats;
    uint64_t kept;
    read_options(argc, argv);
    clock_set_wall_ns(start_ns);
    struct store *st = open_store(argv[1]);
    struct crew *crew = crew_new(crew_helpers_default());
    int64_t begun_ns = clock_mono_ns();
    fill(st);
    store_upkeep(st);
    double seconds = seconds_since(begun_ns), cpu = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - made_cpu;
    store_stats(st, &stats);
    print_disk(&stats, seconds, cpu);
    bool good = count_all(st, crew, &kept);
    printf("| kept by the rules | %" PRIu64 " lines, %s |\n", kept, good ? "as found" : "NOT as found");
    if (ask)
        print_queries(st, crew);
    begun_ns = clock_mono_ns();
    store_close(st);
    st = open_store(argv[1]);
    printf("| closed and opened again | %.3f s |\n", seconds_since(begun_ns));
    if (!keep)
        pass_a_year(st);
    store_close(st);
    crew_free(crew);
    free(counts);
    return good ? 0 : 1;
}
