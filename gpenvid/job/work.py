"""The work folder beside an output: finished segments, tracks and the journal that says what is finished."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from gpenvid.errors import InputError, UsageError, WeightsError
from gpenvid.faces.tracks import Tracks
from gpenvid.job.identity import Key, changes, concern_tracks
from gpenvid.job.inputs import is_on_disk
from gpenvid.job.journal import Journal, decode_records
from gpenvid.job.sidecar import read_sidecar, write_sidecar
from gpenvid.job.work_folder import work_folder
from gpenvid.lock import FileLock
from gpenvid.media.segments import is_complete, sync
from gpenvid.media.sequence import existing_numbers, is_pattern

_OURS = ("journal.jsonl", "tracks.json", "tracks.json.part", "*.seg", "*.part", "result.*")

Fits = Callable[[Tracks | None], object]


@dataclass(frozen=True)
class SegmentRecord:
    """A finished segment.

    Attributes:
        number: from 0, in the order of time.
        begin, end: first frame, and the frame after the last.
        digest: the segment file's own checksum.
        faces: faces restored in it.
        skipped: faces left alone, by reason.
    """

    number: int
    begin: int
    end: int
    digest: str
    faces: int
    skipped: dict[str, int]


class Work:
    """An open work folder. Made by `opened_work`.

    Attributes:
        path: the folder.
    """

    def __init__(self, path: Path, journal: Journal) -> None:
        self.path = path
        self._journal = journal

    @property
    def worth_keeping(self) -> bool:
        """Whether anything is finished that the next run can use."""
        return self._journal.last("tracks") is not None

    def segment_path(self, number: int) -> Path:
        """Where a segment's file is, or will be."""
        return self.path / f"{number:06d}.seg"

    def save_tracks(self, tracks: Tracks, faults: list[str]) -> Tracks:
        """Keep what the analysis found, with what it had to say about the source.

        Returns:
            the tracks as the next run would read them, so that a first and a continued render start from the same numbers.
        """
        path = self.path / "tracks.json"
        write_sidecar(tracks, path)
        sync(path)
        self._journal.append({"tracks": {"sha256": _sha256(path), "faults": faults}})
        return read_sidecar(path)

    def saved_tracks(self) -> tuple[Tracks, list[str]] | None:
        """Tracks of an earlier run and its faults, None where there are none or their file is not what was written."""
        record, path = self._journal.last("tracks"), self.path / "tracks.json"
        if record is None or not path.exists() or _sha256(path) != record["sha256"]:
            return None
        return read_sidecar(path), record["faults"]

    def save_segment(self, record: SegmentRecord) -> None:
        """Record a segment whose file is complete."""
        self._journal.append({"segment": asdict(record)})

    def finished(self, segments: list[tuple[int, int]]) -> dict[int, SegmentRecord]:
        """Segments of an earlier run, by number: those that are on record, cut the same way and whole on the disk."""
        found = {r["number"]: SegmentRecord(**r) for r in self._journal.all("segment")}
        return {
            number: record
            for number, record in sorted(found.items())
            if number < len(segments)
            and segments[number] == (record.begin, record.end)
            and is_complete(self.segment_path(number), record.digest)
        }

    def save_result(self, result: Path) -> None:
        """Record that the result is assembled and checked, right before it gets its name."""
        facts = result.stat()
        self._journal.append({"result": [facts.st_size, facts.st_mtime_ns]})

    def save_naming(self, *, done: bool) -> None:
        """Record that the pictures of a result are complete and get their names now, one after the other; or that all have them."""
        self._journal.append({"naming": not done})

    def size(self) -> int:
        """Bytes of finished segments."""
        return sum(p.stat().st_size for p in self.path.glob("*.seg"))


