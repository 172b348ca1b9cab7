"""The parts of one service, opened and closed together."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from gpenvid.errors import InputError
from gpenvid.lock import FileLock
from gpenvid.server.service.inspection import Inspector
from gpenvid.server.service.pictures import Pictures
from gpenvid.server.service.retention import remove_strangers
from gpenvid.server.service.runner import Runner
from gpenvid.server.service.settings import ServiceSettings
from gpenvid.server.service.store import Store

_MOST_STREAMS = 64


class Service:
    """Queue, worker and folders of a service.

    Args:
        settings: see `ServiceSettings`.

    Raises:
        UsageError: another service uses the data folder.
        WeightsError: a model is missing or damaged.
        InputError: the data folder cannot be written to, or its queue not be read.

    Attributes:
        streams: places for clients that follow a job.
        stopping: set when no more requests are taken; streams end then.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self.settings = settings
        self.stopping = False
        self.streams = threading.BoundedSemaphore(_MOST_STREAMS)
        self._open = True
        try:
            settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in ("jobs", "pictures", "work"):
                (settings.data / name).mkdir(mode=0o700, exist_ok=True)
            self._lock = FileLock(settings.data / "lock", settings.data, "end that service, or name another --data")
        except OSError as error:
            raise InputError(f"{settings.data}: cannot be written to ({error.strerror})", "choose another --data") from error
        try:
            self.pictures = Pictures(settings)
            self.store = Store(settings.data / "jobs.sqlite3", settings.queue)
            try:
                remove_strangers(settings.data, self.store)
                self.pictures.check()
            except BaseException:
                self.store.close()
                raise
        except BaseException as error:
            self.pictures.close()
            self._lock.release()
            if isinstance(error, sqlite3.Error):
                raise InputError(f"{settings.data}: the queue cannot be read ({error})", "use another --data") from error
            raise
        self.inspector = Inspector(settings.max_pixels)
        self.runner = Runner(self.store, settings)

    def stop_streams(self) -> None:
        """The server is about to stop."""
        self.stopping = True

    def close(self) -> None:
        """Stop the running job, which the next start continues, and let go of everything. Once is enough, twice does no harm."""
        if not self._open:
            return
        self._open = False
        self.runner.end()
        self.pictures.close()
        self.store.close()
        self._lock.release()

    def folder(self, job_id: str) -> Path:
        """Where the files of a job are."""
        return self.runner.folder(job_id)
