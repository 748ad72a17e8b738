"""Asset hosts: who hands the same fonts, icons and libraries to everybody alike."""

from __future__ import annotations

from typing import Final

# Registrable domains or hosts.
ASSET_HOSTS: Final = frozenset(
    {
        "ajax.aspnetcdn.com", "ajax.googleapis.com", "bootstrapcdn.com", "cdnjs.cloudflare.com",
        "cloud.typography.com", "code.jquery.com", "fonts.bunny.net", "fonts.cdnfonts.com",
        "fonts.googleapis.com", "fonts.gstatic.com", "jsdelivr.net", "schema.org", "ssl.gstatic.com",
        "unpkg.com", "use.fontawesome.com", "use.typekit.net", "w.org", "www.gstatic.com", "www.w3.org",
    }
)  # fmt: skip
