"""The ways to put mailveil into the path of mail, each of them also without mailveil to compare with."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dovecot_room import Dovecot
from mailveil.app.recipes import postfix_milter_recipe, postfix_recipe
from mailveil.config.values import Endpoint, NextHop
from mailveil_room import Mailveil, mailveil_room
from postfix_room import Postfix, free_port, postfix_room
from sender_room import Sender

SETTINGS: Mapping[str, Mapping[str, Any]] = {"copies": {"mode": "none"}, "workers": {"processes": 1}}
REINJECTION = {
    "content_filter": "",
    "smtpd_proxy_filter": "",
    "smtpd_milters": "",
    "receive_override_options": "no_unknown_recipient_checks,no_header_body_checks,no_milters",
    "smtpd_client_restrictions": "",
    "smtpd_relay_restrictions": "permit_mynetworks,reject",
    "smtpd_recipient_restrictions": "permit_mynetworks,reject",
    "mynetworks": "127.0.0.0/8",
    "smtpd_authorized_xforward_hosts": "127.0.0.0/8",
}


@dataclass(frozen=True)
class Path:
    """A way for mail to come in: where to, and the programs on it."""

    port: int  # that a sender talks to
    postfix: Postfix | None = None
    mailveil: Mailveil | None = None
    lmtp: bool = False


def until(condition: Callable[[], object], what: Callable[[], object] = str, seconds: float = 120) -> None:
    """Wait until something holds; else fail with what there is to see."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what()
        time.sleep(0.05)


