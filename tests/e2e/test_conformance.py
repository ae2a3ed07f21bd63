#!/usr/bin/env python3
"""The recorded answers of the reference server, and what its clients sent, against a fresh mstored. Speaks TAP."""
import gzip
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import spans  # noqa: E402
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
TRACES_OVERRULED = {"pipeline-013": "what a span does not have is left out, not sent as the text nil",
                    "pipeline-017": "a number is compared as a number, whether it is written with a point or not"}
SPANS_OVERRULED = {"otlp-json-022": "nothing is cut in silence"}


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


def check_overruled_traces(tap, server):
    window = json.loads(next(iter(gzip.open(os.path.join(HERE, "traceql", "traces.cases.jsonl.gz"), "rt", encoding="utf-8"))))["params"]

    def ask(q):
        return server.get("/api/search", dict(window, q=q), {"X-Scope-OrgID": "core"}).json()["traces"]
    shown = [a for t in ask("{ status = error } | select(span.http.status_code, resource.cluster)") for s in t["spanSets"] for span in s["spans"]
             for a in span.get("attributes", [])]
    tap.ok(any(a["key"] == "http.status_code" for a in shown) and not any(a["value"] == {"stringValue": "nil"} for a in shown), "pipeline-013: " + TRACES_OVERRULED["pipeline-013"])
    found = [sorted(t["traceID"] for t in ask('{ name = "charge" } | { span.payment.amount > %s }' % n)) for n in ("700", "700.0")]
    tap.ok(found[0] == found[1] and found[0], "pipeline-017: " + TRACES_OVERRULED["pipeline-017"], [len(f) for f in found])


def check_overruled_spans(tap, server):
    trace = spans.Trace("%032x" % 0x5eed)
    trace.span("s" * 5000, "long", 1700000000 * 10**9, 1, attributes={"k" * 3000: "v" * 5000})
    spans.push(server, [trace])
    resource, span = next(iter(spans.spans_of(server.get("/api/traces/5eed").json()).values()))
    tap.ok(resource["service.name"]["stringValue"] == "s" * 5000 and span["attributes"][0] == {"key": "k" * 3000, "value": {"stringValue": "v" * 5000}},
           "otlp-json-022: " + SPANS_OVERRULED["otlp-json-022"])


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
            run(tap, "TraceQL " + group, ["run_traces.py", server.url, "--no-push", "--only", group, "-v"], TRACES_OVERRULED)
        check_overruled_traces(tap, server)
        tap.ok(server.post("/flush").status == 204, "everything is sealed")
        for group in TRACE_GROUPS:
            run(tap, "on segments: TraceQL " + group, ["run_traces.py", server.url, "--no-push", "--only", group, "-v"], TRACES_OVERRULED)
    with Server(["--retention", "0"]) as server:
        for group in SPAN_GROUPS:
            run(tap, "spans " + group, ["run_ingest_traces.py", server.url, "--only", group, "-v"], SPANS_OVERRULED)
        check_overruled_spans(tap, server)
    with Server(["--retention", "0"]) as server:
        for client in CLIENTS:
            run(tap, "replayed " + client, ["replay_captures.py", server.url, "--only", client, "--verify"])
    tap.done()


if __name__ == "__main__":
    main()
