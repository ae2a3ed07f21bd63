/* tap.c -- see tap.h. */
#include "tap.h"

#include <ftw.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static int count, failed;
static char dir_path[256];

bool tap_ok(bool good, const char *file, int line, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    printf("%sok %d - ", good ? "" : "not ", ++count);
    vprintf(fmt, args);
    printf("\n");
    va_end(args);
    if (!good) {
        failed++;
        printf("# at %s:%d\n", file, line);
    }
    fflush(stdout);
    return good;
}

bool tap_int(int64_t got, int64_t want, const char *file, int line, const char *name)
{
    bool good = tap_ok(got == want, file, line, "%s", name);
    if (!good)
        printf("# got %" PRId64 ", want %" PRId64 "\n", got, want);
    return good;
}

bool tap_text(struct slice got, const char *want, const char *file, int line, const char *name)
{
    bool good = tap_ok(slice_eq(got, slice_cstr(want)), file, line, "%s", name);
    if (!good)
        printf("# got  '%.*s'\n# want '%s'\n", SLICE_FMT(got), want);
    return good;
}

void tap_must(bool good, const struct err *err, const char *file, int line, const char *what)
{
    if (good)
        return;
    printf("Bail out! %s:%d: %s: %s\n", file, line, what, err != NULL ? err->text : "failed");
    exit(1);
}

int tap_done(void)
{
    printf("1..%d\n", count);
    return failed > 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void remove_dir(void)
{
    (void)nftw(dir_path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *tap_dir(void)
{
    if (dir_path[0] != '\0')
        return dir_path;
    const char *base = getenv("TMPDIR");
    (void)snprintf(dir_path, sizeof dir_path, "%s/mstore-test-XXXXXX", base != NULL ? base : "/tmp");
    if (mkdtemp(dir_path) == NULL) {
        perror(dir_path);
        exit(1);
    }
    (void)atexit(remove_dir);
    return dir_path;
}
