"""Tokens on the command line: made, listed, revoked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import click

from mailveil.commands.inroom import in_room, say
from mailveil.commands.terminal import note, printable
from mailveil.config import Settings
from mailveil.control.access import Actor
from mailveil.control.failures import MissingError
from mailveil.control.records import MAX_PAGE, Cut, Token
from mailveil.control.room import ControlRoom
from mailveil.control.tokens import list_tokens, make_token, revoke_token


def create_token(
    settings: Settings,
    name: str,
    scopes: Sequence[str],
    days: int,
    *,
    organisation: str,
    everywhere: bool,
    as_json: bool,
) -> int:
    """Make a token and print its secret, once."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        made = await make_token(room, actor, name, scopes, days, everywhere=everywhere)
        if as_json:
            say({**token_record(made.token), "secret": made.secret})
        else:
            until = datetime.fromtimestamp(made.token.expires_at).astimezone()
            note(f"{made.token.name}: {made.token.identifier}, until {until:%Y-%m-%d}. It is shown only now:")
            click.echo(made.secret)
        return 0

    return in_room(settings, work, organisation)


def show_tokens(settings: Settings, *, organisation: str, as_json: bool) -> int:
    """Print the tokens of an organisation, newest first."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        cut, seen = Cut(MAX_PAGE), 0
        while True:
            page = await list_tokens(room, actor, cut)
            for each in page.items:
                seen += 1
                if as_json:
                    say(token_record(each))
                else:
                    click.echo(_line(each, room.clock.now()))
            if not page.next:
                break
            cut = Cut(MAX_PAGE, page.next)
        if not seen and not as_json:
            note("there are no tokens")
        return 0

    return in_room(settings, work, organisation)


def end_token(settings: Settings, identifier: str, *, organisation: str) -> int:
    """Have a token open nothing any more."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        try:
            revoked = await revoke_token(room, actor, identifier)
        except MissingError as error:
            raise MissingError(f"there is no token {identifier}; mailveil token list shows them") from error
        click.echo(printable(f"{revoked.name} opens nothing any more"))
        return 0

    return in_room(settings, work, organisation)


def token_record(token: Token) -> dict[str, object]:
    """Return what programs are told of a token: never what it is checked by."""
    return {
        "id": token.identifier,
        "organisation": token.organisation,
        "everywhere": token.everywhere,
        "name": token.name,
        "hint": token.hint,
        "scopes": list(token.scopes),
        "created_by": token.created_by,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "last_used_on": token.last_used_on or None,
        "revoked_at": token.revoked_at or None,
    }


def _line(token: Token, now: float) -> str:
    state = "revoked" if token.revoked_at else "expired" if token.expires_at <= now else "in force"
    until = datetime.fromtimestamp(token.expires_at).astimezone()
    used = f"used {token.last_used_on}" if token.last_used_on else "never used"
    return printable(
        f"{token.identifier}  {state:8} until {until:%Y-%m-%d}  {used:15}  {token.name}: {' '.join(token.scopes)}"
    )
