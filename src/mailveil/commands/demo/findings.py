"""Findings: what a spy learns, worked out from the lab's record of contacts and nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mailveil.commands.demo.letters import Letter
from mailveil.commands.demo.readers import PLACES
from mailveil.lab import Lab, Learns, OriginKind
from mailveil.lab.contacts import Contact, ContactKind

PRINTING = ("/print/", "/printed/")


@dataclass(frozen=True, slots=True)
class Opening:
    """One opening of a message, as the spy sees it. ``dwell_s`` is 0 where nothing measured it."""

    at: float
    address: str
    place: str
    device: str
    dwell_s: float
    printed: bool


@dataclass(frozen=True, slots=True)
class Download:
    """One request of the gateway's; ``cut_off`` where the origin would never have ended its answer."""

    at: float
    host: str
    path: str
    address: str
    agent: str
    cut_off: bool


@dataclass(frozen=True, slots=True)
class LetterFindings:
    """What the spies of one message learned on one side."""

    letter: Letter
    openings: tuple[Opening, ...] = ()
    looked_up: tuple[str, ...] = ()
    companies: tuple[str, ...] = ()
    contacts: int = 0
    downloads: tuple[Download, ...] = ()


@dataclass(frozen=True, slots=True)
class Side:
    """One mailbox. ``contacts`` are all that its readers made, of whatever kind, and whoever with."""

    name: str
    letters: tuple[LetterFindings, ...]
    contacts: int
    addresses: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()

    @property
    def openings(self) -> tuple[Opening, ...]:
        """Every opening."""
        return tuple(each for letter in self.letters for each in letter.openings)

    @property
    def companies(self) -> tuple[str, ...]:
        """Everybody who learned something."""
        return tuple(sorted({each for letter in self.letters for each in letter.companies}))

    @property
    def dwell_s(self) -> float:
        """For how many seconds in all somebody was watched reading."""
        return sum(each.dwell_s for each in self.openings)

    @property
    def downloads(self) -> tuple[Download, ...]:
        """Every neutral download."""
        return tuple(each for letter in self.letters for each in letter.downloads)


@dataclass(frozen=True, slots=True)
class Result:
    """What the demonstration found. ``pictures`` are PNGs by ``side/letter``."""

    reader: str
    is_browser: bool
    recipient: str
    delivered_at: float
    opened_at: float
    seconds: float
    unprotected: Side
    protected: Side
    faults: tuple[str, ...]
    pictures: dict[str, bytes] = field(default_factory=dict)

    @property
    def is_silent(self) -> bool:
        """Tell whether everything is as mailveil promises, and the spy was able to see if it were not."""
        return not self.faults

    def as_record(self) -> dict[str, Any]:
        """Return the result as plain values, for JSON."""
        return {
            "silent": self.is_silent,
            "faults": list(self.faults),
            "reader": self.reader,
            "browser": self.is_browser,
            "seconds_open": self.seconds,
            "unprotected": _side_record(self.unprotected),
            "protected": _side_record(self.protected),
        }


def find(lab: Lab, letters: Sequence[Letter], name: str, lines: Iterable[str], gateway: str = "") -> Side:
    """Return what was learned of the readers on these lines, and of the gateway where one fetched for them."""
    wanted = frozenset(lines)
    seen = [each for each in lab.contacts if each.arrival.line in wanted]
    fetched = [each for each in lab.contacts if gateway and each.arrival.line == gateway]
    return Side(
        name=name,
        letters=tuple(_of_letter(lab, letter, seen, fetched) for letter in letters),
        contacts=len(seen),
        addresses=tuple(dict.fromkeys(each.arrival.client for each in seen)),
        devices=tuple(dict.fromkeys(device_of(each.user_agent) for each in seen if each.user_agent)),
    )


