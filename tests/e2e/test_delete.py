#!/usr/bin/env python3
"""Loki's delete API (loki-http.md 15): what it refuses, what it hides at once, receipts, taking back, restarts, lost indexes."""
import os
import shutil
import subprocess
import time
import urllib.parse

from lib import Server, Tap, wait_until

API = "/loki/api/v1/delete"


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
                          server.data], capture_output=True, text=True, timeout=30)
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
    tap.ok(wait_until(lambda: listed(server)[0]["status"] == "processed", 30), "without a delay it is carried out soon", listed(server))
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


def main():
    tap = Tap()
    ns = int(time.time() * 1e9)
    with Server(["--retention", "0"]) as server:
        test_refusals(tap, server, ns)
        at = test_hiding(tap, server, ns)
        test_receipt(tap, server, ns, at)
    tap.done()


if __name__ == "__main__":
    main()
