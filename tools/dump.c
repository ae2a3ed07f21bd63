/* dump.c -- mstore-dump: opens stored files without a server. */
#include "dump.h"

#include "bucket.h"

#include "base/clock.h"
#include "base/fs.h"
#include "ingest/ingest.h"
#include "query/query.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char HELP[] =
    "mstore-dump -- opens what mstored stored, without a server. Reading takes no lock and writes nothing.\n"
    "\n"
    "usage: mstore-dump inspect [--json] FILE|DIR...    what a segment (.seg) or log (.wal) holds; of a directory, all in short\n"
    "       mstore-dump cat [options] DIR|FILE          entries, as lines or NDJSON\n"
    "       mstore-dump query [options] DIR|FILE QUERY  the answer to a LogQL query\n"
    "       mstore-dump export [options] DIR|FILE       entries and spans to NDJSON, CSV or SQLite\n"
    "       mstore-dump trace [options] ID DIR|FILE     a trace: its spans and log entries as a tree\n"
    "       mstore-dump stats [--json] DIR|FILE...      what takes the space: by column, tenant, stream, label, service\n"
    "       mstore-dump bundle [options] DIR|FILE       cut a trace, or what a query selects, into one segment file\n"
    "       mstore-dump backup [options] DIR BACKUP     a copy of a data directory, of a running server too; again: what is new\n"
    "       mstore-dump restore [options] BACKUP DIR    a data directory from a backup; DIR is empty or not there\n"
    "       mstore-dump verify [options] DIR            every checksum, and the index against the files\n"
    "       mstore-dump rebuild [--json] DIR            make the index anew from the segments (needs the lock)\n"
    "\n"
    "DIR and BACKUP may be s3://BUCKET/PREFIX (not DIR of rebuild), a segment s3://BUCKET/PREFIX/segments/GENERATION.seg, with\n"
    "  --s3 URL               the object store, or MSTORE_S3: https://s3.eu-central-1.amazonaws.com, http://127.0.0.1:9000\n"
    "  --s3-region, --s3-credentials FILE, --s3-style auto|path|host  as of mstored, or MSTORE_S3_REGION and so on; who we are is\n"
    "                         looked for as mstored does: AWS_*, ~/.aws/credentials, the pod's, container's or instance's role\n"
    "\n"
    "options of cat:\n"
    "  --query QUERY   selector and filters, as {app=\"cart\"} |= \"error\" (default: everything)\n"
    "  --from, --to T  RFC 3339 or nanoseconds; from is included, to is not\n"
    "  --tenant NAME   namespace (default: the only one, or fake)\n"
    "  --format F      lines (default): the lines alone; ndjson, or --json: one object per entry\n"
    "\n"
    "options of query:\n"
    "  --from, --to T  as above. Default: everything for log queries; for metric queries the hour up to now\n"
    "  --step D        metric queries: evaluate every D from --from to --to; without it, once, at --to\n"
    "  --limit N       log queries: entries (default 100), the newest; --forward: the oldest\n"
    "  --tenant NAME   as above\n"
    "  --format F      lines (default), ndjson, csv, or json (also --json) as the HTTP API answers\n"
    "  --explain       instead of the answer, how it came about\n"
    "\n"
    "options of export:\n"
    "  --out FILE      where to (default: standard output); must not exist. --json: counts for programs\n"
    "  --format F      ndjson, csv, sqlite (default: by the suffix of --out: .db, .sqlite, .csv; else ndjson).\n"
    "                  CSV has spans in a file of their own: logs.csv and logs.spans.csv\n"
    "  --what W        entries, spans or all (default)\n"
    "  --query QUERY, --from, --to, --tenant  as of cat; the times are of spans, too, by their start\n"
    "\n"
    "options of trace:\n"
    "  --json          as the HTTP API answers; --tenant NAME as above\n"
    "\n"
    "options of bundle:\n"
    "  --out FILE.seg  the file to make; must not exist. --json: the result for programs\n"
    "  --trace ID      this trace, whole, with its log entries\n"
    "  --query QUERY, --from, --to  or: entries of a query without parsers, the traces that they name, and the traces in that time of\n"
    "                  services that its selector matches by service_name\n"
    "  --tenant NAME   as above\n"
    "\n"
    "options of verify:\n"
    "  --deep          also derive filters, references, days and rows of the index again, and compare both ways\n"
    "  --quiet         problems alone; --json: counts for programs, problems on standard error\n"
    "\n"
    "options of backup and restore:\n"
    "  --copy          never link segments, even where the file system could; --json: the result for programs\n"
    "  --deep          of backup: read everything there again, and verify it as verify --deep does. Without it what an earlier\n"
    "                  run has read is known by length and ETag (in a directory by inode and time), and what is new or differs is read\n"
    "\n"
    "exit status: 0 good; 1 problems found: damage, an incomplete output, nothing of that name; 2 wrong usage; 3 cannot read or write\n";

