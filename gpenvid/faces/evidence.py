"""Whether a track is of a face, by all that is known of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Beliefs of close looks that nearly all frames of a track reach: 0.98 and more on faces of weak scores (old film, coarse
# coding), 0.6 to 0.96 on leaves, clothes, hands and the back of a head.
_DOUBTED, _TRUSTED = 0.94, 0.98
_STRONG = 0.3  # of the way from the detector's sure score to 1: no leaves get so far, and a head that turns away may be doubted for a while
_LASTING, _LONG = 8, 32  # frames that a face must last whose scores are all weak; that make up for a second sighting: over two windows


def is_face(scores: Sequence[float], beliefs: Sequence[float], length: int, sure: float) -> bool:
    """Whether what is known of a track suffices: a score that needs no other evidence, or weaker ones and what close looks say in between.

    Args:
        scores: of the frames in which the detector saw it, at least one.
        beliefs: of close looks, in [0, 1]; empty where none were taken.
        length: frames that it lasts.
        sure: the detector's score from which a face needs no other evidence.
    """
    best = max(scores)
    low = float(np.percentile(beliefs, 5)) if len(beliefs) else None
    if best < sure:
        return low is not None and low >= _TRUSTED and len(scores) >= 2 and length >= _LASTING
    if low is None or low >= _TRUSTED or best >= sure + _STRONG * (1 - sure):
        return True
    return low >= _DOUBTED and (len(scores) >= 2 or length >= _LONG)
