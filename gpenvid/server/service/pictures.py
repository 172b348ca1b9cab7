"""Single pictures, answered at once by a process that keeps its models open."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpenvid.errors import UsageError, WeightsError
from gpenvid.server.service.files import TYPES
from gpenvid.server.service.problems import Problem, file_problem
from gpenvid.server.service.process import Child
from gpenvid.server.service.settings import ServiceSettings
from gpenvid.server.service.store import QueueFull

_PICTURES_PER_PROCESS = 500  # a fresh process now and then keeps memory flat, whatever libraries do

_OPENING_SECONDS = 600.0


@dataclass(frozen=True)
class Restored:
    """A restored picture: its file, and how many faces were restored and left alone."""

    path: Path
    faces: int
    skipped: int


class Pictures:
    """One picture at a time, beside the job that may be running.

    Args:
        settings: of the service.

    Attributes:
        waiting: requests that wait or are being answered.
        restored: pictures restored so far.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._child: Child | None = None
        self._done = 0
        self.waiting = 0
        self.restored = 0
        self._turn = asyncio.Lock()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place among those that wait.

        Raises:
            QueueFull: there is none.
        """
        if self.waiting >= self._settings.pictures:
            raise QueueFull
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1

    def check(self) -> None:
        """Make sure that all models open.

        Raises:
            WeightsError: one is missing or damaged.
            UsageError: one does not open for another reason.
        """
        settings = self._settings
        last = self._ask(_OPENING_SECONDS, do="check", models=settings.models, opening=settings.opening())
        if last is None or last["event"] != "done":
            if last is None:
                raise UsageError("the models cannot be opened", "run `gpenvid doctor`")
            kind = WeightsError if last.get("kind") == "weights" else UsageError
            raise kind(last["message"], last["remedy"])

    async def restore(self, source: Path, name: str, settings: dict[str, Any]) -> Restored:
        """Restore a picture; the result lies beside it.

        Args:
            name: what the client calls it.
            settings: of the restoration, as JSON.

        Raises:
            Problem: 413 or 415 no usable picture, 422 it cannot be restored.
        """
        async with self._turn:
            last = await asyncio.to_thread(self._timed, do="picture", source=str(source), settings=settings)
        if last is None:
            raise Problem(422, "crashed", f"the picture took longer than {self._settings.picture_seconds:g} s or more memory than there is")
        if last["event"] == "done":
            self.restored += 1
            return Restored(source.with_name(last["result"]), last["faces"], sum(last["skipped"].values()))
        raise file_problem(last, name, [f"{source}{suffix}" for suffix in ("", *TYPES)], self._settings.max_pixels)

    def close(self) -> None:
        """End the process."""
        if self._child is not None:
            self._child.close()
            self._child = None

    def _timed(self, **task: object) -> dict[str, Any] | None:
        if self._done >= _PICTURES_PER_PROCESS:
            self.close()
            self._done = 0
        self._done += 1
        return self._ask(self._settings.picture_seconds, **task)

    def _ask(self, seconds: float, **task: object) -> dict[str, Any] | None:
        if self._child is None or not self._child.alive:
            self.close()
            self._child = Child(self._settings.max_pixels)
        limit = self._child.kill_after(seconds)
        try:
            self._child.send(**task)
            *_, last = (None, *self._child.messages())
            return last
        finally:
            limit.cancel()
