"""A rule's firing becomes jobs. EventBridge delivers at least once: the same firing yields the same jobs.

A rule with a constant input hands over nothing that names the firing. So a firing is named here: by the input's own
`firing` if it has one (an input transformer or EventBridge Scheduler can put an id there), else by when this input was
first seen. Two deliveries of one input within SAME_FIRING seconds are one firing (a rule fires at most once a minute),
and a repeated asynchronous invocation is known by its request id however late it comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clipferry.jobs import Job, iso
from clipferry.steps.runtime import Runtime
from clipferry.steps.submit import submit
from clipferry.submission import InvalidBody, fingerprint

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger

SAME_FIRING = 45  # seconds; EventBridge's finest rule is one minute
RETRY_WINDOW = 7 * 3600  # seconds; Lambda keeps an asynchronous event for at most six hours


class ScheduleInvalid(Exception):
    """The rule's input holds no jobs, or jobs that cannot be: an operator has to mend it."""


@dataclass
class Fired:
    firing: str
    jobs: list[Job] = field(default_factory=list)
    invalid: list[str] = field(default_factory=list)

    def raise_for_invalid(self) -> None:
        """After the good jobs have been made: tell of the bad ones, by the dead-letter queue and its alarm."""
        if self.invalid:
            raise ScheduleInvalid("; ".join(self.invalid))


def fire(rt: Runtime, logger: Logger, event: Mapping[str, Any], request_id: str) -> Fired:
    """Make the jobs of one firing. Raises ScheduleInvalid when the input holds none at all."""
    bodies = _bodies(event)
    fired = Fired(_firing(rt, event, request_id))
    for number, body in enumerate(bodies):
        try:
            fired.jobs.append(submit(rt, logger, body, seed=f"firing:{fired.firing}:{number}", source="rule"))
        except InvalidBody as error:
            logger.error("a scheduled job is invalid", number=number, reason=str(error))
            fired.invalid.append(f"job {number}: {error}")
    return fired


def _bodies(event: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if isinstance(event, Mapping):
        rest = {key: value for key, value in event.items() if key != "firing"}
        if "jobs" not in rest:
            return [rest]
        jobs = rest.pop("jobs")
        if not rest and isinstance(jobs, list) and jobs and all(isinstance(body, Mapping) for body in jobs):
            return jobs
    raise ScheduleInvalid('the input must be one job body, or {"jobs": [body, …]} with at least one and nothing else')


def _firing(rt: Runtime, event: Mapping[str, Any], request_id: str) -> str:
    content = fingerprint(event)
    if isinstance(event.get("firing"), str):
        return f"{content[:16]}:{event['firing']}"
    now = rt.now()
    first_seen = rt.jobs.claim(f"input:{content}", f"{content[:16]}:{iso(now)}", now, holds=SAME_FIRING)
    return rt.jobs.claim(f"request:{request_id}", first_seen, now, holds=RETRY_WINDOW)
