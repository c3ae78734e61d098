"""The files of the project, for the tests that look at all of them."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("iris", "workflows", "activities", "workers", "web")


def project_files(*patterns: str) -> list[Path]:
    """Files that git tracks or would track, by shell patterns such as `*.py`; all of them without one."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in sorted(set(listed.split("\0"))) if name and (ROOT / name).is_file()]


def modules() -> list[str]:
    """Dotted names of all modules that ship; without migrations and `__main__`, which are programs."""
    names = []
    for path in project_files("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[0] in PACKAGES and "migrations" not in parts and parts[-1] != "__main__":
            names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names
