"""The way out: what reaches the other side, what comes back, and what every failure is called."""

from __future__ import annotations

import datetime
import gzip
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from clipferry.outbound.address_guard import Target
from clipferry.outbound.client import (
    AddressRefused,
    Headers,
    NoReply,
    NotSent,
    Outbound,
    Oversized,
    Reply,
    Timeouts,
    Truncated,
)
from clipferry.outbound.connection import Connection
from clipferry.outbound.guarded_session import GuardedAdapter, GuardedSession
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from requests.auth import AuthBase

FAST = Timeouts(connect=2.0, read=0.3, total=0.6)


class Handler(BaseHTTPRequestHandler):
    """GET /redirect/… hops; everything else is answered by the test's function."""

    protocol_version = "HTTP/1.1"
    answer: Callable[[Handler], None]
    seen: list[Handler]

    def log_message(self, *_: object) -> None: ...

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, TimeoutError, ssl.SSLError):
            self.close_connection = True

    def do_GET(self) -> None:
        self.content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        type(self).seen.append(self)
        type(self).answer(self)

    do_POST = do_GET

    def reply(self, status: int = 200, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving(
    answer: Callable[[Handler], None], context: ssl.SSLContext | None = None
) -> Iterator[tuple[str, list[Any]]]:
    handler = type("TestHandler", (Handler,), {"answer": staticmethod(answer), "seen": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"{'https' if context else 'http'}://127.0.0.1:{server.server_port}", handler.seen
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def outbound() -> Iterator[Outbound]:
    way_out = Outbound(allow_private=True)
    yield way_out
    way_out.close()


def test_call_sends_what_it_is_given_and_returns_any_status(outbound: Outbound) -> None:
    with serving(lambda h: h.reply(503, b'{"Code":"Busy"}', X_Hint="7")) as (url, seen):
        reply = outbound.call("POST", url + "/v", hosts=[], params={"a": "b c"}, data="x=1", headers={"X-Own": "1"})
    assert (reply.status, reply.json(), reply.headers["x-hint"]) == (503, {"Code": "Busy"}, "7")
    assert (seen[0].path, seen[0].content, seen[0].headers["X-Own"]) == ("/v?a=b+c", b"x=1", "1")
    assert seen[0].headers["Host"] == url.removeprefix("http://")


def test_auth_signs_the_prepared_request(outbound: Outbound) -> None:
    class Sign(AuthBase):
        def __call__(self, request: Any) -> Any:
            request.headers["Authorization"] = f"signed {request.method} {request.path_url}"
            return request

    with serving(lambda h: h.reply()) as (url, seen):
        outbound.call("POST", url + "/v", hosts=[], params={"a": "b"}, auth=Sign())
    assert seen[0].headers["Authorization"] == "signed POST /v?a=b"


@pytest.mark.parametrize("location", ["http://169.254.169.254/", "/again", "http://[", "//", "\xff", ""])
def test_call_never_follows_a_redirect(outbound: Outbound, location: str) -> None:
    with serving(lambda h: h.reply(302, b"moved", Location=location)) as (url, seen):
        reply = outbound.call("GET", url, hosts=[])
    assert (reply.status, reply.body, len(seen)) == (302, b"moved", 1)


def test_nothing_is_carried_from_one_call_to_the_next(outbound: Outbound) -> None:
    with serving(lambda h: h.reply(200, b"{}", Set_Cookie="session=1; Path=/")) as (url, seen):
        for _ in range(2):
            outbound.call("GET", url, hosts=[])
    assert len({h.client_address for h in seen}) == 2
    assert [h.headers["Cookie"] for h in seen] == [None, None]


def test_a_call_sends_no_headers_but_its_own_and_three_of_ours(outbound: Outbound) -> None:
    with serving(lambda h: h.reply(200)) as (url, seen):
        outbound.call("POST", url, hosts=[], data=b"x=1", headers={"x-own": "1", "user-agent": "other"})
    assert {name.lower(): value for name, value in seen[0].headers.items()} == {
        "host": url.removeprefix("http://"),
        "accept-encoding": "identity",
        "connection": "close",
        "user-agent": "other",
        "x-own": "1",
        "content-length": "3",
    }


def test_a_session_has_no_way_out_but_the_guarded_one() -> None:
    def refuse(url: str) -> Target:
        raise AddressRefused(f"refused {url}")

    adapter = GuardedAdapter(refuse, Connection, Timeouts(), 1000)  # type: ignore[arg-type]
    with GuardedSession(adapter, {}) as session:
        assert set(session.adapters.values()) == {adapter}
        for url in ("http://127.0.0.1:9/", "https://example.com/"):
            with pytest.raises(AddressRefused, match=url):
                session.get(url, verify=False, proxies={"http": "http://127.0.0.1:9", "https": "http://127.0.0.1:9"})
        with pytest.raises(AddressRefused, match="cannot be prepared"):
            session.call("GET", "ftp://example.com/")


def test_what_cannot_be_prepared_is_refused_and_not_sent(outbound: Outbound) -> None:
    injected = {"X-Token": "secret\r\nHost: b"}
    with (
        serving(lambda h: h.reply(200)) as (url, seen),
        pytest.raises(AddressRefused, match="cannot be prepared") as refused,
    ):
        outbound.call("GET", url, hosts=[], headers=injected)
    assert ("secret" in str(refused.value), seen) == (False, [])


def test_body_that_is_not_json_is_a_value_error(outbound: Outbound) -> None:
    with serving(lambda h: h.reply(200, b"<html>")) as (url, _):
        reply = outbound.call("GET", url, hosts=[])
    with pytest.raises(ValueError, match="Expecting value"):
        reply.json()


def test_oversized_reply_is_no_reply(outbound: Outbound) -> None:
    with serving(lambda h: h.reply(200, b"x" * 5000)) as (url, _), pytest.raises(NoReply, match="larger than 1000"):
        outbound.call("GET", url, hosts=[], max_body=1000)


def test_oversized_headers_are_no_reply(outbound: Outbound) -> None:
    with serving(lambda h: h.reply(200, b"", **{f"X-{n}": "v" * 4000 for n in range(60)})) as (url, _):
        with pytest.raises(NoReply, match="headers larger"):
            outbound.call("GET", url, hosts=[])
        with pytest.raises(NoReply, match="headers larger"):
            outbound.stream(url, hosts=[])


def test_compressed_reply_is_decoded_within_the_limit(outbound: Outbound) -> None:
    body = gzip.compress(b'{"a": 1}' + b" " * 100_000)
    with serving(lambda h: h.reply(200, body, Content_Encoding="gzip")) as (url, seen):
        assert outbound.call("GET", url, hosts=[]).json() == {"a": 1}
        with pytest.raises(NoReply, match="larger than 5000"):
            outbound.call("GET", url, hosts=[], max_body=5000)
    assert seen[0].headers["Accept-Encoding"] == "identity"


def test_every_member_of_a_compressed_reply_counts(outbound: Outbound) -> None:
    body = gzip.compress(b'{"a": [1, ') + gzip.compress(b"2]}")
    with serving(lambda h: h.reply(200, body, Content_Encoding="gzip")) as (url, _):
        assert outbound.call("GET", url, hosts=[]).json() == {"a": [1, 2]}


@pytest.mark.parametrize("coding", ["none", "aws-chunked", "", "utf-8", "gzip"])
def test_a_reply_that_only_claims_to_be_coded_is_taken_as_it_is(outbound: Outbound, coding: str) -> None:
    with serving(lambda h: h.reply(200, b'{"a": 1}', Content_Encoding=coding)) as (url, _):
        assert outbound.call("GET", url, hosts=[]).json() == {"a": 1}


@pytest.mark.parametrize(
    ("body", "coding", "words"),
    [
        (gzip.compress(b'{"a": 1}', mtime=0)[:-9], "gzip", "too early"),
        (gzip.compress(b'{"a": 1}', mtime=0) + b"}", "gzip", "behind the end"),
        (gzip.compress(b'{"a": 1}', mtime=0), "deflate", "damaged"),
        (b"\x0b\x02\x80{}\x03", "br", "'br'"),
    ],
)
def test_a_coded_reply_that_is_not_whole_is_no_reply(outbound: Outbound, body: bytes, coding: str, words: str) -> None:
    with (
        serving(lambda h: h.reply(200, body, Content_Encoding=coding)) as (url, _),
        pytest.raises(NoReply, match=words),
    ):
        outbound.call("GET", url, hosts=[])


@pytest.mark.parametrize("length", ["100", "-5", "abc"])
def test_short_body_is_no_reply(outbound: Outbound, length: str) -> None:
    def answer(h: Handler) -> None:
        h.reply(200, b"short", Content_Length=length)
        h.close_connection = True

    with serving(answer) as (url, _):
        with pytest.raises(NoReply):
            outbound.call("GET", url, hosts=[])
        with pytest.raises(NoReply), outbound.stream(url, hosts=[]) as stream:
            stream.read(1000)


def test_connection_closed_without_an_answer_is_no_reply(outbound: Outbound) -> None:
    with serving(lambda h: setattr(h, "close_connection", True)) as (url, _), pytest.raises(NoReply):
        outbound.call("POST", url, hosts=[])


def test_refused_connection_and_unknown_name_were_not_sent(outbound: Outbound, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(NotSent):
        outbound.call("POST", f"http://127.0.0.1:{port}/", hosts=[])

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(NotSent, match="look up"):
        Outbound().call("POST", "https://a.aliyuncs.com/", hosts=["aliyuncs.com"])


def test_silence_ends_at_the_read_timeout(outbound: Outbound) -> None:
    with serving(lambda h: time.sleep(2)) as (url, _), pytest.raises(NoReply, match="in time"):
        outbound.call("GET", url, hosts=[], timeout=FAST)


def test_a_drip_of_bytes_ends_at_the_total_timeout(outbound: Outbound) -> None:
    def drip(h: Handler) -> None:
        h.send_response(200)
        h.send_header("Content-Length", "1000")
        h.end_headers()
        for _ in range(60):
            h.wfile.write(b"x")
            h.wfile.flush()
            time.sleep(0.05)

    with serving(drip) as (url, _):
        with pytest.raises(NoReply, match="in time"):
            outbound.call("GET", url, hosts=[], timeout=FAST)
        with pytest.raises(NoReply, match="in time"), outbound.stream(url, hosts=[], timeout=FAST) as stream:
            stream.read(1000)


def test_errors_name_no_query(outbound: Outbound) -> None:
    with serving(lambda h: setattr(h, "close_connection", True)) as (url, _), pytest.raises(NoReply) as error:
        outbound.stream(url + "/v?Signature=abc", hosts=[])
    assert "abc" not in error.value.message


def hops(limit: int) -> Callable[[Handler], None]:
    def answer(h: Handler) -> None:
        n = int(h.path.rsplit("/", 1)[-1])
        h.reply(200, b"there") if n >= limit else h.reply(302, Location=f"/hop/{n + 1}")

    return answer


def test_five_redirects_are_followed_and_a_sixth_is_not(outbound: Outbound) -> None:
    with serving(hops(5)) as (url, _), outbound.stream(url + "/hop/0", hosts=[]) as stream:
        assert stream.read(10) == b"there"
    with serving(hops(6)) as (url, _), pytest.raises(AddressRefused, match="more than 5"):
        outbound.stream(url + "/hop/0", hosts=[])


def test_a_redirect_in_raw_utf8_leads_where_its_bytes_say(outbound: Outbound) -> None:
    def answer(h: Handler) -> None:
        if h.path == "/v":
            h.reply(302, Location="/录像 1.mp4".encode().decode("latin-1"))
        else:
            h.reply(200, b"there")

    with serving(answer) as (url, seen), outbound.stream(url + "/v", hosts=[]) as stream:
        assert stream.read(9) == b"there"
    assert seen[1].path == "/%E5%BD%95%E5%83%8F%201.mp4"


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/",
        "file:///etc/passwd",
        "//169.254.169.254/",
        "http://[::ffff:a9fe:a9fe]/",
        "https://user@127.0.0.1/",
        "http://2852039166/",
    ],
)
def test_redirect_to_a_refused_address_is_refused(outbound: Outbound, target: str) -> None:
    with serving(lambda h: h.reply(302, Location=target)) as (url, seen), pytest.raises(AddressRefused):
        outbound.stream(url, hosts=[])
    assert len(seen) == 1


def test_credentials_stay_behind_when_the_host_changes(outbound: Outbound) -> None:
    secret = {"Authorization": "Bearer x", "Cookie": "c=1", "X-Token": "t", "Range": "bytes=0-4"}
    with serving(lambda h: h.reply(200, b"there")) as (there, seen):
        with (
            serving(lambda h: h.reply(302, Location=there + "/v")) as (url, first),
            outbound.stream(url, hosts=[], headers=secret) as stream,
        ):
            assert stream.read(9) == b"there"
        assert first[0].headers["Authorization"] == "Bearer x"
    assert not {"Authorization", "Cookie", "X-Token"} & set(seen[0].headers)
    assert seen[0].headers["Range"] == "bytes=0-4"


def test_credentials_stay_with_the_same_host(outbound: Outbound) -> None:
    with (
        serving(hops(1)) as (url, seen),
        outbound.stream(url + "/hop/0", hosts=[], headers={"Authorization": "Bearer x"}),
    ):
        pass
    assert seen[1].headers["Authorization"] == "Bearer x"


def test_a_connection_read_to_its_end_is_used_again(outbound: Outbound) -> None:
    with serving(lambda h: h.reply(200, b"12345")) as (url, seen):
        for _ in range(3):
            with outbound.stream(url, hosts=[]) as stream:
                assert stream.read(9) == b"12345"
    assert len({h.client_address for h in seen}) == 1


def test_a_kept_connection_that_died_is_replaced(outbound: Outbound) -> None:
    def once(h: Handler) -> None:
        h.reply(200, b"12345")
        h.close_connection = True  # without saying so

    with serving(once) as (url, seen):
        for _ in range(3):
            with outbound.stream(url, hosts=[]) as stream:
                assert stream.read(9) == b"12345"
    assert len(seen) == 3


def test_proxies_and_netrc_of_the_environment_are_ignored(
    outbound: Outbound, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login u password p\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1/")
    with serving(lambda h: h.reply(200, b"direct")) as (url, seen):
        assert outbound.call("GET", url, hosts=[]).body == b"direct"
    assert "Authorization" not in seen[0].headers


def test_name_that_changes_its_address_after_the_check_is_never_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first lookup gives a good address, every later one the metadata service."""
    lookups: list[str] = []

    def rebinding(host: str, port: int, *_: object, **__: object) -> list[Any]:
        lookups.append(host)
        address = "127.0.0.1" if len(lookups) == 1 else "169.254.169.254"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    with serving(lambda h: h.reply(200, b"ok", Connection="close")) as (url, seen):
        monkeypatch.setattr(socket, "getaddrinfo", rebinding)
        outbound = Outbound(allow_private=True)
        name = url.replace("127.0.0.1", "cdn.example.com")
        with outbound.stream(name, hosts=[]) as stream:
            assert stream.read(9) == b"ok"
        assert lookups == ["cdn.example.com"]
        with pytest.raises(AddressRefused, match="metadata"):
            outbound.stream(name, hosts=[])
    assert len(seen) == 1
    assert seen[0].headers["Host"].startswith("cdn.example.com:")


def certificate(path: Path, *names: x509.GeneralName) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate for these names, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    pem = path / "server.pem"
    pem.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    return server, ssl.create_default_context(cafile=str(pem))


def test_tls_checks_the_name_though_it_connects_to_the_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server, client = certificate(tmp_path, x509.DNSName("cdn.example.com"))
    names: list[str] = []
    server.sni_callback = lambda _, name, __: names.append(name)
    with serving(lambda h: h.reply(200, b"secret"), server) as (url, _):
        here = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", int(url.rsplit(":", 1)[1])))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: here)
        outbound = Outbound(allow_private=True, tls=client)
        with outbound.stream(url.replace("127.0.0.1", "cdn.example.com"), hosts=[]) as stream:
            assert stream.read(9) == b"secret"
        with pytest.raises(NotSent, match="TLS"):
            outbound.stream(url.replace("127.0.0.1", "other.example.com"), hosts=[])
        with pytest.raises(NotSent, match="TLS"):
            Outbound(allow_private=True).call("GET", url.replace("127.0.0.1", "cdn.example.com"), hosts=[])
        outbound.close()
    assert names[0] == "cdn.example.com"


def test_redirect_from_https_to_http_is_refused(tmp_path: Path) -> None:
    server, client = certificate(tmp_path, x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    with (
        serving(lambda h: h.reply(302, Location="http://127.0.0.1:9999/"), server) as (url, _),
        pytest.raises(AddressRefused, match="https to http"),
    ):
        Outbound(allow_private=True, tls=client).stream(url, hosts=[])


def test_truncated_stream_says_so(outbound: Outbound) -> None:
    def answer(h: Handler) -> None:
        h.reply(200, b"12345", Content_Length="9")
        h.close_connection = True

    with (
        serving(answer) as (url, _),
        outbound.stream(url, hosts=[]) as stream,
        pytest.raises(Truncated, match="4 bytes"),
    ):
        stream.read(9)


def test_contradicting_lengths_are_no_reply(outbound: Outbound) -> None:
    def answer(h: Handler) -> None:
        h.send_response(200)
        for length in "59":
            h.send_header("Content-Length", length)
        h.end_headers()
        h.wfile.write(b"123456789")

    with serving(answer) as (url, _), pytest.raises(NoReply, match="unclear length"):
        outbound.stream(url, hosts=[])


def test_chunked_stream_that_breaks_is_no_reply(outbound: Outbound) -> None:
    def answer(h: Handler) -> None:
        h.send_response(200)
        h.send_header("Transfer-Encoding", "chunked")
        h.end_headers()
        h.wfile.write(b"5\r\nhello\r\nff\r\nonly")
        h.close_connection = True

    with serving(answer) as (url, _), outbound.stream(url, hosts=[]) as stream, pytest.raises(NoReply):
        stream.read(1000)


@pytest.mark.parametrize("end", [b"", b"00", b"0", b"ff", b"8\r\nhalf"])
def test_chunks_cut_anywhere_are_not_an_end(outbound: Outbound, end: bytes) -> None:
    """A size with leading zeros, cut among them, is not the size of the last chunk."""

    def answer(h: Handler) -> None:
        h.send_response(200)
        h.send_header("Transfer-Encoding", "chunked")
        h.end_headers()
        h.wfile.write(b"5\r\nhello\r\n" + end)
        h.close_connection = True

    with serving(answer) as (url, _):
        with outbound.stream(url, hosts=[]) as stream, pytest.raises(Truncated):
            stream.read(1000)
        with pytest.raises(Truncated):
            outbound.call("GET", url, hosts=[])


@pytest.mark.parametrize(
    ("headers", "declared"),
    [
        ({"Content-Length": "5"}, True),
        ({"Content-Length": "5", "Transfer-Encoding": "identity"}, True),
        ({"Transfer-Encoding": "chunked"}, True),
        ({}, False),
    ],
)
def test_a_body_that_ends_with_its_connection_has_no_declared_end(
    outbound: Outbound, headers: dict[str, str], declared: bool
) -> None:
    def answer(h: Handler) -> None:
        h.send_response(200)
        for name, value in headers.items():
            h.send_header(name, value)
        h.end_headers()
        h.wfile.write(b"5\r\nhello\r\n0\r\n\r\n" if headers.get("Transfer-Encoding") == "chunked" else b"hello")
        h.close_connection = True

    with serving(answer) as (url, _), outbound.stream(url, hosts=[]) as stream:
        assert stream.read_all(5) == b"hello"
        assert stream.end_declared is declared


def test_a_line_without_end_is_no_cut_body(outbound: Outbound) -> None:
    def answer(h: Handler) -> None:
        h.send_response(200)
        h.send_header("Transfer-Encoding", "chunked")
        h.end_headers()
        h.wfile.write(b"5;" + b"x" * 70_000 + b"\r\nhello\r\n0\r\n\r\n")

    with serving(answer) as (url, _), outbound.stream(url, hosts=[]) as stream, pytest.raises(NoReply) as error:
        stream.read(1000)
    assert not isinstance(error.value, Truncated)


def test_a_body_larger_than_it_may_be_is_told_apart(outbound: Outbound) -> None:
    with (
        serving(lambda h: h.reply(200, b"x" * 6)) as (url, _),
        outbound.stream(url, hosts=[]) as stream,
        pytest.raises(Oversized, match="larger than 5"),
    ):
        stream.read_all(5)


def test_a_reader_that_waits_can_be_cut_off(outbound: Outbound) -> None:
    with serving(lambda h: (h.reply(200, b"", Content_Length="9"), time.sleep(3))) as (url, _):  # type: ignore[arg-type]
        with outbound.stream(url, hosts=[]) as stream:
            threading.Timer(0.1, stream.cut).start()
            started = time.monotonic()
            with pytest.raises(NoReply):
                stream.read(9)
        assert time.monotonic() - started < 2


@pytest.mark.parametrize("high", [rb"\ud83c", b"\xed\xa0\xbc"], ids=["escaped", "bytes"])
def test_the_text_of_a_reply_can_be_written_down(high: bytes) -> None:
    """JSON lets halves of surrogate pairs through, as escapes and even as bytes; no store takes them."""
    body = b'{"n' + high + b'": [1, "' + high + b'b", {"x": "\\ud83c\\udfa5"}]}'
    assert Reply(200, Headers(), body).json() == {"n?": [1, "?b", {"x": "🎥"}]}


def test_a_gate_is_passed_before_each_call_and_may_close() -> None:
    passed: list[str] = []

    def gate(operation: str) -> None:
        if passed:
            raise LookupError("closed")
        passed.append(operation)

    with serving(lambda handler: handler.reply(200)) as (url, seen):
        outbound = Outbound(allow_private=True)
        paced = outbound.paced(gate)
        paced.call("GET", url, hosts=["127.0.0.1"], operation="look")
        with pytest.raises(LookupError):
            paced.call("GET", url, hosts=["127.0.0.1"], operation="look")
        outbound.call("GET", url, hosts=["127.0.0.1"])
        assert (passed, len(seen)) == (["look"], 2)
        assert paced.origin is paced.paced(gate).origin is outbound


def test_what_may_not_leave_takes_nobodys_turn() -> None:
    passed: list[str] = []
    with pytest.raises(AddressRefused):
        Outbound().paced(passed.append).call("GET", "https://elsewhere.example/", hosts=["vendor.example"])
    assert passed == []


def test_a_call_of_a_step_whose_time_is_short_ends_with_it(outbound: Outbound) -> None:
    with serving(lambda h: time.sleep(2)) as (url, _), pytest.raises(NoReply, match="in time"):
        outbound.within(lambda: 0.2).call("GET", url, hosts=[])
    with serving(lambda h: h.reply(200)) as (url, _):
        assert outbound.within(lambda: 5.0).call("GET", url, hosts=[]).status == 200
