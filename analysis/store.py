"""Content-keyed artefacts: a folder each, whole or not at all, kept until what made them changes."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import importlib
import json
import logging
import os
import platform
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from analysis.errors import StageError

logger = logging.getLogger(__name__)

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
def code_key(*names: str) -> str:
    """Return a key of the source code of packages and modules, so that a changed program redoes its work."""
    digest = hashlib.sha256()
    for name in names:
        module = importlib.import_module(name)
        source = Path(str(module.__file__))
        for file in sorted(source.parent.rglob("*.py")) if hasattr(module, "__path__") else [source]:
            digest.update(str(file.relative_to(source.parent)).encode() + file.read_bytes())
    return digest.hexdigest()[:16]


@cache
def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that results depend on."""
    return {name: metadata.version(name) for name in LIBRARIES}


def installed_versions() -> dict[str, str]:
    """Return the versions of Python and of every library that the project asks for, for the record."""
    names = [
        re.split(r"[<>=!~;\\[ ]", requirement)[0]
        for requirement in metadata.requires("darkhorse") or ()
        if "extra ==" not in requirement
    ]
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in sorted(names)}


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

    def make(self, name: str, key: str, fill: Callable[[Path], object], *, resumable: bool = False) -> Path:
        """Return the folder of artefact `name`, filling it first when it is not there or was made from another key.

        With `resumable`, an unfinished folder of the same key is handed to `fill` again with what it holds.
        """
        folder, partial = self.directory / name, self._partial(name, key)
        while (found := self.find(name, key)) is None:
            partial.mkdir(parents=True, exist_ok=True)
            with _held(partial) as mine:
                if mine:  # else another run finished or removed it while this one waited
                    self._fill(folder, partial, key, fill, resumable=resumable)
                    return folder
        return found

    @contextlib.contextmanager
    def unfinished(self, name: str, key: str) -> Iterator[Path | None]:
        """Hold the folder that `make(…, resumable=True)` will hand to `fill`, so that parts can be made beforehand.

        Yields None where another run finished the artefact while this one waited for it.
        """
        partial = self._partial(name, key)
        with contextlib.ExitStack() as stack:
            while self.find(name, key) is None:
                partial.mkdir(parents=True, exist_ok=True)
                if stack.enter_context(_held(partial)):
                    yield partial
                    return
            yield None

    def _partial(self, name: str, key: str) -> Path:
        folder = self.directory / name
        return folder.with_name(f".{folder.name}.{key}.partial")

    def _fill(self, folder: Path, partial: Path, key: str, fill: Callable[[Path], object], *, resumable: bool) -> None:
        _clear_unfinished(folder, partial, keep=resumable)
        try:
            fill(partial)
            (partial / MARKER).write_text(json.dumps({"key": key}))
        except BaseException:
            if not resumable:
                shutil.rmtree(partial, ignore_errors=True)
            raise
        if folder.exists():
            (folder / MARKER).unlink(missing_ok=True)  # first: a removal that is cut short must not look whole
            shutil.rmtree(folder)
        partial.rename(folder)


def _clear_unfinished(folder: Path, partial: Path, *, keep: bool) -> None:
    """Remove what killed runs left of an artefact: what is in `partial` unless `keep`, and folders of other keys.

    Errors do not matter: workers of a killed run may still be writing, and what they write no summary names.
    """
    for left in folder.parent.glob(f".{folder.name}.*.partial"):
        if left != partial:
            with _held(left, wait=False) as mine:
                if mine:
                    shutil.rmtree(left, ignore_errors=True)
    for item in [] if keep else list(partial.iterdir()):
        if item.is_dir():
            shutil.rmtree(item, ignore_errors=True)
        else:
            item.unlink(missing_ok=True)


@contextlib.contextmanager
def _held(folder: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold an unfinished artefact against other runs; yields whether it is held and still in its place."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    try:
        locked = _lock(descriptor, folder, wait=wait)
        yield locked and folder.exists() and os.path.samestat(os.fstat(descriptor), folder.stat())
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path, *, wait: bool) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if not wait:
            return False
        name = folder.name.removeprefix(".").rsplit(".", 2)[0]
        logger.warning("another run is making %s: waiting for it", folder.parent / name)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:
        logger.debug("the file system of %s has no locks", folder)
    return True


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
