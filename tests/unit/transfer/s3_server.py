"""A strict little S3 on 127.0.0.1, for transfers: what AWS checks, it checks; what AWS forgets, it forgets.

It verifies part and full-object checksums, sizes, the 5 MiB minimum, conditions and owners, and counts every request.
Faults are scripted per operation. With `keep=False` it forgets bodies and remembers only their lengths and checksums.
"""

from __future__ import annotations

import base64
import hashlib
import re
import threading
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from clipferry.transfer import client_config
from clipferry.transfer.checksums import CRC32, Crc, object_crc

from tests.unit.aws_clients import new_client

OWNER = "111122223333"
MIN_PART = 5 * 1024 * 1024


@dataclass
class StoredPart:
    body: bytes | None
    size: int
    etag: str
    crc: int


@dataclass
class Upload:
    key: str
    headers: dict[str, str]
    algorithm: Crc
    checksum_type: str
    parts: dict[int, StoredPart] = field(default_factory=dict)


@dataclass
class Object:
    body: bytes | None
    size: int
    etag: str
    headers: dict[str, str]
    crc: int | None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class S3Fault:
    """`after`: the operation takes effect, the reply is an error all the same. `hang`: seconds before anything."""

    status: int = 503
    code: str = "SlowDown"
    after: bool = False
    drop: bool = False
    garbage: bool = False
    hang: float = 0.0


class S3Server:
    def __init__(self, *, keep: bool = True, min_part: int = MIN_PART, composite: bool = False) -> None:
        self.keep, self.min_part, self.composite = keep, min_part, composite
        self.uploads: dict[str, Upload] = {}
        self.objects: dict[str, Object] = {}
        self.calls: Counter[str] = Counter()
        self.part_headers: dict[str, str] = {}
        self.faults: dict[str, list[S3Fault]] = {}
        self.before: Callable[[str], None] = lambda operation: None
        self.lock = threading.RLock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> S3Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def client(self, **config: Any) -> Any:
        settings = client_config(16).merge(_one_attempt(config))
        return new_client("s3", endpoint_url=self.url, config=settings)

    def fail(self, operation: str, *faults: S3Fault) -> None:
        self.faults.setdefault(operation, []).extend(faults)

    def next_fault(self, operation: str) -> S3Fault | None:
        with self.lock:
            self.calls[operation] += 1
            queue = self.faults.get(operation)
            return queue.pop(0) if queue else None


def _one_attempt(config: dict[str, Any]) -> Any:
    from botocore.config import Config

    return Config(**{"retries": {"total_max_attempts": 1}, "read_timeout": 5, **config})


class _Refusal(Exception):
    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


