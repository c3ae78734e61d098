"""The pipeline that everybody writes first, to compare with: `python -m tests.bench.naive URL MODEL FOLDER`.

Every frame is decoded to BGR by OpenCV, gets a motion mask and a float32 letterbox; every third one goes through the
network; an ffmpeg process records over a second connection. Spared what only bad luck would cost: the network runs
on one thread that does not spin, motion looks at 320x180. Counts go to the file `counts` of the folder.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

COUNTS = struct.Struct("<QQ")
DETECT_EVERY = 3  # 15 frames a second, 5 detections


def ffmpeg_recorder(url: str, folder: Path) -> list[str]:
    """The usual command that records a camera in segments of 2 s."""
    return [
        "ffmpeg", "-nostdin", "-loglevel", "error", "-rtsp_transport", "tcp", "-i", url, "-c", "copy",
        "-f", "segment", "-segment_time", "2", "-reset_timestamps", "1", str(folder / "seg_%05d.mp4"),
    ]  # fmt: skip


def read_counts(folder: Path) -> dict[str, int]:
    """Frames and detections so far, and segments that are there."""
    path = folder / "counts"
    data = path.read_bytes() if path.exists() else b""
    frames, detections = COUNTS.unpack(data) if len(data) == COUNTS.size else (0, 0)
    return {"frames": frames, "detections": detections, "segments": len(list(folder.glob("seg_*.mp4")))}


def main(url: str, model: str, folder: Path) -> None:
    """Until the camera ends or this process is told to."""
    # Here and not above: the bench imports the functions above and needs none of these.
    import cv2
    import numpy as np
    import onnxruntime as ort

    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "rtsp_transport;tcp"
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    motion = cv2.createBackgroundSubtractorMOG2()
    folder.mkdir(exist_ok=True)
    recorder = subprocess.Popen(ffmpeg_recorder(url, folder))
    counts = os.open(folder / "counts", os.O_CREAT | os.O_WRONLY, 0o600)
    capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG)
    frames = detections = 0
    try:
        while True:
            more, bgr = capture.read()
            if not more:
                break
            motion.apply(cv2.resize(bgr, (320, 180)))
            boxed = np.full((640, 640, 3), 114, np.uint8)
            boxed[140:500] = cv2.resize(bgr, (640, 360))
            tensor = np.ascontiguousarray((boxed[..., ::-1].astype(np.float32) / 255).transpose(2, 0, 1))[None]
            frames += 1
            if frames % DETECT_EVERY == 0:
                (raw,) = session.run(None, {"images": tensor})
                keep_people(raw[0])
                detections += 1
            os.pwrite(counts, COUNTS.pack(frames, detections), 0)
    finally:
        recorder.terminate()
        recorder.wait()


def keep_people(raw: object) -> object:
    """Boxes of people out of the network's (84, N) output."""
    import cv2
    import numpy as np

    rows = np.asarray(raw).T
    best = rows[:, 4:].argmax(axis=1)
    kept = rows[(best == 0) & (rows[:, 4] >= 0.5)]
    corners = [[float(x - w / 2), float(y - h / 2), float(w), float(h)] for x, y, w, h in kept[:, :4]]
    return cv2.dnn.NMSBoxes(corners, kept[:, 4].astype(float).tolist(), 0.5, 0.45)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
