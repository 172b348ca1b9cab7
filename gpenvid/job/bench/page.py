"""The measurements as Markdown and JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable

from gpenvid.job.bench.run import BenchResult

_MIB = 2**20


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def to_json(result: BenchResult) -> str:
    """Everything, as JSON text."""
    return json.dumps(dataclasses.asdict(result), indent=2)


def to_markdown(result: BenchResult) -> str:
    """Everything, as tables."""
    parts = [_machine(result), _generators(result), _stills(result), _endurance(result), _clips(result)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _machine(result: BenchResult) -> str:
    m = result.machine
    busy = f"load {m.load:.1f} when it began" if m.load >= 0 else "load not known"
    rates = ", ".join(f"{rate:.0f} GFLOP/s {name}" for name, rate in m.gflops.items())
    return (
        f"{m.processor}, {m.cores} cores, {m.threads} threads, device {m.device}; {m.system}, Python {m.python}, torch {m.torch}; {busy}. "
        f"Measured rates of one thread: {rates} in matrix products or convolutions, {m.bandwidth_gb:.1f} GB/s copying."
    )


def _generators(result: BenchResult) -> str:
    batches = sorted({b for g in result.generators for b in g.ms_per_face})
    head = ("generator", "crop", "format", "engine", "load s", "first s", *(f"ms a face, {b} at once" for b in batches), "faces/s")
    head += ("processor ms a face", "GFLOP", "MB", "floor ms", "processor / floor", "peak MiB", "device MiB", "error to fp32")
    rows = []
    for g in result.generators:
        floor = result.floors[g.name][g.dtype]
        speeds = tuple(f"{g.ms_per_face[b]:.1f}" if b in g.ms_per_face else "" for b in batches)
        error = "" if g.relative_error is None else f"{g.relative_error:.1e}, {g.psnr:.1f} dB"
        rows.append(
            (
                *(g.name, str(g.size), g.dtype, g.engine, f"{g.load_seconds:.2f}", f"{g.first_seconds:.2f}", *speeds),
                f"{1e3 / min(g.ms_per_face.values()):.1f}",
                f"{g.cpu_ms:.1f}",
                *(f"{floor.gflop:.1f}", f"{floor.megabytes:.0f}", f"{floor.milliseconds:.0f}"),
                f"{g.cpu_ms / floor.milliseconds:.2f}",
                *(f"{g.peak_resident / _MIB:.0f}", f"{g.peak_device / _MIB:.0f}", error),
            )
        )
    return "### Generator\n\n" + _table(head, rows)


def _stills(result: BenchResult) -> str:
    rows = (
        (f"{s.side}x{s.side}", s.model, s.error or f"{s.seconds:.2f}", str(s.faces), f"{s.peak_resident / _MIB:.0f}") for s in result.stills
    )
    return "### Stills\n\n" + _table(("picture", "restorer", "seconds, models loaded anew", "faces", "peak MiB"), rows)


def _endurance(result: BenchResult) -> str:
    e = result.endurance
    if e is None:
        return ""
    growth = f"memory grows by {e.bytes_per_picture / 1024:.1f} KiB a picture" if any(e.resident) else "memory not measured"
    return f"### Endurance\n\n{e.succeeded} of {e.pictures} pictures of 512x512 restored in one process; {growth} after the first five."


def _clips(result: BenchResult) -> str:
    stages = list(dict.fromkeys(name for c in result.clips for name in c.busy_ms))
    head = ("clip", "faces", "frames", "restorer", "fps end to end", "processor ms", *(f"{name} ms" for name in stages), "peak MiB")
    rows = (
        (
            *(f"{c.width}x{c.height}", str(c.faces), str(c.frames), c.model, f"{c.fps:.1f}", f"{c.cpu_ms:.0f}"),
            *(f"{c.busy_ms.get(name, 0):.1f}" for name in stages),
            f"{c.peak_resident / _MIB:.0f}",
        )
        for c in result.clips
    )
    note = "Milliseconds are per frame: of the processor over all threads, then of each stage by the clock, with what others took from it."
    return f"### Clips\n\n{note} Stages run at the same time; decoding is in both passes.\n\n{_table(head, rows)}"
