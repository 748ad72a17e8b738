"""Features: a reference in its message as signals, and as the numbers that a model reads."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from mailveil.core.references.types import Reference
from mailveil.core.verdicts.addresses import (
    Place,
    is_ip_address,
    is_random,
    random_tokens,
    registrable_domain,
    take_apart,
    template_of,
)
from mailveil.core.verdicts.appearance import Surrounds, appearance_of
from mailveil.core.verdicts.meaning import (
    CONSTRUCTS,
    DECIDING,
    WEIGHTS,
    Construct,
    look_at_condition,
    look_at_construct,
    operator_weight,
    weight_of,
)
from mailveil.core.verdicts.operators import ASSET_HOSTS, find_operator, operator_of, operator_with_lists
from mailveil.core.verdicts.recipients import AddressForms
from mailveil.core.verdicts.signals import EvidenceClass, Signal
from mailveil.core.verdicts.types import Kind, Measured, MessageContext, Operator
from mailveil.core.verdicts.words import (
    ADJUSTED,
    CONTENT_HOST,
    CONTENT_PATH,
    NESTED,
    PROGRAM,
    REDIRECT,
    SIGNED,
    SPACER,
    STATIC,
    TRACKING_LABELS,
    TRACKING_PATH,
)

_URL: Final = EvidenceClass.URL
_RENDERING: Final = EvidenceClass.RENDERING
_MESSAGE: Final = EvidenceClass.MESSAGE


class Feature(NamedTuple):
    """One number that a model reads: where it comes from, whether more of it may only ever speak one way.

    ``monotone`` is 1 where more speaks for a tracker, -1 where it speaks for content, 0 where it depends.
    """

    evidence: EvidenceClass
    monotone: int
    meaning: str


# The order is that of the numbers. Names are permanent; a model that names another set is refused.
FEATURES: Final[Mapping[str, Feature]] = {
    "tokens": Feature(_URL, 1, "random-looking tokens of at least eight characters"),
    "token_longest": Feature(_URL, 1, "length of the longest of them"),
    "token_total": Feature(_URL, 0, "their length together"),
    "token_variety": Feature(_URL, 0, "different characters in the longest of them"),
    "word_longest": Feature(_URL, 0, "length of the longest run of letters, digits, - and _"),
    "mixing": Feature(_URL, 0, "changes between cases and digits in a run, as a share of its length"),
    "name_length": Feature(_URL, 0, "length of the last step of the path"),
    "name_mixing": Feature(_URL, 0, "changes between cases and digits in it, as a share of its length"),
    "name_random": Feature(_URL, 0, "whether a file's name looks random"),
    "numbers": Feature(_URL, 0, "numbers of at least four digits"),
    "digit_share": Feature(_URL, 0, "share of digits in path and query"),
    "upper_share": Feature(_URL, 0, "share of capitals in path and query"),
    "path_length": Feature(_URL, 0, "length of the path"),
    "query_length": Feature(_URL, 0, "length of the query"),
    "parameters": Feature(_URL, 0, "parameters of the query"),
    "depth": Feature(_URL, 0, "steps of the path"),
    "static": Feature(_URL, -1, "whether the path ends as a file's does"),
    "ending": Feature(_URL, 0, "none 0, .gif 1, .png 2, .jpg 3, other file 4, program 5"),
    "dotless": Feature(_URL, 0, "whether the last step has no dot"),
    "spacer": Feature(_URL, -1, "whether it is named like a layout spacer"),
    "tracking_path": Feature(_URL, 1, "whether the path has a word for tracking"),
    "tracking_query": Feature(_URL, 1, "whether the query has one"),
    "tracking_host": Feature(_URL, 1, "whether the host name begins with one"),
    "content_host": Feature(_URL, -1, "whether the host is named like a store of content"),
    "content_path": Feature(_URL, -1, "whether the path is"),
    "ip_host": Feature(_URL, 0, "whether the host is an IP address"),
    "host_labels": Feature(_URL, 0, "dots in the host name"),
    "host_longest": Feature(_URL, 0, "length of its longest label"),
    "host_mixing": Feature(
        _URL, 0, "changes between letters and digits in a label, as a share of its length"
    ),
    "adjusted": Feature(_URL, 0, "parameters for size, quality or version"),
    "signed": Feature(_URL, 0, "whether the query is signed as stores of content sign"),
    "nested": Feature(_URL, 0, "whether another URL stands in it"),
    "first_party": Feature(
        _MESSAGE, 0, "1 for the sender's own domain, 0 for another, -1 where none is known"
    ),
    "width": Feature(_RENDERING, -1, "declared width in pixels, 20.5 where none is"),
    "height": Feature(_RENDERING, -1, "declared height"),
    "smaller": Feature(_RENDERING, -1, "the smaller of both"),
    "larger": Feature(_RENDERING, -1, "the larger of both"),
    "sized": Feature(_RENDERING, 0, "whether both are declared"),
    "hidden": Feature(_RENDERING, 1, "whether it is hidden or out of sight"),
    "tiny": Feature(_RENDERING, 1, "whether it is hidden or at most three pixels wide and high"),
    "alt_length": Feature(_RENDERING, 0, "length of the alternative text, -1 where there is none"),
    "styled": Feature(_RENDERING, 0, "whether the element has a class, an identifier or a border"),
    "attributes": Feature(_RENDERING, 0, "attributes of the element"),
    "construct": Feature(_RENDERING, 0, "picture 0, background 1, style sheet or font 2, media 3, other 4"),
    "references": Feature(_MESSAGE, 0, "references of the message"),
    "from_end": Feature(_MESSAGE, 0, "references that follow it"),
    "position": Feature(_MESSAGE, 0, "where it stands among them, 0 to 1"),
    "document": Feature(_MESSAGE, 0, "binary logarithm of its part's length in bytes"),
    "from_host": Feature(_MESSAGE, 0, "references of the message to its host"),
    "host_share": Feature(_MESSAGE, 0, "their share"),
    "hosts": Feature(_MESSAGE, 0, "hosts that the message refers to"),
    "same_url": Feature(_MESSAGE, 0, "references of the message to the same URL"),
    "siblings": Feature(_MESSAGE, 0, "URLs of the message with the same template"),
    "seen_from_host": Feature(_MESSAGE, 0, "plain pictures of a visible size from the same host"),
}
NUMBER_OF: Final[Mapping[str, int]] = {name: number for number, name in enumerate(FEATURES)}

_PIECE: Final = re.compile(r"[A-Za-z0-9_\-]{8,}+")
_RUNS: Final = re.compile(r"[a-z]++|[A-Z]++|[0-9]++")
_NUMBERS: Final = re.compile(r"[0-9]{4,}+")
_DIGITS: Final = str.maketrans("", "", "0123456789")
_CAPITALS: Final = str.maketrans("", "", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_AUTHORITY: Final = re.compile(r"[a-z]+://([^/?#]*+)", re.IGNORECASE)
_ORDINARY_PORTS: Final = frozenset({"", "80", "443"})
_LONG_LABEL: Final = 20
_MOST: Final = 1_000.0
_UNDECLARED: Final = 20.5  # says less for a tracker than one pixel does, and more than a logo's size
_ADDRESSES: Final = ("src", "srcset", "background", "href")


class _Url(NamedTuple):
    """What a URL says wherever it stands."""

    place: Place
    domain: str
    template: str
    signals: tuple[Signal, ...]
    numbers: tuple[float, ...]
    meaning: float
    static: bool
    token: bool
    operator: Operator | None
    operator_kind: Kind | None
    listed: str = ""


class Surroundings:
    """What is worked out once a message: its URLs, hosts, templates and what stands around each reference."""

    def __init__(self, references: Sequence[Reference], context: MessageContext) -> None:
        senders = (context.envelope_sender, context.header_from)
        self.context = context
        self.forms = AddressForms(context.recipients, senders)
        self.domains = {
            domain for sender in senders if (domain := registrable_domain(sender.rpartition("@")[2].lower()))
        }
        self.of_message = tuple(_message_signals(references, context))
        self.linked_hosts = {take_apart(url).host for url in context.linked}
        self.total = len(references)
        self.index = {id(reference): number for number, reference in enumerate(references)}
        self.urls: dict[str, _Url] = {}
        self.surrounds: dict[int, Surrounds] = {}
        self.uses: Counter[str] = Counter(reference.url for reference in references)
        self.hosts: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()
        templates: dict[str, set[str]] = {}
        for reference in references:
            url = self.url(reference.url)
            self.hosts[url.place.host] += 1
            templates.setdefault(url.template, set()).add(reference.url)
            if url.static and reference.attributes:
                sight = appearance_of(reference.attributes)
                if not sight.hidden and max(sight.width or 0, sight.height or 0) >= 16:
                    self.seen[url.place.host] += 1
        self.siblings = {template: len(found) for template, found in templates.items()}

    def url(self, url: str) -> _Url:
        """Return what is known of a URL, looked at once."""
        found = self.urls.get(url)
        if found is None:
            found = self.urls[url] = _look_at_url(url, self)
        return found

    def around(self, reference: Reference) -> Surrounds:
        """Return what stands around the elements of a reference's source."""
        found = self.surrounds.get(id(reference.source))
        if found is None:
            found = self.surrounds[id(reference.source)] = Surrounds(reference.source.data)
        return found


