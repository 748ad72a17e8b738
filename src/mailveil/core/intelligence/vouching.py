"""Vouching: what shows that a domain which resembles another one is honest, and that an imitator has not cheaply.

Words around a name, pictures and links of the other, the same providers, where answers would go: anybody has all of
that, and it vouches for nobody. What counts needs a key of the other, weeks of being answered, or the organisation's
own word.
"""

from __future__ import annotations

from typing import Final

from mailveil.core.intelligence.book import Memo
from mailveil.core.intelligence.sight import Sight
from mailveil.core.intelligence.types import DAY_S
from mailveil.core.recognition.freemail import is_free_mail
from mailveil.core.recognition.shared import is_shared_domain
from mailveil.core.verdicts.addresses import registrable_domain

_WRITTEN_DAYS: Final = 3
_WRITTEN_FOR_S: Final = 14 * DAY_S


def vouched_for(sight: Sight, memo: Memo) -> str:
    """Return in words why a sender that resembles another is honest, ``""`` where nothing shows it.

    ``memo`` is the sender's, before this message was counted, with whom it resembles.
    """
    other, whose, _ = memo["like"]
    if sight.is_allowed:
        return "your allow-list has it"
    if whose == "correspondent" and _is_signed_by(sight, other):
        return f"{other} signs its mail"
    if _is_written_to(memo, sight.at):
        return "your people had written to it for weeks before it tracked"
    return ""


def _is_signed_by(sight: Sight, other: str) -> bool:
    """Tell whether a message bears a signature of a domain (RFC 6376), which only who has its key can make.

    Lists sign what anybody posts to them, as services do what their customers send; so does what forwards for us under
    our own name, wherefore our own signature is not asked for.
    """
    if sight.is_list or is_shared_domain(other) or is_free_mail(other):
        return False
    return any((registrable_domain(each) or each) == other for each in sight.signers)


def _is_written_to(memo: Memo, at: float) -> bool:
    """Tell whether our people wrote to a sender on several days, over weeks in which it had no tracking at all."""
    is_old = at - memo["first"] >= _WRITTEN_FOR_S
    return bool(not memo["tracked"] and memo["submitted_days"] >= _WRITTEN_DAYS and is_old)
