"""Sightings: what mail and fetches seen before tell about a reference, and by what they are known again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mailveil.core.verdicts.addresses import Place, registrable_domain, template_of

_WORD: Final = re.compile(r"[^\W\d_]{2,}+")
_MACHINE_MADE: Final = re.compile(r"(?=.*[0-9]).{6,}|.{16,}")
_MAX_WORDS: Final = 40


@dataclass(frozen=True, slots=True)
class Sightings:
    """What is known of a reference from elsewhere. Counts alone: whose mail it was is nobody's business.

    ``sharers`` are the recipients that got this very URL, each in a message of their own. ``holders`` are those
    that got a URL of its template in the same mailing which nobody else got, ``common`` the URLs of the template
    that several got. ``names`` are host names of one pattern that one recipient each got. ``alike`` and
    ``unlike`` are the other URLs of the template that were answered with the same and with other content,
    ``neighbours`` other names made by a machine beside this one that the DNS answered alike.
    """

    sharers: int = 0
    holders: int = 0
    common: int = 0
    names: int = 0
    is_new_host: bool = False
    alike: int = 0
    unlike: int = 0
    neighbours: int = 0


def pattern_of(place: Place) -> str:
    """Return what the URLs have in common that one sender made of one pattern, labels of the host included."""
    return template_of(place._replace(host=_host_pattern(place.host)))


def names_pattern_of(place: Place) -> str:
    """Return what URLs have in common whose host names differ below one registrable domain."""
    return template_of(place._replace(host=f"*.{registrable_domain(place.host) or place.host}"))


def parent_of(host: str) -> str:
    """Return the name below which a host name's first label was made by a machine, ``""`` where it was not."""
    label, _, parent = host.partition(".")
    is_made = bool(_MACHINE_MADE.fullmatch(label)) and parent.endswith(registrable_domain(host) or "-")
    return parent if is_made and parent else ""


def mailing_of(sender_domain: str, subject: str, recipients: Sequence[str]) -> str:
    """Return what the messages of one mailing have in common: sender and subject, but for the recipients' names.

    Messages of different mailings rightly hold different pictures at addresses of one template.
    """
    named = {word for each in recipients for word in _WORD.findall(each.lower())}
    words = [word for word in _WORD.findall(subject.lower()) if word not in named]
    return f"{sender_domain.lower()} {' '.join(words[:_MAX_WORDS])}"


def _host_pattern(host: str) -> str:
    domain = registrable_domain(host)
    if not domain or host == domain or not host.endswith("." + domain):
        return host
    labels = host[: -len(domain) - 1].split(".")
    return ".".join(["*" if _MACHINE_MADE.fullmatch(label) else label for label in labels] + [domain])
