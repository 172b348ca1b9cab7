"""The part of an audit that is about picture files: one, a folder of them, or the numbered frames of a film."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gpenvid.errors import InputError, UsageError
from gpenvid.media.audit_pixels import PixelTally
from gpenvid.media.findings import Audit
from gpenvid.media.frame import Plane
from gpenvid.media.pictures import picture_of
from gpenvid.media.probe import open_input
from gpenvid.media.reader import VideoReader
from gpenvid.media.sequence import folder_files, is_sequence, number_in, sequence_files
from gpenvid.media.still_extras import BLOCKS, StillExtras
from gpenvid.media.still_kept import about, kept_in
from gpenvid.media.stills import is_still, laid_out, read_frame, read_still
from gpenvid.media.time_range import TimeRange


@dataclass(frozen=True)
class _Picture:
    """What is compared of one picture; planes G, B, R[, A] or Y. A film's has no name."""

    planes: list[Plane]
    extras: StillExtras
    name: str = ""

    @property
    def size(self) -> tuple[int, int]:
        return self.planes[0].shape[1], self.planes[0].shape[0]

    @property
    def bits(self) -> int:
        return 8 if self.planes[0].dtype == np.uint8 else 16

    def as_held_by(self, suffix: str) -> tuple[_Picture, list[str]]:
        """What a file of a kind can hold of it, and sentences that name the rest."""
        held, lost = kept_in(self.extras, suffix, "gray" if len(self.planes) == 1 else "rgb")
        return _Picture(laid_out(self.planes, self.extras, held), held), lost


@dataclass
class _Same:
    """One property over all pictures: how many have it as in the source, how many cannot hold it, and the first that differs otherwise."""

    count: int = 0
    lost: int = 0
    first: str = ""
    changed: list[object] = field(default_factory=list)

    def add(self, name: str, wanted: object, found: object) -> None:
        self.count += wanted == found
        if wanted != found and not self.changed:
            self.first, self.changed = name, [wanted, found]

    def tell(self, result: Audit, what: str) -> None:
        if self.changed:
            result.compare(f"{what} of {self.first}", *self.changed)
        elif self.lost:
            result.note(what, f"lost in {self.lost}, whose kind of file cannot hold it")
        else:
            result.compare(what, f"in all {self.count}", f"in all {self.count}")


@dataclass(frozen=True)
class _Block:
    """A block of metadata, told by its size and a checksum."""

    data: bytes

    def __str__(self) -> str:
        return f"{len(self.data)} bytes (checksum {zlib.crc32(self.data):08x})" if self.data else "none"


@dataclass(frozen=True)
class _Texts:
    """Names and contents of texts, comments and colour marks; told by name and size."""

    entries: tuple[tuple[str, bytes], ...]

    def __str__(self) -> str:
        return ", ".join(f"{name} ({_Block(data)})" for name, data in self.entries) or "none"


def are_pictures(path: Path) -> bool:
    """Whether a path names picture files: one, a folder, or a numbered sequence."""
    return is_still(path) or path.is_dir()


def audit_pictures(source: Path, output: Path, *, pixels: bool, start: float | None, end: float | None) -> Audit:
    """Compare picture files with the picture files, or the video, that they were made from; of that perhaps a part. See `audit`.

    Raises:
        InputError: if a single picture or a video cannot be read. One picture of several that cannot is a finding.
        UsageError: the two are not of a kind, or a part is named of what is no video.
    """
    if not are_pictures(output):
        raise UsageError(f"{source}: is a picture, and {output.name} is a video", "name what was made of it")
    result = Audit(source, output)
    files = _files(output)
    wanted: Iterator[_Picture | None]
    if are_pictures(source):
        if not (start is None and end is None):
            raise UsageError("--start and --end are for videos", "leave them out for pictures")
        sources = _files(source)
        there = {_place(f, output) for f in files}
        if source.is_dir():
            sources = [f for f in sources if f.name in there or not _is_passed_over(f, result)]
        names = [_place(f, source) for f in sources], [_place(f, output) for f in files]
        if source.is_dir() or is_sequence(source):
            result.compare("file names" if source.is_dir() else "frame numbers", *names)
        common = there.intersection(names[0])  # one that is missing must not make neighbours of strangers
        files = [file for file in files if _place(file, output) in common]
        wanted = (_read_telling(file, source, result) for file in sources if _place(file, source) in common)
    else:
        result.compare("frame numbers", list(range(1, len(files) + 1)), [_place(f, output) for f in files])
        wanted = _of_video(source, result, start, end)
    _compare(result, wanted, files, pixels=pixels)
    return result


def _files(path: Path) -> list[Path]:
    return folder_files(path) if path.is_dir() else sequence_files(path) if is_sequence(path) else [path]


def _place(file: Path, among: Path) -> str | int:
    return file.name if among.is_dir() else number_in(file, among) if is_sequence(among) else ""


def _read(file: Path) -> _Picture:
    frame, extras = read_still(file)
    return _Picture(frame.planes, extras, file.name)


