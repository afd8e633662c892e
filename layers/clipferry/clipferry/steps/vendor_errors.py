"""What a step does after an error of a vendor call. Decided in one place, for all steps.

    error                  what happened to the call                      what the step does
    ---------------------  ---------------------------------------------  -------------------------------------------
    CallHeldBack           not made: our own pace, or the step's time     WAIT for as long as it says
    VendorThrottled        no effect: too many calls                      WAIT, longer than after a failure
    VendorAuthFailed       no effect: the credentials are not accepted    ACCOUNT: wait, within the grace period
    AccountError           not made: the secret cannot be read or used    ACCOUNT
    AccountOnHold          not made: the account is on hold               ACCOUNT
    VendorUnavailable      failed; no effect only if `reached` is False   RETRY, counted; the wait grows
    TriggerUncertain       it is not known whether the work exists        DOUBT
    VendorRefused          no effect: refused for good                    FAIL

How many failures are allowed is decided by each step: the budgets of triggers, looks and copies differ.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

from clipferry.aws.account_secrets import AccountError
from clipferry.jobs.problems import Problem
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

THROTTLE_BACKOFF_LEVEL = 4  # a throttled call is not counted as a failure, but waits as long as after 4 failures


class AccountOnHold(VendorError):
    """No call was made: the account is on hold, and this job is not the one to try it now.

    `problem`: what the last job learned that did try it.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message, code=problem.vendor_code, request_id=problem.request_id)
        self.problem = problem


#: The errors that `Runtime.ask` may raise.
ASKING_ERRORS = (VendorError, AccountError)


class Remedy(StrEnum):
    WAIT = "wait"  # no failure: ask again after `seconds`
    ACCOUNT = "account"  # ask again when the account may work again (`account_holds`)
    RETRY = "retry"  # a failed call: ask again, later each time, as long as the step's budget lasts
    DOUBT = "doubt"  # do what the job's `on_uncertain` says
    FAIL = "fail"  # the same call would give the same answer


@dataclass(frozen=True)
class Decision:
    """What a step does about an error. `problem`: what a user reads if the job or the file ends because of it.

    `seconds`: for WAIT, until the next call; for DOUBT, until the vendor may know the answer. None: not known.
    """

    remedy: Remedy
    problem: Problem
    seconds: float | None = None
    had_no_effect: bool = True  # False: it is not known whether the vendor acted
    tried: bool = True  # False: no call was made


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
