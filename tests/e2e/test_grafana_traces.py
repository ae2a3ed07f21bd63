#!/usr/bin/python3
"""What Grafana's Tempo data source and Traces Drilldown send, by feature (grafana/traces.json), each field that they read checked;
protobuf answers as protobufjs reads them."""
import base64
import json
import os
import time

import spans
from fields import at, fits
from lib import Server, Tap

S = 10**9
FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "grafana")
TRACES = 12


def shop(n, start):
    """A request through three services, one of which says nothing of itself; every third fails."""
    fails, trace = n % 3 == 0, spans.Trace("%032x" % (0xc0ffee0000 + n), {"frontend": {"host.name": "h1"}, "cart": {"host.name": "h2"}})
    root = trace.span("frontend", "GET /cart" if n % 2 == 0 else "POST /cart", start, 120, kind=spans.SERVER, status=spans.ERROR if fails else 0,
                      message="card declined" if fails else "",
                      attributes={"http.method": "GET" if n % 2 == 0 else "POST", "http.status_code": 500 if fails else 200})
    call = trace.span("cart", "load", start + 10 * spans.MS, 80, root, kind=spans.SERVER, status=spans.ERROR if fails else 0, attributes={"cached": n % 2 == 0},
                      events=[(start + 20 * spans.MS, "exception", {"exception.message": "card declined", "exception.type": "Declined"})] if fails else (),
                      links=[("%032x" % 0xabcdef, "%016x" % 1, {"why": "retry"})])
    trace.span("", "SELECT", start + 15 * spans.MS, 20, call, kind=spans.CLIENT, attributes={"db.system": "postgresql", "db.name": "shop"})
    trace.span("cart", "render", start + 40 * spans.MS, 5, call)
    # Spans of "" are put last by Trace; Grafana sees them under a name of their own.
    trace.spans = {k: trace.spans[k] for k in ("frontend", "cart", "")}
    return trace


def special(answer, name, want):
    if name == "$tagValues":
        values = answer.get("tagValues", [])
        return sorted(values, key=str) == sorted(want, key=str)
    messages = {at(span, "attributes.@exception/message.stringValue") for t in answer.get("traces", []) for s in t["spanSets"] for span in s["spans"]}
    return messages - {...} == set(want)


def main():
    tap = Tap()
    with open(os.path.join(FOLDER, "traces.json")) as f:
        requests = json.load(f)
    now = time.time_ns() // S
    with Server() as server:
        traces = [shop(n, (now - 600 + n * 20) * S) for n in range(TRACES)]
        answer = spans.push(server, traces)
        tap.equal(answer.status, 200, "spans are pushed")
        wanted = traces[6].id
        names = {"$from": str(now - 900), "$to": str(now + 300), "$trace": wanted, "$other": "%032x" % 0xabcdef, "$spans": 4 * TRACES,
                 "$trace64": base64.b64encode(bytes.fromhex(wanted)).decode()}
        for state in ("memory", "segments"):
            for r in requests:
                params = {k: names.get(v, v) for k, v in r["params"].items()}
                got = server.get(r["path"].replace("$trace", wanted), params, dict(r["headers"], **{"Accept-Encoding": "identity"}))
                what = "%s, from %s" % (r["feature"], state)
                kind = got.headers.get("content-type", "")
                if not tap.ok(got.status == r.get("status", 200) and "html" not in kind, what, "%d %s" % (got.status, got.text[:300])) or not r["checks"]:
                    continue
                if "decode" in r:
                    tap.equal(kind, "application/protobuf", what + ": protobuf")
                    body = spans.decode(r["decode"], [got.body])[0]
                else:
                    body = got.json()
                wrong = {p: at(body, p) for p, want in r["checks"].items()
                         if not (special(body, p, want) if p.startswith("$") else fits(at(body, p), want, names))}
                tap.ok(not wrong, what + ": every field", "%s %s" % (wrong, json.dumps(body)[:900]))
            server.post("/flush")
    tap.done()


main()
