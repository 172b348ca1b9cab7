"""Who runs when, where two processes share the tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    from fcntl import LOCK_EX, LOCK_SH, LOCK_UN, flock
except ImportError:  # Windows: the tests that want to be alone are not run there
    flock = None  # type: ignore[assignment]


@contextmanager
def turn(folder: Path, *, alone: bool) -> Iterator[None]:
    """Run one test beside those of other processes, or wait until none runs and hold them off.

    Args:
        folder: where all processes of the run have their locks.
        alone: whether nothing else may run meanwhile.
    """
    if flock is None:
        yield
        return
    with (folder / "door").open("a") as door, (folder / "room").open("a") as room:
        # Who waits to be alone stands in the door, or the others would go in one after the other before it.
        flock(door, LOCK_EX)
        flock(room, LOCK_EX if alone else LOCK_SH)
        flock(door, LOCK_UN)
        try:
            yield
        finally:
            flock(room, LOCK_UN)
