/* test_level.c -- level.cases and names.cases: what ingest makes of lines and metadata names. */
#include "cases.h"
#include "tap.h"

#include "base/limits.h"
#include "ingest/accept.h"
#include "ingest/level.h"

static void run_level(struct slice input, struct buf *out)
{
    if (slice_eq(input, SLICE("(empty)")))
        input = SLICE("");
    buf_put_slice(out, level_name(level_of_line(input)));
}

static void run_name(struct slice input, struct buf *out)
{
    struct arena a;
    struct slice name;
    struct err err;
    arena_init(&a, MIB);
    if (slice_eq(input, SLICE("(empty)")))
        input = SLICE("");
    if (accept_metadata_name(input, &a, &name, &err))
        buf_put_slice(out, name);
    else
        buf_printf(out, "! %s", err.text);
    arena_done(&a);
}

static void test_severity_numbers(void)
{
    static const struct {
        const char *number;
        enum level level;
    } table[] = {{"0", LEVEL_UNKNOWN}, {"1", LEVEL_TRACE}, {"4", LEVEL_TRACE}, {"5", LEVEL_DEBUG}, {"8", LEVEL_DEBUG},
                 {"9", LEVEL_INFO},    {"13", LEVEL_WARN}, {"17", LEVEL_ERROR}, {"21", LEVEL_FATAL}, {"24", LEVEL_FATAL},
                 {"25", LEVEL_UNKNOWN}, {"x", LEVEL_INFO}, {"", LEVEL_INFO}};
    for (size_t i = 0; i < COUNT_OF(table); i++)
        ok(level_of_severity(slice_cstr(table[i].number)) == table[i].level, "severity %s", table[i].number);
}

int main(int argc, char **argv)
{
    (void)argc;
    ok(cases_run(argv[1], run_level) > 30, "the table of lines was read");
    ok(cases_run(argv[2], run_name) > 10, "the table of names was read");
    test_severity_numbers();
    return tap_done();
}
