"""Which streams of a source the result can hold, and what is to be said about the others."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import AttachmentStream, Disposition, Stream
from av.video.stream import VideoStream

from gpenvid.media.containers import CONTAINERS, MATROSKA, Container, supported_codecs
from gpenvid.media.languages import three_letters
from gpenvid.media.probe import VideoInfo, is_attached_picture, open_input

# Written by the muxer itself, or about the file's own bytes.
OWN_TAGS = {"major_brand", "minor_version", "compatible_brands", "encoder"}
OWN_STREAM_TAGS = {"encoder", "duration", "number_of_frames", "number_of_bytes", "bps", "_statistics_writing_app", "_statistics_tags"}
OWN_STREAM_TAGS |= {"_statistics_writing_date_utc", "alpha_mode"}
# What Matroska needs to attach a file; FFmpeg reads them as tags.
_FILE_NAMES = {"filename", "mimetype"}
UNKNOWN_KIND = "application/octet-stream"

# Marks that some containers have one word for.
_ONE_WORD = ((Disposition.hearing_impaired, Disposition.captions), (Disposition.visual_impaired, Disposition.descriptions))
_IMPAIRED = Disposition.hearing_impaired | Disposition.visual_impaired
_TEXTS = Disposition.captions | Disposition.descriptions | Disposition.metadata
# What containers keep of a stream's marks, beside `default` and that of a cover.
_KEPT_MARKS = {
    "mov": Disposition(0),
    "mpegts": _IMPAIRED | Disposition.clean_effects,
    "webm": Disposition.forced,
    "mp4": _IMPAIRED | Disposition.dub | Disposition.comment | Disposition.forced,
    "matroska": _IMPAIRED | Disposition.dub | Disposition.comment | Disposition.forced | Disposition.original,
}
_TRANSPORT_TAGS = {"service_name", "service_provider", "language", "restored_by"}
_TECHNICAL_TAGS = {"handler_name", "vendor_id", "creation_time", "id3v2_priv.com.apple.streaming.transportstreamtimestamp"}
# Of a track's tags QuickTime and MP4 hold its name and what they need themselves.
_TRACK_TAGS = _TECHNICAL_TAGS | {"language", "title", "name", "timecode", "reel_name"}

# The tags FFmpeg writes as iTunes does.
ITUNES_TAGS = frozenset((
    "title", "artist", "album_artist", "composer", "album", "date", "comment", "genre", "copyright", "grouping", "lyrics", "description",
    "synopsis", "show", "episode_id", "network", "keywords", "episode_sort", "season_number", "media_type", "hd_video", "gapless_playback",
    "compilation", "track", "disc", "tmpo", "creation_time", "timecode",
))  # fmt: skip


@dataclass
class StreamPlan:
    """Which streams of the source go where.

    Attributes:
        copied: indices of streams copied as packets.
        attachments: indices of attached files.
        covers: indices of cover pictures that become attachments, which is how Matroska keeps them.
        dropped: sentences about what cannot be kept.
        notes: sentences about choices that lose nothing.
        chapters: whether the source has any and the container holds them.
        itunes: whether tags are written as iTunes does, without which FFmpeg writes no cover into MP4.
    """

    copied: list[int] = field(default_factory=list)
    attachments: list[int] = field(default_factory=list)
    covers: list[int] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    chapters: bool = False
    itunes: bool = False


def plan_streams(source: Path, info: VideoInfo, container: Container) -> StreamPlan:
    """Decide which streams the container can hold, without writing anything."""
    plan = StreamPlan()
    with open_input(source) as file:
        for stream in file.streams:
            if stream.index != info.stream_index:
                _place(stream, file, container, plan)
        _say_which_video(file, info, plan)
        _place_chapters_and_tags(file, info, container, plan)
    return plan


def name_of(stream: Stream) -> str:
    """How a stream is told of: `stream 2 (audio, aac)`."""
    codec = stream.codec_context
    return f"stream {stream.index} ({stream.type}, {codec.name if codec else stream.type})"


def is_empty_text(stream: Stream, data: bytes) -> bool:
    """Whether a packet of MP4's subtitles says only that nothing is shown."""
    return data == b"\0\0" and stream.codec_context is not None and stream.codec_context.name == "mov_text"


def holds_chapters(container: Container) -> bool:
    """Whether chapters can be written; transport streams have none."""
    return container.muxer != "mpegts"


