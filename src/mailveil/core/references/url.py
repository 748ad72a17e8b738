"""Addresses: which URL some client would contact for the value of a loading attribute.

Follows the WHATWG URL standard where it gives an answer and the most lenient client where it refuses one:
a value that only a standard parser rejects still counts as remote.
"""

from __future__ import annotations

import re
from typing import Final

from ada_url import join_url, normalize_url

from mailveil.core.references.types import Scope

# Nothing is contacted for these, whatever follows. Every other scheme in a loading place counts as remote.
LOCAL_SCHEMES: Final = frozenset(
    {
        "about", "applewebdata", "blob", "callto", "cid", "data", "geo", "javascript", "livescript", "mailto",
        "mid", "sms", "tag", "tel", "urn", "vbscript", "webkit-fake-url", "xmpp",
    }
)  # fmt: skip
# WHATWG "special" schemes other than file: an authority follows however many slashes there are.
_SPECIAL: Final = frozenset({"http", "https", "ftp", "ws", "wss"})
# Schemes around another URL; what is contacted is the inner one.
_WRAPPERS: Final = frozenset(
    {"feed", "its", "jar", "mhtml", "mk", "ms-its", "ms-itss", "pcast", "view-source"}
)
_MAX_WRAPPERS: Final = 8

_C0_OR_SPACE: Final = "".join(map(chr, range(0x21)))
_TAB_OR_NEWLINE: Final = {0x09: None, 0x0A: None, 0x0D: None}
_CONTROL_OR_SPACE: Final = dict.fromkeys([*range(0x21), 0x7F])
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*+):")
_DRIVE: Final = re.compile(r"[A-Za-z][:|](?:[/\\?#]|$)")
_ENCODED_SLASH: Final = re.compile(r"%(?:2[Ff]|5[Cc])")
# What a lenient client peels off before a URL: quotes and brackets, "url(", invisible characters in any
# charset (so everything beyond ASCII).
_WRAPPING: Final = re.compile(r"(?:[\x00- \x7f-\U0010ffff'\"`<(\[{=]|[Uu][Rr][Ll]\()++")
_CLOSING: Final = " '\"`>)]}"
_AUTHORITY_END: Final = re.compile(r"[/?#]")


def resolve(value: str, base: str = "") -> str | None:
    """Return the URL that some client would contact for ``value``, or ``None`` where that is nobody.

    ``base`` is the URL that relative values resolve against; without one they reach nobody. URLs are
    normalised as browsers do (WHATWG URL); names of Windows shares become ``file://host/share``. Total: any
    characters go in, lone surrogates and NUL included.
    """
    if value.startswith(("https://", "http://")):
        # Nearly all values. The parser itself strips and removes what the standard says.
        try:
            return normalize_url(value)
        except ValueError:
            pass  # another client may be more lenient
    return _resolve(value, base, lenient=True)


def remote(value: str, scope: Scope) -> str | None:
    """Return what :func:`resolve` says within ``scope``, or ``None`` where ``value`` is one of our copies.

    Only the value as it stands can be ours: a spelling that merely normalises to one of our addresses is
    replaced like anything else.
    """
    url = resolve(value, scope.base)
    if url is None or scope.ours(value.strip(_C0_OR_SPACE)):
        return None
    return url


def is_relative(value: str) -> bool:
    """Tell whether ``value`` contacts nobody by itself but would with a remote base."""
    cleaned = _cleaned(value)
    if cleaned.startswith("#"):
        return False
    return resolve(value) is None and resolve(value, "https://base.invalid/") is not None


def real_characters(value: str, charset: str) -> str:
    """Return a latin-1 decoded ``value`` as the characters that ``charset`` means by its bytes.

    Left as it is where that fails: unknown charset, malformed bytes, characters that are no bytes.
    """
    if not charset or value.isascii():
        return value
    try:
        return value.encode("latin-1").decode(charset)
    except (ValueError, LookupError):
        return value


def _cleaned(value: str) -> str:
    """Return ``value`` as the first two steps of the basic URL parser leave it."""
    return value.strip(_C0_OR_SPACE).translate(_TAB_OR_NEWLINE)


