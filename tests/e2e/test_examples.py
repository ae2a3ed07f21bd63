#!/usr/bin/python3
"""The worked examples of the language's contract, each asked over HTTP of a tenant of its own."""
import math
import re

from lib import Server, Tap

S = 10**9
BASE = 1_700_000_040 * S  # what the examples call 0 s; a whole minute

J = ('{"level":"error","dur":"1.5s","size":"2KB","code":500,"ok":true,"n":null,"tags":["a","b"],'
     '"req":{"id":7,"user-agent":"curl","h":{"x":"y"}}}')
L = r'level=info msg="hello \"bob\"" dur=1.2s ok code=200 empty= q=""'
ACCESS = '1.2.3.4 - bob [10/Oct] "GET /a HTTP/1.1" 200 17'
ESC = "\x1b"
NOT_JSON = {"__error__": "JSONParserErr", "__error_details__": "Value looks like object, but can't find closing '}' symbol"}
J_LABELS = {"code": "500", "dur": "1.5s", "level": "error", "ok": "true", "req_h_x": "y", "req_id": "7",
            "req_user_agent": "curl", "size": "2KB"}
L_LABELS = {"code": "200", "dur": "1.2s", "level": "info", "msg": 'hello "bob"'}
DROPPED = None

# Line, stages; labels but app="api" (or DROPPED); the line, where it changes.
LINES = [
    ("user 10.1.2.3:443 ok", '|= ip("10.0.0.0/8")', {}),
    ("gateway 10.1.2.3.", '|= ip("10.0.0.0/8")', DROPPED),
    ("93.180.71.3 x", '|= ip("3.180.71.3")', DROPPED),
    ("a 192.168.0.4, b", '!= ip("192.168.0.1-192.168.0.9")', DROPPED),
    ("error: disk", '|= "disk" or "net" != "warn"', {}),
    ("net warn", '|= "disk" or "net" != "warn"', DROPPED),
    ("b", '!= "a" or "b"', DROPPED),
    ("xx foo bar", '|> "foo <_>"', {}),
    ("foo ", '|> "foo <_>"', DROPPED),
    ("foo bar bar", '|> "<_>bar"', DROPPED),
    ("", '|> ""', {}), ("", '|= ""', {}), ("", '|~ ".+"', DROPPED), ("", '!= ""', DROPPED),
    ("A Timeout", '|~ "(?i)timeout"', {}), ("A Timeout", '|= "timeout"', DROPPED),
    (J, "| json", J_LABELS),
    (J, '| json c="code", t="tags[1]", o="req.h", nul="n", miss="a.b"',
     {"c": "500", "miss": "", "nul": "", "o": '{"x":"y"}', "t": "b"}),
    (J, '| json ua="req[\\"user-agent\\"]", all="tags"', {"all": '["a","b"]', "ua": "curl"}),
    ("hello", "| json", NOT_JSON),
    ('{"a":1,"a":2}', "| json", {"a": "1"}), ('{"a":1,"a":2}', '| json a="a"', {"a": "1"}),
    ('{"a":"x","b":', "| json", {"a": "x", "__error__": "JSONParserErr", "__error_details__": "Malformed JSON error"}),
    ('{"1st":"x"," k ":"v","a.b":"c"}', "| json", {"_1st": "x", "a_b": "c", "k": "v"}),
    ('{"a":""}', "| json", {"a": ""}),
    ('{"a":1} trailing', "| json", {"a": "1"}),
    ("[1,2]", '| json | drop __error_details__', {"__error__": "JSONParserErr"}), ("[1,2]", '| json x="[1]"', {"x": "2"}),
    ('{"lvl":"a"}', '| json | label_format lvl="b" | json', {"lvl": "b"}),
    ('{"_entry":"GET /","pod":"p1","n":5}', "| unpack", {"pod": "p1"}, "GET /"),
    ('{"pod":"p1"}', "| unpack", {}),
    ('"x"', "| unpack", {"__error__": "JSONParserErr", "__error_details__": "expecting json object(6), but it is not"}),
    (L, "| logfmt", L_LABELS),
    (L, "| logfmt --keep-empty", dict(L_LABELS, empty="", ok="", q="")),
    (L, '| logfmt lvl="level", code, nope', {"code": "200", "lvl": "info", "nope": ""}),
    ('a=1 b=2=3 c="open', "| logfmt", {"a": "1"}),
    ('a=1 b=2=3 c="open', "| logfmt --strict",
     {"a": "1", "__error__": "LogfmtParserErr", "__error_details__": "logfmt syntax error at pos 8 : unexpected '='"}),
    ("x=1 x=2", "| logfmt", {"x": "1"}), ("x=1 x=2", "| logfmt x", {"x": "2"}),
    ("foo.bar=1 7up=2 a-b=3", "| logfmt", {"_7up": "2", "a_b": "3", "foo_bar": "1"}),
    ('a="b"c=d', "| logfmt", {"a": "b", "c": "d"}),
    ("hello world", "| logfmt", {}), ("hello world", "| logfmt --keep-empty", {"hello": "", "world": ""}),
    ("GET /x", '| regexp "(?P<m>\\\\w+) (?P<p>\\\\S+)( \\\\((?P<s>\\\\d+)\\\\))?"', {"m": "GET", "p": "/x", "s": ""}),
    ("zzz", '| regexp "(?P<n>\\\\d+)"', {}),
    (ACCESS, '| pattern `<ip> - <user> [<_>] "<method> <path> <_>" <status>`',
     {"ip": "1.2.3.4", "method": "GET", "path": "/a", "status": "200 17", "user": "bob"}),
    ("x,y", '| pattern "<a>,<b>,<c>"', {"a": "x", "b": "y"}),
    ("ts=1 level=info x", '| pattern "level=<level> "', {}),
    ("ts=1 level=info x", '| pattern "<_>level=<level> <_>"', {"level": "info"}),
    ("dur=abc", "| logfmt | dur > 1s", {"dur": "abc", "__error__": "LabelFilterErr",
                                        "__error_details__": 'time: invalid duration "abc"'}),
    ("", "| code > 400", DROPPED), ("", "| code != 400", DROPPED), ("", '| code != "400"', {}),
    ("dur=2h", "| logfmt | dur < 1d", {"dur": "2h"}),
    ("dur=1d", "| logfmt | dur < 2d", {"dur": "1d", "__error__": "LabelFilterErr",
                                      "__error_details__": 'time: unknown unit "d" in duration "1d"'}),
    ("size=2KB", "| logfmt | size > 1KiB", {"size": "2KB"}),
    ("size=2048", "| logfmt | size == 2KiB", {"size": "2048"}),
    ("size=2KB", "| logfmt | size > 1000 | drop __error_details__", {"size": "2KB", "__error__": "LabelFilterErr"}),
    ("lvl=stderr", '| logfmt | lvl=~"err.*"', DROPPED),
    ("x=5 y=z", "| logfmt | x > 9 and y > 1", DROPPED),
    ("x=5 y=z", "| logfmt | x > 1 and y > 1 | drop __error_details__", {"x": "5", "y": "z", "__error__": "LabelFilterErr"}),
    ("addr=10.0.0.1", '| logfmt | addr=ip("10.0.0.0/24")', {"addr": "10.0.0.1"}),
    ("", '| logfmt | addr!=ip("10.0.0.0/24")', DROPPED),
    ("hello", "| json | code > 5", DROPPED),
    ("hello", '| json | __error__=""', DROPPED), ("hello", '| json | __error__!=""', NOT_JSON),
    ("level=error", '| logfmt | line_format "{{.level}}:{{.nope}}|"', {"level": "error"}, "error:|"),
    ("a=1 b=2", "| logfmt | label_format a=b", {"a": "2"}),
    ("a=1", "| logfmt | label_format a=zzz", {"a": "1"}), ("a=1", "| logfmt | label_format a=a", {}),
    ("a=1 b=2", '| logfmt | label_format c="{{.a}}", d="{{.c}}-{{.b}}"', {"a": "1", "b": "2", "c": "1", "d": "-2"}),
    ("ms=3500", '| logfmt | line_format "{{div .ms 1000}} {{divf .ms 1000}}"', {"ms": "3500"}, "3 3.5"),
    ("s=3MB d=3m10s", '| logfmt | line_format "{{.s | bytes}} {{.d | duration}}"', {"s": "3MB", "d": "3m10s"}, "3e+06 190"),
    ("a=010 b=1.9", '| logfmt | line_format "{{add .a 1}} {{add .b 1}} {{addf .b 0.1}}"', {"a": "010", "b": "1.9"}, "9 2 2"),
    ("s=abc", '| logfmt | line_format "{{substr 0 9 .s}}"', {"s": "abc"}, "abc"),
    ("s=abc", '| logfmt | line_format "{{substr -1 9 .s}} " | drop __error_details__', {"s": "abc", "__error__": "TemplateFormatErr"}),
    ("code=500", '| logfmt | line_format `{{if eq .code "500"}}bad{{else}}ok{{end}}`', {"code": "500"}, "bad"),
    ("code=500", '| logfmt | line_format `{{if eq .code 500}}bad{{else}}ok{{end}}` | drop __error_details__',
     {"code": "500", "__error__": "TemplateFormatErr"}),
    ('kv="a=1,b=2"', '| logfmt | line_format `{{regexReplaceAll "([a-z])=(\\\\d)" .kv "$2:$1"}}`', {"kv": "a=1,b=2"}, "1:a,2:b"),
    ('ids="[1,2.5]"', "| logfmt | line_format `{{range fromJson .ids}}[{{.}}]{{end}}`", {"ids": "[1,2.5]"}, "[1][2.5]"),
    ("n=hi", '| logfmt | line_format `{{alignRight 5 .n}}{{.z | default "-"}}`', {"n": "hi"}, "   hi-"),
    ("s=abcdef", '| logfmt | line_format "{{slice .s 1 3}}-{{slice .s 4}}"', {"s": "abcdef"}, "bc-ef"),
    ("s=abc", '| logfmt | line_format "{{slice .s 2 9}}" | drop __error_details__', {"s": "abc", "__error__": "TemplateFormatErr"}),
    ('s="<a href=\'x\'>&"', '| logfmt | line_format "{{html .s}}"', {"s": "<a href='x'>&"}, "&lt;a href=&#39;x&#39;&gt;&amp;"),
    ('s="a<b=\'c\'"', '| logfmt | line_format "{{js .s}}"', {"s": "a<b='c'"}, "a\\u003Cb\\u003D\\'c\\'"),
    (ESC + "[31mred" + ESC + "[0m", "| decolorize", {}, "red"),
    ("a=1 b=2", '| logfmt | drop a="9", b', {"a": "1"}),
]

