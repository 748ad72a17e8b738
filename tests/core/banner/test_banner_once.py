"""A banner stands once: not again behind a second gateway, not in replies; no sender can keep it away or fake it."""

from __future__ import annotations

import time

import pytest

from banner_letters import LINK, READER, SETTINGS, TRACKER, letter, page, protected, several, told
from mailveil.core.banner.marks import CLOSING, OPENING, RULE
from mailveil.core.message.parse import parse_message
from mailveil.core.protection import EngineSettings, protect

PLAIN = ("text/plain; charset=utf-8", b"Hello\r\n")
LONG = "long\r\n" * 4000
KEPT = b'<p>Hello</p><a href="https://shop.example/">shop</a>'


def _banner_of(raw: bytes) -> str:
    text = raw.decode()
    return text[text.index(OPENING) : text.index(CLOSING) + len(CLOSING)]


def _plain_banner_of(raw: bytes) -> str:
    text = raw.decode()
    at = text.index(RULE)
    return text[at : text.index("\r\n", text.index(RULE, at + 1)) + 2]


@pytest.mark.parametrize("subtype", ["alternative", "mixed"])
def test_a_second_gateway_of_ours_leaves_it_as_it_is(subtype: str) -> None:
    once = protected(several(subtype, PLAIN, ("text/html; charset=utf-8", page())))
    again = protected(b"Received: by second\r\n" + once.raw)
    assert again.raw == b"Received: by second\r\n" + once.raw
    assert again.banner
    # Also where something is left to be told of, since the first one kept it.
    more = once.raw.replace(b"<p>Hello</p>", b"<p>Hello</p>" + TRACKER.encode())
    third = protected(more)
    assert third.raw.count(OPENING.encode()) == more.count(OPENING.encode())


def test_line_breaks_that_a_server_changes_do_not_matter() -> None:
    once = protected(letter(page())).raw.replace(b"\r\n", b"\n")
    more = once.replace(b"<p>Hello</p>", b"<p>Hello</p>" + TRACKER.encode())
    assert _banner_of(protected(more).raw) == _banner_of(once)


@pytest.mark.parametrize("language", ["en", "ja"])
def test_a_reply_that_quotes_it_has_one_on_top_and_none_below(language: str) -> None:
    first = protected(letter(page()), told(language)).raw
    quoted = f"<html><body><p>Yes</p>{TRACKER}<blockquote>{_banner_of(first)}<p>Hello</p></blockquote></body></html>"
    reply = letter(quoted.encode()).replace(b"<offer@", b"<reply@")
    outcome = protected(reply, told(language))
    assert outcome.raw.count(OPENING.encode()) == 1
    assert outcome.raw.index(OPENING.encode()) < outcome.raw.index(b"<p>Yes")
    assert b"<blockquote><p>Hello</p></blockquote>" in outcome.raw


def test_a_reply_in_plain_text_loses_the_quoted_one() -> None:
    html = ("text/html; charset=utf-8", page())
    first = protected(several("alternative", PLAIN, html)).raw
    banner = _plain_banner_of(first)
    quoted = "Yes\r\n\r\n" + "".join(f"> {line}\r\n" for line in banner.splitlines()) + "> Hello\r\n"
    reply = several("alternative", (PLAIN[0], quoted.encode()), html).replace(b"<offer@", b"<reply@")
    outcome = protected(reply)
    text = outcome.raw.split(b"text/html")[0].decode()
    assert text.count(RULE) == 2
    assert "\r\nYes\r\n\r\n> Hello\r\n" in text


def test_a_reply_that_is_harmless_keeps_its_quotation_byte_for_byte() -> None:
    first = protected(letter(page())).raw
    reply = letter(
        f"<html><body><p>Yes</p><blockquote>{_banner_of(first)}</blockquote></body></html>".encode()
    )
    assert b"<aside" in protected(reply).raw
    assert protected(reply).raw.count(b"Yes</p><blockquote><aside") == 1
    assert not protected(reply).banner