def _handler(server: S3Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 64 * 1024

        def log_message(self, *_: object) -> None: ...

        def handle(self) -> None:
            try:
                super().handle()
            except (ConnectionError, TimeoutError):
                self.close_connection = True

        def _any(self) -> None:
            parts = urlsplit(self.path)
            self.key = unquote(parts.path).lstrip("/").partition("/")[2]
            self.query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
            self.body = self._read_body()
            operation = self._operation()
            fault = server.next_fault(operation)
            server.before(operation)
            if fault and fault.hang:
                time.sleep(fault.hang)
            try:
                if fault and not fault.after and fault.drop:
                    self.close_connection = True
                    return
                if fault and fault.garbage:
                    self._reply(200, {}, b"<Initiate")
                    return
                if fault and not fault.after:
                    raise _Refusal(fault.status, fault.code)
                self._owner()
                reply = getattr(self, operation)()
                if fault and fault.drop:
                    self.close_connection = True
                    return
                if fault:
                    raise _Refusal(fault.status, fault.code)
                self._reply(*reply)
            except _Refusal as refusal:
                xml = f"<Error><Code>{refusal.code}</Code><Message>m</Message></Error>".encode()
                self._reply(refusal.status, {"Content-Type": "application/xml"}, xml)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _any

        def _read_body(self) -> bytearray:
            body = bytearray(int(self.headers.get("Content-Length", 0)))
            view, filled = memoryview(body), 0
            while filled < len(body):
                count = self.rfile.readinto(view[filled:])
                if not count:
                    raise ConnectionResetError("body cut")
                filled += count
            return body

        def _operation(self) -> str:
            method, query = self.command, self.query
            if method == "POST":
                return "CreateMultipartUpload" if "uploads" in query else "CompleteMultipartUpload"
            if method == "PUT":
                return "UploadPart" if "partNumber" in query else "PutObjectTagging"
            if method == "DELETE":
                return "AbortMultipartUpload" if "uploadId" in query else "DeleteObject"
            if method == "HEAD":
                return "HeadObject"
            if "uploads" in query:
                return "ListMultipartUploads"
            return "ListParts" if "uploadId" in query else "GetObject"

        def _owner(self) -> None:
            if self.headers.get("x-amz-expected-bucket-owner", OWNER) != OWNER:
                raise _Refusal(403, "AccessDenied")

        def _reply(self, status: int, headers: dict[str, str], body: bytes | memoryview = b"") -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "Content-Length" not in headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
            self.wfile.flush()

        # -- operations

        def CreateMultipartUpload(self) -> tuple[Any, ...]:
            headers = {name.lower(): value for name, value in self.headers.items()}
            name = headers.get("x-amz-checksum-algorithm", "CRC64NVME")
            algorithm = next(crc for crc in (CRC32, object_crc()) if crc.name == name)
            kind = "COMPOSITE" if server.composite else headers.get("x-amz-checksum-type", "FULL_OBJECT")
            with server.lock:
                upload_id = f"upload-{len(server.uploads) + server.calls['CreateMultipartUpload']}-{id(self)}"
                server.uploads[upload_id] = Upload(self.key, headers, algorithm, kind)
            xml = _xml("InitiateMultipartUploadResult", f"<Key>k</Key><UploadId>{upload_id}</UploadId>")
            return 200, {"x-amz-checksum-type": kind, "x-amz-checksum-algorithm": name}, xml

        def _upload(self) -> Upload:
            upload = server.uploads.get(self.query["uploadId"])
            if upload is None or upload.key != self.key:
                raise _Refusal(404, "NoSuchUpload")
            return upload

        def UploadPart(self) -> tuple[Any, ...]:
            with server.lock:
                upload = self._upload()
            number, crc = int(self.query["partNumber"]), upload.algorithm.of(self.body)
            if not 1 <= number <= 10_000:
                raise _Refusal(400, "InvalidArgument")
            if self.headers.get(f"x-amz-checksum-{upload.algorithm.name.lower()}") != upload.algorithm.encode(crc):
                raise _Refusal(400, "BadDigest")
            server.part_headers = {name.lower(): value for name, value in self.headers.items()}
            etag = f'"{hashlib.md5(self.body).hexdigest() if server.keep else f"{crc:032x}"}"'
            with server.lock:
                self._upload()  # aborted meanwhile?
                body = bytes(self.body) if server.keep else None
                upload.parts[number] = StoredPart(body, len(self.body), etag, crc)
            return 200, {"ETag": etag}

        def ListParts(self) -> tuple[Any, ...]:
            with server.lock:
                upload = self._upload()
                after, most = int(self.query.get("part-number-marker", 0)), int(self.query.get("max-parts", 1000))
                numbers = sorted(n for n in upload.parts if n > after)
                name, rows = upload.algorithm.name, []
                for n in numbers[:most]:
                    part = upload.parts[n]
                    rows.append(
                        f"<Part><PartNumber>{n}</PartNumber><ETag>{part.etag}</ETag><Size>{part.size}</Size>"
                        f"<Checksum{name}>{upload.algorithm.encode(part.crc)}</Checksum{name}></Part>"
                    )
            more = len(numbers) > most
            marker = f"<NextPartNumberMarker>{numbers[most - 1]}</NextPartNumberMarker>" if more else ""
            truncated = f"<IsTruncated>{str(more).lower()}</IsTruncated>"
            return 200, {}, _xml("ListPartsResult", truncated + marker + "".join(rows))

        def CompleteMultipartUpload(self) -> tuple[Any, ...]:
            with server.lock:
                upload = self._upload()
                if self.headers.get("If-None-Match") == "*" and self.key in server.objects:
                    raise _Refusal(412, "PreconditionFailed")
                root = ET.fromstring(re.sub(rb' xmlns="[^"]*"', b"", bytes(self.body)))
                listed = [(int(p.findtext("PartNumber") or 0), p.findtext("ETag")) for p in root.iter("Part")]
                if [n for n, _ in listed] != sorted({n for n, _ in listed}):
                    raise _Refusal(400, "InvalidPartOrder")
                parts = [upload.parts.get(n) for n, _ in listed]
                if not parts or any(p is None or p.etag != etag for p, (_, etag) in zip(parts, listed, strict=True)):
                    raise _Refusal(400, "InvalidPart")
                if any(p.size < server.min_part for p in parts[:-1]):
                    raise _Refusal(400, "EntityTooSmall")
                size, crc = sum(p.size for p in parts), 0
                if self.headers.get("x-amz-mp-object-size", str(size)) != str(size):
                    raise _Refusal(400, "InvalidRequest")
                for part in parts:
                    crc = upload.algorithm.combine(crc, part.crc, part.size)
                self._check_whole(upload, parts, crc)
                body = b"".join(p.body for p in parts) if server.keep else None
                digest = hashlib.md5(b"".join(bytes.fromhex(p.etag.strip('"')) for p in parts)).hexdigest()
                etag = f'"{digest}-{len(parts)}"'
                server.objects[self.key] = Object(body, size, etag, upload.headers, crc)
                del server.uploads[self.query["uploadId"]]
            return 200, {}, _xml("CompleteMultipartUploadResult", f"<ETag>{etag}</ETag>")

        def _check_whole(self, upload: Upload, parts: list[Any], crc: int) -> None:
            sent = self.headers.get(f"x-amz-checksum-{upload.algorithm.name.lower()}")
            method = upload.algorithm
            if upload.checksum_type == "COMPOSITE":
                joined = b"".join(p.crc.to_bytes(method.width // 8, "big") for p in parts)
                expected = f"{method.encode(method.of(joined))}-{len(parts)}"
            else:
                expected = method.encode(crc)
            if sent is not None and sent != expected:
                raise _Refusal(400, "BadDigest")
            server.calls["CompleteWithChecksum"] += sent is not None

        def AbortMultipartUpload(self) -> tuple[Any, ...]:
            with server.lock:
                self._upload()
                del server.uploads[self.query["uploadId"]]
            return 204, {}

        def ListMultipartUploads(self) -> tuple[Any, ...]:
            prefix = self.query.get("prefix", "")
            with server.lock:
                rows = [
                    f"<Upload><Key>{u.key}</Key><UploadId>{i}</UploadId></Upload>"
                    for i, u in server.uploads.items()
                    if u.key.startswith(prefix)
                ]
            return 200, {}, _xml("ListMultipartUploadsResult", "<IsTruncated>false</IsTruncated>" + "".join(rows))

        def _object(self) -> Object:
            with server.lock:
                found = server.objects.get(self.key)
            if found is None:
                raise _Refusal(404, "NoSuchKey")
            return found

        def HeadObject(self) -> tuple[Any, ...]:
            found = self._object()
            kept = {n: v for n, v in found.headers.items() if n.startswith("x-amz-meta-")}
            return 200, {"Content-Length": str(found.size), "ETag": found.etag, **kept}

        def GetObject(self) -> tuple[Any, ...]:
            found = self._object()
            if self.headers.get("If-Match", found.etag) != found.etag:
                raise _Refusal(412, "PreconditionFailed")
            first, last = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"]).groups()
            body = memoryview(found.body)[int(first) : int(last) + 1]
            return 206, {"Content-Range": f"bytes {first}-{last}/{found.size}", "ETag": found.etag}, body

        def DeleteObject(self) -> tuple[Any, ...]:
            with server.lock:
                server.objects.pop(self.key, None)
            return 204, {}

        def PutObjectTagging(self) -> tuple[Any, ...]:
            root = ET.fromstring(re.sub(rb' xmlns="[^"]*"', b"", bytes(self.body)))
            found = self._object()
            found.tags = {tag.findtext("Key"): tag.findtext("Value") for tag in root.iter("Tag")}
            return 200, {}

    return Handler


def _xml(name: str, inner: str) -> bytes:
    return f"<{name}>{inner}</{name}>".encode()


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def content_md5(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body).digest()).decode()
