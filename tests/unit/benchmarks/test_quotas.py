"""The model of an account's quotas: what is scarcest, and that what is too much waits and is not lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.quotas import Account, Job, day, jobs_an_hour, report

SCALING = Path(__file__).resolve().parents[3] / "docs" / "scaling.md"


def test_a_new_accounts_ten_functions_at_once_are_what_is_scarcest() -> None:
    allowed = jobs_an_hour(Account(concurrency=10), Job(invocations=0, download_seconds=60))
    assert next(iter(allowed.items())) == ("Lambda concurrency", 600)


@pytest.mark.parametrize(("jobs", "waits"), [(100, False), (10_000, False), (1_000_000, True)])
def test_what_is_more_than_an_account_carries_waits(jobs: int, waits: bool) -> None:
    found = day(jobs, Account(), Job(download_seconds=120))
    assert (found.waited > 0) == waits
    assert (found.share > 1) == waits


def test_twice_the_quota_is_twice_the_jobs() -> None:
    one, two = (jobs_an_hour(Account(concurrency=n), Job())["Lambda concurrency"] for n in (500, 1000))
    assert two == pytest.approx(2 * one)


def test_the_page_shows_what_the_model_says() -> None:
    assert report(Account(), Job()) in SCALING.read_text()
