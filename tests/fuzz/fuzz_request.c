/*
 * fuzz_request.c -- what a stranger may send before anything is known of him: a request target with its parameters, and
 * websocket frames. A redirect leads to where there is no further one; frames are the same however they are cut.
 */
#include "fuzz.h"

#include "base/clock.h"
#include "base/limits.h"
#include "server/params.h"
#include "server/route.h"
#include "server/ws.h"

#include <assert.h>
#include <stdlib.h>

#define NOW INT64_C(1793500000000000000)

static void read_parameters(struct request *rq, struct arena *a)
{
    struct params p;
    struct params_range range;
    struct err err;
    int64_t ns;
    uint32_t limit;
    bool forward;
    rq->arena = a;
    if (!params_read(rq, &p, &err))
        return;
    bool ranged = params_range(&p, NOW, &range, &err);
    if (ranged && params_ordered(&range, &err) && params_step(&p, &range, &ns, &err)) {
        assert(ns > 0);
        params_align(&range, ns);
    }
    (void)!(params_instant(&p, NOW, &ns, &err) && params_interval(&p, &ns, &err) && params_forward(&p, &forward, &err));
    if (params_limit(&p, &limit, &err))
        assert(limit > 0);
}

static void ask(struct slice target)
{
    struct arena a;
    struct request rq = {.method = METHOD_GET};
    struct response rs = {0};
    arena_init(&a, 16 * MIB);
    buf_init(&rs.body, 0);
    if (route_find(target, METHOD_GET, &a, &rq, &rs) != NULL) {
        read_parameters(&rq, &a);
    } else if (rs.status == 301) {
        struct slice moved = slice_cstr(rs.location);
        struct request again = {.method = METHOD_GET};
        assert(route_find(moved, METHOD_GET, &a, &again, &rs) != NULL || rs.status != 301);
    }
    buf_done(&rs.body);
    arena_done(&a);
}

// What the frames at the front of `bytes` are, given `step` bytes at a time; changes what they come in.
static size_t take_frames(uint8_t *bytes, size_t len, size_t step, struct buf *out)
{
    struct ws_reader reader = {0};
    size_t pos = 0, have = 0;
    for (;;) {
        struct ws_frame f;
        enum ws_code code = 0;
        size_t used = 0;
        enum ws_result result = ws_take(&reader, bytes + pos, have - pos, &used, &f, &code);
        if (result == WS_BAD) {
            assert(code == WS_PROTOCOL_ERROR || code == WS_TOO_BIG);
            buf_printf(out, "bad %d\n", code);
            return pos;
        }
        if (result == WS_FRAME) {
            assert(used >= 2 && used <= have - pos && f.payload.len <= WS_PAYLOAD_BYTES_MAX);
            buf_printf(out, "%d ", f.opcode);
            buf_put_slice(out, f.payload);
            pos += used;
        } else if (have == len) {
            return pos;
        } else {
            have = len - have < step ? len : have + step;
        }
    }
}

static void take_both_ways(const uint8_t *bytes, size_t len)
{
    uint8_t *copy = malloc(len + 1);
    assert(copy != NULL);
    struct buf whole, pieces;
    buf_init(&whole, 0);
    buf_init(&pieces, 0);
    memcpy(copy, bytes, len);
    size_t end = take_frames(copy, len, len + 1, &whole);
    memcpy(copy, bytes, len);
    assert(take_frames(copy, len, 1, &pieces) == end && slice_eq(buf_slice(&whole), buf_slice(&pieces)));
    buf_done(&whole);
    buf_done(&pieces);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (len > 4096)
        return 0;
    ask(slice_of(bytes, len));
    take_both_ways(bytes, len);
    return 0;
}
