"""The two ends of the transfer benchmark, each a process of its own so that its work is nobody's measured time.

    python -m tests.benchmarks.transfer_servers source --size N [--rate B/s] [--first-byte s]
    python -m tests.benchmarks.transfer_servers sink

The source serves synthetic bytes out of the page cache, each connection no faster than the rate. The sink is an S3 that
keeps nothing but sizes and checksums, and lets the kernel drop what arrives. Both print their port.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import IO, Any
from urllib.parse import parse_qs, unquote, urlsplit

BLOCK = 64 * 1024 * 1024  # the file repeats these bytes
STEP = 64 * 1024  # bytes between two looks at a limited connection's clock
#: An MP4 whose media data reach to the end of the file, however long that is.
HEAD = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom\x00\x00\x00\x08moov\x00\x00\x00\x00mdat"


_SCRATCH = bytearray(4 * 1024 * 1024)  # never written to


def content() -> IO[bytes]:
    """The block that every synthetic file repeats, the same in each process."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the server
    noise = random.Random(1).randbytes(1024 * 1024)
    file.write(HEAD + (noise * (BLOCK // len(noise)))[len(HEAD) :])
    file.flush()
    return file


def send(connection: socket.socket, file: IO[bytes], position: int, end: int, step: int) -> Iterator[int]:
    """Send the synthetic bytes from `position` to `end`, yielding how many went out at a time."""
    while position < end:
        offset = position % BLOCK
        count = os.sendfile(connection.fileno(), file.fileno(), offset, min(end - position, BLOCK - offset, step))
        position += count
        yield count


class Server:
    """Threads over one listening socket; a subclass answers requests."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listening.getsockname()[1]

    def serve(self) -> None:
        print(self.port, flush=True)
        while True:
            connection, _ = self._listening.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        pending = b""
        with connection:
            try:
                while True:
                    while b"\r\n\r\n" not in pending:
                        received = connection.recv(65_536)
                        if not received:
                            return
                        pending += received
                    head, pending = pending.split(b"\r\n\r\n", 1)
                    line, *fields = head.decode("latin-1").split("\r\n")
                    headers = {name.lower(): value.strip() for name, _, value in (f.partition(":") for f in fields)}
                    pending = self.answer(connection, line.split(" "), headers, pending)
            except (ConnectionError, TimeoutError):
                return

    def answer(self, connection: socket.socket, request: list[str], headers: dict[str, str], body: bytes) -> bytes:
        """Answer one request; gives back what arrived beyond its body."""
        raise NotImplementedError


class Source(Server):
    def __init__(self, size: int, rate: float, first_byte: float) -> None:
        super().__init__()
        self._size, self._rate, self._first_byte = size, rate, first_byte
        self._file = content()
        self._sent = 0
        self._lock = threading.Lock()

    def answer(self, connection: socket.socket, request: list[str], headers: dict[str, str], body: bytes) -> bytes:
        if request[1] == "/stats":
            text = str(self._sent).encode()
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))
            return body
        time.sleep(self._first_byte)
        first, last, status = 0, self._size - 1, "200 OK"
        extra = ""
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("range", "")):
            first, last = int(asked[1]), min(int(asked[2] or last), last)
            status, extra = "206 Partial Content", f"Content-Range: bytes {first}-{last}/{self._size}\r\n"
        connection.sendall(
            f'HTTP/1.1 {status}\r\nContent-Length: {last - first + 1}\r\nETag: "bench-1"\r\nAccept-Ranges: bytes\r\n'
            f"Content-Type: video/mp4\r\n{extra}\r\n".encode()
        )
        if request[0] != "HEAD":
            self._send(connection, first, last + 1)
        return body

    def _send(self, connection: socket.socket, position: int, end: int) -> None:
        started, sent = time.monotonic(), 0
        for count in send(connection, self._file, position, end, STEP if self._rate else BLOCK):
            sent += count
            with self._lock:
                self._sent += count
            if self._rate:
                time.sleep(max(0.0, sent / self._rate - (time.monotonic() - started)))


class Sink(Server):
    """Create, parts, list, complete, abort, put, head, get: as much S3 as the contenders speak.

    What it is asked to give back are the source's bytes, which is what a right copy would have left.
    """

    def __init__(self) -> None:
        super().__init__()
        self._file = content()
        self._objects: dict[str, int] = {}
        self._uploads: dict[str, dict[int, tuple[int, dict[str, str]]]] = {}
        self.calls: Counter[str] = Counter()
        self._lock = threading.Lock()

    def answer(self, connection: socket.socket, request: list[str], headers: dict[str, str], body: bytes) -> bytes:
        method, target = request[0], urlsplit(request[1])
        query = {name: values[0] for name, values in parse_qs(target.query, keep_blank_values=True).items()}
        if headers.get("expect", "").lower() == "100-continue":
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        length = int(headers.get("content-length", 0))
        rest = _drop(connection, body, length)
        if target.path == "/stats":
            text = " ".join(f"{name}={count}" for name, count in sorted(self.calls.items()))
            self.calls.clear()
            return _reply(connection, 200, {}, text.encode(), rest)
        if method == "GET" and target.path in self._objects:
            self.calls["GetObject"] += 1
            return self._give_back(connection, self._objects[target.path], headers["range"], rest)
        size = int(headers.get("x-amz-decoded-content-length", length))
        with self._lock:
            status, fields, content = self._s3(method, unquote(target.path), query, headers, size)
        return _reply(connection, status, fields, b"" if method == "HEAD" else content, rest)

    def _give_back(self, connection: socket.socket, size: int, asked: str, rest: bytes) -> bytes:
        first, last = (int(text) for text in asked.removeprefix("bytes=").split("-"))
        fields = f"Content-Range: bytes {first}-{last}/{size}\r\nContent-Length: {last - first + 1}"
        connection.sendall(f"HTTP/1.1 206 S3\r\n{fields}\r\n\r\n".encode())
        for _ in send(connection, self._file, first, last + 1, BLOCK):
            pass
        return rest

    def _s3(self, method: str, key: str, query: dict[str, str], headers: dict[str, str],
            size: int) -> tuple[int, dict[str, str], bytes]:  # fmt: skip
        upload = self._uploads.get(query.get("uploadId", ""))
        sums = {n: v for n, v in headers.items() if n.startswith("x-amz-checksum-")}
        if method == "POST" and "uploads" in query:
            self.calls["CreateMultipartUpload"] += 1
            name = f"u{len(self._uploads)}"
            self._uploads[name] = {}
            kind = headers.get("x-amz-checksum-type", "FULL_OBJECT")
            return 200, {"x-amz-checksum-type": kind}, _xml("InitiateMultipartUploadResult", _tag("UploadId", name))
        if method == "PUT" and "partNumber" in query and upload is not None:
            self.calls["UploadPart"] += 1
            upload[int(query["partNumber"])] = (size, sums)
            return 200, {"ETag": f'"{query["partNumber"]}"', **sums}, b""
        if method == "GET" and upload is not None:
            self.calls["ListParts"] += 1
            return 200, {}, _xml("ListPartsResult", _tag("IsTruncated", "false") + _parts(upload))
        if method == "POST" and upload is not None:
            self.calls["CompleteMultipartUpload"] += 1
            self._objects[key] = sum(part for part, _ in upload.values())
            return 200, {}, _xml("CompleteMultipartUploadResult", _tag("ETag", '"done-1"'))
        if method == "PUT":
            self.calls["PutObject"] += 1
            self._objects[key] = size
            return 200, {"ETag": '"done"'}, b""
        if method == "HEAD" and key in self._objects:
            return 200, {"Content-Length": str(self._objects[key]), "ETag": '"done"'}, b""
        if method == "GET" and "uploads" in query:
            self.calls["ListMultipartUploads"] += 1
            return 200, {}, _xml("ListMultipartUploadsResult", _tag("IsTruncated", "false"))
        if method == "GET":
            return 200, {}, _xml("ListBucketResult", _tag("IsTruncated", "false"))
        return (204 if method == "DELETE" else 404), {}, b""


def _parts(upload: dict[int, tuple[int, dict[str, str]]]) -> str:
    rows = []
    for number, (size, sums) in sorted(upload.items()):
        named = "".join(_tag(f"Checksum{n.rsplit('-', 1)[1].upper()}", v) for n, v in sums.items())
        rows.append(_tag("Part", f"{_tag('PartNumber', number)}{_tag('ETag', number)}{_tag('Size', size)}{named}"))
    return "".join(rows)


def _drop(connection: socket.socket, body: bytes, length: int) -> bytes:
    """Let the kernel throw away the rest of a body; what came beyond it is given back."""
    left = length - len(body)
    while left > 0:
        count = connection.recv_into(_SCRATCH, min(left, len(_SCRATCH)), socket.MSG_TRUNC)  # not even copied: tcp(7)
        if count == 0:
            raise ConnectionResetError
        left -= count
    return body[length:]


def _reply(connection: socket.socket, status: int, headers: dict[str, str], body: bytes, rest: bytes) -> bytes:
    fields = {"Content-Length": str(len(body)), **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    connection.sendall(f"HTTP/1.1 {status} S3\r\n{lines}\r\n".encode() + body)
    return rest


def _tag(name: str, value: Any) -> str:
    return f"<{name}>{value}</{name}>"


def _xml(name: str, inner: str) -> bytes:
    return _tag(name, inner).encode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=["source", "sink"])
    parser.add_argument("--size", type=int, default=0)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--first-byte", type=float, default=0.0)
    given = parser.parse_args()
    (Sink() if given.role == "sink" else Source(given.size, given.rate, given.first_byte)).serve()


if __name__ == "__main__":
    main()
