"""
test_bucket_faults.py -- a bucket that is gone for a while or for long, credentials that expire, clocks that differ, a writer that is stopped beyond its
lease, a disk that fills meanwhile. Against a server that checks and misbehaves.
"""
import os
import shutil
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from bucket import FROM, QUERIES, SECOND, TO, answers, batch, local_segments, push, refused, segments, sent, server, settled, tap
from lib import WAIT_SECONDS_MAX, Server, together, wait_until
from s3_faults import KEY_ID, S3Server


def test_gone(s3):
    """The bucket is away for a while: reads of far data fail by name, pushes go on, nothing is lost."""
    srv = server(s3, "--cache-bytes", "0", prefix="gone").start()
    model = Server(["--low-water", "0"]).start()
    for each in (srv, model):
        push(each, 1)
    tap.ok(wait_until(lambda: local_segments(srv) == []) and len(segments(s3, prefix="gone/")) == 1, "one far segment")
    s3.fail("status", times=10 ** 9, status=403, code="AccessDenied")
    answer = srv.get("/loki/api/v1/query_range", {"query": QUERIES[0], "start": FROM, "end": TO})
    far = segments(s3, prefix="gone/")[0]
    tap.ok(answer.status == 500 and far in answer.text and "s3://logs/gone/" in answer.text and "AccessDenied" in answer.text,
           "a read that is refused names segment, bucket and reason", answer)
    for each in (srv, model):
        push(each, 2)
    tap.ok(wait_until(lambda: "upload segment" in srv.stderr_text or "lease" in srv.stderr_text),
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
    tap.ok(wait_until(lambda: local_segments(srv) == []), "and then dropped here")
    srv.stop()
    shutil.rmtree(data)
    model.close()


def test_cap(s3):
    """What cannot be uploaded and passes --max-bytes: pushes are refused, nothing is dropped."""
    s3.fail("status", times=10 ** 9, status=403, code="AccessDenied", methods=["PUT"], after=4)
    srv = server(s3, "--max-bytes", "300KB", prefix="cap").start()
    seed, refusals = 0, []
    while srv.metrics()["mstore_s3_unsent_bytes"] <= 300000 and seed < 30:
        refusals += [seed] if srv.push(batch(seed)).status != 204 else []
        srv.post("/flush")
        seed += 1
    tap.ok(wait_until(lambda: srv.get("/ready").status == 503) and srv.push(batch(seed)).status == 503 and not refusals and seed < 30,
           "pushes are refused when unsent segments pass the cap", (refusals, seed))
    count = sum(len(srv.lines('{seed="%d"}' % n, FROM, TO)) for n in range(seed + 1))
    tap.equal(count, 2000 * seed, "and every acknowledged line is there")
    s3.heal()
    tap.ok(wait_until(lambda: srv.push(batch(99)).status == 204), "taken again when the bucket takes them", srv.stderr_text)
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
    tap.ok(here.wait(WAIT_SECONDS_MAX), "is putting a segment")
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
    tap.ok(sent(b, 1) and wait_until(lambda: "segments" in str(segments(s3, prefix="paused/"))), "then it writes", b.stderr_text)
    settled(s3, b, prefix="paused/")
    want = answers(b)
    with s3.lock:
        first, before = len(s3.writes), {k: o.body for k, o in s3.objects.items() if k.startswith("paused/segments/")}
    go.set()
    time.sleep(1)  # the put that was under way comes to its end
    a.signal(signal.SIGCONT)
    tap.ok(wait_until(lambda: a.get("/ready").status == 503 and "another writer" in a.get("/ready").text), "the first one notices when it goes on",
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
    tap.ok(wait_until(lambda: answers(reader) == want), "a read-only server has what the second one wrote", reader.stderr_text)
    reader.close()
    # It may neither come back when the second one is gone.
    data, a.own_data = a.data, False
    tap.equal(b.stop(), 0, "the second one stops")
    time.sleep(3)
    tap.equal((a.push(batch(4)).status, a.metrics().get("mstore_s3_writer")), (503, 0), "the first one does not take over: it is behind")
    a.stop()
    a = server(s3, *lease, prefix="paused", data=data, env=env("AKIAFIRST")).start()
    tap.ok(wait_until(lambda: a.get("/ready").status == 503 and "Start on an empty directory" in a.stderr_text), "nor after a restart", a.get("/ready"))
    tap.equal(len(a.lines('{seed="2"}', FROM, TO)), 2000, "and what it did not send is in it")
    a.stop()
    shutil.rmtree(data)
    b.start()
    tap.ok(wait_until(lambda: b.metrics().get("mstore_s3_writer") == 1), "the second one may", b.stderr_text)
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
    tap.ok(wait_until(lambda: local_segments(srv) == [] and srv.get("/ready").text == "ready\n"), "a writer, all of it far", srv.stderr_text)
    s3.fail("drop", times=10 ** 9)
    for n in range(1, 3):
        for each in (srv, model):
            push(each, n)
    tap.ok(wait_until(lambda: srv.metrics().get("mstore_s3_writer") == 0), "when the bucket is away for longer than the lease, it is lost", srv.stderr_text)
    tap.ok(wait_until(lambda: srv.metrics().get("mstore_s3_failing") == 1), "metrics say that something fails", srv.stderr_text)
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
    tap.ok(sent(srv, 1) and wait_until(lambda: srv.metrics().get("mstore_s3_writer") == 1), "when it is back, with new credentials all is sent", srv.stderr_text)
    tap.ok(wait_until(lambda: srv.get("/ready").text == "ready\n" and srv.metrics()["mstore_s3_failing"] == 0), "and all is well", srv.get("/ready").text)
    tap.equal(answers(srv), answers(model), "nothing is lost, nothing doubled")
    tap.ok(settled(s3, srv, prefix="away/"), "the bucket has the live segments")
    # Clocks that differ.
    for ahead, word in ((3600, "behind"), (-3600, "ahead of")):
        s3.clock_ahead = ahead
        for each in (srv, model):
            push(each, 5 if ahead > 0 else 6)
        tap.ok(wait_until(lambda: "our clock is 3" in srv.get("/ready").text and word in srv.get("/ready").text),
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


def alone(test):
    """With a server of its own: each of them goes wrong in another way."""
    def run():
        s3 = S3Server().start()
        try:
            test(s3)
        finally:
            s3.stop()
    return run


together(*map(alone, (test_paused, test_away, test_gone, test_cap)))
tap.done()
