"""Policy: what is done about each reference, given its verdict, the envelope and the organisation's rules."""

from mailveil.core.policy.messagepolicy import BannerSettings, MessagePolicy, message_policy_of
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
    "BannerSettings",
    "CopyMode",
    "Direction",
    "Envelope",
    "MessagePolicy",
    "PolicySettings",
    "SignedMail",
    "decide",
    "direction_of",
    "is_protected",
    "message_policy_of",
]
