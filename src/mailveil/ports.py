"""Ports: what the gateway needs from the world, as protocols, and the values that cross them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from mailveil.core.authentication import Authentication
from mailveil.core.intelligence.types import InfrastructureFacts
from mailveil.core.observation import MessageFacts, Observation, ObservedReference
from mailveil.core.policy import Envelope, MessagePolicy
from mailveil.core.recognition.types import MessageTraits, Recognition
from mailveil.core.references.types import Media
from mailveil.core.rewrite import EmbeddedCopy
from mailveil.core.safecopy.freshness import shows_delivery
from mailveil.core.sharing.types import SharedEvent
from mailveil.core.verdicts.evidence import FetchEvidence, FetchOutcome
from mailveil.core.verdicts.lists.types import Indication
from mailveil.core.verdicts.types import Verdict


class UnavailableError(Exception):
    """A store cannot answer in time, or the engine cannot work at all; no message is to blame for it.

    Mail never waits for a store: the caller goes on without.
    """


class EngineError(Exception):
    """The engine could not examine a message. The text is for administrators and quotes nothing of it."""


# --- replies ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reply:
    """An SMTP reply (RFC 5321 section 4.2) with its enhanced status code (RFC 3463).

    ``status`` is ``""`` where the server gave none; ``text`` carries neither code and may have several lines
    (separated by LF). ``recipients`` holds one reply for each recipient where they fared differently (LMTP,
    RFC 2033 section 4.2), in the order of the envelope; empty where one reply holds for all.
    """

    code: int
    status: str = ""
    text: str = ""
    recipients: tuple[tuple[str, Reply], ...] = ()

    @property
    def is_positive(self) -> bool:
        """Tell whether what was asked for has been done (2yz) or may go on (3yz)."""
        return 200 <= self.code < 400

    @property
    def is_transient(self) -> bool:
        """Tell whether asking again later makes sense (4yz)."""
        return 400 <= self.code < 500

    def __str__(self) -> str:
        return " ".join(part for part in (str(self.code), self.status, self.text) if part)


# One place for what is said when nothing better is known: the sender keeps the message and tries again.
UNKNOWN_FAILURE = Reply(451, "4.3.0", "Cannot process the message now, try again later")
NEXT_HOP_DOWN = Reply(451, "4.4.1", "Next mail server does not answer, try again later")
SHUTTING_DOWN = Reply(421, "4.3.2", "Service is shutting down, try again later")


class MailProtocol(StrEnum):
    """What mail is handed over by: SMTP (RFC 5321), or LMTP with a reply for each recipient (RFC 2033)."""

    SMTP = "smtp"
    LMTP = "lmtp"


class HopTls(StrEnum):
    """Whether the way to the next hop is encrypted: never, where it is offered, or always and verified."""

    NONE = "none"
    MAY = "may"
    MUST = "must"


# --- the way on ------------------------------------------------------------------------------------------


class Transaction(Protocol):
    """One mail transaction at the next hop, opened with the sender and fed as our own client feeds us.

    Nothing here raises for what the network or the next hop does: every failure is a reply.
    """

    async def recipient(self, address: str, options: Sequence[str] = ()) -> Reply:
        """Offer one recipient with its RCPT parameters; the reply goes to the client unchanged."""
        ...

    async def deliver(self, raw: bytes) -> Reply:
        """Hand over the message for the recipients accepted so far; positive only once it is theirs.

        Where recipients fared differently it is positive if one of them has it, and ``recipients`` tells.
        """
        ...

    def close(self) -> None:
        """End the transaction, delivered or not, without waiting. May be called more than once."""
        ...


class NextHop(Protocol):
    """Where messages go on to: an SMTP or LMTP server, or a local Maildir."""

    @property
    def name(self) -> str:
        """What an administrator calls it, such as ``smtp:127.0.0.1:10026``."""
        ...

    @property
    def recipients_per_transaction(self) -> int | None:
        """How many recipients may share one transaction; 1 where each could fare differently."""
        ...

    def offers(self, extension: str) -> bool:
        """Tell whether an SMTP extension (``"SMTPUTF8"`` …) was offered when last asked.

        Before that it is True, except for DSN: what was offered in vain is answered with 4yz, so that the client
        comes again, where one that misses SMTPUTF8 would give its message up.
        """
        ...

    @property
    def max_message_bytes(self) -> int:
        """The largest message that it takes as it said when last asked (SIZE, RFC 1870); 0 where it did not."""
        ...

    async def learn(self) -> None:
        """Ask what it offers if that is not known yet; brief, and without result where it does not answer."""
        ...

    async def begin(
        self, envelope: Envelope, size_bytes: int = 0, options: Sequence[str] = ()
    ) -> tuple[Transaction | None, Reply]:
        """Open a transaction for ``envelope.sender`` (its recipients follow); none where that is refused."""
        ...

    async def check(self) -> Reply:
        """Return what it answers to a greeting, without sending anything."""
        ...

    async def close(self) -> None:
        """Let go of idle connections."""
        ...


# --- the engine ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WantedCopy:
    """A safe copy that a protected message points to and that has yet to be made.

    ``token`` names it in the copies server's addresses (core/copyaddress), ``url`` is the reference's own
    address, ``width`` and ``height`` the declared dimensions that a placeholder keeps (0: not declared).
    Where ``may_fetch`` is false the placeholder is all there will ever be. ``links`` are the digests
    (core/references/links) of URLs that must not be fetched for it either, whether a redirect or a style sheet leads
    there, ``*`` for every one.
    """

    token: str
    url: str
    media: Media
    may_fetch: bool = True
    width: int = 0
    height: int = 0
    links: str = ""


class Judged(NamedTuple):
    """A reference with the verdict of its message alone. ``token`` is that of its copy, ``""`` without one."""

    url: str
    verdict: Verdict
    token: str = ""


@dataclass(frozen=True, slots=True)
class Protected:
    """What the engine made of a message.

    ``raw`` is to be delivered (the very same object where nothing was to do). ``keep_original`` is true where
    the original must be kept for ``mailveil release`` (a signature was taken off, a part became inert text);
    ``reasons`` say so in words, with the signer and whether the signature was valid. ``examined`` is false where
    nobody could look into it, and ``raw`` is what stands for it. ``judged`` goes with ``found``, one by one;
    ``message_id`` and ``subject`` are for the judge's memory, which keeps neither. ``monitored``: policy wants a
    report of the message alone, and ``found`` tells what would have been done; ``banner``: readers find a notice in
    it. ``facts`` are for its record.
    """

    raw: bytes
    wanted: tuple[WantedCopy, ...] = ()
    found: tuple[ObservedReference, ...] = ()
    defects: tuple[str, ...] = ()
    keep_original: bool = False
    reasons: tuple[str, ...] = ()
    examined: bool = True
    judged: tuple[Judged, ...] = ()
    message_id: str = ""
    subject: str = ""
    monitored: bool = False
    banner: bool = False
    facts: MessageFacts = field(default_factory=MessageFacts)
    original: str = ""


@dataclass(frozen=True, slots=True)
class Examination:
    """What there is to tell of a message outside mail's way: ``record`` is what ``scan --json`` prints.

    ``raw`` is the message made silent, ``b""`` where only the report was wanted; ``changed`` tells whether anything had
    to be.
    """

    record: Mapping[str, Any]
    raw: bytes = b""
    changed: bool = False


class Engine(Protocol):
    """The pure core, run where a crash costs one message one retry (adapters/workers)."""

    async def examine(self, raw: bytes, *, clean: bool = False, labelled: bool = False) -> Examination:
        """Return the full report of a message, and with ``clean`` the message made silent.

        With ``labelled`` it has pictures that say what stood there in the places of safe copies.

        Raises what ``protect`` raises.
        """
        ...

    async def protect(
        self,
        raw: bytes,
        envelope: Envelope,
        copies: Mapping[str, EmbeddedCopy] | None = None,
        policy: MessagePolicy | None = None,
    ) -> Protected:
        """Return the message without remote references; ``copies`` by token are what it is to carry itself.

        ``policy`` are the rules that can hold for it; without one the engine's settings decide alone.

        Raises ``UnavailableError`` where no message could be examined now, ``EngineError`` or anything else where
        this one could not: its worker died, took too long, or failed.
        """
        ...


class Policies(Protocol):
    """The rules of all organisations, in memory: nothing here waits or fails."""

    def for_message(self, envelope: Envelope, now: float) -> MessagePolicy | None:
        """Return what they come down to for one message, once its author is known as far as it can be.

        ``now`` are seconds since the epoch; ``None`` where there are no rules at all.
        """
        ...

    def profile(self, recipient: str) -> str:
        """Return a key that is the same for recipients to whom the same rules can apply."""
        ...


class Watch(Protocol):
    """Whom each organisation has met before, in memory: nothing here waits or fails."""

    def recognise(self, organisation: str, traits: MessageTraits) -> Recognition | None:
        """Return what a message to an organisation is recognised as."""
        ...


class Indicators(Protocol):
    """What others told each organisation to look out for, in memory: nothing here waits or fails."""

    def look(self, organisation: str, urls: Iterable[str]) -> tuple[Indication, ...]:
        """Return what names any of a message's references."""
        ...

    def recognise(self, organisation: str, traits: MessageTraits) -> Recognition | None:
        """Return what a message to an organisation is recognised as."""
        ...


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt to examine a message; ``failures`` are the earlier ones that came to no good end."""

    key: bytes
    failures: int = 0


class AttemptRecord(Protocol):
    """Attempts to examine messages, recorded so that one which takes the whole process with it counts too.

    Nothing here raises or delays mail: what cannot be recorded is not counted.
    """

    async def begin(self, raw: bytes) -> Attempt:
        """Record that a message is about to be examined, and return how often that has failed before."""
        ...

    def end(self, attempt: Attempt, *, failed: bool) -> None:
        """Record that an attempt is over, whatever becomes of the message then."""
        ...

    def give_up(self, attempt: Attempt, most: int) -> bool:
        """Record that a message goes on unexamined, as inert text; False where it must not.

        That is where ``most`` other messages have been given up within the hour: so many at once are no fault of
        theirs. A message that was given up before may always go on.
        """
        ...


# --- authentication --------------------------------------------------------------------------------------


class TxtLookup(Protocol):
    """What asks the DNS for TXT records."""

    async def __call__(self, name: str, timeout_s: float) -> Sequence[bytes]:
        """Return the TXT records of a name, none if there are none; UnavailableError without an answer."""
        ...


class Authenticator(Protocol):
    """Finds out who sent a message, as it came in."""

    async def authenticate(self, raw: bytes) -> Authentication:
        """Return what is known by the end of a small time budget. Never raises."""
        ...


class Sealer(Protocol):
    """Seals messages that were changed (ARC, RFC 8617)."""

    async def seal(self, raw: bytes, authentication: Authentication) -> bytes:
        """Return the message with a seal on top. Raises ``SealRefusedError`` where it cannot have one."""
        ...


# --- copies ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StoredCopy:
    """What the copies server answers for a token: a safe copy, or the frame of a placeholder.

    ``body`` is empty where there is no copy (yet): a placeholder of ``media`` and the dimensions is answered.
    ``pending`` is true while a copy may still come. ``as_of_delivery`` marks a picture that its origin changes
    with time (a countdown, a score): the copy shows it as it was.
    """

    media: Media
    media_type: str = ""
    body: bytes = b""
    sha256: str = ""
    width: int = 0
    height: int = 0
    pending: bool = False
    as_of_delivery: bool = False


@dataclass(frozen=True, slots=True)
class CopyFacts:
    """What is known of a safe copy besides its bytes, for the judge and for reports.

    ``width`` and ``height`` are the content's own whatever markup says (0: none), ``frames`` the pictures that an
    image has, ``duration_s`` how long what was received plays, ``is_silent`` whether nothing can be heard in it
    (``None``: nobody listened), ``replaced`` whether silence stands in for it. ``nested`` are what a style sheet
    refers to, in the order of its slots, each to be fetched in turn.
    """

    as_of_delivery: bool = False
    width: int = 0
    height: int = 0
    frames: int = 0
    duration_s: float = 0.0
    is_silent: bool | None = None
    replaced: bool = False
    nested: tuple[tuple[str, Media], ...] = ()


@dataclass(frozen=True, slots=True)
class CopyState:
    """What a report tells of one copy. ``state`` is ``stored``, ``pending``, ``placeholder`` or ``unknown``."""

    state: str
    media: str = ""
    media_type: str = ""
    size_bytes: int = 0
    facts: CopyFacts = field(default_factory=CopyFacts)


@dataclass(frozen=True, slots=True)
class Requester:
    """For whom copies are wanted, so that no message, sender or organisation can use up the fetcher.

    ``message`` is the message's identifier, ``sender`` the domain of the envelope's sender, ``organisation``
    the recipients' domain; each ``""`` where it is not known. A store keeps keyed digests of them only.
    """

    message: str = ""
    sender: str = ""
    organisation: str = ""


@dataclass(frozen=True, slots=True)
class FetchJob:
    """One fetch to make: a URL and the kind of copy wanted of it, for however many tokens.

    ``siblings`` want other kinds of copies of the same URL, which is fetched once for all of them. ``retries``
    tells how often it was given back, ``asked_again`` whether the origin has told us to come again before.
    """

    identifier: int
    url: str
    media: Media
    retries: int = 0
    asked_again: bool = False
    created: float = 0.0
    siblings: tuple[FetchJob, ...] = ()


class Step(StrEnum):
    """What is to be done about a redirect."""

    GO = "go"
    WAIT = "wait"  # another fetch asks for that URL at this moment
    KNOWN = "known"  # another fetch has brought what is there
    ASKED = "asked"  # it was asked for today, and brought nothing that would do
    LINKED = "linked"  # a link of the message leads there
    OVER_BUDGET = "over-budget"


@dataclass(frozen=True, slots=True)
class Followed:
    """What is to be done about a redirect; ``known`` is the fetch that brought what it leads to.

    ``along`` are fetches of that very URL which were due, and are made by this one.
    """

    step: Step
    known: int = 0
    along: tuple[FetchJob, ...] = ()


NOBODY = Requester()
NO_FACTS = CopyFacts()


class CopyStore(Protocol):
    """Safe copies by content hash, and the tokens under which they are served.

    Every method raises ``UnavailableError`` if the store cannot answer in time.
    """

    async def reserve(self, wanted: Sequence[WantedCopy], requester: Requester = NOBODY) -> None:
        """Record tokens durably before their message goes on. Nothing is fetched before ``release``.

        What goes beyond the budgets of ``requester`` is a placeholder from the start.
        """
        ...

    async def get(self, token: str, slots: Sequence[int] = ()) -> StoredCopy | None:
        """Return what stands behind a token, ``None`` if it is unknown; asking leaves no trace.

        ``slots`` lead from a style sheet to what it refers to, and on from there.
        """
        ...

    async def put(self, job: FetchJob, body: bytes, media_type: str, facts: CopyFacts = NO_FACTS) -> bool:
        """Store the safe copy that a fetch brought, and queue what it refers to.

        False where there is no room for it: a placeholder stays.
        """
        ...

    async def describe(self, tokens: Sequence[str]) -> list[CopyState]:
        """Return what is known of copies, in the order of their tokens."""
        ...

    async def expire(self, now: float) -> int:
        """Delete what is older than the retention time; return how many tokens went."""
        ...

    async def counts(self) -> dict[str, int]:
        """Return how many fetches are in which state, and as ``bytes`` what the copies take on disk."""
        ...

    async def inventory(self) -> dict[str, int | float | None]:
        """Return ``counts``, and how many ``addresses`` and ``contents`` there are, and when the ``oldest`` came."""
        ...

    async def delete_older(self, oldest: float) -> int:
        """Delete the addresses of messages that came before then; return how many."""
        ...

    async def delete_token(self, token: str) -> int:
        """Have a placeholder answer one address for good; return how many addresses that were (0 or 1)."""
        ...

    async def fetched_from(self, host: str) -> Sequence[bytes]:
        """Return the digests of URLs that a host, or any below it, had a part in answering."""
        ...

    async def delete_urls(self, digests: Sequence[bytes]) -> int:
        """Have placeholders answer for all that was fetched from these URLs; return how many fetches."""
        ...


class FetchQueue(Protocol):
    """Fetches that survive ``kill -9``: reserved → released → attempted → stored or placeholder.

    Every method raises ``UnavailableError`` if the store cannot answer in time.
    """

    async def release(
        self, wanted: Sequence[WantedCopy], *, after_s: float = 0.0, immediately: bool = False
    ) -> None:
        """Let the fetches go ahead: the next hop has accepted the message.

        They begin at random within the configured delay, which ``after_s`` comes on top of; with
        ``immediately`` the random delay is left out, since somebody waits.
        """
        ...

    async def abandon(self, wanted: Sequence[WantedCopy]) -> None:
        """Forget what has not been attempted yet: nobody will ever see these addresses.

        The message was not accepted, or has gone on without these copies.
        """
        ...

    async def follow(self, job: FetchJob, url: str) -> Followed:
        """Tell what is to be done about a redirect to ``url``; on ``Step.GO`` it is on record as asked for."""
        ...

    async def adopt(self, job: FetchJob, known: int) -> None:
        """Give a fetch the copy that another one brought, a placeholder where there is none any more."""
        ...

    async def recover(self) -> None:
        """Take up the queue after a restart, in the one process that fetches.

        What was attempted without a known outcome becomes a placeholder, what was only reserved goes ahead.
        Raises ``RuntimeError`` where another process fetches already.
        """
        ...

    async def claim(self) -> FetchJob | None:
        """Return a fetch, its attempt durably recorded so that it is never made twice; or ``None``."""
        ...

    async def give_back(
        self, job: FetchJob, not_before: float, *, again_at: str = "", counts: bool = True
    ) -> None:
        """Return a claimed fetch, with its siblings, to the queue.

        Only where not one byte of a request had been sent (``counts`` as a retry, or not), or where the origin has
        told us to come again: then only the URL ``again_at`` is asked once more.
        """
        ...

    async def settle(self, job: FetchJob) -> None:
        """Record that a fetch brought nothing to copy: the placeholder stays for good."""
        ...

    async def testify(self, job: FetchJob, evidence: FetchEvidence) -> None:
        """Keep what a fetch showed, for the judge and for reports."""
        ...


@dataclass(frozen=True, slots=True)
class PastFetch:
    """A fetch that was made, for reports."""

    at: float
    media: str
    url: str
    evidence: FetchEvidence

    @property
    def hosts(self) -> set[str]:
        """The hosts that had a part in answering, lower-case."""
        urls = (self.url, *(hop.url for hop in self.evidence.hops))
        return {host_of(url).lower().rstrip(".") for url in urls} - {""}

    @property
    def is_as_of_delivery(self) -> bool:
        """Whether this is a picture that is likely to be another one by the time that somebody looks at it."""
        hops, body = self.evidence.hops, self.evidence.body
        if self.media != Media.IMAGE or self.evidence.outcome is not FetchOutcome.FETCHED or not hops:
            return False
        return shows_delivery((self.url, hops[-1].url), hops[-1].fields, body.width, body.height)


def host_of(url: str) -> str:
    """Return the host of a URL, ``""`` where it has none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


