"""Servers: what lies behind a tracker's host. It is known some moments after the first message that names the host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mailveil.core.intelligence.book import Book
from mailveil.core.intelligence.memos import key, recall
from mailveil.core.intelligence.sight import Sight
from mailveil.core.intelligence.types import InfrastructureFacts

_MAX_TEXT: Final = 253
_MAX_OF_EACH: Final = 8
_LISTS: Final = ("canonical_names", "name_servers", "addresses")
_DIGESTS: Final = ("certificate", "header_order", "body")


def host_key(host: str) -> str:
    """Return the key of the memo of what lies behind a host."""
    return key("host", host)


def facts_by_host(
    sight: Sight, book: Book, given: Mapping[str, InfrastructureFacts]
) -> Mapping[str, InfrastructureFacts]:
    """Return what is known of the hosts of a message's trackers: what was studied, else what is given."""
    found: dict[str, InfrastructureFacts] = {}
    for each in sight.trackers:
        memo = recall(book, host_key(each.host))
        if memo is not None:
            found[each.host] = _facts_of(each.host, memo)
        elif each.host in given:
            found[each.host] = bounded(given[each.host])
    return found


def bounded(facts: InfrastructureFacts) -> InfrastructureFacts:
    """Return facts no longer than may be, whoever brought them."""
    return _facts_of(facts.host, memo_of(facts))


def memo_of(facts: InfrastructureFacts) -> dict[str, Any]:
    """Return facts as a memo."""
    memo: dict[str, Any] = {
        name: [each[:_MAX_TEXT] for each in getattr(facts, name)[:_MAX_OF_EACH]] for name in _LISTS
    }
    memo.update({name: getattr(facts, name)[:128] for name in _DIGESTS})
    return memo


def _facts_of(host: str, memo: Mapping[str, Any]) -> InfrastructureFacts:
    lists = {name: tuple(memo[name]) for name in _LISTS}
    digests = {name: memo[name] for name in _DIGESTS}
    values: dict[str, Any] = {"host": host[:_MAX_TEXT], **lists, **digests}
    return InfrastructureFacts(**values)
