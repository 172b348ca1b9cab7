"""The second pass: restored faces into frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gpenvid.blend.paste import change_of_crop, change_of_region
from gpenvid.blend.warp import crop_bounds, cut_crop
from gpenvid.faces.align import Template, crop_affine
from gpenvid.faces.tracks import Track, Tracks
from gpenvid.geometry import Affine, compose
from gpenvid.job.progress import Progress
from gpenvid.job.report import Report
from gpenvid.media.frame import Frame
from gpenvid.media.planes import Region, add_to_region, read_region
from gpenvid.restore.restorer import Restorer

LEAST_EYE_DISTANCE = 6.0
"""Faces with eyes closer than this many pixels hold nothing that could be restored."""


@dataclass
class _FaceJob:
    """One face of one frame on its way through the network."""

    region: Region
    to_crop: Affine
    crop: NDArray[np.float32]


@dataclass
class _FrameJob:
    frame: Frame
    monochrome: bool
    faces: list[_FaceJob] = field(default_factory=list)


class Renderer:
    """Restores the faces of frames, given the tracks.

    A frame's result depends on that frame, the tracks and the settings only.

    Args:
        template: the alignment that the restorer was trained with.
    """

    def __init__(
        self,
        tracks: Tracks,
        restorer: Restorer,
        template: Template,
        *,
        strength: float,
        keep_colour: bool,
        report: Report,
        progress: Progress,
    ) -> None:
        self._tracks = tracks
        self._restorer = restorer
        self._template = template
        self._strength = strength
        self._keep_colour = keep_colour
        self._report = report
        self._progress = progress

    def render(self, frames: Iterable[Frame], first: int) -> Iterator[Frame]:
        """Restore consecutive frames, changing their planes in place.

        Args:
            first: index of the first of them in the tracks.
        """
        waiting: list[_FrameJob] = []
        for index, frame in enumerate(frames, start=first):
            waiting.append(self._prepare(frame, index))
            # Crops are gathered over frames until they fill a batch; a frame never waits for more than sixteen others.
            if sum(len(j.faces) for j in waiting) >= self._restorer.batch or len(waiting) >= 16:
                yield from self._complete(waiting)
                waiting = []
        yield from self._complete(waiting)

    def _prepare(self, frame: Frame, index: int) -> _FrameJob:
        shot = next((s for s in self._tracks.shots if s.start <= index < s.end), None)
        job = _FrameJob(frame, shot is not None and shot.monochrome)
        if self._strength == 0:
            return job
        for track in self._tracks.at(index):
            face = self._cut(frame, track, index)
            if face is not None:
                job.faces.append(face)
        return job

    def _cut(self, frame: Frame, track: Track, index: int) -> _FaceJob | None:
        parameters = track.parameters[index - track.start].copy()
        eye_distance = float(np.exp(parameters[0])) * 0.2097
        if eye_distance < LEAST_EYE_DISTANCE:
            self._report.skip("too small")
            return None
        size = self._restorer.size
        # The tracks describe GPEN's crop; another template's is the same face, closer or wider.
        display = crop_affine(parameters, size)
        to_crop = compose(display, frame.geometry.to_display())
        region = Region.around(crop_bounds(to_crop, size), frame.layout, frame.width, frame.height)
        if region is None:
            self._report.skip("outside the picture")
            return None
        rgb = read_region(frame.planes, region, frame.layout, frame.color, frame.height)
        in_region = compose(to_crop, np.array([[1.0, 0.0, region.left], [0.0, 1.0, region.top]]))
        return _FaceJob(region, in_region, cut_crop(rgb, in_region, size))

    def _complete(self, jobs: list[_FrameJob]) -> Iterator[Frame]:
        restored = iter(self._restorer.restore([f.crop for job in jobs for f in job.faces]))
        for job in jobs:
            for face in job.faces:
                self._blend(job, face, next(restored))
            self._report.faces += len(job.faces)
            self._report.frames += 1
            self._progress.advance(1, len(job.faces))
            yield job.frame

    def _blend(self, job: _FrameJob, face: _FaceJob, restored: NDArray[np.float32]) -> None:
        change = change_of_crop(
            restored,
            face.crop,
            eye_distance=self._template.eye_distance,
            strength=self._strength,
            keep_colour=self._keep_colour,
            monochrome=job.monochrome,
        )
        width, height = face.region.size
        region_change = change_of_region([(change, face.to_crop)], width, height)
        frame = job.frame
        add_to_region(frame.writable_planes(), face.region, region_change, frame.layout, frame.color, frame.height)
