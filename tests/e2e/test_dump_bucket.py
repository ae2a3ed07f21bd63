#!/usr/bin/python3
"""
mstore-dump over s3://: every command that reads, of a store that a server writes there, of one segment, and of a backup; backup into a
bucket beside a load, cut short at every request; restore. Against s3rver, and against a server that checks and misbehaves. Speaks TAP.
"""
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time

import make_spans
from lib import WAIT_SECONDS_MAX, Server, Tap, binary, wait_until
from s3_faults import KEY_ID, SECRET, S3Server
from s3_server import S3rver

tap = Tap()
DUMP = os.path.join(os.path.dirname(binary()), "..", "tools", "mstore-dump")
BASE = make_spans.BASE_NS
SECOND = 10 ** 9
PAUSE_SECONDS = 0.003  # between pushes: keeps what has to be compared small


def env_of(s3):
    keys = (s3.key_id, s3.secret) if isinstance(s3, S3rver) else (KEY_ID, SECRET)
    return {"AWS_ACCESS_KEY_ID": keys[0], "AWS_SECRET_ACCESS_KEY": keys[1], "MSTORE_S3": s3.url}


def command(s3, *args, env=None):
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("MSTORE_", "AWS_"))}
    return [DUMP, *args], {**plain, **(env_of(s3) if s3 else {}), **(env or {})}


def dump(s3, *args, env=None):
    argv, whole = command(s3, *args, env=env)
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=whole)
    return done.returncode, done.stdout, done.stderr


def server(s3, *args, data=None, prefix="store"):
    return Server(["--s3", s3.url, "--bucket", "logs", "--prefix", prefix, "--s3-snapshot", "100ms", "--s3-grace", "1s", "--low-water",
                   "0", "--retention", "0"] + list(args), data=data, env=env_of(s3))


def keys(s3, prefix):
    if isinstance(s3, S3rver):
        top = os.path.join(s3.dir, "logs")
        found = [os.path.relpath(os.path.join(d, f), top) for d, _, files in os.walk(top) for f in files]
        found = [f[:-len("._S3rver_object")] for f in found if f.endswith("._S3rver_object")]
    else:
        with s3.lock:
            found = list(s3.objects)
    return sorted(k[len(prefix) + 1:] for k in found if k.startswith(prefix + "/"))


def spans_of(n, count=4):
    return json.dumps({"resourceSpans": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
                                          "scopeSpans": [{"spans": [
        {"traceId": "%032x" % (n + 1), "spanId": "%016x" % (i + 1), "name": "span %d" % (n * count + i), "kind": 1,
         "startTimeUnixNano": str(BASE + n), "endTimeUnixNano": str(BASE + n + 9)} for i in range(count)]}]}]})


def push(srv, n, count=200):
    assert srv.push([({"app": "load"}, [(BASE + i, "line %d %s" % (i, "x" * (i % 300))) for i in range(n * count, n * count + count)])]).status == 204
    assert srv.post("/v1/traces", spans_of(n), {"Content-Type": "application/json"}).status == 200


def held(s3, path):
    """Numbers of lines and of spans, sorted."""
    status, out, err = dump(s3, "export", path)
    if status:
        raise RuntimeError(err)
    rows = [json.loads(line) for line in out.splitlines()]
    return (sorted(int(r["line"].split(" ")[1]) for r in rows if r["kind"] == "entry"),
            sorted(int(r["name"].split(" ")[1]) for r in rows if r["kind"] == "span"))


# --- reading ----------------------------------------------------------------------------------------

