"""The picture keeps its samples, shape, fields, depth and light, whatever it is made of."""

from __future__ import annotations

import io
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from films import Film, encode, moving_portrait, portraits, shown_times
from PIL import Image

import gpenvid
from gpenvid import RestoreSettings
from gpenvid.errors import InputError, UsageError
from gpenvid.job.inspect import inspect_file
from gpenvid.media.audit import audit
from gpenvid.media.matroska import ROOM, state_pixel_shape
from gpenvid.media.reader import VideoReader

SIZE = (320, 240)


def _planes(path: Path) -> list[list[np.ndarray]]:
    return [[np.array(p) for p in frame.planes] for frame in VideoReader(path).frames()]


def _check(source: Path, report: gpenvid.Report) -> Path:
    out = Path(report.output)
    assert report.faces == report.frames == len(shown_times(source))
    found = audit(source, out)
    assert found.passed, [f for f in found.findings if f.outcome == "differs"]
    return out


@pytest.mark.parametrize(
    ("codec", "pixel_format", "suffix", "expected"),
    [
        ("ffv1", "yuva420p", ".mkv", "ffv1"),
        ("ffv1", "yuva444p10le", ".mkv", "ffv1"),
        ("libvpx-vp9", "yuva420p", ".webm", "ffv1"),
        ("qtrle", "argb", ".mov", "png"),
        ("png", "rgba", ".mov", "png"),
        ("png", "rgba64be", ".mov", "png"),
        ("prores_ks", "yuva444p10le", ".mov", "prores"),
    ],
)
def test_alpha_is_kept(codec: str, pixel_format: str, suffix: str, expected: str, settings: RestoreSettings, tmp_path: Path) -> None:
    options = {"profile": "4444"} if codec == "prores_ks" else {"lossless": "1"} if codec == "libvpx-vp9" else {}
    source = encode(tmp_path / f"film{suffix}", codec, pixel_format, portraits(alpha=True), options=options)
    out = _check(source, gpenvid.restore(source, None, settings))
    with av.open(str(out)) as file:
        assert file.streams.video[0].codec_context.name == expected
    for before, after in zip(_planes(source), _planes(out), strict=True):
        assert len(before) == len(after) == 4
        assert np.ptp(before[3]) > 200  # the source's alpha was read in the first place
        assert np.array_equal(before[3], after[3])


def test_alpha_that_is_given_up_is_said(settings: RestoreSettings, tmp_path: Path) -> None:
    source = encode(tmp_path / "film.mkv", "ffv1", "yuva420p", portraits(alpha=True))
    for codec in ("h264", "h265", "vp9"):
        report = gpenvid.restore(source, tmp_path / f"{codec}.mkv", replace(settings, codec=codec))
        assert any("alpha" in w and "is lost" in w for w in report.warnings)
        assert not audit(source, tmp_path / f"{codec}.mkv").passed


def test_a_palette_becomes_the_colours_it_stands_for(settings: RestoreSettings, tmp_path: Path) -> None:
    codes = (np.indices((240, 320)).sum(axis=0) % 64).astype(np.uint8)
    palette = np.zeros((256, 4), np.uint8)
    palette[:, 0], palette[:64, 1], palette[:, 2] = 255, np.arange(64) * 4, 77  # ARGB
    picture = av.VideoFrame.from_ndarray((codes, palette), "pal8")
    source = encode(tmp_path / "film.mov", "png", "pal8", [picture])
    report = gpenvid.restore(source, tmp_path / "out.mov", settings)
    assert report.warnings == []
    green, blue, red, alpha = _planes(tmp_path / "out.mov")[0]
    assert sorted(np.unique(red)) == sorted(np.unique(palette[:64, 1]))
    assert {tuple(np.unique(p)) for p in (green, blue, alpha)} == {(77,), (0,), (255,)}


@pytest.mark.parametrize(
    ("codec", "pixel_format", "suffix"),
    [
        ("libvpx-vp9", "yuv420p", ".webm"),
        ("ffv1", "yuv420p", ".mkv"),
        ("ffv1", "yuv422p10le", ".mkv"),
        ("png", "rgb24", ".mov"),
        ("libx264", "yuv444p", ".mp4"),
    ],
)
def test_odd_sizes_stay_odd(codec: str, pixel_format: str, suffix: str, settings: RestoreSettings, tmp_path: Path) -> None:
    source = encode(tmp_path / f"film{suffix}", codec, pixel_format, portraits(size=(321, 241)))
    out = _check(source, gpenvid.restore(source, None, settings))
    assert VideoReader(out).info.geometry.width == 321


