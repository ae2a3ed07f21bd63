/* test_split.c -- split lines: what is split comes back, whatever it is; what is damaged is refused
 * or harmless. */
#include "tap.h"

#include "base/codec.h"
#include "base/limits.h"
#include "store/segment/block.h"
#include "store/segment/split.h"
#include "store/segment/split_format.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 300, CANARY_BYTES = 64 };

static uint64_t state = 88172645463325252;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

// Lines to split: their text back to back, and their lengths.
struct lines {
    struct buf text;
    uint32_t *bytes;
    uint32_t count, room;
};

static void lines_done(struct lines *l)
{
    buf_done(&l->text);
    free(l->bytes);
    *l = (struct lines){0};
}

// What was put since the last line is one; noted is its end, until finish().
static void end_line(struct lines *l)
{
    if (l->count == l->room) {
        l->room = l->room == 0 ? 64 : 2 * l->room;
        l->bytes = realloc(l->bytes, l->room * sizeof *l->bytes);
    }
    l->bytes[l->count++] = (uint32_t)l->text.len;
}

// Ends of lines to lengths.
static void finish(struct lines *l)
{
    for (uint32_t i = l->count; i-- > 1;)
        l->bytes[i] -= l->bytes[i - 1];
}

static struct zbuf *z;
static struct split_writer *writer;
static struct buf scratch;

// Reads into memory that ends where it has to, with a canary behind it.
static bool read_back(struct slice stored, const uint32_t *line_bytes, uint32_t count,
                      size_t raw_bytes, uint8_t **text_out, struct err *err)
{
    uint8_t *to = malloc(raw_bytes + SPLIT_PAD_BYTES + CANARY_BYTES);
    memset(to, 0xa5, raw_bytes + SPLIT_PAD_BYTES + CANARY_BYTES);
    bool good = split_read(stored, line_bytes, count, to, raw_bytes, z, &scratch, err);
    for (int i = 0; i < CANARY_BYTES; i++)
        if (to[raw_bytes + SPLIT_PAD_BYTES + i] != 0xa5)
            abort();
    *text_out = to;
    return good;
}

// Whether the lines are split; they have to come back then.
static bool is_split(struct lines *l, int level, struct buf *out)
{
    struct err err = {0};
    bool split;
    uint8_t *text = NULL;
    buf_reset(out);
    must(split_write(writer, z, level, buf_slice(&l->text), l->bytes, l->count, out, &split, &err),
         &err);
    if (!split)
        return out->len > 0; // nothing is appended then
    bool good = read_back(buf_slice(out), l->bytes, l->count, l->text.len, &text, &err) &&
                memcmp(text, l->text.ptr, l->text.len) == 0;
    free(text);
    if (!good)
        must(err_set(&err, ERR_CORRUPT, "lines do not come back: %s", err.text), &err);
    return true;
}

// --- lines of all kinds
// -----------------------------------------------------------------------------

static void put_repeated(struct buf *b, const char *text, size_t times)
{
    for (size_t i = 0; i < times; i++)
        buf_put_cstr(b, text);
}

