"""
test_bucket.py -- a store beyond one disk: uploads, a cache of nothing, read-only servers, a directory that was lost, one writer, read-ahead.
Against s3rver, and against a server that checks and misbehaves.
"""
import os
import random
import shutil
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from bucket import FROM, QUERIES, SECOND, TO, answers, batch, dump, local_segments, objects, push, refused, segments, sent, server, settled, tap
from lib import Server, together, wait_until
from s3_faults import S3Server
from s3_server import S3rver

COMPACTED = 4  # segments of a size are joined; fewer stay as they are


# --- a whole life -----------------------------------------------------------------------------------

def test_life(s3, name):
    srv = server(s3).start()
    model = Server(["--low-water", "0"]).start()  # the same without a bucket
    for seed in range(3):
        push(srv, seed)
        push(model, seed)
    want = answers(model)
    tap.ok(len(want[0]) == 5000 and all(want[1:7]) and want[6][0] == 200 and want[-2], "%s: the model has answers" % name, want[6:])
    tap.ok(sent(srv, 1), "%s: segments are uploaded" % name, srv.stderr_text)
    tap.ok(wait_until(lambda: [k[len("segments/"):] for k in segments(s3)] == local_segments(srv)),
           "%s: each file is an object" % name, (segments(s3), local_segments(srv)))
    tap.equal(answers(srv), want, "%s: answers with local copies" % name)
    tap.equal(srv.metrics()["mstore_s3_writer"], 1, "%s: the lease is ours" % name)

    data = srv.data
    tap.equal(srv.stop(), 0, "%s: stops" % name)
    srv.own_data = False
    srv = server(s3, "--cache-bytes", "0", data=data).start()
    tap.ok(wait_until(lambda: local_segments(srv) == []), "%s: local copies are dropped" % name, srv.stderr_text)
    before = srv.metrics()["mstore_s3_got_bytes_total"]
    tap.equal(answers(srv), want, "%s: answers from the bucket alone" % name)
    tap.ok(srv.metrics()["mstore_s3_got_bytes_total"] > before, "%s: they were read from there" % name)
    tap.ok(wait_until(lambda: srv.metrics()["mstore_s3_local_bytes"] == 0), "%s: nothing is here" % name)

    replica = server(s3, "--read-only").start()
    tap.ok(wait_until(lambda: answers(replica) == want), "%s: a read-only server answers the same" % name, replica.stderr_text)
    tap.equal(replica.push(batch(9)).status, 503, "%s: and takes no pushes" % name)
    tap.equal(replica.post("/flush").status, 204, "%s: has nothing to flush" % name)
    push(srv, 3)
    push(model, 3)
    want = answers(model)
    tap.equal(answers(srv), want, "%s: the writer goes on" % name)
    tap.ok(wait_until(lambda: answers(replica) == want), "%s: the read-only server follows" % name, replica.stderr_text)
    tap.ok(wait_until(lambda: len([d for d in os.listdir(replica.data) if d.startswith("replica-")]) <= 2),
           "%s: it keeps no old copies of the index" % name, os.listdir(replica.data))
    tap.equal([k for k in objects(s3) if k.startswith("index/") and not k.endswith((".mdb", "current"))], [],
              "%s: the index lies where it should" % name)
    tap.ok(len([k for k in objects(s3) if k.endswith(".mdb")]) <= 3, "%s: old snapshots go" % name)

    # What is deleted is deleted everywhere.
    for each in (srv, model):
        answer = each.post("/loki/api/v1/delete?" + urllib.parse.urlencode(
            {"query": '{app="a1"} |= "needle"', "start": FROM // SECOND, "end": TO // SECOND + 1}))
        tap.equal(answer.status, 204, "%s: a request to delete" % name)
    want = answers(model)
    tap.ok(want[0] and not want[1], "%s: the model has it deleted" % name)
    tap.equal(answers(srv), want, "%s: as has the writer" % name)
    tap.ok(wait_until(lambda: answers(replica) == want), "%s: and the read-only server" % name, replica.stderr_text)
    tap.equal(replica.post("/loki/api/v1/delete?" + urllib.parse.urlencode({"query": "{app=\"a2\"}", "start": FROM // SECOND, "end": TO // SECOND})).status, 503, "%s: which takes none" % name)
    tap.ok(wait_until(lambda: "deletions" in objects(s3)), "%s: the bucket knows it" % name)
    # The directory is lost.
    tap.equal(srv.stop(), 0, "%s: the writer stops" % name)
    shutil.rmtree(data)
    srv = server(s3, "--cache-bytes", "0").start()
    tap.equal(answers(srv), want, "%s: a new directory has it all from the bucket" % name)
    push(srv, 4)
    push(model, 4)
    want = answers(model)
    tap.ok(sent(srv, 1), "%s: and goes on" % name, srv.stderr_text)
    tap.equal(answers(srv), want, "%s: with the same answers" % name)
    tap.ok(settled(s3, srv), "%s: the bucket has the live segments and nothing else" % name, segments(s3))
    # The index alone is lost.
    data, srv.own_data = srv.data, False
    tap.equal(srv.stop(), 0, "%s: stops again" % name)
    srv = server(s3, "--cache-bytes", "0", "--rebuild-index", data=data).start()
    tap.equal(answers(srv), want, "%s: the index is made anew from the bucket" % name)
    srv.stop()
    srv = server(s3, "--cache-bytes", "0", data=data).start()
    tap.equal(answers(srv), want, "%s: and stays" % name)
    tap.ok(wait_until(lambda: srv.metrics()["mstore_segments"] < COMPACTED) and settled(s3, srv), "%s: nothing is left over" % name, segments(s3))
    live = int(srv.metrics()["mstore_segments"])
    srv.stop()
    replica.stop()
    status, out, err = dump("verify", data)
    tap.ok(status == 0 and "%d further segments are in a bucket" % live in out, "%s: verify says what it did not read" % name, out + err)
    status, out, err = dump("query", data, QUERIES[0])
    tap.ok("s3://logs/deep/prefix/" in err and "not read" in err, "%s: as does a query without a server" % name, out + err)
    try:
        Server(data=data).start()
        text = "started"
    except RuntimeError as e:
        text = str(e)
    tap.ok("s3://logs/deep/prefix/" in text and "--s3" in text, "%s: and a server that was not told of the bucket stops" % name, text)
    shutil.rmtree(data)
    model.close()
    replica.close()


def test_ranges(s3):
    """A query reads the columns that it needs, and at most as much again."""
    srv = server(s3, "--cache-bytes", "0", prefix="ranges").start()
    rng = random.Random(7)
    for part in range(6):
        first = FROM + SECOND + part * 500 * SECOND
        srv.push([({"app": "big"}, [(first + i * 10 ** 8, "%0256x" % rng.getrandbits(1024)) for i in range(5000)])])
    srv.post("/flush")
    tap.ok(wait_until(lambda: local_segments(srv) == []), "a segment of many blocks, far away", srv.stderr_text)
    tail = 48 << 10
    size = srv.metrics()["mstore_segment_bytes"]
    tap.ok(size > 30 * tail, "which is much larger than its tables", size)
    total = 0
    for query, options in (('{app="big"} |~ "[g-z]{3}"', {}), ('sum(rate({app="big"}[1m]))', {"step": "60"}),
                           ('{app="big"}', {"limit": 100, "direction": "backward"}), ('{app="big"}', {"limit": 100})):
        before = srv.metrics()["mstore_s3_got_bytes_total"]
        stats = srv.query_range(query, FROM, TO, **options)["data"]["stats"]
        got, needed = srv.metrics()["mstore_s3_got_bytes_total"] - before, stats["querier"]["store"]["chunk"]["compressedBytes"]
        tap.ok(0 < needed <= got <= 2 * needed + tail, "%s %s: reads at most twice what it needs" % (query, options or ""),
               (got, needed))
        total += got
        tail = 8192  # the tables were read
    tap.ok(total < 2 * size, "and all four together less than twice the segment", (total, size))
    srv.close()


def test_read_ahead(s3):
    """Scans fetch what comes next while they decode, near columns in one request; what cannot be fetched is told as ever."""
    srv = server(s3, "--cache-bytes", "0", prefix="ahead").start()
    model = Server(["--low-water", "0"]).start()
    rng = random.Random(8)
    for part in range(8):
        first = FROM + SECOND + part * 400 * SECOND
        streams = [({"app": "s%d" % n}, [(first + i * 10 ** 8, "%0256x" % rng.getrandbits(1024)) for i in range(2500)]) for n in range(2)]
        for each in (srv, model):
            assert each.push(streams).status == 204
    for each in (srv, model):
        each.post("/flush")
    tap.ok(wait_until(lambda: local_segments(srv) == []), "a segment of many blocks, far away", srv.stderr_text)
    rate, lines, few = 'sum by (app) (rate({app=~"s.*"}[1m]))', '{app=~"s.*"} |~ "[g-z]{3}"', '{app=~"s.*"} |~ "00[0-9]+00"'

    def ask(where, query, **options):
        answer = where.query_range(query, FROM, TO, **options)["data"]
        return sorted((sorted((s.get("metric") or s.get("stream")).items()), s["values"]) for s in answer["result"]), answer["stats"]["querier"]["store"]

    ask(srv, few, limit=1)  # the tables are read
    s3.latency = 0.01
    for query, options, share, beside in ((rate, {"step": "60"}, 0.25, 2), (lines, {}, 0.8, 3), (few, {"limit": 5000}, 0.8, 3),
                                          (few, {"limit": 5000, "direction": "backward"}, 1.2, 3)):
        with s3.lock:
            s3.most_running, first = 0, len(s3.requests)
        before = srv.metrics()["mstore_s3_got_bytes_total"]
        got, stats = ask(srv, query, **options)
        with s3.lock:
            gets = sum(m == "GET" and "/segments/" in p for m, p, _ in s3.requests[first:])
            most = s3.most_running
        tap.equal(got, ask(model, query, **options)[0], "%s: the answer" % query)
        tap.ok(most >= beside, "%s: several requests at a time" % query, (most, gets))
        read = srv.metrics()["mstore_s3_got_bytes_total"] - before
        needed = stats["chunk"]["compressedBytes"]
        tap.ok(needed <= read <= 2 * needed + 8192, "%s: at most twice what it needs" % query, (read, stats))
        tap.ok(1 <= gets < share * stats["totalChunksDownloaded"], "%s: neighbours in one request" % query, (gets, stats))
    # What goes wrong while it is read ahead.
    want = ask(model, lines)[0], ask(model, rate, step="60")[0]
    for kind in ("status", "drop", "truncate", "short"):
        s3.fail(kind, times=5, methods=["GET"], path="/segments/", after=4, status=503, code="SlowDown")
        tap.equal((ask(srv, lines)[0], ask(srv, rate, step="60")[0]), want, "requests that fail for a while (%s) change nothing" % kind)
        s3.heal()
    s3.fail("status", times=10 ** 9, methods=["GET"], path="/segments/", after=1, status=403, code="AccessDenied")
    answer = srv.get("/loki/api/v1/query_range", {"query": rate, "start": FROM, "end": TO, "step": 60})
    tap.ok(answer.status == 500 and "AccessDenied" in answer.text and "in s3://logs/ahead/" in answer.text and ".seg" in answer.text, "for good: told, by name", answer)
    s3.heal()
    s3.latency = 0
    with s3.lock:
        key = [k for k in s3.objects if k.startswith("ahead/segments/")][0]
        o = s3.objects[key]
        s3.objects[key] = type(o)(o.body[:len(o.body) // 3] + bytes(64) + o.body[len(o.body) // 3 + 64:])
    answer = srv.query_range(few, FROM, TO)
    tap.ok("damaged" in str(answer.get("warnings")), "damage is found, and the rest is answered", answer.get("warnings"))
    model.close()
    srv.close()


# --- writers and retention ---------------------------------------------------------------------------

def test_writers(s3, name):
    a = server(s3, prefix="two").start()
    push(a, 1)
    tap.ok(sent(a, 1), "%s: the first writer" % name, a.stderr_text)
    text = refused(s3, prefix="two")
    tap.ok("another writer" in text and "s3://logs/two/" in text, "%s: a second one is refused" % name, text)
    data, a.own_data = a.data, False
    a.kill9()
    text = refused(s3, prefix="two")
    tap.ok("another writer" in text, "%s: also right after the first was killed" % name, text)
    a = server(s3, prefix="two", data=data).start()
    tap.ok(wait_until(lambda: a.metrics().get("mstore_s3_writer") == 1), "%s: which itself comes back at once" % name,
           a.stderr_text)
    a.stop()
    b = server(s3, prefix="two").start()
    tap.equal(b.lines('{seed="1"}', FROM, TO), sorted(e for _, es in batch(1) for e in es),
              "%s: when it has stopped, another one may go on" % name)
    tap.ok(wait_until(lambda: b.metrics().get("mstore_s3_writer") == 1), "%s: with the lease" % name, b.stderr_text)
    b.stop()
    other = Server().start()
    push(other, 5)
    other_data, other.own_data = other.data, False
    other.stop()
    text = refused(s3, data=other_data, prefix="two")
    tap.ok("has a store already" in text, "%s: a directory with other data is refused" % name, text)
    text = refused(s3, data=data, prefix="elsewhere")
    tap.ok("s3://logs/two/" in text and "s3://logs/elsewhere/" in text, "%s: as is one of another prefix" % name, text)
    srv = server(s3, data=other_data, prefix="joined").start()
    tap.ok(sent(srv, 1), "%s: a directory with data may begin an empty prefix" % name, srv.stderr_text)
    srv.stop()
    for d in (data, other_data):
        shutil.rmtree(d)
    text = refused(s3, "--read-only", prefix="empty")
    tap.ok("no index was published" in text, "%s: nothing to read" % name, text)


def test_lost_lease(s3):
    """Somebody else has taken the lease: nothing is put any more."""
    srv = server(s3, prefix="lost").start()
    push(srv, 1)
    tap.ok(sent(srv, 1), "a writer", srv.stderr_text)
    with s3.lock:
        lease = s3.objects["lost/lease"].body.decode()
    tap.ok(lease.startswith("mstore lease 1\nstore ") and "\nwriter " in lease and "\nuntil " in lease, "its lease", lease)
    text = refused(s3, prefix="lost", data=None)
    tap.ok("another writer" in text, "which others see", text)
    srv.close()


def push_expiring(s3, name):
    """Two segments in the bucket, one of which expires while other tests run."""
    srv = server(s3, "--retention", "1h", prefix="old").start()
    soon = time.time_ns() - 3600 * SECOND + 15 * SECOND
    assert srv.push([({"app": "old"}, [(soon, "expires soon")])]).status == 204
    assert srv.post("/flush").status == 204
    assert srv.push([({"app": "new"}, [(time.time_ns(), "stays")])]).status == 204
    assert srv.post("/flush").status == 204
    tap.ok(sent(srv, 2), "%s: two segments, one about to expire" % name, srv.stderr_text)
    both = segments(s3, prefix="old/")
    tap.equal(len(both), 2, "%s: are in the bucket" % name)
    return srv, both


def test_retention(s3, name, srv, both):
    """Expired segments leave the bucket, after the index that names them was replaced."""
    tap.ok(wait_until(lambda: segments(s3, prefix="old/") == both[1:]), "%s: the expired one leaves it" % name,
           segments(s3, prefix="old/"))
    tap.equal(srv.lines('{app=~".+"}', time.time_ns() - 7200 * SECOND, time.time_ns() + SECOND)[0][1], "stays", "%s: the other stays" % name)
    srv.close()


def test(s3, name):
    expiring = push_expiring(s3, name)
    test_life(s3, name)
    test_writers(s3, name)
    test_retention(s3, name, *expiring)


s3 = S3Server().start()
good = S3rver().start()
try:
    together(lambda: test(s3, "strict server"), lambda: test(good, "s3rver"))
    test_lost_lease(s3)
    test_ranges(s3)
    test_read_ahead(s3)
finally:
    s3.stop()
    good.stop()
tap.done()
