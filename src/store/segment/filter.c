/*
 * filter.c -- see filter.h.
 *
 *     per block   u8 flags: 1 words, 2 ids, 4 a line has a `\u` escape
 *                 words: u8 from << 4 | to: eight sets of bits are kept, empty at first; this block has those of
 *                        `from` with the changes, and become `to`. varint bytes, then the changes, varints:
 *                        bits that differ, each as the difference to the one before it (the first from 0)
 *                 ids:   u8 probes, varint bytes, a Bloom filter
 *
 * Blocks of one program have one vocabulary, so the words of all but the first take some dozen bytes. What is hashed of a number is not its whole, for a needle may be a part of it: of all eight
 * character pieces in sixteen characters the one whose product is least. Whoever has the sixteen has that piece.
 */
#include "store/segment/filter.h"

#include "base/hash.h"
#include "base/limits.h"

#include <assert.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif
#include <stdlib.h>

enum { FLAG_WORDS = 1, FLAG_IDS = 2, FLAG_ESCAPES = 4 };

enum {
    NUMBER_CHARS = 16, // shorter runs of hexadecimal digits are not told apart from words
    PIECE_CHARS = 8,
    IDS_MAX = 8192, // of one block; with more there is no filter of them
    ID_SLOTS = 2 * IDS_MAX,
    ID_BITS_MIN = 2, // of one id: below, a filter lets nearly everything pass
    PROBES_MAX = 6,
    NEEDLE_PARTS_MAX = 64, // what is looked at of a long needle
    ID_SHARE = 64,         // ids take at most this part of a block's bytes
    WORD_SHARE = 256,      // and words of all blocks so far
    WORD_CREDIT = 1024,    // bytes that words may run ahead of their share
};

// --- words ------------------------------------------------------------------------------------------

// Classes of characters, times a number that spreads them: letters have no case, digits no value, or numbers would be
// the vocabulary. 62 classes, of which the 18 bits of three neighbours are hashed by that number.
#define CLASS(n) ((n) * UINT32_C(0x9E3779B1))
static const uint32_t classes[256] = {
    [' '] = CLASS(1),   ['!'] = CLASS(2),   ['"'] = CLASS(3),   ['#'] = CLASS(4),   ['$'] = CLASS(5),
    ['%'] = CLASS(6),   ['&'] = CLASS(7),   ['\''] = CLASS(8),  ['('] = CLASS(9),   [')'] = CLASS(10),
    ['*'] = CLASS(11),  ['+'] = CLASS(12),  [','] = CLASS(13),  ['-'] = CLASS(14),  ['.'] = CLASS(15),
    ['/'] = CLASS(16),  [':'] = CLASS(18),  [';'] = CLASS(19),  ['<'] = CLASS(20),  ['='] = CLASS(21),
    ['>'] = CLASS(22),  ['?'] = CLASS(23),  ['@'] = CLASS(24),  ['['] = CLASS(51),  ['\\'] = CLASS(52),
    [']'] = CLASS(53),  ['^'] = CLASS(54),  ['_'] = CLASS(55),  ['`'] = CLASS(56),  ['{'] = CLASS(57),
    ['|'] = CLASS(58),  ['}'] = CLASS(59),  ['~'] = CLASS(60),
    ['a'] = CLASS(25),  ['b'] = CLASS(26),  ['c'] = CLASS(27),  ['d'] = CLASS(28),  ['e'] = CLASS(29),
    ['f'] = CLASS(30),  ['g'] = CLASS(31),  ['h'] = CLASS(32),  ['i'] = CLASS(33),  ['j'] = CLASS(34),
    ['k'] = CLASS(35),  ['l'] = CLASS(36),  ['m'] = CLASS(37),  ['n'] = CLASS(38),  ['o'] = CLASS(39),
    ['p'] = CLASS(40),  ['q'] = CLASS(41),  ['r'] = CLASS(42),  ['s'] = CLASS(43),  ['t'] = CLASS(44),
    ['u'] = CLASS(45),  ['v'] = CLASS(46),  ['w'] = CLASS(47),  ['x'] = CLASS(48),  ['y'] = CLASS(49),
    ['z'] = CLASS(50),
    ['A'] = CLASS(25),  ['B'] = CLASS(26),  ['C'] = CLASS(27),  ['D'] = CLASS(28),  ['E'] = CLASS(29),
    ['F'] = CLASS(30),  ['G'] = CLASS(31),  ['H'] = CLASS(32),  ['I'] = CLASS(33),  ['J'] = CLASS(34),
    ['K'] = CLASS(35),  ['L'] = CLASS(36),  ['M'] = CLASS(37),  ['N'] = CLASS(38),  ['O'] = CLASS(39),
    ['P'] = CLASS(40),  ['Q'] = CLASS(41),  ['R'] = CLASS(42),  ['S'] = CLASS(43),  ['T'] = CLASS(44),
    ['U'] = CLASS(45),  ['V'] = CLASS(46),  ['W'] = CLASS(47),  ['X'] = CLASS(48),  ['Y'] = CLASS(49),
    ['Z'] = CLASS(50),
    ['0' ... '9'] = CLASS(17), [0x80 ... 0xFF] = CLASS(61)};

