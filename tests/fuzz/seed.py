#!/usr/bin/env python3
"""Writes the first inputs of each corpus; later ones are what fuzzers found. usage: seed.py DIR_WITH_STORE"""
import gzip
import os
import struct
import subprocess
import sys
import zlib

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")


def put(target, name, data):
    os.makedirs(os.path.join(HERE, target), exist_ok=True)
    with open(os.path.join(HERE, target, name), "wb") as f:
        f.write(data.encode() if isinstance(data, str) else data)


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def snappy_literal(data):
    out = varint(len(data))
    for i in range(0, len(data), 60):
        piece = data[i:i + 60]
        out += bytes([(len(piece) - 1) << 2]) + piece
    return out


# Request targets and websocket frames.
for n, target in enumerate(("/ready", "/loki/api/v1/labels?start=1793491200&end=1793491300.5&since=1h", "/loki//api/./v1/../v1/labels?a=b", "http://h:1/loki/api/v1/label/a%20b/values?x",
                            "/loki/api/v1/query_range?query=%7Ba%3D%22b%22%7D&limit=5000&direction=FORWARD&step=1m30s&interval=2&start=2026-11-01T00:00:00Z",
                            "/..%2f..//%2e%2e/", "/loki/api/v1/query?time=4000000000&limit=x", "//a%zz?%zz;", "*", "")):
    put("request", "t%d" % n, target)


def frame(opcode, payload, fin=True, mask=b"abcd", size=None):
    size = len(payload) if size is None else size
    head = bytes([opcode | (0x80 if fin else 0)]) + (bytes([0x80 | size]) if size < 126 else bytes([0xfe]) + struct.pack(">H", size) if size < 65536 else bytes([0xff]) + struct.pack(">Q", size))
    return head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))


for n, frames in enumerate((frame(1, b"hi"), frame(1, b"a", False) + frame(9, b"p") + frame(0, b"b"), frame(8, b"\x03\xe8bye"), frame(9, b"x" * 126), frame(1, b"", size=65537),
                            frame(1, b"x" * 200), frame(3, b""), frame(0, b""), b"\x81\x02hi", frame(1, b"a", False) + frame(1, b"b"), b"\x81\xff" + b"\xff" * 8, frame(2, b"z" * 3)[:-1])):
    put("request", "w%d" % n, frames)


# Lists of backups, without their last line but for one.
one = "segment 0000000000000007 123456 0123456789abcdef 00000000000000ff\n"
lists = ("", "incomplete\n", one, "deletions 77 00000000000000ab\n", "log 0000000000000008 64 00000000000000cd\n",
         "deletions 77 00000000000000ab 1111111111111111\nlog 0000000000000008 64 00000000000000cd 2222222222222222\nlog 0000000000000009 0 00000000000000ce\n" + one +
         "segment ffffffffffffffff 18446744073709551615 ffffffffffffffff ffffffffffffffff\n",
         one + one, one.replace("ff\n", "00\n"), one.replace("123456", "0123456"), one.replace("123456", "18446744073709551616"), one.replace("abcdef", "ABCDEF"),
         one.replace("123456", "-1"), one.replace(" 00", "  00"), one + "log 0000000000000008 64 00000000000000cd\n", one + "end 0000000000000000\n", one[:-1], one + "\0",
         "deletions 0 00000000000000ab\n")
for n, text in enumerate(lists):
    put("backup", "l%d" % n, "mstore backup 1\n" + text)
put("backup", "whole", "mstore backup 1\nincomplete\nend 59155b120e8011ef\n")

stamp = b"\x08" + varint(1793491204) + b"\x10\x05"
pair = field(1, b"trace_id") + field(2, b"4bf9")
entry = field(1, stamp) + field(2, b"level=warn msg=\"x\"") + field(3, pair)
push = field(1, field(1, b'{app="cart", env=\'prod\'}') + field(2, entry) + field(2, field(2, b"no time")))
put("push_pb", "two", push)
put("push_pb", "group", push + b"\x0b\x08\x01\x0c")
put("push_json", "one", '{"streams":[{"stream":{"app":"cart"},"values":[["1793491204000000000","a \\"q\\" \\u00e9 \\ud83d\\ude00"],["1793491205000000001","{\\"level\\":\\"error\\"}",{"k":"v","n":1}]]}]} ')
put("push_json", "order", '{"streams":[{"values":[[1,"x"],null],"stream":{"a":1,"b":true}}],"other":[1,{"a":[]}]}')
put("push_json", "legacy", '{"streams":[{"labels":"{a=\\"b\\"}","entries":[{"ts":"2026-11-01T00:00:05+01:00","line":"x"}]}]}')
put("push_json", "empty", "{}")


