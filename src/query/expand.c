/* expand.c -- see expand.h. */
#include "query/expand.h"

#include <ctype.h>

void expand(struct buf *out, struct slice text, const struct regex *regex, struct slice value,
            size_t (*spans)[2], size_t groups)
{
    for (size_t i = 0; i < text.len; i++) {
        bool braced = i + 1 < text.len && text.ptr[i] == '$' && text.ptr[i + 1] == '{';
        if (text.ptr[i] != '$' || i + 1 == text.len) {
            buf_put_byte(out, text.ptr[i]);
            continue;
        }
        if (text.ptr[i + 1] == '$') {
            buf_put_byte(out, '$');
            i++;
            continue;
        }
        size_t from = i + 1 + braced, end = from, group = 0;
        while (end < text.len && (isalnum(text.ptr[end]) || text.ptr[end] == '_'))
            end++;
        if (end == from || (braced && (end == text.len || text.ptr[end] != '}'))) {
            buf_put_byte(out, '$');
            continue;
        }
        struct slice name = slice_of(text.ptr + from, end - from);
        bool found = true;
        for (size_t n = 0; n < name.len && found; n++) {
            found = isdigit(name.ptr[n]) && group < 1000;
            group = group * 10 + (size_t)(name.ptr[n] - '0');
        }
        for (size_t n = 1; !found && n < groups; n++)
            if (slice_eq(regex_group_name(regex, n), name)) {
                group = n;
                found = true;
                break;
            }
        if (found && group < groups && spans[group][0] != SIZE_MAX)
            buf_put(out, value.ptr + spans[group][0], spans[group][1] - spans[group][0]);
        i = end - 1 + braced;
    }
}