// The bit of three neighbouring characters, by their classes.
static inline uint32_t word_bit(uint32_t a, uint32_t b, uint32_t c)
{
    return ((a << 12) + (b << 6) + c) >> 19;
}

// --- ids --------------------------------------------------------------------------------------------

static const bool in_number[256] = {
    ['0' ... '9'] = true, ['a' ... 'f'] = true, ['A' ... 'F'] = true, ['-'] = true};

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

typedef bool id_visit(void *ctx, struct slice id);

// A run of characters of numbers, long enough: of each sixteen, one piece.
static bool visit_number(const uint8_t *at, size_t len, id_visit *visit, void *ctx)
{
    enum { PIECES = NUMBER_CHARS - PIECE_CHARS + 1 };
    uint64_t products[PIECES];
    size_t last = SIZE_MAX;
    for (size_t i = 0; i + PIECE_CHARS <= len; i++) {
        uint64_t piece;
        memcpy(&piece, at + i, sizeof piece);
        products[i % PIECES] = piece * UINT64_C(0x9E3779B97F4A7C15);
        if (i + 1 < PIECES)
            continue;
        size_t least = i + 1 - PIECES;
        for (size_t n = least + 1; n <= i; n++)
            if (products[n % PIECES] < products[least % PIECES])
                least = n;
        if (least != last && !visit(ctx, slice_of(at + least, PIECE_CHARS)))
            return false;
        last = least;
    }
    return true;
}

// --- 64 characters at a time ---

enum { WINDOW = 64 };

#ifdef __SSE2__
static inline __m128i between(__m128i text, char low, char high)
{
    __m128i above = _mm_sub_epi8(text, _mm_set1_epi8(low));
    return _mm_cmpeq_epi8(_mm_min_epu8(above, _mm_set1_epi8((char)(high - low))), above);
}

// A bit for each character of the window that is a digit, a dot, or in a number.
static inline void look(const uint8_t *at, uint64_t *digits, uint64_t *dots, uint64_t *numbers)
{
    *digits = *dots = *numbers = 0;
    for (int i = 0; i < WINDOW; i += 16) {
        __m128i text = _mm_loadu_si128((const __m128i *)(at + i));
        __m128i digit = between(text, '0', '9');
        __m128i number = _mm_or_si128(_mm_or_si128(digit, _mm_cmpeq_epi8(text, _mm_set1_epi8('-'))),
                                      between(_mm_or_si128(text, _mm_set1_epi8(0x20)), 'a', 'f'));
        *digits |= (uint64_t)(uint32_t)_mm_movemask_epi8(digit) << i;
        *dots |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(text, _mm_set1_epi8('.'))) << i;
        *numbers |= (uint64_t)(uint32_t)_mm_movemask_epi8(number) << i;
    }
}
#else
static inline void look(const uint8_t *at, uint64_t *digits, uint64_t *dots, uint64_t *numbers)
{
    *digits = *dots = *numbers = 0;
    for (int i = 0; i < WINDOW; i++) {
        *digits |= (uint64_t)is_digit(at[i]) << i;
        *dots |= (uint64_t)(at[i] == '.') << i;
        *numbers |= (uint64_t)in_number[at[i]] << i;
    }
}
#endif

// One to three digits from `at` on, and a dot behind them: where it is. Else 0.
static size_t octet_end(struct slice text, size_t at)
{
    size_t i = at;
    while (i < text.len && i < at + 3 && is_digit(text.ptr[i]))
        i++;
    return i > at && i < text.len && text.ptr[i] == '.' ? i : 0;
}

