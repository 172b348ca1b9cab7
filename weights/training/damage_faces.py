"""Blind degradations of aligned faces, and the three fixed levels that the evaluation uses."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np

from weights.training import degrade
from weights.training.data import Image


@dataclass(frozen=True)
class Level:
    """Ranges of damage to a 256x256 face; each is drawn evenly (`shrink` evenly in its logarithm).

    Attributes:
        blur: Gaussian sigma in pixels.
        motion: smear in pixels (used in one of five pictures, instead of the Gaussian).
        shrink: how much smaller the face was.
        noise: sigma of 255, at the small size.
        quality: of JPEG; H.264's quantiser is derived from it.
        damage: probability of scratches and dust.
    """

    blur: tuple[float, float]
    motion: tuple[float, float]
    shrink: tuple[float, float]
    noise: tuple[float, float]
    quality: tuple[float, float]
    damage: float


LEVELS = {
    "light": Level((0.4, 1.4), (1.5, 4.0), (1.2, 2.4), (2.0, 8.0), (45.0, 85.0), 0.02),
    "medium": Level((0.8, 2.2), (3.0, 7.0), (2.0, 4.0), (4.0, 12.0), (30.0, 70.0), 0.06),
    "heavy": Level((1.0, 3.0), (4.0, 12.0), (3.5, 7.0), (6.0, 18.0), (20.0, 55.0), 0.15),
}


def h264(image: Image, quantiser: int) -> Image:
    """H.264 there and back, 4:2:0; the second of two frames, so that it is a predicted one."""
    height, width = image.shape[:2]
    codec = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = width - width % 2, height - height % 2, "yuv420p", Fraction(1, 25)
    codec.options = {"preset": "superfast", "tune": "zerolatency", "qp": str(quantiser), "threads": "1"}
    even = np.ascontiguousarray(image[: codec.height, : codec.width])
    packets = []
    for index, picture in enumerate((np.roll(even, 1, axis=1), even)):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts = index
        packets += codec.encode(frame)
    packets += codec.encode(None)
    decoder = av.CodecContext.create("h264", "r")
    decoded = [f for packet in (*packets, None) for f in decoder.decode(packet)]
    out = image.copy()
    out[: codec.height, : codec.width] = decoded[-1].to_ndarray(format="rgb24")
    return out


def degrade_face(rng: np.random.Generator, image: Image, level: Level) -> Image:
    """Damage one aligned face, (256, 256, 3) uint8 RGB."""
    height, width = image.shape[:2]
    if rng.random() < 0.2:
        image = degrade.motion_blur(image, rng, rng.uniform(*level.motion))
    elif rng.random() < 0.85:
        image = degrade.blur(image, rng, max(0.2, rng.uniform(*level.blur)))
    factor = float(np.exp(rng.uniform(*np.log(level.shrink))))
    if factor > 1.05:
        image = degrade.shrink(image, rng, factor)
    sigma = rng.uniform(*level.noise)
    if sigma > 0.5:
        film = rng.random() < 0.35
        image = degrade.add_noise(image, rng, sigma, grain=rng.uniform(0.4, 1.0) if film else 0.0, mono=bool(film or rng.random() < 0.3))
    draw, quality = rng.random(), rng.uniform(*level.quality)
    if draw < 0.45:
        image = degrade.jpeg(image, int(quality))
    elif draw < 0.7:
        image = h264(image, int(np.clip(44 - 0.27 * quality, 16, 40)))
    if image.shape[:2] != (height, width):
        image = degrade.enlarge(image, rng, height, width)
    if rng.random() < level.damage:
        image = degrade.scratches(image, rng, int(rng.integers(1, 8)))
    return image


def training_level(rng: np.random.Generator, light: float = 0.0) -> Level | None:
    """A level to train on: anywhere from nothing to beyond heavy; None (leave the picture alone) in one of twelve.

    Args:
        rng: where chance comes from.
        light: share of the pictures that are damaged lightly at most.
    """
    if rng.random() < 1 / 12:
        return None
    s = rng.uniform(0.0, 0.35 if light and rng.random() < light else 1.0)
    return Level(
        (0.2, 0.6 + 3.4 * s),
        (1.5, 3.0 + 11.0 * s),
        (1.0, 1.0 + 7.0 * s**1.5),
        (0.0, 3.0 + 14.0 * s),
        (90.0 - 68.0 * s, 98.0 - 25.0 * s),
        0.12 * s,
    )


def training_pair(rng: np.random.Generator, portrait: Image, light: float = 0.0) -> tuple[Image, Image]:
    """A damaged face and the face to restore it to, mirrored, relit, turned grey by chance; `light` as in `training_level`."""
    clean = np.ascontiguousarray(portrait[:, ::-1]) if rng.random() < 0.5 else portrait
    if rng.random() < 0.3:
        clean = degrade.lighting(clean, rng, 0.6)
    if rng.random() < 0.2:
        clean = degrade.grey(clean)
    level = training_level(rng, light)
    return (clean.copy() if level is None else degrade_face(rng, clean, level)), clean
