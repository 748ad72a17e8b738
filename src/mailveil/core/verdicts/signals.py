"""Signals: every single observed fact about a reference, by its permanent name, and what it says in words."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple


class EvidenceClass(StrEnum):
    """Where a fact comes from. Values are permanent."""

    URL = "url"
    RECIPIENT = "recipient"  # an address in the URL
    RENDERING = "rendering"  # the construct, its attributes and its size
    MESSAGE = "message"  # the message around it
    ACROSS = "across"  # what other messages held
    DNS = "dns"
    FETCH = "fetch"
    OPERATOR = "operator"  # the catalogue and imported lists


class Signal(StrEnum):
    """One observed fact about a reference. Names are permanent; ``FACTS`` says what each means."""

    PIXEL_1X1 = "PIXEL_1X1"
    PIXEL_SMALL = "PIXEL_SMALL"
    PIXEL_HALF = "PIXEL_HALF"
    LINE = "LINE"
    INVISIBLE = "INVISIBLE"
    OFF_SCREEN = "OFF_SCREEN"
    VISIBLE_SIZE = "VISIBLE_SIZE"
    ALT_TEXT = "ALT_TEXT"
    RECIPIENT_IN_URL = "RECIPIENT_IN_URL"
    ADDRESS_IN_URL = "ADDRESS_IN_URL"
    TOKEN_IN_URL = "TOKEN_IN_URL"  # noqa: S105 - a signal's name
    LONG_TOKEN_IN_URL = "LONG_TOKEN_IN_URL"  # noqa: S105 - a signal's name
    HASHED_NAME = "HASHED_NAME"
    UNIQUE_PIXEL = "UNIQUE_PIXEL"
    FOREIGN_PIXEL = "FOREIGN_PIXEL"
    TRACKING_PATH = "TRACKING_PATH"
    TRACKING_HOST = "TRACKING_HOST"
    KNOWN_OPERATOR = "KNOWN_OPERATOR"
    STATIC_FILE = "STATIC_FILE"
    DYNAMIC_PATH = "DYNAMIC_PATH"
    SPACER = "SPACER"
    ASSET_HOST = "ASSET_HOST"
    REDIRECTOR = "REDIRECTOR"
    IP_HOST = "IP_HOST"
    FIRST_PARTY = "FIRST_PARTY"
    THIRD_PARTY = "THIRD_PARTY"
    LIST_MAIL = "LIST_MAIL"
    SILENT_MEDIA = "SILENT_MEDIA"
    RECEIPT_REQUEST = "RECEIPT_REQUEST"
    HOST_LOOKUP = "HOST_LOOKUP"
    CREDENTIAL_PATH = "CREDENTIAL_PATH"
    PRINT_BEACON = "PRINT_BEACON"
    HOVER_BEACON = "HOVER_BEACON"
    FORWARD_BEACON = "FORWARD_BEACON"
    DEVICE_QUERY = "DEVICE_QUERY"
    PREFETCH = "PREFETCH"
    PING = "PING"
    REFRESH = "REFRESH"
    SCRIPT = "SCRIPT"
    EXTERNAL_CONTENT = "EXTERNAL_CONTENT"
    SENDER_PICTURE = "SENDER_PICTURE"
    CERTIFICATE_LOOKUP = "CERTIFICATE_LOOKUP"
    SHORT_TOKEN_IN_URL = "SHORT_TOKEN_IN_URL"  # noqa: S105 - a signal's name
    NUMBER_IN_URL = "NUMBER_IN_URL"
    PLAIN_URL = "PLAIN_URL"
    MANY_DIGITS = "MANY_DIGITS"
    LONG_URL = "LONG_URL"
    DEEP_PATH = "DEEP_PATH"
    MANY_PARAMETERS = "MANY_PARAMETERS"
    CONTENT_HOST = "CONTENT_HOST"
    CONTENT_PATH = "CONTENT_PATH"
    PROGRAM = "PROGRAM"
    ADJUSTED = "ADJUSTED"
    SIGNED_URL = "SIGNED_URL"
    REDIRECT_WORD = "REDIRECT_WORD"
    OPAQUE_HOST = "OPAQUE_HOST"
    ODD_PORT = "ODD_PORT"
    USERINFO = "USERINFO"
    BARE_HOST = "BARE_HOST"
    RECIPIENT_NAME_IN_URL = "RECIPIENT_NAME_IN_URL"
    RECIPIENT_DOMAIN_IN_URL = "RECIPIENT_DOMAIN_IN_URL"
    RECIPIENT_IN_HOST = "RECIPIENT_IN_HOST"
    ICON_SIZE = "ICON_SIZE"
    UNDECLARED_SIZE = "UNDECLARED_SIZE"
    EMPTY_ALT = "EMPTY_ALT"
    MISSING_ALT = "MISSING_ALT"
    STYLED = "STYLED"
    CONDITIONAL_COMMENT = "CONDITIONAL_COMMENT"
    HIDDEN_BY_ANCESTOR = "HIDDEN_BY_ANCESTOR"
    PICTURE = "PICTURE"
    BACKGROUND = "BACKGROUND"
    STYLESHEET = "STYLESHEET"
    MEDIA = "MEDIA"
    LAST_REFERENCE = "LAST_REFERENCE"
    FIRST_REFERENCE = "FIRST_REFERENCE"
    FEW_REFERENCES = "FEW_REFERENCES"
    MANY_REFERENCES = "MANY_REFERENCES"
    SOLE_FROM_HOST = "SOLE_FROM_HOST"
    SHARED_HOST = "SHARED_HOST"
    CONTENT_FROM_HOST = "CONTENT_FROM_HOST"
    SIBLINGS = "SIBLINGS"
    REPEATED_URL = "REPEATED_URL"
    LINKED_HOST = "LINKED_HOST"
    ALIGNED_HOST = "ALIGNED_HOST"
    MAIL_SERVICE = "MAIL_SERVICE"
    LITTLE_TEXT = "LITTLE_TEXT"
    TOKEN_PER_RECIPIENT = "TOKEN_PER_RECIPIENT"  # noqa: S105 - a signal's name
    URL_SHARED = "URL_SHARED"
    NEW_HOST = "NEW_HOST"
    ALIAS_OF_OPERATOR = "ALIAS_OF_OPERATOR"
    OPERATOR_NAME_SERVER = "OPERATOR_NAME_SERVER"
    WILDCARD_ZONE = "WILDCARD_ZONE"
    NAME_PER_MESSAGE = "NAME_PER_MESSAGE"
    SHORT_TTL = "SHORT_TTL"
    OWN_NAME_SERVER = "OWN_NAME_SERVER"
    REDIRECTED_ELSEWHERE = "REDIRECTED_ELSEWHERE"
    REDIRECTED_TO_OPERATOR = "REDIRECTED_TO_OPERATOR"
    SETS_COOKIE = "SETS_COOKIE"
    NOT_CACHEABLE = "NOT_CACHEABLE"
    LONG_CACHEABLE = "LONG_CACHEABLE"
    UNCHANGING_FILE = "UNCHANGING_FILE"
    TYPE_MISMATCH = "TYPE_MISMATCH"
    TRUE_PIXEL = "TRUE_PIXEL"
    TRUE_PICTURE = "TRUE_PICTURE"
    SHARED_BODY = "SHARED_BODY"
    EMPTY_ANSWER = "EMPTY_ANSWER"
    DRIP_FED = "DRIP_FED"
    ENDLESS_BODY = "ENDLESS_BODY"
    SILENT_AUDIO = "SILENT_AUDIO"
    ANSWER_DIFFERS = "ANSWER_DIFFERS"
    LASTING_COOKIE = "LASTING_COOKIE"
    KNOWN_AGAIN = "KNOWN_AGAIN"
    BODY_PER_TOKEN = "BODY_PER_TOKEN"  # noqa: S105 - a signal's name
    ASKS_DEVICE = "ASKS_DEVICE"
    PLACE_TOLD = "PLACE_TOLD"
    LISTED = "LISTED"
    OPERATOR_AUTHENTICATED = "OPERATOR_AUTHENTICATED"


class Fact(NamedTuple):
    """Where a signal comes from, what it means, and the words for an administrator; ``{}`` is its number."""

    evidence: EvidenceClass
    description: str
    words: str


# fmt: off
FACTS: Final[Mapping[Signal, Fact]] = {
    Signal.PIXEL_1X1: Fact(EvidenceClass.RENDERING, "Declared to be shown one pixel wide and high, or less.",
        "the picture is one pixel"),
    Signal.PIXEL_SMALL: Fact(EvidenceClass.RENDERING, "Declared to be shown at most three pixels wide and high.",
        "the picture is at most three pixels wide and high"),
    Signal.PIXEL_HALF: Fact(EvidenceClass.RENDERING, "One side is declared at most one pixel long, the other not.",
        "one side of the picture is at most a pixel"),
    Signal.LINE: Fact(EvidenceClass.RENDERING,
        "One side is declared at most three pixels long, the other longer: a rule or spacer.",
        "it is shown as a thin line"),
    Signal.INVISIBLE: Fact(EvidenceClass.RENDERING,
        "Hidden by its style or attributes (display, visibility, opacity, size, mso-hide).",
        "it is hidden"),
    Signal.OFF_SCREEN: Fact(EvidenceClass.RENDERING, "Positioned far outside the visible area.",
        "it is placed where nobody sees it"),
    Signal.VISIBLE_SIZE: Fact(EvidenceClass.RENDERING,
        "Declared at least sixteen pixels wide or high and not hidden.",
        "it is shown in a size that people see"),
    Signal.ALT_TEXT: Fact(EvidenceClass.RENDERING, "Has an alternative text, so somebody is meant to see it.",
        "it has an alternative text"),
    Signal.RECIPIENT_IN_URL: Fact(EvidenceClass.RECIPIENT,
        "The URL holds a recipient's address, plain, encoded or hashed.",
        "the address holds a recipient's mail address"),
    Signal.ADDRESS_IN_URL: Fact(EvidenceClass.RECIPIENT,
        "The URL holds some mail address, plain or encoded, that is not the sender's.",
        "the address holds somebody's mail address"),
    Signal.TOKEN_IN_URL: Fact(EvidenceClass.URL,
        "Path or query holds a random-looking token of at least sixteen characters.",
        "the address holds a random token of {} characters"),
    Signal.LONG_TOKEN_IN_URL: Fact(EvidenceClass.URL,
        "Path or query holds a random-looking token of at least forty characters.",
        "the address holds a random token of {} characters"),
    Signal.HASHED_NAME: Fact(EvidenceClass.URL,
        "The file name of a picture looks random, as content stores name files.",
        "the file name looks random"),
    Signal.UNIQUE_PIXEL: Fact(EvidenceClass.RENDERING,
        "A tiny or hidden picture whose address holds a random token or name.",
        "it is too small or hidden to be seen, yet its address is one of a kind"),
    Signal.FOREIGN_PIXEL: Fact(EvidenceClass.RENDERING,
        "A one-pixel picture from another domain than the sender's, not named like a spacer.",
        "one pixel from a domain that is not the sender's"),
    Signal.TRACKING_PATH: Fact(EvidenceClass.URL,
        "The path contains a word for tracking, such as open, track, pixel or beacon.",
        "the address holds a word for tracking"),
    Signal.TRACKING_HOST: Fact(EvidenceClass.URL,
        "The host name begins with a word for tracking, such as trk or open.",
        "the host name begins with a word for tracking"),
    Signal.KNOWN_OPERATOR: Fact(EvidenceClass.OPERATOR,
        "The address has the shape of a known service's open tracking.",
        "the address has the shape of a known tracking service's"),
    Signal.STATIC_FILE: Fact(EvidenceClass.URL, "The path ends in a static file and there is no query.",
        "it is a plain file"),
    Signal.DYNAMIC_PATH: Fact(EvidenceClass.URL, "Loaded as a picture, but the path does not end as a file's does.",
        "a picture is asked for, but the address does not end as a file's does"),
    Signal.SPACER: Fact(EvidenceClass.URL, "Named like a layout spacer (spacer.gif, blank.gif) and without a token.",
        "it is named like a layout spacer"),
    Signal.ASSET_HOST: Fact(EvidenceClass.URL, "The host serves public fonts, icons or libraries to everybody alike.",
        "the host serves fonts, icons or libraries to everybody alike"),
    Signal.REDIRECTOR: Fact(EvidenceClass.URL, "Another URL stands inside the URL.",
        "another address stands inside the address"),
    Signal.IP_HOST: Fact(EvidenceClass.URL, "The host is a bare IP address.",
        "the host is a bare IP address"),
    Signal.FIRST_PARTY: Fact(EvidenceClass.MESSAGE, "Host and sender share a registrable domain.",
        "host and sender share a domain"),
    Signal.THIRD_PARTY: Fact(EvidenceClass.MESSAGE, "Host and sender have different registrable domains.",
        "host and sender have different domains"),
    Signal.LIST_MAIL: Fact(EvidenceClass.MESSAGE, "The message declares itself as list or bulk mail.",
        "the message declares itself as list mail"),
    Signal.SILENT_MEDIA: Fact(EvidenceClass.RENDERING,
        "Sound or video that plays by itself, hidden or without controls.",
        "sound or video plays unseen by itself"),
    Signal.RECEIPT_REQUEST: Fact(EvidenceClass.MESSAGE, "A header field asks for a receipt.",
        "a header field asks for a receipt"),
    Signal.HOST_LOOKUP: Fact(EvidenceClass.URL,
        "Only a look-up or connection is asked for, under a host name with a long label.",
        "only a look-up is asked for, under a long host name"),
    Signal.CREDENTIAL_PATH: Fact(EvidenceClass.URL,
        "A network share, to which a Windows client hands out the reader's log-in.",
        "a network share would be given the reader's log-in"),
    Signal.PRINT_BEACON: Fact(EvidenceClass.RENDERING, "Loaded only when the message is printed.",
        "it is loaded only when the message is printed"),
    Signal.HOVER_BEACON: Fact(EvidenceClass.RENDERING,
        "Loaded only when the reader points at, focuses or activates something.",
        "it is loaded only when the reader points at something"),
    Signal.FORWARD_BEACON: Fact(EvidenceClass.RENDERING, "Loaded only where a client quotes or forwards the message.",
        "it is loaded only where the message is quoted or forwarded"),
    Signal.DEVICE_QUERY: Fact(EvidenceClass.RENDERING,
        "Loaded only under a media query: it tells the device or a setting.",
        "it tells the device or a setting"),
    Signal.PREFETCH: Fact(EvidenceClass.RENDERING, "Asks the client to load something ahead of need.",
        "the client is asked to load it ahead of need"),
    Signal.PING: Fact(EvidenceClass.RENDERING, "Reports a click to an address of its own.",
        "it reports a click"),
    Signal.REFRESH: Fact(EvidenceClass.RENDERING, "Loads a document by itself, at once or again and again.",
        "it loads a document by itself"),
    Signal.SCRIPT: Fact(EvidenceClass.RENDERING, "Runs or loads a program.",
        "it is a program"),
    Signal.EXTERNAL_CONTENT: Fact(EvidenceClass.RENDERING,
        "The part's content, or the base of its references, lies elsewhere.",
        "the content lies elsewhere"),
    Signal.SENDER_PICTURE: Fact(EvidenceClass.MESSAGE, "A header field names a picture of the sender.",
        "a header field names the sender's picture"),
    Signal.CERTIFICATE_LOOKUP: Fact(EvidenceClass.MESSAGE,
        "A certificate names an address that is asked while a signature is checked.",
        "a certificate names it to be asked"),
    Signal.SHORT_TOKEN_IN_URL: Fact(EvidenceClass.URL,
        "Path or query holds a random-looking token of eight to fifteen characters.",
        "the address holds a short random token"),
    Signal.NUMBER_IN_URL: Fact(EvidenceClass.URL,
        "Path or query holds a number of at least four digits, and no random token.",
        "the address holds a number"),
    Signal.PLAIN_URL: Fact(EvidenceClass.URL, "Path and query hold neither random token nor number.",
        "the address holds nothing that tells readers apart"),
    Signal.MANY_DIGITS: Fact(EvidenceClass.URL, "At least three in ten characters of path and query are digits.",
        "the address is made of digits to a large part"),
    Signal.LONG_URL: Fact(EvidenceClass.URL, "Path and query have at least 120 characters.",
        "the address is {} characters long"),
    Signal.DEEP_PATH: Fact(EvidenceClass.URL, "The path has at least seven steps.",
        "the path is deep"),
    Signal.MANY_PARAMETERS: Fact(EvidenceClass.URL, "The query has at least four parameters.",
        "the address carries many parameters"),
    Signal.CONTENT_HOST: Fact(EvidenceClass.URL,
        "A label of the host name is one that stores of content have, such as cdn, img or static.",
        "the host is named like a store of content"),
    Signal.CONTENT_PATH: Fact(EvidenceClass.URL,
        "The path has a step that stores of content have, such as images, uploads or assets.",
        "the path is that of a store of content"),
    Signal.PROGRAM: Fact(EvidenceClass.URL, "The path names a program, such as open.php or pixel.aspx.",
        "the address is that of a program"),
    Signal.ADJUSTED: Fact(EvidenceClass.URL, "The query asks for a size, quality or version.",
        "the address asks for a size, quality or version"),
    Signal.SIGNED_URL: Fact(EvidenceClass.URL,
        "The query holds a signature with an expiry, as stores of content sign addresses.",
        "the address is signed as stores of content sign theirs"),
    Signal.REDIRECT_WORD: Fact(EvidenceClass.URL,
        "The path has a word for redirecting, such as redirect, click or r.",
        "the address is shaped like a redirector's"),
    Signal.OPAQUE_HOST: Fact(EvidenceClass.URL, "A label of the host name is long or looks random.",
        "the host name looks made by a machine"),
    Signal.ODD_PORT: Fact(EvidenceClass.URL, "The URL names a port other than 80 and 443.",
        "the address names an unusual port"),
    Signal.USERINFO: Fact(EvidenceClass.URL, "The URL holds a user name or password before the host.",
        "a user name stands before the host"),
    Signal.BARE_HOST: Fact(EvidenceClass.URL, "The URL names a host and no path or query.",
        "the address is a bare host"),
    Signal.RECIPIENT_NAME_IN_URL: Fact(EvidenceClass.RECIPIENT,
        "The URL holds the local part of a recipient's address, plain or as a digest.",
        "the address holds a recipient's name"),
    Signal.RECIPIENT_DOMAIN_IN_URL: Fact(EvidenceClass.RECIPIENT,
        "Path, query or fragment hold the domain of a recipient's address.",
        "the address holds a recipient's domain"),
    Signal.RECIPIENT_IN_HOST: Fact(EvidenceClass.RECIPIENT,
        "A recipient's address stands, plain, encoded or hashed, in the labels of the host name.",
        "the host name holds a recipient's mail address"),
    Signal.ICON_SIZE: Fact(EvidenceClass.RENDERING, "Declared between four and fifteen pixels wide and high.",
        "it is shown as small as an icon"),
    Signal.UNDECLARED_SIZE: Fact(EvidenceClass.RENDERING, "No size is declared.",
        "no size is declared"),
    Signal.EMPTY_ALT: Fact(EvidenceClass.RENDERING, "The alternative text is empty.",
        "its alternative text is empty"),
    Signal.MISSING_ALT: Fact(EvidenceClass.RENDERING, "A picture without any alternative text.",
        "it has no alternative text"),
    Signal.STYLED: Fact(EvidenceClass.RENDERING, "The element has a class, an identifier or a border.",
        "its element is laid out with care"),
    Signal.CONDITIONAL_COMMENT: Fact(EvidenceClass.RENDERING,
        "Stands in a conditional comment, which only some clients read.",
        "only some clients read it, in a conditional comment"),
    Signal.HIDDEN_BY_ANCESTOR: Fact(EvidenceClass.RENDERING, "An element around it is hidden.",
        "an element around it is hidden"),
    Signal.PICTURE: Fact(EvidenceClass.RENDERING, "Loaded as a picture.",
        "it is loaded as a picture"),
    Signal.BACKGROUND: Fact(EvidenceClass.RENDERING, "Loaded as a background or from a style.",
        "it is loaded as a background"),
    Signal.STYLESHEET: Fact(EvidenceClass.RENDERING, "Loaded as a style sheet or font.",
        "it is loaded as a style sheet or font"),
    Signal.MEDIA: Fact(EvidenceClass.RENDERING, "Loaded as sound, video or an embedded object.",
        "it is loaded as sound or video"),
    Signal.LAST_REFERENCE: Fact(EvidenceClass.MESSAGE, "The last of at least three references of the message.",
        "it stands last in the message"),
    Signal.FIRST_REFERENCE: Fact(EvidenceClass.MESSAGE, "The first of at least three references of the message.",
        "it stands first in the message"),
    Signal.FEW_REFERENCES: Fact(EvidenceClass.MESSAGE, "The message has at most two references.",
        "the message has hardly any remote content"),
    Signal.MANY_REFERENCES: Fact(EvidenceClass.MESSAGE, "The message has at least three references.",
        "the message has {} references"),
    Signal.SOLE_FROM_HOST: Fact(EvidenceClass.MESSAGE,
        "The only one of at least three references that goes to its host.",
        "nothing else in the message comes from that host"),
    Signal.SHARED_HOST: Fact(EvidenceClass.MESSAGE, "At least three references of the message go to its host.",
        "{} references of the message go to that host"),
    Signal.CONTENT_FROM_HOST: Fact(EvidenceClass.MESSAGE, "Plain pictures of a visible size come from the same host.",
        "plain pictures come from the same host"),
    Signal.SIBLINGS: Fact(EvidenceClass.MESSAGE, "Other references of the message have the same URL template.",
        "other addresses in the message have the same shape"),
    Signal.REPEATED_URL: Fact(EvidenceClass.MESSAGE, "The message uses the same URL more than once.",
        "the message uses the same address more than once"),
    Signal.LINKED_HOST: Fact(EvidenceClass.MESSAGE, "An ordinary link of the message leads to the same host.",
        "links of the message lead to the same host"),
    Signal.ALIGNED_HOST: Fact(EvidenceClass.MESSAGE,
        "Host and the author that authentication proved share a registrable domain.",
        "the host belongs to the proven author"),
    Signal.MAIL_SERVICE: Fact(EvidenceClass.MESSAGE, "A header field names the mail service that sent the message.",
        "a mail service sent the message"),
    Signal.LITTLE_TEXT: Fact(EvidenceClass.MESSAGE, "The part has at most 2,000 bytes.",
        "the message is short"),
    Signal.TOKEN_PER_RECIPIENT: Fact(EvidenceClass.ACROSS,
        "The same URL template came with another token for another recipient.",
        "other recipients got the same address with another token"),
    Signal.URL_SHARED: Fact(EvidenceClass.ACROSS, "The very same URL came to several recipients.",
        "several recipients got the very same address"),
    Signal.NEW_HOST: Fact(EvidenceClass.ACROSS, "The host was not seen before.",
        "the host was never seen before"),
    Signal.ALIAS_OF_OPERATOR: Fact(EvidenceClass.DNS, "The host is an alias (CNAME) of a known tracking service's.",
        "the host name leads to a known tracking service"),
    Signal.OPERATOR_NAME_SERVER: Fact(EvidenceClass.DNS, "The name servers are a known tracking service's.",
        "its name servers belong to a known tracking service"),
    Signal.WILDCARD_ZONE: Fact(EvidenceClass.DNS, "Any name below the domain gets an answer.",
        "any name below the domain gets an answer"),
    Signal.NAME_PER_MESSAGE: Fact(EvidenceClass.DNS, "The domain was asked for under another name by other messages.",
        "each message has a host name of its own"),
    Signal.SHORT_TTL: Fact(EvidenceClass.DNS, "The answer of the DNS may be kept for at most a minute.",
        "the name's answer may hardly be kept"),
    Signal.OWN_NAME_SERVER: Fact(EvidenceClass.DNS, "The name servers lie inside the domain itself.",
        "the domain answers for its own names"),
    Signal.REDIRECTED_ELSEWHERE: Fact(EvidenceClass.FETCH, "The answer leads on to another registrable domain.",
        "the answer leads on to another domain"),
    Signal.REDIRECTED_TO_OPERATOR: Fact(EvidenceClass.FETCH, "The answer leads through a known tracking service.",
        "the answer leads through a known tracking service"),
    Signal.SETS_COOKIE: Fact(EvidenceClass.FETCH, "The answer sets a cookie.",
        "the answer sets a cookie"),
    Signal.NOT_CACHEABLE: Fact(EvidenceClass.FETCH, "The answer forbids to be kept.",
        "the answer forbids to be kept"),
    Signal.LONG_CACHEABLE: Fact(EvidenceClass.FETCH, "The answer may be kept for a day or longer.",
        "the answer may be kept for long"),
    Signal.UNCHANGING_FILE: Fact(EvidenceClass.FETCH,
        "The answer has a date of change and an entity tag, as stored files have.",
        "the answer is a stored file"),
    Signal.TYPE_MISMATCH: Fact(EvidenceClass.FETCH,
        "The content is of another kind than its name or its declared type says.",
        "the content is not what its name says"),
    Signal.TRUE_PIXEL: Fact(EvidenceClass.FETCH, "The picture is really at most three pixels wide and high.",
        "the picture is really a pixel"),
    Signal.TRUE_PICTURE: Fact(EvidenceClass.FETCH, "The picture is really at least sixteen pixels wide or high.",
        "the picture is really one to look at"),
    Signal.SHARED_BODY: Fact(EvidenceClass.FETCH, "Different tokens get the very same small content.",
        "all tokens get the same content"),
    Signal.EMPTY_ANSWER: Fact(EvidenceClass.FETCH, "The answer has no content.",
        "the answer is empty"),
    Signal.DRIP_FED: Fact(EvidenceClass.FETCH, "The content comes a few bytes at a time.",
        "the content comes a few bytes at a time"),
    Signal.ENDLESS_BODY: Fact(EvidenceClass.FETCH, "The content does not end.",
        "the content does not end"),
    Signal.SILENT_AUDIO: Fact(EvidenceClass.FETCH, "The sound is silent in every sample.",
        "the sound is silence"),
    Signal.ANSWER_DIFFERS: Fact(EvidenceClass.FETCH, "Different clients get different answers.",
        "different clients get different answers"),
    Signal.LASTING_COOKIE: Fact(EvidenceClass.FETCH, "The answer sets a cookie that is to last for a month or longer.",
        "the answer sets a cookie that lasts"),
    Signal.KNOWN_AGAIN: Fact(EvidenceClass.FETCH,
        "The answer has a tag without a date, and is to be asked about again at each opening.",
        "a tag makes its reader known again at the next opening"),
    Signal.BODY_PER_TOKEN: Fact(EvidenceClass.FETCH, "Different tokens get different content.",
        "each token gets content of its own"),
    Signal.ASKS_DEVICE: Fact(EvidenceClass.FETCH, "The answer asks the client to describe its device.",
        "the answer asks what the device is like"),
    Signal.PLACE_TOLD: Fact(EvidenceClass.FETCH, "The answer was made for the place of whoever asks.",
        "the answer is made for the reader's place"),
    Signal.LISTED: Fact(EvidenceClass.OPERATOR, "A list that the organisation imported names the address.",
        "an imported list names it"),
    Signal.OPERATOR_AUTHENTICATED: Fact(EvidenceClass.OPERATOR,
        "Authentication proved a known mail service that tracks as the sender.",
        "a known mail service is the proven sender"),
}
# fmt: on

DESCRIPTIONS: Final[Mapping[Signal, str]] = {signal: fact.description for signal, fact in FACTS.items()}

# What is known only after delivery: from other messages, from the DNS, from the fetch.
AFTER_DELIVERY: Final = frozenset({EvidenceClass.ACROSS, EvidenceClass.DNS, EvidenceClass.FETCH})
