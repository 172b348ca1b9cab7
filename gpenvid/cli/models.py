"""The commands `gpenvid models ...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from gpenvid.errors import ExitCode


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    group = typer.Typer(help="List, get and check model weights.", invoke_without_command=True)
    group.callback()(_models)
    for name, command in (("list", models_list), ("get", models_get), ("verify", models_verify), ("import", models_import)):
        group.command(name)(command)
    app.add_typer(group, name="models")


def _models(context: typer.Context) -> None:
    """List, get and check model weights; without a command, the list."""
    if context.invoked_subcommand is None:
        models_list()


def models_list() -> None:
    """Show every model, its licence and whether it is here."""
    from gpenvid.restore.cards import all_cards
    from gpenvid.restore.weights import locate

    table = Table("name", "kind", "crop", "here", "licence", "description", box=None, pad_edge=False)
    names = table.columns[0]  # typed elsewhere: never cut
    names.no_wrap, names.min_width = True, max(map(len, all_cards()))
    for card in all_cards().values():
        where = "built in" if card.built_in else "yes" if locate(card) else "no"
        table.add_row(card.name, card.kind, str(card.size or ""), where, card.licence, card.description)
    Console().print(table, highlight=False)


def models_get(name: Annotated[str, typer.Argument(help="Model name, as in `gpenvid models list`.")]) -> None:
    """Download a model, after showing its licence."""
    from gpenvid.cli.console import ConsoleProgress
    from gpenvid.job.models import fetch
    from gpenvid.restore.cards import any_card

    typer.echo(fetch(any_card(name), ConsoleProgress()))


def models_verify() -> None:
    """Compare every weight file here with its published hash, or with the hash of its first use."""
    from gpenvid.restore.weights import verify_all

    failed = False
    for line in verify_all():
        typer.echo(line.text)
        failed = failed or not line.good
    if failed:
        raise typer.Exit(ExitCode.WEIGHTS)


def models_import(
    file: Annotated[Path, typer.Argument(help="A weight file fetched by other means.")],
    name: Annotated[str | None, typer.Option("--as", help="The model it is, where its file name does not say.")] = None,
) -> None:
    """Take a weight file into the cache, its hash checked or pinned."""
    from gpenvid.restore.weights import import_file

    typer.echo(import_file(file, name))
