"""What the organisation's rules come down to for one message: what the engine is told of them."""

from __future__ import annotations

from dataclasses import dataclass


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
    """The rules that can hold for one message. ``organisation`` is whose they are, ``banner`` what readers are told."""

    organisation: str = ""
    banner: BannerSettings | None = None
