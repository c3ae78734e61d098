from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from iris.base.errors import ConfigError
from iris.config import allowed_text, load_settings, setting_fields
from iris.domain.camera import DetectorBackend

REPOSITORY = Path(__file__).resolve().parents[2]
# Names and defaults that are promised to operators; the environment of the test run has none of them.
DEFAULTS = {
    "sso_header": "X-Email", "auth_required": True, "api_key": None, "detector_backend": DetectorBackend.ONNX,
    "detector_device": "cuda", "detector_fp16": True, "detect_fps": 5.0, "segment_seconds": 2.0, "pre_seconds": 5.0,
    "post_seconds": 10.0, "trigger_cooldown": 15.0, "port": 8120, "data_dir": Path("data"),
    "models_dir": Path("models"), "detector_model": "yolov8n.onnx", "face_model": "buffalo_l",
    "face_detector_model": None, "face_recognition_model": None, "reid_model": "osnet_x0_25_msmt17.onnx",
    "reid_onnx_url": None, "insightface_home": None, "database_url": None, "temporal_address": None,
    "temporal_port": 7233, "temporal_ui_port": 8233, "sso_proxy_secret": None, "sso_role_header": None,
    "sso_default_role": "admin", "segment_retention_seconds": 120.0, "event_max_seconds": 600.0,
    "detect_interval_idle": 0.5, "worker_reconcile_seconds": 20.0, "max_reid_per_frame": 4,
    "reid_confident_sample_seconds": 9.0, "pin_budget_seconds": 86_400.0, "pin_budget_share": 0.2,
    "bind_address": "127.0.0.1",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.upper() in setting_fields():
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def _env_file(text: str) -> Path:
    path = Path(".env")
    path.write_text(text)
    return path


def test_settings_have_the_promised_defaults_when_nothing_is_given() -> None:
    settings = load_settings().settings
    assert {name: getattr(settings, name) for name in DEFAULTS} == DEFAULTS


def test_settings_resolve_folders_and_database_when_relative(tmp_path: Path) -> None:
    settings = load_settings().settings
    assert settings.data_path == tmp_path / "data"
    assert settings.detector_model_path == tmp_path / "models" / "yolov8n.onnx"
    assert settings.main_database_url == f"sqlite:///{tmp_path}/data/vms.db"


def test_environment_wins_over_the_file_and_case_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    _env_file("Detect_Fps=3\nPRE_SECONDS=7\nAPI_KEY=\n")
    monkeypatch.setenv("detect_fps", "4")
    settings = load_settings().settings
    assert (settings.detect_fps, settings.pre_seconds, settings.api_key) == (4.0, 7.0, None)


INVALID = [
    ("DETECT_FPS", "99", "DETECT_FPS must be a number above 0, at most 30; it is '99'"),
    ("DETECT_FPS", "nan", "DETECT_FPS must be a number above 0, at most 30; it is 'nan'"),
    ("PORT", "http", "PORT must be a port from 1 to 65535; it is 'http'"),
    ("PORT", "70000", "PORT must be a port from 1 to 65535; it is '70000'"),
    ("AUTH_REQUIRED", "maybe", "AUTH_REQUIRED must be true or false; it is 'maybe'"),
    ("DETECTOR_BACKEND", "tpu", "DETECTOR_BACKEND must be onnx, cpu, motion or none; it is 'tpu'"),
    ("DETECTOR_DEVICE", "gpu", "DETECTOR_DEVICE must be cpu, cuda or cuda:<n>; it is 'gpu'"),
    ("PRE_SECONDS", "-1", "PRE_SECONDS must be a number of seconds from 0 to 300; it is '-1'"),
    ("BIND_ADDRESS", "localhost", "BIND_ADDRESS must be an IP address; it is 'localhost'"),
    ("TEMPORAL_ADDRESS", "http://x:1/", "TEMPORAL_ADDRESS must be <host>:<port>; it is 'http://x:1/'"),
    ("SSO_DEFAULT_ROLE", "root", "SSO_DEFAULT_ROLE must be admin or operator; it is 'root'"),
    ("LOG_LEVEL", "loud", "LOG_LEVEL must be debug, info, warning or error; it is 'loud'"),
    # A secret's value is never repeated.
    ("API_KEY", "two words", "API_KEY must be printable ASCII without spaces"),
    ("SSO_PROXY_SECRET", "schlüssel", "SSO_PROXY_SECRET must be printable ASCII without spaces"),
    ("REID_ONNX_URL", "ftp://u:p@h/x", "REID_ONNX_URL must be an http or https address"),
]


@pytest.mark.parametrize(("name", "value", "sentence"), INVALID)
@pytest.mark.parametrize("where", ["environment", "file"])
def test_start_stops_with_one_sentence_when_a_value_is_invalid(
    name: str, value: str, sentence: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if where == "environment":
        monkeypatch.setenv(name, value)
    else:
        _env_file(f"{name}='{value}'\n")
    with pytest.raises(ConfigError) as raised:
        load_settings()
    assert str(raised.value) == sentence


@pytest.mark.parametrize("inside", ["", "recordings/x", "segments", "backups/../node"])
def test_start_stops_when_backups_would_lie_among_the_footage(
    inside: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("BACKUP_DIR", f"{tmp_path}/{inside}")
    with pytest.raises(ConfigError, match=r"^BACKUP_DIR must be outside DATA_DIR, or DATA_DIR/backups$"):
        load_settings()


def test_backups_may_lie_in_their_folder_or_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    for folder in (tmp_path / "data" / "backups", tmp_path / "data-backups"):
        monkeypatch.setenv("BACKUP_DIR", str(folder))
        assert load_settings().settings.backup_path == folder


def test_start_stops_when_the_buffer_is_too_short_for_the_preroll(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRE_SECONDS", "120")
    with pytest.raises(ConfigError, match=r"^SEGMENT_RETENTION_SECONDS must be at least .* = 126"):
        load_settings()


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("DETECTFPS", "DETECT_FPS"),
        ("API-KEY", "API_KEY"),
        ("segment_second", "SEGMENT_SECONDS"),
        ("DATA_DIRS", "DATA_DIR"),
    ],
)
def test_misspelt_name_stops_the_start_in_the_file_and_warns_in_the_environment(
    misspelt: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _env_file(f"{misspelt}=1\n")
    with pytest.raises(ConfigError, match=rf"^{misspelt} in .env is no setting of Iris; did you mean {meant}\?$"):
        load_settings()
    path.unlink()
    monkeypatch.setenv(misspelt, "1")
    warnings = load_settings().warnings
    assert f"{misspelt} in the environment is no setting of Iris; did you mean {meant}?" in warnings


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("this is no setting\n", 1),
        ("PORT=8120\n# fine\n\nAPI_KEY='SECRET-not-closed\n", 4),
        ("\n\nDETECT_FPS 3\nPORT=8120\n", 3),
    ],
)
def test_line_that_cannot_be_read_stops_the_start_with_its_number_when_in_the_file(text: str, line: int) -> None:
    path = _env_file(text)
    with pytest.raises(ConfigError) as caught:
        load_settings(path)
    assert str(caught.value).startswith(f"Line {line} of .env cannot be read")
    assert "SECRET" not in str(caught.value)


def test_lines_are_read_when_quoted_exported_or_blank() -> None:
    path = _env_file("\n  # note\n\nexport PORT=8131\nSSO_HEADER='X-Mail'  # note\r\nWEBHOOK_URL\n\n")
    settings = load_settings(path).settings
    assert (settings.port, settings.sso_header) == (8131, "X-Mail")


def test_foreign_names_are_ignored_when_in_the_file() -> None:
    _env_file("COMPOSE_PROJECT_NAME=iris\nPOSTGRES_PASSWORD=x\nTZ=UTC\n")
    assert load_settings().warnings == ()


def test_short_api_key_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "abc")
    assert load_settings().warnings == ("API_KEY is shorter than 16 characters and can be guessed",)


