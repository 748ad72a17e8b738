"""Finishing: a plan's decisions written into the message, until nothing is left that anyone would fetch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mailveil.core.banner import Notice, banner_edits, notice_of
from mailveil.core.copyaddress import content_id
from mailveil.core.message.signed import SignedPart
from mailveil.core.message.types import Coding, Source
from mailveil.core.policy import BannerSettings, CopyMode, Envelope, MessagePolicy, SignedMail
from mailveil.core.protection.forged import removals
from mailveil.core.protection.inspecting import inspect
from mailveil.core.protection.labels import label_of
from mailveil.core.protection.plan import (
    Decision,
    EngineSettings,
    Outcome,
    Plan,
    is_left_alone,
    stands_in,
)
from mailveil.core.rewrite import (
    EmbeddedCopy,
    Replacement,
    embed_copies,
    inert_part_edits,
    rewrite,
    unsign_edits,
)
from mailveil.core.verdicts.types import Risk

MAX_ROUNDS = 4
INERT_NOTICE = (
    "This part of the message could not be examined for hidden callbacks and is shown as plain text. "
    "Your mail administrator can release the original."
)
PLACEHOLDER_GIF = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c000000000100010000020144003b"
)


def finish(
    plan: Plan, copies: Mapping[str, EmbeddedCopy] | None = None, *, labelled: bool = False
) -> Outcome:
    """Write a plan's decisions into the message.

    ``copies`` are the safe copies by token in embedded mode; a missing one is a placeholder. Where clients could
    read the message in more than one way the result is searched again, until nothing is left that anyone would
    fetch; a part that resists becomes inert text. With ``labelled`` pictures that say what stood there take the places
    of copies, and of what policy leaves alone, too: for people who look at a message as it came in. Total and pure.
    """
    if not plan.protected and not labelled:
        return Outcome(plan.raw, changed=False, plan=plan)
    banner, shown = _banner(plan)
    raw, unsigned, inert = _apply(plan, copies or {}, banner, labelled=labelled)
    if raw is plan.raw or not (plan.ambiguous or plan.forged or banner):
        return Outcome(raw, raw is not plan.raw, plan, unsigned, inert, banner=shown)
    for round_number in range(1, MAX_ROUNDS + 1):
        again = inspect(raw, plan.settings, policy=plan.policy)
        if not _has_work(again):
            break
        after, more_unsigned, more_inert = _apply(
            again, {}, everything_inert=round_number == MAX_ROUNDS, labelled=labelled
        )
        unsigned, inert = (*unsigned, *more_unsigned), (*inert, *more_inert)
        if after == raw:
            break
        raw = after
    return Outcome(raw, changed=True, plan=plan, unsigned=unsigned, inert_parts=inert, banner=shown)


def protect(
    raw: bytes,
    settings: EngineSettings,
    envelope: Envelope | None = None,
    policy: MessagePolicy | None = None,
) -> Outcome:
    """Inspect and finish in one go, with placeholders or hosted addresses: what needs no copy at hand."""
    return finish(inspect(raw, settings, envelope, policy))


def _has_work(plan: Plan) -> bool:
    if plan.unexamined or plan.insertions or plan.forged:
        return True
    return any(not is_left_alone(decision, plan) for decision in plan.decisions)


def _banner(plan: Plan) -> tuple[list[Replacement], bool]:
    """Return what tells readers of the trackers that are stopped, if policy wants them told, and whether they are."""
    settings = None if plan.policy is None else plan.policy.banner
    if settings is None:
        return [], False
    closed = (*plan.unexamined, *(signed.part for signed in plan.signed))
    return banner_edits(
        plan.message, _notice(plan, settings), plan.settings.banner_key, plan.settings.limits, closed
    )


def _notice(plan: Plan, settings: BannerSettings) -> Notice | None:
    """Return what is told of trackers that are stopped, not of those that policy leaves alone, and of a known actor."""
    recognition = None if plan.policy is None else plan.policy.recognition
    least = next((risk for risk in Risk if risk == settings.least_risk), Risk.MEDIUM)
    if list(Risk).index(plan.risk) < list(Risk).index(least):
        return None
    stopped = (decision.verdict for decision in plan.decisions if not is_left_alone(decision, plan))
    return notice_of(stopped, plan.risk, settings, recognition)


def _apply(
    plan: Plan,
    copies: Mapping[str, EmbeddedCopy],
    banner: Sequence[Replacement] = (),
    *,
    everything_inert: bool = False,
    labelled: bool = False,
) -> tuple[bytes, tuple[SignedPart, ...], tuple[str, ...]]:
    replacements: list[Replacement] = []
    embedded: dict[int, dict[str, EmbeddedCopy]] = {}
    broken_signatures: list[SignedPart] = []
    decided = [decision for decision in plan.decisions if labelled or not is_left_alone(decision, plan)]
    unexamined = list(plan.unexamined)
    if everything_inert:
        sections = {decision.reference.part for decision in decided}
        unexamined += [part for part in plan.message.walk() if part.section in sections and not part.children]
    if labelled:
        replacements += [_labelled(decision) for decision in decided]
    else:
        replacements += [_replacement(decision, plan, copies, embedded) for decision in decided]
    replacements += removals(plan.forged)
    replacements += banner
    for signed in plan.signed:
        touched = any(
            stands_in(decision.reference.source, decision.reference.start, signed.part)
            for decision in decided
        ) or any(stands_in(part.source, part.span.start, signed.part) for part in unexamined)
        if touched and plan.settings.policy.signed_mail is SignedMail.PROTECT:
            broken_signatures.append(signed)
            if signed.part.children:
                replacements += unsign_edits(signed.part)
    untouched = [signed for signed in plan.signed if signed not in broken_signatures]
    for insertion in plan.insertions:
        if not any(stands_in(insertion.source, insertion.at, signed.part) for signed in untouched):
            text = insertion.text.encode(insertion.encoding)
            replacements.append(Replacement(insertion.source, insertion.at, insertion.at, text))
    inert: list[str] = []
    for part in unexamined:
        replacements += inert_part_edits(part, INERT_NOTICE)
        inert.append(part.section)
    if plan.settings.mode is CopyMode.EMBEDDED and embedded:
        replacements += _embed(plan, embedded)
    return rewrite(plan.message, replacements), tuple(broken_signatures), tuple(inert)


def _replacement(
    decision: Decision,
    plan: Plan,
    copies: Mapping[str, EmbeddedCopy],
    embedded: dict[int, dict[str, EmbeddedCopy]],
) -> Replacement:
    reference, wanted, settings = decision.reference, decision.wanted, plan.settings
    text = reference.inert
    if wanted is not None and settings.addresses is not None:
        if settings.mode is CopyMode.HOSTED:
            text = settings.addresses.address(wanted.token)
        elif settings.mode is CopyMode.EMBEDDED and _embeddable(reference.source):
            copy = copies.get(wanted.token)
            if copy is None:
                name = content_id("placeholder", settings.content_id_domain)
                copy = EmbeddedCopy(name, "image/gif", PLACEHOLDER_GIF)
            embedded.setdefault(id(reference.source), {})[copy.content_id] = copy
            text = "cid:" + copy.content_id
    return Replacement(reference.source, reference.start, reference.end, text.encode(reference.encoding))


def _labelled(decision: Decision) -> Replacement:
    reference = decision.reference
    text = label_of(decision).encode(reference.encoding)
    return Replacement(reference.source, reference.start, reference.end, text)


def _embeddable(source: Source) -> bool:
    """Tell whether a source is the body of a part of the message itself, which can have related parts."""
    return source.within is not None and source.within.within is None and source.coding in (
        Coding.IDENTITY, Coding.QUOTED_PRINTABLE, Coding.BASE64,
    )  # fmt: skip


def _embed(plan: Plan, embedded: Mapping[int, Mapping[str, EmbeddedCopy]]) -> list[Replacement]:
    sources = {id(decision.reference.source): decision.reference.source for decision in plan.decisions}
    replacements: list[Replacement] = []
    for identity, copies in embedded.items():
        source = sources[identity]
        for part in plan.message.walk():
            if not part.children and part.source is source.within and part.body_span == source.span:
                replacements += embed_copies(plan.message, part, tuple(copies.values()))
                break
    return replacements
