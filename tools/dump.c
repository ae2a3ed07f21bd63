/* dump.c -- mstore-dump: opens stored files without a server. */
#include "dump.h"

#include "base/clock.h"
#include "base/fs.h"
#include "ingest/ingest.h"
#include "query/query.h"

#include <errno.h>
#include <ftw.h>
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
    "usage: mstore-dump inspect [--json] FILE...        what a segment (.seg) or log (.wal) holds\n"
    "       mstore-dump inspect [--json] DIR            all files of a data directory, in short\n"
    "       mstore-dump cat [options] DIR|FILE          entries, as lines or NDJSON\n"
    "       mstore-dump query [options] DIR|FILE QUERY  the answer to a LogQL query\n"
    "       mstore-dump export [options] DIR|FILE       entries and spans to NDJSON, CSV or SQLite\n"
    "       mstore-dump trace [options] ID DIR|FILE     a trace: its spans and log entries as a tree\n"
    "       mstore-dump stats [--json] DIR|FILE...      what takes the space: by column, tenant, stream, label, service\n"
    "       mstore-dump bundle [options] DIR|FILE       cut a trace, or what a query selects, into one segment file\n"
    "       mstore-dump backup [options] DIR BACKUP     a copy of a data directory, of a running server too; again: what is new\n"
    "       mstore-dump restore [options] BACKUP DIR    a data directory from a backup; DIR is empty or not there\n"
    "       mstore-dump verify [options] DIR            every checksum, and the index against the files\n"
    "       mstore-dump rebuild DIR                     make the index anew from the segments (needs the lock)\n"
    "\n"
    "options of cat:\n"
    "  --query QUERY   selector and filters, as {app=\"cart\"} |= \"error\" (default: everything)\n"
    "  --from, --to T  RFC 3339 or nanoseconds; from is included, to is not\n"
    "  --tenant NAME   namespace (default: the only one, or fake)\n"
    "  --format F      lines (default): the lines alone; ndjson: one object per entry\n"
    "\n"
    "options of query:\n"
    "  --from, --to T  as above. Default: everything for log queries; for metric queries the hour up to now\n"
    "  --step D        metric queries: evaluate every D from --from to --to; without it, once, at --to\n"
    "  --limit N       log queries: entries (default 100), the newest; --forward: the oldest\n"
    "  --tenant NAME   as above\n"
    "  --format F      lines (default), ndjson, csv, or json as the HTTP API answers\n"
    "  --explain       instead of the answer, how it came about\n"
    "\n"
    "options of export:\n"
    "  --out FILE      where to (default: standard output); must not exist\n"
    "  --format F      ndjson, csv, sqlite (default: by the suffix of --out: .db, .sqlite, .csv; else ndjson).\n"
    "                  CSV has spans in a file of their own: logs.csv and logs.spans.csv\n"
    "  --what W        entries, spans or all (default)\n"
    "  --query QUERY, --from, --to, --tenant  as of cat; the times are of spans, too, by their start\n"
    "\n"
    "options of trace:\n"
    "  --json          as the HTTP API answers; --tenant NAME as above\n"
    "\n"
    "options of bundle:\n"
    "  --out FILE.seg  the file to make; must not exist\n"
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
    "\n"
    "exit status: 0 good, 1 problems found, 2 wrong usage, 3 cannot read\n";

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

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static bool make_scratch(struct dump_store *s, struct err *err)
{
    const char *base = getenv("TMPDIR");
    (void)snprintf(s->scratch, sizeof s->scratch, "%s/mstore-dump-XXXXXX", base != NULL ? base : "/tmp");
    if (mkdtemp(s->scratch) != NULL)
        return true;
    (void)err_errno(err, errno, "%s", s->scratch);
    s->scratch[0] = '\0';
    return false;
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

bool dump_open(const char *path, struct dump_store *out, struct err *err)
{
    struct dump_store s = {0};
    char index[512], data[512];
    if (!make_scratch(&s, err))
        return false;
    (void)snprintf(index, sizeof index, "%s/index", s.scratch);
    (void)snprintf(data, sizeof data, "%s/data", s.scratch);
    bool file = dump_ends(path, ".seg") || dump_ends(path, ".wal");
    struct store_options options = {.dir = file ? data : path,
                                    .decode = ingest_decode,
                                    .filter_ops = &query_filter_ops,
                                    .read_only = true,
                                    .scratch_dir = index,
                                    .report = report};
    if ((file && !wrap_file(path, data, err)) || !store_open(&options, &s.store, err)) {
        dump_close(&s);
        return false;
    }
    *out = s;
    return true;
}

void dump_close(struct dump_store *s)
{
    store_close(s->store);
    if (s->scratch[0] != '\0')
        (void)nftw(s->scratch, remove_one, 16, FTW_DEPTH | FTW_PHYS);
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
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    return dump_fail(EXIT_USAGE, "unknown command `%s` (see --help)", argv[1]);
}
