/* template_text.c -- template functions over text and regexes; logql.md 12.2. */
#include "query/pipeline/template_fn.h"

#include "base/base64.h"
#include "base/utf8.h"
#include "query/expand.h"
#include "query/regex.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <wctype.h>

// --- text -------------------------------------------------------------------------------------------

static bool map_case(struct tcall *c, struct slice s, wint_t (*map)(wint_t), struct tval *out)
{
    struct buf b;
    buf_init(&b, OUTPUT_BYTES_MAX);
    for (size_t i = 0; i < s.len;) {
        uint32_t rune;
        bool valid;
        uint8_t bytes[4];
        i += utf8_decode(slice_from(s, i), &rune, &valid);
        buf_put(&b, bytes, utf8_encode((uint32_t)map((wint_t)rune), bytes));
    }
    return give_buf(c, &b, out);
}

FN(lower) { UNUSED; STRINGS(0, 1) return map_case(c, S(0), towlower, out); }
FN(upper) { UNUSED; STRINGS(0, 1) return map_case(c, S(0), towupper, out); }

FN(title)
{
    UNUSED;
    STRINGS(0, 1)
    struct slice s = S(0);
    uint8_t *to = arena_alloc(c->a, s.len + 1);
    bool start = true;
    for (size_t i = 0; i < s.len && to != NULL; i++) {
        to[i] = start ? (uint8_t)toupper(s.ptr[i]) : s.ptr[i];
        start = s.ptr[i] < 0x80 && !isalnum(s.ptr[i]) && s.ptr[i] != '_';
    }
    return give_string(out, slice_of(to, s.len));
}

FN(trunc)
{
    UNUSED;
    INT(0)
    STRINGS(1, 2)
    int64_t n = args[0].i;
    struct slice s = S(1);
    if (n < 0 && (uint64_t)-n < s.len)
        return give_string(out, slice_from(s, s.len - (size_t)-n));
    if (n >= 0 && (uint64_t)n < s.len)
        s.len = (size_t)n;
    return give_string(out, s);
}

FN(substr)
{
    UNUSED;
    INT(0)
    INT(1)
    STRINGS(2, 3)
    struct slice s = S(2);
    int64_t from = args[0].i < 0 ? 0 : args[0].i, to = args[1].i, len = (int64_t)s.len;
    if (args[0].i >= 0 && (to < 0 || to > len))
        to = len;
    if (to < 0 || to > len)
        return tcall_fail(c, "error calling substr: runtime error: slice bounds out of range [:%" PRId64 "] with length %" PRId64, to, len);
    if (from > to)
        return tcall_fail(c, "error calling substr: runtime error: slice bounds out of range [%" PRId64 ":%" PRId64 "]", from, to);
    return give_string(out, slice_of(s.ptr + from, (size_t)(to - from)));
}

static bool align(struct tcall *c, int64_t n, struct slice s, bool left, struct tval *out)
{
    size_t have = count_runes(s);
    if (n < 0)
        return give_string(out, s);
    if ((uint64_t)n < have) {
        size_t cut = skip_runes(s, left ? (size_t)n : have - (size_t)n);
        return give_string(out, left ? slice_of(s.ptr, cut) : slice_from(s, cut));
    }
    struct buf b;
    buf_init(&b, OUTPUT_BYTES_MAX);
    size_t pad = (size_t)n - have;
    if (pad > OUTPUT_BYTES_MAX)
        b.bad = true;
    if (left)
        buf_put_slice(&b, s);
    for (size_t i = 0; i < pad && !b.bad; i++)
        buf_put_byte(&b, ' ');
    if (!left)
        buf_put_slice(&b, s);
    return give_buf(c, &b, out);
}

FN(alignLeft) { UNUSED; INT(0) STRINGS(1, 2) return align(c, args[0].i, S(1), true, out); }
FN(alignRight) { UNUSED; INT(0) STRINGS(1, 2) return align(c, args[0].i, S(1), false, out); }

static bool replace(struct tcall *c, struct slice s, struct slice old, struct slice new, int64_t most,
                    struct tval *out)
{
    struct buf b;
    buf_init(&b, OUTPUT_BYTES_MAX);
    size_t at = 0;
    for (int64_t n = 0; most < 0 || n < most; n++) {
        size_t found = slice_find(slice_from(s, at), old);
        if (found == SIZE_MAX || (old.len == 0 && at >= s.len))
            break;
        buf_put(&b, s.ptr + at, found);
        buf_put_slice(&b, new);
        at += found + old.len;
        if (old.len == 0)
            buf_put_byte(&b, s.ptr[at++]);
    }
    if (old.len == 0 && most < 0)
        buf_put_slice(&b, new);
    buf_put_slice(&b, slice_from(s, at < s.len ? at : s.len));
    return give_buf(c, &b, out);
}

