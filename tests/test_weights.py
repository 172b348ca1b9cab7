"""Model cards, weight files, downloads."""

from __future__ import annotations

import contextlib
import functools
import gc
import hashlib
import http.server
import os
import random
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch

from gpenvid.errors import UnsupportedDtypeError, UsageError, WeightsError
from gpenvid.job.doctor import examine
from gpenvid.restore import download as download_module
from gpenvid.restore.cards import ModelCard, all_cards, any_card, find_card
from gpenvid.restore.choices import choose_device, choose_dtype
from gpenvid.restore.gpen import GpenGenerator, GpenShape
from gpenvid.restore.restorer import load_restorer
from gpenvid.restore.weights import (
    Pins,
    cache_folder,
    check_file,
    file_sha256,
    import_file,
    locate,
    obtain,
    pins,
    read_state_dict,
    verify_all,
)

PAYLOAD = bytes(range(256)) * 5000


def test_the_built_in_models_are_here_and_agree_with_their_cards() -> None:
    own = [c for c in all_cards().values() if c.built_in]
    assert own
    for card in own:
        path = locate(card)
        assert path is not None
        assert path.suffix == ".safetensors"
        assert check_file(card, path) == "published"


def test_opening_weights_again_and_again_holds_on_to_nothing() -> None:
    path = locate(find_card("gpen-lite-256", "restorer"))
    assert path is not None
    for _ in range(3):
        read_state_dict(path)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(20):
            read_state_dict(path)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 20 * 500
    finally:
        tracemalloc.stop()


def test_published_models_are_listed_with_their_licence() -> None:
    for size in (256, 512, 1024, 2048):
        card = find_card(f"gpen-bfr-{size}", "restorer")
        assert card.size == size
        assert "non-commercial" in card.licence


def test_a_detector_is_no_restorer() -> None:
    with pytest.raises(UsageError, match="unknown restorer"):
        find_card("retinaface-mobilenet", "restorer")


def test_facexlibs_file_is_known_by_its_hash(retinaface: Path) -> None:
    assert check_file(any_card("retinaface-mobilenet"), retinaface) == "published"


def test_a_wrong_file_under_the_right_name_is_refused(tmp_path: Path) -> None:
    card = any_card("retinaface-mobilenet")
    path = tmp_path / card.file
    path.write_bytes(b"\0" * card.bytes)
    with pytest.raises(WeightsError, match="SHA-256"):
        check_file(card, path)


def _network(path: Path, size: int) -> Path:
    """A thin GPEN network for crops of a size."""
    path.parent.mkdir(exist_ok=True)
    torch.save(GpenGenerator(GpenShape(size, 8, 1, (2,) * (size.bit_length() - 2))).state_dict(), path)
    return path


def test_another_network_under_the_right_name_is_neither_taken_nor_pinned(tmp_path: Path) -> None:
    wrong, other = _network(tmp_path / "GPEN-BFR-512.pth", 256), tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(3)}, other)
    for file, said in ((wrong, "is a 256 network, GPEN-BFR-512 is 512"), (other, "not the weights of a GPEN generator")):
        with pytest.raises(WeightsError, match=f"^{file}: {said}"):
            import_file(file, "GPEN-BFR-512")
        assert not (cache_folder() / "GPEN-BFR-512.pth").exists()
    put_there = _network(cache_folder() / "GPEN-BFR-512.pth", 256)
    with pytest.raises(WeightsError, match="is a 256 network"):
        obtain(any_card("GPEN-BFR-512"))
    assert pins().read() == {}
    right = import_file(_network(tmp_path / "right.pth", 512), "GPEN-BFR-512")
    assert right == put_there
    assert obtain(any_card("GPEN-BFR-512")) == right
    remedy = r"choose the file of GPEN-BFR-512, or another name with --as, or delete the line of GPEN-BFR-512\.pth in .*pins\.json"
    with pytest.raises(WeightsError, match=rf"^{wrong}: is not the GPEN-BFR-512 of the first use \(.*\): {remedy}"):
        import_file(wrong)
    assert check_file(any_card("GPEN-BFR-512"), right) == "pinned"
    right.unlink()
    pins().path.unlink()


