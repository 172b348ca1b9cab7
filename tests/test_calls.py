"""Calling gpenvid from Python: what may be handed to it, and what is refused."""

from __future__ import annotations

import inspect
import pickle
from pathlib import Path
from typing import Any

import pytest

import gpenvid
from gpenvid.errors import UsageError
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


@pytest.mark.parametrize("call", [gpenvid.restore, gpenvid.analyse, lambda source: gpenvid.restore_many([source])])
def test_a_source_without_a_name_is_not_the_current_folder(call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="without a name"):
        call("")


def test_an_output_without_a_name_is_not_the_current_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="an output without a name"):
        gpenvid.restore_many([tmp_path / "a.mp4", tmp_path / "b.mp4"], "")


def test_one_path_is_not_taken_for_a_list_of_letters() -> None:
    with pytest.raises(UsageError, match="one source where several are expected"):
        gpenvid.restore_many("clip.mp4")


def test_sources_may_come_one_by_one(tmp_path: Path) -> None:
    with pytest.raises(gpenvid.errors.BatchError, match="2 of 2 inputs failed"):
        gpenvid.restore_many(tmp_path / name for name in ("a.mp4", "b.mp4"))


def test_the_main_job_is_a_function_to_pools_and_editors() -> None:
    assert pickle.loads(pickle.dumps(gpenvid.restore)) is gpenvid.restore
    assert list(inspect.signature(gpenvid.restore).parameters) == ["source", "output", "settings", "progress"]
