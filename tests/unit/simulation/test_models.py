"""The simulation's own interpreter and its S3 do as the others do: moto's interpreter, and moto's S3."""

from __future__ import annotations

import random
from collections import deque
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from tests.models.s3 import S3
from tests.simulation.machine import Failed, Fork, Invoke, Machine, Start, TaskFailed, Wait
from tests.unit.aws_clients import new_client
from tests.unit.stack.second_opinion import FunctionRaised, Play, execute

FILES = ["f001", "f002"]
LOOKS = [
    {"next": "WAIT", "wait_seconds": 7, "ready": [], "then": "WAIT"},
    {"next": "DOWNLOAD", "wait_seconds": 3, "ready": FILES, "then": "WAIT"},
    {"next": "DOWNLOAD", "wait_seconds": 0, "ready": ["f003"], "then": "FINISH"},
]
ENDED = {"next": "END", "status": "SUCCEEDED", "wait_seconds": 0}


def usual(function: str, payload: dict[str, Any], looks: deque[Any]) -> Any:
    match function:
        case "Trigger":
            return {"next": "WAIT", "wait_seconds": 5, "ready": [], "then": "WAIT"}
        case "Poll":
            return looks.popleft()
        case "Download":
            return {"file_id": payload["file_id"], "more": False, "wait_seconds": 0}
    return ENDED


def whole_way() -> Play:
    looks = deque(LOOKS)
    return lambda function, payload: usual(function, payload, looks)


def trigger_never_works() -> Play:
    return lambda function, payload: FunctionRaised("Boom") if function == "Trigger" else {**ENDED, "status": "FAILED"}


def one_copy_breaks() -> Play:
    looks = deque([LOOKS[1], {"next": "FINISH", "wait_seconds": 0, "ready": [], "then": "WAIT"}])

    def play(function: str, payload: dict[str, Any]) -> Any:
        if function == "Download" and payload["file_id"] == "f002":
            return FunctionRaised("Boom")
        return usual(function, payload, looks)

    return play


def handed_over() -> Play:
    return lambda function, payload: {"next": "HANDOVER", "wait_seconds": 0, "ready": [], "then": "WAIT"}


def interpreted(play: Play, given: dict[str, Any]) -> tuple[str, list[str], list[Any]]:
    """Status, states and calls by the simulation's interpreter; branches one after another."""
    states: list[str] = []
    calls: list[Any] = []

    def run(steps: Any) -> Any:
        answer, error = None, None
        while True:
            try:
                request = steps.throw(TaskFailed(error)) if error else steps.send(answer)
            except StopIteration as end:
                return end.value
            answer, error = None, None
            match request:
                case Invoke(function, payload):
                    calls.append((function, payload))
                    said = play(function, payload)
                    answer, error = (None, str(said)) if isinstance(said, Exception) else (said, None)
                case Fork(branches):
                    answer = [run(branch) for branch in branches]
                case Start():
                    answer = {"ExecutionArn": "arn"}
                case Wait():
                    pass

    try:
        run(Machine("retrieve", lambda: 0.5, states.append).execution(given))
    except Failed:
        return "FAILED", states, calls
    return "SUCCEEDED", states, calls


@pytest.mark.parametrize("script", [whole_way, trigger_never_works, one_copy_breaks, handed_over])
def test_the_interpreter_enters_the_states_and_makes_the_calls_that_motos_does(script: Any) -> None:
    other = execute(script())
    status, states, calls = interpreted(script(), {"job_id": "01KAJ3Q0M7Z8V4T2R9XW5CY6DE", "generation": 1})
    assert status == other.status
    assert sorted(states) == sorted(other.states)
    assert sorted(map(str, calls)) == sorted(map(str, other.calls))


def test_random_operations_on_s3_give_what_they_give_on_motos() -> None:
    draw = random.Random(5)
    with mock_aws():
        moto = new_client("s3")
        moto.create_bucket(Bucket="videos")
        model = S3(lambda: datetime.now(UTC), lambda: f"u{draw.random()}")
        uploads: list[tuple[str, str]] = []
        for _ in range(400):
            key = f"k/{draw.randrange(4)}.mp4"
            there, _etag = moto_head(moto, key)
            match draw.choice(["put", "get", "list", "delete", "begin", "part", "complete", "abort", "tag"]):
                case "put":
                    guarded = {"IfNoneMatch": "*"} if draw.random() < 0.5 else {}
                    same(moto, model, "PutObject", {"Key": key, "Body": b"x" * draw.randrange(9), **guarded})
                case "get":
                    same(moto, model, "HeadObject", {"Key": key})
                case "list":
                    same(moto, model, "ListObjectsV2", {"Prefix": draw.choice(["k/", "k/1", "q"]), "Delimiter": "/"})
                case "delete" if there:
                    same(moto, model, "DeleteObject", {"Key": key})
                case "tag" if there:
                    tags = {"TagSet": [{"Key": "a", "Value": "b"}]}
                    same(moto, model, "PutObjectTagging", {"Key": key, "Tagging": tags})
                case "begin":
                    begun = {"Key": key, "Metadata": {"a": "b"}, "ChecksumAlgorithm": "CRC32"}
                    ours = model.call("CreateMultipartUpload", begun)["UploadId"]
                    uploads.append((moto.create_multipart_upload(Bucket="videos", **begun)["UploadId"], ours))
                    model.uploads[ours].key = key
                case "abort" if uploads:
                    theirs, ours = uploads.pop()
                    key = model.uploads[ours].key
                    same(moto, model, "AbortMultipartUpload", {"Key": key}, theirs, ours)
                case "part" if uploads:
                    theirs, ours = draw.choice(uploads)
                    body = {"Key": model.uploads[ours].key, "PartNumber": draw.randrange(1, 3), "Body": b"part"}
                    same(moto, model, "UploadPart", body, theirs, ours)
        assert sorted(model.objects) == [o["Key"] for o in moto.list_objects_v2(Bucket="videos").get("Contents", [])]


def moto_head(moto: Any, key: str) -> tuple[bool, str]:
    try:
        return True, moto.head_object(Bucket="videos", Key=key)["ETag"]
    except ClientError:
        return False, ""


SHOWN = ("ETag", "ContentLength", "Metadata", "KeyCount", "IsTruncated", "CommonPrefixes")


def same(moto: Any, model: S3, operation: str, asked: dict[str, Any], theirs: str = "", ours: str = "") -> None:
    """The same answer, or the same error."""

    def answer(call: Any, upload: str) -> Any:
        named = {"UploadId": upload} if upload else {}
        try:
            reply = call({**asked, **named})
        except ClientError as error:
            return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        keys = [entry["Key"] for entry in reply.get("Contents", [])]
        return keys, {name: reply[name] for name in SHOWN if name in reply}

    method = getattr(moto, moto_name(operation))
    one = answer(lambda given: method(Bucket="videos", **given), theirs)
    other = answer(lambda given: model.call(operation, given), ours)
    assert one == other, (operation, asked)


def moto_name(operation: str) -> str:
    from botocore import xform_name

    return str(xform_name(operation))
