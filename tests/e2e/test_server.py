#!/usr/bin/env python3
"""mstored over real sockets: transport, limits, bad input, counters, full disk, stopping. Speaks TAP."""
import gzip
import json
import os
import re
import resource
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import WAIT_SECONDS_MAX, Server, Tap, binary, wait_until  # noqa: E402

JSON = {"Content-Type": "application/json"}
PROTO = {"Content-Type": "application/x-protobuf"}
PUSH = "/loki/api/v1/push"
BODY_BYTES_MAX = 100 * 2**20
HOUR = 3600 * 10**9
SOON = 8 * 10**9  # what expires so soon has been pushed by then; other tests run meanwhile


def now_ns():
    return time.time_ns()


def counters(server):
    """pushed = stored + rejected + deduplicated, and the four."""
    m = server.metrics()
    rejected = sum(v for k, v in m.items() if k.startswith("mstore_entries_rejected_total"))
    pushed, stored = m["mstore_entries_pushed_total"], m["mstore_entries_stored_total"]
    double = m["mstore_entries_deduplicated_total"]
    return pushed == stored + rejected + double, (pushed, stored, rejected, double)


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out) + bytes([n])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def snappy(data):
    """A block of one literal; short data only."""
    return varint(len(data)) + bytes([(len(data) - 1) << 2]) + data


