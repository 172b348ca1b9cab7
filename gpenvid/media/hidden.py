"""Sound that a source holds and an edit list hides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from av.packet import Packet

_LEAD_IN = 2
"""Hidden packets kept before the first that is heard: as many as the first needs to sound as it should, and as encoders begin with."""

_ALONE = ("pcm_", "flac", "alac")  # codecs whose packets need no other


def heard_packets(packets: Iterable[Packet[Any]], *, hides: bool) -> Iterator[Packet[Any]]:
    """The packets without sound that is not to be heard; those of other streams as they come.

    FFmpeg hands out what an edit list skips, marked as such, up to a second at each cut. No container but MP4 and QuickTime can
    skip anything, and FFmpeg writes what is before zero as skipped there, and nothing else.

    Args:
        packets: in the file's order, with the file's own times.
        hides: the result hides what comes before zero, as MP4 and QuickTime do.
    """
    waiting: dict[int, list[Packet[Any]]] = {}
    heard: set[int] = set()
    for packet in packets:
        index = packet.stream_index
        if packet.stream.type != "audio" or index in heard:
            if not (packet.is_discard and index in heard):
                yield packet
        elif packet.is_discard:
            waiting.setdefault(index, []).append(packet)
        else:
            heard.add(index)
            yield from _lead_in(waiting.pop(index, []), hides=hides)
            yield packet


def _lead_in(hidden: list[Packet[Any]], *, hides: bool) -> list[Packet[Any]]:
    """Of the hidden packets before the first that is heard those that are kept."""
    if hides and all(p.pts is not None and p.pts < 0 for p in hidden):
        return hidden
    codec = hidden[0].stream.codec_context.name if hidden and hidden[0].stream.codec_context else ""
    return [] if codec.startswith(_ALONE) else hidden[-_LEAD_IN:]