def value(text):
    return field(1, text)


def attribute(key, any_value):
    return field(1, key) + field(2, any_value)


resource = field(1, field(1, attribute(b"service.name", value(b"cart"))) + field(1, attribute(b"n", b"\x18\x05")))
nested = field(6, field(1, attribute(b"a", field(5, field(1, b"\x10\x01") + field(1, b"\x21" + struct.pack("<d", 1.5))))))
record = (b"\x09" + struct.pack("<Q", 1793491205 * 10**9) + b"\x10\x11" + field(5, value(b"declined")) +
          field(6, attribute(b"http", nested)) + field(9, bytes(range(16))) + field(10, bytes(range(8))))
put("otlp", "protobuf", field(1, resource + field(2, field(1, field(1, b"lib") + field(2, b"1")) + field(2, record))))
put("otlp", "json", '{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"1793491205000000001","severityNumber":'
    '"SEVERITY_NUMBER_WARN2","body":{"kvlistValue":{"values":[{"key":"k","value":{"arrayValue":{"values":[{"doubleValue":1e21},'
    '{"bytesValue":"AAEC"},{"boolValue":true}]}}}]}},"traceId":"5b8efff798038103d269b633813fc60c","attributes":[{"key":"a.b",'
    '"value":{"intValue":"7"}}]}],"scope":{"name":"s"}}],"resource":{"attributes":[{"key":"host.name","value":{"stringValue":"h"}}]}}]}')
event = field(11, b"\x09" + struct.pack("<Q", 7) + field(2, b"ev") + field(3, attribute(b"k", b"\x10\x01")))
link = field(13, field(1, bytes(range(16))) + field(2, bytes(range(8))) + field(3, b"a=b") + b"\x35\x01\x00\x00\x00")
span = (field(1, bytes(range(1, 17))) + field(2, bytes(range(1, 9))) + field(4, bytes(8)) + field(5, b"GET /") + b"\x30\x02" +
        b"\x39" + struct.pack("<Q", 1793491205 * 10**9) + b"\x41" + struct.pack("<Q", 1793491206 * 10**9) +
        field(9, attribute(b"http", nested)) + event + link + field(15, field(2, b"boom") + b"\x18\x02") + b"\x85\x01\x01\x03\x00\x00")
scope = field(1, field(1, b"lib") + field(2, b"1") + field(3, attribute(b"a", b"")))
put("otlp_spans", "protobuf", field(1, resource + field(2, scope + field(2, span) + field(2, field(1, b"short")) + field(3, b"url")) + field(3, b"url")))
put("otlp_spans", "old", field(1, field(1000, field(2, span + b"\x4b\x08\x01\x4c")) + resource))
put("otlp_spans", "json", '{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174",'
    '"parentSpanId":"","name":"a\\u00e9","kind":"SPAN_KIND_SERVER","startTimeUnixNano":"1793491205000000001","endTimeUnixNano":7,"flags":257,'
    '"status":{"code":2,"message":"m"},"attributes":[{"key":"a.b","value":{"arrayValue":{"values":[{"doubleValue":"NaN"},{"bytesValue":"AAEC"},'
    '{"kvlistValue":{"values":[{"key":"k","value":{"intValue":"7"}}]}}]}}},{"key":"n","value":null}],"events":[{"timeUnixNano":1,"name":"e"},null],'
    '"links":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174"}]}],"scope":{"name":"s"}}],'
    '"resource":{"attributes":[{"key":"host.name","value":{"stringValue":"h"}}]}}]}')
endpoint = '"serviceName":"cart","ipv4":"10.0.0.1","port":80'
put("zipkin", "v2", "\x00" '[{"traceId":"ab","id":"1","parentId":"2","name":"q","kind":"CLIENT","timestamp":1793491205000000,"duration":5,"localEndpoint":{' +
    endpoint + '},"remoteEndpoint":{"ipv6":"::1"},"annotations":[{"timestamp":5,"value":"e|{\\"k\\":1.5,\\"b\\":true}|2"}],"tags":{"error":"x",'
    '"otlp.link.0":"5b8efff798038103d269b633813fc60c|eee19b7ec3c1b174|s|{}|0","otel.status_code":"Error","service.version":"1","span.kind":"internal"}},null]')
