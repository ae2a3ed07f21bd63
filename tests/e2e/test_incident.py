#!/usr/bin/python3
"""mstore-dump as somebody uses it who was handed a copy of a data directory: find a line, show its trace, export to SQLite, bundle
the incident, and open the bundle elsewhere, also with a server. Speaks TAP."""
import json
import os
import shutil
import subprocess
import tempfile

import make_spans
from lib import Server, Tap, binary

DUMP = os.path.join(os.path.dirname(binary()), "..", "tools", "mstore-dump")
BASE = make_spans.BASE_NS
TRACE = "000000000000000000000000cafe0001"
OTHER = "000000000000000000000000cafe0002"


def dump(*args):
    done = subprocess.run([DUMP, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return done.returncode, done.stdout, done.stderr


def span(trace, number, parent, name, **more):
    return dict({"traceId": trace, "spanId": "%016x" % number, "parentSpanId": "%016x" % parent if parent else "", "name": name, "kind": 2,
                 "startTimeUnixNano": str(BASE + number * 10**6), "endTimeUnixNano": str(BASE + number * 10**6 + 5 * 10**6)}, **more)


def spans_of(service, spans):
    return {"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
            "scopeSpans": [{"scope": {"name": "lib"}, "spans": spans}]}


def fill(server):
    """An incident in the middle of other things, partly in segments, partly in the log."""
    post = lambda body: server.post("/v1/traces", json.dumps(body), {"Content-Type": "application/json"}).status
    statuses = [post({"resourceSpans": [spans_of("front", [span(TRACE, 1, 0, "GET /cart", status={"code": 2, "message": "refused"})])]}),
                post(make_spans.request(7, 30))]
    server.push([({"app": "front"}, [(BASE + 10**6 + i, "before %d" % i) for i in range(50)])])
    server.push([({"app": "front", "service_name": "front"},
                  [(BASE + 2 * 10**6, "card refused", {"trace_id": TRACE, "span_id": "%016x" % 1}),
                   (BASE + 2 * 10**6 + 1, 'level=error trace_id=%s msg="said in the line"' % TRACE)])])
    server.post("/flush")
    statuses.append(post({"resourceSpans": [spans_of("store", [span(TRACE, 2, 1, "SELECT"), span(OTHER, 3, 0, "SELECT")])]}))
    server.push([({"app": "store"}, [(BASE + 3 * 10**6, "lock timeout", {"trace_id": TRACE}), (BASE + 4 * 10**6, "unrelated")])])
    return statuses


def rows(text):
    return sorted(text.split("\n")[:-1])


def export(path, *args):
    status, out, err = dump("export", path, *args)
    return rows(out) if status == 0 else [err]


def test_trace(tap, copy):
    status, out, err = dump("cat", copy, "--query", '{app="front"} |= "refused"', "--format", "ndjson")
    line = json.loads(out)
    tap.ok(status == 0 and line["metadata"]["trace_id"] == TRACE, "the line is found, and names its trace", out + err)
    status, out, err = dump("trace", TRACE, copy)
    order = [out.find(t) for t in ("GET /cart", "card refused", "SELECT", "lock timeout")]
    tap.ok(status == 0 and err == "" and -1 not in order and "said in the line" in out and "unrelated" not in out, "the trace as a tree", out + err)
    status, out, err = dump("trace", "CAFE0001", copy, "--json")
    tree = json.loads(out)
    tap.ok(status == 0 and "card refused" in out and "lock timeout" in out and isinstance(tree, dict), "and as JSON, by a short ID", out + err)
    for args, code, text in ((("trace", "0badcafe", copy), 1, "no such trace"), (("trace", "xyz", copy), 2, "hex digits"), (("trace", TRACE), 2, "which"),
                             (("trace", TRACE, copy, "--tenant", "nobody"), 1, "no such trace"), (("trace", TRACE, copy, "--what"), 2, "--what"),
                             (("trace", TRACE, copy + "/none"), 3, "none")):
        status, out, err = dump(*args)
        tap.ok(status == code and text in err and out == "", "trace: %s" % text, "%d %s%s" % (status, out, err))


def test_sqlite(tap, copy, top):
    name = os.path.join(top, "incident.db")
    status, _, err = dump("export", copy, "--out", name)
    shell = subprocess.run(["sqlite3", name, "select s.service, s.name from spans s where s.trace_id = '%s' order by s.start_ns;"
                            "select e.line from entries e join metadata m on m.entry_id = e.id and m.name = 'trace_id' "
                            "where m.value = '%s' order by e.time_ns;" % (TRACE, TRACE)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    tap.equal((status, shell.stdout.split("\n")[:-1]), (0, ["front|GET /cart", "store|SELECT", "card refused", "lock timeout"]), "sqlite3 joins both")


def test_stats(tap, copy):
    """Shares add up to what is stored."""
    status, out, err = dump("stats", copy, "--json")
    s = json.loads(out)
    files = [os.path.join(copy, "segments", f) for f in os.listdir(copy + "/segments")]
    inspected = [json.loads(dump("inspect", "--json", f)[1]) for f in files]
    tap.equal((status, err, s["segments"], s["file_bytes"], s["entries"], s["spans"]),
              (0, "", len(files), sum(map(os.path.getsize, files)), sum(i["entries"] for i in inspected), sum(i["spans"] for i in inspected)), "stats counts")
    columns = sum(s["parts"][c]["stored_bytes"] for c in ("times", "lengths", "lines", "metadata"))
    shares = lambda name: sum(item["stored_bytes"] for item in s[name])
    tap.ok(abs(shares("streams") - columns) < 10 and abs(shares("services") - s["parts"]["spans"]["stored_bytes"]) < 10 and
           abs(shares("tenants") - columns - s["parts"]["spans"]["stored_bytes"]) < 10, "shares of streams, services and tenants add up", out)
    of_front = next(i for i in s["services"] if i["service"] == "front")
    app = next(i for i in s["labels"] if i["label"] == "app")
    tap.ok(of_front["spans"] == 1 and app["streams"] == 1 and app["entries"] == 52, "services and labels", out[:2000])
    status, out, err = dump("stats", *files)
    tap.ok(status == 0 and "to 1" in out and '"front"' in out and err == "", "as text", out + err)
    for args, code, text in (((), 2, "which"), (("--what", copy), 2, "--what"), ((copy + "/none",), 3, "none")):
        status, out, err = dump("stats", *args)
        tap.ok(status == code and text in err, "stats: " + text, err)


def test_bundles(tap, copy, top):
    of_trace, of_query = os.path.join(top, "one.seg"), os.path.join(top, "incident.seg")
    status, out, err = dump("bundle", copy, "--trace", TRACE, "--out", of_trace)
    tap.ok(status == 0 and "3 entries, 2 spans of 1 traces" in out, "a trace is cut out", out + err)
    whole = dump("trace", TRACE, copy, "--json")[1]
    tap.equal(json.loads(dump("trace", TRACE, of_trace, "--json")[1]), json.loads(whole), "the bundle shows the same tree")
    tap.equal(rows(dump("cat", of_trace)[1]), sorted(["card refused", "lock timeout", 'level=error trace_id=%s msg="said in the line"' % TRACE]),
              "and has nothing else")

    query, window = '{service_name="front"} |= "refused"', ["--from", str(BASE), "--to", str(BASE + 10**9)]
    status, out, err = dump("bundle", copy, "--query", query, *window, "--out", of_query)
    tap.ok(status == 0 and "1 entries, 2 spans of 1 traces" in out, "a query is cut out, with the traces of its lines and services", out + err)
    tap.equal(rows(dump("export", of_query, "--what", "spans")[1]), [r for r in export(copy, "--what", "spans") if TRACE in r], "their spans are whole")
    everything = os.path.join(top, "everything.seg")
    status, out, err = dump("bundle", copy, "--query", '{service_name=~".+"}', "--out", everything)
    tap.equal(export(everything), export(copy), "a bundle of everything has everything")
    tap.equal(dump("inspect", everything)[0], 0, "inspect takes it by its name")
    reader = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "read_seg.py")
    independent = subprocess.run(["/usr/bin/python3", reader, "--spans", everything], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    tap.ok(independent.returncode == 0 and len(rows(independent.stdout)) == len(export(copy, "--what", "spans")), "the independent reader agrees",
           independent.stderr)

    data = os.path.join(top, "elsewhere")
    os.makedirs(data + "/segments")
    shutil.copy(of_trace, data + "/segments/0000000000000001.seg")
    with Server(["--retention", "0"], data=data) as server:
        answer = server.get("/mstore/api/v1/trace/" + TRACE)
        tap.equal((answer.status, answer.json()), (200, json.loads(whole)), "a server opens it as the file of a new directory")
        tap.equal(len(server.lines('{app=~".+"}', BASE, BASE + 10**9)), 3, "and finds its lines")
        server.stop()
    tap.equal(dump("verify", data)[0], 0, "which verifies")

    for args, code, text in ((("--trace", TRACE, "--out", of_trace), 2, "exists"), (("--trace", "1", "--out", top + "/x.seg"), 1, "nothing is selected"),
                             (("--query", "{a=", "--out", top + "/x.seg"), 2, "parse error"), (("--out", top + "/x.seg"), 2, "--trace ID or"),
                             (("--trace", TRACE, "--out", top + "/x.db"), 2, "FILE.seg"), (("--trace", "..", "--out", top + "/x.seg"), 2, "hex digits"),
                             (("--query", 'rate({a="b"}[1m])', "--out", top + "/x.seg"), 2, "log lines"),
                             (("--trace", TRACE, "--out", top + "/none/x.seg"), 3, "none"), (("--from", "yesterday",), 2, "cannot read")):
        status, out, err = dump("bundle", copy, *args)
        tap.ok(status == code and text in err and not os.path.exists(top + "/x.seg"), "bundle: %s" % text, "%d %s%s" % (status, out, err))


def test_hostile(tap, copy, top):
    """Damaged files end in a message and a status, never in a signal, and never in silence."""
    victim = sorted(os.listdir(copy + "/segments"))[0]
    good = open(os.path.join(copy, "segments", victim), "rb").read()
    bad, quiet = [], []
    for pos in range(0, len(good), max(1, len(good) // 20)):
        data = os.path.join(top, "hostile")
        shutil.rmtree(data, ignore_errors=True)
        shutil.copytree(copy, data)
        with open(os.path.join(data, "segments", victim), "wb") as f:
            f.write(good[:pos] + bytes([good[pos] ^ 0xff]) + good[pos + 1:] if pos % 2 else good[:pos])
        for args in (("trace", TRACE, data), ("bundle", data, "--query", '{service_name=~".+"}', "--out", data + "/out.seg"), ("backup", data, data + "-b"),
                     ("restore", data, data + "-r")):
            status, _, err = dump(*args)
            if status not in (0, 1, 3):
                bad.append((pos, args[0], status, err))
            if args[0] in ("backup", "restore") and status == 0:
                quiet.append((pos, args[0]))
            shutil.rmtree(data + "-b", ignore_errors=True)
            shutil.rmtree(data + "-r", ignore_errors=True)
    tap.equal(bad, [], "damaged segments: a message and a status")
    tap.equal(quiet, [], "and no backup or restore of them passes as good")


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory() as top:
        data, copy = os.path.join(top, "data"), os.path.join(top, "copy")
        with Server(["--retention", "0"], data=data) as server:
            tap.equal(fill(server), [200, 200, 200], "an incident is stored")
            server.kill9()
        shutil.copytree(data, copy)
        test_trace(tap, copy)
        test_sqlite(tap, copy, top)
        test_stats(tap, copy)
        test_bundles(tap, copy, top)
        test_hostile(tap, copy, top)
    tap.done()


if __name__ == "__main__":
    main()
