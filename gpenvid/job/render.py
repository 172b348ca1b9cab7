"""The second pass: restored faces into frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from gpenvid.blend.deflicker import REACH, Moment, steady_residual
from gpenvid.blend.mask import ellipse_box, face_ellipse, landmark_hull
from gpenvid.blend.overlap import overlap_share
from gpenvid.blend.paste import BlendSettings, masked_change, residual_of
from gpenvid.blend.warp import crop_bounds, cut_crop, magnification, return_change, source_bounds
from gpenvid.faces.align import GPEN, Template, crop_affine, fit_similarity
from gpenvid.faces.embedding import FaceEmbedder
from gpenvid.faces.smooth import steady_shape
from gpenvid.faces.tracks import Track, Tracks
from gpenvid.geometry import Affine, apply_affine, compose, invert
from gpenvid.job.pipeline import frame_bytes
from gpenvid.job.progress import Progress
from gpenvid.job.report import Report
from gpenvid.media.frame import Frame
from gpenvid.media.planes import Region, add_to_region, read_region
from gpenvid.restore.restorer import Restorer, go_on
from gpenvid.settings import RestoreSettings

_LIKENESS_RAMP = 0.2  # cosine of embeddings: other people stay under 0.27, the same person is about 0.8
_MOST_WAITING = 16  # frames: a batch is not worth holding more pictures than this


def blend_settings(settings: RestoreSettings) -> BlendSettings:
    """The part of a user's choices that concerns blending."""
    return BlendSettings(
        settings.strength, settings.keep_colour, settings.deflicker, settings.grain, settings.mask, settings.least_likeness
    )


@dataclass(eq=False)
class _FaceJob:
    """One face of one frame on its way through the network."""

    region: Region
    to_crop: Affine
    crop: NDArray[np.float32]
    mask: NDArray[np.float32]
    weight: float
    residual: NDArray[np.float32] | None = None
    same_person: float = 1.0
    moment: Moment | None = None

    def in_frame(self) -> Affine:
        """The map from pixels of the stored frame to those of the crop."""
        return compose(self.to_crop, np.array([[1.0, 0.0, -self.region.left], [0.0, 1.0, -self.region.top]]))


