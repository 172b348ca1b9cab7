"""`gpenvid verify --pixels`: what no face explains fails, what a face explains passes, and a long film costs no memory."""

from __future__ import annotations

import pickle
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from films import encode, portrait

import gpenvid
from gpenvid import RestoreSettings
from gpenvid.media.audit import audit
from gpenvid.media.audit_pixels import PixelTally
from gpenvid.media.findings import Audit


def _film(path: Path, pictures: np.ndarray) -> Path:
    return encode(path, "ffv1", "gray", [av.VideoFrame.from_ndarray(p, "gray") for p in pictures])


def _told(source: Path, result: Path) -> list[str]:
    return [f.detail for f in audit(source, result, pixels=True).findings if f.outcome == "differs"]


@pytest.mark.parametrize(
    ("change", "told"), [("black", "1 of 8 pictures, first in frame 5"), ("off by one", "by about 48 dB"), ("noise", "by about 34 dB")]
)
def test_what_no_face_explains_fails(change: str, told: str, tmp_path: Path) -> None:
    pictures = np.repeat(cv2.cvtColor(portrait(), cv2.COLOR_RGB2GRAY)[None, :240, :320].clip(9, 240), 8, axis=0)
    changed = pictures.copy()
    if change == "black":
        changed[5] = 0
    elif change == "off by one":
        changed += 1
    else:
        changed += np.random.default_rng(0).integers(0, 9, pictures.shape, np.uint8)
    found = _told(_film(tmp_path / "a.mkv", pictures), _film(tmp_path / "b.mkv", changed))
    assert len(found) == 1
    assert told in found[0]


def test_a_face_that_fills_the_picture_passes_without_loss_too(tmp_path: Path) -> None:
    near = cv2.resize(portrait()[75:165, 177:267], (448, 448), interpolation=cv2.INTER_CUBIC)
    film = encode(tmp_path / "a.mkv", "ffv1", "yuv420p", [av.VideoFrame.from_ndarray(near, "rgb24")] * 3)
    report = gpenvid.restore(film, tmp_path / "b.mkv", RestoreSettings(detector="builtin", codec="ffv1", keep_colour=False))
    assert report.faces == 3
    assert _told(film, tmp_path / "b.mkv") == []


def test_what_is_held_does_not_grow_with_the_film() -> None:
    tally, plane, sizes = PixelTally(8), np.zeros((480, 640), np.uint8), []
    for i in range(40):
        tally.add([plane], [plane + np.uint8(i)], str(i))
        sizes.append(len(pickle.dumps(tally)))
    assert sizes[-1] < sizes[0] + 100
    tally.tell(Audit(Path("a"), Path("b")))
