"""What the readers of segments share: a cursor over bytes, label sets, stored parts, JSON. See read_seg.py."""
import json
import struct

import zstandard


class Damaged(Exception):
    pass


def need(good, what):
    if not good:
        raise Damaged(what)


class Reader:
    def __init__(self, data):
        self.data, self.pos = data, 0

    def take(self, n):
        need(self.pos + n <= len(self.data), "cut short")
        self.pos += n
        return self.data[self.pos - n:self.pos]

    def u8(self):
        return self.take(1)[0]

    def u16(self):
        return struct.unpack("<H", self.take(2))[0]

    def u32(self):
        return struct.unpack("<I", self.take(4))[0]

    def u64(self):
        return struct.unpack("<Q", self.take(8))[0]

    def i64(self):
        return struct.unpack("<q", self.take(8))[0]

    def varint(self):
        value = 0
        for shift in range(0, 70, 7):
            byte = self.u8()
            value |= (byte & 127) << shift
            if byte < 128:
                need(value < 1 << 64, "varint of more than 64 bits")
                return value
        raise Damaged("varint of more than ten bytes")

    def zigzag(self):
        v = self.varint()
        return v >> 1 ^ -(v & 1)

    def bytes(self):
        return self.take(self.varint())

    def end(self, what):
        need(self.pos == len(self.data), what + ": bytes left over")


def wrap(n):
    """A 64-bit two's complement number."""
    return (n + (1 << 63)) % (1 << 64) - (1 << 63)


def unpack(encoding, stored, raw_bytes):
    need(encoding in (0, 1), "unknown encoding")
    raw = stored if encoding == 0 else zstandard.ZstdDecompressor().decompress(stored, max_output_size=raw_bytes + 1)
    need(len(raw) == raw_bytes, "raw length")
    return raw


def label_set(data):
    r = Reader(data)
    pairs = [(r.bytes(), r.bytes()) for _ in range(r.varint())]
    r.end("label set")
    names = [n for n, _ in pairs]
    need(names == sorted(set(names)), "label names not ascending")
    need(all(v for _, v in pairs), "empty label value")
    return pairs


def text(data):
    return data.decode("utf-8", "replace")


class Object:
    """Pairs of a JSON object, in order; a name may come twice."""

    def __init__(self, pairs):
        self.pairs = list(pairs)


def to_json(value):
    if isinstance(value, Object):
        return "{" + ",".join(to_json(k) + ":" + to_json(v) for k, v in value.pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(to_json, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
