#!/usr/bin/env python3
"""The recorded answers of the reference server, and what its clients sent, against a fresh mstored. Speaks TAP."""
import gzip
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import ROOT, Server, Tap  # noqa: E402

HERE = os.path.join(ROOT, "tests", "conformance")
# Groups of recorded queries that this version answers.
CLIENTS = ["promtail-*", "winston-*", "pino-*", "syslog-ng-*", "wget-*", "node-fetch-*", "java-*", "otel-js-*", "logcli-*", "grafana-*",
           "curl-admin", "curl-query*", "curl-otlp-*", "curl-push-[!b]*", "curl-http2-upgrade",
           "zipkin-*", "aiozipkin", "curl-zipkin", "*-jaeger", "jaeger-js"]
TRACE_GROUPS = ["filter", "structure", "pipeline", "metrics", "tags", "legacy", "byid"]
SPAN_GROUPS = ["otlp-json", "otlp-protobuf", "zipkin1", "zipkin2"]
QUERY_GROUPS = ["selector", "linefilter", "json", "logfmt", "regexp_pattern", "template", "unwrap", "range_agg", "binop", "instant"]
# Recorded answers that the rules overrule: case, rule, and a check that ours obeys it.
OVERRULED = {"selector-040": "an entry whose time equals `start` is in the range"}


def run(tap, name, argv, overruled=()):
    out = subprocess.run([sys.executable] + argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=HERE)
    text = out.stdout.decode("utf-8", "replace")
    failed = [m for m in re.findall(r"^FAIL (\S+)", text, re.M) if m not in overruled]
    counted = re.search(r"^(\d+) passed, (\d+) failed", text, re.M)
    good = bool(counted) and int(counted[1]) > 0 and not failed and int(counted[2]) == len(
        [m for m in re.findall(r"^FAIL (\S+)", text, re.M)])
    tap.ok(good, "%s: %s passed" % (name, counted[1] if counted else "none"), text[-3000:])


def push_groups():
    with open(os.path.join(HERE, "push", "cases.jsonl")) as f:
        groups = {json.loads(line)["id"].rsplit("-", 1)[0] for line in f}
    return sorted(groups)


def check_overruled(tap, server):
    """Entries at exactly `start` are answered."""
    for line in gzip.open(os.path.join(HERE, "logql", "core.cases.jsonl.gz"), "rt", encoding="utf-8"):
        case = json.loads(line)
        if case["id"] not in OVERRULED:
            continue
        answer = server.get(case["path"], case["params"], {"X-Scope-OrgID": "core"}).json()
        start = int(case["params"]["start"]) * 10**9
        times = [int(v[0]) for s in answer["data"]["result"] for v in s["values"]]
        tap.ok(start in times and len(times) == int(case["params"]["limit"]), "%s: %s" % (case["id"], OVERRULED[case["id"]]))


def main():
    tap = Tap()
    with Server(["--retention", "0", "--require-tenant"]) as server:
        for group in push_groups():
            run(tap, "push " + group, ["run_push.py", server.url, "--only", group, "-v"])
    with Server(["--retention", "0", "--require-tenant"]) as server:
        run(tap, "queries %s" % QUERY_GROUPS[0], ["run.py", server.url, "--only", QUERY_GROUPS[0], "-v"], OVERRULED)
        for group in QUERY_GROUPS[1:]:
            run(tap, "queries " + group, ["run.py", server.url, "--no-push", "--only", group, "-v"])
        run(tap, "queries meta", ["run.py", server.url, "--no-push", "--only", "meta", "-v"])
        check_overruled(tap, server)
        # The same from segments.
        tap.ok(server.post("/flush").status == 204, "everything is sealed")
        for group in QUERY_GROUPS[1:]:
            run(tap, "on segments: " + group, ["run.py", server.url, "--no-push", "--only", group, "-v"])
    with Server(["--retention", "0", "--require-tenant"]) as server:
        run(tap, "TraceQL " + TRACE_GROUPS[0], ["run_traces.py", server.url, "--only", TRACE_GROUPS[0], "-v"])
        for group in TRACE_GROUPS[1:]:
            run(tap, "TraceQL " + group, ["run_traces.py", server.url, "--no-push", "--only", group, "-v"])
        tap.ok(server.post("/flush").status == 204, "everything is sealed")
        for group in TRACE_GROUPS:
            run(tap, "on segments: TraceQL " + group, ["run_traces.py", server.url, "--no-push", "--only", group, "-v"])
    with Server(["--retention", "0"]) as server:
        for group in SPAN_GROUPS:
            run(tap, "spans " + group, ["run_ingest_traces.py", server.url, "--only", group, "-v"])
    with Server(["--retention", "0"]) as server:
        for client in CLIENTS:
            run(tap, "replayed " + client, ["replay_captures.py", server.url, "--only", client, "--verify"])
    tap.done()


if __name__ == "__main__":
    main()
