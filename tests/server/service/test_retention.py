"""What is removed after a while, and the queue on disk."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from typer.testing import CliRunner

from gpenvid.cli import app
from gpenvid.errors import InputError, UsageError
from gpenvid.lock import FileLock
from gpenvid.server.service.media_root import resolve_inside, still_inside
from gpenvid.server.service.problems import Problem, for_clients
from gpenvid.server.service.process import Child
from gpenvid.server.service.retention import remove_strangers, sweep
from gpenvid.server.service.runner import Runner, Wish, restore_settings
from gpenvid.server.service.service import Service
from gpenvid.server.service.settings import ServiceSettings
from gpenvid.server.service.store import Job, QueueFull, State, Store
from gpenvid.server.service.uploads import clean_name

DAY = 86400.0


@pytest.fixture
def settings(tmp_path: Path) -> ServiceSettings:
    for name in ("data/jobs", "data/pictures", "data/work"):
        (tmp_path / name).mkdir(parents=True)
    return ServiceSettings(tmp_path / "data", keep_days=2, keep_bytes=1000)


@pytest.fixture
def store(settings: ServiceSettings) -> Iterator[Store]:
    store = Store(settings.data / "jobs.sqlite3", queue=3)
    yield store
    store.close()


def _add(store: Store, settings: ServiceSettings, number: int, state: State, finished: float | None, size: int = 10) -> str:
    job = Job(
        f"{number:032x}", "a.mp4", "video", "source.mp4", "result.mp4", {"strength": 0.5}, created=1.0, state=state, finished=finished
    )
    store.add(job)
    folder = settings.data / "jobs" / job.id
    folder.mkdir()
    (folder / "result.mp4").write_bytes(bytes(size))
    return job.id


def _left(store: Store, settings: ServiceSettings) -> set[int]:
    ids = {j.id for j in store.newest(None, 100, 0)}
    assert ids == {p.name for p in (settings.data / "jobs").iterdir()}
    return {int(i, 16) for i in ids}


def test_old_jobs_go_and_waiting_ones_stay(store: Store, settings: ServiceSettings) -> None:
    now = time.time()
    for number, (state, age) in enumerate([("done", 3), ("done", 1), ("failed", 3), ("cancelled", 3), ("queued", 9), ("paused", 9)]):
        _add(store, settings, number, state, None if state in ("queued", "paused") else now - age * DAY)  # type: ignore[arg-type]
    assert sweep(settings, store, Runner(store, settings), now) == 3
    assert _left(store, settings) == {1, 4, 5}


def test_the_oldest_go_while_all_take_too_much_room(store: Store, settings: ServiceSettings) -> None:
    now = time.time()
    for number, (age, size) in enumerate([(3, 400), (1, 400), (2, 400)]):
        _add(store, settings, number, "done", now - age * 1000, size)
    runner = Runner(store, settings)
    assert sweep(settings, store, runner, now) == 1
    assert _left(store, settings) == {1, 2}
    assert sweep(replace(settings, keep_bytes=0, keep_days=0), store, runner, now + 1000 * DAY) == 0


def test_what_is_not_on_record_is_removed_at_the_start(store: Store, settings: ServiceSettings) -> None:
    kept = _add(store, settings, 1, "done", time.time())
    (settings.data / "jobs" / "half").mkdir()
    (settings.data / "jobs" / "half" / "upload").write_bytes(b"x")
    (settings.data / "pictures" / "half").mkdir()
    remove_strangers(settings.data, store)
    assert [p.name for p in (settings.data / "jobs").iterdir()] == [kept]
    assert not list((settings.data / "pictures").iterdir())


def test_a_complete_result_is_kept_though_nobody_took_note_of_it_and_its_source_is_gone(store: Store, settings: ServiceSettings) -> None:
    job = _add(store, settings, 1, "queued", None)
    store.change(job, media="reels/a.mp4")
    runner = Runner(store, settings)
    runner.start()
    deadline = time.monotonic() + 60
    while store.all_in("queued", "running") and time.monotonic() < deadline:
        time.sleep(0.05)
    runner.end()
    assert [(j.id, j.state, j.bytes) for j in store.newest(None, 9, 0)] == [(job, "done", 10)]
    assert (settings.data / "jobs" / job / "result.mp4").exists()


class _Running:
    """A job's process that takes its time to stop."""

    def stop(self) -> None:
        """Not yet."""


@pytest.mark.parametrize(("first", "then"), [("cancel", "pause"), ("delete", "pause"), ("delete", "cancel")])
def test_what_is_being_removed_can_no_longer_be_kept(first: Wish, then: Wish, store: Store, settings: ServiceSettings) -> None:
    job, runner = _add(store, settings, 1, "running", None), Runner(store, settings)
    runner._current = (job, cast(Child, _Running()))
    assert runner.wish(job, first)
    assert not runner.wish(job, then)
    assert runner._wishes == {job: first}


def test_the_queue_is_bounded_and_counts_uploads_on_their_way(store: Store, settings: ServiceSettings) -> None:
    _add(store, settings, 1, "queued", None)
    _add(store, settings, 2, "running", None)
    with store.place(), store.place(), pytest.raises(QueueFull), store.place():
        pass
    with store.place():
        pass


