"""Native planes: RGB out, changes back in, everything else bit-identical."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpenvid.errors import InputError
from gpenvid.media.color import FULL, LIMITED, ColorSpec, rgb_to_yuv, yuv_to_rgb
from gpenvid.media.frame import Frame
from gpenvid.media.layout import layout_of, planar_twin
from gpenvid.media.orientation import DisplayGeometry
from gpenvid.media.planes import Region, add_to_region, read_region
from gpenvid.media.transfer import HLG, PQ, from_sdr, to_sdr


def _supported() -> list[str]:
    """All pixel formats of this FFmpeg that gpenvid computes in, or in the planar twin of."""
    found = []
    for name in sorted(av.video.format.names):
        try:
            layout_of(name)
        except InputError:
            continue
        found.append(name)
    return found


SUPPORTED = _supported()
FORMATS = [name for name in SUPPORTED if planar_twin(name) == name or name.startswith("yuvj")]
PACKED = [name for name in SUPPORTED if name not in FORMATS]


def _frame(name: str, width: int, height: int, seed: int = 0) -> Frame:
    layout = layout_of(name)
    random = np.random.default_rng(seed)
    top = 2**layout.bits
    low, high = top // 8, top - top // 8
    shapes = [layout.plane_shape(i, width, height) for i in range(layout.colour_planes)]
    shapes += [(height, width)] if layout.alpha else []
    planes = [random.integers(low, high, shape).astype(layout.dtype) for shape in shapes]
    color = ColorSpec(matrix=1, range=FULL if name.startswith("yuvj") else LIMITED)
    return Frame(0, 0, Fraction(1, 25), 1, layout, color, DisplayGeometry(width, height), _planes=planes, _writable=True)


@pytest.mark.parametrize("name", FORMATS)
@given(width=st.integers(9, 40), height=st.integers(9, 40), seed=st.integers(0, 99), data=st.data())
@settings(max_examples=4)
def test_samples_outside_the_change_are_bit_identical(name: str, width: int, height: int, seed: int, data: st.DataObject) -> None:
    frame = _frame(name, width, height, seed)
    before = [p.copy() for p in frame.planes]
    x, y = data.draw(st.integers(0, width - 2)), data.draw(st.integers(0, height - 2))
    region = Region.around((x, y, x + 6, y + 6), frame.layout, width, height)
    assert region is not None
    w, h = region.size
    change = np.zeros((h, w, 3), np.float32)
    change[: h // 2, : w // 2] = 0.1
    add_to_region(frame.writable_planes(), region, change, frame.layout, frame.color, height)
    for i, (old, new) in enumerate(zip(before, frame.planes, strict=True)):
        touched = np.zeros(old.shape, bool)
        if i < frame.layout.colour_planes:
            rows, columns = region.slices(frame.layout, i)
            sx, sy = (frame.layout.shift_x, frame.layout.shift_y) if frame.layout.model == "yuv" and i in (1, 2) else (0, 0)
            touched[rows.start : rows.start + -(-(h // 2) >> sy), columns.start : columns.start + -(-(w // 2) >> sx)] = True
        assert np.array_equal(old[~touched], new[~touched])


@given(where=st.lists(st.tuples(st.integers(0, 15), st.integers(0, 11)), max_size=4), name=st.sampled_from(["yuv420p", "yuv422p", "rgb24"]))
@settings(max_examples=30)
def test_the_touched_part_of_a_region_holds_the_change_and_no_more_than_the_grid_asks(where: list[tuple[int, int]], name: str) -> None:
    layout, region = layout_of(name), Region(4, 2, 20, 14)
    change = np.zeros((12, 16, 3), np.float32)
    for x, y in where:
        change[y, x, x % 3] = -0.1
    touched = region.touched(change, layout)
    if not where:
        assert touched is None
        return
    assert touched is not None
    x, y = np.array(where).T + np.array([[4], [2]])
    step_x, step_y = 1 << layout.shift_x, 1 << layout.shift_y
    assert (touched.left, touched.top) == (x.min() // step_x * step_x, y.min() // step_y * step_y)
    assert x.max() < touched.right <= x.max() + 1 + step_x
    assert y.max() < touched.bottom <= y.max() + 1 + step_y


@pytest.mark.parametrize("name", FORMATS)
def test_a_grey_change_moves_luma_by_its_share_of_the_range(name: str) -> None:
    frame = _frame(name, 32, 32)
    before = frame.planes[0].astype(int)
    region = Region(8, 8, 24, 24)
    add_to_region(frame.writable_planes(), region, np.full((16, 16, 3), 0.05, np.float32), frame.layout, frame.color, 32)
    full = frame.layout.model == "rgb" or frame.color.is_full_range
    span = (2**frame.layout.bits - 1) if full else 219 * 2 ** (frame.layout.bits - 8)
    moved = frame.planes[0].astype(int) - before
    inside = moved[8:24, 8:24]
    # Where chroma noise pushes RGB out of range the change is limited; most of the region is not.
    assert np.median(inside) == pytest.approx(0.05 * span, abs=0.6)


@pytest.mark.parametrize("name", ["yuv444p", "yuv444p10le", "gbrp", "gbrp16le", "yuv420p", "yuv420p10le"])
@pytest.mark.parametrize("matrix", [1, 6, 9])
@pytest.mark.parametrize("full", [True, False])
def test_planes_become_the_rgb_that_ffmpeg_makes(name: str, matrix: int, full: bool) -> None:
    layout = layout_of(name)
    y, x = np.mgrid[0:64, 0:64] / 64
    rgb = np.stack([0.3 + 0.4 * x, 0.3 + 0.3 * y, 0.7 - 0.3 * x * y], axis=2)
    source = av.VideoFrame.from_ndarray((rgb * 65535).astype(np.uint16), "rgb48le")
    colorspace = {1: 1, 6: 5, 9: 9}[matrix]
    coded = source.reformat(format=name, dst_colorspace=colorspace, dst_color_range=2 if full else 1, src_color_range=2)
    color = ColorSpec(matrix=matrix, range=FULL if full else LIMITED)
    frame = Frame(0, 0, Fraction(1, 25), 1, layout, color, DisplayGeometry(64, 64), _av=coded)
    found = read_region(frame.planes, Region(0, 0, 64, 64), layout, color, 64)
    assert np.abs(found - rgb)[4:-4, 4:-4].max() < 0.02


@pytest.mark.parametrize("matrix", [1, 4, 5, 6, 7, 9])
def test_colour_matrices_are_inverse(matrix: int) -> None:
    assert np.allclose(rgb_to_yuv(matrix) @ yuv_to_rgb(matrix), np.eye(3), atol=1e-6)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_hdr_maps_there_and_back(transfer: int) -> None:
    signal = np.linspace(0.02, 0.98, 500, dtype=np.float32)
    sdr = to_sdr(signal, transfer)
    assert np.all(np.diff(sdr) > 0)
    assert np.abs(from_sdr(sdr, transfer) - signal).max() < 2e-3


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_hdr_faces_land_in_the_middle_of_sdr(transfer: int) -> None:
    # Skin is about half as bright as diffuse white: 0.47 in PQ (100 cd/m2), 0.55 in HLG.
    assert 0.3 < float(to_sdr(np.float32([0.5]), transfer)[0]) < 0.75


def test_sdr_passes_unchanged() -> None:
    values = np.float32([0.1, 0.5])
    assert to_sdr(values, 1) is values


@pytest.mark.parametrize("name", ["bayer_rggb8", "xyz12le", "gbrpf32le", "gbrp10msble", "rgb565le", "cuda"])
def test_formats_without_a_planar_twin_are_refused_by_name(name: str) -> None:
    with pytest.raises(InputError, match=name):
        layout_of(name)


def test_every_usual_format_is_supported() -> None:
    usual = ["yuv420p", "yuv422p10le", "yuv444p12le", "yuva444p10le", "gray16le", "gbrp", "gbrap16le", "yuvj420p"]
    usual += ["nv12", "yuyv422", "p010le", "rgb24", "bgra", "rgb48be", "pal8", "gbrp10be", "gray10be", "ya8", "monow"]
    assert set(usual) <= set(SUPPORTED)
    assert len(FORMATS) > 50


# A palette and black-and-white hold fewer colours than their twins, and grey with alpha only grey.
@pytest.mark.parametrize("name", [n for n in PACKED if not n.startswith(("pal8", "mono", "ya"))])
def test_a_planar_twin_holds_the_same_samples(name: str) -> None:
    frame = _frame(planar_twin(name), 64, 32)
    back = frame.to_av().reformat(format=name).reformat(format=planar_twin(name))
    found = Frame(0, 0, Fraction(1, 25), 1, frame.layout, frame.color, frame.geometry, _av=back)
    assert all(np.array_equal(a, b) for a, b in zip(frame.planes, found.planes, strict=True))


def test_a_region_outside_the_picture_is_none() -> None:
    assert Region.around((100, 100, 120, 120), layout_of("yuv420p"), 64, 64) is None


def test_what_states_no_matrix_is_bt709_from_720_lines_up() -> None:
    assert [ColorSpec().resolved_matrix(height) for height in (576, 719, 720, 1080)] == [6, 6, 1, 1]
