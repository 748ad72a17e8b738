"""Trackers: every way in which mail is known to be spied on, each behaving as the real ones do."""

from __future__ import annotations

import hashlib
import secrets

from mailveil.core.references.types import Media
from mailveil.lab.content import PIXEL_GIF, WAV_RATE, WAV_SILENCE, hero_jpeg, logo_png, plain_png, wav_header
from mailveil.lab.exchange import Exchange
from mailveil.lab.origin import Learns, Origin, OriginKind
from mailveil.lab.zones import APEX, zone

UNCACHED = (("Cache-Control", "no-store, no-cache, must-revalidate, max-age=0"), ("Expires", "0"))
WHO = frozenset({Learns.OPENING, Learns.RECIPIENT, Learns.ADDRESS, Learns.CLIENT})
CHUNK_S = 0.25
MOBILE = ("iphone", "android", "mobile")


async def pixel(exchange: Exchange) -> None:
    """Answer with the transparent pixel, never to be cached."""
    await exchange.reply(PIXEL_GIF, "image/gif", UNCACHED)


async def logo(exchange: Exchange) -> None:
    """Answer with a visible picture that counts its openings all the same."""
    await exchange.reply(logo_png(), "image/png", UNCACHED)


async def wide_pixel(exchange: Exchange) -> None:
    """Answer with the banner that was declared as one pixel."""
    await exchange.reply(plain_png(600, 1, (250, 250, 250)), "image/png", UNCACHED)


async def small_pixel(exchange: Exchange) -> None:
    """Answer with a pixel that is none: two by two."""
    await exchange.reply(plain_png(2, 2, (255, 255, 255)), "image/png", UNCACHED)


async def chain(exchange: Exchange) -> None:
    """Hand the reader on from owner to owner; each of them learns of the opening."""
    token = exchange.request.path.rpartition("/")[2].partition(".")[0]
    following = {
        "click.mailroute.example": f"{exchange.address_of('sync.audience.example')}/m/{token}",
        "sync.audience.example": f"{exchange.address_of('img.brandmetrics.example')}/final/{token}.gif?from=audience",
    }.get(exchange.request.host)
    if following is None:
        await pixel(exchange)
    else:
        await exchange.redirect(following, fields=UNCACHED)


async def cookie_sync(exchange: Exchange) -> None:
    """Set an identifier, and tell it to a partner who sets another: from now on both know the reader."""
    known = exchange.request.value("cookie")
    if exchange.request.host == "id.exchangehub.example":
        identifier = known.partition("uid=")[2].partition(";")[0] or secrets.token_hex(8)
        cookie = f"uid={identifier}; Max-Age=63072000; Path=/; SameSite=None; Secure"
        target = f"{exchange.address_of('match.partner.example')}/match?uid={identifier}&src=exchangehub"
        await exchange.redirect(target, fields=(("Set-Cookie", cookie), *UNCACHED))
        return
    cookie = f"pid={secrets.token_hex(8)}; Max-Age=63072000; Path=/; SameSite=None; Secure"
    await exchange.reply(PIXEL_GIF, "image/gif", (("Set-Cookie", cookie), *UNCACHED))


