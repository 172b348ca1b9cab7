"""The part of an audit that is about everything beside the picture: streams, packets, tags, chapters, attachments."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Disposition, Stream

from gpenvid.media.chapters import chapters_of
from gpenvid.media.containers import MATROSKA, Container, container_for_output
from gpenvid.media.cuts import Cuts
from gpenvid.media.findings import Audit, Finding
from gpenvid.media.hidden import heard_packets
from gpenvid.media.languages import three_letters
from gpenvid.media.part import plan_part
from gpenvid.media.payload import payload
from gpenvid.media.probe import VideoInfo, ffmpeg_name, is_attached_picture, packets_of
from gpenvid.media.streams import (
    ITUNES_TAGS,
    OWN_STREAM_TAGS,
    OWN_TAGS,
    UNKNOWN_KIND,
    file_keeps,
    file_tags,
    is_empty_text,
    lost_marks,
    marks_of,
    plan_streams,
    track_keeps,
    with_implied,
)
from gpenvid.media.time_range import TimeRange
from gpenvid.media.timeline import FollowingTimeline, jump_offsets
from gpenvid.media.transport import service_of, service_of_source

if TYPE_CHECKING:
    from av.container.core import Chapter

_CONTAINERS_OWN = {"handler_name", "vendor_id", "creation_time", "file_package_umid"}

_TEXTS = ("subrip", "ass", "webvtt", "mov_text")
_STYLED = ("ass", "dvd_subtitle")  # MP4 writes a header of its own for its texts
_ROUGH = 3
"""Packets that may have to move where two parts of a source, each with a clock of its own, overlap by a moment."""


@dataclass(frozen=True)
class _Packets:
    digest: str
    content: str
    count: int
    times: list[Fraction | None]  # None where one is missing, or falls behind that of a packet before
    lasting: list[Fraction]  # of texts: how long each is shown


def compare_streams(
    result: Audit, old: InputContainer, new: InputContainer, before: VideoInfo, after: VideoInfo, shift: Fraction, keep: TimeRange
) -> None:
    """Compare all that two files hold beside the pictures of their main video streams.

    Args:
        shift: seconds by which the result's pictures are later than the source's.
        keep: the part of the source that the result was made of.
    """
    container = container_for_output(result.output) if result.output.suffix else MATROSKA
    plan = plan_part(result.source, plan_streams(result.source, before, container), container, keep)
    for sentence in (*plan.dropped, *plan.notes):
        result.note("stream", sentence)
    wanted = [old.streams[i] for i in plan.copied if not is_attached_picture(old.streams[i])]
    kept = [
        s for s in new.streams if s.index != after.stream_index and s.type in ("audio", "subtitle", "video") and not is_attached_picture(s)
    ]
    kept = [s for s in kept if not isinstance(s, AttachmentStream)]
    same_name = container.is_quicktime  # one number stands for both kinds of MPEG sound
    result.compare("copied streams", *([_kind(s, mp2_is_mp3=same_name) for s in streams] for streams in (wanted, kept)))
    on_track = partial(track_keeps, container=container)
    main, copy = old.streams[before.stream_index], new.streams[after.stream_index]
    _compare_marks(result, "video", main, copy, container)
    own = OWN_STREAM_TAGS if keep.is_whole else OWN_STREAM_TAGS | {"timecode"}  # it tells of the first frame
    _compare_tags(result, "video tag", main.metadata, copy.metadata, own, on_track)
    tagged = container.muxer == "matroska"
    taken = [i for i in (*plan.covers, *plan.copied) if is_attached_picture(old.streams[i])]
    covers = [_covers(result.source, taken, tags=tagged)]
    covers.append(_covers(result.output, [s.index for s in new.streams if is_attached_picture(s)], tags=tagged))
    # After the covers: reading one stream of a file takes the others' packets away.
    if len(wanted) == len(kept):
        offsets = jump_offsets(result.source)
        hides = container.is_quicktime
        first = _packets_by_stream(old, wanted, offsets, keep, hides=hides)
        second = _packets_by_stream(new, kept, [Fraction(0)], TimeRange(), hides=hides)
        for a, b in zip(wanted, kept, strict=True):
            name = f"stream {a.index} ({_kind(a)})"
            old_tick, new_tick = (s.time_base or Fraction(1, 1000) for s in (a, b))
            # Both this stream and the picture it is measured against are rounded to the result's clock. From the source's to one that
            # counts samples its first time is rounded as well as the later one.
            limit = 2 * new_tick + old_tick
            _compare_packets(result, name, first[a.index], second[b.index], shift, limit, len(offsets) - 1)
            _compare_texts(result, name, first[a.index], second[b.index], limit, a, b)
            _compare_marks(result, name, a, b, container)
            _compare_tags(result, f"{name} tag", a.metadata, b.metadata, OWN_STREAM_TAGS, on_track)
    if any(covers):
        result.compare("cover pictures", *covers)
    files = [_attachments(old), _attachments(new)]
    if plan.attachments or files[1]:
        result.compare("attachments", *files)
    if plan.chapters:
        wanted_chapters = chapters_of(old, keep, shift + (keep.start or 0), without_gaps=container.is_quicktime)
        _compare_chapters(result, wanted_chapters, new.chapters(), tags=tagged)
    lost = {k.lower() for k in old.metadata} - ITUNES_TAGS if plan.itunes else set()
    if new.format.name == "mpegts":
        lost |= _compare_services(result, old)
    _compare_tags(result, "file tag", old.metadata, new.metadata, OWN_TAGS | lost, partial(file_keeps, container=container))


def _compare_services(result: Audit, old: InputContainer) -> set[str]:
    """Compare name and provider of a transport stream's service. Returns the tags that stand for them in other files."""
    before, after = service_of_source(old), service_of(result.output)
    if before.name:
        result.compare("service", before.name, after.name)
    ours = after.provider.removeprefix(before.provider)  # behind it stands what restored the faces
    result.compare("service provider", before.provider, after.provider.removesuffix(ours))
    return {"service_name", "service_provider"}