static void put_hostile(struct lines *l, unsigned kind)
{
    static const char *const numbers[] = {"0",
                                          "00",
                                          "007",
                                          "255",
                                          "256",
                                          "0255",
                                          "18446744073709551615",
                                          "18446744073709551616",
                                          "99999999999999999999999999",
                                          "-1",
                                          "1e5",
                                          "0x1F",
                                          "4294967296"};
    static const char *const quoted[] = {"\"",        "\"\"", "\"a b\"", "\"a \\\" b\"",
                                         "\"a b\\\"", "\\",   "\"\\",    "x=\"y z\" q=\" \"",
                                         "\" \"\""};
    static const char *const paths[] = {
        "/", "//", "/a/b.c-d~e%20", "=/x", "a/b", "http://h/p?q=/r", "(/v1)", "/a/1/b/22?id=3"};
    for (uint32_t i = 0; i < 40; i++) {
        switch (kind) {
        case 0: // mostly empty
            buf_put_cstr(&l->text, i % 7 == 3 ? "x" : "");
            break;
        case 1: // any bytes
            for (uint64_t n = next() % 60; n > 0; n--)
                buf_put_byte(&l->text, (uint8_t)next());
            break;
        case 2: // digits of many places
            put_repeated(&l->text, numbers[next() % 3], 5000 - i % 3);
            break;
        case 3:
            buf_printf(&l->text, "n=%s m=%s", numbers[next() % COUNT_OF(numbers)],
                       numbers[next() % COUNT_OF(numbers)]);
            break;
        case 4: // not UTF-8
            buf_printf(&l->text, "caf\xc3 \xff\xfe%u \xe2\x82", i);
            break;
        case 5:
            buf_printf(&l->text, "say %s %u", quoted[next() % COUNT_OF(quoted)], i);
            break;
        case 6:
            buf_printf(&l->text, "GET %s %s", paths[next() % COUNT_OF(paths)],
                       paths[next() % COUNT_OF(paths)]);
            break;
        case 7: // NUL bytes, and lines that are the beginning of others
            for (uint32_t n = 0; n < i % 5; n++)
                buf_put(&l->text, "a\0 7", 4);
            break;
        case 8: // more gaps than a template has
            for (uint32_t n = 0; n < 250 + i % 10; n++)
                buf_printf(&l->text, "%u,", (unsigned)(next() % 1000));
            break;
        case 9: // identifiers whose words are letters by chance
            buf_printf(&l->text, "id=%08x-%04x-%04x", (unsigned)next(), (unsigned)(next() & 0xffff),
                       (unsigned)(next() & 0xffff));
            break;
        default: // one value each, of any length
            put_repeated(&l->text, "v ", next() % 300);
            buf_printf(&l->text, "%u", i);
        }
        end_line(l);
    }
}

static void test_hostile_lines_come_back(void)
{
    struct buf out = {0};
    static const int levels[] = {-1, 1, 9};
    for (unsigned kind = 0; kind <= 10; kind++) {
        unsigned split = 0;
        for (size_t i = 0; i < COUNT_OF(levels); i++) {
            struct lines l = {0};
            put_hostile(&l, kind);
            finish(&l);
            split += is_split(&l, levels[i], &out);
            lines_done(&l);
        }
        bool alike =
            kind != 1 && kind != 5 && kind != 6 && kind != 10; // enough of them to be split
        ok(split == COUNT_OF(levels) || !alike, "hostile lines %u come back, split %u times", kind,
           split);
    }
    buf_done(&out);
}

static void test_extents(void)
{
    struct buf out = {0};
    struct lines l = {0};
    for (uint32_t i = 0; i < BLOCK_ENTRIES_MAX; i++)
        end_line(&l);
    finish(&l);
    ok(!is_split(&l, 1, &out), "65536 empty lines are nothing to split");
    lines_done(&l);
    for (uint32_t i = 0; i < BLOCK_ENTRIES_MAX; i++) {
        buf_put_byte(&l.text, (uint8_t)('0' + i % 10));
        end_line(&l);
    }
    finish(&l);
    ok(is_split(&l, 1, &out) && out.len < 2000, "65536 digits are, to %zu bytes", out.len);
    lines_done(&l);
    put_repeated(&l.text, "0123456789abcdef", 65536);
    end_line(&l);
    finish(&l);
    ok(!is_split(&l, 1, &out), "one line of 1 MiB is nothing to split");
    lines_done(&l);
    for (uint32_t i = 0; i < 10; i++) {
        buf_printf(&l.text, "seq=%u body=\"", i);
        for (uint32_t n = 0; n < 200000 + i; n++)
            buf_put_byte(&l.text, (uint8_t)(' ' + next() % 64 + 32 * (n % 3 == 0)));
        buf_put_byte(&l.text, '"');
        end_line(&l);
    }
    finish(&l);
    (void)is_split(&l, 1, &out);
    ok(true, "long lines of many kinds of gaps come back");
    lines_done(&l);
    for (uint32_t i = 0; i < 10; i++) { // each quote is looked for once, or this takes hours
        put_repeated(&l.text, i % 2 ? "\"\\" : "\\\"", 500000);
        buf_printf(&l.text, "x\"%u", i);
        end_line(&l);
    }
    finish(&l);
    (void)is_split(&l, 1, &out);
    ok(true, "and lines of escaped quotes");
    lines_done(&l);
    for (uint32_t i = 0; i < 20; i++) {
        buf_printf(&l.text, "%u ", i);
        put_repeated(&l.text, "1234567890", 7000 + i);
        end_line(&l);
    }
    finish(&l);
    ok(is_split(&l, 1, &out), "gaps of more than 65535 bytes are split and come back");
    lines_done(&l);
    buf_done(&out);
}

