"""Generated trackers: families of them, each origin with names, paths, fields and answers of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mailveil.core.references.types import Media
from mailveil.lab.content import WAV_RATE, WAV_SILENCE, logo_png, wav_header
from mailveil.lab.exchange import Answer, Exchange
from mailveil.lab.origin import TOKEN, Learns, Origin, OriginKind
from mailveil.lab.trackers import WHO
from mailveil.lab.variety import SERVICES, VENDORS, Draw, Fields, Picture, replies, token_in
from mailveil.lab.zones import APEX, zone

TRACKER = OriginKind.TRACKER
PLACES = ("city=Lyon&country=FR", "geo=DE-BY", "region=ES-CT&city=Girona", "lat=52.1&lon=4.9", "country=NL")


def _cookie(draw: Draw) -> Fields:
    name = draw.pick(("uid", "vid", "_trk", "visitor", "_mkto_trk", "cid", "guid"))
    age = draw.pick(("31536000", "63072000", "7776000"))
    return (("Set-Cookie", f"{name}={draw.hexadecimal(24)}; Max-Age={age}; Path=/; SameSite=None; Secure"),)


def pixel(draw: Draw) -> Origin:
    """A pixel of one recipient, never to be kept."""
    picture = draw.small()
    fields = draw.unkept() if draw.often(0.85) else draw.server()
    if draw.often(0.3):
        fields += _cookie(draw)
    return draw.origin(
        TRACKER,
        (f"{draw.pick(('open', 'px', 't', 'trk', 'email', 'links', 'go'))}.{draw.owner(SERVICES)}",),
        draw.personal_path(picture.ending),
        replies(picture, fields),
        markup=draw.image_tag(seen=False),
        learns=WHO,
    )


def visible(draw: Draw) -> Origin:
    """A logo that everybody sees, under an address for each recipient; the same for all of them."""
    picture = draw.picture()
    fields = draw.unkept() if draw.often(0.7) else draw.stored()
    return draw.origin(
        TRACKER,
        (f"{draw.pick(('img', 'brand', 'cdn', 'www', 'mail'))}.{draw.owner(SERVICES)}",),
        draw.personal_path(picture.ending),
        replies(picture, fields + (_cookie(draw) if draw.often(0.2) else ())),
        markup=draw.image_tag(seen=True, width=160, height=48),
        learns=WHO,
    )


def disguised(draw: Draw) -> Origin:
    """A picture of one recipient that is named and kept like a file, and is asked about at every opening."""
    picture = draw.small() if draw.often(0.5) else draw.picture()
    fields = (
        ("ETag", f'"{draw.hexadecimal(16)}"'),
        (
            "Cache-Control",
            draw.pick(("private, max-age=0, must-revalidate", "private, no-cache", "no-cache")),
        ),
        *draw.server(),
    )
    return draw.origin(
        TRACKER,
        (f"{draw.pick(('static', 'assets', 'img'))}.{draw.owner(SERVICES)}",),
        f"/{draw.pick(('img', 'static'))}/{TOKEN}/{draw.pick(('header', 'footer', 'line'))}.png",
        replies(picture, fields),
        markup=draw.image_tag(seen=draw.often(0.5), width=120, height=40),
        learns=WHO | {Learns.REPETITION},
    )


def led_on(draw: Draw) -> Origin:
    """A redirect from owner to owner, each of whom learns of the opening."""
    first = f"{draw.pick(('click', 'r', 'sync'))}.{draw.owner(SERVICES)}"
    others = [f"{draw.pick(('m', 'match', 'px'))}{step}.{draw.owner(SERVICES)}".replace(draw.word, f"{draw.word}{step}")
              for step in range(draw.random.randrange(1, 3))]  # fmt: skip
    hosts = (first, *others)
    picture, fields = draw.small(), draw.unkept()
    cookie = _cookie(draw) if draw.often(0.5) else ()
    tells = draw.pick(("uid", "id", "m"))

    async def answer(exchange: Exchange) -> None:
        at = hosts.index(exchange.request.host)
        if at + 1 < len(hosts):
            target = f"{exchange.address_of(hosts[at + 1])}/{draw.number}/s?{tells}={draw.hexadecimal(16)}"
            await exchange.redirect(target, 302, (*cookie, *fields))
        else:
            await exchange.reply(picture.body, picture.media_type, (*cookie, *fields))

    return draw.origin(
        TRACKER,
        hosts,
        draw.personal_path("gif"),
        answer,
        markup=draw.image_tag(seen=False),
        learns=WHO | {Learns.LINKING},
        contacts=len(hosts),
    )


def silent(draw: Draw) -> Origin:
    """An answer without content: that something was asked for is all that counts."""
    status = int(draw.pick(("200", "204", "200")))
    picture = Picture(b"", draw.pick(("image/gif", "image/png", "text/plain")), "gif")
    return draw.origin(
        TRACKER,
        (f"{draw.pick(('e', 'b', 'beacon', 'api'))}.{draw.owner(SERVICES)}",),
        draw.personal_path("gif"),
        replies(picture, draw.unkept(), status),
        markup=draw.image_tag(seen=False),
        learns=WHO,
    )


def _drops(head: bytes, drop: bytes, wait_s: float, media_type: str, fields: Fields) -> Answer:
    async def answer(exchange: Exchange) -> None:
        await exchange.head(200, (("Content-Type", media_type), *fields))
        await exchange.send(head)
        while True:
            await exchange.wait(wait_s)
            await exchange.send(drop)

    return answer


def trickle(draw: Draw) -> Origin:
    """A picture that loads for ever, a few bytes at a time."""
    fields = draw.unkept() if draw.often(0.7) else draw.server()
    if draw.often(0.5):
        head = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\0\0\x01\0\x01\0\0"
        drop, ending, media_type = b"\xff\xfe\0\x12" + bytes(16), "jpg", "image/jpeg"
    else:
        head = b"GIF89a\x01\0\x01\0\x80\0\0\xff\xff\xff\0\0\0!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"
        drop = b"!\xf9\x04\0\x14\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0"
        ending, media_type = "gif", "image/gif"
    return draw.origin(
        TRACKER,
        (f"{draw.pick(('live', 'time', 'frames', 'img'))}.{draw.owner(SERVICES)}",),
        draw.personal_path(ending),
        _drops(head, drop, draw.random.choice((0.3, 0.6, 1.0)), media_type, fields),
        markup=draw.image_tag(seen=draw.often(0.4), width=80, height=40),
        learns=WHO | {Learns.DWELL},
    )


def sound(draw: Draw) -> Origin:
    """A silence that plays as long as the message is open: without end, or longer than anybody reads."""
    fields = draw.unkept() if draw.often(0.7) else draw.server()
    if draw.often(0.5):
        answer = _drops(
            wav_header() + WAV_SILENCE * WAV_RATE, WAV_SILENCE * (WAV_RATE // 4), 0.25, "audio/wav", fields
        )
    else:
        length = WAV_RATE * draw.random.randrange(20, 90)
        answer = replies(Picture(wav_header(length) + WAV_SILENCE * length, "audio/wav", "wav"), fields)
    return draw.origin(
        TRACKER,
        (f"{draw.pick(('audio', 'a', 's', 'media'))}.{draw.owner(SERVICES)}",),
        draw.personal_path("wav"),
        answer,
        media=Media.AUDIO,
        markup=draw.pick(('<bgsound src="{url}">', '<audio src="{url}" autoplay></audio>')),
        learns=WHO | {Learns.DWELL},
    )


def named(draw: Draw) -> Origin:
    """A host name for each recipient, whose look-up the tracker's own name server sees."""
    label, owner = draw.pick(("d", "l", "u", "n")), draw.owner(SERVICES)
    address = f"11.77.{240 + draw.number % 8}.{100 + draw.number % 100}"
    picture = draw.small()
    return draw.origin(
        TRACKER,
        (f"*.{label}.{owner}",),
        draw.pick(("/i.gif", "/", "/p.png", "/open")),
        replies(picture, draw.unkept() if draw.often(0.7) else draw.stored()),
        markup=draw.image_tag(seen=False),
        learns=WHO | {Learns.LOOKUP},
        scheme="http",
        zones=(
            zone(owner, address, owners=(APEX, f"*.{label}"), ttl_s=draw.random.choice((0, 1, 30, 60, 300))),
        ),
    )