def same_answers(s3, name, want_path, path, top):
    """Every command that reads answers of `path` as of the directory `want_path`."""
    for args in (["query", "PATH", '{app="load"} |= "line 1"', "--forward", "--limit", "1000"],
                 ["query", "PATH", 'sum(count_over_time({app="load"}[1h]))', "--to", str(BASE + SECOND), "--json"],
                 ["cat", "PATH", "--json"], ["trace", "%032x" % 2, "PATH"], ["trace", "--json", "%032x" % 3, "PATH"],
                 ["export", "PATH"]):
        a = dump(s3, *[want_path if x == "PATH" else x for x in args])
        b = dump(s3, *[path if x == "PATH" else x for x in args])
        strip = lambda text: [line for line in text.splitlines() if "_ns" not in line and "execTime" not in line]
        if "--json" in args and args[0] == "query":
            same = a[0] == b[0] == 0 and json.loads(a[1])["data"]["result"] == json.loads(b[1])["data"]["result"] != []
        else:
            same = a[0] == b[0] == 0 and sorted(strip(a[1])) == sorted(strip(b[1])) != []
        tap.ok(same, "%s: %s as of a directory" % (name, " ".join(args[:1])), (a[0], b[0], a[2], b[2], a[1][:300], b[1][:300]))
    status, out, err = dump(s3, "verify", path, "--json")
    tap.ok(status == 0 and json.loads(out)["problems"] == 0 and json.loads(out)["segments"] > 0, "%s: verify" % name, out + err)
    status, out, err = dump(s3, "verify", "--deep", path, "--quiet")
    tap.ok(status == 0 and not out, "%s: verify --deep" % name, out + err)
    status, out, err = dump(s3, "inspect", "--json", path)
    found = [json.loads(line) for line in out.splitlines()]
    tap.ok(status == 0 and sum(f["entries"] for f in found) > 0 and all(f["path"].startswith("s3://logs/") for f in found), "%s: inspect" % name, err)
    status, out, err = dump(s3, "inspect", path)
    tap.ok(status == 0 and "segment of generation" in out, "%s: inspect as text" % name, err)
    status, out, err = dump(s3, "stats", "--json", path)
    tap.ok(status == 0 and json.loads(out)["segments"] == len(found), "%s: stats" % name, out[:200] + err)
    bundle = os.path.join(top, "bundle.seg")
    status, out, err = dump(s3, "bundle", "--out", bundle, "--trace", "%032x" % 2, "--json", path)
    tap.ok(status == 0 and json.loads(out) == {"path": bundle, "entries": 0, "spans": 4, "traces": 1, "complete": True}, "%s: bundle --json" % name, out + err)
    os.unlink(bundle)
    db = os.path.join(top, "out.db")
    status, out, err = dump(s3, "export", path, "--out", db, "--json")
    counts = json.loads(out) if status == 0 else {}
    with sqlite3.connect(db) as c:
        rows = [c.execute("select count(*) from " + t).fetchone()[0] for t in ("entries", "spans")]
    tap.equal([counts.get("entries"), counts.get("spans")], rows, "%s: export to SQLite, and its counts" % name)
    os.unlink(db)


def test_reading(s3, name, top):
    data = os.path.join(top, "data")
    with server(s3, data=data) as srv:
        for n in range(6):
            push(srv, n)
            if n % 2:
                srv.post("/flush")

        def published(entries):
            return wait_until(lambda: '"entries":%d,' % entries in dump(s3, "verify", "s3://logs/store", "--json")[1])
        tap.ok(published(1200), "%s: what is pushed is published" % name, srv.stderr_text)
        same_answers(s3, name + ", beside its server", data, "s3://logs/store", top)
        push(srv, 6)
        srv.post("/flush")
        tap.ok(published(1400), "%s: also what comes later" % name, srv.stderr_text)
        tap.equal(srv.stop(), 0, "%s: the server stops" % name)
    shutil.rmtree(data)
    # One segment.
    segment = [k for k in keys(s3, "store") if k.startswith("segments/")][0]
    whole, one = held(s3, "s3://logs/store"), held(s3, "s3://logs/store/" + segment)
    tap.ok(len(one[0]) + len(one[1]) > 0 and set(one[0]) <= set(whole[0]), "%s: one segment by itself" % name, (len(one[0]), len(whole[0])))
    status, out, err = dump(s3, "inspect", "s3://logs/store/" + segment)
    tap.ok(status == 0 and "  stream " in out, "%s: inspect tells its streams" % name, out + err)
    status, out, err = dump(s3, "verify", "s3://logs/store/" + segment)
    tap.ok(status == 0 and "1 segments" in out, "%s: verify reads it alone" % name, out + err)
    # Without the published index: by the objects.
    want = held(s3, "s3://logs/store")
    return want


