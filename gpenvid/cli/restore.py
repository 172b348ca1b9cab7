"""The commands `gpenvid restore` and `gpenvid demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.console import Console

from gpenvid.cli.stop import check_stopped
from gpenvid.cli.times import End, Start, seconds_of
from gpenvid.errors import GpenvidError, UsageError
from gpenvid.settings import Mask, RestoreSettings

if TYPE_CHECKING:
    from gpenvid.job.inputs import Input

_DEFAULTS = RestoreSettings()


def register(app: typer.Typer) -> None:
    """Add `restore` to the command line."""
    app.command()(restore)


def register_demo(app: typer.Typer) -> None:
    """Add `demo` to the command line."""
    app.command()(demo)


def restore(
    inputs: Annotated[
        list[str] | None, typer.Argument(metavar="INPUT...", help="Videos, pictures, folders, or sequences like scan_%04d.png.")
    ] = None,
    input_option: Annotated[list[str] | None, typer.Option("-i", "--input", help="Another way to name an input.")] = None,
    output: Annotated[
        str | None,
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
    start: Start = "",
    end: End = "",
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
        start=seconds_of("--start", start),
        end=seconds_of("--end", end),
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
    sources: list[str], output: str | Path | None, settings: RestoreSettings, report: Path | None, *, quiet: bool, profile: bool = False
) -> None:
    from gpenvid.job.inputs import also_read, check_side_file
    from gpenvid.job.outputs import check_named, named_output, results_of

    items = _classified(sources)
    named = None if output is None else named_output(output, items)
    if len(sources) == 1:
        check_named(items[0], named, overwrite=settings.overwrite)
    if report is not None:
        check_side_file(report, items, others=[*also_read(settings), *results_of(items, named, several=len(sources) > 1)])
    # What loads torch, which takes a second, comes after what a mistyped name needs.
    from gpenvid.cli.console import ConsoleProgress, print_profile, print_stability, print_summary
    from gpenvid.job.report import Report, write_reports
    from gpenvid.job.restore import restore_many

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
