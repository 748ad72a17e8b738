"""Generated honest content: families of it, the look-alikes of trackers more than anything else."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from mailveil.core.references.types import Media
from mailveil.lab.content import PIXEL_GIF, WAV_RATE, logo_png, plain_png, wav_header, web_font
from mailveil.lab.exchange import Exchange
from mailveil.lab.origin import TOKEN, Origin, OriginKind
from mailveil.lab.variety import VENDORS, Draw, Fields, Picture, hue_of, replies, token_in
from mailveil.lab.zones import APEX, zone

HONEST = OriginKind.HONEST
BALANCERS = ("AWSALB", "BIGipServerweb", "JSESSIONID", "__cf_bm", "SERVERID", "PHPSESSID", "ARRAffinity")


def file(draw: Draw) -> Origin:
    """A file on a web server."""
    picture = draw.picture()
    return draw.origin(
        HONEST,
        (f"{draw.pick(('www', 'static', 'img', 'media'))}.{draw.owner()}",),
        draw.common_path(picture.ending),
        replies(picture, draw.stored()),
        markup=draw.image_tag(seen=True, width=160, height=60),
    )


def edge(draw: Draw) -> Origin:
    """A file behind a content delivery network: an alias, a short time to live, fields of the network's own."""
    owner, picture = draw.owner(), draw.picture()
    alias = f"d{draw.hexadecimal(12)}.edge{draw.number}-cdn.example"
    address = f"11.77.{220 + draw.number % 8}.{100 + draw.number % 100}"
    more: Fields = (
        ("Age", str(draw.random.randrange(9999))),
        ("Via", "1.1 varnish"),
        ("X-Cache", draw.pick(("HIT", "MISS", "Hit from cloudfront"))),
        ("Vary", draw.pick(("Accept-Encoding", "Accept", "Origin"))),
    )
    return draw.origin(
        HONEST,
        (f"cdn.{owner}", alias),
        draw.common_path(picture.ending),
        replies(picture, (*draw.stored(), *more)),
        markup=draw.image_tag(seen=True, width=300, height=120),
        scheme="http",
        zones=(
            zone(owner, address, more={("cdn", "CNAME"): (f"{alias}.",)}, served_by="name-firm2.example"),
            zone(alias, address, ttl_s=draw.random.choice((20, 30, 60, 300))),
        ),
    )


def service_file(draw: Draw) -> Origin:
    """A newsletter's picture that the mail service keeps, under a name of the sender's own."""
    owner, picture = draw.owner(), draw.picture()
    alias = f"i{draw.random.randrange(10**5, 10**6)}.img{draw.number}.{draw.pick(VENDORS)}"
    address = f"11.77.{202 + draw.number % 8}.{100 + draw.number % 100}"
    return draw.origin(
        HONEST,
        (f"images.{owner}", alias),
        draw.common_path(picture.ending),
        replies(picture, draw.stored()),
        markup=draw.image_tag(seen=True, width=300, height=120),
        scheme="http",
        zones=(
            zone(owner, address, more={("images", "CNAME"): (f"{alias}.",)}, served_by="name-firm3.example"),
            zone(alias, address, ttl_s=draw.random.choice((60, 300))),
        ),
    )


def signed(draw: Draw) -> Origin:
    """A picture in a store that wants a signature: long and random, but the same for everybody."""
    picture = draw.picture()
    path = draw.pick(
        (
            f"/{draw.hexadecimal(8)}/a.{picture.ending}?X-Amz-Expires=604800&X-Amz-Signature={draw.hexadecimal(64)}",
            f"/p/b.{picture.ending}?Expires=1790000000&Signature={draw.hexadecimal(40)}&Key-Pair-Id=K{draw.hexadecimal(12)}",
            f"/c/d.{picture.ending}?se=2026-12-31&sp=r&sig={draw.hexadecimal(43)}",
        )
    )
    return draw.origin(
        HONEST,
        (f"{draw.word}.store{draw.number}.example",),
        path,
        replies(picture, (*draw.stored()[:2], ("x-amz-request-id", draw.hexadecimal(16).upper()))),
        markup=draw.image_tag(seen=True, width=300, height=120),
    )


def resized(draw: Draw) -> Origin:
    """A picture service that makes any size asked for."""
    width = draw.random.randrange(100, 600, 50)
    picture = Picture(logo_png(width, 80, 40), "image/png", "png")
    source = draw.hexadecimal(20)
    path = draw.pick(
        (
            f"/image/upload/w_{width},q_80/v1700000000/{source}.jpg",
            f"/{source}.png?w={width}&h=80&fit=crop&auto=format",
            f"/resize/{width}x80/{source}",
            f"/proxy/{draw.hexadecimal(43)}=w{width}",
        )
    )
    return draw.origin(
        HONEST,
        (f"{draw.pick(('images', 'res', 'i', 'ik'))}.{draw.owner()}",),
        path,
        replies(picture, (*draw.stored(), ("Vary", "Accept"))),
        markup=draw.image_tag(seen=True, width=width, height=80),
    )


