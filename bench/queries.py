#!/usr/bin/python3
"""Whole queries over what loadgen pushed and compaction made of it: the best of some runs, in seconds of the client.

    queries.py [--bytes N] [--runs N]      starts a server, fills it, asks
    queries.py --base URL [--base URL]     asks servers that hold the data already, side by side
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

BUILD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "build")
SETTLED_SECONDS = 15  # longer than one compaction of what is pushed takes
QUERIES = [
    'sum by (job) (rate({job=~".+"}[1m]))',
    'sum(count_over_time({job=~".+"} |= "error" [1m]))',
    'sum(count_over_time({job=~".+"} |= "nosuchtext" [1m]))',
    'sum(count_over_time({job="nginx"} |~ "/wp-login.php.* 404 " [1m]))',
    'sum by (level) (count_over_time({job="app"} | json [1m]))',
    'quantile_over_time(0.99, {job="query"} | logfmt | unwrap duration(latency) [1m]) by (caller)',
    'topk(10, sum by (ip) (count_over_time({job="nginx"} | pattern `<ip> - <_>` | ip =~ "1[.]2.*" [1h])))',
    '{job="nginx"}',
    '{job=~".+"} |= "nosuchtext"',
    '{job="app"} | json | level="error" | duration_ms > 1990',
]


def ask(base, query, day):
    params = {"query": query, "start": day - 7200, "end": day + 7200, "step": 60, "limit": 100}
    begun = time.monotonic()
    with urllib.request.urlopen(base + "/loki/api/v1/query_range?" + urllib.parse.urlencode(params)) as answer:
        body = json.load(answer)
    return time.monotonic() - begun, body["data"]["result"]


def wait(base):
    for _ in range(200):
        try:
            urllib.request.urlopen(base + "/ready").read()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"{base} does not answer")


def settle(base):
    """Waits until compaction has nothing to do."""
    seen, since = None, time.monotonic()
    while time.monotonic() - since < SETTLED_SECONDS:
        text = urllib.request.urlopen(base + "/metrics").read().decode()
        now = [line for line in text.splitlines() if line.startswith(("mstore_segments ", "mstore_compaction_line_bytes_total "))]
        if now != seen:
            seen, since = now, time.monotonic()
        time.sleep(0.2)


def start(directory, bytes_):
    base = "http://127.0.0.1:3291"
    server = subprocess.Popen([os.path.join(BUILD, "src/mstored"), "--data", directory, "--listen", base[7:]],
                              stderr=subprocess.DEVNULL)
    wait(base)
    subprocess.run([os.path.join(BUILD, "bench/loadgen"), base[7:], "--bytes", str(bytes_)], check=True,
                   stdout=subprocess.DEVNULL)
    urllib.request.urlopen(urllib.request.Request(base + "/flush", method="POST")).read()
    settle(base)
    return server, base


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", action="append", default=[])
    parser.add_argument("--bytes", type=int, default=1_000_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--at", type=float, default=time.time(), help="when the data was pushed (with --base)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        server = None
        if not options.base:
            server, base = start(directory, options.bytes)
            options.base = [base]
        print("| query | " + " | ".join(options.base if len(options.base) > 1 else ["seconds"]) + " |")
        print("|---|" + "---|" * len(options.base))
        for query in QUERIES:
            best = [1e9] * len(options.base)
            results = [None] * len(options.base)
            for _ in range(options.runs):
                for i, base in enumerate(options.base):
                    seconds, results[i] = ask(base, query, options.at)
                    best[i] = min(best[i], seconds)
            differ = "" if all(r == results[0] for r in results) else " (answers differ)"
            print(f"| `{query}` | " + " | ".join(f"{b:.4f}" for b in best) + f" |{differ}", flush=True)
        if server:
            server.terminate()
            server.wait()


main()
