"""Uploads are decoded in a process of their own: a file that makes a decoder crash takes nothing else with it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from gpenvid.server.service.problems import Problem, file_problem
from gpenvid.server.service.process import Child

_SECONDS = 60.0
_AT_ONCE = 2


class Inspector:
    """Looks at files before jobs are made of them.

    Args:
        max_pixels: frames larger than that are refused.
    """

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def facts(self, path: Path, name: str, settings: dict[str, Any]) -> dict[str, Any]:
        """What a file is; see `gpenvid.job.inspect.Facts`.

        Args:
            name: what the client calls it.
            settings: of the restoration, as JSON.

        Raises:
            Problem: 415, 413 or 422 for files and settings that no job can be made of.
        """
        async with self._turn:
            last = await asyncio.to_thread(self._ask, path, name, settings)
        if last is None or last["event"] == "stopped":
            raise Problem(415, "input", f"{name}: decoding it takes more time or memory than a video does", "check the file with a player")
        if last["event"] == "error":
            raise file_problem(last, name, [str(path)], self._max_pixels)
        facts: dict[str, Any] = last["facts"]
        return facts

    def _ask(self, path: Path, name: str, settings: dict[str, Any]) -> dict[str, Any] | None:
        child = Child(self._max_pixels)
        limit = child.kill_after(_SECONDS)
        try:
            child.send(do="inspect", path=str(path), name=name, settings=settings, max_pixels=self._max_pixels)
            *_, last = (None, *child.messages())
            return last
        finally:
            limit.cancel()
            child.close()
