"""The copies server against nginx serving the same file: processor time for each request."""

from __future__ import annotations

import asyncio
import contextlib
import io
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from mailveil.adapters.copystore import SqliteCopyStore
from mailveil.app.building import build_addresses, build_store
from mailveil.core.references.types import Media
from mailveil.ports import WantedCopy
from mailveil_room import answers, mailveil_room
from postfix_room import free_port
from processes import processor_seconds

CONNECTIONS = 8
NGINX = """\
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error;
events {{}}
http {{
  access_log off; sendfile on; keepalive_requests 1000000; default_type image/png;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port}; root {folder}/www; }}
}}
"""


def measure(folder: Path, *, quick: bool) -> dict[str, Any]:
    """Return microseconds of processor time a request, ours and nginx's, for a picture of about 5 kB."""
    requests = 4_000 if quick else 40_000
    picture = a_picture()
    result: dict[str, Any] = {"picture_bytes": len(picture)}
    with _ours(picture) as (port, path, process):
        result["ours_us"] = cost(port, path, len(picture), process, requests)
    if not shutil.which("nginx", path="/usr/sbin:/usr/bin"):
        return result | {"nginx": "needs nginx"}
    with _nginx(folder, picture) as (port, path, process):
        result["nginx_us"] = cost(port, path, len(picture), process, requests)
    return result | {"times_nginx": result["ours_us"] / result["nginx_us"]}


def a_picture() -> bytes:
    """Return a PNG of about 5 kB."""
    noise = random.Random(1).randbytes(40 * 40 * 3)
    file = io.BytesIO()
    Image.frombytes("RGB", (40, 40), noise).save(file, "PNG")
    return file.getvalue()


def cost(port: int, path: str, size: int, process: int, requests: int) -> float:
    """Return the processor time of a server for one request, in microseconds."""
    asyncio.run(ask(port, path, size, requests // 10))
    before = processor_seconds(process)
    asyncio.run(ask(port, path, size, requests))
    return (processor_seconds(process) - before) / requests * 1e6


async def ask(port: int, path: str, size: int, requests: int) -> None:
    """Ask for a file so many times over connections that stay open, and see that it comes."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n".encode()

    async def one(count: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(count):
            writer.write(request)
            header = await reader.readuntil(b"\r\n\r\n")
            if not header.startswith(b"HTTP/1.1 200") or b"content-length: %d\r" % size not in header.lower():
                raise RuntimeError(header.decode())
            await reader.readexactly(size)
        writer.close()

    await asyncio.gather(*(one(requests // CONNECTIONS) for _ in range(CONNECTIONS)))


@contextlib.contextmanager
def _ours(picture: bytes) -> Iterator[tuple[int, str, int]]:
    with mailveil_room({"log": {"level": "warning"}}, started=False) as gate:
        settings = gate.settings
        settings.directory.mkdir(mode=0o700)
        addresses = build_addresses(settings)
        token = addresses.derive(b"m" * 32, "http://origin.example/x.png", Media.IMAGE)
        store = build_store(settings)
        asyncio.run(fill(store, token, picture))
        store.close()
        port = settings.copies.listen.port
        gate.role, gate.ports = "copies", (port,)
        gate.start()
        assert gate.process is not None
        yield port, f"/c/{token}", gate.process.pid


async def fill(store: SqliteCopyStore, token: str, picture: bytes) -> None:
    """Put one copy where the fetcher puts it."""
    wanted = [WantedCopy(token, "http://origin.example/x.png", Media.IMAGE)]
    await store.recover()
    await store.reserve(wanted)
    await store.release(wanted, immediately=True)
    job = await store.claim()
    if job is None or not await store.put(job, picture, "image/png"):
        raise RuntimeError("the store takes no copy")


@contextlib.contextmanager
def _nginx(folder: Path, picture: bytes) -> Iterator[tuple[int, str, int]]:
    port = free_port()
    (folder / "www").mkdir()
    (folder / "www" / "x.png").write_bytes(picture)
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port))
    process = subprocess.Popen(
        ["nginx", "-c", str(folder / "nginx.conf")],
        env={"PATH": "/usr/sbin:/usr/bin"},
        stdout=sys.stderr,
    )
    try:
        _until_answers(port)
        yield port, "/x.png", process.pid
    finally:
        process.terminate()
        process.wait(timeout=30)


def _until_answers(port: int) -> None:
    end = time.monotonic() + 60
    while not answers(port):
        if time.monotonic() > end:
            raise RuntimeError(f"nobody answers on port {port}")
        time.sleep(0.05)
