#!/usr/bin/env python3
"""Prints the entries of a segment as NDJSON, or its spans, reading nothing but docs/format.md's description of it.

usage: read_seg.py [--spans] FILE.seg

An independent reader, slow and plain: it checks every checksum and that every byte is accounted for.
Needs python3-zstandard and python3-xxhash.
"""
import json
import re
import struct
import sys

import xxhash
import zstandard

from read_bytes import Damaged, Reader, label_set, need, text, unpack, wrap
from read_spans import check_entry_traces, print_spans
from read_split import read_split

DAY_BIAS = 1048576
NS_PER_DAY = 86400 * 10**9


def read_header(data):
    r = Reader(data)
    need(r.take(4) == b"MSEG" and r.u16() == 1, "no segment of version 1")
    inputs = r.u16()
    features = r.u64()
    need(features < 4, "unknown feature")
    r.u64()
    gen = r.u64()
    r.i64()
    for _ in range(inputs):
        r.u64()
    end = r.pos
    need(r.u64() == xxhash.xxh3_64_intdigest(data[:end]), "header checksum")
    return gen, features, r.pos


def read_footer(data):
    t = Reader(data[-24:])
    pos, check, version, magic = t.u64(), t.u64(), t.u32(), t.take(4)
    need(version == 1 and magic == b"SEND", "no trailer")
    footer = data[pos:-24]
    need(check == xxhash.xxh3_64_intdigest(footer), "footer checksum")
    r = Reader(footer)
    f = {"at": pos, "gen": r.u64(), "min": r.i64(), "max": r.i64(), "entries": r.varint(), "line_bytes": r.varint(),
         "blocks": r.varint(), "streams": r.varint(), "sections": {}}
    for _ in range(r.varint()):
        kind = r.varint()
        encoding, at, stored, raw, check = r.u8(), r.varint(), r.varint(), r.varint(), r.u64()
        body = data[at:at + stored]
        need(len(body) == stored and check == xxhash.xxh3_64_intdigest(body), "checksum of section %d" % kind)
        f["sections"][kind] = (at, stored, body if encoding == 0 else unpack(encoding, body, raw))
    r.end("footer")
    return f


CLASSES = bytes(1 + i - 32 if 32 <= i < 48 else 17 if 48 <= i < 58 else 18 + i - 58 if 58 <= i < 65 else
                25 + (i | 32) - 97 if 97 <= (i | 32) < 123 else 51 + i - 91 if 91 <= i < 97 else
                57 + i - 123 if 123 <= i < 127 else 61 if i >= 128 else 0 for i in range(256))
ADDRESS = re.compile(rb"(?=([0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]))")
NUMBER = re.compile(rb"[0-9a-fA-F-]{16,}")


def words_of(text):
    folded = text.translate(CLASSES)
    groups = {folded[i:i + 3] for i in range(len(folded) - 2)}
    return {(a * 4096 + b * 64 + c) * 0x9E3779B1 % 2**32 >> 19 for a, b, c in groups}


def ids_of(text):
    pieces = {m[1] for m in ADDRESS.finditer(text)}
    for number in NUMBER.findall(text):
        products = [struct.unpack("<Q", number[i:i + 8])[0] * 0x9E3779B97F4A7C15 % 2**64 for i in range(len(number) - 7)]
        for i in range(len(products) - 8):
            at = min(range(i, i + 9), key=products.__getitem__)
            pieces.add(number[at:at + 8])
    return pieces


def id_bits(piece, probes, bits):
    h = xxhash.xxh3_64_intdigest(piece) or 1
    return [(h + n * (h >> 32 | 1)) % 2**32 * bits >> 32 for n in range(probes)]


