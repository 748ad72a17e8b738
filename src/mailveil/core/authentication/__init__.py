"""Authentication: who sent a message, as its signatures and trusted servers tell, and the seal that we add."""

from mailveil.core.authentication.arc import SealingKey, SealRefusedError, seal_fields, why_unsealable
from mailveil.core.authentication.keys import is_record_of, key_record
from mailveil.core.authentication.opening import Opened, judge, leave_unverified, open_message
from mailveil.core.authentication.results import parse_authentication_results
from mailveil.core.authentication.trust import TrustedServers, trusted_fields
from mailveil.core.authentication.types import (
    ArcState,
    Authentication,
    DkimResult,
    Result,
    VouchedResult,
    authentication_of,
)

__all__ = [
    "ArcState",
    "Authentication",
    "DkimResult",
    "Opened",
    "Result",
    "SealRefusedError",
    "SealingKey",
    "TrustedServers",
    "VouchedResult",
    "authentication_of",
    "is_record_of",
    "judge",
    "key_record",
    "leave_unverified",
    "open_message",
    "parse_authentication_results",
    "seal_fields",
    "trusted_fields",
    "why_unsealable",
]
