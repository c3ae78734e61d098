"""Which picture of an event becomes its thumbnail."""

from __future__ import annotations

from iris.presence.trigger import Sighting

# A person who fills a sixth of the picture is easily seen in it; more is no better.
_AREA_ENOUGH = 1 / 6
# A box this near to the edge (share of the picture's side) is cut off by it, or about to be.
_EDGE_SHARE = 0.01
_CUT_OFF_FACTOR = 0.5
_MUCH_BETTER = 1.15


def shot_score(sighting: Sighting, size_px: tuple[int, int]) -> float:
    """How good a picture of those seen in it is, 0 to 1 for each: sure, large, and not cut off by the edge.

    Several people in one picture add up, so that the one with all of them is taken.

    Args:
        sighting: Boxes in pixels of the picture, with scores.
        size_px: (width, height) of the picture.

    >>> middle = Sighting(0, 0, ("person",), ((200.0, 80.0, 400.0, 280.0),), (0.9,))
    >>> corner = Sighting(0, 0, ("person",), ((0.0, 80.0, 200.0, 280.0),), (0.9,))
    >>> shot_score(middle, (640, 360)) > shot_score(corner, (640, 360))
    True
    """
    width, height = size_px
    total = 0.0
    for (x1, y1, x2, y2), score in zip(sighting.boxes_xyxy, sighting.scores, strict=True):
        area = max(0.0, x2 - x1) * max(0.0, y2 - y1) / (width * height)
        size = min(1.0, area / _AREA_ENOUGH) ** 0.5
        # People who stand near are cut off below by nearly every camera, so the lower edge does not count.
        cut_off = x1 <= _EDGE_SHARE * width or y1 <= _EDGE_SHARE * height or x2 >= (1 - _EDGE_SHARE) * width
        total += score * size * (_CUT_OFF_FACTOR if cut_off else 1.0)
    return total


def is_better_shot(score: float, best_score: float | None) -> bool:
    """Whether it is worth replacing the kept picture: the first always is, then only a clear gain.

    >>> is_better_shot(0.5, None), is_better_shot(0.55, 0.5), is_better_shot(0.6, 0.5)
    (True, False, True)
    """
    return best_score is None or score > _MUCH_BETTER * best_score


def thumbnail_size_px(size_px: tuple[int, int], width_px: int = 640) -> tuple[int, int]:
    """Size of the thumbnail of a picture: its proportions, `width_px` wide at most, both sides even.

    >>> thumbnail_size_px((1920, 1080)), thumbnail_size_px((768, 432)), thumbnail_size_px((321, 241))
    ((640, 360), (640, 360), (320, 240))
    """
    width, height = size_px
    target = min(width_px, width)
    return max(2, target // 2 * 2), max(2, round(height * target / width / 2) * 2)
