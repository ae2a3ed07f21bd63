#!/usr/bin/env python3
"""Kills mstored with SIGKILL again and again while clients push lines and spans, and compares what was acknowledged with what is found.

usage: kill9.py [--rounds N] [--seed N]

Every line and span is numbered. After each kill: the files verify; what was acknowledged is found, each once; nothing is found that
was not sent. Then the server starts again on the same data. Small generations make sure that sealing, publishing, compacting and
removing logs are hit too. At the end the index is deleted and rebuilt: the answers are the same. Speaks TAP.
"""
import argparse
import collections
import http.client
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from lib import Server, Tap, binary  # noqa: E402

PUSHERS = 4
SPAN_PUSHERS = 2
SPANS_PER_TRACE = 8
LINES_PER_PUSH = 20
PAUSE_SECONDS = 0.003  # between pushes: keeps what has to be compared small
BASE_NS = 1_790_000_000 * 10**9
DUMP = os.path.join(os.path.dirname(os.path.dirname(binary())), "tools", "mstore-dump")


class Pusher(threading.Thread):
    """Pushes numbered lines until the server is gone; repeats what was not acknowledged, as agents do."""

    path = "/loki/api/v1/push"

    def __init__(self, port, number, state):
        super().__init__(daemon=True)
        self.port, self.number, self.state = port, number, state

    def run(self):
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        while True:
            lines = self.state["pending"] or self.next_lines()
            self.state["pending"] = lines
            self.state["sent"].update(lines)
            try:
                conn.request("POST", self.path, json.dumps(self.body(lines)), {"Content-Type": "application/json"})
                answer = conn.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                return
            if answer.status in (200, 204):
                self.state["acked"].update(lines)
                self.state["pending"] = None
            time.sleep(PAUSE_SECONDS)

    def body(self, lines):
        values = [[str(BASE_NS + n * 1000), "line %d of %d %s" % (n, self.number, "x" * (n % 300))] for n in lines]
        return {"streams": [{"stream": {"app": "crash", "pusher": str(self.number), "part": str(i)}, "values": values[i::2]}
                            for i in range(2)]}

    def next_lines(self):
        first = self.state["next"]
        self.state["next"] += LINES_PER_PUSH
        return list(range(first, first + LINES_PER_PUSH))


class SpanPusher(Pusher):
    """Numbered spans: a trace has some that lie in one push, and some of the next."""

    path = "/v1/traces"

    def body(self, lines):
        spans = [{"traceId": "%032x" % (self.number + 1 << 64 | n // SPANS_PER_TRACE + 1), "spanId": "%016x" % (n + 1), "kind": 1 + n % 5,
                  "name": "span %d of %d" % (n, self.number), "startTimeUnixNano": str(BASE_NS + n * 1000),
                  "endTimeUnixNano": str(BASE_NS + n * 1000 + n % 7),
                  "attributes": [{"key": "text", "value": {"stringValue": "x" * (n % 200)}}, {"key": "n", "value": {"intValue": str(n)}}]}
                 for n in lines]
        return {"resourceSpans": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "crash-%d" % i}}]},
                                   "scopeSpans": [{"scope": {"name": "part %d" % k}, "spans": spans[i * 2 + k::4]} for k in range(2)]}
                                  for i in range(2)]}


