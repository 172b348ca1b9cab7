"""The people of a clip as the page draws them."""

from __future__ import annotations

from typing import Any

from gpenvid.faces.tracks import Tracks


def describe_people(tracks: Tracks) -> list[dict[str, Any]]:
    """Number, frames (first, and the one after the last), strength and reasons for being left alone, of everyone."""
    return [
        {
            "id": t.id,
            "start": t.start,
            "end": t.end,
            "strength": t.strength,
            "flags": [{"start": f.start, "end": f.end, "reason": f.reason} for f in t.flags],
        }
        for t in tracks.tracks
    ]


def places(tracks: Tracks, first: int, count: int) -> list[list[list[float]]]:
    """For each of `count` frames from `first`, the faces in it: id, box (x0, y0, x1, y1 in display pixels), weight 0 to 1."""
    found: list[list[list[float]]] = [[] for _ in range(max(0, min(count, tracks.frames - first)))]
    for track in tracks.tracks:
        for index in range(max(first, track.start), min(first + len(found), track.end)):
            at = index - track.start
            found[index - first].append([track.id, *map(float, track.boxes[at]), round(float(track.weights[at]), 3)])
    return found
