"""The lines of a batch: each becomes a job or is told, and none keeps the others from it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from clipferry.jobs.job import Job
from clipferry.steps import batch_lines, batch_requests
from clipferry.steps.batch import prepare, submit_chunk
from clipferry.store.job_records import NotFound
from clipferry.store.refusals import may_work_later, refusal_of
from pynamodb.exceptions import PutError, TransactWriteError, VerboseClientError

from tests.models import dynamodb
from tests.unit.steps.batching import Batching, line

BAD = 3  # the line that cannot be submitted, of five


def submitted_beside(batching: Batching, poison: str | bytes) -> dict[str, Any]:
    """Four good lines and a bad one are submitted; what the report tells of that."""
    batch_id = batching.post(line(1), line(2), poison, line(4), line(5))
    assert batching.execute(batch_id) == "END"
    assert sorted(job.line for job in batching.jobs(batch_id)) == [1, 2, 4, 5]
    assert batching.shown(batch_id)["lines"] == {
        "total": 5,
        "accepted": 4,
        "rejected": 1,
        "duplicates": 0,
        "waiting": 0,
    }
    (told,) = batching.report(batch_id)
    assert told["line"] == BAD
    problem: dict[str, Any] = told["problem"]
    return problem


def client_error(code: str) -> ClientError:
    said: Any = {"Error": {"Code": code, "Message": "boom"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    return ClientError(said, "PutItem")


def fails_for_the_bad_line(monkeypatch: pytest.MonkeyPatch, error: Exception, *, after: bool = False) -> None:
    """Whatever submits the bad line raises, before its row is written or after."""
    real = batch_lines.admit

    def admit(rt: Any, wanted: Job, same: Any) -> Job:
        made = real(rt, wanted, same) if after or wanted.line != BAD else None
        if wanted.line == BAD or made is None:
            raise error
        return made

    monkeypatch.setattr(batch_lines, "admit", admit)


@pytest.mark.parametrize(
    ("poison", "pointer", "said"),
    [
        (line(3, labels={"a=b": "c", "a": "b=c"}), "/labels", "a key"),
        (line(3, labels={"a": "\u202eb"}), "/labels/a", "U+202E RIGHT-TO-LEFT OVERRIDE"),
        (line(3, account="gate\ufeff"), "/account", "U+FEFF"),
        ('{"vendor": "scripted", "request": {"url": "\\ud83d"}}', "/request/url", "U+D83D"),
        ('{"vendor": "scripted", "request": {"\\u0000": 1}}', "/request", "U+0000 NULL"),
        ('{"vendor": "scripted", "request": ' + '{"a":' * 471 + "1" + "}" * 472, "", "levels deep"),
        ('{"vendor": "scripted", "request": ' + "[" * 100_000 + "}", "", "can be read"),
        ('{"vendor": "scripted", "request": {"url": "x", "record_duration": 1e400}}', "/request/record_duration", ""),
        ('{"vendor": "scripted", "request": {"url": "' + "x" * 300_000 + '"}}', "", "at most 262144 bytes"),
        ('{"vendor": ["scripted"], "request": {}}', "/vendor", "type string"),
        ("9" * 5000, "", "can be read"),
        ('"text"', "", "JSON object"),
        ("null", "", "JSON object"),
    ],
)
def test_a_line_that_cannot_be_is_told_by_its_field(batching: Batching, poison: str, pointer: str, said: str) -> None:
    problem = submitted_beside(batching, poison)

    assert problem["status"] == 400
    assert any(e["pointer"] == pointer and said in e["detail"] for e in problem["errors"]), problem


@pytest.mark.parametrize(
    "error",
    [KeyError("url"), RecursionError(), ValueError("no"), AssertionError(), UnicodeEncodeError("utf-8", "x", 0, 1, "")],
)
def test_a_line_that_meets_a_defect_is_told_and_logged_with_its_cause(
    batching: Batching, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    fails_for_the_bad_line(monkeypatch, error)

    problem = submitted_beside(batching, line(3))

    assert (problem["status"], problem["title"]) == (500, "the line could not be submitted")
    (logged,) = [record for record in caplog.records if record.message == "a line cannot be submitted"]
    assert logged.exc_info
    assert logged.exc_info[1] is error


def test_a_line_whose_reading_meets_a_defect_is_told(batching: Batching, monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., Any] = batch_lines.body_of

    def body_of(record: Any, *rest: Any) -> Any:
        return real(record, *rest) if record.line != BAD else {}["no such key"]

    monkeypatch.setattr(batch_lines, "body_of", body_of)

    assert submitted_beside(batching, line(3))["status"] == 500


def test_a_job_whose_row_was_written_is_a_job_whatever_is_raised_then(
    batching: Batching, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails_for_the_bad_line(monkeypatch, KeyError("x"), after=True)
    batch_id = batching.post(*(line(n) for n in range(1, 6)))

    assert batching.execute(batch_id) == "END"

    assert sorted(job.line for job in batching.jobs(batch_id)) == [1, 2, 3, 4, 5]
    shown = batching.shown(batch_id)
    assert (shown["lines"]["accepted"], shown["lines"]["rejected"], shown["report"]) == (5, 0, None)


def test_a_line_whose_row_dynamodb_refuses_is_told_with_its_words(
    batching: Batching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamodb, "ITEM_MAX", 20_000)

    problem = submitted_beside(batching, line(3, request={"url": "https://media.example/" + "x" * 20_000}))

    assert problem["status"] == 400
    assert problem["detail"].startswith("DynamoDB refuses the job's record: ")
    assert "Item size" in problem["detail"]


def test_a_line_that_dynamodb_refuses_as_a_request_is_told(batching: Batching, monkeypatch: pytest.MonkeyPatch) -> None:
    fails_for_the_bad_line(monkeypatch, TransactWriteError("no", client_error("ValidationException")))

    assert submitted_beside(batching, line(3))["detail"] == "DynamoDB refuses the job's record: boom"


@pytest.mark.parametrize(
    "error",
    [
        client_error("ThrottlingException"),
        client_error("AccessDeniedException"),
        client_error("InternalServerError"),
        EndpointConnectionError(endpoint_url="https://dynamodb.example"),
        PutError("no", client_error("ProvisionedThroughputExceededException")),
        TransactWriteError("no", client_error("TransactionInProgressException")),
        ConnectionResetError(),
        TimeoutError(),
        NotFound("gone meanwhile"),
    ],
    ids=lambda error: f"{type(error).__name__}-{error}",
)
def test_when_aws_is_at_fault_the_chunk_is_tried_again_and_no_line_is_blamed(
    batching: Batching, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    batch_id = batching.post(*(line(n) for n in range(1, 6)))
    prepare(batching.context, batch_id, 1, lambda: 100.0)
    (chunk,) = batching.chunks(batch_id)
    with monkeypatch.context() as outage:
        fails_for_the_bad_line(outage, error)
        for _ in range(2):
            with pytest.raises(type(error)):
                submit_chunk(batching.context, batch_id, 1, chunk)
    assert batching.shown(batch_id)["lines"]["waiting"] == 5

    assert batching.execute(batch_id) == "END"

    assert batching.shown(batch_id)["lines"]["accepted"] == 5
    assert sorted(job.line for job in batching.jobs(batch_id)) == [1, 2, 3, 4, 5]
    assert len(batching.world.executions()) == 5


@pytest.mark.parametrize("code", ["ValidationException", "ItemCollectionSizeLimitExceeded"])
def test_what_dynamodb_refuses_for_good_is_no_outage(code: str) -> None:
    refused = PutError("no", client_error(code))

    assert (refusal_of(refused), may_work_later(refused)) == ("boom", False)


def test_a_refusal_inside_of_a_transaction_is_found_among_its_reasons() -> None:
    reason = dynamodb_reason("ValidationError", "Item size to update has exceeded the maximum allowed size")
    said: Any = {"Error": {"Code": "TransactionCanceledException", "Message": "…"}}
    error = TransactWriteError("no", VerboseClientError(said, "Transact", cancellation_reasons=[None, reason]))
    conflict = dynamodb_reason("TransactionConflict", "…")
    busy = TransactWriteError("no", VerboseClientError(said, "Transact", cancellation_reasons=[conflict]))

    assert (refusal_of(error), may_work_later(error)) == (reason.message, False)
    assert (refusal_of(busy), may_work_later(busy)) == (None, True)


def dynamodb_reason(code: str, message: str) -> Any:
    from pynamodb.exceptions import CancellationReason

    return CancellationReason(code, message)


class TestCsv:
    DEFAULTS: dict[str, Any] = {  # noqa: RUF012
        "vendor": "scripted",
        "destination": {"prefix": "site"},
        "labels": {"site": "a"},
    }

    def post(self, batching: Batching, *rows: str, header: str = "request.url,label.day,prefix") -> str:
        rows = tuple(row.replace("URL", "https://media.example/") for row in (header, *rows))
        return batching.post(*rows, key="manifests/a.csv", defaults=self.DEFAULTS)

    def test_nothing_inside_of_a_cell_is_ever_submitted(self, batching: Batching) -> None:
        """Not at a chunk's border, not when the execution is stopped and gone on with."""
        rows = [f'URL{n}.mp4,"one\nURLevil{n}.mp4,2\nthree",\nURLx{n}.mp4' for n in range(12)]
        batch_id = self.post(batching, *rows)
        batching.execute(batch_id, stop_after=2)
        batch_requests.resume(batching.context, batch_id)

        assert batching.execute(batch_id) == "END"

        jobs = sorted(batching.jobs(batch_id), key=lambda job: job.line)
        assert [job.line for job in jobs] == [5 + 4 * n for n in range(12)]
        assert [job.request["url"] for job in jobs] == [f"https://media.example/x{n}.mp4" for n in range(12)]
        report = batching.report(batch_id)
        assert [(told["line"], told["last_line"]) for told in report] == [(2 + 4 * n, 4 + 4 * n) for n in range(12)]
        assert {error["detail"] for told in report for error in told["problem"]["errors"]} == {"holds U+000A LINE FEED"}

    @pytest.mark.parametrize(
        ("rows", "at"),
        [
            (["URL1.mp4,a", 'URL2.mp4,"open', "URL3.mp4,b"], 3),
            (["URL1.mp4,a"] * 30 + ['URL2.mp4,"say "hi"', "URL3.mp4,b"], 32),
            (["URL1.mp4,a", "request.url,prefix,label.day"], 3),
        ],
    )
    def test_a_manifest_whose_cells_cannot_be_told_apart_submits_nothing(
        self, batching: Batching, rows: list[str], at: int
    ) -> None:
        batch_id = self.post(batching, *rows)

        assert batching.execute(batch_id) == "FAILED"

        error = batching.shown(batch_id)["error"]
        assert error["code"] == "MANIFEST_UNREADABLE"
        assert f"line {at} " in error["message"]
        assert batching.jobs(batch_id) == []
        assert batching.world.executions() == []

    def test_a_row_is_a_job_with_the_defaults_under_each_of_its_fields(self, batching: Batching) -> None:
        batch_id = self.post(
            batching, "URL1.mp4,mon,,", "URL2.mp4", "", "request.url,label.day,prefix", "URL3.mp4,,hall"
        )

        batching.execute(batch_id)

        first, second, third = sorted(batching.jobs(batch_id), key=lambda job: job.line)
        assert [(job.line, job.prefix, job.labels) for job in (first, second, third)] == [
            (2, "site", {"site": "a", "day": "mon"}),
            (3, "site", {"site": "a"}),
            (6, "hall", {"site": "a"}),
        ]
        assert batching.batch(batch_id).report is None

    def test_rows_that_differ_in_the_form_of_a_number_are_one_job(self, batching: Batching) -> None:
        header = "request.url;request.record_duration"
        batch_id = self.post(batching, "URL1.mp4;60", "URL1.mp4;60.0", "URL1.mp4;6e1", "URL1.mp4;61", header=header)

        batching.execute(batch_id)

        jobs = sorted(batching.jobs(batch_id), key=lambda job: job.line)
        assert [(job.line, json.dumps(job.request["record_duration"])) for job in jobs] == [(2, "60"), (5, "61")]
        assert [told["problem"]["status"] for told in batching.report(batch_id)] == [409, 409]
