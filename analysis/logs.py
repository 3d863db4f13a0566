"""log.txt: what the packages log while a command runs, and what native libraries print beside it."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class _LogFile(logging.FileHandler):
    """A log that stays silent where its disk is full: the command itself will say so."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Drop the record."""

    def close(self) -> None:
        """Close the file, also where its last lines found no space."""
        with contextlib.suppress(OSError):
            super().close()


@contextlib.contextmanager
def logged(path: Path, *, native: bool = True) -> Iterator[None]:
    """Append to a file what the packages log, with times, and (`native`) what C++ libraries print."""
    handler = _LogFile(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter(_FORMAT))
    logging.getLogger().addHandler(handler)
    try:
        with _native_errors_in(path) if native else contextlib.nullcontext():
            yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


def own_lines(text: str) -> str:
    """Return the lines of a log without what native libraries printed: the packages' own begin with a time."""
    return "\n".join(line for line in text.splitlines() if line[:4].isdigit())


@contextlib.contextmanager
def _native_errors_in(path: Path) -> Iterator[None]:
    """Append to `path` what is written to file descriptor 2; Python's `sys.stderr` keeps the terminal.

    TensorFlow logs from C++ before its own log levels take effect, whatever the environment says.
    """
    if not _is_standard_error(sys.stderr):
        yield
        return
    sys.stderr.flush()
    python, descriptor = sys.stderr, os.dup(2)
    with open(descriptor, "w", buffering=1, encoding=python.encoding, errors="backslashreplace") as terminal:
        with path.open("ab") as file:
            os.dup2(file.fileno(), 2)
        _point_at(terminal, instead_of=python)
        try:
            yield
        finally:
            terminal.flush()
            os.dup2(descriptor, 2)
            _point_at(python, instead_of=terminal)


def _is_standard_error(stream: object) -> bool:
    try:
        return stream.fileno() == 2  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return False


def _point_at(stream: TextIO, *, instead_of: TextIO) -> None:
    """Make `stream` the standard error of Python and of its log handlers."""
    sys.stderr = stream
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is instead_of:
            handler.setStream(stream)
