"""One clip being looked at: what is going on, for every window that shows it."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from gpenvid.errors import GpenvidError, InputError, StoppedError, UsageError
from gpenvid.job.inputs import also_read
from gpenvid.job.preview.clip import PreviewClip, message_of
from gpenvid.job.preview.desk import Desk, SupersededError
from gpenvid.job.preview.look import Look
from gpenvid.job.preview.loop import check_loop, make_loop
from gpenvid.job.preview.models import offered_models
from gpenvid.job.preview.pictures import PictureFormat, display_picture, encode_picture
from gpenvid.job.preview.rendering import RenderJob, command_line, default_output
from gpenvid.job.progress import Progress
from gpenvid.job.work_folder import keep_apart

_AHEAD, _BEHIND = 24, 8  # frames computed around the cursor
_PLAYED = 6  # loops kept for the windows that play them: browsers open no more connections


@dataclass(frozen=True)
class Wanted:
    """A picture: which frame, how restored (None: not at all), how large, in which form, and by which generation of tracks."""

    index: int
    look: Look | None
    width: int
    form: PictureFormat
    generation: int = 0


@dataclass(frozen=True)
class Going:
    """How far the analysis or a loop is; loops are numbered from 1, so that a window sees when another one's took the place of its own."""

    state: str
    done: int = 0
    total: int = 0
    problem: str = ""
    notes: tuple[str, ...] = ()
    id: str = ""


