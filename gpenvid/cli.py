"""The command line. Thin: every command calls a public function and prints what it returns."""

from __future__ import annotations

import json
import signal
import sys
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gpenvid import __version__
from gpenvid.cli_bench import register as register_bench
from gpenvid.cli_server import register as register_servers
from gpenvid.cli_stop import STOPPED, TOLD_TO_STOP, check_stopped, stop
from gpenvid.cli_streams import keep_streams_open
from gpenvid.errors import ExitCode, GpenvidError, UsageError
from gpenvid.settings import Mask, RestoreSettings

if TYPE_CHECKING:
    from gpenvid.job.inputs import Input

app = typer.Typer(
    name="gpenvid",
    help="Restore faces in video: same file back, same timing, same sound, faces restored.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
models_app = typer.Typer(help="List, get and check model weights.", invoke_without_command=True)
app.add_typer(models_app, name="models")

_DEFAULTS = RestoreSettings()


def _version(value: bool) -> None:
    if value:
        typer.echo(f"gpenvid {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Restore faces in video."""


@app.command()
def restore(
    inputs: Annotated[
        list[str] | None, typer.Argument(metavar="INPUT...", help="Videos, pictures, folders, or sequences like scan_%04d.png.")
    ] = None,
    input_option: Annotated[list[str] | None, typer.Option("-i", "--input", help="Another way to name an input.")] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Result; by default NAME_restored.EXT beside the input. frames_%05d.png for pictures."),
    ] = None,
    model: Annotated[str, typer.Option(help="Restorer by name (see `gpenvid models list`) or a GPEN weight file.")] = _DEFAULTS.model,
    detector: Annotated[str, typer.Option(help="Face detector by name.")] = _DEFAULTS.detector,
    strength: Annotated[float, typer.Option(help="Share of the change that is applied, 0 to 1.")] = _DEFAULTS.strength,
    color: Annotated[str, typer.Option(help="Whose low frequencies to keep: source or restored.")] = "source",
    grain: Annotated[float, typer.Option(help="Share of the source's own fine noise kept on faces, 0 to 1.")] = _DEFAULTS.grain,
    deflicker: Annotated[bool, typer.Option(help="Average the change over neighbouring frames where faces agree.")] = True,
    mask: Annotated[str, typer.Option(help="What of a face is changed: ellipse, or hull (brows to chin).")] = _DEFAULTS.mask,
    tracks: Annotated[Path | None, typer.Option(help="Use this file of `gpenvid analyse` instead of analysing.")] = None,
    only: Annotated[str, typer.Option(help="Restore these people only, by track number: 1,3.")] = "",
    exclude: Annotated[str, typer.Option(help="Leave these people as they are, by track number: 2.")] = "",
    identity: Annotated[Path | None, typer.Option(help="ONNX face embedding; faces that turn into someone else are left alone.")] = None,
    least_eyes: Annotated[float, typer.Option(help="Leave faces alone whose eyes are nearer than this, in pixels.")] = _DEFAULTS.least_eyes,
    most_turn: Annotated[float, typer.Option(help="Leave faces turned further than this: 0.5 is nearly a profile.")] = _DEFAULTS.most_turn,
    least_sharpness: Annotated[
        float, typer.Option(help="Leave faces blurred to less than this share of their usual sharpness; 0: never.")
    ] = _DEFAULTS.least_sharpness,
    least_likeness: Annotated[float, typer.Option(help="With --identity: least cosine to the source's face.")] = _DEFAULTS.least_likeness,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = _DEFAULTS.device,
    dtype: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = _DEFAULTS.dtype,
    engine: Annotated[str, typer.Option(help="What computes the network on a CPU: auto, torch or openvino.")] = _DEFAULTS.engine,
    batch: Annotated[int, typer.Option(help="Crops per network call; 0 chooses.")] = _DEFAULTS.batch,
    codec: Annotated[
        str | None, typer.Option(help="h264, h265, av1, vp9, ffv1, prores, dnxhr, png, h264_nvenc, hevc_nvenc, av1_nvenc.")
    ] = None,
    crf: Annotated[float | None, typer.Option(help="Quality, lower is better; by default 16 (h264, h265), 18 (vp9, nvenc) or 20.")] = None,
    preset: Annotated[str | None, typer.Option(help="Speed of the encoder, such as medium or veryfast.")] = None,
    start: Annotated[float | None, typer.Option(help="Begin here, in seconds from the first frame.")] = None,
    end: Annotated[float | None, typer.Option(help="End here, in seconds from the first frame.")] = None,
    deinterlace: Annotated[bool, typer.Option("--deinterlace", help="Make interlaced frames progressive.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing result.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Fail where something of the source cannot be kept.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Start over, even if an earlier run can be continued.")] = False,
    keep_work: Annotated[bool, typer.Option("--keep-work", help="Keep the folder of finished segments after success.")] = False,
    tag: Annotated[bool, typer.Option("--tag/--no-tag", help="Write a tag that says what restored the faces.")] = True,
    report: Annotated[Path | None, typer.Option(help="Write what was done to this JSON file.")] = None,
    stability: Annotated[
        bool, typer.Option("--stability", help="Measure afterwards how steady faces are, next to restoring frame by frame; takes a while.")
    ] = False,
    profile: Annotated[bool, typer.Option("--profile", help="Show what each stage of a video worked on and waited for.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print warnings and errors only.")] = False,
) -> None:
    """Restore the faces of videos, pictures, folders of pictures or numbered image sequences."""
    sources = [*(inputs or []), *(input_option or [])]
    if color not in ("source", "restored"):
        raise UsageError(f"unknown --color {color}", "choose source or restored")
    settings = RestoreSettings(
        model=model,
        detector=detector,
        strength=strength,
        keep_colour=color == "source",
        grain=grain,
        deflicker=deflicker,
        mask=cast(Mask, mask),
        tracks=tracks,
        identity=identity,
        least_eyes=least_eyes,
        most_turn=most_turn,
        least_sharpness=least_sharpness,
        least_likeness=least_likeness,
        only=_numbers("--only", only),
        exclude=_numbers("--exclude", exclude),
        device=device,
        dtype=dtype,
        engine=engine,
        batch=batch,
        codec=codec,
        crf=crf,
        preset=preset,
        start=start,
        end=end,
        deinterlace=deinterlace,
        overwrite=overwrite,
        strict=strict,
        restart=restart,
        keep_work=keep_work,
        stability=stability,
        tag=tag,
    )
    _restore(sources, output, settings, report, quiet=quiet, profile=profile)


def _restore(
    sources: list[str], output: Path | None, settings: RestoreSettings, report: Path | None, *, quiet: bool, profile: bool = False
) -> None:
    from gpenvid.console import ConsoleProgress, print_profile, print_stability, print_summary
    from gpenvid.job.inputs import check_side_file
    from gpenvid.job.outputs import results_of
    from gpenvid.job.report import Report, write_reports
    from gpenvid.job.restore import restore_many

    if report is not None:
        items = _classified(sources)
        read = [path for path in (settings.tracks, settings.identity) if path is not None]
        check_side_file(report, items, others=[*read, *results_of(items, output)])
    progress = ConsoleProgress(quiet=quiet, check=check_stopped)
    done: list[Report] = []
    try:
        restore_many(sources, output, settings, progress, done.append)
    finally:
        progress.close()
        if report is not None and done:
            write_reports(report, done, several=len(sources) > 1)
        for one in done:
            if not quiet:
                print_summary(Console(), one)
            if one.stability:
                print_stability(Console(), one)
            if profile and one.stages:
                print_profile(Console(), one)
            elif profile and not one.error:
                progress.note(f"{one.source}: no stages to show; pictures are restored one after the other")


def _classified(sources: list[str]) -> list[Input]:
    """Those of several inputs that are there; the others fail in their turn."""
    from gpenvid.job.inputs import classify

    found = []
    for source in sources:
        try:
            found.append(classify(Path(source)))
        except GpenvidError:
            if len(sources) == 1:
                raise
    return found


def _numbers(option: str, text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(part) for part in text.split(",") if part.strip())
        if text and not numbers:
            raise ValueError(text)
        return numbers
    except ValueError as error:
        raise UsageError(f"{option} {text} is no list of numbers", "write it like 1,3") from error


@app.command()
def analyse(
    source: Annotated[Path, typer.Argument(help="A video, or a numbered sequence like scan_%04d.png.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Sidecar; by default NAME.tracks.json beside the input.")] = None,
    sheet: Annotated[Path | None, typer.Option(help="Also draw the people found, with their numbers, into this PNG.")] = None,
    detector: Annotated[str, typer.Option(help="Face detector by name.")] = _DEFAULTS.detector,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = _DEFAULTS.device,
    start: Annotated[float | None, typer.Option(help="Begin here, in seconds from the first frame.")] = None,
    end: Annotated[float | None, typer.Option(help="End here, in seconds from the first frame.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing sidecar, edits and all.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print warnings and errors only.")] = False,
) -> None:
    """Find and follow the people of a film, and write the tracks for `gpenvid restore --tracks`."""
    from gpenvid.console import ConsoleProgress, print_tracks
    from gpenvid.job.analyse import analyse as run
    from gpenvid.job.inputs import check_side_file, classify
    from gpenvid.job.people import write_contact_sheet
    from gpenvid.job.sidecar import write_sidecar

    target = output or source.with_name(f"{source.stem}.tracks.json")
    item = classify(source)
    if item.kind not in ("video", "sequence"):
        raise UsageError(f"{source}: is no film", "analyse takes videos, and numbered sequences like scan_%04d.png")
    check_side_file(target, [item], overwrite=overwrite)
    if sheet is not None:
        check_side_file(sheet, [item], others=[target])
    progress = ConsoleProgress(quiet=quiet, check=check_stopped)
    settings = RestoreSettings(detector=detector, device=device, start=start, end=end)
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


@app.command()
def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the results.")] = Path("gpenvid-demo"),
    clip: Annotated[str, typer.Option(help="interview, old_film or all.")] = "all",
    overwrite: Annotated[bool, typer.Option("--overwrite/--keep", help="Replace earlier results, or stop at them.")] = True,
) -> None:
    """Restore the sample clips that come with gpenvid, without any download."""
    from gpenvid.job.demo import sample_clips

    clips = sample_clips(clip)
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output}: is a file", "name a folder with -o")
    output.mkdir(parents=True, exist_ok=True)
    for path in clips:
        _restore([str(path)], output / f"{path.stem}_restored{path.suffix}", RestoreSettings(overwrite=overwrite), None, quiet=False)
    typer.echo(f"the results are in {output.resolve()}")


