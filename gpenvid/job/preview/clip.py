"""A clip opened for looking: its frames at random, its tracks as they are found, its faces restored on demand."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from threading import Lock, RLock
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gpenvid.errors import GpenvidError, InputError, UsageError
from gpenvid.faces.align import Template
from gpenvid.faces.tracks import Track, Tracks
from gpenvid.job.analyse import analyse_frames, tracker_settings
from gpenvid.job.identity import sampled
from gpenvid.job.inputs import classify
from gpenvid.job.models import open_detector, open_embedder, open_restorer
from gpenvid.job.people import best_frame, face_picture
from gpenvid.job.pipeline import frame_bytes
from gpenvid.job.preview.cache import ByteCache, RememberingRestorer
from gpenvid.job.preview.look import Look
from gpenvid.job.progress import Progress, Silent
from gpenvid.job.render import Renderer, blend_settings
from gpenvid.job.report import Report
from gpenvid.job.sidecar import read_preview, read_sidecar, write_sidecar
from gpenvid.media.frame import Frame
from gpenvid.media.reader import VideoReader
from gpenvid.media.seek import FrameIndex, FrameSeeker
from gpenvid.restore.restorer import Crop
from gpenvid.settings import RestoreSettings

_DECODED, _CROPS, _RENDERED = 320 << 20, 320 << 20, 192 << 20  # bytes: 110 and 65 frames of 1080p in 8 bit, 400 crops of 256
_KEPT_BEFORE = 24  # frames before the one wanted that are kept when they come by: one second of stepping back


class PreviewClip:
    """One video, opened for looking at. Methods may be called from any thread; pictures are computed one at a time.

    Args:
        source: the video.
        settings: what every look starts from; of `tracks`, `detector`, `device`, `dtype`, `identity` and `deinterlace` looks
            change nothing.
        progress: told when a model is opened otherwise than asked for.

    Raises:
        InputError, UsageError, WeightsError: it is no video, or settings do not fit; a model that is missing.
    """

    def __init__(self, source: Path, settings: RestoreSettings, progress: Progress | None = None) -> None:
        if classify(source).kind != "video":
            raise UsageError(f"{source}: is no video", "preview takes videos")
        # As every renderer wants it (see `Renderer`), and from the start: a render that ends gives back what it found.
        cv2.setNumThreads(1)
        self.source = source
        self._opened, self._content = _state(source), sampled(source)
        self.settings = settings
        self._told = progress or Silent()
        self.reader = VideoReader(source, deinterlace=settings.deinterlace)
        self.info = self.reader.info
        self.index = FrameIndex()
        self.complete = False
        self._own = source.with_name(f"{source.stem}.preview.tracks.json")
        self._sidecars = [settings.tracks] if settings.tracks else self._lying_there()
        self.sidecar = self._sidecars.pop(0)
        self._known: tuple[object, Tracks | None] = (None, None)
        self._states: dict[Path, object] = {}  # of sidecars as they were read or written last
        if settings.tracks and _state(settings.tracks):
            self._read_sidecar()
        self.saved = read_preview(self.sidecar)
        self._seeker = FrameSeeker(VideoReader(source, deinterlace=settings.deinterlace), self.index)
        self._tracks = Tracks(0, *self.info.display_size, "", 0)
        self._found = Lock()
        self.generation = 0  # of the tracks: one more where others take the place of those that were shown
        self._computing = RLock()
        self._decoded: ByteCache[Frame] = ByteCache(_DECODED, frame_bytes)
        self._rendered: ByteCache[Frame] = ByteCache(_RENDERED, frame_bytes)
        self._crops: ByteCache[Crop] = ByteCache(_CROPS, lambda crop: int(crop.nbytes))
        self._restorers: dict[str, tuple[RememberingRestorer, Template]] = {}
        self._embedder = open_embedder(settings)
        self.restorer(settings.model)

    @property
    def tracks(self) -> Tracks:
        """The tracks of all shots that have been analysed."""
        with self._found:
            return self._tracks

    def analyse(self, progress: Progress, going: Callable[[], bool] = lambda: True) -> None:
        """Learn where all frames are and find the tracks: from the sidecar if there is one, else by looking.

        Frames can be looked at as soon as they have been read, and restored as soon as their shot has ended.

        Args:
            going: asked at every frame; when it says no, the analysis stops and stays incomplete.

        Raises:
            InputError: the sidecar that was asked for is of another clip, or it or the file cannot be read, or the file has changed.
            WeightsError: the detector's file is missing.
        """
        tracks = self._from_sidecar(progress)
        if tracks is not None:
            self._publish(tracks)
            progress.stage("read", self.info.frame_count)
            for _ in self._read(progress, going):
                progress.advance(1)
            shown = self.sidecar
            if going() and (tracks := self._from_sidecar(progress, len(self.index))) is not None and self.sidecar != shown:
                self._publish(tracks, anew=True)
        if tracks is None and going():
            self._publish(Tracks(0, *self.info.display_size, "", 0), anew=bool(self.tracks.frames))
            detector = open_detector(self.settings.detector, self.settings.device, progress)
            progress.stage("analyse", self.info.frame_count)
            guards = tracker_settings(self.settings)
            frames = self._read(progress, going)
            tracks = analyse_frames(frames, self.info.geometry, detector, progress, settings=guards, on_shot=self._publish)
        if tracks is not None and going():
            self.check_source()
            self._publish(tracks)
            self.complete = True

    def check_source(self) -> None:
        """Make sure that the file is still the one that was opened: its frames would be shown and saved with another's tracks.

        Raises:
            InputError: it is not.
        """
        state = _state(self.source)
        if state == self._opened:
            return
        if state is None or sampled(self.source) != self._content:
            raise InputError(f"{self.source}: has changed since it was opened", "start the preview again")
        self._opened = state  # touched, or on a network drive that numbers its files anew

    def _read(self, progress: Progress, going: Callable[[], bool]) -> Iterator[Frame]:
        index = FrameIndex() if len(self.index) else self.index  # known already where a sidecar turned out to be of another clip
        yield from takewhile(lambda _: going(), index.watch(self.reader.frames()))
        for fault in self.reader.faults.sentences(self.source):
            progress.note(fault)

    def _lying_there(self) -> list[Path]:
        """The sidecars that may be this clip's, the one written last first: by `gpenvid analyse`, or by a preview beside another clip's."""
        usual = self.source.with_name(f"{self.source.stem}.tracks.json")
        found = [path for path in (usual, self._own) if _state(path)]
        return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True) or [usual]

    def _from_sidecar(self, progress: Progress, frames: int | None = None) -> Tracks | None:
        """The tracks of the first sidecar that is of this clip; `frames` once it is known how many it has."""
        if self.settings.tracks is not None and not _state(self.sidecar):
            progress.note(f"{self.sidecar} is not there yet: the clip is analysed")
        while _state(self.sidecar):
            tracks = self._read_sidecar()
            if (tracks.width, tracks.height) != self.info.display_size:
                self._refuse(f"tells of a clip of another size than {self.source.name}", progress)
            elif tracks.begin:
                self._refuse(f"tells of a part that begins at {tracks.begin:g} s", progress)
            elif frames is not None and tracks.frames != frames:
                self._refuse(f"tells of {tracks.frames} frames, {self.source.name} has {frames}", progress)
            else:
                return tracks
            if not self._sidecars:
                break
            self.sidecar = self._sidecars.pop(0)
            self.saved = read_preview(self.sidecar)
        return None

    def _read_sidecar(self) -> Tracks:
        """The sidecar's tracks, read again where it has changed: that of a long film takes seconds."""
        state = _state(self.sidecar)
        version = (self.sidecar, state)
        known, tracks = self._known
        if tracks is None or known != version:
            tracks = read_sidecar(self.sidecar)
            self._known = version, tracks
        self._states[self.sidecar] = state
        return tracks

    def _refuse(self, why: str, progress: Progress) -> None:
        """A sidecar of something else: an error where it was asked for, passed over where it only lay there."""
        if self.settings.tracks is not None:
            raise InputError(f"{self.sidecar}: {why}", "analyse this clip, or name another --tracks")
        after = "saving replaces it" if self.sidecar == self._own else "it is left alone"
        progress.note(f"{self.sidecar.name} {why}; {after}")
        self.sidecar, self.saved = self._own, {}

    def _publish(self, tracks: Tracks, *, anew: bool = False) -> None:
        # At once: a picture of the old tracks under the new generation would be shown again.
        with self._found:
            self._tracks = tracks
            self.generation += anew

    def restorer(self, model: str) -> tuple[RememberingRestorer, Template]:
        """A restorer by name, opened once.

        Raises:
            UsageError, WeightsError: see `open_restorer`.
        """
        with self._computing:
            if model not in self._restorers:
                restorer, template = open_restorer(replace(self.settings, model=model), self._told)
                self._restorers[model] = RememberingRestorer(restorer, self._crops, model), template
            return self._restorers[model]

    def frame(self, index: int) -> Frame:
        """A frame as the decoder gives it. Not to be changed.

        Raises:
            IndexError: if it has not been read yet, or there is none.
            InputError: if the file gives it no more, or has changed.
        """
        with self._computing:
            held = self._decoded.get(index)
            if held is not None:
                return held
            near = [frame for frame in self._seeker.frames_to(index) if frame.index >= index - _KEPT_BEFORE]
            self.check_source()
            for frame in near:
                self._decoded.put(frame.index, frame)
            return near[-1]

    def look_at(self, index: int, look: Look) -> Look:
        """The look as a frame depends on it, with the strength of everyone in it and of nobody else.

        So a change to who is not in it makes nothing anew, and what is kept stays right when strengths are saved.
        """
        chosen = dict(look.people)
        return replace(look, people=tuple((t.id, chosen.get(t.id, t.strength)) for t in self.tracks.at(index)))

    def restored(self, index: int, look: Look) -> Frame:
        """A frame as the render gives it to the encoder. Not to be changed.

        Raises:
            IndexError: if its shot has not been analysed yet, or there is no such frame.
            GpenvidError: see `frame` and `restorer`.
        """
        generation, look = self.generation, self.look_at(index, look)
        tracks = look.tracks(self.tracks)
        shot = next((s for s in tracks.shots if s.start <= index < s.end), None)
        if shot is None or index >= len(self.index):
            raise IndexError(index)
        if not tracks.at(index):
            return self.frame(index)
        with self._computing:
            key = (generation, index, look)
            held = self._rendered.get(key)
            if held is not None:
                return held
            restorer, template = self.restorer(look.model)
            settings = blend_settings(look.settings(self.settings))
            renderer = Renderer(tracks, restorer, template, settings, Report("", ""), Silent(), self._embedder)
            first, last = max(shot.start, index - renderer.reach), min(shot.end, index + renderer.reach + 1, len(self.index))
            # The farthest first: on the way to it the decoder gives the others.
            around = [self.frame(i) for i in range(last - 1, first - 1, -1)][::-1]
            around[index - first] = around[index - first].own()
            done = next(iter(renderer.render(around, first, index, index + 1)))
            self._rendered.put(key, done)
            return done

    def time(self, index: int) -> float:
        """Seconds from the first frame."""
        return float((self.index.pts(index) - self.index.pts(0)) * self.info.time_base)

    def face(self, track: Track) -> NDArray[np.uint8]:
        """The face of a person where it is seen best, (160, 160, 3) uint8 RGB."""
        index = best_frame(track)
        return face_picture(track, self.frame(index), index)

    def save(self, look: Look, preview: dict[str, Any]) -> None:
        """Write tracks, with the look's people, and what the page was set to into the sidecar.

        Raises:
            UsageError: before the analysis is complete, or if something else has changed the sidecar meanwhile.
            InputError: if it cannot be written, or the clip has changed.
        """
        if not self.complete:
            raise UsageError("the clip is still being analysed", "save when it is done")
        self.check_source()
        if _state(self.sidecar) not in (None, self._states.get(self.sidecar)):
            remedy = "start the preview again to see how, or move that file away and try again to keep these choices"
            raise UsageError(f"{self.sidecar}: has been changed by something else", remedy)
        tracks = look.tracks(self.tracks)
        try:
            write_sidecar(tracks, self.sidecar, preview)
        except InputError as error:
            raise InputError(error.message, "start the preview with --tracks, naming a file that can be written") from error
        self._states[self.sidecar] = _state(self.sidecar)
        self._publish(tracks)
        self.saved = preview


def _state(path: Path) -> tuple[int, int, int] | None:
    """What changes with a file, None where there is none or no file can be called that."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


def message_of(error: Exception, source: Path) -> str:
    """What went wrong, in one line, without folders."""
    text = str(error) if isinstance(error, GpenvidError) else f"{type(error).__name__}: {error}"
    for folder in {str(source.parent), str(source.resolve().parent)} - {"."}:
        text = text.replace(folder + os.sep, "")
    return text
