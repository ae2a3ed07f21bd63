"""make_spans.py -- numbered spans of every shape as OTLP JSON, the same for the same seed; for tests of what is stored."""
import random

BASE_NS = 1_790_000_000 * 10**9


def value(chance, depth=0):
    """An AnyValue of any kind."""
    kind = chance.randrange(8 if depth < 3 else 6)
    if kind == 0:
        return {"stringValue": chance.choice(["", "GET", "käse \"zitiert\"\n", "x" * 400, "id-%d" % chance.randrange(10**9)])}
    if kind == 1:
        return {"boolValue": chance.random() < 0.5}
    if kind == 2:
        return {"intValue": str(chance.choice([0, 1, -1, 200, 2**63 - 1, -2**63, chance.randrange(10**12)]))}
    if kind == 3:
        return {"doubleValue": chance.choice([0.25, -1.5, 1e300, 5e-324, 3.0, chance.random(), "NaN", "Infinity", "-Infinity"])}
    if kind == 4:
        return {"bytesValue": chance.choice(["", "AAEC/w==", "bXN0b3Jl"])}
    if kind == 5:
        return {}
    if kind == 6:
        return {"arrayValue": {"values": [value(chance, depth + 1) for _ in range(chance.randrange(4))]}}
    return {"kvlistValue": {"values": attributes(chance, chance.randrange(4), depth + 1)}}


def attributes(chance, count, depth=0):
    return [{"key": chance.choice(["http.method", "code", "k%d" % chance.randrange(12), "größe"]), "value": value(chance, depth)}
            for _ in range(count)]


def span(chance, trace, number, parent):
    start = BASE_NS + trace * 10**7 + number * 1000 + chance.randrange(500)
    end = start + chance.choice([0, 17, 1000, 10**6, 10**9, -5])
    out = {"traceId": "%032x" % (trace * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128), "spanId": "%016x" % (trace << 20 | number + 1),
           "name": chance.choice(["GET /", "SELECT", "span %d" % number]), "kind": chance.randrange(6),
           "startTimeUnixNano": str(start), "endTimeUnixNano": str(end), "attributes": attributes(chance, chance.randrange(6))}
    if parent is not None:
        out["parentSpanId"] = "%016x" % (trace << 20 | parent + 1)
    if chance.random() < 0.3:
        out["status"] = {"code": chance.randrange(3), "message": chance.choice(["", "refused", "no such host"])}
    if chance.random() < 0.1:
        out.update(traceState="vendor=%d" % chance.randrange(5), flags=chance.choice([1, 256, 769]),
                   droppedAttributesCount=chance.randrange(3), droppedEventsCount=chance.randrange(3), droppedLinksCount=1)
    if chance.random() < 0.2:
        out["events"] = [{"timeUnixNano": str(start + n), "name": "event %d" % n, "attributes": attributes(chance, n),
                          "droppedAttributesCount": n} for n in range(chance.randrange(1, 3))]
    if chance.random() < 0.1:
        out["links"] = [{"traceId": "%032x" % chance.randrange(1, 2**128), "spanId": "%016x" % chance.randrange(1, 2**64),
                         "attributes": attributes(chance, 1), "traceState": chance.choice(["", "a=b"]), "flags": 1}]
    return out


def request(seed, traces, first_trace=1):
    """A whole export of so many traces, of several resources and scopes each."""
    chance, resources = random.Random(seed), {}
    for trace in range(first_trace, first_trace + traces):
        for number in range(chance.randrange(1, 25)):
            # Parents: none, a span that comes before or after, or one that is nowhere.
            parent = chance.choice([None, chance.randrange(0, number + 1), chance.randrange(0, 30), 10**6]) if number else None
            where = chance.randrange(4), chance.randrange(3)
            resources.setdefault(where[0], {}).setdefault(where[1], []).append(span(chance, trace, number, parent))
    return {"resourceSpans": [
        {"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "service-%d" % r}}] * (r > 0) + attributes(chance, r),
                      "droppedAttributesCount": r},
         "schemaUrl": "https://example.org/schema/%d" % r if r > 1 else "",
         "scopeSpans": [{"scope": {"name": "lib-%d" % s, "version": "1.%d" % s, "attributes": attributes(chance, s)},
                         "schemaUrl": "https://example.org/scope" if s == 2 else "", "spans": spans}
                        for s, spans in scopes.items()]}
        for r, scopes in resources.items()]}


def count(body):
    return sum(len(s["spans"]) for r in body["resourceSpans"] for s in r["scopeSpans"])
