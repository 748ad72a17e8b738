"""Policies on the command line: shown, checked, tried, changed, carried in files."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

import click

from mailveil.commands.inroom import UNUSABLE, in_room, say
from mailveil.commands.terminal import complain, count, note, printable
from mailveil.config import Settings, policy_settings
from mailveil.control.access import Actor
from mailveil.control.failures import MissingError
from mailveil.control.policies import (
    PolicyInForce,
    explain_message,
    policy_differences,
    policy_history,
    read_policy,
    rules_in_order,
    set_level,
)
from mailveil.control.policyfiles import (
    PolicyFile,
    apply_import,
    entries_after,
    export_file,
    plan_import,
    read_policy_file,
)
from mailveil.control.records import MAX_PAGE, Cut
from mailveil.control.replaying import Replay, replay
from mailveil.control.room import ControlRoom
from mailveil.core.policy.document import PolicyDocumentError
from mailveil.core.policy.explaining import ACTION_WORDS
from mailveil.core.policy.rules import LEVEL_WORDS, Effect, Level
from mailveil.core.policy.tomltext import write_toml
from mailveil.core.policy.types import Action

DAY_S = 86_400.0
MAX_FILE_BYTES = 8_000_000
EFFECT_TITLES = {
    Effect.ACTION: "What is done about a reference",
    Effect.COPIES: "How copies reach readers",
    Effect.BANNER: "From which risk on readers get a notice",
    Effect.MONITOR: "What is only reported",
    Effect.LANGUAGE: "Which language readers are addressed in",
    Effect.RECOGNISE: "Whether readers are warned of known actors",
}


def show_policy(settings: Settings, organisation: str, *, version: int | None, as_json: bool) -> int:
    """Print the policy in force and its rules in the order in which they are asked."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        try:
            policy = await read_policy(room, actor, version)
        except MissingError as error:
            raise MissingError(f"there is no version {version}; see mailveil policy history") from error
        ordered = await rules_in_order(room, actor, policy.document)
        if as_json:
            order = [
                {"effect": str(each.effect), "place": each.place, "rule": each.rule.key, "words": each.words}
                for each in ordered
            ]
            say({**_head(policy), "document": policy.document.record(), "order": order})
            return 0
        click.echo(printable(_title(policy)))
        click.echo(f"Level {policy.document.level}: {LEVEL_WORDS[policy.document.level]}")
        for effect in Effect:
            lines = [each for each in ordered if each.effect is effect]
            if lines:
                click.echo(f"\n{EFFECT_TITLES[effect]}; the first that fits wins:")
            for each in lines:
                title = f" {each.rule.name}" if each.rule.name else ""
                click.echo(printable(f"{each.place:4}. {each.rule.key}{title}: {each.words}"))
        return 0

    return in_room(settings, work, organisation)


def change_level(settings: Settings, organisation: str, level: str, *, comment: str) -> int:
    """Change the level, and say what it does."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        made = await set_level(room, actor, Level(level), comment=comment)
        click.echo(f"Version {made.version} is in force. Level {level}: {LEVEL_WORDS[Level(level)]}")
        return 0

    return in_room(settings, work, organisation)


def check_file(path: str) -> int:
    """Say whether a file is a policy, and what in it is not. Needs no database."""
    file = _read(path)
    if file is None:
        return UNUSABLE
    document = file.document
    rules = count(len(document.rules), "rule") if document else "no policy"
    level = f"level {document.level}, " if document else ""
    entries = "" if file.entries is None else f", {len(file.entries)} on the allow-list"
    click.echo(f"{level}{rules}{entries}: fine")
    return 0


def import_file(
    settings: Settings, organisation: str, path: str, *, dry_run: bool, comment: str, as_json: bool
) -> int:
    """Make what a file says the policy, or with ``dry_run`` tell what that would change."""
    file = _read(path)
    if file is None:
        return UNUSABLE

    async def work(room: ControlRoom, actor: Actor) -> int:
        plan = await plan_import(room, actor, file)
        if plan.changes and not dry_run:
            await apply_import(room, actor, plan, comment=comment)
        if as_json:
            say({"changes": list(plan.changes), "applied": bool(plan.changes) and not dry_run})
            return 0
        for line in plan.changes:
            click.echo(printable(line))
        if not plan.changes:
            note("nothing differs")
        elif dry_run:
            note(f"{count(len(plan.changes), 'change')}; nothing was done (--dry-run)")
        else:
            note(f"{count(len(plan.changes), 'change')} made")
        return 0

    return in_room(settings, work, organisation)


def export_policy(settings: Settings, organisation: str, *, as_json: bool) -> int:
    """Print policy, allow-list and the organisation's settings as one file."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        record = await export_file(room, actor)
        if as_json:
            say(record)
        else:
            click.echo(write_toml(record), nl=False)
        return 0

    return in_room(settings, work, organisation)