def _of_letter(lab: Lab, letter: Letter, seen: list[Contact], fetched: list[Contact]) -> LetterFindings:
    spies = {name for name in letter.origins if lab.origins[name].kind is OriginKind.TRACKER}
    concerned = [each for each in seen if each.origin in spies]
    asked = [each for each in concerned if each.kind is ContactKind.HTTP]
    visits: dict[tuple[str, str], list[Contact]] = {}
    for each in asked:
        visits.setdefault((each.arrival.client, each.user_agent), []).append(each)
    return LetterFindings(
        letter=letter,
        openings=tuple(_opening(lab, visit) for visit in visits.values()),
        looked_up=tuple(
            dict.fromkeys(
                each.host
                for each in concerned
                if each.kind is ContactKind.DNS and Learns.LOOKUP in lab.origins[each.origin].learns
            )
        ),
        companies=tuple(sorted({company_of(each.host) for each in asked})),
        contacts=len(concerned),
        downloads=tuple(
            Download(
                at=each.at,
                host=each.host,
                path=each.path,
                address=each.arrival.client,
                agent=device_of(each.user_agent),
                cut_off=Learns.DWELL in lab.origins[each.origin].learns,
            )
            for each in fetched
            if each.kind is ContactKind.HTTP and each.origin in letter.origins
        ),
    )


def _opening(lab: Lab, visit: list[Contact]) -> Opening:
    first = visit[0]
    watched = [each.dwelt() for each in visit if Learns.DWELL in lab.origins[each.origin].learns]
    address = first.arrival.client
    return Opening(
        at=first.at,
        address=address,
        place=PLACES.get(address, ""),
        device=device_of(first.user_agent),
        dwell_s=max(watched, default=0.0),
        printed=any(word in each.path for each in visit for word in PRINTING),
    )


def faults_of(unprotected: Side, protected: Side, opened_at: float, copies: int) -> tuple[str, ...]:
    """Return what is not as it must be, in words; none where the demonstration has shown what it is to show.

    ``copies`` is how many safe copies were made before anybody opened anything.
    """
    found = [
        f"the spy did not even see “{each.letter.subject}” opened without protection"
        for each in unprotected.letters
        if not each.openings
    ]
    if protected.contacts:
        found.append(f"the protected readers contacted somebody {protected.contacts} times")
    if not copies:
        found.append("no safe copies were made, so that silence proves nothing")
    downloads = protected.downloads
    if late := sum(each.at > opened_at for each in downloads):
        found.append(f"{late} downloads came after the first opening")
    if again := len(downloads) - len({(each.host, each.path) for each in downloads}):
        found.append(f"the gateway asked {again} times for what it had asked for before")
    return tuple(found)


def device_of(agent: str) -> str:
    """Return what a User-Agent tells of the device."""
    lowered = agent.lower()
    systems = (
        ("iphone", "iPhone"),
        ("android", "Android telephone"),
        ("windows", "Windows PC"),
        ("macintosh", "Mac"),
        ("linux", "Linux PC"),
    )
    system = next((name for word, name in systems if word in lowered), "unknown device")
    program = "Chrome" if "chrome/" in lowered else "mail app" if "applewebkit" in lowered else "a program"
    return f"{system}, {program}"


def company_of(host: str) -> str:
    """Return who is behind a host of the lab."""
    return ".".join(host.split(".")[-2:])


def clock(at: float) -> str:
    """Return the time of day."""
    return time.strftime("%H:%M:%S", time.localtime(at))


def _side_record(side: Side) -> dict[str, Any]:
    return {
        "contacts": side.contacts,
        "openings": len(side.openings),
        "dwell_seconds": round(side.dwell_s, 1),
        "addresses": list(side.addresses),
        "devices": list(side.devices),
        "companies": list(side.companies),
        "downloads": len(side.downloads),
        "messages": [
            {
                "subject": each.letter.subject,
                "contacts": each.contacts,
                "looked_up": list(each.looked_up),
                "openings": [
                    {
                        "at": round(opening.at, 3),
                        "address": opening.address,
                        "place": opening.place,
                        "device": opening.device,
                        "dwell_seconds": round(opening.dwell_s, 1),
                        "printed": opening.printed,
                    }
                    for opening in each.openings
                ],
                "downloads": [
                    {"at": round(download.at, 3), "host": download.host, "cut_off": download.cut_off}
                    for download in each.downloads
                ],
            }
            for each in side.letters
        ],
    }
