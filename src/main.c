/* main.c -- mstored: options, signals, start, stop. */
#include "base/clock.h"
#include "base/diag.h"
#include "base/err.h"
#include "ingest/ingest.h"
#include "server/server.h"
#include "store/store.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <locale.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };
enum { ARENAS_MAX = 4, MMAP_BYTES = 4 << 20, TRIM_BYTES = 16 << 20, PAD_BYTES = 16 << 20 };

static void report(void *ctx, bool failure, const char *text)
{
    (void)ctx;
    diag(failure ? DIAG_ERROR : DIAG_INFO, "store", "detail=\"%s\"", diag_quote(text));
}

// Requests and generations come and go in megabytes. Pages that are given back at once are cleared and mapped again for the
// next: a sixth of what a push costs. So some are kept, by few arenas.
static void tune_memory(void)
{
    (void)mallopt(M_ARENA_MAX, ARENAS_MAX);
    (void)mallopt(M_MMAP_THRESHOLD, MMAP_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, TRIM_BYTES);
    (void)mallopt(M_TOP_PAD, PAD_BYTES);
}

// Every connection and every segment is a descriptor.
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); // a refusal leaves what there was
    }
}

// --- dry run ----------------------------------------------------------------------------------------

static bool print_plan(void *ctx, const struct store_plan *p, struct err *err)
{
    (void)err;
    uint64_t *bytes = ctx;
    char first[CLOCK_RFC3339_BYTES], last[CLOCK_RFC3339_BYTES], at[CLOCK_RFC3339_BYTES];
    clock_rfc3339(p->first_ns, first);
    clock_rfc3339(p->last_ns, last);
    clock_rfc3339(p->at_ns, at);
    static const char *const fates[] = {"stays", "is dropped", "is rewritten without what expired", "is dropped"};
    printf("%016" PRIx64 "  %" PRIu64 " entries, %" PRIu64 " spans, %" PRIu64 " bytes, %s to %s: %s", p->generation,
           p->entries, p->spans, p->file_bytes, first, last, fates[p->fate]);
    if (p->fate != FATE_STAYS)
        printf(" %s%s", p->at_ns == INT64_MIN ? "now" : "after ", p->at_ns == INT64_MIN ? "" : at);
    if (p->fate == FATE_EVICTED)
        printf(": more than --max-bytes");
    else if (p->fate != FATE_STAYS)
        printf(": %s", p->rule != NULL ? p->rule->text : "--retention");
    putchar('\n');
    bytes[p->fate] += p->fate != FATE_STAYS && p->at_ns == INT64_MIN ? p->file_bytes : 0;
    return true;
}

static int dry_run(const struct config *config)
{
    struct err err;
    char scratch[PATH_MAX];
    const char *base = getenv("TMPDIR");
    int len = snprintf(scratch, sizeof scratch, "%s/mstored-XXXXXX", base != NULL ? base : "/tmp");
    if (len >= (int)sizeof scratch || mkdtemp(scratch) == NULL) {
        fprintf(stderr, "mstored: %s: %s\n", scratch, len >= (int)sizeof scratch ? "the name is too long" : strerror(errno));
        return EXIT_FAILED;
    }
    struct store_options options = {.dir = config->data_dir, .decode = ingest_decode, .retention = config->retention,
                                    .filter_ops = &query_filter_ops, .disk_bytes_max = config->max_bytes, .read_only = true, .scratch_dir = scratch,
                                    .report = report};
    struct store *store = NULL;
    uint64_t bytes[FATE_EVICTED + 1] = {0};
    bool good = store_open(&options, &store, &err) && store_plan(store, print_plan, bytes, &err);
    store_close(store);
    for (const char *const *name = (const char *const[]){"data.mdb", "lock.mdb", NULL}; *name != NULL; name++) {
        char path[PATH_MAX + 16];
        (void)snprintf(path, sizeof path, "%s/%s", scratch, *name);
        (void)unlink(path);
    }
    (void)rmdir(scratch);
    if (!good) {
        fprintf(stderr, "mstored: %s\n", err.text);
        return EXIT_FAILED;
    }
    printf("now: %" PRIu64 " bytes dropped as expired, %" PRIu64 " bytes above --max-bytes, %" PRIu64 " bytes rewritten\n",
           bytes[FATE_DROPPED], bytes[FATE_EVICTED], bytes[FATE_REWRITTEN]);
    return 0;
}