def coupon(draw: Draw) -> Origin:
    """A coupon or ticket made for one recipient, who is to see it: another picture for each of them."""
    fields = draw.unkept() if draw.often(0.5) else draw.stored()

    async def answer(exchange: Exchange) -> None:
        await exchange.reply(logo_png(240, 80, hue_of(token_in(exchange))), "image/png", fields)

    return draw.origin(
        HONEST,
        (f"{draw.pick(('coupons', 'tickets', 'barcode', 'qr'))}.{draw.owner()}",),
        draw.pick((f"/c/{TOKEN}.png", f"/qr?data={TOKEN}", f"/barcode/{TOKEN}", f"/v/{TOKEN}/code.png")),
        answer,
        markup=draw.image_tag(seen=True, width=240, height=80),
    )


def spacer(draw: Draw) -> Origin:
    """A transparent pixel that holds a layout apart."""
    fields = draw.stored() if draw.often(0.8) else draw.server()
    ending, body = ("gif", PIXEL_GIF) if draw.often(0.7) else ("png", plain_png(1, 1, (255, 255, 255)))
    return draw.origin(
        HONEST,
        (f"{draw.pick(('static', 'www', 'img'))}.{draw.owner()}",),
        draw.common_path(
            ending, name=draw.pick(("spacer", "blank", "clear", "shim", "dot", "trans", "line"))
        ),
        replies(Picture(body, f"image/{ending}", ending), fields),
        markup=draw.pick(
            (
                '<img src="{url}" width="1" height="24" alt="">',
                '<img src="{url}" width="1" height="1" alt="">',
            )
        ),
    )


def buster(draw: Draw) -> Origin:
    """A picture with a version that keeps old ones out of caches, the same for everybody."""
    picture = draw.picture()
    version = draw.pick(
        (
            f"v={draw.random.randrange(10**9, 2 * 10**9)}",
            f"cb={draw.hexadecimal(16)}",
            f"{draw.hexadecimal(32)}",
        )
    )
    return draw.origin(
        HONEST,
        (f"www.{draw.owner()}",),
        f"{draw.common_path(picture.ending)}?{version}",
        replies(picture, draw.stored()),
        markup=draw.image_tag(seen=True),
    )


def moved(draw: Draw) -> Origin:
    """A picture service that leads on to its delivery network, under another domain."""
    picture, owner = draw.picture(), draw.owner()
    hosts = (f"img.{owner}", f"edge.{draw.word}{draw.number}-cdn.example")
    fields = draw.stored()

    async def answer(exchange: Exchange) -> None:
        if exchange.request.host == hosts[0]:
            target = f"{exchange.address_of(hosts[1])}/{draw.hexadecimal(20)}.{picture.ending}"
            await exchange.redirect(target, int(draw.pick(("301", "302", "307"))), fields[-1:])
        else:
            await exchange.reply(picture.body, picture.media_type, fields)

    return draw.origin(
        HONEST,
        hosts,
        draw.common_path(picture.ending),
        answer,
        markup=draw.image_tag(seen=True, width=180, height=120),
        contacts=2,
    )


def balanced(draw: Draw) -> Origin:
    """A file behind a load balancer that sets a cookie with every answer."""
    picture = draw.picture()
    cookie = ("Set-Cookie", f"{draw.pick(BALANCERS)}={draw.hexadecimal(32)}; Path=/; HttpOnly")
    return draw.origin(
        HONEST,
        (f"www.{draw.owner()}",),
        draw.common_path(picture.ending),
        replies(picture, (*draw.stored(), cookie)),
        markup=draw.image_tag(seen=True, width=140, height=50),
    )


def rechecked(draw: Draw) -> Origin:
    """A file that caches have to ask about each time, with its date and tag."""
    picture = draw.picture()
    fields: Fields = (
        ("Last-Modified", draw.date()),
        ("ETag", f'"{draw.hexadecimal(12)}"'),
        ("Cache-Control", draw.pick(("no-cache", "max-age=0, must-revalidate", "public, max-age=0"))),
        *draw.server(),
    )
    return draw.origin(
        HONEST,
        (f"{draw.pick(('static', 'assets'))}.{draw.owner()}",),
        draw.common_path(picture.ending),
        replies(picture, fields),
        markup=draw.image_tag(seen=True),
    )