def cloaked(draw: Draw) -> Origin:
    """A name of the sender's own that is an alias of a tracking company's."""
    sender = draw.owner()
    vendor = draw.pick(VENDORS)
    alias = f"u{draw.random.randrange(10**6, 10**7)}.wl{draw.number}.{vendor}"
    label = draw.pick(("metrics", "links", "email", "click", "news"))
    address = f"11.77.{230 + draw.number % 8}.{100 + draw.number % 100}"
    picture = draw.small()
    return draw.origin(
        TRACKER,
        (f"{label}.{sender}", alias),
        draw.personal_path(picture.ending),
        replies(picture, draw.unkept() if draw.often(0.8) else draw.server()),
        markup=draw.image_tag(seen=False),
        learns=WHO,
        scheme="http",
        zones=(
            zone(sender, address, more={(label, "CNAME"): (f"{alias}.",)}, served_by="name-firm1.example"),
            zone(alias, address, ttl_s=draw.random.choice((30, 60, 300))),
        ),
    )


def by_device(draw: Draw) -> Origin:
    """Other answers for telephones than for computers, and hints asked for."""
    fields: Fields = (
        ("Vary", draw.pick(("User-Agent", "User-Agent, Accept", "User-Agent,Accept-Encoding"))),
    )
    if draw.often(0.5):
        fields += (("Accept-CH", "Sec-CH-UA-Model, Sec-CH-UA-Platform-Version, Viewport-Width"),)
    fields += draw.unkept()

    async def answer(exchange: Exchange) -> None:
        agent = exchange.request.value("user-agent").lower()
        width = 80 if "mobile" in agent else 160
        await exchange.reply(logo_png(width, 48, 130), "image/png", fields)

    return draw.origin(
        TRACKER,
        (f"{draw.pick(('adapt', 'live', 'dyn'))}.{draw.owner(SERVICES)}",),
        draw.personal_path("png"),
        answer,
        markup=draw.image_tag(seen=draw.often(0.6), width=160, height=48),
        learns=WHO | {Learns.DEVICE},
    )


