"""
test_bucket.py -- a store beyond one disk: uploads, a cache of nothing, read-only servers, a directory that was lost, a bucket
that is gone. Against s3rver, and against a server that checks and misbehaves.
"""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib
from lib import Server, Tap, wait_until
from s3_faults import KEY_ID, SECRET, S3Server
from s3_server import S3rver

tap = Tap()
SECOND = 10 ** 9
NOW = time.time_ns()
QUERIES = ['{app=~".+"}', '{app="a1"} |= "needle"', '{app=~"a[0-3]"} | json | n > 50']
METRICS = ['sum by (app) (count_over_time({app=~".+"}[10m]))', 'sum(rate({app=~"a1|a2"}[5m]))',
           'sum by (app) (bytes_over_time({app=~".+"}[10m]))']
FROM, TO = NOW - 3600 * SECOND, NOW + SECOND


def env_of(s3):
    keys = (s3.key_id, s3.secret) if isinstance(s3, S3rver) else (KEY_ID, SECRET)
    return {"AWS_ACCESS_KEY_ID": keys[0], "AWS_SECRET_ACCESS_KEY": keys[1]}


def dump(*args):
    program = os.path.join(os.path.dirname(lib.binary()), "..", "tools", "mstore-dump")
    done = subprocess.run([program, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return done.returncode, done.stdout, done.stderr


def server(s3, *args, data=None, prefix="deep/prefix", env=None):
    args = ["--s3", s3.url, "--bucket", "logs", "--prefix", prefix, "--s3-snapshot", "100ms", "--s3-refresh", "100ms",
            "--s3-grace", "1s", "--low-water", "0"] + list(args)
    return Server(args, data=data, env=env or env_of(s3))


def batch(seed, streams=5, entries=400):
    """Entries of the last hour, the same for the same seed."""
    rng = random.Random(seed)
    out = []
    for s in range(streams):
        times = sorted(rng.randrange(FROM + SECOND, NOW) for _ in range(entries))
        out.append(({"app": "a%d" % s, "seed": str(seed)},
                    [(t, json.dumps({"n": rng.randrange(100), "text": "%032x%s" % (rng.getrandbits(128),
                      " needle" if rng.random() < 0.02 else "")})) for t in times]))
    return out


def trace_ids(seed, count=30):
    return ["%016x%016x" % (0xabc0000 + seed, n + 1) for n in range(count)]


def spans(seed):
    """OTLP JSON: traces of three spans."""
    rng = random.Random(1000 + seed)
    out = []
    for trace in trace_ids(seed):
        start = rng.randrange(FROM + SECOND, NOW - SECOND)
        for n in range(3):
            out.append({"traceId": trace, "spanId": "%016x" % rng.getrandbits(64), "name": "span %d" % n, "kind": 2,
                        "startTimeUnixNano": str(start + n * 1000000), "endTimeUnixNano": str(start + 5000000 * (n + 1)),
                        "attributes": [{"key": "n", "value": {"intValue": str(rng.randrange(100))}}]})
    return {"resourceSpans": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "svc"}}]},
                               "scopeSpans": [{"spans": out}]}]}


def push(srv, seed, **more):
    answer = srv.push(batch(seed, **more))
    assert answer.status == 204, answer
    answer = srv.post("/v1/traces", json.dumps(spans(seed)).encode(), {"Content-Type": "application/json"})
    assert answer.status == 200, answer
    assert srv.post("/flush").status == 204


