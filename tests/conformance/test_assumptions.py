"""What a vendor's pages leave open is a named setting of its simulator, and the client works whichever way it is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from clipferry.outbound.client import Outbound
from clipferry.vendors import vendor_class
from clipferry.vendors.contract import LookStatus, VendorAuthFailed, VendorRefused

from local.simulators import simulator_class
from local.simulators.base import Simulator
from tests.conformance.walk import Walk


def readings(vendor: str) -> Iterator[dict[str, Any]]:
    """The settings for each way it may be: all as assumed, then one after the other otherwise."""
    yield {}
    for name, values in simulator_class(vendor).stage.assumed.items():
        for value in values:
            yield {name: value}


def test_each_assumption_is_a_setting_with_another_default(vendor: str) -> None:
    kind = simulator_class(vendor)
    for name, values in kind.stage.assumed.items():
        assert getattr(kind.settings_class(), name) not in values, name


def test_work_is_done_whichever_way_it_is(vendor: str) -> None:
    for assumed in readings(vendor):
        with simulator_class(vendor)(**assumed) as simulator:
            walk = Walk(vendor_class(vendor), simulator, request=simulator.stage.one.request)
            walk.start()
            look = walk.look_until_settled()
            assert [(look.status, file.status) for file in look.files] == [(LookStatus.READY,) * 2], (assumed, look)
            walk.wait(60)
            assert fetched(walk) in {known["sha256"] for known in simulator.expected.values()}, assumed


def fetched(walk: Walk) -> str:
    """The SHA-256 of the walk's one file, located and read."""
    remote = walk.locate(walk.task.files[0].ref)
    assert remote is not None
    with Outbound(allow_private=True).stream(remote.url, hosts=()) as answer:
        assert answer.status == 200
        return hashlib.sha256(answer.read(1 << 24)).hexdigest()


def test_what_is_unknown_is_named_whichever_way_it_is(vendor: str) -> None:
    for assumed in readings(vendor):
        with simulator_class(vendor)(**assumed) as simulator:
            code, message = refusal_of_the_unknown(simulator)
            assert code == "VENDOR_TASK_NOT_FOUND", assumed
            assert simulator.stage.unknown_id in message, assumed


def refusal_of_the_unknown(simulator: Simulator) -> tuple[str | None, str]:
    walk = Walk(vendor_class(simulator.vendor), simulator, adopt=simulator.stage.unknown)
    try:
        walk.start()
        look = walk.look_until_settled()
    except VendorRefused as refused:
        return refused.kind, refused.message
    return look.code, look.message or ""


def test_refused_credentials_are_known_as_such_whichever_way_it_is(vendor: str) -> None:
    for assumed in readings(vendor):
        with simulator_class(vendor)(**assumed) as simulator:
            for key in vendor_class(vendor).secret_keys:
                walk = Walk(vendor_class(vendor), simulator, request=simulator.stage.one.request, **{key: "wrong"})
                with pytest.raises(VendorAuthFailed):
                    walk.start()
            assert simulator.tasks == [], assumed
