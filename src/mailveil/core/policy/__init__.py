"""Policy: what is done about each reference, given its verdict, the envelope and the organisation's rules."""

from mailveil.core.policy.messagepolicy import BannerSettings, MessagePolicy
from mailveil.core.policy.types import (
    Action,
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
    "Direction",
    "Envelope",
    "MessagePolicy",
    "PolicySettings",
    "SignedMail",
    "decide",
    "direction_of",
    "is_protected",
]
