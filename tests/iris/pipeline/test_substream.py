import threading
from collections.abc import Iterator
from fractions import Fraction

import pytest

from iris.base.errors import CameraAuthError, CameraError, CameraStalledError
from iris.camera_ports import PacketSource
from iris.domain.packet import CodecParams, EncodedPacket, MediaKind
from iris.domain.segment import GapReason, RunStart
from iris.pipeline.substream import ArrivalAnchor, SubstreamReader
from tests.fakes.clock import SimulatedClock

S = 1_000_000
TICKS = Fraction(1, 1_000_000)
VIDEO = CodecParams(MediaKind.VIDEO, "h264", TICKS)
AUDIO = CodecParams(MediaKind.AUDIO, "aac", TICKS)


def test_anchor_follows_the_quickest_arrival() -> None:
    anchor = ArrivalAnchor()
    arrivals = [(0, 900_000), (S, 1_500_000), (2 * S, 2_800_000)]
    walls = [anchor.wall_us(pts, arrival) for pts, arrival in arrivals]
    assert walls[:2] == [900_000, 1_500_000]
    assert walls[2] == pytest.approx(2_500_000, abs=1_000)


def test_anchor_follows_a_camera_whose_clock_runs_slow() -> None:
    anchor = ArrivalAnchor()
    errors = [abs(anchor.wall_us(i * S, i * (S + 200)) - i * (S + 200)) for i in range(3_600)]
    assert max(errors) <= 400


def test_anchor_is_set_anew_when_the_timeline_jumps() -> None:
    anchor = ArrivalAnchor()
    anchor.wall_us(100 * S, 5 * S)
    assert anchor.wall_us(0, 6 * S) == 6 * S


class Session:
    """Implements `iris.ports.PacketSource`: some packets, then an error or waiting for `close`."""

    def __init__(self, error: CameraError | None) -> None:
        self._error = error
        self._closed = threading.Event()

    @property
    def streams(self) -> tuple[CodecParams, ...]:
        return (AUDIO, VIDEO)

    def packets(self) -> Iterator[EncodedPacket]:
        yield EncodedPacket(MediaKind.AUDIO, b"a", 0, 0, TICKS, is_keyframe=True)
        yield EncodedPacket(MediaKind.VIDEO, b"k", None, None, TICKS, is_keyframe=True)
        yield EncodedPacket(MediaKind.VIDEO, b"p", 100_000, None, TICKS, is_keyframe=False)
        if self._error is not None:
            raise self._error
        self._closed.wait(30)
        raise CameraStalledError("closed")

    def close(self) -> None:
        self._closed.set()


class Sessions:
    """Implements `iris.ports.PacketSourceOpener`: what each attempt meets."""

    def __init__(self, *met: CameraError | Session) -> None:
        self._met = list(met)

    def open(self, url: str) -> PacketSource:
        met = self._met.pop(0)
        if isinstance(met, CameraError):
            raise met
        return met


class Tap:
    """Implements `iris.ports.PacketTap`; writes down."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.told = threading.Condition()

    def _note(self, word: str) -> None:
        with self.told:
            self.heard.append(word)
            self.told.notify_all()

    def run_started(self, run: RunStart) -> None:
        self._note(f"run {run.video.codec}")

    def packet(self, packet: EncodedPacket, wall_us: int) -> None:
        self._note(packet.payload.decode())

    def run_ended(self, reason: GapReason, sentence: str) -> None:
        self._note(f"end {reason.value}: {sentence}")


class Ids:
    def new_id(self) -> str:
        return "00000000-0000-7000-8000-000000000000"


def test_substream_is_tried_again_when_refused_and_when_it_stalls() -> None:
    tap = Tap()
    opener = Sessions(
        CameraAuthError("the camera refused the password"), Session(CameraStalledError("no packet")), Session(None)
    )
    reader = SubstreamReader(opener, "rtsp://camera/sub", tap, SimulatedClock(), Ids())
    reader.start()
    expected = [
        "end camera_auth: the detection stream: the camera refused the password",
        *("run h264", "k", "p"),
        "end camera_stalled: the detection stream: no packet",
        *("run h264", "k", "p"),
    ]
    with tap.told:
        assert tap.told.wait_for(lambda: len(tap.heard) >= len(expected), 20), tap.heard
        assert tap.heard == expected
    assert reader.stop()
    assert reader.connected_count == 2
