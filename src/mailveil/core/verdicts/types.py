"""The words for what a reference is: signal, verdict, kind, operator, risk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class Finding(StrEnum):
    """What a reference is there for."""

    TRACKER = "tracker"
    CONTENT = "content"


class Kind(StrEnum):
    """What a tracker tells its operator. Values are permanent."""

    OPEN = "open"  # that and when the message was opened
    DWELL = "dwell"  # how long it stayed open
    LOCATION = "location"  # where, beyond what any fetch gives away
    DEVICE = "device"  # which device, client or setting
    IDENTITY = "identity"  # who, by address rather than by token
    DNS = "dns"  # that it was opened, by a name look-up alone
    CREDENTIAL = "credential"  # the reader's log-in, as a challenge response
    INTERACTION = "interaction"  # that it was printed, forwarded, pointed at, replied to
    RECEIPT = "receipt"  # an answer by mail


class Risk(StrEnum):
    """How much a message as a whole would give away."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Signal(StrEnum):
    """One observed fact about a reference. Names are permanent; ``DESCRIPTIONS`` says what each means."""

    PIXEL_1X1 = "PIXEL_1X1"
    PIXEL_SMALL = "PIXEL_SMALL"
    PIXEL_HALF = "PIXEL_HALF"
    LINE = "LINE"
    INVISIBLE = "INVISIBLE"
    OFF_SCREEN = "OFF_SCREEN"
    VISIBLE_SIZE = "VISIBLE_SIZE"
    ALT_TEXT = "ALT_TEXT"
    RECIPIENT_IN_URL = "RECIPIENT_IN_URL"
    ADDRESS_IN_URL = "ADDRESS_IN_URL"
    TOKEN_IN_URL = "TOKEN_IN_URL"  # noqa: S105 - a signal's name
    LONG_TOKEN_IN_URL = "LONG_TOKEN_IN_URL"  # noqa: S105 - a signal's name
    HASHED_NAME = "HASHED_NAME"
    UNIQUE_PIXEL = "UNIQUE_PIXEL"
    FOREIGN_PIXEL = "FOREIGN_PIXEL"
    TRACKING_PATH = "TRACKING_PATH"
    TRACKING_HOST = "TRACKING_HOST"
    KNOWN_OPERATOR = "KNOWN_OPERATOR"
    STATIC_FILE = "STATIC_FILE"
    DYNAMIC_PATH = "DYNAMIC_PATH"
    SPACER = "SPACER"
    ASSET_HOST = "ASSET_HOST"
    REDIRECTOR = "REDIRECTOR"
    IP_HOST = "IP_HOST"
    FIRST_PARTY = "FIRST_PARTY"
    THIRD_PARTY = "THIRD_PARTY"
    LIST_MAIL = "LIST_MAIL"
    SILENT_MEDIA = "SILENT_MEDIA"
    RECEIPT_REQUEST = "RECEIPT_REQUEST"
    HOST_LOOKUP = "HOST_LOOKUP"
    CREDENTIAL_PATH = "CREDENTIAL_PATH"
    PRINT_BEACON = "PRINT_BEACON"
    HOVER_BEACON = "HOVER_BEACON"
    FORWARD_BEACON = "FORWARD_BEACON"
    DEVICE_QUERY = "DEVICE_QUERY"
    PREFETCH = "PREFETCH"
    PING = "PING"
    REFRESH = "REFRESH"
    SCRIPT = "SCRIPT"
    EXTERNAL_CONTENT = "EXTERNAL_CONTENT"
    SENDER_PICTURE = "SENDER_PICTURE"
    CERTIFICATE_LOOKUP = "CERTIFICATE_LOOKUP"


