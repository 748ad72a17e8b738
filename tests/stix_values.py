"""Shared values to encode: an activity with everything in it, a tracker, an alert, and strategies for hostile ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from mailveil.core.intelligence.types import (
    ActivityState,
    AlertKind,
    AnalystVerdict,
    Reason,
    Role,
    Technique,
    TechniqueShown,
    Tooling,
)
from mailveil.core.sharing.types import (
    EventKind,
    SharedActivity,
    SharedAlert,
    SharedEvent,
    SharedInfrastructure,
    SharedProbe,
    SharedTracker,
    TrafficLight,
)

AT = 1_800_000_000.0  # 2027-01-15 08:00 UTC


def infrastructure(role: Role, value: str, *, shared: bool = False) -> SharedInfrastructure:
    return SharedInfrastructure(role, value, AT - 7200, AT - 60, 3, shared)


ACTIVITY = SharedActivity(
    identifier="activity-1",
    organisation="Acme",
    actor="deals-evil.example",
    first_at=AT - 7200,
    last_at=AT - 60,
    changed_at=AT,
    score=0.93,
    risk="high",
    state=ActivityState.ACTIVE,
    verdict=AnalystVerdict.OPEN,
    traffic_light=TrafficLight.AMBER,
    reasons=(Reason("FIRST_SEEN", 1.5, "the sender was never seen before"), Reason("OLD", -1.0, "an old friend")),
    techniques=tuple(TechniqueShown(each, f"{each} was shown") for each in Technique),
    learned=("when and where each message was read",),
    kinds=("open", "location"),
    tooling=Tooling.BUILT,
    fingerprint="f1ng3r",
    confidence=0.8,
    infrastructure=(
        infrastructure(Role.SENDER_DOMAIN, "deals-evil.example"),
        infrastructure(Role.TRACKER_HOST, "*.px-evil.example"),
        infrastructure(Role.TRACKER_DOMAIN, "px-evil.example"),
        infrastructure(Role.REPLY_DOMAIN, "mail.example", shared=True),
        infrastructure(Role.NAME_SERVER, "ns1.hoster.example"),
        infrastructure(Role.ADDRESS, "192.0.2.7"),
        infrastructure(Role.ADDRESS, "2001:db8::/48"),
        infrastructure(Role.CERTIFICATE, "ab" * 32),
        infrastructure(Role.FINGERPRINT, "f1ng3r"),
    ),
    probes=(
        SharedProbe(
            AT - 7200, "deals-evil.example", "", "finance", ("open",), "https://*.px-evil.example/o/*.gif?u=*",
            "*.px-evil.example", "px-evil.example", "img-src",
        ),
        SharedProbe(
            AT - 60, "deals-evil.example", "", "", ("open",), "https://px-evil.example/open/a_b.gif?e=*",
            "px-evil.example", "px-evil.example", "img-src",
        ),
        SharedProbe(
            AT - 60, "deals-evil.example", "", "", ("open",), "https://cdn.mail.example/o.gif?u=*",
            "cdn.mail.example", "mail.example", "img-src",
        ),
    ),
    functions=("finance",),
    total_messages=3,
    total_probes=3,
    total_people=2,
    high_value_people=1,
)  # fmt: skip

TRACKER = SharedTracker(
    identifier="tracker-1",
    template="https://t.built.example/o/*.gif?u=*",
    host="t.built.example",
    domain="built.example",
    kinds=("open",),
    vector="img-src",
    fingerprint="f1ng3r",
    tooling=Tooling.BUILT,
    first_at=AT - 7200,
    last_at=AT - 60,
    messages=4,
)

ALERT = SharedAlert(
    "alert-1", AT, AlertKind.FOLLOW_UP, "activity-1", "Mail of a known actor", 0.9, "deals-evil.example", (), 1,
    AT - 86_400,
)  # fmt: skip


def activity(**changes: Any) -> SharedActivity:
    return replace(ACTIVITY, **changes)


def event(
    subject: SharedActivity | SharedAlert | SharedTracker | None, number: int = 1, **changes: Any
) -> SharedEvent:
    kind = {
        SharedActivity: EventKind.ACTIVITY_CHANGED,
        SharedAlert: EventKind.ALERT_RAISED,
        SharedTracker: EventKind.TRACKER_LEARNED,
    }.get(type(subject), EventKind.TEST)
    made = SharedEvent(
        f"event-{number}",
        number,
        AT + number,
        kind,
        "Acme",
        TrafficLight.AMBER,
        activity=subject if isinstance(subject, SharedActivity) else None,
        alert=subject if isinstance(subject, SharedAlert) else None,
        tracker=subject if isinstance(subject, SharedTracker) else None,
    )
    return replace(made, **changes)


# --- hostile values ----------------------------------------------------------------------------------------

_words = st.sampled_from(
    ["", "*", "*.", "evil.example", "a'b", "\\", "%", "_", "||", "^$", "\n", "\r\n!", "@@", "##", "$image", "com",
     "co.uk", "https://", "https://x.evil.example/", "?u=*", "\u202e", "\x00", "\ud800", "é", "測試", "]", "[", " OR "]
)  # fmt: skip
texts = st.one_of(st.text(max_size=60), st.lists(_words, max_size=6).map("".join))
times = st.one_of(st.floats(), st.floats(1.5e9, 2e9))
scores = st.floats()
_infrastructures = st.builds(
    SharedInfrastructure, st.sampled_from(Role), texts, times, times, st.integers(-5, 10**12), st.booleans()
)
_probes = st.builds(
    SharedProbe,
    times,
    texts,
    person=texts,
    function=texts,
    template=texts,
    host=texts,
    domain=texts,
    vector=texts,
)
activities = st.builds(
    SharedActivity,
    identifier=texts,
    organisation=texts,
    actor=texts,
    first_at=times,
    last_at=times,
    changed_at=times,
    score=scores,
    risk=texts,
    state=st.sampled_from(ActivityState),
    verdict=st.sampled_from(AnalystVerdict),
    traffic_light=st.sampled_from(TrafficLight),
    reasons=st.lists(st.builds(Reason, texts, st.floats(), texts), max_size=3).map(tuple),
    techniques=st.lists(st.builds(TechniqueShown, st.sampled_from(Technique), texts), max_size=3).map(tuple),
    learned=st.lists(texts, max_size=3).map(tuple),
    tooling=st.sampled_from(Tooling),
    operator=texts,
    fingerprint=texts,
    infrastructure=st.lists(_infrastructures, max_size=4).map(tuple),
    probes=st.lists(_probes, max_size=3).map(tuple),
    people=st.lists(texts, max_size=3).map(tuple),
    functions=st.lists(texts, max_size=3).map(tuple),
    total_messages=st.integers(0, 10**12),
    total_probes=st.integers(0, 10**12),
    total_people=st.integers(0, 10**12),
)
trackers = st.builds(
    SharedTracker,
    identifier=texts,
    template=texts,
    host=texts,
    domain=texts,
    kinds=st.lists(texts, max_size=3).map(tuple),
    vector=texts,
    fingerprint=texts,
    tooling=st.sampled_from(Tooling),
    operator=st.one_of(st.just(""), texts),
    first_at=times,
    last_at=times,
    messages=st.integers(-5, 10**12),
)
alerts = st.builds(
    SharedAlert, texts, times, st.sampled_from(AlertKind), texts, texts, scores, texts, earlier=times
)
