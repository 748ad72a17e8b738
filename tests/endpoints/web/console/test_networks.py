"""Networks: what belongs together is linked, nothing covers anything else, and the same comes out every time."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from mailveil.core.intelligence.types import Infrastructure, InfrastructureFacts, Probe, Role
from mailveil.endpoints.web.console.networks import (
    LETTERS,
    MOST_IN_COLUMN,
    NODE_HEIGHT,
    links_of,
    network,
    shortened,
)


def piece(role: Role, value: str, first: float = 0, last: float = 0, messages: int = 1) -> Infrastructure:
    return Infrastructure(role, value, first, last or first, messages)


SENDER = piece(Role.SENDER_DOMAIN, "invoice-desk.example", 10, 90, 5)
HOST = piece(Role.TRACKER_HOST, "px.invoice-desk.example", 10, 90, 5)
DOMAIN = piece(Role.TRACKER_DOMAIN, "invoice-desk.example", 10, 90, 5)
ANSWERS = piece(Role.REPLY_DOMAIN, "mailbox.example", 50)
ADDRESS = piece(Role.ADDRESS, "203.0.113.8", 10, 90)
NAMES = piece(Role.NAME_SERVER, "ns1.cheap.example", 10, 90)
ALL = (SENDER, HOST, DOMAIN, ANSWERS, ADDRESS, NAMES)
PROBES = (Probe(10, "m", "anna", SENDER.value, host=HOST.value),)


def key(found: Infrastructure) -> tuple[Role, str]:
    return found.role, found.value


def test_what_belongs_together_is_linked() -> None:
    facts = [InfrastructureFacts(HOST.value, name_servers=(NAMES.value,), addresses=(ADDRESS.value, "::1"))]
    assert set(links_of(ALL, PROBES, facts)) == {
        (key(SENDER), key(HOST)),
        (key(HOST), key(DOMAIN)),
        (key(HOST), key(ADDRESS)),
        (key(DOMAIN), key(NAMES)),
        (key(SENDER), key(ANSWERS)),
    }


def test_where_nothing_else_tells_it_is_linked_by_the_moment_it_was_met() -> None:
    other = piece(Role.TRACKER_HOST, "px.elsewhere.example", 60, 70)
    links = links_of((SENDER, HOST, other, ADDRESS), (), ())
    assert (key(HOST), key(ADDRESS)) in links
    assert (key(other), key(ADDRESS)) not in links
    assert (key(SENDER), key(other)) in links, "within the time of the sender"
    late = piece(Role.ADDRESS, "203.0.113.9", 500)
    assert not [pair for pair in links_of((HOST, late), (), ()) if key(late) in pair]


def test_a_host_lies_in_the_longest_of_the_domains_and_not_in_what_only_looks_so() -> None:
    short = piece(Role.TRACKER_DOMAIN, "desk.example", 10, 90)
    assert (key(HOST), key(DOMAIN)) in links_of((HOST, DOMAIN, short), (), ())
    assert (key(HOST), key(short)) not in links_of((HOST, DOMAIN, short), (), ())


ROLES = list(Role)
PIECES = st.lists(
    st.builds(
        lambda role, number, first, span, messages, shared: Infrastructure(
            role, f"x{number}.example", first, first + span, messages, shared
        ),
        st.sampled_from(ROLES),
        st.integers(0, 30),
        st.floats(0, 100),
        st.floats(0, 100),
        st.integers(1, 50),
        st.booleans(),
    ),
    unique_by=key,
    max_size=100,
)


@given(PIECES, st.randoms())
def test_nothing_covers_anything_and_the_order_of_what_comes_in_does_not_matter(
    pieces: list[Infrastructure], chance: object
) -> None:
    chart = network("N", pieces, PROBES)
    shuffled = list(pieces)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert network("N", shuffled, PROBES) == chart
    assert len(chart.nodes) + chart.left_out == len(pieces) == len(chart.pieces)
    for node in chart.nodes:
        assert node.x >= 0
        assert node.x + node.width <= 100.05
        assert node.y >= 0
        assert node.y + NODE_HEIGHT <= chart.height
    for one, other in combinations(chart.nodes, 2):
        assert one.x != other.x or abs(one.y - other.y) >= NODE_HEIGHT
    for edge in chart.edges:
        assert edge.x1 < edge.x2


def test_thirty_pieces_are_all_drawn_and_more_of_a_kind_stand_in_the_list() -> None:
    thirty = [piece(role, f"{role}{number}.example") for role in ROLES[:6] for number in range(5)]
    chart = network("N", thirty)
    assert (len(chart.nodes), chart.left_out, chart.height) == (30, 0, 520)
    many = network("N", [piece(role, f"{role}{number}.example") for role in ROLES for number in range(6)])
    assert (len(many.nodes), many.left_out) == (12 + 12 + MOST_IN_COLUMN + 6, 18), "twelve in a column"
    assert len(many.pieces) == 60


def test_lines_that_need_not_cross_do_not() -> None:
    senders = [piece(Role.SENDER_DOMAIN, f"s{number}.example", number) for number in range(4)]
    hosts = [piece(Role.TRACKER_HOST, f"h{3 - number}.example", number) for number in range(4)]
    probes = [Probe(0, "m", "p", s.value, host=h.value) for s, h in zip(senders, hosts, strict=True)]
    chart = network("N", [*senders, *hosts], probes)
    assert len(chart.edges) == 4
    assert all(edge.y1 == edge.y2 for edge in chart.edges)


def test_one_piece_and_none_are_drawn_too() -> None:
    chart = network("N", [SENDER])
    assert [(each.x, each.width) for each in chart.nodes] == [(0, 24)]
    assert chart.summary == "It was carried out with 1 sender."
    nothing = network("N", [])
    assert (nothing.nodes, nothing.height) == ((), 0)
    assert nothing.summary.startswith("Nothing is known")


def test_the_list_tells_everything_with_what_it_belongs_with() -> None:
    chart = network("N", ALL, PROBES)
    assert [each.role for each in chart.pieces] == [
        "sender",
        "tracker host",
        "answers go to",
        "tracker domain",
        "address",
        "name server",
    ]
    assert chart.pieces[1].belongs_with == (ADDRESS.value, DOMAIN.value, SENDER.value)
    assert "1 tracker host" in chart.summary


def test_names_are_shortened_in_the_middle() -> None:
    assert shortened("short.example") == "short.example"
    long = shortened("tracking-europe-west.newsletter-office.example")
    assert long == "tracki…ffice.example"
    assert len(long) == LETTERS


def test_what_serves_everybody_is_told_apart() -> None:
    vendor = Infrastructure(Role.TRACKER_DOMAIN, "vendor.example", 0, 0, 3, shared=True)
    (node,) = network("N", [vendor]).nodes
    assert node.is_shared
    assert node.tone == "quiet"
    assert node.words == "tracker domain vendor.example, in 3 messages; serves everybody"
