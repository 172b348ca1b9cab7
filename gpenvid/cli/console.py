"""Progress for people: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from gpenvid.faces.tracks import Tracks
from gpenvid.job.report import Report

_PLAIN_EVERY = 10.0  # seconds between plain lines


class ConsoleProgress:
    """Shows stage, frames, frames per second, faces and time left, on standard error, so that output can be piped.

    Args:
        quiet: show notes only.
        check: called at every stage; what it raises ends the job there, where a library took the order to stop for its own error.
    """

    def __init__(self, *, quiet: bool = False, check: Callable[[], None] = lambda: None) -> None:
        self._check = check
        self.console = Console(stderr=True)
        self._quiet = quiet
        self._live: Progress | None = None
        self._task: TaskID | None = None
        self._name, self._total, self._frames, self._faces = "", 0, 0, 0
        self._began = self._spoke = time.monotonic()

    def stage(self, name: str, total: int) -> None:
        """Begin a stage."""
        self._check()
        self._name, self._total, self._frames, self._faces = name, total, 0, 0
        self._began = self._spoke = time.monotonic()
        if self._quiet:
            return
        if not self.console.is_terminal:
            self.console.print(f"{name}: {total or 'unknown number of'} frames" if name != "assemble" else name)
            return
        if self._live is None:
            columns = (
                TextColumn("{task.description:<9}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
            )
            self._live = Progress(*columns, console=self.console, transient=True)
            self._live.start()
        if self._task is not None:
            self._live.remove_task(self._task)
        self._task = self._live.add_task(name, total=total or None, rate="")

    def advance(self, frames: int, faces: int = 0) -> None:
        """Count frames and faces."""
        self._frames += frames
        self._faces += faces
        now = time.monotonic()
        rate = self._frames / max(now - self._began, 1e-6)
        text = f"{rate:.1f} fps" + (f", {self._faces} faces" if self._faces else "")
        if self._live is not None and self._task is not None:
            self._live.update(self._task, completed=self._frames, rate=text)
        elif not self._quiet and not self.console.is_terminal and now - self._spoke > _PLAIN_EVERY:
            self._spoke = now
            left = f", {(self._total - self._frames) / rate:.0f} s left" if self._total > self._frames else ""
            self.console.print(f"{self._name}: {self._frames}/{self._total or '?'} frames, {text}{left}")

    def note(self, text: str) -> None:
        """Show a line at once."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Take the live line away."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def print_summary(console: Console, report: Report) -> None:
    """One restoration as a small table."""
    table = Table(show_header=False, box=None, pad_edge=False)
    if report.error:
        table.add_row("failed", report.error)
    if report.error and not report.frames:
        console.print(table, highlight=False, markup=False, soft_wrap=True)
        return
    wall = report.timing.get("wall", 0.0)
    analysis = report.analysis
    table.add_row("result", report.output)
    made = wall - report.timing.get("measure", 0.0)
    table.add_row("frames", f"{report.frames} in {made:.1f} s ({report.frames / made if made else 0:.1f} fps)")
    table.add_row("faces", f"{report.faces} restored, {report.tracks} tracks")
    calls = f", called on {analysis.detector_calls} of {analysis.frames} frames" if analysis.detector else ""
    table.add_row("detector", f"{analysis.detector or 'none, tracks were given'}{calls}")
    table.add_row("restorer", f"{report.restorer.name}, {report.restorer.dtype} on {report.restorer.device}, {report.restorer.engine}")
    table.add_row("memory", f"{report.memory.peak_resident / 2**20:.0f} MiB peak")
    for reason, count in report.skipped.items():
        table.add_row("skipped", f"{count} faces: {reason}")
    for note in report.notes:
        table.add_row("note", note)
    for warning in report.warnings:
        table.add_row("warning", warning)
    console.print(table, highlight=False, markup=False, soft_wrap=True)


def print_tracks(console: Console, tracks: Tracks) -> None:
    """The people found, as a table."""
    table = Table("track", "frames", "detected", "score", "left alone", box=None, pad_edge=False)
    for track in tracks.tracks:
        flags = ", ".join(f"{f.start}-{f.end - 1} {f.reason}" for f in track.flags)
        frames = f"{track.start}-{track.end - 1}"
        table.add_row(str(track.id), frames, str(int(track.detected.sum())), f"{track.scores.mean():.2f}", flags)
    console.print(table, highlight=False)
    console.print(f"{len(tracks.shots)} shots; detector called on {tracks.detector_calls} of {tracks.frames} frames", highlight=False)


def print_stability(console: Console, report: Report) -> None:
    """How steady faces are: the source, every frame restored by itself, and the result."""
    calls = f"{report.analysis.detector_calls} of {report.analysis.frames} frames"
    table = Table("track", "frames", "", "jitter", "smoothed", "warping", "sharpness", "likeness", box=None, pad_edge=False)
    for p in report.stability:
        found = "" if p.jitter_detected is None else f"{100 * p.jitter_detected:.2f}%"
        alike = "" if p.likeness_least is None else f"{p.likeness_least:.2f} at least, ± {p.likeness_spread:.2f}"
        rows = (
            (str(p.id), f"{p.first}-{p.last}", "source", "", "", p.source, ""),
            ("", "", "frame by frame", found, "", p.plain, ""),
            ("", "", "result", f"{100 * p.jitter_unsmoothed:.2f}%", f"{100 * p.jitter:.2f}%", p.ours, alike),
        )
        for *words, steady, likeness in rows:
            table.add_row(*words, f"{steady.warping:.2f}", f"{steady.sharpness:.1f}", likeness)
    console.print(table, highlight=False)
    console.print(f"The detector was called on {calls}.", highlight=False)
    console.print(
        "Jitter: second difference of the face's place, of the eye distance. Warping: grey levels between a frame and", highlight=False
    )
    console.print("the one before, carried along by the source's flow; blur lowers it too, so compare the sharpness.", highlight=False)


def print_profile(console: Console, report: Report) -> None:
    """What the stages of a video did with their time; those of the analysis come first, then those of the render."""
    table = Table("stage", "items", "busy s", "no input s", "no room s", "queue MiB", box=None, pad_edge=False)
    for s in report.stages:
        seconds = (f"{value:.1f}" for value in (s.busy, s.waited_for_input, s.waited_for_room))
        table.add_row(s.name, str(s.items), *seconds, f"{s.most_bytes / 2**20:.1f}")
    console.print(table, highlight=False)