def measure(reference: Reference, surroundings: Surroundings) -> Measured:
    """Return what there is to know of a reference of the message that ``surroundings`` were made of."""
    url = surroundings.url(reference.url)
    construct = CONSTRUCTS.get(reference.vector, Construct.OTHER)
    signals = [*url.signals]
    rendering = _look_at_rendering(reference, construct, url, surroundings, signals)
    message = _look_at_neighbours(reference, url, surroundings, signals)
    look_at_construct(reference, url.place.host, signals)
    signals += surroundings.of_message
    decided = construct is Construct.OTHER or not url.place.host or not DECIDING.isdisjoint(signals)
    meaning = url.meaning
    for signal in signals:
        if signal in WEIGHTS or decided:
            meaning += weight_of(signal, decided=decided)
    numbers = (*url.numbers, *rendering, *message)
    return Measured(tuple(signals), numbers, meaning, decided, url.operator, url.operator_kind, url.listed)


def _message_signals(references: Sequence[Reference], context: MessageContext) -> list[Signal]:
    signals = [Signal.FEW_REFERENCES if len(references) < 3 else Signal.MANY_REFERENCES]
    if context.is_list_mail:
        signals.append(Signal.LIST_MAIL)
    if context.mail_service:
        signals.append(Signal.MAIL_SERVICE)
    if context.service is not None:
        signals.append(Signal.OPERATOR_AUTHENTICATED)
    return signals


