#!/usr/bin/env python3
"""Makes a golden store with split lines: make_split_store.py FOLDER. The folder must not exist; README.md tells what is in it."""
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from lib import Server, wait_until  # noqa: E402
from make_spans_store import DUMP, TENANTS, dump  # noqa: E402

PUSHES = 4
BASE_NS = 1793491204 * 10**9
WORDS = "the a of cache disk node is was not full slow gone and or while because retry later again never".split()
AGENTS = ("curl/8.5.0", "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0", "kube-probe/1.29")


def access(r, i):
    return '%d.%d.%d.%d - - [24/Nov/2026:10:%02d:%02d +0000] "%s /item/%d?q=%s HTTP/1.1" %d %d "%s" rt=%.3f' % (
        r.choice((10, 93, 203)), r.randrange(256), r.randrange(256), r.randrange(256), i // 60 % 60, i % 60, r.choice(("GET", "POST")),
        r.randrange(100000), r.choice(("a", "shoes", "r\u00f8d")), r.choice((200, 200, 404)), r.randrange(50000), r.choice(AGENTS), r.random())


def event(r, i):
    return json.dumps({"seq": "%08d" % i, "level": r.choice(("info", "warn")), "id": "%016x" % r.getrandbits(64), "user": r.randrange(2**40),
                       "msg": r.choice(("order created", "payment \"%d\" declined" % r.randrange(100), "")), "took": r.randrange(300)})


def pod(r, i):
    u = "%032x" % r.getrandbits(128)
    if i % 50 == 49:
        return "java.lang.IllegalStateException: %d\n" % i + "".join("\tat shop.Cart.f%d(Cart.java:%d)\n" % (k, k * 17) for k in range(i % 9))
    return "I1124 10:00:%02d.%06d 1 pod.go:%d] sync of %s/cart-%d uid=%s-%s-%s failed after %dms (attempt %d)" % (
        i % 60, r.randrange(10**6), r.choice((7, 118)), r.choice(("prod", "test")), r.randrange(400), u[:8], u[8:12], u[12:24],
        r.randrange(10**r.randrange(1, 8)), r.randrange(256))


def prose(r, i):
    return " ".join(r.choice(WORDS) for _ in range(r.randrange(20, 60)))


STREAMS = {"access": (access, 260), "event": (event, 290), "pod": (pod, 290), "sentences": (prose, 180)}


def push(server, n, share=1):
    r = random.Random(n)
    streams = []
    for app, (line, count) in STREAMS.items():
        entries = [(BASE_NS + (n * count + i) * 10**6, line(r, n * count + i)) for i in range(count // share)]
        streams.append(({"app": app}, entries))
    answer = server.push(streams, tenant=TENANTS[0])
    if answer.status != 204:
        sys.exit("refused: %s" % answer.text)


def main():
    folder = sys.argv[1]
    os.mkdir(folder)
    with tempfile.TemporaryDirectory() as data:
        with Server(["--retention", "0"], data=data) as server:
            for n in range(PUSHES):
                push(server, n)
                server.post("/flush")
            if not wait_until(lambda: len(os.listdir(os.path.join(data, "segments"))) == 1, 30):
                sys.exit("nothing was compacted")
            push(server, PUSHES, 10)
            server.kill9()
        segment = os.path.join(data, "segments", os.listdir(os.path.join(data, "segments"))[0])
        out = json.loads(subprocess.run([DUMP, "inspect", "--json", segment], stdout=subprocess.PIPE, check=True).stdout)
        encodings = [b["lines"]["encoding"] for b in out["blocks"]]
        if encodings != ["split"] * 3 + ["zstd"]:
            sys.exit("not what was wanted: %s" % encodings)
        for part in ("segments", "wal"):
            shutil.copytree(os.path.join(data, part), os.path.join(folder, part))
        dump(os.path.join(folder, "expected.ndjson.gz"), lambda line, tenant: json.dumps(dict(json.loads(line), tenant=tenant), sort_keys=True),
             "cat", data, "--format", "ndjson")


if __name__ == "__main__":
    main()
