"""A trigger leaves once, over a real socket, whatever comes back; and that is a doubt unless it is a proof."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

import pytest
from clipferry.outbound.client import Outbound
from clipferry.vendors import VENDORS, vendor_class
from clipferry.vendors.contract import (
    Account,
    CallRepeated,
    Task,
    VendorAuthFailed,
    VendorError,
    VendorRefused,
    VendorThrottled,
    VendorUnavailable,
)

SECRETS: dict[str, dict[str, str]] = {
    "linkvisual": {"access_key_id": "id", "access_key_secret": "secret"},
    "ims": {"access_key_id": "id", "access_key_secret": "secret"},
    "cloudv": {"access_key": "id", "secret_key": "secret"},
    "polyv": {"app_id": "id", "app_secret": "secret"},
}
REQUESTS: dict[str, dict[str, Any]] = {
    "linkvisual": {"iot_id": "gate-1", "record_duration": 60},
    "ims": {"upload_urls": ["https://media.example.com/a.mp4"]},
    "cloudv": {"files": [{"fetch_url": "https://media.example.com/a.mp4"}]},
    "polyv": {"vids": ["v1"]},
}


class Server:
    """Reads each request to its end, counts it as carried out, and answers with bytes."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.carried_out: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed: the test is over
                return
            with connection:
                self.carried_out.append(_whole_request(connection))
                tomorrow = formatdate(datetime.now(UTC).timestamp() + 86_400, usegmt=True)
                filled = self.answer.replace(b"{url}", self.url.encode()).replace(b"{tomorrow}", tomorrow.encode())
                connection.sendall(filled)

    def close(self) -> None:
        self._listener.close()


def _whole_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65_536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65_536)
    return head + b"\r\n\r\n" + body


@contextmanager
def serving(answer: bytes) -> Iterator[Server]:
    server = Server(answer)
    try:
        yield server
    finally:
        server.close()


def triggered(vendor: str, answer: bytes) -> tuple[VendorError, int]:
    """What the trigger raises, and how often the vendor carried it out."""
    with serving(answer) as server:
        account = Account("a", {**SECRETS[vendor], "endpoint": server.url})
        subject = vendor_class(vendor)(account, Outbound(allow_private=True))
        task = Task("ab" * 16, REQUESTS[vendor], None, {}, datetime.now(UTC))
        with pytest.raises(VendorError) as raised:
            subject.trigger(task)
        pulls = [request for request in server.carried_out if b"pullVideoQuery" not in request.split(b"\r\n")[0]]
        return raised.value, len(pulls)


def http(status: str, body: bytes | Any = b"", *headers: str) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + content


