"""The copies server behind a real nginx with the configuration that we ship: inert as before, and no record kept.

Setup: Debian's nginx with deploy/nginx/copies.conf, its ports and paths put into a temporary directory, a certificate
made for the test, and the real copies server and store behind it.
Test: nginx finds the configuration good; copies, ranges and slots come through over TLS, nothing about the client
does; afterwards no file of nginx tells of any request.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mailveil.core.references.types import Media
from mailveil.endpoints.web.copies import CopiesServer
from mailveil.endpoints.web.listener import HttpListener
from mailveil.ports import StoredCopy

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(not NGINX or not OPENSSL, reason="nginx or openssl is not installed")
SHIPPED = Path(__file__).parents[2] / "deploy" / "nginx" / "copies.conf"
BODY = bytes(range(256)) * 4000


@dataclass
class Room:
    directory: Path
    port: int
    seen: list[dict[bytes, bytes]]
    queries: list[bytes]


class Store:
    async def get(self, token: str, slots: tuple[int, ...] = ()) -> StoredCopy | None:
        body = b"nested" if slots else BODY
        return StoredCopy(Media.IMAGE, "image/png", body, f"{len(body):064d}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def configuration(directory: Path, port: int, backend: int) -> str:
    """Return what is shipped, moved into a room of its own; every line that is moved has to be there."""
    text = SHIPPED.read_text("utf-8")
    for shipped, moved in (
        ("server 127.0.0.1:8081;", f"server 127.0.0.1:{backend};"),
        ("\tlisten 443 ssl;\n", f"\tlisten 127.0.0.1:{port} ssl;\n"),
        ("\tlisten [::]:443 ssl;\n", ""),
        ("/etc/ssl/copies.example.org.pem", str(directory / "cert.pem")),
        ("/etc/ssl/private/copies.example.org.key", str(directory / "key.pem")),
        ("error_log /dev/null emerg;", f"error_log {directory}/error.log emerg;"),
    ):
        assert shipped in text
        text = text.replace(shipped, moved)
    folders = "".join(
        f"{kind}_temp_path {directory}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if os.getuid() == 0 else ""
    main = (
        f"daemon off; pid {directory}/pid; error_log {directory}/main.log crit; worker_processes 1; {user}\n"
    )
    logged = f"access_log {directory}/access.log;\n"  # as in Debian's own nginx.conf
    return f"{main}events {{ worker_connections 1000; }}\nhttp {{\n{logged}{folders}{text}}}\n"


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    directory = tmp_path_factory.mktemp("nginx")
    subprocess.run(
        [OPENSSL, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=copies.example.org",
         "-keyout", directory / "key.pem", "-out", directory / "cert.pem"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    room = Room(directory, free_port(), [], [])
    server = CopiesServer(Store(), lambda token: token.isalpha())

    async def watched(scope, receive, send) -> None:
        room.seen.append(dict(scope["headers"]))
        room.queries.append(scope["query_string"])
        await server(scope, receive, send)

    loop = asyncio.new_event_loop()
    listener = HttpListener(watched)
    loop.run_until_complete(listener.start("127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    path = directory / "nginx.conf"
    path.write_text(configuration(directory, room.port, listener.port), "utf-8")
    tested = subprocess.run(
        [NGINX, "-t", "-c", path], capture_output=True, text=True, timeout=60, check=False
    )
    assert tested.returncode == 0, tested.stderr
    assert "warn" not in tested.stderr
    nginx = subprocess.Popen([NGINX, "-c", path], stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", room.port), 1):
                break
            time.sleep(0.1)
        yield room
    finally:
        nginx.terminate()
        nginx.wait(30)
        asyncio.run_coroutine_threadsafe(listener.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


def ask(room: Room, request: str) -> tuple[int, dict[str, str], bytes]:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", room.port), 30) as plain,
        context.wrap_socket(plain, server_hostname="copies.example.org") as connection,
    ):
        connection.sendall(request.encode())
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(status.split()[1]), fields, body


def get(room: Room, target: str, *fields: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    lines = [f"{method} {target} HTTP/1.1", "Host: copies.example.org", "Connection: close", *fields, "", ""]
    return ask(room, "\r\n".join(lines))


PRIVATE = (
    "User-Agent: SecretClient/1.0", "Cookie: session=secret", "Referer: https://webmail.example/inbox/42",
    "Accept-Language: rm-CH", "X-Forwarded-For: 192.0.2.77", "Forwarded: for=192.0.2.77", "From: me@example.org",
)  # fmt: skip


def test_copies_come_through_and_nothing_about_the_client_does(room: Room) -> None:
    status, fields, body = get(room, "/c/token", *PRIVATE)
    assert (status, body) == (200, BODY)
    assert fields["x-content-type-options"] == "nosniff"
    assert "sandbox" in fields["content-security-policy"]
    assert fields["cache-control"].startswith("private, max-age=")
    assert "set-cookie" not in fields
    assert set(room.seen[-1]) <= {b"host", b"range", b"if-range", b"if-none-match", b"connection"}
    assert room.seen[-1][b"host"] == b"copies"


def test_ranges_slots_and_conditions_come_through(room: Room) -> None:
    status, fields, body = get(room, "/c/token", "Range: bytes=10-19")
    assert (status, body) == (206, BODY[10:20])
    assert fields["content-range"] == f"bytes 10-19/{len(BODY)}"
    etag = fields["etag"]
    assert get(room, "/c/token", f"If-None-Match: {etag}")[0] == 304
    assert get(room, "/c/token", "Range: bytes=0-1", 'If-Range: "other"')[0] == 200
    assert get(room, "/c/token?3.1")[2] == b"nested"
    assert room.queries[-1] == b"3.1"
    status, fields, body = get(room, "/c/token", method="HEAD")
    assert (status, fields["content-length"], body) == (200, str(len(BODY)), b"")


def test_nothing_else_comes_through(room: Room) -> None:
    before = len(room.seen)
    for target in ("/", "/status", "/healthz", "/C/token", "/message/x", "/c", "/.well-known/x"):
        assert get(room, target)[0] == 404, target
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        assert get(room, "/c/token", "Content-Length: 0", method=method)[0] in (403, 405), method
    assert get(room, "/c/token", "X: " + "x" * 100_000)[0] == 400
    assert get(room, "/c/token", "Content-Length: 100000")[0] in (400, 413)
    assert len(room.seen) == before
    assert get(room, "/c/../status")[0] == 404
    assert get(room, "/c/%2e%2e/status")[0] == 404


def test_no_file_tells_of_any_request(room: Room) -> None:
    for target in ("/c/token", "/c/1", "/secretpath"):
        get(room, target, *PRIVATE)
    told = b""
    for path in room.directory.rglob("*"):
        if path.is_file() and path.suffix not in (".pem", ".conf"):
            told += path.name.encode() + path.read_bytes()
    for secret in (b"/c/", b"SecretClient", b"secretpath", b"127.0.0.1", b"access.log\x00", BODY[:64]):
        assert secret not in told
    access = room.directory / "access.log"
    assert not access.exists() or access.stat().st_size == 0
