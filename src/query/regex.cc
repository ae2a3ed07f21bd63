/*
 * regex.cc -- RE2 with Go's syntax, semantics and error texts. The only file that knows RE2.
 *
 * Go's syntax and RE2's are nearly one. Where they differ: `(?<name>...)` is rewritten to the older
 * `(?P<name>...)`, and `\C` (a single byte) is refused.
 *
 * RE2 lets `.` match whole characters only, Go takes an invalid byte for one U+FFFD. Texts that are not
 * valid UTF-8 are therefore matched in a copy where each such byte is replaced; that is rare, and the
 * only case that allocates.
 */
#include <re2/re2.h>

#include <new>
#include <string>
#include <vector>

#include "query/regex.h"

#include "base/limits.h"
#include "base/utf8.h"

struct regex {
    re2::RE2 program;
    unsigned flags;
    std::vector<std::string> names; // of groups; index 0 unused

    regex(const re2::StringPiece &pattern, const re2::RE2::Options &options, unsigned flags_in)
        : program(pattern, options), flags(flags_in)
    {
    }
};

// --- errors -------------------------------------------------------------------------------------------

static const char *go_error_kind(re2::RE2::ErrorCode code)
{
    switch (code) {
    case re2::RE2::ErrorBadEscape:        return "invalid escape sequence";
    case re2::RE2::ErrorBadCharClass:     return "invalid character class";
    case re2::RE2::ErrorBadCharRange:     return "invalid character class range";
    case re2::RE2::ErrorMissingBracket:   return "missing closing ]";
    case re2::RE2::ErrorMissingParen:     return "missing closing )";
    case re2::RE2::ErrorUnexpectedParen:  return "unexpected )";
    case re2::RE2::ErrorTrailingBackslash: return "trailing backslash at end of expression";
    case re2::RE2::ErrorRepeatArgument:   return "missing argument to repetition operator";
    case re2::RE2::ErrorRepeatSize:       return "invalid repeat count";
    case re2::RE2::ErrorRepeatOp:         return "invalid nested repetition operator";
    case re2::RE2::ErrorBadPerlOp:        return "invalid or unsupported Perl syntax";
    case re2::RE2::ErrorBadUTF8:          return "invalid UTF-8";
    case re2::RE2::ErrorBadNamedCapture:  return "invalid named capture";
    case re2::RE2::ErrorPatternTooLarge:  return "expression too large";
    default:                              return "internal error";
    }
}

static bool go_error(struct err *err, const char *kind, const std::string &fragment)
{
    return err_set(err, ERR_INPUT, "error parsing regexp: %s: `%.*s`", kind,
                   (int)std::min<size_t>(fragment.size(), 256), fragment.data());
}

// --- syntax -------------------------------------------------------------------------------------------

// Go to RE2: see the top comment. False with the offending fragment.
static bool translate(struct slice pattern, std::string *out, std::string *fragment)
{
    const char *p = (const char *)pattern.ptr, *end = p + pattern.len;
    bool in_class = false;
    while (p < end) {
        if (*p == '\\' && end - p >= 2) {
            if (p[1] == 'C') {
                *fragment = "\\C";
                return false;
            }
            if (p[1] == 'Q' && !in_class) { // \Q...\E is verbatim
                const char *close = (const char *)memmem(p, (size_t)(end - p), "\\E", 2);
                const char *stop = close != NULL ? close + 2 : end;
                out->append(p, stop);
                p = stop;
                continue;
            }
            out->append(p, p + 2);
            p += 2;
            continue;
        }
        if (in_class) {
            in_class = *p != ']';
            out->push_back(*p++);
            continue;
        }
        if (*p == '[') {
            in_class = true;
            out->push_back(*p++);
            if (p < end && *p == '^')
                out->push_back(*p++);
            if (p < end && *p == ']') // a first ] is literal
                out->push_back(*p++);
            continue;
        }
        if (end - p >= 4 && memcmp(p, "(?<", 3) == 0 && p[3] != '=' && p[3] != '!') {
            out->append("(?P<");
            p += 3;
            continue;
        }
        out->push_back(*p++);
    }
    return true;
}

