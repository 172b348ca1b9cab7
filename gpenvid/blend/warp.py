"""Cutting aligned crops out of a picture, and carrying changes of a crop back, without aliasing either way."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from gpenvid.geometry import Affine, apply_affine, compose, invert, resize_affine

Image = NDArray[np.float32]


def crop_bounds(to_crop: Affine, size: int) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 of the crop's outline in the picture."""
    corners = np.array([[0, 0], [size - 1, 0], [0, size - 1], [size - 1, size - 1]], float)
    outline = apply_affine(invert(to_crop), corners)
    low, high = outline.min(axis=0), outline.max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def magnification(to_crop: Affine) -> float:
    """Crop pixels per picture pixel: above 1 the crop enlarges the face, below 1 it shrinks it."""
    return float(np.sqrt(abs(np.linalg.det(to_crop[:, :2]))))


def cut_crop(image: Image, to_crop: Affine, size: int) -> Image:
    """Resample an aligned crop.

    A face larger than the crop is shrunk by averaging areas first: sampling it would alias, and shimmer in motion.

    Args:
        image: (H, W, 3) float32.
        to_crop: the map from image pixels to crop pixels.
        size: side of the crop.

    Returns:
        (size, size, 3) float32; beyond the image its border is mirrored.
    """
    factor = magnification(to_crop)
    if factor < 0.95:
        height, width = image.shape[:2]
        smaller = (max(1, round(width * factor)), max(1, round(height * factor)))
        image = np.asarray(cv2.resize(image, smaller, interpolation=cv2.INTER_AREA), np.float32)
        to_crop = compose(to_crop, invert(resize_affine(smaller[0] / width, smaller[1] / height)))
    crop = cv2.warpAffine(image, to_crop, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return np.clip(np.asarray(crop, np.float32), 0, 1)


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
        # Gaussian whose width matches an area average over `factor` pixels.
        sigma = np.sqrt(factor**2 - 1) * 0.36
        change = np.asarray(cv2.GaussianBlur(change, (0, 0), float(sigma)), np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    back = cv2.warpAffine(change, to_crop, (width, height), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(back, np.float32)
