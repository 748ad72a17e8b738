"""The authenticator: who sent a message is found out in bounded time, whatever the DNS or the message does.

Setup: messages signed by dkimpy, a stub of the DNS that answers, fails or hangs, and hostile messages.
Test: results and who was asked; that nothing raises, nothing blocks the event loop for long, and a budget
that runs out is recorded as such.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from mailveil.adapters.authenticator import MessageAuthenticator
from mailveil.core.authentication import Authentication, Result, TrustedServers, why_unsealable
from mailveil.core.authentication.arc import results_value
from signing_room import MESSAGE, StubDns, arc_signed, record, rsa_key, signed

NAME = "s1._domainkey.example.org"
KEY = record(rsa_key())
GENEROUS_S = 60.0


def found(
    raw: bytes, dns: StubDns, *, timeout_s: float = GENEROUS_S, verify: bool = True, **more: Any
) -> Authentication:
    async def work() -> Authentication:
        authenticator = MessageAuthenticator(
            dns, more.pop("trust", TrustedServers()), timeout_s=timeout_s, verify=verify, **more
        )
        try:
            return await authenticator.authenticate(raw)
        finally:
            authenticator.close()

    return asyncio.run(work())


def test_a_signature_is_verified_with_the_key_from_the_dns() -> None:
    dns = StubDns({NAME: (KEY,)})
    result = found(signed(), dns)
    assert result.author_domain == "mail.example.org"
    assert dns.asked == [NAME]


def test_without_signature_the_dns_is_not_asked() -> None:
    dns = StubDns()
    result = found(MESSAGE, dns)
    assert result == Authentication(
        from_fields=1, from_domains=("mail.example.org",), from_addresses=("news@mail.example.org",)
    )
    assert dns.asked == []


def test_each_name_is_asked_for_once() -> None:
    dns = StubDns({NAME: (KEY,)})
    result = found(signed(signed()), dns)
    assert [each.result for each in result.dkim] == [Result.PASS, Result.PASS]
    assert dns.asked == [NAME]


def test_signatures_need_not_be_looked_at() -> None:
    dns = StubDns()
    trust = TrustedServers("mx.example")
    raw = b"Authentication-Results: mx.example; dmarc=pass header.from=mail.example.org\r\n" + signed()
    result = found(raw, dns, verify=False, trust=trust)
    assert (result.dkim, result.unverified, dns.asked) == ((), 1, [])
    assert result.author_domain == "mail.example.org"


def test_a_failing_dns_is_recorded() -> None:
    result = found(signed(), StubDns(failing=frozenset({NAME})))
    assert [(each.result, each.reason) for each in result.dkim] == [
        (Result.TEMPERROR, "key not available now")
    ]


def test_a_dns_that_hangs_holds_up_one_signature_and_not_the_mail() -> None:
    class Half(StubDns):
        async def __call__(self, name: str, timeout_s: float) -> Any:
            self.delay_s = 0.0 if name == NAME else 3600.0
            return await super().__call__(name, timeout_s)

    dns = Half({NAME: (KEY,)})
    result = found(signed(signed(), selector=b"hangs"), dns, timeout_s=5.0)
    assert [each.result for each in result.dkim] == [Result.TEMPERROR, Result.PASS]


def test_a_lookup_that_ignores_its_time_is_left_behind() -> None:
    class Deaf(StubDns):
        async def __call__(self, name: str, timeout_s: float) -> Any:
            await asyncio.sleep(3600)

    result = found(signed(), Deaf(), timeout_s=0.5)
    assert [each.result for each in result.dkim] == [Result.TEMPERROR]
    assert result.from_domains == ("mail.example.org",)


def test_a_lookup_that_breaks_is_no_reason_to_keep_mail() -> None:
    class Broken(StubDns):
        async def __call__(self, name: str, timeout_s: float) -> Any:
            raise RuntimeError("a bug of ours, naming anna@example.org")

    result = found(signed(), Broken())
    assert [each.result for each in result.dkim] == [Result.TEMPERROR]


def test_no_time_at_all() -> None:
    result = found(signed(), StubDns({NAME: (KEY,)}), timeout_s=0.0)
    assert result.author_domain == ""
    # Nobody may vouch for what nobody has read.
    assert why_unsealable(result) or [each.result for each in result.dkim] == [Result.TEMPERROR]


def test_what_was_not_verified_is_not_vouched_for() -> None:
    raw = arc_signed(b"Authentication-Results: list.example; spf=pass\r\n" + signed())
    result = found(raw, StubDns(), verify=False)
    assert why_unsealable(result)
    result = found(signed(), StubDns(), verify=False)
    assert not why_unsealable(result)
    assert "dkim" not in results_value(1, "mx", result)


def test_a_chain_is_verified_too() -> None:
    raw = arc_signed(b"Authentication-Results: list.example; spf=pass\r\n" + MESSAGE)
    dns = StubDns({"arc._domainkey.list.example": (KEY,)})
    assert found(raw, dns).arc.result is Result.PASS
    assert dns.asked == ["arc._domainkey.list.example"]
    assert (
        found(raw, StubDns(failing=frozenset({"arc._domainkey.list.example"}))).arc.result is Result.TEMPERROR
    )


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\r\n",
        b"\0" * 1000,
        b"no header at all",
        b"From: a@b.example",
        b"From:" + b" a@b.example," * 200_000 + b"\r\n\r\n",
        b"X: y\r\n" * 400_000,
        b"DKIM-Signature: v=1;\r\n" * 10_000 + MESSAGE,
        b"ARC-Seal: i=1\r\n" * 10_000 + MESSAGE,
        signed() + b" " * 20_000_000,
        signed() + b" \t" * 5_000_000 + b"x",
        signed() + b"\r\n" * 5_000_000 + b"x",
        signed() + b"\r" * 5_000_000,
    ],
    ids=lambda raw: f"{raw[:12]!r}-{len(raw)}",
)
def test_no_message_makes_it_fail(raw: bytes) -> None:
    result = found(raw, StubDns({NAME: (KEY,)}))
    assert isinstance(result, Authentication)
    assert all(each.result is not Result.TEMPERROR for each in result.dkim)


def gaps(work: Callable[[], Coroutine[Any, Any, Any]]) -> float:
    """Return the longest time for which nothing else could run meanwhile."""

    async def watch() -> float:
        worst, last = 0.0, time.monotonic()
        task = asyncio.create_task(work())
        while not task.done():
            await asyncio.sleep(0.001)
            now = time.monotonic()
            worst, last = max(worst, now - last), now
        await task
        return worst

    return asyncio.run(watch())


def test_a_large_message_leaves_the_event_loop_room() -> None:
    """No figure is asserted but one that hashing in the loop, or in one piece, would exceed by far."""
    authenticator = MessageAuthenticator(StubDns({NAME: (KEY,)}), TrustedServers(), timeout_s=GENEROUS_S)
    raw = signed() + b"a b \t c\r\n" * 5_000_000
    begin = time.monotonic()
    worst = gaps(lambda: authenticator.authenticate(raw))
    assert worst < max(0.5, (time.monotonic() - begin) / 2)
    authenticator.close()