def _mixing(text: str) -> float:
    return len(_RUNS.findall(text)) / len(text)


def _looks_random(piece: str, mixing: float) -> bool:
    if mixing >= 0.3:
        return True
    if mixing > 0.2:
        return any(digit in piece for digit in "0123456789")
    return len(piece) >= 10 and piece.isdigit()


def _look_at_url(url: str, surroundings: Surroundings) -> _Url:
    """Return what the URL alone says."""
    place = take_apart(url)
    host, query = place.host, place.query
    signals: list[Signal] = []
    meaning = 0.0
    operator = kind = None
    if place.scheme in {"file", "smb"}:
        signals.append(Signal.CREDENTIAL_PATH)
    if not host:
        return _Url(place, "", url, tuple(signals), (0.0,) * 33, 0.0, False, False, None, None)
    shape = find_operator(host, place.target)
    if shape is not None:
        operator, kind = operator_of(shape), shape.kind
        signals.append(Signal.KNOWN_OPERATOR)
        meaning += operator_weight(operator.confidence)
    listed = surroundings.context.lists.look(url, host)
    if listed:
        signals.append(Signal.LISTED)
        operator = operator_with_lists(operator, listed)
    found = surroundings.forms.look(url)
    if found.recipient:
        signals.append(Signal.RECIPIENT_IN_HOST if found.in_host else Signal.RECIPIENT_IN_URL)
    elif found.stranger:
        signals.append(Signal.ADDRESS_IN_URL)
    if found.name:
        signals.append(Signal.RECIPIENT_NAME_IN_URL)
    if found.domain:
        signals.append(Signal.RECIPIENT_DOMAIN_IN_URL)
    _look_at_authority(url, signals)
    target = _look_at_target(place, signals)
    domain = registrable_domain(host)
    of_host = _look_at_host(host, domain, signals)
    first = -1.0
    if surroundings.domains and not of_host[0]:
        first = float(domain in surroundings.domains)
        signals.append(Signal.FIRST_PARTY if first else Signal.THIRD_PARTY)
    elif surroundings.domains:
        first = 0.0
    if surroundings.context.proves(domain):
        signals.append(Signal.ALIGNED_HOST)
    if host in surroundings.linked_hosts:
        signals.append(Signal.LINKED_HOST)
    token = bool(target[0]) or Signal.HASHED_NAME in signals
    tracking_host = float(Signal.TRACKING_HOST in signals)
    content_host = float(Signal.CONTENT_HOST in signals)
    numbers = (
        *target[:22], tracking_host, content_host, target[22], *of_host, *target[23:], first,
    )  # fmt: skip
    return _Url(
        place, domain, template_of(place), tuple(signals), numbers, meaning, bool(target[16]) and not query,
        token, operator, kind, "; ".join(map(str, listed)),
    )  # fmt: skip


