/* jsonout.c -- see jsonout.h. */
#include "base/jsonout.h"

#include "base/labels.h"
#include "base/shortest.h"
#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

// Bytes that a JSON string holds as they are: ASCII but controls, `"` and `\`.
static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x7F && c != '"' && c != '\\';
}

static size_t plain_prefix(struct slice text)
{
    enum { STEP = 16 }; // a vector
    size_t len = 0;
    for (unsigned odd = 0; text.len - len >= STEP; len += STEP) {
        for (size_t i = 0; i < STEP; i++)
            odd |= !is_plain(text.ptr[len + i]);
        if (odd)
            break;
    }
    while (len < text.len && is_plain(text.ptr[len]))
        len++;
    return len;
}

static void put_char(struct buf *b, struct slice *rest)
{
    uint8_t c = rest->ptr[0];
    size_t len = 1;
    if (c >= 0x80) {
        uint32_t rune;
        bool valid;
        len = utf8_decode(*rest, &rune, &valid);
        if (valid)
            buf_put(b, rest->ptr, len);
        else
            buf_put_cstr(b, "\xEF\xBF\xBD");
    } else if (c == '"' || c == '\\') {
        buf_put_byte(b, '\\');
        buf_put_byte(b, c);
    } else if (c == '\n' || c == '\r' || c == '\t') {
        buf_put_cstr(b, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t");
    } else {
        buf_printf(b, "\\u%04x", c);
    }
    *rest = slice_from(*rest, len);
}

void jsonout_string(struct buf *b, struct slice text)
{
    buf_put_byte(b, '"');
    while (text.len > 0) {
        size_t plain = plain_prefix(text);
        buf_put(b, text.ptr, plain);
        text = slice_from(text, plain);
        if (text.len > 0)
            put_char(b, &text);
    }
    buf_put_byte(b, '"');
}

void jsonout_labels(struct buf *b, struct slice labels)
{
    struct label l;
    bool first = true;
    buf_put_byte(b, '{');
    for (struct labels_walk w = labels_walk(labels); labels_next(&w, &l); first = false) {
        if (!first)
            buf_put_byte(b, ',');
        jsonout_string(b, l.name);
        buf_put_byte(b, ':');
        jsonout_string(b, l.value);
    }
    buf_put_byte(b, '}');
}

// Digits and a decimal exponent as `%e` prints them, written out.
static void print_plain(struct buf *b, const char *scientific)
{
    char digits[32];
    size_t count = 0;
    const char *p = scientific;
    if (*p == '-') {
        buf_put_byte(b, '-');
        p++;
    }
    for (; *p != 'e'; p++)
        if (*p != '.')
            digits[count++] = *p;
    while (count > 1 && digits[count - 1] == '0')
        count--;
    int point = atoi(p + 1) + 1; // digits before the point
    if (point <= 0) {
        buf_put_cstr(b, "0.");
        for (int i = point; i < 0; i++)
            buf_put_byte(b, '0');
        buf_put(b, digits, count);
        return;
    }
    for (int i = 0; i < point || i < (int)count; i++) {
        if (i == point)
            buf_put_byte(b, '.');
        buf_put_byte(b, i < (int)count ? (uint8_t)digits[i] : '0');
    }
}

void jsonout_number(struct buf *b, double value)
{
    if (isnan(value) || isinf(value)) {
        buf_put_cstr(b, isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
        return;
    }
    if (value == floor(value) && fabs(value) < 1e15) {
        buf_put_signed(b, (int64_t)value);
        return;
    }
    char text[SHORTEST_BYTES];
    (void)shortest_decimal(value, text);
    print_plain(b, text);
}
