"""The stores keep what they are given, for one organisation each, and decide who was first, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from control_room import NOW, ControlRoomForTests, opened_room
from mailveil.adapters.database import tables
from mailveil.adapters.database.accounts import SqlAccountStore
from mailveil.adapters.database.secondfactors import SecondFactorSealer
from mailveil.control.access import Role
from mailveil.control.records import (
    AllowRecord,
    AuditEntry,
    Cut,
    Feedback,
    FeedbackKind,
    FeedbackState,
    OneTimeLink,
    Organisation,
    Page,
    PolicyVersion,
    ReleaseGrant,
    RepeatedAnswer,
    Session,
    Token,
)
from mailveil.control.stores import ConflictError, CursorError, UnderWayError
from postgres_room import DatabasePlace

Steps = Callable[[ControlRoomForTests], Coroutine[Any, Any, None]]


@pytest.fixture
def in_the_room(database: DatabasePlace) -> Callable[[Steps], None]:
    """Run steps in a control room over each database, with the organisations ``default`` and ``acme``."""

    async def run(steps: Steps) -> None:
        async with opened_room(database) as room:
            await room.organisation("acme", ("acme.example",))
            await steps(room)

    return lambda steps: asyncio.run(run(steps))


async def whole(part: Callable[[Cut], Awaitable[Page[Any]]], limit: int = 2) -> list[Any]:
    """Walk through a list part by part."""
    found: list[Any] = []
    cut = Cut(limit)
    while True:
        page = await part(cut)
        assert len(page.items) <= limit
        found += page.items
        if not page.next:
            return found
        cut = Cut(limit, page.next)


def version(number: int, organisation: str = "acme", **document: Any) -> PolicyVersion:
    return PolicyVersion(organisation, number, document, NOW + number, "anna", f"the {number}th")


def entry(name: str, organisation: str = "acme", **changes: Any) -> AllowRecord:
    record = AllowRecord(
        name, organisation, "partner.example", (".cdn.example",), "bea", "a partner", "anna", NOW
    )
    return replace(record, **changes)


def session(digest: str, user: str, **changes: Any) -> Session:
    return replace(Session(digest, user, "acme", NOW, NOW, NOW + 60, csrf="c" * 43), **changes)


def link(digest: str = "d1", **changes: Any) -> OneTimeLink:
    return replace(
        OneTimeLink(digest, "invitation", "bob", "acme", Role.ANALYST, "anna", NOW + 60), **changes
    )


def token(name: str, organisation: str = "acme", **changes: Any) -> Token:
    record = Token(
        name, organisation, "feeder", f"digest-{name}", "mv_abc", ("messages:read",), "anna", NOW, NOW + 60
    )
    return replace(record, **changes)


# --- organisations -----------------------------------------------------------------------------------------


def test_organisations_are_kept_with_their_domains_and_default_comes_first(in_the_room: Any) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        store = room.room.organisations
        await store.put(Organisation("aaa", "Aaa", ("B.example", "a.example"), "ja", NOW))
        assert [each.identifier for each in await store.organisations()] == ["default", "aaa", "acme"]
        assert (await store.organisations())[1] == Organisation(
            "aaa", "Aaa", ("a.example", "b.example"), "ja", NOW
        )
        await store.put(Organisation("aaa", "New name", ("c.example",), "de", NOW))
        assert (await store.organisations())[1].domains == ("c.example",)

    in_the_room(steps)


def test_a_domain_belongs_to_one_organisation(in_the_room: Any) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        store = room.room.organisations
        before = await room.room.policies.stamp()
        with pytest.raises(ConflictError, match=r"acme\.example belongs to the organisation acme"):
            await store.put(Organisation("other", "Other", ("other.example", "ACME.example"), "en", NOW))
        assert [each.identifier for each in await store.organisations()] == ["default", "acme"]
        assert await room.room.policies.stamp() == before

    in_the_room(steps)


def test_a_removed_organisation_takes_everything_with_it_but_its_audit_trail(in_the_room: Any) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        stores = room.room
        anna = await room.user("anna", home="acme")
        boss = await room.user("boss", home="*")
        await stores.accounts.put_session(session("s1", anna.identifier))
        await stores.accounts.put_session(session("s2", boss.identifier))
        await stores.accounts.put_session(session("s3", boss.identifier, organisation="default"))
        await stores.accounts.put_link(link())
        await stores.accounts.put_token(token("t1"))
        await stores.policies.put(version(1))
        await stores.policies.allow(entry("e1"))
        await stores.feedback.report(Feedback("f1", "acme", NOW, FeedbackKind.MISSED))
        await stores.audit.write(AuditEntry("a1", NOW, "acme", "user", "anna", "policy.change"))
        await stores.organisations.remove("acme")
        assert await stores.accounts.user(anna.identifier) is None
        assert await stores.accounts.user(boss.identifier) == boss
        assert await stores.accounts.session("s2") is None
        assert await stores.accounts.session("s3") is not None
        assert (await room.audit_trail("acme"))[0].identifier == "a1"
        async with room.database.read() as connection:
            for table in tables.metadata.sorted_tables:
                home = table.c.get("organisation", table.c.get("home"))
                if home is not None and table is not tables.audit:
                    query = sa.select(sa.func.count()).select_from(table).where(home == "acme")
                    assert (await connection.execute(query)).scalar_one() == 0, table.name

    in_the_room(steps)


def test_the_organisation_default_stays(in_the_room: Any) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        with pytest.raises(ConflictError, match="default stays"):
            await room.room.organisations.remove("default")
        assert (await room.room.organisations.organisations())[0].identifier == "default"

    in_the_room(steps)


# --- policies ----------------------------------------------------------------------------------------------


def test_a_policy_is_versioned_and_only_the_next_version_is_taken(in_the_room: Any) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        store = room.room.policies
        assert await store.current("acme") is None
        for number in (1, 2, 3):
            await store.put(version(number, rules=[{"id": number}]))
        for wrong in (0, 1, 3, 5):
            with pytest.raises(ConflictError, match="changed meanwhile"):
                await store.put(version(wrong))
        assert await store.current("acme") == version(3, rules=[{"id": 3}])
        assert await store.current("default") is None
        listed = await whole(lambda cut: store.history("acme", cut))
        assert [each.version for each in listed] == [3, 2, 1]
        assert await whole(lambda cut: store.history("default", cut)) == []

    in_the_room(steps)


def test_of_two_that_change_a_policy_at_once_one_is_told(in_the_room: Any) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        store = room.room.policies
        results = await asyncio.gather(
            *(store.put(version(1, by=number)) for number in range(5)), return_exceptions=True
        )
        assert sum(each is None for each in results) == 1
        assert sum(isinstance(each, ConflictError) for each in results) == 4
        assert [each.version for each in await whole(lambda cut: store.history("acme", cut))] == [1]

    in_the_room(steps)


def test_allow_list_entries_are_listed_while_they_are_in_force(in_the_room: Any) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        store = room.room.policies
        await store.allow(entry("for-ever"))
        await store.allow(entry("a-while", created_at=NOW + 1, expires_at=NOW + 50))
        await store.allow(entry("revoked", created_at=NOW + 2, revoked_at=NOW + 3, revoked_by="bea"))
        await store.allow(entry("other", "default", created_at=NOW + 4))

        async def names(*, all_states: bool = False) -> list[str]:
            entries = await whole(lambda cut: store.allowed("acme", cut, all_states=all_states), 1)
            return [each.identifier for each in entries]

        assert await names() == ["a-while", "for-ever"]
        assert await names(all_states=True) == ["revoked", "a-while", "for-ever"]
        room.clock.advance(50)
        assert await names() == ["for-ever"]
        await store.allow(entry("for-ever", reason="another", hosts=()))
        assert await store.entry("acme", "for-ever") == entry("for-ever", reason="another", hosts=())
        assert await store.entry("default", "for-ever") is None

    in_the_room(steps)


def test_the_stamp_changes_with_every_change_that_policies_hang_on(in_the_room: Any) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        stores = room.room
        seen = [await stores.policies.stamp()]
        for change in (
            stores.policies.put(version(1)),
            stores.policies.allow(entry("e1")),
            stores.policies.allow(entry("e1", revoked_at=NOW)),
            stores.organisations.put(Organisation("acme", "Acme", (), "en", NOW)),
            stores.organisations.remove("acme"),
        ):
            await change
            seen.append(await stores.policies.stamp())
        assert len(set(seen)) == len(seen)
        with pytest.raises(ConflictError):
            await stores.policies.put(version(7, "default"))
        assert await stores.policies.stamp() == seen[-1]

    in_the_room(steps)


# --- accounts ----------------------------------------------------------------------------------------------


def test_users_are_found_by_name_in_any_case_and_by_subject(in_the_room: Any) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        store = room.room.accounts
        anna = await room.user(
            "Änna", home="acme", password_hash="$argon2id$x", totp_secret="GEZDGNBVGY3TQOJQ"
        )
        assert await store.user_named("äNNA") == anna
        assert await store.user_named(" A\u0308nna ") == anna
        changed = replace(anna, subject="https://idp.example|42", is_disabled=True, role=Role.VIEWER)
        await store.put_user(changed)
        assert await store.user_of("https://idp.example|42") == changed
        assert await store.user_of("") is None
        await store.note_sign_in(anna.identifier, NOW + 5)
        assert await store.user(anna.identifier) == replace(changed, last_sign_in_at=NOW + 5)

    in_the_room(steps)


def test_two_users_share_neither_name_nor_subject(in_the_room: Any) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        store = room.room.accounts
        await store.put_user(replace(await room.user("anna"), subject="i|1"))
        bea = await room.user("bea")
        cleo = await room.user("cleo")  # neither has a subject, which is no conflict
        with pytest.raises(ConflictError, match="name"):
            await store.put_user(replace(bea, name="ANNA"))
        with pytest.raises(ConflictError, match="OpenID subject"):
            await store.put_user(replace(cleo, subject="i|1"))
        assert await store.user(bea.identifier) == bea

    in_the_room(steps)


def test_users_are_listed_by_name_in_their_organisation_only(in_the_room: Any) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        store = room.room.accounts
        for name in ("dora", "bea", "Cleo", "anna"):
            await room.user(name, home="acme")
        await room.user("eve", home="default")
        await room.user("boss", home="*")

        async def names(organisation: str) -> list[str]:
            return [each.name for each in await whole(lambda cut: store.users(organisation, cut))]

        assert await names("acme") == ["anna", "bea", "Cleo", "dora"]
        assert await names("default") == ["eve"]
        assert await names("*") == ["anna", "bea", "boss", "Cleo", "dora", "eve"]

    in_the_room(steps)


def test_only_users_who_can_sign_in_are_counted(in_the_room: Any) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        store = room.room.accounts
        await room.user("no-password")
        disabled = await room.user("disabled", password_hash="$x")
        await store.put_user(replace(disabled, is_disabled=True))
        await room.user("admin", password_hash="$x")
        await store.put_user(replace(await room.user("viewer", "viewer"), subject="i|1"))
        assert await store.count_users() == 2
        assert await store.count_users(Role.ADMINISTRATOR) == 1
        assert await store.count_users(Role.ANALYST) == 0

    in_the_room(steps)


def test_a_second_factor_is_encrypted_in_the_database(in_the_room: Any) -> None:
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

    async def steps(room: ControlRoomForTests) -> None:
        anna = await room.user("anna", totp_secret=secret)
        bea = await room.user("bea")
        async with room.database.write() as connection:
            stored = (
                await connection.execute(
                    sa.select(tables.users.c.totp_secret).where(tables.users.c.name == "anna")
                )
            ).scalar_one()
            assert secret not in stored
            statement = sa.update(tables.users).where(tables.users.c.name == "bea").values(totp_secret=stored)
            await connection.execute(statement)
        moved = await room.room.accounts.user(bea.identifier)
        assert moved is not None
        assert moved.totp_secret not in ("", secret)  # bound to anna, and never taken for "no second factor"
        # Another key opens nothing, and a change of something else keeps what the right key opens again.
        stranger = SqlAccountStore(room.database, SecondFactorSealer(bytes(32)))
        locked = await stranger.user(anna.identifier)
        assert locked is not None
        assert locked.totp_secret not in ("", secret)
        await stranger.put_user(replace(locked, display_name="Renamed"))
        assert await room.room.accounts.user(anna.identifier) == replace(anna, display_name="Renamed")

    in_the_room(steps)


def test_sessions_are_changed_only_while_they_last(in_the_room: Any) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        store = room.room.accounts
        anna = await room.user("anna")
        for number in (1, 2, 3):
            await store.put_session(session(f"s{number}", anna.identifier, created_at=NOW + number))
        assert [each.digest for each in await store.sessions_of(anna.identifier)] == ["s3", "s2", "s1"]
        assert await store.renew_session("s1", seen_at=NOW + 9, organisation="default")
        assert await store.session("s1") == session(
            "s1", anna.identifier, created_at=NOW + 1, seen_at=NOW + 9, organisation="default"
        )
        await store.end_session("s1")
        assert not await store.renew_session("s1", seen_at=NOW, organisation="acme")
        assert await store.session("s1") is None
        assert await store.end_sessions_of(anna.identifier, but="s2") == 1
        assert [each.digest for each in await store.sessions_of(anna.identifier)] == ["s2"]
        with pytest.raises(ConflictError):
            await store.put_session(session("s4", "nobody"))

    in_the_room(steps)


def test_of_many_that_use_a_code_or_link_at_once_one_succeeds(in_the_room: Any) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        store = room.room.accounts
        anna = await room.user("anna")
        await store.put_link(link())
        used = await asyncio.gather(*(store.use_step(anna.identifier, 60_000_000) for _ in range(6)))
        assert sorted(used) == [False] * 5 + [True]
        assert await store.use_step(anna.identifier, 60_000_001)
        assert not await store.use_step("nobody", 1)
        used = await asyncio.gather(*(store.use_link("d1", NOW) for _ in range(6)))
        assert sorted(used) == [False] * 5 + [True]
        assert await store.link("d1") == link(used_at=NOW)

    in_the_room(steps)


def test_a_link_that_has_expired_cannot_be_used(in_the_room: Any) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        store = room.room.accounts
        await store.put_link(link())
        assert not await store.use_link("d1", NOW + 60)
        assert not await store.use_link("never", NOW)
        assert await store.use_link("d1", NOW + 59)

    in_the_room(steps)


def test_failures_are_counted_by_key_and_forgotten(in_the_room: Any) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        store = room.room.accounts
        for second in (0, 10, 20):
            await store.note_failure("name:anna", NOW + second)
        await store.note_failure("address:192.0.2.1", NOW)
        assert await store.failures("name:anna", NOW) == 3
        assert await store.failures("name:anna", NOW + 10) == 2
        await store.forget_failures("name:anna")
        assert await store.failures("name:anna", 0) == 0
        assert await store.failures("address:192.0.2.1", 0) == 1

    in_the_room(steps)


def test_tokens_are_found_by_their_digest_and_listed_in_their_organisation(in_the_room: Any) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        store = room.room.accounts
        for number in range(5):
            await store.put_token(token(f"t{number}", created_at=NOW + number // 2))
        await store.put_token(token("x", "default"))
        listed = await whole(lambda cut: store.tokens("acme", cut))
        assert [each.identifier for each in listed] == ["t4", "t3", "t2", "t1", "t0"]
        assert await store.token("digest-t1") == token("t1")
        await store.put_token(token("t1", revoked_at=NOW, last_used_on="2027-01-15"))
        assert await store.token_named("acme", "t1") == token("t1", revoked_at=NOW, last_used_on="2027-01-15")
        assert await store.token_named("default", "t1") is None
        await store.note_token_use("acme", "t1", "2027-02-01")
        await store.note_token_use("default", "t2", "2027-02-01")
        assert await store.token_named("acme", "t1") == token("t1", revoked_at=NOW, last_used_on="2027-02-01")
        assert await store.token_named("acme", "t2") == token("t2", created_at=NOW + 1)
        with pytest.raises(ConflictError):
            await store.put_token(token("t9", "default", digest="digest-t1"))

    in_the_room(steps)


def test_what_means_nothing_any_more_goes(in_the_room: Any) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        store = room.room.accounts
        anna = await room.user("anna")
        await store.put_session(session("short", anna.identifier))
        await store.put_session(session("long", anna.identifier, expires_at=NOW + 200_000))
        await store.put_link(link())
        await store.note_failure("k", NOW)
        await store.note_failure("k", NOW + 90_000)
        assert await store.expire(NOW) == 0
        assert await store.expire(NOW + 90_000) == 3
        assert [each.digest for each in await store.sessions_of(anna.identifier)] == ["long"]
        assert await store.failures("k", 0) == 1

    in_the_room(steps)


# --- audit, reports, repeats -------------------------------------------------------------------------------


def test_the_audit_trail_is_filtered_paged_and_kept_apart(in_the_room: Any) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        log = room.room.audit
        for number in range(7):
            action = "token.create" if number % 2 else "policy.change"
            actor = "anna" if number < 4 else "bea"
            details = {"number": number, "odd": bool(number % 2)}
            await log.write(
                AuditEntry(
                    f"a{number}", NOW + number, "acme", "user", actor, action, "s", details, "192.0.2.1"
                )
            )
        await log.write(AuditEntry("b", NOW, "default", "user", "anna", "policy.change"))

        async def names(**filters: str) -> list[str]:
            return [each.identifier for each in await whole(lambda cut: log.entries("acme", cut, **filters))]

        assert await names() == ["a6", "a5", "a4", "a3", "a2", "a1", "a0"]
        assert await names(action="policy.change") == ["a6", "a4", "a2", "a0"]
        assert await names(actor="bea", action="token.create") == ["a5"]
        assert await names(subject="other") == []
        first = (await log.entries("acme", Cut(1))).items[0]
        assert first.details == {"number": 6, "odd": False}
        assert await log.expire("acme", NOW + 3) == 3
        assert await log.expire("acme", NOW + 3) == 0
        assert await names() == ["a6", "a5", "a4", "a3"]
        assert len(await room.audit_trail("default")) == 1

    in_the_room(steps)


def test_reports_are_listed_by_state_and_change(in_the_room: Any) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        store = room.room.feedback
        made = [
            Feedback(f"f{number}", "acme", NOW + number, FeedbackKind.MISSED, "m", "a\0text", "mail")
            for number in range(5)
        ]
        for each in made:
            await store.report(each)
        closed = replace(made[2], state=FeedbackState.REJECTED, closed_by="bea", closed_at=NOW + 9, note="no")
        await store.report(closed)

        async def names(state: FeedbackState | None) -> list[str]:
            return [
                each.identifier for each in await whole(lambda cut: store.reports("acme", cut, state=state))
            ]

        assert await names(None) == ["f4", "f3", "f2", "f1", "f0"]
        assert await names(FeedbackState.OPEN) == ["f4", "f3", "f1", "f0"]
        kept = await store.report_of("acme", "f2")
        assert kept == replace(closed, text="a\N{REPLACEMENT CHARACTER}text")
        assert await store.report_of("default", "f2") is None
        assert await store.expire("acme", NOW + 3) == 3
        assert await names(None) == ["f4", "f3"]
        with pytest.raises(ConflictError):
            await store.report(replace(closed, organisation="nowhere"))

    in_the_room(steps)


def test_leave_to_read_an_original_ends(in_the_room: Any) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        store = room.room.feedback
        grant = ReleaseGrant("g1", "acme", "m1", "1767225600-abc", "a customer asks", "anna", NOW, NOW + 60)
        await store.grant(grant)
        assert await store.grants("acme", "m1", NOW + 59) == [grant]
        assert await store.grants("acme", "m1", NOW + 60) == []
        assert await store.grants("default", "m1", NOW) == []

    in_the_room(steps)


def test_of_many_equal_requests_at_once_one_is_done_and_later_ones_are_answered_alike(
    in_the_room: Any,
) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        store = room.room.repeats
        results = await asyncio.gather(
            *(store.begin("anna", "key", "fingerprint", NOW) for _ in range(6)), return_exceptions=True
        )
        assert sum(each is None for each in results) == 1
        assert sum(isinstance(each, UnderWayError) for each in results) == 5
        await store.finish("anna", "key", 201, "answer")
        assert await store.begin("anna", "key", "fingerprint", NOW) == RepeatedAnswer(201, "answer")
        with pytest.raises(ConflictError, match="another request") as caught:
            await store.begin("anna", "key", "another", NOW)
        assert not isinstance(caught.value, UnderWayError)
        assert await store.begin("bea", "key", "another", NOW) is None
        await store.abandon("bea", "key")
        assert await store.begin("bea", "key", "third", NOW + 10) is None
        await store.abandon("anna", "key")  # a finished one stays
        assert await store.begin("anna", "key", "fingerprint", NOW) == RepeatedAnswer(201, "answer")
        assert await store.expire(NOW + 1) == 1
        assert await store.begin("anna", "key", "another", NOW) is None

    in_the_room(steps)


def test_a_cursor_from_elsewhere_is_refused_by_every_list(in_the_room: Any) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        stores, cut = room.room, Cut(5, "bm9uc2Vuc2U")
        for part in (
            stores.policies.history("acme", cut),
            stores.policies.allowed("acme", cut),
            stores.accounts.users("acme", cut),
            stores.accounts.tokens("acme", cut),
            stores.audit.entries("acme", cut),
            stores.feedback.reports("acme", cut),
        ):
            with pytest.raises(CursorError):
                await part

    in_the_room(steps)
