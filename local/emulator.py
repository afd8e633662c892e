"""Starts one embedded AWS on a free port, waits until it is ready, and ends it whatever happens.

This module knows nothing of the stack that is deployed on it.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import boto3
from botocore.config import Config

from local.patience import Patience

ROOT = Path(__file__).resolve().parent.parent
REGION = "us-east-1"
ROOT_KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
START_PATIENCE = 30  # seconds; usually it is ready in less than one


class EmulatorFailed(Exception):
    """The emulator did not start; the message has the end of its log."""


class Emulator:
    """A running emulator with IAM enforced. A context manager; its folder is deleted when it stops.

    `wait_scale` shortens the state machines' waits and retry pauses: 0.01 lets an hour pass in 36 s. `program` is the
    module that starts it; `settings` go into its environment.
    """

    def __init__(
        self,
        *,
        wait_scale: float = 1.0,
        port: int = 0,
        program: str = "local.launcher",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.wait_scale = wait_scale
        self._program, self._settings = program, dict(settings or {})
        self._wanted_port = port
        self.port = port
        self.folder = Path()
        self._keeper: subprocess.Popen[bytes] | None = None
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def pid(self) -> int | None:
        """The process that started all processes of the emulator, also Lambda workers; None while it is not running.

        A restart changes it.
        """
        return self._keeper.pid if self._keeper else None

    def start(self) -> None:
        """Start on the wanted port, or on a free one. Raises EmulatorFailed."""
        self.folder = Path(tempfile.mkdtemp(prefix="clipferry-aws-"))
        self._clients.clear()
        for name in ("tmp", "s3", "state"):
            (self.folder / name).mkdir()
        for _ in range(3):  # another process may take a free port before the emulator does
            self.port = self._wanted_port or _free_port()
            if self._launch():
                return
        raise EmulatorFailed(f"the emulator did not start on port {self.port}")

    def restart(self) -> None:
        """Stop cleanly and start again on the same port with the state kept; running executions are lost.

        Raises EmulatorFailed, also if it could not save its state, because other threads changed it meanwhile.
        """
        said_before = len(self._said())
        self._end(keep=True)
        words = [line for line in self._said()[said_before:].splitlines() if "Persistence:" in line]
        failed = [line for line in words if "error getting" in line or "failed to save" in line]
        lost = [line for line in failed if "cloudwatch_logs" not in line]  # a function may log while it writes
        if lost or not words:
            raise EmulatorFailed(f"the emulator did not keep its state: {lost or 'it did not write it down in time'}")
        for left in (self.folder / "tmp").glob("ministack-lambda-*"):  # workers' copies of their code; they have ended
            shutil.rmtree(left, ignore_errors=True)
        if not self._launch():
            raise EmulatorFailed(f"the emulator did not start again on port {self.port}")

    def stop(self) -> None:
        """End the emulator and its workers, and remove its folder. May be repeated."""
        self._end(keep=False)
        if self.folder.name:  # a restart that failed has kept it
            shutil.rmtree(self.folder, ignore_errors=True)

    def scale_waits(self, factor: float) -> None:
        """Change `wait_scale` while it runs."""
        self.wait_scale = factor
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            body = json.dumps({"stepfunctions._SFN_WAIT_SCALE": factor})
            connection.request("POST", "/_ministack/config", body, {"content-type": "application/json"})
            if connection.getresponse().status != 200:
                raise EmulatorFailed("the emulator refused another wait scale")
        finally:
            connection.close()

    def environment(self) -> dict[str, str]:
        """The environment with which an AWS client calls this emulator, as its root user, and nothing else."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            **ROOT_KEYS,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def client(self, service: str, **options: Any) -> Any:
        """A boto3 client with the emulator's root keys; without options, always the same one: making it takes time."""
        if options:
            return self._new_client(service, **options)
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._new_client(service)
            return self._clients[service]

    def _new_client(self, service: str, **options: Any) -> Any:
        settings = {
            "endpoint_url": self.url,
            "region_name": REGION,
            "aws_access_key_id": ROOT_KEYS["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": ROOT_KEYS["AWS_SECRET_ACCESS_KEY"],
            "config": Config(proxies={}, retries={"total_max_attempts": 3}, max_pool_connections=50),
        }
        return boto3.session.Session().client(service, **{**settings, **options})  # type: ignore[call-overload]

    def _launch(self) -> bool:
        """True when the emulator answers on `port`; False when it ended at once."""
        said_before = len(self._said())
        command = [sys.executable, "-m", "local.keeper", str(self.folder), sys.executable, "-m", self._program]
        self._keeper = subprocess.Popen(command, cwd=ROOT, env=self._own_environment(), stdin=subprocess.PIPE)
        patience = Patience(START_PATIENCE)
        while not patience.over:
            if self._keeper.poll() is not None:
                return self._gave_up()
            if f"Running on {self.url}" in self._said()[said_before:] and self._ready():
                return True  # also ask the process: another server may have the port
            time.sleep(0.1)
        last_words = self._said()[-2000:]
        self.stop()
        raise EmulatorFailed(f"the emulator is not ready after {START_PATIENCE} s: {last_words}")

    def _gave_up(self) -> bool:
        """The emulator ended while it started. Its folder is removed; a port in use may be tried again."""
        if self._wanted_port:
            raise EmulatorFailed(f"the emulator ended at once; is port {self._wanted_port} taken?")
        for name in ("tmp", "s3", "state"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        return False

    def _own_environment(self) -> dict[str, str]:
        """The whole environment. Lambda functions see it, so it must hold nothing of the user's environment."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            **ROOT_KEYS,
            "AUTH": "true",
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self.port),
            "MINISTACK_AUTOCREATE_AWS_MANAGED": "1",
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "TMPDIR": str(self.folder / "tmp"),
            "S3_DATA_DIR": str(self.folder / "s3"),
            "S3_PERSIST": "1",
            "STATE_DIR": str(self.folder / "state"),
            "PERSIST_STATE": "1",
            "SFN_WAIT_SCALE": str(self.wait_scale),
            **self._settings,
        }

    def _ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", "/_ministack/ready")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _end(self, *, keep: bool) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is None or keeper.stdin is None:
            return
        if keep:
            keeper.stdin.write(b"keep\n")
        keeper.stdin.close()
        keeper.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
