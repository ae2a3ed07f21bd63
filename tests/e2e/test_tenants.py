#!/usr/bin/env python3
"""Queries over several tenants (X-Scope-OrgID: a|b), from memory, from segments and from both: loki-http.md 2. Speaks TAP."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import Server, Tap  # noqa: E402

NOW = time.time_ns()
RANGE = {"start": NOW - 10**9, "end": NOW + 3600 * 10**9}


def ask(server, path, tenants, **params):
    return server.get("/loki/api/v1/" + path, dict(RANGE, **params), {"X-Scope-OrgID": tenants})


def streams(server, tenants, query):
    """[(labels without detected_level, lines)] as the server orders them."""
    answer = ask(server, "query_range", tenants, query=query)
    if answer.status != 200:
        return answer.status
    return [({k: v for k, v in s["stream"].items() if k not in ("detected_level", "service_name")}, sorted(v[1] for v in s["values"]))
            for s in answer.json()["data"]["result"]]


def values(server, tenants, query):
    result = ask(server, "query", tenants, query=query, time=NOW + 10**9).json()["data"]["result"]
    return {tuple(sorted(s["metric"].items())): s["value"][1] for s in result}


def checks(tap, server, state):
    a = ({"__tenant_id__": "a", "app": "x"}, ["a one", "a two"])
    b = ({"__tenant_id__": "b", "app": "x"}, ["b one"])
    own = ({"__tenant_id__": "b", "original___tenant_id__": "mine", "app": "x"}, ["b own"])
    cases = [
        ("each stream has its tenant", "a|b", '{app="x"}', [a, own, b]),
        ("in whatever order they are given", "b|a|a", '{app="x"}', [a, own, b]),
        ("sub-tenants are their tenant", "a:sub|b", '{app="x"}', [a, own, b]),
        ("a matcher chooses", "a|b", '{app="x", __tenant_id__="a"}', [a]),
        ("a regex chooses", "a|b|c", '{app="x", __tenant_id__=~"b|c"}', [own, b, ({"__tenant_id__": "c", "app": "x"}, ["c one"])]),
        ("a negation chooses", "a|b", '{app="x", __tenant_id__!="a"}', [own, b]),
        ("one that is not asked for cannot be chosen", "a|b", '{app="x", __tenant_id__="c"}', []),
        ("stages see the label", "a|b", '{app="x"} | __tenant_id__="a"', [a]),
        ("a tenant that nobody knows has nothing", "a|nobody", '{app="x"}', [a]),
        ("a selector of nothing else is refused", "a|b", '{__tenant_id__="a"}', 400),
        ("one tenant alone gets no label", "a", '{app="x"}', [({"app": "x"}, ["a one", "a two"])]),
        ("one tenant twice is one", "a|a", '{app="x"}', [({"app": "x"}, ["a one", "a two"])]),
        ("with one tenant the label is an ordinary one", "b", '{__tenant_id__="mine"}', [({"__tenant_id__": "mine", "app": "x"}, ["b own"])]),
    ]
    for name, tenants, query, want in cases:
        tap.equal(streams(server, tenants, query), want, "%s: %s" % (state, name))
    tap.equal(values(server, "a|b", 'sum(count_over_time({app="x"}[1h]))'), {(): "4"}, state + ": a sum is over all")
    tap.equal(values(server, "a|b", 'sum by (__tenant_id__) (count_over_time({app="x"}[1h]))'),
              {(("__tenant_id__", "a"),): "2", (("__tenant_id__", "b"),): "2"}, state + ": or by tenant")
    tap.equal(ask(server, "labels", "a|b").json()["data"], ["__tenant_id__", "app", "original___tenant_id__", "service_name"], state + ": names")
    tap.equal(ask(server, "label/__tenant_id__/values", "b|a").json()["data"], ["a", "b"], state + ": values of the tenants' label")
    tap.equal(ask(server, "label/app/values", "a|b|c").json()["data"], ["only-c", "x"], state + ": values of another")
    tap.equal(ask(server, "label/app/values", "a|b|c", query='{app=~".+", __tenant_id__!="c"}').json()["data"], ["x"], state + ": of chosen tenants")
    got = sorted(s["__tenant_id__"] for s in ask(server, "series", "a|b", **{"match[]": '{app="x"}'}).json()["data"])
    tap.equal(got, ["a", "b", "b"], state + ": series")
    stats = ask(server, "index/stats", "a|b", query='{app="x"}').json()
    tap.equal((stats["streams"], stats["entries"]), (3, 4), state + ": index/stats add up")
    volume = ask(server, "index/volume", "a|b", query='{app="x"}', targetLabels="__tenant_id__").json()["data"]["result"]
    tap.equal({s["metric"]["__tenant_id__"]: s["value"][1] for s in volume}, {"a": "10", "b": "10"}, state + ": volume by tenant")
    tap.ok("__tenant_id__" in [d["label"] for d in ask(server, "detected_labels", "a|b").json()["detectedLabels"]], state + ": detected_labels")
    tap.equal(ask(server, "detected_fields", "a|b", query='{app="x"}').status, 200, state + ": detected_fields")
    tap.equal(ask(server, "patterns", "a|b", query='{app="x"}').status, 200, state + ": patterns")


def refusals(tap, server):
    body = json.dumps({"streams": [{"stream": {"app": "y"}, "values": [[str(NOW), "x"]]}]})
    for path, expected in (("/loki/api/v1/push", "multiple org IDs present\n"), ("/api/prom/push", "multiple org IDs present\n")):
        answer = server.post(path, body, {"Content-Type": "application/json", "X-Scope-OrgID": "a|b"})
        tap.equal((answer.status, answer.text), (400, expected), path + " takes one tenant")
    upgrade = {"X-Scope-OrgID": "a|b", "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    answer = server.get("/loki/api/v1/tail", {"query": '{app="x"}'}, upgrade)
    tap.equal((answer.status, answer.text), (400, "multiple org IDs present"), "a tail takes one tenant")
    cases = [("a|b c", 400, "tenant ID 'b c' contains unsupported character ' '"), ("a|..", 400, "tenant ID is '.' or '..'"),
             ("a|" + "t" * 151, 400, "tenant ID is too long: max 150 characters"), ("a|", 401, "no org id\n"), ("|", 401, "no org id\n"),
             (":x|a", 401, "no org id\n"), ("|".join("t%d" % i for i in range(64)), 200, None),
             ("|".join("t%d" % i for i in range(65)), 400, "more than 64 org IDs in one query")]
    for tenants, status, text in cases:
        answer = ask(server, "labels", tenants)
        tap.ok(answer.status == status and text in (None, answer.text), "%.20s is %d" % (tenants, status), repr(answer))


def main():
    tap = Tap()
    with Server(["--retention", "0", "--multi-tenant-queries"]) as server:
        server.push([({"app": "x"}, [(NOW, "a one")])], tenant="a")
        server.push([({"app": "x"}, [(NOW, "b one")]), ({"app": "x", "__tenant_id__": "mine"}, [(NOW + 1, "b own")])], tenant="b")
        server.push([({"app": "x"}, [(NOW, "c one")]), ({"app": "only-c"}, [(NOW, "c")])], tenant="c")
        server.post("/flush")
        server.push([({"app": "x"}, [(NOW + 1, "a two")])], tenant="a")
        checks(tap, server, "memory and segments")
        server.post("/flush")
        checks(tap, server, "segments")
        server.kill9()
        server.start()
        checks(tap, server, "after a crash")
        refusals(tap, server)
    with Server(["--retention", "0"]) as server:
        server.push([({"app": "x"}, [(NOW, "a one"), (NOW, "a two")])], tenant="a")
        answer = ask(server, "query_range", "a|b", query='{app="x"}')
        tap.equal((answer.status, answer.text), (400, "multiple org IDs present"), "without the setting a query takes one tenant")
        tap.equal(len(streams(server, "a|a", '{app="x"}')), 1, "named twice as well")
    tap.done()


if __name__ == "__main__":
    main()
