"""Two gateways that share one storage directory and one database lose no mail and no record, however they end.

Setup: two real ``mailveil serve --role gateway``, started at the same moment on one storage directory that is empty,
with SQLite or a PostgreSQL of the test's own.
Test: while mail goes through both, PostgreSQL is killed, one gateway is killed with SIGKILL and the other is told to
end with SIGTERM; then all are back. Every message that was answered 250 is in the Maildir, what went through the one
that ended in good order is there just once, and whatever is there is on record as often as it is there. A policy that
is put in force then holds in both, and is whole in the file that both keep it in.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import itertools
import json
import smtplib
import tomllib
from collections.abc import Iterator

import pytest

from app.test_records_survive import PATIENCE_S, RECIPIENT, delivered, message, recorded, until
from mailveil.adapters.maildir import Maildir
from mailveil.app.controlling import opened_room
from mailveil.control.access import command_line_actor
from mailveil.control.policies import change_policy
from mailveil.core.policy.document import document_of
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


async def leave_mail_as_it_is(mailveil: Mailveil) -> None:
    """Put a policy in force."""
    rule = f'[[rules]]\nid = "own"\nwhen = {{ recipients = ["{RECIPIENT}"] }}\nthen = {{ action = "keep" }}\n'
    async with opened_room(mailveil.settings) as room:
        actor = command_line_actor("default", "test")
        await change_policy(room, actor, document_of(tomllib.loads(rule)), based_on=0)


def is_left_as_it_is(mailveil: Mailveil, number: int) -> bool:
    """Send a message and tell whether its tracker is still in it."""
    assert send(mailveil, range(number, number + 1))
    maildir = Maildir(mailveil.settings.local_maildir)
    (entry,) = maildir.newest(1)
    path = maildir.find(entry.name)
    assert path is not None
    raw = path.read_bytes()
    assert f"Message-ID: <{number}@".encode() in raw
    return f"/open/{number:08x}a9c.gif".encode() in raw


def shares(mailveil: Mailveil) -> tuple[dict[str, int], dict[str, int]]:
    """Return what was delivered, through the gateway that is killed and the one that ends in good order."""
    found: tuple[dict[str, int], dict[str, int]] = ({}, {})
    for identifier, times in delivered(mailveil).items():
        found[int(identifier[1:].partition("@")[0]) >= ENDED][identifier] = times
    return found


@pytest.mark.parametrize("kind", ["postgresql", "sqlite"])
def test_what_two_gateways_took_is_delivered_and_on_record_whatever_ends_meanwhile(
    kind: str, request: pytest.FixtureRequest
) -> None:
    cluster: PostgresCluster | None = None
    if kind == "postgresql":
        cluster = request.getfixturevalue("postgres_cluster")
    with (
        gateways(cluster.address if cluster else "") as (killed, ended),
        concurrent.futures.ThreadPoolExecutor(4) as pool,
    ):
        starts = (0, ENDED // 2, ENDED, 2 * ENDED)
        ways = (killed, killed, ended, ended)
        sending = [
            pool.submit(send, way, range(first, first + BURST))
            for way, first in zip(ways, starts, strict=True)
        ]
        until(lambda: min(map(len, shares(killed))) > 20, killed)
        if cluster is not None:
            cluster.kill()
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
        if cluster is not None:
            cluster.start()
        start(killed, ended)
        there = delivered(killed)
        until(lambda: not there - recorded(killed), killed)
        records = recorded(killed)
        assert {each: records[each] for each in there} == dict(there), "each passage once"
        spool = killed.settings.directory / "observations"
        until(lambda: not list(spool.glob("*.spool")), killed)
        assert not list(spool.glob("*.refused"))
        asyncio.run(leave_mail_as_it_is(killed))
        numbers = itertools.count(90_000)
        for each in (killed, ended):
            until(lambda each=each: is_left_as_it_is(each, next(numbers)), each)  # type: ignore[misc]
            assert "Traceback" not in each.log()
        kept = json.loads((killed.settings.directory / "policy.json").read_text())
        assert [rule["id"] for own in kept["organisations"] for rule in own["document"]["rules"]] == ["own"]
