"""Writing STIX: the objects of one subject, with everything that all of them have in common. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from mailveil.core.sharing.stixvocabulary import SPEC, Object, identifier, marking, observable_identifier
from mailveil.core.sharing.types import TrafficLight
from mailveil.core.sharing.wording import line, timestamp

PRODUCER_AT: Final = "2026-01-01T00:00:00.000Z"
NAMELESS: Final = "An organisation that uses mailveil"


@dataclass
class StixWriter:
    """Collects objects of one subject: who tells, since when, in which version, under which marking.

    ``told_by`` is the UUID of who tells; without one it goes by its name.
    """

    name: str
    traffic_light: TrafficLight
    subject: str
    created_at: float
    changed_at: float
    is_revoked: bool = False
    told_by: str = ""

    def __post_init__(self) -> None:
        self.modified = timestamp(max(self.changed_at, self.created_at))
        marked = marking(self.traffic_light)
        producer = identity("mailveil", "system", "A mail gateway that stops e-mail spy trackers.")
        told_by = identity(line(self.name) or NAMELESS, "organization", by=producer["id"])
        if self.told_by:
            # It may be renamed, which is a new version of it.
            told_by |= {"id": f"identity--{self.told_by}", "modified": max(self.modified, PRODUCER_AT)}
        self.organisation: str = told_by["id"]
        self.markings: list[str] = [marked["id"]]
        self.objects: list[Object] = [marked, producer, told_by]
        self._known = {each["id"] for each in self.objects}

    def add(self, kind: str, key: Sequence[str], *, since: float | None = None, **members: Any) -> str:
        """Add an object of ours, told apart from others of its kind by ``key``; return its identifier."""
        created = timestamp(self.created_at if since is None else since)
        made: Object = {
            "type": kind,
            "spec_version": SPEC,
            "id": identifier(kind, self.subject, *key),
            "created_by_ref": self.organisation,
            "created": created,
            "modified": max(self.modified, created),
            **{name: value for name, value in members.items() if value not in ("", [], None)},
            "object_marking_refs": self.markings,
        }
        if self.is_revoked:
            made["revoked"] = True
        return self.put(made)

    def relate(self, source: str, kind: str, target: str, since: float, description: str = "") -> str:
        """Relate two objects."""
        key = (source, kind, target)
        return self.add(
            "relationship",
            key,
            since=since,
            relationship_type=kind,
            description=description,
            source_ref=source,
            target_ref=target,
        )

    def observe(self, kind: str, **contributing: Any) -> str:
        """Add an observable, which belongs to nobody and has no versions."""
        name = observable_identifier(kind, contributing)
        return self.put(
            {
                "type": kind,
                "spec_version": SPEC,
                "id": name,
                **contributing,
                "object_marking_refs": self.markings,
            }
        )

    def put(self, made: Object) -> str:
        """Add an object unless it is there."""
        if made["id"] not in self._known:
            self._known.add(made["id"])
            self.objects.append(made)
        return str(made["id"])


def identity(name: str, kind: str, description: str = "", by: str = "") -> Object:
    """Return somebody who goes by a name, the same object everywhere."""
    made = {
        "type": "identity",
        "spec_version": SPEC,
        "id": identifier("identity", kind, name),
        "created": PRODUCER_AT,
        "modified": PRODUCER_AT,
        "name": name,
        "identity_class": kind,
    }
    if description:
        made["description"] = description
    if by:
        made["created_by_ref"] = by
    return made
