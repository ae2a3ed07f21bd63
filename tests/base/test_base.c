/* test_base.c -- codec, buf, arena, clock, queue, JSON output: bounds from both sides. */
#include "tap.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/jsonout.h"
#include "base/queue.h"
#include "base/shortest.h"
#include "base/zbuf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void test_varints_round_trip(void)
{
    static const uint64_t values[] = {0, 1, 127, 128, 300, UINT32_MAX, UINT64_MAX - 1, UINT64_MAX};
    struct buf b;
    buf_init(&b, 0);
    for (size_t i = 0; i < COUNT_OF(values); i++)
        put_varint(&b, values[i]);
    put_zigzag(&b, INT64_MIN);
    struct rd r = rd_of(buf_slice(&b));
    bool same = true;
    for (size_t i = 0; i < COUNT_OF(values); i++)
        same = same && rd_varint(&r) == values[i];
    ok(same && rd_zigzag(&r) == INT64_MIN && !r.bad && rd_left(&r) == 0, "varints and zigzag round-trip");
    buf_done(&b);
    r = rd_of(SLICE("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
    ok(rd_varint(&r) == UINT64_MAX && !r.bad, "ten bytes hold the largest varint");
    r = rd_of(SLICE("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"));
    ok(rd_varint(&r) == 0 && r.bad, "a 65th bit is refused");
    r = rd_of(SLICE("\x80"));
    ok(rd_varint(&r) == 0 && r.bad, "a cut varint is refused");
    r = rd_of(SLICE("\x05" "abcd"));
    ok(rd_prefixed(&r).len == 0 && r.bad, "a length beyond the end is refused");
}

static void test_buffers_keep_their_cap(void)
{
    struct buf b;
    buf_init(&b, 10);
    buf_put(&b, "0123456789", 10);
    ok(!b.bad && b.len == 10, "a buffer takes its cap");
    buf_put_byte(&b, 'x');
    ok(b.bad, "and no byte more");
    buf_reset(&b);
    ok(!b.bad && b.len == 0, "a reset empties it");
    buf_done(&b);
}

static void test_arenas_keep_their_cap(void)
{
    struct arena a;
    struct err err;
    arena_init(&a, 1 << 20);
    struct arena_mark mark = arena_mark(&a);
    ok(arena_alloc(&a, 1 << 19) != NULL && arena_ok(&a, "x", &err), "half of the cap is given");
    ok(arena_alloc(&a, 1 << 20) == NULL && a.overflowed, "beyond the cap nothing is");
    ok(arena_alloc(&a, 1) == NULL, "the first failure sticks");
    ok(!arena_ok(&a, "thing", &err) && err.code == ERR_LIMIT, "and is told with what it was");
    arena_reset(&a);
    ok(arena_alloc(&a, 100) != NULL, "a reset gives all back");
    arena_rewind(&a, mark);
    size_t room = 0;
    int *items = NULL;
    bool good = true;
    for (size_t i = 0; i < 1000 && good; i++) {
        good = i < room || arena_grow(&a, (void **)&items, sizeof *items, i, &room);
        if (good)
            items[i] = (int)i;
    }
    ok(good && items[0] == 0 && items[999] == 999, "a growing array keeps its items");
    ok(arena_array(&a, SIZE_MAX / 2, 16) == NULL, "a product that overflows is refused");
    arena_done(&a);
}

static void test_times_as_text(void)
{
    static const struct {
        int64_t ns;
        const char *text;
    } table[] = {{0, "1970-01-01T00:00:00Z"},
                 {1793491205000000001, "2026-11-01T00:00:05.000000001Z"},
                 {1793491205500000000, "2026-11-01T00:00:05.5Z"},
                 {-1, "1969-12-31T23:59:59.999999999Z"}};
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        char text[CLOCK_RFC3339_BYTES];
        int64_t back = 0;
        clock_rfc3339(table[i].ns, text);
        is_text(slice_cstr(text), table[i].text, "time printed");
        ok(clock_parse_rfc3339(slice_cstr(text), &back) && back == table[i].ns, "and read again");
    }
    int64_t ns;
    ok(clock_parse_rfc3339(SLICE("2026-11-01T01:00:05+01:00"), &ns) && ns == 1793491205000000000, "a zone is taken off");
    ok(!clock_parse_rfc3339(SLICE("2026-02-29T00:00:00Z"), &ns), "a day that is not is refused");
    ok(!clock_parse_rfc3339(SLICE("2026-11-01T00:00:05"), &ns), "a zone is required");
}

static void test_numbers_as_json(void)
{
    static const struct {
        double value;
        const char *text;
    } table[] = {{0, "0"}, {-1, "-1"}, {0.1, "0.1"}, {1e6, "1000000"}, {1e-6, "0.000001"}, {2.316666666666667, "2.316666666666667"},
                 {1e21, "1000000000000000000000"}, {123.456, "123.456"}, {INFINITY, "+Inf"}, {-INFINITY, "-Inf"},
                 {5e-324, NULL}, {1.7976931348623157e308, NULL}};
    struct buf b;
    buf_init(&b, 0);
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        buf_reset(&b);
        jsonout_number(&b, table[i].value);
        if (table[i].text != NULL)
            is_text(buf_slice(&b), table[i].text, "number");
        buf_put_byte(&b, '\0');
        ok(strtod((const char *)b.ptr, NULL) == table[i].value, "it reads back");
    }
    buf_reset(&b);
    jsonout_string(&b, SLICE("a\"\\\n\x01\xff\xc3\xa9\xed\xa0\x80"));
    is_text(buf_slice(&b), "\"a\\\"\\\\\\n\\u0001\xEF\xBF\xBD\xc3\xa9\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"",
            "a string escapes, and replaces each invalid byte");
    buf_done(&b);
}