def _covers(path: Path, indexes: Iterable[int], *, tags: bool) -> list[tuple[str, dict[str, str]]]:
    found = []
    for index in sorted(indexes):
        with av.open(ffmpeg_name(path)) as file:
            picture = next((p for p in file.demux(file.streams[index]) if p.size), None)
            digest = hashlib.sha256(bytes(picture) if picture else b"").hexdigest()[:16]
            found.append((digest, file_tags(file.streams[index]) if tags else {}))
    return found


def _attachments(container: InputContainer) -> list[tuple[str | None, str, str, dict[str, str]]]:
    files = [s for s in container.streams if isinstance(s, AttachmentStream)]
    return [(s.metadata.get("filename"), s.mimetype or UNKNOWN_KIND, hashlib.sha256(s.data).hexdigest()[:16], file_tags(s)) for s in files]


def _packets_by_stream(
    container: InputContainer, streams: Iterable[Stream], offsets: list[Fraction], keep: TimeRange, *, hides: bool
) -> dict[int, _Packets]:
    chosen = list(streams)
    hashes = {s.index: (hashlib.sha256(), hashlib.sha256()) for s in chosen}
    counts = {s.index: 0 for s in chosen}
    times: dict[int, list[Fraction | None]] = {s.index: [] for s in chosen}
    latest: dict[int, int] = {}
    lasting: dict[int, list[Fraction]] = {s.index: [] for s in chosen}
    codecs = {s.index: _codec(s) for s in chosen}
    lines = {s.index: FollowingTimeline(offsets) for s in chosen}
    cuts = Cuts(chosen, keep)

    def count(packet: Packet[Any]) -> None:
        index, data = packet.stream_index, bytes(packet)
        counts[index] += 1
        hashes[index][0].update(data)
        hashes[index][1].update(payload(codecs[index], data))
        fell = packet.dts is not None and packet.dts < latest.get(index, packet.dts)
        times[index].append(None if packet.pts is None or fell else packet.pts * packet.time_base)
        if packet.dts is not None and not fell:
            latest[index] = packet.dts
        if codecs[index] in _TEXTS:
            lasting[index].append((packet.duration or 0) * packet.time_base)

    if chosen:
        try:
            for packet in heard_packets(packets_of(container, chosen), hides=hides):
                if packet.size and not is_empty_text(packet.stream, bytes(packet)):
                    lines[packet.stream_index].mend(packet)
                    for kept in cuts.take(packet):
                        count(kept)
        except (av.error.FFmpegError, OSError):
            pass  # a truncated source: compared as far as it goes, and noted with its video
    for kept in cuts.standing():
        count(kept)
    return {i: _Packets(a.hexdigest()[:16], b.hexdigest()[:16], counts[i], times[i], lasting[i]) for i, (a, b) in hashes.items()}


def _kind(stream: Stream, *, mp2_is_mp3: bool = False) -> str:
    name = _codec(stream)
    return f"{stream.type} {'mp3' if mp2_is_mp3 and name == 'mp2' else name}"


def _compare_packets(result: Audit, name: str, before: _Packets, after: _Packets, shift: Fraction, limit: Fraction, joints: int) -> None:
    if before.digest != after.digest and (before.count, before.content) == (after.count, after.content):
        result.note(f"{name} packets", f"all {before.count} hold the same, framed as the container needs it")
    elif before.digest == after.digest and before.count != after.count:
        result.note(
            f"{name} packets", f"{before.count} became {after.count}, which hold the same: where they are cut is for the container to say"
        )
    else:
        result.compare(f"{name} packets", (before.count, before.digest), (after.count, after.digest))
    told = [(b, a) for b, a in zip(before.times, after.times, strict=False) if b is not None]
    if len(before.times) == len(after.times) and told:
        offsets = [b + shift - a for b, a in told if a is not None]
        late = sum(abs(offset) > limit for offset in offsets) + len(told) - len(offsets)
        detail = f"largest difference {float(max(map(abs, offsets), default=Fraction(0))) * 1e3:.3f} ms"
        if moved := len(before.times) - len(told):
            result.note(f"{name} times", f"those of {moved} packets are missing or fall back in the source, and were moved")
        if 0 < late <= _ROUGH * joints:
            result.note(f"{name} times", f"{detail}, in {late} packets where the parts of the source were joined")
        else:
            result.findings.append(Finding(f"{name} times", "differs" if late else "same", detail))
        offset = offsets[0] if offsets else Fraction(0)
        result.findings.append(
            Finding(f"{name} against the picture", "same" if abs(offset) <= limit else "differs", f"moved by {float(-offset) * 1e3:.3f} ms")
        )


