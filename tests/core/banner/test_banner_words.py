"""What the banner says, and in whose language."""

from __future__ import annotations

import html
import re
import string

import pytest

from banner_letters import LINK, letter, page, protected, several, told
from mailveil.core.banner import Notice, language_of, languages, notice_of
from mailveil.core.banner.notice import bounded, is_link, is_mailbox, sentences_of
from mailveil.core.banner.writing import wrapped, write_html, write_plain
from mailveil.core.message.parse import parse_message
from mailveil.core.message.transfer import decode_body
from mailveil.core.message.types import Limits
from mailveil.core.policy import BannerSettings
from mailveil.core.recognition.types import KnownBy, Recognition
from mailveil.core.verdicts.types import Finding, Kind, Operator, Risk, Verdict

EVERY_LANGUAGE = sorted(languages())


def _notice(language: str = "en", **more: object) -> Notice:
    settings = told(language).banner
    assert settings is not None
    values: dict[str, object] = {
        "risk": Risk.MEDIUM, "count": 2, "kinds": (Kind.OPEN,), "operators": (), "settings": settings,
    }  # fmt: skip
    return Notice(**{**values, **more})  # type: ignore[arg-type]


def test_there_are_five_languages_with_the_same_words() -> None:
    assert {"de", "en", "es", "fr", "ja"} <= set(languages())
    english = languages()["en"]
    for language in languages().values():
        for name in ("banner", "kinds", "report"):
            theirs, ours = getattr(language, name), getattr(english, name)
            assert theirs.keys() == ours.keys(), language.tag
            for key, text in theirs.items():
                fields = {field for _, field, _, _ in string.Formatter().parse(text) if field}
                expected = {field for _, field, _, _ in string.Formatter().parse(ours[key]) if field}
                assert fields == expected or key == "title_one", (language.tag, key)
        assert {"open", *(str(kind) for kind in Kind if kind is not Kind.DNS)} == set(language.kinds)


@pytest.mark.parametrize(
    ("tags", "spoken"),
    [(("fr-CA",), "fr"), (("de_AT.UTF-8",), "de"), (("de-AT-1996",), "de"), (("tlh",), "en"), (("",), "en"),
     (("JA",), "ja"), (("xx", "es-419", "de"), "es"), (("../../etc",), "en")],
)  # fmt: skip
def test_a_language_that_is_not_there_is_looked_up_more_and_more_widely(
    tags: tuple[str, ...], spoken: str
) -> None:
    assert language_of(*tags).tag == spoken


def test_one_is_one_and_none_is_one_in_french() -> None:
    assert languages()["en"].title(1) == "A tracker in this message was stopped"
    assert languages()["en"].title(0).startswith("0 trackers")
    assert languages()["en"].title(7).startswith("7 trackers")
    assert languages()["fr"].title(0) == languages()["fr"].title(1)
    assert languages()["fr"].title(2).startswith("2 traceurs")
    assert "1件" in languages()["ja"].title(1)


@pytest.mark.parametrize("language", EVERY_LANGUAGE)
def test_every_kind_is_told_in_words(language: str) -> None:
    words = languages()[language]
    said = sentences_of(_notice(language, kinds=tuple(Kind)), words)
    for kind, phrase in words.kinds.items():
        assert phrase in said.told, kind
    assert said.told.count(words.kinds["open"]) == 1, "a look-up of a name tells the same as a fetch"


@pytest.mark.parametrize("language", EVERY_LANGUAGE)
def test_a_spy_is_told_more_sharply_than_a_tracker(language: str) -> None:
    words = languages()[language]
    medium, high = (sentences_of(_notice(language, risk=risk), words) for risk in (Risk.MEDIUM, Risk.HIGH))
    assert medium.title == words.title(2)
    assert high.title == words.banner["warning"]
    assert words.banner["careful"] in high.calm
    assert words.banner["careful"] not in medium.calm
    assert words.title(2) in high.told


def _met(known_by: KnownBy, first_at: float = 1_799_500_000.0) -> Recognition:
    return Recognition("a1", "fabrikam.com", known_by, "fabrikam.com", first_at, "secret evidence")


@pytest.mark.parametrize("language", EVERY_LANGUAGE)
@pytest.mark.parametrize("known_by", list(KnownBy))
def test_a_known_actor_is_told_with_and_without_a_tracker(language: str, known_by: KnownBy) -> None:
    words = languages()[language]
    calm = sentences_of(
        _notice(language, count=0, kinds=(), risk=Risk.HIGH, recognition=_met(known_by)), words
    )
    assert calm.title == words.banner["met_warning"]
    key = {"look-alike": "met_alike", "indicator": "met_listed", "sender-domain": "met", "mailbox": "met"}
    assert calm.told.startswith(words.banner[key.get(known_by, "met_related")])
    assert ("2027-01-09" in calm.told) == (known_by is not KnownBy.INDICATOR)
    assert calm.calm == words.banner["careful"]
    assert words.title(0) not in calm.told
    both = sentences_of(_notice(language, risk=Risk.HIGH, recognition=_met(known_by, 0.0)), words)
    assert "2027" not in both.told
    assert words.title(2) in both.told
    assert words.kinds["open"] in both.told
    assert words.banner["nothing_told"] in both.calm
    for said in (calm, both):
        assert not {"fabrikam.com", "secret evidence"} & set(f"{said.title} {said.told} {said.calm}".split())


@pytest.mark.parametrize("at", [-1.0, float("inf"), 1e18])
def test_a_time_that_is_none_is_not_told(at: float) -> None:
    words = languages()["en"]
    said = sentences_of(_notice(count=0, kinds=(), recognition=_met(KnownBy.THREAD, at)), words)
    assert said.told == words.banner["met_related"] + "."