# What the parser answers: the whole query; its error, or None.
PARSED = [
    ("{}", 'parse error : queries require at least one regexp or equality matcher that does not have an empty-compatible value. '
           'For instance, app=~".*" does not meet this requirement, but app=~".+" will'),
    ('{sum="x", ip="y", bytes="1"}', None),
    ('{On="x"}', "parse error at line 1, col 2: syntax error: unexpected on, expecting IDENTIFIER or }"),
    ('rate({a="b"}[1m] @ 123)', "parse error at line 1, col 18: syntax error: unexpected IDENTIFIER, expecting )"),
    ('sum by (a) (rate({a="b"}[1m])) by (c)', "parse error at line 1, col 32: syntax error: unexpected by"),
    ('{a="b"} | logfmt foo --strict', "parse error at line 0, col 22: syntax error: unexpected FUNCTION_FLAG"),
    ('sum_over_time({a="b"}[1m])', "parse error : invalid aggregation sum_over_time without unwrap"),
    ('{a="b"} + 1', "parse error : unexpected type for left leg of binary operation (+): *syntax.MatchersExpr"),
    ('{a="b"} | label_format a=b, a="x"',
     'parse error : stage \'| label_format a=b,a="x"\' : multiple label name \'a\' not allowed in a single format operation'),
]
# Canonical forms that show how a query was read.
READ_AS = [
    ('{a="b"} | x="1" or y="2", z="3"', '{a="b"} | ( x="1" or ( y="2" , z="3" ) )'),
    ('{a="b"} | x="1", y="2" or z="3"', '{a="b"} | ( x="1" , ( y="2" or z="3" ) )'),
    ('{a="b"} | x="1" and y="2" or z="3"', '{a="b"} | ( ( x="1" , y="2" ) or z="3" )'),
    ('rate({a="b"}[1m] offset 5m | json | unwrap x)', 'rate({a="b"} | json | unwrap x[1m] offset 5m0s)'),
    ('{a="b"} | foo > 1d12h', '{a="b"} | foo>36h0m0s'),
    ('{a="b"} | foo > 1.5KiB', '{a="b"} | foo>1.5KiB'),
    ('{a="b"} | foo > 1e3', '{a="b"} | foo>1000'),
]
SCALARS = [("2^3^2", 512), ("-2^2", 4), ("10/4*2", 5), ("7 % -4", 3), ("1/0", math.nan), ("1 > 2", 0), ("1 == bool 1", 1)]