def check_filters(f, blocks):
    """What a block holds, its filter does not deny; and it has no words besides."""
    if 7 not in f["sections"]:
        return
    r = Reader(f["sections"][7][2])
    bases = [set() for _ in range(8)]
    for _, lines, _, sets in blocks:
        flags = r.u8()
        need(flags < 8, "unknown filter")
        texts = [b"".join(lines), sets]
        need(bool(flags & 4) == any(b"\\u" in t for t in texts), "escapes")
        if flags & 1:
            where = r.u8()
            changes, bit, words = Reader(r.bytes()), 0, set(bases[where >> 4])
            while changes.pos < len(changes.data):
                bit += changes.varint()
                words ^= {bit}
            need(words == words_of(texts[0]) | words_of(texts[1]), "words of a filter")
            bases[where & 15] = words
        if flags & 2:
            probes, bloom = r.u8(), r.bytes()
            for piece in ids_of(texts[0]) | ids_of(texts[1]):
                need(all(bloom[b // 8] >> b % 8 & 1 for b in id_bits(piece, probes, len(bloom) * 8)), "an id is missing in a filter")
    r.end("filters")


def read_place(r):
    """A block's row: entries, least and greatest time, and per column encoding, stored bytes, raw bytes, check."""
    return r.varint(), r.i64(), r.i64(), [(r.u8(), r.varint(), r.varint(), r.u64()) for _ in range(4)]


def places_back_to_back(f):
    """Per block its row and where its columns are, in a segment without groups."""
    at, stored, _ = f["sections"][1]
    r = Reader(f["sections"][3][2])
    for _ in range(f["blocks"]):
        need(r.varint() == at, "a gap between blocks")
        row, begins = read_place(r), []
        for column in row[3]:
            begins.append(at)
            at += column[1]
        yield row, begins
    r.end("block table")
    need(at == f["sections"][1][0] + stored, "bytes behind the last block")


def places_in_groups(f):
    """Likewise, where the block table is in pages, one a group."""
    at, stored, _ = f["sections"][1]
    groups, pages = Reader(f["sections"][8][2]), Reader(f["sections"][3][2])
    blocks = 0
    for _ in range(groups.varint()):
        count, group_bytes, page_bytes, raw_bytes = (groups.varint() for _ in range(4))
        check, page = groups.u64(), pages.take(page_bytes)
        need(1 <= count <= 65536 and check == xxhash.xxh3_64_intdigest(page), "a page of the block table")
        r = Reader(unpack(1, page, raw_bytes))
        rows = [read_place(r) for _ in range(count)]
        r.end("page")
        begins, pos = [[0] * 4 for _ in rows], at
        for n in (2, 0, 1, 3):
            for row, begin in zip(rows, begins):
                begin[n] = pos
                pos += row[3][n][1]
        need(pos == at + group_bytes, "a group's bytes")
        yield from zip(rows, begins)
        at, blocks = pos, blocks + count
    groups.end("groups")
    pages.end("block table")
    need(blocks == f["blocks"] and at == f["sections"][1][0] + stored, "groups")


def read_blocks(data, f, features):
    """Per block: times, lines, metadata sets of its entries; all sets as they are stored. And whether lines of any are split."""
    blocks, split = [], False
    for (count, least, greatest, places), begins in (places_in_groups if features & 2 else places_back_to_back)(f):
        columns = []
        for n, ((encoding, stored_bytes, raw_bytes, check), begin) in enumerate(zip(places, begins)):
            body = data[begin:begin + stored_bytes]
            need(check == xxhash.xxh3_64_intdigest(body), "column checksum")
            if encoding == 2 and n == 2:
                split = True
                columns.append(read_split(body, line_lengths(columns[1], count), raw_bytes))
            else:
                columns.append(unpack(encoding, body, raw_bytes))
        blocks.append(read_block(count, least, greatest, columns))
    return blocks, split


def line_lengths(column, count):
    r = Reader(column)
    lengths = [r.varint() for _ in range(count)]
    r.end("lengths")
    return lengths


def read_block(count, least, greatest, columns):
    r = Reader(columns[0])
    scale, times, t = 10 ** r.u8(), [], 0
    for _ in range(count):
        t = wrap(t + r.zigzag())
        times.append(t * scale)
    r.end("times")
    need(min(times) == least and max(times) == greatest, "block times")
    text = Reader(columns[2])
    lines = [text.take(n) for n in line_lengths(columns[1], count)]
    text.end("lines")
    r = Reader(columns[3])
    sets_count = r.varint()
    sets_from = r.pos
    sets = [label_set(r.bytes()) for _ in range(sets_count)]
    stored_sets = r.data[sets_from:r.pos]
    numbers = [r.varint() for _ in range(count)] if len(sets) > 1 else [0] * count
    r.end("metadata")
    return times, lines, [sets[n] for n in numbers], stored_sets


def pairs_json(pairs):
    return {text(n): text(v) for n, v in pairs}


def read_streams(f, blocks, put):
    """Gives each entry to put(), and per tenant the (fingerprint, block, metadata) of entries that have metadata."""
    r = Reader(f["sections"][2][2])
    streams = entries = line_bytes = 0
    traced = {}
    for _ in range(r.varint()):
        tenant = r.bytes()
        for _ in range(r.varint()):
            stored_labels = r.bytes()
            labels = label_set(stored_labels)
            fingerprint = xxhash.xxh3_128_intdigest(stored_labels)
            days, day = [], 0
            for _ in range(r.varint()):
                day += r.varint()
                days.append(day)
            seen = set()
            for _ in range(r.varint()):
                block, first, count, least = r.varint(), r.varint(), r.varint(), r.i64()
                greatest, run_bytes = least + r.varint(), r.varint()
                times, lines, sets = (column[first:first + count] for column in blocks[block][:3])
                need(len(times) == count and times == sorted(times), "run of entries")
                need((times[0], times[-1]) == (least, greatest), "run times")
                need(sum(map(len, lines)) == run_bytes, "run bytes")
                for t, line, pairs in zip(times, lines, sets):
                    seen.add(t // NS_PER_DAY + DAY_BIAS)
                    entry = {"tenant": text(tenant), "time": str(t), "stream": pairs_json(labels)}
                    if pairs:
                        entry["metadata"] = pairs_json(pairs)
                        traced.setdefault(tenant, []).append((fingerprint, block, pairs))
                    entry["line"] = text(line)
                    put(entry)
                entries += count
                line_bytes += run_bytes
            need(days == sorted(seen), "days of a stream")
            streams += 1
    r.end("stream table")
    need((streams, entries, line_bytes) == (f["streams"], f["entries"], f["line_bytes"]), "totals")
    return traced


def print_json(entry):
    print(json.dumps(entry, ensure_ascii=False, separators=(",", ":")))


def check_layout(f, features, header_end, footer_at):
    """Header, sections and footer touch; nothing lies between them."""
    pos = header_end
    for kind in (1, 4, 6, 3, 7, 2, 5, 8) if features & 2 else (1, 4, 6, 5, 3, 7, 2):
        if kind in f["sections"]:
            at, stored, _ = f["sections"][kind]
            need(at == pos, "a gap before section %d" % kind)
            pos += stored
    need(pos == footer_at, "bytes before the footer")


def main():
    args = sys.argv[1:]
    spans = "--spans" in args
    args = [a for a in args if a != "--spans"]
    if len(args) != 1 or args[0].startswith("-"):
        print(__doc__.strip())
        sys.exit(0 if args[:1] in (["-h"], ["--help"]) else 2)
    with open(args[0], "rb") as file:
        data = file.read()
    try:
        gen, features, end = read_header(data)
        f = read_footer(data)
        need(f["gen"] == gen, "header and footer disagree")
        check_layout(f, features, end, f["at"])
        blocks, split = read_blocks(data, f, features)
        need(features & 1 == split, "features of the header")
        check_filters(f, blocks)
        traced = read_streams(f, blocks, (lambda entry: None) if spans else print_json)
        tenants = print_spans(data, f["sections"], print if spans else lambda line: None)
        check_entry_traces(tenants, traced)
    except (Damaged, KeyError, IndexError, struct.error, zstandard.ZstdError) as e:
        sys.exit("%s: damaged: %s" % (args[0], e))


if __name__ == "__main__":
    main()
