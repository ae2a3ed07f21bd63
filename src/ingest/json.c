/* json.c -- see json.h. */
#include "ingest/json.h"

#include "base/limits.h"
#include "base/utf8.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

struct json json_of(struct slice text, struct arena *a)
{
    return (struct json){.start = text.ptr, .pos = text.ptr, .end = text.ptr + text.len, .a = a};
}

void json_fail(struct json *j, const char *what)
{
    if (j->what == NULL)
        j->what = what;
}

bool json_error(const struct json *j, struct err *err)
{
    return err_set(err, ERR_INPUT, "%s at byte %zu", j->what, (size_t)(j->pos - j->start));
}

uint8_t json_peek(struct json *j)
{
    while (j->pos < j->end &&
           (*j->pos == ' ' || *j->pos == '\n' || *j->pos == '\t' || *j->pos == '\r'))
        j->pos++;
    return j->pos < j->end && j->what == NULL ? *j->pos : 0;
}

static void expect(struct json *j, uint8_t c, const char *what)
{
    if (json_peek(j) == c)
        j->pos++;
    else
        json_fail(j, what);
}

void json_enter(struct json *j, uint8_t brace)
{
    expect(j, brace, brace == '{' ? "expected an object" : "expected an array");
}

bool json_more(struct json *j, uint8_t closing, bool *first)
{
    uint8_t c = json_peek(j);
    if (c == closing) {
        j->pos++;
        return false;
    }
    if (!*first)
        expect(j, ',', closing == '}' ? "expected `,` or `}`" : "expected `,` or `]`");
    *first = false;
    return j->what == NULL;
}

struct slice json_key(struct json *j)
{
    struct slice key = json_string(j);
    expect(j, ':', "expected `:`");
    return key;
}

// --- strings ----------------------------------------------------------------------------------------

// The first quote or backslash at or after p.
static const uint8_t *find_special(const uint8_t *p, const uint8_t *end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
    for (; end - p >= 16; p += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
        int hits = _mm_movemask_epi8(
            _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)));
        if (hits != 0)
            return p + __builtin_ctz((unsigned)hits);
    }
#endif
    while (p < end && *p != '"' && *p != '\\')
        p++;
    return p;
}

// The closing quote, from inside a string; NULL when there is none.
static const uint8_t *find_close(const uint8_t *p, const uint8_t *end, bool *escaped_out)
{
    *escaped_out = false;
    while ((p = find_special(p, end)) < end && *p == '\\') {
        *escaped_out = true;
        if (end - p < 2)
            return NULL;
        p += 2;
    }
    return p < end ? p : NULL;
}

// Four hex digits; UINT32_MAX otherwise.
static uint32_t take_hex(const uint8_t *p, const uint8_t *end)
{
    uint32_t value = 0;
    if (end - p < 4)
        return UINT32_MAX;
    for (int i = 0; i < 4; i++) {
        uint8_t c = p[i] | 32;
        if (p[i] >= '0' && p[i] <= '9')
            value = value * 16 + (p[i] - '0');
        else if (c >= 'a' && c <= 'f')
            value = value * 16 + (uint32_t)(c - 'a' + 10);
        else
            return UINT32_MAX;
    }
    return value;
}

// The character behind `\u`; *p behind it. A half of a pair alone is U+FFFD.
static bool take_unicode(const uint8_t **p, const uint8_t *end, uint32_t *rune_out)
{
    uint32_t rune = take_hex(*p, end);
    if (rune == UINT32_MAX)
        return false;
    *p += 4;
    if (rune >= 0xD800 && rune < 0xDC00 && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u') {
        uint32_t low = take_hex(*p + 2, end);
        if (low >= 0xDC00 && low < 0xE000) {
            *p += 6;
            rune = 0x10000 + ((rune - 0xD800) << 10) + (low - 0xDC00);
        }
    }
    *rune_out = rune >= 0xD800 && rune < 0xE000 ? UTF8_INVALID : rune;
    return true;
}

