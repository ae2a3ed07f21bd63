/* split_cut.c -- see split_cut.h. */
#include "store/segment/split_cut.h"

#include <stdbool.h>

const uint8_t split_classes[256] = {
    ['0' ... '9'] = CLASS_DIGIT,
    ['a' ... 'f'] = CLASS_HEX,
    ['g' ... 'z'] = CLASS_LETTER,
    ['A' ... 'Z'] = CLASS_LETTER,
    ['_'] = CLASS_LETTER,
    [0x80 ... 0xff] = CLASS_LETTER,
    ['/'] = CLASS_PATH | CLASS_BEGINS,
    ['.'] = CLASS_PATH,
    ['-'] = CLASS_PATH,
    ['%'] = CLASS_PATH,
    ['~'] = CLASS_PATH,
    [' '] = CLASS_OPENS | CLASS_CLOSES,
    ['\t'] = CLASS_OPENS | CLASS_CLOSES,
    ['('] = CLASS_OPENS | CLASS_CLOSES,
    ['['] = CLASS_OPENS | CLASS_CLOSES,
    [')'] = CLASS_CLOSES,
    [']'] = CLASS_CLOSES,
    ['='] = CLASS_CLOSES,
    ['"'] = CLASS_CLOSES | CLASS_BEGINS,
    [','] = CLASS_CLOSES,
    [';'] = CLASS_CLOSES,
};

static inline const uint8_t *skip(const uint8_t *at, const uint8_t *end, unsigned mask)
{
    while (at < end && (split_classes[*at] & mask) != 0)
        at++;
    return at;
}

// Whether a word that ends here, at depth 0 and behind a blank, is plain text: "key=" is, "host-"
// of "host-7" is not.
static bool is_closed(const uint8_t *at, const uint8_t *end)
{
    if (at == end || (split_classes[*at] & CLASS_CLOSES) != 0)
        return true;
    return (*at == ':' || *at == '.') && (at + 1 == end || at[1] == ' ');
}

struct cutter {
    const uint8_t *end;    // of the text
    const uint8_t *quoted; // quotes before this were seen already: each is looked for once
    unsigned depth;
    uint8_t before; // class of the byte before
};

// Where the gap that begins at `at` ends; `at`: there is none, and *next_out is behind what belongs
// to the template.
static const uint8_t *gap_end(struct cutter *c, const uint8_t *at, const uint8_t **next_out)
{
    uint8_t class = split_classes[*at];
    *next_out = at + 1;
    if ((class & CLASS_WORD) != 0) {
        uint8_t all = 0;
        const uint8_t *end = at;
        for (; end < c->end && (split_classes[*end] & CLASS_WORD) != 0; end++)
            all |= split_classes[*end];
        *next_out = end;
        bool plain = (all & CLASS_DIGIT) == 0 && c->depth == 0 && (c->before & CLASS_OPENS) != 0 &&
                     is_closed(end, c->end);
        return plain ? at : end;
    }
    if (*at == '/' && c->depth < 2 && (c->before & CLASS_WORD) == 0)
        return skip(at, c->end, CLASS_WORD | CLASS_PATH);
    return at;
}

// Whether a quote at `at` opens a text with a blank, to *end_out.
static bool opens_text(struct cutter *c, const uint8_t *at, const uint8_t **end_out)
{
    if (*at != '"' || c->depth > 0 || at < c->quoted)
        return false;
    bool blank = false;
    const uint8_t *close = at + 1;
    for (; close < c->end && *close != '"'; close++) {
        blank = blank || *close == ' ';
        close += *close == '\\' && close + 1 < c->end; // what is escaped closes nothing
    }
    *end_out = close;
    c->quoted = close < c->end ? close + 1 : c->end;
    return blank && close < c->end;
}

uint64_t split_cut(const uint8_t *text, struct split_span of, unsigned depth, struct split_span gaps[SPLIT_GAPS_MAX],
                   uint32_t *count_out)
{
    const uint8_t *at = text + of.pos, *next, *end;
    struct cutter c = {.end = at + of.len, .quoted = at, .depth = depth, .before = CLASS_OPENS};
    const uint8_t *literal = at; // of the template, up to the next gap
    uint64_t hash = 0;
    uint32_t count = 0;
    while (at < c.end) {
        if ((split_classes[*at] & (CLASS_WORD | CLASS_BEGINS)) == 0) {
            c.before = split_classes[*at++];
            continue;
        }
        end = gap_end(&c, at, &next);
        if (end == at) {
            bool quoted = opens_text(&c, at, &end);
            c.before = split_classes[next[-1]];
            at = next;
            if (!quoted)
                continue;
        }
        if (count == SPLIT_GAPS_MAX - 1)
            end = c.end;
        gaps[count++] = (struct split_span){(uint32_t)(at - text), (uint32_t)(end - at)};
        hash = split_mix(hash, split_hash(literal, (uint32_t)(at - literal)));
        c.before = CLASS_LETTER;
        at = literal = end;
    }
    hash = split_mix(hash, split_hash(literal, (uint32_t)(at - literal)));
    *count_out = count;
    return hash;
}