FN(replace) { UNUSED; STRINGS(0, 3) return replace(c, S(2), S(0), S(1), -1, out); }
FN(Replace) { UNUSED; STRINGS(0, 3) INT(3) return replace(c, S(0), S(1), S(2), args[3].i, out); }

static bool in_set(struct slice set, struct slice character)
{
    return slice_find(set, character) != SIZE_MAX;
}

static struct slice trim_set(struct slice s, struct slice set, bool left, bool right)
{
    while (left && s.len > 0) {
        size_t len = skip_runes(s, 1);
        if (!in_set(set, slice_of(s.ptr, len)))
            break;
        s = slice_from(s, len);
    }
    while (right && s.len > 0) {
        size_t from = s.len - 1;
        while (from > 0 && (s.ptr[from] & 0xC0) == 0x80)
            from--;
        if (!in_set(set, slice_from(s, from)))
            break;
        s.len = from;
    }
    return s;
}

#define BLANKS SLICE(" \t\n\v\f\r\xC2\x85\xC2\xA0")
FN(trim) { UNUSED; STRINGS(0, 1) return give_string(out, trim_set(S(0), BLANKS, true, true)); }
FN(trimAll) { UNUSED; STRINGS(0, 2) return give_string(out, trim_set(S(1), S(0), true, true)); }
FN(Trim) { UNUSED; STRINGS(0, 2) return give_string(out, trim_set(S(0), S(1), true, true)); }
FN(TrimLeft) { UNUSED; STRINGS(0, 2) return give_string(out, trim_set(S(0), S(1), true, false)); }
FN(TrimRight) { UNUSED; STRINGS(0, 2) return give_string(out, trim_set(S(0), S(1), false, true)); }

static struct slice cut_prefix(struct slice s, struct slice prefix)
{
    return prefix.len > 0 && slice_starts(s, prefix) ? slice_from(s, prefix.len) : s;
}

static bool ends(struct slice s, struct slice suffix)
{
    return s.len >= suffix.len && slice_eq(slice_from(s, s.len - suffix.len), suffix);
}

static struct slice cut_suffix(struct slice s, struct slice suffix)
{
    return ends(s, suffix) ? slice_of(s.ptr, s.len - suffix.len) : s;
}

FN(trimPrefix) { UNUSED; STRINGS(0, 2) return give_string(out, cut_prefix(S(1), S(0))); }
FN(trimSuffix) { UNUSED; STRINGS(0, 2) return give_string(out, cut_suffix(S(1), S(0))); }
FN(TrimPrefix) { UNUSED; STRINGS(0, 2) return give_string(out, cut_prefix(S(0), S(1))); }
FN(TrimSuffix) { UNUSED; STRINGS(0, 2) return give_string(out, cut_suffix(S(0), S(1))); }
FN(contains) { UNUSED; STRINGS(0, 2) return give_bool(out, slice_find(S(1), S(0)) != SIZE_MAX); }
FN(hasPrefix) { UNUSED; STRINGS(0, 2) return give_bool(out, S(0).len == 0 || slice_starts(S(1), S(0))); }
FN(hasSuffix) { UNUSED; STRINGS(0, 2) return give_bool(out, ends(S(1), S(0))); }

static bool indent(struct tcall *c, int64_t n, struct slice s, bool newline, struct tval *out)
{
    struct buf b;
    if (n < 0)
        return tcall_fail(c, "error calling %sindent: strings: negative Repeat count", newline ? "n" : "");
    buf_init(&b, OUTPUT_BYTES_MAX);
    if (newline)
        buf_put_byte(&b, '\n');
    if (n > OUTPUT_BYTES_MAX)
        b.bad = true;
    for (size_t i = 0; i <= s.len && !b.bad; i++) {
        if (i == 0 || s.ptr[i - 1] == '\n')
            for (int64_t k = 0; k < n; k++)
                buf_put_byte(&b, ' ');
        if (i < s.len)
            buf_put_byte(&b, s.ptr[i]);
    }
    return give_buf(c, &b, out);
}

FN(indent) { UNUSED; INT(0) STRINGS(1, 2) return indent(c, args[0].i, S(1), false, out); }
FN(nindent) { UNUSED; INT(0) STRINGS(1, 2) return indent(c, args[0].i, S(1), true, out); }

