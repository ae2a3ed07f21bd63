/* test_finder.c -- finds what a search byte by byte finds, wherever it is, and reads nothing behind the end. */
#include "tap.h"

#include "base/finder.h"

#include <stdlib.h>

enum { ROUNDS = 200000 };

static uint64_t state = 88172645463325252;

static unsigned chance(unsigned n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 11) % n;
}

static size_t plain(const uint8_t *text, size_t len, struct slice needle)
{
    for (size_t i = 0; i + needle.len <= len; i++)
        if (memcmp(text + i, needle.ptr, needle.len) == 0)
            return i;
    return SIZE_MAX;
}

int main(void)
{
    unsigned wrong = 0, found = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        // Exactly as large as the text: a sanitizer sees what is read behind it.
        size_t len = 1 + chance(i % 8 == 0 ? 400 : 90), needle_len = 1 + chance(i % 3 == 0 ? 40 : 4);
        unsigned letters = 1 + chance(4);
        uint8_t *text = malloc(len), needle[40];
        for (size_t n = 0; n < len; n++)
            text[n] = (uint8_t)("eZ\x00\xFF"[chance(letters)]);
        for (size_t n = 0; n < needle_len; n++)
            needle[n] = (uint8_t)("eZ\x00\xFF"[chance(letters)]);
        if (needle_len <= len && chance(2) == 0)
            memcpy(needle, text + chance((unsigned)(len - needle_len + 1)), needle_len);
        struct finder f;
        finder_init(&f, slice_of(needle, needle_len));
        size_t want = plain(text, len, f.needle);
        const uint8_t *got = finder_next(&f, text, text + len);
        wrong += got != (want == SIZE_MAX ? NULL : text + want);
        found += got != NULL;
        free(text);
    }
    ok(wrong == 0 && found > ROUNDS / 3, "%d searches, %u of them found something", ROUNDS, found);
    return tap_done();
}
