"""The journal of a render: what is torn or damaged at its end is gone, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gpenvid.job.journal import Journal, decode_records, encode_record

RECORDS = st.lists(
    st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=20) | st.floats(allow_nan=False) | st.none(), max_size=4),
    max_size=6,
)


@given(RECORDS, st.data())
def test_a_journal_cut_anywhere_gives_the_records_that_are_whole(records: list[dict], data: st.DataObject) -> None:
    lines = [encode_record(r) for r in records]
    content = b"".join(lines)
    cut = data.draw(st.integers(0, len(content)))
    whole, length = 0, 0
    while whole < len(lines) and length + len(lines[whole]) <= cut:
        length += len(lines[whole])
        whole += 1
    assert decode_records(content[:cut]) == (records[:whole], length)


@given(RECORDS.filter(bool), st.data())
def test_a_changed_byte_ends_a_journal_there(records: list[dict], data: st.DataObject) -> None:
    lines = [encode_record(r) for r in records]
    content = bytearray(b"".join(lines))
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= 1 << data.draw(st.integers(0, 7))
    before = 0
    while sum(map(len, lines[: before + 1])) <= position:
        before += 1
    assert decode_records(bytes(content))[0] == records[:before]


def test_a_journal_goes_on_behind_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        journal.append({"segment": 1})
        journal.append({"segment": 2})
    path.write_bytes(path.read_bytes()[:-3])
    with Journal(path) as journal:
        journal.append({"segment": 3})
    with Journal(path) as journal:
        assert journal.all("segment") == [1, 3]
    assert all(json.loads(line) for line in path.read_text().splitlines())
