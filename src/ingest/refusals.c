/* refusals.c -- see refusals.h. */
#include "ingest/refusals.h"

#include "base/buf.h"

#include <inttypes.h>

void refusals_note(struct refusals *r, struct arena *a, struct slice text)
{
    for (uint32_t i = 0; i < r->count; i++)
        if (slice_eq(r->texts[i].text, text)) {
            r->texts[i].count++;
            return;
        }
    if (r->count == REFUSAL_TEXTS_MAX) {
        r->more++;
        return;
    }
    r->texts[r->count].text = arena_copy(a, text);
    r->texts[r->count++].count = 1;
}

struct slice refusals_text(const struct refusals *r, struct arena *a)
{
    if (r->count == 0)
        return SLICE("");
    AUTO(buf_done) struct buf b;
    buf_init(&b, 0);
    bool single = r->count == 1 && r->texts[0].count == 1 && r->more == 0;
    for (uint32_t i = 0; i < r->count; i++) {
        if (!single)
            buf_printf(&b, "%s%" PRIu64 " errors like: ", i > 0 ? "; " : "", r->texts[i].count);
        buf_put_slice(&b, r->texts[i].text);
    }
    if (r->more > 0)
        buf_printf(&b, "; %" PRIu64 " further errors", r->more);
    return arena_copy(a, buf_slice(&b));
}
