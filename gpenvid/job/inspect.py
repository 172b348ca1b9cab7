"""Looking at a file from a stranger before a job is made of it. Loads neither networks nor torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gpenvid.errors import InputError, UsageError
from gpenvid.job.inputs import check_picture_settings
from gpenvid.media.containers import container_for_source
from gpenvid.media.encoder_choice import choose_encoder
from gpenvid.media.encoders import EncoderRequest
from gpenvid.media.reader import VideoReader
from gpenvid.media.stills import read_frame
from gpenvid.media.untrusted import check_pixels, check_video, still_suffix
from gpenvid.settings import RestoreSettings

_VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".ts", ".m2ts", ".avi", ".mpg", ".mxf", ".wmv", ".flv", ".ogv", ".wtv")
_SPARE = 1.0  # seconds that a file may be longer than it says


@dataclass(frozen=True)
class Facts:
    """What a file is, by its content.

    Attributes:
        kind: a video or a still picture.
        suffix: the extension it should have, so that it is taken for what it is.
        result_suffix: extension of what will be made of it.
        frames: estimate of the container, 0 where unknown.
    """

    kind: Literal["video", "still"]
    suffix: str
    result_suffix: str
    frames: int = 1


def picture_suffix(path: Path) -> str | None:
    """The extension that fits a picture file's content, None where it is no still picture.

    Raises:
        InputError: it cannot be read, or is empty.
    """
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", "check the file") from error
    if not head:
        raise InputError(f"{path}: the file is empty", "check the file")
    return still_suffix(head)


def inspect_file(path: Path, settings: RestoreSettings, *, name: str = "", max_pixels: int) -> Facts:
    """Decode the beginning of a file and settle what a job with these settings would write.

    Args:
        name: what its owner calls it; only decides between containers of the same kind, such as `.mp4` and `.m4v`.
        max_pixels: frames larger than that are refused.

    Raises:
        InputError: it is empty, too large, damaged from the start, no picture or video, or refers to other files.
        UsageError: the settings do not fit it.
    """
    suffix = picture_suffix(path)
    if suffix is not None:
        check_picture_settings("still", settings)
        frame = read_frame(path)
        check_pixels(path, frame.width, frame.height, max_pixels)
        return Facts("still", suffix, suffix)
    check_video(path, max_pixels)
    info = VideoReader(path, deinterlace=settings.deinterlace).info
    check_pixels(path, info.geometry.width, info.geometry.height, max_pixels)
    if info.duration and (settings.start or 0) > info.duration + _SPARE:
        raise UsageError(f"{path}: lasts {info.duration:.1f} s, and --start is {settings.start:g} s", "choose an earlier start")
    hint = Path(name).suffix.lower()
    suffix = hint if hint in _VIDEO_SUFFIXES else ".video"
    container, _ = container_for_source(path.with_suffix(suffix), info.container, alpha=info.layout.alpha, sounds=info.sounds)
    encoder, _ = choose_encoder(
        EncoderRequest(settings.codec, settings.crf, settings.preset), info, container, deinterlaced=settings.deinterlace
    )
    encoder.open()
    return Facts("video", suffix, container.suffix, info.frame_count)
