"""The rooms and the direction of their imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "gpenvid"
SHARED_MODULES = {"geometry", "errors", "lock"}
ALLOWED = {
    "media": {"media"},
    "faces": {"faces"},
    "restore": {"restore"},
    "blend": {"blend"},
    "job": {"job", "media", "faces", "restore", "blend", "settings", ""},
    "server": {"server", "job", "settings", ""},
}


def _imports(path: Path) -> set[str]:
    """Rooms of gpenvid that a file imports, wherever in the file."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        rooms |= {name.split(".")[1] if "." in name else "" for name in names if name.split(".")[0] == "gpenvid"}
    return rooms


@pytest.mark.parametrize("room", ALLOWED)
def test_a_room_imports_only_what_the_design_allows(room: str) -> None:
    for path in (PACKAGE / room).rglob("*.py"):
        assert _imports(path) <= ALLOWED[room] | SHARED_MODULES, path


def test_pyav_is_imported_in_media_only() -> None:
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0] not in ("media", "job"):
            assert not any(line.startswith(("import av", "from av")) for line in path.read_text(encoding="utf-8").splitlines()), path


def test_files_stay_small() -> None:
    for path in PACKAGE.rglob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, path


def test_help_does_not_load_torch() -> None:
    code = "import sys; import gpenvid.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["restore", "missing.mp4"], "missing.mp4: no such file"),
        (["restore", "interview.mp4", "-o", "out.avi"], "cannot write .avi"),
        (["restore", "interview.mp4", "-o", "interview.mp4"], "the output is the source"),
        (["restore", "interview.mp4", "-o", "missing/out.mp4"], "no such folder"),
        (["analyse", "missing.mp4"], "missing.mp4: no such file"),
        (["preview", "missing.mp4"], "missing.mp4: no such file"),
    ],
)
def test_a_mistyped_name_is_answered_before_torch_is_loaded(arguments: list[str], said: str) -> None:
    code = "import sys; from gpenvid.cli import main\ntry:\n    main()\nfinally:\n    print('torch' in sys.modules)"
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, cwd=ROOT / "samples", capture_output=True, text=True, check=False)
    assert said in done.stderr
    assert done.stdout == "False\n"


def test_ruff_finds_nothing() -> None:
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run([sys.executable, "-m", "ruff", *command, "."], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_strict_finds_nothing() -> None:
    done = subprocess.run([sys.executable, "-m", "mypy"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
