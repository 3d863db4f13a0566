"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file that takes the place of `path` if nothing fails, and disappears if it does.

    Raises OSError (full disk, read-only folder) leaving what was there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def write_atomically(path: Path, content: str | bytes) -> Path:
    """Write a file whole or not at all; one that holds the same already is left alone.

    Raises OSError (full disk, read-only folder) leaving what was there.
    """
    encoded = content.encode() if isinstance(content, str) else content
    if path.is_file() and path.read_bytes() == encoded:
        return path
    with whole(path) as temporary:
        temporary.write_bytes(encoded)
    return path


def write_json(path: Path, content: Any) -> Path:
    """Write JSON atomically; NaN and infinity are refused, as other readers cannot parse them."""
    return write_atomically(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Return the content of a JSON file that a stage wrote."""
    return json.loads(path.read_text())
