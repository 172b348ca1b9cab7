"""How a job tells what it is doing."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives a job's progress. All methods are called from the job's own thread."""

    def stage(self, name: str, total: int) -> None:
        """A stage begins: `total` frames are expected, 0 where unknown."""
        ...

    def advance(self, frames: int, faces: int = 0) -> None:
        """So many more frames, and faces restored in them, are done."""
        ...

    def note(self, text: str) -> None:
        """Something the user should read now."""
        ...


class Silent:
    """Progress nobody watches."""

    def stage(self, name: str, total: int) -> None:
        """Nothing."""

    def advance(self, frames: int, faces: int = 0) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""
