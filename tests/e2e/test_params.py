#!/usr/bin/env python3
"""Every parameter of every endpoint: missing, empty, of the wrong type, absurd, repeated; unknown routes and methods. The tables are
those of loki-http.md 1.1, 3.2, 4. Speaks TAP."""
import json
import os
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import Server, Tap  # noqa: E402

S = 10**9
NOW = time.time_ns()
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
API = "/loki/api/v1/"
SELECTOR, METRIC = '{app="x"}', 'rate({app="x"}[1m])'
RANGE = {"start": str(NOW - 1000 * S), "end": str(NOW)}
LOGS = dict(RANGE, limit="10", direction="backward")

# Endpoint, parameters that are good.
ENDPOINTS = {
    "query_range": (API + "query_range", dict(LOGS, query=SELECTOR, step="15", interval="1s")),
    "query_range of a metric": (API + "query_range", dict(LOGS, query=METRIC, step="15", interval="1s")),
    "query": (API + "query", {"query": METRIC, "time": str(NOW), "limit": "10", "direction": "backward"}),
    "labels": (API + "labels", dict(RANGE, query=SELECTOR)),
    "label": (API + "label", dict(RANGE, query=SELECTOR)),
    "label values": (API + "label/app/values", dict(RANGE, query=SELECTOR)),
    "series": (API + "series", dict(RANGE, **{"match[]": SELECTOR})),
    "index/stats": (API + "index/stats", dict(RANGE, query=SELECTOR)),
    "index/shards": (API + "index/shards", dict(RANGE, query=SELECTOR, targetBytesPerShard="600MB")),
    "index/volume": (API + "index/volume", dict(RANGE, query=SELECTOR, limit="10", targetLabels="app", aggregateBy="series")),
    "index/volume_range": (API + "index/volume_range", dict(RANGE, query=SELECTOR, limit="10", targetLabels="app", aggregateBy="series", step="60")),
    "patterns": (API + "patterns", dict(RANGE, query=SELECTOR, step="10s")),
    "detected_labels": (API + "detected_labels", dict(RANGE, query=SELECTOR)),
    "detected_fields": (API + "detected_fields", dict(RANGE, query=SELECTOR, step="10", line_limit="10", limit="10")),
    "detected_field values": (API + "detected_field/a/values", dict(RANGE, query=SELECTOR, step="10", line_limit="10", limit="10")),
    "format_query": (API + "format_query", {"query": SELECTOR}),
    "legacy query": ("/api/prom/query", dict(LOGS, query=SELECTOR, regexp="a")),
    "legacy labels": ("/api/prom/label", RANGE),
    "legacy values": ("/api/prom/label/app/values", RANGE),
    "legacy series": ("/api/prom/series", dict(RANGE, match=SELECTOR)),
}
RANGED = [name for name in ENDPOINTS if name not in ("query", "format_query")]
STEPPED = ["query_range", "query_range of a metric", "index/volume_range", "patterns", "detected_fields", "detected_field values"]
LABELS = ["labels", "label", "label values", "legacy labels", "legacy values"]
SERIES = ["series", "legacy series"]
SELECTORS = ["labels", "label", "label values", "index/stats", "index/shards", "index/volume", "index/volume_range", "patterns", "detected_labels"]
OPTIONAL = ["labels", "label", "label values", "detected_labels"]
ANY = ["index/volume", "index/volume_range"]  # where {} stands for every stream
FIELDS = ["detected_fields", "detected_field values"]
LOG_LIMITS = ["query_range", "legacy query"]
QUERIES = ["query_range", "query_range of a metric", "query", "legacy query"] + FIELDS
NOT_EMPTY = "parse error : queries require at least one regexp or equality matcher that does not have an empty-compatible value"
END = "parse error : syntax error: unexpected $end"
LATE = "this data is no longer available, it is past now - max_query_lookback (0s)"
NO_STEP = "zero or negative query resolution step widths are not accepted. Try a positive integer"
MANY = "max entries limit per query exceeded, limit > max_entries_limit_per_query (%s > 5000)"
ABSENT = object()

