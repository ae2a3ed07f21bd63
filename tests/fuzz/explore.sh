#!/bin/sh
# Explores one fuzz target from its corpus for some seconds. Speaks TAP. usage: explore.sh TARGET CORPUS
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if "$1" -max_total_time="${FUZZ_SECONDS:-5}" -timeout=10 -rss_limit_mb=4096 -artifact_prefix="$work/" "$work" "$2" >"$work.log" 2>&1; then
    echo "ok 1 - $(grep -o 'Done [0-9]* runs' "$work.log" | tail -1)"
else
    echo "not ok 1 - $(basename "$1") found something"
    tail -40 "$work.log" | sed 's/^/# /'
    for f in "$work"/crash-* "$work"/timeout-* "$work"/oom-*; do
        [ -f "$f" ] && base64 "$f" | sed 's/^/# input: /'
    done
fi
rm -f "$work.log"
echo "1..1"
