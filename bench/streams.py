#!/usr/bin/env python3
"""A million streams in one namespace: what pushing, sealing and asking cost.

usage: streams.py [--build DIR] [--streams N]

Prints a Markdown table.
"""
import argparse, json, os, shutil, subprocess, tempfile, time, urllib.parse, urllib.request

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--build", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "build"))
parser.add_argument("--streams", type=int, default=1_000_000)
args = parser.parse_args()
PORT, PER_PUSH = 3198, 5000
BASE = f"http://127.0.0.1:{PORT}"
data = tempfile.mkdtemp(prefix="mstore-streams-")
rows = []


def call(path, body=None, headers={}, **params):
    url = BASE + path + ("?" + urllib.parse.urlencode(params) if params else "")
    begun = time.monotonic()
    with urllib.request.urlopen(urllib.request.Request(url, data=body, headers=headers), timeout=600) as r:
        text = r.read()
    return time.monotonic() - begun, text


def ask(name, path, **params):
    first, text = call(path, **params)
    again, _ = call(path, **params)
    rows.append((name, f"{first * 1e3:.1f} ms, again {again * 1e3:.1f} ms, {len(text)} bytes"))


server = subprocess.Popen([os.path.join(args.build, "src", "mstored"), "--data", data, "--listen", f"127.0.0.1:{PORT}", "--log-level", "warn"])
try:
    for _ in range(200):
        try:
            call("/ready")
            break
        except OSError:
            time.sleep(0.02)
    ns, seconds = time.time_ns(), 0
    for first in range(0, args.streams, PER_PUSH):
        streams = [{"stream": {"app": f"app-{n % 100}", "pod": f"pod-{n}", "env": "prod"}, "values": [[str(ns + n), f"line {n} of a stream"]]}
                   for n in range(first, min(first + PER_PUSH, args.streams))]
        seconds += call("/loki/api/v1/push", json.dumps({"streams": streams}).encode(), {"Content-Type": "application/json"})[0]
    rows.append(("pushed", f"{args.streams} streams in {seconds:.1f} s"))
    flush, _ = call("/flush", b"")
    rows.append(("last seal and publish", f"{flush:.1f} s"))
    with open(f"/proc/{server.pid}/status") as f:
        rows.append(("peak RSS", next(f"{int(l.split()[1]) / 1024:.0f} MiB" for l in f if l.startswith("VmHWM"))))
    for name in ("segments", "index"):
        size = sum(os.stat(os.path.join(data, name, f)).st_blocks * 512 for f in os.listdir(os.path.join(data, name)))
        rows.append((name, f"{size / 1e6:.0f} MB, {size / args.streams:.0f} bytes a stream"))
    span = {"start": str(ns - 10**9), "end": str(time.time_ns())}
    ask("one stream", "/loki/api/v1/query_range", query='{pod="pod-%d"}' % (args.streams // 2), **span)
    ask("newest 100 of 10,000 streams", "/loki/api/v1/query_range", query='{app="app-7"}', **span)
    ask("newest 100 of all", "/loki/api/v1/query_range", query='{env="prod"}', **span)
    ask("regex over a million values", "/loki/api/v1/query_range", query='{pod=~"pod-12345.?"}', **span)
    ask("label names", "/loki/api/v1/labels", **span)
    ask("values of a label with 100", "/loki/api/v1/label/app/values", **span)
    ask("series of one app", "/loki/api/v1/series", **{"match[]": '{app="app-7"}'}, **span)
    print("| | |\n|---|---|")
    for row in rows:
        print("| %s | %s |" % row)
finally:
    server.terminate()
    server.wait()
    shutil.rmtree(data, ignore_errors=True)
