"""Types: what a simulation is asked for, and what it gives: observations with the truth beside them. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from mailveil.core.observation import Observation

DAY_S: Final = 86_400.0
HOUR_S: Final = 3_600.0
#: A Monday, midnight UTC: where a simulated time begins unless somebody says otherwise.
BEGIN_AT: Final = 1_767_571_200.0


class Grade(StrEnum):
    """How reconnaissance is gone about, from what anybody would notice to what hardly anybody can. Permanent."""

    LOUD = (
        "loud"  # one new or look-alike domain, several people of one function within days, a pixel of its own
    )
    SLOW = "slow"  # the same with weeks between probes, and few people
    SPREAD = "spread"  # a domain for each probe or two, one technology behind them
    OWN_DNS = "own-dns"  # a name for each recipient, so that its look-up tells enough
    COMPROMISED_PARTNER = "compromised-partner"  # somebody whom the organisation has known for long
    FREE_MAIL = "free-mail"  # a mailbox that anybody can have, with a private tracker
    VENDOR_ABUSE = "vendor-abuse"  # a bought read-tracker, aimed at those who decide


class Cause(StrEnum):
    """What a message is in truth. Values are permanent."""

    NEWSLETTER = "newsletter"
    NEW_NEWSLETTER = "new newsletter"
    NOTIFICATION = "notification"
    INVOICE = "invoice"
    EVENT = "event invitation"
    COLD_SALES = "cold sales"
    RECRUITER = "recruiter"
    SMALL_SENDER = "small sender with tracking of its own"
    PARTNER = "partner"
    NEW_PARTNER = "new partner"
    MOVED_PARTNER = "partner with another mail service"
    READ_RECEIPT = "salesperson with read receipts"
    OUR_RELATIVE = "domain like ours of somebody who belongs to us"
    PARTNERS_RELATIVE = "second domain of a partner"
    NAMESAKE = "firm that happens to have a similar name"
    FREE_MAIL = "letter from a free mailbox"
    INTERNAL = "internal"
    SUBMITTED = "submitted"
    PROBE = "probe"
    FOLLOW_UP = "follow-up"


@dataclass(frozen=True, slots=True)
class Truth:
    """What a message is in truth. ``actor`` names who reconnoitres, ``""`` where nobody does; ``number`` counts.

    ``is_like_seller`` tells that the actor writes as sellers do, to be taken for one.
    """

    cause: Cause
    actor: str = ""
    grade: Grade | None = None
    number: int = 0
    is_like_seller: bool = False

    @property
    def is_probe(self) -> bool:
        """Whether somebody is reconnoitred by it."""
        return self.cause is Cause.PROBE

    @property
    def is_follow_up(self) -> bool:
        """Whether somebody who reconnoitred comes back with it, without a tracker."""
        return self.cause is Cause.FOLLOW_UP

    def record(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "cause": str(self.cause),
            "actor": self.actor,
            "grade": str(self.grade or ""),
            "number": self.number,
            "like_seller": self.is_like_seller,
        }


@dataclass(frozen=True, slots=True)
class Simulated:
    """One message as it would be on record, with the truth."""

    observation: Observation
    truth: Truth


@dataclass(frozen=True, slots=True)
class SimulationSettings:
    """What is to be simulated; the same settings give the same mail, byte for byte.

    ``actors`` are those who reconnoitre, of each grade; they begin after ``warm_up_days``, in which an organisation's
    mail becomes known. ``mail`` scales how much honest mail there is; 1 is as ``docs/simulation.md`` has it.
    """

    people: int = 300
    days: int = 180
    seed: int = 1
    actors: Mapping[Grade, int] = field(default_factory=lambda: dict.fromkeys(Grade, 4))
    warm_up_days: int = 28
    mail: float = 1.0
    begin_at: float = BEGIN_AT
    organisation: str = "default"
    domain: str = "office.example"

    @property
    def end_at(self) -> float:
        """When the simulated time ends."""
        return self.begin_at + self.days * DAY_S
