"""Hostile origins: what would harm whoever fetches it, or lead him where he must not go."""

from __future__ import annotations

from mailveil.core.references.types import Media
from mailveil.lab.attacks import (
    MARKER,
    active_svg,
    answers,
    archive_gif,
    commented_jpeg,
    empty_gif,
    endless_body,
    endless_chunks,
    endless_head,
    endless_redirects,
    informational_flood,
    leads_to,
    long_field,
    loop,
    lying_jpeg,
    lying_png,
    made,
    nested_sheet,
    page_png,
    rebinding,
    says,
    script_gif,
    short_length,
    silence,
    slow_body,
    slow_head,
    truncated_png,
    wrong_checksum_png,
)
from mailveil.lab.certificates import Flaw
from mailveil.lab.content import (
    BROTLI_BOMB,
    PIXEL_GIF,
    entity_bomb,
    frame_bomb,
    gzip_bomb,
    logo_png,
    pixel_bomb,
    zstd_bomb,
)
from mailveil.lab.exchange import Answer
from mailveil.lab.origin import Origin, OriginKind
from mailveil.lab.zones import APEX, Zone, zone

HOST = "{}-attack.example"

# Where a redirect would lead inside, by a name for the origin. Some are spellings that a URL parser has to see
# through, some are addresses that only translate to an inner one.
INSIDE: dict[str, str] = {
    "loopback": "http://127.0.0.1/admin",
    "loopback-high": "http://127.8.8.8/",
    "loopback-decimal": "http://2130706433/",
    "loopback-hexadecimal": "http://0x7f.1/",
    "loopback-octal": "http://0177.0.0.1/",
    "loopback-wide": "http://１２７.0.0.1/",
    "loopback-port": "http://127.0.0.1:6379/",
    "this-network": "http://0.0.0.0/",
    "metadata": "http://169.254.169.254/latest/meta-data/iam/security-credentials/",
    "metadata-name": "http://metadata.google.internal/computeMetadata/v1/",
    "private-10": "http://10.0.0.1/",
    "private-172": "http://172.16.0.1/",
    "private-192": "http://192.168.0.1/",
    "shared": "http://100.64.0.1/",
    "multicast": "http://239.255.255.250/",
    "loopback-six": "http://[::1]/",
    "link-local-six": "http://[fe80::1]/",
    "unique-local": "http://[fd00::1]/",
    "mapped": "http://[::ffff:127.0.0.1]/",
    "mapped-metadata": "http://[::ffff:169.254.169.254]/",
    "compatible": "http://[::127.0.0.1]/",
    "nat64": "http://[64:ff9b::127.0.0.1]/",
    "nat64-local": "http://[64:ff9b:1::7f00:1]/",
    "six-to-four": "http://[2002:7f00:1::]/",
    "teredo": "http://[2001:0:7f00:1::1]/",
    "localhost": "http://localhost/",
    "localhost-dot": "http://localhost./",
    "bare-name": "http://intranet/",
    "file": "file:///etc/passwd",
    "gopher": "gopher://127.0.0.1:25/_HELO",
    "data": "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7",
    "credentials": "http://admin:admin@open.adlytics.example/",
    "mail-port": "http://open.adlytics.example:25/",
    "nowhere": "http://",
    "not-a-url": "http://[::1",
}
# The same by name: what an attacker's own name server answers.
NAMES_INSIDE: dict[str, dict[str, tuple[str, ...]]] = {
    "loopback": {"A": ("127.0.0.1",)},
    "metadata": {"A": ("169.254.169.254",)},
    "private": {"A": ("10.1.2.3",)},
    "loopback-six": {"AAAA": ("::1",)},
    "mapped": {"AAAA": ("::ffff:127.0.0.1",)},
    "nat64": {"AAAA": ("64:ff9b::7f00:1",)},
}

# Pictures that are something else as well; no copy may keep that.
MARKED = frozenset({"script-gif", "page-png", "commented-jpeg", "archive-gif", "active-svg"})


