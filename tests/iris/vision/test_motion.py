import numpy as np
import pytest

from iris.vision.motion import BOXES_SIZE_PX, GATE_SIZE_PX, MotionBoxes, MotionGate

S = 1_000_000


def gate_picture(box: tuple[int, int, int, int] | None = None, shade: int = 120) -> np.ndarray:
    luma = np.full((GATE_SIZE_PX[1], GATE_SIZE_PX[0]), 90, np.uint8)
    if box is not None:
        luma[box[1] : box[3], box[0] : box[2]] = shade
    return luma


def noisy(luma: np.ndarray, seed: int, sigma: float) -> np.ndarray:
    generator = np.random.default_rng(seed)  # noqa: TID251 - a seeded generator of the test
    return np.clip(luma + generator.normal(0, sigma, luma.shape), 0, 255).astype(np.uint8)


def test_gate_opens_for_the_first_picture_and_closes_when_still() -> None:
    gate = MotionGate()
    assert gate.moving(gate_picture(), 0)
    assert not any(gate.moving(gate_picture(), i * S // 5) for i in range(1, 20))


def test_gate_stays_closed_when_there_is_only_sensor_noise() -> None:
    gate = MotionGate()
    gate.moving(noisy(gate_picture(), 0, 5), 0)
    opened = [gate.moving(noisy(gate_picture(), i, 5), i * S // 5) for i in range(1, 60)]
    assert sum(opened[5:]) == 0


@pytest.mark.parametrize(
    ("box", "shade"),
    [
        ((50, 30, 54, 38), 120),  # a person far away: 90 pixels high at 1080p
        ((40, 20, 60, 80), 104),  # a person near, hardly darker than the wall
    ],
)
def test_gate_opens_when_somebody_comes(box: tuple[int, int, int, int], shade: int) -> None:
    gate = MotionGate()
    for i in range(10):
        gate.moving(gate_picture(), i * S)
    assert gate.moving(gate_picture(box, shade), 10 * S)


@pytest.mark.parametrize("interval_us", [S // 5, S])
def test_gate_forgets_a_parked_car_in_the_same_time_at_any_pace(interval_us: int) -> None:
    gate = MotionGate()
    gate.moving(gate_picture(), 0)
    parked = [at for at in range(interval_us, 30 * S, interval_us) if gate.moving(gate_picture((20, 20, 60, 60)), at)]
    # 30 grey levels fall below 9 after 1.2 memories of 4 s.
    assert parked[0] == interval_us
    assert 3.5 * S <= parked[-1] <= 6 * S


def test_gate_does_not_learn_when_an_earlier_picture_is_shown_again() -> None:
    gate = MotionGate()
    gate.moving(gate_picture(), 10 * S)
    assert all(gate.moving(gate_picture((20, 20, 60, 60)), 9 * S) for _ in range(200))


def scene(box: tuple[int, int, int, int] | None = None, shade: int = 200) -> np.ndarray:
    luma = np.full((BOXES_SIZE_PX[1], BOXES_SIZE_PX[0]), 90, np.uint8)
    if box is not None:
        luma[box[1] : box[3], box[0] : box[2]] = shade
    return luma


def test_motion_boxes_are_empty_for_the_first_picture_and_a_still_scene() -> None:
    motion = MotionBoxes()
    for _ in range(5):
        assert motion.update(scene(), S // 5).shape == (0, 4)


def test_motion_boxes_surround_what_walks() -> None:
    motion = MotionBoxes()
    motion.update(scene(), 0)
    for x in range(40, 200, 8):
        found = motion.update(scene((x, 60, x + 24, 130)), S // 5)
        assert len(found) == 1
        assert found[0] == pytest.approx([x, 60, x + 24, 130], abs=12)


def test_motion_boxes_reach_the_edge_of_the_picture_when_somebody_leaves_by_it() -> None:
    motion = MotionBoxes()
    motion.update(scene(), 0)
    found = motion.update(scene((0, 60, 20, 180)), S // 5)
    assert found[0].tolist()[0] == 0
    assert found[0].tolist()[3] == 180


def test_motion_boxes_ignore_a_leaf() -> None:
    motion = MotionBoxes()
    motion.update(scene(), 0)
    assert len(motion.update(scene((100, 100, 108, 108)), S // 5)) == 0


def test_motion_boxes_ignore_the_light_and_see_again_at_once() -> None:
    motion = MotionBoxes()
    motion.update(scene(), 0)
    bright = scene() + 80
    assert len(motion.update(bright, S // 5)) == 0
    bright[60:130, 100:130] = 10
    assert len(motion.update(bright, S // 5)) == 1


def test_motion_boxes_leave_no_ghost_when_a_parked_car_drives_away() -> None:
    motion = MotionBoxes()
    car = scene((100, 60, 160, 120))
    for _ in range(20):
        motion.update(car, S // 5)
    seen = [len(motion.update(scene(), S // 5)) for _ in range(50)]
    assert seen[0] == 1
    assert sum(seen[15:]) == 0  # where it stood is seen for three seconds at most


def test_motion_boxes_begin_anew_when_the_size_changes() -> None:
    motion = MotionBoxes()
    motion.update(scene(), 0)
    assert len(motion.update(np.full((90, 160), 10, np.uint8), S // 5)) == 0
