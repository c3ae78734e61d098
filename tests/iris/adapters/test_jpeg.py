import cv2
import numpy as np
import pytest

from iris.adapters.jpeg import encode_jpeg
from iris.base.errors import StorageError


def test_jpeg_keeps_colours_and_size() -> None:
    rgb = np.zeros((40, 60, 3), np.uint8)
    rgb[:] = (200, 100, 30)
    data = encode_jpeg(rgb)
    assert data[:2] == b"\xff\xd8"
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert bgr is not None
    assert bgr.shape == rgb.shape
    assert bgr[20, 30].tolist() == pytest.approx([30, 100, 200], abs=6)


def test_jpeg_refuses_an_empty_picture() -> None:
    with pytest.raises(StorageError):
        encode_jpeg(np.zeros((0, 0, 3), np.uint8))
