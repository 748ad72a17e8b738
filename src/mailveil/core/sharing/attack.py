"""ATT&CK: names of the techniques that activities show, and of their tactic, as MITRE publishes them (Enterprise)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mailveil.core.intelligence.types import Technique

FRAMEWORK: Final = "MITRE ATT&CK"
TACTIC: Final = "TA0043"
TACTIC_NAME: Final = "Reconnaissance"


@dataclass(frozen=True, slots=True)
class TechniqueFacts:
    """A technique's name; of a sub-technique also identifier and name of what it belongs to."""

    identifier: str
    name: str
    parent: str = ""
    parent_name: str = ""

    @property
    def reference(self) -> str:
        """Where MITRE describes it."""
        return f"https://attack.mitre.org/techniques/{self.identifier.replace('.', '/')}/"


TECHNIQUES: Final[Mapping[Technique, TechniqueFacts]] = {
    Technique.PHISHING_FOR_INFORMATION: TechniqueFacts("T1598", "Phishing for Information"),
    Technique.SPEARPHISHING_LINK: TechniqueFacts(
        "T1598.003", "Spearphishing Link", "T1598", "Phishing for Information"
    ),
    Technique.VICTIM_IDENTITY: TechniqueFacts("T1589", "Gather Victim Identity Information"),
    Technique.VICTIM_NETWORK: TechniqueFacts(
        "T1590.005", "IP Addresses", "T1590", "Gather Victim Network Information"
    ),
    Technique.VICTIM_HOST: TechniqueFacts("T1592", "Gather Victim Host Information"),
}
