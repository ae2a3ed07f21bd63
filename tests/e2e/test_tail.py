#!/usr/bin/python3
"""Live tails over raw websockets: history and live without gap or double, frames good and bad, clients that do not read."""
import base64
import hashlib
import json
import os
import socket
import struct
import subprocess
import threading
import time
import urllib.parse

from lib import WAIT_SECONDS_MAX, Server, Tap, binary, free_port, wait_until

S = 10**9
TAILS_MAX = 512
CLIENTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients")
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class Ws:
    """A websocket client that sends whatever it is told to."""

    def __init__(self, server, path="/loki/api/v1/tail", headers=None, narrow=False, **params):
        self.s = socket.socket()
        if narrow:  # the kernel takes little for it
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.until = time.monotonic() + WAIT_SECONDS_MAX
        self.s.connect(("127.0.0.1", server.port))
        key = base64.b64encode(os.urandom(16)).decode()
        lines = ["GET %s?%s HTTP/1.1" % (path, urllib.parse.urlencode(params)), "Host: x", "Upgrade: websocket", "Connection: Upgrade",
                 "Sec-WebSocket-Key: " + key, "Sec-WebSocket-Version: 13"]
        lines += ["%s: %s" % h for h in (headers or {}).items()]
        self.s.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        self.head = head.decode()
        self.status = int(self.head.split()[1])
        accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
        self.accepted = ("Sec-WebSocket-Accept: " + accept).lower() in self.head.lower()
        self.pings = 0

    def _more(self):
        self.s.settimeout(max(0.01, self.until - time.monotonic()))
        data = self.s.recv(65536)
        if not data:
            raise EOFError
        self.buffer += data

    def send(self, opcode, payload=b"", fin=True, mask=True, reserved=0):
        head = bytes([(0x80 if fin else 0) | reserved | opcode])
        flag = 0x80 if mask else 0
        size = len(payload)
        head += bytes([flag | size]) if size < 126 else bytes([flag | 126]) + struct.pack(">H", size) if size < 65536 else \
            bytes([flag | 127]) + struct.pack(">Q", size)
        key = os.urandom(4)
        if mask:
            payload = bytes(b ^ key[i % 4] for i, b in enumerate(payload))
        self.s.sendall(head + (key if mask else b"") + payload)

    def frame(self, seconds=WAIT_SECONDS_MAX):
        """(opcode, payload); pings are counted and left out."""
        self.until = time.monotonic() + seconds
        while True:
            while len(self.buffer) < 2:
                self._more()
            size, at = self.buffer[1] & 127, 2
            if size >= 126:
                count = 2 if size == 126 else 8
                while len(self.buffer) < at + count:
                    self._more()
                size = int.from_bytes(self.buffer[at:at + count], "big")
                at += count
            while len(self.buffer) < at + size:
                self._more()
            opcode, payload = self.buffer[0] & 15, self.buffer[at:at + size]
            self.buffer = self.buffer[at + size:]
            if opcode != PING:
                return opcode, payload
            self.pings += 1

    def entries(self, count, seconds=WAIT_SECONDS_MAX):
        """The next entries, [(labels, ns, line)], at least `count`; what came until the time was over."""
        got, until = [], time.monotonic() + seconds
        try:
            while len(got) < count and time.monotonic() < until:
                opcode, payload = self.frame(max(0.05, until - time.monotonic()))
                if opcode == TEXT:
                    got += [(s["stream"], int(v[0]), v[1]) for s in json.loads(payload)["streams"] for v in s["values"]]
        except (socket.timeout, EOFError):
            pass
        return got

    def body(self):
        """The text of an answer that is no handshake."""
        self.until = time.monotonic() + WAIT_SECONDS_MAX
        length = int(next(h.split(":")[1] for h in self.head.split("\r\n") if h.lower().startswith("content-length:")))
        while len(self.buffer) < length:
            self._more()
        return self.buffer.decode()

    def close_code(self, seconds=WAIT_SECONDS_MAX):
        while True:
            opcode, payload = self.frame(seconds)
            if opcode == CLOSE:
                return int.from_bytes(payload[:2], "big"), payload[2:].decode()

    def pinged(self, seconds=WAIT_SECONDS_MAX):
        """Whether a ping comes, or came; frames stay where they are."""
        end = time.monotonic() + seconds
        while self.pings == 0 and time.monotonic() < end:
            try:
                self.frame(0.1)
            except socket.timeout:
                pass
        return self.pings > 0

    def ended(self, seconds=WAIT_SECONDS_MAX):
        try:
            while True:
                self.frame(seconds)
        except EOFError:
            return True
        except (socket.timeout, ConnectionResetError):
            return False


