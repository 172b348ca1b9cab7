"""A short clip for a browser: pictures and the sound that belongs to them."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.video.stream import VideoStream
from numpy.typing import NDArray

from gpenvid.errors import InputError
from gpenvid.media.probe import ffmpeg_name, open_input

_CLOCK = Fraction(1, 90000)
_RATE = 48000
_BT709 = 1
_LEAD = Fraction(1, 2)  # seconds of sound decoded before the part: codecs need a run-up


def write_loop(target: Path, pictures: Iterator[tuple[Fraction, NDArray[np.uint8]]], source: Path, begin: Fraction, end: Fraction) -> None:
    """Write H.264 and AAC in MP4, which every browser plays.

    Args:
        pictures: time in seconds on the source's clock, and the picture (H, W, 3) uint8 RGB, H and W even.
        source: where the sound is taken from; a part without sound is silent.
        begin, end: the part, in seconds on the source's clock.

    Raises:
        InputError: if it cannot be written.
    """
    sound = read_sound(source, begin, end)
    try:
        with av.open(ffmpeg_name(target), "w", format="mp4", options={"movflags": "+faststart"}) as output:
            _write(output, pictures, sound, begin, end)
    except (av.error.FFmpegError, OSError) as error:
        raise InputError(f"the loop cannot be written ({error.strerror})", "make room in the folder for temporary files") from error


def _write(
    output: av.container.OutputContainer,
    pictures: Iterator[tuple[Fraction, NDArray[np.uint8]]],
    sound: NDArray[np.float32] | None,
    begin: Fraction,
    end: Fraction,
) -> None:
    video = output.add_stream("libx264", options={"crf": "14", "preset": "veryfast"})
    assert isinstance(video, VideoStream)
    audio = None if sound is None else output.add_stream("aac", rate=_RATE, layout="stereo", options={"b": "256k"})
    begun = False
    for moment, rgb in pictures:
        if not begun:
            video.height, video.width = rgb.shape[:2]
            video.pix_fmt, video.time_base = "yuv420p", _CLOCK
            context = video.codec_context
            context.time_base = _CLOCK
            context.colorspace = context.color_primaries = context.color_trc = _BT709
            context.color_range = 1
        frame = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(
            format="yuv420p", src_color_range=2, dst_colorspace=_BT709, dst_color_range=1
        )
        frame.pts, frame.time_base = round((moment - begin) / _CLOCK), _CLOCK
        frame.duration = round((end - moment) / _CLOCK)
        begun = True
        output.mux(video.encode(frame))
    output.mux(video.encode(None))
    if isinstance(audio, AudioStream) and sound is not None:
        _write_sound(output, audio, sound)


def _write_sound(output: av.container.OutputContainer, stream: AudioStream, sound: NDArray[np.float32]) -> None:
    for position in range(0, sound.shape[1], 1024):
        block = AudioFrame.from_ndarray(np.ascontiguousarray(sound[:, position : position + 1024]), format="fltp", layout="stereo")
        block.sample_rate, block.pts, block.time_base = _RATE, position, Fraction(1, _RATE)
        output.mux(stream.encode(block))
    output.mux(stream.encode(None))


def read_sound(source: Path, begin: Fraction, end: Fraction) -> NDArray[np.float32] | None:
    """A part of a file's first sound stream as (2, samples) float32 at 48 kHz, None where it has none.

    What is missing at either end is silence.
    """
    with open_input(source) as container:
        stream = next(iter(container.streams.audio), None)
        if stream is None or stream.time_base is None:
            return None
        part = np.zeros((2, round((end - begin) * _RATE)), np.float32)
        resampler = av.AudioResampler("fltp", "stereo", _RATE)
        try:
            container.seek(max(0, round((begin - _LEAD) / stream.time_base)), backward=True, stream=stream)
            moment = begin
            for frame in chain(container.decode(stream), (None,)):  # the last asks for what the resampler holds back
                if frame is not None:
                    if frame.pts is None:
                        continue
                    moment = frame.pts * stream.time_base
                for piece in resampler.resample(frame):
                    at = (piece.pts * piece.time_base if piece.pts is not None and piece.time_base else moment) - begin
                    _lay(part, np.asarray(piece.to_ndarray(), np.float32), round(at * _RATE))
                if moment >= end:
                    break
        except (av.error.FFmpegError, OSError):
            return part  # damaged sound is no reason not to look
        return part


def _lay(part: NDArray[np.float32], piece: NDArray[np.float32], at: int) -> None:
    first, last = max(0, at), min(part.shape[1], at + piece.shape[1])
    if first < last:
        part[:, first:last] = piece[:, first - at : last - at]
