"""The main job: what it changes, what it leaves, what it reports."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

import gpenvid
from gpenvid import RestoreSettings
from gpenvid.errors import WeightsError
from gpenvid.faces.shots import Shot
from gpenvid.job.parts import SEGMENT_FRAMES, cut_segments
from gpenvid.media.audit import audit
from gpenvid.media.reader import VideoReader
from gpenvid.restore.choices import fast_bf16, openvino_version

SAMPLES = Path(__file__).parent.parent / "samples"


def _decoded(path: Path) -> list[list[np.ndarray]]:
    return [[p.copy() for p in frame.planes] for frame in VideoReader(path).frames()]


def _moving(astronaut: np.ndarray, count: int, size: tuple[int, int] = (320, 240)) -> list[np.ndarray]:
    """The portrait drifting through a small picture."""
    frames = []
    for t in range(count):
        matrix = np.array([[0.8, 0, -40 + 1.5 * t], [0, 0.8, -20 + 0.5 * t]])
        frames.append(cv2.warpAffine(astronaut, matrix, size, borderMode=cv2.BORDER_REFLECT_101))
    return frames


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p10le", "yuv444p", "gray", "gbrp10le", "yuva420p", "yuv420p12le", "bgr0"])
def test_samples_outside_the_faces_are_bit_identical_with_ffv1(
    pixel_format: str, astronaut: np.ndarray, make_clip, retinaface: Path, tiny_model: Path, tmp_path: Path
) -> None:
    source = make_clip(_moving(astronaut, 6), pixel_format=pixel_format)
    report = gpenvid.restore(source, tmp_path / "out.mkv", RestoreSettings(model=str(tiny_model), codec="ffv1"))
    assert report.faces == 6
    for before, after in zip(_decoded(source), _decoded(tmp_path / "out.mkv"), strict=True):
        changed = before[0] != after[0]
        assert changed.any()
        rows, columns = np.nonzero(changed)
        # The face is about 75 pixels wide; nothing beyond its mask may move.
        assert np.ptp(columns) < 170
        assert np.ptp(rows) < 200
        outside = np.ones(changed.shape, bool)
        outside[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = False
        assert outside.mean() > 0.5
        if len(before) == 4:
            assert np.array_equal(before[3], after[3])


def test_strength_zero_changes_nothing(astronaut: np.ndarray, make_clip, retinaface: Path, tiny_model: Path, tmp_path: Path) -> None:
    source = make_clip(_moving(astronaut, 4))
    gpenvid.restore(source, tmp_path / "out.mkv", RestoreSettings(model=str(tiny_model), codec="ffv1", strength=0))
    for before, after in zip(_decoded(source), _decoded(tmp_path / "out.mkv"), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_clip_without_faces_comes_back_as_it_was(make_clip, retinaface: Path, tiny_model: Path, tmp_path: Path) -> None:
    y, x = np.mgrid[0:120, 0:160]
    frames = [np.dstack([x, y, (x + y + 4 * t) % 256]).astype(np.uint8) for t in range(5)]
    source = make_clip(frames)
    report = gpenvid.restore(source, tmp_path / "out.mkv", RestoreSettings(model=str(tiny_model), codec="ffv1"))
    assert (report.frames, report.faces, report.tracks) == (5, 0, 0)
    for before, after in zip(_decoded(source), _decoded(tmp_path / "out.mkv"), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_variable_frame_rate_and_a_late_start_are_kept(
    astronaut: np.ndarray, make_clip, retinaface: Path, tiny_model: Path, tmp_path: Path
) -> None:
    pts = [90, 93, 96, 110, 111, 140]
    source = make_clip(_moving(astronaut, 6), pts=pts, time_base=Fraction(1, 1000))
    gpenvid.restore(source, tmp_path / "out.mkv", RestoreSettings(model=str(tiny_model)))
    assert [f.pts for f in VideoReader(tmp_path / "out.mkv").frames()] == pts


def test_opencv_has_its_threads_again_after_a_job(settings: RestoreSettings, tmp_path: Path) -> None:
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        gpenvid.restore(SAMPLES / "old_film.mp4", tmp_path / "out.mp4", replace(settings, end=0.2))
        assert cv2.getNumThreads() == 2
    finally:
        cv2.setNumThreads(before)


def test_the_report_says_what_was_done(retinaface: Path, tiny_model: Path, tmp_path: Path) -> None:
    report = gpenvid.restore(SAMPLES / "interview.mp4", tmp_path / "out.mp4", RestoreSettings(model=str(tiny_model)))
    facts = json.loads(report.to_json())
    assert facts["version"] == 1
    assert facts["frames"] == facts["analysis"]["frames"] == 150
    assert facts["faces"] == 150
    assert facts["tracks"] == 1
    assert 0 < facts["analysis"]["detector_calls"] < 30
    dtype = "bf16" if fast_bf16(torch.device("cpu")) else "fp32"
    engine = f"openvino {openvino_version()}" if openvino_version() else "torch"
    assert facts["restorer"] == {"name": "tiny", "dtype": dtype, "device": "cpu", "engine": engine}
    assert {"analyse", "render", "assemble", "wall"} <= set(facts["timing"])
    assert facts["memory"]["peak_resident"] > 10**8
    assert audit(SAMPLES / "interview.mp4", tmp_path / "out.mp4").passed


def test_a_part_of_a_clip_begins_at_zero_and_keeps_its_sound_in_step(retinaface: Path, tiny_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "part.mp4"
    report = gpenvid.restore(SAMPLES / "interview.mp4", out, RestoreSettings(model=str(tiny_model), start=1.0, end=2.0))
    assert report.frames == 25
    with av.open(str(out)) as container:
        sound = [p.pts * p.time_base for p in container.demux(audio=0) if p.pts is not None]
    first = next(VideoReader(out).frames())
    assert first.pts * first.time_base == 0
    assert abs(sound[0]) < Fraction(1, 20)
    assert abs(sound[-1] - 1) < Fraction(1, 15)


def test_clicks_stay_where_they_were(retinaface: Path, tiny_model: Path, tmp_path: Path) -> None:
    def clicks(path: Path) -> np.ndarray:
        with av.open(str(path)) as container:
            sound = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
        loud = np.flatnonzero(np.abs(sound) > 0.6 * np.abs(sound).max())
        return loud[np.insert(np.diff(loud) > 4410, 0, True)]

    out = tmp_path / "out.mp4"
    gpenvid.restore(SAMPLES / "interview.mp4", out, RestoreSettings(model=str(tiny_model)))
    assert len(clicks(out)) == 6
    assert np.array_equal(clicks(out), clicks(SAMPLES / "interview.mp4"))


def test_restoring_twice_gives_the_same_pictures(
    astronaut: np.ndarray, make_clip, retinaface: Path, tiny_model: Path, tmp_path: Path
) -> None:
    source = make_clip(_moving(astronaut, 5))
    results = []
    for name in ("a.mkv", "b.mkv"):
        gpenvid.restore(source, tmp_path / name, RestoreSettings(model=str(tiny_model), codec="ffv1"))
        results.append((tmp_path / name).read_bytes())
    assert _decoded(tmp_path / "a.mkv")[2][0].tobytes() == _decoded(tmp_path / "b.mkv")[2][0].tobytes()


@pytest.mark.parametrize("codec", ["h264", "h265", "av1", "ffv1", "prores", "dnxhr", "vp9"])
def test_every_codec_writes_what_decodes(codec: str, astronaut: np.ndarray, make_clip, tiny_model: Path, tmp_path: Path) -> None:
    source = make_clip(_moving(astronaut, 4), pixel_format="yuv422p" if codec in ("prores", "dnxhr") else "yuv420p")
    out = tmp_path / ("out.mov" if codec == "dnxhr" else "out.mkv")
    report = gpenvid.restore(source, out, RestoreSettings(model=str(tiny_model), codec=codec, detector="builtin"))
    assert report.frames == len(_decoded(out)) == 4


def test_deinterlacing_gives_one_progressive_frame_for_each(shared: Path, retinaface: Path, tiny_model: Path, tmp_path: Path) -> None:
    source = shared / "media" / "clips" / "fate_scte20_interlaced.ts"
    out = tmp_path / "out.ts"
    settings = RestoreSettings(model=str(tiny_model), deinterlace=True, end=1.0, preset="ultrafast")
    report = gpenvid.restore(source, out, settings)
    reader = VideoReader(out)
    assert reader.info.field_order == "progressive"
    assert report.frames == sum(1 for _ in reader.frames()) == 30


@pytest.mark.parametrize("length", [1, SEGMENT_FRAMES - 1, SEGMENT_FRAMES, SEGMENT_FRAMES + 1, 400])
def test_segments_cover_a_shot_without_overlap(length: int) -> None:
    segments = cut_segments([Shot(0, length), Shot(length, length + 7)])
    assert [s for s, _ in segments] == [0, *(e for _, e in segments[:-1])]
    assert segments[-1][1] == length + 7
    assert any(start == length for start, _ in segments)
    assert max(end - start for start, end in segments) <= SEGMENT_FRAMES


def test_a_face_that_turns_into_someone_else_is_left_alone(
    shared: Path, astronaut: np.ndarray, make_clip, retinaface: Path, tiny_model: Path, tmp_path: Path
) -> None:
    # Random weights paint no face at all, so to the guard every restored crop is a stranger.
    source = make_clip(_moving(astronaut, 6))
    guard = shared / "weights" / "foamliu_MobileFaceNet.onnx"
    settings = RestoreSettings(model=str(tiny_model), codec="ffv1", identity=guard, keep_colour=False)
    report = gpenvid.restore(source, tmp_path / "out.mkv", settings)
    assert report.identity_guard == guard.name
    assert (report.faces, report.skipped) == (0, {"would look like someone else": 6})
    for before, after in zip(_decoded(source), _decoded(tmp_path / "out.mkv"), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_the_built_in_restorer_keeps_people_themselves(shared: Path, retinaface: Path, tmp_path: Path) -> None:
    guard = shared / "weights" / "foamliu_MobileFaceNet.onnx"
    settings = RestoreSettings(identity=guard, start=1.0, end=1.3)
    report = gpenvid.restore(SAMPLES / "interview.mp4", tmp_path / "out.mp4", settings)
    assert report.faces == report.frames
    assert report.skipped == {}


def test_a_missing_embedding_file_is_named(tiny_model: Path, tmp_path: Path) -> None:
    settings = RestoreSettings(model=str(tiny_model), identity=tmp_path / "absent.onnx")
    with pytest.raises(WeightsError, match=r"absent\.onnx"):
        gpenvid.restore(SAMPLES / "interview.mp4", tmp_path / "out.mp4", settings)