@dataclass
class FrameJob:
    """A frame between two stages: after `Renderer.restored` with what its faces gain, after `Renderer.finished` with it added."""

    index: int
    frame: Frame
    monochrome: bool
    faces: dict[int, _FaceJob] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    changed: int = 0

    @property
    def nbytes(self) -> int:
        """Bytes held: the picture, and a crop and a residual for each face."""
        return frame_bytes(self.frame) + sum(2 * face.crop.nbytes for face in self.faces.values())


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
        # The flow's result depends on the number of OpenCV's threads, and stages keep all cores busy without them.
        cv2.setNumThreads(1)

    def render(self, frames: Iterable[Frame], first: int, begin: int | None = None, end: int | None = None) -> Iterator[Frame]:
        """Restore consecutive frames, changing their planes in place.

        Args:
            frames: the frames wanted, and `reach` frames before and after them where there are any.
            first: index of the first of `frames` in the tracks.
            begin, end: first frame wanted, and the frame after the last; by default all.
        """
        for job in self.finished(self.restored(frames, first), begin, end):
            yield self.count(job)

    def restored(self, frames: Iterable[Frame], first: int, check: Callable[[], None] = go_on) -> Iterator[FrameJob]:
        """The first stage: frames with the residuals of their faces, untouched. See `render`.

        Crops are gathered over frames and tracks until they fill a batch.

        Args:
            check: called now and then during long work; what it raises is let through.
        """
        waiting: list[FrameJob] = []
        for index, frame in enumerate(frames, start=first):
            waiting.append(self._prepare(frame, index))
            if sum(len(j.faces) for j in waiting) >= self._restorer.batch or len(waiting) >= _MOST_WAITING:
                yield from self._run(waiting, check)
                waiting = []
        yield from self._run(waiting, check)

    def finished(self, jobs: Iterable[FrameJob], begin: int | None = None, end: int | None = None) -> Iterator[FrameJob]:
        """The second stage: the wanted frames with the changes of their faces added, in place. See `render`."""
        window: deque[FrameJob] = deque()
        for job in jobs:
            window.append(job)
            # A frame is finished once the neighbours after it are restored.
            ready = job.index - self.reach
            yield from self._finish(window, ready, begin, end)
            while window and window[0].index < ready - self.reach + 1:
                window.popleft()
        last = window[-1].index if window else -1
        for index in range(max(window[0].index, last - self.reach + 1), last + 1) if window else ():
            yield from self._finish(window, index, begin, end)

    def count(self, job: FrameJob) -> Frame:
        """Enter a finished frame into report and progress. Belongs into the job's own thread."""
        for reason in job.skipped:
            self._report.skip(reason)
        self._report.faces += job.changed
        self._report.frames += 1
        self._progress.advance(1, job.changed)
        return job.frame

    def _finish(self, window: deque[FrameJob], index: int, begin: int | None, end: int | None) -> Iterator[FrameJob]:
        job = next((j for j in window if j.index == index), None)
        if job is None or (begin is not None and index < begin) or (end is not None and index >= end):
            return
        for number, face in job.faces.items():
            if self._blend(job, number, face, window):
                job.changed += 1
            else:
                job.skipped.append("would look like someone else")
        # A copy without crops goes on: the frame's neighbours still need them, whoever waits for the frame does not.
        yield replace(job, faces={})

    def _run(self, jobs: list[FrameJob], check: Callable[[], None]) -> list[FrameJob]:
        faces = [face for job in jobs for face in job.faces.values()]
        for face, restored in zip(faces, self._restorer.restore([f.crop for f in faces], check), strict=True):
            face.residual = residual_of(restored, face.crop, keep_colour=self._settings.keep_colour)
        if self._embedder is not None:
            self._look_who_it_is(jobs, self._embedder)
        return jobs

    def _look_who_it_is(self, jobs: list[FrameJob], embedder: FaceEmbedder) -> None:
        for job in jobs:
            for face in job.faces.values():
                better = np.clip(face.crop + _known(face.residual), 0, 1)
                likeness = embedder.likeness(face.crop, better, self._template)
                face.same_person = float(np.clip((likeness - self._settings.least_likeness) / _LIKENESS_RAMP, 0, 1))

    def _prepare(self, frame: Frame, index: int) -> FrameJob:
        shot = next((s for s in self._tracks.shots if s.start <= index < s.end), None)
        job = FrameJob(index, frame, shot is not None and shot.monochrome)
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
        return _FaceJob(region, _within(region, to_crop), self._crop(frame, to_crop), self._mask(track, index, between), weight)

    def _crop(self, frame: Frame, to_crop: Affine) -> NDArray[np.float32]:
        size = self._restorer.size
        seen = Region.around(source_bounds(to_crop, size), frame.layout, frame.width, frame.height)
        assert seen is not None
        rgb = read_region(frame.planes, seen, frame.layout, frame.color, frame.height)
        return cut_crop(rgb, _within(seen, to_crop), size, (seen.left, seen.top))

    def _mask(self, track: Track, index: int, between: Affine) -> NDArray[np.float32]:
        size = self._restorer.size
        if self._settings.mask == "ellipse":
            return face_ellipse(size, self._template.eye_distance)
        return landmark_hull(size, self._template.eye_distance, apply_affine(between, steady_shape(track, index, size)))

    def _blend(self, job: FrameJob, track: int, face: _FaceJob, window: deque[FrameJob]) -> bool:
        """Add the change of one face to its frame; False where a guard leaves it alone."""
        residual = _known(face.residual)
        around = self._around(job, track, window)
        weight = face.weight * _settled(around)
        if weight == 0:
            return False
        if self.reach:
            residual = residual.copy()
            box = ellipse_box(self._restorer.size, self._template.eye_distance)
            residual[box] = steady_residual({k: self._moment(n) for k, n in around.items()})
        change = masked_change(
            residual,
            face.crop,
            self._settings,
            face.mask,
            weight=weight,
            monochrome=job.monochrome,
            factor=magnification(face.to_crop),
            share=self._share(job, face, weight, window),
        )
        width, height = face.region.size
        frame = job.frame
        region_change = return_change(change, face.to_crop, width, height)
        add_to_region(frame.writable_planes(), face.region, region_change, frame.layout, frame.color, frame.height)
        return True

    def _moment(self, face: _FaceJob) -> Moment:
        if face.moment is None:
            # Only what the mask lets through: the rest of the crop is as large again.
            size = self._restorer.size
            box = ellipse_box(size, self._template.eye_distance)
            face.moment = Moment(face.crop[box], _known(face.residual)[box], size, size / magnification(face.to_crop))
        return face.moment

    def _around(self, job: FrameJob, track: int, window: deque[FrameJob]) -> dict[int, _FaceJob]:
        """One face in the frames about one, by their distance from it."""
        return {j.index - job.index: j.faces[track] for j in window if abs(j.index - job.index) <= self.reach and track in j.faces}

    def _share(self, job: FrameJob, face: _FaceJob, weight: float, window: deque[FrameJob]) -> NDArray[np.float32] | None:
        """The part of each pixel that is this face's and not that of another one in the frame; None where none is near."""
        into_frame = invert(face.in_frame())
        others = [
            (compose(other.in_frame(), into_frame), other.mask, other.weight * _settled(self._around(job, track, window)))
            for track, other in job.faces.items()
            if other is not face and other.region.overlaps(face.region)
        ]
        return overlap_share(self._template.eye_distance, face.mask, weight, others) if others else None


def _settled(around: dict[int, _FaceJob]) -> float:
    """How surely a face is still that person, in [0, 1]: the median over its neighbours, or one frame's doubt would make it blink."""
    return float(np.median([face.same_person for face in around.values()]))


def _within(region: Region, to_crop: Affine) -> Affine:
    """A map from a frame's pixels to a crop's, from those of a region of the frame."""
    return compose(to_crop, np.array([[1.0, 0.0, region.left], [0.0, 1.0, region.top]]))


def _known(residual: NDArray[np.float32] | None) -> NDArray[np.float32]:
    assert residual is not None
    return residual
