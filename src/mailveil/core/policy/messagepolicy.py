"""What the organisation's rules come down to for one message: what the engine is told of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mailveil.core.policy.types import CopyMode


@dataclass(frozen=True, slots=True)
class BannerSettings:
    """The notice that readers get. ``least_risk`` is ``low``, ``medium`` or ``high``, ``language`` BCP 47.

    ``report_mailbox`` is where readers write to, ``report_link`` the page on which they tell, ``report_code`` what
    names the message there and in the subject of their mail; each ``""`` where there is none. None of them is fetched.
    """

    least_risk: str = "medium"
    language: str = "en"
    organisation: str = ""  # its name, for readers
    report_mailbox: str = ""
    report_link: str = ""
    report_code: str = ""


@dataclass(frozen=True, slots=True)
class MessagePolicy:
    """The rules that can hold for one message. ``organisation`` is whose they are, ``banner`` what readers are told.

    ``monitored``: it leaves as it came in, and a report tells what would have been done. ``copies`` says how its safe
    copies reach the reader, ``None``: as the engine's settings have it.
    """

    organisation: str = ""
    banner: BannerSettings | None = None
    monitored: bool = False
    copies: CopyMode | None = None

    def record(self) -> dict[str, Any]:
        """Return it as a JSON object, from which ``message_policy_of`` makes it again."""
        return asdict(self)


def message_policy_of(record: Mapping[str, Any]) -> MessagePolicy:
    """Return what ``MessagePolicy.record`` wrote down."""
    banner, copies = record["banner"], record["copies"]
    return MessagePolicy(
        organisation=record["organisation"],
        banner=None if banner is None else BannerSettings(**banner),
        monitored=record["monitored"],
        copies=None if copies is None else CopyMode(copies),
    )
