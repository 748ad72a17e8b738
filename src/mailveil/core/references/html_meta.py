"""Meta and link: elements that say with one attribute what another means."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from mailveil.core.references.html_report import EMBEDDED_URL, MAX_DEPTH, Reporter
from mailveil.core.references.html_tokens import Attribute, Tag
from mailveil.core.references.types import BLANK_FRAME, BLANK_URL, Vector
from mailveil.core.references.url import remote

_REFRESH: Final = re.compile(r"\s*+[+\-]?+[\d.]*+[\s;,]*+(?:url\s*+=)?+\s*+([\"'`]?)", re.IGNORECASE)
_REFRESH_URL: Final = re.compile(r"url\s*+=\s*+[\"'`]?+([^\s\"'`]++)", re.IGNORECASE)
_HEADER_LINK: Final = re.compile(r"<([^<>]*+)>")
_PREVIEW: Final = re.compile(
    r"(?:(?:og:(?:image|video|audio)|twitter:(?:image|player))(?::(?:url|secure_url|src|stream))?|twitter:image\d"
    r"|thumbnail|thumbnailurl|image|image_src|msapplication-(?:tileimage|config|task|badge|notification"
    r"|(?:square|wide)\d+x\d+logo))\Z"
)
_POLICIES: Final = frozenset(
    {
        "content-security-policy", "content-security-policy-report-only", "x-content-security-policy",
        "x-webkit-csp", "report-to", "reporting-endpoints", "nel", "expect-ct", "public-key-pins",
    }
)  # fmt: skip
_REPORT_URI: Final = re.compile(r"report-uri(?=[\s=])[\s=]*+([^;]*+)", re.IGNORECASE)
_WORD: Final = re.compile(r"[^\s\"',{}\[\]()]++")
_MICRODATA: Final = frozenset(
    {"image", "logo", "thumbnail", "thumbnailurl", "contenturl", "photo", "screenshot", "primaryimageofpage"}
)


def read_meta(reporter: Reporter, tag: Tag) -> None:
    """``<meta>``: refresh, Link and prefetch control as header fields; images for previews; microdata."""
    contents = [a for a in tag.attributes if a.name == "content" and a.start >= 0]
    if not contents:
        return
    equivalents = reporter.words(tag, "http-equiv")
    names = reporter.words(tag, "property") | reporter.words(tag, "name")
    for content in contents:
        if "refresh" in equivalents:
            _read_refresh(reporter, tag, content)
        if "link" in equivalents:
            _read_header_link(reporter, tag, content)
        if equivalents & {"content-base", "content-location", "base"} and reporter.value(content).strip():
            reporter.address(tag, content, Vector.BASE_HREF)
        if "x-dns-prefetch-control" in equivalents:
            _read_prefetch_control(reporter, tag, content)
        if equivalents & _POLICIES:
            _read_policy(reporter, tag, content)
        if names and "<" in reporter.value(content):
            _read_reading_view(reporter, content)
        if any(_PREVIEW.match(name) for name in names):
            _read_preview(reporter, tag, content)
        elif reporter.words(tag, "itemprop") & _MICRODATA:
            reporter.address(tag, content, Vector.MICRODATA_IMAGE)


def _read_refresh(reporter: Reporter, tag: Tag, content: Attribute) -> None:
    value = reporter.value(content)
    match = _REFRESH.match(value)
    address = value[match.end() :] if match else value
    if match and match[1]:
        address = address.partition(match[1])[0]
    url = remote(address, reporter.scope) if address.strip() else None
    if url is None and not tag.odd and reporter.agreed:
        anywhere = _REFRESH_URL.search(value)
        url = remote(anywhere[1], reporter.scope) if anywhere else None
    if url is not None:
        reporter.report(tag, content, url, Vector.META_REFRESH)
    elif address.lstrip()[:5].lower() == "data:" and len(address.strip()) > len(BLANK_URL):
        _look_into_part(reporter, content, address)
    elif reporter.scope.attached and address.lstrip().lower().startswith(("javascript:", "vbscript:")):
        reporter.report(tag, content, "javascript:", Vector.EVENT_HANDLER)


def _look_into_part(reporter: Reporter, attribute: Attribute, part: str) -> None:
    text = reporter.decoded(attribute)
    start = text.text.find(part)
    if start >= 0:
        reporter.look_into_data_url(text, start, start + len(part))


def _read_policy(reporter: Reporter, tag: Tag, content: Attribute) -> None:
    """Where a policy has its breaches reported; the origins that it allows are fetched by nobody."""
    text = reporter.decoded(content)
    if any("policy" in name or name == "x-webkit-csp" for name in reporter.words(tag, "http-equiv")):
        places = [match.span(1) for match in _REPORT_URI.finditer(text.text)]
    else:
        places = [(0, len(text.text))]
    for start, end in places:
        for match in _WORD.finditer(text.text, start, end):
            url = remote(match[0], reporter.scope) if "/" in match[0] else None
            if url is not None:
                reporter.report_range(tag, text, match.span(), url, Vector.HTML_OTHER, inert=BLANK_FRAME)


def _read_reading_view(reporter: Reporter, content: Attribute) -> None:
    """Markup in a document's description, which a reading view once took for markup."""
    scope = reporter.scope
    if scope.depth < MAX_DEPTH:
        reporter.may_read(content.start, content.end)
        reporter.find_in_document(reporter.decoded(content), replace(scope, depth=scope.depth + 1))


