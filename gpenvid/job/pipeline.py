"""Stages that run at the same time, joined by queues that are bounded in bytes.

A stage is an iterator. `Pipeline.run` moves it into a thread of its own and gives back an iterator over the same items in the
same order, so a pipeline computes what its stages compute one after the other, byte for byte. The work itself (decoding,
network, OpenCV, encoding) is done by libraries that let other threads run meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import TypeVar

from gpenvid.media.frame import Frame

T = TypeVar("T")

_POLL = 0.5  # seconds: where waiting for a lock cannot be interrupted, signals are seen between two waits
QUEUE_BYTES = 24 << 20
"""What may wait between two stages: seventeen frames of 720p, or one of whatever is larger."""


def frame_bytes(frame: Frame) -> int:
    """What a picture's planes weigh."""
    return sum(plane.nbytes for plane in frame.planes)


@dataclass
class StageTimes:
    """What a stage did with its time.

    Attributes:
        name: as in the report.
        items: items it gave, or, for the last stage, took.
        busy: seconds of its own work.
        waited_for_input: seconds without anything to work on.
        waited_for_room: seconds in which the queue behind it was full.
        most_bytes: largest weight of the queue behind it.
    """

    name: str
    items: int = 0
    busy: float = 0.0
    waited_for_input: float = 0.0
    waited_for_room: float = 0.0
    most_bytes: int = 0


class _StoppedError(Exception):
    """The pipeline is being taken down; never leaves it."""


@dataclass(eq=False)
class _Queue:
    items: deque[tuple[object, int]] = field(default_factory=deque)
    weight: int = 0
    ended: bool = False
    error: BaseException | None = None


class Pipeline:
    """Runs iterators in threads. A context: at its end, for whatever reason, every thread has ended.

    The first error wins: what a stage raises reaches its consumer after the items before it, as it would without threads, and
    leaving the context stops all other stages.

    Args:
        last: name of the stage that consumes what the others make, in the thread that holds the context.
        queue_bytes: most bytes that wait between two stages; one item is always let through.

    Example:
        >>> with Pipeline("sum") as pipeline:
        ...     squares = pipeline.run("square", (i * i for i in range(4)), lambda _: 8)
        ...     sum(squares)
        14
    """

    def __init__(self, last: str, queue_bytes: int = QUEUE_BYTES) -> None:
        self.stages: list[StageTimes] = []
        self._limit = queue_bytes
        self._changed = threading.Condition()
        self._stopped = False
        self._threads: list[threading.Thread] = []
        self._last = StageTimes(last)
        self._by_thread: dict[int, StageTimes] = {}
        self._began = time.perf_counter()

    def __enter__(self) -> Pipeline:
        self._by_thread[threading.get_ident()] = self._last
        self._began = time.perf_counter()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        last = self._last
        last.busy = time.perf_counter() - self._began - last.waited_for_input
        self.stages.append(last)

    def check(self) -> None:
        """To be called now and then in work that takes long.

        Raises:
            Exception: of a private kind, to be let through, if the pipeline is being stopped.
        """
        if self._stopped:
            raise _StoppedError

    def run(self, name: str, items: Iterable[T], weigh: Callable[[T], int]) -> Iterator[T]:
        """Iterate in a thread of its own, from now on.

        Args:
            weigh: bytes that an item holds on to; 0 for a mark between items, which is not counted as one.

        Returns:
            the same items; raises what `items` raises, where it raises it.
        """
        stage, queue = StageTimes(name), _Queue()
        self.stages.append(stage)
        thread = threading.Thread(target=self._produce, args=(stage, queue, items, weigh), name=f"gpenvid {name}", daemon=True)
        self._threads.append(thread)
        thread.start()
        return self._consume(queue)

    def _produce(self, stage: StageTimes, queue: _Queue, items: Iterable[T], weigh: Callable[[T], int]) -> None:
        self._by_thread[threading.get_ident()] = stage
        began = time.perf_counter()
        try:
            try:
                for item in items:
                    self._put(stage, queue, item, weigh(item))
            finally:
                close = getattr(items, "close", None)
                if close is not None:
                    close()
        except _StoppedError:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again in the consumer's thread
            queue.error = error
        stage.busy = time.perf_counter() - began - stage.waited_for_input - stage.waited_for_room
        with self._changed:
            queue.ended = True
            self._changed.notify_all()

    def _put(self, stage: StageTimes, queue: _Queue, item: object, weight: int) -> None:
        began = time.perf_counter()
        with self._changed:
            while queue.items and queue.weight + weight > self._limit and not self._stopped:
                self._changed.wait(_POLL)
            self.check()
            stage.waited_for_room += time.perf_counter() - began
            queue.items.append((item, weight))
            queue.weight += weight
            stage.items += weight > 0
            stage.most_bytes = max(stage.most_bytes, queue.weight)
            self._changed.notify_all()

    def _consume(self, queue: _Queue) -> Iterator[T]:
        while True:
            stage = self._by_thread.get(threading.get_ident(), self._last)
            began = time.perf_counter()
            with self._changed:
                while not queue.items and not queue.ended and not self._stopped:
                    self._changed.wait(_POLL)
                self.check()
                stage.waited_for_input += time.perf_counter() - began
                if not queue.items:
                    break
                item, weight = queue.items.popleft()
                queue.weight -= weight
                self._changed.notify_all()
            if stage is self._last:
                stage.items += weight > 0
            yield item  # type: ignore[misc]  # what was put in as T
        if queue.error is not None:
            raise queue.error
