"""Activity models: activities of reconnaissance, alerts and campaigns as the API answers them."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from mailveil.control.activities import ActivityDossier
from mailveil.control.activityrecords import ActivityFile, ActivityNote
from mailveil.core.intelligence.types import (
    Activity as ActivityRecord,
)
from mailveil.core.intelligence.types import (
    ActivityState,
    AlertKind,
    AnalystVerdict,
    Nature,
    Role,
    Technique,
    Tooling,
)
from mailveil.core.intelligence.types import (
    Alert as AlertRecord,
)
from mailveil.core.intelligence.types import (
    Campaign as CampaignRecord,
)
from mailveil.core.intelligence.types import (
    Probe as ProbeRecord,
)
from mailveil.endpoints.web.api.parameters import Moment, Text, moment, moment_or_none
from mailveil.endpoints.web.api.resources.models import Answer

ID = "019a2b3c4d5e0123456789abcdef0123"


class Activity(Answer):
    """Reconnaissance by one actor, as lists tell it."""

    id: str = Field(description="The identifier.", examples=[ID])
    actor: Text = Field(
        description="What the actor goes by: its first sender domain.", examples=["spy.example"]
    )
    score: float = Field(ge=0, le=1, description="How sure it is.", examples=[0.93])
    risk: str = Field(description="How grave.", examples=["high"])
    state: ActivityState = Field(description="How it stands.", examples=["active"])
    verdict: AnalystVerdict = Field(description="What an analyst found.", examples=["open"])
    first_at: Moment = Field(description="The first message.")
    last_at: Moment = Field(description="The last one.")
    changed_at: Moment = Field(description="When it, or what was decided about it, last changed.")
    acknowledged_by: Text = Field(description="Who looks at it; empty: nobody.", examples=["ann"])
    messages: int = Field(ge=0, description="How many messages.", examples=[4])
    probes: int = Field(ge=0, description="How many probes: messages by people.", examples=[6])
    people: int = Field(ge=0, description="How many people were probed.", examples=[3])
    kinds: list[Text] = Field(description="What its trackers tell.", examples=[["open", "location"]])
    tooling: Tooling = Field(description="Whether its tracking was bought or built.", examples=["built"])
    operator: Text = Field(description="Whose its tracking is, if it was bought.", examples=[""])


class Reason(Answer):
    """What speaks for it, or against it."""

    code: str = Field(description="A permanent word.", examples=["OWN_TRACKER"])
    weight: float = Field(description="How much, in log-odds.", examples=[1.4])
    words: Text = Field(description="In words.", examples=["tracking of its own"])


class TechniqueShown(Answer):
    """A technique of MITRE ATT&CK that it shows."""

    technique: Technique = Field(description="Its identifier.", examples=["T1598.003"])
    because: Text = Field(description="What shows it.", examples=["a pixel in a letter"])


class Used(Answer):
    """Something that it was carried out with."""

    role: Role = Field(description="What it is to the activity.", examples=["tracker-host"])
    value: Text = Field(description="Which.", examples=["px.spy.example"])
    first_at: Moment = Field(description="When it was first met.")
    last_at: Moment = Field(description="When it was last met.")
    messages: int = Field(ge=0, description="In how many messages.", examples=[4])
    shared: bool = Field(description="Whether it serves others, too, such as a vendor.", examples=[False])


class Target(Answer):
    """Somebody whom it was aimed at."""

    person: Text = Field(description="Who, as records call them.", examples=["ann@example.org"])
    function: Text = Field(description="Their function.", examples=["finance"])
    is_high_value: bool = Field(description="Whether they weigh more.", examples=[True])
    first_at: Moment = Field(description="The first probe.")
    last_at: Moment = Field(description="The last one.")
    probes: int = Field(ge=0, description="How many.", examples=[2])


class Probe(Answer):
    """One message of it as one person got it."""

    at: Moment = Field(description="When.")
    message: str = Field(description="The message.", examples=[ID])
    person: Text = Field(
        description="Who got it; empty where that is not kept.", examples=["ann@example.org"]
    )
    sender_domain: Text = Field(description="From where.", examples=["spy.example"])
    kinds: list[Text] = Field(description="What its trackers tell.", examples=[["open"]])
    template: Text = Field(description="The tracker's address.", examples=["https://px.spy.example/*.gif"])
    host: Text = Field(description="The tracker's host.", examples=["px.spy.example"])


class Note(Answer):
    """What somebody wrote about it."""

    id: str = Field(description="The identifier.", examples=[ID])
    at: Moment = Field(description="When.")
    by: Text = Field(description="Who.", examples=["ann"])
    text: Text = Field(description="What.", examples=["They called, too."])


class ActivityDetail(Activity):
    """Reconnaissance by one actor: explained, with its timeline. The latest 200 probes are told one by one."""

    decided_by: Text = Field(description="Who gave the verdict.", examples=[""])
    decided_at: Moment | None = Field(description="When; null: nobody has.")
    acknowledged_at: Moment | None = Field(description="Since when somebody looks at it; null: nobody does.")
    closed_by: Text = Field(description="Who closed it.", examples=[""])
    closed_at: Moment | None = Field(description="When; null: nobody has.")
    reasons: list[Reason] = Field(description="Why, the weightiest first.")
    techniques: list[TechniqueShown] = Field(description="What it shows of MITRE ATT&CK.")
    learned: list[Text] = Field(
        description="What the spy would have learned without us.", examples=[["when Ann reads"]]
    )
    fingerprint: Text = Field(description="By what tracking that somebody built is found.", examples=[""])
    evidence: list[Text] = Field(description="By what it is known whose the tracking is.", examples=[[]])
    infrastructure: list[Used] = Field(description="What it was carried out with.")
    targets: list[Target] = Field(description="Whom it was aimed at.")
    probes_told: list[Probe] = Field(description="The latest probes, oldest first.")
    follow_ups: list[Probe] = Field(description="Mail of the same actor without a tracker.")
    notes: list[Note] = Field(description="What people wrote about it, oldest first.")
    alerts: list[str] = Field(description="Its latest alerts.", examples=[[ID]])
    campaigns: list[str] = Field(description="Its latest campaigns.", examples=[[ID]])


class Decisions(Answer):
    """What people decided about an activity. Its entity tag stays until somebody decides, whatever mail comes."""

    id: str = Field(description="The activity.", examples=[ID])
    verdict: AnalystVerdict = Field(description="What an analyst found.", examples=["open"])
    decided_by: Text = Field(description="Who gave the verdict; empty: nobody.", examples=[""])
    decided_at: Moment | None = Field(description="When; null: nobody has.")
    acknowledged_by: Text = Field(description="Who looks at it; empty: nobody.", examples=["ann"])
    acknowledged_at: Moment | None = Field(description="Since when; null: nobody does.")
    closed_by: Text = Field(description="Who closed it; empty: nobody.", examples=[""])
    closed_at: Moment | None = Field(
        description="When; null: nobody has. What came afterwards opened it again: see the activity's `state`."
    )
    revision: str = Field(
        description="Another one as soon as anybody decides.", examples=["5f2b6c0d7a1e4b3c9d8e7f6a5b4c3d2e"]
    )


class Alert(Answer):
    """Something that people should be told."""

    id: str = Field(description="The identifier.", examples=[ID])
    at: Moment = Field(description="When.")
    kind: AlertKind = Field(description="Why.", examples=["reconnaissance"])
    activity: str = Field(description="The activity.", examples=[ID])
    message: str = Field(description="The message that raised it.", examples=[ID])
    words: Text = Field(description="In words.", examples=["spy.example probes three people of finance"])
    score: float = Field(description="The activity's score then.", examples=[0.71])
    sender_domain: Text = Field(description="From where the message came.", examples=["spy.example"])
    people: list[Text] = Field(description="Whom it concerns.", examples=[["ann@example.org"]])
    earlier: Moment | None = Field(description="When the actor was first seen, for follow-ups.")


class Campaign(Answer):
    """Messages of one sender, template and time."""

    id: str = Field(description="The identifier.", examples=[ID])
    sender_domain: Text = Field(description="From where.", examples=["shop.example"])
    template: Text = Field(description="Its tracker's address.", examples=["https://t.shop.example/*.gif"])
    nature: Nature = Field(description="What it is.", examples=["bulk"])
    reasons: list[Text] = Field(description="Why, in words.", examples=[["it says how to unsubscribe"]])
    first_at: Moment = Field(description="The first message.")
    last_at: Moment = Field(description="The last one.")
    messages: int = Field(ge=0, description="How many.", examples=[120])
    people: int = Field(ge=0, description="To how many people.", examples=[118])
    operator: Text = Field(description="Whose its tracking is.", examples=["Mailchimp"])
    tooling: Tooling = Field(description="Whether it was bought or built.", examples=["bought"])
    subject: Text = Field(description="The subject of the first one, if kept.", examples=["Spring sale"])


def activity(file: ActivityFile, now: float) -> Activity:
    """Return an activity as lists answer it."""
    return Activity(**_summary(file.activity, file, now))


def _summary(found: ActivityRecord, file: ActivityFile, now: float) -> dict[str, Any]:
    return {
        "id": found.identifier,
        "actor": found.actor,
        "score": found.score,
        "risk": found.risk,
        "state": file.state(now),
        "verdict": file.verdict,
        "first_at": moment(found.first_at),
        "last_at": moment(found.last_at),
        "changed_at": moment(file.changed_at),
        "acknowledged_by": file.acknowledged_by,
        "messages": found.total_messages,
        "probes": found.total_probes,
        "people": found.total_people,
        "kinds": list(found.kinds),
        "tooling": found.attribution.tooling,
        "operator": found.attribution.operator,
    }


def detail(dossier: ActivityDossier, now: float) -> ActivityDetail:
    """Return an activity with all that is known of it."""
    file, found = dossier.file, dossier.file.activity
    return ActivityDetail(
        **_summary(found, file, now),
        decided_by=file.decided_by,
        decided_at=moment_or_none(file.decided_at),
        acknowledged_at=moment_or_none(file.acknowledged_at),
        closed_by=file.closed_by,
        closed_at=moment_or_none(file.closed_at),
        reasons=[Reason(code=each.code, weight=each.weight, words=each.words) for each in found.reasons],
        techniques=[
            TechniqueShown(technique=each.technique, because=each.because) for each in found.techniques
        ],
        learned=list(found.learned),
        fingerprint=found.attribution.fingerprint,
        evidence=list(found.attribution.evidence),
        infrastructure=[
            Used(
                role=each.role,
                value=each.value,
                first_at=moment(each.first_at),
                last_at=moment(each.last_at),
                messages=each.messages,
                shared=each.shared,
            )
            for each in found.infrastructure
        ],
        targets=[
            Target(
                person=each.person,
                function=each.function,
                is_high_value=each.is_high_value,
                first_at=moment(each.first_at),
                last_at=moment(each.last_at),
                probes=each.probes,
            )
            for each in found.targets
        ],
        probes_told=[_probe(each) for each in found.probes],
        follow_ups=[_probe(each) for each in found.follow_ups],
        notes=[note(each) for each in dossier.notes],
        alerts=[each.identifier for each in dossier.alerts],
        campaigns=[each.identifier for each in dossier.campaigns],
    )


def decisions(file: ActivityFile) -> Decisions:
    """Return what people decided about an activity."""
    return Decisions(
        id=file.activity.identifier,
        verdict=file.verdict,
        decided_by=file.decided_by,
        decided_at=moment_or_none(file.decided_at),
        acknowledged_by=file.acknowledged_by,
        acknowledged_at=moment_or_none(file.acknowledged_at),
        closed_by=file.closed_by,
        closed_at=moment_or_none(file.closed_at),
        revision=file.revision,
    )


def _probe(found: ProbeRecord) -> Probe:
    return Probe(
        at=moment(found.at),
        message=found.message,
        person=found.person,
        sender_domain=found.sender_domain,
        kinds=list(found.kinds),
        template=found.template,
        host=found.host,
    )


def note(found: ActivityNote) -> Note:
    """Return a note as it is answered."""
    return Note(id=found.identifier, at=moment(found.at), by=found.by, text=found.text)


def alert(found: AlertRecord) -> Alert:
    """Return an alert as it is answered."""
    return Alert(
        id=found.identifier,
        at=moment(found.at),
        kind=found.kind,
        activity=found.activity,
        message=found.message,
        words=found.words,
        score=found.score,
        sender_domain=found.sender_domain,
        people=list(found.people),
        earlier=moment_or_none(found.earlier),
    )


def campaign(found: CampaignRecord) -> Campaign:
    """Return a campaign as it is answered."""
    return Campaign(
        id=found.identifier,
        sender_domain=found.sender_domain,
        template=found.template,
        nature=found.nature,
        reasons=list(found.reasons),
        first_at=moment(found.first_at),
        last_at=moment(found.last_at),
        messages=found.messages,
        people=found.people,
        operator=found.operator,
        tooling=found.tooling,
        subject=found.subject,
    )
