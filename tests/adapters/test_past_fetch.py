"""Fetches that were made, as reports tell of them: which pictures are as of delivery."""

from __future__ import annotations

import pytest

from mailveil.core.verdicts.evidence import BodyFacts, FetchEvidence, FetchOutcome, Hop
from mailveil.ports import PastFetch

LASTING = (("cache-control", "public, max-age=31536000"),)
FLEETING = (("cache-control", "no-store"),)


def past(
    fields: tuple[tuple[str, str], ...], media: str = "image", side: int = 100, **changed: object
) -> PastFetch:
    hops = (Hop("https://img.example/a", 302, FLEETING), Hop("https://cdn.example/a.png", 200, fields))
    evidence = FetchEvidence(
        changed.get("outcome", FetchOutcome.FETCHED),  # type: ignore[arg-type]
        hops=hops,
        body=BodyFacts(width=side, height=side),
    )
    return PastFetch(1.0, media, str(changed.get("url", "https://img.example/a")), evidence)


def test_what_its_origin_wants_nobody_to_keep_is_as_of_delivery() -> None:
    assert past(FLEETING).is_as_of_delivery
    assert past(LASTING, url="https://img.example/countdown/1").is_as_of_delivery


@pytest.mark.parametrize(
    "fetch",
    [
        past(LASTING),
        past(FLEETING, media="stylesheet"),
        past(FLEETING, side=1),
        past(FLEETING, outcome=FetchOutcome.DRIP_FED),
    ],
)
def test_what_lasts_or_shows_nothing_is_not(fetch: PastFetch) -> None:
    assert not fetch.is_as_of_delivery
