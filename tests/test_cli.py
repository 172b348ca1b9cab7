"""The command line on good days."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gpenvid.cli.streams import Outlet
from gpenvid.cli.times import seconds_of

SAMPLES = Path(__file__).parent.parent / "samples"


def _run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "GPENVID_WEIGHTS": str(cwd / "weights"), "COLUMNS": "200"}
    command = [sys.executable, "-m", "gpenvid", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=250, env=environment, check=False)


def test_restore_verify_and_report_fit_together(tiny_model: Path, tmp_path: Path) -> None:
    film = SAMPLES / "old_film.mp4"
    done = _run("restore", "-i", film, "-o", "out.mp4", "--model", tiny_model, "--report", "report.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "100 in" in done.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["frames"] == 100
    assert report["analysis"]["detector"] == "builtin"
    checked = _run("verify", film, "out.mp4", "--json", cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout
    assert json.loads(checked.stdout)["passed"] is True


def test_verify_fails_on_another_clip(tmp_path: Path) -> None:
    done = _run("verify", SAMPLES / "old_film.mp4", SAMPLES / "interview.mp4", cwd=tmp_path)
    assert done.returncode == 1
    assert "frame count" in done.stdout


def test_quiet_prints_nothing(tiny_model: Path, tmp_path: Path) -> None:
    done = _run("restore", SAMPLES / "old_film.mp4", "-o", "out.mp4", "--model", tiny_model, "--end", "0.5", "-q", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", None),
        ("0", 0.0),
        ("90.5", 90.5),
        ("1:30", 90.0),
        ("0:0:7", 7.0),
        ("01:30.25", 90.25),
        ("2:00:00", 7200.0),
        ("100:00:00.5", 360000.5),
    ],
)
def test_moments_are_seconds_or_like_a_clock(text: str, seconds: float | None) -> None:
    assert seconds_of("--start", text) == seconds


def test_a_part_may_be_given_like_a_clock(tiny_model: Path, tmp_path: Path) -> None:
    arguments = (
        "restore",
        SAMPLES / "old_film.mp4",
        "-o",
        "out.mp4",
        "--model",
        tiny_model,
        "--start",
        "0:02",
        "--end",
        "0:00:03",
    )  # 18 fps
    assert "frames    18 in" in _run(*arguments, cwd=tmp_path).stdout


def test_analyse_writes_the_sidecar_and_the_sheet(tmp_path: Path) -> None:
    done = _run("analyse", SAMPLES / "old_film.mp4", "-o", "t.json", "--sheet", "people.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "t.json").read_text())["frames"] == 100
    assert (tmp_path / "people.png").stat().st_size > 5000
    assert "2 shots" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--version"], "gpenvid 0"),
        (["--help"], "restore"),
        (["restore", "--help"], "--strength"),
        (["models"], "face-det"),
        (["models", "list"], "GPEN-BFR-512"),
        (["models", "verify"], "agrees with the published hash"),
        (["doctor"], "encoders"),
    ],
)
def test_commands_that_tell(arguments: list[str], said: str, tmp_path: Path) -> None:
    done = _run(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout


def test_the_demo_restores_a_sample_without_any_download(tmp_path: Path) -> None:
    done = _run("demo", "--clip", "old_film", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "gpenvid-demo" / "old_film_restored.mp4").stat().st_size > 50_000
    assert str(tmp_path / "gpenvid-demo") in done.stdout


def _piped(ending: str, *arguments: object, cwd: Path) -> tuple[int, str]:
    """Exit code and standard error of a command whose streams end as the shell's words say."""
    words = " ".join(f"'{word}'" for word in (sys.executable, "-m", "gpenvid", *arguments))
    environment = {**os.environ, "GPENVID_WEIGHTS": str(cwd / "weights")}
    script = ["bash", "-c", f"{words} {ending}; exit ${{PIPESTATUS[0]}}"]
    done = subprocess.run(script, cwd=cwd, capture_output=True, text=True, timeout=250, env=environment, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize("ending", ["2>&1 | true", "2> /dev/full", "2>&- >&-"])
def test_a_render_ends_well_when_nobody_reads_its_messages(ending: str, tiny_model: Path, tmp_path: Path) -> None:
    film = SAMPLES / "old_film.mp4"
    assert _piped(ending, "restore", film, "-o", "out.mp4", "--model", tiny_model, "--end", "0.5", cwd=tmp_path) == (0, "")
    assert (tmp_path / "out.mp4").stat().st_size > 10_000


def test_the_verdict_of_verify_stays_when_its_table_is_not_read_to_the_end(tmp_path: Path) -> None:
    assert _piped("| true", "verify", SAMPLES / "old_film.mp4", SAMPLES / "interview.mp4", cwd=tmp_path) == (1, "")
    assert _piped("| true", "verify", SAMPLES / "old_film.mp4", SAMPLES / "old_film.mp4", cwd=tmp_path) == (0, "")


@pytest.mark.parametrize("arguments", [["models", "list"], ["--version"]])
def test_a_table_that_cannot_be_written_is_an_error(arguments: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    code, told = _piped("> /dev/full", *arguments, cwd=tmp_path)
    assert (code, told) == (3, "gpenvid: standard output: No space left on device: write it elsewhere\n")


def test_a_name_that_the_output_cannot_spell_is_written_in_numbers() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), "ascii")
    outlet = Outlet(stream, told=True)
    outlet.write("K\xf6ln\udcff")
    outlet.flush()
    assert stream.buffer.getvalue() == rb"K\xf6ln\udcff"  # type: ignore[attr-defined]


def test_no_columns_are_an_unknown_number_of_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", "0")
    assert _piped("| grep -o -m 1 -e --strength >&2", "restore", "--help", cwd=tmp_path) == (0, "--strength\n")
