/*
 * level.c -- see level.h.
 *
 * Runs over every pushed line, so each scan is one pass without allocation: JSON two objects deep, logfmt
 * up to its first error, then words at word boundaries.
 */
#include "ingest/level.h"

#include <strings.h>

#define NAME(text) {(const uint8_t *)(text), sizeof(text) - 1}

// In order of strength.
static const struct slice level_names[] = {
    NAME("level"),    NAME("LEVEL"),        NAME("Level"),         NAME("log.level"),
    NAME("severity"), NAME("SEVERITY"),     NAME("Severity"),      NAME("SeverityText"),
    NAME("lvl"),      NAME("LVL"),          NAME("Lvl"),           NAME("severity_text"),
    NAME("Severity_Text"), NAME("SEVERITY_TEXT"),
};

enum { NAME_BYTES_MIN = 3, NAME_BYTES_MAX = 13 };

struct slice level_name(enum level level)
{
    static const struct slice names[LEVELS_COUNT] = {
        [LEVEL_NONE] = NAME(""),         [LEVEL_UNKNOWN] = NAME("unknown"),
        [LEVEL_TRACE] = NAME("trace"),   [LEVEL_DEBUG] = NAME("debug"),
        [LEVEL_INFO] = NAME("info"),     [LEVEL_WARN] = NAME("warn"),
        [LEVEL_ERROR] = NAME("error"),   [LEVEL_CRITICAL] = NAME("critical"),
        [LEVEL_FATAL] = NAME("fatal"),
    };
    return names[level];
}

static bool eq_nocase(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || strncasecmp((const char *)a.ptr, (const char *)b.ptr, a.len) == 0);
}

struct word {
    struct slice text;
    enum level level;
};

enum level level_of_value(struct slice value)
{
    static const struct word words[] = {
        {NAME("info"), LEVEL_INFO},         {NAME("error"), LEVEL_ERROR},
        {NAME("warn"), LEVEL_WARN},         {NAME("debug"), LEVEL_DEBUG},
        {NAME("trace"), LEVEL_TRACE},       {NAME("trc"), LEVEL_TRACE},
        {NAME("dbg"), LEVEL_DEBUG},         {NAME("inf"), LEVEL_INFO},
        {NAME("information"), LEVEL_INFO},  {NAME("wrn"), LEVEL_WARN},
        {NAME("warning"), LEVEL_WARN},      {NAME("err"), LEVEL_ERROR},
        {NAME("critical"), LEVEL_CRITICAL}, {NAME("fatal"), LEVEL_FATAL},
    };
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (eq_nocase(words[i].text, value))
            return words[i].level;
    return LEVEL_NONE;
}

// Place of a name in the list, or the list's length.
static size_t name_place(struct slice name, bool (*eq)(struct slice a, struct slice b))
{
    size_t i = 0;
    if (name.len < NAME_BYTES_MIN || name.len > NAME_BYTES_MAX || !strchr("lLsS", name.ptr[0]))
        return COUNT_OF(level_names);
    while (i < COUNT_OF(level_names) && !eq(level_names[i], name))
        i++;
    return i;
}

const struct label *level_find(const struct label *pairs, size_t count)
{
    const struct label *best = NULL;
    size_t best_place = COUNT_OF(level_names);
    for (size_t i = 0; i < count; i++) {
        size_t place = name_place(pairs[i].name, slice_eq);
        if (place < best_place) {
            best_place = place;
            best = &pairs[i];
        }
    }
    return best;
}

enum level level_of_severity(struct slice number)
{
    int64_t n = 0;
    bool negative = number.len > 0 && number.ptr[0] == '-';
    size_t digits = number.len - negative;
    if (digits == 0 || digits > 18)
        return LEVEL_INFO;
    for (size_t i = negative; i < number.len; i++) {
        if (number.ptr[i] < '0' || number.ptr[i] > '9')
            return LEVEL_INFO;
        n = n * 10 + (number.ptr[i] - '0');
    }
    if (n == 0)
        return LEVEL_UNKNOWN;
    if (negative || n < 5)
        return LEVEL_TRACE;
    static const enum level steps[] = {LEVEL_DEBUG, LEVEL_INFO, LEVEL_WARN, LEVEL_ERROR, LEVEL_FATAL};
    return n > 24 ? LEVEL_UNKNOWN : steps[(n - 5) / 4];
}

// --- JSON -------------------------------------------------------------------------------------------

// A walk over text that need not be JSON to its end: `bad` ends it.
struct walk {
    const uint8_t *pos, *end;
    bool bad;
};

static void skip_blanks(struct walk *w)
{
    while (w->pos < w->end && (*w->pos == ' ' || *w->pos == '\t' || *w->pos == '\n' || *w->pos == '\r'))
        w->pos++;
}

