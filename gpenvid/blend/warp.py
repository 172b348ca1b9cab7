"""Cutting aligned crops out of a picture, and carrying changes of a crop back, without aliasing either way."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from gpenvid.geometry import Affine, apply_affine, compose, invert, resize_affine

Image = NDArray[np.float32]

_CUBIC = 2.0  # pixels beyond a place that cubic interpolation looks at
_TAILS = 4.0  # sigmas at which Gaussians end
_ENLARGED = 0.95  # magnification from which nothing is low-passed: the kernel would be one pixel
_BLOCKS = 0.5  # of the pixels that become one: how long blocks may be to leave the shape of the low-pass to the Gaussian


def crop_bounds(to_crop: Affine, size: int) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 of the crop's outline in the picture."""
    corners = np.array([[0, 0], [size - 1, 0], [0, size - 1], [size - 1, size - 1]], float)
    outline = apply_affine(invert(to_crop), corners)
    low, high = outline.min(axis=0), outline.max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def magnification(to_crop: Affine) -> float:
    """Crop pixels per picture pixel: above 1 the crop enlarges the face, below 1 it shrinks it."""
    return float(np.sqrt(abs(np.linalg.det(to_crop[:, :2]))))


def source_bounds(to_crop: Affine, size: int) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 of all that `cut_crop` looks at in the picture."""
    reach = _CUBIC + _TAILS * _sigma(magnification(to_crop))
    left, top, right, bottom = crop_bounds(to_crop, size)
    return left - reach, top - reach, right + reach, bottom + reach


def cut_crop(image: Image, to_crop: Affine, size: int, origin: tuple[int, int] = (0, 0)) -> Image:
    """Resample an aligned crop.

    A face larger than the crop is low-passed first: sampling it would alias, and shimmer in motion. Its picture is never resized to a
    rounded size on the way, which would shift with the part of the picture that is given: an eighth of the restorer's change was that.

    Args:
        image: (H, W, 3) float32.
        to_crop: the map from image pixels to crop pixels.
        size: side of the crop.
        origin: x, y of the image in the picture that it is a part of. With `source_bounds` in it, any part gives the same crop,
            unless most of the face lies outside of the picture.

    Returns:
        (size, size, 3) float32; beyond the image its border is mirrored.
    """
    factor = magnification(to_crop)
    if factor < _ENLARGED:
        image, to_crop = _low_passed(image, to_crop, size, origin)
    crop = cv2.warpAffine(image, to_crop, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return np.clip(np.asarray(crop, np.float32), 0, 1)


def _low_passed(image: Image, to_crop: Affine, size: int, origin: tuple[int, int]) -> tuple[Image, Affine]:
    """What a shrinking crop needs of an image, without the detail that the crop cannot hold, and the map from there."""
    height, width = image.shape[:2]
    factor = magnification(to_crop)
    # Wide kernels cost most on the largest faces: those are averaged in blocks first, on a grid that stays where it is.
    step = min(max(1, int(_BLOCKS / factor)), width, height)
    x0, y0, x1, y1 = source_bounds(to_crop, size)
    left, right = _on_grid(x0, x1, width, origin[0], step)
    top, bottom = _on_grid(y0, y1, height, origin[1], step)
    part = image[top:bottom, left:right]
    if step > 1:
        part = np.asarray(cv2.resize(part, None, fx=1 / step, fy=1 / step, interpolation=cv2.INTER_AREA), np.float32)
    sigma = float(np.sqrt(_sigma(factor) ** 2 - (step**2 - 1) / 12)) / step
    part = np.asarray(cv2.GaussianBlur(part, (0, 0), sigma), np.float32)
    to_part = compose(resize_affine(1 / step, 1 / step), np.array([[1.0, 0.0, -left], [0.0, 1.0, -top]]))
    return part, compose(to_crop, invert(to_part))


def _on_grid(low: float, high: float, length: int, origin: int, step: int) -> tuple[int, int]:
    """The blocks inside a length that hold what lies between two places; all of them where nothing does."""
    first = -origin % step if length >= 2 * step else 0
    last = first + (length - first) // step * step
    if high <= first or low >= last - 1:
        return first, last
    begin = first + int((max(low, first) - first) // step) * step
    return begin, min(last, first + int(-(-(high + 1 - first) // step)) * step)


def _sigma(factor: float) -> float:
    """Of the Gaussian as wide as the average over what becomes one pixel, when a picture is shrunk by a factor; in its pixels."""
    return 0.36 * float(np.sqrt(max(0.0, 1 / factor**2 - 1)))


def return_change(change: Image, to_crop: Affine, width: int, height: int) -> Image:
    """Carry a crop's change back to the picture.

    Where the crop had enlarged the face the change is low-passed first, or its detail would alias in the small face.

    Args:
        change: (S, S) or (S, S, C) float32, zero at its border.

    Returns:
        (height, width[, C]) float32, exactly zero outside the crop.
    """
    factor = magnification(to_crop)
    if factor > 1.05:
        change = np.asarray(cv2.GaussianBlur(change, (0, 0), _sigma(1 / factor)), np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    back = cv2.warpAffine(change, to_crop, (width, height), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(back, np.float32)
