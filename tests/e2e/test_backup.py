#!/usr/bin/python3
"""mstore-dump backup of a server under load, twice, and restore: whatever was acknowledged before a backup began is in it, each once. Speaks TAP."""
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time

import make_spans
from lib import Server, Tap, binary, wait_until

DUMP = os.path.join(os.path.dirname(binary()), "..", "tools", "mstore-dump")
BASE = make_spans.BASE_NS


def dump(*args):
    done = subprocess.run([DUMP, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return done.returncode, done.stdout, done.stderr


class Load(threading.Thread):
    """Numbered lines and spans, as fast as they are taken."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.acked, self.stop, self.refused = server, 0, False, []

    def run(self):
        conn = self.server.connection()
        while not self.stop:
            n = self.acked
            lines = [(BASE + i, "line %d %s" % (i, "x" * (i % 400))) for i in range(n * 50, n * 50 + 50)]
            body = {"resourceSpans": [{"scopeSpans": [{"spans": [
                {"traceId": "%032x" % (n + 1), "spanId": "%016x" % (i + 1), "name": "span %d" % (n * 5 + i), "kind": 1,
                 "startTimeUnixNano": str(BASE + n), "endTimeUnixNano": str(BASE + n + 9)} for i in range(5)]}]}]}
            spans = self.server.post("/v1/traces", json.dumps(body), {"Content-Type": "application/json"}, conn=conn)
            answer = self.server.push([({"app": "load"}, lines)], conn=conn)
            if (answer.status, spans.status) != (204, 200):
                self.refused.append((answer.status, spans.status))
            self.acked += 1


def held(path):
    """What a directory holds, as numbers of lines and of spans, sorted."""
    status, out, err = dump("export", path)
    if status:
        raise RuntimeError(err)
    rows = [json.loads(line) for line in out.splitlines()]
    return (sorted(int(r["line"].split(" ")[1]) for r in rows if r["kind"] == "entry" and r["line"].startswith("line")),
            sorted(int(r["name"].split(" ")[1]) for r in rows if r["kind"] == "span"))


def complete(held_now, acked_before):
    """Each once, and nothing missing below what was acknowledged."""
    lines, spans = held_now
    return (len(set(lines)) == len(lines) and len(set(spans)) == len(spans) and set(range(acked_before * 50)) <= set(lines) and
            set(range(acked_before * 5)) <= set(spans))


def test_running(tap, top):
    backup, restored = os.path.join(top, "backup"), os.path.join(top, "restored")
    with Server(["--retention", "0", "--head-bytes", "600KiB"], data=os.path.join(top, "data")) as server:
        server.push([({"app": "gone"}, [(BASE + i, "gone %d" % i) for i in range(10)])])
        server.post("/flush")
        load = Load(server)
        load.start()
        results = []
        for turn in range(4):
            wait_until(lambda: load.acked > 60 * (turn + 1))
            before = load.acked
            status, out, err = dump("backup", server.data, backup, "--json", *(["--copy"] if turn == 3 else []))
            results.append(json.loads(out) if status == 0 else {"segments": 0, "new_segments": 0})
            now = held(backup)
            tap.ok(status == 0 and complete(now, before), "backup %d beside a load: all %d pushes before it, each once" % (turn + 1, before),
                   "%s%s %d %d" % (out, err, len(now[0]), len(now[1])))
        tap.ok(results[0]["linked"] == results[0]["new_segments"] > 0, "segments are links on one file system", results)
        tap.ok(results[3]["linked"] == 0, "and copies where that is asked for", results)
        load.stop = True
        load.join()
        tap.equal(load.refused, [], "no push was refused meanwhile")
        server.post("/flush")

        def compactions():
            return server.metrics()["mstore_compactions_total"]
        compacted = compactions()
        status, out, err = dump("backup", server.data, backup, "--json")
        again = dump("backup", server.data, backup, "--json")
        tap.ok(status == again[0] == 0 and wait_until(lambda: json.loads(again[1])["new_segments"] <= compactions() - compacted),
               "a backup of what is in it takes nothing anew", again[1])
        status, out, err = dump("backup", server.data, backup)
        tap.ok(status == 0 and out.startswith("backed up and verified"), "the last one", out + err)
        expected = held(backup)
        tap.ok(complete(expected, load.acked), "has everything")
        status, _, err = dump("backup", server.data, server.data)
        tap.ok(status == 3 and expected == held(backup), "a data directory in use is no place for a backup", err)
    status, out, err = dump("restore", backup, restored)
    tap.ok(status == 0 and out.startswith("restored and verified") and held(restored) == expected, "it is restored", out + err)
    status, out, err = dump("restore", backup, restored)
    tap.ok(status == 2 and "not empty" in err, "not over something else", err)
    with Server(["--retention", "0"], data=restored) as server:
        tap.equal(len(server.lines('{app="gone"}', BASE, BASE + 10**9)), 10, "a server starts on it and answers")
        tap.equal(server.push([({"app": "new"}, [(BASE, "new")])]).status, 204, "and takes what comes")
        server.post("/flush")
        server.stop()
    tap.equal(dump("verify", restored)[0], 0, "and it verifies")
    counted = [int(n) for n in re.findall(r"[0-9]+", dump("rebuild", restored)[1])]
    status, out, err = dump("rebuild", "--json", restored)
    tap.ok(status == 0 and list(json.loads(out)) == ["segments", "streams", "entries", "spans"] and list(json.loads(out).values()) == counted and counted[2] > 50,
           "the index is made anew, and told in JSON too", out + err)
    tap.equal(held(backup), expected, "the backup did not change")


def test_cut_short(tap, top):
    """A backup that is killed leaves one that opens and has what the one before had; the next puts it right."""
    data, backup = os.path.join(top, "data3"), os.path.join(top, "backup3")
    with Server(["--retention", "0", "--head-bytes", "600KiB"], data=data) as server:
        load = Load(server)
        load.start()
        wait_until(lambda: load.acked > 60)
        before = load.acked
        tap.equal(dump("backup", data, backup, "--copy")[0], 0, "a backup")
        problems = []
        for turn in range(8):
            proc = subprocess.Popen([DUMP, "backup", data, backup, "--copy"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(0.004 * turn)
            proc.kill()
            proc.wait()
            now = held(backup)
            if not complete(now, before):
                problems.append((turn, before, len(now[0]), len(now[1])))
        tap.equal(problems, [], "backups cut short: what the first had is there, each once")
        open(os.path.join(backup, "segments", "00000000000000ff.seg.tmp"), "w").close()
        load.stop = True
        load.join()
        status, out, err = dump("backup", data, backup, "--copy")
        tap.ok(status == 0 and complete(held(backup), load.acked), "the next one has everything", out + err)
        tap.equal([f for d in ("segments", "wal") for f in os.listdir(os.path.join(backup, d)) if f.endswith(".tmp")], [], "and nothing half written")


def test_deletions(tap, top):
    """What was deleted does not come back with a restore."""
    data, backup, restored = (os.path.join(top, n) for n in ("data2", "backup2", "restored2"))
    with Server(["--retention", "0"], data=data) as server:
        server.push([({"app": "a"}, [(BASE + i, "line %d" % i) for i in range(20)])])
        server.post("/flush")
        answer = server.post("/loki/api/v1/delete?query=%7Bapp%3D%22a%22%7D%20%7C%3D%20%22line%201%22&start=1700000000")
        tap.ok(answer.status == 204, "a request to delete", answer.text)
        status, out, err = dump("backup", data, backup)
        tap.ok(status == 0 and "deletions" in os.listdir(backup), "requests to delete are in the backup", out + err)
        server.kill9()
    tap.equal(len(held(backup)[0]), 9, "offline reading honours them")
    tap.equal(dump("restore", backup, restored)[0], 0, "restore")
    with Server(["--retention", "0"], data=restored) as server:
        tap.equal(len(server.lines('{app="a"}', BASE, BASE + 10**9)), 9, "what was deleted is not there after a restore")


def test_refusals(tap, top):
    empty = os.path.join(top, "empty")
    os.mkdir(empty)
    for args, code, text in ((("backup",), 2, "from which"), (("backup", empty), 2, "from which"), (("backup", empty, top + "/b"), 3, "empty"),
                             (("backup", top + "/none", top + "/b"), 3, "none"), (("restore", top + "/none", top + "/r"), 3, "none"),
                             (("backup", empty, top + "/b", "c"), 2, "unexpected"), (("restore", "--force", empty), 2, "--force")):
        status, out, err = dump(*args)
        tap.ok(status == code and text in err and not out, " ".join(args[:1]) + ": " + text, "%d %s" % (status, err))
    os.makedirs(top + "/far/segments")
    os.makedirs(top + "/far/wal")
    open(top + "/far/bucket", "w").close()
    status, out, err = dump("backup", top + "/far", top + "/b")
    tap.ok(status == 2 and "bucket" in err and not os.path.exists(top + "/b"), "files that are not all of a store are no backup", err)
    data, backup = os.path.join(top, "data"), os.path.join(top, "damaged")
    dump("backup", data, backup, "--copy")
    victim = os.path.join(backup, "segments", sorted(os.listdir(backup + "/segments"))[0])
    with open(victim, "r+b") as f:
        f.seek(100)
        byte = f.read(1)
        f.seek(100)
        f.write(bytes([byte[0] ^ 1]))
    status, out, err = dump("restore", backup, top + "/r")
    tap.ok(status == 1 and os.path.basename(victim) in out and not os.path.exists(top + "/r"), "a damaged backup is told, and nothing restored", out + err)
    shutil.rmtree(backup)


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory() as top:
        test_running(tap, top)
        test_cut_short(tap, top)
        test_deletions(tap, top)
        test_refusals(tap, top)
    tap.done()


if __name__ == "__main__":
    main()
