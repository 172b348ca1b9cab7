"""The command `gpenvid analyse`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from gpenvid.cli.stop import check_stopped
from gpenvid.cli.times import End, Start, seconds_of
from gpenvid.errors import UsageError
from gpenvid.settings import RestoreSettings

_DEFAULTS = RestoreSettings()


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(analyse)


def analyse(
    source: Annotated[Path, typer.Argument(help="A video, or a numbered sequence like scan_%04d.png.", readable=False)],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Sidecar; by default NAME.tracks.json beside the input.")] = None,
    sheet: Annotated[Path | None, typer.Option(help="Also draw the people found, with their numbers, into this PNG.")] = None,
    detector: Annotated[str, typer.Option(help="Face detector by name.")] = _DEFAULTS.detector,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = _DEFAULTS.device,
    start: Start = "",
    end: End = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing sidecar, edits and all, and sheet.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print warnings and errors only.")] = False,
) -> None:
    """Find and follow the people of a film, and write the tracks for `gpenvid restore --tracks`."""
    from gpenvid.job.inputs import check_side_file, classify

    target = output or source.with_name(f"{source.stem}.tracks.json")
    item = classify(source)
    if item.kind not in ("video", "sequence"):
        raise UsageError(f"{source}: is no film", "analyse takes videos, and numbered sequences like scan_%04d.png")
    check_side_file(target, [item], overwrite=overwrite)
    if sheet is not None:
        if sheet.suffix.lower() != ".png":
            raise UsageError(f"{sheet}: the sheet is a PNG", "name it .png")
        check_side_file(sheet, [item], others=[target], overwrite=overwrite)
    # What loads torch, which takes a second, comes after what a mistyped name needs.
    from gpenvid.cli.console import ConsoleProgress, print_tracks
    from gpenvid.job.analyse import analyse as run
    from gpenvid.job.people import write_contact_sheet
    from gpenvid.job.sidecar import write_sidecar

    progress = ConsoleProgress(quiet=quiet, check=check_stopped)
    settings = RestoreSettings(detector=detector, device=device, start=seconds_of("--start", start), end=seconds_of("--end", end))
    try:
        tracks = run(source, settings, progress)
    finally:
        progress.close()
    write_sidecar(tracks, target)
    if sheet is not None:
        write_contact_sheet(tracks, source, settings, sheet)
    if not quiet:
        print_tracks(Console(), tracks)
        typer.echo(target)
