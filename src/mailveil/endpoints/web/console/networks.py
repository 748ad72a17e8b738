"""Networks: what an activity was carried out with and what belongs together, as places in a drawing.

Pure, and the same for the same activity: columns from who sends to what answers, in each the order that lets lines
cross least. Across in percent, down in pixels, as in ``charts``; ``templates/console/activity_charts.html`` draws it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from mailveil.core.intelligence.types import Infrastructure, InfrastructureFacts, Probe, Role
from mailveil.endpoints.web.console.wording import plural

ROW = 52  # pixels from one node of a column to the next
NODE_HEIGHT = 40
MOST_IN_COLUMN = 12
GAP = 0.45  # of a node's width, between two columns
WIDEST = 24.0  # percent, of a node
SWEEPS = 6
LETTERS = 20
TAIL = 13  # of a name that is shortened: its end says whose it is
MOST_NEIGHBOURS = 3  # that something is linked to by time alone

ROLE_WORDS: Mapping[Role, str] = {
    Role.SENDER_DOMAIN: "sender",
    Role.SENDER_MAILBOX: "mailbox of free mail",
    Role.REPLY_DOMAIN: "answers go to",
    Role.TRACKER_HOST: "tracker host",
    Role.TRACKER_DOMAIN: "tracker domain",
    Role.CANONICAL_NAME: "alias of",
    Role.ADDRESS: "address",
    Role.CERTIFICATE: "certificate",
    Role.FINGERPRINT: "fingerprint",
    Role.NAME_SERVER: "name server",
}
_COLUMNS: tuple[tuple[Role, ...], ...] = (
    (Role.SENDER_DOMAIN, Role.SENDER_MAILBOX),
    (Role.TRACKER_HOST, Role.REPLY_DOMAIN),
    (Role.TRACKER_DOMAIN, Role.CANONICAL_NAME, Role.ADDRESS, Role.CERTIFICATE, Role.FINGERPRINT),
    (Role.NAME_SERVER,),
)
_TONES: Mapping[Role, str] = {
    Role.SENDER_DOMAIN: "note",
    Role.SENDER_MAILBOX: "note",
    Role.REPLY_DOMAIN: "note",
    Role.TRACKER_HOST: "alarm",
    Role.TRACKER_DOMAIN: "alarm",
}

_NAMES = frozenset(Role) - {Role.CERTIFICATE, Role.FINGERPRINT, Role.SENDER_MAILBOX}  # the others are digests
# Next to what a piece stands where only time tells; a domain's name says which hosts lie in it.
_NEXT_TO: Mapping[Role, tuple[Role, ...]] = {
    Role.SENDER_DOMAIN: (Role.TRACKER_HOST,),
    Role.SENDER_MAILBOX: (Role.TRACKER_HOST,),
    Role.TRACKER_HOST: (Role.SENDER_DOMAIN, Role.SENDER_MAILBOX),
    Role.REPLY_DOMAIN: (Role.SENDER_DOMAIN, Role.SENDER_MAILBOX),
    Role.TRACKER_DOMAIN: (),
    Role.CANONICAL_NAME: (Role.TRACKER_HOST,),
    Role.ADDRESS: (Role.TRACKER_HOST,),
    Role.CERTIFICATE: (Role.TRACKER_HOST,),
    Role.FINGERPRINT: (Role.TRACKER_HOST,),
    Role.NAME_SERVER: (Role.TRACKER_DOMAIN, Role.TRACKER_HOST),
}

Key = tuple[Role, str]
Link = Callable[[Key, Key], None]


@dataclass(frozen=True, slots=True)
class Node:
    """One piece: ``x`` and ``width`` in percent, ``y`` in pixels from the top. ``label`` is short, ``value`` whole."""

    role: Role
    value: str
    label: str
    x: float
    width: float
    y: float
    tone: str
    is_shared: bool
    words: str


@dataclass(frozen=True, slots=True)
class Edge:
    """A line between two nodes: across in percent, down in pixels."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, slots=True)
class Piece:
    """One line of the list below: everything of it, drawn or not, with what it belongs with."""

    infrastructure: Infrastructure
    role: str
    belongs_with: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Network:
    """The drawing, and the same as a list. ``left_out`` pieces stand in the list alone."""

    title: str
    summary: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    pieces: tuple[Piece, ...]
    height: int
    left_out: int = 0