def with_implied(marks: Disposition) -> Disposition:
    """The marks, and where one stands that some containers have no other word for, the other one too."""
    for one, other in _ONE_WORD:
        marks |= (one | other) if marks & (one | other) else Disposition(0)
    return marks


def marks_of(stream: Stream) -> Disposition:
    """A stream's marks, `with_implied`."""
    return with_implied(Disposition(int(stream.disposition)))


def lost_marks(stream: Stream, container: Container) -> list[str]:
    """Names of a stream's dispositions that the container has no place for."""
    # Players take the first stream of a kind for the default one where nothing is marked.
    kept = _KEPT_MARKS[container.muxer] | Disposition.default | Disposition.attached_pic
    texts = stream.type == "subtitle" and container.is_matroska
    kept |= (_TEXTS if container.muxer == "webm" else Disposition.descriptions) if texts else Disposition(0)
    marks = Disposition(int(stream.disposition))
    for one, other in _ONE_WORD:
        marks &= ~other if marks & one else ~Disposition(0)
        kept |= other if kept & one and container.muxer == "mp4" else Disposition(0)
    return [str(flag.name) for flag in Disposition if flag & marks & ~kept]


def language_in(container: Container, stream: Stream) -> str:
    """How a container tells a stream's language; empty where it says none, or cannot."""
    language = str(stream.metadata.get("language", ""))
    if container.is_matroska:
        return language
    if container.muxer == "mpegts":
        return ",".join(filter(None, map(three_letters, language.split(","))))
    return three_letters(language)


def _place(stream: Stream, file: InputContainer, container: Container, plan: StreamPlan) -> None:
    codec, what = stream.codec_context, name_of(stream)
    if isinstance(stream, AttachmentStream):
        if container.muxer == "matroska":
            plan.attachments.append(stream.index)
        else:
            plan.dropped.append(f"{what} does not fit into {container.suffix} (a .mkv output keeps it)")
    elif stream.type == "data":
        _place_data(stream, file, container, plan)
    elif stream.type not in ("audio", "subtitle", "video") or codec is None:
        plan.dropped.append(f"{what} cannot be copied")
    elif is_attached_picture(stream) and container.muxer != "mp4":
        if container.muxer == "matroska":
            plan.covers.append(stream.index)
        else:
            plan.dropped.append(f"{what}: a cover picture does not fit into {container.suffix} (a .mkv or .mp4 output keeps it)")
    elif isinstance(stream, VideoStream) and not stream.codec_context.width:
        what += ", a cover picture," if is_attached_picture(stream) else ""
        plan.dropped.append(f"{what} states no picture size and cannot be copied")
    elif isinstance(stream, AudioStream) and not stream.codec_context.sample_rate:
        plan.dropped.append(f"{what} states no sampling rate and cannot be copied")
    elif stream.type == "subtitle" and _are_chapters(stream, file):
        return  # as below, where nothing refers to it
    elif codec.codec.canonical_name not in supported_codecs(container):
        plan.dropped.append(f"{what} does not fit into {container.suffix} ({_who_takes(codec.codec.canonical_name)})")
    else:
        plan.copied.append(stream.index)
        plan.itunes |= container.muxer == "mp4" and is_attached_picture(stream)
        marks = lost_marks(stream, container)
        if marks:
            other = "" if container.muxer == "matroska" or lost_marks(stream, MATROSKA) else " (a .mkv output keeps it)"
            plan.dropped.append(f"{what}: the mark {', '.join(marks)} does not fit into {container.suffix}{other}")


def _are_chapters(stream: Stream, file: InputContainer) -> bool:
    """Whether a QuickTime track's texts begin where the chapters do, one for each: FFmpeg writes a timecode's reference over theirs."""
    chapters, codec = file.chapters(), stream.codec_context
    if not _has_one_for_each_chapter(stream, file) or codec is None or codec.codec_tag != "text":
        return False
    # Its packets lie all over the file, which may be long.
    tick = stream.time_base or Fraction(1, 1000)
    begins = [entry.timestamp * tick for entry in stream.index_entries if entry.size]
    return [round(1000 * b) for b in begins] == [round(1000 * c["start"] * (c["time_base"] or Fraction(1, 1000))) for c in chapters]


def _has_one_for_each_chapter(stream: Stream, file: InputContainer) -> bool:
    return "mov" in file.format.name and 0 < stream.frames == len(file.chapters())


