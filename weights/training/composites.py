"""Pictures with known faces: portraits pasted into backgrounds, lit, occluded and damaged; real frames cut and damaged."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from weights.training import degrade
from weights.training.backgrounds import background, skin
from weights.training.data import Image
from weights.training.teacher import MIRROR, Labelled

SIDE = 384
"""Side of a training picture in pixels."""
SMALLEST = 11.0
"""Faces narrower than this (pixels) are left out of the loss."""


@dataclass(frozen=True)
class Sources:
    """What composites are made of: labelled portraits (256x256), labelled real frames, pictures without faces."""

    portraits: list[Labelled]
    frames: list[Labelled]
    backgrounds: list[Image]


def _map_faces(faces: Labelled, matrix: NDArray[np.float64], mirror: bool) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Boxes and landmarks under an affine map. A face is taken as an ellipse, so that a turned face keeps a tight box."""
    centre = (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2
    half = (faces.boxes[:, 2:] - faces.boxes[:, :2]) / 2
    centre = centre @ matrix[:, :2].T + matrix[:, 2]
    half = np.sqrt(half**2 @ (matrix[:, :2] ** 2).T)
    landmarks = faces.landmarks @ matrix[:, :2].T + matrix[:, 2]
    if mirror:
        landmarks = landmarks[:, MIRROR]
    return np.concatenate([centre - half, centre + half], axis=1).astype(np.float32), landmarks.astype(np.float32)


def _mask(rng: np.random.Generator, face: NDArray[np.float32]) -> NDArray[np.float32]:
    """(256, 256) what of a portrait is pasted: all of it, a head, or a head with shoulders."""
    mask = np.zeros((256, 256), np.float32)
    kind = rng.random()
    x0, y0, x1, y1 = face
    width, height = x1 - x0, y1 - y0
    if kind < 0.35:
        edge = int(rng.integers(0, 24))
        mask[edge : 256 - edge, edge : 256 - edge] = 1
        soft = rng.choice([0.0, 6.0, 12.0])
    else:
        grow = rng.uniform(1.15, 1.6)
        middle = (int((x0 + x1) / 2), int((y0 + y1) / 2 - 0.08 * height))
        cv2.ellipse(mask, middle, (int(width / 2 * grow), int(height / 2 * grow)), 0, 0, 360, 1.0, -1)
        if kind < 0.75:
            cv2.ellipse(mask, (middle[0], 270), (int(rng.uniform(80, 140)), int(rng.uniform(50, 90))), 0, 0, 360, 1.0, -1)
            cv2.rectangle(mask, (middle[0] - int(width * 0.35), middle[1]), (middle[0] + int(width * 0.35), 256), 1.0, -1)
        soft = rng.uniform(1.0, 8.0)
        mask[:2], mask[:, :2], mask[:, -2:] = 0, 0, 0
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), soft), np.float32) if soft else mask


