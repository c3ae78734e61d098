"""The environment of a process that runs a module of the product: it finds the product in whatever folder it starts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_ROOT = str(Path(__file__).resolve().parents[1])


def product_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` with the folder of the product first on Python's path, and without the working folder on it.

    The script `iris` of a source tree finds the product by itself, but `python -m` in a child would look for it in the
    working folder, which can be any and may hold files of the same names.
    """
    others = [folder for folder in environment.get("PYTHONPATH", "").split(os.pathsep) if folder not in ("", _ROOT)]
    return {**environment, "PYTHONPATH": os.pathsep.join([_ROOT, *others]), "PYTHONSAFEPATH": "1"}
