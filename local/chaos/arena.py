"""Where a round of the campaign takes place: the whole world of `make up`, with a relay on every way out of a function.

One relay a function for its AWS calls and one a vendor for its API; what a vendor itself does wrong, and on its file
servers, its simulator draws. All of it can be switched off at once.
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
ORPHAN_AGE = timedelta(hours=2)  # above the age at which the sweep ends an upload nobody answers for
_VENDOR_EFFECTS = {"TriggerRecord", "StopTriggeredRecord", "UploadMediaByURL", "pullVideo", "create"}


@dataclass
class Arena:
    stack: Stack
    simulators: dict[str, Simulator]
    ledger: Ledger
    endings: str  # URL of a queue that gets every event of the stack's bus
    executions: str  # URL of a queue that gets every execution that ended badly
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
        """The emulator ends in the middle of everything and comes back with its state. Raises EmulatorFailed.

        What it holds must not change while it writes that down, so the functions' calls are kept away from it.
        """
        self._to_aws.close()
        try:
            self.stack.emulator.restart()
        finally:
            self._to_aws.open()
        self.ledger.add("from outside", "emulator restarted, its state kept")

    def tell(self, vendor: str) -> None:
        """Write the account's secret, as the vendor's simulator has it now."""
        self.stack.add_account(vendor, {**self.simulators[vendor].secret(), "endpoint": self._ways[vendor]})

    def let_uploads_age(self) -> None:
        """From now on the sweep sees every open upload as old enough to be an orphan."""
        for relay in self._relays:
            relay.ages_uploads_by = ORPHAN_AGE


@contextmanager
def arena(seed: int, *, hangs: bool, say: Callable[[str], None]) -> Iterator[Arena]:
    """Everything running and every call of a function on its way through a relay; gone afterwards."""
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

        say("putting a relay on every way out of a function")
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
    """Give the function another address of AWS, as any operator could: by its environment."""
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
    """A queue behind a rule of its own; its URL."""
    sqs, events = stack.client("sqs"), stack.client("events")
    url = str(sqs.create_queue(QueueName=f"chaos-{name}")["QueueUrl"])
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=f"chaos-{name}", EventBusName=bus, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=f"chaos-{name}", EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
    return url
