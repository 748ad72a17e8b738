"""Two gateways that share one storage directory and one database lose no mail and no record, however they end.

Setup: two real ``mailveil serve --role gateway`` on one storage directory with a PostgreSQL of the test's own, started
at the same moment on an empty one.
Test: while mail goes through both, PostgreSQL is killed, one gateway is killed with SIGKILL and the other is told to
end with SIGTERM; then all three are back. Every message that was answered 250 is in the Maildir, what went through
the one that ended in good order is there just once, and whatever is there is on record as often as it is there.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import smtplib
from collections.abc import Iterator

from app.test_records_survive import PATIENCE_S, RECIPIENT, delivered, message, recorded, until
from mailveil_room import Mailveil, mailveil_room
from postgres_room import PostgresCluster

BURST = 5_000  # more than anybody gets done before it is over
ENDED = 20_000  # messages from this number on go through the gateway that ends in good order


@contextlib.contextmanager
def gateways(url: str) -> Iterator[tuple[Mailveil, Mailveil]]:
    """Run two gateways on the storage directory of the first one."""
    own = {"workers": {"processes": 1}, "database": {"url": url}, "milter": {"socket": ""}}
    with mailveil_room(own, started=False) as first:
        shared = {**own, "storage": {"directory": str(first.settings.directory)}}
        with mailveil_room(shared, started=False) as second:
            first.role = second.role = "gateway"
            start(first, second)
            yield first, second


def start(*them: Mailveil) -> None:
    with concurrent.futures.ThreadPoolExecutor(len(them)) as pool:
        list(pool.map(Mailveil.start, them))


def send(mailveil: Mailveil, numbers: range) -> list[str]:
    """Send messages one by one until that is not possible any more; return those that were answered 250."""
    taken = []
    with (
        contextlib.suppress(OSError, smtplib.SMTPException),
        smtplib.SMTP("127.0.0.1", mailveil.port, timeout=PATIENCE_S) as client,
    ):
        for number in numbers:
            client.sendmail("news@shop.example", [RECIPIENT], message(number))
            taken.append(f"<{number}@shop.example>")
    return taken


def shares(mailveil: Mailveil) -> tuple[dict[str, int], dict[str, int]]:
    """Return what was delivered, through the gateway that is killed and the one that ends in good order."""
    found: tuple[dict[str, int], dict[str, int]] = ({}, {})
    for identifier, times in delivered(mailveil).items():
        found[int(identifier[1:].partition("@")[0]) >= ENDED][identifier] = times
    return found


def test_what_two_gateways_took_is_delivered_and_on_record_whatever_ends_meanwhile(
    postgres_cluster: PostgresCluster,
) -> None:
    with (
        gateways(postgres_cluster.address) as (killed, ended),
        concurrent.futures.ThreadPoolExecutor(4) as pool,
    ):
        starts = (0, ENDED // 2, ENDED, 2 * ENDED)
        ways = (killed, killed, ended, ended)
        sending = [
            pool.submit(send, way, range(first, first + BURST))
            for way, first in zip(ways, starts, strict=True)
        ]
        until(lambda: min(map(len, shares(killed))) > 20, killed)
        postgres_cluster.kill()
        until(lambda: min(map(len, shares(killed))) > 50, killed)
        killed.kill()
        assert ended.process is not None
        ended.process.terminate()
        assert ended.process.wait(PATIENCE_S) == 0, ended.log()
        taken = [each.result() for each in sending]
        assert max(map(len, taken)) < BURST, "both ended in the middle"
        by_killed, by_ended = shares(killed)
        assert all(by_killed.get(each) == 1 for each in (*taken[0], *taken[1]))
        assert by_ended == dict.fromkeys([*taken[2], *taken[3]], 1), "nothing that its sender sends once more"
        postgres_cluster.start()
        start(killed, ended)
        there = delivered(killed)
        until(lambda: not there - recorded(killed), killed)
        records = recorded(killed)
        assert {each: records[each] for each in there} == dict(there), "each passage once"
        spool = killed.settings.directory / "observations"
        until(lambda: not list(spool.glob("*.spool")), killed)
        assert not list(spool.glob("*.refused"))
        for each in (killed, ended):
            assert "Traceback" not in each.log()