int dump_fail(int status, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("mstore-dump: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    return status;
}

bool dump_on_terminal(void)
{
    return isatty(STDERR_FILENO) != 0;
}

bool dump_ends(const char *path, const char *suffix)
{
    size_t len = strlen(path), suffix_len = strlen(suffix);
    return len >= suffix_len && strcmp(path + len - suffix_len, suffix) == 0;
}

bool dump_time(const char *text, int64_t *out)
{
    char *end;
    errno = 0;
    long long ns = strtoll(text, &end, 10);
    if (*end == '\0' && end != text && errno == 0) {
        *out = ns;
        return true;
    }
    return clock_parse_rfc3339(slice_cstr(text), out);
}

bool dump_tenant(struct store *store, const char *name, struct arena *a, struct slice *out, struct err *err)
{
    struct slice *tenants;
    size_t count;
    *out = SLICE("fake");
    if (name != NULL) {
        *out = slice_cstr(name);
        return true;
    }
    if (!store_tenants(store, a, &tenants, &count, err))
        return false;
    if (count == 1)
        *out = tenants[0];
    bool has_default = false;
    for (size_t i = 0; i < count; i++)
        has_default = has_default || slice_eq(tenants[i], SLICE("fake"));
    return count <= 1 || has_default ||
           err_set(err, ERR_INPUT, "%zu tenants are stored here: choose one with --tenant", count);
}

// --- opening ----------------------------------------------------------------------------------------

static void report(void *ctx, bool failure, const char *text)
{
    (void)ctx;
    if (failure)
        fprintf(stderr, "mstore-dump: %s\n", text);
}

int dump_status(const struct err *err)
{
    return err->code == ERR_CORRUPT ? EXIT_FOUND : err->code == ERR_INPUT ? EXIT_USAGE : EXIT_BROKEN;
}

bool dump_generation(const char *path, uint64_t *gen_out, struct err *err)
{
    enum { GENERATION_AT = 24 }; // of logs it is at 8, but those keep their names
    uint8_t bytes[8];
    AUTO(fs_closep) int fd = -1;
    if (!fs_open_read(path, &fd, err) || !fs_read_at(fd, path, GENERATION_AT, bytes, sizeof bytes, err))
        return false;
    *gen_out = 0;
    for (int i = 7; i >= 0; i--)
        *gen_out = *gen_out << 8 | bytes[i];
    return true;
}

// A data directory that holds nothing but a link to the file.
static bool wrap_file(const char *path, const char *dir, struct err *err)
{
    char real[PATH_MAX], wal[600], segments[600], link[2 * PATH_MAX], named[32];
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    uint64_t gen;
    (void)snprintf(wal, sizeof wal, "%s/wal", dir);
    (void)snprintf(segments, sizeof segments, "%s/segments", dir);
    if (realpath(path, real) == NULL)
        return err_errno(err, errno, "%s", path);
    if (!fs_mkdir(wal, err) || !fs_mkdir(segments, err))
        return false;
    if (dump_ends(path, ".seg")) { // its file may have any name
        if (!dump_generation(path, &gen, err))
            return false;
        (void)snprintf(named, sizeof named, "%016" PRIx64 ".seg", gen);
        name = named;
    }
    (void)snprintf(link, sizeof link, "%s/%s", dump_ends(path, ".wal") ? wal : segments, name);
    return symlink(real, link) == 0 || err_errno(err, errno, "%s", link);
}

// A bucket's store: as a read-only server follows it where an index is published, else by what is live. `data` becomes a
// directory for what is fetched; of a backup, logs and requests to delete.
static bool wrap_bucket(const char *path, const char *data, const char *scratch, struct dump_store *s,
                        struct store_options *options, struct err *err)
{
    char segments[600], wal[600];
    enum far_kind kind = FAR_OBJECTS;
    AUTO(blob_closep) struct blob_store *bs = NULL;
    AUTO(far_live_done) struct far_live live = {0};
    (void)snprintf(segments, sizeof segments, "%s/segments", data);
    (void)snprintf(wal, sizeof wal, "%s/wal", data);
    s->bucket = malloc(sizeof *s->bucket);
    if (s->bucket == NULL)
        abort();
    if (!dump_bucket_parse(path, s->bucket, err) || !blob_open(&s->bucket->options, &bs, err) || !fs_mkdir(segments, err) ||
        !fs_mkdir(wal, err))
        return false;
    options->dir = data;
    options->bucket = &s->bucket->options;
    options->bucket_gen = s->bucket->gen;
    options->far_refresh_ns = NS_PER_DAY; // what is read is what was published when it was opened
    if (s->bucket->gen != 0)
        return true;
    if (!far_kind(bs, &kind, err))
        return false;
    if (kind == FAR_PUBLISHED)
        options->scratch_dir = NULL;
    return kind == FAR_PUBLISHED || (far_live(bs, scratch, &live, err) && far_fetch_rest(bs, &live, data, err));
}

bool dump_open(const char *path, struct dump_store *out, struct err *err)
{
    struct dump_store s = {0};
    char index[512], data[512];
    if (!dump_scratch_make(&s.scratch, err))
        return false;
    (void)snprintf(index, sizeof index, "%s/index", s.scratch.path);
    (void)snprintf(data, sizeof data, "%s/data", s.scratch.path);
    bool bucket = dump_is_bucket(path), file = !bucket && (dump_ends(path, ".seg") || dump_ends(path, ".wal"));
    struct store_options options = {.dir = file ? data : path,
                                    .decode = ingest_decode,
                                    .filter_ops = &query_filter_ops,
                                    .read_only = true,
                                    .scratch_dir = index,
                                    .report = report};
    if ((file && !wrap_file(path, data, err)) || (bucket && !wrap_bucket(path, data, s.scratch.path, &s, &options, err)) ||
        !store_open(&options, &s.store, err)) {
        dump_close(&s);
        return false;
    }
    *out = s;
    return true;
}

void dump_close(struct dump_store *s)
{
    store_close(s->store);
    free(s->bucket);
    dump_scratch_done(&s->scratch);
}

bool dump_verify_store(const char *path, unsigned how, const struct far_live *part,
                       void (*problem)(void *ctx, const char *text), void (*progress)(void *ctx, const char *path), void *ctx,
                       struct store_verify_stats *stats_out, struct err *err)
{
    struct store_options options = {.dir = path,
                                    .decode = ingest_decode,
                                    .read_only = (how & DUMP_VERIFY_NO_INDEX) != 0,
                                    .verify_deep = (how & DUMP_VERIFY_DEEP) != 0,
                                    .verify_part = part};
    if (!dump_is_bucket(path))
        return store_verify(&options, problem, progress, ctx, stats_out, err);
    struct dump_bucket bucket;
    char data[512], folder[600];
    AUTO(dump_scratch_done) struct dump_scratch scratch = {0};
    if (!dump_bucket_parse(path, &bucket, err) || !dump_scratch_make(&scratch, err))
        return false;
    (void)snprintf(data, sizeof data, "%s/data", scratch.path);
    (void)snprintf(folder, sizeof folder, "%s/segments", data);
    options.dir = data;
    options.read_only = true;
    options.bucket = &bucket.options;
    options.bucket_gen = bucket.gen;
    options.scratch_dir = scratch.path;
    if (!fs_mkdir(folder, err))
        return false;
    (void)snprintf(folder, sizeof folder, "%s/wal", data);
    return fs_mkdir(folder, err) && store_verify(&options, problem, progress, ctx, stats_out, err);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } commands[] = {{"inspect", dump_inspect}, {"cat", dump_cat}, {"query", dump_query}, {"export", dump_export}, {"trace", dump_trace}, {"stats", dump_stats}, {"bundle", dump_bundle}, {"backup", dump_backup}, {"restore", dump_restore}, {"verify", dump_verify}, {"rebuild", dump_rebuild}};
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    if (argc < 2)
        return fputs(HELP, stderr), EXIT_USAGE;
    if (strcmp(argv[1], "--version") == 0)
        return puts("mstore-dump " MSTORE_VERSION), EXIT_GOOD;
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return fputs(HELP, stdout), EXIT_GOOD;
    struct err err;
    if (!dump_bucket_options(&argc, argv, &err))
        return dump_fail(EXIT_USAGE, "%s", err.text);
    if (argc < 2)
        return fputs(HELP, stderr), EXIT_USAGE;
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    return dump_fail(EXIT_USAGE, "unknown command `%s` (see --help)", argv[1]);
}
