"""Exits: one for a fetch, with its look-ups; another while nothing was sent; never this machine's own address.

The exits are our own role and a small HTTP proxy, the name server answers over TCP, all on loopback.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import dns.message
import dns.name
import dns.rcode
import dns.rrset
import pytest

from adapters.test_hostile_origins import certificate
from mailveil.adapters.egress import EgressGuard, EgressLimits
from mailveil.adapters.exits import Exit, ExitError, ExitPool, ExitScheme, UnreachableError
from mailveil.adapters.exitserver import ExitServer, ExitServerSettings, OpenExitError
from mailveil.adapters.fetcher import FetchOutcome, OriginFetcher
from mailveil.adapters.resolver import Resolver, registrable_domain
from mailveil.core.references.types import Media
from origin_room import GIF, LOOPBACK, Listening, Origin, answer

EVERYWHERE = ipaddress.ip_network("0.0.0.0/0")


class NameServer:
    """Answers over TCP from a zone; keeps what it was asked, and whether a client subnet was among it."""

    def __init__(self, zone: dict[tuple[str, str], list[str]]) -> None:
        self.zone = zone
        self.asked: list[tuple[str, str]] = []
        self.options: list[int] = []

    async def __aenter__(self) -> NameServer:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            (length,) = struct.unpack(">H", await reader.readexactly(2))
            query = dns.message.from_wire(await reader.readexactly(length))
            wire = self.answer(query).to_wire()
            writer.write(struct.pack(">H", len(wire)) + wire)
            await writer.drain()
        writer.close()

    def answer(self, query: dns.message.Message) -> dns.message.Message:
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        self.options += [int(each.otype) for each in query.options]
        response = dns.message.make_response(query)
        known = {each for each, _kind in self.zone}
        for _ in range(5):
            if (name, kind) in self.zone:
                response.answer.append(
                    dns.rrset.from_text_list(name + ".", 77, "IN", kind, self.zone[name, kind])
                )
                break
            if (name, "CNAME") not in self.zone:
                break
            target = self.zone[name, "CNAME"][0]
            response.answer.append(dns.rrset.from_text(name + ".", 33, "IN", "CNAME", target))
            name = target.rstrip(".")
        if name not in known:
            response.set_rcode(dns.rcode.NXDOMAIN)
        return response


class ConnectProxy(Listening):
    """An HTTP proxy that takes CONNECT; keeps what was asked of it."""

    def __init__(self, status: str = "200 OK") -> None:
        super().__init__()
        self.status = status
        self.asked: list[str] = []

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.asked.append(request)
        writer.write(f"HTTP/1.1 {self.status}\r\nVia: proxy\r\n\r\n".encode())
        if not self.status.startswith("200"):
            await writer.drain()
            return
        host, _, port = request.split(" ")[1].rpartition(":")
        there_reader, there_writer = await asyncio.open_connection(host.strip("[]"), int(port))

        async def carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                target.write(data)
                await target.drain()

        try:
            await asyncio.wait(
                [
                    asyncio.create_task(carry(reader, there_writer)),
                    asyncio.create_task(carry(there_reader, writer)),
                ],
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            there_writer.transport.abort()


class ViaExit(EgressGuard):
    """Has the exit connect to the test's origin where a name leads to port 80 of 127.0.0.1."""

    port = 0

    async def connect(self, address, port, way_out):  # type: ignore[no-untyped-def]
        assert way_out is not None, "never directly"
        return await super().connect(address, self.port, way_out)


def socks(port: int, user: str = "", password: str = "") -> Exit:
    return Exit(ExitScheme.SOCKS5, "127.0.0.1", port, user, password)


ZONE = {
    ("news.example.com", "CNAME"): ["edge.vendor.example.net."],
    ("edge.vendor.example.net", "A"): ["127.0.0.1"],
    ("example.com", "NS"): ["ns1.vendor.example.net.", "ns2.vendor.example.net."],
    ("only6.example.com", "AAAA"): ["2606:4700::1"],
    ("nothing.example.com", "TXT"): ['"x"'],
}


