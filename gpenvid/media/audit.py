"""Does a result keep what its source has? Everything is read back from the two files themselves."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
from av.container import InputContainer
from av.stream import AttachmentStream, Stream

from gpenvid.errors import UsageError
from gpenvid.media.assemble import OWN_STREAM_TAGS, OWN_TAGS, plan_streams
from gpenvid.media.containers import MATROSKA, container_for_output
from gpenvid.media.probe import VideoInfo, open_input
from gpenvid.media.reader import VideoReader
from gpenvid.media.stills import is_still

Outcome = Literal["same", "differs", "noted"]


@dataclass(frozen=True)
class Finding:
    """One comparison.

    Attributes:
        what: the property.
        outcome: `same`; `differs`, which fails the audit; or `noted`, a difference the container forces.
        detail: numbers for a person.
    """

    what: str
    outcome: Outcome
    detail: str = ""


@dataclass
class Audit:
    """All comparisons of a source and a result."""

    source: Path
    output: Path
    findings: list[Finding] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether nothing differs."""
        return all(f.outcome != "differs" for f in self.findings)

    def compare(self, what: str, wanted: object, found: object) -> None:
        """Record whether two values are equal."""
        same = wanted == found
        self.findings.append(Finding(what, "same" if same else "differs", str(found) if same else f"{wanted} became {found}"))

    def note(self, what: str, detail: str) -> None:
        """Record a difference that is no failure."""
        self.findings.append(Finding(what, "noted", detail))


@dataclass(frozen=True)
class _VideoFacts:
    info: VideoInfo
    times: list[Fraction]
    interlaced: bool
    faults: list[str]


def _video_facts(path: Path) -> _VideoFacts:
    reader = VideoReader(path)
    times = [frame.pts * frame.time_base for frame in reader.frames()]
    return _VideoFacts(reader.info, times, reader.info.field_order != "progressive", reader.faults.sentences(path))


def audit(source: Path, output: Path) -> Audit:
    """Compare a result with its source: times, picture properties, streams, packets, chapters, tags.

    Raises:
        InputError: if either cannot be read.
        UsageError: if one is a still picture.
    """
    if is_still(source) or is_still(output):
        raise UsageError(f"{output}: is a picture", "verify compares videos")
    result = Audit(source, output)
    before, after = _video_facts(source), _video_facts(output)
    shift = after.times[0] - before.times[0]
    _compare_times(result, before, after, shift)
    _compare_picture(result, before, after)
    with open_input(source) as old, open_input(output) as new:
        _compare_streams(result, old, new, before.info, shift)
        _compare_chapters(result, old, new, shift)
        _compare_tags(result, "file tag", old.metadata, new.metadata, OWN_TAGS)
    return result


def _compare_times(result: Audit, before: _VideoFacts, after: _VideoFacts, shift: Fraction) -> None:
    result.compare("frame count", len(before.times), len(after.times))
    # Where the result's clock cannot count the source's ticks a time can be off by half a tick, and the first one too.
    tick = after.info.time_base
    limit = Fraction(0) if (before.info.time_base / tick).denominator == 1 else tick
    worst = max((abs(b + shift - a) for b, a in zip(before.times, after.times, strict=False)), default=Fraction(0))
    same = worst <= limit
    detail = f"largest difference {float(worst) * 1e3:.3f} ms, clock tick {float(tick) * 1e3:.3f} ms"
    result.findings.append(Finding("frame times", "same" if same else "differs", detail))
    if shift:
        result.note("start", f"all streams begin {float(shift) * 1e3:+.1f} ms later than in the source")
    for fault in after.faults:
        result.findings.append(Finding("decoding", "differs", fault))
    for fault in before.faults:
        result.note("decoding of the source", fault)


def _compare_picture(result: Audit, before: _VideoFacts, after: _VideoFacts) -> None:
    old, new = before.info, after.info
    result.compare("size", (old.geometry.width, old.geometry.height), (new.geometry.width, new.geometry.height))
    result.compare("sample aspect ratio", str(old.geometry.aspect), str(new.geometry.aspect))
    result.compare("orientation", old.geometry.orientation.linear, new.geometry.orientation.linear)
    result.compare("bit depth", old.layout.bits, new.layout.bits)
    sampling = [(i.layout.model, i.layout.shift_x, i.layout.shift_y, i.layout.alpha) for i in (old, new)]
    result.compare("sampling", *sampling)
    result.compare("full range", old.color.is_full_range, new.color.is_full_range)
    for name in ("matrix", "primaries", "transfer"):
        result.compare(f"colour {name}", getattr(old.color, name), getattr(new.color, name))
    if before.interlaced and not after.interlaced:
        result.note("field order", f"{old.field_order} became {new.field_order}")
    else:
        result.compare("field order", old.field_order, new.field_order)


@dataclass(frozen=True)
class _Packets:
    digest: str
    count: int
    times: list[Fraction]


