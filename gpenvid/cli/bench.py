"""The command `gpenvid bench`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(bench)


def bench(
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder for bench.md, bench.json and bench.png.")] = None,
    model: Annotated[str, typer.Option(help="Restorer by name, or a GPEN weight file.")] = "gpen-lite-256",
    sizes: Annotated[str, typer.Option(help="Official GPEN layouts to measure too, with random weights: 256,512,1024,2048.")] = "256,512",
    dtype: Annotated[str, typer.Option(help="Number formats: fp32,bf16; by default bf16 only where it is computed in hardware.")] = "",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    quick: Annotated[bool, typer.Option("--quick", help="About a minute: the restorer, small stills and a short clip only.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the result, warnings and errors only.")] = False,
) -> None:
    """Measure what restoring costs on this machine: per face, still and clip, in time and memory, beside what the machine could do."""
    from gpenvid.cli.console import ConsoleProgress
    from gpenvid.errors import InputError, UsageError
    from gpenvid.job.bench.chart import draw_chart, has_charts
    from gpenvid.job.bench.page import to_json, to_markdown
    from gpenvid.job.bench.run import BenchSettings, run_bench
    from gpenvid.job.progress import Silent

    try:
        chosen = tuple(int(part) for part in sizes.split(",") if part.strip())
    except ValueError as error:
        raise UsageError(f"--sizes {sizes} is no list of numbers", "write it like 256,512") from error
    formats = tuple(part.strip() for part in dtype.split(",") if part.strip())
    settings = BenchSettings(model, chosen, formats, device, quick)
    if quick:
        settings = replace(settings, sizes=())
    progress = ConsoleProgress()
    result = run_bench(settings, Silent() if quiet else progress)
    page = to_markdown(result)
    typer.echo(page)
    if output is None:
        return
    try:
        output.mkdir(parents=True, exist_ok=True)
        (output / "bench.md").write_text(page, encoding="utf-8")
        (output / "bench.json").write_text(to_json(result) + "\n", encoding="utf-8")
        if has_charts():
            draw_chart(result, output / "bench.png")
        else:
            progress.note('no chart: matplotlib is missing; pip install "gpenvid[bench]"')
    except OSError as error:
        raise InputError(f"{output}: cannot be written ({error.strerror})", "choose another -o") from error
