"""The inside of the HTTP client: speaks to hostile origins in a process that has no network and no files.

``python -P -m mailveil.adapters.httpchild PARENT MAX_BYTES FOLDER`` makes the request that each frame on standard
input describes, many at once, and answers each with a frame on standard output. FOLDER holds the guard's socket
``s``, the only way out, and the certificate authorities ``ca.pem``; where the kernel allows it, it is all of the
file system that there is.
"""

from __future__ import annotations

import asyncio
import contextlib
import encodings.idna  # noqa: F401 - loaded before no file can be opened any more
import hashlib
import os
import resource
import signal
import ssl
import sys
import time
from typing import Any

from curl_cffi import AsyncCurl, Curl, CurlError, CurlHttpVersion, CurlInfo, CurlOpt
from curl_cffi._wrapper import ffi, lib

from mailveil.adapters.confinement import bound, die_with, leave_files, leave_network
from mailveil.adapters.frames import LENGTHS, encode_frame, parse_header, parse_lengths

MAX_FRAME_BYTES = 1 << 20
MAX_HELD_BYTES = 256 * 1024 * 1024  # of all bodies at once
MAX_OPEN_FILES = 256
WATCH_S = 0.25
MAX_POINTS = 32
RATIO_AFTER_BYTES = 1 << 20  # small things compress as they like
CERTINFO = 0x400000 + 34  # CURLINFO_CERTINFO (curl/curl.h)
MAX_CERTIFICATE_ENTRIES = 64
MAX_CERTIFICATE_BYTES = 128 * 1024
VERSIONS = {1: "1.0", 2: "1.1", 3: "2", 30: "3"}


def main() -> None:
    """Answer until the parent closes our standard input."""
    parent, max_bytes = int(sys.argv[1]), int(sys.argv[2])
    folder = sys.argv[3]
    apart = leave_network()
    if apart and leave_files(folder):
        folder = "/"
    die_with(parent)  # after the namespace, whose change of credentials would undo it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    bound(max_bytes)
    resource.setrlimit(resource.RLIMIT_NOFILE, (MAX_OPEN_FILES, MAX_OPEN_FILES))
    asyncio.run(Child(folder, apart=apart).run())