// From behind the opening quote; the raw text between the quotes.
static struct slice take_string(struct walk *w, bool *escaped_out)
{
    const uint8_t *from = w->pos;
    *escaped_out = false;
    while (w->pos < w->end && *w->pos != '"') {
        if (*w->pos == '\\') {
            *escaped_out = true;
            w->pos++;
            if (w->pos == w->end)
                break;
        }
        w->pos++;
    }
    if (w->pos >= w->end) {
        w->bad = true;
        return (struct slice){0};
    }
    return slice_of(from, (size_t)(w->pos++ - from));
}

// A key with escapes, undone as far as a level name can need it: \u and four hex digits (ASCII only) and \-pairs.
static struct slice plain_key(struct slice raw, uint8_t to[NAME_BYTES_MAX + 1])
{
    size_t len = 0;
    for (size_t i = 0; i < raw.len && len <= NAME_BYTES_MAX; i++) {
        uint8_t c = raw.ptr[i];
        if (c == '\\' && i + 5 < raw.len && raw.ptr[i + 1] == 'u') {
            unsigned value = 0;
            for (size_t n = i + 2; n < i + 6; n++) {
                uint8_t h = raw.ptr[n];
                unsigned digit = h >= '0' && h <= '9'          ? (unsigned)(h - '0')
                                 : (h | 32) >= 'a' && (h | 32) <= 'f' ? (unsigned)((h | 32) - 'a' + 10)
                                                                      : 0;
                value = value * 16 + digit;
            }
            c = value < 128 ? (uint8_t)value : '?';
            i += 5;
        } else if (c == '\\' && i + 1 < raw.len) {
            c = raw.ptr[++i];
        }
        to[len++] = c;
    }
    return slice_of(to, len);
}

// Skips an array, number, word, or an object too deep to look into.
static void skip_value(struct walk *w)
{
    int depth = 0;
    bool escaped;
    for (; w->pos < w->end; w->pos++) {
        switch (*w->pos) {
        case '"':
            w->pos++;
            (void)take_string(w, &escaped);
            if (w->bad)
                return;
            w->pos--;
            break;
        case '{':
        case '[':
            depth++;
            break;
        case '}':
        case ']':
            if (depth == 0)
                return;
            depth--;
            break;
        case ',':
            if (depth == 0)
                return;
            break;
        default:
            break;
        }
    }
    w->bad = true;
}

// From behind `{`: the value of the first level name in document order, or NULL.
static bool find_in_object(struct walk *w, int levels_left, struct slice *value_out)
{
    for (;;) {
        skip_blanks(w);
        if (w->pos < w->end && *w->pos == '}') {
            w->pos++;
            return false;
        }
        bool escaped;
        if (w->pos >= w->end || *w->pos++ != '"') {
            w->bad = true;
            return false;
        }
        struct slice key = take_string(w, &escaped);
        uint8_t unescaped[NAME_BYTES_MAX + 1];
        if (escaped)
            key = plain_key(key, unescaped);
        skip_blanks(w);
        if (w->bad || w->pos >= w->end || *w->pos++ != ':') {
            w->bad = true;
            return false;
        }
        skip_blanks(w);
        if (w->pos < w->end && *w->pos == '"') {
            w->pos++;
            struct slice value = take_string(w, &escaped);
            if (!w->bad && name_place(key, slice_eq) < COUNT_OF(level_names)) {
                *value_out = value;
                return true;
            }
        } else if (w->pos < w->end && *w->pos == '{' && levels_left > 1) {
            w->pos++;
            if (find_in_object(w, levels_left - 1, value_out))
                return true;
        } else {
            skip_value(w);
        }
        if (w->bad)
            return false;
        skip_blanks(w);
        if (w->pos < w->end && *w->pos == ',')
            w->pos++;
    }
}

static enum level level_of_json(struct slice trimmed)
{
    struct walk w = {trimmed.ptr + 1, trimmed.ptr + trimmed.len, false};
    struct slice value;
    return find_in_object(&w, 2, &value) ? level_of_value(value) : LEVEL_NONE;
}

// --- logfmt -----------------------------------------------------------------------------------------