def test_transport(tap, server):
    line = json.dumps({"streams": [{"stream": {"a": "chunked"}, "values": [[str(now_ns()), "x"]]}]}).encode()
    raw = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" % PUSH.encode()
    chunked = raw + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    for i in range(0, len(line), 7):
        chunked += b"%x\r\n%s\r\n" % (len(line[i:i + 7]), line[i:i + 7])
    tap.ok(b" 204 " in server.raw(chunked + b"0\r\n\r\n")[:20], "a chunked body is read")
    with socket.create_connection(("127.0.0.1", server.port), 10) as s:
        s.sendall(raw + b"Expect: 100-continue\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(line))
        first = s.recv(4096)
        s.sendall(line)
        rest = b""
        while True:
            piece = s.recv(4096)
            if not piece:
                break
            rest += piece
    tap.ok(b"100 Continue" in first and b" 204 " in rest, "Expect: 100-continue is answered before the body")
    conn = server.connection()
    statuses = [server.request("GET", "/ready", conn=conn).status for _ in range(3)]
    tap.equal(statuses, [200] * 3, "a connection is kept for several requests")
    statuses = [server.request(m, p, conn=conn).status for m, p in (("GET", "/nowhere"), ("HEAD", PUSH), ("GET", "//ready"), ("DELETE", "/ready"), ("GET", "/ready"))]
    sock = conn.sock
    tap.equal((statuses, server.request("GET", "/nowhere", conn=conn).headers.get("connection"), conn.sock is sock), ([404, 405, 301, 405, 200], None, True),
              "refusals keep the connection as well")
    tap.equal(server.get("/nowhere").text, "404 page not found\n", "an unknown path says so")
    wrong = [server.request(m, PUSH).status for m in ("GET", "HEAD", "OPTIONS", "PUT")]
    tap.equal(wrong, [405] * 4, "a known path with another method is 405")
    moved = server.get("/loki//api/v1/labels?x=1")
    tap.equal((moved.status, moved.headers.get("location")), (301, "/loki/api/v1/labels?x=1"), "doubled slashes are cleaned")
    tap.equal(server.get("/loki/api/v1/label/a%2Fb/values").status, 404, "an escaped slash makes another path")
    tap.equal(server.get("/loki/api/v1/labels?start=%zz").text, 'invalid URL escape "%zz"', "a broken escape is named")


def test_bad_bodies(tap, server):
    bomb = gzip.compress(b"\0" * (300 * 2**20), 1)
    cases = [
        ("empty JSON", JSON, b"", 400, "EOF"),
        ("no streams", JSON, b"{}", 422, "at least one valid stream"),
        ("an array", JSON, b"[]", 400, "expected an object"),
        ("cut JSON", JSON, b'{"streams":[{"stream":{"a":"b"},"values":[["1', 400, "unterminated string"),
        ("deep nesting", JSON, b'{"x":' + b"[" * 100000, 400, "nested too deeply"),
        ("no content type", {}, b"{}", 400, "mime: no media type"),
        ("unknown encoding", {**JSON, "Content-Encoding": "zstd"}, b"{}", 400, 'Content-Encoding "zstd" not supported'),
        ("empty protobuf", PROTO, b"", 400, "snappy: corrupt input"),
        ("cut snappy", PROTO, b"\x1cl\n\x1a\n", 400, "snappy: corrupt input"),
        ("a lying snappy length", PROTO, varint(200 * 2**20) + b"\x00a", 400, "snappy: corrupt input"),
        ("a snappy bomb", PROTO, varint(300 * 2**20) + b"\x00a", 413, "too large"),
        ("a gzip bomb", {**JSON, "Content-Encoding": "gzip"}, bomb, 413, "too large"),
        ("cut gzip", {**JSON, "Content-Encoding": "gzip"}, gzip.compress(b"{}" * 50)[:-9], 400, "unexpected EOF"),
        ("zlib as deflate", {**JSON, "Content-Encoding": "deflate"}, zlib.compress(b"{}"), 400, ""),
        ("a broken label name", JSON, b'{"streams":[{"stream":{"a-b":"c"},"values":[["1","x"]]}]}', 400, "couldn't parse labels: 1:3"),
        ("invalid UTF-8 in a label", JSON, b'{"streams":[{"stream":{"a":"\xff"},"values":[["1","x"]]}]}', 400, "couldn't parse labels"),
        ("10,000 labels", JSON, json.dumps({"streams": [{"stream": {"l%d" % i: "v" for i in range(10000)}, "values": [[str(now_ns()), "x"]]}]}).encode(), 400, "has 10000 label names; limit 15"),
        ("an entry without a time", PROTO, snappy(field(1, field(1, b'{app="a"}') + field(2, field(2, b"x")))), 400, "too old: 0001-01-01"),
    ]
    before = server.metrics()["mstore_entries_stored_total"]
    for name, headers, body, status, text in cases:
        answer = server.post(PUSH, body, headers)
        tap.ok(answer.status == status and text in answer.text, "%s is %d" % (name, status), "got %r" % answer)
    tap.equal(server.metrics()["mstore_entries_stored_total"], before, "nothing of these was stored")
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    answer = server.raw(head % (PUSH.encode(), BODY_BYTES_MAX + 1), until=b"\r\n\r\n.+")
    tap.ok(b" 413 " in answer[:20] and b"vs 104857600" in answer, "a body over the limit is refused by its header")
    server.raw(head % (PUSH.encode(), 1000) + b"{", seconds=1, shut=True)
    server.raw(b"\0\xff" * 3000, seconds=1, shut=True)
    server.raw(b"GET /" + b"a" * 2**20 + b" HTTP/1.1\r\n\r\n", seconds=3)
    tap.equal(server.get("/ready").status, 200, "the server lives on")


def test_limits(tap, server):
    def status(line="x", labels=None, meta=None, ahead=0):
        values = [str(now_ns() + ahead * 10**9), line] + ([meta] if meta else [])
        body = {"streams": [{"stream": labels or {"a": "limits"}, "values": [values]}]}
        return server.post(PUSH, json.dumps(body), JSON).status

    pairs = [
        ("line bytes", dict(line="x" * 262144), dict(line="x" * 262145)),
        ("labels", dict(labels={"l%d" % i: "v" for i in range(15)}), dict(labels={"l%d" % i: "v" for i in range(16)})),
        ("label name bytes", dict(labels={"n" * 1024: "v"}), dict(labels={"n" * 1025: "v"})),
        ("label value bytes", dict(labels={"n": "v" * 2048}), dict(labels={"n": "v" * 2049})),
        ("metadata bytes", dict(meta={"k": "v" * 65535}), dict(meta={"k": "v" * 65536})),
        ("metadata pairs", dict(meta={"k%d" % i: "v" for i in range(128)}), dict(meta={"k%d" % i: "v" for i in range(129)})),
        ("future", dict(ahead=590), dict(ahead=630)),
    ]
    for name, good, bad in pairs:
        tap.equal((status(**good), status(**bad)), (204, 400), "both sides of the limit: " + name)
    answers = [server.get("/loki/api/v1/query_range", {"query": '{a="b"}', "limit": n}).status for n in (5000, 5001)]
    tap.equal(answers, [200, 400], "both sides of the limit: entries of a query")
    long = [server.get("/loki/api/v1/query_range", {"query": '{a="%s"}' % ("b" * n)}).status for n in (131072 - 7, 131072)]
    tap.equal(long, [200, 400], "both sides of the limit: bytes of a query")


def test_partial(tap, server):
    ns = now_ns()
    body = {"streams": [{"stream": {"app": "partial"}, "values": [[str(ns), "kept"], [str(ns), "x" * 262145], [str(ns), "kept"]]}]}
    answer = server.post(PUSH, json.dumps(body), JSON)
    tap.ok(answer.status == 400 and "max entry size '262144'" in answer.text, "a refused entry is told")
    tap.equal(server.lines('{app="partial"}', ns - 1, ns + 1), [(ns, "kept")], "the rest is stored, once")
    good, numbers = counters(server)
    tap.ok(good, "pushed = stored + rejected + deduplicated", numbers)


def test_gzip(tap, server):
    ns = now_ns()
    server.push([({"app": "gzip"}, [(ns + i, "a line of some length %d" % i) for i in range(100)])])
    params = {"query": '{app="gzip"}', "start": ns - 1, "end": ns + 1000}
    plain = server.get("/loki/api/v1/query_range", params)
    packed = server.get("/loki/api/v1/query_range", params, {"Accept-Encoding": "br, gzip"})
    refused = server.get("/loki/api/v1/query_range", params, {"Accept-Encoding": "gzip;q=0"})
    tap.equal(packed.headers.get("content-encoding"), "gzip", "an answer is compressed when asked")
    same = json.loads(gzip.decompress(packed.body))["data"]["result"] == plain.json()["data"]["result"]
    tap.ok(same and "content-encoding" not in plain.headers, "it is the same answer, and plain when not asked")
    tap.ok("content-encoding" not in refused.headers, "q=0 refuses")


def test_small_endpoints(tap, server):
    tap.equal(server.get("/ready").text, "ready\n", "ready")
    tap.ok("version" in server.get("/loki/api/v1/status/buildinfo").json(), "buildinfo")
    tap.ok("retention:" in server.get("/config").text, "config")
    text = server.get("/metrics").text
    missing = [n for n in ("mstore_push_requests_total", "mstore_wal_bytes_total", "mstore_head_bytes", "mstore_segments", "mstore_queries_total",
                           'mstore_push_duration_seconds_bucket', 'mstore_entries_rejected_total{reason="too_old"}') if n not in text]
    tap.equal(missing, [], "metrics")


def test_slow_clients(tap, server):
    """Clients that stall in the middle of a body delay nobody."""
    stalled = []
    for _ in range(64):
        s = socket.create_connection(("127.0.0.1", server.port), 10)
        s.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{" % PUSH.encode())
        stalled.append(s)
    answer = server.push([({"app": "slow"}, [(now_ns(), "x")])])
    tap.equal(answer.status, 204, "64 stalled bodies do not delay a push")
    for s in stalled:
        s.close()


def test_client_leaves(tap):
    """A query whose client hangs up ends, and leaves its worker to others."""
    with Server(["--retention", "0"]) as server:
        line = "x" * 500
        for n in range(40):
            server.push([({"app": "slow", "n": str(n)}, [(now_ns(), "%d %s %d" % (i, line, i)) for i in range(2000)])])
        query = "/loki/api/v1/query_range?query=" + urllib.parse.quote(
            'sum(count_over_time({app="slow"} |~ "(x+y|y+z|[0-9]+q)$" [1m]))')
        before = server.metrics()["mstore_query_failures_total"]
        sockets = []
        for _ in range(8):  # more than there are workers
            s = socket.create_connection(("127.0.0.1", server.port), 10)
            s.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % query.encode())
            sockets.append(s)
        for s in sockets:
            s.close()
        # Queries that run or wait when their client is gone are counted as failed; none hangs on.
        tap.ok(wait_until(lambda: server.metrics()["mstore_queries_running"] == 0 and
                          server.metrics()["mstore_query_failures_total"] > before), "queries of clients that left are cancelled")


def push_young(tap, server):
    """An entry in the log that expires soon. Its time."""
    ns = now_ns()
    young = ns - HOUR + SOON
    answer = server.push([({"app": "old"}, [(young, "young"), (ns - HOUR - 10**9, "old")])])
    tap.ok(answer.status == 400 and "has timestamp too old" in answer.text, "an entry older than retention is refused")
    return young


def test_retention(tap, server, young):
    def found():
        return server.lines('{app="old"}', young - HOUR, young + HOUR)
    tap.ok(wait_until(lambda: found() == []), "what has expired meanwhile is not answered", found())
    server.kill9()
    server.args = ["--retention", "0"]
    server.start()
    tap.equal(found(), [(young, "young")], "replay decides as the push did, however late it comes")
    server.close()


def push_two(tap, server):
    """Two segments of which one expires soon. The other one's time."""
    ns = now_ns()
    server.push([({"app": "a"}, [(ns - HOUR + SOON, "soon gone")])])
    server.post("/flush")
    server.push([({"app": "a"}, [(ns, "stays")])])
    server.post("/flush")
    tap.equal(server.metrics()["mstore_segments"], 2, "two segments")
    return ns


def test_expiry(tap, server, ns):
    """Segments leave the disk when their last entry has expired; the oldest leave above --max-bytes."""
    tap.ok(wait_until(lambda: server.metrics()["mstore_segments"] == 1), "one when the other has expired")
    tap.equal([l for _, l in server.lines('{app="a"}', ns - 2 * HOUR, ns + 1)], ["stays"], "the other is answered")
    tap.ok(wait_until(lambda: server.metrics()['mstore_dropped_entries_total{reason="expired"}'] == 1), "which is counted")
    server.close()


def test_room(tap):
    ns = now_ns()
    with Server(["--retention", "0", "--max-bytes", "400"]) as server:
        for i in range(4):
            server.push([({"app": "a"}, [(ns + i, "line %d" % i)])])
            server.post("/flush")
        tap.ok(wait_until(lambda: server.metrics()["mstore_segments"] == 1), "above --max-bytes the oldest go")
        tap.equal([l for _, l in server.lines('{app="a"}', ns, ns + 9)], ["line 3"], "the newest stays")
    with Server(["--retention", "0", "--low-water", "1000TB"]) as server:
        answer = server.push([({"app": "a"}, [(ns, "x")])])
        tap.ok(answer.status == 503 and "--low-water" in answer.text and "retry-after" in answer.headers,
               "below the low-water mark pushes are refused, with the reason", repr(answer))
        tap.ok(server.get("/ready").status == 503 and "--low-water" in server.get("/ready").text, "/ready says so")
        tap.equal(server.metrics()["mstore_disk_low"], 1, "and /metrics")


def test_full_disk(tap):
    with Server(["--retention", "0", "--head-bytes", "64MiB"]) as server:
        ns = now_ns()
        tap.equal(server.push([({"app": "disk"}, [(ns, "before")])]).status, 204, "there is room")
        size = max(os.path.getsize(os.path.join(server.data, "wal", f)) for f in os.listdir(os.path.join(server.data, "wal")))
        resource.prlimit(server.pid(), resource.RLIMIT_FSIZE, (size + 100, resource.RLIM_INFINITY))
        answer = server.push([({"app": "disk"}, [(ns + 1, "x" * 10000)])])
        tap.ok(answer.status == 503 and "retry-after" in answer.headers and "too large" in answer.text.lower(),
               "no room for the log: 503, why, and when to come again", repr(answer))
        tap.equal(server.lines('{app="disk"}', ns, ns + 10), [(ns, "before")], "reads go on, nothing half-stored is shown")
        resource.prlimit(server.pid(), resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        tap.equal(server.push([({"app": "disk"}, [(ns + 2, "after")])]).status, 204, "writes resume when space returned")
        resource.prlimit(server.pid(), resource.RLIMIT_FSIZE, (64, resource.RLIM_INFINITY))
        answer = server.post("/flush")
        tap.ok(answer.status == 503, "no room for the segment: 503", repr(answer))
        tap.equal(server.get("/ready").status, 503, "not ready says so")
        tap.equal(len(server.lines('{app="disk"}', ns, ns + 10)), 2, "reads go on")
        resource.prlimit(server.pid(), resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        tap.ok(wait_until(lambda: server.post("/flush").status == 204), "sealing resumes")
        good, numbers = counters(server)
        tap.ok(good, "pushed = stored + rejected + deduplicated", numbers)
        server.kill9()
        server.start()
        tap.equal([l for _, l in server.lines('{app="disk"}', ns, ns + 10)], ["before", "after"], "and all of it survives a crash")


def test_stop(tap):
    server = Server(["--retention", "0"]).start()
    acked, ns = [], now_ns()

    def push():
        for i in range(1000):
            try:
                if server.push([({"app": "stop"}, [(ns + i, "line %d" % i)])]).status == 204:
                    acked.append(i)
            except OSError:
                return

    thread = threading.Thread(target=push)
    thread.start()
    wait_until(lambda: len(acked) > 20)
    status = server.stop()
    thread.join()
    tap.equal(status, 0, "SIGTERM under load ends with status 0")
    server.start()
    found = {line for _, line in server.lines('{app="stop"}', ns, ns + 2000)}
    tap.equal([i for i in acked if "line %d" % i not in found], [], "%d acknowledged lines are there" % len(acked))
    server.close()


def test_configuration(tap):
    def fails(*args, env=None):
        out = subprocess.run([binary(), *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=WAIT_SECONDS_MAX,
                             env={**os.environ, **(env or {})})
        return out.returncode, out.stderr.decode()

    here = Server()
    path = os.path.join(here.data, "config.yaml")
    cases = [
        ((), "no data directory"),
        (("--data", here.data, "--nonsense", "1"), "unknown flag `--nonsense`"),
        (("--data", here.data, "--memory", "lots"), "flag --memory: `lots` is no size"),
        (("--data", here.data, "--retention", "soon"), "flag --retention: `soon` is no duration"),
        (("--data", here.data, "--durability", "maybe"), "neither sync nor crash"),
        (("--data", here.data, "--listen", "0.0.0.0:3100"), "--allow-anonymous"),
    ]
    for args, text in cases:
        status, err = fails(*args)
        tap.ok(status == 2 and text in err, "refused: %s" % text, err)
    with open(path, "w") as f:
        f.write("retention: 2h\nhead_idle: 5m\nlisten: [\"127.0.0.1:0\"]\nretenton: 1h\n")
    status, err = fails("--data", here.data, "--config", path)
    tap.ok(status == 2 and "config.yaml:4: unknown key `retenton`" in err, "an unknown key is named with its line", err)
    with open(path, "w") as f:
        f.write("retention: 2h\nhead_idle: 5m\nmemory: 1GiB\n")
    with Server(["--config", path, "--head-idle", "7m"], env={"MSTORE_MEMORY": "128MiB"}) as server:
        text = server.get("/config").text
        got = [re.search("^%s: (.*)$" % k, text, re.M)[1] for k in ("retention", "memory", "head_idle")]
        tap.equal(got, ["7200s", str(128 * 2**20), "420s"], "flags win over variables, variables over the file")
        diff = server.get("/config?mode=diff").text
        tap.equal(sorted(re.findall(r"^(\w+):", diff, re.M)), ["data", "head_bytes", "head_idle", "listen", "memory", "retention"], "what differs from the defaults")
        defaults = dict(re.findall(r"^(\w+): (.*)$", server.get("/config?mode=defaults").text, re.M))
        tap.equal([defaults[k] for k in ("retention", "memory", "query_timeout", "tail_duration", "connection_idle", "multi_tenant_queries", "listen")],
                  ["1209600s", str(512 * 2**20), "60s", "3600s", "180s", "false", '["127.0.0.1:3100", "127.0.0.1:4318"]'], "the defaults")
    shown = subprocess.run([binary(), "--help"], stdout=subprocess.PIPE)
    tap.ok(shown.returncode == 0 and b"--durability sync|crash" in shown.stdout, "--help")
    with Server() as first:
        status, err = fails("--data", first.data, "--listen", "127.0.0.1:0")
        tap.ok(status == 1 and "another process has the lock" in err, "a second server on one directory is refused", err)


def main():
    tap = Tap()
    expiring = [Server(["--retention", "1h"]).start() for _ in range(2)]
    young, kept = push_young(tap, expiring[0]), push_two(tap, expiring[1])
    with Server(["--retention", "0"]) as server:
        for test in (test_transport, test_bad_bodies, test_limits, test_partial, test_gzip, test_small_endpoints, test_slow_clients):
            test(tap, server)
        good, numbers = counters(server)
        tap.ok(good, "pushed = stored + rejected + deduplicated after all of this", numbers)
    for test in (test_client_leaves, test_room, test_full_disk, test_stop, test_configuration):
        test(tap)
    test_retention(tap, expiring[0], young)
    test_expiry(tap, expiring[1], kept)
    tap.done()


if __name__ == "__main__":
    main()
