"""What users ask of batches: a manifest becomes one batch, and what cannot be one is refused by name."""

from __future__ import annotations

from typing import Any

import pytest
from clipferry.intake import values
from clipferry.intake.checks import InvalidBody
from clipferry.steps import batch_requests
from clipferry.steps.batch_requests import BatchKeyReused, NotForBatch
from clipferry.store.job_records import NotFound

from tests.unit.steps.batching import KEY, Batching, line


class TestRequests:
    def test_the_same_manifest_posted_again_is_the_same_batch(self, batching: Batching) -> None:
        first, again = batching.post(line(1)), batching.post(line(1))

        assert first == again
        assert batching.running() == [(first, 1)]

    def test_other_content_other_defaults_or_a_key_of_its_own_make_another(self, batching: Batching) -> None:
        batches = {
            batching.post(line(1)),
            batching.post(line(2)),
            batching.post(line(1), defaults={"labels": {"a": "b"}}),
            batching.post(line(1), idempotency="k"),
        }

        assert len(batches) == 4

    def test_a_manifest_that_the_first_release_made_a_batch_of_is_that_batch(
        self, batching: Batching, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It knew 600.0 as another number than 600, also for the identity of a batch."""
        with monkeypatch.context() as first_release:
            first_release.setattr(values, "canonical", dict)
            first = batching.post(line(1), defaults={"deadline_seconds": 600.0})

        assert batching.post(line(1), defaults={"deadline_seconds": 600.0}) == first
        assert batching.post(line(1), defaults={"deadline_seconds": 600}) != first
        assert batching.post(line(1), defaults={"deadline_seconds": 6e2}, idempotency="k") != first

    def test_a_key_holds_although_the_content_changed(self, batching: Batching) -> None:
        first = batching.post(line(1), idempotency="k")

        assert batching.post(line(2), idempotency="k") == first
        with pytest.raises(BatchKeyReused):
            batching.post(line(1), idempotency="k", defaults={"vendor": "scripted"})

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({"manifest": {"key": "manifests/none.jsonl"}}, "/manifest/key"),
            ({"manifest": {"key": "elsewhere/a.jsonl"}}, "/manifest/key"),
            ({"manifest": {"key": "manifests/a.jsonl", "bucket": "other"}}, "/manifest/bucket"),
            ({"manifest": {"key": KEY, "etag": "0" * 32}}, "/manifest/etag"),
            ({"manifest": {"key": "manifests/a.txt"}}, "/format"),
            ({"manifest": {"key": KEY}, "defaults": {"request": {}}}, "/defaults/request"),
            ({"manifest": {"key": KEY}, "defaults": {"deadline_seconds": 1}}, "/defaults/deadline_seconds"),
            ({}, "/manifest"),
        ],
    )
    def test_what_cannot_be_is_refused_by_name(self, batching: Batching, body: dict[str, Any], pointer: str) -> None:
        batching.post(line(1))

        with pytest.raises(InvalidBody) as refused:
            batch_requests.open_batch(batching.context, body)

        assert [error.pointer for error in refused.value.errors] == [pointer]

    def test_a_batch_that_could_not_be_started_is_started_by_the_sweep(
        self, batching: Batching, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(batch_requests, "_start", lambda context, batch: None)
            batch_id = batching.post(line(1))
        assert batching.running() == []
        batching.world.wait(180)

        assert batching.world.sweep().batches == [batch_id]

        assert batching.running() == [(batch_id, 1)]

    def test_there_is_no_report_of_a_batch_without_rejects(self, batching: Batching) -> None:
        batch_id = batching.post(line(1))
        batching.execute(batch_id)

        with pytest.raises(NotForBatch):
            batch_requests.report_link(batching.context, batch_id)
        with pytest.raises(NotFound):
            batch_requests.report_link(batching.context, "no-such-batch")