// A line of pieces as logs have them.
static void put_random(struct lines *l, uint64_t makes)
{
    static const char *const words[] = {"error",
                                        "GET",
                                        "user",
                                        "deadbeef",
                                        "caf\xc3\xa9",
                                        "/api/v1",
                                        "key=",
                                        "\"a b\"",
                                        "{\"level\":\"info\"}",
                                        "-",
                                        " "};
    uint64_t make = next() % makes, pieces = 2 + make % 9;
    for (uint64_t i = 0; i < pieces; i++) {
        switch ((make * 7 + i * 5) % 6) {
        case 0:
            buf_printf(&l->text, "%u", (unsigned)(next() % (make % 2 ? 300 : 1000000)));
            break;
        case 1:
            buf_printf(&l->text, "%u.%u.%u.%u", (unsigned)(next() % 4), (unsigned)(next() % 256),
                       (unsigned)(next() % 256), (unsigned)(next() % 256));
            break;
        case 2:
            buf_printf(&l->text, "%0*x", 1 + (int)(make % 16), (unsigned)next());
            break;
        case 3:
            buf_printf(&l->text, "\"%s %s\"", words[next() % COUNT_OF(words)],
                       words[next() % COUNT_OF(words)]);
            break;
        default:
            buf_put_cstr(&l->text, words[next() % (1 + (make + i) % COUNT_OF(words))]);
        }
        buf_put_cstr(&l->text, i % 2 ? " " : "=");
    }
    end_line(l);
}

static void test_random_lines_come_back(void)
{
    struct buf out = {0};
    unsigned split = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct lines l = {0};
        uint64_t makes = 1 + next() % 40;
        for (uint64_t n = 1 + next() % 700; n > 0; n--)
            put_random(&l, makes);
        finish(&l);
        split += is_split(&l, (int)(next() % 4), &out);
        lines_done(&l);
    }
    ok(split > ROUNDS / 2, "%u of %d random blocks were split, all came back", split, ROUNDS);
    buf_done(&out);
}

// --- the format
// -------------------------------------------------------------------------------------

// Reads a column of one line.
static const char *read_line(const struct buf *stored, const char *line)
{
    static struct err err;
    uint32_t bytes = (uint32_t)strlen(line);
    uint8_t *text = NULL;
    err.text[0] = 0;
    bool good = read_back(buf_slice(stored), &bytes, 1, bytes, &text, &err);
    if (good && memcmp(text, line, bytes) != 0)
        (void)err_set(&err, ERR_CORRUPT, "another line");
    free(text);
    return err.text;
}

// The column with these parts, none compressed.
static void put_parts(struct buf *b, uint64_t templates, uint64_t slots, uint64_t values,
                      const struct slice parts[SPLIT_PARTS])
{
    buf_reset(b);
    put_varint(b, templates);
    put_varint(b, slots);
    put_varint(b, values);
    for (int i = 0; i < SPLIT_PARTS; i++) {
        put_varint(b, parts[i].len << 1);
        buf_put_slice(b, parts[i]);
    }
}