def _resolve(value: str, base: str, *, lenient: bool) -> str | None:
    cleaned = _cleaned(value)
    for _ in range(_MAX_WRAPPERS):
        if _DRIVE.match(cleaned):
            return None
        match = _SCHEME.match(cleaned)
        if match is None:
            break
        scheme = match[1].lower()
        if scheme in LOCAL_SCHEMES:
            return None
        rest = cleaned[match.end() :]
        if scheme == "file":
            return _share(rest, max_local_slashes=3, base=base)
        if scheme in _SPECIAL:
            return _special(scheme, rest, base)
        if scheme not in _WRAPPERS:
            return _printable(f"{scheme}:{rest}")
        inner = rest[len("@msitstore:") :] if rest[:11].lower() == "@msitstore:" else rest
        if not (_SCHEME.match(inner) or inner[:2].replace("\\", "/") == "//"):
            return _printable(f"{scheme}:{rest}")
        cleaned = inner
    else:
        return _printable(cleaned)
    if cleaned[:2] == "\\\\":
        return _share(cleaned, max_local_slashes=1, base=base)
    if cleaned[:1] in {"/", "\\"} and cleaned[1:2] in {"/", "\\"}:
        return _protocol_relative(cleaned, base)
    if cleaned[:4].lower() == "www.":
        return _special("http", cleaned, "")  # as Word completes it
    if base:
        return _relative(cleaned, base)  # a mere fragment, too: browsers fetch the base for it
    if lenient:
        return _leniently(cleaned, base)
    return None


def _special(scheme: str, rest: str, base: str) -> str | None:
    """Resolve what follows ``scheme:`` of a special scheme other than file."""
    if base and rest[:1] not in {"/", "\\"} and base.startswith(f"{scheme}:"):
        return _relative(f"{scheme}:{rest}", base)
    authority = rest.replace("\\", "/").lstrip("/ ")
    if not authority or authority[0] in "?#":
        return None  # no host in any reading
    try:
        return normalize_url(_printable(f"{scheme}:{rest}"))
    except ValueError:
        return _printable(f"{scheme}://{authority}")


def _protocol_relative(cleaned: str, base: str) -> str | None:
    scheme = base.partition(":")[0].lower()
    # Windows takes either slash for a device path: //?/UNC/host/share is \\?\UNC\host\share.
    if scheme == "file" or cleaned[2:3] in {"?", "."}:
        return _share(cleaned, max_local_slashes=1, base="")
    return _special(scheme if scheme in _SPECIAL else "https", cleaned, "")


def _share(rest: str, *, max_local_slashes: int, base: str) -> str | None:
    """Resolve what follows ``file:``, or a UNC path: ``file://host/share``, or ``None`` for a local file."""
    head = _ENCODED_SLASH.sub("/", rest[:64]) + rest[64:]
    path = head.replace("\\", "/")
    tail = path.lstrip("/")
    slashes = len(path) - len(tail)
    if slashes < 2 or slashes == max_local_slashes:
        if slashes == 0 and base.startswith("file:"):
            return _relative(f"file:{rest}", base)
        return None
    if tail[:2] in {"?/", "./"}:  # Windows device paths: \\?\UNC\host\share, \\.\C:\
        tail = tail[2:].lstrip("/")
        if tail[:4].lower() == "unc/":
            tail = tail[4:].lstrip("/")
    end = _AUTHORITY_END.search(tail)
    host = tail[: end.start()] if end else tail
    if not host or host.lower() == "localhost" or _DRIVE.match(tail):
        return None
    try:
        return normalize_url(_printable(f"file://{tail}"))
    except ValueError:
        return _printable(f"file://{tail}")


def _relative(cleaned: str, base: str) -> str | None:
    """Resolve a relative reference; ``None`` where the base itself is local."""
    root = _resolve(base, "", lenient=False)
    if root is None:
        return None
    try:
        return join_url(root, _printable(cleaned))
    except ValueError:
        return _printable(root)


def _leniently(cleaned: str, base: str) -> str | None:
    """Resolve what a browser takes for a relative path but a client that peels or squeezes may not."""
    squeezed = cleaned.translate(_CONTROL_OR_SPACE)
    wrapping = _WRAPPING.match(squeezed)
    if wrapping is not None:
        squeezed = squeezed[wrapping.end() :].rstrip(_CLOSING)
    if squeezed == cleaned:
        return None
    scheme = _SCHEME.match(squeezed)
    start = scheme.end() if scheme else 0
    if squeezed[start : start + 1] in {"/", "\\"} and (scheme or squeezed[1:2] in {"/", "\\"}):
        return _resolve(squeezed, base, lenient=False)
    return None


def _printable(value: str) -> str:
    """Return ``value`` with pairs of surrogates joined and lone ones replaced, so that it can be encoded."""
    if value.isascii():
        return value
    return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