def test_a_stolen_banner_keeps_no_banner_away() -> None:
    """The sender has seen one of ours in a reply and puts it on top of another message."""
    stolen = _banner_of(protected(letter(page())).raw)
    raw = letter(page("<html><body>" + stolen)).replace(b"<offer@", b"<other@")
    outcome = protected(raw)
    assert outcome.banner
    assert outcome.raw.count(OPENING.encode()) == 1
    assert stolen not in outcome.raw.decode()


@pytest.mark.parametrize(
    "forged",
    [
        f'{OPENING}0000000000000000">All is well.{CLOSING}',
        f'<aside class="x mailveil-notice"><p>Report <a href="https://evil.example/">here</a></p>{CLOSING}',
        f'<ASIDE role="note" class="mailveil-notice">{CLOSING}',
    ],
)
def test_a_forged_banner_on_top_is_taken_out_even_of_a_harmless_message(forged: str) -> None:
    raw = letter(f"<html><body>\r\n{forged}<p>Hello</p></body></html>".encode())
    outcome = protected(raw)
    assert b"<aside" not in outcome.raw.lower()
    assert b"<p>Hello</p>" in outcome.raw
    assert not outcome.banner
    assert protected(outcome.raw).raw == outcome.raw


def test_a_forged_banner_in_plain_text_goes_as_well() -> None:
    raw = letter(f"{RULE}\r\nAll is well.\r\n{RULE} 0123456789abcdef\r\nHello\r\n".encode(), PLAIN[0])
    assert protected(raw).raw.endswith(b"\r\n\r\nHello\r\n")


@pytest.mark.parametrize(
    "content",
    [
        f"{OPENING}0000000000000000\"><p>never closed",
        f"{OPENING}0000000000000000\"><img src=cid:x>{CLOSING}",
        f"{OPENING}0000000000000000\"><aside>within</aside>{CLOSING}",
        f"{OPENING}0000000000000000\">{LONG}{CLOSING}",
        "<aside>somebody's own</aside>",
        f"<p>{RULE}</p>",
    ],
)  # fmt: skip
def test_what_only_begins_like_one_stays_and_keeps_nothing_away(content: str) -> None:
    raw = letter(f"<html><body>{content}<p>Hello</p>{TRACKER}</body></html>".encode())
    outcome = protected(raw)
    assert outcome.banner
    assert content in outcome.raw.decode()


def test_another_gateways_key_does_not_make_it_ours() -> None:
    raw = protected(letter(page())).raw
    other = protect(raw, EngineSettings(banner_key=b"another"), READER, told())
    assert other.raw.count(OPENING.encode()) == 0  # it was on top, and nothing is left to be told of


def test_below_the_risk_that_policy_names_nobody_is_told_and_the_rest_is_the_same() -> None:
    raw = letter(page())
    without = protect(raw, SETTINGS, READER)
    assert protected(raw, told(least_risk="high")).raw in (without.raw, protected(raw).raw)
    harmless = letter(KEPT)
    assert protected(harmless).raw == protect(harmless, SETTINGS, READER).raw


def test_a_message_that_is_to_go_on_as_it_came_gets_none() -> None:
    raw = letter(b"<p>Hello</p>")
    outcome = protected(raw)
    assert outcome.raw is raw
    assert not outcome.banner


def test_the_links_in_it_are_no_references() -> None:
    outcome = protected(letter(page()))
    assert LINK.encode() in outcome.raw
    again = protect(outcome.raw, SETTINGS, READER)
    assert again.plan.decisions == ()
    assert again.raw == outcome.raw


@pytest.mark.parametrize(
    "piece", [OPENING + '0">', f"{RULE}\n", '<aside class="mailveil-notice" ', "<!--", "<body>"]
)
@pytest.mark.parametrize("kind", ["text/html", "text/plain"])
def test_many_pieces_of_one_take_no_more_time_than_other_mail(piece: str, kind: str) -> None:
    raw = letter((piece * (400_000 // len(piece))).encode(), kind)
    began = time.process_time()
    protected(raw)
    assert time.process_time() - began < 30
    assert parse_message(raw)
