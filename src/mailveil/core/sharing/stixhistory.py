"""STIX history: what was told before, taken back, told anew or gone on with. Pure.

What was revoked never comes back under its identifier (STIX 2.1 section 3.6): whoever claims it again does so by
another one, the same every time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from mailveil.core.sharing.claims import is_disowned, name_in
from mailveil.core.sharing.stixvocabulary import Object, identifier
from mailveil.core.sharing.types import SharedActivity
from mailveil.core.sharing.wording import timestamp

# What is known of a longer time than an event tells, since that has the latest probes alone.
_GROWING: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "valid_from": min,
    "first_seen": min,
    "first_observed": min,
    "last_seen": max,
    "last_observed": max,
    "count": max,
    "number_observed": max,
}


def no_longer_claimed(
    activity: SharedActivity, known: Iterable[Object], objects: Iterable[Object]
) -> list[Object]:
    """Return, revoked, what earlier versions of an activity claimed and is found wrong now.

    That are an actor who is not confirmed any more, and names that turned out to serve everybody or to be nobody's,
    with URLs there. What merely is not among the latest probes any more stays.
    """
    modified = timestamp(max(activity.changed_at, activity.first_at))
    now = {each["id"] for each in objects}
    known = list(known)
    wrong = {
        each["id"]
        for each in known
        if each["id"] not in now
        and (each["type"] == "threat-actor" or (each["type"] == "indicator" and _is_disowned(each, activity)))
    }
    gone = []
    for each in known:
        refers = {each.get("source_ref"), each.get("target_ref"), each.get("sighting_of_ref")} & wrong
        if each["id"] not in now and (each["id"] in wrong or refers) and not each.get("revoked"):
            gone.append({**each, "modified": max(modified, each["created"]), "revoked": True})
    return gone


def _is_disowned(indicator: Object, activity: SharedActivity) -> bool:
    name = name_in(str(indicator.get("name", "")))
    return bool(name) and is_disowned(name, activity.infrastructure)


def revoked(known: Iterable[Object], changed_at: float) -> list[Object]:
    """Return what was told before in a version that takes it back."""
    modified = timestamp(changed_at)
    return [
        {**each, "modified": max(modified, each["created"]), "revoked": True}
        for each in known
        if each["type"] != "identity" and "modified" in each and not each.get("revoked")
    ]


def is_live(known: Iterable[Object]) -> bool:
    """Tell whether there is a campaign that was not taken back."""
    return any(each["type"] == "campaign" and not each.get("revoked") for each in known)


def continued(objects: Iterable[Object], known: Iterable[Object]) -> list[Object]:
    """Return objects as the next versions of what was told before: renewed where that was revoked, and grown."""
    before = {str(each["id"]): each for each in known}
    made = list(objects)
    names = {str(each["id"]): _name(each, before) for each in made}
    changed = (_renamed(each, names) for each in made)
    return [_grown(each, before.get(str(each["id"]), {})) for each in changed]


def live_identifier(name: str, known: Iterable[Object]) -> str:
    """Return by which identifier an object goes now, after however many of it were revoked."""
    before = {str(each["id"]): each for each in known}
    while before.get(name, {}).get("revoked"):
        name = _next_identifier(name)
    return name


def _name(made: Object, before: Mapping[str, Object]) -> str:
    name = str(made["id"])
    while (known := before.get(name)) and known.get("revoked"):
        if made.get("modified", "") <= known["modified"]:
            break  # it is older than what took it back
        name = _next_identifier(name)
    return name


def _next_identifier(name: str) -> str:
    return identifier(name.partition("--")[0], "again", name)


def _renamed(made: Object, names: Mapping[str, str]) -> Object:
    """Return an object with the identifiers by which it and others go now."""
    return {key: _referring(key, value, names) for key, value in made.items()}


def _referring(key: str, value: Any, names: Mapping[str, str]) -> Any:
    if key == "id" or key.endswith("_ref"):
        return names.get(value, value)
    return [names.get(each, each) for each in value] if key.endswith("_refs") else value


def _grown(made: Object, before: Object) -> Object:
    grown = {
        name: longer(before[name], made[name])
        for name, longer in _GROWING.items()
        if name in made and name in before
    }
    return {**made, **grown}
