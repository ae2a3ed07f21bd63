"""
lib.py -- starts a real mstored, talks to it, and says what happened in TAP.

    srv = Server(["--retention", "0"]).start()     # random port, temporary data directory
    status, headers, body = srv.get("/ready")
    srv.push([({"job": "a"}, [(time_ns, "line")])])
    srv.stop()                                     # SIGTERM; returns the exit status
    srv.kill9()

    tap = Tap()
    tap.ok(status == 200, "the server is ready")
    tap.done()                                     # prints the plan, exits 0 or 1

The program under test is $MSTORED, else build/src/mstored of this tree. Nothing but the standard
library is needed. Every wait has an end.
"""
import atexit
import concurrent.futures
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# How long to wait for what comes at once on an idle machine. Sanitizers and neighbours slow it down a hundred times and more.
READY_SECONDS_MAX = 120
STOP_SECONDS_MAX = 120
HTTP_SECONDS_MAX = 120
WAIT_SECONDS_MAX = 60


def binary():
    """The mstored under test."""
    path = os.environ.get("MSTORED") or os.path.join(ROOT, "build", "src", "mstored")
    if not os.access(path, os.X_OK):
        sys.exit("Bail out! no program at %s: build it, or set MSTORED" % path)
    return os.path.abspath(path)


class Tap:
    """Test Anything Protocol: one line per check, the plan at the end. Any thread."""

    def __init__(self):
        self.count = 0
        self.failed = 0
        self.lock = threading.RLock()

    def ok(self, good, name, why=None):
        with self.lock:
            self.count += 1
            self.failed += not good
            print("%s %d - %s" % ("ok" if good else "not ok", self.count, name.replace("#", "\\#")), flush=True)
            if not good and why is not None:
                self.note(why)
        return bool(good)

    def equal(self, got, want, name):
        return self.ok(got == want, name, "got  %s\nwant %s" % (short(got), short(want)))

    def note(self, text):
        with self.lock:
            for line in str(text).splitlines() or [""]:
                print("# " + line, flush=True)

    def done(self):
        print("1..%d" % self.count, flush=True)
        sys.exit(1 if self.failed or not self.count else 0)


def short(value, chars=600):
    text = repr(value)
    return text if len(text) <= chars else text[:chars] + "... (%d)" % len(text)


