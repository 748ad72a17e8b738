"""Calls to systems that an administrator named: to checked addresses, bounded, and with words when they fail."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from mailveil.adapters.outgoing import OutgoingClient, OutgoingError

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@contextlib.asynccontextmanager
async def listening(talk: Talk) -> AsyncIterator[int]:
    talks: set[asyncio.Task[None]] = set()

    async def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        try:
            await talk(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for each in talks:
            each.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


def answering(raw: bytes, heard: list[bytes] | None = None) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if heard is not None:
            heard.append(head)
        writer.write(raw)
        await writer.drain()

    return talk


@contextlib.asynccontextmanager
async def calling(*, loopback: bool = True) -> AsyncIterator[OutgoingClient]:
    client = OutgoingClient(LOOPBACK if loopback else ())
    try:
        yield client
    finally:
        await client.close()


def test_a_request_is_sent_as_it_is_asked_and_its_answer_returned() -> None:
    heard: list[bytes] = []

    async def steps() -> None:
        raw = b"HTTP/1.1 418 Teapot\r\nX-Kind: Short\r\nContent-Length: 5\r\nConnection: close\r\n\r\nstout"
        async with listening(answering(raw, heard)) as port, calling() as client:
            answer = await client.request(
                "PUT", f"http://127.0.0.1:{port}/a?b=c", headers={"Authorization": "Token t"}
            )
            assert (answer.status, answer.headers["x-kind"], answer.body) == (418, "Short", b"stout")

    asyncio.run(steps())
    assert heard[0].startswith(b"PUT /a?b=c HTTP/1.1\r\n")
    assert b"Authorization: Token t\r\n" in heard[0]


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    heard: list[bytes] = []

    async def steps() -> None:
        raw = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
        async with listening(answering(raw, heard)) as port, calling() as client:
            assert (await client.request("GET", f"http://127.0.0.1:{port}/")).status == 302

    asyncio.run(steps())
    assert len(heard) == 1


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"]
)
def test_addresses_of_the_machine_are_refused_unless_they_are_allowed(host: str) -> None:
    heard: list[bytes] = []

    async def steps() -> None:
        raw = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        async with listening(answering(raw, heard)) as port, calling(loopback=False) as client:
            with pytest.raises(OutgoingError, match=r"networks|resolved") as caught:
                await client.request("GET", f"http://{host}:{port}/")
            assert caught.value.is_permanent or "resolved" in str(caught.value)
            with pytest.raises(OutgoingError, match=r"networks|resolved"):
                await client.connect(host.strip("[]"), port)

    asyncio.run(steps())
    assert heard == []


@pytest.mark.parametrize("host", ["169.254.169.254", "10.0.0.1", "[fd00::1]", "100.64.0.1"])
def test_networks_that_are_allowed_open_no_others(host: str) -> None:
    async def steps() -> None:
        async with calling() as client:
            with pytest.raises(OutgoingError, match=r"\[sharing\] networks"):
                await client.request("GET", f"http://{host}/")

    asyncio.run(steps())


def test_a_name_that_changes_after_it_was_looked_at_is_not_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    async def steps() -> None:
        real = socket.getaddrinfo

        def getaddrinfo(host: Any, port: Any, *others: Any, **more: Any) -> Any:
            if host != "siem.example":
                return real(host, port, *others, **more)
            asked.append(host)
            address = "127.0.0.1" if len(asked) == 1 else "169.254.169.254"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        raw = b"HTTP/1.1 204 No Content\r\n\r\n"
        async with listening(answering(raw)) as port, calling() as client:
            assert (await client.request("GET", f"http://siem.example:{port}/")).status == 204

    asyncio.run(steps())
    assert asked == ["siem.example"]


@pytest.mark.parametrize(
    "url",
    ["ftp://siem.example/", "file:///etc/passwd", "http://user:secret@siem.example/", "http://siem.example/#x",
     "http:///x", "http://siem.example:99999/", "http://siem.example/a b", "http://siem.example/\r\nX: y"],
)  # fmt: skip
def test_what_is_no_plain_web_address_is_refused(url: str) -> None:
    async def steps() -> None:
        async with calling() as client:
            with pytest.raises(OutgoingError) as caught:
                await client.request("GET", url)
            assert caught.value.is_permanent
            assert "secret" not in str(caught.value)

    asyncio.run(steps())


def test_a_header_field_cannot_smuggle_another_one_in() -> None:
    heard: list[bytes] = []

    async def steps() -> None:
        raw = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        async with listening(answering(raw, heard)) as port, calling() as client:
            with pytest.raises(OutgoingError):
                await client.request("GET", f"http://127.0.0.1:{port}/", headers={"X-A": "b\r\nX-C: d"})

    asyncio.run(steps())
    assert heard == []


def test_answers_are_bounded_in_size_and_time() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.05)

    async def steps() -> None:
        async with listening(endless) as port, calling() as client:
            with pytest.raises(OutgoingError, match="larger than 100000 bytes"):
                await client.request("GET", f"http://127.0.0.1:{port}/", max_bytes=100_000)
        async with listening(drip) as port, calling() as client:
            with pytest.raises(OutgoingError, match="no answer within"):
                await client.request("GET", f"http://127.0.0.1:{port}/", timeout_s=0.5)

    asyncio.run(steps())


def test_a_refused_connection_and_a_missing_name_are_said_in_words() -> None:
    async def steps() -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        async with calling() as client:
            with pytest.raises(OutgoingError, match="refused") as caught:
                await client.request("GET", f"http://127.0.0.1:{port}/")
            assert not caught.value.is_permanent
            with pytest.raises(OutgoingError, match=r"no connection|refused"):
                await client.connect("127.0.0.1", port)
            with pytest.raises(OutgoingError, match="cannot be resolved"):
                await client.connect("no-such-name.invalid", port)

    asyncio.run(steps())


def test_where_the_status_is_enough_no_body_matters() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()

    broken = answering(b"HTTP/1.1 202 Accepted\r\nContent-Length: 1000\r\n\r\nshort")

    async def steps() -> None:
        for talk, status in ((endless, 200), (broken, 202)):
            async with listening(talk) as port, calling() as client:
                address = f"http://127.0.0.1:{port}/"
                answer = await client.request("POST", address, is_status_enough=True)
                assert (answer.status, answer.body) == (status, b"")
                with pytest.raises(OutgoingError):
                    await client.request("POST", address)

    asyncio.run(steps())


def test_name_servers_that_do_not_answer_hold_up_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()

    def getaddrinfo(*asked: Any, **more: Any) -> Any:
        del asked, more
        answered.wait(60)
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    async def steps() -> None:
        client = OutgoingClient()
        looks = [asyncio.create_task(client.resolve(f"siem{each}.example", 443)) for each in range(50)]
        try:
            async with asyncio.timeout(30):
                assert await asyncio.to_thread(sum, (1, 2)) == 3
        finally:
            answered.set()
        failures = await asyncio.gather(*looks, return_exceptions=True)
        assert {type(each) for each in failures} == {OutgoingError}

    asyncio.run(steps())
