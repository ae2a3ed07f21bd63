#!/usr/bin/python3
"""mstore-dump export: NDJSON, CSV and SQLite of a data directory, as somebody would use them who was handed a copy of it."""
import csv
import io
import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
import time

from lib import Server, Tap, binary

DUMP = os.path.join(os.path.dirname(binary()), "..", "tools", "mstore-dump")
S = 10**9
BASE = time.time_ns() // S * S - 600 * S
TRACE = "0123456789abcdef0123456789abcdef"


def span(number, parent, name, **more):
    return dict({"traceId": TRACE, "spanId": "%016x" % number, "parentSpanId": "%016x" % parent if parent else "", "name": name, "kind": 2,
                 "startTimeUnixNano": str(BASE + number * 1000), "endTimeUnixNano": str(BASE + number * 1000 + 500)}, **more)


SPANS = [
    span(1, 0, "GET /cart", attributes=[{"key": "http.status_code", "value": {"intValue": "500"}},
                                        {"key": "tags", "value": {"arrayValue": {"values": [{"stringValue": "a\"b"}, {"intValue": "2"}]}}}],
         status={"code": 2, "message": "no, \"really\""},
         events=[{"timeUnixNano": str(BASE + 1100), "name": "exception",
                  "attributes": [{"key": "exception.type", "value": {"stringValue": "Timeout"}}]}]),
    span(2, 1, "SELECT", kind=3, attributes=[{"key": "ratio", "value": {"doubleValue": 0.25}}, {"key": "ok", "value": {"boolValue": True}}],
         links=[{"traceId": "f" * 32, "spanId": "1" * 16}]),
]


def export(*args):
    done = subprocess.run([DUMP, "export", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory() as top:
        data, copy = os.path.join(top, "data"), os.path.join(top, "copy")
        with Server(["--retention", "0"], data=data) as server:
            body = {"resourceSpans": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "cart"}}]},
                                       "scopeSpans": [{"scope": {"name": "lib", "version": "1"}, "spans": SPANS}]}]}
            for half in range(2):  # spans twice, in a segment and in the log: each is one
                server.push([({"app": "shop"}, [(BASE + half * 10 + i, 'line %d, "said"\nshe' % (half * 10 + i)) for i in range(10)])])
                answer = server.post("/v1/traces", json.dumps(body), {"Content-Type": "application/json"})
                tap.ok(answer.status == 200, "spans are taken", answer.text)
                if half == 0:
                    server.post("/flush")
            server.kill9()
        shutil.copytree(data, copy)

        code, out, err = export(copy)
        rows = [json.loads(line) for line in out.splitlines()]
        tap.ok(code == 0 and err == "" and len(rows) == 22, "NDJSON has every entry and span once, and is quiet in a pipe", err + out[:500])
        first = next(r for r in rows if r["kind"] == "span" and r["name"] == "GET /cart")
        tap.ok(first["attributes"] == {"http.status_code": 500, "tags": ['a"b', 2]} and first["status"] == "error" and
               first["trace_id"] == TRACE and first["resource"] == {"service.name": "cart"} and first["events"][0]["attributes"] == {"exception.type": "Timeout"},
               "a span with all it has", json.dumps(first))

        code, out, err = export(copy, "--what", "entries", "--query", '{app="shop"} |= "line 7"', "--format", "csv")
        rows = list(csv.DictReader(io.StringIO(out)))
        tap.ok(code == 0 and [r["line"] for r in rows] == ['line 7, "said"\nshe'] and rows[0]["time_ns"] == str(BASE + 7), "CSV by a query", out)
        name = os.path.join(top, "out.csv")
        code, _, err = export(copy, "--out", name)
        spans = list(csv.DictReader(open(os.path.join(top, "out.spans.csv"))))
        tap.ok(code == 0 and len(list(csv.DictReader(open(name)))) == 20 and [s["name"] for s in spans] == ["GET /cart", "SELECT"] and
               spans[1]["parent_id"] == "%016x" % 1, "CSV files of entries and of spans", err)
        code, _, err = export(copy, "--format", "csv")
        tap.ok(code == 2 and "--what" in err, "both kinds as CSV on standard output are refused", err)

        name = os.path.join(top, "out.db")
        code, _, err = export(copy, "--out", name)
        tap.ok(code == 0, "SQLite is written", err)
        shell = subprocess.run(["sqlite3", name, "select count(*) from entries; select s.name, e.name from spans s join events e on e.span = s.id;"
                                "select value from attributes where owner = 'span' and key = 'http.status_code' and value >= 500;"],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        tap.ok(shell.stdout.decode().split("\n")[:3] == ["20", "GET /cart|exception", "500"], "the sqlite3 shell reads it", shell.stdout.decode())
        db = sqlite3.connect(name)
        one = lambda q: db.execute(q).fetchall()
        tap.ok(one("select service, status, status_message, duration_ns from spans where parent_id is null") == [("cart", "error", 'no, "really"', 500)],
               "columns of a span")
        tap.ok(one("select key, type, value from attributes where owner = 'span' and owner_id = 2 order by key") == [("ok", "bool", 1), ("ratio", "double", 0.25)],
               "attributes keep their types")
        tap.ok(one("select trace_id from links") == [("f" * 32,)], "links")
        tap.ok(one("select l.value, count(*) from entries e join labels l on l.stream_id = e.stream_id and l.name = 'app' group by 1") == [("shop", 20)],
               "labels of streams")
        before = os.stat(name).st_mtime_ns
        code, _, err = export(copy, "--out", name)
        tap.ok(code == 2 and "exists" in err and os.stat(name).st_mtime_ns == before, "a file that is there is left alone", err)

        segment = os.path.join(copy, "segments", sorted(os.listdir(os.path.join(copy, "segments")))[0])
        code, out, err = export(segment)
        tap.ok(code == 0 and len(out.splitlines()) == 12, "one segment by itself", err)
        damaged = bytearray(open(segment, "rb").read())
        at = damaged.index(b"MSEG") + 60
        damaged[at] ^= 1
        open(segment, "wb").write(damaged)
        code, out, err = export(copy)
        tap.ok(code == 1 and "incomplete" in err and len(out.splitlines()) >= 10, "with a damaged block the rest comes, and it is told", err)
    tap.done()


if __name__ == "__main__":
    main()