def live(s3, where):
    """The keys of its live segments: what compaction replaced is there for a while, too."""
    status, out, err = dump(s3, "inspect", "--json", "s3://logs/" + where)
    assert status == 0, err
    return sorted(json.loads(line)["path"][len("s3://logs/"):] for line in out.splitlines())


def test_objects_alone(s3):
    with s3.lock:
        for key in [k for k in s3.objects if k.startswith("store/segments/")]:
            s3.objects["bare/" + key[len("store/"):]] = s3.objects[key]
    tap.equal(held(s3, "s3://logs/bare"), held(s3, "s3://logs/store"), "segments without an index are read by their footers")
    status, out, err = dump(s3, "verify", "s3://logs/bare")
    tap.ok(status == 0, "and verified", out + err)
    # Damage is named.
    victim = live(s3, "bare")[0]
    with s3.lock:
        good = s3.objects[victim]
        s3.objects[victim] = type(good)(good.body[:100] + bytes([good.body[100] ^ 1]) + good.body[101:])
    status, out, err = dump(s3, "verify", "s3://logs/bare")
    tap.ok(status == 1 and "s3://logs/" + victim in out, "damage is found and named", out + err)
    victim = live(s3, "store")[0]
    with s3.lock:
        gone = s3.objects.pop(victim)
    status, out, err = dump(s3, "verify", "s3://logs/store")
    tap.ok(status == 1 and os.path.basename(victim) in out, "a segment that the index names and that is not there is a problem", out + err)
    with s3.lock:
        s3.objects[victim] = gone


def test_usage(s3, top):
    for args, env, code, text in ((("cat", "s3://logs/store"), {"MSTORE_S3": ""}, 2, "--s3"), (("cat", "s3://"), {}, 2, "s3://BUCKET"),
                                  (("cat", "s3://logs/nothing/here"), {}, 2, "no store"), (("verify", "s3://logs/nothing"), {}, 2, "no store"),
                                  (("inspect", "s3://logs/nothing"), {}, 2, "no store"),
                                  (("cat", "s3://logs/store/some.seg"), {}, 2, "GENERATION.seg"),
                                  (("cat", "s3://logs/store/segments/00000000000000ff.seg"), {}, 2, "00000000000000ff"),
                                  (("cat", "--s3-style", "odd", "s3://logs/store"), {}, 2, "--s3-style"), (("cat", "s3://logs/store", "--s3"), {}, 2, "--s3"),
                                  (("cat", "s3://nosuch/store"), {}, 3, "NoSuchBucket"),
                                  (("rebuild", "s3://logs/store"), {}, 2, "mstored"), (("backup", "s3://logs/store", "s3://logs/b"), {}, 2, "bucket"),
                                  (("restore", "s3://logs/store", "s3://logs/b"), {}, 2, "directory"),
                                  (("backup", os.path.join(top, "none"), "s3://logs/b"), {}, 3, "none"),
                                  (("export", "--json", "s3://logs/store"), {}, 2, "--out")):
        status, out, err = dump(s3, *args, env=env)
        tap.ok(status == code and text in err and not out, "%s: exit status %d, %s" % (" ".join(args[:2]), code, text), "%d %s" % (status, err))
    # Who we are, and where it is, in all the ways that mstored takes.
    status, out, err = dump(None, "stats", "--s3", s3.url, "s3://logs/store", env={"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": "wrong"})
    tap.ok(status == 3 and "SignatureDoesNotMatch" in err, "a wrong secret is told", err)
    path = os.path.join(top, "credentials")
    with open(path, "w") as f:
        f.write("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n" % (KEY_ID, SECRET))
    status, out, err = dump(None, "stats", "--s3", s3.url, "--s3-credentials", path, "--s3-region", "us-east-1", "--s3-style", "path", "s3://logs/store")
    tap.ok(status == 0, "credentials from a file that is named", err)
    status, out, err = dump(None, "stats", "s3://logs/store", env={"MSTORE_S3": s3.url, "MSTORE_S3_CREDENTIALS": path})
    tap.ok(status == 0, "or by a variable", err)
    status, out, err = dump(s3, "stats", "--s3-style", "host", "--s3", "http://localhost:%d" % s3.port, "s3://logs/store")
    tap.ok(status == 0 and any(h.startswith("logs.localhost") for h in s3.hosts), "virtual hosts", err)


