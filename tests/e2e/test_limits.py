#!/usr/bin/env python3
"""Each limit of base/limits.h that a request can meet, on both of its sides: what is still served, what is refused and with which
words. Speaks TAP."""
import json
import os
import resource
import select
import socket
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import WAIT_SECONDS_MAX, Server, Tap, wait_until  # noqa: E402

PUSH = "/loki/api/v1/push"
JSON = {"Content-Type": "application/json"}
PROTO = {"Content-Type": "application/x-protobuf"}
KIB, MIB = 1024, 1024 * 1024
REQUESTS_MAX, CONNECTIONS_MAX, LONG_CONNECTIONS_MAX = 512, 4096, 32
QUEUE_MAX = 128


def now():
    return time.time_ns()


def connect(server, data):
    s = socket.create_connection(("127.0.0.1", server.port), WAIT_SECONDS_MAX)
    s.sendall(data if isinstance(data, bytes) else data.encode())
    return s


def status_of(s, seconds=WAIT_SECONDS_MAX):
    """Status and text of the one answer on a socket; 0 when none comes."""
    s.settimeout(seconds)
    got = b""
    try:
        while b"\r\n\r\n" not in got:
            piece = s.recv(65536)
            if not piece:
                return 0, ""
            got += piece
        head, body = got.split(b"\r\n\r\n", 1)
        length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
        while len(body) < length:
            body += s.recv(65536)
        return int(got.split()[1]), body.decode("utf-8", "replace")
    except OSError:
        return 0, ""


def close_all(sockets):
    for s in sockets:
        s.close()


def stalled_push(bytes_promised, bytes_sent=1):
    return b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (PUSH.encode(), bytes_promised) + b"{" * bytes_sent


def get(path, host="x", extra=""):
    return "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (path, host, extra)


def requests_in_hand(tap, server):
    # The request that asks counts too, until the server has seen it off: on one connection that is before it takes the next.
    conn = server.connection()
    held = [connect(server, stalled_push(100)) for _ in range(REQUESTS_MAX - 2)]
    tap.ok(wait_until(lambda: server.metrics(conn=conn)["mstore_connections"] >= REQUESTS_MAX - 2), "%d requests are in hand" % (REQUESTS_MAX - 2))
    tap.equal(server.push([({"a": "b"}, [(now(), "x")])], conn=conn).status, 204, "one more is served")
    answers = []

    def refused():  # one that came while another request was in hand was refused itself
        held.append(connect(server, stalled_push(100)))
        answers.append(server.get("/ready", conn=conn))
        return answers[-1].status == 503
    tap.ok(wait_until(refused), "the %dth is refused" % (REQUESTS_MAX + 1))
    tap.equal((answers[-1].text, answers[-1].headers.get("retry-after")), ("too many requests in hand\n", "1"), "and told when to come again")
    for s in held[REQUESTS_MAX - 3:]:
        s.close()
    tap.ok(wait_until(lambda: server.get("/ready", conn=conn).status == 200), "until some left")
    close_all(held)
    conn.close()


def slow_queries(server):
    line = "x" * 500
    for n in range(40):
        server.push([({"app": "slow", "n": str(n)}, [(now(), "%d %s %d" % (i, line, i)) for i in range(2000)])])
    return "/loki/api/v1/query_range?query=" + urllib.parse.quote(
        'sum(count_over_time({app="slow"} | regexp "(?P<a>x+)(?P<b>.*)" | b != "" [1m]))')  # nothing tells it from a filter


def refused_of(sockets):
    """Answers that are there and refuse; the others are still worked on."""
    ready = select.select(sockets, [], [], 0)[0]
    return [a for a in map(status_of, ready) if a[0] not in (0, 200)]


def queries_outstanding(tap, server, path):
    asked = [connect(server, get(path)) for _ in range(QUEUE_MAX)]
    time.sleep(0.3)
    tap.equal(refused_of(asked), [], "%d queries outstanding: none is refused" % len(asked))
    more = [connect(server, get(path)) for _ in range(100)]
    refused = []
    tap.ok(wait_until(lambda: refused.extend(refused_of(more)) or refused) and set(refused) == {(429, "too many outstanding requests\n")},
           "of 100 more some are, with 429", refused)
    tap.equal(server.get("/ready").status, 200, "what tells of the server does not wait behind them")
    close_all(asked + more)
    tap.ok(wait_until(lambda: server.metrics()["mstore_queries_running"] == 0), "all end when their clients left")


