"""bucket.py -- what tests of a store in a bucket share: a server with one, data, and all that is asked of it."""
import json
import os
import random
import subprocess
import time

import lib
from lib import Server, Tap, wait_until
from s3_faults import KEY_ID, SECRET
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
                      (want is None or srv.metrics()["mstore_s3_uploads_total"] >= want))


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
    return sent(srv) and wait_until(lambda: len(segments(s3, prefix=prefix)) == srv.metrics()["mstore_segments"])


def segments(s3, **more):
    return [k for k in objects(s3, **more) if k.startswith("segments/")]


def refused(s3, *args, data=None, prefix="deep/prefix", env=None):
    srv = server(s3, *args, data=data, prefix=prefix, env=env)
    try:
        srv.start(60)
    except RuntimeError as e:
        return str(e)
    finally:
        srv.close()
    return "started"
