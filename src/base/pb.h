/*
 * pb.h -- a bounded reader of protobuf's wire format (protobuf.dev, "Encoding").
 *
 * The first failure sticks in `bad`; later reads give nothing. Everything is borrowed from the input.
 */
#pragma once

#include "base/codec.h"
#include "base/slice.h"

enum pb_wire { PB_VARINT = 0, PB_FIXED64 = 1, PB_BYTES = 2, PB_START = 3, PB_END = 4, PB_FIXED32 = 5 };
enum { PB_GROUP_DEPTH_MAX = 32 };

struct pb {
    struct rd rd;
    const char *bad; // NULL while good; static text
};

struct pb_field {
    uint32_t number;
    enum pb_wire wire;
    uint64_t value;     // varint and fixed
    struct slice bytes; // PB_BYTES
};

static inline struct pb pb_of(struct slice s)
{
    return (struct pb){.rd = rd_of(s)};
}

// The next field; groups are skipped. False at the end, or on a failure.
bool pb_next_long(struct pb *p, struct pb_field *out); // the general case
static inline bool pb_next(struct pb *p, struct pb_field *out)
{
    enum { NEAR_BYTES = 128 }; // lengths and values of one byte
    const uint8_t *at = p->rd.pos;
    size_t left = rd_left(&p->rd);
    if (p->bad == NULL && left >= 2 && at[0] >= 1 << 3 && at[0] < 0x80 && at[1] < NEAR_BYTES) {
        if ((at[0] & 7) == PB_BYTES && at[1] <= left - 2) {
            *out = (struct pb_field){.number = at[0] >> 3, .wire = PB_BYTES, .bytes = {at + 2, at[1]}};
            p->rd.pos = at + 2 + at[1];
            return true;
        }
        if ((at[0] & 7) == PB_VARINT) {
            *out = (struct pb_field){.number = at[0] >> 3, .wire = PB_VARINT, .value = at[1]};
            p->rd.pos = at + 2;
            return true;
        }
    }
    return pb_next_long(p, out);
}
// Marks a known field with another wire type as a failure.
static inline bool pb_is(struct pb *p, const struct pb_field *f, enum pb_wire wire)
{
    if (f->wire != wire)
        p->bad = "proto: wrong wireType for a known field";
    return f->wire == wire;
}
// Hands a failure in an inner message on to the outer; whether there was none in either.
static inline bool pb_pass(struct pb *outer, const struct pb *inner)
{
    if (outer->bad == NULL)
        outer->bad = inner->bad;
    return outer->bad == NULL;
}
