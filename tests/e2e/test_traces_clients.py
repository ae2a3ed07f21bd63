#!/usr/bin/env python3
"""Real clients: nginx in front of a node service that OpenTelemetry's SDK instruments, and zipkin's client. A request's trace is
read by its ID with the lines that nginx and the service wrote about it. Speaks TAP."""
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import spans  # noqa: E402
from lib import Server, Tap, free_port, wait_until  # noqa: E402

S = 10**9
CALLER = "00f067aa0ba902b7"
CONFIG = """
daemon off;
pid {dir}/nginx.pid;
error_log {dir}/error.log;
worker_processes 1;
events {{ worker_connections 64; }}
http {{
    log_format traced escape=json '{{"time":"$msec","request":"$request","status":$status,"traceparent":"$http_traceparent"}}';
    access_log {dir}/access.log traced;
    client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3; uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
    server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{service}; proxy_set_header traceparent $http_traceparent; }} }}
}}
"""


def requests(port, ids):
    """A request with each trace ID, every third failing; the statuses."""
    conn = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    statuses = []
    for n, trace_id in enumerate(ids):
        conn.request("GET", "/cart/%d%s" % (n, "?fail" if n % 3 == 0 else ""), headers={"traceparent": "00-%s-%s-01" % (trace_id, CALLER)})
        answer = conn.getresponse()
        answer.read()
        statuses.append(answer.status)
    return statuses


def serve(folder, server, kind, ids):
    """Runs service and nginx for the requests; what they logged."""
    service = subprocess.Popen(["node", "traced.js", server.url, kind, kind], cwd=spans.CLIENTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=open(os.path.join(folder, "service.log"), "w"))
    nginx = None
    try:
        port = free_port()
        config = os.path.join(folder, "nginx.conf")
        with open(config, "w") as f:
            f.write(CONFIG.format(dir=folder, port=port, service=int(service.stdout.readline())))
        nginx = subprocess.Popen(["/usr/sbin/nginx", "-c", config, "-e", os.path.join(folder, "error.log")])

        def up():
            try:
                http.client.HTTPConnection("127.0.0.1", port, timeout=120).connect()
                return True
            except OSError:
                return False
        assert wait_until(up)
        statuses = requests(port, ids)
    finally:
        if nginx is not None:
            nginx.terminate()
            nginx.wait()
        service.communicate(timeout=120)
    with open(os.path.join(folder, "access.log")) as f, open(os.path.join(folder, "service.log")) as g:
        return statuses, f.read().splitlines(), [line for line in g.read().splitlines() if line.startswith("{")], service.returncode


def push_lines(server, kind, access, application):
    """As agents do: nginx's with the ID as metadata, the service's as they are."""
    nginx = []
    for line in access:
        fields = json.loads(line)
        nginx.append((int(float(fields["time"]) * 1000) * 10**6, line, {"trace_id": fields["traceparent"].split("-")[1]}))
    shop = [(json.loads(line)["ms"] * 10**6, line) for line in application]
    return server.push([({"service_name": "nginx", "file": "access.log"}, nginx), ({"service_name": "shop-" + kind}, shop)], tenant=kind).status


def by_name(tree):
    return {s["name"]: s for s in tree["services"]}


def check_tree(tap, server, kind, ids):
    tenant = {"X-Scope-OrgID": kind}
    for n in (0, 1):
        answer = server.get("/mstore/api/v1/trace/" + ids[n], headers=tenant)
        tree = answer.json()
        services = by_name(tree)
        shop, nginx = services.get("shop-" + kind, {"spans": [], "logs": []}), services.get("nginx", {"spans": [], "logs": []})
        names = [(s["name"], s["depth"], s["kind"]) for s in shop["spans"]]
        tap.equal(names, [("GET", 0, "server"), ("GET", 1, "client"), ("GET", 2, "server")], "%s: the request, the call, its other side, below each other" % kind)
        tap.equal([s["parentSpanID"] for s in shop["spans"]][:1], [CALLER], "the caller is nginx's own caller")
        tap.equal([json.loads(e["line"])["request"].split()[1].split("?")[0] for e in nginx["logs"]], ["/cart/%d" % n], "nginx's line is there")
        lines = [e["line"] for s in shop["spans"] for e in s["logs"]]
        tap.ok(len(lines) == 2 and any("cart asked" in line for line in lines) and "price is asked" in lines, "the service's line and its log record are below their span", lines)
        tap.equal((tree["spanCount"], tree["logCount"]), (3, 3), "and that is all")
        if n == 0:
            tap.ok(shop["errorCount"] >= 1 and shop["spans"][0]["status"] == "error", "it failed")
            tap.ok(any(e["name"] == "exception" and e["attributes"]["exception.message"] == "card declined" for s in shop["spans"] for e in s["events"]), "and why")
        text = server.get("/mstore/api/v1/trace/" + ids[n], headers=dict(tenant, Accept="text/plain"))
        tap.ok(text.headers["content-type"].startswith("text/plain") and text.text.startswith("trace " + ids[n]) and text.text.count("| ") == 3, "as text", text.text[:600])
        tap.equal(server.get("/mstore/api/v1/trace/" + ids[n], {"format": "text"}, tenant).text, text.text, "likewise")


