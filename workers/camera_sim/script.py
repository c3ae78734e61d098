"""Plays a script of faults on a running camera, on a thread of its own."""

from __future__ import annotations

import threading
from dataclasses import replace

from workers.camera_sim.faults import ScriptedFault
from workers.camera_sim.scene import SceneSpec
from workers.camera_sim.server import CameraSim


def parse_size(text: str) -> tuple[int, int]:
    """Width and height of `WIDTHxHEIGHT`.

    >>> parse_size('640x360')
    (640, 360)
    """
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise ValueError(f"{text!r} is no size such as 640x360")
    return int(width), int(height)


class FaultScript:
    """Makes each fault happen at its time after `start`.

    Args:
        camera: The running camera.
        faults: What happens when; any order.
        scene: The generated scene, for `resize`; None where a film is served.
    """

    def __init__(self, camera: CameraSim, faults: list[ScriptedFault], scene: SceneSpec | None) -> None:
        self._camera = camera
        self._faults = sorted(faults)
        self._scene = scene
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._play, name="camera-sim-script", daemon=True)

    def start(self) -> None:
        """Begin; the script's time zero is now."""
        self._thread.start()

    def stop(self) -> None:
        """Leave out what has not happened yet."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _play(self) -> None:
        passed_s = 0.0
        for fault in self._faults:
            if self._stop.wait(max(0.0, fault.at_s - passed_s)):
                return
            passed_s = max(passed_s, fault.at_s) + self._make(fault)

    def _make(self, fault: ScriptedFault) -> float:
        """Do it; returns the seconds it took, where it has a length."""
        camera, value = self._camera, fault.value
        match fault.name:
            case "stall" | "freeze":
                camera.stall(frozen=fault.name == "freeze")
                self._stop.wait(float(value))
                camera.resume()
                return float(value)
            case "drop" | "reset":
                camera.drop(reset=fault.name == "reset")
            case "away":
                camera.go_away(float(value))
            case "jump":
                camera.jump(float(value))
            case "lose":
                camera.faults.packets_to_lose = int(value)
            case "answer":
                camera.faults.answer_status = int(value) or None
            case "redirect":
                camera.faults.redirect_to = value
            case _:
                self._resize(value)
        return 0.0

    def _resize(self, value: str) -> None:
        width_px, height_px = parse_size(value)
        self._camera.show(replace(self._scene or SceneSpec(), width_px=width_px, height_px=height_px))