def with_sections(
    table: Mapping[str, Mapping[str, Any]], **more: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return settings with further ones in the named sections."""
    result = {area: dict(values) for area, values in table.items()}
    for area, values in more.items():
        result.setdefault(area, {}).update(values)
    return result


def reinjection(postfix: Postfix, port: int) -> None:
    """Have Postfix take mail back on a port of its own."""
    config, service = str(postfix.config), f"127.0.0.1:{port}/inet"
    postfix.run("postconf", "-c", config, "-M", f"{service}=127.0.0.1:{port} inet n - n - - smtpd")
    for name, value in REINJECTION.items():
        postfix.run("postconf", "-c", config, "-P", f"{service}/{name}={value}")


def option(postfix: Postfix, *options: str) -> None:
    """Set options of the port that takes mail from outside, and have them hold."""
    config = str(postfix.config)
    for each in options:
        postfix.run("postconf", "-c", config, "-P", f"127.0.0.1:{postfix.port}/inet/{each}")
    postfix.run("postfix", "-c", config, "reload")


def content_filter_recipe(mailveil: Mailveil, port: int, back: int) -> str:
    """Return the recipe that start-up prints, for these ports."""
    settings = mailveil.settings
    gateway = replace(
        settings.gateway, listen=Endpoint("127.0.0.1", port), next_hop=NextHop("127.0.0.1", back)
    )
    return postfix_recipe(replace(settings, gateway=gateway))


@contextlib.contextmanager
def milter(dovecot: Dovecot, table: Mapping[str, Mapping[str, Any]], *, bare: bool) -> Iterator[Path]:
    """Postfix asks mailveil about every message by the milter protocol, and delivers to Dovecot itself."""
    with postfix_room(transport=f"lmtp:unix:{dovecot.lmtp_socket}") as postfix:
        if bare:
            yield Path(postfix.port, postfix)
            return
        door = free_port()
        settings = with_sections(table, milter={"listen": f"127.0.0.1:{door}", "fetch_delay_s": 1})
        with mailveil_room(settings, doors=(door,)) as mailveil:
            postfix.paste(postfix_milter_recipe(mailveil.settings))
            yield Path(postfix.port, postfix, mailveil)


@contextlib.contextmanager
def content_filter(dovecot: Dovecot, table: Mapping[str, Mapping[str, Any]], *, bare: bool) -> Iterator[Path]:
    """Postfix queues, hands to mailveil by SMTP, and takes back on another port."""
    back = free_port()
    with postfix_room(transport=f"lmtp:inet:127.0.0.1:{dovecot.lmtp_port}") as postfix:
        settings = with_sections(table, gateway={"next_hop": f"smtp://127.0.0.1:{back}"})
        with mailveil_room(settings, started=not bare) as mailveil:
            # Without mailveil Postfix hands the message to its own way back.
            postfix.paste(content_filter_recipe(mailveil, back if bare else mailveil.port, back))
            yield Path(postfix.port, postfix, None if bare else mailveil)


@contextlib.contextmanager
def proxy_filter(dovecot: Dovecot, table: Mapping[str, Mapping[str, Any]], *, bare: bool) -> Iterator[Path]:
    """Postfix's smtpd hands to mailveil before it queues: the sender hears what comes of it."""
    back = free_port()
    with postfix_room(transport=f"lmtp:inet:127.0.0.1:{dovecot.lmtp_port}") as postfix:
        reinjection(postfix, back)
        settings = with_sections(table, gateway={"next_hop": f"smtp://127.0.0.1:{back}"})
        with contextlib.ExitStack() as stack:
            mailveil = None if bare else stack.enter_context(mailveil_room(settings))
            to = mailveil.port if mailveil else back
            option(postfix, f"smtpd_proxy_filter=127.0.0.1:{to}", "smtpd_proxy_options=speed_adjust")
            yield Path(postfix.port, postfix, mailveil)


@contextlib.contextmanager
def relay(dovecot: Dovecot, table: Mapping[str, Mapping[str, Any]], *, bare: bool) -> Iterator[Path]:
    """mailveil takes the mail itself and passes it on to Dovecot."""
    if bare:
        yield Path(dovecot.lmtp_port, lmtp=True)
        return
    settings = with_sections(
        table, gateway={"next_hop": f"lmtp+unix:{dovecot.lmtp_socket}", "recipient_domains": ["example.org"]}
    )
    with mailveil_room(settings) as mailveil:
        yield Path(mailveil.port, mailveil=mailveil)


@contextlib.contextmanager
def relay_to_postfix(
    dovecot: Dovecot, table: Mapping[str, Mapping[str, Any]], *, bare: bool
) -> Iterator[Path]:
    """mailveil takes the mail itself and passes it on to a Postfix."""
    with postfix_room(transport=f"lmtp:unix:{dovecot.lmtp_socket}") as postfix:
        if bare:
            yield Path(postfix.port, postfix)
            return
        settings = with_sections(
            table,
            gateway={
                "next_hop": f"smtp://127.0.0.1:{postfix.port}",
                "recipient_domains": ["example.org"],
                "hostname": "gate.example",
            },
        )
        option(postfix, "smtpd_authorized_xforward_hosts=127.0.0.0/8")
        with mailveil_room(settings) as mailveil:
            yield Path(mailveil.port, postfix, mailveil)


@contextlib.contextmanager
def filter_into_lmtp(dovecot: Dovecot, table: Mapping[str, Mapping[str, Any]]) -> Iterator[Path]:
    """Postfix queues and hands to mailveil by SMTP, which passes on to Dovecot by LMTP."""
    with postfix_room(transport="discard:") as postfix:
        settings = with_sections(table, gateway={"next_hop": f"lmtp+unix:{dovecot.lmtp_socket}"})
        with mailveil_room(settings) as mailveil:
            postfix.run(
                "postconf",
                "-c",
                str(postfix.config),
                "-e",
                f"relay_transport=smtp:[127.0.0.1]:{mailveil.port}",
            )
            postfix.run("postfix", "-c", str(postfix.config), "reload")
            yield Path(postfix.port, postfix, mailveil)


def carry(path: Path, dovecot: Dovecot, letters: Mapping[str, bytes]) -> dict[str, bytes]:
    """Send every letter with its name in the return path; return what lies in the Maildir afterwards."""
    dovecot.empty()
    with Sender(path.port, lmtp=path.lmtp) as sender:
        for name, raw in letters.items():
            options = " BODY=8BITMIME" if "8BITMIME" in sender.features else ""
            replies = sender.send(f"{name}@letters.example", ("reader@example.org",), raw, options)
            assert replies[-1].startswith("250"), (name, replies)
    until(
        lambda: dovecot.count() >= len(letters),
        lambda: (
            f"{dovecot.count()} of {len(letters)} arrived; "
            + (path.postfix.log()[-4000:] if path.postfix else "")
            + (path.mailveil.log()[-4000:] if path.mailveil else "")
        ),
    )
    found: dict[str, bytes] = {}
    for raw in dovecot.delivered():
        name = raw.partition(b"Return-Path: <")[2].partition(b"@")[0].decode()
        assert name not in found, f"{name} arrived twice"
        found[name] = raw
    assert set(found) == set(letters)
    return found