# Endpoints, parameter, value, what is answered: 200, or the beginning of a 400's text.
CASES = [
    # times
    (RANGED, "start", "abc", "could not parse 'start' parameter: strconv.ParseInt: parsing \"abc\": invalid syntax"),
    (RANGED, "end", "abc", "could not parse 'end' parameter: strconv.ParseInt: parsing \"abc\": invalid syntax"),
    (RANGED, "start", "9" * 30, "could not parse 'start' parameter: strconv.ParseInt: parsing \"%s\": value out of range" % ("9" * 30)),
    (RANGED, "end", "9" * 30, "could not parse 'end' parameter: strconv.ParseInt: parsing \"%s\": value out of range" % ("9" * 30)),
    (RANGED, "start", "2026-11-01", "could not parse 'start' parameter: "),
    (RANGED, "start", "2026-13-01T00:00:00Z", "could not parse 'start' parameter: "),
    (RANGED, "end", "2026-11-01T00:00:00", "could not parse 'end' parameter: "),
    (RANGED, "start", "1.5.5", "could not parse 'start' parameter: "),
    (RANGED, "start", "1e9", "could not parse 'start' parameter: "),
    (RANGED, "start", "NaN", "could not parse 'start' parameter: "),
    (RANGED, "start", "\0", "could not parse 'start' parameter: "),
    (RANGED, "start", "é", "could not parse 'start' parameter: "),
    (RANGED, "start", "now-1h", "could not parse 'start' parameter: "),
    (RANGED, "start", "", 200), (RANGED, "start", ABSENT, 200), (RANGED, "end", "", 200), (RANGED, "end", ABSENT, 200),
    (RANGED, "start", RANGE["end"], 200),
    (RANGED, "start", "%d" % (NOW // S - 600), 200), (RANGED, "start", "%d.25" % (NOW // S - 600), 200),
    (RANGED, "end", str(NOW + 300 * S), 200),
    (["query"], "time", "abc", 'strconv.ParseInt: parsing "abc": invalid syntax'), (["query"], "time", "9" * 30, "strconv.ParseInt: parsing"),
    (["query"], "time", "", 200), (["query"], "time", ABSENT, 200), (["query"], "time", "4000000000", 200), (["query"], "time", "-1", 200),
    ([n for n in RANGED if n not in LABELS + SERIES + ["patterns"]], "end", "1", "end timestamp must not be before or equal to start time"),
    (LABELS + SERIES, "end", "1", LATE), (["patterns"], "end", "1", 200),
    # steps
    (STEPPED, "step", "0", NO_STEP), (STEPPED, "step", "-1", NO_STEP), (STEPPED, "step", "-1s", 'cannot parse "-1s" to a valid duration'),
    (STEPPED, "step", "1.5m", 'cannot parse "1.5m" to a valid duration'), (STEPPED, "step", "abc", 'cannot parse "abc" to a valid duration'),
    (STEPPED, "step", "NaN", 'cannot parse "NaN" to a valid duration'), (STEPPED, "step", "9" * 30, "cannot parse"),
    (STEPPED, "step", "1e400", "cannot parse"), (STEPPED, "step", "0.001", "exceeded maximum resolution of 11,000 points per time series."),
    (STEPPED, "step", "", 200), (STEPPED, "step", ABSENT, 200), (STEPPED, "step", "1h", 200), (STEPPED, "step", "2.5", 200),
    (STEPPED, "step", "1m0s", 200), (STEPPED, "step", "10y", 200),
    (["query_range"], "interval", "-1", "interval must be >= 0"), (["query_range"], "interval", "x", 'cannot parse "x" to a valid duration'),
    (["query_range"], "interval", "", 200), (["query_range"], "interval", "0", 200), (["query_range"], "interval", "10y", 200),
    # limits and direction
    (LOG_LIMITS + ["query"], "limit", "abc", 'strconv.Atoi: parsing "abc": invalid syntax'), (LOG_LIMITS + ["query"], "limit", "0", "limit must be a positive value"),
    (LOG_LIMITS + ["query"], "limit", "-5", "limit must be a positive value"), (LOG_LIMITS + ["query"], "limit", "1.5", "strconv.Atoi"),
    (LOG_LIMITS + ["query"], "limit", "9" * 30, "strconv.Atoi"), (LOG_LIMITS, "limit", "5001", MANY % 5001), (LOG_LIMITS, "limit", "6000000000", MANY[:40]),
    (LOG_LIMITS, "limit", "5000", 200), (LOG_LIMITS + ["query"], "limit", "", 200), (LOG_LIMITS, "limit", ABSENT, 200),
    (["query", "query_range of a metric"], "limit", "6000", 200),
    (FIELDS, "limit", "0", "limit must be a positive value"), (FIELDS, "limit", "-1", "limit must be a positive value"), (FIELDS, "limit", "x", "strconv"),
    (FIELDS, "line_limit", "0", "limit must be a positive value"), (FIELDS, "line_limit", "x", "strconv"), (FIELDS, "line_limit", "5001", MANY % 5001),
    (FIELDS, "limit", "", 200), (FIELDS, "limit", ABSENT, 200), (FIELDS, "limit", "4000000000", 200), (FIELDS, "line_limit", "5000", 200),
    (ANY, "limit", "-1", "limit must be a positive value"), (ANY, "limit", "x", "strconv"), (ANY, "limit", "0", 200), (ANY, "limit", "", 200),
    (ANY, "limit", "4000000000", 200),
    (LOG_LIMITS + ["query"], "direction", "sideways", "invalid direction 'sideways'"), (LOG_LIMITS, "direction", "é", "invalid direction 'é'"),
    (LOG_LIMITS + ["query"], "direction", "FORWARD", 200), (LOG_LIMITS, "direction", "BackWard", 200), (LOG_LIMITS, "direction", "", 200),
    # volume
    (ANY, "aggregateBy", "x", "invalid aggregation option"), (ANY, "aggregateBy", "Series", "invalid aggregation option"), (ANY, "aggregateBy", "", 200),
    (ANY, "aggregateBy", "labels", 200), (ANY, "targetLabels", "", 200), (ANY, "targetLabels", ",,", 200), (ANY, "targetLabels", "no-name,é,\0", 200),
    (ANY, "targetLabels", "app," * 20000, 200), (ANY, "targetLabels", ABSENT, 200),
    # queries
    (QUERIES, "query", ABSENT, END), (QUERIES, "query", "", END), (QUERIES, "query", "{", "parse error at line 1, col 2: syntax error: unexpected $end"),
    (QUERIES, "query", "{}", NOT_EMPTY), (QUERIES, "query", '{a=""}', NOT_EMPTY), (QUERIES, "query", '{a!="x"}', NOT_EMPTY), (QUERIES, "query", '{a=~".*"}', NOT_EMPTY),
    (QUERIES, "query", '{a=~"("}', "parse error"), (QUERIES, "query", '{a="b"} | json x="a-b"', "parse error : stage '| json x=\"a-b\"' : cannot parse expression [a-b]"), (QUERIES, "query", "\0", "parse error : invalid character NUL"),
    (QUERIES, "query", "{a='b'}", "parse error"), (QUERIES, "query", '{a="' + "b" * 131072 + '"}', "parse error : input size too long (131078 > 131072)"),
    (QUERIES, "query", "(" * 5000, "parse error : "),
    (["query"], "query", SELECTOR, "log queries are not supported as an instant query type, please change your query to a range query type"),
    (["legacy query"], "query", METRIC, "legacy endpoints only support streams result type"), (["legacy query"], "query", "1", "legacy endpoints only"),
    (["legacy query"], "regexp", "(", "parse error"), (["legacy query"], "regexp", "", 200), (["legacy query"], "regexp", ABSENT, 200), (["legacy query"], "regexp", '"`\\\\', 200),
    (FIELDS, "query", METRIC, "only log selector is supported"), (FIELDS, "query", "1", "only log selector is supported"), (FIELDS, "query", SELECTOR + " | json", 200),
    (["query", "query_range of a metric"], "query", "vector(1)", 200), (["query", "query_range of a metric"], "query", "1 + 1", 200),
    (["query", "query_range of a metric"], "query", "1e400", "parse error : "),
    ([n for n in SELECTORS if n not in OPTIONAL], "query", ABSENT, END), ([n for n in SELECTORS if n not in OPTIONAL], "query", "", END),
    (OPTIONAL, "query", ABSENT, 200), (OPTIONAL, "query", "", 200),
    (SELECTORS, "query", SELECTOR + ' |= "x"', "only label matchers are supported"), (SELECTORS, "query", METRIC, "only label matchers are supported"),
    (SELECTORS, "query", "1", "only label matchers are supported"), (SELECTORS, "query", "{app=", "parse error at line 1, col "), (SELECTORS, "query", "x", "parse error"),
    ([n for n in SELECTORS if n not in ANY], "query", "{}", NOT_EMPTY), ([n for n in SELECTORS if n not in ANY], "query", '{a=~".*"}', NOT_EMPTY), (ANY, "query", "{}", 200),
    (["series"], "match[]", ABSENT, 200), (["series"], "match[]", "", 200), (["series"], "match[]", "{}", 200), (["legacy series"], "match", ABSENT, 200),
    (["series"], "match[]", SELECTOR + " | json", "only label matchers are supported"), (["series"], "match[]", "{", "parse error"),
    (["legacy series"], "match", "x", "parse error"),
    (["series"], "match[]", ['{app="x"}', "{}"], "0 matchers in group: {}"), (["series"], "match[]", ['{app="x"}', '{app="y"}'], 200), (["series"], "match[]", ['{app="x"}', "{"], "parse error"),
]
# `since` counts where `start` is absent alone.
SINCE = [("abc", "could not parse 'since' parameter: not a valid duration string: \"abc\""), ("-1h", "could not parse 'since' parameter: "), ("1.5h", "could not parse 'since' parameter: "),
         ("", 200), ("90s", 200), ("1h30m", 200), ("9" * 30 + "s", "could not parse 'since' parameter: "), ("\0", "could not parse 'since' parameter: ")]


def fits(answer, want):
    """Status, form and text by loki-http.md 3.1."""
    if want == 200:
        return answer.status == 200 and answer.json() is not None
    return (answer.status == 400 and answer.text.startswith(want) and answer.headers.get("content-type") == "text/plain; charset=utf-8" and
            answer.headers.get("x-content-type-options") == "nosniff" and not answer.text.endswith("\n"))


def send(server, name, changes, method):
    path, params = ENDPOINTS[name]
    params = {k: v for k, v in dict(params, **changes).items() if v is not ABSENT}
    text = urllib.parse.urlencode(params, doseq=True)
    return server.post(path, text, FORM) if method == "POST" else server.get(path + "?" + text)


def parameters(tap, server):
    for name in ENDPOINTS:
        tap.ok(all(fits(send(server, name, {}, m), 200) for m in ("GET", "POST")), "%s: answers" % name)
    for names, param, value, want in CASES:
        for method in ("GET", "POST"):
            wrong = [(n, a) for n in names for a in [send(server, n, {param: value}, method)] if not fits(a, want)]
            what = "absent" if value is ABSENT else repr(value)[:40]
            tap.ok(not wrong, "%s by %s: %s on %d endpoints: %s" % (param, method, what, len(names), want), wrong[:3])
    for value, want in SINCE:
        wrong = [(n, a) for n in RANGED for a in [send(server, n, {"start": ABSENT, "since": value}, "GET")] if not fits(a, want)]
        tap.ok(not wrong, "since: %r on %d endpoints: %s" % (value[:40], len(RANGED), want), wrong[:3])
        wrong = [(n, a) for n in RANGED for a in [send(server, n, {"since": value}, "GET")] if want == 200 and not fits(a, 200)]
        tap.ok(not wrong, "since beside start", wrong[:3])


def formatting(tap, server):
    for value, status in (("{", 400), ("", 400), (SELECTOR, 200), ("\0", 400), ("(" * 5000, 400)):
        answer = server.post(API + "format_query", urllib.parse.urlencode({"query": value}), FORM)
        tap.ok(answer.status == status and answer.json()["status"] == ("success" if status == 200 else "invalid-query"), "format_query: %r" % value[:20], repr(answer))
    for text, status in (("debug", 200), ("info", 200), ("zz", 400), ("", 400), ("é", 400), ("x" * 70000, 400)):
        answer = server.post("/log_level", urllib.parse.urlencode({"log_level": text}), FORM)
        tap.ok(answer.status == status and answer.json()["status"] == ("success" if status == 200 else "failed"), "log_level: %r" % text[:20], repr(answer))
    tap.equal(server.post("/log_level?log_level=info").status, 200, "log_level in the URL")


def repeated(tap, server):
    """The first of several counts, the form before the URL, and an empty one is absent."""
    good, bad = urllib.parse.urlencode({"query": SELECTOR}), "query=%7B"
    cases = [
        ("twice in the URL, the first good", "GET", "query_range?%s&%s" % (good, bad), "", 200), ("twice in the URL, the first bad", "GET", "query_range?%s&%s" % (bad, good), "", 400),
        ("form before URL", "POST", "query_range?" + bad, good, 200), ("URL behind form", "POST", "query_range?" + good, bad, 400),
        ("an empty form", "POST", "query_range?" + good, "", 200), ("URL and form together", "POST", "query_range?limit=5000", good, 200),
        ("limit twice", "GET", "query_range?%s&limit=5&limit=x" % good, "", 200), ("limit twice, bad first", "GET", "query_range?%s&limit=x&limit=5" % good, "", 400),
        ("unknown names", "GET", "query_range?%s&shards=0_of_16&shards=1_of_16&nonsense=%%00&=&&a" % good, "", 200),
        ("no value at all", "GET", "query_range?query", "", 400), ("a broken escape", "GET", "query_range?query=%zz", "", 400),
        ("a cut escape", "GET", "query_range?query=%4", "", 400), ("a semicolon", "GET", "query_range?%s;limit=5" % good, "", 400),
        ("a broken escape in a form", "POST", "query_range", "query=%zz", 400), ("a name that is escaped", "GET", "query_range?que%%72y=%s" % urllib.parse.quote(SELECTOR), "", 200),
        ("plus signs are blanks", "GET", "query_range?query=%7Bapp=%22x%22%7D+|=+%22a%22", "", 200), ("bytes that are no UTF-8", "GET", "query_range?query=%ff%fe", "", 400),
        ("ten thousand parameters", "GET", "query_range?%s%s" % (good, "&x=y" * 10000), "", 200),
    ]
    for name, method, path, body, status in cases:
        answer = server.request(method, API + path, body or None, FORM if method == "POST" else {})
        tap.ok(answer.status == status, "%s: %d" % (name, status), repr(answer))
    answer = server.post(API + "query_range", json.dumps({"query": SELECTOR}), {"Content-Type": "application/json"})
    tap.equal((answer.status, answer.text), (400, END), "a body of another media type is not looked at")
    answer = server.post(API + "query_range", good, {"Content-Type": "Application/X-WWW-Form-Urlencoded; charset=utf-8"})
    tap.equal(answer.status, 200, "the media type in any case, with parameters")


GET, POST, BOTH = "GET", "POST", "GET POST"
ROUTES = {
    "/loki/api/v1/push": POST, "/api/prom/push": POST, "/otlp/v1/logs": POST, "/v1/logs": POST, "/flush": POST, "/loki/api/v1/query_range": BOTH, "/loki/api/v1/query": BOTH,
    "/api/prom/query": BOTH, "/loki/api/v1/labels": BOTH, "/loki/api/v1/label": BOTH, "/api/prom/label": BOTH, "/loki/api/v1/label/a/values": BOTH,
    "/api/prom/label/a/values": BOTH, "/loki/api/v1/series": BOTH, "/api/prom/series": BOTH, "/loki/api/v1/index/stats": BOTH, "/loki/api/v1/index/shards": BOTH, "/loki/api/v1/index/volume": BOTH,
    "/loki/api/v1/index/volume_range": BOTH, "/loki/api/v1/patterns": BOTH, "/loki/api/v1/detected_labels": BOTH, "/loki/api/v1/detected_fields": BOTH,
    "/loki/api/v1/detected_field/a/values": BOTH, "/loki/api/v1/tail": GET, "/api/prom/tail": GET, "/loki/api/v1/format_query": BOTH, "/prometheus/api/v1/rules": GET,
    "/prometheus/api/v1/alerts": GET, "/loki/api/v1/drilldown-limits": GET, "/config/tenant/v1/limits": GET, "/loki/api/v1/status/buildinfo": GET, "/ready": GET,
    "/metrics": GET, "/config": GET, "/services": GET, "/log_level": BOTH,
}
UNKNOWN = ["/", "/loki", "/loki/api/v1", "/loki/api/v1/", "/loki/api/v2alpha/tail", "/loki/api/v1/labels/", "/loki/api/v1/label/a/values/", "/loki/api/v1/label/values",
           "/loki/api/v1/label/a%2Fb/values", "/loki/api/v1/label/a/b/values", "/loki/api/v1/label/a/value", "/LOKI/api/v1/labels", "/loki/api/v1/rules",
           "/api/prom/rules", "/api/prom/rules/test/test", "/ring", "/ingester/flush", "/memberlist", "/api/prom", "/loki/api/v1/detected_field/values", "/ready/", "/%72eady/x",
           "/\xff"]
METHODS = ("GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "NONSENSE", "get")


def routes(tap, server):
    for path, methods in ROUTES.items():
        wrong = []
        for method in METHODS:
            answer = server.request(method, path)
            allowed = method in methods.split()
            if allowed == (answer.status in (404, 405)) or (not allowed and answer.body != b""):
                wrong.append((method, answer))
        tap.ok(not wrong, "%s takes %s" % (path, methods), wrong)
    for path in UNKNOWN:
        answers = [server.request(m, path.encode("latin-1").decode("latin-1") if path.isascii() else urllib.parse.quote(path, safe="/%", encoding="latin-1")) for m in ("GET", "POST", "DELETE")]
        tap.ok(all(a.status == 404 and a.text == "404 page not found\n" and a.headers["content-type"] == "text/plain; charset=utf-8" for a in answers), "%r is unknown" % path, answers)
    for path, to in (("/loki//api/v1/labels", "/loki/api/v1/labels"), ("//ready", "/ready"), ("/loki/api/v1/../v1/labels?a=b", "/loki/api/v1/labels?a=b")):
        answer = server.get(path)
        tap.equal((answer.status, answer.headers.get("location")), (301, to), path + " moved")
    for name in ("%61pp", "a%20b", "%C3%A9", "a+b"):
        tap.equal(server.get("/loki/api/v1/label/%s/values" % name).status, 200, "a name may be escaped: " + name)
    tap.equal(server.get("/loki/api/v1/label/%61pp/values").json()["data"], ["x", "y"], "and is decoded once")
    tap.ok("data" not in server.get("/loki/api/v1/label/%2561pp/values").json(), "not twice")


def main():
    tap = Tap()
    with Server(["--retention", "0"]) as server:
        server.push([({"app": "x"}, [(NOW - S * i, json.dumps({"a": i})) for i in range(20)]), ({"app": "y"}, [(NOW, "y")])])
        for test in (parameters, formatting, repeated, routes):
            test(tap, server)
        tap.equal(server.get("/ready").status, 200, "the server lives on")
    tap.done()


if __name__ == "__main__":
    main()
