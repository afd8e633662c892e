"""What an answer proves about the call that it answers: a call that acts is sent again only when it had no effect."""

from __future__ import annotations

from typing import Any

import pytest
from clipferry.vendors.call_results import SAYS_REPEATED, Meaning, settle
from clipferry.vendors.contract import VendorError, VendorRefused, VendorThrottled, VendorUnavailable

from tests.unit.vendors.test_alibaba import client, refused, reply
from tests.unit.vendors.test_ims import B, ims, task

#: Answers of a gateway that had the call before, or that may have passed it on.
DOUBTFUL = [
    refused(400, "SignatureNonceUsed"),
    refused(400, "SignatureNonceUsed", "The request signature nonce has been used."),
    refused(400, "IdempotentParameterMismatch"),
    refused(409, "LastTokenProcessing"),
    refused(400, "DuplicateRequest"),
    refused(500, "InternalError"),
    refused(503, "ServiceUnavailable"),
    refused(400, "RequestTimeout"),
    reply(b"<html>bad gateway</html>", 502),
    reply(b"", 504),
    reply(b"", 408),
    reply(b"", 425),
    reply(b"", 302),
    reply(b'{"RequestId": "R-1", "Code": "Sign', 400),
]
#: Answers that say that the call was not carried out, and may be sent later.
NOT_NOW = [
    refused(400, "ServiceBusy"),
    refused(503, "SystemBusy"),
    refused(400, "FlowControlError"),
    refused(400, "Throttling"),
    refused(400, "Throttling.User"),
    refused(429, "Whatever"),
    reply(b"<html>slow down</html>", 429),
]


@pytest.mark.parametrize("answer", DOUBTFUL)
def test_a_trigger_is_not_sent_again_after_an_answer_that_proves_nothing_or_that_it_came_before(answer: Any) -> None:
    rpc, outbound = client(*[answer] * 4)
    with pytest.raises(VendorUnavailable) as raised:
        rpc.call("TriggerRecord", "2018-01-20", {"IotId": "cam"}, acts=True)
    assert (raised.value.reached, len(outbound.sent)) == (True, 1)


@pytest.mark.parametrize("answer", NOT_NOW)
def test_a_vendor_that_is_busy_is_asked_again_later_and_has_done_nothing(answer: Any) -> None:
    rpc, outbound = client(answer)
    with pytest.raises((VendorThrottled, VendorUnavailable)) as raised:
        rpc.call("TriggerRecord", "2018-01-20", {"IotId": "cam"}, acts=True)
    assert not isinstance(raised.value, VendorRefused)
    assert isinstance(raised.value, VendorThrottled) or not raised.value.reached
    assert len(outbound.sent) == 1


@pytest.mark.parametrize("answer", [*DOUBTFUL[:5], *DOUBTFUL[5:12]])
def test_an_upload_of_ims_is_not_asked_for_twice(answer: Any) -> None:
    vendor, outbound = ims(UploadMediaByURL=[answer] * 4)
    with pytest.raises(VendorError) as raised:
        vendor.trigger(task(B))
    assert isinstance(raised.value, VendorUnavailable)
    assert (raised.value.reached, len(outbound.named("UploadMediaByURL"))) == (True, 1)


@pytest.mark.parametrize(
    ("known", "status", "own", "meaning"),
    [
        (None, 400, True, Meaning.REFUSED),
        (None, 401, True, Meaning.AUTH),
        (None, 200, True, Meaning.REFUSED),
        (None, 500, True, Meaning.UNCLEAR),
        (None, 302, True, Meaning.UNCLEAR),
        (None, 408, True, Meaning.UNCLEAR),
        (None, 400, False, Meaning.UNCLEAR),
        (None, 429, False, Meaning.THROTTLED),
        (Meaning.REFUSED, 500, True, Meaning.UNCLEAR),
        (Meaning.AUTH, 502, True, Meaning.UNCLEAR),
        (Meaning.THROTTLED, 503, True, Meaning.THROTTLED),
        (Meaning.REPEATED, 400, True, Meaning.REPEATED),
    ],
)
def test_what_a_code_means_is_settled_with_the_status(
    known: Meaning | None, status: int, own: bool, meaning: Meaning
) -> None:
    assert settle(known, status, own=own) is meaning


@pytest.mark.parametrize(
    ("words", "repeated"),
    [
        ("the nonce has been used", True),
        ("transNo重复", True),
        ("task already exists", True),
        ("duplicate request", True),
        ("请求重复提交", True),
        ("invalid parameter", False),
        ("no permission", False),
    ],
)
def test_words_that_say_that_a_call_came_before(words: str, repeated: bool) -> None:
    assert bool(SAYS_REPEATED.search(words)) is repeated
