/*
 * literal.c -- see literal.h.
 *
 * Whatever is not understood gives nothing, for a text too few only costs time. Groups are skipped with all
 * they hold; an alternation outside of them, a flag or an escape with an argument ends the search.
 */
#include "query/pipeline/literal.h"

struct search {
    const uint8_t *pos, *end;
    uint8_t *text; // the run in hand
    size_t len;
    size_t last; // where its last character starts
    struct slice best;
    struct arena *a;
};

static void end_run(struct search *s)
{
    if (s->len > s->best.len)
        s->best = arena_copy(s->a, slice_of(s->text, s->len));
    s->len = s->last = 0;
}

// From `[` to behind its `]`.
static bool skip_class(struct search *s)
{
    s->pos++;
    if (s->pos < s->end && *s->pos == '^')
        s->pos++;
    if (s->pos < s->end && *s->pos == ']')
        s->pos++;
    for (; s->pos < s->end && *s->pos != ']'; s->pos++) {
        if (*s->pos == '\\')
            s->pos++;
        else if (*s->pos == '[' && s->end - s->pos > 1 && s->pos[1] == ':')
            return false;
    }
    return s->pos++ < s->end;
}

// From `(` to behind its `)`.
static bool skip_group(struct search *s)
{
    if (s->end - s->pos > 2 && s->pos[1] == '?' && s->pos[2] != 'P' && s->pos[2] != '<' && s->pos[2] != ':')
        return false; // flags, which may reach beyond it
    int depth = 0;
    while (s->pos < s->end) {
        uint8_t c = *s->pos;
        if (c == '[') {
            if (!skip_class(s))
                return false;
            continue;
        }
        if (c == '\\') {
            if (s->end - s->pos > 1 && s->pos[1] == 'Q')
                return false;
            s->pos++;
        }
        depth += c == '(' ? 1 : c == ')' ? -1 : 0;
        s->pos++;
        if (c == ')' && depth == 0)
            return true;
    }
    return false;
}

// From `{` to behind its `}`.
static bool skip_counts(struct search *s)
{
    for (s->pos++; s->pos < s->end && *s->pos != '}'; s->pos++)
        if ((*s->pos < '0' || *s->pos > '9') && *s->pos != ',')
            return false;
    return s->pos++ < s->end;
}

static void drop_last(struct search *s)
{
    s->len = s->last;
    end_run(s);
}

static void add_char(struct search *s)
{
    size_t bytes = 1;
    while (*s->pos >= 0xC0 && s->pos + bytes < s->end && (s->pos[bytes] & 0xC0) == 0x80)
        bytes++;
    s->last = s->len;
    memcpy(s->text + s->len, s->pos, bytes);
    s->len += bytes;
    s->pos += bytes;
}

// False: nothing can be said of the pattern.
static bool take(struct search *s)
{
    uint8_t c = *s->pos;
    switch (c) {
    case '|':
        return false;
    case '(':
        end_run(s);
        return skip_group(s);
    case '[':
        end_run(s);
        return skip_class(s);
    case '{':
        drop_last(s);
        return skip_counts(s);
    case '*':
    case '?':
        drop_last(s);
        s->pos++;
        return true;
    case '+':
    case '.':
    case '^':
    case '$':
        end_run(s);
        s->pos++;
        return true;
    case '\\':
        if (++s->pos == s->end || *s->pos >= 0x80)
            return false;
        if (strchr("dDwWsSbB", *s->pos) != NULL) {
            end_run(s);
            s->pos++;
            return true;
        }
        if (strchr("\\.+*?()|[]{}^$-/\"'", *s->pos) == NULL)
            return false;
        add_char(s);
        return true;
    case 0xEF: // maybe U+FFFD, which also matches bytes that are not UTF-8
        return false;
    default:
        add_char(s);
        return true;
    }
}

struct slice literal_of_regex(struct slice pattern, struct arena *a)
{
    struct search s = {.pos = pattern.ptr, .end = pattern.ptr + pattern.len, .a = a,
                       .text = arena_alloc(a, pattern.len + 1)};
    while (s.text != NULL && s.pos < s.end)
        if (!take(&s))
            return (struct slice){0};
    if (s.text != NULL)
        end_run(&s);
    return s.best;
}