@contextlib.asynccontextmanager
async def world(
    *exits: Exit, servers: int = 1, user: str = ""
) -> AsyncIterator[tuple[OriginFetcher, Origin, NameServer, list[ExitServer]]]:
    """An origin and a name server that are reached through exits of ours, or through those given."""
    async with Origin(answer(GIF)) as origin, NameServer(ZONE) as names, contextlib.AsyncExitStack() as stack:
        running = []
        for _ in range(servers):
            server = ExitServer(
                ExitServerSettings(user=user, password=user and "secret"),
                resolver=(LOOPBACK, names.port),
                extra_allowed=[(LOOPBACK, origin.port), (LOOPBACK, names.port)],
            )
            await server.start("127.0.0.1", 0)
            stack.push_async_callback(server.stop)
            running.append(server)
        pool = ExitPool([*exits, *[socks(each.port, user, user and "secret") for each in running]], b"key")
        resolver = Resolver([f"127.0.0.1:{names.port}"] if exits else [])
        guard = ViaExit(resolver, exits=pool, extra_allowed=[(LOOPBACK, 80)], limits=EgressLimits())
        guard.port = origin.port
        async with guard:
            yield OriginFetcher(guard), origin, names, running


@pytest.mark.parametrize("user", ["", "me"])
def test_fetches_and_look_ups_go_through_our_own_exit(user: str) -> None:
    async def work() -> None:
        async with world(user=user) as (fetcher, origin, names, (server,)):
            fetched = await fetcher.fetch("http://news.example.com/a", Media.IMAGE)
            assert fetched.body == GIF, fetched
            assert fetched.exit == f"socks5://127.0.0.1:{server.port}"
            assert len(origin.requests) == 1
            assert names.asked == [("news.example.com", "A"), ("example.com", "NS")]
            assert 8 not in names.options, "no client subnet"
            (hop,) = fetched.hops
            assert hop.name is not None
            assert [(each.name, each.kind, each.ttl_s, each.value) for each in hop.name.records] == [
                ("news.example.com", "CNAME", 33, "edge.vendor.example.net"),
                ("edge.vendor.example.net", "A", 77, "127.0.0.1"),
            ]
            assert hop.name.servers == ("ns1.vendor.example.net", "ns2.vendor.example.net")
            assert (await fetcher.fetch("http://news.example.com/b", Media.IMAGE)).body == GIF
            assert len(names.asked) == 2, "answers are kept for their time to live"

    asyncio.run(work())


def test_an_http_proxy_is_given_checked_addresses_and_our_credentials() -> None:
    async def work() -> None:
        async with ConnectProxy() as proxy:
            way_out = Exit(ExitScheme.HTTP, "127.0.0.1", proxy.port, "me", "secret")
            async with world(way_out, servers=0) as (fetcher, origin, names, _servers):
                assert (await fetcher.fetch("http://news.example.com/a", Media.IMAGE)).body == GIF
                assert [each.split(" ")[1] for each in proxy.asked] == [
                    f"127.0.0.1:{names.port}", f"127.0.0.1:{origin.port}", f"127.0.0.1:{names.port}"
                ]  # fmt: skip
                assert "Proxy-Authorization: Basic bWU6c2VjcmV0\r\n" in proxy.asked[0]
                assert "news.example.com" not in "".join(proxy.asked)

    asyncio.run(work())


def test_another_exit_is_taken_while_nothing_was_sent_and_the_dead_one_put_aside() -> None:
    async def work() -> None:
        dead = [socks(9), Exit(ExitScheme.HTTP, "127.0.0.1", 9), socks(11)]
        async with world(*dead) as (fetcher, origin, _names, _servers):
            for number in range(3):
                assert (await fetcher.fetch(f"http://news.example.com/{number}", Media.IMAGE)).body == GIF
            assert len(origin.requests) == 3
            left = list(fetcher.guard.exits.choices("example.com"))
            assert any(each not in dead for each in left)

    asyncio.run(work())


