#!/usr/bin/env python3
"""Pushes spans into a fresh mstored and prints what it cost: throughput, CPU, memory, disk; then asks for traces, searches and metrics.

usage: traces.py [--build DIR] [--spans N] [--connections N] [--dir DIR] [--keep] [-- mstored flags ...]

Prints a Markdown table. CPU is that of the server alone, sealing included. "Cold" is a server that was just started on pages that the
kernel was asked to drop: those of the data directory, or (as root) all it has, program, libraries and inodes too. Server time is what the
server's own histogram of queries gained, the rest of a request's is HTTP, with a new connection each. Traces are from anywhere in the store.
"""
import argparse, json, os, random, re, shutil, statistics, subprocess, sys, tempfile, time, urllib.parse, urllib.request

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--build", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "build"))
parser.add_argument("--spans", type=int, default=2_000_000)
parser.add_argument("--connections", type=int, default=4)
parser.add_argument("--dir", help="where the data directory is made (default: $TMPDIR)")
parser.add_argument("--keep", action="store_true", help="leave the data directory, and print its name")
parser.add_argument("flags", nargs="*")
args = parser.parse_args()
PORT = 3198
BASE = f"http://127.0.0.1:{PORT}"


def start(data):
    p = subprocess.Popen([os.path.join(args.build, "src", "mstored"), "--data", data, "--listen", f"127.0.0.1:{PORT}",
                          "--log-level", "warn", *args.flags])
    while True:
        try:
            urllib.request.urlopen(BASE + "/ready", timeout=5).read()
            return p
        except OSError:
            if p.poll() is not None:
                raise SystemExit("mstored did not start")
            time.sleep(0.005)


def get(path, **params):
    begun = time.monotonic()
    body = urllib.request.urlopen(BASE + path + ("?" + urllib.parse.urlencode(params) if params else ""), timeout=300).read()
    return json.loads(body), time.monotonic() - begun


def server_seconds():
    text = urllib.request.urlopen(BASE + "/metrics", timeout=30).read().decode()
    return float(re.search(r"^mstore_query_duration_seconds_sum (\S+)", text, re.M).group(1))


def cpu(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_rss(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM"))


def disk(data):
    return sum(os.stat(os.path.join(top, f)).st_blocks * 512 for top, _, files in os.walk(data) for f in files)


def drop_all_pages():
    with open("/proc/sys/vm/drop_caches", "w") as f:
        os.sync()
        f.write("3")


def drop_pages():
    for top, _, files in os.walk(data):
        for f in files:
            fd = os.open(os.path.join(top, f), os.O_RDONLY)
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)


# IDs of traces, from windows of time all over the store.
def some_ids(count):
    def search(start_s, end_s, limit):
        return get("/api/search", q="{}", limit=limit, start=start_s, end=end_s)[0]["traces"]

    newest_s = int(search(int(time.time()) - 24 * 3600, int(time.time()) + 24 * 3600, 1)[0]["startTimeUnixNano"]) // 10**9
    first_s = newest_s
    while search(first_s - 60, first_s, 1):
        first_s -= 60
    chosen, ids = random.Random(1), set()
    while len(ids) < count:
        second = chosen.randrange(first_s, newest_s)
        ids.update(t["traceID"] for t in search(second, second + 1, 100))
    ids = sorted(ids)
    chosen.shuffle(ids)
    return ids


# Each of the traces asked of a server of its own; times of the request and of the server.
def ask_cold(ids, drop):
    global server
    http, server_times = [], []
    for i in ids:
        drop()
        server = start(data)
        before = server_seconds()
        http.append(get("/api/v2/traces/" + i)[1])
        server_times.append(server_seconds() - before)
        server.terminate()
        server.wait()
    return (f"{statistics.median(server_times) * 1000:.1f} / {max(server_times) * 1000:.1f} ms; over HTTP "
            f"{statistics.median(http) * 1000:.1f} / {max(http) * 1000:.1f} ms")


data, server = tempfile.mkdtemp(prefix="mstore-bench-", dir=args.dir), None
try:
    server = start(data)
    out = subprocess.run([os.path.join(args.build, "bench", "loadgen"), f"127.0.0.1:{PORT}", "--spans", str(args.spans), "--connections",
                          str(args.connections)], stdout=subprocess.PIPE, check=True)
    result = json.loads(out.stdout)
    urllib.request.urlopen(urllib.request.Request(BASE + "/flush", method="POST"), timeout=300).read()
    seconds_cpu, rss, size = cpu(server.pid), peak_rss(server.pid), disk(data)
    spans = result["spans"]
    now = int(time.time())
    window = {"start": now - 3 * 3600, "end": now + 3600}
    ids = some_ids(260)
    rows = [
        ("spans pushed", f"{spans} in {result['pushes']} pushes, {result['body_bytes'] / spans:.0f} bytes each, {args.connections} connections"),
        ("throughput", f"{spans / result['seconds']:.0f} spans/s"),
        ("per CPU-second, sealing included", f"{spans / seconds_cpu:.0f} spans"),
        ("push latency median / p99", f"{result['median_ms']:.1f} ms / {result['p99_ms']:.1f} ms"),
        ("peak RSS", f"{rss / 2**20:.0f} MiB"),
        ("disk a span, everything counted", f"{size / spans:.1f} bytes"),
        ("segments, index", f"{len(os.listdir(data + '/segments'))}, {os.stat(data + '/index/data.mdb').st_size} bytes"),
    ]
    for i in ids[:200]:
        get("/api/v2/traces/" + i)
    before = server_seconds()
    warm = [get("/api/v2/traces/" + i)[1] for i in ids[:200]]
    rows.append(("trace by ID, warm", f"{(server_seconds() - before) / 200 * 1e6:.0f} µs; over HTTP median / p99 "
                 f"{statistics.median(warm) * 1e6:.0f} / {sorted(warm)[-3] * 1e6:.0f} µs"))
    for name, path, params in [
        ("`{ status = error && duration > 1s }`", "/api/search", {"q": "{ status = error && duration > 1s }", "limit": 20}),
        ("`{ span.http.response.status_code = 500 }`", "/api/search", {"q": "{ span.http.response.status_code = 500 }", "limit": 20}),
        ("`{} \\| rate() by (resource.service.name)`", "/api/metrics/query_range", {"q": "{} | rate() by (resource.service.name)", "step": "60s"}),
        ("`{ kind = server } \\| quantile_over_time(duration, 0.9) by (name)`", "/api/metrics/query_range",
         {"q": "{ kind = server } | quantile_over_time(duration, 0.9) by (name)", "step": "60s"}),
    ]:
        times = [get(path, **params, **window)[1] for _ in range(5)]
        rows.append((name, f"{min(times) * 1000:.1f} ms (best of 5; first {times[0] * 1000:.1f})"))
    server.terminate()
    server.wait()
    rows.append(("trace by ID, its pages dropped, median / worst of 30", ask_cold(ids[200:230], drop_pages)))
    if os.access("/proc/sys/vm/drop_caches", os.W_OK):
        rows.append(("trace by ID, all pages dropped, median / worst of 30", ask_cold(ids[230:260], drop_all_pages)))
    print("| | |\n|---|---|")
    for name, value in rows:
        print(f"| {name} | {value} |")
finally:
    if server is not None and server.poll() is None:
        server.kill()
        server.wait()
    if args.keep:
        print(data, file=sys.stderr)
    else:
        shutil.rmtree(data, ignore_errors=True)
