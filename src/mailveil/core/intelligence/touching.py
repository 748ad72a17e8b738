"""Touching: which memos an incoming message touches, as far as can be told before it is studied."""

from __future__ import annotations

from collections.abc import Mapping

from mailveil.core.intelligence.book import Book
from mailveil.core.intelligence.campaigns import campaign_key
from mailveil.core.intelligence.linking import linking_keys, pointed_at
from mailveil.core.intelligence.memos import IMITATED, INSTALLATION, LESSONS
from mailveil.core.intelligence.senders import alike_keys, sender_keys
from mailveil.core.intelligence.servers import facts_by_host, host_key
from mailveil.core.intelligence.sight import Sight
from mailveil.core.intelligence.types import InfrastructureFacts
from mailveil.core.intelligence.usages import usages_of


def message_keys(sight: Sight, book: Book, infrastructure: Mapping[str, InfrastructureFacts]) -> set[str]:
    """Return the keys of the memos that an incoming message touches, as far as the book tells."""
    keys = {INSTALLATION, LESSONS, IMITATED, *sender_keys(sight), *alike_keys(sight, book)}
    keys.update(host_key(each.host) for each in sight.trackers)
    if campaign := campaign_key(sight):
        keys.add(campaign)
    usages = usages_of(sight, facts_by_host(sight, book, infrastructure))
    keys |= linking_keys(sight, usages)
    return keys | pointed_at(sight, keys, book)