def errors(tap, server):
    for params, text in (({"query": "{"}, "parse error"), ({"query": ""}, "parse error"), ({"query": '{a="b"} | json x="a-b"'}, "cannot parse"),
                         ({"query": '{a="b"}', "delay_for": "6"}, "delay_for can't be greater than 5"),
                         ({"query": '{a="b"}', "delay_for": "-1"}, "delay_for can't be greater than 5"),
                         ({"query": '{a="b"}', "delay_for": "x"}, "invalid syntax"), ({"query": '{a="b"}', "limit": "x"}, "invalid syntax"),
                         ({"query": '{a="b"}', "limit": "0"}, "limit must be"), ({"query": '{a="b"}', "start": "x"}, "x"), ({}, "parse error")):
        ws = Ws(server, **params)
        tap.ok(ws.status == 400 and text in ws.body(), "before the upgrade: %s" % params, ws.head)
    future = str(time.time_ns() + 3600 * S)
    for params, text in (({"query": 'rate({a="b"}[1m])'}, "only log selector is supported"), ({"query": "1"}, "only log selector is supported"),
                         ({"query": '{a="b"}', "start": future, "end": future}, "the start of a tail lies in the future")):
        ws = Ws(server, **params)
        tap.equal((ws.status, ws.close_code()), (101, (1011, text)), "after it: %s" % params)
        tap.ok(ws.ended(), "and the connection ends")
    a = server.get("/loki/api/v1/tail", {"query": '{a="b"}'})
    tap.ok(a.status == 400 and "websocket" in a.text, "a plain request", a.text)
    tap.equal(Ws(server, headers={"X-Scope-OrgID": "a|b"}, query='{a="b"}').status, 400, "two tenants")


def handshakes(tap, server):
    """Handshakes that are none, and sockets that end half-way."""
    good = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    path = "/loki/api/v1/tail?query=" + urllib.parse.quote('{app="x"}')

    def status(method="GET", **changes):
        headers = {k: v for k, v in dict(good, **{k.replace("_", "-"): v for k, v in changes.items()}).items() if v is not None}
        text = "".join("%s: %s\r\n" % h for h in headers.items())
        answer = server.raw("%s %s HTTP/1.1\r\nHost: x\r\n%s\r\n" % (method, path, text), until=b"\r\n\r\n")
        return int(answer.split()[1]) if answer else 0
    for what, changes, want in (
            ("as it should be", {}, 101), ("names in any case", {"Upgrade": "WebSocket", "Connection": "keep-alive, upgrade"}, 101),
            ("without Upgrade", {"Upgrade": None}, 400), ("an upgrade to something else", {"Upgrade": "h2c"}, 400), ("an empty Upgrade", {"Upgrade": ""}, 400),
            ("without Connection", {"Connection": None}, 400), ("Connection: close", {"Connection": "close"}, 400),
            ("without a key", {"Sec_WebSocket_Key": None}, 400), ("an empty key", {"Sec_WebSocket_Key": ""}, 400),
            ("without a version", {"Sec_WebSocket_Version": None}, 400), ("version 8", {"Sec_WebSocket_Version": "8"}, 400),
            ("a list of versions", {"Sec_WebSocket_Version": "13, 8"}, 400), ("an extension that is not known", {"Sec_WebSocket_Extensions": "permessage-deflate"}, 101),
            ("a subprotocol", {"Sec_WebSocket_Protocol": "chat"}, 101), ("any origin", {"Origin": "https://elsewhere.example"}, 101)):
        tap.equal(status(**changes), want, "a handshake %s: %d" % (what, want))
    tap.equal(status(method="POST"), 405, "by POST: 405")
    tap.ok(wait_until(lambda: server.metrics()["mstore_tails"] == 0), "tails whose clients have left are not counted")
    half = Ws(server, query='{app="half"}')
    tap.equal(server.metrics()["mstore_tails"], 1, "a tail is counted")
    half.s.shutdown(socket.SHUT_WR)
    tap.ok(half.ended(), "a client that closes its half is let go")
    cut = Ws(server, query='{app="half"}')
    cut.s.sendall(b"\x81\xfe")  # the beginning of a frame
    cut.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    cut.s.close()  # with a reset
    slow = Ws(server, query='{app="half"}')
    slow.send(PING, b"")
    piece = b"\x89\x83abcd" + bytes(x ^ y for x, y in zip(b"xyz", b"abc"))
    for i in range(len(piece)):
        slow.s.sendall(piece[i:i + 1])
        time.sleep(0.01)
    tap.equal([slow.frame(), slow.frame()], [(PONG, b""), (PONG, b"xyz")], "a frame may come byte by byte")
    slow.s.close()
    tap.ok(wait_until(lambda: server.metrics()["mstore_tails"] == 0), "none of them stays")