def query_timeout(tap, path):
    with Server(["--retention", "0", "--query-timeout", "1ms"]) as server:
        slow_queries(server)
        answer = server.get(path)
        tap.ok(answer.status == 504 and answer.text.startswith("request timed out, decrease the duration"), "a query ends when its time is over", repr(answer))
        tap.equal(server.get("/loki/api/v1/query_range", {"query": "vector(1)"}).status, 200, "a quick one does not meet it")
        tap.ok('"query_timeout":"1ms"' in server.get("/loki/api/v1/drilldown-limits").text, "the limits tell it")


def body_memory(tap):
    with Server(["--retention", "0", "--memory", "64MiB"]) as server:  # a quarter is for bodies
        held = [connect(server, stalled_push(8 * MIB, 6 * MIB))]
        pad = json.dumps({"streams": [], "pad": "x" * 11 * MIB})
        tap.equal(server.push([({"a": "b"}, [(now(), "x")])]).status, 204, "beside a large body a small one is taken")
        answers = []

        def refused():  # when all that was sent of the first one has arrived
            answers.append(server.post(PUSH, pad, JSON))
            return answers[-1].status == 503
        tap.ok(wait_until(refused) and answers[-1].text == "too many bytes of request bodies in hand (--memory)\n", "one that would pass the memory is not", answers[-1:])
        close_all(held)
        tap.ok(wait_until(lambda: server.post(PUSH, pad, JSON).status == 422), "until the other left")


def heads(tap, server):
    def length(n, extra=""):
        path = "/loki/api/v1/labels?x="
        with connect(server, get(path + "a" * (n - len("GET " + path)), extra=extra)) as s:
            return status_of(s)[0]
    tap.equal((length(500000), length(530000)), (200, 414), "both sides of the limit: a long request line")
    query = urllib.parse.quote('{a=~"' + "é" * 40000 + '"}')
    tap.equal(server.get("/loki/api/v1/query_range?query=" + query).status, 200, "a query of %d bytes in the URL" % len(query))
    tap.equal(length(100, "X: %s\r\n" % ("b" * 500000)), 200, "a long header")
    tap.equal(length(100, "X: %s\r\n" % ("b" * 530000)), 431, "too long a one")
    held = []
    # By a connection that begins with a POST, for all others are to be gone.
    conn = server.connection()
    server.request("POST", "/flush", conn=conn)
    tap.ok(wait_until(lambda: server.metrics(conn=conn)["mstore_connections"] == 1), "connections that were closed are gone")
    for _ in range(LONG_CONNECTIONS_MAX):
        held.append(connect(server, get("/ready")))
        status_of(held[-1])
    tap.equal((length(16000), length(17000)), (200, 414), "with %d connections that may have long ones, others have 16 KiB" % len(held))
    tap.equal((length(100, "X: y\r\n" * 100), length(100, "X: y\r\n" * 1000)), (200, 431), "for headers too")
    with connect(server, get("/loki/api/v1/labels?a=b" + "&x=y" * 3500)) as s:
        tap.equal(status_of(s)[0], 200, "3,500 parameters do fit there")
    held[7].sendall(get("/loki/api/v1/labels?x=" + "a" * 400000).encode())
    tap.equal(status_of(held[7])[0], 200, "those have it for each of their requests")
    held.pop().close()
    tap.ok(wait_until(lambda: length(17000) == 200), "and leave it to others when they end")
    close_all(held)
    conn.close()


def addresses(tap):
    """One thread accepts for all addresses; clients that are late with their first bytes are served as well."""
    with Server(["--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0", "--listen", "[::1]:0"]) as server:
        answers = []
        for host, port in zip(("127.0.0.1", "127.0.0.1", "::1"), server.ports):
            with socket.create_connection((host, port), 10) as s:
                s.sendall(get("/ready").encode())
                answers.append(status_of(s)[0])
        tap.equal(answers, [200] * 3, "three addresses answer")
        with socket.create_connection(("127.0.0.1", server.port), 10) as late:
            time.sleep(1.2)
            tap.equal(server.get("/ready").status, 200, "a silent connection is in nobody's way")
            late.sendall(get("/ready").encode())
            tap.equal(status_of(late)[0], 200, "and is served when it speaks")


def form(tap, server):
    def post(size):
        body = "query=vector(1)&pad="
        return server.post("/loki/api/v1/query", body + "x" * (size - len(body)), {"Content-Type": "application/x-www-form-urlencoded"})
    tap.equal(post(10 * MIB).status, 200, "a form of 10 MiB")
    answer = post(10 * MIB + 1)
    tap.equal((answer.status, answer.text), (400, "http: POST too large"), "a byte more is refused")


