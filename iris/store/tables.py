"""Tables of the main database: comments carry units and what null means, CHECKs make a bug loud.

Owned by `iris.store`; migrations create them (`migrations/`), and a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
_ID = String(36)
_STATES = "'open','closing','ready','partial','failed'"

store = Table(
    "store",
    metadata,
    Column("one", Integer, primary_key=True, comment="always 1: this table has one row"),
    Column("store_id", _ID, nullable=False, comment="pairs the database with DATA_DIR/store.json"),
    Column("generation", Integer, nullable=False, comment="rises with each restore"),
    CheckConstraint("one = 1", name="one_row"),
    CheckConstraint("generation >= 1", name="generation"),
)

nodes = Table(
    "nodes",
    metadata,
    Column("node_id", _ID, primary_key=True),
    Column("heartbeat_us", BigInteger, nullable=False, comment="wall time, us UTC, of its last sign of life"),
    Column(
        "detail",
        Text,
        nullable=False,
        comment="JSON: backend, device, providers, outbox figures; nothing secret",
    ),
)

workers = Table(
    "workers",
    metadata,
    Column("worker_id", String(80), primary_key=True, comment="kind and id of a process"),
    Column("kind", String(16), nullable=False, comment="worker or node"),
    Column("heartbeat_us", BigInteger, nullable=False, comment="wall time, us UTC"),
)

cameras = Table(
    "cameras",
    metadata,
    Column("camera_id", _ID, primary_key=True),
    Column("node_id", _ID, nullable=True, comment="node that runs it; null: the only node there is"),
    Column("name", String(100), nullable=False),
    Column("rtsp_url_sealed", LargeBinary, nullable=False, comment="encrypted address with credentials"),
    Column("rtsp_url_masked", String(2100), nullable=False, comment="the same for eyes"),
    Column("detect_url_sealed", LargeBinary, nullable=True, comment="encrypted substream; null: none"),
    Column("detect_url_masked", String(2100), nullable=True),
    Column("enabled", Boolean, nullable=False),
    Column("recording_mode", String(16), nullable=False),
    Column("trigger_classes", Text, nullable=False, comment="JSON list of class names"),
    Column("detect_conf", Float, nullable=False, comment="0..1"),
    Column("detect_fps", Float, nullable=False, comment="detections per second while active"),
    Column("pre_seconds", Float, nullable=False),
    Column("post_seconds", Float, nullable=False),
    Column("trigger_cooldown", Float, nullable=False, comment="seconds"),
    Column("detector_backend", String(16), nullable=True, comment="null: the setting DETECTOR_BACKEND"),
    Column("created_us", BigInteger, nullable=False, comment="wall time, us UTC"),
    Column("updated_us", BigInteger, nullable=False, comment="wall time, us UTC"),
    Column("version", Integer, nullable=False, comment="rises with each change; the node compares it"),
    Column("deleting_us", BigInteger, nullable=True, comment="since when it is being deleted: stopped, in no list"),
    Column("purging_us", BigInteger, nullable=True, comment="since when footage of its old address goes: stopped"),
    Column("address_count", Integer, nullable=False, server_default="1", comment="rises with each changed address"),
    CheckConstraint("length(name) > 0", name="name"),
    CheckConstraint("detect_conf > 0 AND detect_conf < 1", name="detect_conf"),
    CheckConstraint("detect_fps > 0 AND detect_fps <= 30", name="detect_fps"),
    CheckConstraint("pre_seconds >= 0 AND post_seconds >= 0 AND trigger_cooldown >= 0", name="seconds"),
    CheckConstraint("recording_mode IN ('track')", name="recording_mode"),
    CheckConstraint("version >= 1", name="version"),
    CheckConstraint("address_count >= 1", name="address_count"),
)

events = Table(
    "events",
    metadata,
    Column("event_id", _ID, primary_key=True, comment="uuid7 made by the camera process"),
    Column("camera_id", _ID, nullable=False, comment="no foreign key: an event may outlive its camera's row"),
    Column("node_id", _ID, nullable=False, comment="node that holds its files"),
    Column("state", String(8), nullable=False),
    Column("seq", Integer, nullable=False, comment="sequence number of the newest message applied"),
    Column("labels", Text, nullable=False, comment="JSON list, sorted"),
    Column("started_us", BigInteger, nullable=False, comment="first detection, wall time us"),
    Column("last_seen_us", BigInteger, nullable=False, comment="latest detection, wall time us"),
    Column("ended_us", BigInteger, nullable=True, comment="latest detection once closed; null while open"),
    Column("end_reason", String(16), nullable=True, comment="null while open"),
    Column("window_start_us", BigInteger, nullable=False, comment="start of the clip's window"),
    Column("window_end_us", BigInteger, nullable=True, comment="end of the clip's window; null while open"),
    Column("continues", _ID, nullable=True, comment="event that this one continues"),
    Column("backend", String(16), nullable=False, comment="what saw it"),
    Column("thumbnail_path", String(300), nullable=True, comment="relative to DATA_DIR; null: none"),
    Column("failure", Text, nullable=True, comment="sentence; only when failed"),
    Column("created_us", BigInteger, nullable=False, comment="when the row was made"),
    Column("finalised_us", BigInteger, nullable=True, comment="when it became terminal"),
    Column("hold_us", BigInteger, nullable=True, comment="since when it must be kept; null: no hold"),
    Column("hold_note", String(500), nullable=True, comment="why, in the words of who set it"),
    CheckConstraint(f"state IN ({_STATES})", name="state"),
    CheckConstraint("last_seen_us >= started_us AND started_us >= window_start_us", name="order"),
    CheckConstraint("ended_us IS NULL OR ended_us >= started_us", name="ended"),
    CheckConstraint("window_end_us IS NULL OR window_end_us >= window_start_us", name="window"),
    CheckConstraint("state = 'open' OR (ended_us IS NOT NULL AND window_end_us IS NOT NULL)", name="closed"),
    CheckConstraint("(state = 'failed') = (failure IS NOT NULL)", name="failure"),
    CheckConstraint("(finalised_us IS NOT NULL) = (state IN ('ready','partial','failed'))", name="finalised"),
    Index("ix_events_page", "started_us", "event_id"),
    Index("ix_events_camera_page", "camera_id", "started_us", "event_id"),
    Index("ix_events_state_page", "state", "started_us", "event_id"),
    # Few are on hold: the index holds only them, and costs the others nothing.
    Index(
        "ix_events_held_page", "started_us", "event_id",
        sqlite_where=text("hold_us IS NOT NULL"), postgresql_where=text("hold_us IS NOT NULL"),
    ),
)  # fmt: skip

event_labels = Table(
    "event_labels",
    metadata,
    Column("label", String(64), primary_key=True),
    Column("started_us", BigInteger, primary_key=True, comment="copied from the event for the page order"),
    Column("event_id", _ID, ForeignKey("events.event_id", ondelete="CASCADE"), primary_key=True),
    Column("camera_id", _ID, nullable=False),
    Index("ix_event_labels_event_id", "event_id"),
    Index("ix_event_labels_camera_page", "camera_id", "label", "started_us", "event_id"),
)

clip_files = Table(
    "clip_files",
    metadata,
    Column("event_id", _ID, ForeignKey("events.event_id", ondelete="CASCADE"), primary_key=True),
    Column("part", Integer, primary_key=True, comment="0, 1, ...: one file per parameter set"),
    Column("path", String(300), nullable=False, unique=True, comment="relative to DATA_DIR"),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("start_us", BigInteger, nullable=False, comment="wall time us of its first picture"),
    Column("end_us", BigInteger, nullable=False, comment="wall time us of the end of its last"),
    Column("duration_us", BigInteger, nullable=False),
    Column("video_packet_count", Integer, nullable=False),
    Column("audio_packet_count", Integer, nullable=False),
    Column("video_codec", String(16), nullable=False),
    Column("width_px", Integer, nullable=False),
    Column("height_px", Integer, nullable=False),
    CheckConstraint("size_bytes > 0 AND duration_us > 0 AND video_packet_count > 0", name="not_empty"),
    CheckConstraint("end_us > start_us", name="order"),
    CheckConstraint("length(sha256) = 64", name="sha256"),
)

event_ranges = Table(
    "event_ranges",
    metadata,
    Column("event_id", _ID, ForeignKey("events.event_id", ondelete="CASCADE"), primary_key=True),
    Column("start_us", BigInteger, primary_key=True),
    Column("end_us", BigInteger, nullable=False),
    Column("reason", String(24), nullable=True, comment="null: covered by the clip; else why it is missing"),
    CheckConstraint("end_us > start_us", name="order"),
)

operations = Table(
    "operations",
    metadata,
    Column("operation_id", _ID, primary_key=True),
    Column("kind", String(24), nullable=False),
    Column("workflow_id", String(120), nullable=False, unique=True),
    Column("camera_id", _ID, nullable=True, comment="the camera it is about; null: none or many"),
    Column("state", String(10), nullable=False),
    Column("request", Text, nullable=False, comment="JSON: what was asked for"),
    Column("progress", Text, nullable=False, comment="JSON: counts so far"),
    Column("result", Text, nullable=True, comment="JSON: what was done, a certificate where something was removed"),
    Column("failure", Text, nullable=True, comment="sentence; only when failed"),
    Column("created_us", BigInteger, nullable=False, comment="wall time, us UTC"),
    Column("updated_us", BigInteger, nullable=False, comment="wall time, us UTC"),
    Column("finished_us", BigInteger, nullable=True, comment="null while it is not finished"),
    CheckConstraint("state IN ('requested','running','done','failed')", name="state"),
    CheckConstraint("(finished_us IS NOT NULL) = (state IN ('done','failed'))", name="finished"),
    CheckConstraint("(state = 'failed') = (failure IS NOT NULL)", name="failure"),
    Index("ix_operations_page", "created_us", "operation_id"),
    Index("ix_operations_state", "state"),
    Index("ix_operations_camera", "camera_id", "kind"),
)

tombstones = Table(
    "tombstones",
    metadata,
    Column("event_id", _ID, primary_key=True, comment="an event that was removed; no message brings it back"),
    Column("camera_id", _ID, nullable=False),
    Column("node_id", _ID, nullable=False, comment="node that holds its files"),
    Column("operation_id", _ID, nullable=True, comment="who removed it; null: the node itself, for space"),
    Column("reason", String(16), nullable=False),
    Column("started_us", BigInteger, nullable=False, comment="of the event, wall time us"),
    Column("last_seen_us", BigInteger, nullable=False, comment="of the event, wall time us"),
    Column("size_bytes", BigInteger, nullable=False, comment="of its clip files"),
    Column("created_us", BigInteger, nullable=False, comment="when its row was removed"),
    Column("buried_us", BigInteger, nullable=True, comment="when its files were gone for good; null: they may exist"),
    CheckConstraint("reason IN ('deleted','camera','repoint','age','space')", name="reason"),
    CheckConstraint("size_bytes >= 0", name="size"),
    Index("ix_tombstones_page", "created_us", "event_id"),
    Index("ix_tombstones_buried", "buried_us"),
    Index("ix_tombstones_operation", "operation_id"),
    Index("ix_tombstones_camera", "camera_id"),
)

retention_policy = Table(
    "retention_policy",
    metadata,
    Column("one", Integer, primary_key=True, comment="always 1: this table has one row"),
    Column("policy", Text, nullable=False, comment="JSON: what a person set; absent: the settings hold"),
    Column("updated_us", BigInteger, nullable=False, comment="wall time, us UTC"),
    CheckConstraint("one = 1", name="one_row"),
)

notifications = Table(
    "notifications",
    metadata,
    Column("notification_id", _ID, primary_key=True, comment="also the receiver's key against doubles"),
    Column("kind", String(24), nullable=False),
    Column("event_id", _ID, nullable=False),
    Column("body", Text, nullable=False, comment="JSON as it is sent and signed"),
    Column("created_us", BigInteger, nullable=False, comment="wall time, us UTC"),
    Column("due_us", BigInteger, nullable=False, comment="when the next try is due, wall time us"),
    Column("attempt_count", Integer, nullable=False),
    Column("delivered_us", BigInteger, nullable=True, comment="null: not yet"),
    Column("dead_us", BigInteger, nullable=True, comment="when it was given up; null: it was not"),
    Column("failure", Text, nullable=True, comment="sentence about the newest failed try"),
    UniqueConstraint("event_id", "kind"),
    CheckConstraint("delivered_us IS NULL OR dead_us IS NULL", name="one_end"),
    Index("ix_notifications_due", "due_us"),
)
