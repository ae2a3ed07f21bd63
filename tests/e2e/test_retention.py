#!/usr/bin/env python3
"""Retention by rules: settings, what is accepted, what is answered, what leaves the disk, and the dry run that tells."""
import os
import subprocess
import tempfile
import time

from lib import Server, Tap

H = 3600 * 10**9


def now_ns():
    return int(time.time() * 1e9)


def test_rules(tap):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "mstored.yaml")
        with open(path, "w") as f:
            f.write("retention: 2h\nretention_rules:\n  - 'team-a {job=\"audit\"}: 0'\n  - '{env=\"dev\"}: 1h'\n"
                    "  - '{env=~\"st.*\", job!=\"x\"}: 1d'\n")
        with Server(["--config", path]) as server:
            ns = now_ns()
            kept = {"dev": ({"env": "dev"}, 1), "default": ({"env": "prod"}, 2), "stage": ({"env": "stage"}, 24),
                    "stage of x": ({"env": "stage", "job": "x"}, 2)}
            old = ns - 400 * 24 * H
            tap.equal(server.push([({"job": "audit"}, [(old, "for ever")])], tenant="team-a").status, 204, "a tenant's rule: any age")
            tap.equal(server.push([({"job": "audit"}, [(old, "not so")])], tenant="team-b").status, 400, "not of another tenant")
            server.post("/flush")
            for name, (labels, hours) in kept.items():
                edge = ns - hours * H
                tap.equal(server.push([(labels, [(edge + 600 * 10**9, name)])]).status, 204, "%s: within %dh it is taken" % (name, hours))
                answer = server.push([(labels, [(edge - 10**9, name + " too old")])])
                tap.ok(answer.status == 400 and "too old" in answer.text, "%s: beyond it is refused" % name, repr(answer))
            tap.equal(sorted(l for _, l in server.lines('{service_name=~".+"}', ns - 30 * H, ns)),
                      ["default", "dev", "stage", "stage of x"], "all that was taken is answered")
            config = server.get("/config").text
            tap.ok("retention_rules: ['team-a {job=\"audit\"}: 0', '{env=\"dev\"}: 1h'" in config, "/config shows the rules", config)
            server.post("/flush")
            server.stop()
            out = subprocess.run([os.environ["MSTORED"], "--data", server.data, "--dry-run", "--retention", "30m",
                                  "--retention-rules", '{env="stage"}: 25h'], capture_output=True, text=True, timeout=120)
            tap.ok(out.returncode == 0 and 'after ' in out.stdout and '{env="stage"}: 25h' in out.stdout,
                   "the dry run tells when it goes, and by which rule", out.stdout + out.stderr)
            out = subprocess.run([os.environ["MSTORED"], "--data", server.data, "--dry-run", "--retention", "30m"],
                                 capture_output=True, text=True, timeout=120)
            tap.ok(out.returncode == 0 and "is dropped now: --retention" in out.stdout, "or that it goes now", out.stdout + out.stderr)
            out = subprocess.run([os.environ["MSTORED"], "--data", server.data, "--dry-run", "--retention", "0"],
                                 capture_output=True, text=True, timeout=120)
            tap.ok("stays" in out.stdout and "dropped now" not in out.stdout, "or that it stays", out.stdout + out.stderr)
            absent = os.path.join(server.data, "absent")
            out = subprocess.run([os.environ["MSTORED"], "--data", server.data, "--dry-run"], env=dict(os.environ, TMPDIR=absent),
                                 capture_output=True, text=True, timeout=120)
            tap.ok(out.returncode == 1 and absent in out.stderr, "it names the temporary directory that it cannot make", out.stderr)
            server.start()
            tap.equal(len(server.lines('{service_name=~".+"}', ns - 30 * H, ns)), 4, "and changed nothing")


def test_bad_rules(tap):
    for rule, why in (("", "is no rule"), ("24h", "is no rule"), ("{a=\"b\"}", "is no rule"), ("{a=\"b\"} 24h", "is no rule"),
                      ("{a=\"b\"}: soon", "is no duration"), ("{a=~\"(\"}: 1h", "error parsing"), ("{a=}: 1h", "parse error"),
                      ("t" * 151 + " {}: 1h", "151 bytes")):
        out = subprocess.run([os.environ["MSTORED"], "--data", "/nonexistent/x", "--retention-rules", rule],
                             capture_output=True, text=True, timeout=120)
        tap.ok(out.returncode == 2 and why in out.stderr, "rule `%s` is refused" % rule[:40], out.stderr)
    many = [arg for _ in range(257) for arg in ("--retention-rules", "{}: 1h")]
    with tempfile.TemporaryDirectory() as folder:
        argv = [os.environ["MSTORED"], "--data", folder, "--dry-run"]
        os.mkdir(folder + "/wal"), os.mkdir(folder + "/segments")
        tap.equal(subprocess.run(argv + many[:512], capture_output=True, timeout=120).returncode, 0, "256 rules are fine")
        tap.equal(subprocess.run(argv + many, capture_output=True, timeout=120).returncode, 2, "257 are too many")


def main():
    tap = Tap()
    test_rules(tap)
    test_bad_rules(tap)
    tap.done()


if __name__ == "__main__":
    main()
