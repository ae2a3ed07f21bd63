#!/usr/bin/python3
"""Our parser and the one of Grafana's editor judge generated queries alike (clients/lezer.mjs)."""
import os
import subprocess
import sys

COUNT = 4000
CLIENTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients")
queries = subprocess.run([os.environ["QUERIES"], str(COUNT)], check=True, stdout=subprocess.PIPE).stdout
sys.exit(subprocess.run(["node", "lezer.mjs"], cwd=CLIENTS, input=queries).returncode)
