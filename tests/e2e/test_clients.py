#!/usr/bin/env python3
"""Real access logs by real clients: nginx serves requests, its log is pushed by curl, winston-loki and pino-loki, and what the
server answers is what grep finds in the file. Speaks TAP."""
import http.client
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import ROOT, Server, Tap, free_port, wait_until  # noqa: E402

CLIENTS = os.path.join(ROOT, "tests", "clients")
REQUESTS = 4000
LINES_PER_PUSH = 500

CONFIG = """
daemon off;
pid {dir}/nginx.pid;
error_log {dir}/error.log;
worker_processes 1;
events {{ worker_connections 64; }}
http {{
    log_format timed '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" rt=$request_time';
    access_log {dir}/access.log timed;
    client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3; uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
    server {{ listen 127.0.0.1:{port}; root {dir}/www; keepalive_requests 100000; }}
}}
"""


def serve_requests(folder):
    """Some thousand requests to a real nginx; returns the lines of its access log."""
    os.makedirs(os.path.join(folder, "www"))
    for name in ("index.html", "app.js", "404.txt"):
        with open(os.path.join(folder, "www", name), "w") as f:
            f.write("hello\n" * 10)
    port = free_port()
    config = os.path.join(folder, "nginx.conf")
    with open(config, "w") as f:
        f.write(CONFIG.format(dir=folder, port=port))
    nginx = subprocess.Popen(["/usr/sbin/nginx", "-c", config, "-e", os.path.join(folder, "error.log")])
    try:
        chance = random.Random(1)
        conn = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

        def up():
            try:
                conn.request("GET", "/")
                return conn.getresponse().read() is not None
            except OSError:
                conn.close()
                return False
        assert wait_until(up)
        for n in range(REQUESTS):
            path = chance.choice(["/", "/index.html", "/app.js", "/404.txt", "/wp-login.php", "/.env", "/missing/%d" % n, "/?q=%22a%22"])
            agent = chance.choice(["curl/8.5", "Mozilla/5.0 (X11; Linux)", 'bad "quoted" agent', "sqlmap/1.7"])
            conn.request(chance.choice(["GET", "GET", "HEAD"]), path, headers={"User-Agent": agent, "Referer": "https://e.org/%d" % n})
            conn.getresponse().read()
    finally:
        nginx.terminate()
        nginx.wait()
    with open(os.path.join(folder, "access.log")) as f:
        return f.read().splitlines()


def push_by_curl(url, lines, folder):
    now = time.time_ns()
    for first in range(0, len(lines), LINES_PER_PUSH):
        part = lines[first:first + LINES_PER_PUSH]
        path = os.path.join(folder, "push.json")
        with open(path, "w") as f:
            json.dump({"streams": [{"stream": {"job": "nginx", "client": "curl"},
                                    "values": [[str(now + first + i), line] for i, line in enumerate(part)]}]}, f)
        status = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Content-Type: application/json",
                                 "--data-binary", "@" + path, url + "/loki/api/v1/push"], stdout=subprocess.PIPE).stdout
        if status != b"204":
            return status
    return b"204"


def found(server, query, since):
    """All lines of a query, page by page: the next one begins with the whole of the nanosecond in which the last one was cut."""
    out, end = [], time.time_ns() + 10**9
    while True:
        answer = server.query_range(query, since, end, limit=5000, direction="backward")["data"]["result"]
        page = sorted((int(v[0]), v[1]) for s in answer for v in s["values"])
        if len(page) < 5000:
            return [line for _, line in out + page]
        oldest = page[0][0]
        out += [entry for entry in page if entry[0] > oldest]
        assert page[-1][0] > oldest, "a page of one nanosecond"
        end = oldest + 1


def expressions(dashboard):
    with open(os.path.join(ROOT, "contrib", "grafana", "dashboards", dashboard)) as f:
        for panel in json.load(f)["panels"]:
            for target in panel["targets"]:
                yield panel["title"], target["expr"], target.get("queryType")


def dashboards(tap, server):
    """Every panel of the dashboard answers something over nginx's log, and names metrics that there are."""
    now = time.time_ns()
    for title, expr, kind in expressions("nginx.json"):
        query = expr.replace("$job", "nginx").replace("$__auto", "5m").replace("$__range", "1h")
        path, params = ("query", {"time": now}) if kind == "instant" else \
            ("query_range", {"start": now - 3600 * 10**9, "end": now + 10**9, "step": 15, "limit": 100})
        a = server.get("/loki/api/v1/" + path, dict(params, query=query))
        tap.ok(a.status == 200 and a.json()["data"]["result"], "dashboard: " + title, a.text[:500])
    metrics = set(re.findall(r"^(mstore_\w+)", server.get("/metrics").text, re.M))
    for title, expr, _ in expressions("mstore.json"):
        names = set(re.findall(r"mstore_\w+", expr))
        tap.ok(names and names <= metrics, "dashboard of mstore: " + title, names - metrics)


def readme_queries(tap, server):
    """The queries of the README over nginx's log."""
    with open(os.path.join(ROOT, "README.md")) as f:
        text = f.read().split("## Who was that?")[1].split("##")[0]
    block = "\n".join(line[4:] for line in text.splitlines() if line.startswith("    "))
    queries = [q.strip() for q in re.split(r"^#.*$", block, flags=re.M) if q.strip()]
    now = time.time_ns()
    for query in queries:
        query = query.replace("203.0.113.7", "127.0.0.1")
        a = server.get("/loki/api/v1/query_range", {"query": query, "start": now - 36000 * 10**9, "end": now + 10**9, "step": 60})
        empty_is_right = "status >= 500" in query  # nginx had none
        tap.ok(a.status == 200 and (a.json()["data"]["result"] or empty_is_right), "README: " + query.splitlines()[0], a.text[:300])
    tap.ok(len(queries) >= 4, "the README has queries")


