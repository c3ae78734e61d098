from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from iris.adapters.once_file import create_once
from iris.adapters.vault import Vault, ensure_api_key, open_vault, read_api_key
from iris.base.errors import ConfigError, StorageError

ADDRESS = "rtsp://admin:p%40ss@192.0.2.1/stream"


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_vault_opens_what_it_sealed_after_a_restart(tmp_path: Path) -> None:
    sealed = open_vault(tmp_path).seal(ADDRESS, "camera-1")
    assert b"p%40ss" not in sealed
    assert open_vault(tmp_path).open(sealed, "camera-1") == ADDRESS


def test_vault_seals_differently_each_time(tmp_path: Path) -> None:
    vault = open_vault(tmp_path)
    assert vault.seal(ADDRESS, "c") != vault.seal(ADDRESS, "c")


def test_secrets_are_private(tmp_path: Path) -> None:
    open_vault(tmp_path)
    ensure_api_key(tmp_path)
    folder = tmp_path / "secrets"
    assert (_mode(folder), _mode(folder / "credentials.key"), _mode(folder / "api_key")) == (0o700, 0o600, 0o600)


def test_vault_refuses_clearly_when_the_key_is_another(tmp_path: Path) -> None:
    sealed = open_vault(tmp_path / "a").seal(ADDRESS, "c")
    with pytest.raises(ConfigError, match=r"does not open with DATA_DIR/secrets/credentials\.key; put the key back"):
        open_vault(tmp_path / "b").open(sealed, "c")


def test_vault_refuses_when_the_row_is_of_another_camera(tmp_path: Path) -> None:
    vault = open_vault(tmp_path)
    with pytest.raises(ConfigError):
        vault.open(vault.seal(ADDRESS, "camera-1"), "camera-2")


@pytest.mark.parametrize("damage", [b"", b"\x01", b"\x02" + bytes(40), b"\x01" + bytes(40)])
def test_vault_refuses_when_the_value_is_damaged(damage: bytes) -> None:
    with pytest.raises(ConfigError):
        Vault(bytes(32)).open(damage, "c")


@pytest.mark.parametrize("text", ["", "abc", "zz" * 32, "ab" * 31])
def test_vault_refuses_when_the_key_file_is_no_key(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "credentials.key").write_text(text)
    with pytest.raises(ConfigError, match="is no key: it must hold 64 hexadecimal digits"):
        open_vault(tmp_path)


def test_api_key_is_made_once(tmp_path: Path) -> None:
    assert read_api_key(tmp_path) is None
    key, made = ensure_api_key(tmp_path)
    assert made
    assert len(key) >= 43
    assert ensure_api_key(tmp_path) == (key, False)
    assert read_api_key(tmp_path) == key


def test_api_key_refuses_when_the_file_is_empty(tmp_path: Path) -> None:
    ensure_api_key(tmp_path)
    (tmp_path / "secrets" / "api_key").write_text("\n")
    with pytest.raises(ConfigError, match="is empty; delete it"):
        read_api_key(tmp_path)


def test_create_once_makes_one_text_when_many_start_at_once(tmp_path: Path) -> None:
    path = tmp_path / "id"
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: create_once(path, lambda: f"text {number}"), range(64)))
    assert len({text for text, _made in answers}) == 1
    assert sum(made for _text, made in answers) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_create_once_leaves_nothing_when_it_fails(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        create_once(tmp_path / "missing" / "id", lambda: "x")
    assert list(tmp_path.iterdir()) == []
