/* test_filter.c -- filters of blocks: never deny what is there, deny most of what is not, stay small. */
#include "tap.h"

#include "base/limits.h"
#include "store/segment/filter.h"

#include <stdlib.h>

enum { BLOCK_BYTES = 40000, ROUNDS = 200, NEEDLES = 400 };

static uint64_t state = 88172645463325252;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

// One piece of a line: what filters look for, its neighbours, and what it is not.
static void put_piece(struct buf *b)
{
    static const char *const words[] = {"error", "GET /index.html", "level=", "\"user\":", "\\u00e9", "Payment declined",
                                        "\xC3\xA9t\xC3\xA9", "1.2.3", "-----", "::1", "2026-11-24T10:00:00Z"};
    static const char hex[] = "0123456789abcdefABCDEF-";
    switch (next() % 6) {
    case 0:
        buf_printf(b, "%u.%u.%u.%u", (unsigned)(next() % 256), (unsigned)(next() % 256), (unsigned)(next() % 256),
                   (unsigned)(next() % 256));
        break;
    case 1:
        for (uint64_t n = 12 + next() % 30; n > 0; n--)
            buf_put_byte(b, (uint8_t)hex[next() % (sizeof hex - 1)]);
        break;
    case 2:
        for (uint64_t n = next() % 12; n > 0; n--)
            buf_printf(b, "%u.", (unsigned)(next() % 2000));
        break;
    case 3:
        buf_put_byte(b, (uint8_t)next());
        break;
    default:
        buf_put_cstr(b, words[next() % COUNT_OF(words)]);
    }
    if (next() % 3 > 0)
        buf_put_byte(b, ' ');
}

static void never_denies(void)
{
    struct filter_builder *builder = filter_builder_new();
    struct buf texts[ROUNDS], section;
    struct arena a;
    static struct filter_reader r;
    size_t denied = 0, broken = 0, words = 0, ids = 0, looked = 0;
    arena_init(&a, 64 * MIB);
    buf_init(&section, 0);
    for (int i = 0; i < ROUNDS; i++) {
        buf_init(&texts[i], 0);
        size_t bytes = 100 + next() % (i % 10 == 0 ? 200000 : 3000);
        while (texts[i].len < bytes)
            put_piece(&texts[i]);
        size_t cut = next() % texts[i].len; // lines, then metadata
        filter_add_text(builder, slice_of(texts[i].ptr, cut));
        filter_add_text(builder, slice_from(buf_slice(&texts[i]), cut));
        filter_end_block(builder, BLOCK_BYTES * 20, &section);
        texts[i].room = cut; // kept for the needles, which do not reach across it
    }
    filter_reader_init(&r, buf_slice(&section));
    for (int i = 0; i < ROUNDS; i++) {
        broken += !filter_reader_next(&r);
        words += r.words != NULL;
        ids += r.ids.len > 0;
        for (int n = 0; n < NEEDLES; n++) {
            size_t cut = texts[i].room, from = next() % texts[i].len, end = from + 1 + next() % 60;
            size_t limit = from < cut ? cut : texts[i].len;
            struct filter_needle needle;
            arena_reset(&a);
            if (!filter_needle_init(&needle, slice_of(texts[i].ptr + from, (end < limit ? end : limit) - from), &a))
                continue;
            denied += !filter_may_contain(&r, &needle);
            looked++;
        }
    }
    ok(broken == 0 && filter_reader_at_end(&r), "filters read back");
    ok(denied == 0 && looked > 50000, "of %zu texts that are there none is denied", looked);
    ok(words > ROUNDS * 9 / 10 && ids > ROUNDS / 2, "%zu blocks have words, %zu ids", words, ids);
    filter_builder_free(builder);
    for (int i = 0; i < ROUNDS; i++)
        buf_done(&texts[i]);
    buf_done(&section);
    arena_done(&a);
}

static void put_log_line(struct buf *b, unsigned n)
{
    buf_printf(b, "%u.%u.%u.%u - \"GET /api/v1/orders?id=%u\" 200 trace=%016llx%016llx ", n % 100 + 1, n / 7 % 256, n * 31 % 256,
               n * 17 % 256, n * 7919, (unsigned long long)next(), (unsigned long long)next());
}

static bool says_maybe(const struct filter_reader *r, struct slice text)
{
    struct filter_needle needle;
    AUTO(arena_done) struct arena a;
    arena_init(&a, MIB);
    return !filter_needle_init(&needle, text, &a) || filter_may_contain(r, &needle);
}