def _packets_by_stream(container: InputContainer, streams: Iterable[Stream]) -> dict[int, _Packets]:
    chosen = list(streams)
    hashes = {s.index: hashlib.sha256() for s in chosen}
    times: dict[int, list[Fraction]] = {s.index: [] for s in chosen}
    if chosen:
        try:
            for packet in container.demux(chosen):
                if packet.size and packet.pts is not None:
                    hashes[packet.stream_index].update(bytes(packet))
                    times[packet.stream_index].append(packet.pts * packet.time_base)
        except av.error.FFmpegError:
            pass  # a truncated source: compared as far as it goes, and noted with its video
    return {i: _Packets(h.hexdigest(), len(times[i]), times[i]) for i, h in hashes.items()}


def _compare_streams(result: Audit, old: InputContainer, new: InputContainer, info: VideoInfo, shift: Fraction) -> None:
    suffix = result.output.suffix
    container = container_for_output(result.output) if suffix else MATROSKA
    plan = plan_streams(result.source, info, container)
    for sentence in plan.dropped:
        result.note("stream", sentence)
    main = {s.index for s in new.streams.video[:1]}
    kept = [
        s for s in new.streams if s.index not in main and s.type in ("audio", "subtitle", "video") and not isinstance(s, AttachmentStream)
    ]
    wanted = [old.streams[i] for i in plan.copied]
    result.compare("copied streams", [_kind(s) for s in wanted], [_kind(s) for s in kept])
    if len(wanted) == len(kept):
        before, after = _packets_by_stream(old, wanted), _packets_by_stream(new, kept)
        for a, b in zip(wanted, kept, strict=True):
            name = f"stream {a.index} ({_kind(a)})"
            _compare_packets(result, name, before[a.index], after[b.index], shift, b.time_base or Fraction(1, 1000))
            result.compare(f"{name} disposition", int(a.disposition), int(b.disposition))
            _compare_tags(result, f"{name} tag", a.metadata, b.metadata, OWN_STREAM_TAGS)
    wanted_files = [
        (s.metadata.get("filename"), hashlib.sha256(s.data).hexdigest()) for s in old.streams if isinstance(s, AttachmentStream)
    ]
    found_files = [(s.metadata.get("filename"), hashlib.sha256(s.data).hexdigest()) for s in new.streams if isinstance(s, AttachmentStream)]
    if plan.attachments or found_files:
        result.compare("attachments", wanted_files, found_files)


def _kind(stream: Stream) -> str:
    return f"{stream.type} {stream.codec_context.codec.canonical_name if stream.codec_context else '?'}"


def _compare_packets(result: Audit, name: str, before: _Packets, after: _Packets, shift: Fraction, tick: Fraction) -> None:
    result.compare(f"{name} packets", (before.count, before.digest[:16]), (after.count, after.digest[:16]))
    if before.count == after.count and before.count:
        worst = max(abs(b + shift - a) for b, a in zip(before.times, after.times, strict=True))
        # Both this stream and the picture it is measured against are rounded to the result's clock.
        same = worst <= 2 * tick
        result.findings.append(Finding(f"{name} times", "same" if same else "differs", f"largest difference {float(worst) * 1e3:.3f} ms"))


def _compare_chapters(result: Audit, old: InputContainer, new: InputContainer, shift: Fraction) -> None:
    def listed(container: InputContainer, move: Fraction) -> list[tuple[int, int, str]]:
        found = []
        for chapter in container.chapters():
            base = chapter["time_base"] or Fraction(1, 1000)
            start, end = (round((chapter[edge] * base + move) * 1000) for edge in ("start", "end"))
            found.append((start, end, chapter["metadata"].get("title", "")))
        return found

    if old.chapters() or new.chapters():
        result.compare("chapters (ms)", listed(old, shift), listed(new, Fraction(0)))


def _compare_tags(result: Audit, what: str, old: dict[str, str], new: dict[str, str], own: set[str]) -> None:
    found = {k.lower(): v for k, v in new.items()}
    wanted = {k.lower(): v for k, v in old.items() if k.lower().split("-")[0] not in own}
    lost = {k: v for k, v in wanted.items() if not _same_tag(k, v, found.get(k, ""))}
    for key, value in lost.items():
        if key in ("handler_name", "vendor_id", "language", "creation_time", "file_package_umid") or not value.strip():
            result.note(f"{what} {key}", f"{value[:60]!r} became {found.get(key, '')[:60]!r}: the container writes its own")
        else:
            result.compare(f"{what} {key}", value[:80], found.get(key, "")[:80])


def _same_tag(key: str, wanted: str, found: str) -> bool:
    if key == "creation_time":  # written as a number in some containers, as text in others
        return wanted[:19].replace(" ", "T") == found[:19].replace(" ", "T")
    if key.startswith("location"):  # coordinates, written with more or fewer digits
        return re.sub(r"(\.\d*?)0+(?=\D)", r"\1", wanted) == re.sub(r"(\.\d*?)0+(?=\D)", r"\1", found)
    if key == "language":
        return wanted == found or {wanted, found} <= {"und", ""}
    return wanted == found
