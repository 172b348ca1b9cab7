"""Stages at the same time give what they give one after the other, and end together."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from stopping import command_for, packets

import gpenvid
from gpenvid import RestoreSettings
from gpenvid.errors import GpenvidError, InputError
from gpenvid.job import segments
from gpenvid.job.pipeline import Pipeline
from gpenvid.job.render import Renderer
from gpenvid.media.reader import VideoReader
from gpenvid.restore.restorer import Restorer

CLIP = Path(__file__).parent.parent / "samples" / "old_film.mp4"


class _OneAfterTheOther(Pipeline):
    """No threads: every stage runs when the next one asks."""

    def run(self, name, items, weigh):  # noqa: ARG002
        return iter(items)


@pytest.fixture
def settings(tiny_model: Path) -> RestoreSettings:
    # The batch is given: chosen by the number of cores, it would decide how often the restorer is called.
    return RestoreSettings(model=str(tiny_model), detector="builtin", end=2, batch=2)


def test_a_rendered_clip_has_the_bytes_of_the_sequential_way(
    settings: RestoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = gpenvid.restore(CLIP, tmp_path / "together.mp4", settings)
    monkeypatch.setattr(segments, "Pipeline", _OneAfterTheOther)
    alone = gpenvid.restore(CLIP, tmp_path / "alone.mp4", settings)
    assert packets(tmp_path / "together.mp4") == packets(tmp_path / "alone.mp4")
    assert (together.faces, together.frames, together.skipped) == (alone.faces, alone.frames, alone.skipped)


@pytest.mark.parametrize("workers", [1, 3])
def test_the_bytes_do_not_depend_on_the_number_of_workers_and_of_waiting_frames(
    workers: int, settings: RestoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpenvid.restore(CLIP, tmp_path / "usual.mp4", settings)
    monkeypatch.setattr(segments.render_segments, "__kwdefaults__", {"queue_bytes": 1})
    gpenvid.restore(CLIP, tmp_path / "other.mp4", replace(settings, batch=workers))
    assert packets(tmp_path / "usual.mp4") == packets(tmp_path / "other.mp4")


def test_the_report_says_what_each_stage_waited_for(settings: RestoreSettings, tmp_path: Path) -> None:
    report = gpenvid.restore(CLIP, tmp_path / "out.mp4", settings)
    assert [stage.name for stage in report.stages] == ["decode", "reduce", "follow", "decode", "restore", "blend", "encode"]
    # Marks between segments are no items.
    assert report.stages[0].items == report.stages[3].items == report.stages[5].items == report.stages[6].items == report.frames
    assert all(s.busy >= 0 and s.waited_for_input >= 0 and s.waited_for_room >= 0 for s in report.stages)


def test_order_is_kept_and_bytes_are_bounded() -> None:
    with Pipeline("end", queue_bytes=100) as pipeline:
        numbers = pipeline.run("count", range(200), lambda _: 30)
        doubled = pipeline.run("double", (2 * n for n in numbers), lambda _: 60)
        assert list(doubled) == [2 * n for n in range(200)]
    assert [s.name for s in pipeline.stages] == ["count", "double", "end"]
    assert [s.items for s in pipeline.stages] == [200, 200, 200]
    assert pipeline.stages[0].most_bytes <= 90
    assert pipeline.stages[1].most_bytes == 60


def test_an_item_above_the_bound_passes_alone() -> None:
    with Pipeline("end", queue_bytes=10) as pipeline:
        assert list(pipeline.run("large", range(5), lambda _: 1000)) == [0, 1, 2, 3, 4]
    assert pipeline.stages[0].most_bytes == 1000


def test_what_a_stage_raises_comes_after_the_items_before_it() -> None:
    def failing() -> Iterator[int]:
        yield 1
        yield 2
        raise InputError("the tape is torn")

    with Pipeline("end") as pipeline:
        items = pipeline.run("pass on", pipeline.run("fail", failing(), lambda _: 1), lambda _: 1)
        assert [next(items), next(items)] == [1, 2]
        with pytest.raises(InputError, match="tape"):
            next(items)


def test_a_consumer_that_fails_ends_stages_that_wait_for_room_and_closes_them() -> None:
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    def consume_one() -> None:
        with Pipeline("end", queue_bytes=10) as pipeline:
            next(pipeline.run("second", pipeline.run("first", endless(), lambda _: 4), lambda _: 4))
            raise ZeroDivisionError

    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        consume_one()
    assert closed.is_set()
    assert threading.active_count() == before


def test_long_work_that_checks_is_ended_too() -> None:
    started = threading.Event()

    def long_work(pipeline: Pipeline) -> Iterator[int]:
        while True:
            started.set()
            time.sleep(0.001)
            pipeline.check()
            if not pipeline:
                yield 0

    def begin_it() -> None:
        with Pipeline("end") as pipeline:
            pipeline.run("work", long_work(pipeline), lambda _: 1)
            started.wait()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        begin_it()


def _fail_in(monkeypatch: pytest.MonkeyPatch, stage: str, error: Exception) -> None:
    """Let a stage of rendering fail in the middle."""
    homes = {"decode": (VideoReader, "_frame"), "restore": (Restorer, "restore"), "blend": (Renderer, "_blend")}
    home, name = {**homes, "encode": (Renderer, "count")}[stage]
    real, calls = getattr(home, name), 0

    def failing(*arguments, **others):
        nonlocal calls
        calls += 1
        # The file is decoded for the analysis first, and once to know what it is.
        if calls > (70 if stage == "decode" else 10):
            raise error
        return real(*arguments, **others)

    monkeypatch.setattr(home, name, failing)


@pytest.mark.parametrize("stage", ["decode", "restore", "blend", "encode"])
def test_the_error_of_any_stage_is_the_jobs_error(
    stage: str, settings: RestoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = threading.active_count()
    _fail_in(monkeypatch, stage, InputError(f"{stage} is unwell"))
    with pytest.raises(InputError, match=f"{stage} is unwell"):
        gpenvid.restore(CLIP, tmp_path / "out.mp4", settings)
    assert not (tmp_path / "out.mp4").exists()
    assert [t.name for t in threading.enumerate() if t.name in ("gpenvid decode", "gpenvid restore", "gpenvid blend")] == []
    assert threading.active_count() <= before + 8  # workers that wait for crops


@pytest.mark.parametrize("stage", ["restore", "blend"])
def test_an_unexpected_error_names_the_frames(
    stage: str, settings: RestoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fail_in(monkeypatch, stage, RuntimeError("a tensor has the wrong mood"))
    with pytest.raises(GpenvidError, match=r"frames \d+ to \d+ .*wrong mood"):
        gpenvid.restore(CLIP, tmp_path / "out.mp4", settings)


@pytest.mark.alone
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for other processes")
def test_an_interrupt_while_rendering_ends_the_process(tiny_model: Path, tmp_path: Path) -> None:
    command = [*command_for(CLIP, tmp_path / "out.mp4", tiny_model), "--preset", "placebo"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("render"):
            break
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert not (tmp_path / "out.mp4").exists()