def hostile(address: str) -> tuple[Origin, ...]:
    """Return every hostile origin. ``address`` is the one that zones of their own making point to."""
    found: list[Origin] = []

    def add(name: str, does: str, answer: Answer, **more: object) -> None:
        options: dict[str, object] = {"hosts": (HOST.format(name),), "path": "/{token}.png", **more}
        found.append(
            Origin(name=name, kind=OriginKind.HOSTILE, does=does, answer=answer, **options)  # type: ignore[arg-type]
        )

    for name, target in INSIDE.items():
        add(f"redirect-{name}", f"a redirect to {target}", leads_to(target))
    for status in (301, 303, 307, 308):
        add(
            f"redirect-metadata-{status}",
            f"a {status} to the metadata address",
            leads_to(INSIDE["metadata"], status),
        )
    for name, records in NAMES_INSIDE.items():
        zones = (_zone_inside(f"{name}.inside.example", address, records),)
        values = ", ".join(value for each in records.values() for value in each)
        add(
            f"name-{name}",
            f"a name whose address is {values}",
            answers(PIXEL_GIF, "image/gif"),
            hosts=(f"www.{name}.inside.example",),
            zones=zones,
        )
    mixed = _zone_inside("mixed.inside.example", address, {"A": (address, "127.0.0.1")})
    add(
        "name-mixed",
        "a name with one address outside and one inside",
        answers(PIXEL_GIF, "image/gif"),
        hosts=("www.mixed.inside.example",),
        zones=(mixed,),
    )
    turns = {APEX: ((address,), ("127.0.0.1",))}
    add(
        "rebinding",
        "a name that leads outside when first asked for and inside from then on",
        rebinding,
        hosts=("rebind.example",),
        zones=(zone("rebind.example", address, ttl_s=0, turns=turns),),
    )
    metadata_turns = {APEX: ((address,), ("169.254.169.254",))}
    add(
        "rebinding-metadata",
        "the same to the metadata address",
        rebinding,
        hosts=("rebind-metadata.example",),
        zones=(zone("rebind-metadata.example", address, ttl_s=0, turns=metadata_turns),),
    )
    add("redirect-loop", "a redirect to itself", loop, contacts=2)
    add("redirect-endless", "redirects without end", endless_redirects, contacts=2)
    gzip = ("Content-Encoding", "gzip")
    add("gzip-bomb", "64 MiB of zeros in 64 kB", made(gzip_bomb, "image/png", gzip))
    twice = ("Content-Encoding", "gzip, gzip")
    add("gzip-bomb-twice", "the same, compressed twice", made(lambda: gzip_bomb(2), "image/png", twice))
    brotli = ("Content-Encoding", "br")
    add("brotli-bomb", "64 MiB of zeros in 106 bytes", answers(BROTLI_BOMB, "image/png", brotli))
    add("zstd-bomb", "64 MiB of zeros in 2 kB", made(zstd_bomb, "image/png", ("Content-Encoding", "zstd")))
    add("gzip-garbage", "bytes that are no gzip", answers(b"\x1f\x8b\x08garbage" * 99, "image/png", gzip))
    add("pixel-bomb", "a picture of 1.6 thousand million pixels", made(pixel_bomb, "image/png"))
    add("frame-bomb", "an animation of 20,000 large frames", made(frame_bomb, "image/gif"))
    add("entity-bomb", "a drawing whose entities multiply", made(entity_bomb, "image/svg+xml"))
    for name, does, build, media_type in (
        ("truncated-png", "a picture that ends in the middle", truncated_png, "image/png"),
        ("wrong-checksum-png", "a picture with wrong checksums", wrong_checksum_png, "image/png"),
        ("empty-gif", "a picture of no size", empty_gif, "image/gif"),
        ("lying-jpeg", "a picture with wrong lengths", lying_jpeg, "image/jpeg"),
        ("lying-png", "a picture with a chunk of two gigabytes", lying_png, "image/png"),
        ("script-gif", "a picture that is a script as well", script_gif, "image/gif"),
        ("page-png", "a picture with a page inside and behind", page_png, "image/png"),
        ("commented-jpeg", "a picture with a page as its comment", commented_jpeg, "image/jpeg"),
        ("archive-gif", "a picture that is an archive as well", archive_gif, "image/gif"),
        ("active-svg", "a drawing with scripts, frames and references", active_svg, "image/svg+xml"),
    ):
        add(name, does, made(build, media_type), marker=MARKER if name in MARKED else b"")
    page = answers(b"<!doctype html>" + MARKER, "image/png")
    add("page-as-picture", "a page that says it is a picture", page, marker=MARKER)
    add("sheet-inside", "a sheet that refers inside", made(nested_sheet, "text/css"), media=Media.STYLESHEET,
        path="/{token}.css", markup='<link rel="stylesheet" href="{url}">', marker=b"127.0.0.1")  # fmt: skip
    add("silence", "an origin that takes the request and says nothing", silence)
    add("slow-head", "a header that comes one byte after the other", slow_head)
    add("slow-body", "a body that comes one byte after the other", slow_body)
    add("endless-body", "a body without end", endless_body)
    add("endless-chunks", "chunks without end", endless_chunks)
    add("endless-head", "header fields without end", endless_head)
    add("long-field", "a header field of 64 MiB", long_field)
    add("informational-flood", "interim answers without end", informational_flood)
    add("short-length", "a body shorter than its Content-Length", short_length)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: image/gif\r\n"
    for name, does, raw in (
        ("long-length", "a body longer than its Content-Length", head + b"Content-Length: 10\r\n\r\n" + PIXEL_GIF),
        ("negative-length", "a negative Content-Length", head + b"Content-Length: -1\r\n\r\n" + PIXEL_GIF),
        ("huge-length", "a Content-Length of 10^21", head + b"Content-Length: 1%021d\r\n\r\n" % 0 + PIXEL_GIF),
        ("two-lengths", "two Content-Lengths",
         head + b"Content-Length: 3\r\nContent-Length: 43\r\n\r\n" + PIXEL_GIF),
        ("chunked-garbage", "chunks whose sizes are no numbers",
         head + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\nGIF89a\r\n0\r\n\r\n"),
        ("chunked-huge", "a chunk of 2^64 bytes", head + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\nGIF"),
        ("chunked-cut", "chunks without their end", head + b"Transfer-Encoding: chunked\r\n\r\n2B\r\n" + PIXEL_GIF[:9]),
        ("no-http", "something that is no HTTP", b"220 ready\r\n" * 50),
        ("no-answer", "nothing: it hangs up", b""),
        ("nul-field", "a header field with NUL and bare CR",
         b"HTTP/1.1 200 OK\r\nX-A: a\0b\rc\r\nContent-Length: 3\r\n\r\nGIF"),
        ("no-version", "a picture without any header (HTTP/0.9)", PIXEL_GIF),
        ("wrong-status", "a status that is no number", b"HTTP/1.1 OK 200\r\n\r\n" + PIXEL_GIF),
        ("switching", "a change of protocol nobody asked for",
         b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n" + bytes(200)),
    ):  # fmt: skip
        add(name, does, says(raw))
    for flaw in (Flaw.SELF_SIGNED, Flaw.WRONG_NAME, Flaw.EXPIRED):
        add(
            f"certificate-{flaw}",
            f"a {flaw} certificate",
            answers(logo_png(), "image/png"),
            flaw=flaw,
            scheme="https",
        )
    add(
        "name-silent",
        "a name server that never answers",
        answers(PIXEL_GIF, "image/gif"),
        hosts=("www.silent-names.example",),
        zones=(zone("silent-names.example", address, owners=("www",), silent=True),),
    )
    add(
        "name-slow",
        "a name server that takes ten seconds",
        answers(PIXEL_GIF, "image/gif"),
        hosts=("www.slow-names.example",),
        zones=(zone("slow-names.example", address, owners=("www",), delay_s=10.0),),
    )
    circle = {
        ("www", "CNAME"): ("two.circle-names.example.",),
        ("two", "CNAME"): ("www.circle-names.example.",),
    }
    add(
        "name-circle",
        "a name that is an alias of its own alias",
        answers(PIXEL_GIF, "image/gif"),
        hosts=("www.circle-names.example",),
        zones=(zone("circle-names.example", address, more=circle),),
    )
    return tuple(found)


def _zone_inside(name: str, address: str, records: dict[str, tuple[str, ...]]) -> Zone:
    return zone(name, address, more={("www", kind): values for kind, values in records.items()}, ttl_s=0)
