"""Announcing: what start-up and console say of what runs, and what needs an administrator."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from mailveil import __version__
from mailveil.adapters.attempts import count_given_up
from mailveil.app.building import build_next_hop
from mailveil.app.recipes import is_visible_to_readers, mail_server_recipes, trial_command
from mailveil.app.roles import Role
from mailveil.config import Settings, policy_settings
from mailveil.config.values import Endpoint, Listen, public_host
from mailveil.core.protection import CopyMode
from mailveil.endpoints.web.console.facts import ConsoleFacts, Listening

PURPOSES = {
    Role.GATEWAY: "takes mail by SMTP and makes it silent",
    Role.COPIES: "serves safe copies to readers' mail clients",
    Role.CONSOLE: "where people look and decide, and programs ask",
    Role.EGRESS: "lets the fetchers of other machines out",
}
MILTER_PURPOSE = "has mail servers' mail made silent while they receive it"


def alarms(settings: Settings, now: float) -> list[str]:
    """Return what is wrong right now, in words for an administrator; nothing as a rule."""
    most = settings.gateway.max_inert_per_hour
    if count_given_up(settings.directory / "attempts", now) < max(1, most):
        return []
    text = (
        f"{most} messages could not be examined and became inert text within the hour; whatever else fails now stays "
        "with its sender (451). Either somebody sends such messages on purpose, or mailveil itself is at fault: the "
        "log says why they failed. Go back to the release before, or raise [gateway] max_inert_per_hour."
    )
    return [text]


def console_facts(
    settings: Settings, roles: Collection[Role], ports: Mapping[Role, Endpoint], next_hop: str
) -> ConsoleFacts:
    """Return what the console is told of this process, before all of it listens."""
    expected = _expected_ports(settings, roles, ports)
    return ConsoleFacts(
        version=__version__,
        listening=tuple(
            Listening(str(role), str(endpoint), PURPOSES[role]) for role, endpoint in sorted(expected.items())
        )
        + tuple(Listening("milter", where, MILTER_PURPOSE) for where in _expected_milters(settings, roles)),
        next_hop=next_hop,
        copies_url=settings.copies_url,
        copies_mode=str(settings.copies.mode),
        fetching=settings.fetch.enabled,
        try_command=trial_command(settings, program()),
        postfix_recipe=mail_server_recipes(settings),
        directory=str(settings.directory),
        host_names=_host_names(settings),
        warnings=tuple(_warnings(settings, roles)),
        console_url=settings.console_url,
        trusted_proxies=settings.console.trusted_proxies,
        policy_settings=policy_settings(settings),
    )


def _expected_ports(
    settings: Settings, roles: Collection[Role], ports: Mapping[Role, Endpoint]
) -> dict[Role, Endpoint]:
    """Return what this process listens on, as far as it is known before it is listened on."""
    expected = [role for role in (Role.GATEWAY, Role.COPIES, Role.CONSOLE) if role in roles]
    return {role: ports.get(role) or getattr(settings, role).listen for role in expected}


def _expected_milters(settings: Settings, roles: Collection[Role]) -> list[str]:
    """Return where the milter of this process listens, known before it is listened on."""
    if Role.GATEWAY not in roles:
        return []
    return [str(where) for where in (settings.milter.listen, settings.milter_socket) if where]


def _host_names(settings: Settings) -> frozenset[str]:
    names = {settings.console.listen.host, public_host(settings.console_url)}
    if settings.console.listen.is_loopback:
        names |= {"localhost", "127.0.0.1", "::1"}
    return frozenset(names - {"", "0.0.0.0", "::"})  # noqa: S104


def program() -> str:
    """Return how this program was called, for commands to paste."""
    called = Path(sys.argv[0])
    if called.name != "mailveil":
        return f"{sys.executable} -m mailveil"
    with contextlib.suppress(ValueError):
        return str(called.absolute().relative_to(Path.cwd()))
    return str(called)


def is_in_clear(settings: Settings) -> bool:
    """Tell whether the console is reached from elsewhere without encryption."""
    return not settings.console.listen.is_loopback and not settings.console_url.startswith("https://")


def _warnings(settings: Settings, roles: Collection[Role]) -> list[str]:
    found = []
    if (
        settings.copies.mode is CopyMode.HOSTED
        and settings.gateway.next_hop
        and not is_visible_to_readers(settings)
    ):
        found.append(
            f"Readers are given {settings.copies_url}, which phones and other machines cannot reach. "
            'Set [copies] public_url = "https://…".'
        )
    if settings.fetch.enabled and Role.FETCHER in roles and not settings.fetch.exits:
        found.append(
            'Fetches come from this machine\'s own address; [fetch] exits = ["socks5://…"] hides it.'
        )
    if Role.EGRESS in roles and settings.egress.user and not settings.egress.certificate_file:
        found.append(
            "The exit's password comes in clear text; set [egress] certificate_file, or put a tunnel around it."
        )
    if Role.CONSOLE in roles and is_in_clear(settings):
        found.append(
            f"Passwords cross the network in clear text on the way to {settings.console_url}; put TLS in front of it "
            'and set [console] public_url = "https://…" (docs/console.md).'
        )
    return found


def _whence(settings: Settings) -> str:
    if not settings.fetch.enabled:
        return "off: no origin is contacted, copies are placeholders"
    exits = ", ".join(str(each) for each in settings.fetch.exits)
    return f"safe copies, {f'through {exits}' if exits else 'from this machine'}"


def announcement(
    settings: Settings,
    roles: Collection[Role],
    ports: Mapping[Role, Endpoint],
    *,
    lmtp: Listen | None,
    milters: Sequence[str],
    metrics: Endpoint | None = None,
) -> list[str]:
    """Return the lines that start-up prints: what listens where, and what to paste."""
    lines = [f"mailveil {__version__}"]
    for role in (Role.GATEWAY, Role.COPIES, Role.CONSOLE, Role.EGRESS):
        if endpoint := ports.get(role):
            scheme = {Role.GATEWAY: "smtp", Role.EGRESS: "socks5"}.get(role, "http")
            lines.append(f"  {role:8} {scheme}://{endpoint}  {PURPOSES[role]}")
    if lmtp is not None:
        lines.append(f"  gateway  lmtp {lmtp}  takes mail by LMTP, with a reply for each recipient")
    if metrics is not None:
        lines.append(f"  metrics  http://{metrics}/metrics  figures for Prometheus, and whether all is well")
    lines += [f"  milter   {where}  {MILTER_PURPOSE}" for where in milters]
    if Role.GATEWAY in roles:
        lines.append(f"  next hop {build_next_hop(settings).name}")
    if Role.FETCHER in roles:
        lines.append(f"  fetcher  {_whence(settings)}")
    lines.append(f"  storage  {settings.directory}")
    lines += [f"  note: {warning}" for warning in _warnings(settings, roles)]
    if Role.GATEWAY in roles:
        lines += ["", "Try it:", f"  {trial_command(settings, program())}"]
        if Role.CONSOLE in roles:
            lines += [f"and look at {settings.console_url}/"]
        lines += ["", "Behind Postfix or Sendmail, paste what this prints:", f"  {program()} recipes"]
    return lines