def network(
    title: str,
    infrastructure: Sequence[Infrastructure],
    probes: Iterable[Probe] = (),
    facts: Iterable[InfrastructureFacts] = (),
) -> Network:
    """Return the drawing of what an activity was carried out with; ``facts`` tell what lies behind its hosts."""
    pieces = {(each.role, each.value): each for each in infrastructure}
    links = links_of(infrastructure, probes, facts)
    columns = [_drawn(pieces, links, roles) for roles in _COLUMNS]
    columns = _uncrossed([each for each in columns if each], links)
    places = _placed(columns)
    tallest = max((len(each) for each in columns), default=0)
    return Network(
        title=title,
        summary=_summary(infrastructure),
        nodes=tuple(_node(pieces[key], places[key], len(columns)) for column in columns for key in column),
        edges=tuple(
            _edge(places[one], places[other]) for one, other in links if one in places and other in places
        ),
        pieces=tuple(_piece(each, links) for each in sorted(infrastructure, key=_listed)),
        height=ROW * tallest,
        left_out=len(pieces) - len(places),
    )


def links_of(
    infrastructure: Sequence[Infrastructure], probes: Iterable[Probe], facts: Iterable[InfrastructureFacts]
) -> tuple[tuple[Key, Key], ...]:
    """Return what belongs together: met in one message, said by the DNS or by the server; by time where none says."""
    there = {(each.role, each.value): each for each in infrastructure}
    found: dict[tuple[Key, Key], None] = {}

    def link(one: Key, other: Key) -> None:
        if one in there and other in there:
            found[one, other] = None

    hosts = [value for role, value in there if role is Role.TRACKER_HOST]
    for each in probes:
        link((Role.SENDER_DOMAIN, each.sender_domain), (Role.TRACKER_HOST, each.host))
    for host in hosts:
        if domain := _domain_of(host, there):
            link((Role.TRACKER_HOST, host), (Role.TRACKER_DOMAIN, domain))
    for fact in facts:
        _link_facts(fact, there, link)
    known = {key for pair in found for key in pair}
    for key, piece in there.items():
        if key not in known:
            for other in _at_the_same_time(piece, there):
                one, two = (other, key) if _column(other[0]) < _column(key[0]) else (key, other)
                link(one, two)
    return tuple(sorted(found))


def _link_facts(fact: InfrastructureFacts, there: Mapping[Key, Infrastructure], link: Link) -> None:
    host = (Role.TRACKER_HOST, fact.host)
    domain = _domain_of(fact.host, there)
    above = (Role.TRACKER_DOMAIN, domain) if domain else host
    for name in fact.canonical_names:
        link(host, (Role.CANONICAL_NAME, name))
    for address in fact.addresses:
        link(host, (Role.ADDRESS, address))
    for name in fact.name_servers:
        link(above, (Role.NAME_SERVER, name))
    link(host, (Role.CERTIFICATE, fact.certificate))


def shortened(name: str, most: int = LETTERS) -> str:
    """Return a name that fits a node: the middle goes first, since the end says whose it is."""
    return name if len(name) <= most else f"{name[: most - TAIL - 1]}…{name[-TAIL:]}"


def _domain_of(host: str, there: Mapping[Key, Infrastructure]) -> str:
    """Return the longest tracker domain that a host lies in, ``""`` for none."""
    domains = [value for role, value in there if role is Role.TRACKER_DOMAIN]
    return max((each for each in domains if host == each or host.endswith("." + each)), key=len, default="")


def _at_the_same_time(piece: Infrastructure, there: Mapping[Key, Infrastructure]) -> list[Key]:
    """Return the pieces that it can belong to and that were first or last met in the very same moment, or so."""
    for role in _NEXT_TO[piece.role]:
        among = [each for each in there.values() if each.role is role]
        same = [each for each in among if each.first_at == piece.first_at or each.last_at == piece.last_at]
        over = [each for each in among if each.first_at <= piece.last_at and piece.first_at <= each.last_at]
        if chosen := same or over:
            chosen.sort(key=lambda each: (-each.messages, each.value))
            return [(each.role, each.value) for each in chosen[:MOST_NEIGHBOURS]]
    return []


def _column(role: Role) -> int:
    return next(number for number, roles in enumerate(_COLUMNS) if role in roles)


def _drawn(
    pieces: Mapping[Key, Infrastructure], links: Sequence[tuple[Key, Key]], roles: tuple[Role, ...]
) -> list[Key]:
    """Return what a column shows: kinds in their order, of each what was met most."""
    linked = {key for pair in links for key in pair}
    mine = [key for key in pieces if key[0] in roles]
    mine.sort(key=lambda key: (key not in linked, -pieces[key].messages, roles.index(key[0]), key[1]))
    return sorted(mine[:MOST_IN_COLUMN], key=lambda key: (roles.index(key[0]), -pieces[key].messages, key[1]))


