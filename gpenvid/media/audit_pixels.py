"""How much of the picture a result changed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpenvid.media.findings import Audit
from gpenvid.media.frame import Plane
from gpenvid.media.reader import VideoReader

BLOCK = 16
"""Side in samples of the blocks that are compared one by one."""

_CLEAR = 30.0
"""A block under this many dB has been repainted; the codecs' defaults stay above 38 on most pictures."""


def compare_pixels(result: Audit) -> None:
    """Compare the first planes (luma, or green) frame by frame, and add how much of them stayed.

    Restored faces are few and small blocks; the median over all blocks tells how the rest came through. Nothing fails
    here, because no file says where its faces are, unless more than half of the picture has been repainted.
    """
    before, after = VideoReader(result.source), VideoReader(result.output)
    if before.info.layout.bits != after.info.layout.bits or before.info.geometry != after.info.geometry:
        result.note("pixels", "not compared: size or bit depth differ")
        return
    same, samples = 0, 0
    blocks: list[NDArray[np.float32]] = []
    for old, new in zip(before.frames(), after.frames(), strict=False):
        same += int(np.count_nonzero(old.planes[0] == new.planes[0]))
        samples += old.planes[0].size
        blocks.append(_block_errors(old.planes[0], new.planes[0]))
    errors = np.concatenate(blocks)
    top = 2**before.info.layout.bits - 1
    noise = 10 * np.log10(top**2 / np.maximum(errors, 1e-9 * top**2))
    repainted = float(np.mean(noise < _CLEAR))
    median = float(np.median(noise))
    told = "without loss" if median > 89 else f"{median:.1f} dB"
    result.note(
        "pixels", f"{100 * same / samples:.1f}% of the samples are identical; median block {told}; {100 * repainted:.1f}% repainted"
    )
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