extern "C" bool regex_compile(struct slice pattern, unsigned flags, struct regex **regex_out,
                              struct err *err)
{
    std::string text, fragment;
    if (!translate(pattern, &text, &fragment))
        return go_error(err, "invalid escape sequence", fragment);

    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_dot_nl((flags & REGEX_DOT_NEWLINE) != 0);
    options.set_max_mem((int64_t)QUERY_REGEX_BYTES_MAX);
    struct regex *regex = new (std::nothrow) struct regex(text, options, flags);
    if (regex == NULL)
        return err_set(err, ERR_LIMIT, "out of memory for a regular expression");
    if (!regex->program.ok()) {
        re2::RE2::ErrorCode code = regex->program.error_code();
        // Go names the whole pattern for parentheses.
        bool whole = code == re2::RE2::ErrorMissingParen || code == re2::RE2::ErrorUnexpectedParen ||
                     code == re2::RE2::ErrorPatternTooLarge;
        std::string arg = whole ? std::string((const char *)pattern.ptr, pattern.len)
                                : regex->program.error_arg();
        delete regex;
        return go_error(err, go_error_kind(code), arg);
    }
    regex->names.resize((size_t)regex->program.NumberOfCapturingGroups() + 1);
    for (const auto &entry : regex->program.CapturingGroupNames())
        regex->names[(size_t)entry.first] = entry.second;
    *regex_out = regex;
    return true;
}

extern "C" void regex_free(struct regex *regex)
{
    delete regex;
}

// --- matching -----------------------------------------------------------------------------------------

static std::string replace_invalid(struct slice text)
{
    std::string out;
    out.reserve(text.len + 16);
    for (size_t i = 0; i < text.len;) {
        uint32_t rune;
        bool valid;
        size_t len = utf8_decode(slice_from(text, i), &rune, &valid);
        if (valid)
            out.append((const char *)text.ptr + i, len);
        else
            out.append("\xEF\xBF\xBD");
        i += len;
    }
    return out;
}

extern "C" bool regex_match(const struct regex *regex, struct slice text)
{
    re2::RE2::Anchor anchor =
        (regex->flags & REGEX_WHOLE) != 0 ? re2::RE2::ANCHOR_BOTH : re2::RE2::UNANCHORED;
    if (utf8_is_ascii(text) || utf8_valid_prefix(text) == text.len) {
        re2::StringPiece piece((const char *)text.ptr, text.len);
        return regex->program.Match(piece, 0, text.len, anchor, NULL, 0);
    }
    std::string copy = replace_invalid(text);
    return regex->program.Match(copy, 0, copy.size(), anchor, NULL, 0);
}

extern "C" bool regex_match_value(const void *regex, struct slice value)
{
    return regex_match((const struct regex *)regex, value);
}

extern "C" bool regex_find(const struct regex *regex, struct slice text, size_t from,
                           size_t (*spans)[2], size_t groups)
{
    enum { GROUPS_ON_STACK = 16 };
    re2::StringPiece stack[GROUPS_ON_STACK];
    std::vector<re2::StringPiece> heap;
    re2::StringPiece *match = stack;
    if (groups > GROUPS_ON_STACK) {
        heap.resize(groups);
        match = heap.data();
    }
    re2::RE2::Anchor anchor =
        (regex->flags & REGEX_WHOLE) != 0 ? re2::RE2::ANCHOR_BOTH : re2::RE2::UNANCHORED;
    re2::StringPiece piece((const char *)text.ptr, text.len);
    if (!regex->program.Match(piece, from, text.len, anchor, match, (int)groups))
        return false;
    for (size_t i = 0; i < groups; i++) {
        bool took_part = match[i].data() != NULL;
        spans[i][0] = took_part ? (size_t)(match[i].data() - piece.data()) : SIZE_MAX;
        spans[i][1] = took_part ? spans[i][0] + match[i].size() : SIZE_MAX;
    }
    return true;
}

extern "C" size_t regex_groups(const struct regex *regex)
{
    return regex->names.size() - 1;
}

extern "C" struct slice regex_group_name(const struct regex *regex, size_t group)
{
    const std::string &name = regex->names[group];
    return slice_of(name.data(), name.size());
}