// The fewest digits that read back, against trying one after the other.
static int fewest_digits(double value, char text[SHORTEST_BYTES])
{
    int digits = 1;
    for (;; digits++) {
        (void)snprintf(text, SHORTEST_BYTES, "%.*e", digits - 1, value);
        if (strtod(text, NULL) == value)
            return digits;
    }
}

static void test_shortest_decimals(void)
{
    static const double table[] = {0, -0.0, 1, -1.5, 100, 0.1, 0.3, 1e21, 1e22, 1e23, 5e-324, 2.2250738585072014e-308, 2.225073858507201e-308,
                                   1.7976931348623157e308, -1.1099999999999998e+33, 123456789012345, 1234567890123456, 9007199254740992};
    char got[SHORTEST_BYTES], want[SHORTEST_BYTES];
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        int digits = fewest_digits(table[i], want);
        is_int(shortest_decimal(table[i], got), digits, "its digits");
        is_text(slice_cstr(got), want, "and its text");
    }
    int differ = 0;
    uint64_t state = 1;
    for (int i = 0; i < 20000; i++) {
        double value;
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
        memcpy(&value, &state, sizeof value);
        value = i % 2 == 0 ? value : (double)(state >> 40) / 1000;
        if (isfinite(value))
            differ += fewest_digits(value, want) != shortest_decimal(value, got) || strcmp(got, want) != 0;
    }
    is_int(differ, 0, "any others");
}

static void test_odd_bytes_of_strings(void)
{
    struct buf b;
    bool good = true;
    buf_init(&b, 0);
    for (size_t len = 1; len < 50; len++)
        for (size_t odd = 0; odd < len; odd++) {
            char text[64], want[64];
            memset(text, 'x', len);
            text[odd] = '"';
            int bytes = snprintf(want, sizeof want, "\"%.*s\\%.*s\"", (int)odd, text,
                                 (int)(len - odd), text + odd);
            buf_reset(&b);
            jsonout_string(&b, slice_of(text, len));
            good = good && slice_eq(buf_slice(&b), slice_of(want, (size_t)bytes));
        }
    ok(good, "what has to be escaped is, wherever it stands");
    buf_done(&b);
}

static void test_decimal_digits(void)
{
    static const struct {
        int64_t value;
        const char *text, *as_unsigned;
    } table[] = {{0, "0", "0"},
                 {9, "9", "9"},
                 {10, "10", "10"},
                 {-1, "-1", "18446744073709551615"},
                 {INT64_MAX, "9223372036854775807", "9223372036854775807"},
                 {INT64_MIN, "-9223372036854775808", "9223372036854775808"},
                 {-10, "-10", "18446744073709551606"}};
    struct buf b;
    buf_init(&b, 0);
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        buf_reset(&b);
        buf_put_signed(&b, table[i].value);
        is_text(buf_slice(&b), table[i].text, "signed");
        buf_reset(&b);
        buf_put_unsigned(&b, (uint64_t)table[i].value);
        is_text(buf_slice(&b), table[i].as_unsigned, "unsigned");
    }
    buf_done(&b);
    buf_init(&b, 2);
    buf_put_unsigned(&b, 123);
    ok(b.bad && b.len == 0, "digits that do not fit are not put");
    buf_done(&b);
}

static void test_queue_is_bounded(void)
{
    int items[3];
    struct queue *q = queue_new(2);
    ok(queue_push(q, &items[0]) && queue_push(q, &items[1]), "a queue takes what it holds");
    ok(!queue_push(q, &items[2]), "and refuses more");
    ok(queue_pop(q) == &items[0], "first in, first out");
    queue_close(q);
    ok(!queue_push(q, &items[2]), "a closed queue refuses");
    ok(queue_pop(q) == &items[1] && queue_pop(q) == NULL, "and drains");
    queue_free(q);
}

static void test_zstd_sizes_are_checked(void)
{
    struct err err;
    struct zbuf *z = zbuf_new();
    struct buf b;
    uint8_t to[64];
    buf_init(&b, 0);
    must(zbuf_compress(z, 1, SLICE("hello hello hello hello"), &b, &err), &err);
    ok(zbuf_decompress(z, buf_slice(&b), to, 23, &err), "the right size is decoded");
    ok(!zbuf_decompress(z, buf_slice(&b), to, 22, &err) && err.code == ERR_CORRUPT, "one byte less is corruption");
    ok(!zbuf_decompress(z, buf_slice(&b), to, 24, &err) && err.code == ERR_CORRUPT, "one more too");
    ok(!zbuf_decompress(z, slice_of(b.ptr, b.len - 1), to, 23, &err), "a cut frame too");
    buf_done(&b);
    zbuf_free(z);
}

int main(void)
{
    test_varints_round_trip();
    test_buffers_keep_their_cap();
    test_decimal_digits();
    test_odd_bytes_of_strings();
    test_shortest_decimals();
    test_arenas_keep_their_cap();
    test_times_as_text();
    test_numbers_as_json();
    test_queue_is_bounded();
    test_zstd_sizes_are_checked();
    return tap_done();
}