def test_without_a_working_exit_nobody_is_contacted() -> None:
    async def work() -> None:
        async with world(socks(9), servers=0) as (fetcher, origin, names, _servers):
            fetched = await fetcher.fetch("http://news.example.com/a", Media.IMAGE)
            assert fetched.outcome is FetchOutcome.NO_EXIT
            assert fetched.sent_nothing
            assert (origin.requests, names.asked) == ([], [])
            again = await fetcher.fetch("http://news.example.com/a", Media.IMAGE)
            assert again.outcome is FetchOutcome.NO_EXIT

    asyncio.run(work())


@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "502 Bad Gateway", "not even HTTP"])
def test_a_proxy_that_refuses_sends_nothing(status: str) -> None:
    async def work() -> None:
        async with ConnectProxy(status) as proxy:
            way_out = Exit(ExitScheme.HTTP, "127.0.0.1", proxy.port)
            async with world(way_out, servers=0) as (fetcher, origin, _names, _servers):
                fetched = await fetcher.fetch("http://news.example.com/a", Media.IMAGE)
                assert fetched.sent_nothing
                assert origin.requests == []

    asyncio.run(work())


@pytest.mark.parametrize(
    ("host", "outcome", "defect"),
    [
        ("only6.example.com", FetchOutcome.UNREACHABLE, ""),
        ("nothing.example.com", FetchOutcome.NO_SUCH_NAME, "nodata"),
        ("nowhere.example.com", FetchOutcome.NO_SUCH_NAME, "nxdomain"),
    ],
)
def test_what_the_dns_says_is_told(host: str, outcome: FetchOutcome, defect: str) -> None:
    async def work() -> None:
        async with world() as (fetcher, origin, names, _servers):
            fetched = await fetcher.fetch(f"http://{host}/a", Media.IMAGE)
            assert fetched.outcome is outcome, fetched
            assert fetched.hops[0].name is not None
            assert fetched.hops[0].name.defect == defect
            assert origin.requests == []
            asked = [kind for name, kind in names.asked if name == host]
            assert asked == (["A"] if defect == "nxdomain" else ["A", "AAAA"]), (
                "AAAA only where there is no A"
            )

    asyncio.run(work())


def test_a_domain_keeps_to_its_exit_and_domains_are_spread() -> None:
    exits = [socks(port) for port in (1001, 1002, 1003, 1004)]
    pool = ExitPool(exits, b"key", now=lambda: 0.0)
    domains = [f"d{number}.example" for number in range(400)]
    chosen = {domain: next(pool.choices(domain)) for domain in domains}
    assert chosen == {domain: next(pool.choices(domain)) for domain in domains}
    counts = [list(chosen.values()).count(each) for each in exits]
    assert min(counts) > 50, "each has its share"
    assert chosen != {domain: next(ExitPool(exits, b"other").choices(domain)) for domain in domains}
    fewer = ExitPool(exits[1:], b"key")
    assert all(
        next(fewer.choices(domain)) == chosen[domain] for domain in domains if chosen[domain] != exits[0]
    )


def test_an_exit_that_was_put_aside_comes_back() -> None:
    clock = 0.0
    pool = ExitPool([socks(1)], b"key", aside_s=60, now=lambda: clock)
    pool.put_aside(socks(1))
    assert list(pool.choices("a.example")) == []
    clock = 61.0
    assert list(pool.choices("a.example")) == [socks(1)]


def test_names_of_a_registrable_domain() -> None:
    assert registrable_domain("a.b.example.co.uk.") == "example.co.uk"
    assert registrable_domain("co.uk") == "co.uk"
    assert registrable_domain("1.2.3.4") == "1.2.3.4"
    assert registrable_domain("[2001:db8::1]") == "2001:db8::/64"


# --- the role egress ---------------------------------------------------------------------------------------------


async def refused(server: ExitServer, host: str, port: int, user: str = "", password: str = "") -> bool:
    address = host if host == "resolver.invalid" or not host[0].isdigit() else ipaddress.ip_address(host)
    try:
        _reader, writer = await socks(server.port, user, password).connect(address, port, 5.0)
    except (ExitError, UnreachableError):
        return True
    writer.transport.abort()
    return False


