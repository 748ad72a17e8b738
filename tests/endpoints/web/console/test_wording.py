"""Wording: what stands in mail is shown as what it is, and numbers as people read them."""

from __future__ import annotations

from html.parser import HTMLParser
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from mailveil.endpoints.web.console.wording import (
    Times,
    cut,
    defanged,
    in_bytes,
    in_time,
    percent,
    plural,
    probability,
    relative,
    told,
    visible,
)


class Reader(HTMLParser):
    """Collects what a browser would see of a piece of markup."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def read(markup: str) -> Reader:
    reader = Reader()
    reader.feed(markup)
    reader.close()
    return reader


@given(st.text())
def test_text_from_outside_never_becomes_markup(text: str) -> None:
    for shown in (visible(text), cut(text, 20)):
        assert set(read(shown).tags) <= {"bdi", "span"}


@given(st.text())
def test_nothing_that_is_not_seen_or_turns_the_writing_gets_through(text: str) -> None:
    shown = "".join(read(visible(text)).texts)
    assert not any(
        hidden in shown
        for hidden in "\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u2069\u200b\u00ad\x00\x1b\r\n"
    )


def test_what_turns_the_direction_of_writing_is_named() -> None:
    shown = visible("invoice\u202egpj.exe")
    assert "U+202E" in shown
    assert "right-to-left override" in shown


def test_emoji_and_joined_scripts_stay_as_they_are() -> None:
    assert "U+" not in visible("👩\u200d🔬 می\u200cخواهم ❤\ufe0f")


def test_long_text_is_cut_and_told_whole_to_who_points_at_it() -> None:
    shown = cut("x" * 200 + "\u202e<", 50)
    assert "…" in shown
    assert f'title="{"x" * 200}[U+202E]&lt;"' in shown


def test_a_defanged_address_is_no_link() -> None:
    assert defanged("https://t.example.org/a.gif?b=c.d") == "hxxps://t[.]example[.]org/a.gif?b=c.d"
    assert defanged("mailto.example") == "mailto[.]example"


def test_times_are_told_with_their_zone_and_for_programs_in_utc() -> None:
    times = Times(1_764_100_000.0, ZoneInfo("Europe/Berlin"))
    assert times.text(1_764_096_400.0) == "25 Nov 2025, 19:46:40 CET"
    shown = times.ago(1_764_096_400.0)
    assert 'datetime="2025-11-25T18:46:40Z"' in shown
    assert ">1 h ago<" in shown
    assert "–" in times.ago(0)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "just now"), (59, "just now"), (61, "1 min ago"), (7200, "2 h ago"), (172_800, "2 d ago"), (-90_000, "in 1 d"),
     (-5, "within a minute"), (800 * 86_400, "2 y ago")],
)  # fmt: skip
def test_how_long_ago(seconds: float, words: str) -> None:
    assert relative(1e9 - seconds, 1e9) == words


def test_numbers_are_told_as_people_read_them() -> None:
    assert [in_bytes(each) for each in (999, 1500, 999_600, 12_345_678)] == [
        "999 B",
        "1.5 kB",
        "1.0 MB",
        "12 MB",
    ]
    assert [in_time(each) for each in (0.0042, 0.25, 1.25, 90, 7200)] == [
        "4.2 ms", "250 ms", "1.2 s", "1 minute", "2 hours",
    ]  # fmt: skip
    assert [percent(each, 1000) for each in (0, 0.5, 1, 55, 300)] == ["0%", "<0.1%", "0.1%", "5.5%", "30%"]
    assert percent(1, 0) == "–"
    assert [probability(each) for each in (0.001, 0.5, 0.999)] == ["<1%", "50%", ">99%"]
    assert plural(1, "entry", "entries") == "1 entry"
    assert plural(1200, "entry", "entries") == "1,200 entries"


def test_what_ends_with_a_day_is_said_to_hold_until_that_day() -> None:
    times = Times(1_764_100_000.0, ZoneInfo("Europe/Berlin"))
    assert ">30 Jun 2027<" in times.last_day(1_814_400_000.0)
    assert ">1 Jul 2027<" in times.last_day(1_814_400_000.0 + 8 * 3600)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Größe\nand\tmore", "Größe\nand\tmore"),
        ("gpj\u202e.exe", "gpj[U+202E].exe"),
        ("a\0b\x1b[31m", "a[U+0000]b[U+001B][31m"),
        ("half \ud800 of a letter", "half [U+D800] of a letter"),
        ("👩\u200d🔬", "👩\u200d🔬"),
    ],
)
def test_what_no_template_thought_of_is_told_too(text: str, shown: str) -> None:
    assert told(text) == shown


def test_markup_and_numbers_are_told_as_they_are() -> None:
    assert told(7) == 7
    assert told(Markup("<b>\u202e</b>")) == "<b>\u202e</b>"


def test_letters_do_not_reach_into_other_lines() -> None:
    shown = visible("e" + "\u0301" * 300 + " ti\u0301e\u0302\u0301ng")
    assert shown.count("\u0301") == 8 + 2
    assert shown.count("more marks on one letter") == 1
