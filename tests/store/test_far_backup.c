/* test_far_backup.c -- which texts are lists of a backup, and what they say. */
#include "tap.h"

#include "base/hash.h"
#include "store/far/far_backup.h"

#include <inttypes.h>

#define SEGMENT "segment 0000000000000007 123456 0123456789abcdef"
#define LOG "log 0000000000000008 0 00000000000000cd"
#define DELETIONS "deletions 77 00000000000000ab"

// With a true last line.
static void list(const char *text, bool good, const char *why)
{
    struct far_live live = {0};
    AUTO(buf_done) struct buf b;
    AUTO(buf_done) struct buf again;
    buf_init(&b, 0);
    buf_init(&again, 0);
    buf_put_cstr(&b, text);
    buf_printf(&b, "end %016" PRIx64 "\n", hash64(buf_slice(&b)));
    ok(far_backup_parse(buf_slice(&b), &live) == good, "%s", why);
    if (good) {
        far_backup_print(&live, &again);
        ok(slice_eq(buf_slice(&again), buf_slice(&b)), "and printed as it was");
    }
    far_live_done(&live);
}

static void test_texts(void)
{
    static const struct {
        const char *text, *why;
        bool good;
    } texts[] = {
        {"mstore backup 1\n", "an empty list", true},
        {"mstore backup 1\nincomplete\n", "an incomplete one", true},
        {"mstore backup 1\n" SEGMENT "\n", "a segment", true},
        {"mstore backup 1\n" SEGMENT " 00000000000000ff\n", "with a tag", true},
        {"mstore backup 1\nincomplete\n" DELETIONS " 0000000000000001\n" LOG "\n" SEGMENT "\n", "all there can be", true},
        {"mstore backup 1\n" LOG "\nlog 0000000000000009 18446744073709551615 ffffffffffffffff\n", "the greatest length", true},
        {"", "nothing", false},
        {"mstore backup 1", "no end of line", false},
        {"mstore backup 2\n", "another version", false},
        {" mstore backup 1\n", "a space before it", false},
        {"mstore backup 1\n\n", "an empty line", false},
        {"mstore backup 1\nincomplete\nincomplete\n", "incomplete twice", false},
        {"mstore backup 1\n" SEGMENT, "a line that is cut", false},
        {"mstore backup 1\n" SEGMENT " \n", "a space at the end", false},
        {"mstore backup 1\n" SEGMENT " 0000000000000000\n", "a tag of zero, which is none", false},
        {"mstore backup 1\n" SEGMENT " 00000000000000ff 00\n", "a fifth value", false},
        {"mstore backup 1\n" SEGMENT "\n" SEGMENT "\n", "a segment twice", false},
        {"mstore backup 1\n" SEGMENT "\n" LOG "\n", "a log after a segment", false},
        {"mstore backup 1\n" SEGMENT "\nsegment 0000000000000006 123456 0123456789abcdef\n", "segments that descend", false},
        {"mstore backup 1\n" DELETIONS "\n" DELETIONS "\n", "requests to delete twice", false},
        {"mstore backup 1\ndeletions 0 00000000000000ab\n", "of no length", false},
        {"mstore backup 1\nsegment 7 123456 0123456789abcdef\n", "a short number", false},
        {"mstore backup 1\nsegment 0x00000000000007 123456 0123456789abcdef\n", "a prefix", false},
        {"mstore backup 1\nsegment 0000000000000007 123456 0123456789ABCDEF\n", "capitals", false},
        {"mstore backup 1\nsegment 0000000000000007 0123456 0123456789abcdef\n", "a zero in front", false},
        {"mstore backup 1\nsegment 0000000000000007 -1 0123456789abcdef\n", "a sign", false},
        {"mstore backup 1\nsegment 0000000000000007  1 0123456789abcdef\n", "two spaces", false},
        {"mstore backup 1\nsegment 0000000000000007 18446744073709551616 0123456789abcdef\n", "a length above the greatest", false},
        {"mstore backup 1\nsegment 0000000000000007 99999999999999999999 0123456789abcdef\n", "far above", false},
        {"mstore backup 1\nindex 0000000000000007 1 0123456789abcdef\n", "another kind", false},
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        list(texts[i].text, texts[i].good, texts[i].why);
}

static void test_values(void)
{
    static const char text[] = "mstore backup 1\n" DELETIONS "\n" LOG " 000000000000000a\n" SEGMENT "\nend ";
    AUTO(far_live_done) struct far_live live = {.incomplete = true};
    AUTO(buf_done) struct buf b;
    buf_init(&b, 0);
    buf_put_cstr(&b, text);
    buf_printf(&b, "%016" PRIx64 "\n", hash64(slice_of(text, strlen(text) - strlen("end "))));
    if (!ok(far_backup_parse(buf_slice(&b), &live), "a list of three"))
        return;
    ok(live.kind == FAR_BACKUP && !live.incomplete, "of a backup that is whole");
    is_int(live.deletions.bytes, 77, "length of the requests to delete");
    is_int(live.deletions.check, 0xab, "their checksum");
    ok(live.logs.count == 1 && live.logs.items[0].gen == 8 && live.logs.items[0].bytes == 0, "a log");
    is_int(live.logs.items[0].tag, 10, "its tag");
    const struct far_item *s = far_items_find(&live.segments, 7);
    ok(s != NULL && s->bytes == 123456 && s->check == UINT64_C(0x0123456789abcdef) && s->tag == 0, "a segment without a tag");
    // Each byte of it counts.
    for (size_t i = 0; i < b.len; i++) {
        struct far_live damaged = {0};
        b.ptr[i] ^= 1;
        if (far_backup_parse(buf_slice(&b), &damaged))
            ok(false, "damage at %zu goes unnoticed", i);
        far_live_done(&damaged);
        b.ptr[i] ^= 1;
    }
    for (size_t len = 0; len < b.len; len++) {
        struct far_live cut = {0};
        if (far_backup_parse(slice_of(b.ptr, len), &cut))
            ok(false, "the first %zu bytes pass", len);
        far_live_done(&cut);
    }
}

static void test_tags(void)
{
    is_int(far_tag(""), 0, "no ETag, no tag");
    is_int(far_tag("\"\""), 0, "nor of an empty one");
    ok(far_tag("\"abc\"") == far_tag("abc") && far_tag("abc") == hash64(SLICE("abc")), "quotes do not matter");
    ok(far_tag("\"abc") != far_tag("abc") && far_tag("\"") != 0, "but in pairs");
}

int main(void)
{
    test_texts();
    test_values();
    test_tags();
    return tap_done();
}
