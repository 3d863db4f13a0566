"""Take the time of writing out of ROOT files, so that equal content means equal bytes.

A ROOT file is a header and a row of records; each record starts with a TKey that carries the time it was written,
directories carry two times more, and a directory's list of keys repeats its TKeys
(https://root.cern/doc/master/classTFile.html, "File Layout").
"""

from __future__ import annotations

import struct
from pathlib import Path

# 1 January 1995, the origin of ROOT's 32-bit dates
FIXED_DATE = struct.pack(">I", (1 << 22) | (1 << 17))
BIG_FILE_VERSION = 1_000_000
BIG_KEY_VERSION = 1000
_DATE_IN_KEY = 10


def fix_dates(path: Path) -> None:
    """Set all dates in the ROOT file at `path` to the same constant, in place."""
    with path.open("r+b") as file:
        content = bytearray(file.read())
        for position in _date_positions(content):
            file.seek(position)
            file.write(FIXED_DATE)


def _date_positions(content: bytearray) -> list[int]:
    version, begin = struct.unpack_from(">ii", content, 4)
    end = struct.unpack_from(">q" if version >= BIG_FILE_VERSION else ">i", content, 12)[0]
    positions, position = [], begin
    while position < end:
        size = struct.unpack_from(">i", content, position)[0]
        if size > 0:
            positions.append(position + _DATE_IN_KEY)
            if _class_name(content, position) in (b"TFile", b"TDirectory") and position == begin:
                positions += _directory_dates(content, begin, version)
        if size == 0:
            break
        position += abs(size)
    return positions


def _directory_dates(content: bytearray, begin: int, version: int) -> list[int]:
    """Return where the top directory's dates and those in its list of keys are."""
    name_size = struct.unpack_from(">i", content, 36 if version >= BIG_FILE_VERSION else 28)[0]
    start = begin + name_size
    directory_version = struct.unpack_from(">h", content, start)[0]
    big = directory_version > BIG_KEY_VERSION
    keys_at = struct.unpack_from(">q" if big else ">i", content, start + (34 if big else 26))[0]
    positions = [start + 2, start + 6]
    position = keys_at + _key_size(content, keys_at)
    n_keys = struct.unpack_from(">i", content, position)[0]
    position += 4
    for _ in range(n_keys):
        positions.append(position + _DATE_IN_KEY)
        position += _key_size(content, position)
    return positions


def _key_size(content: bytearray, position: int) -> int:
    return struct.unpack_from(">h", content, position + 14)[0]


def _class_name(content: bytearray, position: int) -> bytes:
    version = struct.unpack_from(">h", content, position + 4)[0]
    start = position + (34 if version > BIG_KEY_VERSION else 26)
    return bytes(content[start + 1 : start + 1 + content[start]])