def show_history(settings: Settings, organisation: str, *, limit: int, as_json: bool) -> int:
    """Print who changed what and when, newest first."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        cut, left = Cut(min(limit, MAX_PAGE)), limit
        while left > 0:
            page = await policy_history(room, actor, cut)
            for each in page.items[:left]:
                lines = await policy_differences(room, actor, each.version - 1, each.version)
                if as_json:
                    head = {"version": each.version, "at": each.at, "by": each.by, "comment": each.comment}
                    say({**head, "changes": list(lines)})
                    continue
                comment = f": {each.comment}" if each.comment else ""
                click.echo(printable(f"version {each.version}, {_day(each.at)}, {each.by}{comment}"))
                for line in lines:
                    click.echo(printable(f"    {line}"))
            left -= len(page.items)
            if not page.next:
                break
            cut = Cut(min(left, MAX_PAGE) or 1, page.next)
        return 0

    return in_room(settings, work, organisation)


def explain_stored(
    settings: Settings, organisation: str, message: str, *, recipient: str, number: int | None, as_json: bool
) -> int:
    """Say of each reference of a message why it was treated as it was, and what would be done now."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        try:
            told = await explain_message(
                room,
                actor,
                message,
                number=None if number is None else number - 1,
                recipient=recipient,
                settings=policy_settings(settings),
            )
        except MissingError as error:
            what = message if number is None else f"{message} with a reference {number}"
            raise MissingError(f"there is no message {what} on record in {actor.organisation}") from error
        for each in told:
            reference, action = each.reference, each.now.of(Effect.ACTION)
            assert action is not None
            if as_json:
                record = {"number": each.number + 1, "url": reference.url, "action": reference.action}
                say({**record, "rule": reference.rule, "then": each.then, "now": each.now.record()})
                continue
            known = [str(one) for one in Action]
            done = ACTION_WORDS[Action(reference.action)] if reference.action in known else reference.action
            click.echo(printable(f"{each.number + 1}. {reference.vector} {reference.url}"))
            click.echo(printable(f"   then: {done}, by {each.then}"))
            click.echo(printable(f"   now:  {action.words}"))
            for one in action.considered:
                click.echo(printable(f"         {one.key} ({one.value}): {one.words}"))
        if not told:
            note("the message has no references")
        return 0

    return in_room(settings, work, organisation)


def try_file(settings: Settings, organisation: str, path: str, *, days: int, as_json: bool) -> int:
    """Say what a file's policy would have changed about the mail of the last days; changes nothing."""
    file = _read(path)
    if file is None:
        return UNUSABLE

    async def work(room: ControlRoom, actor: Actor) -> int:
        document = file.document or (await read_policy(room, actor)).document
        entries = await entries_after(room, actor, await plan_import(room, actor, file))
        shown = sys.stderr.isatty()

        def told(done: int) -> None:
            if shown:
                print(f"\r{done:,} messages", end="", file=sys.stderr, flush=True)

        found = await replay(
            room,
            actor,
            document,
            room.clock.now() - days * DAY_S,
            allowed=entries,
            settings=policy_settings(settings),
            progress=told,
            gently=False,  # this process is ours alone
        )
        if shown:
            print("\r", end="", file=sys.stderr)
        if as_json:
            say(replay_record(found))
        else:
            _show_replay(found, days)
        return 0

    return in_room(settings, work, organisation)


def replay_record(found: Replay) -> dict[str, object]:
    """Return a replay as a JSON object."""
    return {
        "since": found.since,
        "until": found.until,
        "complete": found.complete,
        "messages": found.messages,
        "references": found.references,
        "changed_messages": found.changed_messages,
        "changed_references": found.changed_references,
        "changes": [
            {
                "before": each.before,
                "after": each.after,
                "rule": each.rule,
                "messages": each.messages,
                "references": each.references,
            }
            for each in found.changes
        ],
        "examples": [
            {
                "message": each.message,
                "at": each.at,
                "sender_domain": each.sender_domain,
                "host": each.host,
                "before": each.before,
                "after": each.after,
                "rule": each.rule,
            }
            for each in found.examples
        ],
        "unseen_references": found.unseen_references,
        "pseudonymous": found.pseudonymous,
    }


def _show_replay(found: Replay, days: int) -> None:
    looked_at = f"{count(found.messages, 'message')} of the last {count(days, 'day')}"
    references = f"{found.changed_references:,} of {count(found.references, 'reference')}"
    click.echo(
        f"Of {looked_at}, {found.changed_messages:,} would have been treated otherwise ({references})."
    )
    for each in found.changes:
        what = count(each.references, "reference") + " in " if each.references else ""
        by = f" by {each.rule}" if each.rule else ""
        click.echo(printable(f"  {each.before} -> {each.after}{by}: {what}{count(each.messages, 'message')}"))
    if found.examples:
        click.echo("For example:")
    for example in found.examples:
        line = f"  {example.message} from {example.sender_domain or 'nobody known'}: {example.host or 'a reference'}"
        click.echo(printable(f"{line}, {example.before} -> {example.after} by {example.rule}"))
    if not found.complete:
        note(f"time ran out: this reaches back to {_day(found.reached)} only")
    if found.pseudonymous:
        note(
            f"{count(found.pseudonymous, 'message')} have pseudonyms in place of recipients: rules about recipients "
            "could not be tried on them"
        )
    if found.unseen_references:
        note(
            f"{count(found.unseen_references, 'reference')} beyond the first of a message are not kept one by one"
        )


def _read(path: str) -> PolicyFile | None:
    try:
        if path == "-":
            raw = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
        else:
            with Path(path).open("rb") as file:
                raw = file.read(MAX_FILE_BYTES + 1)
        return read_policy_file(raw.decode("utf-8"))
    except OSError as error:
        complain(f"{path}: {error.strerror}")
    except UnicodeDecodeError as error:
        complain(f"{path}: is not UTF-8 text (byte {error.start})")
    except PolicyDocumentError as error:
        for problem in error.problems:
            complain(f"{path}: {problem}")
    return None


def _head(policy: PolicyInForce) -> dict[str, object]:
    return {"version": policy.version, "at": policy.at, "by": policy.by, "comment": policy.comment}


def _title(policy: PolicyInForce) -> str:
    if not policy.version:
        return "Nobody has written a policy yet."
    comment = f": {policy.comment}" if policy.comment else ""
    return f"Version {policy.version} of {_day(policy.at)} by {policy.by}{comment}"


def _day(at: float) -> str:
    return f"{datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M}"