def _compare_texts(result: Audit, name: str, before: _Packets, after: _Packets, limit: Fraction, old: Stream, new: Stream) -> None:
    """How long texts are shown, and the styles that stand in the header of their stream."""
    worst = max((abs(a - b) for a, b in zip(before.lasting, after.lasting, strict=False)), default=Fraction(0))
    if before.lasting:
        detail = f"largest difference {float(worst) * 1e3:.3f} ms"
        result.findings.append(Finding(f"{name} lengths", "same" if worst <= limit else "differs", detail))
    if (codec := _codec(old)) in _STYLED and codec == _codec(new) and old.codec_context and new.codec_context:
        told = [hashlib.sha256(s.codec_context.extradata or b"").hexdigest()[:16] for s in (old, new) if s.codec_context]
        result.compare(f"{name} header", *told)


def _codec(stream: Stream) -> str:
    return str(stream.codec_context.codec.canonical_name) if stream.codec_context else "?"


def _compare_marks(result: Audit, what: str, old: Stream, new: Stream, container: Container) -> None:
    wanted, found = marks_of(old), marks_of(new)
    forced = with_implied(Disposition(sum(int(Disposition[name]) for name in lost_marks(old, container))))
    if not (container.is_matroska and "matroska" in old.container.format.name):
        forced |= Disposition.default  # every other container marks, or does not, the first of its kind
    if wanted != found and not (wanted ^ found) & ~forced:
        result.note(f"{what} disposition", f"{_marks(wanted)} became {_marks(found)}: the container has no other words")
    else:
        result.compare(f"{what} disposition", _marks(wanted), _marks(found))


def _marks(disposition: Disposition) -> str:
    return ", ".join(str(flag.name) for flag in Disposition if disposition & flag) or "none"


def _compare_chapters(result: Audit, wanted: Sequence[Chapter], found: Sequence[Chapter], *, tags: bool) -> None:
    def told(chapter: Chapter) -> str:
        metadata = {k.lower(): v for k, v in chapter["metadata"].items() if tags or k == "title"}
        return "; ".join(f"{k} {v}" for k, v in sorted(metadata.items()) if v)

    def listed(chapters: Sequence[Chapter]) -> list[tuple[int, int, str]]:
        bases = [chapter["time_base"] or Fraction(1, 1000) for chapter in chapters]
        return [(round(c["start"] * b * 1000), round(c["end"] * b * 1000), told(c)) for c, b in zip(chapters, bases, strict=True)]

    before, after = listed(wanted), listed(found)
    close = [(a[2], abs(a[0] - b[0]) <= 1, abs(a[1] - b[1]) <= 1) for a, b in zip(before, after, strict=False)]
    if len(before) == len(after) and close == [(b[2], True, True) for b in after]:
        after = before  # both are rounded to milliseconds
    result.compare("chapters (ms)", before, after)


def _compare_tags(result: Audit, what: str, old: dict[str, str], new: dict[str, str], own: set[str], keeps: Callable[[str], bool]) -> None:
    found = {k.lower(): v for k, v in new.items()}
    found.setdefault("title", found.get("name", ""))  # how FFmpeg reads the title of a track of MP4 and QuickTime
    wanted = {k.lower(): v for k, v in old.items() if k.lower().split("-")[0] not in own}
    for key, value in wanted.items():
        if _same_tag(key, value, found.get(key, "")):
            continue
        if key in _CONTAINERS_OWN or not value.strip():
            result.note(f"{what} {key}", f"{value[:60]!r} became {found.get(key, '')[:60]!r}: the container writes its own")
        elif not keeps(key) or (key == "language" and not three_letters(value)):
            result.note(f"{what} {key}", f"{value[:60]!r} is lost: the container has no place for it")
        else:
            result.compare(f"{what} {key}", value[:80], found.get(key, "")[:80])


def _same_tag(key: str, wanted: str, found: str) -> bool:
    if key == "creation_time":  # written as a number in some containers, as text in others
        return wanted[:19].replace(" ", "T") == found[:19].replace(" ", "T")
    if key.startswith("location"):  # coordinates, written with more or fewer digits
        return re.sub(r"(\.\d*?)0+(?=\D)", r"\1", wanted) == re.sub(r"(\.\d*?)0+(?=\D)", r"\1", found)
    if key == "language":
        return found in (wanted, three_letters(wanted)) or {wanted, found} <= {"und", ""}
    return wanted == found
