"""Columns of selected events as Parquet part files: one per work item and variation, whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

_log = logging.getLogger(__name__)


class OutputError(OSError):
    """Columns cannot be written: the fault of the output folder, never of the events."""


def part_path(directory: str | os.PathLike[str], *, dataset: str, variation: str, stem: str) -> Path:
    """``directory/dataset=…/variation=…/part-<stem>.parquet``, as partitioned data sets are laid out."""
    folder = Path(directory) / f"dataset={quote(dataset, safe='')}" / f"variation={quote(variation, safe='')}"
    return folder / f"part-{stem}.parquet"


def prepare_folder(directory: str | os.PathLike[str]) -> None:
    """Make a folder for parts; OutputError where that, or writing into it, is not possible."""
    try:
        Path(directory).mkdir(parents=True, exist_ok=True)
        if not os.access(directory, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise _unwritable(directory, error) from error


def _unwritable(path: str | os.PathLike[str], error: OSError) -> OutputError:
    reason = error.strerror or str(error)
    return OutputError(
        f"the columns cannot be written to {path}: {reason}. Free space there, make it writable, or choose another "
        "output folder."
    )


def write_part(table: pa.Table, path: Path) -> None:
    """Write a table so that ``path`` is either absent or whole, even after a crash or a full disk.

    The table goes to a hidden temporary file in the same folder and takes its name when it is on disk. Raises
    OutputError where the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "xb") as file:
            pq.write_table(table, file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_parts(tables: Mapping[Path, pa.Table]) -> None:
    """Write several parts, or none: where one fails, those already written are removed."""
    written: list[Path] = []
    try:
        for path, table in tables.items():
            write_part(table, path)
            written.append(path)
    except BaseException:
        remove_parts(written)
        raise


def remove_parts(paths: Iterable[str | os.PathLike[str]]) -> None:
    """Delete part files that no manifest should name any more; a file that will not go is logged."""
    for path in paths:
        try:
            Path(path).unlink(missing_ok=True)
        except OSError as error:
            _log.warning("could not remove %s: %s", path, error)


def read_parts(
    parts: Sequence[Mapping[str, Any]], *, columns: Sequence[str] | None = None, schema: pa.Schema | None = None
) -> pa.Table:
    """The rows of a manifest, in its order (by file and entry): parts that it does not name are not read.

    ``parts`` is one list of ``output["parts"][dataset][variation]``. ``schema`` (``DijetProcessor.schema``) gives an
    empty list its columns. Raises OSError (FileNotFoundError) where a part is missing.
    """
    tables = [
        pq.read_table(part["path"], columns=None if columns is None else list(columns), partitioning=None)
        for part in parts
    ]
    if tables:
        return pa.concat_tables(tables)
    if schema is None:
        raise ValueError("no parts and no schema: give schema= to read an empty selection")
    empty = schema.empty_table()
    return empty if columns is None else empty.select(list(columns))
