#!/usr/bin/python3
"""What Logs Drilldown and Grafana's query builder ask: statistics, volume, detected labels and fields; and the small
endpoints. Counts are checked against what was pushed."""
import json
import time

from lib import Server, Tap

S = 10**9
HOUR = 3600 * S


def fields_of(answer):
    return {f["label"]: f for f in answer.json().get("fields", [])}


def push(server, base):
    lines = {"cart": [], "edge": []}
    for i in range(120):
        lines["cart"].append((base + i * 30 * S, json.dumps({"n": i, "ok": i % 2 == 0, "took": "%dms" % i, "user": {"name": "u%d" % (i % 5)},
                                                             "size": "%dKB" % i, "app": "inner"}), {"trace_id": "t%d" % i}))
        lines["edge"].append((base + i * 30 * S, "level=warn dur=1.5 msg=\"number %d\"" % i))
    server.push([({"app": "cart", "env": "prod"}, lines["cart"]), ({"app": "edge", "env": "prod", "shard": "1"}, lines["edge"][:60]),
                 ({"app": "edge", "env": "dev", "shard": "0"}, lines["edge"][60:])])
    return {k: sum(len(e[1]) for e in v) for k, v in lines.items()}


def stats(tap, server, base, sizes, what):
    def ask(query, start=base, end=base + HOUR):
        return server.get("/loki/api/v1/index/stats", {"query": query, "start": start, "end": end}).json()
    a = ask('{app="cart"}')
    tap.equal((a["streams"], a["entries"], a["bytes"]), (1, 120, sizes["cart"]), "stats of one stream, " + what)
    tap.equal(ask('{app=~".+"}')["entries"], 240, "stats of all, " + what)
    tap.equal(ask('{app="nosuch"}'), {"streams": 0, "chunks": 0, "bytes": 0, "entries": 0}, "stats of nothing, " + what)
    shards = server.get("/loki/api/v1/index/shards", {"query": '{app="cart"}', "start": base, "end": base + HOUR}).json()
    tap.equal((len(shards["shards"]), shards["shards"][0]["stats"]), (1, a), "one shard with all of it, " + what)
    half = ask('{app="cart"}', end=base + HOUR // 2)["entries"]
    tap.ok(55 <= half <= 65, "half of the time is about half of the entries, " + what, half)


def volume(tap, server, base, sizes):
    def ask(path="volume", **params):
        params = dict({"start": base, "end": base + HOUR}, **params)
        return server.get("/loki/api/v1/index/" + path, params)

    def totals(answer):
        return {json.dumps(s["metric"]): int(s["value"][1]) for s in answer.json()["data"]["result"]}
    a = ask(query='{app=~".+"}')
    tap.equal((a.json()["data"]["resultType"], totals(a)), ("vector", {'{"app": "cart"}': sizes["cart"], '{"app": "edge"}': sizes["edge"]}),
              "volume by the names in the selector")
    tap.equal(a.json()["data"]["stats"], {}, "its statistics are an object")
    values = [int(s["value"][1]) for s in a.json()["data"]["result"]]
    tap.equal(values, sorted(values, reverse=True), "the largest first")
    tap.equal(len(totals(ask(query="{}"))), 3, "without a selector: every stream")
    tap.equal(totals(ask(query="{}", targetLabels="shard")), {'{"shard": "1"}': totals(ask(query='{shard="1"}'))['{"shard": "1"}'],
                                                            '{"shard": "0"}': totals(ask(query='{shard="0"}'))['{"shard": "0"}']},
              "target labels choose streams and groups")
    tap.equal(totals(ask(query="{}", targetLabels="env", aggregateBy="labels")), {'{"env": ""}': sum(sizes.values())}, "by label names")
    tap.equal(sorted(totals(ask(query='{app="edge"}', aggregateBy="labels"))), ['{"app": ""}', '{"env": ""}', '{"service_name": ""}',
                                                                              '{"shard": ""}'], "every name")
    tap.equal(len(totals(ask(query="{}", limit=1))), 1, "limit")
    tap.equal(len(totals(ask(query="{}", limit=0))), 3, "a limit of 0 is the default")
    steps = ask("volume_range", query='{app="cart"}', step="900").json()["data"]
    points = steps["result"][0]["values"]
    tap.equal((steps["resultType"], sum(int(v) for _, v in points) in range(sizes["cart"] - 8, sizes["cart"] + 1)), ("matrix", True),
              "volume in steps adds up")
    ends = [((base + HOUR) // S if t == (base + HOUR) // S else round(t + 0.001) % 900) for t, _ in points]
    tap.ok(all(e in (0, (base + HOUR) // S) for e in ends), "samples stand at the ends of their steps", points)
    for name, params, text in (("limit", {"limit": "-1"}, "limit must be a positive value"), ("limit", {"limit": "x"}, "invalid syntax"),
                               ("aggregation", {"aggregateBy": "x"}, "invalid aggregation option"), ("query", {"query": "{"}, "parse error"),
                               ("start", {"start": "x"}, "x")):
        a = ask(**dict({"query": '{app="cart"}'}, **params))
        tap.ok(a.status == 400 and text in a.text, "volume: bad %s" % name, a.text)


def detected(tap, server, base):
    span = {"start": base, "end": base + HOUR}
    labels = {e["label"]: e["cardinality"] for e in server.get("/loki/api/v1/detected_labels", span).json()["detectedLabels"]}
    tap.equal(labels, {"app": 2, "env": 2, "service_name": 2, "shard": 2}, "detected labels")
    tap.equal(server.get("/loki/api/v1/detected_labels", dict(span, query='{app="nosuch"}')).json(), {}, "none: an empty object")
    f = fields_of(server.get("/loki/api/v1/detected_fields", dict(span, query='{app="cart"}')))
    tap.equal({k: (v["type"], v["parsers"], v.get("jsonPath")) for k, v in f.items()},
              {"n": ("int", ["json"], ["n"]), "ok": ("boolean", ["json"], ["ok"]), "took": ("duration", ["json"], ["took"]),
               "user_name": ("string", ["json"], ["user", "name"]), "size": ("bytes", ["json"], ["size"]),
               "app_extracted": ("string", ["json"], ["app"]), "trace_id": ("string", None, None),
               "detected_level": ("string", None, None)}, "fields of JSON lines")
    tap.equal(f["n"]["cardinality"], 100, "a hundred lines are sampled")
    f = fields_of(server.get("/loki/api/v1/detected_fields", dict(span, query='{app="edge"}', line_limit=7)))
    tap.equal((f["dur"]["type"], f["msg"]["parsers"], f["msg"]["cardinality"]), ("float", ["logfmt"], 7), "fields of logfmt lines")
    f = fields_of(server.get("/loki/api/v1/detected_fields", dict(span, query='{app="cart"} | json other="user.name"')))
    tap.equal((f["other"]["parsers"], f["other"]["cardinality"]), (["json"], 5), "what the query extracts is a field too")
    a = server.get("/loki/api/v1/detected_fields", dict(span, query='{app="cart"}', limit=2)).json()
    tap.equal((len(a["fields"]), a["limit"]), (2, 2), "no more than asked for")
    a = server.get("/loki/api/v1/detected_field/user_name/values", dict(span, query='{app="cart"}')).json()
    tap.equal((sorted(a["values"]), a["limit"]), (["u0", "u1", "u2", "u3", "u4"], 1000), "values of a field")
    tap.equal(server.get("/loki/api/v1/detected_field/nosuch/values", dict(span, query='{app="cart"}')).json(), {}, "of none")
    for params, text in (({"query": ""}, "parse error"), ({"query": "rate({a=\"b\"}[1m])"}, "log selector"), ({"line_limit": "5001"}, "max entries limit"),
                         ({"limit": "0"}, "limit must be a positive value"), ({"step": "x"}, "x")):
        a = server.get("/loki/api/v1/detected_fields", dict(span, **dict({"query": '{app="cart"}'}, **params)))
        tap.ok(a.status == 400 and text in a.text, "detected_fields: %s" % params, a.text)


def patterns(tap, server, base):
    lines = []
    for i in range(300):
        lines.append((base + i * 10 * S, 'level=info msg="user %s logged in" ip=10.0.0.%d took=%dms' % (["bob", "eve", "joe"][i % 3], i % 250, i)))
        if i % 10 == 0:
            lines.append((base + i * 10 * S + 1, "level=error msg=\"disk %d is full\" code=%d" % (i, i)))
    server.push([({"app": "mined"}, lines)])
    a = server.get("/loki/api/v1/patterns", {"query": '{app="mined"}', "start": base, "end": base + HOUR, "step": "60s"})
    data = a.json()["data"]
    tap.equal([(p["pattern"], p["level"], sum(c for _, c in p["samples"])) for p in data],
              [('level=info msg="user <_> logged in" ip=<_> took=<_>', "info", 300), ('level=error msg="disk <_> is full" code=<_>', "error", 30)],
              "patterns of lines, the most frequent first")
    times = [t for t, _ in data[0]["samples"]]
    tap.ok(all(t % 60 == 0 for t in times) and times == sorted(set(times)) and all(c == 6 for _, c in data[0]["samples"]), "counts by step", data[0])
    for p in data:
        found = server.lines('{app="mined"} |> `%s`' % p["pattern"], base, base + HOUR)
        tap.equal(len(found), sum(c for _, c in p["samples"]), "a pattern finds its lines: " + p["pattern"])
    tap.equal(server.get("/loki/api/v1/patterns", {"query": '{app="nosuch"}'}).json(), {"status": "success", "data": []}, "none")
    for query, text in (("", "parse error"), ("{", "parse error"), ('{app="mined"} |= "x"', "only label matchers")):
        a = server.get("/loki/api/v1/patterns", {"query": query})
        tap.ok(a.status == 400 and text in a.text, "patterns of %s" % query, a.text)


def small(tap, server, base):
    span = {"start": base, "end": base + HOUR}
    tap.equal(server.get("/api/prom/label/app/values", span).json(), {"values": ["cart", "edge", "mined"]}, "legacy label values")
    tap.ok("shard" in server.get("/api/prom/label", span).json()["values"], "legacy label names")
    a = server.get("/api/prom/query", dict(span, query='{app="edge"}', regexp="number 11[0-9]", limit=3)).json()
    tap.equal([e["line"].split('"')[1] for s in a["streams"] for e in s["entries"]], ["number 119", "number 118", "number 117"], "legacy query")
    tap.ok(a["streams"][0]["labels"].startswith("{app=") and a["streams"][0]["entries"][0]["ts"].endswith("Z"), "in the legacy shape", a)
    a = server.get("/api/prom/query", dict(span, query='rate({app="edge"}[1m])'))
    tap.ok(a.status == 400 and "legacy endpoints only support streams result type" in a.text, "legacy metric query", a.text)
    tap.equal(server.get("/log_level").json(), {"message": "Current log level is info"}, "log level")
    tap.equal(server.post("/log_level?log_level=debug").json()["status"], "success", "is set")
    tap.equal(server.get("/log_level").json(), {"message": "Current log level is debug"}, "and told")
    a = server.post("/log_level?log_level=zz")
    tap.equal((a.status, a.json()), (400, {"status": "failed", "message": 'unrecognized log level "zz"'}), "an unknown one")
    tap.ok("=> Running" in server.get("/services").text, "services")
    limits = server.get("/loki/api/v1/drilldown-limits").json()
    tap.equal((limits["limits"]["max_entries_limit_per_query"], limits["limits"]["volume_enabled"], limits["limits"]["retention_period"]),
              (5000, True, "0s"), "limits for Drilldown")
    tap.ok("max_query_series: 500" in server.get("/config/tenant/v1/limits").text, "limits of a tenant")
    tap.equal(server.get("/prometheus/api/v1/rules").json()["data"], {"groups": []}, "no rules")
    tap.equal(server.get("/prometheus/api/v1/alerts").json()["data"], {"alerts": []}, "no alerts")
    a = server.get("/api/prom/rules/test/test")
    tap.ok(a.status == 404 and "page not found" in a.text, "no ruler", a.text)


def main():
    tap = Tap()
    base = (time.time_ns() - 3 * HOUR) // HOUR * HOUR
    with Server(["--retention", "0"]) as server:
        sizes = push(server, base)
        stats(tap, server, base, sizes, "from memory")
        volume(tap, server, base, sizes)
        server.post("/flush")
        stats(tap, server, base, sizes, "from segments")
        volume(tap, server, base, sizes)
        detected(tap, server, base)
        patterns(tap, server, base)
        small(tap, server, base)
    tap.done()


main()
