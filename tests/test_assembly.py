"""Segments on disk, decoding times, and which container gets what."""

from __future__ import annotations

import tempfile
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpenvid.errors import UsageError
from gpenvid.media.assemble import StreamPlan, assemble, decoding_times
from gpenvid.media.check import check_result
from gpenvid.media.color import ColorSpec
from gpenvid.media.containers import container_for_output, container_for_source, supported_codecs
from gpenvid.media.encode import encode_frames
from gpenvid.media.encoder_choice import choose_encoder
from gpenvid.media.encoders import EncoderRequest, EncoderSettings, estimated_bytes
from gpenvid.media.reader import VideoReader
from gpenvid.media.segments import DamagedSegmentError, read_segment, write_segment
from gpenvid.media.time_range import TimeRange


def _packet(pts: int, data: bytes, key: bool) -> av.Packet:
    packet = av.Packet(data)
    packet.pts, packet.is_keyframe, packet.duration = pts, key, 3
    return packet


@pytest.fixture
def segment(tmp_path: Path) -> Path:
    path = tmp_path / "1.seg"
    write_segment(path, [_packet(0, b"abc", True), _packet(4, b"", False), _packet(2, b"de", False)])
    return path


def test_a_segment_gives_back_its_packets(segment: Path) -> None:
    found = [(p.pts, p.duration, p.keyframe, p.data) for p in read_segment(segment)]
    assert found == [(0, 3, True, b"abc"), (4, 3, False, b""), (2, 3, False, b"de")]


@given(st.data())
def test_a_changed_segment_is_noticed(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "1.seg"
        write_segment(path, [_packet(0, b"abcdefgh" * 4, True)])
        content = bytearray(path.read_bytes())
        position = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            content[position] ^= 1 << data.draw(st.integers(0, 7))
        else:
            content = content[:position]
        path.write_bytes(content)
        with pytest.raises(DamagedSegmentError):
            list(read_segment(path))


def test_a_segment_whose_encoder_fails_is_absent(tmp_path: Path) -> None:
    def failing() -> object:
        yield _packet(0, b"abc", True)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_segment(tmp_path / "1.seg", failing())
    assert not (tmp_path / "1.seg").exists()


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=40, unique=True), st.randoms(use_true_random=False))
def test_decoding_times_rise_and_never_pass_the_presentation(times: list[int], random) -> None:
    shown = sorted(times)
    # Reordering as B-frames do it: local swaps.
    order = list(shown)
    for i in range(len(order) - 1):
        if random.random() < 0.5:
            order[i], order[i + 1] = order[i + 1], order[i]
    decoded = decoding_times(order, 1)
    assert all(a < b for a, b in pairwise(decoded))
    assert all(d <= p for d, p in zip(decoded, order, strict=True))


def test_without_reordering_decoding_and_presentation_are_one() -> None:
    assert decoding_times([3, 7, 8], 1) == [3, 7, 8]


@pytest.mark.parametrize(
    ("name", "demuxer", "expected"),
    [
        ("a.mp4", "mov,mp4,m4a,3gp,3g2,mj2", ".mp4"),
        ("a.mov", "mov,mp4,m4a,3gp,3g2,mj2", ".mov"),
        ("a.mkv", "matroska,webm", ".mkv"),
        ("a.webm", "matroska,webm", ".webm"),
        ("a.ts", "mpegts", ".ts"),
        ("a.avi", "avi", ".mkv"),
        ("a.wtv", "wtv", ".mkv"),
        ("misnamed.mp4", "mxf", ".mkv"),
    ],
)
def test_a_result_stays_in_its_container_where_that_keeps_its_times(name: str, demuxer: str, expected: str) -> None:
    container, reason = container_for_source(Path(name), demuxer, alpha=False)
    assert container.suffix == expected
    assert (reason is None) == (Path(name).suffix == expected)


@pytest.mark.parametrize(
    ("name", "demuxer", "sound", "expected"),
    [
        ("a.3gp", "mov,mp4,m4a,3gp,3g2,mj2", "amr_nb", ".mov"),
        ("a.avi", "avi", "pcm_mulaw", ".mov"),
        ("a.mp4", "mov,mp4,m4a,3gp,3g2,mj2", "pcm_u8", ".mkv"),
        ("a.avi", "avi", "wmav2", ".mkv"),
        ("a.mp4", "mov,mp4,m4a,3gp,3g2,mj2", "wmav2", ".mp4"),
    ],
)
def test_a_result_goes_where_its_sound_fits(name: str, demuxer: str, sound: str, expected: str) -> None:
    container, reason = container_for_source(Path(name), demuxer, alpha=False, sounds=frozenset({"aac", sound}))
    assert container.suffix == expected
    assert (sound in (reason or "")) == (sound != "wmav2")


