"""The spans of a segment, and where it says that traces are: docs/format.md "Span table" to "Span blocks". See read_seg.py."""
import base64
import math
import re
import struct
from decimal import Decimal

import xxhash

from read_bytes import Object, Reader, need, text, to_json, unpack

TIME_MAX = 2**63 - 1
PAGE_BYTES = 4096
KINDS = ["unspecified", "internal", "server", "client", "producer", "consumer"]
STATUSES = ["unset", "ok", "error"]
PARTS = 24
NONE, STRING, BOOL, INT, DOUBLE, ARRAY, MAP, BYTES = range(8)


# --- OpenTelemetry's messages


def fields(message):
    """(number, value) of a protobuf message: int, 8 bytes, 4 bytes, or bytes."""
    r = Reader(message)
    while r.pos < len(message):
        tag = r.varint()
        wire = tag & 7
        need(wire in (0, 1, 2, 5), "wire type %d" % wire)
        yield tag >> 3, r.varint() if wire == 0 else r.u64() if wire == 1 else r.u32() if wire == 5 else r.bytes()


def number_json(bits):
    value = struct.unpack("<d", struct.pack("<Q", bits))[0]
    if math.isnan(value) or math.isinf(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    return int(Decimal(repr(value))) if value == math.floor(value) else value


def value_json(kind, value):
    """A value as JSON: value is bytes, or the number that stands for it."""
    if kind == NONE:
        return None
    if kind == STRING:
        return text(value)
    if kind == BOOL:
        return bool(value)
    if kind == INT:
        return value - 2**64 if value >= 2**63 else value
    if kind == DOUBLE:
        return number_json(value)
    if kind == ARRAY:
        return [any_json(item) for n, item in fields(value) if n == 1]
    if kind == MAP:
        return attributes_json(item for n, item in fields(value) if n == 1)
    return base64.b64encode(value).decode()


def any_json(message):
    """An AnyValue: its last member counts; field numbers are kinds."""
    kind, value = NONE, None
    for n, v in fields(message):
        if STRING <= n <= BYTES:
            kind, value = n, v
    return value_json(kind, value)


def attributes_json(messages):
    """KeyValue messages."""
    pairs = []
    for message in messages:
        members = dict(fields(message))
        pairs.append((text(members.get(1, b"")), any_json(members.get(2, b""))))
    return Object(pairs)


def all_of(message, number):
    return [v for n, v in fields(message) if n == number]


def last_of(message, number, absent):
    found = all_of(message, number)
    return found[-1] if found else absent


def event_json(message):
    pairs = [("time", str(last_of(message, 1, 0))), ("name", text(last_of(message, 2, b""))),
             ("attributes", attributes_json(all_of(message, 3)))]
    return Object(pairs + present([("dropped_attributes", last_of(message, 4, 0))]))


def link_json(message):
    pairs = [("trace_id", last_of(message, 1, b"").hex()), ("span_id", last_of(message, 2, b"").hex()),
             ("attributes", attributes_json(all_of(message, 4)))]
    return Object(pairs + present([("trace_state", text(last_of(message, 3, b""))), ("flags", last_of(message, 6, 0)),
                                   ("dropped_attributes", last_of(message, 5, 0))]))


def present(pairs):
    return [(k, v) for k, v in pairs if v]


# --- columns


def numbers(r, count):
    form = r.u8()
    w, e, t = form & 15, form >> 4 & 3, form >> 6
    need(w <= 11 and t <= 1, "form of numbers")
    if t:
        need(e == 0 and w in (1, 9, 10, 11), "form of a table of numbers")
        table = [r.u64() for _ in range(r.u8() + 1)]
    else:
        base = r.varint()
    if w == 0:
        codes = [0] * count
    elif w <= 8:
        planes = [r.take(count) for _ in range(w)]
        codes = [sum(plane[i] << 8 * n for n, plane in enumerate(planes)) for i in range(count)]
    else:
        bits = {9: 1, 10: 2, 11: 4}[w]
        each = 8 // bits
        packed = r.take((count + each - 1) // each)
        codes = [packed[i // each] >> i % each * bits & (1 << bits) - 1 for i in range(count)]
        need(all(packed[i // each] >> i % each * bits & (1 << bits) - 1 == 0 for i in range(count, len(packed) * each)), "bits left over")
    return [table[c] for c in codes] if t else [(base + c * 1000**e) % 2**64 for c in codes]


def texts(r, count):
    return [r.take(n) for n in numbers(r, count)]


def values(r):
    n = r.varint()
    need(n >= 1, "no values")
    out = texts(r, n)
    need(len(set(out)) == n, "equal values")
    return out


def ids(r, count, values_count):
    form = r.u8()
    need(form in (0, 1), "form of ids")
    out, seen = numbers(r, count), 0
    for i, code in enumerate(out if form else ()):
        need(code <= seen, "an id of what did not occur")
        out[i] = seen - code if code else seen
        seen += code == 0
    need(all(v < values_count for v in out), "an id of no value")
    return out


class Parts:
    """The parts of a span block, taken in the order of its head."""

    def __init__(self, stored):
        self.stored, self.pos = stored, 0

    def take(self, place):
        encoding, stored_bytes, raw_bytes, check = place
        body = self.stored[self.pos:self.pos + stored_bytes]
        self.pos += stored_bytes
        need(len(body) == stored_bytes and check == xxhash.xxh3_64_intdigest(body), "checksum of a part")
        need(encoding in (0, 1), "encoding of a part")
        raw = body if encoding == 0 else pieces(body)
        need(len(raw) == raw_bytes, "raw bytes of a part")
        return Reader(raw)


def pieces(body):
    r, out = Reader(body), []
    while r.pos < len(body):
        n = r.varint()
        out.append(unpack(1, r.bytes(), n >> 1) if n & 1 else r.take(n >> 1))
    return b"".join(out)


def whole(r, read, *args):
    out = read(r, *args)
    r.end("a part")
    return out


def read_place(r):
    return r.u8(), r.varint(), r.varint(), r.u64()


def dictionary(parts, places, count):
    """Two parts: the value of each row."""
    of = whole(parts.take(places[0]), values)
    return [of[i] for i in whole(parts.take(places[1]), ids, count, len(of))]


def read_attribute(parts, key, kind, count, places):
    if kind == NONE:
        column = [None] * count
    elif kind in (BOOL, INT, DOUBLE):
        column = whole(parts.take(places[0]), numbers, count)
    else:
        column = dictionary(parts, places, count)
    return text(key), kind, iter(column), count


def read_head(stored):
    r = Reader(stored)
    size = r.u32()
    h = Reader(unpack(1, stored[4:], size))
    spans, traces = h.varint(), h.varint()
    need(1 <= spans <= 16384 and 1 <= traces <= spans, "spans of a block")
    places = [read_place(h) for _ in range(PARTS)]
    attributes = []
    for _ in range(h.varint()):
        key, kind, count = h.bytes(), h.u8(), h.varint()
        need(kind <= BYTES and 1 <= count <= 16777216, "attribute")
        n = 0 if kind == NONE else 1 if kind in (BOOL, INT, DOUBLE) else 2
        attributes.append((key, kind, count, [read_place(h) for _ in range(n)]))
    h.end("head")
    order = [(a[0], a[1]) for a in attributes]
    need(order == sorted(set(order)), "order of attributes")
    return spans, traces, places, attributes


def starts_of(r, rows, trace_firsts):
    first, steps, out = r.u64(), numbers(r, rows), []
    need(steps[0] == 0, "first start")
    for i, step in enumerate(steps):
        if i == 0:
            trace_first = first
            out.append(first)
        elif i in trace_firsts:
            trace_first = (trace_first + step) % 2**64
            out.append(trace_first)
        else:
            out.append((out[-1] + step) % 2**64)
    return out


def parents_of(codes, far, rows, span_ids):
    far, out = iter([far[i:i + 8] for i in range(0, len(far), 8)]), []
    for row, code in enumerate(codes):
        if code < 2:
            out.append(next(far) if code else b"")
        else:
            z = code - 2
            parent = row - (z >> 1 ^ -(z & 1))
            need(0 <= parent < rows, "row of a parent")
            out.append(span_ids[parent])
    return out


def read_block(stored, head_bytes):
    """The block's spans as dicts of columns' values, in rows, and how many traces it has."""
    rows, traces, p, attributes = read_head(stored[:head_bytes])
    parts = Parts(stored[head_bytes:])
    col = {}
    col["status"] = whole(parts.take(p[0]), numbers, rows)
    col["duration"] = whole(parts.take(p[1]), numbers, rows)
    col["kind"] = whole(parts.take(p[2]), numbers, rows)
    sizes = whole(parts.take(p[3]), numbers, traces)
    need(sum(sizes) == rows and all(sizes), "spans of traces")
    trace_of = [t for t, size in enumerate(sizes) for _ in range(size)]
    firsts = {sum(sizes[:t]) for t in range(traces)}
    col["start"] = whole(parts.take(p[4]), starts_of, rows, firsts)
    for name, at in (("name", 5), ("resource", 7), ("shape", 9)):
        col[name] = dictionary(parts, p[at:at + 2], rows)
    trace_ids = whole(parts.take(p[11]), lambda r: [r.take(16) for _ in range(traces)])
    need(len(set(trace_ids)) == traces, "a trace twice in a block")
    col["trace"] = [trace_ids[t] for t in trace_of]
    col["id"] = whole(parts.take(p[12]), lambda r: [r.take(8) for _ in range(rows)])
    parents = whole(parts.take(p[13]), numbers, rows)
    far = whole(parts.take(p[14]), lambda r: r.take(8 * parents.count(1)))
    col["parent"] = parents_of(parents, far, rows, col["id"])
    for name, at in (("scope", 15), ("message", 17), ("state", 19)):
        col[name] = dictionary(parts, p[at:at + 2], rows)
    col["events"] = whole(parts.take(p[21]), texts, rows)
    col["links"] = whole(parts.take(p[22]), texts, rows)
    rest = whole(parts.take(p[23]), lambda r: [numbers(r, rows) for _ in range(4)])
    col["flags"], col["dropped_attributes"], col["dropped_events"], col["dropped_links"] = rest
    columns = [read_attribute(parts, *a) for a in attributes]
    need(parts.pos == len(parts.stored), "bytes behind the parts")
    spans = [{name: column[i] for name, column in col.items()} for i in range(rows)]
    give_attributes(spans, columns)
    check_order(spans, firsts)
    return spans, traces


def give_attributes(spans, columns):
    used = [0] * len(columns)
    for span in spans:
        shape, pairs = Reader(span["shape"]), []
        while shape.pos < len(shape.data):
            at = shape.varint()
            key, kind, column, _ = columns[at]
            used[at] += 1
            need(used[at] <= columns[at][3], "an attribute has too few values")
            pairs.append((key, value_json(kind, next(column))))
        span["attributes"] = Object(pairs)
    need(used == [c[3] for c in columns], "an attribute has too many values")


def check_order(spans, firsts):
    previous_first = 0
    for i, span in enumerate(spans):
        if i in firsts:
            need(span["start"] >= previous_first, "order of traces")
            previous_first = span["start"]
        else:
            need(span["start"] >= spans[i - 1]["start"], "order of a trace's spans")


def span_json(tenant, s):
    resource, scope = s["resource"], s["scope"]
    who, what = last_of(resource, 1, b""), last_of(scope, 1, b"")
    of_resource = attributes_json(all_of(who, 1))
    service = next((v for k, v in of_resource.pairs if k == "service.name" and isinstance(v, str)), "")
    pairs = [("tenant", text(tenant)), ("kind", "span"), ("trace_id", s["trace"].hex()), ("span_id", s["id"].hex())]
    pairs += present([("parent_id", s["parent"].hex())])
    pairs += [("service", service), ("name", text(s["name"])),
              ("span_kind", KINDS[s["kind"]] if s["kind"] < len(KINDS) else "unknown"),
              ("status", STATUSES[s["status"]] if s["status"] < len(STATUSES) else "unknown"),
              ("start", str(s["start"])), ("end", str((s["start"] + s["duration"]) % 2**64))]
    pairs += present([("status_message", text(s["message"])), ("trace_state", text(s["state"]))])
    pairs += present([(k, s[k]) for k in ("flags", "dropped_attributes", "dropped_events", "dropped_links")])
    pairs += [("attributes", s["attributes"]), ("resource", of_resource)]
    pairs += present([("resource_schema_url", text(last_of(resource, 3, b"")))])
    pairs += [("scope", Object([("name", text(last_of(what, 1, b""))), ("version", text(last_of(what, 2, b""))),
                                ("attributes", attributes_json(all_of(what, 3)))] +
                               present([("schema_url", text(last_of(scope, 3, b"")))])))]
    pairs += present([("events", [event_json(e) for e in all_of(s["events"], 11)]),
                      ("links", [link_json(e) for e in all_of(s["links"], 13)])])
    return to_json(Object(pairs))


# --- the table and the references


def read_references(r, data, pos, each, per_page):
    """All references of a tenant, and where the pages end."""
    count, out = r.varint(), []
    for page in range((count + per_page - 1) // per_page):
        first, check = r.u64(), r.u64()
        n = min(per_page, count - len(out))
        last = len(out) + n == count
        stored = data[pos:pos + (n * each if last else PAGE_BYTES)]
        pos += len(stored)
        need(check == xxhash.xxh3_64_intdigest(stored), "checksum of a page of references")
        need(not any(stored[n * each:]), "bytes behind the references of a page")
        refs = [struct.unpack("<QI" if each == 12 else "<QII", stored[i * each:i * each + each]) for i in range(n)]
        need(refs[0][0] == first, "first hash of a page")
        out += refs
    need(out == sorted(set(out)), "order of references")
    return out, pos


def mask_of(numbers_seen, known):
    mask = 0
    for n in numbers_seen:
        mask |= 1 << (n if n < known else 31)
    return mask


def check_place(place, spans, traces):
    starts = [min(s["start"], TIME_MAX) for s in spans]
    ends = [min((s["start"] + s["duration"]) % 2**64, TIME_MAX) for s in spans]
    lengths = [0 if (s["start"] + s["duration"]) % 2**64 < s["start"] else s["duration"] for s in spans]
    need(place == (len(spans), traces, min(starts), max(starts), max(ends), min(lengths), max(lengths),
                   mask_of((s["status"] for s in spans), len(STATUSES)), mask_of((s["kind"] for s in spans), len(KINDS))),
         "what the span table says of a block")


def print_spans(data, sections, put):
    """Puts each span as a line of JSON. Per tenant: its streams' fingerprints, and the references of its entries; None without a table."""
    if 5 not in sections:
        need(4 not in sections and 6 not in sections, "spans without a span table")
        return None
    tenants = {}
    r = Reader(sections[5][2])
    pos, blocks_stored = sections[4][:2] if 4 in sections else (0, 0)
    end = pos + blocks_stored
    refs_pos, refs_stored = sections[6][:2] if 6 in sections else (0, 0)
    refs_end = refs_pos + refs_stored
    names = []
    for _ in range(r.varint()):
        tenant = r.bytes()
        names.append(tenant)
        expected = set()
        for number in range(r.varint()):
            need(r.varint() == pos, "a gap between span blocks")
            head_bytes, all_bytes, check = r.varint(), r.varint(), r.u64()
            place = (r.varint(), r.varint(), r.i64(), r.i64(), r.i64(), r.varint(), r.varint(), r.varint(), r.varint())
            stored = data[pos:pos + all_bytes]
            need(check == xxhash.xxh3_64_intdigest(stored[:head_bytes]), "checksum of a head")
            spans, traces = read_block(stored, head_bytes)
            check_place(place, spans, traces)
            for s in spans:
                put(span_json(tenant, s))
                expected.add((xxhash.xxh3_64_intdigest(s["trace"]), number))
            pos += all_bytes
        streams = [(r.u64() << 64) + r.u64() for _ in range(r.varint())]
        need(len(set(streams)) == len(streams), "a stream twice")
        of_spans, refs_pos = read_references(r, data, refs_pos, 12, 341)
        need(of_spans == sorted(expected), "references of spans")
        of_entries, refs_pos = read_references(r, data, refs_pos, 16, 256)
        tenants[tenant] = (streams, of_entries)
    r.end("span table")
    need(names == sorted(set(names)), "tenants of the span table")
    need(pos == end and refs_pos == refs_end, "bytes behind span blocks or references")
    return tenants


def check_entry_traces(tenants, traced):
    """References of entries are those that the entries' metadata makes, and no others; early segments have no table of them."""
    if tenants is None:
        return
    for tenant in set(tenants) | set(traced):
        streams, refs = tenants.get(tenant, ([], []))
        numbers_of = {fingerprint: n for n, fingerprint in enumerate(streams)}
        expected = set()
        for fingerprint, block, pairs in traced.get(tenant, ()):
            digits = dict(pairs).get(b"trace_id", b"")
            if not re.fullmatch(rb"[0-9a-fA-F]{1,32}", digits) or not digits.strip(b"0"):
                continue
            need(fingerprint in numbers_of, "a stream with traces is not in the span table")
            trace_id = bytes.fromhex(digits.decode().rjust(32, "0"))
            expected.add((xxhash.xxh3_64_intdigest(trace_id), numbers_of[fingerprint], block))
        need(refs == sorted(expected), "references of entries")
