"""The tables of version 0.1.0.

Revision 0001. Forward only.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "cameras",
        sa.Column("camera_id", sa.String(length=36), nullable=False),
        sa.Column(
            "node_id", sa.String(length=36), nullable=True, comment="node that runs it; null: the only node there is"
        ),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("rtsp_url_sealed", sa.LargeBinary(), nullable=False, comment="encrypted address with credentials"),
        sa.Column("rtsp_url_masked", sa.String(length=2100), nullable=False, comment="the same for eyes"),
        sa.Column("detect_url_sealed", sa.LargeBinary(), nullable=True, comment="encrypted substream; null: none"),
        sa.Column("detect_url_masked", sa.String(length=2100), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("recording_mode", sa.String(length=16), nullable=False),
        sa.Column("trigger_classes", sa.Text(), nullable=False, comment="JSON list of class names"),
        sa.Column("detect_conf", sa.Float(), nullable=False, comment="0..1"),
        sa.Column("detect_fps", sa.Float(), nullable=False, comment="detections per second while active"),
        sa.Column("pre_seconds", sa.Float(), nullable=False),
        sa.Column("post_seconds", sa.Float(), nullable=False),
        sa.Column("trigger_cooldown", sa.Float(), nullable=False, comment="seconds"),
        sa.Column(
            "detector_backend", sa.String(length=16), nullable=True, comment="null: the setting DETECTOR_BACKEND"
        ),
        sa.Column("created_us", sa.BigInteger(), nullable=False, comment="wall time, us UTC"),
        sa.Column("updated_us", sa.BigInteger(), nullable=False, comment="wall time, us UTC"),
        sa.Column("version", sa.Integer(), nullable=False, comment="rises with each change; the node compares it"),
        sa.CheckConstraint("recording_mode IN ('track')", name=op.f("ck_cameras_recording_mode")),
        sa.CheckConstraint("detect_conf > 0 AND detect_conf < 1", name=op.f("ck_cameras_detect_conf")),
        sa.CheckConstraint("detect_fps > 0 AND detect_fps <= 30", name=op.f("ck_cameras_detect_fps")),
        sa.CheckConstraint("length(name) > 0", name=op.f("ck_cameras_name")),
        sa.CheckConstraint(
            "pre_seconds >= 0 AND post_seconds >= 0 AND trigger_cooldown >= 0", name=op.f("ck_cameras_seconds")
        ),
        sa.CheckConstraint("version >= 1", name=op.f("ck_cameras_version")),
        sa.PrimaryKeyConstraint("camera_id", name=op.f("pk_cameras")),
    )
    op.create_table(
        "events",
        sa.Column("event_id", sa.String(length=36), nullable=False, comment="uuid7 made by the camera process"),
        sa.Column(
            "camera_id",
            sa.String(length=36),
            nullable=False,
            comment="no foreign key: an event may outlive its camera's row",
        ),
        sa.Column("node_id", sa.String(length=36), nullable=False, comment="node that holds its files"),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False, comment="sequence number of the newest message applied"),
        sa.Column("labels", sa.Text(), nullable=False, comment="JSON list, sorted"),
        sa.Column("started_us", sa.BigInteger(), nullable=False, comment="first detection, wall time us"),
        sa.Column("last_seen_us", sa.BigInteger(), nullable=False, comment="latest detection, wall time us"),
        sa.Column("ended_us", sa.BigInteger(), nullable=True, comment="latest detection once closed; null while open"),
        sa.Column("end_reason", sa.String(length=16), nullable=True, comment="null while open"),
        sa.Column("window_start_us", sa.BigInteger(), nullable=False, comment="start of the clip's window"),
        sa.Column("window_end_us", sa.BigInteger(), nullable=True, comment="end of the clip's window; null while open"),
        sa.Column("continues", sa.String(length=36), nullable=True, comment="event that this one continues"),
        sa.Column("backend", sa.String(length=16), nullable=False, comment="what saw it"),
        sa.Column("thumbnail_path", sa.String(length=300), nullable=True, comment="relative to DATA_DIR; null: none"),
        sa.Column("failure", sa.Text(), nullable=True, comment="sentence; only when failed"),
        sa.Column("created_us", sa.BigInteger(), nullable=False, comment="when the row was made"),
        sa.Column("finalised_us", sa.BigInteger(), nullable=True, comment="when it became terminal"),
        sa.CheckConstraint(
            "(finalised_us IS NOT NULL) = (state IN ('ready','partial','failed'))", name=op.f("ck_events_finalised")
        ),
        sa.CheckConstraint("(state = 'failed') = (failure IS NOT NULL)", name=op.f("ck_events_failure")),
        sa.CheckConstraint(
            "state = 'open' OR (ended_us IS NOT NULL AND window_end_us IS NOT NULL)", name=op.f("ck_events_closed")
        ),
        sa.CheckConstraint("state IN ('open','closing','ready','partial','failed')", name=op.f("ck_events_state")),
        sa.CheckConstraint("ended_us IS NULL OR ended_us >= started_us", name=op.f("ck_events_ended")),
        sa.CheckConstraint(
            "last_seen_us >= started_us AND started_us >= window_start_us", name=op.f("ck_events_order")
        ),
        sa.CheckConstraint("window_end_us IS NULL OR window_end_us >= window_start_us", name=op.f("ck_events_window")),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_events")),
    )
    op.create_index("ix_events_camera_page", "events", ["camera_id", "started_us", "event_id"], unique=False)
    op.create_index("ix_events_page", "events", ["started_us", "event_id"], unique=False)
    op.create_index("ix_events_state_page", "events", ["state", "started_us", "event_id"], unique=False)
    op.create_table(
        "nodes",
        sa.Column("node_id", sa.String(length=36), nullable=False),
        sa.Column(
            "heartbeat_us", sa.BigInteger(), nullable=False, comment="wall time, us UTC, of its last sign of life"
        ),
        sa.Column(
            "detail",
            sa.Text(),
            nullable=False,
            comment="JSON: backend, device, providers, outbox figures; nothing secret",
        ),
        sa.PrimaryKeyConstraint("node_id", name=op.f("pk_nodes")),
    )
    op.create_table(
        "store",
        sa.Column("one", sa.Integer(), nullable=False, comment="always 1: this table has one row"),
        sa.Column(
            "store_id", sa.String(length=36), nullable=False, comment="pairs the database with DATA_DIR/store.json"
        ),
        sa.Column("generation", sa.Integer(), nullable=False, comment="rises with each restore"),
        sa.CheckConstraint("generation >= 1", name=op.f("ck_store_generation")),
        sa.CheckConstraint("one = 1", name=op.f("ck_store_one_row")),
        sa.PrimaryKeyConstraint("one", name=op.f("pk_store")),
    )
    op.create_table(
        "workers",
        sa.Column("worker_id", sa.String(length=80), nullable=False, comment="kind and id of a process"),
        sa.Column("kind", sa.String(length=16), nullable=False, comment="worker or node"),
        sa.Column("heartbeat_us", sa.BigInteger(), nullable=False, comment="wall time, us UTC"),
        sa.PrimaryKeyConstraint("worker_id", name=op.f("pk_workers")),
    )
    op.create_table(
        "clip_files",
        sa.Column("event_id", sa.String(length=36), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False, comment="0, 1, ...: one file per parameter set"),
        sa.Column("path", sa.String(length=300), nullable=False, comment="relative to DATA_DIR"),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("start_us", sa.BigInteger(), nullable=False, comment="wall time us of its first picture"),
        sa.Column("end_us", sa.BigInteger(), nullable=False, comment="wall time us of the end of its last"),
        sa.Column("duration_us", sa.BigInteger(), nullable=False),
        sa.Column("video_packet_count", sa.Integer(), nullable=False),
        sa.Column("audio_packet_count", sa.Integer(), nullable=False),
        sa.Column("video_codec", sa.String(length=16), nullable=False),
        sa.Column("width_px", sa.Integer(), nullable=False),
        sa.Column("height_px", sa.Integer(), nullable=False),
        sa.CheckConstraint("end_us > start_us", name=op.f("ck_clip_files_order")),
        sa.CheckConstraint("length(sha256) = 64", name=op.f("ck_clip_files_sha256")),
        sa.CheckConstraint(
            "size_bytes > 0 AND duration_us > 0 AND video_packet_count > 0", name=op.f("ck_clip_files_not_empty")
        ),
        sa.ForeignKeyConstraint(
            ["event_id"], ["events.event_id"], name=op.f("fk_clip_files_event_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("event_id", "part", name=op.f("pk_clip_files")),
        sa.UniqueConstraint("path", name=op.f("uq_clip_files_path")),
    )
    op.create_table(
        "event_labels",
        sa.Column("label", sa.String(length=64), nullable=False),
        sa.Column("started_us", sa.BigInteger(), nullable=False, comment="copied from the event for the page order"),
        sa.Column("event_id", sa.String(length=36), nullable=False),
        sa.Column("camera_id", sa.String(length=36), nullable=False),
        sa.ForeignKeyConstraint(
            ["event_id"], ["events.event_id"], name=op.f("fk_event_labels_event_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("label", "started_us", "event_id", name=op.f("pk_event_labels")),
    )
    op.create_index(
        "ix_event_labels_camera_page", "event_labels", ["camera_id", "label", "started_us", "event_id"], unique=False
    )
    op.create_index("ix_event_labels_event_id", "event_labels", ["event_id"], unique=False)
    op.create_table(
        "event_ranges",
        sa.Column("event_id", sa.String(length=36), nullable=False),
        sa.Column("start_us", sa.BigInteger(), nullable=False),
        sa.Column("end_us", sa.BigInteger(), nullable=False),
        sa.Column(
            "reason", sa.String(length=24), nullable=True, comment="null: covered by the clip; else why it is missing"
        ),
        sa.CheckConstraint("end_us > start_us", name=op.f("ck_event_ranges_order")),
        sa.ForeignKeyConstraint(
            ["event_id"], ["events.event_id"], name=op.f("fk_event_ranges_event_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("event_id", "start_us", name=op.f("pk_event_ranges")),
    )
