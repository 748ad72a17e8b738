"""Honest content: what mail refers to for no other reason than to be seen, the look-alikes of trackers included."""

from __future__ import annotations

from mailveil.core.references.types import Media
from mailveil.lab.attacks import answers, made
from mailveil.lab.content import PIXEL_GIF, animated_gif, hero_jpeg, logo_png, plain_png, short_wav, web_font
from mailveil.lab.exchange import Exchange
from mailveil.lab.origin import Origin, OriginKind

CACHED = ("Cache-Control", "public, max-age=31536000, immutable")


async def sheet(exchange: Exchange) -> None:
    """Answer with a sheet that lays a message out, and with the pictures and sheets that it is made of."""
    path = exchange.request.path
    if path.endswith("/base.css"):
        await exchange.reply(b"h1{color:#1d3557}p{line-height:1.5}", "text/css", (CACHED,))
    elif path.endswith(".png"):
        await exchange.reply(plain_png(40, 40, (241, 250, 238)), "image/png", (CACHED,))
    else:
        text = (
            b'@import url("base.css");body{background:#fff url("../img/paper.png")}'
            b".box{border-image:url(../img/edge.png) 3}"
        )
        await exchange.reply(text, "text/css", (CACHED,))


def honest() -> tuple[Origin, ...]:
    """Return the honest origins; nothing in their addresses tells recipients apart."""
    kind = OriginKind.HONEST
    return (
        Origin(
            name="logo",
            kind=kind,
            does="a logo, the same for everybody",
            hosts=("www.harbourhill-shop.example",),
            path="/assets/logo.png",
            answer=answers(logo_png(160, 48, 150), "image/png", CACHED),
            markup='<img src="{url}" width="160" height="48" alt="Harbour &amp; Hill">',
            scheme="https",
        ),
        Origin(
            name="hero",
            kind=kind,
            does="the big picture of a newsletter",
            hosts=("cdn.harbourhill-pictures.example",),
            path="/2026/08/hero@2x.jpg",
            answer=made(hero_jpeg, "image/jpeg", CACHED),
            markup='<img src="{url}" width="600" height="240" alt="Hills">',
        ),
        Origin(
            name="spacer",
            kind=kind,
            does="a static transparent pixel that holds a layout apart",
            hosts=("static.mailkit.example",),
            path="/img/spacer.gif",
            answer=answers(PIXEL_GIF, "image/gif", CACHED),
            markup='<img src="{url}" width="1" height="24" alt="">',
        ),
        Origin(
            name="signed-address",
            kind=kind,
            does="a picture in a store that wants a signature: long and random, but the same for everybody",
            hosts=("bucket.objectstore.example",),
            path="/news/august.png?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20260801T080000Z&X-Amz-Expires=604800"
            "&X-Amz-Signature=9f8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e0f9a8b",
            answer=answers(logo_png(300, 120, 20), "image/png", CACHED),
            markup='<img src="{url}" width="300" height="120" alt="Offer">',
            scheme="https",
        ),
        Origin(
            name="animation",
            kind=kind,
            does="an animated picture",
            hosts=("media.countdown-free.example",),
            path="/ball.gif",
            answer=made(animated_gif, "image/gif", CACHED),
            markup='<img src="{url}" width="120" height="60" alt="">',
        ),
        Origin(
            name="web-font",
            kind=kind,
            does="a font",
            hosts=("fonts.typefoundry.example",),
            path="/s/squares/v4/squares.woff",
            answer=made(web_font, "font/woff", CACHED, ("Access-Control-Allow-Origin", "*")),
            media=Media.FONT,
            markup='<style>@font-face{font-family:Squares;src:url("{url}") format("woff")}</style>',
        ),
        Origin(
            name="style-sheet",
            kind=kind,
            does="a style sheet with another one and pictures in it",
            hosts=("assets.layouts.example",),
            path="/css/mail.css",
            answer=sheet,
            media=Media.STYLESHEET,
            markup='<link rel="stylesheet" href="{url}">',
            contacts=4,
        ),
        Origin(
            name="product-picture",
            kind=kind,
            does="a picture behind one redirect of a picture service",
            hosts=("img.catalogue.example", "edge.catalogue-cdn.example"),
            path="/p/48213/large.jpg",
            answer=_by_redirect,
            markup='<img src="{url}" width="180" height="120" alt="Lamp">',
            contacts=2,
        ),
        Origin(
            name="jingle",
            kind=kind,
            does="a short sound",
            hosts=("sounds.greetings.example",),
            path="/bell.wav",
            answer=answers(short_wav(), "audio/wav", CACHED),
            media=Media.AUDIO,
            markup='<audio src="{url}" controls></audio>',
        ),
    )


async def _by_redirect(exchange: Exchange) -> None:
    if exchange.request.host == "img.catalogue.example":
        await exchange.redirect(
            f"{exchange.address_of('edge.catalogue-cdn.example')}/48213.jpg", 301, (CACHED,)
        )
    else:
        await exchange.reply(hero_jpeg(180, 120, 200), "image/jpeg", (CACHED,))