@pytest.mark.parametrize("aspect", [Fraction(16, 15), Fraction(8, 9), Fraction(4, 3)])
@pytest.mark.parametrize(
    ("codec", "name"), [("ffv1", "a.mkv"), ("vp9", "a.webm"), ("vp9", "a.mkv"), ("h264", "a.mkv"), ("prores", "a.mov"), ("h264", "a.ts")]
)
def test_pixels_keep_their_shape(codec: str, name: str, aspect: Fraction, settings: RestoreSettings, tmp_path: Path) -> None:
    source = encode(tmp_path / "film.mp4", "libx264", "yuv420p", portraits(2), sample_aspect_ratio=aspect)
    report = gpenvid.restore(source, tmp_path / name, replace(settings, codec=codec))
    with av.open(report.output) as file:
        assert file.streams.video[0].sample_aspect_ratio == aspect
        assert len(list(file.decode(video=0))) == 2
        assert "title" not in {k.lower() for k in file.streams.video[0].metadata}


def test_the_pixel_shape_leaves_a_track_its_name(tmp_path: Path) -> None:
    for title in ("", "The picture"):
        path = tmp_path / "film.mkv"
        with av.open(str(path), "w") as file:
            stream = file.add_stream("ffv1", rate=25)
            stream.width, stream.height = SIZE
            stream.metadata["title"] = title + ROOM
            for picture in portraits(2):
                file.mux(stream.encode(picture.reformat(format="yuv420p")))
            file.mux(stream.encode(None))
        state_pixel_shape(path, *SIZE, Fraction(12, 11), title)
        with av.open(str(path)) as file:
            assert file.streams.video[0].sample_aspect_ratio == Fraction(12, 11)
            assert file.streams.video[0].metadata.get("title", "") == title
            assert len(list(file.decode(video=0))) == 2
        with pytest.raises(InputError, match="pixel shape"):
            state_pixel_shape(path, *SIZE, Fraction(12, 11), title + ROOM * 9)


@pytest.mark.parametrize("second", ["yuv422p10le", "yuvj420p", "yuv444p"])
def test_a_pixel_format_that_changes_on_the_way_is_converted_and_said(second: str, settings: RestoreSettings, tmp_path: Path) -> None:
    parts = [encode(tmp_path / "part.ts", "libx264", f, portraits(5)).read_bytes() for f in ("yuv422p", second)]
    source = tmp_path / "film.ts"
    source.write_bytes(b"".join(parts))
    report = gpenvid.restore(source, tmp_path / "out.ts", replace(settings, preset="ultrafast"))
    assert report.frames == 10
    assert any("5 frames change pixel format" in w for w in report.warnings)
    assert {f.layout.name for f in VideoReader(tmp_path / "out.ts").frames()} == {"yuv422p"}


@pytest.mark.parametrize(
    "pixel_format",
    ["yuv420p", "yuv422p", "yuv444p", "yuv422p10le", "yuv444p10le", "yuv422p12le", "yuv444p12le", "gray", "bgr0", "gbrp10le"],
)
@pytest.mark.parametrize(("codec", "name"), [("ffv1", "a.mkv"), ("prores", "a.mov"), ("dnxhr", "a.mov")])
def test_master_formats_hold_the_picture(pixel_format: str, codec: str, name: str, settings: RestoreSettings, tmp_path: Path) -> None:
    # DNxHR knows BT.709 only.
    source = encode(tmp_path / "film.mkv", "ffv1", pixel_format, portraits(2), colorspace=1)
    report = gpenvid.restore(source, tmp_path / name, replace(settings, codec=codec, strength=0))
    exact = codec == "ffv1"
    assert (
        exact
        or report.warnings
        or (codec, pixel_format)
        in (
            ("prores", "yuv422p10le"),
            ("prores", "yuv444p10le"),
            ("dnxhr", "yuv422p"),
            ("dnxhr", "yuv422p10le"),
            ("dnxhr", "yuv444p10le"),
            ("dnxhr", "bgr0"),
            ("dnxhr", "gbrp10le"),
        )
    )
    for before, after in zip(VideoReader(source).frames(), VideoReader(tmp_path / name).frames(), strict=True):
        if exact:
            assert all(np.array_equal(a, b) for a, b in zip(before.planes, after.planes, strict=True))
        old, new = (f.thumbnail(*SIZE).astype(float) / 255 for f in (before, after))
        assert 10 * np.log10(1 / max(np.mean((old - new) ** 2), 1e-12)) > 38


