/* loki_pb.c -- Loki's protobuf push body; loki-http.md 17.2. Everything borrows from the body. */
#include "ingest/format.h"

#include "base/clock.h"
#include "base/utf8.h"
#include "base/pb.h"

#include <inttypes.h>

enum { REQUEST_STREAMS = 1 };
enum { STREAM_LABELS = 1, STREAM_ENTRIES = 2, STREAM_HASH = 3 };
enum { ENTRY_TIMESTAMP = 1, ENTRY_LINE = 2, ENTRY_METADATA = 3, ENTRY_PARSED = 4 };
enum { TIMESTAMP_SECONDS = 1, TIMESTAMP_NANOS = 2 };
enum { PAIR_NAME = 1, PAIR_VALUE = 2 };

struct loki_pb {
    struct accept *ac;
    struct raw_entries raw;
    const char *bad; // first failure of the wire format; static
    struct err *err;
    bool failed; // err is set
};

static bool wire_fail(struct loki_pb *p, const struct pb *m)
{
    if (p->bad == NULL)
        p->bad = m->bad;
    return m->bad == NULL && p->bad == NULL && !p->failed;
}

static bool parse_timestamp(struct loki_pb *p, struct slice bytes, int64_t *time_ns_out)
{
    struct pb m = pb_of(bytes);
    struct pb_field f;
    int64_t seconds = 0, nanos = 0;
    while (pb_next(&m, &f)) {
        if (f.number == TIMESTAMP_SECONDS && pb_is(&m, &f, PB_VARINT))
            seconds = (int64_t)f.value;
        else if (f.number == TIMESTAMP_NANOS && pb_is(&m, &f, PB_VARINT))
            nanos = (int32_t)f.value;
    }
    if (!wire_fail(p, &m))
        return false;
    if (nanos < 0 || nanos >= NS_PER_S) {
        p->failed = true;
        return err_set(p->err, ERR_INPUT,
                       "timestamp: &types.Timestamp{Seconds: %" PRId64 ",\nNanos: %" PRId64
                       ",\n}: nanos not in range [0, 1e9)",
                       seconds, nanos);
    }
    int64_t ns;
    if (__builtin_mul_overflow(seconds, NS_PER_S, &ns) || __builtin_add_overflow(ns, nanos, &ns))
        ns = seconds < 0 ? TIME_BEFORE : TIME_BEHIND;
    *time_ns_out = ns;
    return true;
}

static bool parse_pair(struct loki_pb *p, struct slice bytes)
{
    struct pb m = pb_of(bytes);
    struct pb_field f;
    struct label pair = {SLICE(""), SLICE("")};
    while (pb_next(&m, &f)) {
        if (f.number == PAIR_NAME && pb_is(&m, &f, PB_BYTES))
            pair.name = f.bytes;
        else if (f.number == PAIR_VALUE && pb_is(&m, &f, PB_BYTES))
            pair.value = f.bytes;
    }
    if (!wire_fail(p, &m))
        return false;
    if (!raw_entries_pair(&p->raw, p->ac->arena, pair))
        p->bad = "too large";
    return p->bad == NULL;
}

static bool parse_entry(struct loki_pb *p, struct slice bytes)
{
    struct pb m = pb_of(bytes);
    struct pb_field f;
    struct raw_entry e = {.time_ns = TIME_BEFORE, .line = SLICE(""),
                          .pairs_first = (uint32_t)p->raw.pairs_count};
    while (pb_next(&m, &f)) {
        bool good = true;
        if (f.number == ENTRY_TIMESTAMP && pb_is(&m, &f, PB_BYTES))
            good = parse_timestamp(p, f.bytes, &e.time_ns);
        else if (f.number == ENTRY_LINE && pb_is(&m, &f, PB_BYTES))
            e.line = f.bytes;
        else if (f.number == ENTRY_METADATA && pb_is(&m, &f, PB_BYTES))
            good = parse_pair(p, f.bytes);
        else if (f.number == ENTRY_PARSED)
            (void)pb_is(&m, &f, PB_BYTES);
        if (!good)
            return false;
    }
    if (!wire_fail(p, &m))
        return false;
    e.pairs_count = (uint32_t)(p->raw.pairs_count - e.pairs_first);
    if (!raw_entries_add(&p->raw, p->ac->arena, &e))
        p->bad = "too large";
    return p->bad == NULL;
}

static bool parse_stream(struct loki_pb *p, struct slice bytes)
{
    struct pb m = pb_of(bytes);
    struct pb_field f;
    struct slice text = SLICE("");
    raw_entries_reset(&p->raw);
    while (pb_next(&m, &f)) {
        if (f.number == STREAM_LABELS && pb_is(&m, &f, PB_BYTES))
            text = f.bytes;
        else if (f.number == STREAM_ENTRIES && pb_is(&m, &f, PB_BYTES) && !parse_entry(p, f.bytes))
            return false;
        else if (f.number == STREAM_HASH)
            (void)pb_is(&m, &f, PB_VARINT);
    }
    if (!wire_fail(p, &m))
        return false;
    struct labels labels;
    struct err why;
    p->failed = true;
    if (!labels_parse(text, p->ac->arena, &labels, &why))
        return err_set(p->err, why.code, "couldn't parse labels: %s", why.text);
    if (!accept_stream(p->ac, &labels, &p->raw, p->err))
        return false;
    p->failed = false;
    return true;
}

bool loki_pb_parse(struct slice body, struct accept *ac, struct err *err)
{
    struct loki_pb p = {.ac = ac, .err = err};
    struct pb m = pb_of(body);
    struct pb_field f;
    while (pb_next(&m, &f))
        if (f.number == REQUEST_STREAMS && pb_is(&m, &f, PB_BYTES) && !parse_stream(&p, f.bytes))
            break;
    if (p.failed)
        return false;
    if (p.bad == NULL)
        p.bad = m.bad;
    if (p.bad == NULL)
        return true;
    if (!arena_ok(ac->arena, "push", err)) {
        err->code = ERR_TOO_LARGE;
        return false;
    }
    return err_set(err, ERR_INPUT, "%s", p.bad);
}
