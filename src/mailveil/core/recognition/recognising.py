"""Recognising: whether a message is of an actor that was met before, and by what it is known. Pure.

Nobody is recognised by a domain that everybody uses or that is the organisation's own, nor by what its own people
quote. Where an actor only claimed to write from a domain, or named it to be answered there, mail that this domain
proves is not the actor's: else anybody could have an innocent sender warned of. A look-alike of an actor's domain
counts, and so does one of the domain that the actor imitates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from mailveil.core.recognition.keys import actor_keys, message_keys, resembled_by
from mailveil.core.recognition.lookalike import looks_like
from mailveil.core.recognition.shared import is_shared_domain, is_shared_host
from mailveil.core.recognition.types import KnownActor, KnownBy, MessageTraits, Recognition, Watchlist

MAX_CANDIDATES: Final = 200
# How sure each is, the surest first.
_ORDER: Final = (
    KnownBy.SENDER_DOMAIN,
    KnownBy.MAILBOX,
    KnownBy.REPLY_DOMAIN,
    KnownBy.INFRASTRUCTURE,
    KnownBy.THREAD,
    KnownBy.LOOK_ALIKE,
    KnownBy.INDICATOR,
)


@dataclass(frozen=True, slots=True, eq=False)
class WatchIndex:
    """A watchlist ready for questions: actors by key. Build it once with ``index_of``."""

    watchlist: Watchlist
    by_key: Mapping[str, tuple[KnownActor, ...]] = field(default_factory=dict)

    def candidates(self, keys: Iterable[str]) -> Iterator[KnownActor]:
        """Yield actors that are filed under one of the keys, each once and no more than ``MAX_CANDIDATES``."""
        seen: set[str] = set()
        for key in sorted(keys):
            for actor in self.by_key.get(key, ()):
                if actor.activity not in seen:
                    seen.add(actor.activity)
                    yield actor
                    if len(seen) >= MAX_CANDIDATES:
                        return


def index_of(watchlist: Watchlist) -> WatchIndex:
    """Return a watchlist ready for questions."""
    filed: dict[str, list[KnownActor]] = {}
    for actor in watchlist.actors:
        for key in actor_keys(actor, watchlist.own_domains):
            filed.setdefault(key, []).append(actor)
    return WatchIndex(watchlist, {key: tuple(actors) for key, actors in filed.items()})


def recognise(index: WatchIndex, traits: MessageTraits) -> Recognition | None:
    """Return what a message is recognised as, by the surest sign there is; ``None`` where it is nobody's."""
    own = index.watchlist.own_domains
    if not index.by_key:
        return None
    traits = _as_told(traits, own)
    found: list[tuple[tuple[int, bool, float, float, str], Recognition]] = []
    for actor in index.candidates(message_keys(traits)):
        recognition = recognised_as(actor, traits, own)
        if recognition is not None:
            order = _ORDER.index(recognition.known_by)
            found.append(
                ((order, not actor.confirmed, -actor.score, -actor.last_at, actor.activity), recognition)
            )
    return min(found, key=lambda each: each[0])[1] if found else None


def recognised_as(
    actor: KnownActor, traits: MessageTraits, own_domains: frozenset[str] = frozenset()
) -> Recognition | None:
    """Return by what a message is this actor's, the surest sign first; ``None`` where it is not."""
    traits = _as_told(traits, own_domains)
    told = _without_forged(actor, traits, own_domains)
    for sign in _SIGNS:
        recognition = sign(told, traits, own_domains)
        if recognition is not None:
            return recognition
    return None


def _as_told(traits: MessageTraits, own: frozenset[str]) -> MessageTraits:
    """Return what tells of an actor in a message.

    What claims to be from the organisation itself may be: its people forward, quote and answer everything. Then only
    that it came from somewhere else, or wants to be answered there, says something.
    """
    if not traits.author_domain or traits.author_domain not in own:
        return traits
    return MessageTraits(
        sender_domain=traits.sender_domain,
        reply_domain=traits.reply_domain,
        is_list=traits.is_list,
        is_proven=traits.is_proven,
    )


def _without_forged(actor: KnownActor, traits: MessageTraits, own: frozenset[str]) -> KnownActor:
    """Return an actor without what may be somebody else's name: domains that it only claimed, where mail is proven.

    Nor does it tell of an actor that mail names such a domain, but that answers go to one from elsewhere, as they did
    before. One that looks like the organisation's own is not innocent, and an analyst who confirmed the activity knew
    of all of them.
    """
    if not actor.claimed_domains or actor.confirmed:
        return actor
    if not traits.is_proven and actor.claimed_domains & {traits.author_domain, traits.sender_domain}:
        return actor
    forged = frozenset(each for each in actor.claimed_domains if not resembled_by(each, own))
    goes_elsewhere = not traits.is_list and traits.reply_domain not in (
        traits.author_domain,
        traits.sender_domain,
    )
    answered = actor.reply_domains & {traits.reply_domain} if goes_elsewhere else frozenset[str]()
    return replace(
        actor,
        sender_domains=actor.sender_domains - forged,
        reply_domains=(actor.reply_domains - forged) | answered,
    )


