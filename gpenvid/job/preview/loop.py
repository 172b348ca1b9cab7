"""A few seconds of a clip, before and after in one picture, to be played in a circle with sound."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpenvid.errors import StoppedError, UsageError
from gpenvid.job.preview.clip import PreviewClip
from gpenvid.job.preview.desk import Desk
from gpenvid.job.preview.look import Look
from gpenvid.job.preview.pictures import display_picture
from gpenvid.media.loop import write_loop

LONGEST_LOOP = 3.0  # seconds


def loop_end(clip: PreviewClip, last: int) -> Fraction:
    """When the frame after `last` begins, in seconds on the source's clock."""
    base = clip.info.time_base
    if last + 1 < len(clip.index):
        return clip.index.pts(last + 1) * base
    return clip.index.pts(last) * base + (1 / clip.info.frame_rate if clip.info.frame_rate else Fraction(1, 25))


def check_loop(clip: PreviewClip, first: int, last: int) -> None:
    """Make sure a range can be looped.

    Raises:
        UsageError: it is empty, not analysed yet, or longer than `LONGEST_LOOP` and one frame.
    """
    if not 0 <= first < last < min(len(clip.index), clip.tracks.frames):
        raise UsageError("there is nothing to loop there", "set the out point behind the in point, within what is analysed")
    length = clip.index.pts(last) - clip.index.pts(first)
    if length * clip.info.time_base > LONGEST_LOOP:
        raise UsageError(f"a loop has {LONGEST_LOOP:g} seconds at most", "move the in or out point")


def make_loop(
    clip: PreviewClip,
    desk: Desk,
    target: Path,
    *,
    first: int,
    last: int,
    left: Look | None,
    right: Look,
    width: int,
    tell: Callable[[int], None],
    going: Callable[[], bool],
) -> None:
    """Render a range into one video whose left half shows `left` (None: the source) and whose right half shows `right`.

    One video and not two: no browser keeps two in step.

    Args:
        first, last: frames, both included.
        width: pixels of one half; the frame's own if that is smaller. Rounded down to an even number.
        tell: told the number of frames done.
        going: asked at every frame.

    Raises:
        StoppedError: when it is not to go on.
        UsageError: see `check_loop`.
        GpenvidError: a frame cannot be computed, or the file not written.
    """
    check_loop(clip, first, last)
    base = clip.info.time_base
    width = min(width, clip.info.display_size[0]) // 2 * 2
    height = round(clip.info.display_size[1] * width / clip.info.display_size[0]) // 2 * 2

    def half(index: int, look: Look | None) -> NDArray[np.uint8]:
        frame = clip.frame(index) if look is None else clip.restored(index, look)
        return display_picture(frame, width)[:height, :width]

    def both(index: int) -> bytes:
        return np.concatenate([half(index, left), half(index, right)], axis=1).tobytes()

    def pictures() -> Iterator[tuple[Fraction, NDArray[np.uint8]]]:
        for done, index in enumerate(range(first, last + 1), start=1):
            if not going():
                raise StoppedError("the loop was given up")
            # Through the desk, frame by frame: what is looked at meanwhile goes first.
            made = desk.ask(("loop", index), partial(both, index), view="", rank=1, keep=False).result()
            yield clip.index.pts(index) * base, np.frombuffer(made, np.uint8).reshape(height, 2 * width, 3)
            tell(done)

    write_loop(target, pictures(), clip.source, clip.index.pts(first) * base, loop_end(clip, last))