// Of an address, by its first dot, that part which is there too when only the address is given: from the last digit
// of its first number to the first of its last.
static bool visit_address(struct slice text, size_t dot, id_visit *visit, void *ctx)
{
    size_t second = dot > 0 && is_digit(text.ptr[dot - 1]) ? octet_end(text, dot + 1) : 0;
    size_t third = second > 0 ? octet_end(text, second + 1) : 0;
    return third == 0 || third + 1 >= text.len || !is_digit(text.ptr[third + 1]) ||
           visit(ctx, slice_of(text.ptr + dot - 1, third + 3 - dot));
}

// A run of numbers' characters from `begin` on, if it is long enough. Returns where it ends; SIZE_MAX: enough.
static size_t visit_run(struct slice text, size_t begin, id_visit *visit, void *ctx)
{
    size_t end = begin;
    while (end < text.len && in_number[text.ptr[end]])
        end++;
    return end - begin < NUMBER_CHARS || visit_number(text.ptr + begin, end - begin, visit, ctx) ? end : SIZE_MAX;
}

static bool visit_ids(struct slice text, id_visit *visit, void *ctx)
{
    size_t at = 0, run_end = 0; // numbers up to there were visited
    // A window looks at the first dots that have the next one in it too, and at runs that are long enough in it;
    // what reaches over its end begins in the next.
    enum { DOT_LAST = WINDOW - 6, STEP = WINDOW - NUMBER_CHARS + 1 };
    static_assert(STEP <= DOT_LAST, "every dot is in a window with its neighbours");
    for (; text.len - at >= WINDOW; at += STEP) {
        uint64_t digits, dots, numbers;
        look(text.ptr + at, &digits, &dots, &numbers);
        uint64_t between_digits = dots & digits >> 1 & (digits << 1 | 1);
        uint64_t first = between_digits & (between_digits >> 2 | between_digits >> 3 | between_digits >> 4);
        for (first &= (UINT64_C(1) << STEP) - 1; first != 0; first &= first - 1)
            if (!visit_address(text, at + (size_t)__builtin_ctzll(first), visit, ctx))
                return false;
        uint64_t runs = numbers & numbers >> 1;
        runs &= runs >> 2;
        runs &= runs >> 4;
        runs &= runs >> 8;
        while (runs != 0) {
            size_t begin = at + (size_t)__builtin_ctzll(runs);
            if (begin >= run_end)
                run_end = visit_run(text, begin, visit, ctx);
            if (run_end == SIZE_MAX)
                return false;
            size_t behind = run_end - at;
            runs = behind < WINDOW ? runs >> behind << behind : 0;
        }
    }
    for (size_t i = at; i < text.len; i++) {
        if (text.ptr[i] == '.' && !visit_address(text, i, visit, ctx))
            return false;
        if (i >= run_end && in_number[text.ptr[i]])
            run_end = visit_run(text, i, visit, ctx);
        if (run_end == SIZE_MAX)
            return false;
    }
    return true;
}

// Never 0.
static uint64_t id_hash(struct slice id)
{
    uint64_t hash = hash64(id);
    return hash + (hash == 0);
}

// The n-th place of an id in a filter of so many bits.
static inline uint64_t probe_bit(uint64_t hash, unsigned n, uint64_t bits)
{
    uint32_t at = (uint32_t)hash + n * ((uint32_t)(hash >> 32) | 1);
    return at * bits >> 32;
}

// --- writing ----------------------------------------------------------------------------------------

struct filter_builder {
    uint8_t words[FILTER_WORD_BITS];  // of the block: one where it occurs
    uint8_t bases[FILTER_BASES][FILTER_WORD_BITS]; // as the reader will know them
    unsigned next_base;                            // to be given up for a new vocabulary
    uint64_t words_bytes, words_share;
    uint64_t ids[ID_SLOTS]; // hashes, 0: free
    uint32_t ids_count;     // IDS_MAX + 1: too many
    bool has_escapes;
    struct buf scratch;
};

struct filter_builder *filter_builder_new(void)
{
    struct filter_builder *b = calloc(1, sizeof *b);
    assert(b != NULL);
    buf_init(&b->scratch, 0);
    return b;
}

void filter_builder_free(struct filter_builder *b)
{
    if (b == NULL)
        return;
    buf_done(&b->scratch);
    free(b);
}

