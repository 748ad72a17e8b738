"""Consoling: builds the site where people look and decide, and programs ask: console and API on one listener."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from starlette.types import ASGIApp

from mailveil.adapters.openid import OpenIdProvider
from mailveil.app.announcing import alarms
from mailveil.config import Settings, SettingsError
from mailveil.config.values import public_host
from mailveil.control.access import Role as UserRole
from mailveil.control.access import command_line_actor
from mailveil.control.health import HealthCheck
from mailveil.control.openid import OpenIdRules
from mailveil.control.passwords import Passwords
from mailveil.control.records import DEFAULT_ORGANISATION
from mailveil.control.room import ControlRoom
from mailveil.control.signing_in import SessionRules, SigningIn
from mailveil.control.users import LINK_S, first_administrator_link
from mailveil.endpoints.web.console.application import Console
from mailveil.endpoints.web.console.facts import ConsoleFacts
from mailveil.endpoints.web.console.openid import OpenId
from mailveil.endpoints.web.monitoring import Monitoring
from mailveil.endpoints.web.site import REPORT_PATH, build_site
from mailveil.ports import Mailbox, UnavailableError


def build_console_site(
    settings: Settings,
    room: ControlRoom,
    facts: ConsoleFacts,
    monitoring: Monitoring,
    *,
    mailbox: Mailbox | None = None,
    health: HealthCheck | None = None,
    parts: Mapping[str, ASGIApp] | None = None,
) -> ASGIApp:
    """Return the application for the console's listener; ``parts`` stand beside the console, as ``/api/v1`` does.

    Raises ``SettingsError`` for the secret of OpenID Connect.
    """
    rules = SessionRules(
        idle_s=settings.console.session_idle_minutes * 60.0, whole_s=settings.console.session_hours * 3600.0
    )
    console = Console(
        room,
        facts,
        SigningIn(room, Passwords(), rules),
        mailbox=mailbox,
        health=health,
        alarms=lambda: alarms(settings, time.time()),
        openid=build_openid(settings),
    )
    return build_site(
        facts.host_names,
        console.application(),
        answers={
            "/healthz": monitoring.alive,
            "/readyz": monitoring.ready,
            "/metrics": monitoring.figures,
        },
        parts=parts,
        # Readers report under a name of their own, where nothing else is to be found.
        places={name: REPORT_PATH} if (name := public_host(settings.feedback.public_url)) else {},
        is_https=facts.is_https,
    )


def build_openid(settings: Settings) -> OpenId | None:
    """Return the provider that people sign in with, ``None`` where there is none. Raises ``SettingsError``."""
    oidc = settings.oidc
    if not oidc.issuer:
        return None
    secret = str(oidc.client_secret)
    if oidc.client_secret_file:
        try:
            secret = Path(oidc.client_secret_file).expanduser().read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
            raise SettingsError(f"[oidc] client_secret_file = {oidc.client_secret_file}: {reason}") from error
    roles = {
        UserRole.ADMINISTRATOR: frozenset(oidc.administrators),
        UserRole.ANALYST: frozenset(oidc.analysts),
        UserRole.VIEWER: frozenset(oidc.viewers),
    }
    rules = OpenIdRules(
        name_claim=oidc.name_claim,
        role_claim=oidc.role_claim,
        roles=roles if any(roles.values()) else {},
        organisation_claim=oidc.organisation_claim,
        home=oidc.organisation,
        makes_users=oidc.make_users,
    )
    provider = OpenIdProvider(oidc.issuer, oidc.client_id, secret, scopes=oidc.scopes)
    return OpenId(provider, rules, oidc.title)


async def first_steps(settings: Settings, room: ControlRoom, program: str, *, is_terminal: bool) -> list[str]:
    """Return what start-up says while nobody can sign in.

    The link itself only to a terminal: what is printed elsewhere ends in a log, which others read.
    """
    try:
        if await room.accounts.count_users():
            return []
        if not is_terminal:
            return ["Nobody can sign in to the console yet. For a link that makes the first administrator, run:",
                    f"  {program} user first-administrator"]  # fmt: skip
        made = await first_administrator_link(room, command_line_actor(DEFAULT_ORGANISATION, "start-up"))
    except UnavailableError:
        return []
    return [
        f"Make the first administrator of the console (once, within {LINK_S / 3600:.0f} hours):",
        f"  {settings.console_url}/link/{made.secret}",
    ]
