"""Recording a forward pass on a GPU once, so that starting its hundreds of kernels costs nothing afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor

Forward = Callable[[Tensor], Tensor]
Record = Callable[[Forward, Tensor], Forward]
"""Makes a faster form of a forward pass for inputs like the given one. What that form returns is overwritten by its next call."""

WORTH_IT = 8
"""Batches of one shape after which it is recorded: recording takes as long as some dozens of batches, and memory of its own."""

_WARM_UP = 3  # calls before recording, in which libraries choose their kernels and allocate
_SAME = 2e-2  # largest relative difference between recorded and direct form; bf16 rounds at 4e-3


def record_cuda_graph(forward: Forward, example: Tensor) -> Forward:
    """Record a forward pass as a CUDA graph.

    Raises:
        RuntimeError: if it cannot be recorded, or memory is short.
    """
    given = example.clone(memory_format=torch.preserve_format)
    aside = torch.cuda.Stream(example.device)  # type: ignore[no-untyped-call]
    aside.wait_stream(torch.cuda.current_stream(example.device))
    with torch.cuda.stream(aside):
        for _ in range(_WARM_UP):
            forward(given)
    torch.cuda.current_stream(example.device).wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    # On the stream that warmed up: PyTorch's own choice lies on whatever GPU was the current one when the first graph was recorded.
    with torch.cuda.graph(graph, stream=aside, capture_error_mode="thread_local"):  # other threads may use the GPU meanwhile
        result = forward(given)

    def replay(x: Tensor) -> Tensor:
        given.copy_(x)
        graph.replay()
        return result

    return replay


class RecordedForward:
    """A forward pass that is recorded for the shapes that come often. One that cannot be, or comes out different, runs directly.

    What a call returns is to be copied before the next call.
    """

    def __init__(self, forward: Forward, record: Record = record_cuda_graph) -> None:
        self._forward = forward
        self._record = record
        self._seen: Counter[torch.Size] = Counter()
        self._recorded: dict[torch.Size, Forward] = {}

    def __call__(self, x: Tensor) -> Tensor:
        recorded = self._recorded.get(x.shape)
        if recorded is not None:
            return recorded(x)
        result = self._forward(x)
        self._seen[x.shape] += 1
        if self._seen[x.shape] == WORTH_IT:
            self._try(x)
        return result

    def _try(self, x: Tensor) -> None:
        try:
            recorded = self._record(self._forward, x)
            # Not on what was recorded: a recording that ignores its input would give the right result for that.
            another = -x
            expected = self._forward(another).float()
            difference = float((recorded(another).float() - expected).norm() / expected.norm().clamp(min=1e-6))
        except RuntimeError:  # lack of memory among them
            return
        if difference <= _SAME:
            self._recorded[x.shape] = recorded

    def forget(self) -> None:
        """Give recorded passes and their memory back."""
        self._recorded.clear()
