"""A video's frame as a picture file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from gpenvid.media.color import UNSPECIFIED
from gpenvid.media.frame import Frame, Plane
from gpenvid.media.planes import planes_to_rgb
from gpenvid.media.still_extras import StillExtras
from gpenvid.media.stills import encode_still


def picture_of(frame: Frame) -> tuple[list[Plane], str]:
    """Planes (G, B, R[, A] or Y) of an upright picture, 8 bit for 8-bit frames and 16 bit for all others, and their model.

    RGB and grey of 8 and 16 bit come through exactly. HDR signals stay as they are and are not made SDR.
    """
    layout = frame.layout
    wide: Any = np.uint8 if layout.bits == 8 else np.uint16
    planes: list[Any]
    if layout.model == "rgb" or (layout.model == "gray" and (frame.color.is_full_range or layout.bits == 16)):
        planes = [_widened(p, layout.bits) for p in frame.planes[: layout.colour_planes]]
    else:
        plain = replace(frame.color, transfer=UNSPECIFIED)
        rgb = planes_to_rgb(frame.planes[: layout.colour_planes], layout, plain, frame.height)
        codes = np.rint(rgb * np.float32(np.iinfo(wide).max)).astype(wide)
        planes = [codes[:, :, i] for i in ((0,) if layout.model == "gray" else (1, 2, 0))]
    if layout.alpha:
        planes.append(_widened(frame.planes[-1], layout.bits))
    model = "gray" if len(planes) == 1 else "rgb"
    return [frame.geometry.orientation.apply(p) for p in planes], model


def encode_pictures(frames: Iterable[Frame], suffix: str) -> Iterator[Packet[VideoStream]]:
    """Each frame as a packet that holds a picture file of the kind `suffix` says.

    Raises:
        UsageError: if that kind of file cannot hold such samples.
    """
    for frame in frames:
        planes, model = picture_of(frame)
        packet: Packet[Any] = Packet(encode_still(planes, model, StillExtras(), suffix))
        packet.pts, packet.is_keyframe = frame.pts, True
        yield packet


def _widened(plane: Plane, bits: int) -> NDArray[Any]:
    """Codes of 9 to 15 bits on the scale of 16, so that black and white stay black and white."""
    if bits in (8, 16):
        return plane
    return np.asarray((plane.astype(np.uint32) * 65535 + (1 << bits - 1)) // ((1 << bits) - 1), np.uint16)