static void test_the_documented_example(void)
{
    static const uint8_t stored[] =
        "\x01\x04\x02\x32\x05\x01\x05GET /\x01\x02\x01"
        "a\x01"
        "b\x01 \x03\x03\x01 \x02\x02ms\x00\x12\x00\x00\x00\x00\x01\x00\x0c\x07\x82\x00\x12"
        "200200404\x00\x00";
    static const uint32_t bytes[] = {15, 14, 16};
    static const char want[] = "GET /a 200 12msGET /b 200 7msGET /a 404 130ms";
    uint8_t *text = NULL;
    struct err err = {0};
    bool good =
        read_back(slice_of(stored, sizeof stored - 1), bytes, 3, sizeof want - 1, &text, &err);
    ok(good && memcmp(text, want, sizeof want - 1) == 0,
       "the example of docs/format.md is read: %s", err.text);
    free(text);
    static const uint32_t others[] = {15, 15, 15};
    good = read_back(slice_of(stored, sizeof stored - 1), others, 3, sizeof want - 1, &text, &err);
    ok(!good && err.code == ERR_CORRUPT, "lines of other lengths are not these: %s", err.text);
    free(text);
}

static void test_bounds_of_the_reader(void)
{
    struct buf head = {0}, codes = {0}, out = {0};
    // Lists of templates in each other, down to a number.
    for (unsigned depth = 1; depth <= SPLIT_DEPTH_MAX + 1; depth++) {
        buf_reset(&head);
        buf_reset(&codes);
        for (unsigned i = 0; i < depth; i++) {
            buf_put(&head, "\5\1\0", 3);
            buf_put_byte(&codes, 0);
        }
        buf_put_byte(&head, SPLIT_NUMBERS);
        buf_put_byte(&codes, 7);
        for (unsigned i = 0; i < depth; i++)
            buf_put(&head, "\0\0", 2);
        put_parts(&out, depth, 2 * depth, 0,
                  (struct slice[SPLIT_PARTS]){buf_slice(&head), buf_slice(&codes)});
        const char *error = read_line(&out, "7");
        ok((*error == 0) == (depth <= SPLIT_DEPTH_MAX), "lists of templates %u deep: %s", depth,
           error);
    }
    struct slice parts[SPLIT_PARTS] = {slice_of("\5\1\1x\0", 5), slice_of("\0", 1)};
    put_parts(&out, 1, 1, 0, parts);
    is_text(slice_cstr(read_line(&out, "x")), "", "a template of a literal alone");
    is_text(slice_cstr(read_line(&out, "xy")), "split: lines do not add up",
            "which the line is longer than");
    static const uint64_t totals[][3] = {{2, 1, 0}, {1, 2, 0}, {1, 1, 1}, {0, 1, 0}, {1, 0, 0}};
    for (size_t i = 0; i < COUNT_OF(totals); i++) {
        put_parts(&out, totals[i][0], totals[i][1], totals[i][2], parts);
        is_text(slice_cstr(read_line(&out, "x")), "split: lists do not add up",
                "totals that are not true");
    }
    static const uint64_t most[3] = {SPLIT_TEMPLATES_MAX, SPLIT_SLOTS_MAX, SPLIT_VALUES_MAX};
    for (int i = 0; i < 3; i++) {
        uint64_t t[3] = {1, 1, 0};
        t[i] = most[i];
        put_parts(&out, t[0], t[1], t[2], parts);
        is_text(slice_cstr(read_line(&out, "x")), "split: lists do not add up",
                "totals at their bound are looked into");
        t[i]++;
        put_parts(&out, t[0], t[1], t[2], parts);
        is_text(slice_cstr(read_line(&out, "x")), "split: parts do not add up",
                "and above are not");
    }
    uint8_t *zeros = calloc(1, 2 * SPLIT_PARTS_SLACK);
    parts[SPLIT_OTHER] = slice_of(zeros, split_parts_bytes_max(1, 1) - 6);
    put_parts(&out, 1, 1, 0, parts);
    is_text(slice_cstr(read_line(&out, "x")), "split: lists do not add up",
            "parts as large as they may be, but not needed");
    parts[SPLIT_OTHER].len++;
    put_parts(&out, 1, 1, 0, parts);
    is_text(slice_cstr(read_line(&out, "x")), "split: parts do not add up", "and larger ones");
    free(zeros);
    static const struct {
        const char *what;
        struct slice head, codes;
    } bad[] = {
        {"no list of templates", {(const uint8_t *)"\2", 1}, {(const uint8_t *)"\7", 1}},
        {"no templates", {(const uint8_t *)"\5\0", 2}, {(const uint8_t *)"\0", 1}},
        {"a code of no template", {(const uint8_t *)"\5\1\1x\0", 5}, {(const uint8_t *)"\1", 1}},
        {"a code of no value",
         {(const uint8_t *)"\5\1\0\1\1\1x\0\0", 9},
         {(const uint8_t *)"\0\1", 2}},
        {"an unknown kind", {(const uint8_t *)"\5\1\0\6\0\0", 6}, {(const uint8_t *)"\0\0", 2}},
        {"a class of numbers", {(const uint8_t *)"\5\1\0\12\0\0", 6}, {(const uint8_t *)"\0\7", 2}},
        {"texts of no bytes", {(const uint8_t *)"\5\1\0\3\0\0\0", 7}, {(const uint8_t *)"\0", 1}},
        {"a part that is not there",
         {(const uint8_t *)"\5\1\0\33\1\0\0", 7},
         {(const uint8_t *)"\0", 1}},
        {"texts that are not there",
         {(const uint8_t *)"\5\1\0\3\1\0\0", 7},
         {(const uint8_t *)"\0", 1}},
        {"codes that are not there",
         {(const uint8_t *)"\5\1\0\2\0\0", 6},
         {(const uint8_t *)"\0", 1}},
        {"a head cut short", {(const uint8_t *)"\5\1\1x", 4}, {(const uint8_t *)"\0", 1}},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        for (uint64_t slots = 1; slots <= 2; slots++) {
            put_parts(&out, 1, slots, bad[i].head.len == 9,
                      (struct slice[SPLIT_PARTS]){bad[i].head, bad[i].codes});
            ok(*read_line(&out, "x") != 0, "%s: %s", bad[i].what, read_line(&out, "x"));
        }
    }
    buf_done(&head);
    buf_done(&codes);
    buf_done(&out);
}

