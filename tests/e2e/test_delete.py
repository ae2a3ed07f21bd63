#!/usr/bin/env python3
"""
Loki's delete API (loki-http.md 15): what it refuses, what it hides at once, receipts, taking back, restarts, lost indexes; and
deleting a trace, which no way of asking finds afterwards.
"""
import os
import shutil
import subprocess
import time
import urllib.parse

import spans
from lib import Server, Tap, wait_until

API = "/loki/api/v1/delete"
TRACE = "/mstore/api/v1/trace/"


def seconds(ns):
    return str(ns // 10**9)


def ask(server, method="POST", tenant=None, **params):
    headers = {} if tenant is None else {"X-Scope-OrgID": tenant}
    return server.request(method, API + "?" + urllib.parse.urlencode(params), headers=headers)


def listed(server, tenant=None, **params):
    return ask(server, "GET", tenant, **params).json()


def lines(server, query, ns):
    return sorted(l for _, l in server.lines(query, ns - 3600 * 10**9, ns + 10**9))


def test_refusals(tap, server, ns):
    now, ago = seconds(ns), seconds(ns - 600 * 10**9)
    good = {"query": '{app="cart"}', "start": ago, "end": now}
    bad = "invalid %s time: require unix seconds or RFC3339 format\n"
    for change, text in (({"query": None}, "query not set\n"), ({"start": None}, "start time not set\n"),
                         ({"start": "17"}, bad % "start"), ({"start": ago + "000"}, bad % "start"), ({"end": "now"}, bad % "end"),
                         ({"start": ago + ".5"}, bad % "start"), ({"end": seconds(ns + 3600 * 10**9)}, "deletes in the future are not allowed\n"),
                         ({"start": now, "end": now}, "start time can't be greater than or equal to end time\n"),
                         ({"query": "{app="}, "invalid query expression\n"), ({"query": "{}"}, "invalid query expression\n"),
                         ({"query": 'rate({app="cart"}[1m])'}, "invalid query expression\n")):
        params = {k: v for k, v in dict(good, **change).items() if v is not None}
        answer = ask(server, **params)
        tap.equal((answer.status, answer.text), (400, text), "%s is refused" % change)
    body = server.request("POST", API, body=urllib.parse.urlencode(good).encode(),
                          headers={"Content-Type": "application/x-www-form-urlencoded"})
    tap.equal((body.status, body.text), (400, "query not set\n"), "a form's parameters do not count")
    tap.equal(ask(server, "DELETE").status, 400, "taking back nothing in particular is refused")
    tap.equal(ask(server, "DELETE", request_id="nope").status, 404, "an unknown request")
    tap.equal(ask(server, "DELETE", request_id="00000000").status, 404, "another unknown request")
    tap.equal(listed(server), [], "none of this left a request")


def test_hiding(tap, server, ns):
    at = ns - 300 * 10**9 - ns % 10**9  # a whole second
    server.push([({"app": "cart"}, [(at - 1, "before"), (at, "secret first"), (at + 5, "open"), (at + 10**9, "secret last"),
                                    (at + 10**9 + 1, "secret behind")]),
                 ({"app": "shop"}, [(at, "secret of another")])])
    server.push([({"app": "cart"}, [(at, "secret of b")])], tenant="b")
    server.post("/flush")
    server.push([({"app": "cart"}, [(at + 7, "secret in memory")])])
    answer = ask(server, query='{app="cart"} |= "secret"', start=seconds(at), end=seconds(at + 10**9), max_interval="x")
    number = answer.headers.get("x-delete-request-id", "")
    tap.ok(answer.status == 204 and len(number) == 8, "a request is accepted and numbered", repr(answer))
    kept = ["before", "open", "secret behind", "secret of another"]
    tap.equal(lines(server, '{app=~".+"}', ns), kept, "what it selects is gone at once, both ends included")
    tap.equal(lines(server, '{app="cart"} |= "secret"', ns), ["secret behind"], "also where the query looks for it")
    count = server.get("/loki/api/v1/query", {"query": 'sum(count_over_time({app="cart"}[1h]))', "time": str(ns)}).json()
    tap.equal(count["data"]["result"][0]["value"][1], "3", "and where only times are read")
    server.push([({"app": "cart"}, [(at + 8, "secret later")])])
    kept = sorted(kept + ["secret later"])
    tap.equal(lines(server, '{app=~".+"}', ns), kept, "what comes later stays")
    entry = listed(server)
    tap.ok(len(entry) == 1 and entry[0]["request_id"] == number and entry[0]["status"] == "received" and
           entry[0]["query"] == '{app="cart"} |= "secret"' and entry[0]["user_id"] == "" and
           entry[0]["start_time"] == at // 10**9 and isinstance(entry[0]["created_at"], int), "it is listed", entry)
    tap.equal(listed(server, tenant="b"), [], "not to another tenant")
    tap.equal(ask(server, "DELETE", tenant="b", request_id=number).status, 404, "who cannot take it back either")
    tap.equal(listed(server, start=seconds(at + 2 * 10**9)), [], "the list can be narrowed")
    tap.equal(len(listed(server, start=seconds(at + 10**9), end=seconds(ns))), 1, "to what overlaps")
    server.kill9()
    shutil.rmtree(os.path.join(server.data, "index"))
    server.start()
    tap.equal(lines(server, '{app=~".+"}', ns), kept, "after a crash and without the index it is still gone")
    out = subprocess.run([os.path.join(os.path.dirname(os.environ["MSTORED"]), "..", "tools", "mstore-dump"), "cat", "--tenant", "fake",
                          server.data], capture_output=True, text=True, timeout=120)
    tap.ok("secret first" not in out.stdout and "secret later" in out.stdout, "mstore-dump does not show it", out.stdout + out.stderr)
    tap.equal(ask(server, "DELETE", request_id=number).status, 204, "it is taken back")
    tap.equal(len(lines(server, '{app=~".+"}', ns)), 8, "which shows everything again")
    tap.equal(listed(server), [], "and leaves nothing in the list")
    return at


def test_receipt(tap, server, ns, at):
    server.stop()
    server.args += ["--delete-delay", "0"]
    server.start()
    answer = ask(server, "PUT", query='{app="cart"} |= "secret"', start=seconds(at), end=seconds(at + 10**9))
    tap.equal(answer.status, 204, "PUT asks as well")
    tap.ok(wait_until(lambda: listed(server)[0]["status"] == "processed"), "without a delay it is carried out soon", listed(server))
    receipt = listed(server)[0]
    tap.equal((receipt["deleted_entries"], receipt["deleted_bytes"]), (4, len("secret firstsecret lastsecret in memorysecret later")),
              "the receipt says what went")
    tap.equal(server.metrics()['mstore_dropped_entries_total{reason="deleted"}'], 4, "and /metrics")
    tap.equal(ask(server, "DELETE", request_id=receipt["request_id"], force="true").status, 400, "then it cannot be taken back")
    server.stop()
    server.args = ["--retention", "0", "--rebuild-index"]
    server.start()
    tap.equal(lines(server, '{app=~".+"}', ns), ["before", "open", "secret behind", "secret of another"], "it is gone for good")
    tap.equal(listed(server)[0]["status"], "processed", "and the receipt stays")


# --- traces -------------------------------------------------------------------------------------------------------------


def trace_id(number):
    return "%031x1" % number


def push_traces(server, ns, numbers, tenant=None, first=1):
    """A trace each, with a service, an operation and an attribute of its own, and a log entry that carries its ID."""
    made = []
    for n in numbers:
        trace = spans.Trace(trace_id(n))
        root = trace.span("shop%d" % n, "GET /%d" % n, ns - 9 * 10**9, 100, kind=spans.SERVER, attributes={"order%d" % n: n},
                          span_id="%016x" % first)
        trace.span("db", "load", ns - 9 * 10**9 + 10, 20, parent=root, span_id="%016x" % (first + 1))
        made.append(trace)
        server.push([({"app": "traced"}, [(ns - 9 * 10**9 + n * 10 + first, "line of %d" % n, {"trace_id": trace_id(n)})])], tenant=tenant)
    answer = spans.push(server, made, tenant)
    assert answer.status == 200, answer


def seen(server, ns, tenant=None):
    """The numbers of the traces that each way of asking finds."""
    headers = {} if tenant is None else {"X-Scope-OrgID": tenant}
    span = {"start": str(ns // 10**9 - 3600), "end": str(ns // 10**9 + 60)}

    def get(path, **params):
        return server.get(path, dict(span, **params), headers=headers).json()

    def metric(query):
        series = get("/api/metrics/query_range", q=query, step="60s")["series"]
        return {next(iter(l["value"].values())): sum(s.get("value", 0) for s in one["samples"]) for one in series for l in one["labels"]}

    every = range(1, 7)
    found = {
        "by ID": {n for n in every if server.get("/api/traces/" + trace_id(n), headers=headers).status == 200},
        "by ID, second version": {n for n in every if spans.spans_of(server.get("/api/v2/traces/" + trace_id(n), headers=headers).json())},
        "with its logs": {n for n in every if server.get(TRACE + trace_id(n), headers=headers).status == 200},
        "search": {int(t["rootServiceName"][4:]) for t in get("/api/search", q="{}", limit="50")["traces"]},
        "search by structure": {int(t["rootServiceName"][4:]) for t in get("/api/search", q='{ } >> { name = "load" }', limit="50")["traces"]},
        "search by count": {int(t["rootServiceName"][4:]) for t in get("/api/search", q='{ kind = server } | count() > 0', limit="50")["traces"]},
        "metrics": {int(k[4:]) for k, v in metric("{ kind = server } | count_over_time() by (resource.service.name)").items() if v > 0},
        "tags": {int(t[5:]) for s in get("/api/v2/search/tags", scope="span")["scopes"] for t in s.get("tags", []) if t.startswith("order")},
        "values": {int(v["value"][4:]) for v in get("/api/v2/search/tag/resource.service.name/values")["tagValues"] if v["value"] != "db"},
        "operations": {int(v["value"][5:]) for v in get("/api/v2/search/tag/name/values")["tagValues"] if v["value"] != "load"},
        "lines": {int(l.split()[-1]) for _, l in server.lines('{app="traced"}', ns - 3600 * 10**9, ns + 10**9, tenant=tenant)},
        "lines by trace": {n for n in every if server.lines('{app="traced"} | trace_id("%s")' % trace_id(n), ns - 3600 * 10**9,
                                                             ns + 10**9, tenant=tenant)},
    }
    db = metric('{ name = "load" } | count_over_time() by (resource.service.name)').get("db", 0)
    found["spans of all"] = int(db)
    return found


def are_seen(tap, server, ns, numbers, name, tenant=None):
    found = seen(server, ns, tenant)
    wrong = {way: got for way, got in found.items() if got != (len(numbers) if way == "spans of all" else set(numbers))}
    tap.equal(wrong, {}, name)


def dumped(server):
    """Whether each command of mstore-dump shows the trace."""
    dump = os.path.join(os.path.dirname(os.environ["MSTORED"]), "..", "tools", "mstore-dump")
    commands = (["trace", "--tenant", "fake", trace_id(1), server.data], ["export", "--tenant", "fake", server.data])
    return ["GET /1" in subprocess.run([dump] + c, capture_output=True, text=True, timeout=120).stdout for c in commands]


def test_traces(tap, ns):
    with Server(["--retention", "0"]) as server:
        push_traces(server, ns, (1, 2))
        push_traces(server, ns, (1,), tenant="b")
        server.post("/flush")
        push_traces(server, ns, (3, 4), first=11)
        are_seen(tap, server, ns, (1, 2, 3, 4), "traces in a segment and in memory are found")
        tap.equal(dumped(server), [True, True], "by mstore-dump, too")
        bad = server.request("DELETE", TRACE + "nothex")
        tap.ok(bad.status == 400 and "hex" in bad.text, "no ID is refused", repr(bad))
        tap.equal(server.request("DELETE", TRACE + "1" * 33).status, 400, "so is one that is too long")
        tap.equal(server.request("POST", TRACE + trace_id(1)).status, 405, "and another method")
        text = '{ trace:id = "%s" }' % trace_id(1)
        tap.equal(ask(server, query=text, start=seconds(ns - 10**9), end=seconds(ns)).status, 400, "Loki's API takes log queries alone")
        tap.equal(listed(server), [], "none of this left a request")
        answers = {n: server.request("DELETE", TRACE + trace_id(n).lstrip("0")) for n in (1, 3)}
        numbers = {n: a.headers.get("x-delete-request-id", "") for n, a in answers.items()}
        tap.ok(all(a.status == 204 and len(numbers[n]) == 8 for n, a in answers.items()), "requests are accepted and numbered", repr(answers))
        are_seen(tap, server, ns, (2, 4), "at once nothing finds them")
        tap.equal(dumped(server), [False, False], "nor does mstore-dump")
        are_seen(tap, server, ns, (1,), "another tenant's trace of the same ID stays", tenant="b")
        entry = listed(server)[0]
        tap.ok(entry["request_id"] == numbers[1] and entry["query"] == text and entry["status"] == "received", "they are listed", entry)
        tap.equal(listed(server, tenant="b"), [], "not to another tenant")
        server.kill9()
        shutil.rmtree(os.path.join(server.data, "index"))
        server.start()
        are_seen(tap, server, ns, (2, 4), "nor after a crash and without the index")
        tap.equal(ask(server, "DELETE", request_id=numbers[3]).status, 204, "one is taken back")
        are_seen(tap, server, ns, (2, 3, 4), "and found again")
        push_traces(server, ns, (5,), first=21)
        late = spans.Trace(trace_id(1))
        late.span("shop1", "GET /1", ns - 9 * 10**9, 100, kind=spans.SERVER, span_id="%016x" % 99)
        spans.push(server, [late])
        answer = server.get("/api/traces/" + trace_id(1))
        tap.equal(list(spans.spans_of(answer.json())), ["%016x" % 99], "a late span is new, and alone")
        tap.equal(server.request("DELETE", TRACE + trace_id(1)).status, 204, "and can be deleted like the others")
        are_seen(tap, server, ns, (2, 3, 4, 5), "then it is gone, too")
        tap.equal(server.request("DELETE", TRACE + trace_id(77)).status, 204, "a trace that is not there is accepted")
        server.stop()
        server.args += ["--delete-delay", "0"]
        server.start()
        tap.ok(wait_until(lambda: all(r["status"] == "processed" for r in listed(server))), "without a delay all is carried out soon",
               listed(server))
        receipts = [(r["deleted_spans"], r["deleted_entries"], r["deleted_bytes"] > 0) for r in listed(server)]
        tap.equal(receipts, [(2, 1, True), (1, 0, True), (0, 0, False)], "the receipts say what went")
        tap.equal(server.metrics()['mstore_dropped_spans_total{reason="deleted"}'], 3, "and /metrics")
        are_seen(tap, server, ns, (2, 3, 4, 5), "it is gone for good, the rest is there")
        server.stop()
        server.args = ["--retention", "0", "--rebuild-index"]
        server.start()
        are_seen(tap, server, ns, (2, 3, 4, 5), "with a new index as well")
        are_seen(tap, server, ns, (1,), "and the other tenant's", tenant="b")


def main():
    tap = Tap()
    ns = int(time.time() * 1e9)
    with Server(["--retention", "0"]) as server:
        test_refusals(tap, server, ns)
        at = test_hiding(tap, server, ns)
        test_receipt(tap, server, ns, at)
    test_traces(tap, ns)
    tap.done()


if __name__ == "__main__":
    main()