APP = '{app="a"}'
UNWRAP = APP + " | logfmt | unwrap duration(d)"
# Query, seconds; [(labels, value)], or the beginning of the error.
INSTANT = [
    ("count_over_time(%s[1m])" % APP, 120, [({"app": "a"}, 2)]),
    ("rate(%s[1m])" % APP, 120, [({"app": "a"}, 0.03333333333333333)]),
    ("count_over_time(%s[1m] offset 30s)" % APP, 150, [({"app": "a"}, 2)]),
    ("bytes_over_time(%s[2m])" % APP, 120, [({"app": "a"}, 43)]),
    ("sum_over_time(%s[2m])" % UNWRAP, 120,
     'pipeline error: \'SampleExtractionErr\' for series: \'{__error__="SampleExtractionErr", '
     '__error_details__="time: invalid duration \\"x\\"", app="a", code="200", d="x"}\'.'),
    ('sum_over_time(%s | __error__=""[2m])' % UNWRAP, 120, [({"app": "a", "code": "200"}, 0.2)]),
    ('avg_over_time(%s | __error__=""[2m]) by (app)' % UNWRAP, 120, [({"app": "a"}, 0.1)]),
    ("sum(count_over_time(%s | json [2m]))" % APP, 120, [({}, 3)]),
    ("sum by (code) (count_over_time(%s | json [2m]))" % APP, 120, "pipeline error: 'JSONParserErr'"),
    ("sum by (__error__) (count_over_time(%s | json [2m]))" % APP, 120, [({"__error__": "JSONParserErr"}, 3)]),
    ('absent_over_time({app="a", env!="x"}[10s])', 200, [({"app": "a"}, 1)]),
]

