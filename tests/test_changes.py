"""What begins or changes after a film's first frame is brought to the first one's form, or named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from films import encode, portraits

import gpenvid
from gpenvid import RestoreSettings
from gpenvid.errors import UsageError
from gpenvid.media.alike import alike
from gpenvid.media.audit import audit
from gpenvid.media.encoder_choice import lost_later
from gpenvid.media.frame import view_planes
from gpenvid.media.reader import VideoReader

LEVELS = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=1000,400"


@pytest.fixture
def settings(settings: RestoreSettings) -> RestoreSettings:
    return replace(settings, preset="ultrafast")


def _film(path: Path, parts: list[dict[str, object]], *, codec: str = "libx264", pixel_format: str = "yuv420p") -> Path:
    """Parts of five frames of the same pictures, encoded in their own ways, one behind the other."""
    name = codec.removeprefix("lib")
    for part in parts:
        told = {f"{name}-params": f"{part.pop('params', 'bframes=0')}:bframes=0:log-level=0", "preset": "ultrafast", "crf": "4"}
        part["options"] = told
    pieces = [encode(path, codec, str(p.pop("pixels", pixel_format)), portraits(5), **p).read_bytes() for p in parts]
    path.write_bytes(b"".join(pieces))
    return path


def _planes(path: Path) -> list[list[np.ndarray]]:
    return [[np.array(p, int) for p in frame.planes] for frame in VideoReader(path).frames()]


def test_what_later_frames_carry_and_a_result_cannot_is_named(settings: RestoreSettings, tmp_path: Path) -> None:
    source = _film(tmp_path / "film.ts", [{}, {"params": "frame-packing=3"}])
    report = gpenvid.restore(source, tmp_path / "out.mkv", settings)
    assert any("the mark for stereo pictures of the source cannot be carried over: in 1 frames" in w for w in report.warnings)
    assert any(f.what == "mark for stereo pictures" and f.outcome == "noted" for f in audit(source, tmp_path / "out.mkv").findings)
    with pytest.raises(UsageError, match=r"film\.ts: the mark for stereo pictures .* leave out --strict"):
        gpenvid.restore(source, tmp_path / "strict.mkv", replace(settings, strict=True))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["film.ts", "out.mkv"]


def test_what_only_frames_outside_the_part_carry_is_not_lost(settings: RestoreSettings, tmp_path: Path) -> None:
    source = _film(tmp_path / "film.ts", [{}, {"params": "frame-packing=3"}, {}])
    (marked,) = (float(f.pts * f.time_base) for f in VideoReader(source).frames() if "STEREO3D" in f.embedded)
    gpenvid.restore(source, tmp_path / "before.mkv", replace(settings, strict=True, end=marked))
    gpenvid.restore(source, tmp_path / "after.mkv", replace(settings, strict=True, start=marked + 5e-4))
    assert len(list(tmp_path.iterdir())) == 3


def test_light_levels_that_begin_late_are_named_with_every_encoder(settings: RestoreSettings, tmp_path: Path) -> None:
    source = _film(tmp_path / "film.ts", [{}, {"params": LEVELS}], codec="libx265", pixel_format="yuv420p10le")
    report = gpenvid.restore(source, tmp_path / "out.mkv", settings)
    assert any("do not begin with the picture cannot be carried over: in 5 frames" in w for w in report.warnings)
    found = audit(source, tmp_path / "out.mkv")
    assert found.passed
    assert any(f.what == "HDR10 light levels" and f.outcome == "noted" for f in found.findings)


def test_late_captions_are_lost_where_the_encoder_has_none(tmp_path: Path) -> None:
    info = VideoReader(_film(tmp_path / "film.ts", [{}])).info
    assert "A53_CC" in lost_later("ffv1", info)
    assert "A53_CC" not in lost_later("libx264", info)
    assert "A53_CC" not in lost_later("ffv1", replace(info, embedded=frozenset({"A53_CC"})))  # said at the beginning


FULL, LIMITED = {"pixels": "yuvj420p", "params": "fullrange=on:colorprim=bt709"}, {"params": "fullrange=off:colorprim=bt709"}


@pytest.mark.parametrize(("first", "second"), [(FULL, LIMITED), (LIMITED, FULL)], ids=["full first", "limited first"])
def test_a_range_that_changes_becomes_the_first_and_is_named(
    first: dict[str, object], second: dict[str, object], settings: RestoreSettings, tmp_path: Path
) -> None:
    source = _film(tmp_path / "film.ts", [dict(first), dict(second)])
    report = gpenvid.restore(source, tmp_path / "out.mkv", replace(settings, codec="ffv1", preset=None, strength=0))
    assert any("5 frames change colour range or matrix" in w for w in report.warnings)
    assert audit(source, tmp_path / "out.mkv").passed
    frames = _planes(tmp_path / "out.mkv")
    for before, after in zip(frames[:5], frames[5:], strict=True):
        assert [abs(np.mean(a - b)) < 1 for a, b in zip(before, after, strict=True)] == [True] * 3
        assert max(np.abs(a - b).mean() for a, b in zip(before, after, strict=True)) < 2


@pytest.mark.parametrize(("pixels", "most", "black", "white"), [("gray", 255, 16, 235), ("gray10le", 1023, 64, 940)])
@pytest.mark.parametrize("full", [True, False], ids=["full first", "limited first"])
def test_grey_of_another_range_becomes_the_first_s(pixels: str, most: int, black: int, white: int, full: bool, tmp_path: Path) -> None:
    info = VideoReader(encode(tmp_path / "film.mkv", "ffv1", pixels, portraits(1), color_range=2 if full else 1)).info
    ends = [(0, black), (most, white)] if full else [(black, 0), (white, most)]
    codes = np.zeros((240, 320), np.uint8 if most == 255 else np.uint16)
    codes[:120], codes[120:] = (there for _, there in ends)
    picture = av.VideoFrame.from_ndarray(codes, pixels)
    picture.color_range = 1 if full else 2
    found = alike(picture, info)
    assert found.recoloured
    (plane,) = view_planes(found.picture, info.layout)
    assert [int(plane[0, 0]), int(plane[-1, 0])] == [here for here, _ in ends]


def test_limited_range_is_not_squeezed_where_only_the_size_changes(tmp_path: Path) -> None:
    info = VideoReader(encode(tmp_path / "film.mkv", "ffv1", "yuv420p", portraits(1), color_range=1)).info
    codes = np.full((720, 640), 128, np.uint8)
    codes[:240], codes[240:480] = 16, 235
    picture = av.VideoFrame.from_ndarray(codes, "yuvj420p")
    picture.color_range = 1  # decoders keep the format where only the range changes
    found = alike(picture, info)
    assert (found.resized, found.recoloured) == (True, False)
    luma = view_planes(found.picture, info.layout)[0]
    assert [int(luma[0, 0]), int(luma[-1, 0])] == pytest.approx([16, 235], abs=1)


def test_a_matrix_that_changes_becomes_the_first_and_a_transfer_is_named(settings: RestoreSettings, tmp_path: Path) -> None:
    parts = [{"params": "colormatrix=bt709:colorprim=bt709"}, {"params": "colormatrix=bt470bg:colorprim=bt2020:transfer=arib-std-b67"}]
    source, out = _film(tmp_path / "film.ts", parts), tmp_path / "out.mkv"
    alone = _planes(_film(tmp_path / "alone.ts", [{"params": "colormatrix=bt470bg"}]))
    report = gpenvid.restore(source, out, replace(settings, codec="ffv1", preset=None, strength=0))
    assert any("5 frames change colour range or matrix" in w for w in report.warnings)
    assert any("5 frames change primaries or transfer mid-stream; the result states the first's" in w for w in report.warnings)
    assert audit(source, out).passed
    # Red lies lower in BT.709's luma: the same code values became other ones, by the two matrices' difference.
    red = [(p[0][::2, ::2])[p[2] > 160].mean() for p in (alone[0], _planes(out)[5])]
    assert red[1] < red[0] - 5


def test_verify_sees_a_result_whose_colour_changes(tmp_path: Path) -> None:
    plain, changing = _film(tmp_path / "a.ts", [{}, {}]), _film(tmp_path / "b.ts", [dict(LIMITED), dict(FULL)])
    found = [f for f in audit(plain, changing).findings if f.what == "decoding"]
    assert [f.outcome for f in found if "5 frames change colour range" in f.detail] == ["differs"]
