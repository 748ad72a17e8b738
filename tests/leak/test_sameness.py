"""Sameness: with honest origins, a reader sees the same mail before and after.

Setup: origins answer each URL with a picture of its own colour; the copies server answers with the safe copies made
of the very same bytes. Test: screenshots of the original and of the rewritten message differ in under 0.5 % of the
pixels for at least 99 % of the corpus.
"""

from __future__ import annotations

import base64
import hashlib
import io
from pathlib import Path
from urllib.parse import urlsplit

from PIL import Image, ImageChops

from corpus_cases import Case, cases
from leak.reader import Document, documents
from leak.sealed_room import SealedRoom
from mailveil.core.protection import CopyMode, Plan, finish, inspect
from mailveil.core.references.types import Media
from mailveil.core.safecopy import SafeCopy, sanitise

# A message that goes elsewhere by itself cannot be compared: its original is not there any more when one looks.
# Neither can encoded markup that the browser shows as letters (UTF-7, mislabelled base64): no reader reads it.
CASES = [
    case
    for case in cases()
    if documents(case.raw)
    and "meta-refresh" not in case.name
    and not case.settings_table.get("unreadable_in_browser")
]
MAX_SHARE = 0.005
SAME_CASES = 0.99


def _picture(url: str) -> bytes:
    digest = hashlib.sha256(url.encode()).digest()
    written = io.BytesIO()
    Image.new("RGB", (40, 24), (digest[0], digest[1], digest[2])).save(written, "PNG")
    return written.getvalue()


def _honest(url: str, media: Media | None) -> tuple[str, bytes]:
    if media is Media.STYLESHEET:
        return "text/css", b"p{color:#060}"
    if media in (Media.IMAGE, None):
        return "image/png", _picture(url)
    return "application/octet-stream", b""


def _place(url: str) -> str:
    parts = urlsplit(url)
    return (parts.hostname or "") + (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _served(plan: Plan) -> tuple[dict[str, tuple[str, str]], dict[str, tuple[str, str]]]:
    origins: dict[str, tuple[str, str]] = {}
    copies: dict[str, tuple[str, str]] = {}
    for decision in plan.decisions:
        url = decision.reference.url
        media_type, body = _honest(url, decision.reference.media)
        origins[_place(url)] = (media_type, base64.b64encode(body).decode())
        if decision.wanted is None:
            continue
        made = sanitise(body, decision.wanted.media)
        if isinstance(made, SafeCopy):
            copies["/c/" + decision.wanted.token] = (made.media_type, base64.b64encode(made.body).decode())
    return origins, copies


def _difference(before: Path, after: Path) -> float:
    with Image.open(before) as first, Image.open(after) as second:
        one, two = first.convert("RGB"), second.convert("RGB")
    width, height = max(one.width, two.width), max(one.height, two.height)
    canvases = []
    for image in (one, two):
        canvas = Image.new("RGB", (width, height), "white")
        canvas.paste(image, (0, 0))
        canvases.append(canvas)
    differing = ImageChops.difference(*canvases).convert("L").point(lambda value: 255 if value > 8 else 0)
    return differing.histogram()[255] / (width * height)


def _shown(room: SealedRoom, document: Document, name: str, path: Path, **more: object) -> None:
    room.show(document.job(name, screenshot=str(path), gestures=[], wait_ms=60, **more))


def _share(room: SealedRoom, case: Case, folder: Path) -> float:
    plan = inspect(case.raw, case.settings(CopyMode.HOSTED), case.envelope)
    outcome = finish(plan)
    origins, copies = _served(plan)
    worst = 0.0
    originals, cleaned = documents(case.raw), documents(outcome.raw)
    if "message-partial" in case.name:
        return 0.0  # shown as a fragment of text on purpose
    assert len(originals) <= len(cleaned) or outcome.inert_parts or plan.ambiguous, case.name
    for number, (before, after) in enumerate(zip(originals, cleaned, strict=False)):
        first, second = folder / f"{case.name}-{number}-a.png", folder / f"{case.name}-{number}-b.png"
        _shown(room, before, case.name, first, origins=origins)
        _shown(room, after, case.name, second, copies=copies)
        if first.exists() and second.exists():
            worst = max(worst, _difference(first, second))
    return worst


def test_readers_see_the_same_mail(room: SealedRoom, tmp_path: Path) -> None:
    shares = {case.name: _share(room, case, tmp_path) for case in CASES}
    different = {name: round(share, 4) for name, share in shares.items() if share >= MAX_SHARE}
    assert len(different) <= (1 - SAME_CASES) * len(shares), different