@pytest.mark.parametrize("zipped", [True, False])
def test_damage_of_any_kind_is_damage(zipped: bool, tmp_path: Path) -> None:
    """Of such files one in forty made the reader stumble over something else than what it raises on purpose."""
    file, chance = tmp_path / "w.pth", random.Random(0)
    torch.save({"a": torch.zeros(3), "b": torch.ones(2, 2)}, file, _use_new_zipfile_serialization=zipped)
    whole = file.read_bytes()
    for number in range(400):
        data = bytearray(whole if number % 2 else chance.randbytes(len(whole) // 4))
        for _ in range(4):
            data[chance.randrange(len(data))] = chance.randrange(256)
        file.write_bytes(data)
        with contextlib.suppress(WeightsError):
            read_state_dict(file)


@pytest.mark.parametrize("kind", ["nan", "infinite", "sparse", "whole numbers"])
def test_weights_that_cannot_be_computed_with_are_refused(kind: str, tmp_path: Path) -> None:
    """A face of them would be black."""
    state = GpenGenerator(GpenShape(32, 8, 1, (2, 2, 2, 2))).state_dict()
    key = "generator.to_rgbs.0.bias"
    change: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "nan": lambda t: t * float("nan"),
        "infinite": lambda t: t + float("inf"),
        "sparse": lambda t: t.to_sparse(),
        "whole numbers": lambda t: t.int(),
    }
    torch.save({**state, key: change[kind](state[key])}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=rf"w\.pth: GPEN weights that cannot be computed with: {key} holds"):
        load_restorer(ModelCard("w", "restorer", "w.pth", "", ""), tmp_path / "w.pth")


def test_a_file_that_is_refused_is_named_as_it_was_given(tmp_path: Path) -> None:
    file = tmp_path / "mine.pth"
    torch.save({"weight": torch.zeros(3)}, file)
    with pytest.raises(WeightsError, match=f"^{file}: has .* bytes, retinaface-mobilenet has"):
        import_file(file, "retinaface-mobilenet")
    file.write_bytes(b"no weights")
    with pytest.raises(WeightsError, match=f"^{file}: "):
        import_file(file, "GPEN-BFR-1024")
    assert list(cache_folder().glob("*.part")) == []


def test_a_file_without_a_known_hash_is_pinned_at_its_first_use(tmp_path: Path) -> None:
    source = _network(tmp_path / "GPEN-BFR-256.pth", 256)
    target = import_file(source)
    assert target == cache_folder() / "GPEN-BFR-256.pth"
    card = any_card("GPEN-BFR-256")
    assert check_file(card, target) == "pinned"
    assert pins().read() == {"GPEN-BFR-256.pth": file_sha256(source)}
    target.write_bytes(b"other")
    with pytest.raises(WeightsError, match="SHA-256"):
        obtain(card)
    assert any(not v.good and "GPEN-BFR-256" in v.text for v in verify_all())
    target.unlink()
    pins().path.unlink()


def test_a_file_that_could_not_be_read_under_the_models_name_is_not_imported(tiny_model: Path) -> None:
    with pytest.raises(WeightsError, match=rf"the file of GPEN-BFR-256 is a \.pth: .* --model {tiny_model}"):
        import_file(tiny_model, "GPEN-BFR-256")


def test_a_file_that_may_not_be_read_or_recorded_has_a_remedy_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    file, part = _network(cache_folder() / "GPEN-BFR-256.pth", 256), pins().path.with_suffix(".part")
    part.mkdir()
    with pytest.raises(WeightsError, match=rf"pins\.json: cannot be written .* with --model {file}"):
        obtain(any_card("GPEN-BFR-256"))
    part.rmdir()
    monkeypatch.setattr(torch, "load", Mock(side_effect=PermissionError))
    with pytest.raises(WeightsError, match=rf"{file}: may not be read: make it readable"):
        obtain(any_card("GPEN-BFR-256"))
    monkeypatch.setattr(Path, "open", Mock(side_effect=PermissionError))
    with pytest.raises(WeightsError, match=rf"{file}: may not be read: make it readable"):
        file_sha256(file)
    file.unlink()


def test_a_folder_that_may_not_be_entered_holds_no_weights_and_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    cache_folder().mkdir(exist_ok=True)
    real, barred = os.stat, f"{cache_folder()}{os.sep}"

    def stat(path: os.PathLike[str] | str | int, **options: Any) -> os.stat_result:
        if str(path).startswith(barred):
            raise PermissionError
        return real(path, **options)

    monkeypatch.setattr(os, "stat", stat)
    assert locate(any_card("GPEN-BFR-256")) is None
    assert [found.state for found in examine() if found.what == "weights folder"] == ["problem"]


def test_an_unknown_file_needs_a_name(tmp_path: Path) -> None:
    (tmp_path / "mine.pth").write_bytes(b"x")
    with pytest.raises(UsageError, match="--as"):
        import_file(tmp_path / "mine.pth")


class _Ranges(http.server.SimpleHTTPRequestHandler):
    """Serves PAYLOAD, honouring byte ranges; `/short` closes early."""

    def do_GET(self) -> None:
        start = int((self.headers.get("Range") or "bytes=0-").split("=")[1].rstrip("-"))
        if self.path == "/missing":
            self.send_error(404)
            return
        if start >= len(PAYLOAD):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(PAYLOAD)}")
            self.end_headers()
            return
        body = PAYLOAD[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        for part in (body[: len(body) // 2], body[len(body) // 2 :])[: 1 if self.path == "/short" else 2]:
            self.wfile.write(part)
            time.sleep(0.2 if self.path == "/slow" else 0)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A loopback server; the downloader's https rule is pointed at it."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Ranges)) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        monkeypatch.setattr(download_module, "_SCHEME", "http://")
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


def test_a_download_is_complete_and_told(server: str, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    download_module.download(f"{server}/file", tmp_path / "w.pth", 0, lambda done, total: told.append((done, total)))
    assert (tmp_path / "w.pth").read_bytes() == PAYLOAD
    assert told[-1] == (len(PAYLOAD), len(PAYLOAD))


def test_a_broken_download_is_continued(server: str, tmp_path: Path) -> None:
    target = tmp_path / "w.pth"
    with pytest.raises(WeightsError, match="incomplete"):
        download_module.download(f"{server}/short", target)
    assert not target.exists()
    assert (tmp_path / "w.pth.part").stat().st_size == len(PAYLOAD) // 2
    download_module.download(f"{server}/file", target)
    assert target.read_bytes() == PAYLOAD
    assert not (tmp_path / "w.pth.part").exists()


def test_a_download_that_lacks_only_its_name_is_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "w.pth.part").write_bytes(PAYLOAD)
    download_module.download("https://nowhere.invalid/w.pth", tmp_path / "w.pth", len(PAYLOAD))
    assert (tmp_path / "w.pth").read_bytes() == PAYLOAD


@pytest.mark.parametrize("more", [b"", b"x"])
def test_a_kept_part_as_long_as_the_file_is_taken_and_a_longer_one_is_fetched_anew(more: bytes, server: str, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    (tmp_path / "w.pth.part").write_bytes(PAYLOAD + more)
    download_module.download(f"{server}/file", tmp_path / "w.pth", 0, lambda *counts: told.append(counts))
    assert (tmp_path / "w.pth").read_bytes() == PAYLOAD
    assert bool(told) == bool(more)


def test_two_that_want_one_model_fetch_it_once(server: str) -> None:
    card = replace(any_card("retinaface-mobilenet"), url=f"{server}/slow", file="w.pth", bytes=len(PAYLOAD))
    card = replace(card, sha256=hashlib.sha256(PAYLOAD).hexdigest())
    told: list[tuple[int, int]] = []
    with ThreadPoolExecutor(3) as pool:
        paths = set(pool.map(lambda _: obtain(card, lambda *counts: told.append(counts)), range(3)))
    assert paths == {cache_folder() / "w.pth"}
    assert (cache_folder() / "w.pth").read_bytes() == PAYLOAD
    assert told == sorted(set(told))
    assert {p.name for p in cache_folder().glob("w.pth*")} == {"w.pth"}


def test_pins_that_are_added_at_once_are_all_kept(tmp_path: Path) -> None:
    names = [f"{i}.pth" for i in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: Pins(tmp_path / "pins.json").add(name, "0"), names))
    assert sorted(Pins(tmp_path / "pins.json").read()) == sorted(names)


def test_a_record_of_pins_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "pins.json").mkdir()
    with pytest.raises(WeightsError, match=r"pins\.json"):
        Pins(tmp_path / "pins.json").add("a.pth", "0")
    (tmp_path / "other.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(WeightsError, match="damaged"):
        Pins(tmp_path / "other.json").read()


def test_a_missing_file_on_the_server_is_said(server: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="404"):
        download_module.download(f"{server}/missing", tmp_path / "w.pth")


def test_plain_http_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="https"):
        download_module.download("http://example.org/w.pth", tmp_path / "w.pth")


def _card(*dtypes: str) -> ModelCard:
    return replace(find_card("gpen-lite-256", "restorer"), dtypes=dtypes)


def test_a_number_format_the_card_does_not_list_is_refused() -> None:
    with pytest.raises(UnsupportedDtypeError, match="fp16"):
        choose_dtype("fp16", _card("fp32", "bf16"), torch.device("cpu"))


def test_auto_takes_float32_where_bf16_is_not_listed() -> None:
    assert choose_dtype("auto", _card("fp32"), torch.device("cpu")) == "fp32"


def test_auto_device_is_the_gpu_if_there_is_one() -> None:
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["tpu", "cuda:99", "mps:0:1"])
def test_unknown_devices_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="device"):
        choose_device(name)