@contextmanager
def opened_work(output: Path, key: Key, *, restart: bool, keep: bool, fits: Fits, note: Callable[[str], None]) -> Iterator[Work]:
    """Take the work folder of an output; what it holds is usable if it was made for the same key, tracks also if the analysis was the same.

    On success the folder goes. On an error it stays if anything in it is worth continuing from.

    Args:
        restart: start over whatever is there.
        keep: the folder stays on success too.
        fits: called before anything that is there is thrown away, with the tracks that stay, None where they go too; raises where the
            command cannot be done.
        note: told when the job continues, or starts over and why.

    Raises:
        UsageError: another process works on this output.
        InputError: the folder cannot be made.
    """
    path = work_folder(output)
    try:
        lock = FileLock(path / "lock", output)
        try:
            journal = Journal(path / "journal.jsonl")
        except BaseException:
            lock.release()
            raise
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise InputError(f"{path}: this name of its work folder is too long", "name a shorter -o") from error
        raise InputError(f"{output.parent}: cannot be written to ({error.strerror})", "choose another -o") from error
    stay = False
    try:
        with journal:
            try:
                _begin(path, journal, key, restart=restart, fits=fits, note=note)
                journal.append({"kept": keep})
                yield Work(path, journal)
                stay = keep
            except BaseException as error:
                stay = Work(path, journal).worth_keeping
                if stay:
                    # What is wrong with a command is wrong with the same command.
                    which = "a corrected" if isinstance(error, UsageError | WeightsError) else "the same"
                    note(f"what is finished is kept in {path}; {which} command continues, --restart starts over")
                raise
    finally:
        if not stay:
            _clear(path)
        lock.release(remove=not stay)
        if not stay:
            _remove_if_empty(path)


def clean_up_after_success(output: Path) -> None:
    """Remove the work folder of a run that was killed between naming its result and cleaning up.

    Args:
        output: a file, or a pattern of numbered pictures.

    Raises:
        UsageError: another process works on this output.
        InputError: the folder cannot be read or removed.
    """
    path = work_folder(output)
    journal = path / "journal.jsonl"
    if not (is_on_disk(journal) and (existing_numbers(output) if is_pattern(output) else output.is_file())):
        return
    try:
        lock = FileLock(path / "lock", output)
        done = False
        try:
            with Journal(journal) as record:
                done = not record.last("kept") and _is_named(record, output)
            if done:
                _clear(path)
        finally:
            lock.release(remove=done)
    except OSError as error:
        raise InputError(f"{path}: cannot be read or removed ({error.strerror})", "remove it, or choose another -o") from error
    if done:
        _remove_if_empty(path)


def _is_named(record: Journal, output: Path) -> bool:
    if is_pattern(output):
        return record.last("naming") is False
    facts = output.stat()
    return bool(record.last("result") == [facts.st_size, facts.st_mtime_ns])


def is_half_named(output: Path) -> bool:
    """Whether an earlier run was stopped while its pictures got their names: those that have one are its own.

    Raises:
        InputError: the journal cannot be read.
    """
    journal = work_folder(output) / "journal.jsonl"
    try:
        records = decode_records(journal.read_bytes())[0]
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENAMETOOLONG):
            return False
        raise InputError(f"{journal}: cannot be read ({error.strerror})", "remove it, or choose another -o") from error
    return next((bool(record["naming"]) for record in reversed(records) if "naming" in record), False)


def _begin(path: Path, journal: Journal, key: Key, *, restart: bool, fits: Fits, note: Callable[[str], None]) -> None:
    before, tracks, half_named = journal.last("job"), None, bool(journal.last("naming"))
    if before is not None:
        different = changes(before, key)
        if restart:
            fits(None)
            note("starting over, as asked")
        elif not different:
            return
        elif concern_tracks(different) or (saved := Work(path, journal).saved_tracks()) is None:
            fits(None)
            note(f"starting over: since the work in {path} was begun {', '.join(different)} changed")
        else:
            fits(saved[0])
            tracks = journal.last("tracks")
            note(f"rendering anew, from the tracks in {path}: since it was begun {', '.join(different)} changed")
    journal.clear()
    for leftover in _files(path):
        if leftover.name != "journal.jsonl" and not (tracks and leftover.name == "tracks.json"):
            leftover.unlink()
    journal.append({"job": key})
    if tracks:
        journal.append({"tracks": tracks})
    if half_named:
        journal.append({"naming": True})  # the pictures that have their names are still our own
    sync(path)


def _files(path: Path) -> list[Path]:
    # Only what this module makes: a folder of that name may hold something of the user's.
    return [file for pattern in _OURS for file in path.glob(pattern)]


def _clear(path: Path) -> None:
    for file in _files(path):
        file.unlink(missing_ok=True)


def _remove_if_empty(path: Path) -> None:
    try:
        path.rmdir()
    except OSError:
        return  # it holds something that is not ours, or the next process has it already


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
