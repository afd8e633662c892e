"""What each error of a vendor means: one table for all steps."""

from __future__ import annotations

import random

import pytest
from clipferry.aws.account_secrets import AccountError
from clipferry.jobs.problems import Problem
from clipferry.steps.vendor_errors import ASKING_ERRORS, AccountOnHold, Decision, Remedy, decide
from clipferry.vendors import contract
from clipferry.vendors.contract import (
    CallRepeated,
    OutOfTime,
    OverBudget,
    TriggerUncertain,
    VendorAuthFailed,
    VendorError,
    VendorRefused,
    VendorThrottled,
    VendorUnavailable,
)

SAID = Problem("ACCOUNT_REFUSED", "the key has expired")
TABLE: list[tuple[VendorError | AccountError, Remedy, str, bool]] = [
    (OverBudget(7.0), Remedy.WAIT, "VENDOR_UNAVAILABLE", True),
    (OutOfTime(), Remedy.WAIT, "VENDOR_UNAVAILABLE", True),
    (VendorThrottled("slow"), Remedy.WAIT, "VENDOR_UNAVAILABLE", True),
    (VendorAuthFailed("no"), Remedy.ACCOUNT, "ACCOUNT_REFUSED", True),
    (AccountError("ACCOUNT_MISSING", "no secret"), Remedy.ACCOUNT, "ACCOUNT_MISSING", True),
    (AccountOnHold(SAID), Remedy.ACCOUNT, "ACCOUNT_REFUSED", True),
    (VendorUnavailable("timeout"), Remedy.RETRY, "VENDOR_UNAVAILABLE", False),
    (CallRepeated("this nonce was used"), Remedy.RETRY, "VENDOR_UNAVAILABLE", False),
    (VendorUnavailable("refused", reached=False), Remedy.RETRY, "VENDOR_UNAVAILABLE", True),
    (contract.CallRepeated("used nonce"), Remedy.RETRY, "VENDOR_UNAVAILABLE", False),
    (TriggerUncertain("no list"), Remedy.DOUBT, "TRIGGER_UNCERTAIN", False),
    (VendorRefused("no", kind="DEVICE_OFFLINE"), Remedy.FAIL, "DEVICE_OFFLINE", True),
]


def decided(error: VendorError | AccountError) -> Decision:
    return decide(error, random.Random(1))


@pytest.mark.parametrize(("error", "remedy", "code", "had_no_effect"), TABLE, ids=lambda value: type(value).__name__)
def test_an_error_has_one_meaning(
    error: VendorError | AccountError, remedy: Remedy, code: str, had_no_effect: bool
) -> None:
    found = decided(error)
    assert isinstance(error, ASKING_ERRORS)
    assert (found.remedy, found.problem.code, found.had_no_effect) == (remedy, code, had_no_effect)


def test_every_error_of_the_contract_is_in_the_table() -> None:
    errors = {
        value for value in vars(contract).values() if isinstance(value, type) and issubclass(value, VendorError)
    } - {VendorError, contract.CallHeldBack}
    assert errors <= {type(error) for error, *_ in TABLE}


def test_waits_are_as_long_as_they_say() -> None:
    assert decided(OverBudget(7.0)).seconds == 7
    assert decided(VendorThrottled("slow", retry_after=90)).seconds == 90
    assert 20 <= (decided(VendorThrottled("slow")).seconds or 0) <= 40
    assert decided(VendorUnavailable("down", retry_after=60)).seconds == 60
    assert decided(TriggerUncertain("not yet", look_again=70)).seconds == 70
    assert decided(TriggerUncertain("never")).seconds is None


def test_what_was_not_tried_says_so() -> None:
    assert {type(error) for error, *_ in TABLE if not decided(error).tried} == {OverBudget, OutOfTime, AccountOnHold}


def test_a_problem_keeps_the_vendors_own_words_and_ids() -> None:
    found = decided(VendorAuthFailed("disabled", code="Forbidden", request_id="r1")).problem
    assert found == Problem("ACCOUNT_REFUSED", "the vendor refuses the account: disabled", "Forbidden", "r1")
    assert decided(AccountOnHold(SAID)).problem is SAID
