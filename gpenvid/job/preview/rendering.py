"""The whole render from within the preview: started, paused, gone on with, stopped."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Condition, Thread
from typing import Literal

from gpenvid.errors import GpenvidError, StoppedError, UsageError
from gpenvid.job.frames import wants_pictures
from gpenvid.job.inputs import Input, check_output, classify, is_on_disk
from gpenvid.job.outputs import video_result
from gpenvid.job.preview.clip import PreviewClip
from gpenvid.job.preview.look import Look
from gpenvid.job.report import Report
from gpenvid.job.restore import restore
from gpenvid.media.containers import container_for_output
from gpenvid.media.sequence import existing_numbers, is_pattern
from gpenvid.settings import RestoreSettings

State = Literal["idle", "running", "paused", "stopping", "stopped", "failed", "done"]


@dataclass(frozen=True)
class RenderStatus:
    """How far a render is.

    Attributes:
        stage: `analyse`, `render` or `assemble`.
        done, total: frames of this stage; `total` is 0 where unknown.
        kept: frames that an earlier render had finished; they are among `done` and took no time.
        seconds: at work, pauses left out.
        remaining: seconds, an estimate; None where there is none.
        problem, remedy: what made it fail.
    """

    state: State = "idle"
    stage: str = ""
    done: int = 0
    total: int = 0
    kept: int = 0
    faces: int = 0
    seconds: float = 0.0
    remaining: float | None = None
    notes: tuple[str, ...] = ()
    problem: str = ""
    remedy: str = ""
    report: Report | None = field(default=None, repr=False)

    @property
    def busy(self) -> bool:
        """Whether another render would have to wait for it."""
        return self.state in ("running", "paused", "stopping")


class RenderJob:
    """Runs `restore` in a thread of its own, one at a time.

    Args:
        changed: called, from any thread, after each change of the status.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._turn = Condition()
        self._status = RenderStatus()
        self._since = 0.0  # when the present stretch of work began
        self._stage_at = 0.0  # seconds of work when the stage began
        self._thread: Thread | None = None
        self.output: Path | None = None

    @property
    def status(self) -> RenderStatus:
        """How far it is now."""
        with self._turn:
            return self._now()

    def _now(self) -> RenderStatus:
        status = self._status
        if status.state not in ("running", "stopping"):
            return status
        seconds = status.seconds + time.monotonic() - self._since
        spent = seconds - self._stage_at
        made = status.done - status.kept
        left = spent / made * (status.total - status.done) if made > 0 and status.total else None
        return replace(status, seconds=seconds, remaining=left)

    def start(self, source: Path, output: Path, settings: RestoreSettings) -> None:
        """Begin, or go on with what a stopped render of the same settings has finished.

        Raises:
            UsageError: one is running already.
        """
        with self._turn:
            if self._status.busy:
                raise UsageError("a render is running", "wait for it, or stop it")
            self._status, self._since, self._stage_at = RenderStatus("running"), time.monotonic(), 0.0
            self.output = None
            self._thread = Thread(target=self._run, args=(source, output, settings), name="render", daemon=True)
            self._thread.start()
        self._changed()

    def pause(self) -> None:
        """Hold after the frame in hand; nothing is lost."""
        self._set(("running",), "paused")

    def resume(self) -> None:
        """Go on after a pause."""
        self._set(("paused",), "running")

    def stop(self) -> None:
        """Stop after the frame in hand; finished segments stay for the next start."""
        self._set(("running", "paused"), "stopping")

    def close(self) -> None:
        """Stop, and wait for it."""
        self.stop()
        if self._thread is not None:
            self._thread.join(30)

    def _set(self, before: tuple[State, ...], after: State) -> None:
        with self._turn:
            if self._status.state not in before:
                return
            seconds = self._now().seconds
            self._status = replace(self._status, state=after, seconds=seconds, remaining=None)
            self._since = time.monotonic()
            self._turn.notify_all()
        self._changed()

    def _run(self, source: Path, output: Path, settings: RestoreSettings) -> None:
        try:
            report = restore(source, output, settings, _Watch(self))
            self._end("done", report=report)
        except StoppedError:
            self._end("stopped")
        except GpenvidError as error:
            self._end("failed", problem=error.message, remedy=error.remedy)
        except Exception as error:
            self._end("failed", problem=f"{type(error).__name__}: {error}", remedy="the terminal shows where it happened")
            raise

    def _end(self, state: State, *, problem: str = "", remedy: str = "", report: Report | None = None) -> None:
        with self._turn:
            seconds = self._now().seconds
            self._status = replace(self._status, state=state, seconds=seconds, problem=problem, remedy=remedy, report=report)
            self.output = Path(report.output) if report else None
        self._changed()

    def _update(self, change: Callable[[RenderStatus], RenderStatus]) -> None:
        with self._turn:
            while self._status.state == "paused":
                self._turn.wait()
            if self._status.state == "stopping":
                raise StoppedError("stopped from the preview")
            self._status = change(self._status)
        self._changed()

    def _begin_stage(self, name: str, total: int) -> None:
        self._update(lambda s: replace(s, stage=name, done=0, total=total))
        with self._turn:
            self._stage_at = self._now().seconds


class _Watch:
    """The render's progress: told by the job, and where it can be held."""

    def __init__(self, job: RenderJob) -> None:
        self._job = job

    def stage(self, name: str, total: int) -> None:
        self._job._begin_stage(name, total)

    def advance(self, frames: int, faces: int = 0) -> None:
        # Frames are made one at a time; finished segments are told of as a whole.
        kept = frames if frames > 1 else 0
        self._job._update(lambda s: replace(s, done=s.done + frames, kept=s.kept + kept, faces=s.faces + faces))

    def note(self, text: str) -> None:
        # Not through `_update`: what is said while stopping must not stop it again.
        with self._job._turn:
            self._job._status = replace(self._job._status, notes=(*self._job._status.notes, text))
        self._job._changed()


def default_output(clip: PreviewClip) -> Path:
    """Where `gpenvid restore` puts the result of this clip if it is not told."""
    return video_result(classify(clip.source), clip.info, None).path


def check_target(item: Input, output: Path) -> None:
    """Make sure that a render can be written there, before anything is shown.

    Raises:
        UsageError, InputError: it cannot; see `check_output` and `container_for_output`.
    """
    check_output(item, output, overwrite=True)
    if not wants_pictures(item, output):
        container_for_output(output)


def is_there(output: Path) -> bool:
    """Whether a render would replace something: a file, or a numbered picture that fits a pattern."""
    return is_on_disk(output) or (is_pattern(output) and bool(existing_numbers(output)))


def command_line(clip: PreviewClip, look: Look, output: Path | None) -> str:
    """The command that does from a shell what the page's render does, once the sidecar is saved."""
    settings, standard = look.settings(clip.settings), RestoreSettings()
    words = ["gpenvid", "restore", _path(clip.source), "--tracks", _path(clip.sidecar)]
    for name in ("model", "strength", "grain", "mask", "device", "dtype", "engine", "identity", "least_likeness"):
        value = getattr(settings, name)
        if value != getattr(standard, name):
            words += [f"--{name.replace('_', '-')}", f"{value:g}" if isinstance(value, float) else _path(value)]
    words += [] if settings.keep_colour else ["--color", "restored"]
    words += [] if settings.deflicker else ["--no-deflicker"]
    words += ["--deinterlace"] if settings.deinterlace else []
    words += ["-o", _path(output)] if output else []
    return shlex.join(words)


def _path(value: object) -> str:
    """A word of a command line that is not taken for an option."""
    return f"./{value}" if str(value).startswith("-") else str(value)
