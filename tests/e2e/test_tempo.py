#!/usr/bin/env python3
"""The trace endpoints as their clients use them: forms, refusals and their words, tenants, limits, ranges. Speaks TAP."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import spans  # noqa: E402
from lib import Server, Tap  # noqa: E402

S = 10**9
CART = "00112233445566778899aabbccddeeff"
CART_JSON = {"resourceSpans": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "cart"}}]}, "scopeSpans": [
    {"scope": {"name": "lib"}, "spans": [{"traceId": CART.upper(), "spanId": "0102030405060708", "name": "GET /x", "kind": 2, "startTimeUnixNano": "1700000000000000000",
     "endTimeUnixNano": "1700000000250000000", "attributes": [{"key": "http.status_code", "value": {"intValue": "200"}}], "status": {"code": 2}}]}]}]}
CART_BYTES = bytes.fromhex("0a7a0a180a160a0c736572766963652e6e616d6512060a0463617274125e0a050a036c696212550a10" + CART +
                           "120801020304050607082a06474554202f7830023900002a36fe9c97174180b21045fe9c97174a170a10687474702e7374617475735f636f6465120318c8017a021802")
BARE_BYTES = bytes.fromhex("0a10" + CART + "120801020304050607082a01613900002a36fe9c97174180b21045fe9c97177a00")
PROTOBUF = {"Accept": "application/protobuf"}
JSON = {"Content-Type": "application/json"}


def vectors(tap, server):
    """traces-http.md 20."""
    for kind, body in (("application/json", json.dumps(CART_JSON).encode()), ("application/x-protobuf", CART_BYTES)):
        tenant = {"X-Scope-OrgID": kind.rsplit("/", 1)[1]}
        tap.equal(server.post("/v1/traces", body, dict(tenant, **{"Content-Type": kind})).status, 200, "vector 1 as %s" % kind)
        tap.equal(server.get("/api/traces/" + CART, headers=dict(PROTOBUF, **tenant)).body, CART_BYTES, "comes back as the same bytes")
        v2 = server.get("/api/v2/traces/" + CART, headers=dict(PROTOBUF, **tenant)).body
        tap.ok(v2.startswith(b"\x0a\x7c" + CART_BYTES), "within an envelope in version 2", v2.hex())
        json1 = server.get("/api/traces/112233445566778899AABBCCDDEEFF", headers=tenant).json()
        tap.equal(json1, {"batches": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "cart"}}]}, "scopeSpans": [
            {"scope": {"name": "lib"}, "spans": [{"traceId": "ABEiM0RVZneImaq7zN3u/w==", "spanId": "AQIDBAUGBwg=", "name": "GET /x", "kind": "SPAN_KIND_SERVER",
             "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000000250000000",
             "attributes": [{"key": "http.status_code", "value": {"intValue": "200"}}], "status": {"code": "STATUS_CODE_ERROR"}}]}]}]}, "vector 2, by a short ID in capitals")
    bare = b"\x0a" + bytes([len(BARE_BYTES) - 2 + 4]) + b"\x12" + bytes([len(BARE_BYTES) - 2 + 2]) + b"\x12" + bytes([len(BARE_BYTES) - 2]) + BARE_BYTES[:-2]
    tenant = {"X-Scope-OrgID": "bare"}
    tap.equal(server.post("/v1/traces", bare, dict(tenant, **{"Content-Type": "application/x-protobuf"})).status, 200, "vector 3: nothing but a span")
    got = server.get("/api/v2/traces/" + CART, headers=dict(PROTOBUF, **tenant)).body
    tap.ok(BARE_BYTES in got and b"\x0a\x00\x12" in got, "has resource, scope and status", got.hex())
    answer = spans.decode("TraceByIDResponse", [got])[0]["trace"]["resourceSpans"][0]
    tap.ok("attributes" not in answer["resource"] and answer["scopeSpans"][0]["scope"] == {} and answer["scopeSpans"][0]["spans"][0]["status"] == {}, "as protobufjs reads it", answer)
    named = server.get("/api/v2/traces/" + CART, headers=dict(PROTOBUF, **tenant, **{"User-Agent": "Grafana/12.3.0"})).body
    answer = spans.decode("TraceByIDResponse", [named])[0]["trace"]["resourceSpans"][0]
    tap.equal(answer["resource"]["attributes"], [{"key": "service.name", "value": {"stringValue": "unknown_service"}}], "Grafana, which would not show it, gets a name for it")


def refusals(tap, server):
    """traces-http.md 19: status and text."""
    table = [
        ("/api/traces/xyz", 400, "trace IDs can only contain hex characters: invalid character 'x' at position 1"),
        ("/api/v2/traces/xyz", 400, "trace IDs can only contain hex characters: invalid character 'x' at position 1"),
        ("/api/traces/" + "1" * 33, 400, "trace IDs can't be larger than 128 bits"),
        ("/api/traces/abcdef", 404, ""),
        ("/api/traces/0", 404, ""),
        ("/api/traces/1?start=10&end=5", 400, "http parameter start must be before end. received start=10 end=5"),
        ("/api/traces/1?start=x", 400, 'invalid start: strconv.ParseInt: parsing "x": invalid syntax'),
        ("/api/search?q={}&tags=a=b", 400, "invalid request: can't specify tags and q in the same query"),
        ("/api/search?limit=0", 400, "invalid limit: must be a positive number"),
        ("/api/search?limit=-1", 400, 'invalid limit: strconv.ParseUint: parsing "-1": invalid syntax'),
        ("/api/search?end=5", 400, "error parsing date range: only one of start and end provided: must provide both or neither"),
        ("/api/search?start=9&end=5", 400, "http parameter start must be before end. received start=9 end=5"),
        ("/api/search?start=9", 400, "http parameter start must be before end. received start=9 end=0"),
        ("/api/search?q={}&spss=101", 400, "spans per span set exceeds 100. received 101"),
        ("/api/search?tags=a%3D1%20a%3D2", 400, "invalid tags: tag a has been set twice"),
        ("/api/search?q=%7B%20.a%20%3D%3D", 400, "invalid TraceQL query: parse error at line 1, col 7: syntax error: unexpected ="),
        ("/api/search?q=%7Bduration%3E%22x%22%7D", 400, "invalid TraceQL query: binary operations must operate on the same type: duration > `x`"),
        ("/api/search?q=%7B.a%3D%22" + "x" * 131072 + "%22%7D", 400, "TraceQL expression exceeds the configured maximum size of 131072 bytes, reduce the query expression size or contact your system administrator"),
        ("/api/v2/search/tags?scope=zzz", 400, "invalid scope: zzz"),
        ("/api/search/tags?scope=zzz", 400, "invalid scope: zzz"),
        ("/api/v2/search/tag/foo/values", 400, "please provide a valid tagName: failed to parse identifier foo"),
        ("/api/v2/search/tags?end=5", 400, "error parsing date range: only one of start and end provided: must provide both or neither"),
        ("/api/v2/search/tags?start=x&end=5", 400, "error parsing date range: could not parse 'start' parameter: "),
        ("/api/metrics/query_range?q={}", 400, "not a metrics query"),
        ("/api/metrics/query?q={}", 400, "not a metrics query"),
        ("/api/metrics/query_range", 400, "parse error : syntax error: unexpected $end"),
        ("/api/metrics/query_range?q=%7Bduration%3E%22x%22%7D%7Crate()", 400, "compiling query: binary operations must operate on the same type"),
        ("/api/metrics/query_range?q=%7B%7D%7C%20rate(", 400, "parse error at line 1, col 10: syntax error: unexpected $end"),
        ("/api/metrics/query_range?q=%7B%7D%7Crate()&start=9&end=5", 400, "end must be greater than start"),
        ("/api/metrics/query?q=%7B%7D%7Crate()&start=5&end=5", 400, "end must be greater than start"),
        ("/api/metrics/query_range?q=%7B%7D%7Crate()&start=0&end=60&step=0", 400, "step of 0s is too small, "),
        ("/api/metrics/query_range?q=%7B%7D%7Crate()&step=x", 400, "could not parse 'step' parameter: "),
        ("/api/metrics/summary", 404, "404 page not found"),
        ("/api/search/", 404, "404 page not found"),
        ("/api/v2/search/tag//values", 404, "404 page not found"),
        ("/api/v2/search/tag/values", 404, "404 page not found"),
        ("/api/traces/1/2", 404, "404 page not found"),
    ]
    for path, status, text in table:
        got = server.get(path)
        kind = got.headers.get("content-type")
        good = got.status == status and got.text.startswith(text) and (bool(text) or got.body == b"") and kind == ("text/plain; charset=utf-8" if got.body else None)
        tap.ok(good, "%d %s" % (status, path[:100]), "%d %s %r" % (got.status, kind, got.text[:300]))
    for path in ("/api/search", "/api/traces/1", "/api/v2/search/tag/name/values", "/api/metrics/query_range"):
        for method in ("POST", "DELETE", "PUT"):
            got = server.request(method, path)
            tap.ok(got.status == 405 and got.headers.get("allow") == "GET, HEAD" and "html" not in got.headers.get("content-type", ""), "%s %s is refused" % (method, path), got)
        tap.ok(server.request("HEAD", path, params={"q": "{} | rate()"}).status == server.get(path, {"q": "{} | rate()"}).status, "HEAD %s is as GET" % path)
    head = server.request("HEAD", "/api/echo")
    tap.equal((head.status, head.body), (200, b""), "HEAD has no body")


def small(tap, server):
    echo = server.get("/api/echo")
    tap.equal((echo.status, echo.text), (200, "echo\n"), "echo")
    info = server.get("/api/status/buildinfo").json()
    tap.ok(info["version"] == "2.9.0" and info["mstore"], "the version that Grafana goes by, and ours", info)
    tap.ok("mstore" not in server.get("/loki/api/v1/status/buildinfo").json(), "Loki's answer is another")


def tenants(tap, server):
    """A trace of one tenant is to another one like none."""
    now = time.time_ns() // S * S - 60 * S
    for name in ("a", "b"):
        trace = spans.Trace("%032x" % 77)
        trace.span("shop-" + name, "op-" + name, now, 5, span_id="%016x" % ord(name), attributes={"only." + name: name})
        tap.equal(spans.push(server, [trace], tenant=name).status, 200, "tenant %s pushes its trace" % name)
    ask = {"start": now // S - 10, "end": now // S + 100}
    for state in ("memory", "segments"):
        for name in ("a", "b"):
            h = {"X-Scope-OrgID": name}
            tap.equal(list(spans.spans_of(server.get("/api/traces/%x" % 77, headers=h).json())), ["%016x" % ord(name)], "%s sees its span alone, from %s" % (name, state))
            found = server.get("/api/search", dict(ask, q="{}"), h).json()
            tap.equal([t["rootServiceName"] for t in found["traces"]], ["shop-" + name], "and finds it alone")
            tap.equal(server.get("/api/v2/search/tag/name/values", ask, h).json()["tagValues"], [{"type": "string", "value": "op-" + name}], "values are its own")
            scopes = {s["name"]: s["tags"] for s in server.get("/api/v2/search/tags", ask, h).json()["scopes"]}
            tap.equal(scopes["span"], ["only." + name], "names are its own")
            series = server.get("/api/metrics/query", dict(ask, q="{} | count_over_time()"), h).json()["series"]
            tap.equal([s["value"] for s in series], [1], "counts are its own")
        c = {"X-Scope-OrgID": "c"}
        for path in ("/api/traces/%x", "/api/v2/traces/%x"):
            for accept in ({}, PROTOBUF):
                theirs, never = (server.get(path % n, headers=dict(c, **accept)) for n in (77, 78))
                for answer in (theirs, never):
                    answer.headers.pop("date", None)
                tap.equal((theirs.status, theirs.headers, theirs.body), (never.status, never.headers, never.body), "another's trace is as none: %s %s" % (path, accept))
        tap.equal(server.get("/api/v2/traces/%x" % 77, headers=dict(c, **PROTOBUF)).body, bytes.fromhex("0a001200"), "no trace in protobuf")
        tap.equal(server.get("/api/v2/traces/%x" % 77, headers=c).json(), {"trace": {}, "metrics": {}}, "no trace in JSON")
        for path in ("/api/search?q={}", "/api/v2/search/tags?scope=span", "/api/v2/search/tag/name/values", "/api/search/tags"):
            theirs, never = (server.get(path, headers={"X-Scope-OrgID": t}) for t in ("c", "nobody"))
            tap.equal(theirs.body, never.body, "nor is anything else of it: " + path)
        server.post("/flush")
    for header, text in (("a|b", "multiple org IDs present"), ("a|a", "multiple org IDs present"), ("a:x=1", "tenant ID 'a:x=1' contains unsupported character ':'"),
                         ("..", "tenant ID is '.' or '..'"), ("x" * 151, "tenant ID is too long: max 150 characters")):
        got = server.get("/api/search", headers={"X-Scope-OrgID": header})
        tap.equal((got.status, got.text), (400, text), "tenant %s is refused" % header[:20])
    tap.equal(server.get("/api/search", headers={"X-Scope-OrgID": "x" * 150}).status, 200, "a name of 150 bytes is not")
    raw = server.raw("GET /api/search HTTP/1.1\r\nHost: x\r\nX-Scope-OrgID: a\r\nX-Scope-OrgID: b\r\nConnection: close\r\n\r\n")
    tap.ok(raw.startswith(b"HTTP/1.1 400") and raw.endswith(b"multiple org IDs present"), "two headers are refused", raw)


def searches(tap, server):
    now = time.time_ns() // S
    traces = []
    for n in range(30):
        trace = spans.Trace("%032x" % (0x5000 + n))
        root = trace.span("edge", "GET /%d" % n, (now - 600 + n) * S, 10 + n, kind=spans.SERVER, attributes={"a/b": "v%d" % n, "mixed": n if n % 2 else "text", "list": [1, 2]})
        for k in range(5):
            trace.span("db", "q%d" % k, (now - 600 + n) * S + k * spans.MS, 1, root)
        traces.append(trace)
    spans.push(server, traces, tenant="s")
    h = {"X-Scope-OrgID": "s"}

    def ask(**params):
        return server.get("/api/search", params, h).json()
    for state in ("memory", "segments"):
        found = ask(q="{}")
        starts = [int(t["startTimeUnixNano"]) for t in found["traces"]]
        tap.equal(starts, [(now - 600 + n) * S for n in range(29, 9, -1)], "the 20 newest, newest first, from " + state)
        tap.ok(all(len(t["spanSets"][0]["spans"]) == 3 and t["spanSets"][0]["matched"] == 6 for t in found["traces"]), "three spans of six matched")
        one = ask(q="{}", limit=1, spss=100)["traces"]
        tap.equal([len(s["spans"]) for t in one for s in t["spanSets"]], [6], "limit and spss")
        tap.equal(one[0]["serviceStats"], {"edge": {"spanCount": 1}, "db": {"spanCount": 5}}, "services of the whole trace")
        unnamed = [s for t in ask(q="{kind = server}")["traces"] for s in t["spanSets"][0]["spans"]]
        mentioned = [s for t in ask(q="{kind = server} | select(name)")["traces"] for s in t["spanSets"][0]["spans"]]
        grafana = server.get("/api/search", {"q": "{kind = server}"}, dict(h, **{"User-Agent": "Grafana/12.3.0"})).json()["traces"]
        tap.ok(not any("name" in s for s in unnamed) and all(s["name"] for s in mentioned) and all(s["name"] for t in grafana for s in t["spanSets"][0]["spans"]),
               "names of spans where the query mentions them, and for Grafana")
        plain = ask(limit=100)["traces"]
        tap.ok(len(plain) == 30 and not any("spanSets" in t or "serviceStats" in t for t in plain), "without a query no span sets")
        tagged = ask(tags='service.name=db name="GET /7"', limit=100)["traces"]
        tap.equal([t["rootTraceName"] for t in tagged], ["GET /7"], "tags, satisfied by different spans")
        tap.equal(len(ask(minDuration="30ms", maxDuration="35ms", limit=100)["traces"]), 6, "durations of traces")
        window = ask(q="{}", start=now - 600 + 10, end=now - 600 + 12, limit=100)["traces"]
        tap.equal(sorted(t["rootTraceName"] for t in window), ["GET /10", "GET /11"], "traces of a time")
        values = [a["value"] for t in ask(q="{.mixed != nil} | select(.mixed, .list)", limit=100)["traces"] for s in t["spanSets"][0]["spans"] for a in s["attributes"]]
        tap.ok(len(values) == 60 and all(list(v) == ["stringValue"] for v in values), "numbers among texts, and lists, are texts", values[:4])
        tap.ok(any(v["stringValue"].replace(" ", "") == "[1,2]" for v in values) and {"stringValue": "7"} in values, "as JSON has them")
        answer = server.get("/api/search", {"q": '{name="GET /7"}'}, dict(h, **PROTOBUF))
        decoded = spans.decode("SearchResponse", [answer.body])[0]
        tap.equal((answer.headers["content-type"], decoded["traces"]), ("application/protobuf", [dict(t) for t in ask(q='{name="GET /7"}')["traces"]]), "protobuf says the same")
        for tag in ("span.a/b", "span.a%2Fb", "span.a%252Fb", ".a/b"):
            got = server.get("/api/v2/search/tag/%s/values" % tag, headers=h).json()["tagValues"]
            tap.equal(sorted(v["value"] for v in got), sorted("v%d" % n for n in range(30)), "values of a tag with a slash: " + tag)
        tap.equal(len(server.get("/api/v2/search/tag/span.a%2Fb/values", {"limit": 7}, h).json()["tagValues"]), 7, "seven of them")
        for path, message in (("/api/v2/search/tags", "SearchTagsV2Response"), ("/api/search/tags", "SearchTagsResponse"), ("/api/search/tag/service.name/values", "SearchTagValuesResponse"),
                              ("/api/v2/search/tag/resource.service.name/values", "SearchTagValuesV2Response")):
            text, body = (server.get(path, headers=dict(h, **accept)) for accept in ({}, PROTOBUF))
            want = text.json()
            want.pop("metrics", None)
            got = spans.decode(message, [body.body])[0]
            got.pop("metrics", None)
            tap.equal(got, want, "protobuf says the same: " + path)
        server.post("/flush")


def metrics(tap, server):
    now = time.time_ns() // S // 60 * 60
    trace = spans.Trace("%032x" % 0x9000)
    for second in (-120, -119, -61, -60, -1):  # buckets (..-120], (-120..-60], (-60..0]
        trace.span("m", "op", (now + second) * S, 100)
    spans.push(server, [trace], tenant="m")
    h = {"X-Scope-OrgID": "m"}
    body = server.get("/api/metrics/query_range", {"q": "{} | count_over_time()", "start": now - 110, "end": now - 10, "step": "60s"}, h).json()
    samples = {int(s["timestampMs"]) // 1000 - now: s.get("value", 0) for s in body["series"][0]["samples"]}
    tap.equal(samples, {-120: 1, -60: 3, 0: 1}, "buckets are closed on the right and stamped with their ends")
    tap.ok(all("value" not in s or s["value"] for s in body["series"][0]["samples"]), "a zero is left out")
    tap.equal(set(body), {"series", "metrics"}, "nothing else is in the answer")
    instant = server.get("/api/metrics/query", {"q": "{} | rate()", "start": now - 120, "end": now}, h).json()
    tap.ok(abs(instant["series"][0]["value"] - 4 / 120) < 1e-9 and "timestampMs" not in json.dumps(instant), "an instant is over the time asked for", instant)
    many = [spans.Trace("%032x" % (0xa000 + n)) for n in range(1100)]
    for n, t in enumerate(many):
        t.span("m", "n%d" % n, (now - 30) * S, 1)
    spans.push(server, many, tenant="many")
    h = {"X-Scope-OrgID": "many"}
    q = {"q": "{} | count_over_time() by (name)", "start": now - 60, "end": now, "step": "60s"}
    for series_max, got_max in ((None, 1000), (1099, 1000), (5, 5)):
        got = server.get("/api/metrics/query_range", dict(q, **({"maxSeries": series_max} if series_max else {})), h).json()
        tap.ok(len(got["series"]) == got_max and got["status"] == "PARTIAL" and ("limit of %d," % got_max) in got["message"], "%s series at most, and the answer says so" % got_max,
               "%d %s" % (len(got["series"]), got.get("message")))
    few = server.get("/api/metrics/query_range", dict(q, q='{name=~"n[0-8]"} | count_over_time() by (name)', maxSeries=10), h).json()
    tap.ok(len(few["series"]) == 9 and "status" not in few, "nine of at most ten are all")


def stage(tap, server):
    """`| trace_id("...")`: what metadata says, found by the index."""
    h = {"X-Scope-OrgID": "stage"}
    base = time.time_ns() // S * S - 3600 * S
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    marked = {700: trace_id, 701: trace_id.upper(), 905: trace_id}
    for app in ("one", "two"):
        server.push([({"app": app}, [(base + n * S, "line %d %s %s" % (n, trace_id, "x" * 1000), {"trace_id": marked[n]} if n in marked and app == "one" else {"trace_id": "ff"}) for n in range(3000)])],
                    tenant="stage")
    window = {"start": str(base - S), "end": str(base + 3600 * S), "limit": "5000", "direction": "forward"}

    def ask(query, path="query_range", **more):
        return server.get("/loki/api/v1/" + path, dict(window, query=query, **more), h).json()["data"]
    for state in ("memory", "segments"):
        for written in (trace_id, trace_id.upper()):
            data = ask('{app=~".+"} | trace_id("%s")' % written)
            got = sorted((int(v[0]) - base) // S for s in data["result"] for v in s["values"])
            tap.equal(got, sorted(marked), "entries that carry the ID, from " + state)
            if state == "segments":
                blocks = [ask(q)["stats"]["blocks"]["selected"] for q in ('{app=~".+"} | trace_id("%s")' % written, '{app=~".+"}')]
                tap.ok(0 < blocks[0] < blocks[1] / 2, "the index says in which blocks", blocks)
        tap.equal(len([v for s in ask('{app=~".+"} | trace_id("%s") |= "905"' % trace_id)["result"] for v in s["values"]]), 1, "among other stages")
        tap.equal(len([v for s in ask('{app=~".+"} | drop trace_id | trace_id("%s")' % trace_id)["result"] for v in s["values"]]), 3, "whatever labels became")
        tap.equal(ask('{app="two"} | trace_id("%s")' % trace_id)["result"], [], "none of another stream")
        tap.equal(ask('{app=~".+"} | trace_id("abcd")')["result"], [], "none of another trace")
        early = server.get("/loki/api/v1/query_range", dict(window, end=str(base + 701 * S), query='{app="one"} | trace_id("%s")' % trace_id), h).json()["data"]["result"]
        tap.equal([v[1].split()[1] for s in early for v in s["values"]], ["700"], "within the time that is asked for")
        counted = ask('sum(count_over_time({app=~".+"} | trace_id("%s") [1h]))' % trace_id, "query", time=str(base + 3000 * S))["result"]
        tap.equal([s["value"][1] for s in counted], ["3"], "counted")
        server.post("/flush")
    explained = server.get("/loki/api/v1/query_range", dict(window, explain="1", query='{app="one"} | trace_id("%s")' % trace_id), h).text
    tap.ok("the index knows when %s has entries" % trace_id in explained, "explained", explained)
    got = server.get("/loki/api/v1/query_range", dict(window, query='{app="one"} | trace_id("x")'), h)
    tap.equal((got.status, got.text), (400, "parse error : trace_id: expected up to 32 hex digits"), "what is no ID is refused")


def logs_of_traces(tap, server):
    """`logs=`: only traces with a log entry that contains a text."""
    h = {"X-Scope-OrgID": "logs"}
    now = time.time_ns() // S * S - 60 * S
    traces, entries = [], []
    for n in range(40):
        trace = spans.Trace("%032x" % (0x7000 + n))
        trace.span("shop", "op", now + n * spans.MS, 5)
        traces.append(trace)
        entries.append((now + n, "request %d %s" % (n, "declined" if n % 10 == 3 else "fine"), {"trace_id": trace.id}))
    spans.push(server, traces, tenant="logs")
    server.push([({"app": "shop"}, entries), ({"app": "other"}, [(now, "declined, of no trace"), (now, "declined", {"trace_id": "%x" % 0x9999})])], tenant="logs")
    for state in ("memory", "segments"):
        for more, wanted in (({"q": "{}"}, [33, 23, 13, 3]), ({}, [33, 23, 13, 3]), ({"q": "{}", "limit": 2}, [33, 23]), ({"q": '{name = "other"}'}, [])):
            found = server.get("/api/search", dict(more, logs="declined"), h).json()["traces"]
            tap.equal([int(t["traceID"], 16) - 0x7000 for t in found], wanted, "traces whose logs say so: %s, from %s" % (more, state))
        tap.equal(server.get("/api/search", {"q": "{}", "logs": "nowhere"}, h).json()["traces"], [], "none")
        tap.equal(len(server.get("/api/search", {"q": "{}", "logs": "", "limit": 100}, h).json()["traces"]), 40, "an empty text asks for nothing")
        server.post("/flush")


def ranges(tap):
    """Limits that are set, on both sides; and everything below a path."""
    with Server(["--trace-search-range", "1h", "--trace-metrics-range", "24h", "--path-prefix", "/tempo"]) as server:
        for path, params, text in (
                ("/api/search", {"start": 1000, "end": 4600}, ""), ("/api/search", {"start": 1000, "end": 4601}, "range specified by start and end exceeds 1h0m0s. received start=1000 end=4601"),
                ("/api/v2/search/tags", {"start": 1000, "end": 4600}, ""), ("/api/v2/search/tags", {"start": 1000, "end": 4601}, "range specified by start and end exceeds 1h0m0s. received start=1000 end=4601"),
                ("/api/metrics/query_range", {"q": "{} | rate()", "start": 3600, "end": 86400 + 3540, "step": "60s"}, ""),
                ("/api/metrics/query_range", {"q": "{} | rate()", "start": 3600, "end": 86400 + 3600, "step": "60s"}, "metrics query time range exceeds the maximum allowed duration of 24h0m0s")):
            got = server.get(path, params)
            tap.ok(got.status == (400 if text else 200) and (not text or got.text == text), "%s %s" % (path, text or "is within"), got)
        tap.equal(server.get("/tempo/api/echo").text, "echo\n", "below the prefix")
        tap.equal(server.get("/tempoapi/echo").status, 404, "the prefix is whole segments")
        tap.equal(server.get("/tempo/api/traces/1").status, 404, "a trace that is not there")
        tap.equal(server.get("/tempo/ready").text, "ready\n", "everything is below it")
    with Server(["--require-tenant"]) as server:
        for path in ("/api/search", "/api/traces/1", "/api/v2/traces/1", "/api/v2/search/tags", "/api/v2/search/tag/name/values", "/api/metrics/query_range"):
            got = server.get(path)
            tap.equal((got.status, got.text), (401, "no org id\n"), "a tenant is required: " + path)
        for path in ("/api/echo", "/api/status/buildinfo", "/ready"):
            tap.equal(server.get(path).status, 200, "but not for " + path)


def damage(tap):
    """A trace in two segments of which one is damaged: what is left is answered, and it is told."""
    def part(span_id, name):
        return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": CART, "spanId": span_id, "name": name, "startTimeUnixNano": "1700000000000000000",
                                                                         "endTimeUnixNano": "1700000000250000000"}]}]}]}).encode()

    with Server(["--retention", "0"]) as server:
        for span_id, name in (("0102030405060708", "kept"), ("0102030405060709", "lost")):
            server.post("/v1/traces", part(span_id, name), JSON)
            server.post("/flush")
        got = server.get("/api/traces/" + CART)
        tap.ok("x-mstore-warning" not in got.headers and b"lost" in got.body, "a sound trace has no warning", got)
        server.stop()
        segments = os.path.join(server.data, "segments")
        names = sorted(os.listdir(segments))
        for left, victim in ((1, names[1]), (0, names[0])):
            path = os.path.join(segments, victim)
            damaged = bytearray(open(path, "rb").read())
            damaged[60] ^= 1
            open(path, "wb").write(damaged)
            server.start()
            one, two = server.get("/api/traces/" + CART), server.get("/api/v2/traces/" + CART)
            tap.ok(one.headers.get("x-mstore-warning", "").startswith("incomplete result: damaged data was left out: "), "version 1 has a header", one.headers)
            tap.equal((one.status, b"kept" in one.body, b"lost" in one.body), (200 if left else 404, bool(left), False), "with what is left: %d span" % left)
            tap.equal((two.status, two.json()["status"]), (200, "PARTIAL"), "version 2 says so in the answer")
            server.stop()
        server.start()


def main():
    tap = Tap()
    with Server(["--retention", "0"]) as server:
        vectors(tap, server)
        refusals(tap, server)
        small(tap, server)
        tenants(tap, server)
        searches(tap, server)
        metrics(tap, server)
        stage(tap, server)
        logs_of_traces(tap, server)
    ranges(tap)
    damage(tap)
    tap.done()


if __name__ == "__main__":
    main()