// Lines of `makes` templates of `gaps` gaps; `values` words in each gap, or numbers where that is
// 0.
static bool is_split_of(unsigned makes, unsigned gaps, unsigned lines, unsigned values)
{
    struct lines l = {0};
    struct buf out = {0};
    for (unsigned i = 0; i < lines; i++)
        for (unsigned make = 0; make < makes; make++) {
            for (unsigned k = 0; k <= make; k++)
                buf_put_byte(&l.text, '-');
            for (unsigned gap = 0; gap < gaps; gap++)
                if (values > 0)
                    buf_printf(&l.text, "=%c%c", (int)('g' + (i / 2 * 3 + gap) % values % 16),
                               (int)('g' + (i / 2 * 3 + gap) % values / 16));
                else
                    buf_printf(&l.text, "=%u", (i + gap) % 10);
            end_line(&l);
        }
    finish(&l);
    bool split = is_split(&l, 1, &out);
    buf_done(&out);
    lines_done(&l);
    return split;
}

static void test_bounds_of_the_writer(void)
{
    ok(is_split_of(255, 60, 8, 0), "255 templates of 60 gaps are split");
    ok(!is_split_of(255, 70, 8, 0), "of 70 gaps they are too many slots");
    ok(is_split_of(2, 126, 520, 256), "64512 values are split");
    ok(!is_split_of(2, 130, 520, 256), "66560 are too many");
    ok(is_split_of(300, 3, 8, 0), "of 300 templates some lines are the rest");
}

static void test_damaged_bytes(void)
{
    struct lines l = {0};
    struct buf out = {0}, bad = {0};
    for (int i = 0; i < 400; i++)
        put_random(&l, 12);
    finish(&l);
    ok(is_split(&l, 1, &out), "lines to damage, %zu bytes", out.len);
    unsigned refused = 0, other = 0, cut_taken = 0;
    for (size_t i = 0; i < out.len * 4; i++) {
        struct err err = {0};
        uint8_t *text = NULL;
        buf_reset(&bad);
        buf_put_slice(&bad, buf_slice(&out));
        bad.ptr[i % out.len] ^= (uint8_t)(1u << next() % 8);
        bool good = read_back(buf_slice(&bad), l.bytes, l.count, l.text.len, &text, &err);
        refused += !good && err.code == ERR_CORRUPT;
        other += good;
        free(text);
        if (i < out.len &&
            read_back(slice_of(out.ptr, i), l.bytes, l.count, l.text.len, &text, &err))
            cut_taken++;
        if (i < out.len)
            free(text);
    }
    ok(refused + other == out.len * 4 && refused > 0,
       "flipped bits are refused (%u) or make other lines (%u)", refused, other);
    is_int(cut_taken, 0, "nothing that is cut short is read");
    buf_done(&bad);
    buf_done(&out);
    lines_done(&l);
}