def test_a_codec_that_states_other_colours_says_so(settings: RestoreSettings, tmp_path: Path) -> None:
    for matrix, name in ((5, "BT.601"), (9, "BT.2020")):
        source = encode(tmp_path / "film.mkv", "ffv1", "yuv422p", portraits(2), colorspace=matrix)
        report = gpenvid.restore(source, tmp_path / f"{matrix}.mov", replace(settings, codec="dnxhr"))
        assert any(name in w for w in report.warnings)
    full = encode(tmp_path / "full.mp4", "libx264", "yuvj422p", portraits(2))
    report = gpenvid.restore(full, tmp_path / "b.mov", replace(settings, codec="prores", strength=0))
    assert any("full range" in w for w in report.warnings)
    before, after = (next(VideoReader(p).frames()).thumbnail(*SIZE).astype(int) for p in (full, tmp_path / "b.mov"))
    assert np.abs(before - after).mean() < 2


def test_rgb_that_becomes_yuv_keeps_its_colours_and_says_its_matrix(settings: RestoreSettings, tmp_path: Path) -> None:
    flat = np.full((240, 320, 3), (200, 40, 90), np.uint8)
    source = encode(tmp_path / "film.mov", "png", "rgb24", [av.VideoFrame.from_ndarray(flat, "rgb24")])
    for height in (240, 720):
        tall = np.full((height, 320, 3), (200, 40, 90), np.uint8)
        source = encode(tmp_path / "film.mov", "png", "rgb24", [av.VideoFrame.from_ndarray(tall, "rgb24")])
        report = gpenvid.restore(source, tmp_path / f"{height}.mov", replace(settings, codec="prores"))
        assert any("converted" in w for w in report.warnings)
        frame = next(VideoReader(tmp_path / f"{height}.mov").frames())
        assert frame.color.matrix == (1 if height >= 720 else 6)
        assert np.abs(frame.thumbnail(32, 32)[16, 16].astype(int) - (200, 40, 90)).max() <= 2


def test_png_takes_no_yuv(settings: RestoreSettings, tmp_path: Path) -> None:
    source = encode(tmp_path / "film.mkv", "ffv1", "yuv444p", portraits(2))
    with pytest.raises(UsageError, match=r"frames_%05d\.png"):
        gpenvid.restore(source, tmp_path / "a.mov", replace(settings, codec="png"))


@pytest.mark.parametrize("number", range(8))
def test_every_turn_and_mirror_of_a_video_is_seen_upright_and_kept(number: int, settings: RestoreSettings, tmp_path: Path) -> None:
    one, low = 65536, 1 << 30
    turns = [(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0), (-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0), (0, -1, -1, 0)]
    a, b, c, d = turns[number]
    matrix = (a * one, b * one, 0, c * one, d * one, 0, 0, 0, low)
    pictures = []
    for shown in moving_portrait(3):
        # The display matrix maps stored (x, y) to shown (a x + c y, b x + d y); its transpose maps back.
        stored = shown.swapaxes(0, 1) if a == 0 else shown
        stored = stored[:, :: (a or b)] if a == 0 else stored[:, ::a]
        stored = stored[:: (d or c)] if a == 0 else stored[::d]
        pictures.append(av.VideoFrame.from_ndarray(np.ascontiguousarray(stored), "rgb24"))
    source = encode(tmp_path / "film.mp4", "libx264", "yuv420p", pictures, matrix=matrix)
    out = _check(source, gpenvid.restore(source, None, settings))
    assert VideoReader(out).info.display_matrix == (matrix if number else None)  # upright is not written
    assert np.abs(next(VideoReader(out).frames()).thumbnail(*SIZE).astype(int) - moving_portrait(1)[0]).mean() < 8


