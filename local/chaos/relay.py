"""A server between the functions and what they call. It forwards a call unchanged, or makes a fault of it.

The functions get its address from their environment (AWS_ENDPOINT_URL) and from their accounts (`endpoint`). It
forwards the Host header and the signature unchanged, so AWS and the vendors still check both.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from local.chaos.draws import Call, Copying, Draws, Harm, Ledger
from local.chaos.workers import kill_caller

LATE = 0.8  # seconds
HANG = 25.0  # seconds; the functions wait 20 seconds for an answer of a vendor
_HOP = {"connection", "keep-alive", "transfer-encoding", "expect", "te", "upgrade"}
_TARGETS = {"DynamoDB_20120810": "dynamodb", "AWSStepFunctions": "states", "AWSEvents": "events"}
_PROGRESS = ("UploadPart", "PutObject", "CompleteMultipartUpload")
_READS = ("Get", "Query", "BatchGet", "Describe", "List", "Head")
_MARK = re.compile(rb"chaos/(\d+-\d+)")
_JOB_ID = re.compile(rb"(?<![0-9A-Z])[0-9A-HJKMNP-TV-Z]{26}(?![0-9A-Z])")
_INITIATED = re.compile(rb"<Initiated>([^<]+)</Initiated>")

Reader = Callable[[str, str, Message, bytes], Call]  # (method, target, headers, body) → the call


class Marks:
    """Finds the job and the seed of a call: by the prefix in the job's row and objects, or by the job's id."""

    def __init__(self) -> None:
        self._by_id: dict[bytes, str] = {}

    def of(self, target: str, body: bytes) -> str:
        text = target.encode() + b"\n" + body[:65536]
        mark, job_id = _MARK.search(text), _JOB_ID.search(text)
        if mark and job_id:
            self._by_id[job_id.group()] = mark.group(1).decode()
        if mark:
            return mark.group(1).decode()
        return self._by_id.get(job_id.group(), "") if job_id else ""


def aws_reader(function: str, marks: Marks) -> Reader:
    """Reads the AWS calls of one function."""

    def read(method: str, target: str, headers: Message, body: bytes) -> Call:
        prefix, _, operation = (headers.get("X-Amz-Target") or "").rpartition(".")
        service = _TARGETS.get(prefix, prefix or "s3")
        operation = operation or _s3_operation(method, target)
        payload = b"" if operation == "UploadPart" else body
        return Call(function, service, operation, not operation.startswith(_READS), marks.of(target, payload))

    return read


def _s3_operation(method: str, target: str) -> str:
    path, query = urlsplit(target).path, parse_qs(urlsplit(target).query, keep_blank_values=True)
    match method:
        case "POST":
            return "CreateMultipartUpload" if "uploads" in query else "CompleteMultipartUpload"
        case "PUT" if "partNumber" in query:
            return "UploadPart"
        case "PUT":
            return "PutObjectTagging" if "tagging" in query else "PutObject"
        case "DELETE":
            return "AbortMultipartUpload" if "uploadId" in query else "DeleteObject"
        case "GET" if "uploads" in query:
            return "ListMultipartUploads"
        case "GET" if "uploadId" in query:
            return "ListParts"
    return ("HeadObject" if method == "HEAD" else "GetObject") if path.count("/") > 1 else "ListObjects"


def values_set(update: bytes) -> set[str]:
    """The attributes to which an UpdateItem of DynamoDB gives a value."""
    request = json.loads(update)
    setting = request["UpdateExpression"].partition("SET ")[2].partition(" REMOVE ")[0]
    names = request.get("ExpressionAttributeNames", {})
    return {names.get(name, name) for name in re.findall(r"([#\w]+) = ", setting)}


class Gate:
    """Closed while the emulator is restarted. A call that comes then is lost, because its caller is lost too."""

    def __init__(self) -> None:
        self._closed = False
        self._inside = 0
        self._changed = threading.Condition()

    def close(self, patience: float = 10.0) -> None:
        """Let no call in, and wait for the calls inside. They may take as long as LATE, or as a vendor's delay."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: not self._inside, patience)

    def open(self) -> None:
        with self._changed:
            self._closed = False

    @contextmanager
    def passage(self) -> Iterator[bool]:
        """Whether the call may go through."""
        with self._changed:
            let_in = not self._closed
            self._inside += let_in
        try:
            yield let_in
        finally:
            with self._changed:
                self._inside -= let_in
                self._changed.notify_all()


