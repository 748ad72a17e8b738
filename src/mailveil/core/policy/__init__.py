"""Policy: what is done about each reference, given its verdict, the envelope and the organisation's rules."""

from mailveil.core.policy.deciding import decide_by
from mailveil.core.policy.document import PolicyDocument, PolicyDocumentError, document_of, parse_policy
from mailveil.core.policy.messagepolicy import BannerSettings, MessagePolicy, message_policy_of
from mailveil.core.policy.rules import AllowEntry, Level, Rule
from mailveil.core.policy.snapshot import (
    OrganisationPolicy,
    PolicySnapshot,
    message_policy,
    recipient_profile,
    snapshot_of,
)
from mailveil.core.policy.types import (
    Action,
    CopyMode,
    Direction,
    Envelope,
    PolicySettings,
    SignedMail,
    decide,
    direction_of,
    is_protected,
)

__all__ = [
    "Action",
    "AllowEntry",
    "BannerSettings",
    "CopyMode",
    "Direction",
    "Envelope",
    "Level",
    "MessagePolicy",
    "OrganisationPolicy",
    "PolicyDocument",
    "PolicyDocumentError",
    "PolicySettings",
    "PolicySnapshot",
    "Rule",
    "SignedMail",
    "decide",
    "decide_by",
    "direction_of",
    "document_of",
    "is_protected",
    "message_policy",
    "message_policy_of",
    "parse_policy",
    "recipient_profile",
    "snapshot_of",
]