def _read_header_link(reporter: Reporter, tag: Tag, content: Attribute) -> None:
    text = reporter.decoded(content)
    for match in _HEADER_LINK.finditer(text.text):
        url = remote(match[1], reporter.scope) if match[1] else None
        if url is not None:
            reporter.report_range(tag, text, match.span(1), url, Vector.LINK_OTHER)


def _read_prefetch_control(reporter: Reporter, tag: Tag, content: Attribute) -> None:
    """Browsers take "on", and some nothing at all, for leave to look up the host names of links."""
    value = reporter.value(content).strip().lower()
    if value == "on" or (not value and content.quote):
        place = (content.start, content.end)
        vector = Vector.META_DNS_PREFETCH
        reporter.report_range(
            tag, reporter.text, place, "x-dns-prefetch-control:on", vector, inert="off", whole=True
        )


def _read_preview(reporter: Reporter, tag: Tag, content: Attribute) -> None:
    value = reporter.value(content)
    if value.lstrip()[:5].lower() == "data:":
        reporter.look_into_local(tag, content, value)
        return
    if "=" in value and ";" in value:  # msapplication-task and kin: pairs, some of them addresses
        match = EMBEDDED_URL.search(value)
        url = remote(match[0], reporter.scope) if match else None
    else:
        url = remote(value, reporter.scope) if value.strip() else None
    if url is not None:
        reporter.report(tag, content, url, Vector.META_IMAGE)


_RELATIONS: Final[tuple[tuple[frozenset[str], Vector], ...]] = (
    (frozenset({"stylesheet"}), Vector.LINK_STYLESHEET),
    (frozenset({"preload", "modulepreload"}), Vector.LINK_PRELOAD),
    (frozenset({"prefetch", "prerender", "next", "prev", "subresource"}), Vector.LINK_PREFETCH),
    (frozenset({"preconnect"}), Vector.LINK_PRECONNECT),
    (frozenset({"dns-prefetch"}), Vector.LINK_DNS_PREFETCH),
    (
        frozenset({"icon", "apple-touch-icon", "apple-touch-icon-precomposed", "mask-icon", "fluid-icon",
                   "apple-touch-startup-image"}),
        Vector.LINK_ICON,
    ),
    (frozenset({"manifest"}), Vector.LINK_MANIFEST),
)  # fmt: skip


def read_link(reporter: Reporter, tag: Tag) -> None:
    """``<link>``: whatever the relation, or without one, some client fetches it."""
    relations = reporter.words(tag, "rel")
    vector = Vector.LINK_OTHER
    for names, relation_vector in _RELATIONS:
        if relations & names:
            vector = relation_vector
            break
    else:
        if reporter.words(tag, "itemprop") & _MICRODATA:
            vector = Vector.MICRODATA_IMAGE
    for attribute in tag.attributes:
        if attribute.name == "href" or attribute.name.endswith(":href"):
            reporter.address(tag, attribute, vector)