PAGE = b"<html><body>sorry</body></html>"
TRANSPORT = {
    "nothing": b"",
    "half a status line": b"HTTP/1.1 2",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "an informational answer alone": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
    "a continue alone": b"HTTP/1.1 100 Continue\r\n\r\n",
    "half a body": b'HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"code": 2',
    "half a chunk": b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{"code"',
    "half a gzip": http("200 OK", b"\x1f\x8b\x08\x00\x00", "Content-Encoding: gzip"),
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    **{f"redirect {code}": http(f"{code} Moved", b"", "Location: {url}/again") for code in (301, 302, 303, 307, 308)},
    **{
        f"page {code}": http(f"{code} X", PAGE) for code in (200, 400, 404, 408, 409, 421, 425, 499, 500, 502, 503, 504)
    },
    "page 503 with a hint": http("503 Busy", PAGE, "Retry-After: 1"),
    **{f"empty {code}": http(f"{code} X") for code in (200, 201, 202, 204, 205, 304, 408, 425, 502, 504, 520, 524)},
    **{f"json {n}": http("200 OK", body) for n, body in enumerate((None, [], "ok", 1, {"data": {}}, {"x": 1}))},
}


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("answer", TRANSPORT.values(), ids=TRANSPORT)
def test_an_answer_that_proves_nothing_is_a_doubt_after_one_call(vendor: str, answer: bytes) -> None:
    error, sent = triggered(vendor, answer)
    assert isinstance(error, VendorUnavailable)
    assert (error.reached, sent) == (True, 1)


def alibaba(code: str, status: str = "400 Bad Request", *headers: str) -> bytes:
    return http(status, {"RequestId": "r", "Code": code, "Message": "said"}, *headers)


def lv(code: str, words: str) -> bytes:
    return http("200 OK", {"Success": False, "Code": code, "ErrorMessage": words, "RequestId": "r"})


def cloudv(code: int, words: str, status: str = "200 OK", *headers: str) -> bytes:
    return http(status, {"code": code, "message": words}, *headers)


def polyv(code: int, words: str, body_code: int = 400, *headers: str) -> bytes:
    error = {"code": code, "desc": words}
    return http("200 OK", {"code": body_code, "status": "error", "error": error, "data": None}, *headers)


A_DAY_ON = "Date: {tomorrow}"  # the server fills it in: each worker must collect the same tests
REPEATED = [
    *(
        (vendor, alibaba(code, "400 Bad Request", A_DAY_ON))
        for vendor in ("linkvisual", "ims")
        for code in ("SignatureNonceUsed", "IdempotentParameterMismatch", "LastTokenProcessing", "Duplicate.Request")
    ),
    ("linkvisual", lv("400", "The request nonce was used already.")),
    ("linkvisual", lv("SignatureNonceUsed", "")),
    ("ims", http("200 OK", {"RequestId": "r", "Code": "SignatureNonceUsed", "Message": "used"})),
    *(
        ("polyv", polyv(code, words, 400, A_DAY_ON))
        for code, words in ((2011, "sign already used"), (2012, "timestamp has been used"), (2013, "任务已存在"))
    ),
]


@pytest.mark.parametrize(("vendor", "answer"), REPEATED)
def test_an_answer_that_proves_that_the_call_had_come_before_is_a_doubt_after_one_call(
    vendor: str, answer: bytes
) -> None:
    error, sent = triggered(vendor, answer)
    assert isinstance(error, CallRepeated)
    assert (error.reached, sent) == (True, 1)


@pytest.mark.parametrize("words", ["transNo重复", "transNo已存在", "duplicate transNo", "task already exists"])
def test_a_trans_no_that_was_used_is_looked_up_before_it_is_a_doubt(words: str) -> None:
    """The lookup gets the same answer here, so that nothing can be told."""
    error, sent = triggered("cloudv", cloudv(1000, words, "200 OK", A_DAY_ON))
    assert isinstance(error, VendorUnavailable)
    assert (error.reached, sent) == (True, 1)


def test_an_informational_answer_before_the_vendors_own_is_passed_over() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
    error, sent = triggered("linkvisual", hints + alibaba("Throttling.User"))
    assert (type(error), sent) == (VendorThrottled, 1)


UNCLEAR = [
    *(
        (vendor, alibaba(code, status))
        for vendor in ("linkvisual", "ims")
        for code, status in (
            ("InternalError", "500 Error"),
            ("InternalError", "400 Bad Request"),
            ("ServiceUnavailable", "503 Unavailable"),
            ("ServiceUnAvailable", "400 Bad Request"),
            ("UnknownError", "400 Bad Request"),
            ("Backend.Timeout", "504 Timeout"),
            ("InvalidParameter", "500 Error"),
            ("SignatureDoesNotMatch", "502 Bad Gateway"),
            ("WhoKnows", "408 Timeout"),
            ("WhoKnows", "425 Too Early"),
        )
    ),
    ("linkvisual", lv("500", "The request has failed due to a temporary failure of the server.")),
    ("cloudv", cloudv(500, "系统错误")),
    ("cloudv", cloudv(1000, "系统繁忙，请稍后重试")),
    ("cloudv", cloudv(1000, "error", "503 Unavailable", "Retry-After: 1")),
    ("polyv", polyv(500, "server error", 500)),
    ("polyv", polyv(2999, "系统繁忙", 400)),
]


@pytest.mark.parametrize(("vendor", "answer"), UNCLEAR)
def test_a_failure_of_the_vendors_own_is_a_doubt_after_one_call(vendor: str, answer: bytes) -> None:
    error, sent = triggered(vendor, answer)
    assert isinstance(error, VendorUnavailable)
    assert (error.reached, sent) == (True, 1)


NO_EFFECT = [
    *(
        (vendor, alibaba(code, status), error)
        for vendor in ("linkvisual", "ims")
        for code, status, error in (
            ("Throttling", "400 Bad Request", VendorThrottled),
            ("Throttling.Api", "503 Unavailable", VendorThrottled),
            ("FlowControlError", "400 Bad Request", VendorThrottled),
            ("ServiceBusy", "400 Bad Request", VendorUnavailable),
            ("SystemBusy", "503 Unavailable", VendorUnavailable),
            ("InvalidParameter", "400 Bad Request", VendorRefused),
            ("InvalidParameter.DuplicateTag", "400 Bad Request", VendorRefused),
            ("WhoKnows", "400 Bad Request", VendorRefused),
            ("NoPermission", "403 Forbidden", VendorAuthFailed),
        )
    ),
    ("linkvisual", lv("403", "device status error."), VendorRefused),
    ("linkvisual", lv("SystemBusy", "busy"), VendorUnavailable),
    ("linkvisual", http("429 Slow", PAGE), VendorThrottled),
    ("cloudv", cloudv(429, "x"), VendorThrottled),
    ("cloudv", cloudv(1301, "x"), VendorAuthFailed),
    ("polyv", polyv(2000, "invalid vid"), VendorRefused),
    ("polyv", polyv(104, "invalid signature", 403), VendorAuthFailed),
]


@pytest.mark.parametrize(("vendor", "answer", "kind"), NO_EFFECT)
def test_the_vendors_own_word_that_it_did_nothing_is_believed(
    vendor: str, answer: bytes, kind: type[VendorError]
) -> None:
    error, sent = triggered(vendor, answer)
    assert isinstance(error, kind)
    assert not getattr(error, "reached", False)
    assert sent == 1


CLOCK = {
    "linkvisual": lambda date: alibaba("InvalidTimeStamp.Expired", "400 Bad Request", date),
    "ims": lambda date: alibaba("InvalidTimeStamp.Expired", "400 Bad Request", date),
    "cloudv": lambda date: cloudv(403, "timestamp expired", "403 Forbidden", date),
    "polyv": lambda date: polyv(100, "invalid timestamp", 400, date),
}
TOLERANCE = {"linkvisual": 900, "ims": 900, "cloudv": 300, "polyv": 180}


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("ahead", [86_400, -86_400, -200])
def test_a_time_that_no_copy_of_the_call_can_have_been_accepted_with_is_mended_and_sent_again(
    vendor: str, ahead: float
) -> None:
    date = f"Date: {formatdate(datetime.now(UTC).timestamp() + ahead, usegmt=True)}"
    _, sent = triggered(vendor, CLOCK[vendor](date))
    assert sent >= 2


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_time_that_an_earlier_copy_may_have_been_accepted_with_is_a_doubt(vendor: str) -> None:
    """It lies behind the vendor's by less than the vendor tolerates: an earlier copy may have been in time."""
    date = f"Date: {formatdate(datetime.now(UTC).timestamp() + TOLERANCE[vendor] - 20, usegmt=True)}"
    error, sent = triggered(vendor, CLOCK[vendor](date))
    assert isinstance(error, VendorUnavailable)
    assert (error.reached, sent) == (True, 1)