def _by_sender(actor: KnownActor, traits: MessageTraits, own: frozenset[str]) -> Recognition | None:
    for domain in (traits.author_domain, traits.sender_domain):
        if domain in actor.sender_domains and _tells(domain, own):
            came = "claimed to come" if domain in actor.claimed_domains else "came"
            words = f"mail {came} from {domain} before, to spy on its readers"
            return _known(actor, KnownBy.SENDER_DOMAIN, domain, words)
    return None


def _by_mailbox(actor: KnownActor, traits: MessageTraits, own: frozenset[str]) -> Recognition | None:
    del own
    if traits.mailbox and traits.mailbox in actor.mailboxes:
        words = "the very address wrote before, to spy on its readers"
        return _known(actor, KnownBy.MAILBOX, traits.mailbox, words)
    return None


def _by_reply(actor: KnownActor, traits: MessageTraits, own: frozenset[str]) -> Recognition | None:
    known = actor.reply_domains | actor.sender_domains
    if traits.reply_domain in known and _tells(traits.reply_domain, own):
        words = f"answers go to {traits.reply_domain}, which belongs to whoever spied on readers before"
        return _known(actor, KnownBy.REPLY_DOMAIN, traits.reply_domain, words)
    for domain in (traits.author_domain, traits.sender_domain):
        if domain in actor.reply_domains and _tells(domain, own):
            words = f"it comes from {domain}, where answers to mail went that spied on its readers"
            return _known(actor, KnownBy.REPLY_DOMAIN, domain, words)
    return None


def _by_infrastructure(actor: KnownActor, traits: MessageTraits, own: frozenset[str]) -> Recognition | None:
    written_from = {traits.author_domain, traits.sender_domain, traits.reply_domain}
    for domain in sorted((traits.domains | written_from) & actor.tracker_domains):
        if _tells(domain, own):
            words = f"it has to do with {domain}, from which readers were spied on before"
            return _known(actor, KnownBy.INFRASTRUCTURE, domain, words)
    for domain in sorted(traits.domains & (actor.sender_domains | actor.reply_domains)):
        if _tells(domain, own):
            words = f"it refers to {domain}, from which mail came before to spy on its readers"
            return _known(actor, KnownBy.INFRASTRUCTURE, domain, words)
    for host in sorted(traits.hosts & actor.tracker_hosts):
        # A host of its own below a domain that others use as well is still its own.
        if not is_shared_host(host) and host not in own:
            words = f"it refers to {host}, from which readers were spied on before"
            return _known(actor, KnownBy.INFRASTRUCTURE, host, words)
    return None


def _by_thread(actor: KnownActor, traits: MessageTraits, own: frozenset[str]) -> Recognition | None:
    del own
    if traits.is_list:
        return None  # everybody on a list answers to everybody
    for digest in sorted(traits.threads & actor.threads):
        words = "it goes on with a conversation that began with a message that spied on its readers"
        return _known(actor, KnownBy.THREAD, digest, words)
    return None


def _by_look(actor: KnownActor, traits: MessageTraits, own: frozenset[str]) -> Recognition | None:
    for domain in (traits.author_domain, traits.sender_domain, traits.reply_domain):
        if not _tells(domain, own):
            continue
        for known in sorted(actor.sender_domains | actor.reply_domains):
            if _tells(known, own) and (why := looks_like(domain, known)):
                words = f"{domain} looks like {known}, from which readers were spied on before: {why}"
                return _known(actor, KnownBy.LOOK_ALIKE, domain, words)
        for each in resembled_by(domain, own):
            if any(each in resembled_by(known, own) for known in actor.sender_domains - own):
                why = looks_like(domain, each)
                words = (
                    f"{domain} looks like {each}, which a sender imitated before to spy on its readers: {why}"
                )
                return _known(actor, KnownBy.LOOK_ALIKE, domain, words)
    return None


_SIGNS: Final[tuple[Callable[[KnownActor, MessageTraits, frozenset[str]], Recognition | None], ...]] = (
    _by_sender,
    _by_mailbox,
    _by_reply,
    _by_infrastructure,
    _by_thread,
    _by_look,
)


def _tells(domain: str, own: frozenset[str]) -> bool:
    return bool(domain) and domain not in own and not is_shared_domain(domain)


def _known(actor: KnownActor, known_by: KnownBy, value: str, words: str) -> Recognition:
    return Recognition(
        actor.activity, actor.actor, known_by, value, actor.first_at, words, confirmed=actor.confirmed
    )
