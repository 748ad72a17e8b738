"""Tables: what is kept and how it is found. Times are seconds since the epoch; identifiers of messages sort by time.

Everything that belongs to an organisation has its identifier in front of every key, so that no question can be asked
without one. Whatever changes here needs a migration (``migrations/versions``); a test compares the two.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class _Storable(sa.types.TypeDecorator[str]):
    """Text from anywhere in a form that every database takes: no NUL, no lone surrogates, not too long.

    What is asked for is cut alike, so that it is found again.
    """

    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        """Return what is stored or asked for instead of ``value``."""
        del dialect
        if value is None:
            return None
        if not value.isascii():
            value = value.encode("utf-8", "replace").decode("utf-8")
        length: int | None = self.impl_instance.length  # type: ignore[attr-defined]  # both have one
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}")[:length]


class Line(_Storable):
    """Text of so many characters at most."""

    cache_ok = True


class Prose(_Storable):
    """Text of any length."""

    impl = sa.Text
    cache_ok = True


Key = Line(64)
Name = Line(320)  # an address (RFC 5321 section 4.5.3.1)
# What is compared by its characters in every database, whatever the language of that: prefixes are ranges.
Sorted = Line(64).with_variant(Line(64, collation="C"), "postgresql")
Term = Line(340).with_variant(Line(340, collation="C"), "postgresql")
Time = sa.Double
Json = sa.JSON


def _organisation(*, primary: bool = True) -> sa.Column[str]:
    return sa.Column(
        "organisation",
        Key,
        sa.ForeignKey("organisations.identifier", ondelete="CASCADE"),
        primary_key=primary,
        nullable=False,
    )


organisations = sa.Table(
    "organisations",
    metadata,
    sa.Column("identifier", Key, primary_key=True),
    sa.Column("name", Line(200), nullable=False),
    sa.Column("language", Line(35), nullable=False),
    sa.Column("created_at", Time, nullable=False),
)
domains = sa.Table(
    "domains",
    metadata,
    sa.Column("domain", Line(255), primary_key=True),
    _organisation(primary=False),
)

# --- what was seen -----------------------------------------------------------------------------------------

messages = sa.Table(  # what lists show of a message; narrow, since lists read many
    "messages",
    metadata,
    _organisation(),
    sa.Column("identifier", Sorted, primary_key=True),
    sa.Column("at", Time, nullable=False),
    sa.Column("log_identifier", Line(200), nullable=False),
    sa.Column("direction", Line(16), nullable=False),
    sa.Column("author", Name, nullable=False),
    sa.Column("sender_domain", Line(255), nullable=False),
    sa.Column("subject", Line(1000), nullable=False),
    sa.Column("message_id", Line(1000), nullable=False),
    sa.Column("recipients", sa.Integer, nullable=False),
    sa.Column("risk", sa.SmallInteger, nullable=False),  # 0 none … 3 high
    sa.Column("total_references", sa.Integer, nullable=False),
    sa.Column("total_trackers", sa.Integer, nullable=False),
    sa.Column("changed", sa.Boolean, nullable=False),
    sa.Column("delivered", sa.Boolean, nullable=False),
    sa.Column("examined", sa.Boolean, nullable=False),
    sa.Column("monitored", sa.Boolean, nullable=False),
    sa.Column("operators", Json, nullable=False),  # names, for lists
    sa.Column("terms", Prose, nullable=False),  # all it is found by, one a line, each behind a line feed
    sa.Index(None, "organisation", "message_id"),
    sa.Index(None, "organisation", "log_identifier"),
)
message_records = sa.Table(  # everything of a message, read with the message alone
    "message_records",
    metadata,
    _organisation(),
    sa.Column("message", Sorted, primary_key=True),
    sa.Column("record", sa.LargeBinary, nullable=False),  # Observation.record as JSON, deflated (RFC 1950)
)
message_terms = sa.Table(  # by what messages are found (terms.py), newest last
    "message_terms",
    metadata,
    _organisation(),
    sa.Column("term", Term, primary_key=True),
    sa.Column("message", Sorted, primary_key=True),
    sqlite_with_rowid=False,
)
trackers = sa.Table(
    "trackers",
    metadata,
    _organisation(),
    sa.Column("identifier", Sorted, primary_key=True),
    sa.Column("host", Line(255), nullable=False),
    sa.Column("domain", Line(255), nullable=False),
    sa.Column("template", Prose, nullable=False),
    sa.Column("operator", Line(200), nullable=False),
    sa.Column("kind", Line(32), nullable=False),
    sa.Column("vector", Line(40), nullable=False),
    sa.Column("risk", sa.SmallInteger, nullable=False),
    sa.Column("first_at", Time, nullable=False),
    sa.Column("last_at", Time, nullable=False),
    sa.Column("messages", sa.Integer, nullable=False),
    sa.Column("references", sa.Integer, nullable=False),
    sa.Column("people", sa.Integer, nullable=False),
    sa.Column("example", Key, nullable=False),
    sa.Column("evidence", Prose, nullable=False),
    sa.Column("terms", Prose, nullable=False),  # as those of messages
    sa.Index(None, "organisation", "last_at", "identifier"),
    sa.Index(None, "organisation", "first_at", "identifier"),
    sa.Index(None, "organisation", "messages", "identifier"),
    sa.Index(None, "organisation", "people", "identifier"),
    sa.Index(None, "organisation", "operator", "last_at", "identifier"),
    sa.Index(None, "organisation", "domain", "last_at", "identifier"),
    sa.Index(None, "organisation", "kind", "last_at", "identifier"),
)
tracker_terms = sa.Table(
    "tracker_terms",
    metadata,
    _organisation(),
    sa.Column("term", Term, primary_key=True),
    sa.Column("tracker", Sorted, primary_key=True),
    sqlite_with_rowid=False,
)
met = sa.Table(  # whom a tracker or operator was aimed at: distinct people, counted once
    "met",
    metadata,
    _organisation(),
    sa.Column("what", Line(12), primary_key=True),  # "tracker", "operator"
    sa.Column("subject", Line(200), primary_key=True),
    sa.Column("recipient", Name, primary_key=True),
    sa.Column("first_at", Time, nullable=False),
    sa.Column("last_at", Time, nullable=False),
    sa.Column("last_day", sa.Integer, nullable=False),  # days since the epoch: the index changes once a day
    sa.Column("messages", sa.Integer, nullable=False),
    sa.Index(None, "organisation", "recipient"),
    sa.Index(None, "organisation", "last_day"),
    sqlite_with_rowid=False,
)
operators = sa.Table(
    "operators",
    metadata,
    _organisation(),
    sa.Column("name", Line(200), primary_key=True),
    sa.Column("first_at", Time, nullable=False),
    sa.Column("last_at", Time, nullable=False),
    sa.Column("messages", sa.Integer, nullable=False),
    sa.Column("references", sa.Integer, nullable=False),
    sa.Column("trackers", sa.Integer, nullable=False),
    sa.Column("people", sa.Integer, nullable=False),
    sa.Index(None, "organisation", "messages", "name"),
    sa.Index(None, "organisation", "last_at", "name"),
)
figures = sa.Table(
    "figures",
    metadata,
    _organisation(),
    sa.Column("hour", sa.Integer, primary_key=True),  # hours since the epoch
    *(
        sa.Column(name, sa.BigInteger, nullable=False, server_default="0")
        for name in (
            "messages", "with_remote", "with_trackers", "risky", "changed",
            "references", "trackers", "prevented", "unexamined", "bytes",
        )
    ),
    sqlite_with_rowid=False,
)  # fmt: skip
counts = sa.Table(  # how often something was met in 1, 4 and 16 days, so that 30 days are few rows
    "counts",
    metadata,
    _organisation(),
    sa.Column("dimension", Line(24), primary_key=True),
    sa.Column("span", sa.SmallInteger, primary_key=True),  # days
    sa.Column("day", sa.Integer, primary_key=True),  # its first one: days since the epoch, UTC
    sa.Column("value", Line(255), primary_key=True),
    sa.Column("messages", sa.BigInteger, nullable=False),
    sa.Column("references", sa.BigInteger, nullable=False),
    sa.Index(None, "organisation", "dimension", "span", "day", "messages"),
    sqlite_with_rowid=False,
)

# --- policy ------------------------------------------------------------------------------------------------

policies = sa.Table(
    "policies",
    metadata,
    _organisation(),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("document", Json, nullable=False),
    sa.Column("at", Time, nullable=False),
    sa.Column("by", Line(200), nullable=False),
    sa.Column("comment", Prose, nullable=False),
)
allowed = sa.Table(
    "allowed",
    metadata,
    _organisation(),
    sa.Column("identifier", Key, primary_key=True),
    sa.Column("author", Name, nullable=False),
    sa.Column("hosts", Json, nullable=False),
    sa.Column("owner", Line(200), nullable=False),
    sa.Column("reason", Prose, nullable=False),
    sa.Column("created_by", Line(200), nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("expires_at", Time, nullable=False),
    sa.Column("revoked_at", Time, nullable=False),
    sa.Column("revoked_by", Line(200), nullable=False),
    sa.Index(None, "organisation", "created_at", "identifier"),
)
stamps = sa.Table(  # numbers that go up whenever something changes that others keep a copy of
    "stamps",
    metadata,
    sa.Column("name", Line(40), primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
)

# --- accounts ----------------------------------------------------------------------------------------------

users = sa.Table(
    "users",
    metadata,
    sa.Column("identifier", Key, primary_key=True),
    sa.Column("name", Line(200), nullable=False),
    sa.Column("folded_name", Line(200), nullable=False, unique=True),
    sa.Column("home", Key, nullable=False),  # an organisation, or "*"
    sa.Column("role", Line(24), nullable=False),
    sa.Column("display_name", Line(200), nullable=False),
    sa.Column("password_hash", Line(400), nullable=False),
    sa.Column("totp_secret", Line(400), nullable=False),
    sa.Column("subject", Line(500), nullable=True, unique=True),
    sa.Column("language", Line(35), nullable=False),
    sa.Column("is_disabled", sa.Boolean, nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("last_sign_in_at", Time, nullable=False),
    sa.Column("password_changed_at", Time, nullable=False),
    sa.Index(None, "home", "folded_name"),
)
sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("digest", Key, primary_key=True),
    sa.Column("user", Key, sa.ForeignKey("users.identifier", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("organisation", Key, nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("seen_at", Time, nullable=False),
    sa.Column("expires_at", Time, nullable=False, index=True),
    sa.Column("is_complete", sa.Boolean, nullable=False),
    sa.Column("csrf", Line(64), nullable=False),
)
used_steps = sa.Table(
    "used_steps",
    metadata,
    sa.Column("user", Key, sa.ForeignKey("users.identifier", ondelete="CASCADE"), primary_key=True),
    sa.Column("step", sa.BigInteger, primary_key=True),
)
links = sa.Table(
    "links",
    metadata,
    sa.Column("digest", Key, primary_key=True),
    sa.Column("purpose", Line(24), nullable=False),
    sa.Column("user", Line(200), nullable=False),
    sa.Column("home", Key, nullable=False),
    sa.Column("role", Line(24), nullable=False),
    sa.Column("created_by", Line(200), nullable=False),
    sa.Column("expires_at", Time, nullable=False),
    sa.Column("used_at", Time, nullable=False),
)
failures = sa.Table(
    "failures",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("key", Line(300), nullable=False),
    sa.Column("at", Time, nullable=False),
    sa.Index(None, "key", "at"),
)
tokens = sa.Table(
    "tokens",
    metadata,
    _organisation(),
    sa.Column("identifier", Key, primary_key=True),
    sa.Column("name", Line(200), nullable=False),
    sa.Column("digest", Key, nullable=False, unique=True),
    sa.Column("hint", Line(24), nullable=False),
    sa.Column("scopes", Json, nullable=False),
    sa.Column("created_by", Line(200), nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("expires_at", Time, nullable=False),
    sa.Column("last_used_on", Line(10), nullable=False),
    sa.Column("everywhere", sa.Boolean, nullable=False),
    sa.Column("revoked_at", Time, nullable=False),
    sa.Index(None, "organisation", "created_at", "identifier"),
)
repeats = sa.Table(
    "repeats",
    metadata,
    sa.Column("actor", Key, primary_key=True),
    sa.Column("key", Line(255), primary_key=True),
    sa.Column("fingerprint", Key, nullable=False),
    sa.Column("at", Time, nullable=False, index=True),
    sa.Column("status", sa.Integer, nullable=False),  # 0 while it is under way
    sa.Column("body", Prose, nullable=False),
)

# --- what people did ---------------------------------------------------------------------------------------

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("organisation", Key, primary_key=True),  # outlives the organisation
    sa.Column("identifier", Key, primary_key=True),
    sa.Column("at", Time, nullable=False),
    sa.Column("actor_kind", Line(16), nullable=False),
    sa.Column("actor", Line(200), nullable=False),
    sa.Column("action", Line(60), nullable=False),
    sa.Column("subject", Line(500), nullable=False),
    sa.Column("details", Json, nullable=False),
    sa.Column("address", Line(64), nullable=False),
    sa.Index(None, "organisation", "action", "identifier"),
    sa.Index(None, "organisation", "actor", "identifier"),
    sa.Index(None, "organisation", "subject", "identifier"),
    sa.Index(None, "organisation", "at"),
)
feedback = sa.Table(
    "feedback",
    metadata,
    _organisation(),
    sa.Column("identifier", Key, primary_key=True),
    sa.Column("at", Time, nullable=False),
    sa.Column("kind", Line(16), nullable=False),
    sa.Column("message", Key, nullable=False),
    sa.Column("text", Prose, nullable=False),
    sa.Column("channel", Line(8), nullable=False),
    sa.Column("state", Line(12), nullable=False),
    sa.Column("closed_by", Line(200), nullable=False),
    sa.Column("closed_at", Time, nullable=False),
    sa.Column("note", Prose, nullable=False),
    sa.Index(None, "organisation", "state", "identifier"),
    sa.Index(None, "organisation", "at"),
    sa.Index(None, "organisation", "message"),
)
grants = sa.Table(
    "grants",
    metadata,
    _organisation(),
    sa.Column("identifier", Key, primary_key=True),
    sa.Column("message", Key, nullable=False),
    sa.Column("original", Line(200), nullable=False),
    sa.Column("reason", Prose, nullable=False),
    sa.Column("granted_by", Line(200), nullable=False),
    sa.Column("granted_at", Time, nullable=False),
    sa.Column("expires_at", Time, nullable=False),
    sa.Index(None, "organisation", "message"),
)

# --- what it means -----------------------------------------------------------------------------------------

unstudied = sa.Table(  # what studying has not looked at yet, in the order of time
    "unstudied",
    metadata,
    _organisation(),
    sa.Column("identifier", Sorted, primary_key=True),  # of a message, or of what else is studied
    sa.Column("kind", Line(12), nullable=False),  # "message", "decision", "facts", "revision"
    # What is studied again has the place that it had, and is studied before what is new, which has the last one.
    sa.Column("place", sa.BigInteger, nullable=False, server_default=str(2**53)),
    sa.Index(None, "organisation", "place", "identifier"),
    sqlite_with_rowid=False,
)
study_states = (
    sa.Table(  # whoever changes what studying found holds the row, so that one does after the other
        "study_states",
        metadata,
        _organisation(),
        sa.Column("number", sa.BigInteger, nullable=False),  # the last one of studies
        sa.Column(
            "generation", sa.BigInteger, nullable=False
        ),  # goes up where what was read must not be written back
        sa.Column("stamp", sa.BigInteger, nullable=False),  # goes up with every change
    )
)
studies = sa.Table(  # what was studied, in that order: done again in it, the same comes out
    "studies",
    metadata,
    _organisation(),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", Line(12), nullable=False),
    sa.Column("subject", Sorted, nullable=False),
    sa.Index(None, "organisation", "subject"),
    sqlite_with_rowid=False,
)
studied_facts = sa.Table(  # what was known of hosts when it was studied: it is found anew from time to time
    "studied_facts",
    metadata,
    _organisation(),
    sa.Column("identifier", Sorted, primary_key=True),
    sa.Column("at", Time, nullable=False),
    sa.Column("record", Json, nullable=False),
    sa.Index(None, "organisation", "at"),
)
revisions = (
    sa.Table(  # of which messages the judge thought otherwise once it knew more (core.intelligence.revisions)
        "revisions",
        metadata,
        _organisation(),
        sa.Column("identifier", Sorted, primary_key=True),
        sa.Column("message", Sorted, nullable=False),
        sa.Column("number", sa.SmallInteger, nullable=False),  # of the message's, from 1
        sa.Column("at", Time, nullable=False),
        sa.Column("record", Json, nullable=False),  # verdicts by the references' keys: "before" and "after"
        sa.Index(None, "organisation", "message", "number", unique=True),
    )
)
memos = sa.Table(  # what studying remembers (core.intelligence.book)
    "memos",
    metadata,
    _organisation(),
    sa.Column("key", Term, primary_key=True),
    sa.Column("memo", Prose, nullable=False),  # JSON
    sa.Column("touched_day", sa.Integer, nullable=False),  # days since the epoch, of the mail
    sa.Index(None, "organisation", "touched_day"),
    sqlite_with_rowid=False,
)
campaigns = sa.Table(
    "campaigns",
    metadata,
    _organisation(),
    sa.Column("identifier", Sorted, primary_key=True),
    sa.Column("sender_domain", Line(255), nullable=False),
    sa.Column("nature", Line(12), nullable=False),
    sa.Column("first_at", Time, nullable=False),
    sa.Column("last_at", Time, nullable=False),
    sa.Column("messages", sa.Integer, nullable=False),
    sa.Column("people", sa.Integer, nullable=False),
    sa.Column("record", Json, nullable=False),
    sa.Index(None, "organisation", "last_at", "identifier"),
    sa.Index(None, "organisation", "nature", "last_at", "identifier"),
    sa.Index(None, "organisation", "sender_domain", "last_at"),
)
activities = sa.Table(
    "activities",
    metadata,
    _organisation(),
    sa.Column("identifier", Sorted, primary_key=True),
    sa.Column("actor", Line(255), nullable=False),
    sa.Column("score", sa.Double, nullable=False),
    sa.Column("first_at", Time, nullable=False),
    sa.Column("last_at", Time, nullable=False),
    sa.Column("changed_at", Time, nullable=False),
    sa.Column("people", sa.Integer, nullable=False),
    sa.Column("probes", sa.Integer, nullable=False),
    sa.Column("merged_into", Sorted, nullable=False),
    sa.Column("record", Json, nullable=False),  # what studying found: worked out anew, it may change
    # What people decided, which it never touches.
    sa.Column("verdict", Line(12), nullable=False),
    sa.Column("decided_by", Line(200), nullable=False),
    sa.Column("decided_at", Time, nullable=False),
    sa.Column("acknowledged_by", Line(200), nullable=False),
    sa.Column("acknowledged_at", Time, nullable=False),
    sa.Column("closed_by", Line(200), nullable=False),
    sa.Column("closed_at", Time, nullable=False),
    # What others were told of it last ("": nothing yet): a digest and the state; and whether there may be more to tell.
    sa.Column("told", Line(64), nullable=False),
    sa.Column("told_state", Line(12), nullable=False),
    sa.Column("is_untold", sa.Boolean, nullable=False),
    sa.Index(None, "organisation", "score", "identifier"),
    sa.Index(None, "organisation", "last_at", "identifier"),
    sa.Index(None, "organisation", "changed_at", "identifier"),
    sa.Index(None, "organisation", "told_state", "last_at"),
    sa.Index(None, "organisation", "is_untold"),
)
activity_messages = sa.Table(
    "activity_messages",
    metadata,
    _organisation(),
    sa.Column("activity", Sorted, primary_key=True),
    sa.Column("message", Sorted, primary_key=True),
    sa.Index(None, "organisation", "message"),
    sqlite_with_rowid=False,
)
activity_people = sa.Table(
    "activity_people",
    metadata,
    _organisation(),
    sa.Column("recipient", Name, primary_key=True),
    sa.Column("activity", Sorted, primary_key=True),
    sa.Column("probes", sa.Integer, nullable=False),
    sa.Index(None, "organisation", "activity"),
    sqlite_with_rowid=False,
)
activity_notes = sa.Table(
    "activity_notes",
    metadata,
    _organisation(),
    sa.Column("identifier", Key, primary_key=True),
    sa.Column("activity", Sorted, nullable=False),
    sa.Column("at", Time, nullable=False),
    sa.Column("by", Line(200), nullable=False),
    sa.Column("text", Prose, nullable=False),
    sa.Index(None, "organisation", "activity", "identifier"),
)
decisions = sa.Table(  # analysts' verdicts, from which scoring learns
    "decisions",
    metadata,
    _organisation(),
    sa.Column("identifier", Sorted, primary_key=True),
    sa.Column("at", Time, nullable=False),
    sa.Column("activity", Sorted, nullable=False),
    sa.Column("verdict", Line(12), nullable=False),
    sa.Column("by", Line(200), nullable=False),
    sa.Index(None, "organisation", "activity"),
)
alerts = sa.Table(
    "alerts",
    metadata,
    _organisation(),
    sa.Column("identifier", Sorted, primary_key=True),
    sa.Column("at", Time, nullable=False),
    sa.Column("kind", Line(20), nullable=False),
    sa.Column("activity", Sorted, nullable=False),
    sa.Column("message", Sorted, nullable=False),
    sa.Column("record", Json, nullable=False),
    sa.Index(None, "organisation", "at", "identifier"),
    sa.Index(None, "organisation", "activity", "identifier"),
)
marked_people = sa.Table(  # people whom an organisation says something of
    "marked_people",
    metadata,
    _organisation(),
    sa.Column("person", Name, primary_key=True),
    sa.Column("function", Line(60), nullable=False),
    sa.Column("is_high_value", sa.Boolean, nullable=False),
    sa.Column("at", Time, nullable=False),
    sa.Column("by", Line(200), nullable=False),
)
infrastructure = sa.Table(  # what is known of what lies behind a host, or that it is wanted
    "infrastructure",
    metadata,
    _organisation(),
    sa.Column("host", Line(255), primary_key=True),  # as host_template gives it
    sa.Column("at", Time, nullable=False),  # when it was last met
    sa.Column("found_at", Time, nullable=False),  # 0: not known yet
    sa.Column("identifier", Sorted, nullable=False),  # as a subject of studying, "" while it is not known
    sa.Column("record", Json, nullable=False),
    sa.Index(None, "organisation", "at"),
    sa.Index(None, "organisation", "identifier"),
)

infrastructure_marks = sa.Table(  # by what hosts belong together
    "infrastructure_marks",
    metadata,
    _organisation(),
    sa.Column("role", Line(24), primary_key=True),
    sa.Column("value", Line(255), primary_key=True),
    sa.Column("host", Line(255), primary_key=True),
    sa.Index(None, "organisation", "host"),
    sqlite_with_rowid=False,
)

# --- what others are told, and what they tell --------------------------------------------------------------

outbox_numbers = (
    sa.Table(  # the last number that was given; whoever takes one holds the row, so commits keep the order
        "outbox_numbers",
        metadata,
        _organisation(),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
)
outbox = sa.Table(
    "outbox",
    metadata,
    _organisation(),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("identifier", Sorted, nullable=False),
    sa.Column("at", Time, nullable=False),
    sa.Column("kind", Line(24), nullable=False),
    sa.Column("subject", Sorted, nullable=False),  # the activity, alert or tracker
    sa.Column("record", Json, nullable=False),  # as it was then, before anything is veiled
    sa.Index(None, "organisation", "at"),
    sa.Index(None, "organisation", "subject"),
)
destinations = sa.Table(
    "destinations",
    metadata,
    _organisation(),
    sa.Column("identifier", Key, primary_key=True),
    sa.Column("name", Line(200), nullable=False),
    sa.Column("kind", Line(24), nullable=False),
    sa.Column("address", Line(2000), nullable=False),
    sa.Column("options", Json, nullable=False),
    sa.Column("secret", Prose, nullable=False),  # encrypted
    sa.Column("is_enabled", sa.Boolean, nullable=False),
    sa.Column("created_by", Line(200), nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("changed_at", Time, nullable=False),
    # How far it has come.
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_try_at", Time, nullable=False),
    sa.Column("delivered_at", Time, nullable=False),
    sa.Column("problem", Prose, nullable=False),
    sa.Column("delivered", sa.BigInteger, nullable=False),  # how many events
    sa.Column("missed", sa.BigInteger, nullable=False),  # how many were gone before they could be delivered
    sa.Column("missed_at", Time, nullable=False),  # when that was last
)
dead_letters = sa.Table(  # what a destination did not take, with the reason
    "dead_letters",
    metadata,
    _organisation(),
    sa.Column("destination", Key, primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", Time, nullable=False),
    sa.Column("died_at", Time, nullable=False),
    sa.Column("kind", Line(24), nullable=False),
    sa.Column("subject", Sorted, nullable=False),
    sa.Column("identifier", Sorted, nullable=False),
    sa.Column("record", Json, nullable=False),
    sa.Column("problem", Prose, nullable=False),
    sa.Column("retry_at", Time, nullable=False),  # since when it is to be tried again, 0: it is not
    sa.Index(None, "organisation", "died_at"),
    sa.Index(None, "organisation", "subject"),
)
leases = sa.Table(  # who does what only one process may do at a time
    "leases",
    metadata,
    sa.Column("name", Line(120), primary_key=True),
    sa.Column("holder", Key, nullable=False),
    sa.Column("until", Time, nullable=False),
)
shared_objects = sa.Table(  # STIX objects, in the order in which collections got them
    "shared_objects",
    metadata,
    _organisation(),
    sa.Column("collection", Key, primary_key=True),
    sa.Column("identifier", Line(100), primary_key=True),
    sa.Column("version", Line(32), primary_key=True),
    sa.Column("added_at", sa.BigInteger, nullable=False),  # microseconds since the epoch, no two alike
    sa.Column("kind", Line(40), nullable=False),
    sa.Column("object", Json, nullable=False),
    sa.Column("subject", Sorted, nullable=False),  # the activity or tracker that it was made of
    sa.Index(None, "organisation", "collection", "added_at"),
    sa.Index(None, "organisation", "subject"),
)
feeds = sa.Table(  # whose indicators are taken in
    "feeds",
    metadata,
    _organisation(),
    sa.Column("identifier", Key, primary_key=True),
    sa.Column("name", Line(200), nullable=False),
    sa.Column("kind", Line(24), nullable=False),
    sa.Column("address", Line(2000), nullable=False),
    sa.Column("options", Json, nullable=False),
    sa.Column("secret", Prose, nullable=False),  # encrypted
    sa.Column("is_enabled", sa.Boolean, nullable=False),
    sa.Column("created_by", Line(200), nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("position", Prose, nullable=False),  # where the next reading begins
    sa.Column("read_at", Time, nullable=False),
    sa.Column("next_read_at", Time, nullable=False),
    sa.Column("problem", Prose, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),  # since a reading last worked
    sa.Column("figures", Json, nullable=False),  # of the last reading
)
indicators = sa.Table(
    "indicators",
    metadata,
    _organisation(),
    sa.Column("feed", Key, primary_key=True),
    sa.Column("identifier", Line(100), primary_key=True),
    sa.Column("kind", Line(12), primary_key=True),  # "domain", "host", "url"
    sa.Column("value", Term, primary_key=True),
    sa.Column("confidence", sa.Double, nullable=False),
    sa.Column("valid_from", Time, nullable=False),
    sa.Column("valid_until", Time, nullable=False),  # 0: without end
    sa.Column("record", Json, nullable=False),  # name, source, marking
    sa.Index(None, "organisation", "kind", "value"),
)
