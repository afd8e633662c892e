"""A thousand replies a vendor might send: none raises anything unforeseen, none is called ready without a URL.

They are the simulator's own replies to real calls, with anything in them changed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.message import Message
from functools import cache
from typing import Any

from clipferry.outbound.client import Outbound, Reply
from clipferry.vendors import vendor_class
from clipferry.vendors.contract import Account, LookStatus, Task, VendorError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.simulators import simulator_class
from local.simulators.base import Simulator
from local.simulators.faults import Fault
from local.simulators.stage import Scene
from local.simulators.wire import Request
from tests.conformance.replies import Answering, Asked, mutated, never_misread, reply
from tests.conformance.walk import Walk

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
STATUSES = st.sampled_from([200] * 8 + [400, 401, 403, 404, 429, 500, 503])
LOOKS = (1, 10, 60, 600, 600, 600, 3600)  # seconds before each look that is recorded


@dataclass
class Recorded:
    """What a simulator answered to real calls, and the tasks that the calls were about."""

    simulator: Simulator  # stopped, but it still tells operations apart
    secret: Mapping[str, str]
    samples: dict[str, dict[str, Any]] = field(default_factory=dict)  # by operation: bodies by their text
    tasks: list[Task] = field(default_factory=list)

    def operation(self, asked: Asked) -> str:
        headers = Message()
        for name, value in asked.headers.items():
            headers[name] = str(value)
        body = asked.body.encode() if isinstance(asked.body, str) else asked.body or b""
        return self.simulator.operation(Request(asked.method, asked.target, headers, body))


class Recorder(Outbound):
    def __init__(self, recorded: Recorded) -> None:
        super().__init__(allow_private=True)
        self.recorded = recorded

    def call(self, method: str, url: str, **options: Any) -> Reply:
        answer = super().call(method, url, **options)
        samples = self.recorded.samples.setdefault(self.recorded.simulator.log[-1].operation, {})
        with suppress(ValueError):  # Polyv's words for a block are no JSON
            samples[answer.text] = json.loads(answer.text)
        return answer


@cache
def recorded(vendor: str) -> Recorded:
    """Scenes of the vendor's stage followed to their ends, and each task as it is new, followed, and adopted."""
    with simulator_class(vendor)() as simulator:
        found, stage = Recorded(simulator, simulator.secret()), simulator.stage
        for scene in (stage.three, stage.partly, stage.odd, stage.empty):
            walk = follow(found, scene)
            adopt = stage.adopt({"request": scene.request, "vendor_refs": walk.task.refs})
            refs = walk.vendor.adopt(replace(walk.task, request=None, adopt=adopt)).refs
            new = Task("0" * 32, scene.request, None, {}, datetime.now(UTC))
            found.tasks += [new, walk.task, replace(new, request=None, adopt=adopt, refs=refs)]
    return found


def follow(found: Recorded, scene: Scene) -> Walk:
    for name, value in scene.settings.items():
        setattr(found.simulator.settings, name, value)
    walk = Walk(vendor_class(found.simulator.vendor), found.simulator, request=scene.request)
    walk.vendor = vendor_class(found.simulator.vendor)(Account("a", found.secret), Recorder(found))
    walk.start()
    for fault in (Fault("throttle"), Fault("refuse"), Fault("status"), None):
        if fault:
            found.simulator.fail_next("*", fault)
        with suppress(VendorError):
            walk.vendor.find(walk.task)
    for seconds in LOOKS:
        with suppress(VendorError):
            walk.look(seconds)
    for seen in walk.seen.values():
        if seen.status is LookStatus.READY:
            walk.locate(seen.ref)
    return walk


def test_no_reply_whatever_breaks_it_or_is_ready_without_a_url(vendor: str) -> None:
    known = recorded(vendor)
    assert len(known.samples) > 1
    anything = JSON.map(lambda value: json.dumps(value).encode())
    replies = {name: mutated(list(bodies.values())[-30:]) | anything for name, bodies in known.samples.items()}

    @settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        replies=st.fixed_dictionaries(replies),
        status=STATUSES,
        task=st.sampled_from(known.tasks),
        elapsed=st.sampled_from([0.0, 100.0, 5000.0, 1e6]),
        served=st.sampled_from([206, 403]),
    )
    def holds(replies: dict[str, bytes], status: int, task: Task, elapsed: float, served: int) -> None:
        def answer(asked: Asked) -> Reply:
            return reply(replies.get(known.operation(asked), b"{}"), status)

        subject = vendor_class(vendor)(Account("a", known.secret), Answering(answer, served))
        never_misread(subject, [replace(task, elapsed=elapsed)])

    holds()
