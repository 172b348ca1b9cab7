"""Tracks as a file: written by `gpenvid analyse`, edited by people, read by `gpenvid restore --tracks`."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpenvid.errors import InputError
from gpenvid.faces.shots import Shot
from gpenvid.faces.tracks import Flag, Track, Tracks
from gpenvid.job.whole import write_whole

SIDECAR_VERSION = 1
_LEAST_LOG_SIDE, _LARGEST_LOG_SIDE = 0.69, 12.0  # crops of 2 and of 160,000 pixels
_FARTHEST = 1e6  # pixels from the picture's corner


def write_sidecar(tracks: Tracks, path: Path, preview: dict[str, Any] | None = None) -> None:
    """Write tracks as JSON; reading them back gives exactly the same numbers.

    Args:
        preview: what the preview page was set to, for the next time; nothing else reads it.

    Raises:
        InputError: if the file cannot be written.
    """
    before = {
        "gpenvid_tracks": SIDECAR_VERSION,
        "frames": tracks.frames,
        "width": tracks.width,
        "height": tracks.height,
        "detector": tracks.detector,
        "detector_calls": tracks.detector_calls,
        "close_looks": tracks.close_looks,
        "shots": [{"start": s.start, "end": s.end, "monochrome": s.monochrome} for s in tracks.shots],
    }
    behind: dict[str, Any] = {} if tracks.begin is None else {"begin": tracks.begin}
    if preview is not None:
        behind["preview"] = preview
    # Track by track, because as Python's numbers those of a long film take ten times the room of their text.
    people = ",".join(_as_text(_track_to_json(t)) for t in tracks.tracks)
    text = f'{_as_text(before)[:-1]},"tracks":[{people}]{"," if behind else ""}{_as_text(behind)[1:]}\n'
    try:
        write_whole(path, text)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})", "choose another file") from error


def hash_tracks(path: Path) -> str:
    """SHA-256 of a sidecar, in hexadecimal; of one that `write_sidecar` wrote, as if it had been told nothing of the preview page.

    Raises:
        OSError: if it cannot be read.
    """
    content = path.read_bytes()
    tracks, mark, preview = content.partition(b',"preview":')
    try:
        json.loads(b'{"preview":' + preview)  # what comes last, and not a part of something else
    except (ValueError, RecursionError):
        mark = b""
    return hashlib.sha256(tracks + b"}\n" if mark else content).hexdigest()


def read_preview(path: Path) -> dict[str, Any]:
    """What the preview page was set to when a sidecar was saved; empty where nothing is known."""
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig")).get("preview")
    except (OSError, ValueError, RecursionError, AttributeError):
        return {}
    return found if isinstance(found, dict) else {}


def check_tracks_of(tracks: Tracks, sidecar: Path, source: Path, frames: int, display_size: tuple[int, int], start: float | None) -> None:
    """Make sure that tracks are those of a film of so many frames of this size, or of its part that begins at `start` seconds.

    Raises:
        InputError: if they are not, naming the sidecar they were read from.
    """
    if frames != tracks.frames or (tracks.width, tracks.height) != display_size:
        size = "x".join(map(str, display_size))
        found = f"{tracks.frames} frames of {tracks.width}x{tracks.height}"
        raise InputError(f"{sidecar}: tells of {found}, {source} has {frames} of {size}", "analyse this clip, or this part of it")
    if tracks.begin is not None and tracks.begin != (start or 0):
        told = f"{sidecar}: tells of a part that begins at {tracks.begin:g} s, and the chosen one begins at {start or 0:g} s"
        raise InputError(told, "give the same --start, or analyse this part")


def _as_text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _track_to_json(track: Track) -> dict[str, Any]:
    return {
        "id": track.id,
        "strength": track.strength,
        "start": track.start,
        "source": ["detected" if d else "flow" for d in track.detected],
        "flags": [{"start": f.start, "end": f.end, "reason": f.reason} for f in track.flags],
        "boxes": track.boxes.tolist(),
        "scores": track.scores.tolist(),
        "landmarks": track.landmarks.tolist(),
        "parameters": track.parameters.tolist(),
        "weights": track.weights.tolist(),
    }


class _Reader:
    """Checks a sidecar while reading it; every complaint names the field."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fail(self, field: str, wanted: str) -> InputError:
        return InputError(f"{self.path}: {field} is not {wanted}", "correct it, or run `gpenvid analyse` again")

    def number(self, parent: dict[str, Any], key: str, where: str, *, low: float = 0, high: float = 2**53) -> float:
        value = parent.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self.fail(f"{where}{key}", f"a number from {low:g} to {high:g}")
        return value

    def integer(self, parent: dict[str, Any], key: str, where: str, *, low: int = 0, high: int = 2**53) -> int:
        value = self.number(parent, key, where, low=low, high=high)
        if not isinstance(value, int):
            raise self.fail(f"{where}{key}", "a whole number")
        return value

    def boolean(self, parent: dict[str, Any], key: str, where: str) -> bool:
        value = parent.get(key, False)
        if not isinstance(value, bool):
            raise self.fail(f"{where}{key}", "true or false")
        return value

    def array(self, parent: dict[str, Any], key: str, where: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
        wanted = f"an array of {' x '.join(map(str, shape))} numbers"
        try:
            values = np.array(parent.get(key))
        except (TypeError, ValueError, OverflowError) as error:
            raise self.fail(f"{where}{key}", wanted) from error
        # By kind, because NumPy would make numbers of texts such as "12.5" too.
        if values.dtype.kind not in "if" or values.shape != shape or not np.isfinite(values).all():
            raise self.fail(f"{where}{key}", wanted)
        return values.astype(np.float64)

    def items(self, parent: dict[str, Any], key: str, where: str = "") -> list[dict[str, Any]]:
        value = parent.get(key)
        if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
            raise self.fail(f"{where}{key}", "a list of objects")
        return value


def read_sidecar(path: Path) -> Tracks:
    """Read and check a sidecar.

    Raises:
        InputError: no such file, no JSON, another version, or a field that is wrong; the message names it.
    """
    reader = _Reader(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", "check the path") from error
    except (ValueError, RecursionError) as error:  # undecodable, no JSON, numbers of thousands of digits, brackets in thousands of brackets
        raise InputError(f"{path}: is no JSON ({error})", "correct it, or run `gpenvid analyse` again") from error
    if not isinstance(content, dict) or content.get("gpenvid_tracks") != SIDECAR_VERSION:
        raise reader.fail("gpenvid_tracks", f"{SIDECAR_VERSION}, the version this gpenvid reads")
    frames = reader.integer(content, "frames", "", low=1)
    shots = [_shot(reader, s, f"shots[{i}].", frames) for i, s in enumerate(reader.items(content, "shots"))]
    edges = [s.start for s in shots] + [frames]
    if not shots or edges[0] != 0 or [s.end for s in shots] != edges[1:]:
        raise reader.fail("shots", "a list that covers all frames without gap or overlap")
    tracks = [_track(reader, t, f"tracks[{i}].", frames) for i, t in enumerate(reader.items(content, "tracks"))]
    if len({t.id for t in tracks}) < len(tracks):
        raise reader.fail("tracks", "a list of tracks with different ids")
    return Tracks(
        frames=frames,
        width=reader.integer(content, "width", "", low=1),
        height=reader.integer(content, "height", "", low=1),
        detector=str(content.get("detector", "")),
        detector_calls=reader.integer(content, "detector_calls", ""),
        shots=shots,
        tracks=tracks,
        close_looks=reader.integer({"close_looks": 0, **content}, "close_looks", ""),
        begin=reader.number(content, "begin", "") if "begin" in content else None,
    )


def _shot(reader: _Reader, shot: dict[str, Any], where: str, frames: int) -> Shot:
    start = reader.integer(shot, "start", where, high=frames)
    return Shot(start, reader.integer(shot, "end", where, low=start + 1, high=frames), reader.boolean(shot, "monochrome", where))


def _flag(reader: _Reader, flag: dict[str, Any], where: str, frames: int) -> Flag:
    start = reader.integer(flag, "start", where, high=frames)
    return Flag(start, reader.integer(flag, "end", where, low=start, high=frames), str(flag.get("reason", "")))


def _track(reader: _Reader, track: dict[str, Any], where: str, frames: int) -> Track:
    sources = track.get("source")
    if not isinstance(sources, list) or not sources or not all(s in ("detected", "flow") for s in sources):
        raise reader.fail(f"{where}source", "a list of 'detected' and 'flow'")
    count = len(sources)
    flags = [_flag(reader, f, f"{where}flags[{i}].", frames) for i, f in enumerate(reader.items(track, "flags", where))]
    parameters = reader.array(track, "parameters", where, (count, 4))
    sides = parameters[:, 0]
    if sides.min() < _LEAST_LOG_SIDE or sides.max() > _LARGEST_LOG_SIDE or np.abs(parameters[:, 1:]).max() > _FARTHEST:
        raise reader.fail(f"{where}parameters", "made of crops of a possible size and place")
    landmarks = reader.array(track, "landmarks", where, (count, 5, 2))
    if np.abs(landmarks).max() > _FARTHEST or np.ptp(landmarks, axis=1).max(axis=1).min() <= 0:
        raise reader.fail(f"{where}landmarks", "made of points in or near the picture that differ")
    weights = reader.array(track, "weights", where, (count,))
    if weights.min() < 0 or weights.max() > 1:
        raise reader.fail(f"{where}weights", "within 0 and 1")
    return Track(
        id=reader.integer(track, "id", where, low=1),
        start=reader.integer(track, "start", where, high=frames - count),
        boxes=reader.array(track, "boxes", where, (count, 4)),
        scores=reader.array(track, "scores", where, (count,)),
        landmarks=landmarks,
        detected=np.array([s == "detected" for s in sources]),
        parameters=parameters,
        weights=weights,
        strength=reader.number(track, "strength", where, high=1),
        flags=flags,
    )
