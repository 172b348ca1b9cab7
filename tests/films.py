"""Small films with everything a container can hold, and what a file holds, read without gpenvid."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.stream import Disposition

RATE = 25


def portrait() -> np.ndarray:
    """A public-domain portrait, (512, 512, 3) uint8 RGB."""
    from skimage import data

    return np.asarray(data.astronaut())


def edit(path: Path, track: int, *edits: tuple[float, float]) -> Path:
    """Give a track of an MP4 or QuickTime file that `Film` has written an edit list.

    Args:
        track: from 0 on, in the file's order.
        edits: how long each part is, and where in the track it begins, both in seconds; -1 where nothing is.
    """
    data = path.read_bytes()
    at = data.rindex(b"moov") - 4  # the last box: what becomes longer moves nothing
    movie = data[at:]
    pieces = movie.split(b"trak")
    piece = pieces[track + 1]
    clock = [struct.unpack(">I", text[text.index(name) + 16 :][:4])[0] for name, text in ((b"mvhd", pieces[0]), (b"mdhd", piece))]
    told = b"".join(struct.pack(">IiI", round(t * clock[0]), -1 if m < 0 else round(m * clock[1]), 1 << 16) for t, m in edits)
    found = piece.find(b"edts")
    if found >= 0:
        piece = piece[: found - 4] + piece[found - 4 + struct.unpack(">I", piece[found - 4 : found])[0] :]
    box = struct.pack(">I4sI4sII", 24 + len(told), b"edts", 16 + len(told), b"elst", 0, len(edits)) + told
    head = struct.unpack(">I", piece[:4])[0]  # the track's header comes first
    piece = piece[:head] + box + piece[head:]
    grown = len(piece) - len(pieces[track + 1])
    before = pieces[track]
    pieces[track] = before[:-4] + struct.pack(">I", struct.unpack(">I", before[-4:])[0] + grown)
    pieces[track + 1] = piece
    movie = b"trak".join(pieces)
    path.write_bytes(data[:at] + struct.pack(">I", len(movie)) + movie[4:])
    return path


def remuxed(
    source: Path, target: Path, change: Callable[[av.Packet], object] = id, head: Callable[[list], object] = id, **options: str
) -> Path:
    """Copy a file packet by packet, changed on the way.

    Args:
        change: of each packet.
        head: of the streams, before the first packet.
        options: of the muxer.
    """
    with av.open(str(source)) as old, av.open(str(target), "w", options=options) as new:
        streams = [s for s in old.streams if s.type in ("audio", "subtitle", "video")]
        copies = {s.index: new.add_stream_from_template(s, opaque=True) for s in streams}
        for stream in streams:
            copies[stream.index].disposition = stream.disposition
            copies[stream.index].metadata.update({k: v for k, v in stream.metadata.items() if k in ("language", "title")})
        head(list(copies.values()))
        for packet in old.demux(streams):
            if packet.size:
                change(packet)
                packet.stream = copies[packet.stream_index]
                new.mux(packet)
    return target


def moving_portrait(count: int, size: tuple[int, int] = (320, 240)) -> list[np.ndarray]:
    """The portrait drifting through a small picture."""
    picture, frames = portrait(), []
    for t in range(count):
        matrix = np.array([[0.8, 0, -40 + 1.5 * t], [0, 0.8, -20 + 0.5 * t]])
        frames.append(np.ascontiguousarray(cv2.warpAffine(picture, matrix, size, borderMode=cv2.BORDER_REFLECT_101)))
    return frames


@dataclass
class Film:
    """What to put into a file.

    Attributes:
        videos: codec of each video stream.
        sounds: (language, title, disposition) of each AAC stream.
        texts: (codec, language, disposition) of each subtitle stream.
        cover: bytes of a PNG.
        fonts: attached files by name.
        chapters: (start, end, title) in milliseconds.
        tags: of the file.
        timecode: of the first video stream.
        start: seconds at which the picture begins.
        sound_start: seconds at which the sound begins.
        gop: frames from keyframe to keyframe.
    """

    videos: Sequence[str] = ("libx264",)
    sounds: Sequence[tuple[str, str, Disposition]] = (("eng", "", Disposition.default),)
    texts: Sequence[tuple[str, str, Disposition]] = ()
    cover: bytes = b""
    fonts: dict[str, bytes] = field(default_factory=dict)
    chapters: Sequence[tuple[int, int, str]] = ()
    tags: dict[str, str] = field(default_factory=dict)
    timecode: str = ""
    start: Fraction = Fraction(0)
    sound_start: Fraction = Fraction(0)
    frames: int = 20
    gop: int = 12

    def write(self, path: Path) -> Path:
        """Make the file."""
        with av.open(
            str(path), "w", options={"movflags": "+use_metadata_tags"} if not self.cover and path.suffix == ".mp4" else {}
        ) as file:
            videos = [file.add_stream(codec, rate=RATE) for codec in self.videos]
            for stream in videos:
                stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
                stream.codec_context.gop_size = self.gop
            if self.timecode:
                videos[0].metadata["timecode"] = self.timecode
            sounds = [file.add_stream("libopus" if path.suffix == ".webm" else "aac", rate=48000) for _ in self.sounds]
            for stream, (language, title, disposition) in zip(sounds, self.sounds, strict=True):
                stream.metadata.update({"language": language, **({"title": title} if title else {})})
                stream.disposition = disposition
            texts = [file.add_mux_stream(codec) for codec, _, _ in self.texts]
            for stream, (_, language, disposition) in zip(texts, self.texts, strict=True):
                stream.metadata["language"], stream.disposition = language, disposition
                stream.time_base = Fraction(1, 1000)
            cover = None
            if self.cover and path.suffix == ".mp4":
                cover = file.add_mux_stream("png", width=32, height=32)
                cover.disposition = Disposition.attached_pic
            elif self.cover:
                file.add_attachment("cover.png", "image/png", self.cover)
            for name, data in self.fonts.items():
                file.add_attachment(name, "font/ttf", data)
            file.metadata.update(self.tags)
            base = Fraction(1, 1000)
            numbered = enumerate(self.chapters)
            file.set_chapters(
                [{"id": i, "start": a, "end": b, "time_base": base, "metadata": {"title": title}} for i, (a, b, title) in numbered]
            )
            file.start_encoding()
            if cover is not None:
                packet = av.Packet(self.cover)
                packet.pts = packet.dts = 0
                packet.stream = cover
                file.mux(packet)
            self._write_packets(file, videos, sounds, texts)
        return path

    def _write_packets(self, file: av.container.OutputContainer, videos: list, sounds: list, texts: list) -> None:
        for number, stream in enumerate(videos):
            for i, rgb in enumerate(moving_portrait(self.frames)):
                frame = av.VideoFrame.from_ndarray(rgb if number == 0 else np.ascontiguousarray(rgb[:, ::-1]), "rgb24")
                frame.pts, frame.time_base = i + round(self.start * RATE), Fraction(1, RATE)
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
        for number, stream in enumerate(sounds):
            wave = (3000 * np.sin(np.arange(960) * (0.05 + 0.02 * number))).astype(np.int16)
            for i in range(50 * self.frames // RATE):
                tone = av.AudioFrame.from_ndarray(np.tile(wave[None], (1, 2)).reshape(1, -1), "s16", "stereo")
                tone.sample_rate, tone.pts, tone.time_base = 48000, i * 960 + round(self.sound_start * 48000), Fraction(1, 48000)
                file.mux(stream.encode(tone))
            file.mux(stream.encode(None))
        for stream, (codec, _, _) in zip(texts, self.texts, strict=True):
            for i, text in enumerate((b"Good evening.", b"Good night.")):
                packet = av.Packet(len(text).to_bytes(2) + text if codec == "mov_text" else text)
                packet.pts = packet.dts = 100 + 300 * i
                packet.duration, packet.time_base, packet.stream = 200, Fraction(1, 1000), stream
                file.mux(packet)


@dataclass(frozen=True)
class Held:
    """One stream of a file: kind, codec, language, title, marks, the times in milliseconds and a hash of its packets."""

    kind: str
    codec: str
    language: str
    title: str
    marks: int
    times: tuple[int, ...]
    digest: str


def held(path: Path, *, skip_main: bool = True) -> list[Held]:
    """All streams of a file but the first video, in order; covers among them."""
    with av.open(str(path)) as file:
        packets: dict[int, list[tuple[Fraction | None, bytes]]] = {s.index: [] for s in file.streams}
        for packet in file.demux():
            if packet.size and bytes(packet) != b"\0\0":  # how MP4 says that no subtitle is shown
                packets[packet.stream_index].append((None if packet.pts is None else packet.pts * packet.time_base, bytes(packet)))
        found = []
        for stream in file.streams:
            if stream.type in ("data", "attachment") or (skip_main and stream.index == file.streams.video[0].index):
                continue
            tags = {k.lower(): v for k, v in stream.metadata.items()}
            cover = bool(stream.disposition & Disposition.attached_pic)
            times = () if cover else tuple(round(t * 1000) for t, _ in packets[stream.index] if t is not None)
            digest = hashlib.sha256(b"".join(data for _, data in packets[stream.index])).hexdigest()
            title = tags.get("title", tags.get("name", ""))
            codec = stream.codec_context.codec.canonical_name
            found.append(Held(stream.type, codec, tags.get("language", "und"), title, int(stream.disposition), times, digest))
        return found


def chapters(path: Path) -> list[tuple[int, int, str]]:
    """(start, end, title) in milliseconds."""
    with av.open(str(path)) as file:
        return [
            (round(c["start"] * c["time_base"] * 1000), round(c["end"] * c["time_base"] * 1000), c["metadata"].get("title", ""))
            for c in file.chapters()
        ]


def shown_times(path: Path) -> list[Fraction]:
    """Presentation times of the first video stream, by decoding."""
    with av.open(str(path)) as file:
        return [frame.pts * frame.time_base for frame in file.decode(video=0)]


def png(size: int = 32) -> bytes:
    """A small picture file."""
    y, x = np.mgrid[0:size, 0:size]
    return cv2.imencode(".png", np.dstack([x * 8, y * 8, x + y]).astype(np.uint8))[1].tobytes()


def encode(path: Path, codec: str, pixel_format: str, pictures: list[av.VideoFrame], **properties: object) -> Path:
    """Encode pictures into a file, with properties of the encoder as they are named there."""
    with av.open(str(path), "w") as file:
        options = properties.pop("options", {})
        stream = file.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = pictures[0].width, pictures[0].height, pixel_format
        matrix = properties.pop("matrix", None)
        for name, value in properties.items():
            setattr(stream.codec_context, name, value)
        if matrix:
            stream.set_display_matrix(matrix)
        for picture in pictures:
            file.mux(stream.encode(picture if picture.format.name == pixel_format else picture.reformat(format=pixel_format)))
        file.mux(stream.encode(None))
    return path


def portraits(count: int = 4, size: tuple[int, int] = (320, 240), *, alpha: bool = False) -> list[av.VideoFrame]:
    """`moving_portrait` as frames; the alpha rises from left to right."""
    frames = moving_portrait(count, size)
    if not alpha:
        return [av.VideoFrame.from_ndarray(f, "rgb24") for f in frames]
    ramp = np.tile(np.linspace(0, 255, size[0]).astype(np.uint8), (size[1], 1))
    return [av.VideoFrame.from_ndarray(np.ascontiguousarray(np.dstack([f, ramp])), "rgba") for f in frames]


def _segment(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + struct.pack(">H", len(body)) + body


def _composition(number: int, objects: bytes) -> bytes:
    return _segment(0x16, struct.pack(">HHBHBBBB", 320, 240, 0x10, number, 0x80 if objects else 0, 0, 0, bool(objects)) + objects)


_PLACE = struct.pack(">HH", 100, 180)
_WINDOW = _segment(0x17, b"\1\0" + _PLACE + struct.pack(">HH", 16, 16))
_END = _segment(0x80, b"")


def bitmap(number: int) -> bytes:
    """A subtitle as Blu-ray discs have them: a white square of 16 pixels."""
    palette = _segment(0x14, b"\0\0" + bytes([1, 235, 128, 128, 255]))
    lines = (b"\1" * 16 + b"\0\0") * 16
    picture = _segment(0x15, b"\0\0\0\xc0" + struct.pack(">I", len(lines) + 4)[1:] + struct.pack(">HH", 16, 16) + lines)
    return _composition(number, b"\0\0\0\0" + _PLACE) + _WINDOW + palette + picture + _END


def no_bitmap(number: int) -> bytes:
    """What takes it away."""
    return _composition(number, b"") + _WINDOW + _END
