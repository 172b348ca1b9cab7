"""The frames of a film, whether a video file holds them or numbered pictures do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gpenvid.errors import InputError, UsageError
from gpenvid.job.inputs import classify
from gpenvid.job.parts import chosen_range, frames_in
from gpenvid.media.frame import Frame
from gpenvid.media.orientation import DisplayGeometry
from gpenvid.media.reader import VideoReader
from gpenvid.media.stills import read_frame
from gpenvid.settings import RestoreSettings


@dataclass(frozen=True)
class Film:
    """What can be followed from frame to frame.

    Attributes:
        geometry: of every frame.
        count: frames there are, as far as is known without reading them all; 0 where it is not.
        frames: reads them from the first on, each time it is called.
    """

    geometry: DisplayGeometry
    count: int
    frames: Callable[[], Iterator[Frame]]


def open_film(source: Path, settings: RestoreSettings) -> Film:
    """Open the chosen part of a video file, or a numbered sequence such as `scan_%04d.png`.

    Raises:
        InputError: if it cannot be read.
        UsageError: if it is a single picture or a folder, or a part of a sequence is asked for.
    """
    item = classify(source)
    if item.kind == "sequence":
        if settings.start is not None or settings.end is not None:
            raise UsageError(f"{source}: --start and --end are for videos", "leave them out for pictures")
        return film_of_pictures(item.files)
    if item.kind != "video":
        raise UsageError(f"{source}: is no film", "name a video, or a numbered sequence like scan_%04d.png")
    reader = VideoReader(source, deinterlace=settings.deinterlace)
    keep = chosen_range(reader, settings)
    count = reader.info.frame_count if keep.is_whole else 0
    return Film(reader.info.geometry, count or 0, lambda: frames_in(reader.frames(), keep))


def film_of_pictures(files: Sequence[Path]) -> Film:
    """Pictures of one size, in order, as frames.

    Raises:
        InputError: if the first cannot be read; on reading, if another cannot, or has another size.
    """
    geometry = read_frame(files[0]).geometry

    def frames() -> Iterator[Frame]:
        for index, path in enumerate(files):
            frame = read_frame(path, index=index)
            if frame.geometry != geometry:
                raise InputError(f"{path}: has another size than {files[0].name}", "restore them as a folder")
            yield frame

    return Film(geometry, len(files), frames)