def opentelemetry(tap):
    """Half of the records before a crash of the server, half after: each is there once."""
    count = 100
    for kind in ("http", "proto"):
        with Server(["--listen", "127.0.0.1:%d" % free_port()]) as server:
            url = server.url + ("/otlp/v1/logs" if kind == "http" else "/v1/logs")
            proc = subprocess.Popen(["node", "otel.js", url, kind, str(count)], cwd=CLIENTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            tap.equal(proc.stdout.readline(), b"half\n", "OpenTelemetry (%s) exports" % kind)
            server.kill9()
            server.start()
            proc.communicate(b"go\n", timeout=120)
            answer = server.query_range('{service_name="shop-%s"}' % kind, tenant="otel-" + kind, flags="categorize-labels")["data"]["result"]
            entries = [v for s in answer for v in s["values"]]
            tap.equal(sorted(v[1] for v in entries), sorted("declined %d" % i for i in range(count)), "each record once, over a crash")
            m = next(v[2]["structuredMetadata"] for v in entries if v[1] == "declined 7")
            tap.equal({k: m.get(k) for k in ("host_name", "http_status_code", "nested_method", "list", "n", "severity_text", "scope_name", "detected_level")},
                      {"host_name": "h1", "http_status_code": "500", "nested_method": "GET", "list": '[1,"two"]', "n": "7", "severity_text": "ERROR",
                       "scope_name": "app", "detected_level": "error"}, "with its attributes")


def crashes(tap):
    """Clients that log on while the server is killed again and again: what was acknowledged is there once, nothing is there twice."""
    kills, more = 5, 2000
    for client in ("winston-json", "winston-protobuf", "pino"):
        with Server(["--retention", "0", "--listen", "127.0.0.1:%d" % free_port()]) as server:
            since = time.time_ns() - 10**9
            proc = subprocess.Popen(["node", "steady.js", server.url, client, str(more)], cwd=CLIENTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            chance = random.Random(client)
            tap.ok(wait_until(lambda: found(server, '{job="%s"}' % client, since)), "%s logs" % client)
            for _ in range(kills):
                time.sleep(0.2 + chance.random() / 5)
                server.kill9()
                time.sleep(chance.random() / 10)
                server.start()
            out = proc.communicate(timeout=120)[0].decode().splitlines()
            count = int(out[0]) if proc.returncode == 0 else 0
            tap.ok(count > more, "%s logs on over %d kills, %d lines" % (client, kills, count))
            acknowledged = sorted(out[1:])
            got = found(server, '{job="%s"}' % client, since)
            if client == "pino":
                got = [json.loads(line)["msg"] for line in got]
                tap.ok(more / 2 < len(acknowledged) <= count, "%s: %d of %d lines are acknowledged" % (client, len(acknowledged), count))
            else:
                tap.equal(len(acknowledged), count, client + " repeats what was not acknowledged")
            tap.equal(sorted(set(acknowledged) - set(got)), [], client + ": what was acknowledged is there")
            tap.equal(len(got), len(set(got)), client + ": and once")


def main():
    tap = Tap()
    opentelemetry(tap)
    crashes(tap)
    with tempfile.TemporaryDirectory() as folder, Server() as server:
        since = time.time_ns() - 60 * 10**9
        lines = serve_requests(folder)
        log = os.path.join(folder, "access.log")
        tap.ok(len(lines) > REQUESTS, "nginx logged %d requests" % len(lines))
        tap.equal(push_by_curl(server.url, lines, folder), b"204", "curl pushes them as JSON")
        env = {**os.environ, "NODE_PATH": os.path.join(CLIENTS, "node_modules")}
        for client, args in (("winston-protobuf", ["winston.js", server.url, log, "protobuf"]),
                             ("winston-json", ["winston.js", server.url, log, "json"]), ("pino", ["pino.js", server.url, log])):
            out = subprocess.run(["node"] + args, cwd=CLIENTS, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
            tap.ok(out.returncode == 0, client + " pushes them", out.stdout.decode())
        grep = subprocess.run(["grep", "404", log], stdout=subprocess.PIPE).stdout.decode().splitlines()
        tap.ok(0 < len(grep) < len(lines), "grep finds 404 in %d lines" % len(grep))
        for state in ("the log", "segments"):
            for client in ("curl", "winston-protobuf", "winston-json"):
                got = found(server, '{job="nginx", client="%s"} |= "404"' % client, since)
                tap.ok(sorted(got) == sorted(grep), "%s: from %s the query finds what grep finds" % (client, state),
                       "%d lines, grep %d" % (len(got), len(grep)))
            # pino wraps each line in a message of its own.
            got = found(server, '{job="nginx", client="pino"} |= "404"', since)
            messages = sorted(json.loads(line)["msg"] for line in got if "404" in json.loads(line)["msg"])
            tap.ok(messages == sorted(grep), "pino: from %s likewise" % state, "%d lines, grep %d" % (len(messages), len(grep)))
            addresses = subprocess.run(["grep", "-cE", "sqlmap.*", log], stdout=subprocess.PIPE).stdout
            got = found(server, '{job="nginx", client="curl"} |~ "sqlmap.*" |= ip("127.0.0.0/8")', since)
            tap.equal(len(got), int(addresses), "regular expressions and ip() agree with grep from " + state)
            server.post("/flush")
        tap.equal(sorted(server.get("/loki/api/v1/label/client/values").json()["data"]), ["curl", "pino", "winston-json", "winston-protobuf"],
                  "the label's values are the clients")
        dashboards(tap, server)
        readme_queries(tap, server)
    tap.done()


if __name__ == "__main__":
    main()