def test_the_exit_lets_nobody_into_its_own_network() -> None:
    async def work() -> None:
        async with Origin(answer(GIF)) as inside:
            server = ExitServer(ExitServerSettings())
            await server.start("127.0.0.1", 0)
            try:
                for host, port in [
                    ("127.0.0.1", inside.port), ("127.0.0.1", 80), ("10.0.0.1", 80), ("169.254.169.254", 80),
                    ("8.8.8.8", 22), ("8.8.8.8", 53), ("8.8.8.8", 25), ("example.com", 80), ("resolver.invalid", 80),
                ]:  # fmt: skip
                    assert await refused(server, host, port), (host, port)
                assert inside.requests == []
            finally:
                await server.stop()

    asyncio.run(work())


def test_the_exit_wants_its_password_and_its_clients() -> None:
    async def work() -> None:
        async with Origin(answer(GIF)) as origin:
            allowed = [(LOOPBACK, origin.port)]
            server = ExitServer(ExitServerSettings(user="me", password="secret"), extra_allowed=allowed)
            await server.start("127.0.0.1", 0)
            try:
                assert not await refused(server, "127.0.0.1", origin.port, "me", "secret")
                assert await refused(server, "127.0.0.1", origin.port, "me", "wrong")
                assert await refused(server, "127.0.0.1", origin.port, "you", "secret")
                assert await refused(server, "127.0.0.1", origin.port)
            finally:
                await server.stop()
            elsewhere = ExitServerSettings(clients=(ipaddress.ip_network("192.0.2.0/24"),))
            server = ExitServer(elsewhere, extra_allowed=allowed)
            await server.start("127.0.0.1", 0)
            try:
                assert await refused(server, "127.0.0.1", origin.port)
            finally:
                await server.stop()

    asyncio.run(work())


def test_an_exit_for_everybody_does_not_start() -> None:
    async def work() -> None:
        with pytest.raises(OpenExitError, match=r"\[egress\] listen"):
            await ExitServer(ExitServerSettings()).start("0.0.0.0", 0)
        with pytest.raises(OpenExitError, match="password"):
            await ExitServer(ExitServerSettings(user="me")).start("127.0.0.1", 0)
        server = ExitServer(ExitServerSettings(clients=(EVERYWHERE,)))
        await server.start("0.0.0.0", 0)  # said so in as many words
        await server.stop()

    asyncio.run(work())


def test_inside_tls_the_exit_is_known_by_its_own_certificate(tmp_path: Path) -> None:
    async def work() -> None:
        certificate(tmp_path, host="exit.example")
        file = str(tmp_path / "tls.pem")
        async with Origin(answer(GIF)) as origin:
            server = ExitServer(
                ExitServerSettings(user="me", password="secret", certificate=file),
                extra_allowed=[(LOOPBACK, origin.port)],
            )
            await server.start("127.0.0.1", 0)
            try:
                way_out = Exit(ExitScheme.SOCKS5_TLS, "127.0.0.1", server.port, "me", "secret", file)
                reader, writer = await way_out.connect(LOOPBACK, origin.port, 5.0)
                assert isinstance(writer.get_extra_info("ssl_object"), ssl.SSLObject)
                writer.write(b"GET / HTTP/1.1\r\n\r\n")
                assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
                writer.transport.abort()
                unknown = Exit(ExitScheme.SOCKS5_TLS, "127.0.0.1", server.port, "me", "secret")
                with pytest.raises(ExitError):
                    await unknown.connect(LOOPBACK, origin.port, 5.0)
            finally:
                await server.stop()

    asyncio.run(work())


def test_a_name_that_many_want_at_once_is_asked_for_once() -> None:
    """A newsletter's pictures are fetched together, and one of them may be given up while its name is looked up."""

    async def work() -> None:
        async with world() as (fetcher, _origin, names, _exits):
            resolver, dial = fetcher.guard.resolver, fetcher.guard._dial(fetcher.guard.exits.exits[0])
            waiting = [
                asyncio.create_task(resolver.look_up("news.example.com", 30.0, dial, "exit"))
                for _ in range(10)
            ]
            await asyncio.sleep(0)
            waiting[0].cancel()
            found = await asyncio.gather(*waiting[1:])
            assert {each.addresses for each in found} == {("127.0.0.1",)}
            assert names.asked == [("news.example.com", "A")]

    asyncio.run(work())
