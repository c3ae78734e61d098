"""Publishes what a killed process left of its last segment. Any thread; touches one file and no index."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from iris.adapters.av_segments import cut_to_whole_fragments, read_contents
from iris.adapters.media_files import rewrite, sha256_of, translated, unlink_durably
from iris.base.errors import CorruptMediaError
from iris.outbox.segments import DurableSegment, WritingRow

PART_SUFFIX = ".part"
BROKEN_SUFFIX = ".broken"


def adopt_unfinished(
    row: WritingRow, data_dir: Path, publish_file: Callable[[Path, Path], None]
) -> DurableSegment | None:
    """Cut a file behind its last whole fragment and publish it; idempotent.

    A file that was published and whose row was not written yet is taken as it is. One that has fragments but cannot
    be read is set aside as `.broken`, never removed.

    Returns:
        What the row gets; None where there is no footage.

    Raises:
        StorageError: The disk refuses; nothing is lost by trying again.
    """
    part = data_dir / row.path
    final_path = row.path.removesuffix(PART_SUFFIX)
    final = data_dir / final_path
    path = part if part.exists() else final
    if not path.exists():
        return None
    if cut_to_whole_fragments(path) == 0:
        unlink_durably(path)
        return None
    try:
        contents = read_contents(path)
    except CorruptMediaError:
        with translated(f"set {path.name} aside"):
            path.rename(path.with_name(path.name + BROKEN_SUFFIX))
        return None
    # An fsync of it may have failed before: of this process, of the killed one, or one that the kernel did by itself.
    rewrite(path)
    size_bytes, sha256 = measured(path)
    publish_file(path, final)
    return DurableSegment(
        final_path,
        row.start_us,
        row.start_us + contents.media_us,
        size_bytes,
        contents.video_packet_count,
        contents.audio_packet_count,
        sha256,
        contents.max_gop_us,
    )


def measured(path: Path) -> tuple[int, str]:
    """Size in bytes and hash of a file.

    Raises:
        StorageError: It cannot be read.
    """
    with translated(f"read {path.name}"):
        size_bytes = path.stat().st_size
    return size_bytes, sha256_of(path)
