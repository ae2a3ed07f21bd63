"""
s3_faults.py -- an S3 server in memory that checks every request, and misbehaves when told to.

    s3 = S3Server(bucket="logs").start()
    s3.objects["some/key"] = Object(b"...")        # what is stored
    s3.fail("status", times=3, status=503, code="SlowDown")
    s3.requests                                    # (method, path, query) of all that came
    s3.read_bytes["some/key"]                      # of an object, in answers to GET
    s3.stop()

Requests must carry a valid AWS Signature Version 4, made of the whole request anew here, from the public description
of the algorithm; and true digests. A request that is not signed rightly is answered 403 SignatureDoesNotMatch.
Path style and virtual hosts. Conditional writes, multipart uploads, lists in pages of `page_keys`.

Also beside it, on the same port: the token service (POST /sts), container credentials (/container), and the
metadata service of an instance (/latest/...), which hand out `temporary` credentials.
"""
import base64
import collections
import datetime
import hashlib
import hmac
import http.server
import socket
import threading
import time
import urllib.parse
import uuid
import xml.etree.ElementTree as ElementTree

KEY_ID = "AKIATESTKEY"
SECRET = "test/Secret+Key"
SKEW_SECONDS_MAX = 900
PART_BYTES_MIN = 5 << 20


class Object:
    def __init__(self, body, etag=None):
        self.body = body
        self.etag = etag or '"%s"' % hashlib.md5(body).hexdigest()
        self.modified = datetime.datetime.now(datetime.timezone.utc)


class Fault:
    """What goes wrong, how often, and for which methods."""

    def __init__(self, kind, times, methods, after, options):
        self.kind, self.left, self.methods, self.skip, self.options = kind, times, methods, after, options
        self.path = options.get("path", "")  # a part of it


def hmac256(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def uri_encode(text):
    return urllib.parse.quote(text, safe="-_.~")


def signature(method, path, query, headers, signed, payload_hash, stamp, scope, secret):
    """The signature, from the decoded parts of a request."""
    pairs = sorted((uri_encode(k), uri_encode(v)) for k, v in query)
    canonical = "\n".join([
        method, "/".join(uri_encode(p) for p in path.split("/")), "&".join("%s=%s" % p for p in pairs),
        "".join("%s:%s\n" % (h, " ".join(headers.get(h, "").split())) for h in signed), ";".join(signed), payload_hash])
    date, region, service, _ = scope.split("/")
    to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + secret).encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac256(key, part)
    return hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()


class Refused(Exception):
    def __init__(self, status, code, message="", headers=()):
        super().__init__(code)
        self.status, self.code, self.message, self.headers = status, code, message, dict(headers)


