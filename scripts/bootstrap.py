"""Makes the virtual environment: `python3 scripts/bootstrap.py [runtime | dev]`. Standard library only.

Installs exactly what requirements/*.txt pin by hash, with uv where it can be had and with pip where not. A stamp inside
the environment holds the hash of what was installed, so that a second run takes no time. Must start on Python 3.8, to
be able to say which one is needed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "iris-bootstrap.json"
OLDEST, NEWEST = (3, 11), (3, 13)
# The environment of dev holds that of runtime.
SETS = {"runtime": ["runtime"], "dev": ["dev", "runtime"]}


def main() -> int:
    """Bring `.venv` to the wanted set of requirements."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else "runtime"
    if wanted not in SETS or len(sys.argv) > 2:
        return _fail("usage: bootstrap.py [runtime | dev]")
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        return _with_another_python()
    if _stamped().get(wanted) == _fingerprint(wanted):
        return 0
    if not _has_python(VENV):
        _say("making the virtual environment .venv")
        if not _make_environment():
            return _fail("no virtual environment could be made; on Debian: apt-get install python3-venv")
    _say(f"installing requirements/{wanted}.txt")
    if not _install(wanted):
        return _fail(f"requirements/{wanted}.txt could not be installed; the lines above say why")
    _write_command()
    STAMP.write_text(json.dumps({name: _fingerprint(name) for name in SETS[wanted]}))
    return 0


def _with_another_python() -> int:
    """Start again under a Python that fits, else say which ones do."""
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        other = shutil.which(f"python3.{minor}")
        if other and subprocess.run([other, "-c", ""], check=False, stderr=subprocess.DEVNULL).returncode == 0:
            return subprocess.run([other, *sys.argv], check=False).returncode
    here = f"{sys.version_info[0]}.{sys.version_info[1]} ({sys.executable})"
    return _fail(
        f"Iris needs Python 3.11, 3.12 or 3.13; this is {here}. "
        "Install one, or name it: make PYTHON=/path/to/python3.12 up"
    )


def _fingerprint(wanted: str) -> str:
    digest = hashlib.sha256(f"{sys.version_info[:2]}".encode())
    digest.update((ROOT / "requirements" / f"{wanted}.txt").read_bytes())
    return digest.hexdigest()


def _stamped() -> dict[str, str]:
    try:
        stamps = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return stamps if _has_python(VENV) and isinstance(stamps, dict) else {}


def _python(environment: Path) -> Path:
    return environment / "bin" / "python"


def _has_python(environment: Path) -> bool:
    """Whether the environment works and has the version that runs this script."""
    program = f"import sys; sys.exit(sys.version_info[:2] != {tuple(sys.version_info[:2])})"
    try:
        return subprocess.run([_python(environment), "-c", program], check=False).returncode == 0
    except OSError:
        return False


def _make_environment() -> bool:
    if VENV.exists():
        _say("the environment there is broken or of another Python; it is made anew")
        shutil.rmtree(VENV)
    for command in (
        [sys.executable, "-m", "venv"],
        *([[uv, "venv", "-q", "-p", sys.executable]] if (uv := shutil.which("uv")) else []),
    ):
        if subprocess.run([*command, str(VENV)], check=False, stdout=subprocess.DEVNULL).returncode == 0:
            return True
        shutil.rmtree(VENV, ignore_errors=True)
    return False


def _install(wanted: str) -> bool:
    what = ["--no-deps", "--require-hashes", "-r", str(ROOT / "requirements" / f"{wanted}.txt")]
    uv = _uv()
    if uv is not None:
        command = [uv, "pip", "install", "--python", str(_python(VENV)), *what]
        if subprocess.run(command, check=False, env=_uv_settings()).returncode == 0:
            return True
        _say("uv did not manage; pip tries")
    return _pip([*what])


def _uv() -> str | None:
    """The machine's uv, else one put into the environment, else None."""
    for there in (VENV / "bin" / "uv", shutil.which("uv")):
        if there and Path(there).exists():
            return str(there)
    pinned = str(ROOT / "requirements" / "bootstrap.txt")
    uv = VENV / "bin" / "uv"
    if _pip(["-q", "--no-deps", "--require-hashes", "-r", pinned]) and uv.exists():
        return str(uv)
    _say("uv cannot be had; pip does it, which takes longer")
    return None


def _pip(arguments: list[str]) -> bool:
    # An environment that uv made has no pip of its own.
    if subprocess.run([str(_python(VENV)), "-c", "import pip"], check=False, capture_output=True).returncode != 0:
        subprocess.run([str(_python(VENV)), "-m", "ensurepip"], check=False, stdout=subprocess.DEVNULL)
    command = [str(_python(VENV)), "-m", "pip", "install", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, check=False).returncode == 0


def _uv_settings() -> dict[str, str]:
    """The environment for uv, which does not read pip's settings: what pip uses is handed on."""
    settings = dict(os.environ)
    pip = _pip_settings()
    for option, variable in (
        ("index-url", "UV_DEFAULT_INDEX"),
        ("extra-index-url", "UV_INDEX"),
        ("find-links", "UV_FIND_LINKS"),
        ("cert", "SSL_CERT_FILE"),
    ):
        if option in pip:
            settings.setdefault(variable, pip[option])
    return settings


def _pip_settings() -> dict[str, str]:
    command = [str(_python(VENV)), "-m", "pip", "config", "list"]
    listed = subprocess.run(command, check=False, capture_output=True, text=True)
    settings = {}
    for line in listed.stdout.splitlines():
        name, _, value = line.partition("=")
        settings[name.strip(":").rpartition(".")[2]] = value.strip().strip("'\"")
    return settings


def _write_command() -> None:
    """`.venv/bin/iris`: the command line, without building a package first."""
    command = VENV / "bin" / "iris"
    lines = [f"#!{_python(VENV)}", "import sys", "", f"sys.path.insert(0, {str(ROOT)!r})", ""]
    lines += ["from workers.cli import main", "", "sys.exit(main())", ""]
    command.write_text("\n".join(lines))
    command.chmod(0o755)


def _say(text: str) -> None:
    print(f"set-up: {text}", file=sys.stderr, flush=True)


def _fail(text: str) -> int:
    _say(text)
    return 1


if __name__ == "__main__":
    sys.exit(main())