def by_place(draw: Draw) -> Origin:
    """A picture made for where the client's address lies; the place stands in what the answer says."""
    picture = draw.picture()
    place, told = draw.pick(PLACES), draw.often(0.6)
    fields = draw.unkept()
    varies = (("Vary", draw.pick(("CF-IPCountry", "X-Geo-Country", "X-Country-Code"))),)

    async def answer(exchange: Exchange) -> None:
        if told and "/at" not in exchange.request.target:
            await exchange.redirect(f"/at/{draw.number}.{picture.ending}?{place}", 302, fields)
        else:
            await exchange.reply(picture.body, picture.media_type, (*varies, *fields))

    return draw.origin(
        TRACKER,
        (f"{draw.pick(('live', 'local', 'near'))}.{draw.owner(SERVICES)}",),
        draw.personal_path(picture.ending),
        answer,
        markup=draw.image_tag(seen=True, width=600, height=120),
        learns=WHO | {Learns.PLACE},
        contacts=2 if told else 1,
    )


def sheet(draw: Draw) -> Origin:
    """A style sheet of one recipient, with one rule that does nothing, or one that asks for more of the same."""
    text = draw.pick(("", ".x{}", 'body{background:url("/b/{}.gif")}', "/* {} */"))
    fields = draw.unkept()

    async def answer(exchange: Exchange) -> None:
        body = text.replace("{}", token_in(exchange)).encode()
        await exchange.reply(body, "text/css", fields)

    return draw.origin(
        TRACKER,
        (f"{draw.pick(('css', 'style', 's'))}.{draw.owner(SERVICES)}",),
        f"/{draw.pick(('s', 'css'))}/{TOKEN}.css",
        answer,
        media=Media.STYLESHEET,
        markup='<link rel="stylesheet" href="{url}">',
        learns=WHO,
    )


FAMILIES: Mapping[str, Callable[[Draw], Origin]] = {
    "pixels": pixel,
    "visible-trackers": visible,
    "disguised-trackers": disguised,
    "redirecting-trackers": led_on,
    "empty-answers": silent,
    "trickles": trickle,
    "silences": sound,
    "names-of-one": named,
    "cloaked-trackers": cloaked,
    "device-trackers": by_device,
    "place-trackers": by_place,
    "sheets-of-one": sheet,
}