class S3Server:
    def __init__(self, bucket="logs", region="us-east-1", page_keys=1000, conditional=True):
        self.bucket, self.region, self.page_keys, self.conditional = bucket, region, page_keys, conditional
        self.objects, self.uploads, self.requests = {}, {}, []
        self.read_bytes = collections.Counter()
        self.writes = []            # (key id, method, path) of all that changed something
        self.hosts = []             # Host headers seen
        self.keys = {KEY_ID: (SECRET, "")}  # key id -> secret, session token
        self.expired = set()        # key ids that are no longer good
        self.temporary_count = 0    # credentials handed out
        self.temporary_seconds = 3600
        self.running, self.most_running = 0, 0  # requests at a time
        self.latency = 0            # seconds that each request takes longer
        self.clock_ahead = 0        # seconds that our clock is ahead of the client's
        self.connections = 0
        self.faults = []
        self.lock = threading.Lock()
        self.released = threading.Event()

    def start(self):
        outer = self

        class Handler(_Handler):
            server_s3 = outer

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 64
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request, client_address):
                pass  # a client that hung up is what some faults are about

        self.httpd = Server(("127.0.0.1", 0), Handler)
        self.port = self.httpd.server_address[1]
        self.url = "http://127.0.0.1:%d" % self.port
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()
        return self

    def stop(self):
        self.released.set()
        self.httpd.shutdown()
        self.httpd.server_close()

    def fail(self, kind, times=1, methods=None, after=0, **options):
        """kind: status, stall, truncate, etag, drop, error_after_200, drip, no_range, hold (done when `go` is set)."""
        with self.lock:
            self.faults.append(Fault(kind, times, methods, after, options))

    def heal(self):
        with self.lock:
            self.faults = []

    def take_fault(self, method, path):
        with self.lock:
            for fault in self.faults:
                if fault.left <= 0 or (fault.methods and method not in fault.methods) or fault.path not in path:
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                fault.left -= 1
                return fault
        return None

    def temporary(self):
        with self.lock:
            self.temporary_count += 1
            n = self.temporary_count
            key, secret, token = "ASIATEMP%d" % n, "temporary/secret+%d" % n, "token//%d==" % n
            self.keys[key] = (secret, token)
        expires = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=self.temporary_seconds)
        return key, secret, token, expires.strftime("%Y-%m-%dT%H:%M:%SZ")


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def setup(self):
        super().setup()
        with self.server_s3.lock:
            self.server_s3.connections += 1

    def do_any(self):
        s3 = self.server_s3
        url = urllib.parse.urlsplit(self.path)
        self.query = urllib.parse.parse_qsl(url.query, keep_blank_values=True)
        self.raw_path = url.path
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with s3.lock:
            s3.requests.append((self.command, self.path, dict(self.query)))
            s3.hosts.append(self.headers.get("Host", ""))
        self.fault = None
        with s3.lock:
            s3.running += 1
            s3.most_running = max(s3.running, s3.most_running)
        if s3.latency:
            time.sleep(s3.latency)
        try:
            if self.beside():
                return
            self.fault = s3.take_fault(self.command, self.path)
            if self.fault and self.early_fault():
                return
            self.key = self.check()
            self.route()
        except Refused as e:
            self.refuse(e)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with s3.lock:
                s3.running -= 1

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_any

    # --- answers ------------------------------------------------------------------------------------

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        headers = dict(headers)
        headers.setdefault("Content-Length", str(len(body)))
        headers.setdefault("x-amz-request-id", "REQ%d" % len(self.server_s3.requests))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.send_body(body)

    def send_body(self, body):
        kind = self.fault.kind if self.fault else None
        if kind == "truncate":
            self.wfile.write(body[:len(body) // 2])
            self.close_connection = True
        elif kind == "drip":
            for i in range(len(body)):
                self.wfile.write(body[i:i + 1])
                if self.server_s3.released.wait(0.1):
                    break
        else:
            self.wfile.write(body)

    def date_time_string(self, timestamp=None):
        return super().date_time_string(time.time() + self.server_s3.clock_ahead)

    def refuse(self, e):
        text = "<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>%s</Message></Error>" % (e.code, e.message)
        self.answer(e.status, text.encode() if e.code else b"", {"Content-Type": "application/xml", **e.headers})

    def early_fault(self):
        f = self.fault
        if f.kind == "status":
            raise Refused(f.options["status"], f.options.get("code", ""), f.options.get("message", ""),
                          f.options.get("headers", {}))
        if f.kind == "hold":  # the request is here, and done much later
            f.options["here"].set()
            f.options["go"].wait(120)
            return False
        if f.kind == "stall":
            self.server_s3.released.wait(60)
            self.close_connection = True
            return True
        if f.kind == "drop":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return True
        return False

    # --- checks -------------------------------------------------------------------------------------

    def check(self):
        s3 = self.server_s3
        headers = {k.lower(): v for k, v in self.headers.items()}
        authorization = headers.get("authorization", "")
        if not authorization.startswith("AWS4-HMAC-SHA256 "):
            raise Refused(403, "AccessDenied", "not signed")
        fields = dict(f.strip().split("=", 1) for f in authorization[len("AWS4-HMAC-SHA256 "):].split(","))
        key, scope = fields["Credential"].split("/", 1)
        stamp = headers.get("x-amz-date", "")
        when = datetime.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
        if abs(time.time() + s3.clock_ahead - when.timestamp()) > SKEW_SECONDS_MAX:
            raise Refused(403, "RequestTimeTooSkewed",
                          "The difference between the request time and the current time is too large.")
        if key not in s3.keys:
            raise Refused(403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist.")
        secret, token = s3.keys[key]
        if scope.split("/")[1] != s3.region:
            raise Refused(400, "AuthorizationHeaderMalformed", "the region '%s' is wrong; expecting '%s'" %
                          (scope.split("/")[1], s3.region), {"x-amz-bucket-region": s3.region})
        signed = fields["SignedHeaders"].split(";")
        payload = headers.get("x-amz-content-sha256", "")
        # What protects the request must be under the signature.
        for name in ["host", "x-amz-date", "x-amz-content-sha256"] + (["x-amz-security-token"] if token else []):
            if name not in signed:
                raise Refused(403, "AccessDenied", "%s is not signed" % name)
        want = signature(self.command, urllib.parse.unquote(self.raw_path), self.query, headers, signed, payload, stamp,
                         scope, secret)
        if not hmac.compare_digest(want, fields["Signature"]):
            raise Refused(403, "SignatureDoesNotMatch", "The request signature we calculated does not match")
        if headers.get("x-amz-security-token", "") != token:
            raise Refused(400, "InvalidToken", "The provided token is malformed or otherwise invalid.")
        if key in s3.expired:
            raise Refused(400, "ExpiredToken", "The provided token has expired.")
        if payload != hashlib.sha256(self.body).hexdigest():
            raise Refused(400, "XAmzContentSHA256Mismatch", "wrong sha256")
        if self.command == "PUT":
            if headers.get("content-md5") != base64.b64encode(hashlib.md5(self.body).digest()).decode():
                raise Refused(400, "BadDigest", "no Content-MD5, or a wrong one")
        return key

    # --- routes -------------------------------------------------------------------------------------

    def route(self):
        s3 = self.server_s3
        path = urllib.parse.unquote(self.raw_path)[1:]
        host = self.headers.get("Host", "").split(":")[0]
        if host.startswith(s3.bucket + "."):
            bucket, key = s3.bucket, path
        else:
            bucket, _, key = path.partition("/")
        if bucket != s3.bucket:
            raise Refused(404, "NoSuchBucket", "The specified bucket does not exist")
        query = dict(self.query)
        with s3.lock:
            if not key:
                action = self.list_objects
            elif "uploads" in query or "uploadId" in query:
                action = self.multipart
            else:
                action = getattr(self, "object_" + self.command.lower())
            result = action(key, query)
            if self.command not in ("GET", "HEAD"):
                s3.writes.append((self.key, self.command, self.path))
        self.answer(*result)

    def find(self, key):
        if key not in self.server_s3.objects:
            raise Refused(404, "NoSuchKey", "The specified key does not exist.")
        return self.server_s3.objects[key]

    def object_get(self, key, query):
        o = self.find(key)
        headers, body, status = {"ETag": o.etag}, o.body, 200
        ranged = self.headers.get("Range")
        if ranged and not (self.fault and self.fault.kind == "no_range"):
            first, last = (int(n) for n in ranged[len("bytes="):].split("-"))
            if first >= len(body):
                raise Refused(416, "InvalidRange", "The requested range is not satisfiable")
            last = min(last, len(body) - 1)
            headers["Content-Range"] = "bytes %d-%d/%d" % (first, last, len(body))
            body, status = body[first:last + 1], 206
        if self.fault and self.fault.kind == "short":  # fewer bytes, and a header that agrees
            body = body[:-1]
        self.server_s3.read_bytes[key] += len(body)
        return status, body, headers

    def object_head(self, key, query):
        o = self.find(key)
        return 200, b"", {"ETag": o.etag, "Content-Length": str(len(o.body))}

    def object_put(self, key, query):
        s3 = self.server_s3
        old = s3.objects.get(key)
        if s3.conditional:
            if self.headers.get("If-None-Match") == "*" and old:
                raise Refused(412, "PreconditionFailed", "At least one of the preconditions did not hold")
            match = self.headers.get("If-Match")
            if match and not old:
                raise Refused(404, "NoSuchKey", "The specified key does not exist.")
            if match and old.etag != match:
                raise Refused(412, "PreconditionFailed", "At least one of the preconditions did not hold")
        if self.fault and self.fault.kind == "etag":  # it stored something else
            o = Object(self.body[:-1] + b"?")
        else:
            o = Object(self.body)
        s3.objects[key] = o
        if self.fault and self.fault.kind == "lost_answer":  # stored, and nobody hears of it
            self.close_connection = True
            raise Refused(500, "InternalError", "after the fact")
        return 200, b"", {"ETag": o.etag}

    def object_delete(self, key, query):
        self.server_s3.objects.pop(key, None)
        return 204, b""

    def multipart(self, key, query):
        s3 = self.server_s3
        if self.command == "POST" and "uploads" in query:
            upload = "id/%s+=" % uuid.uuid4().hex  # characters that have to be encoded
            s3.uploads[upload] = (key, {})
            return 200, ("<InitiateMultipartUploadResult><UploadId>%s</UploadId></InitiateMultipartUploadResult>" %
                         upload).encode()
        upload = query.get("uploadId")
        if upload not in s3.uploads:
            raise Refused(404, "NoSuchUpload", "The specified upload does not exist.")
        if self.command == "PUT":
            part = Object(self.body)
            s3.uploads[upload][1][int(query["partNumber"])] = part
            if self.fault and self.fault.kind == "etag":
                part.etag = '"%032x"' % 1
            return 200, b"", {"ETag": part.etag}
        if self.command == "DELETE":
            del s3.uploads[upload]
            return 204, b""
        if self.fault and self.fault.kind == "error_after_200":
            return 200, b"<?xml version=\"1.0\"?><Error><Code>InternalError</Code><Message>oops</Message></Error>"
        wanted = [(int(p.find("{*}PartNumber").text), p.find("{*}ETag").text)
                  for p in ElementTree.fromstring(self.body).findall("{*}Part")]
        parts = s3.uploads[upload][1]
        if [(n, parts[n].etag) for n in sorted(parts)] != wanted:
            raise Refused(400, "InvalidPart", "parts differ")
        if any(len(parts[n].body) < PART_BYTES_MIN for n, _ in wanted[:-1]):
            raise Refused(400, "EntityTooSmall", "a part is too small")
        if s3.conditional and self.headers.get("If-None-Match") == "*" and key in s3.objects:
            raise Refused(412, "PreconditionFailed", "At least one of the preconditions did not hold")
        body = b"".join(parts[n].body for n, _ in wanted)
        md5s = b"".join(hashlib.md5(parts[n].body).digest() for n, _ in wanted)
        s3.objects[key] = Object(body, '"%s-%d"' % (hashlib.md5(md5s).hexdigest(), len(wanted)))
        del s3.uploads[upload]
        return 200, b"<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>"

    def list_objects(self, key, query):
        s3 = self.server_s3
        if self.command == "GET" and "uploads" in query:
            return 200, ("<ListMultipartUploadsResult>%s</ListMultipartUploadsResult>" % "".join(
                "<Upload><Key>%s</Key><UploadId>%s</UploadId></Upload>" % (key, upload)
                for upload, (key, _) in s3.uploads.items() if key.startswith(query.get("prefix", "")))).encode()
        if self.command != "GET" or query.get("list-type") != "2":
            raise Refused(405, "MethodNotAllowed", "")
        keys = sorted(k for k in s3.objects if k.startswith(query.get("prefix", "")))
        start = base64.b64decode(query["continuation-token"]).decode() if "continuation-token" in query else ""
        keys = [k for k in keys if k > start]
        page = keys[:min(s3.page_keys, int(query.get("max-keys", 1000)))]
        more = len(page) < len(keys)
        text = "<?xml version=\"1.0\"?><ListBucketResult><Name>%s</Name><IsTruncated>%s</IsTruncated>" % (
            s3.bucket, "true" if more else "false")
        if more and not (self.fault and self.fault.kind == "no_token"):
            text += "<NextContinuationToken>%s</NextContinuationToken>" % base64.b64encode(page[-1].encode()).decode()
        if self.fault and self.fault.kind == "loop":  # the first page for ever
            page, text = keys[:1], text.replace(">false<", ">true<") + (
                "<NextContinuationToken>again</NextContinuationToken>" if not more else "")
        for k in page:
            o = s3.objects[k]
            text += "<Contents><Key>%s</Key><LastModified>%s</LastModified><ETag>%s</ETag><Size>%d</Size></Contents>" % (
                k.replace("&", "&amp;").replace("'", "&#39;"), o.modified.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                o.etag.replace('"', "&quot;"), len(o.body))
        return 200, (text + "</ListBucketResult>").encode()

    # --- beside the object store ----------------------------------------------------------------------

    def beside(self):
        s3 = self.server_s3
        if self.raw_path == "/sts":
            form = dict(urllib.parse.parse_qsl(self.body.decode()))
            if form.get("Action") != "AssumeRoleWithWebIdentity" or form.get("WebIdentityToken") != "web+identity/token=":
                raise Refused(403, "AccessDenied", "")
            key, secret, token, expires = s3.temporary()
            self.answer(200, ("<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
                              "<SessionToken>%s</SessionToken><SecretAccessKey>%s</SecretAccessKey>"
                              "<Expiration>%s</Expiration><AccessKeyId>%s</AccessKeyId></Credentials>"
                              "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>" %
                              (token, secret, expires, key)).encode())
            return True
        if self.raw_path == "/container":
            if self.headers.get("Authorization") != "container secret":
                raise Refused(403, "AccessDenied", "")
            self.answer(200, self.json_credentials())
            return True
        if self.raw_path == "/latest/api/token":
            if self.command != "PUT" or not self.headers.get("X-aws-ec2-metadata-token-ttl-seconds"):
                raise Refused(400, "", "")
            self.answer(200, b"metadata-token")
            return True
        under = "/latest/meta-data/iam/security-credentials/"
        if self.raw_path.startswith(under):
            if self.headers.get("X-aws-ec2-metadata-token") != "metadata-token":
                raise Refused(401, "", "")
            self.answer(200, b"the-role\n" if self.raw_path == under else self.json_credentials())
            return True
        return False

    def json_credentials(self):
        key, secret, token, expires = self.server_s3.temporary()
        return ('{"Code" : "Success", "Type" : "AWS-HMAC", "AccessKeyId" : "%s", "SecretAccessKey" : "%s",'
                '\n "Token" : "%s", "Expiration" : "%s"}' % (key, secret.replace("/", "\\/"), token, expires)).encode()