// The next pair. False at the end, or at a syntax error.
static bool next_pair(struct walk *w, struct slice *key_out, struct slice *value_out)
{
    while (w->pos < w->end && *w->pos <= ' ')
        w->pos++;
    const uint8_t *from = w->pos;
    while (w->pos < w->end && *w->pos > ' ' && *w->pos != '=' && *w->pos != '"')
        w->pos++;
    *key_out = slice_of(from, (size_t)(w->pos - from));
    *value_out = (struct slice){0};
    if (w->pos >= w->end)
        return key_out->len > 0;
    if (*w->pos == '"' || (*w->pos == '=' && key_out->len == 0))
        return false;
    if (*w->pos != '=')
        return true;
    w->pos++;
    if (w->pos < w->end && *w->pos == '"') {
        bool escaped;
        w->pos++;
        *value_out = take_string(w, &escaped);
        return !w->bad;
    }
    from = w->pos;
    while (w->pos < w->end && *w->pos > ' ') {
        if (*w->pos == '=' || *w->pos == '"')
            return false;
        w->pos++;
    }
    *value_out = slice_of(from, (size_t)(w->pos - from));
    return true;
}

static enum level level_of_logfmt(struct slice line)
{
    struct walk w = {line.ptr, line.ptr + line.len, false};
    struct slice key, value, best = {0};
    size_t best_place = COUNT_OF(level_names);
    while (best_place > 0 && next_pair(&w, &key, &value)) {
        size_t place = name_place(key, eq_nocase);
        if (place < best_place) {
            best_place = place;
            best = value;
        }
    }
    return level_of_value(best);
}

// --- words ------------------------------------------------------------------------------------------

enum { LEFT = 1, RIGHT = 2 };

static const uint8_t boundaries[256] = {
    [' '] = LEFT | RIGHT, ['\t'] = LEFT | RIGHT, ['\n'] = LEFT | RIGHT, ['['] = LEFT | RIGHT,
    ['('] = LEFT | RIGHT, ['{'] = LEFT | RIGHT,  ['"'] = LEFT | RIGHT,  ['='] = LEFT | RIGHT,
    [']'] = RIGHT,        [')'] = RIGHT,         ['}'] = RIGHT,         [':'] = RIGHT,
    [','] = RIGHT,        ['!'] = RIGHT,
};

static bool word_here(struct slice rest, struct slice word)
{
    return rest.len >= word.len && eq_nocase(slice_of(rest.ptr, word.len), word) &&
           (rest.len == word.len || (boundaries[rest.ptr[word.len]] & RIGHT) != 0);
}

static enum level level_at_word(struct slice rest)
{
    static const struct word words[] = {
        {NAME("trace"), LEVEL_TRACE},       {NAME("debug"), LEVEL_DEBUG}, {NAME("fatal"), LEVEL_FATAL},
        {NAME("critical"), LEVEL_CRITICAL}, {NAME("error"), LEVEL_ERROR}, {NAME("err"), LEVEL_ERROR},
        {NAME("warning"), LEVEL_WARN},      {NAME("warn"), LEVEL_WARN},   {NAME("info"), LEVEL_INFO},
    };
    uint8_t first = rest.ptr[0] | 32;
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (words[i].text.ptr[0] == first && word_here(rest, words[i].text))
            return words[i].level;
    return LEVEL_NONE;
}

static bool starts_word(uint8_t c)
{
    static const uint8_t firsts[256] = {
        ['t'] = 1, ['T'] = 1, ['d'] = 1, ['D'] = 1, ['f'] = 1, ['F'] = 1, ['c'] = 1,
        ['C'] = 1, ['e'] = 1, ['E'] = 1, ['w'] = 1, ['W'] = 1, ['i'] = 1, ['I'] = 1,
    };
    return firsts[c] != 0;
}

static enum level level_of_words(struct slice line)
{
    bool left = true; // of the byte at i there is a boundary
    for (size_t i = 0; i < line.len; i++) {
        if (left && starts_word(line.ptr[i])) {
            enum level level = level_at_word(slice_from(line, i));
            if (level != LEVEL_NONE)
                return level;
        }
        left = (boundaries[line.ptr[i]] & LEFT) != 0;
    }
    return LEVEL_UNKNOWN;
}

static struct slice trim(struct slice s)
{
    while (s.len > 0 && strchr(" \t\n\r\v\f", s.ptr[0]) != NULL && s.ptr[0] != 0)
        s = slice_from(s, 1);
    while (s.len > 0 && s.ptr[s.len - 1] != 0 && strchr(" \t\n\r\v\f", s.ptr[s.len - 1]) != NULL)
        s.len--;
    return s;
}

enum level level_of_line(struct slice line)
{
    struct slice trimmed = trim(line);
    enum level level = LEVEL_NONE;
    if (trimmed.len > 1 && trimmed.ptr[0] == '{' && trimmed.ptr[trimmed.len - 1] == '}')
        level = level_of_json(trimmed);
    else if (line.len > 0 && memchr(line.ptr, '=', line.len) != NULL)
        level = level_of_logfmt(line);
    return level != LEVEL_NONE ? level : level_of_words(line);
}
