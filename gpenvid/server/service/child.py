"""The process that does the work: tasks come in as lines of JSON, what happens goes out the same way.

It ends when its standard input ends, so it cannot outlive its server, however that ended.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
import traceback
from functools import lru_cache
from pathlib import Path
from typing import Any

from gpenvid.errors import GpenvidError, InputError, NoRoomError, StoppedError, TooLargeError, UsageError, WeightsError
from gpenvid.server.service.settings import OPENING
from gpenvid.settings import RestoreSettings

STOP_SECONDS = 5.0
"""How long a stopped job may take to end by itself; after that the process ends, which a render survives at any moment."""

_KINDS = {"settings": UsageError, "space": NoRoomError, "too_many_pixels": TooLargeError, "input": InputError, "weights": WeightsError}
_TELL_EVERY = 0.2  # seconds between two messages about progress
_LOCK_SECONDS = 60.0
_INSPECT_MEMORY = 6 * 2**30  # bytes of address space; most of it is libraries
_INSPECT_SECONDS = 60  # of processor time


class Channel:
    """Both directions of the conversation with the server."""

    def __init__(self) -> None:
        # Libraries print; what they print must not end up between the messages.
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self._tasks: queue.Queue[dict[str, Any]] = queue.Queue()
        self._lock = threading.Lock()
        self.stopped = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in sys.stdin.buffer:
            task = json.loads(line)
            if task["do"] == "stop":
                self.stopped.set()
                timer = threading.Timer(STOP_SECONDS, os._exit, [130])
                timer.daemon = True
                timer.start()
            else:
                self._tasks.put(task)
        os._exit(130)

    def next_task(self) -> dict[str, Any]:
        """The next task, waited for."""
        return self._tasks.get()

    def tell(self, event: str, **values: object) -> None:
        """Send a message."""
        with self._lock:
            self._out.write(json.dumps({"event": event, **values}) + "\n")
            self._out.flush()


class _Told:
    """Progress that goes to the server, and ends the job when that is asked for."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._stage, self._total, self._done, self._faces = "", 0, 0, 0
        self._said = 0.0

    def stage(self, name: str, total: int) -> None:
        """A stage begins."""
        self._stage, self._total, self._done, self._faces = name, total, 0, 0
        self._tell()

    def advance(self, frames: int, faces: int = 0) -> None:
        """More is done."""
        self._done += frames
        self._faces += faces
        if time.monotonic() - self._said >= _TELL_EVERY:
            self._tell()
        self._check()

    def note(self, text: str) -> None:
        """A sentence for the client."""
        self._channel.tell("note", text=text)

    def _tell(self) -> None:
        self._said = time.monotonic()
        self._channel.tell("progress", stage=self._stage, done=self._done, total=self._total, faces=self._faces)
        self._check()

    def _check(self) -> None:
        if self._channel.stopped.is_set():
            raise StoppedError("stopped")


def main() -> None:
    """Do tasks until the server is gone."""
    channel = Channel()
    work = {"check": _check, "inspect": _inspect, "job": _job, "picture": _picture}
    while True:
        task = channel.next_task()
        try:
            channel.tell("done", **work[task["do"]](task, channel))
        except StoppedError:
            channel.tell("stopped")
        except GpenvidError as error:
            kind = next((kind for kind, of in _KINDS.items() if isinstance(error, of)), "failed")
            channel.tell("error", kind=kind, message=error.message, remedy=error.remedy)
        except Exception as error:  # noqa: BLE001 - whoever runs the server reads the trace, the client gets a sentence
            traceback.print_exc()
            full = isinstance(error, MemoryError)
            channel.tell(
                "error", kind="memory" if full else "internal", message="not enough memory" if full else "unexpected failure", remedy=""
            )


def _settings(task: dict[str, Any]) -> RestoreSettings:
    # What lies where the result goes is ours, from an earlier start of the same job.
    chosen: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in task["settings"].items()}
    return RestoreSettings(**{**chosen, "overwrite": True})


def _check(task: dict[str, Any], _channel: Channel) -> dict[str, Any]:
    """Make sure that all models are here, and open the first: jobs must neither fail for them nor begin downloads."""
    from gpenvid.job.models import is_here

    missing = [f"model {name}" for name in task["models"] if not is_here(name, "restorer")]
    detector = task["opening"]["detector"]
    missing += [] if is_here(detector, "detector") else [f"detector {detector}"]
    if missing:
        raise WeightsError(f"{missing[0]} is not here", "check the path, or run `gpenvid models get` with its name first")
    _models(RestoreSettings(model=task["models"][0], **task["opening"]))
    return {}


def _inspect(task: dict[str, Any], _channel: Channel) -> dict[str, Any]:
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_INSPECT_MEMORY, _INSPECT_MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (_INSPECT_SECONDS, _INSPECT_SECONDS))
    from dataclasses import asdict

    from gpenvid.job.inspect import inspect_file

    facts = inspect_file(Path(task["path"]), _settings(task), name=task["name"], max_pixels=task["max_pixels"])
    return {"facts": asdict(facts)}


def _job(task: dict[str, Any], channel: Channel) -> dict[str, Any]:
    from gpenvid.job.whole import write_whole
    from gpenvid.job.work import clean_up_after_success
    from gpenvid.lock import FileLock

    output, kept = Path(task["output"]), Path(task["report"])
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            lock = FileLock(Path(task["lock"]), output)
            break
        except UsageError:
            # The process of a server that was killed needs a moment to notice.
            if time.monotonic() > deadline or channel.stopped.is_set():
                raise
            time.sleep(0.1)
    try:
        clean_up_after_success(output)
        if output.exists():  # only what is complete has this name: the server was killed before it could take note
            return {"report": json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else None}
        from gpenvid.job.restore import restore

        report = restore(task["source"], output, _settings(task), _Told(channel)).to_json()
        write_whole(kept, report)
        return {"report": json.loads(report)}
    finally:
        lock.release()


def _picture(task: dict[str, Any], _channel: Channel) -> dict[str, Any]:
    from gpenvid.job.inputs import classify
    from gpenvid.job.inspect import picture_suffix
    from gpenvid.job.progress import Silent
    from gpenvid.job.stills import restore_pictures

    source = Path(task["source"])
    suffix = picture_suffix(source)
    if suffix is None:
        raise InputError(f"{source}: no picture of a known kind", "send PNG, JPEG, TIFF or WebP; videos go into the queue")
    # OpenCV goes by the name when it writes, and so it does when the result is made.
    named = source.rename(source.with_suffix(suffix))
    settings = _settings(task)
    output = source.with_name(f"result{suffix}")
    models = _models(RestoreSettings(model=settings.model, **{name: getattr(settings, name) for name in OPENING}))
    report = restore_pictures(classify(named), output, settings, models, Silent())
    return {"result": output.name, "faces": report.faces, "skipped": report.skipped}


@lru_cache(maxsize=2)
def _models(settings: RestoreSettings) -> Any:
    from gpenvid.job.models import open_models
    from gpenvid.job.progress import Silent

    return open_models(settings, Silent(), few=True)
