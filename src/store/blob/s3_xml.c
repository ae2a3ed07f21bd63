/* s3_xml.c -- see s3_xml.h. */
#include "store/blob/s3_xml.h"

#include "base/attr.h"

#include <stdio.h>
#include <stdlib.h>

bool xml_next(struct slice *rest, const char *name, struct slice *inner_out)
{
    char open[64], close[64];
    int open_len = snprintf(open, sizeof open, "<%s", name);
    int close_len = snprintf(close, sizeof close, "</%s>", name);
    struct slice s = *rest;
    for (;;) {
        size_t at = slice_find(s, slice_of(open, (size_t)open_len));
        if (at == SIZE_MAX)
            return false;
        s = slice_from(s, at + (size_t)open_len);
        if (s.len > 0 &&
            (s.ptr[0] == '>' || s.ptr[0] == ' ')) // else the beginning of a longer name
            break;
    }
    size_t tag_end = slice_find(s, SLICE(">"));
    if (tag_end == SIZE_MAX)
        return false;
    s = slice_from(s, tag_end + 1);
    size_t end = slice_find(s, slice_of(close, (size_t)close_len));
    if (end == SIZE_MAX)
        return false;
    *inner_out = slice_of(s.ptr, end);
    *rest = slice_from(s, end + (size_t)close_len);
    return true;
}

// Decodes the entity at the start of `s`. Its length, or 0: it is none.
static size_t entity(struct slice s, char *to, size_t *len_out)
{
    static const struct {
        const char *text;
        char byte;
    } named[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};
    for (size_t i = 0; i < COUNT_OF(named); i++)
        if (slice_starts(s, slice_cstr(named[i].text))) {
            to[0] = named[i].byte;
            *len_out = 1;
            return strlen(named[i].text);
        }
    if (!slice_starts(s, SLICE("&#")))
        return 0;
    char number[12] = "";
    size_t end = slice_find(s, SLICE(";"));
    if (end == SIZE_MAX || end < 3 || end - 2 >= sizeof number)
        return 0;
    memcpy(number, s.ptr + 2, end - 2);
    bool hex = number[0] == 'x';
    unsigned long code = strtoul(number + hex, NULL, hex ? 16 : 10);
    if (code == 0 || code >= 0x80) // our keys are ASCII
        return 0;
    to[0] = (char)code;
    *len_out = 1;
    return end + 1;
}

bool xml_text(struct slice doc, const char *name, char *to, size_t room)
{
    struct slice inner;
    to[0] = '\0';
    if (!xml_next(&doc, name, &inner))
        return false;
    size_t len = 0;
    while (inner.len > 0 && len + 1 < room) {
        size_t put = 1, used = inner.ptr[0] == '&' ? entity(inner, to + len, &put) : 0;
        if (used == 0) {
            to[len] = (char)inner.ptr[0];
            used = 1;
        }
        len += put;
        inner = slice_from(inner, used);
    }
    to[len] = '\0';
    return true;
}
