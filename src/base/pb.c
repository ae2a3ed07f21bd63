/* pb.c -- see pb.h. */
#include "base/pb.h"

static bool fail(struct pb *p, const char *what)
{
    if (p->bad == NULL)
        p->bad = what;
    return false;
}

static bool take_varint(struct pb *p, uint64_t *out)
{
    size_t left = rd_left(&p->rd);
    *out = rd_varint(&p->rd);
    return !p->rd.bad || fail(p, left >= VARINT_BYTES_MAX ? "proto: integer overflow" : "unexpected EOF");
}

static bool take_tag(struct pb *p, struct pb_field *f)
{
    uint64_t tag;
    if (!take_varint(p, &tag))
        return false;
    if (tag >> 3 == 0 || tag >> 3 > UINT64_C(0x1fffffff))
        return fail(p, "proto: illegal tag 0");
    *f = (struct pb_field){.number = (uint32_t)(tag >> 3), .wire = (enum pb_wire)(tag & 7)};
    return true;
}

static bool take_value(struct pb *p, struct pb_field *f)
{
    switch (f->wire) {
    case PB_VARINT:
        return take_varint(p, &f->value);
    case PB_FIXED64:
        f->value = rd_u64(&p->rd);
        break;
    case PB_FIXED32:
        f->value = rd_u32(&p->rd);
        break;
    case PB_BYTES: {
        uint64_t len;
        if (!take_varint(p, &len))
            return false;
        if (len > rd_left(&p->rd))
            return fail(p, "unexpected EOF");
        f->bytes = rd_bytes(&p->rd, (size_t)len);
        break;
    }
    default:
        return fail(p, "proto: illegal wireType");
    }
    return !p->rd.bad || fail(p, "unexpected EOF");
}

static bool skip_group(struct pb *p, uint32_t number, int depth)
{
    struct pb_field f;
    if (depth > PB_GROUP_DEPTH_MAX)
        return fail(p, "proto: groups nested too deeply");
    while (take_tag(p, &f)) {
        if (f.wire == PB_END)
            return f.number == number || fail(p, "proto: unexpected end of group");
        if (!(f.wire == PB_START ? skip_group(p, f.number, depth + 1) : take_value(p, &f)))
            return false;
    }
    return false;
}

bool pb_next_long(struct pb *p, struct pb_field *out)
{
    while (p->bad == NULL && rd_left(&p->rd) > 0 && take_tag(p, out)) {
        if (out->wire != PB_START)
            return take_value(p, out);
        if (!skip_group(p, out->number, 1))
            return false;
    }
    return false;
}