DESCRIPTIONS: Mapping[Signal, str] = {
    Signal.PIXEL_1X1: "Declared to be shown one pixel wide and high, or less.",
    Signal.PIXEL_SMALL: "Declared to be shown at most three pixels wide and high.",
    Signal.PIXEL_HALF: "One side is declared at most one pixel long, the other not.",
    Signal.LINE: "One side is declared at most three pixels long, the other longer: a rule or spacer.",
    Signal.INVISIBLE: "Hidden by its style or attributes (display, visibility, opacity, size, mso-hide).",
    Signal.OFF_SCREEN: "Positioned far outside the visible area.",
    Signal.VISIBLE_SIZE: "Declared at least sixteen pixels wide or high and not hidden.",
    Signal.ALT_TEXT: "Has an alternative text, so somebody is meant to see it.",
    Signal.RECIPIENT_IN_URL: "The URL holds a recipient's address, plain, encoded or hashed.",
    Signal.ADDRESS_IN_URL: "The URL holds some mail address, plain or encoded, that is not the sender's.",
    Signal.TOKEN_IN_URL: "Path or query holds a random-looking token of at least sixteen characters.",
    Signal.LONG_TOKEN_IN_URL: "Path or query holds a random-looking token of at least forty characters.",
    Signal.HASHED_NAME: "The file name of a picture looks random, as content stores name files.",
    Signal.UNIQUE_PIXEL: "A tiny or hidden picture whose address holds a random token or name.",
    Signal.FOREIGN_PIXEL: "A one-pixel picture from another domain than the sender's, not named like a spacer.",
    Signal.TRACKING_PATH: "The path contains a word for tracking, such as open, track, pixel or beacon.",
    Signal.TRACKING_HOST: "The host name begins with a word for tracking, such as trk or open.",
    Signal.KNOWN_OPERATOR: "The address has the shape of a known service's open tracking.",
    Signal.STATIC_FILE: "The path ends in a static file and there is no query.",
    Signal.DYNAMIC_PATH: "Loaded as a picture, but the path does not end as a file's does.",
    Signal.SPACER: "Named like a layout spacer (spacer.gif, blank.gif) and without a token.",
    Signal.ASSET_HOST: "The host serves public fonts, icons or libraries to everybody alike.",
    Signal.REDIRECTOR: "Another URL stands inside the URL.",
    Signal.IP_HOST: "The host is a bare IP address.",
    Signal.FIRST_PARTY: "Host and sender share a registrable domain.",
    Signal.THIRD_PARTY: "Host and sender have different registrable domains.",
    Signal.LIST_MAIL: "The message declares itself as list or bulk mail.",
    Signal.SILENT_MEDIA: "Sound or video that plays by itself, hidden or without controls.",
    Signal.RECEIPT_REQUEST: "A header field asks for a receipt.",
    Signal.HOST_LOOKUP: "Only a look-up or connection is asked for, under a host name with a long label.",
    Signal.CREDENTIAL_PATH: "A network share, to which a Windows client hands out the reader's log-in.",
    Signal.PRINT_BEACON: "Loaded only when the message is printed.",
    Signal.HOVER_BEACON: "Loaded only when the reader points at, focuses or activates something.",
    Signal.FORWARD_BEACON: "Loaded only where a client quotes or forwards the message.",
    Signal.DEVICE_QUERY: "Loaded only under a media query: it tells the device or a setting.",
    Signal.PREFETCH: "Asks the client to load something ahead of need.",
    Signal.PING: "Reports a click to an address of its own.",
    Signal.REFRESH: "Loads a document by itself, at once or again and again.",
    Signal.SCRIPT: "Runs or loads a program.",
    Signal.EXTERNAL_CONTENT: "The part's content, or the base of its references, lies elsewhere.",
    Signal.SENDER_PICTURE: "A header field names a picture of the sender.",
    Signal.CERTIFICATE_LOOKUP: "A certificate names an address that is asked while a signature is checked.",
}


@dataclass(frozen=True, slots=True)
class Operator:
    """Who runs a tracker, as far as can be told; ``confidence`` is 0 to 1.

    ``owner`` is the company behind the name where it is another, ``parent`` what the owner belongs to.
    ``evidence`` says by what it was known, ``source`` where that fact can be read, ``verified`` whether it can.
    """

    name: str
    confidence: float
    owner: str = ""
    parent: str = ""
    category: str = ""
    evidence: str = ""
    source: str = ""
    verified: bool = True


class Verdict(NamedTuple):
    """What one reference is. ``kinds`` is empty for content; the first is the weightiest.

    A tuple, because a message has as many as references.
    """

    kind_of_reference: Finding
    score: float
    kinds: tuple[Kind, ...] = ()
    signals: tuple[Signal, ...] = ()
    operator: Operator | None = None

    @property
    def is_tracker(self) -> bool:
        """Whether the reference is there to learn something about the reader."""
        return self.kind_of_reference is Finding.TRACKER

    @property
    def kind(self) -> Kind | None:
        """The main kind, ``None`` for content."""
        return self.kinds[0] if self.kinds else None


@dataclass(frozen=True, slots=True)
class MessageContext:
    """What a judge may know of the message around a reference.

    ``envelope_sender`` is the reverse-path, ``header_from`` the address of the From field, ``recipients``
    those of the envelope or, without one, of the To and Cc fields. ``fields`` holds header fields by
    lower-case name, at least those that tell list and bulk mail: ``list-id``, ``list-unsubscribe``,
    ``precedence``, ``feedback-id``.
    ``linked`` are the URLs of ordinary links, ``size`` the message's length in bytes.
    """

    envelope_sender: str = ""
    header_from: str = ""
    recipients: tuple[str, ...] = ()
    subject: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    linked: frozenset[str] = frozenset()
    size: int = 0

    @property
    def is_list_mail(self) -> bool:
        """Whether the message declares itself as list or bulk mail (RFC 2919, RFC 2369, Precedence)."""
        if any(name in self.fields for name in ("list-id", "list-unsubscribe", "feedback-id")):
            return True
        return self.fields.get("precedence", "").strip().lower() in {"bulk", "list"}
