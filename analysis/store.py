"""Content-keyed artefacts: a folder each, whole or not at all, kept until what made them changes."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import importlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from analysis.errors import StageError

MARKER = ".complete.json"
LIBRARIES = ("awkward", "coffea", "fastjet", "keras", "numpy", "pyhf", "scikit-learn", "scipy", "tensorflow", "uproot")


def content_key(*parts: Any) -> str:
    """Return 16 hexadecimal digits that change when any of `parts` (plain data, models, dataclasses) does."""
    text = json.dumps(parts, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)


@cache
def code_key(*packages: str) -> str:
    """Return a key of the source code of the named packages, so that a changed program redoes its work."""
    digest = hashlib.sha256()
    for package in packages:
        folder = Path(str(importlib.import_module(package).__file__)).parent
        for file in sorted(folder.rglob("*.py")):
            digest.update(str(file.relative_to(folder)).encode() + file.read_bytes())
    return digest.hexdigest()[:16]


@cache
def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that results depend on."""
    return {name: metadata.version(name) for name in LIBRARIES}


class Store:
    """Artefacts below one folder, each a folder of files with a marker that is written last.

    An artefact that is being made lives in a hidden folder beside its place and is renamed when whole: a killed run
    leaves nothing that looks finished.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def find(self, name: str, key: str) -> Path | None:
        """Return the folder of artefact `name` when it is whole and was made from `key`."""
        folder = self.directory / name
        try:
            marker = json.loads((folder / MARKER).read_text())
        except (OSError, json.JSONDecodeError):
            return None
        return folder if marker.get("key") == key else None

    def make(self, name: str, key: str, fill: Callable[[Path], None], *, resumable: bool = False) -> Path:
        """Return the folder of artefact `name`, filling it first when it is not there or was made from another key.

        With `resumable`, an unfinished folder of the same key is handed to `fill` again with what it holds.
        """
        found = self.find(name, key)
        if found is not None:
            return found
        folder = self.directory / name
        partial = folder.with_name(f".{folder.name}.{key}.partial")
        self._clear_unfinished(folder, keep=partial if resumable else None)
        partial.mkdir(parents=True, exist_ok=True)
        try:
            fill(partial)
            (partial / MARKER).write_text(json.dumps({"key": key}))
        except BaseException:
            if not resumable:
                shutil.rmtree(partial, ignore_errors=True)
            raise
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
        return folder

    def _clear_unfinished(self, folder: Path, *, keep: Path | None) -> None:
        for left in folder.parent.glob(f".{folder.name}.*.partial"):
            if left != keep:
                shutil.rmtree(left)


def write_atomically(path: Path, content: str | bytes) -> Path:
    """Write a file whole or not at all; raise OSError (full disk, read-only folder) leaving what was there.

    A file that holds the same already is left alone.
    """
    encoded = content.encode() if isinstance(content, str) else content
    if path.is_file() and path.read_bytes() == encoded:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(encoded)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    return path


def write_json(path: Path, content: Any) -> Path:
    """Write JSON atomically; NaN and infinity are refused, as other readers cannot parse them."""
    return write_atomically(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


@contextlib.contextmanager
def exclusive(directory: Path) -> Iterator[None]:
    """Hold the output folder for one run; raise StageError when another run holds it."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StageError(
                f"Another run is writing to {directory}. Wait for it to end, or choose another folder with --out."
            ) from None
        yield
