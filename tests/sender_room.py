"""A mail server elsewhere that sends exact bytes, one command at a time, from whatever address a test gives it."""

from __future__ import annotations

import contextlib
import socket
from types import TracebackType

OUTSIDE = "198.51.100.7"  # not of this machine: nobody may take its mail for local
OUTSIDE_NAME = "mail.sender.example"
PATIENCE_S = 120.0


class HangupError(ConnectionError):
    """The other side is gone, before or after it had the whole message."""

    def __init__(self, *, after_data: bool) -> None:
        super().__init__("hung up")
        self.after_data = after_data


class Sender:
    """One session with the server under test, as a client outside by XCLIENT, or as it is by LMTP."""

    def __init__(self, port: int, *, lmtp: bool = False, address: str = OUTSIDE) -> None:
        self.sent_all = False
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")
        self.greeting = self.reply()
        self.lmtp = lmtp
        greet = f"{'LHLO' if lmtp else 'EHLO'} {OUTSIDE_NAME}"
        self.features = self.say(greet)
        if not lmtp and "XCLIENT" in self.features:
            assert self.say(f"XCLIENT ADDR={address} NAME={OUTSIDE_NAME}").startswith("220")
            self.features = self.say(greet)

    def reply(self) -> str:
        """Read one reply; raises HangupError."""
        lines = []
        while True:
            try:
                line = self.file.readline().decode("utf-8", "replace")
            except OSError as error:
                raise HangupError(after_data=self.sent_all) from error
            if not line.endswith("\n"):
                raise HangupError(after_data=self.sent_all)
            lines.append(line.rstrip("\r\n"))
            if line[3:4] != "-":
                return "\n".join(lines)

    def write(self, data: bytes) -> None:
        """Send bytes; raises HangupError."""
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise HangupError(after_data=False) from error

    def say(self, line: str) -> str:
        """Send a command and return its reply; raises HangupError."""
        self.write(line.encode() + b"\r\n")
        return self.reply()

    def send(self, sender: str, recipients: tuple[str, ...], message: bytes, options: str = "") -> list[str]:
        """Send a message; return the last reply, or by LMTP one for each recipient. Raises HangupError."""
        self.sent_all = False
        commands = [f"MAIL FROM:<{sender}>{options}", *(f"RCPT TO:<{each}>" for each in recipients), "DATA"]
        for line in commands:
            reply = self.say(line)
            if reply[0] not in "23":
                with contextlib.suppress(HangupError):
                    self.say("RSET")
                return [reply]
        self.write(stuffed(message))
        self.sent_all = True
        return [self.reply() for _ in (recipients if self.lmtp else "1")]

    def close(self) -> None:
        """Hang up."""
        self.file.close()
        self.socket.close()

    def __enter__(self) -> Sender:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def stuffed(message: bytes) -> bytes:
    """Return a message as it goes over the wire, its end included (RFC 5321 section 4.5.2)."""
    body = message if message.endswith(b"\r\n") or not message else message + b"\r\n"
    lines = body.replace(b"\r\n.", b"\r\n..")
    return (b"." if lines.startswith(b".") else b"") + lines + b".\r\n"
