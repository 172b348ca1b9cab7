"""A second opinion on what detection of every frame followed.

It follows leaves and the backs of heads too, and no track is to hold those.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpenvid.faces.detector import Detector
from gpenvid.faces.nms import box_overlap
from gpenvid.faces.placed import PlacedDetector
from gpenvid.faces.tracks import Tracks
from gpenvid.geometry import Face
from gpenvid.job.models import is_here, open_detector
from gpenvid.job.progress import Silent

_LOOKS = 5  # frames of a chain that are judged, evenly spread
_NEAR = 0.6  # eye distances
_SURE, _WIDE, _SAME = 0.9, 40 / 640, 0.4  # score and share of the picture's longer side of faces to be held; overlap of the same face


def other_detector(name: str) -> Detector | None:
    """RetinaFace as the judge of any other detector, the built-in one as RetinaFace's; None where RetinaFace's file is missing.

    Whether there is a face they say independently. Where its landmarks lie they do not: the same close looks place them.
    """
    if name.startswith("retinaface"):
        return open_detector("builtin", "cpu", Silent())
    if not is_here("retinaface-mobilenet", "detector"):
        return None
    judge = open_detector("retinaface-mobilenet", "cpu", Silent())
    # By itself: close looks are the built-in detector's own opinion.
    return judge.detector if isinstance(judge, PlacedDetector) else judge


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
            if apart < _NEAR * max(seen.eye_distance, face.eye_distance):
                return True
    return False


def held_by(tracks: Tracks, judge: Detector, frames: Sequence[np.ndarray]) -> tuple[int, int, int]:
    """Faces of 40 pixels (of 640) and more that the judge is sure of, how many tracks hold, and faces of tracks where it sees none."""
    wanted = held = strays = 0
    for t, frame in enumerate(frames):
        seen = judge.detect([frame])[0]
        theirs = np.array([f.box for f in seen], np.float32).reshape(-1, 4)
        ours = np.array([k.boxes[t - k.start] for k in tracks.at(t)], np.float32).reshape(-1, 4)
        overlap = box_overlap(ours, theirs) >= _SAME
        sure = np.array([f.score >= _SURE and f.box[2] - f.box[0] >= _WIDE * max(frame.shape) for f in seen], bool)
        wanted += int(sure.sum())
        held += int(overlap.any(axis=0)[sure].sum())
        strays += int((~overlap.any(axis=1)).sum())
    return wanted, held, strays
