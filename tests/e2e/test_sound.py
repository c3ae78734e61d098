"""Sound is kept and in sync: the clip's packets are found again in the film, by their bytes."""

from __future__ import annotations

import hashlib
import statistics
from collections import defaultdict
from pathlib import Path

import av
import pytest

from tests.assets import film, skip_or_fail
from tests.e2e.films import decode_errors, probe
from tests.e2e.gst_camera import GstCamera, gst_is_available
from tests.e2e.running_iris import RunningIris, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.assets, pytest.mark.timeout(180)]


def slices(payload: bytes) -> bytes:
    """The slice NAL units of a length-prefixed H.264 packet; servers add and drop parameter sets beside them."""
    found, at = b"", 0
    while at + 4 < len(payload):
        size = int.from_bytes(payload[at : at + 4], "big")
        nal = payload[at + 4 : at + 4 + size]
        if nal and nal[0] & 0x1F in (1, 5):
            found += nal
        at += 4 + size
    return found


def packets(path: Path, kind: str) -> list[tuple[str, float]]:
    """A hash of what each packet carries, and its presentation time in seconds."""
    with av.open(str(path)) as container:
        stream = next(s for s in container.streams if s.type == kind)
        return [
            (hashlib.sha256(slices(bytes(p)) if kind == "video" else bytes(p)).hexdigest(), float(p.pts * p.time_base))
            for p in container.demux(stream)
            if p.size and p.pts is not None and p.time_base is not None
        ]


def offsets(clip: Path, source: Path, kind: str, near: float | None = None) -> list[float]:
    """Clip time less film time of each packet of the clip, which all must be in the film.

    The film's sound repeats itself, so of several places the one nearest to `near` counts.
    """
    inside = defaultdict(list)
    for key, at in packets(source, kind):
        inside[key].append(at)
    found = []
    sent = packets(clip, kind)
    last = sent[-1][1]
    for key, at in sent:
        places = inside[key]
        if not places and at == last:
            continue  # the server ends the film with an end-of-sequence unit and trims the last picture
        assert places, f"a {kind} packet at {at} s that is not in the film"
        found.append(min((at - place for place in places), key=lambda x: abs(x - (near or 0.0))))
    return found


def test_clips_have_their_sound_in_sync_when_the_camera_sends_it(tmp_path: Path) -> None:
    if not gst_is_available():
        skip_or_fail("apt-get install gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-good")
    source = film("cars-with-sound.mp4")
    with RunningIris(tmp_path / "data") as iris, GstCamera(source, sound=True) as camera:
        settings = {"detector_backend": "motion", "trigger_cooldown": 3, "pre_seconds": 2, "post_seconds": 3}
        camera_id = iris.add_camera(rtsp_url=camera.url, **settings)["id"]
        assert camera.wait_for_end(60)
        wait_until(iris.events, 20, "an event")
        wait_until(lambda: len(iris.terminal_events()) == len(iris.events()), 40, "all events end")
        events = [event for event in iris.events(camera_id=camera_id) if event["clip_url"]]
        assert events
        for event in events:
            clip = tmp_path / f"{event['id']}.mp4"
            clip.write_bytes(iris.call("GET", event["clip_url"]).content)
            assert decode_errors(clip) == ""
            kinds = {stream["codec_type"]: stream for stream in probe(clip)["streams"]}
            assert kinds["audio"]["codec_name"] == "aac"
            assert kinds["audio"]["sample_rate"] == "48000"
            video = offsets(clip, source, "video")
            picture_offset = statistics.median(video)
            audio = offsets(clip, source, "audio", near=picture_offset)
            sound_s, picture_s = float(kinds["audio"]["duration"]), float(kinds["video"]["duration"])
            assert sound_s == pytest.approx(picture_s, abs=0.1), "sound for all of the clip"
            apart = [picture_offset - offset for offset in audio]
            print(
                f"{event['id']}: {len(video)} pictures, {len(audio)} sounds, apart {max(map(abs, apart)) * 1e3:.1f} ms"
            )
            assert max(map(abs, apart)) <= 0.05
            assert max(video) - min(video) <= 0.05, "the pictures keep their distances"
