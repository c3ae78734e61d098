"""Where the Temporal program comes from: order, versions, one maker at a time, and the sentence where nothing works."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from iris.base.errors import ConfigError
from workers.temporal_binary import VERSION, Say, Way, cached_binary, ensure_temporal


def silent(_line: str) -> None:
    """Nobody reads."""


def program(path: Path, says: str) -> Path:
    """An executable that prints a version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def environment(folder: Path) -> dict[str, str]:
    return {"PATH": str(folder / "bin"), "XDG_CACHE_HOME": str(folder / "cache")}


def makes(says: str, made: list[str]) -> Way:
    lock = threading.Lock()

    def way(work: Path, _environment: Mapping[str, str], _say: Say, _tried: list[str]) -> Path:
        with lock:
            made.append(says)
        return program(work / "made", says)

    return way


def in_vain(_work: Path, _environment: Mapping[str, str], _say: Say, tried: list[str]) -> None:
    tried.append("this way was in vain")


def test_program_on_the_path_is_used_when_it_is_new_enough(tmp_path: Path) -> None:
    found = program(tmp_path / "bin" / "temporal", "temporal version 1.9.0 (Server 1.32.0, UI 2.53.1)")
    program(cached_binary(environment(tmp_path)), f"temporal version {VERSION}")
    assert ensure_temporal(environment(tmp_path), silent, ways=()) == found


@pytest.mark.parametrize(
    "says",
    [
        "temporal version 1.5.1 (Server 1.29.1, UI 2.42.1)",  # too old
        "temporal version 0.0.0-DEV (Server 1.31.2, UI 2.50.1)",  # nobody knows which
        "another program of that name",
    ],
)
def test_cached_program_is_used_when_the_one_on_the_path_does_not_fit(tmp_path: Path, says: str) -> None:
    program(tmp_path / "bin" / "temporal", says)
    cached = program(cached_binary(environment(tmp_path)), f"temporal version {VERSION}")
    assert ensure_temporal(environment(tmp_path), silent, ways=()) == cached


def test_program_is_made_again_when_the_cached_one_is_broken(tmp_path: Path) -> None:
    cached = cached_binary(environment(tmp_path))
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"half a program")
    made: list[str] = []
    assert ensure_temporal(environment(tmp_path), silent, ways=(in_vain, makes(f"version {VERSION}", made))) == cached
    assert made == [f"version {VERSION}"]
    assert os.access(cached, os.X_OK)


def test_program_is_made_once_when_several_ask_at_the_same_time(tmp_path: Path) -> None:
    made: list[str] = []
    way = makes(f"version {VERSION}", made)
    with ThreadPoolExecutor(4) as pool:
        ask = [pool.submit(ensure_temporal, environment(tmp_path), silent, (way,)) for _ in range(4)]
    assert {future.result() for future in ask} == {cached_binary(environment(tmp_path))}
    assert len(made) == 1
    assert [path.name for path in cached_binary(environment(tmp_path)).parent.iterdir() if path.is_dir()] == []


def test_one_sentence_lists_what_was_tried_when_nothing_works(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        ensure_temporal(environment(tmp_path), silent, ways=(in_vain,))
    for part in ("no temporal on the PATH", "this way was in vain", "TEMPORAL_ADDRESS", "Go 1.26.4"):
        assert part in str(caught.value)
