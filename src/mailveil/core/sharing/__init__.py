"""Sharing: what other systems are told, in their languages. Pure encoders of values that name nobody by accident."""
