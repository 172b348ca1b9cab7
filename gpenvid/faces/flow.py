"""Carrying faces from frame to frame by optical flow on what surrounds them.

Pyramidal Lucas-Kanade (Bouguet 2001) on corners of the face, a similarity fitted to all that survive. The similarity is
always the one from the frame the points were chosen in, so errors do not add up along a window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from gpenvid.geometry import Affine, Face, FloatArray, apply_affine

_WINDOW = (15, 15)
_LEVELS = 3
_CORNERS = 48
_LEAST = 6  # points below which a similarity means nothing
_LEAST_MARGIN = 24.0  # pixels around the points: how far a small face may move between frames
_PATCH = 0.06  # of the eye distance: how far points about a landmark lie from it
_MOST_EXPRESSION = 0.30  # of the eye distance: further than this a point has slipped, not a mouth opened
_EXPRESSION_SHARE = 0.7
_CRITERIA = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 12, 0.03)


@dataclass(frozen=True)
class Trajectory:
    """Where one face goes over a run of frames.

    Attributes:
        landmarks: (N, 5, 2), the first of them where it was detected.
        motions: N similarities from the first frame's picture to each frame's.
        lost: index from which on the flow could not follow; N if never.
    """

    landmarks: NDArray[np.float64]
    motions: list[Affine]
    lost: int

    def head(self, count: int) -> Trajectory:
        """The first `count` frames of it."""
        return Trajectory(self.landmarks[:count], self.motions[:count], min(self.lost, count))


def _corners(gray: NDArray[np.uint8], face: Face) -> NDArray[np.float32]:
    x0, y0, x1, y1 = (float(v) for v in face.box)
    # The inner face: borders of the box hold background, which moves otherwise.
    inset_x, inset_y = 0.08 * (x1 - x0), 0.05 * (y1 - y0)
    left, right = max(0, int(x0 + inset_x)), min(gray.shape[1], int(x1 - inset_x) + 1)
    top, bottom = max(0, int(y0 + inset_y)), min(gray.shape[0], int(y1 - inset_y) + 1)
    points = _around_landmarks(face)
    if right - left > 4 and bottom - top > 4:
        spacing = max(2.0, (right - left) / 14)
        found = cv2.goodFeaturesToTrack(gray[top:bottom, left:right], _CORNERS, 0.01, spacing)
        if found is not None:
            points = np.concatenate([points, np.asarray(found, np.float32).reshape(-1, 2) + np.array([left, top], np.float32)])
    return points.reshape(-1, 1, 2).astype(np.float32)


def _around_landmarks(face: Face) -> NDArray[np.float32]:
    """Each landmark and four points about it, (25, 2): where expressions are read."""
    reach = _PATCH * max(face.eye_distance, 8.0)
    offsets = reach * np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]])
    return (np.asarray(face.landmarks, np.float64)[:, None] + offsets[None]).reshape(-1, 2).astype(np.float32)


def _robust_similarity(before: FloatArray, after: FloatArray) -> Affine | None:
    if len(before) < _LEAST:
        return None
    # Fixed seed by OpenCV's own default generator state: the same points give the same answer.
    cv2.setRNGSeed(0)
    matrix, inliers = cv2.estimateAffinePartial2D(
        before, after, method=cv2.RANSAC, ransacReprojThreshold=1.5, maxIters=200, confidence=0.99
    )
    if matrix is None or inliers is None or int(inliers.sum()) < _LEAST:
        return None
    return np.asarray(matrix, np.float64)


def follow(grays: Sequence[NDArray[np.uint8]], faces: Sequence[Face]) -> list[Trajectory]:
    """Carry faces of the first frame through the following ones.

    Args:
        grays: the frames (H, W) uint8, in the order of travel (reverse them to go back in time).
        faces: faces found in `grays[0]`, in its pixels.
    """
    return [_follow_one(grays, face) for face in faces]


def _follow_one(grays: Sequence[NDArray[np.uint8]], face: Face) -> Trajectory:
    origin = _corners(grays[0], face)
    current, alive = origin.copy(), np.ones(len(origin), bool)
    motions: list[Affine] = [np.eye(2, 3)]
    landmarks = [np.asarray(face.landmarks, np.float64)]
    lost = len(grays)
    for t, (before, after) in enumerate(pairwise(grays), start=1):
        if lost == len(grays):
            current, found = _step(before, after, current)
            alive &= found
            matrix = _robust_similarity(origin[alive], current[alive])
            if matrix is None:
                lost = t
            else:
                motions.append(matrix)
                landmarks.append(apply_affine(matrix, face.landmarks) + _expression(face, matrix, origin, current, alive))
                continue
        motions.append(motions[-1])
        landmarks.append(landmarks[-1])
    return Trajectory(np.stack(landmarks), motions, lost)


def _expression(
    face: Face, motion: Affine, origin: NDArray[np.float32], current: NDArray[np.float32], alive: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """What landmarks do beyond the head's motion, (5, 2): the median of the points about each that are not lost, limited."""
    count = 5 * len(face.landmarks)
    beyond = (current[:count, 0].astype(np.float64) - apply_affine(motion, origin[:count, 0])).reshape(-1, 5, 2)
    around = alive[:count].reshape(-1, 5)
    own = np.array([np.median(b[a], axis=0) if a.any() else (0, 0) for b, a in zip(beyond, around, strict=True)])
    length = np.hypot(*own.T)[:, None]
    limit = _MOST_EXPRESSION * max(face.eye_distance, 1.0)
    return np.asarray(own * np.minimum(1.0, limit / np.maximum(length, 1e-9)) * _EXPRESSION_SHARE)


def _relit(picture: NDArray[np.uint8], like: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture with the brightness and contrast of another: film flickers, Lucas-Kanade assumes that nothing does."""
    (mean, spread), (wanted, wanted_spread) = (cv2.meanStdDev(p) for p in (picture, like))
    gain = float(np.clip(wanted_spread[0, 0] / max(spread[0, 0], 1.0), 0.5, 2.0))
    if abs(gain - 1) < 0.02 and abs(float(wanted[0, 0] - mean[0, 0])) < 1.5:
        return picture
    return np.asarray(cv2.convertScaleAbs(picture, alpha=gain, beta=float(wanted[0, 0] - gain * mean[0, 0])), np.uint8)


def _step(
    before: NDArray[np.uint8], after: NDArray[np.uint8], points: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Lucas-Kanade inside the face's surroundings: the pyramid of a whole frame costs ten times as much as the points."""
    low, high = points.min(axis=(0, 1)), points.max(axis=(0, 1))
    margin = max(_LEAST_MARGIN, 0.5 * float((high - low).max()))
    left, top = (max(0, int(v - margin)) for v in low)
    right, bottom = (int(v + margin) + 1 for v in high)
    window = np.s_[top:bottom, left:right]
    if min(before[window].shape) < _WINDOW[0]:
        return points, np.zeros(len(points), bool)
    corner = np.array([left, top], np.float32)
    local = points - corner
    moved, status, _ = cv2.calcOpticalFlowPyrLK(
        before[window], _relit(after[window], before[window]), local, local.copy(), winSize=_WINDOW, maxLevel=_LEVELS, criteria=_CRITERIA
    )
    return np.asarray(moved + corner, np.float32), status.ravel().astype(bool)
