"""Users: the people who sign in to the console."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mailveil.control import users as use
from mailveil.control.access import Permission, Role
from mailveil.control.records import User as UserRecord
from mailveil.endpoints.web.api.asking import Asking
from mailveil.endpoints.web.api.operations import Body, Match, Resource
from mailveil.endpoints.web.api.parameters import (
    NO_NUL,
    Cursor,
    Identifier,
    Limit,
    Moment,
    Text,
    cut,
    moment,
    moment_or_none,
)
from mailveil.endpoints.web.api.resources.models import Answer, Part, Request

resource = Resource(
    "users",
    "Who signs in to the console. Passwords are never set here: a link is made with which somebody chooses their own. "
    "Whoever may do that may become anybody: `users:write` is as good as being an administrator.",
)

SEES = (Permission.USERS_READ,)  # what is answered tells of somebody who was there before


class User(Answer):
    """Somebody who signs in."""

    id: str = Field(description="The identifier.", examples=["019a2b3c4d5e0123456789abcdef0123"])
    name: Text = Field(description="The name to sign in with.", examples=["ann@example.org"])
    display_name: Text = Field(description="The name for people to read.", examples=["Ann Example"])
    home: str = Field(
        description="The organisation that they belong to; `*`: all of them.", examples=["default"]
    )
    role: Role = Field(description="What they are.", examples=["analyst"])
    language: str = Field(description="The language they chose; empty: none.", examples=["en"])
    disabled: bool = Field(description="Whether they are shut out.", examples=[False])
    has_password: bool = Field(description="Whether they can sign in with a password.", examples=[True])
    has_second_factor: bool = Field(description="Whether that takes a second factor.", examples=[True])
    is_federated: bool = Field(description="Whether they can sign in by OpenID Connect.", examples=[False])
    created_at: Moment = Field(description="When they were made.")
    last_sign_in_at: Moment | None = Field(description="When they last signed in; null: never.")


class UserLink(Answer):
    """A link with which somebody chooses a password, once."""

    user: User = Field(description="Who.")
    purpose: str = Field(description="What it is for.", examples=["invitation"])
    secret: str = Field(
        description="The secret of the link, shown this once; the console takes it at `/link/{secret}`.",
        examples=["4rT8yWmV9cQ2bL0xJ6kN3hF7pD1sG5aZuEoRiYtXw_c"],
    )
    expires_at: Moment = Field(description="When it ends.")


class Invitation(Request):
    """Somebody to be let in."""

    name: Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)] = Field(
        description="The name to sign in with.", examples=["ann@example.org"]
    )
    role: Annotated[Role, Field(strict=False)] = Field(description="What they are.", examples=["analyst"])
    display_name: Annotated[str, Field(max_length=200, pattern=NO_NUL)] = Field(
        default="", description="The name for people to read.", examples=["Ann Example"]
    )
    home: Annotated[str, Field(max_length=64, pattern=r"^(?:[A-Za-z0-9_.-]*|\*)$")] = Field(
        default="",
        description="The organisation that they belong to, left out: the one acted in. Another, or `*` for all, takes "
        "a token of all.",
    )


class UserChange(Request):
    """What is to be another; the rest stays."""

    role: Annotated[Role | None, Field(strict=False)] = Field(
        default=None, description="What they are.", examples=["viewer"]
    )
    disabled: bool | None = Field(default=None, description="Whether they are shut out.", examples=[False])


def user(record: UserRecord) -> User:
    """Return a user as it is answered."""
    return User(
        id=record.identifier,
        name=record.name,
        display_name=record.display_name,
        home=record.home,
        role=record.role,
        language=record.language,
        disabled=record.is_disabled,
        has_password=bool(record.password_hash),
        has_second_factor=bool(record.totp_secret),
        is_federated=bool(record.subject),
        created_at=moment(record.created_at),
        last_sign_in_at=moment_or_none(record.last_sign_in_at),
    )


def _link(made: use.NewLink, record: UserRecord) -> UserLink:
    return UserLink(
        user=user(record),
        purpose=made.link.purpose,
        secret=made.secret,
        expires_at=moment(made.link.expires_at),
    )


@resource.get("/users", Permission.USERS_READ, Part[User], is_list=True)
async def list_users(asked: Asking, limit: Limit = 50, cursor: Cursor = "") -> Part[User]:
    """List users.

    By name. Tokens of all organisations see everybody's.
    """
    part = cut(limit, cursor)
    page = await use.list_users(asked.room, asked.actor, part)
    return Part[User](items=[user(each) for each in page.items], next=asked.listed(page, part))


@resource.post(
    "/users", Permission.USERS_WRITE, UserLink, status=201, body=Body.JSON, has_location=True, leave=True
)
async def invite_user(asked: Asking, invitation: Invitation) -> UserLink:
    """Invite a user.

    The answer has the secret of the link with which they choose their password. The token needs every scope that the
    role comes with: nobody gives more than they have.
    """
    made = await use.invite_user(
        asked.room,
        asked.actor,
        invitation.name,
        invitation.role,
        home=invitation.home,
        display_name=invitation.display_name,
    )
    assert made.user is not None
    asked.located("users", made.user.identifier)
    return _link(made, made.user)


@resource.get("/users/{user_id}", Permission.USERS_READ, User)
async def get_user(asked: Asking, user_id: Identifier) -> User:
    """Get a user."""
    return user(await use.read_user(asked.room, asked.actor, user_id))


@resource.patch(
    "/users/{user_id}", Permission.USERS_WRITE, User, body=Body.JSON, match=Match.MAY, also=SEES, leave=True
)
async def change_user(asked: Asking, user_id: Identifier, change: UserChange) -> User:
    """Change a user.

    Their role, or whether they are shut out. Their sessions end. A role, and letting somebody in again, need a token
    with every scope that the role comes with.
    """
    if change.role is not None:
        await use.set_role(asked.room, asked.actor, user_id, change.role)
    if change.disabled is not None:
        await use.set_disabled(asked.room, asked.actor, user_id, change.disabled)
    return user(await use.read_user(asked.room, asked.actor, user_id))


@resource.post("/users/{user_id}/links", Permission.USERS_WRITE, UserLink, status=201, also=SEES, leave=True)
async def make_user_link(asked: Asking, user_id: Identifier) -> UserLink:
    """Make a link to choose a password with.

    For somebody who has forgotten theirs. Give it only to whom you know. The token needs every scope that their role
    comes with.
    """
    made = await use.password_link(asked.room, asked.actor, user_id)
    assert made.user is not None
    return _link(made, made.user)


@resource.delete("/users/{user_id}/second-factor", Permission.USERS_WRITE, User, also=SEES, leave=True)
async def remove_second_factor(asked: Asking, user_id: Identifier) -> User:
    """Remove a user's second factor.

    For somebody whose phone is lost. Their sessions end. The token needs every scope that their role comes with.
    """
    return user(await use.remove_second_factor(asked.room, asked.actor, user_id))
