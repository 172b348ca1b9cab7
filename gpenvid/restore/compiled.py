"""The generator compiled by OpenVINO: another engine for CPUs, for those who install it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from queue import LifoQueue

import torch
from torch import Tensor

from gpenvid.restore.gpen import GpenGenerator
from gpenvid.restore.openvino_graph import gpen_graph
from gpenvid.restore.quiet_openvino import openvino

_LOOK_MS = 20  # between two looks whether the work is still wanted


class CompiledGenerator:
    """A GPEN generator for inference on a CPU, computed by OpenVINO.

    Args:
        network: in float32, on the CPU; it is not needed afterwards.
        dtype: `torch.float32` or `torch.bfloat16`, what convolutions are computed in.
        at_once: crops computed at the same time, each by threads of its own.
        threads: of all crops together.

    Calling it takes and returns RGB float32 tensors in [-1, 1], (N, 3, size, size), one crop after the other; call it from as many
    threads as it computes crops at once. The same crop gives the same bytes each time, whatever else is computed.
    """

    def __init__(self, network: GpenGenerator, dtype: torch.dtype, *, at_once: int, threads: int) -> None:
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if dtype == torch.bfloat16 else "f32",
            "NUM_STREAMS": at_once,
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_CPU_PINNING": False,  # decoder and encoder want these cores too
        }
        compiled = openvino.Core().compile_model(gpen_graph(network), "CPU", settings)
        self._requests: LifoQueue[openvino.InferRequest] = LifoQueue()
        for _ in range(at_once):
            self._requests.put(compiled.create_infer_request())

    def __call__(self, x: Tensor, check: Callable[[], None] = lambda: None) -> Tensor:
        """Restore crops; `check` is called while they are computed, and what it raises ends the work."""
        return torch.cat([self._restore(one, check) for one in torch.split(x, 1)])

    def _restore(self, x: Tensor, check: Callable[[], None]) -> Tensor:
        request = self._requests.get()
        try:
            crop = x.float().contiguous().numpy()  # named, because OpenVINO holds only its address
            request.set_input_tensor(openvino.Tensor(crop, shared_memory=True))
            request.start_async()
            try:
                while not request.wait_for(_LOOK_MS):
                    check()
            except BaseException:
                request.cancel()
                with suppress(RuntimeError):  # how a request says that it was cancelled
                    request.wait()
                raise
            return torch.from_numpy(request.get_output_tensor().data.copy())
        finally:
            self._requests.put(request)