def _look_at_authority(url: str, signals: list[Signal]) -> None:
    match = _AUTHORITY.match(url)
    if match is None:
        return
    authority = match[1]
    if "@" in authority:
        signals.append(Signal.USERINFO)
        authority = authority.rpartition("@")[2]
    if ":" in authority and authority.rpartition("]")[2].partition(":")[2] not in _ORDINARY_PORTS:
        signals.append(Signal.ODD_PORT)


def _look_at_host(host: str, domain: str, signals: list[Signal]) -> tuple[float, float, float, float]:
    """Return IP address, labels, longest label, mixing; append what the host name says."""
    if is_ip_address(host):
        signals.append(Signal.IP_HOST)
        return 1.0, 0.0, 0.0, 0.0
    if host in ASSET_HOSTS or domain in ASSET_HOSTS:
        signals.append(Signal.ASSET_HOST)
    labels = host.split(".")
    first = labels[0].rstrip("0123456789")
    if first in TRACKING_LABELS and host != domain:
        signals.append(Signal.TRACKING_HOST)
    if CONTENT_HOST.search(host):
        signals.append(Signal.CONTENT_HOST)
    longest = max(map(len, labels))
    mixing = max((_mixing(label) for label in labels if len(label) >= 8), default=0.0)
    if longest >= _LONG_LABEL or mixing >= 0.3:
        signals.append(Signal.OPAQUE_HOST)
    return 0.0, float(len(labels) - 1), float(longest), mixing