static bool add_id(void *ctx, struct slice id)
{
    struct filter_builder *b = ctx;
    uint64_t hash = id_hash(id);
    size_t at = hash & (ID_SLOTS - 1);
    while (b->ids[at] != 0 && b->ids[at] != hash)
        at = (at + 1) & (ID_SLOTS - 1);
    if (b->ids[at] == hash)
        return true;
    if (b->ids_count++ == IDS_MAX)
        return false;
    b->ids[at] = hash;
    return true;
}

// Faster than a search for both characters: most logs have no backslash at all.
static bool has_escape(struct slice text)
{
    while (text.len > 1) {
        const uint8_t *at = memchr(text.ptr, '\\', text.len - 1);
        if (at == NULL)
            return false;
        if (at[1] == 'u')
            return true;
        text = slice_from(text, (size_t)(at - text.ptr) + 1);
    }
    return false;
}

void filter_add_text(struct filter_builder *b, struct slice text)
{
    uint32_t x, y = text.len > 0 ? classes[text.ptr[0]] : 0, z = text.len > 1 ? classes[text.ptr[1]] : 0;
    for (size_t i = 2; i < text.len; i++) {
        x = y;
        y = z;
        z = classes[text.ptr[i]];
        b->words[word_bit(x, y, z)] = 1;
    }
    if (b->ids_count <= IDS_MAX)
        (void)visit_ids(text, add_id, b);
    b->has_escapes = b->has_escapes || has_escape(text);
}

static uint32_t changes(const uint8_t *from, const uint8_t *to)
{
    uint32_t count = 0;
    for (size_t i = 0; i < FILTER_WORD_BITS; i++)
        count += from[i] ^ to[i];
    return count;
}

static void put_changes(struct buf *out, const uint8_t *from, const uint8_t *to)
{
    size_t last = 0;
    for (size_t i = 0; i < FILTER_WORD_BITS; i++) {
        if (from[i] == to[i])
            continue;
        put_varint(out, i - last);
        last = i;
    }
}

// Writes what differs from the most similar of the bases. False: that would take more than its share.
static bool put_words(struct filter_builder *b, struct buf *out)
{
    static const uint8_t none[FILTER_WORD_BITS];
    unsigned from = 0;
    uint32_t least = UINT32_MAX;
    for (unsigned i = 0; i < FILTER_BASES; i++) {
        uint32_t count = changes(b->bases[i], b->words);
        from = count < least ? i : from;
        least = count < least ? count : least;
    }
    buf_reset(&b->scratch);
    put_changes(&b->scratch, b->bases[from], b->words);
    if (b->scratch.bad || b->words_bytes + b->scratch.len > b->words_share + WORD_CREDIT)
        return false;
    unsigned to = from;
    if (least > changes(none, b->words) / 2) { // another vocabulary
        to = b->next_base;
        b->next_base = (b->next_base + 1) % FILTER_BASES;
    }
    b->words_bytes += b->scratch.len;
    memcpy(b->bases[to], b->words, sizeof b->words);
    put_u8(out, (uint8_t)(from << 4 | to));
    put_prefixed(out, buf_slice(&b->scratch));
    return true;
}

static bool put_ids(struct filter_builder *b, uint64_t bytes_max, struct buf *out)
{
    uint64_t bytes = b->ids_count < bytes_max ? b->ids_count : bytes_max, bits = bytes * 8;
    if (b->ids_count > IDS_MAX || bits < (uint64_t)b->ids_count * ID_BITS_MIN || bytes == 0)
        return false;
    unsigned probes = (unsigned)(bits * 69 / 100 / b->ids_count); // ln 2: half of the bits are set
    probes = probes < 1 ? 1 : probes > PROBES_MAX ? PROBES_MAX : probes;
    put_u8(out, (uint8_t)probes);
    put_varint(out, bytes);
    uint8_t *to = buf_reserve(out, bytes);
    if (to == NULL)
        return true; // the buffer is bad, which its owner sees
    memset(to, 0, bytes);
    out->len += bytes;
    for (size_t i = 0; i < ID_SLOTS; i++)
        for (unsigned n = 0; b->ids[i] != 0 && n < probes; n++) {
            uint64_t bit = probe_bit(b->ids[i], n, bits);
            to[bit / 8] |= (uint8_t)(1U << bit % 8);
        }
    return true;
}