class _Canvas:
    """A picture being filled, with its faces so far."""

    def __init__(self, image: Image) -> None:
        self.image = image
        self.boxes: list[NDArray[np.float32]] = []
        self.landmarks: list[NDArray[np.float32]] = []
        self.sure: list[bool] = []

    def free(self, box: NDArray[np.float32], margin: float) -> bool:
        """Whether a box keeps its distance (`margin` x its size) from all faces."""
        grow = (box[2:] - box[:2]) * margin
        low, high = box[:2] - grow, box[2:] + grow
        return all(bool((high < b[:2]).any() or (low > b[2:]).any()) for b in self.boxes)

    def paste(self, portrait: Labelled, matrix: NDArray[np.float64], mirror: bool, mask: NDArray[np.float32], sure: bool = True) -> None:
        """Paste a portrait through `matrix` (portrait to canvas), only touching the rows and columns it reaches."""
        side = self.image.shape[0]
        corners = np.array([[0, 0], [255, 0], [0, 255], [255, 255]]) @ matrix[:, :2].T + matrix[:, 2]
        x0, y0 = np.clip(np.floor(corners.min(axis=0)), 0, side - 1).astype(int)
        x1, y1 = np.clip(np.ceil(corners.max(axis=0)) + 1, 1, side).astype(int)
        local = matrix.copy()
        local[:, 2] -= (x0, y0)
        size = (int(x1 - x0), int(y1 - y0))
        source, alpha = portrait.image, mask
        shrinking = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
        if shrinking < 0.6:
            # warpAffine does not filter: shrink by area first, or small faces alias into something no camera makes.
            reduced = max(8, round(256 * min(1.0, shrinking * 1.3)))
            factor = reduced / 256
            source = np.asarray(cv2.resize(source, (reduced, reduced), interpolation=cv2.INTER_AREA), np.uint8)
            alpha = np.asarray(cv2.resize(alpha, (reduced, reduced), interpolation=cv2.INTER_AREA), np.float32)
            local[:, 2] += local[:, :2] @ np.full(2, (1 / factor - 1) / 2)
            local[:, :2] /= factor
        face = cv2.warpAffine(source, local, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        cover = cv2.warpAffine(alpha, local, size, flags=cv2.INTER_LINEAR)[..., None]
        region = self.image[y0:y1, x0:x1]
        region[:] = (region + (face.astype(np.float32) - region) * cover).astype(np.uint8)
        boxes, landmarks = _map_faces(portrait, matrix, mirror)
        middle = portrait.landmarks[:, 2].round().astype(int).clip(0, 255)
        shown = mask[middle[:, 1], middle[:, 0]] > 0.9
        for box, points, known, visible in zip(boxes, landmarks, portrait.sure, shown, strict=True):
            if visible:
                self.boxes.append(box)
                self.landmarks.append(points)
                self.sure.append(bool(known and sure))


def _placement(rng: np.random.Generator, width: float, face: NDArray[np.float32], turn: float, mirror: bool) -> NDArray[np.float64]:
    """Portrait to canvas: the face `width` pixels wide, turned by `turn` radians, a little squeezed, centre at a random place."""
    scale = width / float(face[2] - face[0])
    squeeze = np.exp(rng.normal(0, 0.07, 2))
    if rng.random() < 0.2:
        squeeze[0] *= rng.uniform(0.65, 1.0)  # a poor man's head turn
    cos, sin = np.cos(turn), np.sin(turn)
    linear = scale * np.array([[cos, -sin], [sin, cos]]) @ np.diag(squeeze * [-1 if mirror else 1, 1])
    linear = linear @ np.array([[1.0, rng.normal(0, 0.05)], [0.0, 1.0]])
    target = rng.uniform(0, SIDE, 2)
    if width > SIDE / 3:
        target = SIDE / 2 + (target - SIDE / 2) * max(0.25, 1.2 - width / SIDE)
    return np.column_stack([linear, target - linear @ ((face[:2] + face[2:]) / 2)])


def _relight(image: Image, rng: np.random.Generator) -> Image:
    """A lamp from one side, and another exposure."""
    if rng.random() < 0.4:
        image = degrade.lighting(image, rng)
    if rng.random() < 0.3:
        ramp = np.linspace(*rng.uniform(0.3, 1.3, 2), image.shape[1], dtype=np.float32)[None, :, None]
        ramp = ramp if rng.random() < 0.7 else ramp.transpose(1, 0, 2)
        image = np.clip(image * ramp, 0, 255).astype(np.uint8)
    return image


def _occlude(canvas: _Canvas, rng: np.random.Generator) -> None:
    """Put something before a part of each of some faces; a face that loses too much leaves the loss."""
    for index, box in enumerate(canvas.boxes):
        draw = rng.random()
        if draw > 0.22:
            continue
        width, height = box[2:] - box[:2]
        colour = skin(rng) if rng.random() < 0.5 else tuple(int(v) for v in rng.integers(0, 256, 3))
        if draw < 0.07:
            # Over the mouth or under it: a microphone, a hand, a mask.
            centre = canvas.landmarks[index][3:].mean(axis=0) + rng.normal(0, 0.1, 2) * width
            axes = (width * rng.uniform(0.1, 0.4), height * rng.uniform(0.08, 0.25))
        elif draw < 0.14:
            # From one side.
            centre = (box[:2] + box[2:]) / 2 + np.array([rng.choice([-1, 1]) * rng.uniform(0.45, 0.7) * width, rng.normal(0, 0.3) * height])
            axes = (width * rng.uniform(0.15, 0.35), height * rng.uniform(0.2, 0.8))
        else:
            # Over the forehead: a hat, hair.
            centre = np.array([(box[0] + box[2]) / 2, box[1] + rng.uniform(-0.15, 0.1) * height])
            axes = (width * rng.uniform(0.4, 0.8), height * rng.uniform(0.08, 0.22))
        place, extent = (int(centre[0]), int(centre[1])), (max(1, int(axes[0])), max(1, int(axes[1])))
        cv2.ellipse(canvas.image, place, extent, rng.uniform(-20, 20), 0, 360, colour, -1, cv2.LINE_AA)


def _distractor(canvas: _Canvas, portrait: Labelled, rng: np.random.Generator) -> None:
    """Paste a piece of a portrait that is no face: a shoulder, hair, one eye."""
    size = int(rng.integers(24, 90))
    face = portrait.boxes[0]
    for _ in range(8):
        x, y = rng.integers(0, 256 - size, 2)
        overlap = max(0.0, min(x + size, face[2]) - max(x, face[0])) * max(0.0, min(y + size, face[3]) - max(y, face[1]))
        if overlap < 0.2 * (face[2] - face[0]) * (face[3] - face[1]):
            break
    else:
        return
    scale = np.exp(rng.uniform(-0.5, 1.2))
    piece = cv2.resize(portrait.image[y : y + size, x : x + size], None, fx=scale, fy=scale * rng.uniform(0.7, 1.4))
    height, width = (min(v, SIDE - 1) for v in piece.shape[:2])
    left, top = int(rng.integers(0, SIDE - width)), int(rng.integers(0, SIDE - height))
    if canvas.free(np.array([left, top, left + width, top + height], np.float32), 0.0):
        canvas.image[top : top + height, left : left + width] = piece[:height, :width]


def composite(rng: np.random.Generator, sources: Sources) -> Labelled:
    """A picture of pasted portraits, before damage."""
    canvas = _Canvas(background(rng, sources.backgrounds, SIDE))
    draw = rng.random()
    if draw < 0.07:
        count, least, most = 0, 0.0, 0.0
    elif draw < 0.45:
        count, least, most = 1, 60.0, 350.0
    elif draw < 0.75:
        count, least, most = int(rng.integers(2, 6)), 22.0, 150.0
    else:
        count, least, most = int(rng.integers(4, 16)), 12.0, 64.0
    for _ in range(int(rng.integers(0, 5)) if rng.random() < 0.5 else 0):
        _distractor(canvas, sources.portraits[rng.integers(len(sources.portraits))], rng)
    for _ in range(count):
        portrait = sources.portraits[rng.integers(len(sources.portraits))]
        face = portrait.boxes[0]
        mirror = bool(rng.random() < 0.5)
        turn = np.deg2rad(rng.normal(0, 13) if rng.random() < 0.85 else rng.uniform(-50, 50))
        upside_down = count > 1 and rng.random() < 0.02
        width = float(np.exp(rng.uniform(np.log(least), np.log(most))))
        matrix = _placement(rng, width, face, turn + (np.pi if upside_down else 0), mirror)
        box = _map_faces(portrait, matrix, mirror)[0][0]
        if not canvas.free(box, 0.15):
            continue
        lit = Labelled(_relight(portrait.image, rng), portrait.boxes, portrait.landmarks, portrait.sure)
        mask = np.ones((256, 256), np.float32) if count == 1 and rng.random() < 0.5 else _mask(rng, face)
        canvas.paste(lit, matrix, mirror, mask, sure=not upside_down)
    _occlude(canvas, rng)
    return _labelled(canvas)


def _labelled(canvas: _Canvas) -> Labelled:
    boxes = np.array(canvas.boxes, np.float32).reshape(-1, 4)
    landmarks = np.array(canvas.landmarks, np.float32).reshape(-1, 5, 2)
    return Labelled(canvas.image, boxes, landmarks, np.array(canvas.sure, bool))


def real(rng: np.random.Generator, frames: list[Labelled]) -> Labelled:
    """A turned and scaled square of a real frame with its faces."""
    frame = frames[rng.integers(len(frames))]
    height, width = frame.image.shape[:2]
    mirror = bool(rng.random() < 0.5)
    scale = float(np.exp(rng.uniform(-0.5, 0.5)))
    turn = np.deg2rad(rng.normal(0, 8))
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ np.diag([-1.0 if mirror else 1.0, 1.0])
    focus = np.array([rng.uniform(0, width), rng.uniform(0, height)])
    if len(frame.boxes) and rng.random() < 0.7:
        focus = frame.boxes[rng.integers(len(frame.boxes))].reshape(2, 2).mean(axis=0)
    matrix = np.column_stack([linear, rng.uniform(0.2, 0.8, 2) * SIDE - linear @ focus])
    image = cv2.warpAffine(frame.image, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    boxes, landmarks = _map_faces(frame, matrix, mirror)
    return Labelled(np.asarray(image, np.uint8), boxes, landmarks, frame.sure.copy())


def damage(rng: np.random.Generator, image: Image) -> tuple[Image, float]:
    """Damage a picture. Also returns the width in pixels under which a face has become a smudge."""
    smudge = SMALLEST
    height, width = image.shape[:2]
    if rng.random() < 0.6:
        image = degrade.lighting(image, rng)
    if rng.random() < 0.35:
        tint = (1.0, 1.0, 1.0) if rng.random() < 0.7 else tuple(float(v) for v in np.sort(rng.uniform(0.7, 1.1, 3))[::-1])
        image = degrade.grey(image, (tint[0], tint[1], tint[2]))
    if rng.random() < 0.35:
        sigma = float(np.exp(rng.uniform(np.log(0.5), np.log(10))))
        image = degrade.blur(image, rng, sigma)
        smudge = max(smudge, 9 * sigma)
    elif rng.random() < 0.15:
        length = float(rng.uniform(2, 16))
        image = degrade.motion_blur(image, rng, length)
        smudge = max(smudge, 3 * length)
    if rng.random() < 0.4:
        factor = float(np.exp(rng.uniform(0, np.log(8))))
        image = degrade.shrink(image, rng, factor)
        smudge = max(smudge, 10 * factor)
    if rng.random() < 0.2:
        image = degrade.add_noise(image, rng, rng.uniform(5, 22), grain=rng.uniform(0.5, 1.2), mono=True)
    elif rng.random() < 0.4:
        image = degrade.add_noise(image, rng, rng.uniform(2, 18), mono=bool(rng.random() < 0.5))
    if rng.random() < 0.5:
        image = degrade.jpeg(image, int(rng.integers(15, 95)))
    if image.shape[:2] != (height, width):
        image = degrade.enlarge(image, rng, height, width)
    if rng.random() < 0.12:
        image = degrade.scratches(image, rng, int(rng.integers(1, 40)))
    if rng.random() < 0.04:
        image = image.copy()
        shift = int(rng.integers(2, 10))
        image[1::2] = np.roll(image[1::2], shift, axis=1)  # interlaced, moving
    return image, smudge


def sample(rng: np.random.Generator, sources: Sources) -> Labelled:
    """One training picture, (SIDE, SIDE, 3), with its faces."""
    clean = real(rng, sources.frames) if sources.frames and rng.random() < 0.15 else composite(rng, sources)
    image, smudge = damage(rng, clean.image)
    boxes, sure = clean.boxes, clean.sure
    inside = np.clip(boxes, 0, SIDE - 1)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    visible = (inside[:, 2:] - inside[:, :2]).prod(axis=1) / np.maximum(area, 1e-3)
    keep = visible > 0.05
    sure = sure & (visible > 0.6) & ((boxes[:, 2] - boxes[:, 0]) >= smudge)
    return Labelled(image, inside[keep], clean.landmarks[keep], sure[keep])