def _look_at_target(place: Place, signals: list[Signal]) -> tuple[float, ...]:
    """Return the numbers of path and query; append what they say."""
    path, query = place.path, place.query
    lowered = path.lower()
    static = lowered.endswith(STATIC)
    directory, _, name = path.rpartition("/")
    stem = name.rpartition(".")[0] if static else name
    varying = f"{directory} {query}" if static else f"{directory} {query} {name}"
    pieces = _PIECE.findall(varying)[:40]
    mixings = [_mixing(piece) for piece in pieces]
    random = [piece for piece, mixing in zip(pieces, mixings, strict=True) if _looks_random(piece, mixing)]
    longest = max(random, key=len, default="")
    name_mixing = _mixing(stem) if stem else 0.0
    name_random = static and len(stem) >= 12 and (name_mixing > 0.28 or bool(random_tokens(stem)))
    numbers = len(_NUMBERS.findall(varying if not static else f"{varying} {stem}"))
    _name_tokens([piece for piece in pieces if len(piece) < 16 or is_random(piece)], numbers, signals)
    if static and (name_random or random_tokens(name)):
        signals.append(Signal.HASHED_NAME)
    lowered_query = query.lower()
    spacer = static and not query and not random and SPACER.search(lowered) is not None
    tracking = not spacer and TRACKING_PATH.search(lowered) is not None
    tracking_query = bool(query) and TRACKING_PATH.search(lowered_query[:200]) is not None
    program = PROGRAM.search(lowered) is not None
    content_path = CONTENT_PATH.search(lowered) is not None
    adjusted = len(ADJUSTED.findall(lowered_query)) if query else 0
    signed = bool(query) and SIGNED.search(lowered_query) is not None
    nested = NESTED.search(path) is not None or (bool(query) and NESTED.search(query) is not None)
    target = path + query
    length = len(target) or 1
    digits = 1 - len(target.translate(_DIGITS)) / length if target else 0.0
    facts = (
        (static and not query, Signal.STATIC_FILE),
        (spacer, Signal.SPACER),
        (tracking or tracking_query, Signal.TRACKING_PATH),
        (program, Signal.PROGRAM),
        (content_path, Signal.CONTENT_PATH),
        (adjusted, Signal.ADJUSTED),
        (signed, Signal.SIGNED_URL),
        (nested, Signal.REDIRECTOR),
        (REDIRECT.search(lowered) is not None, Signal.REDIRECT_WORD),
        (digits >= 0.3 and length >= 12, Signal.MANY_DIGITS),
        (length >= 120, Signal.LONG_URL),
        (path.count("/") >= 7, Signal.DEEP_PATH),
        (query.count("=") >= 4, Signal.MANY_PARAMETERS),
        (path in {"", "/"} and not query, Signal.BARE_HOST),
    )
    signals += [signal for holds, signal in facts if holds]
    return (
        float(len(random)),
        float(len(longest)),
        float(min(sum(map(len, random)), 2_000)),
        float(len(set(longest))),
        float(max(map(len, pieces), default=0)),
        max(mixings, default=0.0),
        float(min(len(stem), 400)),
        name_mixing,
        float(name_random),
        float(numbers),
        digits,
        1 - len(target.translate(_CAPITALS)) / length if target else 0.0,
        float(len(path)),
        float(len(query)),
        float(query.count("=")),
        float(path.count("/")),
        float(static),
        _ending(lowered, static=static, program=program),
        float("." not in name),
        float(spacer),
        float(tracking),
        float(tracking_query),
        float(content_path),
        float(adjusted),
        float(signed),
        float(nested),
    )


def _name_tokens(pieces: list[str], numbers: int, signals: list[Signal]) -> None:
    long = [piece for piece in pieces if len(piece) >= 16]
    if long:
        signals.append(Signal.TOKEN_IN_URL)
        if any(len(piece) >= 40 for piece in long):
            signals.append(Signal.LONG_TOKEN_IN_URL)
    elif any(_mixing(piece) >= 0.4 for piece in pieces):
        signals.append(Signal.SHORT_TOKEN_IN_URL)
    elif numbers:
        signals.append(Signal.NUMBER_IN_URL)
    else:
        signals.append(Signal.PLAIN_URL)


def _ending(lowered: str, *, static: bool, program: bool) -> float:
    if not static:
        return 5.0 if program else 0.0
    if lowered.endswith(".gif"):
        return 1.0
    if lowered.endswith(".png"):
        return 2.0
    return 3.0 if lowered.endswith((".jpg", ".jpeg")) else 4.0


_BY_CONSTRUCT: Final = {
    Construct.PICTURE: Signal.PICTURE,
    Construct.BACKGROUND: Signal.BACKGROUND,
    Construct.STYLESHEET: Signal.STYLESHEET,
    Construct.MEDIA: Signal.MEDIA,
}


