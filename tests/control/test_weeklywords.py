"""Setup: pairs of figures. Test: how one compares with the other reads as somebody would say it."""

from __future__ import annotations

import pytest

from mailveil.control.records import Figures
from mailveil.control.weeklywords import beside, comparison, score_words, share_words


@pytest.mark.parametrize(
    ("now", "before", "words"),
    [
        (10, 0, "after none in June"),
        (0, 0, "after none in June"),
        (1000, 1001, "as many as in June"),
        (112, 100, "12% more than in June"),
        (50, 100, "50% fewer than in June"),
        (0, 7, "100% fewer than in June"),
        (1, 1000, "over 99% fewer than in June"),
        (199, 100, "99% more than in June"),
        (200, 100, "2.0 times as many as in June"),
        (1_000_000, 1, "1,000,000.0 times as many as in June"),
    ],
)
def test_a_number_is_compared_in_words(now: int, before: int, words: str) -> None:
    assert beside(now, before, "June") == words


@pytest.mark.parametrize(
    ("part", "whole", "words"),
    [(0, 0, "–"), (0, 9, "0%"), (1, 9999, "under 0.1%"), (1, 30, "3.3%"), (7, 7, "100%")],
)
def test_a_share_is_told_without_false_exactness(part: int, whole: int, words: str) -> None:
    assert share_words(part, whole) == words


@pytest.mark.parametrize(("score", "words"), [(0, "1"), (0.004, "1"), (0.5, "50"), (0.996, "99"), (1, "99")])
def test_no_score_is_certain(score: float, words: str) -> None:
    assert score_words(score) == words


def test_one_of_each_is_told_in_the_singular() -> None:
    one = Figures(messages=1, with_remote=1, with_trackers=1, risky=1, prevented=1)
    said = comparison(one, Figures(), None, span="the week before")
    assert said[0] == "1 message was protected, after none in the week before."
    assert said[-1] == (
        "1 contact with a stranger’s server was prevented, counting each message as opened once: after none in the "
        "week before."
    )


def test_risk_without_a_tracker_makes_no_share_above_all() -> None:
    odd = Figures(messages=4, with_remote=4, with_trackers=1, risky=3)
    assert "Of the messages with trackers, 100% were of medium or high risk." in comparison(
        odd, Figures(), None, span="x"
    )
