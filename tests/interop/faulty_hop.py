"""A next hop that keeps what it acknowledges, and at a chosen stage refuses, stalls, or dies."""

from __future__ import annotations

import re
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum

STAGES = ("GREETING", "EHLO", "MAIL", "RCPT", "DATA", "END")
STALL_S = 60.0


class Fault(StrEnum):
    """What it does at the stage."""

    REFUSE = "refuse"  # for the time being
    REJECT = "reject"  # for good
    STALL = "stall"  # and say nothing
    DIE = "die"
    TAKE_AND_STALL = "take and stall"  # have the message, and never say so


class FaultyHop(socketserver.ThreadingTCPServer):
    """An SMTP server whose fault can be set, and mended, while it runs."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.port: int = self.server_address[1]
        self.stage, self.fault = "", Fault.REFUSE
        self.reached = threading.Event()  # the fault has shown itself
        self.mended = threading.Event()
        self.arrived: list[str] = []  # Message-IDs, one for each acknowledged (or silently taken) message
        self.messages: dict[str, bytes] = {}
        self.commands: list[str] = []
        self.sessions: set[_Session] = set()

    def break_at(self, stage: str, fault: Fault) -> None:
        """Have a fault from now on, on new connections: nobody may go on with one from before."""
        for session in tuple(self.sessions):
            with suppress(OSError):
                session.request.shutdown(socket.SHUT_RDWR)
        self.reached.clear()
        self.mended.clear()
        self.stage, self.fault = stage, fault

    def mend(self) -> None:
        self.stage = ""
        self.mended.set()

    def take(self, wire: bytes) -> None:
        found = re.search(rb"(?mi)^message-id: *<([^>]*)>", wire)
        name = found[1].decode() if found else ""
        self.arrived.append(name)
        self.messages[name] = wire.replace(b"\r\n.", b"\r\n")

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that are killed hang up in the middle of everything."""


class _Session(socketserver.StreamRequestHandler):
    server: FaultyHop

    def _is_going_on(self, stage: str, wire: bytes = b"") -> bool:
        """Do what is wrong at this stage, if anything; tell whether the usual answer is to follow."""
        hop = self.server
        if hop.stage != stage:
            return True
        if hop.fault is Fault.TAKE_AND_STALL:
            hop.take(wire)
        hop.reached.set()
        match hop.fault:
            case Fault.REFUSE:
                self.wfile.write(b"451 4.3.2 not now, said at %b\r\n" % stage.encode())
            case Fault.REJECT:
                self.wfile.write(b"554 5.7.1 never, said at %b\r\n" % stage.encode())
            case Fault.DIE:
                raise ConnectionAbortedError
            case Fault.STALL | Fault.TAKE_AND_STALL:
                hop.mended.wait(STALL_S)
                raise ConnectionAbortedError
        return False

    def handle(self) -> None:
        self.server.sessions.add(self)
        try:
            with suppress(OSError):
                self._talk()
        finally:
            self.server.sessions.discard(self)

    def _talk(self) -> None:
        if not self._is_going_on("GREETING"):
            return
        self.wfile.write(b"220 next.example ESMTP\r\n")
        while line := self.rfile.readline():
            self.server.commands.append(line.decode("utf-8", "replace").rstrip())
            verb = line.split(b" ")[0].strip().upper().decode()
            if not self._is_going_on("EHLO" if verb == "HELO" else verb):
                continue
            if verb == "DATA":
                self.wfile.write(b"354 go on\r\n")
                wire = b"".join(iter(self._line, b".\r\n"))
                if self._is_going_on("END", wire):
                    self.server.take(wire)
                    self.wfile.write(b"250 2.0.0 taken\r\n")
            elif verb == "EHLO":
                self.wfile.write(b"250-next.example\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 99999999\r\n")
            elif verb == "QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            else:
                self.wfile.write(b"250 2.0.0 fine\r\n")

    def _line(self) -> bytes:
        line = self.rfile.readline()
        if not line.endswith(b"\n"):
            raise ConnectionAbortedError
        return line


@contextmanager
def faulty_hop() -> Iterator[FaultyHop]:
    with FaultyHop() as hop:
        thread = threading.Thread(target=hop.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield hop
        finally:
            hop.mend()
            hop.shutdown()
            thread.join()