def connections(tap):
    with Server() as server:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        held, answered = [], 0
        for _ in range(CONNECTIONS_MAX):
            held.append(connect(server, get("/ready")))
            answered += status_of(held[-1])[0] == 200
        tap.equal(answered, CONNECTIONS_MAX, "%d connections are served" % CONNECTIONS_MAX)
        last = connect(server, get("/ready"))
        tap.equal(status_of(last, 0.5)[0], 0, "one more waits")
        held.pop().close()
        tap.equal(status_of(last)[0], 200, "until one left")
        close_all(held + [last])
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def idle(tap):
    with Server(["--connection-idle", "3s"]) as server:
        silent, busy, half = connect(server, get("/ready")), connect(server, get("/ready")), connect(server, "GET /rea")
        status_of(silent)
        status_of(busy)

        def closed():  # asked much more often than once in three seconds
            busy.sendall(get("/ready").encode())
            return status_of(busy)[0] == 200 and len(select.select([silent, half], [], [], 0)[0]) == 2
        tap.ok(wait_until(closed, every=0.1), "a connection that is used stays until silent ones are closed")
        tap.equal((silent.recv(10), half.recv(10)[:5]), (b"", b""), "without a word")
        busy.sendall(get("/ready").encode())
        tap.equal(status_of(busy)[0], 200, "and longer")
        close_all([silent, busy, half])
    with Server(["--connection-idle", "1h"]) as server:
        tap.equal(server.get("/ready").status, 200, "an hour is allowed")


def gzip_threshold(tap, server):
    path, labels = "/loki/api/v1/label/gz%d/values", {}
    overhead = len('{"status":"success","data":[""]}\n')
    for size in (1399, 1400):
        labels["gz%d" % size] = "v" * (size - overhead)
    server.push([(labels, [(now(), "x")])])
    answers = {size: server.get(path % size, headers={"Accept-Encoding": "gzip"}) for size in (1399, 1400)}
    tap.equal([len(server.get(path % s).body) for s in (1399, 1400)], [1399, 1400], "answers of 1399 and of 1400 bytes")
    tap.equal([answers[s].headers.get("content-encoding") for s in (1399, 1400)], [None, "gzip"], "the larger one is compressed")


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out) + bytes([n])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def snappy(data):
    return varint(len(data)) + bytes([61 << 2, (len(data) - 1) & 255, (len(data) - 1) >> 8]) + data