class FetchRecord(Protocol):
    """What fetches showed, for as long as it is kept. Raises ``UnavailableError`` where it cannot be read."""

    async def evidence_of(self, url: str) -> Sequence[PastFetch]:
        """Return the fetches of exactly this URL, newest first."""
        ...


# --- the judge's memory ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SeenMessage:
    """A message that went on, for the judge's memory, which keeps keyed digests of all this and nothing else.

    ``identifier`` tells copies of one message from messages of one mailing; ``recipients`` are those of one
    transaction together. ``passages`` are the organisations that it concerns with what it is called on record there.
    """

    identifier: str
    sender_domain: str
    subject: str
    recipients: tuple[str, ...]
    judged: tuple[Judged, ...]
    passages: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Reconsidered:
    """A message some of whose verdicts are others by now than it is on record with: these, by key."""

    passages: tuple[tuple[str, str], ...]
    verdicts: Mapping[str, Verdict]


class Memory(Protocol):
    """What the judge knows of mail and fetches past. Never on the way of mail.

    Every method raises ``UnavailableError`` if it cannot answer in time.
    """

    async def meet(self, message: SeenMessage) -> tuple[Verdict, ...]:
        """Take note of a message that went on; return its verdicts as they stand with what was known before."""
        ...

    async def learn(self, url: str, evidence: FetchEvidence) -> None:
        """Take note of what a fetch showed."""
        ...

    async def verdicts(self, keys: Sequence[str]) -> Mapping[str, Verdict]:
        """Return the verdicts under these keys as they stand now; what is not known any more is left out."""
        ...

    async def reconsidered(self, limit: int) -> Sequence[Reconsidered]:
        """Look at verdicts that something touched since, at most ``limit``; return those judged anew."""
        ...

    async def settle(self, message: Reconsidered, *, recorded: bool) -> None:
        """Take note that a message is known to be judged so; where it is not on record yet, ask again later."""
        ...

    async def infrastructure(self, hosts: Sequence[str]) -> Mapping[str, InfrastructureFacts]:
        """Return what fetches have shown of hosts (templates of them); those that nothing is known of are left out."""
        ...


