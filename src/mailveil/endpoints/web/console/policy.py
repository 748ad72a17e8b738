"""Policy: levels, rules, groups, the document; why a case is treated as it is, what a change would do, history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from mailveil.control.access import Permission
from mailveil.control.allowing import read_entries
from mailveil.control.failures import InvalidError, MissingError
from mailveil.control.policies import (
    PolicyInForce,
    ReferenceExplanation,
    RuleInOrder,
    change_policy,
    explain_message,
    policy_differences,
    policy_history,
    read_policy,
    restore_policy,
    rules_in_order,
    set_level,
)
from mailveil.control.records import PolicyVersion
from mailveil.control.replaying import Replay, replay
from mailveil.control.stores import ConflictError
from mailveil.core.policy.differences import differences
from mailveil.core.policy.document import (
    PolicyDocument,
    PolicyDocumentError,
    document_of,
    parse_policy,
    rule_record,
)
from mailveil.core.policy.explaining import describe_conditions, describe_effects, explain
from mailveil.core.policy.patterns import domain_of, normal_address
from mailveil.core.policy.rules import LEVEL_WORDS, Effect, Level, MessageFacts, ReferenceFacts, Rule
from mailveil.core.policy.tomltext import write_toml
from mailveil.core.policy.types import Direction
from mailveil.core.verdicts.types import Finding, Kind, Risk
from mailveil.endpoints.web.console.pages import Pages
from mailveil.endpoints.web.console.policyforms import (
    LEAST_RISKS,
    LINES,
    choices_of,
    form_again,
    form_of_rule,
    lines_of,
    moved_rule,
    problems_at_fields,
    rule_of_form,
    with_groups,
    with_rule,
    without_rule,
)
from mailveil.endpoints.web.console.visit import Visit
from mailveil.endpoints.web.console.wording import ACTION_WORDS, KIND_NAMES

pages = Pages()
DAY_S = 86_400
TRY_DAYS = (1, 7, 30)
LONGEST_TRY_S = 20.0
HISTORY_LENGTH = 20
MAX_ENTRIES_SHOWN = 50  # of the allow-list, which has a page of its own
TABS = (
    ("/policy", "Rules"),
    ("/policy/groups", "Groups"),
    ("/policy/document", "As one file"),
    ("/policy/explain", "Explain"),
    ("/policy/try", "Try"),
    ("/policy/history", "History"),
)
EFFECT_TITLES = {
    Effect.ACTION: "What is done about a reference",
    Effect.COPIES: "How copies reach readers",
    Effect.BANNER: "Which readers get a notice",
    Effect.MONITOR: "What is only reported",
    Effect.LANGUAGE: "Which language readers are addressed in",
    Effect.RECOGNISE: "Whether readers are warned of known actors",
}
VALUE_WORDS = {
    **{("action", value): words for value, words in ACTION_WORDS.items()},
    ("banner", "none"): "nobody",
    ("banner", "low"): "those of messages with any risk",
    ("banner", "medium"): "those of messages of medium risk or more",
    ("banner", "high"): "those of messages of high risk",
    ("monitor", "true"): "the whole message",
    ("monitor", "false"): "nothing",
    ("recognise", "true"): "they are",
    ("recognise", "false"): "they are not",
}
NEW_RULE: Mapping[str, Any] = form_of_rule(Rule("")) | {"enabled": True}


def _around(visit: Visit, here: str) -> dict[str, Any]:
    """Return what every page of the policy has."""
    return {
        "tabs": [(path, title, path == here) for path, title in TABS],
        "may_write": visit.actor.may(Permission.POLICY_WRITE),
    }


# --- rules ----------------------------------------------------------------------------------------------------


@pages.get("/policy", Permission.POLICY_READ)
async def policy(visit: Visit) -> Response:
    """Show the level, and the rules in the order in which they are asked."""
    return await _policy_page(visit)


async def _policy_page(visit: Visit, status: int = 200, problem: str = "") -> Response:
    current = await read_policy(visit.room, visit.actor)
    ordered = await rules_in_order(visit.room, visit.actor, current.document)
    by_effect: dict[Effect, list[RuleInOrder]] = {}
    for each in ordered:
        by_effect.setdefault(each.effect, []).append(each)
    return visit.page(
        "policy.html",
        status,
        **_around(visit, "/policy"),
        policy=current,
        levels=[(each, LEVEL_WORDS[each]) for each in Level],
        rules=[
            (each, describe_conditions(each.when), describe_effects(each)) for each in current.document.rules
        ],
        orders=[(EFFECT_TITLES[effect], *_shown(rules)) for effect, rules in by_effect.items()],
        now=visit.room.clock.now(),
        problem=problem,
    )


def _shown(ordered: Sequence[RuleInOrder]) -> tuple[list[RuleInOrder], int]:
    """Return the rules that the page shows, and how many entries of the allow-list it leaves out: there may be many."""
    entries = [each for each in ordered if each.rule.origin == "allow"]
    left_out = {each.rule.key for each in entries[MAX_ENTRIES_SHOWN:]}
    return [each for each in ordered if each.rule.key not in left_out], len(left_out)


@pages.post("/policy/level", Permission.POLICY_WRITE)
async def choose_level(visit: Visit) -> Response:
    """Choose a level."""
    try:
        level = Level(visit.text("level"))
    except ValueError:
        return await _policy_page(visit, 422, "Choose one of the levels.")
    try:
        await set_level(visit.room, visit.actor, level, based_on=_based_on(visit), comment=visit.text("why"))
    except ConflictError as error:
        return await _policy_page(visit, 409, str(error))
    except InvalidError as error:
        return await _policy_page(visit, 422, str(error))
    return visit.go("/policy", f"The level is {level}.")


@pages.get("/policy/rules/new", Permission.POLICY_WRITE)
async def new_rule(visit: Visit) -> Response:
    """Show an empty form for a rule."""
    current = await read_policy(visit.room, visit.actor)
    return _rule_page(visit, current, {**NEW_RULE, **_proposed(visit)}, "")


def _proposed(visit: Visit) -> dict[str, str]:
    """Return what another page proposes for a new rule."""
    names = [name for name, _, _ in LINES]
    return {name: visit.query(name) for name in (*names, "action", "name") if visit.query(name)}


@pages.get("/policy/rules/{identifier}", Permission.POLICY_READ)
async def one_rule(visit: Visit) -> Response:
    """Show a rule's form, filled in."""
    current = await read_policy(visit.room, visit.actor)
    rule = current.document.rule(visit.path("identifier"))
    if rule is None:
        raise MissingError
    return _rule_page(visit, current, form_of_rule(rule), rule.identifier)


