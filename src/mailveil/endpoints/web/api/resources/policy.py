"""Policy: an organisation's rules, how they came to be, what they do, and what others would do."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import BeforeValidator, Field

from mailveil.control import policies as use
from mailveil.control import policyfiles
from mailveil.control.access import Permission
from mailveil.control.failures import InvalidError
from mailveil.control.policies import PolicyInForce
from mailveil.control.replaying import replay
from mailveil.core.policy.document import PolicyDocumentError
from mailveil.core.policy.rules import Effect
from mailveil.endpoints.web.api.asking import Asking
from mailveil.endpoints.web.api.operations import Body, Match, Resource
from mailveil.endpoints.web.api.parameters import (
    NO_NUL,
    Cursor,
    Identifier,
    Limit,
    Moment,
    Text,
    Words,
    cleaned,
    cut,
    moment,
    moment_or_none,
    seconds,
    whole,
)
from mailveil.endpoints.web.api.resources.models import Answer, Part, Request

resource = Resource(
    "policy",
    "What is done about references, for whom. `docs/policy.md` describes the document, in TOML and JSON alike; "
    "a change holds within seconds.",
)
TRIAL_S = 20.0  # whoever waits for more asks again for what came before
EXAMPLE = {
    "format": 1,
    "level": "normal",
    "rules": [{"id": "board", "when": {"recipients": ["ann@example.org"]}, "then": {"action": "blank"}}],
}
Document = Annotated[
    dict[str, Any], Field(description="The document, as `docs/policy.md` describes it.", examples=[EXAMPLE])
]
Comment = Annotated[
    str, Field(max_length=500, pattern=NO_NUL, description="Why, for the history.", examples=["The pilot"])
]


class Policy(Answer):
    """A policy as it is or was in force."""

    version: int = Field(ge=0, description="Which one it is; 0: nobody has written any.", examples=[7])
    document: Document
    at: Moment | None = Field(description="Since when; null for version 0.")
    by: Text = Field(description="Who wrote it.", examples=["anna"])
    comment: Text = Field(description="Why.", examples=["The pilot"])


class PolicyChange(Request):
    """A policy to be put in force."""

    document: Document
    comment: Comment = ""


class RuleInOrder(Answer):
    """A rule where it is asked."""

    effect: Effect = Field(description="What it settles.", examples=["action"])
    place: int = Field(ge=1, description="Which one it is among those, from 1.", examples=[1])
    rule: Text = Field(description="`rule:ID`, or `allow:ID` of the allow-list.", examples=["rule:board"])
    words: Text = Field(description="What it says.", examples=["to ann@example.org: blank"])


class Trial(Request):
    """What to try."""

    document: Document
    since: Moment = Field(description="On messages from this time on.")
    until: Moment | None = Field(default=None, description="Up to this time; null: now.")


class TrialChange(Answer):
    """References that would have been treated otherwise, all in the same way by the same rule."""

    before: str = Field(description="What was done.", examples=["copy"])
    after: str = Field(description="What would have been.", examples=["blank"])
    rule: Text = Field(description="What would have chosen that.", examples=["rule:board"])
    messages: int = Field(ge=0, description="In how many messages.", examples=[12])
    references: int = Field(ge=0, description="How many references.", examples=[31])


class TrialExample(Answer):
    """A reference that would have been treated otherwise."""

    message: str = Field(description="The message.", examples=["019a2b3c4d5e0123456789abcdef0123"])
    at: Moment = Field(description="When it passed.")
    sender_domain: Text = Field(description="Whose it was.", examples=["shop.example"])
    host: Text = Field(description="Where the reference leads.", examples=["t.shop.example"])
    before: str = Field(description="What was done.", examples=["copy"])
    after: str = Field(description="What would have been.", examples=["blank"])
    rule: Text = Field(description="What would have chosen that.", examples=["rule:board"])


class TrialResult(Answer):
    """What a policy would have changed."""

    since: Moment = Field(description="Where the messages begin.")
    until: Moment = Field(description="Where they end.")
    messages: int = Field(ge=0, description="How many there were.", examples=[1840])
    references: int = Field(ge=0, description="How many references they have.", examples=[18233])
    changed_messages: int = Field(ge=0, description="How many would have been others.", examples=[12])
    changed_references: int = Field(ge=0, description="How many references.", examples=[31])
    changes: list[TrialChange] = Field(description="What would have changed, the most frequent first.")
    examples: list[TrialExample] = Field(description="Some of it, to look at.")
    complete: bool = Field(description="Whether all messages were looked at.", examples=[True])
    reached_at: Moment | None = Field(
        description="Where time ran out, of messages looked at newest first; null: nowhere."
    )
    unseen_references: int = Field(ge=0, description="References of which nothing is kept.", examples=[0])
    pseudonymous: int = Field(
        ge=0,
        description="Messages whose recipients go by pseudonyms, on which rules about them could not be tried.",
        examples=[0],
    )


class ConsideredRule(Answer):
    """A rule that was asked, and why it won or did not."""

    rule: Text = Field(description="`rule:ID`, `allow:ID` or `level:NAME`.", examples=["rule:board"])
    name: Text = Field(description="Its name.", examples=["The board is never tracked"])
    value: Text = Field(description="What it says.", examples=["blank"])
    won: bool = Field(description="Whether it holds.", examples=[True])
    words: Text = Field(description="Why, or why not.", examples=["the most specific one"])


class ExplainedEffect(Answer):
    """What holds, and what chose it."""

    effect: Effect = Field(description="What is settled.", examples=["action"])
    value: Text = Field(description="What holds.", examples=["blank"])
    rule: Text = Field(description="What chose it.", examples=["rule:board"])
    words: Text = Field(description="The same in words.", examples=["a blank takes its place"])
    considered: list[ConsideredRule] = Field(description="All rules that were met, as they were asked.")


class Explained(Answer):
    """Why a reference was treated as it was, and what would be done now."""

    position: int = Field(ge=0, description="Which of the message's references.", examples=[0])
    url: Text = Field(
        description="Its address, as far as it is kept.", examples=["https://t.shop.example/o.gif?u=*"]
    )
    action: str = Field(description="What was done about it.", examples=["blank"])
    rule: Text = Field(description="What chose that.", examples=["rule:board"])
    words: Text = Field(description="The same in words.", examples=["the rule board of version 7"])
    version: int = Field(ge=0, description="Which version of the policy was in force.", examples=[7])
    recipient: Text = Field(description="For whom the rules are asked now.", examples=["ann@example.org"])
    now: list[ExplainedEffect] = Field(description="What the policy in force now would do.")


class PolicyFile(Answer):
    """Everything that can be kept in version control."""

    file: dict[str, Any] = Field(
        description="What `mailveil policy export` writes: organisation, policy and allow-list.",
        examples=[{"format": 1, "policy": EXAMPLE, "allow": []}],
    )


class FileImport(Request):
    """What is to be imported."""

    file: dict[str, Any] = Field(
        description="What was exported, or a part of it; what is not named stays.",
        examples=[{"policy": EXAMPLE}],
    )
    comment: Comment = ""
    dry_run: bool = Field(
        default=False, description="Whether only to tell what would change.", examples=[True]
    )


class ImportResult(Answer):
    """What an import changes."""

    changes: list[Text] = Field(
        description="In lines for people.", examples=[["policy: level becomes normal"]]
    )
    done: bool = Field(description="Whether it was done.", examples=[False])


def policy(found: PolicyInForce) -> Policy:
    """Return a policy as it is answered."""
    return Policy(
        version=found.version,
        document=cleaned(found.document.record()),
        at=moment_or_none(found.at),
        by=found.by,
        comment=found.comment,
    )


@resource.get("/policy", Permission.POLICY_READ, Policy)
async def get_policy(asked: Asking) -> Policy:
    """Get the policy in force."""
    return policy(await use.read_policy(asked.room, asked.actor))


@resource.put(
    "/policy",
    Permission.POLICY_WRITE,
    Policy,
    body=Body.JSON,
    match=Match.MUST,
    also=(Permission.POLICY_READ,),
)
async def change_policy(asked: Asking, change: PolicyChange) -> Policy:
    """Put a policy in force.

    As a new version. `If-Match` has to name the state that was seen. One that says the same changes nothing.
    """
    document = use.policy_of_record(change.document)
    based_on = int(json.loads(asked.present)["version"])
    changed = await use.change_policy(
        asked.room, asked.actor, document, based_on=based_on, comment=change.comment
    )
    return policy(changed)


@resource.get("/policy/rules", Permission.POLICY_READ, Part[RuleInOrder], also=(Permission.ALLOW_READ,))
async def list_rules(asked: Asking) -> Part[RuleInOrder]:
    """List rules as they are asked.

    The first one that fits settles its effect. Entries of the allow-list are among them.
    """
    found = await use.rules_in_order(asked.room, asked.actor)
    return Part[RuleInOrder](
        items=[
            RuleInOrder(
                effect=each.effect,
                place=each.place,
                rule=f"{each.rule.origin}:{each.rule.identifier}",
                words=each.words,
            )
            for each in found
        ]
    )


@resource.get("/policy/versions", Permission.POLICY_READ, Part[Policy], is_list=True)
async def list_policy_versions(asked: Asking, limit: Limit = 50, cursor: Cursor = "") -> Part[Policy]:
    """List the versions of the policy.

    Newest first.
    """
    part = cut(limit, cursor)
    page = await use.policy_history(asked.room, asked.actor, part)
    items = [
        Policy(
            version=each.version,
            document=cleaned(dict(each.document)),
            at=moment(each.at),
            by=each.by,
            comment=each.comment,
        )
        for each in page.items
    ]
    return Part[Policy](items=items, next=asked.listed(page, part))


@resource.get("/policy/versions/{version}", Permission.POLICY_READ, Policy)
async def get_policy_version(
    asked: Asking,
    version: Annotated[
        int,
        Field(ge=0, le=2_000_000_000),
        BeforeValidator(whole),
        Path(description="Which version.", examples=[7]),
    ],
) -> Policy:
    """Get a version of the policy."""
    return policy(await use.read_policy(asked.room, asked.actor, version))


@resource.post(
    "/policy/trial",
    Permission.POLICY_READ,
    TrialResult,
    body=Body.JSON,
    tries=True,
    also=(Permission.STATISTICS_READ,),
)
async def try_policy(asked: Asking, trial: Trial) -> TrialResult:
    """Try a policy.

    On the messages of the time before: what it would have done otherwise. Nothing changes.
    """
    document = use.policy_of_record(trial.document)
    found = await replay(
        asked.room,
        asked.actor,
        document,
        seconds(trial.since),
        until=seconds(trial.until),
        settings=asked.settings.policy,
        longest_s=TRIAL_S,
    )
    return TrialResult(
        since=moment(found.since),
        until=moment(found.until),
        messages=found.messages,
        references=found.references,
        changed_messages=found.changed_messages,
        changed_references=found.changed_references,
        changes=[
            TrialChange(
                before=each.before,
                after=each.after,
                rule=each.rule,
                messages=each.messages,
                references=each.references,
            )
            for each in found.changes
        ],
        examples=[
            TrialExample(
                message=each.message,
                at=moment(each.at),
                sender_domain=each.sender_domain,
                host=each.host,
                before=each.before,
                after=each.after,
                rule=each.rule,
            )
            for each in found.examples
        ],
        complete=found.complete,
        reached_at=None if found.complete else moment_or_none(found.reached),
        unseen_references=found.unseen_references,
        pseudonymous=found.pseudonymous,
    )


@resource.get(
    "/policy/file",
    Permission.POLICY_READ,
    PolicyFile,
    also=(Permission.ALLOW_READ, Permission.ORGANISATIONS_READ),
)
async def export_policy(asked: Asking) -> PolicyFile:
    """Export policy and allow-list.

    The same each time as long as nothing changes, for those who keep it in version control.
    """
    return PolicyFile(file=cleaned(await policyfiles.export_file(asked.room, asked.actor)))


@resource.post(
    "/policy/file",
    Permission.POLICY_WRITE,
    ImportResult,
    body=Body.JSON,
    also=(
        Permission.POLICY_READ,
        Permission.ALLOW_READ,
        Permission.ALLOW_WRITE,
        Permission.ORGANISATIONS_READ,
    ),
)
async def import_policy(asked: Asking, wanted: FileImport) -> ImportResult:
    """Import policy and allow-list.

    What was exported, changed elsewhere. Entries of the allow-list that it does not have are revoked. With `dry_run`
    the answer tells what would change.
    """
    try:
        file = policyfiles.read_policy_file(json.dumps(wanted.file))
    except PolicyDocumentError as error:
        raise InvalidError(str(error), "file") from error
    plan = await policyfiles.plan_import(asked.room, asked.actor, file)
    if not wanted.dry_run:
        await policyfiles.apply_import(asked.room, asked.actor, plan, comment=wanted.comment)
    return ImportResult(changes=list(plan.changes), done=not wanted.dry_run)


@resource.get(
    "/messages/{message}/explanation",
    Permission.MESSAGES_READ,
    Part[Explained],
    also=(Permission.POLICY_READ,),
)
async def explain_message(
    asked: Asking,
    message: Identifier,
    *,
    position: Annotated[
        int | None,
        Field(ge=0, le=100_000),
        BeforeValidator(whole),
        Query(description="Only this one of its references."),
    ] = None,
    recipient: Annotated[Words, Query(description="For whom the rules are asked now.")] = "",
) -> Part[Explained]:
    """Explain what was done about a message.

    "Why was this kept?": of each reference the rule that chose, and what the policy in force now would do.
    """
    found = await use.explain_message(
        asked.room,
        asked.actor,
        message,
        number=position,
        recipient=recipient,
        settings=asked.settings.policy,
    )
    return Part[Explained](
        items=[
            Explained(
                position=each.number,
                url=each.reference.url,
                action=each.reference.action,
                rule=each.reference.rule,
                words=each.then,
                version=each.version,
                recipient=each.recipient,
                now=[ExplainedEffect(**effect) for effect in each.now.record()],
            )
            for each in found
        ]
    )