async def endless_wav(exchange: Exchange) -> None:
    """Stream silence, as fast as it is played, for ever: the connection stays open as long as the message."""
    await exchange.head(200, (("Content-Type", "audio/wav"), *UNCACHED))
    await exchange.send(wav_header() + WAV_SILENCE * (WAV_RATE // 2))
    while True:
        await exchange.send(WAV_SILENCE * int(WAV_RATE * CHUNK_S))
        await exchange.wait(CHUNK_S)


async def endless_gif(exchange: Exchange) -> None:
    """Send an animation whose next frame is always still to come."""
    head = (
        b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00!\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"
    )
    frame = b"!\xf9\x04\x00\x14\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00"
    await exchange.head(200, (("Content-Type", "image/gif"), *UNCACHED))
    await exchange.send(head)
    while True:
        await exchange.send(frame)
        await exchange.wait(1.0)


async def endless_jpeg(exchange: Exchange) -> None:
    """Send a picture that loads for ever: comment segments go on before the first line of it."""
    await exchange.head(200, (("Content-Type", "image/jpeg"), *UNCACHED))
    await exchange.send(b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00")
    while True:
        await exchange.send(b"\xff\xfe\x04\x02" + bytes(1024))
        await exchange.wait(1.0)


async def style_sheet(exchange: Exchange) -> None:
    """Answer with a sheet whose rules fetch more: a background on display, another one when printed."""
    token = exchange.request.path.rpartition("/")[2].partition(".")[0]
    if not exchange.request.path.endswith(".css"):
        await pixel(exchange)
        return
    sheet = (
        f'body{{background-image:url("/shown/{token}.gif")}}\n'
        f'@media print{{body::after{{content:url("/printed/{token}.gif")}}}}\n'
    )
    await exchange.reply(sheet.encode(), "text/css", UNCACHED)


async def font(exchange: Exchange) -> None:
    """Answer a font that only a reader's client asks for; what comes back does not matter to the tracker."""
    await exchange.reply(b"", "font/woff2", (("Access-Control-Allow-Origin", "*"), *UNCACHED))


async def by_client(exchange: Exchange) -> None:
    """Answer differently to telephones, to computers and to what looks like a program."""
    agent = exchange.request.value("user-agent").lower()
    if any(word in agent for word in MOBILE):
        await exchange.reply(logo_png(80, 24, 130), "image/png", (("Vary", "User-Agent"), *UNCACHED))
    elif "mozilla" in agent:
        await exchange.reply(logo_png(160, 48, 130), "image/png", (("Vary", "User-Agent"), *UNCACHED))
    else:
        await exchange.reply(b"", "image/png", UNCACHED, status=204)


async def by_place(exchange: Exchange) -> None:
    """Answer differently by the client's address, and tell a shop near the place it stands for."""
    hue = hashlib.sha256(exchange.client.rpartition(".")[0].encode()).digest()[0]
    await exchange.reply(hero_jpeg(600, 120, hue), "image/jpeg", UNCACHED)


async def entity_tag(exchange: Exchange) -> None:
    """Give every client an ETag of its own and know it again by the If-None-Match that comes back."""
    seen: dict[str, int] = exchange.memory.setdefault("seen", {})
    known = exchange.request.value("if-none-match")
    if known in seen:
        seen[known] += 1
        await exchange.head(304, (("ETag", known), ("Cache-Control", "private, max-age=0, must-revalidate")))
        return
    tag = f'"{secrets.token_hex(8)}"'
    seen[tag] = 1
    fields = (("ETag", tag), ("Cache-Control", "private, max-age=0, must-revalidate"))
    await exchange.reply(logo_png(), "image/png", fields)


async def last_modified(exchange: Exchange) -> None:
    """Give every client a date of its own and know it again by the If-Modified-Since that comes back."""
    seen: dict[str, int] = exchange.memory.setdefault("seen", {})
    known = exchange.request.value("if-modified-since")
    if known in seen:
        seen[known] += 1
        await exchange.head(304, (("Last-Modified", known),))
        return
    number = len(seen)
    date = f"Thu, 01 Jan 2015 {number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02} GMT"
    seen[date] = 1
    fields = (("Last-Modified", date), ("Cache-Control", "private, max-age=0, must-revalidate"))
    await exchange.reply(logo_png(hue=300), "image/png", fields)


def trackers(address: str) -> tuple[Origin, ...]:
    """Return every tracker. ``address`` is the one that zones of their own making point to."""
    kind = OriginKind.TRACKER
    return (
        Origin(
            name="plain-pixel",
            kind=kind,
            does="a transparent picture of one pixel with the recipient's own address",
            hosts=("open.adlytics.example",),
            path="/o/{token}.gif",
            answer=pixel,
            markup='<img src="{url}" width="1" height="1" alt="" border="0">',
            learns=WHO,
        ),
        Origin(
            name="secure-pixel",
            kind=kind,
            does="the same by https, with the recipient in the query",
            hosts=("px.engagetrack.example",),
            path="/open?c=8841&r={token}",
            answer=pixel,
            markup='<img src="{url}" width="1" height="1" alt="" style="display:none">',
            learns=WHO,
            scheme="https",
        ),
        Origin(
            name="small-pixel",
            kind=kind,
            does="a picture of two by two pixels, for filters that look for one by one",
            hosts=("s.dripmail.example",),
            path="/t/{token}/s.png",
            answer=small_pixel,
            markup='<img src="{url}" width="2" height="2" alt="">',
            learns=WHO,
        ),
        Origin(
            name="false-size",
            kind=kind,
            does="a picture declared as one pixel that is a line of 600, for filters that look at the picture itself",
            hosts=("w.sizeshift.example",),
            path="/w/{token}.png",
            answer=wide_pixel,
            markup='<img src="{url}" width="1" height="1" alt="">',
            learns=WHO,
        ),
        Origin(
            name="tracking-logo",
            kind=kind,
            does="the sender's visible logo under an address for each recipient",
            hosts=("brand.mailmetrics.example",),
            path="/logo/{token}/logo.png",
            answer=logo,
            markup='<img src="{url}" width="160" height="48" alt="Logo">',
            learns=WHO,
        ),
        Origin(
            name="redirect-chain",
            kind=kind,
            does="a chain of redirects through three owners who each learn of the opening",
            hosts=("click.mailroute.example", "sync.audience.example", "img.brandmetrics.example"),
            path="/r/{token}",
            answer=chain,
            markup='<img src="{url}" width="1" height="1" alt="">',
            learns=WHO | {Learns.LINKING},
            contacts=3,
        ),
        Origin(
            name="cookie-sync",
            kind=kind,
            does="a cookie, and a redirect that tells its value to a partner",
            hosts=("id.exchangehub.example", "match.partner.example"),
            path="/sync?m={token}",
            answer=cookie_sync,
            markup='<img src="{url}" width="1" height="1" alt="">',
            learns=WHO | {Learns.LINKING, Learns.REPETITION},
            scheme="https",
            contacts=2,
        ),
        Origin(
            name="endless-wav",
            kind=kind,
            does="a silent sound that never ends: for how long it is taken tells how long the message is open",
            hosts=("audio.readtime.example",),
            path="/a/{token}.wav",
            answer=endless_wav,
            media=Media.AUDIO,
            markup='<audio src="{url}" autoplay preload="auto"></audio><bgsound src="{url}">',
            learns=WHO | {Learns.DWELL},
        ),
        Origin(
            name="endless-image",
            kind=kind,
            does="an animation whose next frame is always still to come",
            hosts=("frames.readtime2.example",),
            path="/f/{token}.gif",
            answer=endless_gif,
            markup='<img src="{url}" width="1" height="1" alt="">',
            learns=WHO | {Learns.DWELL},
        ),
        Origin(
            name="endless-jpeg",
            kind=kind,
            does="a picture that loads for ever",
            hosts=("slowpic.readtime3.example",),
            path="/p/{token}.jpg",
            answer=endless_jpeg,
            learns=WHO | {Learns.DWELL},
        ),
        Origin(
            name="style-beacon",
            kind=kind,
            does="a style sheet whose rules fetch a background, and another picture when the message is printed",
            hosts=("css.styleping.example",),
            path="/s/{token}.css",
            answer=style_sheet,
            media=Media.STYLESHEET,
            markup='<link rel="stylesheet" href="{url}">',
            learns=WHO | {Learns.PRINTING},
            contacts=3,
        ),
        Origin(
            name="font-beacon",
            kind=kind,
            does="a web font that is asked for once text in it is laid out",
            hosts=("fonts.glyphcount.example",),
            path="/f/{token}.woff2",
            answer=font,
            media=Media.FONT,
            markup='<style>@font-face{font-family:Beacon;src:url("{url}")}.fb{font-family:Beacon,serif}</style>'
            '<p class="fb">Thank you.</p>',
            learns=WHO,
        ),
        Origin(
            name="print-beacon",
            kind=kind,
            does="a rule for paper alone: its picture is fetched when the message is printed",
            hosts=("paper.printwatch.example",),
            path="/print/{token}.gif",
            answer=pixel,
            markup='<style>@media print{.pb{background:url("{url}")}}</style><div class="pb">&nbsp;</div>',
            learns=frozenset({Learns.PRINTING, Learns.RECIPIENT, Learns.ADDRESS, Learns.CLIENT}),
        ),
        Origin(
            name="name-per-recipient",
            kind=kind,
            does="a host name for each recipient: its look-up tells the tracker's name server of the opening",
            hosts=("*.d.namewatch.example",),
            path="/i.gif",
            answer=pixel,
            markup='<link rel="dns-prefetch" href="{url}"><img src="{url}" width="1" height="1" alt="">',
            learns=WHO | {Learns.LOOKUP},
            zones=(zone("d.namewatch.example", address, owners=(APEX, "*"), ttl_s=0),),
        ),
        Origin(
            name="cloaked-vendor",
            kind=kind,
            does="a name of the sender's own that is an alias of a tracking company's",
            hosts=("metrics.harbourhill.example", "harbourhill.collect.cloakvendor.example"),
            path="/e/{token}.gif",
            answer=pixel,
            markup='<img src="{url}" width="1" height="1" alt="">',
            learns=WHO,
            zones=(
                zone(
                    "harbourhill.example",
                    address,
                    more={("metrics", "CNAME"): ("harbourhill.collect.cloakvendor.example.",)},
                ),
                zone("cloakvendor.example", address, owners=(APEX, "*.collect"), ttl_s=60),
            ),
        ),
        Origin(
            name="by-client",
            kind=kind,
            does="another picture for telephones than for computers, and none for programs",
            hosts=("adapt.devicesense.example",),
            path="/a/{token}.png",
            answer=by_client,
            learns=WHO,
        ),
        Origin(
            name="by-place",
            kind=kind,
            does="a picture made for the place that the client's address stands for",
            hosts=("live.geobanner.example",),
            path="/banner/{token}.jpg",
            answer=by_place,
            learns=WHO,
        ),
        Origin(
            name="etag",
            kind=kind,
            does="an entity tag for each client that its cache gives back at the next opening",
            hosts=("static.tagcache.example",),
            path="/img/{token}/header.png",
            answer=entity_tag,
            learns=WHO | {Learns.REPETITION},
        ),
        Origin(
            name="last-modified",
            kind=kind,
            does="a date for each client that its cache gives back at the next opening",
            hosts=("static.datecache.example",),
            path="/img/{token}/footer.png",
            answer=last_modified,
            learns=WHO | {Learns.REPETITION},
        ),
    )
