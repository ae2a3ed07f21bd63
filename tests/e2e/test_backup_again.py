#!/usr/bin/python3
"""
A further backup costs what has changed: what was read back before is not read again while its length and its tag are the same, in a bucket
(counted at the server) and in a directory. What was replaced, cut or lost is noticed by that, and --deep notices all else. Speaks TAP.
"""
import json
import os
import subprocess
import sys
import tempfile

import xxhash

import make_spans
from lib import Server, Tap, binary
from s3_faults import KEY_ID, SECRET, Object, S3Server

tap = Tap()
DUMP = os.path.join(os.path.dirname(binary()), "..", "tools", "mstore-dump")
BASE = make_spans.BASE_NS
WHERE = "s3://logs/b"
LINES = 3000


def dump(s3, *args):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MSTORE_", "AWS_"))}
    env.update({"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "MSTORE_S3": s3.url})
    done = subprocess.run([DUMP, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    return done.returncode, done.stdout, done.stderr


def fill(data, first, segments, log=False):
    """Further segments of a store, and entries that stay in a log. Few enough, and different enough in size, that compaction leaves them."""
    with Server(["--retention", "0"], data=data) as srv:
        for n in range(first, first + segments):
            assert srv.push([({"app": "a"}, [(BASE + i, "line %d %x" % (i, hash((n, i)))) for i in range(n * LINES, n * LINES + LINES)])]).status == 204
            srv.post("/flush")
        if log:
            assert srv.push([({"app": "log"}, [(BASE + i, "in a log %d" % i) for i in range(200)])]).status == 204
        srv.kill9()


def segments_of(data):
    return sorted(os.listdir(os.path.join(data, "segments")))


class Run:
    """One backup into the bucket, and what it asked for there."""

    def __init__(self, s3, data, *options):
        with s3.lock:
            s3.requests.clear()
            s3.read_bytes.clear()
        self.status, self.out, self.err = dump(s3, "backup", "--json", *options, data, WHERE)
        with s3.lock:
            self.requests = ["%s %s" % (m, p.split("?")[0][len("/logs/"):]) for m, p, _ in s3.requests]
            self.read = {k[len("b/"):]: n for k, n in s3.read_bytes.items() if k != "b/backup"}
        self.result = json.loads(self.out.splitlines()[-1]) if self.status == 0 else {}

    def __repr__(self):
        return repr((self.status, self.out, self.err, self.requests, self.read))

    def counts(self, *names):
        return tuple(self.result.get(n) for n in names)


# What a run asks for when nothing has changed, however much there is.
NOTHING_NEW = sorted(["GET ", "GET ", "HEAD b/backup", "GET b/backup", "PUT b/backup", "GET "])


def whole(s3, run, keys):
    """Whether exactly these objects were read, each whole: all of its bytes, some perhaps twice."""
    with s3.lock:
        return set(run.read) == set(keys) and all(n >= len(s3.objects["b/" + k].body) for k, n in run.read.items())


def put(s3, key, body, etag=None):
    with s3.lock:
        old = s3.objects["b/" + key]
        s3.objects["b/" + key] = Object(body, etag)
    return old.body


def flipped(body, at):
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1:]


def test_costs(s3, data):
    fill(data, 0, 2, log=True)
    run = Run(s3, data)
    keys = ["segments/" + n for n in segments_of(data)]
    with s3.lock:
        keys += [k[2:] for k in s3.objects if k.startswith("b/wal/")]
    tap.ok(run.counts("segments", "new_segments", "read_segments", "logs", "damaged") == (2, 2, 2, 1, 0) and whole(s3, run, keys), "a first backup is read back whole", run)
    first = run
    for turn in ("the second", "the third"):
        run = Run(s3, data)
        tap.ok(run.counts("segments", "new_segments", "read_segments", "logs") == (2, 0, 0, 1) and sorted(run.requests) == NOTHING_NEW and not run.read,
               "%s run reads and sends nothing, and asks for no object but the list" % turn, run)
        tap.equal(run.counts("entries", "spans"), first.counts("entries", "spans"), "and counts all the same")
    tap.equal(first.counts("entries"), (2 * LINES,), "which are those pushed and sealed")
    before = set(segments_of(data))
    fill(data, 2, 1, log=True)
    run = Run(s3, data)
    new = set(segments_of(data)) - before
    fresh = {"segments/" + n for n in new}
    tap.ok(before < set(segments_of(data)) and run.counts("new_segments", "read_segments") == (len(new), len(new)), "of what came in between that alone is sent, and read", run)
    tap.ok({k for k in run.read if k.startswith("segments/")} == fresh and whole(s3, run, run.read), "which the server saw", run)
    run = Run(s3, data)
    tap.ok(sorted(run.requests) == NOTHING_NEW, "and not again", run)
    run = Run(s3, data, "--deep")
    tap.ok(run.status == 0 and run.counts("new_segments", "read_segments", "damaged") == (0, len(segments_of(data)), 0) and
           whole(s3, run, ["segments/" + n for n in segments_of(data)] + [k for k in run.read if k.startswith("wal/")]), "--deep reads all of it", run)


def test_damage(s3, data):
    victim = "segments/" + segments_of(data)[0]
    with s3.lock:
        good = s3.objects["b/" + victim].body
        log = [k[2:] for k in s3.objects if k.startswith("b/wal/")]

    def repaired(run):
        with s3.lock:
            return run.status == 0 and run.result["damaged"] == 1 and s3.objects["b/" + victim].body == good and victim in run.err

    for body, what in ((flipped(good, len(good) // 2), "other bytes"), (flipped(good, len(good) - 3), "another end"), (good[:-1], "a byte less"), (good + b"x", "a byte more"), (b"", "nothing")):
        put(s3, victim, body)
        run = Run(s3, data)
        tap.ok(repaired(run) and set(run.read) == {victim}, "%s in the place of a segment: noticed, told, sent again, nothing else read" % what, run)
    with s3.lock:
        del s3.objects["b/" + victim]
    run = Run(s3, data)
    tap.ok(repaired(run) and "gone" in run.err and set(run.read) == {victim}, "a segment that is gone, likewise", run)
    run = Run(s3, data)
    tap.ok(sorted(run.requests) == NOTHING_NEW, "and then nothing is read again", run)
    put(s3, victim, good, '"another-1"')
    run = Run(s3, data)
    tap.ok(run.status == 0 and whole(s3, run, [victim]) and run.counts("new_segments", "damaged") == (0, 0) and not run.err, "the same bytes, put anew, are read once", run)
    run = Run(s3, data)
    tap.ok(sorted(run.requests) == NOTHING_NEW, "and known after that", run)
    # What neither length nor tag tells.
    put(s3, victim, flipped(good, len(good) // 2), '"another-1"')
    run = Run(s3, data)
    tap.ok(sorted(run.requests) == NOTHING_NEW, "bytes that change behind the server's back are not noticed by its list", run)
    status, out, err = dump(s3, "verify", WHERE)
    tap.ok(status == 1 and victim in out, "(they are by verify)", out + err)
    run = Run(s3, data, "--deep")
    tap.ok(repaired(run) and run.counts("new_segments") == (1,), "--deep notices, and the segment is sent again", run)
    status, out, err = dump(s3, "verify", WHERE)
    tap.equal(status, 0, "so that the backup is whole")
    tap.ok(len(log) == 1, "there is a log", log)
    body = put(s3, log[0], b"torn", None)
    run = Run(s3, data)
    with s3.lock:
        tap.ok(run.status == 0 and s3.objects["b/" + log[0]].body == body and set(run.read) == set(log) and log[0] in run.err, "a log that was damaged is sent again", run)
    with s3.lock:
        etag = s3.objects["b/" + log[0]].etag
    put(s3, log[0], flipped(body, 50), etag)
    run = Run(s3, data, "--deep")
    with s3.lock:
        tap.ok(run.status == 0 and s3.objects["b/" + log[0]].body == body and log[0] in run.err, "--deep notices that of a log, too", run)
    # The source is what is damaged: told at each run, and nothing else is read.
    path = os.path.join(data, victim)
    with open(path, "r+b") as f:
        f.write(flipped(good, len(good) // 2))
    run = Run(s3, data)
    tap.ok(sorted(run.requests) == NOTHING_NEW, "a damaged segment of the store does not get over the good one", run)
    with s3.lock:
        del s3.objects["b/" + victim]
    for turn in range(2):
        run = Run(s3, data)
        tap.ok(run.status == 1 and victim in run.err and "problem" in run.err and set(run.read) == {victim}, "but when that is lost it is a problem, run %d" % turn, run)
    with open(path, "r+b") as f:
        f.write(good)
    run = Run(s3, data)
    tap.ok(repaired(run), "until the store has it again", run)


def retag(s3, line_of):
    """Rewrites the list, each line of an item by line_of(words)."""
    with s3.lock:
        lines = s3.objects["b/backup"].body.decode().splitlines()[:-1]
        text = "".join(line_of(line.split(" ")) + "\n" for line in lines).encode()
        s3.objects["b/backup"] = Object(text + b"end %016x\n" % xxhash.xxh3_64_intdigest(text))


def test_unknown(s3, data):
    count = len(segments_of(data))
    with s3.lock:
        text = s3.objects["b/backup"].body.decode()
        etags = {k[2:]: o.etag for k, o in s3.objects.items()}
    tags = {w[1]: w[-1] for w in (line.split(" ") for line in text.splitlines()) if w[0] == "segment"}
    tap.ok(len(tags) == count and all(tags[k[9:25]] == "%016x" % xxhash.xxh3_64_intdigest(e.strip('"').encode()) for k, e in etags.items() if k.startswith("segments/")),
           "a tag is the checksum of the ETag", text)
    retag(s3, lambda w: " ".join(w[:4] if w[0] == "segment" else w))
    run = Run(s3, data)
    tap.ok(run.status == 0 and run.counts("new_segments", "read_segments") == (0, count), "what the list has no tag of is read", run)
    with s3.lock:
        tap.equal(s3.objects["b/backup"].body.decode(), text, "and the list is as it was")
    run = Run(s3, data)
    tap.ok(sorted(run.requests) == NOTHING_NEW, "once", run)
    # A server that tells no ETag.
    with s3.lock:
        for key in s3.objects:
            if key != "b/backup":
                s3.objects[key].etag = ""
    for turn in range(2):
        run = Run(s3, data)
        tap.ok(run.status == 0 and run.counts("new_segments", "read_segments", "damaged") == (0, count, 0), "without ETags all is read, run %d" % turn, run)
    for bad in (b"", b"x", text.encode()[:-1], text.replace("segment", "sogment").encode(), text.encode() + b"\n"):
        put(s3, "backup", bad)
        run = Run(s3, data)
        tap.ok(run.status == 1 and "no list of a backup" in run.err, "a damaged list is told: %r" % bad[:12], run)
    put(s3, "backup", text.encode())


def test_directory(s3, data, top):
    backup = os.path.join(top, "dir")

    def run(*options):
        status, out, err = dump(s3, "backup", "--json", "--copy", *options, data, backup)
        return status, json.loads(out.splitlines()[-1])["read_segments"] if status == 0 else None, out + err

    def write(path, body, like=None):
        with open(path, "r+b") as f:
            f.write(body)
        if like:
            os.utime(path, ns=(like.st_atime_ns, like.st_mtime_ns))

    count = len(segments_of(data))
    tap.equal(run()[:2], (0, count), "a first backup into a directory is read back")
    tap.equal(run()[:2], (0, 0), "the second run reads nothing")
    fill(data, 9, 1)
    tap.equal(run()[:2], (0, len(segments_of(data)) - count), "but what is new")
    victim = os.path.join(backup, "segments", segments_of(data)[0])
    like = os.stat(victim)
    good = open(victim, "rb").read()
    write(victim, good)
    tap.equal(run()[:2], (0, 1), "a file that was written is read")
    tap.equal(run()[:2], (0, 0), "once")
    os.rename(victim, victim + "x")
    with open(victim, "wb") as f:
        f.write(good)
    os.utime(victim, ns=(like.st_atime_ns, like.st_mtime_ns))
    os.unlink(victim + "x")
    tap.equal(run()[:2], (0, 1), "as is another one of the same time")
    like = os.stat(victim)
    write(victim, flipped(good, len(good) // 2), like)
    tap.equal(run()[:2], (0, 0), "bytes that change beneath the file are not noticed by that")
    status, _, text = run("--deep")
    tap.ok(status == 1 and os.path.basename(victim) in text, "but by --deep", text)
    status, _, text = run()
    tap.ok(status == 1 and os.path.basename(victim) in text, "and from then on at each run", text)
    write(victim, good)
    tap.equal(run()[:2], (0, 1), "until it is good again")
    os.truncate(victim, len(good) - 1)
    tap.equal(run()[:2], (0, 1), "one of another length is copied, and read")
    with open(os.path.join(backup, "backup"), "r+b") as f:
        f.write(b"no list")
    tap.equal(run()[:2], (0, len(segments_of(data))), "with a damaged list everything is read")
    status, count, text = run("--deep")
    tap.equal((status, count), (0, len(segments_of(data))), "as with --deep")
    entries = json.loads(text)["entries"]
    status, out, err = dump(s3, "restore", "--deep", backup, os.path.join(top, "r"))
    tap.ok(status == 2 and "--deep" in err, "restore reads everything as it is", err)
    status, out, err = dump(s3, "restore", "--json", backup, os.path.join(top, "r"))
    tap.ok(status == 0 and json.loads(out)["entries"] == entries > 4 * LINES and not os.path.exists(os.path.join(top, "r", "backup")), "restored", out + err)


s3 = S3Server().start()
try:
    with tempfile.TemporaryDirectory() as top:
        data = os.path.join(top, "data")
        test_costs(s3, data)
        test_damage(s3, data)
        test_unknown(s3, data)
        test_directory(s3, data, top)
finally:
    s3.stop()
tap.done()
