"""Small text files that are made once and then only read: keys, ids, the store's mark.

Several processes may start at once: each writes a file of its own and links it to the name, which succeeds for
exactly one; all then read the same text. A power cut leaves either no file or the whole one.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from iris.adapters.media_files import fsync_dir, storage_error, translated


def read_text_once(path: Path) -> str | None:
    """The text without white space around it; None where there is no file.

    Raises:
        StorageError: It cannot be read.
    """
    try:
        return path.read_text("utf-8").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise storage_error(error, f"read {path}") from error
    except UnicodeDecodeError:
        return ""


def create_once(path: Path, make: Callable[[], str]) -> tuple[str, bool]:
    """The text of a file (0600), and whether it was made just now, durably, with what `make` answers.

    Raises:
        DiskFullError: No space is left.
        StorageError: It cannot be read or made.
    """
    text = read_text_once(path)
    if text is not None:
        return text, False
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with translated(f"make {path}"):
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(make() + "\n")
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(temporary, path)
                made = True
            except FileExistsError:
                made = False
        finally:
            temporary.unlink(missing_ok=True)
    fsync_dir(path.parent)
    return read_text_once(path) or "", made