def stamp(ns):
    return b"\x08" + varint(ns // 10**9) + b"\x10" + varint(ns % 10**9)


def nesting(tap, server):
    entry = field(1, stamp(now())) + field(2, b"deep")
    stream = field(1, field(1, b'{app="groups"}') + field(2, entry))
    answers = [server.post(PUSH, snappy(stream + b"\x7b" * n + b"\x7c" * n), PROTO) for n in (32, 33)]
    tap.equal([(a.status, a.text) for a in answers], [(204, ""), (400, "proto: groups nested too deeply\n")], "groups of protobuf in each other: 32, 33")

    def skipped(n):
        return '{"x":%s%s,"streams":[{"stream":{"app":"skipped"},"values":[["%d","x"]]}]}' % ("[" * n, "]" * n, now())
    answers = [server.post(PUSH, skipped(n), JSON) for n in (512, 513)]
    tap.ok([a.status for a in answers] == [204, 400] and "nested too deeply" in answers[1].text, "skipped JSON: 512, 513", repr(answers))

    def otlp_json(n):
        value = '{"arrayValue":{"values":[' * n + '{"stringValue":"x"}' + "]}}" * n
        return '{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"%d","body":%s}]}]}]}' % (now(), value)
    answers = [server.post("/otlp/v1/logs", otlp_json(n), JSON) for n in (64, 65)]
    tap.ok([a.status for a in answers] == [204, 400] and b"values nested too deeply" in answers[1].body, "OpenTelemetry's JSON: 64, 65", repr(answers))

    def otlp_pb(n):
        value = field(1, b"x")
        for _ in range(n):
            value = field(5, field(1, value))
        record = b"\x09" + now().to_bytes(8, "little") + field(5, value)
        return field(1, field(2, field(2, record)))
    answers = [server.post("/otlp/v1/logs", otlp_pb(n), PROTO) for n in (64, 65)]
    tap.ok([a.status for a in answers] == [204, 400] and b"values nested too deeply" in answers[1].body, "OpenTelemetry's protobuf: 64, 65", repr(answers))


def queries(tap, server):
    ns = now()
    for first in (0, 250):
        server.push([({"app": "many", "n": "%03d" % i}, [(ns, "x")]) for i in range(first, first + 250)])

    def ask(query, headers=None, **params):
        body = urllib.parse.urlencode(dict(params, query=query))
        return server.post("/loki/api/v1/query", body, {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})})
    count = 'count_over_time({app="many"}[1h])'
    tap.equal(len(ask(count, time=ns + 1).json()["data"]["result"]), 500, "500 series")
    server.push([({"app": "many", "n": "500"}, [(ns, "x")])])
    answer = ask(count, time=ns + 1)
    tap.ok(answer.status == 400 and answer.text.startswith("maximum number of series (500) reached for a single query"), "501 are refused", repr(answer))
    tap.equal(ask("sum(%s)" % count, time=ns + 1).json()["data"]["result"][0]["value"][1], "501", "inner ones are free")
    answer = ask(count, {"X-Query-Tags": "Source=grafana-lokiexplore-app"}, time=ns + 1).json()
    tap.equal((len(answer["data"]["result"]), answer.get("warnings")), (500, ["maximum number of series (500) reached for a single query; returning partial results"]),
              "Logs Drilldown gets 500 and a warning")

    def matchers(n):
        return "count_over_time({%s}[1h])" % ",".join(['app="many"'] * n)
    answer = ask(matchers(1001))
    tap.equal(ask(matchers(1000), time=ns + 1).status, 400, "1000 matchers meet the series alone")
    tap.equal(ask("sum(%s)" % matchers(1000), time=ns + 1).status, 200, "or nothing")
    tap.equal((answer.status, answer.text), (400, "max streams matchers per query exceeded, matchers-count > limit (1001 > 1000)"), "1001 are refused")
    cases = [
        ("nesting", lambda n: "(" * n + "1" + ")" * n, 32, "nested deeper than 32 levels"),
        ("operands", lambda n: "+".join(["vector(1)"] * n), 512, "chains more than 512 operands"),
        ("stages", lambda n: '{app="many"}' + ' |= "x"' * n, 512, "chains more than 512 operands"),
        ("regexes", lambda n: '{app="many"}' + ' |~ "a.b"' * n, 128, "more than 128"),
    ]
    for name, make, limit, text in cases:
        inside, outside = (server.get("/loki/api/v1/query_range", {"query": make(n)}) for n in (limit, limit + 1))
        tap.ok(inside.status == 200 and outside.status == 400 and text in outside.text, "both sides of the limit: %s" % name, "%r %r" % (inside, outside))
    fits, large = (ask('count_over_time({app="many"} |~ "%s"[1h])' % ("(a{1000}){%d}" % n)) for n in (1, 900))
    tap.ok(large.status == 400 and fits.status != 500, "a regex whose program is too large", repr(large))
    step = server.get("/loki/api/v1/query_range", {"query": "vector(1)", "start": 0, "end": 11001, "step": 1})
    tap.ok(step.status == 400 and "11,000 points" in step.text, "11,001 steps", repr(step))
    tap.equal(len(server.get("/loki/api/v1/query_range", {"query": "vector(1)", "start": "1000000000", "end": "1000011000", "step": 1}).json()["data"]["result"][0]["values"]),
              11001, "11,000 steps: 11,001 points")
    for hours, status in ((721, 200), (722, 400)):
        answer = server.get("/loki/api/v1/query_range", {"query": '{app="x"}', "start": "1000000000", "end": str(10**9 + hours * 3600)})
        tap.equal(answer.status, status, "%d hours" % hours)
    volume = {"query": "{}", "start": ns - 10**9, "end": ns + 10**9}
    tap.equal(len(server.get("/loki/api/v1/index/volume", volume).json()["data"]["result"]), 100, "volume: a hundred by default")


def tenants(tap, server):
    for size, status in ((150, 200), (151, 400)):
        tap.equal(server.get("/loki/api/v1/labels", headers={"X-Scope-OrgID": "t" * size}).status, status, "a tenant of %d bytes" % size)


def main():
    tap = Tap()
    with Server(["--retention", "0"]) as server:
        for test in (heads, form, gzip_threshold, nesting, queries, tenants, requests_in_hand):
            test(tap, server)
        path = slow_queries(server)
        queries_outstanding(tap, server, path)
        tap.equal(server.get("/ready").status, 200, "the server lives on")
    query_timeout(tap, path)
    for test in (addresses, body_memory, connections, idle):
        test(tap)
    tap.done()


if __name__ == "__main__":
    main()
