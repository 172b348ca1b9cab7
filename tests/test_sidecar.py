"""The sidecar: exact, checked, editable."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import gpenvid
from gpenvid import RestoreSettings
from gpenvid.errors import InputError, UsageError
from gpenvid.faces.shots import Shot
from gpenvid.faces.tracks import Track, Tracks
from gpenvid.job.parts import frames_in
from gpenvid.job.people import contact_sheet, write_contact_sheet
from gpenvid.job.sidecar import read_sidecar, write_sidecar
from gpenvid.media.frame import Frame
from gpenvid.media.reader import VideoReader
from gpenvid.media.time_range import TimeRange

FILM = Path(__file__).parent.parent / "samples" / "old_film.mp4"


@pytest.fixture(scope="module")
def tracks(shared: Path) -> Tracks:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GPENVID_WEIGHTS", str(shared / "weights"))
        return gpenvid.analyse(FILM, RestoreSettings(detector="retinaface-mobilenet"))


@pytest.fixture
def sidecar(tracks: Tracks, tmp_path: Path) -> Path:
    write_sidecar(tracks, tmp_path / "tracks.json")
    return tmp_path / "tracks.json"


def _pictures(path: Path) -> list[bytes]:
    return [b"".join(p.tobytes() for p in f.planes) for f in VideoReader(path).frames()]


def test_the_old_film_has_one_person_on_either_side_of_the_cut(tracks: Tracks) -> None:
    assert [(s.start, s.end, s.monochrome) for s in tracks.shots] == [(0, 50, True), (50, 100, True)]
    assert [(t.start, t.end) for t in tracks.tracks] == [(0, 50), (50, 100)]


def test_the_known_motion_of_the_film_is_recovered(tracks: Tracks) -> None:
    from gpenvid.geometry import apply_affine, invert
    from samples.make_samples import film_transform

    # Back in the portrait, where nothing moves, the face's centre must stand still; where it stands is the detector's affair.
    centres = []
    for frame in range(100):
        (track,) = tracks.at(frame)
        back = invert(film_transform(frame))
        centres.append(apply_affine(back, track.landmarks[frame - track.start]).mean(axis=0))
    for shot in (slice(0, 50), slice(50, 100)):
        centre = np.array(centres[shot])
        eyes = 43.0  # eye distance in the portrait
        assert np.hypot(*(centre - centre.mean(axis=0)).T).max() < 0.10 * eyes
        assert np.hypot(*(centre - np.array([224.0, 119.0])).T).max() < 0.25 * eyes


def test_reading_gives_back_exactly_what_was_written(tracks: Tracks, sidecar: Path) -> None:
    found = read_sidecar(sidecar)
    assert found.shots == tracks.shots
    assert (found.frames, found.width, found.height, found.detector_calls) == (100, 320, 240, tracks.detector_calls)
    for a, b in zip(tracks.tracks, found.tracks, strict=True):
        assert (a.id, a.start, a.strength, a.flags) == (b.id, b.start, b.strength, b.flags)
        for name in ("boxes", "scores", "landmarks", "detected", "parameters", "weights"):
            assert np.array_equal(getattr(a, name), getattr(b, name)), name


def test_a_render_from_the_sidecar_equals_a_render_at_once(sidecar: Path, retinaface: Path, tiny_model: Path, tmp_path: Path) -> None:
    at_once = RestoreSettings(model=str(tiny_model), codec="ffv1", detector="retinaface-mobilenet")
    from_file = RestoreSettings(model=str(tiny_model), codec="ffv1", tracks=sidecar, detector="builtin")
    gpenvid.restore(FILM, tmp_path / "a.mkv", at_once)
    gpenvid.restore(FILM, tmp_path / "b.mkv", from_file)
    assert _pictures(tmp_path / "a.mkv") == _pictures(tmp_path / "b.mkv")


def test_people_can_be_chosen_and_left_out(sidecar: Path, tiny_model: Path, tmp_path: Path) -> None:
    common: dict[str, Any] = {"model": str(tiny_model), "codec": "ffv1", "tracks": sidecar}
    only = gpenvid.restore(FILM, tmp_path / "only.mkv", RestoreSettings(**common, only=(1,)))
    left = gpenvid.restore(FILM, tmp_path / "left.mkv", RestoreSettings(**common, exclude=(1,)))
    assert (only.faces, left.faces) == (50, 50)
    source = _pictures(FILM)
    assert _pictures(tmp_path / "only.mkv")[50:] == source[50:]
    assert _pictures(tmp_path / "left.mkv")[:50] == source[:50]


def test_a_strength_written_into_the_file_counts(sidecar: Path, tiny_model: Path, tmp_path: Path) -> None:
    content = json.loads(sidecar.read_text())
    content["tracks"][0]["strength"] = 0
    sidecar.write_text(json.dumps(content))
    report = gpenvid.restore(FILM, tmp_path / "out.mkv", RestoreSettings(model=str(tiny_model), codec="ffv1", tracks=sidecar))
    assert report.faces == 50
    assert report.skipped == {"strength 0": 50}


def test_every_face_is_either_restored_or_named_with_its_reason(sidecar: Path, tiny_model: Path, tmp_path: Path) -> None:
    content = json.loads(sidecar.read_text())
    first, second = content["tracks"]
    first["flags"] = [{"start": 10, "end": 22, "reason": "turned away"}]
    first["weights"][10:25] = [0] * 15
    first["parameters"][30:34] = [[p[0], p[1], -5000.0, p[3]] for p in first["parameters"][30:34]]
    second["weights"][:7] = [0] * 7
    sidecar.write_text(json.dumps(content))
    report = gpenvid.restore(FILM, tmp_path / "out.mkv", RestoreSettings(model=str(tiny_model), codec="ffv1", tracks=sidecar))
    assert report.skipped == {"turned away": 12, "eased out": 3 + 7, "outside the picture": 4}
    assert report.faces + sum(report.skipped.values()) == 100


def _set(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        place: Any = content
        for key in parents:
            place = place[int(key)] if key.isdigit() else place[key]
        place[int(last) if last.isdigit() else last] = value

    return change


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_set("gpenvid_tracks", 99), "gpenvid_tracks"),
        (_set("frames", "many"), "frames"),
        (_set("shots.0.end", 30), "shots"),
        (_set("shots", {}), "shots"),
        (_set("tracks.0.strength", 2), "tracks[0].strength"),
        (_set("tracks.1.landmarks", [[1, 2]]), "tracks[1].landmarks"),
        (_set("tracks.1.parameters.3.2", None), "tracks[1].parameters"),
        (_set("tracks.0.parameters.0.2", "12.5"), "tracks[0].parameters"),
        (_set("tracks.0.parameters.0.2", 10**400), "tracks[0].parameters"),
        (_set("tracks.0.weights.4", -1), "tracks[0].weights"),
        (_set("tracks.0.source.0", "guessed"), "tracks[0].source"),
        (_set("tracks.0.start", 80), "tracks[0].start"),
        (_set("tracks.1.id", 1), "tracks"),
        (_set("width", True), "width"),
        (_set("shots.0.monochrome", "false"), "shots[0].monochrome"),
        (_set("tracks.0.parameters.0.0", -12), "tracks[0].parameters"),
        (_set("tracks.0.parameters.0.0", 0), "tracks[0].parameters"),
        (_set("tracks.0.parameters.0.2", 1e300), "tracks[0].parameters"),
        (_set("tracks.0.landmarks.0", [[5, 5]] * 5), "tracks[0].landmarks"),
        (_set("tracks.0.landmarks.0.0.0", 1e300), "tracks[0].landmarks"),
        (_set("tracks.0.flags", [{"start": 0, "end": 101}]), "tracks[0].flags[0].end"),
        (_set("tracks.0.flags", [{"start": 9, "end": 8}]), "tracks[0].flags[0].end"),
    ],
)
def test_a_wrong_field_is_named(change: Callable[[dict[str, Any]], None], named: str, sidecar: Path) -> None:
    content = json.loads(sidecar.read_text())
    change(content)
    sidecar.write_text(json.dumps(content))
    with pytest.raises(InputError) as error:
        read_sidecar(sidecar)
    assert named in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "\xff\xfe", "9" * 5000, "[" * 100_000])
def test_what_is_no_sidecar_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "t.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"t\.json"):
        read_sidecar(tmp_path / "t.json")


def test_a_file_saved_with_a_byte_order_mark_is_read(tracks: Tracks, sidecar: Path) -> None:
    sidecar.write_bytes(b"\xef\xbb\xbf" + sidecar.read_bytes())
    assert len(read_sidecar(sidecar).tracks) == len(tracks.tracks)


def test_tracks_of_another_clip_are_refused(sidecar: Path, tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="100 frames of 320x240"):
        gpenvid.restore(FILM.with_name("interview.mp4"), tmp_path / "o.mp4", RestoreSettings(model=str(tiny_model), tracks=sidecar))


def test_a_render_goes_by_the_tracks_that_stood_there_when_it_began(
    sidecar: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody saves another choice while the frames are counted."""

    def saved_meanwhile(frames: Iterable[Frame], keep: TimeRange) -> Iterator[Frame]:
        nobody = json.loads(sidecar.read_text())
        nobody["tracks"] = []
        sidecar.write_text(json.dumps(nobody))
        return frames_in(frames, keep)

    monkeypatch.setattr("gpenvid.job.rendered.frames_in", saved_meanwhile)
    report = gpenvid.restore(FILM, tmp_path / "o.mp4", RestoreSettings(model=str(tiny_model), tracks=sidecar, preset="ultrafast"))
    assert (report.tracks, report.faces) == (2, 100)