class Answer:
    """Status, headers (lower-case names) and body of one response; unpacks as the three."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def __iter__(self):
        return iter((self.status, self.headers, self.body))

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return "<%d %s>" % (self.status, short(self.body, 200))


class Server:
    """One mstored. `data` is kept when it was given, else made, and removed by close() or at exit."""

    def __init__(self, args=(), data=None, env=None, ports=1, cwd=None):
        self.args = list(args)
        self.own_data = data is None
        self.data = data or tempfile.mkdtemp(prefix="mstore-e2e-")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("MSTORE_")}
        self.env.update(env or {})
        self.ports_count = ports
        self.cwd = cwd
        self.proc = None
        self.port = None
        self.ports = []
        self.stderr_text = ""
        self.ready_seconds = None
        self._lock = threading.Condition()
        atexit.register(self.close)

    # --- life

    def start(self, seconds=READY_SECONDS_MAX):
        """Starts and waits for the ready line; raises with the messages when it does not come."""
        assert self.proc is None
        self.stderr_text, self.ports = "", []
        argv = [binary(), "--data", self.data]
        if not any(a == "--listen" or a.startswith("--listen=") for a in self.args):
            for _ in range(self.ports_count):
                argv += ["--listen", "127.0.0.1:0"]
        began = time.monotonic()
        self.proc = subprocess.Popen(argv + self.args, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.PIPE, env=self.env, cwd=self.cwd)
        threading.Thread(target=self._read_stderr, args=(self.proc,), daemon=True).start()
        with self._lock:
            self._lock.wait_for(lambda: self.ports or self._eof, seconds)
            ready = bool(self.ports)
        if not ready:
            self.proc.kill()
            self.proc.wait()
            status, self.proc = self.proc.returncode, None
            raise RuntimeError("mstored not ready (status %s):\n%s" % (status, self.stderr_text))
        self.ready_seconds = time.monotonic() - began
        self.port = self.ports[0]
        return self

    def _read_stderr(self, proc):
        self._eof = False
        for raw in proc.stderr:
            line = raw.decode("utf-8", "replace")
            with self._lock:
                self.stderr_text += line
                if "mstored ready" in line:
                    self.ports = [int(a.rsplit(":", 1)[1]) for a in re.search(r"listen=(\S+)", line)[1].split(",")]
                self._lock.notify_all()
        with self._lock:
            self._eof = True
            self._lock.notify_all()

    _eof = False

    def pid(self):
        return self.proc.pid

    def alive(self):
        return self.proc is not None and self.proc.poll() is None

    def signal(self, number):
        self.proc.send_signal(number)

    def wait(self, seconds=STOP_SECONDS_MAX):
        """Waits for the end; returns the exit status, or None (and kills) when it does not come."""
        try:
            status = self.proc.wait(seconds)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()
            status = None
        with self._lock:
            self._lock.wait_for(lambda: self._eof, 5)
        self.proc = None
        return status

    def stop(self, seconds=STOP_SECONDS_MAX):
        """SIGTERM, then wait()."""
        if self.proc is None:
            return None
        if self.alive():
            self.proc.send_signal(signal.SIGTERM)
        return self.wait(seconds)

    def kill9(self):
        if self.proc is None:
            return
        self.proc.kill()
        self.wait()

    def restart(self):
        self.stop()
        return self.start()

    def close(self):
        """Kills what still runs and removes a data directory that was made here."""
        if self.proc is not None:
            self.kill9()
        if self.own_data:
            shutil.rmtree(self.data, ignore_errors=True)

    def __enter__(self):
        return self if self.proc else self.start()

    def __exit__(self, *_):
        self.close()

    # --- HTTP

    @property
    def url(self):
        return "http://127.0.0.1:%d" % self.port

    def connection(self, seconds=HTTP_SECONDS_MAX):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)

    def request(self, method, path, body=None, headers=None, params=None, seconds=HTTP_SECONDS_MAX, conn=None):
        """One request; on `conn` when given (kept open), else on a connection of its own."""
        if params:
            path += "?" + urllib.parse.urlencode(params, doseq=True)
        c = conn or self.connection(seconds)
        try:
            c.request(method, path, body=body, headers=headers or {})
            r = c.getresponse()
            return Answer(r.status, {k.lower(): v for k, v in r.getheaders()}, r.read())
        except http.client.RemoteDisconnected as e:
            time.sleep(0.2)  # let it end, if that is what happened
            status = self.proc.poll() if self.proc else "stopped"
            raise http.client.RemoteDisconnected("%s (status %s):\n%s" % (e, status, self.stderr_text[-4000:])) from e
        finally:
            if conn is None:
                c.close()

    def get(self, path, params=None, headers=None, **more):
        return self.request("GET", path, headers=headers, params=params, **more)

    def post(self, path, body=b"", headers=None, **more):
        return self.request("POST", path, body=body, headers=headers, **more)

    def raw(self, data, seconds=WAIT_SECONDS_MAX, until=None, shut=False):
        """Sends bytes on a fresh socket and returns all that comes back until it is closed, until the
        pattern `until` is seen, or until the time is over."""
        with socket.create_connection(("127.0.0.1", self.port), seconds) as s:
            if isinstance(data, str):
                data = data.encode("latin-1")
            try:
                s.sendall(data)
                if shut:
                    s.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            got, end = b"", time.monotonic() + seconds
            while time.monotonic() < end:
                if until is not None and re.search(until, got):
                    break
                s.settimeout(max(0.01, end - time.monotonic()))
                try:
                    piece = s.recv(1 << 16)
                except OSError:
                    break
                if not piece:
                    break
                got += piece
            return got

    # --- Loki

    def push(self, streams, tenant=None, conn=None, **more):
        """streams: [(labels dict, [(time_ns, line) or (time_ns, line, metadata dict), ...]), ...]."""
        body = json.dumps({"streams": [{"stream": labels, "values": [[str(e[0])] + list(e[1:]) for e in entries]}
                                       for labels, entries in streams]}).encode()
        headers = {"Content-Type": "application/json"}
        if tenant is not None:
            headers["X-Scope-OrgID"] = tenant
        return self.post("/loki/api/v1/push", body, headers, conn=conn, **more)

    def query_range(self, query, start=None, end=None, limit=5000, direction="forward", tenant=None, flags=None,
                    seconds=HTTP_SECONDS_MAX, **params):
        """The answer's JSON; raises when the status is not 200. Times are nanoseconds."""
        params = dict(params, query=query, limit=limit, direction=direction)
        if start is not None:
            params["start"] = start_text(start)
        if end is not None:
            params["end"] = start_text(end)
        headers = {}
        if tenant is not None:
            headers["X-Scope-OrgID"] = tenant
        if flags:
            headers["X-Loki-Response-Encoding-Flags"] = flags
        a = self.get("/loki/api/v1/query_range", params, headers, seconds=seconds)
        if a.status != 200:
            raise RuntimeError("query_range: %r" % a)
        return a.json()

    def lines(self, query, start, end, **more):
        """Sorted [(time_ns, line)] of a log query, all streams together."""
        result = self.query_range(query, start, end, **more)["data"]["result"]
        return sorted((int(v[0]), v[1]) for s in result for v in s["values"])

    def metrics(self, conn=None):
        """/metrics as {series: value}."""
        out = {}
        for line in self.get("/metrics", conn=conn).text.splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                out[name] = float(value)
        return out


def together(*parts):
    """Runs functions at the same time: parts of a test that mostly wait. Raises what one of them raised, when all have ended."""
    with concurrent.futures.ThreadPoolExecutor(len(parts)) as pool:
        for done in [pool.submit(part) for part in parts]:
            done.result()


def start_text(time_ns):
    """Nanoseconds as a parameter: below eleven digits they would be read as seconds."""
    text = str(time_ns)
    return text if len(text) > 10 else "%.9f" % (time_ns / 1e9)


def free_port():
    """A port for who cannot ask for 0. Not one of those that the kernel gives to clients: while nobody listens one of them could get it."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        first = int(f.read().split()[0])
    while True:
        port = random.randrange(10000, max(first, 20000))
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def wait_until(condition, seconds=WAIT_SECONDS_MAX, every=0.02):
    """True as soon as condition() is; False when the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(every)
    return bool(condition())
