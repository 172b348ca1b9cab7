"""Detections reused between two calls: how far a face is carried, by what, and when the detector is asked again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scenes import face_at, moved, small, texture

from gpenvid.faces.reuse import ReuseSettings, Sighting, WindowAnalyser
from gpenvid.geometry import Face

SURE = 0.8
FRAME = small(texture())


class SteadyLook:
    """Close looks that believe as much as they are told to, and see every face at the same distance from where they look."""

    def __init__(self, belief: float = 1.0, shift: float = 0.0) -> None:
        self.belief, self.shift = belief, shift

    def look(self, images: Sequence[np.ndarray], landmarks: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        return np.add(np.stack(landmarks), (self.shift, 0.0)), np.full(len(images), self.belief)


def _analyser(found: list[Face], looks: SteadyLook | None = None, settings: ReuseSettings | None = None) -> WindowAnalyser:
    """One whose detector finds the same in every frame."""
    return WindowAnalyser(lambda _: list(found), SURE, settings, looks)


def _count(rows: list[list[Sighting]]) -> list[int]:
    return [len(row) for row in rows]


@pytest.mark.parametrize("carry", [3, 5])
def test_a_face_that_nothing_looks_at_is_carried_for_so_many_frames_and_no_more(carry: int) -> None:
    rows = _analyser([], settings=ReuseSettings(window=32, carry=carry)).fill([FRAME] * 33, [face_at(160, 120, score=0.5)])
    assert _count(rows) == [1] * carry + [0] * (32 - carry)


def test_a_face_that_nothing_looks_at_is_carried_for_some_eight_frames_however_long_the_window() -> None:
    rows = _analyser([], settings=ReuseSettings(window=64)).fill([FRAME] * 65, [face_at(160, 120, score=0.5)])
    assert 5 <= sum(_count(rows)) <= 12


@pytest.mark.parametrize("length", [4, 7, 8])
def test_a_face_that_nothing_looks_at_is_carried_up_to_the_middle_of_its_window(length: int) -> None:
    (weak,) = faces = [face_at(160, 120, score=0.5)]
    leaving = _analyser([]).fill([FRAME] * (length + 1), faces)
    arriving = _analyser([weak]).fill([FRAME] * (length + 1), [])
    assert _count(leaving) == [1] * (length // 2) + [0] * (length - length // 2)
    assert _count(arriving) == [0] * (length - 1 - length // 2) + [1] * (length // 2 + 1)


@pytest.mark.parametrize(("shift", "frames"), [(0.2, 16), (0.45, 0)])
def test_a_carried_face_counts_where_a_close_look_sees_it_near(shift: float, frames: int) -> None:
    face = face_at(160, 120, score=0.5)
    rows = _analyser([], SteadyLook(shift=shift * face.unit)).fill([FRAME] * 17, [face])
    assert sum(_count(rows)) == frames


@pytest.mark.parametrize(("belief", "frames"), [(0.8, 16), (0.45, 0)])
def test_a_carried_face_counts_where_a_close_look_rather_believes_in_it(belief: float, frames: int) -> None:
    rows = _analyser([], SteadyLook(belief)).fill([FRAME] * 17, [face_at(160, 120, score=0.5)])
    assert sum(_count(rows)) == frames


@pytest.mark.parametrize(("eyes", "frames"), [(4.0, 16), (2.5, 7)])
def test_a_face_of_few_pixels_is_not_looked_at_closely(eyes: float, frames: int) -> None:
    analyser = _analyser([], SteadyLook())
    rows = analyser.fill([FRAME] * 17, [face_at(160, 120, eyes, score=0.5)])
    assert sum(_count(rows)) == frames
    assert (analyser.looks > 0) == (frames == 16)


def test_a_face_that_no_detector_sees_again_is_worth_less_with_every_frame() -> None:
    rows = _analyser([], SteadyLook()).fill([FRAME] * 17, [face_at(160, 120)])
    scores = np.array([row[0].face.score for row in rows]) / 0.95
    assert len(scores) == 16
    assert (np.diff(scores, prepend=1.0) < 0).all()
    assert 0.75 < scores[-1] < 0.92


def test_a_face_that_leaves_needs_no_further_call_and_one_that_comes_neither() -> None:
    face = face_at(160, 120)
    leaving, coming = _analyser([], SteadyLook()), _analyser([face], SteadyLook())
    assert _count(leaving.fill([FRAME] * 17, [face])) == [1] * 16
    assert _count(coming.fill([FRAME] * 17, [])) == [1] * 16
    assert leaving.calls == coming.calls == 1


def test_where_one_face_leaves_and_another_comes_the_detector_is_asked_in_between() -> None:
    analyser = _analyser([face_at(240, 120)], SteadyLook())
    analyser.fill([FRAME] * 17, [face_at(80, 120)])
    assert analyser.calls > 1


@pytest.mark.parametrize(("score", "more"), [(0.5, False), (0.9, True)])
def test_a_sure_face_that_nothing_looks_at_is_searched_for_and_a_weak_one_is_not(score: float, more: bool) -> None:
    for first, last in (([face_at(160, 120, score=score)], []), ([], [face_at(160, 120, score=score)])):
        analyser = _analyser(last)
        analyser.fill([FRAME] * 17, first)
        assert (analyser.calls > 1) == more


@pytest.mark.parametrize(("first", "last"), [(160, 160 + 6), (160, None), (None, 160)], ids=["both disagree", "one leaves", "one comes"])
def test_windows_of_seven_frames_are_not_halved_and_longer_ones_are(first: int | None, last: int | None) -> None:
    for length, calls in ((7, 1), (8, 2)):
        analyser = _analyser([] if last is None else [face_at(last, 120)])
        analyser.fill([FRAME] * (length + 1), [] if first is None else [face_at(first, 120)])
        assert analyser.calls == calls


@pytest.mark.parametrize(("distance", "both"), [(1.2, False), (2.2, True)])
def test_a_face_that_the_other_end_knows_nearby_is_carried_half_of_the_way(distance: float, both: bool) -> None:
    first = face_at(120, 120)
    last = face_at(120 + distance * first.unit, 120)
    rows = _analyser([last], SteadyLook()).fill([FRAME] * 5, [first])
    assert _count(rows) == ([2, 2, 2, 2] if both else [1, 0, 1, 1])


@pytest.mark.parametrize(
    ("eyes", "pixels", "settled"),
    [
        pytest.param(30.0, 0.09 * 30, True, id="near for its size"),
        pytest.param(30.0, 0.2 * 30, False, id="far for its size"),
        pytest.param(5.0, 0.7, True, id="far for its size, within a pixel"),
        pytest.param(5.0, 1.8, False, id="a small face, farther off"),
    ],
)
def test_two_ends_that_carry_a_face_to_nearly_the_same_place_need_no_call_in_between(eyes: float, pixels: float, settled: bool) -> None:
    analyser = _analyser([face_at(160 + pixels, 120, eyes)])
    analyser.fill([FRAME] * 17, [face_at(160, 120, eyes)])
    assert (analyser.calls == 1) == settled


@pytest.mark.parametrize(("distance", "together"), [(0.8, True), (1.3, False)])
def test_faces_carried_from_both_ends_into_one_frame_are_one_where_they_lie_over_each_other(distance: float, together: bool) -> None:
    first = face_at(120, 120)
    last = face_at(120 + distance * first.unit, 120)
    rows = _analyser([last]).fill([FRAME] * 5, [first])
    assert _count(rows) == ([1, 1, 1, 1] if together else [1, 2, 1, 1])


@pytest.mark.parametrize("blank", ["first", "last"])
def test_where_one_end_cannot_be_followed_the_other_alone_says_where_the_face_is(blank: str) -> None:
    picture, length = texture(), 4
    grays = [moved(picture, 3.0 * t) for t in range(length + 1)]
    grays[0 if blank == "first" else -1][:] = 128
    rows = _analyser([face_at(130 + 3.0 * length, 120)]).fill([small(g) for g in grays], [face_at(130, 120)])
    for t, (sighting,) in enumerate(rows, start=1):
        assert np.abs(sighting.face.landmarks - face_at(130 + 3.0 * t, 120).landmarks).max() < 0.3
        assert np.abs(sighting.face.box - face_at(130 + 3.0 * t, 120).box).max() < 0.3
