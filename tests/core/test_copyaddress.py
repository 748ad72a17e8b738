"""Addresses of hosted copies: only ours are ours, and they tell nothing."""

from __future__ import annotations

import base64
import hmac
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailveil.core.copyaddress import CopyAddresses, content_id

ADDRESSES = CopyAddresses("https://copies.example", b"k" * 32)
TOKEN = ADDRESSES.derive(b"digest", "http://spy.example/?u=alice", "image")
SAFE = re.compile(r"[A-Za-z0-9:/._@;,+=~-]+")


def test_the_same_message_gets_the_same_address_again() -> None:
    assert ADDRESSES.derive(b"digest", "http://spy.example/?u=alice", "image") == TOKEN
    assert ADDRESSES.address(TOKEN) == "https://copies.example/c/" + TOKEN


@pytest.mark.parametrize(
    ("digest", "url", "media"),
    [
        (b"other", "http://spy.example/?u=alice", "image"),
        (b"digest", "http://spy.example/?u=bob", "image"),
        (b"digest", "http://spy.example/?u=alice", "font"),
        (b"digesth", "ttp://spy.example/?u=alice", "image"),
        (b"digest", "http://spy.example/?u=alicei", "mage"),
    ],
)
def test_anything_else_gets_another_address(digest: bytes, url: str, media: str) -> None:
    other = ADDRESSES.derive(digest, url, media)
    # Not one byte of the id is shared by more than chance.
    assert other[:8] != TOKEN[:8]
    assert other[-8:] != TOKEN[-8:]


def test_another_key_makes_and_accepts_other_tokens() -> None:
    stranger = replace(ADDRESSES, key=b"s" * 32)
    assert stranger.verify(TOKEN) is None
    assert ADDRESSES.verify(stranger.derive(b"digest", "http://spy.example/?u=alice", "image")) is None


def test_previous_keys_verify_and_make_nothing() -> None:
    rotated = CopyAddresses("https://copies.example", b"n" * 32, (b"k" * 32,))
    assert rotated.verify(TOKEN) == ADDRESSES.verify(TOKEN)
    assert rotated.derive(b"digest", "http://spy.example/?u=alice", "image") != TOKEN


@settings(deadline=None)
@given(st.binary(max_size=40), st.text(max_size=60), st.text(max_size=10))
def test_every_derived_address_is_ours_and_safe_anywhere(digest: bytes, url: str, media: str) -> None:
    token = ADDRESSES.derive(digest, url, media)
    assert len(ADDRESSES.verify(token) or b"") == 16
    assert ADDRESSES.is_ours(ADDRESSES.address(token))
    assert SAFE.fullmatch(ADDRESSES.address(token))


@settings(deadline=None)
@given(st.integers(0, 39), st.sampled_from("ABCDabcd0189-_"))
def test_a_changed_token_is_nobodys(place: int, letter: str) -> None:
    forged = TOKEN[:place] + letter + TOKEN[place + 1 :]
    assert ADDRESSES.is_token(forged) == (forged == TOKEN)


@settings(deadline=None)
@given(st.text(max_size=60))
def test_no_other_text_is_a_token_or_ours(text: str) -> None:
    assert ADDRESSES.verify(text) is None
    assert not ADDRESSES.is_ours(text)
    assert not ADDRESSES.is_ours("https://copies.example/c/" + text)


