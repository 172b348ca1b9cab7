"""The command `gpenvid preview`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpenvid.settings import RestoreSettings

_DEFAULTS = RestoreSettings()


def preview(
    clip: Annotated[Path, typer.Argument(help="A video.", readable=False)],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="The result of Render; NAME_restored.EXT if left out.")] = None,
    tracks: Annotated[Path | None, typer.Option(help="Sidecar to read and save; NAME.tracks.json beside the clip if left out.")] = None,
    model: Annotated[str, typer.Option(help="Restorer to begin with, by name, or a GPEN weight file.")] = _DEFAULTS.model,
    detector: Annotated[str, typer.Option(help="Face detector by name.")] = _DEFAULTS.detector,
    identity: Annotated[Path | None, typer.Option(help="ONNX face embedding; faces that turn into someone else are left alone.")] = None,
    least_eyes: Annotated[float, typer.Option(help="Leave faces alone whose eyes are nearer than this, in pixels.")] = _DEFAULTS.least_eyes,
    most_turn: Annotated[float, typer.Option(help="Leave faces alone that are turned further than this.")] = _DEFAULTS.most_turn,
    least_sharpness: Annotated[float, typer.Option(help="Leave moments alone that are blurred below this.")] = _DEFAULTS.least_sharpness,
    least_likeness: Annotated[float, typer.Option(help="With --identity: least cosine to the source's face.")] = _DEFAULTS.least_likeness,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = _DEFAULTS.device,
    dtype: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = _DEFAULTS.dtype,
    engine: Annotated[str, typer.Option(help="What computes the network on a CPU: auto, torch or openvino.")] = _DEFAULTS.engine,
    deinterlace: Annotated[bool, typer.Option("--deinterlace", help="Make interlaced frames progressive.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine; 0 takes a free one.")] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the address, warnings and errors only.")] = False,
) -> None:
    """Look at a clip frame by frame in the browser, choose, and render it. For this machine only."""
    from gpenvid.server.run import require_server

    require_server()
    from gpenvid.job.inputs import classify

    classify(clip)  # before torch is loaded, which takes a second: a mistyped name is answered at once
    from gpenvid.cli.console import ConsoleProgress
    from gpenvid.server.preview.start import run_preview

    settings = RestoreSettings(
        model=model,
        detector=detector,
        identity=identity,
        least_eyes=least_eyes,
        most_turn=most_turn,
        least_sharpness=least_sharpness,
        least_likeness=least_likeness,
        device=device,
        dtype=dtype,
        engine=engine,
        deinterlace=deinterlace,
        tracks=tracks,
    )
    progress = ConsoleProgress(quiet=quiet)
    try:
        run_preview(clip, output, settings, progress, port=port, browser=browser, tell=typer.echo)
    finally:
        progress.close()
