"""Settings: read once at a process's start from the environment and `.env`, checked, handed down as values.

Nothing else reads the environment. A field's `_setting` holds its default, what is allowed and why; the same texts
make the error sentence and are compared with docs/reference/settings.md and .env.example.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from iris.base.errors import ConfigError
from iris.domain.camera import CameraTuning, DetectorBackend
from iris.retention.policy import RetentionPolicy
from iris.setting_values import database_url as known_database
from iris.setting_values import ip_address, lower, printable, read_env_file, web_address

ENV_FILE = Path(".env")
# Below this likeness two names are more likely two names than one and its misspelling.
_CLOSE = 0.82
_HEADER = r"^[A-Za-z0-9-]{1,64}$"
_FILE = r"^\S.{0,399}$"


def _setting(default: Any, description: str, allowed: str, **limits: Any) -> Any:
    return Field(default=default, description=description, json_schema_extra={"allowed": allowed}, **limits)


_Secret = Annotated[SecretStr, AfterValidator(printable)]
_SECRET = "printable ASCII without spaces"  # noqa: S105 - the text that says what is allowed
_SECONDS = "a number of seconds"


class Settings(BaseSettings):
    """Every setting, checked. Names are those of the environment in lower case."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", case_sensitive=False, env_ignore_empty=True, hide_input_in_errors=True,
        env_file_encoding="utf-8",
    )  # fmt: skip

    # Where things are
    data_dir: Path = _setting(Path("data"), "Folder of everything Iris keeps.", "a folder")
    models_dir: Path = _setting(Path("models"), "Folder of model files.", "a folder")
    database_url: Annotated[SecretStr, AfterValidator(known_database)] | None = _setting(
        None, "Main database; left out, SQLite at DATA_DIR/vms.db.",
        "sqlite:///<path> or postgresql://<user>:<password>@<host>:<port>/<name>",
    )  # fmt: skip

    # HTTP and who may use it
    bind_address: Annotated[str, AfterValidator(ip_address)] = _setting(
        "127.0.0.1", "Address the api listens on; loopback, since a proxy with TLS stands before it.", "an IP address"
    )
    port: int = _setting(8120, "TCP port of the api.", "a port from 1 to 65535", ge=1, le=65535)
    auth_required: bool = _setting(
        default=True, description="Whether the api asks who calls; false is for trials only.", allowed="true or false"
    )
    api_key: _Secret | None = _setting(
        None, "Key for `Authorization: Bearer`; left out, `iris up` makes one on its first start.", _SECRET
    )
    sso_header: str = _setting("X-Email", "Header in which the proxy names the user.", "a header name", pattern=_HEADER)
    sso_proxy_secret: _Secret | None = _setting(None, "What the proxy sends to prove that it is the proxy.", _SECRET)
    sso_role_header: str | None = _setting(
        None, "Header in which the proxy names the user's role.", "a header name", pattern=_HEADER
    )
    sso_default_role: Annotated[Literal["admin", "operator"], BeforeValidator(lower)] = _setting(
        "admin", "Role of a user for whom the proxy names none.", "admin or operator"
    )

    # Temporal
    temporal_address: str | None = _setting(
        None, "Temporal server to use; left out, `iris up` runs its own.", "<host>:<port>",
        pattern=r"^[^\s/@]+:\d{1,5}$",
    )  # fmt: skip
    temporal_namespace: str = _setting(
        "default", "Temporal namespace.", "a namespace name", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$"
    )
    temporal_port: int = _setting(7233, "Port of the own Temporal server.", "a port from 1 to 65535", ge=1, le=65535)
    temporal_ui_port: int = _setting(
        8233, "Port of the own Temporal server's pages; when taken, the next free one, said in the log.",
        "a port from 1 to 65535", ge=1, le=65535,
    )  # fmt: skip

    # Detection
    detector_backend: Annotated[DetectorBackend, BeforeValidator(lower)] = _setting(
        DetectorBackend.ONNX, "What looks at the frames of cameras that name nothing else.", "onnx, cpu, motion or none"
    )
    detector_model: str = _setting(
        "yolov8n.onnx", "Detector model, a file in MODELS_DIR or a path.", "a file name", pattern=_FILE
    )
    detector_device: Annotated[str, BeforeValidator(lower)] = _setting(
        "cuda", "Device of the detector; the one really used is reported.", "cpu, cuda or cuda:<n>",
        pattern=r"^(cpu|cuda(:\d{1,2})?)$",
    )  # fmt: skip
    detector_fp16: bool = _setting(default=True, description="Half precision on a GPU.", allowed="true or false")
    detect_fps: float = _setting(
        5.0, "Detections per second while something is in view.", "a number above 0, at most 30", gt=0, le=30
    )
    detect_interval_idle: float = _setting(
        0.5, "Seconds between looks at an empty scene.", f"{_SECONDS} from 0.05 to 10", ge=0.05, le=10
    )
    active_grace_seconds: float = _setting(
        5.0, "Seconds of empty scene before the detector idles.", f"{_SECONDS} from 0 to 600", ge=0, le=600
    )

    # Recording and events
    segment_seconds: float = _setting(
        2.0, "Least length of a segment; it ends at the next keyframe.", f"{_SECONDS} from 1 to 60", ge=1, le=60
    )
    segment_retention_seconds: float = _setting(
        120.0, "Rolling buffer of segments per camera.", f"{_SECONDS} from 20 to 2592000", ge=20, le=2_592_000
    )
    pre_seconds: float = _setting(5.0, "Pre-roll of a new camera.", f"{_SECONDS} from 0 to 300", ge=0, le=300)
    post_seconds: float = _setting(10.0, "Post-roll of a new camera.", f"{_SECONDS} from 0 to 300", ge=0, le=300)
    trigger_cooldown: float = _setting(
        15.0, "Presences closer than this are one event, for a new camera.", f"{_SECONDS} from 0 to 3600", ge=0, le=3600
    )
    event_max_seconds: float = _setting(
        600.0, "Longest event; the next one continues it.", f"{_SECONDS} from 10 to 86400", ge=10, le=86_400
    )
    manual_max_seconds: float = _setting(
        600.0, "Longest manual recording; it ends by itself then.", f"{_SECONDS} from 1 to 86400", ge=1, le=86_400
    )
    pin_budget_seconds: float = _setting(
        86_400.0, "Footage of unfinished events kept per camera; beyond it the oldest goes, as a recorded gap.",
        f"{_SECONDS} from 60 to 2592000", ge=60, le=2_592_000,
    )  # fmt: skip
    pin_budget_share: float = _setting(
        0.2, "The same as a share of the disk; whichever is reached first.", "a number above 0, at most 0.9",
        gt=0, le=0.9,
    )  # fmt: skip
    camera_stall_seconds: float = _setting(
        7.0, "Silence of a connected camera before it counts as stalled.", f"{_SECONDS} from 2 to 120", ge=2, le=120
    )
    worker_reconcile_seconds: float = _setting(
        20.0, "Seconds between comparisons of wanted and running cameras.", f"{_SECONDS} from 1 to 3600", ge=1, le=3600
    )

    # Retention
    retention_days: float | None = _setting(
        None, "Days after which events go, for those that no rule names; left out, none goes by age.",
        "a number of days from 0.04 (an hour) to 36500", ge=0.04, le=36_500,
    )  # fmt: skip
    retention_high_water: float = _setting(
        0.85, "Used share of the disk at which the oldest events begin to go.", "a number above 0, below 1", gt=0, lt=1
    )
    retention_low_water: float = _setting(
        0.8, "Used share at which that ends; below RETENTION_HIGH_WATER.", "a number above 0, below 1", gt=0, lt=1
    )

    # Backup
    backup_dir: Path | None = _setting(
        None, "Folder of backups, on another disk; left out, none is made by itself, those by hand go to "
        "DATA_DIR/backups.", "a folder",
    )  # fmt: skip
    backup_keep: int = _setting(
        7, "Backups that are kept; older ones go once a new one is verified.", "a number from 1 to 1000", ge=1, le=1000
    )

    # Notifications
    webhook_url: Annotated[SecretStr, AfterValidator(web_address)] | None = _setting(
        None, "Address that is posted to when an event is finished; left out, nobody is told.",
        "an http or https address",
    )  # fmt: skip
    webhook_secret: _Secret | None = _setting(None, "What posts are signed with; needed with WEBHOOK_URL.", _SECRET)

    # Identity (not used yet)
    face_model: str = _setting(
        "buffalo_l", "Face model pack under INSIGHTFACE_HOME. Not used yet.", "a name", pattern=r"^[\w.-]{1,100}$"
    )
    face_detector_model: str | None = _setting(
        None, "Face detector as a single file instead of the pack. Not used yet.", "a file name", pattern=_FILE
    )
    face_recognition_model: str | None = _setting(
        None, "Face recognition as a single file instead of the pack. Not used yet.", "a file name", pattern=_FILE
    )
    insightface_home: Path | None = _setting(None, "Folder of face model packs. Not used yet.", "a folder")
    reid_model: str = _setting(
        "osnet_x0_25_msmt17.onnx", "Appearance model, a file in MODELS_DIR. Not used yet.", "a file name", pattern=_FILE
    )
    reid_onnx_url: str | None = _setting(
        None, "Where to download the appearance model. Not used yet.", "an http or https address",
        pattern=r"^https?://\S{1,2000}$",
    )  # fmt: skip
    max_reid_per_frame: int = _setting(
        4, "Tracks identified per detection frame. Not used yet.", "a whole number from 1 to 64", ge=1, le=64
    )
    reid_confident_sample_seconds: float = _setting(
        9.0, "Seconds before a surely identified track is sampled again. Not used yet.",
        f"{_SECONDS} from 0 to 3600", ge=0, le=3600,
    )  # fmt: skip

    # Files that belong to nothing
    orphan_purge_hours: float = _setting(
        24.0, "Hours between looks for files that belong to nothing; 0 switches them off, also at a node's start.",
        "a number of hours from 0 to 8760", ge=0, le=8760,
    )  # fmt: skip
    orphan_grace_seconds: float = _setting(
        3600.0, "Age at which such a file is moved into quarantine.", f"{_SECONDS} from 10 to 2592000",
        ge=10, le=2_592_000,
    )  # fmt: skip
    orphan_max_share: float = _setting(
        0.2, "Share of a media folder that goes into quarantine without asking (20 files always do).",
        "a number above 0, at most 1", gt=0, le=1,
    )  # fmt: skip
    quarantine_days: int = _setting(
        7, "Days that files stay in quarantine before they are deleted.", "a whole number from 1 to 365", ge=1, le=365
    )

    # Logs
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(lower)] = _setting(
        "info", "Least severity that is logged.", "debug, info, warning or error"
    )
    log_json: bool = _setting(
        default=False, description="One JSON object per line instead of text for people.", allowed="true or false"
    )

    @model_validator(mode="after")
    def _buffer_holds_the_preroll(self) -> Self:
        # A segment is published when it is complete, and one more may be in the making when an event opens.
        least = self.pre_seconds + 3 * self.segment_seconds
        if self.segment_retention_seconds < least:
            raise ValueError(
                f"SEGMENT_RETENTION_SECONDS must be at least PRE_SECONDS + 3 x SEGMENT_SECONDS = {least:g}, "
                f"or the pre-roll is gone before an event can keep it; it is {self.segment_retention_seconds:g}"
            )
        return self

    @model_validator(mode="after")
    def _water_falls(self) -> Self:
        if self.retention_low_water >= self.retention_high_water:
            raise ValueError("RETENTION_LOW_WATER must be below RETENTION_HIGH_WATER")
        return self

    @model_validator(mode="after")
    def _webhook_is_signed(self) -> Self:
        if self.webhook_url is not None and self.webhook_secret is None:
            raise ValueError("WEBHOOK_SECRET must be set where WEBHOOK_URL is: the receiver checks with it who posts")
        return self

    @model_validator(mode="after")
    def _backups_are_no_media(self) -> Self:
        if self.keeps_own_files_in(self.backup_path):
            raise ValueError("BACKUP_DIR must be outside DATA_DIR, or DATA_DIR/backups")
        return self

    @property
    def data_path(self) -> Path:
        """DATA_DIR, absolute."""
        return self.data_dir.expanduser().resolve()

    @property
    def models_path(self) -> Path:
        """MODELS_DIR, absolute."""
        return self.models_dir.expanduser().resolve()

    @property
    def detector_model_path(self) -> Path:
        """The detector's model file, absolute; it need not exist."""
        return self.models_path / Path(self.detector_model).expanduser()

    @property
    def backup_path(self) -> Path:
        """Where backups go, absolute."""
        return self.data_path / "backups" if self.backup_dir is None else self.backup_dir.expanduser().resolve()

    def keeps_own_files_in(self, folder: Path) -> bool:
        """Whether it is in DATA_DIR and not its folder of backups; what others put there is taken for footage."""
        return folder.is_relative_to(self.data_path) and not folder.is_relative_to(self.data_path / "backups")

    @property
    def main_database_url(self) -> str:
        """URL of the main database, with its password: hand it to the store only."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data_path / 'vms.db'}"

    @property
    def main_database_file(self) -> Path | None:
        """The SQLite file of the main database; None where it is a server."""
        url = self.main_database_url
        return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None

    def retention_policy(self) -> RetentionPolicy:
        """What holds until a person sets a policy."""
        return RetentionPolicy(
            max_age_days=self.retention_days,
            high_water=self.retention_high_water,
            low_water=self.retention_low_water,
        )

    def camera_tuning(self) -> CameraTuning:
        """What holds for all cameras of a node."""
        return CameraTuning(
            segment_seconds=self.segment_seconds,
            segment_retention_seconds=self.segment_retention_seconds,
            event_max_seconds=self.event_max_seconds,
            manual_max_seconds=self.manual_max_seconds,
            detect_interval_idle_s=self.detect_interval_idle,
            active_grace_seconds=self.active_grace_seconds,
            pin_budget_seconds=self.pin_budget_seconds,
            pin_budget_share=self.pin_budget_share,
            stall_timeout_s=self.camera_stall_seconds,
            detector_model_path=str(self.detector_model_path),
            detector_device=self.detector_device,
        )


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """The settings, and sentences to log as warnings once logging is set up."""

    settings: Settings
    warnings: tuple[str, ...]


def load_settings(env_file: Path | None = ENV_FILE) -> LoadedSettings:
    """Read and check all settings; the environment wins over the file.

    Args:
        env_file: The `.env` file; None or a missing one means the environment alone.

    Raises:
        ConfigError: One sentence that names the setting and says what is allowed; never holds a secret's value.
    """
    in_file = read_env_file(env_file)
    misspelt = _misspelt(in_file)
    if misspelt:
        name, known = next(iter(misspelt.items()))
        raise ConfigError(f"{name} in {env_file} is no setting of Iris; did you mean {known}?")
    try:
        settings = Settings(_env_file=env_file)
    except ValidationError as error:
        raise ConfigError(_sentence(error, in_file)) from None
    warnings = [
        f"{name} in the environment is no setting of Iris; did you mean {known}?"
        for name, known in _misspelt(os.environ).items()
    ]
    if settings.api_key is not None and len(settings.api_key.get_secret_value()) < 16:
        warnings.append("API_KEY is shorter than 16 characters and can be guessed")
    return LoadedSettings(settings, tuple(warnings))


def setting_fields() -> Mapping[str, FieldInfo]:
    """Every setting by its name in the environment."""
    return {name.upper(): field for name, field in Settings.model_fields.items()}


def allowed_text(field: FieldInfo) -> str:
    """What a setting allows, for people."""
    extra = field.json_schema_extra
    return str(extra["allowed"]) if isinstance(extra, dict) else ""


def _misspelt(values: Mapping[str, str]) -> dict[str, str]:
    """Unknown names that are close to a known one that is not given beside them, with that known one."""
    known = setting_fields()
    given = {name.upper() for name in values}
    found = {}
    for name in values:
        if name.upper() in known or len(name) < 4:
            continue
        close = difflib.get_close_matches(re.sub(r"[-.]", "_", name.upper()), list(known), n=1, cutoff=_CLOSE)
        if close and close[0] not in given:
            found[name] = close[0]
    return found


def _sentence(error: ValidationError, in_file: Mapping[str, str]) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    if not first["loc"]:
        return str(first["ctx"]["error"]) if "ctx" in first else first["msg"]
    name = str(first["loc"][0]).upper()
    field = setting_fields()[name]
    sentence = f"{name} must be {allowed_text(field)}"
    if "Secret" in str(field.annotation) or name == "REID_ONNX_URL":
        return sentence
    given = next((v for n, v in [*os.environ.items(), *in_file.items()] if n.upper() == name), "")
    return f"{sentence}; it is {given[:100]!r}"
