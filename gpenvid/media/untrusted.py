"""Telling what a file from a stranger is, by its content and before anything else opens it."""

from __future__ import annotations

from pathlib import Path

import av

from gpenvid.errors import InputError, TooLargeError
from gpenvid.media import still_jpeg, still_png
from gpenvid.media.probe import OPEN_TIMEOUT, TAG_ERRORS, ffmpeg_name, main_video_stream
from gpenvid.media.still_webp import is_webp

# Demuxers that read one file. Playlists (HLS, DASH, concat, SDP) are not among them: they make FFmpeg open other files and addresses.
_DEMUXERS = "mov,matroska,avi,mpegts,mpeg,mpegvideo,asf,flv,mxf,ogg,wtv,ivf,yuv4mpegpipe,nut,h264,hevc,obu,av1,dv,m4v,rm,gxf,vc1,swf,apng"

_STILLS = (
    (still_png.MAGIC, ".png"),
    (still_jpeg.MAGIC, ".jpg"),
    (b"II*\0", ".tif"),
    (b"MM\0*", ".tif"),
    (b"BM", ".bmp"),
    (b"P2", ".pgm"),
    (b"P5", ".pgm"),
    (b"P3", ".ppm"),
    (b"P6", ".ppm"),
    (b"\0\0\0\x0cjP  ", ".jp2"),
)


def still_suffix(head: bytes) -> str | None:
    """The extension that fits a picture file, from its first 12 bytes or more; None for what is no still picture."""
    if is_webp(head):
        return ".webp"
    return next((suffix for magic, suffix in _STILLS if head.startswith(magic)), None)


def check_video(path: Path, max_pixels: int) -> None:
    """Make sure that a file is a video of a kind that refers to no other file, and that its frames are not too large.

    By what its headers say: nothing is decoded.

    Raises:
        InputError: it is not.
        TooLargeError: they are.
    """
    options = {"format_whitelist": _DEMUXERS, "protocol_whitelist": "file"}
    try:
        with av.open(ffmpeg_name(path), "r", timeout=OPEN_TIMEOUT, metadata_errors=TAG_ERRORS, options=options) as container:
            stream = main_video_stream(container, path)
            # What the header claims, before a decoder makes room for it.
            check_pixels(path, stream.codec_context.width, stream.codec_context.height, max_pixels)
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise InputError(f"{path}: not a video or picture of a known kind", "send a video file or a picture") from error


def check_pixels(path: Path, width: int, height: int, max_pixels: int) -> None:
    """Make sure that a frame is not too large.

    Raises:
        TooLargeError: it is.
    """
    if width * height > max_pixels:
        raise TooLargeError(f"{path}: {width} x {height} is more than {max_pixels} pixels", "send a smaller picture")
