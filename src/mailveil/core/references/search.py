"""Search: lead every part of a message, under every reading, to the grammars that some client would apply."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from urllib.parse import unquote

from mailveil.core.message.charset import read_texts
from mailveil.core.message.cms import examine_cms
from mailveil.core.message.openpgp import OpenPgpKind, examine_openpgp, open_openpgp
from mailveil.core.message.parse import parse_decoded, parse_entity
from mailveil.core.message.signed import is_ciphertext
from mailveil.core.message.tnef import is_tnef, parse_tnef
from mailveil.core.message.transfer import decode_body, decompress_gzip
from mailveil.core.message.types import Coding, Defect, Limits, Message, Part, Source, Span
from mailveil.core.references.calendar import find_in_calendar
from mailveil.core.references.certificates import find_in_certificates
from mailveil.core.references.css import find_in_css
from mailveil.core.references.fields import document_base, find_in_fields
from mailveil.core.references.html import find_in_html
from mailveil.core.references.rtf import find_in_rtf
from mailveil.core.references.tnef import find_in_tnef
from mailveil.core.references.types import Findings, Scope, nothing_is_ours
from mailveil.core.references.vcard import find_in_vcard
from mailveil.core.references.xml import find_in_xml

GZIP_MAGIC = b"\x1f\x8b\x08"
SNIFFED_BYTES = 256
COMPOSITE = ("multipart/", "message/")
CODED = frozenset({"base64", "quoted-printable", "x-uuencode", "x-uue", "uuencode"})


class Grammar(Enum):
    """A language that references stand in."""

    HTML = auto()
    XML = auto()
    CSS = auto()
    CALENDAR = auto()
    VCARD = auto()
    RTF = auto()
    TNEF = auto()
    CMS = auto()
    OPENPGP = auto()
    ENTITY = auto()  # a message or MIME entity within a decoded body


BY_TYPE: dict[str, Grammar] = {
    "text/html": Grammar.HTML,
    "text/x-amp-html": Grammar.HTML,
    "text/x-watch-html": Grammar.HTML,
    "text/webviewhtml": Grammar.HTML,
    "text/x-html": Grammar.HTML,
    "application/html": Grammar.HTML,
    "application/x-html": Grammar.HTML,
    "application/hta": Grammar.HTML,
    "text/x-server-parsed-html": Grammar.HTML,
    "application/xhtml+xml": Grammar.XML,
    "application/vnd.wap.xhtml+xml": Grammar.XML,
    "image/svg+xml": Grammar.XML,
    "image/svg": Grammar.XML,
    "image/svg-xml": Grammar.XML,
    "text/xml": Grammar.XML,
    "application/xml": Grammar.XML,
    "text/xsl": Grammar.XML,
    "text/css": Grammar.CSS,
    "text/calendar": Grammar.CALENDAR,
    "text/x-vcalendar": Grammar.CALENDAR,
    "application/ics": Grammar.CALENDAR,
    "text/vcard": Grammar.VCARD,
    "text/x-vcard": Grammar.VCARD,
    "text/directory": Grammar.VCARD,
    "application/vcard": Grammar.VCARD,
    "text/rtf": Grammar.RTF,
    "text/richtext": Grammar.HTML,
    "text/enriched": Grammar.HTML,
    "application/rtf": Grammar.RTF,
    "application/x-rtf": Grammar.RTF,
    "application/msword-rtf": Grammar.RTF,
    "application/ms-tnef": Grammar.TNEF,
    "application/vnd.ms-tnef": Grammar.TNEF,
    "application/pkcs7-mime": Grammar.CMS,
    "application/x-pkcs7-mime": Grammar.CMS,
    "application/pkcs7-signature": Grammar.CMS,
    "application/x-pkcs7-signature": Grammar.CMS,
    "application/cms": Grammar.CMS,
    "application/pgp-encrypted": Grammar.OPENPGP,
    "application/pgp": Grammar.OPENPGP,
    "message/rfc822": Grammar.ENTITY,
    "message/global": Grammar.ENTITY,
    "message/news": Grammar.ENTITY,
}
BY_EXTENSION: dict[str, Grammar] = {
    "html": Grammar.HTML,
    "htm": Grammar.HTML,
    "shtml": Grammar.HTML,
    "shtm": Grammar.HTML,
    "hta": Grammar.HTML,
    "xht": Grammar.XML,
    "xhtml": Grammar.XML,
    "svg": Grammar.XML,
    "svgz": Grammar.XML,
    "xml": Grammar.XML,
    "xsl": Grammar.XML,
    "css": Grammar.CSS,
    "ics": Grammar.CALENDAR,
    "ifb": Grammar.CALENDAR,
    "vcs": Grammar.CALENDAR,
    "vcf": Grammar.VCARD,
    "rtf": Grammar.RTF,
    "p7m": Grammar.CMS,
    "p7s": Grammar.CMS,
    "asc": Grammar.OPENPGP,
    "gpg": Grammar.OPENPGP,
    "pgp": Grammar.OPENPGP,
    "eml": Grammar.ENTITY,
    "mht": Grammar.ENTITY,
    "mhtml": Grammar.ENTITY,
}
# Openings that content sniffers take for markup whatever the declared type (WHATWG MIME Sniffing section 7.1
# and the wider habit of older clients, which look anywhere in the first bytes).
MARKUP_OPENINGS = (
    b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<iframe", b"<style", b"<title",
    b"<table", b"<img", b"<svg", b"<meta", b"<link", b"<base", b"<!--[if", b"<xml", b"<v:", b"<plaintext",
)  # fmt: skip
FIRST_MARKUP = (
    *MARKUP_OPENINGS,
    b"<h1", b"<div", b"<font", b"<a ", b"<b>", b"<br", b"<p>", b"<p ", b"<!--", b"<span", b"<center", b"<?xml",
    b"<video", b"<audio", b"<object", b"<embed", b"<input", b"<bgsound", b"<picture", b"<frameset",
)  # fmt: skip
WRITTEN = frozenset(
    {Grammar.HTML, Grammar.XML, Grammar.CSS, Grammar.CALENDAR, Grammar.VCARD, Grammar.RTF}
)  # grammars of characters
# Types whose content some client looks at before it believes the label; those of ciphertext prove nothing either.
SNIFFED_TYPES = (
    "text/", "multipart/", "message/", "application/pkcs7", "application/x-pkcs7", "application/cms",
    "application/pgp",
)  # fmt: skip
READABLE_OPENPGP = frozenset({OpenPgpKind.LITERAL, OpenPgpKind.COMPRESSED, OpenPgpKind.SIGNED})
# What a container's reader says when it could not look at everything.
UNOPENED = frozenset({Defect.TOO_LARGE, Defect.TOO_DEEP, Defect.TOO_MANY_PARTS})
# What is against the rules, yet leaves nothing open about what stands where.
READ_ALIKE = frozenset({Defect.OVERLONG_LINE})
TOP_LEVEL_TYPES = frozenset(
    {"text", "image", "audio", "video", "application", "multipart", "message", "font", "model", "chemical"}
)
UNTYPED = frozenset({
    "application/octet-stream", "application/unknown", "application/x-unknown", "application/binary",
    "application/x-download", "application/force-download", "application/x-octet-stream", "text/plain",
})  # fmt: skip


@dataclass(slots=True)
class Search:
    """What was found in one message.

    ``unexamined`` are the parts that no grammar could look into because of a limit: they must not reach a reader
    as they are. ``ambiguous`` is true where some part had more than one reading, so that the output of a rewrite
    has to be searched again.
    """

    findings: Findings = field(default_factory=Findings)
    unexamined: list[Part] = field(default_factory=list)
    ambiguous: bool = False


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """``ours`` recognises our own copies, ``known_issuer`` a certificate issuer that clients need not ask for."""

    limits: Limits = field(default_factory=Limits)
    ours: Callable[[str], bool] = nothing_is_ours
    known_issuer: Callable[[bytes], bool] = lambda _certificate: False


def find_references(message: Message, settings: SearchSettings | None = None) -> Search:
    """Return every place of a message from which some client would fetch, under every reading of it."""
    search = _MessageSearch(settings or SearchSettings())
    search.run(message)
    return search.result


class _MessageSearch:
    """One pass over one message; holds what may be counted only once."""

    def __init__(self, settings: SearchSettings) -> None:
        self.settings = settings
        self.result = Search()
        self.seen: set[tuple[int, Span, tuple[str, ...], tuple[str, ...], str]] = set()
        self.fields_seen: set[tuple[int, Span]] = set()
        self.entities = 0
        self.related: list[tuple[Part, str, set[str]]] = []  # parts with addresses, which may be style sheets

    def run(self, message: Message) -> None:
        if _is_ambiguous(message):
            self.result.ambiguous = True
        for root in message.readings:
            self.search_part(root, (), 0)
        self.search_sheets()

    def search_sheets(self) -> None:
        """Search as CSS whatever part a style sheet's address leads to: some clients do not ask for its type."""
        left = self.related
        while True:
            sheets = {unquote(address).strip() for address in self.result.findings.sheets}
            found = [item for item in left if sheets & item[2]]
            if not found:
                return
            left = [item for item in left if not sheets & item[2]]
            for part, base, _addresses in found:
                self.result.ambiguous = True
                sources, _defects = decode_body(part, self.settings.limits)
                for source in sources:
                    self.search_texts(source, part, base, {Grammar.CSS})

    def search_part(self, root: Part, ancestors: tuple[Part, ...], depth: int) -> None:
        stack: list[tuple[Part, tuple[Part, ...]]] = [(root, ancestors)]
        while stack:
            part, chain = stack.pop()
            chain = (*chain, part)
            if not part.examined:
                self.result.unexamined.append(part)
                continue
            place = (id(part.source), part.header_span)
            if place not in self.fields_seen:
                self.fields_seen.add(place)
                find_in_fields(part, self.scope(part, ""))
            if part.children:
                stack.extend((child, chain) for child in reversed(part.children))
                # RFC 2045 section 6.4 forbids to encode these, yet some clients decode them.
                if part.media_type.startswith(COMPOSITE) and CODED.isdisjoint(part.transfer_encodings):
                    continue
            stops = self.result.findings.defects.count(Defect.TOO_MANY_REFERENCES)
            self.search_leaf(part, chain, depth)
            if self.result.findings.defects.count(Defect.TOO_MANY_REFERENCES) > stops:
                self.result.unexamined.append(part)  # a grammar stopped before the end
            if len(self.result.findings.references) > self.settings.limits.max_references:
                self.give_up(root)
                return

    def give_up(self, root: Part) -> None:
        if Defect.TOO_MANY_REFERENCES not in self.result.findings.defects:
            self.result.findings.defects.append(Defect.TOO_MANY_REFERENCES)
        counts: dict[str, int] = {}
        for reference in self.result.findings.references:
            counts[reference.part] = counts.get(reference.part, 0) + 1
        sections = {
            section for section, count in counts.items() if count > self.settings.limits.max_references // 4
        }
        stack = [root]
        while stack:
            part = stack.pop()
            stack.extend(part.children)
            if not part.children and (part.section in sections or not sections):
                self.result.unexamined.append(part)

    def scope(self, part: Part, base: str, *, attached: bool = False) -> Scope:
        return Scope(
            part=part.section,
            findings=self.result.findings,
            base=base,
            ours=self.settings.ours,
            limits=self.settings.limits,
            attached=attached,
        )

    def search_leaf(self, part: Part, chain: tuple[Part, ...], depth: int) -> None:
        charset = part.parameters.get("charset", "")
        types = (part.media_type, *part.declared_types)
        key = (id(part.source), part.body_span, types, part.transfer_encodings, charset)
        if key in self.seen:
            return
        self.seen.add(key)
        grammars = declared_grammars(part)
        if (part.content_id or part.content_location) and Grammar.CSS not in (grammars or ()):
            addresses = {f"cid:{part.content_id}", part.content_location} - {"cid:", ""}
            self.related.append((part, document_base(chain), addresses))
        if grammars is None:
            return
        limits = self.settings.limits
        if not grammars and part.media_type.startswith("text/"):
            # Plain text of any size is read as far as a sniffer looks; it is searched only if that finds markup.
            limits = replace(limits, max_part_bytes=max(limits.max_part_bytes, len(part.source.data)))
        sources, defects = decode_body(part, limits)
        self.result.findings.defects.extend(defects)
        if Defect.TOO_LARGE in defects and not sources:
            if grammars or part.media_type.startswith("text/"):
                self.result.unexamined.append(part)
            return
        if len(sources) > 1:
            self.result.ambiguous = True
        for source in sources:
            self.search_source(source, part, chain, depth, set(grammars))

    def search_source(
        self, source: Source, part: Part, chain: tuple[Part, ...], depth: int, grammars: set[Grammar]
    ) -> None:
        if not source.data or (part.children and source.coding is Coding.IDENTITY):
            return
        types = (part.media_type, *part.declared_types)
        if source.coding is not Coding.IDENTITY and any(each.startswith("multipart/") for each in types):
            self.search_decoded(source, part, chain, depth)
        if source.data.startswith(GZIP_MAGIC) and Grammar.XML in grammars:
            unpacked, defects = decompress_gzip(source, self.settings.limits)
            self.result.findings.defects.extend(defects)
            if unpacked is None:
                self.result.unexamined.append(part)
                return
            source = unpacked
        # What is read as an entity of its own is sniffed part by part.
        sniffed: set[Grammar] = set() if Grammar.ENTITY in grammars else sniff(source.data, part)
        if sniffed - grammars and part.media_type != "application/octet-stream":
            self.result.findings.defects.append(Defect.SNIFFED_TYPE)
        grammars |= sniffed
        if grammars and len(source.data) > self.settings.limits.max_part_bytes:
            self.note_container([Defect.TOO_LARGE], part)
            return
        if not grammars or is_ciphertext(part, source):
            return
        base = document_base(chain)
        if Grammar.TNEF in grammars:
            self.search_tnef(source, part, chain, depth)
        if Grammar.CMS in grammars:
            self.search_cms(source, part, chain, depth)
        if Grammar.OPENPGP in grammars:
            self.search_openpgp(source, part, chain, depth)
        if Grammar.ENTITY in grammars:
            self.search_entity(source, part, chain, depth)
        written = grammars & WRITTEN
        if written:
            self.search_texts(source, part, base, written)

    def search_texts(self, source: Source, part: Part, base: str, grammars: set[Grammar]) -> None:
        texts, defects = read_texts(source, part)
        self.result.findings.defects.extend(defects)
        if len(texts) > 1:
            self.result.ambiguous = True
        scope = self.scope(part, base, attached=_is_attached(part))
        for text in texts:
            if Grammar.HTML in grammars:
                find_in_html(text, scope)
            if Grammar.XML in grammars:
                find_in_xml(text, scope)
            if Grammar.CSS in grammars:
                find_in_css(text, scope)
            if Grammar.CALENDAR in grammars:
                find_in_calendar(text, scope)
            if Grammar.VCARD in grammars:
                find_in_vcard(text, scope)
            if Grammar.RTF in grammars:
                find_in_rtf(text, scope)

    def search_tnef(self, source: Source, part: Part, chain: tuple[Part, ...], depth: int) -> None:
        base = document_base(chain)
        stream = parse_tnef(source, self.settings.limits.max_part_bytes)
        self.note_container(stream.defects, part)
        find_in_tnef(stream, self.scope(part, base))
        for media_type, child in stream.contents:
            self.search_content(child, media_type, part, chain, depth)

    def note_container(self, defects: Iterable[Defect], part: Part) -> None:
        """Note what is wrong with a container; what could not be opened to its end must not pass unsearched."""
        defects = list(defects)
        self.result.findings.defects.extend(defects)
        if not UNOPENED.isdisjoint(defects):
            self.result.unexamined.append(part)

    def search_content(
        self, source: Source, media_type: str, part: Part, chain: tuple[Part, ...], depth: int
    ) -> None:
        """Search what was taken out of a container and has a media type but no header of its own."""
        inner = replace(part, media_type=media_type, filename="", declared_types=(), parameters={})
        grammar = BY_TYPE.get(media_type)
        found = sniff(source.data, inner) if grammar is None else {grammar}
        if Grammar.ENTITY in found:
            self.search_entity(source, part, chain, depth)
        if Grammar.CMS in found:
            content = examine_cms(source.data, self.settings.limits.max_part_bytes)
            if content.inner and not content.is_ciphertext:
                # Nothing in here can be edited in place: whatever it holds, the whole must not reach a client.
                self.result.unexamined.append(part)
        if found & WRITTEN:
            self.search_texts(source, inner, document_base(chain), found & WRITTEN)

    def search_cms(self, source: Source, part: Part, chain: tuple[Part, ...], depth: int) -> None:
        content = examine_cms(source.data, self.settings.limits.max_part_bytes)
        self.note_container(content.defects, part)
        entity = None
        if content.inner:
            # The inner entity takes the whole part's place once it has to change, so its source stands for the
            # whole part, header included.
            entity = Source(content.inner, part.source, part.span, Coding.CMS_SIGNED)
            self.search_entity(entity, part, chain[:-1], depth)
        known_issuer = self.settings.known_issuer
        find_in_certificates(part, self.scope(part, ""), known_issuer, content.certificates, entity)

    def search_openpgp(self, source: Source, part: Part, chain: tuple[Part, ...], depth: int) -> None:
        children, defects = open_openpgp(source, self.settings.limits.max_part_bytes)
        self.note_container(defects, part)
        for media_type, child in children:
            if BY_TYPE.get(media_type) is Grammar.ENTITY:
                self.search_entity(child, part, chain, depth)
            else:
                self.search_content(child, media_type, part, chain, depth)

    def search_decoded(self, source: Source, part: Part, chain: tuple[Part, ...], depth: int) -> None:
        """Search a multipart that some client finds only once it has decoded the body."""
        if depth >= self.settings.limits.max_nesting:
            self.note_container([Defect.TOO_DEEP], part)
            return
        self.result.ambiguous = True
        message = parse_decoded(source, part, self.settings.limits, depth=depth)
        for root in message.readings:
            if not root.examined:
                self.result.unexamined.append(part)
            for child in root.children:
                self.search_part(child, chain, depth + 1)

    def search_entity(self, source: Source, part: Part, chain: tuple[Part, ...], depth: int) -> None:
        self.entities += 1
        if depth >= self.settings.limits.max_nesting or self.entities > self.settings.limits.max_parts:
            self.result.findings.defects.append(Defect.TOO_DEEP)
            self.result.unexamined.append(part)
            return
        message = parse_entity(source, part.section, self.settings.limits)
        self.result.findings.defects.extend(message.defects)
        if _is_ambiguous(message):
            self.result.ambiguous = True
        for root in message.readings:
            self.search_part(root, chain, depth + 1)


