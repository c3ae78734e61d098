"""Pictures to JPEG and back. RGB on this side; OpenCV's BGR stays in here."""

from __future__ import annotations

import cv2
import numpy as np

from iris.base.errors import StorageError
from iris.domain.frame import UInt8Array

DEFAULT_QUALITY = 80


def encode_jpeg(rgb: UInt8Array, *, quality: int = DEFAULT_QUALITY) -> bytes:
    """A (H, W, 3) uint8 RGB picture as JPEG.

    Args:
        rgb: The picture.
        quality: 1..100; 80 takes 0.4 ms at 640 wide and 3 ms at 1080p.

    Raises:
        StorageError: The encoder refused it (an empty picture).
    """
    try:
        done, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    except cv2.error as error:
        raise StorageError(f"a picture of {rgb.shape} could not be encoded as JPEG") from error
    if not done:
        raise StorageError(f"a picture of {rgb.shape} could not be encoded as JPEG")
    return data.tobytes()


def decode_jpeg(data: bytes) -> UInt8Array:
    """A JPEG as (H, W, 3) uint8 RGB.

    Raises:
        StorageError: It is no JPEG, or damaged.
    """
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise StorageError("the picture is no JPEG") from error
    if bgr is None:
        raise StorageError("the picture is no JPEG")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
