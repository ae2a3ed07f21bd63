"""
test_blob.py -- the object store's client (src/store/blob) against a server that checks and misbehaves, and s3rver.

The client runs in tests/store/blob_driver.c, commanded line by line.
"""
import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib
from lib import Tap
from s3_faults import KEY_ID, SECRET, Object, S3Server
from s3_server import S3rver

DRIVER = os.environ.get("BLOB_DRIVER") or os.path.join(lib.ROOT, "build", "tests", "blob_driver")
ANSWER_SECONDS_MAX = 120
PART = 16 << 20

tap = Tap()
work = tempfile.mkdtemp(prefix="mstore-blob-")


class Driver:
    """A client process; d("get", "key", ...) gives its answer."""

    def __init__(self, url, bucket="logs", prefix="some/where", env=None, **options):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        clean.update({"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "HOME": work} if env is None
                     else {"HOME": work, **env})
        self.process = subprocess.Popen([DRIVER, url, bucket, prefix] + ["%s=%s" % o for o in options.items()],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=clean, text=True)
        self.items = []
        self.opened = self.answer()

    def answer(self):
        self.items = []
        while True:
            line = self.process.stdout.readline().rstrip("\n")
            if not line.startswith("item "):
                return line
            self.items.append(line.split(" ")[1:])

    def __call__(self, *words):
        self.process.stdin.write(" ".join(str(w) for w in words) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def get(self, key, pos, count):
        """The bytes, or the error."""
        path = os.path.join(work, "got")
        got = self("get", key, pos, count, path)
        if not got.startswith("ok"):
            return got
        with open(path, "rb") as f:
            return f.read()

    def close(self):
        self.process.stdin.close()
        return self.process.wait(ANSWER_SECONDS_MAX)


@contextlib.contextmanager
def client(s3, **options):
    d = Driver(options.pop("url", s3.url), **options)
    yield d
    tap.equal(d.close(), 0, "the client ends well")


def pattern(count):
    block = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(4096))
    return (block * (count // len(block) + 1))[:count]


def file_of(body):
    path = os.path.join(work, "file")
    with open(path, "wb") as f:
        f.write(body)
    return path


def has(text, *parts):
    return all(p in text for p in parts)


# --- what works -------------------------------------------------------------------------------------

def test_operations(s3, d, name, conditional, page=False):
    tap.equal(d("put", "a/key", "hello"), "ok ", "%s: put" % name)
    tap.equal(d.get("a/key", 0, 5), b"hello", "%s: get" % name)
    tap.equal(d.get("a/key", 1, 3), b"ell", "%s: a range" % name)
    tap.equal(d("head", "a/key").split(" ")[:2], ["ok", "5"], "%s: head tells the size" % name)
    tap.ok(d("head", "a/nothing").startswith("error not found: "), "%s: head of what is not there" % name)
    tap.ok(d.get("a/nothing", 0, 1).startswith("error not found: "), "%s: get of what is not there" % name)
    tap.ok(d.get("a/key", 3, 5).startswith("error corrupt data: "), "%s: a range past the end" % name, d.get("a/key", 3, 5))
    tap.ok(d.get("a/key", 9, 5).startswith("error corrupt data: "), "%s: a range behind the end" % name)
    out = os.path.join(work, "whole")
    tap.equal((d("whole", "a/key", 5, out), open(out, "rb").read()), ("ok ", b"hello"), "%s: whole" % name)
    tap.ok(d("whole", "a/key", 4, out).startswith("error limit exceeded: "), "%s: whole, above its bound" % name)
    tap.equal(d("put", "a/key", "hello2"), "ok ", "%s: put again" % name)
    tap.equal(d.get("a/key", 0, 6), b"hello2", "%s: replaced" % name)

    for size in (0, 1, PART, PART + 1, 2 * PART + 12345):
        body = pattern(size)
        got = d("put-file", "big/%d" % size, file_of(body))
        tap.equal(got, "ok ", "%s: put a file of %d bytes" % (name, size))
        tap.equal(d("head", "big/%d" % size).split(" ")[1], str(size), "%s: its size" % name)
        tap.equal(hashlib.md5(d.get("big/%d" % size, 0, size)).hexdigest(), hashlib.md5(body).hexdigest(),
                  "%s: its bytes" % name)
    middle = pattern(2 * PART + 12345)[PART - 10:PART + 10]
    tap.equal(d.get("big/%d" % (2 * PART + 12345), PART - 10, 20), middle, "%s: a range across parts" % name)

    many = ["l/%04d" % i for i in range(0, 25)]
    for key in many:
        d("put", key, key)
    tap.equal((d("list", "l/"), [i[0] for i in d.items]), ("ok ", many), "%s: list" % name)
    tap.equal((d("list", "l/001"), [i[:2] for i in d.items]), ("ok ", [[k, "6"] for k in many[10:20]]),
              "%s: list a part" % name)
    tap.equal((d("list", "nothing/"), d.items), ("ok ", []), "%s: list nothing" % name)
    tap.equal(d("delete", "l/0003"), "ok ", "%s: delete" % name)
    tap.equal(d("delete", "l/0003"), "ok ", "%s: delete what is gone" % name)
    d("list", "l/000")
    tap.equal([i[0] for i in d.items], [k for k in many[:10] if k != "l/0003"], "%s: deleted" % name)
    if not conditional:
        return
    first = d("put-new", "lease", "one")
    tap.ok(first.startswith("ok put \""), "%s: a conditional put of a new object" % name, first)
    tap.equal(d("put-new", "lease", "two"), "ok refused ", "%s: refused: it is there" % name)
    etag = first.split(" ")[2]
    second = d("put-match", "lease", etag, "three")
    tap.ok(second.startswith("ok put \""), "%s: put in place of the one known" % name, second)
    tap.equal(d("put-match", "lease", etag, "four"), "ok refused ", "%s: refused: it is another by now" % name)
    tap.equal(d.get("lease", 0, 5), b"three", "%s: and stays" % name)
    d("delete", "lease")
    tap.equal(d("put-match", "lease", etag, "five"), "ok refused ", "%s: refused: it is gone" % name)
    for size in (5, PART + 1):
        path, key = file_of(pattern(size)), "new/%d" % size
        tap.equal(d("put-new-file", key, path), "ok ", "%s: a new file of %d bytes" % (name, size))
        got = d("put-new-file", key, file_of(pattern(size + 1)))
        tap.ok(got.startswith("error busy: ") and key in got and d("head", key).split(" ")[1] == str(size), "%s: not over one that is there" % name, got)
    etag = d("head", "new/5").split(" ")[2]
    tap.equal(d("put-match-file", "new/5", etag, file_of(pattern(6))), "ok ", "%s: in place of the one known" % name)
    tap.ok(d("put-match-file", "new/5", etag, file_of(pattern(7))).startswith("error busy: "), "%s: not of another" % name)
    tap.ok(d("put-match-file", "new/none", etag, file_of(pattern(7))).startswith("error busy: "), "%s: not of one that is gone" % name)


def test_good_servers():
    s3 = S3Server(page_keys=7).start()
    with client(s3) as d:
        tap.equal(d.opened, "ok s3://logs/some/where/", "the store's name")
        test_operations(s3, d, "strict server", True)
        tap.ok(all(k.startswith("some/where/") for k in s3.objects), "every key is under the prefix")
        tap.equal(s3.uploads, {}, "no parts are left")
        tap.ok("big/%d" % PART not in str([r for r in s3.requests if r[0] == "POST"]), "16 MiB take one request")
    with client(s3, prefix="") as d:
        d("list", "some/where/a")
        tap.equal([i[0] for i in d.items], ["some/where/a/key"], "without a prefix")
    with client(s3, prefix="odd !'()*-_.".replace(" ", "")) as d:
        tap.equal((d("put", "k&'<+ =~".replace(" ", "").replace("<", ""), "x"), d("list", ""), d.items and d.items[0][0]),
                  ("ok ", "ok ", "k&'+=~"), "odd characters in prefix and key")
    # Virtual hosts: *.localhost is loopback.
    with client(s3, url="http://localhost:%d/" % s3.port, style="host") as d:
        s3.hosts.clear()
        tap.equal((d("put", "vh", "x"), d.get("vh", 0, 1)), ("ok ", b"x"), "a virtual host")
        tap.equal(set(s3.hosts), {"logs.localhost:%d" % s3.port}, "its name")
        tap.equal((d("list", "vh"), d.items and d.items[0][0]), ("ok ", "vh"), "its list")
    s3.stop()

    good = S3rver(bucket="logs").start()
    env = {"AWS_ACCESS_KEY_ID": good.key_id, "AWS_SECRET_ACCESS_KEY": good.secret}
    with client(good, env=env) as d:
        test_operations(good, d, "s3rver", False)
    good.stop()


def test_threads():
    s3 = S3Server().start()
    s3.objects["some/where/big"] = Object(pattern(300000))
    with client(s3) as d:
        tap.equal(d("many", 8, 20, "big", 300000), "ok ", "eight threads read at once")
        tap.ok(s3.connections <= 8, "over at most eight connections: they are reused", s3.connections)
        s3.fail("status", times=20, status=503, code="SlowDown")
        tap.equal(d("many", 8, 20, "big", 300000), "ok ", "eight threads read from a server that is slowing down")
    s3.stop()


# --- what goes wrong --------------------------------------------------------------------------------

PASSING = [
    ("a 500", "status", dict(status=500, code="InternalError")),
    ("a 502", "status", dict(status=502)),
    ("a 503", "status", dict(status=503, code="SlowDown", message="Please reduce your request rate.")),
    ("a 504", "status", dict(status=504)),
    ("a 429", "status", dict(status=429)),
    ("a request timeout", "status", dict(status=400, code="RequestTimeout")),
    ("a dropped connection", "drop", {}),
]


def test_passing_faults():
    s3 = S3Server().start()
    with client(s3) as d:
        for name, kind, options in PASSING:
            for method, words, want in (("PUT", ("put", "k", "v1"), "ok "), ("GET", ("head", "k"), "ok 2"),
                                        ("DELETE", ("delete", "k"), "ok ")):
                s3.objects["some/where/k"] = Object(b"v1")
                s3.requests.clear()
                s3.fail(kind, times=2, **options)
                got = d(*words)
                if method == "GET" and options.get("status") == 400:
                    tap.ok(has(got, "status 400") and len(s3.requests) == 1, "%s says nothing to head" % name, got)
                else:
                    tap.ok(got.startswith(want), "%s twice, then %s works" % (name, words[0]), got)
                    tap.equal(len(s3.requests), 3, "%s: three attempts" % name)
                s3.heal()
        s3.objects["some/where/k"] = Object(pattern(100000))
        for kind in ("truncate", "short"):
            s3.fail(kind, times=2, methods=["GET"])
            tap.equal(d.get("k", 10, 90000), pattern(100000)[10:90010], "%s: a body that is cut off is asked for again" % kind)
        s3.fail("truncate", times=1, methods=["GET"])
        tap.equal(d("list", ""), "ok ", "a list that is cut off is asked for again")
        s3.fail("etag", times=2, methods=["PUT"])
        tap.equal(d("put", "k", "value"), "ok ", "what was stored wrong is stored again")
        tap.equal(s3.objects["some/where/k"].body, b"value", "and is right then")
        s3.fail("etag", times=1, methods=["PUT"])
        tap.equal(d("put-file", "parts", file_of(pattern(PART + 1))), "ok ", "a part stored wrong is stored again")
        s3.fail("error_after_200", times=1, methods=["POST"], after=1)
        tap.equal(d("put-file", "parts", file_of(pattern(PART + 1))), "ok ", "an error behind a status of 200 is one")
        s3.requests.clear()
        s3.fail("status", status=503, headers={"Retry-After": "1"})
        tap.equal((d("head", "k"), len(s3.requests)), ("ok 5 " + s3.objects["some/where/k"].etag, 2), "Retry-After")
    with client(s3, stall=1) as d:
        s3.fail("stall", times=1)
        tap.ok(d("head", "k").startswith("ok "), "a silent server is left, and asked again")
        s3.fail("drip", times=1, methods=["GET"])
        s3.objects["some/where/k"] = Object(pattern(500))
        tap.equal(d.get("k", 0, 500), pattern(500), "a server that drips is left, and asked again")
    s3.released.set()
    s3.stop()


def test_lasting_faults():
    s3 = S3Server().start()
    s3.objects["some/where/k"] = Object(b"value")
    names = ["`k`", "s3://logs/some/where/", s3.url]
    lasting = [
        ("403", "status", dict(status=403, code="AccessDenied", message="Access Denied"), "input/output error",
         ["status 403 AccessDenied: Access Denied"], 1),
        ("404 bucket", "status", dict(status=404, code="NoSuchBucket", message="no bucket"), "input/output error",
         ["404 NoSuchBucket"], 1),
        ("404 key", "status", dict(status=404, code="NoSuchKey"), "not found", ["404 NoSuchKey"], 1),
        ("a redirect", "status", dict(status=301, code="PermanentRedirect", headers={"x-amz-bucket-region": "eu-west-3",
         "Location": "http://127.0.0.1:1/"}), "input/output error", ["region eu-west-3"], 1),
        ("501", "status", dict(status=501, code="NotImplemented"), "input/output error", ["501 NotImplemented"], 1),
        ("500", "status", dict(status=500, code="InternalError", message="We encountered an internal error."),
         "input/output error", ["4 attempts", "500 InternalError: We encountered"], 4),
        ("503", "status", dict(status=503, code="SlowDown"), "input/output error", ["4 attempts", "503 SlowDown"], 4),
        ("drop", "drop", {}, "input/output error", ["4 attempts"], 4),
        ("truncate", "truncate", {}, "input/output error", ["4 attempts"], 4),
    ]
    with client(s3, attempts=4) as d:
        for name, kind, options, code, parts, attempts in lasting:
            s3.fail(kind, times=1000, **options)
            connections = s3.connections
            s3.requests.clear()
            got = d.get("k", 0, 5)
            tap.ok(isinstance(got, str) and has(got, "error %s: " % code, "get", *(names + parts)),
                   "%s: the error names bucket, key and reason" % name, got)
            # On a kept connection that turns out to be closed libcurl asks once more by itself.
            own = kind == "drop" and len(s3.requests) == attempts + 1 and s3.connections == connections + attempts
            tap.ok(len(s3.requests) == attempts or own, "%s: %d attempts" % (name, attempts), s3.requests)
            s3.heal()
            tap.equal(d.get("k", 0, 5), b"value", "%s: and works again afterwards" % name)
        s3.fail("no_range", times=1000)
        tap.ok(has(d.get("k", 1, 2), "error"), "a server that ignores ranges is no server", d.get("k", 1, 2))
        s3.heal()
        s3.fail("etag", times=1000, methods=["PUT"])
        got = d("put", "k", "other")
        tap.ok(has(got, "error input/output error", "ETag", "MD5", "`k`"), "bytes stored wrong again and again", got)
        got = d("put-file", "parts", file_of(pattern(PART + 1)))
        tap.ok(has(got, "error input/output error", "ETag", "`parts`"), "parts stored wrong again and again", got)
        tap.equal((s3.uploads, "some/where/parts" in s3.objects), ({}, False), "and nothing is left of them")
        s3.heal()
        s3.uploads = {"one+/": ("some/where/seg/a", {}), "two": ("some/where/else/b", {}), "three": ("other/seg/c", {})}
        tap.equal((d("drop-parts", "seg/"), sorted(s3.uploads)), ("ok ", ["three", "two"]), "parts of a crash are taken back")
        s3.uploads = {}
        s3.heal()
        s3.fail("loop", times=1000, methods=["GET"])
        got = d("list", "")
        tap.ok(got.startswith("error input/output error"), "a list without end ends", got)
        s3.heal()
    with client(s3, attempts=3, stall=1) as d:
        s3.fail("stall", times=1000)
        got = d("head", "k")
        tap.ok(has(got, "error deadline exceeded", "3 attempts", *names), "a server that is silent for ever", got)
        s3.heal()
    s3.released.set()
    with client(s3, attempts=1000, deadline=300) as d:
        s3.fail("status", times=10000, status=503)
        got = d("head", "k")
        tap.ok(has(got, "error input/output error", "attempts") and len(s3.requests) < 500, "the deadline of a call", got)
        s3.heal()
    with client(s3, attempts=1000, deadline=1000000) as d:
        s3.fail("status", times=10**9, status=503)
        d("stop-after", 200)
        got = d("head", "k")
        tap.ok(has(got, "error cancelled"), "a call is cut short when the store is closed", got)
        tap.ok(has(d("head", "k"), "error cancelled"), "and later ones fail at once")
    s3.heal()
    s3.stop()
    with client(s3, attempts=3) as d:
        got = d("head", "k")
        tap.ok(has(got, "error input/output error", "3 attempts", *names), "nobody listens", got)
    d = Driver(s3.url, bucket="x")
    tap.ok(has(d.opened, "error bad input", "`x`"), "no name of a bucket", d.opened)
    tap.equal(d.close(), 1, "and the client ends")


def test_gone_for_long():
    s3 = S3Server().start()
    s3.objects["some/where/k"] = Object(b"value")
    with client(s3, attempts=3) as d:
        s3.fail("status", times=8, status=503, code="ServiceUnavailable")
        got = [d("head", "k")[:5] for _ in range(4)]
        tap.equal(got, ["error", "error", "ok 5 ", "ok 5 "], "gone for eight requests, then back")
    s3.stop()


def test_lost_answer():
    s3 = S3Server().start()
    with client(s3) as d:
        s3.fail("lost_answer", methods=["PUT"])
        got = d("put-new", "lease", "mine")
        tap.equal((got, s3.objects["some/where/lease"].body), ("ok refused ", b"mine"),
                  "a conditional put whose answer was lost is refused when repeated, and is there")
        s3.fail("status", status=409, code="ConditionalRequestConflict", methods=["PUT"])
        tap.ok(d("put-new", "lease2", "mine").startswith("ok put"), "two at the same moment: asked again")
    s3.stop()


# --- who we are -------------------------------------------------------------------------------------

def test_credentials():
    s3 = S3Server(region="eu-central-1").start()
    s3.objects["some/where/k"] = Object(b"value")
    keys = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET}

    def head(env, **options):
        with client(s3, env=env, attempts=2, **options) as d:
            return d("head", "k")

    region = {"AWS_REGION": "eu-central-1"}
    tap.ok(head({**keys, **region}).startswith("ok 5"), "keys and region from the environment")
    tap.ok(head(keys, region="eu-central-1").startswith("ok 5"), "the region from the options")
    tap.ok(head({**keys, "AWS_DEFAULT_REGION": "eu-central-1"}).startswith("ok 5"), "the default region")
    got = head(keys)
    tap.ok(has(got, "region eu-central-1"), "a wrong region is named", got)
    got = head({**keys, **region, "AWS_SECRET_ACCESS_KEY": "wrong"})
    tap.ok(has(got, "status 403"), "a wrong secret", got)
    got = head({**region, "AWS_ACCESS_KEY_ID": KEY_ID})
    tap.ok(has(got, "credentials", "AWS_SECRET_ACCESS_KEY is not"), "half of the credentials", got)
    got = head({**region, "AWS_EC2_METADATA_DISABLED": "true"})
    tap.ok(has(got, "no credentials", "AWS_ACCESS_KEY_ID"), "no credentials", got)

    path = os.path.join(work, "credentials")
    with open(path, "w") as f:
        f.write("# a comment\n[default]\naws_access_key_id = nobody\naws_secret_access_key=x\n\n"
                "[ good ]\r\naws_access_key_id=%s\r\naws_secret_access_key =   %s\nregion = nowhere\n" % (KEY_ID, SECRET))
    tap.ok(head({**region, "AWS_PROFILE": "good"}, credentials=path).startswith("ok 5"), "a file and its profile")
    tap.ok(has(head({**region, **keys}, credentials=path), "403"), "a file that is named comes first")
    tap.ok(head({**region, "AWS_SHARED_CREDENTIALS_FILE": path, "AWS_PROFILE": "good"}).startswith("ok 5"), "a shared file")
    got = head({**region, "AWS_SHARED_CREDENTIALS_FILE": path, "AWS_PROFILE": "other"})
    tap.ok(has(got, "no profile `other`", path), "a profile that is not there", got)
    got = head(region, credentials=path + ".no")
    tap.ok(has(got, path + ".no"), "a file that is not there", got)
    os.mkdir(os.path.join(work, ".aws"))
    shutil.copy(path, os.path.join(work, ".aws", "credentials"))
    tap.ok(head({**region, "AWS_PROFILE": "good"}).startswith("ok 5"), "the file at home")
    shutil.rmtree(os.path.join(work, ".aws"))

    s3.keys["ASIASESSION"] = ("secret", "session//token+==")
    session = {"AWS_ACCESS_KEY_ID": "ASIASESSION", "AWS_SECRET_ACCESS_KEY": "secret",
               "AWS_SESSION_TOKEN": "session//token+=="}
    tap.ok(head({**region, **session}).startswith("ok 5"), "a session token, signed")

    token = os.path.join(work, "token")
    with open(token, "w") as f:
        f.write("web+identity/token=\n")
    web = {"AWS_WEB_IDENTITY_TOKEN_FILE": token, "AWS_ROLE_ARN": "arn:aws:iam::1:role/r", "AWS_ENDPOINT_URL_STS": s3.url + "/sts"}
    container = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": s3.url + "/container", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "container secret"}
    secret = os.path.join(work, "secret")
    with open(secret, "w") as f:
        f.write("container secret\n")
    container_file = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": s3.url + "/container", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": secret}
    instance = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": s3.url + "/"}
    for name, env in (("web identity", web), ("container", container), ("container, token in a file", container_file),
                      ("instance", instance)):
        s3.temporary_seconds, s3.temporary_count = 3600, 0
        with client(s3, env={**region, **env}) as d:
            got = [d("head", "k")[:4] for _ in range(3)]
            tap.equal((got, s3.temporary_count), (["ok 5"] * 3, 1), "%s: fetched once, used often" % name)
            # Refused as expired before their time: fetched anew, once.
            s3.expired.add("ASIATEMP1")
            tap.equal((d("head", "k")[:4], s3.temporary_count), ("ok 5", 2), "%s: expired ones are replaced" % name)
            s3.expired.update("ASIATEMP%d" % i for i in range(10))
            got = d.get("k", 0, 5)
            tap.ok(isinstance(got, str) and has(got, "ExpiredToken"), "%s: expired again at once is an error" % name, got)
            s3.expired.clear()
        s3.temporary_seconds, s3.temporary_count = 200, 0  # within the time before expiry in which new ones are sought
        with client(s3, env={**region, **env}) as d:
            got = [d("head", "k")[:4] for _ in range(3)]
            tap.equal((got, s3.temporary_count), (["ok 5"] * 3, 3), "%s: refreshed before they expire" % name)
    got = head({**region, **container, "AWS_CONTAINER_AUTHORIZATION_TOKEN": "wrong"})
    tap.ok(has(got, "container credentials", "403"), "a container's service that refuses", got)

    s3.clock_ahead = 3600
    with client(s3, env={**region, **keys}) as d:
        got = d.get("k", 0, 5)
        tap.ok(has(got, "RequestTimeTooSkewed", "our clock is 3", "behind the server's"), "our clock is behind", got)
        s3.clock_ahead = -3600
        got = d.get("k", 0, 5)
        tap.ok(has(got, "RequestTimeTooSkewed", "ahead of the server's"), "our clock is ahead", got)
        got = d("head", "k")
        tap.ok(has(got, "status 403 access denied: our clock is 3", "ahead of the server's"), "also where the answer says nothing but its date", got)
        s3.clock_ahead = 0
        with s3.lock:
            before = len(s3.writes)
        tap.equal((d("guard"), d("head", "k")[:4]), ("ok ", "ok 5"), "who may not write any more may read")
        for args in (("put", "k", "x"), ("put-file", "k", file_of(pattern(PART + 1))), ("delete", "k")):
            got = d(*args)
            tap.ok(got.startswith("error busy: ") and "writer" in got and len(s3.writes) == before, "but %s nothing" % args[0], got)
        tap.ok(d("put-new", "other", "x").startswith("ok put"), "a put on condition is the caller's own affair")
    s3.stop()


try:
    test_good_servers()
    test_threads()
    test_passing_faults()
    test_lasting_faults()
    test_gone_for_long()
    test_lost_answer()
    test_credentials()
finally:
    shutil.rmtree(work, ignore_errors=True)
tap.done()