def test_an_unknown_extension_is_refused() -> None:
    with pytest.raises(UsageError, match="xyz"):
        container_for_output(Path("a.xyz"))


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        (".mp4", "h264"),
        (".mkv", "ffv1"),
        (".ts", "h264"),
        (".webm", "vp9"),
        (".mov", "prores"),
        (".m2ts", "hdmv_pgs_subtitle"),
        (".mp4", "opus"),
    ],
)
def test_containers_take_their_codecs(suffix: str, codec: str) -> None:
    assert codec in supported_codecs(container_for_output(Path(f"a{suffix}")))


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".mov", "opus"), (".mov", "vp9"), (".m2ts", "dvb_subtitle"), (".ts", "hdmv_pgs_subtitle"), (".webm", "h264")]
)
def test_containers_do_not_take_what_their_muxer_refuses(suffix: str, codec: str) -> None:
    assert codec not in supported_codecs(container_for_output(Path(f"a{suffix}")))


@given(st.fractions(0, 10), st.fractions(0, 10), st.fractions(0, 10))
def test_a_range_holds_its_start_and_not_its_end(start: Fraction, length: Fraction, moment: Fraction) -> None:
    keep = TimeRange(start, start + length)
    assert keep.holds(moment) == (start <= moment < start + length)


@settings(max_examples=15)
@given(
    times=st.lists(st.integers(0, 2000), min_size=3, max_size=12, unique=True).map(sorted),
    suffix=st.sampled_from([".mp4", ".mkv", ".ts"]),
    data=st.data(),
)
def test_pictures_keep_their_times_however_irregular_and_however_they_are_cut(times: list[int], suffix: str, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "source.mkv", Path(folder) / f"target{suffix}"
        with av.open(str(source), "w") as container:
            stream = container.add_stream("ffv1", rate=25)
            stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
            for i, moment in enumerate(times):
                picture = av.VideoFrame.from_ndarray(np.full((48, 32), 20 * i, np.uint8), "yuv420p")
                picture.pts, picture.time_base = moment, Fraction(1, 1000)
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
        reader = VideoReader(source)
        container = container_for_output(target)
        encoder, _ = choose_encoder(EncoderRequest(preset="veryfast"), reader.info, container)
        frames = list(reader.frames())
        assert [f.pts for f in frames] == times
        cut = data.draw(st.integers(1, len(frames) - 1))
        segments = [Path(folder) / "0.seg", Path(folder) / "1.seg"]
        for path, part in zip(segments, (frames[:cut], frames[cut:]), strict=True):
            write_segment(path, encode_frames(encoder, iter(part)))
        written = assemble(
            target,
            source=source,
            info=reader.info,
            segments=segments,
            settings=encoder,
            container=container,
            plan=StreamPlan(),
            keep=TimeRange(),
            tags={},
        )
        check_result(target, written)
        found = [f.pts * f.time_base for f in VideoReader(target).frames()]
        if suffix == ".ts":  # begins later, so that nothing is decoded before zero
            found = [moment - found[0] + Fraction(times[0], 1000) for moment in found]
        assert found == [Fraction(moment, 1000) for moment in times]


def test_the_estimate_of_space_grows_with_quality_and_size() -> None:
    settled = _settings("libx264", "16")
    assert estimated_bytes(settled, 100) == 100 * estimated_bytes(settled, 1)
    better = _settings("libx264", "10")
    assert estimated_bytes(better, 100) == 2 * estimated_bytes(settled, 100)
    lossless = _settings("ffv1", "")
    assert 640 * 360 * 100 < estimated_bytes(lossless, 100) * 2 < 2 * 640 * 360 * 100 * 3 / 2


def _settings(encoder: str, crf: str) -> EncoderSettings:
    options = (("crf", crf),) if crf else ()
    color = ColorSpec(1, 1, 1, 1)
    rate = Fraction(25)
    return EncoderSettings(encoder, "yuv420p", 640, 360, 1 / rate, rate, Fraction(1), color, False, False, False, options)
