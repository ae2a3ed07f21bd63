#!/usr/bin/python3
"""What Grafana asks over many streams: the best of some runs, in milliseconds of the client.

    endpoints.py [--streams N]
"""
import argparse
import json
import os
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request

BUILD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "build")
BASE = "http://127.0.0.1:3292"
PER_PUSH = 5000


def get(path, **params):
    begun = time.monotonic()
    with urllib.request.urlopen(BASE + path + "?" + urllib.parse.urlencode(params)) as answer:
        size = len(answer.read())
    return (time.monotonic() - begun) * 1000, size


def push(streams):
    now = time.time_ns()
    for first in range(0, streams, PER_PUSH):
        body = {"streams": [{"stream": {"app": "app-%d" % (n % 100), "pod": "pod-%d" % n}, "values": [[str(now), "line %d" % n]]}
                            for n in range(first, min(first + PER_PUSH, streams))]}
        request = urllib.request.Request(BASE + "/loki/api/v1/push", json.dumps(body).encode(), {"Content-Type": "application/json"})
        urllib.request.urlopen(request).read()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        server = subprocess.Popen([os.path.join(BUILD, "src/mstored"), "--data", directory, "--listen", BASE[7:]], stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                urllib.request.urlopen(BASE + "/ready").read()
                break
            except OSError:
                time.sleep(0.05)
        push(options.streams)
        urllib.request.urlopen(urllib.request.Request(BASE + "/flush", method="POST")).read()
        print("| over %d streams | ms | bytes |\n|---|---|---|" % options.streams)
        for name, path, params in (("labels", "labels", {}), ("values of a label with 100", "label/app/values", {}),
                                   ("values of a label with all", "label/pod/values", {}),
                                   ("series of one app", "series", {"match[]": '{app="app-7"}'}), ("series of all", "series", {"match[]": '{app=~".+"}'}),
                                   ("index/stats of all", "index/stats", {"query": '{app=~".+"}'}),
                                   ("index/volume by app", "index/volume", {"query": '{app=~".+"}'}),
                                   ("index/volume of all streams", "index/volume", {"query": "{}"}),
                                   ("detected_labels", "detected_labels", {}), ("detected_fields", "detected_fields", {"query": '{app=~".+"}'})):
            runs = [get("/loki/api/v1/" + path, **params) for _ in range(5)]
            print("| %s | %.1f | %d |" % (name, min(r[0] for r in runs), runs[0][1]), flush=True)
        server.terminate()
        server.wait()


main()
