"""Gaps in a track: how many missed frames it carries on through, and what counts as the same face after them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from scenes import SHAPE, face_at

from gpenvid.faces.detector import CloseLook
from gpenvid.faces.reuse import ReuseSettings
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
    middle = HERE.landmarks.mean(axis=0)
    back = Face(HERE.box, HERE.score, middle + size * HERE.eye_distance * SHAPE)
    assert len(_tracks([[HERE]] * 8 + [[]] * 3 + [[back]] * 8)) == (1 if same else 2)


def test_two_faces_seen_in_one_frame_are_two_people_however_near() -> None:
    near = face_at(160 + 0.45 * WIDTH, 120)
    assert _spans(_tracks([[HERE]] * 8 + [[HERE, near]] + [[near]] * 8)) == [(0, 9), (8, 17)]


def test_of_two_who_left_the_one_who_left_last_comes_back() -> None:
    other = face_at(160 + 0.4 * WIDTH, 120)
    between = face_at(160 + 0.2 * WIDTH, 120)
    clip = [[HERE, other]] * 6 + [[other]] * 4 + [[]] * 3 + [[between]] * 6
    assert _spans(_tracks(clip)) == [(0, 6), (0, 19)]
