"""What has been computed once: bounded in bytes, the least used going first."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from threading import Lock
from typing import Generic, TypeVar

import numpy as np
import torch

from gpenvid.restore.cards import ModelCard
from gpenvid.restore.restorer import Crop, Restorer, go_on

V = TypeVar("V")


class ByteCache(Generic[V]):
    """Values by key; the least recently used go when they take more than `budget` bytes together.

    Args:
        size: bytes a value takes.
    """

    def __init__(self, budget: int, size: Callable[[V], int]) -> None:
        self._budget = budget
        self._size = size
        self._held: OrderedDict[Hashable, V] = OrderedDict()
        self._lock = Lock()
        self.bytes = 0

    def get(self, key: Hashable) -> V | None:
        """The value, None where there is none (any more)."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
            return self._held.get(key)

    def put(self, key: Hashable, value: V) -> None:
        """Keep a value. One that is larger than the budget is kept until the next comes."""
        with self._lock:
            if key in self._held:
                self.bytes -= self._size(self._held.pop(key))
            self._held[key] = value
            self.bytes += self._size(value)
            while self.bytes > self._budget and len(self._held) > 1:
                self.bytes -= self._size(self._held.popitem(last=False)[1])


class RememberingRestorer(Restorer):
    """A restorer that runs the network once for each crop, however often it is asked.

    Crops are told apart by their content, so that nothing else (settings, people, which frames were asked for) can go stale.

    Args:
        restorer: what runs the network. One crop at a time, so that a result does not depend on what it was asked together with.
        cache: shared by the restorers of a preview.
        model: its name or path, by which it was asked for; weight files in two folders may have one name.
    """

    def __init__(self, restorer: Restorer, cache: ByteCache[Crop], model: str) -> None:
        self._restorer = restorer
        self._model = model
        self._cache = cache
        self.card: ModelCard = restorer.card
        self.size = restorer.size
        self.device: torch.device = restorer.device
        self.dtype = restorer.dtype
        self.engine = restorer.engine
        self.batch = restorer.batch
        self.report = restorer.report

    def restore(self, crops: Sequence[Crop], check: Callable[[], None] = go_on) -> list[Crop]:
        """See `Restorer.restore`."""
        results: list[Crop] = []
        for crop in crops:
            content = hashlib.blake2b(np.ascontiguousarray(crop).data, digest_size=16).digest()
            key = (self._model, content)
            restored = self._cache.get(key)
            if restored is None:
                restored = self._restorer.restore([crop], check)[0]
                self._cache.put(key, restored)
            results.append(restored)
        return results
