"""Everything that a round of the campaign needs: the world of `make up`, with a relay for all calls of the functions.

Each function has one relay for its calls to AWS, and each vendor has one for its API. The faults of a vendor itself,
and of its file servers, are drawn by its simulator. All faults can be switched off at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from email.message import Message
from typing import Any

from local.chaos.draws import Call, Draws, Ledger, VendorFaults
from local.chaos.relay import Gate, Marks, Relay, aws_reader
from local.simulators.base import Simulator
from local.simulators.wire import Request
from local.stack import Stack
from local.world import world

TIME_SCALE = 0.01  # an hour of the vendors, and of the machine's waits, passes in 36 s
FUNCTIONS = ("api", "batch", "schedule", "trigger", "poll", "download", "finish", "sweep")
ORPHAN_AGE = timedelta(hours=2)  # more than the age at which the sweep ends an upload that no job uses
_VENDOR_EFFECTS = {"TriggerRecord", "StopTriggeredRecord", "UploadMediaByURL", "pullVideo", "create"}


@dataclass
class Arena:
    stack: Stack
    simulators: dict[str, Simulator]
    ledger: Ledger
    endings: str  # URL of a queue that gets every event of the stack's bus
    executions: str  # URL of a queue that gets an event of every execution that failed, timed out or was aborted
    _draws: Draws
    _to_aws: Gate
    _ways: dict[str, str] = field(default_factory=dict)  # by vendor: the URL of its relay
    _vendors: list[VendorFaults] = field(default_factory=list)
    _relays: list[Relay] = field(default_factory=list)

    def faults(self, on: bool) -> None:
        self._draws.on = on
        for faults in self._vendors:
            faults.on = on

    def restart(self) -> None:
        """Stop the emulator at any moment and start it again with its state. Raises EmulatorFailed.

        Its data must not change while it saves its state, so the functions' calls wait outside meanwhile.
        """
        self._to_aws.close()
        try:
            self.stack.emulator.restart()
        finally:
            self._to_aws.open()
        self.ledger.add("from outside", "emulator restarted, its state kept")

    def tell(self, vendor: str) -> None:
        """Store the account's secret with the key that the vendor's simulator has now."""
        self.stack.add_account(vendor, {**self.simulators[vendor].secret(), "endpoint": self._ways[vendor]})

    def let_uploads_age(self) -> None:
        """Make every open upload look so old that the sweep ends it if no unfinished job uses it."""
        for relay in self._relays:
            relay.ages_uploads_by = ORPHAN_AGE


@contextmanager
def arena(seed: int, *, hangs: bool, say: Callable[[str], None]) -> Iterator[Arena]:
    """Start everything, and send every call of a function through a relay; end it all afterwards."""
    with ExitStack() as running:
        place = running.enter_context(world(TIME_SCALE, say))
        stack, ledger = place.stack, Ledger()
        draws, marks, to_aws, to_vendors = Draws(seed, hangs=hangs), Marks(), Gate(), Gate()
        endings = _queue(stack, "endings", stack.outputs["EventBusName"], _JOB_ENDED)
        executions = _queue(stack, "executions", "default", _ENDED_BADLY)
        found = Arena(stack, place.simulators, ledger, endings, executions, draws, to_aws)

        def relay(upstream: str, read: Callable[..., Call], where: str, gate: Gate) -> Relay:
            found._relays.append(Relay(upstream, read, draws, ledger, stack.emulator.pid, where, gate))
            return running.enter_context(found._relays[-1])

        say("putting relays between the functions and what they call")
        for vendor, simulator in place.simulators.items():
            way = relay(simulator.url, _vendor_reader(simulator), "way to a vendor", to_vendors)
            found._ways[vendor] = way.url
            found.tell(vendor)
            found._vendors.append(VendorFaults(seed, vendor, ledger))
            simulator.take_faults_from(found._vendors[-1])
        for function in FUNCTIONS:
            way = relay(stack.emulator.url, aws_reader(function, marks), "way to AWS", to_aws)
            _point(stack, function, way.url)
        yield found


def _vendor_reader(simulator: Simulator) -> Callable[..., Call]:
    def read(method: str, target: str, headers: Message, body: bytes) -> Call:
        operation = simulator.operation(Request(method, target, headers, body))
        return Call("", simulator.vendor, operation, operation in _VENDOR_EFFECTS, "")

    return read


def _point(stack: Stack, function: str, url: str) -> None:
    """Give the function another address of AWS, with an environment variable, as any operator can."""
    lambdas, name = stack.client("lambda"), f"{stack.name}-{function}"
    variables: dict[str, Any] = lambdas.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    lambdas.update_function_configuration(
        FunctionName=name, Environment={"Variables": {**variables, "AWS_ENDPOINT_URL": url}}
    )


_JOB_ENDED = {"source": ["clipferry"], "detail-type": [{"prefix": "Clipferry Job "}]}
_ENDED_BADLY = {
    "source": ["aws.states"],
    "detail-type": ["Step Functions Execution Status Change"],
    "detail": {"status": ["FAILED", "TIMED_OUT", "ABORTED"]},
}


def _queue(stack: Stack, name: str, bus: str, pattern: dict[str, Any]) -> str:
    """Make a queue and a rule that sends the matching events to it. Returns the queue's URL."""
    sqs, events = stack.client("sqs"), stack.client("events")
    url = str(sqs.create_queue(QueueName=f"chaos-{name}")["QueueUrl"])
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=f"chaos-{name}", EventBusName=bus, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=f"chaos-{name}", EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
    return url
