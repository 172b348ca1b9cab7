"""Jobs in SQLite. What is in here survives the server."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from gpenvid.errors import InputError

State = Literal["queued", "running", "paused", "done", "failed", "cancelled", "deleting"]
FINISHED: tuple[State, ...] = ("done", "failed", "cancelled")
_VERSION = 1
_TABLE = """
CREATE TABLE jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    source TEXT NOT NULL,
    media TEXT NOT NULL,
    result TEXT NOT NULL,
    settings TEXT NOT NULL,
    created REAL NOT NULL,
    started REAL,
    finished REAL,
    frames INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    starts INTEGER NOT NULL,
    crashes INTEGER NOT NULL,
    report TEXT,
    error TEXT
);
CREATE INDEX by_state ON jobs (state);
"""


@dataclass(frozen=True)
class Job:
    """One job on record.

    Attributes:
        id: random, 32 hexadecimal digits.
        name: what the client calls the source.
        kind: `video` or `still`.
        source: file name of the source in the job's folder; a link for files under the media root.
        media: the client's path under the media root; empty for uploads.
        result: file name of the result in the job's folder.
        settings: options as the client gave them.
        created, started, finished: seconds since 1970.
        frames: expected, 0 where unknown.
        bytes: of the result.
        starts: how often it was begun.
        crashes: how often its process died.
        report: of the restoration, once done.
        error: code, message and remedy, once failed.
    """

    id: str
    name: str
    kind: str
    source: str
    result: str
    settings: dict[str, Any]
    created: float
    media: str = ""
    state: State = "queued"
    started: float | None = None
    finished: float | None = None
    frames: int = 0
    bytes: int = 0
    starts: int = 0
    crashes: int = 0
    report: dict[str, Any] | None = None
    error: dict[str, str] | None = None


_COLUMNS = tuple(f.name for f in fields(Job))
_JSON = ("settings", "report", "error")


class QueueFull(Exception):  # noqa: N818 - an answer
    """No place in the queue."""


class Store:
    """The queue on disk. Methods may be called from any thread.

    Args:
        path: the database file, made where there is none.
        queue: jobs that may wait; uploads under way count.

    Raises:
        InputError: the file is no such database, or of a later version.
    """

    def __init__(self, path: Path, queue: int) -> None:
        self._lock = threading.RLock()
        self._queue = queue
        self._reserved = 0
        try:
            self._base = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=30)
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.execute("PRAGMA synchronous=FULL")  # a job that was accepted must not be lost with the power
            (version,) = self._base.execute("PRAGMA user_version").fetchone()
            if version not in (0, _VERSION):
                raise InputError(f"{path}: written by a later gpenvid", "use that one, or another --data")
            if version == 0:
                self._base.executescript(f"BEGIN;{_TABLE}PRAGMA user_version={_VERSION};COMMIT;")
        except sqlite3.Error as error:
            raise InputError(f"{path}: the queue cannot be opened ({error})", "use another --data, or remove the file") from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._base.close()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place in the queue for a job that is on its way in.

        Raises:
            QueueFull: there is none.
        """
        with self._lock:
            (waiting,) = self._base.execute("SELECT count(*) FROM jobs WHERE state='queued'").fetchone()
            if waiting + self._reserved >= self._queue:
                raise QueueFull
            self._reserved += 1
        try:
            yield
        finally:
            with self._lock:
                self._reserved -= 1

    def add(self, job: Job) -> None:
        """Take a job into the queue; the caller holds a `place`."""
        values = [json.dumps(v) if n in _JSON and (v := getattr(job, n)) is not None else getattr(job, n) for n in _COLUMNS]
        with self._lock:
            self._base.execute(f"INSERT INTO jobs ({','.join(_COLUMNS)}) VALUES ({','.join('?' * len(values))})", values)

    def get(self, job_id: str) -> Job | None:
        """A job by its id."""
        return next(iter(self._select("WHERE id=?", job_id)), None)

    def newest(self, state: str | None, limit: int, offset: int) -> list[Job]:
        """Jobs, newest first, those being deleted left out."""
        if state is None:
            return self._select("WHERE state!='deleting' ORDER BY number DESC LIMIT ? OFFSET ?", limit, offset)
        return self._select("WHERE state=? ORDER BY number DESC LIMIT ? OFFSET ?", state, limit, offset)

    def all_in(self, *states: State) -> list[Job]:
        """All jobs in some states, oldest first."""
        return self._select(f"WHERE state IN ({','.join('?' * len(states))}) ORDER BY number", *states)

    def next_queued(self) -> Job | None:
        """The job whose turn it is."""
        return next(iter(self._select("WHERE state='queued' ORDER BY number LIMIT 1")), None)

    def change(self, job_id: str, *, among: tuple[State, ...] | None = None, **values: Any) -> bool:
        """Set columns of a job.

        Args:
            among: only if it is in one of these states.

        Returns:
            whether it was.
        """
        names = ",".join(f"{n}=?" for n in values)
        given = [json.dumps(v) if n in _JSON and v is not None else v for n, v in values.items()]
        where = f" AND state IN ({','.join('?' * len(among))})" if among is not None else ""
        with self._lock:
            return self._base.execute(f"UPDATE jobs SET {names} WHERE id=?{where}", [*given, job_id, *(among or ())]).rowcount > 0

    def remove(self, job_id: str) -> None:
        """Forget a job."""
        with self._lock:
            self._base.execute("DELETE FROM jobs WHERE id=?", [job_id])

    def counts(self) -> dict[str, int]:
        """How many jobs are in each state."""
        with self._lock:
            return dict(self._base.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall())

    def requeue_running(self) -> None:
        """After a restart: what was running is queued again, and comes first because it is oldest."""
        with self._lock:
            self._base.execute("UPDATE jobs SET state='queued' WHERE state='running'")

    def _select(self, rest: str, *values: object) -> list[Job]:
        with self._lock:
            rows = self._base.execute(f"SELECT {','.join(_COLUMNS)} FROM jobs {rest}", values).fetchall()
        return [
            Job(**{n: json.loads(v) if n in _JSON and v is not None else v for n, v in zip(_COLUMNS, row, strict=True)}) for row in rows
        ]
