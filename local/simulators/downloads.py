"""A vendor's file servers: signed URLs that expire, ranges and preconditions (RFC 9110), and faults."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from email.utils import formatdate, parsedate_to_datetime
from urllib.parse import quote, urlencode

from local.simulators.clock import Clock
from local.simulators.faults import Fault, Kind
from local.simulators.media import Clip, free_box, null_packet
from local.simulators.wire import Request, Response, html_response

ACCESS_KEY = "sim-download-key"
_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")


@dataclass
class Published:
    """One file on the server. `ref` is the vendor's name for it."""

    ref: str
    path: str  # absolute, decoded
    clip: Clip
    visible_at: float = 0.0  # by `clock.now()`; 404 before
    modified: float = 0.0  # epoch seconds

    @property
    def etag(self) -> str:
        return f'"{self.clip.md5.upper()}"'


class DownloadArea:
    """Files by their paths. `style` says how URLs are signed, and which headers the server sends:

    * `oss`: Alibaba OSS presigned URLs, V1 (`OSSAccessKeyId`, `Expires`, `Signature`), with OSS's checksum headers
    * `auth_key`: a CDN's `auth_key=<epoch>-<rand>-0-<md5>`
    * `open`: no signature
    """

    def __init__(self, clock: Clock, *, style: str = "oss", secret: str = "sim-download-secret") -> None:
        self.style, self.secret = style, secret
        self.rate: float | None = None  # bytes per second and connection
        self.first_byte = 0.0  # seconds before the reply starts
        self.cut_mark: str | None = None  # a file with this text in its ref is served cut, as if it were whole
        self._clock = clock
        self._files: dict[str, Published] = {}

    def publish(self, ref: str, path: str, clip: Clip, *, visible_after: float = 0.0) -> None:
        """Put a file on the server; it can be found after `visible_after` vendor seconds."""
        if self.cut_mark and self.cut_mark in ref:
            clip = clip.cut_short()
        visible_at = self._clock.now() + visible_after
        self._files[path] = Published(ref, path, clip, visible_at, modified=int(self._clock.wall()))

    def remove(self, path: str) -> None:
        self._files.pop(path, None)

    def holds(self, path: str) -> bool:
        return path in self._files

    def ref(self, path: str) -> str:
        return self._files[path].ref

    @property
    def expected(self) -> dict[str, dict[str, object]]:
        """`sha256`, `md5` and `size` of every file by ref."""
        return {
            f.ref: {"sha256": f.clip.sha256, "md5": f.clip.md5, "size": f.clip.size} for f in list(self._files.values())
        }

    # --- URLs ---

    def url(self, base: str, path: str, lifetime: float) -> str:
        """A URL for `path` at `base` (scheme and authority), valid for `lifetime` real seconds."""
        expires = int(self._clock.wall() + lifetime)
        if self.style == "oss":
            location = base + "/" + quote(path[1:], safe="")
            signature = self._oss("GET", expires, path)
            signed = {"OSSAccessKeyId": ACCESS_KEY, "Expires": str(expires), "Signature": signature}
            return f"{location}?{urlencode(signed)}"
        location = base + quote(path)
        if self.style == "auth_key":
            return f"{location}?auth_key={self._auth_key(expires, 'sim', path)}"
        return location

    def _oss(self, method: str, expires: int, path: str) -> str:
        text = f"{method}\n\n\n{expires}\n/sim-bucket{path}"
        return base64.b64encode(hmac.new(self.secret.encode(), text.encode(), hashlib.sha1).digest()).decode()

    def _auth_key(self, expires: int, rand: str, path: str) -> str:
        digest = hashlib.md5(f"{quote(path)}-{expires}-{rand}-0-{self.secret}".encode()).hexdigest()
        return f"{expires}-{rand}-0-{digest}"

    def _denied(self, request: Request) -> str | None:
        """Why the URL is not valid, or not valid any more; None if it is valid."""
        query = request.query
        if self.style == "open":
            return None
        if self.style == "oss":
            expires = query.get("Expires", "")
            good = (
                expires.isdigit()
                and query.get("OSSAccessKeyId") == ACCESS_KEY
                and hmac.compare_digest(
                    query.get("Signature", "").encode(), self._oss(request.method, int(expires), request.path).encode()
                )
            )
        else:
            expires, _, rest = query.get("auth_key", "").partition("-")
            good = expires.isdigit() and hmac.compare_digest(
                query["auth_key"].encode(), self._auth_key(int(expires), rest.partition("-")[0], request.path).encode()
            )
        if not good:
            return "SignatureDoesNotMatch"
        return "AccessDenied: Request has expired." if int(expires) <= self._clock.wall() else None

    # --- answers ---

    def answer(self, request: Request, fault: Fault | None) -> Response:
        """The server's reply to a GET or HEAD, changed by `fault`."""
        if self.first_byte:
            time.sleep(self.first_byte)
        denied = self._denied(request)
        if denied:
            return _error(403, denied)
        file = self._files.get(request.path)
        if file is None or self._clock.now() < file.visible_at:
            return _error(404, "NoSuchKey")
        if fault is None:
            return self._paced(_serve(file, request, self._headers(file)))
        return self._paced(self._faulty(file, request, fault))

    def _headers(self, file: Published) -> dict[str, str]:
        headers = {
            "Content-Type": file.clip.content_type,
            "ETag": file.etag,
            "Accept-Ranges": "bytes",
            "Last-Modified": formatdate(file.modified, usegmt=True),
        }
        if self.style == "oss":
            headers["Content-MD5"] = base64.b64encode(bytes.fromhex(file.clip.md5)).decode()
            headers["x-oss-hash-crc64ecma"] = str(file.clip.crc64)
            headers["x-oss-object-type"] = "Normal"
        return headers

    def _faulty(self, file: Published, request: Request, fault: Fault) -> Response:
        headers = self._headers(file)
        match fault.kind:
            case Kind.MISSING:
                return _error(404, "NoSuchKey")
            case Kind.EXPIRED:
                return _error(403, "AccessDenied: Request has expired.")
            case Kind.REDIRECT:
                return Response(302, b"", {"Location": fault.location or request.target})  # by default a loop
            case Kind.NO_RANGES | Kind.NO_LENGTH:
                headers.pop("Accept-Ranges")
                length = file.clip.size if fault.kind is Kind.NO_RANGES else None
                return Response(200, (length, file.clip.read()), headers)
            case Kind.GZIP:
                packed = gzip.compress(b"".join(file.clip.read()), 1)
                return Response(200, packed, {**headers, "Content-Encoding": "gzip"})
            case Kind.CHANGED:
                changed = replace(file.clip, tail=file.clip.tail + _skippable(file.clip.content_type))
                self._files[file.path] = file = replace(file, clip=changed, modified=file.modified + 1)
                return _serve(file, request, self._headers(file))
        response = _serve(file, request, headers)
        match fault.kind:
            case Kind.WRONG_RANGE if response.status == 206:
                total = file.clip.size
                response.headers["Content-Range"] = f"bytes 1-{min(total - 1, max(1, _length(response)))}/{total}"
            case Kind.SHORT | Kind.RESET:
                response.cut_after, response.reset = fault.after, fault.kind is Kind.RESET
        return response

    def _paced(self, response: Response) -> Response:
        if self.rate and not isinstance(response.body, bytes):
            length, chunks = response.body
            response.body = (length, _throttle(chunks, self.rate))
        return response