static const char *text_or_null(const char *text)
{
    return text != NULL && text[0] != '\0' ? text : NULL;
}

static int serve(const struct config *config, const sigset_t *stop_signals)
{
    struct err err;
    struct store_options options = {
        .dir = config->data_dir,
        .decode = ingest_decode,
        .head_bytes_max = config->head_bytes,
        .head_idle_ns = config->head_idle_ns,
        .retention = config->retention,
        .filter_ops = &query_filter_ops,
        .delete_delay_ns = config->delete_delay_ns,
        .disk_bytes_max = config->max_bytes,
        .disk_low_bytes = config->low_water_bytes,
        .sync_off = config->durability_crash,
        .cache_bytes = config->cache_bytes,
        .far_snapshot_ns = config->s3_snapshot_ns,
        .far_grace_ns = config->s3_grace_ns,
        .far_lease_ns = config->s3_lease_ns,
        .far_refresh_ns = config->s3_refresh_ns,
        .read_only = config->read_only,
        .rebuild_index = config->rebuild_index,
        .report = report,
    };
    struct blob_options bucket = {
        .url = config->s3_url,
        .bucket = config->bucket,
        .prefix = config->prefix != NULL ? config->prefix : "",
        .region = text_or_null(config->s3_region),
        .credentials_file = text_or_null(config->s3_credentials),
        .style = (enum blob_style)config->s3_style,
        .send_bytes_per_s = config->s3_upload_rate,
    };
    if (text_or_null(config->s3_url) != NULL)
        options.bucket = &bucket;
    struct store *store;
    struct server *server;
    if (!store_open(&options, &store, &err)) {
        diag(DIAG_ERROR, "cannot open the data directory", "detail=\"%s\"", diag_quote(err.text));
        return EXIT_FAILED;
    }
    if (!server_start(config, store, &server, &err)) {
        diag(DIAG_ERROR, "cannot serve", "detail=\"%s\"", diag_quote(err.text));
        store_close(store);
        return EXIT_FAILED;
    }
    struct buf addresses;
    buf_init(&addresses, 0);
    server_addresses(server, &addresses);
    diag(DIAG_INFO, "mstored ready", "version=" MSTORE_VERSION " listen=%.*s data=\"%s\"",
         SLICE_FMT(buf_slice(&addresses)), diag_quote(config->data_dir));
    buf_done(&addresses);
    int signal;
    (void)sigwait(stop_signals, &signal);
    diag(DIAG_INFO, "stopping", "signal=%d", signal);
    server_stop(server);
    store_close(store);
    diag(DIAG_INFO, "stopped", "data=\"%s\"", diag_quote(config->data_dir));
    return 0;
}

int main(int argc, char **argv)
{
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    struct config config;
    struct err err;
    const char *show;
    config_init(&config);
    if (!config_read(&config, argc, argv, &show, &err)) {
        fprintf(stderr, "mstored: %s\n", err.text);
        config_done(&config);
        return EXIT_USAGE;
    }
    if (show != NULL) {
        fputs(show, stdout);
        config_done(&config);
        return 0;
    }
    diag_set_level((enum diag_level)config.log_level);
    tune_memory();
    raise_descriptors();
    sigset_t stop_signals;
    sigemptyset(&stop_signals);
    sigaddset(&stop_signals, SIGTERM);
    sigaddset(&stop_signals, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &stop_signals, NULL); // before any thread exists
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);
    int status = config.dry_run ? dry_run(&config) : serve(&config, &stop_signals);
    config_done(&config);
    return status;
}
