"""One picture in its native planes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, cast

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from gpenvid.media.color import FULL, ColorSpec, scaler_matrix
from gpenvid.media.deinterlace import FieldOrder
from gpenvid.media.layout import PixelLayout
from gpenvid.media.orientation import DisplayGeometry
from gpenvid.media.planes import planes_to_rgb
from gpenvid.media.side_data import side_data_of
from gpenvid.media.transfer import is_hdr, to_sdr

Plane = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass
class Frame:
    """A decoded picture: native planes, the time it is shown, and how to look at it.

    Attributes:
        index: position in the source, from 0.
        pts: presentation time in units of `time_base`.
        time_base: seconds per tick.
        duration: ticks, 0 where unknown.
        layout: how samples lie in the planes.
        color: colour properties.
        geometry: stored size, pixel shape, orientation.
        fields: whether two fields lie in the picture, and which comes first.
    """

    index: int
    pts: int
    time_base: Fraction
    duration: int
    layout: PixelLayout
    color: ColorSpec
    geometry: DisplayGeometry
    fields: FieldOrder = "progressive"
    _av: av.VideoFrame | None = field(default=None, repr=False)
    _planes: list[Plane] | None = field(default=None, repr=False)
    _writable: bool = False

    @property
    def width(self) -> int:
        """Stored width in samples."""
        return self.geometry.width

    @property
    def height(self) -> int:
        """Stored height in samples."""
        return self.geometry.height

    @property
    def planes(self) -> list[Plane]:
        """The planes, to read: (rows, columns) uint8 or uint16 each, alpha last."""
        if self._planes is None:
            assert self._av is not None
            self._planes = view_planes(self._av, self.layout)
        return self._planes

    @property
    def embedded(self) -> frozenset[str]:
        """FFmpeg's names of what the picture carries beside its samples, as long as it is the decoder's own."""
        return frozenset() if self._av is None else frozenset(kind.name for kind in side_data_of(self._av))

    def writable_planes(self) -> list[Plane]:
        """The planes, to change in place. A decoder's own reference pictures are copied first, never written to."""
        if not self._writable:
            if self._av is not None:
                self._av.make_writable()
                self._planes = None
            self._writable = True
        return self.planes

    def own(self) -> Frame:
        """The same frame with planes of its own: changing either leaves the other as it is."""
        return replace(self, _av=None, _planes=[plane.copy() for plane in self.planes], _writable=True)

    def thumbnail(self, width: int, height: int) -> NDArray[np.uint8]:
        """The whole picture as a viewer sees it, upright and in SDR, resized to width x height: (height, width, 3) uint8 RGB."""
        stored = (height, width) if self.geometry.orientation.swaps_axes else (width, height)
        return self.geometry.orientation.apply(self._stored_rgb(*stored))

    def _stored_rgb(self, width: int, height: int) -> NDArray[np.uint8]:
        if self._av is None:
            colours = self.planes[: self.layout.colour_planes]
            small: list[Any] = [cv2.resize(p, (width, height), interpolation=cv2.INTER_AREA) for p in colours]
            rgb = planes_to_rgb(small, self.layout, self.color, self.height)
            return np.asarray(np.rint(rgb * 255), np.uint8)
        colorspace = scaler_matrix(self.color.resolved_matrix(self.height))
        hdr = is_hdr(self.color.transfer)
        reduced = self._av.reformat(
            width=width,
            height=height,
            format="rgb48le" if hdr else "rgb24",
            src_colorspace=colorspace if self.layout.model == "yuv" else None,
            # Full range must be said, not guessed.
            src_color_range=2 if self.color.is_full_range else 1,
            dst_color_range=2,
            interpolation="BILINEAR",
        ).to_ndarray()
        if not hdr:
            return np.asarray(reduced, np.uint8)
        sdr = to_sdr(np.asarray(reduced / np.float32(65535), np.float32), self.color.transfer)
        return np.asarray(np.rint(sdr * 255), np.uint8)

    def to_av(self) -> av.VideoFrame:
        """The picture as a PyAV frame with pts and colour set, ready for an encoder."""
        frame = self._av
        if frame is None:
            frame = av.VideoFrame(self.width, self.height, self.layout.name)
            for target, plane in zip(view_planes(frame, self.layout), self.planes, strict=True):
                target[:] = plane
        frame.pts, frame.time_base, frame.duration = self.pts, self.time_base, self.duration
        frame.pict_type = 0  # the source's frame types are no advice to the encoder
        frame.colorspace, frame.color_primaries, frame.color_trc = self.color.matrix, self.color.primaries, self.color.transfer
        frame.color_range = FULL if self.color.is_full_range else self.color.range
        return frame


def view_planes(frame: av.VideoFrame, layout: PixelLayout) -> list[Plane]:
    """The planes of a PyAV frame, (rows, columns) uint8 or uint16 each, alpha last: its own memory, perhaps shared with a decoder."""
    dtype = np.dtype(layout.dtype)
    views: list[Plane] = []
    for i in range(layout.colour_planes + layout.alpha):
        plane = frame.planes[i]
        rows, columns = layout.plane_shape(3 if layout.alpha and i == layout.colour_planes else i, frame.width, frame.height)
        whole = np.frombuffer(memoryview(cast(Any, plane)), dtype).reshape(-1, plane.line_size // dtype.itemsize)
        views.append(whole[:rows, :columns])
    return views