put("zipkin", "v1", "\x01" '[{"traceId":"0102030405060708","id":"1","name":"q","annotations":[{"timestamp":5,"value":"cs","endpoint":{' + endpoint +
    '}},{"timestamp":9,"value":"cr"},{"timestamp":7,"value":"x"}],"binaryAnnotations":[{"key":"sa","value":true,"endpoint":{' + endpoint +
    '}},{"key":"lc","value":"c"},{"key":"error","value":"e"},{"key":"census.status_code","value":"1"}]}]')
put("zipkin", "protobuf", b"\x02" + field(1, field(1, bytes(range(8))) + field(3, bytes(range(8))) + b"\x20\x02" + field(5, b"q") + b"\x31" +
    struct.pack("<Q", 5) + b"\x38\x07" + field(8, field(1, b"cart") + field(2, b"\x0a\0\0\1") + b"\x20\x50") +
    field(10, b"\x09" + struct.pack("<Q", 6) + field(2, b"e")) + field(11, field(1, b"k") + field(2, b"v"))))


def thrift_string(number, text):
    return struct.pack(">bhi", 11, number, len(text)) + text


def thrift_list(number, *elements):
    return struct.pack(">bhbi", 15, number, 12, len(elements)) + b"".join(e + b"\0" for e in elements)


def thrift_tag(key, kind, value):
    return thrift_string(1, key) + struct.pack(">bhi", 8, 2, kind) + value


tags = thrift_list(10, thrift_tag(b"span.kind", 0, thrift_string(3, b"client")), thrift_tag(b"error", 2, struct.pack(">bhb", 2, 5, 1)),
                   thrift_tag(b"d", 1, struct.pack(">bhd", 4, 4, 1.5)), thrift_tag(b"http.status_code", 3, struct.pack(">bhq", 10, 6, 404)),
                   thrift_tag(b"y", 4, thrift_string(7, b"zz")))
references = thrift_list(6, struct.pack(">bhi", 8, 1, 0) + struct.pack(">bhq", 10, 2, 7) + struct.pack(">bhq", 10, 4, 3))
logs = thrift_list(11, struct.pack(">bhq", 10, 1, 5) + thrift_list(2, thrift_tag(b"event", 0, thrift_string(3, b"e"))))
jaeger_span = (struct.pack(">bhq", 10, 1, 7) + struct.pack(">bhq", 10, 3, 9) + thrift_string(5, b"op") + references +
               struct.pack(">bhq", 10, 8, 1793491205000000) + struct.pack(">bhq", 10, 9, 5) + tags + logs)
process = struct.pack(">bh", 12, 1) + thrift_string(1, b"cart") + thrift_list(2, thrift_tag(b"hostname", 0, thrift_string(3, b"h"))) + b"\0"
put("jaeger", "batch", process + thrift_list(2, jaeger_span, jaeger_span) + b"\0")
put("jaeger", "unknown", thrift_list(2, jaeger_span) + struct.pack(">bhbbi", 13, 9, 11, 8, 1) + b"\0\0\0\1k\0\0\0\1" +
    struct.pack(">bhbi", 14, 8, 8, 1) + b"\0\0\0\1" + process + b"\0")
put("inflate", "gzip", b"\x00" + gzip.compress(b"hello " * 50, mtime=0) + gzip.compress(b"again", mtime=0))
deflater = zlib.compressobj(wbits=-15)
put("inflate", "deflate", b"\x01" + deflater.compress(b"hello " * 50) + deflater.flush())
zstd = subprocess.run(["zstd", "-q", "-c"], input=b"hello " * 50, stdout=subprocess.PIPE, check=True).stdout
put("inflate", "zstd", b"\x03" + zstd + zstd)
put("inflate", "lz4", b"\x04" + bytes.fromhex("04224d184040c0") + struct.pack("<I", 0x80000005) + b"hello" + b"\0\0\0\0")
put("inflate", "zlib", b"\x05" + zlib.compress(b"hello " * 50))
put("inflate", "snappy", b"\x02" + snappy_literal(b"hello" * 40))
put("inflate", "lie", b"\x02" + varint(1 << 30) + b"\x00a")
for i, text in enumerate(['{a="b", c=\'d\',}', 'm{x=`y`}', '{a="\\u00e9\\x41\\101"}', "", "{", '{a="b" c="d"}', '{"a"="b"}']):
    put("labels", "l%d" % i, text)
for i, text in enumerate(['{a="b"}', '{a=~"b.*", c!="d"} |= "x" or ip("10.0.0.0/8") !~ "y" |> `<_> z`',
                          'sum by (a) (rate({a="b"} | json x="a.b[0]" | y > 5ms and z="q" [5m] offset 1h)) / 2',
                          'topk(3, quantile_over_time(0.99, {a="b"} | logfmt | unwrap duration(d) [1m]))',
                          '{a="b"} | line_format "{{.x}}" | label_format a=b,c="{{.d}}" | drop e, f="g" # comment',
                          'label_replace(vector(1), "a", "$1", "b", "(.*)") == bool on(x) group_left(y) vector(2)']):
    put("query", "q%d" % i, text)
