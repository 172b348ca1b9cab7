"""A frame's result depends on the frame, its neighbours, the tracks and the settings."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpenvid.blend.deflicker import Moment
from gpenvid.faces.align import Template
from gpenvid.faces.tracks import Track, Tracks
from gpenvid.job import render
from gpenvid.job.analyse import analyse
from gpenvid.job.models import open_restorer
from gpenvid.job.progress import Silent
from gpenvid.job.render import Renderer, blend_settings
from gpenvid.job.report import Report
from gpenvid.media.frame import Frame
from gpenvid.media.reader import VideoReader
from gpenvid.settings import MASKS, RestoreSettings

CLIP = Path(__file__).parent.parent / "samples" / "old_film.mp4"
FRAMES = range(44, 68)  # a cut lies in the middle

Rendering = tuple[Renderer, list[Frame], list[list[np.ndarray]]]


def _planes(frames: list[Frame]) -> list[list[np.ndarray]]:
    return [[plane.copy() for plane in frame.planes] for frame in frames]


@pytest.fixture(scope="module", params=MASKS)
def rendering(tiny_model: Path, request: pytest.FixtureRequest) -> Rendering:
    """A renderer, the frames, and what it makes of them all at once."""
    chosen = RestoreSettings(model=str(tiny_model), detector="builtin", batch=2, mask=request.param)
    tracks: Tracks = analyse(CLIP, chosen)
    assert any(FRAMES.start < shot.start < FRAMES.stop for shot in tracks.shots)
    restorer, template = open_restorer(chosen, Silent())
    renderer = Renderer(tracks, restorer, template, blend_settings(chosen), Report("", ""), Silent())
    frames = [frame.own() for frame in islice(VideoReader(CLIP).frames(), FRAMES.start, FRAMES.stop)]
    whole = _planes(list(renderer.render((f.own() for f in frames), FRAMES.start)))
    assert any(not np.array_equal(a, b.planes[0]) for (a, *_), b in zip(whole, frames, strict=True))
    return renderer, frames, whole


@given(cuts=st.sets(st.integers(1, len(FRAMES) - 1), max_size=6), data=st.data())
@settings(max_examples=12)
def test_segments_in_any_cutting_and_any_order_have_the_same_bytes(cuts: set[int], data: st.DataObject, rendering: Rendering) -> None:
    renderer, frames, whole = rendering
    bounds = [0, *sorted(cuts), len(frames)]
    for begin, end in data.draw(st.permutations(list(pairwise(bounds)))):
        first = max(0, begin - renderer.reach)
        around = (frame.own() for frame in frames[first : end + renderer.reach])
        start = FRAMES.start
        found = _planes(list(renderer.render(around, start + first, start + begin, start + end)))
        assert len(found) == end - begin
        for mine, theirs in zip(found, whole[begin:end], strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(mine, theirs, strict=True))


def test_the_flow_is_told_how_many_pixels_of_the_frame_lie_across_a_crop(rendering: Rendering, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float] = []

    class Told(Moment):
        def __init__(self, source: np.ndarray, residual: np.ndarray, size: int, across: float) -> None:
            told.append(across)
            super().__init__(source, residual, size, across)

    monkeypatch.setattr(render, "Moment", Told)
    renderer, frames, _ = rendering
    list(renderer.render((frame.own() for frame in frames[:3]), FRAMES.start))
    sides = [np.exp(t.parameters[k - t.start, 0]) for k in FRAMES[:3] for t in renderer._tracks.at(k)]
    assert sorted(told) == pytest.approx(sorted(sides), rel=1e-3)


class Doubting:
    """An embedder that finds likenesses as told, crop by crop."""

    def __init__(self, likenesses: list[float]) -> None:
        self._left = likenesses

    def likeness(self, _a: np.ndarray, _b: np.ndarray, _template: Template) -> float:
        return self._left.pop(0) if len(self._left) > 1 else self._left[0]


def _changed(rendering: Rendering, likenesses: list[float]) -> tuple[np.ndarray, list[str]]:
    """How much each of twelve frames of one shot changes in all, and what was left alone."""
    usual, frames, _ = rendering
    report = Report("", "")
    guarded = Renderer(usual._tracks, usual._restorer, usual._template, usual._settings, report, Silent(), Doubting(likenesses))  # type: ignore[arg-type]
    after = guarded.render((f.own() for f in frames[:12]), FRAMES.start)
    change = [np.abs(a.planes[0].astype(int) - b.planes[0]).sum() for a, b in zip(after, frames, strict=False)]
    return np.array(change, float), list(report.skipped)


def test_the_guard_comes_in_by_degrees_with_likeness(rendering: Rendering) -> None:
    alike, _ = _changed(rendering, [0.46])
    half, _ = _changed(rendering, [0.35])
    stranger, skipped = _changed(rendering, [0.25])
    assert alike.sum() > 0
    assert 0.35 < half.sum() / alike.sum() < 0.65
    assert stranger.sum() == 0
    assert skipped == ["would look like someone else"]


def test_one_frame_s_doubt_does_not_make_a_face_blink(rendering: Rendering) -> None:
    sure, _ = _changed(rendering, [0.8])
    doubted, skipped = _changed(rendering, [0.8, 0.8, 0.8, 0.8, 0.0, 0.8])
    assert np.array_equal(sure, doubted)
    assert "would look like someone else" not in skipped


def test_a_face_that_is_left_alone_takes_nothing_from_one_that_lies_over_it(rendering: Rendering) -> None:
    usual, frames, _ = rendering
    (first, *_rest) = usual._tracks.at(FRAMES.start)

    def planes(tracks: list[Track], likenesses: list[float]) -> list[list[np.ndarray]]:
        guarded = Renderer(
            replace(usual._tracks, tracks=tracks),
            usual._restorer,
            usual._template,
            usual._settings,
            Report("", ""),
            Silent(),
            Doubting(likenesses),  # type: ignore[arg-type]
        )
        return _planes(list(guarded.render((f.own() for f in frames[:6]), FRAMES.start)))

    alone = planes([first], [0.8])
    beside_a_stranger = planes([first, replace(first, id=first.id + 1)], [0.8, 0.0] * 20)
    assert all(
        np.array_equal(a, b) for mine, theirs in zip(alone, beside_a_stranger, strict=True) for a, b in zip(mine, theirs, strict=True)
    )