# --- records ---------------------------------------------------------------------------------------------


class ObservationLog(Protocol):
    """Takes what was seen of messages, for the database to have it in a while."""

    def begin(self, observation: Observation) -> None:
        """Take note of a message that is about to be delivered: what stands if this process ends before ``note``."""
        ...

    def note(self, observation: Observation) -> None:
        """Take note of a message. Never waits, never raises: drops it rather than that."""
        ...


class Organisations(Protocol):
    """Whose mail addresses are, in memory: nothing here waits or fails."""

    def of(self, address: str) -> str:
        """Return the identifier of an address's organisation, ``default`` where it belongs to none."""
        ...


@dataclass(frozen=True, slots=True)
class MailboxEntry:
    """A message in the local mailbox; ``header`` are its first bytes, enough for a list."""

    name: str
    at: float
    size_bytes: int
    header: bytes


class Mailbox(Protocol):
    """The local mailbox that takes the place of a next hop, as the console reads it."""

    async def entries(self, limit: int = 50) -> Sequence[MailboxEntry]:
        """Return the latest messages, newest first."""
        ...

    async def read(self, name: str) -> bytes | None:
        """Return a message, ``None`` if there is none of this name."""
        ...


class ReportIntake(Protocol):
    """Takes note of readers' reports among the mail that passes. Nothing here raises, waits or changes mail."""

    def note(self, envelope: Envelope, raw: bytes, identifier: str, organisation: str) -> None:
        """Look at a message that the next hop has taken; ``organisation`` is whose recipients it has, if of one."""
        ...