@pytest.mark.parametrize("language", EVERY_LANGUAGE)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_it_is_ascii_in_html_and_names_how_to_report(language: str, newline: str) -> None:
    written = write_html(_notice(language), languages()[language], newline)
    assert written.isascii()
    assert max(map(len, written.split(newline))) < 900
    assert f'lang="{language}"' in written
    assert "mailto:spy-report@example.org?subject=mailveil%20" in written
    assert f"{LINK}?code=" in written
    assert "<img" not in written
    assert "<style" not in written
    assert "url(" not in written
    shown = re.sub(r"<[^>]*>", "", written)
    assert languages()[language].title(2) in html.unescape(shown)


@pytest.mark.parametrize("language", EVERY_LANGUAGE)
def test_no_line_of_plain_text_can_be_mistaken(language: str) -> None:
    written = write_plain(_notice(language, kinds=tuple(Kind), risk=Risk.HIGH), languages()[language], "\r\n")
    assert written is not None
    for line in written.split("\r\n"):
        assert not line.endswith(" ")  # nothing flows (RFC 3676)
        assert not line.startswith((" ", ">", "From ", "--", "."))
        assert len(line) <= 72 or " " not in line


def test_wide_characters_count_twice_and_no_line_begins_with_a_stop() -> None:
    lines = wrapped("あ" * 36 + "。" + "い" * 5)
    assert lines == ["あ" * 36 + "。", "い" * 5]
    assert wrapped("> quoted") == ["* > quoted"]
    assert wrapped("") == []


@pytest.mark.parametrize(
    ("body_type", "coding", "language", "expected"),
    [
        ("text/plain; charset=utf-8", "8bit", "de", "hätten"),
        ("text/plain; charset=utf-8", "7bit", "de", "haetten"),
        ("text/plain; charset=us-ascii", "7bit", "de", "haetten"),
        ("text/plain", "8bit", "fr", "revele"),
        ("text/plain; charset=iso-8859-1", "8bit", "fr", "révélé"),
        ("text/plain; charset=iso-8859-1", "8bit", "ja", "trackers"),
        ("text/plain; charset=iso-2022-jp", "7bit", "ja", "開封すると"),
        ("text/plain; charset=us-ascii", "7bit", "ja", "trackers"),
        ("text/plain; charset=utf-8; format=flowed", "quoted-printable", "es", "habrían"),
        ("text/plain; charset=utf-8", "base64", "ja", "開封すると"),
        ("text/plain; charset=no-such", "8bit", "ja", "trackers"),
    ],
)
def test_plain_text_is_written_in_the_characters_that_it_can_hold(
    body_type: str, coding: str, language: str, expected: str
) -> None:
    codec = {"iso-2022-jp": "iso2022_jp", "iso-8859-1": "latin-1"}.get(body_type.rpartition("=")[2], "utf-8")
    body = b"Hello\r\n"
    plain = (
        letter(body, body_type, coding).partition(b"MIME-Version: 1.0\r\n")[2].partition(b"Content-Type: ")[2]
    )
    raw = several("alternative", (plain.split(b"\r\n\r\n")[0].decode(), plain.partition(b"\r\n\r\n")[2]),
                  ("text/html", page() + b"<img src=//t.shop.example/b?who=reader@example.org width=1>"))  # fmt: skip
    outcome = protected(raw, told(language))
    part = next(part for part in outcome.plan.message.walk() if part.media_type == "text/plain")
    assert outcome.banner

    after = next(each for each in parse_message(outcome.raw).walk() if each.section == part.section)
    data = decode_body(after, Limits())[0][0].data
    if coding == "7bit":
        assert data.isascii()
    assert expected in data.decode(codec)
    assert data.rstrip().endswith(body.rstrip())


def test_names_are_bounded_and_escaped_wherever_they_come_from() -> None:
    operator = Operator('<img src="https://evil.example/x">{0}\r\nEvil.example' + "x" * 200, 1.0)
    verdict = Verdict(Finding.TRACKER, 1.0, (Kind.OPEN,), operator=operator)
    settings = BannerSettings(organisation="<b>Org</b>\n{count}", language="en")
    notice = notice_of([verdict] * 3, Risk.MEDIUM, settings)
    assert notice is not None
    assert notice.count == 3
    written = write_html(notice, notice.language, "\n")
    assert "<img" not in written
    assert "<b>" not in written
    assert max(map(len, notice.operators)) <= 60
    plain = write_plain(notice, notice.language, "\n")
    assert plain is not None
    assert "\r" not in plain
    assert bounded("a\x1b[2Jb\u202ec", 60) == "a [2Jb c"


def test_content_is_no_tracker() -> None:
    assert notice_of([Verdict(Finding.CONTENT, 0.0)], Risk.HIGH, BannerSettings()) is None


@pytest.mark.parametrize(
    "mailbox", ["", "nobody", "a@b@c.example", "a b@c.example", "a@c.example?cc=x", "ä@c.example", "@"]
)
def test_only_a_plain_mailbox_is_named(mailbox: str) -> None:
    assert not is_mailbox(mailbox)


@pytest.mark.parametrize(
    "link",
    ["", "javascript:alert(1)", "//x", "https://", "https://a@b/", "https://x/#y", 'https://x/"', "https://[", "https://x/ä",
     "https://x/" + "y" * 500],
)  # fmt: skip
def test_only_a_plain_link_is_named(link: str) -> None:
    assert not is_link(link)


def test_where_nobody_takes_reports_nobody_is_asked_for_any() -> None:
    policy = told(report_mailbox="", report_link="", report_code="")
    outcome = protected(letter(page()), policy)
    assert outcome.banner
    assert b"False alarm" not in outcome.raw
    assert b"<a " not in outcome.raw
