"""How much of the picture a result changed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpenvid.media.findings import Audit
from gpenvid.media.frame import Plane
from gpenvid.media.reader import VideoReader
from gpenvid.media.time_range import TimeRange

BLOCK = 16
"""Side in samples of the blocks that are compared one by one."""

_CLEAR = 30.0
"""A block under this many dB has been repainted; the codecs' defaults stay above 38 on most pictures."""


def compare_pixels(result: Audit, keep: TimeRange) -> None:
    """Compare the first planes (luma, or green) of two videos frame by frame, and add how much of them stayed. See `PixelTally`.

    Args:
        keep: the part of the source that the result was made of.
    """
    before, after = VideoReader(result.source), VideoReader(result.output)
    if before.info.layout.bits != after.info.layout.bits or before.info.geometry != after.info.geometry:
        result.note("pixels", "not compared: size or bit depth differ")
        return
    tally = PixelTally(before.info.layout.bits)
    kept = (frame for frame in before.frames() if keep.holds(frame.pts * frame.time_base))
    for old, new in zip(kept, after.frames(), strict=False):
        tally.add(old.planes[0], new.planes[0])
    tally.tell(result)


class PixelTally:
    """How much of many pictures stayed as it was.

    Restored faces are few and small blocks; the median over all blocks tells how the rest came through. Nothing fails
    here, because no file says where its faces are, unless more than half of the picture has been repainted.

    Args:
        bits: of a sample.
    """

    def __init__(self, bits: int) -> None:
        self._top = 2**bits - 1
        self._same, self._samples = 0, 0
        self._blocks: list[NDArray[np.float32]] = []

    def add(self, old: Plane, new: Plane) -> None:
        """Compare two planes of one shape."""
        self._same += int(np.count_nonzero(old == new))
        self._samples += old.size
        self._blocks.append(_block_errors(old, new))

    def tell(self, result: Audit) -> None:
        """Add what was found."""
        if not self._blocks:
            return
        errors = np.concatenate(self._blocks)
        noise = 10 * np.log10(self._top**2 / np.maximum(errors, 1e-9 * self._top**2))
        repainted = float(np.mean(noise < _CLEAR))
        median = float(np.median(noise))
        told = "without loss" if median > 89 else f"{median:.1f} dB"
        share = f"{100 * self._same / self._samples:.1f}% of the samples are identical"
        result.note("pixels", f"{share}; median block {told}; {100 * repainted:.1f}% repainted")
        if repainted > 0.5:
            result.compare(
                "picture outside faces", "most blocks as in the source", f"{100 * repainted:.0f}% of the blocks under {_CLEAR:.0f} dB"
            )


def _block_errors(old: Plane, new: Plane) -> NDArray[np.float32]:
    """Mean squared difference of each whole block of two planes; of the whole plane where it is smaller than a block."""
    difference = np.square(old.astype(np.float32) - new.astype(np.float32))
    rows, columns = (n // BLOCK * BLOCK for n in difference.shape)
    if not (rows and columns):
        return np.asarray([difference.mean()], np.float32)
    whole = difference[:rows, :columns].reshape(rows // BLOCK, BLOCK, columns // BLOCK, BLOCK)
    return np.asarray(whole.mean(axis=(1, 3)).ravel(), np.float32)
