"""Averaging what a restorer adds over neighbouring frames, where the faces themselves agree."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

REACH = 5
"""Frames looked at on either side."""

_NEAR = (1.0, 1.0, 1.0, 1.0, 0.9, 0.7)  # weight by distance in frames
_AGREE = 0.09  # difference of the source crops, low-passed, at which a neighbour counts for e^-1
_SOFT = 1 / 400  # of the crop, the low-pass: wider ones find agreement beside a rim of glasses or an eyelid that has moved, and ghosts
_GRAIN = 10.0  # times the median square of the difference's steps between pixels of the frame: four times the variance of white noise
_MOST_GRAIN = 4.0  # times _AGREE squared: beyond, pictures that have nothing in common would pass for grainy ones
_LEAST_FLOW = 64  # pixels: the flow's own least picture
_LEAST_GRID = 16  # pixels: two patches
_FLOW_SIDES = (128, 512)  # pixels: least and most of the crop that flow is looked for in

Image = NDArray[np.float32]


class Moment:
    """One face in one frame. It keeps what its neighbours ask for as well.

    Args:
        source: the aligned crop, (H, W, 3) float32 in [0, 1].
        residual: restored minus source, of the same shape.
        size: side of the whole crop, where these are parts of it.
        across: side of the whole crop in pixels of the frame, where it was resized: what is finer was not seen.
    """

    def __init__(self, source: Image, residual: Image, size: int = 0, across: float = 0.0) -> None:
        self.source = source
        self.restored = np.asarray(cv2.add(source, residual), np.float32)
        self.residual = residual
        self.gray = _gray(source)
        size = size or len(source)
        self.soft = _soft(self.gray, size)
        self.step = max(1, round(size / (across or size)))
        self._halved = _halved(size, across or size, min(self.gray.shape))
        self._finest = _finest(size >> self._halved, across or size, min(self.gray.shape) >> self._halved)
        self._flows: dict[int, Image] = {}

    def flow_to(self, direction: int, next_: Moment) -> Image:
        """Where its pixels are in the frame after (direction 1) or before (-1): (H, W, 2), in pixels."""
        if direction not in self._flows:
            self._flows[direction] = self._look_for(next_)
        return self._flows[direction]

    def _look_for(self, next_: Moment) -> Image:
        height, width = self.gray.shape
        if min(height, width) < _LEAST_FLOW:
            return np.zeros((height, width, 2), np.float32)
        if not self._halved:
            return _dense_flow(self.gray, next_.gray, self._finest)
        small = (width >> self._halved, height >> self._halved)
        before, after = (np.asarray(cv2.resize(m.gray, small, interpolation=cv2.INTER_AREA), np.uint8) for m in (self, next_))
        flow = cv2.resize(_dense_flow(before, after, self._finest), (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(flow * np.array([width / small[0], height / small[1]], np.float32), np.float32)

    def seen_at(self, where: Image) -> tuple[Image, Image]:
        """Restored crop and low-passed luma as they are seen at these places."""
        return _carry(self.restored, where), _carry(self.soft, where)


def steady_residual(frames: Mapping[int, Moment]) -> Image:
    """The residual of one frame, averaged over its neighbours along the face's own motion.

    Each neighbour is first carried onto the frame by dense flow between the source crops: what alignment leaves, two pixels
    on a fast turn, would blur the average and show as trembling. It then counts, pixel by pixel, as far as its source looks
    the same there: skin that only carries other noise is averaged, a mouth that opens, a blink or light on a part of it is left.
    The brightness of the whole face stays the frame's own.

    Args:
        frames: one face by distance in frames (0 is the frame wanted, -1 the one before it). At most `REACH` neighbours on either
            side are used, up to the first that is missing.

    Returns:
        (H, W, 3) float32.
    """
    now = frames[0]
    total, weights = now.residual.copy(), np.ones(now.gray.shape, np.float32)
    height, width = now.gray.shape
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=2).astype(np.float32)
    for direction in (-1, 1):
        where, distance = grid, direction
        while abs(distance) <= REACH and distance in frames:
            # From frame to frame: half the flows, since each serves two averages, and none over a larger motion.
            flow = frames[distance - direction].flow_to(direction, frames[distance])
            where = where + (_carry(flow, where) if where is not grid else flow)
            # The neighbour's restored crop as this frame would show it: its own source's noise stays out.
            restored, soft = frames[distance].seen_at(where)
            difference = np.asarray(cv2.subtract(soft, now.soft), np.float32)
            # Light that changes on all of the face changes around it too: averaged, it would be taken from the face alone.
            light = np.float32(np.median(difference[::8, ::8]))
            difference -= light
            near = np.float32(_NEAR[abs(distance)])
            weight = cv2.exp(cv2.multiply(difference, difference, scale=-1 / _slack(difference, now.step))) * near
            change = np.asarray(cv2.subtract(restored, now.source), np.float32)
            change -= light
            # OpenCV's loops over three channels: NumPy's take four times as long where one number is for three.
            cv2.accumulateProduct(change, _three(weight), total)
            cv2.accumulate(weight, weights)
            distance += direction
    return np.asarray(cv2.divide(total, _three(weights)), np.float32)


def _slack(difference: Image, step: int) -> float:
    """Square of the difference at which a neighbour counts for e^-1. Grain is no disagreement: it is in all of the crop, and fine."""
    steps = difference[::8, step::8] - difference[::8, :-step:8]
    return _AGREE**2 * min(_MOST_GRAIN, 1 + _GRAIN / _AGREE**2 * float(np.median(steps * steps)))


def _halved(size: int, across: float, least: int) -> int:
    """How often the crop is halved before flow is looked for: to about the pixels of the frame.

    On crops of 1024 of faces with 370 to 500 pixels it takes a fifth to a third of the time so, and leaves 2% less unexplained; half
    as fine it leaves 2% more. `least` is the shorter side of what there is of the crop.
    """
    halved = max(0, round(math.log2(size / min(max(across, _FLOW_SIDES[0]), _FLOW_SIDES[1]))))
    return min(halved, max(0, int(math.log2(least / _LEAST_FLOW))))


def _finest(size: int, across: float, least: int) -> int:
    """How often the picture is halved for the flow's grid: to two pixels of the frame, between 32 and 128 over the crop.

    Of four clips in three sizes, faces whose crop is 250 pixels wide tremble by 8% more on a grid of 64 than on one of 128, those of 165
    by 6% less and those of 50 by 7% more than on one of 32: flow follows their noise. `least` is the picture's shorter side: OpenCV
    wants patches on the grid, or it crashes.
    """
    finest = round(math.log2(size / min(128, max(32, across / 2))))
    return max(0, min(finest, int(math.log2(max(1, least / _LEAST_GRID)))))


def _dense_flow(before: NDArray[np.uint8], after: NDArray[np.uint8], finest: int) -> Image:
    """Flow from a grid of patches (Kroeger et al., "Fast optical flow using dense inverse search", ECCV 2016), refined in every pixel.

    The refinement takes 3 of 6 ms on a crop of 256 and steadies large faces by 4%; searching in every pixel takes 7 more for another 2%.
    """
    patches: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    patches.setFinestScale(finest)
    patches.setGradientDescentIterations(8)
    patches.setVariationalRefinementIterations(1)
    pixels = cv2.VariationalRefinement.create()
    pixels.setFixedPointIterations(2)
    pixels.setGamma(20.0)  # of gradients, which a change of light leaves as they are
    return np.asarray(pixels.calc(before, after, patches.calc(before, after, None)), np.float32)


def _carry(picture: Any, where: Image) -> Any:
    return cv2.remap(picture, where, np.empty(0), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _three(values: Any) -> Any:
    return cv2.merge((values, values, values))


def _gray(crop: Image) -> NDArray[np.uint8]:
    return np.asarray(np.clip(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) * np.float32(255) + np.float32(0.5), 0, 255), np.uint8)


def _soft(gray: NDArray[np.uint8], size: int) -> Image:
    """Low-passed luma in [0, 1]."""
    soft = cv2.GaussianBlur(gray, (0, 0), max(0.5, size * _SOFT))
    return np.asarray(soft * np.float32(1 / 255), np.float32)
