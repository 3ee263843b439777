"""Which addresses the service may connect to: public ones, resolved once and then connected to as they are."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

__all__ = ["Target", "is_public", "resolve"]

_SPECIAL = ("192.0.0.0/24", "192.88.99.0/24", "2001::/32", "2002::/16")  # assignments and tunnels, called global
_INTERNET_V6 = ipaddress.ip_network("2000::/3")


@dataclass(frozen=True)
class Target:
    """A URL that was checked: connect to `address`, with `host` in the header and in the certificate."""

    url: str  # with the address in place of the host
    host: str  # in ASCII, as the network writes it
    header: str  # for Host


def is_public(address: str) -> bool:
    """Whether an address is on the public internet, also not through one of the ways to write IPv4 inside IPv6.

    >>> is_public("93.184.215.14"), is_public("127.0.0.1"), is_public("::ffff:10.0.0.1")
    (True, False, False)
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        elif ip not in _INTERNET_V6:
            return False
    if any(ip in net for net in map(ipaddress.ip_network, _SPECIAL) if net.version == ip.version):
        return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def resolve(url: str, *, private: bool = False) -> Target:
    """Resolve the host of an http or https URL and pin its address. Every address that it has must be public.

    Args:
        url: from a client.
        private: private addresses are allowed, too.

    Raises:
        ValueError: another scheme, a user or control characters in the URL, a host that is not found, or an address
            that is not public; the message is for the client.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected a URL that starts with https:// or http://")
    if parts.username is not None or parts.password is not None:
        raise ValueError("expected a URL without user and password")
    if any(c.isascii() and not c.isprintable() for c in parts.geturl()):
        raise ValueError("expected a URL without control characters")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        host = parts.hostname.encode("idna").decode("ascii")
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ValueError("expected a host that exists") from error
    addresses = [str(entry[4][0]) for entry in found]
    if not private and not all(is_public(address) for address in addresses):
        raise ValueError("expected a host with public addresses only")
    pinned = parts._replace(netloc=f"{_in_url(addresses[0])}:{port}", fragment="").geturl()
    return Target(pinned, host, _in_url(host) + (f":{parts.port}" if parts.port else ""))


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
