#!/usr/bin/env python3
"""Makes a golden store with spans: make_spans_store.py FOLDER. The folder must not exist; README.md tells what is in it."""
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import make_spans  # noqa: E402
from lib import Server, binary, wait_until  # noqa: E402

DUMP = os.path.join(os.path.dirname(os.path.dirname(binary())), "tools", "mstore-dump")
TENANTS = ("shop", "bank")


def push(server, tenant, seed, first_trace):
    body = make_spans.request(seed, 12, first_trace)
    answer = server.post("/v1/traces", json.dumps(body), {"Content-Type": "application/json", "X-Scope-OrgID": tenant})
    lines = [(int(s["startTimeUnixNano"]) + 1, "served " + s["name"], {"trace_id": s["traceId"], "span_id": s["spanId"]})
             for r in body["resourceSpans"] for k in r["scopeSpans"] for s in k["spans"][::3]]
    pushed = server.push([({"app": "web", "seed": str(seed)}, lines)], tenant=tenant)
    if answer.status != 200 or pushed.status != 204:
        sys.exit("refused: %s %s" % (answer.text, pushed.text))


def dump(path, row, *command):
    """What a command prints of each tenant, line by line through row(), sorted."""
    rows = []
    for tenant in TENANTS:
        out = subprocess.run([DUMP, *command, "--tenant", tenant], stdout=subprocess.PIPE, check=True)
        rows += [row(line, tenant) for line in out.stdout.decode("utf-8").split("\n")[:-1]]
    with open(path, "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as f:
        f.write(("\n".join(sorted(rows)) + "\n").encode("utf-8"))


def main():
    folder = sys.argv[1]
    os.mkdir(folder)
    with tempfile.TemporaryDirectory() as data:
        with Server(["--retention", "0"], data=data) as server:
            for n in range(4):
                push(server, TENANTS[n % 2], n, 1 + n * 10)  # neighbours share traces, and spans of them
                server.post("/flush")
            if not wait_until(lambda: len(os.listdir(os.path.join(data, "segments"))) == 1, 30):
                sys.exit("nothing was compacted")
            push(server, TENANTS[0], 4, 41)
            server.post("/flush")
            push(server, TENANTS[0], 4, 41)
            push(server, TENANTS[1], 5, 51)
            server.kill9()
        for part in ("segments", "wal"):
            shutil.copytree(os.path.join(data, part), os.path.join(folder, part))
        dump(os.path.join(folder, "expected.ndjson.gz"), lambda line, tenant: json.dumps(dict(json.loads(line), tenant=tenant), sort_keys=True),
             "cat", data, "--format", "ndjson")
        # Not parsed: an object may have a name twice.
        dump(os.path.join(folder, "spans.ndjson.gz"), lambda line, tenant: '{"tenant":"%s",%s' % (tenant, line[1:]),
             "export", data, "--what", "spans")


if __name__ == "__main__":
    main()
