"""Who resembles somebody and is honest can show it by what an imitator has not; a harmless relative hides nobody.

Setup: some weeks of ordinary mail, a correspondent or a domain of our own, and a domain that resembles it and tracks
with means of its own. Test: a signature of the correspondent, weeks of our writing to it and an entry of the allow-list
each clear it of the resemblance; less than that, and what anybody can have, does not.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from intelligence_room import (
    DAY,
    HOUR,
    START,
    Shelf,
    Studied,
    finance,
    mail,
    newsletter,
    person,
    quiet_weeks,
    settings,
    tracker,
    written,
)
from mailveil.core.intelligence.types import AlertKind, AnalystVerdict, Decision
from mailveil.core.observation import Observation

LATER = START + 40 * DAY
THEIRS = "northmills.example"
RELATIVE = "northmills-group.example"


def acquainted() -> Studied:
    """Return what is known after weeks in which we wrote with somebody."""
    studied = Studied().take(quiet_weeks())
    for number in range(3):
        at = LATER - (9 - number) * DAY
        studied.take([written(at, person(3), f"anna@{THEIRS}"), mail(at + HOUR, THEIRS, person(3))])
    return studied


def probes(sender: str, *, start: float = LATER, rule: str = "", **others: object) -> list[Observation]:
    return [
        mail(
            start + number * HOUR, sender, finance(number), tracker(f"px.{sender}", rule=rule),
            text_characters=300, **others,
        )
        for number in range(3)
    ]  # fmt: skip


def signed_by(*domains: str) -> dict[str, object]:
    return {"authentication": {"dkim": [{"domain": each, "result": "pass"} for each in domains]}}


def resemblance(studied: Studied, sender: str) -> set[str]:
    found = studied.activities.get(sender)
    return {each.code for each in found.reasons if each.code.startswith("LOOKS_LIKE")} if found else set()


def test_who_bears_a_signature_of_whom_it_resembles_is_no_imitation() -> None:
    claimed = acquainted().take(probes(RELATIVE))
    assert resemblance(claimed, RELATIVE) == {"LOOKS_LIKE_CORRESPONDENT"}
    assert len(claimed.alerts) == 1
    signed = acquainted().take(probes(RELATIVE, **signed_by(RELATIVE, f"mail.{THEIRS}")))
    assert resemblance(signed, RELATIVE) == set()
    assert max((each.score for each in signed.activities.values()), default=0) < claimed.alerts[0].score


@pytest.mark.parametrize(
    "others",
    [
        {"authentication": {"dkim": [{"domain": THEIRS, "result": "fail"}]}},
        signed_by(f"{THEIRS}.evil.example"),
        {**signed_by(THEIRS), "header": {"list_id": f"friends.{THEIRS}"}},
        {"header": {"reply_to_domain": THEIRS}},
    ],
    ids=["a signature that fails", "another's signature", "a list that signs posts", "where answers go"],
)
def test_what_anybody_can_have_clears_nobody_of_a_name(others: dict[str, object]) -> None:
    studied = acquainted().take(probes(RELATIVE, **others))
    assert resemblance(studied, RELATIVE) == {"LOOKS_LIKE_CORRESPONDENT"}


def test_our_own_signature_clears_nobody_who_resembles_us() -> None:
    ours = replace(settings(), own_domains=frozenset({"meridian.example"}))
    studied = Studied(ours).take(quiet_weeks())
    studied.take(probes("meridian-jobs.example", **signed_by("meridian.example")))
    assert resemblance(studied, "meridian-jobs.example") == {"LOOKS_LIKE_US"}


def sister(days: int, *, tracks: bool = False) -> Studied:
    """Return what is known after we wrote with a sister company for some days of three weeks; then it tracks."""
    ours = replace(settings(), own_domains=frozenset({"meridian.example"}))
    studied = Studied(ours).take(quiet_weeks())
    name = "meridian-group.example"
    for number in range(days):
        at = LATER - 21 * DAY + number * 3 * DAY
        extra = (tracker(f"px.{name}"),) if tracks else ()
        studied.take([mail(at, name, person(3), *extra), written(at + HOUR, person(3), f"anna@{name}")])
    return studied.take(probes(name))


def test_whom_our_people_wrote_to_for_weeks_before_it_tracked_is_no_imitation() -> None:
    assert resemblance(sister(4), "meridian-group.example") == set()
    assert resemblance(sister(2), "meridian-group.example") == {"LOOKS_LIKE_US"}
    assert resemblance(sister(4, tracks=True), "meridian-group.example") == {"LOOKS_LIKE_US"}


def test_an_entry_of_the_allow_list_clears_of_a_name_also_after_an_alarm() -> None:
    assert resemblance(acquainted().take(probes(RELATIVE, rule="rule:7")), RELATIVE)
    allowed = acquainted().take(probes(RELATIVE, rule="allow:7"))
    assert resemblance(allowed, RELATIVE) == set()
    late = acquainted().take(probes(RELATIVE))
    assert resemblance(late, RELATIVE)
    before = late.activities[RELATIVE].score
    late.take(probes(RELATIVE, start=LATER + 3 * DAY, rule="allow:7"))
    assert resemblance(late, RELATIVE) == set()
    assert late.activities[RELATIVE].score < before


def test_a_relative_that_was_found_harmless_hides_nobody_who_resembles_the_same() -> None:
    ours = replace(settings(), own_domains=frozenset({"meridian.example"}))
    studied = Studied(ours).take(quiet_weeks())
    studied.take(
        newsletter(
            LATER + number * HOUR,
            "meridian-jobs.example",
            finance(number),
            tracker("px.meridian-jobs.example"),
        )
        for number in range(3)
    )
    (alert,) = studied.alerts
    by = "meridian-jobs.example"
    at = LATER + DAY
    studied.take([Decision("d1", "default", at, alert.activity, AnalystVerdict.BENIGN)])
    assert studied.activities[by].score < 0.1
    studied.take(probes("meridlan.example", start=LATER + 2 * DAY))
    assert resemblance(studied, "meridlan.example") == {"LOOKS_LIKE_US"}
    assert len(studied.alerts_of(AlertKind.RECONNAISSANCE)) == 2
    # Whoever imitates the same after that belongs to the spy, not to the relative.
    studied.take(probes("meridiann.example", start=LATER + 4 * DAY))
    assert "meridiann.example" not in studied.activities


@pytest.mark.parametrize("wrote_before", [True, False])
def test_who_resembles_us_belongs_to_no_spy_who_came_later(*, wrote_before: bool) -> None:
    ours = replace(settings(), own_domains=frozenset({"meridian.example"}))
    sister = "meridian-group.example"
    studied = Studied(ours).take(quiet_weeks())
    if wrote_before:
        studied.take([mail(LATER - 30 * DAY, sister, person(5))])
    studied.take(probes("meridlan.example"))
    studied.take([mail(LATER + 5 * DAY, sister, person(5))])
    assert len(studied.alerts_of(AlertKind.RECONNAISSANCE)) == 1
    assert len(studied.alerts_of(AlertKind.FOLLOW_UP)) == (0 if wrote_before else 1)
    assert len(studied.activities["meridlan.example"].follow_ups) == (0 if wrote_before else 1)


def test_all_that_is_asked_for_was_named_beforehand() -> None:
    shelf = Shelf(replace(settings(), own_domains=frozenset({"meridian.example"})))
    for each in (
        *quiet_weeks(),
        *probes("meridian-jobs.example"),
        *probes("meridlan.example", start=LATER + DAY),
    ):
        shelf.study([each])
    assert shelf.texts
