"""What a decoder tells of a picture beside its samples."""

from __future__ import annotations

from typing import Any

import av
from av.sidedata.sidedata import SideData
from av.sidedata.sidedata import Type as SideDataType

__all__ = ["CAPTIONS", "LIGHT_LEVELS", "NEVER_CARRIED", "SideDataType", "side_data_of"]

CAPTIONS = "A53_CC"
LIGHT_LEVELS = ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL")
NEVER_CARRIED = {
    "DOVI_METADATA": "the Dolby Vision metadata",
    "DYNAMIC_HDR_PLUS": "the HDR10+ metadata",
    "DYNAMIC_HDR_VIVID": "the HDR Vivid metadata",
    "STEREO3D": "the mark for stereo pictures",
    "SPHERICAL": "the mark for spherical pictures",
    "AFD": "the active format description",
    "S12M_TIMECODE": "the timecode inside the picture",
}
"""What no encoder here writes, and how it is told of."""


def _further(_: type[SideDataType], number: int) -> SideDataType:
    """A kind that FFmpeg knows and PyAV does not: EXIF (31), the view of a stereoscopic picture (29)."""
    kind = object.__new__(SideDataType)
    kind._name_, kind._value_ = f"KIND_{number}", number  # type: ignore[assignment]
    found = SideDataType._value2member_map_.setdefault(number, kind)  # the same one each time
    assert isinstance(found, SideDataType)
    return found


# PyAV 18 names the first 28 kinds and fails for all that a picture has as soon as it has another one.
SideDataType._missing_ = classmethod(_further)  # type: ignore[method-assign, assignment]


def side_data_of(picture: av.VideoFrame) -> dict[SideDataType, SideData]:
    """By kind, the last of each."""
    beside: Any = picture.side_data  # by type, not by name as PyAV's stubs have it
    return {entry.type: entry for entry in beside}