# --- backup -----------------------------------------------------------------------------------------

class Load(threading.Thread):
    def __init__(self, srv):
        super().__init__(daemon=True)
        self.srv, self.acked, self.stop = srv, 0, False

    def run(self):
        while not self.stop:
            push(self.srv, self.acked, 50)
            self.acked += 1
            time.sleep(PAUSE_SECONDS)


def complete(found, acked):
    lines, spans = found
    return len(set(lines)) == len(lines) and len(set(spans)) == len(spans) and set(range(acked * 50)) <= set(lines) and set(range(acked * 4)) <= set(spans)


def test_backup(s3, name, top):
    data, restored = os.path.join(top, "running"), os.path.join(top, "restored")
    where = "s3://logs/backup"
    with Server(["--retention", "0", "--head-bytes", "600KiB"], data=data) as srv:
        load = Load(srv)
        load.start()
        for turn in range(3):
            wait_until(lambda: load.acked > 60 * (turn + 1))
            before = load.acked
            status, out, err = dump(s3, "backup", data, where, "--json")
            now = held(s3, where)
            tap.ok(status == 0 and complete(now, before), "%s: backup %d beside a load: all %d pushes before it, each once" % (name, turn + 1, before),
                   (out, err, len(now[0]), len(now[1])))
        load.stop = True
        load.join()
        srv.push([({"app": "gone"}, [(BASE + i, "line %d" % (10 ** 6 + i)) for i in range(10)])])
        srv.post("/flush")
        srv.push([({"app": "load"}, [(BASE + 10 ** 8, "line %d" % 10 ** 7)])])  # in a log
        assert srv.post("/loki/api/v1/delete?query=%7Bapp%3D%22gone%22%7D&start=1700000000").status == 204
        tap.equal(dump(s3, "backup", data, where)[0], 0, "%s: a backup" % name)

        def compactions():
            return srv.metrics()["mstore_compactions_total"]
        before = compactions()
        first = dump(s3, "backup", data, where, "--json")
        again = dump(s3, "backup", data, where, "--json")
        tap.ok(first[0] == again[0] == 0 and json.loads(again[1])["read_segments"] == json.loads(again[1])["new_segments"] and json.loads(again[1])["logs"] >= 1 and
               wait_until(lambda: json.loads(again[1])["new_segments"] <= compactions() - before), "%s: again: nothing is sent or read that is there" % name, again[1])
        expected = held(s3, where)
        tap.ok(complete(expected, load.acked) and 10 ** 7 in expected[0] and 10 ** 6 not in expected[0], "%s: it has everything but what was deleted" % name)
        named = keys(s3, "backup")
        tap.ok("backup" in named and all(k.split("/")[0].split("-")[0] in ("backup", "segments", "wal", "deletions") for k in named), "%s: and nothing else is there" % name, named)
        tap.equal(len([k for k in named if k.startswith("segments/")]), json.loads(again[1])["segments"], "%s: with as many segments as are live" % name)
        srv.kill9()
    same_answers(s3, name + ", a backup", data, where, top)
    status, out, err = dump(s3, "restore", where, restored)
    tap.ok(status == 0 and out.startswith("restored and verified") and held(None, restored) == expected, "%s: it is restored" % name, out + err)
    status, out, err = dump(s3, "restore", where, restored)
    tap.ok(status == 2 and "not empty" in err, "%s: not over something else" % name, err)
    with Server(["--retention", "0"], data=restored) as srv:
        tap.equal((len(srv.lines('{app="gone"}', BASE, BASE + SECOND)), len(srv.lines('{app="load"} |= "line %d"' % 10 ** 7, BASE, BASE + SECOND))), (0, 1),
                  "%s: a server starts on it" % name)
    shutil.rmtree(restored)
    # A store in a bucket into a directory.
    copied = os.path.join(top, "copied")
    status, out, err = dump(s3, "backup", "s3://logs/store", copied, "--json")
    tap.ok(status == 0 and held(None, copied) == held(s3, "s3://logs/store"), "%s: a store of a bucket is backed up into a directory" % name, out + err)
    status, out, err = dump(s3, "backup", "s3://logs/store", copied, "--json")
    tap.ok(status == 0 and json.loads(out)["new_segments"] == 0, "%s: where nothing is fetched twice" % name, out + err)
    shutil.rmtree(copied)
    for args, text in ((("backup", data, "s3://logs/store"), "another prefix"),):
        status, out, err = dump(s3, *args)
        tap.ok(status == 2 and text in err, "%s: a store's prefix is no place for a backup" % name, err)
    try:
        server(s3, prefix="backup").start()
        text = "started"
    except RuntimeError as e:
        text = str(e)
    tap.ok("is a backup" in text, "%s: and a backup none for a server" % name, text)
    other = os.path.join(top, "other")
    with Server(["--retention", "0"], data=other) as srv:
        for n in range(2):
            push(srv, n + 500)
            srv.post("/flush")
    status, out, err = dump(s3, "backup", other, where)
    common = set(os.listdir(other + "/segments")) & {k[9:] for k in named}
    tap.ok((status == 2 and "another store" in err) or not common, "%s: nor for another store's" % name, (err, common))
    shutil.rmtree(other)
    return data, expected


