"""Faces linked over consecutive frames, and which of them are one face."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from gpenvid.faces.evidence import is_face
from gpenvid.faces.reuse import Sighting
from gpenvid.geometry import Face, between


@dataclass
class Chain:
    """A face linked over consecutive frames, still in pixels of the analysed picture."""

    start: int
    sightings: list[Sighting]

    @property
    def end(self) -> int:
        """The first frame after it."""
        return self.start + len(self.sightings)

    def is_face(self, sure: float) -> bool:
        """See `evidence.is_face`."""
        scores = [s.face.score for s in self.sightings if s.source == "detected"]
        beliefs = [s.belief for s in self.sightings if s.belief is not None]
        return is_face(scores, beliefs, len(self.sightings), sure)


def bridge(chains: list[Chain], longest: int) -> list[Chain]:
    """Join chains of one shot where one goes on with the face of another after a gap, or after frames that both came to.

    Args:
        longest: most frames that they may be apart, or share.
    """
    joined: list[Chain] = []
    for chain in sorted(chains, key=lambda c: c.start):
        candidates = [c for c in joined if abs(chain.start - c.end) <= longest and _goes_on(c, chain)]
        if not candidates:
            joined.append(chain)
            continue
        earlier = max(candidates, key=lambda c: (c.end <= chain.start, c.end))
        both = _shared(earlier, chain)
        over = [_handed_over(*pair, (k + 1) / (len(both) + 1)) for k, pair in enumerate(both)]
        del earlier.sightings[len(earlier.sightings) - len(both) :]
        earlier.sightings += _between(earlier.sightings[-1].face, chain.sightings[0].face, chain.start - earlier.end)
        earlier.sightings += [*over, *chain.sightings[len(both) :]]
    return joined


def _shared(early: Chain, late: Chain) -> list[tuple[Sighting, Sighting]]:
    """What two chains hold in the frames from the beginning of the later to the end of the earlier."""
    return list(zip(early.sightings[late.start - early.start :], late.sightings, strict=False))


def _goes_on(early: Chain, late: Chain) -> bool:
    """Whether a chain goes on with the face of one that began before it.

    They may share frames, into which one was carried on and the other back. Two places in one frame, or two detections, are two people.
    """
    both = _shared(early, late)
    if len(both) >= min(len(early.sightings), len(late.sightings)):
        return False
    if any(a.source == b.source == "detected" or not _beside(a.face, b.face) for a, b in both):
        return False
    return _near(early.sightings[-1].face, late.sightings[len(both)].face)


def _handed_over(early: Sighting, late: Sighting, weight: float) -> Sighting:
    """A shared frame: as the detector saw it, else on the way from the one to the other."""
    if early.source == "detected":
        return early
    return late if late.source == "detected" else replace(early, face=between(early.face, late.face, weight))


def _near(a: Face, b: Face) -> bool:
    # By the boxes: a head that turns away has no eye distance left.
    ratio = _width(a) / _width(b)
    return _beside(a, b) and 0.6 < ratio < 1.6


def _beside(a: Face, b: Face) -> bool:
    return float(np.hypot(*(a.landmarks.mean(axis=0) - b.landmarks.mean(axis=0)))) < 0.6 * max(_width(a), _width(b))


def _width(face: Face) -> float:
    return max(float(face.box[2] - face.box[0]), 1.0)


def _between(a: Face, b: Face, count: int) -> Iterator[Sighting]:
    for i in range(1, count + 1):
        yield Sighting(replace(between(a, b, i / (count + 1)), score=min(a.score, b.score)), "flow")
