"""One process at a time on one file. The system lets go of a lock when its process ends, however it ends."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gpenvid.errors import UsageError

_HELD = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK}  # the last two are Windows' and System V's words for it

_POLL = 0.1  # seconds


def _lock(descriptor: int) -> None:
    """Lock an open file at once or not at all.

    Raises:
        OSError: if another process holds it.
    """
    if sys.platform == "win32":
        import msvcrt

        # A byte far behind the content: locked bytes cannot be read, and the content tells people who holds the lock.
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class FileLock:
    """An exclusive lock on a file beside what it guards; held until `release`.

    Args:
        path: the lock file; its folder is made where there is none.
        guarded: what two processes may not write at once, for the message.
        remedy: what to do where another one does.

    Raises:
        UsageError: another process holds the lock.
        OSError: the file cannot be made, or its file system knows no locks.
    """

    def __init__(self, path: Path, guarded: Path, remedy: str = "wait for it, or name another -o") -> None:
        self._path = path
        while True:
            path.parent.mkdir(exist_ok=True)
            try:
                self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            except FileNotFoundError:
                continue  # the process that held it has just finished and removed the folder
            try:
                _lock(self._descriptor)
            except OSError as error:
                if error.errno not in _HELD:
                    os.close(self._descriptor)
                    raise
                os.close(self._descriptor)
                try:
                    holder = path.read_text(errors="replace").strip()
                except FileNotFoundError:
                    continue  # so had this one
                whose = f" (process {holder})" if holder else ""
                raise UsageError(f"{guarded}: another gpenvid{whose} is writing it", remedy) from error
            # Between opening and locking the file may have been removed; a lock on it would guard nothing.
            if path.exists() and os.path.samestat(os.fstat(self._descriptor), path.stat()):
                break
            os.close(self._descriptor)
        try:
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            os.write(self._descriptor, str(os.getpid()).encode())
        except OSError:
            os.close(self._descriptor)
            raise

    def release(self, *, remove: bool = False) -> None:
        """Let go of the lock.

        Args:
            remove: the lock file goes too.
        """
        if remove and sys.platform != "win32":
            self._path.unlink(missing_ok=True)  # while it is still held: nobody can take a lock on a name that goes
        os.close(self._descriptor)
        if remove and sys.platform == "win32":
            try:
                self._path.unlink(missing_ok=True)
            except PermissionError:
                return  # the next process has it open already, and the folder is its own now


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Do something that only one process or thread may do at a time, after waiting for the others.

    Where the lock file cannot be made, or its file system knows no locks, it is done without: what then fails says why itself.

    Args:
        path: the lock file, removed afterwards.
    """
    lock = None
    while lock is None:
        try:
            lock = FileLock(path, path)
        except UsageError:
            time.sleep(_POLL)
        except OSError:
            break
    try:
        yield
    finally:
        if lock is not None:
            lock.release(remove=True)
