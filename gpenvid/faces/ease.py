"""How much of the change a face takes from frame to frame: gently in, gently out, less where it cannot be right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, maximum_filter1d, minimum_filter1d

from gpenvid.faces.tracks import Flag


@dataclass(frozen=True)
class GuardSettings:
    """When a face is left alone. Each pair is (nothing is restored, all is), with a ramp between.

    Attributes:
        eye_distance: in pixels of the full picture.
        blur: sharpness of the face as a share of the same person's usual one (median of the track): a moment of motion blur.
        focus: sharpness itself (`sharpness`): faces out of focus all along.
        turn: how far the nose lies from the middle of the eyes, in eye distances; 0 is frontal, about 0.5 is a profile.
        ease: frames over which a face comes in and goes out inside a shot.
    """

    eye_distance: tuple[float, float] = (6.0, 10.0)
    turn: tuple[float, float] = (0.75, 0.50)
    blur: tuple[float, float] = (0.35, 0.55)
    focus: tuple[float, float] = (0.04, 0.08)
    ease: int = 6


_HEIGHT_PER_EYES = 1.15  # of GPEN's template


def _ramp(values: NDArray[np.float64], limits: tuple[float, float]) -> NDArray[np.float64]:
    nothing, everything = limits
    return np.clip((values - nothing) / (everything - nothing), 0, 1)


def turn(landmarks: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far faces (N, 5, 2) are turned sideways: the nose's distance from the eyes' middle along the eyes' line."""
    left, right, nose = landmarks[:, 0], landmarks[:, 1], landmarks[:, 2]
    axis = right - left
    length = np.maximum(np.hypot(axis[:, 0], axis[:, 1]), 1e-6)
    along = ((nose - (left + right) / 2) * axis).sum(axis=1) / length
    # A profile's eyes fall together; the face's height keeps the measure finite.
    return np.asarray(np.abs(along) / np.maximum(length, 0.5 * _height(landmarks)))


def _height(landmarks: NDArray[np.float64]) -> NDArray[np.float64]:
    """From the eyes' line to the mouth, in pixels."""
    return np.asarray(np.hypot(*((landmarks[:, 3] + landmarks[:, 4]) / 2 - (landmarks[:, 0] + landmarks[:, 1]) / 2).T))


def _size(landmarks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Eye distance in pixels as it would be from the front: a turned head's eyes are closer, its height is not less."""
    eyes = np.hypot(*(landmarks[:, 1] - landmarks[:, 0]).T)
    return np.asarray(np.maximum(eyes, _height(landmarks) / _HEIGHT_PER_EYES))


def face_weights(
    landmarks: NDArray[np.float64],
    start: int,
    shot: tuple[int, int],
    settings: GuardSettings,
    sharpness: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], list[Flag]]:
    """Weights (N,) of a track from frame `start` on, inside a shot (first frame, frame after the last), and their reasons.

    A guard that trips for a moment is ignored and one that trips twice within a few frames stays on: hysteresis, without
    looking at the past only. Changes of weight are spread over frames, or faces would blink.

    Args:
        landmarks: (N, 5, 2) in pixels of the full picture.
        sharpness: (N,), not a number where it was not measured; None if it was nowhere.
    """
    count = len(landmarks)
    guards = {"too small": _ramp(_size(landmarks), settings.eye_distance), "turned away": _ramp(turn(landmarks), settings.turn)}
    if sharpness is not None and np.isfinite(sharpness).any():
        usual = float(np.nanmedian(sharpness))
        seen = np.where(np.isfinite(sharpness), sharpness, usual)
        guards["too blurred"] = np.minimum(_ramp(seen / max(usual, 1e-6), settings.blur), _ramp(seen, settings.focus))
    weights = np.ones(count)
    flags: list[Flag] = []
    for reason, values in guards.items():
        steady = _settle(values)
        flags += _runs(steady < 0.5, start, reason)
        weights = np.minimum(weights, steady)
    # Beyond a shot's edges the face goes on as it was, beyond a track's own ends it is not there.
    position = np.arange(count)
    if start != shot[0]:
        weights = np.minimum(weights, (position + 1) / (settings.ease + 1))
    if start + count != shot[1]:
        weights = np.minimum(weights, (count - position) / (settings.ease + 1))
    return np.clip(weights, 0, 1).round(4).astype(np.float64), flags


def _settle(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Open and close over a few frames, then soften."""
    if len(values) < 5:
        return values
    opened = minimum_filter1d(maximum_filter1d(values, 5, mode="nearest"), 5, mode="nearest")
    closed = maximum_filter1d(minimum_filter1d(opened, 9, mode="nearest"), 9, mode="nearest")
    return np.asarray(gaussian_filter1d(closed, 2.0, mode="nearest"))


def _runs(mask: NDArray[np.bool_], start: int, reason: str) -> list[Flag]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return [Flag(start + int(a), start + int(b), reason) for a, b in edges.reshape(-1, 2)]
