/* test_labels.c -- labels.cases, encodings, and the order of printed sets. */
#include "cases.h"
#include "tap.h"

#include "base/labels.h"
#include "base/limits.h"

#include <stdio.h>

static struct slice encoded(struct arena *a, const char *text)
{
    struct err err;
    struct labels l;
    must(labels_parse(slice_cstr(text), a, &l, &err), &err);
    (void)labels_canon(&l);
    uint8_t *to = arena_alloc(a, labels_encoded_bytes(&l));
    labels_encode_at(to, &l);
    return slice_of(to, labels_encoded_bytes(&l));
}

static void run(struct slice input, struct buf *out)
{
    struct arena a;
    struct labels l;
    struct err err;
    arena_init(&a, MIB);
    if (slice_eq(input, SLICE("(empty)")))
        input = SLICE("");
    if (!labels_parse(input, &a, &l, &err)) {
        buf_printf(out, "! %s", err.text);
    } else {
        struct slice twice = labels_canon(&l);
        if (twice.ptr != NULL) {
            buf_printf(out, "! twice: %.*s", SLICE_FMT(twice));
        } else {
            struct buf b;
            buf_init(&b, 0);
            labels_encode(&b, &l);
            ok(labels_valid(buf_slice(&b)), "its encoding is valid");
            labels_print(out, buf_slice(&b));
            buf_done(&b);
        }
    }
    arena_done(&a);
}

static int sign(int n)
{
    return (n > 0) - (n < 0);
}

static void test_order_is_that_of_the_printed_text(void)
{
    static const char *const sets[] = {
        "{}", "{a=\"1\"}", "{a=\"12\"}", "{a=\"1\", b=\"2\"}", "{a1=\"1\"}", "{aB=\"1\"}", "{a=\"\\\"\"}", "{a=\"\\n\"}",
        "{a=\"é\"}", "{a=\"!\"}", "{b=\"\"}", "{a=\"1\\\\\"}", "{a=\"~\"}", "{a=\"\\x01\"}", "{a=\"1\", c=\"\\t\"}",
    };
    struct arena a;
    struct buf x, y;
    int wrong = 0;
    arena_init(&a, MIB);
    buf_init(&x, 0);
    buf_init(&y, 0);
    for (size_t i = 0; i < COUNT_OF(sets); i++)
        for (size_t n = 0; n < COUNT_OF(sets); n++) {
            struct slice p = encoded(&a, sets[i]), q = encoded(&a, sets[n]);
            buf_reset(&x);
            buf_reset(&y);
            labels_print(&x, p);
            labels_print(&y, q);
            if (sign(labels_cmp_printed(p, q)) != sign(slice_cmp(buf_slice(&x), buf_slice(&y)))) {
                printf("# %s and %s\n", sets[i], sets[n]);
                wrong++;
            }
        }
    is_int(wrong, 0, "sets sort as their printed texts do");
    buf_done(&x);
    buf_done(&y);
    arena_done(&a);
}

static void test_broken_encodings_are_refused(void)
{
    struct arena a;
    arena_init(&a, MIB);
    struct slice good = encoded(&a, "{a=\"1\", b=\"2\"}");
    ok(labels_valid(good) && labels_valid(LABELS_EMPTY), "a set and the empty set are valid");
    for (size_t len = 0; len < good.len; len++)
        ok(!labels_valid(slice_of(good.ptr, len)), "cut after %zu bytes it is not", len);
    ok(!labels_valid(SLICE("\2\1b\0011\1a\0012")), "names out of order are not");
    ok(!labels_valid(SLICE("\1\1a\0")), "an empty value is not");
    ok(!labels_valid(SLICE("\0\0")), "bytes left over are not");
    arena_done(&a);
}

int main(int argc, char **argv)
{
    (void)argc;
    ok(cases_run(argv[1], run) > 10, "the table was read");
    test_order_is_that_of_the_printed_text();
    test_broken_encodings_are_refused();
    return tap_done();
}
