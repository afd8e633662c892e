"""What an error that a question to a vendor ended with means for the step that asked: decided here, for all steps.

    error                  what happened to the call                      what the step does
    ---------------------  ---------------------------------------------  -------------------------------------------
    CallHeldBack           not made: our own pace, or the step's time     WAIT for as long as it says
    VendorThrottled        no effect: too many calls                      WAIT, longer than after a failure
    VendorAuthFailed       no effect: the credentials are not accepted    ACCOUNT: wait until they may be, for a while
    AccountError           not made: the account's secret is no use       ACCOUNT
    AccountOnHold          not made: another job of the account was told  ACCOUNT
    VendorUnavailable      failed; with an effect unless `reached` False  RETRY, counted, later each time
    TriggerUncertain       it cannot be told whether the work exists      DOUBT
    VendorRefused          no effect: a permanent no                      FAIL

How many failures are too many is each step's own: the budgets of triggers, looks and copies differ.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

from clipferry.aws.account_secrets import AccountError
from clipferry.jobs import Problem
from clipferry.pacing.poll_plan import error_wait
from clipferry.vendors.contract import (
    CallHeldBack,
    TriggerUncertain,
    VendorAuthFailed,
    VendorError,
    VendorRefused,
    VendorThrottled,
    VendorUnavailable,
)

THROTTLE_BACKOFF_LEVEL = 4  # what is throttled counts as no failure, but waits as long as after so many


class AccountOnHold(VendorError):
    """Our own no, in the question's place: the account is refused, and it is not this job's turn to try it again.

    `problem` is what the last job was told that did try.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message, code=problem.vendor_code, request_id=problem.request_id)
        self.problem = problem


#: What a question to a vendor may raise (`Runtime.ask`).
ASKING_ERRORS = (VendorError, AccountError)


class Remedy(StrEnum):
    WAIT = "wait"  # no failure: ask again after `seconds`
    ACCOUNT = "account"  # ask again when the account may work again (`account_holds`)
    RETRY = "retry"  # a failed call: ask again, later each time, as long as the step's budget lasts
    DOUBT = "doubt"  # do as the job said for this case
    FAIL = "fail"  # asking again gets the same answer


@dataclass(frozen=True)
class Decision:
    """What a step does about an error. `problem` is what a user reads, should the job or the file end by it.

    `seconds`: of a WAIT, until the question is asked again; of a DOUBT, until the vendor may be able to tell. None:
    nothing is known about when.
    """

    remedy: Remedy
    problem: Problem
    seconds: float | None = None
    had_no_effect: bool = True  # False: nobody knows whether the vendor acted
    tried: bool = True  # False: our own no, in the place of the call


def decide(error: VendorError | AccountError, rng: random.Random) -> Decision:
    """The decision for any error of ASKING_ERRORS."""
    problem = problem_of(error)
    match error:
        case CallHeldBack():
            return Decision(Remedy.WAIT, problem, error.wait, tried=False)
        case VendorThrottled():
            return Decision(Remedy.WAIT, problem, error_wait(THROTTLE_BACKOFF_LEVEL, error.retry_after, rng))
        case AccountOnHold():
            return Decision(Remedy.ACCOUNT, problem, tried=False)
        case VendorAuthFailed() | AccountError():
            return Decision(Remedy.ACCOUNT, problem)
        case VendorUnavailable():
            return Decision(Remedy.RETRY, problem, error.retry_after, had_no_effect=not error.reached)
        case TriggerUncertain():
            return Decision(Remedy.DOUBT, problem, error.look_again, had_no_effect=False)
    return Decision(Remedy.FAIL, problem)


def problem_of(error: VendorError | AccountError) -> Problem:
    """The error as a user reads it."""
    match error:
        case AccountOnHold():
            return error.problem
        case AccountError():
            return Problem(error.code, error.message)
        case VendorAuthFailed():
            said = f"the vendor refuses the account: {error.message}"
            return Problem("ACCOUNT_REFUSED", said, error.code, error.request_id)
        case VendorRefused():
            return Problem(error.kind, error.message, error.code, error.request_id)
        case TriggerUncertain():
            return Problem("TRIGGER_UNCERTAIN", error.message, error.code, error.request_id)
    return Problem("VENDOR_UNAVAILABLE", error.message, error.code, error.request_id)