class OriginalStore(Protocol):
    """Originals of messages whose signature or parts were taken off, encrypted at rest."""

    async def keep(self, raw: bytes, envelope: Envelope, reason: str = "", *, is_needed: bool = True) -> str:
        """Keep a message for the configured days; return the name that ``mailveil release`` takes.

        What is not needed gives way: it is refused earlier, so that what is needed never lacks the room.
        """
        ...


class OriginalReader(Protocol):
    """Originals that were kept, for those who may read them."""

    async def read(self, name: str) -> bytes | None:
        """Return an original as it came in, ``None`` where there is none of this name any more.

        Raises ``UnavailableError`` where it cannot be read.
        """
        ...

    async def forget(self, name: str, are_all: Callable[[Sequence[str]], bool]) -> bool:
        """Delete an original if ``are_all`` holds for its recipients; tell whether there is none of it any more.

        Where not all recipients are known it stays. Raises ``UnavailableError`` where it cannot be deleted.
        """
        ...


class Clock(Protocol):
    """Wall-clock time."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        ...


# --- sharing ---------------------------------------------------------------------------------------------


class DeliveryError(Exception):
    """Events could not be delivered; the text says why, without secrets.

    ``is_permanent`` says that the first event that was not taken never will be, ``is_outage`` that it is not to blame
    at all: the other side is away or refuses us. ``is_gone``: it wants nothing any more. ``retry_after_s`` is what it
    asked for (0: nothing). ``taken`` counts those of the batch that it has taken, from the beginning.
    """

    def __init__(
        self,
        text: str,
        *,
        is_permanent: bool = False,
        is_outage: bool = True,
        is_gone: bool = False,
        retry_after_s: float = 0.0,
        taken: int = 0,
    ) -> None:
        super().__init__(text)
        self.is_permanent = is_permanent
        self.is_outage = is_outage and not is_permanent
        self.is_gone = is_gone
        self.retry_after_s = retry_after_s
        self.taken = taken


class Publisher(Protocol):
    """Brings events to one destination, which may get the same event more than once."""

    async def publish(self, events: Sequence[SharedEvent]) -> None:
        """Deliver events in order; returns once the other side has all of them. Raises ``DeliveryError``."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
