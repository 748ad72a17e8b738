"""The browser that origins see: header fields as one ordinary Chrome sends them, in its order.

Taken from what Chromium sends for the parts of a page of another site that has no Referer; what names a version
has to belong to ``PROFILE``, whose TLS hello and HTTP/2 settings the HTTP client takes on. Over plain http a
browser sends neither client hints nor Fetch Metadata, and offers fewer content codings. A font is fetched as
from a sandboxed frame, the way in which mail is shown: ``Origin: null`` names nobody.
"""

from __future__ import annotations

from mailveil.core.references.types import Media

PROFILE = "chrome150"
VERSION = "150"
USER_AGENT = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) "
    f"Chrome/{VERSION}.0.0.0 Safari/537.36"
)
BRANDS = f'"Not;A=Brand";v="8", "Chromium";v="{VERSION}", "Google Chrome";v="{VERSION}"'
LANGUAGE = "en-US,en;q=0.9"
ACCEPT = {
    Media.IMAGE: "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
    Media.STYLESHEET: "text/css,*/*;q=0.1",
}
DESTINATION = {
    Media.IMAGE: "image",
    Media.STYLESHEET: "style",
    Media.FONT: "font",
    Media.AUDIO: "audio",
    Media.VIDEO: "video",
}
PRIORITY = {Media.STYLESHEET: "u=0", Media.FONT: "u=0"}
STREAMED = frozenset({Media.AUDIO, Media.VIDEO})


def codings(url: str, media: Media) -> str:
    """Return the content codings that are accepted."""
    if media in STREAMED:
        return "identity"
    return "gzip, deflate, br, zstd" if url.startswith("https://") else "gzip, deflate"


def request_fields(url: str, media: Media) -> list[str]:
    """Return the header fields of a request after Host, in order."""
    is_secure = url.startswith("https://")
    is_font = media is Media.FONT
    fields = ["Connection: keep-alive"]
    if is_font:
        fields.append("Origin: null")
    if is_secure:
        fields.append('sec-ch-ua-platform: "macOS"')
    fields.append(f"User-Agent: {USER_AGENT}")
    if is_secure:
        fields += [f"sec-ch-ua: {BRANDS}", "sec-ch-ua-mobile: ?0"]
    fields.append(f"Accept: {ACCEPT.get(media, '*/*')}")
    if is_secure:
        fields += [
            "Sec-Fetch-Site: cross-site",
            f"Sec-Fetch-Mode: {'cors' if is_font else 'no-cors'}",
            f"Sec-Fetch-Dest: {DESTINATION[media]}",
        ]
        if not is_font:
            fields.append("Sec-Fetch-Storage-Access: none")
    fields += [f"Accept-Encoding: {codings(url, media)}", f"Accept-Language: {LANGUAGE}"]
    if is_secure:
        fields.append(f"Priority: {PRIORITY.get(media, 'i')}")
    if media in STREAMED:
        fields.append("Range: bytes=0-")
    return fields
