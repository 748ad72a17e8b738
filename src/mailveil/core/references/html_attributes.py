"""Loading attributes: which of them makes some client fetch, on which element, and where addresses stand."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from mailveil.core.references.css import find_in_presentation_attribute, find_in_style
from mailveil.core.references.html_readings import PLAIN_ELEMENTS
from mailveil.core.references.html_report import DEEP_DOCUMENT, EMBEDDED_URL, EMPTY, MAX_DEPTH, Reporter
from mailveil.core.references.html_tokens import Attribute, Tag, decode_value
from mailveil.core.references.types import BLANK_FRAME, BLANK_GIF, BLANK_URL, Media, Vector
from mailveil.core.references.url import remote

AttributeReader = Callable[[Reporter, Tag, Attribute], None]

_SOURCES: Final[Mapping[str, Vector]] = {
    "img": Vector.IMG_SRC,
    "image": Vector.IMG_SRC,
    "input": Vector.INPUT_SRC,
    "source": Vector.SOURCE_SRC,
    "video": Vector.VIDEO_SRC,
    "audio": Vector.AUDIO_SRC,
    "track": Vector.TRACK_SRC,
    "bgsound": Vector.BGSOUND_SRC,
    "embed": Vector.EMBED_SRC,
    "iframe": Vector.IFRAME_SRC,
    "frame": Vector.FRAME_SRC,
    "layer": Vector.FRAME_SRC,
    "ilayer": Vector.IFRAME_SRC,
    "portal": Vector.PORTAL_SRC,
    "fencedframe": Vector.PORTAL_SRC,
    "webview": Vector.PORTAL_SRC,
    "script": Vector.SCRIPT_SRC,
    "mglyph": Vector.MATHML_HREF,
}
_SVG_REFERENCES: Final[Mapping[str, Vector]] = {
    "image": Vector.SVG_IMAGE,
    "use": Vector.SVG_USE,
    "feimage": Vector.SVG_FEIMAGE,
    "script": Vector.SCRIPT_SRC,
    **dict.fromkeys(
        ("animate", "animatecolor", "animatemotion", "animatetransform", "set"), Vector.SVG_ANIMATE
    ),
    **dict.fromkeys(
        (
            "pattern", "lineargradient", "radialgradient", "meshgradient", "hatch", "filter", "mask",
            "clippath", "mpath", "textpath", "tref", "altglyph", "glyphref", "cursor", "color-profile",
            "font-face-uri", "definition-src", "foreignobject", "symbol", "marker", "discard", "handler",
            "listener", "prefetch", "animation", "audio", "video", "solidcolor",
        ),
        Vector.SVG_HREF,
    ),
}  # fmt: skip
_MATHML: Final = frozenset(
    {
        "math", "mi", "mn", "mo", "ms", "mtext", "mspace", "mglyph", "mrow", "mfrac", "msqrt", "mroot",
        "mstyle", "merror", "mpadded", "mphantom", "mfenced", "menclose", "msub", "msup", "msubsup",
        "munder", "mover", "munderover", "mmultiscripts", "mtable", "mtr", "mtd", "mlabeledtr", "maction",
        "semantics", "annotation", "annotation-xml", "maligngroup", "malignmark", "mstack", "mlongdiv",
        "csymbol", "share",
    }
)  # fmt: skip
# An href on these is an ordinary link in VML: Outlook's way to make a button.
_VML_SHAPES: Final = frozenset(
    {"shape", "rect", "roundrect", "oval", "line", "group", "arc", "curve", "polyline", "image", "shapetype"}
)
_LINKING: Final = PLAIN_ELEMENTS | {
    "a", "area", "button", "form", "nav", "article", "header", "footer", "main", "figure", "body", "html",
    "head", "input", "select", "textarea", "strike", "s", "code", "abbr", "cite", "q", "ins", "del",
}  # fmt: skip
_ANIMATIONS: Final = frozenset({"animate", "animatecolor", "animatemotion", "animatetransform", "set"})
_AMP_MEDIA: Final[Mapping[str, Media]] = {
    "amp-img": Media.IMAGE,
    "amp-anim": Media.IMAGE,
    "amp-video": Media.VIDEO,
    "amp-audio": Media.AUDIO,
}
_SPACE: Final = " \t\n\r\f"


def _local(name: str) -> str:
    return name.rpartition(":")[2]


# One address


def _read_src(reporter: Reporter, tag: Tag, attribute: Attribute) -> None:
    name = tag.name
    vector = _SOURCES.get(name)
    if vector is not None:
        media = None
        if vector is Vector.SOURCE_SRC and any(w.startswith("audio/") for w in reporter.words(tag, "type")):
            media = Media.AUDIO
        reporter.address(tag, attribute, vector, media)
    elif name.startswith("amp-"):
        reporter.address(tag, attribute, Vector.AMP_SRC, _AMP_MEDIA.get(name))
    elif ":" in name:
        local = _local(name)
        vector = (
            Vector.VML_SRC if name.startswith(("v:", "o:", "w:")) else _SOURCES.get(local, Vector.VML_SRC)
        )
        reporter.address(tag, attribute, vector)
    else:
        reporter.address(tag, attribute, Vector.HTML_OTHER)


def _read_href(reporter: Reporter, tag: Tag, attribute: Attribute) -> None:
    name = tag.name
    local = _local(name)
    is_button = ":" in name and local in _VML_SHAPES and attribute.name == "href"
    if is_button or local in {"a", "area"} or name in _LINKING:
        reporter.link(tag, attribute)
    elif name in {"base", "link"}:
        return  # read with their other attributes
    elif local in _SVG_REFERENCES and (":" not in name or not name.startswith(("v:", "o:", "w:"))):
        reporter.address(tag, attribute, _SVG_REFERENCES[local])
    elif local in _MATHML:
        reporter.address(tag, attribute, Vector.MATHML_HREF)
    elif ":" in name:
        reporter.address(tag, attribute, Vector.VML_SRC)
    elif name.startswith("amp-"):
        reporter.address(tag, attribute, Vector.AMP_SRC)
    else:
        reporter.address(tag, attribute, Vector.HTML_OTHER)


def _read_link_address(reporter: Reporter, tag: Tag, attribute: Attribute) -> None:
    reporter.link(tag, attribute)


def _read_poster(reporter: Reporter, tag: Tag, attribute: Attribute) -> None:
    amp = tag.name.startswith("amp-")
    reporter.address(tag, attribute, Vector.AMP_SRC if amp else Vector.VIDEO_POSTER, Media.IMAGE)


def _address_as(vector: Vector, *elements: str) -> AttributeReader:
    """Return a reader of values that are one address, on ``elements`` only where some are given."""

    def read(reporter: Reporter, tag: Tag, attribute: Attribute) -> None:
        if not elements or tag.name in elements:
            reporter.address(tag, attribute, vector)

    return read


def _read_class_id(reporter: Reporter, tag: Tag, attribute: Attribute) -> None:
    """A class is named by an address only where a remote one follows no other naming scheme (``clsid:``)."""
    if tag.name in {"object", "embed", "applet"} and attribute.start >= 0:
        head = reporter.value(attribute).lstrip().lower()
        if not head.startswith(("clsid:", "java:", "progid:", "python:")):
            reporter.address(tag, attribute, Vector.OBJECT_DATA)


def _read_amp(reporter: Reporter, tag: Tag, attribute: Attribute) -> None:
    if attribute.name[:1] == "[" or tag.name.startswith("amp-"):
        reporter.address(tag, attribute, Vector.AMP_SRC)


_PATH_PARAMETERS: Final = frozenset(
    {
        "movie",
        "src",
        "filename",
        "url",
        "data",
        "file",
        "href",
        "code",
        "archive",
        "codebase",
        "object",
        "base",
    }
)


def _read_parameter(reporter: Reporter, tag: Tag, attribute: Attribute) -> None:
    """``<param value>``: any absolute address, also within flashvars; a relative one under a known name."""
    if tag.name != "param" or attribute.start < 0:
        return
    value = reporter.value(attribute)
    if reporter.words(tag, "name") & _PATH_PARAMETERS or value.lstrip()[:2] in {"//", "\\\\"}:
        reporter.address(tag, attribute, Vector.PARAM_VALUE)
        return
    if value.lstrip()[:5].lower() == "data:":
        reporter.look_into_local(tag, attribute, value)
        return
    match = EMBEDDED_URL.search(value)
    url = remote(match[0], reporter.scope) if match else None
    if url is not None:
        reporter.report(tag, attribute, url, Vector.PARAM_VALUE)


# Several addresses

_WORD: Final = re.compile(r"[^ \t\n\r\f]++")
_ITEM: Final = re.compile(r"[^ \t\n\r\f,]++")
_SEMICOLON_ITEM: Final = re.compile(r"[^;]++")
_DESCRIPTORS: Final = re.compile(r"(?:[^,(]++|\([^)]*+\)?+)*+,?+")


def _read_items(
    reporter: Reporter, tag: Tag, attribute: Attribute, vector: Vector, item: re.Pattern[str]
) -> None:
    if attribute.start < 0:
        return
    text = reporter.decoded(attribute)
    for match in item.finditer(text.text):
        url = remote(match[0], reporter.scope)
        if url is not None:
            reporter.report_range(tag, text, match.span(), url, vector)


def _read_ping(reporter: Reporter, tag: Tag, attribute: Attribute) -> None:
    _read_items(reporter, tag, attribute, Vector.A_PING, _WORD)


def _read_attribution(reporter: Reporter, tag: Tag, attribute: Attribute) -> None:
    """Whom a browser tells that an advertisement was seen (Attribution Reporting section 5), on any element."""
    _read_items(reporter, tag, attribute, Vector.HTML_OTHER, _WORD)


def _read_archive(reporter: Reporter, tag: Tag, attribute: Attribute) -> None:
    if tag.name in {"object", "applet", "embed"}:
        vector = Vector.OBJECT_DATA if tag.name == "object" else Vector.APPLET_CODE
        _read_items(reporter, tag, attribute, vector, _ITEM)


def _read_animation(reporter: Reporter, tag: Tag, attribute: Attribute) -> None:
    """``from``, ``to``, ``by`` and ``values`` of an animation, whatever attribute it claims to animate."""
    if _local(tag.name) not in _ANIMATIONS or attribute.start < 0:
        return
    value = reporter.value(attribute)
    words = reporter.words(tag, "attributename")
    animates_address = not words or any(_local(word) in {"href", "src"} for word in words)
    if "(" in value:
        _find_in_presentation(reporter, tag, attribute, "fill")
        if not animates_address:
            return
    if "data:" in value.lower():
        reporter.look_into_local(tag, attribute, value)
    text = reporter.decoded(attribute)
    scope = reporter.scope
    if scope.base and not animates_address:
        scope = replace(scope, base="")
    within_data = False
    for match in _SEMICOLON_ITEM.finditer(text.text):
        item = match[0]
        url = None if within_data else remote(item, scope)
        within_data = "," not in (item if within_data else item.rpartition("data:")[2]) and (
            within_data or "data:" in item
        )
        if url is not None:
            reporter.report_range(tag, text, match.span(), url, Vector.SVG_ANIMATE)


def _read_srcset(reporter: Reporter, tag: Tag, attribute: Attribute) -> None:
    """Image candidates (HTML section 4.8.4.2.1), and for who splits differently, any word that is an address.

    A replacement must not end in a comma, which would end the candidate and make a descriptor the next one.
    """
    if attribute.start < 0:
        return
    media: Media | None = None
    if attribute.name == "imagesrcset":
        vector = Vector.LINK_PRELOAD
    elif tag.name in {"img", "image"}:
        vector = Vector.IMG_SRCSET
    elif tag.name == "source":
        vector = Vector.SOURCE_SRCSET
    elif tag.name.startswith("amp-"):
        vector, media = Vector.AMP_SRC, _AMP_MEDIA.get(tag.name)
    else:
        vector = Vector.HTML_OTHER
    text = reporter.decoded(attribute)
    characters = text.text
    absolute = replace(reporter.scope, base="") if reporter.scope.base else reporter.scope
    described = 0  # up to here words are descriptors, which are relative addresses for no parser
    for match in _WORD.finditer(characters):
        start, end = match.span()
        while start < end and characters[start] == ",":
            start += 1
        bare = end
        while start < bare and characters[bare - 1] == ",":
            bare -= 1
        if start == bare:
            continue
        is_candidate = start >= described
        if is_candidate and bare == end:
            descriptors = _DESCRIPTORS.match(characters, end)
            described = descriptors.end() if descriptors else end
        word = characters[start:bare]
        if word[:5].lower() == "data:":
            reporter.look_into_data_url(text, start, bare)
        url = remote(word, reporter.scope if is_candidate else absolute)
        if url is not None:
            # Nor may one among descriptors hold a comma.
            inert = BLANK_GIF if is_candidate else BLANK_FRAME
            reporter.report_range(tag, text, (start, bare), url, vector, inert=inert, media=media)
        elif "," in word:
            _read_parts(reporter, tag, attribute, (start, bare), vector)


def _read_parts(
    reporter: Reporter, tag: Tag, attribute: Attribute, place: tuple[int, int], vector: Vector
) -> None:
    """Parts of a local candidate that a parser sees that splits at every comma."""
    text = reporter.decoded(attribute) if "&" in reporter.text.text[attribute.start : attribute.end] else None
    offset = 0 if text else attribute.start
    text = text or reporter.text
    scope = replace(reporter.scope, base="")
    for match in _ITEM.finditer(text.text, offset + place[0], offset + place[1]):
        url = remote(match[0], scope)
        if url is not None:
            reporter.report_range(tag, text, match.span(), url, vector, inert=BLANK_GIF)


# Other languages


# Without one of these no declaration loads anything.
_STYLE_MARKS: Final = ("(", "--", "\\", "@", "\0")


def _read_style(reporter: Reporter, tag: Tag, attribute: Attribute) -> None:
    if attribute.start < 0:
        return
    value = reporter.text.text[attribute.start : attribute.end]
    if "&" in value:
        value = decode_value(value)
    if not any(mark in value for mark in _STYLE_MARKS):
        return
    text = reporter.decoded(attribute)
    find_in_style(text, reporter.scope, element=tag.name, attributes=reporter.attributes(tag))


def _read_presentation(reporter: Reporter, tag: Tag, attribute: Attribute) -> None:
    if tag.name not in PLAIN_ELEMENTS and attribute.start >= 0:
        value = reporter.text.text[attribute.start : attribute.end]
        if "(" in value or "&" in value or "\\" in value:
            _find_in_presentation(reporter, tag, attribute, attribute.name)


def _find_in_presentation(reporter: Reporter, tag: Tag, attribute: Attribute, name: str) -> None:
    text = reporter.decoded(attribute)
    attributes = reporter.attributes(tag)
    find_in_presentation_attribute(text, name, reporter.scope, element=tag.name, attributes=attributes)


def _read_srcdoc(reporter: Reporter, tag: Tag, attribute: Attribute) -> None:
    if tag.name not in {"iframe", "frame", "portal", "fencedframe"} or attribute.start >= attribute.end:
        return
    if reporter.scope.depth >= MAX_DEPTH:
        inert = EMPTY if attribute.quote else BLANK_FRAME
        if reporter.value(attribute).strip() != BLANK_FRAME:
            place = (attribute.start, attribute.end)
            vector = Vector.IFRAME_SRC
            reporter.report_range(tag, reporter.text, place, DEEP_DOCUMENT, vector, inert=inert, whole=True)
        return
    known = len(reporter.scope.findings.linked)
    reporter.may_read(attribute.start, attribute.end)
    reporter.find_in_document(
        reporter.decoded(attribute), replace(reporter.scope, depth=reporter.scope.depth + 1)
    )
    reporter.has_links = reporter.has_links or len(reporter.scope.findings.linked) > known


def read_event_handler(reporter: Reporter, tag: Tag, attribute: Attribute) -> None:
    """``on…`` of a document that a browser opens on its own."""
    script = reporter.value(attribute).strip() if attribute.start < attribute.end else ""
    if script and not script.startswith(BLANK_URL):
        reporter.report(tag, attribute, "javascript:", Vector.EVENT_HANDLER)


#: By attribute.
READERS: Final[Mapping[str, AttributeReader]] = {
    "src": _read_src,
    "href": _read_href,
    "srcset": _read_srcset,
    "imagesrcset": _read_srcset,
    "lowsrc": _address_as(Vector.IMG_LOWSRC),
    "dynsrc": _address_as(Vector.IMG_DYNSRC),
    "poster": _read_poster,
    "background": _address_as(Vector.BACKGROUND),
    "data": _address_as(Vector.OBJECT_DATA, "object", "embed", "applet"),
    "codebase": _address_as(Vector.OBJECT_DATA, "object", "embed", "applet"),
    "code": _address_as(Vector.APPLET_CODE, "object", "embed", "applet"),
    "movie": _address_as(Vector.OBJECT_DATA, "object", "embed"),
    "object": _address_as(Vector.APPLET_CODE, "applet"),
    "classid": _read_class_id,
    "archive": _read_archive,
    "value": _read_parameter,
    "manifest": _address_as(Vector.HTML_MANIFEST, "html"),
    "icon": _address_as(Vector.HTML_OTHER, "command", "menuitem"),
    "implementation": _address_as(Vector.HTML_OTHER, "import"),
    "altimg": _address_as(Vector.MATHML_HREF, *_MATHML),
    "xml:base": _address_as(Vector.XML_BASE),
    "ping": _read_ping,
    "attributionsrc": _read_attribution,
    "style": _read_style,
    "srcdoc": _read_srcdoc,
    "action": _read_link_address,
    "formaction": _read_link_address,
    "config": _read_amp,
    "artwork": _read_amp,
    "[src]": _read_amp,
    "[srcset]": _read_amp,
    "[poster]": _read_amp,
    "[href]": _read_link_address,
    **dict.fromkeys(("from", "to", "by", "values"), _read_animation),
    **dict.fromkeys(
        (
            "fill", "stroke", "filter", "mask", "clip-path", "marker", "marker-start", "marker-mid",
            "marker-end", "cursor",
        ),
        _read_presentation,
    ),
}  # fmt: skip
#: By the last part of a name with a prefix, such as xlink:href or o:href.
PREFIXED_READERS: Final[Mapping[str, AttributeReader]] = {"src": _read_src, "href": _read_href}