static void denies(void)
{
    struct filter_builder *builder = filter_builder_new();
    struct buf text, section, needle;
    static struct filter_reader r;
    buf_init(&text, 0);
    buf_init(&section, 0);
    buf_init(&needle, 0);
    for (unsigned i = 0; i < 800; i++)
        put_log_line(&text, i);
    filter_add_text(builder, buf_slice(&text));
    filter_end_block(builder, 512 * KIB, &section);
    filter_reader_init(&r, buf_slice(&section));
    ok(filter_reader_next(&r) && r.words != NULL && r.ids.len > 0, "a filter of words and ids");
    static const char *const absent[] = {"OutOfMemory", "nosuchtext", "payment", "\"level\"", "error", "POST /", "SELECT"};
    static const char *const unknown[] = {"", "a", "GE", "12", "\xC3\xA9"};
    for (size_t i = 0; i < COUNT_OF(absent); i++)
        ok(!says_maybe(&r, slice_cstr(absent[i])), "`%s` is denied", absent[i]);
    for (size_t i = 0; i < COUNT_OF(unknown); i++)
        ok(says_maybe(&r, slice_cstr(unknown[i])), "of `%s` nothing can be said", unknown[i]);
    ok(says_maybe(&r, SLICE("get /API/V1/ORDERS?ID=1")), "letters have no case, digits no value");
    unsigned addresses = 0, traces = 0;
    for (unsigned i = 0; i < 1000; i++) {
        buf_reset(&needle);
        buf_printf(&needle, "%u.%u.%u.%u", 101 + i % 100, i * 13 % 256, i * 7 % 256, i % 256);
        addresses += says_maybe(&r, buf_slice(&needle));
        buf_reset(&needle);
        buf_printf(&needle, "%016llx%016llx", (unsigned long long)next(), (unsigned long long)next());
        traces += says_maybe(&r, buf_slice(&needle));
    }
    ok(addresses < 100, "%u of 1000 other addresses pass", addresses);
    ok(traces < 20, "%u of 1000 other traces pass", traces);
    filter_builder_free(builder);
    buf_done(&text);
    buf_done(&section);
    buf_done(&needle);
}

// Bytes that the filters of blocks of noise take.
static uint64_t noise_bytes(unsigned blocks, uint64_t stored_bytes, size_t text_bytes)
{
    struct filter_builder *builder = filter_builder_new();
    struct buf text, section;
    buf_init(&text, 0);
    buf_init(&section, 0);
    for (unsigned i = 0; i < blocks; i++) {
        buf_reset(&text);
        while (text.len < text_bytes)
            put_piece(&text);
        filter_add_text(builder, buf_slice(&text));
        filter_end_block(builder, stored_bytes, &section);
    }
    uint64_t bytes = section.len;
    filter_builder_free(builder);
    buf_done(&text);
    buf_done(&section);
    return bytes;
}

static void stays_small(void)
{
    ok(noise_bytes(50, BLOCK_BYTES, 250000) <= 50 * BLOCK_BYTES / 50 + 1024, "noise: one byte of fifty");
    is_int(noise_bytes(1, FILTER_BLOCK_BYTES_MIN - 1, 1000), 1, "a small block has none");
    ok(noise_bytes(1, FILTER_BLOCK_BYTES_MIN, 1000) > 1, "a block of %d bytes has one", (int)FILTER_BLOCK_BYTES_MIN);
}

static size_t ids_of(unsigned count)
{
    struct filter_builder *builder = filter_builder_new();
    struct buf text, section;
    static struct filter_reader r;
    buf_init(&text, 0);
    buf_init(&section, 0);
    for (unsigned i = 0; i < count; i++)
        buf_printf(&text, "1.%u.%u.1 ", i / 256, i % 256);
    filter_add_text(builder, buf_slice(&text));
    filter_end_block(builder, 10 * MIB, &section);
    filter_reader_init(&r, buf_slice(&section));
    size_t bytes = filter_reader_next(&r) ? r.ids.len : SIZE_MAX;
    filter_builder_free(builder);
    buf_done(&text);
    buf_done(&section);
    return bytes;
}

static void bounds_ids(void)
{
    is_int(ids_of(8192), 8192, "8192 ids take a byte each");
    is_int(ids_of(8193), 0, "with one more there is no filter of them");
}

static void reads_what_is_broken(void)
{
    struct filter_builder *builder = filter_builder_new();
    struct buf text, section;
    static struct filter_reader r;
    size_t whole = 0;
    buf_init(&text, 0);
    buf_init(&section, 0);
    for (unsigned n = 0; n < 3; n++) {
        for (unsigned i = 0; i < 20; i++)
            put_log_line(&text, i * n);
        filter_add_text(builder, buf_slice(&text));
        filter_end_block(builder, 64 * KIB, &section);
    }
    for (size_t len = 0; len < section.len; len++) {
        filter_reader_init(&r, slice_of(section.ptr, len));
        whole += filter_reader_next(&r) && filter_reader_next(&r) && filter_reader_next(&r) && filter_reader_at_end(&r);
    }
    is_int(whole, 0, "a section cut short is noticed");
    for (size_t i = 0; i < section.len * 8; i++) {
        section.ptr[i / 8] ^= (uint8_t)(1U << i % 8);
        filter_reader_init(&r, buf_slice(&section));
        for (int n = 0; n < 3 && filter_reader_next(&r); n++)
            (void)says_maybe(&r, SLICE("10.2.3.4 and 0123456789abcdef"));
        section.ptr[i / 8] ^= (uint8_t)(1U << i % 8);
    }
    ok(true, "flipped bits are read without harm");
    filter_builder_free(builder);
    buf_done(&text);
    buf_done(&section);
}

int main(void)
{
    never_denies();
    denies();
    stays_small();
    bounds_ids();
    reads_what_is_broken();
    return tap_done();
}