def _is_ambiguous(message: Message) -> bool:
    """Tell whether clients may differ about a message's structure, or something is wrong with it that matters."""
    return len(message.readings) > 1 or not READ_ALIKE.issuperset(message.defects)


def declared_grammars(part: Part) -> set[Grammar] | None:
    """Return the grammars that a leaf's declared types and file name call for; ``None``: surely none."""
    found: set[Grammar] = set()
    types = (part.media_type, *part.declared_types)
    for media_type in types:
        grammar = BY_TYPE.get(media_type)
        if grammar is not None:
            found.add(grammar)
        elif media_type.endswith("+xml"):
            found.add(Grammar.XML)
    filename = part.filename.rstrip(" .\t\0")  # Windows drops what stands behind
    extension = filename.rpartition(".")[2].strip().lower() if "." in filename else ""
    by_name = BY_EXTENSION.get(extension)
    if by_name is not None:
        found.add(by_name)
    if found:
        return found
    settled = all(media_type.startswith(("image/", "audio/", "video/", "font/")) for media_type in types)
    return None if settled else found


def sniff(data: bytes, part: Part) -> set[Grammar]:
    """Return the grammars that some client would apply to these bytes whatever their label."""
    found: set[Grammar] = set()
    if is_tnef(data):
        found.add(Grammar.TNEF)
    foreign = (
        part.media_type.partition("/")[0] not in TOP_LEVEL_TYPES
    )  # RFC 2045 section 5.2: as octet-stream
    foreign = foreign or "\0" in part.media_type  # who passes over NUL reads another type
    if not (foreign or part.media_type in UNTYPED or part.media_type.startswith(SNIFFED_TYPES)):
        return found
    opening = (
        data[:SNIFFED_BYTES].replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe\xfe\xff \t\r\n\f").lower()
    )
    attachment = part.disposition == "attachment"
    untyped = foreign or part.media_type in UNTYPED or part.media_type.startswith("message/")
    anywhere = not attachment and untyped and b"<" in opening
    if opening.startswith(FIRST_MARKUP) or (anywhere and any(tag in opening for tag in MARKUP_OPENINGS)):
        found.add(Grammar.HTML)
    if opening.startswith((b"<?xml", b"<svg", b"<!doctype svg")):
        found.add(Grammar.XML)
    if opening.startswith(b"begin:vcalendar"):
        found.add(Grammar.CALENDAR)
    if opening.startswith(b"begin:vcard"):
        found.add(Grammar.VCARD)
    if opening.startswith(b"{\\rtf"):
        found.add(Grammar.RTF)
    if b"-----BEGIN PGP MESSAGE" in data or (
        part.media_type == "application/octet-stream"
        and data[0] >= 0x80  # every OpenPGP packet begins so (RFC 9580 section 4.2)
        and examine_openpgp(data) in READABLE_OPENPGP
    ):
        found.add(Grammar.OPENPGP)
    if (
        attachment
        and part.media_type in UNTYPED
        and data.startswith((b"0\x80", b"0\x82", b"0\x83", b"0\x84"))
    ):
        found.add(Grammar.CMS)
    return found


def _is_attached(part: Part) -> bool:
    """Tell whether a browser would open this part on its own, scripts and all."""
    if part.disposition == "attachment":
        return True
    return (
        part.media_type not in ("text/html", "text/plain", "text/x-amp-html") and part.disposition != "inline"
    )
