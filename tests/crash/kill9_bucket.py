"""
kill9_bucket.py -- kill -9 at random moments of sealing, uploading, dropping copies, publishing and retention of a store with a
bucket: afterwards every acknowledged line is there once, and the bucket holds the live segments and nothing else.

    kill9_bucket.py [--rounds N] [--seed N]
"""
import argparse
import os
import random
import shutil
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
from lib import Server, Tap, wait_until
from s3_faults import KEY_ID, SECRET, S3Server

parser = argparse.ArgumentParser()
parser.add_argument("--rounds", type=int, default=12)
parser.add_argument("--seed", type=int, default=int(time.time()))
args = parser.parse_args()
rng = random.Random(args.seed)
tap = Tap()
tap.note("seed %d" % args.seed)
NOW = time.time_ns()
SECOND = 10 ** 9

s3 = S3Server().start()


def server(data, *more):
    return Server(["--s3", s3.url, "--bucket", "logs", "--prefix", "p", "--cache-bytes", rng.choice(["0", "20KB", "1GB"]),
                   "--s3-snapshot", "50ms", "--s3-grace", "100ms", "--low-water", "0"] + list(more), data=data,
                  env={"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET})


def lines(srv):
    out, step = [], 4000
    for first in range(0, number + step, step):  # a query gives 5000 lines at most
        out += srv.lines('{job="kill"}', NOW + first, NOW + first + step, limit=5000)
    return out


data = Server().data
shutil.rmtree(data)
want = []
number = 0
for i in range(args.rounds):
    for kind in rng.sample(["status", "drop", "lost_answer", "error_after_200"], rng.randrange(3)):
        s3.fail(kind, times=2, status=rng.choice([500, 503]), after=rng.randrange(6))
    srv = server(data).start()
    deadline = time.monotonic() + rng.random() * 2.5
    while time.monotonic() < deadline:
        entries = [(NOW + number + n, "line %d %032x" % (number + n, rng.getrandbits(128))) for n in range(20)]
        number += 20
        if srv.push([({"job": "kill"}, entries)]).status == 204:
            want += [(t, line) for t, line in entries]
        if rng.random() < 0.3:
            srv.post("/flush")
        time.sleep(0.05)
    srv.kill9()
    if rng.random() < 0.3:
        srv = server(data).start()  # not an orderly stop: the other way of ending
        srv.stop()

s3.heal()
srv = server(data).start()
tap.equal(lines(srv), want, "every acknowledged line is there, once, after %d kills" % args.rounds)
srv.post("/flush")
tap.ok(wait_until(lambda: srv.metrics().get("mstore_s3_unsent_segments") == 0), "everything is uploaded", srv.stderr_text)


def objects():
    with s3.lock:
        return [k for k in s3.objects if k.startswith("p/segments/")]


tap.ok(wait_until(lambda: len(objects()) == srv.metrics()["mstore_segments"]),
       "the bucket has the live segments and nothing else", objects())
tap.equal(s3.uploads, {}, "and no parts")
srv.stop()
shutil.rmtree(data)

# From the bucket alone.
srv = server(data).start()
tap.equal(lines(srv), want, "a new directory has the same lines")
# Retention in the middle of it: everything expires while the server is killed.
srv.kill9()
for _ in range(3):
    srv = server(data, "--retention", "1s").start()
    time.sleep(rng.random())
    srv.kill9()
srv = server(data, "--retention", "1s").start()
gone = wait_until(lambda: not objects())
tap.ok(gone, "what has expired leaves the bucket", srv.stderr_text)
tap.equal(lines(srv), [], "and is not answered")
srv.stop()
shutil.rmtree(data)
s3.stop()
tap.done()