def test_tracks_of_another_part_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    """Also where it has as many frames."""
    sidecar = tmp_path / "t.json"
    write_sidecar(gpenvid.analyse(FILM, RestoreSettings(detector="builtin", start=0.4, end=0.8)), sidecar)
    settings = RestoreSettings(model=str(tiny_model), tracks=sidecar, start=1.2, end=1.6, preset="ultrafast")
    with pytest.raises(InputError, match=r"t\.json: tells of a part that begins at 0\.4 s, and the chosen one begins at 1\.2 s"):
        gpenvid.restore(FILM, tmp_path / "o.mp4", settings)
    gpenvid.restore(FILM, tmp_path / "o.mp4", replace(settings, start=0.4, end=0.8))
    content = json.loads(sidecar.read_text())
    del content["begin"]  # written by an earlier version
    sidecar.write_text(json.dumps(content))
    gpenvid.restore(FILM, tmp_path / "p.mp4", settings)


def test_where_nobody_was_found_nobody_can_be_chosen() -> None:
    with pytest.raises(UsageError, match="there is no track 1: no face was found"):
        Tracks(0, 64, 64, "", 0).chosen((1,))


def test_a_long_film_is_written_without_a_copy_of_all_its_numbers(tmp_path: Path) -> None:
    n = 500
    points, ones = np.random.default_rng(0).random((n, 5, 2)), np.ones(n)
    track = Track(1, 0, np.ones((n, 4)), ones, points, ones > 0, np.ones((n, 4)), ones)
    film = Tracks(n, 99, 99, "", 0, [Shot(0, n)], [replace(track, id=i) for i in range(1, 21)], begin=1.5)
    tracemalloc.start()
    write_sidecar(film, tmp_path / "a.json", {"grain": 0})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    text = (tmp_path / "a.json").read_text()
    assert text == json.dumps(json.loads(text), separators=(",", ":")) + "\n"
    assert peak < 4 * len(text)


def test_the_contact_sheet_shows_everyone(tracks: Tracks, tmp_path: Path) -> None:
    write_contact_sheet(tracks, FILM, RestoreSettings(), tmp_path / "people.png")
    sheet = cv2.imread(str(tmp_path / "people.png"))
    assert sheet.shape == (196, 320, 3)
    cells = contact_sheet(tracks, VideoReader(FILM).frames())
    assert cells[:160, :160].std() > 20