V1, V2, V3 = {"app": "a", "pod": "1"}, {"app": "a", "pod": "2"}, {"app": "b", "pod": "3"}
WB = {"app": "b", "team": "y"}
VECTORS = [
    ("sum by (app) (V)", [({"app": "a"}, 4), ({"app": "b"}, 5)]),
    ("avg(V)", [({}, 3)]), ("stddev(V)", [({}, 1.632993161855452)]), ("count(V > 2)", [({}, 2)]),
    ("topk(1, V) by (app)", [(V2, 3), (V3, 5)]),
    ("topk(2, V)", [(V2, 3), (V3, 5)]),
    ("sort_desc(V)", [(V3, 5), (V2, 3), (V1, 1)]),
    ("V > 2", [(V2, 3), (V3, 5)]), ("2 < V", [(V2, 3), (V3, 5)]), ("V > bool 2", [(V1, 0), (V2, 1), (V3, 1)]),
    ("2 - V", [(V1, 1), (V2, -1), (V3, -3)]), ("V / 0", [(V1, math.nan), (V2, math.nan), (V3, math.nan)]),
    ("2 ^ V", [(V1, 2), (V2, 8), (V3, 32)]),
    ("V / on(app) group_left(team) W", [(dict(V1, team="x"), 0.5), (dict(V2, team="x"), 1.5), (dict(V3, team="y"), 0.5)]),
    ("V / on(app) W", "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"),
    ("W * on(app) V", "found duplicate series on the right hand-side;many-to-many matching not allowed"),
    ("V and on(app) B", [(V3, 5)]), ("V unless on(app) B", [(V1, 1), (V2, 3)]),
    ("sum(E) or vector(0)", [({}, 0)]), ("V or vector(0)", [({}, 0), (V1, 1), (V2, 3), (V3, 5)]),
    ('label_replace(V, "p", "x$1", "pod", "(\\\\d)")', [(dict(V1, p="x1"), 1), (dict(V2, p="x2"), 3), (dict(V3, p="x3"), 5)]),
    ("W > V", []),
]
MACROS = {name: 'sum by (%s) (sum_over_time({set="%s"%s} | logfmt | unwrap v [1m]))' % how
          for name, how in {"V": ("app, pod", "V", ""), "W": ("app, team", "W", ""), "B": ("app, team", "W", ', app="b"'),
                            "E": ("app", "E", "")}.items()}


