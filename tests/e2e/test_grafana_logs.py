#!/usr/bin/python3
"""What Grafana's Loki data source and Logs Drilldown send, by feature (grafana/logs.json), each field that they read
checked; and a dashboard of 20 panels that reload together."""
import concurrent.futures
import datetime
import json
import os
import time

from fields import at, fits
from lib import Server, Tap

S = 10**9
FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "grafana")


def main():
    tap = Tap()
    with open(os.path.join(FOLDER, "logs.json")) as f:
        requests = json.load(f)
    base = time.time_ns() // S * S - 1800 * S
    with Server(["--retention", "0"]) as server:
        entries = [(base + i * S, json.dumps({"status": [200, 404, 500][i % 3], "msg": "request %d done" % i, "level": ["info", "error"][i % 2]}),
                    {"trace_id": "5b8e" if i == 50 else "t%d" % i}) for i in range(600)]
        server.push([({"app": "cart", "env": "prod"}, entries)])
        names = {"$from": str(base - S), "$to": str(base + 900 * S), "$now": str(time.time_ns()), "$row": str(base + 300 * S)}
        for name in ("from", "to"):
            moment = datetime.datetime.fromtimestamp(int(names["$" + name]) / S, datetime.timezone.utc)
            names["$%s_iso" % name] = moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")

        def send(request):
            path = request["path"] if request["path"].startswith("/") else "/loki/api/v1/" + request["path"]
            params = {k: names.get(v, v) for k, v in request["params"].items()}
            return server.get(path, params, headers=request["headers"])
        for state in ("memory", "segments"):
            for request in requests:
                answer = send(request)
                body = answer.json() if answer.status == 200 else {}
                wrong = {p: at(body, p) for p, want in request["checks"].items() if not fits(at(body, p), want, names)}
                tap.ok(answer.status == 200 and not wrong, "%s, from %s" % (request["feature"], state), "%s %s" % (wrong, answer.text[:600]))
            server.post("/flush")
        panels = [r for r in requests if r["path"] in ("query", "query_range")] * 2
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            statuses = [a.status for _ in range(5) for a in pool.map(send, (panels * 2)[:20])]
        tap.equal(set(statuses), {200}, "a dashboard of 20 panels reloads five times without a refusal")
    tap.done()


main()
