"""Banners in a real Chromium: they show, nothing is fetched, and what stands below looks as it did without them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import pytest
from PIL import Image, ImageChops
from playwright.sync_api import Browser, Page

from banner_letters import READER, SETTINGS, TRACKER, letter, told
from console_window import browser_room
from mailveil.core.banner.places import find_places
from mailveil.core.message.parse import parse_message
from mailveil.core.protection import protect

WIDTHS = (320, 600, 1200)
MAX_DIFFERENT = (
    0.002  # of the pixels: edges are smoothed otherwise where a page begins at another fraction of one
)
NEWSLETTER = f"""<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><style>
body {{ margin: 0; background: #eef; font-family: Georgia, serif; }}
td {{ padding: 20px; color: #336; text-align: right; }}
a {{ color: red; text-transform: uppercase; }} table {{ border-collapse: separate; border: 3px dotted green; }}
aside, strong, span {{ display: none; }} @media (max-width: 500px) {{ .two {{ display: block !important; }} }}
</style></head><body>{TRACKER}<table align="center" width="600"><tr><td class="two"><h1>News of the week</h1>
<p>Text that is long enough to be broken into several lines on every screen, since some are quite narrow.</p></td>
<td class="two"><a href="https://shop.example/">Shop</a></td></tr></table><p>The end</p></body></html>"""
DOCUMENTS = {
    "newsletter": NEWSLETTER,
    "right to left": f'<html dir="rtl" lang="ar"><body style="direction:rtl"><p>مرحبا بالعالم</p>{TRACKER}<ul><li>واحد',
    "without a body": f"<p style='float:left;width:50%'>Left</p><p>Right</p>{TRACKER}<hr><pre>  as it is  </pre>",
    "dark": f'<html><head><meta name="color-scheme" content="dark"></head><body bgcolor="#111111" text="#eeeeee">'
    f"{TRACKER}"
    "<center><font size=6>Night</font></center></body></html>",
    "conditional": f"<html><!--[if mso]><body class=mso><![endif]--><!--[if !mso]><!--><body><!--<![endif]-->{TRACKER}"
    "<table width=100%><tr><td bgcolor=#dddddd>Cell</td></tr></table></body></html>",
}  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browser_room() as opened:
        yield opened


def _shown(html: str, language: str = "en", *, banner: bool = True) -> str:
    """Return the HTML that a reader gets."""
    raw = letter(html.encode())
    outcome = protect(raw, SETTINGS, READER, told(language) if banner else None)
    assert outcome.banner is banner
    [place] = find_places(parse_message(outcome.raw))
    return place.text.text.encode("latin-1").decode("utf-8")


def _opened(browser: Browser, html: str, width: int, scheme: str) -> tuple[Page, list[str]]:
    page = browser.new_page(viewport={"width": width, "height": 700}, color_scheme=scheme)  # type: ignore[arg-type]
    asked: list[str] = []
    page.on(
        "request", lambda request: asked.append(request.url) if not request.url.startswith("data:") else None
    )
    page.set_content(html, wait_until="load", timeout=60_000)
    return page, asked


def _picture(page: Page) -> Image.Image:
    return Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")


def _is_same_below(before: Image.Image, after: Image.Image, shift: int) -> bool:
    height = min(before.height, after.height - shift) - 8
    if before.width != after.width or height <= 0:
        return False
    difference = ImageChops.difference(
        before.crop((0, 8, before.width, height)), after.crop((0, 8 + shift, before.width, height + shift))
    ).convert("L")
    different = sum(difference.histogram()[1:])
    return different <= MAX_DIFFERENT * difference.width * difference.height


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_rest_looks_the_same_further_down(
    browser: Browser, requires: Callable[[str], str], name: str, width: int, scheme: str
) -> None:
    requires("chromium")
    plain, _ = _opened(browser, _shown(DOCUMENTS[name], banner=False), width, scheme)
    page, asked = _opened(browser, _shown(DOCUMENTS[name]), width, scheme)
    before, after = _picture(plain), _picture(page)
    height = page.evaluate("document.querySelector('aside').getBoundingClientRect().height")
    assert height > 60
    wide = page.evaluate("[document.querySelector('aside').getBoundingClientRect().width, innerWidth]")
    assert wide[0] <= max(wide[1], before.width)
    assert asked == []
    assert any(_is_same_below(before, after, shift) for shift in range(int(height) - 30, int(height) + 40))
    plain.close()
    page.close()


HIDING = (
    "aside{display:none!important}",
    "body>*:first-child{position:absolute!important;left:-9999px!important;opacity:0!important}",
    "*{color:transparent!important;font-size:0!important;line-height:0!important}",
    ".mailveil-notice,.mailveil-notice *{visibility:hidden!important;max-height:0!important;overflow:hidden!important}",
    "aside table{transform:scale(0)!important;clip-path:circle(0)!important;filter:opacity(0)!important}",
    "td{text-indent:-9999px!important;zoom:0.01!important;content-visibility:hidden!important}",
)


@pytest.mark.parametrize("sheet", HIDING)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_senders_style_sheet_does_not_hide_it(
    browser: Browser, requires: Callable[[str], str], sheet: str, scheme: str
) -> None:
    requires("chromium")
    html = f"<html><head><style>{sheet}</style></head><body><p>Hello</p>{TRACKER}</body></html>"
    page, _ = _opened(browser, _shown(html), 600, scheme)
    fair, _ = _opened(browser, _shown(html.replace(sheet, "")), 600, scheme)
    assert page.locator("aside").bounding_box() == fair.locator("aside").bounding_box()
    assert page.locator("aside").is_visible()
    shots = [
        Image.open(io.BytesIO(each.locator("aside").screenshot())).convert("RGB") for each in (page, fair)
    ]
    assert ImageChops.difference(*shots).getbbox() is None
    page.close()
    fair.close()


@pytest.mark.parametrize("language", ["en", "de", "fr", "es", "ja"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_in_every_language_and_by_programs_that_read_aloud(
    browser: Browser, requires: Callable[[str], str], language: str, scheme: str
) -> None:
    requires("chromium")
    page, _ = _opened(browser, _shown(NEWSLETTER, language), 320, scheme)
    notice = page.get_by_role("note")
    assert notice.count() == 1
    assert notice.get_attribute("lang") == language
    assert notice.get_by_role("link").count() == 2
    assert notice.get_by_role("table").count() == 0, "a table for the layout is none for the ear"
    for selector in ("aside strong", "aside span", "aside a"):
        for found in page.locator(selector).all():
            assert _contrast(found.evaluate("e => getComputedStyle(e).color"), _ground(page)) >= 4.5
    page.close()


def _ground(page: Page) -> str:
    return str(page.locator("aside td").evaluate("e => getComputedStyle(e).backgroundColor"))


def _contrast(one: str, other: str) -> float:
    """Return the contrast of two colours (WCAG 2.2, relative luminance)."""

    def luminance(colour: str) -> float:
        parts = [float(part) / 255 for part in colour.partition("(")[2].rstrip(")").split(",")[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)
