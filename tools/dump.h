/* dump.h -- the commands of mstore-dump. Each gets its own arguments and returns the exit status. */
#pragma once

#include "base/err.h"
#include "scratch.h"
#include "store/store.h"

enum { EXIT_GOOD = 0, EXIT_FOUND = 1, EXIT_USAGE = 2, EXIT_BROKEN = 3 };

int dump_inspect(int argc, char **argv);
int dump_cat(int argc, char **argv);
int dump_query(int argc, char **argv);
int dump_export(int argc, char **argv);
int dump_verify(int argc, char **argv);
int dump_rebuild(int argc, char **argv);
int dump_trace(int argc, char **argv);
int dump_backup(int argc, char **argv);
int dump_restore(int argc, char **argv);
int dump_bundle(int argc, char **argv);
int dump_stats(int argc, char **argv);

// "mstore-dump: text" on standard error; returns `status`.
int dump_fail(int status, const char *fmt, ...) PRINTF_LIKE(2, 3);
// RFC 3339, or nanoseconds.
bool dump_time(const char *text, int64_t *out);
// `name`, or without one (NULL) the only tenant there is, or `fake` where there are several.
MUST_CHECK bool dump_tenant(struct store *store, const char *name, struct arena *a, struct slice *out,
                            struct err *err);
// Whether somebody watches: progress is for terminals alone.
bool dump_on_terminal(void);
// Whether `path` ends with `suffix`.
bool dump_ends(const char *path, const char *suffix);

// What failure is of the exit status for: ERR_CORRUPT of EXIT_FOUND, ERR_INPUT of EXIT_USAGE, all else of EXIT_BROKEN.
int dump_status(const struct err *err);

// The generation that a segment's header says, whatever its file is called.
MUST_CHECK bool dump_generation(const char *path, uint64_t *gen_out, struct err *err);

// A store opened for reading: a data directory, one segment or log file by itself, or what is in a bucket (bucket.h), with what has to
// be removed afterwards.
struct dump_store {
    struct store *store;
    struct dump_scratch scratch;
    struct dump_bucket *bucket; // owned; the store's options borrow from it. NULL: none
};
MUST_CHECK bool dump_open(const char *path, struct dump_store *out, struct err *err);
void dump_close(struct dump_store *s);
// store_verify() of a data directory, or of what is in a bucket. `part`: as options.verify_part.
enum dump_verify { DUMP_VERIFY_DEEP = 1, DUMP_VERIFY_NO_INDEX = 2 }; // the directory need not have an index
MUST_CHECK bool dump_verify_store(const char *path, unsigned how, const struct far_live *part,
                                  void (*problem)(void *ctx, const char *text),
                                  void (*progress)(void *ctx, const char *path), void *ctx,
                                  struct store_verify_stats *stats_out, struct err *err);