static bool undo_escapes(const uint8_t *p, const uint8_t *end, uint8_t *to, size_t *len_out)
{
    uint8_t *from = to;
    while (p < end) {
        if (*p != '\\') {
            *to++ = *p++;
            continue;
        }
        p++; // never the last byte: a backslash before the closing quote escapes it
        static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
        const char *name = memchr(names, *p, sizeof names - 1);
        uint32_t rune;
        if (name != NULL) {
            *to++ = (uint8_t)values[name - names];
            p++;
        } else if (*p == 'u' && (p++, take_unicode(&p, end, &rune))) {
            to += utf8_encode(rune, to); // at most 4 bytes for at least 6
        } else {
            return false;
        }
    }
    *len_out = (size_t)(to - from);
    return true;
}

struct slice json_string(struct json *j)
{
    if (json_peek(j) != '"') {
        json_fail(j, "expected a string");
        return (struct slice){0};
    }
    const uint8_t *from = j->pos + 1;
    bool escaped;
    const uint8_t *close = find_close(from, j->end, &escaped);
    if (close == NULL) {
        json_fail(j, "unterminated string");
        return (struct slice){0};
    }
    struct slice raw = slice_of(from, (size_t)(close - from));
    if (escaped) {
        uint8_t *to = arena_alloc(j->a, raw.len);
        size_t len;
        if (to == NULL) {
            json_fail(j, "too large");
            return (struct slice){0};
        }
        if (!undo_escapes(from, close, to, &len)) {
            json_fail(j, "invalid escape in the string");
            return (struct slice){0};
        }
        raw = slice_of(to, len);
    }
    j->pos = close + 1;
    return raw;
}

// --- other values -----------------------------------------------------------------------------------

static bool is_scalar_byte(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '+' || c == '.';
}

static void skip_scalar(struct json *j)
{
    const uint8_t *from = j->pos;
    while (j->pos < j->end && is_scalar_byte(*j->pos))
        j->pos++;
    struct slice text = slice_of(from, (size_t)(j->pos - from));
    bool word = slice_eq(text, SLICE("true")) || slice_eq(text, SLICE("false")) ||
                slice_eq(text, SLICE("null"));
    bool number = text.len > 0 && (text.ptr[0] == '-' || (text.ptr[0] >= '0' && text.ptr[0] <= '9'));
    if (!word && !number) {
        j->pos = from;
        json_fail(j, "expected a value");
    }
}

static void skip_value(struct json *j, unsigned depth)
{
    uint8_t c = json_peek(j);
    bool first = true, escaped;
    if (depth > INGEST_JSON_DEPTH_MAX) {
        json_fail(j, "nested too deeply");
    } else if (c == '"') {
        const uint8_t *close = find_close(j->pos + 1, j->end, &escaped);
        if (close == NULL)
            json_fail(j, "unterminated string");
        else
            j->pos = close + 1;
    } else if (c == '{') {
        json_enter(j, '{');
        while (json_more(j, '}', &first)) {
            if (json_peek(j) != '"')
                json_fail(j, "expected a string");
            skip_value(j, depth + 1);
            expect(j, ':', "expected `:`");
            skip_value(j, depth + 1);
        }
    } else if (c == '[') {
        json_enter(j, '[');
        while (json_more(j, ']', &first))
            skip_value(j, depth + 1);
    } else {
        skip_scalar(j);
    }
}

struct slice json_raw(struct json *j)
{
    (void)json_peek(j);
    const uint8_t *from = j->pos;
    skip_value(j, 1);
    return slice_of(from, (size_t)(j->pos - from));
}

bool json_null(struct json *j)
{
    if (json_peek(j) != 'n' || !slice_starts(slice_of(j->pos, (size_t)(j->end - j->pos)), SLICE("null")))
        return false;
    j->pos += 4;
    return true;
}
