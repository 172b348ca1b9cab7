"""The second pass: restored faces into frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gpenvid.blend.deflicker import REACH, steady_residual
from gpenvid.blend.paste import BlendSettings, masked_change, residual_of
from gpenvid.blend.warp import crop_bounds, cut_crop, magnification, return_change
from gpenvid.faces.align import GPEN, Template, crop_affine, fit_similarity
from gpenvid.faces.embedding import FaceEmbedder
from gpenvid.faces.tracks import Track, Tracks
from gpenvid.geometry import Affine, compose
from gpenvid.job.progress import Progress
from gpenvid.job.report import Report
from gpenvid.media.frame import Frame
from gpenvid.media.planes import Region, add_to_region, read_region
from gpenvid.restore.restorer import Restorer
from gpenvid.settings import RestoreSettings

_STRANGER, _SAME = 0.25, 0.45  # cosine of embeddings: other people stay under 0.27, the same person is about 0.8
_MOST_WAITING = 16  # frames: a batch is not worth holding more pictures than this


def blend_settings(settings: RestoreSettings) -> BlendSettings:
    """The part of a user's choices that concerns blending."""
    return BlendSettings(settings.strength, settings.keep_colour, settings.deflicker, settings.grain)


@dataclass(eq=False)
class _FaceJob:
    """One face of one frame on its way through the network."""

    region: Region
    to_crop: Affine
    crop: NDArray[np.float32]
    weight: float
    residual: NDArray[np.float32] | None = None
    same_person: float = 1.0


@dataclass
class _FrameJob:
    index: int
    frame: Frame
    monochrome: bool
    faces: dict[int, _FaceJob] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)


