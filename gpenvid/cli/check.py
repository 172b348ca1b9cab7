"""The commands `gpenvid verify` and `gpenvid doctor`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gpenvid.cli.times import End, Start, seconds_of


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(verify)
    app.command()(doctor)


def verify(
    source: Annotated[Path, typer.Argument(help="The source.", readable=False)],
    output: Annotated[Path, typer.Argument(help="What was made of it.", readable=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    pixels: Annotated[bool, typer.Option("--pixels", help="Also compare the pictures: how much stayed as it was.")] = False,
    start: Start = "",
    end: End = "",
) -> None:
    """Check that a result keeps its source's times, streams, tags and picture properties. Exit code 1 if not.

    A result that was made with --start or --end is compared with that part of the source if they are given here, too.
    """
    from gpenvid.media.audit import audit

    result = audit(source, output, pixels=pixels, start=seconds_of("--start", start), end=seconds_of("--end", end))
    if as_json:
        print(json.dumps({"passed": result.passed, "findings": [asdict(f) for f in result.findings]}, indent=2))
    else:
        table = Table(box=None, show_header=False, pad_edge=False)
        colours = {"same": "green", "differs": "red", "noted": "yellow"}
        for finding in result.findings:
            table.add_row(f"[{colours[finding.outcome]}]{finding.outcome}[/]", escape(finding.what), escape(finding.detail))
        Console().print(table, highlight=False)
        typer.echo("passed" if result.passed else "FAILED")
    if not result.passed:
        raise typer.Exit(1)


def doctor() -> None:
    """Show versions, devices, encoders, weights and disk space, with remedies for what is missing."""
    from gpenvid.job.doctor import examine

    table = Table(box=None, show_header=False, pad_edge=False)
    marks = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "problem": "[red]problem[/]"}
    findings = examine()
    for finding in findings:
        table.add_row(marks[finding.state], escape(finding.what), escape(finding.detail))
    Console().print(table, highlight=False)
    if any(f.state == "problem" for f in findings):
        raise typer.Exit(1)
