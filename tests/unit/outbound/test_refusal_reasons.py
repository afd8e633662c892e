"""What the address guard says when it refuses, and where exactly each of its bounds lies."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import pytest
from clipferry.outbound.address_guard import AddressRefused, Target, address_problem, check_url, is_under, resolve
from clipferry.outbound.url_encoding import URL_MAX

HOSTS = ("example.com", "a.test:8443")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://a.example.com/" + "x" * URL_MAX, f"refused a URL longer than {URL_MAX} characters"),
        ("https://a.example.com/\x7f", "refused a URL with a control character, a backslash or a blank at its ends"),
        ("https://a.example.com/ ", "refused a URL with a control character, a backslash or a blank at its ends"),
        ("https://[::1/", "refused a URL that cannot be parsed"),
        ("https://a.example.com:65536/", "refused a URL that cannot be parsed"),
        ("gopher://a.example.com/", "refused scheme 'gopher': only https is allowed"),
        ("x" * 30 + "://a.example.com/", f"refused scheme '{'x' * 20}': only https is allowed"),
        (
            "https://u@a.example.com/",
            "refused a URL with user information or percent-encoding before the path",
        ),
        (
            "https://a%2eexample.com/",
            "refused a URL with user information or percent-encoding before the path",
        ),
        ("http://a.example.com/", "refused http to a.example.com: only https is allowed"),
        ("https://a.example.com:/", "refused an empty port at a.example.com"),
        ("https://a.example.com:80/", "refused port 80 at a.example.com"),
        ("https://a.example.com:1023/", "refused port 1023 at a.example.com"),
        ("https://other.test/", "refused host other.test: it is not on the list of allowed hosts"),
        ("https://[v1.a]/", "refused a malformed IPv6 address"),
        (
            "https:///v.mp4",
            "refused a host name that is empty or not plain ASCII letters, digits, dots and hyphens",
        ),
        (
            "https://-a.example.com/",
            "refused a host name that is empty or not plain ASCII letters, digits, dots and hyphens",
        ),
        (
            "https://aa." + "a." * 120 + "example.com/",  # 254 characters
            "refused a host name that is empty or not plain ASCII letters, digits, dots and hyphens",
        ),
        ("https://127.1/", "refused an IPv4 address in a disguised spelling"),
        ("https://example.com.0x/", "refused an IPv4 address in a disguised spelling"),
    ],
)
def test_a_refused_url_is_told_why(url: str, said: str) -> None:
    with pytest.raises(AddressRefused) as refused:
        check_url(url, HOSTS)
    assert refused.value.message == said
    assert str(refused.value) == said


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://a.example.com", Target("https", "a.example.com", 443, "/")),
        ("https://a.example.com:443/v?x=a b", Target("https", "a.example.com", 443, "/v?x=a%20b")),
        ("https://a.example.com:1024/v?", Target("https", "a.example.com", 1024, "/v")),
        ("https://A.Example.Com./v", Target("https", "a.example.com", 443, "/v")),
        ("https://a.test:8443/v", Target("https", "a.test", 8443, "/v")),
        ("https://" + "a." * 121 + "example.com/", Target("https", "a." * 121 + "example.com", 443, "/")),
        (
            "https://example.com/" + "x" * (URL_MAX - 20),
            Target("https", "example.com", 443, "/" + "x" * (URL_MAX - 20)),
        ),
    ],
)
def test_a_good_url_becomes_its_pieces(url: str, target: Target) -> None:
    assert check_url(url, HOSTS) == target


def test_a_host_that_is_not_listed_may_only_be_a_private_one() -> None:
    listed, other = (check_url(f"http://{host}:80/", HOSTS, allow_private=True) for host in ("example.com", "b.test"))
    assert (listed.private_only, other.private_only) == (False, True)
    assert (listed.port, listed.scheme) == (80, "http")


@pytest.mark.parametrize(
    ("url", "authority", "shown"),
    [
        ("https://example.com/v?x=1", "example.com", "https://example.com/v"),
        ("https://example.com:8443/v", "example.com:8443", "https://example.com:8443/v"),
        ("http://10.0.0.1:8080/v", "10.0.0.1:8080", "http://10.0.0.1:8080/v"),
        ("http://[::0001]:9000/v", "[::1]:9000", "http://[::1]:9000/v"),
        ("https://[2001:4860:0:0::8888]/v", "[2001:4860::8888]", "https://[2001:4860::8888]/v"),
    ],
)
def test_a_target_is_named_with_its_port_where_that_is_not_the_schemes_own(
    url: str, authority: str, shown: str
) -> None:
    target = check_url(url, HOSTS, allow_private=True)
    assert (target.authority, str(target)) == (authority, shown)
    assert target.origin == (target.scheme, target.host, target.port)


@pytest.mark.parametrize(
    ("host", "suffix", "under"),
    [
        ("a.example.com", "example.com", True),
        ("a.example.com", " .Example.com. ", True),
        ("example.com", "example.com", True),
        ("xexample.com", "example.com", False),
        ("example.com", "a.example.com", False),
        ("a.example.com", "example.com:8443", True),
        ("a.example.com", "", False),
        ("a.example.com", " . ", False),
        ("8.8.8.8", "8.8.8.8", True),
        ("8.8.8.8", "8.8.8.8:443", True),
        ("1.8.8.8", "8.8.8", False),
        ("a.0x1f", "0x1f", False),
        ("2001:4860::8888", "[2001:4860::8888]", True),
        ("2001:4860::8888", "2001:4860::8888", True),
        ("2001:4860::8888", "[2001:4860::8889]", False),
        ("2001:4860::8888", "2001:4860::8888]", False),
        ("2001:4860::8888", "x2001:4860::8888]", False),
        ("a.xray.test", "XRAY.test", True),
    ],
)
def test_a_suffix_is_matched_at_a_label_and_an_address_as_a_whole(host: str, suffix: str, under: bool) -> None:
    assert is_under(host, suffix) is under


METADATA, LINK_LOCAL, MULTICAST = "a cloud metadata address", "a link-local address", "a multicast address"
UNSPECIFIED, LOOPBACK, PRIVATE = "an unspecified address", "a loopback address", "a private address"
SHARED, RESERVED, SITE_LOCAL = "a shared (carrier NAT) address", "a reserved address", "a site-local address"
SIX_TO_FOUR, ISATAP = "a 6to4 address", "an ISATAP address"

#: What each address is, by the IANA special-purpose registries; both ends of a network, and its neighbours.
ADDRESSES = {
    METADATA: "169.254.169.254 169.254.170.2 169.254.170.23 100.100.100.200 168.63.129.16 192.0.0.192 "
    "fd00:ec2:: fd00:ec2:ffff:ffff:ffff:ffff:ffff:ffff fd20:ce:: fd20:ce::254 fe80::a9fe:a9fe ::ffff:169.254.169.254",
    LINK_LOCAL: "169.254.0.0 169.254.169.253 169.254.255.255 fe80:: febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    MULTICAST: "224.0.0.0 239.255.255.255 ff00:: ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    UNSPECIFIED: "0.0.0.0 0.255.255.255 ::",
    LOOPBACK: "127.0.0.0 127.255.255.255 ::1 ::ffff:127.0.0.1 64:ff9b::127.0.0.1",
    PRIVATE: "10.0.0.0 10.255.255.255 172.16.0.0 172.31.255.255 192.168.0.0 192.168.255.255 fc00:: "
    "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 64:ff9b::10.0.0.1",
    SHARED: "100.64.0.0 100.127.255.255",
    RESERVED: "192.0.0.0 192.0.0.255 192.0.2.0 192.0.2.255 192.31.196.0 192.31.196.255 192.52.193.0 192.52.193.255 "
    "192.88.99.0 192.88.99.255 192.175.48.0 192.175.48.255 198.18.0.0 198.19.255.255 198.51.100.0 198.51.100.255 "
    "203.0.113.0 203.0.113.255 240.0.0.0 255.255.255.255 ::2 ::ffff:ffff 64:ff9b:1:: "
    "64:ff9b:1:ffff:ffff:ffff:ffff:ffff 100:: 100::ffff:ffff:ffff:ffff 100:0:0:1:: 2001:: 2001:1ff:ffff:: 2001:db8:: "
    "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff 2620:4f:8000:: 2620:4f:8000:ffff:ffff:ffff:ffff:ffff 3fff:: 3fff:fff:: "
    "5f00:: 5f00:ffff:: 4000:: 1fff:ffff::1 ::1:0:0",
    SIX_TO_FOUR: "2002:: 2002:ffff::1",
    SITE_LOCAL: "fec0:: feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ISATAP: "2400::5efe:1.2.3.4 2400::200:5efe:1.2.3.4",
    "": "1.0.0.0 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 168.63.129.15 "
    "168.63.129.17 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 191.255.255.255 192.0.1.0 192.0.3.0 "
    "192.31.195.255 192.31.197.0 192.88.98.255 192.88.100.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 "
    "198.51.99.255 198.51.101.0 203.0.112.255 203.0.114.0 223.255.255.255 2000:: 2001:200:: 2001:db7:ffff::1 "
    "2001:db9:: 2003:: 2400:3200::1 2620:4f:7fff::1 2620:4f:8001:: 3ffe:: 3fff:1000:: 64:ff9b::8.8.8.8 ::ffff:8.8.8.8 "
    "2400::5eff:1.2.3.4 2400::100:5efe:1.2.3.4",
}


@pytest.mark.parametrize(("what", "texts"), ADDRESSES.items())
def test_what_an_address_is(what: str, texts: str) -> None:
    for text in texts.split():
        assert (text, address_problem(ipaddress.ip_address(text)) or "") == (text, what)


@pytest.mark.parametrize(("what", "texts"), ADDRESSES.items())
def test_a_stack_on_one_machine_is_admitted_to_private_and_loopback_addresses_alone(what: str, texts: str) -> None:
    admitted = "" if what in (LOOPBACK, PRIVATE) else what
    of_an_unlisted_host = admitted
    if not what:
        of_an_unlisted_host = "an address outside the private network of a host that is not on the list"
    for text in texts.split():
        address = ipaddress.ip_address(text)
        assert (address_problem(address, allow_private=True) or "") == admitted
        assert (address_problem(address, allow_private=True, private_only=True) or "") == of_an_unlisted_host


def row(family: int, text: str) -> Any:
    return (family, socket.SOCK_STREAM, 6, "", (text, 1, 0, 0))


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (row(socket.AF_UNIX, "/run/x"), "it resolves to an address of an unknown family"),
        (row(socket.AF_INET, "8.8.8"), "it resolves to something that is not an address"),
        (row(socket.AF_INET6, "2400:3200::1%eth0"), "it resolves to a link-local address"),
        (row(socket.AF_INET, "10.0.0.1"), "it resolves to a private address"),
    ],
)
def test_a_refused_answer_of_the_dns_is_told(found: Any, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    good = row(socket.AF_INET, "8.8.8.8")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [good, found])
    with pytest.raises(AddressRefused) as refused:
        resolve(check_url("https://a.example.com/", HOSTS))
    assert refused.value.message == f"refused a.example.com: {said}"


def test_every_address_of_a_name_can_be_connected_to_at_the_urls_port(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def getaddrinfo(*given: object, **options: object) -> list[Any]:
        asked.append((given, options))
        return [row(socket.AF_INET6, "2400:3200::1"), row(socket.AF_INET, "8.8.8.8")]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert resolve(check_url("https://a.test:8443/", HOSTS)) == [
        (socket.AF_INET6, ("2400:3200::1", 8443)),
        (socket.AF_INET, ("8.8.8.8", 8443)),
    ]
    assert asked == [(("a.test", 8443), {"type": socket.SOCK_STREAM})]


def test_a_name_that_the_resolver_cannot_take_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: object, **__: object) -> list[Any]:
        raise UnicodeError("label too long")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(AddressRefused) as refused:
        resolve(check_url("https://a.example.com/", HOSTS))
    assert refused.value.message == "refused a host name that cannot be looked up"


def test_a_private_address_is_resolved_for_a_stack_on_one_machine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [row(socket.AF_INET, "127.0.0.1")])
    target = check_url("https://a.example.com/", HOSTS)
    assert resolve(target, allow_private=True) == [(socket.AF_INET, ("127.0.0.1", 443))]
    with pytest.raises(AddressRefused, match="a loopback address"):
        resolve(target)
