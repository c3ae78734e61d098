"""A viewer for tests: FFmpeg, by PyAV, which nobody of this project wrote."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import av
from av.container import InputContainer

from workers.camera_sim.nal import Mark, read_mark


@dataclass(frozen=True, slots=True)
class Seen:
    """One video packet as it arrived; `ticks` is its time stamp."""

    mark: Mark
    ticks: int | None
    is_keyframe: bool


@contextmanager
def watching(url: str) -> Iterator[InputContainer]:
    """An open session; little is probed, so that it opens within a keyframe interval."""
    options = {"rtsp_transport": "tcp", "analyzeduration": "100000"}
    with av.open(url, options=options, timeout=(5.0, 5.0)) as container:
        yield container


def pictures(container: InputContainer) -> Iterator[Seen]:
    """Video packets as they arrive; ends with the stream."""
    for packet in container.demux(container.streams.video[0]):
        mark = read_mark(bytes(packet))
        if mark is not None:
            yield Seen(mark, packet.pts, packet.is_keyframe)


def look(url: str, count: int) -> list[Seen]:
    """The first `count` pictures of a session."""
    with watching(url) as container:
        return [seen for seen, _ in zip(pictures(container), range(count), strict=False)]
