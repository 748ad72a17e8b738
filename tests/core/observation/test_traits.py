"""Traits: a message says the same of itself when it comes and from its record, and says it in digests alone."""

import pytest

from mailveil.core.message import parse
from mailveil.core.observation import Passed, PeopleKept, RecordSettings, make_observations
from mailveil.core.observation.facts import (
    DIGESTS,
    MAX_FIELD,
    MAX_THREADS,
    MessageFacts,
    _header_of,
    author_of,
)
from mailveil.core.observation.traits import traits_of, traits_of_facts
from mailveil.core.observation.types import ObservedReference
from mailveil.core.policy import Envelope
from mailveil.core.recognition.keys import mailbox_digest, thread_digest

LETTER = (
    b"From: Jane <Jane.Doe@gmail.com>\r\nReply-To: answers@mx.quick-answers.net\r\n"
    b"Message-ID: <own.anna.kettler@fabrikam.com>\r\nIn-Reply-To: <reply@contoso.com>\r\n"
    b"References: <first@fabrikam.com>\r\n <middle@contoso.com> <reply@contoso.com>\r\n\r\nHello\r\n"
)
REFERENCE = ObservedReference(
    "https://t.pixelhost.org/a.gif",
    "https://t.pixelhost.org/*.gif",
    "t.pixelhost.org",
    "pixelhost.org",
    "img-src",
    "tracker",
    "copy",
)


def facts_of(raw: bytes) -> MessageFacts:
    root = parse.parse_message(raw).root
    return MessageFacts(author=author_of(root), header=_header_of(root))


@pytest.mark.parametrize("people", list(PeopleKept))
def test_a_record_has_the_traits_of_the_message(people):
    facts = facts_of(LETTER)
    passed = Passed(
        1.0,
        "id",
        Envelope("bounce@mail.fabrikam.com", ("anna.kettler@contoso.com",)),
        1,
        found=(REFERENCE,),
        facts=facts,
    )
    settings = RecordSettings(recipients=people, key=b"k" * 32)
    record = make_observations(passed, lambda _address: "default", settings)[0]
    traits = traits_of(record)
    assert traits == traits_of_facts(facts, "bounce@mail.fabrikam.com", (REFERENCE,))
    assert (traits.author_domain, traits.sender_domain, traits.reply_domain) == (
        "gmail.com",
        "fabrikam.com",
        "quick-answers.net",
    )
    assert traits.domains == {"pixelhost.org"}
    assert traits.hosts == {"t.pixelhost.org"}
    assert traits.mailbox == mailbox_digest("janedoe@gmail.com")
    assert traits.own_message == thread_digest("<own.anna.kettler@fabrikam.com>")
    assert traits.threads == {
        thread_digest(f"<{each}>")
        for each in ("first@fabrikam.com", "middle@contoso.com", "reply@contoso.com")
    }
    assert not traits.is_list
    assert not any("kettler" in record.header[name] for name in DIGESTS)


def test_a_long_conversation_keeps_its_beginning_and_its_end():
    names = [f"<{number}@contoso.com>" for number in range(400)]
    header = facts_of(f"References: {' '.join(names)}\r\n\r\n".encode()).header
    kept = header["threads"].split()
    assert len(kept) == MAX_THREADS
    assert len(header["threads"]) <= MAX_FIELD
    assert thread_digest(names[0]) in kept
    assert thread_digest(names[-1]) in kept


def test_a_letter_without_any_of_it():
    facts = facts_of(b"From: anna@contoso.com\r\n\r\nHello\r\n")
    assert not DIGESTS & set(facts.header)
    assert traits_of_facts(facts, "", ()).author_domain == "contoso.com"


def test_a_list_is_one():
    assert traits_of_facts(facts_of(b"List-Id: <all.lists.example>\r\n\r\n"), "", ()).is_list


@pytest.mark.parametrize(
    "written",
    [
        "Boss <x@fabrikam.com> (anna@contoso.com)",
        f"<x@fabrikam.com> ({'a ' * 900})",
        "x@Fabrikam.COM.",
        '"anna@contoso.com" <x@mail.fabrikam.com>',
        '"a b"@fabrikam.com',
        "x @ fabrikam.com",
    ],
)
def test_nobody_hides_behind_how_an_address_is_written(written):
    facts = facts_of(f"From: {written}\r\nReply-To: {written}\r\n\r\n".encode())
    traits = traits_of_facts(facts, "", ())
    assert (traits.author_domain, traits.reply_domain) == ("fabrikam.com", "fabrikam.com")


def test_a_name_is_the_same_in_whatever_letters_it_is_written():
    plain = traits_of_facts(facts_of("From: x@fábrikam.com\r\n\r\n".encode()), "", ())
    coded = traits_of_facts(facts_of(b"From: x@xn--fbrikam-hwa.com\r\n\r\n"), "", ())
    assert plain.author_domain == coded.author_domain == "xn--fbrikam-hwa.com"
