"""Reconnaissance: what observations mean, and sharing it.

Revision 0002, after 0001.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Do it."""
    op.create_table(
        "leases",
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("holder", sa.String(64), nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "activities",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column(
            "identifier",
            sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("actor", sa.String(255), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("first_at", sa.Double(), nullable=False),
        sa.Column("last_at", sa.Double(), nullable=False),
        sa.Column("changed_at", sa.Double(), nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.Column("probes", sa.Integer(), nullable=False),
        sa.Column(
            "merged_into",
            sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("record", sa.JSON(), nullable=False),
        sa.Column("verdict", sa.String(12), nullable=False),
        sa.Column("decided_by", sa.String(200), nullable=False),
        sa.Column("decided_at", sa.Double(), nullable=False),
        sa.Column("acknowledged_by", sa.String(200), nullable=False),
        sa.Column("acknowledged_at", sa.Double(), nullable=False),
        sa.Column("closed_by", sa.String(200), nullable=False),
        sa.Column("closed_at", sa.Double(), nullable=False),
        sa.Column("told", sa.String(64), nullable=False),
        sa.Column("told_state", sa.String(12), nullable=False),
        sa.Column("is_untold", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_activities_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organisation", "identifier", name=op.f("pk_activities")),
    )
    with op.batch_alter_table("activities", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_activities_organisation_changed_at_identifier"),
            ["organisation", "changed_at", "identifier"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_activities_organisation_is_untold"), ["organisation", "is_untold"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_activities_organisation_last_at_identifier"),
            ["organisation", "last_at", "identifier"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_activities_organisation_score_identifier"),
            ["organisation", "score", "identifier"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_activities_organisation_told_state_last_at"),
            ["organisation", "told_state", "last_at"],
            unique=False,
        )

    op.create_table(
        "activity_messages",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column(
            "activity", sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "message", sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_activity_messages_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organisation", "activity", "message", name=op.f("pk_activity_messages")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("activity_messages", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_activity_messages_organisation_message"), ["organisation", "message"], unique=False
        )

    op.create_table(
        "activity_notes",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("identifier", sa.String(64), nullable=False),
        sa.Column(
            "activity", sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_activity_notes_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organisation", "identifier", name=op.f("pk_activity_notes")),
    )
    with op.batch_alter_table("activity_notes", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_activity_notes_organisation_activity_identifier"),
            ["organisation", "activity", "identifier"],
            unique=False,
        )

    op.create_table(
        "activity_people",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("recipient", sa.String(320), nullable=False),
        sa.Column(
            "activity", sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("probes", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_activity_people_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organisation", "recipient", "activity", name=op.f("pk_activity_people")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("activity_people", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_activity_people_organisation_activity"), ["organisation", "activity"], unique=False
        )

    op.create_table(
        "alerts",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column(
            "identifier",
            sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column(
            "activity", sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "message", sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("record", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_alerts_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organisation", "identifier", name=op.f("pk_alerts")),
    )
    with op.batch_alter_table("alerts", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_alerts_organisation_activity_identifier"),
            ["organisation", "activity", "identifier"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_alerts_organisation_at_identifier"),
            ["organisation", "at", "identifier"],
            unique=False,
        )

    op.create_table(
        "campaigns",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column(
            "identifier",
            sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("sender_domain", sa.String(255), nullable=False),
        sa.Column("nature", sa.String(12), nullable=False),
        sa.Column("first_at", sa.Double(), nullable=False),
        sa.Column("last_at", sa.Double(), nullable=False),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.Column("record", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_campaigns_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organisation", "identifier", name=op.f("pk_campaigns")),
    )
    with op.batch_alter_table("campaigns", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_campaigns_organisation_last_at_identifier"),
            ["organisation", "last_at", "identifier"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_campaigns_organisation_nature_last_at_identifier"),
            ["organisation", "nature", "last_at", "identifier"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_campaigns_organisation_sender_domain_last_at"),
            ["organisation", "sender_domain", "last_at"],
            unique=False,
        )

    op.create_table(
        "dead_letters",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("destination", sa.String(64), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("died_at", sa.Double(), nullable=False),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column(
            "subject", sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "identifier",
            sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("record", sa.JSON(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("retry_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_dead_letters_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organisation", "destination", "number", name=op.f("pk_dead_letters")),
    )
    with op.batch_alter_table("dead_letters", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_dead_letters_organisation_died_at"), ["organisation", "died_at"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_dead_letters_organisation_subject"), ["organisation", "subject"], unique=False
        )

    op.create_table(
        "decisions",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column(
            "identifier",
            sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column(
            "activity", sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("verdict", sa.String(12), nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_decisions_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organisation", "identifier", name=op.f("pk_decisions")),
    )
    with op.batch_alter_table("decisions", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_decisions_organisation_activity"), ["organisation", "activity"], unique=False
        )

    op.create_table(
        "destinations",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("identifier", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("address", sa.String(2000), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("created_by", sa.String(200), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("changed_at", sa.Double(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_try_at", sa.Double(), nullable=False),
        sa.Column("delivered_at", sa.Double(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("delivered", sa.BigInteger(), nullable=False),
        sa.Column("missed", sa.BigInteger(), nullable=False),
        sa.Column("missed_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_destinations_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organisation", "identifier", name=op.f("pk_destinations")),
    )
    op.create_table(
        "feeds",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("identifier", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("address", sa.String(2000), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("created_by", sa.String(200), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("position", sa.Text(), nullable=False),
        sa.Column("read_at", sa.Double(), nullable=False),
        sa.Column("next_read_at", sa.Double(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("figures", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_feeds_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organisation", "identifier", name=op.f("pk_feeds")),
    )
    op.create_table(
        "indicators",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("feed", sa.String(64), nullable=False),
        sa.Column("identifier", sa.String(100), nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column(
            "value", sa.String(340).with_variant(sa.String(340, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("valid_from", sa.Double(), nullable=False),
        sa.Column("valid_until", sa.Double(), nullable=False),
        sa.Column("record", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_indicators_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "organisation", "feed", "identifier", "kind", "value", name=op.f("pk_indicators")
        ),
    )
    with op.batch_alter_table("indicators", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_indicators_organisation_kind_value"),
            ["organisation", "kind", "value"],
            unique=False,
        )

    op.create_table(
        "infrastructure",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("found_at", sa.Double(), nullable=False),
        sa.Column(
            "identifier",
            sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("record", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_infrastructure_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organisation", "host", name=op.f("pk_infrastructure")),
    )
    with op.batch_alter_table("infrastructure", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_infrastructure_organisation_at"), ["organisation", "at"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_infrastructure_organisation_identifier"),
            ["organisation", "identifier"],
            unique=False,
        )

    op.create_table(
        "infrastructure_marks",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("role", sa.String(24), nullable=False),
        sa.Column("value", sa.String(255), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_infrastructure_marks_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "organisation", "role", "value", "host", name=op.f("pk_infrastructure_marks")
        ),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("infrastructure_marks", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_infrastructure_marks_organisation_host"), ["organisation", "host"], unique=False
        )

    op.create_table(
        "marked_people",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("person", sa.String(320), nullable=False),
        sa.Column("function", sa.String(60), nullable=False),
        sa.Column("is_high_value", sa.Boolean(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_marked_people_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organisation", "person", name=op.f("pk_marked_people")),
    )
    op.create_table(
        "memos",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column(
            "key", sa.String(340).with_variant(sa.String(340, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("memo", sa.Text(), nullable=False),
        sa.Column("touched_day", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_memos_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organisation", "key", name=op.f("pk_memos")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("memos", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_memos_organisation_touched_day"), ["organisation", "touched_day"], unique=False
        )

    op.create_table(
        "outbox",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "identifier",
            sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column(
            "subject", sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("record", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_outbox_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organisation", "number", name=op.f("pk_outbox")),
    )
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_outbox_organisation_at"), ["organisation", "at"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_outbox_organisation_subject"), ["organisation", "subject"], unique=False
        )

    op.create_table(
        "outbox_numbers",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_outbox_numbers_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organisation", name=op.f("pk_outbox_numbers")),
    )
    op.create_table(
        "shared_objects",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("collection", sa.String(64), nullable=False),
        sa.Column("identifier", sa.String(100), nullable=False),
        sa.Column("version", sa.String(32), nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("object", sa.JSON(), nullable=False),
        sa.Column(
            "subject", sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_shared_objects_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "organisation", "collection", "identifier", "version", name=op.f("pk_shared_objects")
        ),
    )
    with op.batch_alter_table("shared_objects", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_shared_objects_organisation_collection_added_at"),
            ["organisation", "collection", "added_at"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_shared_objects_organisation_subject"), ["organisation", "subject"], unique=False
        )

    op.create_table(
        "revisions",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column(
            "identifier",
            sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "message", sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("number", sa.SmallInteger(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("record", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_revisions_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organisation", "identifier", name=op.f("pk_revisions")),
    )
    with op.batch_alter_table("revisions", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_revisions_organisation_message_number"),
            ["organisation", "message", "number"],
            unique=True,
        )

    op.create_table(
        "studied_facts",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column(
            "identifier",
            sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("record", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_studied_facts_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organisation", "identifier", name=op.f("pk_studied_facts")),
    )
    with op.batch_alter_table("studied_facts", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_studied_facts_organisation_at"), ["organisation", "at"], unique=False
        )

    op.create_table(
        "studies",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column(
            "subject", sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_studies_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organisation", "number", name=op.f("pk_studies")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("studies", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_studies_organisation_subject"), ["organisation", "subject"], unique=False
        )

    op.create_table(
        "study_states",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("stamp", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_study_states_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organisation", name=op.f("pk_study_states")),
    )
    op.create_table(
        "unstudied",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column(
            "identifier",
            sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("place", sa.BigInteger(), server_default="9007199254740992", nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation"],
            ["organisations.identifier"],
            name=op.f("fk_unstudied_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organisation", "identifier", name=op.f("pk_unstudied")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("unstudied", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_unstudied_organisation_place_identifier"),
            ["organisation", "place", "identifier"],
            unique=False,
        )
    # By hand: what is kept already is studied, by time and before what is new, as if it were studied again (a place
    # below the last one), so that nobody is told of months of mail as of news.
    op.execute(
        "INSERT INTO unstudied (organisation, identifier, kind, place) "
        "SELECT organisation, identifier, 'message', 1 FROM messages"
    )
