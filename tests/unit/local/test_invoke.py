"""`make invoke` calls one function of the running stack, and says in words why it did not."""

from __future__ import annotations

import base64
import fcntl
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local import background
from local.emulator import ROOT, Emulator
from local.invoke import functions, invoke

SAMPLE = str(ROOT / "events" / "poll.json")


class Lambda:
    """Invoke, with an answer made up beforehand."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.result: Any = {"next": "WAIT"}
        self.error: dict[str, str] = {}

    def invoke(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        log = base64.b64encode(b"looked at the vendor\n").decode()
        return {"Payload": io.BytesIO(json.dumps(self.result).encode()), "LogResult": log, **self.error}


@pytest.fixture
def nothing_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(background, "STATE", tmp_path / "up.json")
    monkeypatch.setattr(background, "LOCK", tmp_path / "up.lock")
    return tmp_path


@pytest.fixture
def up(nothing_up: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lambda]:
    """As `make up` leaves its state, with a Lambda behind it that a test plays."""
    found = Lambda()
    background.STATE.write_text(json.dumps({"stack": "clipferry", "aws_endpoint_url": "http://127.0.0.1:4711"}))
    monkeypatch.setattr(Emulator, "client", lambda self, service: (found, self.port)[0])
    with background.LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield found


def test_the_result_and_the_log_of_a_function_are_printed(up: Lambda, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke("poll", SAMPLE) == 0

    (asked,) = up.asked
    assert asked["FunctionName"] == "clipferry-poll"
    assert json.loads(asked["Payload"]) == json.loads(Path(SAMPLE).read_text())
    said = capsys.readouterr().out
    assert "returned" in said
    assert '"next": "WAIT"' in said
    assert "looked at the vendor" in said


def test_a_function_that_raises_is_a_failure_with_its_error(up: Lambda, capsys: pytest.CaptureFixture[str]) -> None:
    up.error, up.result = {"FunctionError": "Unhandled"}, {"errorType": "NotFound"}

    assert invoke("poll", SAMPLE) == 1
    assert "raised" in (said := capsys.readouterr().out)
    assert "NotFound" in said


@pytest.mark.parametrize(
    ("function", "event", "words"),
    [
        ("", SAMPLE, "FUNCTION is missing; choose one of api, batch,"),
        ("pol", SAMPLE, "there is no function 'pol'; choose one of api, batch,"),
        ("../poll", SAMPLE, "there is no function '../poll'"),
        ("poll", "", "EVENT is missing"),
        ("poll", "events/nothing.json", "cannot read events/nothing.json: No such file or directory"),
        ("poll", str(ROOT / "Makefile"), "Makefile is not JSON"),
    ],
)
def test_what_cannot_be_called_is_said_with_what_to_do(
    up: Lambda, capsys: pytest.CaptureFixture[str], function: str, event: str, words: str
) -> None:
    assert invoke(function, event) == 2
    assert words in capsys.readouterr().err
    assert up.asked == []


@pytest.mark.parametrize("left", [False, True], ids=["never started", "ended without cleaning up"])
def test_without_a_running_stack_it_says_how_to_start_one(
    nothing_up: Path, capsys: pytest.CaptureFixture[str], left: bool
) -> None:
    if left:
        background.STATE.write_text("{}")
        background.LOCK.touch()

    assert invoke("poll", SAMPLE) == 2
    assert "make up" in capsys.readouterr().err


def test_every_function_can_be_called_and_has_a_sample() -> None:
    samples = [path.stem for path in (ROOT / "events").glob("*.json")]

    assert functions() == ["api", "batch", "download", "finish", "poll", "schedule", "sweep", "trigger"]
    for name in functions():
        assert any(sample.partition("-")[0] == name for sample in samples)