def history(tap, server):
    now = time.time_ns()
    server.push([({"app": "h"}, [(now - (10 - i) * S, "h%d" % i) for i in range(5)]), ({"app": "h", "x": "1"}, [(now - 7 * S + 5, "between")])])
    ws = Ws(server, query='{app="h"}', limit=4)
    tap.ok(ws.status == 101 and ws.accepted, "the handshake", ws.head)
    tap.equal([e[2] for e in ws.entries(4)], ["h2", "h3", "between", "h4"], "the newest of the history, oldest first")
    server.push([({"app": "h"}, [(time.time_ns(), "live")]), ({"app": "other"}, [(time.time_ns(), "no")])])
    got = ws.entries(1)
    tap.equal([e[2] for e in got], ["live"], "then what arrives")
    tap.equal(got[0][0], {"app": "h", "detected_level": "unknown", "service_name": "h"}, "with all its labels")
    server.push([({"app": "h"}, [(now - 3600 * S * 20, "late")])])
    tap.equal([e[2] for e in ws.entries(1)], ["late"], "however old it is")
    tap.equal(Ws(server, query='{app="h"}', start=str(now - 6 * S - S // 2)).entries(2)[0][2], "h4", "start")
    flags = Ws(server, query='{app="h"} | logfmt', limit=1, headers={"X-Loki-Response-Encoding-Flags": "categorize-labels"})
    frame = json.loads(flags.frame()[1])
    tap.ok(frame["encodingFlags"] == ["categorize-labels"] and frame["streams"][0]["values"][0][2]["structuredMetadata"] == {"detected_level": "unknown"},
           "categories when asked for", frame)
    legacy = Ws(server, path="/api/prom/tail", query='{app="h"}', limit=1)
    frame = json.loads(legacy.frame()[1])
    tap.ok(frame["streams"][0]["labels"].startswith('{app="h"') and frame["dropped_entries"] is None and frame["streams"][0]["entries"][0]["line"] == "live",
           "the legacy shape", frame)
    stranger = Ws(server, query='{app="h"}', headers={"X-Scope-OrgID": "stranger"})
    server.push([({"app": "h"}, [(time.time_ns(), "live 2")])])
    tap.equal(stranger.entries(1, 1), [], "another tenant sees nothing")
    piped = Ws(server, query='{app="h"} |= "live" | line_format "<{{__line__}}>"', limit=1)
    tap.equal([e[2] for e in piped.entries(1)], ["<live 2>"], "stages work on history")
    server.push([({"app": "h"}, [(time.time_ns(), "dead"), (time.time_ns(), "live 3")])])
    tap.equal([e[2] for e in piped.entries(1)], ["<live 3>"], "and on what arrives")


def timing(tap, server):
    ws = Ws(server, query='{app="t"}', delay_for="4")  # long after both pushes
    now = time.time_ns()
    server.push([({"app": "t"}, [(now, "second")])])
    server.push([({"app": "t"}, [(now - S // 10, "first")])])
    got = ws.entries(2)
    tap.equal([e[2] for e in got], ["first", "second"], "delay_for sorts late entries in")
    tap.ok(time.time_ns() - now >= 4 * S, "and waits for them")
    ws = Ws(server, query='{app="f"}')
    server.push([({"app": "f"}, [(time.time_ns() + S, "future")])])
    got = ws.entries(1)
    tap.equal([e[2] for e in got], ["future"], "an entry of the future comes")
    tap.ok(got and time.time_ns() >= got[0][1], "not before its time")


def no_gap_no_double(tap, server):
    stop, pushed = threading.Event(), []

    def pusher():
        i = 0
        while not stop.is_set() and i < 4000:
            lines = [(time.time_ns(), "n%d" % (i + k)) for k in range(5)]
            assert server.push([({"app": "seq"}, lines)]).status == 204
            pushed.extend(line for _, line in lines)
            i += 5
            if i % 500 == 0:
                server.post("/flush")
    thread = threading.Thread(target=pusher)
    thread.start()
    tails = []
    for _ in range(8):
        tails.append(Ws(server, query='{app="seq"}', limit=5000))
        time.sleep(0.15)
    time.sleep(0.5)
    stop.set()
    thread.join()
    for n, ws in enumerate(tails):
        got = [e[2] for e in ws.entries(len(pushed))]
        tap.ok(sorted(got) == sorted(pushed), "tail %d under load and seals: each of %d lines once" % (n, len(pushed)),
               "%d got, %d distinct" % (len(got), len(set(got))))


def frames(tap, server):
    ws = Ws(server, query='{app="frames"}')
    ws.send(PING, b"abc")
    tap.equal(ws.frame(), (PONG, b"abc"), "a ping is answered")
    ws.send(TEXT, b"ignored")
    ws.send(TEXT, b"in ", fin=False)
    ws.send(PING, b"x")
    ws.send(0, b"pieces")
    tap.equal(ws.frame(), (PONG, b"x"), "text is ignored, in pieces too")
    tap.ok(ws.pinged(), "the server pings")
    server.push([({"app": "frames"}, [(time.time_ns(), "still there")])])
    tap.equal([e[2] for e in ws.entries(1)], ["still there"], "and has the tail still")
    ws.send(CLOSE, struct.pack(">H", 1000) + b"bye")
    tap.equal(ws.close_code()[0], 1000, "a close is answered")
    tap.ok(ws.ended(), "and the connection ends")
    for what, send, code in (("unmasked", lambda w: w.send(TEXT, b"x", mask=False), 1002), ("reserved bits", lambda w: w.send(TEXT, b"x", reserved=0x40), 1002),
                             ("unknown opcode", lambda w: w.send(3, b"x"), 1002), ("long ping", lambda w: w.send(PING, b"x" * 126), 1002),
                             ("ping in pieces", lambda w: w.send(PING, b"x", fin=False), 1002), ("piece of nothing", lambda w: w.send(0, b"x"), 1002),
                             ("text within text", lambda w: (w.send(TEXT, b"x", fin=False), w.send(TEXT, b"y")), 1002),
                             ("65,537 bytes", lambda w: w.send(TEXT, b"x" * 65537), 1009)):
        ws = Ws(server, query='{app="frames"}')
        try:
            send(ws)
        except OSError:
            pass  # it may hang up before it has read all of it
        tap.equal(ws.close_code()[0], code, "%s: closed with %d" % (what, code))
    ws = Ws(server, query='{app="none"}')
    ws.send(TEXT, b"x" * 65536)
    ws.send(PING, b"ok")
    tap.equal(ws.frame(), (PONG, b"ok"), "65,536 bytes are taken")
    ws.s.close()


def slow_reader(tap, server):
    ws = Ws(server, query='{app="slow"}')
    line = "x" * 10000
    for n in range(300):
        now = time.time_ns()
        assert server.push([({"app": "slow"}, [(now + i, "%d %s" % (n * 10 + i, line)) for i in range(10)])]).status == 204

    def dropped_total():
        return int(server.metrics()["mstore_tail_entries_dropped_total"])
    tap.ok(wait_until(lambda: dropped_total() > 0), "what a client does not read is dropped in the end")
    lines, dropped, until = 0, 0, time.monotonic() + WAIT_SECONDS_MAX
    while (lines + dropped_total() < 3000 or dropped == 0) and time.monotonic() < until:
        try:
            opcode, payload = ws.frame(0.5)
        except socket.timeout:
            continue
        if opcode == TEXT:
            frame = json.loads(payload)
            lines += sum(len(s["values"]) for s in frame["streams"])
            dropped += len(frame.get("dropped_entries") or [])
            for d in frame.get("dropped_entries") or []:
                assert d["labels"]["app"] == "slow" and int(d["timestamp"]) > 0
    tap.equal(lines + dropped_total(), 3000, "each entry is given or counted as dropped")
    tap.ok(0 < lines < 3000 and dropped > 0, "a client that does not read is told what was dropped", "%d lines, %d told" % (lines, dropped))


def absent_reader(tap, server):
    ws = Ws(server, query='{app="absent"}')
    line, now = "x" * 10000, time.time_ns()
    server.push([({"app": "absent"}, [(now + i, "%d %s" % (i, line)) for i in range(60)])])
    time.sleep(0.5)
    got = ws.entries(60)
    tap.equal([int(e[2].split()[0]) for e in got], list(range(60)), "less than that waits for a client that does not read")


def duration(tap):
    with Server(["--retention", "0", "--tail-duration", "1s"]) as server:
        begun = time.monotonic()
        ws = Ws(server, query='{app="d"}')
        tap.equal(ws.close_code(), (1011, "reached tail max duration limit"), "a tail ends when its time is over")
        tap.ok(time.monotonic() - begun >= 1, "and not before")


def rss(server):
    with open("/proc/%d/status" % server.pid()) as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def many(tap, server):
    before = rss(server)
    tails = [Ws(server, query='{app="many"} |= "x"') for _ in range(200)]
    server.push([({"app": "many"}, [(time.time_ns(), "x1")])])
    got = sum(len(ws.entries(1)) for ws in tails)
    tap.equal(got, 200, "200 tails get a line each")
    grown = (rss(server) - before) // 1024
    with open(binary(), "rb") as f: # sanitizers take memory for every byte in use, and keep what was freed
        factor = 8 if b"__sanitizer" in f.read() else 1
    tap.ok(grown < 64 * factor, "and take less than 64 MiB", "%d MiB" % grown)
    tails += [Ws(server, query='{app="many"}') for _ in range(TAILS_MAX - 200)]
    tap.equal({ws.status for ws in tails}, {101}, "%d tails at once" % TAILS_MAX)
    ws = Ws(server, query='{app="many"}')
    tap.equal((ws.status, ws.close_code()), (101, (1011, "max concurrent tail requests limit exceeded, count > limit (513 > 512)")), "one more is closed")
    tails.pop().s.close()

    def again():
        ws = Ws(server, query='{app="many"}', limit=1)
        return ws.frame()[0] == TEXT  # else it is closed
    tap.ok(wait_until(again), "until one of them left")
    for ws in tails:
        ws.s.close()


def real_client(tap, server):
    proc = subprocess.Popen(["node", "tail.js", "ws://127.0.0.1:%d" % server.port, '{app="ws"}', "3"], cwd=CLIENTS, stdout=subprocess.PIPE)
    tap.equal(proc.stdout.readline(), b"open\n", "the ws package connects")
    for i in range(3):
        server.push([({"app": "ws"}, [(time.time_ns(), "line %d" % i)])])
    out, _ = proc.communicate(timeout=WAIT_SECONDS_MAX)
    tap.equal(out.decode().split("\n"), ["line 0", "line 1", "line 2", "closed 1000", ""], "and gets the lines")


def many_entries(tap):
    """Tails that cannot keep up: what was pushed is bounded in memory, and what was missed is counted and told."""
    with Server(["--retention", "0", "--memory", "64MiB"]) as server:
        ws = Ws(server, query='{app="busy"} |~ "(x+x+)+y.*z$"', limit=1)
        more = [Ws(server, query='{app="busy"} |~ "(x+x+)+y.*%d$"' % i, limit=1) for i in range(100)]
        line, pushed = "x" * 1000, 0
        for n in range(20):
            for stream in range(4):
                now = time.time_ns()
                server.push([({"app": "busy", "n": str(stream)}, [(now + i, "%d %s" % (i, line)) for i in range(1000)])])
                pushed += 1000
        server.push([({"app": "busy"}, [(time.time_ns(), "xxxy and z")])])
        told, got, until = 0, [], time.monotonic() + 2 * WAIT_SECONDS_MAX
        while "xxxy and z" not in got and time.monotonic() < until:
            opcode, payload = ws.frame()
            frame = json.loads(payload)
            told += len(frame.get("dropped_entries") or [])
            got += [v[1] for s in frame["streams"] for v in s["values"]]
        missed = server.metrics()["mstore_tail_entries_missed_total"]
        tap.ok("xxxy and z" in got, "a tail behind a flood comes to its end")
        tap.ok((told > 0) == (missed > 0) and missed < pushed, "what was missed on the way is told: %d times of %d entries" % (told, missed))
        for other in more:
            other.s.close()


def absent_readers(tap):
    """Many clients that do not read share what one of them may have alone."""
    with Server(["--retention", "0", "--memory", "64MiB"]) as server:  # an eighth is for them
        tails = [Ws(server, narrow=True, query='{app="absent"}') for _ in range(30)]
        line, most = "x" * 10000, [0]

        def full():
            metrics = server.metrics()
            most.append(metrics["mstore_tail_pending_bytes"])
            return max(most) > 7 * 2**20 and metrics["mstore_tail_entries_dropped_total"] > 0
        for n in range(60):
            now = time.time_ns()
            server.push([({"app": "absent"}, [(now + i, "%d %s" % (n * 10 + i, line)) for i in range(10)])])
        tap.ok(wait_until(full) and max(most) <= 8 * 2**20, "30 that do not read: %d KiB wait for them" % (max(most) / 1024))
        for ws in tails:
            ws.s.close()
        tap.ok(wait_until(lambda: server.metrics()["mstore_tail_pending_bytes"] == 0), "nothing is left when they are gone")


def restart(tap):
    """The ws package's tail over a server that is killed."""
    with Server(["--retention", "0", "--listen", "127.0.0.1:%d" % free_port()]) as server:
        proc = subprocess.Popen(["node", "tail.js", "ws://127.0.0.1:%d" % server.port, '{app="ws"}', "60"], cwd=CLIENTS, stdout=subprocess.PIPE)
        proc.stdout.readline()
        for i in range(20):
            server.push([({"app": "ws"}, [(time.time_ns(), "line %d" % i)])])
        seen = [proc.stdout.readline().decode().strip() for _ in range(10)]
        server.kill9()
        server.start()
        for i in range(20, 60):
            server.push([({"app": "ws"}, [(time.time_ns(), "line %d" % i)])])
        seen += [line for line in proc.stdout.read().decode().split("\n") if line and line != "open"]
        proc.wait()
        tap.equal(seen, ["line %d" % i for i in range(60)] + ["closed 1000"], "over a crash the ws package gets each line once")


def main():
    tap = Tap()
    with Server(["--retention", "0"]) as server:
        errors(tap, server)
        handshakes(tap, server)
        history(tap, server)
        timing(tap, server)
        no_gap_no_double(tap, server)
        frames(tap, server)
        slow_reader(tap, server)
        absent_reader(tap, server)
        real_client(tap, server)
        last = Ws(server, query='{app="last"}')
        server.signal(15)
        tap.equal(last.close_code()[0], 1001, "a server that stops says so")
        tap.equal(server.wait(), 0, "and stops")
    with Server(["--retention", "0"]) as server:
        many(tap, server)
    duration(tap)
    restart(tap)
    many_entries(tap)
    absent_readers(tap)
    tap.done()


main()
