"""A second opinion on what detection of every frame followed.

It follows leaves and the backs of heads too, and no track is to hold those.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpenvid.faces.detector import Detector
from gpenvid.geometry import Face
from gpenvid.job.models import is_here, open_detector
from gpenvid.job.progress import Silent

_LOOKS = 5  # frames of a chain that are judged, evenly spread
_SEES = 0.3  # score from which the judge sees a face; where RetinaFace stays below in all looks, there was none by eye
_NEAR = 0.6  # eye distances


def other_detector(name: str) -> Detector | None:
    """RetinaFace as the judge of any other detector, the built-in one as RetinaFace's; None where RetinaFace's file is missing."""
    if name.startswith("retinaface"):
        return open_detector("builtin", "cpu", Silent())
    return open_detector("retinaface-mobilenet", "cpu", Silent()) if is_here("retinaface-mobilenet", "detector") else None


def is_confirmed(judge: Detector, frames: Sequence[np.ndarray], chain: Sequence[tuple[int, Face]]) -> bool:
    """Whether the judge sees a face where the chain has one, in at least one of a few frames.

    Args:
        judge: the other detector.
        frames: of the clip, (H, W, 3) uint8 RGB.
        chain: frame numbers and faces.
    """
    for k in np.unique(np.linspace(0, len(chain) - 1, _LOOKS).round().astype(int)):
        t, face = chain[k]
        for seen in judge.detect([frames[t]])[0]:
            apart = np.hypot(*(seen.landmarks - face.landmarks).T).mean()
            if seen.score >= _SEES and apart < _NEAR * max(seen.eye_distance, face.eye_distance):
                return True
    return False
