"""Still pictures: PNG, JPEG, TIFF, WebP and the like, 8 and 16 bit, with their alpha and metadata."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gpenvid.errors import InputError, TooLargeError, UsageError
from gpenvid.media.color import FULL, ColorSpec
from gpenvid.media.frame import Frame, Plane
from gpenvid.media.layout import layout_of
from gpenvid.media.orientation import DisplayGeometry
from gpenvid.media.still_extras import StillExtras
from gpenvid.media.still_files import add_extras, read_file
from gpenvid.media.still_jpeg import MAGIC as JPEG
from gpenvid.media.still_jpeg import is_damaged
from gpenvid.media.still_kept import kept_in
from gpenvid.media.still_tiff import MAGIC as TIFF
from gpenvid.media.still_tiff import as_stored

STILL_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".pgm", ".ppm", ".jp2")
NARROW_SUFFIXES = (".jpg", ".jpeg", ".webp", ".bmp")  # cannot hold more than 8 bits
MAX_PIXELS = 2**28  # a 16,384 pixel square; larger pictures are more likely bombs than scans

_STEP = Fraction(1, 25)  # a picture has no time; a sequence is a film whose frames follow each other at any pace
_COLOR = ColorSpec(matrix=0, primaries=1, transfer=13, range=FULL)
_PARAMETERS = {
    ".jpg": [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444],
    ".webp": [cv2.IMWRITE_WEBP_LOSSLESS_MODE, cv2.IMWRITE_WEBP_LOSSLESS_PRESERVE_COLOR],  # of what alpha hides, too
    ".jp2": [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000],
}
_PARAMETERS[".jpeg"] = _PARAMETERS[".jpg"]
_WEBP_BLOCKS = {"exif": cv2.IMAGE_METADATA_EXIF, "xmp": cv2.IMAGE_METADATA_XMP, "icc": cv2.IMAGE_METADATA_ICCP}


def is_still(path: Path) -> bool:
    """Whether a file is a still picture, by its name."""
    return path.suffix.lower() in STILL_SUFFIXES


def read_still(path: Path, *, index: int = 0) -> tuple[Frame, StillExtras]:
    """Read a picture into native planes (`gbrp`, `gbrap`, `gray`, or their 16-bit forms), with what it carries beside them.

    Raises:
        InputError: see `read_frame`.
    """
    content = _content(path)
    frame, extras = _read(path, content, index)
    return frame, replace(extras, damaged=content.startswith(JPEG) and is_damaged(content))


def read_frame(path: Path, *, index: int = 0) -> Frame:
    """Read a picture for its samples only, without looking for damage that does not keep it from being decoded.

    Raises:
        InputError: no such file, or not a picture OpenCV can decode, or several in one file, or CMYK, or more than 2^28 pixels.
    """
    return _read(path, _content(path), index)[0]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}", "check the path") from error


def _read(path: Path, content: bytes, index: int) -> tuple[Frame, StillExtras]:
    known, data = read_file(content), np.frombuffer(content, np.uint8)
    if known.refused:
        raise InputError(f"{path}: {known.refused}", "convert it to RGB or grey of 8 or 16 bit with a program that manages colours")
    pages = _count(data) if known.pages is None else known.pages
    if pages > 1:
        raise InputError(f"{path}: holds {pages} pictures", "split it into numbered files; a .png that moves can be named .apng")
    if content.startswith(TIFF):
        data = np.frombuffer(as_stored(content), np.uint8)
    if content.startswith((b"P2", b"P3")):
        data = np.frombuffer(content + b"\n", np.uint8)  # OpenCV wants something behind the last number
    image, extras = _decode(path, data), known.extras
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    if image.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{path}: samples of type {image.dtype} are not supported", "convert it to 8 or 16 bit")
    name = "gray" if image.ndim == 2 else "gbrap" if image.shape[2] == 4 else "gbrp"
    if image.dtype == np.uint16:
        name += "16le"
    planes: list[Plane] = [image] if image.ndim == 2 else [np.ascontiguousarray(image[:, :, i]) for i in (1, 0, 2, 3)[: image.shape[2]]]
    geometry = DisplayGeometry(image.shape[1], image.shape[0], Fraction(1), extras.orientation)
    frame = Frame(index, index, _STEP, 1, layout_of(name), _COLOR, geometry, _planes=planes, _writable=True)
    return frame, extras


def _decode(path: Path, data: NDArray[np.uint8]) -> Any:
    image: Any = None
    if data.size:
        try:
            image = cv2.imdecodeWithMetadata(data, flags=cv2.IMREAD_UNCHANGED)[0]
        except cv2.error as error:
            if "MAX_IMAGE" in str(error):
                raise _too_large(path) from error
            raise InputError(f"{path}: cannot be decoded ({error.err})", "check the file") from error
    if image is None:
        raise InputError(f"{path}: not a picture that can be decoded", "check the file with a viewer")
    if image.shape[0] * image.shape[1] > MAX_PIXELS:
        raise _too_large(path)  # where OpenCV was loaded before gpenvid could tell it
    return image


def _count(data: NDArray[np.uint8]) -> int:
    """Pictures in a file of another kind than its name says, such as a GIF: two stands for two or more; 0 where none can be decoded."""
    if not data.size:
        return 0
    try:
        return len(cv2.imdecodemulti(data, cv2.IMREAD_UNCHANGED, range=(0, 2))[1])
    except cv2.error:
        return 0  # decoding it says why


def _too_large(path: Path) -> TooLargeError:
    return TooLargeError(f"{path}: more than {MAX_PIXELS} pixels", "cut it into parts")


def laid_out(planes: Sequence[Plane], extras: StillExtras, held: StillExtras) -> list[Plane]:
    """Planes as a file stores them that holds only `held` of `extras`: turned upright where the orientation is not among it."""
    turned: list[Any] = list(planes)
    return turned if held.orientation == extras.orientation else [extras.orientation.apply(p) for p in turned]


def check_samples(suffix: str, model: str, *, bits: int, alpha: bool) -> None:
    """Make sure that a kind of picture file can hold such samples.

    Args:
        suffix: of the file, lower case, with its dot.
        model: `gray` or `rgb`.

    Raises:
        UsageError: if not.
    """
    if suffix in NARROW_SUFFIXES and bits > 8:
        raise UsageError(f"{suffix} cannot hold {bits}-bit samples", "choose .png or .tif")
    if alpha and suffix in (".jpg", ".jpeg", ".pgm", ".ppm"):
        raise UsageError(f"{suffix} cannot hold alpha", "choose .png")
    if (suffix, model) in ((".pgm", "rgb"), (".ppm", "gray")):
        held, other = ("grey", ".ppm") if suffix == ".pgm" else ("colour", ".pgm")
        raise UsageError(f"{suffix} holds {held} only", f"choose {other} or .png")


def encode_still(planes: Sequence[Plane], model: str, extras: StillExtras, suffix: str) -> bytes:
    """Encode planes (G, B, R[, A] or Y) as a picture file of the kind `suffix` says; JPEG at quality 95, WebP and JPEG 2000 lossless.

    Of the extras it holds what `kept_in` says.

    Raises:
        UsageError: if that kind of file cannot hold such samples.
    """
    held, _ = kept_in(extras, suffix, model)
    planes = laid_out(planes, extras, held)
    image: Any = planes[0] if model == "gray" else np.dstack([planes[i] for i in (1, 0, 2, 3)[: len(planes)]])
    check_samples(suffix, model, bits=8 * image.itemsize, alpha=len(planes) == 4)
    blocks = {k: np.frombuffer(b, np.uint8) for n, k in _WEBP_BLOCKS.items() if (b := getattr(held, n))} if suffix == ".webp" else {}
    try:
        done, data = cv2.imencodeWithMetadata(suffix, image, list(blocks), list(blocks.values()), _PARAMETERS.get(suffix, []))
    except cv2.error as error:
        raise UsageError(f"{suffix} cannot hold this picture ({error.err})", "choose .png") from error
    if not done:
        raise UsageError(f"{suffix} cannot hold this picture", "choose .png")
    return add_extras(bytes(data), held, suffix)
