"""A restorer: a network with its card, that takes crops in any number and gives them back better."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Barrier, Event

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpenvid.errors import EngineError, UsageError, WeightsError, naming
from gpenvid.restore.cards import ModelCard
from gpenvid.restore.choices import DTYPES, Dtype, Engine, choose_device, choose_dtype, choose_engine, openvino_version, reason_of
from gpenvid.restore.fused import FusedGenerator
from gpenvid.restore.gpen import GpenGenerator, generator_from_state_dict
from gpenvid.restore.graphs import RecordedForward
from gpenvid.restore.heap import keep_freed_memory
from gpenvid.restore.weights import check_network, read_state_dict

Crop = NDArray[np.float32]
"""(S, S, 3) float32, RGB, in [0, 1]."""


_ALONE = 1024  # size of crop from which one gets all threads


def go_on() -> None:
    """Nothing stops the work."""


@dataclass
class BatchReport:
    """What happened while running.

    Attributes:
        crops: crops restored.
        shrunk: times a batch had to be halved for lack of device memory.
    """

    crops: int = 0
    shrunk: int = 0


@lru_cache(maxsize=4)
def _crop_threads(count: int) -> ThreadPoolExecutor:
    """Threads that restore a crop each. Kept: every new thread brings a heap of its own."""
    usual, begun = torch.get_num_threads(), Barrier(count + 1, timeout=60)
    pool = ThreadPoolExecutor(count, "gpenvid crop", _keep_to_one_thread)
    for _ in range(count):
        pool.submit(begun.wait)
    begun.wait()
    # What a thread sets for itself is what all begin with that start later: they are to have what this one has.
    torch.set_num_threads(usual)
    return pool


def _keep_to_one_thread() -> None:
    torch.get_num_threads()  # a thread that first asks later would be given the usual number then
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_crop_threads.cache_clear)  # a forked process has none of the threads


class Restorer:
    """Runs a GPEN generator over crops.

    Args:
        network: the generator, in float32.
        card: its facts.
        device, dtype: where and in what it runs.
        batch: most crops at once; 0 chooses (on a CPU as many as PyTorch has threads there).
        engine: what computes it on a CPU.

    Attributes:
        engine: the engine, with its version where it is not PyTorch.
        instead: why PyTorch computes it although another engine is installed and would be faster; empty otherwise.

    On a CPU each crop has a thread of its own: batches leave the caches, and threads that share one crop wait for each other, several
    times longer than they work where other programs want the cores too. It also makes the result independent of the number of cores.
    Only networks from 1024 on get all threads for one crop, because several such crops would fill the memory.

    On a GPU batches travel through pinned memory and run channels-last; a shape that comes often is recorded as a graph.
    """

    def __init__(
        self, network: GpenGenerator, card: ModelCard, *, device: torch.device, dtype: Dtype, batch: int = 0, engine: Engine = "torch"
    ) -> None:
        self.card = card
        self.size = network.shape.size
        self.device = device
        self.dtype = dtype
        self.report = BatchReport()
        self._pool: ThreadPoolExecutor | None = None
        self.instead = ""
        self.engine = "torch" if engine == "torch" else f"openvino {openvino_version()}"
        self._network: RecordedForward | Callable[[Tensor, Callable[[], None]], Tensor]
        if device.type == "cpu":
            keep_freed_memory()
            self.batch = 1 if self.size >= _ALONE else batch or torch.get_num_threads()
            self._network = self._on_cpu(network, engine)
            if self.size < _ALONE:
                self._pool = _crop_threads(self.batch)
        else:
            _compute_exactly()
            self._network = RecordedForward(network.to(device).fold(DTYPES[dtype]))
            self.batch = batch or max(1, 16 * 512 * 512 // self.size**2)

    def _on_cpu(self, network: GpenGenerator, engine: Engine) -> Callable[[Tensor, Callable[[], None]], Tensor]:
        if engine == "torch":
            return FusedGenerator(network, DTYPES[self.dtype])
        try:
            from gpenvid.restore.compiled import CompiledGenerator

            threads = torch.get_num_threads() if self.size >= _ALONE else self.batch
            return CompiledGenerator(network, DTYPES[self.dtype], at_once=self.batch, threads=threads)
        except (ImportError, RuntimeError) as error:
            raise EngineError(
                f"OpenVINO cannot be used here ({reason_of(error)})", "choose --engine torch, or install OpenVINO anew"
            ) from error

    def restore(self, crops: Sequence[Crop], check: Callable[[], None] = go_on) -> list[Crop]:
        """Restore crops (size, size, 3) float32 RGB in [0, 1]; the results are clipped to that range.

        The same crop gives the same result in every batch, within the rounding of its number format.

        Args:
            check: called now and then; what it raises ends the work.
        """
        if self._pool is not None:
            self.report.crops += len(crops)
            return self._run_each(self._pool, crops, check)
        results: list[Crop] = []
        position = 0
        while position < len(crops):
            check()
            part = crops[position : position + self.batch]
            try:
                results += self._run(part, check)
            except torch.OutOfMemoryError as error:
                if len(part) == 1:
                    remedy = "choose --device cpu or a smaller --model"
                    raise UsageError(f"{self.card.name} does not fit into the memory of {self.device}", remedy) from error
                self.batch = len(part) // 2
                self.report.shrunk += 1
                if isinstance(self._network, RecordedForward):
                    self._network.forget()
                torch.cuda.empty_cache()
                continue
            position += len(part)
        self.report.crops += len(crops)
        return results

    def _run_each(self, pool: ThreadPoolExecutor, crops: Sequence[Crop], check: Callable[[], None]) -> list[Crop]:
        left = Event()

        def going_on() -> None:
            if left.is_set():
                raise CancelledError
            check()

        try:
            return list(pool.map(lambda crop: self._run([crop], going_on)[0], crops))
        except BaseException:
            left.set()  # or an interrupted process would wait for crops that nobody wants
            raise

    def _run(self, crops: Sequence[Crop], check: Callable[[], None]) -> list[Crop]:
        # Pinned memory and recordings belong to the GPU that is the current one.
        with torch.inference_mode(), torch.cuda.device(self.device) if self.device.type == "cuda" else nullcontext():
            return self._forward(crops, check)

    def _forward(self, crops: Sequence[Crop], check: Callable[[], None]) -> list[Crop]:
        batch = torch.from_numpy(np.stack(crops))
        on_gpu = self.device.type == "cuda"
        if on_gpu:
            # Pinned memory is copied without a detour, and without this thread.
            batch = batch.pin_memory().to(self.device, non_blocking=True)
        x = batch.permute(0, 3, 1, 2).mul(2).sub(1)
        check()
        if isinstance(self._network, RecordedForward):
            y = self._network(x.to(DTYPES[self.dtype], memory_format=torch.channels_last))
        else:
            y = self._network(x, check)
        y = y.float().add(1).div(2).clamp(0, 1).permute(0, 2, 3, 1).contiguous()
        if on_gpu:
            result = torch.empty(y.shape, pin_memory=True).copy_(y, non_blocking=True)
            torch.cuda.current_stream(self.device).synchronize()
            return list(result.numpy())
        return list(y.numpy())


def _compute_exactly() -> None:
    """Let convolutions in float32 be computed in float32 on GPUs, in the whole process: TF32 keeps ten bits."""
    if hasattr(torch.backends.cudnn, "conv"):  # not read first: that fails where a program has used both of PyTorch's ways to say it
        torch.backends.cudnn.conv.fp32_precision = "ieee"
    else:
        torch.backends.cudnn.allow_tf32 = False


def load_restorer(
    card: ModelCard, path: Path, *, device: str = "auto", dtype: str = "auto", batch: int = 0, engine: str = "auto", few: bool = False
) -> Restorer:
    """Open a weight file as a restorer.

    Args:
        card, path: the model's facts and its file.
        device, dtype, engine, few: see `choices.py`.
        batch: see `Restorer`.

    Raises:
        WeightsError: if the file is damaged, unsafe or of another network.
        UsageError: if the device, number format or engine is not to be had. An engine that does not work is named only
            where it was asked for; with `auto` PyTorch does its work (`Restorer.instead`).
    """
    where = choose_device(device)
    chosen = choose_engine(engine, where, few=few)
    state = read_state_dict(path)
    check_network(card, path, state)
    with naming(path, WeightsError):
        network = generator_from_state_dict(state)
    format_ = choose_dtype(dtype, card, where)
    try:
        return Restorer(network, card, device=where, dtype=format_, batch=batch, engine=chosen)
    except EngineError as error:
        if engine != "auto":
            raise
        restorer = Restorer(network, card, device=where, dtype=format_, batch=batch)
        restorer.instead = f"{error.message}; PyTorch restores, more slowly"
        return restorer
