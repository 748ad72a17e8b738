"""Words: what paths, queries and host names of trackers and of stores of content are called."""

from __future__ import annotations

import re
from typing import Final

STATIC: Final = (
    ".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg", ".bmp", ".ico", ".avif", ".css", ".woff", ".woff2",
    ".ttf", ".otf", ".eot", ".mp3", ".mp4", ".wav", ".ogg", ".webm", ".js",
)  # fmt: skip
TRACKING_PATH: Final = re.compile(
    r"(?:[/_.?&=-]|^)(?:e?open(?:s|ed|ing|ings|-?rate|_?track(?:ing)?|_c)?|track(?:s|er|ing|_?open|open)?|trk|pixel"
    r"|beacon|imp(?:ression)?|o\.gif|op|wf|oo|px|webbug|bug\.gif|read(?:receipt|ing)?|seen|viewed|counter|1x1"
    r"|track\w{0,12}open\w{0,6}|\w{0,12}_md)(?=[/_.?&=]|$|[0-9])"
)
TRACKING_LABELS: Final = frozenset(
    {
        "beacon", "click", "clicks", "ct", "elinks", "links", "log", "mailstat", "metrics", "o", "open",
        "opens", "openrate", "pixel", "px", "stats", "t", "tr", "trace", "track", "tracker", "tracking",
        "trk",
    }
)  # fmt: skip
SPACER: Final = re.compile(
    r"/(?:spacer|blank|transparent|trans|clear|clearpixel|shim|space|empty|dot|1x1|null)"
    r"[a-z0-9_-]{0,12}\.(?:gif|png|jpg)$"
)
NESTED: Final = re.compile(r"https?(?::|%3a)(?:/|%2f){2}", re.IGNORECASE)
REDIRECT: Final = re.compile(
    r"/(?:r|rd|redir(?:ect)?|click|goto|out|jump|ls/click|url|l)(?:\.[a-z]{2,4})?(?:/|$)"
)
PROGRAM: Final = re.compile(r"\.(?:php[3-5]?|aspx?|ashx|cgi|jsp|do|pl|axd|cfm|html?)(?:/|$)")
ADJUSTED: Final = re.compile(
    r"(?:^|[&;?/,_])(?:w|h|width|height|quality|q|format|fm|fit|crop|dpr|resize|auto|size|scale|upscale|strip|bg|rs"
    r"|imwidth|imageview2?|x-oss-process|updatedat|v|ver|version|ts|rev|_)="
)
SIGNED: Final = re.compile(
    r"(?:signature|expires|x-amz-|x-goog-|policy|key-pair-id|sig|hmac|awsaccesskeyid|googleaccessid|exp|__token__)="
)
CONTENT_HOST: Final = re.compile(
    r"(?:^|[.-])(?:img|imgs|image|images|cdn|static|assets?|media|files?|content|pics?|photos?|s3|storage|cloudfront"
    r"|akamai\w{0,8}|fastly|azureedge|imgur|wp|uploads?|gallery|res|resources?|download|public|userimages?"
    r"|multimedia|gfx|graphics|i[0-9]?|a[0-9]|d[0-9a-z]{12,14})(?:[.-]|[0-9])"
)
CONTENT_PATH: Final = re.compile(
    r"/(?:img|imgs|images?|assets|static|media|files?|content|pics?|photos?|uploads?|wp-content|logos?|icons?|gfx"
    r"|gallery|graphics|banners?|buttons?|social|newsletters?|templates?|products?|fonts?|css)(?:/|[0-9])"
)
QUOTING: Final = (
    "outlookmessageheader", "blockquote", "gmail_quote", "moz-cite", "msoheader", "mailcontainer",
)  # fmt: skip
