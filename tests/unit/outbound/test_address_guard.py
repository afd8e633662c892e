"""Which URLs and addresses may be connected to: a corpus of hostile ones, a list of good ones."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import pytest
from clipferry.outbound import address_guard
from clipferry.outbound.address_guard import AddressRefused, address_problem, check_url, resolve

HOSTS = ("aliyuncs.com", "videocc.net", "cdn.example.com")

#: Refused by their spelling alone, before any name is looked up.
HOSTILE_URLS = [
    # schemes
    "http://a.aliyuncs.com/v.mp4",
    "ftp://a.aliyuncs.com/v.mp4",
    "file:///etc/passwd",
    "gopher://a.aliyuncs.com/",
    "javascript:alert(1)",
    "data:text/html,x",
    "//a.aliyuncs.com/v.mp4",
    "a.aliyuncs.com/v.mp4",
    "",
    "https://",
    "https:///v.mp4",
    "HTTPS:a.aliyuncs.com",
    "jar:https://a.aliyuncs.com!/x",
    "unix:///var/run/docker.sock",
    # hosts that only look allowed
    "https://evil.com/",
    "https://xaliyuncs.com/",
    "https://aliyuncs.com.evil.com/",
    "https://aliyuncs.co/",
    "https://evil.com/aliyuncs.com",
    "https://evil.com?aliyuncs.com",
    "https://evil.com#aliyuncs.com",
    "https://aliyuncs.com..evil.com/",
    "https://aliyuncs-com.evil.com/",
    # userinfo and parser tricks
    "https://a.aliyuncs.com@evil.com/",
    "https://a.aliyuncs.com:443@evil.com/",
    "https://user:pw@a.aliyuncs.com/",
    "https://evil.com\\@a.aliyuncs.com/",
    "https://evil.com\\.aliyuncs.com/",
    "https://a.aliyuncs.com\\evil.com/",
    "https://evil.com%2f.aliyuncs.com/",
    "https://evil.com%00.aliyuncs.com/",
    "https://evil.com\x00.aliyuncs.com/",
    "https://evil.com\t.aliyuncs.com/",
    "https://a.aliyuncs.com\r\nHost: evil.com/",
    "https://a.aliyuncs.com /",
    " https://a.aliyuncs.com/",
    "https://a.aliyuncs.com/\nX: y",
    "https://[a.aliyuncs.com]/",
    "https://a_b..aliyuncs.com/",
    "https://-a.aliyuncs.com/",
    "https://a.aliyuncs.com:99999/",
    "https://a.aliyuncs.com:abc/",
    "https://a.aliyuncs.com:/",
    # other alphabets and dots
    "https://evil.com\u3002aliyuncs.com/",
    "https://\u2460.aliyuncs.com/",
    "https://aliyuncs\uff0ecom/",
    "https://\u0430liyuncs.com/",
    "https://a.aliyuncs.com\u2044evil.com/",
    "https://a\u00ad.aliyuncs.com/",
    # services on ports that no video comes from
    "https://a.aliyuncs.com:22/",
    "https://a.aliyuncs.com:25/",
    "https://a.aliyuncs.com:80/",
    "https://a.aliyuncs.com:0/",
    # addresses, spelled in every way
    "https://127.0.0.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.1/",
    "https://017700000001/",
    "https://127.1/",
    "https://0/",
    "https://0.0.0.0/",
    "https://10.0.0.1/",
    "https://192.168.1.1/",
    "https://172.16.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://169.254.170.2/v2/credentials",
    "https://100.100.100.200/",
    "https://0xa9fea9fe/",
    "https://2852039166/",
    "https://0251.0376.0251.0376/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:a9fe:a9fe]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fd00:ec2::254]/",
    "https://[2002:7f00:1::]/",
    "https://[ff02::1]/",
    "https://8.8.8.8/",
    "https://[2001:4860:4860::8888]/",
    "https://localhost/",
    "https://metadata.google.internal/",
]

GOOD_URLS = [
    "https://a.aliyuncs.com/v.mp4",
    "https://aliyuncs.com/",
    "HTTPS://BUCKET.OSS-cn-shanghai.ALIYUNCS.com/v.mp4",
    "https://b.oss-cn-shanghai.aliyuncs.com/transcode%2Fa.mp4?OSSAccessKeyId=x&Expires=1735790645&Signature=a%2Bb%3D",
    "https://video-dl-2.videocc.net/u/d/v.mp4?auth_key=1600000000-1-0-abc",
    "https://cdn.example.com:8443/v.mp4",
    "https://my_bucket.aliyuncs.com/x",
    "https://xn--fiqs8s.aliyuncs.com/",
    "https://a.aliyuncs.com./v.mp4",
    "https://a.aliyuncs.com/a b/录像.mp4?name=录像",
    "https://a.aliyuncs.com?x=1",
    "https://a.aliyuncs.com:443/v",
]

#: Names on the list whose answers are bad: refused when resolved.
BAD_ADDRESSES = [
    "127.0.0.1",
    "127.255.0.9",
    "10.1.2.3",
    "172.31.255.255",
    "192.168.0.1",
    "169.254.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "0.0.0.0",
    "0.1.2.3",
    "192.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.9",
    "192.88.99.1",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "168.63.129.16",
    "::1",
    "::",
    "::127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:53aa:64c:0:0:80ff:fffe",
    "2001:db8::1",
    "2002:a00:1::1",
    "2002:a9fe:a9fe::",
    "fc00::1",
    "fd12:3456::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "3fff::1",
    "5f00::1",
    "4000::1",
    "2a00:1:2:3:0:5efe:a00:1",
]

GOOD_ADDRESSES = [
    "8.8.8.8",
    "47.100.1.1",
    "100.63.255.255",
    "172.32.0.1",
    "2400:3200::1",
    "64:ff9b::808:808",
    "::ffff:8.8.8.8",
]


def answer(*addresses: str) -> Any:
    """A resolver that knows one answer."""

    def getaddrinfo(host: str, port: int, *_: object, **__: object) -> list[Any]:
        rows = []
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            rows.append((family, socket.SOCK_STREAM, 6, "", (address, port)))
        return rows

    return getaddrinfo


def test_the_corpus_is_large_enough() -> None:
    assert len(set(HOSTILE_URLS)) >= 60


@pytest.mark.parametrize("url", HOSTILE_URLS)
def test_hostile_url_is_refused_before_any_lookup(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("looked up"))
    with pytest.raises(AddressRefused):
        check_url(url, HOSTS)


@pytest.mark.parametrize("url", GOOD_URLS)
def test_good_url_is_accepted(url: str) -> None:
    target = check_url(url, HOSTS)
    assert target.scheme == "https"
    assert target.host.endswith(HOSTS)
    assert target.path.isascii()
    assert " " not in target.path


def test_signature_characters_reach_the_server_unchanged() -> None:
    query = "OSSAccessKeyId=x&Expires=1735790645&Signature=a%2Bb/c%3D&x='(),;:@!*~"
    assert check_url(f"https://a.aliyuncs.com/transcode%2Fa.mp4?{query}", HOSTS).path == f"/transcode%2Fa.mp4?{query}"


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_allowed_name_with_a_bad_address_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answer(address))
    with pytest.raises(AddressRefused, match=r"a\.aliyuncs\.com"):
        resolve(check_url("https://a.aliyuncs.com/", HOSTS))


@pytest.mark.parametrize("address", GOOD_ADDRESSES)
def test_public_address_is_accepted(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answer(address))
    assert resolve(check_url("https://a.aliyuncs.com/", HOSTS))[0][1] == (address, 443)


def test_one_bad_address_among_good_ones_refuses_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answer("8.8.8.8", "2400:3200::1", "10.0.0.1"))
    with pytest.raises(AddressRefused, match="private"):
        resolve(check_url("https://a.aliyuncs.com/", HOSTS))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9001/x",
        "http://localhost:9001/",
        "http://[::1]:9001/",
        "http://10.2.3.4/",
        "https://192.168.1.5:8443/",
    ],
)
def test_private_network_is_admitted_on_demand(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    host = check_url(url, (), allow_private=True).host
    monkeypatch.setattr(socket, "getaddrinfo", answer("127.0.0.1" if host == "localhost" else host))
    assert resolve(check_url(url, (), allow_private=True), allow_private=True)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.170.2",
        "fe80::1",
        "fd00:ec2::254",
        "100.100.100.200",
        "224.0.0.1",
        "0.0.0.0",
        "100.64.0.1",
        "::ffff:169.254.169.254",
    ],
)
def test_metadata_and_link_local_stay_refused_in_a_private_network(address: str) -> None:
    assert address_problem(ipaddress.ip_address(address), allow_private=True)


def test_private_network_does_not_open_the_rest_of_the_world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answer("8.8.8.8"))
    with pytest.raises(AddressRefused):
        resolve(check_url("https://evil.com/", HOSTS, allow_private=True), allow_private=True)


def test_ip_literal_is_allowed_only_when_it_is_listed_itself() -> None:
    assert check_url("https://8.8.8.8/", ("8.8.8.8",)).host == "8.8.8.8"
    with pytest.raises(AddressRefused):
        check_url("https://1.8.8.8/", ("8.8.8",))


def test_suffix_may_carry_the_port_of_an_endpoint() -> None:
    assert check_url("https://api.example.com:8443/", ("api.example.com:8443",)).port == 8443


def test_link_local_scope_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    row = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1%eth0", 443, 0, 2))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [row])
    with pytest.raises(AddressRefused):
        resolve(check_url("https://a.aliyuncs.com/", HOSTS))


def test_a_target_shows_no_query() -> None:
    target = check_url("https://a.aliyuncs.com/v.mp4?Signature=abc", HOSTS)
    assert "abc" not in str(target)
    assert "abc" not in repr(target)


def test_refusals_quote_no_query() -> None:
    with pytest.raises(address_guard.AddressRefused) as refused:
        check_url("https://evil.com/v.mp4?Signature=abc", HOSTS)
    assert "abc" not in refused.value.message
