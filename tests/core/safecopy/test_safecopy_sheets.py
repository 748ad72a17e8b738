"""Style sheets name their copies relative to themselves, so that the same bytes serve every message."""

from __future__ import annotations

from urllib.parse import urljoin

import pytest

from mailveil.core.references.types import Media
from mailveil.core.safecopy import CopyLimits, Nested, Refusal, SafeCopy, sanitise

URL = "https://t.example/mail/style.css"


def sheet(text: str, url: str = URL, limits: CopyLimits | None = None) -> SafeCopy:
    copy = sanitise(text.encode(), Media.STYLESHEET, limits, url=url)
    assert isinstance(copy, SafeCopy), copy
    assert b"t.example" not in copy.body
    assert b"slot-" not in copy.body
    return copy


def test_references_with_a_copy_become_slots() -> None:
    copy = sheet(
        '@import url(https://t.example/a.css);\n@import "b.css" screen;\n'
        "p { background: url('../i.png'), \\75rl(//t.example/i2.png) }\n"
        "q { background: image-set('i.png' 1x, \"i3.png\" 2x) }\n"
        "@font-face { src: local(F), url(f.woff2#iefix) format('woff2') }"
    )
    assert copy.nested == (
        Nested("https://t.example/a.css", Media.STYLESHEET),
        Nested("https://t.example/mail/b.css", Media.STYLESHEET),
        Nested("https://t.example/i.png", Media.IMAGE),
        Nested("https://t.example/i2.png", Media.IMAGE),
        Nested("https://t.example/mail/i.png", Media.IMAGE),
        Nested("https://t.example/mail/i3.png", Media.IMAGE),
        Nested("https://t.example/mail/f.woff2", Media.FONT),
    )
    text = copy.body.decode()
    assert "@import url(?0);" in text
    assert '@import "?1" screen;' in text
    assert "url('?2')" in text
    assert "url(?6) format('woff2')" in text
    assert urljoin("https://copies.example/c/TOKEN", "?6") == "https://copies.example/c/TOKEN?6"


def test_the_same_sheet_from_elsewhere_is_the_same_copy() -> None:
    one, other = sheet("p{background:url(a.png)}"), sheet("p{background:url(a.png)}", "https://o.example/")
    assert one.body == other.body
    assert one.nested != other.nested


def test_one_address_is_one_slot_and_slots_are_bounded() -> None:
    copy = sheet("p{background:url(a.png)} " * 3 + "q{background:url(b.png)}")
    assert len(copy.nested) == 2
    many = "".join(f"p{{background:url(https://t.example/{n}.png)}}" for n in range(200))
    imports = "".join(f"@import url(https://t.example/{n}.css);" for n in range(200))
    copy = sheet(imports + many)
    assert len(copy.nested) == 50
    assert sum(each.media is Media.STYLESHEET for each in copy.nested) == 8
    assert len(sheet(many, limits=CopyLimits(max_nested=12)).nested) == 12
    assert "?11)" in sheet(many, limits=CopyLimits(max_nested=12)).body.decode()


@pytest.mark.parametrize(
    "text",
    [
        "p { behavior: url(https://t.example/x.htc) }",
        "p { -moz-binding: url(https://t.example/x.xml#y) }",
        "p { width: expression(document.location='https://t.example/') }",
        "p { filter: progid:DXImageTransform.Microsoft.AlphaImageLoader(src='https://t.example/x.png') }",
        "p { background: url(ftp://t.example/x) }",
        "@namespace url(https://t.example/ns);",
    ],
)
def test_everything_else_is_inert(text: str) -> None:
    assert all(each.url.startswith("https://t.example/x.png") for each in sheet(text).nested)


def test_a_sheet_cannot_write_its_own_slots() -> None:
    """What looks like a slot in the original is a reference like any other."""
    copy = sheet("p { background: url(?7) } q { background: url(a.png) }")
    assert copy.nested[0].url == URL + "?7"
    assert "?7" not in copy.body.decode()


def test_without_an_address_nothing_relative_is_fetched() -> None:
    copy = sheet("p { background: url(a.png) } q { background: url(https://t.example/b.png) }", "")
    assert copy.nested == (Nested("https://t.example/b.png", Media.IMAGE),)


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff"])
def test_a_wide_sheet_is_refused(mark: bytes) -> None:
    body = mark + "中{中:中}".encode("utf-16-le" if mark == b"\xff\xfe" else "utf-16-be")
    assert sanitise(body + b"  " * 300, Media.STYLESHEET) is Refusal.WRONG_KIND
