#!/usr/bin/python3
"""What idle connections and live tails cost: memory of the server, and how fast pushes are beside them.

    connections.py [--idle N] [--tails N] [--seconds S]
"""
import argparse
import http.client
import json
import os
import re
import resource
import socket
import subprocess
import tempfile
import time

BUILD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "build")
LINES = 1000
TAIL = ("GET /loki/api/v1/tail?query=%%7Bapp%%3D%%22app-%d%%22%%7D%%7C%%3D%%22error%%22 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")


def resident_kib(pid):
    with open("/proc/%d/status" % pid) as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])


def answered(s):
    got = b""
    while b"\r\n\r\n" not in got:
        got += s.recv(4096)
    return got


def open_with(port, request):
    s = socket.create_connection(("127.0.0.1", port))
    s.sendall(request.encode())
    answered(s)
    return s


def pushes_per_second(port, seconds):
    conn = http.client.HTTPConnection("127.0.0.1", port)
    count, begun = 0, time.monotonic()
    while time.monotonic() - begun < seconds:
        now = time.time_ns()
        body = json.dumps({"streams": [{"stream": {"app": "app-%d" % (count % 100)},
                                        "values": [[str(now + i), "GET /items/%d 200 in %d ms" % (i, count)] for i in range(LINES)]}]})
        conn.request("POST", "/loki/api/v1/push", body, {"Content-Type": "application/json"})
        assert conn.getresponse().read() == b""
        count += 1
    return count / (time.monotonic() - begun)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--idle", type=int, default=2000)
    parser.add_argument("--tails", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=3)
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with tempfile.TemporaryDirectory() as directory:
        server = subprocess.Popen([os.path.join(BUILD, "src/mstored"), "--data", directory, "--listen", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True)
        port = int(re.search(r"listen=\S+:(\d+)", next(line for line in server.stderr if "mstored ready" in line))[1])
        ready = "GET /ready HTTP/1.1\r\nHost: x\r\n\r\n"
        open_with(port, ready).close()
        before = resident_kib(server.pid)
        idle = [open_with(port, ready) for _ in range(options.idle)]
        with_idle = resident_kib(server.pid)
        tails = [open_with(port, TAIL % (n % 100)) for n in range(options.tails)]
        time.sleep(1)
        with_tails = resident_kib(server.pid)
        print("| | KiB | each |\n|---|---|---|")
        print("| server alone | %d | |" % before)
        print("| %d idle connections | %d | %.1f |" % (options.idle, with_idle - before, (with_idle - before) / max(options.idle, 1)))
        print("| %d tails | %d | %.1f |" % (options.tails, with_tails - with_idle, (with_tails - with_idle) / max(options.tails, 1)))
        print("| together | %d | |" % (with_tails - before), flush=True)
        rates = {True: 0, False: 0}
        for crowded in (True, False, True, False):
            if crowded and not tails:
                idle = [open_with(port, ready) for _ in range(options.idle)]
                tails = [open_with(port, TAIL % (n % 100)) for n in range(options.tails)]
            if not crowded:
                for s in idle + tails:
                    s.close()
                idle, tails = [], []
                time.sleep(1)
            rates[crowded] = max(rates[crowded], pushes_per_second(port, options.seconds))
        print("pushes of %d lines a second: %.0f alone, %.0f beside them: %.2f" % (LINES, rates[False], rates[True], rates[True] / rates[False]))
        server.terminate()
        server.wait()


main()