def test_jobs_come_back_as_they_were(store: Store, settings: ServiceSettings) -> None:
    job_id = _add(store, settings, 1, "queued", None)
    assert store.change(job_id, among=("queued",), state="running", report={"faces": 3}, error={"code": "ä"})
    assert not store.change(job_id, among=("queued",), state="done")
    store.close()
    again = Store(settings.data / "jobs.sqlite3", queue=3)
    again.requeue_running()
    job = again.get(job_id)
    assert job is not None
    assert (job.state, job.report, job.error, job.settings) == ("queued", {"faces": 3}, {"code": "ä"}, {"strength": 0.5})
    assert again.next_queued() == job
    again.close()


def test_a_damaged_or_later_queue_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(b"noise" * 1000)
    with pytest.raises(InputError, match="cannot be opened"):
        Store(tmp_path / "noise", 1)
    base = sqlite3.connect(tmp_path / "later")
    base.execute("PRAGMA user_version=9")
    base.close()
    with pytest.raises(InputError, match="later gpenvid"):
        Store(tmp_path / "later", 1)


def test_media_root_and_data_may_not_lie_in_one_another(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    for data, root in ((tmp_path / "media" / "data", tmp_path / "media"), (tmp_path, tmp_path / "media")):
        with pytest.raises(UsageError, match="in one another"):
            ServiceSettings(data, root)


def test_limits_beyond_what_clocks_and_disks_know_are_refused(tmp_path: Path) -> None:
    for seconds in (float("inf"), float("nan"), 0.5, 1e9):
        with pytest.raises(UsageError, match="--picture-seconds"):
            ServiceSettings(tmp_path, picture_seconds=seconds)
    for option in ("--keep-gb", "--keep-days"):
        for value in ("inf", "nan"):
            done = CliRunner().invoke(app, ["serve", "--data", str(tmp_path), option, value])
            assert isinstance(done.exception, UsageError)
            assert option in str(done.exception)


def test_a_service_says_which_detectors_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown detector nope: choose one of auto, builtin, retinaface-mobilenet, retinaface-resnet50"):
        Service(ServiceSettings(tmp_path, detector="nope"))


def test_two_services_on_one_folder_are_told_about_the_folder(settings: ServiceSettings) -> None:
    first = FileLock(settings.data / "lock", settings.data)
    with pytest.raises(UsageError, match="another --data"):
        Service(settings)
    first.release()


def test_a_file_that_became_a_link_is_no_longer_inside(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "film.mp4").write_bytes(b"x")
    (tmp_path / "secret").write_bytes(b"x")
    path = resolve_inside(root, "film.mp4")
    assert still_inside(root, path)
    path.unlink()
    assert not still_inside(root, path)
    path.symlink_to(tmp_path / "secret")
    assert not still_inside(root, path)
    with pytest.raises(Problem):
        resolve_inside(root, "film.mp4")


def test_clients_cannot_reach_what_is_the_operators(settings: ServiceSettings) -> None:
    fixed = replace(settings, models=("/weights/x.pth", "gpen-lite-256"), device="cpu", dtype="fp32")
    made = restore_settings(fixed, {"model": "x", "color": "restored", "strength": 0.5})
    opening = {"detector": "auto", "device": "cpu", "dtype": "fp32", "batch": 0, "engine": "auto"}
    assert made == {**opening, "strength": 0.5, "model": "/weights/x.pth", "keep_colour": False}
    assert restore_settings(fixed, {})["model"] == "/weights/x.pth"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a.mp4", "a.mp4"),
        ("/etc/passwd", "passwd"),
        ("..\\..\\x.mp4", "x.mp4"),
        ("..", "file"),
        ("", "file"),
        ("a\r\nSet-Cookie: x.mp4", "aSet-Cookie x.mp4"),
        ("<b>.mp4", "b.mp4"),
        ("x" * 500 + ".mp4", "x" * 120 + ".mp4"),
        ("\u202egnp.exe", "gnp.exe"),
    ],
)
def test_names_of_clients_keep_what_is_harmless(given: str, kept: str) -> None:
    assert clean_name(given) == kept


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("/srv/data/jobs/1/source.mp4: no video stream", "my film.mp4: no video stream"),
        ("/home/me/secret place/x: broken", "x: broken"),
        ("C:\\Users\\me\\x.mp4 is broken", "x.mp4 is broken"),
        ("choose --codec ffv1, or leave --crf out", "choose codec ffv1, or leave crf out"),
        ("leave --crf out; `gpenvid analyse --sheet x` shows them", "leave crf out; `gpenvid analyse --sheet x` shows them"),
        ("source.mp4: no picture", "my film.mp4: no picture"),
        ("and/or 3/4, https://example.com", "and/or 3/4, https://example.com"),
    ],
)
def test_sentences_for_clients_name_no_folder(text: str, told: str) -> None:
    assert for_clients(text, {"/srv/data/jobs/1/source.mp4": "my film.mp4", "source.mp4": "my film.mp4"}) == told


def test_a_name_that_holds_another_name_is_put_in_once() -> None:
    assert (
        for_clients("/srv/1/source.mp4: empty", {"/srv/1/source.mp4": "my source.mp4", "source.mp4": "my source.mp4"})
        == "my source.mp4: empty"
    )
