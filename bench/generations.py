#!/usr/bin/env python3
"""The same streams in every generation: what publishing one more costs as the index grows.

usage: generations.py [--build DIR] [--streams N] [--generations N]

Prints seconds of each seal and publish, and the size of the index.
"""
import argparse, json, os, shutil, subprocess, tempfile, time, urllib.request

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--build", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "build"))
parser.add_argument("--streams", type=int, default=100_000)
parser.add_argument("--generations", type=int, default=20)
args = parser.parse_args()
PORT, PER_PUSH = 3197, 5000
BASE = f"http://127.0.0.1:{PORT}"
data = tempfile.mkdtemp(prefix="mstore-generations-")


def post(path, body=b""):
    begun = time.monotonic()
    request = urllib.request.Request(BASE + path, data=body, headers={"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=600).read()
    return time.monotonic() - begun


server = subprocess.Popen([os.path.join(args.build, "src", "mstored"), "--data", data, "--listen", f"127.0.0.1:{PORT}", "--log-level", "warn"])
try:
    for _ in range(200):
        try:
            urllib.request.urlopen(BASE + "/ready").read()
            break
        except OSError:
            time.sleep(0.02)
    seconds = []
    for turn in range(args.generations):
        ns = time.time_ns()
        for first in range(0, args.streams, PER_PUSH):
            streams = [{"stream": {"app": f"app-{n % 100}", "pod": f"pod-{n}"}, "values": [[str(ns + n), f"line {turn}"]]}
                       for n in range(first, first + PER_PUSH)]
            post("/loki/api/v1/push", json.dumps({"streams": streams}).encode())
        seconds.append(post("/flush"))
    size = os.stat(os.path.join(data, "index", "data.mdb")).st_blocks * 512
    print("publish seconds:", " ".join(f"{s:.2f}" for s in seconds))
    print(f"index: {size / 1e6:.0f} MB, {size / args.streams / args.generations:.0f} bytes a stream and generation")
finally:
    server.terminate()
    server.wait()
    shutil.rmtree(data, ignore_errors=True)
