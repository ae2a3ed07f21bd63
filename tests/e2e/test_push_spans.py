#!/usr/bin/env python3
"""Span pushes over HTTP: routes, what is refused before a push is looked at, counters that balance, clients' recorded requests. Speaks TAP."""
import gzip
import json
import os
import socket
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import ROOT, Server, Tap  # noqa: E402

JSON = {"Content-Type": "application/json"}
PROTO = {"Content-Type": "application/x-protobuf"}
THRIFT = {"Content-Type": "application/x-thrift"}
BODY_BYTES_MAX = 100 * 2**20
OTLP = ("/v1/traces", "/otlp/v1/traces")
OTHERS = {"/api/v2/spans": JSON, "/api/v1/spans": JSON, "/api/traces": THRIFT}
JAEGER = bytes.fromhex("0f00020c00000001" "0a00010000000000000007" "0a00030000000000000009" "00" "00")


def request(*ids):
    spans = [{"traceId": t, "spanId": s, "name": "op"} for t, s in ids]
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]})


def counters(server):
    """pushed = stored + rejected + deduplicated, and the four."""
    m = server.metrics()
    rejected = sum(v for k, v in m.items() if k.startswith("mstore_spans_rejected_total"))
    pushed, stored, double = (m["mstore_spans_%s_total" % x] for x in ("pushed", "stored", "deduplicated"))
    return pushed == stored + rejected + double, (pushed, stored, rejected, double)


def test_routes(tap, server):
    good = request(("%032x" % 1, "%016x" % 1))
    for path in OTLP:
        answer = server.post(path, good, JSON)
        tap.equal((answer.status, answer.headers["content-type"], answer.body), (200, "application/json", b"{}"), path + " takes JSON")
        answer = server.post(path, b"", PROTO)
        tap.equal((answer.status, answer.headers["content-type"], answer.body), (200, "application/x-protobuf", b""), path + " takes protobuf")
        answer = server.get(path)
        tap.equal((answer.status, answer.text), (405, "405 method not allowed, supported: [POST]"), path + " takes POST alone")
    tap.equal(server.post("/v1/traces/", good, JSON).status, 404, "another path")
    tap.equal(server.post("/api/v2/spans", "[]", {}).status, 202, "Zipkin needs no type")
    tap.equal(server.post("/api/v1/spans", "[]", JSON).status, 202, "its first version")
    tap.equal(server.post("/api/traces?format=jaeger.thrift", JAEGER, THRIFT).status, 202, "Jaeger's query string says nothing")
    tap.equal(server.post("/v1/traces", gzip.compress(good.encode()), dict(JSON, **{"Content-Encoding": "gzip"})).status, 200, "gzip")
    answer = server.post("/v1/traces", request(("%032x" % 1, "%016x" % 1), ("", "")), JSON)
    tap.equal((answer.status, answer.json()), (200, {"partialSuccess": {"rejectedSpans": "1", "errorMessage":
              "trace ids must be 128 bit, received 0 bits"}}), "a rejected span is told")
    tap.equal(counters(server), (True, (6, 2, 1, 3)), "the counters balance")


def test_tenants(tap, server):
    for path in OTLP:
        answer = server.post(path, "{}", JSON)
        tap.equal((answer.status, answer.json()), (401, {"code": 16, "message": "no org id"}), path + ": no tenant")
        answer = server.post(path, "", PROTO)
        tap.equal((answer.status, answer.body), (401, b"\x08\x10\x12\x09no org id"), path + ": in protobuf")
    for path, headers in OTHERS.items():
        answer = server.post(path, "[]", headers)
        tap.equal((answer.status, answer.text), (401, "no org id\n"), path + ": no tenant")
    for tenant, text in (("a b", "tenant ID 'a b' contains unsupported character ' '"), ("x" * 151, "tenant ID is too long: max 150 characters"),
                         ("..", "tenant ID is '.' or '..'"), ("a|b", "multiple org IDs present")):
        answer = server.post("/v1/traces", "{}", dict(JSON, **{"X-Scope-OrgID": tenant}))
        tap.equal((answer.status, answer.json()), (400, {"code": 3, "message": text}), "tenant " + tenant[:10])
    tap.equal(server.post("/v1/traces", "{}", dict(JSON, **{"X-Scope-OrgID": "a"})).status, 200, "a tenant")


def test_too_large(tap, server):
    with socket.create_connection(("127.0.0.1", server.port), 30) as s:
        s.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (BODY_BYTES_MAX + 1))
        got = s.recv(65536)
    tap.ok(got.startswith(b"HTTP/1.1 413 ") and b'{"code":3,"message":"request body too large' in got, "too large by its length", got)


def test_captures(tap, server):
    run = subprocess.run([sys.executable, os.path.join(ROOT, "tests", "conformance", "replay_captures.py"), server.url, "--api", "otlp",
                          "--api", "zipkin", "--api", "jaeger"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = run.stdout.decode("utf-8", "replace")
    tap.ok(run.returncode == 0 and " passed, 0 failed" in text, "what clients sent is taken: " + text.strip().rsplit("\n", 1)[-1], text[-3000:])
    balanced, counts = counters(server)
    tap.ok(balanced and counts[1] > 1000, "the counters balance", counts)


def main():
    tap = Tap()
    with Server(["--retention", "0"]) as server:
        test_routes(tap, server)
        test_too_large(tap, server)
    with Server(["--require-tenant"]) as server:
        test_tenants(tap, server)
    with Server(["--retention", "0"]) as server:
        test_captures(tap, server)
    tap.done()


main()
