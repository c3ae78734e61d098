import subprocess
from fractions import Fraction
from pathlib import Path

import av
import pytest

from iris.adapters.av_segments import (
    FRAGMENT_US,
    MuxTemplates,
    SegmentFile,
    cut_to_whole_fragments,
    read_contents,
)
from iris.base.errors import CorruptMediaError, StorageError
from iris.domain.packet import CodecParams, EncodedPacket, MediaKind
from iris.media.timeline import ArrivedPacket, Timeline
from tests.builders.packets import (
    decoded_count,
    encoded_stream,
    interleaved,
    sound_params,
    sound_sequence,
)


def placed(packets: list[EncodedPacket], hint: int) -> list[EncodedPacket]:
    """The packets as a timeline gives them on, with both stamps."""
    items = [ArrivedPacket(p, 1_000_000 + int((p.pts or 0) * p.time_base * 1_000_000)) for p in packets]
    timeline = Timeline([i for i in items if i.packet.kind is MediaKind.VIDEO][:10], hint, 0)
    return [p.packet for i in items if (p := timeline.place(i.packet, i.arrived_us)) is not None]


def write(path: Path, params: CodecParams, packets: list[EncodedPacket], audio: CodecParams | None = None) -> None:
    templates = MuxTemplates(params, audio)
    file = SegmentFile(path, templates)
    for packet in packets:
        file.write(packet)
    file.close()
    templates.close()


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("b_frames", [0, 3])
def test_segment_plays_every_picture_at_its_time_when_cut_from_the_middle(
    tmp_path: Path, codec: str, b_frames: int
) -> None:
    params, packets = encoded_stream(codec=codec, n=60, gop=15, b_frames=b_frames)
    run = placed(list(packets), hint=2 if b_frames else 0)
    path = tmp_path / "a.mp4"
    write(path, params, run[30:])
    with av.open(str(path)) as container:
        shown = [f.pts * f.time_base for f in container.decode(video=0) if f.pts is not None and f.time_base]
        assert (container.streams.video[0].width, container.streams.video[0].height) == (160, 96)
    assert [t - shown[0] for t in shown] == [Fraction(i, 15) for i in range(30)]
    with av.open(str(path)) as container:
        sent = [(p.pts, bytes(p)) for p in container.demux(video=0) if p.size and p.pts is not None]
    zero = sent[0][0]
    assert [pts - zero for pts, _ in sent] == [(p.pts or 0) - (run[30].pts or 0) for p in run[30:]]
    played = subprocess.run(["ffmpeg", "-v", "error", "-i", path, "-f", "null", "-"], capture_output=True, check=True)
    assert played.stderr == b""


def test_segment_keeps_sound_in_time_with_pictures_when_cut_from_the_middle(tmp_path: Path) -> None:
    params, packets = encoded_stream(n=60, gop=15)
    run = placed(interleaved(packets, sound_sequence(n=180, start=700)), hint=0)
    cut = next(i for i, p in enumerate(run) if p.kind is MediaKind.VIDEO and p.pts == 30 * 6000)
    late = run[cut - 1]  # sound from before the cut that comes after it
    assert late.kind is MediaKind.AUDIO
    path = tmp_path / "a.mp4"
    write(path, params, [run[cut], late, *run[cut + 1 :]], sound_params())
    with av.open(str(path)) as container:
        assert container.streams.audio[0].codec_context.extradata == b"\x11\x90"
        assert container.streams.audio[0].codec_context.sample_rate == 48_000
        got = [(p.stream.type, p.pts, bytes(p)) for p in container.demux() if p.size and p.pts is not None]
    zero = next(pts for kind, pts, _ in got if kind == "video")
    zero_s = zero * Fraction(1, 90_000)
    heard = {data: pts * Fraction(1, 48_000) - zero_s for kind, pts, data in got if kind == "audio"}
    wanted = {p.payload: p for p in [late, *run[cut + 1 :]] if p.kind is MediaKind.AUDIO}
    assert heard.keys() == wanted.keys()
    for payload, packet in wanted.items():
        assert abs(heard[payload] - ((packet.pts or 0) * packet.time_base - 2)) < Fraction(1, 10_000)


def test_segment_reaches_the_system_every_half_second_when_its_writer_is_killed(tmp_path: Path) -> None:
    params, packets = encoded_stream(n=60, gop=60)
    path, copy = tmp_path / "a.part", tmp_path / "copy.mp4"
    file = SegmentFile(path, MuxTemplates(params, None))
    for index, packet in enumerate(placed(list(packets), hint=0), start=1):
        file.write(packet)
        copy.write_bytes(path.read_bytes())  # what a kill would leave
        whole = cut_to_whole_fragments(copy)
        kept = read_contents(copy).video_packet_count if whole else 0
        assert (index - kept) * 66_667 <= FRAGMENT_US + 2 * 66_667


@pytest.mark.parametrize("share", [0.5, 0.7, 0.9])
def test_cut_keeps_whole_fragments_only_when_the_file_ends_anywhere(tmp_path: Path, share: float) -> None:
    params, packets = encoded_stream(n=60, gop=60)
    path = tmp_path / "a.part"
    write(path, params, placed(list(packets), hint=0))
    whole_size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(round(whole_size * share))
    assert 0 < cut_to_whole_fragments(path) == path.stat().st_size
    contents = read_contents(path)
    assert decoded_count(path) == contents.video_packet_count < 60
    assert contents.media_us == pytest.approx(contents.video_packet_count * 66_667, abs=100)


def test_cut_stops_at_zeros_when_a_power_cut_left_them(tmp_path: Path) -> None:
    params, packets = encoded_stream(n=60, gop=60)
    path = tmp_path / "a.part"
    write(path, params, placed(list(packets), hint=0)[:31])
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(bytes(5000))
    assert 0 < cut_to_whole_fragments(path) <= size


def test_cut_finds_nothing_when_the_file_has_only_its_header(tmp_path: Path) -> None:
    params, packets = encoded_stream(n=4, gop=4)
    path = tmp_path / "a.part"
    file = SegmentFile(path, MuxTemplates(params, None))
    file.write(placed(list(packets), hint=0)[0])
    assert cut_to_whole_fragments(path) == 0


def test_read_contents_says_corrupt_when_it_is_no_segment(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"not a film")
    with pytest.raises(CorruptMediaError):
        read_contents(path)


def test_segment_file_refuses_a_name_that_is_taken(tmp_path: Path) -> None:
    params, _ = encoded_stream(n=4, gop=4)
    path = tmp_path / "a.part"
    path.write_bytes(b"footage")
    with pytest.raises(StorageError):
        SegmentFile(path, MuxTemplates(params, None))
    assert path.read_bytes() == b"footage"