@pytest.mark.parametrize(
    "url",
    [
        "http://copies.example/c/{}",
        "HTTPS://copies.example/c/{}",
        "https://Copies.example/c/{}",
        "https://copies.example:443/c/{}",
        "https://copies.example:8443/c/{}",
        "https://copies.example./c/{}",
        "https://copies.example.spy.example/c/{}",
        "https://copies.example@spy.example/c/{}",
        "https://user@copies.example/c/{}",
        "https://spycopies.example/c/{}",
        "https://copies.examp\u217ce/c/{}",
        "//copies.example/c/{}",
        "/c/{}",
        "https:/copies.example/c/{}",
        "https:\\\\copies.example\\c\\{}",
        "https://copies.example/C/{}",
        "https://copies.example//c/{}",
        "https://copies.example/c/./{}",
        "https://copies.example/c/%41/../{}",
        "https://copies.example/c/{}?u=alice",
        "https://copies.example/c/{}#alice",
        "https://copies.example/c/{}/",
        "https://copies.example/c/{}=",
        "https://copies.example/c/{}\n",
        " https://copies.example/c/{}",
        "https://copies.example/c/{} ",
        "https://copies.example/c/\t{}",
        "https://copies.example/c/{}\0",
        "{}",
        "",
    ],
)
def test_nothing_that_only_resembles_our_address_is_ours(url: str) -> None:
    assert not ADDRESSES.is_ours(url.format(TOKEN))


def test_case_counts_within_a_token() -> None:
    assert not ADDRESSES.is_ours("https://copies.example/c/" + TOKEN.swapcase())
    escaped = f"%{ord(TOKEN[0]):02X}" + TOKEN[1:]
    assert not ADDRESSES.is_ours("https://copies.example/c/" + escaped)


@pytest.mark.parametrize(
    "origin",
    [
        "https://copies.example",
        "http://127.0.0.1:8081",
        "http://localhost:8081",
        "https://xn--bcher-kva.example:444",
    ],
)
def test_origins_as_browsers_write_them_are_taken(origin: str) -> None:
    addresses = CopyAddresses(origin, b"k" * 16)
    assert addresses.is_ours(addresses.address(addresses.derive(b"", "", "")))


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "copies.example",
        "ftp://copies.example",
        "https://",
        "https://copies.example/",
        "https://copies.example/path",
        "https://Copies.example",
        "https://copies.example.",
        "https://.copies.example",
        "https://copies..example",
        "https://-copies.example",
        "https://copies_.example",
        "https://user@copies.example",
        "https://copies.example:443",
        "http://copies.example:80",
        "https://copies.example:0443",
        "https://copies.example:99999",
        "https://copies.example:",
        "https://copies.example?x",
        "https://b\u00fccher.example",
        "https://[::1]",
        "https://127.1",
        "https://256.0.0.1",
        "https://0x7f.1",
        "https://example.0x",
        " https://copies.example",
        "https://copies.example\n",
    ],
)
def test_other_origins_are_refused_by_name(origin: str) -> None:
    with pytest.raises(ValueError, match="origin for copies"):
        CopyAddresses(origin, b"k" * 32)


def test_weak_keys_are_refused_and_keys_never_shown() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        CopyAddresses("https://copies.example", b"short")
    with pytest.raises(ValueError, match="16 bytes"):
        CopyAddresses("https://copies.example", b"k" * 32, (b"",))
    assert "kkkk" not in repr(ADDRESSES)


def test_content_ids_need_no_escaping() -> None:
    assert content_id(TOKEN, "mailveil.invalid") == TOKEN + "@mailveil.invalid"
    assert SAFE.fullmatch(content_id(TOKEN, "mailveil.invalid"))
    for token, domain in [("a b", "x"), ("a", "x>"), ("", "x"), ("a", ""), ("a\r\n", "x"), ("a", "x\n")]:
        with pytest.raises(ValueError, match="content id"):
            content_id(token, domain)


def test_a_token_is_made_with_the_hmac_of_the_library() -> None:
    addresses = CopyAddresses("https://copies.example", b"k" * 32)

    def subkey(label: bytes) -> bytes:
        return hmac.digest(b"k" * 32, b"mailveil copy address v1 " + label + b"\x01", "sha256")

    told = b"".join(
        len(part).to_bytes(8, "big") + part for part in (b"d" * 32, b"https://a.example/", b"image")
    )
    name = hmac.digest(subkey(b"id"), told, "sha256")[:16]
    tag = hmac.digest(subkey(b"tag"), name, "sha256")[:14]
    token = addresses.derive(b"d" * 32, "https://a.example/", "image")
    assert base64.urlsafe_b64decode(token) == name + tag
