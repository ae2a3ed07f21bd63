#!/usr/bin/env python3
"""Counts checks over the test logs of all builds: prints "N passed, N failed", exits 1 if any failed."""
import json
import re
import sys

CHECK = re.compile(r"^(not )?ok\b", re.M)
passed = failed = 0
for path in sys.argv[1:]:
    with open(path) as f:
        for line in f:
            test = json.loads(line)
            checks = CHECK.findall(test.get("stdout", ""))
            bad = sum(1 for c in checks if c)
            if test["result"] != "OK":
                # A test that fails without a failed check died, timed out, or printed no plan.
                bad = max(bad, 1)
                print(f"failed: {test['name']} ({path})")
            passed += max(len(checks) - bad, 0 if bad else 1)
            failed += bad
print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed or not passed else 0)
