"""CEF: an event in ArcSight's Common Event Format, version 0 (implementation standard, revision 25). Pure and total.

In the header ``|`` and ``\\`` are escaped, in values ``=`` and ``\\``; line breaks stand in neither.
"""

from __future__ import annotations

import ipaddress
from typing import Final

from mailveil import __version__
from mailveil.core.sharing.headlines import PRODUCT, VENDOR, Headline, headline, milliseconds, severity
from mailveil.core.sharing.types import SharedActivity, SharedEvent
from mailveil.core.sharing.wording import line

MAX_NAME: Final = 512
MAX_MESSAGE: Final = 1023  # "msg" and "request", as the dictionary has it
MAX_CUSTOM: Final = 4000  # "cs1" to "cs6"
MAX_LISTED: Final = 20  # of several values in one


def encode_cef(event: SharedEvent) -> str:
    """Return an event as one line."""
    told = headline(event)
    header = (
        "CEF:0",
        VENDOR,
        PRODUCT,
        __version__,
        str(event.kind),
        line(told.name, MAX_NAME),
        str(severity(told.score)),
    )
    extension = " ".join(f"{key}={_value(text)}" for key, text in _extension(event, told) if text)
    return "|".join((*map(_header, header), extension))


def _extension(event: SharedEvent, told: Headline) -> list[tuple[str, str]]:
    fields = [
        ("rt", str(milliseconds(event.at))),
        ("externalId", line(event.identifier)),
        ("cat", str(event.kind)),
        ("start", _time(told.first_at)),
        ("end", _time(told.last_at)),
        ("msg", line(told.message, MAX_MESSAGE)),
        ("shost", line(told.actor, MAX_MESSAGE)),
        ("src", next((each for each in told.addresses if _is_address(each)), "")),
        ("request", line(told.templates[0], MAX_MESSAGE) if told.templates else ""),
        ("duser", _list(told.people, MAX_MESSAGE)),
        *_labelled("cs1", "organisation", line(event.organisation)),
        *_labelled("cs2", "tlp", str(event.traffic_light)),
        *_labelled("cs3", "subject", told.subject),
        *_labelled("cs4", "hosts", _list(told.hosts)),
        *_labelled("cn1", "people", str(told.total_people)),
        *_labelled("cfp1", "score", str(told.score)),
    ]
    if event.activity is not None:
        fields += _activity(event.activity)
    return fields


def _activity(activity: SharedActivity) -> list[tuple[str, str]]:
    techniques = [str(each.technique) for each in activity.techniques]
    return [
        ("outcome", str(activity.verdict)),
        *_labelled("cs5", "techniques", _list(techniques)),
        *_labelled("cs6", "state", str(activity.state)),
        *_labelled("cn2", "probes", str(activity.total_probes)),
        *_labelled("cn3", "messages", str(activity.total_messages)),
    ]


def _labelled(key: str, label: str, text: str) -> tuple[tuple[str, str], ...]:
    return ((f"{key}Label", label), (key, text)) if text else ()


def _list(values: list[str] | tuple[str, ...], longest: int = MAX_CUSTOM) -> str:
    return line(", ".join(values[:MAX_LISTED]), longest)


def _time(at: float) -> str:
    return str(milliseconds(at)) if at > 0 else ""


def _is_address(text: str) -> bool:
    """Tell whether this is an IPv4 address, as "src" has them."""
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def _header(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|")


def _value(text: str) -> str:
    return text.replace("\\", "\\\\").replace("=", "\\=")
