#!/usr/bin/env python3
"""Pushes lines into a fresh mstored and prints what it cost: throughput, CPU, latency, memory, disk, restart.

usage: ingest.py [--build DIR] [--bytes N] [--connections N] [-- mstored flags ...]

Prints a Markdown table. CPU is that of the server alone. Restart is kill -9 with a full write-ahead log, until the first
ready answer.
"""
import argparse, json, os, shutil, signal, subprocess, tempfile, time, urllib.request

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--build", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "build"))
parser.add_argument("--bytes", type=int, default=1000 * 1000 * 1000)
parser.add_argument("--connections", type=int, default=4)
parser.add_argument("--dir", help="where the data directory is made (default: $TMPDIR)")
parser.add_argument("flags", nargs="*")
args = parser.parse_args()
PORT = 3199
BASE = f"http://127.0.0.1:{PORT}"


def start(data):
    p = subprocess.Popen([os.path.join(args.build, "src", "mstored"), "--data", data, "--listen", f"127.0.0.1:{PORT}",
                          "--log-level", "warn", *args.flags])
    begun = time.monotonic()
    while True:
        try:
            urllib.request.urlopen(BASE + "/ready", timeout=5).read()
            return p, time.monotonic() - begun
        except OSError:
            if p.poll() is not None:
                raise SystemExit("mstored did not start")
            time.sleep(0.005)


def load(n, seed):
    out = subprocess.run([os.path.join(args.build, "bench", "loadgen"), f"127.0.0.1:{PORT}", "--bytes", str(n), "--connections",
                          str(args.connections), "--seed", str(seed)], stdout=subprocess.PIPE, check=True)
    return json.loads(out.stdout)


def cpu(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_rss(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM"))


def disk(data):
    sizes = {}
    for name in ("wal", "segments", "index"):
        # Blocks in use: the index file is sparse.
        sizes[name] = sum(os.stat(os.path.join(data, name, f)).st_blocks * 512 for f in os.listdir(os.path.join(data, name)))
    return sizes


data = tempfile.mkdtemp(prefix="mstore-bench-", dir=args.dir)
try:
    server, _ = start(data)
    result = load(args.bytes, 1)
    pushed_cpu = cpu(server.pid)
    urllib.request.urlopen(urllib.request.Request(BASE + "/flush", method="POST"), timeout=120).read()
    seconds_cpu = cpu(server.pid)
    rss = peak_rss(server.pid)
    sizes = disk(data)
    gb = result["line_bytes"] / 1e9
    # A full WAL, then the plug is pulled.
    load(60 * 1000 * 1000, 2)
    wal = disk(data)["wal"]
    server.send_signal(signal.SIGKILL)
    server.wait()
    server, restart = start(data)
    server.terminate()
    server.wait()
    mb = result["line_bytes"] / 1e6
    rows = [
        ("lines pushed", f"{mb:.0f} MB in {result['lines']} lines, {result['pushes']} pushes, {args.connections} connections"),
        ("throughput", f"{mb / result['seconds']:.0f} MB/s"),
        ("per CPU-second, sealing included", f"{mb / seconds_cpu:.0f} MB"),
        ("push latency median / p99", f"{result['median_ms']:.1f} ms / {result['p99_ms']:.1f} ms"),
        ("peak RSS", f"{rss / 2**20:.0f} MiB"),
        ("disk per GB of lines", f"{sum(sizes.values()) / 1e6 / gb:.0f} MB (segments {sizes['segments'] / 1e6 / gb:.0f}, "
                                 f"index {sizes['index'] / 1e6 / gb:.1f}, WAL {sizes['wal'] / 1e6 / gb:.1f})"),
        ("restart after kill -9", f"{restart:.2f} s with {wal / 1e6:.0f} MB of WAL"),
    ]
    print("| | |\n|---|---|")
    for name, value in rows:
        print(f"| {name} | {value} |")
finally:
    shutil.rmtree(data, ignore_errors=True)