def found_spans(data):
    """Every stored span, likewise, and what is said of it."""
    out = subprocess.run([DUMP, "export", data, "--what", "spans"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if out.returncode != 0:
        raise RuntimeError("export: " + out.stderr.decode())
    found = [collections.Counter() for _ in range(SPAN_PUSHERS)]
    for line in out.stdout.decode().splitlines():
        span = json.loads(line)
        _, n, _, pusher = span["name"].split(" ")
        n, more = int(n), span["attributes"]
        if (int(span["span_id"], 16), int(span["start"]), more["n"], len(more["text"])) != (n + 1, BASE_NS + n * 1000, n, n % 200):
            raise RuntimeError("not as it was sent: " + line)
        found[int(pusher)][n] += 1
    return found, sorted(out.stdout.splitlines())


def found_lines(data):
    """Every stored line, by pusher and number, as often as it is found."""
    out = subprocess.run([DUMP, "cat", data], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if out.returncode != 0:
        raise RuntimeError("cat: " + out.stderr.decode())
    found = [collections.Counter() for _ in range(PUSHERS)]
    for line in out.stdout.decode().splitlines():
        _, n, _, pusher, _ = (line + " ").split(" ", 4)
        found[int(pusher)][int(n)] += 1
    return found, out.stdout


def compare(states, found):
    """The first difference between what was promised and what is there, or None."""
    for number, state in enumerate(states):
        missing = state["acked"] - set(found[number])
        foreign = set(found[number]) - state["sent"]
        twice = [n for n, count in found[number].items() if count > 1]
        if missing or foreign or twice:
            return "pusher %d: %d acknowledged lines or spans missing %s, %d never sent, %d twice %s" % (
                number, len(missing), sorted(missing)[:3], len(foreign), len(twice), twice[:3])
    return None


def compacted(data):
    """Whether some segment was made from others: its number counts rewrites in the high digits."""
    folder = os.path.join(data, "segments")
    return os.path.isdir(folder) and any(int(f[:6], 16) > 0 for f in os.listdir(folder) if f.endswith(".seg"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    chance = random.Random(args.seed)
    tap = Tap()
    states = [{"next": 0, "sent": set(), "acked": set(), "pending": None} for _ in range(PUSHERS + SPAN_PUSHERS)]
    server = Server(["--retention", "0", "--head-bytes", "600KiB", "--log-level", "info"])
    problems = []
    turn = 0
    # A slow machine may need further, longer rounds until the keeper had time to compact.
    while turn < args.rounds or (turn < 2 * args.rounds and not compacted(server.data)):
        server.start()
        pushers = [Pusher(server.port, n, states[n]) for n in range(PUSHERS)]
        pushers += [SpanPusher(server.port, n, states[PUSHERS + n]) for n in range(SPAN_PUSHERS)]
        for p in pushers:
            p.start()
        time.sleep(chance.uniform(0.02, 1.5) if turn < args.rounds else 5)  # some rounds are long enough for the keeper to compact
        server.kill9()
        for p in pushers:
            p.join(30)
        verify = subprocess.run([DUMP, "verify", "--quiet", "--deep", server.data], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if verify.returncode != 0:
            problems.append("round %d: verify: %s" % (turn, verify.stdout.decode()[:400]))
        difference = compare(states, found_lines(server.data)[0] + found_spans(server.data)[0])
        if difference:
            problems.append("round %d: %s" % (turn, difference))
        if problems:
            break
        turn += 1
    acked = sum(len(s["acked"]) for s in states)
    sent = sum(len(s["sent"]) for s in states)
    tap.ok(not problems, "%d kills: verified, acknowledged = found, each once" % turn, "\n".join(problems))
    tap.ok(all(s["acked"] for s in states), "%d of %d lines and spans were acknowledged" % (acked, sent))
    segments = [f for f in os.listdir(os.path.join(server.data, "segments")) if f.endswith(".seg")]
    tap.ok(max(int(f[6:16], 16) for f in segments) > 2, "segments were sealed meanwhile")
    tap.ok(compacted(server.data), "and compacted", segments)

    before = found_lines(server.data)[1], found_spans(server.data)[1]
    shutil.rmtree(os.path.join(server.data, "index"))
    rebuild = subprocess.run([DUMP, "rebuild", server.data], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    tap.ok(rebuild.returncode == 0, "the index is rebuilt from the segments", rebuild.stdout.decode())
    verify = subprocess.run([DUMP, "verify", "--quiet", "--deep", server.data], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    tap.ok(verify.returncode == 0, "the rebuilt index agrees with the files", verify.stdout.decode())
    after = found_lines(server.data)[1], found_spans(server.data)[1]
    tap.ok(before == after, "with the index rebuilt the answers are the same")
    tap.done()


if __name__ == "__main__":
    main()