@app.command()
def verify(
    source: Annotated[Path, typer.Argument(help="The source.")],
    output: Annotated[Path, typer.Argument(help="What was made of it.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    pixels: Annotated[bool, typer.Option("--pixels", help="Also compare the pictures: how much stayed as it was.")] = False,
) -> None:
    """Check that a result keeps its source's times, streams, tags and picture properties. Exit code 1 if not."""
    from gpenvid.media.audit import audit

    result = audit(source, output, pixels=pixels)
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


@app.command()
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


@models_app.callback()
def models(context: typer.Context) -> None:
    """List, get and check model weights; without a command, the list."""
    if context.invoked_subcommand is None:
        models_list()


register_servers(app)
register_bench(app)  # after the commands above, so that help begins with `restore`


@models_app.command("list")
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


@models_app.command("get")
def models_get(name: Annotated[str, typer.Argument(help="Model name, as in `gpenvid models list`.")]) -> None:
    """Download a model, after showing its licence."""
    from gpenvid.console import ConsoleProgress
    from gpenvid.job.models import fetch
    from gpenvid.restore.cards import any_card

    typer.echo(fetch(any_card(name), ConsoleProgress()))


@models_app.command("verify")
def models_verify() -> None:
    """Compare every weight file here with its published hash, or with the hash of its first use."""
    from gpenvid.restore.weights import verify_all

    failed = False
    for line in verify_all():
        typer.echo(line.text)
        failed = failed or not line.good
    if failed:
        raise typer.Exit(ExitCode.WEIGHTS)


@models_app.command("import")
def models_import(
    file: Annotated[Path, typer.Argument(help="A weight file fetched by other means.")],
    name: Annotated[str | None, typer.Option("--as", help="The model it is, where its file name does not say.")] = None,
) -> None:
    """Take a weight file into the cache, its hash checked or pinned."""
    from gpenvid.restore.weights import import_file

    typer.echo(import_file(file, name))


def main() -> None:
    """Run the command line; every expected error becomes one line and its exit code."""
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    TOLD_TO_STOP.clear()
    keep_streams_open()
    debug = "--debug" in sys.argv
    try:
        arguments = [a for a in sys.argv[1:] if a != "--debug"]
        if "" in arguments:  # it would stand for the current folder, or for everyone
            raise UsageError("an INPUT or an option without a name", "is a variable of the shell not set?")
        code = app(args=arguments, standalone_mode=False)
    except GpenvidError as error:
        _fail(str(error), error.exit_code, debug)
    except ImportError as error:
        remedy = "reinstall gpenvid with its constraints"
        if "libGL" in str(error):
            remedy = "run `apt-get install libgl1`, or install opencv-python-headless instead"
        _fail(f"a library does not load ({error}); {remedy}", ExitCode.BUG, debug)
    except OSError as error:
        _fail(f"{error.filename or 'a file'}: {error.strerror or error}: check the path and its permissions", ExitCode.INPUT, debug)
    except Exception as error:  # noqa: BLE001 - the last line of defence: one line for people, a traceback on request
        # Usage errors of the option parser; their class has moved between its releases, their interface has not.
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):
            if not error.format_message():  # help was asked for by giving no command
                raise SystemExit(int(ExitCode.USAGE)) from None
            _fail(f"{error.format_message()}; see --help", ExitCode.USAGE, debug)
        _fail(f"unexpected {type(error).__name__}: {error}; run again with --debug and report it", ExitCode.BUG, debug)
    else:
        raise SystemExit(code or 0)


def _fail(message: str, code: ExitCode, debug: bool) -> None:
    if TOLD_TO_STOP.is_set():  # libraries that are being loaded make errors of their own of it
        message, code = str(STOPPED), ExitCode.INTERRUPTED
    if debug:
        traceback.print_exc()
    Console(stderr=True).print(f"gpenvid: {' '.join(message.split())}", highlight=False, markup=False, soft_wrap=True)
    raise SystemExit(int(code))
