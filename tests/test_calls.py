"""Calling gpenvid from Python: what may be handed to it, and what is refused."""

from __future__ import annotations

import inspect
import os
import pickle
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from films import Film

import gpenvid
from gpenvid.errors import BatchError, GpenvidError, InputError, StoppedError, UsageError, WeightsError
from gpenvid.job.progress import Silent
from gpenvid.job.report import Report
from gpenvid.job.stills import PicturesError
from gpenvid.job.video import MeasuringStoppedError
from gpenvid.restore.restorer import _crop_threads
from gpenvid.settings import RestoreSettings

REFUSED = {
    "a word for yes or no": ({"keep_colour": "no"}, "--keep-colour is 'no'"),
    "a number as text": ({"strength": "0.5"}, "--strength is '0.5'"),
    "yes for a number": ({"strength": True}, "--strength is True"),
    "half a crop": ({"batch": 1.5}, "--batch is 1.5"),
    "nothing for a name": ({"model": None}, "--model is None"),
    "a track number as text": ({"only": "1"}, "--only is '1'"),
    "a track number by itself": ({"exclude": 2}, "--exclude is 2"),
    "a sidecar without a name": ({"tracks": ""}, "--tracks without a name"),
    "an embedding without a name": ({"identity": ""}, "--identity without a name"),
    "a number of seconds as text": ({"end": "2"}, "--end is '2'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_settings_of_another_type_are_refused_by_name(case: str) -> None:
    settings, told = REFUSED[case]
    with pytest.raises(UsageError, match=told):
        RestoreSettings(**settings)


def test_settings_take_what_python_programs_have_at_hand() -> None:
    given: dict[str, Any] = {"model": Path("GPEN.pth"), "tracks": "a.json", "only": [1, 3], "strength": 1, "crf": 18}
    settings = RestoreSettings(**given)
    assert (settings.model, settings.tracks, settings.only) == ("GPEN.pth", Path("a.json"), (1, 3))


def test_numbers_of_numpy_are_numbers() -> None:
    given: dict[str, Any] = {
        "start": np.float32(0.5),
        "end": np.uint8(3),
        "batch": np.int8(4),
        "strength": Fraction(1, 2),
        "crf": np.int64(18),
    }
    settings = RestoreSettings(**given)
    assert repr(settings) == repr(RestoreSettings(start=0.5, end=3.0, batch=4, strength=0.5, crf=18.0))
    with pytest.raises(UsageError, match=r"--strength 1\.5 is out of range"):
        RestoreSettings(strength=Fraction(3, 2))
    with pytest.raises(UsageError, match="--batch 2000000 is out of range"):
        RestoreSettings(batch=2_000_000)


ERRORS = [
    *(kind("what is wrong", "what to do") for kind in (GpenvidError, UsageError, InputError, WeightsError, StoppedError)),
    BatchError([InputError("a"), WeightsError("b", "c")], 3),
    PicturesError([UsageError("a", "b")], Path("in"), 4, Report("in", "out")),
    MeasuringStoppedError(StoppedError("a", "b"), Report("in", "out")),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_come_back_from_pools_as_they_are(error: GpenvidError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.message, again.remedy, again.exit_code) == (
        type(error),
        str(error),
        error.message,
        error.remedy,
        error.exit_code,
    )
    assert [str(e) for e in getattr(again, "errors", [])] == [str(e) for e in getattr(error, "errors", [])]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_process_has_threads_of_its_own_to_restore_with() -> None:
    pool = _crop_threads(2)
    pool.submit(int).result()
    child = os.fork()
    if not child:
        os._exit(0 if _crop_threads(2) is not pool and _crop_threads(2).submit(int).result(timeout=20) == 0 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_progress_object_ends_the_work(tiny_model: Path, tmp_path: Path) -> None:
    class Stopping(Silent):
        def advance(self, _frames: int) -> None:
            raise StoppedError("enough")

    sources = [Film(frames=4).write(tmp_path / name) for name in ("a.mp4", "b.mp4")]
    (tmp_path / "out").mkdir()
    settings = RestoreSettings(model=str(tiny_model), detector="builtin")
    with pytest.raises(StoppedError, match="enough"):
        gpenvid.restore_many(sources, tmp_path / "out", settings, Stopping())
    assert not list((tmp_path / "out").glob("*.mp4"))


@pytest.mark.parametrize("call", [gpenvid.restore, gpenvid.analyse, lambda source: gpenvid.restore_many([source])])
def test_a_source_without_a_name_is_not_the_current_folder(call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="without a name"):
        call("")


def test_an_output_without_a_name_is_not_the_current_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="an output without a name"):
        gpenvid.restore_many([tmp_path / "a.mp4", tmp_path / "b.mp4"], "")


@pytest.mark.parametrize(("name", "says"), [("x" * 300 + ".mp4", "too long: name a shorter one"), ("a\0b.mp4", "no file can have")])
def test_a_name_that_no_file_can_have_is_refused(name: str, says: str, make_clip: Any) -> None:
    clip = make_clip([np.zeros((32, 32, 3), np.uint8)])
    calls = (gpenvid.restore, gpenvid.analyse, lambda n: gpenvid.restore(clip, n), lambda n: gpenvid.restore(clip, clip.parent / n))
    options = (lambda n, o=o: RestoreSettings(**{o: n}) for o in ("tracks", "identity", "model"))
    for call in (*calls, *options):
        with pytest.raises(InputError, match=says):
            call(name)


def test_one_path_is_not_taken_for_a_list_of_letters() -> None:
    with pytest.raises(UsageError, match="one source where several are expected"):
        gpenvid.restore_many("clip.mp4")


def test_sources_may_come_one_by_one(tmp_path: Path) -> None:
    with pytest.raises(gpenvid.errors.BatchError, match="2 of 2 inputs failed"):
        gpenvid.restore_many(tmp_path / name for name in ("a.mp4", "b.mp4"))


def test_the_main_job_is_a_function_to_pools_and_editors() -> None:
    assert pickle.loads(pickle.dumps(gpenvid.restore)) is gpenvid.restore
    assert list(inspect.signature(gpenvid.restore).parameters) == ["source", "output", "settings", "progress"]
