"""Header fields: receipt requests, sender pictures, bases of relative references, bodies that lie elsewhere.

Every other URL in a header field is a link: ``List-*``, ``Archived-At``, ``OpenPGP`` and the like are
followed by nobody unasked, and neither do mail clients act on ``Link`` or ``Refresh`` as browsers do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from mailveil.core.message.types import Field, Part, Span
from mailveil.core.references.content_type import RawContentType, RawParameter, scan_content_type
from mailveil.core.references.links import note_links
from mailveil.core.references.types import Reference, Scope, Vector
from mailveil.core.references.url import remote, resolve

# Requests to tell somebody that a message arrived or was read. RFC 8098 (Disposition-Notification-*),
# RFC 2156 (Generate-Delivery-Report), draft-palme-mailext-headers-08, Pegasus Mail (X-Confirm-Reading-To,
# X-PMRQC), qmail (Notice-Requested-Upon-Delivery-To), and what mailing list managers strip.
# X-MDRcpt-To is none: MDaemon notes the envelope's recipient in it.
RECEIPT_FIELDS: Final = frozenset(
    {
        "confirm-delivery-to", "confirm-reading-to", "delivery-receipt-to",
        "disposition-notification-options",
        "disposition-notification-to", "disposition-notifications-to", "generate-delivery-report",
        "mdrcpt-to", "mdsend-notifications-to", "notice-requested-upon-delivery-to", "read-receipt-requested",
        "read-receipt-to", "receipt-requested-to", "register-mail-reply-requested-by",
        "registered-mail-reply-requested-by", "resent-disposition-notification-to", "return-receipt",
        "return-receipt-requested", "return-receipt-requested-to", "return-receipt-to", "x-ack", "x-ack-to",
        "x-acknowledge-to", "x-confirm-delivery-to", "x-confirm-reading-to", "x-delivery-receipt-to",
        "x-disposition-notification-to", "x-mdsend-notifications-to", "x-pmrqc", "x-read-receipt-to",
        "x-receipt-to", "x-return-receipt-to",
    }
)  # fmt: skip
# Pictures of the sender by address. MessageFaces for Thunderbird reads Face, X-Face, X-Image-URL, X-Face-URL
# and Face-URL; the others are their kin.
IMAGE_FIELDS: Final = frozenset(
    {
        "avatar", "avatar-url", "face", "face-url", "image-url", "picture-url", "x-avatar", "x-avatar-url",
        "x-face", "x-face-url", "x-gravatar", "x-gravatar-url", "x-icon-url", "x-image-url", "x-logo-url",
        "x-photo-url", "x-picture-url",
    }
)  # fmt: skip
# An attachment that lies elsewhere: on opening, Thunderbird asks that place, a share included, for its size
# (CVE-2025-3522, Mozilla Foundation Security Advisory 2025-26).
DETACHED_FIELDS: Final = frozenset({"x-mozilla-external-attachment-url"})
BIMI_FIELDS: Final = frozenset({"bimi-location"})
BASE_FIELDS: Final[Mapping[str, Vector]] = {
    "content-base": Vector.CONTENT_BASE,
    "content-location": Vector.CONTENT_LOCATION,
}
_REMOVED_FIELDS: Final = RECEIPT_FIELDS | IMAGE_FIELDS | DETACHED_FIELDS
_ACTING_FIELDS: Final = _REMOVED_FIELDS | BIMI_FIELDS | BASE_FIELDS.keys() | {"content-type", "x-notes-item"}

# The base of a message that has none (RFC 2557 section 5): relative references then reach its own parts only.
INERT_BASE: Final = "thismessage:/"
# Stands in a field that cannot be taken out whole without moving the line between header and body.
_NEUTRAL_FIELD: Final = "X-Removed: yes"

_FOLDING: Final = {0x0D: None, 0x0A: None, 0x00: None}
_NOT_IN_ADDRESS: Final = re.compile(r"[\s<>()\\,;:\"]++")
_QUOTED_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*+"?+', re.DOTALL)
_BIMI_TAG: Final = re.compile(r"[;,]?+[ \t\r\n]*+(?:[A-Za-z0-9_-]++[ \t\r\n]*+=)?+([^;,]*+)")
_LOCATED_TYPE: Final = re.compile(r"external|partial|ur[il]|href|src", re.IGNORECASE)
_MAX_ADDRESSES: Final = 10
_LOCATION_PARAMETERS: Final = frozenset({"url", "uri", "href", "src"})
# Leaves of these types are data: their Content-Location is a name for siblings, never a base.
_DATA_TYPES: Final = ("image/", "audio/", "video/", "font/")
_SVG_TYPES: Final = frozenset({"image/svg+xml", "image/svg", "image/svg-xml"})


def find_in_fields(part: Part, scope: Scope) -> None:
    """Append the references that stand in the header fields of ``part`` itself, and note its links.

    Children have fields of their own: call it for each. Fields are judged one by one, so duplicates all
    count. Total and linear; sources are named beside the lists of fields.
    """
    for field in part.fields:
        if field[0] in _ACTING_FIELDS:
            _find_in_field(field.name, field, part, scope)
        elif "://" in field[1]:
            note_links(field.value, scope)


def document_base(chain: Sequence[Part]) -> str:
    """Return the URL that relative references of ``chain[-1]`` resolve against in some client, or ``""``.

    ``chain`` leads from the outermost part to the one in question. The nearest Content-Base counts, then the
    nearest Content-Location (RFC 2110 section 4; RFC 2557 section 5); a relative one resolves against those
    around it.
    """
    base = ""
    for part in chain:
        base = _base_at(part, base)
    return base


def content_locations(root: Part) -> dict[str, Part]:
    """Return the leaves below ``root`` that carry the content of a URL (RFC 2557), by that absolute URL.

    A reference to such a URL needs no copy: the content is in the message.
    """
    found: dict[str, Part] = {}
    stack: list[tuple[Part, str]] = [(root, "")]
    while stack:
        part, base = stack.pop()
        around = _base_at(part, base)
        stack.extend((child, around) for child in reversed(part.children))
        location = _location(part.content_location)
        if part.children or not location or part.body_span.start >= part.body_span.end:
            continue
        url = resolve(location, resolve(_location(part.content_base), base) or base)
        if url is not None and not _is_own_scheme(url):
            found.setdefault(url, part)
    return found


def _base_at(part: Part, base: str) -> str:
    """Return the base within ``part``, given the one around it."""
    if not part.content_base and not part.content_location:
        return base
    for written in (part.content_base, part.content_location):
        value = _location(written)
        if value and not _is_own_scheme(value):
            url = resolve(value, base)
            if url is not None and not _is_own_scheme(url):
                return url
    return base


def _find_in_field(name: str, field: Field, part: Part, scope: Scope) -> None:
    """Lead one field to what its name means."""
    url: str | None
    if name in RECEIPT_FIELDS or (name == "x-notes-item" and "receipt" in field.value.lower()):
        _remove_field(field, part, scope, Vector.RECEIPT_FIELD, _receipt_url(field, part))
    elif name in IMAGE_FIELDS:
        inline = name in {"face", "x-face"} and "://" not in field.value[:64]
        url = None if inline else remote(_unfolded(field.value), scope)
        if url is not None:
            _remove_field(field, part, scope, Vector.IMAGE_FIELD, url)
    elif name in DETACHED_FIELDS:
        url = remote(_unfolded(field.value), scope)
        if url is not None:
            _remove_field(field, part, scope, Vector.EXTERNAL_BODY, url)
    elif name in BIMI_FIELDS:
        _find_in_bimi(field, part, scope)
    elif name in BASE_FIELDS:
        _find_base(name, field, part, scope)
    elif name == "content-type":
        _find_in_content_type(field, part, scope)
    else:
        note_links(field.value, scope)


def _append(
    scope: Scope, part: Part, field: Field, vector: Vector, *, url: str, span: tuple[int, int], inert: str
) -> None:
    scope.findings.references.append(
        Reference(
            url=url,
            vector=vector,
            part=scope.part,
            source=part.source,
            start=span[0],
            end=span[1],
            inert=inert,
            element=field.name.strip(),
            attributes={"value": field.value},
        )
    )


def _remove_field(field: Field, part: Part, scope: Scope, vector: Vector, url: str) -> None:
    """Report a field that goes as a whole, its line break included."""
    start, end = field.span
    at_seam = end >= part.header_span.end and end < part.body_span.end
    if at_seam:  # no empty line ends this header: without this field the body might become one
        _append(scope, part, field, vector, url=url, span=(start, field.value_span.end), inert=_NEUTRAL_FIELD)
    else:
        _append(scope, part, field, vector, url=url, span=(start, end), inert="")


def _receipt_url(field: Field, part: Part) -> str:
    """Return the ``mailto:`` URL (RFC 6068) of all whom a receipt goes to; the sender if none is named."""
    found = _addresses(field.value)
    for name in ("disposition-notification-to", "reply-to", "from", "return-path"):
        found = found or _addresses(part.field(name))
    return "mailto:" + ",".join(found)


def _addresses(value: str) -> list[str]:
    """Return the addresses (addr-spec) of a field value, display names and quoted strings left out."""
    if "@" not in value:
        return []
    bare = _QUOTED_STRING.sub(" ", value) if '"' in value else value
    found: dict[str, None] = {}
    for piece in _NOT_IN_ADDRESS.split(bare):
        if 0 < piece.find("@") < len(piece) - 1:
            found[piece] = None
            if len(found) >= _MAX_ADDRESSES:
                break
    return list(found)


def _find_in_bimi(field: Field, part: Part, scope: Scope) -> None:
    """Report every URL of a BIMI-Location (draft-brand-indicators-for-message-identification section 5).

    An empty location is what the draft prescribes for a domain that shows no indicator.
    """
    start = field.value_span.start
    raw = part.source.data[start : field.value_span.end].decode("latin-1")
    at = 0
    while at < len(raw):
        match = _BIMI_TAG.match(raw, at)
        if match is None or match.end() == at:
            break
        at = match.end()
        url = remote("".join(match[1].split()), scope)
        if url is not None:
            value = match[1].rstrip()
            begin = start + match.start(1)
            _append(
                scope, part, field, Vector.BIMI_FIELD, url=url, span=(begin, begin + len(value)), inert=""
            )


def _find_base(name: str, field: Field, part: Part, scope: Scope) -> None:
    """Report a remote base; the name that a leaf with content bears is left alone: nobody fetches it."""
    value = _location(field.value)
    if not value or _is_own_scheme(value):
        return
    url = remote(value, scope)
    if url is None or (name == "content-location" and _is_data(part)):
        return
    _append(scope, part, field, BASE_FIELDS[name], url=url, span=_trimmed(field, part), inert=INERT_BASE)


def _is_data(part: Part) -> bool:
    """Tell whether a part is a leaf with content of a type that holds no relative references."""
    if part.children or part.body_span.start >= part.body_span.end:
        return False
    types = (part.media_type, *part.declared_types)
    return all(media_type.startswith(_DATA_TYPES) and media_type not in _SVG_TYPES for media_type in types)


def _find_in_content_type(field: Field, part: Part, scope: Scope) -> None:
    """Report where message/external-body, message/partial or a URL parameter sends a client."""
    raw = part.source.data[field.value_span.start : field.value_span.end].decode("latin-1")
    if _LOCATED_TYPE.search(raw) is None and not part.media_type.startswith("message/"):
        return
    content_type = scan_content_type(raw)
    values = content_type.values()
    types = (content_type.media_type, part.media_type, *part.declared_types)
    if "message/partial" in content_type.media_type:
        start = field.value_span.start
        span = (start + content_type.start, start + content_type.end)
        url = f"mid:{values.get('id', '').strip('<>')}"
        _append(scope, part, field, Vector.MESSAGE_PARTIAL, url=url, span=span, inert="text/plain")
    if any("external-body" in media_type for media_type in types):
        _find_external_body(content_type, field, part, scope)
        return
    for parameter in content_type.parameters:
        if parameter.attribute in _LOCATION_PARAMETERS:
            fetched = remote("".join(values[parameter.attribute].split()), scope)
            if fetched is not None:
                _report_parameter(parameter, fetched, field, part, scope)


def _find_external_body(content_type: RawContentType, field: Field, part: Part, scope: Scope) -> None:
    """Report where the body of a message/external-body lies (RFC 2046 section 5.2.3, RFC 2017)."""
    values = content_type.values()
    access = values.get("access-type", "").strip().lower()
    for parameter in content_type.parameters:
        value = values[parameter.attribute].strip()
        url: str | None = None
        if parameter.attribute in _LOCATION_PARAMETERS:
            url = remote("".join(value.split()), scope)
        elif parameter.attribute == "site" and value:
            scheme = {"tftp": "tftp", "local-file": "file", "afs": "file"}.get(access, "ftp")
            path = "/".join(
                piece.strip("/") for piece in (values.get("directory", ""), values.get("name", "")) if piece
            )
            address = f"{scheme}://{value}/{path}"
            url = resolve(address) or address
        elif parameter.attribute == "server" and value:
            url = f"mailto:{value}"
        elif parameter.attribute in {"name", "directory"}:
            url = remote(value, scope)
        if url is not None:
            _report_parameter(parameter, url, field, part, scope)


def _report_parameter(parameter: RawParameter, url: str, field: Field, part: Part, scope: Scope) -> None:
    """Report one parameter, to be replaced by an empty value in the grammar it is written in."""
    start = field.value_span.start
    inert = "''" if parameter.is_encoded else '""'
    span = (start + parameter.start, start + parameter.end)
    _append(scope, part, field, Vector.EXTERNAL_BODY, url=url, span=span, inert=inert)


def _location(value: str) -> str:
    """Return a Content-Location or Content-Base without folding white space, quotes and brackets."""
    return "".join(value.split()).strip("\"'<>")


def _is_own_scheme(value: str) -> bool:
    return value[:12].lower() == "thismessage:"


def _unfolded(value: str) -> str:
    return "".join(value.translate(_FOLDING).split()).strip("\"'<>")


def _trimmed(field: Field, part: Part) -> Span:
    """Return the place of a field's value without the white space around it."""
    start, end = field.value_span
    raw = part.source.data[start:end]
    left = len(raw) - len(raw.lstrip(b" \t\r\n"))
    right = len(raw) - len(raw.rstrip(b" \t\r\n"))
    return Span(start + left, max(start + left, end - right))