for i, text in enumerate((
        '{ span."a b".c = 1 && !(.d != nil) || event:name =~ `x.*` } >> { kind = server } | by(resource.x) | count() > 2 | select(.a, status)',
        '({ .a = 1h2m } | avg(duration) > 1.5ms) &>> ({ -.b ^ 2 = minInt }) // c',
        '{} | quantile_over_time(duration, .5, 0.9) by (span.http.path, .x) | topk(5) > -3 with(sample=true, exemplars=5)',
        '{ link:traceID = "0A" } | compare({ status = error }, 10, 1, 2)',
        '{ nestedSetParent < 0 && trace:rootService = "\\u00e9" } !~ { parent.a = 1 } | rate()')):
    put("traceql", "t%d" % i, text)
LINES = ['{"a":{"b c":[1,"x"]},"level":"err","n":1.5e3,"u":"\\u00e9"}', 'level=info msg="a \\"b\\"" d=1.5s ok q=""', '1.2.3.4 - bob [x] "GET /a" 200',
         '{"_entry":"GET /","pod":"p1"}', "\x1b[31mred\x1b[0m 10.0.0.1"]
STAGES = ['| json | level="err" and n > 5', '| json x="a[\\"b c\\"][1]", y="level" | drop x, y="z"', "| logfmt --strict --keep-empty | d > 1s | keep d",
          '| regexp "(?P<ip>\\\\S+) - (?P<u>\\\\w*)" | label_format a=u, b="{{.ip | ToUpper}}-{{.u}}"', "| pattern `<ip> - <u> [<_>]` | unpack | decolorize",
          '| line_format `{{range $i, $v := fromJson __line__}}{{if eq $i "level"}}{{$v | trunc 2}}{{else}}{{printf "%5.1f|%-4s|%q" 1.5 $i "x"}}{{end}}{{end}}`',
          '| line_format "{{substr 0 3 .app}}{{alignRight 5 .env}}{{add .n 1}}{{divf .n 3}}{{regexReplaceAll \\"(a)\\" __line__ \\"$1$1\\"}}{{__timestamp__ | date \\"2006-01-02\\"}}"',
          '|= "a" or ip("10.0.0.0/8") |> "<_>x" | unpack']
for i, stage in enumerate(STAGES):
    put("pipeline", "p%d" % i, '{app="x"} ' + stage + "\n" + LINES[i % len(LINES)])
SPLIT = b"\1" + varint(3) + bytes((15, 14, 16)) + (
    b"\1\4\2" + varint(25 << 1) + b"\5\1\5GET /\1\2\1a\1b\1 \3\3\1 \2\2ms\0" + varint(9 << 1) + b"\0\0\0\0\1\0\x0c\7\x82" + b"\0" +
    varint(9 << 1) + b"200200404" + b"\0\0")
put("split", "column", SPLIT)
NESTED = b"\1" + varint(4) + bytes((7, 8, 7, 7)) + (
    b"\3\7\0" + varint(31 << 1) + b"\5\2" + b"\1a\5\1\0\x0b\1\1-\4\1 \2\0\0\0\0" + b"\0\x34\0\0" + b"\0" * 7 + varint(11 << 1) +
    b"\0\1\0\0\0\0\0\1\2\3\4" + varint(5 << 1) + b"\1\2\1\7\0" + varint(4 << 1) + b"1234" + varint(3 << 1) + b"abc" + varint(7 << 1) + b"x y z w")
put("split", "nested", NESTED)
put("split", "lines", b"\0" + "\n".join(LINES).encode("latin-1"))
put("split", "log", b"\0" + b'10.0.0.1 - - [24/Nov/2026:10:00:00 +0000] "GET /a/b?id=123 HTTP/1.1" 200 0x1f "uvw xyz" 00012 id=4fd2bb12-1234-uvwx\n'
    b'\xff\xc3 18446744073709551616 key="u v \\" w" /x/y1 1e5\n\n7\nsshd[123]: Failed password for root from 1.2.3.4 port 22 ssh2')
if len(sys.argv) > 1:
    for folder, target in (("wal", "wal"), ("segments", "segment")):
        for name in sorted(os.listdir(os.path.join(sys.argv[1], folder)))[:2]:
            with open(os.path.join(sys.argv[1], folder, name), "rb") as f:
                put(target, name, f.read())