class Book:
    """A server and a tenant per example."""

    def __init__(self, server):
        self.server, self.tenants = server, 0

    def tenant(self, streams):
        self.tenants += 1
        tenant = "example-%d" % self.tenants
        if streams:
            answer = self.server.push(streams, tenant)
            assert answer.status == 204, answer.text
        return {"X-Scope-OrgID": tenant}

    def instant(self, query, at_ns, headers):
        return self.server.get("/loki/api/v1/query", {"query": query, "time": at_ns}, headers=headers)

    def logs(self, query, headers, start=BASE, end=BASE + 10 * S, **more):
        a = self.server.get("/loki/api/v1/query_range", dict(query=query, start=start, end=end, **more), headers=headers)
        assert a.status == 200, a.text
        return [(s["stream"], [(int(v[0]), v[1]) for v in s["values"]]) for s in a.json()["data"]["result"]]


def shown(labels):
    return {k: v for k, v in labels.items() if k not in ("app", "service_name", "detected_level")}


def same_number(text, value):
    return math.isnan(float(text)) if math.isnan(value) else float(text) == value


def lines(tap, book):
    for line, stages, labels, *text in LINES:
        headers = book.tenant([({"app": "api"}, [(BASE + S, line)])])
        result = book.logs('{app="api"} ' + stages, headers)
        got = [(shown(stream), values) for stream, values in result]
        want = [] if labels is DROPPED else [(labels, [(BASE + S, (text or [line])[0])])]
        tap.equal(got, want, "%s over %s" % (stages, line[:40]))


def categories(tap, book):
    headers = book.tenant([({"app": "api", "level": "info"}, [(BASE + S, J)])])
    (stream, _), = book.logs('{app="api"} | json', headers)
    tap.equal((stream["level"], stream["level_extracted"]), ("info", "error"), "a parsed label beside a stream label")
    headers = book.tenant([({"app": "api"}, [(BASE + S, '{"trace":"t2"}', {"trace": "t1"})])])
    (stream, _), = book.logs('{app="api"} | json', headers)
    tap.equal((stream["trace"], stream["trace_extracted"]), ("t1", "t2"), "a parsed label beside structured metadata")
    headers = book.tenant([({"app": "api"}, [(BASE + S, "hi", {"app": "other"})])])
    (stream, _), = book.logs('{app="api"}', headers)
    tap.equal(stream["app_extracted"], "other", "structured metadata beside a stream label")
    headers = book.tenant([({"app": "api"}, [(BASE + S, "a=1 b=2")])])
    (stream, _), = book.logs('{app="api"} | logfmt | keep a', headers)
    tap.equal(stream, {"a": "1"}, "keep removes stream labels too")
    headers = book.tenant([({"app": "a"}, [(BASE + S, "x", {"trace": "t1"}), (BASE + 2 * S, "x", {"trace": "t2"})])])
    series = book.instant('count_over_time({app="a"}[1m])', BASE + 10 * S, headers).json()["data"]["result"]
    tap.equal([s["metric"]["trace"] for s in series], ["t1", "t2"], "structured metadata makes series")


def parsing(tap, book):
    headers = book.tenant([])
    for query, error in PARSED:
        a = book.server.get("/loki/api/v1/query_range", {"query": query, "start": BASE, "end": BASE + S}, headers=headers)
        tap.equal((a.status, a.text if error else None), (400 if error else 200, error), query)
    for query, form in READ_AS:
        tap.equal(book.server.get("/loki/api/v1/format_query", {"query": query}).json()["data"], form, query)
    for query, value in SCALARS:
        data = book.instant(query, BASE, headers).json()["data"]
        tap.ok(data["resultType"] == "scalar" and same_number(data["result"][1], value), query, data)


def check_vector(tap, name, answer, want):
    if isinstance(want, str):
        text = answer.text.replace(', detected_level="unknown", service_name="a"', "")
        tap.ok(answer.status == 400 and text.startswith(want), name, text)
        return
    got = [(s["metric"], s["value"][1]) for s in answer.json()["data"]["result"]] if answer.status == 200 else answer.text
    good = len(got) == len(want) and all(shown_metric(m) == shown_metric(labels) and same_number(v, value)
                                         for (m, v), (labels, value) in zip(got, want))
    tap.ok(good, name, got)


def shown_metric(labels):
    return {k: v for k, v in labels.items() if k not in ("service_name", "detected_level")}


