"""Disguises: the forms in which addresses of people stand in URLs and fields."""

from __future__ import annotations

import base64
import codecs
import hashlib
from collections.abc import Callable
from urllib.parse import quote

DISGUISES: dict[str, Callable[[str], str]] = {
    "plain": str,
    "percent": lambda one: quote(one, safe=""),
    "percent twice": lambda one: quote(quote(one, safe=""), safe=""),
    "equals": lambda one: one.replace("@", "="),
    "hexadecimal": lambda one: one.encode().hex(),
    "base64": lambda one: quote(base64.b64encode(one.encode()).decode(), safe=""),
    "base64 for URLs": lambda one: base64.urlsafe_b64encode(one.encode()).decode().rstrip("="),
    "base32": lambda one: base64.b32encode(one.encode()).decode().rstrip("="),
    "backwards": lambda one: one[::-1],
    "rotated": lambda one: codecs.encode(one, "rot13"),
    "MD5": lambda one: hashlib.md5(one.encode()).hexdigest(),
    "SHA-256": lambda one: hashlib.sha256(one.encode()).hexdigest(),
}