def _is_passed_over(file: Path, result: Audit) -> bool:
    """Whether a picture of a folder cannot be read, so that there is nothing to expect of it; the audit says so."""
    try:
        read_frame(file)
    except InputError as error:
        result.note("passed over", str(error))
        return True
    return False


def _read_telling(file: Path, among: Path, result: Audit) -> _Picture | None:
    """A picture; None where it is one of several and cannot be read, and the audit says so."""
    try:
        return _read(file)
    except InputError as error:
        if file == among:
            raise
        result.fail("reading", str(error))
        return None


def _of_video(source: Path, result: Audit, start: float | None, end: float | None) -> Iterator[_Picture]:
    with open_input(source) as container:
        others = len(container.streams) - 1
    if others:
        result.note("streams", f"{others} beside the picture have no place in picture files")
    reader = VideoReader(source)
    keep = TimeRange()
    for frame in reader.frames():
        moment = frame.pts * frame.time_base
        if frame.index == 0:
            keep = TimeRange.counted_from(moment, start, end)
        if keep.holds(moment):
            yield _Picture(picture_of(frame)[0], StillExtras())
    for fault in reader.faults.sentences(source):
        result.note("decoding of the source", fault)


def _compare(result: Audit, wanted: Iterator[_Picture | None], files: list[Path], *, pixels: bool) -> None:
    found: dict[str, _Same] = {name: _Same() for name in ("size", "bit depth", "colour and alpha", *BLOCKS.values(), "resolution", "text")}
    tallies: dict[int, PixelTally] = {}
    lost: dict[str, list[str]] = {}
    damaged: list[str] = []
    expected, deeper = 0, 0
    for source in wanted:
        expected += 1
        if expected > len(files):
            continue
        name, new = files[expected - 1].name, _read_telling(files[expected - 1], result.output, result)
        if source is None or new is None:
            continue
        if new.extras.damaged:
            result.fail("decoding", about([name], "its data is damaged"))
        old, told = source.as_held_by(files[expected - 1].suffix.lower())
        for sentence in told:
            lost.setdefault(sentence, []).append(name)
        damaged += [source.name] if source.extras.damaged else []
        deeper += new.bits > old.bits
        found["size"].add(name, old.size, new.size)
        found["bit depth"].add(name, old.bits, min(old.bits, new.bits))
        found["colour and alpha"].add(name, _model_in(files[expected - 1].suffix.lower(), old), _model(new))
        _compare_extras(found, name, old.extras, new.extras)
        for what in _lost(source.extras, old.extras):
            found[what].lost += 1
        if pixels and (old.size, old.bits) == (new.size, new.bits):
            tallies.setdefault(old.bits, PixelTally(old.bits)).add(old.planes, new.planes, name)
    result.compare("pictures", expected, len(files))
    for what, same in found.items():
        same.tell(result, what)
    for sentence, names in lost.items():
        result.note("what is lost", about(names, sentence))
    if damaged:
        result.note("decoding of the source", about(damaged, "its data is damaged"))
    if deeper:
        result.note("bit depth", f"16 bits in {deeper}, which hold all of 8")
    for tally in tallies.values():
        tally.tell(result)


def _lost(all_of_it: StillExtras, held: StillExtras) -> Iterator[str]:
    """What a kind of file holds nothing of. TIFF keeps some of an EXIF block elsewhere; what it does not is among the sentences."""
    elsewhere = ("exif",) if held.family == "tiff" else ()
    lost = (block for block in BLOCKS if getattr(all_of_it, block) and not getattr(held, block) and block not in elsewhere)
    yield from (BLOCKS[block] for block in lost)
    if all_of_it.resolution and not held.resolution:
        yield "resolution"
    if any(not entry.implied for entry in all_of_it.entries) and not held.entries:
        yield "text"


def _compare_extras(found: dict[str, _Same], name: str, old: StillExtras, new: StillExtras) -> None:
    for block, called in BLOCKS.items():
        found[called].add(name, _Block(getattr(old, block)), _Block(getattr(new, block)))
    before, after = old.resolution, new.resolution
    agree = before is not None and after is not None and before.agrees(after)
    found["resolution"].add(name, before or "none", before if agree else after or "none")
    texts = (e.entries if e.family == old.family else () for e in (old, new))
    found["text"].add(name, *(_Texts(tuple((e.name, e.data) for e in t)) for t in texts))


def _model_in(suffix: str, picture: _Picture) -> str:
    """What a picture becomes in a kind of file: WebP has no grey, and no alpha that hides nothing."""
    if suffix != ".webp":
        return _model(picture)
    hides = len(picture.planes) == 4 and bool((picture.planes[3] < np.iinfo(picture.planes[3].dtype).max).any())
    return "colour with alpha" if hides else "colour"


def _model(picture: _Picture) -> str:
    return {1: "grey", 3: "colour", 4: "colour with alpha"}[len(picture.planes)]