def _look_at_rendering(
    reference: Reference, construct: Construct, url: _Url, surroundings: Surroundings, signals: list[Signal]
) -> tuple[float, ...]:
    """Return the numbers of construct, attributes and size; append what they say."""
    attributes = reference.attributes
    sight = appearance_of(attributes)
    width, height, hidden = sight.width, sight.height, sight.hidden
    if construct is not Construct.OTHER:
        signals.append(_BY_CONSTRUCT[construct])
    _look_at_size(width, height, hidden, signals)
    tiny = hidden or sight.off_screen
    tiny = tiny or (width is not None and height is not None and width <= 3 and height <= 3)
    if sight.off_screen:
        signals.append(Signal.OFF_SCREEN)
    if hidden:
        signals.append(Signal.INVISIBLE)
    if reference.source.data:
        around = surroundings.around(reference)
        if around.is_conditional(reference.start):
            signals.append(Signal.CONDITIONAL_COMMENT)
        if around.is_hidden(reference.start):
            signals.append(Signal.HIDDEN_BY_ANCESTOR)
    if tiny and url.token:
        signals.append(Signal.UNIQUE_PIXEL)
    picture = construct is Construct.PICTURE
    alt = attributes.get("alt") if picture else None
    if alt is None:
        if picture and reference.element == "img":
            signals.append(Signal.MISSING_ALT)
    else:
        alt = alt.strip()
        signals.append(Signal.ALT_TEXT if alt else Signal.EMPTY_ALT)
    if picture:
        if Signal.PIXEL_1X1 in signals and Signal.THIRD_PARTY in signals and Signal.SPACER not in signals:
            signals.append(Signal.FOREIGN_PIXEL)
        if not url.numbers[16]:
            signals.append(Signal.DYNAMIC_PATH)
    styled = picture and ("class" in attributes or "id" in attributes or "border" in attributes)
    if styled:
        signals.append(Signal.STYLED)
    look_at_condition(attributes, signals)
    sizes = [min(size, _MOST) for size in (width, height) if size is not None]
    return (
        _UNDECLARED if width is None else min(width, _MOST),
        _UNDECLARED if height is None else min(height, _MOST),
        min(sizes, default=_UNDECLARED),
        max(sizes, default=_UNDECLARED),
        float(len(sizes) == 2),
        float(hidden or sight.off_screen),
        float(tiny),
        -1.0 if alt is None else float(min(len(alt), 20)),
        float(styled),
        float(min(len(attributes) - sum(name in attributes for name in _ADDRESSES), 20)) if picture else -1.0,
        float(construct),
    )


def _look_at_size(width: float | None, height: float | None, hidden: bool, signals: list[Signal]) -> None:
    if width is not None and height is not None:
        if width <= 1 and height <= 1:
            signals.append(Signal.PIXEL_1X1)
        elif width <= 3 and height <= 3:
            signals.append(Signal.PIXEL_SMALL)
        elif min(width, height) <= 3:
            signals.append(Signal.LINE)
        elif not hidden:
            signals.append(Signal.VISIBLE_SIZE if max(width, height) >= 16 else Signal.ICON_SIZE)
        return
    known = width if height is None else height
    if known is None:
        signals.append(Signal.UNDECLARED_SIZE)
    elif known <= 1:
        signals.append(Signal.PIXEL_HALF)
    elif not hidden:
        signals.append(Signal.VISIBLE_SIZE if known >= 16 else Signal.ICON_SIZE)


def _look_at_neighbours(
    reference: Reference, url: _Url, surroundings: Surroundings, signals: list[Signal]
) -> tuple[float, ...]:
    """Return the numbers of the message around a reference; append what it says."""
    host, total = url.place.host, surroundings.total
    index = surroundings.index.get(id(reference), 0)
    from_host = surroundings.hosts[host]
    same_url = surroundings.uses[reference.url]
    siblings = surroundings.siblings.get(url.template, 1)
    seen = surroundings.seen[host]
    size = len(reference.source.data) or surroundings.context.size
    facts = (
        (total >= 3 and index == total - 1, Signal.LAST_REFERENCE),
        (total >= 3 and index == 0, Signal.FIRST_REFERENCE),
        (total >= 3 and from_host == 1 and host, Signal.SOLE_FROM_HOST),
        (from_host >= 3 and host, Signal.SHARED_HOST),
        (seen, Signal.CONTENT_FROM_HOST),
        (siblings > 1, Signal.SIBLINGS),
        (same_url > 1, Signal.REPEATED_URL),
        (0 < size <= 2_000, Signal.LITTLE_TEXT),
    )
    signals += [signal for holds, signal in facts if holds]
    return (
        float(min(total, 100)),
        float(min(total - 1 - index, 50)),
        index / (total - 1) if total > 1 else 1.0,
        math.log2(size or 1),
        float(min(from_host, 30)),
        from_host / total if total else 1.0,
        float(min(len(surroundings.hosts), 50)),
        float(min(same_url, 10)),
        float(min(siblings, 20)),
        float(min(seen, 20)),
    )
