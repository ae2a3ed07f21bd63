#!/usr/bin/python3
"""mstore-dump query against the server's own answers over the same data, and explain over HTTP."""
import csv
import io
import json
import os
import signal
import subprocess
import tempfile
import time

from lib import Server, Tap, binary

DUMP = os.path.join(os.path.dirname(binary()), "..", "tools", "mstore-dump")
S = 10**9
LOGS = '{app="shop"} | json | code >= 500'
METRIC = "sum by (level) (count_over_time({app=\"shop\"} | json [10s]))"


def dump(*args):
    done = subprocess.run([DUMP, "query", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return done.returncode, done.stdout, done.stderr


def main():
    tap = Tap()
    base = time.time_ns() // (60 * S) * 60 * S - 600 * S
    lines = [(base + i * S, json.dumps({"n": i, "code": 500 if i % 3 == 0 else 200, "level": "warn" if i % 2 else "info",
                                        "text": 'say "hi", twice'})) for i in range(90)]
    with tempfile.TemporaryDirectory() as data:
        with Server(["--retention", "0"], data=data) as server:
            server.push([({"app": "shop"}, lines[:60])])
            server.post("/flush")
            server.push([({"app": "shop"}, lines[60:])])
            logs = server.query_range(LOGS, base, base + 100 * S)["data"]["result"]
            metric = server.query_range(METRIC, base, base + 90 * S, step="10s")["data"]["result"]
            a = server.get("/loki/api/v1/query_range", {"query": METRIC, "start": base, "end": base + 90 * S, "step": 10, "explain": 1})
            tap.ok(a.status == 200 and a.headers["content-type"].startswith("text/plain") and
                   "parsers    extract only level" in a.text and "lines        90 scanned" in a.text, "explain over HTTP", a.text)
            server.kill9()
        expected = sorted((int(v[0]), v[1]) for s in logs for v in s["values"])
        span = ["--from", str(base), "--to", str(base + 100 * S)]

        status, out, _ = dump(data, LOGS, "--forward", "--format", "lines")
        tap.equal((status, out.splitlines()), (0, [line for _, line in expected]), "lines, from segment and log")
        status, out, _ = dump(data, LOGS, "--limit", "7")
        tap.equal(out.splitlines(), [line for _, line in expected[::-1]][:7], "the newest first, as many as asked for")
        status, out, _ = dump(data, LOGS, "--forward", "--format", "ndjson")
        tap.equal([(int(e["time"]), e["line"]) for e in map(json.loads, out.splitlines())], expected, "ndjson")
        status, out, _ = dump(data, LOGS, "--forward", "--format", "csv")
        tap.equal([(int(r["time"]), r["line"]) for r in csv.DictReader(io.StringIO(out))], expected, "csv")
        status, out, _ = dump(data, LOGS, "--format", "json", *span)
        tap.equal(sorted((int(v[0]), v[1]) for s in json.loads(out)["data"]["result"] for v in s["values"]), expected, "json")
        steps = ["--from", str(base), "--to", str(base + 90 * S), "--step", "10s"]
        status, out, _ = dump(data, METRIC, "--format", "json", *steps)
        tap.equal(json.loads(out)["data"]["result"], metric, "a metric query answers as the server did")
        status, out, _ = dump(data, METRIC, "--format", "csv", *steps)
        got = {(r["labels"], int(r["time"]), r["value"]) for r in csv.DictReader(io.StringIO(out))}
        tap.equal(got, {('{level="%s"}' % s["metric"]["level"], v[0] * S, v[1]) for s in metric for v in s["values"]}, "and as csv")
        status, out, _ = dump(data, METRIC, "--to", str(base + 30 * S))
        tap.equal(sorted(out.splitlines()), ['{level="%s"} 5 %d' % (level, base + 30 * S) for level in ("info", "warn")], "once, at --to")
        status, out, _ = dump(data, LOGS, "--explain")
        tap.ok(status == 0 and "selection    {app=\"shop\"}" in out and "90 scanned" in out, "--explain", out)
        for args, text in (((data, "{app="), "parse error at line 1, col 6"), ((data,), "which query?"), ((data, "{a=\"b\"}", "--limit", "0"), "--limit"),
                           ((data, "{a=\"b\"}", "--step", "x"), "--step"), ((data, "{a=\"b\"}", "--nonsense", "1"), "unknown option"),
                           ((data, "{a=\"b\"}", "more"), "unexpected argument"), ((data, "{a=\"b\"}", "--from"), "needs a value")):
            status, out, err = dump(*args)
            tap.ok(status == 2 and text in err and not out, "wrong usage: %s" % " ".join(args[1:]), err)
        with tempfile.TemporaryDirectory() as scratch:
            proc = subprocess.Popen([DUMP, "cat", data], stdout=subprocess.PIPE, env={**os.environ, "TMPDIR": scratch})
            proc.stdout.close()
            tap.equal((proc.wait(), os.listdir(scratch)), (-signal.SIGPIPE, []), "who reads no further ends it, and nothing stays in TMPDIR")
            done = subprocess.run([DUMP, "cat", data], stdout=subprocess.DEVNULL, env={**os.environ, "TMPDIR": scratch})
            tap.equal((done.returncode, os.listdir(scratch)), (0, []), "nor otherwise")
        status, out, err = dump(data + "/missing", LOGS)
        tap.ok(status == 3 and "missing" in err, "a directory that is not there", err)
    tap.done()


main()
