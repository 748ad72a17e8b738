"""The notice: what a banner tells of one message, and in which words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from mailveil.core.banner.language import Language, language_of
from mailveil.core.policy import BannerSettings
from mailveil.core.recognition.types import KnownBy, Recognition
from mailveil.core.verdicts.types import Kind, Risk, Verdict

MAX_OPERATORS = 3
MAX_NAME = 60
MAX_LINK = 400
MAX_MAILBOX = 254  # RFC 5321 section 4.5.3.1.3
_MET = {KnownBy.SENDER_DOMAIN: "met", KnownBy.MAILBOX: "met", KnownBy.LOOK_ALIKE: "met_alike"}
_MET_BY_OTHERS = {KnownBy.INDICATOR: "met_listed"}
_LAST_SECOND = 253_402_300_799  # of the year 9999
_ORDER = (
    Kind.CREDENTIAL, Kind.OPEN, Kind.DNS, Kind.DWELL, Kind.LOCATION, Kind.DEVICE, Kind.IDENTITY, Kind.INTERACTION,
    Kind.RECEIPT,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Notice:
    """What readers are told: how many trackers were stopped, what they would have told, and who is behind them.

    ``recognition`` is that somebody writes who was met before; there may be no tracker then.
    """

    risk: Risk
    count: int
    kinds: tuple[Kind, ...]
    operators: tuple[str, ...]
    settings: BannerSettings
    recognition: Recognition | None = None

    @property
    def language(self) -> Language:
        """The words it is written in."""
        return language_of(self.settings.language)


@dataclass(frozen=True, slots=True)
class Sentences:
    """A notice in words, still without any markup. ``mailbox`` and ``link`` are empty where there is none."""

    tag: str
    label: str
    title: str
    told: str
    behind: str
    calm: str
    ask: str
    write: str
    report: str
    page: str
    code: str
    source: str
    mailto: str
    mailbox: str
    link: str


def notice_of(
    stopped: Iterable[Verdict], risk: Risk, settings: BannerSettings, recognition: Recognition | None = None
) -> Notice | None:
    """Return what is told of the trackers that were stopped, and of a known actor; ``None`` where there was neither."""
    count = 0
    kinds: set[Kind] = set()
    operators: dict[str, None] = {}
    for verdict in stopped:
        if verdict.is_tracker:
            count += 1
            kinds.update(verdict.kinds)
            if verdict.operator is not None:
                operators[bounded(verdict.operator.name, MAX_NAME)] = None
    if not count and recognition is None:
        return None
    named = tuple(name for name in operators if name)[:MAX_OPERATORS]
    told = tuple(kind for kind in _ORDER if kind in kinds)
    return Notice(risk, count, told if told or not count else (Kind.OPEN,), named, settings, recognition)


def sentences_of(notice: Notice, language: Language) -> Sentences:
    """Return a notice in a language."""
    words, settings = language.banner, notice.settings
    told = dict.fromkeys(language.kinds["open" if kind is Kind.DNS else str(kind)] for kind in notice.kinds)
    mailbox = settings.report_mailbox if is_mailbox(settings.report_mailbox) else ""
    link = settings.report_link if is_link(settings.report_link) else ""
    code = settings.report_code if settings.report_code.isalnum() and settings.report_code.isascii() else ""
    if link and code:
        link += ("&" if "?" in link else "?") + "code=" + code
    is_high = notice.risk is Risk.HIGH
    met, stopped = _met(notice.recognition, language), ""
    if notice.count:
        stopped = words["would_have_told"].format(kinds=language.enumerated(tuple(told)))
        if is_high or met:
            stopped = language.title(notice.count) + words["stop"] + words["join"] + stopped
    calm = words["nothing_told"] if notice.count else ""
    if is_high or met:
        calm = words["join"].join(filter(None, (calm, words["careful"])))
    if met:
        title = words["met_warning"]
    else:
        title = words["warning"] if is_high else language.title(notice.count)
    organisation = bounded(settings.organisation, MAX_NAME)
    subject = f"mailveil {code}".strip()
    return Sentences(
        tag=language.tag,
        label=words["label"],
        title=title,
        told=words["join"].join(filter(None, (met, stopped))),
        behind=words["behind"].format(operators=language.enumerated(notice.operators))
        if notice.operators
        else "",
        calm=calm,
        ask=words["ask"] if mailbox or link else "",
        write=words["write"].format(mailbox=mailbox) if mailbox else "",
        report=words["report"] if link else "",
        page=words["page"].format(link=link) if link else "",
        code=words["code"].format(code=code) if code and mailbox else "",
        source=words["from"].format(organisation=organisation) if organisation else words["label"],
        mailto=f"mailto:{quote(mailbox, safe='@')}?subject={quote(subject)}" if mailbox else "",
        mailbox=mailbox,
        link=link,
    )


def _met(recognition: Recognition | None, language: Language) -> str:
    """Return in a sentence what is known of whoever writes; nobody is named in it."""
    if recognition is None:
        return ""
    words = language.banner
    if recognition.known_by in _MET_BY_OTHERS:
        return words[_MET_BY_OTHERS[recognition.known_by]]
    sentence, since = words[_MET.get(recognition.known_by, "met_related")], ""
    if 0 < recognition.first_at < _LAST_SECOND:
        day = datetime.fromtimestamp(recognition.first_at, UTC).strftime("%Y-%m-%d")
        since = words["met_since"].format(date=day)
    return f"{sentence}{since}{words['stop']}"


def bounded(text: str, most: int) -> str:
    """Return a name as one short run of what can be printed; braces and controls have no place in it."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text[: 4 * most])
    shown = " ".join(shown.replace("{", "(").replace("}", ")").split())
    return shown if len(shown) <= most else shown[: most - 1].rstrip() + "…"


def is_mailbox(address: str) -> bool:
    """Tell whether an address can stand in a banner: ASCII, one ``@``, nothing that would need to be quoted."""
    local, _, domain = address.rpartition("@")
    plain = all(letter.isalnum() or letter in "@.-_+" for letter in address)
    return (
        bool(local and domain)
        and address.isascii()
        and plain
        and len(address) <= MAX_MAILBOX
        and "@" not in local
    )


def is_link(link: str) -> bool:
    """Tell whether a link can stand in a banner: the address of a page, in ASCII, with nothing odd in it."""
    if (
        not link.isascii()
        or len(link) > MAX_LINK
        or any(letter <= " " or letter in "<>\"'\\`" for letter in link)
    ):
        return False
    try:
        parts = urlsplit(link)
    except ValueError:
        return False
    return (
        parts.scheme in ("https", "http")
        and bool(parts.hostname)
        and "@" not in parts.netloc
        and not parts.fragment
    )