void filter_end_block(struct filter_builder *b, uint64_t spared_bytes, struct buf *out)
{
    uint8_t flags = b->has_escapes ? FLAG_ESCAPES : 0;
    size_t at = out->len;
    b->words_share += spared_bytes / WORD_SHARE;
    put_u8(out, 0);
    if (spared_bytes >= FILTER_BLOCK_BYTES_MIN) {
        flags |= put_words(b, out) ? FLAG_WORDS : 0;
        flags |= put_ids(b, spared_bytes / ID_SHARE, out) ? FLAG_IDS : 0;
    }
    if (!out->bad)
        out->ptr[at] = flags;
    memset(b->words, 0, sizeof b->words);
    if (b->ids_count > 0)
        memset(b->ids, 0, sizeof b->ids);
    b->ids_count = 0;
    b->has_escapes = false;
}

// --- reading ----------------------------------------------------------------------------------------

struct id_list {
    uint64_t *hashes;
    uint32_t count;
};

static bool list_id(void *ctx, struct slice id)
{
    struct id_list *l = ctx;
    l->hashes[l->count++] = id_hash(id);
    return l->count < NEEDLE_PARTS_MAX;
}

bool filter_needle_init(struct filter_needle *needle, struct slice text, struct arena *a)
{
    *needle = (struct filter_needle){0};
    uint16_t *words = arena_array(a, NEEDLE_PARTS_MAX, sizeof *words);
    struct id_list ids = {arena_array(a, NEEDLE_PARTS_MAX, sizeof *ids.hashes), 0};
    if (words == NULL || ids.hashes == NULL)
        return false;
    for (size_t i = 0; i + 2 < text.len && needle->words_count < NEEDLE_PARTS_MAX; i++)
        words[needle->words_count++] = (uint16_t)word_bit(classes[text.ptr[i]], classes[text.ptr[i + 1]],
                                                          classes[text.ptr[i + 2]]);
    (void)visit_ids(text, list_id, &ids);
    needle->words = words;
    needle->ids = ids.hashes;
    needle->ids_count = ids.count;
    return needle->words_count > 0;
}

void filter_reader_init(struct filter_reader *r, struct slice section)
{
    *r = (struct filter_reader){.rd = rd_of(section)};
}

static bool read_words(struct filter_reader *r)
{
    uint8_t bases = rd_u8(&r->rd);
    unsigned from = bases >> 4, to = bases & 15;
    if (from >= FILTER_BASES || to >= FILTER_BASES)
        return false;
    struct rd list = rd_of(rd_prefixed(&r->rd));
    uint64_t bit = 0, *words = r->bases[to];
    if (from != to)
        memcpy(words, r->bases[from], sizeof r->bases[to]);
    while (rd_left(&list) > 0 && !list.bad) {
        bit += rd_varint_max(&list, FILTER_WORD_BITS - 1);
        if (bit >= FILTER_WORD_BITS)
            return false;
        words[bit / 64] ^= UINT64_C(1) << bit % 64;
    }
    r->words = words;
    return !list.bad;
}

bool filter_reader_next(struct filter_reader *r)
{
    uint8_t flags = rd_u8(&r->rd);
    r->words = NULL;
    r->has_escapes = (flags & FLAG_ESCAPES) != 0;
    r->ids = (struct slice){0};
    if (flags > (FLAG_WORDS | FLAG_IDS | FLAG_ESCAPES) || ((flags & FLAG_WORDS) && !read_words(r)))
        return false;
    if (flags & FLAG_IDS) {
        r->probes = rd_u8(&r->rd);
        r->ids = rd_prefixed(&r->rd);
        // A probe's place is a product of 32 bits each.
        if (r->probes == 0 || r->probes > PROBES_MAX || r->ids.len == 0 || r->ids.len > IDS_MAX)
            return false;
    }
    return !r->rd.bad;
}

bool filter_reader_at_end(const struct filter_reader *r)
{
    return !r->rd.bad && rd_left(&r->rd) == 0;
}

static bool has_ids(const struct filter_reader *r, const struct filter_needle *needle)
{
    for (uint32_t i = 0; i < needle->ids_count; i++)
        for (unsigned n = 0; n < r->probes; n++) {
            uint64_t bit = probe_bit(needle->ids[i], n, r->ids.len * 8);
            if ((r->ids.ptr[bit / 8] & 1U << bit % 8) == 0)
                return false;
        }
    return true;
}

bool filter_may_contain(const struct filter_reader *r, const struct filter_needle *needle)
{
    for (uint32_t i = 0; r->words != NULL && i < needle->words_count; i++)
        if ((r->words[needle->words[i] / 64] & UINT64_C(1) << needle->words[i] % 64) == 0)
            return false;
    return r->ids.len == 0 || has_ids(r, needle);
}
