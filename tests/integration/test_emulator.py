"""The embedded AWS as this project runs it: enforcing, on a port of its own, and gone when its owner is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from local.emulator import ROOT, Emulator, EmulatorFailed
from local.patience import until


def test_two_run_side_by_side_and_leave_nothing_behind() -> None:
    with Emulator() as one, Emulator() as other:
        folders = [one.folder, other.folder]
        one.client("s3").create_bucket(Bucket="only-in-one")

        assert one.port != other.port
        assert other.client("s3").list_buckets()["Buckets"] == []

    assert not any(folder.exists() for folder in folders)


def test_an_unknown_key_is_refused() -> None:
    with Emulator() as emulator, pytest.raises(ClientError, match="InvalidAccessKeyId"):
        emulator.client("s3", aws_access_key_id="nobody").list_buckets()


def test_a_restart_keeps_the_state() -> None:
    with Emulator() as emulator:
        emulator.client("secretsmanager").create_secret(Name="kept", SecretString="{}")

        emulator.restart()

        assert emulator.client("secretsmanager").get_secret_value(SecretId="kept")["SecretString"] == "{}"


def test_a_restart_that_fails_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    with Emulator() as emulator:
        monkeypatch.setattr(emulator, "_launch", lambda: False)

        with pytest.raises(EmulatorFailed):
            emulator.restart()

    assert not emulator.folder.exists()


def test_a_port_that_is_taken_is_told() -> None:
    with Emulator() as emulator, pytest.raises(EmulatorFailed, match=str(emulator.port)):
        Emulator(port=emulator.port).start()


def test_nothing_outlives_an_owner_that_is_killed() -> None:
    script = "from local.emulator import Emulator\ne = Emulator(); e.start(); print(e.folder, flush=True); input()"
    owner = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with owner:
        assert owner.stdout is not None
        folder = Path(owner.stdout.readline().strip())
        assert folder.exists()

        os.kill(owner.pid, signal.SIGKILL)

        until(lambda: not folder.exists(), 30, what="the end of the emulator's folder")
