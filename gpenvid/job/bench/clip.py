"""Clips and networks to measure with, made on the spot from what comes with gpenvid."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from gpenvid.errors import InputError
from gpenvid.job.demo import sample_clips
from gpenvid.media.reader import VideoReader
from gpenvid.restore.gpen import GpenGenerator, GpenShape

_RATE = 25


def talking_head(width: int, height: int, count: int | None = None) -> list[NDArray[np.uint8]]:
    """The sample interview, one person talking, at any size: its first pictures, (height, width, 3) uint8 RGB."""
    (source,) = sample_clips("interview")
    return [frame.thumbnail(width, height) for frame in islice(VideoReader(source).frames(), count)]


def write_clip(path: Path, width: int, height: int, *, faces: int, frames: int) -> Path:
    """Write an H.264 clip with so many faces in every frame, played forwards and backwards if it is longer than the sample.

    Args:
        faces: 1 fills the picture; more are tiles of a grid, each a little later in time than the one before.

    Raises:
        InputError: if it cannot be written.
    """
    side = int(np.ceil(np.sqrt(faces)))
    tile = width // side // 2 * 2, height // side // 2 * 2
    pictures = talking_head(*tile)
    turn = [*range(len(pictures)), *range(len(pictures) - 2, 0, -1)]
    try:
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=_RATE, options={"preset": "superfast", "crf": "12"})
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for t in range(frames):
                picture = np.full((height, width, 3), 64, np.uint8)
                for i in range(faces):
                    y, x = i // side * tile[1], i % side * tile[0]
                    picture[y : y + tile[1], x : x + tile[0]] = pictures[turn[(t + 7 * i) % len(turn)]]
                frame = av.VideoFrame.from_ndarray(picture, "rgb24")
                frame.pts, frame.time_base = t, Fraction(1, _RATE)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    except (av.error.FFmpegError, OSError) as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})", "make room in the folder of temporary files") from error
    return path


def write_still(path: Path, side: int) -> Path:
    """Write a square portrait as PNG."""
    picture = talking_head(side * 16 // 9 // 2 * 2, side, 1)[0]
    left = (picture.shape[1] - side) // 2
    square = np.ascontiguousarray(picture[:, left : left + side, ::-1])
    if not cv2.imwrite(str(path), square):
        raise InputError(f"{path}: cannot be written", "make room in the folder of temporary files")
    return path


def official_shape(size: int) -> GpenShape:
    """The widths of the published GPEN network of a size: half width at 256, where the others are full."""
    return GpenShape.official(size, channel_multiplier=1, narrow=0.5) if size == 256 else GpenShape.official(size)


def random_network(shape: GpenShape) -> GpenGenerator:
    """A network with random weights: the published ones' speed, nobody's face."""
    torch.manual_seed(0)
    network = GpenGenerator(shape).eval().requires_grad_(False)
    for name, values in network.named_parameters():
        if name.endswith("noise.weight"):
            values.fill_(0.3)
        elif name.endswith("bias") and "modulation" not in name:
            values.normal_(std=0.1)
    return network


def write_random_weights(path: Path, shape: GpenShape) -> Path:
    """Write such a network as a weight file."""
    save_file({k: v.contiguous() for k, v in random_network(shape).state_dict().items()}, path)
    return path