def metrics(tap, book):
    data = [(BASE + 60 * S, "d=150ms code=200"), (BASE + 90 * S, "d=50ms code=200"), (BASE + 120 * S, "d=x code=200")]
    headers = book.tenant([({"app": "a"}, data)])
    for query, seconds, want in INSTANT:
        check_vector(tap, query, book.instant(query, BASE + seconds * S, headers), want)
    a = book.server.get("/loki/api/v1/query_range", {"query": "count_over_time(%s[1m])" % APP, "start": BASE + 60 * S,
                                                     "end": BASE + 180 * S, "step": 60}, headers=headers)
    base = BASE // S
    tap.equal(a.json()["data"]["result"][0]["values"], [[base + 60, "1"], [base + 120, "2"]], "no point behind the last window")
    values = book.tenant([({"app": "v"}, [(BASE + i * S, "v=%d" % v) for i, v in enumerate((1, 2, 3, 4), 1)])])
    for phi, want in ((0.5, 2.5), (0.9, 3.7), (1.5, math.inf)):
        a = book.instant('quantile_over_time(%s, {app="v"} | logfmt | unwrap v [1m])' % phi, BASE + 10 * S, values)
        tap.ok(abs(float(a.json()["data"]["result"][0]["value"][1]) - want) < 1e-12 or want == math.inf, "quantile %s" % phi, a.text)
    values = book.tenant([({"app": "v"}, [(BASE + i * 10 * S, "v=%d" % v) for i, v in enumerate((100, 110, 5, 15), 1)])])
    check = book.instant('rate_counter({app="v"} | logfmt | unwrap v [60s])', BASE + 60 * S, values).json()["data"]["result"]
    tap.equal(round(float(check[0]["value"][1]), 7), 0.4166675, "rate_counter over a reset")
    values = book.tenant([({"app": "v"}, [(BASE + i * S, "v=%d" % v) for i, v in enumerate((2, 4, 4, 4, 5, 5, 7, 9), 1)])])
    check_vector(tap, "stddev_over_time", book.instant('stddev_over_time({app="v"} | logfmt | unwrap v [1m])', BASE + 10 * S, values),
                 [({"app": "v"}, 2)])


def vectors(tap, book):
    streams = [(dict(labels, set=name), [(BASE + S, "v=%d" % value)])
               for name, labels, value in (("V", V1, 1), ("V", V2, 3), ("V", V3, 5), ("W", {"app": "a", "team": "x"}, 2), ("W", WB, 10))]
    headers = book.tenant(streams)
    for query, want in VECTORS:
        text = query
        for name, macro in MACROS.items():
            text = re.sub(r"(^|[ (])%s(?=[ ),]|$)" % name, lambda m: m[1] + macro, text)
        check_vector(tap, query, book.instant(text, BASE + 10 * S, headers), want)


def assembly(tap, book):
    a, b = {"app": "a"}, {"app": "b"}
    headers = book.tenant([(a, [(BASE + S, "a1"), (BASE + 3 * S, "a3")]), (b, [(BASE + 2 * S, "b2"), (BASE + 3 * S, "b3")])])

    def found(query='{app=~"a|b"}', **more):
        return {s["app"]: [line for _, line in values] for s, values in book.logs(query, headers, end=BASE + more.pop("end", 4) * S,
                                                                               start=BASE + more.pop("start", 0) * S, **more)}
    tap.equal(found(limit=3), {"a": ["a3"], "b": ["b3", "b2"]}, "backward, limit 3")
    tap.equal(found(limit=3, direction="forward"), {"a": ["a1", "a3"], "b": ["b2"]}, "forward, limit 3")
    tap.equal(found(start=1, end=3, direction="forward"), {"a": ["a1"], "b": ["b2"]}, "end is exclusive")
    tap.equal(found(interval=2, direction="forward"), {"a": ["a1", "a3"]}, "interval 2s")
    tap.equal(found('{app=~"a|b"} | line_format "{{.app}}"', direction="forward"), {"a": ["a", "a"], "b": ["b", "b"]}, "line_format")
    twice = book.tenant([(a, [(BASE + S, "a1"), (BASE + S, "a1"), (BASE + S, "a1", {"n": "2"})])])
    tap.equal(sorted(len(values) for _, values in book.logs('{app="a"}', twice)), [1, 1], "equal entries are one, metadata tells apart")


def main():
    tap = Tap()
    with Server(["--retention", "0"]) as server:
        book = Book(server)
        for part in (lines, categories, parsing, metrics, vectors, assembly):
            part(tap, book)
    tap.done()


main()
