"""An append-only record of what a job has finished, that a power cut can only shorten.

One JSON object a line, `{"sha256": ..., "record": {...}}`; the checksum is of the record. A line that is torn or damaged ends
the journal: what stands after it was written later, and nothing may rest on a record whose predecessor is not known.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

Record = dict[str, Any]


def encode_record(record: Record) -> bytes:
    """A record as one line, with its checksum and the line's end."""
    body = _canonical(record)
    return f'{{"sha256":"{_checksum(body)}","record":{body}}}\n'.encode()


def decode_records(content: bytes) -> tuple[list[Record], int]:
    """The records of a journal, and the number of bytes that hold them; the rest is torn or damaged."""
    records: list[Record] = []
    good = 0
    for line in content.splitlines(keepends=True):
        record = _decode_line(line)
        if record is None:
            break
        records.append(record)
        good += len(line)
    return records, good


def _decode_line(line: bytes) -> Record | None:
    if not line.endswith(b"\n"):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    if not isinstance(found, dict) or not isinstance(found.get("record"), dict):
        return None
    record: Record = found["record"]
    # Compared as bytes, so that a change anywhere in the line counts, even one that JSON does not see.
    return record if encode_record(record) == line else None


def _canonical(record: Record) -> str:
    return json.dumps(record, separators=(",", ":"), sort_keys=True)


def _checksum(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:16]


class Journal:
    """A journal on disk, open for appending.

    Args:
        path: the file; made where there is none. What is torn at its end is cut off.

    Raises:
        OSError: if it cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.records: list[Record] = []
        good = 0
        if path.exists():
            self.records, good = decode_records(path.read_bytes())
        self._file: BinaryIO = path.open("ab")
        self._file.truncate(good)

    def append(self, record: Record) -> None:
        """Add a record; when this returns, it is on the disk.

        Raises:
            OSError: if the disk is full or fails; the record then counts as not written.
        """
        self._file.write(encode_record(record))
        self._file.flush()
        os.fsync(self._file.fileno())
        self.records.append(record)

    def last(self, kind: str) -> Any:
        """The newest value of a kind of record (its one key), None where there is none."""
        return next((r[kind] for r in reversed(self.records) if kind in r), None)

    def all(self, kind: str) -> list[Any]:
        """All values of a kind of record, oldest first."""
        return [r[kind] for r in self.records if kind in r]

    def clear(self) -> None:
        """Forget everything."""
        self._file.truncate(0)
        self.records.clear()

    def close(self) -> None:
        """Let go of the file. A disk that is still full is no new error here."""
        try:
            self._file.close()
        except OSError:
            return

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
