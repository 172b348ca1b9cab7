"""The one worker: takes job after job from the queue, each in a process of its own."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from gpenvid.server.service.media_root import still_inside
from gpenvid.server.service.problems import NO_ROOM, for_clients
from gpenvid.server.service.process import Child
from gpenvid.server.service.settings import ServiceSettings
from gpenvid.server.service.store import FINISHED, Job, Store

_LOG = logging.getLogger("gpenvid.server")
_MOST_CRASHES = 3
_MOST_STARTS = 20
_MOST_NOTES = 20
_PAUSE = 10  # seconds
Wish = Literal["shutdown", "pause", "cancel", "delete"]
_GRAVITY: tuple[Wish, ...] = get_args(Wish)
"""What takes more away comes later: what is being removed can no longer be kept."""


@dataclass(frozen=True)
class Live:
    """How far the running job is.

    Attributes:
        stage: `starting`, `analyse`, `render`, `restore` or `assemble`.
        done, total: frames of the stage; 0 in total where unknown.
        faces: restored in this stage.
        notes: sentences for people.
    """

    stage: str = "starting"
    done: int = 0
    total: int = 0
    faces: int = 0
    notes: tuple[str, ...] = ()


@dataclass
class Totals:
    """Counts since the server was started, for the metrics."""

    finished: dict[str, int] = field(default_factory=dict)
    frames: int = 0
    faces: int = 0
    crashes: int = 0


class Runner:
    """The worker's thread.

    Args:
        store: the queue.
        settings: of the service.
    """

    def __init__(self, store: Store, settings: ServiceSettings) -> None:
        self._store = store
        self._settings = settings
        self._wake = threading.Condition()
        self._current: tuple[str, Child] | None = None
        self._wishes: dict[str, Wish] = {}
        self._live: dict[str, Live] = {}
        self._ending = False
        self._thread = threading.Thread(target=self._work, name="gpenvid jobs", daemon=True)
        self.totals = Totals()

    def start(self) -> None:
        """Begin."""
        self._store.requeue_running()
        for job in self._store.all_in("deleting"):
            self._erase(job.id)
        self._thread.start()

    def end(self) -> None:
        """Stop the running job, which a later start continues, and wait."""
        with self._wake:
            self._ending = True
            self._wake.notify_all()
            if self._current is not None:
                self._wishes.setdefault(self._current[0], "shutdown")
                self._current[1].stop()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    @property
    def alive(self) -> bool:
        """Whether jobs are being taken."""
        return self._thread.is_alive()

    def notify(self) -> None:
        """There is something new in the queue."""
        with self._wake:
            self._wake.notify_all()

    def live(self, job_id: str) -> Live | None:
        """How far a job is, None if it does not run."""
        return self._live.get(job_id)

    def folder(self, job_id: str) -> Path:
        """Where the files of a job are."""
        return self._settings.data / "jobs" / job_id

    def wish(self, job_id: str, wish: Wish) -> bool:
        """Pause, cancel or delete a job.

        Returns:
            False where its state does not allow that.
        """
        with self._wake:
            if wish == "delete" and self._store.change(job_id, among=("queued", "paused", *FINISHED), state="deleting"):
                self._erase(job_id)
                return True
            if wish == "cancel" and self._store.change(job_id, among=("queued", "paused"), state="cancelled", finished=_now()):
                self._count("cancelled")
                self._clear(job_id)
                return True
            if wish == "pause" and self._store.change(job_id, among=("queued",), state="paused"):
                return True
            if self._current is None or self._current[0] != job_id:
                return False
            if _GRAVITY.index(self._wishes.get(job_id, "shutdown")) > _GRAVITY.index(wish):
                return False
            self._wishes[job_id] = wish
            if wish == "delete":
                self._store.change(job_id, state="deleting")
            self._current[1].stop()
            return True

    def _work(self) -> None:
        while not self._ending:
            try:
                self._next()
            except Exception:  # noqa: BLE001 - a full disk, say: the worker must still be there when it is over
                _LOG.exception("the worker failed; it goes on in %d s", _PAUSE)
                with self._wake:
                    self._wake.wait(timeout=_PAUSE)
                    self._recover()

    def _recover(self) -> None:
        try:
            self._store.requeue_running()
        except sqlite3.Error:
            _LOG.exception("the queue cannot be written")

    def _next(self) -> None:
        """Do the job whose turn it is, or wait for one."""
        with self._wake:
            if self._ending:
                return
            job = self._store.next_queued()
            if job is None:
                self._wake.wait(timeout=60)
                return
            refusal = self._refusal(job)
            if refusal is not None:
                self._fail(job, *refusal)
                return
            self._store.change(job.id, state="running", started=job.started or _now(), starts=job.starts + 1)
            child = Child(self._settings.max_pixels)
            self._current = job.id, child
            self._live[job.id] = Live()
        last = None
        try:
            last = self._listen(job, child)
        finally:
            child.close()
            with self._wake:
                self._current = None
                self._live.pop(job.id, None)
                self._conclude(job, last, self._wishes.pop(job.id, None))

    def _refusal(self, job: Job) -> tuple[str, str] | None:
        """Why a job is not begun, as code and sentence."""
        if (self.folder(job.id) / job.result).exists():
            return None  # complete, though nobody could take note of it; its source may be gone already
        if job.starts >= _MOST_STARTS:
            return "crashed", f"the server ended {job.starts} times while the job ran"
        if (job.settings.get("model") or self._default_model) not in self._settings.model_names():
            return "settings", "its model is no longer offered"
        source, root = self.folder(job.id) / job.source, self._settings.media_root
        if job.media and (root is None or not source.is_symlink() or not still_inside(root, source.readlink())):
            return "input", f"{job.name}: is no longer under the media root"
        return None

    @property
    def _default_model(self) -> str:
        return next(iter(self._settings.model_names()))

    def _listen(self, job: Job, child: Child) -> dict[str, Any] | None:
        """Run a job and follow it; its last message, None if its process died."""
        folder = self.folder(job.id)
        settings = restore_settings(self._settings, job.settings)
        paths = {"source": str(folder / job.source), "output": str(folder / job.result), "report": str(folder / "report.json")}
        child.send(do="job", settings=settings, lock=str(self._settings.data / "work" / "lock"), **paths)
        for message in child.messages():
            before = self._live[job.id]
            if message["event"] == "progress":
                self._live[job.id] = Live(message["stage"], message["done"], message["total"], message["faces"], before.notes)
            elif message["event"] == "note":
                notes = (*before.notes, self._told(job, message["text"]))[-_MOST_NOTES:]
                self._live[job.id] = Live(**{**asdict(before), "notes": notes})
            else:
                return message
        return None

    def _conclude(self, job: Job, last: dict[str, Any] | None, wish: Wish | None) -> None:
        event = last["event"] if last else None
        if wish == "delete":
            self._erase(job.id)
        elif event == "done" and last is not None:
            self._done(job, last["report"])
        elif wish == "cancel":
            self._clear(job.id)
            self._store.change(job.id, state="cancelled", finished=_now())
            self._count("cancelled")
        elif wish is not None or event == "stopped":
            self._store.change(job.id, state="paused" if wish == "pause" else "queued")
        elif event == "error" and last is not None:
            told = NO_ROOM if last["kind"] == "space" else (self._told(job, last["message"]), self._told(job, last["remedy"]))
            self._fail(job, last["kind"], *told)
        else:
            self.totals.crashes += 1
            _LOG.error("the process of job %s died", job.id)
            if job.crashes + 1 >= _MOST_CRASHES:
                self._fail(job, "crashed", f"its process died {job.crashes + 1} times; memory may be short, or the file damaged")
            else:
                self._store.change(job.id, state="queued", crashes=job.crashes + 1)

    def _done(self, job: Job, report: dict[str, Any] | None) -> None:
        if report is not None:
            report = {k: self._without_paths(job, v) for k, v in report.items()} | {"source": job.name, "output": result_name(job)}
            self.totals.frames += report.get("frames", 0)
            self.totals.faces += report.get("faces", 0)
        folder = self.folder(job.id)
        size = (folder / job.result).stat().st_size
        (folder / job.source).unlink(missing_ok=True)  # an upload is of no use any more; for files under the media root it is a link
        self._store.change(job.id, state="done", finished=_now(), report=report, bytes=size, error=None)
        self._count("done")

    def _fail(self, job: Job, code: str, message: str, remedy: str = "") -> None:
        self._clear(job.id)
        self._store.change(job.id, state="failed", finished=_now(), error={"code": code, "message": message, "remedy": remedy})
        self._count("failed")

    def _count(self, state: str) -> None:
        self.totals.finished[state] = self.totals.finished.get(state, 0) + 1

    def _without_paths(self, job: Job, value: Any) -> Any:
        if isinstance(value, dict):
            return {k: self._without_paths(job, v) for k, v in value.items()}
        if isinstance(value, list):
            return [self._without_paths(job, v) for v in value]
        return self._told(job, value) if isinstance(value, str) else value

    def _told(self, job: Job, text: str) -> str:
        folder = self.folder(job.id)
        known = {str(folder / job.source): job.name, str(folder / job.result): result_name(job), str(folder): "the job's folder"}
        return for_clients(text, {**known, job.source: job.name, job.result: result_name(job)})

    def _clear(self, job_id: str) -> None:
        shutil.rmtree(self.folder(job_id), ignore_errors=True)

    def _erase(self, job_id: str) -> None:
        self._clear(job_id)
        self._store.remove(job_id)


def restore_settings(service: ServiceSettings, options: dict[str, Any]) -> dict[str, Any]:
    """`RestoreSettings` of a job, as JSON: the client's options, the operator's model files and device."""
    chosen = {k: v for k, v in options.items() if k not in ("model", "color") and v is not None}
    names = service.model_names()
    model = names[options.get("model") or next(iter(names))]
    return {**chosen, **service.opening(), "model": model, "keep_colour": options.get("color", "source") == "source"}


def result_name(job: Job) -> str:
    """What the result of a job is called for clients."""
    return Path(job.name).stem + "_restored" + Path(job.result).suffix


def _now() -> float:
    return round(time.time(), 3)
