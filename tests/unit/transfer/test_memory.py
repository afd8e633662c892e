"""Memory stays bounded however large the file is: the copy runs in a process of its own and reports its peak."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.unit.transfer.s3_server import S3Server
from tests.unit.transfer.source_server import MIB, Behaviour, SourceServer, video

ROOT = Path(__file__).resolve().parents[3]

COPY = """
import json, re, sys
import boto3
from clipferry.outbound.client import Outbound
from clipferry.transfer import Destination, Stored, client_config, copy
from clipferry.vendors.contract import Remote

source, sink = sys.argv[1:]
s3 = boto3.client("s3", endpoint_url=sink, region_name="us-east-1", aws_access_key_id="test",
                  aws_secret_access_key="test", config=client_config())
result = copy(locate=lambda: Remote(source), destination=Destination("bucket", "big"),
              outbound=Outbound(allow_private=True), hosts=[], s3=s3, checkpoint={}, save=lambda *_: None,
              time_left=lambda: 600.0)
assert isinstance(result, Stored), result
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) * 1024
print(json.dumps({"size": result.size, "peak": peak}))
"""


def test_two_gibibytes_over_sixteen_connections_stay_below_256_megabytes() -> None:
    block = video(8 * MIB)
    size = 2048 * MIB

    def body(first: int, last: int) -> memoryview:
        assert first % len(block) == 0
        return memoryview(block)[: last - first + 1]

    with S3Server(keep=False) as s3, SourceServer(body, size=size, usual=Behaviour(delay=0.05)) as source:
        done = subprocess.run(
            [sys.executable, "-c", COPY, source.url, s3.url],
            capture_output=True,
            text=True,
            timeout=240,
            check=True,
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT / "layers" / "clipferry"), "PATH": ""},
        )
        assert s3.objects["big.mp4"].size == size
        assert s3.calls["UploadPart"] == 256
        assert source.most_at_once >= 6
    report = json.loads(done.stdout)
    assert report["size"] == size
    assert report["peak"] < 256_000_000
