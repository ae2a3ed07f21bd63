#!/usr/bin/env python3
"""Stored files: the golden stores of every version, an independent reader, offline tools against the server. Speaks TAP."""
import gzip
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

import xxhash
import zstandard

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))
import make_spans  # noqa: E402
import read_bytes  # noqa: E402
from lib import ROOT, Server, Tap, binary, wait_until  # noqa: E402

BUILD = os.path.dirname(os.path.dirname(binary()))
DUMP = os.path.join(BUILD, "tools", "mstore-dump")
LOADGEN = os.path.join(BUILD, "bench", "loadgen")
READ_SEG = os.path.join(ROOT, "tools", "read_seg.py")
GOLDEN = os.path.join(ROOT, "tests", "golden")


def dump(*args):
    out = subprocess.run([DUMP, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return out.returncode, out.stdout.decode("utf-8"), out.stderr.decode("utf-8", "replace")


def cat(path, tenant=None, *args):
    status, out, err = dump("cat", path, "--format", "ndjson", *(["--tenant", tenant] if tenant else []), *args)
    if status:
        raise RuntimeError(err)
    return [json.loads(line) for line in out.splitlines()]


def export_spans(path, tenant):
    status, out, err = dump("export", path, "--what", "spans", "--tenant", tenant)
    if status:
        raise RuntimeError(err)
    return [canonical(line, tenant) for line in out.split("\n")[:-1]]


def canonical(line, tenant=None):
    """A span's JSON as text to compare: members of an object in order, for a name may come twice; none is left out."""
    pairs = [p for p in json.loads(line, object_pairs_hook=list) if p[0] != "tenant" or tenant is None]
    return json.dumps(sorted(pairs + ([("tenant", tenant)] if tenant else []), key=lambda p: p[0]), ensure_ascii=False)


def read_seg_spans(path):
    return [canonical(line) for line in read_seg(path, "--spans", parse=False)]


def read_seg(path, *args, parse=True):
    out = subprocess.run([sys.executable, READ_SEG, *args, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if out.returncode:
        raise RuntimeError(out.stderr.decode())
    return [json.loads(line) if parse else line for line in out.stdout.decode("utf-8").split("\n")[:-1]]


def order(entries, tenant=None):
    """Sorted, one of equal ones, as text."""
    return sorted({json.dumps({**e, **({"tenant": tenant} if tenant else {})}, sort_keys=True) for e in entries})


def segments(data):
    folder = os.path.join(data, "segments")
    return [os.path.join(folder, f) for f in sorted(os.listdir(folder))]


def golden_lines(data, name):
    with gzip.open(os.path.join(data, name), "rt", encoding="utf-8") as f:
        return f.read().split("\n")[:-1]


def test_golden_spans(tap, version):
    data = os.path.join(GOLDEN, version)
    expected = sorted(map(canonical, golden_lines(data, "spans.ndjson.gz")))
    tenants = sorted({dict(json.loads(line))["tenant"] for line in expected})
    got = sorted(line for t in tenants for line in export_spans(data, t))
    tap.ok(got == expected and len(set(got)) == len(got) > 500, "%s: mstore-dump reads all %d spans, each once" % (version, len(expected)))
    sealed = [line for s in segments(data) for line in read_seg_spans(s)]
    tap.ok(set(sealed) < set(expected) and len(sealed) > 500, "%s: the independent reader reads the segments' spans" % version)
    with tempfile.TemporaryDirectory() as copy:
        for folder in ("segments", "wal"):
            shutil.copytree(os.path.join(data, folder), os.path.join(copy, folder))
        with Server(["--retention", "0"], data=copy) as server:
            tap.equal(server.post("/flush").status, 204, "%s: a server seals its log" % version)
        got = sorted(line for t in tenants for line in export_spans(copy, t))
        tap.ok(got == expected, "%s: and it holds the same spans" % version)


def test_golden(tap, version):
    data = os.path.join(GOLDEN, version)
    expected = golden_lines(data, "expected.ndjson.gz")
    tenants = sorted({json.loads(line)["tenant"] for line in expected})
    got = sorted(line for t in tenants for line in order(cat(data, t), t))
    tap.ok(got == expected, "%s: mstore-dump reads all %d entries" % (version, len(expected)))
    sealed = sorted(line for s in segments(data) for line in order(read_seg(s)))
    tap.ok(set(sealed) < set(expected) and len(sealed) > 100, "%s: the independent reader reads the segments" % version)
    with tempfile.TemporaryDirectory() as copy:
        for folder in ("segments", "wal"):
            shutil.copytree(os.path.join(data, folder), os.path.join(copy, folder))
        with Server(["--retention", "0"], data=copy) as server:
            tap.equal(server.post("/flush").status, 204, "%s: a server opens it and seals its log" % version)
        got = sorted(line for t in tenants for line in order(cat(copy, t), t))
        tap.ok(got == expected, "%s: and it holds the same" % version)
        status, out, _ = dump("verify", "--deep", copy)
        tap.ok(status == 0, "%s: and verifies" % version, out)


def test_readers_agree(tap):
    with Server(["--retention", "0", "--head-bytes", "8MiB"]) as server:
        subprocess.run([LOADGEN, "127.0.0.1:%d" % server.port, "--bytes", "20000000", "--push-bytes", "200000"], check=True,
                       stdout=subprocess.DEVNULL)
        server.post("/flush")
        files = segments(server.data)
        tap.ok(len(files) > 1, "%d segments were sealed" % len(files))
        status, out, _ = dump("verify", "--deep", server.data)
        tap.ok(status == 0, "verify is clean beside a running server", out)
        query = '{job="nginx"} |= "wp-login"'
        lines = server.query_range(query, time.time_ns() - 2 * 3600 * 10**9, time.time_ns(), limit=5000)["data"]["result"]
        server.stop()  # a running one may join segments meanwhile
        files = segments(server.data)
        for path in files[:2]:
            independent = order(read_seg(path))
            ours = order(cat(path), "fake")
            tap.ok(independent == ours and len(ours) > 1000, "both readers agree on %d entries" % len(ours))
        count = sum(len(s["values"]) for s in lines)
        offline = cat(server.data, None, "--query", query)
        tap.ok(0 < count == min(len(offline), 5000), "offline and online find the same (%d lines)" % count, len(offline))
        status, out, _ = dump("inspect", "--json", files[0])
        tap.ok(status == 0 and json.loads(out)["entries"] == len(read_seg(files[0])), "inspect --json counts the entries")


def test_split_lines(tap):
    """Compaction splits lines: both readers read the same, deep checks pass, and who does not know of it refuses."""
    with Server(["--retention", "0"]) as server:
        for n in range(4):
            subprocess.run([LOADGEN, "127.0.0.1:%d" % server.port, "--bytes", "3000000", "--push-bytes", "200000", "--seed", str(n + 1)],
                           check=True, stdout=subprocess.DEVNULL)
            before = sum(os.path.getsize(s) for s in segments(server.data))
            server.post("/flush")
        query = 'sum(count_over_time({job=~".+"} |~ "[13]7" [1h]))'
        want = server.query_range(query, time.time_ns() - 2 * 3600 * 10**9, time.time_ns())
        tap.ok(wait_until(lambda: len(segments(server.data)) == 1), "four segments became one", segments(server.data))
        got = server.query_range(query, time.time_ns() - 2 * 3600 * 10**9, time.time_ns())
        counts = [sum(int(v) for r in a["data"]["result"] for _, v in r["values"][-1:]) for a in (want, got)]
        tap.ok(counts[0] == counts[1] > 1000, "and answers as they did", counts)
        server.stop()
        path = segments(server.data)[0]
        blocks = json.loads(dump("inspect", "--json", path)[1])["blocks"]
        split = [b["lines"] for b in blocks if b["lines"]["encoding"] == "split"]
        tap.ok(len(split) > len(blocks) / 2, "lines of %d of %d blocks are split" % (len(split), len(blocks)))
        tap.ok(os.path.getsize(path) < before, "four pushes take less than three did sealed", (os.path.getsize(path), before))
        stats = json.loads(dump("stats", "--json", path)[1])
        tap.equal(stats["split"], {"blocks": len(split), "stored_bytes": sum(b["stored"] for b in split), "raw_bytes": sum(b["raw"] for b in split)},
                  "stats has the same sums")
        text = dump("inspect", path)[1]
        tap.ok("lines of %d blocks are split" % len(split) in text and "(split)" in text, "inspect says so", text[:600])
        independent = order(read_seg(path))
        tap.ok(independent == order(cat(path), "fake") and len(independent) > 10000, "both readers agree on %d entries" % len(independent))
        status, out, _ = dump("verify", "--deep", server.data)
        tap.ok(status == 0, "verify --deep passes", out)
        with open(path, "rb") as f:
            good = f.read()
        tap.equal(int.from_bytes(good[8:16], "little"), 3, "the header tells readers that they must know, and of groups")
        end = 40 + 8 * int.from_bytes(good[6:8], "little")
        for features, known in ((3, True), (7, False), (4, False)):
            header = good[:8] + features.to_bytes(8, "little") + good[16:end]
            with open(path, "wb") as f:
                f.write(header + xxhash.xxh3_64_intdigest(header).to_bytes(8, "little") + good[end + 8:])
            status, _, err = dump("inspect", path)
            tap.ok((status == 0) == known and (known or "needs features 0x4 that this program lacks" in err), "features %d: %s" % (features, err.strip()))
        old = json.loads(dump("inspect", "--json", segments(os.path.join(GOLDEN, "v1"))[0])[1])
        tap.ok(all(b["lines"]["encoding"] != "split" for b in old["blocks"]), "older stores have none")


def test_groups(tap):
    """Metadata that makes for several groups of blocks: both readers read the same."""
    with Server(["--retention", "0"]) as server:
        rng = random.Random(5)
        base = time.time_ns() - 3600 * 10**9
        for part in range(4):
            server.push([({"app": "g%d" % s}, [(base + (part * 5000 + i) * 10**6, "line %d of %d" % (i, s), {"id": "%0128x" % rng.getrandbits(512)}) for i in range(5000)])
                         for s in range(2)])
        server.post("/flush")
        server.stop()
        path = segments(server.data)[0]
        blocks = json.loads(dump("inspect", "--json", path)[1])["blocks"]
        begins = sum(b["times"]["pos"] > b["lines"]["pos"] > a["times"]["pos"] for a, b in zip(blocks, blocks[1:]))
        tap.ok(0 < begins < len(blocks) - 1, "%d blocks in %d groups" % (len(blocks), begins + 1))
        independent = order(read_seg(path))
        tap.ok(independent == order(cat(path), "fake") and len(independent) == 40000, "both readers agree on %d entries" % len(independent))
        status, out, _ = dump("verify", "--deep", server.data)
        tap.ok(status == 0, "verify --deep passes", out)


def test_readers_agree_on_spans(tap):
    """Both readers over sealed and compacted segments of two tenants, and both against what was sent."""
    with Server(["--retention", "0"]) as server:
        sent = {"red": 0, "blue": 0}
        sealed = []
        for n in range(4):
            tenant = ("red", "blue")[n % 2]
            body = make_spans.request(100 + n, 40, 1 + n * 40)
            sent[tenant] += make_spans.count(body)
            answer = server.post("/v1/traces", json.dumps(body), {"Content-Type": "application/json", "X-Scope-OrgID": tenant})
            tap.ok(answer.status == 200 and answer.text in ("{}", '{"partialSuccess":{}}'), "spans of %s are taken" % tenant, answer.text)
            lines = [(make_spans.BASE_NS + i, "line %d" % i, {"trace_id": "%x" % (n + i % 300)}) for i in range(1000)]
            server.push([({"app": a}, lines) for a in "abc"], tenant=tenant)
            server.post("/flush")
            if n < 3:  # fewer than are joined
                sealed.append(read_seg_spans(segments(server.data)[n]))
        tap.ok(wait_until(lambda: len(segments(server.data)) == 1), "four segments became one", segments(server.data))
        server.stop()
        path = segments(server.data)[0]
        ours = sorted(export_spans(path, "red") + export_spans(path, "blue"))
        tap.ok(sorted(read_seg_spans(path)) == ours, "both readers agree on %d spans of a compacted segment" % len(ours))
        tap.ok(all(sealed) and {line for spans in sealed for line in spans} < set(ours), "what was sealed is in it, unchanged")
        tap.equal({t: sum('["tenant", "%s"]' % t in line for line in ours) for t in sent}, sent, "and as many as were sent")
        status, out, _ = dump("verify", "--deep", server.data)
        tap.ok(status == 0, "and verify agrees", out)
        with open(path, "rb") as f:
            good = f.read()
        silent = []
        with tempfile.TemporaryDirectory() as folder:
            copy = os.path.join(folder, os.path.basename(path))
            for pos in range(0, len(good), max(1, len(good) // 25)):
                with open(copy, "wb") as f:
                    f.write(good[:pos] + bytes([good[pos] ^ 4]) + good[pos + 1:])
                done = subprocess.run([sys.executable, READ_SEG, "--spans", copy], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
                if done.returncode != 1 or b"damaged" not in done.stderr:
                    silent.append((pos, done.stderr[-200:]))
        tap.equal(silent, [], "the independent reader accounts for every byte")


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out + bytes([n]))


def forge(good, change):
    """The segment with change(kind, raw bytes of the section) in place of its sections, and all checksums of the footer right."""
    at = int.from_bytes(good[-24:-16], "little")
    r = read_bytes.Reader(good[at:-24])
    r.take(24)
    for _ in range(4):
        r.varint()
    head, sections = good[at:at + r.pos], []
    for _ in range(r.varint()):
        kind, encoding, pos, stored, raw, _ = r.varint(), r.u8(), r.varint(), r.varint(), r.varint(), r.u64()
        body = read_bytes.unpack(encoding, good[pos:pos + stored], raw)
        changed = change(kind, body)
        stored_bytes = good[pos:pos + stored] if changed == body else zstandard.ZstdCompressor().compress(changed) if encoding else changed
        sections.append((pos, kind, encoding, stored_bytes, len(changed)))
    out, footer = bytearray(good[:min(s[0] for s in sections)]), head + varint(len(sections))
    places = {}
    for pos, kind, _, stored_bytes, _ in sorted(sections):
        places[kind] = len(out)
        out += stored_bytes
    for _, kind, encoding, stored_bytes, raw in sections:
        footer += (varint(kind) + bytes([encoding]) + varint(places[kind]) + varint(len(stored_bytes)) + varint(raw) +
                   xxhash.xxh3_64_intdigest(stored_bytes).to_bytes(8, "little"))
    trailer = len(out).to_bytes(8, "little") + xxhash.xxh3_64_intdigest(footer).to_bytes(8, "little") + good[-8:]
    return bytes(out) + footer + trailer


def test_deep(tap):
    """What every checksum agrees with may still be untrue: only --deep tells."""
    with Server(["--retention", "0"]) as server:
        for n in range(3):  # fewer than are joined
            lines = [(10**18 + i * 10**9, "GET /cart/%d from 10.0.%d.%d" % (i, i % 7, i), {"trace_id": "%x" % (i // 3 + 1)}) for i in range(300)]
            server.push([({"app": "deep", "n": str(n)}, lines)])
            server.post("/v1/traces", json.dumps(make_spans.request(n, 5, 1 + 5 * n)), {"Content-Type": "application/json"})
            server.post("/flush")
        server.stop()
        victim = segments(server.data)[1]
        with open(victim, "rb") as f:
            good = f.read()

        def verify(bad, *args):
            with open(victim, "wb") as f:
                f.write(bad)
            return dump("verify", "--quiet", *args, server.data)

        same = forge(good, lambda kind, body: body)
        tap.ok(same == good and verify(good, "--deep")[:2] == (0, ""), "a true store passes --deep")

        def no_words(kind, body):
            """A filter of one block whose words are none: it denies everything."""
            return b"\x01\x01\x00" if kind == 7 else body

        pages = {}

        def other_block(kind, body):
            """The last reference of an entry says another block, its page and the span table agree."""
            if kind == 6:
                entries_at = len(body) - 16 * 100
                page = body[entries_at:]
                changed = page[:-4] + (int.from_bytes(page[-4:], "little") + 1).to_bytes(4, "little")
                pages[xxhash.xxh3_64_intdigest(page)] = xxhash.xxh3_64_intdigest(changed)
                return body[:entries_at] + changed
            for old, new in pages.items():
                old, new = old.to_bytes(8, "little"), new.to_bytes(8, "little")
                body = body.replace(old, new) if kind == 5 else body
            return body

        pages_first = forge(good, other_block) and forge(good, other_block)  # its table may come before its pages
        def lost_day(kind, body):
            """A stream has the day after."""
            day = varint(10**18 // (86400 * 10**9) + 1048576)
            assert kind != 2 or body.count(day) == 1
            return body.replace(day, varint(10**18 // (86400 * 10**9) + 1048577)) if kind == 2 else body

        for name, bad, text in (("filter", forge(good, no_words), "denies 300 of its entries"), ("reference", pages_first, "references do not agree"),
                                ("day", forge(good, lost_day), "day")):
            status, out, _ = verify(bad, "--deep")
            tap.ok(bad != good and status == 1 and text in out and os.path.basename(victim) in out, "a forged %s is found" % name, out)
            status, out, _ = verify(bad)
            tap.ok(status == 0, "which every checksum agrees with", out)
        verify(good)
        # The index of another store: the same files, but rows of streams that are not there.
        with tempfile.TemporaryDirectory() as other:
            shutil.copytree(server.data, other, dirs_exist_ok=True)
            with Server(["--retention", "0"], data=other) as second:
                second.push([({"app": "more"}, [(10**18, "more")])])
                second.post("/flush")
                second.stop()
            newest = segments(other)[-1]
            os.remove(newest)
            shutil.copy(segments(server.data)[0], newest)
            status, out, _ = dump("verify", "--quiet", "--deep", other)
            tap.ok(status == 1 and os.path.basename(newest) in out, "a segment in another's place is found", out)


def test_damage(tap):
    """Every byte counts: a flipped one is found by verify, and queries say what is left out."""
    with Server(["--retention", "0"]) as server:
        for n in range(3):
            server.push([({"app": "damage", "n": str(n)}, [(10**18 + i, "line %d of %d" % (i, n)) for i in range(200)])])
            server.post("/flush")
        victim = segments(server.data)[1]
        server.stop()
        with open(victim, "rb") as f:
            good = f.read()
        missed = []
        for pos in range(0, len(good), max(1, len(good) // 60)):
            with open(victim, "wb") as f:
                f.write(good[:pos] + bytes([good[pos] ^ 0x10]) + good[pos + 1:])
            status, out, _ = dump("verify", "--quiet", server.data)
            if status != 1 or os.path.basename(victim) not in out:
                missed.append(pos)
        tap.equal(missed, [], "a flipped byte anywhere in a segment is found")
        with open(victim, "wb") as f:
            f.write(good[:100] + b"\0" * 40 + good[140:])
        server.start()
        answer = server.query_range('{app="damage"}', 10**18 - 1, 10**18 + 1000)
        found = sum(len(s["values"]) for s in answer["data"]["result"])
        warned = any(os.path.basename(victim) in w for w in answer.get("warnings", []))
        tap.ok(found == 400 and warned, "the rest is answered, with a warning that names the segment", answer.get("warnings"))
        server.stop()
        os.remove(victim)
        server.start()
        answer = server.query_range('{app="damage"}', 10**18 - 1, 10**18 + 1000)
        tap.ok(len(answer["warnings"]) > 0, "a missing segment is told too")
        status, out, _ = dump("verify", "--quiet", server.data)
        tap.ok(status == 1 and os.path.basename(victim) in out, "and found by verify", out)
    status, _, err = dump("cat", "/nonexistent")
    tap.ok(status == 3 and "/nonexistent" in err, "an unreadable directory is named", err)
    status, _, err = dump("cat", GOLDEN + "/v1", "--query", "{a=")
    tap.ok(status == 2 and "parse error" in err, "a broken query is told", err)
    status, _, err = dump("frobnicate")
    tap.ok(status == 2 and "frobnicate" in err, "an unknown command is named", err)


def main():
    tap = Tap()
    for version in sorted(v for v in os.listdir(GOLDEN) if v.startswith("v")):
        test_golden(tap, version)
        if os.path.exists(os.path.join(GOLDEN, version, "spans.ndjson.gz")):
            test_golden_spans(tap, version)
    test_readers_agree(tap)
    test_split_lines(tap)
    test_groups(tap)
    test_readers_agree_on_spans(tap)
    test_deep(tap)
    test_damage(tap)
    tap.done()


if __name__ == "__main__":
    main()
