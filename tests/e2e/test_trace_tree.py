#!/usr/bin/env python3
"""A trace with its log entries: which entries belong to it, and both sides of each bound. Speaks TAP."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import spans  # noqa: E402
from lib import Server, Tap  # noqa: E402

S = 10**9
HOUR = 3600 * S
NOW = time.time_ns() // S * S - 6 * HOUR


def tree(server, trace_id, **params):
    return server.get("/mstore/api/v1/trace/" + trace_id, params).json()


def lines_of(answer):
    return sorted(e["line"].split("#")[1] for s in answer["services"] for e in s["logs"] + [e for span in s["spans"] for e in span["logs"]])


def belonging(tap, server):
    trace = spans.Trace("%032x" % 0xabc0)
    root = trace.span("shop", "op", NOW, 1000)
    trace.span("cart", "op", NOW + 1, 10, root)
    other = "%032x" % 0xabc1
    spans.push(server, [trace])

    def line(n, text):
        return "%s #%s" % (text, n)
    t, end = trace.id, NOW + S
    server.push([
        ({"app": "shop"}, [(NOW + 1, line("json", json.dumps({"trace_id": t}))), (NOW + 2, line("logfmt", "level=info traceID=%s x=1" % t)),
                           (NOW + 3, line("parent", '"traceparent":"00-%s-0000000000000001-01"' % t)), (NOW + 4, line("no-key", "about " + t)),
                           (NOW + 5, line("other", "trace_id=" + other)), (NOW + 6, line("metadata", "x"), {"trace_id": t}),
                           (NOW + 7, line("both", "trace_id=" + t), {"trace_id": t}), (NOW + 8, line("upper", "y"), {"trace_id": t.upper()}),
                           (NOW - 5 * S, line("early", "trace_id=" + t)), (NOW - 5 * S - 1, line("too-early", "trace_id=" + t)),
                           (end + 5 * S - 1, line("late", "trace_id=" + t)), (end + 5 * S, line("too-late", "trace_id=" + t)),
                           (end + 3 * HOUR, line("metadata-late", "z"), {"trace_id": t}), (NOW + 9, line("span", "trace_id=%s span_id=%s" % (t, root)))]),
        ({"app": "elsewhere"}, [(NOW + 1, line("elsewhere", "trace_id=" + t)), (NOW + 2, line("elsewhere-metadata", "x"), {"trace_id": t})]),
        ({"app": "stranger"}, [(NOW + 1, line("stranger", "trace_id=" + t))])])
    server.push([({"app": "shop"}, [(NOW + 1, line("tenant", "trace_id=" + t), {"trace_id": t})])], tenant="another")
    for state in ("memory", "segments"):
        got = tree(server, t)
        # The hours between the span and the last entry that carries the ID are more than are looked at: that much is said.
        tap.equal(lines_of(got), sorted(["json", "logfmt", "parent", "metadata", "both", "upper", "early", "late", "too-late", "metadata-late", "span", "elsewhere", "elsewhere-metadata"]),
                  "the entries of a trace, each once, from " + state)
        tap.equal(got["warnings"], ["lines of the first hour alone were looked at"], "and what was not looked at")
        by_name = {s["name"]: s for s in got["services"]}
        tap.equal([e["line"].split("#")[1] for e in by_name["shop"]["spans"][0]["logs"]], ["span"], "one of them below its span")
        tap.equal((by_name["shop"]["spans"][0]["spanID"], len(by_name["cart"]["spans"]), by_name["elsewhere"]["spans"]), (root, 1, []), "services with and without spans")
        server.post("/flush")
    short = spans.Trace("%032x" % 0xabc2)
    short.span("shop", "op", NOW, 1000)
    spans.push(server, [short])
    server.push([({"app": "shop"}, [(NOW + at, line(name, "trace_id=" + short.id)) for name, at in
                                    (("early", -5 * S), ("too-early", -5 * S - 1), ("late", 6 * S - 1), ("too-late", 6 * S))])])
    tap.equal(lines_of(tree(server, short.id)), ["early", "late"], "five seconds before and after, and no more")
    tap.equal(server.get("/mstore/api/v1/trace/" + other).status, 404, "a line alone makes no trace")
    alone = "%032x" % 0xabc3
    server.push([({"app": "shop"}, [(NOW, "#1", {"trace_id": alone}), (NOW + 1, "trace_id=%s #2" % alone)])])
    got = tree(server, alone)
    tap.equal((got["spanCount"], lines_of(got)), (0, ["1", "2"]), "entries do, and lead to their service's lines")


def bounds(tap, server):
    for count in (64, 65):
        trace = spans.Trace("%032x" % (0xdd00 + count))
        streams = []
        for n in range(count):
            trace.span("svc%02d" % n, "op", NOW + n, 1)
            streams.append(({"app": "svc%02d" % n}, [(NOW + n, "trace_id=%s #%d" % (trace.id, n))]))
        spans.push(server, [trace])
        server.push(streams)
        got = tree(server, trace.id)
        tap.equal((got["logCount"], got.get("warnings")), (64, None if count == 64 else ["lines of the first 64 services alone were looked at"]), "lines of %d services" % count)
    for more in (0, 1):
        trace = spans.Trace("%032x" % (0xee00 + more))
        trace.spans["long"] = []
        trace.span("long", "op", NOW, 1)
        trace.spans["long"][0]["endTimeUnixNano"] = str(NOW + HOUR + more)
        spans.push(server, [trace])
        server.push([({"app": "long"}, [(NOW + HOUR - 1, "trace_id=%s #in" % trace.id), (NOW + HOUR + 6 * S, "trace_id=%s #out" % trace.id)])])
        got = tree(server, trace.id)
        tap.equal((lines_of(got), got.get("warnings")), (["in"], ["lines of the first hour alone were looked at"] if more else None), "an hour and %d ns" % more)
    trace = spans.Trace("%032x" % 0xff00)
    trace.span("many", "op", NOW, 1)
    spans.push(server, [trace])
    server.push([({"app": "many"}, [(NOW + n, "line #%d" % n, {"trace_id": trace.id}) for n in range(12)])])
    for limit, count, warnings in ((12, 12, None), (11, 11, ["of the log entries the first 11 are here (limit)"])):
        got = tree(server, trace.id, limit=limit)
        tap.equal((got["logCount"], got.get("warnings")), (count, warnings), "a limit of %d" % limit)
    tap.equal(sorted(int(n) for n in lines_of(tree(server, trace.id, limit=3))), [0, 1, 2], "the earliest are kept")


def main():
    tap = Tap()
    with Server(["--retention", "0"]) as server:
        belonging(tap, server)
        bounds(tap, server)
    tap.done()


main()
