"""Which pictures are told to be as of delivery, and which are not."""

from __future__ import annotations

import pytest

from mailveil.core.safecopy.freshness import changes_with_time

URL = "https://i.example/logo.png"
DATE = ("date", "Tue, 03 Nov 2026 10:00:00 GMT")


@pytest.mark.parametrize(
    ("url", "fields"),
    [
        (URL, [("cache-control", "no-store")]),
        (URL, [("cache-control", "private, No-Cache, must-revalidate")]),
        (URL, [("cache-control", "public"), ("cache-control", "max-age=60")]),
        (URL, [("cache-control", "max-age=0")]),
        (URL, [("pragma", "no-cache")]),
        (URL, [("expires", "0")]),
        (URL, [("expires", "-1"), DATE]),
        (URL, [DATE, ("expires", "Tue, 03 Nov 2026 09:00:00 GMT")]),
        (URL, [DATE, ("expires", "Tue, 03 Nov 2026 10:05:00 GMT")]),
        ("https://cdn.example/countdown/42.gif", []),
        ("https://i.example/count_down.gif?x", []),
        ("https://weather.example/zurich.png", []),
        ("https://www.sendtric.com/x.gif", []),
        ("https://x.example/live-score/1", []),
    ],
)
def test_what_does_not_last(url: str, fields: list[tuple[str, str]]) -> None:
    assert changes_with_time(url, fields)


@pytest.mark.parametrize(
    ("url", "fields"),
    [
        (URL, []),
        (URL, [("cache-control", "public, max-age=31536000, immutable")]),
        (URL, [("cache-control", "max-age=3600"), ("expires", "0"), ("pragma", "no-cache")]),
        (URL, [DATE, ("expires", "Wed, 04 Nov 2026 10:00:00 GMT")]),
        (URL, [("cache-control", "s-maxage=5, max-age=86400")]),
        (URL, [("x-cache", "no-store")]),
        ("https://i.example/delivery/olive.png", []),
        ("https://i.example/timers.png", []),
        ("http://[broken", []),
    ],
)
def test_what_lasts(url: str, fields: list[tuple[str, str]]) -> None:
    assert not changes_with_time(url, fields)
