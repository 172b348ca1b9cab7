"""Which container a result goes into."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import av
from av.codec.codec import Codec, UnknownCodecError
from av.format import ContainerFormat

from gpenvid.errors import UsageError


@dataclass(frozen=True)
class Container:
    """A container gpenvid writes.

    Attributes:
        muxer: FFmpeg's muxer name.
        suffix: usual file name extension.
        options: muxer options that keep times and tags as they are.
    """

    muxer: str
    suffix: str
    options: tuple[tuple[str, str], ...] = ()

    @property
    def is_matroska(self) -> bool:
        """Whether it is Matroska or WebM, which is one: no times before zero, tracks that may be empty, times that may stand still."""
        return self.muxer in ("matroska", "webm")

    @property
    def is_quicktime(self) -> bool:
        """Whether it is QuickTime or MP4, which grew out of it: late starts in one clock, chapters without gaps."""
        return self.muxer in ("mp4", "mov")


# Without use_metadata_tags FFmpeg writes only the tags that iTunes knows.
_MOV_OPTIONS = (("movflags", "+use_metadata_tags"),)
CONTAINERS = (
    Container("mp4", ".mp4", _MOV_OPTIONS),
    Container("mp4", ".m4v", _MOV_OPTIONS),
    Container("mov", ".mov", _MOV_OPTIONS),
    Container("matroska", ".mkv"),
    Container("webm", ".webm"),
    Container("mpegts", ".ts", (("mpegts_copyts", "1"),)),
    Container("mpegts", ".m2ts", (("mpegts_copyts", "1"), ("mpegts_m2ts_mode", "1"))),
)
MATROSKA = CONTAINERS[3]


def another(suffix: str) -> str:
    """What to try where a container fails."""
    return "remux the source with FFmpeg" if suffix == MATROSKA.suffix else "try a .mkv output"


_BY_SUFFIX = {c.suffix: c for c in CONTAINERS}
_BY_DEMUXER = {"mpegts": _BY_SUFFIX[".ts"]}


def is_container(path: Path) -> bool:
    """Whether a file's extension is of a container that gpenvid writes."""
    return path.suffix.lower() in _BY_SUFFIX


def container_for_output(path: Path) -> Container:
    """The container that an output file's extension asks for.

    Raises:
        UsageError: for extensions gpenvid does not write.
    """
    found = _BY_SUFFIX.get(path.suffix.lower())
    if found is None:
        raise UsageError(
            f"{path}: cannot write {path.suffix or 'a file without extension'}", f"use one of {', '.join(_BY_SUFFIX)}, or frames_%05d.png"
        )
    return found


def container_for_source(path: Path, demuxer: str, *, alpha: bool, sounds: frozenset[str] = frozenset()) -> tuple[Container, str | None]:
    """The container of a result whose name the user leaves to us, and why if it is not the source's.

    Containers without exact timestamps (AVI), or that FFmpeg writes only in part (WTV, MXF, ASF), become Matroska; so does
    WebM with alpha, which only VP9 could hold there, with loss and beside its packets. Where that cannot hold the sound and
    Matroska or QuickTime can, it is that one.

    Args:
        sounds: canonical names of the codecs of its sound.
    """
    usual, reason = _usual_container(path, demuxer, alpha=alpha)
    if lost := sounds - supported_codecs(usual):
        other = next((c for c in (MATROSKA, _BY_SUFFIX[".mov"]) if sounds <= supported_codecs(c)), None)
        if other is not None:
            named = ", ".join(sorted(lost))
            return other, f"{path.name} has sound ({named}) that does not fit into {usual.suffix}; the result is {other.suffix}"
    return usual, reason


def _usual_container(path: Path, demuxer: str, *, alpha: bool) -> tuple[Container, str | None]:
    names = set(demuxer.split(","))
    suffix = path.suffix.lower()
    if alpha and suffix == ".webm":
        return MATROSKA, f"{path.name} has alpha, which cannot be written into .webm; the result is Matroska (.mkv)"
    if "mov" in names:
        return _BY_SUFFIX.get(suffix, CONTAINERS[0]) if suffix in (".mov", ".m4v", ".mp4") else CONTAINERS[0], None
    if "matroska" in names:
        return _BY_SUFFIX[".webm"] if suffix == ".webm" else MATROSKA, None
    for name in names & set(_BY_DEMUXER):
        return _BY_SUFFIX.get(suffix, _BY_DEMUXER[name]) if suffix in (".ts", ".m2ts") else _BY_DEMUXER[name], None
    return MATROSKA, f"{path.name} is {demuxer}, which cannot be written with exact times; the result is Matroska (.mkv)"


# FFmpeg's transport stream muxer does not tell what it takes, and what discs have differs from what is broadcast.
_MPEGTS_VIDEO = frozenset({"h264", "hevc", "mpeg1video", "mpeg2video", "vc1"})
_MPEGTS_SOUND = frozenset({"aac", "aac_latm", "mp2", "mp3", "ac3", "eac3", "dts", "truehd", "opus"})
_MPEGTS_OWN = {".ts": frozenset({"mpeg4", "dvb_subtitle", "dvb_teletext"}), ".m2ts": frozenset({"hdmv_pgs_subtitle"})}

# Of MP4's codecs FFmpeg's QuickTime muxer lists these as well, and then refuses them.
_NOT_IN_MOV = frozenset({"av1", "flac", "opus", "vp8", "vp9"})


@lru_cache(maxsize=16)
def supported_codecs(container: Container) -> frozenset[str]:
    """Canonical names of the codecs that can be written into a container. Asking FFmpeg takes about 2 ms, so the answer is kept."""
    if container.muxer == "mpegts":
        return _MPEGTS_VIDEO | _MPEGTS_SOUND | _MPEGTS_OWN[container.suffix]
    with av.open(os.devnull, "w", format=container.muxer) as probe:
        names = frozenset(map(_canonical, probe.supported_codecs))
    return names - _NOT_IN_MOV if container.muxer == "mov" else names


def _canonical(name: str) -> str:
    for mode in ("r", "w"):
        try:
            return str(Codec(name, mode).canonical_name)
        except UnknownCodecError:
            continue
    return name


@lru_cache(maxsize=16)
def needs_global_header(muxer: str) -> bool:
    """Whether codec headers go into the container's header and not into the stream."""
    return bool(ContainerFormat(muxer, "w").flags & 0x0040)  # AVFMT_GLOBALHEADER
