"""The fetcher connects to public addresses only, however they are written."""

from __future__ import annotations

import ipaddress
import socket

import pytest

from mailveil.adapters.addresses import is_allowed, is_local_name, machine_of, parse_address, source_addresses
from mailveil.adapters.resolver import registrable_domain

FORBIDDEN = [
    "0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1",
    "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.7",
    "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "168.63.129.16",
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "64:ff9b::808:808",
    "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::1", "2002:808:808::1", "3fff::1",
    "3ffe::1",
    "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "5f00::1",
]  # fmt: skip
ALLOWED = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "192.0.1.1", "2606:4700::1111", "2a00:1450::1"]


@pytest.mark.parametrize("text", FORBIDDEN)
def test_forbidden(text: str) -> None:
    assert not is_allowed(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", ALLOWED)
def test_allowed(text: str) -> None:
    assert is_allowed(ipaddress.ip_address(text))


def test_own_networks_are_forbidden_too() -> None:
    own = [ipaddress.ip_network("8.8.0.0/16"), ipaddress.ip_network("2606:4700::/32")]
    assert not is_allowed(ipaddress.ip_address("8.8.8.8"), own)
    assert not is_allowed(ipaddress.ip_address("2606:4700::1111"), own)
    assert is_allowed(ipaddress.ip_address("1.1.1.1"), own)


def test_all_addresses_of_one_ipv6_network_are_one_machine() -> None:
    """Whoever is given one is given 2^64: each with a budget of its own would be none."""
    one, other = (ipaddress.ip_address(text) for text in ("2606:4700:1:2::1", "2606:4700:1:2:ffff::9"))
    assert machine_of(one) == machine_of(other) == "2606:4700:1:2::/64"
    assert machine_of(ipaddress.ip_address("2606:4700:1:3::1")) != machine_of(one)
    assert machine_of(ipaddress.ip_address("8.8.8.8")) == "8.8.8.8"
    assert registrable_domain("[2606:4700:1:2::1]") == registrable_domain("2606:4700:1:2::2")


def test_the_address_that_this_machine_speaks_from_is_our_own() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("no route to anywhere")
        assert ipaddress.ip_network(probe.getsockname()[0]) in source_addresses()
        assert not is_allowed(ipaddress.ip_address(probe.getsockname()[0]), source_addresses())


def test_literals_and_names() -> None:
    assert parse_address("[::1]") == ipaddress.ip_address("::1")
    assert parse_address("127.0.0.1") == ipaddress.ip_address("127.0.0.1")
    assert parse_address("127.0.0.1.example") is None
    for name in ("localhost", "intranet", "printer.local", "metadata.google.internal", "a.localhost."):
        assert is_local_name(name)
    assert not is_local_name("news.example.com")
