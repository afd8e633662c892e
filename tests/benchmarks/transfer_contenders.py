"""Who is measured, by which command line, and how: wall time, CPU time and largest resident set of a process tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REGION = "us-east-1"

_BOTO3 = """
import sys, boto3, requests
with requests.get(sys.argv[1], stream=True) as answer:
    boto3.client("s3", endpoint_url=sys.argv[2]).upload_fileobj(answer.raw, "bench", "boto3/file")
"""


@dataclass(frozen=True)
class Measured:
    wall: float  # seconds
    cpu: float  # seconds, user and system, of the whole tree
    peak: int  # bytes, of its largest process


@dataclass(frozen=True)
class Contender:
    name: str
    needs: tuple[str, ...]  # programs
    command: Callable[[str, str, Path], str]  # (source, sink, scratch folder) → shell command

    @property
    def installed(self) -> bool:
        return all(shutil.which(program) for program in self.needs)


def _ours(source: str, sink: str, scratch: Path) -> str:
    return f"exec {sys.executable} -m tests.benchmarks.transfer_run {source} {sink}"


def _aria2c(source: str, sink: str, scratch: Path) -> str:
    options = "-x16 -s16 -k1M --file-allocation=none --allow-overwrite=true --quiet"
    return f"exec aria2c {options} -d {scratch} -o aria2c {source}"


def _curl_aws(source: str, sink: str, scratch: Path) -> str:
    return f"set -o pipefail; curl -sf {source} | aws --endpoint-url {sink} s3 cp - s3://bench/aws/file"


def _rclone(source: str, sink: str, scratch: Path) -> str:
    remote = f":s3,provider=Other,env_auth=true,endpoint='{sink}',force_path_style=true,no_check_bucket=true"
    return f'exec rclone copyurl {source} "{remote}:bench/rclone/file"'


def _boto3(source: str, sink: str, scratch: Path) -> str:
    script = scratch / "boto3_stream.py"
    script.write_text(_BOTO3)
    return f"exec {sys.executable} {script} {source} {sink}"


OURS = Contender("clipferry, 16 connections", (), _ours)
ARIA2C = Contender("aria2c -x16, download alone", ("aria2c",), _aria2c)
CURL_AWS = Contender("curl \\| aws s3 cp -", ("curl", "aws"), _curl_aws)
RCLONE = Contender("rclone copyurl", ("rclone",), _rclone)
BOTO3 = Contender("boto3 upload_fileobj of requests", (), _boto3)
SINGLE = (CURL_AWS, RCLONE, BOTO3)  # one connection each


def environment() -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONPATH": f"{ROOT}:{ROOT / 'layers' / 'clipferry'}",
        "AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true", "LANG": "C.UTF-8", "PYENV_VERSION": os.environ.get("PYENV_VERSION", ""),
    }  # fmt: skip


def start(command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["bash", "-c", command], cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def finish(process: subprocess.Popen[bytes], started: float) -> Measured:
    """Wait for a process and take its books; RuntimeError with its words when it failed."""
    words = process.stderr.read() if process.stderr else b""
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.stderr:
        process.stderr.close()
    if process.returncode:
        raise RuntimeError(f"exit {process.returncode}: {words.decode('utf-8', 'replace')[-2000:]}")
    return Measured(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def measure(contender: Contender, source: str, sink: str, scratch: Path) -> Measured:
    started = time.monotonic()
    return finish(start(contender.command(source, sink, scratch)), started)