class PreviewSession:
    """Everything behind the page.

    Args:
        clip: opened, not analysed yet.
        output: where the render goes; None for beside the source.
        console: told how the analysis goes, besides the page.

    Attributes:
        target: where the render goes.
        saves: how often choices were saved, by any window.

    Raises:
        UsageError: something that is read lies where the render does its work.
    """

    def __init__(self, clip: PreviewClip, output: Path | None, console: Progress) -> None:
        self.target = output or default_output(clip)
        keep_apart(self.target, [clip.source, clip.sidecar, *also_read(clip.settings)])
        self._id = secrets.token_hex(8)
        self.clip = clip
        self.desk = Desk()
        self.render = RenderJob(self._render_changed)
        self.output = output
        self.version = 0
        self.saves = 0
        self.open = True
        self._console = console
        self._lock, self._saving = Lock(), Lock()
        self._analysis = Going("reading", total=clip.info.frame_count)
        self._loop = Going("idle")
        self._loops: list[Path] = []  # finished, the newest last
        self._views: dict[str, Wanted] = {}
        self._temporary = tempfile.TemporaryDirectory(prefix="gpenvid-preview-")
        self._folder = Path(self._temporary.name)
        self._threads: list[Thread] = []

    @property
    def id(self) -> str:
        """Changes where everything that a page knows is out of date: it loads itself anew then."""
        return f"{self._id}-{self.clip.generation}"

    def start(self) -> None:
        """Begin the analysis."""
        self._run(self._analyse)

    def close(self) -> None:
        """Stop everything that is going on."""
        self.open = False
        self.render.close()
        self.desk.close()
        for thread in self._threads:
            thread.join(10)
        self._temporary.cleanup()

    def status(self) -> dict[str, Any]:
        """What is going on, as JSON."""
        render = self.render.status
        told = {k: v for k, v in asdict(replace(render, report=None)).items() if k != "report"}
        told["problem"], told["remedy"] = self.plain(render.problem), self.plain(render.remedy)
        told["notes"] = [self.plain(note) for note in render.notes]
        if render.report:
            told["frames"], told["faces"] = render.report.frames, render.report.faces
            told["skipped"], told["warnings"] = render.report.skipped, [self.plain(w) for w in render.report.warnings]
            told["single"] = Path(render.report.output).is_file()
            told["result"], told["seconds"] = Path(render.report.output).name, render.report.timing.get("wall", 0.0)
        with self._lock:
            analysis, loop = asdict(self._analysis), asdict(self._loop)
        analysis |= {"readable": len(self.clip.index), "restorable": min(self.clip.tracks.frames, len(self.clip.index))}
        going = {"analysis": analysis, "loop": loop, "render": told}
        return {"session": self.id, **going, "saves": self.saves}

    def plain(self, text: str) -> str:
        """A sentence without folders: the page needs none, and pictures of it get around."""
        return message_of(UsageError(text.replace(f"{self._folder}{os.sep}", "")), self.clip.source)

    # Analysis

    def _analyse(self) -> None:
        try:
            self.clip.analyse(self, lambda: self.open)
            self._set_analysis(state="ready")
        except Exception as error:
            self._console.note(f"the analysis failed: {error}")
            self._set_analysis(state="failed", problem=message_of(error, self.clip.source))
            if not isinstance(error, GpenvidError):
                raise

    def stage(self, name: str, total: int) -> None:
        """Progress of the analysis."""
        self._console.stage(name, total)
        self._set_analysis(state="analysing" if name == "analyse" else "reading", done=0, total=total)

    def advance(self, frames: int, faces: int = 0) -> None:
        """Progress of the analysis."""
        self._console.advance(frames, faces)
        self._set_analysis(done=self._analysis.done + frames)

    def note(self, text: str) -> None:
        """Progress of the analysis."""
        self._console.note(text)
        self._set_analysis(notes=(*self._analysis.notes, self.plain(text)))

    def _set_analysis(self, **changes: Any) -> None:
        with self._lock:
            self._analysis = replace(self._analysis, **changes)
        self._bump()

    # Pictures

    def checked(self, look: Look) -> Look:
        """The look, if its model is one that is offered: no page names files, and none starts a download.

        Raises:
            UsageError: if not.
        """
        if look.model not in {m["name"] for m in offered_models(self.clip.settings.model) if m["here"]}:
            raise UsageError("there is no such model here", "choose another; `gpenvid models list` shows those that are here")
        return look

    def picture(self, wanted: Wanted, view: str, *, ahead: bool = False) -> Future[bytes]:
        """A picture for a view, and those around it when there is time; `ahead`: one that is not looked at yet.

        Raises:
            InputError: the clip has changed.
        """
        self.clip.check_source()
        made = self.desk.ask(wanted, lambda: self._make(wanted), view=view, rank=1 if ahead else 0)
        if view:
            # Windows that are closed, or look elsewhere by now, fall behind the one that moves.
            self._views = {v: w for v, w in self._views.items() if w.index == wanted.index} | {view: wanted}
            self.desk.look_ahead(self._around(wanted.index))
        return made

    def face(self, number: int) -> Future[bytes]:
        """A person's picture.

        Raises:
            IndexError: there is no such person (yet).
        """
        track = next((t for t in self.clip.tracks.tracks if t.id == number), None)
        if track is None:
            raise IndexError(number)
        return self.desk.ask(("face", number, self.clip.generation), lambda: encode_picture(self.clip.face(track), "jpeg"), view="", rank=1)

    def _make(self, wanted: Wanted) -> bytes:
        frame = self.clip.frame(wanted.index) if wanted.look is None else self.clip.restored(wanted.index, wanted.look)
        return encode_picture(display_picture(frame, wanted.width), wanted.form)

    def _around(self, index: int) -> Iterator[tuple[Hashable, Callable[[], bytes]]]:
        frames = min(len(self.clip.index), self.clip.tracks.frames)
        order = sorted((o for o in range(-_BEHIND, _AHEAD + 1) if o), key=lambda o: o if o > 0 else -3 * o)
        for other in (index + o for o in order if 0 <= index + o < frames):
            for wanted in self._views.values():
                # Others may be in it: it is asked for with their strengths.
                look = wanted.look and self.clip.look_at(other, wanted.look)
                near = replace(wanted, index=other, look=look)
                yield near, partial(self._make, near)

    # Loop

    def start_loop(self, first: int, last: int, left: Look | None, right: Look, width: int) -> str:
        """Begin to render a range; the one before is given up.

        Raises:
            UsageError: see `check_loop`.
        """
        check_loop(self.clip, first, last)
        with self._lock:
            name = str(int(self._loop.id or 0) + 1)
            self._loop = Going("running", 0, last - first + 1, id=name)
        self._bump()
        self._run(lambda: self._make_loop(name, first, last, left, right, width))
        return name

    def stop_loop(self, name: str) -> None:
        """Give up the loop of this name if it is still being made."""
        self._set_loop(name, state="idle")

    def loop_file(self, name: str) -> Path | None:
        """A finished loop, None where there is none of that name (any more)."""
        with self._lock:
            return next((path for path in self._loops if path.stem == name), None)

    def _make_loop(self, name: str, first: int, last: int, left: Look | None, right: Look, width: int) -> None:
        def tell(done: int) -> None:
            self._set_loop(name, done=done)

        def going() -> bool:
            return self.open and self._loop.id == name and self._loop.state == "running"

        path = self._folder / f"{name}.mp4"
        try:
            make_loop(self.clip, self.desk, path, first=first, last=last, left=left, right=right, width=width, tell=tell, going=going)
            with self._lock:
                old, self._loops = self._loops[: 1 - _PLAYED], [*self._loops[1 - _PLAYED :], path]
            for gone in old:
                gone.unlink(missing_ok=True)
            self._set_loop(name, state="ready")
        except (StoppedError, SupersededError):
            path.unlink(missing_ok=True)  # given up, or everything ends
        except Exception as error:
            path.unlink(missing_ok=True)
            self._set_loop(name, state="failed", problem=message_of(error, self.clip.source))
            if not isinstance(error, GpenvidError):
                raise

    def _set_loop(self, name: str, **changes: Any) -> None:
        with self._lock:
            if (self._loop.id, self._loop.state) == (name, "running"):
                self._loop = replace(self._loop, **changes)
        self._bump()

    # Choices

    def save(self, look: Look, page: dict[str, Any]) -> None:
        """Write the sidecar, and let all windows know.

        Raises:
            UsageError, InputError: see `PreviewClip.save`.
        """
        with self._saving:
            self._save(look, page)

    def _save(self, look: Look, page: dict[str, Any]) -> None:
        self.clip.save(look, page)
        self.saves += 1
        self._bump()

    # Render

    def start_render(self, look: Look, page: dict[str, Any], *, overwrite: bool) -> None:
        """Save the sidecar and begin the render.

        Raises:
            UsageError, InputError: it runs already, or see `PreviewClip.save`.
        """
        with self._saving:
            if self.render.status.busy:
                raise UsageError("a render is running", "wait for it, or stop it")
            self._save(look, page)
            # A copy: the render reads its tracks a while after the click, and other choices may be saved meanwhile.
            chosen = self._folder / self.clip.sidecar.name
            try:
                shutil.copyfile(self.clip.sidecar, chosen)
            except OSError as error:
                raise InputError(f"{chosen}: cannot be written ({error.strerror})", "make room for temporary files") from error
            settings = replace(look.settings(self.clip.settings), tracks=chosen, overwrite=overwrite, only=(), exclude=())
            self.render.start(self.clip.source, self.target, settings)

    def command(self, look: Look) -> str:
        """The command line for the same render."""
        return command_line(self.clip, look, self.output)

    def _render_changed(self) -> None:
        self.desk.patient = self.render.status.state in ("running", "stopping")
        self._bump()

    def _bump(self) -> None:
        self.version += 1

    def _run(self, work: Callable[[], None]) -> None:
        thread = Thread(target=work, daemon=True)
        self._threads = [*(t for t in self._threads if t.is_alive()), thread]
        thread.start()
