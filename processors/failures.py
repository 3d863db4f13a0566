"""What went wrong with a file, in one paragraph that says what to do."""

from __future__ import annotations

import os
from collections.abc import Iterator

from processors.columns import OutputError
from processors.errors import InputError
from processors.schemas import FORMATS

# Errors of a program, not of the file it reads: they must not be mistaken for a bad file and skipped.
_PROGRAM_ERRORS = (OutputError, MemoryError, TypeError, AttributeError, NameError, ImportError, NotImplementedError)
_TRUNCATED = ("truncated file", "expected chunk of length", "end of file", "received 0 bytes")
_SIGNATURES = {b"root": "a ROOT file", b"\x89HDF": "an HDF5 file"}
_FOREIGN = ("not a root file", "file signature not found")


def is_bad_input(exception: BaseException) -> bool:
    """Whether a failure while reading or processing is the fault of the file, so that it may be skipped."""
    chain = list(_chain(exception))
    if any(isinstance(link, InputError) for link in chain):
        return True
    return isinstance(exception, Exception) and not any(isinstance(link, _PROGRAM_ERRORS) for link in chain)


def describe_failure(exception: BaseException, filename: str) -> InputError:
    """The InputError that a user should see instead of ``exception``: file, what is wrong, what to do.

    An InputError anywhere in the chain of causes (coffea wraps what processors raise) is kept; errors of uproot, h5py
    and the system become a sentence.
    """
    for link in _chain(exception):
        if isinstance(link, InputError):
            return link if filename in str(link) else InputError(f"{filename}: {link}")
    return InputError(f"{filename} {_reason(exception, filename)}")


def _chain(exception: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while exception is not None and id(exception) not in seen:
        seen.add(id(exception))
        yield exception
        exception = exception.__cause__ or exception.__context__


def _reason(exception: BaseException, filename: str) -> str:
    text = " ".join(f"{link}" for link in _chain(exception)).lower()
    local = "://" not in filename
    if isinstance(exception, FileNotFoundError) or (local and not os.path.exists(filename)):
        return "does not exist. Check the path, or fetch or generate the sample first."
    if isinstance(exception, PermissionError):
        return "may not be read by this user. Change its permissions."
    if isinstance(exception, IsADirectoryError) or (local and os.path.isdir(filename)):
        return "is a folder, not a file. Name the files in it."
    if local and os.path.getsize(filename) == 0:
        return "is empty (0 bytes). Fetch or generate it again, or leave it out."
    kind = _kind(filename) if local else None
    if kind == "neither ROOT nor HDF5":
        return "is neither a ROOT nor an HDF5 file. Name another file, or fetch this one again."
    if any(words in text for words in _FOREIGN):
        found = f" It is {kind}: choose a format for that." if kind else ""
        return f"is not a file of the format it is listed with.{found} Formats: {', '.join(FORMATS)}."
    detail = f"{type(exception).__name__}: {_first_lines(exception)}"
    if any(words in text for words in _TRUNCATED):
        return f"is truncated ({detail}). Fetch or generate it again, or leave it out."
    return f"cannot be read to the end ({detail}). It is probably damaged: fetch or generate it again, or leave it out."


def _kind(filename: str) -> str:
    """What the first bytes of a local file say that it is."""
    with open(filename, "rb") as file:
        start = file.read(8)
    return _SIGNATURES.get(start[:4], "neither ROOT nor HDF5")


def _first_lines(exception: BaseException) -> str:
    lines = [line.strip() for line in str(exception).splitlines() if line.strip()]
    return " ".join(lines[:3])[:300]
