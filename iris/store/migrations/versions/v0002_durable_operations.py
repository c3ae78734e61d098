"""Operations, tombstones, holds, retention policy and notifications.

Revision 0002. Forward only.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("cameras") as batch:
        batch.add_column(
            sa.Column(
                "deleting_us",
                sa.BigInteger(),
                nullable=True,
                comment="since when it is being deleted: stopped, in no list",
            )
        )
        batch.add_column(
            sa.Column(
                "purging_us",
                sa.BigInteger(),
                nullable=True,
                comment="since when footage of its old address goes: stopped",
            )
        )
        batch.add_column(
            sa.Column(
                "address_count",
                sa.Integer(),
                nullable=False,
                server_default="1",
                comment="rises with each changed address",
            )
        )
        batch.create_check_constraint(op.f("ck_cameras_address_count"), "address_count >= 1")
    op.add_column(
        "events",
        sa.Column("hold_us", sa.BigInteger(), nullable=True, comment="since when it must be kept; null: no hold"),
    )
    op.add_column(
        "events",
        sa.Column("hold_note", sa.String(length=500), nullable=True, comment="why, in the words of who set it"),
    )
    held = sa.text("hold_us IS NOT NULL")
    op.create_index(
        "ix_events_held_page", "events", ["started_us", "event_id"], sqlite_where=held, postgresql_where=held
    )
    _operations()
    _tombstones()
    op.create_table(
        "retention_policy",
        sa.Column("one", sa.Integer(), nullable=False, comment="always 1: this table has one row"),
        sa.Column("policy", sa.Text(), nullable=False, comment="JSON: what a person set; absent: the settings hold"),
        sa.Column("updated_us", sa.BigInteger(), nullable=False, comment="wall time, us UTC"),
        sa.CheckConstraint("one = 1", name=op.f("ck_retention_policy_one_row")),
        sa.PrimaryKeyConstraint("one", name=op.f("pk_retention_policy")),
    )
    _notifications()


def _operations() -> None:
    op.create_table(
        "operations",
        sa.Column("operation_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("workflow_id", sa.String(length=120), nullable=False),
        sa.Column(
            "camera_id", sa.String(length=36), nullable=True, comment="the camera it is about; null: none or many"
        ),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("request", sa.Text(), nullable=False, comment="JSON: what was asked for"),
        sa.Column("progress", sa.Text(), nullable=False, comment="JSON: counts so far"),
        sa.Column(
            "result",
            sa.Text(),
            nullable=True,
            comment="JSON: what was done, a certificate where something was removed",
        ),
        sa.Column("failure", sa.Text(), nullable=True, comment="sentence; only when failed"),
        sa.Column("created_us", sa.BigInteger(), nullable=False, comment="wall time, us UTC"),
        sa.Column("updated_us", sa.BigInteger(), nullable=False, comment="wall time, us UTC"),
        sa.Column("finished_us", sa.BigInteger(), nullable=True, comment="null while it is not finished"),
        sa.CheckConstraint("state IN ('requested','running','done','failed')", name=op.f("ck_operations_state")),
        sa.CheckConstraint(
            "(finished_us IS NOT NULL) = (state IN ('done','failed'))", name=op.f("ck_operations_finished")
        ),
        sa.CheckConstraint("(state = 'failed') = (failure IS NOT NULL)", name=op.f("ck_operations_failure")),
        sa.PrimaryKeyConstraint("operation_id", name=op.f("pk_operations")),
        sa.UniqueConstraint("workflow_id", name=op.f("uq_operations_workflow_id")),
    )
    op.create_index("ix_operations_page", "operations", ["created_us", "operation_id"])
    op.create_index("ix_operations_state", "operations", ["state"])
    op.create_index("ix_operations_camera", "operations", ["camera_id", "kind"])


def _tombstones() -> None:
    op.create_table(
        "tombstones",
        sa.Column(
            "event_id",
            sa.String(length=36),
            nullable=False,
            comment="an event that was removed; no message brings it back",
        ),
        sa.Column("camera_id", sa.String(length=36), nullable=False),
        sa.Column("node_id", sa.String(length=36), nullable=False, comment="node that holds its files"),
        sa.Column(
            "operation_id",
            sa.String(length=36),
            nullable=True,
            comment="who removed it; null: the node itself, for space",
        ),
        sa.Column("reason", sa.String(length=16), nullable=False),
        sa.Column("started_us", sa.BigInteger(), nullable=False, comment="of the event, wall time us"),
        sa.Column("last_seen_us", sa.BigInteger(), nullable=False, comment="of the event, wall time us"),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False, comment="of its clip files"),
        sa.Column("created_us", sa.BigInteger(), nullable=False, comment="when its row was removed"),
        sa.Column(
            "buried_us",
            sa.BigInteger(),
            nullable=True,
            comment="when its files were gone for good; null: they may exist",
        ),
        sa.CheckConstraint("reason IN ('deleted','camera','repoint','age','space')", name=op.f("ck_tombstones_reason")),
        sa.CheckConstraint("size_bytes >= 0", name=op.f("ck_tombstones_size")),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_tombstones")),
    )
    op.create_index("ix_tombstones_page", "tombstones", ["created_us", "event_id"])
    op.create_index("ix_tombstones_buried", "tombstones", ["buried_us"])
    op.create_index("ix_tombstones_operation", "tombstones", ["operation_id"])
    op.create_index("ix_tombstones_camera", "tombstones", ["camera_id"])


def _notifications() -> None:
    op.create_table(
        "notifications",
        sa.Column(
            "notification_id",
            sa.String(length=36),
            nullable=False,
            comment="also the receiver's key against doubles",
        ),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("event_id", sa.String(length=36), nullable=False),
        sa.Column("body", sa.Text(), nullable=False, comment="JSON as it is sent and signed"),
        sa.Column("created_us", sa.BigInteger(), nullable=False, comment="wall time, us UTC"),
        sa.Column("due_us", sa.BigInteger(), nullable=False, comment="when the next try is due, wall time us"),
        sa.Column("attempt_count", sa.Integer(), nullable=False),
        sa.Column("delivered_us", sa.BigInteger(), nullable=True, comment="null: not yet"),
        sa.Column("dead_us", sa.BigInteger(), nullable=True, comment="when it was given up; null: it was not"),
        sa.Column("failure", sa.Text(), nullable=True, comment="sentence about the newest failed try"),
        sa.CheckConstraint("delivered_us IS NULL OR dead_us IS NULL", name=op.f("ck_notifications_one_end")),
        sa.PrimaryKeyConstraint("notification_id", name=op.f("pk_notifications")),
        sa.UniqueConstraint("event_id", "kind", name=op.f("uq_notifications_event_id_kind")),
    )
    op.create_index("ix_notifications_due", "notifications", ["due_us"])