class Relay(ThreadingHTTPServer):
    """A relay to one upstream server, on its own port. A context manager."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(
        self,
        upstream: str,
        read: Reader,
        draws: Draws,
        ledger: Ledger,
        emulator_pid: Callable[[], int | None],
        where: str,
        gate: Gate,
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(upstream).netloc
        self.read, self.draws, self.ledger, self.emulator_pid, self.where = read, draws, ledger, emulator_pid, where
        self.gate = gate
        self.ages_uploads_by = timedelta()  # how much older open uploads look in the replies
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors from a client that was killed, or from an emulator that is being restarted."""
        import sys

        if not isinstance(sys.exc_info()[1], OSError | http.client.HTTPException):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Relay
    _upstream: http.client.HTTPConnection | None = None

    def _serve(self) -> None:
        body = self._body()
        call = self.server.read(self.command, self.path, self.headers, body)
        if call.caller == "download" and call.job:
            self._count(call, body)
        harm = self.server.draws.at(call)
        try:
            with self.server.gate.passage() as let_in:
                if not let_in:
                    self._reset()
                elif harm is None:
                    self._answer(call, *self._forward(body))
                else:
                    self._harm(call, harm, body)
        except (OSError, http.client.HTTPException):  # the client or the emulator is gone at the moment
            self._reset()

    def _count(self, call: Call, body: bytes) -> None:
        """Count the call: `download` reads its job once when it begins, and each write to S3 is progress."""
        if call.operation == "Query":
            self.server.ledger.copying(call.job, Copying.CALLED)
        elif call.operation in _PROGRESS:
            self.server.ledger.copying(call.job, Copying.FURTHER)
        elif call.operation == "UpdateItem" and {"refused_at", "call_seconds"} <= values_set(body):
            self.server.ledger.copying(call.job, Copying.WAITED)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve

    def _harm(self, call: Call, harm: Harm, body: bytes) -> None:
        if harm.crash:
            self._crash(call, harm, body)
            return
        self.server.ledger.add(self.server.where, harm.value, call.job.partition("-")[0])
        match harm:
            case Harm.ERROR_BEFORE | Harm.THROTTLED:
                self._answer(call, *_refusal(call.service, throttled=harm is Harm.THROTTLED))
            case Harm.ERROR_AFTER:
                self._forward(body)
                self._answer(call, *_refusal(call.service, throttled=False))
            case Harm.LOST_BEFORE:
                self._reset()
            case Harm.LOST_AFTER:
                self._forward(body)
                self._reset()
            case Harm.LATE:
                reply = self._forward(body)
                time.sleep(LATE)
                self._answer(call, *reply)
            case Harm.HUNG_BEFORE:
                time.sleep(HANG)
                self._reset()
            case Harm.HUNG_AFTER:
                self._forward(body)
                time.sleep(HANG)
                self._reset()

    def _crash(self, call: Call, harm: Harm, body: bytes) -> None:
        """Kill the caller. If it cannot be found, its call is forwarded as usual."""
        reply = self._forward(body) if harm is Harm.CRASH_AFTER else None
        server, client = self.server, self.client_address[1]
        killed = kill_caller(server.emulator_pid(), client, server.server_address[1])
        if killed is None:
            self._answer(call, *(reply or self._forward(body)))
            return
        server.ledger.add("Lambda", harm.value, call.job.partition("-")[0])
        side = "after" if harm is Harm.CRASH_AFTER else "before"
        server.ledger.crash(killed.rpartition("-")[2], f"{call.service} {call.operation}", side)
        self._reset()

    def _body(self) -> bytes:
        if (self.headers.get("Transfer-Encoding") or "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            continue  # trailers
        return b"".join(pieces)

    def _forward(self, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        """Send the request to the upstream server. Returns its answer."""
        connection = self._upstream or http.client.HTTPConnection(self.server.upstream, timeout=120)
        self._upstream = None
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _HOP and name.lower() != "content-length":
                connection.putheader(name, value)
        if body or self.command in ("POST", "PUT"):
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        content = response.read()
        if not response.will_close:
            self._upstream = connection
        return response.status, dict(response.headers.items()), content

    def _answer(self, call: Call, status: int, headers: Mapping[str, str], body: bytes) -> None:
        if call.operation == "ListMultipartUploads" and self.server.ages_uploads_by:
            body = _INITIATED.sub(self._aged, body)
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in _HOP and (name.lower() != "content-length" or self.command == "HEAD"):
                self.send_header(name, value)
        if self.command != "HEAD" and status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and body:
            self.wfile.write(body)

    def _aged(self, found: re.Match[bytes]) -> bytes:
        began = datetime.fromisoformat(found[1].decode().replace("Z", "+00:00")) - self.server.ages_uploads_by
        return b"<Initiated>" + began.strftime("%Y-%m-%dT%H:%M:%S.000Z").encode() + b"</Initiated>"

    def _reset(self) -> None:
        """Close with RST."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def finish(self) -> None:
        if self._upstream:
            self._upstream.close()
        super().finish()

    def log_message(self, *_: object) -> None:
        """No log: the ledger counts the faults."""


def _refusal(service: str, *, throttled: bool) -> tuple[int, Mapping[str, str], bytes]:
    """The service's own reply for throttling, or for an internal error."""
    if service == "s3":
        status, code = (503, "SlowDown") if throttled else (500, "InternalError")
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>chaos</Message></Error>"
        return status, {"Content-Type": "application/xml"}, body.encode()
    if throttled:
        status, code = 400, "ProvisionedThroughputExceededException" if service == "dynamodb" else "ThrottlingException"
    else:
        status, code = 500, "InternalServerError" if service == "dynamodb" else "InternalException"
    body = f'{{"__type": "{code}", "message": "chaos"}}'
    return status, {"Content-Type": "application/x-amz-json-1.0"}, body.encode()
