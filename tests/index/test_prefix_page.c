/* test_prefix_page.c -- pages of prefixes: what goes in comes out, whatever its distribution; other bytes are refused. */
#include "tap.h"

#include "index/prefix_page.h"

#include <stdlib.h>

static uint64_t state = 1;

static uint32_t next_random(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 32);
}

static int by_both(const void *a, const void *b)
{
    const struct prefix_entry *x = a, *y = b;
    if (x->prefix != y->prefix)
        return x->prefix < y->prefix ? -1 : 1;
    return (x->segment > y->segment) - (x->segment < y->segment);
}

// Whether exactly the entries [from, from + count) are found under their prefixes, and none under the neighbours'.
static bool is_searched(const struct prefix_page *p, const struct prefix_entry *entries, uint32_t count)
{
    for (uint32_t i = 0, end; i < count; i = end) {
        uint32_t prefix = entries[i].prefix, first = 0;
        for (end = i; end < count && entries[end].prefix == prefix; end++)
            continue;
        if (prefix_page_find(p, prefix, &first) != end - i || first != i)
            return false;
        for (uint32_t n = i; n < end; n++)
            if (prefix_page_segment(p, n) != entries[n].segment)
                return false;
        if (end < count && entries[end].prefix != prefix + 1 && prefix_page_find(p, prefix + 1, &first) != 0)
            return false;
    }
    uint32_t ignored;
    return (p->first == 0 || prefix_page_find(p, p->first - 1, &ignored) == 0) &&
           (p->last == UINT32_MAX || prefix_page_find(p, p->last + 1, &ignored) == 0);
}

// Puts entries into pages until none is left, reads each; returns the number of pages, 0 when something is wrong.
static size_t round_trip(const struct prefix_entry *entries, size_t count, unsigned segment_bits)
{
    static struct prefix_entry back[PREFIX_PAGE_ENTRIES_MAX];
    AUTO(buf_done) struct buf bytes;
    buf_init(&bytes, 0);
    size_t pages = 0;
    for (size_t at = 0; at < count; pages++) {
        struct prefix_page p;
        buf_reset(&bytes);
        size_t n = prefix_page_put(&entries[at], count - at, segment_bits, &bytes);
        if (n == 0 || n > count - at || bytes.len > PREFIX_PAGE_BYTES || !prefix_page_open(buf_slice(&bytes), &p) ||
            p.entries_count != n || !prefix_page_all(&p, back) || !is_searched(&p, &entries[at], (uint32_t)n))
            return 0;
        for (size_t i = 0; i < n; i++)
            if (by_both(&back[i], &entries[at + i]) != 0)
                return 0;
        at += n;
    }
    return pages;
}

static void test_what_goes_in_comes_out(void)
{
    enum { MANY = 30000 };
    static struct prefix_entry entries[MANY];
    static const struct {
        const char *name;
        uint32_t below; // prefixes are less; 0: any
        uint32_t segments;
        unsigned segment_bits;
    } cases[] = {
        {"random prefixes of one segment", 0, 1, 0},
        {"of many segments", 0, 1000, 10},
        {"of one more than a power of two", 0, 1025, 11},
        {"dense ones", MANY / 2, 64, 6},
        {"one prefix in many segments", 1, MANY, 15},
        {"segments of the greatest number", 0, UINT32_MAX, 32},
    };
    for (size_t c = 0; c < COUNT_OF(cases); c++) {
        for (uint32_t i = 0; i < MANY; i++) {
            uint32_t random = next_random();
            entries[i].prefix = cases[c].below == 0 ? random : random % cases[c].below;
            entries[i].segment = cases[c].below == 1 ? i : next_random() % cases[c].segments;
        }
        qsort(entries, MANY, sizeof *entries, by_both);
        size_t pages = round_trip(entries, MANY, cases[c].segment_bits);
        ok(pages > 0, "%s: %zu pages", cases[c].name, pages);
    }
    for (uint32_t count = 1; count <= 70; count++) {
        for (uint32_t i = 0; i < count; i++)
            entries[i] = (struct prefix_entry){next_random() % 200, i % 3};
        qsort(entries, count, sizeof *entries, by_both);
        if (round_trip(entries, count, 2) != 1) {
            ok(false, "%u entries", count);
            return;
        }
    }
    ok(true, "1 to 70 entries");
    struct prefix_entry ends[] = {{0, 1}, {0, 2}, {UINT32_MAX, 0}, {UINT32_MAX, 3}};
    is_int(round_trip(ends, COUNT_OF(ends), 2), 1, "the least and the greatest prefix");
    for (uint32_t i = 0; i < MANY; i++)
        entries[i] = (struct prefix_entry){i, 0};
    is_int(round_trip(entries, PREFIX_PAGE_ENTRIES_MAX, 0), 1, "as many entries as a page takes");
    is_int(round_trip(entries, PREFIX_PAGE_ENTRIES_MAX + 1, 0), 2, "and one more");
}

static void test_space(void)
{
    enum { MANY = 20000 };
    static struct prefix_entry entries[MANY];
    for (uint32_t i = 0; i < MANY; i++)
        entries[i] = (struct prefix_entry){next_random(), i % 64};
    qsort(entries, MANY, sizeof *entries, by_both);
    size_t pages = round_trip(entries, MANY, 6);
    // 17.7 bits tell a gap of so many, and 6 the segment; Elias and Fano take up to half a bit more. The last page is not full.
    ok((pages - 1) * PREFIX_PAGE_BYTES * 8 <= MANY * 26, "26 bits an entry are enough: %zu pages", pages);
}

static void test_other_bytes_are_refused(void)
{
    static struct prefix_entry entries[500], back[PREFIX_PAGE_ENTRIES_MAX];
    AUTO(buf_done) struct buf bytes;
    buf_init(&bytes, 0);
    for (uint32_t i = 0; i < COUNT_OF(entries); i++)
        entries[i] = (struct prefix_entry){next_random(), i % 8};
    qsort(entries, COUNT_OF(entries), sizeof *entries, by_both);
    (void)prefix_page_put(entries, COUNT_OF(entries), 3, &bytes);
    struct prefix_page p;
    bool refused = true;
    for (size_t len = 0; len < bytes.len; len++)
        refused = refused && !prefix_page_open(slice_of(bytes.ptr, len), &p);
    ok(refused, "a page cut short");
    uint32_t sum = 0, opened = 0;
    for (size_t i = 0; i < bytes.len * 8; i++) { // under the sanitizers: no byte beyond is read
        uint8_t *copy = malloc(bytes.len);
        must(copy != NULL, NULL);
        memcpy(copy, bytes.ptr, bytes.len);
        copy[i / 8] ^= (uint8_t)(1u << i % 8);
        if (prefix_page_open(slice_of(copy, bytes.len), &p)) {
            opened++;
            sum += prefix_page_all(&p, back);
            for (uint32_t n = 0, first; n < COUNT_OF(entries); n++)
                if (prefix_page_find(&p, entries[n].prefix, &first) > 0)
                    sum += prefix_page_segment(&p, first);
        }
        free(copy);
    }
    ok(opened > 0 && sum > 0, "flipped bits are read within the page");
}

int main(void)
{
    test_what_goes_in_comes_out();
    test_space();
    test_other_bytes_are_refused();
    return tap_done();
}
