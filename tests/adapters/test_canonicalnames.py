"""Canonical names: what the DNS tells of a host, asked of a name server of our own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import dns.flags
import dns.message
import dns.rrset
import pytest

from mailveil.adapters.canonicalnames import CanonicalNames

ALIASES = {
    "track.shop.example.": "open.mailer.example.",
    "open.mailer.example.": "eu.cdn.example.",
    "loop.example.": "loop.example.",
}


class NameServer:
    """Answers with whole chains of aliases and counts the questions."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.asked: list[str] = []
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.socket.getsockname()[1]}"

    def serve(self) -> None:
        while True:
            try:
                query, peer = self.socket.recvfrom(4096)
            except OSError:
                return
            if query == b"end":
                return
            question = dns.message.from_wire(query)
            name = question.question[0].name.to_text()
            self.asked.append(name)
            answer = dns.message.make_response(question)
            answer.flags |= dns.flags.RA
            seen = set()
            while name in ALIASES and name not in seen:
                seen.add(name)
                answer.answer.append(dns.rrset.from_text(name, 60, "IN", "CNAME", ALIASES[name]))
                name = ALIASES[name]
            if name not in ALIASES:
                answer.answer.append(dns.rrset.from_text(name, 60, "IN", "A", "192.0.2.1"))
            self.socket.sendto(answer.to_wire(), peer)

    def close(self) -> None:
        self.socket.sendto(b"end", self.socket.getsockname())
        self.thread.join()
        self.socket.close()


@pytest.fixture
def server() -> Iterator[NameServer]:
    server = NameServer()
    yield server
    server.close()


def test_chain_of_aliases_in_order_and_each_host_asked_once(server: NameServer) -> None:
    names = CanonicalNames(nameservers=[server.address], timeout_s=5)
    hosts = ["track.shop.example", "plain.example", "track.shop.example"]
    for _ in range(2):
        assert names.look_up(hosts) == {
            "track.shop.example": ("open.mailer.example", "eu.cdn.example"),
            "plain.example": (),
        }
    assert sorted(server.asked) == ["plain.example.", "track.shop.example."]
    names.close()


@pytest.mark.parametrize(
    "host", ["loop.example", "a..b", "x" * 70 + ".example", "\x00", "[::1]", "ä\udc80.example"]
)
def test_whatever_a_host_is_called_there_is_an_answer(server: NameServer, host: str) -> None:
    names = CanonicalNames(nameservers=[server.address], timeout_s=1)
    assert set(names.look_up([host])) == {host}
    names.close()


def test_silence_is_no_answer() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        names = CanonicalNames(nameservers=[f"127.0.0.1:{silent.getsockname()[1]}"], timeout_s=0.3)
        assert names.look_up(["a.example"]) == {"a.example": ()}
        names.close()
