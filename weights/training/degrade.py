"""Damage: what cameras, film, tape and codecs do to a picture. Everything works on (H, W, 3) uint8 RGB and takes its chances from `rng`."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
_RESIZE = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)


@lru_cache(maxsize=4)
def _noise_tile(seed: int) -> NDArray[np.int16]:
    """Normal noise x 16 in a large tile; cutting a random window out of it is far cheaper than drawing numbers."""
    return np.round(np.random.default_rng(seed).standard_normal((1024, 1024, 3)) * 16).astype(np.int16)


def _window(rng: np.random.Generator, height: int, width: int) -> NDArray[np.int16]:
    tile = _noise_tile(int(rng.integers(4)))
    y, x = rng.integers(0, 1024 - height + 1), rng.integers(0, 1024 - width + 1)
    window = tile[y : y + height, x : x + width]
    return window[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])]


def add_noise(image: Image, rng: np.random.Generator, sigma: float, *, grain: float = 0.0, mono: bool = False) -> Image:
    """Noise of `sigma` (of 255); `grain` > 0 makes specks of about that radius in pixels; `mono` the same in all channels."""
    noise = _window(rng, *image.shape[:2])
    if mono:
        noise = np.repeat(noise[..., :1], 3, axis=2)
    if grain > 0:
        soft = cv2.GaussianBlur(noise.astype(np.float32), (0, 0), grain)
        noise = (soft * (16.0 / max(float(soft.std()), 1e-3))).astype(np.int16)
    return np.clip(image.astype(np.int16) + (noise.astype(np.float32) * (sigma / 16)).astype(np.int16), 0, 255).astype(np.uint8)


def blur_kernel(rng: np.random.Generator, sigma: float) -> NDArray[np.float32]:
    """An anisotropic Gaussian, of scale `sigma` pixels along its longer axis."""
    radius = max(1, int(np.ceil(2.5 * sigma)))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    angle, ratio = rng.uniform(0, np.pi), rng.uniform(0.4, 1.0)
    u = x * np.cos(angle) + y * np.sin(angle)
    v = y * np.cos(angle) - x * np.sin(angle)
    kernel = np.exp(-0.5 * ((u / sigma) ** 2 + (v / (sigma * ratio)) ** 2))
    return (kernel / kernel.sum()).astype(np.float32)


def motion_kernel(rng: np.random.Generator, length: float) -> NDArray[np.float32]:
    """A straight smear of `length` pixels."""
    side = int(np.ceil(length)) | 1
    kernel = np.zeros((side, side), np.float32)
    angle = rng.uniform(0, np.pi)
    reach = np.array([np.cos(angle), np.sin(angle)]) * (length - 1) / 2
    middle = side // 2
    start, end = (tuple(round(middle + s * r) for r in reach) for s in (-1, 1))
    cv2.line(kernel, start, end, 1.0, 1)
    return kernel / kernel.sum()


def blur(image: Image, rng: np.random.Generator, sigma: float) -> Image:
    """Out of focus: isotropic or anisotropic Gaussian."""
    if rng.random() < 0.5:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)
    return np.asarray(cv2.filter2D(image, -1, blur_kernel(rng, sigma), borderType=cv2.BORDER_REFLECT), np.uint8)


def motion_blur(image: Image, rng: np.random.Generator, length: float) -> Image:
    """Moved during exposure."""
    return np.asarray(cv2.filter2D(image, -1, motion_kernel(rng, length), borderType=cv2.BORDER_REFLECT), np.uint8)


def shrink(image: Image, rng: np.random.Generator, factor: float) -> Image:
    """Smaller by `factor`, with a random filter (bilinear and cubic alias, as real chains do)."""
    size = (max(4, round(image.shape[1] / factor)), max(4, round(image.shape[0] / factor)))
    return np.asarray(cv2.resize(image, size, interpolation=_RESIZE[rng.choice(3, p=(0.6, 0.25, 0.15))]), np.uint8)


def enlarge(image: Image, rng: np.random.Generator, height: int, width: int) -> Image:
    """To (height, width) with a random filter."""
    return np.asarray(cv2.resize(image, (width, height), interpolation=_RESIZE[rng.choice(3, p=(0.1, 0.5, 0.4))]), np.uint8)


def jpeg(image: Image, quality: int, *, full_chroma: bool = False) -> Image:
    """JPEG there and back."""
    chroma = 0x111111 if full_chroma else 0x221111
    options = [cv2.IMWRITE_JPEG_QUALITY, int(quality), cv2.IMWRITE_JPEG_SAMPLING_FACTOR, chroma]
    _, code = cv2.imencode(".jpg", image[..., ::-1], options)
    decoded = cv2.imdecode(code, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.ascontiguousarray(decoded[..., ::-1])


def grey(image: Image, tint: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Image:
    """Black-and-white, or sepia with a `tint` (gain per channel)."""
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.clip(luma[..., None] * np.array(tint, np.float32), 0, 255).astype(np.uint8)


def scratches(image: Image, rng: np.random.Generator, count: int) -> Image:
    """Film damage: upright scratches, hairs and dust, light or dark."""
    out = image.copy()
    height, width = image.shape[:2]
    for _ in range(count):
        value = tuple(int(v) for v in np.repeat(rng.choice([rng.integers(0, 60), rng.integers(190, 256)]), 3))
        x, y = int(rng.integers(width)), int(rng.integers(height))
        kind = rng.random()
        if kind < 0.4:
            end = (x + int(rng.integers(-4, 5)), int(min(height, y + rng.integers(height // 8, height))))
            cv2.line(out, (x, y), end, value, int(rng.integers(1, 3)), cv2.LINE_AA)
        elif kind < 0.6:
            points = np.cumsum(np.concatenate([[[x, y]], rng.integers(-9, 10, (5, 2))]), axis=0).astype(np.int32)
            cv2.polylines(out, [points], False, value, 1, cv2.LINE_AA)
        else:
            cv2.circle(out, (x, y), int(rng.integers(1, max(2, height // 90) + 1)), value, -1, cv2.LINE_AA)
    return np.asarray(cv2.addWeighted(out, 0.75, image, 0.25, 0), np.uint8)


def lighting(image: Image, rng: np.random.Generator, strength: float = 1.0) -> Image:
    """Exposure, contrast and colour cast, by one lookup table per channel."""
    x = np.linspace(0, 1, 256)
    gamma = np.exp(rng.normal(0, 0.3 * strength))
    contrast = np.exp(rng.normal(0, 0.2 * strength))
    curve = (x**gamma - 0.5) * contrast + 0.5 + rng.normal(0, 0.06 * strength)
    cast = np.exp(rng.normal(0, 0.08 * strength, 3))
    table = np.clip(curve[:, None] * cast * 255, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table[:, None, :].reshape(256, 1, 3).transpose(1, 0, 2)), np.uint8)