def slow(draw: Draw) -> Origin:
    """A small server that takes its time, and then sends everything bit by bit."""
    picture, fields = draw.picture(), draw.stored()
    wait_s, pieces = draw.random.choice((0.5, 1.0, 2.0)), draw.random.randrange(3, 8)

    async def answer(exchange: Exchange) -> None:
        await exchange.wait(wait_s)
        own = (("Content-Type", picture.media_type), ("Content-Length", str(len(picture.body))))
        await exchange.head(200, (*own, *fields))
        size = len(picture.body) // pieces + 1
        for at in range(0, len(picture.body), size):
            await exchange.send(picture.body[at : at + size])
            await exchange.wait(0.2)

    return draw.origin(
        HONEST,
        (f"www.{draw.owner()}",),
        draw.common_path(picture.ending),
        answer,
        markup=draw.image_tag(seen=True, width=160, height=60),
    )


def made_anew(draw: Draw) -> Origin:
    """A picture that a program makes for everybody alike and that soon is out of date: weather, countdown, counter."""
    picture = draw.picture()
    path = draw.pick(
        ("/countdown?to=20261224T1800", "/weather.php?id=2950159", "/badge/build/main", "/chart.png?c=7")
    )
    return draw.origin(
        HONEST,
        (f"{draw.pick(('timer', 'weather', 'status', 'charts'))}.{draw.owner()}",),
        path,
        replies(picture, draw.unkept()),
        markup=draw.image_tag(seen=True, width=300, height=90),
    )


def own_names(draw: Draw) -> Origin:
    """A small firm's file, whose names its own server answers for, any of them, and not for long."""
    owner, picture = draw.owner(), draw.picture()
    address = f"11.77.{210 + draw.number % 8}.{100 + draw.number % 100}"
    return draw.origin(
        HONEST,
        (f"{draw.pick(('www', 'shop', 'static'))}.{owner}",),
        draw.common_path(picture.ending),
        replies(picture, draw.stored()),
        markup=draw.image_tag(seen=True, width=160, height=60),
        scheme="http",
        zones=(zone(owner, address, owners=(APEX, "*"), ttl_s=draw.random.choice((30, 60, 600, 3600))),),
    )


def gone(draw: Draw) -> Origin:
    """A picture that is not there any more."""
    status = int(draw.pick(("404", "410", "403", "404")))
    return draw.origin(
        HONEST,
        (f"www.{draw.owner()}",),
        draw.common_path("png"),
        replies(Picture(b"<h1>Not found</h1>", "text/html", "png"), draw.server(), status),
        markup=draw.image_tag(seen=True, width=160, height=60),
    )


def jingle(draw: Draw) -> Origin:
    """A short sound that can be heard."""
    pitch = draw.random.randrange(220, 880, 20)
    count = WAV_RATE * draw.random.randrange(1, 5) // 2
    samples = bytes(128 + int(90 * math.sin(2 * math.pi * pitch * at / WAV_RATE)) for at in range(count))
    return draw.origin(
        HONEST,
        (f"{draw.pick(('sounds', 'media', 'www'))}.{draw.owner()}",),
        draw.common_path("wav", name=draw.pick(("bell", "greeting", "podcast", "song"))),
        replies(Picture(wav_header(len(samples)) + samples, "audio/wav", "wav"), draw.stored()),
        media=Media.AUDIO,
        markup=draw.pick(('<audio src="{url}" controls></audio>', '<bgsound src="{url}">')),
    )


def dress(draw: Draw) -> Origin:
    """A font or a style sheet for everybody."""
    if draw.often(0.5):
        content, media = Picture(web_font(), "font/woff", "woff"), Media.FONT
        markup = '<style>@font-face{font-family:Own;src:url("{url}")}</style>'
    else:
        text = f"h1{{color:#{draw.hexadecimal(6)}}}p{{line-height:1.5}}a{{color:#123}}"
        content, media = Picture(text.encode(), "text/css", "css"), Media.STYLESHEET
        markup = '<link rel="stylesheet" href="{url}">'
    return draw.origin(
        HONEST,
        (f"{draw.pick(('fonts', 'assets', 'cdn'))}.{draw.owner()}",),
        draw.common_path(content.ending),
        replies(content, (*draw.stored(), ("Access-Control-Allow-Origin", "*"))),
        media=media,
        markup=markup,
    )


FAMILIES: Mapping[str, Callable[[Draw], Origin]] = {
    "files": file,
    "edges": edge,
    "service-pictures": service_file,
    "signed-addresses": signed,
    "resized-pictures": resized,
    "coupons": coupon,
    "spacers": spacer,
    "cache-busters": buster,
    "moved-pictures": moved,
    "balancer-cookies": balanced,
    "rechecked-files": rechecked,
    "slow-servers": slow,
    "made-anew": made_anew,
    "own-names": own_names,
    "gone": gone,
    "jingles": jingle,
    "fonts-and-sheets": dress,
}
