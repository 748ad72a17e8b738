"""The words for what some client would fetch: vector, reference, scope."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mailveil.core.message.types import Defect, Limits, Source

# What stands where nothing may be fetched. Every value consists of characters that need no escaping in any
# place a reference can stand in: attribute values quoted or not, CSS strings and url(), JSON, XML, srcset.
BLANK_GIF = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
BLANK_URL = "data:,"
BLANK_CSS = "data:text/css,"
BLANK_FRAME = "about:blank"


class Vector(StrEnum):
    """The construct that a reference stands in. Values are permanent: reports and exports carry them."""

    IMG_SRC = "img-src"
    IMG_SRCSET = "img-srcset"
    IMG_LOWSRC = "img-lowsrc"
    IMG_DYNSRC = "img-dynsrc"
    SOURCE_SRC = "source-src"
    SOURCE_SRCSET = "source-srcset"
    INPUT_SRC = "input-src"
    BACKGROUND = "background"
    VIDEO_SRC = "video-src"
    VIDEO_POSTER = "video-poster"
    AUDIO_SRC = "audio-src"
    TRACK_SRC = "track-src"
    BGSOUND_SRC = "bgsound-src"
    EMBED_SRC = "embed-src"
    OBJECT_DATA = "object-data"
    PARAM_VALUE = "param-value"
    APPLET_CODE = "applet-code"
    IFRAME_SRC = "iframe-src"
    FRAME_SRC = "frame-src"
    PORTAL_SRC = "portal-src"
    LINK_STYLESHEET = "link-stylesheet"
    LINK_ICON = "link-icon"
    LINK_PRELOAD = "link-preload"
    LINK_PREFETCH = "link-prefetch"
    LINK_PRECONNECT = "link-preconnect"
    LINK_DNS_PREFETCH = "link-dns-prefetch"
    LINK_MANIFEST = "link-manifest"
    LINK_OTHER = "link-other"
    SCRIPT_SRC = "script-src"
    SCRIPT_INLINE = "script-inline"
    EVENT_HANDLER = "event-handler"
    BASE_HREF = "base-href"
    META_REFRESH = "meta-refresh"
    META_DNS_PREFETCH = "meta-dns-prefetch"
    META_IMAGE = "meta-image"
    A_PING = "a-ping"
    HTML_MANIFEST = "html-manifest"
    HTML_OTHER = "html-other"
    VML_SRC = "vml-src"
    AMP_SRC = "amp-src"
    MICRODATA_IMAGE = "microdata-image"
    JSON_LD_IMAGE = "json-ld-image"
    SVG_IMAGE = "svg-image"
    SVG_USE = "svg-use"
    SVG_FEIMAGE = "svg-feimage"
    SVG_ANIMATE = "svg-animate"
    SVG_HREF = "svg-href"
    MATHML_HREF = "mathml-href"
    XML_BASE = "xml-base"
    XML_STYLESHEET = "xml-stylesheet"
    XML_ENTITY = "xml-entity"
    XINCLUDE = "xinclude"
    CSS_URL = "css-url"
    CSS_IMPORT = "css-import"
    CSS_FONT = "css-font"
    CSS_NAMESPACE = "css-namespace"
    CSS_BEHAVIOR = "css-behavior"
    CSS_FILTER = "css-filter"
    CALENDAR_ATTACH = "calendar-attach"
    CALENDAR_IMAGE = "calendar-image"
    CALENDAR_OTHER = "calendar-other"
    VCARD_PHOTO = "vcard-photo"
    VCARD_LOGO = "vcard-logo"
    VCARD_SOUND = "vcard-sound"
    VCARD_OTHER = "vcard-other"
    EXTERNAL_BODY = "external-body"
    MESSAGE_PARTIAL = "message-partial"
    CONTENT_BASE = "content-base"
    CONTENT_LOCATION = "content-location"
    RECEIPT_FIELD = "receipt-field"
    BIMI_FIELD = "bimi-field"
    IMAGE_FIELD = "image-field"
    RTF_FIELD = "rtf-field"
    CERTIFICATE_URL = "certificate-url"
    TNEF_PROPERTY = "tnef-property"


class Media(StrEnum):
    """What kind of safe copy can take a reference's place."""

    IMAGE = "image"
    STYLESHEET = "stylesheet"
    FONT = "font"
    AUDIO = "audio"
    VIDEO = "video"


