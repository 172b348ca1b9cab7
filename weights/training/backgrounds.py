"""Pictures without faces: photographs, textures and procedural clutter."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import skimage.data

from weights.training.data import Image, read_image

# Pictures of skimage.data that show no face (astronaut and camera do).
_PHOTOS = (
    "coffee.png",
    "clock_motion.png",
    "gravel.png",
    "brick.png",
    "motorcycle_left.png",
    "motorcycle_right.png",
    "text.png",
    "hubble_deep_field.jpg",
    "page.png",
    "moon.png",
    "grass.png",
    "retina.jpg",
    "ihc.png",
    "cell.png",
    "rocket.jpg",
    "horse.png",
    "chelsea.png",
    "coins.png",
    "color.png",
    "chessboard_RGB.png",
    "microaneurysms.png",
)


def photos() -> list[Image]:
    """Those of scikit-image's pictures that are installed."""
    folder = Path(skimage.data.__file__).parent
    return [read_image(folder / name) for name in _PHOTOS if (folder / name).exists()]


def clouds(rng: np.random.Generator, side: int) -> Image:
    """Smooth coloured noise over several octaves."""
    total = np.zeros((side, side, 3), np.float32)
    for octave in range(int(rng.integers(2, 7))):
        cells = 2 ** (octave + 1)
        layer = rng.standard_normal((cells, cells, 3)).astype(np.float32)
        if rng.random() < 0.5:
            layer[:] = layer.mean(axis=2, keepdims=True) * 1.7
        total += cv2.resize(layer, (side, side), interpolation=cv2.INTER_CUBIC) * rng.uniform(0.4, 0.8) ** octave
    base = rng.uniform(20, 235, 3)
    return np.clip(base + total * rng.uniform(10, 50), 0, 255).astype(np.uint8)


def clutter(rng: np.random.Generator, image: Image, count: int) -> Image:
    """Draw shapes over a picture: ellipses in skin tones among them, pairs of dots, stripes, letters."""
    out = image.copy()
    side = image.shape[0]
    for _ in range(count):
        x, y = (int(v) for v in rng.integers(0, side, 2))
        size = int(np.exp(rng.uniform(np.log(6), np.log(side / 3))))
        colour = tuple(int(v) for v in (rng.integers(0, 256, 3) if rng.random() < 0.6 else skin(rng)))
        kind = rng.integers(6)
        if kind == 0:
            cv2.ellipse(out, (x, y), (size, int(size * rng.uniform(0.4, 1.3))), rng.uniform(0, 180), 0, 360, colour, -1, cv2.LINE_AA)
        elif kind == 1:
            corners = (np.array([x, y]) + rng.integers(-size, size + 1, (int(rng.integers(3, 7)), 2))).astype(np.int32)
            cv2.fillPoly(out, [corners], colour, cv2.LINE_AA)
        elif kind == 2:
            dx, dy = (int(v) for v in rng.normal(0, 2 * size, 2))
            cv2.line(out, (x, y), (x + dx, y + dy), colour, max(1, size // 8), cv2.LINE_AA)
        elif kind == 3:
            text = "".join(chr(c) for c in rng.integers(48, 123, int(rng.integers(1, 8))))
            cv2.putText(out, text, (x, y), int(rng.integers(0, 8)), size / 25, colour, max(1, size // 12), cv2.LINE_AA)
        elif kind == 4:
            # Two dark dots over a bar on an oval: the cheapest false face, shown so that it is not believed.
            cv2.ellipse(out, (x, y), (size // 2 + 2, size // 2 + 4), 0, 0, 360, colour, -1, cv2.LINE_AA)
            dark = tuple(c // 3 for c in colour)
            if rng.random() < 0.5:
                cv2.circle(out, (x - size // 5, y - size // 8), max(1, size // 12), dark, -1, cv2.LINE_AA)
                cv2.circle(out, (x + size // 5, y + size // 4), max(1, size // 12), dark, -1, cv2.LINE_AA)
        else:
            cv2.rectangle(out, (x, y), (x + size, y + int(size * rng.uniform(0.3, 2))), colour, -1 if rng.random() < 0.6 else 2)
    return out


def skin(rng: np.random.Generator) -> tuple[int, int, int]:
    """A skin colour, for hands, arms and necks that are no faces."""
    light = rng.uniform(0.25, 1.0)
    return int(245 * light), int(245 * light * rng.uniform(0.68, 0.85)), int(245 * light * rng.uniform(0.5, 0.75))


def crop(rng: np.random.Generator, image: Image, side: int) -> Image:
    """A random turned, scaled, mirrored square of a picture, `side` pixels wide."""
    height, width = image.shape[:2]
    scale = side / min(height, width) * np.exp(rng.uniform(-0.1, 1.1))
    angle = rng.normal(0, 10) + (90 * rng.integers(4) if rng.random() < 0.3 else 0)
    focus = (float(rng.uniform(0, width)), float(rng.uniform(0, height)))
    matrix = cv2.getRotationMatrix2D(focus, float(angle), float(scale))
    matrix[:, 2] += side / 2 - np.array(focus)
    out = cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT)
    return np.ascontiguousarray(out[:, ::-1]) if rng.random() < 0.5 else np.asarray(out, np.uint8)


def background(rng: np.random.Generator, pool: list[Image], side: int) -> Image:
    """A picture without a face, (side, side, 3)."""
    draw = rng.random()
    image = crop(rng, pool[rng.integers(len(pool))], side) if draw < 0.65 and pool else clouds(rng, side)
    if rng.random() < 0.4:
        image = clutter(rng, image, int(rng.integers(3, 25)))
    if rng.random() < 0.2:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(1, 8)), np.uint8)
    return image