// --- in blocks
// --------------------------------------------------------------------------------------

static struct block_place flush_block(struct block_writer *w, struct buf *out, bool logs,
                                      unsigned seed)
{
    struct block_place place = {0};
    struct err err;
    char line[200];
    buf_reset(out);
    for (unsigned i = 0; i < 600; i++) {
        int len = snprintf(line, sizeof line, "10.0.%u.%u GET /item/%u took %ums for user%u", i % 7,
                           (unsigned)(next() % 256), (unsigned)(next() % 100000),
                           (unsigned)(next() % 1000), seed);
        for (int k = 0; k < len && !logs; k++)
            line[k] = (char)('!' + next() % 90);
        (void)block_add(w, i, slice_of(line, (size_t)len), SLICE("\0"));
    }
    must(block_flush(w, (struct buf *const[]){out, out, out, out}, &place, &err), &err);
    return place;
}

static bool decodes(const struct block_place *place, const struct buf *stored, struct err *err)
{
    struct block b = {0};
    uint8_t *at = stored->ptr;
    bool good = true;
    block_reset(&b, place->entries_count);
    for (int c = 0; c < COLUMNS_COUNT && good; c++) {
        good = block_decode(&b, (enum block_column)c, &place->columns[c],
                            slice_of(at, place->columns[c].stored_bytes), z, &scratch, err);
        at += place->columns[c].stored_bytes;
    }
    block_done(&b);
    return good;
}

static void test_blocks_are_split_where_it_pays(void)
{
    struct block_writer *w = block_writer_new(5, MIB, true),
                        *plain = block_writer_new(5, MIB, false);
    struct buf out = {0};
    struct err err = {0};
    unsigned logs = 0, noise = 0, again = 0;
    bool good = true;
    for (unsigned i = 0; i < 120; i++) {
        bool is_noise = i >= 40 && i < 80;
        struct block_place p = flush_block(w, &out, !is_noise, i);
        good = good && decodes(&p, &out, &err);
        bool split = p.columns[COLUMN_LINES].encoding == ENCODING_SPLIT;
        logs += i < 40 && split;
        noise += is_noise && split;
        again += i >= 100 && split;
    }
    is_int(logs, 40, "log lines are split");
    is_int(noise, 0, "noise is not, although lines before were");
    is_int(again, 20, "and log lines are again, before long");
    ok(good, "all of them decode: %s", err.text);
    struct block_place p = flush_block(plain, &out, true, 1);
    is_int(p.columns[COLUMN_LINES].encoding, ENCODING_ZSTD,
           "a writer that is not to split does not");
    p = flush_block(w, &out, true, 1);
    p.columns[COLUMN_METADATA].encoding = ENCODING_SPLIT;
    ok(!decodes(&p, &out, &err) && err.code == ERR_CORRUPT, "other columns are never split: %s",
       err.text);
    p = flush_block(w, &out, true, 1);
    p.columns[COLUMN_LINES].raw_bytes++;
    ok(!decodes(&p, &out, &err) && err.code == ERR_CORRUPT,
       "lines are as long as the lengths say: %s", err.text);
    block_writer_free(w);
    block_writer_free(plain);
    buf_done(&out);
}

int main(void)
{
    z = zbuf_new();
    writer = split_writer_new();
    test_the_documented_example();
    test_bounds_of_the_reader();
    test_bounds_of_the_writer();
    test_hostile_lines_come_back();
    test_extents();
    test_random_lines_come_back();
    test_damaged_bytes();
    test_blocks_are_split_where_it_pays();
    split_writer_free(writer);
    zbuf_free(z);
    buf_done(&scratch);
    return tap_done();
}