class Flight:
    """One request and what came of it so far. The callbacks bound everything while it comes in."""

    def __init__(self, asked: dict[str, Any], child: Child) -> None:
        self.asked = asked
        self.child = child
        self.curl = Curl()
        self.start = time.monotonic()
        self.cut = ""
        self.header_bytes = 0
        self.is_answered = False
        self.fields: list[tuple[str, str]] = []
        self.body = bytearray()
        self.arrivals: list[tuple[float, int]] = []

    def take_line(self, line: bytes) -> int:
        """Take a line of a header; a new status line (after an interim answer) begins anew."""
        self.header_bytes += len(line)
        if self.header_bytes > self.asked["max_header_bytes"]:
            return self.refuse("fields", line)
        text = line.decode("latin-1").rstrip("\r\n")
        if text.startswith("HTTP/"):
            self.fields.clear()
            self.is_answered = False
        elif not text:
            self.is_answered = True
        elif ":" in text and not self.body and len(self.fields) < 200:
            name, _, value = text.partition(":")
            self.fields.append((name.strip().lower(), value.strip()))
        return len(line)

    def take_body(self, data: bytes) -> int:
        """Take decoded bytes."""
        self.child.held += len(data)
        self.body += data
        self.arrivals.append((time.monotonic() - self.start, len(self.body)))
        if len(self.arrivals) > 4 * MAX_POINTS:
            del self.arrivals[1:-1:2]
        if len(self.body) > self.asked["max_bytes"]:
            return self.refuse("bomb" if self.is_bomb() else "large", data)
        if len(self.body) > RATIO_AFTER_BYTES and self.is_bomb():
            return self.refuse("bomb", data)
        if self.child.held > MAX_HELD_BYTES:
            return self.refuse("room", data)
        return len(data)

    def refuse(self, reason: str, data: bytes) -> int:
        """Have the transfer end: any other number than that of the bytes offered does."""
        self.cut = self.cut or reason
        return len(data) + 1

    def is_bomb(self) -> bool:
        """Tell whether what came has grown out of proportion in decoding."""
        encoded = int(self.curl.getinfo(CurlInfo.SIZE_DOWNLOAD_T))  # type: ignore[arg-type]
        return len(self.body) > int(self.asked["max_ratio"]) * max(encoded, 1)

    def too_slow(self, now: float) -> str:
        """Return how the answer comes too slowly, or ``""``."""
        if not self.arrivals:
            return "" if self.is_answered or now - self.start < self.asked["answer_s"] else "stalled"
        since = now - self.start - self.asked["rate_over_s"]
        if self.arrivals[0][0] > since:
            return ""
        before = max((size for at, size in self.arrivals if at <= since), default=0)
        if len(self.body) - before >= self.asked["min_bytes_per_s"] * self.asked["rate_over_s"]:
            return ""
        return "drip" if len(self.body) > before else "stalled"

    def prepare(self) -> None:
        """Set up the request."""
        asked, curl = self.asked, self.curl
        curl.impersonate(asked["profile"], default_headers=False)
        secure = asked["url"].startswith("https://")
        options: dict[CurlOpt, Any] = {
            CurlOpt.URL: asked["url"],
            CurlOpt.PROXY: f"socks5h://localhost{self.child.folder.rstrip('/')}/s",
            CurlOpt.PROXYUSERNAME: asked["permit"],
            CurlOpt.PROXYPASSWORD: "-",
            CurlOpt.NOPROXY: "",
            CurlOpt.HTTP_VERSION: int(CurlHttpVersion.V2TLS if secure else CurlHttpVersion.V1_1),
            CurlOpt.HTTPHEADER: [each.encode("latin-1") for each in asked["fields"]],
            CurlOpt.HTTPHEADER_ORDER: ",".join(
                ["Host", *(each.partition(":")[0] for each in asked["fields"])]
            ),
            CurlOpt.CAINFO: f"{self.child.folder.rstrip('/')}/ca.pem",
            CurlOpt.CERTINFO: int(secure),
            CurlOpt.SSL_VERIFYPEER: int(asked["verify"]),
            CurlOpt.SSL_VERIFYHOST: 2 * int(asked["verify"]),
            # A resumed session or a kept connection would tell the origin that two fetches belong together.
            CurlOpt.SSL_SESSIONID_CACHE: 0,
            CurlOpt.FRESH_CONNECT: 1,
            CurlOpt.FORBID_REUSE: 1,
            CurlOpt.CONNECTTIMEOUT_MS: int(asked["connect_s"] * 1000),
            CurlOpt.TIMEOUT_MS: int(asked["timeout_s"] * 1000),
            CurlOpt.HEADERFUNCTION: self.take_line,
            CurlOpt.WRITEFUNCTION: self.take_body,
        }
        if asked["codings"] != "identity":
            options[CurlOpt.ACCEPT_ENCODING] = asked["codings"]
        for option, value in options.items():
            curl.setopt(option, value)

    def answer(self, code: int) -> bytes:
        """Return the frame that tells what came of it."""
        curl = self.curl
        points = self.arrivals[:: max(1, len(self.arrivals) // MAX_POINTS)][: MAX_POINTS - 1]
        points += self.arrivals[-1:]
        header = {
            "id": self.asked["id"],
            "code": code,
            "cut": self.cut,
            "status": int(curl.getinfo(CurlInfo.RESPONSE_CODE)),  # type: ignore[arg-type]
            "http": VERSIONS.get(int(curl.getinfo(CurlInfo.HTTP_VERSION)), ""),  # type: ignore[arg-type]
            "fields": self.fields,
            "seconds": time.monotonic() - self.start,
            "encoded_bytes": int(curl.getinfo(CurlInfo.SIZE_DOWNLOAD_T)),  # type: ignore[arg-type]
            "size_bytes": len(self.body),
            "profile": [(round(at, 3), size) for at, size in points],
            "certificate": certificate_of(curl),
        }
        kept = len(self.body) if not (code or self.cut) else int(self.asked["part_bytes"])
        return encode_frame(header, bytes(self.body[:kept]))


def certificate_of(curl: Curl) -> str:
    """Return the SHA-256 of the certificate that the origin showed (DER), ``""`` where it showed none.

    The binding cannot read libcurl's ``struct curl_certinfo`` (``int num_of_certs; struct curl_slist **certinfo``), so
    its memory is read as that: in this process, which origins may break and nobody misses.
    """
    place = ffi.new("void **")
    if lib.curl_easy_getinfo(curl._curl, CERTINFO, place) or place[0] == ffi.NULL:
        return ""
    if ffi.cast("int *", place[0])[0] < 1:
        return ""
    chain = ffi.cast("void **", ffi.cast("void **", place[0])[1])  # behind the number, aligned to a pointer
    entry = chain[0]
    for _ in range(MAX_CERTIFICATE_ENTRIES):
        if entry == ffi.NULL:
            break
        text, following = ffi.cast("void **", entry)[0:2]
        told = ffi.string(ffi.cast("char *", text), MAX_CERTIFICATE_BYTES)
        if told.startswith(b"Cert:"):
            try:
                return hashlib.sha256(ssl.PEM_cert_to_DER_cert(told[5:].decode("ascii").strip())).hexdigest()
            except ValueError:
                return ""
        entry = following
    return ""


class Child:
    """Reads requests, keeps them in flight, writes answers."""

    def __init__(self, folder: str, *, apart: bool) -> None:
        self.folder = folder
        self.apart = apart
        self.held = 0
        self.flights: dict[int, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Work until standard input ends."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=MAX_FRAME_BYTES)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
        transport, protocol = await loop.connect_write_pipe(
            asyncio.streams.FlowControlMixin, sys.stdout.buffer
        )
        self.writer = asyncio.StreamWriter(transport, protocol, None, loop)
        sys.stdout = sys.stderr
        self.curls = AsyncCurl()
        self.writer.write(encode_frame({"ready": True, "apart": self.apart}))
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                lengths = parse_lengths(await reader.readexactly(LENGTHS.size), MAX_FRAME_BYTES)
                asked = parse_header(await reader.readexactly(lengths[0]))
                await reader.readexactly(lengths[1])
                if "cancel" in asked:
                    if task := self.flights.get(asked["cancel"]):
                        task.cancel()
                    continue
                self.flights[asked["id"]] = loop.create_task(self.fly(asked))
        os._exit(0)

    async def fly(self, asked: dict[str, Any]) -> None:
        """Make one request and answer it, unless it is cancelled."""
        flight = Flight(asked, self)
        code = 0
        try:
            flight.prepare()
            done = self.curls.add_handle(flight.curl)
            try:
                while not (await asyncio.wait([done], timeout=WATCH_S))[0]:
                    if slow := flight.too_slow(time.monotonic()):
                        flight.cut = slow
                        break
                if done.done():
                    done.result()
            except CurlError as error:
                code = int(error.code)
            finally:
                if not done.done():
                    self.curls.remove_handle(flight.curl)
            self.writer.write(flight.answer(code))
            await self.writer.drain()
        except MemoryError:
            os._exit(1)  # what is left of this process is not worth trusting
        finally:
            self.held -= len(flight.body)
            self.flights.pop(asked["id"], None)
            flight.curl.close()


if __name__ == "__main__":
    main()
