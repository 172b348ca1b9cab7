"""Gaps in a track: how many missed frames it carries on through, and what counts as the same face after them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from scenes import face_at, texture

from gpenvid.faces.chains import Chain, bridge
from gpenvid.faces.detector import CloseLook
from gpenvid.faces.reuse import ReuseSettings, Sighting
from gpenvid.faces.tracker import Tracker, TrackerSettings
from gpenvid.faces.tracks import Track
from gpenvid.geometry import Face

HERE = face_at(160, 120)
WIDTH = float(HERE.box[2] - HERE.box[0])


class Script:
    """A detector that is told what to find in each frame."""

    name = "script"
    sure = 0.8
    close_look: CloseLook | None = None

    def __init__(self, frames: Iterable[list[Face]]) -> None:
        self._frames = iter(frames)

    def detect(self, images: Sequence[np.ndarray]) -> list[list[Face]]:
        return [next(self._frames) for _ in images]


def _tracks(frames: list[list[Face]], **settings: int) -> list[Track]:
    """The tracks where the detector is asked in every frame of a blank film."""
    tracker = Tracker(Script(frames), np.eye(2, 3), (320, 240), TrackerSettings(reuse=ReuseSettings(window=1), **settings))
    for _ in frames:
        tracker.push(np.full((240, 320, 3), 128, np.uint8))
    return tracker.finish().tracks


def _spans(tracks: list[Track]) -> list[tuple[int, int]]:
    return [(t.start, t.end) for t in tracks]


@pytest.mark.parametrize("bridge", [1, 6])
def test_a_track_carries_on_through_as_many_missed_frames_as_are_bridged_and_no_more(bridge: int) -> None:
    def clip(missed: int) -> list[list[Face]]:
        return [[HERE]] * 8 + [[]] * missed + [[HERE]] * 8

    assert _spans(_tracks(clip(bridge), bridge=bridge)) == [(0, 16 + bridge)]
    assert _spans(_tracks(clip(bridge + 1), bridge=bridge)) == [(0, 8), (9 + bridge, 17 + bridge)]


def test_a_track_carries_on_through_a_whole_window_without_detection() -> None:
    missed = ReuseSettings().window
    assert _spans(_tracks([[HERE]] * 8 + [[]] * missed + [[HERE]] * 8)) == [(0, 16 + missed)]


def test_missed_frames_lie_on_the_way_from_one_side_to_the_other_and_are_worth_the_lesser_of_both() -> None:
    there = face_at(176, 124, score=0.85)
    (track,) = _tracks([[HERE]] * 8 + [[]] * 3 + [[there]] * 8)
    assert track.detected.tolist() == [True] * 8 + [False] * 3 + [True] * 8
    assert track.scores[8:11] == pytest.approx([0.85] * 3)
    for k in (1, 2, 3):
        assert track.landmarks[7 + k] == pytest.approx(HERE.landmarks + np.array([4.0, 1.0]) * k, abs=1e-3)
        assert track.boxes[7 + k] == pytest.approx(HERE.box + np.array([4.0, 1.0, 4.0, 1.0]) * k, abs=1e-2)


@pytest.mark.parametrize("missed", [0, 3])
@pytest.mark.parametrize(("widths", "same"), [(0.0, True), (0.45, True), (0.9, False)])
def test_who_comes_back_half_a_face_away_is_the_same_and_a_face_away_is_somebody_else(widths: float, same: bool, missed: int) -> None:
    back = face_at(160 + widths * WIDTH, 120)
    assert len(_tracks([[HERE]] * 8 + [[]] * missed + [[back]] * 8)) == (1 if same else 2)


@pytest.mark.parametrize(("size", "same"), [(1.3, True), (0.75, True), (2.0, False), (0.5, False)])
def test_who_comes_back_twice_as_large_or_half_as_large_is_somebody_else(size: float, same: bool) -> None:
    back = face_at(160, 120, size * HERE.eye_distance)
    assert len(_tracks([[HERE]] * 8 + [[]] * 3 + [[back]] * 8)) == (1 if same else 2)


def test_who_comes_back_in_profile_is_the_same() -> None:
    middle = HERE.landmarks.mean(axis=0)
    back = Face(HERE.box, HERE.score, middle + (HERE.landmarks - middle) * (0.3, 1.0))
    assert len(_tracks([[HERE]] * 8 + [[]] * 3 + [[back]] * 8)) == 1


def test_two_faces_seen_in_one_frame_are_two_people_however_near() -> None:
    near = face_at(160 + 0.45 * WIDTH, 120)
    assert _spans(_tracks([[HERE]] * 8 + [[HERE, near]] + [[near]] * 8)) == [(0, 9), (8, 17)]


def test_a_face_carried_on_from_one_end_of_a_window_and_back_from_the_other_is_one_though_both_come_to_the_same_frames() -> None:
    """Half a face away is too far for the two to meet in between, as where a hand moves the landmarks of a face behind it."""
    back = face_at(160 + 0.55 * WIDTH, 120)
    film, window = texture(), 4
    tracker = Tracker(Script([[HERE]] * 3 + [[back]] * 3), np.eye(2, 3), (320, 240), TrackerSettings(reuse=ReuseSettings(window=window)))
    for _ in range(5 * window + 1):
        tracker.push(np.repeat(film[:, :, None], 3, axis=2))
    (track,) = tracker.finish().tracks
    assert (track.start, track.end) == (0, 5 * window + 1)
    assert np.flatnonzero(track.detected).tolist() == [0, 4, 8, 12, 16, 20]


def _chain(start: int, *sightings: tuple[str, float]) -> Chain:
    return Chain(start, [Sighting(face_at(x, 120), "detected" if kind == "D" else "flow") for kind, x in sightings])


def _seen(chains: list[Chain]) -> list[tuple[int, str]]:
    return [(c.start, "".join(s.source[0] for s in c.sightings)) for c in chains]


def test_what_two_chains_share_is_taken_as_it_was_detected_and_else_goes_over_from_one_to_the_other() -> None:
    early = _chain(0, ("D", 160), *[("f", 160)] * 6)
    late = _chain(4, ("f", 184), ("D", 184), ("f", 184), ("D", 184))
    (one,) = bridge([early, late], 16)
    assert _seen([one]) == [(0, "dffffdfd")]
    middles = [float(s.face.landmarks[:, 0].mean()) for s in one.sightings]
    assert middles == pytest.approx([160, 160, 160, 160, 166, 184, 178, 184], abs=1e-3)


def test_faces_carried_to_two_places_in_one_frame_are_two_people() -> None:
    early = _chain(0, ("D", 100), *[("f", 100)] * 9)
    late = _chain(8, ("f", 225), ("f", 180), ("f", 130), ("D", 110), ("D", 110))
    assert len(bridge([early, late], 16)) == 2


def test_chains_share_no_more_frames_than_are_bridged() -> None:
    early, late = _chain(0, ("D", 160), *[("f", 160)] * 9), _chain(3, *[("f", 160)] * 9, ("D", 160))
    assert len(bridge([early, late], 6)) == 2
    assert len(bridge([early, late], 7)) == 1


def test_who_goes_on_where_one_ends_is_that_one_and_not_a_neighbour_who_stays_longer() -> None:
    ends, stays = _chain(0, *[("D", 160)] * 10), _chain(0, *[("D", 190)] * 6, *[("f", 190)] * 8)
    assert _seen(bridge([ends, stays, _chain(10, *[("D", 160)] * 10)], 16)) == [(0, "d" * 20), (0, "d" * 6 + "f" * 8)]


def test_of_two_who_left_the_one_who_left_last_comes_back() -> None:
    other = face_at(160 + 0.4 * WIDTH, 120)
    between = face_at(160 + 0.2 * WIDTH, 120)
    clip = [[HERE, other]] * 6 + [[other]] * 4 + [[]] * 3 + [[between]] * 6
    assert _spans(_tracks(clip)) == [(0, 6), (0, 19)]
