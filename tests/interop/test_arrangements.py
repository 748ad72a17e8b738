"""Setup: a real Postfix and a real Dovecot, and the real ``mailveil serve`` in their path in every arrangement.

Test: the same letters take each arrangement with mailveil and without it. What has nothing to be silenced arrives
byte for byte alike but for trace fields; all else arrives as ``mailveil clean`` makes it of what would have
arrived without mailveil. Logs stay true, and the sender hears what the next hop says.
"""

from __future__ import annotations

import imaplib
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from dovecot_room import PASSWORD, Dovecot, dovecot_room, missing_for_dovecot
from interop import arrangements
from interop.arrangements import SETTINGS, carry, until
from interop.letters import PLAIN, TRACKED, letters, without_trace
from mailveil_room import Mailveil
from postfix_room import missing_for_postfix
from sender_room import OUTSIDE, Sender

MISSING = missing_for_postfix() or missing_for_dovecot()
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"needs {MISSING}")
ARRANGEMENTS = ("milter", "content_filter", "proxy_filter", "relay", "relay_to_postfix")


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Dovecot]:
    with dovecot_room() as room:
        yield room


@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_letters_arrive_as_they_would_without_us_or_as_clean_makes_them(name: str, dovecot: Dovecot) -> None:
    arrange, sent = getattr(arrangements, name), letters()
    with arrange(dovecot, SETTINGS, bare=True) as path:
        without = _by_name(carry(path, dovecot, sent))
    with arrange(dovecot, SETTINGS, bare=False) as path:
        assert path.mailveil is not None
        _add_no_banners(path.mailveil)
        carried = carry(path, dovecot, sent)
        received = _by_name(carried)
        cleaned = path.mailveil.clean_all(without)
        assert f"[{OUTSIDE}]" in (path.postfix.log() if path.postfix else path.mailveil.log())
        if name in ("content_filter", "proxy_filter"):
            orig_client = rf"orig_client=\S+\[{re.escape(OUTSIDE)}\]"
            assert re.search(orig_client, path.postfix.log()), "on the way back, too"
    changed = {key for key in sent if without[key] != cleaned[key]}
    assert not changed.intersection(PLAIN)
    assert len(changed) > 15, "most of the others have something to be silenced"
    for key in sent:
        assert received[key] == cleaned[key], key
    assert shown_by_imap(dovecot) == sorted(carried.values()), "what readers see is what lies in the Maildir"


def _add_no_banners(mailveil: Mailveil) -> None:
    """Choose the level on which a message gets no banner, as ``mailveil clean`` gives none, and wait until it holds."""
    command = [sys.executable, "-P", "-m", "mailveil", "--config", str(mailveil.config)]
    subprocess.run([*command, "policy", "set-level", "gentle"], capture_output=True, check=True, timeout=120)
    kept = mailveil.settings.directory / "policy.json"
    until(lambda: kept.exists() and '"gentle"' in kept.read_text(), mailveil.log)


def _by_name(carried: dict[str, bytes]) -> dict[str, bytes]:
    return {name: without_trace(raw) for name, raw in carried.items()}


def shown_by_imap(dovecot: Dovecot) -> list[bytes]:
    seen = imaplib.IMAP4("127.0.0.1", dovecot.imap_port)
    seen.login("reader", PASSWORD)
    seen.select()
    _kind, answer = seen.fetch("1:*", "(BODY.PEEK[])")
    seen.logout()
    return sorted(each[1] for each in answer if isinstance(each, tuple))


def test_a_sender_hears_what_the_mail_store_says_of_each_recipient(dovecot: Dovecot) -> None:
    dovecot.empty()
    raw = TRACKED["pixel"]
    with arrangements.relay(dovecot, SETTINGS, bare=False) as path, Sender(path.port) as sender:
        with Sender(dovecot.lmtp_port, lmtp=True) as direct:
            unknown = direct.send("a@b.example", ("nobody@example.org",), raw)
            too_much = direct.send("a@b.example", ("full@example.org",), raw)
        assert unknown[0].startswith("550 5.1.1")
        assert too_much[0].startswith("552 5.2.2")
        assert sender.send("a@b.example", ("nobody@example.org",), raw) == unknown
        assert sender.send("a@b.example", ("full@example.org",), raw) == too_much
        assert sender.say("MAIL FROM:<a@b.example>").startswith("250")
        assert sender.say("RCPT TO:<reader@example.org>").startswith("250")
        assert sender.say("RCPT TO:<second@example.org>").startswith("452 4.5.3"), "could fare differently"
        assert sender.say("RSET").startswith("250")
        for recipient in ("reader", "second"):
            assert sender.send("a@b.example", (f"{recipient}@example.org",), raw)[0].startswith("250 2.0.0")
    assert [dovecot.count(user) for user in ("reader", "second", "full")] == [1, 1, 0]


def test_recipients_that_fare_differently_get_a_message_once_or_not_at_all(dovecot: Dovecot) -> None:
    dovecot.empty()
    recipients = tuple(f"{user}@example.org" for user in ("reader", "full", "second", "nobody", "third"))
    with arrangements.filter_into_lmtp(dovecot, SETTINGS) as path:
        with Sender(path.port) as sender:
            assert sender.send("a@b.example", recipients, TRACKED["pixel"])[0].startswith("250")

        def is_done() -> bool:
            path.postfix.flush()
            return path.postfix.queued() == 0

        until(is_done, path.postfix.log)
        log = path.postfix.log()
    assert [dovecot.count(user) for user in ("reader", "second", "third", "full")] == [1, 1, 1, 0]
    for user, status in {"full": "552 5.2.2", "nobody": "550 5.1.1"}.items():
        said = next(
            line for line in log.splitlines() if f"to=<{user}@example.org>" in line and "bounced" in line
        )
        assert f"said: {status}" in said, "the report to the sender says what the mail store said"


def test_before_the_queue_the_sender_hears_the_way_back(dovecot: Dovecot) -> None:
    dovecot.empty()
    recipients = ("reader@example.org", "second@example.org", "third@example.org")
    with arrangements.proxy_filter(dovecot, SETTINGS, bare=False) as path, Sender(path.port) as sender:
        reply = sender.send("a@b.example", recipients, TRACKED["pixel"])[0]
        assert reply.startswith("250 2.0.0 Ok: queued as ")
        until(lambda: all(dovecot.count(user) for user in ("reader", "second", "third")), path.postfix.log)
        assert [dovecot.count(user) for user in ("reader", "second", "third")] == [1, 1, 1]
        path.mailveil.kill()
        assert sender.send("a@b.example", recipients, TRACKED["pixel"])[0].startswith("451")
        path.mailveil.start()
        assert sender.send("a@b.example", recipients, PLAIN["plain"])[0].startswith(
            "250 2.0.0 Ok: queued as "
        )
