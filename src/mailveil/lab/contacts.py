"""Contacts: whoever reached the lab, by DNS, connection, TLS hello or HTTP, in order of arrival."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class ContactKind(StrEnum):
    """What reached the lab."""

    DNS = "dns"
    CONNECTION = "connection"
    TLS = "tls"
    HTTP = "http"


@dataclass(frozen=True, slots=True)
class Arrival:
    """Where a connection or question comes from and where it was sent to, and the line that carried it.

    ``client`` and ``destination`` are addresses. ``line`` names an access line of the lab, ``""`` where the
    contact came straight from a socket.
    """

    client: str
    destination: str
    line: str = ""


@dataclass(slots=True)
class Contact:
    """One contact. It goes on being written while its connection is open, so that dwelling can be watched.

    ``at`` is wall-clock time, ``seconds`` how long the connection stayed open (``None`` while it is),
    ``host`` a name without its last dot, ``path`` with its query, ``status`` of the answer: an HTTP status
    code or the text of a DNS return code, ``answer`` what DNS answered, ``origin`` the lab's name for whom it
    concerns (``""``: nobody here).
    """

    kind: ContactKind
    at: float
    arrival: Arrival
    host: str = ""
    path: str = ""
    method: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    status: str = ""
    answer: tuple[str, ...] = ()
    origin: str = ""
    sent_bytes: int = 0
    seconds: float | None = None
    began: float = field(default_factory=time.monotonic)

    @property
    def user_agent(self) -> str:
        """What the client calls itself, ``""`` where it does not say."""
        return self.field_value("user-agent")

    def field_value(self, name: str) -> str:
        """Return the first header field of a lower-case name, ``""`` where there is none."""
        return next((value for each, value in self.fields if each.lower() == name), "")

    def end(self) -> None:
        """Record that the connection is closed; only the first time counts."""
        if self.seconds is None:
            self.seconds = time.monotonic() - self.began

    def dwelt(self) -> float:
        """Return for how many seconds the connection has been open, closed or not."""
        return time.monotonic() - self.began if self.seconds is None else self.seconds

    def as_record(self) -> dict[str, Any]:
        """Return the contact as plain values, for JSON."""
        return {
            "kind": str(self.kind),
            "at": round(self.at, 3),
            "client": self.arrival.client,
            "destination": self.arrival.destination,
            "line": self.arrival.line,
            "host": self.host,
            "path": self.path,
            "method": self.method,
            "fields": [list(each) for each in self.fields],
            "status": self.status,
            "answer": list(self.answer),
            "origin": self.origin,
            "sent_bytes": self.sent_bytes,
            "seconds": round(self.dwelt(), 3),
        }


class Contacts:
    """The log. Contacts are appended and never taken out; a mark tells apart what came after it."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._all: list[Contact] = []

    def __iter__(self) -> Iterator[Contact]:
        return iter(tuple(self._all))

    def __len__(self) -> int:
        return len(self._all)

    def note(self, kind: ContactKind, arrival: Arrival, host: str = "", **more: Any) -> Contact:
        """Append a contact and return it, to be completed by whoever serves it."""
        contact = Contact(kind, self._now(), arrival, host.rstrip(".").lower(), **more)
        self._all.append(contact)
        return contact

    def mark(self) -> int:
        """Return a mark: ``select(since=mark)`` gives what comes from now on."""
        return len(self._all)

    def select(
        self,
        *,
        kind: ContactKind | None = None,
        host: str = "",
        token: str = "",
        origin: str = "",
        line: str | None = None,
        since: int = 0,
    ) -> list[Contact]:
        """Return the contacts that meet every condition given, in order.

        ``host`` means a name and all names below it; ``token`` is looked for in names, paths and header fields.
        """
        host, token = host.rstrip(".").lower(), token.lower()
        return [
            each
            for each in self._all[since:]
            if (kind is None or each.kind is kind)
            and (not host or each.host == host or each.host.endswith("." + host))
            and (not token or _mentions(each, token))
            and (not origin or each.origin == origin)
            and (line is None or each.arrival.line == line)
        ]

    async def until_quiet(self, quiet_s: float = 0.5, limit_s: float = 30.0) -> bool:
        """Wait until no contact has come for ``quiet_s``; False where that took longer than ``limit_s``."""
        end = time.monotonic() + limit_s
        seen, since = len(self._all), time.monotonic()
        while time.monotonic() < end:
            await asyncio.sleep(min(0.05, quiet_s))
            if len(self._all) != seen:
                seen, since = len(self._all), time.monotonic()
            elif time.monotonic() - since >= quiet_s:
                return True
        return False


def _mentions(contact: Contact, token: str) -> bool:
    return (
        token in contact.host
        or token in contact.path.lower()
        or any(token in value.lower() for _, value in contact.fields)
    )