def _serve(file: Published, request: Request, headers: dict[str, str]) -> Response:
    """The reply by RFC 9110 §13.2.2: first the preconditions in their order, then the range."""
    modified = formatdate(file.modified, usegmt=True)
    asked = request.headers
    if asked.get("If-Match") is not None:
        if not _lists(asked["If-Match"], file.etag):
            return _error(412, "PreconditionFailed")
    elif _newer(file, asked.get("If-Unmodified-Since")) is True:
        return _error(412, "PreconditionFailed")
    if asked.get("If-None-Match") is not None:
        if _lists(asked["If-None-Match"], file.etag):
            return Response(304, b"", {"ETag": file.etag})
    elif _newer(file, asked.get("If-Modified-Since")) is False:
        return Response(304, b"", {"ETag": file.etag})
    size = file.clip.size
    if request.method == "GET" and asked.get("If-Range") in (None, file.etag, modified):
        found = _RANGE.fullmatch((asked.get("Range") or "").strip())
        if found and any(found.groups()):  # an unknown unit, or a list of ranges, is ignored (§14.2)
            first, last = found.groups()
            start = int(first) if first else max(0, size - int(last))
            end = min(int(last), size - 1) if first and last else size - 1
            if start >= size:
                return Response(416, b"", {**headers, "Content-Range": f"bytes */{size}"})
            if not (first and last) or int(first) <= int(last):
                headers = {**headers, "Content-Range": f"bytes {start}-{end}/{size}"}
                return Response(206, (end + 1 - start, file.clip.read(start, end + 1)), headers)
    return Response(200, (size, file.clip.read()), headers)


def _lists(header: str, etag: str) -> bool:
    return header.strip() == "*" or etag in [tag.strip() for tag in header.split(",")]


def _newer(file: Published, date: str | None) -> bool | None:
    """Whether the file was modified after the date; None if there is no date, or no valid one."""
    try:
        return file.modified > parsedate_to_datetime(date).timestamp() if date else None
    except ValueError:
        return None


def _length(response: Response) -> int:
    return len(response.body) if isinstance(response.body, bytes) else response.body[0] or 0


def _skippable(content_type: str) -> bytes:
    """Bytes for the end of a file that players skip."""
    if content_type == "video/mp4":
        return free_box(b"")
    return null_packet(b"changed") if content_type == "video/mp2t" else b"# changed\n"


def _throttle(chunks: Iterable[bytes], rate: float) -> Iterator[bytes]:
    started, sent = time.monotonic(), 0
    for chunk in chunks:
        for at in range(0, len(chunk), 16384):
            piece = chunk[at : at + 16384]
            sent += len(piece)
            time.sleep(max(0.0, started + sent / rate - time.monotonic()))
            yield piece


def _error(status: int, code: str) -> Response:
    name, _, message = code.partition(": ")
    body = f"<?xml version='1.0' encoding='UTF-8'?>\n<Error><Code>{name}</Code><Message>{message}</Message></Error>"
    return Response(status, body.encode(), {"Content-Type": "application/xml"})


def unavailable(fault: Fault) -> Response | None:
    """The reply for a fault of any HTTP server, made before it reads the request. None: it is another fault."""
    match fault.kind:
        case Kind.STATUS:
            return _error(fault.status or 503, "ServiceUnavailable")
        case Kind.THROTTLE:
            hint = {} if fault.retry_after is None else {"Retry-After": str(int(fault.retry_after))}
            response = _error(fault.status or 503, "SlowDown")
            response.headers |= hint
            return response
        case Kind.HTML:
            return html_response(fault.status or 200)
        case Kind.EMPTY:
            return Response(fault.status or 200)
        case Kind.BODY:
            return Response(fault.status or 200, fault.body.encode(), {"Content-Type": fault.content_type})
    return None