def _place_data(stream: Stream, file: InputContainer, container: Container, plan: StreamPlan) -> None:
    timecode = stream.metadata.get("timecode")
    if _has_one_for_each_chapter(stream, file) and not timecode:
        return  # QuickTime's chapter track: chapters are written as chapters
    if timecode and container.is_quicktime:
        return  # written anew from the video stream's tag
    if timecode and container.muxer != "mpegts":
        plan.notes.append(f"stream {stream.index} (timecode {timecode}) is kept as a tag; {container.suffix} has no timecode tracks")
        return
    told = stream.metadata.get("handler_name") or stream.metadata.get("title")
    plan.dropped.append(f"stream {stream.index} (data{f', {told}' if told else ''}) cannot be copied")


def _who_takes(codec: str) -> str:
    other = next((c for c in (MATROSKA, *CONTAINERS) if codec in supported_codecs(c)), None)
    return f"a {other.suffix} output keeps it" if other else "no container that gpenvid writes does"


def _say_which_video(file: InputContainer, info: VideoInfo, plan: StreamPlan) -> None:
    videos = [s for s in file.streams.video if not is_attached_picture(s)]
    if len(videos) < 2:
        return
    told = {s.index: f"{s.index} ({_size_of(s)})" for s in videos}
    others = ", ".join(text for index, text in told.items() if index in plan.copied)
    copied = f"; copied as it is: {others}" if others else ""
    plan.notes.append(f"{info.path.name} has {len(videos)} video streams: restored is stream {told[info.stream_index]}{copied}")


def _size_of(video: VideoStream) -> str:
    codec = video.codec_context
    return "unknown" if codec is None else f"{codec.name}, {codec.width}x{codec.height}"


def _place_chapters_and_tags(file: InputContainer, info: VideoInfo, container: Container, plan: StreamPlan) -> None:
    plan.chapters = bool(file.chapters()) and holds_chapters(container)
    if file.chapters() and not plan.chapters:
        plan.dropped.append(f"chapters do not fit into {container.suffix} (a .mkv output keeps them)")
    if plan.itunes:
        lost = sorted(k.lower() for k in file.metadata if k.lower() not in ITUNES_TAGS | OWN_TAGS)
        if lost:
            plan.dropped.append(
                f"beside a cover picture these tags do not fit into {container.suffix}: {', '.join(lost)} (.mkv keeps them)"
            )
    kept = [file.streams[i] for i in (info.stream_index, *plan.copied)]
    for stream in kept:
        language, held = stream.metadata.get("language", ""), language_in(container, stream)
        if len(held) < len(language) and language != "und":
            left = f" and becomes {held}" if held else ""
            plan.dropped.append(
                f"{name_of(stream)}: the language {language} does not fit into {container.suffix}{left} (a .mkv output keeps it)"
            )
    covers = {k for stream in kept if is_attached_picture(stream) for k in file_tags(stream) if k not in _TECHNICAL_TAGS}
    inside = {k.lower() for chapter in file.chapters() for k in chapter["metadata"]} - {"title"}
    for what, told in (("a cover picture", covers), ("chapters", inside if plan.chapters and container.muxer != "matroska" else ())):
        if told:
            plan.dropped.append(f"tags of {what} do not fit into {container.suffix}: {', '.join(sorted(told))} (a .mkv output keeps them)")
    missing = {k.lower() for s in kept if not is_attached_picture(s) for k in s.metadata if not track_keeps(k.lower(), container)}
    missing |= {k.lower() for k in file.metadata if not file_keeps(k.lower(), container)}
    if missing and not (container.muxer == "mpegts" and "mpegts" in file.format.name):
        plan.dropped.append(f"tags do not fit into {container.suffix}: {', '.join(sorted(missing))} (a .mkv output keeps them)")


def file_tags(stream: Stream) -> dict[str, str]:
    """What is said of an attached file or picture, by lower-case name, beside what it is called."""
    told = {k.lower(): v for k, v in stream.metadata.items()}
    return {k: v for k, v in told.items() if k not in _FILE_NAMES and k.split("-")[0] not in OWN_STREAM_TAGS}


def file_keeps(tag: str, container: Container) -> bool:
    """Whether a tag of the file, by its lower-case name, survives in a container, or says nothing that could be missed."""
    return container.muxer != "mpegts" or tag in _TRANSPORT_TAGS | OWN_TAGS | _TECHNICAL_TAGS or tag.split("-")[0] in OWN_STREAM_TAGS


def track_keeps(tag: str, container: Container) -> bool:
    """The same for a tag of a stream."""
    if container.is_quicktime:
        return tag in _TRACK_TAGS or tag.split("-")[0] in OWN_STREAM_TAGS
    return file_keeps(tag, container)
