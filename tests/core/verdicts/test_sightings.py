"""By what URLs and mailings are known again.

Test: URLs made of one pattern for two readers have one pattern, whichever part tells the readers apart; others do not;
messages of one mailing are known by sender and subject but for the reader's name, those of another are not.
"""

from __future__ import annotations

import pytest

from mailveil.core.verdicts.addresses import take_apart
from mailveil.core.verdicts.sightings import mailing_of, names_pattern_of, parent_of, pattern_of


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("https://t.example.com/o/0123456789abcdef.gif", "https://t.example.com/o/fedcba9876543210.gif"),
        ("https://t.example.com/open?u=17&c=5", "https://t.example.com/open?u=18&c=5"),
        ("https://4488a1b2c3.d.example.com/i.gif", "https://91ffe0a7b2.d.example.com/i.gif"),
    ],
)
def test_one_pattern(first: str, second: str) -> None:
    assert pattern_of(take_apart(first)) == pattern_of(take_apart(second))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("https://t.example.com/o/0123456789abcdef.gif", "https://t.example.com/p/0123456789abcdef.gif"),
        ("https://t.example.com/open?u=17", "https://t.example.com/open?c=17"),
        ("https://a.example.com/i.gif", "https://b.example.com/i.gif"),
        ("https://a.example.com/i.gif", "https://a.example.org/i.gif"),
    ],
)
def test_other_patterns(first: str, second: str) -> None:
    assert pattern_of(take_apart(first)) != pattern_of(take_apart(second))


def test_names_below_one_domain_have_one_pattern() -> None:
    first, second = (
        take_apart(f"https://{label}.d.example.com/i.gif") for label in ("ann-smith", "ben-jones")
    )
    assert names_pattern_of(first) == names_pattern_of(second)
    assert names_pattern_of(first) != names_pattern_of(take_apart("https://x.example.org/i.gif"))


@pytest.mark.parametrize(
    ("host", "parent"),
    [
        ("4488a1b2c3.d.example.com", "d.example.com"),
        ("www.example.com", ""),
        ("example.com", ""),
        ("192.0.2.1", ""),
        ("", ""),
    ],
)
def test_the_parent_of_a_name_made_by_a_machine(host: str, parent: str) -> None:
    assert parent_of(host) == parent


def test_a_mailing_is_known_whomever_it_greets() -> None:
    first = mailing_of("news.example", "Ann, 20% off this week", ["ann.smith@example.org"])
    assert first == mailing_of("News.example", "Ben, 30% off this week", ["ben@example.org"])
    assert first != mailing_of("news.example", "Our news of May", ["ann.smith@example.org"])
    assert first != mailing_of("other.example", "Ann, 20% off this week", ["ann.smith@example.org"])
