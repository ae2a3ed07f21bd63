"""Lines that are split into templates and columns, by docs/format.md "Split lines"."""
from read_bytes import Reader, need, unpack

PARTS = ("head", "codes", "lengths", "digits", "hex", "other")
CLASSES = ("digits", "hex", "other")


class Lists:
    def __init__(self, parts):
        self.parts = parts
        self.templates = self.slots = self.values = 0

    def texts(self, count, depth):
        """The texts of the list that begins here in head."""
        head, codes = self.parts["head"], self.parts["codes"]
        form = head.u8()
        kind, part, width = form & 7, form >> 3 & 3, form >> 5
        need(kind in (3, 4) or form == kind, "form of a list")
        if kind == 1:
            values = [head.bytes() for _ in range(head.varint())]
            self.values += len(values)
            need(1 <= len(values) <= 256, "number of values")
            return [values[c] for c in codes.take(count)]
        if kind == 2:
            return [b"%d" % c for c in codes.take(count)]
        if kind == 3:
            size = head.varint()
            need(size > 0 and width == 0, "texts of one length")
            return [self.parts[CLASSES[part]].take(size) for _ in range(count)]
        if kind == 4:
            need(width < 3, "width of lengths")
            sizes = [int.from_bytes(self.parts["lengths"].take(1 << width), "little") for _ in range(count)]
            return [self.parts[CLASSES[part]].take(size) for size in sizes]
        need(kind == 5 and depth < 3, "kind of a list")
        return self.templated(count, depth)

    def templated(self, count, depth):
        templates = self.parts["head"].varint()
        codes = self.parts["codes"].take(count)
        need(1 <= templates <= 256 and all(c < templates for c in codes), "codes of templates")
        self.templates += templates
        texts = [iter(self.template(codes.count(c), depth + 1)) for c in range(templates)]
        return [next(texts[c]) for c in codes]

    def template(self, count, depth):
        head = self.parts["head"]
        texts = [b""] * count
        while True:
            self.slots += 1
            literal = head.bytes()
            if head.data[head.pos] == 0:
                head.u8()
                return [t + literal for t in texts]
            texts = [t + literal + more for t, more in zip(texts, self.texts(count, depth))]


def read_split(stored, lengths, raw_bytes):
    """The lines' text, back to back."""
    r = Reader(stored)
    totals = (r.varint(), r.varint(), r.varint())
    parts, decoded = {}, 0
    for name in PARTS:
        form = r.varint()
        raw = unpack(1, r.bytes(), form >> 1) if form & 1 else r.take(form >> 1)
        decoded += len(raw)
        parts[name] = Reader(raw)
    r.end("split lines")
    need(decoded <= raw_bytes + 4 * len(lengths) + 65536, "split lines: parts are too large")
    need(totals[0] <= 4096 and totals[1] <= 16384 and totals[2] <= 65536, "split lines: totals")
    need(parts["head"].data[:1] == b"\5", "split lines: no templates")
    lists = Lists(parts)
    texts = lists.texts(len(lengths), 0)
    for name in PARTS:
        parts[name].end("split lines: " + name)
    need((lists.templates, lists.slots, lists.values) == totals, "split lines: totals")
    need([len(t) for t in texts] == lengths and sum(lengths) == raw_bytes, "split lines: lengths")
    return b"".join(texts)