def check_tempo(tap, server, kind, ids):
    tenant = {"X-Scope-OrgID": kind}
    for n, trace_id in enumerate(ids):
        body = server.get("/api/v2/traces/" + trace_id, headers=dict(tenant, Accept="application/protobuf")).body
        resources = spans.decode("TraceByIDResponse", [body])[0]["trace"].get("resourceSpans", [])
        got = [s for r in resources for ss in r["scopeSpans"] for s in ss["spans"]]
        tap.ok(len(got) == 3 and {s["traceId"] for s in got} == {trace_id}, "%s: trace %d has its three spans" % (kind, n), len(got))
    now = int(time.time())
    found = server.get("/api/search", {"q": '{resource.service.name="shop-%s" && span.http.response.status_code = 500 || span.http.status_code = 500}' % kind, "start": now - 600, "end": now + 60,
                                       "limit": 100}, tenant).json()["traces"]
    tap.equal(sorted(t["traceID"] for t in found), sorted(ids[::3]), "%s: the search finds those that failed" % kind)


def zipkin(tap, server):
    out = subprocess.run(["node", "zipkin.js", server.url], cwd=spans.CLIENTS, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
    if not tap.equal(out.returncode, 0, "zipkin's client sends a trace"):
        tap.note(out.stderr.decode())
        return
    trace_id = out.stdout.decode().strip()
    got = spans.spans_of(server.get("/api/traces/" + trace_id).json())
    names = sorted((s["name"], s["kind"], s.get("status", {}).get("code")) for _, s in got.values())
    tap.equal(names, [("charge", "SPAN_KIND_CLIENT", "STATUS_CODE_ERROR"), ("pay", "SPAN_KIND_SERVER", None)], "and it is read back")
    tap.equal({r["service.name"]["stringValue"] for r, _ in got.values()}, {"till"}, "from its service")


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory() as folder, Server() as server:
        zipkin(tap, server)
        everything = {}
        for number, kind in enumerate(("proto", "http")):
            place = os.path.join(folder, kind)
            os.mkdir(place)
            ids = everything[kind] = ["%032x" % (((number + 1) << 100) + (time.time_ns() << 8) + n) for n in range(6)]
            statuses, access, application, code = serve(place, server, kind, ids)
            tap.equal((statuses, len(access), len(application), code), ([500, 200, 200] * 2, 6, 6, 0), "%s: nginx and the service answer and log" % kind)
            tap.equal(push_lines(server, kind, access, application), 204, "%s: their lines are pushed" % kind)
        for state in ("memory", "segments"):
            for kind, ids in everything.items():
                tap.note("from " + state)
                check_tempo(tap, server, kind, ids)
                check_tree(tap, server, kind, ids)
            server.post("/flush")
        other = server.get("/mstore/api/v1/trace/" + everything["proto"][0], headers={"X-Scope-OrgID": "http"})
        tap.equal((other.status, other.text), (404, "no such trace"), "another tenant's trace is none")
        for params, text in (({"limit": 0}, "limit: limit must be a positive value"), ({"limit": 5001}, "limit: at most 5000 log entries, not 5001"), ({"format": "x"}, "format: expected json or text")):
            got = server.get("/mstore/api/v1/trace/1", params)
            tap.equal((got.status, got.text), (400, text), "refused: %s" % params)
        one = server.get("/mstore/api/v1/trace/" + everything["proto"][0], {"limit": 1}, {"X-Scope-OrgID": "proto"}).json()
        tap.ok(one["logCount"] == 1 and one["warnings"] == ["of the log entries the first 1 are here (limit)"], "a limit of log entries is told", one.get("warnings"))
        tap.equal(server.get("/mstore/api/v1/trace/" + everything["proto"][0], {"limit": 5000}, {"X-Scope-OrgID": "proto"}).status, 200, "5000 may be asked for")
    tap.done()


main()
