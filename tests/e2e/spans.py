"""
spans.py -- spans for tests: made as dicts in OpenTelemetry's JSON, sent to a server, answers decoded by protobufjs.

    shop = Trace("00112233445566778899aabbccddeeff")
    root = shop.span("frontend", "GET /cart", start_ns, 120, kind=SERVER, attributes={"http.status_code": 200})
    shop.span("cart", "load", start_ns + 1, 50, parent=root)
    push(server, [shop])
"""
import base64
import gzip
import json
import os
import subprocess

from lib import ROOT

INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = 1, 2, 3, 4, 5
OK, ERROR = 1, 2
MS = 10**6
CLIENTS = os.path.join(ROOT, "tests", "clients")


def value(v):
    if isinstance(v, bool):
        return {"boolValue": v}
    if isinstance(v, int):
        return {"intValue": str(v)}
    if isinstance(v, float):
        return {"doubleValue": v}
    if isinstance(v, list):
        return {"arrayValue": {"values": [value(e) for e in v]}}
    return {"stringValue": v}


def pairs(attributes):
    return [{"key": k, "value": value(v)} for k, v in (attributes or {}).items()]


class Trace:
    """Spans of one trace, by service. Span IDs count from 1 unless given."""

    def __init__(self, trace_id, resources=None):
        self.id = trace_id
        self.resources = resources or {}  # service: further attributes
        self.spans = {}
        self.count = 0

    def span(self, service, name, start_ns, ms, parent="", kind=INTERNAL, status=0, message="", attributes=None, events=(), links=(), span_id=None):
        self.count += 1
        span_id = span_id or "%016x" % self.count
        span = {"traceId": self.id, "spanId": span_id, "parentSpanId": parent, "name": name, "kind": kind, "startTimeUnixNano": str(start_ns),
                "endTimeUnixNano": str(start_ns + int(ms * MS)), "attributes": pairs(attributes), "status": {"code": status, "message": message}}
        if events:
            span["events"] = [{"timeUnixNano": str(t), "name": n, "attributes": pairs(a)} for t, n, a in events]
        if links:
            span["links"] = [{"traceId": t, "spanId": s, "attributes": pairs(a)} for t, s, a in links]
        self.spans.setdefault(service, []).append(span)
        return span_id

    def resource_spans(self):
        return [{"resource": {"attributes": pairs({"service.name": service, **self.resources.get(service, {})} if service else {})},
                 "scopeSpans": [{"scope": {"name": "lib", "version": "1.2"}, "spans": spans}]} for service, spans in self.spans.items()]


def push(server, traces, tenant=None):
    """Sends all spans in one request; the answer."""
    body = json.dumps({"resourceSpans": [r for t in traces for r in t.resource_spans()]}).encode()
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    if tenant is not None:
        headers["X-Scope-OrgID"] = tenant
    return server.post("/v1/traces", gzip.compress(body), headers)


def decode(message, bodies):
    """Protobuf answers as protobufjs reads them."""
    lines = "".join("%s %s\n" % (message, base64.b64encode(b).decode()) for b in bodies)
    out = subprocess.run(["node", "decode.js", "tempo.proto"], input=lines.encode(), stdout=subprocess.PIPE, cwd=CLIENTS, timeout=120, check=True)
    return [json.loads(line) for line in out.stdout.splitlines()]


def spans_of(answer):
    """{span ID in hex: (resource attributes, span)} of a trace in the JSON dialect of the query API."""
    trace, out = answer.get("trace", answer), {}
    for rs in trace.get("resourceSpans") or trace.get("batches") or []:
        attributes = {a["key"]: a["value"] for a in rs["resource"].get("attributes", [])}
        for ss in rs["scopeSpans"]:
            for s in ss["spans"]:
                out[base64.b64decode(s["spanId"]).hex()] = (attributes, s)
    return out
