"""Does a result keep what its source has? Everything is read back from the two files themselves."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

from gpenvid.errors import InputError
from gpenvid.media.audit_pictures import are_pictures, audit_pictures
from gpenvid.media.audit_pixels import compare_pixels
from gpenvid.media.audit_streams import compare_streams
from gpenvid.media.color import UNSPECIFIED
from gpenvid.media.deinterlace import FieldOrder
from gpenvid.media.findings import Audit, Finding, Outcome
from gpenvid.media.last_picture import stands
from gpenvid.media.probe import VideoInfo, open_input, packets_of
from gpenvid.media.reader import VideoReader
from gpenvid.media.side_data import CAPTIONS, LIGHT_LEVELS, NEVER_CARRIED
from gpenvid.media.time_range import TimeRange

_BEGINNING = 256  # packets among which the earliest is


@dataclass(frozen=True)
class _VideoFacts:
    info: VideoInfo
    times: list[Fraction]
    faults: list[str]
    keep: TimeRange
    embedded: Counter[str]  # frames that carry it, by FFmpeg's name
    fields: Counter[FieldOrder]
    lasting: Sequence[tuple[int, int]]  # of the last two: when each comes and how long it lasts, in ticks


def _video_facts(path: Path, start: float | None = None, end: float | None = None) -> _VideoFacts:
    reader = VideoReader(path)
    times, embedded, fields, keep = list[Fraction](), Counter[str](), Counter[FieldOrder](), TimeRange()
    lasting: deque[tuple[int, int]] = deque(maxlen=2)
    for frame in reader.frames():
        moment = frame.pts * frame.time_base
        if frame.index == 0:
            keep = TimeRange.counted_from(moment, start, end)
        if not keep.holds(moment):
            continue
        times.append(moment)
        lasting.append((frame.pts, frame.duration))
        embedded.update(frame.embedded)
        fields[frame.fields] += 1
    if not times:
        raise InputError(f"{path}: no frame lies in the chosen part", "check --start and --end")
    return _VideoFacts(reader.info, times, reader.faults.sentences(path, fields=False), keep, embedded, fields, lasting)


def audit(source: Path, output: Path, *, pixels: bool = False, start: float | None = None, end: float | None = None) -> Audit:
    """Compare a result with its source: times, picture properties, streams, packets, chapters, tags, attachments.

    Args:
        pixels: also compare the pictures themselves, which takes a second pass over both.
        start, end: the part of the source that the result was made of, in seconds from its first frame; None for its ends.

    Raises:
        InputError: if either cannot be read.
        UsageError: if one is a picture and the other was not made of it.
    """
    if are_pictures(source) or are_pictures(output):
        return audit_pictures(source, output, pixels=pixels, start=start, end=end)
    result = Audit(source, output)
    before, after = _video_facts(source, start, end), _video_facts(output)
    shift = after.times[0] - before.times[0]
    _compare_times(result, before, after, shift)
    _compare_picture(result, before.info, after.info)
    _compare_fields(result, before.fields, after.fields)
    _compare_embedded(result, before, after)
    with open_input(source) as old, open_input(output) as new:
        compare_streams(result, old, new, before.info, after.info, shift, before.keep)
    _compare_start(result, shift + (before.keep.start or 0), after.info.time_base)
    if pixels:
        compare_pixels(result, before.keep)
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
    _compare_last(result, before, after)
    for fault in before.faults:
        result.note("decoding of the source", fault)
    for fault in after.faults:
        result.fail("decoding", fault)
    if not after.faults:
        result.findings.append(Finding("decoding", "same", f"all {len(after.times)} frames decode"))


def _compare_start(result: Audit, late: Fraction, tick: Fraction) -> None:
    """Whether all streams together begin later than they have to: most containers have no times before zero, and a part begins there."""
    if not round(late * 10_000):
        return
    with open_input(result.output) as file:
        packets = islice(packets_of(file, list(file.streams)), _BEGINNING)
        times = [p.dts * p.time_base for p in packets if p.dts is not None and p.size]
    moved_up = late > 0 and min(times, default=Fraction(0)) <= 2 * tick
    outcome: Outcome = "noted" if moved_up or abs(late) <= 2 * tick else "differs"
    result.findings.append(Finding("start", outcome, f"all streams begin {float(late) * 1e3:+.1f} ms later than in the source"))


def _compare_last(result: Audit, before: _VideoFacts, after: _VideoFacts) -> None:
    """How long the last picture stands, where both say it; of what gpenvid writes, QuickTime and MP4 do for each picture."""
    tick = before.info.time_base
    wanted = stands(before.lasting, tick, before.keep) * tick
    if "mp4" not in after.info.container or not wanted:
        return
    found = after.lasting[-1][1] * after.info.time_base
    same = abs(found - wanted) <= tick + after.info.time_base
    detail = f"stands {float(found):.3f} s" + ("" if same else f" instead of {float(wanted):.3f} s")
    result.findings.append(Finding("last picture", "same" if same else "differs", detail))


def _compare_picture(result: Audit, old: VideoInfo, new: VideoInfo) -> None:
    result.compare("size", (old.geometry.width, old.geometry.height), (new.geometry.width, new.geometry.height))
    result.compare("sample aspect ratio", str(old.geometry.aspect), str(new.geometry.aspect))
    if new.container == "mpegts" and new.display_matrix is None and old.display_matrix:
        result.note("orientation", "is lost: transport streams have none")
    else:
        result.compare("orientation", old.geometry.orientation.linear, new.geometry.orientation.linear)
    _compare_samples(result, old, new)
    # RGB has no range and no matrix, whatever a file states or leaves out.
    rgb = (old.layout.model == "rgb", new.layout.model == "rgb")
    if not any(rgb) and old.color.is_full_range and not new.color.is_full_range and new.codec in ("prores", "dnxhd"):
        result.note("full range", f"became limited: {new.codec} has no other")
    else:
        result.compare("full range", *(is_rgb or info.color.is_full_range for is_rgb, info in zip(rgb, (old, new), strict=True)))
    taken = old.color.resolved_matrix(old.geometry.height) == new.color.matrix
    if old.color.matrix == UNSPECIFIED and taken and new.codec == "dnxhd":
        result.note("colour matrix", f"was not stated and is now {new.color.matrix}, which DNxHR always states")
    elif not all(rgb):
        result.compare("colour matrix", old.color.matrix, new.color.matrix)
    for name in ("primaries", "transfer"):
        result.compare(f"colour {name}", getattr(old.color, name), getattr(new.color, name))
    if old.mastering and new.mastering != old.mastering and new.codec != "hevc":
        result.note("HDR10 metadata", "the light levels of the source's master are not carried over by this encoder")
    elif old.mastering:
        result.compare("HDR10 metadata", old.mastering, new.mastering)


def _compare_embedded(result: Audit, before: _VideoFacts, after: _VideoFacts) -> None:
    """What frames carry beside their samples."""
    old, new = before.embedded, after.embedded
    if old[CAPTIONS] and not new[CAPTIONS] and after.info.codec not in ("h264", "hevc"):
        result.note("closed captions", f"{after.info.codec} does not carry those of the source")
    elif old[CAPTIONS]:
        result.compare("frames with closed captions", old[CAPTIONS], new[CAPTIONS])
    # Light levels that come with the first frame are compared by value.
    never = NEVER_CARRIED | ({} if before.info.mastering else dict.fromkeys(LIGHT_LEVELS, "HDR10 light levels"))
    lost = {told: kind for kind, told in never.items() if new[kind] < old[kind]}
    for told, kind in lost.items():
        result.note(told.removeprefix("the "), f"{old[kind]} frames have it, and {new[kind]} here: encoders do not write it")


def _compare_fields(result: Audit, old: Counter[FieldOrder], new: Counter[FieldOrder]) -> None:
    before, after = (", ".join(f"{count} {order}" for order, count in sorted(fields.items())) for fields in (old, new))
    if set(new) == {"progressive"} and set(old) != {"progressive"}:
        result.note("fields", f"{before} became {after}: deinterlaced, or a codec without such marks")
    elif len(old) > 1 and set(new) < set(old):
        result.note("fields", f"{before} became {after}: the codec marks all pictures alike")
    else:
        result.compare("fields", before, after)


def _compare_samples(result: Audit, old: VideoInfo, new: VideoInfo) -> None:
    """Bit depth, colour model, chroma sampling, alpha: a result may hold more than its source, and not less."""
    a, b = old.layout, new.layout
    if b.bits > a.bits:
        result.note("bit depth", f"{a.bits} became {b.bits}, which holds all of it")
    else:
        result.compare("bit depth", a.bits, b.bits)
    result.compare("alpha", a.alpha, b.alpha)
    sampling = [(i.layout.model, i.layout.shift_x, i.layout.shift_y) for i in (old, new)]
    if a.model == "gray" and b.model == "yuv" and new.codec == "h264":
        result.note("sampling", "grey, which decoders of H.264 show as 4:2:0 without colour")
    elif a.model == b.model == "yuv" and sampling[0] != sampling[1] and b.shift_x <= a.shift_x and b.shift_y <= a.shift_y:
        result.note("sampling", f"{a.name} became {b.name}, which has more colour samples")
    else:
        result.compare("sampling", *sampling)
