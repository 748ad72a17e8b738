"""Messages to measure with: newsletters made up on the spot, or a folder of real ones named by BENCH_MAIL."""

from __future__ import annotations

import base64
import os
import quopri
import random
from pathlib import Path

WORDS = (
    "autumn", "offer", "reader", "season", "garden", "window", "morning", "letter", "travel", "coffee", "street",
    "music", "paper", "member", "summer", "market", "gentle", "harbour", "weekly", "kitchen", "library", "mountain",
    "picture", "forest", "update", "silver",
)  # fmt: skip


def newsletter(number: int) -> bytes:
    """Return one made-up newsletter of about the size that real ones have (median 22 kB)."""
    chance = random.Random(number)  # the same newsletters on every run
    cells = []
    for row in range(chance.randint(4, 30)):
        text = " ".join(chance.choices(WORDS, k=chance.randint(10, 60)))
        image = (
            f'<img src="https://img{number % 7}.news.example/c/{chance.getrandbits(64):x}/{row}.png?w=600&amp;h=200" '
            f'width="600" height="200" alt="{text[:20]}" style="display:block;border:0;">'
            if row % 6 == 0
            else ""
        )
        cells.append(
            '<tr><td align="center" valign="top" style="padding:10px 20px;font-family:Arial,sans-serif;'
            'font-size:14px;line-height:20px;color:#333333;">'
            f'{image}<p style="margin:0 0 12px 0;">{text}</p>'
            f'<a href="https://click.news.example/l/{chance.getrandbits(96):x}" target="_blank" '
            'style="color:#0066cc;text-decoration:none;">Read more</a></td></tr>\r\n'
        )
    page = (
        '<!DOCTYPE html>\r\n<html><head><meta charset="utf-8"><title>News</title>\r\n<style type="text/css">\r\n'
        "body{margin:0;padding:0;background:#f4f4f4}\r\n@media only screen and (max-width:600px)"
        "{.w{width:100%!important}}\r\n</style>\r\n<!--[if mso]><xml><o:OfficeDocumentSettings/></xml><![endif]-->"
        '</head>\r\n<body><table width="100%" cellpadding="0" cellspacing="0" border="0" class="w">\r\n'
        + "".join(cells)
        + f'</table>\r\n<img src="https://open.news.example/o/{chance.getrandbits(128):x}.gif" width="1" height="1" '
        'alt="">\r\n</body></html>\r\n'
    ).encode()
    plain = " ".join(chance.choices(WORDS, k=300)).encode()
    coding = ("quoted-printable", "base64", "7bit")[number % 3]
    if coding == "quoted-printable":
        body = quopri.encodestring(page.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
    elif coding == "base64":
        body = base64.encodebytes(page).replace(b"\n", b"\r\n")
    else:
        body = page
    return (
        b"Received: from mx.news.example (mx.news.example [192.0.2.9]) by mail.example.org; Mon, 2 Nov 2026\r\n"
        b"From: News <news@news.example>\r\nTo: reader@example.org\r\nSubject: The weekly letter\r\n"
        b"Message-ID: <%d@news.example>\r\nList-Unsubscribe: <https://click.news.example/u/%d>\r\n"
        b'MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary="=_part"\r\n\r\n'
        b"--=_part\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%b\r\n"
        b"--=_part\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: %b\r\n\r\n%b\r\n"
        b"--=_part--\r\n" % (number, number, plain, coding.encode(), body)
    )


def messages(count: int = 500) -> list[bytes]:
    """Return real messages with HTML from the folder BENCH_MAIL, or made-up ones."""
    folder = os.environ.get("BENCH_MAIL")
    if folder:
        found = [path.read_bytes() for path in sorted(Path(folder).glob("*.eml"))]
        return [raw for raw in found if b"html" in raw.lower()][:count]
    return [newsletter(number) for number in range(count)]
