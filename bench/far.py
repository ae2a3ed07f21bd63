#!/usr/bin/python3
"""
far.py -- queries of a store that is in a bucket alone, each by a server that has just started: requests, bytes and time. The bucket is the tests'
S3 server with an added latency.

    far.py [--megabytes 96] [--latency 0.02] [--rounds 3] [MSTORED ...]     # programs to compare; default: this tree's
    far.py --fortnight DIR ...                                              # the two weeks that `fortnight DIR --keep` has just made
"""
import argparse
import os
import random
import shutil
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tests", "e2e"))
import lib
from s3_faults import KEY_ID, SECRET, S3Server

SECOND = 10 ** 9
HOUR, DAY = 3600 * SECOND, 86400 * SECOND
ENV = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET}


def server(s3, data=None, *args):
    return lib.Server(["--s3", s3.url, "--bucket", "logs", "--prefix", "bench", "--cache-bytes", "0", "--low-water", "0", "--retention", "0",
                       "--s3-snapshot", "1s"] + list(args), data=data, env=ENV)


def fill(s3, megabytes, start):
    """Two weeks of six streams, in order of time."""
    rng = random.Random(5)
    words = ["%x" % rng.getrandbits(40) for _ in range(20000)]
    srv = server(s3).start()
    per_push, lines = 4000, megabytes * 1000000 // 190
    for first in range(0, lines, per_push):
        streams = [({"app": "a%d" % n, "env": "prod"}, []) for n in range(6)]
        for i in range(first, first + per_push):
            text = "GET /api/%s/%d status=%d took=%dms %s" % (rng.choice(words), i, rng.choice((200, 200, 200, 404, 500)), rng.randrange(2000), " ".join(rng.choices(words, k=12)))
            streams[i % 6][1].append((start + i * 14 * DAY // lines, text))
        assert srv.push(streams).status == 204
    srv.post("/flush")
    return sent(srv)


def sent(srv):
    """Waits until the bucket alone has the segments; the data directory."""
    for _ in range(2):
        assert lib.wait_until(lambda: srv.metrics()["mstore_s3_unsent_segments"] == 0 and srv.metrics()["mstore_s3_local_bytes"] == 0, 600)
        time.sleep(3)  # compaction may have its turn
    data, srv.own_data = srv.data, False
    print("%d segments of %.1f MB" % (srv.metrics()["mstore_segments"], srv.metrics()["mstore_segment_bytes"] / 1e6))
    srv.stop()
    return data


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, default=96)
    parser.add_argument("--latency", type=float, default=0.02)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fortnight", metavar="DIR")
    parser.add_argument("programs", nargs="*", default=[lib.binary()])
    args = parser.parse_args()
    s3 = S3Server().start()
    start = time.time_ns() // DAY * DAY - 15 * DAY
    end, middle = start + 14 * DAY, start + 7 * DAY
    one, every, pattern = '{app="a1"}', '{env="prod"}', "took=19[0-9]{2}ms .*zz"
    if args.fortnight:
        end = time.time_ns()
        start, middle = end - 14 * DAY, end - 7 * DAY
        one, every, pattern = '{class="prod", host="host-0"}', '{class="prod"}', "zz.* 50[0-9] .*zz"
        data = sent(server(s3, args.fortnight).start())
    else:
        data = fill(s3, args.megabytes, start)
    queries = [("rate, two weeks", 'sum(rate(%s[10m]))' % one, start, end, {"step": 3600}),
               ("rate, one hour of two weeks", 'sum(rate(%s[1m]))' % one, middle, middle + HOUR, {"step": 60}),
               ("lines, one hour of two weeks", one, middle, middle + HOUR, {"limit": 5000}),
               ("count of lines with a word, one hour", 'sum(count_over_time(%s |= "GET" [1m]))' % one, middle, middle + HOUR, {"step": 60}),
               ("the same of all streams", 'sum(count_over_time(%s |= "GET" [1m]))' % every, middle, middle + HOUR, {"step": 60}),
               ("newest 100 lines", one, start, end, {"limit": 100, "direction": "backward"}),
               ("regex over all lines of one stream", '%s |~ "%s"' % (one, pattern), start, end, {"limit": 100}),
               ("rate of all streams, two weeks", 'sum by (app, job) (rate(%s[10m]))' % every, start, end, {"step": 3600}),
               ("bytes_over_time, two weeks", 'sum(bytes_over_time(%s[10m]))' % one, start, end, {"step": 3600})]
    print("| query | program | GETs | bytes read | needed | times | seconds |")
    print("|---|---|---|---|---|---|---|")
    for name, query, from_ns, to_ns, more in queries:
        for program in args.programs:
            os.environ["MSTORED"] = program
            best = None
            for _ in range(args.rounds):
                srv = server(s3, data).start()
                lib.wait_until(lambda: srv.metrics().get("mstore_s3_writer") == 1, 30)
                time.sleep(1.5)  # the index is published, the first turns are over
                s3.latency = args.latency
                gets = sum(r[0] == "GET" and "/segments/" in r[1] for r in s3.requests)
                before, began = srv.metrics()["mstore_s3_got_bytes_total"], time.monotonic()
                answer = srv.query_range(query, from_ns, to_ns, seconds=300, **more)
                took = time.monotonic() - began
                got = srv.metrics()["mstore_s3_got_bytes_total"] - before
                gets = sum(r[0] == "GET" and "/segments/" in r[1] for r in s3.requests) - gets
                s3.latency = 0
                needed = answer["data"]["stats"]["querier"]["store"]["chunk"]["compressedBytes"]
                if best is None or took < best[3]:
                    best = (gets, got, needed, took)
                srv.stop()
            gets, got, needed, took = best
            print("| %s | %s | %d | %.2f MB | %.2f MB | %.2f | %.2f |" % (name, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(program)))).split("/")[-1],
                                                                       gets, got / 1e6, needed / 1e6, got / max(needed, 1), took), flush=True)
    s3.stop()
    if not args.fortnight:
        shutil.rmtree(data)


if __name__ == "__main__":
    main()