def test_a_container_that_cannot_hold_a_turn_says_so(settings: RestoreSettings, tmp_path: Path) -> None:
    source = encode(tmp_path / "film.mp4", "libx264", "yuv420p", portraits(2), matrix=(0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30))
    report = gpenvid.restore(source, tmp_path / "out.ts", settings)
    assert any("turned or mirrored" in w and ".mkv" in w for w in report.warnings)
    with pytest.raises(UsageError, match="leave out --strict"):
        gpenvid.restore(source, tmp_path / "strict.ts", replace(settings, strict=True))


def test_a_size_that_changes_on_the_way_is_scaled_and_said(settings: RestoreSettings, tmp_path: Path) -> None:
    parts = [encode(tmp_path / f"{size[0]}.ts", "libx264", "yuv420p", portraits(5, size)).read_bytes() for size in (SIZE, (160, 120))]
    source = tmp_path / "film.ts"
    source.write_bytes(b"".join(parts))
    report = gpenvid.restore(source, tmp_path / "out.ts", settings)
    assert report.frames == 10
    assert any("5 frames change size" in w for w in report.warnings)
    assert {(f.width, f.height) for f in VideoReader(tmp_path / "out.ts").frames()} == {SIZE}


def test_light_levels_of_hdr10_are_kept(settings: RestoreSettings, tmp_path: Path) -> None:
    levels = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=1000,400:log-level=none"
    colours = {"color_trc": 16, "color_primaries": 9, "colorspace": 9}
    source = encode(tmp_path / "film.mp4", "libx265", "yuv420p10le", portraits(), options={"x265-params": levels}, **colours)
    info = VideoReader(source).info
    assert info.mastering is not None
    assert info.mastering.light == (1000, 400)
    out = _check(source, gpenvid.restore(source, tmp_path / "out.mp4", settings))
    assert VideoReader(out).info.mastering == info.mastering
    assert VideoReader(out).info.color == info.color
    report = gpenvid.restore(source, tmp_path / "out.mkv", replace(settings, codec="ffv1"))
    assert any("light levels" in w for w in report.warnings)


@pytest.mark.parametrize(("suffix", "tag"), [(".mp4", "hvc1"), (".mov", "hvc1")])
def test_hevc_has_the_tag_that_quicktime_plays(suffix: str, tag: str, settings: RestoreSettings, tmp_path: Path) -> None:
    source = Film(frames=4).write(tmp_path / "film.mp4")
    gpenvid.restore(source, tmp_path / f"out{suffix}", replace(settings, codec="h265", preset="ultrafast"))
    with av.open(str(tmp_path / f"out{suffix}")) as file:
        assert file.streams.video[0].codec_context.codec_tag == tag


def test_a_video_becomes_numberedportraits(settings: RestoreSettings, tmp_path: Path) -> None:
    source = encode(tmp_path / "film.mkv", "ffv1", "gbrp10le", portraits(3))
    report = gpenvid.restore(source, tmp_path / "out_%03d.png", replace(settings, strength=0))
    assert [p.name for p in sorted(tmp_path.glob("out_*"))] == ["out_001.png", "out_002.png", "out_003.png"]
    assert (report.frames, report.warnings) == (3, [])
    for number, (green, blue, red) in enumerate(_planes(source), start=1):
        picture = cv2.imread(str(tmp_path / f"out_{number:03d}.png"), cv2.IMREAD_UNCHANGED)
        assert picture.dtype == np.uint16
        assert np.array_equal(np.rint(picture / 65535 * 1023).astype(int), np.dstack([blue, green, red]))


def test_pictures_of_yuv_have_the_colours_of_the_film(settings: RestoreSettings, tmp_path: Path) -> None:
    source = encode(tmp_path / "film.mp4", "libx264", "yuv444p", portraits(3), options={"crf": "1"})
    report = gpenvid.restore(source, tmp_path / "out_%d.tif", settings)
    assert report.faces == 3
    shown = cv2.imread(str(tmp_path / "out_1.tif"))[:, :, ::-1].astype(int)
    assert np.median(np.abs(shown - moving_portrait(1)[0])) <= 2


