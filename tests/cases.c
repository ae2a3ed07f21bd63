/* cases.c -- see cases.h. */
#include "cases.h"

#include "base/err.h"
#include "base/fs.h"
#include "tap.h"

#include <stdio.h>
#include <stdlib.h>

enum { CASES_BYTES_MAX = 1 << 20, NAME_BYTES = 90 };

static struct slice take_line(struct slice *rest)
{
    size_t at = slice_find(*rest, SLICE("\n"));
    struct slice line = at == SIZE_MAX ? *rest : slice_of(rest->ptr, at);
    *rest = at == SIZE_MAX ? (struct slice){0} : slice_from(*rest, at + 1);
    return line;
}

static void unescape(struct slice text, struct buf *out)
{
    buf_reset(out);
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i], next = i + 1 < text.len ? text.ptr[i + 1] : 0;
        if (c != '\\' || (next != 'n' && next != 't' && next != '\\' && next != 'x')) {
            buf_put_byte(out, c);
            continue;
        }
        i++;
        if (next == 'x') {
            char hex[3] = {(char)text.ptr[i + 1], (char)text.ptr[i + 2], 0};
            buf_put_byte(out, (uint8_t)strtoul(hex, NULL, 16));
            i += 2;
        } else {
            buf_put_byte(out, next == 'n' ? '\n' : next == 't' ? '\t' : '\\');
        }
    }
}

int cases_run(const char *path, void (*run)(struct slice input, struct buf *out))
{
    struct err err;
    char *bytes;
    size_t len;
    int count = 0;
    must(fs_read_file(path, CASES_BYTES_MAX, &bytes, &len, &err), &err);
    struct buf input, want, got;
    buf_init(&input, 0);
    buf_init(&want, 0);
    buf_init(&got, 0);
    for (struct slice rest = slice_of(bytes, len); rest.ptr != NULL;) {
        struct slice line = take_line(&rest);
        if (line.len == 0 || line.ptr[0] == ';')
            continue;
        struct slice second = rest.ptr != NULL ? take_line(&rest) : (struct slice){0};
        unescape(line, &input);
        unescape(second, &want);
        buf_put_byte(&want, '\0');
        buf_reset(&got);
        run(buf_slice(&input), &got);
        char name[NAME_BYTES];
        (void)snprintf(name, sizeof name, "%.*s", (int)(line.len < NAME_BYTES - 1 ? line.len : NAME_BYTES - 1),
                       (const char *)line.ptr);
        for (char *p = name; (p = strchr(p, '#')) != NULL;)
            *p = '_';
        is_text(buf_slice(&got), (const char *)want.ptr, name);
        count++;
    }
    buf_done(&input);
    buf_done(&want);
    buf_done(&got);
    free(bytes);
    return count;
}