FN(repeat)
{
    UNUSED;
    INT(0)
    STRINGS(1, 2)
    struct buf b;
    if (args[0].i < 0)
        return tcall_fail(c, "error calling repeat: strings: negative Repeat count");
    buf_init(&b, OUTPUT_BYTES_MAX);
    for (int64_t i = 0; i < args[0].i && !b.bad && S(1).len > 0; i++)
        buf_put_slice(&b, S(1));
    return give_buf(c, &b, out);
}

FN(b64enc)
{
    UNUSED;
    STRINGS(0, 1)
    struct buf b;
    buf_init(&b, OUTPUT_BYTES_MAX);
    base64_encode(&b, S(0));
    return give_buf(c, &b, out);
}

FN(b64dec)
{
    UNUSED;
    STRINGS(0, 1)
    struct buf b;
    size_t bad_at;
    buf_init(&b, OUTPUT_BYTES_MAX);
    if (base64_decode(&b, S(0), &bad_at))
        return give_buf(c, &b, out);
    buf_done(&b);
    return give_string(out, slice_cstr(arena_printf(c->a, "illegal base64 data at input byte %zu", bad_at)));
}

FN(urlencode)
{
    UNUSED;
    STRINGS(0, 1)
    struct buf b;
    buf_init(&b, OUTPUT_BYTES_MAX);
    for (size_t i = 0; i < S(0).len; i++) {
        uint8_t ch = S(0).ptr[i];
        if (isalnum(ch) || (ch != 0 && strchr("-_.~", ch) != NULL))
            buf_put_byte(&b, ch);
        else if (ch == ' ')
            buf_put_byte(&b, '+');
        else
            buf_printf(&b, "%%%02X", ch);
    }
    return give_buf(c, &b, out);
}

FN(html)
{
    UNUSED;
    STRINGS(0, 1)
    struct buf b;
    buf_init(&b, OUTPUT_BYTES_MAX);
    for (size_t i = 0; i < S(0).len; i++) {
        uint8_t ch = S(0).ptr[i];
        const char *escaped = ch == '"' ? "&#34;" : ch == '\'' ? "&#39;" : ch == '&' ? "&amp;" : ch == '<' ? "&lt;"
                              : ch == '>' ? "&gt;" : ch == 0 ? "\xEF\xBF\xBD" : NULL;
        if (escaped != NULL)
            buf_put_cstr(&b, escaped);
        else
            buf_put_byte(&b, ch);
    }
    return give_buf(c, &b, out);
}

FN(js)
{
    UNUSED;
    STRINGS(0, 1)
    struct buf b;
    buf_init(&b, OUTPUT_BYTES_MAX);
    for (size_t i = 0; i < S(0).len; i++) {
        uint8_t ch = S(0).ptr[i];
        if (ch == '\\' || ch == '\'' || ch == '"')
            buf_printf(&b, "\\%c", ch);
        else if (ch < ' ' || ch == '<' || ch == '>' || ch == '&' || ch == '=')
            buf_printf(&b, "\\u%04X", ch);
        else
            buf_put_byte(&b, ch);
    }
    return give_buf(c, &b, out);
}

FN(urldecode)
{
    UNUSED;
    STRINGS(0, 1)
    struct buf b;
    buf_init(&b, OUTPUT_BYTES_MAX);
    for (size_t i = 0; i < S(0).len; i++) {
        uint8_t ch = S(0).ptr[i];
        if (ch == '%') {
            char hex[3] = {0};
            size_t left = S(0).len - i - 1;
            memcpy(hex, S(0).ptr + i + 1, left < 2 ? left : 2);
            if (!isxdigit((unsigned char)hex[0]) || !isxdigit((unsigned char)hex[1])) {
                buf_done(&b);
                return tcall_fail(c, "error calling urldecode: invalid URL escape \"%%%s\"", hex);
            }
            ch = (uint8_t)strtoul(hex, NULL, 16);
            i += 2;
        } else if (ch == '+') {
            ch = ' ';
        }
        buf_put_byte(&b, ch);
    }
    return give_buf(c, &b, out);
}

// --- regexes ----------------------------------------------------------------------------------------

enum { GROUPS_MAX = 32 };

// Compiled for this call; constant ones would be better kept, but patterns are few and short.
static bool with_regex(struct tcall *c, const char *name, struct slice pattern, struct regex **out)
{
    struct err err;
    return regex_compile(pattern, REGEX_NONE, out, &err) ||
           tcall_fail(c, "error calling %s: %s", name, err.text);
}

