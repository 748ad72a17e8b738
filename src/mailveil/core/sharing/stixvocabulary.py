"""STIX vocabulary: identifiers that stay the same for ever, markings for the Traffic Light Protocol, techniques. Pure.

Identifiers are UUIDs of version 5: of domain and relationship objects in a namespace of our own, of observables in
the one that STIX 2.1 names for them (section 2.9), so that the same name has the same identifier everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID, uuid5

from mailveil.core.intelligence.types import Technique
from mailveil.core.sharing.types import TrafficLight
from mailveil.core.sharing.wording import timestamp

NAMESPACE: Final = uuid5(
    UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8"), "urn:mailveil:sharing"
)  # RFC 9562: of URLs
OBSERVABLES: Final = UUID("00abedb4-aa42-466c-9c01-fed23315a9b7")
SPEC: Final = "2.1"
Object = dict[str, Any]

# The markings that STIX 2.1 itself defines (section 7.2.1.4): every consumer has to know them.
_BUILT_IN: Final[Mapping[TrafficLight, tuple[str, str]]] = {
    TrafficLight.CLEAR: ("white", "613f2e26-407d-48c7-9eca-b8e91df99dc9"),
    TrafficLight.GREEN: ("green", "34098fce-860f-48ae-8e50-ebd3cc5e41da"),
    TrafficLight.AMBER: ("amber", "f88d31f6-486f-44da-b317-01333bde0b82"),
    TrafficLight.RED: ("red", "5e57c739-391a-4eb3-b6be-7d15ca92d5ed"),
}
_BUILT_IN_AT: Final = "2017-01-20T00:00:00.000Z"
# TLP 2.0 has one more, for which OASIS published an object of an extension.
_TLP_2: Final = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"
_AMBER_STRICT: Final = "939a9414-2ddd-4d32-a0cd-375ea402b003"

# Name, MITRE's own identifier and when MITRE made it.
_TECHNIQUES: Final[Mapping[Technique, tuple[str, str, str]]] = {
    Technique.PHISHING_FOR_INFORMATION: (
        "Phishing for Information", "cca0ccb6-a068-4574-a722-b1556f86833a", "2020-10-02T17:07:01.502Z"
    ),
    Technique.SPEARPHISHING_LINK: (
        "Spearphishing Link", "2d3f5b3c-54ca-4f4d-bb1f-849346d31230", "2020-10-02T17:09:50.723Z"
    ),
    Technique.VICTIM_IDENTITY: (
        "Gather Victim Identity Information", "5282dd9a-d26d-4e16-88b7-7c0f4553daf4", "2020-10-02T14:54:59.263Z"
    ),
    Technique.VICTIM_NETWORK: (
        "IP Addresses", "0dda99f0-4701-48ca-9774-8504922e92d3", "2020-10-02T15:59:11.695Z"
    ),
    Technique.VICTIM_HOST: (
        "Gather Victim Host Information", "09312b1a-c3c6-4b45-9844-3ccc78e5d82f", "2020-10-02T16:39:33.966Z"
    ),
}  # fmt: skip
KILL_CHAIN: Final = [{"kill_chain_name": "mitre-attack", "phase_name": "reconnaissance"}]


def identifier(kind: str, *key: str) -> str:
    """Return the identifier of an object of ours."""
    return f"{kind}--{uuid5(NAMESPACE, json.dumps([kind, *key]))}"


def observable_identifier(kind: str, contributing: Mapping[str, Any]) -> str:
    """Return the identifier of an observable, by its contributing properties in canonical JSON (RFC 8785)."""
    canonical = json.dumps(contributing, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"{kind}--{uuid5(OBSERVABLES, canonical)}"


def organisation_uuid(identifier: str, made_at: float) -> str:
    """Return the UUID of an organisation, ``""`` where it is not known when it was made.

    Every installation has one that is ``default``: the moment at which it was made tells them apart.
    """
    if not made_at > 0:
        return ""
    return str(uuid5(NAMESPACE, json.dumps(["organisation", identifier, timestamp(made_at)])))


def marking(traffic_light: TrafficLight) -> Object:
    """Return the marking definition of a level, exactly as it is published."""
    if traffic_light is TrafficLight.AMBER_STRICT:
        return {
            "type": "marking-definition",
            "spec_version": SPEC,
            "id": f"marking-definition--{_AMBER_STRICT}",
            "created": "2022-10-01T00:00:00.000Z",
            "name": "TLP:AMBER+STRICT",
            "extensions": {_TLP_2: {"extension_type": "property-extension", "tlp_2_0": "amber+strict"}},
        }
    name, uuid = _BUILT_IN[traffic_light]
    return {
        "type": "marking-definition",
        "spec_version": SPEC,
        "id": f"marking-definition--{uuid}",
        "created": _BUILT_IN_AT,
        "definition_type": "tlp",
        "name": f"TLP:{name.upper()}",
        "definition": {"tlp": name},
    }


def technique_name(technique: Technique) -> str:
    """Return what ATT&CK calls a technique."""
    return _TECHNIQUES[technique][0]


def attack_pattern(technique: Technique) -> Object:
    """Return a technique under MITRE's own identifier.

    It is as old as MITRE's first version, so that whoever has a later one of MITRE's keeps that.
    """
    name, uuid, created = _TECHNIQUES[technique]
    return {
        "type": "attack-pattern",
        "spec_version": SPEC,
        "id": f"attack-pattern--{uuid}",
        "created": created,
        "modified": created,
        "name": name,
        "kill_chain_phases": KILL_CHAIN,
        "external_references": [
            {
                "source_name": "mitre-attack",
                "external_id": str(technique),
                "url": f"https://attack.mitre.org/techniques/{technique.replace('.', '/')}",
            }
        ],
    }