def _uncrossed(columns: list[list[Key]], links: Sequence[tuple[Key, Key]]) -> list[list[Key]]:
    """Return columns in an order in which lines cross little: each node at the mean height of its neighbours."""
    neighbours: dict[Key, list[Key]] = {}
    for one, other in links:
        neighbours.setdefault(one, []).append(other)
        neighbours.setdefault(other, []).append(one)
    for sweep in range(SWEEPS):
        heights = {key: (place + 0.5) / len(column) for column in columns for place, key in enumerate(column)}
        order = range(len(columns)) if sweep % 2 == 0 else range(len(columns) - 1, -1, -1)
        for number in order:
            column = columns[number]
            mean = {
                key: _mean(
                    [heights[each] for each in neighbours.get(key, ()) if each in heights], heights[key]
                )
                for key in column
            }
            columns[number] = sorted(column, key=lambda key: (mean[key], column.index(key)))
            heights.update({key: (place + 0.5) / len(column) for place, key in enumerate(columns[number])})
    return columns


def _mean(values: Sequence[float], otherwise: float) -> float:
    return round(sum(values) / len(values), 9) if values else otherwise


def _placed(columns: Sequence[Sequence[Key]]) -> dict[Key, tuple[float, float, float]]:
    """Return for each node where it begins, how wide it is, and the height of its middle."""
    count = len(columns)
    width = min(WIDEST, 100 / (count + GAP * (count - 1))) if count else 0.0
    gap = (100 - count * width) / (count - 1) if count > 1 else 0.0
    tallest = max((len(each) for each in columns), default=0)
    return {
        key: (
            round(number * (width + gap), 2),
            round(width, 2),
            round(ROW * (tallest - len(column)) / 2 + ROW * place + ROW / 2, 1),
        )
        for number, column in enumerate(columns)
        for place, key in enumerate(column)
    }


def _node(piece: Infrastructure, place: tuple[float, float, float], columns: int) -> Node:
    x, width, middle = place
    most = LETTERS if columns > 3 else LETTERS + 6
    words = f"{ROLE_WORDS[piece.role]} {piece.value}, in {plural(piece.messages, 'message')}"
    return Node(
        role=piece.role,
        value=piece.value,
        label=shortened(piece.value, most) if piece.role in _NAMES else piece.value[:most],
        x=x,
        width=width,
        y=middle - NODE_HEIGHT / 2,
        tone="quiet" if piece.shared else _TONES.get(piece.role, "second"),
        is_shared=piece.shared,
        words=f"{words}; serves everybody" if piece.shared else words,
    )


def _edge(one: tuple[float, float, float], other: tuple[float, float, float]) -> Edge:
    left, right = sorted((one, other))
    return Edge(round(left[0] + left[1], 2), left[2], right[0], right[2])


def _piece(piece: Infrastructure, links: Sequence[tuple[Key, Key]]) -> Piece:
    key = (piece.role, piece.value)
    beside = [other for one, other in links if one == key] + [one for one, other in links if other == key]
    return Piece(piece, ROLE_WORDS[piece.role], tuple(value for _, value in beside))


def _listed(piece: Infrastructure) -> tuple[int, int, int, str]:
    column = _column(piece.role)
    return column, _COLUMNS[column].index(piece.role), -piece.messages, piece.value


def _summary(infrastructure: Sequence[Infrastructure]) -> str:
    """Return what the drawing says in a sentence."""
    counts = {role: sum(each.role is role for each in infrastructure) for role in ROLE_WORDS}
    named = {
        Role.SENDER_MAILBOX: "mailbox of free mail",
        Role.REPLY_DOMAIN: "domain for answers",
        Role.CANONICAL_NAME: "alias",
        Role.ADDRESS: "address",
    }
    many = {
        Role.SENDER_MAILBOX: "mailboxes of free mail",
        Role.REPLY_DOMAIN: "domains for answers",
        Role.CANONICAL_NAME: "aliases",
        Role.ADDRESS: "addresses",
    }
    told = [
        plural(count, named.get(role, ROLE_WORDS[role]), many.get(role, ""))
        for role, count in counts.items()
        if count
    ]
    if not told:
        return "Nothing is known of what it was carried out with."
    return f"It was carried out with {', '.join(told[:-1])}{' and ' if len(told) > 1 else ''}{told[-1]}."