def answers(srv):
    """All that is asked, in a form that can be compared."""
    out = [srv.lines(q, FROM, TO) for q in QUERIES]
    for q in METRICS:
        result = srv.query_range(q, FROM, TO, step="60")["data"]["result"]
        out.append(sorted((sorted(s["metric"].items()), s["values"]) for s in result))
    for trace in [trace_ids(seed)[n] for seed in range(5) for n in (0, 7)]:
        answer = srv.get("/api/traces/" + trace)
        out.append((answer.status, answer.status == 200 and answer.json()))
    found = srv.get("/api/search", {"q": "{ span.n > 90 }", "start": FROM // SECOND, "end": TO // SECOND + 1, "limit": 1000}).json()
    out.append(sorted((t["traceID"], t["startTimeUnixNano"], t["durationMs"]) for t in found["traces"]))
    out.append(srv.get("/loki/api/v1/label/app/values", {"start": FROM, "end": TO}).json()["data"])
    return out


def local_segments(srv):
    return sorted(n for n in os.listdir(os.path.join(srv.data, "segments")) if n.endswith(".seg"))


def sent(srv, want=None):
    """Waits until everything sealed is in the bucket."""
    return wait_until(lambda: srv.metrics().get("mstore_s3_unsent_segments") == 0 and
                      (want is None or srv.metrics()["mstore_s3_uploads_total"] >= want), 60)


def objects(s3, prefix="deep/prefix/"):
    if isinstance(s3, S3rver):
        top = os.path.join(s3.dir, "logs")
        found = [os.path.relpath(os.path.join(d, f), top) for d, _, files in os.walk(top) for f in files]
        return sorted(f[:-len("._S3rver_object")][len(prefix):] for f in found
                      if f.endswith("._S3rver_object") and f.startswith(prefix))
    with s3.lock:
        return sorted(k[len(prefix):] for k in s3.objects if k.startswith(prefix))


def settled(s3, srv, prefix="deep/prefix/"):
    """Waits until the bucket has the live segments and nothing else: what compaction replaced goes after the grace."""
    return sent(srv) and wait_until(lambda: len(segments(s3, prefix=prefix)) == srv.metrics()["mstore_segments"], 60)


def segments(s3, **more):
    return [k for k in objects(s3, **more) if k.startswith("segments/")]


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
    tap.ok(wait_until(lambda: [k[len("segments/"):] for k in segments(s3)] == local_segments(srv), 60),
           "%s: each file is an object" % name, (segments(s3), local_segments(srv)))
    tap.equal(answers(srv), want, "%s: answers with local copies" % name)
    tap.equal(srv.metrics()["mstore_s3_writer"], 1, "%s: the lease is ours" % name)

    data = srv.data
    tap.equal(srv.stop(), 0, "%s: stops" % name)
    srv.own_data = False
    srv = server(s3, "--cache-bytes", "0", data=data).start()
    tap.ok(wait_until(lambda: local_segments(srv) == [], 60), "%s: local copies are dropped" % name, srv.stderr_text)
    before = srv.metrics()["mstore_s3_got_bytes_total"]
    tap.equal(answers(srv), want, "%s: answers from the bucket alone" % name)
    tap.ok(srv.metrics()["mstore_s3_got_bytes_total"] > before, "%s: they were read from there" % name)
    tap.ok(wait_until(lambda: srv.metrics()["mstore_s3_local_bytes"] == 0, 10), "%s: nothing is here" % name)

    replica = server(s3, "--read-only").start()
    tap.equal(answers(replica), want, "%s: a read-only server answers the same" % name)
    tap.equal(replica.push(batch(9)).status, 503, "%s: and takes no pushes" % name)
    tap.equal(replica.post("/flush").status, 204, "%s: has nothing to flush" % name)
    push(srv, 3)
    push(model, 3)
    want = answers(model)
    tap.equal(answers(srv), want, "%s: the writer goes on" % name)
    tap.ok(wait_until(lambda: answers(replica) == want, 60), "%s: the read-only server follows" % name, replica.stderr_text)
    tap.ok(wait_until(lambda: len([d for d in os.listdir(replica.data) if d.startswith("replica-")]) <= 2, 10),
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
    tap.ok(wait_until(lambda: answers(replica) == want, 60), "%s: and the read-only server" % name, replica.stderr_text)
    tap.equal(replica.post("/loki/api/v1/delete?" + urllib.parse.urlencode({"query": "{app=\"a2\"}", "start": FROM // SECOND, "end": TO // SECOND})).status, 503, "%s: which takes none" % name)
    tap.ok(wait_until(lambda: "deletions" in objects(s3), 10), "%s: the bucket knows it" % name)
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
    tap.ok(settled(s3, srv), "%s: nothing is left over" % name, segments(s3))
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
    tap.ok(wait_until(lambda: local_segments(srv) == [], 60), "a segment of many blocks, far away", srv.stderr_text)
    tail = 128 << 10
    size = srv.metrics()["mstore_segment_bytes"]
    tap.ok(size > 10 * tail, "which is much larger than its tables", size)
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


# --- faults -----------------------------------------------------------------------------------------

def test_gone(s3):
    """The bucket is away for a while: reads of far data fail by name, pushes go on, nothing is lost."""
    srv = server(s3, "--cache-bytes", "0", prefix="gone").start()
    model = Server(["--low-water", "0"]).start()
    for each in (srv, model):
        push(each, 1)
    tap.ok(wait_until(lambda: local_segments(srv) == [], 60) and len(segments(s3, prefix="gone/")) == 1, "one far segment")
    s3.fail("status", times=10 ** 9, status=403, code="AccessDenied")
    answer = srv.get("/loki/api/v1/query_range", {"query": QUERIES[0], "start": FROM, "end": TO})
    far = segments(s3, prefix="gone/")[0]
    tap.ok(answer.status == 500 and far in answer.text and "s3://logs/gone/" in answer.text and "AccessDenied" in answer.text,
           "a read that is refused names segment, bucket and reason", answer)
    for each in (srv, model):
        push(each, 2)
    tap.ok(wait_until(lambda: "upload segment" in srv.stderr_text or "lease" in srv.stderr_text, 30),
           "the operator is told", srv.stderr_text)
    tap.equal(len(local_segments(srv)), 1, "what is sealed meanwhile stays here")
    time.sleep(1.5)  # the keeper's turns
    tap.equal(len(local_segments(srv)), 1, "however small the cache is")
    tap.equal(srv.lines('{seed="2"}', FROM, TO), model.lines('{seed="2"}', FROM, TO), "and is answered")
    data, srv.own_data = srv.data, False
    srv.kill9()
    srv = server(s3, "--cache-bytes", "0", prefix="gone", data=data).start()
    tap.equal(srv.lines('{seed="2"}', FROM, TO), model.lines('{seed="2"}', FROM, TO), "also after a restart without the bucket")
    for each in (srv, model):
        push(each, 3)
    s3.heal()
    tap.ok(sent(srv, 2), "when it is back, everything is uploaded", srv.stderr_text)
    tap.equal(answers(srv), answers(model), "and answered")
    tap.ok(wait_until(lambda: local_segments(srv) == [], 30), "and then dropped here")
    srv.stop()
    shutil.rmtree(data)
    model.close()


def test_cap(s3):
    """What cannot be uploaded and passes --max-bytes: pushes are refused, nothing is dropped."""
    s3.fail("status", times=10 ** 9, status=403, code="AccessDenied", methods=["PUT"], after=4)
    srv = server(s3, "--max-bytes", "300KB", prefix="cap").start()
    status, seed, pushed = 204, 0, 0
    while status == 204 and seed < 30:
        status = srv.push(batch(seed)).status
        pushed += 2000 if status == 204 else 0
        srv.post("/flush")
        seed += 1
        wait_until(lambda: srv.get("/ready").status != 200, 1.5)  # the keeper looks once a second
    tap.ok(status == 503 and 0 < pushed, "pushes are refused when unsent segments pass the cap", (status, pushed))
    count = sum(len(srv.lines('{seed="%d"}' % n, FROM, TO)) for n in range(seed))
    tap.equal(count, pushed, "and every acknowledged line is there")
    s3.heal()
    tap.ok(wait_until(lambda: srv.push(batch(99)).status == 204, 60), "taken again when the bucket takes them", srv.stderr_text)
    srv.close()


def refused(s3, *args, data=None, prefix="deep/prefix", env=None):
    srv = server(s3, *args, data=data, prefix=prefix, env=env)
    try:
        srv.start(60)
    except RuntimeError as e:
        return str(e)
    finally:
        srv.close()
    return "started"


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
    tap.ok(wait_until(lambda: a.metrics().get("mstore_s3_writer") == 1, 30), "%s: which itself comes back at once" % name,
           a.stderr_text)
    a.stop()
    b = server(s3, prefix="two").start()
    tap.equal(b.lines('{seed="1"}', FROM, TO), sorted(e for _, es in batch(1) for e in es),
              "%s: when it has stopped, another one may go on" % name)
    tap.ok(wait_until(lambda: b.metrics().get("mstore_s3_writer") == 1, 30), "%s: with the lease" % name, b.stderr_text)
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


def test_paused(s3):
    """A writer that is stopped for longer than its lease, in the middle of a put: another one takes over when the lease has run out and not before,
    and nothing that the first one does then changes what is there."""
    def env(key):
        s3.keys[key] = ("secret of " + key, "")
        return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": "secret of " + key}

    def body(key):
        with s3.lock:
            return s3.objects["paused/" + key].body

    lease = ["--s3-lease", "3s"]
    a = server(s3, *lease, prefix="paused", env=env("AKIAFIRST")).start()
    push(a, 1)
    tap.ok(sent(a, 1), "a writer with a short lease", a.stderr_text)
    here, go = threading.Event(), threading.Event()
    s3.fail("hold", methods=["PUT"], path="/segments/", here=here, go=go)
    push(a, 2)
    tap.ok(here.wait(30), "is putting a segment")
    a.signal(signal.SIGSTOP)
    until = int(body("lease").decode().split("until ")[1])
    text = refused(s3, *lease, prefix="paused", env=env("AKIASECOND"))
    tap.ok("another writer" in text, "when it is stopped, a second one is refused", text)
    b, tries = None, 0
    while b is None and tries < 100:
        b, tries = server(s3, *lease, prefix="paused", env=env("AKIASECOND")), tries + 1
        try:
            b.start()
        except RuntimeError:
            b = b.close()
            time.sleep(0.3)
    tap.ok(b is not None and tries > 1 and time.time_ns() > until + 10 * SECOND, "until the lease and what clocks may differ are over", (b, tries))
    push(b, 3)
    tap.ok(sent(b, 1) and wait_until(lambda: "segments" in str(segments(s3, prefix="paused/")), 10), "then it writes", b.stderr_text)
    settled(s3, b, prefix="paused/")
    want = answers(b)
    with s3.lock:
        first, before = len(s3.writes), {k: o.body for k, o in s3.objects.items() if k.startswith("paused/segments/")}
    go.set()
    time.sleep(1)  # the put that was under way comes to its end
    a.signal(signal.SIGCONT)
    tap.ok(wait_until(lambda: a.get("/ready").status == 503 and "another writer" in a.get("/ready").text, 60), "the first one notices when it goes on",
           (a.get("/ready"), a.stderr_text))
    tap.equal(a.push(batch(4)).status, 503, "it takes no pushes any more")
    tap.equal(a.metrics().get("mstore_s3_writer"), 0, "and is no writer")
    time.sleep(2)  # some turns
    with s3.lock:
        late = [w for w in s3.writes[first:] if w[0] == "AKIAFIRST"]
        after = {k: s3.objects[k].body for k in before}
    tap.equal(late, [], "it changed nothing since the other one writes")
    tap.equal(after, before, "every segment is what it was")
    reader = server(s3, "--read-only", prefix="paused").start()
    tap.equal(answers(reader), want, "a read-only server has what the second one wrote")
    reader.close()
    # It may neither come back when the second one is gone.
    data, a.own_data = a.data, False
    tap.equal(b.stop(), 0, "the second one stops")
    time.sleep(3)
    tap.equal((a.push(batch(4)).status, a.metrics().get("mstore_s3_writer")), (503, 0), "the first one does not take over: it is behind")
    a.stop()
    a = server(s3, *lease, prefix="paused", data=data, env=env("AKIAFIRST")).start()
    tap.ok(wait_until(lambda: a.get("/ready").status == 503 and "Start on an empty directory" in a.stderr_text, 30), "nor after a restart", a.get("/ready"))
    tap.equal(len(a.lines('{seed="2"}', FROM, TO)), 2000, "and what it did not send is in it")
    a.stop()
    shutil.rmtree(data)
    b.start()
    tap.ok(wait_until(lambda: b.metrics().get("mstore_s3_writer") == 1, 30), "the second one may", b.stderr_text)
    tap.equal(answers(b), want, "and answers as before")
    b.close()


def test_away(s3):
    """The bucket is away for many lease times, the credentials expire meanwhile, the process dies: all that was acknowledged is sent in the end."""
    env = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": s3.url + "/container", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "container secret"}
    args = ["--s3-lease", "3s", "--cache-bytes", "0"]
    srv = server(s3, *args, prefix="away", env=env).start()
    model = Server(["--low-water", "0"]).start()
    for each in (srv, model):
        push(each, 0)
    tap.ok(wait_until(lambda: local_segments(srv) == [], 60) and srv.get("/ready").text == "ready\n", "a writer, all of it far", srv.stderr_text)
    s3.fail("drop", times=10 ** 9)
    for n in range(1, 3):
        for each in (srv, model):
            push(each, n)
    tap.ok(wait_until(lambda: srv.metrics().get("mstore_s3_writer") == 0, 60), "when the bucket is away for longer than the lease, it is lost", srv.stderr_text)
    tap.ok(wait_until(lambda: srv.metrics().get("mstore_s3_failing") == 1, 60), "metrics say that something fails", srv.stderr_text)
    ready = srv.get("/ready")
    tap.ok(ready.status == 200 and ready.text.startswith("ready\n") and "s3://logs/away" in ready.text, "/ready that pushes are taken, and what is wrong", ready.text)
    m = srv.metrics()
    tap.ok(m["mstore_s3_unsent_segments"] >= 1 and m["mstore_s3_unsent_bytes"] > 0 and m["mstore_s3_failures_total"] > 0, "metrics what waits")
    data, srv.own_data = srv.data, False
    srv.kill9()
    s3.expired.update(s3.keys)  # whatever was handed out so far
    s3.expired.discard(KEY_ID)
    srv = server(s3, *args, prefix="away", data=data, env=env).start()
    for each in (srv, model):
        push(each, 3)
        assert each.push(batch(4)).status == 204  # stays in a log
    tap.equal([len(srv.lines('{seed="%d"}' % n, FROM, TO)) for n in (1, 2, 3, 4)], [2000] * 4, "after a kill, all that is here is answered")
    s3.expired.update(k for k in list(s3.keys) if k != KEY_ID)
    s3.heal()
    tap.ok(sent(srv, 1) and wait_until(lambda: srv.metrics().get("mstore_s3_writer") == 1, 90), "when it is back, with new credentials all is sent", srv.stderr_text)
    tap.ok(wait_until(lambda: srv.get("/ready").text == "ready\n" and srv.metrics()["mstore_s3_failing"] == 0, 90), "and all is well", srv.get("/ready").text)
    tap.equal(answers(srv), answers(model), "nothing is lost, nothing doubled")
    tap.ok(settled(s3, srv, prefix="away/"), "the bucket has the live segments")
    # Clocks that differ.
    for ahead, word in ((3600, "behind"), (-3600, "ahead of")):
        s3.clock_ahead = ahead
        for each in (srv, model):
            push(each, 5 if ahead > 0 else 6)
        tap.ok(wait_until(lambda: "our clock is 3" in srv.get("/ready").text and word in srv.get("/ready").text, 60),
               "clocks that differ are told, which way and by how much", srv.get("/ready").text)
        tap.equal(srv.get("/ready").status, 200, "and pushes go on")
        s3.clock_ahead = 0
        tap.ok(sent(srv), "and sent when they agree again", srv.stderr_text)
    tap.equal(answers(srv), answers(model), "with nothing lost")
    srv.stop()
    shutil.rmtree(data)
    model.close()
    with s3.lock:
        s3.expired.clear()


def test_retention(s3, name):
    """Expired segments leave the bucket, after the index that names them was replaced."""
    srv = server(s3, "--retention", "1h", prefix="old").start()
    soon = time.time_ns() - 3600 * SECOND + 4 * SECOND
    assert srv.push([({"app": "old"}, [(soon, "expires in four seconds")])]).status == 204
    assert srv.post("/flush").status == 204
    assert srv.push([({"app": "new"}, [(time.time_ns(), "stays")])]).status == 204
    assert srv.post("/flush").status == 204
    tap.ok(sent(srv, 2), "%s: two segments, one about to expire" % name, srv.stderr_text)
    both = segments(s3, prefix="old/")
    tap.equal(len(both), 2, "%s: are in the bucket" % name)
    tap.ok(wait_until(lambda: segments(s3, prefix="old/") == both[1:], 60), "%s: the expired one leaves it" % name,
           segments(s3, prefix="old/"))
    tap.equal(srv.lines('{app=~".+"}', time.time_ns() - 7200 * SECOND, time.time_ns() + SECOND)[0][1], "stays", "%s: the other stays" % name)
    srv.close()


s3 = S3Server().start()
good = S3rver().start()
try:
    test_life(s3, "strict server")
    test_life(good, "s3rver")
    test_writers(s3, "strict server")
    test_writers(good, "s3rver")
    test_lost_lease(s3)
    test_ranges(s3)
    test_retention(s3, "strict server")
    test_retention(good, "s3rver")
    test_gone(s3)
    test_paused(s3)
    test_away(s3)
    test_cap(s3)
finally:
    s3.stop()
    good.stop()
tap.done()