class Renderer:
    """Restores the faces of frames, given the tracks.

    A frame's result depends on it and its `REACH` neighbours, the tracks and the settings, never on where rendering began.

    Args:
        template: the alignment that the restorer was trained with.
        embedder: the identity guard; None leaves it off.
    """

    def __init__(
        self,
        tracks: Tracks,
        restorer: Restorer,
        template: Template,
        settings: BlendSettings,
        report: Report,
        progress: Progress,
        embedder: FaceEmbedder | None = None,
    ) -> None:
        self._tracks = tracks
        self._restorer = restorer
        self._template = template
        self._settings = settings
        self._report = report
        self._progress = progress
        self._embedder = embedder
        self.reach = REACH if settings.deflicker else 0

    def render(self, frames: Iterable[Frame], first: int, begin: int | None = None, end: int | None = None) -> Iterator[Frame]:
        """Restore consecutive frames, changing their planes in place.

        Args:
            frames: the frames wanted, and `reach` frames before and after them where there are any.
            first: index of the first of `frames` in the tracks.
            begin, end: first frame wanted, and the frame after the last; by default all.
        """
        window: deque[_FrameJob] = deque()
        for job in self._restored(frames, first):
            window.append(job)
            # A frame is finished once the neighbours after it are restored.
            ready = job.index - self.reach
            yield from self._finish(window, ready, begin, end)
            while window and window[0].index < ready - self.reach + 1:
                window.popleft()
        for index in range(max(first, window[-1].index - self.reach + 1), window[-1].index + 1) if window else ():
            yield from self._finish(window, index, begin, end)

    def _finish(self, window: deque[_FrameJob], index: int, begin: int | None, end: int | None) -> Iterator[Frame]:
        job = next((j for j in window if j.index == index), None)
        if job is None or (begin is not None and index < begin) or (end is not None and index >= end):
            return
        # Counted here and not where it is noticed: frames that are only neighbours of a segment are prepared too.
        for reason in job.skipped:
            self._report.skip(reason)
        changed = sum(self._blend(job, number, face, window) for number, face in job.faces.items())
        self._report.faces += changed
        self._report.frames += 1
        self._progress.advance(1, changed)
        yield job.frame

    def _restored(self, frames: Iterable[Frame], first: int) -> Iterator[_FrameJob]:
        """Frames with the residuals of their faces; crops are gathered over frames until they fill a batch."""
        waiting: list[_FrameJob] = []
        for index, frame in enumerate(frames, start=first):
            waiting.append(self._prepare(frame, index))
            if sum(len(j.faces) for j in waiting) >= self._restorer.batch or len(waiting) >= _MOST_WAITING:
                yield from self._run(waiting)
                waiting = []
        yield from self._run(waiting)

    def _run(self, jobs: list[_FrameJob]) -> list[_FrameJob]:
        faces = [face for job in jobs for face in job.faces.values()]
        for face, restored in zip(faces, self._restorer.restore([f.crop for f in faces]), strict=True):
            face.residual = residual_of(restored, face.crop, keep_colour=self._settings.keep_colour)
        if self._embedder is not None:
            self._look_who_it_is(jobs, self._embedder)
        return jobs

    def _look_who_it_is(self, jobs: list[_FrameJob], embedder: FaceEmbedder) -> None:
        for job in jobs:
            for face in job.faces.values():
                better = np.clip(face.crop + _known(face.residual), 0, 1)
                likeness = embedder.likeness(face.crop, better, self._template)
                face.same_person = float(np.clip((likeness - _STRANGER) / (_SAME - _STRANGER), 0, 1))

    def _prepare(self, frame: Frame, index: int) -> _FrameJob:
        shot = next((s for s in self._tracks.shots if s.start <= index < s.end), None)
        job = _FrameJob(index, frame, shot is not None and shot.monochrome)
        for track in self._tracks.at(index) if self._settings.strength else ():
            face = self._cut(frame, track, index)
            if isinstance(face, str):
                job.skipped.append(face)
            else:
                job.faces[track.id] = face
        return job

    def _cut(self, frame: Frame, track: Track, index: int) -> _FaceJob | str:
        """The face's crop, or why it is left alone."""
        weight = float(track.weights[index - track.start]) * track.strength
        if weight == 0:
            return track.reason(index) or ("strength 0" if track.strength == 0 else "eased out")
        size = self._restorer.size
        # Tracks hold the place of GPEN's crop; another template sees the same face from nearer and higher.
        between = fit_similarity(GPEN.at(size), self._template.at(size))
        display = compose(between, crop_affine(track.parameters[index - track.start], size))
        to_crop = compose(display, frame.geometry.to_display())
        region = Region.around(crop_bounds(to_crop, size), frame.layout, frame.width, frame.height)
        if region is None:
            return "outside the picture"
        rgb = read_region(frame.planes, region, frame.layout, frame.color, frame.height)
        in_region = compose(to_crop, np.array([[1.0, 0.0, region.left], [0.0, 1.0, region.top]]))
        return _FaceJob(region, in_region, cut_crop(rgb, in_region, size), weight)

    def _blend(self, job: _FrameJob, track: int, face: _FaceJob, window: deque[_FrameJob]) -> bool:
        """Add the change of one face to its frame; False where a guard leaves it alone."""
        residual = _known(face.residual)
        around = {j.index - job.index: j.faces[track] for j in window if abs(j.index - job.index) <= self.reach and track in j.faces}
        near = list(around.values())
        # The median over the neighbours: one frame's doubt must not make a face blink.
        same_person = float(np.median([n.same_person for n in near]))
        if same_person == 0:
            self._report.skip("would look like someone else")
            return False
        if self.reach:
            residual = steady_residual({k: (n.crop, _known(n.residual)) for k, n in around.items()})
        change = masked_change(
            residual,
            face.crop,
            self._settings,
            weight=face.weight * same_person,
            eye_distance=self._template.eye_distance,
            monochrome=job.monochrome,
            factor=magnification(face.to_crop),
        )
        width, height = face.region.size
        frame = job.frame
        region_change = return_change(change, face.to_crop, width, height)
        add_to_region(frame.writable_planes(), face.region, region_change, frame.layout, frame.color, frame.height)
        return True


def _known(residual: NDArray[np.float32] | None) -> NDArray[np.float32]:
    assert residual is not None
    return residual