def test_cut_short(s3, data, top):
    """Killed at the n-th request, for every n: either the backup before or the new one, whole; and the next run completes it."""
    def count():
        with s3.lock:
            return len(s3.requests)

    def run_until(n, *args):
        """Kills the command when it has sent n requests. True: it was done before that."""
        s3.fail("stall", times=1, after=n)
        argv, env = command(s3, *args, env={"TMPDIR": scratch})
        proc = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
        done = wait_until(lambda: proc.poll() is not None or not any(f.left for f in s3.faults))
        over = proc.poll() is not None
        if not over:
            proc.kill()
        proc.wait()
        s3.heal()
        return done and over

    scratch = os.path.join(top, "scratch")
    os.mkdir(scratch)
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        s3.fail("stall", times=1, after=3)
        argv, env = command(s3, "cat", "s3://logs/store", env={"TMPDIR": scratch})
        proc = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
        stalled = wait_until(lambda: not any(f.left for f in s3.faults), 60)
        tap.ok(stalled and len(os.listdir(scratch)) == 1, "a command that waits for the bucket", proc.poll())
        proc.send_signal(sig)
        tap.equal((proc.wait(), os.listdir(scratch)), (-sig, []), "%s ends it, and nothing stays in TMPDIR" % sig.name)
        s3.heal()
    where = "s3://logs/cut"
    old_data = os.path.join(top, "old")
    shutil.copytree(data, old_data)
    # Nothing was there yet.
    n, turns, bad, done = 0, 0, [], False
    while not done and n < 1000:
        done = run_until(n, "backup", old_data, where)
        for args in (("restore", where, os.path.join(top, "half")), ("verify", where), ("cat", where)):
            status, out, err = dump(s3, *args)
            if status == 0 and held(s3, where) != held(None, old_data):
                bad.append((n, args))
            shutil.rmtree(os.path.join(top, "half"), ignore_errors=True)
        done = done or status == 0
        n += 1 if n < 20 else 7  # sending and reading back are many of a kind
        turns += 1
    tap.ok(done and turns > 20 and not bad, "a first backup, cut short at %d of its requests, is not taken for one" % turns, bad)
    status, out, err = dump(s3, "backup", old_data, where)
    tap.ok(status == 0 and held(s3, where) == held(None, old_data), "and the next run completes it", out + err)
    before = held(s3, where)
    with Server(["--retention", "0", "--head-bytes", "600KiB"], data=old_data) as srv:
        push(srv, 900)
        srv.post("/flush")
        push(srv, 901)
        time.sleep(1.5)
        srv.kill9()
    after = held(None, old_data)
    n, bad = 0, []
    while not run_until(n, "backup", old_data, where) and n < 200:
        now = held(s3, where)
        if now not in (before, after):
            bad.append((n, len(now[0]), len(before[0]), len(after[0])))
        n += 1
        if now == after:
            break
    tap.ok(n > 5 and not bad and before != after, "one over another, cut short at each of %d requests, is the old one or the new one" % n, bad)
    status, out, err = dump(s3, "backup", old_data, where)
    tap.ok(status == 0 and held(s3, where) == after, "and the next run completes it", out + err)
    # Restoring.
    target, n, bad = os.path.join(top, "target"), 0, []
    while not run_until(n, "restore", where, target) and n < 200:
        if os.path.exists(target + "/wal") and os.path.exists(target + "/incomplete"):
            status, out, err = dump(None, "cat", target)
            if status == 0 or "cut short" not in err:
                bad.append((n, status, err))
        n += 3
    tap.ok(n > 5 and not bad, "a restore that was cut short is not opened", bad)
    try:
        os.makedirs(target + "2/wal")
        os.makedirs(target + "2/segments")
        open(target + "2/incomplete", "w").close()
        Server(data=target + "2").start()
        text = "started"
    except RuntimeError as e:
        text = str(e)
    tap.ok("cut short" in text, "neither by a server", text)
    status, out, err = dump(s3, "restore", where, target + "2")
    tap.ok(status == 0 and held(None, target + "2") == after, "and the next run completes it", out + err)
    # Two at once: one of them says so.
    here, go = threading.Event(), threading.Event()
    s3.fail("hold", methods=["PUT"], here=here, go=go)
    with Server(["--retention", "0"], data=old_data) as srv:
        push(srv, 950)
        srv.kill9()
    argv, env = command(s3, "backup", old_data, where)
    slow = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    tap.ok(here.wait(WAIT_SECONDS_MAX), "a backup is in the middle of a put")
    status, out, err = dump(s3, "backup", data, where)
    tap.ok(status == 0, "a second backup overtakes the first", out + err)
    go.set()
    out, err = slow.communicate(timeout=120)
    tap.ok(slow.returncode == 3 and "another backup" in err, "which says so", (slow.returncode, err))
    tap.equal(held(s3, where), held(None, data), "and the second one is whole")


s3, good = S3Server().start(), S3rver().start()
try:
    with tempfile.TemporaryDirectory() as top:
        test_reading(s3, "strict server", top)
        test_objects_alone(s3)
        test_usage(s3, top)
        data, _ = test_backup(s3, "strict server", top)
        test_cut_short(s3, data, top)
    with tempfile.TemporaryDirectory() as top:
        test_reading(good, "s3rver", top)
        test_backup(good, "s3rver", top)
finally:
    s3.stop()
    good.stop()
tap.done()
