"""Parquet parts: whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from processors import columns
from processors.columns import OutputError, part_path, prepare_folder, read_parts, write_part, write_parts

TABLE = pa.table({"x": [1.0, 2.0]})


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_path_is_that_of_a_partitioned_data_set(tmp_path: Path) -> None:
    path = part_path(tmp_path, dataset="qcd/2", variation="nominal", stem="00ff-0-5")
    assert path == tmp_path / "dataset=qcd%2F2" / "variation=nominal" / "part-00ff-0-5.parquet"


def test_write_and_read(tmp_path: Path) -> None:
    paths = [part_path(tmp_path, dataset="a", variation="up", stem=stem) for stem in ("1", "2")]
    write_parts(dict.fromkeys(paths, TABLE))
    assert sorted(files_below(tmp_path)) == sorted(paths)
    parts = [{"path": str(path)} for path in paths]
    assert read_parts(parts).column("x").to_pylist() == [1.0, 2.0, 1.0, 2.0]
    assert read_parts(parts[:1], columns=["x"]).equals(TABLE)


def test_no_parts_need_a_schema() -> None:
    assert read_parts([], schema=TABLE.schema, columns=["x"]).num_rows == 0
    with pytest.raises(ValueError, match="schema"):
        read_parts([])


def test_a_write_that_fails_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_after_some_bytes(table: pa.Table, file, **settings) -> None:
        file.write(b"PAR1half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(columns.pq, "write_table", fail_after_some_bytes)
    with pytest.raises(OutputError, match="No space left on device"):
        write_part(TABLE, tmp_path / "part-1.parquet")
    assert files_below(tmp_path) == []


def test_a_crash_leaves_no_file_that_looks_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*arguments) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(columns.os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        write_part(TABLE, tmp_path / "part-1.parquet")
    assert list(tmp_path.glob("*.parquet")) == []


def test_an_earlier_part_survives_a_failed_rewrite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "part-1.parquet"
    write_part(TABLE, path)
    monkeypatch.setattr(columns.pq, "write_table", lambda *a, **k: (_ for _ in ()).throw(OSError(5, "I/O error")))
    with pytest.raises(OutputError, match="I/O error"):
        write_part(TABLE.slice(0, 1), path)
    assert pq.read_table(path).equals(TABLE)


def test_several_parts_are_written_together_or_not_at_all(tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    with pytest.raises(OutputError):
        write_parts({tmp_path / "good" / "part-1.parquet": TABLE, blocked / "part-1.parquet": TABLE})
    assert files_below(tmp_path) == [blocked]


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="choose another"):
        prepare_folder(tmp_path / "file" / "columns")
