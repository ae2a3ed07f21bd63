/* rewrite.c -- see rewrite.h. */
#include "query/pipeline/rewrite.h"

#include <ctype.h>

// __error_details__ is a slot of its own that stages otherwise do not see.
static struct slice current(const struct line *l, struct slice name)
{
    bool found;
    return slice_eq(name, SLICE("__error_details__")) ? l->error_details : line_label(l, name, &found);
}

void rewrite_drop(const struct ast_stage *ast, struct line *l)
{
    for (uint32_t i = 0; i < ast->named_count; i++) {
        const struct ast_named *n = &ast->named[i];
        if (!n->has_matcher || label_matcher_test(&n->matcher, current(l, n->matcher.name)))
            line_drop_label(l, n->matcher.name);
    }
}

static bool is_kept(const void *ctx, struct slice name, struct slice value)
{
    const struct ast_stage *ast = ctx;
    for (uint32_t i = 0; i < ast->named_count; i++) {
        const struct ast_named *n = &ast->named[i];
        if (slice_eq(n->matcher.name, name) && (!n->has_matcher || label_matcher_test(&n->matcher, value)))
            return true;
    }
    return false;
}

void rewrite_keep(const struct ast_stage *ast, struct line *l)
{
    line_keep_labels(l, is_kept, ast);
}

// --- decolorize -------------------------------------------------------------------------------------

static bool in(uint8_t c, const char *set)
{
    return c != 0 && strchr(set, c) != NULL;
}

static size_t digits(struct slice s, size_t at, size_t most)
{
    size_t n = 0;
    while (n < most && at + n < s.len && isdigit(s.ptr[at + n]))
        n++;
    return n;
}

// Length of an optional run of alphanumerics and `;` that BEL ends; 0: none.
static size_t bell_length(struct slice s, size_t at)
{
    size_t i = at;
    while (i < s.len && (isalnum(s.ptr[i]) || s.ptr[i] == ';'))
        i++;
    return i < s.len && s.ptr[i] == 0x07 ? i + 1 - at : 0;
}

// Length of parameters and a final byte; 0: none. Parameters give way where the final byte needs them.
static size_t final_length(struct slice s, size_t at)
{
    static const char finals[] = "0123456789ABCDEFGHIJKLMNOPRZcfghijklmnqrty=><~";
    size_t ends[64], count = 0, i = at;
    ends[count++] = at;
    size_t n = digits(s, i, 4);
    for (size_t k = 1; k <= n && count < 60; k++)
        ends[count++] = i + k;
    i += n;
    while (n > 0 && i < s.len && s.ptr[i] == ';' && count < 59) {
        ends[count++] = ++i;
        size_t more = digits(s, i, 4);
        for (size_t k = 1; k <= more && count < 60; k++)
            ends[count++] = i + k;
        i += more;
    }
    while (count-- > 0)
        if (ends[count] < s.len && in(s.ptr[ends[count]], finals))
            return ends[count] + 1 - at;
    return 0;
}

// Length of an ANSI sequence at the start of s, or 0.
static size_t sequence_length(struct slice s)
{
    size_t at = s.ptr[0] == 0x1B ? 1 : s.len >= 2 && s.ptr[0] == 0xC2 && s.ptr[1] == 0x9B ? 2 : 0;
    if (at == 0)
        return 0;
    size_t most = at;
    while (most < s.len && in(s.ptr[most], "[]()#;?"))
        most++;
    // Brackets are greedy, but give one back where nothing else matches behind them.
    for (size_t from = most + 1; from-- > at;) {
        size_t len = bell_length(s, from);
        if (len == 0)
            len = final_length(s, from);
        if (len > 0)
            return from + len;
    }
    return 0;
}

void rewrite_decolorize(struct line *l)
{
    if (memchr(l->text.ptr, 0x1B, l->text.len) == NULL && slice_find(l->text, SLICE("\xC2\x9B")) == SIZE_MAX)
        return;
    uint8_t *to = arena_alloc(l->scratch, l->text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < l->text.len && to != NULL;) {
        size_t skip = sequence_length(slice_from(l->text, i));
        if (skip == 0)
            to[len++] = l->text.ptr[i++];
        i += skip;
    }
    if (to != NULL)
        l->text = slice_of(to, len);
}
