"""The measurements as a picture."""

from __future__ import annotations

from pathlib import Path

from gpenvid.errors import UsageError
from gpenvid.job.bench.run import BenchResult


def has_charts() -> bool:
    """Whether matplotlib is here."""
    try:
        import matplotlib as _  # noqa: F401
    except ImportError:
        return False
    return True


def draw_chart(result: BenchResult, path: Path) -> None:
    """Draw milliseconds per face beside their floor, memory over pictures, and stages of the clips, into a PNG.

    Raises:
        UsageError: if matplotlib is not installed.
    """
    if not has_charts():
        raise UsageError("the chart needs matplotlib", 'pip install "gpenvid[bench]"')
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4), layout="constrained")
    FigureCanvasAgg(figure)
    speed, memory, stages = figure.subplots(1, 3)
    names = [f"{g.name} {g.dtype} {g.engine}" for g in result.generators]
    speed.barh(names, [min(g.ms_per_face.values()) for g in result.generators], label="measured, best number at once")
    floors = [result.floors[g.name][g.dtype].milliseconds for g in result.generators]
    speed.plot(floors, names, "k|", markersize=24, label="floor, one thread")
    speed.set(xlabel="ms per face", xscale="log")
    speed.legend(fontsize="small")
    if result.endurance:
        memory.plot([value / 2**20 for value in result.endurance.resident])
        memory.set(xlabel="picture", ylabel="resident MiB", ylim=(0, None))
    labels = [f"{c.width}x{c.height}, {c.faces} faces\n{c.model}" for c in result.clips]
    left = [0.0] * len(labels)
    for name in dict.fromkeys(n for c in result.clips for n in c.busy_ms):
        values = [c.busy_ms.get(name, 0.0) for c in result.clips]
        stages.barh(labels, values, left=left, label=name)
        left = [a + b for a, b in zip(left, values, strict=True)]
    stages.set(xlabel="busy ms per frame, by stage")
    stages.legend(fontsize="small")
    figure.savefig(path, dpi=80)
