"""s3_server.py -- s3rver (npm), an S3 server that somebody else wrote, in a directory of its own."""
import os
import shutil
import subprocess
import tempfile
import threading

from lib import ROOT

PROGRAM = """
const S3rver = require('s3rver');
const server = new S3rver({address: '127.0.0.1', port: 0, silent: true, directory: process.argv[1],
                           vhostBuckets: false, configureBuckets: [{name: process.argv[2]}]});
server.run().then(address => console.log(address.port));
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
"""


class S3rver:
    key_id, secret = "S3RVER", "S3RVER"  # the only ones that it knows

    def __init__(self, bucket="logs"):
        self.bucket = bucket
        self.dir = tempfile.mkdtemp(prefix="mstore-s3rver-")

    def start(self):
        clients = os.path.join(ROOT, "tests", "clients")
        self.process = subprocess.Popen(["node", "-e", PROGRAM, self.dir, self.bucket], cwd=clients,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        timer = threading.Timer(30, self.process.kill)
        timer.start()
        self.port = int(self.process.stdout.readline())
        timer.cancel()
        self.url = "http://127.0.0.1:%d" % self.port
        return self

    def stop(self):
        self.process.stdin.close()
        self.process.wait(30)
        shutil.rmtree(self.dir, ignore_errors=True)
