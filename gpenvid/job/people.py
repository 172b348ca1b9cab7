"""A contact sheet of the people found in a clip, to choose by number."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gpenvid.blend.warp import cut_crop
from gpenvid.errors import InputError
from gpenvid.faces.align import crop_affine
from gpenvid.faces.tracks import Track, Tracks
from gpenvid.geometry import compose, resize_affine
from gpenvid.job.film import open_film
from gpenvid.job.whole import write_whole
from gpenvid.media.frame import Frame
from gpenvid.settings import RestoreSettings

_CELL = 160  # pixels
_COLUMNS = 6
_CAPTION = 36


def best_frame(track: Track) -> int:
    """The frame in which a person is seen best: large and sure."""
    eyes = np.hypot(*(track.landmarks[:, 1] - track.landmarks[:, 0]).T)
    return track.start + int(np.argmax(eyes * track.scores))


def contact_sheet(tracks: Tracks, frames: Iterable[Frame]) -> NDArray[np.uint8]:
    """One aligned picture per track with its number, frames and mean score: (H, W, 3) uint8 RGB."""
    wanted: dict[int, list[Track]] = {}
    for track in tracks.tracks:
        wanted.setdefault(best_frame(track), []).append(track)
    cells: dict[int, NDArray[np.uint8]] = {}
    for index, frame in enumerate(frames):
        for track in wanted.get(index, []):
            cells[track.id] = face_picture(track, frame, index)
        if len(cells) == len(tracks.tracks):
            break
    rows = max(1, -(-len(cells) // _COLUMNS))
    sheet = np.full((rows * (_CELL + _CAPTION), min(_COLUMNS, max(1, len(cells))) * _CELL, 3), 24, np.uint8)
    for position, (number, cell) in enumerate(sorted(cells.items())):
        y, x = position // _COLUMNS * (_CELL + _CAPTION), position % _COLUMNS * _CELL
        sheet[y : y + _CELL, x : x + _CELL] = cell
        track = next(t for t in tracks.tracks if t.id == number)
        lines = (f"{number}: {len(track.scores)} frames", f"{track.start}-{track.end - 1}, {track.scores.mean():.2f}")
        for line, text in enumerate(lines):
            cv2.putText(sheet, text, (x + 4, y + _CELL + 14 + 15 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (235, 235, 235), 1, cv2.LINE_AA)
    return sheet


def face_picture(track: Track, frame: Frame, index: int) -> NDArray[np.uint8]:
    """The aligned face of a track in a frame, (160, 160, 3) uint8 RGB."""
    width, height = (round(v) for v in frame.geometry.display_size)
    picture = frame.thumbnail(width, height)
    display = frame.geometry.display_size
    from_picture = resize_affine(display[0] / width, display[1] / height)
    to_crop = compose(crop_affine(track.parameters[index - track.start], _CELL), from_picture)
    crop = cut_crop(np.asarray(picture, np.float32) / np.float32(255), to_crop, _CELL)
    return np.asarray(np.rint(crop * 255), np.uint8)


def write_contact_sheet(tracks: Tracks, source: Path, settings: RestoreSettings, path: Path) -> None:
    """Draw the people of a film into a PNG.

    Raises:
        InputError: if it cannot be written.
    """
    sheet = contact_sheet(tracks, open_film(source, settings).frames())
    data = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))[1]
    try:
        write_whole(path, data.tobytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})", "choose another --sheet file") from error