// All matches from left to right; an empty one right behind another does not count.
static size_t replace_all(const struct regex *regex, struct slice s, struct slice with, bool literal,
                          struct buf *b)
{
    size_t spans[GROUPS_MAX][2], groups = regex_groups(regex) + 1, count = 0, at = 0, last_end = SIZE_MAX;
    groups = groups > GROUPS_MAX ? GROUPS_MAX : groups;
    while (at <= s.len && regex_find(regex, s, at, spans, groups)) {
        size_t from = spans[0][0], end = spans[0][1];
        if (b != NULL)
            buf_put(b, s.ptr + at, from - at);
        if (end > from || from != last_end) {
            count++;
            if (b != NULL && literal)
                buf_put_slice(b, with);
            else if (b != NULL)
                expand(b, with, regex, s, spans, groups);
        }
        last_end = end;
        at = end;
        if (end == from) {
            if (at < s.len && b != NULL)
                buf_put_byte(b, s.ptr[at]);
            at++;
        }
    }
    if (b != NULL && at < s.len)
        buf_put_slice(b, slice_from(s, at));
    return count;
}

static bool regex_replace(struct tcall *c, const char *name, const struct tval *args, bool literal,
                          struct tval *out)
{
    struct regex *regex;
    struct buf b;
    if (!with_regex(c, name, S(0), &regex))
        return false;
    buf_init(&b, OUTPUT_BYTES_MAX);
    (void)replace_all(regex, S(1), S(2), literal, &b);
    regex_free(regex);
    return give_buf(c, &b, out);
}

FN(regexReplaceAll) { UNUSED; STRINGS(0, 3) return regex_replace(c, "regexReplaceAll", args, false, out); }
FN(regexReplaceAllLiteral)
{
    UNUSED;
    STRINGS(0, 3)
    return regex_replace(c, "regexReplaceAllLiteral", args, true, out);
}

FN(count)
{
    UNUSED;
    STRINGS(0, 2)
    struct regex *regex;
    if (!with_regex(c, "count", S(0), &regex))
        return false;
    (void)give_int(out, (int64_t)replace_all(regex, S(1), SLICE(""), true, NULL));
    regex_free(regex);
    return true;
}

// --- table ------------------------------------------------------------------------------------------

const struct tfunction template_text_functions[] = {
    {"ToLower", 1, 1, fn_lower}, {"ToUpper", 1, 1, fn_upper}, {"lower", 1, 1, fn_lower},
    {"upper", 1, 1, fn_upper}, {"title", 1, 1, fn_title}, {"trunc", 2, 2, fn_trunc},
    {"substr", 3, 3, fn_substr}, {"alignLeft", 2, 2, fn_alignLeft},
    {"alignRight", 2, 2, fn_alignRight}, {"replace", 3, 3, fn_replace},
    {"Replace", 4, 4, fn_Replace}, {"trim", 1, 1, fn_trim}, {"TrimSpace", 1, 1, fn_trim},
    {"trimAll", 2, 2, fn_trimAll}, {"Trim", 2, 2, fn_Trim}, {"TrimLeft", 2, 2, fn_TrimLeft},
    {"TrimRight", 2, 2, fn_TrimRight}, {"trimPrefix", 2, 2, fn_trimPrefix},
    {"trimSuffix", 2, 2, fn_trimSuffix}, {"TrimPrefix", 2, 2, fn_TrimPrefix},
    {"TrimSuffix", 2, 2, fn_TrimSuffix}, {"contains", 2, 2, fn_contains},
    {"hasPrefix", 2, 2, fn_hasPrefix}, {"hasSuffix", 2, 2, fn_hasSuffix},
    {"indent", 2, 2, fn_indent}, {"nindent", 2, 2, fn_nindent}, {"repeat", 2, 2, fn_repeat},
    {"b64enc", 1, 1, fn_b64enc}, {"b64dec", 1, 1, fn_b64dec}, {"urlencode", 1, 1, fn_urlencode},
    {"html", 1, 1, fn_html}, {"js", 1, 1, fn_js},
    {"urldecode", 1, 1, fn_urldecode}, {"urlquery", 1, 1, fn_urlencode},
    {"regexReplaceAll", 3, 3, fn_regexReplaceAll},
    {"regexReplaceAllLiteral", 3, 3, fn_regexReplaceAllLiteral}, {"count", 2, 2, fn_count},
    {NULL, 0, 0, NULL},
};
