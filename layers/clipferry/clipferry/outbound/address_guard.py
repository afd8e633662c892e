"""The address guard: which URLs and which addresses this software may open a connection to.

Pure decisions on values, except for one name lookup. It does not depend on requests, vendors or AWS. A URL is parsed
once into a `Target`, and the connection uses that value, so that no second parser can read the URL differently.

A URL passes when its scheme is https, its host is under an allowed suffix and each address of the host is a public
unicast address (IANA special-purpose registries for IPv4 and IPv6, RFC 6890). `allow_private` is for a stack that runs
on one machine: it also allows http, and hosts with only loopback, RFC 1918 or unique-local addresses. Link-local and
cloud metadata addresses, multicast and unspecified addresses are always refused.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from clipferry.outbound.url_encoding import URL_MAX, encode_path, encode_query

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class OutboundError(Exception):
    """A request got no usable answer. `message` may be shown: it holds no query, no userinfo and no credential."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class AddressRefused(OutboundError):
    """The guard refuses the scheme, the host or an address, also after a redirect."""


@dataclass(frozen=True)
class Target:
    """One checked URL, in the parts that a connection needs."""

    scheme: str
    host: str  # lower-case ASCII, no trailing dot, no brackets
    port: int
    path: str = field(repr=False)  # with the query, percent-encoded
    private_only: bool = False  # the host is not on the allow-list: each of its addresses must be private

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """The value of the Host header: with the port only if it is not the scheme's default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path.partition('?')[0]}"


_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")  # an address in another spelling (WHATWG URL: "ends in a number")
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\\]|^ | $")


def check_url(url: str, hosts: Iterable[str], *, allow_private: bool = False) -> Target:
    """Parse and check a URL without a name lookup. Raises AddressRefused.

    `hosts` are suffixes of whole labels: "aliyuncs.com" allows "a.aliyuncs.com", not "xaliyuncs.com".
    """
    parts, port = _split(url)
    scheme = parts.scheme.lower()
    if scheme not in _PORTS:
        raise AddressRefused(f"refused scheme {scheme[:20]!r}: only https is allowed")
    if "@" in parts.netloc or "%" in parts.netloc:
        raise AddressRefused("refused a URL with user information or percent-encoding before the path")
    host = _checked_host(parts.netloc, parts.hostname or "")
    if scheme == "http" and not allow_private:
        raise AddressRefused(f"refused http to {host}: only https is allowed")
    port = _checked_port(parts.netloc, port, scheme, host)
    listed = any(is_under(host, suffix) for suffix in hosts)
    if not listed and not allow_private:
        raise AddressRefused(f"refused host {host}: it is not on the list of allowed hosts")
    path = encode_path(parts.path or "/")
    if parts.query:
        path += "?" + encode_query(parts.query)
    return Target(scheme, host, port, path, private_only=not listed)


def _split(url: str) -> tuple[SplitResult, int | None]:
    if len(url) > URL_MAX:
        raise AddressRefused(f"refused a URL longer than {URL_MAX} characters")
    if _FORBIDDEN.search(url):
        raise AddressRefused("refused a URL with a control character, a backslash or a blank at its ends")
    try:
        parts = urlsplit(url)
        return parts, parts.port
    except ValueError:
        raise AddressRefused("refused a URL that cannot be parsed") from None


def _checked_port(netloc: str, port: int | None, scheme: str, host: str) -> int:
    if port is None and netloc.endswith(":"):
        raise AddressRefused(f"refused an empty port at {host}")
    port = _PORTS[scheme] if port is None else port
    if port != _PORTS[scheme] and port < 1024:
        raise AddressRefused(f"refused port {port} at {host}")
    return port


def _checked_host(netloc: str, host: str) -> str:
    host = host.lower()
    if netloc.startswith("["):
        try:
            return ipaddress.IPv6Address(host).compressed
        except ValueError:
            raise AddressRefused("refused a malformed IPv6 address") from None
    host = host[:-1] if host.endswith(".") else host
    if len(host) > 253 or not _HOST.fullmatch(host):
        raise AddressRefused("refused a host name that is empty or not plain ASCII letters, digits, dots and hyphens")
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            raise AddressRefused("refused an IPv4 address in a disguised spelling") from None
    return host


def is_under(host: str, suffix: str) -> bool:
    """Whether a host is the suffix or is below it. An IP address must be equal to the suffix."""
    suffix = suffix.strip().strip(".").lower()
    if suffix.startswith("[") and suffix.endswith("]"):
        suffix = suffix[1:-1]
    elif suffix.count(":") == 1:
        suffix = suffix.partition(":")[0]  # given with a port
    if not suffix:
        return False
    if _is_literal(host):
        return host == suffix
    return host == suffix or host.endswith("." + suffix)


def _is_literal(host: str) -> bool:
    return ":" in host or _NUMBER.fullmatch(host.rpartition(".")[2]) is not None


def _networks(*texts: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


#: Always refused: these addresses belong to the machine or to the cloud itself, or to no host.
_NEVER = {
    "a cloud metadata address": _networks(
        "169.254.169.254/32",
        "169.254.170.2/32",
        "169.254.170.23/32",
        "100.100.100.200/32",
        "168.63.129.16/32",
        "192.0.0.192/32",
        "fd00:ec2::/32",
        "fd20:ce::/32",
        "fe80::a9fe:a9fe/128",
    ),
    "a link-local address": _networks("169.254.0.0/16", "fe80::/10"),
    "a multicast address": _networks("224.0.0.0/4", "ff00::/8"),
    "an unspecified address": _networks("0.0.0.0/8", "::/128"),
}

#: Allowed only with `allow_private`.
_PRIVATE = {
    "a loopback address": _networks("127.0.0.0/8", "::1/128"),
    "a private address": _networks("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
}

#: Always refused: neither public addresses nor addresses of a private network.
_SPECIAL = {
    "a shared (carrier NAT) address": _networks("100.64.0.0/10"),
    "a reserved address": _networks(
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "240.0.0.0/4",
        "::/96",
        "64:ff9b:1::/48",
        "100::/64",
        "100:0:0:1::/64",
        "2001::/23",
        "2001:db8::/32",
        "2620:4f:8000::/48",
        "3fff::/20",
        "5f00::/16",
    ),
    "a 6to4 address": _networks("2002::/16"),
    "a site-local address": _networks("fec0::/10"),
}

_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: DNS64 gives such an address for a host with only IPv4


def address_problem(address: Address, *, allow_private: bool = False, private_only: bool = False) -> str | None:
    """Why no connection to this address is allowed, as the error message says it; None when it is allowed."""
    address = _embedded(address)
    for what, networks in _NEVER.items():
        if any(address in network for network in networks):
            return what
    for what, networks in _PRIVATE.items():
        if any(address in network for network in networks):
            return None if allow_private else what
    for what, networks in _SPECIAL.items():
        if any(address in network for network in networks):
            return what
    if address.version == 6 and address not in _GLOBAL_UNICAST:
        return "a reserved address"
    if address.version == 6 and int(address) >> 32 & 0xFFFFFFFF in (0x00005EFE, 0x02005EFE):
        return "an ISATAP address"  # RFC 5214: it contains an IPv4 address of an internal network
    return "an address outside the private network of a host that is not on the list" if private_only else None


def _embedded(address: Address) -> Address:
    """The IPv4 address inside of an IPv4-mapped or NAT64 address; any other address as it is."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def resolve(target: Target, *, allow_private: bool = False) -> Sequence[tuple[socket.AddressFamily, tuple[str, int]]]:
    """Look up the name once and check each address. The connection then uses one of exactly these addresses.

    One bad address is enough to refuse the host. Raises AddressRefused; socket.gaierror when there is no such name.
    """
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise AddressRefused("refused a host name that cannot be looked up") from None
    checked = []
    for family, _, _, _, sockaddr in found:
        text = str(sockaddr[0])
        if family not in (socket.AF_INET, socket.AF_INET6):
            raise AddressRefused(f"refused {target.host}: it resolves to an address of an unknown family")
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            raise AddressRefused(f"refused {target.host}: it resolves to something that is not an address") from None
        if isinstance(address, ipaddress.IPv6Address) and address.scope_id:
            raise AddressRefused(f"refused {target.host}: it resolves to a link-local address")
        problem = address_problem(address, allow_private=allow_private, private_only=target.private_only)
        if problem:
            raise AddressRefused(f"refused {target.host}: it resolves to {problem}")
        checked.append((family, (text, target.port)))
    return checked
