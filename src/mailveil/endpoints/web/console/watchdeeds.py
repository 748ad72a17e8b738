"""Watch deeds: what people decide about an activity, and what they take along of it."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from urllib.parse import quote

from starlette.responses import Response

from mailveil.control.access import Permission
from mailveil.control.activities import (
    acknowledge_activity,
    activity,
    close_activity,
    decide_activity,
    decided,
    export_activity,
    note_activity,
    reopen_activity,
)
from mailveil.control.activityrecords import ActivityFile
from mailveil.control.auditing import audit
from mailveil.control.blocking import block_activity
from mailveil.control.exporting import stix_bundle
from mailveil.control.failures import InvalidError
from mailveil.control.stores import ConflictError
from mailveil.core.intelligence.types import Activity, ActivityState, AnalystVerdict
from mailveil.endpoints.web.console.activitywords import VERDICTS, seen_of
from mailveil.endpoints.web.console.pages import Pages
from mailveil.endpoints.web.console.visit import Visit
from mailveil.endpoints.web.console.watching import activity_page, one_by_one
from mailveil.endpoints.web.console.wording import plural
from mailveil.endpoints.web.weekly.tables import harmless

pages = Pages()
HERE = "/watching/{identifier}"
COLUMNS = (
    "time",
    "kind",
    "person",
    "function",
    "high_value",
    "sender_domain",
    "host",
    "template",
    "wants",
    "message",
)
STILL_CLOSED = "Nothing came for three months, so it is closed all the same; a new probe opens it again."
DECIDED = {
    AnalystVerdict.CONFIRMED: "Confirmed as reconnaissance; scoring learns from it.",
    AnalystVerdict.BENIGN: "Found harmless and closed; scoring learns from it.",
    AnalystVerdict.OPEN: "The verdict is taken back.",
}


@pages.post(f"{HERE}/acknowledge", Permission.ACTIVITIES_WRITE)
async def acknowledge(visit: Visit) -> Response:
    """Say that somebody looks at it."""
    file = await acknowledge_activity(visit.room, visit.actor, visit.path("identifier"))
    if file.acknowledged_by != visit.actor.name:
        return _back(visit, file, f"{file.acknowledged_by} was first: it is acknowledged already.")
    return _back(visit, file, "Acknowledged: your colleagues see that you look at it.")


def _back(visit: Visit, file: ActivityFile, note: str) -> Response:
    return visit.go(f"/watching/{quote(file.activity.identifier, safe='')}", note)


@pages.post(f"{HERE}/close", Permission.ACTIVITIES_WRITE)
async def close(visit: Visit) -> Response:
    """Be done with it, until something comes again."""
    file = await close_activity(visit.room, visit.actor, visit.path("identifier"))
    return _back(visit, file, "Closed. A new probe opens it again.")


@pages.post(f"{HERE}/reopen", Permission.ACTIVITIES_WRITE)
async def reopen(visit: Visit) -> Response:
    """Open what somebody closed."""
    try:
        file = await reopen_activity(visit.room, visit.actor, visit.path("identifier"))
    except InvalidError as error:
        return await _wrong(visit, error)
    is_closed = file.state(visit.room.clock.now()) is ActivityState.CLOSED
    return _back(visit, file, STILL_CLOSED if is_closed else "Open again.")


@pages.post(f"{HERE}/verdict", Permission.ACTIVITIES_WRITE)
async def decide(visit: Visit) -> Response:
    """Say what it is, for scoring to learn from."""
    chosen = next((each for each in AnalystVerdict if each == visit.text("verdict")), None)
    if chosen is None:
        return await _wrong(visit, InvalidError("Choose what it is.", "verdict"))
    file = await decided(visit.room, visit.actor, visit.path("identifier"))
    if visit.text("seen") not in ("", seen_of(file)):
        return await _decided_meanwhile(visit, file)
    try:
        file = await decide_activity(
            visit.room, visit.actor, visit.path("identifier"), chosen, seen=file.revision
        )
    except ConflictError:
        return await _decided_meanwhile(
            visit, await decided(visit.room, visit.actor, visit.path("identifier"))
        )
    return _back(visit, file, DECIDED[chosen])


async def _decided_meanwhile(visit: Visit, file: ActivityFile) -> Response:
    """Return the page with what somebody else has decided since the one was made that the form stands on."""
    who = file.decided_by if file.decided_by else "Somebody"
    told = f"{who} has decided meanwhile: {VERDICTS[file.verdict][1]}. If you see it otherwise, save yours again."
    return await _wrong(visit, InvalidError(told, "verdict"))


@pages.post(f"{HERE}/notes", Permission.ACTIVITIES_WRITE)
async def note(visit: Visit) -> Response:
    """Write something down for colleagues."""
    try:
        await note_activity(visit.room, visit.actor, visit.path("identifier"), visit.text("text"))
    except InvalidError as error:
        return await _wrong(visit, error)
    return visit.go(f"/watching/{quote(visit.path('identifier'), safe='')}#notes", "Written down.")


@pages.post(f"{HERE}/block", Permission.POLICY_WRITE)
async def block(visit: Visit) -> Response:
    """Add rules against it to the policy."""
    try:
        blocked = await block_activity(visit.room, visit.actor, visit.path("identifier"))
    except InvalidError as error:
        return await _wrong(visit, InvalidError(str(error), "block"))
    senders, hosts = len(blocked.sender_domains), len(blocked.hosts)
    places = plural(hosts, "place of its trackers", "places of its trackers")
    told = f"{plural(senders, 'domain')} that it sends from, and {places}"
    there = f"/watching/{quote(visit.path('identifier'), safe='')}#block"
    return visit.go(
        there, f"Version {blocked.policy.version} of the policy blocks {told}. {blocked.left_out}".strip()
    )


async def _wrong(visit: Visit, error: InvalidError) -> Response:
    found = await activity(visit.room, visit.actor, visit.path("identifier"))
    return await activity_page(visit, found, error)


# --- files --------------------------------------------------------------------------------------------------------


@pages.get(f"{HERE}/export.json", Permission.ACTIVITIES_READ)
async def export_json(visit: Visit) -> Response:
    """Give everything that is known of it as JSON, people in clear."""
    record = await export_activity(visit.room, visit.actor, visit.path("identifier"))
    return _file(visit, json.dumps(record, indent=2).encode("ascii"), "application/json", "json")


@pages.get(f"{HERE}/export.csv", Permission.ACTIVITIES_READ)
async def export_csv(visit: Visit) -> Response:
    """Give its probes as a table, people in clear."""
    found = (await activity(visit.room, visit.actor, visit.path("identifier"))).file.activity
    await audit(visit.room, visit.actor, "activity.export", found.identifier)
    return _file(visit, table_of(found), "text/csv", "csv")


@pages.get(f"{HERE}/export.stix.json", Permission.INTELLIGENCE_READ)
async def export_stix(visit: Visit) -> Response:
    """Give it as a bundle of STIX 2.1, in which people are not named."""
    found = await stix_bundle(visit.room, visit.actor, visit.path("identifier"))
    await audit(visit.room, visit.actor, "activity.export", visit.path("identifier"))
    return _file(
        visit, json.dumps(found, indent=2).encode("ascii"), "application/stix+json;version=2.1", "stix.json"
    )


def table_of(its: Activity) -> bytes:
    """Return probes and later messages, the latest first, as CSV that no spreadsheet calculates with."""
    people = {each.person: each for each in its.targets}
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for probe, is_later in one_by_one(its):
        target = people.get(probe.person)
        values = (
            f"{datetime.fromtimestamp(probe.at, UTC):%Y-%m-%dT%H:%M:%SZ}",
            "later message" if is_later else "probe",
            probe.person,
            target.function if target else "",
            "yes" if target and target.is_high_value else "no",
            probe.sender_domain,
            probe.host,
            probe.template,
            " ".join(probe.kinds),
            probe.message,
        )
        writer.writerow([harmless(each) for each in values])
    return out.getvalue().encode("utf-8-sig", "replace")


def _file(visit: Visit, content: bytes, media_type: str, ending: str) -> Response:
    safe = "".join(each for each in visit.path("identifier") if each.isascii() and each.isalnum())[:40]
    headers = {
        **visit.console.rendering.headers(),
        "Content-Disposition": f'attachment; filename="activity-{safe}.{ending}"',
        "Content-Type": media_type,
    }
    return Response(content, headers=headers)