def test_settings_repr_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "canary-canary-canary")
    monkeypatch.setenv("SSO_PROXY_SECRET", "canary")
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:canary@h/d")
    settings = load_settings().settings
    assert "canary" not in repr(settings)
    assert settings.main_database_url == "postgresql://u:canary@h/d"


def test_camera_tuning_carries_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMERA_STALL_SECONDS", "3")
    monkeypatch.setenv("DETECT_INTERVAL_IDLE", "0.25")
    tuning = load_settings().settings.camera_tuning()
    assert (tuning.stall_timeout_s, tuning.detect_interval_idle_s, tuning.segment_seconds) == (3.0, 0.25, 2.0)


def _written_default(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.10g}"
    return f"./{value}" if isinstance(value, Path) else str(value)


def test_every_setting_is_described_and_documented() -> None:
    reference = (REPOSITORY / "docs" / "reference" / "settings.md").read_text()
    rows = {}
    for line in reference.splitlines():
        if line.startswith("| `"):
            name, default, allowed, meaning = (cell.strip() for cell in line.strip("|").split(" | "))
            rows[name.strip(" `")] = (default, allowed, meaning.strip(" |"))
    expected = {}
    for name, field in setting_fields().items():
        assert field.description
        allowed = allowed_text(field).replace("<", "&lt;").replace(">", "&gt;")
        default = _written_default(field.default)
        expected[name] = (f"`{default}`" if default else "(none)", allowed, field.description)
    assert rows == expected


def test_env_example_shows_every_setting_with_its_default() -> None:
    lines = re.findall(r"^#([A-Z_0-9]+)=(.*)$", (REPOSITORY / ".env.example").read_text(), re.MULTILINE)
    assert dict(lines) == {name: _written_default(field.default) for name, field in setting_fields().items()}


def test_env_example_is_accepted_when_all_of_it_is_uncommented() -> None:
    text = (REPOSITORY / ".env.example").read_text()
    _env_file(re.sub(r"^#([A-Z_0-9]+=)", r"\1", text, flags=re.MULTILINE))
    assert load_settings() == load_settings(None)
