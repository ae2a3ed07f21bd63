/* verify.c -- `mstore-dump verify` and `rebuild`. */
#include "bucket.h"
#include "dump.h"

#include "ingest/ingest.h"
#include "query/query.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void on_problem(void *ctx, const char *text)
{
    fprintf(ctx == NULL ? stdout : stderr, "problem: %s\n", text); // on stdout is JSON, else
}

static void on_file(void *ctx, const char *path)
{
    (void)ctx;
    fprintf(stderr, "\r\033[K%s", path);
}

int dump_verify(int argc, char **argv)
{
    const char *dir = NULL;
    bool quiet = false, deep = false, json = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quiet") == 0)
            quiet = true;
        else if (strcmp(argv[i], "--deep") == 0)
            deep = true;
        else if (strcmp(argv[i], "--json") == 0)
            json = true;
        else if (argv[i][0] == '-' || dir != NULL)
            return dump_fail(EXIT_USAGE, "verify: unexpected argument `%s`", argv[i]);
        else
            dir = argv[i];
    }
    if (dir == NULL)
        return dump_fail(EXIT_USAGE, "verify: which directory?");
    struct store_verify_stats s;
    struct err err;
    bool progress = !quiet && dump_on_terminal();
    bool good = dump_verify_store(dir, deep ? DUMP_VERIFY_DEEP : 0, NULL, on_problem, progress ? on_file : NULL, json ? &s : NULL, &s, &err);
    if (progress)
        fputs("\r\033[K", stderr);
    if (!good)
        return dump_fail(err.code == ERR_INPUT ? EXIT_USAGE : EXIT_BROKEN, "%s", err.text);
    if (json)
        printf("{\"logs\":%" PRIu64 ",\"records\":%" PRIu64 ",\"segments\":%" PRIu64 ",\"blocks\":%" PRIu64 ",\"entries\":%" PRIu64
               ",\"span_blocks\":%" PRIu64 ",\"spans\":%" PRIu64 ",\"file_bytes\":%" PRIu64 ",\"rows\":%" PRIu64
               ",\"unread_segments\":%" PRIu64 ",\"problems\":%" PRIu64 "}\n",
               s.wals, s.wal_records, s.segments, s.blocks, s.entries, s.span_blocks, s.spans, s.segment_bytes, s.streams,
               s.far_segments, s.problems);
    else if (!quiet)
        printf("%" PRIu64 " logs with %" PRIu64 " records, %" PRIu64 " segments with %" PRIu64
               " blocks and %" PRIu64 " entries in %" PRIu64 " bytes, %" PRIu64 " rows: %" PRIu64 " problems\n",
               s.wals, s.wal_records, s.segments, s.blocks, s.entries, s.segment_bytes, s.streams,
               s.problems);
    if (!quiet && !json && s.far_segments > 0)
        printf("%" PRIu64 " further segments are %s and were not read\n", s.far_segments,
               dump_is_bucket(dir) ? "on the writer's disk alone" : "in a bucket alone");
    return s.problems > 0 ? EXIT_FOUND : EXIT_GOOD;
}

static void on_report(void *ctx, bool failure, const char *text)
{
    bool *failed = ctx;
    *failed = *failed || failure;
    fprintf(stderr, "mstore-dump: %s\n", text);
}

int dump_rebuild(int argc, char **argv)
{
    const char *dir = NULL;
    bool json = false, failed = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            json = true;
        else if (argv[i][0] == '-' || dir != NULL)
            return dump_fail(EXIT_USAGE, "rebuild: unexpected argument `%s`", argv[i]);
        else
            dir = argv[i];
    }
    if (dir == NULL)
        return dump_fail(EXIT_USAGE, "rebuild: which directory?");
    if (dump_is_bucket(dir))
        return dump_fail(EXIT_USAGE, "rebuild: the index of a bucket belongs to its writer: start mstored with --s3, --bucket, --prefix and "
                         "--rebuild-index, or on an empty --data DIR, and it is made anew from the bucket");
    struct store_options options = {.dir = dir,
                                    .decode = ingest_decode,
                                    .filter_ops = &query_filter_ops,
                                    .rebuild_index = true,
                                    .report = on_report,
                                    .report_ctx = &failed};
    struct store *store;
    struct err err;
    if (access(dir, R_OK) != 0)
        return dump_fail(EXIT_BROKEN, "%s: no such directory", dir);
    if (!store_open(&options, &store, &err))
        return dump_fail(EXIT_BROKEN, "%s", err.text);
    struct store_stats s;
    bool flushed = store_flush(store, &err);
    store_stats(store, &s);
    store_close(store);
    if (!flushed)
        return dump_fail(EXIT_BROKEN, "%s", err.text);
    printf(json ? "{\"segments\":%u,\"streams\":%" PRIu64 ",\"entries\":%" PRIu64 ",\"spans\":%" PRIu64 "}\n"
                : "index of %u segments, %" PRIu64 " streams, %" PRIu64 " entries, %" PRIu64 " spans\n",
           s.segments_count, s.streams_count, s.segment_entries, s.segment_spans);
    return failed ? EXIT_FOUND : EXIT_GOOD;
}