def _rule_page(
    visit: Visit,
    current: PolicyInForce,
    form: Mapping[str, Any],
    original: str,
    *,
    errors: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    return visit.page(
        "rule.html",
        status,
        **_around(visit, "/policy"),
        policy=current,
        form=form,
        original=original,
        errors=errors or {},
        lines=LINES,
        effects=choices_of(form),
        least_risks=LEAST_RISKS,
        kinds=[(str(each), KIND_NAMES[each]) for each in Kind],
        risks=[str(each) for each in Risk],
        directions=[str(each) for each in Direction],
        findings=[str(each) for each in Finding],
        groups=list(current.document.groups),
        based_on=visit.text("based_on") or current.version,
    )


@pages.post("/policy/rules", Permission.POLICY_WRITE)
async def save_rule(visit: Visit) -> Response:
    """Add a rule, or change the one that was edited."""
    current = await read_policy(visit.room, visit.actor)
    original = visit.text("original")
    record, number = with_rule(current.document, rule_of_form(visit.texts), original)
    try:
        document = document_of(record)
    except PolicyDocumentError as error:
        errors = problems_at_fields(error.problems, number)
        return _rule_page(visit, current, form_again(visit.texts), original, errors=errors, status=422)
    words = f"rule {visit.text('id')} {'changed' if original else 'added'}"
    try:
        await change_policy(
            visit.room, visit.actor, document, based_on=_based_on(visit), comment=visit.text("why") or words
        )
    except (ConflictError, InvalidError) as error:
        errors = {"why" if isinstance(error, InvalidError) else "": str(error)}
        status = 422 if isinstance(error, InvalidError) else 409
        return _rule_page(visit, current, form_again(visit.texts), original, errors=errors, status=status)
    return visit.go("/policy", f"{words[:1].upper()}{words[1:]}.")


@pages.post("/policy/rules/{identifier}/{deed}", Permission.POLICY_WRITE)
async def do_with_rule(visit: Visit) -> Response:
    """Remove a rule, switch it off or on, or move it."""
    current = await read_policy(visit.room, visit.actor)
    identifier, deed = visit.path("identifier"), visit.path("deed")
    rule = current.document.rule(identifier)
    if rule is None:
        raise MissingError
    match deed:
        case "remove":
            record, words = without_rule(current.document, identifier), "removed"
        case "up" | "down":
            record, words = moved_rule(current.document, identifier, -1 if deed == "up" else 1), "moved"
        case "on" | "off":
            changed = {**rule_record(rule), "enabled": deed == "on"}
            record, words = with_rule(current.document, changed, identifier)[0], f"switched {deed}"
        case _:
            raise MissingError
    try:
        comment = f"rule {identifier} {words}"
        await change_policy(
            visit.room, visit.actor, document_of(record), based_on=_based_on(visit), comment=comment
        )
    except (ConflictError, PolicyDocumentError) as error:
        return await _policy_page(visit, 409, str(error))
    return visit.go("/policy", f"Rule {identifier} {words}.")


def _based_on(visit: Visit) -> int:
    text = visit.text("based_on")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1


# --- groups ---------------------------------------------------------------------------------------------------


@pages.get("/policy/groups", Permission.POLICY_READ)
async def groups(visit: Visit) -> Response:
    """Show the groups of recipients that rules name."""
    return await _groups_page(visit)


async def _groups_page(visit: Visit, status: int = 200, errors: Mapping[str, str] | None = None) -> Response:
    current = await read_policy(visit.room, visit.actor)
    return visit.page(
        "policy_groups.html",
        status,
        **_around(visit, "/policy/groups"),
        policy=current,
        errors=errors or {},
        filled={"name": visit.text("name"), "members": visit.text("members")},
    )


@pages.post("/policy/groups", Permission.POLICY_WRITE)
async def save_group(visit: Visit) -> Response:
    """Write a group, or remove it where it is left without members."""
    current = await read_policy(visit.room, visit.actor)
    name, members = visit.text("name").lower(), lines_of(visit.text("members"))
    changed = {**current.document.groups, name: tuple(members)}
    if not members:
        del changed[name]
    try:
        document = document_of(with_groups(current.document, changed))
        comment = f"group {name} {'changed' if members else 'removed'}"
        await change_policy(visit.room, visit.actor, document, based_on=_based_on(visit), comment=comment)
    except PolicyDocumentError as error:
        words = " ".join(error.problems)
        field = "members" if f'groups.{name}: "' in words else "name"
        return await _groups_page(visit, 422, {field: words})
    except ConflictError as error:
        return await _groups_page(visit, 409, {"name": str(error)})
    return visit.go("/policy/groups", f"The group {name} is {'saved' if members else 'removed'}.")


# --- the document ---------------------------------------------------------------------------------------------


@pages.get("/policy/document", Permission.POLICY_READ)
async def document(visit: Visit) -> Response:
    """Show the policy as one file, to be edited."""
    current = await read_policy(visit.room, visit.actor)
    return _document_page(visit, current, write_toml(current.document.record()))


def _document_page(
    visit: Visit,
    current: PolicyInForce,
    text: str,
    *,
    status: int = 200,
    problems: Sequence[str] = (),
    changes: Sequence[str] | None = None,
) -> Response:
    return visit.page(
        "policy_document.html",
        status,
        **_around(visit, "/policy/document"),
        policy=current,
        text=text,
        problems=problems,
        changes=changes,
        based_on=visit.text("based_on") or current.version,
        why=visit.text("why"),
    )


@pages.post("/policy/document", Permission.POLICY_WRITE)
async def save_document(visit: Visit) -> Response:
    """Check the document, or make it the policy."""
    current = await read_policy(visit.room, visit.actor)
    uploaded = visit.files.get("file", b"")
    text = uploaded.decode("utf-8", "replace") if uploaded else visit.secret("document")
    try:
        wanted = parse_policy(text)
    except PolicyDocumentError as error:
        return _document_page(visit, current, text, status=422, problems=error.problems)
    if visit.text("do") != "apply":
        return _document_page(visit, current, text, changes=differences(current.document, wanted))
    try:
        made = await change_policy(
            visit.room, visit.actor, wanted, based_on=_based_on(visit), comment=visit.text("why")
        )
    except ConflictError as error:
        return _document_page(visit, current, text, status=409, problems=(str(error),))
    except InvalidError as error:
        return _document_page(visit, current, text, status=422, problems=(str(error),))
    return visit.go("/policy", f"Version {made.version} of the policy is in force.")


@pages.get("/policy/export", Permission.POLICY_READ)
async def export(visit: Visit) -> Response:
    """Give the policy as one file, for those who keep configuration in version control."""
    current = await read_policy(visit.room, visit.actor)
    headers = {
        **visit.console.rendering.headers(),
        "Content-Disposition": f'attachment; filename="policy-{visit.actor.organisation}.toml"',
    }
    return Response(write_toml(current.document.record()), media_type="application/toml", headers=headers)


# --- why, what if, and what was ---------------------------------------------------------------------------------


CASE_FIELDS = ("sender", "proven", "recipient", "host", "operator", "kind", "risk", "finding")


@pages.get("/policy/explain", Permission.POLICY_READ)
async def explaining(visit: Visit) -> Response:
    """Say why a reference of a message, or a made-up one, is treated as it is."""
    asked = {name: visit.query(name) for name in CASE_FIELDS}
    of_message: Sequence[ReferenceExplanation] = ()
    if visit.query("message"):
        number = visit.query("reference")
        of_message = await explain_message(
            visit.room,
            visit.actor,
            visit.query("message"),
            number=int(number) if number.isascii() and number.isdigit() and len(number) < 6 else 0,
            recipient=visit.query("recipient"),
            settings=visit.facts.policy_settings,
        )
    case = await _case(visit, asked) if any(asked.values()) and not of_message else None
    return visit.page(
        "policy_explain.html",
        **_around(visit, "/policy/explain"),
        asked=asked,
        of_message=of_message,
        message=visit.query("message"),
        case=case,
        values=VALUE_WORDS,
        titles={str(effect): title for effect, title in EFFECT_TITLES.items()},
        kinds=[("", "any"), *((str(each), KIND_NAMES[each]) for each in Kind)],
        risks=[(str(each), str(each)) for each in Risk],
        findings=[(str(each), str(each)) for each in Finding],
        proofs=(("", "is not proven"), ("yes", "is proven, by DKIM or DMARC")),
    )


async def _case(visit: Visit, asked: Mapping[str, str]) -> Any:
    """Return what the policy says of a made-up case."""
    sender = normal_address(asked["sender"])
    domain = domain_of(sender) if "@" in sender else sender.lstrip("@")
    proven = asked["proven"] == "yes"
    facts = MessageFacts(
        recipient=normal_address(asked["recipient"]),
        author_domain=domain if proven else "",
        author_address=sender if proven and "@" in sender else "",
        claimed=(sender,) if "@" in sender else (),
        claimed_domains=(domain,) if domain else (),
        at=visit.room.clock.now(),
    )
    kinds = set(Kind)
    reference = ReferenceFacts(
        host=asked["host"].strip().lower(),
        operator=asked["operator"].strip(),
        kinds=(Kind(asked["kind"]),) if asked["kind"] in kinds else (),
        risk=Risk(asked["risk"]) if asked["risk"] in set(Risk) else Risk.LOW,
        finding=Finding(asked["finding"]) if asked["finding"] in set(Finding) else Finding.TRACKER,
    )
    current = await read_policy(visit.room, visit.actor)
    entries = await read_entries(visit.room.policies, visit.actor.organisation)
    return explain(current.document, entries, facts, reference, visit.facts.policy_settings)


@dataclass(frozen=True, slots=True)
class Trial:
    """What a policy would have changed, and over how many days it was tried."""

    days: int
    result: Replay
    changes: tuple[str, ...]


@pages.get("/policy/try", Permission.POLICY_READ)
async def trying(visit: Visit) -> Response:
    """Show the form for trying a policy."""
    current = await read_policy(visit.room, visit.actor)
    return _trial_page(visit, write_toml(current.document.record()))


@pages.post("/policy/try", Permission.POLICY_READ)
async def try_out(visit: Visit) -> Response:
    """Replay a policy over the last days; nothing is changed by it."""
    current = await read_policy(visit.room, visit.actor)
    text = visit.secret("document") or write_toml(current.document.record())
    days = int(visit.text("days")) if visit.text("days") in {str(each) for each in TRY_DAYS} else 7
    try:
        wanted = parse_policy(text)
    except PolicyDocumentError as error:
        return _trial_page(visit, text, status=422, problems=error.problems)
    if visit.text("level") in set(Level):
        level = Level(visit.text("level"))
        wanted = PolicyDocument(level, wanted.groups, wanted.rules, wanted.comment)
        text = write_toml(wanted.record())
    since = visit.room.clock.now() - days * DAY_S
    result = await replay(
        visit.room,
        visit.actor,
        wanted,
        since,
        settings=visit.facts.policy_settings,
        longest_s=LONGEST_TRY_S,
    )
    return _trial_page(
        visit, text, trial=Trial(days, result, differences(current.document, wanted)), days=days
    )


def _trial_page(
    visit: Visit,
    text: str,
    *,
    status: int = 200,
    problems: Sequence[str] = (),
    trial: Trial | None = None,
    days: int = 7,
) -> Response:
    return visit.page(
        "policy_try.html",
        status,
        **_around(visit, "/policy/try"),
        text=text,
        problems=problems,
        trial=trial,
        days=[(str(each), f"the last {each} day{'' if each == 1 else 's'}") for each in TRY_DAYS],
        chosen=str(days),
        levels=[("", "as the text says"), *((str(each), str(each)) for each in Level)],
        may_read=visit.actor.may(Permission.MESSAGES_READ),
    )


@dataclass(frozen=True, slots=True)
class Past:
    """A version with what it changed; ``is_current`` where it is in force."""

    version: PolicyVersion
    changes: tuple[str, ...]
    is_current: bool


@pages.get("/policy/history", Permission.POLICY_READ)
async def history(visit: Visit) -> Response:
    """Show the versions with what each changed."""
    current = await read_policy(visit.room, visit.actor)
    page = await policy_history(visit.room, visit.actor, visit.cut(HISTORY_LENGTH))
    versions = [
        Past(each, await _changes(visit, page.items, number), each.version == current.version)
        for number, each in enumerate(page.items)
    ]
    return visit.page(
        "policy_history.html",
        **_around(visit, "/policy/history"),
        policy=current,
        page=page,
        versions=versions,
    )


async def _changes(visit: Visit, versions: Sequence[PolicyVersion], number: int) -> tuple[str, ...]:
    """Return what a version changed; the one before it is mostly on the same page."""
    version = versions[number]
    try:
        if number + 1 < len(versions):
            return differences(document_of(versions[number + 1].document), document_of(version.document))
        return await policy_differences(visit.room, visit.actor, version.version - 1, version.version)
    except (PolicyDocumentError, MissingError):
        return ("is not understood by this release",)


@pages.post("/policy/history/{version}/restore", Permission.POLICY_WRITE)
async def restore(visit: Visit) -> Response:
    """Make an earlier version the policy again."""
    text = visit.path("version")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise MissingError
    made = await restore_policy(visit.room, visit.actor, int(text), based_on=_based_on(visit))
    return visit.go("/policy", f"Version {text} is in force again, as version {made.version}.")
