"""Policies as they are kept: changed by one at a time, with a history, told why, tried on what was seen."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import replace

import pytest

from control_room import NOW, ControlRoomForTests, actor
from corpus_cases import ADDRESSES
from mailveil.adapters.workers import WorkerPool
from mailveil.control import replaying
from mailveil.control.access import ForbiddenError, Permission
from mailveil.control.allowing import (
    allow,
    extend_allowed,
    list_allowed,
    read_entries,
    revoke_allowed,
)
from mailveil.control.failures import BusyError, InvalidError, MissingError
from mailveil.control.policies import (
    UNWRITTEN,
    change_policy,
    explain_message,
    policy_differences,
    policy_history,
    read_policy,
    restore_policy,
    rules_in_order,
    set_level,
)
from mailveil.control.policyfiles import apply_import, export_file, plan_import, read_policy_file
from mailveil.control.records import Cut
from mailveil.control.replaying import replay
from mailveil.control.stores import ConflictError
from mailveil.core.observation import (
    Observation,
    ObservedReference,
    Passed,
    RecordSettings,
    make_observations,
    observation_identifier,
)
from mailveil.core.policy import (
    CopyMode,
    Envelope,
    OrganisationPolicy,
    PolicySnapshot,
    message_policy,
    parse_policy,
)
from mailveil.core.policy.explaining import Effect
from mailveil.core.policy.rules import Level
from mailveil.core.policy.tomltext import write_toml
from mailveil.core.protection import EngineSettings
from mailveil.ports import Reply
from mailveil.stages.observation import passed_of
from signing_room import MESSAGE, authenticated, record, rsa_key, signed

DAY = 86_400.0
MAILER_IS_BLANK = parse_policy(
    'level = "normal"\n[[rules]]\nid = "mailer"\nwhen = { operators = ["Mailer"] }\nthen = { action = "blank" }'
)


def seen(number: int, *references: ObservedReference, **more: object) -> Observation:
    at = NOW - 600 * number - 1
    log_identifier = f"log-{number}"
    made = Observation(
        identifier=observation_identifier(at, log_identifier, "default"),
        organisation="default",
        at=at,
        log_identifier=log_identifier,
        sender="bounce@shop.example",
        author="news@shop.example",
        sender_domain="shop.example",
        recipients=("ann@example.org",),
        risk="medium",
        references=references,
        total_references=len(references),
        total_trackers=len(references),
    )
    return replace(made, **more)  # type: ignore[arg-type]


def pixel(
    action: str = "copy", rule: str = "level:gentle", host: str = "px.mailer.example"
) -> ObservedReference:
    return ObservedReference(
        url=f"https://{host}/o.gif?*",
        template=f"https://{host}/o.gif?*",
        host=host,
        domain="mailer.example",
        vector="img-src",
        finding="tracker",
        action=action,
        media="image",
        kind="open",
        kinds=("open",),
        risk="medium",
        operator="Mailer",
        rule=rule,
    )


def changes(found: Sequence[object]) -> list[tuple[str, ...]]:
    return [(each.before, each.after, each.rule) for each in found]  # type: ignore[attr-defined]


def test_nobody_overwrites_what_another_has_changed_meanwhile(control_room: ControlRoomForTests) -> None:
    async def inside() -> None:
        room = control_room.room
        assert (await read_policy(room, actor())).document == UNWRITTEN
        first = await change_policy(
            room, actor(), MAILER_IS_BLANK, based_on=0, comment="  stop   the mailer "
        )
        assert (first.version, first.comment) == (1, "stop the mailer")
        with pytest.raises(ConflictError, match="version 1 is in force"):
            await change_policy(room, actor(), parse_policy(""), based_on=0)
        same = await change_policy(room, actor(), MAILER_IS_BLANK, based_on=1)
        assert same.version == 1, "what says the same is no change"
        await set_level(room, actor(), Level.STRICT)
        assert (await read_policy(room, actor())).document.rules == MAILER_IS_BLANK.rules
        assert (await read_policy(room, actor(), 1)).document == MAILER_IS_BLANK
        assert await policy_differences(room, actor(), 1, 2) == ("level: normal becomes strict",)
        again = await restore_policy(room, actor(), 1, based_on=2)
        assert (again.version, again.document) == (3, MAILER_IS_BLANK)
        page = await policy_history(room, actor(), Cut(2))
        assert [each.version for each in page.items] == [3, 2]
        with pytest.raises(MissingError):
            await read_policy(room, actor(), 9)
        trail = {each.subject: each for each in await control_room.audit_trail(action="policy.change")}
        assert set(trail) == {"version 3", "version 2", "version 1"}
        assert trail["version 1"].details["comment"] == "stop the mailer"
        assert "rule mailer: new (run by Mailer: action blank)" in trail["version 1"].details["changes"]

    asyncio.run(inside())


def test_who_may_read_may_not_change_and_each_organisation_has_its_own(
    control_room: ControlRoomForTests,
) -> None:
    async def inside() -> None:
        room = control_room.room
        await control_room.organisation("acme", ("acme.example",))
        reader = actor(permissions=[Permission.POLICY_READ, Permission.ALLOW_READ])
        with pytest.raises(ForbiddenError):
            await change_policy(room, reader, MAILER_IS_BLANK, based_on=0)
        with pytest.raises(ForbiddenError):
            await allow(room, reader, "partner.example", owner="a", reason="b")
        await change_policy(room, actor(), MAILER_IS_BLANK, based_on=0)
        made = await allow(room, actor(), "partner.example", owner="a", reason="b")
        other = replace(actor(), organisation="acme", home="acme")
        assert (await read_policy(room, other)).version == 0
        assert (await list_allowed(room, other, Cut())).items == ()
        with pytest.raises(MissingError):
            await revoke_allowed(room, other, made.identifier)

    asyncio.run(inside())


def test_a_partner_is_allowed_with_owner_reason_and_end_and_all_of_it_is_on_record(
    control_room: ControlRoomForTests,
) -> None:
    async def inside() -> None:
        room, clock = control_room.room, control_room.clock
        made = await allow(
            room, actor(), ".Partner.example", hosts=["CDN.partner.example"], owner="bea", reason="reports",
            expires_at=NOW + DAY,
        )  # fmt: skip
        assert (made.author, made.hosts) == (".partner.example", ("cdn.partner.example",))
        clock.advance(DAY / 2)
        extended = await extend_allowed(room, actor(), made.identifier, NOW + 2 * DAY, reason="one more")
        clock.advance(DAY)
        assert [each.author for each in await read_entries(room.policies, "default")] == [".partner.example"]
        revoked = await revoke_allowed(room, actor(), extended.identifier, "enough")
        assert revoked.revoked_by == actor().name
        assert await read_entries(room.policies, "default") == ()
        assert len((await list_allowed(room, actor(), Cut(), all_states=True)).items) == 1
        with pytest.raises(InvalidError, match="revoked"):
            await extend_allowed(room, actor(), made.identifier, NOW + 9 * DAY)
        trail = [(each.action, each.details["author"]) for each in await control_room.audit_trail()]
        assert trail == [(f"allow.{each}", ".partner.example") for each in ("revoke", "extend", "add")]

    asyncio.run(inside())


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"author": "com"}, "author"),
        ({"author": ".co.uk"}, "author"),
        ({"author": "*.partner.example"}, "author"),
        ({"author": "https://partner.example"}, "author"),
        ({"hosts": ["https://cdn.example/x"]}, "hosts"),
        ({"owner": "  "}, "owner"),
        ({"reason": ""}, "reason"),
        ({"reason": "\x1b[31m"}, "reason"),
        ({"expires_at": NOW}, "expires_at"),
    ],
)
def test_an_entry_that_could_not_be_meant_is_refused(
    control_room: ControlRoomForTests, given: dict[str, object], field: str
) -> None:
    async def inside() -> None:
        whole = {"author": "partner.example", "owner": "bea", "reason": "reports", **given}
        with pytest.raises(InvalidError) as caught:
            await allow(control_room.room, actor(), **whole)  # type: ignore[arg-type]
        assert caught.value.field == field
        assert not await control_room.audit_trail()

    asyncio.run(inside())


def test_everything_goes_out_as_one_file_and_comes_back_from_it(control_room: ControlRoomForTests) -> None:
    async def inside() -> None:
        room = control_room.room
        await change_policy(room, actor(), MAILER_IS_BLANK, based_on=0)
        await allow(room, actor(), "partner.example", owner="bea", reason="reports", expires_at=NOW + DAY)
        gone = await allow(room, actor(), "old.example", owner="bea", reason="reports")
        text = write_toml(await export_file(room, actor()))
        assert (await plan_import(room, actor(), read_policy_file(text))).changes == ()

        changed = text.replace('level = "normal"', 'level = "strict"').replace('"reports"', '"monthly"', 1)
        changed += '\n[[allow]]\nauthor = "new.example"\nowner = "bea"\nreason = "new"\n'
        changed = changed.replace(
            f'id = "{gone.identifier}"\nauthor = "old.example"', 'author = "older.example"'
        )
        plan = await plan_import(room, actor(), read_policy_file(changed))
        assert "policy: level: normal becomes strict" in plan.changes
        assert "allow-list: new.example, owned by bea comes" in plan.changes
        assert "allow-list: old.example, owned by bea is revoked" in plan.changes
        assert (await read_policy(room, actor())).version == 1, "a plan changes nothing"
        await apply_import(room, actor(), plan)
        assert (await read_policy(room, actor())).document.level is Level.STRICT
        authors = {each.author for each in await read_entries(room.policies, "default")}
        assert authors == {"partner.example", "new.example", "older.example"}
        assert (
            await plan_import(room, actor(), read_policy_file(write_toml(await export_file(room, actor()))))
        ).changes == ()
        with pytest.raises(ConflictError):
            await apply_import(room, actor(), replace(plan, document=MAILER_IS_BLANK))

    asyncio.run(inside())


def test_a_policy_alone_leaves_the_allow_list_alone(control_room: ControlRoomForTests) -> None:
    async def inside() -> None:
        room = control_room.room
        await allow(room, actor(), "partner.example", owner="bea", reason="reports")
        plan = await plan_import(room, actor(), read_policy_file('level = "strict"'))
        assert plan.changes == ("policy: level: normal becomes strict",)

    asyncio.run(inside())


def test_why_a_reference_was_treated_so_is_told_then_and_now(control_room: ControlRoomForTests) -> None:
    async def inside() -> None:
        room, clock = control_room.room, control_room.clock
        clock.moment = NOW - DAY
        await change_policy(room, actor(), MAILER_IS_BLANK, based_on=0)
        clock.moment = NOW
        await change_policy(room, actor(), parse_policy('level = "normal"'), based_on=1)
        message = seen(1, pixel("blank", "rule:mailer"), pixel("copy", "level:normal", "img.shop.example"))
        await room.observations.add([message])
        blank, copied = await explain_message(room, actor(), message.identifier)
        assert blank.then == "the rule mailer of version 1: run by Mailer: action blank"
        action = blank.now.of(Effect.ACTION)
        assert action is not None
        assert (action.value, action.key) == ("copy", "level:normal")
        assert "the level normal held" in copied.then
        assert len(await explain_message(room, actor(), message.identifier, number=1)) == 1
        with pytest.raises(MissingError):
            await explain_message(room, actor(), message.identifier, number=2)
        with pytest.raises(MissingError):
            await explain_message(room, replace(actor(), organisation="acme", home="*"), message.identifier)

    asyncio.run(inside())


def test_a_kept_reference_names_its_entry_and_who_answers_for_it(control_room: ControlRoomForTests) -> None:
    async def inside() -> None:
        room = control_room.room
        made = await allow(room, actor(), "shop.example", owner="bea", reason="our shop")
        kept = seen(1, pixel("keep", f"allow:{made.identifier}"), author_domain="shop.example")
        await room.observations.add([kept])
        (told,) = await explain_message(room, actor(), kept.identifier)
        assert told.then == f"the allow-list entry {made.identifier} for shop.example, owned by bea: our shop"
        action = told.now.of(Effect.ACTION)
        assert action is not None
        assert action.key == f"allow:{made.identifier}"

    asyncio.run(inside())


def test_a_policy_is_tried_on_what_was_seen_before_it_is_put_in_force(
    control_room: ControlRoomForTests,
) -> None:
    async def inside() -> None:
        room = control_room.room
        other = replace(pixel(), operator="", host="cdn.shop.example", finding="content", kind="", kinds=())
        messages = [seen(number, pixel(), other) for number in range(120)]
        messages.append(seen(200, pixel("blank", "rule:mailer")))
        messages.append(seen(60_000, pixel()))  # older than what is asked for
        messages.append(seen(300, pixel(), recipients=("0a1b2c",), total_references=3))
        await room.observations.add(messages)
        progress: list[int] = []
        found = await replay(room, actor(), MAILER_IS_BLANK, NOW - 7 * DAY, progress=progress.append)
        assert found.complete
        assert (found.messages, found.changed_messages, found.changed_references) == (122, 121, 121)
        assert changes(found.changes) == [("copy", "blank", "rule:mailer")]
        assert (found.changes[0].messages, found.changes[0].references) == (121, 121)
        assert len(found.examples) == 20
        assert found.examples[0].message == messages[0].identifier
        assert (found.pseudonymous, found.unseen_references) == (1, 2)
        assert progress[-1] == 122
        assert (await read_policy(room, actor())).version == 0, "trying changes nothing"

    asyncio.run(inside())


def test_a_pilot_and_a_banner_are_told_for_whole_messages(control_room: ControlRoomForTests) -> None:
    async def inside() -> None:
        room = control_room.room
        await room.observations.add(
            [seen(1, pixel()), seen(2, pixel(), recipients=("bob@example.org",), risk="low")]
        )
        document = parse_policy(
            'level = "strict"\n[[rules]]\nid = "pilot"\nwhen = { recipients = ["bob@example.org"] }\n'
            "then = { monitor = true }"
        )
        found = await replay(room, actor(), document, NOW - DAY)
        assert ("protected", "reported only", "") in changes(found.changes)
        assert ("no banner", "banner", "") in changes(found.changes)
        assert found.changed_messages == 2

    asyncio.run(inside())


def test_trying_ends_in_time_and_says_how_far_it_came(control_room: ControlRoomForTests) -> None:
    async def inside() -> None:
        room = control_room.room
        await room.observations.add([seen(number, pixel()) for number in range(200)])

        def slow(done: int) -> None:
            control_room.clock.advance(10)

        found = await replay(room, actor(), MAILER_IS_BLANK, NOW - DAY * 7, longest_s=15, progress=slow)
        assert not found.complete
        assert 0 < found.messages < 200
        assert found.reached == NOW - 600 * (found.messages - 1) - 1

    asyncio.run(inside())


def test_while_one_policy_is_tried_others_wait_their_turn_and_are_told_when_it_takes_too_long(
    control_room: ControlRoomForTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def inside() -> None:
        room = control_room.room
        await room.observations.add([seen(number, pixel()) for number in range(200)])
        others_had_turns = 0

        async def mail() -> None:
            nonlocal others_had_turns
            while True:
                await asyncio.sleep(0)
                others_had_turns += 1

        begun = asyncio.Event()
        passing = asyncio.create_task(mail())
        first = asyncio.create_task(
            replay(room, actor(), MAILER_IS_BLANK, NOW - 7 * DAY, progress=lambda _: begun.set())
        )
        await begun.wait()
        before = others_had_turns
        with monkeypatch.context() as hasty:
            hasty.setattr(replaying, "WAIT_S", 0.0)
            with pytest.raises(BusyError):
                await replay(room, actor(), MAILER_IS_BLANK, NOW - 7 * DAY)
        assert (await first).messages == 200
        assert others_had_turns > before, "mail goes on meanwhile"
        cancelled = asyncio.create_task(replay(room, actor(), MAILER_IS_BLANK, NOW - 7 * DAY))
        await asyncio.sleep(0)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert not room.replaying.locked()
        assert (await replay(room, actor(), MAILER_IS_BLANK, NOW - 7 * DAY)).complete
        passing.cancel()

    asyncio.run(inside())


def test_replaying_says_what_the_gateway_did_with_the_same_mail(control_room: ControlRoomForTests) -> None:
    """Real messages go through the real engine by a policy, and the same policy then finds nothing to change."""
    text = (
        '[groups]\nboard = ["ann@example.net"]\n'
        '[[rules]]\nid = "board"\nwhen = { groups = ["board"], findings = ["tracker"] }\nthen = { action = "blank" }\n'
        '[[rules]]\nid = "partner"\nwhen = { sender_domains = [".example.org"] }\nthen = { action = "keep" }\n'
        '[[rules]]\nid = "logo"\nwhen = { hosts = [".logo.example"] }\nthen = { action = "blank" }\n'
    )
    document = parse_policy(text)
    snapshot = PolicySnapshot((OrganisationPolicy("default", document=document),))
    body = MESSAGE.replace(
        b"<p>",
        b'<img src="https://a.logo.example/x.png"><img width=1 height=1 src="https://t.example/o.gif?u=8f3a2c1d9b7e">'
        b'<iframe src="https://f.example/"></iframe><p>',
    )
    mail = [body, signed(body), signed(body).replace(b"Hello", b"Hullo")]

    async def inside() -> None:
        observations: list[Observation] = []
        with WorkerPool(EngineSettings(mode=CopyMode.HOSTED, addresses=ADDRESSES)) as engine:
            for number, (raw, to) in enumerate(
                itertools.product(mail, ("ann@example.net", "eve@example.net"))
            ):
                envelope = Envelope(
                    "news@mail.example.org", (to,), authentication=authenticated(raw, [record(rsa_key())])
                )
                rules = message_policy(snapshot, envelope, NOW)
                protected = await engine.protect(raw, envelope, None, rules)
                what = Passed(NOW - 60 * number - 1, f"m{number}", envelope, len(raw))
                what = passed_of(what, protected, Reply(250))
                observations += make_observations(what, lambda _: "default", RecordSettings())
        done = {(each.action, each.rule) for one in observations for each in one.references}
        assert {("keep", "rule:partner"), ("blank", "rule:board"), ("copy", "level:normal")} <= done
        assert ("remove", "level:normal") in done
        await control_room.room.observations.add(observations)
        found = await replay(control_room.room, actor(), document, NOW - DAY)
        assert (found.messages, found.changed_references, found.changes) == (6, 0, ())
        loose = parse_policy(text.replace('action = "keep"', 'action = "copy"'))
        (change,) = (await replay(control_room.room, actor(), loose, NOW - DAY)).changes
        assert (change.before, change.after, change.rule) == ("keep", "copy", "rule:partner")

    asyncio.run(inside())


def test_rules_are_shown_in_the_order_in_which_they_are_asked(control_room: ControlRoomForTests) -> None:
    async def inside() -> None:
        room = control_room.room
        await change_policy(room, actor(), MAILER_IS_BLANK, based_on=0)
        made = await allow(room, actor(), "partner.example", owner="bea", reason="reports")
        ordered = await rules_in_order(room, actor())
        assert [(each.place, each.rule.key) for each in ordered] == [
            (1, f"allow:{made.identifier}"),
            (2, "rule:mailer"),
        ]
        assert ordered[0].words == "from partner.example: action keep"

    asyncio.run(inside())
