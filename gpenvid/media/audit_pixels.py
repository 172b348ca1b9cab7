"""How much of the picture a result changed."""

from __future__ import annotations

from collections.abc import Sequence

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

_RUINED = 20.0
"""A frame whose median block is under this many dB is another picture; a face that fills its frame stays above 30 when restored."""

_EVEN = 0.4
"""Share of the changed blocks within a dB of their median: up to 0.3 in restored faces, 0.6 to 1 after noise, an offset or a conversion."""

_PER_DB = 10
_IDENTICAL = 125 * _PER_DB  # behind the last place: one sample of a block that is off by one in 16 bits makes 120 dB


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
    lossless = after.info.codec == "ffv1" and before.info.layout == after.info.layout
    kept = (frame for frame in before.frames() if keep.holds(frame.pts * frame.time_base))
    for old, new in zip(kept, after.frames(), strict=False):
        tally.add(old.planes[:1], new.planes[:1], f"frame {new.index}")
        lossless &= old.fields == new.fields  # deinterlacing makes new samples
    tally.tell(result, lossless=lossless)


class PixelTally:
    """How much of many pictures stayed as it was.

    Restored faces are few and small blocks; the median over all blocks tells how the rest came through. No file says where
    its faces are, so what fails is only what no face explains: more than half of all blocks repainted, or most of one picture
    beyond recognition, or most blocks of a lossless result changed, and evenly so. A face changes some more than others.

    Args:
        bits: of a sample.
    """

    def __init__(self, bits: int) -> None:
        self._top = 2**bits - 1
        self._same, self._samples = 0, 0
        self._blocks = _no_blocks()
        self._pictures, self._ruined, self._first = 0, 0, ""

    def add(self, old: Sequence[Plane], new: Sequence[Plane], name: str) -> None:
        """Compare planes of a picture, each with one of its own shape."""
        blocks = _no_blocks()
        for before, after in zip(old, new, strict=False):
            self._same += int(np.count_nonzero(before == after))
            self._samples += before.size
            blocks += _by_noise(_block_errors(before, after) / self._top**2)
        self._blocks += blocks
        self._pictures += 1
        if _median(blocks) < _RUINED:
            self._ruined += 1
            self._first = self._first or name

    def tell(self, result: Audit, *, lossless: bool = False) -> None:
        """Add what was found.

        Args:
            lossless: whether all that was not restored has to be bit for bit.
        """
        if not self._pictures:
            return
        repainted = float(self._blocks[: round(_CLEAR * _PER_DB)].sum() / self._blocks.sum())
        median = _median(self._blocks)
        told = "without loss" if np.isinf(median) else f"{median:.1f} dB"
        share = f"{100 * self._same / self._samples:.1f}% of the samples are identical"
        result.note("pixels", f"{share}; median block {told}; {100 * repainted:.1f}% repainted")
        what = "picture outside faces"
        if repainted > 0.5:
            result.compare(what, "most blocks as in the source", f"{100 * repainted:.0f}% of the blocks under {_CLEAR:.0f} dB")
        elif self._ruined:
            detail = f"most blocks under {_RUINED:.0f} dB in {self._ruined} of {self._pictures} pictures, first in {self._first}"
            result.fail(what, detail)
        if lossless and not np.isinf(median) and self._evenness() > _EVEN:
            result.fail(what, f"most blocks of a lossless result differ, all by about {_median(self._changed()):.0f} dB")

    def _changed(self) -> NDArray[np.int64]:
        return self._blocks[:_IDENTICAL]

    def _evenness(self) -> float:
        changed = self._changed()
        middle = round(_median(changed) * _PER_DB)
        return float(changed[max(0, middle - _PER_DB) : middle + _PER_DB + 1].sum() / changed.sum())


def _no_blocks() -> NDArray[np.int64]:
    """Numbers of blocks by tenths of a dB, at last of identical ones: what is held does not grow with the film."""
    return np.zeros(_IDENTICAL + 1, np.int64)


def _by_noise(errors: NDArray[np.float32]) -> NDArray[np.int64]:
    """Numbers of blocks, from mean squared differences in shares of the full range."""
    noise = np.full(errors.size, _IDENTICAL)
    changed = errors > 0
    noise[changed] = np.clip(-10 * np.log10(errors[changed]) * _PER_DB, 0, _IDENTICAL - 1)
    return np.bincount(noise, minlength=_IDENTICAL + 1)


def _median(blocks: NDArray[np.int64]) -> float:
    """Of numbers by tenths of a dB, in dB; infinite where it is an identical one."""
    place = int(np.searchsorted(np.cumsum(blocks), blocks.sum() / 2))
    return np.inf if place == _IDENTICAL else place / _PER_DB


def _block_errors(old: Plane, new: Plane) -> NDArray[np.float32]:
    """Mean squared difference of each whole block of two planes; of the whole plane where it is smaller than a block."""
    difference = np.square(old.astype(np.float32) - new.astype(np.float32))
    rows, columns = (n // BLOCK * BLOCK for n in difference.shape)
    if not (rows and columns):
        return np.asarray([difference.mean()], np.float32)
    whole = difference[:rows, :columns].reshape(rows // BLOCK, BLOCK, columns // BLOCK, BLOCK)
    return np.asarray(whole.mean(axis=(1, 3)).ravel(), np.float32)