# Vectors with a safe copy. Every other reference is answered by nothing and its origin is never contacted.
COPYABLE: Mapping[Vector, Media] = {
    Vector.IMG_SRC: Media.IMAGE,
    Vector.IMG_SRCSET: Media.IMAGE,
    Vector.IMG_LOWSRC: Media.IMAGE,
    Vector.IMG_DYNSRC: Media.VIDEO,
    Vector.SOURCE_SRCSET: Media.IMAGE,
    Vector.SOURCE_SRC: Media.VIDEO,
    Vector.INPUT_SRC: Media.IMAGE,
    Vector.BACKGROUND: Media.IMAGE,
    Vector.VIDEO_SRC: Media.VIDEO,
    Vector.VIDEO_POSTER: Media.IMAGE,
    Vector.AUDIO_SRC: Media.AUDIO,
    Vector.BGSOUND_SRC: Media.AUDIO,
    Vector.LINK_STYLESHEET: Media.STYLESHEET,
    Vector.VML_SRC: Media.IMAGE,
    Vector.AMP_SRC: Media.IMAGE,
    Vector.SVG_IMAGE: Media.IMAGE,
    Vector.SVG_FEIMAGE: Media.IMAGE,
    Vector.CSS_URL: Media.IMAGE,
    Vector.CSS_IMPORT: Media.STYLESHEET,
    Vector.CSS_FONT: Media.FONT,
    Vector.CALENDAR_IMAGE: Media.IMAGE,
    Vector.VCARD_PHOTO: Media.IMAGE,
    Vector.VCARD_LOGO: Media.IMAGE,
    Vector.VCARD_SOUND: Media.AUDIO,
}


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """A place from which some client would fetch, or tell the sender something.

    ``url`` is what the client would contact, decoded and resolved (``mailto:`` for receipts). The value to
    replace is ``source.data[start:end]``; what is written there is in codec ``encoding``. ``inert`` is what
    stands there when nothing may be fetched; a safe copy's address takes its place where ``copyable``.
    ``element`` and ``attributes`` (lower-case names, decoded values) describe what it stands in, for the judge.
    ``media`` is the kind of copy that fits, ``None`` where there must be none.
    """

    url: str
    vector: Vector
    part: str
    source: Source
    start: int
    end: int
    inert: str
    encoding: str = "ascii"
    media: Media | None = None
    element: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Insertion:
    """ASCII text that must be inserted at ``source.data[at]`` to keep a client from telling host names.

    No reference: nothing is fetched from it. It turns off the prefetching of ordinary links' host names.
    """

    source: Source
    at: int
    text: str
    encoding: str = "ascii"


@dataclass(slots=True)
class Findings:
    """What the grammars found in one message. They append; nothing is ever taken out."""

    references: list[Reference] = field(default_factory=list)
    insertions: list[Insertion] = field(default_factory=list)
    defects: list[Defect] = field(default_factory=list)
    # Every URL that stands in an ordinary link or a List-* field: a copy must never be fetched from one.
    linked: set[str] = field(default_factory=set)
    # Addresses of style sheets that the message itself may hold: cid: ones and relative ones.
    sheets: set[str] = field(default_factory=set)


def nothing_is_ours(url: str) -> bool:
    """Stand-in for the check of our own copies' addresses where there are none."""
    del url
    return False


@dataclass(frozen=True, slots=True)
class Scope:
    """What a grammar has to know of the place its text stands in.

    ``part`` is the section number for reports, ``base`` the URL that relative references resolve against
    (``""`` where there is none, and relative references then reach nobody), ``ours`` tells whether a URL is an
    address of one of our own copies, ``depth`` counts nested documents (srcdoc, ``data:`` …). ``attached`` is
    true where the text is a document that a browser would open on its own rather than a message body.
    """

    part: str
    findings: Findings
    base: str = ""
    ours: Callable[[str], bool] = nothing_is_ours
    limits: Limits = field(default_factory=Limits)
    depth: int = 0
    attached: bool = False
