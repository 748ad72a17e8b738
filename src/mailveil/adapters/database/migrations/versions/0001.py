"""Make everything.

Revision 0001, after nothing.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Do it."""
    op.create_table(
        "audit",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("identifier", sa.String(64), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("actor_kind", sa.String(16), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("action", sa.String(60), nullable=False),
        sa.Column("subject", sa.String(500), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("organisation", "identifier", name=op.f("pk_audit")),
    )
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_audit_organisation_action_identifier"),
            ["organisation", "action", "identifier"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_audit_organisation_actor_identifier"),
            ["organisation", "actor", "identifier"],
            unique=False,
        )
        batch_op.create_index(batch_op.f("ix_audit_organisation_at"), ["organisation", "at"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_audit_organisation_subject_identifier"),
            ["organisation", "subject", "identifier"],
            unique=False,
        )

    op.create_table(
        "failures",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("key", sa.String(300), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_failures")),
    )
    with op.batch_alter_table("failures", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_failures_key_at"), ["key", "at"], unique=False)

    op.create_table(
        "links",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("purpose", sa.String(24), nullable=False),
        sa.Column("user", sa.String(200), nullable=False),
        sa.Column("home", sa.String(64), nullable=False),
        sa.Column("role", sa.String(24), nullable=False),
        sa.Column("created_by", sa.String(200), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("used_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_links")),
    )
    op.create_table(
        "organisations",
        sa.Column("identifier", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("language", sa.String(35), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("identifier", name=op.f("pk_organisations")),
    )
    op.create_table(
        "repeats",
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("actor", "key", name=op.f("pk_repeats")),
    )
    with op.batch_alter_table("repeats", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_repeats_at"), ["at"], unique=False)

    op.create_table(
        "stamps",
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_stamps")),
    )
    op.create_table(
        "users",
        sa.Column("identifier", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("folded_name", sa.String(200), nullable=False),
        sa.Column("home", sa.String(64), nullable=False),
        sa.Column("role", sa.String(24), nullable=False),
        sa.Column("display_name", sa.String(200), nullable=False),
        sa.Column("password_hash", sa.String(400), nullable=False),
        sa.Column("totp_secret", sa.String(400), nullable=False),
        sa.Column("subject", sa.String(500), nullable=True),
        sa.Column("language", sa.String(35), nullable=False),
        sa.Column("is_disabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("last_sign_in_at", sa.Double(), nullable=False),
        sa.Column("password_changed_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("identifier", name=op.f("pk_users")),
        sa.UniqueConstraint("folded_name", name=op.f("uq_users_folded_name")),
        sa.UniqueConstraint("subject", name=op.f("uq_users_subject")),
    )
    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_users_home_folded_name"), ["home", "folded_name"], unique=False)

    op.create_table(
        "allowed",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("identifier", sa.String(64), nullable=False),
        sa.Column("author", sa.String(320), nullable=False),
        sa.Column("hosts", sa.JSON(), nullable=False),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_by", sa.String(200), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("revoked_at", sa.Double(), nullable=False),
        sa.Column("revoked_by", sa.String(200), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_allowed_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organisation", "identifier", name=op.f("pk_allowed")),
    )
    with op.batch_alter_table("allowed", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_allowed_organisation_created_at_identifier"),
            ["organisation", "created_at", "identifier"],
            unique=False,
        )

    op.create_table(
        "counts",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("dimension", sa.String(24), nullable=False),
        sa.Column("span", sa.SmallInteger(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("value", sa.String(255), nullable=False),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.Column("references", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_counts_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organisation", "dimension", "span", "day", "value", name=op.f("pk_counts")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("counts", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_counts_organisation_dimension_span_day_messages"),
            ["organisation", "dimension", "span", "day", "messages"],
            unique=False,
        )

    op.create_table(
        "domains",
        sa.Column("domain", sa.String(255), nullable=False),
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_domains_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("domain", name=op.f("pk_domains")),
    )
    op.create_table(
        "feedback",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("identifier", sa.String(64), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("message", sa.String(64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("channel", sa.String(8), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("closed_by", sa.String(200), nullable=False),
        sa.Column("closed_at", sa.Double(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_feedback_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organisation", "identifier", name=op.f("pk_feedback")),
    )
    with op.batch_alter_table("feedback", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_feedback_organisation_at"), ["organisation", "at"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_feedback_organisation_message"), ["organisation", "message"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_feedback_organisation_state_identifier"),
            ["organisation", "state", "identifier"],
            unique=False,
        )

    op.create_table(
        "figures",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("hour", sa.Integer(), nullable=False),
        sa.Column("messages", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("with_remote", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("with_trackers", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("risky", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("changed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("references", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("trackers", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("prevented", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unexamined", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_figures_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organisation", "hour", name=op.f("pk_figures")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "grants",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("identifier", sa.String(64), nullable=False),
        sa.Column("message", sa.String(64), nullable=False),
        sa.Column("original", sa.String(200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("granted_by", sa.String(200), nullable=False),
        sa.Column("granted_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_grants_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organisation", "identifier", name=op.f("pk_grants")),
    )
    with op.batch_alter_table("grants", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_grants_organisation_message"), ["organisation", "message"], unique=False
        )

    op.create_table(
        "message_records",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column(
            "message", sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_message_records_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organisation", "message", name=op.f("pk_message_records")),
    )
    op.create_table(
        "message_terms",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column(
            "term", sa.String(340).with_variant(sa.String(340, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "message", sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_message_terms_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organisation", "term", "message", name=op.f("pk_message_terms")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "messages",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column(
            "identifier",
            sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("log_identifier", sa.String(200), nullable=False),
        sa.Column("direction", sa.String(16), nullable=False),
        sa.Column("author", sa.String(320), nullable=False),
        sa.Column("sender_domain", sa.String(255), nullable=False),
        sa.Column("subject", sa.String(1000), nullable=False),
        sa.Column("message_id", sa.String(1000), nullable=False),
        sa.Column("recipients", sa.Integer(), nullable=False),
        sa.Column("risk", sa.SmallInteger(), nullable=False),
        sa.Column("total_references", sa.Integer(), nullable=False),
        sa.Column("total_trackers", sa.Integer(), nullable=False),
        sa.Column("changed", sa.Boolean(), nullable=False),
        sa.Column("delivered", sa.Boolean(), nullable=False),
        sa.Column("examined", sa.Boolean(), nullable=False),
        sa.Column("monitored", sa.Boolean(), nullable=False),
        sa.Column("operators", sa.JSON(), nullable=False),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_messages_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organisation", "identifier", name=op.f("pk_messages")),
    )
    with op.batch_alter_table("messages", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_messages_organisation_log_identifier"),
            ["organisation", "log_identifier"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_messages_organisation_message_id"), ["organisation", "message_id"], unique=False
        )

    op.create_table(
        "met",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("what", sa.String(12), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("recipient", sa.String(320), nullable=False),
        sa.Column("first_at", sa.Double(), nullable=False),
        sa.Column("last_at", sa.Double(), nullable=False),
        sa.Column("last_day", sa.Integer(), nullable=False),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_met_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organisation", "what", "subject", "recipient", name=op.f("pk_met")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("met", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_met_organisation_last_day"), ["organisation", "last_day"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_met_organisation_recipient"), ["organisation", "recipient"], unique=False
        )

    op.create_table(
        "operators",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("first_at", sa.Double(), nullable=False),
        sa.Column("last_at", sa.Double(), nullable=False),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.Column("references", sa.Integer(), nullable=False),
        sa.Column("trackers", sa.Integer(), nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_operators_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organisation", "name", name=op.f("pk_operators")),
    )
    with op.batch_alter_table("operators", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_operators_organisation_last_at_name"),
            ["organisation", "last_at", "name"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_operators_organisation_messages_name"),
            ["organisation", "messages", "name"],
            unique=False,
        )

    op.create_table(
        "policies",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_policies_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organisation", "version", name=op.f("pk_policies")),
    )
    op.create_table(
        "sessions",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("user", sa.String(64), nullable=False),
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("is_complete", sa.Boolean(), nullable=False),
        sa.Column("csrf", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(
            ["user"], ["users.identifier"], name=op.f("fk_sessions_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_sessions")),
    )
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_sessions_expires_at"), ["expires_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_sessions_user"), ["user"], unique=False)

    op.create_table(
        "tokens",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("identifier", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("hint", sa.String(24), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_by", sa.String(200), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("last_used_on", sa.String(10), nullable=False),
        sa.Column("everywhere", sa.Boolean(), nullable=False),
        sa.Column("revoked_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_tokens_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organisation", "identifier", name=op.f("pk_tokens")),
        sa.UniqueConstraint("digest", name=op.f("uq_tokens_digest")),
    )
    with op.batch_alter_table("tokens", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_tokens_organisation_created_at_identifier"),
            ["organisation", "created_at", "identifier"],
            unique=False,
        )

    op.create_table(
        "tracker_terms",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column(
            "term", sa.String(340).with_variant(sa.String(340, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "tracker", sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_tracker_terms_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organisation", "term", "tracker", name=op.f("pk_tracker_terms")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "trackers",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column(
            "identifier",
            sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("domain", sa.String(255), nullable=False),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("operator", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("vector", sa.String(40), nullable=False),
        sa.Column("risk", sa.SmallInteger(), nullable=False),
        sa.Column("first_at", sa.Double(), nullable=False),
        sa.Column("last_at", sa.Double(), nullable=False),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.Column("references", sa.Integer(), nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.Column("example", sa.String(64), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_trackers_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organisation", "identifier", name=op.f("pk_trackers")),
    )
    with op.batch_alter_table("trackers", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_trackers_organisation_domain_last_at_identifier"),
            ["organisation", "domain", "last_at", "identifier"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_trackers_organisation_first_at_identifier"),
            ["organisation", "first_at", "identifier"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_trackers_organisation_kind_last_at_identifier"),
            ["organisation", "kind", "last_at", "identifier"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_trackers_organisation_last_at_identifier"),
            ["organisation", "last_at", "identifier"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_trackers_organisation_messages_identifier"),
            ["organisation", "messages", "identifier"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_trackers_organisation_operator_last_at_identifier"),
            ["organisation", "operator", "last_at", "identifier"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_trackers_organisation_people_identifier"),
            ["organisation", "people", "identifier"],
            unique=False,
        )

    op.create_table(
        "used_steps",
        sa.Column("user", sa.String(64), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user"], ["users.identifier"], name=op.f("fk_used_steps_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user", "step", name=op.f("pk_used_steps")),
    )
