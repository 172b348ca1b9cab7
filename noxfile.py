"""Everything that can be run on gpenvid, one session each: `nox -s tests`, `nox -l` for the list."""

from __future__ import annotations

import nox

nox.options.sessions = ["lint", "types", "tests"]
nox.options.default_venv_backend = "venv"


def _install(session: nox.Session, *extras: str) -> None:
    # With the constraints, or pip replaces torch by the newest multi-gigabyte build.
    session.install("-c", "constraints.txt", "-e", f".[{','.join(extras)}]")


@nox.session
def tests(session: nox.Session) -> None:
    """The default tests: under ten minutes on two cores."""
    _install(session, "dev")
    session.run("pytest", "-n", "2", "--dist", "worksteal", *session.posargs)


@nox.session
def slow(session: nox.Session) -> None:
    """The tests that take minutes, without those of `faults` and `service`."""
    _install(session, "dev")
    session.run("pytest", "-m", "slow", "--ignore", "tests/faults", "--ignore", "tests/server/service", *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """Kills, full disks and damaged files: about a quarter of an hour on two cores."""
    _install(session, "dev")
    session.run("pytest", "-m", "slow", "tests/faults", "-s", *session.posargs)


@nox.session
def service(session: nox.Session) -> None:
    """The service under load, and five minutes of requests made up from its OpenAPI document."""
    _install(session, "dev")
    session.run("pytest", "-m", "slow", "tests/server/service", "-s", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff over everything."""
    session.install("-c", "constraints.txt", "ruff")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Mypy, strict, over the package."""
    _install(session, "dev")
    session.run("mypy")


@nox.session
def memory(session: nox.Session) -> None:
    """Benchmark: does resident memory stay flat over 2,000 frames of 720p? Figures go to docs/benchmarks.md."""
    _install(session, "dev")
    session.run("python", "benchmarks/memory.py", *session.posargs)


@nox.session
def conformance(session: nox.Session) -> None:
    """Install the real facexlib and compare its detector with ours on the same weights."""
    _install(session, "dev")
    session.install("-c", "constraints.txt", "--no-deps", "facexlib==0.3.0", "torchvision")
    session.run("python", "benchmarks/conformance.py", *session.posargs)


@nox.session
def preview(session: nox.Session) -> None:
    """Benchmark: how long the preview takes to show a frame. Figures go to docs/benchmarks.md."""
    _install(session, "dev")
    session.run("python", "benchmarks/preview.py", *session.posargs)


@nox.session
def pictures(session: nox.Session) -> None:
    """Make the pictures of the documentation anew."""
    _install(session, "dev")
    session.run("python", "benchmarks/pictures.py")
    session.run("python", "benchmarks/preview_pictures.py")


@nox.session
def stability(session: nox.Session) -> None:
    """Benchmark: detection reuse, jitter and flicker over the shared clips. Figures go to docs/benchmarks.md."""
    _install(session, "dev")
    session.run("python", "benchmarks/stability.py", *session.posargs)


@nox.session
def baseline(session: nox.Session) -> None:
    """Benchmark: the plain way against gpenvid, on the same weights. Figures go to docs/benchmarks.md."""
    _install(session, "dev")
    session.run("python", "benchmarks/baseline.py", *session.posargs)