def test_pictures_say_what_they_lose_and_leave_nothing_half_written(settings: RestoreSettings, tmp_path: Path) -> None:
    source = Film(frames=4).write(tmp_path / "film.mp4")
    with pytest.raises(UsageError, match="1 other streams"):
        gpenvid.restore(source, tmp_path / "out_%d.png", replace(settings, strict=True))
    deep = encode(tmp_path / "deep.mkv", "ffv1", "yuv420p10le", portraits(2))
    with pytest.raises(UsageError, match=r"\.jpg cannot hold 10-bit samples"):
        gpenvid.restore(deep, tmp_path / "out_%d.jpg", settings)
    with pytest.raises(UsageError, match="--crf is for videos"):
        gpenvid.restore(source, tmp_path / "out_%d.png", replace(settings, crf=20))
    (tmp_path / "out_2.png").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        gpenvid.restore(source, tmp_path / "out_%d.png", settings)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["deep.mkv", "film.mp4", "out_2.png"]


@pytest.mark.parametrize(("codec", "kept"), [("h264", True), ("h265", True), ("ffv1", False)])
def test_closed_captions_stay_in_the_picture_or_are_named(
    codec: str, kept: bool, shared: Path, settings: RestoreSettings, tmp_path: Path
) -> None:
    source = shared / "media" / "clips" / "fate_scte20_interlaced.ts"
    preset = None if codec == "ffv1" else "ultrafast"
    report = gpenvid.restore(source, tmp_path / "out.mkv", replace(settings, codec=codec, preset=preset, end=0.5))
    with av.open(str(tmp_path / "out.mkv")) as file:
        captioned = sum(any(e.type.name == "A53_CC" for e in f.side_data) for f in file.decode(video=0))
    assert captioned == (report.frames if kept else 0)
    assert any("closed captions" in w for w in report.warnings) != kept


def test_alpha_of_webm_is_kept_after_a_remux_too(settings: RestoreSettings, tmp_path: Path) -> None:
    """FFmpeg writes the mark of alpha as a tag as well, in capitals, and then reads that one."""
    made, source = encode(tmp_path / "made.webm", "libvpx-vp9", "yuva420p", portraits(alpha=True)), tmp_path / "film.webm"
    with av.open(str(made)) as old, av.open(str(source), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        stream.metadata["alpha_mode"] = "1"
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    with av.open(str(source)) as file:
        assert file.streams.video[0].metadata["ALPHA_MODE"] == "1"
    report = gpenvid.restore(source, None, replace(settings, preset=None))
    assert Path(report.output).suffix == ".mkv"
    _check(source, report)
    with av.open(report.output) as file:
        assert file.streams.video[0].codec_context.pix_fmt == "yuva420p"
        assert "alpha_mode" not in {key.lower() for key in file.streams.video[0].metadata}


@pytest.mark.parametrize(
    ("pixel_format", "size"), [("yuv420p", (322, 239)), ("yuva420p", (320, 179)), ("yuv422p", (319, 240)), ("yuv420p16le", (322, 179))]
)
def test_ffv1_takes_films_of_odd_sizes(pixel_format: str, size: tuple[int, int], settings: RestoreSettings, tmp_path: Path) -> None:
    source = encode(tmp_path / "film.mkv", "ffv1", pixel_format, portraits(size=size, alpha="a4" in pixel_format))
    _check(source, gpenvid.restore(source, None, replace(settings, codec="ffv1", preset=None)))


def test_the_service_too_names_a_container_that_holds_alpha(tmp_path: Path) -> None:
    source = encode(tmp_path / "film.webm", "libvpx-vp9", "yuva420p", portraits(alpha=True))
    assert inspect_file(source, RestoreSettings(), name="film.webm", max_pixels=10**7).result_suffix == ".mkv"


@pytest.mark.parametrize("suffix", [".mov", ".avi"])
def test_exif_on_each_picture_is_no_obstacle(suffix: str, settings: RestoreSettings, tmp_path: Path) -> None:
    """FFmpeg has more kinds of side data than PyAV knows."""
    pictures = [Image.fromarray(np.ascontiguousarray(rgb)) for rgb in moving_portrait(4)]
    exif, source = Image.Exif(), tmp_path / f"film{suffix}"
    exif[0x10F] = "Maker"
    with av.open(str(source), "w") as file:
        stream = file.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = *pictures[0].size, "yuvj420p"
        for number, picture in enumerate(pictures):
            data = io.BytesIO()
            picture.save(data, "JPEG", exif=exif, subsampling=2)
            packet = av.Packet(data.getvalue())
            packet.stream, packet.time_base, packet.pts, packet.dts, packet.is_keyframe = stream, Fraction(1, 25), number, number, True
            file.mux(packet)
    _check(source, gpenvid.restore(source, None, settings))
