"""Zero-phase smoothing of a face's place along its track."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, minimum_filter1d

from gpenvid.faces.align import GPEN, crop_affine
from gpenvid.faces.tracks import Track
from gpenvid.geometry import apply_affine

_WIDTHS = (0.0, 1.0, 1.5, 2.2, 3.3, 5.0, 7.5)  # standard deviations in frames, narrow to wide
_TOLERANCE = 0.02  # of the eye distance: how far a wider average may lie from a narrower one
_BEHIND = 0.038  # of the eye distance: how far a moving head's smoothed place may lie from where the landmarks put it
_AROUND = 0.05  # the same, in addition, for a head that is still
_BREATH = 0.7  # frames: standard deviation of the low-pass before speed is taken; more would hide the weave of film
_SLOW, _MOVING = 0.02, 0.03  # eye distances a frame between which the one passes into the other
_SHAPE = np.array([1, 6, 15, 20, 15, 6, 1])  # weights of a frame's neighbours in the shape of a face


def smooth_parameters(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
    """Smooth (N, 4) log scale, angle, centre x, centre y without delay, as much as the motion allows.

    For every frame the widest symmetric Gaussian is taken whose result stays within 3 to 4% of the eye distance of all
    narrower ones (Lepski's rule): a still head is averaged over many frames, a fast turn over hardly any. What trembles around
    the average is not always noise: old film weaves, and a nod can be shorter than the averages. Where a head moves, its place
    is therefore kept within 4% of the eye distance of the landmarks'.
    """
    values = parameters.copy()
    if len(values) < 3:
        return values
    values[:, 1] = np.unwrap(values[:, 1])
    calm = _averaged(values)
    side = np.exp(values[:, :1])
    eyes = GPEN.eye_distance * side[:, 0]
    speed = np.hypot(*np.gradient(gaussian_filter1d(values[:, 2:], _BREATH, axis=0, mode="nearest"), axis=0).T) / eyes
    still = np.clip((_MOVING - speed) / (_MOVING - _SLOW), 0, 1)
    apart = _shift(calm - values, side) / eyes
    kept = np.minimum(1, (_BEHIND + still * _AROUND) / np.maximum(apart, 1e-9))
    return np.asarray(values + kept[:, None] * (calm - values))


def steady_shape(track: Track, frame: int, size: int) -> NDArray[np.float64]:
    """Where a face's landmarks lie in its own crop, (5, 2) in pixels, averaged over three frames on either side inside the track.

    Args:
        frame: index in the clip.
        size: side of the crop, GPEN's template.
    """
    at, reach = frame - track.start, len(_SHAPE) // 2
    near = range(max(0, at - reach), min(len(track.landmarks), at + reach + 1))
    shapes = [apply_affine(crop_affine(track.parameters[i], size), track.landmarks[i]) for i in near]
    return np.asarray(np.average(shapes, axis=0, weights=[_SHAPE[i - at + reach] for i in near]))


def _averaged(values: NDArray[np.float64]) -> NDArray[np.float64]:
    levels = np.stack([_gaussian(values, width) for width in _WIDTHS])
    chosen = _widest_consistent(levels, np.exp(values[:, :1]))
    # The choice itself is smoothed: a width that jumps from frame to frame would be jitter of its own.
    # Narrow choices spread first: smoothing must let go before a turn, not after it has begun.
    soft = gaussian_filter1d(minimum_filter1d(chosen.astype(float), 7, mode="nearest"), 1.5, mode="nearest")
    low = np.clip(np.floor(soft).astype(int), 0, len(_WIDTHS) - 2)
    part = (soft - low)[:, None]
    rows = np.arange(len(values))
    return np.asarray((1 - part) * levels[low, rows] + part * levels[low + 1, rows])


def _gaussian(values: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    if width == 0:
        return values
    reach = min(int(4 * width + 0.5), len(values) - 1)
    # Odd reflection keeps a steady motion steady up to the track's ends.
    head, tail = 2 * values[0] - values[reach:0:-1], 2 * values[-1] - values[-2 : -2 - reach : -1]
    padded = np.concatenate([head, values, tail])
    # Cut where the padding ends: beyond it there is nothing that would keep the slope.
    return np.asarray(gaussian_filter1d(padded, width, axis=0, truncate=reach / width)[reach : reach + len(values)])


def _widest_consistent(levels: NDArray[np.float64], side: NDArray[np.float64]) -> NDArray[np.int64]:
    """Per frame the index of the widest level that agrees with all narrower ones."""
    narrow = levels[1]  # the raw values jitter by as much as the tolerance
    chosen = np.ones(levels.shape[1], np.int64)
    open_ = np.ones(levels.shape[1], bool)
    for k in range(2, len(levels)):
        open_ &= _shift(levels[k] - narrow, side) <= _TOLERANCE * GPEN.eye_distance * side[:, 0] * (1 + 0.2 * k)
        chosen[open_] = k
    return chosen


def _shift(change: NDArray[np.float64], side: NDArray[np.float64]) -> NDArray[np.float64]:
    """Changes (N, 4) in pixels; scale and angle as the shift they cause half a face from the centre."""
    return np.asarray(np.hypot(change[:, 2], change[:, 3]) + 0.25 * side[:, 0] * (np.abs(change[:, 0]) + np.abs(change[:, 1])))
