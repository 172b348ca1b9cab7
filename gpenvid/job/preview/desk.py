"""One worker for all pictures of a preview: what is looked at now comes first, what may be looked at next when nothing else waits."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Condition, Thread

import torch

from gpenvid.job.preview.cache import ByteCache

Work = Callable[[], bytes]

_FINISHED = 160 << 20  # bytes of pictures as they are sent: 500 JPEG of 1080p


class SupersededError(Exception):
    """Nobody waits for this picture any more: the same view wants another one."""


@dataclass(eq=False)
class _Wish:
    key: Hashable
    work: Work
    view: str
    rank: int
    keep: bool = True
    future: Future[bytes] = field(default_factory=Future)


class Desk:
    """Computes pictures one at a time, in a thread of its own, and keeps them.

    Each view (a window's left picture, its right one) has at most one wish waiting: a new one takes the place of the old. Of
    several wishes the lowest rank is first, and among those the newest.
    """

    def __init__(self) -> None:
        self._wishes: list[_Wish] = []
        self._ahead: Iterator[tuple[Hashable, Work]] = iter(())
        self._made: ByteCache[bytes] = ByteCache(_FINISHED, len)
        self._changed = Condition()
        self._open = True
        self._patient = False
        self._threads = torch.get_num_threads()
        self._thread = Thread(target=self._run, name="preview", daemon=True)
        self._thread.start()

    @property
    def patient(self) -> bool:
        """Whether something else needs the processor: nothing is computed ahead then."""
        return self._patient

    @patient.setter
    def patient(self, patient: bool) -> None:
        with self._changed:
            self._patient = patient
            self._changed.notify()

    def ask(self, key: Hashable, work: Work, *, view: str, rank: int = 0, keep: bool = True) -> Future[bytes]:
        """Wish for a picture.

        Args:
            key: what it is; a picture made before is given at once.
            view: who looks; empty for nobody whose wish another one replaces.
            rank: 0 for what is looked at now, higher for what can wait.
            keep: whether it may be asked for again.

        Returns:
            the picture to be; its error is `SupersededError` where the view wished for another one meanwhile.
        """
        wish = _Wish(key, work, view, rank, keep)
        made = self._made.get(key)
        with self._changed:
            outdated = [w for w in self._wishes if view and w.view == view]
            self._wishes = [w for w in self._wishes if w not in outdated]
            if made is None and self._open:
                self._wishes.append(wish)
                self._changed.notify()
        for old in outdated:
            _give_up(old)
        if made is not None:
            wish.future.set_result(made)
        elif not self._open:
            wish.future.set_exception(SupersededError())
        return wish.future

    def look_ahead(self, wishes: Iterable[tuple[Hashable, Work]]) -> None:
        """Compute these when nothing is asked for, in this order; replaces what was named before.

        Args:
            wishes: gone through by the desk's own thread, as far as it comes.
        """
        with self._changed:
            self._ahead = iter(wishes)
            self._changed.notify()

    def close(self) -> None:
        """Stop; whoever waits is told so."""
        with self._changed:
            self._open = False
            waiting, self._wishes, self._ahead = self._wishes, [], iter(())
            self._changed.notify()
        for wish in waiting:
            _give_up(wish)
        self._thread.join()

    def _run(self) -> None:
        # A thread that first asks while the analysis runs on one would keep that: so it asks, and then has its own number.
        torch.get_num_threads()
        torch.set_num_threads(self._threads)
        while (wish := self._next()) is not None:
            if not wish.future.set_running_or_notify_cancel():
                continue  # who asked has gone
            made = self._made.get(wish.key)
            if made is None:
                try:
                    made = wish.work()
                except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to who asked
                    wish.future.set_exception(error)
                    continue
                if wish.keep:
                    self._made.put(wish.key, made)
            wish.future.set_result(made)

    def _next(self) -> _Wish | None:
        with self._changed:
            while self._open:
                if self._wishes:
                    least = min(w.rank for w in self._wishes)
                    wish = [w for w in self._wishes if w.rank == least][-1]
                    self._wishes.remove(wish)
                    return wish
                while not self._patient and (ahead := next(self._ahead, None)):
                    key, work = ahead
                    if self._made.get(key) is None:
                        return _Wish(key, work, "", 9)
                self._changed.wait()
        return None


def _give_up(wish: _Wish) -> None:
    if wish.future.set_running_or_notify_cancel():
        wish.future.set_exception(SupersededError())
