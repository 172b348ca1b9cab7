"""Interlaced film: which field comes first is kept, or it is said how."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest
from av.codec.context import Flags
from films import encode, portraits

import gpenvid
from gpenvid import RestoreSettings
from gpenvid.media.audit import audit

SIZE = (320, 240)


def _marked(pictures: list[av.VideoFrame], order: str, pixel_format: str, size: tuple[int, int] = SIZE) -> list[av.VideoFrame]:
    """The pictures with their fields in an order, as a camera's decoder gives them."""
    graph = av.filter.Graph()
    nodes = [graph.add_buffer(width=size[0], height=size[1], format=av.VideoFormat(pixel_format), time_base=Fraction(1, 25))]
    nodes += [graph.add("setfield", order), graph.add("buffersink")]
    graph.link_nodes(*nodes).configure()
    marked = []
    for number, picture in enumerate(pictures):
        ready = picture.reformat(format=pixel_format)
        ready.pts, ready.time_base = number, Fraction(1, 25)
        graph.push(ready)
        marked.append(graph.pull())
    return marked


def _field_order(path: Path) -> str:
    """What the decoded frames say, asked of a filter that knows."""
    with av.open(str(path)) as file:
        frames = list(file.decode(video=0))
    found = set()
    for frame in frames:
        for kind in ("PROGRESSIVE", "TOPFIRST", "BOTTOMFIRST"):
            graph = av.filter.Graph()
            nodes = [graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25))]
            nodes += [graph.add("select", f"eq(interlace_type,{kind})"), graph.add("buffersink")]
            graph.link_nodes(*nodes).configure()
            graph.push(frame)
            graph.push(None)
            try:
                graph.pull()
            except (av.error.EOFError, av.error.BlockingIOError):
                continue
            found.add(kind)
    return " and ".join(sorted(found))


@pytest.mark.parametrize("order", ["tff", "bff"])
@pytest.mark.parametrize(
    ("pixel_format", "codec", "name"),
    [("yuv420p", None, "a.mp4"), ("yuv422p10le", None, "a.mov"), ("yuv420p", "ffv1", "a.mkv"), ("yuv420p", "prores", "a.mov")],
)
def test_fields_keep_their_order(
    order: str, pixel_format: str, codec: str | None, name: str, settings: RestoreSettings, tmp_path: Path
) -> None:
    pictures = _marked(portraits(), order, pixel_format)
    source = encode(tmp_path / "film.mp4", "libx264", pixel_format, pictures, flags=Flags.interlaced_dct)
    expected = {"tff": "TOPFIRST", "bff": "BOTTOMFIRST"}[order]
    assert _field_order(source) == expected
    report = gpenvid.restore(source, tmp_path / name, replace(settings, codec=codec))
    assert any("--deinterlace" in w for w in report.warnings)
    out = Path(report.output)
    assert _field_order(out) == expected
    found = audit(source, out)
    assert found.passed, [f for f in found.findings if f.outcome == "differs"]


@pytest.mark.parametrize(("orders", "marked"), [(["prog", "tff"], 0), (["tff", "prog"], 6)])
def test_interlaced_frames_among_others_are_counted_and_keep_their_marks_in_ffv1(
    orders: list[str], marked: int, settings: RestoreSettings, tmp_path: Path
) -> None:
    pictures = [
        p for part, order in zip((portraits(6)[:3], portraits(6)[3:]), orders, strict=True) for p in _marked(part, order, "yuv420p")
    ]
    for number, picture in enumerate(pictures):
        picture.pts = number
    source = encode(tmp_path / "film.mkv", "ffv1", "yuv420p", pictures)
    for codec, expected in (("ffv1", 3), ("h264", marked)):
        out = tmp_path / f"{codec}.mkv"
        report = gpenvid.restore(source, out, replace(settings, codec=codec))
        assert any(f"3 frames are {'interlaced' if marked == 0 else 'progressive'}" in w and "--deinterlace" in w for w in report.warnings)
        with av.open(str(out)) as file:
            assert sum(f.interlaced_frame for f in file.decode(video=0)) == expected
        found = audit(source, out)
        assert found.passed, [f for f in found.findings if f.outcome == "differs"]
        assert [f.outcome for f in found.findings if f.what == "fields"] == ["same" if codec == "ffv1" else "noted"]


def test_interlaced_frames_that_change_size_are_deinterlaced(settings: RestoreSettings, tmp_path: Path) -> None:
    content = b""
    for size in (SIZE, (160, 120)):
        pictures = _marked(portraits(5, size), "tff", "yuv420p", size)
        content += encode(tmp_path / "part.ts", "libx264", "yuv420p", pictures, flags=Flags.interlaced_dct).read_bytes()
    source = tmp_path / "film.ts"
    source.write_bytes(content)
    report = gpenvid.restore(source, tmp_path / "out.mkv", replace(settings, deinterlace=True))
    assert report.frames == report.faces == 10
    assert any("5 frames change size" in w for w in report.warnings)


@pytest.mark.parametrize("codec", ["h265", "dnxhr", "vp9", "av1"])
def test_a_codec_without_fields_says_so(codec: str, settings: RestoreSettings, tmp_path: Path) -> None:
    source = encode(tmp_path / "film.mp4", "libx264", "yuv422p", _marked(portraits(), "tff", "yuv422p"), flags=Flags.interlaced_dct)
    report = gpenvid.restore(source, tmp_path / ("a.mov" if codec == "dnxhr" else "a.mkv"), replace(settings, codec=codec))
    assert any("cannot mark frames as interlaced" in w and "--deinterlace" in w for w in report.warnings)
